/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: what requests, flush and zone operations share
 *
 * The model: a write pointer moves in memory when a write is accepted, and on
 * disk when the image is flushed.  A flush raises the entries of zones that
 * were written, after the data and what maps it are durable; a reset or finish
 * changes entries at once and makes them durable before it completes
 * (docs/devel/zoned-qcow2.rst, "What is durable, and when").
 *
 * Locks, outermost first:
 *   op_lock         an operation on several zones, until it has begun or taken
 *                   effect in all of them (qcow2-zoned-ops.c)
 *   pointers->lock  see qcow2-zoned-pointers.h
 *   s->lock         as everywhere in qcow2
 *   lock            the rules and all bookkeeping here; never held over a
 *                   yield or together with s->lock
 * Nobody waits for a write in flight with any of them held, but an operation
 * with op_lock.
 */
#ifndef BLOCK_QCOW2_ZONED_INT_H
#define BLOCK_QCOW2_ZONED_INT_H

#include "qemu/coroutine.h"
#include "qemu/memalign.h"
#include "qemu/queue.h"
#include "block/block_int.h"
#include "block/qcow2-zoned.h"
#include "block/qcow2-zoned-pointers.h"
#include "block/zone-errors.h"
#include "block/zone-rules.h"
#include "qcow2.h"

/*
 * Others at the lock have their turn after this many zones, each of which is
 * looked at up to eight times.
 */
#define ZONES_AT_ONCE       2048

/* A request that waits until its zone takes it; in arrival order */
typedef struct ZoneWaiter {
    uint32_t zone;
    bool write;
    CoQueue queue;
    QTAILQ_ENTRY(ZoneWaiter) next;
} ZoneWaiter;

/* A read in flight; tracked where clusters may be given away under it */
typedef struct ZoneRead {
    uint32_t zone;
    QLIST_ENTRY(ZoneRead) next;
} ZoneRead;

struct Qcow2Zoned {
    Qcow2ZonedHeader hdr;
    uint64_t disk_size;         /* bytes */
    uint64_t extent_size;       /* bytes mapped ahead at once; 0: none */
    Qcow2ZonedPointers *pointers;

    CoMutex op_lock;
    QemuMutex lock;

    /* Under lock */
    ZoneRules *rules;
    QTAILQ_HEAD(, ZoneWaiter) waiters;
    QLIST_HEAD(, ZoneRead) reads;
    CoQueue progress;           /* a write or a read ended, or was decided */
    CoQueue turns;              /* a zone's frontier moved */
    GArray *samples;            /* ZonePointer; of the flush under way */
    unsigned long *warned;      /* zones of which zeros could not be made */
};

static inline Qcow2Zoned *zoned_state(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    return s->zoned;
}

/*
 * What the file below answers is no zoned condition, whatever its value: hosts
 * and networks know some of these errno values, too.  For every result of a
 * call down.
 */
static inline int zoned_host_error(int ret)
{
    return ret < 0 && block_zone_strerror(ret) ? -EIO : ret;
}

/*
 * What has to be true where a function begins: that its caller holds a lock
 * (which somebody else may hold instead, of a QemuMutex).  In builds with
 * ZONE_VERIFY; in others nothing is evaluated.
 */
#ifdef ZONE_VERIFY
static inline bool zoned_holds(QemuMutex *lock)
{
    bool held = qemu_mutex_trylock(lock) != 0;

    if (!held) {
        qemu_mutex_unlock(lock);
    }
    return held;
}

static inline bool zoned_co_holds(const CoMutex *lock)
{
    return lock->holder == qemu_coroutine_self();
}

#define zoned_assert(condition) g_assert(condition)
#else
#define zoned_assert(condition) ((void)0)
#endif

/* After @n zones under the zone lock, let others at it. */
static inline void zoned_breathe(QemuMutex *lock, uint32_t n)
{
    if (n && n % ZONES_AT_ONCE == 0) {
        qemu_mutex_unlock(lock);
        qemu_mutex_lock(lock);
    }
}

/*
 * Wait until @zone takes a write (@write), or anything else, and all who came
 * before have had their turn.  z->lock is held, and dropped meanwhile (if so,
 * true is returned); the caller decides before it drops the lock.
 */
bool coroutine_fn zoned_wait_for_zone(Qcow2Zoned *z, uint32_t zone,
                                      bool write);
/* Something has ended or was decided: let those look who wait.  z->lock held */
void coroutine_fn zoned_wake(Qcow2Zoned *z);

/* Is a tracked read in flight in @zone?  z->lock is held. */
bool zoned_has_reads(Qcow2Zoned *z, uint32_t zone);

/* What was given back in @zone goes out of the flush under way.  z->lock. */
void zoned_cut_samples(Qcow2Zoned *z, uint32_t zone);

/*
 * A state of the whole disk that takes the place of the one that is there; see
 * qcow2-zoned-switch.c.  The functions return 0 or a negative errno.
 */
typedef struct ZonedSwitch {
    const char *what;           /* it brings, in errors */
    Qcow2ZonedHeader hdr;
    uint64_t disk_size;         /* bytes */
    uint64_t *table;            /* qemu_vfree; write pointers, bytes */
    uint32_t l1_size;           /* entries */
    uint64_t l1_table_offset;   /* in the image file */
} ZonedSwitch;

static inline void zoned_switch_clear(ZonedSwitch *n)
{
    qemu_vfree(n->table);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ZonedSwitch, zoned_switch_clear)

/*
 * Write the table @wp for zones as @h has them to clusters of its own, and
 * return their offset, or a negative errno: nothing is left of it then.  It is
 * not durable.
 */
int64_t coroutine_mixed_fn GRAPH_RDLOCK
zoned_write_new_table(BlockDriverState *bs, const Qcow2ZonedHeader *h,
                      const uint64_t *wp);
/*
 * Make everything durable that was written to the image file, and then the
 * switch to @n.  On failure nothing has changed, or the node is unusable
 * (!bs->drv).
 */
int coroutine_mixed_fn GRAPH_RDLOCK
zoned_switch(BlockDriverState *bs, const ZonedSwitch *n, Error **errp);
/* All filters above show the number of zones and the limits of @bs. */
void GRAPH_RDLOCK zoned_tell_filters(BlockDriverState *bs);

/* Make everything that was written to the image so far durable. */
int coroutine_fn GRAPH_RDLOCK zoned_flush_data(BlockDriverState *bs);

/*
 * What is always true between two changes under z->lock: an entry on disk never
 * leads its data, and what a flush has to look at is marked.  In builds with
 * ZONE_VERIFY; z->lock is held.
 */
#ifdef ZONE_VERIFY
void zoned_verify(Qcow2Zoned *z);
#else
static inline void zoned_verify(Qcow2Zoned *z)
{
}
#endif

#endif
