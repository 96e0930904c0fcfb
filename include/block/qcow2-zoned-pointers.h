/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: the write-pointer table of an open image
 *
 * Holds the table as it is on disk, and is the only code that writes the table
 * while the image is open.  The caller knows what an entry means and when it
 * may change; here an entry changes in memory only once it is durable.
 *
 * The table is written in blocks, each with the entries of many zones.  A block
 * can be
 *   dirty     the caller says so: a zone of the block may have more data than
 *             its entry says, so a flush has to look at the zone
 *   in doubt  the last write of the block failed: the disk may hold the block
 *             before that write or after it
 */
#ifndef BLOCK_QCOW2_ZONED_POINTERS_H
#define BLOCK_QCOW2_ZONED_POINTERS_H

#include "block/block_int.h"
#include "block/qcow2-zone-table.h"
#include "qemu/coroutine.h"

/* A new value for a table entry */
typedef struct ZonePointer {
    uint32_t zone;
    uint32_t generation;        /* of the zone when a flush sampled @wp */
    uint64_t wp;                /* bytes, absolute */
} ZonePointer;

typedef struct Qcow2ZonedPointers {
    /*
     * Held from the first write of changed blocks until the caller's state
     * agrees with the disk.  A write of a block also writes the entries of
     * neighbours, so two writers must never overlap.
     */
    CoMutex lock;

    /* For qcow2-zoned-pointers.c only */
    QemuMutex *zone_lock;
    const Qcow2ZonedHeader *hdr;
    uint64_t *table;            /* wp, bytes; changed under both locks */
    size_t unit;                /* of the last write: block or cluster, bytes */
    size_t bytes;               /* of it on disk, whole units */
    uint32_t nr_blocks;
    unsigned long *dirty;       /* under zone_lock */
    unsigned long *doubt;       /* changed under lock and zone_lock */
} Qcow2ZonedPointers;

/*
 * The table of the image @bs with the header @hdr (which must live as long):
 * @table has the validated write pointer of each zone (bytes, absolute), and is
 * taken over (qemu_vfree).  @zone_lock is the lock under which zones change.
 */
Qcow2ZonedPointers * GRAPH_RDLOCK
qcow2_zoned_pointers_new(BlockDriverState *bs, const Qcow2ZonedHeader *hdr,
                         uint64_t *table, QemuMutex *zone_lock);
void qcow2_zoned_pointers_free(Qcow2ZonedPointers *p);

/*
 * p->hdr has another place for the table, and perhaps more zones: @table, with
 * the write pointers of all of them, is on disk there, durable, and takes the
 * place of the array that there was, which is freed.  No block is in doubt
 * then, and those that were dirty are.  Both locks are held.
 */
void qcow2_zoned_pointers_replace(Qcow2ZonedPointers *p, uint64_t *table);

/*
 * Callers of these hold either lock.
 */
/* The write pointer of sequential zone @i on disk, durable; bytes */
uint64_t qcow2_zoned_pointer(const Qcow2ZonedPointers *p, uint32_t i);
/* Is the block that holds the entry of zone @i, or any block, in doubt? */
bool qcow2_zoned_pointer_in_doubt(const Qcow2ZonedPointers *p, uint32_t i);
bool qcow2_zoned_pointers_in_doubt(const Qcow2ZonedPointers *p);

/*
 * Callers of these hold the zone lock.
 */
/* Mark the block of zone @i dirty; does nothing for a conventional zone. */
void qcow2_zoned_pointer_mark(Qcow2ZonedPointers *p, uint32_t i);
/* Is the block of zone @i dirty? */
bool qcow2_zoned_pointer_is_marked(const Qcow2ZonedPointers *p, uint32_t i);
/*
 * The next sequential zones [*@first, *@end) of a dirty block, from *@end on;
 * false if there are none.  *@end is 0 for the first.
 */
bool qcow2_zoned_pointers_next_marked(const Qcow2ZonedPointers *p,
                                      uint32_t *first, uint32_t *end);
/* The block of zone @i is no longer dirty: it has nothing to raise. */
void qcow2_zoned_pointer_unmark(Qcow2ZonedPointers *p, uint32_t i);

/*
 * Write the blocks that @changes (@nr of them, ascending) touch, and those in
 * doubt that have entries of zones [@first, @end), and make them durable.
 * Then, and only then, the entries in memory change too.  On failure all of
 * these blocks are in doubt; with @each only those that could not be written.
 * p->lock is held, the zone lock is not.
 */
int coroutine_fn GRAPH_RDLOCK
qcow2_zoned_pointers_write(BlockDriverState *bs, Qcow2ZonedPointers *p,
                           const ZonePointer *changes, size_t nr,
                           uint32_t first, uint32_t end, bool each);

#endif
