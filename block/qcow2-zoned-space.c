/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: what a range of the disk holds
 *
 * qcow2's own functions for zeroing and discarding visit each cluster of the
 * range, with s->lock held to the end, and make the L2 tables that are
 * missing.  A zone may have hundreds of GiB, most of them never written, so
 * here they are called for the stretches that are mapped alone.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-space.h"
#include "qcow2.h"

/* Zeros are written through a buffer of at most this many bytes */
#define ZERO_BUFFER         (64 * KiB)
/* One look at an L2 slice covers at most this much: whole clusters */
#define LOOK_MAX            (1 * GiB)

/* What a stretch of the disk has; see space_has() */
enum {
    HAS_DATA    = 1,            /* of its own, which may be other than zeros */
    HAS_BASE    = 2,            /* none of its own: a backing file shows */
    HAS_CLUSTER = 4,            /* of the image file, that can be given back */
};

/* Does what is of @type have any of @what? */
static bool space_has(unsigned what, QCow2SubclusterType type)
{
    switch (type) {
    case QCOW2_SUBCLUSTER_ZERO_PLAIN:
        return false;
    case QCOW2_SUBCLUSTER_ZERO_ALLOC:
        return what & HAS_CLUSTER;
    case QCOW2_SUBCLUSTER_UNALLOCATED_PLAIN:
        return what & HAS_BASE;
    case QCOW2_SUBCLUSTER_UNALLOCATED_ALLOC:
        return what & (HAS_BASE | HAS_CLUSTER);
    default:
        return what & (HAS_DATA | HAS_CLUSTER);
    }
}

bool qcow2_zoned_has_base(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    /* It may be attached later. */
    return bs->backing || s->image_backing_file;
}

static bool space_has_l2_table(BlockDriverState *bs, uint64_t offset)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t i = offset_to_l1_index(s, offset);

    return i < s->l1_size && (s->l1_table[i] & L1E_OFFSET_MASK);
}

/*
 * Find what has any of @what in [*@offset, @end), but look no further than to
 * the end of the first L2 slice that is there.  Moves *@offset to it, and
 * returns its length; 0: there is none below the new *@offset.  s->lock is
 * held.
 */
static int64_t coroutine_fn GRAPH_RDLOCK
space_find(BlockDriverState *bs, uint64_t *offset, uint64_t end,
           unsigned what)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t slice = (uint64_t)s->l2_slice_size << s->cluster_bits;
    uint64_t table = (uint64_t)s->l2_size << s->cluster_bits;
    uint64_t found = 0;

    if (!(what & HAS_BASE)) {
        while (*offset < end && !space_has_l2_table(bs, *offset)) {
            *offset = ROUND_UP(*offset + 1, table);
        }
    }
    end = MIN(end, ROUND_UP(*offset + 1, slice));

    while (*offset + found < end) {
        uint64_t at = *offset + found;
        uint64_t stop = MIN(end, QEMU_ALIGN_DOWN(at, LOOK_MAX) + LOOK_MAX);
        unsigned int n = stop - at;
        QCow2SubclusterType type;
        uint64_t host_offset;
        int ret = qcow2_get_host_offset(bs, at, &n, &host_offset, &type);

        if (ret < 0) {
            return ret;
        }
        if (space_has(what, type)) {
            found += n;
        } else if (found) {
            break;
        } else {
            *offset += n;
        }
    }
    return found;
}

/*
 * Write zeros where [@offset, @offset + @bytes), parts of clusters that others
 * may be writing to, does not read as zeros yet.
 */
static int coroutine_fn GRAPH_RDLOCK
space_write_zeros(BlockDriverState *bs, uint64_t offset, uint64_t bytes,
                  unsigned what)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree void *buf = g_malloc0(MIN(bytes, ZERO_BUFFER));

    while (bytes) {
        unsigned int n = MIN(bytes, ZERO_BUFFER);
        QCow2SubclusterType type = QCOW2_SUBCLUSTER_NORMAL;
        uint64_t host_offset;
        QEMUIOVector qiov;
        int ret = 0;

        WITH_QEMU_LOCK_GUARD(&s->lock) {
            /*
             * A write in flight may be about to link a copy of this cluster,
             * with what it held here before.  Whoever comes later copies what
             * is here now.
             */
            qcow2_wait_for_dependencies(bs, offset, n);
            ret = qcow2_get_host_offset(bs, offset, &n, &host_offset, &type);
        }
        if (ret < 0) {
            return ret;
        }
        if (space_has(what, type)) {
            qemu_iovec_init_buf(&qiov, buf, n);
            ret = qcow2_co_pwritev_part(bs, offset, n, &qiov, 0, 0);
            if (ret < 0) {
                return ret;
            }
        }
        offset += n;
        bytes -= n;
    }
    return 0;
}

/* Mark [@offset, @end), whole subclusters, as zeros where they are not yet. */
static int coroutine_fn GRAPH_RDLOCK
space_mark_zeros(BlockDriverState *bs, uint64_t offset, uint64_t end,
                 unsigned what, BdrvRequestFlags flags)
{
    BDRVQcow2State *s = bs->opaque;
    bool unmap = flags & BDRV_REQ_MAY_UNMAP;

    while (offset < end) {
        int64_t n = 0;
        int ret = 0;

        WITH_QEMU_LOCK_GUARD(&s->lock) {
            /*
             * Before the look: a write in flight may be about to link a
             * cluster at either end, of which only some subclusters are ours.
             */
            qcow2_wait_for_dependencies(bs, offset, end - offset);
            n = space_find(bs, &offset, end,
                           unmap ? what | HAS_CLUSTER : what);
            if (n > 0) {
                ret = qcow2_subcluster_zeroize(bs, offset, n,
                                               unmap ? BDRV_REQ_MAY_UNMAP : 0);
            }
        }
        if (n < 0) {
            return n;
        }
        if (ret == -ENOTSUP) {
            /* There is part of a compressed cluster, without subclusters. */
            n = MIN(n, ROUND_UP(offset + 1, s->cluster_size) - offset);
            ret = space_write_zeros(bs, offset, n, what);
        }
        if (ret < 0) {
            return ret;
        }
        offset += n;
    }
    return 0;
}

/* The same for what has any of @what alone */
static int coroutine_fn GRAPH_RDLOCK
zeroize(BlockDriverState *bs, uint64_t offset, uint64_t end, unsigned what,
        BdrvRequestFlags flags)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t from = MIN(ROUND_UP(offset, s->subcluster_size), end);
    uint64_t to = end == bs->total_sectors * BDRV_SECTOR_SIZE ?
                  end : MAX(QEMU_ALIGN_DOWN(end, s->subcluster_size), from);
    int ret = space_write_zeros(bs, offset, from - offset, what);

    if (ret >= 0) {
        ret = space_mark_zeros(bs, from, to, what, flags);
    }
    if (ret >= 0) {
        ret = space_write_zeros(bs, to, end - to, what);
    }
    return ret;
}

int coroutine_fn
qcow2_zoned_zeroize(BlockDriverState *bs, uint64_t offset, uint64_t bytes,
                    uint64_t base_end, BdrvRequestFlags flags)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t end = offset + bytes;
    int ret = 0;

    if (qcow2_zoned_has_base(bs) && base_end > offset) {
        uint64_t split = base_end < end ?
                         MIN(ROUND_UP(base_end, s->cluster_size), end) : end;

        ret = zeroize(bs, offset, split, HAS_DATA | HAS_BASE, flags);
        offset = split;
    }
    if (ret >= 0 && offset < end) {
        ret = zeroize(bs, offset, end, HAS_DATA, flags);
    }
    return ret == -ENOTSUP ? -EIO : ret;
}

int coroutine_fn
qcow2_zoned_unmap(BlockDriverState *bs, uint64_t offset, uint64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t end = offset + bytes;

    while (offset < end) {
        int64_t n = 0;
        int ret = 0;

        WITH_QEMU_LOCK_GUARD(&s->lock) {
            /* As in space_mark_zeros(): the look has to last. */
            qcow2_wait_for_dependencies(bs, offset, end - offset);
            n = space_find(bs, &offset, end, HAS_CLUSTER);
            if (n > 0) {
                ret = qcow2_cluster_discard(bs, offset, n,
                                            QCOW2_DISCARD_REQUEST,
                                            !s->discard_no_unref);
            }
        }
        if (n < 0 || ret < 0) {
            return n < 0 ? n : ret;
        }
        offset += n;
    }
    return 0;
}
