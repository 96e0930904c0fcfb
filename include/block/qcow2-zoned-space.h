/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: what a range of the disk holds
 *
 * Zeroes a range, or gives its clusters back.  Both look only at what is
 * mapped, whatever the size of the range: where there is no L2 table the walk
 * takes one step an L1 entry, without I/O, and makes none.  Knows nothing of
 * zone states.
 *
 * Both are called without s->lock, and let others have it after each L2 slice.
 * Nobody else writes the range meanwhile, nor reads it while clusters are given
 * back; requests beside it may be in flight, also in the clusters at its ends.
 */
#ifndef BLOCK_QCOW2_ZONED_SPACE_H
#define BLOCK_QCOW2_ZONED_SPACE_H

#include "block/block_int.h"

/*
 * Make [@offset, @offset + @bytes), whole sectors, read as zeros: nothing is
 * done where it does so already, whole (sub)clusters are marked as zeros in
 * their L2 entries, and zeros are written over the rest.  @flags may have
 * BDRV_REQ_MAY_UNMAP: give clusters that lie in the range whole back.
 *
 * Never -ENOTSUP: the generic layer would answer that with a write of its own,
 * which would meet a write pointer that has moved on.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_zeroize(BlockDriverState *bs, uint64_t offset, uint64_t bytes,
                    BdrvRequestFlags flags);

/*
 * Give the clusters of [@offset, @offset + @bytes) back to the host.  Aligned
 * to clusters, but for the end of the disk.  After an error some have been
 * given back.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_unmap(BlockDriverState *bs, uint64_t offset, uint64_t bytes);

#endif
