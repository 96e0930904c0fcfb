/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: zone operations and the zone report
 *
 * Open and close only change states, in memory.  Reset and finish begin zone
 * by zone, each zone in the order in which requests came to it, wait for what
 * is in flight there, make their change durable, and end.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-space.h"
#include "qcow2-zoned-int.h"
#include "trace.h"

QEMU_BUILD_BUG_ON((int)BLK_ZS_NOT_WP != ZONE_STATE_NOT_WP);
QEMU_BUILD_BUG_ON((int)BLK_ZS_EMPTY != ZONE_STATE_EMPTY);
QEMU_BUILD_BUG_ON((int)BLK_ZS_IOPEN != ZONE_STATE_IMPLICIT_OPEN);
QEMU_BUILD_BUG_ON((int)BLK_ZS_EOPEN != ZONE_STATE_EXPLICIT_OPEN);
QEMU_BUILD_BUG_ON((int)BLK_ZS_CLOSED != ZONE_STATE_CLOSED);
QEMU_BUILD_BUG_ON((int)BLK_ZS_RDONLY != ZONE_STATE_READ_ONLY);
QEMU_BUILD_BUG_ON((int)BLK_ZS_FULL != ZONE_STATE_FULL);
QEMU_BUILD_BUG_ON((int)BLK_ZS_OFFLINE != ZONE_STATE_OFFLINE);
QEMU_BUILD_BUG_ON((int)BLK_ZO_OPEN != ZONE_OP_OPEN);
QEMU_BUILD_BUG_ON((int)BLK_ZO_CLOSE != ZONE_OP_CLOSE);
QEMU_BUILD_BUG_ON((int)BLK_ZO_FINISH != ZONE_OP_FINISH);
QEMU_BUILD_BUG_ON((int)BLK_ZO_RESET != ZONE_OP_RESET);
QEMU_BUILD_BUG_ON((int)BDRV_ZONE_ALL != ZONE_OP_ALL);
QEMU_BUILD_BUG_ON((int)BDRV_ZONE_ZNS != ZONE_OP_ZNS);

/* An operation on zones of [first, end) */
typedef struct ZonedOp {
    ZoneOpType type;
    unsigned flags;             /* ZONE_OP_* */
    uint32_t first;
    uint32_t end;
    GArray *zones;              /* uint32_t: those found to change, ascending */
} ZonedOp;

static uint32_t op_zone(const ZonedOp *op, guint k)
{
    return g_array_index(op->zones, uint32_t, k);
}

static bool op_is_quick(const ZonedOp *op)
{
    return op->type == ZONE_OP_OPEN || op->type == ZONE_OP_CLOSE;
}

/*
 * Wait until no reset or finish is pending in zones [@first, @end).  z->lock is
 * held, and dropped meanwhile.
 */
static void coroutine_fn op_wait(Qcow2Zoned *z, uint32_t first, uint32_t end)
{
    bool waited = false;
    uint32_t i;

    zoned_assert(zoned_holds(&z->lock));
    for (i = first; i < end; i++) {
        waited |= zoned_wait_for_zone(z, i, false);
    }
    while (waited) {
        /* While the last of them were waited for, one may have begun. */
        waited = false;
        for (i = first; i < end; i++) {
            waited |= zone_rules_op_pending(z->rules, i) &&
                      zoned_wait_for_zone(z, i, false);
        }
    }
}

/*
 * Open with ZONE_OP_ALL, the piece [@first, @end).  With a limit all are opened
 * at once, or none, when the last piece is known.  z->lock is held.
 */
static int op_open_all(Qcow2Zoned *z, ZonedOp *op, uint32_t first,
                       uint32_t end)
{
    int ret;
    uint32_t i;

    zoned_assert(zoned_holds(&z->lock));
    for (i = first; i < end; i++) {
        if (zone_op_opens(z->rules, i)) {
            g_array_append_val(op->zones, i);
        }
    }
    if (end < op->end && (z->hdr.max_open || z->hdr.max_active)) {
        return 0;
    }
    ret = zone_op_open_all(z->rules, (uint32_t *)op->zones->data,
                           op->zones->len);
    g_array_set_size(op->zones, 0);
    return ret;
}

/*
 * Check what does not depend on resources, and, with @act, carry an open or
 * close out, piece by piece.
 */
static int coroutine_fn op_pieces(Qcow2Zoned *z, ZonedOp *op, bool act)
{
    bool all = op->flags & ZONE_OP_ALL;
    int ret = 0;
    uint32_t i, end;

    for (i = op->first; ret == 0 && i < op->end; i = end) {
        QEMU_LOCK_GUARD(&z->lock);
        end = MIN(op->end, i + ZONES_AT_ONCE);
        if (!all && op_is_quick(op)) {
            /* What is pending changes the states that count. */
            op_wait(z, i, end);
        }
        if (!all) {
            ret = zone_op_check(z->rules, op->type, i, end);
        }
        if (ret < 0 || !act) {
            continue;
        }
        if (op->type == ZONE_OP_CLOSE) {
            zone_op_close(z->rules, op->flags, i, end);
        } else {
            ret = all ? op_open_all(z, op, i, end)
                      : zone_op_open(z->rules, i, end);
        }
    }
    return ret;
}

/* Begin in each zone when its turn comes. */
static void coroutine_fn op_begin(Qcow2Zoned *z, ZonedOp *op)
{
    uint32_t i;

    QEMU_LOCK_GUARD(&z->lock);
    for (i = op->first; i < op->end; i++) {
        zoned_wait_for_zone(z, i, false);
        if (zone_op_begin(z->rules, op->type, op->flags, i)) {
            g_array_append_val(op->zones, i);
        }
        zoned_breathe(&z->lock, i - op->first);
    }
}

/* Wait, zone by zone, until nothing is in flight. */
static void coroutine_fn op_drain(Qcow2Zoned *z, const ZonedOp *op, bool reads)
{
    guint k;

    QEMU_LOCK_GUARD(&z->lock);
    for (k = 0; k < op->zones->len; k++) {
        while (zone_rules_in_flight(z->rules, op_zone(op, k)) ||
               (reads && zoned_has_reads(z, op_zone(op, k)))) {
            qemu_co_queue_wait(&z->progress, &z->lock);
        }
        zoned_breathe(&z->lock, k);
    }
}

/*
 * Where the backing file ends to show in the zone that starts at @start: at the
 * zone's pointer there.
 */
static uint64_t coroutine_fn GRAPH_RDLOCK base_end(BlockDriverState *bs,
                                                   uint64_t start)
{
    BlockDriverState *base = bs->backing ? bs->backing->bs : NULL;
    BlockZoneDescriptor zone;
    unsigned int nr = 1;

    if (!base) {
        return UINT64_MAX;
    }
    if (start >= base->total_sectors * BDRV_SECTOR_SIZE) {
        return start;
    }
    return bdrv_co_zone_report(base, start, &nr, &zone) < 0 || !nr ?
           UINT64_MAX : zone.wp;
}

/*
 * Before the entries of a finish are changed: the rest of each zone reads as
 * zeros, and all of its data is durable.  But first nothing on disk exposes
 * what is zeroed.
 */
static int coroutine_fn GRAPH_RDLOCK
op_finish_data(BlockDriverState *bs, Qcow2Zoned *z, const ZonedOp *op)
{
    BdrvRequestFlags flags = bs->open_flags & BDRV_O_UNMAP ?
                             BDRV_REQ_MAY_UNMAP : 0;
    bool behind = false;
    int ret;
    guint k;

    WITH_QEMU_LOCK_GUARD(&z->pointers->lock) {
        ret = qcow2_zoned_pointers_write(bs, z->pointers, NULL, 0, op->first,
                                         op->end, false);
    }
    if (ret < 0) {
        return ret;
    }
    for (k = 0; k < op->zones->len; k++) {
        uint32_t zone = op_zone(op, k);
        uint64_t end = zone_rules_capacity_end(z->rules, zone);
        uint64_t wp;

        WITH_QEMU_LOCK_GUARD(&z->lock) {
            wp = zone_rules_wp(z->rules, zone);
            behind |= qcow2_zoned_pointer(z->pointers, zone) < end;
        }
        if (wp < end) {
            uint64_t start = zone_rules_start(z->rules, zone);

            ret = qcow2_zoned_zeroize(bs, wp, end - wp, base_end(bs, start),
                                      flags);
            if (ret < 0) {
                return ret;
            }
        }
    }
    return behind ? zoned_flush_data(bs) : 0;
}

/*
 * Give the clusters of reset zones back.  A failure costs space, not data, so
 * it fails nothing.
 */
static void coroutine_fn GRAPH_RDLOCK
op_unmap(BlockDriverState *bs, Qcow2Zoned *z, const ZonedOp *op)
{
    guint k;

    for (k = 0; k < op->zones->len; k++) {
        uint64_t start = zone_rules_start(z->rules, op_zone(op, k));

        qcow2_zoned_unmap(bs, start,
                          MIN(z->hdr.zone_size, z->disk_size - start));
    }
}

/* Write what the operation makes of the table; pointers->lock is held. */
static int coroutine_fn GRAPH_RDLOCK
op_write_pointers(BlockDriverState *bs, Qcow2Zoned *z, const ZonedOp *op)
{
    g_autoptr(GArray) changes = g_array_new(false, false,
                                            sizeof(ZonePointer));
    guint k;

    zoned_assert(zoned_co_holds(&z->pointers->lock));
    for (k = 0; k < op->zones->len; k++) {
        ZonePointer c = {
            .zone = op_zone(op, k),
            .wp = op->type == ZONE_OP_RESET ?
                  zone_rules_start(z->rules, op_zone(op, k)) :
                  zone_rules_capacity_end(z->rules, op_zone(op, k)),
        };

        if (qcow2_zoned_pointer(z->pointers, c.zone) != c.wp) {
            g_array_append_val(changes, c);
        }
    }
    return qcow2_zoned_pointers_write(bs, z->pointers,
                                      (const ZonePointer *)changes->data,
                                      changes->len, op->first, op->end,
                                      false);
}

static void coroutine_fn op_end(Qcow2Zoned *z, const ZonedOp *op, bool ok)
{
    guint k;

    zoned_assert(zoned_co_holds(&z->pointers->lock));
    QEMU_LOCK_GUARD(&z->lock);
    for (k = 0; k < op->zones->len; k++) {
        zone_op_end(z->rules, op->type, op_zone(op, k), ok);
        zoned_breathe(&z->lock, k);
    }
    zoned_verify(z);
    zoned_wake(z);
}

/* Carry out a reset or finish that has begun in all of its zones. */
static int coroutine_fn GRAPH_RDLOCK
op_run(BlockDriverState *bs, Qcow2Zoned *z, const ZonedOp *op)
{
    bool unmap = bs->open_flags & BDRV_O_UNMAP;
    int ret = 0;

    op_drain(z, op, unmap);
    if (op->type == ZONE_OP_FINISH) {
        ret = op_finish_data(bs, z, op);
    }

    /*
     * Until the rules know: a flush that sampled before must not find the new
     * entries with the old generation.
     */
    QEMU_LOCK_GUARD(&z->pointers->lock);
    if (ret >= 0) {
        ret = op_write_pointers(bs, z, op);
        if (ret >= 0 && unmap && op->type == ZONE_OP_RESET) {
            /* Before the zones take writes again, which would be lost. */
            op_unmap(bs, z, op);
        }
    }
    op_end(z, op, ret >= 0);
    return ret;
}

/*
 * Check the operation, then carry it out, or begin it in all of its zones.  Of
 * several zones one operation does this at a time, so that no two wait for one
 * another, or come between two pieces of one.
 */
static int coroutine_fn op_start(Qcow2Zoned *z, ZonedOp *op)
{
    bool quick = op_is_quick(op);
    int ret = 0;

    zoned_assert(op->end - op->first == 1 || zoned_co_holds(&z->op_lock));
    if (!quick || op->end - op->first > ZONES_AT_ONCE) {
        /* To its end, before anything is changed */
        ret = op_pieces(z, op, false);
    }
    if (ret == 0 && quick) {
        ret = op_pieces(z, op, true);
    } else if (ret == 0) {
        op_begin(z, op);
    }
    return ret;
}

int coroutine_fn
qcow2_zoned_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp type,
                         int64_t offset, int64_t len, BdrvZoneFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    ZonedOp op = { .type = (ZoneOpType)type, .flags = flags };
    int ret;

    if (!z) {
        return -ENOTSUP;
    }

    op.zones = g_array_new(false, false, sizeof(uint32_t));
    ret = zone_op_range(z->rules, op.type, &op.flags, offset, len, &op.first,
                        &op.end);
    if (ret == 0 && op.end - op.first > 1) {
        QEMU_LOCK_GUARD(&z->op_lock);
        ret = op_start(z, &op);
    } else if (ret == 0) {
        ret = op_start(z, &op);
    }
    if (ret == 0 && !op_is_quick(&op)) {
        ret = zoned_host_error(op_run(bs, z, &op));
    }
    trace_qcow2_zoned_mgmt(bs, type, offset, len, flags, op.zones->len, ret);
    g_array_unref(op.zones);
    return ret;
}

int coroutine_fn
qcow2_zoned_co_zone_report(BlockDriverState *bs, int64_t offset,
                           unsigned int *nr_zones, BlockZoneDescriptor *zones)
{
    Qcow2Zoned *z = zoned_state(bs);
    uint32_t i, k;

    if (!z) {
        return -ENOTSUP;
    }
    QEMU_LOCK_GUARD(&z->lock);
    if (offset < 0 || offset >= z->disk_size) {
        *nr_zones = 0;
        return 0;
    }

    i = zone_rules_index(z->rules, offset);
    *nr_zones = MIN(*nr_zones, z->hdr.nr_zones - i);
    for (k = 0; k < *nr_zones; k++) {
        ZoneInfo info;

        zoned_breathe(&z->lock, k);
        zone_rules_get(z->rules, i + k, &info);
        zones[k] = (BlockZoneDescriptor) {
            .start = info.start,
            .length = info.length,
            .cap = info.capacity,
            .wp = info.wp,
            .type = info.conventional ? BLK_ZT_CONV : BLK_ZT_SWR,
            .state = (BlockZoneState)info.state,
        };
    }
    return 0;
}

int qcow2_zoned_zone_counts(BlockDriverState *bs, uint32_t *open,
                            uint32_t *active)
{
    Qcow2Zoned *z = zoned_state(bs);

    if (!z) {
        return -ENOTSUP;
    }
    QEMU_LOCK_GUARD(&z->lock);
    *open = zone_rules_nr_open(z->rules);
    *active = zone_rules_nr_active(z->rules);
    return 0;
}
