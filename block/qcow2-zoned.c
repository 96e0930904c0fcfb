/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: an open image, and its requests
 *
 * Takes the requests of a zoned image, asks the zone rules (zone-rules.h)
 * whether and where they may go, and hands the data to qcow2's own functions.
 * Here is who waits for whom: a request for its zone, a write for its turn, a
 * failed write for those above it.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-extent.h"
#include "block/qcow2-zoned-space.h"
#include "qcow2-zoned-int.h"

/* --- Life --- */

Qcow2Zoned *qcow2_zoned_new(BlockDriverState *bs, const Qcow2ZonedHeader *h,
                            uint64_t disk_size, uint64_t *table, Error **errp)
{
    Qcow2Zoned *z = g_new0(Qcow2Zoned, 1);

    z->hdr = *h;
    z->disk_size = disk_size;
    z->extent_size = QCOW2_ZONED_EXTENT_DEFAULT;
    qemu_co_mutex_init(&z->op_lock);
    qemu_mutex_init(&z->lock);
    QTAILQ_INIT(&z->waiters);
    QLIST_INIT(&z->reads);
    qemu_co_queue_init(&z->progress);
    qemu_co_queue_init(&z->turns);

    z->pointers = qcow2_zoned_pointers_new(bs, &z->hdr, table, &z->lock);
    z->rules = zone_rules_new(&(ZoneGeometry) {
        .disk_size = z->disk_size,
        .zone_size = h->zone_size,
        .zone_capacity = h->zone_capacity,
        .nr_zones = h->nr_zones,
        .nr_conventional = h->nr_conventional,
        .max_active = h->max_active,
        .max_open = h->max_open,
        .max_append = MIN(h->zone_capacity, BDRV_REQUEST_MAX_BYTES),
    }, table);
    if (!z->rules) {
        error_setg(errp, "Not enough memory for the state of %" PRIu32
                   " zones", h->nr_zones);
        qcow2_zoned_free(z);
        return NULL;
    }

    return z;
}

void qcow2_zoned_free(Qcow2Zoned *z)
{
    if (!z) {
        return;
    }
    assert(QTAILQ_EMPTY(&z->waiters) && QLIST_EMPTY(&z->reads));
    zone_rules_free(z->rules);
    qcow2_zoned_pointers_free(z->pointers);
    g_free(z->warned);
    qemu_mutex_destroy(&z->lock);
    g_free(z);
}

bool qcow2_zoned_check_prealloc_size(uint64_t bytes, Error **errp)
{
    if (bytes && (!is_power_of_2(bytes) || bytes < BDRV_SECTOR_SIZE ||
                  bytes > QCOW2_ZONED_EXTENT_MAX)) {
        error_setg(errp, "zone-prealloc-size %" PRIu64 " must be 0 or a power "
                   "of two from %llu to %" PRIu64, bytes, BDRV_SECTOR_SIZE,
                   (uint64_t)QCOW2_ZONED_EXTENT_MAX);
        return false;
    }
    return true;
}

void qcow2_zoned_set_prealloc_size(BlockDriverState *bs, uint64_t bytes)
{
    Qcow2Zoned *z = zoned_state(bs);

    if (z) {
        z->extent_size = bytes;
    }
}

void qcow2_zoned_refresh_limits(BlockDriverState *bs)
{
    Qcow2Zoned *z = zoned_state(bs);
    BlockLimits *bl = &bs->bl;

    if (!z) {
        return;
    }
    bl->zoned = BLK_Z_HM;
    bl->zone_mgmt_durable = true;
    bl->zone_size = z->hdr.zone_size;
    bl->zone_capacity = z->hdr.zone_capacity;
    bl->nr_conventional = z->hdr.nr_conventional;
    bl->nr_zones = z->hdr.nr_zones;
    bl->max_active_zones = z->hdr.max_active;
    bl->max_open_zones = z->hdr.max_open ?: z->hdr.max_active;
    bl->max_append_sectors = zone_rules_geometry(z->rules)->max_append >>
                             BDRV_SECTOR_BITS;
    bl->write_granularity = BDRV_SECTOR_SIZE;

    /*
     * One request is one acceptance: none of the file's limits may split a
     * write into pieces that each meet the write pointer, or widen one.
     */
    bl->request_alignment = BDRV_SECTOR_SIZE;
    bl->max_transfer = 0;
    bl->max_pwrite_zeroes = 0;
    bl->pwrite_zeroes_alignment = 0;
}

/* --- Waiting, all with z->lock held --- */

/* Does @zone not take what @write tells? */
static bool is_blocked(Qcow2Zoned *z, uint32_t zone, bool write)
{
    return write ? zone_rules_blocked(z->rules, zone)
                 : zone_rules_op_pending(z->rules, zone);
}

static ZoneWaiter *first_waiter(Qcow2Zoned *z, uint32_t zone)
{
    ZoneWaiter *w;

    QTAILQ_FOREACH(w, &z->waiters, next) {
        if (w->zone == zone) {
            return w;
        }
    }
    return NULL;
}

bool coroutine_fn zoned_wait_for_zone(Qcow2Zoned *z, uint32_t zone, bool write)
{
    ZoneWaiter self = { .zone = zone, .write = write };
    ZoneWaiter *next;

    zoned_assert(zoned_holds(&z->lock));
    if (!is_blocked(z, zone, write) && !first_waiter(z, zone)) {
        return false;
    }

    qemu_co_queue_init(&self.queue);
    QTAILQ_INSERT_TAIL(&z->waiters, &self, next);
    do {
        qemu_co_queue_wait(&self.queue, &z->lock);
    } while (is_blocked(z, zone, write) || first_waiter(z, zone) != &self);
    QTAILQ_REMOVE(&z->waiters, &self, next);

    /* It gets the lock only after the caller's decision. */
    next = first_waiter(z, zone);
    if (next) {
        qemu_co_queue_next(&next->queue);
    }
    return true;
}

void coroutine_fn zoned_wake(Qcow2Zoned *z)
{
    ZoneWaiter *w;

    zoned_assert(zoned_holds(&z->lock));
    QTAILQ_FOREACH(w, &z->waiters, next) {
        if (!is_blocked(z, w->zone, w->write)) {
            qemu_co_queue_next(&w->queue);
        }
    }
    qemu_co_queue_restart_all(&z->progress);
}

bool zoned_has_reads(Qcow2Zoned *z, uint32_t zone)
{
    ZoneRead *r;

    zoned_assert(zoned_holds(&z->lock));
    QLIST_FOREACH(r, &z->reads, next) {
        if (r->zone == zone) {
            return true;
        }
    }
    return false;
}

/* --- Writes --- */

/*
 * Accept a write, or (@append) an append to the zone at @offset: the next one
 * may be accepted at once.  Returns 1 if nothing has to be made before its
 * data, 0 if something may have to be, or a negative errno.
 */
static int coroutine_fn accept_write(Qcow2Zoned *z, uint64_t offset,
                                     uint64_t bytes, bool append,
                                     ZoneWrite *w)
{
    /* The rules decide by the first sequential zone touched. */
    uint32_t zone = MAX(zone_rules_index(z->rules, offset),
                        z->hdr.nr_conventional);
    int ret;

    QEMU_LOCK_GUARD(&z->lock);
    if (append || zone <= zone_rules_index(z->rules, offset + bytes - 1)) {
        zoned_wait_for_zone(z, zone, true);
    }
    if (append) {
        ret = zone_append_begin(z->rules, offset, bytes, w);
    } else {
        ret = zone_write_begin(z->rules, offset, bytes, w);
    }
    return ret < 0 ? ret : zone_write_is_ready(z->rules, w);
}

/*
 * Wait for the write's turn, and make what it needs: its table block is right,
 * so that nothing on disk exposes what comes where it goes, and its clusters
 * are mapped, but for a write of zeros (@map false).
 */
static int coroutine_fn GRAPH_RDLOCK
prepare_write(BlockDriverState *bs, Qcow2Zoned *z, ZoneWrite *w, bool map)
{
    uint32_t zone = zone_rules_index(z->rules, w->start);
    uint64_t end = w->start + w->bytes;
    uint64_t from, to = end;
    bool doubt;
    int ret = 0;

    WITH_QEMU_LOCK_GUARD(&z->lock) {
        while (!w->error && !zone_write_has_turn(z->rules, w)) {
            qemu_co_queue_wait(&z->turns, &z->lock);
        }
        if (w->error || zone_write_is_ready(z->rules, w)) {
            return w->error;
        }
        from = MAX(w->start, zone_rules_frontier(z->rules, zone));
        doubt = qcow2_zoned_pointer_in_doubt(z->pointers, zone);
    }

    if (doubt) {
        QEMU_LOCK_GUARD(&z->pointers->lock);
        ret = qcow2_zoned_pointers_write(bs, z->pointers, NULL, 0, zone,
                                         zone + 1, false);
    }
    if (ret >= 0 && map) {
        ret = qcow2_zoned_map(bs, from, end, z->extent_size,
                              zone_rules_capacity_end(z->rules, zone), &to);
    }

    QEMU_LOCK_GUARD(&z->lock);
    if (ret >= 0) {
        zone_write_ready(z->rules, w, to);
    } else {
        zone_write_stuck(z->rules, w, ret);
    }
    qemu_co_queue_restart_all(&z->turns);
    return ret;
}

/*
 * The zeros of a failed write could not be made, either: @ret.  Its range
 * holds what a sector of any disk holds whose write failed.
 */
static void GRAPH_RDLOCK warn_no_zeros(BlockDriverState *bs, Qcow2Zoned *z,
                                       const ZoneWrite *w, int ret)
{
    uint32_t zone = zone_rules_index(z->rules, w->start);

    WITH_QEMU_LOCK_GUARD(&z->lock) {
        if (!z->warned) {
            z->warned = bitmap_new(z->hdr.nr_zones);
        }
        if (test_and_set_bit(zone, z->warned)) {
            return;
        }
    }
    warn_report("Node '%s', zone %" PRIu32 ": a write to bytes 0x%" PRIx64
                " to 0x%" PRIx64 " failed, and they could not be zeroed: %s",
                bdrv_get_device_or_node_name(bs), zone, w->start,
                w->start + w->bytes - 1, strerror(-ret));
}

/* The data of a write, or the zeros for it, are in.  z->lock is held. */
static void complete_write(Qcow2Zoned *z, ZoneWrite *w)
{
    zone_write_complete(z->rules, w);
    qcow2_zoned_pointer_mark(z->pointers,
                             zone_rules_index(z->rules, w->start));
}

/*
 * The data of a write has failed.  While it is not decided what becomes of it
 * it is in flight; where it is to keep its range it makes that read as zeros.
 */
static void coroutine_fn GRAPH_RDLOCK
settle_failed_write(BlockDriverState *bs, Qcow2Zoned *z, ZoneWrite *w)
{
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        zone_write_fail(z->rules, w);
        zoned_wake(z);
        while (w->stage == ZONE_WRITE_FAILED) {
            qemu_co_queue_wait(&z->progress, &z->lock);
        }
    }

    if (w->stage == ZONE_WRITE_ZEROS) {
        int zeros = qcow2_zoned_zeroize(bs, w->start, w->bytes, UINT64_MAX,
                                        0);

        if (zeros < 0) {
            warn_no_zeros(bs, z, w, zeros);
        }
    }
}

/*
 * The data of a write is in that is to be durable before it answers
 * (BDRV_REQ_FUA); the generic layer's own flush would come after it has
 * answered.  Where the flush fails it may be durable all the same, or be
 * undone, or else it stays.
 */
static int coroutine_fn GRAPH_RDLOCK
make_write_durable(BlockDriverState *bs, Qcow2Zoned *z, ZoneWrite *w)
{
    uint32_t zone = zone_rules_index(z->rules, w->start);
    int ret;

    WITH_QEMU_LOCK_GUARD(&z->lock) {
        complete_write(z, w);
        zoned_verify(z);
        zoned_wake(z);
    }
    ret = bdrv_co_flush(bs);
    if (ret < 0 && zone >= z->hdr.nr_conventional) {
        /* No flush is between its sample and its commit. */
        QEMU_LOCK_GUARD(&z->pointers->lock);
        QEMU_LOCK_GUARD(&z->lock);
        if (qcow2_zoned_pointer(z->pointers, zone) >= w->start + w->bytes) {
            /* Also where the block is in doubt: it has at least that entry. */
            ret = 0;
        } else if (zone_write_give_back(z->rules, w)) {
            zoned_cut_samples(z, zone);
        }
    }
    return ret;
}

/* A write that was accepted, and came with @flags, is done, with @ret. */
static int coroutine_fn GRAPH_RDLOCK
end_write(BlockDriverState *bs, Qcow2Zoned *z, ZoneWrite *w,
          BdrvRequestFlags flags, int ret)
{
    if (ret < 0) {
        settle_failed_write(bs, z, w);
    } else if (flags & BDRV_REQ_FUA) {
        ret = make_write_durable(bs, z, w);
    }

    QEMU_LOCK_GUARD(&z->lock);
    if (w->stage == ZONE_WRITE_ACCEPTED || w->stage == ZONE_WRITE_ZEROS) {
        complete_write(z, w);
    }
    zone_write_end(z->rules, w);
    zoned_verify(z);
    zoned_wake(z);
    return zoned_host_error(ret);
}

/*
 * Write data to *@offset, or (@append) append it to the zone that starts there:
 * *@offset is then where it went.
 */
static int coroutine_fn GRAPH_RDLOCK
write_data(BlockDriverState *bs, int64_t *offset, int64_t bytes, bool append,
           QEMUIOVector *qiov, size_t qiov_offset, BdrvRequestFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    ZoneWrite w;
    int ret = accept_write(z, *offset, bytes, append, &w);

    if (ret < 0) {
        return ret;
    }
    if (ret == 0) {
        ret = prepare_write(bs, z, &w, true);
    }
    if (ret >= 0) {
        ret = qcow2_co_pwritev_part(bs, w.start, bytes, qiov, qiov_offset,
                                    flags & ~BDRV_REQ_FUA);
    }
    ret = end_write(bs, z, &w, flags, ret);
    if (ret >= 0) {
        *offset = w.start;
    }
    return ret;
}

int coroutine_fn
qcow2_zoned_co_pwritev_part(BlockDriverState *bs, int64_t offset,
                            int64_t bytes, QEMUIOVector *qiov,
                            size_t qiov_offset, BdrvRequestFlags flags)
{
    if (!zoned_state(bs) || !bytes) {
        return qcow2_co_pwritev_part(bs, offset, bytes, qiov, qiov_offset,
                                     flags);
    }
    return write_data(bs, &offset, bytes, false, qiov, qiov_offset, flags);
}

int coroutine_fn
qcow2_zoned_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                             int64_t bytes, BdrvRequestFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    ZoneWrite w;
    int ret;

    if (!z) {
        return qcow2_co_pwrite_zeroes(bs, offset, bytes, flags);
    }
    if (!bytes) {
        return 0;
    }
    ret = accept_write(z, offset, bytes, false, &w);
    if (ret < 0) {
        return ret;
    }
    if (ret == 0) {
        ret = prepare_write(bs, z, &w, false);
    }
    if (ret >= 0) {
        WITH_QEMU_LOCK_GUARD(&z->lock) {
            /* One may be under way here, of a write that was given back. */
            if (zoned_has_reads(z, zone_rules_index(z->rules, offset))) {
                flags &= ~BDRV_REQ_MAY_UNMAP;
            }
        }
        ret = qcow2_zoned_zeroize(bs, offset, bytes, UINT64_MAX, flags);
    }
    return end_write(bs, z, &w, flags, ret);
}

int coroutine_fn
qcow2_zoned_co_zone_append(BlockDriverState *bs, int64_t *offset,
                           QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);

    if (!z) {
        return -ENOTSUP;
    }
    if (*offset >= z->disk_size) {
        return -BLK_ZONE_ERR_INVALID_APPEND;
    }
    return write_data(bs, offset, qiov->size, true, qiov, 0, flags);
}

/* --- Reads and the rest --- */

/*
 * The first part of a read: as zone_read_part().  Where a reset may give
 * clusters away (@r not NULL) it waits for the zone, and a part to be read is
 * tracked in *@r.
 */
static int coroutine_fn read_part(Qcow2Zoned *z, uint64_t offset,
                                  uint64_t bytes, uint64_t *n, ZoneRead *r)
{
    uint32_t zone = zone_rules_index(z->rules, offset);
    int ret;

    QEMU_LOCK_GUARD(&z->lock);
    if (r) {
        zoned_wait_for_zone(z, zone, false);
    }
    ret = zone_read_part(z->rules, offset, bytes, n);
    if (ret > 0 && r) {
        r->zone = zone;
        QLIST_INSERT_HEAD(&z->reads, r, next);
    }
    return ret;
}

static void coroutine_fn end_read(Qcow2Zoned *z, ZoneRead *r)
{
    QEMU_LOCK_GUARD(&z->lock);
    QLIST_REMOVE(r, next);
    zoned_wake(z);
}

int coroutine_fn
qcow2_zoned_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                           QEMUIOVector *qiov, size_t qiov_offset,
                           BdrvRequestFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    ZoneRead tracked;
    ZoneRead *r = bs->open_flags & BDRV_O_UNMAP ? &tracked : NULL;

    if (!z) {
        return qcow2_co_preadv_part(bs, offset, bytes, qiov, qiov_offset,
                                    flags);
    }

    while (bytes) {
        uint64_t n;
        int ret = read_part(z, offset, bytes, &n, r);

        if (ret < 0) {
            return ret;
        }
        if (ret) {
            ret = qcow2_co_preadv_part(bs, offset, n, qiov, qiov_offset,
                                       flags);
            if (r) {
                end_read(z, r);
            }
            if (ret < 0) {
                return zoned_host_error(ret);
            }
        } else {
            qemu_iovec_memset(qiov, qiov_offset, 0, n);
        }
        offset += n;
        bytes -= n;
        qiov_offset += n;
    }
    return 0;
}

int coroutine_fn
qcow2_zoned_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    Qcow2Zoned *z = zoned_state(bs);
    uint64_t conventional_end;

    if (!z) {
        return qcow2_co_pdiscard(bs, offset, bytes);
    }
    conventional_end = z->hdr.nr_conventional * z->hdr.zone_size;
    if (offset >= conventional_end) {
        /* In sequential zones a discard is a hint without effect. */
        return 0;
    }
    bytes = MIN(bytes, conventional_end - offset);
    return zoned_host_error(qcow2_co_pdiscard(bs, offset, bytes));
}

int coroutine_fn
qcow2_zoned_co_block_status(BlockDriverState *bs, bool want_zero,
                            int64_t offset, int64_t bytes, int64_t *pnum,
                            int64_t *map, BlockDriverState **file)
{
    Qcow2Zoned *z = zoned_state(bs);
    uint64_t n;
    int ret;

    if (!z) {
        return qcow2_co_block_status(bs, want_zero, offset, bytes, pnum, map,
                                     file);
    }
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        ret = zone_read_part(z->rules, offset, bytes, &n);
    }
    if (ret < 0) {
        return ret;
    }
    if (ret == 0) {
        *pnum = n;
        return BDRV_BLOCK_ZERO;
    }
    return zoned_host_error(qcow2_co_block_status(bs, want_zero, offset, n,
                                                  pnum, map, file));
}

int coroutine_fn
qcow2_zoned_co_copy_range_from(BlockDriverState *bs, BdrvChild *src,
                               int64_t src_offset, BdrvChild *dst,
                               int64_t dst_offset, int64_t bytes,
                               BdrvRequestFlags read_flags,
                               BdrvRequestFlags write_flags)
{
    /* It would copy clusters as they are, stale bytes included. */
    if (zoned_state(bs)) {
        return -ENOTSUP;
    }
    return qcow2_co_copy_range_from(bs, src, src_offset, dst, dst_offset,
                                    bytes, read_flags, write_flags);
}
