/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NVMe zoned namespaces: data, commands that do not belong, and chance
 */
#include "qemu/osdep.h"
#include "nvme-zns-util.h"

/* Something is in zone 0 */
static void make_written(Ctrl *c)
{
    expect(do_write(c, 0, 8), OK);
}

/* Reads */

static void test_read(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    uint64_t z = zslba(c, 2);
    unsigned cap = c->cap, zone = c->zone;

    expect(do_write(c, z, 16), OK);
    /* Above the write pointer nothing was written */
    check_data(c, z, 16, 0x5a);
    check_data(c, z + 16, 16, 0);
    check_data(c, z + cap - 1, 1, 0);
    /* Between the capacity and the next zone there are blocks, too */
    check_data(c, z + cap - 4, 8, 0);
    check_data(c, z + cap, 4, 0);
    check_data(c, z + zone - 1, 1, 0);
    /* Not over the end of a zone */
    expect(do_read(c, z + zone - 1, 2, NULL), ZONE_BOUNDARY);
    expect(do_read(c, z - 1, 2, NULL), ZONE_BOUNDARY);
    if (!c->memory) {
        /* In memory only reads are checked for this */
        expect(do_simple(c, IO_VERIFY, z + zone - 1, 2), ZONE_BOUNDARY);
    }
    expect(do_simple(c, IO_VERIFY, z, 16), OK);
    expect(do_simple(c, IO_VERIFY, z + zone - 2, 2), OK);
    /* What a reset took away is gone */
    expect(do_mgmt(c, z, ZSA_RESET), OK);
    if (!c->memory) {
        check_data(c, z, 16, 0);
    }
    /* What a finish did not write is not there */
    expect(do_write_byte(c, z, 4, 0x11), OK);
    expect(do_mgmt(c, z, ZSA_FINISH), OK);
    check_data(c, z, 4, 0x11);
    if (!c->memory) {
        /* In memory these are the blocks from before the reset */
        check_data(c, z + 4, 12, 0);
    }
    check_data(c, z + cap - 4, 4, 0);
    ctrl_stop(c);
}

static void test_cross_read(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, ",zoned.cross_read=on");
    g_autofree uint8_t *d = g_malloc(8 * PAGE);
    Sqe sqe = sqe_identify(0x05, 2, 1);
    uint64_t z = zslba(c, 2);

    expect(admin_do(c, &sqe, PAGE, d), OK);
    g_assert_cmphex(le(d + 2, 2), ==, 1);
    expect(do_write(c, z, 4), OK);
    check_data(c, z - 4, 4, 0);
    expect(do_read(c, z - 4, 8, d), OK);
    check_data(c, z, 4, 0x5a);
    expect(do_simple(c, IO_VERIFY, z - 4, 8), OK);
    /* Writes still do not */
    expect(do_write(c, z + 4, 2), OK);
    expect(do_simple(c, IO_WRITE_ZEROES, z + 6, c->zone), ZONE_BOUNDARY);
    /* Nor does it go past the end */
    expect(do_read(c, zslba(c, NR_ZONES) - 1, 2, NULL), LBA_RANGE);
    expect(do_read(c, zslba(c, NR_ZONES) - 4, 4, NULL), OK);
    ctrl_stop(c);
}

static void test_compare(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    size_t len = 8 * c->lba;
    g_autofree uint8_t *data = g_malloc(2 * len);
    uint64_t z = zslba(c, 1);
    Sqe sqe = sqe_rw(IO_COMPARE, z, 8);

    memset(data, 0x5a, len);
    memset(data + len, 0, len);
    expect(do_write(c, z, 8), OK);
    expect(io_do(c, &sqe, data, len, NULL), OK);
    data[len - 1] ^= 1;
    expect(io_do(c, &sqe, data, len, NULL), COMPARE_FAILURE);
    data[len - 1] ^= 1;
    sqe = sqe_rw(IO_COMPARE, z, 16);
    expect(io_do(c, &sqe, data, 2 * len, NULL), OK);
    if (!c->memory) {
        /* In memory only reads are checked for this */
        sqe = sqe_rw(IO_COMPARE, z + c->zone - 4, 8);
        expect(io_do(c, &sqe, data, len, NULL), ZONE_BOUNDARY);
    }
    check_zone(c, 1, ZS_IO, 8);
    ctrl_stop(c);
}

/* Copy */

typedef struct Range {
    uint64_t from;
    unsigned nlb;
} Range;

static uint16_t do_copy(Ctrl *c, uint64_t to, const Range *r, unsigned nr)
{
    g_autofree uint8_t *ranges = g_malloc0(32 * nr);
    Sqe sqe = { .dw = {
        [0] = IO_COPY, [1] = 1, [10] = to, [11] = to >> 32, [12] = nr - 1,
    } };

    for (unsigned i = 0; i < nr; i++) {
        put_le(ranges + 32 * i + 8, r[i].from, 8);
        put_le(ranges + 32 * i + 16, r[i].nlb - 1, 2);
    }
    return io_do(c, &sqe, ranges, 32 * nr, NULL);
}

static void test_copy(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    uint64_t z0 = zslba(c, 0), z1 = zslba(c, 1), nsze = zslba(c, NR_ZONES);
    Range r[4] = { { z0, 4 }, { z0 + 8, 2 }, { z0 + 4, 4 }, { z0 + 64, 4 } };

    expect(do_write_byte(c, z0, 4, 1), OK);
    expect(do_write_byte(c, z0 + 4, 4, 2), OK);
    expect(do_write_byte(c, z0 + 8, 4, 3), OK);
    expect(do_copy(c, z1, r, 4), OK);
    check_data(c, z1, 4, 1);
    check_data(c, z1 + 4, 2, 3);
    check_data(c, z1 + 6, 4, 2);
    check_data(c, z1 + 10, 4, 0);
    check_zone(c, 1, ZS_IO, 14);
    /* Within one zone */
    expect(do_copy(c, z1 + 14, (Range[]) { { z1, 4 } }, 1), OK);
    check_data(c, z1 + 14, 4, 1);

    /* To where it may not go */
    expect(do_copy(c, z1, r, 1), ZONE_INVALID_WRITE);
    expect(do_copy(c, nsze, r, 1), LBA_RANGE);
    expect(do_copy(c, UINT64_MAX, r, 1), LBA_RANGE);
    expect(do_copy(c, z1 + c->zone - 1, r, 1), ZONE_INVALID_WRITE);
    check_zone(c, 1, ZS_IO, 18);
    /* From where it may not come */
    r[0] = (Range) { z1 - 2, 4 };
    expect(do_copy(c, z1 + 18, r, 1), ZONE_BOUNDARY);
    r[0] = (Range) { nsze - 1, 2 };
    expect(do_copy(c, z1 + 18, r, 1), LBA_RANGE);
    r[0] = (Range) { UINT64_MAX - 1, 4 };
    expect(do_copy(c, z1 + 18, r, 1), LBA_RANGE);
    check_zone(c, 1, ZS_IO, 18);
    /* More than the limits that are told: 128 blocks a range, and in all */
    r[0] = (Range) { z0, 129 };
    expect(do_copy(c, z1 + 18, r, 1), SIZE_LIMIT);
    r[0] = (Range) { z0, 100 };
    r[1] = (Range) { z0, 100 };
    expect(do_copy(c, z1 + 18, r, 2), SIZE_LIMIT);
    check_zone(c, 1, ZS_IO, 18);
    /* What was copied before a range fails stays */
    r[0] = (Range) { z0, 4 };
    r[1] = (Range) { nsze, 4 };
    expect(do_copy(c, z1 + 18, r, 2), LBA_RANGE);
    r[1].from = z1 - 1;
    g_assert_cmphex(do_copy(c, z1 + 22, r, 2), ==, ZONE_BOUNDARY);
    check_zone(c, 1, ZS_IO, 26);
    ctrl_stop(c);
}

/* Dataset management, flush, format */

static uint16_t deallocate(Ctrl *c, uint64_t slba, uint32_t nlb)
{
    uint8_t range[16] = { 0 };
    Sqe sqe = { .dw = { [0] = IO_DSM, [1] = 1, [11] = 1 << 2 } };

    put_le(range + 4, nlb, 4);
    put_le(range + 8, slba, 8);
    return io_do(c, &sqe, range, sizeof(range), NULL);
}

static void test_dsm(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    const uint64_t nsze = zslba(c, NR_ZONES);
    const Range past[] = {
        { nsze, 1 }, { nsze - 1, 2 }, { UINT64_MAX, 1 }, { 0, UINT32_MAX },
        { UINT64_MAX - 4, 8 }, { 0, 0 },
    };

    expect(do_write(c, 0, 64), OK);
    expect(do_mgmt(c, zslba(c, 1), ZSA_FINISH), OK);
    expect(deallocate(c, 8, 8), OK);
    expect(deallocate(c, 0, c->zone), OK);
    expect(deallocate(c, zslba(c, 1), c->zone), OK);
    expect(deallocate(c, zslba(c, 1) - 4, 8), OK);
    expect(deallocate(c, zslba(c, 2), 8), OK);
    /* It is advice: no zone changes by it */
    check_zone(c, 0, ZS_IO, 64);
    check_state(c, 1, ZS_FULL);
    check_zone(c, 2, ZS_EMPTY, 0);
    expect(do_write(c, 64, 8), OK);
    check_data(c, 64, 8, 0x5a);
    if (!c->memory) {
        /* And no block of a sequential zone. Above a raw file they are zero */
        check_data(c, 0, 72, 0x5a);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(past); i++) {
        uint16_t status = deallocate(c, past[i].from, past[i].nlb);

        g_assert_true(status == OK || status == LBA_RANGE);
    }
    check_zone(c, 0, ZS_IO, 72);
    ctrl_stop(c);
}

static void test_flush(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    Sqe sqe = { .dw = { IO_FLUSH, 0xffffffff } };

    expect(do_flush(c), OK);
    expect(do_write(c, 0, 8), OK);
    expect(do_flush(c), OK);
    expect(io_do(c, &sqe, NULL, 0, NULL), OK);
    sqe.dw[1] = 0;
    expect(io_do(c, &sqe, NULL, 0, NULL), INVALID_NSID);
    sqe.dw[1] = 1000;
    expect(io_do(c, &sqe, NULL, 0, NULL), INVALID_NSID);
    check_zone(c, 0, ZS_IO, 8);
    ctrl_stop(c);
}

/* A format empties all zones; the format of blocks is that of the drive */
static void test_format(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    static const uint32_t dw10[] = { 1, 7, 0xf, 1 << 5, 0x3fff };
    static const uint32_t nsids[] = { 1, 0xffffffff };

    for (unsigned j = 0; j < ARRAY_SIZE(nsids); j++) {
        Sqe sqe = { .dw = { [0] = ADM_FORMAT, [1] = nsids[j] } };

        expect(do_write(c, 0, 8), OK);
        expect(do_mgmt(c, zslba(c, 1), ZSA_OPEN), OK);
        expect(do_mgmt(c, zslba(c, 2), ZSA_FINISH), OK);
        for (unsigned i = 0; i < ARRAY_SIZE(dw10); i++) {
            sqe.dw[10] = dw10[i];
            expect(admin_do(c, &sqe, 0, NULL), INVALID_FORMAT);
        }
        check_zone(c, 0, ZS_IO, 8);
        check_zone(c, 1, ZS_EO, 0);
        check_state(c, 2, ZS_FULL);
        check_data(c, 0, 8, 0x5a);
        sqe.dw[10] = 0;
        if (c->memory) {
            /* The device formats no zones that it keeps in memory */
            expect(admin_do(c, &sqe, 0, NULL), INVALID_FORMAT);
            expect(do_all(c, ZSA_RESET), OK);
            continue;
        }
        expect(admin_do(c, &sqe, 0, NULL), OK);
        for (unsigned i = 0; i < NR_ZONES; i++) {
            check_zone(c, i, ZS_EMPTY, 0);
        }
        check_data(c, 0, 8, 0);
    }
    ctrl_stop(c);
}

/* Upper bits of the format's index, which Host Behavior Support turns on */
static void test_format_extended(const void *opaque)
{
    static const uint32_t dw10[] = { 1 << 12, 2 << 12, 3 << 12, 1 << 12 | 1 };
    Ctrl *c = ctrl_new(opaque, "");
    uint8_t behavior[512] = { [2] = 1 };    /* LBAFEE */
    Sqe sqe = { .dw = { [0] = ADM_SET_FEATURES, [10] = 0x16 } };
    Cmd *cmd = cmd_put(c, 0, &sqe, behavior, sizeof(behavior));

    ring(c, 0);
    expect(cmd_finish(cmd, NULL), OK);
    expect(do_write(c, 0, 8), OK);
    sqe = (Sqe) { .dw = { [0] = ADM_FORMAT, [1] = 1 } };
    for (unsigned i = 0; i < ARRAY_SIZE(dw10); i++) {
        sqe.dw[10] = dw10[i];
        expect(admin_do(c, &sqe, 0, NULL), INVALID_FORMAT);
    }
    check_zone(c, 0, ZS_IO, 8);
    check_data(c, 0, 8, 0x5a);
    ctrl_stop(c);
}

/* Misuse */

static void test_range(const void *opaque)
{
    static const uint8_t opcodes[] = {
        IO_WRITE, IO_READ, IO_COMPARE, IO_WRITE_ZEROES, IO_VERIFY, IO_APPEND,
    };
    Ctrl *c = ctrl_new(opaque, "");
    const uint64_t nsze = zslba(c, NR_ZONES);
    const Range past[] = {
        { nsze, 1 }, { nsze, 8 }, { nsze - 1, 2 }, { nsze - 8, 9 },
        { nsze + c->zone, 1 }, { 1ull << 32, 1 }, { 1ull << 55, 8 },
        { (1ull << 55) - 1, 8 }, { 1ull << 63, 1 }, { UINT64_MAX, 1 },
        { UINT64_MAX, 2 }, { UINT64_MAX - 7, 8 }, { UINT64_MAX - 6, 8 },
        { UINT64_MAX / c->lba + 1, 1 }, { UINT64_MAX / c->lba + 1 + 8, 8 },
    };

    make_written(c);
    for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(past); j++) {
            Sqe sqe = sqe_rw(opcodes[i], past[j].from, past[j].nlb);

            expect(io_do(c, &sqe, NULL, past[j].nlb * c->lba, NULL),
                   LBA_RANGE);
        }
    }
    check_zone(c, 0, ZS_IO, 8);
    for (unsigned i = 1; i < NR_ZONES; i++) {
        check_zone(c, i, ZS_EMPTY, 0);
    }
    ctrl_stop(c);
}

static void test_opcodes(const void *opaque)
{
    static const uint8_t known[] = {
        IO_FLUSH, IO_WRITE, IO_READ, IO_COMPARE, IO_WRITE_ZEROES, IO_DSM,
        IO_VERIFY, IO_COPY, IO_MGMT_SEND, IO_MGMT_RECV, IO_APPEND,
        0x12, 0x1d,     /* I/O management, which may be there */
    };
    Ctrl *c = ctrl_new(opaque, "");
    static const uint32_t nsids[] = { 0, 2, 256, 257, 0xfffffffe, 0xffffffff };

    make_written(c);
    for (unsigned op = 0; op < 256; op++) {
        Sqe sqe = sqe_rw(op, 0, 1);

        if (!memchr(known, op, sizeof(known))) {
            expect(io_do(c, &sqe, NULL, c->lba, NULL), INVALID_OPCODE);
        }
    }
    /* Other namespaces, which are not there */
    for (unsigned i = 1; i < ARRAY_SIZE(known) - 2; i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(nsids); j++) {
            Sqe sqe = sqe_rw(known[i], 0, 1);
            uint16_t status;

            sqe.dw[1] = nsids[j];
            status = io_do(c, &sqe, NULL, c->lba, NULL);
            g_assert_true(status == INVALID_NSID || status == INVALID_FIELD);
        }
    }
    /* Fused, which nothing here is */
    for (unsigned i = 1; i < ARRAY_SIZE(known) - 2; i++) {
        Sqe sqe = sqe_rw(known[i], 8, 1);

        sqe.dw[0] |= 1 << 8;
        expect(io_do(c, &sqe, NULL, c->lba, NULL), INVALID_FIELD);
    }
    check_zone(c, 0, ZS_IO, 8);
    ctrl_stop(c);
}

/* Zone commands to a namespace of the NVM command set, beside a zoned one */
static void test_plain_namespace(const void *opaque)
{
    static const uint8_t opcodes[] = { IO_MGMT_SEND, IO_MGMT_RECV, IO_APPEND };
    const Backend *b = opaque;
    g_autofree char *node = nodes(b, "");
    g_autofree char *ns = namespace_cmd(b, true, "");
    g_autofree char *cmd = g_strdup_printf(
        "%s -blockdev null-co,node-name=plain,size=1048576,read-zeroes=on %s "
        "-device nvme-ns,nsid=2,drive=plain", node, ns);
    g_autofree uint8_t *d = g_malloc(PAGE);
    Sqe sqe;
    Ctrl *c;

    image_new(b);
    c = ctrl_boot(b, cmd);
    for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
        sqe = sqe_rw(opcodes[i], 0, 8);
        sqe.dw[1] = 2;
        expect(io_do(c, &sqe, NULL, 8 * 512, NULL), INVALID_OPCODE);
    }
    sqe = sqe_identify(0x05, 2, 2);
    expect(admin_do(c, &sqe, PAGE, d), INVALID_FIELD);
    sqe = sqe_rw(IO_WRITE, 17, 1);
    sqe.dw[1] = 2;
    expect(io_do(c, &sqe, NULL, 512, NULL), OK);
    /* Each command set has its own */
    sqe = sqe_identify(0x07, 2, 0);
    expect(admin_do(c, &sqe, PAGE, d), OK);
    g_assert_cmpuint(le(d, 4), ==, 1);
    g_assert_cmpuint(le(d + 4, 4), ==, 0);
    sqe = sqe_identify(0x07, 0, 0);
    expect(admin_do(c, &sqe, PAGE, d), OK);
    g_assert_cmpuint(le(d, 4), ==, 2);
    ctrl_stop(c);
}

static void test_read_only(const void *opaque)
{
    static const uint8_t zsas[] = {
        ZSA_CLOSE, ZSA_FINISH, ZSA_OPEN, ZSA_RESET,
    };
    const Backend *b = opaque;
    g_autofree char *path = image_path("disk.img");
    g_autofree char *node = nodes(b, ",read-only=on");
    g_autofree char *ns = namespace_cmd(b, true, "");
    g_autofree char *cmd = g_strdup_printf("%s %s", node, ns);
    Ctrl *c = ctrl_new(b, "");

    make_written(c);
    expect(do_mgmt(c, zslba(c, 2), ZSA_FINISH), OK);
    ctrl_stop(c);

    c = ctrl_boot(b, cmd);
    check_zone(c, 0, ZS_CLOSED, 8);
    check_state(c, 2, ZS_FULL);
    check_data(c, 0, 8, 0x5a);
    for (unsigned i = 0; i < ARRAY_SIZE(zsas); i++) {
        g_assert_cmphex(do_mgmt(c, 0, zsas[i]), !=, OK);
        g_assert_cmphex(do_mgmt(c, zslba(c, 1), zsas[i]), !=, OK);
        g_assert_cmphex(do_all(c, zsas[i]), !=, OK);
    }
    g_assert_cmphex(do_write(c, 8, 1), !=, OK);
    g_assert_cmphex(do_append(c, 0, 1, NULL), !=, OK);
    g_assert_cmphex(do_simple(c, IO_WRITE_ZEROES, 8, 1), !=, OK);
    g_assert_cmphex(do_copy(c, 8, (Range[]) { { 0, 1 } }, 1), !=, OK);
    check_zone(c, 0, ZS_CLOSED, 8);
    check_zone(c, 1, ZS_EMPTY, 0);
    check_state(c, 2, ZS_FULL);

    /* A drive that becomes writable later does not make the device so. */
    qtest_qmp_assert_success(
        c->qts, "{'execute': 'blockdev-reopen', 'arguments': {'options': ["
        "{'driver': 'file', 'node-name': 'proto', 'filename': %s},"
        "{'driver': 'qcow2', 'node-name': 'disk', 'file': 'proto'}]}}", path);
    expect(do_write(c, 8, 1), WRITE_PROTECTED);
    expect(do_append(c, 0, 1, NULL), WRITE_PROTECTED);
    expect(do_simple(c, IO_WRITE_ZEROES, 8, 1), WRITE_PROTECTED);
    expect(do_copy(c, 8, (Range[]) { { 0, 1 } }, 1), WRITE_PROTECTED);
    expect(do_mgmt(c, 0, ZSA_RESET), WRITE_PROTECTED);
    check_zone(c, 0, ZS_CLOSED, 8);
    ctrl_stop(c);
}

/*
 * Deallocate is advice. A drive that ignores it, as is the default, takes it
 * on a read-only namespace, too; one that would carry it out does not.
 */
static void test_read_only_dsm(const void *opaque)
{
    const Backend *b = opaque;
    g_autofree char *path = image_path("disk.img");
    g_autofree char *ns = namespace_cmd(b, true, "");
    const char *driver = b->memory ? "raw" : "qcow2";
    const uint16_t refused = b->memory ? INTERNAL_ERROR : WRITE_PROTECTED;
    Ctrl *c = ctrl_new(b, "");

    make_written(c);
    ctrl_stop(c);

    for (unsigned unmap = 0; unmap < 2; unmap++) {
        g_autofree char *node = nodes(b, unmap ?
                                      ",read-only=on,discard=unmap" :
                                      ",read-only=on");
        g_autofree char *cmd = g_strdup_printf("%s %s", node, ns);

        c = ctrl_boot(b, cmd);
        expect(deallocate(c, 0, 8), unmap ? refused : OK);
        expect(deallocate(c, zslba(c, 1), c->zone), unmap ? refused : OK);
        check_data(c, 0, 8, 0x5a);

        /* The device still has no permission */
        qtest_qmp_assert_success(
            c->qts, "{'execute': 'blockdev-reopen', 'arguments': {'options': ["
            "{'driver': 'file', 'node-name': 'proto', 'filename': %s,"
            "'discard': %s},"
            "{'driver': %s, 'node-name': 'disk', 'file': 'proto',"
            "'discard': %s}]}}", path, unmap ? "unmap" : "ignore", driver,
            unmap ? "unmap" : "ignore");
        expect(deallocate(c, 0, 8), unmap ? refused : OK);
        check_data(c, 0, 8, 0x5a);
        ctrl_stop(c);
    }
}

/*
 * The same commands to a namespace in memory and to one on qcow2: the same
 * statuses, the same results and the same zones, operation by operation. They
 * part in this:
 * - Compare and Verify over the end of a zone are refused on qcow2 only;
 * - what is above the write pointer reads as zeros on qcow2, and in memory as
 *   what was once written there;
 * - a command that is refused for lack of resources changes nothing on qcow2;
 *   in memory it may have closed or opened zones;
 * - on qcow2 the zone closed for another one is that which was written longest
 *   ago, in memory that which was opened longest ago. Here the limits are such
 *   that none is.
 * The other tests tell some more, where they ask for c->memory.
 */
static void random_sqe(Ctrl *c, Sqe *sqe, size_t *len, const unsigned *wp)
{
    static const uint8_t opcodes[] = {
        IO_WRITE, IO_WRITE, IO_WRITE, IO_APPEND, IO_APPEND, IO_APPEND,
        IO_WRITE_ZEROES, IO_READ, IO_COMPARE, IO_VERIFY, IO_MGMT_SEND,
        IO_MGMT_SEND, IO_MGMT_SEND, IO_MGMT_RECV, IO_FLUSH,
    };
    static const unsigned blocks[] = { 1, 2, 8, 100, 384, 768, 1024, 1025 };
    uint8_t opcode = opcodes[g_test_rand_int_range(0, ARRAY_SIZE(opcodes))];
    unsigned zone = g_test_rand_int_range(0, NR_ZONES);
    unsigned nlb = blocks[g_test_rand_int_range(0, ARRAY_SIZE(blocks))];
    uint64_t slba = zslba(c, zone);

    *len = nlb * c->lba;
    switch (opcode) {
    case IO_MGMT_SEND:
        *sqe = sqe_mgmt(slba + (g_test_rand_int_range(0, 16) == 0),
                        g_test_rand_int_range(0, 7),
                        g_test_rand_int_range(0, 24) == 0);
        *len = 0;
        return;
    case IO_MGMT_RECV:
        *len = 4 * g_test_rand_int_range(8, 200);
        *sqe = sqe_report(slba + g_test_rand_int_range(0, c->zone), 0,
                          g_test_rand_int_range(0, 9),
                          g_test_rand_int_range(0, 2), *len);
        return;
    case IO_FLUSH:
        *sqe = (Sqe) { .dw = { IO_FLUSH, 1 } };
        *len = 0;
        return;
    case IO_WRITE:
    case IO_WRITE_ZEROES:
        slba += wp[zone];
        if (g_test_rand_int_range(0, 8) == 0) {
            slba += g_test_rand_int_range(-4, 8);
        }
        break;
    case IO_APPEND:
        slba += g_test_rand_int_range(0, 16) == 0;
        break;
    case IO_READ:
    case IO_COMPARE:
    case IO_VERIFY:
        slba += g_test_rand_int_range(0, c->zone);
        break;
    }
    if (g_test_rand_int_range(0, 64) == 0) {
        slba |= 1ull << g_test_rand_int_range(0, 64);
    }
    if (opcode == IO_WRITE_ZEROES || opcode == IO_VERIFY) {
        *len = 0;
    }
    *sqe = sqe_rw(opcode, slba, nlb);
}

static void test_same_as_memory(const void *opaque)
{
    static const Backend kinds[2] = {
        { "memory", true, 512 }, { "qcow2", false, 512 },
    };
    g_autofree char *others = image_path("disk.img");
    g_autofree char *own = image_path("other.img");
    g_autofree uint8_t *data[2] = { g_malloc(MDTS_BYTES + 512),
                                    g_malloc(MDTS_BYTES + 512) };
    unsigned wp[NR_ZONES] = { 0 };
    unsigned good = 0;
    Ctrl *c[2];

    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *node = nodes(&kinds[i], "");
        g_autofree char *ns = namespace_cmd(&kinds[i], false, i ? "" :
                                            ",zoned.max_active=3,"
                                            "zoned.max_open=3");
        g_autofree char *cmd = g_strdup_printf("%s %s", node, ns);

        image_new(&kinds[i]);
        if (i) {
            image_new_opts("disk.img", OPTS ",zone.max_active_zones=3",
                           DISK_SIZE);
        }
        c[i] = ctrl_boot(&kinds[i], cmd);
        if (!i) {
            g_assert_cmpint(rename(others, own), ==, 0);
        }
    }
    for (unsigned n = 0; n < 300; n++) {
        size_t len;
        uint16_t status[2];
        uint64_t result[2];
        Zone z[2][NR_ZONES];
        Sqe sqe;
        uint8_t opcode;
        bool apart;

        random_sqe(c[0], &sqe, &len, wp);
        opcode = sqe.dw[0];
        for (unsigned i = 0; i < 2; i++) {
            Cmd *cmd = cmd_put_byte(c[i], 1, &sqe, NULL, n, len);

            ring(c[i], 1);
            status[i] = cmd_wait(cmd, NULL);
            result[i] = cmd->result;
            cmd_free(cmd);
        }
        apart = (opcode == IO_COMPARE || opcode == IO_VERIFY) &&
                (status[1] == OK || status[1] == COMPARE_FAILURE ||
                 status[1] == ZONE_BOUNDARY);
        if (!apart && status[0] != status[1]) {
            g_test_message("step %u: opcode %x, block %" PRIx64 ", dw12 %x, "
                           "dw13 %x: %x in memory, %x on qcow2", n,
                           opcode,
                           (uint64_t)sqe.dw[11] << 32 | sqe.dw[10],
                           sqe.dw[12], sqe.dw[13], status[0], status[1]);
            g_assert_cmphex(status[0], ==, status[1]);
        }
        good += status[0] == OK;
        if (opcode == IO_APPEND && status[0] == OK) {
            g_assert_cmpuint(result[0], ==, result[1]);
        }
        if (status[0] == TOO_MANY_ACTIVE || status[0] == TOO_MANY_OPEN) {
            expect(do_all(c[0], ZSA_RESET), OK);
            expect(do_all(c[1], ZSA_RESET), OK);
        }
        for (unsigned i = 0; i < 2; i++) {
            unsigned got;

            do_report(c[i], 0, F_ALL, false, NR_ZONES, z[i], &got);
        }
        for (unsigned i = 0; i < NR_ZONES; i++) {
            g_assert_cmphex(z[0][i].state, ==, z[1][i].state);
            g_assert_cmpuint(z[0][i].cap, ==, z[1][i].cap);
            if (z[0][i].state != ZS_FULL) {
                g_assert_cmpuint(z[0][i].wp, ==, z[1][i].wp);
                wp[i] = z[0][i].wp - z[0][i].start;
            } else {
                wp[i] = c[0]->cap;
            }
        }
        if (g_test_rand_int_range(0, 50) == 0) {
            unsigned i = g_test_rand_int_range(0, NR_ZONES);

            /* What is below the write pointer, as far as it was written */
            if (wp[i] && z[0][i].state != ZS_FULL) {
                unsigned nlb = MIN(wp[i], MDTS_BYTES / 512);

                expect(do_read(c[0], zslba(c[0], i), nlb, data[0]), OK);
                expect(do_read(c[1], zslba(c[1], i), nlb, data[1]), OK);
                g_assert_true(memcmp(data[0], data[1], nlb * 512) == 0);
            }
        }
    }
    g_test_message("%u of 300 commands succeeded", good);
    g_assert_cmpuint(good, >, 60);
    ctrl_stop(c[0]);
    ctrl_stop(c[1]);
}

/* Noise in every field: each command is answered once, the image is sound */
static void test_noise(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");
    static const uint8_t opcodes[] = {
        IO_WRITE, IO_READ, IO_COMPARE, IO_WRITE_ZEROES, IO_DSM, IO_VERIFY,
        IO_COPY, IO_MGMT_SEND, IO_MGMT_RECV, IO_APPEND, IO_MGMT_SEND,
    };

    for (unsigned n = 0; n < 1500; n++) {
        Sqe sqe = { .dw = { 0 } };
        size_t len = g_test_rand_int_range(0, 3) * PAGE;

        sqe.dw[0] = opcodes[g_test_rand_int_range(0, ARRAY_SIZE(opcodes))];
        sqe.dw[1] = 1;
        for (unsigned i = 10; i < 16; i++) {
            switch (g_test_rand_int_range(0, 6)) {
            case 0:
                sqe.dw[i] = g_test_rand_int();
                break;
            case 1:
                sqe.dw[i] = 1u << g_test_rand_int_range(0, 32);
                break;
            case 2:
                sqe.dw[i] = g_test_rand_int_range(0, 8);
                break;
            }
        }
        if (g_test_rand_int_range(0, 2)) {
            sqe.dw[10] = zslba(c, g_test_rand_int_range(0, NR_ZONES + 1));
            sqe.dw[11] = 0;
        }
        if (g_test_rand_int_range(0, 2)) {
            sqe.dw[12] &= 7;
        }
        if (len == 0) {
            /* Data pointers into memory of the test, or nowhere */
            sqe.dw[6] = g_test_rand_int_range(0, 2) ? 0x6000000 : 0xfffffffc;
            sqe.dw[8] = 0x6100000 + g_test_rand_int_range(0, 2) * 8;
        }
        io_do(c, &sqe, NULL, len, NULL);
    }
    expect(do_all(c, ZSA_RESET), OK);
    for (unsigned i = 0; i < NR_ZONES; i++) {
        check_zone(c, i, ZS_EMPTY, 0);
    }
    ctrl_stop(c);
    image_check(b);
}

const Test data_tests[] = {
    { "read", test_read, ALL },
    { "cross-read", test_cross_read, ALL },
    { "compare", test_compare, BOTH },
    { "copy", test_copy, ALL },
    { "dsm", test_dsm, BOTH },
    { "flush", test_flush, BOTH },
    { "format", test_format, BOTH },
    { "format-extended", test_format_extended, QCOW2 },
    { "range", test_range, ALL },
    { "opcodes", test_opcodes, BOTH },
    { "plain-namespace", test_plain_namespace, BOTH },
    { "read-only", test_read_only, KEPT },
    { "read-only-dsm", test_read_only_dsm, BOTH },
    { "same-as-memory", test_same_as_memory, QCOW2 },
    { "noise", test_noise, ALL },
    { NULL },
};
