/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: what a range of the disk holds
 *
 * Zeroes a range, or gives its clusters back.  Both look only at what is
 * mapped, whatever the size of the range: where there is no L2 table, the walk
 * takes one step for each L1 entry, without I/O, and makes no table.  This code
 * does not know zone states.
 *
 * Both are called without s->lock, and let others have the lock after each L2
 * slice.  No other request writes the range meanwhile, or reads it while
 * clusters are given back.  Requests beside the range may be in flight, also
 * in the clusters at its ends.
 */
#ifndef BLOCK_QCOW2_ZONED_SPACE_H
#define BLOCK_QCOW2_ZONED_SPACE_H

#include "block/block_int.h"

/* Does a backing file show where nothing is allocated, or will it? */
bool GRAPH_RDLOCK qcow2_zoned_has_base(BlockDriverState *bs);

/*
 * Make [@offset, @offset + @bytes), whole sectors, read as zeros.  Parts that
 * read as zeros already are left alone, whole (sub)clusters are marked as zeros
 * in their L2 entries, and zeros are written over the rest.  If there is a
 * backing file it reads as zeros from @base_end on (UINT64_MAX: that is not
 * known).  With BDRV_REQ_MAY_UNMAP in @flags, clusters that lie whole in the
 * range are given back.
 *
 * Never -ENOTSUP: the generic layer would answer that with a write of its own,
 * which would meet a write pointer that has moved on.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_zeroize(BlockDriverState *bs, uint64_t offset, uint64_t bytes,
                    uint64_t base_end, BdrvRequestFlags flags);

/*
 * Give the clusters of [@offset, @offset + @bytes) back to the host.  The range
 * is aligned to clusters, except at the end of the disk.  After an error some
 * clusters have been given back.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_unmap(BlockDriverState *bs, uint64_t offset, uint64_t bytes);

#endif
