/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NVMe zoned namespaces, as a host may use and misuse them
 *
 * Written from the NVM Express Zoned Namespace Command Set 1.1. Each test runs
 * on a namespace whose zones the device keeps in memory and on one whose drive
 * is a zoned qcow2 image; where the two differ, a comment at c->memory says in
 * what.
 *
 * Needs QTEST_QEMU_BINARY (x86_64) and QTEST_QEMU_IMG.
 */
#include "qemu/osdep.h"
#include "nvme-zns-util.h"

/* Identify */

static void identify(Ctrl *c, uint8_t cns, uint8_t csi, uint8_t *data)
{
    Sqe sqe = sqe_identify(cns, csi, cns == 1 || cns == 6 ? 0 : 1);

    expect(admin_do(c, &sqe, PAGE, data), OK);
}

static void test_identify(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");
    g_autofree uint8_t *d = g_malloc(PAGE);
    unsigned lbaf, zasl, mdts;
    Sqe sqe;

    /* Namespace: size, and blocks */
    identify(c, 0x00, 0, d);
    g_assert_cmpuint(le(d, 8), ==, NR_ZONES * c->zone);
    g_assert_cmpuint(le(d + 8, 8), <=, le(d, 8));
    g_assert_cmpuint(le(d + 16, 8), <=, le(d + 8, 8));
    lbaf = d[26] & 0xf;
    g_assert_cmpuint(1u << d[128 + 4 * lbaf + 2], ==, b->lba);
    g_assert_cmpuint(le(d + 128 + 4 * lbaf, 2), ==, 0);

    /* Zoned namespace: limits are 0's based; no extensions, no ZRWA */
    identify(c, 0x05, 2, d);
    g_assert_cmphex(le(d, 2) & ~3u, ==, 0);
    g_assert_cmphex(le(d + 2, 2), ==, 0);
    g_assert_cmpuint(le(d + 4, 4), ==, MAX_ACTIVE - 1);
    g_assert_cmpuint(le(d + 8, 4), ==, MAX_OPEN - 1);
    g_assert_cmpuint(le(d + 2816 + 16 * lbaf, 8), ==, c->zone);
    g_assert_cmpuint(d[2816 + 16 * lbaf + 8], ==, 0);

    /* Independent of the command set, and of the NVM command set */
    identify(c, 0x08, 0, d);
    identify(c, 0x05, 0, d);

    /* Controller: the append limit is not above that of transfers */
    identify(c, 0x01, 0, d);
    mdts = d[77];
    g_assert_cmpuint(PAGE << mdts, ==, MDTS_BYTES);
    identify(c, 0x06, 2, d);
    zasl = d[0];
    g_assert_cmpuint(zasl, <=, mdts);
    for (unsigned i = 1; i < PAGE; i++) {
        g_assert_cmphex(d[i], ==, 0);
    }
    identify(c, 0x06, 0, d);
    sqe = sqe_identify(0x06, 3, 0);
    expect(admin_do(c, &sqe, PAGE, NULL), INVALID_FIELD);
    sqe = sqe_identify(0x05, 3, 1);
    expect(admin_do(c, &sqe, PAGE, NULL), INVALID_FIELD);
    sqe = sqe_identify(0x05, 2, 0xffffffff);
    expect(admin_do(c, &sqe, PAGE, NULL), INVALID_NSID);

    /* Active namespaces by command set */
    sqe = sqe_identify(0x07, 2, 0);
    expect(admin_do(c, &sqe, PAGE, d), OK);
    g_assert_cmpuint(le(d, 4), ==, 1);
    g_assert_cmpuint(le(d + 4, 4), ==, 0);
    sqe = sqe_identify(0x07, 0, 0);
    expect(admin_do(c, &sqe, PAGE, d), OK);
    g_assert_cmpuint(le(d, 4), ==, 0);

    /* Its command set identifier, type 4 with a length of 1 */
    identify(c, 0x03, 0, d);
    for (unsigned i = 0; ; i += 4 + d[i + 1]) {
        g_assert_cmpuint(i, <, PAGE - 4);
        g_assert_cmpuint(d[i], !=, 0);
        if (d[i] == 4) {
            g_assert_cmpuint(d[i + 1], ==, 1);
            g_assert_cmpuint(d[i + 4], ==, 2);
            break;
        }
    }
    ctrl_stop(c);
}

static void test_identify_no_limits(const void *opaque)
{
    const Backend *b = opaque;
    g_autofree char *node = nodes(b, "");
    g_autofree char *ns = namespace_cmd(b, false, "");
    g_autofree char *cmd = g_strdup_printf("%s %s", node, ns);
    g_autofree uint8_t *d = g_malloc(PAGE);
    Ctrl *c;

    image_new(b);
    if (!b->memory) {
        image_new_opts("disk.img", OPTS, DISK_SIZE);
    }
    c = ctrl_boot(b, cmd);
    identify(c, 0x05, 2, d);
    g_assert_cmphex(le(d + 4, 4), ==, 0xffffffff);
    g_assert_cmphex(le(d + 8, 4), ==, 0xffffffff);
    for (unsigned i = 0; i < NR_ZONES; i++) {
        expect(do_mgmt(c, zslba(c, i), ZSA_OPEN), OK);
    }
    for (unsigned i = 0; i < NR_ZONES; i++) {
        check_zone(c, i, ZS_EO, 0);
    }
    ctrl_stop(c);
}

static void test_effects_log(const void *opaque)
{
    static const uint8_t opcodes[] = {
        IO_FLUSH, IO_WRITE, IO_READ, IO_COMPARE, IO_WRITE_ZEROES, IO_DSM,
        IO_VERIFY, IO_COPY, IO_MGMT_SEND, IO_MGMT_RECV, IO_APPEND,
    };
    Ctrl *c = ctrl_new(opaque, "");
    g_autofree uint8_t *d = g_malloc(PAGE);
    Sqe sqe = { .dw = { ADM_GET_LOG } };

    sqe.dw[10] = 5 | (PAGE / 4 - 1) << 16;
    sqe.dw[14] = 2u << 24;
    expect(admin_do(c, &sqe, PAGE, d), OK);
    for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
        g_assert_true(le(d + 1024 + 4 * opcodes[i], 4) & 1);
    }
    ctrl_stop(c);
}

/* Reports */

static void test_report(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    Zone z[NR_ZONES + 4];
    unsigned got;

    g_assert_cmpuint(do_report(c, 0, F_ALL, false, NR_ZONES + 4, z, &got), ==,
                     NR_ZONES);
    for (unsigned i = 0; i < NR_ZONES; i++) {
        g_assert_cmpuint(z[i].type, ==, 2);
        g_assert_cmphex(z[i].state, ==, ZS_EMPTY);
        g_assert_cmphex(z[i].attributes, ==, 0);
        g_assert_cmpuint(z[i].cap, ==, c->cap);
        g_assert_cmpuint(z[i].start, ==, zslba(c, i));
        g_assert_cmpuint(z[i].wp, ==, zslba(c, i));
    }

    /* From the zone on that holds the block asked for */
    g_assert_cmpuint(do_report(c, zslba(c, 3) + 17, F_ALL, false, 8, z, &got),
                     ==, NR_ZONES - 3);
    g_assert_cmpuint(z[0].start, ==, zslba(c, 3));
    g_assert_cmpuint(do_report(c, zslba(c, 4) - 1, F_ALL, false, 8, z, &got),
                     ==, NR_ZONES - 3);
    g_assert_cmpuint(z[0].start, ==, zslba(c, 3));
    g_assert_cmpuint(do_report(c, zslba(c, 8) - 1, F_ALL, false, 8, z, &got),
                     ==, 1);
    g_assert_cmpuint(z[0].start, ==, zslba(c, 7));

    /*
     * Partial: the number of zones that are in the data. Otherwise that of
     * all that match, from there on.
     */
    for (unsigned max = 0; max <= NR_ZONES + 1; max++) {
        g_assert_cmpuint(do_report(c, 0, F_ALL, true, max, z, &got), ==,
                         MIN(max, NR_ZONES));
        g_assert_cmpuint(do_report(c, 0, F_ALL, false, max, z, &got), ==,
                         NR_ZONES);
        g_assert_cmpuint(do_report(c, zslba(c, 6), F_ALL, true, max, z, &got),
                         ==, MIN(max, 2));
    }
    ctrl_stop(c);
}

/* One zone or two in each state that zones may take */
static void make_states(Ctrl *c)
{
    expect(do_mgmt(c, zslba(c, 1), ZSA_FINISH), OK);
    expect(do_write(c, zslba(c, 2), 8), OK);
    expect(do_mgmt(c, zslba(c, 2), ZSA_CLOSE), OK);
    expect(do_write(c, zslba(c, 3), 4), OK);
    expect(do_mgmt(c, zslba(c, 5), ZSA_OPEN), OK);
    expect(do_mgmt(c, zslba(c, 6), ZSA_FINISH), OK);
}

static void test_report_filters(const void *opaque)
{
    static const struct {
        uint8_t filter, state;
        unsigned nr, zones[4];
    } rows[] = {
        { F_EMPTY, ZS_EMPTY, 3, { 0, 4, 7 } },
        { F_IO, ZS_IO, 1, { 3 } },
        { F_EO, ZS_EO, 1, { 5 } },
        { F_CLOSED, ZS_CLOSED, 1, { 2 } },
        { F_FULL, ZS_FULL, 2, { 1, 6 } },
        { F_RO, ZS_RO, 0, { 0 } },
        { F_OFFLINE, ZS_OFFLINE, 0, { 0 } },
    };
    Ctrl *c = ctrl_new(opaque, "");
    Zone z[NR_ZONES];
    unsigned got;

    make_states(c);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        g_assert_cmpuint(do_report(c, 0, rows[i].filter, false, NR_ZONES, z,
                                   &got), ==, rows[i].nr);
        for (unsigned j = 0; j < rows[i].nr; j++) {
            g_assert_cmpuint(z[j].start, ==, zslba(c, rows[i].zones[j]));
            g_assert_cmphex(z[j].state, ==, rows[i].state);
        }
        /* Counted from the start block on, and beyond what there is room for */
        for (unsigned from = 0; from < NR_ZONES; from++) {
            unsigned nr = 0;

            for (unsigned j = 0; j < rows[i].nr; j++) {
                nr += rows[i].zones[j] >= from;
            }
            g_assert_cmpuint(do_report(c, zslba(c, from), rows[i].filter,
                                       false, 1, z, &got), ==, nr);
            g_assert_cmpuint(do_report(c, zslba(c, from), rows[i].filter,
                                       true, 1, z, &got), ==, MIN(nr, 1));
        }
    }
    ctrl_stop(c);
}

static void test_report_lengths(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    uint8_t buf[1024];
    Sqe sqe;

    make_states(c);
    for (unsigned offset = 0; offset <= PAGE - 60; offset += PAGE - 60) {
        c->offset = offset;
        /* The header has 64 bytes */
        for (unsigned len = 4; len < 64; len += 4) {
            sqe = sqe_report(0, 0, F_ALL, true, len);
            expect(io_do(c, &sqe, NULL, len, buf), INVALID_FIELD);
        }
        for (unsigned len = 64; len < 1024; len += 4) {
            unsigned room = MIN((len - 64) / 64, NR_ZONES);

            sqe = sqe_report(0, 0, F_ALL, true, len);
            expect(io_do(c, &sqe, NULL, len, buf), OK);
            g_assert_cmpuint(le(buf, 8), ==, room);
            /* No part of a descriptor */
            for (unsigned i = 64 + 64 * room; i < len; i++) {
                g_assert_true(buf[i] == 0 || buf[i] == POISON);
            }
        }
    }
    c->offset = 0;
    ctrl_stop(c);
}

static void test_report_misuse(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    const uint64_t nsze = zslba(c, NR_ZONES);
    const uint64_t past[] = {
        nsze, nsze + 1, 1ull << 32, 1ull << 55, 1ull << 63, UINT64_MAX,
    };
    static const uint32_t numd[] = {
        MDTS_BYTES / 4, 0x1fffffff, 0x3fffffff, 0x4000000f, 0x7fffffff,
        0x8000001f, 0xc000000f, 0xfffffffe, 0xffffffff,
    };
    Sqe sqe;

    for (unsigned i = 0; i < ARRAY_SIZE(past); i++) {
        sqe = sqe_report(past[i], 0, F_ALL, false, PAGE);
        expect(io_do(c, &sqe, NULL, PAGE, NULL), LBA_RANGE);
    }
    for (unsigned filter = 8; filter < 256; filter += 31) {
        sqe = sqe_report(0, 0, filter, false, PAGE);
        expect(io_do(c, &sqe, NULL, PAGE, NULL), INVALID_FIELD);
    }
    /* Without descriptor extensions there is no extended report */
    for (unsigned zra = 1; zra < 256; zra += zra < 8 ? 1 : 31) {
        sqe = sqe_report(0, zra, F_ALL, false, PAGE);
        expect(io_do(c, &sqe, NULL, PAGE, NULL), INVALID_FIELD);
    }
    /* Longer than any transfer, also where the bytes do not fit 32 bits */
    for (unsigned i = 0; i < ARRAY_SIZE(numd); i++) {
        uint16_t status;

        sqe = sqe_report(0, 0, F_ALL, false, PAGE);
        sqe.dw[12] = numd[i];
        status = io_do(c, &sqe, NULL, PAGE, NULL);
        if (!c->memory) {
            expect(status, INVALID_FIELD);
        }
        /* In memory the length wraps, and 0x4000000f is a header */
    }
    /* The largest one that is allowed */
    {
        g_autofree uint8_t *big = g_malloc(MDTS_BYTES);

        sqe = sqe_report(0, 0, F_ALL, false, MDTS_BYTES);
        expect(io_do(c, &sqe, NULL, MDTS_BYTES, big), OK);
        g_assert_cmpuint(le(big, 8), ==, NR_ZONES);
    }
    ctrl_stop(c);
}

/* Many zones: more than a block driver tells at a time */
static void test_report_many(const void *opaque)
{
    const Backend *b = opaque;
    const unsigned nr = 5000;
    g_autofree Zone *z = g_new(Zone, nr + 8);
    g_autofree char *node = nodes(b, "");
    g_autofree char *cmd = g_strdup_printf(
        "%s -device nvme,id=ctrl,serial=zns,addr=0x%x -device nvme-ns,"
        "drive=disk,logical_block_size=%u,physical_block_size=%u%s", node,
        SLOT, b->lba, b->lba,
        b->memory ? ",zoned=on,zoned.zone_size=64K" : "");
    unsigned zone = 65536 / b->lba, got;
    Ctrl *c;

    if (b->memory) {
        g_autofree char *path = image_path("disk.img");

        unlink(path);
        run("%s create -q -f raw %s 320000K", getenv("QTEST_QEMU_IMG"), path);
    } else {
        image_new_opts("disk.img", "zoned=on,zone.size=64k", "320000K");
    }
    c = ctrl_boot(b, cmd);
    for (unsigned i = 0; i < nr; i += 617) {
        expect(do_mgmt(c, (uint64_t)i * zone, ZSA_FINISH), OK);
    }
    expect(do_write(c, 4999ull * zone, 3), OK);
    g_assert_cmpuint(do_report(c, 0, F_ALL, false, nr + 8, z, &got), ==, nr);
    for (unsigned i = 0; i < nr; i++) {
        g_assert_cmpuint(z[i].start, ==, (uint64_t)i * zone);
        g_assert_cmphex(z[i].state, ==, i % 617 == 0 ? ZS_FULL :
                        i == 4999 ? ZS_IO : ZS_EMPTY);
    }
    g_assert_cmpuint(z[4999].wp, ==, 4999ull * zone + 3);
    g_assert_cmpuint(do_report(c, 0, F_FULL, false, 2, z, &got), ==, 9);
    g_assert_cmpuint(z[1].start, ==, 617 * zone);
    g_assert_cmpuint(do_report(c, 0, F_IO, false, 2, z, &got), ==, 1);
    g_assert_cmpuint(z[0].start, ==, 4999 * zone);
    g_assert_cmpuint(do_report(c, 618 * zone, F_FULL, true, 100, z, &got), ==,
                     7);
    ctrl_stop(c);
}

/* Transitions */

typedef enum Op { WRITE, APPEND, OPEN, CLOSE, FINISH, RESET, NR_OPS } Op;

static uint16_t do_op(Ctrl *c, unsigned zone, Op op, unsigned wp)
{
    switch (op) {
    case WRITE:
        return do_write(c, zslba(c, zone) + wp, 4);
    case APPEND:
        return do_append(c, zslba(c, zone), 4, NULL);
    case OPEN:
        return do_mgmt(c, zslba(c, zone), ZSA_OPEN);
    case CLOSE:
        return do_mgmt(c, zslba(c, zone), ZSA_CLOSE);
    case FINISH:
        return do_mgmt(c, zslba(c, zone), ZSA_FINISH);
    default:
        return do_mgmt(c, zslba(c, zone), ZSA_RESET);
    }
}

/* Puts a zone that is empty into a state; returns its write pointer */
static unsigned put_state(Ctrl *c, unsigned zone, uint8_t state, bool written)
{
    unsigned wp = written ? 8 : 0;

    if (written) {
        expect(do_write(c, zslba(c, zone), 8), OK);
    }
    switch (state) {
    case ZS_EO:
        expect(do_op(c, zone, OPEN, 0), OK);
        break;
    case ZS_CLOSED:
        if (!written) {
            expect(do_op(c, zone, OPEN, 0), OK);
        }
        expect(do_op(c, zone, CLOSE, 0), OK);
        break;
    case ZS_FULL:
        expect(do_op(c, zone, FINISH, 0), OK);
        wp = c->cap;
        break;
    }
    check_zone(c, zone, state, wp);
    return wp;
}

static void test_transitions(const void *opaque)
{
    static const struct {
        uint8_t from;
        bool written;
        struct {
            uint16_t status;
            uint8_t to;
        } op[NR_OPS];
    } rows[] = {
        { ZS_EMPTY, false, {
            { OK, ZS_IO }, { OK, ZS_IO }, { OK, ZS_EO },
            { INVALID_TRANSITION, ZS_EMPTY }, { OK, ZS_FULL },
            { OK, ZS_EMPTY } } },
        { ZS_IO, true, {
            { OK, ZS_IO }, { OK, ZS_IO }, { OK, ZS_EO },
            { OK, ZS_CLOSED }, { OK, ZS_FULL }, { OK, ZS_EMPTY } } },
        { ZS_EO, false, {
            { OK, ZS_EO }, { OK, ZS_EO }, { OK, ZS_EO },
            { OK, ZS_CLOSED }, { OK, ZS_FULL }, { OK, ZS_EMPTY } } },
        { ZS_EO, true, {
            { OK, ZS_EO }, { OK, ZS_EO }, { OK, ZS_EO },
            { OK, ZS_CLOSED }, { OK, ZS_FULL }, { OK, ZS_EMPTY } } },
        { ZS_CLOSED, false, {
            { OK, ZS_IO }, { OK, ZS_IO }, { OK, ZS_EO },
            { OK, ZS_CLOSED }, { OK, ZS_FULL }, { OK, ZS_EMPTY } } },
        { ZS_CLOSED, true, {
            { OK, ZS_IO }, { OK, ZS_IO }, { OK, ZS_EO },
            { OK, ZS_CLOSED }, { OK, ZS_FULL }, { OK, ZS_EMPTY } } },
        { ZS_FULL, false, {
            { ZONE_IS_FULL, ZS_FULL }, { ZONE_IS_FULL, ZS_FULL },
            { INVALID_TRANSITION, ZS_FULL }, { INVALID_TRANSITION, ZS_FULL },
            { OK, ZS_FULL }, { OK, ZS_EMPTY } } },
        { ZS_FULL, true, {
            { ZONE_IS_FULL, ZS_FULL }, { ZONE_IS_FULL, ZS_FULL },
            { INVALID_TRANSITION, ZS_FULL }, { INVALID_TRANSITION, ZS_FULL },
            { OK, ZS_FULL }, { OK, ZS_EMPTY } } },
    };
    Ctrl *c = ctrl_new(opaque, "");

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        for (Op op = WRITE; op < NR_OPS; op++) {
            uint8_t to = rows[i].op[op].to;
            unsigned wp = put_state(c, 2, rows[i].from, rows[i].written);

            expect(do_op(c, 2, op, wp), rows[i].op[op].status);
            if (op <= APPEND && rows[i].op[op].status == OK) {
                wp += 4;
            }
            check_zone(c, 2, to, to == ZS_EMPTY ? 0 : wp);
            expect(do_op(c, 2, RESET, 0), OK);
            check_zone(c, 2, ZS_EMPTY, 0);
        }
    }
    ctrl_stop(c);
}

/* Writes and appends that fill a zone, from each state */
static void test_fill(const void *opaque)
{
    static const uint8_t states[] = { ZS_EMPTY, ZS_IO, ZS_EO, ZS_CLOSED };
    Ctrl *c = ctrl_new(opaque, "");
    unsigned half = c->cap / 2;

    for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
        for (unsigned append = 0; append < 2; append++) {
            unsigned wp = put_state(c, 1, states[i], states[i] != ZS_EMPTY);
            uint64_t where;

            while (wp < c->cap) {
                unsigned n = MIN(half, c->cap - wp);

                if (append) {
                    expect(do_append(c, zslba(c, 1), n, &where), OK);
                    g_assert_cmpuint(where, ==, zslba(c, 1) + wp);
                } else {
                    expect(do_write(c, zslba(c, 1) + wp, n), OK);
                }
                wp += n;
                if (wp < c->cap) {
                    check_zone(c, 1, states[i] == ZS_EO ? ZS_EO : ZS_IO, wp);
                }
            }
            check_state(c, 1, ZS_FULL);
            expect(do_write(c, zslba(c, 1) + wp - 1, 1), ZONE_IS_FULL);
            expect(do_write(c, zslba(c, 1) + wp, 1), ZONE_IS_FULL);
            expect(do_append(c, zslba(c, 1), 1, NULL), ZONE_IS_FULL);
            expect(do_op(c, 1, RESET, 0), OK);
        }
    }
    ctrl_stop(c);
}

/* All zones at once */
static void test_select_all(const void *opaque)
{
    static const struct {
        uint8_t zsa;
        uint8_t to[NR_ZONES];
    } rows[] = {
        { ZSA_CLOSE, { ZS_EMPTY, ZS_FULL, ZS_CLOSED, ZS_CLOSED, ZS_EMPTY,
                       ZS_CLOSED, ZS_FULL, ZS_EMPTY } },
        { ZSA_FINISH, { ZS_EMPTY, ZS_FULL, ZS_FULL, ZS_FULL, ZS_EMPTY,
                        ZS_FULL, ZS_FULL, ZS_EMPTY } },
        { ZSA_RESET, { ZS_EMPTY, ZS_EMPTY, ZS_EMPTY, ZS_EMPTY, ZS_EMPTY,
                       ZS_EMPTY, ZS_EMPTY, ZS_EMPTY } },
        { ZSA_OFFLINE, { ZS_EMPTY, ZS_FULL, ZS_CLOSED, ZS_IO, ZS_EMPTY,
                         ZS_EO, ZS_FULL, ZS_EMPTY } },
    };
    Ctrl *c = ctrl_new(opaque, "");

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        /* The block address has no meaning then */
        static const uint64_t slba[] = { 0, 5, 1ull << 40, UINT64_MAX };
        Sqe sqe = sqe_mgmt(slba[i], rows[i].zsa, true);

        make_states(c);
        expect(io_do(c, &sqe, NULL, 0, NULL), OK);
        for (unsigned j = 0; j < NR_ZONES; j++) {
            check_state(c, j, rows[i].to[j]);
        }
        expect(do_all(c, ZSA_RESET), OK);
        for (unsigned j = 0; j < NR_ZONES; j++) {
            check_zone(c, j, ZS_EMPTY, 0);
        }
        /* With nothing to do it is a success, too */
        expect(do_all(c, rows[i].zsa), OK);
    }

    /* Open acts on closed zones alone */
    put_state(c, 0, ZS_CLOSED, true);
    put_state(c, 3, ZS_CLOSED, false);
    put_state(c, 4, ZS_FULL, false);
    expect(do_all(c, ZSA_OPEN), OK);
    check_zone(c, 0, ZS_EO, 8);
    check_zone(c, 3, ZS_EO, 0);
    check_state(c, 4, ZS_FULL);
    check_zone(c, 7, ZS_EMPTY, 0);

    /* All of them, or none */
    expect(do_all(c, ZSA_RESET), OK);
    put_state(c, 0, ZS_CLOSED, true);
    put_state(c, 1, ZS_CLOSED, true);
    put_state(c, 2, ZS_CLOSED, false);
    expect(do_all(c, ZSA_OPEN), TOO_MANY_OPEN);
    check_zone(c, 0, ZS_CLOSED, 8);
    check_zone(c, 1, ZS_CLOSED, 8);
    check_zone(c, 2, ZS_CLOSED, 0);
    ctrl_stop(c);
}

static void test_mgmt_misuse(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    const uint64_t nsze = zslba(c, NR_ZONES);
    const uint64_t past[] = {
        nsze, nsze + c->zone, 1ull << 32, 1ull << 55, 1ull << 63, UINT64_MAX,
    };
    static const uint8_t zsas[] = {
        ZSA_CLOSE, ZSA_FINISH, ZSA_OPEN, ZSA_RESET, ZSA_OFFLINE,
    };
    uint8_t ext[64] = { 0 };
    Sqe sqe;

    make_states(c);
    for (unsigned i = 0; i < ARRAY_SIZE(zsas); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(past); j++) {
            expect(do_mgmt(c, past[j], zsas[i]), LBA_RANGE);
        }
        /* Not the first block of a zone */
        expect(do_mgmt(c, 1, zsas[i]), INVALID_FIELD);
        expect(do_mgmt(c, zslba(c, 2) - 1, zsas[i]), INVALID_FIELD);
        expect(do_mgmt(c, zslba(c, 3) + 4, zsas[i]), INVALID_FIELD);
        expect(do_mgmt(c, nsze - 1, zsas[i]), INVALID_FIELD);
    }
    /* No such action */
    for (unsigned zsa = 0; zsa < 256; zsa++) {
        if (zsa == 0 || (zsa > ZSA_OFFLINE && zsa < ZSA_SET_EXT) ||
            zsa > ZSA_ZRWA_FLUSH) {
            expect(do_mgmt(c, 0, zsa), INVALID_FIELD);
            expect(do_all(c, zsa), INVALID_FIELD);
        }
    }
    /* No descriptor extensions, and no random write area */
    sqe = sqe_mgmt(0, ZSA_SET_EXT, false);
    expect(io_do(c, &sqe, ext, sizeof(ext), NULL), INVALID_FIELD);
    sqe = sqe_mgmt(0, ZSA_SET_EXT, true);
    expect(io_do(c, &sqe, ext, sizeof(ext), NULL), INVALID_FIELD);
    expect(do_mgmt(c, zslba(c, 3), ZSA_ZRWA_FLUSH), INVALID_ZONE_OPERATION);
    expect(do_all(c, ZSA_ZRWA_FLUSH), INVALID_FIELD);
    sqe = sqe_mgmt(0, ZSA_OPEN, false);
    sqe.dw[13] |= 1 << 9;
    expect(io_do(c, &sqe, NULL, 0, NULL), INVALID_ZONE_OPERATION);
    /* Only a read-only zone is put offline */
    for (unsigned i = 0; i < NR_ZONES; i++) {
        expect(do_mgmt(c, zslba(c, i), ZSA_OFFLINE), INVALID_TRANSITION);
    }
    /* Nothing of that has changed anything */
    check_zone(c, 0, ZS_EMPTY, 0);
    check_state(c, 1, ZS_FULL);
    check_zone(c, 2, ZS_CLOSED, 8);
    check_zone(c, 3, ZS_IO, 4);
    check_zone(c, 4, ZS_EMPTY, 0);
    check_zone(c, 5, ZS_EO, 0);
    check_state(c, 6, ZS_FULL);
    check_zone(c, 7, ZS_EMPTY, 0);
    ctrl_stop(c);
}

/* Writes */

static uint16_t write_zeroes(Ctrl *c, uint64_t slba, unsigned nlb)
{
    return do_simple(c, IO_WRITE_ZEROES, slba, nlb);
}

/* Copy of one range */
static uint16_t copy(Ctrl *c, uint64_t from, unsigned nlb, uint64_t to)
{
    uint8_t range[32] = { 0 };
    Sqe sqe = { .dw = {
        [0] = IO_COPY, [1] = 1, [10] = to, [11] = to >> 32, [12] = 0,
    } };

    put_le(range + 8, from, 8);
    put_le(range + 16, nlb - 1, 2);
    return io_do(c, &sqe, range, sizeof(range), NULL);
}

/* Zone 7 is what is copied from */
static uint16_t copy_to(Ctrl *c, uint64_t slba, unsigned nlb)
{
    return copy(c, zslba(c, 7), nlb, slba);
}

static void test_write_statuses(const void *opaque)
{
    static uint16_t (*const fns[])(Ctrl *, uint64_t, unsigned) = {
        do_write, write_zeroes, copy_to,
    };
    Ctrl *c = ctrl_new(opaque, "");

    expect(do_write(c, zslba(c, 7), 64), OK);
    expect(do_mgmt(c, zslba(c, 7), ZSA_FINISH), OK);
    for (unsigned i = 0; i < ARRAY_SIZE(fns); i++) {
        uint64_t z = zslba(c, 2);

        /* In memory a copy that fails has opened the zone all the same */
        bool keeps = !c->memory || fns[i] != copy_to;

        /* Not at the write pointer */
        expect(fns[i](c, z + 1, 1), ZONE_INVALID_WRITE);
        expect(fns[i](c, z + c->cap - 1, 1), ZONE_INVALID_WRITE);
        expect(fns[i](c, z + c->cap, 1), ZONE_INVALID_WRITE);
        expect(fns[i](c, z + c->zone - 1, 1), ZONE_INVALID_WRITE);
        if (keeps) {
            check_zone(c, 2, ZS_EMPTY, 0);
        }
        expect(fns[i](c, z, 8), OK);
        check_zone(c, 2, ZS_IO, 8);
        expect(fns[i](c, z, 8), ZONE_INVALID_WRITE);
        expect(fns[i](c, z + 7, 1), ZONE_INVALID_WRITE);
        expect(fns[i](c, z + 9, 1), ZONE_INVALID_WRITE);
        /* Neither at it nor within: the pointer counts */
        expect(fns[i](c, z + c->cap - 1, 4), ZONE_INVALID_WRITE);
        check_zone(c, 2, ZS_IO, 8);

        /* Over the end of the capacity */
        expect(do_mgmt(c, z, ZSA_RESET), OK);
        for (unsigned wp = 0; wp < c->cap - 4; ) {
            unsigned n = MIN(c->cap / 4, c->cap - 4 - wp);

            expect(do_write(c, z + wp, n), OK);
            wp += n;
        }
        expect(fns[i](c, z + c->cap - 4, 5), ZONE_BOUNDARY);
        expect(fns[i](c, z + c->cap - 4, 8), ZONE_BOUNDARY);
        check_zone(c, 2, ZS_IO, c->cap - 4);
        expect(fns[i](c, z + c->cap - 4, 4), OK);
        check_state(c, 2, ZS_FULL);
        if (keeps) {
            /* In memory a copy tries to open the zone, see above */
            expect(fns[i](c, z, 1), ZONE_IS_FULL);
            expect(fns[i](c, z + c->cap, 1), ZONE_IS_FULL);
            expect(fns[i](c, z + c->zone - 1, 2), ZONE_IS_FULL);
        }
        expect(do_mgmt(c, z, ZSA_RESET), OK);
    }
    /* Over the end of a zone, at once */
    expect(write_zeroes(c, zslba(c, 2), c->cap + 1), ZONE_BOUNDARY);
    expect(write_zeroes(c, zslba(c, 2), 2 * c->zone), ZONE_BOUNDARY);
    check_zone(c, 2, ZS_EMPTY, 0);
    expect(write_zeroes(c, zslba(c, 2), c->cap), OK);
    check_state(c, 2, ZS_FULL);
    ctrl_stop(c);
}

static void test_write_zeroes(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    Sqe sqe;

    expect(do_write(c, 0, c->cap / 4), OK);
    expect(write_zeroes(c, c->cap / 4, c->cap / 4), OK);
    check_zone(c, 0, ZS_IO, c->cap / 2);
    check_data(c, 0, 16, 0x5a);
    check_data(c, c->cap / 4, 16, 0);
    check_data(c, c->cap / 2 - 16, 16, 0);
    /* With the deallocate bit; and with FUA */
    sqe = sqe_rw(IO_WRITE_ZEROES, c->cap / 2, 8);
    sqe.dw[12] |= 1 << 25;
    expect(io_do(c, &sqe, NULL, 0, NULL), OK);
    sqe = sqe_rw(IO_WRITE_ZEROES, c->cap / 2 + 8, 8);
    sqe.dw[12] |= 1 << 30;
    expect(io_do(c, &sqe, NULL, 0, NULL), OK);
    check_zone(c, 0, ZS_IO, c->cap / 2 + 16);
    ctrl_stop(c);
}

static void test_fua(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    g_autofree uint8_t *data = g_malloc(c->lba * 4);
    Sqe sqe = sqe_rw(IO_WRITE, 0, 4);

    memset(data, 0x33, c->lba * 4);
    sqe.dw[12] |= 1 << 30;
    expect(io_do(c, &sqe, data, c->lba * 4, NULL), OK);
    sqe = sqe_rw(IO_APPEND, 0, 4);
    sqe.dw[12] |= 1 << 30;
    expect(io_do(c, &sqe, data, c->lba * 4, NULL), OK);
    g_assert_cmpuint(last_result(), ==, 4);
    check_zone(c, 0, ZS_IO, 8);
    check_data(c, 0, 8, 0x33);
    ctrl_stop(c);
}

/* A transfer that fails leaves the zone as it was */
static void test_bad_data_pointers(const void *opaque)
{
    static const uint8_t opcodes[] = { IO_WRITE, IO_APPEND };
    Ctrl *c = ctrl_new(opaque, "");
    /* In memory the zone has been opened for it */
    uint8_t left = c->memory ? ZS_IO : ZS_EMPTY;

    for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
        Cmd *cmd;
        Sqe sqe = sqe_rw(opcodes[i], 0, 2 * PAGE / c->lba);

        /* The second page is not aligned */
        sqe.dw[6] = 0x200000;
        sqe.dw[8] = 0x300004;
        cmd = cmd_put(c, 1, &sqe, NULL, 0);
        ring(c, 1);
        expect(cmd_finish(cmd, NULL), INVALID_PRP_OFFSET);
        check_zone(c, 0, left, 0);
        /* The write pointer, not only its report, has stayed */
        expect(do_write(c, 0, 1), OK);
        check_zone(c, 0, ZS_IO, 1);
        expect(do_mgmt(c, 0, ZSA_RESET), OK);
        /* Nor is one that a list has; the list is in zeroed memory */
        sqe = sqe_rw(opcodes[i], 0, 4 * PAGE / c->lba);
        sqe.dw[6] = 0x200000;
        sqe.dw[8] = 0x300000;
        qtest_writeq(c->qts, 0x300000, 0x400000);
        qtest_writeq(c->qts, 0x300008, 0x401008);
        cmd = cmd_put(c, 1, &sqe, NULL, 0);
        ring(c, 1);
        expect(cmd_finish(cmd, NULL), INVALID_PRP_OFFSET);
        check_zone(c, 0, left, 0);
        expect(do_mgmt(c, 0, ZSA_RESET), OK);
        expect(do_write(c, 0, 1), OK);
        expect(do_mgmt(c, 0, ZSA_RESET), OK);
    }
    ctrl_stop(c);
}

/* Data that begins within a page, and data of many pages */
static void test_data_pointers(const void *opaque)
{
    static const unsigned offsets[] = { 0, 4, 512, 2048, 4092 };
    static const unsigned lens[] = { 4096, 8192, 16384, 65536, MDTS_BYTES };
    Ctrl *c = ctrl_new(opaque, "");
    g_autofree uint8_t *out = g_malloc(MDTS_BYTES);
    g_autofree uint8_t *in = g_malloc(MDTS_BYTES);

    for (unsigned i = 0; i < MDTS_BYTES; i++) {
        out[i] = i * 7 + i / 256 * 13;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
        c->offset = offsets[i];
        for (unsigned j = 0; j < ARRAY_SIZE(lens); j++) {
            Sqe w = sqe_rw(IO_WRITE, zslba(c, 4), lens[j] / c->lba);
            Sqe r = sqe_rw(IO_READ, zslba(c, 4), lens[j] / c->lba);

            expect(io_do(c, &w, out, lens[j], NULL), OK);
            expect(io_do(c, &r, NULL, lens[j], in), OK);
            g_assert_true(memcmp(in, out, lens[j]) == 0);
            expect(do_mgmt(c, zslba(c, 4), ZSA_RESET), OK);
        }
    }
    c->offset = 0;
    ctrl_stop(c);
}

/* Append */

static void test_append(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    uint64_t z = zslba(c, 3);
    uint64_t where = 0;

    expect(do_append(c, z, 4, &where), OK);
    g_assert_cmpuint(where, ==, z);
    expect(do_append(c, z, 1, &where), OK);
    g_assert_cmpuint(where, ==, z + 4);
    expect(do_write(c, z + 5, 3), OK);
    expect(do_append(c, z, 8, &where), OK);
    g_assert_cmpuint(where, ==, z + 8);
    check_zone(c, 3, ZS_IO, 16);
    check_data(c, z, 5, 0x5b);
    check_data(c, z + 5, 3, 0x5a);
    check_data(c, z + 8, 8, 0x5b);

    /* Only at the start of a zone */
    expect(do_append(c, z + 16, 1, NULL), INVALID_FIELD);
    expect(do_append(c, z + 1, 1, NULL), INVALID_FIELD);
    expect(do_append(c, z + c->zone - 1, 1, NULL), INVALID_FIELD);
    check_zone(c, 3, ZS_IO, 16);

    /* Not over the capacity; the limits of transfers are checked elsewhere */
    for (unsigned wp = 16; wp < c->cap - 4; ) {
        unsigned n = MIN(c->cap / 4, c->cap - 4 - wp);

        expect(do_append(c, z, n, &where), OK);
        g_assert_cmpuint(where, ==, z + wp);
        wp += n;
    }
    expect(do_append(c, z, 5, NULL), ZONE_BOUNDARY);
    check_zone(c, 3, ZS_IO, c->cap - 4);
    expect(do_append(c, z, 4, &where), OK);
    g_assert_cmpuint(where, ==, z + c->cap - 4);
    check_state(c, 3, ZS_FULL);
    expect(do_append(c, z, 1, NULL), ZONE_IS_FULL);
    ctrl_stop(c);
}

static void test_append_limit(const void *opaque)
{
    const Backend *b = opaque;
    g_autofree char *node = nodes(b, "");
    g_autofree char *ns = namespace_cmd(b, true, "");
    Ctrl *c = ctrl_new(b, "");

    /* No limit of its own: that of transfers */
    expect(do_append(c, 0, MDTS_BYTES / c->lba, NULL), OK);
    expect(do_append(c, 0, MDTS_BYTES / c->lba + 1, NULL), INVALID_FIELD);
    expect(do_write(c, zslba(c, 1), MDTS_BYTES / c->lba + 1), INVALID_FIELD);
    check_zone(c, 0, ZS_IO, MDTS_BYTES / c->lba);
    check_zone(c, 1, ZS_EMPTY, 0);
    ctrl_stop(c);

    /* 2 is 4 pages */
    for (unsigned zasl = 1; zasl < 3; zasl++) {
        g_autofree uint8_t *d = g_malloc(PAGE);
        g_autofree char *cmd = g_strdup_printf(
            "%s -global nvme.zoned.zasl=%u %s", node, zasl, ns);
        unsigned max = (PAGE << zasl) / b->lba;

        image_new(b);
        c = ctrl_boot(b, cmd);
        identify(c, 0x06, 2, d);
        g_assert_cmpuint(d[0], ==, zasl);
        expect(do_append(c, 0, max, NULL), OK);
        expect(do_append(c, 0, max + 1, NULL), INVALID_FIELD);
        expect(do_write(c, max, max + 1), OK);
        check_zone(c, 0, ZS_IO, 2 * max + 1);
        ctrl_stop(c);
    }
}

/* Many in flight, from several queues: each gets a place of its own */
static void test_append_depth(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    const unsigned n = c->lba == 512 ? 5 : 2, nr = 40;
    g_autofree Cmd **cmd = g_new(Cmd *, nr * (MAX_QUEUES - 1));
    g_autofree uint8_t *seen = g_new0(uint8_t, c->cap);
    g_autofree uint8_t *data = g_malloc(n * c->lba);
    unsigned k = 0;

    for (unsigned q = 1; q < MAX_QUEUES; q++) {
        for (unsigned i = 0; i < nr; i++) {
            cmd[k] = put_append(c, q, zslba(c, 1), n, k + 1);
            k++;
        }
    }
    for (unsigned q = 1; q < MAX_QUEUES; q++) {
        ring(c, q);
    }
    for (unsigned i = 0; i < k; i++) {
        bool fits = (i + 1) * n <= c->cap;
        uint64_t at;

        if (cmd_wait(cmd[i], NULL) == ZONE_BOUNDARY ||
            cmd[i]->status == ZONE_IS_FULL) {
            g_assert_false(fits);
            cmd_free(cmd[i]);
            continue;
        }
        expect(cmd[i]->status, OK);
        g_assert_cmpuint(cmd[i]->result, >=, zslba(c, 1));
        at = cmd[i]->result - zslba(c, 1);
        g_assert_cmpuint(at + n, <=, c->cap);
        for (unsigned j = 0; j < n; j++) {
            g_assert_cmpuint(seen[at + j]++, ==, 0);
        }
        expect(do_read(c, cmd[i]->result, n, data), OK);
        for (unsigned j = 0; j < n * c->lba; j++) {
            g_assert_cmphex(data[j], ==, (uint8_t)(i + 1));
        }
        cmd_free(cmd[i]);
    }
    /* No holes */
    for (unsigned i = 0; i < MIN(k, c->cap / n) * n; i++) {
        g_assert_cmpuint(seen[i], ==, 1);
    }
    ctrl_stop(c);
}

/* Writes in order, many in flight */
static void test_write_depth(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");
    const unsigned nr = 60;
    Cmd *cmd[60];

    for (unsigned i = 0; i < nr; i++) {
        cmd[i] = put_write(c, 1, zslba(c, i & 1) + i / 2 * 4, 4, i + 1);
    }
    ring(c, 1);
    for (unsigned i = 0; i < nr; i++) {
        expect(cmd_finish(cmd[i], NULL), OK);
    }
    for (unsigned i = 0; i < nr; i++) {
        check_data(c, zslba(c, i & 1) + i / 2 * 4, 4, i + 1);
    }
    check_zone(c, 0, ZS_IO, nr / 2 * 4);
    check_zone(c, 1, ZS_IO, nr / 2 * 4);

    /* A reset among them */
    for (unsigned i = 0; i < 20; i++) {
        cmd[i] = put_write(c, 1, zslba(c, 2) + i * 4, 4, i + 1);
    }
    {
        Sqe sqe = sqe_mgmt(zslba(c, 2), ZSA_RESET, false);

        cmd[20] = cmd_put(c, 1, &sqe, NULL, 0);
    }
    for (unsigned i = 21; i < 30; i++) {
        cmd[i] = put_write(c, 1, zslba(c, 2) + (i - 21) * 4, 4, i + 1);
    }
    ring(c, 1);
    for (unsigned i = 0; i < 30; i++) {
        uint16_t status = cmd_finish(cmd[i], NULL);

        /*
         * A host that orders commands has to wait for each. In memory the
         * reset lets the write pointer back late, and writes behind it fail.
         */
        if (i <= 20 || !c->memory) {
            expect(status, OK);
        }
    }
    if (!c->memory) {
        check_zone(c, 2, ZS_IO, 36);
        check_data(c, zslba(c, 2), 4, 22);
    }
    ctrl_stop(c);
}

/* Limits */

static void test_limits(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");

    /* The zone written longest ago is closed for another one */
    expect(do_write(c, zslba(c, 0), 4), OK);
    expect(do_write(c, zslba(c, 1), 4), OK);
    expect(do_write(c, zslba(c, 2), 4), OK);
    check_zone(c, 0, ZS_CLOSED, 4);
    check_zone(c, 1, ZS_IO, 4);
    check_zone(c, 2, ZS_IO, 4);
    /* Three are active, and two of them open: the first limit is told */
    expect(do_write(c, zslba(c, 3), 4), TOO_MANY_ACTIVE);
    expect(do_append(c, zslba(c, 3), 4, NULL), TOO_MANY_ACTIVE);
    expect(do_mgmt(c, zslba(c, 3), ZSA_OPEN), TOO_MANY_ACTIVE);
    expect(write_zeroes(c, zslba(c, 3), 4), TOO_MANY_ACTIVE);
    expect(copy(c, zslba(c, 1), 2, zslba(c, 3)), TOO_MANY_ACTIVE);
    if (!c->memory) {
        /* In memory one of them was closed for what was then refused */
        check_zone(c, 1, ZS_IO, 4);
        check_zone(c, 2, ZS_IO, 4);
    }
    check_zone(c, 3, ZS_EMPTY, 0);
    /* A finish makes room, of an empty zone needs none */
    expect(do_mgmt(c, zslba(c, 4), ZSA_FINISH), OK);
    expect(do_mgmt(c, zslba(c, 2), ZSA_FINISH), OK);
    expect(do_write(c, zslba(c, 3), 4), OK);
    check_zone(c, 3, ZS_IO, 4);

    /* Zones that are open by command stay so */
    expect(do_all(c, ZSA_RESET), OK);
    expect(do_mgmt(c, zslba(c, 0), ZSA_OPEN), OK);
    expect(do_mgmt(c, zslba(c, 1), ZSA_OPEN), OK);
    expect(do_write(c, zslba(c, 2), 4), TOO_MANY_OPEN);
    expect(do_append(c, zslba(c, 2), 4, NULL), TOO_MANY_OPEN);
    expect(do_mgmt(c, zslba(c, 2), ZSA_OPEN), TOO_MANY_OPEN);
    expect(copy(c, zslba(c, 1), 2, zslba(c, 2)), TOO_MANY_OPEN);
    expect(write_zeroes(c, zslba(c, 2), c->cap), TOO_MANY_OPEN);
    check_zone(c, 0, ZS_EO, 0);
    check_zone(c, 1, ZS_EO, 0);
    check_zone(c, 2, ZS_EMPTY, 0);
    expect(do_mgmt(c, zslba(c, 2), ZSA_FINISH), OK);
    /* Closed they are still active */
    expect(do_mgmt(c, zslba(c, 0), ZSA_CLOSE), OK);
    expect(do_write(c, zslba(c, 3), 4), OK);
    expect(do_mgmt(c, zslba(c, 1), ZSA_CLOSE), OK);
    expect(do_mgmt(c, zslba(c, 4), ZSA_OPEN), TOO_MANY_ACTIVE);
    /* State, write pointer and boundary come before resources */
    expect(do_write(c, zslba(c, 2), 1), ZONE_IS_FULL);
    expect(do_write(c, zslba(c, 4) + 1, 1), ZONE_INVALID_WRITE);
    expect(write_zeroes(c, zslba(c, 4), c->cap + 1), ZONE_BOUNDARY);
    expect(do_write(c, zslba(c, 4), 1), TOO_MANY_ACTIVE);
    /* A reset gives the slot back */
    expect(do_mgmt(c, zslba(c, 0), ZSA_RESET), OK);
    expect(do_mgmt(c, zslba(c, 4), ZSA_OPEN), OK);
    ctrl_stop(c);
}

/* An open zone that is explicit does not make room for one either */
static void test_limits_mixed(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");

    expect(do_mgmt(c, zslba(c, 0), ZSA_OPEN), OK);
    expect(do_write(c, zslba(c, 1), 4), OK);
    expect(do_write(c, zslba(c, 2), 4), OK);
    check_zone(c, 0, ZS_EO, 0);
    check_zone(c, 1, ZS_CLOSED, 4);
    check_zone(c, 2, ZS_IO, 4);
    /* A closed zone that is written opens, and closes another one */
    expect(do_write(c, zslba(c, 1) + 4, 4), OK);
    check_zone(c, 1, ZS_IO, 8);
    check_zone(c, 2, ZS_CLOSED, 4);
    /* So does an open by command */
    expect(do_mgmt(c, zslba(c, 2), ZSA_OPEN), OK);
    check_zone(c, 1, ZS_CLOSED, 8);
    check_zone(c, 2, ZS_EO, 4);
    expect(do_write(c, zslba(c, 1) + 8, 4), TOO_MANY_OPEN);
    check_zone(c, 1, ZS_CLOSED, 8);
    /* An implicitly open zone that is opened takes no further slot */
    expect(do_mgmt(c, zslba(c, 2), ZSA_RESET), OK);
    expect(do_write(c, zslba(c, 1) + 8, 4), OK);
    expect(do_mgmt(c, zslba(c, 1), ZSA_OPEN), OK);
    check_zone(c, 1, ZS_EO, 12);
    ctrl_stop(c);
}

/* One zone of each */
static void test_limit_of_one(const void *opaque)
{
    const Backend *b = opaque;
    g_autofree char *node = nodes(b, "");
    g_autofree char *ns = namespace_cmd(b, false, b->memory ?
                                        ",zoned.max_active=1,zoned.max_open=1"
                                        : "");
    g_autofree char *cmd = g_strdup_printf("%s %s", node, ns);
    Ctrl *c;

    image_new(b);
    if (!b->memory) {
        image_new_opts("disk.img", OPTS ",zone.max_active_zones=1,"
                       "zone.max_open_zones=1", DISK_SIZE);
    }
    c = ctrl_boot(b, cmd);
    expect(do_write(c, 0, 1), OK);
    expect(do_write(c, 1, 1), OK);
    expect(do_write(c, zslba(c, 1), 1), TOO_MANY_ACTIVE);
    expect(do_mgmt(c, zslba(c, 1), ZSA_OPEN), TOO_MANY_ACTIVE);
    expect(do_mgmt(c, 0, ZSA_OPEN), OK);
    expect(do_mgmt(c, 0, ZSA_CLOSE), OK);
    expect(do_mgmt(c, 0, ZSA_FINISH), OK);
    expect(do_write(c, zslba(c, 1), 1), OK);
    expect(write_zeroes(c, zslba(c, 1) + 1, c->cap - 1), OK);
    expect(write_zeroes(c, zslba(c, 2), c->cap), OK);
    expect(do_mgmt(c, zslba(c, 3), ZSA_OPEN), OK);
    expect(do_append(c, zslba(c, 4), 1, NULL), TOO_MANY_ACTIVE);
    ctrl_stop(c);
}

static const Test command_tests[] = {
    { "identify", test_identify, ALL },
    { "identify-without-limits", test_identify_no_limits, BOTH },
    { "effects-log", test_effects_log, BOTH },
    { "report", test_report, ALL },
    { "report-filters", test_report_filters, BOTH },
    { "report-lengths", test_report_lengths, BOTH },
    { "report-misuse", test_report_misuse, BOTH },
    { "report-many-zones", test_report_many, BOTH },
    { "transitions", test_transitions, ALL },
    { "fill", test_fill, ALL },
    { "select-all", test_select_all, ALL },
    { "mgmt-misuse", test_mgmt_misuse, BOTH },
    { "write-statuses", test_write_statuses, ALL },
    { "write-zeroes", test_write_zeroes, ALL },
    { "fua", test_fua, BOTH },
    { "bad-data-pointers", test_bad_data_pointers, BOTH },
    { "data-pointers", test_data_pointers, ALL },
    { "append", test_append, ALL },
    { "append-limit", test_append_limit, ALL },
    { "append-depth", test_append_depth, ALL },
    { "write-depth", test_write_depth, ALL },
    { "limits", test_limits, ALL },
    { "limits-mixed", test_limits_mixed, BOTH },
    { "limit-of-one", test_limit_of_one, BOTH },
    { NULL },
};

static void add_tests(const Test *tests)
{
    static const Backend backends[] = {
        { "memory", true, 512 }, { "qcow2", false, 512 },
        { "qcow2-4k", false, 4096 },
    };

    for (; tests->name; tests++) {
        for (unsigned i = 0; i < ARRAY_SIZE(backends); i++) {
            g_autofree char *path = NULL;

            if (!(tests->where & 1u << i)) {
                continue;
            }
            path = g_strdup_printf("nvme-zns/%s/%s", backends[i].name,
                                   tests->name);
            qtest_add_data_func(path, &backends[i], tests->fn);
        }
    }
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    if (!getenv("QTEST_QEMU_IMG")) {
        g_test_message("QTEST_QEMU_IMG is not set");
        return EXIT_FAILURE;
    }

    tmpdir = g_dir_make_tmp("nvme-zns-XXXXXX", NULL);
    g_assert_nonnull(tmpdir);
    add_tests(command_tests);
    add_tests(data_tests);
    add_tests(life_tests);
    ret = g_test_run();
    run("rm -rf %s", tmpdir);
    g_free(tmpdir);
    return ret;
}
