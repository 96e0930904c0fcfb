/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a reset or a shutdown of a zoned device does to its zones
 */
#include "qemu/osdep.h"
#include "block/block_int.h"
#include "block/zoned-close.h"
#include "system/block-backend.h"

int blk_zoned_close(BlockBackend *blk)
{
    BlockDriverState *bs = blk_bs(blk);
    uint64_t sectors;
    bool inactive;
    int ret;

    GLOBAL_STATE_CODE();

    if (!bs || bs->bl.zoned == BLK_Z_NONE || !blk_is_writable(blk)) {
        return -ENOTSUP;
    }
    bdrv_graph_rdlock_main_loop();
    inactive = bdrv_is_inactive(bs);
    bs = bdrv_zoned_node(bs);
    bdrv_graph_rdunlock_main_loop();
    if (inactive) {
        return -EPERM;
    }

    /*
     * Drained with all that is above it, no throttling holds the request up,
     * be it of @blk or of a filter.
     */
    bdrv_ref(bs);
    bdrv_drained_begin(bs);
    blk_set_disable_request_queuing(blk, true);
    blk_get_geometry(blk, &sectors);
    ret = blk_zone_mgmt(blk, BLK_ZO_CLOSE, 0, sectors << BDRV_SECTOR_BITS,
                        BDRV_ZONE_ALL);
    blk_set_disable_request_queuing(blk, false);
    bdrv_drained_end(bs);
    bdrv_unref(bs);
    return ret;
}
