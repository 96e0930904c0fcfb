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

#endif
