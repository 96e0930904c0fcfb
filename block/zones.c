/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zones of a node for people and programs: what QMP, HMP and qemu-img share
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "block/block-io.h"
#include "block/block_int.h"
#include "block/zone-errors.h"
#include "block/zones.h"
#include "system/block-backend.h"

static BlockZoneType zone_type(const BlockZoneDescriptor *zone)
{
    switch (zone->type) {
    case BLK_ZT_CONV:
        return BLOCK_ZONE_TYPE_CONVENTIONAL;
    case BLK_ZT_SWR:
        return BLOCK_ZONE_TYPE_SEQUENTIAL_WRITE_REQUIRED;
    case BLK_ZT_SWP:
        return BLOCK_ZONE_TYPE_SEQUENTIAL_WRITE_PREFERRED;
    }
    g_assert_not_reached();
}

static BlockZoneCondition zone_condition(const BlockZoneDescriptor *zone)
{
    switch (zone->state) {
    case BLK_ZS_NOT_WP:
        return BLOCK_ZONE_CONDITION_NOT_WRITE_POINTER;
    case BLK_ZS_EMPTY:
        return BLOCK_ZONE_CONDITION_EMPTY;
    case BLK_ZS_IOPEN:
        return BLOCK_ZONE_CONDITION_IMPLICIT_OPEN;
    case BLK_ZS_EOPEN:
        return BLOCK_ZONE_CONDITION_EXPLICIT_OPEN;
    case BLK_ZS_CLOSED:
        return BLOCK_ZONE_CONDITION_CLOSED;
    case BLK_ZS_FULL:
        return BLOCK_ZONE_CONDITION_FULL;
    case BLK_ZS_RDONLY:
        return BLOCK_ZONE_CONDITION_READ_ONLY;
    case BLK_ZS_OFFLINE:
        return BLOCK_ZONE_CONDITION_OFFLINE;
    }
    g_assert_not_reached();
}

/* Zones that are written have a pointer each; these are told by few numbers. */
static bool zone_is_at_rest(const BlockZoneInfo *zone)
{
    switch (zone->condition) {
    case BLOCK_ZONE_CONDITION_IMPLICIT_OPEN:
    case BLOCK_ZONE_CONDITION_EXPLICIT_OPEN:
    case BLOCK_ZONE_CONDITION_CLOSED:
        return false;
    default:
        return true;
    }
}

BlockZoneInfo block_zone_info(const BlockZoneDescriptor *zone)
{
    BlockZoneInfo info = {
        .start = zone->start,
        .length = zone->length,
        .capacity = zone->cap,
        .type = zone_type(zone),
        .condition = zone_condition(zone),
        .count = 1,
    };

    /* ZNS 1.1, 2.1.1.2.1: the pointer of zones in other states is invalid. */
    info.has_write_pointer = !zone_is_at_rest(&info) ||
                             info.condition == BLOCK_ZONE_CONDITION_EMPTY;
    if (info.has_write_pointer) {
        info.write_pointer = zone->wp;
    }
    return info;
}

bool block_zone_info_join(BlockZoneInfo *run, const BlockZoneInfo *zone)
{
    if (!zone_is_at_rest(run) || run->condition != zone->condition ||
        run->type != zone->type || run->length != zone->length ||
        run->capacity != zone->capacity ||
        run->start + run->count * run->length != zone->start) {
        return false;
    }
    run->count++;
    return true;
}

/* Exact and without a blank: "64M", "1000K", "1537" */
static char *exact_size(uint64_t bytes)
{
    static const char units[] = "KMGTPE";
    int unit = -1;

    while (bytes && bytes % KiB == 0 && unit < 5) {
        bytes /= KiB;
        unit++;
    }
    return unit < 0 ? g_strdup_printf("%" PRIu64, bytes)
                    : g_strdup_printf("%" PRIu64 "%c", bytes, units[unit]);
}

char *block_zone_table_line(const BlockZoneInfo *run)
{
    g_autofree char *start = exact_size(run->start);
    g_autofree char *length = exact_size(run->length);
    g_autofree char *capacity = exact_size(run->capacity);
    g_autofree char *written = NULL;
    g_autofree char *used = NULL;

    if (run->has_write_pointer) {
        uint64_t bytes = run->write_pointer - run->start;

        written = exact_size(bytes);
        /* 100% is for full zones. */
        used = g_strdup_printf("%d%%", (int)(100.0 * bytes / run->capacity));
    } else if (run->condition == BLOCK_ZONE_CONDITION_FULL) {
        used = g_strdup("100%");
    }
    return g_strdup_printf(
        "%-13s %7" PRIu32 " %8s %8s %8s %5s %s", start, run->count, length,
        capacity, written ?: "-", used ?: "-",
        run->type == BLOCK_ZONE_TYPE_CONVENTIONAL ?
        BlockZoneType_str(run->type) : BlockZoneCondition_str(run->condition));
}

bool bdrv_zones_check_start(BlockDriverState *bs, uint64_t offset,
                            Error **errp)
{
    const char *name = bdrv_get_node_name(bs);
    uint64_t disk_size = bs->total_sectors * BDRV_SECTOR_SIZE;

    if (bs->bl.zoned == BLK_Z_NONE) {
        error_setg(errp, "Node '%s' has no zones", name);
        return false;
    }
    if (bs->open_flags & BDRV_O_INACTIVE) {
        error_setg(errp, "Node '%s' is inactive, its zones may be changed by "
                   "another process", name);
        return false;
    }
    if (offset >= disk_size) {
        error_setg(errp, "Offset %" PRIu64 " is not on the disk: node '%s' has "
                   "%" PRIu64 " bytes", offset, name, disk_size);
        return false;
    }
    if (!QEMU_IS_ALIGNED(offset, bs->bl.zone_size)) {
        error_setg(errp, "Offset %" PRIu64 " is not the start of a zone: those "
                   "of node '%s' have %" PRIu64 " bytes each", offset, name,
                   bs->bl.zone_size);
        return false;
    }
    return true;
}

bool bdrv_zones_range(BlockDriverState *bs, bool all, uint64_t *offset,
                      bool has_length, uint64_t *length, Error **errp)
{
    const char *name = bdrv_get_node_name(bs);
    uint64_t zone_size = bs->bl.zone_size;
    uint64_t left;

    if (all) {
        *offset = 0;
    }
    if (!bdrv_zones_check_start(bs, *offset, errp)) {
        return false;
    }

    left = bs->total_sectors * BDRV_SECTOR_SIZE - *offset;
    if (all || !has_length) {
        *length = all ? left : MIN(left, zone_size);
    }
    if (*length > left) {
        error_setg(errp, "Length %" PRIu64 " is not on the disk: node '%s' has "
                   "%" PRIu64 " bytes from offset %" PRIu64 " on", *length,
                   name, left, *offset);
        return false;
    }
    if (!*length || (*length % zone_size && *length != left)) {
        error_setg(errp, "Length %" PRIu64 " is not that of whole zones: those "
                   "of node '%s' have %" PRIu64 " bytes each", *length, name,
                   zone_size);
        return false;
    }
    return true;
}

bool blk_zones_change(BlockBackend *blk, const char *node_name,
                      BlockZoneMgmtOp op, bool all, uint64_t offset,
                      uint64_t length, Error **errp)
{
    static const BlockZoneOp ops[] = {
        [BLOCK_ZONE_MGMT_OP_OPEN] = BLK_ZO_OPEN,
        [BLOCK_ZONE_MGMT_OP_CLOSE] = BLK_ZO_CLOSE,
        [BLOCK_ZONE_MGMT_OP_FINISH] = BLK_ZO_FINISH,
        [BLOCK_ZONE_MGMT_OP_RESET] = BLK_ZO_RESET,
    };
    g_autofree char *which = NULL;
    BlockZoneDescriptor zone;
    BlockZoneInfo info;
    unsigned int nr = 1;
    int ret = blk_zone_mgmt(blk, ops[op], offset, length,
                            all ? BDRV_ZONE_ALL : 0);

    if (ret == 0) {
        return true;
    }

    if (all) {
        which = g_strdup("all zones");
    } else if (blk_zone_report(blk, offset, &nr, &zone) == 0 && nr &&
               length == zone.length) {
        info = block_zone_info(&zone);
        which = g_strdup_printf(
            "the zone at offset %" PRIu64 " (it is %s)", offset,
            info.type == BLOCK_ZONE_TYPE_CONVENTIONAL ?
            BlockZoneType_str(info.type) :
            BlockZoneCondition_str(info.condition));
    } else {
        which = g_strdup_printf("the zones from offset %" PRIu64 " to %" PRIu64,
                                offset, offset + length);
    }
    error_setg(errp, "Cannot %s %s of node '%s': %s", BlockZoneMgmtOp_str(op),
               which, node_name, block_zone_strerror(ret) ?: strerror(-ret));
    return false;
}

bool blk_zones_check_shrink(BlockBackend *blk, int64_t size, Error **errp)
{
    BlockDriverState *bs = blk_bs(blk);
    g_autofree BlockZoneDescriptor *zones = NULL;
    int64_t offset;
    unsigned int nr, i;

    if (bs->bl.zoned == BLK_Z_NONE) {
        return true;
    }

    zones = g_new(BlockZoneDescriptor, BLOCK_ZONES_AT_ONCE);
    for (offset = QEMU_ALIGN_DOWN(size, bs->bl.zone_size);
         offset < bs->total_sectors * BDRV_SECTOR_SIZE;
         offset += BLOCK_ZONES_AT_ONCE * bs->bl.zone_size) {
        int ret;

        nr = BLOCK_ZONES_AT_ONCE;
        ret = blk_zone_report(blk, offset, &nr, zones);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not read the zones from offset "
                             "%" PRId64 " on", offset);
            return false;
        }
        for (i = 0; i < nr; i++) {
            /* That of a conventional zone does not tell. */
            int64_t end = zones[i].type == BLK_ZT_CONV ?
                          zones[i].start + zones[i].length : zones[i].wp;

            if (end > MAX(size, (int64_t)zones[i].start)) {
                error_setg(errp, "The zone at offset %" PRIu64 " would lose "
                           "data: it is in use up to %" PRId64 ", and the new "
                           "size is %" PRId64, zones[i].start, end, size);
                return false;
            }
        }
    }
    return true;
}
