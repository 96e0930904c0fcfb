/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk on a zoned device of the host, which virtio-blk-zoned-preload.c
 * makes of a file: what the kernel's errors become, and what it leaves open
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "virtio-blk-zoned-util.h"

#define HOST_ZONES 8

static void set_attribute(const char *name, const char *text)
{
    g_autofree char *path = g_strdup_printf("%s/host/%s", tmpdir, name);

    if (text) {
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
    } else {
        unlink(path);
    }
}

/* The next operations of this kind fail so; 0: no longer */
static void host_fails(const char *operation, int error)
{
    g_autofree char *text = g_strdup_printf("%s %d", operation, error);

    set_attribute("error", error ? text : NULL);
}

/*
 * Start with a device of HOST_ZONES zones of @zone_sectors, and a raw node on
 * it, so that the zones are not those of the node that virtio-blk sees.
 */
static Disk *host_boot(const char *device, unsigned zone_sectors,
                       const char *max_append, const char *max_sectors)
{
    g_autofree char *path = image_path("host.raw");
    g_autofree char *dir = image_path("host");
    g_autofree char *zone = g_strdup_printf("%u\n", zone_sectors);
    g_autofree char *nr = g_strdup_printf("%u\n", HOST_ZONES);
    g_autofree char *cmd = NULL;
    Disk *d;

    run("mkdir -p %s", dir);
    run("truncate -s 0 %s", path);
    run("truncate -s %llu %s", HOST_ZONES * zone_sectors * 512ull, path);
    set_attribute("zoned", "host-managed\n");
    set_attribute("chunk_sectors", zone);
    set_attribute("nr_zones", nr);
    set_attribute("max_open_zones", "0\n");
    set_attribute("max_active_zones", "0\n");
    set_attribute("physical_block_size", "512\n");
    set_attribute("zone_append_max_bytes", max_append);
    set_attribute("max_sectors", max_sectors);
    host_fails("", 0);

    g_setenv("ZONED_HOST_FILE", path, true);
    g_setenv("ZONED_HOST_DIR", dir, true);
    g_setenv("LD_PRELOAD", getenv("QTEST_ZONED_PRELOAD"), true);
    cmd = g_strdup_printf("-blockdev host_device,node-name=proto,filename=%s,"
                          "cache.direct=on "
                          "-blockdev raw,node-name=disk,file=proto %s",
                          path, device);
    if (*device) {
        d = disk_boot(cmd);
        disk_setup(d, 1, 0);
    } else {
        d = g_new0(Disk, 1);
        d->qts = qtest_initf("-machine pc -nodefaults %s", cmd);
    }
    g_unsetenv("LD_PRELOAD");
    return d;
}

static bool no_preload(void)
{
    if (!getenv("QTEST_ZONED_PRELOAD")) {
        g_test_skip("QTEST_ZONED_PRELOAD is not set");
        return true;
    }
    return false;
}

#define DEVICE "-device virtio-blk-pci,id=vd,drive=disk,addr=4,werror=stop"

/* What the kernel says clearly is told to the guest; else it is its command */
static void test_host_errors(void)
{
    static const struct {
        int error;
        uint8_t status;
    } errors[] = {
        { ETOOMANYREFS, VIRTIO_BLK_S_ZONE_OPEN_RESOURCE },
        { EOVERFLOW, VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE },
        { EIO, VIRTIO_BLK_S_ZONE_INVALID_CMD },
        { EREMOTEIO, VIRTIO_BLK_S_ZONE_INVALID_CMD },
        { EINVAL, VIRTIO_BLK_S_ZONE_INVALID_CMD },
        { EACCES, VIRTIO_BLK_S_IOERR },
    };
    Disk *d;

    if (no_preload()) {
        return;
    }
    d = host_boot(DEVICE, ZONE, "65536\n", NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        host_fails("open", errors[i].error);
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, ZONE), ==,
                         errors[i].status);
        host_fails("write", errors[i].error);
        g_assert_cmpuint(do_append(d, ZONE, 8, NULL), ==, errors[i].status);
        host_fails("finish", errors[i].error);
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_FINISH, ZONE), ==,
                         errors[i].status);
    }
    host_fails("write", ETOOMANYREFS);
    g_assert_cmpuint(do_write(d, ZONE, 8), ==,
                     VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
    host_fails("", 0);
    check_zone(d, 1, VIRTIO_BLK_ZS_EMPTY, 0);
    /* A conventional zone, below a node that does not have it itself */
    g_assert_cmpuint(do_append(d, 0, 8, NULL), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_append(d, ZONE, 8, NULL), ==, VIRTIO_BLK_S_OK);
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 8);
    g_assert_true(is_running(d));
    g_assert_null(qtest_qmp_event_ref(d->qts, "BLOCK_IO_ERROR"));
    disk_stop(d);
}

/* Others may use the device: what is open stays so */
static void test_host_reset(void)
{
    Disk *d;

    if (no_preload()) {
        return;
    }
    d = host_boot(DEVICE, ZONE, "65536\n", NULL);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, ZONE), ==,
                     VIRTIO_BLK_S_OK);
    disk_restart(d, 0);
    check_zone(d, 1, VIRTIO_BLK_ZS_EOPEN, 0);
    disk_stop(d);
}

static void check_append_limit(const char *max_append, const char *max_sectors,
                               unsigned limit)
{
    Disk *d = host_boot(DEVICE, 8 * ZONE, max_append, max_sectors);

    g_assert_cmpuint(qvirtio_config_readl(d->vdev,
                     offsetof(struct virtio_blk_config,
                              zoned.max_append_sectors)), ==, limit);
    g_assert_cmpuint(do_append(d, 8 * ZONE, MIN(limit, 1024), NULL), ==,
                     VIRTIO_BLK_S_OK);
    disk_stop(d);
}

/* Appends are made of writes, so that there are some with any kernel */
static void test_host_append_limit(void)
{
    if (no_preload()) {
        return;
    }
    check_append_limit("65536\n", "256\n", 128);
    check_append_limit("0\n", "256\n", 256);
    check_append_limit("0\n", NULL, 8192);
    check_append_limit(NULL, NULL, 8192);
}

static void test_host_append_too_small(void)
{
    const char *desc;
    QDict *r;
    Disk *d;

    if (no_preload()) {
        return;
    }
    d = host_boot("", ZONE, "512\n", NULL);
    r = qtest_qmp(d->qts, "{'execute': 'device_add', 'arguments': {"
                  "'driver': 'virtio-blk-pci', 'drive': 'disk',"
                  "'logical_block_size': 4096,"
                  "'physical_block_size': 4096}}");
    g_assert_true(qdict_haskey(r, "error"));
    desc = qdict_get_str(qdict_get_qdict(r, "error"), "desc");
    g_assert_cmpstr(desc, ==, "the drive takes zone appends of up to 512 "
                    "bytes, virtio-blk needs at least logical_block_size "
                    "4096");
    qobject_unref(r);
    qtest_quit(d->qts);
    g_free(d);
}

const Test host_tests[] = {
    { "host-device-errors", test_host_errors },
    { "host-device-reset", test_host_reset },
    { "host-device-append-limit", test_host_append_limit },
    { "host-device-append-too-small", test_host_append_too_small },
    { }
};
