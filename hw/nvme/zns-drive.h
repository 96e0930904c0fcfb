/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A zoned drive as an NVMe ZNS namespace: what the device calls
 *
 * A namespace whose drive is host-managed has its zones from the drive:
 * ns->zns.drive is set, ns->params.zoned is not, and none of the in-memory
 * zones of "zoned=on" exist.
 *
 * All functions run in the main loop.  Positions and lengths of a namespace
 * are in logical blocks.
 */
#ifndef HW_NVME_ZNS_DRIVE_H
#define HW_NVME_ZNS_DRIVE_H

#include "nvme.h"

/*
 * The property "zoned": a bool that remembers whether it was set.  Without it
 * the drive decides.
 */
extern const PropertyInfo nvme_prop_zoned;

/*
 * See what the drive of @ns is, before permissions are taken.  On one that is
 * host-managed, sets ns->zns.drive and tells the drive that its user knows
 * zones.  Fails if the properties of @ns contradict the drive.
 */
bool nvme_zns_drive_prepare(NvmeNamespace *ns, Error **errp);

/*
 * Give @ns, which has a zoned drive and is otherwise set up, the zones of the
 * drive.  Fails if NVMe cannot express them.
 */
bool nvme_zns_drive_init(NvmeNamespace *ns, Error **errp);

/* What a shutdown of the controller means: no zone stays open. */
void nvme_zns_drive_shutdown(NvmeNamespace *ns);

/* ZASL of @n: all of its zoned drives take appends of that size. */
uint8_t nvme_zns_drive_zasl(NvmeCtrl *n);

/* Is I/O command @opcode on @ns for nvme_zns_drive_io_cmd()? */
bool nvme_zns_drive_takes(const NvmeNamespace *ns, uint8_t opcode);

/*
 * Start @req, for which nvme_zns_drive_takes() is true.  Returns
 * NVME_NO_COMPLETE, or the status of a request that is not started.
 */
uint16_t nvme_zns_drive_io_cmd(NvmeCtrl *n, NvmeRequest *req);

/*
 * May @nlb blocks from @slba on, which are in the namespace, be read by one
 * command?  Returns a status.  Success for any @ns without a zoned drive.
 */
uint16_t nvme_zns_drive_check_read(const NvmeNamespace *ns, uint64_t slba,
                                   uint32_t nlb);

/*
 * The status for error @ret (a negative errno) of a request to @ns; @other if
 * it is none that only zoned drives know.  @ns may be NULL.
 */
uint16_t nvme_zns_drive_error(const NvmeNamespace *ns, int ret,
                              uint16_t other);

/* Format: reset the zones of @ns. */
BlockAIOCB *nvme_zns_drive_format(NvmeNamespace *ns, BlockCompletionFunc *cb,
                                  void *opaque);

#endif
