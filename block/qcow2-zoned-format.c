/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: the format in the image file
 *
 * An image may come from anywhere: nothing that it holds is used before it has
 * been checked, and no memory is allocated for a table that the file does not
 * have.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/host-utils.h"
#include "qemu/memalign.h"
#include "qemu/range.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qstring.h"
#include "block/block-io.h"
#include "block/qcow2-zoned.h"
#include "block/qcow2-zoned-format.h"
#include "block/qcow2-zoned-snapshot.h"
#include "qcow2.h"

int coroutine_fn qcow2_zoned_read_ext(BlockDriverState *bs, uint64_t offset,
                                      uint32_t len, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    uint8_t buf[QCOW2_ZONED_EXT_SIZE];
    Qcow2ZonedHeader h;
    int ret;

    if (s->zoned_header) {
        error_setg(errp, "Zoned header extension: found twice, must be there "
                   "once");
        return -EINVAL;
    }
    if (len == sizeof(buf)) {
        ret = bdrv_co_pread(bs->file, offset, len, buf, 0);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Zoned header extension: could not "
                             "read it");
            return ret;
        }
    }
    if (!qcow2_zoned_ext_decode(buf, len, &h, errp)) {
        return -EINVAL;
    }
    s->zoned_header = g_memdup2(&h, sizeof(h));
    return 0;
}

static bool has_backing_option(const QDict *options)
{
    const QDictEntry *e;

    for (e = qdict_first(options); e; e = qdict_next(options, e)) {
        const char *key = qdict_entry_key(e);
        const QString *node = qobject_to(QString, qdict_entry_value(e));

        if (strstart(key, "backing.", NULL) ||
            (!strcmp(key, "backing") && node && *qstring_get_str(node))) {
            return true;
        }
    }
    return false;
}

uint64_t qcow2_zoned_features(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t bit = QCOW2_INCOMPAT_ZONED_SNAPSHOTS;

    return s->zoned_header && (s->nb_snapshots || s->image_backing_file) ?
           s->incompatible_features | bit : s->incompatible_features & ~bit;
}

const char *qcow2_zoned_unsupported(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    if (s->incompatible_features & QCOW2_INCOMPAT_DATA_FILE) {
        return "an external data file";
    } else if (s->compatible_features & QCOW2_COMPAT_LAZY_REFCOUNTS) {
        return "lazy refcounts";
    }
    return NULL;
}

/* The same of what is opened, and of the options that it is opened with */
static bool check_unsupported(BlockDriverState *bs, const QCowHeader *header,
                              const QDict *options, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    const char *what = qcow2_zoned_unsupported(bs);

    if (!what && !header->backing_file_offset && has_backing_option(options)) {
        /* What it zeroed, and did not allocate, would show that. */
        what = "a backing file (option 'backing') that its header does not "
               "name";
    } else if (!what && s->use_lazy_refcounts) {
        what = "lazy refcounts (option 'lazy-refcounts')";
    }
    if (what) {
        error_setg(errp, "A zoned image cannot have %s", what);
        return false;
    }
    return true;
}

/* What the metadata that a table must not lie upon is called in errors */
static const char *const overlapped_names[] = {
    [QCOW2_OL_MAIN_HEADER_BITNR]        = "the image header",
    [QCOW2_OL_ACTIVE_L1_BITNR]          = "the active L1 table",
    [QCOW2_OL_ACTIVE_L2_BITNR]          = "an L2 table",
    [QCOW2_OL_REFCOUNT_TABLE_BITNR]     = "the refcount table",
    [QCOW2_OL_REFCOUNT_BLOCK_BITNR]     = "a refcount block",
    [QCOW2_OL_SNAPSHOT_TABLE_BITNR]     = "the snapshot table",
    [QCOW2_OL_INACTIVE_L1_BITNR]        = "the L1 table of a snapshot",
    [QCOW2_OL_INACTIVE_L2_BITNR]        = "an L2 table of a snapshot",
    [QCOW2_OL_BITMAP_DIRECTORY_BITNR]   = "the bitmap directory",
};

int coroutine_mixed_fn
qcow2_zoned_check_range(BlockDriverState *bs, const char *name,
                        uint64_t offset, uint64_t size, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t file_size;

    if (offset % s->cluster_size) {
        error_setg(errp, "%s 0x%" PRIx64 " must be a multiple of the cluster "
                   "size %d", name, offset, s->cluster_size);
        return -EINVAL;
    }

    file_size = bdrv_getlength(bs->file->bs);
    if (file_size < 0) {
        error_setg_errno(errp, -file_size, "Could not get the size of the "
                         "image file");
        return file_size;
    }
    if (offset > file_size || size > file_size - offset) {
        error_setg(errp, "%s 0x%" PRIx64 ": the table of %" PRIu64 " bytes "
                   "must lie in the image file, which has %" PRId64 " bytes",
                   name, offset, size, file_size);
        return -EINVAL;
    }
    return 0;
}

int coroutine_mixed_fn
qcow2_zoned_check_place(BlockDriverState *bs, const char *name,
                        uint64_t offset, uint64_t size, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int overlap_check = s->overlap_check;
    int ret = qcow2_zoned_check_range(bs, name, offset, size, errp);

    if (ret < 0) {
        return ret;
    }

    /*
     * The same test as before each write of metadata, but here it does not
     * depend on what the user has it look at, and never reads from the file.
     */
    s->overlap_check = QCOW2_OL_CACHED & ~QCOW2_OL_ZONE_TABLE;
    ret = qcow2_check_metadata_overlap(bs, 0, offset, size);
    s->overlap_check = overlap_check;
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not check the place of the "
                         "write-pointer table");
        return ret;
    }
    if (ret > 0) {
        error_setg(errp, "%s 0x%" PRIx64 ": the table of %" PRIu64 " bytes "
                   "must not overlap %s", name, offset, size,
                   overlapped_names[ctz32(ret)]);
        return -EINVAL;
    }
    if (s->crypto_header.length &&
        ranges_overlap(offset, ROUND_UP(size, s->cluster_size),
                       s->crypto_header.offset, s->crypto_header.length)) {
        error_setg(errp, "%s 0x%" PRIx64 ": the table of %" PRIu64 " bytes "
                   "must not overlap the encryption header", name, offset,
                   size);
        return -EINVAL;
    }
    return 0;
}

int coroutine_mixed_fn
qcow2_zoned_check_own_place(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;

    return qcow2_zoned_check_place(bs, "zonedmeta_offset",
                                   s->zoned_header->table_offset,
                                   qcow2_zoned_table_size(s->zoned_header),
                                   errp);
}

uint64_t * coroutine_mixed_fn
qcow2_zoned_load_table(BlockDriverState *bs, const Qcow2ZonedHeader *h,
                       uint64_t disk_size, Error **errp)
{
    uint64_t size = qcow2_zoned_table_size(h);
    QEMU_AUTO_VFREE uint64_t *table = qemu_try_blockalign(bs->file->bs, size);
    uint32_t i;
    int ret;

    if (!table) {
        error_setg(errp, "Not enough memory for the write-pointer table of %"
                   PRIu64 " bytes", size);
        return NULL;
    }
    BLKDBG_EVENT(bs->file, BLKDBG_ZONE_TABLE_LOAD);
    ret = bdrv_pread(bs->file, h->table_offset, size, table, 0);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the write-pointer table "
                         "at offset 0x%" PRIx64, h->table_offset);
        return NULL;
    }
    for (i = 0; i < h->nr_zones; i++) {
        if (!qcow2_zoned_entry_decode(h, disk_size, i, table[i], &table[i],
                                      errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&table);
}

static int coroutine_fn GRAPH_RDLOCK refresh_length(BlockDriverState *bs)
{
    BlockDriverState *below = bdrv_primary_bs(bs);
    int ret = below ? refresh_length(below) : 0;

    return ret < 0 ? ret : bdrv_co_refresh_total_sectors(bs,
                                                         bs->total_sectors);
}

/*
 * Somebody else may be writing the image that we open to read (force-share).
 * The length of the file and what maps the data were read before the pointers,
 * and must not be older: data below a pointer would read as zeros.
 */
static int coroutine_fn GRAPH_RDLOCK
read_l1_again(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = refresh_length(bs->file->bs);

    if (ret >= 0) {
        ret = bdrv_co_pread(bs->file, s->l1_table_offset,
                            s->l1_size * L1E_SIZE, s->l1_table, 0);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read L1 table");
        return ret;
    }
    for (int i = 0; i < s->l1_size; i++) {
        s->l1_table[i] = be64_to_cpu(s->l1_table[i]);
    }
    return 0;
}

int coroutine_fn qcow2_zoned_open(BlockDriverState *bs,
                                  const QCowHeader *header,
                                  const QDict *options, int flags,
                                  Error **errp)
{
    ERRP_GUARD();
    BDRVQcow2State *s = bs->opaque;
    Qcow2ZonedHeader *h = s->zoned_header;
    uint64_t *table;
    int ret;

    if ((s->incompatible_features & QCOW2_INCOMPAT_ZONED_SNAPSHOTS) &&
        !(s->incompatible_features & QCOW2_INCOMPAT_ZONED)) {
        error_setg(errp, "Incompatible feature bit %d (zoned snapshots or "
                   "backing file) is set, but bit %d (zoned format) is not",
                   QCOW2_INCOMPAT_ZONED_SNAPSHOTS_BITNR,
                   QCOW2_INCOMPAT_ZONED_BITNR);
        return -EINVAL;
    }
    if (s->incompatible_features & QCOW2_INCOMPAT_ZONED) {
        if (!h) {
            error_setg(errp, "Incompatible feature bit %d (zoned format) is "
                       "set, but the zoned header extension is missing",
                       QCOW2_INCOMPAT_ZONED_BITNR);
            return -EINVAL;
        }
    } else if (h) {
        error_setg(errp, "Zoned header extension found, but incompatible "
                   "feature bit %d (zoned format) is not set (qcow2 version "
                   "%d)", QCOW2_INCOMPAT_ZONED_BITNR, s->qcow_version);
        return -EINVAL;
    }
    if (!h || !h->zoned) {
        return 0;
    }

    if (!qcow2_zoned_header_check(h, bs->total_sectors * BDRV_SECTOR_SIZE,
                                  s->cluster_size, errp)) {
        error_prepend(errp, "Zoned header extension: ");
        return -EINVAL;
    }

    if (flags & BDRV_O_CHECK) {
        /*
         * qemu-img check wants to see and repair images that are refused
         * below.  A table in a wrong place must not keep it from repairing
         * what rightly lies there.
         */
        s->zoned_table_misplaced = qcow2_zoned_check_own_place(bs, NULL) < 0;
        return 0;
    }

    if (!check_unsupported(bs, header, options, errp)) {
        return -ENOTSUP;
    }
    ret = qcow2_zoned_check_own_place(bs, errp);
    if (ret < 0) {
        error_prepend(errp, "Zoned header extension: ");
        return ret;
    }
    if (header->backing_file_offset &&
        !(s->incompatible_features & QCOW2_INCOMPAT_ZONED_SNAPSHOTS)) {
        error_setg(errp, "A zoned image with a backing file must have "
                   "incompatible feature bit %d (zoned snapshots or backing "
                   "file) set", QCOW2_INCOMPAT_ZONED_SNAPSHOTS_BITNR);
        return -EINVAL;
    }
    table = qcow2_zoned_load_table(bs, h, bs->total_sectors *
                                   BDRV_SECTOR_SIZE, errp);
    if (!table) {
        error_prepend(errp, "Write-pointer table: ");
        return -EINVAL;
    }
    if (!(flags & BDRV_O_RDWR)) {
        ret = read_l1_again(bs, errp);
        if (ret < 0) {
            qemu_vfree(table);
            return ret;
        }
    }
    s->zoned = qcow2_zoned_new(bs, h, bs->total_sectors * BDRV_SECTOR_SIZE,
                               table, errp);
    return s->zoned ? 0 : -ENOMEM;
}

bool qcow2_zoned_allow_lazy_refcounts(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;

    if (s->zoned) {
        error_setg(errp, "A zoned image cannot have lazy refcounts (option "
                   "'lazy-refcounts')");
        return false;
    }
    return true;
}

void qcow2_zoned_close(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    qcow2_zoned_free(s->zoned);
    s->zoned = NULL;
    g_free(s->zoned_header);
    s->zoned_header = NULL;
    g_free(s->zoned_table_only);
    s->zoned_table_only = NULL;
}

bool qcow2_zoned_table_overlaps(BlockDriverState *bs, uint64_t offset,
                                uint64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;

    if (!s->zoned_header || !s->zoned_header->zoned) {
        return false;
    }
    if (!s->zoned_table_misplaced &&
        ranges_overlap(offset, bytes, s->zoned_header->table_offset,
                       qcow2_zoned_table_size(s->zoned_header))) {
        return true;
    }
    return qcow2_zoned_snapshots_overlap(bs, offset, bytes, -1);
}
