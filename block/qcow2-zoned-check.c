/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: qemu-img check
 *
 * Finds and repairs what is wrong with the write-pointer table.  A repair
 * never lowers a write pointer that may have data below it: data that nobody
 * wrote is a lesser evil than data that is gone.  A zone whose pointer cannot
 * be told from its entry becomes full if anything is allocated in it, so that
 * all of it can be read and nothing can be written over it before a reset, or
 * empty if not.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-format.h"
#include "block/qcow2-zoned-snapshot.h"
#include "qcow2.h"

/* Not valid for any zone: its value lies beyond every disk. */
#define ENTRY_UNREADABLE    UINT64_MAX

static bool is_zoned(BDRVQcow2State *s)
{
    return s->zoned_header && s->zoned_header->zoned;
}

/*
 * If the cluster at @offset lies behind the end of the image file and is in
 * use, as far as refcounts are there to tell: raise *@end to its end.
 */
static void coroutine_fn GRAPH_RDLOCK
note_cut_off(BlockDriverState *bs, uint64_t offset, uint64_t file_size,
             uint64_t *end)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t i = offset >> (s->refcount_block_bits + s->cluster_bits);
    uint64_t block, refcount;

    if (offset < file_size || offset_into_cluster(s, offset) ||
        i >= s->refcount_table_size) {
        return;
    }
    block = s->refcount_table[i] & REFT_OFFSET_MASK;
    if (!block || offset_into_cluster(s, block) ||
        block > INT64_MAX - s->cluster_size) {
        return;
    }
    /* A refcount block that was cut off, too, will be counted anew. */
    if (block < file_size &&
        (qcow2_get_refcount(bs, offset >> s->cluster_bits, &refcount) < 0 ||
         !refcount)) {
        /* What points there is bad, not the size of the file. */
        return;
    }
    *end = MAX(*end, offset + s->cluster_size);
}

/*
 * Make a file that was cut off at its end as long again as it must be for what
 * is in use.  What is gone reads as zeros then, as it does without that; but a
 * reference to a place outside of the file is an error that nothing else
 * repairs, and the table is repaired after all other errors.
 */
static void coroutine_fn GRAPH_RDLOCK
repair_file_size(BlockDriverState *bs, BdrvCheckResult *res,
                 uint64_t file_size)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree uint64_t *l2_table = g_malloc(s->cluster_size);
    Error *local_err = NULL;
    uint64_t end = 0;
    int ret;

    for (uint64_t i = 0; i < s->l1_size * L1E_SIZE; i += s->cluster_size) {
        note_cut_off(bs, s->l1_table_offset + i, file_size, &end);
    }
    for (uint64_t i = 0; i < qcow2_zoned_table_size(s->zoned_header);
         i += s->cluster_size) {
        note_cut_off(bs, s->zoned_header->table_offset + i, file_size, &end);
    }
    for (int i = 0; i < s->l1_size; i++) {
        uint64_t offset = s->l1_table[i] & L1E_OFFSET_MASK;

        if (!offset || offset_into_cluster(s, offset)) {
            continue;
        }
        note_cut_off(bs, offset, file_size, &end);
        if (offset >= file_size) {
            continue;
        }
        ret = bdrv_co_pread(bs->file, offset, s->cluster_size, l2_table, 0);
        if (ret < 0) {
            /* Whoever counts the references says so. */
            continue;
        }
        for (int k = 0; k < s->l2_size; k++) {
            uint64_t entry = get_l2_entry(s, l2_table, k);
            QCow2ClusterType type = qcow2_get_cluster_type(bs, entry);

            if (type == QCOW2_CLUSTER_NORMAL ||
                type == QCOW2_CLUSTER_ZERO_ALLOC) {
                note_cut_off(bs, entry & L2E_OFFSET_MASK, file_size, &end);
            }
        }
    }
    if (!end) {
        return;
    }

    ret = bdrv_co_truncate(bs->file, end, false, PREALLOC_MODE_OFF, 0,
                           &local_err);
    if (ret < 0) {
        /* It stays as it is, and so do the errors. */
        error_reportf_err(local_err, "ERROR could not make the image file "
                          "longer: ");
        return;
    }
    fprintf(stderr, "Repairing image file: it was cut off at 0x%" PRIx64 " and "
            "is used up to 0x%" PRIx64 "; what is gone reads as zeros\n",
            file_size, end);
    res->corruptions_fixed++;
}

int coroutine_fn qcow2_zoned_check_read(BlockDriverState *bs,
                                        BdrvCheckResult *res,
                                        BdrvCheckMode fix, uint64_t **table)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree uint64_t *entries = NULL;
    uint64_t offset, size;
    int64_t file_size;
    int ret;

    *table = NULL;
    if (!is_zoned(s)) {
        return 0;
    }
    offset = s->zoned_header->table_offset;
    size = qcow2_zoned_table_size(s->zoned_header);

    file_size = bdrv_co_getlength(bs->file->bs);
    if (file_size < 0) {
        res->check_errors++;
        return file_size;
    }
    entries = g_try_malloc(size);
    if (!entries) {
        res->check_errors++;
        return -ENOMEM;
    }
    memset(entries, 0xff, size);

    if (offset < file_size) {
        size = MIN(size, file_size - offset);
        size = ROUND_DOWN(size, QCOW2_ZONED_ENTRY_SIZE);
        BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_LOAD);
        ret = bdrv_co_pread(bs->file, offset, size, entries, 0);
        if (ret < 0) {
            fprintf(stderr, "ERROR could not read the write-pointer table: "
                    "%s\n", strerror(-ret));
            res->check_errors++;
            return ret;
        }
    }
    *table = g_steal_pointer(&entries);
    if (fix & BDRV_FIX_ERRORS) {
        repair_file_size(bs, res, file_size);
    }
    return 0;
}

/*
 * A snapshot's copy of the table counts only where nothing else does: any other
 * is lost, and not where the entry says.
 */
static int coroutine_fn GRAPH_RDLOCK
count_copy(BlockDriverState *bs, BdrvCheckResult *res, QCowSnapshot *sn,
           void **refcount_table, int64_t *refcount_table_size)
{
    BDRVQcow2State *s = bs->opaque;
    Error *local_err = NULL;
    Qcow2ZonedHeader h;
    uint64_t size, i;
    int ret;

    if (!qcow2_zoned_snapshot_header(bs, sn, &h, NULL) || !h.table_offset) {
        return 0;
    }
    size = qcow2_zoned_table_size(&h);
    ret = qcow2_zoned_check_range(bs, "table copy at", h.table_offset, size,
                                  &local_err);
    for (i = 0; ret >= 0 && i < size; i += s->cluster_size) {
        uint64_t cluster = (h.table_offset + i) / s->cluster_size;

        if (cluster < *refcount_table_size &&
            s->get_refcount(*refcount_table, cluster)) {
            error_setg(&local_err, "table copy at 0x%" PRIx64 ": the table of "
                       "%" PRIu64 " bytes must not overlap anything, but a "
                       "cluster of it is also used by something else",
                       h.table_offset, size);
            ret = -EINVAL;
        }
    }
    if (ret < 0) {
        fprintf(stderr, "ERROR Snapshot '%s': %s\n", sn->name,
                error_get_pretty(local_err));
        error_free(local_err);
        qcow2_zoned_snapshot_set_copy(sn, 0);
        return 0;
    }
    return qcow2_inc_refcounts_imrt(bs, res, refcount_table,
                                    refcount_table_size, h.table_offset, size);
}

int coroutine_fn qcow2_zoned_check_refcounts(BlockDriverState *bs,
                                             BdrvCheckResult *res,
                                             void **refcount_table,
                                             int64_t *refcount_table_size)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t offset, first, end, i;
    int ret;

    if (!is_zoned(s)) {
        return 0;
    }
    offset = s->zoned_header->table_offset;
    first = MIN(offset / s->cluster_size, *refcount_table_size);
    end = MIN(*refcount_table_size,
              DIV_ROUND_UP(offset % s->cluster_size +
                           qcow2_zoned_table_size(s->zoned_header),
                           s->cluster_size) + first);

    /*
     * Two owners of a cluster are not made right by a refcount of 2: the table
     * has to move, and does not count where it is the second.  Where it is the
     * only one it does, or a repair of leaks would give it away before it can
     * be moved.
     */
    g_free(s->zoned_table_only);
    s->zoned_table_only = bitmap_new(end - first);
    for (i = first; i < end; i++) {
        if (s->get_refcount(*refcount_table, i)) {
            s->zoned_table_misplaced = true;
            s->zoned_table_shared = true;
            continue;
        }
        ret = qcow2_inc_refcounts_imrt(bs, res, refcount_table,
                                       refcount_table_size,
                                       i * s->cluster_size, 1);
        if (ret < 0) {
            return ret;
        }
        set_bit(i - first, s->zoned_table_only);
    }
    s->zoned_table_clusters = end - first;

    for (int k = 0; k < s->nb_snapshots; k++) {
        ret = count_copy(bs, res, &s->snapshots[k], refcount_table,
                         refcount_table_size);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* Is there anything in zone @i that can be read?  If unsure, yes. */
static bool coroutine_fn GRAPH_RDLOCK
zone_has_data(BlockDriverState *bs, uint32_t i)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t disk_size = bs->total_sectors * BDRV_SECTOR_SIZE;
    uint64_t offset = qcow2_zoned_limit_wp(s->zoned_header, disk_size, i,
                                           false);
    uint64_t end = qcow2_zoned_limit_wp(s->zoned_header, disk_size, i, true);

    if (s->image_backing_file) {
        /* What is there shows, too, and ends at its own pointer. */
        return true;
    }
    while (offset < end) {
        unsigned int bytes = MIN(end - offset, BDRV_REQUEST_MAX_BYTES);
        QCow2SubclusterType type;
        uint64_t host_offset;

        if (qcow2_get_host_offset(bs, offset, &bytes, &host_offset,
                                  &type) < 0 || bytes == 0 ||
            type == QCOW2_SUBCLUSTER_NORMAL ||
            type == QCOW2_SUBCLUSTER_COMPRESSED) {
            return true;
        }
        offset += bytes;
    }
    return false;
}

/* Put a right value into @table for the bad entry of zone @i. */
static void coroutine_fn GRAPH_RDLOCK
repair_entry(BlockDriverState *bs, uint32_t i, uint64_t *table, bool trusted)
{
    BDRVQcow2State *s = bs->opaque;
    const Qcow2ZonedHeader *h = s->zoned_header;
    uint64_t disk_size = bs->total_sectors * BDRV_SECTOR_SIZE;
    const char *why = "";
    uint64_t wp;

    if (!trusted ||
        !qcow2_zoned_entry_salvage(h, disk_size, i, table[i], &wp)) {
        bool full = zone_has_data(bs, i);

        wp = qcow2_zoned_limit_wp(h, disk_size, i, full);
        why = full ? " (full, data is allocated in it)" :
            " (empty, no data is allocated in it)";
    }
    if (table[i] != qcow2_zoned_entry_encode(h, i, wp)) {
        table[i] = qcow2_zoned_entry_encode(h, i, wp);
        fprintf(stderr, "Repairing zone %" PRIu32 ": its write pointer becomes "
                "0x%" PRIx64 "%s\n", i, wp, why);
    }
}

/* Are there lost entries in the sector of the table with that of zone 0? */
static bool lost_around_zone_0(const Qcow2ZonedHeader *h, const uint64_t *table)
{
    uint32_t nr = MIN(h->nr_zones, BDRV_SECTOR_SIZE / QCOW2_ZONED_ENTRY_SIZE);

    for (uint32_t i = 1; i < nr; i++) {
        if (table[i] == 0 || table[i] == ENTRY_UNREADABLE) {
            return true;
        }
    }
    return false;
}

/* If the entry of zone @i is valid: is it that of its write pointer, too? */
static bool is_trusted(BDRVQcow2State *s, const uint64_t *table, uint32_t i)
{
    if (i < s->zoned_header->nr_conventional) {
        return true;
    }
    /*
     * What shares its place may have written there, and its values may be
     * valid: offsets in the image file are write pointers of the first zones.
     */
    if (s->zoned_table_shared) {
        return false;
    }
    /* Valid for zone 0 alone, and what is read where the table is lost */
    return table[i] != 0 || !(s->zoned_table_misplaced ||
                              lost_around_zone_0(s->zoned_header, table));
}

/* Write @table to @offset of the image file, durably. */
static int coroutine_fn GRAPH_RDLOCK
write_table(BlockDriverState *bs, uint64_t offset, const uint64_t *table)
{
    BDRVQcow2State *s = bs->opaque;
    int ret;

    BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_WRITE);
    ret = bdrv_co_pwrite(bs->file, offset,
                         qcow2_zoned_table_size(s->zoned_header), table, 0);
    if (ret < 0) {
        return ret;
    }
    BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_FLUSH);
    return bdrv_co_flush(bs->file->bs);
}

/* Write @table to new clusters, and give up the old ones. */
static int coroutine_fn GRAPH_RDLOCK
move_table(BlockDriverState *bs, const uint64_t *table)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t old = s->zoned_header->table_offset;
    uint64_t size = qcow2_zoned_table_size(s->zoned_header);
    int64_t offset;
    size_t i;
    int ret;

    offset = qcow2_alloc_clusters(bs, size);
    if (offset < 0) {
        return offset;
    }
    ret = qcow2_pre_write_overlap_check(bs, 0, offset, size, false);
    if (ret >= 0) {
        ret = qcow2_flush_caches(bs);
    }
    if (ret >= 0) {
        ret = write_table(bs, offset, table);
    }
    if (ret < 0) {
        /* The header does not point there, and never did. */
        qcow2_free_clusters(bs, offset, size, QCOW2_DISCARD_NEVER);
        return ret;
    }

    s->zoned_header->table_offset = offset;
    s->zoned_table_misplaced = false;
    s->zoned_table_shared = false;
    ret = qcow2_update_header(bs);
    if (ret >= 0) {
        ret = bdrv_co_flush(bs->file->bs);
    }
    if (ret < 0) {
        return ret;
    }
    fprintf(stderr, "Repairing write-pointer table: moved from 0x%" PRIx64
            " to 0x%" PRIx64 "\n", old, offset);

    for (i = 0; i < s->zoned_table_clusters; i++) {
        if (test_bit(i, s->zoned_table_only)) {
            qcow2_free_clusters(bs, (old / s->cluster_size + i) *
                                s->cluster_size, s->cluster_size,
                                QCOW2_DISCARD_OTHER);
        }
    }
    return 0;
}

/*
 * Check the table @entries that s->zoned_header is about; with @repair put
 * right values in place of bad ones.  Returns how many there were; errors begin
 * with @prefix.
 */
static int coroutine_fn GRAPH_RDLOCK
check_entries(BlockDriverState *bs, const char *prefix, bool repair,
              uint64_t *entries)
{
    BDRVQcow2State *s = bs->opaque;
    const Qcow2ZonedHeader *h = s->zoned_header;
    uint64_t disk_size = bs->total_sectors * BDRV_SECTOR_SIZE;
    int found = 0;
    uint32_t i;

    for (i = 0; i < h->nr_zones; i++) {
        Error *local_err = NULL;
        bool trusted = is_trusted(s, entries, i);
        uint64_t wp;

        if (qcow2_zoned_entry_decode(h, disk_size, i, entries[i], &wp,
                                     &local_err)) {
            if (trusted) {
                continue;
            }
            if (!s->zoned_table_misplaced) {
                found++;
                fprintf(stderr, "ERROR %sZone %" PRIu32 ": its table entry may "
                        "be lost, as others near it are\n", prefix, i);
            }
        } else {
            found++;
            fprintf(stderr, "ERROR %s%s%s\n", prefix,
                    error_get_pretty(local_err),
                    entries[i] == ENTRY_UNREADABLE ?
                    " (no entry in the image file?)" : "");
            error_free(local_err);
        }
        if (repair) {
            repair_entry(bs, i, entries, trusted);
        }
    }
    return found;
}

static int coroutine_fn GRAPH_RDLOCK
check_table(BlockDriverState *bs, BdrvCheckResult *res, BdrvCheckMode fix,
            uint64_t *table)
{
    BDRVQcow2State *s = bs->opaque;
    const Qcow2ZonedHeader *h = s->zoned_header;
    bool repair = (fix & BDRV_FIX_ERRORS) && !res->corruptions &&
                  !res->check_errors && !s->zoned;
    int found = 0;
    int ret;

    if (s->zoned_table_misplaced) {
        Error *local_err = NULL;

        if (qcow2_zoned_check_own_place(bs, &local_err) == 0) {
            error_setg(&local_err, "zonedmeta_offset 0x%" PRIx64 ": the table "
                       "of %" PRIu64 " bytes must %s", h->table_offset,
                       qcow2_zoned_table_size(h), s->zoned_table_shared ?
                       "not overlap anything, but a cluster of it is also used "
                       "by something else" :
                       "lie in the image file, which was cut off");
        }
        fprintf(stderr, "ERROR %s\n", error_get_pretty(local_err));
        error_free(local_err);
        found++;
    }

    found += check_entries(bs, "", repair, table);

    if (!found) {
        return 0;
    }
    res->corruptions += found;
    if (!(fix & BDRV_FIX_ERRORS)) {
        return 0;
    }
    if (s->zoned) {
        /* Its table is in memory, too; this is no time to change it. */
        fprintf(stderr, "ERROR cannot repair the write-pointer table of an "
                "image in use\n");
        res->check_errors++;
        return 0;
    }
    if (!repair) {
        /*
         * To allocate clusters, or to look for data, in an image with broken
         * metadata makes it worse.
         */
        fprintf(stderr, "ERROR cannot repair the write-pointer table before "
                "all other errors are repaired\n");
        return 0;
    }

    ret = s->zoned_table_misplaced ? move_table(bs, table) :
        write_table(bs, h->table_offset, table);
    if (ret < 0) {
        fprintf(stderr, "ERROR could not write the write-pointer table: %s\n",
                strerror(-ret));
        res->check_errors++;
        return ret;
    }
    res->corruptions -= found;
    res->corruptions_fixed += found;
    return 0;
}

/* What the functions above take for the disk */
typedef struct View {
    Qcow2ZonedHeader hdr;
    int64_t total_sectors;
    uint64_t *l1_table;         /* g_free */
    int l1_size;
    bool misplaced;
    bool shared;
} View;

#define SWAP(a, b) \
    do { typeof(a) tmp_ = (a); (a) = (b); (b) = tmp_; } while (0)

static void swap_view(BlockDriverState *bs, View *v)
{
    BDRVQcow2State *s = bs->opaque;

    SWAP(*s->zoned_header, v->hdr);
    SWAP(bs->total_sectors, v->total_sectors);
    SWAP(s->l1_table, v->l1_table);
    SWAP(s->l1_size, v->l1_size);
    SWAP(s->zoned_table_misplaced, v->misplaced);
    SWAP(s->zoned_table_shared, v->shared);
}

/* Read the L1 table of @sn, by which lost entries are made. */
static int coroutine_fn GRAPH_RDLOCK
read_l1(BlockDriverState *bs, const QCowSnapshot *sn, View *v)
{
    int ret = qcow2_validate_table(bs, sn->l1_table_offset, sn->l1_size,
                                   L1E_SIZE, QCOW_MAX_L1_SIZE,
                                   "Snapshot L1 table", NULL);

    if (ret < 0) {
        return ret;
    }
    v->l1_size = sn->l1_size;
    v->l1_table = g_try_malloc0(v->l1_size * L1E_SIZE);
    if (v->l1_size && !v->l1_table) {
        return -ENOMEM;
    }
    ret = bdrv_co_pread(bs->file, sn->l1_table_offset, v->l1_size * L1E_SIZE,
                        v->l1_table, 0);
    for (int i = 0; i < v->l1_size; i++) {
        be64_to_cpus(&v->l1_table[i]);
    }
    return ret;
}

/*
 * Check the copy of @sn, and with @repair write it, to new clusters if it has
 * none.  Returns the number of errors, or a negative errno if they cannot be
 * told or repaired.
 */
static int coroutine_fn GRAPH_RDLOCK
check_copy(BlockDriverState *bs, QCowSnapshot *sn, bool repair, bool *moved)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree char *prefix = g_strdup_printf("Snapshot '%s': ", sn->name);
    g_autofree uint64_t *entries = NULL;
    View v = { .total_sectors = sn->disk_size / BDRV_SECTOR_SIZE };
    uint64_t size;
    bool lost;
    int found, ret;

    if (!qcow2_zoned_snapshot_header(bs, sn, &v.hdr, NULL)) {
        return -EINVAL;
    }
    lost = !v.hdr.table_offset;
    size = ROUND_UP(qcow2_zoned_table_size(&v.hdr), s->cluster_size);
    entries = g_try_malloc0(size);
    if (!entries) {
        return -ENOMEM;
    }
    if (lost) {
        memset(entries, 0xff, qcow2_zoned_table_size(&v.hdr));
    } else {
        BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_LOAD);
        ret = bdrv_co_pread(bs->file, v.hdr.table_offset,
                            qcow2_zoned_table_size(&v.hdr), entries, 0);
        if (ret < 0) {
            return ret;
        }
    }

    ret = read_l1(bs, sn, &v);
    if (ret >= 0) {
        swap_view(bs, &v);
        found = check_entries(bs, prefix, repair, entries);
        swap_view(bs, &v);
    }
    g_free(v.l1_table);
    if (ret < 0) {
        return ret;
    }

    if (repair && lost) {
        int64_t offset = qcow2_alloc_clusters(bs, size);

        if (offset < 0) {
            return offset;
        }
        ret = qcow2_pre_write_overlap_check(bs, 0, offset, size, false);
        if (ret < 0) {
            return ret;
        }
        qcow2_zoned_snapshot_set_copy(sn, offset);
        *moved = true;
    }
    if (repair && found) {
        /* Now with its place */
        qcow2_zoned_snapshot_header(bs, sn, &v.hdr, NULL);
        BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_WRITE);
        ret = bdrv_co_pwrite(bs->file, v.hdr.table_offset, size, entries, 0);
    }
    return ret < 0 ? ret : found;
}

/*
 * The copies of all snapshots, and that they have their feature bit.  Returns 0
 * or a negative errno.
 */
static int coroutine_fn GRAPH_RDLOCK
check_copies(BlockDriverState *bs, BdrvCheckResult *res, BdrvCheckMode fix)
{
    BDRVQcow2State *s = bs->opaque;
    bool repair = (fix & BDRV_FIX_ERRORS) && !res->corruptions &&
                  !res->check_errors && !s->zoned;
    bool rewrite = false;
    int found = 0;
    int ret = 0;

    if (qcow2_zoned_features(bs) & ~s->incompatible_features) {
        fprintf(stderr, "ERROR A zoned image with snapshots or a backing file "
                "must have incompatible feature bit %d set\n",
                QCOW2_INCOMPAT_ZONED_SNAPSHOTS_BITNR);
        found++;
        rewrite = true;
    }
    for (int i = 0; i < s->nb_snapshots; i++) {
        QCowSnapshot *sn = &s->snapshots[i];
        Error *local_err = NULL;
        Qcow2ZonedHeader h;

        if (!qcow2_zoned_snapshot_header(bs, sn, &h, &local_err)) {
            /* There is no right size to be found. */
            fprintf(stderr, "ERROR %s\n", error_get_pretty(local_err));
            error_free(local_err);
            res->corruptions++;
            continue;
        }
        ret = check_copy(bs, sn, repair, &rewrite);
        if (ret < 0) {
            fprintf(stderr, "ERROR Snapshot '%s': could not %s its "
                    "write-pointer table: %s\n", sn->name,
                    repair ? "repair" : "check", strerror(-ret));
            res->check_errors++;
            return ret;
        }
        found += ret;
    }
    res->corruptions += found;
    if (!found || !(fix & BDRV_FIX_ERRORS)) {
        return 0;
    }
    if (!repair) {
        fprintf(stderr, "ERROR cannot repair the write-pointer tables of "
                "snapshots before all other errors are repaired\n");
        return 0;
    }

    if (rewrite) {
        qemu_co_mutex_unlock(&s->lock);
        ret = qcow2_write_snapshots(bs);
        qemu_co_mutex_lock(&s->lock);
    } else {
        ret = bdrv_co_flush(bs->file->bs);
    }
    if (ret < 0) {
        fprintf(stderr, "ERROR could not write the snapshot table: %s\n",
                strerror(-ret));
        res->check_errors++;
        return ret;
    }
    fprintf(stderr, "Repaired the write-pointer tables of snapshots\n");
    res->corruptions -= found;
    res->corruptions_fixed += found;
    return 0;
}

int coroutine_fn qcow2_zoned_check_table(BlockDriverState *bs,
                                         BdrvCheckResult *res,
                                         BdrvCheckMode fix, uint64_t *table)
{
    const char *what;
    int ret;

    if (!table) {
        return 0;
    }
    ret = check_table(bs, res, fix, table);
    if (ret >= 0) {
        ret = check_copies(bs, res, fix);
    }

    /* Not for us to take away, and the table can be right all the same */
    what = qcow2_zoned_unsupported(bs);
    if (what) {
        fprintf(stderr, "ERROR A zoned image cannot have %s: this one cannot "
                "be opened\n", what);
        res->corruptions++;
    }
    return ret;
}
