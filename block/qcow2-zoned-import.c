/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: an overlay gets the write pointers of its backing file
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "block/block-io.h"
#include "qcow2-zoned-int.h"

static ZoneState state_of(const BlockZoneDescriptor *zone)
{
    return zone->state == BLK_ZS_IOPEN ? ZONE_STATE_IMPLICIT_OPEN :
           zone->state == BLK_ZS_EOPEN ? ZONE_STATE_EXPLICIT_OPEN :
           ZONE_STATE_CLOSED;
}

/* The zone of @z that is to be as @zone, or a negative errno; z->lock held */
static int64_t zone_for(Qcow2Zoned *z, const BlockZoneDescriptor *zone)
{
    uint32_t i;

    if (zone->start >= z->disk_size) {
        return -ERANGE;
    }
    i = zone_rules_index(z->rules, zone->start);
    if (zone->start != zone_rules_start(z->rules, i) ||
        i < z->hdr.nr_conventional || zone->wp < zone->start ||
        zone->wp % BDRV_SECTOR_SIZE) {
        return -EINVAL;
    }
    if (zone_rules_wp(z->rules, i) != zone->start ||
        zone_rules_in_flight(z->rules, i) ||
        zone_rules_op_pending(z->rules, i)) {
        return -EBUSY;
    }
    return i;
}

int coroutine_fn
qcow2_zoned_co_zone_import(BlockDriverState *bs,
                           const BlockZoneDescriptor *zones, unsigned int nr)
{
    Qcow2Zoned *z = zoned_state(bs);
    unsigned int k;

    if (!z) {
        return -ENOTSUP;
    }
    QEMU_LOCK_GUARD(&z->lock);
    for (k = 0; k < nr; k++) {
        int64_t i;

        if (zones[k].type == BLK_ZT_CONV) {
            continue;
        }
        i = zone_for(z, &zones[k]);
        if (i == -ERANGE) {
            /* The overlay is shorter. */
            break;
        }
        if (i < 0) {
            return i;
        }
        /* The last zone may be shorter here. */
        zone_rules_import(z->rules, i,
                          MIN(zones[k].wp,
                              zone_rules_capacity_end(z->rules, i)),
                          state_of(&zones[k]));
        qcow2_zoned_pointer_mark(z->pointers, i);
    }
    return 0;
}
