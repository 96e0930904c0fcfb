/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: clusters for what is written next
 *
 * Nothing above a write pointer can be read, and the next write comes right at
 * the pointer.  So a write that needs clusters maps a whole extent, and
 * reserves its blocks on the host; later writes in the extent are plain
 * overwrites.
 *
 * This code does not know zones: the caller says how far it may go.
 */
#ifndef BLOCK_QCOW2_ZONED_EXTENT_H
#define BLOCK_QCOW2_ZONED_EXTENT_H

#include "block/block_int.h"

/*
 * Map clusters for all of [@offset, @end), and where that is less than @extent
 * (bytes, a power of two, or 0), ahead to the next multiple of it, but not past
 * @limit, rounded up to a (sub)cluster.  What the clusters held at or above
 * @offset is neither zeroed nor copied; what lies below @offset in the first
 * one stays.  *@mapped is set to the end of what is mapped, at least @end.
 *
 * If the clusters ahead cannot be had, only those up to @end are mapped.
 * Returns 0 or a negative errno.  Called without s->lock; no other code maps
 * clusters there meanwhile.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_map(BlockDriverState *bs, uint64_t offset, uint64_t end,
                uint64_t extent, uint64_t limit, uint64_t *mapped);

#endif
