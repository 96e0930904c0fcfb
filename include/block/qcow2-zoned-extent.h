/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: clusters mapped ahead of the write pointers
 *
 * Nothing above a write pointer can be read, and the next write comes right at
 * it.  So the first write into unmapped space of a sequential zone maps a
 * whole extent, without copy-on-write, and reserves its blocks on the host;
 * the writes that follow in it are plain overwrites.
 *
 * Knows up to where a zone is mapped, and nothing of zone states.
 */
#ifndef BLOCK_QCOW2_ZONED_EXTENT_H
#define BLOCK_QCOW2_ZONED_EXTENT_H

#include "block/block_int.h"

typedef struct Qcow2ZonedExtents Qcow2ZonedExtents;
/* How far one zone is mapped */
typedef struct ZoneExtent ZoneExtent;

/*
 * @lock is the lock under which writes are accepted.  It is held by the caller
 * of all functions but those that say otherwise.
 */
Qcow2ZonedExtents *qcow2_zoned_extents_new(QemuMutex *lock);
/* Without the lock; nothing is in flight. */
void qcow2_zoned_extents_free(Qcow2ZonedExtents *x);

/*
 * Extents are @bytes long from now on, a power of two, and aligned to that;
 * 0: every write maps its own clusters.  An extent ends with the zone's
 * capacity at the latest (rounded up to a cluster), so that of each zone an
 * image holds at most one extent more than was written.  Called with nothing
 * in flight, without the lock.
 */
void qcow2_zoned_extents_set_size(Qcow2ZonedExtents *x, uint64_t bytes);

/*
 * A write at the write pointer of @zone, of data or zeros, was accepted just
 * now, so that writes to a zone come here in the order of their places.  It
 * ends at @end; *@beyond tells whether that is more than was mapped, so that
 * one of the functions below is to be called.  Returns what is given to them,
 * and to qcow2_zoned_extent_put() when the write ends; NULL if nothing is
 * mapped ahead.
 */
ZoneExtent *qcow2_zoned_extent_get(Qcow2ZonedExtents *x, uint32_t zone,
                                   uint64_t end, bool *beyond);
void qcow2_zoned_extent_put(Qcow2ZonedExtents *x, ZoneExtent *e);

/*
 * Before the data of a write of bytes [@offset, @end) goes out: map what it
 * needs, up to the end of an extent, but not past @limit, the end of the
 * zone's capacity.  Called without the lock.
 *
 * A failure is none of the write's: it then maps its own clusters, and meets
 * the error itself if there still is one.
 */
void coroutine_fn GRAPH_RDLOCK
qcow2_zoned_extent_map(BlockDriverState *bs, Qcow2ZonedExtents *x,
                       ZoneExtent *e, uint64_t offset, uint64_t end,
                       uint64_t limit);

/*
 * Before a write of zeros that ends at @end changes what is mapped below: wait
 * for who is mapping some of that, and let nobody map it afterwards, which
 * would take the zeros away.  Called without the lock.
 */
void coroutine_fn qcow2_zoned_extent_pass(Qcow2ZonedExtents *x, ZoneExtent *e,
                                          uint64_t end);

/*
 * The clusters of @zone have changed (finish, reset).  Called with no write
 * in flight there.
 */
void qcow2_zoned_extent_forget(Qcow2ZonedExtents *x, uint32_t zone);

#endif
