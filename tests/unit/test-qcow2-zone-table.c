/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The on-disk format of a zoned qcow2 image: what the codec makes of bytes
 *
 * Expected bytes and values are written out here, from
 * docs/interop/qcow2-zoned.rst; nothing is computed by the code under test and
 * then compared with itself, but for the round trip of random headers.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "block/qcow2-zone-table.h"

#define MIB         (UINT64_C(1) << 20)
#define GIB         (UINT64_C(1) << 30)
#define TIB         (UINT64_C(1) << 40)
#define CLUSTER     65536
#define BIT63       (UINT64_C(1) << 63)

/* The example of the format: 768 MiB, 12 zones, 8 active, 6 open */
static const uint8_t example[QCOW2_ZONED_EXT_SIZE] = {
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c,
    0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08,
    0x00, 0x00, 0x00, 0x06,
};

static const Qcow2ZonedHeader example_header = {
    .zoned = 1,
    .nr_zones = 12,
    .zone_size = 64 * MIB,
    .zone_capacity = 64 * MIB,
    .table_offset = 0x50000,
    .nr_conventional = 0,
    .max_active = 8,
    .max_open = 6,
};

/* 8 zones of 1 MiB, 768 KiB of which can be written; the last has 256 KiB */
#define SMALL_DISK  (7 * MIB + 256 * 1024)
static const Qcow2ZonedHeader small = {
    .zoned = 1,
    .nr_zones = 8,
    .zone_size = MIB,
    .zone_capacity = 768 * 1024,
    .table_offset = 0x50000,
    .nr_conventional = 2,
};

static void expect_error(Error *err, const char *text)
{
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), text)) {
        g_test_message("got: %s", error_get_pretty(err));
        g_test_message("want: %s", text);
        g_test_fail();
    }
    error_free(err);
}

static void assert_same(const Qcow2ZonedHeader *a, const Qcow2ZonedHeader *b)
{
    g_assert_cmpuint(a->zoned, ==, b->zoned);
    g_assert_cmpuint(a->nr_zones, ==, b->nr_zones);
    g_assert_cmpuint(a->zone_size, ==, b->zone_size);
    g_assert_cmpuint(a->zone_capacity, ==, b->zone_capacity);
    g_assert_cmpuint(a->table_offset, ==, b->table_offset);
    g_assert_cmpuint(a->nr_conventional, ==, b->nr_conventional);
    g_assert_cmpuint(a->max_active, ==, b->max_active);
    g_assert_cmpuint(a->max_open, ==, b->max_open);
}

static void test_example_decodes(void)
{
    Error *err = NULL;
    Qcow2ZonedHeader h;

    g_assert_true(qcow2_zoned_ext_decode(example, sizeof(example), &h, &err));
    g_assert_null(err);
    assert_same(&h, &example_header);
    g_assert_true(qcow2_zoned_header_check(&h, 768 * MIB, CLUSTER, &err));
    g_assert_null(err);
    g_assert_cmpuint(qcow2_zoned_table_size(&h), ==, 96);
}

static void test_example_encodes(void)
{
    uint8_t buf[QCOW2_ZONED_EXT_SIZE];

    memset(buf, 0xaa, sizeof(buf));
    qcow2_zoned_ext_encode(&example_header, buf);
    g_assert_cmpmem(buf, sizeof(buf), example, sizeof(example));
}

static void test_every_field_has_its_place(void)
{
    const Qcow2ZonedHeader h = {
        .zoned = 1,
        .nr_zones = 0x01020304,
        .zone_size = UINT64_C(0x1112131415161718),
        .zone_capacity = UINT64_C(0x2122232425262728),
        .table_offset = UINT64_C(0x3132333435363738),
        .nr_conventional = 0x41424344,
        .max_active = 0x51525354,
        .max_open = 0x61626364,
    };
    static const uint8_t bytes[QCOW2_ZONED_EXT_SIZE] = {
        0x01, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04,
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
        0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,
        0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,
        0x41, 0x42, 0x43, 0x44, 0x51, 0x52, 0x53, 0x54,
        0x61, 0x62, 0x63, 0x64,
    };
    uint8_t buf[QCOW2_ZONED_EXT_SIZE];
    Qcow2ZonedHeader got;

    qcow2_zoned_ext_encode(&h, buf);
    g_assert_cmpmem(buf, sizeof(buf), bytes, sizeof(bytes));
    g_assert_true(qcow2_zoned_ext_decode(bytes, sizeof(bytes), &got, NULL));
    assert_same(&got, &h);
}

static void test_wrong_length(void)
{
    static const size_t lengths[] = { 0, 1, 43, 45, 48, 56, 64, UINT32_MAX };
    Qcow2ZonedHeader h;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(lengths); i++) {
        g_autofree char *want = g_strdup_printf("length %zu must be 44",
                                                lengths[i]);
        bool older = lengths[i] == 48 || lengths[i] == 56;
        Error *err = NULL;

        /* It must not look at bytes that are not there. */
        g_assert_false(qcow2_zoned_ext_decode(NULL, lengths[i], &h, &err));
        g_assert_cmpint(!!strstr(error_get_pretty(err), "an older layout"), ==,
                        older);
        expect_error(err, want);
    }
}

static void test_unknown_model(void)
{
    uint8_t buf[QCOW2_ZONED_EXT_SIZE];
    Qcow2ZonedHeader h;
    int model;

    memcpy(buf, example, sizeof(buf));
    for (model = 2; model < 256; model++) {
        g_autofree char *want = g_strdup_printf("zoned is %d", model);
        Error *err = NULL;

        buf[0] = model;
        g_assert_false(qcow2_zoned_ext_decode(buf, sizeof(buf), &h, &err));
        expect_error(err, want);
    }
}

static void test_reserved_bytes(void)
{
    uint8_t buf[QCOW2_ZONED_EXT_SIZE];
    Qcow2ZonedHeader h;
    int i;

    for (i = 1; i <= 3; i++) {
        g_autofree char *want = g_strdup_printf("reserved byte %d is 128", i);
        Error *err = NULL;

        memcpy(buf, example, sizeof(buf));
        buf[i] = 0x80;
        g_assert_false(qcow2_zoned_ext_decode(buf, sizeof(buf), &h, &err));
        expect_error(err, want);
    }
}

static void test_not_zoned_ignores_the_rest(void)
{
    uint8_t buf[QCOW2_ZONED_EXT_SIZE];
    Qcow2ZonedHeader h;

    memset(buf, 0xff, sizeof(buf));
    buf[0] = 0;
    g_assert_true(qcow2_zoned_ext_decode(buf, sizeof(buf), &h, NULL));
    g_assert_cmpuint(h.zoned, ==, 0);
}

/* One broken rule each; the other fields are those of the example. */
typedef struct HeaderCase {
    Qcow2ZonedHeader h;
    uint64_t disk_size;
    uint64_t cluster_size;
    const char *error;          /* NULL: it is right */
} HeaderCase;

#define H(...) { .zoned = 1, .nr_zones = 12, .zone_size = 64 * MIB, \
                 .zone_capacity = 64 * MIB, .table_offset = 0x50000, \
                 .max_active = 8, .max_open = 6, __VA_ARGS__ }
#define CASE(e, ...) { H(__VA_ARGS__), 768 * MIB, CLUSTER, e }
#define CASE_DISK(e, size, ...) { H(__VA_ARGS__), size, CLUSTER, e }

#pragma GCC diagnostic ignored "-Woverride-init"

static const HeaderCase header_cases[] = {
    CASE(NULL),
    CASE("zone_size 0 must be a power of two", .zone_size = 0),
    CASE("zone_size 100663296 must be a power of two", .zone_size = 96 * MIB),
    CASE("zone_size 67108865 must be", .zone_size = 64 * MIB + 1),
    CASE("zone_size 9223372036854775808 must be", .zone_size = BIT63),
    CASE("zone_size 32768 must be a multiple of the cluster size 65536",
         .zone_size = 32768, .zone_capacity = 32768),
    CASE("zone_capacity 0 must be", .zone_capacity = 0),
    CASE("zone_capacity 67109376 must be", .zone_capacity = 64 * MIB + 512),
    CASE("zone_capacity 1000 must be a multiple of 512",
         .zone_capacity = 1000),
    CASE("zone_capacity 18446744073709551104 must be",
         .zone_capacity = UINT64_MAX - 511),
    CASE(NULL, .zone_capacity = 512),
    CASE("nr_zones 0 must be 12", .nr_zones = 0),
    CASE("nr_zones 11 must be 12", .nr_zones = 11),
    CASE("nr_zones 13 must be 12", .nr_zones = 13),
    CASE("nr_zones 4294967295 must be 12", .nr_zones = UINT32_MAX),
    CASE(NULL, .nr_conventional = 11),
    CASE("conventional_zones 12 must be less than the number of zones 12",
         .nr_conventional = 12),
    CASE("conventional_zones 4294967295 must be",
         .nr_conventional = UINT32_MAX),
    CASE("max_open_zones 9 must be at most the max_active_zones 8",
         .max_open = 9),
    CASE(NULL, .max_open = 8),
    CASE(NULL, .max_open = 0),
    CASE(NULL, .max_active = 0, .max_open = UINT32_MAX),
    CASE(NULL, .max_active = UINT32_MAX, .max_open = UINT32_MAX),
    /* The last zone may be shorter, down to one sector. */
    CASE_DISK(NULL, 704 * MIB + 512),
    CASE_DISK("nr_zones 12 must be 11", 704 * MIB),
    CASE_DISK("nr_zones 12 must be 13", 768 * MIB + 512),
    CASE_DISK("The size of a zoned disk, 0, must be", 0, .nr_zones = 0),
    CASE_DISK("The size of a zoned disk, 805306369,", 768 * MIB + 1,
              .nr_zones = 13),
    CASE_DISK("The size of a zoned disk, 9223372036854775808,", BIT63,
              .zone_size = UINT64_C(1) << 62, .zone_capacity = 512,
              .nr_zones = 2),
    /* 1 << 20 zones, and one more */
    CASE_DISK(NULL, 64 * TIB, .nr_zones = 1 << 20),
    CASE_DISK("zone_size 67108864 divides a disk of 70368744178176 bytes into "
              "1048577 zones, must be at most 1048576", 64 * TIB + 512,
              .nr_zones = (1 << 20) + 1),
    /* Zones of 4 GiB and more */
    CASE_DISK(NULL, 48 * GIB, .zone_size = 4 * GIB,
              .zone_capacity = 4 * GIB),
    CASE_DISK(NULL, 8192 * TIB, .zone_size = 8192 * TIB, .nr_zones = 1,
              .zone_capacity = 8192 * TIB),
    CASE_DISK(NULL, 512, .zone_size = UINT64_C(1) << 62, .nr_zones = 1,
              .zone_capacity = UINT64_C(1) << 62),
};

static void test_header_rules(void)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(header_cases); i++) {
        const HeaderCase *c = &header_cases[i];
        Error *err = NULL;
        bool ok = qcow2_zoned_header_check(&c->h, c->disk_size,
                                           c->cluster_size, &err);

        if (ok != (c->error == NULL)) {
            g_test_message("case %zu", i);
            g_test_fail();
        }
        if (c->error) {
            expect_error(err, c->error);
        } else {
            g_assert_null(err);
        }
    }
}

/* The same for a new image: the errors name the options. */
static void test_option_rules(void)
{
    static const HeaderCase cases[] = {
        CASE("zone.size 3 must be a power of two", .zone_size = 3),
        CASE("zone.size 32768 must be a multiple of the cluster size 65536",
             .zone_size = 32768),
        CASE("zone.capacity 100 must be a multiple of 512, more than 0 and at "
             "most the zone.size 67108864", .zone_capacity = 100),
        CASE("zone.conventional_zones 12 must be less than",
             .nr_conventional = 12),
        CASE("zone.max_open_zones 9 must be at most the zone.max_active_zones "
             "8", .max_open = 9),
        CASE_DISK("zone.size 67108864 divides a disk", 65 * TIB),
        CASE_DISK("The size of a zoned disk, 0, must be", 0),
        CASE_DISK(NULL, 704 * MIB + 512),
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        Qcow2ZonedHeader h = cases[i].h;
        Error *err = NULL;
        bool ok;

        h.nr_zones = 0;
        ok = qcow2_zoned_options_check(&h, cases[i].disk_size,
                                       cases[i].cluster_size, &err);
        if (ok != (cases[i].error == NULL)) {
            g_test_message("case %zu", i);
            g_test_fail();
        }
        if (cases[i].error) {
            expect_error(err, cases[i].error);
        } else {
            g_assert_cmpuint(h.nr_zones, ==, 12);
        }
    }
}

static uint64_t be(uint64_t v)
{
    return GUINT64_TO_BE(v);
}

static void good_entry(uint32_t i, uint64_t entry, uint64_t wp)
{
    Error *err = NULL;
    uint64_t got = 1;

    g_assert_true(qcow2_zoned_entry_decode(&small, SMALL_DISK, i, be(entry),
                                           &got, &err));
    g_assert_null(err);
    g_assert_cmphex(got, ==, wp);
    g_assert_cmphex(qcow2_zoned_entry_encode(&small, i, wp), ==, be(entry));
}

static void bad_entry(uint32_t i, uint64_t entry, const char *text)
{
    Error *err = NULL;
    uint64_t got;

    g_assert_false(qcow2_zoned_entry_decode(&small, SMALL_DISK, i, be(entry),
                                            &got, &err));
    expect_error(err, text);
}

static void test_entries(void)
{
    /* Conventional: bit 63 and the zone's start, nothing else */
    good_entry(0, BIT63, 0);
    good_entry(1, BIT63 | MIB, MIB);
    bad_entry(0, 0, "Zone 0: table entry 0x0000000000000000 has bit 63 clear, "
              "but the zone is conventional (conventional_zones is 2)");
    bad_entry(1, MIB, "has bit 63 clear");
    bad_entry(1, BIT63, "Zone 1: write pointer 0x0 must be from 0x100000 to "
              "0x100000");
    bad_entry(1, BIT63 | (MIB + 512), "write pointer 0x100200 must be from");

    /* Sequential: empty, within, full */
    good_entry(2, 2 * MIB, 2 * MIB);
    good_entry(2, 2 * MIB + 512, 2 * MIB + 512);
    good_entry(2, 2 * MIB + 768 * 1024, 2 * MIB + 768 * 1024);
    bad_entry(2, 2 * MIB - 512, "Zone 2: write pointer 0x1ffe00 must be from "
              "0x200000 to 0x2c0000");
    bad_entry(2, 2 * MIB + 768 * 1024 + 512, "write pointer 0x2c0200 must be");
    bad_entry(2, 3 * MIB, "Zone 2: write pointer 0x300000");
    bad_entry(2, 2 * MIB + 1, "Zone 2: write pointer 0x200001 must be a "
              "multiple of 512");
    bad_entry(2, BIT63 | 2 * MIB, "Zone 2: table entry 0x8000000000200000 has "
              "bit 63 set, but the zone is sequential");
    bad_entry(2, 0, "Zone 2: write pointer 0x0 must be");
    bad_entry(2, BIT63 - 1, "write pointer 0x7fffffffffffffff must be");
    bad_entry(2, UINT64_MAX, "has bit 63 set");

    /* The last zone ends with the disk. */
    good_entry(7, SMALL_DISK, SMALL_DISK);
    bad_entry(7, SMALL_DISK + 512, "Zone 7: write pointer 0x740200 must be "
              "from 0x700000 to 0x740000");
}

static void test_limit_wp(void)
{
    g_assert_cmphex(qcow2_zoned_limit_wp(&small, SMALL_DISK, 3, false), ==,
                    0x300000);
    g_assert_cmphex(qcow2_zoned_limit_wp(&small, SMALL_DISK, 3, true), ==,
                    0x3c0000);
    g_assert_cmphex(qcow2_zoned_limit_wp(&small, SMALL_DISK, 7, true), ==,
                    0x740000);
}

/* Data below a pointer that can be made out is never given up. */
static void test_salvage(void)
{
    static const struct {
        uint32_t zone;
        uint64_t entry;
        bool ok;
        uint64_t wp;
    } cases[] = {
        { 0, 0, true, 0 },
        { 1, UINT64_MAX, true, MIB },
        { 2, 2 * MIB + 1, true, 2 * MIB + 512 },
        { 2, 2 * MIB + 513, true, 2 * MIB + 1024 },
        { 2, 2 * MIB + 768 * 1024 - 1, true, 2 * MIB + 768 * 1024 },
        { 2, BIT63 | (2 * MIB + 512), true, 2 * MIB + 512 },
        { 2, BIT63 | (2 * MIB + 513), true, 2 * MIB + 1024 },
        { 2, BIT63 | 2 * MIB, false, 0 },
        { 2, 2 * MIB + 768 * 1024 + 1, false, 0 },
        { 2, 3 * MIB, false, 0 },
        { 2, 0, false, 0 },
        { 2, UINT64_MAX, false, 0 },
        { 7, SMALL_DISK - 1, true, SMALL_DISK },
        { 7, SMALL_DISK + 1, false, 0 },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t wp = 0;
        bool ok = qcow2_zoned_entry_salvage(&small, SMALL_DISK, cases[i].zone,
                                            be(cases[i].entry), &wp);

        if (ok != cases[i].ok) {
            g_test_message("case %zu", i);
            g_test_fail();
        } else if (ok) {
            g_assert_cmphex(wp, ==, cases[i].wp);
        }
    }
}

static uint64_t random64(GRand *r)
{
    uint64_t v = (uint64_t)g_rand_int(r) << 32 | g_rand_int(r);

    /* Small values and powers of two as often as large ones */
    return g_rand_boolean(r) ? v >> g_rand_int_range(r, 0, 64) :
        UINT64_C(1) << g_rand_int_range(r, 0, 64);
}

/*
 * Whatever an image holds: nothing is undefined (the sanitizers watch), and
 * what is accepted keeps every pointer within its zone.
 */
static void test_random(void)
{
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    int accepted = 0;
    int round;

    for (round = 0; round < 200000; round++) {
        uint8_t buf[QCOW2_ZONED_EXT_SIZE], again[QCOW2_ZONED_EXT_SIZE];
        uint64_t disk_size = random64(r);
        Qcow2ZonedHeader h;
        uint64_t wp, entry;
        uint32_t i;

        memcpy(buf, example, sizeof(buf));
        for (i = 0; i < sizeof(buf) && g_rand_boolean(r); i++) {
            buf[g_rand_int_range(r, 4, sizeof(buf))] = g_rand_int(r);
        }
        if (!qcow2_zoned_ext_decode(buf, sizeof(buf), &h, NULL)) {
            continue;
        }
        qcow2_zoned_ext_encode(&h, again);
        g_assert_cmpmem(buf, sizeof(buf), again, sizeof(again));

        if (g_rand_boolean(r)) {
            h.zone_size = random64(r);
            h.zone_capacity = h.zone_size;
            h.nr_zones = h.zone_size ?
                disk_size / h.zone_size + !!(disk_size % h.zone_size) : 0;
        }
        if (!qcow2_zoned_header_check(&h, disk_size, 512, NULL)) {
            continue;
        }
        accepted++;
        i = g_rand_int(r) % h.nr_zones;
        entry = g_rand_boolean(r) ? random64(r) :
            i * h.zone_size + (random64(r) & ~UINT64_C(511));
        if (qcow2_zoned_entry_decode(&h, disk_size, i, be(entry), &wp, NULL)) {
            g_assert_cmpuint(wp, >=, i * h.zone_size);
            g_assert_cmpuint(wp - i * h.zone_size, <=, h.zone_capacity);
            g_assert_cmpuint(wp, <=, disk_size);
            g_assert_cmphex(qcow2_zoned_entry_encode(&h, i, wp), ==,
                            be(entry));
        } else if (qcow2_zoned_entry_salvage(&h, disk_size, i, be(entry),
                                             &wp)) {
            /* What is salvaged is valid. */
            entry = qcow2_zoned_entry_encode(&h, i, wp);
            g_assert_true(qcow2_zoned_entry_decode(&h, disk_size, i, entry,
                                                   &wp, NULL));
        }
    }
    g_test_message("%d of %d headers accepted", accepted, round);
    g_assert_cmpint(accepted, >, 1000);
    g_rand_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qcow2-zone-table/example-decodes", test_example_decodes);
    g_test_add_func("/qcow2-zone-table/example-encodes", test_example_encodes);
    g_test_add_func("/qcow2-zone-table/every-field-has-its-place",
                    test_every_field_has_its_place);
    g_test_add_func("/qcow2-zone-table/wrong-length", test_wrong_length);
    g_test_add_func("/qcow2-zone-table/unknown-model", test_unknown_model);
    g_test_add_func("/qcow2-zone-table/reserved-bytes", test_reserved_bytes);
    g_test_add_func("/qcow2-zone-table/not-zoned-ignores-the-rest",
                    test_not_zoned_ignores_the_rest);
    g_test_add_func("/qcow2-zone-table/header-rules", test_header_rules);
    g_test_add_func("/qcow2-zone-table/option-rules", test_option_rules);
    g_test_add_func("/qcow2-zone-table/entries", test_entries);
    g_test_add_func("/qcow2-zone-table/limit-wp", test_limit_wp);
    g_test_add_func("/qcow2-zone-table/salvage", test_salvage);
    g_test_add_func("/qcow2-zone-table/random-images", test_random);
    return g_test_run();
}
