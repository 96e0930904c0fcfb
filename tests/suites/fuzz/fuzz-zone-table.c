/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: header extension and table entries of a zoned qcow2 image
 *
 * An input is a disk, a cluster size, an extension and some entries (see
 * struct Input).  What block/qcow2-zone-table.c makes of them is compared with
 * the rules of docs/interop/qcow2-zoned.rst, which are written here a second
 * time, in 128 bits, where nothing wraps.  It takes exactly what keeps them.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "block/qcow2-zone-table.h"

#define MUST(what) do {                                                     \
        if (!(what)) {                                                      \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__,      \
                    #what);                                                 \
            abort();                                                        \
        }                                                                   \
    } while (0)

typedef unsigned __int128 Wide;

typedef struct Input {
    uint8_t cluster_bits;           /* 9 + this % 13 */
    uint8_t ext_len;
    uint64_t disk_size;
    const uint8_t *ext;             /* ext_len bytes on the heap */
    const uint8_t *entries;         /* big endian, 8 bytes each */
    size_t nr_entries;
} Input;

#define INPUT_HEAD  10

static uint64_t be(const uint8_t *p, unsigned n)
{
    uint64_t value = 0;

    while (n--) {
        value = value << 8 | *p++;
    }
    return value;
}

static bool extension_keeps_rules(const uint8_t *e, size_t len)
{
    return len == 44 && (e[0] == 0 || (e[0] == 1 && !e[1] && !e[2] && !e[3]));
}

static bool values_keep_rules(const Qcow2ZonedHeader *h, uint64_t disk,
                              uint64_t cluster, Wide *zones)
{
    Wide size = h->zone_size;
    unsigned bits = __builtin_popcountll(h->zone_size);

    /* The end of a zone must be an offset that QEMU can hold. */
    if (bits != 1 || size > (Wide)1 << 62 || size % cluster ||
        h->zone_capacity == 0 || h->zone_capacity > size ||
        h->zone_capacity % 512 ||
        disk == 0 || disk >> 63 || disk % 512) {
        return false;
    }
    *zones = (disk + size - 1) / size;
    return *zones <= 1u << 20 && h->nr_conventional < *zones &&
           !(h->max_active && h->max_open > h->max_active);
}

static void zone_range(const Qcow2ZonedHeader *h, uint64_t disk, uint32_t i,
                       Wide *start, Wide *full)
{
    *start = (Wide)i * h->zone_size;
    *full = *start + h->zone_capacity;
    if (*full > disk) {
        *full = disk;
    }
}

static void check_entry(const Qcow2ZonedHeader *h, uint64_t disk, uint32_t i,
                        const uint8_t *bytes)
{
    uint64_t host = be(bytes, 8);
    uint64_t value = host & INT64_MAX;
    uint64_t raw, wp = 0, salvaged = 0;
    bool bit = host >> 63;
    bool conventional = i < h->nr_conventional;
    bool good, saved;
    Wide start, full;
    Error *err = NULL;

    memcpy(&raw, bytes, 8);
    zone_range(h, disk, i, &start, &full);
    MUST(start < disk && full > start && full <= disk);
    MUST(qcow2_zoned_limit_wp(h, disk, i, false) == start);
    MUST(qcow2_zoned_limit_wp(h, disk, i, true) == full);

    good = qcow2_zoned_entry_decode(h, disk, i, raw, &wp, &err);
    MUST(good == !err);
    MUST(good == (bit == conventional && value % 512 == 0 &&
                  value >= start && value <= (conventional ? start : full)));
    if (good) {
        MUST(wp == value);
        MUST(qcow2_zoned_entry_encode(h, i, wp) == raw);
    }
    error_free(err);

    saved = qcow2_zoned_entry_salvage(h, disk, i, raw, &salvaged);
    MUST(saved || !good);
    if (saved) {
        uint64_t mended = qcow2_zoned_entry_encode(h, i, salvaged);

        MUST(salvaged >= start && salvaged <= full && salvaged % 512 == 0);
        MUST(!good || salvaged == wp);
        /* Nothing below the pointer may be lost. */
        MUST(conventional || salvaged >= value);
        MUST(qcow2_zoned_entry_decode(h, disk, i, mended, &wp, NULL));
        MUST(wp == salvaged);
    }
}

static void check_input(const Input *in)
{
    uint64_t cluster = UINT64_C(1) << (9 + in->cluster_bits % 13);
    uint8_t again[QCOW2_ZONED_EXT_SIZE];
    Qcow2ZonedHeader h, options;
    Error *err = NULL;
    Wide zones = 0;
    bool good, keeps;
    size_t k;

    good = qcow2_zoned_ext_decode(in->ext, in->ext_len, &h, &err);
    MUST(good == !err);
    error_free(err);
    err = NULL;
    MUST(good == extension_keeps_rules(in->ext, in->ext_len));
    if (!good) {
        return;
    }
    MUST(h.zoned == in->ext[0]);
    MUST(h.nr_zones == be(in->ext + 4, 4));
    MUST(h.zone_size == be(in->ext + 8, 8));
    MUST(h.zone_capacity == be(in->ext + 16, 8));
    MUST(h.table_offset == be(in->ext + 24, 8));
    MUST(h.nr_conventional == be(in->ext + 32, 4));
    MUST(h.max_active == be(in->ext + 36, 4));
    MUST(h.max_open == be(in->ext + 40, 4));
    if (!h.zoned) {
        return;
    }
    qcow2_zoned_ext_encode(&h, again);
    MUST(!memcmp(again, in->ext, sizeof(again)));

    keeps = values_keep_rules(&h, in->disk_size, cluster, &zones);
    options = h;
    good = qcow2_zoned_options_check(&options, in->disk_size, cluster, &err);
    MUST(good == !err && good == keeps);
    MUST(!good || options.nr_zones == zones);
    error_free(err);
    err = NULL;
    good = qcow2_zoned_header_check(&h, in->disk_size, cluster, &err);
    MUST(good == !err && good == (keeps && h.nr_zones == zones));
    error_free(err);
    if (!keeps) {
        return;
    }
    /* A wrong number of zones must not keep the fuzzer from the entries. */
    h.nr_zones = zones;
    MUST(qcow2_zoned_table_size(&h) == zones * 8);
    for (k = 0; k < in->nr_entries; k++) {
        uint32_t near = k / 2 % h.nr_zones;

        check_entry(&h, in->disk_size, k % 2 ? h.nr_zones - 1 - near : near,
                    in->entries + 8 * k);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *ext = NULL;
    Input in;

    if (size < INPUT_HEAD || size - INPUT_HEAD < data[1]) {
        return 0;
    }
    in = (Input) {
        .cluster_bits = data[0],
        .ext_len = data[1],
        .disk_size = be(data + 2, 8),
        .entries = data + INPUT_HEAD + data[1],
        .nr_entries = (size - INPUT_HEAD - data[1]) / 8,
    };
    /* Of its exact size, for the sanitizer to see what is read beyond it */
    in.ext = ext = g_memdup2(data + INPUT_HEAD, in.ext_len);
    if (!ext) {
        in.ext = ext = g_malloc(1);
    }
    check_input(&in);
    return 0;
}
