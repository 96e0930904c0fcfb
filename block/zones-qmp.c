/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP: looking at the zones of a node, and changing them
 *
 * A long report is made of many small requests to the node, each under the
 * rules for any request: in the node's AioContext, counted as in flight, under
 * the graph lock.  Nothing is held from one to the next, so that whoever
 * drains, changes or removes the node waits for one at most; none waits for
 * requests of others.  There is no parent, since attaching one drains.
 *
 * Changing zones is for a parent with the permission to write.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-zones.h"
#include "qemu/main-loop.h"
#include "block/block.h"
#include "block/block_int.h"
#include "block/zone-errors.h"
#include "block/zones.h"
#include "system/block-backend.h"

#define MAX_ENTRIES     1024

/* What one request finds */
typedef struct ZonesPiece {
    BlockZoneDescriptor *zones;
    unsigned int nr;
    uint64_t next;              /* where the zone after the last one starts */
    bool is_last;               /* of the disk */
    bool has_counts;
    uint32_t open;
    uint32_t active;
    /* Geometry */
    uint64_t zone_size;
    uint32_t nr_zones;
    uint32_t max_open;
    uint32_t max_active;
} ZonesPiece;

static bool coroutine_fn read_piece(BlockDriverState *bs, uint64_t offset,
                                    ZonesPiece *p, Error **errp)
{
    const BlockZoneDescriptor *last;
    BlockDriverState *owner;
    int ret;

    GRAPH_RDLOCK_GUARD();
    if (!bdrv_zones_check_start(bs, offset, errp)) {
        return false;
    }

    ret = bdrv_co_zone_report(bs, offset, &p->nr, p->zones);
    if (ret == 0 && !p->nr) {
        ret = -EIO;
    }
    if (ret < 0) {
        error_setg(errp, "Cannot read the zones from offset %" PRIu64 " on of "
                   "node '%s': %s", offset, bdrv_get_node_name(bs),
                   block_zone_strerror(ret) ?: strerror(-ret));
        return false;
    }

    last = &p->zones[p->nr - 1];
    p->next = last->start + last->length;
    p->is_last = p->next >= bs->total_sectors * BDRV_SECTOR_SIZE;
    p->zone_size = bs->bl.zone_size;
    p->nr_zones = bs->bl.nr_zones;
    p->max_open = bs->bl.max_open_zones;
    p->max_active = bs->bl.max_active_zones;
    owner = bdrv_zoned_node(bs);
    p->has_counts = owner->drv && owner->drv->bdrv_zone_counts &&
                    owner->drv->bdrv_zone_counts(owner, &p->open,
                                                 &p->active) == 0;
    return true;
}

/*
 * Read at most p->nr zones from @offset on into p->zones, in one request.
 * Begins and ends in the main loop, with @node_name alone: the node may be gone
 * when the next piece is asked for.
 */
static bool coroutine_fn zones_piece(const char *node_name, uint64_t offset,
                                     ZonesPiece *p, Error **errp)
{
    for (;;) {
        BlockDriverState *bs = bdrv_find_node(node_name);
        AioContext *old_ctx;
        bool drained, ok = false;

        if (!bs) {
            error_setg(errp, "Cannot find node '%s'", node_name);
            return false;
        }

        old_ctx = bdrv_co_enter(bs);
        /* Now in flight, so that it cannot become drained from here on */
        drained = qatomic_read(&bs->quiesce_counter);
        if (!drained) {
            ok = read_piece(bs, offset, p, errp);
        }
        bdrv_co_leave(bs, old_ctx);
        if (!drained) {
            return ok;
        }
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, SCALE_MS);
    }
}

/* Let the main loop do other things. */
static void coroutine_fn zones_breathe(void)
{
    aio_co_schedule(qemu_get_current_aio_context(), qemu_coroutine_self());
    qemu_coroutine_yield();
}

/* Count the zones of a node whose driver does not. */
static bool coroutine_fn count_zones(const char *node_name, ZonesPiece *p,
                                     Error **errp)
{
    uint64_t offset = 0;
    uint32_t open = 0, closed = 0;

    do {
        zones_breathe();
        p->nr = BLOCK_ZONES_AT_ONCE;
        if (!zones_piece(node_name, offset, p, errp)) {
            return false;
        }
        for (unsigned int i = 0; i < p->nr; i++) {
            BlockZoneState state = p->zones[i].state;

            open += state == BLK_ZS_IOPEN || state == BLK_ZS_EOPEN;
            closed += state == BLK_ZS_CLOSED;
        }
        offset = p->next;
    } while (!p->is_last);

    p->open = open;
    p->active = open + closed;
    return true;
}

BlockZoneReport *coroutine_fn
qmp_query_block_zones(const char *node_name, bool has_offset, uint64_t offset,
                      bool has_limit, uint32_t limit, bool has_fold, bool fold,
                      Error **errp)
{
    g_autoptr(BlockZoneReport) report = g_new0(BlockZoneReport, 1);
    g_autofree BlockZoneDescriptor *zones =
        g_new(BlockZoneDescriptor, BLOCK_ZONES_AT_ONCE);
    ZonesPiece p = { .zones = zones };
    BlockZoneInfoList **tail = &report->zones;
    BlockZoneInfo *run = NULL;
    uint32_t entries = 0;

    limit = has_limit ? limit : MAX_ENTRIES;
    if (limit < 1 || limit > MAX_ENTRIES) {
        error_setg(errp, "Parameter 'limit' is %" PRIu32 ", and must be from 1 "
                   "to %d", limit, MAX_ENTRIES);
        return NULL;
    }
    p.next = has_offset ? offset : 0;

    do {
        /* More than one piece only where neighbours are folded */
        if (entries) {
            zones_breathe();
        }
        p.nr = fold ? BLOCK_ZONES_AT_ONCE : limit - entries;
        if (!zones_piece(node_name, p.next, &p, errp)) {
            return NULL;
        }
        for (unsigned int i = 0; i < p.nr; i++) {
            BlockZoneInfo zone = block_zone_info(&zones[i]);

            if (fold && run && block_zone_info_join(run, &zone)) {
                continue;
            }
            if (entries == limit) {
                report->has_next = true;
                report->next = zone.start;
                break;
            }
            zone.has_count = fold;
            run = g_memdup2(&zone, sizeof(zone));
            QAPI_LIST_APPEND(tail, run);
            entries++;
        }
        if (!fold && entries == limit && !p.is_last) {
            report->has_next = true;
            report->next = p.next;
        }
    } while (!report->has_next && !p.is_last);

    if (!p.has_counts && !count_zones(node_name, &p, errp)) {
        return NULL;
    }
    report->zone_size = p.zone_size;
    report->nr_zones = p.nr_zones;
    report->open = p.open;
    report->active = p.active;
    report->has_max_open_zones = p.max_open;
    report->max_open_zones = p.max_open;
    report->has_max_active_zones = p.max_active;
    report->max_active_zones = p.max_active;
    return g_steal_pointer(&report);
}

/* What qmp_block_zone_mgmt() has done for it outside of coroutines */
typedef struct ZonesWriter {
    const char *node_name;
    bool all;
    bool has_length;
    uint64_t offset;
    uint64_t length;
    BlockBackend *blk;          /* NULL on failure */
    Error **errp;
    Coroutine *co;
} ZonesWriter;

/* Become a writer like any other: where the node is in use, this fails. */
static void zones_writer_bh(void *opaque)
{
    ZonesWriter *w = opaque;
    BlockDriverState *bs = bdrv_find_node(w->node_name);

    if (!bs) {
        error_setg(w->errp, "Cannot find node '%s'", w->node_name);
    } else if (bdrv_zones_range(bs, w->all, &w->offset, w->has_length,
                                &w->length, w->errp)) {
        if (bdrv_is_read_only(bs)) {
            error_setg(w->errp, "Node '%s' is read-only", w->node_name);
        } else {
            w->blk = blk_new(bdrv_get_aio_context(bs), BLK_PERM_WRITE,
                             BLK_PERM_ALL);
            blk_set_zoned_aware(w->blk, true);
            /* So that what a device of the host has done is durable, too */
            blk_set_enable_write_cache(w->blk, false);
            if (blk_insert_bs(w->blk, bs, w->errp) < 0) {
                blk_unref(w->blk);
                w->blk = NULL;
            }
        }
    }
    aio_co_wake(w->co);
}

void coroutine_fn
qmp_block_zone_mgmt(const char *node_name, BlockZoneMgmtOp op, bool has_offset,
                    uint64_t offset, bool has_length, uint64_t length,
                    bool has_all, bool all, Error **errp)
{
    ZonesWriter w = {
        .node_name = node_name,
        .all = has_all && all,
        .has_length = has_length,
        .offset = offset,
        .length = length,
        .errp = errp,
        .co = qemu_coroutine_self(),
    };
    AioContext *old_ctx = qemu_coroutine_get_aio_context(w.co);

    if (w.all && (has_offset || has_length)) {
        error_setg(errp, "'all' goes without 'offset' and 'length'");
        return;
    }
    if (!w.all && !has_offset) {
        error_setg(errp, "Either 'offset' or 'all' is wanted");
        return;
    }

    /*
     * As for other commands that change the graph, this is a context that no
     * event loop polls which waits inside of such a change, or of a drain.
     */
    aio_bh_schedule_oneshot(iohandler_get_aio_context(), zones_writer_bh, &w);
    qemu_coroutine_yield();
    if (!w.blk) {
        return;
    }

    /* Not bdrv_co_enter(): a drain would wait for us, and we for its end. */
    aio_co_reschedule_self(blk_get_aio_context(w.blk));
    blk_zones_change(w.blk, node_name, op, w.all, w.offset, w.length, errp);
    aio_co_reschedule_self(old_ctx);
    blk_co_unref(w.blk);
}
