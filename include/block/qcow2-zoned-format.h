/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: the format in the image file
 *
 * Reads, checks, creates and repairs what makes an image zoned: the header
 * extension and the write-pointer table (docs/interop/qcow2-zoned.rst).  This
 * code knows their place and their rules; qcow2-zoned.h is about what the
 * values mean for requests.
 *
 * s->zoned_header is the extension of an image that has one.  The image is
 * zoned if the extension's "zoned" field says so; s->zoned is then its state.
 * An image that was opened to be checked (BDRV_O_CHECK) has no state, because
 * its table may be anything.
 *
 * Functions that do I/O are called with the graph read lock held and, but for
 * create, with s->lock held.
 */
#ifndef BLOCK_QCOW2_ZONED_FORMAT_H
#define BLOCK_QCOW2_ZONED_FORMAT_H

#include "block/block_int.h"
#include "block/qcow2-zone-table.h"
#include "qapi/qapi-types-block-core.h"

struct QCowHeader;
struct Qcow2ZoneAmendOptions;

/*
 * Read the extension of @len bytes at @offset of the image file.  Returns 0 or
 * a negative errno; a second extension in one image is an error.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_read_ext(BlockDriverState *bs, uint64_t offset, uint32_t len,
                     Error **errp);

/*
 * All extensions have been read: refuse what must be refused, load the table
 * and make the state of a zoned image.  Does nothing for an image without
 * zones.  @header is in host byte order; @options are those of the open.
 * Returns 0 or a negative errno.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_open(BlockDriverState *bs, const struct QCowHeader *header,
                 const QDict *options, int flags, Error **errp);

/* The name of a feature of the image that no zoned image can have, or NULL */
const char *qcow2_zoned_unsupported(BlockDriverState *bs);

/*
 * The incompatible features that are to stand in the header, by the snapshots
 * and the backing file that the image has now.
 */
uint64_t qcow2_zoned_features(BlockDriverState *bs);

/*
 * The option lazy-refcounts=on for an open image; while an image is being
 * opened qcow2_zoned_open() looks at it.
 */
bool qcow2_zoned_allow_lazy_refcounts(BlockDriverState *bs, Error **errp);

/* Free everything that reading the extension and opening have allocated. */
void qcow2_zoned_close(BlockDriverState *bs);

/*
 * Is any of [@offset, @offset + @bytes) of the image file in the table, or in a
 * snapshot's copy of it?  For the checks that nothing else overwrites metadata.
 */
bool qcow2_zoned_table_overlaps(BlockDriverState *bs, uint64_t offset,
                                uint64_t bytes);

/*
 * Turn the zone options of -o in @qdict into those of QMP: zoned=on into
 * zone.mode, underscores into dashes.
 */
bool qcow2_zoned_convert_opts(QDict *qdict, Error **errp);

/*
 * Check the options of a new image, before anything is written, and fill in
 * the defaults: *@h is then ready for qcow2_zoned_create(), except the place of
 * the table.  h->zoned is 0 if the image is to have no zones.
 */
bool qcow2_zoned_check_create(const BlockdevCreateOptionsQcow2 *opts,
                              int version, uint64_t cluster_size,
                              Qcow2ZonedHeader *h, Error **errp);

/*
 * The same for the options of -o in @qdict, after qcow2_zoned_convert_opts().
 * To be called before the file is created: a file that is there already would
 * be removed if creating the image in it fails.
 */
bool qcow2_zoned_check_create_opts(const QDict *qdict, Error **errp);

/*
 * Set *@bytes to the size of the write-pointer table (whole clusters; 0 without
 * zones) of a new image of @version with the options @opts of -o.  Checks like
 * qcow2_zoned_check_create().
 */
bool qcow2_zoned_measure(QemuOpts *opts, int version, uint64_t disk_size,
                         uint64_t cluster_size, uint64_t *bytes,
                         Error **errp);

/*
 * Make the new image @bs, which has got its final size, a zoned one: write the
 * table, then the header, and flush both.  Does nothing if h->zoned is 0.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_create(BlockDriverState *bs, const Qcow2ZonedHeader *h,
                   Error **errp);

/*
 * Change the limits that @opts of "qemu-img amend" names, if any: the others
 * stay.  They are in the image header, durably, and in force on return.  A
 * limit below what is active now is a warning.  Called without s->lock; nothing
 * else uses the image.  Returns 0 or a negative errno; nothing has changed
 * then, as far as the write can be told.
 */
int GRAPH_RDLOCK
qcow2_zoned_amend(BlockDriverState *bs, QemuOpts *opts, Error **errp);
/*
 * The same for x-blockdev-amend, in the node's AioContext; requests may be in
 * flight.  A limit is not lowered while any parent may write to the node.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_amend(BlockDriverState *bs,
                     const struct Qcow2ZoneAmendOptions *opts,
                     Error **errp);

/*
 * qemu-img check, in the order in which it is called:
 *
 * Read the table, or what is left of it, before anything is repaired.  *@table
 * is NULL for an image without zones; otherwise the caller frees it with
 * g_free().  Then, with BDRV_FIX_ERRORS, make a truncated file long enough.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_check_read(BlockDriverState *bs, BdrvCheckResult *res,
                       BdrvCheckMode fix, uint64_t **table);
/*
 * Count the table's clusters in the refcounts that are calculated for the
 * image.  All other references have been counted before.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_check_refcounts(BlockDriverState *bs, BdrvCheckResult *res,
                            void **refcount_table,
                            int64_t *refcount_table_size);
/*
 * Check the place of the table and every entry, and add the errors to *@res,
 * which has the result for the rest of the image.  With BDRV_FIX_ERRORS repair
 * the table, provided that the rest of the image is in order.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_check_table(BlockDriverState *bs, BdrvCheckResult *res,
                        BdrvCheckMode fix, uint64_t *table);

/*
 * The place of a table of @size bytes at @offset of the image file, which @name
 * stands for in errors.  The first one: it is aligned and in the file.  The
 * second one: nor does it overlap metadata whose place is known without reading
 * from the file.  The third one: the same of the image's own table.  0 or a
 * negative errno.
 */
int coroutine_mixed_fn GRAPH_RDLOCK
qcow2_zoned_check_range(BlockDriverState *bs, const char *name,
                        uint64_t offset, uint64_t size, Error **errp);
int coroutine_mixed_fn GRAPH_RDLOCK
qcow2_zoned_check_place(BlockDriverState *bs, const char *name,
                        uint64_t offset, uint64_t size, Error **errp);
int coroutine_mixed_fn GRAPH_RDLOCK
qcow2_zoned_check_own_place(BlockDriverState *bs, Error **errp);

/*
 * Read the table of a disk of @disk_size bytes that @h tells, whose place has
 * been checked, check every entry, and turn it into its write pointer.  The
 * caller frees it with qemu_vfree(); NULL on failure.
 */
uint64_t * coroutine_mixed_fn GRAPH_RDLOCK
qcow2_zoned_load_table(BlockDriverState *bs, const Qcow2ZonedHeader *h,
                       uint64_t disk_size, Error **errp);

/* For qemu-img info and query-block; NULL for an image without zones. */
ImageInfoSpecificQCow2Zone *qcow2_zoned_get_info(BlockDriverState *bs);

#endif
