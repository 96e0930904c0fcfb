/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: the disk gets longer
 *
 * The number of zones, the place of their table and the size of the disk lie in
 * the first sector of the file, and change in one write of it, the switch.  The
 * new table, with entries for all zones, is durable in clusters of its own, and
 * so are their refcounts, before that; the old one is given up when the switch
 * is durable.  So a crash shows the disk before or after, whole.
 *
 * Nothing else changes the table meanwhile: its lock is held from before
 * qcow2_co_truncate() takes s->lock.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/memalign.h"
#include "qapi/error.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-format.h"
#include "block/zoned-refuse.h"
#include "qcow2-zoned-int.h"

/* What is on disk for the zones after the switch */
typedef struct NewZones {
    Qcow2ZonedHeader hdr;
    uint64_t disk_size;         /* bytes */
    uint64_t *table;            /* qemu_vfree; write pointers, bytes */
} NewZones;

static void new_zones_free(NewZones *n)
{
    qemu_vfree(n->table);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NewZones, new_zones_free)

/* The pointers that are on disk, and those of the new zones, which are empty */
static bool GRAPH_RDLOCK make_table(BlockDriverState *bs, Qcow2Zoned *z,
                                    NewZones *n, Error **errp)
{
    uint64_t bytes = qcow2_zoned_table_size(&n->hdr);
    bool room;
    uint32_t i;

    n->table = qemu_try_blockalign(bs->file->bs, bytes);
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        room = n->table && zone_rules_reserve(z->rules, n->hdr.nr_zones);
    }
    if (!room) {
        error_setg(errp, "Not enough memory for the state of %" PRIu32
                   " zones", n->hdr.nr_zones);
        return false;
    }
    for (i = 0; i < n->hdr.nr_zones; i++) {
        n->table[i] = i < z->hdr.nr_zones ?
                      qcow2_zoned_pointer(z->pointers, i) :
                      i * n->hdr.zone_size;
    }
    return true;
}

/*
 * Write the table to clusters of its own, durable with their refcounts.
 * s->lock is held.  On failure nothing is left of it.
 */
static int coroutine_fn GRAPH_RDLOCK write_table(BlockDriverState *bs,
                                                 NewZones *n)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t bytes = ROUND_UP(qcow2_zoned_table_size(&n->hdr),
                              s->cluster_size);
    QEMU_AUTO_VFREE uint64_t *buf = qemu_try_blockalign0(bs->file->bs, bytes);
    int64_t offset;
    uint32_t i;
    int ret;

    if (!buf) {
        return -ENOMEM;
    }
    for (i = 0; i < n->hdr.nr_zones; i++) {
        buf[i] = qcow2_zoned_entry_encode(&n->hdr, i, n->table[i]);
    }
    offset = qcow2_alloc_clusters(bs, bytes);
    if (offset < 0) {
        return offset;
    }
    ret = qcow2_pre_write_overlap_check(bs, 0, offset, bytes, false);
    if (ret >= 0) {
        BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_WRITE);
        ret = bdrv_co_pwrite(bs->file, offset, bytes, buf, 0);
    }
    if (ret >= 0) {
        ret = qcow2_flush_caches(bs);
    }
    if (ret < 0) {
        qcow2_free_clusters(bs, offset, bytes, QCOW2_DISCARD_NEVER);
        return ret;
    }
    n->hdr.table_offset = offset;
    return 0;
}

/*
 * Find the extension in the first sector of the file, which is read into
 * @sector: it is the first, as we write it.  If not, the header is another
 * program's, and is written again.
 */
static int coroutine_fn GRAPH_RDLOCK
find_extension(BlockDriverState *bs, uint8_t *sector, uint8_t **ext,
               Error **errp)
{
    uint32_t at;
    int attempt;
    int ret;

    for (attempt = 0; attempt < 2; attempt++) {
        ret = attempt ? qcow2_update_header(bs) : 0;
        if (ret >= 0 && attempt) {
            ret = bdrv_co_flush(bs->file->bs);
        }
        if (ret >= 0) {
            ret = bdrv_co_pread(bs->file, 0, BDRV_SECTOR_SIZE, sector, 0);
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
 * The switch.  If the write fails nobody knows which header the disk has: the
 * old one is written again, and where that fails, too, the node is of no use
 * any more, as both tables are valid and only one may be changed.
 */
static int coroutine_fn GRAPH_RDLOCK switch_header(BlockDriverState *bs,
                                                   const NewZones *n,
                                                   Error **errp)
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
    memcpy(old, sector, BDRV_SECTOR_SIZE);
    stq_be_p(sector + offsetof(QCowHeader, size), n->disk_size);
    qcow2_zoned_ext_encode(&n->hdr, ext);
    ret = bdrv_co_pwrite(bs->file, 0, BDRV_SECTOR_SIZE, sector, BDRV_REQ_FUA);
    if (ret >= 0) {
        return 0;
    }
    error_setg_errno(errp, -ret, "Could not write the new size to the image "
                     "header");
    again = bdrv_co_pwrite(bs->file, 0, BDRV_SECTOR_SIZE, old, BDRV_REQ_FUA);
    if (again < 0) {
        error_append_hint(errp, "The old header could not be written back, "
                          "either; the image cannot be used before it is "
                          "opened again\n");
        bs->drv = NULL;
        return -EIO;
    }
    return ret;
}

/* All filters above show as many zones. */
static void GRAPH_RDLOCK tell_filters(BlockDriverState *bs)
{
    BdrvChild *c;

    QLIST_FOREACH(c, &bs->parents, next_parent) {
        if (c->klass->parent_is_bds && c->klass->supports_zoned &&
            c->klass->supports_zoned(c)) {
            BlockDriverState *parent = c->opaque;

            parent->bl.nr_zones = bs->bl.nr_zones;
            tell_filters(parent);
        }
    }
}

/* What is on disk is in force. */
static void GRAPH_RDLOCK take_over(BlockDriverState *bs, Qcow2Zoned *z,
                                   NewZones *n)
{
    BDRVQcow2State *s = bs->opaque;

    WITH_QEMU_LOCK_GUARD(&z->lock) {
        *s->zoned_header = z->hdr = n->hdr;
        z->disk_size = n->disk_size;
        zone_rules_grow(z->rules, n->disk_size, n->hdr.nr_zones, n->table);
        qcow2_zoned_pointers_replace(z->pointers, g_steal_pointer(&n->table));
        g_clear_pointer(&z->warned, g_free);
        zoned_verify(z);
    }
    bs->total_sectors = n->disk_size / BDRV_SECTOR_SIZE;
    bs->bl.nr_zones = n->hdr.nr_zones;
    tell_filters(bs);
}

int coroutine_fn qcow2_zoned_set_size(BlockDriverState *bs, int64_t disk_size,
                                      Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = zoned_state(bs);
    /* Of the two, this one has limits that were amended. */
    g_auto(NewZones) n = { .hdr = *s->zoned_header, .disk_size = disk_size };
    uint64_t old_bytes = ROUND_UP(qcow2_zoned_table_size(&z->hdr),
                                  s->cluster_size);
    uint64_t old_offset = z->hdr.table_offset;
    int ret;

    zoned_assert(zoned_co_holds(&z->pointers->lock));
    if (disk_size == z->disk_size) {
        return 0;
    }
    if (!qcow2_zoned_options_check(&n.hdr, disk_size, s->cluster_size, errp)) {
        return -EINVAL;
    }
    if (!make_table(bs, z, &n, errp)) {
        return -ENOMEM;
    }
    ret = write_table(bs, &n);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the new write-pointer "
                         "table");
        return ret;
    }
    ret = switch_header(bs, &n, errp);
    if (ret < 0) {
        if (bs->drv) {
            qcow2_free_clusters(bs, n.hdr.table_offset,
                                ROUND_UP(qcow2_zoned_table_size(&n.hdr),
                                         s->cluster_size),
                                QCOW2_DISCARD_NEVER);
        }
        return ret;
    }

    take_over(bs, z, &n);
    qcow2_free_clusters(bs, old_offset, old_bytes, QCOW2_DISCARD_OTHER);
    return 0;
}

int coroutine_fn
qcow2_zoned_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                        PreallocMode prealloc, BdrvRequestFlags flags,
                        Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = zoned_state(bs);
    Error *local_err = NULL;
    Qcow2ZonedHeader h;
    bool grows;
    int ret;

    if (!z) {
        return qcow2_co_truncate(bs, offset, exact, prealloc, flags, errp);
    }
    if (offset < z->disk_size &&
        bdrv_zoned_refuse(bs, BDRV_ZONED_OP_SHRINK, errp)) {
        return -ENOTSUP;
    }
    grows = offset > z->disk_size;
    /* Before anything is changed */
    h = z->hdr;
    if (!qcow2_zoned_options_check(&h, offset, s->cluster_size, errp)) {
        return -EINVAL;
    }
    QEMU_LOCK_GUARD(&z->pointers->lock);
    ret = qcow2_co_truncate(bs, offset, exact, prealloc, flags, &local_err);
    if (ret < 0 && grows && z->disk_size == offset) {
        /* What is done is no error: the caller would go on with the old size */
        warn_reportf_err(local_err, "Node '%s' has its new size, and its "
                         "caches do not fit it: ",
                         bdrv_get_device_or_node_name(bs));
        return 0;
    }
    error_propagate(errp, local_err);
    return ret;
}
