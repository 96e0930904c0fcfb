/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small NVMe driver for the tests of zoned namespaces
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "nvme-zns-util.h"

char *tmpdir;
static uint64_t result_of_last;

uint64_t le(const void *p, unsigned bytes)
{
    uint64_t v = 0;

    while (bytes--) {
        v = v << 8 | ((const uint8_t *)p)[bytes];
    }
    return v;
}

void put_le(void *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        ((uint8_t *)p)[i] = v >> 8 * i;
    }
}

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

void image_new_opts(const char *name, const char *opts, const char *size)
{
    g_autofree char *path = image_path(name);

    unlink(path);
    run("%s create -q -f qcow2 -o %s %s %s", getenv("QTEST_QEMU_IMG"), opts,
        path, size);
}

void image_new(const Backend *b)
{
    if (b->memory) {
        g_autofree char *path = image_path("disk.img");

        unlink(path);
        run("%s create -q -f raw %s " DISK_SIZE, getenv("QTEST_QEMU_IMG"),
            path);
    } else {
        image_new_opts("disk.img", OPTS LIMITS, DISK_SIZE);
    }
}

void image_check(const Backend *b)
{
    if (!b->memory) {
        g_autofree char *path = image_path("disk.img");

        run("%s check -q -f qcow2 %s", getenv("QTEST_QEMU_IMG"), path);
    }
}

char *nodes(const Backend *b, const char *more)
{
    g_autofree char *path = image_path("disk.img");

    return g_strdup_printf("-blockdev file,node-name=proto,filename=%s%s "
                           "-blockdev %s,node-name=disk,file=proto%s",
                           path, more, b->memory ? "raw" : "qcow2", more);
}

char *namespace_cmd(const Backend *b, bool limits, const char *props)
{
    return g_strdup_printf("-device nvme,id=ctrl,serial=zns,addr=0x%x "
                           "-device nvme-ns,id=ns,nsid=1,drive=disk,"
                           "logical_block_size=%u,physical_block_size=%u"
                           "%s%s%s", SLOT, b->lba, b->lba,
                           b->memory ? ",zoned=on,zoned.zone_size=1M,"
                           "zoned.zone_capacity=768K" : "",
                           b->memory && limits ? ",zoned.max_active=3,"
                           "zoned.max_open=2" : "", props);
}

/* Registers */

enum {
    REG_CAP_HIGH = 0x04, REG_CC = 0x14, REG_CSTS = 0x1c, REG_AQA = 0x24,
    REG_ASQ = 0x28, REG_ACQ = 0x30, REG_DOORBELLS = 0x1000,
};
/* Entries of 64 and 16 bytes, all command sets that are there, enabled */
#define CC_ENABLED      (4u << 20 | 6u << 16 | 6u << 4 | 1u)

uint32_t reg_read(Ctrl *c, unsigned reg)
{
    return qpci_io_readl(c->pdev, c->bar, reg);
}

void reg_write(Ctrl *c, unsigned reg, uint32_t value)
{
    qpci_io_writel(c->pdev, c->bar, reg, value);
}

static void doorbell(Ctrl *c, unsigned q, bool completion, uint32_t value)
{
    reg_write(c, REG_DOORBELLS + (2 * q + completion) * c->stride, value);
}

static void wait_status(Ctrl *c, uint32_t mask, uint32_t value)
{
    gint64 start = g_get_monotonic_time();

    while ((reg_read(c, REG_CSTS) & mask) != value) {
        g_assert_cmpint(g_get_monotonic_time() - start, <, TIMEOUT_US);
        g_usleep(100);
    }
}

/* Queues */

static void queue_memory(Ctrl *c, unsigned q)
{
    Queue *queue = &c->q[q];

    if (!queue->sq) {
        queue->sq = guest_alloc(&c->qs->alloc, QSIZE * 64);
        queue->cq = guest_alloc(&c->qs->alloc, QSIZE * 16);
    }
    qtest_memset(c->qts, queue->cq, 0, QSIZE * 16);
    queue->tail = 0;
    queue->head = 0;
    queue->phase = true;
    queue->there = true;
}

void queue_create(Ctrl *c, unsigned q)
{
    Sqe sqe = { .dw = { ADM_CREATE_CQ } };

    queue_memory(c, q);
    sqe.dw[6] = c->q[q].cq;
    sqe.dw[10] = (QSIZE - 1) << 16 | q;
    sqe.dw[11] = 1;
    expect(admin_do(c, &sqe, 0, NULL), OK);
    sqe.dw[0] = ADM_CREATE_SQ;
    sqe.dw[6] = c->q[q].sq;
    sqe.dw[11] = q << 16 | 1;
    expect(admin_do(c, &sqe, 0, NULL), OK);
}

uint16_t queue_delete_sq(Ctrl *c, unsigned q)
{
    Sqe sqe = { .dw = { ADM_DELETE_SQ } };

    sqe.dw[10] = q;
    return admin_do(c, &sqe, 0, NULL);
}

/* Controller */

void ctrl_enable(Ctrl *c)
{
    Sqe sqe = { .dw = { ADM_SET_FEATURES } };

    queue_memory(c, 0);
    reg_write(c, REG_AQA, (QSIZE - 1) << 16 | (QSIZE - 1));
    reg_write(c, REG_ASQ, c->q[0].sq);
    reg_write(c, REG_ASQ + 4, 0);
    reg_write(c, REG_ACQ, c->q[0].cq);
    reg_write(c, REG_ACQ + 4, 0);
    reg_write(c, REG_CC, CC_ENABLED);
    wait_status(c, 3, 1);

    sqe.dw[10] = 7;
    sqe.dw[11] = (MAX_QUEUES - 2) << 16 | (MAX_QUEUES - 2);
    expect(admin_do(c, &sqe, 0, NULL), OK);
    for (unsigned q = 1; q < MAX_QUEUES; q++) {
        queue_create(c, q);
    }
}

void ctrl_forget(Ctrl *c)
{
    for (unsigned q = 0; q < MAX_QUEUES; q++) {
        for (unsigned i = 0; i < QSIZE; i++) {
            if (c->q[q].cmd[i]) {
                cmd_free(c->q[q].cmd[i]);
            }
        }
    }
}

void ctrl_disable(Ctrl *c)
{
    reg_write(c, REG_CC, CC_ENABLED & ~1u);
    wait_status(c, 1, 0);
    ctrl_forget(c);
}

void ctrl_shutdown(Ctrl *c, bool abrupt)
{
    reg_write(c, REG_CC, CC_ENABLED | (abrupt ? 2u : 1u) << 14);
    wait_status(c, 3u << 2, 2u << 2);
}

Ctrl *ctrl_boot(const Backend *b, const char *cmd)
{
    QPCIAddress addr = { .devfn = QPCI_DEVFN(SLOT, 0) };
    Ctrl *c = g_new0(Ctrl, 1);

    c->qs = qtest_pc_boot("-nodefaults %s", cmd);
    c->qts = c->qs->qts;
    c->lba = b->lba;
    c->memory = b->memory;
    c->zone = ZONE_BYTES / b->lba;
    c->cap = CAP_BYTES / b->lba;
    c->pdev = g_new0(QPCIDevice, 1);
    qpci_device_init(c->pdev, c->qs->pcibus, &addr);
    qpci_device_enable(c->pdev);
    c->bar = qpci_iomap(c->pdev, 0, NULL);
    c->stride = 4u << (reg_read(c, REG_CAP_HIGH) & 0xf);
    ctrl_enable(c);
    return c;
}

Ctrl *ctrl_start(const Backend *b, const char *props)
{
    g_autofree char *node = nodes(b, "");
    g_autofree char *ns = namespace_cmd(b, true, props);
    g_autofree char *cmd = g_strdup_printf("%s %s", node, ns);

    return ctrl_boot(b, cmd);
}

Ctrl *ctrl_new(const Backend *b, const char *props)
{
    image_new(b);
    return ctrl_start(b, props);
}

void ctrl_stop(Ctrl *c)
{
    ctrl_forget(c);
    for (unsigned q = 0; q < MAX_QUEUES; q++) {
        if (c->q[q].sq) {
            guest_free(&c->qs->alloc, c->q[q].sq);
            guest_free(&c->qs->alloc, c->q[q].cq);
        }
    }
    g_free(c->pdev);
    qtest_shutdown(c->qs);
    g_free(c);
}

/* Commands */

/* PRP entries of @len bytes at @addr, which may begin within a page */
static void set_prps(Cmd *cmd, Sqe *sqe)
{
    Ctrl *c = cmd->c;
    uint64_t next = QEMU_ALIGN_DOWN(cmd->data, PAGE) + PAGE;
    uint64_t end = cmd->data + cmd->len;

    sqe->dw[6] = cmd->data;
    sqe->dw[7] = cmd->data >> 32;
    if (end > next + PAGE) {
        unsigned nr = DIV_ROUND_UP(end - next, PAGE);
        g_autofree uint64_t *list = g_new(uint64_t, nr);

        g_assert_cmpuint(nr, <=, PAGE / 8);
        for (unsigned i = 0; i < nr; i++) {
            list[i] = cpu_to_le64(next + i * PAGE);
        }
        cmd->list = guest_alloc(&c->qs->alloc, PAGE);
        qtest_memwrite(c->qts, cmd->list, list, nr * 8);
        next = cmd->list;
    } else if (end <= next) {
        next = 0;
    }
    sqe->dw[8] = next;
    sqe->dw[9] = next >> 32;
}

Cmd *cmd_put_byte(Ctrl *c, unsigned q, const Sqe *given, const void *out,
                  uint8_t byte, size_t len)
{
    Queue *queue = &c->q[q];
    Cmd *cmd = g_new0(Cmd, 1);
    Sqe sqe = *given;
    unsigned cid = 0;

    while (queue->cmd[cid]) {
        cid++;
        g_assert_cmpuint(cid, <, QSIZE);
    }
    queue->cmd[cid] = cmd;
    cmd->c = c;
    cmd->q = q;
    cmd->cid = cid;
    cmd->len = len;
    if (len) {
        cmd->mem = guest_alloc(&c->qs->alloc, len + c->offset + GUARD);
        cmd->data = cmd->mem + c->offset;
        if (out) {
            qtest_bufwrite(c->qts, cmd->data, out, len);
        } else {
            qtest_memset(c->qts, cmd->data, byte, len);
        }
        qtest_memset(c->qts, cmd->data + len, POISON, GUARD);
        set_prps(cmd, &sqe);
    }
    sqe.dw[0] |= cid << 16;
    for (unsigned i = 0; i < 16; i++) {
        sqe.dw[i] = cpu_to_le32(sqe.dw[i]);
    }
    qtest_memwrite(c->qts, queue->sq + queue->tail * 64, &sqe, 64);
    queue->tail = (queue->tail + 1) % QSIZE;
    return cmd;
}

Cmd *cmd_put(Ctrl *c, unsigned q, const Sqe *sqe, const void *out, size_t len)
{
    return cmd_put_byte(c, q, sqe, out, POISON, len);
}

void ring(Ctrl *c, unsigned q)
{
    doorbell(c, q, false, c->q[q].tail);
}

void poll_queue(Ctrl *c, unsigned q)
{
    Queue *queue = &c->q[q];
    bool any = false;

    for (;;) {
        uint8_t cqe[16];
        uint16_t status;
        Cmd *cmd;

        qtest_memread(c->qts, queue->cq + queue->head * 16, cqe, 16);
        status = le(cqe + 14, 2);
        if ((status & 1) != queue->phase) {
            break;
        }
        g_assert_cmpuint(le(cqe + 10, 2), ==, q);
        g_assert_cmpuint(le(cqe + 12, 2), <, QSIZE);
        /* Each command is answered once */
        cmd = queue->cmd[le(cqe + 12, 2)];
        g_assert_nonnull(cmd);
        g_assert_false(cmd->done);
        cmd->done = true;
        cmd->status = status >> 1 & 0x7ff;
        cmd->dnr = status >> 15;
        cmd->result = le(cqe, 8);
        queue->head = (queue->head + 1) % QSIZE;
        queue->phase ^= queue->head == 0;
        any = true;
    }
    if (any) {
        doorbell(c, q, true, queue->head);
    }
}

uint16_t cmd_wait(Cmd *cmd, void *in)
{
    Ctrl *c = cmd->c;
    gint64 start = g_get_monotonic_time();

    while (!cmd->done) {
        poll_queue(c, cmd->q);
        g_assert_cmpint(g_get_monotonic_time() - start, <, TIMEOUT_US);
    }
    result_of_last = cmd->result;
    if (cmd->len) {
        uint8_t guard[GUARD];

        qtest_bufread(c->qts, cmd->data + cmd->len, guard, GUARD);
        for (unsigned i = 0; i < GUARD; i++) {
            g_assert_cmphex(guard[i], ==, POISON);
        }
        if (in) {
            qtest_bufread(c->qts, cmd->data, in, cmd->len);
        }
    }
    return cmd->status;
}

void cmd_free(Cmd *cmd)
{
    Ctrl *c = cmd->c;

    c->q[cmd->q].cmd[cmd->cid] = NULL;
    if (cmd->mem) {
        guest_free(&c->qs->alloc, cmd->mem);
    }
    if (cmd->list) {
        guest_free(&c->qs->alloc, cmd->list);
    }
    g_free(cmd);
}

uint16_t cmd_finish(Cmd *cmd, void *in)
{
    uint16_t status = cmd_wait(cmd, in);

    cmd_free(cmd);
    return status;
}

uint16_t io_do(Ctrl *c, const Sqe *sqe, const void *out, size_t len, void *in)
{
    Cmd *cmd = cmd_put(c, 1, sqe, out, len);

    ring(c, 1);
    return cmd_finish(cmd, in);
}

uint16_t admin_do(Ctrl *c, const Sqe *sqe, size_t len, void *in)
{
    Cmd *cmd = cmd_put(c, 0, sqe, NULL, len);

    ring(c, 0);
    return cmd_finish(cmd, in);
}

uint64_t last_result(void)
{
    return result_of_last;
}

Sqe sqe_rw(uint8_t opcode, uint64_t slba, unsigned nlb)
{
    return (Sqe) { .dw = {
        [0] = opcode, [1] = 1, [10] = slba, [11] = slba >> 32,
        [12] = nlb - 1,
    } };
}

Sqe sqe_mgmt(uint64_t slba, uint8_t zsa, bool all)
{
    return (Sqe) { .dw = {
        [0] = IO_MGMT_SEND, [1] = 1, [10] = slba, [11] = slba >> 32,
        [13] = zsa | all << 8,
    } };
}

Sqe sqe_report(uint64_t slba, uint8_t zra, uint8_t filter, bool partial,
               uint32_t bytes)
{
    return (Sqe) { .dw = {
        [0] = IO_MGMT_RECV, [1] = 1, [10] = slba, [11] = slba >> 32,
        [12] = bytes / 4 - 1, [13] = zra | filter << 8 | partial << 16,
    } };
}

Sqe sqe_identify(uint8_t cns, uint8_t csi, uint32_t nsid)
{
    return (Sqe) { .dw = {
        [0] = ADM_IDENTIFY, [1] = nsid, [10] = cns, [11] = csi << 24,
    } };
}

Cmd *put_write(Ctrl *c, unsigned q, uint64_t slba, unsigned nlb, uint8_t byte)
{
    Sqe sqe = sqe_rw(IO_WRITE, slba, nlb);

    return cmd_put_byte(c, q, &sqe, NULL, byte, (size_t)nlb * c->lba);
}

Cmd *put_append(Ctrl *c, unsigned q, uint64_t slba, unsigned nlb, uint8_t byte)
{
    Sqe sqe = sqe_rw(IO_APPEND, slba, nlb);

    return cmd_put_byte(c, q, &sqe, NULL, byte, (size_t)nlb * c->lba);
}

uint16_t do_write_byte(Ctrl *c, uint64_t slba, unsigned nlb, uint8_t byte)
{
    Cmd *cmd = put_write(c, 1, slba, nlb, byte);

    ring(c, 1);
    return cmd_finish(cmd, NULL);
}

uint16_t do_write(Ctrl *c, uint64_t slba, unsigned nlb)
{
    return do_write_byte(c, slba, nlb, 0x5a);
}

uint16_t do_append(Ctrl *c, uint64_t slba, unsigned nlb, uint64_t *where)
{
    Cmd *cmd = put_append(c, 1, slba, nlb, 0x5b);
    uint16_t status;

    ring(c, 1);
    status = cmd_wait(cmd, NULL);
    if (where) {
        *where = cmd->result;
    }
    cmd_free(cmd);
    return status;
}

uint16_t do_read(Ctrl *c, uint64_t slba, unsigned nlb, void *buf)
{
    Sqe sqe = sqe_rw(IO_READ, slba, nlb);

    return io_do(c, &sqe, NULL, (size_t)nlb * c->lba, buf);
}

uint16_t do_simple(Ctrl *c, uint8_t opcode, uint64_t slba, unsigned nlb)
{
    Sqe sqe = sqe_rw(opcode, slba, nlb);

    return io_do(c, &sqe, NULL, 0, NULL);
}

uint16_t do_mgmt(Ctrl *c, uint64_t slba, uint8_t zsa)
{
    Sqe sqe = sqe_mgmt(slba, zsa, false);

    return io_do(c, &sqe, NULL, 0, NULL);
}

uint16_t do_all(Ctrl *c, uint8_t zsa)
{
    Sqe sqe = sqe_mgmt(0, zsa, true);

    return io_do(c, &sqe, NULL, 0, NULL);
}

uint16_t do_flush(Ctrl *c)
{
    Sqe sqe = { .dw = { IO_FLUSH, 1 } };

    return io_do(c, &sqe, NULL, 0, NULL);
}

uint64_t do_report(Ctrl *c, uint64_t slba, uint8_t filter, bool partial,
                   unsigned max, Zone *zones, unsigned *got)
{
    size_t len = 64 + 64 * max;
    g_autofree uint8_t *buf = g_malloc(len);
    Sqe sqe = sqe_report(slba, 0, filter, partial, len);
    uint64_t nr;

    expect(io_do(c, &sqe, NULL, len, buf), OK);
    nr = le(buf, 8);
    *got = MIN(nr, max);
    for (unsigned i = 8; i < 64; i++) {
        g_assert_cmphex(buf[i], ==, 0);
    }
    for (unsigned i = 0; i < *got; i++) {
        const uint8_t *d = buf + 64 + 64 * i;

        zones[i] = (Zone) {
            .type = d[0] & 0xf, .state = d[1] >> 4, .attributes = d[2],
            .cap = le(d + 8, 8), .start = le(d + 16, 8), .wp = le(d + 24, 8),
        };
        g_assert_cmphex(d[0] >> 4, ==, 0);
        g_assert_cmphex(d[1] & 0xf, ==, 0);
        g_assert_cmphex(le(d + 3, 5), ==, 0);
        for (unsigned j = 32; j < 64; j++) {
            g_assert_cmphex(d[j], ==, 0);
        }
    }
    return nr;
}

uint64_t zslba(Ctrl *c, unsigned i)
{
    return (uint64_t)i * c->zone;
}

void check_zone(Ctrl *c, unsigned i, uint8_t state, unsigned wp)
{
    unsigned got;
    Zone z;

    do_report(c, zslba(c, i), F_ALL, true, 1, &z, &got);
    g_assert_cmpuint(got, ==, 1);
    g_assert_cmpuint(z.start, ==, zslba(c, i));
    g_assert_cmphex(z.state, ==, state);
    /* That of a full zone has no meaning */
    if (state != ZS_FULL) {
        g_assert_cmpuint(z.wp, ==, zslba(c, i) + wp);
    }
}

void check_state(Ctrl *c, unsigned i, uint8_t state)
{
    unsigned got;
    Zone z;

    do_report(c, zslba(c, i), F_ALL, true, 1, &z, &got);
    g_assert_cmphex(z.state, ==, state);
}

void check_data(Ctrl *c, uint64_t slba, unsigned nlb, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc((size_t)nlb * c->lba);

    expect(do_read(c, slba, nlb, buf), OK);
    for (size_t i = 0; i < (size_t)nlb * c->lba; i++) {
        g_assert_cmphex(buf[i], ==, byte);
    }
}
