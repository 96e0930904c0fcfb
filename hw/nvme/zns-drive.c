/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A zoned drive as an NVMe ZNS namespace
 *
 * Turns the guest's commands for a namespace with a host-managed drive into
 * calls of the zoned block API, and the outcome into NVMe statuses.  The
 * drive has the zones: their states, write pointers and limits live there and
 * outlive the device.  Nothing of that is known here but the geometry, which
 * does not change, so commands that the drive would refuse are sent to it all
 * the same.  Commands that only read data take the device's common path.
 *
 * Source: NVM Express Zoned Namespace Command Set Specification 1.1.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/memalign.h"
#include "hw/qdev-properties.h"
#include "system/block-backend.h"
#include "system/dma.h"
#include "block/block_int.h"
#include "block/zone-errors.h"
#include "block/zoned-close.h"

#include "nvme.h"
#include "zns-drive.h"
#include "trace.h"

/* Zones asked for at a time, however large the guest's buffer is */
#define ZNS_REPORT_BATCH 1024

/* CAP.MPSMIN is 0: the unit of the append limit, whatever CC.MPS is */
#define ZNS_MPSMIN_BITS 12

/* In the control field of Write Zeroes: deallocate */
#define ZNS_WZ_DEAC (1 << 9)

/* A zone report copies states as they are. */
QEMU_BUILD_BUG_ON((int)BLK_ZT_SWR != NVME_ZONE_TYPE_SEQ_WRITE);
QEMU_BUILD_BUG_ON((int)BLK_ZS_EMPTY != NVME_ZONE_STATE_EMPTY);
QEMU_BUILD_BUG_ON((int)BLK_ZS_IOPEN != NVME_ZONE_STATE_IMPLICITLY_OPEN);
QEMU_BUILD_BUG_ON((int)BLK_ZS_EOPEN != NVME_ZONE_STATE_EXPLICITLY_OPEN);
QEMU_BUILD_BUG_ON((int)BLK_ZS_CLOSED != NVME_ZONE_STATE_CLOSED);
QEMU_BUILD_BUG_ON((int)BLK_ZS_RDONLY != NVME_ZONE_STATE_READ_ONLY);
QEMU_BUILD_BUG_ON((int)BLK_ZS_FULL != NVME_ZONE_STATE_FULL);
QEMU_BUILD_BUG_ON((int)BLK_ZS_OFFLINE != NVME_ZONE_STATE_OFFLINE);

/* --- Statuses --- */

uint16_t nvme_zns_drive_error(const NvmeNamespace *ns, int ret, uint16_t other)
{
    if (!ns || !ns->zns.drive) {
        return other;
    }

    switch (-ret) {
    case BLK_ZONE_ERR_UNALIGNED_WP:
        return NVME_ZONE_INVALID_WRITE | NVME_DNR;
    case BLK_ZONE_ERR_BOUNDARY:
        return NVME_ZONE_BOUNDARY_ERROR | NVME_DNR;
    case BLK_ZONE_ERR_FULL:
        return NVME_ZONE_FULL | NVME_DNR;
    case BLK_ZONE_ERR_READ_ONLY:
        return NVME_ZONE_READ_ONLY | NVME_DNR;
    case BLK_ZONE_ERR_OFFLINE:
        return NVME_ZONE_OFFLINE | NVME_DNR;
    case BLK_ZONE_ERR_INVALID_APPEND:
        return NVME_INVALID_FIELD | NVME_DNR;
    case BLK_ZONE_ERR_TRANSITION:
        return NVME_ZONE_INVAL_TRANSITION | NVME_DNR;
    case BLK_ZONE_ERR_ACTIVE_LIMIT:
        return NVME_ZONE_TOO_MANY_ACTIVE | NVME_DNR;
    case BLK_ZONE_ERR_OPEN_LIMIT:
        return NVME_ZONE_TOO_MANY_OPEN | NVME_DNR;
    case EPERM:
    case EACCES:
    case EROFS:
        return NVME_NS_WRITE_PROTECTED | NVME_DNR;
    case ENOTSUP:
        /* A host's device knows of one operation on all zones, the reset. */
        return NVME_INVALID_FIELD | NVME_DNR;
    default:
        return other;
    }
}

uint16_t nvme_zns_drive_check_read(const NvmeNamespace *ns, uint64_t slba,
                                   uint32_t nlb)
{
    if (!ns->zns.drive || ns->params.cross_zone_read ||
        slba / ns->zone_size == (slba + nlb - 1) / ns->zone_size) {
        return NVME_SUCCESS;
    }

    trace_pci_nvme_err_zone_read_not_ok(slba, nlb, NVME_ZONE_BOUNDARY_ERROR);
    return NVME_ZONE_BOUNDARY_ERROR | NVME_DNR;
}

/* --- Write, Write Zeroes, Zone Append --- */

typedef struct ZnsWrite {
    NvmeRequest *req;
    int64_t offset;             /* in: the zone, for appends; out: the data */
    uint64_t bytes;
    BdrvRequestFlags flags;
    bool append;
    bool scattered;             /* the guest's memory cannot be mapped whole */
    uint8_t *bounce;
    QEMUIOVector iov;           /* of @bounce */

    int ret;                    /* of one that failed */
    BlockZoneDescriptor zone;   /* after that */
    unsigned int nr;            /* of @zone */
} ZnsWrite;

static void zns_write_cb(void *opaque, int ret);

static BlockAIOCB *zns_submit(ZnsWrite *w, QEMUIOVector *iov,
                              BlockCompletionFunc *cb, void *opaque)
{
    BlockBackend *blk = w->req->ns->blkconf.blk;

    return w->append
        ? blk_aio_zone_append(blk, &w->offset, iov, w->flags, cb, opaque)
        : blk_aio_pwritev(blk, w->offset, iov, w->flags, cb, opaque);
}

/*
 * A write is accepted as a whole or not at all, so it must not reach the drive
 * in parts.
 */
static BlockAIOCB *zns_submit_mapped(int64_t offset, QEMUIOVector *iov,
                                     BlockCompletionFunc *cb, void *cb_opaque,
                                     void *opaque)
{
    ZnsWrite *w = opaque;

    if (iov->size != w->bytes) {
        w->scattered = true;
        return blk_abort_aio_request(w->req->ns->blkconf.blk, cb, cb_opaque,
                                     -EAGAIN);
    }
    return zns_submit(w, iov, cb, cb_opaque);
}

/* Collect the data in memory of ours.  Returns false if that fails. */
static bool zns_write_bounced(ZnsWrite *w)
{
    NvmeRequest *req = w->req;
    BlockBackend *blk = req->ns->blkconf.blk;

    w->scattered = false;
    w->bounce = blk_try_blockalign(blk, w->bytes);
    if (!w->bounce ||
        nvme_bounce_data(nvme_ctrl(req), w->bounce, w->bytes,
                         NVME_TX_DIRECTION_TO_DEVICE, req)) {
        return false;
    }

    qemu_iovec_init_buf(&w->iov, w->bounce, w->bytes);
    req->aiocb = zns_submit(w, &w->iov, zns_write_cb, w);
    return true;
}

static void zns_write_end(ZnsWrite *w, int ret)
{
    NvmeRequest *req = w->req;

    trace_pci_nvme_zns_drive_write_cb(nvme_cid(req), nvme_nsid(req->ns),
                                      w->offset, w->bytes, ret);

    qemu_vfree(w->bounce);
    g_free(w);
    nvme_rw_complete_cb(req, ret);
}

/*
 * Where the write pointer is above the start of the write that failed, it has
 * gone on without it, and the same write cannot be made again.
 */
static void zns_failed_write_cb(void *opaque, int ret)
{
    ZnsWrite *w = opaque;

    if (ret == 0 && w->nr && w->zone.wp > w->offset) {
        w->req->status = NVME_DNR;
    }
    zns_write_end(w, w->ret);
}

static void zns_write_cb(void *opaque, int ret)
{
    ZnsWrite *w = opaque;
    NvmeRequest *req = w->req;
    NvmeNamespace *ns = req->ns;

    if (w->scattered) {
        if (zns_write_bounced(w)) {
            return;
        }
        ret = -ENOMEM;
    }

    if (ret < 0 && ret != -ECANCELED && !w->append &&
        !nvme_zns_drive_error(ns, ret, NVME_SUCCESS)) {
        w->ret = ret;
        w->nr = 1;
        req->aiocb = blk_aio_zone_report(
            ns->blkconf.blk,
            QEMU_ALIGN_DOWN(w->offset, nvme_l2b(ns, ns->zone_size)),
            &w->nr, &w->zone, zns_failed_write_cb, w);
        return;
    }

    if (ret == 0 && w->append) {
        NvmeZonedResult *res = (NvmeZonedResult *)&req->cqe;

        if (w->offset % ns->lbasz) {
            /* Somebody else writes to the drive, in smaller blocks. */
            ret = -EIO;
        } else {
            res->slba = cpu_to_le64(w->offset >> ns->lbaf.ds);
        }
    }
    zns_write_end(w, ret);
}

/* In bytes; what nvme_zns_drive_zasl() says may be less, never more */
static uint64_t zns_append_limit(const NvmeCtrl *n, const NvmeNamespace *ns)
{
    uint64_t limit = pow2floor(ns->zns.max_append);

    if (n->params.zasl) {
        limit = MIN(limit, 1ULL << (n->params.zasl + ZNS_MPSMIN_BITS));
    }
    return limit;
}

static uint16_t zns_write_check(NvmeCtrl *n, NvmeRequest *req, uint64_t slba,
                                uint32_t nlb)
{
    NvmeNamespace *ns = req->ns;
    uint64_t bytes = nvme_l2b(ns, nlb);
    uint16_t status;

    if (req->cmd.opcode != NVME_CMD_WRITE_ZEROES) {
        status = nvme_check_mdts(n, bytes);
        if (status) {
            return status;
        }
    }

    status = nvme_check_bounds(ns, slba, nlb);
    if (status) {
        return status;
    }

    if (req->cmd.opcode == NVME_CMD_ZONE_APPEND) {
        if (slba % ns->zone_size) {
            trace_pci_nvme_err_append_not_at_start(
                slba, QEMU_ALIGN_DOWN(slba, ns->zone_size));
            return NVME_INVALID_FIELD | NVME_DNR;
        }
        if (bytes > zns_append_limit(n, ns)) {
            trace_pci_nvme_err_zasl(bytes);
            return NVME_INVALID_FIELD | NVME_DNR;
        }
    }

    return NVME_SUCCESS;
}

static uint16_t zns_write(NvmeCtrl *n, NvmeRequest *req)
{
    NvmeRwCmd *rw = (NvmeRwCmd *)&req->cmd;
    NvmeNamespace *ns = req->ns;
    BlockBackend *blk = ns->blkconf.blk;
    uint64_t slba = le64_to_cpu(rw->slba);
    uint32_t nlb = (uint32_t)le16_to_cpu(rw->nlb) + 1;
    uint16_t control = le16_to_cpu(rw->control);
    uint64_t bytes = nvme_l2b(ns, nlb);
    bool append = rw->opcode == NVME_CMD_ZONE_APPEND;
    bool zeroes = rw->opcode == NVME_CMD_WRITE_ZEROES;
    enum BlockAcctType type = append ? BLOCK_ACCT_ZONE_APPEND
                                     : BLOCK_ACCT_WRITE;
    uint16_t status;
    ZnsWrite *w;

    trace_pci_nvme_write(nvme_cid(req), nvme_io_opc_str(rw->opcode),
                         nvme_nsid(ns), nlb, bytes, slba);

    status = zns_write_check(n, req, slba, nlb);
    if (!status && !zeroes) {
        status = nvme_map_dptr(n, &req->sg, bytes, &req->cmd);
    }
    if (status) {
        block_acct_invalid(blk_get_stats(blk), type);
        return status | NVME_DNR;
    }

    w = g_new0(ZnsWrite, 1);
    w->req = req;
    w->offset = nvme_l2b(ns, slba);
    w->bytes = bytes;
    w->append = append;
    w->flags = control & NVME_RW_FUA ? BDRV_REQ_FUA : 0;

    block_acct_start(blk_get_stats(blk), &req->acct, zeroes ? 0 : bytes, type);
    if (zeroes) {
        if (control & ZNS_WZ_DEAC) {
            w->flags |= BDRV_REQ_MAY_UNMAP;
        }
        req->aiocb = blk_aio_pwrite_zeroes(blk, w->offset, bytes, w->flags,
                                           zns_write_cb, w);
    } else if (req->sg.flags & NVME_SG_DMA) {
        req->aiocb = dma_blk_io(&req->sg.qsg, w->offset, BDRV_SECTOR_SIZE,
                                zns_submit_mapped, w, zns_write_cb, w,
                                DMA_DIRECTION_TO_DEVICE);
    } else {
        req->aiocb = zns_submit(w, &req->sg.iov, zns_write_cb, w);
    }
    return NVME_NO_COMPLETE;
}

/* --- Zone Management Send --- */

/* The zone that @slba is in must exist. */
static uint16_t zns_check_slba(const NvmeNamespace *ns, uint64_t slba)
{
    uint64_t nsze = le64_to_cpu(ns->id_ns.nsze);

    if (slba >= nsze) {
        trace_pci_nvme_err_invalid_lba_range(slba, 0, nsze);
        return NVME_LBA_RANGE | NVME_DNR;
    }
    return NVME_SUCCESS;
}

static uint16_t zns_mgmt_send(NvmeCtrl *n, NvmeRequest *req)
{
    NvmeZoneSendCmd *cmd = (NvmeZoneSendCmd *)&req->cmd;
    NvmeNamespace *ns = req->ns;
    uint64_t slba = le64_to_cpu(cmd->slba);
    bool all = cmd->zsflags & NVME_ZSFLAG_SELECT_ALL;
    BdrvZoneFlags flags = BDRV_ZONE_ZNS;
    uint64_t offset = 0, len = ns->size;
    BlockZoneOp op;
    uint16_t status;

    trace_pci_nvme_zns_drive_mgmt_send(nvme_cid(req), nvme_nsid(ns), cmd->zsa,
                                       slba, all);

    if (all) {
        flags |= BDRV_ZONE_ALL;
    } else {
        status = zns_check_slba(ns, slba);
        if (status) {
            return status;
        }
        if (slba % ns->zone_size && cmd->zsa != NVME_ZONE_ACTION_ZRWA_FLUSH) {
            trace_pci_nvme_err_unaligned_zone_cmd(
                cmd->zsa, slba, QEMU_ALIGN_DOWN(slba, ns->zone_size));
            return NVME_INVALID_FIELD | NVME_DNR;
        }
        offset = nvme_l2b(ns, slba);
        len = nvme_l2b(ns, ns->zone_size);
    }

    switch (cmd->zsa) {
    case NVME_ZONE_ACTION_OPEN:
        if (cmd->zsflags & NVME_ZSFLAG_ZRWA_ALLOC) {
            return NVME_INVALID_ZONE_OP | NVME_DNR;
        }
        op = BLK_ZO_OPEN;
        break;
    case NVME_ZONE_ACTION_CLOSE:
        op = BLK_ZO_CLOSE;
        break;
    case NVME_ZONE_ACTION_FINISH:
        op = BLK_ZO_FINISH;
        break;
    case NVME_ZONE_ACTION_RESET:
        op = BLK_ZO_RESET;
        break;
    case NVME_ZONE_ACTION_OFFLINE:
        /*
         * Only for zones that are read-only, and there is no way to tell the
         * drive.  Select All finds none that could be taken offline.
         */
        return all ? NVME_SUCCESS : NVME_ZONE_INVAL_TRANSITION | NVME_DNR;
    case NVME_ZONE_ACTION_ZRWA_FLUSH:
        /* There are no random write areas. */
        return (all ? NVME_INVALID_FIELD : NVME_INVALID_ZONE_OP) | NVME_DNR;
    case NVME_ZONE_ACTION_SET_ZD_EXT:
        /* There are no descriptor extensions. */
    default:
        trace_pci_nvme_err_invalid_mgmt_action(cmd->zsa);
        return NVME_INVALID_FIELD | NVME_DNR;
    }

    req->aiocb = blk_aio_zone_mgmt(ns->blkconf.blk, op, offset, len, flags,
                                   nvme_misc_cb, req);
    return NVME_NO_COMPLETE;
}

/* --- Zone Management Receive --- */

/* A report takes several calls of the drive. */
typedef struct ZnsReport {
    BlockAIOCB common;
    BlockAIOCB *aiocb;
    NvmeRequest *req;
    int ret;

    uint8_t filter;
    bool partial;
    uint64_t offset;            /* of the zone to look at next, in bytes */
    uint64_t found;             /* zones that match so far */
    uint64_t fit;               /* descriptors that fit into @buf */

    uint8_t *buf;
    uint64_t size;
    BlockZoneDescriptor *zones;
    unsigned int nr;            /* of @zones */
} ZnsReport;

static void zns_report_cancel(BlockAIOCB *acb)
{
    ZnsReport *r = container_of(acb, ZnsReport, common);

    /* Ends the loop of zns_report_cb(), which has a call under way */
    r->ret = -ECANCELED;
    if (r->aiocb) {
        blk_aio_cancel_async(r->aiocb);
    }
}

static const AIOCBInfo zns_report_aiocb_info = {
    .aiocb_size = sizeof(ZnsReport),
    .cancel_async = zns_report_cancel,
};

static bool zns_report_matches(uint8_t filter, BlockZoneState state)
{
    switch (filter) {
    case NVME_ZONE_REPORT_ALL:
        return true;
    case NVME_ZONE_REPORT_EMPTY:
        return state == BLK_ZS_EMPTY;
    case NVME_ZONE_REPORT_IMPLICITLY_OPEN:
        return state == BLK_ZS_IOPEN;
    case NVME_ZONE_REPORT_EXPLICITLY_OPEN:
        return state == BLK_ZS_EOPEN;
    case NVME_ZONE_REPORT_CLOSED:
        return state == BLK_ZS_CLOSED;
    case NVME_ZONE_REPORT_FULL:
        return state == BLK_ZS_FULL;
    case NVME_ZONE_REPORT_READ_ONLY:
        return state == BLK_ZS_RDONLY;
    case NVME_ZONE_REPORT_OFFLINE:
        return state == BLK_ZS_OFFLINE;
    default:
        g_assert_not_reached();
    }
}

/*
 * The write pointer means nothing in a zone that is full, read-only or
 * offline.  Guests do arithmetic with it all the same, so they get what the
 * drive has rather than FFFFFFFFFFFFFFFFh.
 */
static void zns_report_add(ZnsReport *r, const BlockZoneDescriptor *zone)
{
    const NvmeNamespace *ns = r->req->ns;
    NvmeZoneDescr *d;

    if (r->found < r->fit) {
        d = (NvmeZoneDescr *)(r->buf + sizeof(NvmeZoneReportHeader)) +
            r->found;
        d->zt = NVME_ZONE_TYPE_SEQ_WRITE;
        d->zs = zone->state << 4;
        d->zcap = cpu_to_le64(zone->cap >> ns->lbaf.ds);
        d->zslba = cpu_to_le64(zone->start >> ns->lbaf.ds);
        d->wp = cpu_to_le64(zone->wp >> ns->lbaf.ds);
    }
    r->found++;
}

/* Is there anything in the rest of the zones that the report has to tell? */
static bool zns_report_done(ZnsReport *r)
{
    const NvmeNamespace *ns = r->req->ns;

    if (r->offset >= ns->size) {
        return true;
    }
    if (r->found < r->fit) {
        return false;
    }
    if (!r->partial) {
        if (r->filter != NVME_ZONE_REPORT_ALL) {
            return false;
        }
        /* The others need not be seen to be counted. */
        r->found += (ns->size - r->offset) / nvme_l2b(r->req->ns,
                                                      ns->zone_size);
    }
    return true;
}

static void zns_report_finish(ZnsReport *r)
{
    NvmeRequest *req = r->req;
    NvmeZoneReportHeader *header = (NvmeZoneReportHeader *)r->buf;

    if (r->ret == 0) {
        uint16_t status;

        header->nr_zones = cpu_to_le64(r->found);
        status = nvme_bounce_data(nvme_ctrl(req), r->buf, r->size,
                                  NVME_TX_DIRECTION_FROM_DEVICE, req);
        if (status) {
            req->status = status;
        }
    }
    trace_pci_nvme_zns_drive_report_done(nvme_cid(req), nvme_nsid(req->ns),
                                         r->found, r->fit, r->ret);

    g_free(r->buf);
    g_free(r->zones);
    r->common.cb(r->common.opaque, r->ret);
    qemu_aio_unref(r);
}

static void zns_report_cb(void *opaque, int ret)
{
    ZnsReport *r = opaque;
    const NvmeNamespace *ns = r->req->ns;

    r->aiocb = NULL;
    if (ret == 0 && !r->nr) {
        /* Another node than at realize, and a smaller one */
        ret = -EIO;
    }
    if (r->ret == 0) {
        r->ret = ret;
    }
    if (r->ret < 0) {
        zns_report_finish(r);
        return;
    }

    for (unsigned int i = 0; i < r->nr; i++) {
        if (r->partial && r->found == r->fit) {
            break;
        }
        if (zns_report_matches(r->filter, r->zones[i].state)) {
            zns_report_add(r, &r->zones[i]);
        }
    }
    r->offset = r->zones[r->nr - 1].start + r->zones[r->nr - 1].length;

    if (zns_report_done(r)) {
        zns_report_finish(r);
        return;
    }
    r->nr = ZNS_REPORT_BATCH;
    r->aiocb = blk_aio_zone_report(ns->blkconf.blk, r->offset, &r->nr,
                                   r->zones, zns_report_cb, r);
}

static uint16_t zns_mgmt_recv(NvmeCtrl *n, NvmeRequest *req)
{
    NvmeNamespace *ns = req->ns;
    uint64_t slba = (uint64_t)le32_to_cpu(req->cmd.cdw11) << 32 |
                    le32_to_cpu(req->cmd.cdw10);
    uint64_t size = ((uint64_t)le32_to_cpu(req->cmd.cdw12) + 1) << 2;
    uint32_t dw13 = le32_to_cpu(req->cmd.cdw13);
    uint8_t action = dw13 & 0xff;
    uint8_t filter = (dw13 >> 8) & 0xff;
    bool partial = dw13 & (1 << 16);
    uint16_t status;
    uint8_t *buf;
    ZnsReport *r;

    trace_pci_nvme_zns_drive_mgmt_recv(nvme_cid(req), nvme_nsid(ns), action,
                                       slba, filter, partial, size);

    status = zns_check_slba(ns, slba);
    if (status) {
        return status;
    }
    /* An extended report is for those who have descriptor extensions. */
    if (action != NVME_ZONE_REPORT || filter > NVME_ZONE_REPORT_OFFLINE ||
        size < sizeof(NvmeZoneReportHeader)) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    status = nvme_check_mdts(n, size);
    if (status) {
        return status;
    }
    status = nvme_map_dptr(n, &req->sg, size, &req->cmd);
    if (status) {
        return status;
    }

    buf = g_try_malloc0(size);
    if (!buf) {
        return NVME_INTERNAL_DEV_ERROR;
    }

    r = blk_aio_get(&zns_report_aiocb_info, ns->blkconf.blk, nvme_misc_cb,
                    req);
    r->req = req;
    r->ret = 0;
    r->filter = filter;
    r->partial = partial;
    r->offset = nvme_l2b(ns, QEMU_ALIGN_DOWN(slba, ns->zone_size));
    r->found = 0;
    r->fit = (size - sizeof(NvmeZoneReportHeader)) / sizeof(NvmeZoneDescr);
    r->size = size;
    r->buf = buf;
    r->zones = g_new(BlockZoneDescriptor, ZNS_REPORT_BATCH);
    r->nr = ZNS_REPORT_BATCH;
    if (partial && filter == NVME_ZONE_REPORT_ALL) {
        r->nr = MIN(MAX(r->fit, 1), ZNS_REPORT_BATCH);
    }

    req->aiocb = &r->common;
    r->aiocb = blk_aio_zone_report(ns->blkconf.blk, r->offset, &r->nr,
                                   r->zones, zns_report_cb, r);
    return NVME_NO_COMPLETE;
}

/* --- The device's entry points --- */

bool nvme_zns_drive_takes(const NvmeNamespace *ns, uint8_t opcode)
{
    if (!ns->zns.drive) {
        return false;
    }

    switch (opcode) {
    case NVME_CMD_WRITE:
    case NVME_CMD_WRITE_ZEROES:
    case NVME_CMD_ZONE_APPEND:
    case NVME_CMD_ZONE_MGMT_SEND:
    case NVME_CMD_ZONE_MGMT_RECV:
        return true;
    default:
        return false;
    }
}

uint16_t nvme_zns_drive_io_cmd(NvmeCtrl *n, NvmeRequest *req)
{
    switch (req->cmd.opcode) {
    case NVME_CMD_ZONE_MGMT_SEND:
        return zns_mgmt_send(n, req);
    case NVME_CMD_ZONE_MGMT_RECV:
        return zns_mgmt_recv(n, req);
    default:
        return zns_write(n, req);
    }
}

BlockAIOCB *nvme_zns_drive_format(NvmeNamespace *ns, BlockCompletionFunc *cb,
                                  void *opaque)
{
    return blk_aio_zone_mgmt(ns->blkconf.blk, BLK_ZO_RESET, 0, ns->size,
                             BDRV_ZONE_ALL | BDRV_ZONE_ZNS, cb, opaque);
}

void nvme_zns_drive_shutdown(NvmeNamespace *ns)
{
    BlockBackend *blk = ns->blkconf.blk;
    int ret;

    blk_drain(blk);
    ret = blk_zoned_close(blk);
    trace_pci_nvme_zns_drive_shutdown(nvme_nsid(ns), ret);
}

/* Log2, in units of the minimum memory page size */
static uint8_t zns_append_log2(const NvmeNamespace *ns)
{
    return 63 - clz64(ns->zns.max_append) - ZNS_MPSMIN_BITS;
}

uint8_t nvme_zns_drive_zasl(NvmeCtrl *n)
{
    uint8_t zasl = n->params.zasl;

    for (int i = 1; i <= NVME_MAX_NAMESPACES; i++) {
        NvmeNamespace *ns = nvme_subsys_ns(n->subsys, i);

        if (!ns || !ns->zns.drive || (ns->ctrl && ns->ctrl != n)) {
            continue;
        }
        /* 0 stands for MDTS. */
        if (zns_append_log2(ns) < (zasl ? zasl : n->params.mdts)) {
            zasl = zns_append_log2(ns);
        }
    }
    return zasl;
}

/* --- Realize --- */

static void zns_get_zoned(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    NvmeNamespace *ns = NVME_NS(obj);
    bool value = ns->params.zoned || ns->zns.drive;

    visit_type_bool(v, name, &value, errp);
}

static void zns_set_zoned(Object *obj, Visitor *v, const char *name,
                          void *opaque, Error **errp)
{
    NvmeNamespace *ns = NVME_NS(obj);

    if (visit_type_bool(v, name, &ns->params.zoned, errp)) {
        ns->zns.zoned_given = true;
    }
}

const PropertyInfo nvme_prop_zoned = {
    .type = "bool",
    .description = "on/off (default: on if the drive is host-managed)",
    .get = zns_get_zoned,
    .set = zns_set_zoned,
};

/* For messages */
static const char *zns_drive_name(const NvmeNamespace *ns)
{
    GRAPH_RDLOCK_GUARD_MAINLOOP();

    return bdrv_get_device_or_node_name(blk_bs(ns->blkconf.blk));
}

/* @given is 0 if the user has no wish. */
static bool zns_check_prop(NvmeNamespace *ns, const char *name, uint64_t given,
                           uint64_t has, Error **errp)
{
    if (given && given != has) {
        error_setg(errp, "zoned.%s=%" PRIu64 " contradicts the zoned drive "
                   "'%s', for which it is %" PRIu64 "%s", name, given,
                   zns_drive_name(ns), has, has ? "" : " (no limit)");
        return false;
    }
    return true;
}

/* What a zoned drive does not have */
static bool zns_check_lacking(NvmeNamespace *ns, const char *name,
                              uint64_t given, Error **errp)
{
    if (given) {
        error_setg(errp, "%s=%" PRIu64 " is not possible with the zoned drive "
                   "'%s', for which it is 0", name, given, zns_drive_name(ns));
        return false;
    }
    return true;
}

static uint32_t zns_max_open(const BlockLimits *bl)
{
    if (!bl->max_active_zones) {
        return bl->max_open_zones;
    }
    return MIN_NON_ZERO(bl->max_open_zones, bl->max_active_zones);
}

/* Properties of a controller that @ns can be attached to */
static bool zns_check_ctrl(NvmeNamespace *ns, const NvmeCtrl *n, Error **errp)
{
    const char *name = zns_drive_name(ns);

    if (!n->params.auto_transition_zones) {
        error_setg(errp, "zoned.auto_transition=off contradicts the zoned "
                   "drive '%s', for which it is on: it closes implicitly open "
                   "zones to open others", name);
        return false;
    }
    if (n->params.zasl &&
        1ULL << (n->params.zasl + ZNS_MPSMIN_BITS) > ns->zns.max_append) {
        error_setg(errp, "zoned.zasl=%u, appends of up to %llu bytes, "
                   "contradicts the zoned drive '%s', which takes up to %"
                   PRIu64, n->params.zasl,
                   1ULL << (n->params.zasl + ZNS_MPSMIN_BITS), name,
                   ns->zns.max_append);
        return false;
    }
    return true;
}

static bool zns_check_ctrls(NvmeNamespace *ns, Error **errp)
{
    if (ns->ctrl) {
        return zns_check_ctrl(ns, ns->ctrl, errp);
    }
    for (uint32_t i = 0; i < NVME_MAX_CONTROLLERS; i++) {
        NvmeCtrl *n = nvme_subsys_ctrl(ns->subsys, i);

        if (n && !zns_check_ctrl(ns, n, errp)) {
            return false;
        }
    }
    return true;
}

bool nvme_zns_drive_prepare(NvmeNamespace *ns, Error **errp)
{
    NvmeNamespaceParams *p = &ns->params;
    BlockBackend *blk = ns->blkconf.blk;
    BlockDriverState *bs = blk ? blk_bs(blk) : NULL;
    const char *name;

    if (!bs || bs->bl.zoned != BLK_Z_HM) {
        return true;
    }
    name = zns_drive_name(ns);

    if (ns->zns.zoned_given && !p->zoned) {
        error_setg(errp, "zoned=off contradicts the drive '%s', which is "
                   "host-managed: zoned=on", name);
        return false;
    }
    if (ns->endgrp && ns->endgrp->fdp.enabled) {
        error_setg(errp, "the zoned drive '%s' cannot be used in a subsystem "
                   "with fdp=on", name);
        return false;
    }
    ns->zns.max_append = (uint64_t)bs->bl.max_append_sectors <<
                         BDRV_SECTOR_BITS;
    /* ZASL cannot say less than two pages; 0 means MDTS. */
    if (ns->zns.max_append < 2ULL << ZNS_MPSMIN_BITS) {
        error_setg(errp, "the zoned drive '%s' takes zone appends of up to %"
                   PRIu64 " bytes, NVMe needs at least %llu", name,
                   ns->zns.max_append, 2ULL << ZNS_MPSMIN_BITS);
        return false;
    }

    if (!zns_check_lacking(ns, "ms", p->ms, errp) ||
        !zns_check_lacking(ns, "pi", p->pi, errp) ||
        !zns_check_lacking(ns, "zoned.descr_ext_size", p->zd_extension_size,
                           errp) ||
        !zns_check_lacking(ns, "zoned.numzrwa", p->numzrwa, errp) ||
        !zns_check_lacking(ns, "zoned.zrwas", p->zrwas, errp) ||
        !zns_check_lacking(ns, "zoned.zrwafg",
                           p->zrwafg == -1 ? 0 : p->zrwafg, errp) ||
        !zns_check_prop(ns, "zone_size", p->zone_size_bs, bs->bl.zone_size,
                        errp) ||
        !zns_check_prop(ns, "max_active", p->max_active_zones,
                        bs->bl.max_active_zones, errp) ||
        !zns_check_prop(ns, "max_open", p->max_open_zones,
                        zns_max_open(&bs->bl), errp) ||
        !zns_check_ctrls(ns, errp)) {
        return false;
    }

    blk_set_zoned_aware(blk, true);
    ns->zns.drive = true;
    p->zoned = false;
    return true;
}

/* All that is said of zones is a multiple of a sector, the smallest block. */
static bool zns_check_blocks(NvmeNamespace *ns, const BlockZoneDescriptor *z,
                             const char *what, uint64_t bytes, Error **errp)
{
    if (bytes % ns->lbasz) {
        error_setg(errp, "the %s of the zone at offset %" PRIu64 " of drive "
                   "'%s', %" PRIu64 " bytes, is not a multiple of "
                   "logical_block_size %zu: set logical_block_size to at most "
                   "%llu", what, z->start, zns_drive_name(ns), bytes,
                   ns->lbasz, 1ULL << ctz64(bytes));
        return false;
    }
    return true;
}

static bool zns_check_zone(NvmeNamespace *ns, const BlockZoneDescriptor *z,
                           Error **errp)
{
    BlockDriverState *bs = blk_bs(ns->blkconf.blk);
    const char *name = zns_drive_name(ns);

    if (z->type != BLK_ZT_SWR) {
        error_setg(errp, "the zone at offset %" PRIu64 " of drive '%s' is "
                   "conventional, NVMe has sequential zones only", z->start,
                   name);
        return false;
    }
    if (z->length != bs->bl.zone_size) {
        error_setg(errp, "the zone at offset %" PRIu64 " of drive '%s' has %"
                   PRIu64 " bytes instead of %" PRIu64 ", NVMe has zones of "
                   "one size only", z->start, name, z->length,
                   bs->bl.zone_size);
        return false;
    }
    if (!zns_check_blocks(ns, z, "size", z->length, errp) ||
        !zns_check_blocks(ns, z, "capacity", z->cap, errp)) {
        return false;
    }
    if (z->state != BLK_ZS_FULL && z->state != BLK_ZS_RDONLY &&
        z->state != BLK_ZS_OFFLINE &&
        !zns_check_blocks(ns, z, "write pointer", z->wp, errp)) {
        return false;
    }
    return zns_check_prop(ns, "zone_capacity", ns->params.zone_cap_bs, z->cap,
                          errp);
}

static bool zns_check_zones(NvmeNamespace *ns, Error **errp)
{
    g_autofree BlockZoneDescriptor *zones =
        g_new(BlockZoneDescriptor, ZNS_REPORT_BATCH);
    int64_t offset = 0;

    while (offset < ns->size) {
        unsigned int nr = ZNS_REPORT_BATCH;
        int ret = blk_zone_report(ns->blkconf.blk, offset, &nr, zones);

        if (ret < 0 || !nr) {
            error_setg_errno(errp, ret < 0 ? -ret : EIO,
                             "cannot report the zones of drive '%s' from "
                             "offset %" PRId64 " on",
                             zns_drive_name(ns), offset);
            return false;
        }
        for (unsigned int i = 0; i < nr; i++) {
            if (!zns_check_zone(ns, &zones[i], errp)) {
                return false;
            }
        }
        offset = zones[nr - 1].start + zones[nr - 1].length;
    }
    return true;
}

/*
 * What the format of its drive is, a namespace cannot change, so that is the
 * one LBA format it has.
 */
static void zns_keep_one_format(NvmeNamespace *ns)
{
    NvmeIdNs *id_ns = &ns->id_ns;
    uint8_t i = NVME_ID_NS_FLBAS_INDEX(id_ns->flbas);

    memset(id_ns->lbaf, 0, sizeof(id_ns->lbaf));
    id_ns->lbaf[0] = ns->lbaf;
    id_ns->flbas = 0;
    id_ns->nlbaf = 0;
    id_ns->mc = 0;
    id_ns->dpc = 0;
    ns->nlbaf = 1;

    ns->id_ns_nvm.elbaf[0] = ns->id_ns_nvm.elbaf[i];
    if (i) {
        ns->id_ns_nvm.elbaf[i] = 0;
    }
}

bool nvme_zns_drive_init(NvmeNamespace *ns, Error **errp)
{
    const BlockLimits *bl = &blk_bs(ns->blkconf.blk)->bl;
    NvmeIdNsZoned *id_ns_z;

    if (!zns_check_zones(ns, errp)) {
        return false;
    }

    zns_keep_one_format(ns);
    ns->csi = NVME_CSI_ZONED;
    ns->zone_size = bl->zone_size / ns->lbasz;
    ns->num_zones = ns->size / bl->zone_size;

    id_ns_z = g_new0(NvmeIdNsZoned, 1);
    /* 0's based, FFFFFFFFh means no limit */
    id_ns_z->mar = cpu_to_le32(bl->max_active_zones - 1);
    id_ns_z->mor = cpu_to_le32(zns_max_open(bl) - 1);
    id_ns_z->ozcs = cpu_to_le16(ns->params.cross_zone_read ?
                                NVME_ID_NS_ZONED_OZCS_RAZB : 0);
    id_ns_z->lbafe[0].zsze = cpu_to_le64(ns->zone_size);
    ns->id_ns_zoned = id_ns_z;

    /*
     * Blocks of a zone are deallocated when it is empty, so a zone has to
     * consist of whole units of deallocation.
     */
    if (ns->zone_size % (ns->id_ns.npdg + 1)) {
        warn_report("the zone size (%" PRIu64 " blocks) is not a multiple of "
                    "the calculated deallocation granularity (%d blocks); "
                    "DULBE support disabled",
                    ns->zone_size, ns->id_ns.npdg + 1);
        ns->id_ns.nsfeat &= ~NVME_ID_NS_NSFEAT_DAE;
    }
    return true;
}
