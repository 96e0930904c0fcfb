/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a zoned node does not take, and why
 *
 * One table, so that the list in docs/system/zoned-qcow2-support.rst.inc, the
 * tests and the code can be compared.
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
    [BDRV_ZONED_OP_BACKING] = {
        "another backing file",
        "its write pointers are those of the one that it was made with",
    },
    [BDRV_ZONED_OP_COMMIT] = {
        "commit",
        "the write pointers of the backing file would not move with the data",
    },
    [BDRV_ZONED_OP_STREAM] = {
        "streaming",
        "the job does not write at write pointers",
    },
    [BDRV_ZONED_OP_AS_BACKING] = {
        "being the backing file of an image without zones",
        "it would hide the zones from the guest",
    },
    [BDRV_ZONED_OP_SHRINK] = {
        "being made smaller here",
        "only 'block_resize' and 'qemu-img resize' wait for its requests first",
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
    [BDRV_ZONED_OP_FILTER] = {
        "backup and mirror while it is written to",
        "the job's filter would stand between the guest and its zones",
    },
};

/* A name that nobody gave the node says less than its file's */
static const char *name_of(BlockDriverState *bs)
{
    return bs->node_name[0] == '#' && bs->filename[0] ? bs->filename
                                                      : bs->node_name;
}

bool bdrv_zoned_refuse(BlockDriverState *bs, BdrvZonedOp op, Error **errp)
{
    assert(op >= 0 && op < BDRV_ZONED_OP__MAX && zoned_refusals[op].what);

    /* A host-aware device takes what any disk takes, zones or not */
    if (bs->bl.zoned != BLK_Z_HM) {
        return false;
    }

    error_setg(errp, "Zoned node '%s' does not support %s: %s", name_of(bs),
               zoned_refusals[op].what, zoned_refusals[op].why);
    return true;
}

int bdrv_zoned_check(BlockDriverState *bs, BdrvZonedOp op, Error **errp)
{
    return bdrv_zoned_refuse(bs, op, errp) ? -ENOTSUP : 0;
}

bool bdrv_zoned_refuse_backing(BlockDriverState *bs, BlockDriverState *backing,
                               Error **errp)
{
    const BlockLimits *a = &bs->bl, *b = &backing->bl;
    const char *what = NULL;
    uint64_t mine = 0, other = 0;

    if (a->zoned != BLK_Z_HM) {
        return bdrv_zoned_refuse(backing, BDRV_ZONED_OP_AS_BACKING, errp);
    }
    if (b->zoned != BLK_Z_HM) {
        error_setg(errp, "Zoned node '%s' cannot have the backing file '%s', "
                   "which has no zones", name_of(bs), name_of(backing));
        return true;
    }
    if (a->zone_size != b->zone_size) {
        what = "zone size";
        mine = a->zone_size;
        other = b->zone_size;
    } else if (a->zone_capacity != b->zone_capacity) {
        what = "zone capacity";
        mine = a->zone_capacity;
        other = b->zone_capacity;
    } else if (a->nr_conventional != b->nr_conventional) {
        what = "number of conventional zones";
        mine = a->nr_conventional;
        other = b->nr_conventional;
    }
    if (what) {
        error_setg(errp, "Zoned node '%s' must have the %s of its backing file "
                   "'%s': it is %" PRIu64 ", there it is %" PRIu64,
                   name_of(bs), what, name_of(backing), mine, other);
    }
    return what;
}

bool bdrv_zoned_refuse_copy_job(BlockDriverState *bs, MirrorSyncMode sync,
                                Error **errp)
{
    uint64_t perm, shared;

    if (sync == MIRROR_SYNC_MODE_NONE &&
        bdrv_zoned_refuse(bs, BDRV_ZONED_OP_AS_BACKING, errp)) {
        return true;
    }

    /* Who uses @bs now will use it through the filter. */
    bdrv_get_cumulative_perm(bs, &perm, &shared);
    return (perm & (BLK_PERM_WRITE | BLK_PERM_WRITE_UNCHANGED |
                    BLK_PERM_RESIZE)) &&
           bdrv_zoned_refuse(bs, BDRV_ZONED_OP_FILTER, errp);
}

/*
 * Is there a zoned image in the file?  By the header alone, so that one that is
 * broken, and could be repaired, counts, too.
 */
static bool has_zoned_header(const char *filename)
{
    /* docs/interop/qcow2.rst: magic, version, incompatible features */
    uint8_t header[80];
    QDict *options = qdict_new();
    BlockBackend *blk;
    int ret;

    qdict_put_bool(options, BDRV_OPT_FORCE_SHARE, true);
    blk = blk_new_open(filename, NULL, options, BDRV_O_PROTOCOL, NULL);
    if (!blk) {
        return false;
    }
    ret = blk_pread(blk, 0, sizeof(header), header, 0);
    blk_unref(blk);

    return ret >= 0 && !memcmp(header, "QFI\xfb", 4) &&
           ldl_be_p(header + 4) >= 3 &&
           (ldq_be_p(header + 72) & QCOW2_INCOMPAT_ZONED);
}

bool bdrv_zoned_refuse_backing_file(const char *filename, const char *backing,
                                    const char *fmt, Error **errp)
{
    g_autofree char *path =
        bdrv_get_full_backing_filename_from_filename(filename, backing, NULL);
    Error *local_err = NULL;
    BlockDriverState *bs;
    QDict *options;
    bool refused;

    if (!path) {
        return false;
    }
    options = qdict_new();
    if (fmt) {
        qdict_put_str(options, "driver", fmt);
    }
    qdict_put_bool(options, BDRV_OPT_FORCE_SHARE, true);
    bs = bdrv_open(path, NULL, options, BDRV_O_NO_IO | BDRV_O_NO_BACKING,
                   &local_err);
    if (!bs) {
        if (has_zoned_header(path)) {
            error_propagate(errp, local_err);
            return true;
        }
        /* A reason that has nothing to do with zones, and is told later */
        error_free(local_err);
        return false;
    }
    refused = bdrv_zoned_refuse(bs, BDRV_ZONED_OP_AS_BACKING, errp);
    bdrv_unref(bs);
    return refused;
}

bool bdrv_zoned_refuse_overwrite(const char *filename, Error **errp)
{
    if (!has_zoned_header(filename)) {
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
