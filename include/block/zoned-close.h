/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a reset or a shutdown of a zoned device does to its zones
 */
#ifndef BLOCK_ZONED_CLOSE_H
#define BLOCK_ZONED_CLOSE_H

#include "block/block-common.h"

/*
 * Bring the open zones of @blk, which is drained, to rest as a loss of power
 * does: one with nothing written is empty then, which is not the close of ZNS.
 * Of an image this changes what is in memory only.  Does not wait for
 * throttling, and neither does blk_drain() of a zoned node.  Context: BQL held,
 * no coroutine.
 *
 * Returns 0 or a negative errno: -ENOTSUP where @blk has no zones that it may
 * write to, or those of a host's device, which stay open for others that may
 * use it; -EPERM where the node is inactive.
 */
int blk_zoned_close(BlockBackend *blk);

#endif
