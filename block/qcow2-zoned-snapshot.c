/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: internal snapshots
 *
 * The order of creating one: all that was acknowledged is durable, and the
 * entries on disk are the write pointers; then their copy is written; then
 * qcow2 does what it does for any image, which names the copy when it is
 * durable.  Deleting: the entry goes first, then the copy.
 *
 * To apply one is a switch (qcow2-zoned-switch.c), to an L1 table and a table
 * of write pointers that are copies of the snapshot's.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/memalign.h"
#include "qemu/range.h"
#include "qapi/error.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-format.h"
#include "block/qcow2-zoned-snapshot.h"
#include "system/block-backend.h"
#include "qcow2-zoned-int.h"

static bool is_zoned(BDRVQcow2State *s)
{
    return s->zoned_header && s->zoned_header->zoned;
}

/* --- The copy of an entry --- */

static uint64_t copy_offset(const QCowSnapshot *sn)
{
    if (sn->extra_data_size < sizeof(QCowSnapshotExtraData) +
                              sizeof(uint64_t)) {
        return 0;
    }
    return ldq_be_p(sn->unknown_extra_data);
}

void qcow2_zoned_snapshot_set_copy(QCowSnapshot *sn, uint64_t offset)
{
    uint32_t size = sizeof(QCowSnapshotExtraData) + sizeof(offset);

    if (sn->extra_data_size < size) {
        g_free(sn->unknown_extra_data);
        sn->unknown_extra_data = g_malloc0(sizeof(offset));
        sn->extra_data_size = size;
    }
    stq_be_p(sn->unknown_extra_data, offset);
}

bool qcow2_zoned_snapshot_header(BlockDriverState *bs, const QCowSnapshot *sn,
                                 Qcow2ZonedHeader *h, Error **errp)
{
    ERRP_GUARD();
    BDRVQcow2State *s = bs->opaque;

    *h = *s->zoned_header;
    h->table_offset = copy_offset(sn);
    if (!qcow2_zoned_options_check(h, sn->disk_size, s->cluster_size, errp)) {
        error_prepend(errp, "Snapshot '%s': ", sn->name);
        return false;
    }
    return true;
}

/*
 * Check the place of @sn's copy, and fill in @h: that it is in the file, and,
 * with @all, that it does not overlap metadata, either.
 */
static int coroutine_mixed_fn GRAPH_RDLOCK
check_copy(BlockDriverState *bs, int index, Qcow2ZonedHeader *h, bool all,
           Error **errp)
{
    ERRP_GUARD();
    BDRVQcow2State *s = bs->opaque;
    const QCowSnapshot *sn = &s->snapshots[index];
    const char *name = "table copy at";
    uint64_t size;
    int ret;

    if (!qcow2_zoned_snapshot_header(bs, sn, h, errp)) {
        return -EINVAL;
    }
    size = qcow2_zoned_table_size(h);
    if (!h->table_offset) {
        error_setg(errp, "it has no copy of the write-pointer table");
        ret = -EINVAL;
    } else if (!all) {
        ret = qcow2_zoned_check_range(bs, name, h->table_offset, size, errp);
    } else {
        ret = qcow2_zoned_check_place(bs, name, h->table_offset, size, errp);
        if (ret >= 0 &&
            (ranges_overlap(h->table_offset, size,
                            s->zoned_header->table_offset,
                            qcow2_zoned_table_size(s->zoned_header)) ||
             qcow2_zoned_snapshots_overlap(bs, h->table_offset, size,
                                           index))) {
            error_setg(errp, "%s 0x%" PRIx64 ": the table of %" PRIu64
                       " bytes must not overlap another write-pointer table",
                       name, h->table_offset, size);
            ret = -EINVAL;
        }
    }
    if (ret < 0) {
        error_prepend(errp, "Snapshot '%s': ", sn->name);
        error_append_hint(errp, "\"qemu-img check -r all\" can repair it\n");
    }
    return ret;
}

int coroutine_fn qcow2_zoned_snapshots_open(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2ZonedHeader h;
    int i, ret;

    if (!s->zoned || !s->nb_snapshots) {
        return 0;
    }
    if (!(s->incompatible_features & QCOW2_INCOMPAT_ZONED_SNAPSHOTS)) {
        error_setg(errp, "A zoned image with %u snapshots must have "
                   "incompatible feature bit %d (zoned snapshots or backing "
                   "file) set", s->nb_snapshots,
                   QCOW2_INCOMPAT_ZONED_SNAPSHOTS_BITNR);
        return -EINVAL;
    }
    for (i = 0; i < s->nb_snapshots; i++) {
        ret = check_copy(bs, i, &h, false, errp);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

bool qcow2_zoned_snapshots_overlap(BlockDriverState *bs, uint64_t offset,
                                   uint64_t bytes, int but)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t zone_size = s->zoned_header->zone_size;
    int i;

    /* Before they are read there is a number of them, and no list. */
    for (i = 0; s->snapshots && i < s->nb_snapshots; i++) {
        const QCowSnapshot *sn = &s->snapshots[i];
        uint64_t copy = copy_offset(sn);

        if (copy && i != but &&
            ranges_overlap(offset, bytes, copy,
                           DIV_ROUND_UP(sn->disk_size, zone_size) *
                           QCOW2_ZONED_ENTRY_SIZE)) {
            return true;
        }
    }
    return false;
}

/* --- Create and delete --- */

int qcow2_zoned_snapshot_save(BlockDriverState *bs, QCowSnapshot *sn)
{
    Qcow2Zoned *z = zoned_state(bs);
    QEMU_AUTO_VFREE uint64_t *table = NULL;
    int64_t offset;
    uint32_t i;
    int ret;

    if (!z) {
        return 0;
    }
    ret = bdrv_flush(bs);
    if (ret >= 0) {
        ret = qcow2_zoned_behind(bs);
    }
    if (ret < 0) {
        return ret;
    }

    table = qemu_try_blockalign(bs->file->bs, qcow2_zoned_table_size(&z->hdr));
    if (!table) {
        return -ENOMEM;
    }
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        /* Clusters that were mapped ahead are no longer the disk's alone. */
        zone_rules_forget_ready(z->rules);
        for (i = 0; i < z->hdr.nr_zones; i++) {
            table[i] = qcow2_zoned_pointer(z->pointers, i);
            zoned_breathe(&z->lock, i);
        }
    }
    offset = zoned_write_new_table(bs, &z->hdr, table);
    if (offset < 0) {
        return offset;
    }
    qcow2_zoned_snapshot_set_copy(sn, offset);
    return 0;
}

int qcow2_zoned_snapshot_may_free(BlockDriverState *bs, int index,
                                  Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2ZonedHeader h;

    return is_zoned(s) ? check_copy(bs, index, &h, true, errp) : 0;
}

void qcow2_zoned_snapshot_free(BlockDriverState *bs, const QCowSnapshot *sn)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2ZonedHeader h;

    if (is_zoned(s) && copy_offset(sn) &&
        qcow2_zoned_snapshot_header(bs, sn, &h, NULL)) {
        qcow2_free_clusters(bs, h.table_offset,
                            ROUND_UP(qcow2_zoned_table_size(&h),
                                     s->cluster_size),
                            QCOW2_DISCARD_SNAPSHOT);
    }
}

/* --- Apply --- */

static void GRAPH_RDLOCK free_tables(BlockDriverState *bs, const ZonedSwitch *n)
{
    BDRVQcow2State *s = bs->opaque;

    if (n->hdr.table_offset) {
        qcow2_free_clusters(bs, n->hdr.table_offset,
                            ROUND_UP(qcow2_zoned_table_size(&n->hdr),
                                     s->cluster_size), QCOW2_DISCARD_NEVER);
    }
    if (n->l1_table_offset) {
        qcow2_free_clusters(bs, n->l1_table_offset, n->l1_size * L1E_SIZE,
                            QCOW2_DISCARD_NEVER);
    }
}

/* Write a copy of @sn's L1 table, for all of its disk; *@l1 is big endian. */
static int GRAPH_RDLOCK write_l1(BlockDriverState *bs, const QCowSnapshot *sn,
                                 ZonedSwitch *n, uint64_t **l1)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t l1_size = MAX(sn->l1_size, size_to_l1(s, sn->disk_size));
    size_t bytes = l1_size * L1E_SIZE;
    int64_t offset;
    uint32_t i;
    int ret;

    if (l1_size > QCOW_MAX_L1_SIZE / L1E_SIZE) {
        return -EFBIG;
    }
    *l1 = qemu_try_blockalign0(bs->file->bs, bytes);
    if (!*l1) {
        return -ENOMEM;
    }
    ret = bdrv_pread(bs->file, sn->l1_table_offset, sn->l1_size * L1E_SIZE,
                     *l1, 0);
    if (ret < 0) {
        return ret;
    }
    for (i = 0; i < l1_size; i++) {
        /* All that it refers to is the snapshot's, too. */
        (*l1)[i] &= cpu_to_be64(~QCOW_OFLAG_COPIED);
    }
    offset = qcow2_alloc_clusters(bs, bytes);
    if (offset < 0) {
        return offset;
    }
    n->l1_size = l1_size;
    n->l1_table_offset = offset;
    ret = qcow2_pre_write_overlap_check(bs, 0, offset, bytes, false);
    return ret < 0 ? ret : bdrv_pwrite(bs->file, offset, bytes, *l1, 0);
}

/*
 * Everything that can fail: *@n is on disk then, and *@z its state.  Last come
 * the refcounts, of which some stay raised if that fails.
 */
static int GRAPH_RDLOCK
prepare_goto(BlockDriverState *bs, int index, ZonedSwitch *n, Qcow2Zoned **z,
             uint64_t **l1, Error **errp)
{
    ERRP_GUARD();
    BDRVQcow2State *s = bs->opaque;
    const QCowSnapshot *sn = &s->snapshots[index];
    int64_t offset;
    int ret = check_copy(bs, index, &n->hdr, true, errp);

    if (ret < 0) {
        n->hdr.table_offset = 0;
        return ret;
    }
    n->disk_size = sn->disk_size;
    n->table = qcow2_zoned_load_table(bs, &n->hdr, n->disk_size, errp);
    n->hdr.table_offset = 0;
    if (!n->table) {
        error_prepend(errp, "Snapshot '%s': ", sn->name);
        return -EINVAL;
    }

    ret = write_l1(bs, sn, n, l1);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write an L1 table for snapshot "
                         "'%s'", sn->name);
        return ret;
    }
    offset = zoned_write_new_table(bs, &n->hdr, n->table);
    if (offset < 0) {
        error_setg_errno(errp, -offset, "Could not write a write-pointer table "
                         "for snapshot '%s'", sn->name);
        return offset;
    }
    n->hdr.table_offset = offset;
    *z = qcow2_zoned_new(bs, &n->hdr, n->disk_size, g_steal_pointer(&n->table),
                         errp);
    if (!*z) {
        return -ENOMEM;
    }
    (*z)->extent_size = s->zoned->extent_size;

    ret = qcow2_update_snapshot_refcount(bs, sn->l1_table_offset, sn->l1_size,
                                         1);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not raise the refcounts for "
                         "snapshot '%s'", sn->name);
    }
    return ret;
}

/* What refers to clusters of @l1_table_offset goes; what fails leaks them. */
static void GRAPH_RDLOCK drop_l1(BlockDriverState *bs, uint64_t l1_table_offset,
                                 uint32_t l1_size)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = qcow2_update_snapshot_refcount(bs, l1_table_offset, l1_size, -1);

    if (ret >= 0) {
        /* Some clusters may be the disk's alone again. */
        ret = qcow2_update_snapshot_refcount(bs, s->l1_table_offset,
                                             s->l1_size, 0);
    }
    if (ret < 0) {
        warn_report("Node '%s' has lost clusters, which \"qemu-img check -r "
                    "leaks\" finds: %s", bdrv_get_device_or_node_name(bs),
                    strerror(-ret));
    }
}

/* What is on disk is in force; *@n becomes what it was before. */
static void GRAPH_RDLOCK take_over(BlockDriverState *bs, ZonedSwitch *n,
                                   Qcow2Zoned *z, uint64_t *l1)
{
    BDRVQcow2State *s = bs->opaque;
    ZonedSwitch old = {
        .hdr = *s->zoned_header,
        .l1_size = s->l1_size,
        .l1_table_offset = s->l1_table_offset,
    };
    uint32_t i;

    for (i = 0; i < n->l1_size; i++) {
        be64_to_cpus(&l1[i]);
    }
    qemu_vfree(s->l1_table);
    s->l1_table = l1;
    s->l1_size = n->l1_size;
    s->l1_table_offset = n->l1_table_offset;
    s->l1_vm_state_index = size_to_l1(s, n->disk_size);

    *s->zoned_header = n->hdr;
    qcow2_zoned_free(s->zoned);
    s->zoned = z;
    bs->total_sectors = n->disk_size / BDRV_SECTOR_SIZE;
    bs->bl.nr_zones = n->hdr.nr_zones;
    zoned_tell_filters(bs);
    *n = old;
}

/*
 * The disk may get another size: NULL, with @errp, if that is not possible.
 * Otherwise who uses it hears of it by tell_size().
 */
static BlockBackend * GRAPH_RDLOCK may_resize(BlockDriverState *bs,
                                              Error **errp)
{
    if (qcow2_truncate_bitmaps_check(bs, errp)) {
        return NULL;
    }
    return blk_new_with_bs(bs, BLK_PERM_RESIZE, BLK_PERM_ALL, errp);
}

static void GRAPH_RDLOCK tell_size(BlockDriverState *bs, BlockBackend *blk)
{
    Error *local_err = NULL;

    /* It has that size already. */
    if (blk_truncate(blk, bs->total_sectors * BDRV_SECTOR_SIZE, false,
                     PREALLOC_MODE_OFF, 0, &local_err) < 0) {
        warn_reportf_err(local_err, "Node '%s' has another size, and not all "
                         "of its users may know: ",
                         bdrv_get_device_or_node_name(bs));
    }
}

int qcow2_zoned_snapshot_goto(BlockDriverState *bs, int index, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    const QCowSnapshot *sn = &s->snapshots[index];
    g_auto(ZonedSwitch) n = { .what = "state of the disk" };
    BlockBackend *blk = NULL;
    Qcow2Zoned *z = NULL;
    uint64_t *l1 = NULL;
    int ret;

    if (sn->disk_size != bs->total_sectors * BDRV_SECTOR_SIZE) {
        blk = may_resize(bs, errp);
        if (!blk) {
            return -ENOTSUP;
        }
    }
    ret = prepare_goto(bs, index, &n, &z, &l1, errp);
    if (ret >= 0) {
        ret = zoned_switch(bs, &n, errp);
        if (ret >= 0) {
            take_over(bs, &n, z, l1);
            drop_l1(bs, n.l1_table_offset, n.l1_size);
        } else if (bs->drv) {
            drop_l1(bs, sn->l1_table_offset, sn->l1_size);
        }
    }
    if (ret < 0) {
        qcow2_zoned_free(z);
        qemu_vfree(l1);
    }
    if (bs->drv) {
        /* What has become the old state, or never the new one */
        free_tables(bs, &n);
    }
    if (ret >= 0 && blk) {
        tell_size(bs, blk);
    }
    blk_unref(blk);
    return ret;
}

/* --- Read --- */

int qcow2_zoned_snapshot_load_tmp(BlockDriverState *bs, int index,
                                  Error **errp)
{
    ERRP_GUARD();
    BDRVQcow2State *s = bs->opaque;
    uint64_t disk_size = bs->total_sectors * BDRV_SECTOR_SIZE;
    const Qcow2ZonedHeader *now = s->zoned_header;
    QEMU_AUTO_VFREE uint64_t *copy = NULL;
    Qcow2ZonedHeader h;
    Qcow2Zoned *z;
    uint64_t *table;
    uint32_t i;
    int ret;

    if (!s->zoned) {
        return 0;
    }
    ret = check_copy(bs, index, &h, true, errp);
    if (ret < 0) {
        return ret;
    }
    copy = qcow2_zoned_load_table(bs, &h, s->snapshots[index].disk_size, errp);
    if (!copy) {
        error_prepend(errp, "Snapshot '%s': ", s->snapshots[index].name);
        return -EINVAL;
    }
    table = qemu_try_blockalign(bs->file->bs, qcow2_zoned_table_size(now));
    if (!table) {
        error_setg(errp, "Not enough memory for the write-pointer table of %"
                   PRIu64 " bytes", qcow2_zoned_table_size(now));
        return -ENOMEM;
    }
    for (i = 0; i < now->nr_zones; i++) {
        bool there = i < h.nr_zones && i >= now->nr_conventional;

        table[i] = MIN(there ? copy[i] : 0,
                       qcow2_zoned_limit_wp(now, disk_size, i, true));
        table[i] = MAX(table[i], qcow2_zoned_limit_wp(now, disk_size, i,
                                                      false));
    }
    z = qcow2_zoned_new(bs, now, disk_size, table, errp);
    if (!z) {
        return -ENOMEM;
    }
    z->extent_size = s->zoned->extent_size;
    qcow2_zoned_free(s->zoned);
    s->zoned = z;
    return 0;
}
