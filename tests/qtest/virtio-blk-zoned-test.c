/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk on a zoned qcow2 image, as a guest may use and misuse it
 *
 * Needs QTEST_QEMU_BINARY (x86_64) and QTEST_QEMU_IMG.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "virtio-blk-zoned-util.h"

/* Configuration */

/* Sectors that the block layer takes in one request */
#define LONGEST     ((uint32_t)INT32_MAX / 512)

static uint32_t zcfg(Disk *d, size_t field)
{
    return qvirtio_config_readl(d->vdev, field);
}
#define ZCFG(d, f)  zcfg(d, offsetof(struct virtio_blk_config, zoned.f))

static void test_config(void)
{
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(qvirtio_config_readq(d->vdev, 0), ==, CAPACITY);
    g_assert_cmpuint(ZCFG(d, zone_sectors), ==, ZONE);
    g_assert_cmpuint(ZCFG(d, max_open_zones), ==, 2);
    g_assert_cmpuint(ZCFG(d, max_active_zones), ==, 3);
    g_assert_cmpuint(ZCFG(d, max_append_sectors), ==, APPEND_MAX);
    g_assert_cmpuint(ZCFG(d, write_granularity), ==, 512);
    g_assert_cmpuint(qvirtio_config_readb(d->vdev,
                     offsetof(struct virtio_blk_config, zoned.model)),
                     ==, VIRTIO_BLK_Z_HM);
    disk_stop(d);

    /* No limits; the append limit is the zone */
    image_new_opts("disk.qcow2", "zoned=on,zone.size=8M", "64M");
    d = disk_start(",logical_block_size=4096,physical_block_size=4096");
    g_assert_cmpuint(ZCFG(d, max_open_zones), ==, 0);
    g_assert_cmpuint(ZCFG(d, max_active_zones), ==, 0);
    g_assert_cmpuint(ZCFG(d, max_append_sectors), ==, 16384);
    g_assert_cmpuint(ZCFG(d, write_granularity), ==, 4096);
    disk_stop(d);

    /*
     * 1 TiB is the largest zone that zone_sectors can tell; the append limit
     * is what the block layer takes, in whole blocks.
     */
    image_new_opts("disk.qcow2", "zoned=on,zone.size=1T", "4T");
    d = disk_start(",logical_block_size=4096,physical_block_size=4096");
    g_assert_cmpuint(ZCFG(d, max_append_sectors), ==, LONGEST - 7);
    disk_stop(d);
    d = disk_start("");
    g_assert_cmpuint(ZCFG(d, max_append_sectors), ==, LONGEST);
    g_assert_cmphex(ZCFG(d, zone_sectors), ==, 1u << 31);
    g_assert_cmpuint(do_append(d, 3ull << 31, 8, NULL), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);
}

/* Requests of the most that the block layer takes, and longer ones */
static void test_long(void)
{
    const uint32_t zone = 1u << 22;
    const uint64_t longest = LONGEST * 512ull;
    g_autofree char *path = image_path("disk.qcow2");
    g_autofree char *cmd = g_strdup_printf(
        "-blockdev file,node-name=proto,filename=%s,discard=unmap,"
        "detect-zeroes=unmap -blockdev qcow2,node-name=disk,file=proto", path);
    Zone z;
    Disk *d;

    /* Zones of 2 GiB, one is conventional; what is appended takes no room. */
    image_new_opts("disk.qcow2", "zoned=on,zone.size=2G,"
                   "zone.conventional_zones=1", "8G");
    d = disk_start_cmd(cmd, ",rerror=stop,werror=stop");
    disk_setup(d, 1, 0);
    g_assert_cmpuint(ZCFG(d, max_append_sectors), ==, LONGEST);

    g_assert_cmpuint(io_do_long(d, VIRTIO_BLK_T_ZONE_APPEND, zone,
                                longest + 512, 0), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_report(d, zone, 1, &z), ==, 1);
    g_assert_cmpuint(z.z_wp, ==, zone);
    g_assert_cmpuint(io_do_long(d, VIRTIO_BLK_T_ZONE_APPEND, zone, longest, 0),
                     ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_report(d, zone, 1, &z), ==, 1);
    g_assert_cmpuint(z.z_wp, ==, zone + LONGEST);

    /* Reads: to the end of a zone, then over it, then too long */
    g_assert_cmpuint(io_do_long(d, VIRTIO_BLK_T_IN, zone + 1, 0, longest), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(io_do_long(d, VIRTIO_BLK_T_IN, zone + 2, 0, longest), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    for (uint32_t start = 0; start <= 1; start++) {
        for (unsigned i = 0; i < 2; i++) {
            /* That of any disk, of whatever zones it is */
            g_assert_cmpuint(io_do_long(d, VIRTIO_BLK_T_IN, start * zone + i, 0,
                                        longest + 512), ==,
                             VIRTIO_BLK_S_IOERR);
        }
    }
    g_assert_true(is_running(d));
    disk_stop(d);
    check_image();
}

static void test_features(void)
{
    g_autofree char *cmd = NULL;
    uint64_t f;
    Disk *d;

    image_new();
    cmd = nodes("");
    d = disk_start_cmd(cmd, "");
    f = disk_features(d);
    g_assert_true(f & (1ull << VIRTIO_BLK_F_ZONED));
    g_assert_false(f & (1ull << VIRTIO_BLK_F_DISCARD));
    g_assert_false(f & (1ull << VIRTIO_BLK_F_WRITE_ZEROES));
    g_assert_false(f & (1ull << VIRTIO_BLK_F_RO));
    disk_setup(d, 1, 0);
    disk_stop(d);
}

static void test_plain(void)
{
    static const uint32_t types[] = {
        VIRTIO_BLK_T_ZONE_REPORT, VIRTIO_BLK_T_ZONE_OPEN,
        VIRTIO_BLK_T_ZONE_CLOSE, VIRTIO_BLK_T_ZONE_FINISH,
        VIRTIO_BLK_T_ZONE_RESET, VIRTIO_BLK_T_ZONE_RESET_ALL,
        VIRTIO_BLK_T_ZONE_APPEND,
    };
    g_autofree char *cmd = NULL;
    uint64_t f;
    Disk *d;

    image_new_opts("disk.qcow2", "cluster_size=64k", DISK_SIZE);
    cmd = nodes("");
    d = disk_start_cmd(cmd, "");
    f = disk_features(d);
    g_assert_false(f & (1ull << VIRTIO_BLK_F_ZONED));
    g_assert_true(f & (1ull << VIRTIO_BLK_F_DISCARD));
    g_assert_true(f & (1ull << VIRTIO_BLK_F_WRITE_ZEROES));
    disk_setup(d, 1, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        g_assert_cmpuint(io_do(d, SPLIT, types[i], 0, NULL, 512, NULL, 512),
                         ==, VIRTIO_BLK_S_UNSUPP);
    }
    g_assert_cmpuint(do_write(d, 4096, 8), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);
}

static void check_refused(const char *opts, const char *size,
                          const char *props, const char *why)
{
    g_autofree char *path = image_path("refused.qcow2");
    QTestState *qts;
    QDict *r;
    const char *desc;

    if (opts) {
        image_new_opts("refused.qcow2", opts, size);
    }
    qts = qtest_initf("-nodefaults -machine pc "
                      "-blockdev file,node-name=proto,filename=%s "
                      "-blockdev qcow2,node-name=disk,file=proto", path);
    if (*props) {
        r = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': {"
                      "'driver': 'virtio-blk-pci', 'drive': 'disk',"
                      "'logical_block_size': 4096,"
                      "'physical_block_size': 4096}}");
    } else {
        r = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': {"
                      "'driver': 'virtio-blk-pci', 'drive': 'disk'}}");
    }
    g_assert_true(qdict_haskey(r, "error"));
    desc = qdict_get_str(qdict_get_qdict(r, "error"), "desc");
    g_test_message("%s", desc);
    g_assert_nonnull(strstr(desc, why));
    qobject_unref(r);

    /* The drive is left as it was: another device takes it. */
    r = qtest_qmp(qts, "{'execute': 'blockdev-del',"
                  "'arguments': {'node-name': 'disk'}}");
    g_assert_false(qdict_haskey(r, "error"));
    qobject_unref(r);
    qtest_quit(qts);
}

static void test_refused(void)
{
    Disk *d;

    check_refused("zoned=on,zone.size=2T", "8T", "",
                  "zones of 2199023255552 bytes are too large");
    check_refused("zoned=on,zone.size=1M", "4097K", "4k",
                  "the size of the zoned drive, 4195328 bytes, is not a "
                  "multiple of logical_block_size 4096: use smaller blocks, "
                  "logical_block_size=512 fits");
    check_refused("zoned=on,zone.size=1M,zone.capacity=513K", "4M", "4k",
                  "the capacity of the zone at offset 0, 525312 bytes, is not "
                  "a multiple of logical_block_size 4096: use smaller blocks, "
                  "logical_block_size=512 fits");

    /* A write pointer that a device with smaller blocks has left */
    image_new_opts("disk.qcow2", "zoned=on,zone.size=1M", "4M");
    d = disk_start("");
    g_assert_cmpuint(do_write(d, 2 * ZONE, 9), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);
    {
        g_autofree char *from = image_path("disk.qcow2");
        g_autofree char *to = image_path("refused.qcow2");

        g_assert_cmpint(rename(from, to), ==, 0);
    }
    check_refused(NULL, NULL, "4k", "the write pointer of the zone at offset "
                  "2097152, 2101760, is not a multiple of logical_block_size "
                  "4096: use smaller blocks, logical_block_size=512 fits, or "
                  "reset or finish the zone");
}

static void test_resize(void)
{
    enum { ZONES = 20, SIZE = ZONES * ZONE };
    Zone z[ZONES + 1];
    QDict *r;
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_write(d, 2 * ZONE, 8), ==, VIRTIO_BLK_S_OK);
    r = qtest_qmp(d->qts, "{'execute': 'block_resize', 'arguments': {"
                  "'node-name': 'disk', 'size': %" PRId64 "}}",
                  (int64_t)SIZE * 512);
    g_assert_false(qdict_haskey(r, "error"));
    qobject_unref(r);

    /* What Linux makes the number of zones of */
    g_assert_cmpuint(qvirtio_config_readq(d->vdev, 0), ==, SIZE);
    g_assert_cmpuint(ZCFG(d, zone_sectors), ==, ZONE);
    g_assert_cmpuint(do_report(d, 0, ZONES + 1, z), ==, ZONES);
    g_assert_cmpuint(z[2].z_wp, ==, 2 * ZONE + 8);
    g_assert_cmpuint(z[NR_ZONES - 1].z_cap, ==, CAP);
    g_assert_cmpuint(z[ZONES - 1].z_wp, ==, (ZONES - 1) * ZONE);
    g_assert_cmpuint(do_write(d, (ZONES - 1) * ZONE, 8), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_write(d, (NR_ZONES - 1) * ZONE, CAP), ==,
                     VIRTIO_BLK_S_OK);

    r = qtest_qmp(d->qts, "{'execute': 'block_resize', 'arguments': {"
                  "'node-name': 'disk', 'size': 1048576}}");
    g_assert_true(qdict_haskey(r, "error"));
    qobject_unref(r);
    g_assert_cmpuint(qvirtio_config_readq(d->vdev, 0), ==, SIZE);
    disk_stop(d);
}

/* Reports */

static void test_report(void)
{
    Zone z[NR_ZONES + 8];
    Disk *d;

    image_new();
    d = disk_start("");
    for (Layout layout = SPLIT; layout <= CHOPPED; layout++) {
        g_assert_cmpuint(do_report_layout(d, layout, 0, NR_ZONES + 8, z), ==,
                         NR_ZONES);
        for (unsigned i = 0; i < NR_ZONES; i++) {
            g_assert_cmpuint(z[i].z_start, ==, i * ZONE);
            g_assert_cmpuint(z[i].z_wp, ==, i * ZONE);
            g_assert_cmpuint(z[i].z_type, ==,
                             i ? VIRTIO_BLK_ZT_SWR : VIRTIO_BLK_ZT_CONV);
            g_assert_cmpuint(z[i].z_state, ==,
                             i ? VIRTIO_BLK_ZS_EMPTY : VIRTIO_BLK_ZS_NOT_WP);
        }
        g_assert_cmpuint(z[1].z_cap, ==, CAP);
        g_assert_cmpuint(z[9].z_cap, ==, 1024);
    }

    /* From within a zone on, that zone is the first one */
    g_assert_cmpuint(do_report(d, 3 * ZONE + 17, 2, z), ==, 2);
    g_assert_cmpuint(z[0].z_start, ==, 3 * ZONE);
    g_assert_cmpuint(z[1].z_start, ==, 4 * ZONE);
    g_assert_cmpuint(do_report(d, CAPACITY - 1, 2, z), ==, 1);
    g_assert_cmpuint(z[0].z_start, ==, 9 * ZONE);
    disk_stop(d);
}

static void test_report_states(void)
{
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_OK);
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 8);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 2 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    check_zone(d, 2, VIRTIO_BLK_ZS_EOPEN, 0);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_CLOSE, ZONE), ==,
                     VIRTIO_BLK_S_OK);
    check_zone(d, 1, VIRTIO_BLK_ZS_CLOSED, 8);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_FINISH, 3 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    check_zone(d, 3, VIRTIO_BLK_ZS_FULL, CAP);
    check_zone(d, 0, VIRTIO_BLK_ZS_NOT_WP, 0);
    disk_stop(d);
}

static void test_report_misuse(void)
{
    static const size_t short_lens[] = { 0, 1, 8, 63, 64, 65, 127 };
    Zone z[4];
    uint8_t buf[128];
    Disk *d;

    image_new();
    d = disk_start("");
    for (Layout layout = SPLIT; layout <= CHOPPED; layout++) {
        for (unsigned i = 0; i < ARRAY_SIZE(short_lens); i++) {
            memset(buf, POISON, sizeof(buf));
            g_assert_cmpuint(io_do(d, layout, VIRTIO_BLK_T_ZONE_REPORT, 0,
                                   NULL, 0, buf, short_lens[i]), ==,
                             VIRTIO_BLK_S_ZONE_INVALID_CMD);
            for (unsigned j = 0; j < sizeof(buf); j++) {
                g_assert_cmphex(buf[j], ==, POISON);
            }
        }
        /* A descriptor and almost another one */
        g_assert_cmpuint(io_do(d, layout, VIRTIO_BLK_T_ZONE_REPORT, 0,
                               NULL, 0, z, 0), ==,
                         VIRTIO_BLK_S_ZONE_INVALID_CMD);
    }
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_REPORT, CAPACITY), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_ZONE_REPORT, CAPACITY, NULL,
                           0, NULL, 256), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_ZONE_REPORT, 1ull << 55,
                           NULL, 0, NULL, 256), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_ZONE_REPORT, UINT64_MAX,
                           NULL, 0, NULL, 256), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    /* Data that no report needs does no harm */
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_ZONE_REPORT, 0, NULL, 4096,
                           NULL, 256), ==, VIRTIO_BLK_S_OK);
    /* A report is not a write */
    g_assert_cmpuint(io_do(d, SPLIT,
                           VIRTIO_BLK_T_ZONE_REPORT | VIRTIO_BLK_T_OUT, 0,
                           NULL, 0, NULL, 256), ==, VIRTIO_BLK_S_UNSUPP);
    g_assert_cmpuint(io_do(d, SPLIT,
                           VIRTIO_BLK_T_ZONE_REPORT | VIRTIO_BLK_T_BARRIER, 0,
                           NULL, 0, NULL, 256), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);
}

/* More zones than are asked for at a time, in a buffer for many more */
static void test_report_many(void)
{
    const unsigned nr = 5000, room = 60000;
    g_autofree Zone *z = g_new(Zone, room);
    Disk *d;

    image_new_opts("disk.qcow2", "zoned=on,zone.size=64k", "312512K");
    d = disk_start("");
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_ZONE_FINISH, 4321 * 128,
                           NULL, 0, NULL, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_report(d, 0, room, z), ==, 4883);
    for (unsigned i = 0; i < 4883; i++) {
        g_assert_cmpuint(z[i].z_start, ==, i * 128);
        g_assert_cmpuint(z[i].z_state, ==,
                         i == 4321 ? VIRTIO_BLK_ZS_FULL : VIRTIO_BLK_ZS_EMPTY);
    }
    g_assert_cmpuint(do_report(d, 100 * 128, nr, z), ==, 4783);
    g_assert_cmpuint(z[0].z_start, ==, 100 * 128);
    g_assert_cmpuint(do_report(d, 100 * 128, 4097, z), ==, 4097);
    g_assert_cmpuint(z[4096].z_start, ==, 4196 * 128);
    disk_stop(d);
}

/* Zone management */

static void test_mgmt(void)
{
    const uint64_t s = 4 * ZONE;
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_CLOSE, s), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    check_zone(d, 4, VIRTIO_BLK_ZS_EMPTY, 0);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, s), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, s), ==,
                     VIRTIO_BLK_S_OK);
    /* virtio's reading: nothing written, so it is Empty and not Closed */
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_CLOSE, s), ==,
                     VIRTIO_BLK_S_OK);
    check_zone(d, 4, VIRTIO_BLK_ZS_EMPTY, 0);
    g_assert_cmpuint(do_write(d, s, 8), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_FINISH, s), ==,
                     VIRTIO_BLK_S_OK);
    check_zone(d, 4, VIRTIO_BLK_ZS_FULL, CAP);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, s), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_CLOSE, s), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_FINISH, s), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_RESET, s), ==,
                     VIRTIO_BLK_S_OK);
    check_zone(d, 4, VIRTIO_BLK_ZS_EMPTY, 0);
    /* The last zone is smaller */
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_FINISH, 9 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    check_zone(d, 9, VIRTIO_BLK_ZS_FULL, 1024);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_RESET, 9 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    check_zone(d, 9, VIRTIO_BLK_ZS_EMPTY, 0);
    disk_stop(d);
}

static void test_mgmt_misuse(void)
{
    static const uint32_t types[] = {
        VIRTIO_BLK_T_ZONE_OPEN, VIRTIO_BLK_T_ZONE_CLOSE,
        VIRTIO_BLK_T_ZONE_FINISH, VIRTIO_BLK_T_ZONE_RESET,
    };
    static const uint64_t sectors[] = {
        0,                              /* a conventional zone */
        3 * ZONE + 1, 3 * ZONE + 8, 4 * ZONE - 1,
        CAPACITY - 1, CAPACITY, CAPACITY + 1, 10 * ZONE, 11 * ZONE,
        1ull << 54, 1ull << 55, (1ull << 55) + 3 * ZONE,
        1ull << 63, UINT64_MAX - ZONE + 1, UINT64_MAX,
    };
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_write(d, 3 * ZONE, 8), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_write(d, 0, 8), ==, VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(sectors); j++) {
            g_assert_cmpuint(do_mgmt(d, types[i], sectors[j]), ==,
                             VIRTIO_BLK_S_ZONE_INVALID_CMD);
            check_zone(d, 3, VIRTIO_BLK_ZS_IOPEN, 8);
        }
        /* Not zone commands at all */
        g_assert_cmpuint(do_mgmt(d, types[i] | VIRTIO_BLK_T_OUT, 3 * ZONE), ==,
                         VIRTIO_BLK_S_UNSUPP);
        check_zone(d, 3, VIRTIO_BLK_ZS_IOPEN, 8);
    }
    /* Data in either direction has no meaning and does no harm */
    g_assert_cmpuint(io_do(d, CHOPPED, VIRTIO_BLK_T_ZONE_CLOSE, 3 * ZONE, NULL,
                           5000, NULL, 3000), ==, VIRTIO_BLK_S_OK);
    check_zone(d, 3, VIRTIO_BLK_ZS_CLOSED, 8);
    disk_stop(d);
}

static void test_reset_all(void)
{
    static const uint64_t sectors[] = { 0, 5, CAPACITY, 1ull << 55,
                                        UINT64_MAX };
    Zone z[NR_ZONES];
    Disk *d;

    image_new();
    d = disk_start("");
    for (unsigned i = 0; i < ARRAY_SIZE(sectors); i++) {
        g_assert_cmpuint(do_write(d, 16, 8), ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(do_write(d, 2 * ZONE, 8), ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 3 * ZONE), ==,
                         VIRTIO_BLK_S_OK);
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_FINISH, 9 * ZONE), ==,
                         VIRTIO_BLK_S_OK);
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_RESET_ALL, sectors[i]),
                         ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(do_report(d, 0, NR_ZONES, z), ==, NR_ZONES);
        for (unsigned j = 1; j < NR_ZONES; j++) {
            g_assert_cmpuint(z[j].z_state, ==, VIRTIO_BLK_ZS_EMPTY);
            g_assert_cmpuint(z[j].z_wp, ==, z[j].z_start);
        }
        g_assert_cmpuint(z[0].z_state, ==, VIRTIO_BLK_ZS_NOT_WP);
    }
    disk_stop(d);
}

/* Writes and appends */

static void test_write_statuses(void)
{
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_write(d, ZONE + 8, 8), ==,
                     VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(do_write(d, ZONE + 8, CAP), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 8);
    g_assert_cmpuint(do_write(d, ZONE + 8, CAP - 8), ==, VIRTIO_BLK_S_OK);
    check_zone(d, 1, VIRTIO_BLK_ZS_FULL, CAP);
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_write(d, ZONE + CAP, 8), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_append(d, ZONE, 8, NULL), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    /* Over the end of the disk, as on any disk */
    g_assert_cmpuint(do_write(d, CAPACITY - 8, 16), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(do_write(d, 1ull << 55, 8), ==, VIRTIO_BLK_S_IOERR);
    /* Writes of nothing, at the end of the disk too */
    do_write(d, 2 * ZONE, 0);
    do_write(d, CAPACITY, 0);
    check_zone(d, 2, VIRTIO_BLK_ZS_EMPTY, 0);
    /* Reads know no capacity and no write pointers */
    check_data(d, ZONE + CAP - 8, ZONE - CAP + 8, 0);
    check_data(d, CAPACITY - 1, 1, 0);
    disk_stop(d);
}

static void test_limits(void)
{
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 1 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 2 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 3 * ZONE), ==,
                     VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
    g_assert_cmpuint(do_write(d, 3 * ZONE, 8), ==,
                     VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
    g_assert_cmpuint(do_append(d, 3 * ZONE, 8, NULL), ==,
                     VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
    g_assert_cmpuint(do_write(d, 1 * ZONE, 8), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_CLOSE, 1 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 3 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 4 * ZONE), ==,
                     VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
    g_assert_cmpuint(do_write(d, 4 * ZONE, 8), ==,
                     VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
    g_assert_cmpuint(do_append(d, 4 * ZONE, 8, NULL), ==,
                     VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
    check_zone(d, 4, VIRTIO_BLK_ZS_EMPTY, 0);
    disk_stop(d);
}

static void test_append(void)
{
    uint8_t data[8 * 512];
    uint64_t where, le;
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_append(d, 5 * ZONE, 8, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, 5 * ZONE);
    for (Layout layout = SPLIT; layout <= CHOPPED; layout++) {
        memset(data, 0x40 + layout, sizeof(data));
        le = 0;
        g_assert_cmpuint(io_do(d, layout, VIRTIO_BLK_T_ZONE_APPEND, 5 * ZONE,
                               data, sizeof(data), &le, sizeof(le)), ==,
                         VIRTIO_BLK_S_OK);
        where = le64_to_cpu(le);
        g_assert_cmpuint(where, ==, 5 * ZONE + 8 * (layout + 1));
        check_data(d, where, 8, 0x40 + layout);
    }
    check_zone(d, 5, VIRTIO_BLK_ZS_IOPEN, 32);
    /* A write comes right behind, and the append after it as well */
    g_assert_cmpuint(do_write(d, 5 * ZONE + 32, 8), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_append(d, 5 * ZONE, CAP - 40, &where), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, 5 * ZONE + 40);
    check_zone(d, 5, VIRTIO_BLK_ZS_FULL, CAP);
    g_assert_cmpint(blockstat(d, "zone_append_operations"), ==, 5);
    g_assert_cmpint(blockstat(d, "zone_append_bytes"), ==,
                    (4 * 8 + CAP - 40) * 512);
    g_assert_cmpint(blockstat(d, "failed_zone_append_operations"), ==, 0);
    g_assert_cmpint(blockstat(d, "invalid_zone_append_operations"), ==, 0);
    /* Smallest and largest */
    g_assert_cmpuint(do_append(d, 6 * ZONE, 1, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_append(d, 7 * ZONE, APPEND_MAX, &where), ==,
                     VIRTIO_BLK_S_OK);
    check_zone(d, 7, VIRTIO_BLK_ZS_FULL, CAP);
    disk_stop(d);
}

static void test_append_misuse(void)
{
    static const uint64_t sectors[] = {
        0,                              /* a conventional zone */
        3 * ZONE + 1, 3 * ZONE + 8, 4 * ZONE - 1,
        CAPACITY - 1, CAPACITY, CAPACITY + 1, 10 * ZONE, 11 * ZONE,
        1ull << 54, 1ull << 55, (1ull << 55) + 3 * ZONE,
        1ull << 63, UINT64_MAX - ZONE + 1, UINT64_MAX,
    };
    static const size_t in_lens[] = { 0, 1, 4, 7 };
    const uint8_t invalid = VIRTIO_BLK_S_ZONE_INVALID_CMD;
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_append(d, 3 * ZONE, 8, NULL), ==, VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(sectors); i++) {
        check_append_fails(d, sectors[i], 512, 8, invalid);
        check_append_fails(d, sectors[i], 0, 8, invalid);
    }
    check_append_fails(d, 3 * ZONE, 0, 8, invalid);
    check_append_fails(d, 3 * ZONE, 1, 8, invalid);
    check_append_fails(d, 3 * ZONE, 511, 8, invalid);
    check_append_fails(d, 3 * ZONE, 513, 8, invalid);
    /* Longer than the limit, and than what the zone has left */
    check_append_fails(d, 3 * ZONE, (APPEND_MAX + 1) * 512, 8, invalid);
    check_append_fails(d, 3 * ZONE, (CAP - 7) * 512, 8, invalid);
    for (unsigned i = 0; i < ARRAY_SIZE(in_lens); i++) {
        check_append_fails(d, 3 * ZONE, 512, in_lens[i], invalid);
    }
    check_zone(d, 3, VIRTIO_BLK_ZS_IOPEN, 8);
    g_assert_cmpint(blockstat(d, "zone_append_operations"), ==, 1);
    /* Room for more than the sector is no fault */
    g_assert_cmpuint(io_do(d, CHOPPED, VIRTIO_BLK_T_ZONE_APPEND, 3 * ZONE,
                           NULL, 512, NULL, 64), ==, VIRTIO_BLK_S_OK);
    check_zone(d, 3, VIRTIO_BLK_ZS_IOPEN, 9);
    disk_stop(d);

    /* Of a disk with blocks of 4096 bytes */
    image_new();
    d = disk_start(",logical_block_size=4096,physical_block_size=4096");
    check_append_fails(d, 3 * ZONE, 512, 8, invalid);
    check_append_fails(d, 3 * ZONE, 4096 + 512, 8, invalid);
    g_assert_cmpuint(do_append(d, 3 * ZONE, 8, NULL), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);
}

/* Commands that a zoned disk does not have */
static void test_unsupported(void)
{
    static const uint32_t types[] = {
        VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
        VIRTIO_BLK_T_SECURE_ERASE,
    };
    struct virtio_blk_discard_write_zeroes dwz = {
        .sector = cpu_to_le64(3 * ZONE),
        .num_sectors = cpu_to_le32(8),
    };
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_write(d, 3 * ZONE, 8), ==, VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        g_assert_cmpuint(io_do(d, SPLIT, types[i], 3 * ZONE, &dwz, sizeof(dwz),
                               NULL, 0), ==, VIRTIO_BLK_S_UNSUPP);
        /* Not an append in disguise */
        g_assert_cmpuint(io_do(d, SPLIT, types[i], 3 * ZONE, NULL, 512, NULL,
                               8), ==, VIRTIO_BLK_S_UNSUPP);
    }
    check_zone(d, 3, VIRTIO_BLK_ZS_IOPEN, 8);
    disk_stop(d);
}

/* Adjacent writes that come together each keep a status of their own */
static void test_no_merge(void)
{
    Io *io[4];
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_write(d, ZONE, CAP - 16), ==, VIRTIO_BLK_S_OK);
    qvirtqueue_reset_pool(d->vq[0]);
    for (unsigned i = 0; i < 4; i++) {
        io[i] = io_queue(d, VIRTIO_BLK_T_OUT, ZONE + CAP - 16 + 8 * i, 4096,
                         0);
    }
    ring(d);
    g_assert_cmpuint(io_wait(io[0], NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(io_wait(io[1], NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(io_wait(io[2], NULL), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(io_wait(io[3], NULL), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpint(blockstat(d, "wr_merged"), ==, 0);
    disk_stop(d);
}

/* In the order of the ring: a command does not overtake a write */
static void test_order(void)
{
    Io *io[3];
    Disk *d;

    image_new();
    d = disk_start("");
    io[0] = io_queue(d, VIRTIO_BLK_T_OUT, ZONE, 4096, 0);
    io[1] = io_queue(d, VIRTIO_BLK_T_ZONE_FINISH, ZONE, 0, 0);
    io[2] = io_queue(d, VIRTIO_BLK_T_OUT, ZONE + 8, 4096, 0);
    ring(d);
    g_assert_cmpuint(io_wait(io[0], NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(io_wait(io[1], NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(io_wait(io[2], NULL), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    disk_stop(d);
}

/* What waits in one zone keeps no request from another */
static void test_zones_apart(void)
{
    g_autofree char *path = image_path("disk.qcow2");
    g_autofree char *cmd = NULL;
    Io *held, *reset;
    Disk *d;

    image_new();
    cmd = g_strdup_printf("-blockdev file,node-name=proto,filename=%s "
                          "-blockdev blkdebug,node-name=dbg,image=proto "
                          "-blockdev qcow2,node-name=disk,file=dbg", path);
    d = disk_start_cmd(cmd, "");
    disk_setup(d, 1, 0);
    g_assert_cmpuint(do_write(d, 2 * ZONE, 8), ==, VIRTIO_BLK_S_OK);

    device_io(d, "break write_aio A");
    held = io_submit(d, VIRTIO_BLK_T_OUT, ZONE, 4096, 0);
    reset = io_submit(d, VIRTIO_BLK_T_ZONE_RESET, ZONE, 0, 0);
    device_io(d, "wait_break A");

    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 3 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_CLOSE, 3 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_RESET, 2 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_FINISH, 2 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_write(d, 3 * ZONE, 8), ==, VIRTIO_BLK_S_OK);
    g_assert_cmphex(io_status(held), ==, PENDING);
    g_assert_cmphex(io_status(reset), ==, PENDING);

    device_io(d, "resume A");
    g_assert_cmpuint(io_wait(held, NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(io_wait(reset, NULL), ==, VIRTIO_BLK_S_OK);
    check_zone(d, 1, VIRTIO_BLK_ZS_EMPTY, 0);
    check_zone(d, 2, VIRTIO_BLK_ZS_FULL, CAP);
    disk_stop(d);
    check_image();
}

/* Read-only */

static void test_read_only(void)
{
    static const uint32_t types[] = {
        VIRTIO_BLK_T_ZONE_OPEN, VIRTIO_BLK_T_ZONE_CLOSE,
        VIRTIO_BLK_T_ZONE_FINISH, VIRTIO_BLK_T_ZONE_RESET,
        VIRTIO_BLK_T_ZONE_RESET_ALL, VIRTIO_BLK_T_ZONE_APPEND,
    };
    g_autofree char *path = NULL;
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_autofree char *cmd = NULL;
    gsize before_len, after_len;
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_write(d, 3 * ZONE, 8), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);

    path = image_path("disk.qcow2");
    g_assert_true(g_file_get_contents(path, &before, &before_len, NULL));
    cmd = nodes(",read-only=on");
    d = disk_start_cmd(cmd, ",werror=stop");
    g_assert_true(disk_features(d) & (1ull << VIRTIO_BLK_F_RO));
    disk_setup(d, 1, 0);
    check_zone(d, 3, VIRTIO_BLK_ZS_CLOSED, 8);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        g_assert_cmpuint(io_do(d, SPLIT, types[i], 3 * ZONE, NULL, 512, NULL,
                               8), ==, VIRTIO_BLK_S_IOERR);
    }
    check_zone(d, 3, VIRTIO_BLK_ZS_CLOSED, 8);
    g_assert_true(is_running(d));
    disk_stop(d);
    g_assert_true(g_file_get_contents(path, &after, &after_len, NULL));
    g_assert_cmpmem(before, before_len, after, after_len);
}

/* Lifetime */

static void test_restart(void)
{
    uint8_t data[4096];
    Io *io;
    Disk *d;

    image_new();
    memset(data, 0x77, sizeof(data));
    d = disk_start("");
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_OUT, ZONE, data,
                           sizeof(data), NULL, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_append(d, 2 * ZONE, 16, NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_FINISH, 3 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 4 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    io = io_submit(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
    g_assert_cmpuint(io_wait(io, NULL), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);

    d = disk_start("");
    check_zone(d, 1, VIRTIO_BLK_ZS_CLOSED, 8);
    check_data(d, ZONE, 8, 0x77);
    check_zone(d, 2, VIRTIO_BLK_ZS_CLOSED, 16);
    check_zone(d, 3, VIRTIO_BLK_ZS_FULL, CAP);
    check_zone(d, 4, VIRTIO_BLK_ZS_EMPTY, 0);
    disk_stop(d);
}

/*
 * Put requests of every kind in flight and keep them there: in a qtest the
 * throttling timer does not run by itself.
 */
static void throttled_requests(Disk *d, Io **io, unsigned nr)
{
    qtest_qmp_assert_success(d->qts,
        "{'execute': 'block_set_io_throttle', 'arguments': {"
        "'id': '/machine/peripheral/vd/virtio-backend', 'iops': 1,"
        "'iops_rd': 0, 'iops_wr': 0, 'bps': 0, 'bps_rd': 0, 'bps_wr': 0}}");
    for (unsigned i = 0; i < nr; i++) {
        switch (i % 4) {
        case 0:
            io[i] = io_submit(d, VIRTIO_BLK_T_ZONE_APPEND, 2 * ZONE, 512, 8);
            break;
        case 1:
            io[i] = io_submit(d, VIRTIO_BLK_T_OUT, ZONE + i / 4, 512, 0);
            break;
        case 2:
            io[i] = io_submit(d, VIRTIO_BLK_T_ZONE_REPORT, 0, 0, 1024);
            break;
        default:
            io[i] = io_submit(d, VIRTIO_BLK_T_ZONE_FINISH,
                              (3 + i / 4 % 6) * ZONE, 0, 0);
        }
    }
}

static void test_unplug(void)
{
    Io *io[40];
    Disk *d;

    image_new();
    d = disk_start("");
    throttled_requests(d, io, ARRAY_SIZE(io));
    g_assert_cmphex(io_status(io[36]), ==, PENDING);
    qpci_unplug_acpi_device_test(d->qts, "vd", SLOT);
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
        io_free(io[i]);
    }
    /* The image is free for another device */
    qtest_qmp_device_add(d->qts, "virtio-blk-pci", "vd2",
                         "{'drive': 'disk', 'addr': '7'}");
    disk_stop(d);
    check_image();
}

static void test_reset_in_flight(void)
{
    Io *io[40];
    Disk *d;

    image_new();
    d = disk_start("");
    throttled_requests(d, io, ARRAY_SIZE(io));
    qvirtio_reset(d->vdev);
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
        /* The reset has waited for it */
        g_assert_cmphex(io_status(io[i]), !=, PENDING);
        io_free(io[i]);
    }
    qtest_qmp_assert_success(d->qts, "{'execute': 'system_reset'}");
    qtest_qmp_eventwait(d->qts, "RESET");
    g_assert_true(is_running(d));
    disk_stop(d);
    check_image();
}

static void test_quit(void)
{
    for (unsigned i = 0; i < 2; i++) {
        Io *io[40];
        Disk *d;

        image_new();
        d = disk_start("");
        throttled_requests(d, io, ARRAY_SIZE(io));
        if (i) {
            qtest_qmp_assert_success(d->qts, "{'execute': 'quit'}");
            qtest_wait_qemu(d->qts);
        }
        for (unsigned j = 0; j < ARRAY_SIZE(io); j++) {
            io_free(io[j]);
        }
        /* Looks at the exit status */
        disk_stop(d);
        check_image();
    }
}

/* The medium is taken away from under the device */
static void test_no_medium(void)
{
    static const uint32_t types[] = {
        VIRTIO_BLK_T_ZONE_REPORT, VIRTIO_BLK_T_ZONE_OPEN,
        VIRTIO_BLK_T_ZONE_CLOSE, VIRTIO_BLK_T_ZONE_FINISH,
        VIRTIO_BLK_T_ZONE_RESET, VIRTIO_BLK_T_ZONE_RESET_ALL,
        VIRTIO_BLK_T_ZONE_APPEND,
    };
    g_autofree char *path = image_path("disk.qcow2");
    g_autofree char *cmd = NULL;
    g_autofree char *reply = NULL;
    Disk *d;

    image_new();
    cmd = g_strdup_printf("-drive if=none,id=disk,format=qcow2,file=%s", path);
    d = disk_start_cmd(cmd, "");
    disk_setup(d, 1, 0);
    g_assert_cmpuint(do_append(d, 2 * ZONE, 8, NULL), ==, VIRTIO_BLK_S_OK);
    reply = qtest_hmp(d->qts, "drive_del disk");
    g_assert_cmpuint(qvirtio_config_readb(d->vdev,
                     offsetof(struct virtio_blk_config, zoned.model)),
                     ==, VIRTIO_BLK_Z_NONE);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        g_assert_cmpuint(io_do(d, SPLIT, types[i], 2 * ZONE, NULL, 512, NULL,
                               512), !=, VIRTIO_BLK_S_OK);
    }
    disk_stop(d);
}

/* Several virtqueues, each in an iothread */

static void test_multi_queue(void)
{
    const unsigned per_queue = 40;
    g_autofree char *cmd = NULL;
    bool seen[MAX_QUEUES * 40] = {};
    Io *io[MAX_QUEUES][40], *rep[MAX_QUEUES][4];
    Disk *d;

    image_new_opts("disk.qcow2", "zoned=on,zone.size=1M", "16M");
    cmd = nodes("");
    d = mq_start(cmd, "stop");
    for (unsigned i = 0; i < per_queue; i++) {
        for (unsigned q = 0; q < MAX_QUEUES; q++) {
            io[q][i] = io_queue_raw(d, q, i % 3, VIRTIO_BLK_T_ZONE_APPEND,
                                    ZONE, NULL, 4096, 8, false);
            if (i % 10 == 0) {
                rep[q][i / 10] = io_queue_raw(d, q, SPLIT,
                                              VIRTIO_BLK_T_ZONE_REPORT, 0,
                                              NULL, 0, 2048, false);
            }
        }
    }
    for (unsigned q = 0; q < MAX_QUEUES; q++) {
        for (unsigned i = 0; i < per_queue; i++) {
            uint64_t le;

            g_assert_cmpuint(io_wait(io[q][i], &le), ==, VIRTIO_BLK_S_OK);
            le = le64_to_cpu(le) - ZONE;
            g_assert_cmpuint(le % 8, ==, 0);
            g_assert_cmpuint(le / 8, <, ARRAY_SIZE(seen));
            g_assert_false(seen[le / 8]);
            seen[le / 8] = true;
        }
        for (unsigned i = 0; i < 4; i++) {
            g_assert_cmpuint(io_wait(rep[q][i], NULL), ==, VIRTIO_BLK_S_OK);
        }
    }
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 8 * per_queue * MAX_QUEUES);
    disk_stop(d);
}

static void test_multi_queue_full(void)
{
    g_autofree char *cmd = NULL;
    Io *io[MAX_QUEUES][10];
    Disk *d;

    image_new_opts("disk.qcow2", "zoned=on,zone.size=1M", "16M");
    cmd = full_nodes(true);
    d = mq_start(cmd, "stop");
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned q = 0; q < MAX_QUEUES; q++) {
            io[q][i] = io_queue_raw(d, q, i % 3,
                                    i < 9 ? VIRTIO_BLK_T_OUT
                                          : VIRTIO_BLK_T_ZONE_APPEND,
                                    i < 9 ? q * ZONE + 8 * i
                                          : (q + 4) * ZONE,
                                    NULL, 4096, 8, false);
        }
    }
    qtest_qmp_eventwait(d->qts, "STOP");
    room_made(d);
    cont(d);
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned q = 0; q < MAX_QUEUES; q++) {
            /* The others may have stopped the guest once more. */
            while (io_status(io[q][i]) == PENDING) {
                if (!is_running(d)) {
                    cont(d);
                }
            }
            g_assert_cmpuint(io_wait(io[q][i], NULL), ==, VIRTIO_BLK_S_OK);
        }
    }
    for (unsigned q = 0; q < MAX_QUEUES; q++) {
        check_zone(d, q, VIRTIO_BLK_ZS_IOPEN, 72);
        check_zone(d, q + 4, VIRTIO_BLK_ZS_IOPEN, 8);
    }
    disk_stop(d);
}

static void mq_requests(Disk *d, Io *io[MAX_QUEUES][40])
{
    for (unsigned i = 0; i < 40; i++) {
        for (unsigned q = 0; q < MAX_QUEUES; q++) {
            switch (i % 4) {
            case 0:
                io[q][i] = io_queue_raw(d, q, SPLIT, VIRTIO_BLK_T_ZONE_APPEND,
                                        8 * ZONE, NULL, 4096, 8, false);
                break;
            case 1:
                io[q][i] = io_queue_raw(d, q, JOINED, VIRTIO_BLK_T_OUT,
                                        q * ZONE + i / 4 * 8, NULL, 4096, 0,
                                        false);
                break;
            case 2:
                io[q][i] = io_queue_raw(d, q, SPLIT, VIRTIO_BLK_T_ZONE_REPORT,
                                        0, NULL, 0, 1024, false);
                break;
            default:
                io[q][i] = io_queue_raw(d, q, SPLIT,
                                        i & 4 ? VIRTIO_BLK_T_ZONE_RESET
                                              : VIRTIO_BLK_T_ZONE_FINISH,
                                        (9 + q) * ZONE, NULL, 0, 0, false);
            }
        }
    }
}

/*
 * With discard=unmap a reset gives clusters away, and a finish may: they wait
 * for a read of the zone that is under way.
 */
static void check_read_holds(uint32_t type)
{
    g_autofree char *path = image_path("disk.qcow2");
    g_autofree char *cmd = g_strdup_printf(
        "-blockdev file,node-name=proto,filename=%s,discard=unmap "
        "-blockdev blkdebug,node-name=dbg,image=proto,discard=unmap "
        "-blockdev qcow2,node-name=disk,file=dbg,discard=unmap", path);
    g_autofree uint8_t *data = g_malloc(65536);
    Io *read, *op;
    Disk *d;

    image_new();
    d = disk_start_cmd(cmd, "");
    disk_setup(d, 1, 0);
    memset(data, 0x11, 65536);
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_OUT, ZONE, data, 65536, NULL,
                           0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL, 0),
                     ==, VIRTIO_BLK_S_OK);

    device_io(d, "break read_aio held");
    read = io_submit(d, VIRTIO_BLK_T_IN, ZONE, 0, 65536);
    device_io(d, "wait_break held");
    op = io_submit(d, type, ZONE, 0, 0);
    /* A flush writes the table after whoever was there before. */
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpuint(do_write(d, 2 * ZONE + 8 * i, 8), ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL,
                               0), ==, VIRTIO_BLK_S_OK);
    }
    g_assert_cmphex(io_status(op), ==, PENDING);
    g_assert_cmphex(io_status(read), ==, PENDING);

    device_io(d, "resume held");
    memset(data, 0, 65536);
    g_assert_cmpuint(io_wait(read, data), ==, VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < 65536; i++) {
        g_assert_cmphex(data[i], ==, 0x11);
    }
    g_assert_cmpuint(io_wait(op, NULL), ==, VIRTIO_BLK_S_OK);
    if (type == VIRTIO_BLK_T_ZONE_RESET) {
        check_zone(d, 1, VIRTIO_BLK_ZS_EMPTY, 0);
    } else {
        check_zone(d, 1, VIRTIO_BLK_ZS_FULL, CAP);
        check_data(d, ZONE, 128, 0x11);
    }
    disk_stop(d);
    check_image();
}

static void test_read_holds_reset(void)
{
    check_read_holds(VIRTIO_BLK_T_ZONE_RESET);
}

static void test_read_holds_finish(void)
{
    check_read_holds(VIRTIO_BLK_T_ZONE_FINISH);
}

/* The end comes while the iothreads are at work */
static void check_multi_queue_end(bool unplug)
{
    for (unsigned round = 0; round < 3; round++) {
        g_autofree char *cmd = NULL;
        Io *io[MAX_QUEUES][40];
        Disk *d;

        image_new_opts("disk.qcow2", "zoned=on,zone.size=1M", "16M");
        cmd = nodes("");
        d = mq_start(cmd, "stop");
        mq_requests(d, io);
        if (unplug) {
            qpci_unplug_acpi_device_test(d->qts, "vd", SLOT);
            g_assert_true(is_running(d));
        } else {
            qtest_qmp_assert_success(d->qts, "{'execute': 'quit'}");
            qtest_wait_qemu(d->qts);
        }
        for (unsigned i = 0; i < 40; i++) {
            for (unsigned q = 0; q < MAX_QUEUES; q++) {
                io_free(io[q][i]);
            }
        }
        disk_stop(d);
        check_image();
    }
}

static void test_multi_queue_unplug(void)
{
    check_multi_queue_end(true);
}

static void test_multi_queue_quit(void)
{
    check_multi_queue_end(false);
}

/* Random requests: each is answered, and the image stays sound */
static void test_random(void)
{
    static const uint32_t types[] = {
        VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT,
        VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
        VIRTIO_BLK_T_SECURE_ERASE,
        VIRTIO_BLK_T_ZONE_APPEND, VIRTIO_BLK_T_ZONE_APPEND,
        VIRTIO_BLK_T_ZONE_REPORT, VIRTIO_BLK_T_ZONE_OPEN,
        VIRTIO_BLK_T_ZONE_CLOSE, VIRTIO_BLK_T_ZONE_FINISH,
        VIRTIO_BLK_T_ZONE_RESET, VIRTIO_BLK_T_ZONE_RESET_ALL,
        17, 19, 25, 28, 0x7fffffff,
    };
    static const uint32_t lens[] = {
        0, 1, 7, 8, 9, 63, 64, 128, 511, 512, 513, 4096, 65536, CAP * 512,
    };
    Disk *d;

    image_new();
    d = disk_start("");
    for (unsigned n = 0; n < 1500; n++) {
        uint32_t type = types[g_test_rand_int_range(0, ARRAY_SIZE(types))];
        uint64_t sector = g_test_rand_int_range(0, NR_ZONES + 2) * ZONE;
        size_t out = lens[g_test_rand_int_range(0, ARRAY_SIZE(lens))];
        size_t in = lens[g_test_rand_int_range(0, ARRAY_SIZE(lens))];

        if (g_test_rand_int_range(0, 4) == 0) {
            sector += g_test_rand_int_range(0, ZONE);
        }
        if (g_test_rand_int_range(0, 16) == 0) {
            sector |= 1ull << g_test_rand_int_range(0, 64);
        }
        if (g_test_rand_int_range(0, 16) == 0) {
            type |= VIRTIO_BLK_T_BARRIER;
        }
        g_assert_cmpuint(io_do(d, g_test_rand_int_range(SPLIT, CHOPPED),
                               type, sector, NULL, out, NULL, in), <=,
                         VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
    }
    disk_stop(d);
    check_image();
}

static void add_tests(const Test *tests)
{
    for (; tests->name; tests++) {
        g_autofree char *path =
            g_strdup_printf("virtio-blk-zoned/%s", tests->name);

        qtest_add_func(path, tests->fn);
    }
}

int main(int argc, char **argv)
{
    static const Test tests[] = {
        { "config", test_config },
        { "long", test_long },
        { "features", test_features },
        { "plain-drive-has-no-zones", test_plain },
        { "realize-refuses", test_refused },
        { "resize", test_resize },
        { "report", test_report },
        { "report-states", test_report_states },
        { "report-misuse", test_report_misuse },
        { "report-many-zones", test_report_many },
        { "mgmt", test_mgmt },
        { "mgmt-misuse", test_mgmt_misuse },
        { "reset-all", test_reset_all },
        { "write-statuses", test_write_statuses },
        { "limits", test_limits },
        { "append", test_append },
        { "append-misuse", test_append_misuse },
        { "unsupported-commands", test_unsupported },
        { "no-merge", test_no_merge },
        { "order", test_order },
        { "zones-apart", test_zones_apart },
        { "read-holds-reset", test_read_holds_reset },
        { "read-holds-finish", test_read_holds_finish },
        { "read-only", test_read_only },
        { "restart", test_restart },
        { "unplug-in-flight", test_unplug },
        { "reset-in-flight", test_reset_in_flight },
        { "quit-in-flight", test_quit },
        { "no-medium", test_no_medium },
        { "multi-queue", test_multi_queue },
        { "multi-queue-full", test_multi_queue_full },
        { "multi-queue-unplug", test_multi_queue_unplug },
        { "multi-queue-quit", test_multi_queue_quit },
        { "random", test_random },
        { }
    };
    int ret;

    g_test_init(&argc, &argv, NULL);
    if (!getenv("QTEST_QEMU_IMG")) {
        g_test_message("QTEST_QEMU_IMG is not set");
        return EXIT_FAILURE;
    }

    tmpdir = g_dir_make_tmp("virtio-blk-zoned-XXXXXX", NULL);
    g_assert_nonnull(tmpdir);
    add_tests(tests);
    add_tests(error_tests);
    add_tests(driver_tests);
    add_tests(host_tests);
    ret = g_test_run();
    run("rm -rf %s", tmpdir);
    g_free(tmpdir);
    return ret;
}
