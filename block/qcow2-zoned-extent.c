/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: clusters for what is written next
 *
 * The order is allocate, reserve, link, so that a mapping never leads to
 * clusters beyond the end of the file; a crash in between leaks clusters.
 */
#include "qemu/osdep.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-extent.h"
#include "qcow2-zoned-int.h"
#include "trace.h"

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
    int ret;

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
 * Give the new clusters of @meta their blocks on the host.  s->lock is held,
 * and dropped meanwhile; whoever else needs the clusters waits for @meta.
 */
static int coroutine_fn GRAPH_RDLOCK reserve_all(BlockDriverState *bs,
                                                 const QCowL2Meta *meta)
{
    BDRVQcow2State *s = bs->opaque;
    const QCowL2Meta *m;
    int ret = 0;

    zoned_assert(zoned_co_holds(&s->lock));
    for (m = meta; m && ret >= 0; m = m->next) {
        uint64_t bytes = (uint64_t)m->nb_clusters << s->cluster_bits;

        /* Zero clusters that are allocated have blocks already. */
        if (!m->keep_old_clusters) {
            ret = qcow2_pre_write_overlap_check(bs, 0, m->alloc_offset, bytes,
                                                true);
            if (ret < 0) {
                break;
            }
            qemu_co_mutex_unlock(&s->lock);
            ret = reserve(bs, m->alloc_offset, bytes);
            qemu_co_mutex_lock(&s->lock);
        }
    }
    return ret;
}

/* Map clusters for [@offset, @end). */
static int coroutine_fn GRAPH_RDLOCK
map_clusters(BlockDriverState *bs, uint64_t offset, uint64_t end)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = 0;

    while (ret >= 0 && offset < end) {
        unsigned int n = end - offset;
        QCowL2Meta *meta = NULL;
        uint64_t host_offset;

        qemu_co_mutex_lock(&s->lock);
        ret = qcow2_alloc_host_offset(bs, offset, &n, &host_offset, &meta);
        if (ret >= 0 && meta) {
            ret = reserve_all(bs, meta);
        }
        if (ret >= 0 && meta) {
            ret = qcow2_handle_l2meta(bs, &meta, true);
        }
        qcow2_handle_l2meta(bs, &meta, false);
        qemu_co_mutex_unlock(&s->lock);
        offset += n;
    }
    return ret;
}

int coroutine_fn
qcow2_zoned_map(BlockDriverState *bs, uint64_t offset, uint64_t end,
                uint64_t extent, uint64_t limit, uint64_t *mapped)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t disk_end = bs->total_sectors * BDRV_SECTOR_SIZE;
    uint64_t own = MIN(ROUND_UP(end, s->subcluster_size), disk_end);
    /* A write of an extent or more has nothing to gain. */
    uint64_t ahead = end - offset < extent ?
                     MIN(ROUND_UP(end, extent), limit) : end;
    uint64_t to = MIN(ROUND_UP(ahead, s->subcluster_size), disk_end);
    int ret = map_clusters(bs, offset, to);

    trace_qcow2_zoned_map(bs, offset, to, ret);
    if (ret < 0 && to > own) {
        to = own;
        ret = map_clusters(bs, offset, to);
        trace_qcow2_zoned_map(bs, offset, to, ret);
    }
    *mapped = to;
    return ret;
}
