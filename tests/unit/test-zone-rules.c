/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zone rules: transitions, limits, ranges, appends, reads, geometry
 *
 * The table of transitions is tested cell by cell, each cell a test of its
 * own, for the two readings of the standards (virtio and ZBC, and ZNS).
 */
#include "qemu/osdep.h"
#include "zone-rules-test.h"

/*** Table of transitions ***/

typedef enum From {
    CONVENTIONAL, EMPTY, IMPLICIT, IMPLICIT_BARE, EXPLICIT, EXPLICIT_BARE,
    CLOSED, CLOSED_BARE, FULL, READ_ONLY, OFFLINE, NR_FROM
} From;

static const char *const from_names[NR_FROM] = {
    "conventional", "empty", "implicit-open", "implicit-open-nothing-written",
    "explicit-open", "explicit-open-nothing-written", "closed",
    "closed-nothing-written", "full", "read-only", "offline",
};

typedef enum Action {
    WRITE, WRITE_FULL, APPEND, APPEND_FULL, OPEN, CLOSE, FINISH, RESET,
    NR_ACTIONS
} Action;

static const char *const action_names[NR_ACTIONS] = {
    "write", "write-to-capacity", "append", "append-to-capacity", "open",
    "close", "finish", "reset",
};

/* States are below 0x100; errors are written as E(). */
#define E(error)    (0x100 + BLK_ZONE_ERR_ ## error)
#define INVALID     E(TRANSITION)
#define APP         E(INVALID_APPEND)

/* zone-rules, "Transitions", virtio and ZBC reading */
static const int table[NR_ACTIONS][NR_FROM] = {
    /*          Conv Empty IO  IO(0) EO  EO(0) Cl  Cl(0) Full     */
    [WRITE] =       { NW, IO, IO, IO, EO, EO, IO, IO, E(FULL),
                      E(READ_ONLY), E(OFFLINE) },
    [WRITE_FULL] =  { NW, FU, FU, FU, FU, FU, FU, FU, E(FULL),
                      E(READ_ONLY), E(OFFLINE) },
    [APPEND] =      { APP, IO, IO, IO, EO, EO, IO, IO, E(FULL),
                      E(READ_ONLY), E(OFFLINE) },
    [APPEND_FULL] = { APP, FU, FU, FU, FU, FU, FU, FU, E(FULL),
                      E(READ_ONLY), E(OFFLINE) },
    [OPEN] =        { INVALID, EO, EO, EO, EO, EO, EO, EO, INVALID,
                      INVALID, INVALID },
    [CLOSE] =       { INVALID, INVALID, CL, EM, CL, EM, CL, CL, INVALID,
                      INVALID, INVALID },
    [FINISH] =      { INVALID, FU, FU, FU, FU, FU, FU, FU, FU,
                      INVALID, INVALID },
    [RESET] =       { INVALID, EM, EM, EM, EM, EM, EM, EM, EM,
                      INVALID, INVALID },
};

/* Bring zone B (or, for CONVENTIONAL, zone 0) there. */
static ZoneRules *bring(ZoneRules *zr, From from)
{
    switch (from) {
    case IMPLICIT:
        put(zr, B, PART);
        break;
    case IMPLICIT_BARE:
        lose(zr, begin(zr, at(B), PART));
        break;
    case EXPLICIT:
        put(zr, B, PART);
        /* fall through */
    case EXPLICIT_BARE:
        g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, B), ==, 0);
        break;
    case CLOSED:
        return come_up(zr, B, at(B) + PART);
    case CLOSED_BARE:
        g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, B), ==, 0);
        g_assert_cmpint(op(zr, ZONE_OP_CLOSE, ZONE_OP_ZNS, at(B), ZONE), ==,
                        0);
        break;
    case FULL:
        return come_up(zr, B, at(B) + CAP);
    case READ_ONLY:
        put(zr, B, PART);
        zone_rules_set_worn(zr, B, ZONE_STATE_READ_ONLY);
        break;
    case OFFLINE:
        zone_rules_set_worn(zr, B, ZONE_STATE_OFFLINE);
        break;
    default:
        break;
    }
    return zr;
}

typedef struct Cell {
    Action action;
    From from;
    unsigned flags;
} Cell;

static void test_cell(const void *data)
{
    const Cell *c = data;
    ZoneGeometry g = small;
    ZoneRules *zr;
    uint32_t i = c->from == CONVENTIONAL ? 0 : B;
    uint64_t before, after, room;
    ZoneState from;
    ZoneWrite w;
    bool write = c->action <= APPEND_FULL;
    int expect = table[c->action][c->from];
    int ret;

    g.max_append = CAP;
    zr = rules_for(&g);
    zr = bring(zr, c->from);
    from = state(zr, i);
    before = wp(zr, i);
    room = CAP - before;
    if (c->flags & ZONE_OP_ZNS && expect == EM && c->action == CLOSE) {
        expect = CL;
    }

    switch (c->action) {
    case WRITE:
        ret = zone_write_begin(zr, at(i) + before, PART, &w);
        break;
    case WRITE_FULL:
        ret = zone_write_begin(zr, at(i) + before, room ?: PART, &w);
        break;
    case APPEND:
        ret = zone_append_begin(zr, at(i), PART, &w);
        break;
    case APPEND_FULL:
        ret = zone_append_begin(zr, at(i), room ?: PART, &w);
        break;
    default:
        ret = op(zr, ZONE_OP_OPEN + (c->action - OPEN), c->flags, at(i), ZONE);
    }

    if (expect >= 0x100) {
        g_assert_cmpint(ret, ==, -(expect - 0x100));
        check(zr, i, from, before);
    } else {
        g_assert_cmpint(ret, ==, 0);
        if (write) {
            g_assert_cmpuint(w.start, ==, at(i) + before);
            make_ready(zr, &w);
            complete(zr, &w);
            zone_write_end(zr, &w);
        }
        after = i == 0 ? 0 :
                expect == FU ? CAP :
                expect == EM ? 0 :
                write ? before + PART : before;
        check(zr, i, expect, after);
        check_counts(zr, expect == IO || expect == EO,
                     expect == IO || expect == EO || expect == CL);
    }
    zone_rules_free(zr);
}

static void add_cells(void)
{
    int action, from, zns;

    for (action = 0; action < NR_ACTIONS; action++) {
        for (from = 0; from < NR_FROM; from++) {
            for (zns = 0; zns < (action >= OPEN ? 2 : 1); zns++) {
                Cell c = { action, from, zns ? ZONE_OP_ZNS : 0 };
                g_autofree char *path = g_strdup_printf(
                    "/zone-rules/transition/%s/%s%s", action_names[action],
                    from_names[from], zns ? "/zns" : "");

                g_test_add_data_func_full(path, g_memdup2(&c, sizeof(c)),
                                          test_cell, g_free);
            }
        }
    }
}

/*** Order of checks, boundaries ***/

static void test_order_of_checks(void)
{
    ZoneRules *zr = new_rules(2, 2);

    /* State before everything */
    zr = come_up(zr, A, at(A) + CAP);
    refuse_write(zr, at(A) + PART, ZONE, BLK_ZONE_ERR_FULL);
    refuse_append(zr, at(A), PART, BLK_ZONE_ERR_FULL);
    zone_rules_set_worn(zr, LAST, ZONE_STATE_OFFLINE);
    refuse_write(zr, at(LAST) + PART, 2 * ZONE, BLK_ZONE_ERR_OFFLINE);
    zone_rules_set_worn(zr, LAST, ZONE_STATE_READ_ONLY);
    refuse_write(zr, at(LAST) + PART, 2 * ZONE, BLK_ZONE_ERR_READ_ONLY);
    /* The write pointer before the boundary */
    refuse_write(zr, at(B) + 512, CAP, BLK_ZONE_ERR_UNALIGNED_WP);
    refuse_write(zr, at(B) + CAP, 512, BLK_ZONE_ERR_UNALIGNED_WP);
    /* The boundary before resources */
    put(zr, B, PART);
    put(zr, C, PART);
    refuse_write(zr, at(D), CAP + 512, BLK_ZONE_ERR_BOUNDARY);
    refuse_append(zr, at(D), 256 * KIB, BLK_ZONE_ERR_ACTIVE_LIMIT);
    refuse_write(zr, at(D), CAP, BLK_ZONE_ERR_ACTIVE_LIMIT);
    check_counts(zr, 2, 2);
    zone_rules_free(zr);
}

static void test_boundary(void)
{
    ZoneRules *zr = new_rules(0, 0);

    refuse_write(zr, at(A), CAP + 512, BLK_ZONE_ERR_BOUNDARY);
    refuse_write(zr, at(A), ZONE, BLK_ZONE_ERR_BOUNDARY);
    refuse_write(zr, at(A), 3 * ZONE, BLK_ZONE_ERR_BOUNDARY);
    put(zr, A, CAP - 512);
    refuse_write(zr, at(A) + CAP - 512, 1024, BLK_ZONE_ERR_BOUNDARY);
    refuse_append(zr, at(A), 1024, BLK_ZONE_ERR_BOUNDARY);
    check(zr, A, IO, CAP - 512);
    put(zr, A, 512);
    check(zr, A, FU, CAP);
    /* Between capacity and end of the zone there is nothing to write. */
    refuse_write(zr, at(A) + CAP, 512, BLK_ZONE_ERR_FULL);
    zone_rules_free(zr);
}

static void test_conventional(void)
{
    ZoneRules *zr = new_rules(1, 1);
    ZoneWrite *w;
    ZoneInfo info;

    /* Anywhere, over zones' ends, again and again, however it ends */
    w = begin_bare(zr, 0, 2 * ZONE);
    g_assert_true(zone_write_has_turn(zr, w));
    g_assert_true(zone_write_is_ready(zr, w));
    g_assert_cmpuint(zone_rules_in_flight(zr, 0), ==, 0);
    done(zr, w);
    lose(zr, begin(zr, ZONE - 512, 1024));
    /* Two at once in one place, where the upper one fails first */
    w = begin(zr, 512, 512);
    lose(zr, begin(zr, 512, 512));
    g_assert_false(zone_rules_blocked(zr, 0));
    complete(zr, w);
    /* One that could not be made durable stays, and answers its error. */
    g_assert_false(zone_write_give_back(zr, w));
    check_stage(w, ZONE_WRITE_COMPLETE);
    end(zr, w);
    check(zr, 0, NW, 0);
    check(zr, 1, NW, 0);
    check_counts(zr, 0, 0);
    check_ends(zr, 1, 0, 0);
    g_assert_false(zone_rules_blocked(zr, 0));
    g_assert_false(zone_op_begin(zr, ZONE_OP_RESET, ZONE_OP_ALL, 0));
    g_assert_false(zone_op_begin(zr, ZONE_OP_FINISH, ZONE_OP_ALL, 0));
    zone_rules_get(zr, 0, &info);
    g_assert_true(info.conventional);
    g_assert_cmpuint(info.capacity, ==, ZONE);
    CHECK_READ(zr, 512, 2 * ZONE, 2 * ZONE - 512, -512);
    refuse_append(zr, 0, 512, BLK_ZONE_ERR_INVALID_APPEND);
    zone_rules_free(zr);
}

static void test_from_conventional_to_sequential(void)
{
    ZoneRules *zr = new_rules(0, 0);

    /* Checked against both: the sequential zone has its say first. */
    refuse_write(zr, at(A) - 512, 1024, BLK_ZONE_ERR_BOUNDARY);
    refuse_write(zr, 0, small.disk_size, BLK_ZONE_ERR_BOUNDARY);
    put(zr, A, PART);
    refuse_write(zr, at(A) - 512, 1024, BLK_ZONE_ERR_UNALIGNED_WP);
    put(zr, A, CAP - PART);
    refuse_write(zr, at(A) - 512, 1024, BLK_ZONE_ERR_FULL);
    /* One that would be refused may be asked for while the zone is blocked. */
    begin_op_one(zr, ZONE_OP_RESET, A);
    refuse_write(zr, at(A) - 512, 1024, BLK_ZONE_ERR_FULL);
    zone_op_end(zr, ZONE_OP_RESET, A, true);
    zone_rules_set_worn(zr, A, ZONE_STATE_OFFLINE);
    refuse_write(zr, at(A) - 512, 1024, BLK_ZONE_ERR_OFFLINE);
    zone_rules_free(zr);
}

/*** Appends ***/

static void test_append_places(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[3];
    int k;

    for (k = 0; k < 3; k++) {
        w[k] = begin_append(zr, A, 256 * KIB);
        g_assert_cmpuint(w[k]->start, ==, at(A) + k * 256 * KIB);
    }
    check(zr, A, FU, CAP);
    for (k = 2; k >= 0; k--) {
        done(zr, w[k]);
    }
    check_ends(zr, A, CAP, CAP);
    zone_rules_free(zr);
}

static void test_append_refused(void)
{
    ZoneGeometry g = small;
    ZoneRules *zr = new_rules(0, 0);

    refuse_append(zr, at(A), 0, EINVAL);
    refuse_append(zr, at(A), 511, EINVAL);
    refuse_append(zr, at(A), 513, EINVAL);
    refuse_append(zr, at(A) + 512, 512, BLK_ZONE_ERR_INVALID_APPEND);
    refuse_append(zr, at(0), 512, BLK_ZONE_ERR_INVALID_APPEND);
    refuse_append(zr, at(8), 512, BLK_ZONE_ERR_INVALID_APPEND);
    refuse_append(zr, small.disk_size, 512, BLK_ZONE_ERR_INVALID_APPEND);
    refuse_append(zr, UINT64_MAX, 512, BLK_ZONE_ERR_INVALID_APPEND);
    refuse_append(zr, 1ull << 63, 512, BLK_ZONE_ERR_INVALID_APPEND);
    refuse_append(zr, at(A), 256 * KIB + 512, BLK_ZONE_ERR_INVALID_APPEND);
    refuse_append(zr, at(A), 1ull << 63, BLK_ZONE_ERR_INVALID_APPEND);
    check(zr, A, EM, 0);
    zone_rules_free(zr);

    g.max_append = 0;
    zr = rules_for(&g);
    refuse_append(zr, at(A), 512, BLK_ZONE_ERR_INVALID_APPEND);
    zone_rules_free(zr);
}

/*** Limits ***/

static void test_active_limit(void)
{
    ZoneRules *zr = new_rules(3, 0);

    zr = come_up(zr, C, at(C) + PART);
    put(zr, A, PART);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, B), ==, 0);
    check_counts(zr, 2, 3);
    refuse_write(zr, at(D), PART, BLK_ZONE_ERR_ACTIVE_LIMIT);
    refuse_append(zr, at(D), PART, BLK_ZONE_ERR_ACTIVE_LIMIT);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, D), ==,
                    -BLK_ZONE_ERR_ACTIVE_LIMIT);
    check(zr, D, EM, 0);
    /* Those that are active go on. */
    put(zr, A, PART);
    put(zr, B, PART);
    put(zr, C, PART);
    check_counts(zr, 3, 3);
    /* A slot comes free by filling, by finish, by reset. */
    put(zr, A, CAP - 2 * PART);
    put(zr, D, PART);
    refuse_write(zr, at(E), PART, BLK_ZONE_ERR_ACTIVE_LIMIT);
    g_assert_cmpint(op_one(zr, ZONE_OP_FINISH, B), ==, 0);
    put(zr, E, PART);
    refuse_write(zr, at(LAST), PART, BLK_ZONE_ERR_ACTIVE_LIMIT);
    g_assert_cmpint(op_one(zr, ZONE_OP_RESET, C), ==, 0);
    put(zr, LAST, PART);
    check_counts(zr, 3, 3);
    zone_rules_free(zr);
}

static void test_open_limit_closes_written_longest_ago(void)
{
    ZoneRules *zr = new_rules(0, 3);

    put(zr, A, PART);
    put(zr, B, PART);
    put(zr, C, PART);
    put(zr, A, PART);           /* now B is the one written longest ago */
    put(zr, D, PART);
    check(zr, B, CL, PART);
    check_counts(zr, 3, 4);
    /* An explicit open makes room in the same way, an append too. */
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, E), ==, 0);
    check(zr, C, CL, PART);
    done(zr, begin_append(zr, C, PART));
    check(zr, A, CL, 2 * PART);
    check(zr, C, IO, 2 * PART);
    check(zr, D, IO, PART);
    check(zr, E, EO, 0);
    check_counts(zr, 3, 5);
    /* Opening one that is open closes none. */
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, D), ==, 0);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, D), ==, 0);
    check_counts(zr, 3, 5);
    check(zr, C, IO, 2 * PART);
    zone_rules_free(zr);
}

static void test_closed_to_make_room_with_nothing_written(void)
{
    ZoneRules *zr = new_rules(0, 1);

    lose(zr, begin(zr, at(A), PART));
    check(zr, A, IO, 0);
    put(zr, B, PART);
    check(zr, A, EM, 0);
    check_counts(zr, 1, 1);
    zone_rules_free(zr);
}

static void test_open_limit_all_explicit(void)
{
    ZoneRules *zr = new_rules(4, 2);

    zr = come_up(zr, C, at(C) + PART);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, A), ==, 0);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, B), ==, 0);
    refuse_write(zr, at(D), PART, BLK_ZONE_ERR_OPEN_LIMIT);
    refuse_append(zr, at(D), PART, BLK_ZONE_ERR_OPEN_LIMIT);
    refuse_write(zr, at(C) + PART, PART, BLK_ZONE_ERR_OPEN_LIMIT);
    /* Also one that would fill the zone at once: it is open for a moment. */
    refuse_write(zr, at(D), CAP, BLK_ZONE_ERR_OPEN_LIMIT);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, C), ==, -BLK_ZONE_ERR_OPEN_LIMIT);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, D), ==, -BLK_ZONE_ERR_OPEN_LIMIT);
    check(zr, C, CL, PART);
    check(zr, D, EM, 0);
    check_counts(zr, 2, 3);

    /* Finish needs no slot: of an empty, a closed, an open zone. */
    g_assert_cmpint(op_one(zr, ZONE_OP_FINISH, D), ==, 0);
    check(zr, D, FU, CAP);
    g_assert_cmpint(op_one(zr, ZONE_OP_FINISH, C), ==, 0);
    check_counts(zr, 2, 2);
    g_assert_cmpint(op_one(zr, ZONE_OP_FINISH, A), ==, 0);
    put(zr, E, PART);
    check_counts(zr, 2, 2);
    zone_rules_free(zr);
}

static void test_both_limits_say_active(void)
{
    ZoneRules *zr = new_rules(1, 1);

    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, A), ==, 0);
    refuse_write(zr, at(B), PART, BLK_ZONE_ERR_ACTIVE_LIMIT);
    refuse_append(zr, at(B), PART, BLK_ZONE_ERR_ACTIVE_LIMIT);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, B), ==,
                    -BLK_ZONE_ERR_ACTIVE_LIMIT);
    /* Finish of an empty zone at the active limit */
    g_assert_cmpint(op_one(zr, ZONE_OP_FINISH, B), ==, 0);
    check_counts(zr, 1, 1);
    zone_rules_free(zr);
}

static void test_active_limit_holds_for_open(void)
{
    ZoneRules *zr = new_rules(2, 0);
    uint32_t i;

    /* More closed zones than the limit, as a crash may leave them */
    for (i = A; i <= D; i++) {
        zr = come_up(zr, i, at(i) + PART);
    }
    check_counts(zr, 0, 4);
    refuse_write(zr, at(E), PART, BLK_ZONE_ERR_ACTIVE_LIMIT);
    put(zr, A, PART);
    put(zr, B, PART);
    put(zr, C, PART);
    check(zr, A, CL, 2 * PART);
    check_counts(zr, 2, 4);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, D), ==, 0);
    check(zr, B, CL, 2 * PART);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, C), ==, 0);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, A), ==, -BLK_ZONE_ERR_OPEN_LIMIT);
    /* Below the limit again, an empty one may become active. */
    g_assert_cmpint(op_one(zr, ZONE_OP_RESET, A), ==, 0);
    g_assert_cmpint(op_one(zr, ZONE_OP_RESET, B), ==, 0);
    refuse_write(zr, at(E), PART, BLK_ZONE_ERR_ACTIVE_LIMIT);
    g_assert_cmpint(op_one(zr, ZONE_OP_RESET, C), ==, 0);
    put(zr, E, PART);
    zone_rules_free(zr);
}

static void test_no_limits(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t i;

    for (i = A; i < 7; i++) {
        g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, i), ==, 0);
    }
    check_counts(zr, 5, 5);
    put(zr, 7, PART);
    check_counts(zr, 6, 6);
    zone_rules_free(zr);
}

static void test_failure_out_of_full_may_exceed_limits(void)
{
    ZoneRules *zr = new_rules(1, 1);
    ZoneWrite *w;

    put(zr, A, PART);
    w = begin_next(zr, A, CAP - PART);
    check(zr, A, FU, CAP);
    put(zr, B, PART);
    lose(zr, w);
    check(zr, A, CL, PART);
    check_counts(zr, 1, 2);
    refuse_write(zr, at(C), PART, BLK_ZONE_ERR_ACTIVE_LIMIT);
    /* Closed, it may be opened in turn. */
    put(zr, A, PART);
    check(zr, B, CL, PART);
    zone_rules_free(zr);
}

/*** Ranges and all zones ***/

static void test_malformed_ranges(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneOpType t;

    for (t = ZONE_OP_OPEN; t <= ZONE_OP_RESET; t++) {
        g_assert_cmpint(op(zr, t, 0, at(A), 0), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, at(A) + 512, ZONE), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, at(A), 512), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, at(A), ZONE + 512), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, at(7), ZONE), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, at(8), ZONE), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, small.disk_size, 512), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, at(A), 0 - at(1)), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, 0 - at(1), at(1)), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, 0 - at(1), at(3)), ==, -EINVAL);
        g_assert_cmpint(op(zr, t, 0, at(A), UINT64_MAX), ==, -EINVAL);
    }
    check_counts(zr, 0, 0);
    zone_rules_free(zr);
}

static void test_range_acts_on_every_zone(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t i;

    put(zr, B, PART);
    g_assert_cmpint(op(zr, ZONE_OP_OPEN, 0, at(A), 3 * ZONE), ==, 0);
    check(zr, A, EO, 0);
    check(zr, B, EO, PART);
    check(zr, C, EO, 0);
    check(zr, D, EM, 0);
    g_assert_cmpint(op(zr, ZONE_OP_CLOSE, 0, at(A), 3 * ZONE), ==, 0);
    check(zr, A, EM, 0);
    check(zr, B, CL, PART);
    /* To the end of the disk, where a zone is short; A and B stay. */
    g_assert_cmpint(op(zr, ZONE_OP_FINISH, 0, at(C), small.disk_size - at(C)),
                    ==, 0);
    for (i = C; i < 7; i++) {
        check(zr, i, FU, CAP);
    }
    check(zr, 7, FU, ZONE / 2);
    /* Only what changes is begun. */
    g_assert_cmphex(begin_op(zr, ZONE_OP_RESET, 0, at(A), 3 * ZONE), ==,
                    1u << B | 1u << C);
    end_op(zr, ZONE_OP_RESET, 1u << B | 1u << C, true);
    check(zr, B, EM, 0);
    check(zr, C, EM, 0);
    check(zr, D, FU, CAP);
    zone_rules_free(zr);
}

static void test_range_fails_whole(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneOpType t;

    /* A conventional zone, or one whose state forbids it: nothing changes. */
    put(zr, A, PART);
    for (t = ZONE_OP_OPEN; t <= ZONE_OP_RESET; t++) {
        uint32_t first = 77, last = 77;
        unsigned flags = 0;

        g_assert_cmpint(op(zr, t, 0, at(1), 3 * ZONE), ==,
                        -BLK_ZONE_ERR_TRANSITION);
        /* Which zones it is about is told all the same. */
        check_op(zr, t, &flags, at(1), 3 * ZONE, &first, &last);
        g_assert_cmpuint(first, ==, 1);
        g_assert_cmpuint(last, ==, 4);
        g_assert_cmphex(flags, ==, 0);
        check(zr, A, IO, PART);
        check(zr, B, EM, 0);
    }
    put(zr, B, CAP);
    g_assert_cmpint(op(zr, ZONE_OP_OPEN, 0, at(A), 2 * ZONE), ==,
                    -BLK_ZONE_ERR_TRANSITION);
    g_assert_cmpint(op(zr, ZONE_OP_CLOSE, 0, at(A), 2 * ZONE), ==,
                    -BLK_ZONE_ERR_TRANSITION);
    zone_rules_set_worn(zr, B, ZONE_STATE_READ_ONLY);
    g_assert_cmpint(op(zr, ZONE_OP_FINISH, 0, at(A), 2 * ZONE), ==,
                    -BLK_ZONE_ERR_TRANSITION);
    g_assert_cmpint(op(zr, ZONE_OP_RESET, 0, at(A), 2 * ZONE), ==,
                    -BLK_ZONE_ERR_TRANSITION);
    check(zr, A, IO, PART);
    zone_rules_free(zr);
}

static void test_open_range_runs_out_midway(void)
{
    ZoneRules *zr = new_rules(0, 2);

    g_assert_cmpint(op(zr, ZONE_OP_OPEN, 0, at(A), 3 * ZONE), ==,
                    -BLK_ZONE_ERR_OPEN_LIMIT);
    check(zr, A, EO, 0);
    check(zr, B, EO, 0);
    check(zr, C, EM, 0);
    zone_rules_free(zr);
}

/*
 * One zone in each state: A IO, B EO, C Closed, D Full, 6 Offline, 7 Empty (but
 * with its pointer at @last)
 */
static ZoneRules *one_of_each_but(uint32_t max_open, uint64_t last)
{
    ZoneRules *zr = new_rules(0, max_open);

    zr = come_up(zr, C, at(C) + PART);
    zr = come_up(zr, D, at(D) + CAP);
    zr = come_up(zr, LAST, at(LAST) + last);
    put(zr, A, PART);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, B), ==, 0);
    zone_rules_set_worn(zr, E, ZONE_STATE_OFFLINE);
    return zr;
}

static ZoneRules *one_of_each(uint32_t max_open)
{
    return one_of_each_but(max_open, 0);
}

static void test_open_all(void)
{
    ZoneRules *zr = one_of_each(0);

    g_assert_cmpint(op(zr, ZONE_OP_OPEN, ZONE_OP_ALL, 77, 0), ==, 0);
    check(zr, A, IO, PART);
    check(zr, B, EO, 0);
    check(zr, C, EO, PART);
    check(zr, D, FU, CAP);
    check(zr, E, OF, 0);
    check(zr, LAST, EM, 0);
    check(zr, 0, NW, 0);
    g_assert_cmpint(op(zr, ZONE_OP_OPEN, ZONE_OP_ALL, 0, 0), ==, 0);
    zone_rules_free(zr);

    /* Implicitly open ones make room. */
    zr = one_of_each(2);
    g_assert_cmpint(op(zr, ZONE_OP_OPEN, ZONE_OP_ALL, 0, 0), ==, 0);
    check(zr, A, CL, PART);
    check(zr, C, EO, PART);
    check_counts(zr, 2, 3);
    /* All or nothing: A is closed now, and B and C are explicit. */
    g_assert_cmpint(op(zr, ZONE_OP_OPEN, ZONE_OP_ALL, 0, 0), ==,
                    -BLK_ZONE_ERR_OPEN_LIMIT);
    zone_rules_free(zr);

    zr = one_of_each_but(2, PART);
    g_assert_cmpint(op(zr, ZONE_OP_OPEN, ZONE_OP_ALL, 0, 0), ==,
                    -BLK_ZONE_ERR_OPEN_LIMIT);
    check(zr, A, IO, PART);
    check(zr, B, EO, 0);
    check(zr, C, CL, PART);
    check(zr, LAST, CL, PART);
    zone_rules_free(zr);
}

/* What was found is not taken for what it is no more. */
static void test_open_all_looks_again(void)
{
    ZoneRules *zr = one_of_each_but(2, PART);
    uint32_t zones[] = { LAST, A, B, C };

    put(zr, C, PART);
    g_assert_cmpint(zone_op_open_all(zr, zones, 4), ==,
                    -BLK_ZONE_ERR_OPEN_LIMIT);
    check(zr, A, CL, PART);
    put(zr, A, PART);
    g_assert_cmpint(zone_op_open_all(zr, zones, 2), ==, 0);
    check(zr, A, CL, 2 * PART);
    check(zr, B, EO, 0);
    check(zr, C, CL, 2 * PART);
    check(zr, LAST, EO, PART);
    zone_rules_free(zr);
}

static void test_close_all(void)
{
    ZoneRules *zr = one_of_each(0);

    g_assert_cmpint(op(zr, ZONE_OP_CLOSE, ZONE_OP_ALL, 0, 0), ==, 0);
    check(zr, A, CL, PART);
    check(zr, B, EM, 0);
    check(zr, C, CL, PART);
    check(zr, D, FU, CAP);
    check(zr, LAST, EM, 0);
    check_counts(zr, 0, 2);
    zone_rules_free(zr);

    zr = one_of_each(0);
    g_assert_cmpint(op(zr, ZONE_OP_CLOSE, ZONE_OP_ALL | ZONE_OP_ZNS, 0, 0), ==,
                    0);
    check(zr, B, CL, 0);
    check_counts(zr, 0, 3);
    zone_rules_free(zr);
}

static void test_finish_all(void)
{
    ZoneRules *zr = one_of_each(0);
    uint32_t zones = begin_op(zr, ZONE_OP_FINISH, ZONE_OP_ALL, 77, 0);

    g_assert_cmphex(zones, ==, 1u << A | 1u << B | 1u << C);
    end_op(zr, ZONE_OP_FINISH, zones, true);
    check(zr, A, FU, CAP);
    check(zr, B, FU, CAP);
    check(zr, C, FU, CAP);
    check(zr, LAST, EM, 0);
    check(zr, E, OF, 0);
    check_counts(zr, 0, 0);
    /* Nothing is left to finish. */
    g_assert_cmphex(begin_op(zr, ZONE_OP_FINISH, ZONE_OP_ALL, 0, 0), ==, 0);
    zone_rules_free(zr);
}

static void test_reset_all(void)
{
    ZoneRules *zr = one_of_each_but(0, ZONE / 2);
    uint32_t zones;

    zones = begin_op(zr, ZONE_OP_RESET, ZONE_OP_ALL, 0, 0);
    g_assert_cmphex(zones, ==, 1u << A | 1u << B | 1u << C | 1u << D |
                    1u << LAST);
    end_op(zr, ZONE_OP_RESET, zones, false);
    check(zr, A, IO, PART);
    check(zr, D, FU, CAP);
    g_assert_cmpint(op(zr, ZONE_OP_RESET, ZONE_OP_ALL, 0, 0), ==, 0);
    check(zr, A, EM, 0);
    check(zr, B, EM, 0);
    /* The whole disk as a range is the same, and is so for no other. */
    put(zr, B, PART);
    g_assert_cmpint(op(zr, ZONE_OP_FINISH, 0, 0, small.disk_size), ==,
                    -BLK_ZONE_ERR_TRANSITION);
    check(zr, B, IO, PART);
    {
        unsigned flags = ZONE_OP_ZNS;
        uint32_t first, last;

        g_assert_cmpint(check_op(zr, ZONE_OP_FINISH, &flags, at(B),
                                      2 * ZONE, &first, &last), ==, 0);
        g_assert_cmphex(flags, ==, ZONE_OP_ZNS);
        g_assert_cmpuint(first, ==, B);
        g_assert_cmpuint(last, ==, D);
        g_assert_cmpint(check_op(zr, ZONE_OP_RESET, &flags, 0,
                                      small.disk_size, &first, &last), ==, 0);
        g_assert_cmphex(flags, ==, ZONE_OP_ALL | ZONE_OP_ZNS);
    }
    g_assert_cmpint(op(zr, ZONE_OP_RESET, 0, 0, small.disk_size), ==, 0);
    check(zr, B, EM, 0);
    check(zr, C, EM, 0);
    check(zr, D, EM, 0);
    check(zr, E, OF, 0);
    check(zr, LAST, EM, 0);
    check_counts(zr, 0, 0);
    zone_rules_free(zr);
}

/* A zone that a finish or reset waits for stays as it is. */
static void test_all_passes_over_pending_zones(void)
{
    ZoneRules *zr = one_of_each_but(3, PART);

    begin_op_one(zr, ZONE_OP_RESET, C);
    g_assert_cmpint(op(zr, ZONE_OP_OPEN, ZONE_OP_ALL, 0, 0), ==, 0);
    /* With C it would have been one more than A made room for. */
    check(zr, A, IO, PART);
    check(zr, B, EO, 0);
    check(zr, C, CL, PART);
    check(zr, LAST, EO, PART);
    begin_op_one(zr, ZONE_OP_FINISH, A);
    begin_op_one(zr, ZONE_OP_FINISH, B);
    g_assert_cmpint(op(zr, ZONE_OP_CLOSE, ZONE_OP_ALL, 0, 0), ==, 0);
    check(zr, A, IO, PART);
    check(zr, B, EO, 0);
    check(zr, C, CL, PART);
    check(zr, LAST, CL, PART);
    end_op(zr, ZONE_OP_FINISH, 1u << A | 1u << B, false);
    zone_op_end(zr, ZONE_OP_RESET, C, true);
    g_assert_cmpint(op(zr, ZONE_OP_CLOSE, ZONE_OP_ALL, 0, 0), ==, 0);
    check(zr, A, CL, PART);
    check(zr, B, EM, 0);
    check(zr, C, EM, 0);
    check_counts(zr, 0, 2);
    zone_rules_free(zr);
}

/* A finish of a Full zone is one like others, but where all are meant. */
static void test_finish_of_a_full_zone(void)
{
    ZoneRules *zr = one_of_each(0);
    uint32_t generation = zone_rules_generation(zr, D);

    g_assert_false(zone_op_begin(zr, ZONE_OP_FINISH, ZONE_OP_ALL, D));
    begin_op_one(zr, ZONE_OP_FINISH, D);
    zone_op_end(zr, ZONE_OP_FINISH, D, false);
    g_assert_cmpuint(zone_rules_generation(zr, D), ==, generation);
    begin_op_one(zr, ZONE_OP_FINISH, D);
    zone_op_end(zr, ZONE_OP_FINISH, D, true);
    g_assert_cmpuint(zone_rules_generation(zr, D), !=, generation);
    check(zr, D, FU, CAP);
    zone_rules_free(zr);
}

/*** Reads, geometry ***/

static void test_reads(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w;
    uint64_t n;

    put(zr, B, CAP);
    put(zr, C, PART);
    /* Full to its capacity, zeros to its end, and so on zone by zone */
    CHECK_READ(zr, 0, at(D), 2 * ZONE, -(int64_t)ZONE, CAP,
               -(int64_t)(ZONE - CAP), PART, -(int64_t)(ZONE - PART));
    CHECK_READ(zr, at(C) + PART - 512, 1024, 512, -512);
    CHECK_READ(zr, at(C) + PART, 512, -512);
    /* Zeros of a write in flight go on in those above the pointer. */
    w = begin_next(zr, C, PART);
    CHECK_READ(zr, at(C), ZONE, PART, -(int64_t)(ZONE - PART));
    CHECK_READ(zr, at(C) + PART + 512, ZONE - PART - 512,
               -(int64_t)(ZONE - PART - 512));
    done(zr, w);
    CHECK_READ(zr, at(C), 2 * PART, 2 * PART);
    CHECK_READ(zr, small.disk_size - 512, 512, -512);

    zone_rules_set_worn(zr, C, ZONE_STATE_READ_ONLY);
    CHECK_READ(zr, at(C), 2 * PART, 2 * PART);
    zone_rules_set_worn(zr, C, ZONE_STATE_OFFLINE);
    g_assert_cmpint(zone_read_part(zr, at(C) + 512, 2 * ZONE, &n), ==,
                    -BLK_ZONE_ERR_OFFLINE);
    g_assert_cmpuint(n, ==, ZONE - 512);
    zone_rules_free(zr);
}

static void test_short_last_zone(void)
{
    ZoneGeometry g = small;
    ZoneRules *zr = new_rules(0, 0);
    ZoneInfo info;

    /* Shorter than the capacity */
    zone_rules_get(zr, 7, &info);
    g_assert_cmpuint(info.start, ==, at(7));
    g_assert_cmpuint(info.length, ==, ZONE / 2);
    g_assert_cmpuint(info.capacity, ==, ZONE / 2);
    g_assert_false(info.conventional);
    g_assert_cmpuint(zone_rules_capacity_end(zr, 7), ==, small.disk_size);
    put(zr, 7, ZONE / 2 - 512);
    put(zr, 7, 512);
    check(zr, 7, FU, ZONE / 2);
    g_assert_cmpint(op_one(zr, ZONE_OP_RESET, 7), ==, 0);
    g_assert_cmpint(op_one(zr, ZONE_OP_FINISH, 7), ==, 0);
    check(zr, 7, FU, ZONE / 2);
    CHECK_READ(zr, at(7), ZONE / 2, ZONE / 2);
    zone_rules_free(zr);

    /* Longer than the capacity */
    g.disk_size = 7 * ZONE + CAP + 512;
    zr = rules_for(&g);
    zone_rules_get(zr, 7, &info);
    g_assert_cmpuint(info.length, ==, CAP + 512);
    g_assert_cmpuint(info.capacity, ==, CAP);
    refuse_write(zr, at(7), CAP + 512, BLK_ZONE_ERR_BOUNDARY);
    put(zr, 7, CAP);
    check(zr, 7, FU, CAP);
    CHECK_READ(zr, at(7), CAP + 512, CAP, -512);
    zone_rules_free(zr);
}

static void test_load(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneInfo info;

    zone_rules_free(NULL);

    zr = come_up(zr, A, at(A));
    zr = come_up(zr, B, at(B) + 512);
    zr = come_up(zr, C, at(C) + CAP);
    zr = come_up(zr, D, at(D) + CAP - 512);
    zr = come_up(zr, 7, at(7) + ZONE / 2);
    check(zr, A, EM, 0);
    check(zr, B, CL, 512);
    check(zr, C, FU, CAP);
    check(zr, D, CL, CAP - 512);
    check(zr, 7, FU, ZONE / 2);
    check_counts(zr, 0, 2);
    check_ends(zr, B, 512, 512);
    zone_rules_get(zr, B, &info);
    g_assert_cmpuint(info.wp, ==, at(B) + 512);
    g_assert_cmpuint(info.capacity, ==, CAP);
    g_assert_cmpuint(info.length, ==, ZONE);
    zone_rules_free(zr);
}

static void test_huge_zones(void)
{
    const ZoneGeometry g = {
        .disk_size = (1ull << 62) + 512,
        .zone_size = 1ull << 61,
        .zone_capacity = (1ull << 61) - 512,
        .nr_zones = 3,
        .nr_conventional = 1,
        .max_append = 4 * MIB,
    };
    ZoneRules *zr = rules_for(&g);
    ZoneInfo info;
    ZoneWrite *w;
    uint64_t n;

    g_assert_cmpuint(zone_rules_geometry(zr)->zone_size, ==, g.zone_size);
    g_assert_cmpuint(zone_rules_index(zr, g.disk_size - 1), ==, 2);
    g_assert_cmpuint(zone_rules_index(zr, g.zone_size - 1), ==, 0);
    g_assert_cmpuint(zone_rules_start(zr, 2), ==, 1ull << 62);
    zone_rules_get(zr, 2, &info);
    g_assert_cmpuint(info.capacity, ==, 512);
    w = begin(zr, g.zone_size, 5 * GIB);
    done(zr, w);
    g_assert_cmpint(zone_read_part(zr, g.zone_size, 6 * GIB, &n), ==, 1);
    g_assert_cmpuint(n, ==, 5 * GIB);
    w = begin(zr, 1ull << 62, 512);
    done(zr, w);
    g_assert_cmphex(state(zr, 2), ==, FU);
    g_assert_cmpint(op(zr, ZONE_OP_FINISH, 0, g.zone_size,
                       g.disk_size - g.zone_size), ==, 0);
    g_assert_cmphex(state(zr, 1), ==, FU);
    zone_rules_free(zr);
}

static void test_smallest_zones(void)
{
    const ZoneGeometry g = {
        .disk_size = 2 * 512, .zone_size = 512, .zone_capacity = 512,
        .nr_zones = 2, .max_append = 512, .max_active = 1, .max_open = 1,
    };
    ZoneRules *zr = rules_for(&g);
    ZoneWrite *w = begin(zr, 0, 512);

    g_assert_cmphex(state(zr, 0), ==, FU);
    refuse_write(zr, 0, 1024, BLK_ZONE_ERR_FULL);
    refuse_write(zr, 512, 1024, BLK_ZONE_ERR_BOUNDARY);
    lose(zr, w);
    g_assert_cmphex(state(zr, 0), ==, EM);
    zone_rules_free(zr);
}

static void test_a_million_zones(void)
{
    const ZoneGeometry g = {
        .disk_size = 65536ull << 20, .zone_size = 65536,
        .zone_capacity = 65536, .nr_zones = 1 << 20, .max_append = 65536,
    };
    g_autofree uint64_t *rest = g_new(uint64_t, g.nr_zones);
    ZoneRules *zr;
    unsigned flags = 0;
    uint32_t first, last, i;

    for (i = 0; i < g.nr_zones; i++) {
        rest[i] = (i + (i % 3 == 0)) * g.zone_size;
    }
    zr = zone_rules_new(&g, rest);
    g_assert_nonnull(zr);
    g_assert_cmpint(check_op(zr, ZONE_OP_RESET, &flags, 0, g.disk_size,
                                  &first, &last), ==, 0);
    g_assert_cmphex(flags, ==, ZONE_OP_ALL);
    g_assert_cmpuint(first, ==, 0);
    g_assert_cmpuint(last, ==, g.nr_zones);
    for (i = first; i < last; i++) {
        g_assert_true(zone_op_begin(zr, ZONE_OP_RESET, flags, i) == !(i % 3));
        if (i % 3 == 0) {
            zone_op_end(zr, ZONE_OP_RESET, i, true);
        }
    }
    g_assert_cmphex(state(zr, 3), ==, EM);
    zone_rules_free(zr);
}

/* @used: zones are written after the disk came up, not before. */
static void check_grow(bool used)
{
    const ZoneGeometry g = {
        .disk_size = 3 * ZONE + ZONE / 2, .zone_size = ZONE,
        .zone_capacity = ZONE, .nr_zones = 4, .max_append = ZONE,
    };
    uint64_t rest[8], more[8];
    ZoneWrite *w;
    ZoneRules *zr;
    uint32_t i;

    for (i = 0; i < 8; i++) {
        rest[i] = at(i);
    }
    if (!used) {
        rest[2] += PART;
        rest[3] += ZONE / 2;
    }
    zr = zone_rules_new(&g, rest);
    if (used) {
        put(zr, 2, PART);
        put(zr, 3, ZONE / 2);
    }
    w = begin(zr, at(1), PART);
    g_assert_cmphex(state(zr, 3), ==, FU);
    memcpy(more, rest, sizeof(more));

    g_assert_true(zone_rules_reserve(zr, 8));
    g_assert_cmphex(state(zr, 3), ==, FU);
    zone_rules_resize(zr, 8 * ZONE, 8, more);
    g_assert_cmphex(state(zr, 0), ==, EM);
    g_assert_cmphex(state(zr, 1), ==, IO);
    g_assert_cmphex(state(zr, 2), ==, used ? IO : CL);
    g_assert_cmphex(state(zr, 3), ==, CL);
    for (i = 4; i < 8; i++) {
        g_assert_cmphex(state(zr, i), ==, EM);
    }
    g_assert_cmpuint(zone_rules_nr_active(zr), ==, 3);
    g_assert_cmpuint(zone_rules_capacity_end(zr, 3), ==, at(4));

    /* What was in flight ends as ever, and the new zones are zones. */
    done(zr, w);
    g_assert_cmpuint(zone_rules_wp(zr, 1), ==, at(1) + PART);
    put(zr, 3, ZONE / 2);
    g_assert_cmphex(state(zr, 3), ==, FU);
    put(zr, 7, ZONE);
    g_assert_cmphex(state(zr, 7), ==, FU);
    g_assert_cmpuint(zone_rules_nr_active(zr), ==, 2);
    zone_rules_free(zr);
}

static void test_grow_used(void)
{
    check_grow(true);
}

static void test_grow_at_rest(void)
{
    check_grow(false);
}

/* The disk gets @size bytes; one disk at a time. */
static void resize(ZoneRules *zr, uint64_t size)
{
    static uint64_t rest[2][16];
    static unsigned turn;
    uint64_t *now = rest[turn++ % 2];
    uint32_t nr = (size + ZONE - 1) / ZONE;
    uint32_t i;

    g_assert_cmpuint(nr, <=, ARRAY_SIZE(rest[0]));
    for (i = 0; i < nr; i++) {
        now[i] = i < zone_rules_geometry(zr)->nr_zones ? at(i) + wp(zr, i)
                                                       : at(i);
    }
    g_assert_true(zone_rules_reserve(zr, nr));
    zone_rules_resize(zr, size, nr, now);
    g_assert_cmpuint(zone_rules_geometry(zr)->nr_zones, ==, nr);
    g_assert_cmpuint(zone_rules_geometry(zr)->disk_size, ==, size);
}

/* What lies beyond a smaller size goes. */
static void cut(ZoneRules *zr, uint32_t i, uint64_t pointer)
{
    g_assert_true(zone_op_begin(zr, ZONE_OP_RESET, 0, i));
    zone_op_cut(zr, i, at(i) + pointer);
    g_assert_cmpuint(wp(zr, i), ==, pointer);
}

static void test_cut(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation;

    put(zr, A, CAP);
    put(zr, B, 2 * PART);
    put(zr, C, 2 * PART);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, C), ==, 0);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, D), ==, 0);
    generation = zone_rules_generation(zr, A);
    cut(zr, A, PART);
    g_assert_cmpuint(zone_rules_generation(zr, A), !=, generation);
    g_assert_cmpuint(zone_rules_frontier(zr, A), ==, at(A) + PART);
    g_assert_cmpint(state(zr, A), ==, CL);
    cut(zr, B, PART);
    g_assert_cmpint(state(zr, B), ==, IO);
    cut(zr, C, PART);
    g_assert_cmpint(state(zr, C), ==, EO);
    cut(zr, D, 0);
    g_assert_cmpint(state(zr, D), ==, EM);
    cut(zr, C, 0);
    g_assert_cmpint(state(zr, C), ==, EM);
    g_assert_cmpuint(zone_rules_nr_active(zr), ==, 2);
    put(zr, A, PART);
    g_assert_cmpuint(wp(zr, A), ==, 2 * PART);
    zone_rules_free(zr);
}

static void test_shrink(void)
{
    ZoneRules *zr = new_rules(0, 0);

    put(zr, A, CAP);
    put(zr, B, 2 * PART);
    put(zr, D, PART);
    lose(zr, begin_next(zr, E, PART));
    g_assert_cmpint(op_one(zr, ZONE_OP_RESET, E), ==, 0);
    cut(zr, D, 0);
    cut(zr, B, PART);
    resize(zr, at(B) + PART);
    /* What is left of B is full, though it was open. */
    g_assert_cmpint(state(zr, B), ==, FU);
    g_assert_cmpint(state(zr, A), ==, FU);
    g_assert_cmpuint(zone_rules_nr_active(zr), ==, 0);
    refuse_write(zr, at(B) + PART - 512, 512, BLK_ZONE_ERR_FULL);

    resize(zr, 8 * ZONE);
    g_assert_cmpint(state(zr, B), ==, CL);
    g_assert_cmpint(state(zr, D), ==, EM);
    g_assert_cmpuint(zone_rules_nr_active(zr), ==, 1);
    put(zr, D, PART);
    put(zr, E, PART);
    put(zr, B, PART);
    g_assert_cmpuint(zone_rules_nr_open(zr), ==, 3);
    zone_rules_free(zr);
}

/* The last zone that stays is open, and not at its new capacity. */
static void test_shrink_open_zone(void)
{
    ZoneRules *zr = new_rules(0, 0);

    put(zr, B, PART);
    resize(zr, at(B) + 2 * PART);
    g_assert_cmpint(state(zr, B), ==, IO);
    put(zr, B, PART);
    g_assert_cmpint(state(zr, B), ==, FU);
    refuse_write(zr, at(B) + 2 * PART - 512, 1024, BLK_ZONE_ERR_FULL);
    zone_rules_free(zr);
}

static void test_other_limits(void)
{
    ZoneRules *zr = new_rules(0, 0);

    put(zr, A, PART);
    put(zr, B, PART);
    put(zr, C, PART);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, D), ==, 0);
    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, E), ==, 0);

    /* Those that were written longest ago first */
    zone_rules_set_limits(zr, 4, 3);
    g_assert_cmpint(state(zr, A), ==, CL);
    g_assert_cmpint(state(zr, B), ==, CL);
    g_assert_cmpint(state(zr, C), ==, IO);
    g_assert_cmpint(state(zr, D), ==, EO);
    /* Empty and opened, it is not active once it is closed. */
    zone_rules_set_limits(zr, 4, 1);
    g_assert_cmpint(state(zr, C), ==, CL);
    g_assert_cmpint(state(zr, D), ==, EM);
    g_assert_cmpint(state(zr, E), ==, EO);
    g_assert_cmpuint(zone_rules_nr_active(zr), ==, 4);
    refuse_write(zr, at(D), 512, BLK_ZONE_ERR_ACTIVE_LIMIT);

    zone_rules_set_limits(zr, 0, 0);
    put(zr, A, PART);
    put(zr, B, PART);
    put(zr, C, PART);
    put(zr, D, PART);
    g_assert_cmpuint(zone_rules_nr_open(zr), ==, 5);
    zone_rules_free(zr);
}

static void test_import(void)
{
    ZoneRules *zr = new_rules(4, 2);

    zone_rules_import(zr, A, at(A) + PART, ZONE_STATE_EXPLICIT_OPEN);
    zone_rules_import(zr, B, at(B) + CAP, ZONE_STATE_CLOSED);
    zone_rules_import(zr, C, at(C), ZONE_STATE_EXPLICIT_OPEN);
    /* No more may be open, but more may be active. */
    zone_rules_import(zr, D, at(D) + PART, ZONE_STATE_IMPLICIT_OPEN);
    zone_rules_import(zr, E, at(E), ZONE_STATE_IMPLICIT_OPEN);
    g_assert_cmpint(state(zr, A), ==, EO);
    g_assert_cmpint(state(zr, B), ==, FU);
    g_assert_cmpint(state(zr, C), ==, EO);
    g_assert_cmpint(state(zr, D), ==, CL);
    g_assert_cmpint(state(zr, E), ==, EM);
    g_assert_cmpuint(wp(zr, A), ==, PART);
    g_assert_cmpuint(zone_rules_frontier(zr, A), ==, at(A) + PART);
    g_assert_cmpuint(zone_rules_acknowledged(zr, D), ==, at(D) + PART);
    put(zr, A, PART);
    g_assert_cmpuint(wp(zr, A), ==, 2 * PART);
    zone_rules_free(zr);

    zr = new_rules(0, 0);
    zone_rules_import(zr, D, at(D) + PART, ZONE_STATE_IMPLICIT_OPEN);
    g_assert_cmpint(state(zr, D), ==, IO);
    put(zr, D, PART);
    zone_rules_free(zr);
}

static void test_errors_are_told_apart(void)
{
    static const int errors[] = {
        BLK_ZONE_ERR_UNALIGNED_WP, BLK_ZONE_ERR_BOUNDARY, BLK_ZONE_ERR_FULL,
        BLK_ZONE_ERR_READ_ONLY, BLK_ZONE_ERR_OFFLINE,
        BLK_ZONE_ERR_INVALID_APPEND, BLK_ZONE_ERR_TRANSITION,
        BLK_ZONE_ERR_ACTIVE_LIMIT, BLK_ZONE_ERR_OPEN_LIMIT,
    };
    static const int others[] = { 0, EIO, ENOSPC, ENOTSUP, EINVAL, EAGAIN,
                                  ENOMEM, EPERM, EBUSY };
    size_t k, l;

    for (k = 0; k < ARRAY_SIZE(errors); k++) {
        const char *text = block_zone_strerror(-errors[k]);

        g_assert_nonnull(text);
        for (l = 0; l < k; l++) {
            g_assert_cmpint(errors[k], !=, errors[l]);
            g_assert_cmpstr(text, !=, block_zone_strerror(-errors[l]));
        }
    }
    for (k = 0; k < ARRAY_SIZE(others); k++) {
        g_assert_null(block_zone_strerror(-others[k]));
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func)(void);
    } tests[] = {
        { "errors/are-told-apart", test_errors_are_told_apart },
        { "write/state-then-pointer-then-boundary-then-resources",
          test_order_of_checks },
        { "write/ends-at-the-capacity", test_boundary },
        { "write/anywhere-in-conventional-zones", test_conventional },
        { "write/from-conventional-to-sequential-is-refused",
          test_from_conventional_to_sequential },
        { "append/places-are-assigned-in-order", test_append_places },
        { "append/refused", test_append_refused },
        { "limit/active", test_active_limit },
        { "limit/open-closes-the-zone-written-longest-ago",
          test_open_limit_closes_written_longest_ago },
        { "limit/closed-to-make-room-with-nothing-written-is-empty",
          test_closed_to_make_room_with_nothing_written },
        { "limit/open-with-all-explicit", test_open_limit_all_explicit },
        { "limit/both-at-once-say-active", test_both_limits_say_active },
        { "limit/active-holds-for-open", test_active_limit_holds_for_open },
        { "limit/none", test_no_limits },
        { "limit/a-failure-out-of-full-may-exceed-it",
          test_failure_out_of_full_may_exceed_limits },
        { "range/malformed", test_malformed_ranges },
        { "range/acts-on-every-zone", test_range_acts_on_every_zone },
        { "range/fails-whole", test_range_fails_whole },
        { "range/open-runs-out-midway", test_open_range_runs_out_midway },
        { "all/open", test_open_all },
        { "all/open-looks-again", test_open_all_looks_again },
        { "all/close", test_close_all },
        { "all/finish", test_finish_all },
        { "all/reset", test_reset_all },
        { "all/passes-over-pending-zones",
          test_all_passes_over_pending_zones },
        { "all/finish-of-a-full-zone", test_finish_of_a_full_zone },
        { "read/parts", test_reads },
        { "geometry/short-last-zone", test_short_last_zone },
        { "geometry/load", test_load },
        { "geometry/huge-zones", test_huge_zones },
        { "geometry/smallest-zones", test_smallest_zones },
        { "geometry/a-million-zones", test_a_million_zones },
        { "geometry/grow/used", test_grow_used },
        { "geometry/grow/at-rest", test_grow_at_rest },
        { "limits/others", test_other_limits },
        { "geometry/import", test_import },
        { "geometry/cut", test_cut },
        { "geometry/shrink", test_shrink },
        { "geometry/shrink/within-an-open-zone", test_shrink_open_zone },
    };
    size_t k;

    g_test_init(&argc, &argv, NULL);
    add_cells();
    for (k = 0; k < ARRAY_SIZE(tests); k++) {
        g_autofree char *path = g_strconcat("/zone-rules/", tests[k].path,
                                            NULL);

        g_test_add_func(path, tests[k].func);
    }
    printf("# least %d\n", (int)ARRAY_SIZE(tests) + NR_FROM * 12);
    return g_test_run();
}
