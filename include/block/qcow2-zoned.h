/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: what qcow2.c calls
 *
 * The glue takes requests, asks the zone rules, does the I/O, and keeps the
 * order between data, metadata and write pointers (docs/devel/zoned-qcow2.rst,
 * "What is durable, and when").  It is the only zoned code that waits.
 *
 * Unless a comment says otherwise, functions are called with the graph read
 * lock held and without s->lock.  Positions and lengths are in bytes.
 */
#ifndef BLOCK_QCOW2_ZONED_H
#define BLOCK_QCOW2_ZONED_H

#include "qemu/units.h"
#include "block/block_int.h"
#include "block/qcow2-zone-table.h"

/* The state of an open zoned image; one allocation, s->zoned. */
typedef struct Qcow2Zoned Qcow2Zoned;

/*
 * Make the state of an image with the checked header @h, whose disk has
 * @disk_size bytes.  @table has the validated write pointers of h->nr_zones
 * zones (bytes, absolute), and is taken over (qemu_vfree), also on failure:
 * NULL, for lack of memory.
 */
Qcow2Zoned * GRAPH_RDLOCK
qcow2_zoned_new(BlockDriverState *bs, const Qcow2ZonedHeader *h,
                uint64_t disk_size, uint64_t *table, Error **errp);
void qcow2_zoned_free(Qcow2Zoned *z);

/* How much is mapped at once ahead of a write pointer, bytes */
#define QCOW2_ZONED_EXTENT_DEFAULT  (1 * MiB)
#define QCOW2_ZONED_EXTENT_MAX      (1 * GiB)

/*
 * The option zone-prealloc-size: 0 (nothing is mapped ahead) or a power of two
 * from 512 to QCOW2_ZONED_EXTENT_MAX.  It is set with nothing in flight, and
 * has no effect on an image without zones.
 */
bool qcow2_zoned_check_prealloc_size(uint64_t bytes, Error **errp);
void qcow2_zoned_set_prealloc_size(BlockDriverState *bs, uint64_t bytes);

void qcow2_zoned_refresh_limits(BlockDriverState *bs);

/*
 * The rows of qcow2's driver table.  Requests of an image without zones go
 * straight on to qcow2's own functions, except the zone calls, which answer
 * -ENOTSUP.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                           QEMUIOVector *qiov, size_t qiov_offset,
                           BdrvRequestFlags flags);
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_pwritev_part(BlockDriverState *bs, int64_t offset,
                            int64_t bytes, QEMUIOVector *qiov,
                            size_t qiov_offset, BdrvRequestFlags flags);
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                             int64_t bytes, BdrvRequestFlags flags);
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes);
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_block_status(BlockDriverState *bs, bool want_zero,
                            int64_t offset, int64_t bytes, int64_t *pnum,
                            int64_t *map, BlockDriverState **file);

/* -ENOTSUP for a zoned image, so that the caller reads and writes instead. */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_copy_range_from(BlockDriverState *bs, BdrvChild *src,
                               int64_t src_offset, BdrvChild *dst,
                               int64_t dst_offset, int64_t bytes,
                               BdrvRequestFlags read_flags,
                               BdrvRequestFlags write_flags);

int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_zone_report(BlockDriverState *bs, int64_t offset,
                           unsigned int *nr_zones, BlockZoneDescriptor *zones);
int qcow2_zoned_zone_counts(BlockDriverState *bs, uint32_t *open,
                            uint32_t *active);
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                         int64_t len, BdrvZoneFlags flags);
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_zone_append(BlockDriverState *bs, int64_t *offset,
                           QEMUIOVector *qiov, BdrvRequestFlags flags);

/*
 * .bdrv_co_zone_import: zones, all empty, with nothing in flight, get the write
 * pointers and, in memory, the open states of @zones; conventional ones are
 * left out, and those beyond the end.  Limits may be exceeded by active zones,
 * not by open ones.  The pointers are durable after the next flush.  Returns 0,
 * -EINVAL for a pointer that the zone cannot have, or -EBUSY for a zone that is
 * not empty; those before it have been imported then.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_zone_import(BlockDriverState *bs,
                           const BlockZoneDescriptor *zones, unsigned int nr);

/* .bdrv_co_flush_to_os: the table is written after the data below it. */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_flush_to_os(BlockDriverState *bs);

/*
 * .bdrv_co_truncate: a zoned image gets another size, a smaller one only while
 * it is drained.  It calls qcow2_co_truncate(), which, when all else is done,
 * calls the second one instead of writing the new size itself, with s->lock and
 * the table's lock held: a crash shows the old number of zones or the new one.
 * Returns 0 or a negative errno; the size has not changed then, but zones that
 * were to go may have lost what was beyond the smaller size.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                        PreallocMode prealloc, BdrvRequestFlags flags,
                        Error **errp);
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_set_size(BlockDriverState *bs, int64_t disk_size, Error **errp);

/*
 * For close and inactivate, after the last flush, with nothing in flight: -EIO
 * if the table does not cover what was acknowledged, or may be wrong on disk,
 * because that flush failed.
 */
int coroutine_mixed_fn qcow2_zoned_behind(BlockDriverState *bs);

#endif
