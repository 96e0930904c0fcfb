/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: the disk gets another size
 *
 * The number of zones, the place of their table and the size of the disk change
 * together: see qcow2-zoned-switch.c.
 *
 * The order of growing:
 *   1. qcow2's own part: a longer L1 table, clusters that are preallocated
 *   2. a table with entries for all zones, in clusters of its own, is durable
 *      with their refcounts
 *   3. the switch
 *   4. the old table is given up
 * and of shrinking:
 *   1. all that was acknowledged is durable, and the entries are the write
 *      pointers
 *   2. the entries of zones that go or are cut are lowered, durably
 *   3. qcow2's own part: what lies beyond the new end is given up, and when
 *      nothing on disk refers to it, the file is cut
 *   4. the switch; the table stays where it is
 *   5. what is too much of the table is given up
 * Before 4 a crash shows the old size, with those zones empty or cut.
 *
 * Nothing else changes the table meanwhile: its lock is held from before
 * qcow2_co_truncate() takes s->lock.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "qemu/memalign.h"
#include "qapi/error.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-format.h"
#include "block/zoned-refuse.h"
#include "qcow2-zoned-int.h"

/* The pointers that are on disk; those of new zones are at their start. */
static bool GRAPH_RDLOCK make_table(BlockDriverState *bs, Qcow2Zoned *z,
                                    ZonedSwitch *n, Error **errp)
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

/* What is on disk is in force. */
static void GRAPH_RDLOCK take_over(BlockDriverState *bs, Qcow2Zoned *z,
                                   ZonedSwitch *n)
{
    BDRVQcow2State *s = bs->opaque;

    WITH_QEMU_LOCK_GUARD(&z->lock) {
        *s->zoned_header = z->hdr = n->hdr;
        z->disk_size = n->disk_size;
        zone_rules_resize(z->rules, n->disk_size, n->hdr.nr_zones, n->table);
        qcow2_zoned_pointers_replace(z->pointers, g_steal_pointer(&n->table));
        g_clear_pointer(&z->warned, g_free);
        zoned_verify(z);
    }
    bs->total_sectors = n->disk_size / BDRV_SECTOR_SIZE;
    bs->bl.nr_zones = n->hdr.nr_zones;
    zoned_tell_filters(bs);
}

int coroutine_fn qcow2_zoned_set_size(BlockDriverState *bs, int64_t disk_size,
                                      Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = zoned_state(bs);
    g_auto(ZonedSwitch) n = {
        .what = "size",
        .hdr = *s->zoned_header,
        .disk_size = disk_size,
        .l1_size = s->l1_size,
        .l1_table_offset = s->l1_table_offset,
    };
    uint64_t old_offset = z->hdr.table_offset;
    uint64_t old_bytes = ROUND_UP(qcow2_zoned_table_size(&z->hdr),
                                  s->cluster_size);
    uint64_t bytes;
    bool moves = disk_size > z->disk_size;
    int ret;

    zoned_assert(zoned_co_holds(&z->pointers->lock));
    if (disk_size == z->disk_size) {
        return 0;
    }
    if (!qcow2_zoned_options_check(&n.hdr, disk_size, s->cluster_size, errp)) {
        return -EINVAL;
    }
    bytes = ROUND_UP(qcow2_zoned_table_size(&n.hdr), s->cluster_size);
    if (!make_table(bs, z, &n, errp)) {
        return -ENOMEM;
    }
    if (moves) {
        int64_t offset = zoned_write_new_table(bs, &n.hdr, n.table);

        if (offset < 0) {
            error_setg_errno(errp, -offset, "Could not write the new "
                             "write-pointer table");
            return offset;
        }
        n.hdr.table_offset = offset;
    }
    ret = zoned_switch(bs, &n, errp);
    if (ret < 0) {
        if (moves && bs->drv) {
            qcow2_free_clusters(bs, n.hdr.table_offset, bytes,
                                QCOW2_DISCARD_NEVER);
        }
        return ret;
    }

    take_over(bs, z, &n);
    if (moves) {
        qcow2_free_clusters(bs, old_offset, old_bytes, QCOW2_DISCARD_OTHER);
    } else if (bytes < old_bytes) {
        qcow2_free_clusters(bs, old_offset + bytes, old_bytes - bytes,
                            QCOW2_DISCARD_OTHER);
    }
    return 0;
}

/*
 * Before anything is changed for a disk that gets smaller: what could refuse it
 * later, and that all that was acknowledged is durable.  It stays so, as the
 * node is drained.
 */
static int coroutine_fn GRAPH_RDLOCK
prepare_shrink(BlockDriverState *bs, PreallocMode prealloc, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int ret;

    if (!qatomic_read(&bs->quiesce_counter)) {
        return bdrv_zoned_check(bs, BDRV_ZONED_OP_SHRINK, errp);
    }
    if (prealloc != PREALLOC_MODE_OFF) {
        error_setg(errp, "Preallocation can't be used for shrinking an image");
        return -EINVAL;
    }
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (qcow2_truncate_bitmaps_check(bs, errp)) {
            return -ENOTSUP;
        }
    }
    ret = bdrv_co_flush(bs);
    if (ret >= 0) {
        ret = qcow2_zoned_behind(bs);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not flush the image");
    }
    return ret;
}

/*
 * Begin a reset in each zone that has anything beyond @size.  Those are
 * returned, with the pointers that are left to them.
 */
static GArray *begin_lower(Qcow2Zoned *z, uint64_t size)
{
    GArray *changes = g_array_new(false, false, sizeof(ZonePointer));
    uint32_t i;

    QEMU_LOCK_GUARD(&z->lock);
    for (i = zone_rules_index(z->rules, size); i < z->hdr.nr_zones; i++) {
        uint64_t start = zone_rules_start(z->rules, i);
        ZonePointer c = { .zone = i, .wp = start };

        if (size > start) {
            c.wp = MIN(start + z->hdr.zone_capacity, size);
        }
        /* One that goes, opened and not written, is to be empty, too. */
        if ((c.wp == start || zone_rules_wp(z->rules, i) > c.wp) &&
            zone_op_begin(z->rules, ZONE_OP_RESET, 0, i)) {
            g_array_append_val(changes, c);
        }
    }
    return changes;
}

/* No write pointer is beyond @size any more, on disk, durably, or in memory. */
static int coroutine_fn GRAPH_RDLOCK
lower_pointers(BlockDriverState *bs, Qcow2Zoned *z, uint64_t size,
               Error **errp)
{
    g_autoptr(GArray) changes = begin_lower(z, size);
    guint k;
    int ret;

    zoned_assert(zoned_co_holds(&z->pointers->lock));
    ret = qcow2_zoned_pointers_write(bs, z->pointers,
                                     (const ZonePointer *)changes->data,
                                     changes->len, 0, 0, false);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the write pointers of "
                         "zones beyond the new end of the disk");
    }
    QEMU_LOCK_GUARD(&z->lock);
    for (k = 0; k < changes->len; k++) {
        ZonePointer c = g_array_index(changes, ZonePointer, k);

        if (ret >= 0) {
            zone_op_cut(z->rules, c.zone, c.wp);
        } else {
            zone_op_end(z->rules, ZONE_OP_RESET, c.zone, false);
        }
    }
    zoned_verify(z);
    return ret;
}

int coroutine_fn
qcow2_zoned_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                        PreallocMode prealloc, BdrvRequestFlags flags,
                        Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = zoned_state(bs);
    Qcow2ZonedHeader h;
    bool shrinks;
    int ret = 0;

    if (!z) {
        return qcow2_co_truncate(bs, offset, exact, prealloc, flags, errp);
    }
    shrinks = offset < z->disk_size;
    /* Before anything is changed */
    h = z->hdr;
    if (!qcow2_zoned_options_check(&h, offset, s->cluster_size, errp)) {
        return -EINVAL;
    }
    if (shrinks) {
        ret = prepare_shrink(bs, prealloc, errp);
        if (ret < 0) {
            return ret;
        }
    }
    QEMU_LOCK_GUARD(&z->pointers->lock);
    if (shrinks) {
        ret = lower_pointers(bs, z, offset, errp);
    }
    if (ret >= 0) {
        ret = qcow2_co_truncate(bs, offset, exact, prealloc, flags, errp);
    }
    return ret;
}
