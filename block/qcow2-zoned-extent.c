/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: clusters mapped ahead of the write pointers
 *
 * The order is allocate, reserve, link, so that a mapping never leads to
 * clusters beyond the end of the file; a crash in between leaks clusters.
 * What is mapped is remembered in memory only, and only for the zones written
 * last: asking qcow2 to map it once more does no harm.
 */
#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "qemu/lockable.h"
#include "block/block-io.h"
#include "block/block_int.h"
#include "block/qcow2-zoned-extent.h"
#include "block/zone-fault.h"
#include "qcow2.h"
#include "trace.h"

/* Zones without a write in flight that are remembered */
#define MAX_IDLE        1024

struct ZoneExtent {
    uint32_t zone;
    uint32_t users;             /* writes in flight */
    /*
     * Bytes, absolute: nothing below is mapped ahead any more.  Every write at
     * the write pointer raises this over itself before its data, or its
     * zeros, go out, and it is kept while one is in flight.  So one that is
     * late never maps clusters that a write above it has filled with zeros,
     * or that a flush has because that write failed.
     */
    uint64_t mapped;
    bool busy;                  /* somebody is mapping more */
    CoQueue queue;              /* for !busy */
    QTAILQ_ENTRY(ZoneExtent) idle;
};

struct Qcow2ZonedExtents {
    QemuMutex *lock;            /* the caller's; never held over a yield */
    uint64_t size;              /* of an extent, bytes */
    GHashTable *zones;          /* zone -> ZoneExtent */
    QTAILQ_HEAD(, ZoneExtent) idle; /* without users, longest first */
    uint32_t nr_idle;
};

Qcow2ZonedExtents *qcow2_zoned_extents_new(QemuMutex *lock)
{
    Qcow2ZonedExtents *x = g_new0(Qcow2ZonedExtents, 1);

    x->lock = lock;
    x->zones = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    QTAILQ_INIT(&x->idle);
    return x;
}

void qcow2_zoned_extents_free(Qcow2ZonedExtents *x)
{
    if (x) {
        assert(x->nr_idle == g_hash_table_size(x->zones));
        g_hash_table_destroy(x->zones);
        g_free(x);
    }
}

/* @e, which has no users, is forgotten. */
static void drop_idle(Qcow2ZonedExtents *x, ZoneExtent *e)
{
    assert(!e->users && !e->busy);
    QTAILQ_REMOVE(&x->idle, e, idle);
    x->nr_idle--;
    g_hash_table_remove(x->zones, GUINT_TO_POINTER(e->zone));
}

void qcow2_zoned_extents_set_size(Qcow2ZonedExtents *x, uint64_t bytes)
{
    QEMU_LOCK_GUARD(x->lock);
    while (!QTAILQ_EMPTY(&x->idle)) {
        drop_idle(x, QTAILQ_FIRST(&x->idle));
    }
    x->size = bytes;
}

ZoneExtent *qcow2_zoned_extent_get(Qcow2ZonedExtents *x, uint32_t zone,
                                   uint64_t end, bool *beyond)
{
    ZoneExtent *e;

    *beyond = false;
    if (!x->size) {
        return NULL;
    }
    e = g_hash_table_lookup(x->zones, GUINT_TO_POINTER(zone));
    if (!e) {
        e = g_new0(ZoneExtent, 1);
        e->zone = zone;
        qemu_co_queue_init(&e->queue);
        g_hash_table_insert(x->zones, GUINT_TO_POINTER(zone), e);
    } else if (!e->users) {
        QTAILQ_REMOVE(&x->idle, e, idle);
        x->nr_idle--;
    }
    e->users++;
    *beyond = end > e->mapped;
    return e;
}

void qcow2_zoned_extent_put(Qcow2ZonedExtents *x, ZoneExtent *e)
{
    if (--e->users) {
        return;
    }
    QTAILQ_INSERT_TAIL(&x->idle, e, idle);
    if (++x->nr_idle > MAX_IDLE) {
        drop_idle(x, QTAILQ_FIRST(&x->idle));
    }
}

/*
 * Reserve host blocks for @bytes at @offset of the image file, and make the
 * file at least that long.  Their content does not matter: it lies above a
 * write pointer.
 */
static int coroutine_fn GRAPH_RDLOCK
reserve(BlockDriverState *bs, uint64_t offset, uint64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t end = offset + bytes;
    g_autofree uint8_t *sector = NULL;
    int64_t len;
    int ret = qcow2_pre_write_overlap_check(bs, 0, offset, bytes, true);

    if (ret < 0 || ZONE_FAULT("unreserved")) {
        return ret;
    }
    if (s->data_file->bs->supported_zero_flags & BDRV_REQ_NO_FALLBACK) {
        BLKDBG_CO_EVENT(bs->file, BLKDBG_CLUSTER_ALLOC_SPACE);
        ret = bdrv_co_pwrite_zeroes(s->data_file, offset, bytes,
                                    BDRV_REQ_NO_FALLBACK);
        if (ret != -ENOTSUP && ret != -EAGAIN) {
            return ret;
        }
    }

    len = bdrv_co_getlength(s->data_file->bs);
    if (len < 0 || len >= end) {
        return MIN(len, 0);
    }
    /* Not a truncate: somebody else may make the file longer meanwhile. */
    sector = g_malloc0(BDRV_SECTOR_SIZE);
    return bdrv_co_pwrite(s->data_file, end - BDRV_SECTOR_SIZE,
                          BDRV_SECTOR_SIZE, sector, 0);
}

/*
 * Map clusters for [@offset, @end), whole clusters but at the end of the disk.
 * What they held is of no interest, and is neither zeroed nor copied.
 */
static int coroutine_fn GRAPH_RDLOCK
map_clusters(BlockDriverState *bs, uint64_t offset, uint64_t end)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = 0;

    while (ret >= 0 && offset < end) {
        unsigned int n = end - offset;
        QCowL2Meta *meta = NULL, *m;
        uint64_t host_offset;

        qemu_co_mutex_lock(&s->lock);
        ret = qcow2_alloc_host_offset(bs, offset, &n, &host_offset, &meta);
        if (ret >= 0 && meta) {
            /* Whoever else needs these clusters waits for @meta. */
            qemu_co_mutex_unlock(&s->lock);
            for (m = meta; m && ret >= 0; m = m->next) {
                /* Zero clusters that are allocated have blocks already. */
                if (!m->keep_old_clusters) {
                    ret = reserve(bs, m->alloc_offset,
                                  (uint64_t)m->nb_clusters << s->cluster_bits);
                }
            }
            qemu_co_mutex_lock(&s->lock);
            if (ret >= 0) {
                ret = qcow2_handle_l2meta(bs, &meta, true);
            }
        }
        qcow2_handle_l2meta(bs, &meta, false);
        qemu_co_mutex_unlock(&s->lock);
        offset += n;
    }
    return ret;
}

void coroutine_fn
qcow2_zoned_extent_map(BlockDriverState *bs, Qcow2ZonedExtents *x,
                       ZoneExtent *e, uint64_t offset, uint64_t end,
                       uint64_t limit)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t disk_end = bs->total_sectors * BDRV_SECTOR_SIZE;
    uint64_t from, to;
    int ret;

    WITH_QEMU_LOCK_GUARD(x->lock) {
        while (end > e->mapped && e->busy) {
            qemu_co_queue_wait(&e->queue, x->lock);
        }
        if (end <= e->mapped) {
            return;
        }
        /*
         * Whole clusters from the write on.  One that lies partly below may
         * read as zeros there, so it keeps its copy-on-write.
         */
        from = ROUND_UP(MAX(offset, e->mapped), s->cluster_size);
        to = ROUND_UP(end, x->size);
        if (!ZONE_FAULT("past-capacity")) {
            to = MIN(to, limit);
        }
        to = MIN(ROUND_UP(to, s->cluster_size), disk_end);
        /* A write of an extent or more has nothing to gain. */
        if (from >= to || end - offset >= x->size) {
            e->mapped = end;
            return;
        }
        e->busy = true;
    }

    ret = map_clusters(bs, from, to);
    trace_qcow2_zoned_map(bs, from, to, ret);

    WITH_QEMU_LOCK_GUARD(x->lock) {
        /* After a failure, try again with the next cluster at the earliest. */
        e->mapped = ret < 0 ? ROUND_UP(end, s->cluster_size) : MAX(to, end);
        e->busy = false;
        qemu_co_queue_restart_all(&e->queue);
    }
}

void coroutine_fn qcow2_zoned_extent_pass(Qcow2ZonedExtents *x, ZoneExtent *e,
                                          uint64_t end)
{
    if (ZONE_FAULT("map-over-zeros")) {
        return;
    }
    QEMU_LOCK_GUARD(x->lock);
    while (end > e->mapped && e->busy) {
        qemu_co_queue_wait(&e->queue, x->lock);
    }
    e->mapped = MAX(e->mapped, end);
}

void qcow2_zoned_extent_forget(Qcow2ZonedExtents *x, uint32_t zone)
{
    ZoneExtent *e = g_hash_table_lookup(x->zones, GUINT_TO_POINTER(zone));

    if (e) {
        drop_idle(x, e);
    }
}
