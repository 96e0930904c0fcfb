/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: the switch from one state of the whole disk to another
 *
 * Size, L1 table, number of zones and the place of their write pointers lie in
 * the first sector of the file and change in one write of it.  What the new
 * values name is durable in clusters of its own before that, with its
 * refcounts; what the old ones named is given up after it.  So a crash shows
 * the disk before or after, whole.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/memalign.h"
#include "qapi/error.h"
#include "block/block-io.h"
#include "qcow2-zoned-int.h"

int64_t coroutine_mixed_fn GRAPH_RDLOCK
zoned_write_new_table(BlockDriverState *bs, const Qcow2ZonedHeader *h,
                      const uint64_t *wp)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t bytes = ROUND_UP(qcow2_zoned_table_size(h), s->cluster_size);
    QEMU_AUTO_VFREE uint64_t *buf = qemu_try_blockalign0(bs->file->bs, bytes);
    int64_t offset;
    uint32_t i;
    int ret;

    if (!buf) {
        return -ENOMEM;
    }
    for (i = 0; i < h->nr_zones; i++) {
        buf[i] = qcow2_zoned_entry_encode(h, i, wp[i]);
    }
    offset = qcow2_alloc_clusters(bs, bytes);
    if (offset < 0) {
        return offset;
    }
    ret = qcow2_pre_write_overlap_check(bs, 0, offset, bytes, false);
    if (ret >= 0) {
        BLKDBG_EVENT(bs->file, BLKDBG_ZONE_TABLE_WRITE);
        ret = bdrv_pwrite(bs->file, offset, bytes, buf, 0);
    }
    if (ret < 0) {
        qcow2_free_clusters(bs, offset, bytes, QCOW2_DISCARD_NEVER);
        return ret;
    }
    return offset;
}

/*
 * Find the extension in the first sector of the file, which is read into
 * @sector: it is the first, as we write it.  If not, the header is another
 * program's, and is written again.
 */
static int coroutine_mixed_fn GRAPH_RDLOCK
find_extension(BlockDriverState *bs, uint8_t *sector, uint8_t **ext,
               Error **errp)
{
    uint32_t at;
    int attempt;
    int ret;

    for (attempt = 0; attempt < 2; attempt++) {
        ret = attempt ? qcow2_update_header(bs) : 0;
        if (ret >= 0 && attempt) {
            ret = bdrv_flush(bs->file->bs);
        }
        if (ret >= 0) {
            ret = bdrv_pread(bs->file, 0, BDRV_SECTOR_SIZE, sector, 0);
        }
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not %s the image header",
                             attempt ? "write" : "read");
            return ret;
        }
        at = ldl_be_p(sector + offsetof(QCowHeader, header_length));
        if (at <= BDRV_SECTOR_SIZE - 8 - QCOW2_ZONED_EXT_SIZE &&
            ldl_be_p(sector + at) == QCOW2_EXT_MAGIC_ZONED) {
            *ext = sector + at + 8;
            return 0;
        }
    }
    error_setg(errp, "The image header has unknown fields, so that the zones "
               "do not lie in its first sector");
    return -ENOTSUP;
}

/*
 * If the write fails nobody knows which header the disk has: the old one is
 * written again, and where that fails, too, the node is of no use any more, as
 * both tables are valid and only one may be changed.
 */
int coroutine_mixed_fn GRAPH_RDLOCK
zoned_switch(BlockDriverState *bs, const ZonedSwitch *n, Error **errp)
{
    QEMU_AUTO_VFREE uint8_t *sector =
        qemu_blockalign(bs->file->bs, BDRV_SECTOR_SIZE);
    QEMU_AUTO_VFREE uint8_t *old =
        qemu_blockalign(bs->file->bs, BDRV_SECTOR_SIZE);
    uint8_t *ext;
    int ret, again;

    ret = find_extension(bs, sector, &ext, errp);
    if (ret < 0) {
        return ret;
    }
    ret = qcow2_flush_caches(bs);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not flush the new %s", n->what);
        return ret;
    }
    memcpy(old, sector, BDRV_SECTOR_SIZE);
    stq_be_p(sector + offsetof(QCowHeader, size), n->disk_size);
    stl_be_p(sector + offsetof(QCowHeader, l1_size), n->l1_size);
    stq_be_p(sector + offsetof(QCowHeader, l1_table_offset),
             n->l1_table_offset);
    qcow2_zoned_ext_encode(&n->hdr, ext);
    ret = bdrv_pwrite(bs->file, 0, BDRV_SECTOR_SIZE, sector, BDRV_REQ_FUA);
    if (ret >= 0) {
        return 0;
    }
    error_setg_errno(errp, -ret, "Could not write the new %s to the image "
                     "header", n->what);
    again = bdrv_pwrite(bs->file, 0, BDRV_SECTOR_SIZE, old, BDRV_REQ_FUA);
    if (again < 0) {
        error_append_hint(errp, "The old header could not be written back, "
                          "either; the image cannot be used before it is "
                          "opened again\n");
        bs->drv = NULL;
        return -EIO;
    }
    return ret;
}

void GRAPH_RDLOCK zoned_tell_filters(BlockDriverState *bs)
{
    BdrvChild *c;

    QLIST_FOREACH(c, &bs->parents, next_parent) {
        if (c->klass->parent_is_bds && c->klass->supports_zoned &&
            c->klass->supports_zoned(c)) {
            BlockDriverState *parent = c->opaque;

            parent->bl.nr_zones = bs->bl.nr_zones;
            parent->bl.max_active_zones = bs->bl.max_active_zones;
            parent->bl.max_open_zones = bs->bl.max_open_zones;
            zoned_tell_filters(parent);
        }
    }
}
