/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HMP: looking at the zones of a node
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-zones.h"
#include "qobject/qdict.h"
#include "block/block.h"
#include "block/block-hmp-cmds.h"
#include "block/zones.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"

static void print_limit(Monitor *mon, const char *what, uint32_t nr,
                        bool has_max, uint32_t max)
{
    monitor_printf(mon, ", %" PRIu32 " %s", nr, what);
    if (has_max) {
        monitor_printf(mon, " (at most %" PRIu32 ")", max);
    }
}

void coroutine_fn hmp_info_block_zones(Monitor *mon, const QDict *qdict)
{
    const char *node = qdict_get_str(qdict, "node");
    BlockDriverState *bs = bdrv_lookup_bs(node, node, NULL);
    g_autoptr(BlockZoneReport) report = NULL;
    Error *err = NULL;

    /* Names of devices serve as well; QMP says what is wrong with others. */
    report = qmp_query_block_zones(bs ? bdrv_get_node_name(bs) : node, true,
                                   qdict_get_try_int(qdict, "offset", 0),
                                   false, 0, true, true, &err);
    if (!report) {
        hmp_handle_error(mon, err);
        return;
    }

    monitor_printf(mon, "%" PRIu32 " zones", report->nr_zones);
    print_limit(mon, "open", report->open, report->has_max_open_zones,
                report->max_open_zones);
    print_limit(mon, "active", report->active, report->has_max_active_zones,
                report->max_active_zones);
    monitor_printf(mon, "\n" BLOCK_ZONE_TABLE_HEAD "\n");
    for (BlockZoneInfoList *l = report->zones; l; l = l->next) {
        g_autofree char *line = block_zone_table_line(l->value);

        monitor_printf(mon, "%s\n", line);
    }
    if (report->has_next) {
        /* The monitor takes a number without a unit for MiB. */
        monitor_printf(mon, "More zones: info block-zones %s %" PRIu64 "B\n",
                       node, report->next);
    }
}
