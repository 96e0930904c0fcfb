/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: other limits of open and active zones
 *
 * They are in the header, durably, before they are in force.  A guest reads
 * them once: they are lowered only while nobody writes to the node.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/option.h"
#include "qapi/error.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-format.h"
#include "qcow2-zoned-int.h"

static bool is_lower(uint32_t now, uint32_t before)
{
    return now && (!before || now < before);
}

static bool GRAPH_RDLOCK has_writer(BlockDriverState *bs)
{
    BdrvChild *c;

    QLIST_FOREACH(c, &bs->parents, next_parent) {
        if (c->perm & BLK_PERM_WRITE) {
            return true;
        }
    }
    return false;
}

/* What is in the header is in force. */
static void GRAPH_RDLOCK take_over(BlockDriverState *bs, Qcow2Zoned *z,
                                   const Qcow2ZonedHeader *h)
{
    WITH_QEMU_LOCK_GUARD(&z->lock) {
        z->hdr.max_active = h->max_active;
        z->hdr.max_open = h->max_open;
        zone_rules_set_limits(z->rules, h->max_active, h->max_open);
        zoned_verify(z);
    }
    bs->bl.max_active_zones = h->max_active;
    bs->bl.max_open_zones = h->max_open ?: h->max_active;
    zoned_tell_filters(bs);
}

/* The image gets the limits of @new, and nothing else of it. */
static int coroutine_mixed_fn GRAPH_RDLOCK
set_limits(BlockDriverState *bs, Qcow2ZonedHeader *new, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2ZonedHeader *h = s->zoned_header;
    Qcow2ZonedHeader old = *h;
    uint32_t open, active;
    int ret;

    if (!qcow2_zoned_options_check(new, bs->total_sectors * BDRV_SECTOR_SIZE,
                                   s->cluster_size, errp)) {
        return -EINVAL;
    }

    *h = *new;
    ret = qcow2_update_header(bs);
    if (ret >= 0) {
        ret = bdrv_flush(bs->file->bs);
    }
    if (ret < 0) {
        *h = old;
        error_setg_errno(errp, -ret, "Could not write the limits of the zones "
                         "to the image header");
        return ret;
    }

    if (new->max_active && !qcow2_zoned_zone_counts(bs, &open, &active) &&
        active > new->max_active) {
        warn_report(BLOCK_OPT_ZONE_MAX_ACTIVE "=%" PRIu32 " is less than the "
                    "%" PRIu32 " zones that are active: no other zone can be "
                    "activated before so many are reset or finished",
                    new->max_active, active);
    }
    take_over(bs, s->zoned, new);
    return 0;
}

static bool is_zoned(BlockDriverState *bs, const char *option, Error **errp)
{
    if (!zoned_state(bs)) {
        error_setg(errp, "Option '%s' needs a zoned image", option);
        return false;
    }
    return true;
}

static bool get_limit(QemuOpts *opts, const char *name, uint32_t *limit,
                      Error **errp)
{
    uint64_t num = qemu_opt_get_number(opts, name, *limit);

    if (num > UINT32_MAX) {
        error_setg(errp, "Option '%s=%" PRIu64 "' must be a number from 0 to %"
                   PRIu32, name, num, UINT32_MAX);
        return false;
    }
    *limit = num;
    return true;
}

int qcow2_zoned_amend(BlockDriverState *bs, QemuOpts *opts, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2ZonedHeader new;
    const char *first;

    first = qemu_opt_find(opts, BLOCK_OPT_ZONE_MAX_ACTIVE) ?
            BLOCK_OPT_ZONE_MAX_ACTIVE : BLOCK_OPT_ZONE_MAX_OPEN;
    if (!qemu_opt_find(opts, first)) {
        return 0;
    }
    if (!is_zoned(bs, first, errp)) {
        return -EINVAL;
    }
    new = *s->zoned_header;
    if (!get_limit(opts, BLOCK_OPT_ZONE_MAX_ACTIVE, &new.max_active, errp) ||
        !get_limit(opts, BLOCK_OPT_ZONE_MAX_OPEN, &new.max_open, errp)) {
        return -EINVAL;
    }
    return set_limits(bs, &new, errp);
}

int coroutine_fn
qcow2_zoned_co_amend(BlockDriverState *bs, const Qcow2ZoneAmendOptions *opts,
                     Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = zoned_state(bs);
    Qcow2ZonedHeader new;

    if (!is_zoned(bs, "zone", errp)) {
        return -EINVAL;
    }
    /* Nor does a resize write the header now. */
    QEMU_LOCK_GUARD(&z->pointers->lock);
    QEMU_LOCK_GUARD(&s->lock);
    new = *s->zoned_header;
    if (opts->has_max_active_zones) {
        new.max_active = opts->max_active_zones;
    }
    if (opts->has_max_open_zones) {
        new.max_open = opts->max_open_zones;
    }
    if ((is_lower(new.max_active, z->hdr.max_active) ||
         is_lower(new.max_open ?: new.max_active,
                  z->hdr.max_open ?: z->hdr.max_active)) && has_writer(bs)) {
        error_setg(errp, "The limits of node '%s', %" PRIu32 " active and %"
                   PRIu32 " open zones, cannot be lowered while it is written "
                   "to: a guest reads them once",
                   bdrv_get_device_or_node_name(bs), z->hdr.max_active,
                   z->hdr.max_open);
        return -EBUSY;
    }
    return set_limits(bs, &new, errp);
}
