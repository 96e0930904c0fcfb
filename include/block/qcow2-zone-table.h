/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On-disk format of a zoned qcow2 image: header extension and table entries
 *
 * The only code that knows the layout (docs/interop/qcow2-zoned.rst).  It
 * turns bytes into checked values and back.  It reads and writes no file and
 * does not know zone states.  All values are in bytes and host byte order.
 */
#ifndef BLOCK_QCOW2_ZONE_TABLE_H
#define BLOCK_QCOW2_ZONE_TABLE_H

#include "qemu/bswap.h"

#define QCOW2_EXT_MAGIC_ZONED        0x007a6264u
#define QCOW2_ZONED_EXT_SIZE         44
#define QCOW2_ZONED_MAX_ZONES        (1u << 20)
#define QCOW2_ZONED_ENTRY_SIZE       8

/* The header extension, decoded. */
typedef struct Qcow2ZonedHeader {
    uint8_t  zoned;                 /* 0: not zoned, 1: host-managed */
    uint32_t nr_zones;
    uint64_t zone_size;
    uint64_t zone_capacity;
    uint64_t table_offset;          /* of the write-pointer table */
    uint32_t nr_conventional;
    uint32_t max_active;
    uint32_t max_open;
} Qcow2ZonedHeader;

/*
 * Decode an extension of @len bytes at @buf.  Fails, naming the field and its
 * value, on a wrong length, an unknown model or non-zero reserved bytes.
 */
bool qcow2_zoned_ext_decode(const void *buf, size_t len,
                            Qcow2ZonedHeader *h, Error **errp);
void qcow2_zoned_ext_encode(const Qcow2ZonedHeader *h,
                            uint8_t buf[QCOW2_ZONED_EXT_SIZE]);

/*
 * Check every rule between the fields, the disk size and the cluster size (both
 * in bytes), but not the place of the table.
 */
bool qcow2_zoned_header_check(const Qcow2ZonedHeader *h, uint64_t disk_size,
                              uint64_t cluster_size, Error **errp);

/*
 * The same rules for the options of a new image; errors name the options of
 * -o.  Fills in h->nr_zones.
 */
bool qcow2_zoned_options_check(Qcow2ZonedHeader *h, uint64_t disk_size,
                               uint64_t cluster_size, Error **errp);

/* Size in bytes of the table, not rounded to clusters. */
static inline uint64_t qcow2_zoned_table_size(const Qcow2ZonedHeader *h)
{
    return (uint64_t)h->nr_zones * QCOW2_ZONED_ENTRY_SIZE;
}

/* The table entry (big endian, as on disk) of zone @i with its wp at @wp. */
uint64_t qcow2_zoned_entry_encode(const Qcow2ZonedHeader *h, uint32_t i,
                                  uint64_t wp);
/* Value of the write pointer; fails, naming zone and value, on a bad entry. */
bool qcow2_zoned_entry_decode(const Qcow2ZonedHeader *h, uint64_t disk_size,
                              uint32_t i, uint64_t entry_be, uint64_t *wp,
                              Error **errp);
/*
 * Salvage a bad entry: set *@wp to a write pointer that is not below the one
 * that was meant, so that no data is lost.  False if the entry does not tell.
 */
bool qcow2_zoned_entry_salvage(const Qcow2ZonedHeader *h, uint64_t disk_size,
                               uint32_t i, uint64_t entry_be, uint64_t *wp);
/* Write pointer of zone @i when it is full, or its start (@full false). */
uint64_t qcow2_zoned_limit_wp(const Qcow2ZonedHeader *h, uint64_t disk_size,
                              uint32_t i, bool full);

#endif
