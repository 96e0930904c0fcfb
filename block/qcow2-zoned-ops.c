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

/* A report lets others at the lock after this many zones */
#define REPORT_BATCH        512

/* A reset or finish under way in zones of [first, end) */
typedef struct ZonedOp {
    ZoneOpType type;
    unsigned flags;             /* ZONE_OP_* */
    uint32_t first;
    uint32_t end;
    GArray *zones;              /* uint32_t: those to change, ascending */
} ZonedOp;

static uint32_t op_zone(const ZonedOp *op, guint k)
{
    return g_array_index(op->zones, uint32_t, k);
}

/* After @n zones under z->lock, let others at it. */
static void op_breathe(Qcow2Zoned *z, uint32_t n)
{
    if (n && n % ZONES_AT_ONCE == 0) {
        qemu_mutex_unlock(&z->lock);
        qemu_mutex_lock(&z->lock);
    }
}

/*
 * Begin in each zone when its turn comes.  One operation on several zones does
 * this at a time, so that no two wait for one another.
 */
static void coroutine_fn op_begin(Qcow2Zoned *z, ZonedOp *op)
{
    uint32_t i;

    QEMU_LOCK_GUARD(&z->lock);
    for (i = op->first; i < op->end; i++) {
        zoned_wait_for_zone(z, i, false);
        if (zone_op_begin(z->rules, op->type, op->flags, i)) {
            g_array_append_val(op->zones, i);
        }
        op_breathe(z, i - op->first);
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
        op_breathe(z, k);
    }
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
            ret = qcow2_zoned_zeroize(bs, wp, end - wp, flags);
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

    QEMU_LOCK_GUARD(&z->lock);
    for (k = 0; k < op->zones->len; k++) {
        zone_op_end(z->rules, op->type, op_zone(op, k), ok);
        op_breathe(z, k);
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

/* A reset or finish, checked already */
static int coroutine_fn GRAPH_RDLOCK
change_zones(BlockDriverState *bs, Qcow2Zoned *z, ZonedOp *op)
{
    op->zones = g_array_new(false, false, sizeof(uint32_t));
    if (op->end - op->first > 1) {
        QEMU_LOCK_GUARD(&z->op_lock);
        op_begin(z, op);
    } else {
        op_begin(z, op);
    }
    return zoned_host_error(op_run(bs, z, op));
}

/* An open or close, checked under z->lock, which is held still */
static int open_or_close(Qcow2Zoned *z, const ZonedOp *op)
{
    g_autoptr(GArray) zones = NULL;
    uint32_t i;

    if (op->type == ZONE_OP_CLOSE) {
        zone_op_close(z->rules, op->flags, op->first, op->end);
        return 0;
    }
    if (!(op->flags & ZONE_OP_ALL)) {
        return zone_op_open(z->rules, op->first, op->end);
    }
    zones = g_array_new(false, false, sizeof(uint32_t));
    for (i = op->first; i < op->end; i++) {
        if (zone_op_opens(z->rules, i)) {
            g_array_append_val(zones, i);
        }
    }
    return zone_op_open_all(z->rules, (uint32_t *)zones->data, zones->len);
}

/*
 * Wait until no reset or finish is pending in the zones of @op.  z->lock is
 * held, and dropped meanwhile.
 */
static void coroutine_fn op_wait(Qcow2Zoned *z, const ZonedOp *op)
{
    bool pending;
    uint32_t i;

    do {
        for (i = op->first; i < op->end; i++) {
            zoned_wait_for_zone(z, i, false);
        }
        /* While the last of them were waited for, one may have begun. */
        pending = false;
        for (i = op->first; i < op->end; i++) {
            pending |= zone_rules_op_pending(z->rules, i);
        }
    } while (pending);
}

int coroutine_fn
qcow2_zoned_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp type,
                         int64_t offset, int64_t len, BdrvZoneFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    ZonedOp op = { .type = (ZoneOpType)type, .flags = flags };
    bool quick = type == BLK_ZO_OPEN || type == BLK_ZO_CLOSE;
    int ret;

    if (!z) {
        return -ENOTSUP;
    }

    WITH_QEMU_LOCK_GUARD(&z->lock) {
        ret = zone_op_check(z->rules, op.type, &op.flags, offset, len,
                            &op.first, &op.end);
        if (ret != -EINVAL && quick && !(op.flags & ZONE_OP_ALL)) {
            /* What is pending changes the states that count. */
            op_wait(z, &op);
            ret = zone_op_check(z->rules, op.type, &op.flags, offset, len,
                                &op.first, &op.end);
        }
        if (ret == 0 && quick) {
            ret = open_or_close(z, &op);
        }
    }
    if (ret == 0 && !quick) {
        ret = change_zones(bs, z, &op);
    }
    trace_qcow2_zoned_mgmt(bs, type, offset, len, flags,
                           op.zones ? op.zones->len : 0, ret);
    if (op.zones) {
        g_array_unref(op.zones);
    }
    return ret;
}

int coroutine_fn
qcow2_zoned_co_zone_report(BlockDriverState *bs, int64_t offset,
                           unsigned int *nr_zones, BlockZoneDescriptor *zones)
{
    Qcow2Zoned *z = zoned_state(bs);
    unsigned int done = 0;
    uint32_t i;

    if (!z) {
        return -ENOTSUP;
    }
    if (offset < 0 || offset >= z->disk_size) {
        *nr_zones = 0;
        return 0;
    }

    i = zone_rules_index(z->rules, offset);
    while (done < *nr_zones && i < z->hdr.nr_zones) {
        QEMU_LOCK_GUARD(&z->lock);
        do {
            ZoneInfo info;

            zone_rules_get(z->rules, i, &info);
            zones[done] = (BlockZoneDescriptor) {
                .start = info.start,
                .length = info.length,
                .cap = info.capacity,
                .wp = info.wp,
                .type = info.conventional ? BLK_ZT_CONV : BLK_ZT_SWR,
                .state = (BlockZoneState)info.state,
            };
            done++;
            i++;
        } while (done < *nr_zones && i < z->hdr.nr_zones &&
                 done % REPORT_BATCH);
    }
    *nr_zones = done;
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
