/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images, devices and requests for the tests of zoned virtio-blk
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "virtio-blk-zoned-util.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_ring.h"

char *tmpdir;

/* Images and command lines */

char *image_path(const char *name)
{
    return g_strdup_printf("%s/%s", tmpdir, name);
}

void run(const char *fmt, ...)
{
    g_autofree char *cmd = NULL;
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status;
    va_list ap;

    va_start(ap, fmt);
    cmd = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (!g_spawn_command_line_sync(cmd, &out, &err, &status, NULL) ||
        status != 0) {
        g_test_message("%s: %s%s", cmd, out, err);
        g_assert_not_reached();
    }
}

void image_new_opts(const char *name, const char *opts,
                    const char *size)
{
    g_autofree char *path = image_path(name);

    unlink(path);
    run("%s create -q -f qcow2 -o %s %s %s", getenv("QTEST_QEMU_IMG"), opts,
        path, size);
}

void image_new(void)
{
    image_new_opts("disk.qcow2", OPTS, DISK_SIZE);
}

/* The usual two nodes: 'proto' and on top of it 'disk' */
char *nodes(const char *more)
{
    g_autofree char *path = image_path("disk.qcow2");

    return g_strdup_printf("-blockdev file,node-name=proto,filename=%s%s "
                           "-blockdev qcow2,node-name=disk,file=proto%s",
                           path, more, more);
}

/* Device */

static void disk_attach(Disk *d)
{
    QPCIAddress addr = { .devfn = QPCI_DEVFN(SLOT, 0) };

    d->dev = virtio_pci_new(d->qs->pcibus, &addr);
    g_assert_nonnull(d->dev);
    d->vdev = &d->dev->vdev;
    qvirtio_pci_device_enable(d->dev);
    qvirtio_start_device(d->vdev);
}

uint64_t disk_features(Disk *d)
{
    return qvirtio_get_features(d->vdev) &
           ~(QVIRTIO_F_BAD_FEATURE | (1ull << VIRTIO_RING_F_INDIRECT_DESC) |
             (1ull << VIRTIO_RING_F_EVENT_IDX) | (1ull << VIRTIO_BLK_F_SCSI));
}

void disk_setup_queues(Disk *d, unsigned nvqs)
{
    d->nvqs = nvqs;
    for (unsigned i = 0; i < nvqs; i++) {
        d->vq[i] = qvirtqueue_setup(d->vdev, &d->qs->alloc, i);
    }
}

void disk_setup(Disk *d, unsigned nvqs, uint64_t without)
{
    qvirtio_set_features(d->vdev, disk_features(d) & ~without);
    disk_setup_queues(d, nvqs);
    qvirtio_set_driver_ok(d->vdev);
}

void disk_cleanup_queues(Disk *d)
{
    for (unsigned i = 0; i < d->nvqs; i++) {
        qvirtqueue_cleanup(d->vdev->bus, d->vq[i], &d->qs->alloc);
    }
    d->nvqs = 0;
}

void disk_reset(Disk *d)
{
    disk_cleanup_queues(d);
    qvirtio_reset(d->vdev);
    qvirtio_set_acknowledge(d->vdev);
    qvirtio_set_driver(d->vdev);
}

void disk_restart(Disk *d, uint64_t without)
{
    unsigned nvqs = d->nvqs;

    disk_reset(d);
    disk_setup(d, nvqs, without);
}

Disk *disk_boot(const char *cmd)
{
    Disk *d = g_new0(Disk, 1);

    d->qs = qtest_pc_boot("-nodefaults %s", cmd);
    d->qts = d->qs->qts;
    disk_attach(d);
    return d;
}

Disk *disk_start_cmd(const char *cmd, const char *props)
{
    g_autofree char *all =
        g_strdup_printf("%s -device virtio-blk-pci,id=vd,drive=disk,"
                        "addr=0x%x%s", cmd, SLOT, props);

    return disk_boot(all);
}

Disk *disk_start(const char *props)
{
    g_autofree char *cmd = nodes("");
    Disk *d = disk_start_cmd(cmd, props);

    disk_setup(d, 1, 0);
    return d;
}

Disk *disk_start_faulty(const char *event, const char *iotype, int error,
                        bool once, const char *props)
{
    g_autofree char *path = image_path("disk.qcow2");
    g_autofree char *cmd = g_strdup_printf(
        "-blockdev file,node-name=proto,filename=%s "
        "-blockdev blkdebug,node-name=dbg,image=proto,"
        "inject-error.0.event=%s,inject-error.0.iotype=%s,"
        "inject-error.0.errno=%d,inject-error.0.once=%s "
        "-blockdev qcow2,node-name=disk,file=dbg", path, event, iotype,
        error, once ? "on" : "off");
    Disk *d;

    image_new();
    d = disk_start_cmd(cmd, props);
    disk_setup(d, 1, 0);
    return d;
}

static void disk_free(Disk *d)
{
    g_free(d->dev->pdev);
    g_free(d->dev);
    d->dev = NULL;
}

void disk_reattach(Disk *d)
{
    disk_free(d);
    disk_attach(d);
}

void disk_stop(Disk *d)
{
    disk_cleanup_queues(d);
    disk_free(d);
    qtest_shutdown(d->qs);
    g_free(d);
}

/* Requests */

static void add_chopped(Disk *d, QVirtQueue *vq, uint64_t addr, size_t len,
                        bool write, bool more, size_t first)
{
    size_t piece = first;

    while (len) {
        size_t n = MIN(piece, len);

        len -= n;
        qvirtqueue_add(d->qts, vq, addr, n, write, len || more);
        addr += n;
        piece = 1021;
    }
}

/*
 * Put a request with @out_len bytes of data out, or if @out is NULL that many
 * zeroes, and room for @in_len bytes of data in into the ring.
 */
Io *io_queue_raw(Disk *d, unsigned q, Layout layout, uint32_t type,
                 uint64_t sector, const void *out, size_t out_len,
                 size_t in_len, bool queue_only)
{
    QVirtQueue *vq = d->vq[q];
    struct virtio_blk_outhdr hdr = {
        .type = cpu_to_le32(type),
        .ioprio = cpu_to_le32(1),
        .sector = cpu_to_le64(sector),
    };
    Io *io = g_new0(Io, 1);
    uint32_t head = vq->free_head;
    uint16_t idx;

    io->d = d;
    io->in_len = in_len;
    io->addr = guest_alloc(&d->qs->alloc, sizeof(hdr) + out_len);
    io->in = guest_alloc(&d->qs->alloc, in_len + 1);
    qtest_memwrite(d->qts, io->addr, &hdr, sizeof(hdr));
    if (out) {
        qtest_bufwrite(d->qts, io->addr + sizeof(hdr), out, out_len);
    } else if (out_len) {
        qtest_memset(d->qts, io->addr + sizeof(hdr), 0, out_len);
    }
    if (in_len) {
        qtest_memset(d->qts, io->in, POISON, in_len);
    }
    qtest_writeb(d->qts, io->in + in_len, PENDING);

    switch (layout) {
    case SPLIT:
        qvirtqueue_add(d->qts, vq, io->addr, sizeof(hdr), false, true);
        if (out_len) {
            qvirtqueue_add(d->qts, vq, io->addr + sizeof(hdr), out_len, false,
                           true);
        }
        if (in_len) {
            qvirtqueue_add(d->qts, vq, io->in, in_len, true, true);
        }
        qvirtqueue_add(d->qts, vq, io->in + in_len, 1, true, false);
        break;
    case JOINED:
        qvirtqueue_add(d->qts, vq, io->addr, sizeof(hdr) + out_len, false,
                       true);
        qvirtqueue_add(d->qts, vq, io->in, in_len + 1, true, false);
        break;
    case CHOPPED:
        add_chopped(d, vq, io->addr, sizeof(hdr) + out_len, false, true, 7);
        add_chopped(d, vq, io->in, in_len + 1, true, false, 3);
        break;
    }

    if (queue_only) {
        idx = qtest_readw(d->qts, vq->avail + 2);
        qtest_writew(d->qts, vq->avail + 4 + 2 * (idx % vq->size), head);
        qtest_writew(d->qts, vq->avail + 2, idx + 1);
    } else {
        qvirtqueue_kick(d->qts, d->vdev, vq, head);
    }
    return io;
}

Io *io_submit(Disk *d, uint32_t type, uint64_t sector, size_t out_len,
              size_t in_len)
{
    return io_queue_raw(d, 0, SPLIT, type, sector, NULL, out_len, in_len,
                        false);
}

/* In the ring, but the device is told only by ring() */
Io *io_queue(Disk *d, uint32_t type, uint64_t sector, size_t out_len,
             size_t in_len)
{
    return io_queue_raw(d, 0, SPLIT, type, sector, NULL, out_len, in_len,
                        true);
}

void ring(Disk *d)
{
    d->vdev->bus->virtqueue_kick(d->vdev, d->vq[0]);
}

uint8_t io_status(Io *io)
{
    return qtest_readb(io->d->qts, io->in + io->in_len);
}

void io_free(Io *io)
{
    guest_free(&io->d->qs->alloc, io->addr);
    guest_free(&io->d->qs->alloc, io->in);
    g_free(io);
}

uint8_t io_wait(Io *io, void *in)
{
    gint64 start = g_get_monotonic_time();
    uint8_t status;

    while ((status = io_status(io)) == PENDING) {
        g_assert_cmpint(g_get_monotonic_time() - start, <, TIMEOUT_US);
    }
    if (in && io->in_len) {
        qtest_bufread(io->d->qts, io->in, in, io->in_len);
    }
    io_free(io);
    return status;
}

/* A request by itself */
uint8_t io_do(Disk *d, Layout layout, uint32_t type, uint64_t sector,
              const void *out, size_t out_len, void *in, size_t in_len)
{
    qvirtqueue_reset_pool(d->vq[0]);
    return io_wait(io_queue_raw(d, 0, layout, type, sector, out, out_len,
                                in_len, false), in);
}

uint8_t io_do_long(Disk *d, uint32_t type, uint64_t sector, uint64_t out_len,
                   uint64_t in_len)
{
    const size_t piece = 16 * 1024 * 1024;
    QVirtQueue *vq = d->vq[0];
    struct virtio_blk_outhdr hdr = {
        .type = cpu_to_le32(type),
        .sector = cpu_to_le64(sector),
    };
    uint64_t data = guest_alloc(&d->qs->alloc, piece);
    Io *io = g_new0(Io, 1);
    uint32_t head;

    io->d = d;
    io->addr = guest_alloc(&d->qs->alloc, sizeof(hdr));
    io->in_len = out_len ? 8 : 0;
    io->in = guest_alloc(&d->qs->alloc, io->in_len + 1);
    qtest_memwrite(d->qts, io->addr, &hdr, sizeof(hdr));
    qtest_memset(d->qts, data, 0, piece);
    qtest_writeb(d->qts, io->in + io->in_len, PENDING);

    qvirtqueue_reset_pool(vq);
    head = qvirtqueue_add(d->qts, vq, io->addr, sizeof(hdr), false, true);
    for (uint64_t left = out_len + in_len; left; left -= MIN(left, piece)) {
        qvirtqueue_add(d->qts, vq, data, MIN(left, piece), in_len, true);
    }
    qvirtqueue_add(d->qts, vq, io->in, io->in_len + 1, true, false);
    qvirtqueue_kick(d->qts, d->vdev, vq, head);
    guest_free(&d->qs->alloc, data);
    return io_wait(io, NULL);
}

uint8_t do_mgmt(Disk *d, uint32_t type, uint64_t sector)
{
    return io_do(d, SPLIT, type, sector, NULL, 0, NULL, 0);
}

uint8_t do_write(Disk *d, uint64_t sector, unsigned sectors)
{
    return io_do(d, SPLIT, VIRTIO_BLK_T_OUT, sector, NULL, sectors * 512,
                 NULL, 0);
}

uint8_t do_append(Disk *d, uint64_t sector, unsigned sectors,
                  uint64_t *where)
{
    uint64_t le = 0;
    uint8_t ret = io_do(d, SPLIT, VIRTIO_BLK_T_ZONE_APPEND, sector, NULL,
                        sectors * 512, &le, sizeof(le));

    if (where) {
        *where = le64_to_cpu(le);
    }
    return ret;
}

void check_append_fails(Disk *d, uint64_t sector, size_t out_len,
                        size_t in_len, uint8_t status)
{
    uint8_t in[64];

    for (Layout layout = SPLIT; layout <= CHOPPED; layout++) {
        memset(in, POISON, sizeof(in));
        g_assert_cmpuint(io_do(d, layout, VIRTIO_BLK_T_ZONE_APPEND, sector,
                               NULL, out_len, in, in_len), ==, status);
        /* append_sector is written on success only */
        for (unsigned i = 0; i < sizeof(in); i++) {
            g_assert_cmphex(in[i], ==, POISON);
        }
    }
}

size_t report_len(unsigned nr)
{
    return sizeof(struct virtio_blk_zone_report) + nr * sizeof(Zone);
}

/* At most @max zones, decoded; returns how many */
unsigned do_report_layout(Disk *d, Layout layout, uint64_t sector,
                          unsigned max, Zone *zones)
{
    g_autofree struct virtio_blk_zone_report *r = g_malloc(report_len(max));
    uint64_t nr;

    g_assert_cmpuint(io_do(d, layout, VIRTIO_BLK_T_ZONE_REPORT, sector,
                           NULL, 0, r, report_len(max)), ==, VIRTIO_BLK_S_OK);
    nr = le64_to_cpu(r->nr_zones);
    g_assert_cmpuint(nr, <=, max);
    for (unsigned i = 0; i < sizeof(r->reserved); i++) {
        g_assert_cmphex(r->reserved[i], ==, 0);
    }
    for (unsigned i = 0; i < nr; i++) {
        zones[i] = r->zones[i];
        zones[i].z_cap = le64_to_cpu(r->zones[i].z_cap);
        zones[i].z_start = le64_to_cpu(r->zones[i].z_start);
        zones[i].z_wp = le64_to_cpu(r->zones[i].z_wp);
        for (unsigned j = 0; j < sizeof(zones[i].reserved); j++) {
            g_assert_cmphex(zones[i].reserved[j], ==, 0);
        }
    }
    /* Nothing behind the last descriptor is touched. */
    for (uint8_t *p = (uint8_t *)&r->zones[nr];
         p < (uint8_t *)r + report_len(max); p++) {
        g_assert_cmphex(*p, ==, POISON);
    }
    return nr;
}

unsigned do_report(Disk *d, uint64_t sector, unsigned max, Zone *zones)
{
    return do_report_layout(d, SPLIT, sector, max, zones);
}

/* Zone @i has @state and its write pointer is @wp sectors into it */
void check_zone(Disk *d, unsigned i, uint8_t state, unsigned wp)
{
    Zone z;

    g_assert_cmpuint(do_report(d, i * ZONE, 1, &z), ==, 1);
    g_assert_cmpuint(z.z_start, ==, i * ZONE);
    g_assert_cmpuint(z.z_state, ==, state);
    g_assert_cmpuint(z.z_wp, ==, i * ZONE + wp);
}

void check_data(Disk *d, uint64_t sector, unsigned sectors,
                uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(sectors * 512);

    g_assert_cmpuint(io_do(d, SPLIT, VIRTIO_BLK_T_IN, sector, NULL, 0, buf,
                           sectors * 512), ==, VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < sectors * 512; i++) {
        g_assert_cmphex(buf[i], ==, byte);
    }
}

bool is_running(Disk *d)
{
    QDict *r = qtest_qmp(d->qts, "{'execute': 'query-status'}");
    bool running = qdict_get_bool(qdict_get_qdict(r, "return"), "running");

    qobject_unref(r);
    return running;
}

/* Its requests need not be drained. */
void device_io(Disk *d, const char *cmd)
{
    g_free(qtest_hmp(d->qts, "qemu-io -d /machine/peripheral/vd/virtio-backend "
                     "\"%s\"", cmd));
}

void disk_throttle(Disk *d, int64_t iops)
{
    qtest_qmp_assert_success(
        d->qts, "{'execute': 'block_set_io_throttle', 'arguments': {"
        "'id': '/machine/peripheral/vd/virtio-backend', 'bps': 0, 'bps_rd': 0,"
        "'bps_wr': 0, 'iops': 0, 'iops_rd': 0, 'iops_wr': %" PRId64 "}}", iops);
}

void cont(Disk *d)
{
    qtest_qmp_assert_success(d->qts, "{'execute': 'cont'}");
}

int64_t blockstat(Disk *d, const char *name)
{
    QDict *r = qtest_qmp(d->qts, "{'execute': 'query-blockstats'}");
    QList *l = qdict_get_qlist(r, "return");
    QDict *e = qobject_to(QDict, qlist_peek(l));
    int64_t v = qdict_get_int(qdict_get_qdict(e, "stats"), name);

    qobject_unref(r);
    return v;
}

char *full_nodes(bool full)
{
    g_autofree char *path = image_path("disk.qcow2");
    struct stat st;
    static off_t size;

    g_assert_cmpint(stat(path, &st), ==, 0);
    if (st.st_size != ROOM) {
        size = QEMU_ALIGN_UP(st.st_size, 512);
        g_assert_cmpint(truncate(path, ROOM), ==, 0);
    }
    return g_strdup_printf("-blockdev file,node-name=proto,filename=%s "
                           "-blockdev raw,node-name=full,file=proto,size=%"
                           PRId64 " "
                           "-blockdev qcow2,node-name=disk,file=full",
                           path, full ? (int64_t)size : (int64_t)ROOM);
}

void room_made(Disk *d)
{
    qtest_qmp_assert_success(d->qts,
        "{'execute': 'blockdev-reopen', 'arguments': {'options': [{"
        "'driver': 'raw', 'node-name': 'full', 'file': 'proto',"
        "'size': %d}]}}", ROOM);
}

Disk *full_start(const char *props)
{
    g_autofree char *cmd = NULL;
    Disk *d;

    image_new();
    cmd = full_nodes(true);
    d = disk_start_cmd(cmd, props);
    disk_setup(d, 1, 0);
    return d;
}

void wait_migrated(QTestState *qts)
{
    gint64 start = g_get_monotonic_time();
    bool done;

    do {
        QDict *r = qtest_qmp(qts, "{'execute': 'query-migrate'}");
        const char *status =
            qdict_get_try_str(qdict_get_qdict(r, "return"), "status");

        g_assert_cmpstr(status, !=, "failed");
        done = !g_strcmp0(status, "completed");
        qobject_unref(r);
        g_assert_cmpint(g_get_monotonic_time() - start, <, TIMEOUT_US);
    } while (!done);
}

void check_image(void)
{
    g_autofree char *path = image_path("disk.qcow2");

    run("%s check -q -f qcow2 %s", getenv("QTEST_QEMU_IMG"), path);
}

Disk *mq_start(const char *nodes_cmd, const char *werror)
{
    g_autofree char *cmd = NULL;
    Disk *d;

    cmd = g_strdup_printf("-object iothread,id=t0 -object iothread,id=t1 %s "
                          "-device '{\"driver\":\"virtio-blk-pci\","
                          "\"id\":\"vd\",\"drive\":\"disk\","
                          "\"addr\":\"0x%x\",\"num-queues\":%d,"
                          "\"werror\":\"%s\","
                          "\"iothread-vq-mapping\":"
                          "[{\"iothread\":\"t0\"},{\"iothread\":\"t1\"}]}'",
                          nodes_cmd, SLOT, MAX_QUEUES, werror);
    d = disk_boot(cmd);
    disk_setup(d, MAX_QUEUES, 0);
    return d;
}
