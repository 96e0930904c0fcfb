/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: internal snapshots
 *
 * A snapshot holds a copy of the write-pointer table, in clusters of its own,
 * for the snapshot's own disk size.  Eight bytes of its entry's extra data, at
 * 24, tell where (docs/interop/qcow2-zoned.rst).
 *
 * Functions are called with the graph read lock held.  Those that create, apply
 * or delete a snapshot are called in the main thread, while the node is drained
 * or has no user that could send requests.  For an image without zones they do
 * nothing, and return 0.
 */
#ifndef BLOCK_QCOW2_ZONED_SNAPSHOT_H
#define BLOCK_QCOW2_ZONED_SNAPSHOT_H

#include "block/block_int.h"
#include "block/qcow2-zone-table.h"

struct QCowSnapshot;

/*
 * The snapshots of an image that is opened have been read: each must have a
 * copy of the table, in the file.  What is in it is checked where it is used,
 * and by qemu-img check.  Returns 0 or a negative errno.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_snapshots_open(BlockDriverState *bs, Error **errp);

/*
 * Is any of [@offset, @offset + @bytes) of the image file in the copy of a
 * snapshot, but for number @but (-1: none)?  Does no I/O.
 */
bool qcow2_zoned_snapshots_overlap(BlockDriverState *bs, uint64_t offset,
                                   uint64_t bytes, int but);

/*
 * Make everything durable that was written, and write the copy of the table for
 * the new snapshot @sn, whose extra data then has its place.  The copy is
 * durable after the next flush.  Returns 0 or a negative errno.
 */
int GRAPH_RDLOCK
qcow2_zoned_snapshot_save(BlockDriverState *bs, struct QCowSnapshot *sn);

/* Before anything is changed: can the copy of snapshot @index be freed? */
int GRAPH_RDLOCK
qcow2_zoned_snapshot_may_free(BlockDriverState *bs, int index, Error **errp);
/* Free the copy of @sn, which no entry on disk names. */
void GRAPH_RDLOCK
qcow2_zoned_snapshot_free(BlockDriverState *bs, const struct QCowSnapshot *sn);

/*
 * Make the disk of a zoned image what it was when snapshot @index was taken: a
 * crash shows the disk before or after, whole.  Zones come back closed that
 * were open.  On failure, a negative errno, nothing has changed.
 */
int GRAPH_RDLOCK
qcow2_zoned_snapshot_goto(BlockDriverState *bs, int index, Error **errp);

/*
 * The write pointers of snapshot @index take the place of those of the
 * read-only node, in memory.  The size does not change: zones that the snapshot
 * does not have are empty.  Returns 0 or a negative errno.
 */
int GRAPH_RDLOCK
qcow2_zoned_snapshot_load_tmp(BlockDriverState *bs, int index, Error **errp);

/*
 * The geometry of @sn's zones: that of the image, for the snapshot's disk size;
 * *@h also has the place of the copy, 0 if there is none.  Fails, naming the
 * rule, if no disk of that size can have these zones.
 */
bool qcow2_zoned_snapshot_header(BlockDriverState *bs,
                                 const struct QCowSnapshot *sn,
                                 Qcow2ZonedHeader *h, Error **errp);
/* @sn's copy is at @offset of the image file; 0: it has none. */
void qcow2_zoned_snapshot_set_copy(struct QCowSnapshot *sn, uint64_t offset);

#endif
