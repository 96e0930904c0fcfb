/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: the write-pointer table of an open image
 *
 * A block that is written carries the entries of its other zones as they are
 * on disk already, so that it publishes nothing whose data is not durable.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "qemu/memalign.h"
#include "block/block-io.h"
#include "qcow2-zoned-int.h"

/* Unit in which the table is tracked and written, bytes */
#define TABLE_BLOCK         4096
#define ZONES_PER_BLOCK     (TABLE_BLOCK / QCOW2_ZONED_ENTRY_SIZE)
/* Largest single write of table blocks */
#define TABLE_RUN_BLOCKS    64

Qcow2ZonedPointers *qcow2_zoned_pointers_new(BlockDriverState *bs,
                                             const Qcow2ZonedHeader *hdr,
                                             uint64_t *table,
                                             QemuMutex *zone_lock)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2ZonedPointers *p = g_new0(Qcow2ZonedPointers, 1);

    qemu_co_mutex_init(&p->lock);
    p->zone_lock = zone_lock;
    p->hdr = hdr;
    p->table = table;
    p->unit = MIN(s->cluster_size, TABLE_BLOCK);
    p->bytes = ROUND_UP(qcow2_zoned_table_size(hdr), p->unit);
    p->nr_blocks = DIV_ROUND_UP(hdr->nr_zones, ZONES_PER_BLOCK);
    p->dirty = bitmap_new(p->nr_blocks);
    p->doubt = bitmap_new(p->nr_blocks);
    return p;
}

void qcow2_zoned_pointers_free(Qcow2ZonedPointers *p)
{
    if (p) {
        qemu_vfree(p->table);
        g_free(p->dirty);
        g_free(p->doubt);
        g_free(p);
    }
}

void qcow2_zoned_pointers_replace(Qcow2ZonedPointers *p, uint64_t *table)
{
    uint32_t nr_blocks = DIV_ROUND_UP(p->hdr->nr_zones, ZONES_PER_BLOCK);
    unsigned long *dirty = bitmap_new(nr_blocks);

    zoned_assert(zoned_holds(p->zone_lock) && zoned_co_holds(&p->lock));
    bitmap_copy(dirty, p->dirty, MIN(nr_blocks, p->nr_blocks));
    g_free(p->dirty);
    g_free(p->doubt);
    qemu_vfree(p->table);
    p->dirty = dirty;
    p->doubt = bitmap_new(nr_blocks);
    p->nr_blocks = nr_blocks;
    p->bytes = ROUND_UP(qcow2_zoned_table_size(p->hdr), p->unit);
    p->table = table;
}

uint64_t qcow2_zoned_pointer(const Qcow2ZonedPointers *p, uint32_t i)
{
    zoned_assert(zoned_holds(p->zone_lock) || zoned_co_holds(&p->lock));
    return p->table[i];
}

bool qcow2_zoned_pointer_in_doubt(const Qcow2ZonedPointers *p, uint32_t i)
{
    zoned_assert(zoned_holds(p->zone_lock) || zoned_co_holds(&p->lock));
    return test_bit(i / ZONES_PER_BLOCK, p->doubt);
}

bool qcow2_zoned_pointers_in_doubt(const Qcow2ZonedPointers *p)
{
    zoned_assert(zoned_holds(p->zone_lock) || zoned_co_holds(&p->lock));
    return !bitmap_empty(p->doubt, p->nr_blocks);
}

void qcow2_zoned_pointer_mark(Qcow2ZonedPointers *p, uint32_t i)
{
    zoned_assert(zoned_holds(p->zone_lock));
    if (i >= p->hdr->nr_conventional) {
        set_bit(i / ZONES_PER_BLOCK, p->dirty);
    }
}

void qcow2_zoned_pointer_unmark(Qcow2ZonedPointers *p, uint32_t i)
{
    zoned_assert(zoned_holds(p->zone_lock));
    clear_bit(i / ZONES_PER_BLOCK, p->dirty);
}

bool qcow2_zoned_pointer_is_marked(const Qcow2ZonedPointers *p, uint32_t i)
{
    zoned_assert(zoned_holds(p->zone_lock));
    return test_bit(i / ZONES_PER_BLOCK, p->dirty);
}

bool qcow2_zoned_pointers_next_marked(const Qcow2ZonedPointers *p,
                                      uint32_t *first, uint32_t *end)
{
    uint32_t block = find_next_bit(p->dirty, p->nr_blocks,
                                   DIV_ROUND_UP(*end, ZONES_PER_BLOCK));

    zoned_assert(zoned_holds(p->zone_lock));
    if (block >= p->nr_blocks) {
        return false;
    }
    *first = MAX(block * ZONES_PER_BLOCK, p->hdr->nr_conventional);
    *end = MIN((block + 1) * ZONES_PER_BLOCK, p->hdr->nr_zones);
    return true;
}

/* Write blocks [@block, @end) of the table with their part of @changes. */
static int coroutine_fn GRAPH_RDLOCK
write_run(BlockDriverState *bs, Qcow2ZonedPointers *p, uint32_t block,
          uint32_t end, const ZonePointer **change, const ZonePointer *last,
          BdrvRequestFlags flags)
{
    uint64_t at = (uint64_t)block * TABLE_BLOCK;
    size_t bytes = MIN((uint64_t)end * TABLE_BLOCK, p->bytes) - at;
    QEMU_AUTO_VFREE uint64_t *buf = qemu_blockalign0(bs->file->bs, bytes);
    uint32_t first = block * ZONES_PER_BLOCK;
    uint32_t i;

    for (i = first; i < MIN(end * ZONES_PER_BLOCK, p->hdr->nr_zones); i++) {
        bool changed = *change < last && (*change)->zone == i;
        uint64_t wp = changed ? (*change)++->wp : p->table[i];

        buf[i - first] = qcow2_zoned_entry_encode(p->hdr, i, wp);
    }
    BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_WRITE);
    return bdrv_co_pwrite(bs->file, p->hdr->table_offset + at, bytes, buf,
                          flags);
}

/*
 * Write the blocks in @todo, durably, and set those in @written that are: all,
 * none, or, if @each, which goes on after a failure, those without one.
 */
static int coroutine_fn GRAPH_RDLOCK
write_blocks(BlockDriverState *bs, Qcow2ZonedPointers *p,
             const unsigned long *todo, unsigned long *written,
             const ZonePointer *changes, size_t nr, bool each)
{
    const ZonePointer *next = changes;
    uint32_t block, after, end = 0;
    bool single = true;
    int failed = 0;

    for (block = find_first_bit(todo, p->nr_blocks);
         block < p->nr_blocks && (each || !failed); block = after) {
        bool first = end == 0;
        int ret;

        end = find_next_zero_bit(todo, p->nr_blocks, block);
        end = MIN(end, block + TABLE_RUN_BLOCKS);
        /* One that failed before goes alone, so that others do not. */
        end = test_bit(block, p->doubt) ?
              block + 1 : MIN(end, find_next_bit(p->doubt, end, block));
        after = find_next_bit(todo, p->nr_blocks, end);
        /* A single write is its own flush. */
        single = first && after >= p->nr_blocks;
        ret = write_run(bs, p, block, end, &next, changes + nr,
                        single ? BDRV_REQ_FUA : 0);
        if (ret >= 0) {
            bitmap_set(written, block, end - block);
        } else if (!failed) {
            failed = ret;
        }
    }
    if (failed && !each) {
        bitmap_zero(written, p->nr_blocks);
    } else if (!single) {
        int ret;

        BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_FLUSH);
        ret = bdrv_co_flush(bs->file->bs);
        if (ret < 0) {
            bitmap_zero(written, p->nr_blocks);
            return ret;
        }
    }
    return failed;
}

int coroutine_fn
qcow2_zoned_pointers_write(BlockDriverState *bs, Qcow2ZonedPointers *p,
                           const ZonePointer *changes, size_t nr,
                           uint32_t first, uint32_t end, bool each)
{
    g_autofree unsigned long *todo = bitmap_new(p->nr_blocks);
    g_autofree unsigned long *written = bitmap_new(p->nr_blocks);
    uint32_t end_block = DIV_ROUND_UP(end, ZONES_PER_BLOCK);
    size_t i;
    int ret;

    zoned_assert(zoned_co_holds(&p->lock));
    bitmap_copy(todo, p->doubt, p->nr_blocks);
    bitmap_clear(todo, 0, first / ZONES_PER_BLOCK);
    bitmap_clear(todo, end_block, p->nr_blocks - end_block);
    for (i = 0; i < nr; i++) {
        set_bit(changes[i].zone / ZONES_PER_BLOCK, todo);
    }

    ret = write_blocks(bs, p, todo, written, changes, nr, each);

    QEMU_LOCK_GUARD(p->zone_lock);
    bitmap_or(p->doubt, p->doubt, todo, p->nr_blocks);
    bitmap_andnot(p->doubt, p->doubt, written, p->nr_blocks);
    for (i = 0; i < nr; i++) {
        if (test_bit(changes[i].zone / ZONES_PER_BLOCK, written)) {
            p->table[changes[i].zone] = changes[i].wp;
        }
        zoned_breathe(p->zone_lock, i);
    }
    return ret;
}
