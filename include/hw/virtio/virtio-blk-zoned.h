/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zoned part of virtio-blk: what virtio-blk.c calls
 *
 * Translates between the guest's zone commands (virtio 1.3, 5.2.6) and the
 * zoned block API.  It keeps no zone state of its own: limits are taken from
 * the node that stands below the drive at the time of the request.
 *
 * Request functions run in the AioContext of the request's virtqueue.
 */
#ifndef HW_VIRTIO_BLK_ZONED_H
#define HW_VIRTIO_BLK_ZONED_H

#include "hw/virtio/virtio-blk.h"

/*
 * Tell @blk that its user knows zones.  To be called before permissions are
 * taken.  Returns whether the drive is zoned; a zoned drive keeps its size, so
 * the caller does not share the resize permission.
 */
bool virtio_blk_zoned_prepare(BlockBackend *blk);

/*
 * Set in s->host_features what a zoned drive offers and take away what it does
 * not have.  Fails, naming the drive, where virtio-blk cannot express its
 * geometry.  s->conf is final; s->blk is not set yet.
 */
bool virtio_blk_zoned_realize(VirtIOBlock *s, Error **errp);

/* Fill in the zoned part of the configuration space; the rest is untouched. */
void virtio_blk_zoned_get_config(VirtIOBlock *s,
                                 struct virtio_blk_config *blkcfg);

/*
 * Then every write is submitted as a request of its own, and requests that are
 * retried come in ascending order.
 */
static inline bool virtio_blk_is_zoned(const VirtIOBlock *s)
{
    return virtio_has_feature(s->host_features, VIRTIO_BLK_F_ZONED);
}

/*
 * Is a request of @type for virtio_blk_zoned_handle()?  These are the zone
 * commands on any drive, and the commands that a zoned drive does not offer.
 */
bool virtio_blk_zoned_takes(const VirtIOBlock *s, uint32_t type);

/*
 * Process @req, for which virtio_blk_zoned_takes() is true.  Takes @req over.
 * @out_iov is what the guest sent after the request header.
 */
void virtio_blk_zoned_handle(VirtIOBlockReq *req, uint32_t type,
                             struct iovec *out_iov, unsigned out_num);

/*
 * Look at @req, a read or write of req->sector_num and req->qiov, before it is
 * known to lie on the drive.  Returns false if it is one as on any drive; else
 * takes @req over: a write of a driver that does not know zones, or what cannot
 * be done in a sequential zone (a read over its end, a write of half a block).
 */
bool virtio_blk_zoned_check(VirtIOBlockReq *req, bool is_write);

/*
 * Put @req, a write, behind the requests of its virtqueue that wait for the VM
 * to be resumed after an error.  Returns false if there are none; else takes
 * @req over.
 */
bool virtio_blk_zoned_defer(VirtIOBlockReq *req);

/*
 * If @error (positive errno) is one of zone-errors.h, answer @req with its
 * status, free it and return true.  Such an error is the guest's own doing and
 * never subject to rerror= and werror=.
 */
bool virtio_blk_zoned_error(VirtIOBlockReq *req, int error, bool acct_failed);

/*
 * Close the zones that the driver has left open; of an image, in memory only.
 * For a reset, when no requests are in flight.  Context: BQL held.
 */
void virtio_blk_zoned_close(VirtIOBlock *s);

/* Is a driver that has accepted these features one for a zoned drive? */
int virtio_blk_zoned_validate_features(VirtIODevice *vdev);

/*
 * Has a device that offers @features an interface that shows zones?  If not,
 * the error names the property to change.
 */
bool virtio_blk_zoned_check_interface(VirtIOBlock *s, uint64_t features,
                                      Error **errp);

/*
 * Submit the requests in s->rq once more, each virtqueue's in ascending order
 * and ahead of what the guest adds meanwhile.  Context: BQL held.
 */
void virtio_blk_zoned_restart(VirtIOBlock *s);

#endif
