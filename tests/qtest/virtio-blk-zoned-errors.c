/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk on a zoned qcow2 image whose host fails: werror=, and what is made
 * again when the guest goes on
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "virtio-blk-zoned-util.h"

static void test_misplaced_does_not_stop(void)
{
    Disk *d;

    image_new();
    d = disk_start(",werror=stop,rerror=stop");
    g_assert_cmpuint(do_write(d, ZONE + 8, 8), ==,
                     VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(do_write(d, ZONE, CAP + 8), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_append(d, 0, 8, NULL), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_append(d, ZONE, CAP, NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_append(d, ZONE, 8, NULL), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, ZONE), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_RESET, 0), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 2 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_OPEN, 3 * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_write(d, 4 * ZONE, 8), ==,
                     VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
    g_assert_true(is_running(d));
    g_assert_cmpint(blockstat(d, "failed_wr_operations"), ==, 4);
    g_assert_null(qtest_qmp_event_ref(d->qts, "STOP"));
    g_assert_null(qtest_qmp_event_ref(d->qts, "BLOCK_IO_ERROR"));
    disk_stop(d);
}

/* @io stops the guest for want of room, and is made again when there is some */
static void stop_until_room(Disk *d, Io *io)
{
    qtest_qmp_eventwait(d->qts, "STOP");
    g_assert_cmphex(io_status(io), ==, PENDING);

    /* Without room it stops once more, and loses nothing */
    cont(d);
    qtest_qmp_eventwait(d->qts, "STOP");
    g_assert_cmphex(io_status(io), ==, PENDING);

    room_made(d);
    cont(d);
}

static void check_full_write(Layout layout)
{
    Disk *d = full_start(",werror=stop");
    uint8_t data[4096];
    Io *io;

    memset(data, 0x5a, sizeof(data));
    io = io_queue_raw(d, 0, layout, VIRTIO_BLK_T_OUT, 2 * ZONE, data,
                      sizeof(data), 0, false);
    stop_until_room(d, io);
    g_assert_cmpuint(io_wait(io, NULL), ==, VIRTIO_BLK_S_OK);
    check_zone(d, 2, VIRTIO_BLK_ZS_IOPEN, 8);
    check_data(d, 2 * ZONE, 8, 0x5a);
    disk_stop(d);
}

static void test_full_write(void)
{
    check_full_write(SPLIT);
}

/* The retry finds its headers again although they share descriptors */
static void test_full_write_joined(void)
{
    check_full_write(JOINED);
    check_full_write(CHOPPED);
}

static void check_full_append(Layout layout)
{
    Disk *d = full_start(",werror=stop");
    uint8_t data[4096];
    uint64_t le;
    Io *io;

    memset(data, 0xc3, sizeof(data));
    io = io_queue_raw(d, 0, layout, VIRTIO_BLK_T_ZONE_APPEND, 2 * ZONE, data,
                      sizeof(data), sizeof(le), false);
    stop_until_room(d, io);
    g_assert_cmpuint(io_wait(io, &le), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(le64_to_cpu(le), ==, 2 * ZONE);
    check_data(d, 2 * ZONE, 8, 0xc3);
    check_zone(d, 2, VIRTIO_BLK_ZS_IOPEN, 8);
    g_assert_cmpint(blockstat(d, "zone_append_operations"), ==, 1);
    disk_stop(d);
}

static void test_full_append(void)
{
    check_full_append(SPLIT);
}

static void test_full_append_joined(void)
{
    check_full_append(JOINED);
    check_full_append(CHOPPED);
}

/* The default policy is to stop for a full host */
static void test_full_default(void)
{
    Disk *d = full_start("");
    Io *io = io_submit(d, VIRTIO_BLK_T_ZONE_APPEND, ZONE, 4096, 8);

    qtest_qmp_eventwait(d->qts, "STOP");
    room_made(d);
    cont(d);
    g_assert_cmpuint(io_wait(io, NULL), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);
}

static void test_full_report(void)
{
    Disk *d = full_start(",werror=report");

    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(do_append(d, 2 * ZONE, 8, NULL), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpint(blockstat(d, "failed_wr_operations"), ==, 1);
    g_assert_cmpint(blockstat(d, "failed_zone_append_operations"), ==, 1);
    g_assert_cmpint(blockstat(d, "zone_append_operations"), ==, 0);
    g_assert_true(is_running(d));
    room_made(d);
    /* Nothing was written, so the write pointer is where it was */
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);
}

/* No append is passed off as done, whose place nobody could tell */
static void test_full_ignore(void)
{
    Disk *d = full_start(",werror=ignore");

    check_append_fails(d, 2 * ZONE, 4096, 8, VIRTIO_BLK_S_IOERR);
    g_assert_true(is_running(d));
    disk_stop(d);
}

/*
 * Several writes to a zone fail, and more of them come before the guest is
 * stopped.  All succeed afterwards, in order.
 */
static void test_full_queue(void)
{
    Disk *d = full_start(",werror=stop");
    Io *io[12];

    for (unsigned i = 0; i < 6; i++) {
        io[i] = io_queue_raw(d, 0, i % 3, VIRTIO_BLK_T_OUT, ZONE + 8 * i,
                             NULL, 4096, 0, true);
    }
    io[6] = io_queue(d, VIRTIO_BLK_T_ZONE_APPEND, 2 * ZONE, 4096, 8);
    ring(d);
    qtest_qmp_eventwait(d->qts, "STOP");
    for (unsigned i = 7; i < 12; i++) {
        io[i] = io_queue_raw(d, 0, i % 3, VIRTIO_BLK_T_OUT,
                             ZONE + 8 * (i - 1), NULL, 4096, 0, true);
    }
    ring(d);
    for (unsigned i = 0; i < 12; i++) {
        g_assert_cmphex(io_status(io[i]), ==, PENDING);
    }
    room_made(d);
    cont(d);
    for (unsigned i = 0; i < 12; i++) {
        g_assert_cmpuint(io_wait(io[i], NULL), ==, VIRTIO_BLK_S_OK);
    }
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 88);
    check_zone(d, 2, VIRTIO_BLK_ZS_IOPEN, 8);
    disk_stop(d);
}

/* The device is reset while requests wait for a retry */
static void test_full_reset(void)
{
    Disk *d = full_start(",werror=stop");
    Io *io[3];

    for (unsigned i = 0; i < 3; i++) {
        io[i] = io_queue(d, VIRTIO_BLK_T_OUT, ZONE + 8 * i, 4096, 0);
    }
    ring(d);
    qtest_qmp_eventwait(d->qts, "STOP");
    qvirtio_reset(d->vdev);
    cont(d);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmphex(io_status(io[i]), ==, PENDING);
        io_free(io[i]);
    }
    room_made(d);
    disk_restart(d, 0);
    /* None of them was written */
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_OK);
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 8);
    disk_stop(d);
}

/* Requests that wait for a retry go along with a migration */
static void test_full_migrate(void)
{
    g_autofree char *state = image_path("migration");
    g_autofree char *uri = g_strdup_printf("file:%s", state);
    g_autofree char *cmd = NULL;
    Disk *d = full_start(",werror=stop");
    QTestState *to;
    Io *io[6];

    for (unsigned i = 0; i < 5; i++) {
        io[i] = io_queue_raw(d, 0, i % 3, VIRTIO_BLK_T_OUT, ZONE + 8 * i,
                             NULL, 4096, 0, true);
    }
    io[5] = io_queue_raw(d, 0, JOINED, VIRTIO_BLK_T_ZONE_APPEND, 2 * ZONE,
                         NULL, 4096, 8, true);
    ring(d);
    qtest_qmp_eventwait(d->qts, "STOP");

    unlink(state);
    qtest_qmp_assert_success(d->qts, "{'execute': 'migrate',"
                             "'arguments': {'uri': %s}}", uri);
    wait_migrated(d->qts);

    cmd = full_nodes(false);
    to = qtest_initf("-nodefaults %s -incoming defer "
                     "-device virtio-blk-pci,id=vd,drive=disk,addr=0x%x,"
                     "werror=stop", cmd, SLOT);
    qtest_qmp_assert_success(to, "{'execute': 'migrate-incoming',"
                             "'arguments': {'uri': %s}}", uri);
    wait_migrated(to);
    qtest_qmp_assert_success(to, "{'execute': 'cont'}");
    for (unsigned i = 0; i < 6; i++) {
        gint64 start = g_get_monotonic_time();
        uint64_t addr = io[i]->in + io[i]->in_len;
        uint8_t status;

        while ((status = qtest_readb(to, addr)) == PENDING) {
            g_assert_cmpint(g_get_monotonic_time() - start, <, TIMEOUT_US);
        }
        g_assert_cmpuint(status, ==, VIRTIO_BLK_S_OK);
        io_free(io[i]);
    }
    qtest_quit(to);
    disk_stop(d);
}

/* A broken host stops the guest for every command that has to write */
static void test_host_error(void)
{
    static const char *const policies[] = { "stop", "enospc", "report" };

    for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
        g_autofree char *props = g_strdup_printf(",werror=%s", policies[i]);
        bool stop = i == 0;
        Disk *d = disk_start_faulty("none", "write", EIO, false, props);
        Io *io[3];

        io[0] = io_submit(d, VIRTIO_BLK_T_OUT, ZONE, 4096, 0);
        io[1] = io_submit(d, VIRTIO_BLK_T_ZONE_APPEND, 2 * ZONE, 4096, 8);
        io[2] = io_submit(d, VIRTIO_BLK_T_ZONE_FINISH, 3 * ZONE, 0, 0);
        if (stop) {
            /* Stopping waits for what is in flight. */
            qtest_qmp_eventwait(d->qts, "STOP");
            g_assert_false(is_running(d));
            for (unsigned j = 0; j < 3; j++) {
                g_assert_cmphex(io_status(io[j]), ==, PENDING);
                io_free(io[j]);
            }
        } else {
            for (unsigned j = 0; j < 3; j++) {
                g_assert_cmpuint(io_wait(io[j], NULL), ==,
                                 VIRTIO_BLK_S_IOERR);
            }
        }
        g_assert_true(is_running(d) == !stop);
        disk_stop(d);
    }
}

/* ...and for a flush, too, whatever the host's error is called */
static void test_host_flush_error(void)
{
    static const int errors[] = { EIO, ENOLINK, EBADE };

    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        Disk *d = disk_start_faulty("zone_table_write", "write", errors[i],
                                    true, ",werror=stop");
        Io *io = io_submit(d, VIRTIO_BLK_T_OUT, ZONE, 4096, 0);

        g_assert_cmpuint(io_wait(io, NULL), ==, VIRTIO_BLK_S_OK);
        io = io_submit(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
        qtest_qmp_eventwait(d->qts, "STOP");
        g_assert_cmphex(io_status(io), ==, PENDING);
        qtest_qmp_assert_success(d->qts, "{'execute': 'cont'}");
        g_assert_cmpuint(io_wait(io, NULL), ==, VIRTIO_BLK_S_OK);
        disk_stop(d);
    }
}

/*
 * A drive without a write cache: the data of a write is there, the flush that
 * is part of it fails.  Made again, it neither misses the write pointer that
 * it has moved itself, nor leaves its data twice.
 */
static void test_host_sync_error(void)
{
    /* The last one comes when the entry is durable: nobody is told of it. */
    static const char *const events[] = {
        "zone_table_write", "flush_to_os", "flush_to_disk",
    };

    for (unsigned i = 0; i < 2 * ARRAY_SIZE(events); i++) {
        Disk *d = disk_start_faulty(events[i / 2], i < 2 ? "write" : "flush",
                                    ENOSPC, true,
                                    ",werror=stop,write-cache=off");
        bool durable = i / 2 == 2;
        bool append = i % 2;
        uint8_t data[4096];
        uint64_t le = 0;
        Io *io;

        memset(data, 0x77, sizeof(data));
        io = io_queue_raw(d, 0, SPLIT, append ? VIRTIO_BLK_T_ZONE_APPEND :
                          VIRTIO_BLK_T_OUT, ZONE, data, sizeof(data),
                          append ? sizeof(le) : 0, false);
        if (!durable) {
            qtest_qmp_eventwait(d->qts, "STOP");
            g_assert_cmphex(io_status(io), ==, PENDING);
            cont(d);
        }
        g_assert_cmpuint(io_wait(io, &le), ==, VIRTIO_BLK_S_OK);
        g_assert_true(is_running(d));
        g_assert_cmpuint(le64_to_cpu(le), ==, append ? ZONE : 0);
        check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 8);
        check_data(d, ZONE, 8, 0x77);
        io = io_submit(d, VIRTIO_BLK_T_OUT, ZONE + 8, 4096, 0);
        if (durable) {
            /* There was nothing left to flush; the error meets this one. */
            qtest_qmp_eventwait(d->qts, "STOP");
            cont(d);
        }
        g_assert_cmpuint(io_wait(io, NULL), ==, VIRTIO_BLK_S_OK);
        disk_stop(d);
        check_image();
    }
}

/*
 * Writes fail below others that succeed: when they answer they read as zeros.
 * A finish and a flush that come at once have nothing left to wait for.
 */
static void test_failed_below(void)
{
    g_autofree char *path = image_path("disk.qcow2");
    g_autofree char *cmd = g_strdup_printf(
        "-blockdev file,node-name=proto,filename=%s "
        "-blockdev blkdebug,node-name=dbg,image=proto,"
        "set-state.0.event=write_aio,set-state.0.state=1,"
        "set-state.0.new_state=2,"
        "set-state.1.event=write_aio,set-state.1.state=2,"
        "set-state.1.new_state=3,"
        "set-state.2.event=write_aio,set-state.2.state=3,"
        "set-state.2.new_state=4,"
        "inject-error.0.event=write_aio,inject-error.0.state=1,"
        "inject-error.0.iotype=write,inject-error.0.once=on,"
        "inject-error.1.event=write_aio,inject-error.1.state=3,"
        "inject-error.1.iotype=write,inject-error.1.once=on "
        "-blockdev qcow2,node-name=disk,file=dbg", path);
    Io *io[4], *finish, *flush;
    Disk *d;

    image_new();
    d = disk_start_cmd(cmd, ",werror=report");
    disk_setup(d, 1, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
        io[i] = io_queue(d, VIRTIO_BLK_T_OUT, ZONE + 8 * i, 4096, 0);
    }
    ring(d);
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
        g_assert_cmpuint(io_wait(io[i], NULL), ==, i % 2 ? VIRTIO_BLK_S_OK
                                                         : VIRTIO_BLK_S_IOERR);
    }
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 32);

    check_data(d, ZONE, 8, 0);
    check_data(d, ZONE + 16, 8, 0);
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);

    finish = io_queue(d, VIRTIO_BLK_T_ZONE_FINISH, ZONE, 0, 0);
    flush = io_queue(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
    ring(d);
    g_assert_cmpuint(io_wait(finish, NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(io_wait(flush, NULL), ==, VIRTIO_BLK_S_OK);
    check_zone(d, 1, VIRTIO_BLK_ZS_FULL, CAP);
    check_data(d, ZONE, 8, 0);
    check_data(d, ZONE + 16, 8, 0);
    disk_stop(d);
    check_image();
}

/*
 * Throttling holds a write back, and the one before it fails meanwhile: it
 * misses a write pointer that has gone down, which it is not to be told.
 */
static void test_host_error_throttled(void)
{
    Disk *d = disk_start_faulty("write_aio", "write", EIO, true,
                                ",werror=stop");
    Io *io[4];

    disk_throttle(d, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
        io[i] = io_queue_raw(d, 0, i % 3, VIRTIO_BLK_T_OUT, ZONE + 8 * i, NULL,
                             4096, 0, true);
    }
    ring(d);
    qtest_qmp_eventwait(d->qts, "STOP");
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
        g_assert_cmphex(io_status(io[i]), ==, PENDING);
    }

    disk_throttle(d, 0);
    cont(d);
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
        g_assert_cmpuint(io_wait(io[i], NULL), ==, VIRTIO_BLK_S_OK);
    }
    check_zone(d, 1, VIRTIO_BLK_ZS_IOPEN, 8 * ARRAY_SIZE(io));
    /* One that is misplaced is told so. */
    g_assert_cmpuint(do_write(d, ZONE, 8), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    disk_stop(d);
    check_image();
}

/*
 * One sector of the file that can be neither read nor written, or not one of
 * these: of data, of an L2 table, of the write-pointer table.  A block of that
 * has the entries of 512 zones, and an L2 table maps so many; the sector is one
 * for the zones from FAR on.
 */
#define FAR 1024u

/* A big-endian value in the file of the image, which nobody has open */
static uint64_t in_file(uint64_t offset, unsigned bytes)
{
    g_autofree char *path = image_path("disk.qcow2");
    int fd = open(path, O_RDONLY);
    uint8_t buf[8] = { 0 };

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, buf + 8 - bytes, bytes, offset), ==, bytes);
    close(fd);
    return ldq_be_p(buf);
}

#define IN_FILE_OFFSET(entry) ((entry) & 0x00fffffffffffe00ull)

static uint64_t l2_in_file(unsigned zone)
{
    return IN_FILE_OFFSET(in_file(in_file(40, 8) + zone / 512 * 8, 8));
}

/* Where the first cluster of a zone is, of 64 KiB */
static uint64_t data_in_file(unsigned zone)
{
    return IN_FILE_OFFSET(in_file(l2_in_file(zone) + zone % 512 * 16 * 8, 8));
}

static uint64_t table_in_file(void)
{
    uint64_t at = in_file(100, 4);

    while (in_file(at, 4) != 0x007a6264) {
        g_assert_cmphex(in_file(at, 4), !=, 0);
        at += 8 + QEMU_ALIGN_UP(in_file(at + 4, 4), 8);
    }
    return in_file(at + 8 + 24, 8);
}

/* A big image, whose zone FAR has clusters, two of them with old data */
static void bad_image(void)
{
    uint8_t old[128 * 1024];
    Disk *d;

    image_new_opts("disk.qcow2",
                   "zoned=on,zone.size=1M,zone.conventional_zones=1", "1032M");
    d = disk_start("");
    memset(old, 0xee, sizeof(old));
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_OUT, FAR * ZONE, old,
                           sizeof(old), NULL, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_RESET, FAR * ZONE), ==,
                     VIRTIO_BLK_S_OK);
    /* For bad_heals(); sector 0 is read to guess the geometry. */
    g_assert_cmpuint(do_write(d, 3 * ZONE, 8), ==, VIRTIO_BLK_S_OK);
    disk_stop(d);
}

/*
 * The sector at @offset fails for @iotype; NULL: whatever it is asked for, and
 * for good.  Else until data is read, see bad_heals().
 */
static Disk *bad_start(uint64_t offset, const char *iotype, bool through,
                       bool stop)
{
    g_autofree char *path = image_path("disk.qcow2");
    g_autofree char *type =
        !iotype ? g_strdup("") :
        g_strdup_printf(",inject-error.0.iotype=%s,inject-error.1.event="
                        "read_aio,inject-error.1.sector=%llu", iotype,
                        1ull << 40);
    g_autofree char *cmd = g_strdup_printf(
        "-blockdev file,node-name=proto,filename=%s "
        "-blockdev blkdebug,node-name=dbg,image=proto,"
        "inject-error.0.event=none,inject-error.0.sector=%" PRIu64 ","
        "inject-error.0.errno=%d%s "
        "-blockdev qcow2,node-name=disk,file=dbg", path, offset / 512, EIO,
        type);
    g_autofree char *props =
        g_strdup_printf(",werror=%s,write-cache=%s", stop ? "stop" : "report",
                        through ? "off" : "on");
    Disk *d = disk_start_cmd(cmd, props);

    disk_setup(d, 1, 0);
    return d;
}

static Io *bad_write(Disk *d, uint32_t type, uint64_t sector, uint8_t byte,
                     unsigned sectors)
{
    g_autofree uint8_t *data = g_malloc(sectors * 512);
    bool append = type == VIRTIO_BLK_T_ZONE_APPEND;

    memset(data, byte, sectors * 512);
    return io_queue_raw(d, 0, SPLIT, type, sector, data, sectors * 512,
                        append ? 8 : 0, false);
}

/* Wait for a request, and go on whenever it stops the guest. */
static uint8_t bad_wait(Disk *d, Io *io)
{
    while (io_status(io) == PENDING) {
        if (!is_running(d)) {
            cont(d);
        }
    }
    return io_wait(io, NULL);
}

static void bad_write_ok(Disk *d, uint64_t sector, uint8_t byte,
                         unsigned sectors)
{
    g_assert_cmpuint(bad_wait(d, bad_write(d, VIRTIO_BLK_T_OUT, sector, byte,
                                           sectors)), ==, VIRTIO_BLK_S_OK);
}

/* It has failed, and has stopped the guest. */
static void bad_stops(Disk *d, Io *io)
{
    while (is_running(d)) {
        g_assert_cmphex(io_status(io), ==, PENDING);
    }
    g_assert_cmphex(io_status(io), ==, PENDING);
}

/*
 * @io fails.  It is told so, or stops the guest, three times, with what it is
 * made of: the caller has it still.  Writes at *@other go on meanwhile.
 */
static void bad_fails(Disk *d, Io *io, bool stop, uint64_t *other)
{
    Io *more[3] = { 0 };

    if (!stop) {
        g_assert_cmpuint(io_wait(io, NULL), ==, VIRTIO_BLK_S_IOERR);
        g_assert_true(is_running(d));
        if (other) {
            bad_write_ok(d, *other, 6, 8);
            *other += 8;
        }
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(more); i++) {
        bad_stops(d, io);
        if (other) {
            more[i] = bad_write(d, VIRTIO_BLK_T_OUT, *other, 6, 8);
            *other += 8;
        }
        cont(d);
    }
    bad_stops(d, io);
    for (unsigned i = 0; other && i < ARRAY_SIZE(more); i++) {
        g_assert_cmpuint(bad_wait(d, more[i]), ==, VIRTIO_BLK_S_OK);
        g_assert_cmphex(io_status(io), ==, PENDING);
    }
}

/* A read of data makes all good, and then does @io, if it is still there. */
static void bad_heals(Disk *d, Io *io, bool stop)
{
    Io *read = io_submit(d, VIRTIO_BLK_T_IN, 3 * ZONE, 0, 4096);

    g_assert_cmpuint(bad_wait(d, read), ==, VIRTIO_BLK_S_OK);
    if (stop) {
        g_assert_cmpuint(bad_wait(d, io), ==, VIRTIO_BLK_S_OK);
    }
}

static void bad_data(bool through, bool stop, bool append)
{
    uint32_t type = append ? VIRTIO_BLK_T_ZONE_APPEND : VIRTIO_BLK_T_OUT;
    /* In sectors, as all are: below, failing, above */
    uint64_t start = FAR * ZONE, mid = append ? start : start + 32;
    uint64_t wp = 128, le = 0;
    g_autofree uint8_t *lost = g_malloc(32 * 512);
    Io *io[3];
    Disk *d;

    bad_image();
    d = bad_start(data_in_file(FAR) + 20 * 1024, NULL, through, stop);
    /* This one never comes: what is "held" is there to be removed. */
    device_io(d, "break cor_write held");
    device_io(d, "break write_aio held");
    io[0] = bad_write(d, type, start, 1, 32);
    device_io(d, "wait_break held");
    device_io(d, "break write_aio mid");
    io[1] = bad_write(d, type, mid, 2, 32);
    device_io(d, "wait_break mid");
    if (through) {
        device_io(d, "break flush_to_os top");
    }
    io[2] = bad_write(d, type, append ? start : start + 64, 3, 64);
    if (through) {
        device_io(d, "wait_break top");
    } else {
        while (io_status(io[2]) == PENDING) {
            /* It is complete above them. */
        }
    }
    /* Its zeros wait, too; both are let go at once, as a stop drains. */
    device_io(d, "break write_aio held");
    device_io(d, "resume mid");
    check_zone(d, FAR, VIRTIO_BLK_ZS_IOPEN, 128);
    g_assert_cmphex(io_status(io[0]), ==, PENDING);
    g_assert_cmphex(io_status(io[1]), ==, PENDING);
    if (!through) {
        bad_write_ok(d, ZONE, 5, 8);
        bad_write_ok(d, (FAR + 1) * ZONE, 5, 8);
    } else {
        device_io(d, "resume top");
    }
    device_io(d, "remove_break held");

    if (stop) {
        bad_stops(d, io[1]);
        g_assert_cmpuint(io_status(io[0]), ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(io_status(io[2]), ==, VIRTIO_BLK_S_OK);
        cont(d);
    }
    g_assert_cmpuint(io_wait(io[0], NULL), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(io_wait(io[2], NULL), ==, VIRTIO_BLK_S_OK);
    /* Made again, an append gets another place; a write has lost its own. */
    if (stop && append) {
        g_assert_cmpuint(io_wait(io[1], &le), ==, VIRTIO_BLK_S_OK);
        g_assert_cmpuint(le64_to_cpu(le), ==, start + wp);
        check_data(d, start + wp, 32, 2);
        wp += 32;
    } else {
        g_assert_cmpuint(io_wait(io[1], NULL), ==, stop ?
                         VIRTIO_BLK_S_ZONE_UNALIGNED_WP : VIRTIO_BLK_S_IOERR);
    }

    g_assert_true(is_running(d));
    check_zone(d, FAR, VIRTIO_BLK_ZS_IOPEN, wp);
    for (unsigned i = 0; i < 2; i++) {
        bad_write_ok(d, start + wp, 4, 8);
        wp += 8;
        bad_write_ok(d, ZONE + (through ? 0 : 8) + 8 * i, 6, 8);
        g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL,
                               0), ==, VIRTIO_BLK_S_OK);
    }
    check_data(d, start, 32, 1);
    check_data(d, start + 64, 64, 3);
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_IN, start + 32, NULL, 0, lost,
                           32 * 512), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(do_write(d, start + 32, 32), ==,
                     VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_true(is_running(d));
    disk_stop(d);

    check_image();
    d = disk_start("");
    check_zone(d, FAR, VIRTIO_BLK_ZS_CLOSED, wp);
    check_data(d, start, 32, 1);
    check_data(d, start + 64, 64, 3);
    check_data(d, start + wp - 16, 16, 4);
    check_data(d, start + wp, ZONE - wp, 0);
    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_IN, start + 32, NULL, 0, lost,
                           32 * 512), ==, VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < 32 * 512; i++) {
        g_assert_true(lost[i] == 0 || lost[i] == 0xee || lost[i] == 2);
    }
    disk_stop(d);
}

/* All ways to run a test of a bad sector */
static void bad_all(void (*test)(bool through, bool stop, bool more))
{
    for (unsigned i = 0; i < 8; i++) {
        test(i & 1, i & 2, i & 4);
    }
}

static void test_bad_data(void)
{
    bad_all(bad_data);
}

/* With a write in flight below and one above that is acknowledged */
static void bad_two_writes(Disk *d, uint64_t sector)
{
    Io *low, *top;

    device_io(d, "break write_aio low");
    low = bad_write(d, VIRTIO_BLK_T_OUT, sector, 3, 8);
    device_io(d, "wait_break low");
    top = bad_write(d, VIRTIO_BLK_T_OUT, sector + 8, 4, 8);
    g_assert_cmpuint(io_wait(top, NULL), ==, VIRTIO_BLK_S_OK);
    device_io(d, "resume low");
    g_assert_cmpuint(io_wait(low, NULL), ==, VIRTIO_BLK_S_OK);
}

static void bad_l2_write(bool through, bool stop, bool heals)
{
    uint64_t start = FAR * ZONE, next = start + ZONE, other = 2 * ZONE;
    Io *io;
    Disk *d;

    bad_image();
    d = bad_start(l2_in_file(FAR), "write", through, stop);
    /* What is mapped goes on, and can be flushed. */
    bad_write_ok(d, start, 1, 8);
    bad_write_ok(d, ZONE, 5, 8);
    io = io_submit(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
    g_assert_cmpuint(io_wait(io, NULL), ==, VIRTIO_BLK_S_OK);
    if (through) {
        /* It cannot be durable, so that it is given back. */
        io = bad_write(d, VIRTIO_BLK_T_OUT, next, 3, 8);
        bad_fails(d, io, stop, NULL);
    } else {
        bad_two_writes(d, next);
        io = io_submit(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
        bad_fails(d, io, stop, &other);
    }
    if (heals) {
        bad_heals(d, io, stop);
        if (through && !stop) {
            check_zone(d, FAR + 1, VIRTIO_BLK_ZS_IOPEN, 0);
            bad_write_ok(d, next, 3, 8);
        }
        g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL,
                               0), ==, VIRTIO_BLK_S_OK);
        check_zone(d, FAR + 1, VIRTIO_BLK_ZS_IOPEN, through ? 8 : 16);
    } else if (stop) {
        io_free(io);
    }
    disk_stop(d);

    d = disk_start("");
    check_zone(d, FAR, VIRTIO_BLK_ZS_CLOSED, 8);
    check_data(d, start, 8, 1);
    check_data(d, ZONE, 8, 5);
    if (heals) {
        check_data(d, next, 8, 3);
        check_data(d, next + 8, 8, through ? 0 : 4);
        check_zone(d, FAR + 1, VIRTIO_BLK_ZS_CLOSED, through ? 8 : 16);
    } else {
        check_zone(d, FAR + 1, VIRTIO_BLK_ZS_EMPTY, 0);
        check_data(d, next, 16, 0);
    }
    if (other > 2 * ZONE && heals) {
        check_data(d, 2 * ZONE, other - 2 * ZONE, 6);
    }
    disk_stop(d);
}

static void test_bad_l2_write(void)
{
    bad_all(bad_l2_write);
}

/* An L2 table that cannot be read: what needs it is given back. */
static void bad_l2_read(bool through, bool stop, bool heals)
{
    uint64_t start = FAR * ZONE, other = ZONE;
    uint8_t in[4096];
    Io *io;
    Disk *d;

    bad_image();
    d = bad_start(l2_in_file(FAR), "read", through, stop);
    io = bad_write(d, VIRTIO_BLK_T_OUT, start, 1, 8);
    bad_fails(d, io, stop, &other);
    if (!stop) {
        check_zone(d, FAR, VIRTIO_BLK_ZS_IOPEN, 0);
        g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL,
                               0), ==, VIRTIO_BLK_S_OK);
    }
    if (heals) {
        bad_heals(d, io, stop);
        if (!stop) {
            bad_write_ok(d, start, 1, 8);
        }
        check_zone(d, FAR, VIRTIO_BLK_ZS_IOPEN, 8);
    } else if (stop) {
        io_free(io);
    }
    disk_stop(d);

    check_image();
    d = disk_start("");
    if (heals) {
        check_zone(d, FAR, VIRTIO_BLK_ZS_CLOSED, 8);
        check_data(d, start, 8, 1);
        check_data(d, start + 8, ZONE - 8, 0);
    } else {
        check_zone(d, FAR, VIRTIO_BLK_ZS_EMPTY, 0);
        g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_IN, start, NULL, 0, in,
                               sizeof(in)), ==, VIRTIO_BLK_S_OK);
        g_assert_true(buffer_is_zero(in, sizeof(in)));
    }
    check_zone(d, 1, VIRTIO_BLK_ZS_CLOSED, other - ZONE);
    check_data(d, ZONE, other - ZONE, 6);
    disk_stop(d);
}

static void test_bad_l2_read(void)
{
    bad_all(bad_l2_read);
}

/* A block of the write-pointer table */
static void bad_table(bool through, bool stop, bool heals)
{
    uint64_t start = FAR * ZONE, next = start + ZONE, other = 2 * ZONE;
    Io *io, *more;
    Disk *d;

    bad_image();
    d = bad_start(table_in_file() + FAR * 8, "write", through, stop);
    bad_write_ok(d, ZONE, 5, 8);
    io = io_submit(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
    g_assert_cmpuint(io_wait(io, NULL), ==, VIRTIO_BLK_S_OK);
    if (through) {
        io = bad_write(d, VIRTIO_BLK_T_OUT, start, 3, 8);
    } else {
        bad_two_writes(d, start);
        io = io_submit(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
    }
    bad_fails(d, io, stop, &other);

    /* In doubt now: others of the block wait for it, or fail. */
    more = bad_write(d, VIRTIO_BLK_T_OUT, next, 7, 8);
    if (stop) {
        cont(d);
    }
    bad_fails(d, more, stop, &other);
    if (!stop) {
        g_assert_cmpuint(do_mgmt(d, VIRTIO_BLK_T_ZONE_FINISH, start), ==,
                         VIRTIO_BLK_S_IOERR);
        check_zone(d, FAR, VIRTIO_BLK_ZS_IOPEN, through ? 0 : 16);
        check_zone(d, FAR + 1, VIRTIO_BLK_ZS_IOPEN, 0);
    }
    if (heals) {
        bad_heals(d, io, stop);
        if (stop) {
            g_assert_cmpuint(bad_wait(d, more), ==, VIRTIO_BLK_S_OK);
        } else {
            bad_write_ok(d, next, 7, 8);
            if (through) {
                bad_write_ok(d, start, 3, 8);
            }
        }
        g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL,
                               0), ==, VIRTIO_BLK_S_OK);
        check_zone(d, FAR, VIRTIO_BLK_ZS_IOPEN, through ? 8 : 16);
        check_zone(d, FAR + 1, VIRTIO_BLK_ZS_IOPEN, 8);
    } else if (stop) {
        io_free(io);
        io_free(more);
    }
    disk_stop(d);

    check_image();
    d = disk_start("");
    check_zone(d, FAR, heals ? VIRTIO_BLK_ZS_CLOSED : VIRTIO_BLK_ZS_EMPTY,
               !heals ? 0 : through ? 8 : 16);
    check_zone(d, FAR + 1, heals ? VIRTIO_BLK_ZS_CLOSED : VIRTIO_BLK_ZS_EMPTY,
               heals ? 8 : 0);
    check_data(d, start, 8, heals ? 3 : 0);
    check_data(d, start + 8, 8, heals && !through ? 4 : 0);
    check_data(d, next, 8, heals ? 7 : 0);
    check_data(d, ZONE, 8, 5);
    check_zone(d, 2, VIRTIO_BLK_ZS_CLOSED, other - 2 * ZONE);
    check_data(d, 2 * ZONE, other - 2 * ZONE, 6);
    disk_stop(d);
}

static void test_bad_table(void)
{
    bad_all(bad_table);
}

const Test error_tests[] = {
    { "misplaced-does-not-stop", test_misplaced_does_not_stop },
    { "full-write", test_full_write },
    { "full-write-joined-buffers", test_full_write_joined },
    { "full-append", test_full_append },
    { "full-append-joined-buffers", test_full_append_joined },
    { "full-default-policy", test_full_default },
    { "full-report", test_full_report },
    { "full-ignore", test_full_ignore },
    { "full-queue", test_full_queue },
    { "full-reset", test_full_reset },
    { "full-migrate", test_full_migrate },
    { "host-error", test_host_error },
    { "host-flush-error", test_host_flush_error },
    { "host-sync-error", test_host_sync_error },
    { "failed-below", test_failed_below },
    { "host-error-throttled", test_host_error_throttled },
    { "bad-sector/data", test_bad_data },
    { "bad-sector/l2-table-write", test_bad_l2_write },
    { "bad-sector/l2-table-read", test_bad_l2_read },
    { "bad-sector/table-block", test_bad_table },
    { }
};
