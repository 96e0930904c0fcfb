/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlays of zoned nodes
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "block/block-io.h"
#include "block/block_int.h"
#include "block/zoned-overlay.h"
#include "block/zones.h"
#include "system/block-backend.h"

/* Options of -o that are the base's, and its values for them */
static const struct {
    const char *name;
    bool is_limit;              /* an overlay may have another */
} zone_options[] = {
    { BLOCK_OPT_ZONE_SIZE, false },
    { BLOCK_OPT_ZONE_CAPACITY, false },
    { BLOCK_OPT_ZONE_CONVENTIONAL, false },
    { BLOCK_OPT_ZONE_MAX_ACTIVE, true },
    { BLOCK_OPT_ZONE_MAX_OPEN, true },
};

static uint64_t value_of(const BlockLimits *bl, int i)
{
    const uint64_t values[] = {
        bl->zone_size, bl->zone_capacity, bl->nr_conventional,
        bl->max_active_zones, bl->max_open_zones,
    };

    QEMU_BUILD_BUG_ON(ARRAY_SIZE(values) != ARRAY_SIZE(zone_options));
    return values[i];
}

bool bdrv_zoned_overlay_opts(BlockDriverState *base, QemuOpts *opts,
                             Error **errp)
{
    const BlockLimits *bl = &base->bl;
    const char *zoned = qemu_opt_get(opts, BLOCK_OPT_ZONED);
    bool limits = false;

    if (bl->zoned != BLK_Z_HM) {
        if (qemu_opt_get(opts, BLOCK_OPT_ZONE_MODE) ||
            (zoned && qemu_opt_get_bool(opts, BLOCK_OPT_ZONED, false))) {
            error_setg(errp, "A zoned image cannot have the backing file '%s', "
                       "which has no zones", base->filename);
            return false;
        }
        return true;
    }
    if (zoned && !qemu_opt_get_bool(opts, BLOCK_OPT_ZONED, true)) {
        error_setg(errp, "Option '" BLOCK_OPT_ZONED "=%s': the backing file "
                   "'%s' is zoned, and so is its overlay", zoned,
                   base->filename);
        return false;
    }
    for (int i = 0; i < ARRAY_SIZE(zone_options); i++) {
        const char *name = zone_options[i].name;
        const char *text = qemu_opt_get(opts, name);
        uint64_t value = value_of(bl, i);

        if (text && zone_options[i].is_limit) {
            /* One that is not given follows from it. */
            limits = true;
        } else if (text) {
            uint64_t given = i < 2 ? qemu_opt_get_size(opts, name, 0) :
                             qemu_opt_get_number(opts, name, 0);

            if (given != value) {
                error_setg(errp, "Option '%s=%s': an overlay has that of its "
                           "backing file '%s', which is %" PRIu64, name, text,
                           base->filename, value);
                return false;
            }
        } else if (!limits || !zone_options[i].is_limit) {
            g_autofree char *number = g_strdup_printf("%" PRIu64, value);

            if (!qemu_opt_set(opts, name, number, NULL)) {
                error_setg(errp, "The backing file '%s' is zoned, and the "
                           "overlay's format has no zones", base->filename);
                return false;
            }
        }
    }
    if (!zoned && !qemu_opt_get(opts, BLOCK_OPT_ZONE_MODE)) {
        qemu_opt_set_bool(opts, BLOCK_OPT_ZONED, true, &error_abort);
    }
    return true;
}

char *bdrv_zoned_overlay_text(BlockDriverState *base)
{
    GString *text;

    if (base->bl.zoned != BLK_Z_HM) {
        return NULL;
    }
    text = g_string_new(BLOCK_OPT_ZONED "=on");
    for (int i = 0; i < ARRAY_SIZE(zone_options); i++) {
        g_string_append_printf(text, ",%s=%" PRIu64, zone_options[i].name,
                               value_of(&base->bl, i));
    }
    return g_string_free(text, false);
}

static bool is_lower(uint32_t limit, uint32_t other)
{
    return limit && (!other || limit < other);
}

bool bdrv_zoned_overlay_fits(BlockDriverState *overlay, BlockDriverState *base,
                             Error **errp)
{
    const BlockLimits *a = &overlay->bl, *b = &base->bl;

    if (a->zoned != BLK_Z_HM || b->zoned != BLK_Z_HM) {
        return true;
    }
    if (overlay->total_sectors != base->total_sectors) {
        error_setg(errp, "The overlay has %" PRId64 " sectors of 512 bytes, "
                   "and '%s' has %" PRId64, overlay->total_sectors,
                   bdrv_get_node_name(base), base->total_sectors);
        return false;
    }
    if (is_lower(a->max_active_zones, b->max_active_zones) ||
        is_lower(a->max_open_zones, b->max_open_zones)) {
        error_setg(errp, "The overlay's limits, %" PRIu32 " active and %" PRIu32
                   " open zones, must not be lower than those of '%s', %" PRIu32
                   " and %" PRIu32, a->max_active_zones, a->max_open_zones,
                   bdrv_get_node_name(base), b->max_active_zones,
                   b->max_open_zones);
        return false;
    }
    return true;
}

int coroutine_fn bdrv_co_zoned_import(BlockDriverState *bs,
                                      BlockDriverState *base)
{
    g_autofree BlockZoneDescriptor *zones =
        g_new(BlockZoneDescriptor, BLOCK_ZONES_AT_ONCE);
    uint64_t end = base->total_sectors * BDRV_SECTOR_SIZE;
    uint64_t offset = 0;

    if (!bs->drv->bdrv_co_zone_import) {
        return -ENOTSUP;
    }
    while (offset < end) {
        unsigned int nr = BLOCK_ZONES_AT_ONCE;
        int ret = bdrv_co_zone_report(base, offset, &nr, zones);

        if (ret >= 0) {
            ret = bs->drv->bdrv_co_zone_import(bs, zones, nr);
        }
        if (ret < 0) {
            return ret;
        }
        offset += nr * base->bl.zone_size;
    }
    return bdrv_co_flush(bs);
}

int bdrv_zoned_import_all(BlockDriverState *overlay, BlockDriverState *base,
                          Error **errp)
{
    int ret;

    if (base->bl.zoned != BLK_Z_HM || overlay->bl.zoned != BLK_Z_HM) {
        /* They do not go together, which is said where they are. */
        return 0;
    }
    ret = bdrv_zoned_import(overlay, base);
    if (ret == -EBUSY) {
        error_setg(errp, "The zones of '%s' are not empty, and cannot get the "
                   "write pointers of '%s'", overlay->filename,
                   base->filename);
    } else if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not give the write pointers of "
                         "'%s' to '%s'", base->filename, overlay->filename);
    }
    return ret;
}

int bdrv_zoned_import_file(const char *filename, const char *fmt,
                           BlockDriverState *base, Error **errp)
{
    BlockDriverState *bs;
    QDict *options;
    int ret;

    if (base->bl.zoned != BLK_Z_HM) {
        return 0;
    }
    options = qdict_new();
    qdict_put_str(options, "driver", fmt);
    bs = bdrv_open(filename, NULL, options, BDRV_O_RDWR | BDRV_O_NO_BACKING |
                   BDRV_O_NO_IO, errp);
    if (!bs) {
        return -EINVAL;
    }
    bdrv_graph_rdlock_main_loop();
    ret = bdrv_zoned_import_all(bs, base, errp);
    bdrv_graph_rdunlock_main_loop();
    bdrv_unref(bs);
    return ret;
}
