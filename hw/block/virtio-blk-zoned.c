/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zoned part of virtio-blk
 *
 * Turns zone commands of the guest into calls of the zoned block API, and the
 * outcome into virtio statuses.  Knows nothing of how zones are stored, and
 * decides nothing about their state: it only refuses what cannot be expressed
 * to the block layer.  Source: virtio 1.3, 5.2.6 (zoned block devices).
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/iov.h"
#include "qemu/lockable.h"
#include "block/block_int.h"
#include "block/zone-errors.h"
#include "block/zoned-close.h"
#include "hw/virtio/virtio-access.h"
#include "hw/virtio/virtio-blk-zoned.h"
#include "trace.h"

/* Zones asked for at a time, whatever size of buffer the guest gives us */
#define ZONED_REPORT_BATCH 1024

/* Ends the errors for blocks that do not fit: everything is whole sectors. */
#define ZONED_SMALLER_BLOCKS \
    ": use smaller blocks, logical_block_size=512 fits"

/* A zone report copies types and states as they are. */
QEMU_BUILD_BUG_ON((int)BLK_ZT_CONV != VIRTIO_BLK_ZT_CONV);
QEMU_BUILD_BUG_ON((int)BLK_ZT_SWR != VIRTIO_BLK_ZT_SWR);
QEMU_BUILD_BUG_ON((int)BLK_ZT_SWP != VIRTIO_BLK_ZT_SWP);
QEMU_BUILD_BUG_ON((int)BLK_ZS_NOT_WP != VIRTIO_BLK_ZS_NOT_WP);
QEMU_BUILD_BUG_ON((int)BLK_ZS_EMPTY != VIRTIO_BLK_ZS_EMPTY);
QEMU_BUILD_BUG_ON((int)BLK_ZS_IOPEN != VIRTIO_BLK_ZS_IOPEN);
QEMU_BUILD_BUG_ON((int)BLK_ZS_EOPEN != VIRTIO_BLK_ZS_EOPEN);
QEMU_BUILD_BUG_ON((int)BLK_ZS_CLOSED != VIRTIO_BLK_ZS_CLOSED);
QEMU_BUILD_BUG_ON((int)BLK_ZS_RDONLY != VIRTIO_BLK_ZS_RDONLY);
QEMU_BUILD_BUG_ON((int)BLK_ZS_FULL != VIRTIO_BLK_ZS_FULL);
QEMU_BUILD_BUG_ON((int)BLK_ZS_OFFLINE != VIRTIO_BLK_ZS_OFFLINE);
QEMU_BUILD_BUG_ON((int)BLK_Z_HM != VIRTIO_BLK_Z_HM);
QEMU_BUILD_BUG_ON((int)BLK_Z_HA != VIRTIO_BLK_Z_HA);
QEMU_BUILD_BUG_ON(sizeof(struct virtio_blk_zone_report) != 64);
QEMU_BUILD_BUG_ON(sizeof(struct virtio_blk_zone_descriptor) != 64);

/* What a request is checked against; all zero where the node has no zones */
typedef struct ZonedLimits {
    uint64_t zone_size;             /* bytes */
    uint64_t max_append;            /* bytes */
    uint64_t capacity;              /* of the drive, bytes */
} ZonedLimits;

typedef struct ZonedAppend {
    VirtIOBlockReq *req;
    int64_t offset;                 /* in: the zone; out: where data went */
} ZonedAppend;

/*
 * The node below the drive may be another one than at realize, without zones
 * even, so ask it each time.
 */
static bool zoned_get_limits(VirtIOBlock *s, ZonedLimits *zl)
{
    BlockDriverState *bs = blk_bs(s->blk);
    uint64_t sectors;

    *zl = (ZonedLimits) {};
    if (!bs || bs->bl.zoned == BLK_Z_NONE || !bs->bl.zone_size) {
        return false;
    }
    blk_get_geometry(s->blk, &sectors);
    zl->zone_size = bs->bl.zone_size;
    zl->max_append = (uint64_t)bs->bl.max_append_sectors << BDRV_SECTOR_BITS;
    zl->capacity = sectors << BDRV_SECTOR_BITS;
    return true;
}

/*
 * The one table from errors (positive errno) to statuses of virtio 1.3,
 * 5.2.6.2.  An error that is not in it is one of the host.
 */
static const struct {
    int error;
    uint8_t status;
    bool command;               /* only as the error of a zone command */
} zoned_statuses[] = {
    { BLK_ZONE_ERR_UNALIGNED_WP, VIRTIO_BLK_S_ZONE_UNALIGNED_WP },
    { BLK_ZONE_ERR_OPEN_LIMIT, VIRTIO_BLK_S_ZONE_OPEN_RESOURCE },
    { BLK_ZONE_ERR_ACTIVE_LIMIT, VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE },
    { BLK_ZONE_ERR_BOUNDARY, VIRTIO_BLK_S_ZONE_INVALID_CMD },
    { BLK_ZONE_ERR_FULL, VIRTIO_BLK_S_ZONE_INVALID_CMD },
    { BLK_ZONE_ERR_READ_ONLY, VIRTIO_BLK_S_ZONE_INVALID_CMD },
    { BLK_ZONE_ERR_OFFLINE, VIRTIO_BLK_S_ZONE_INVALID_CMD },
    { BLK_ZONE_ERR_INVALID_APPEND, VIRTIO_BLK_S_ZONE_INVALID_CMD },
    { BLK_ZONE_ERR_TRANSITION, VIRTIO_BLK_S_ZONE_INVALID_CMD },
    { EINVAL, VIRTIO_BLK_S_ZONE_INVALID_CMD, true },
    { ENOTSUP, VIRTIO_BLK_S_UNSUPP, true },
    { ENOMEDIUM, VIRTIO_BLK_S_IOERR, true },
    { EACCES, VIRTIO_BLK_S_IOERR, true },
    { EPERM, VIRTIO_BLK_S_IOERR, true },
    { EROFS, VIRTIO_BLK_S_IOERR, true },
};

/*
 * The status for @error of a zone command (@command) or another request.
 * Returns false if that is for the error policy to decide.
 */
static bool zoned_status(VirtIOBlock *s, int error, bool command,
                         uint8_t *status)
{
    for (unsigned i = 0; i < ARRAY_SIZE(zoned_statuses); i++) {
        if (zoned_statuses[i].error != error ||
            zoned_statuses[i].command > command) {
            continue;
        }
        *status = zoned_statuses[i].status;
        /* Without the feature the driver does not know the zoned ones. */
        if (*status > VIRTIO_BLK_S_UNSUPP &&
            !virtio_vdev_has_feature(VIRTIO_DEVICE(s), VIRTIO_BLK_F_ZONED)) {
            *status = VIRTIO_BLK_S_IOERR;
        }
        return true;
    }
    return false;
}

/*
 * A driver that has not accepted the feature does not know zones: it may read
 * a host-managed drive, but where it writes is right by chance only.
 */
static bool zoned_is_unaware(VirtIOBlock *s)
{
    BlockDriverState *bs = blk_bs(s->blk);

    return virtio_blk_is_zoned(s) && bs && bs->bl.zoned == BLK_Z_HM &&
           !virtio_vdev_has_feature(VIRTIO_DEVICE(s), VIRTIO_BLK_F_ZONED);
}

static void zoned_complete(VirtIOBlockReq *req, uint8_t status)
{
    virtio_blk_req_complete(req, status);
    g_free(req);
}

bool virtio_blk_zoned_error(VirtIOBlockReq *req, int error, bool acct_failed)
{
    VirtIOBlock *s = req->dev;
    uint8_t status;

    /* On a drive without zones, or of a flush, these are the host's errors. */
    if (!virtio_blk_is_zoned(s) ||
        virtio_ldl_p(VIRTIO_DEVICE(s), &req->out.type) ==
        VIRTIO_BLK_T_FLUSH || !zoned_status(s, error, false, &status)) {
        return false;
    }
    /* One that throttling has held back comes too late to be deferred before */
    if (error == BLK_ZONE_ERR_UNALIGNED_WP && virtio_blk_zoned_defer(req)) {
        return true;
    }
    if (acct_failed) {
        block_acct_failed(blk_get_stats(s->blk), &req->acct);
    }
    zoned_complete(req, status);
    return true;
}

/*
 * A zone command has failed with @ret; answer it, or queue it for a retry if
 * the error policy says so.
 */
static void zoned_failed(VirtIOBlockReq *req, int ret, bool acct_started)
{
    VirtIOBlock *s = req->dev;
    uint8_t status;

    if (zoned_status(s, -ret, true, &status)) {
        /* As the table says */
    } else if (s->zoned_host_device && ret != -ENOSPC) {
        /*
         * A host's kernel answers EIO for a command that the zone's state
         * forbids and for a broken disk alike, so such an error must not stop
         * the guest.
         */
        status = VIRTIO_BLK_S_ZONE_INVALID_CMD;
    } else {
        if (virtio_blk_handle_rw_error(req, -ret, false, acct_started)) {
            return;
        }
        /*
         * The error is to be ignored, but an append that did not happen has no
         * place that could be told, and no other command can be passed off as
         * done: the guest would go on with a wrong idea of the zone.
         */
        status = VIRTIO_BLK_S_IOERR;
    }

    if (acct_started) {
        block_acct_failed(blk_get_stats(s->blk), &req->acct);
    }
    zoned_complete(req, status);
}

/* Fill the in buffer of @req from its sector on; returns the status. */
static uint8_t coroutine_fn zoned_co_report(VirtIOBlockReq *req)
{
    VirtIOBlock *s = req->dev;
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    struct virtio_blk_zone_report header = {};
    uint64_t sector = virtio_ldq_p(vdev, &req->out.sector);
    g_autofree struct virtio_blk_zone_descriptor *descs = NULL;
    g_autofree BlockZoneDescriptor *zones = NULL;
    uint64_t offset, fit, batch, done = 0;
    ZonedLimits zl;

    if (!zoned_get_limits(s, &zl)) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    if (req->in_len < sizeof(*req->in) + sizeof(header) + sizeof(*descs) ||
        sector >= zl.capacity >> BDRV_SECTOR_BITS) {
        return VIRTIO_BLK_S_ZONE_INVALID_CMD;
    }

    fit = (req->in_len - sizeof(*req->in) - sizeof(header)) / sizeof(*descs);
    offset = sector << BDRV_SECTOR_BITS;
    trace_virtio_blk_handle_zone_report(vdev, req, sector,
                                        MIN(fit, UINT32_MAX));

    batch = zl.capacity / zl.zone_size - offset / zl.zone_size + 1;
    batch = MIN(MIN(fit, batch), ZONED_REPORT_BATCH);
    zones = g_new(BlockZoneDescriptor, batch);
    descs = g_new0(struct virtio_blk_zone_descriptor, batch);

    while (done < fit && offset < zl.capacity) {
        unsigned int nr = MIN(fit - done, batch);
        size_t bytes;
        int ret;

        WITH_GRAPH_RDLOCK_GUARD() {
            BlockDriverState *bs = blk_bs(s->blk);

            ret = bs ? bdrv_co_zone_report(bs, offset, &nr, zones)
                     : -ENOMEDIUM;
        }
        trace_virtio_blk_zone_report_complete(vdev, req, nr, ret);
        if (ret < 0) {
            uint8_t status;

            /* A report changes nothing, so that it need not be made again. */
            return zoned_status(s, -ret, true, &status) ? status
                                                        : VIRTIO_BLK_S_IOERR;
        }
        if (!nr) {
            break;
        }

        for (unsigned i = 0; i < nr; i++) {
            virtio_stq_p(vdev, &descs[i].z_cap,
                         zones[i].cap >> BDRV_SECTOR_BITS);
            virtio_stq_p(vdev, &descs[i].z_start,
                         zones[i].start >> BDRV_SECTOR_BITS);
            virtio_stq_p(vdev, &descs[i].z_wp,
                         zones[i].wp >> BDRV_SECTOR_BITS);
            descs[i].z_type = zones[i].type;
            descs[i].z_state = zones[i].state;
        }

        /* That it fits follows from in_len; the status byte comes after it. */
        bytes = nr * sizeof(*descs);
        iov_from_buf(req->elem.in_sg, req->elem.in_num,
                     sizeof(header) + done * sizeof(*descs), descs, bytes);
        offset = zones[nr - 1].start + zones[nr - 1].length;
        done += nr;
    }

    virtio_stq_p(vdev, &header.nr_zones, done);
    iov_from_buf(req->elem.in_sg, req->elem.in_num, 0, &header,
                 sizeof(header));
    return VIRTIO_BLK_S_OK;
}

/*
 * A report takes several calls, so it is one request of the BlockBackend that
 * a drain waits for as a whole.
 */
static void coroutine_fn zoned_report_entry(void *opaque)
{
    VirtIOBlockReq *req = opaque;
    BlockBackend *blk = req->dev->blk;

    blk_co_start_request(blk);
    zoned_complete(req, zoned_co_report(req));
    blk_end_request(blk);
}

/*
 * Process @req, a read over a zone's end or a write that is not of whole
 * blocks: what becomes of it depends on the type of the zone it begins in.
 */
static void coroutine_fn zoned_co_check(VirtIOBlockReq *req)
{
    VirtIOBlock *s = req->dev;
    uint32_t type = virtio_ldl_p(VIRTIO_DEVICE(s), &req->out.type);
    bool is_write = type & VIRTIO_BLK_T_OUT;
    int64_t offset = req->sector_num << BDRV_SECTOR_BITS;
    BlockZoneDescriptor zone;
    unsigned int nr = 1;
    int ret;

    WITH_GRAPH_RDLOCK_GUARD() {
        BlockDriverState *bs = blk_bs(s->blk);

        ret = bs ? bdrv_co_zone_report(bs, offset, &nr, &zone) : -ENOMEDIUM;
    }
    if (ret == 0 && nr && zone.type == BLK_ZT_SWR) {
        block_acct_invalid(blk_get_stats(s->blk),
                           is_write ? BLOCK_ACCT_WRITE : BLOCK_ACCT_READ);
        zoned_complete(req, is_write ? VIRTIO_BLK_S_ZONE_UNALIGNED_WP
                                     : VIRTIO_BLK_S_ZONE_INVALID_CMD);
    } else if (is_write) {
        block_acct_invalid(blk_get_stats(s->blk), BLOCK_ACCT_WRITE);
        zoned_complete(req, VIRTIO_BLK_S_IOERR);
    } else {
        block_acct_start(blk_get_stats(s->blk), &req->acct, req->qiov.size,
                         BLOCK_ACCT_READ);
        ret = blk_co_preadv(s->blk, offset, req->qiov.size, &req->qiov,
                            BDRV_REQ_NO_QUEUE);
        virtio_blk_rw_complete(req, ret);
    }
}

/* As for a report, one request that a drain waits for as a whole */
static void coroutine_fn zoned_check_entry(void *opaque)
{
    VirtIOBlockReq *req = opaque;
    BlockBackend *blk = req->dev->blk;

    blk_co_start_request(blk);
    zoned_co_check(req);
    blk_end_request(blk);
}

/* Does @req, of whole sectors, go on behind the zone that it begins in? */
static bool zoned_crosses(const VirtIOBlockReq *req)
{
    BlockDriverState *bs = blk_bs(req->dev->blk);
    uint64_t zone_sectors = bs ? bs->bl.zone_size >> BDRV_SECTOR_BITS : 0;

    return zone_sectors && (uint64_t)req->sector_num % zone_sectors +
           (req->qiov.size >> BDRV_SECTOR_BITS) > zone_sectors;
}

bool virtio_blk_zoned_check(VirtIOBlockReq *req, bool is_write)
{
    VirtIOBlock *s = req->dev;
    uint64_t sector = req->sector_num, len = req->qiov.size;
    bool whole_blocks;
    ZonedLimits zl;

    if (!virtio_blk_is_zoned(s)) {
        return false;
    }
    if (!virtio_vdev_has_feature(VIRTIO_DEVICE(s), VIRTIO_BLK_F_ZONED)) {
        if (!is_write || !zoned_is_unaware(s)) {
            return false;
        }
        block_acct_invalid(blk_get_stats(s->blk), BLOCK_ACCT_WRITE);
        zoned_complete(req, VIRTIO_BLK_S_IOERR);
        return true;
    }

    whole_blocks = !(sector & s->sector_mask) &&
                   !(len % s->conf.conf.logical_block_size);
    if (is_write ? whole_blocks : (!whole_blocks || !zoned_crosses(req))) {
        return false;
    }
    /* What does not lie on the drive fails as on any drive. */
    if (!zoned_get_limits(s, &zl) || !len || len > zl.capacity ||
        len > BDRV_REQUEST_MAX_BYTES ||
        sector > (zl.capacity - len) >> BDRV_SECTOR_BITS) {
        return false;
    }
    aio_co_enter(qemu_get_current_aio_context(),
                 qemu_coroutine_create(zoned_check_entry, req));
    return true;
}

static void zoned_mgmt_complete(void *opaque, int ret)
{
    VirtIOBlockReq *req = opaque;

    trace_virtio_blk_zone_mgmt_complete(VIRTIO_DEVICE(req->dev), req, ret);
    if (ret < 0) {
        zoned_failed(req, ret, false);
    } else {
        zoned_complete(req, VIRTIO_BLK_S_OK);
    }
}

static void zoned_mgmt(VirtIOBlockReq *req, BlockZoneOp op)
{
    VirtIOBlock *s = req->dev;
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    uint64_t sector = virtio_ldq_p(vdev, &req->out.sector);
    uint64_t offset, len;
    ZonedLimits zl;

    if (!blk_is_writable(s->blk)) {
        zoned_complete(req, VIRTIO_BLK_S_IOERR);
        return;
    }
    if (!zoned_get_limits(s, &zl)) {
        zoned_complete(req, VIRTIO_BLK_S_UNSUPP);
        return;
    }
    if (sector >= zl.capacity >> BDRV_SECTOR_BITS ||
        (sector << BDRV_SECTOR_BITS) % zl.zone_size) {
        zoned_complete(req, VIRTIO_BLK_S_ZONE_INVALID_CMD);
        return;
    }

    offset = sector << BDRV_SECTOR_BITS;
    len = MIN(zl.zone_size, zl.capacity - offset);
    trace_virtio_blk_handle_zone_mgmt(vdev, req, op, sector,
                                      len >> BDRV_SECTOR_BITS);
    blk_aio_zone_mgmt(s->blk, op, offset, len, 0, zoned_mgmt_complete, req);
}

/* virtio 1.3, 5.2.6.2: the sector of a RESET_ALL has no meaning. */
static void zoned_reset_all(VirtIOBlockReq *req)
{
    VirtIOBlock *s = req->dev;
    ZonedLimits zl;

    if (!blk_is_writable(s->blk)) {
        zoned_complete(req, VIRTIO_BLK_S_IOERR);
        return;
    }
    if (!zoned_get_limits(s, &zl)) {
        zoned_complete(req, VIRTIO_BLK_S_UNSUPP);
        return;
    }
    trace_virtio_blk_handle_zone_reset_all(VIRTIO_DEVICE(s), req, 0,
                                           zl.capacity >> BDRV_SECTOR_BITS);
    blk_aio_zone_mgmt(s->blk, BLK_ZO_RESET, 0, zl.capacity, BDRV_ZONE_ALL,
                      zoned_mgmt_complete, req);
}

static void zoned_append_complete(void *opaque, int ret)
{
    g_autofree ZonedAppend *za = opaque;
    VirtIOBlockReq *req = za->req;
    VirtIOBlock *s = req->dev;
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    uint64_t append_sector;

    trace_virtio_blk_zone_append_complete(vdev, req,
                                          za->offset >> BDRV_SECTOR_BITS, ret);
    if (ret < 0) {
        zoned_failed(req, ret, true);
        return;
    }

    virtio_stq_p(vdev, &append_sector, za->offset >> BDRV_SECTOR_BITS);
    iov_from_buf(req->elem.in_sg, req->elem.in_num, 0, &append_sector,
                 sizeof(append_sector));
    block_acct_done(blk_get_stats(s->blk), &req->acct);
    zoned_complete(req, VIRTIO_BLK_S_OK);
}

static uint8_t zoned_check_append(VirtIOBlockReq *req, uint64_t sector,
                                  size_t len)
{
    VirtIOBlock *s = req->dev;
    ZonedLimits zl;

    if (!blk_is_writable(s->blk)) {
        return VIRTIO_BLK_S_IOERR;
    }
    if (!zoned_get_limits(s, &zl) || !zl.max_append) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    if (req->in_len < sizeof(*req->in) + sizeof(uint64_t) ||
        sector >= zl.capacity >> BDRV_SECTOR_BITS ||
        (sector << BDRV_SECTOR_BITS) % zl.zone_size ||
        len == 0 || len > zl.max_append ||
        len % s->conf.conf.logical_block_size) {
        return VIRTIO_BLK_S_ZONE_INVALID_CMD;
    }
    return VIRTIO_BLK_S_OK;
}

static void zoned_append(VirtIOBlockReq *req, struct iovec *out_iov,
                         unsigned out_num)
{
    VirtIOBlock *s = req->dev;
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    uint64_t sector = virtio_ldq_p(vdev, &req->out.sector);
    size_t len = iov_size(out_iov, out_num);
    uint8_t status;
    ZonedAppend *za;

    trace_virtio_blk_handle_zone_append(vdev, req, sector);
    status = zoned_check_append(req, sector, len);
    if (status != VIRTIO_BLK_S_OK) {
        block_acct_invalid(blk_get_stats(s->blk), BLOCK_ACCT_ZONE_APPEND);
        zoned_complete(req, status);
        return;
    }
    if (virtio_blk_zoned_defer(req)) {
        return;
    }

    za = g_new(ZonedAppend, 1);
    za->req = req;
    za->offset = sector << BDRV_SECTOR_BITS;
    qemu_iovec_init_external(&req->qiov, out_iov, out_num);
    block_acct_start(blk_get_stats(s->blk), &req->acct, len,
                     BLOCK_ACCT_ZONE_APPEND);
    blk_aio_zone_append(s->blk, &za->offset, &req->qiov, 0,
                        zoned_append_complete, za);
}

bool virtio_blk_zoned_takes(const VirtIOBlock *s, uint32_t type)
{
    switch (type & ~VIRTIO_BLK_T_BARRIER) {
    case VIRTIO_BLK_T_ZONE_APPEND:
    case VIRTIO_BLK_T_ZONE_REPORT:
    case VIRTIO_BLK_T_ZONE_OPEN:
    case VIRTIO_BLK_T_ZONE_CLOSE:
    case VIRTIO_BLK_T_ZONE_FINISH:
    case VIRTIO_BLK_T_ZONE_RESET:
    case VIRTIO_BLK_T_ZONE_RESET_ALL:
        return true;
    case VIRTIO_BLK_T_DISCARD:
        return virtio_blk_is_zoned(s) &&
               !virtio_has_feature(s->host_features, VIRTIO_BLK_F_DISCARD);
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return virtio_blk_is_zoned(s) &&
               !virtio_has_feature(s->host_features, VIRTIO_BLK_F_WRITE_ZEROES);
    default:
        return false;
    }
}

void virtio_blk_zoned_handle(VirtIOBlockReq *req, uint32_t type,
                             struct iovec *out_iov, unsigned out_num)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(req->dev);

    if (!virtio_vdev_has_feature(vdev, VIRTIO_BLK_F_ZONED)) {
        zoned_complete(req, VIRTIO_BLK_S_UNSUPP);
        return;
    }

    switch (type & ~VIRTIO_BLK_T_BARRIER) {
    case VIRTIO_BLK_T_ZONE_APPEND:
        zoned_append(req, out_iov, out_num);
        break;
    case VIRTIO_BLK_T_ZONE_REPORT:
        aio_co_enter(qemu_get_current_aio_context(),
                     qemu_coroutine_create(zoned_report_entry, req));
        break;
    case VIRTIO_BLK_T_ZONE_OPEN:
        zoned_mgmt(req, BLK_ZO_OPEN);
        break;
    case VIRTIO_BLK_T_ZONE_CLOSE:
        zoned_mgmt(req, BLK_ZO_CLOSE);
        break;
    case VIRTIO_BLK_T_ZONE_FINISH:
        zoned_mgmt(req, BLK_ZO_FINISH);
        break;
    case VIRTIO_BLK_T_ZONE_RESET:
        zoned_mgmt(req, BLK_ZO_RESET);
        break;
    case VIRTIO_BLK_T_ZONE_RESET_ALL:
        zoned_reset_all(req);
        break;
    default:
        zoned_complete(req, VIRTIO_BLK_S_UNSUPP);
    }
}

/*
 * Writes that fail give their range of the zone back, the write pointer goes
 * below them, and a write that the guest had queued behind them would miss it.
 * It must not be told so: it has done nothing wrong, and the writes before it
 * will succeed after the VM is resumed.
 *
 * Only this virtqueue's own requests count, since its AioContext is where they
 * are resubmitted; the device makes no promise of order between virtqueues.
 */
bool virtio_blk_zoned_defer(VirtIOBlockReq *req)
{
    VirtIOBlock *s = req->dev;

    if (!virtio_blk_is_zoned(s)) {
        return false;
    }

    QEMU_LOCK_GUARD(&s->rq_lock);
    for (VirtIOBlockReq *r = s->rq; r; r = r->next) {
        if (r->vq == req->vq) {
            iov_discard_undo(&req->inhdr_undo);
            iov_discard_undo(&req->outhdr_undo);
            req->mr_next = NULL;
            req->next = s->rq;
            s->rq = req;
            return true;
        }
    }
    return false;
}

typedef struct ZonedRestart {
    VirtIOBlock *s;
    VirtQueue *vq;
} ZonedRestart;

/* The sector of a request that may have come by migration, unparsed */
static uint64_t zoned_queued_sector(VirtIOBlockReq *req)
{
    struct virtio_blk_outhdr out = {};

    iov_to_buf(req->elem.out_sg, req->elem.out_num, 0, &out, sizeof(out));
    return virtio_ldq_p(VIRTIO_DEVICE(req->dev), &out.sector);
}

/*
 * Requests stay in s->rq until this runs in their own AioContext, so that
 * virtio_blk_zoned_defer() sees them: nothing of this virtqueue can come
 * between.
 */
static void zoned_restart_bh(void *opaque)
{
    g_autofree ZonedRestart *zr = opaque;
    VirtIOBlock *s = zr->s;
    VirtIOBlockReq *sorted = NULL;

    WITH_QEMU_LOCK_GUARD(&s->rq_lock) {
        VirtIOBlockReq **link = &s->rq;

        while (*link) {
            VirtIOBlockReq *req = *link, **at = &sorted;

            if (req->vq != zr->vq) {
                link = &req->next;
                continue;
            }
            *link = req->next;

            /*
             * Ascending; s->rq has the latest first, so among equals this one
             * goes first.  There are no more requests than virtqueue entries.
             */
            req->sector_num = zoned_queued_sector(req);
            while (*at &&
                   (uint64_t)(*at)->sector_num < (uint64_t)req->sector_num) {
                at = &(*at)->next;
            }
            req->next = *at;
            *at = req;
        }
    }

    if (sorted) {
        virtio_blk_dma_restart_bh(sorted);
    } else {
        /* An earlier restart has taken them all. */
        blk_dec_in_flight(s->blk);
    }
}

void virtio_blk_zoned_restart(VirtIOBlock *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    g_autofree bool *queued = g_new0(bool, s->conf.num_queues);

    WITH_QEMU_LOCK_GUARD(&s->rq_lock) {
        for (VirtIOBlockReq *req = s->rq; req; req = req->next) {
            queued[virtio_get_queue_index(req->vq)] = true;
        }
    }

    for (uint16_t i = 0; i < s->conf.num_queues; i++) {
        ZonedRestart *zr;

        if (!queued[i]) {
            continue;
        }
        zr = g_new(ZonedRestart, 1);
        zr->s = s;
        zr->vq = virtio_get_queue(vdev, i);

        /* Paired with dec in virtio_blk_dma_restart_bh() */
        blk_inc_in_flight(s->blk);
        aio_bh_schedule_oneshot(s->vq_aio_context[i], zoned_restart_bh, zr);
    }
}

/* In bytes, of whole blocks; 0 if the node takes no append of one block */
static uint64_t zoned_append_limit(const VirtIOBlock *s,
                                   const BlockDriverState *bs)
{
    return QEMU_ALIGN_DOWN((uint64_t)bs->bl.max_append_sectors <<
                           BDRV_SECTOR_BITS,
                           s->conf.conf.logical_block_size);
}

void virtio_blk_zoned_get_config(VirtIOBlock *s,
                                 struct virtio_blk_config *blkcfg)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    BlockDriverState *bs = blk_bs(s->blk);
    uint32_t block_size = s->conf.conf.logical_block_size;

    blkcfg->zoned.model = VIRTIO_BLK_Z_NONE;
    if (!virtio_blk_is_zoned(s) || !bs || bs->bl.zoned == BLK_Z_NONE) {
        return;
    }

    blkcfg->zoned.model = bs->bl.zoned;
    virtio_stl_p(vdev, &blkcfg->zoned.zone_sectors,
                 bs->bl.zone_size >> BDRV_SECTOR_BITS);
    virtio_stl_p(vdev, &blkcfg->zoned.max_active_zones,
                 bs->bl.max_active_zones);
    virtio_stl_p(vdev, &blkcfg->zoned.max_open_zones,
                 bs->bl.max_open_zones);
    virtio_stl_p(vdev, &blkcfg->zoned.write_granularity, block_size);
    virtio_stl_p(vdev, &blkcfg->zoned.max_append_sectors,
                 zoned_append_limit(s, bs) >> BDRV_SECTOR_BITS);
}

void virtio_blk_zoned_close(VirtIOBlock *s)
{
    if (virtio_blk_is_zoned(s)) {
        int ret = blk_zoned_close(s->blk);

        trace_virtio_blk_zoned_close(VIRTIO_DEVICE(s), ret);
    }
}

int virtio_blk_zoned_validate_features(VirtIODevice *vdev)
{
    /* virtio 1.3, 5.2.5 */
    return zoned_is_unaware(VIRTIO_BLK(vdev)) ? -EINVAL : 0;
}

/* The property that gives a device its modern interface, by type of bus */
static const struct {
    const char *bus;
    const char *advice;
} zoned_modern[] = {
    { "virtio-pci-bus", "set disable-modern=off" },
    { "virtio-mmio-bus", "set force-legacy=off of the virtio-mmio transport" },
    { "virtio-ccw-bus", "set max_revision to 1 or more" },
};

bool virtio_blk_zoned_check_interface(VirtIOBlock *s, uint64_t features,
                                      Error **errp)
{
    BusState *bus = qdev_get_parent_bus(DEVICE(s));
    BlockDriverState *bs = blk_bs(s->blk);
    const char *advice = "use one that has the modern interface";

    if (!virtio_blk_is_zoned(s) || bs->bl.zoned != BLK_Z_HM ||
        virtio_has_feature(features, VIRTIO_F_VERSION_1)) {
        return true;
    }

    for (unsigned i = 0; i < ARRAY_SIZE(zoned_modern); i++) {
        if (object_dynamic_cast(OBJECT(bus), zoned_modern[i].bus)) {
            advice = zoned_modern[i].advice;
        }
    }
    error_setg(errp, "the device has the legacy interface only, which does not "
               "show the zones of a host-managed drive: %s", advice);
    return false;
}

bool virtio_blk_zoned_prepare(BlockBackend *blk)
{
    BlockDriverState *bs = blk_bs(blk);

    blk_set_zoned_aware(blk, true);
    return bs && bs->bl.zoned != BLK_Z_NONE;
}

/* Are the zones those of a device of the host? */
static bool zoned_is_host_device(BlockDriverState *bs)
{
    GRAPH_RDLOCK_GUARD_MAINLOOP();

    for (; bs; bs = bdrv_primary_bs(bs)) {
        if (bs->wps) {
            return true;
        }
    }
    return false;
}

/*
 * Blocks of @lbs bytes must not straddle a write pointer, nor the end of a
 * zone's capacity.
 */
static bool zoned_check_pointers(BlockBackend *blk, uint64_t lbs, Error **errp)
{
    g_autofree BlockZoneDescriptor *zones =
        g_new(BlockZoneDescriptor, ZONED_REPORT_BATCH);
    int64_t length = blk_getlength(blk);
    int64_t offset = 0;

    if (length < 0) {
        error_setg_errno(errp, -length, "cannot get the size of drive '%s'",
                         blk_name(blk));
        return false;
    }
    if (length % lbs) {
        error_setg(errp, "the size of the zoned drive, %" PRId64 " bytes, is "
                   "not a multiple of logical_block_size %" PRIu64
                   ZONED_SMALLER_BLOCKS, length, lbs);
        return false;
    }

    while (offset < length) {
        unsigned int nr = ZONED_REPORT_BATCH;
        int ret = blk_zone_report(blk, offset, &nr, zones);

        if (ret < 0 || !nr) {
            error_setg_errno(errp, ret < 0 ? -ret : EIO,
                             "cannot report the zones of the drive from offset "
                             "%" PRId64 " on", offset);
            return false;
        }
        for (unsigned i = 0; i < nr; i++) {
            const BlockZoneDescriptor *z = &zones[i];

            if (z->cap % lbs) {
                error_setg(errp, "the capacity of the zone at offset %" PRIu64
                           ", %" PRIu64 " bytes, is not a multiple of "
                           "logical_block_size %" PRIu64 ZONED_SMALLER_BLOCKS,
                           z->start, z->cap, lbs);
                return false;
            }
            if (z->type != BLK_ZT_CONV && z->wp % lbs) {
                error_setg(errp, "the write pointer of the zone at offset %"
                           PRIu64 ", %" PRIu64 ", is not a multiple of "
                           "logical_block_size %" PRIu64 ZONED_SMALLER_BLOCKS
                           ", or reset or finish the zone",
                           z->start, z->wp, lbs);
                return false;
            }
        }
        offset = zones[nr - 1].start + zones[nr - 1].length;
    }
    return true;
}

bool virtio_blk_zoned_realize(VirtIOBlock *s, Error **errp)
{
    BlockConf *conf = &s->conf.conf;
    BlockDriverState *bs = blk_bs(conf->blk);

    if (bs->bl.zoned == BLK_Z_NONE) {
        return true;
    }

    if (bs->bl.zone_size >> BDRV_SECTOR_BITS > UINT32_MAX) {
        error_setg(errp, "zones of %" PRIu64 " bytes are too large for "
                   "virtio-blk, whose zone size is at most 1 TiB",
                   bs->bl.zone_size);
        return false;
    }
    if (bs->bl.zone_size % conf->logical_block_size) {
        error_setg(errp, "the zone size, %" PRIu64 " bytes, is not a multiple "
                   "of logical_block_size %" PRIu32 ZONED_SMALLER_BLOCKS,
                   bs->bl.zone_size, conf->logical_block_size);
        return false;
    }

    /* Everything about zones is a multiple of a sector. */
    if (conf->logical_block_size > BDRV_SECTOR_SIZE &&
        !zoned_check_pointers(conf->blk, conf->logical_block_size, errp)) {
        return false;
    }

    /* A limit of 0 is for drives without the command; drivers refuse it. */
    if (!zoned_append_limit(s, bs)) {
        error_setg(errp, "the drive takes zone appends of up to %" PRIu64
                   " bytes, virtio-blk needs at least logical_block_size %"
                   PRIu32, (uint64_t)bs->bl.max_append_sectors <<
                   BDRV_SECTOR_BITS, conf->logical_block_size);
        return false;
    }

    s->zoned_host_device = zoned_is_host_device(bs);
    virtio_add_feature(&s->host_features, VIRTIO_BLK_F_ZONED);
    if (bs->bl.zoned == BLK_Z_HM) {
        /*
         * virtio 1.3, 5.2.5, forbids the first.  The second would have to be
         * placed at the write pointer, as no driver does.
         */
        virtio_clear_feature(&s->host_features, VIRTIO_BLK_F_DISCARD);
        virtio_clear_feature(&s->host_features, VIRTIO_BLK_F_WRITE_ZEROES);
    }
    return true;
}
