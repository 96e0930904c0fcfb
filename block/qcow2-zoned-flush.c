/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: a flush raises the write pointers on disk
 *
 * The order: sample what is complete in each zone, make the data and what maps
 * it durable, then raise the entries to the samples.  A reset or finish that
 * comes in between voids a zone's sample; a write that is given back cuts it.
 *
 * The generic layer has one flush of a node at a time, so this has, too.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "block/block-io.h"
#include "qcow2-zoned-int.h"
#include "trace.h"

int coroutine_fn zoned_flush_data(BlockDriverState *bs)
{
    int ret = qcow2_co_flush_to_os(bs);

    return ret < 0 ? ret : bdrv_co_flush(bs->file->bs);
}

static int compare_zones(const void *a, const void *b)
{
    const ZonePointer *p = a, *q = b;

    return p->zone < q->zone ? -1 : p->zone > q->zone;
}

void zoned_cut_samples(Qcow2Zoned *z, uint32_t zone)
{
    uint64_t wp = zone_rules_wp(z->rules, zone);
    ZonePointer key = { .zone = zone };
    guint k;

    zoned_assert(zoned_holds(&z->lock));
    if (z->samples &&
        g_array_binary_search(z->samples, &key, compare_zones, &k)) {
        ZonePointer *sample = &g_array_index(z->samples, ZonePointer, k);

        sample->wp = MIN(sample->wp, wp);
    }
}

/*
 * One sample for each zone with acknowledged writes that the table does not
 * cover yet, ascending.  Zones that come late in the walk are sampled a little
 * later than when the flush began, which only covers more.  z->lock is held,
 * and dropped between blocks of the table.
 */
static void sample_zones(Qcow2Zoned *z, GArray *samples)
{
    uint32_t first, end = 0;

    zoned_assert(zoned_holds(&z->lock));
    while (qcow2_zoned_pointers_next_marked(z->pointers, &first, &end)) {
        guint before = samples->len;
        uint32_t i;

        for (i = first; i < end; i++) {
            uint64_t target = zone_rules_acknowledged(z->rules, i);

            if (target > qcow2_zoned_pointer(z->pointers, i)) {
                g_array_append_vals(samples, &(ZonePointer) {
                    .zone = i,
                    .generation = zone_rules_generation(z->rules, i),
                    .wp = target,
                }, 1);
            }
        }
        if (samples->len == before) {
            /* The next write to end there marks it again. */
            qcow2_zoned_pointer_unmark(z->pointers, first);
        }
        zoned_breathe(&z->lock, ZONES_AT_ONCE);
    }
}

static bool sample_is_true(Qcow2Zoned *z, const ZonePointer *sample)
{
    return zone_rules_generation(z->rules, sample->zone) == sample->generation;
}

/*
 * Wait until all that was acknowledged when the flush began lies in a prefix
 * of complete writes, and sample that.  Not where the zone was reset or
 * finished meanwhile: that makes its entry durable itself.  z->lock is held,
 * and dropped meanwhile.
 */
static void coroutine_fn complete_samples(Qcow2Zoned *z)
{
    guint k;

    zoned_assert(zoned_holds(&z->lock));
    for (k = 0; k < z->samples->len; k++) {
        ZonePointer *sample = &g_array_index(z->samples, ZonePointer, k);

        while (sample_is_true(z, sample) &&
               zone_rules_complete(z->rules, sample->zone) < sample->wp) {
            qemu_co_queue_wait(&z->progress, &z->lock);
        }
        sample->wp = zone_rules_complete(z->rules, sample->zone);
        zoned_breathe(&z->lock, k);
    }
}

/*
 * Keep those samples that are still true and raise an entry.  The lock of the
 * table is held, so that none is cut or becomes stale meanwhile.
 */
static void drop_stale_samples(Qcow2Zoned *z)
{
    guint k, kept = 0;

    zoned_assert(zoned_co_holds(&z->pointers->lock));
    QEMU_LOCK_GUARD(&z->lock);
    for (k = 0; k < z->samples->len; k++) {
        ZonePointer sample = g_array_index(z->samples, ZonePointer, k);

        if (sample_is_true(z, &sample) &&
            sample.wp > qcow2_zoned_pointer(z->pointers, sample.zone)) {
            g_array_index(z->samples, ZonePointer, kept++) = sample;
        }
        zoned_breathe(&z->lock, k);
    }
    g_array_set_size(z->samples, kept);
}

/* What lies below the samples is durable: raise the entries. */
static int coroutine_fn GRAPH_RDLOCK raise_pointers(BlockDriverState *bs,
                                                    Qcow2Zoned *z)
{
    int ret;

    QEMU_LOCK_GUARD(&z->pointers->lock);
    drop_stale_samples(z);
    ret = qcow2_zoned_pointers_write(bs, z->pointers,
                                     (const ZonePointer *)z->samples->data,
                                     z->samples->len, 0, z->hdr.nr_zones,
                                     true);
    trace_qcow2_zoned_flush(bs, z->samples->len, ret);
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        zoned_verify(z);
    }
    return ret;
}

int coroutine_fn qcow2_zoned_co_flush_to_os(BlockDriverState *bs)
{
    Qcow2Zoned *z = zoned_state(bs);
    g_autoptr(GArray) samples = NULL;
    bool settled;
    int ret;

    if (!z) {
        return qcow2_co_flush_to_os(bs);
    }
    if (bs->open_flags & BDRV_O_INACTIVE) {
        return 0;
    }

    samples = g_array_new(false, false, sizeof(ZonePointer));
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        assert(!z->samples);
        z->samples = samples;
        sample_zones(z, samples);
        complete_samples(z);
        settled = !samples->len &&
                  !qcow2_zoned_pointers_in_doubt(z->pointers);
    }

    /* Rule: the data below an entry first, durable, then the entry. */
    ret = samples->len ? zoned_flush_data(bs) : qcow2_co_flush_to_os(bs);
    if (ret >= 0 && !settled) {
        ret = raise_pointers(bs, z);
    }

    QEMU_LOCK_GUARD(&z->lock);
    z->samples = NULL;
    return zoned_host_error(ret);
}

int coroutine_mixed_fn qcow2_zoned_behind(BlockDriverState *bs)
{
    Qcow2Zoned *z = zoned_state(bs);
    g_autoptr(GArray) behind = NULL;

    if (!z || bdrv_is_read_only(bs) || (bs->open_flags & BDRV_O_INACTIVE)) {
        return 0;
    }

    behind = g_array_new(false, false, sizeof(ZonePointer));
    QEMU_LOCK_GUARD(&z->lock);
    sample_zones(z, behind);
    return behind->len || qcow2_zoned_pointers_in_doubt(z->pointers) ?
           -EIO : 0;
}

#ifdef ZONE_VERIFY
void zoned_verify(Qcow2Zoned *z)
{
    uint32_t i;

    if (z->hdr.nr_zones > 4096) {
        return;
    }
    for (i = z->hdr.nr_conventional; i < z->hdr.nr_zones; i++) {
        uint64_t wp = qcow2_zoned_pointer(z->pointers, i);

        /* Until an operation ends the rules do not know what it has done. */
        if (!zone_rules_op_pending(z->rules, i)) {
            g_assert(wp <= zone_rules_complete(z->rules, i));
            g_assert(wp >= zone_rules_acknowledged(z->rules, i) ||
                     qcow2_zoned_pointer_is_marked(z->pointers, i));
        }
    }
}
#endif
