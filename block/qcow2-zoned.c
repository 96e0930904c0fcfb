/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: requests, zone operations and the order on disk
 *
 * Takes the requests of a zoned image, asks the zone rules (zone-rules.h)
 * whether and where they may go, hands the data to qcow2's own functions, and
 * keeps the write-pointer table in step: an entry on disk never leads its
 * data.  It knows nothing of the layout of an entry (qcow2-zone-table.h) and
 * keeps no zone state of its own.
 *
 * The model: a write pointer moves in memory when a write is accepted, and on
 * disk when the image is flushed.  z->table is the table as it is on disk.  A
 * flush raises the entries of zones that were written, after the data and
 * what maps it are durable; a reset or finish changes entries at once and
 * makes them durable before it completes (docs/devel/zoned-qcow2.rst, "What
 * is durable, and when").
 *
 * Locks, outermost first:
 *   op_lock     the zone operation that is next to begin (open and close of
 *               given zones begin at once)
 *   table_lock  from the first write of changed table blocks until the rules
 *               and z->table agree with what is on disk.  Whoever writes a
 *               block also writes its neighbours' entries, so two writers
 *               must never overlap.
 *   s->lock     as everywhere in qcow2
 *   z->lock     the rules and all bookkeeping here; never held over a yield
 *               or together with s->lock
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/coroutine.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "qemu/memalign.h"
#include "qapi/error.h"
#include "block/block-io.h"
#include "block/block_int.h"
#include "block/qcow2-zoned.h"
#include "block/qcow2-zoned-extent.h"
#include "block/zone-errors.h"
#include "block/zone-fault.h"
#include "block/zone-rules.h"
#include "qcow2.h"
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

/* Unit in which the table is tracked and written, bytes */
#define TABLE_BLOCK         4096
#define ZONES_PER_BLOCK     (TABLE_BLOCK / QCOW2_ZONED_ENTRY_SIZE)
/* Largest single write of table blocks */
#define TABLE_RUN_BLOCKS    64
/* A part of a cluster is zeroed through a buffer of at most this many bytes */
#define ZERO_BUFFER         (64 * KiB)
/* A report lets others at the lock after this many zones */
#define REPORT_BATCH        512

/* A request that waits behind an operation on its zone, in arrival order */
typedef struct ZoneWaiter {
    uint32_t zone;
    CoQueue queue;
    QTAILQ_ENTRY(ZoneWaiter) next;
} ZoneWaiter;

/* A read in flight; tracked where a reset may give clusters away */
typedef struct ZoneRead {
    uint32_t zone;
    QLIST_ENTRY(ZoneRead) next;
} ZoneRead;

/* A write to the disk, accepted */
typedef struct ZonedWrite {
    ZoneWrite *w;
    ZoneExtent *extent;         /* NULL: nothing is mapped ahead for it */
    bool beyond;                /* it ends above what was mapped */
    bool astray;                /* entries on disk have to be put right first */
} ZonedWrite;

/* A new value for a table entry */
typedef struct EntryChange {
    uint32_t zone;
    uint32_t generation;        /* of the zone when the change was decided */
    uint64_t wp;                /* bytes, absolute */
} EntryChange;

struct Qcow2Zoned {
    Qcow2ZonedHeader hdr;
    uint64_t disk_size;         /* bytes */

    CoMutex op_lock;
    CoMutex table_lock;
    QemuMutex lock;

    /* Under lock */
    ZoneRules *rules;
    QTAILQ_HEAD(, ZoneWaiter) waiters;
    QLIST_HEAD(, ZoneRead) reads;
    CoQueue progress;           /* a write, read, hole or operation ended */
    Qcow2ZonedExtents *extents; /* mapped ahead of the write pointers */
    /*
     * Blocks of the table in which a zone may have more data than its entry
     * says, or a hole
     */
    unsigned long *dirty;

    /*
     * The table as it is on disk.  Changed under table_lock and lock, so that
     * either is enough to read it.
     */
    uint64_t *table;
    size_t table_bytes;         /* as written, a multiple of 512 */
    uint32_t nr_blocks;
    /* Under table_lock: blocks whose last write or flush failed */
    unsigned long *unsure;
    /*
     * Under lock: a reset or finish has failed, and may have left its entry on
     * disk.  Until z->table is written again, durably, nothing may be put in a
     * zone that the entry would expose, and none may be called done.
     */
    bool astray;
};

static inline Qcow2Zoned *zoned_state(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    return s->zoned;
}

/* --- Life --- */

Qcow2Zoned *qcow2_zoned_new(BlockDriverState *bs, const Qcow2ZonedHeader *h,
                            uint64_t *table, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree uint64_t *entries = table;
    size_t size = qcow2_zoned_table_size(h);
    Qcow2Zoned *z = g_new0(Qcow2Zoned, 1);
    uint32_t i;

    z->hdr = *h;
    z->disk_size = bs->total_sectors * BDRV_SECTOR_SIZE;
    z->table_bytes = ROUND_UP(size, MIN(s->cluster_size, TABLE_BLOCK));
    z->nr_blocks = DIV_ROUND_UP(h->nr_zones, ZONES_PER_BLOCK);

    qemu_co_mutex_init(&z->op_lock);
    qemu_co_mutex_init(&z->table_lock);
    qemu_mutex_init(&z->lock);
    QTAILQ_INIT(&z->waiters);
    QLIST_INIT(&z->reads);
    qemu_co_queue_init(&z->progress);
    z->extents = qcow2_zoned_extents_new(&z->lock);
    qcow2_zoned_extents_set_size(z->extents, QCOW2_ZONED_EXTENT_DEFAULT);

    z->dirty = bitmap_new(z->nr_blocks);
    z->unsure = bitmap_new(z->nr_blocks);
    z->table = qemu_try_blockalign0(bs->file->bs, z->table_bytes);
    z->rules = zone_rules_new(&(ZoneGeometry) {
        .disk_size = z->disk_size,
        .zone_size = h->zone_size,
        .zone_capacity = h->zone_capacity,
        .nr_zones = h->nr_zones,
        .nr_conventional = h->nr_conventional,
        .max_active = h->max_active,
        .max_open = h->max_open,
        .max_append = MIN(h->zone_capacity, QCOW2_ZONED_MAX_APPEND),
    });
    if (!z->table || !z->rules) {
        error_setg(errp, "Not enough memory for the state of %" PRIu32
                   " zones", h->nr_zones);
        qcow2_zoned_free(z);
        return NULL;
    }
    memcpy(z->table, entries, size);

    for (i = h->nr_conventional; i < h->nr_zones; i++) {
        zone_rules_load(z->rules, i, qcow2_zoned_entry_wp(z->table[i]));
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
    qcow2_zoned_extents_free(z->extents);
    qemu_vfree(z->table);
    g_free(z->dirty);
    g_free(z->unsure);
    qemu_mutex_destroy(&z->lock);
    g_free(z);
}

bool qcow2_zoned_check_extent_size(uint64_t bytes, Error **errp)
{
    if (bytes && (!is_power_of_2(bytes) || bytes < BDRV_SECTOR_SIZE ||
                  bytes > QCOW2_ZONED_EXTENT_MAX)) {
        error_setg(errp, "zone-extent-size %" PRIu64 " must be 0 or a power "
                   "of two from %llu to %" PRIu64, bytes, BDRV_SECTOR_SIZE,
                   (uint64_t)QCOW2_ZONED_EXTENT_MAX);
        return false;
    }
    return true;
}

void qcow2_zoned_set_extent_size(BlockDriverState *bs, uint64_t bytes)
{
    Qcow2Zoned *z = zoned_state(bs);

    if (z) {
        qcow2_zoned_extents_set_size(z->extents, bytes);
    }
}

const Qcow2ZonedHeader *qcow2_zoned_header(const Qcow2Zoned *z)
{
    return &z->hdr;
}

void qcow2_zoned_refresh_limits(BlockDriverState *bs)
{
    Qcow2Zoned *z = zoned_state(bs);
    BlockLimits *bl = &bs->bl;

    if (!z) {
        return;
    }
    bl->zoned = BLK_Z_HM;
    bl->zone_size = z->hdr.zone_size;
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

/* --- Waiting and bookkeeping, all with z->lock held --- */

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

/*
 * Wait until no operation is pending on @zone and all who came before have
 * had their turn.  The caller decides before it drops the lock.
 */
static void coroutine_fn wait_for_zone(Qcow2Zoned *z, uint32_t zone)
{
    ZoneWaiter self = { .zone = zone };
    ZoneWaiter *next;

    if (!zone_rules_op_pending(z->rules, self.zone) &&
        !first_waiter(z, self.zone)) {
        return;
    }

    qemu_co_queue_init(&self.queue);
    QTAILQ_INSERT_TAIL(&z->waiters, &self, next);
    do {
        qemu_co_queue_wait(&self.queue, &z->lock);
    } while (zone_rules_op_pending(z->rules, self.zone) ||
             first_waiter(z, self.zone) != &self);
    QTAILQ_REMOVE(&z->waiters, &self, next);

    /* It gets the lock only after the caller's decision. */
    next = first_waiter(z, self.zone);
    if (next) {
        qemu_co_queue_next(&next->queue);
    }
}

/* An operation ended: let those who waited for it look again. */
static void coroutine_fn wake_waiters(Qcow2Zoned *z)
{
    ZoneWaiter *w;

    QTAILQ_FOREACH(w, &z->waiters, next) {
        if (!zone_rules_op_pending(z->rules, w->zone)) {
            qemu_co_queue_next(&w->queue);
        }
    }
}

static void mark_dirty(Qcow2Zoned *z, uint32_t zone)
{
    if (zone >= z->hdr.nr_conventional) {
        set_bit(zone / ZONES_PER_BLOCK, z->dirty);
    }
}

/* Write pointer of sequential zone @i on disk, bytes; z->lock or table_lock */
static uint64_t entry_wp(Qcow2Zoned *z, uint32_t i)
{
    /* It was valid when it was loaded, and only valid ones are written. */
    return qcow2_zoned_entry_wp(z->table[i]);
}

static uint32_t first_zone_of(Qcow2Zoned *z, uint32_t block)
{
    return MAX(block * ZONES_PER_BLOCK, z->hdr.nr_conventional);
}

static uint32_t end_zone_of(Qcow2Zoned *z, uint32_t block)
{
    return MIN((block + 1) * ZONES_PER_BLOCK, z->hdr.nr_zones);
}

#ifdef ZONE_VERIFY
/*
 * What is always true of the table between two changes under z->lock: an entry
 * on disk never leads its data, and what a flush has to look at is marked.  For
 * test builds: it looks at every zone.
 */
static void verify(Qcow2Zoned *z)
{
    uint32_t i;

    for (i = z->hdr.nr_conventional; i < MIN(z->hdr.nr_zones, 4096); i++) {
        uint64_t wp = entry_wp(z, i);

        /* Until an operation ends the rules do not know what it has done. */
        if (!zone_rules_op_pending(z->rules, i)) {
            g_assert(wp <= zone_rules_complete(z->rules, i));
            g_assert(wp >= zone_rules_acknowledged(z->rules, i) ||
                     test_bit(i / ZONES_PER_BLOCK, z->dirty));
        }
    }
}
#else
static inline void verify(Qcow2Zoned *z)
{
}
#endif

/* --- Data --- */

/*
 * What the file below answers is no zoned condition, whatever its value: a
 * network file system may know some of these errno values, too.
 */
static int host_error(int ret)
{
    return ret < 0 && block_zone_strerror(ret) ? -EIO : ret;
}

/* The zone of a write or hole in it has changed.  z->lock is held. */
static void coroutine_fn zone_changed(Qcow2Zoned *z, uint32_t zone)
{
    /* Also a failure: it may leave a hole, which a flush has to look at. */
    mark_dirty(z, zone);
    verify(z);
    qemu_co_queue_restart_all(&z->progress);
}

static void coroutine_fn end_write(Qcow2Zoned *z, ZonedWrite *zw, bool ok)
{
    uint32_t zone = zone_rules_index(z->rules, zw->w->start);

    QEMU_LOCK_GUARD(&z->lock);
    if (zw->extent) {
        qcow2_zoned_extent_put(z->extents, zw->extent);
    }
    zone_write_end(z->rules, zw->w, ok);
    zone_changed(z, zone);
}

/*
 * End a write that came with @flags, whose data has been written (@ret >= 0).
 * The generic layer's own flush for FUA comes when the write has ended: one
 * that fails then has moved the write pointer for good, so that its retry
 * would be refused.
 */
static int coroutine_fn GRAPH_RDLOCK
settle_write(BlockDriverState *bs, Qcow2Zoned *z, ZonedWrite *zw,
             BdrvRequestFlags flags, int ret)
{
    if (ret >= 0 && (flags & BDRV_REQ_FUA) && !ZONE_FAULT("fua-no-flush")) {
        WITH_QEMU_LOCK_GUARD(&z->lock) {
            zone_write_placed(z->rules, zw->w);
            zone_changed(z, zone_rules_index(z->rules, zw->w->start));
        }
        ret = bdrv_co_flush(bs);
    }
    end_write(z, zw, ret >= 0);
    return host_error(ret);
}

/*
 * A write was accepted: where does it stand in its zone, whose write pointer it
 * has moved (@fresh) or not?  z->lock is held.
 */
static void accepted(Qcow2Zoned *z, ZonedWrite *zw, bool fresh)
{
    uint32_t zone = zone_rules_index(z->rules, zw->w->start);
    uint64_t end = zw->w->start + zw->w->bytes;

    zw->extent = NULL;
    zw->beyond = false;
    zw->astray = z->astray;
    /*
     * Not where it fills a hole: the pointer on disk may be above it, so that
     * nothing may be mapped there ahead of the data.
     */
    if (fresh) {
        zw->extent = qcow2_zoned_extent_get(z->extents, zone, end,
                                            &zw->beyond);
    }
}

static int coroutine_fn accept_write(Qcow2Zoned *z, uint64_t offset,
                                     uint64_t bytes, ZonedWrite *zw)
{
    uint32_t zone = MAX(zone_rules_index(z->rules, offset),
                        z->hdr.nr_conventional);
    uint64_t wp;
    int ret;

    QEMU_LOCK_GUARD(&z->lock);
    for (;;) {
        if (zone <= zone_rules_index(z->rules, offset + bytes - 1)) {
            /* The rules decide by the first sequential zone touched. */
            wait_for_zone(z, zone);
        }
        wp = zone_rules_wp(z->rules, zone_rules_index(z->rules, offset));
        ret = zone_write_begin(z->rules, offset, bytes, &zw->w);
        if (ret != -EAGAIN) {
            break;
        }
        /* A flush is writing zeros over the hole that this is to fill. */
        qemu_co_queue_wait(&z->progress, &z->lock);
    }
    if (ret >= 0) {
        accepted(z, zw, zone_rules_wp(z->rules, zone_rules_index(
                            z->rules, offset)) != wp);
    }
    return ret;
}

static int coroutine_fn accept_append(Qcow2Zoned *z, uint64_t offset,
                                      uint64_t bytes, ZonedWrite *zw)
{
    int ret;

    if (offset >= z->disk_size) {
        return -BLK_ZONE_ERR_INVALID_APPEND;
    }
    QEMU_LOCK_GUARD(&z->lock);
    wait_for_zone(z, zone_rules_index(z->rules, offset));
    ret = zone_append_begin(z->rules, offset, bytes, &zw->w);
    if (ret >= 0) {
        accepted(z, zw, true);
    }
    return ret;
}

static int coroutine_fn GRAPH_RDLOCK put_right(BlockDriverState *bs,
                                               Qcow2Zoned *z);

/* The data of an accepted write */
static int coroutine_fn GRAPH_RDLOCK
write_data(BlockDriverState *bs, Qcow2Zoned *z, ZonedWrite *zw,
           QEMUIOVector *qiov, size_t qiov_offset, BdrvRequestFlags flags)
{
    uint64_t start = zw->w->start;
    uint64_t bytes = zw->w->bytes;

    if (zw->astray) {
        int ret = put_right(bs, z);

        if (ret < 0) {
            return ret;
        }
    }
    if (zw->beyond) {
        uint32_t zone = zone_rules_index(z->rules, start);

        qcow2_zoned_extent_map(bs, z->extents, zw->extent, start,
                               start + bytes,
                               zone_rules_capacity_end(z->rules, zone));
    }
    return qcow2_co_pwritev_part(bs, start, bytes, qiov, qiov_offset, flags);
}

/* Write zeros through a buffer, where the range does not read as zeros yet. */
static int coroutine_fn GRAPH_RDLOCK
zero_part(BlockDriverState *bs, uint64_t offset, uint64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree void *buf = NULL;

    while (bytes) {
        unsigned int n = MIN(bytes, ZERO_BUFFER);
        QCow2SubclusterType type;
        uint64_t host_offset;
        int ret;

        qemu_co_mutex_lock(&s->lock);
        /* A write in flight below may be about to map this cluster. */
        qcow2_wait_for_dependencies(bs, offset, n);
        ret = qcow2_get_host_offset(bs, offset, &n, &host_offset, &type);
        qemu_co_mutex_unlock(&s->lock);
        if (ret < 0) {
            return ret;
        }

        switch (type) {
        case QCOW2_SUBCLUSTER_UNALLOCATED_PLAIN:
        case QCOW2_SUBCLUSTER_UNALLOCATED_ALLOC:
        case QCOW2_SUBCLUSTER_ZERO_PLAIN:
        case QCOW2_SUBCLUSTER_ZERO_ALLOC:
            break;
        default: {
            QEMUIOVector qiov;

            if (!buf) {
                buf = g_malloc0(ZERO_BUFFER);
            }
            qemu_iovec_init_buf(&qiov, buf, n);
            ret = qcow2_co_pwritev_part(bs, offset, n, &qiov, 0, 0);
            if (ret < 0) {
                return ret;
            }
        }
        }
        offset += n;
        bytes -= n;
    }
    return 0;
}

/*
 * Make a range read as zeros, with metadata where it covers whole subclusters.
 * Never -ENOTSUP: the generic layer would answer that with a write of its own,
 * which would meet a write pointer that has moved on.
 */
static int coroutine_fn GRAPH_RDLOCK
zeroize(BlockDriverState *bs, uint64_t offset, uint64_t bytes,
        BdrvRequestFlags flags)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t end = offset + bytes;
    uint64_t from = MIN(ROUND_UP(offset, s->subcluster_size), end);
    uint64_t to = end == bs->total_sectors * BDRV_SECTOR_SIZE ?
                  end : MAX(QEMU_ALIGN_DOWN(end, s->subcluster_size), from);
    int ret = 0;

    if (offset < from) {
        ret = zero_part(bs, offset, from - offset);
    }
    if (ret >= 0 && from < to) {
        qemu_co_mutex_lock(&s->lock);
        ret = qcow2_subcluster_zeroize(bs, from, to - from,
                                       flags & BDRV_REQ_MAY_UNMAP);
        qemu_co_mutex_unlock(&s->lock);
    }
    if (ret >= 0 && to < end) {
        ret = zero_part(bs, to, end - to);
    }
    return ret == -ENOTSUP ? -EIO : ret;
}

/* Fill a hole that was claimed with zone_hole_begin(). */
static int coroutine_fn GRAPH_RDLOCK
fill_hole(BlockDriverState *bs, Qcow2Zoned *z, ZoneWrite *hole)
{
    uint32_t zone = zone_rules_index(z->rules, hole->start);
    int ret = zeroize(bs, hole->start, hole->bytes, 0);

    QEMU_LOCK_GUARD(&z->lock);
    zone_hole_end(z->rules, hole, ret >= 0);
    zone_changed(z, zone);
    return ret;
}

int coroutine_fn
qcow2_zoned_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                           QEMUIOVector *qiov, size_t qiov_offset,
                           BdrvRequestFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    bool track = bs->open_flags & BDRV_O_UNMAP;
    int ret;

    if (!z) {
        return qcow2_co_preadv_part(bs, offset, bytes, qiov, qiov_offset,
                                    flags);
    }

    while (bytes) {
        ZoneRead r;
        uint64_t n;

        WITH_QEMU_LOCK_GUARD(&z->lock) {
            if (track) {
                /* What a reset gives back may get another owner meanwhile. */
                wait_for_zone(z, zone_rules_index(z->rules, offset));
            }
            ret = zone_read_part(z->rules, offset, bytes, &n);
            if (ret == 0 && ZONE_FAULT("stale-read")) {
                ret = 1;
            }
            if (ret > 0 && track) {
                r.zone = zone_rules_index(z->rules, offset);
                QLIST_INSERT_HEAD(&z->reads, &r, next);
            }
        }
        if (ret < 0) {
            return ret;
        }

        if (ret) {
            ret = qcow2_co_preadv_part(bs, offset, n, qiov, qiov_offset,
                                       flags);
            if (track) {
                QEMU_LOCK_GUARD(&z->lock);
                QLIST_REMOVE(&r, next);
                qemu_co_queue_restart_all(&z->progress);
            }
            if (ret < 0) {
                return host_error(ret);
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
qcow2_zoned_co_pwritev_part(BlockDriverState *bs, int64_t offset,
                            int64_t bytes, QEMUIOVector *qiov,
                            size_t qiov_offset, BdrvRequestFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    ZonedWrite zw;
    int ret;

    if (!z || !bytes) {
        return qcow2_co_pwritev_part(bs, offset, bytes, qiov, qiov_offset,
                                     flags);
    }

    ret = accept_write(z, offset, bytes, &zw);
    if (ret < 0) {
        return ret;
    }
    ret = write_data(bs, z, &zw, qiov, qiov_offset, flags & ~BDRV_REQ_FUA);
    return settle_write(bs, z, &zw, flags, ret);
}

int coroutine_fn
qcow2_zoned_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                             int64_t bytes, BdrvRequestFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    ZonedWrite zw;
    int ret;

    if (!z) {
        return qcow2_co_pwrite_zeroes(bs, offset, bytes, flags);
    }
    if (!bytes) {
        return 0;
    }

    ret = accept_write(z, offset, bytes, &zw);
    if (ret < 0) {
        return ret;
    }
    if (zw.beyond) {
        qcow2_zoned_extent_pass(z->extents, zw.extent, offset + bytes);
    }
    ret = zw.astray ? put_right(bs, z) : 0;
    if (ret >= 0) {
        ret = zeroize(bs, offset, bytes, flags);
    }
    return settle_write(bs, z, &zw, flags, ret);
}

int coroutine_fn
qcow2_zoned_co_zone_append(BlockDriverState *bs, int64_t *offset,
                           QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    ZonedWrite zw;
    int64_t start;
    int ret;

    if (!z) {
        return -ENOTSUP;
    }
    ret = accept_append(z, *offset, qiov->size, &zw);
    if (ret < 0) {
        return ret;
    }
    start = zw.w->start;
    ret = write_data(bs, z, &zw, qiov, 0, flags);
    end_write(z, &zw, ret >= 0);
    if (ret >= 0) {
        *offset = start;
    }
    return host_error(ret);
}

int coroutine_fn
qcow2_zoned_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    Qcow2Zoned *z = zoned_state(bs);

    if (z) {
        /* In sequential zones a discard is a hint without effect. */
        uint64_t conv_end = z->hdr.nr_conventional * z->hdr.zone_size;

        if (offset >= conv_end) {
            return 0;
        }
        bytes = MIN(bytes, conv_end - offset);
    }
    return qcow2_co_pdiscard(bs, offset, bytes);
}

int coroutine_fn
qcow2_zoned_co_block_status(BlockDriverState *bs, bool want_zero,
                            int64_t offset, int64_t bytes, int64_t *pnum,
                            int64_t *map, BlockDriverState **file)
{
    Qcow2Zoned *z = zoned_state(bs);
    uint64_t n;
    int ret;

    if (z) {
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
        bytes = n;
    }
    return qcow2_co_block_status(bs, want_zero, offset, bytes, pnum, map,
                                 file);
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

/* --- The table on disk --- */

/* Make everything that was written to the image so far durable. */
static int coroutine_fn GRAPH_RDLOCK flush_data(BlockDriverState *bs)
{
    int ret = ZONE_FAULT("table-before-maps") ? 0 : qcow2_co_flush_to_os(bs);

    return ret < 0 ? ret : bdrv_co_flush(bs->file->bs);
}

/*
 * Write the blocks of the table that @changes (ascending) touch, and those
 * that are unsure.  z->table stays as it is until commit_changes(), and all
 * blocks written here are unsure until then.  table_lock is held.
 */
static int coroutine_fn GRAPH_RDLOCK
write_changes(BlockDriverState *bs, Qcow2Zoned *z, const EntryChange *changes,
              size_t nr)
{
    uint32_t block, end;
    size_t i;

    for (i = 0; i < nr; i++) {
        set_bit(changes[i].zone / ZONES_PER_BLOCK, z->unsure);
    }

    i = 0;
    for (block = find_first_bit(z->unsure, z->nr_blocks);
         block < z->nr_blocks;
         block = find_next_bit(z->unsure, z->nr_blocks, end)) {
        uint64_t at = (uint64_t)block * TABLE_BLOCK;
        QEMU_AUTO_VFREE uint64_t *buf = NULL;
        size_t bytes;
        int ret;

        end = find_next_zero_bit(z->unsure, z->nr_blocks, block);
        end = MIN(end, block + TABLE_RUN_BLOCKS);
        bytes = MIN((uint64_t)end * TABLE_BLOCK, z->table_bytes) - at;

        buf = qemu_blockalign(bs->file->bs, bytes);
        memcpy(buf, (uint8_t *)z->table + at, bytes);
        if (ZONE_FAULT("publish-neighbours")) {
            for (uint32_t k = first_zone_of(z, block);
                 k < end_zone_of(z, block); k++) {
                buf[k - block * ZONES_PER_BLOCK] = qcow2_zoned_entry_encode(
                    &z->hdr, k, zone_rules_complete(z->rules, k));
            }
        }
        for (; i < nr && changes[i].zone < end * ZONES_PER_BLOCK; i++) {
            buf[changes[i].zone - block * ZONES_PER_BLOCK] =
                qcow2_zoned_entry_encode(&z->hdr, changes[i].zone,
                                         changes[i].wp);
        }
        BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_WRITE);
        ret = bdrv_co_pwrite(bs->file, z->hdr.table_offset + at, bytes, buf,
                             0);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* What write_changes() wrote is on disk now.  table_lock and z->lock held. */
static void commit_changes(Qcow2Zoned *z, const EntryChange *changes,
                           size_t nr)
{
    size_t i;

    for (i = 0; i < nr; i++) {
        z->table[changes[i].zone] =
            qcow2_zoned_entry_encode(&z->hdr, changes[i].zone, changes[i].wp);
    }
    /* What is astray has to be right durably, and a flush may not be yet. */
    if (!z->astray) {
        bitmap_zero(z->unsure, z->nr_blocks);
    }
    verify(z);
}

/* Write @changes, and what is unsure, and make it durable; table_lock held. */
static int coroutine_fn GRAPH_RDLOCK
change_table(BlockDriverState *bs, Qcow2Zoned *z, const EntryChange *changes,
             size_t nr)
{
    int ret = write_changes(bs, z, changes, nr);

    if (ret >= 0 && !(nr && ZONE_FAULT("reset-no-flush"))) {
        BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_FLUSH);
        ret = bdrv_co_flush(bs->file->bs);
    }
    if (ret >= 0) {
        QEMU_LOCK_GUARD(&z->lock);
        z->astray = false;
        commit_changes(z, changes, nr);
    }
    return ret;
}

static bool is_astray(Qcow2Zoned *z)
{
    QEMU_LOCK_GUARD(&z->lock);
    return z->astray && !ZONE_FAULT("astray-ignored");
}

/* Put z->table on disk again where an operation that failed left another. */
static int coroutine_fn GRAPH_RDLOCK put_right(BlockDriverState *bs,
                                               Qcow2Zoned *z)
{
    if (!is_astray(z)) {
        return 0;
    }
    QEMU_LOCK_GUARD(&z->table_lock);
    return is_astray(z) ? host_error(change_table(bs, z, NULL, 0)) : 0;
}

/* --- Flush --- */

/*
 * Wait until all that was acknowledged in zone @zone when the flush began
 * (@target, bytes) lies in a prefix without holes, filling holes with zeros,
 * or until the zone was reset or finished, which makes its entry durable
 * itself.  z->lock is held, and dropped meanwhile.
 */
static int coroutine_fn GRAPH_RDLOCK
complete_prefix(BlockDriverState *bs, Qcow2Zoned *z, uint32_t zone,
                uint32_t generation, uint64_t target)
{
    while (zone_rules_generation(z->rules, zone) == generation) {
        ZoneWrite *hole = NULL;
        int ret;

        /*
         * Not under an operation that is past its wait for writes.  One that
         * is not may wait for a FUA write that waits for this flush.
         */
        if (!zone_rules_op_pending(z->rules, zone) ||
            zone_rules_op_waits(z->rules, zone)) {
            hole = zone_hole_begin(z->rules, zone);
        }
        if (hole) {
            qemu_mutex_unlock(&z->lock);
            ret = fill_hole(bs, z, hole);
            qemu_mutex_lock(&z->lock);
            if (ret < 0) {
                return ret;
            }
        } else if (zone_rules_complete(z->rules, zone) < target) {
            qemu_co_queue_wait(&z->progress, &z->lock);
        } else {
            break;
        }
    }
    return 0;
}

/*
 * Append to @samples one change for each zone that has holes, or acknowledged
 * writes that the table does not cover yet.  z->lock is held, and dropped
 * meanwhile.
 */
static int coroutine_fn GRAPH_RDLOCK
sample_zones(BlockDriverState *bs, Qcow2Zoned *z, GArray *samples)
{
    uint32_t block, i;
    guint k;

    /* First all targets, at one point in time: now. */
    for (block = find_first_bit(z->dirty, z->nr_blocks);
         block < z->nr_blocks;
         block = find_next_bit(z->dirty, z->nr_blocks, block + 1)) {
        guint before = samples->len;

        for (i = first_zone_of(z, block); i < end_zone_of(z, block); i++) {
            uint64_t target = zone_rules_acknowledged(z->rules, i);

            if (i % 2 && ZONE_FAULT("forget-zone")) {
                continue;
            }
            if (target > entry_wp(z, i) || zone_rules_has_hole(z->rules, i)) {
                g_array_append_vals(samples, &(EntryChange) {
                    .zone = i,
                    .generation = zone_rules_generation(z->rules, i),
                    .wp = target,
                }, 1);
            }
        }
        if (samples->len == before || ZONE_FAULT("clear-dirty-early")) {
            /* The next write to end there marks it again. */
            clear_bit(block, z->dirty);
        }
    }

    for (k = 0; k < samples->len; k++) {
        EntryChange *c = &g_array_index(samples, EntryChange, k);
        int ret;

        if (ZONE_FAULT("over-hole")) {
            continue;
        }
        ret = complete_prefix(bs, z, c->zone, c->generation, c->wp);
        if (ret < 0) {
            return ret;
        }
        c->wp = zone_rules_complete(z->rules, c->zone);
    }
    return 0;
}

/* Keep those @samples that are still true and raise an entry.  Both locks. */
static void drop_stale_samples(Qcow2Zoned *z, GArray *samples)
{
    guint k, kept = 0;

    for (k = 0; k < samples->len; k++) {
        EntryChange c = g_array_index(samples, EntryChange, k);

        if (ZONE_FAULT("sample-late")) {
            c.wp = zone_rules_complete(z->rules, c.zone);
        }
        if ((zone_rules_generation(z->rules, c.zone) == c.generation ||
             ZONE_FAULT("late-flush-over-reset")) &&
            c.wp > entry_wp(z, c.zone)) {
            g_array_index(samples, EntryChange, kept++) = c;
        }
    }
    g_array_set_size(samples, kept);
}

/*
 * The generic layer flushes the file after this, which makes the raised
 * entries durable.  A zone operation that fails leaves unsure blocks, which
 * are written here as well.
 */
int coroutine_fn qcow2_zoned_co_flush_to_os(BlockDriverState *bs)
{
    Qcow2Zoned *z = zoned_state(bs);
    g_autoptr(GArray) samples = NULL;
    const EntryChange *changes;
    bool clean = false;
    int ret;

    if (!z) {
        return qcow2_co_flush_to_os(bs);
    }

    /* Before what maps data is durable, which entries astray would expose. */
    ret = put_right(bs, z);
    if (ret < 0) {
        return ret;
    }

    samples = g_array_new(false, false, sizeof(EntryChange));
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        clean = bitmap_empty(z->dirty, z->nr_blocks);
        ret = clean ? 0 : sample_zones(bs, z, samples);
    }
    if (ret < 0) {
        return host_error(ret);
    }
    if (samples->len == 0) {
        ret = qcow2_co_flush_to_os(bs);
    } else {
        /* Rule: the data below an entry first, durable, then the entry. */
        ret = ZONE_FAULT("raise-before-data") ? 0 : flush_data(bs);
    }
    if (ret < 0) {
        return host_error(ret);
    }

    QEMU_LOCK_GUARD(&z->table_lock);
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        drop_stale_samples(z, samples);
    }
    if (samples->len == 0 && (bitmap_empty(z->unsure, z->nr_blocks) ||
                              ZONE_FAULT("unsure-forgotten"))) {
        return 0;
    }
    changes = (const EntryChange *)samples->data;
    ret = write_changes(bs, z, changes, samples->len);
    trace_qcow2_zoned_flush(bs, samples->len, ret);
    if (ret < 0) {
        return ZONE_FAULT("flush-error-lost") ? 0 : host_error(ret);
    }
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        commit_changes(z, changes, samples->len);
    }
    BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_FLUSH);
    return 0;
}

/* The entry that zone @i should have, with nothing in flight */
static uint64_t current_entry(Qcow2Zoned *z, uint32_t i)
{
    return qcow2_zoned_entry_encode(&z->hdr, i,
                                    zone_rules_complete(z->rules, i));
}

static bool block_differs(Qcow2Zoned *z, uint32_t block)
{
    uint32_t i;

    for (i = first_zone_of(z, block); i < end_zone_of(z, block); i++) {
        if (current_entry(z, i) != z->table[i]) {
            return true;
        }
    }
    return false;
}

/*
 * Does a hole keep an entry of this block below what was acknowledged?  Only a
 * flush fills holes.
 */
static bool block_has_gap(Qcow2Zoned *z, uint32_t block)
{
    uint32_t i;

    for (i = first_zone_of(z, block); i < end_zone_of(z, block); i++) {
        if (zone_rules_complete(z->rules, i) <
            zone_rules_acknowledged(z->rules, i)) {
            return true;
        }
    }
    return false;
}

int coroutine_mixed_fn qcow2_zoned_sync(BlockDriverState *bs)
{
    Qcow2Zoned *z = zoned_state(bs);
    uint32_t block, i;
    bool gap = false;
    int ret;

    if (!z || bdrv_is_read_only(bs) || (bs->open_flags & BDRV_O_INACTIVE)) {
        return 0;
    }

    /*
     * Nothing is in flight, so that no lock is needed.  Most often a flush has
     * just written what is marked dirty.
     */
    for (block = find_first_bit(z->dirty, z->nr_blocks);
         block < z->nr_blocks;
         block = find_next_bit(z->dirty, z->nr_blocks, block + 1)) {
        if (block_has_gap(z, block)) {
            gap = true;
        } else if (!block_differs(z, block)) {
            clear_bit(block, z->dirty);
        }
    }
    if (bitmap_empty(z->dirty, z->nr_blocks) &&
        bitmap_empty(z->unsure, z->nr_blocks)) {
        return 0;
    }
    ret = qcow2_flush_caches(bs);
    if (ret < 0) {
        return ret;
    }
    for (block = 0; block < z->nr_blocks; block++) {
        uint64_t at = (uint64_t)block * TABLE_BLOCK;

        if (!test_bit(block, z->dirty) && !test_bit(block, z->unsure)) {
            continue;
        }
        for (i = first_zone_of(z, block); i < end_zone_of(z, block); i++) {
            z->table[i] = current_entry(z, i);
        }
        set_bit(block, z->unsure);
        BLKDBG_EVENT(bs->file, BLKDBG_ZONE_TABLE_WRITE);
        ret = bdrv_pwrite(bs->file, z->hdr.table_offset + at,
                          MIN(TABLE_BLOCK, z->table_bytes - at),
                          (uint8_t *)z->table + at, 0);
        if (ret < 0) {
            return ret;
        }
    }
    BLKDBG_EVENT(bs->file, BLKDBG_ZONE_TABLE_FLUSH);
    ret = bdrv_flush(bs->file->bs);
    if (ret < 0) {
        return ret;
    }
    bitmap_zero(z->unsure, z->nr_blocks);
    z->astray = false;
    if (gap) {
        /* What is dirty stays so: a flush may yet succeed, and this after it */
        return -EIO;
    }
    bitmap_zero(z->dirty, z->nr_blocks);
    return 0;
}

/* --- Zone operations --- */

/* A tracked read in a zone under an operation?  z->lock is held. */
static bool reads_pending(Qcow2Zoned *z)
{
    ZoneRead *r;

    QLIST_FOREACH(r, &z->reads, next) {
        if (zone_rules_op_pending(z->rules, r->zone)) {
            return true;
        }
    }
    return false;
}

/*
 * Before the entries of a finish are changed: the rest of each zone reads as
 * zeros, and all of its data is durable.
 */
static int coroutine_fn GRAPH_RDLOCK
finish_data(BlockDriverState *bs, Qcow2Zoned *z, const ZoneOp *op)
{
    uint32_t i;
    int ret;

    for (i = 0; i < op->nr; i++) {
        uint32_t zone = op->zones[i];
        uint64_t end = zone_rules_capacity_end(z->rules, zone);
        ZoneWrite *hole;
        ZoneInfo info;

        for (;;) {
            WITH_QEMU_LOCK_GUARD(&z->lock) {
                hole = zone_hole_begin(z->rules, zone);
            }
            if (!hole) {
                break;
            }
            ret = fill_hole(bs, z, hole);
            if (ret < 0) {
                return ret;
            }
        }

        WITH_QEMU_LOCK_GUARD(&z->lock) {
            zone_rules_get(z->rules, zone, &info);
        }
        if (info.wp < end && !ZONE_FAULT("finish-no-zeros")) {
            ret = zeroize(bs, info.wp, end - info.wp,
                          bs->open_flags & BDRV_O_UNMAP ?
                          BDRV_REQ_MAY_UNMAP : 0);
            if (ret < 0) {
                return ret;
            }
        }
    }
    return flush_data(bs);
}

/*
 * Give the clusters of reset zones back.  A failure costs space, not data, so
 * it fails nothing.
 */
static void coroutine_fn GRAPH_RDLOCK
discard_zones(BlockDriverState *bs, Qcow2Zoned *z, const ZoneOp *op)
{
    BDRVQcow2State *s = bs->opaque;
    uint32_t i;

    for (i = 0; i < op->nr; i++) {
        uint64_t start = zone_rules_start(z->rules, op->zones[i]);
        uint64_t bytes = MIN(z->hdr.zone_size, z->disk_size - start);

        qemu_co_mutex_lock(&s->lock);
        qcow2_cluster_discard(bs, start, bytes, QCOW2_DISCARD_REQUEST,
                              !s->discard_no_unref);
        qemu_co_mutex_unlock(&s->lock);
    }
}

/* Carry out a reset or finish that the rules have let begin. */
static int coroutine_fn GRAPH_RDLOCK
run_op(BlockDriverState *bs, Qcow2Zoned *z, ZoneOp *op)
{
    bool reset = op->type == ZONE_OP_RESET;
    bool unmap = reset && (bs->open_flags & BDRV_O_UNMAP);
    g_autofree EntryChange *changes = g_try_new(EntryChange, op->nr);
    uint32_t i;
    int ret = changes ? 0 : -ENOMEM;

    WITH_QEMU_LOCK_GUARD(&z->lock) {
        while (!zone_op_drained(z->rules, op) ||
               (unmap && reads_pending(z))) {
            qemu_co_queue_wait(&z->progress, &z->lock);
        }
        /* The holes are ours alone now: a flush waits for us. */
        zone_op_start(z->rules, op);
    }
    if (ret == 0 && !reset) {
        ret = finish_data(bs, z, op);
    }

    QEMU_LOCK_GUARD(&z->table_lock);
    if (ret >= 0) {
        for (i = 0; i < op->nr; i++) {
            uint32_t zone = op->zones[i];

            changes[i].zone = zone;
            changes[i].wp = reset ? zone_rules_start(z->rules, zone)
                                  : zone_rules_capacity_end(z->rules, zone);
        }
        if (unmap && ZONE_FAULT("free-before-reset")) {
            discard_zones(bs, z, op);
        }
        ret = change_table(bs, z, changes, op->nr);
        if (ret < 0 && !ZONE_FAULT("unsure-forgotten")) {
            WITH_QEMU_LOCK_GUARD(&z->lock) {
                z->astray = true;
            }
            /* At once if possible; else whoever comes next has to. */
            change_table(bs, z, NULL, 0);
        } else if (ret >= 0 && unmap) {
            /* Before the zones take writes again, which would be lost. */
            discard_zones(bs, z, op);
        }
    }

    /*
     * Still under table_lock: a flush that sampled before must not find the
     * new entries with the old generation.
     */
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        for (i = 0; i < op->nr; i++) {
            qcow2_zoned_extent_forget(z->extents, op->zones[i]);
        }
        zone_op_end(z->rules, op, ret >= 0);
        verify(z);
        wake_waiters(z);
        qemu_co_queue_restart_all(&z->progress);
    }
    return ret;
}

/*
 * A finish has nothing to change in a zone that writes have filled, but
 * promises that it is full on disk, which it is only after a flush.
 */
static int coroutine_fn GRAPH_RDLOCK
settle_full_zones(BlockDriverState *bs, Qcow2Zoned *z, uint64_t offset,
                  uint64_t len)
{
    uint32_t i = zone_rules_index(z->rules, offset);
    uint32_t last = zone_rules_index(z->rules, offset + len - 1);
    bool full = false, written = true;
    int ret = 0;

    WITH_QEMU_LOCK_GUARD(&z->lock) {
        for (; i <= last; i++) {
            ZoneInfo info;

            zone_rules_get(z->rules, i, &info);
            if (info.state != ZONE_STATE_FULL) {
                continue;
            }
            full = true;
            if (entry_wp(z, i) < zone_rules_capacity_end(z->rules, i)) {
                uint32_t generation = zone_rules_generation(z->rules, i);

                /* A reset that comes in between takes its place. */
                while (zone_rules_in_flight(z->rules, i) &&
                       zone_rules_generation(z->rules, i) == generation) {
                    qemu_co_queue_wait(&z->progress, &z->lock);
                }
                written = false;
            }
        }
    }
    if (!full || ZONE_FAULT("finish-full-early")) {
        return 0;
    }
    if (!written) {
        ret = qcow2_zoned_co_flush_to_os(bs);
    }
    /* The flush that wrote the entry may still be on its way to the disk. */
    return ret < 0 ? ret : bdrv_co_flush(bs->file->bs);
}

/*
 * Is an operation pending in a zone that one on [@offset, @offset + @len), or
 * on all zones (@all), would act on?  z->lock is held.
 */
static bool range_pending(Qcow2Zoned *z, bool all, int64_t offset, int64_t len)
{
    uint32_t i;

    if (!zone_rules_nr_pending(z->rules)) {
        return false;
    }
    if (all) {
        return true;
    }
    if (offset < 0 || len <= 0 || len > z->disk_size ||
        offset > z->disk_size - len) {
        /* The rules refuse it. */
        return false;
    }
    for (i = zone_rules_index(z->rules, offset);
         i <= zone_rules_index(z->rules, offset + len - 1); i++) {
        if (zone_rules_op_pending(z->rules, i)) {
            return true;
        }
    }
    return false;
}

/* Let the rules begin an operation once its zones have no other one. */
static int coroutine_fn
begin_op(Qcow2Zoned *z, BlockZoneOp op, int64_t offset, int64_t len,
         BdrvZoneFlags flags, ZoneOp **zop)
{
    bool all = (flags & BDRV_ZONE_ALL) ||
               (offset == 0 && len == z->disk_size);

    QEMU_LOCK_GUARD(&z->lock);
    while (range_pending(z, all, offset, len)) {
        qemu_co_queue_wait(&z->progress, &z->lock);
    }
    return zone_op_begin(z->rules, (ZoneOpType)op, flags, offset, len, zop);
}

int coroutine_fn
qcow2_zoned_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                         int64_t len, BdrvZoneFlags flags)
{
    Qcow2Zoned *z = zoned_state(bs);
    bool quick = (op == BLK_ZO_OPEN || op == BLK_ZO_CLOSE) &&
                 !(flags & BDRV_ZONE_ALL);
    ZoneOp *zop = NULL;
    uint32_t nr;
    int ret;

    if (!z) {
        return -ENOTSUP;
    }

    if (quick) {
        ret = begin_op(z, op, offset, len, flags, &zop);
    } else {
        /* In the order of arrival, or one on all zones might never begin. */
        QEMU_LOCK_GUARD(&z->op_lock);
        ret = begin_op(z, op, offset, len, flags, &zop);
    }
    nr = zop ? zop->nr : 0;
    if (ret >= 0 && zop) {
        ret = host_error(run_op(bs, z, zop));
    } else if (ret >= 0 && (op == BLK_ZO_RESET || op == BLK_ZO_FINISH)) {
        /* Nothing to change, so that it had better be so on disk. */
        ret = put_right(bs, z);
    }
    if (ret >= 0 && op == BLK_ZO_FINISH && !(flags & BDRV_ZONE_ALL)) {
        ret = host_error(settle_full_zones(bs, z, offset, len));
    }
    trace_qcow2_zoned_mgmt(bs, op, offset, len, flags, nr, ret);
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
