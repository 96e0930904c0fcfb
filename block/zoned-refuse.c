/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a zoned node does not take, and why
 *
 * One table, so that the list in docs/system/zoned-qcow2-support.rst.inc, the
 * tests and the code can be held against one another.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qemu/option.h"
#include "qemu/bswap.h"
#include "block/block_int.h"
#include "block/zoned-refuse.h"
#include "system/block-backend.h"
#include "qcow2.h"

static const struct {
    const char *what;
    const char *why;
} zoned_refusals[BDRV_ZONED_OP__MAX] = {
    [BDRV_ZONED_OP_SNAPSHOT] = {
        "internal snapshots",
        "a snapshot does not hold the zones' write pointers",
    },
    [BDRV_ZONED_OP_BACKING] = {
        "a backing file",
        "data below a write pointer must be in the zoned image itself",
    },
    [BDRV_ZONED_OP_AS_BACKING] = {
        "being a backing file",
        "an overlay is not zoned and would hide the zones from the guest",
    },
    [BDRV_ZONED_OP_RESIZE] = {
        "resizing",
        "the number of zones is fixed when the image is created",
    },
    [BDRV_ZONED_OP_COPY_ON_READ] = {
        "copy-on-read",
        "a read must not write to a zone",
    },
    [BDRV_ZONED_OP_COMPRESSED_WRITE] = {
        "compressed writes",
        "they go to whole clusters, not to a write pointer",
    },
    [BDRV_ZONED_OP_COPY_RANGE_TO] = {
        "copy offload into it",
        "data must pass the write pointer",
    },
    [BDRV_ZONED_OP_MAKE_EMPTY] = {
        "being emptied",
        "only a zone reset may take data away",
    },
    [BDRV_ZONED_OP_VMSTATE] = {
        "VM state",
        "it belongs to an internal snapshot, which does not hold the zones' "
        "write pointers",
    },
    [BDRV_ZONED_OP_LAZY_REFCOUNTS] = {
        "lazy_refcounts",
        "a write pointer must never be on disk before the refcounts of its "
        "data",
    },
    [BDRV_ZONED_OP_VERSION_2] = {
        "compat level 0.10",
        "version 2 has no feature bit to keep old programs away from the "
        "zones",
    },
};

bool bdrv_zoned_refuse(BlockDriverState *bs, BdrvZonedOp op, Error **errp)
{
    assert(op >= 0 && op < BDRV_ZONED_OP__MAX && zoned_refusals[op].what);

    /* A host-aware device takes what any disk takes, zones or not */
    if (bs->bl.zoned != BLK_Z_HM) {
        return false;
    }

    /* A name that nobody gave the node says less than its file's */
    error_setg(errp, "Zoned node '%s' does not support %s: %s",
               bs->node_name[0] == '#' && bs->filename[0] ? bs->filename
                                                          : bs->node_name,
               zoned_refusals[op].what, zoned_refusals[op].why);
    return true;
}

int bdrv_zoned_check(BlockDriverState *bs, BdrvZonedOp op, Error **errp)
{
    return bdrv_zoned_refuse(bs, op, errp) ? -ENOTSUP : 0;
}

bool bdrv_zoned_refuse_overwrite(const char *filename, Error **errp)
{
    /* docs/interop/qcow2.rst: magic, version, incompatible features */
    uint8_t header[80];
    QDict *options = qdict_new();
    BlockBackend *blk;
    int ret;

    /*
     * By the header alone, so that an image that is broken, and could be
     * repaired, counts, too.
     */
    qdict_put_bool(options, BDRV_OPT_FORCE_SHARE, true);
    blk = blk_new_open(filename, NULL, options, BDRV_O_PROTOCOL, NULL);
    if (!blk) {
        return false;
    }
    ret = blk_pread(blk, 0, sizeof(header), header, 0);
    blk_unref(blk);

    if (ret < 0 || memcmp(header, "QFI\xfb", 4) || ldl_be_p(header + 4) < 3 ||
        !(ldq_be_p(header + 72) & QCOW2_INCOMPAT_ZONED)) {
        return false;
    }
    error_setg(errp, "'%s' is a zoned image, which takes writes at its write "
               "pointers only; remove the file first if it is to be replaced",
               filename);
    return true;
}

bool bdrv_zoned_refuse_create_opts(QemuOpts *opts, Error **errp)
{
    if (!qemu_opt_get_bool(opts, "zoned", false) &&
        !qemu_opt_get(opts, "zone.mode")) {
        return false;
    }

    error_setg(errp, "A zoned image cannot be the target of a copy: it takes "
               "writes at its write pointers only; create it with 'qemu-img "
               "create' and write to it from a guest");
    return true;
}
