/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zones of a node for people and programs: what QMP, HMP and qemu-img share
 *
 * All positions and lengths are in bytes.  A BlockZoneInfo is one zone or a
 * run of zones that are alike (see qapi/block-zones.json).
 */
#ifndef BLOCK_ZONES_H
#define BLOCK_ZONES_H

#include "block/block-common.h"
#include "qapi/qapi-types-block-zones.h"

/* Of one report that is asked of a driver, for those who read all zones */
#define BLOCK_ZONES_AT_ONCE     2048

/* The zone that a driver has described as @zone */
BlockZoneInfo block_zone_info(const BlockZoneDescriptor *zone);

/*
 * If @zone follows @run and is like it in all, and zones of its condition can
 * be told apart by nothing but their place, add it to @run and return true.
 */
bool block_zone_info_join(BlockZoneInfo *run, const BlockZoneInfo *zone);

/*
 * A table for people: its head, and the line of @run.  Each line has the same
 * number of fields, and fits in 80 columns.  Sizes are exact, and can be given
 * to options as they stand.
 */
#define BLOCK_ZONE_TABLE_HEAD \
    "Start           Zones     Size Capacity  Written  Used Condition"
char *block_zone_table_line(const BlockZoneInfo *run);

/*
 * Whether zones of @bs can be reported from @offset on; else false, with an
 * error that names the node and the rule.
 * The caller has a request in flight, or is in the main loop.
 */
bool bdrv_zones_check_start(BlockDriverState *bs, uint64_t offset,
                            Error **errp);

/*
 * Whole zones of @bs for blk_zones_change(): all of them, or those in @length
 * from @offset on, or without a length the one at @offset.  True with *@offset
 * and *@length set, else false, with an error that names the node and the rule.
 * As above.
 */
bool bdrv_zones_range(BlockDriverState *bs, bool all, uint64_t *offset,
                      bool has_length, uint64_t *length, Error **errp);

/*
 * Do @op to the zones of @blk in the range that bdrv_zones_range() gave; with
 * @all pass over those that it is not for.  False, with an error that names the
 * operation, the zones and the node, if it fails.  Finish and reset are durable
 * then.
 * The node is @node_name, as @blk may lose it meanwhile, when QEMU ends.
 * @blk is aware of zones, may write, and has no write cache.  To be called in a
 * coroutine in its AioContext, or in the main loop.
 */
bool coroutine_mixed_fn
blk_zones_change(BlockBackend *blk, const char *node_name, BlockZoneMgmtOp op,
                 bool all, uint64_t offset, uint64_t length, Error **errp);

/*
 * Whether the disk of @blk can be cut to @size without a loss: false, with an
 * error that names the first zone with data beyond it.  True where the node has
 * no zones.
 * To be called as above; where @blk is drained, it queues no requests.
 */
bool coroutine_mixed_fn
blk_zones_check_shrink(BlockBackend *blk, int64_t size, Error **errp);

#endif
