/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errno values for the conditions that only a zoned block device knows
 *
 * The zoned block API (bdrv_co_zone_*, and bdrv_co_pwritev and friends on a
 * zoned node) returns negative errno values.  A device model has to distinguish
 * a misplaced write of its guest (answered to the guest, never subject to
 * werror=) from a failing host.  So every zoned condition has a value of its
 * own, and none of them is EIO, ENOSPC, ENOTSUP, EINVAL or EAGAIN, to which
 * the block layer and the drivers give other meanings.
 *
 * The two resource conditions use the values that Linux uses for
 * BLK_STS_ZONE_OPEN_RESOURCE and BLK_STS_ZONE_ACTIVE_RESOURCE, so that a zoned
 * host device and a zoned image report them alike.
 *
 * Each guest-visible interface keeps one table from these to its own status
 * codes.
 */
#ifndef BLOCK_ZONE_ERRORS_H
#define BLOCK_ZONE_ERRORS_H

#include <errno.h>

/* Values for hosts whose errno.h lacks the name; see qemu/osdep.h for more */
#ifndef ETOOMANYREFS
#define ETOOMANYREFS 4180
#endif
#ifndef EXFULL
#define EXFULL 4181
#endif
#ifndef EBADR
#define EBADR 4182
#endif
#ifndef EBADE
#define EBADE 4183
#endif
#ifndef ENOLINK
#define ENOLINK 4184
#endif
#ifndef EBADFD
#define EBADFD 4185
#endif
#ifndef EOVERFLOW
#define EOVERFLOW 4186
#endif

typedef enum BlockZoneError {
    /* A write to a sequential zone does not start at its write pointer. */
    BLK_ZONE_ERR_UNALIGNED_WP   = ESPIPE,
    /* A write passes the zone's capacity, or crosses into another zone. */
    BLK_ZONE_ERR_BOUNDARY       = EDOM,
    /* A write or append to a full zone. */
    BLK_ZONE_ERR_FULL           = EXFULL,
    /* A write or append to a read-only zone. */
    BLK_ZONE_ERR_READ_ONLY      = EBADE,
    /* Any access to an offline zone. */
    BLK_ZONE_ERR_OFFLINE        = ENOLINK,
    /*
     * An append that is not at a zone's start, names a conventional zone, or
     * is longer than the append limit.
     */
    BLK_ZONE_ERR_INVALID_APPEND = EBADR,
    /* The operation is not allowed in the state the zone is in. */
    BLK_ZONE_ERR_TRANSITION     = EBADFD,
    /* All active resources are in use. */
    BLK_ZONE_ERR_ACTIVE_LIMIT   = EOVERFLOW,
    /* All open resources are in use and none can be freed. */
    BLK_ZONE_ERR_OPEN_LIMIT     = ETOOMANYREFS,
} BlockZoneError;

/*
 * A text for people of the condition @ret (a negative errno); NULL if @ret is
 * not one of the above.  This is also the test for "a zoned condition".
 */
static inline const char *block_zone_strerror(int ret)
{
    switch (-ret) {
    case BLK_ZONE_ERR_UNALIGNED_WP:
        return "Write is not at the zone's write pointer";
    case BLK_ZONE_ERR_BOUNDARY:
        return "Write passes the zone's capacity or end";
    case BLK_ZONE_ERR_FULL:
        return "Zone is full";
    case BLK_ZONE_ERR_READ_ONLY:
        return "Zone is read-only";
    case BLK_ZONE_ERR_OFFLINE:
        return "Zone is offline";
    case BLK_ZONE_ERR_INVALID_APPEND:
        return "Invalid zone append";
    case BLK_ZONE_ERR_TRANSITION:
        return "Invalid zone state transition";
    case BLK_ZONE_ERR_ACTIVE_LIMIT:
        return "Too many active zones";
    case BLK_ZONE_ERR_OPEN_LIMIT:
        return "Too many open zones";
    default:
        return NULL;
    }
}

#endif
