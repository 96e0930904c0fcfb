/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk on a zoned qcow2 image whose host fails: werror=, and what is made
 * again when the guest goes on
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
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
    { }
};
