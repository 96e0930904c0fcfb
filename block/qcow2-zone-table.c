/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On-disk format of a zoned qcow2 image: header extension and table entries
 *
 * Whatever an image holds, the functions here decide on it without reading
 * beyond what they are given.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "block/qcow2-zone-table.h"

/* Bit 63 of a table entry */
#define ENTRY_CONVENTIONAL  (UINT64_C(1) << 63)

/* Zones and write pointers are in units of this, like all of the block layer */
#define ZONE_SECTOR         512u

/*
 * Not in the format, but offsets are int64_t everywhere in QEMU: the end of
 * the first zone must be one.
 */
#define ZONE_SIZE_MAX       (UINT64_C(1) << 62)

/* Offsets of the fields in the extension */
enum {
    EXT_ZONED               = 0,
    EXT_RESERVED            = 1,
    EXT_NR_ZONES            = 4,
    EXT_ZONE_SIZE           = 8,
    EXT_ZONE_CAPACITY       = 16,
    EXT_ZONEDMETA_OFFSET    = 24,
    EXT_CONVENTIONAL_ZONES  = 32,
    EXT_MAX_ACTIVE_ZONES    = 36,
    EXT_MAX_OPEN_ZONES      = 40,
    EXT_END                 = 44,
};

QEMU_BUILD_BUG_ON(EXT_END != QCOW2_ZONED_EXT_SIZE);

bool qcow2_zoned_ext_decode(const void *buf, size_t len,
                            Qcow2ZonedHeader *h, Error **errp)
{
    const uint8_t *p = buf;
    int i;

    if (len != QCOW2_ZONED_EXT_SIZE) {
        /* Earlier public proposals of the format use the same type. */
        error_setg(errp, "Zoned header extension: length %zu must be %d%s",
                   len, QCOW2_ZONED_EXT_SIZE, len == 48 || len == 56 ?
                   "; this is an older layout of the zoned format" : "");
        return false;
    }

    *h = (Qcow2ZonedHeader) {
        .zoned              = p[EXT_ZONED],
        .nr_zones           = ldl_be_p(p + EXT_NR_ZONES),
        .zone_size          = ldq_be_p(p + EXT_ZONE_SIZE),
        .zone_capacity      = ldq_be_p(p + EXT_ZONE_CAPACITY),
        .table_offset       = ldq_be_p(p + EXT_ZONEDMETA_OFFSET),
        .nr_conventional    = ldl_be_p(p + EXT_CONVENTIONAL_ZONES),
        .max_active         = ldl_be_p(p + EXT_MAX_ACTIVE_ZONES),
        .max_open           = ldl_be_p(p + EXT_MAX_OPEN_ZONES),
    };

    if (h->zoned == 0) {
        /* Not zoned: nothing else in it has a meaning. */
        return true;
    }
    if (h->zoned != 1) {
        error_setg(errp, "Zoned header extension: zoned is %u, must be 0 (not "
                   "zoned) or 1 (host-managed)", h->zoned);
        return false;
    }
    for (i = EXT_RESERVED; i < EXT_NR_ZONES; i++) {
        if (p[i] != 0) {
            error_setg(errp, "Zoned header extension: reserved byte %d is %u, "
                       "must be 0", i, p[i]);
            return false;
        }
    }
    return true;
}

void qcow2_zoned_ext_encode(const Qcow2ZonedHeader *h,
                            uint8_t buf[QCOW2_ZONED_EXT_SIZE])
{
    memset(buf, 0, QCOW2_ZONED_EXT_SIZE);
    buf[EXT_ZONED] = h->zoned;
    stl_be_p(buf + EXT_NR_ZONES, h->nr_zones);
    stq_be_p(buf + EXT_ZONE_SIZE, h->zone_size);
    stq_be_p(buf + EXT_ZONE_CAPACITY, h->zone_capacity);
    stq_be_p(buf + EXT_ZONEDMETA_OFFSET, h->table_offset);
    stl_be_p(buf + EXT_CONVENTIONAL_ZONES, h->nr_conventional);
    stl_be_p(buf + EXT_MAX_ACTIVE_ZONES, h->max_active);
    stl_be_p(buf + EXT_MAX_OPEN_ZONES, h->max_open);
}

/* What a rule's error calls the value that breaks it */
typedef struct ValueNames {
    const char *zone_size;
    const char *zone_capacity;
    const char *nr_conventional;
    const char *max_active;
    const char *max_open;
} ValueNames;

static bool check_values(const Qcow2ZonedHeader *h, const ValueNames *names,
                         uint64_t disk_size, uint64_t cluster_size,
                         uint64_t *nr_zones, Error **errp)
{
    if (h->zone_size == 0 || (h->zone_size & (h->zone_size - 1)) ||
        h->zone_size > ZONE_SIZE_MAX) {
        error_setg(errp, "%s %" PRIu64 " must be a power of two, at most %"
                   PRIu64, names->zone_size, h->zone_size, ZONE_SIZE_MAX);
        return false;
    }
    if (h->zone_size % cluster_size) {
        error_setg(errp, "%s %" PRIu64 " must be a multiple of the cluster "
                   "size %" PRIu64, names->zone_size, h->zone_size,
                   cluster_size);
        return false;
    }
    if (h->zone_capacity == 0 || h->zone_capacity > h->zone_size ||
        h->zone_capacity % ZONE_SECTOR) {
        error_setg(errp, "%s %" PRIu64 " must be a multiple of %u, more than "
                   "0 and at most the %s %" PRIu64, names->zone_capacity,
                   h->zone_capacity, ZONE_SECTOR, names->zone_size,
                   h->zone_size);
        return false;
    }

    if (disk_size == 0 || disk_size > INT64_MAX || disk_size % ZONE_SECTOR) {
        error_setg(errp, "The size of a zoned disk, %" PRIu64 ", must be a "
                   "multiple of %u, more than 0 and at most %" PRId64,
                   disk_size, ZONE_SECTOR, INT64_MAX);
        return false;
    }
    *nr_zones = disk_size / h->zone_size + !!(disk_size % h->zone_size);
    if (*nr_zones > QCOW2_ZONED_MAX_ZONES) {
        error_setg(errp, "%s %" PRIu64 " divides a disk of %" PRIu64 " bytes "
                   "into %" PRIu64 " zones, must be at most %u",
                   names->zone_size, h->zone_size, disk_size, *nr_zones,
                   QCOW2_ZONED_MAX_ZONES);
        return false;
    }

    if (h->nr_conventional >= *nr_zones) {
        error_setg(errp, "%s %" PRIu32 " must be less than the number of "
                   "zones %" PRIu64, names->nr_conventional,
                   h->nr_conventional, *nr_zones);
        return false;
    }
    if (h->max_active && h->max_open > h->max_active) {
        error_setg(errp, "%s %" PRIu32 " must be at most the %s %" PRIu32,
                   names->max_open, h->max_open, names->max_active,
                   h->max_active);
        return false;
    }
    return true;
}

bool qcow2_zoned_header_check(const Qcow2ZonedHeader *h, uint64_t disk_size,
                              uint64_t cluster_size, Error **errp)
{
    static const ValueNames fields = {
        .zone_size          = "zone_size",
        .zone_capacity      = "zone_capacity",
        .nr_conventional    = "conventional_zones",
        .max_active         = "max_active_zones",
        .max_open           = "max_open_zones",
    };
    uint64_t nr_zones;

    if (!check_values(h, &fields, disk_size, cluster_size, &nr_zones, errp)) {
        return false;
    }
    if (h->nr_zones != nr_zones) {
        error_setg(errp, "nr_zones %" PRIu32 " must be %" PRIu64 ", the disk "
                   "size %" PRIu64 " divided by the zone_size %" PRIu64
                   " and rounded up", h->nr_zones, nr_zones, disk_size,
                   h->zone_size);
        return false;
    }
    return true;
}

bool qcow2_zoned_options_check(Qcow2ZonedHeader *h, uint64_t disk_size,
                               uint64_t cluster_size, Error **errp)
{
    static const ValueNames options = {
        .zone_size          = "zone.size",
        .zone_capacity      = "zone.capacity",
        .nr_conventional    = "zone.conventional_zones",
        .max_active         = "zone.max_active_zones",
        .max_open           = "zone.max_open_zones",
    };
    uint64_t nr_zones;

    if (!check_values(h, &options, disk_size, cluster_size, &nr_zones, errp)) {
        return false;
    }
    h->nr_zones = nr_zones;
    return true;
}

static inline uint64_t zone_start(const Qcow2ZonedHeader *h, uint32_t i)
{
    return i * h->zone_size;
}

uint64_t qcow2_zoned_limit_wp(const Qcow2ZonedHeader *h, uint64_t disk_size,
                              uint32_t i, bool full)
{
    uint64_t start = zone_start(h, i);

    /* The last zone may be shorter than the others, its capacity with it. */
    return full ? start + MIN(h->zone_capacity, disk_size - start) : start;
}

uint64_t qcow2_zoned_entry_encode(const Qcow2ZonedHeader *h, uint32_t i,
                                  uint64_t wp)
{
    if (i < h->nr_conventional) {
        return cpu_to_be64(zone_start(h, i) | ENTRY_CONVENTIONAL);
    }
    return cpu_to_be64(wp);
}

bool qcow2_zoned_entry_decode(const Qcow2ZonedHeader *h, uint64_t disk_size,
                              uint32_t i, uint64_t entry_be, uint64_t *wp,
                              Error **errp)
{
    uint64_t entry = be64_to_cpu(entry_be);
    uint64_t value = entry & ~ENTRY_CONVENTIONAL;
    uint64_t start = zone_start(h, i);
    bool conventional = i < h->nr_conventional;
    uint64_t max = qcow2_zoned_limit_wp(h, disk_size, i, !conventional);

    if (conventional != !!(entry & ENTRY_CONVENTIONAL)) {
        error_setg(errp, "Zone %" PRIu32 ": table entry 0x%016" PRIx64 " has "
                   "bit 63 %s, but the zone is %s (conventional_zones is %"
                   PRIu32 ")", i, entry, conventional ? "clear" : "set",
                   conventional ? "conventional" : "sequential",
                   h->nr_conventional);
        return false;
    }
    if (value < start || value > max) {
        error_setg(errp, "Zone %" PRIu32 ": write pointer 0x%" PRIx64 " must "
                   "be from 0x%" PRIx64 " to 0x%" PRIx64, i, value, start,
                   max);
        return false;
    }
    if (value % ZONE_SECTOR) {
        error_setg(errp, "Zone %" PRIu32 ": write pointer 0x%" PRIx64 " must "
                   "be a multiple of %u", i, value, ZONE_SECTOR);
        return false;
    }
    *wp = value;
    return true;
}

bool qcow2_zoned_entry_salvage(const Qcow2ZonedHeader *h, uint64_t disk_size,
                               uint32_t i, uint64_t entry_be, uint64_t *wp)
{
    uint64_t entry = be64_to_cpu(entry_be);
    uint64_t value = entry & ~ENTRY_CONVENTIONAL;
    uint64_t start = zone_start(h, i);

    if (i < h->nr_conventional) {
        *wp = start;
        return true;
    }
    if (value < start || value > qcow2_zoned_limit_wp(h, disk_size, i, true)) {
        return false;
    }
    if (value == start && entry != value) {
        /* The entry of a conventional zone, which may hold data anywhere */
        return false;
    }
    /* The capacity is a multiple of a sector, so this does not pass it. */
    *wp = (value + ZONE_SECTOR - 1) / ZONE_SECTOR * ZONE_SECTOR;
    return true;
}
