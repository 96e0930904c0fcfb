/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk on a zoned qcow2 image with drivers that do not know zones, that
 * write where they must not, or that go away: errors, and nothing changes
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "virtio-blk-zoned-util.h"
#include "standard-headers/linux/virtio_config.h"

#define ZONED (1ull << VIRTIO_BLK_F_ZONED)

static const uint32_t zone_commands[] = {
    VIRTIO_BLK_T_ZONE_REPORT, VIRTIO_BLK_T_ZONE_OPEN,
    VIRTIO_BLK_T_ZONE_CLOSE, VIRTIO_BLK_T_ZONE_FINISH,
    VIRTIO_BLK_T_ZONE_RESET, VIRTIO_BLK_T_ZONE_RESET_ALL,
    VIRTIO_BLK_T_ZONE_APPEND,
};

static uint8_t write_data(Disk *d, uint64_t sector, unsigned sectors,
                          uint8_t byte)
{
    g_autofree uint8_t *data = g_malloc(sectors * 512);

    memset(data, byte, sectors * 512);
    return io_do(d, SPLIT, VIRTIO_BLK_T_OUT, sector, data, sectors * 512, NULL,
                 0);
}

/* Some data in a conventional zone and in a sequential one */
static void write_some(Disk *d)
{
    g_assert_cmpuint(write_data(d, 16, 8, 0x11), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(write_data(d, ZONE, 8, 0x22), ==, VIRTIO_BLK_S_OK);
}

/* The driver of @d has not accepted the feature. */
static void check_unaware(Disk *d)
{
    static const uint64_t sectors[] = {
        0, 16, ZONE - 8, ZONE - 4, ZONE, ZONE + 8, ZONE + 16, 2 * ZONE,
        CAPACITY - 8,
    };
    static const uint32_t others[] = {
        VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
        VIRTIO_BLK_T_SECURE_ERASE,
    };
    struct virtio_blk_discard_write_zeroes dwz = {
        .sector = cpu_to_le64(ZONE),
        .num_sectors = cpu_to_le32(8),
    };

    for (unsigned i = 0; i < ARRAY_SIZE(sectors); i++) {
        for (Layout layout = SPLIT; layout <= CHOPPED; layout++) {
            g_assert_cmpuint(io_do(d, layout, VIRTIO_BLK_T_OUT, sectors[i],
                                   NULL, 4096, NULL, 0), ==,
                             VIRTIO_BLK_S_IOERR);
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(zone_commands); i++) {
        g_assert_cmpuint(io_do(d, SPLIT, zone_commands[i], ZONE, NULL, 512,
                               NULL, 512), ==, VIRTIO_BLK_S_UNSUPP);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        g_assert_cmpuint(io_do(d, SPLIT, others[i], ZONE, &dwz, sizeof(dwz),
                               NULL, 0), ==, VIRTIO_BLK_S_UNSUPP);
    }
    /* Reads are those of any disk, over zones' ends too. */
    check_data(d, 16, 8, 0x11);
    check_data(d, ZONE, 8, 0x22);
    check_data(d, ZONE + 8, 2 * ZONE, 0);
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL, 0),
                     ==, VIRTIO_BLK_S_OK);
    g_assert_true(is_running(d));
}

/* A driver that knows zones finds them as write_some() has left them. */
static void check_some(Disk *d)
{
    check_zone(d, 1, VIRTIO_BLK_ZS_CLOSED, 8);
    for (unsigned i = 2; i < NR_ZONES; i++) {
        check_zone(d, i, VIRTIO_BLK_ZS_EMPTY, 0);
    }
    check_data(d, 0, 16, 0);
    check_data(d, 16, 8, 0x11);
    check_data(d, 24, ZONE - 24, 0);
    check_data(d, ZONE, 8, 0x22);
    check_data(d, ZONE + 8, ZONE - 8, 0);
}

static void test_not_accepted(void)
{
    const uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE |
                           VIRTIO_CONFIG_S_DRIVER;
    uint64_t features;
    Disk *d;

    image_new();
    d = disk_start(",werror=stop,rerror=stop");
    write_some(d);
    disk_reset(d);

    features = disk_features(d);
    g_assert_true(features & ZONED);
    d->vdev->bus->set_features(d->vdev, features & ~ZONED);
    d->vdev->bus->set_status(d->vdev, status | VIRTIO_CONFIG_S_FEATURES_OK);
    g_assert_cmphex(d->vdev->bus->get_status(d->vdev), ==, status);

    /* It goes on all the same. */
    d->vdev->features = features & ~ZONED;
    d->vdev->features_negotiated = true;
    disk_setup_queues(d, 1);
    d->vdev->bus->set_status(d->vdev, status | VIRTIO_CONFIG_S_DRIVER_OK);
    check_unaware(d);

    disk_reset(d);
    disk_setup(d, 1, 0);
    check_some(d);
    disk_stop(d);
    check_image();
}

/* The functions that a driver of the legacy interface uses */
static Disk *legacy_start(void)
{
    g_autofree char *cmd = nodes("");
    g_autofree char *all =
        g_strdup_printf("%s -device virtio-blk-pci,id=vd,drive=disk,"
                        "addr=0x%x,werror=stop,rerror=stop "
                        "-blockdev null-co,node-name=null "
                        "-device virtio-blk-pci,drive=null,addr=0x%x,"
                        "disable-modern=on", cmd, SLOT, SLOT + 1);
    QPCIAddress addr = { .devfn = QPCI_DEVFN(SLOT + 1, 0) };
    Disk *d = disk_boot(all);
    QVirtioPCIDevice *other = virtio_pci_new(d->qs->pcibus, &addr);

    /* libqos takes them for devices that have nothing else only. */
    g_assert_true(d->vdev->bus != other->vdev.bus);
    qvirtio_pci_device_disable(d->dev);
    d->vdev->bus = other->vdev.bus;
    d->dev->msix_ops = other->msix_ops;
    d->dev->bar_idx = other->bar_idx;
    g_free(other->pdev);
    g_free(other);
    qvirtio_pci_device_enable(d->dev);
    qvirtio_start_device(d->vdev);
    return d;
}

static void test_legacy(void)
{
    uint64_t features;
    Disk *d;

    image_new();
    d = disk_start("");
    write_some(d);
    disk_stop(d);

    d = legacy_start();
    features = disk_features(d);
    g_assert_false(features & (1ull << VIRTIO_F_VERSION_1));
    g_assert_false(features & ZONED);
    g_assert_true(features & (1ull << VIRTIO_BLK_F_BLK_SIZE));
    /* Nor does it get what it asks for all the same. */
    qvirtio_set_features(d->vdev, features | ZONED);
    g_assert_false(d->vdev->bus->get_guest_features(d->vdev) & ZONED);
    disk_setup_queues(d, 1);
    qvirtio_set_driver_ok(d->vdev);
    check_unaware(d);
    disk_stop(d);

    /* The modern interface of the same device shows the zones. */
    d = disk_start("");
    g_assert_true(disk_features(d) & ZONED);
    check_some(d);
    disk_stop(d);
    check_image();
}

/* What QEMU says when it is started so, and ends before it is told to quit */
static void check_start_fails(const char *args, const char *why)
{
    g_autofree char *cmd = NULL;
    g_autofree char *node_args = nodes("");
    g_autofree char *err = NULL;
    int status;

    cmd = g_strdup_printf("sh -c 'echo quit | %s -nodefaults -display none -S "
                          "-monitor stdio -accel qtest -machine %s %s'",
                          getenv("QTEST_QEMU_BINARY"), args, node_args);
    g_assert_true(g_spawn_command_line_sync(cmd, NULL, &err, &status, NULL));
    g_test_message("%s", err);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    g_assert_nonnull(strstr(err, why));
}

static void test_legacy_only(void)
{
    Disk *d;

    image_new();
    check_start_fails("pc -device virtio-blk-pci,drive=disk,disable-modern=on",
                      "the legacy interface only, which does not show the "
                      "zones of a host-managed drive: set disable-modern=off");
    if (qtest_has_machine("microvm")) {
        check_start_fails("microvm -global virtio-mmio.force-legacy=on "
                          "-device virtio-blk-device,drive=disk",
                          "set force-legacy=off of the virtio-mmio transport");
    }

    /* Other drives have it as ever. */
    image_new_opts("disk.qcow2", "cluster_size=64k", DISK_SIZE);
    d = disk_start(",disable-modern=on");
    g_assert_cmpuint(do_write(d, 4096, 8), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);
}

/* What cannot be done in a sequential zone, and can be in others */
static void test_borders(void)
{
    const uint8_t invalid = VIRTIO_BLK_S_ZONE_INVALID_CMD;
    Disk *d;

    image_new();
    d = disk_start(",werror=stop,rerror=stop");
    write_some(d);
    for (Layout layout = SPLIT; layout <= CHOPPED; layout++) {
        static const struct {
            uint64_t sector;
            unsigned sectors;
        } over[] = {
            { 2 * ZONE - 1, 2 }, { 9 * ZONE - 8, 16 }, { ZONE, ZONE + 1 },
            { ZONE + 8, 3 * ZONE }, { ZONE + CAP - 8, 1024 },
        };
        /* The ring holds no more odd pieces. */
        unsigned nr = layout == CHOPPED ? 2 : ARRAY_SIZE(over);

        for (unsigned i = 0; i < nr; i++) {
            g_autofree uint8_t *in = g_malloc(over[i].sectors * 512);

            g_assert_cmpuint(io_do(d, layout, VIRTIO_BLK_T_IN, over[i].sector,
                                   NULL, 0, in, over[i].sectors * 512), ==,
                             invalid);
            for (unsigned j = 0; j < over[i].sectors * 512; j++) {
                g_assert_cmphex(in[j], ==, POISON);
            }
        }
    }
    g_assert_cmpint(blockstat(d, "invalid_rd_operations"), ==, 12);
    /* Up to the end, over the capacity, and from a conventional zone on */
    check_data(d, ZONE + CAP - 8, ZONE - CAP + 8, 0);
    check_data(d, 24, ZONE - 24, 0);
    check_data(d, ZONE - 8, 8, 0);
    check_data(d, CAPACITY - 1, 1, 0);
    {
        g_autofree uint8_t *in = g_malloc(2 * ZONE * 512);

        g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_IN, 16, NULL, 0, in,
                               2 * ZONE * 512), ==, VIRTIO_BLK_S_OK);
        for (unsigned i = 0; i < 2 * ZONE; i++) {
            uint8_t byte = i < 8 ? 0x11 : i >= ZONE - 16 && i < ZONE - 8 ?
                           0x22 : 0;

            g_assert_cmphex(in[i * 512], ==, byte);
            g_assert_cmphex(in[i * 512 + 511], ==, byte);
        }
    }
    /* Not on the drive */
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_IN, 9 * ZONE, NULL, 0, NULL,
                           1025 * 512), ==, VIRTIO_BLK_S_IOERR);
    g_assert_true(is_running(d));
    disk_stop(d);
}

/* The host fails such a read: rerror= holds, and it is made again. */
static void test_border_read_error(void)
{
    Disk *d = disk_start_faulty("read_aio", "read", EIO, true,
                                ",rerror=stop");
    uint8_t *in = g_malloc0(16 * 512);
    Io *io;

    g_assert_cmpuint(write_data(d, ZONE - 8, 8, 0x11), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(write_data(d, ZONE, 8, 0x22), ==, VIRTIO_BLK_S_OK);
    io = io_queue_raw(d, 0, JOINED, VIRTIO_BLK_T_IN, ZONE - 8, NULL, 0,
                      16 * 512, false);
    qtest_qmp_eventwait(d->qts, "STOP");
    g_assert_cmphex(io_status(io), ==, PENDING);
    cont(d);
    g_assert_cmpuint(io_wait(io, in), ==, VIRTIO_BLK_S_OK);
    g_assert_cmphex(in[0], ==, 0x11);
    g_assert_cmphex(in[8 * 512], ==, 0x22);
    g_free(in);
    disk_stop(d);
}

static void test_granularity(void)
{
    const uint8_t unaligned = VIRTIO_BLK_S_ZONE_UNALIGNED_WP;
    Disk *d;

    image_new();
    d = disk_start(",logical_block_size=4096,physical_block_size=4096,"
                   "werror=stop");
    write_some(d);
    for (unsigned sectors = 1; sectors < 16; sectors++) {
        if (sectors % 8) {
            g_assert_cmpuint(do_write(d, ZONE + 8, sectors), ==, unaligned);
            g_assert_cmpuint(do_write(d, ZONE + 8 + sectors, 8), ==,
                             unaligned);
            /* Its end fits, but it is not at the write pointer. */
            g_assert_cmpuint(do_write(d, ZONE + 8 + sectors, 16 - sectors), ==,
                             unaligned);
            g_assert_cmpuint(do_write(d, 16, sectors), ==,
                             VIRTIO_BLK_S_IOERR);
        }
    }
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_OUT, ZONE + 8, NULL, 4095,
                           NULL, 0), ==, unaligned);
    /* Not on the drive */
    g_assert_cmpuint(do_write(d, CAPACITY - 8, 9), ==, VIRTIO_BLK_S_IOERR);
    g_assert_true(is_running(d));
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 8);
    disk_reset(d);
    disk_setup(d, 1, 0);
    check_some(d);
    disk_stop(d);
    check_image();
}

/* Zones that a driver leaves open are at rest for the next one. */
static void test_reset_closes(void)
{
    g_autofree char *path = image_path("disk.qcow2");
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    gsize before_len, after_len;
    Disk *d;

    image_new();
    d = disk_start("");
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, ZONE), ==,
                         VIRTIO_BLK_S_OK);
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, (2 + i) * ZONE),
                         ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(do_write(d, ZONE + 8 * i, 8), ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL,
                               0), ==, VIRTIO_BLK_S_OK);
        g_free(g_steal_pointer(&before));
        g_free(g_steal_pointer(&after));
        g_assert_true(g_file_get_contents(path, &before, &before_len, NULL));
        if (i == 1) {
            /* Of the machine */
            disk_cleanup_queues(d);
            qtest_qmp_assert_success(d->qts, "{'execute': 'system_reset'}");
            qtest_qmp_eventwait(d->qts, "RESET");
            disk_reattach(d);
        } else {
            disk_reset(d);
        }
        g_assert_true(g_file_get_contents(path, &after, &after_len, NULL));
        g_assert_cmpmem(before, before_len, after, after_len);
        disk_setup(d, 1, 0);
        check_zone(d, 1, VIRTIO_BLK_ZS_CLOSED, 8 * i + 8);
        check_zone(d, 2 + i, VIRTIO_BLK_ZS_EMPTY, 0);
    }
    disk_stop(d);
    check_image();
}

/* ...also for that of a device that comes in place of this one. */
static void test_unplug_closes(void)
{
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 2 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    disk_cleanup_queues(d);
    qpci_unplug_acpi_device_test(d->qts, "vd", SLOT);
    qtest_qmp_device_add(d->qts, "virtio-blk-pci", "vd",
                         "{'drive': 'disk', 'addr': '4'}");
    disk_reattach(d);
    disk_setup(d, 1, 0);
    check_zone(d, 1, VIRTIO_BLK_ZS_CLOSED, 8);
    check_zone(d, 2, VIRTIO_BLK_ZS_EMPTY, 0);
    disk_stop(d);
    check_image();
}

/* Resets where there is nothing to close, or nobody who may */
static void test_reset_elsewhere(void)
{
    g_autofree char *path = image_path("disk.qcow2");
    g_autofree char *cmd = NULL;
    g_autofree char *ro = NULL;
    g_autofree char *hmp = NULL;
    Disk *d;

    /* Before an incoming migration */
    image_new();
    cmd = nodes("");
    d = g_new0(Disk, 1);
    d->qts = qtest_initf("-nodefaults %s -incoming defer "
                         "-device virtio-blk-pci,id=vd,drive=disk", cmd);
    qtest_qmp_assert_success(d->qts, "{'execute': 'system_reset'}");
    qtest_qmp_eventwait(d->qts, "RESET");
    qtest_quit(d->qts);
    g_free(d);

    /* Read-only */
    ro = nodes(",read-only=on");
    d = disk_start_cmd(ro, "");
    disk_setup(d, 1, 0);
    disk_restart(d, 0);
    check_zone(d, 1, VIRTIO_BLK_ZS_EMPTY, 0);
    disk_stop(d);

    /* The medium is gone */
    g_free(g_steal_pointer(&cmd));
    cmd = g_strdup_printf("-drive if=none,id=disk,format=qcow2,file=%s", path);
    d = disk_start_cmd(cmd, "");
    disk_setup(d, 1, 0);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, ZONE), ==,
                     VIRTIO_BLK_S_OK);
    hmp = qtest_hmp(d->qts, "drive_del disk");
    disk_restart(d, 0);
    disk_stop(d);
    check_image();
}

/*
 * A throttled device is reset, and closes its zones, all the same: throttled
 * itself, in a filter, or in filters below another one.
 */
static void test_reset_throttled(void)
{
    enum { ITSELF, FILTER, BELOW };

    for (unsigned where = ITSELF; where <= BELOW; where++) {
        g_autofree char *path = image_path("disk.qcow2");
        g_autofree char *cmd = g_strdup_printf(
            "-object throttle-group,id=tg,x-iops-write=%d "
            "-blockdev file,node-name=proto,filename=%s "
            "-blockdev qcow2,node-name=%s,file=proto %s", where == FILTER,
            path, where == ITSELF ? "disk" : "image",
            where == FILTER ? "-blockdev throttle,node-name=disk,file=image,"
                              "throttle-group=tg" :
            where == BELOW ? "-blockdev raw,node-name=disk,file=image" : "");
        Io *io[8];
        Disk *d;

        image_new();
        d = disk_start_cmd(cmd, "");
        disk_setup(d, 1, 0);
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, ZONE), ==,
                         VIRTIO_BLK_S_OK);
        if (where == ITSELF) {
            disk_throttle(d, 1);
        } else if (where == BELOW) {
            /* A group made now has the clock of qtest, which stands still. */
            qtest_qmp_assert_success(d->qts, "{'execute': 'object-add',"
                "'arguments': {'qom-type': 'throttle-group', 'id': 'slow',"
                "'limits': {'iops-write': 1}}}");
            for (unsigned i = 0; i < 2; i++) {
                qtest_qmp_assert_success(d->qts, "{'execute': 'blockdev-add',"
                    "'arguments': {'driver': 'throttle', 'node-name': %s,"
                    "'throttle-group': 'slow', 'file': %s}}",
                    i ? "upper" : "lower", i ? "lower" : "image");
            }
            qtest_qmp_assert_success(d->qts, "{'execute': 'blockdev-reopen',"
                "'arguments': {'options': [{'driver': 'raw',"
                "'node-name': 'disk', 'file': 'upper'}]}}");
        }
        for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
            io[i] = io_submit(d, VIRTIO_BLK_T_OUT, ZONE + i, 512, 0);
        }
        disk_reset(d);
        for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
            g_assert_cmphex(io_status(io[i]), ==, VIRTIO_BLK_S_OK);
            io_free(io[i]);
        }
        disk_setup(d, 1, 0);
        check_zone(d, 1, VIRTIO_BLK_ZS_CLOSED, ARRAY_SIZE(io));
        disk_stop(d);
        check_image();
    }
}

/*
 * The guest is reset while requests of each kind are in flight.  What was
 * answered with success is there, at its place, and nothing else is.
 */
static void test_reset_midway(void)
{
    for (unsigned held = 1; held < 12; held++) {
        g_autofree char *path = image_path("disk.qcow2");
        g_autofree char *cmd = NULL;
        uint8_t data[4096];
        uint8_t status[12];
        Io *io[12];
        Disk *d;

        image_new();
        cmd = nodes("");
        d = disk_start_cmd(cmd, "");
        disk_setup(d, 1, 0);
        g_assert_cmpuint(write_data(d, 3 * ZONE, 8, 0x33), ==,
                         VIRTIO_BLK_S_OK);
        qvirtqueue_reset_pool(d->vq[0]);
        disk_throttle(d, 1);
        for (unsigned i = 0; i < held; i++) {
            memset(data, 0x40 + i, sizeof(data));
            switch (i % 4) {
            case 0:
                io[i] = io_queue_raw(d, 0, SPLIT, VIRTIO_BLK_T_OUT,
                                     ZONE + i / 4 * 8, data, sizeof(data), 0,
                                     false);
                break;
            case 1:
                io[i] = io_queue_raw(d, 0, SPLIT, VIRTIO_BLK_T_ZONE_APPEND,
                                     2 * ZONE, data, sizeof(data), 8, false);
                break;
            case 2:
                /* Misplaced: over what is there */
                io[i] = io_queue_raw(d, 0, SPLIT, VIRTIO_BLK_T_OUT,
                                     3 * ZONE, data, sizeof(data), 0, false);
                break;
            default:
                io[i] = io_queue_raw(d, 0, SPLIT, VIRTIO_BLK_T_ZONE_FINISH,
                                     (4 + i / 4) * ZONE, NULL, 0, 0, false);
            }
        }
        qvirtio_reset(d->vdev);
        for (unsigned i = 0; i < held; i++) {
            status[i] = io_status(io[i]);
            g_assert_cmphex(status[i], ==, i % 4 == 2 ?
                            VIRTIO_BLK_S_ZONE_UNALIGNED_WP : VIRTIO_BLK_S_OK);
            io_free(io[i]);
        }
        disk_cleanup_queues(d);
        qvirtio_set_acknowledge(d->vdev);
        qvirtio_set_driver(d->vdev);
        disk_throttle(d, 0);
        disk_setup(d, 1, 0);
        for (unsigned z = 1; z <= 2; z++) {
            unsigned nr = (held + 4 - z) / 4;

            check_zone(d, z, nr ? VIRTIO_BLK_ZS_CLOSED : VIRTIO_BLK_ZS_EMPTY,
                       8 * nr);
            for (unsigned i = 0; i < nr; i++) {
                check_data(d, z * ZONE + 8 * i, 8, 0x40 + 4 * i + z - 1);
            }
            check_data(d, z * ZONE + 8 * nr, 8, 0);
        }
        check_zone(d, 3, VIRTIO_BLK_ZS_CLOSED, 8);
        check_data(d, 3 * ZONE, 8, 0x33);
        check_data(d, 3 * ZONE + 8, 8, 0);
        for (unsigned i = 0; i < 3; i++) {
            bool full = 4 * i + 3 < held;

            check_zone(d, 4 + i, full ? VIRTIO_BLK_ZS_FULL
                                      : VIRTIO_BLK_ZS_EMPTY, full ? CAP : 0);
        }
        disk_stop(d);
        check_image();
    }
}

/* The device leaves its iothreads for the reset. */
static void test_reset_iothreads(void)
{
    g_autofree char *cmd = NULL;
    unsigned done[MAX_QUEUES] = {};
    Io *io[MAX_QUEUES][16];
    Disk *d;

    image_new_opts("disk.qcow2", "zoned=on,zone.size=1M", "16M");
    cmd = nodes("");
    d = mq_start(cmd, "stop");
    for (unsigned round = 0; round < 3; round++) {
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 8 * ZONE), ==,
                         VIRTIO_BLK_S_OK);
        qvirtqueue_reset_pool(d->vq[0]);
        for (unsigned i = 0; i < ARRAY_SIZE(io[0]); i++) {
            for (unsigned q = 0; q < MAX_QUEUES; q++) {
                io[q][i] = io_queue_raw(d, q, SPLIT, VIRTIO_BLK_T_ZONE_APPEND,
                                        q * ZONE, NULL, 4096, 8, false);
            }
        }
        disk_reset(d);
        for (unsigned q = 0; q < MAX_QUEUES; q++) {
            for (unsigned i = 0; i < ARRAY_SIZE(io[0]); i++) {
                /* Taken from the ring and answered, or not taken */
                g_assert_true(io_status(io[q][i]) == VIRTIO_BLK_S_OK ||
                              io_status(io[q][i]) == PENDING);
                done[q] += io_status(io[q][i]) == VIRTIO_BLK_S_OK;
                io_free(io[q][i]);
            }
        }
        disk_setup(d, MAX_QUEUES, 0);
        for (unsigned q = 0; q < MAX_QUEUES; q++) {
            check_zone(d, q, done[q] ? VIRTIO_BLK_ZS_CLOSED
                                     : VIRTIO_BLK_ZS_EMPTY, 8 * done[q]);
        }
        check_zone(d, 8, VIRTIO_BLK_ZS_EMPTY, 0);
    }
    disk_stop(d);
    check_image();
}

static void queue_misplaced(Disk *d, Io *io[6])
{
    static const uint64_t sectors[] = {
        3 * ZONE, 3 * ZONE + 4, 3 * ZONE + 16, 4 * ZONE + 8,
        5 * ZONE + CAP, 6 * ZONE + 1,
    };
    uint8_t data[4096];

    memset(data, 0x99, sizeof(data));
    for (unsigned i = 0; i < ARRAY_SIZE(sectors); i++) {
        io[i] = io_queue_raw(d, 0, i % 3, VIRTIO_BLK_T_OUT, sectors[i], data,
                             sizeof(data), 0, true);
    }
    ring(d);
}

static void check_misplaced(Disk *d, Io *io[6])
{
    for (unsigned i = 0; i < 6; i++) {
        g_assert_cmpuint(io_wait(io[i], NULL), ==,
                         VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    }
    check_zone(d, 3, VIRTIO_BLK_ZS_IOPEN, 8);
    check_data(d, 3 * ZONE, 8, 0x33);
    check_data(d, 3 * ZONE + 8, ZONE - 8, 0);
    for (unsigned i = 4; i < 7; i++) {
        check_zone(d, i, VIRTIO_BLK_ZS_EMPTY, 0);
        check_data(d, i * ZONE, ZONE, 0);
    }
}

/* Misplaced writes of a machine that is stopped, by a person... */
static void test_stopped(void)
{
    Io *io[6];
    Disk *d;

    image_new();
    d = disk_start(",werror=stop");
    g_assert_cmpuint(write_data(d, 3 * ZONE, 8, 0x33), ==, VIRTIO_BLK_S_OK);
    qvirtqueue_reset_pool(d->vq[0]);
    qtest_qmp_assert_success(d->qts, "{'execute': 'stop'}");
    qtest_qmp_eventwait(d->qts, "STOP");
    queue_misplaced(d, io);
    cont(d);
    qtest_qmp_eventwait(d->qts, "RESUME");
    check_misplaced(d, io);
    g_assert_true(is_running(d));
    disk_stop(d);
    check_image();
}

/* ...or by a full host, which they wait for and do not spoil */
static void test_stopped_full(void)
{
    g_autofree char *cmd = NULL;
    Io *io[6], *first;
    Disk *d;

    image_new();
    d = disk_start("");
    g_assert_cmpuint(write_data(d, 3 * ZONE, 8, 0x33), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);

    cmd = full_nodes(true);
    d = disk_start_cmd(cmd, ",werror=stop");
    disk_setup(d, 1, 0);
    first = io_submit(d, VIRTIO_BLK_T_OUT, ZONE, 4096, 0);
    qtest_qmp_eventwait(d->qts, "STOP");
    queue_misplaced(d, io);
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
        g_assert_cmphex(io_status(io[i]), !=, VIRTIO_BLK_S_OK);
    }
    room_made(d);
    cont(d);
    g_assert_cmpuint(io_wait(first, NULL), ==, VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
        g_assert_cmpuint(io_wait(io[i], NULL), ==,
                         VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    }
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 8);
    check_zone(d, 3, VIRTIO_BLK_ZS_CLOSED, 8);
    check_data(d, 3 * ZONE, 8, 0x33);
    check_data(d, 3 * ZONE + 8, 8, 0);
    check_zone(d, 4, VIRTIO_BLK_ZS_EMPTY, 0);
    disk_stop(d);
    check_image();
}

const Test driver_tests[] = {
    { "feature-not-accepted", test_not_accepted },
    { "legacy-driver", test_legacy },
    { "legacy-only-refused", test_legacy_only },
    { "borders", test_borders },
    { "border-read-error", test_border_read_error },
    { "granularity", test_granularity },
    { "reset-closes", test_reset_closes },
    { "unplug-closes", test_unplug_closes },
    { "reset-elsewhere", test_reset_elsewhere },
    { "reset-throttled", test_reset_throttled },
    { "reset-midway", test_reset_midway },
    { "reset-iothreads", test_reset_iothreads },
    { "stopped-misplaced", test_stopped },
    { "stopped-full-misplaced", test_stopped_full },
    { }
};
