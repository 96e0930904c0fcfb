/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zone rules with writes in flight: operations that wait for them, writes
 * that end out of order or fail, holes and how they are filled
 */
#include "qemu/osdep.h"
#include "zone-rules-test.h"

/*** Operations and writes in flight ***/

static void test_reset_waits_for_writes(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation = zone_rules_generation(zr, A);
    ZoneWrite *w1 = begin_next(zr, A, PART);
    ZoneWrite *w2 = begin_next(zr, A, PART);
    ZoneOp *zop = op_begin(zr, ZONE_OP_RESET, A);

    g_assert_true(zone_rules_op_pending(zr, A));
    g_assert_false(zone_rules_op_pending(zr, B));
    g_assert_false(zone_op_drained(zr, zop));
    g_assert_cmpuint(zone_rules_in_flight(zr, A), ==, 2);
    zone_write_end(zr, w1, false);
    g_assert_false(zone_op_drained(zr, zop));
    zone_write_end(zr, w2, true);
    g_assert_true(zone_op_drained(zr, zop));
    g_assert_cmpuint(zone_rules_generation(zr, A), ==, generation);
    zone_op_end(zr, zop, true);
    check(zr, A, EM, 0);
    check_ends(zr, A, 0, 0);
    g_assert_false(zone_rules_has_hole(zr, A));
    g_assert_false(zone_rules_op_pending(zr, A));
    g_assert_cmpuint(zone_rules_generation(zr, A), !=, generation);
    CHECK_READ(zr, at(A), ZONE, -(int64_t)ZONE);
    /* The old hole is forgotten: it is the write pointer that counts. */
    refuse_write(zr, at(A) + PART, PART, BLK_ZONE_ERR_UNALIGNED_WP);
    put(zr, A, PART);
    zone_rules_free(zr);
}

static void test_operation_that_fails_leaves_the_zone(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation = zone_rules_generation(zr, A);
    ZoneWrite *w;
    ZoneOp *zop;

    put(zr, A, PART);
    w = begin_next(zr, A, PART);
    zop = op_begin(zr, ZONE_OP_FINISH, A);
    /* It may give up before it has drained. */
    zone_op_end(zr, zop, false);
    check(zr, A, IO, 2 * PART);
    zop = op_begin(zr, ZONE_OP_RESET, A);
    zone_write_end(zr, w, true);
    g_assert_true(zone_op_drained(zr, zop));
    zone_op_end(zr, zop, false);
    check(zr, A, IO, 2 * PART);
    check_ends(zr, A, 2 * PART, 2 * PART);
    g_assert_cmpuint(zone_rules_generation(zr, A), ==, generation);
    g_assert_false(zone_rules_op_pending(zr, A));
    zone_rules_free(zr);
}

static void test_finish_of_a_full_zone_that_may_still_fail(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w;
    ZoneOp *zop;

    put(zr, A, PART);
    w = begin_next(zr, A, CAP - PART);
    zop = op_begin(zr, ZONE_OP_FINISH, A);
    g_assert_false(zone_op_drained(zr, zop));
    zone_write_end(zr, w, false);
    g_assert_true(zone_op_drained(zr, zop));
    check(zr, A, CL, PART);
    zone_op_end(zr, zop, true);
    check(zr, A, FU, CAP);
    check_ends(zr, A, CAP, CAP);
    /* One that is complete is no change. */
    g_assert_cmpint(zone_op_begin(zr, ZONE_OP_FINISH, 0, at(A), ZONE, &zop),
                    ==, 0);
    g_assert_null(zop);
    zone_rules_free(zr);
}

static void test_finish_with_holes(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w1 = begin_next(zr, A, PART);
    ZoneWrite *w2 = begin_next(zr, A, PART);
    uint32_t generation = zone_rules_generation(zr, A);
    ZoneWrite *hole;
    ZoneOp *zop;

    zone_write_end(zr, w1, false);
    zone_write_end(zr, w2, true);
    zop = op_begin(zr, ZONE_OP_FINISH, A);
    g_assert_true(zone_op_drained(zr, zop));
    hole = zone_hole_begin(zr, A);
    g_assert_nonnull(hole);
    g_assert_false(zone_op_drained(zr, zop));
    zone_hole_end(zr, hole, true);
    g_assert_true(zone_op_drained(zr, zop));
    g_assert_null(zone_hole_begin(zr, A));
    zone_op_end(zr, zop, true);
    check(zr, A, FU, CAP);
    check_ends(zr, A, CAP, CAP);
    g_assert_cmpuint(zone_rules_generation(zr, A), !=, generation);
    /* The hole still reads as zeros, and takes its write, and no other. */
    CHECK_READ(zr, at(A), ZONE, -(int64_t)PART, CAP - PART,
               -(int64_t)(ZONE - CAP));
    refuse_write(zr, at(A), 2 * PART, BLK_ZONE_ERR_FULL);
    zone_write_end(zr, begin(zr, at(A), PART), true);
    check(zr, A, FU, CAP);
    CHECK_READ(zr, at(A), CAP, CAP);
    refuse_write(zr, at(A), PART, BLK_ZONE_ERR_FULL);
    zone_rules_free(zr);

    /* One that is left unfilled holds the durable pointer back. */
    zr = new_rules(0, 0);
    w1 = begin_next(zr, A, PART);
    w2 = begin_next(zr, A, PART);
    zone_write_end(zr, w1, false);
    zone_write_end(zr, w2, true);
    g_assert_cmpint(op_one(zr, ZONE_OP_FINISH, A), ==, 0);
    check_ends(zr, A, 0, CAP);
    g_assert_true(zone_rules_has_hole(zr, A));
    g_assert_cmpint(zone_op_begin(zr, ZONE_OP_FINISH, 0, at(A), ZONE, &zop),
                    ==, 0);
    g_assert_nonnull(zop);
    zone_op_end(zr, zop, false);
    zone_rules_free(zr);
}

static void test_close_does_not_wait(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w = begin_next(zr, A, PART);
    ZoneOp *zop = (ZoneOp *)&small;

    g_assert_cmpint(zone_op_begin(zr, ZONE_OP_CLOSE, 0, at(A), ZONE, &zop), ==,
                    0);
    g_assert_null(zop);
    check(zr, A, CL, PART);
    zone_write_end(zr, w, false);
    /* Closed with nothing written is Empty. */
    check(zr, A, EM, 0);
    check_counts(zr, 0, 0);

    /* But for a zone that is open, and one with something left. */
    zone_write_end(zr, begin_next(zr, B, PART), false);
    check(zr, B, IO, 0);
    put(zr, B, PART);
    w = begin_next(zr, B, PART);
    g_assert_cmpint(op_one(zr, ZONE_OP_CLOSE, B), ==, 0);
    zone_write_end(zr, w, false);
    check(zr, B, CL, PART);
    zone_rules_free(zr);
}

static void test_pending_zone_is_closed_to_make_room(void)
{
    ZoneRules *zr = new_rules(0, 1);
    ZoneWrite *w = begin_next(zr, A, PART);
    ZoneOp *zop = op_begin(zr, ZONE_OP_FINISH, A);

    put(zr, B, PART);
    check(zr, A, CL, PART);
    zone_write_end(zr, w, true);
    zone_op_end(zr, zop, true);
    check(zr, A, FU, CAP);
    check_counts(zr, 1, 1);
    zone_rules_free(zr);
}

/*** Completion and failure ***/

static void test_out_of_order(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[4];
    int k;

    for (k = 0; k < 4; k++) {
        w[k] = begin_next(zr, A, PART);
    }
    check(zr, A, IO, 4 * PART);
    check_ends(zr, A, 0, 0);
    zone_write_end(zr, w[2], true);
    check_ends(zr, A, 0, 3 * PART);
    zone_write_end(zr, w[0], true);
    check_ends(zr, A, PART, 3 * PART);
    CHECK_READ(zr, at(A), ZONE, PART, -(int64_t)PART, PART,
               -(int64_t)(ZONE - 3 * PART));
    zone_write_end(zr, w[1], true);
    check_ends(zr, A, 3 * PART, 3 * PART);
    zone_write_end(zr, w[3], true);
    check_ends(zr, A, 4 * PART, 4 * PART);
    g_assert_cmpuint(zone_rules_in_flight(zr, A), ==, 0);
    zone_rules_free(zr);
}

static void test_last_write_that_fails_gives_back(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation = zone_rules_generation(zr, A);

    put(zr, A, PART);
    zone_write_end(zr, begin_next(zr, A, PART), false);
    check(zr, A, IO, PART);
    check_ends(zr, A, PART, PART);
    /* A sample of what is complete stays true. */
    g_assert_cmpuint(zone_rules_generation(zr, A), ==, generation);
    put(zr, A, PART);
    check(zr, A, IO, 2 * PART);
    zone_rules_free(zr);
}

static void test_cascade(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[6];
    int k;

    /* 0 done, 1 fails, 2 done, 3 and 4 fail, 5 fails last: back to 3 */
    for (k = 0; k < 6; k++) {
        w[k] = begin_next(zr, A, PART);
    }
    zone_write_end(zr, w[0], true);
    zone_write_end(zr, w[1], false);
    zone_write_end(zr, w[3], false);
    zone_write_end(zr, w[4], false);
    check(zr, A, IO, 6 * PART);
    zone_write_end(zr, w[2], true);
    check_ends(zr, A, PART, 3 * PART);
    zone_write_end(zr, w[5], false);
    check(zr, A, IO, 3 * PART);
    check_ends(zr, A, PART, 3 * PART);
    g_assert_true(zone_rules_has_hole(zr, A));
    zone_rules_free(zr);

    /* A write in flight below stops it; when that fails too, it goes on. */
    zr = new_rules(0, 0);
    for (k = 0; k < 4; k++) {
        w[k] = begin_next(zr, A, CAP / 4);
    }
    check(zr, A, FU, CAP);
    zone_write_end(zr, w[0], false);
    zone_write_end(zr, w[2], false);
    zone_write_end(zr, w[3], false);
    check(zr, A, CL, CAP / 2);
    zone_write_end(zr, w[1], false);
    check(zr, A, EM, 0);
    check_ends(zr, A, 0, 0);
    check_counts(zr, 0, 0);
    zone_rules_free(zr);
}

static void test_open_zone_with_nothing_left_stays_open(void)
{
    ZoneRules *zr = new_rules(0, 0);

    g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, A), ==, 0);
    zone_write_end(zr, begin_next(zr, A, PART), false);
    check(zr, A, EO, 0);
    zone_write_end(zr, begin_next(zr, A, CAP), false);
    /* Out of Full there is no way back to open. */
    check(zr, A, EM, 0);
    zone_rules_free(zr);
}

/*** Holes ***/

/* Zone A with a hole in [PART, 2 * PART), and @above bytes written above */
static ZoneRules *with_hole(uint64_t above)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w1, *w2;

    put(zr, A, PART);
    w1 = begin_next(zr, A, PART);
    w2 = begin_next(zr, A, above);
    zone_write_end(zr, w2, true);
    zone_write_end(zr, w1, false);
    check_ends(zr, A, PART, 2 * PART + above);
    g_assert_true(zone_rules_has_hole(zr, A));
    return zr;
}

static void test_hole_takes_exactly_its_write(void)
{
    ZoneRules *zr = with_hole(PART);
    ZoneWrite *w;

    CHECK_READ(zr, at(A), 3 * PART, PART, -(int64_t)PART, PART);
    refuse_write(zr, at(A) + PART, PART - 512, BLK_ZONE_ERR_UNALIGNED_WP);
    refuse_write(zr, at(A) + PART, PART + 512, BLK_ZONE_ERR_UNALIGNED_WP);
    refuse_write(zr, at(A) + PART + 512, PART - 512,
                 BLK_ZONE_ERR_UNALIGNED_WP);
    refuse_write(zr, at(A) + PART - 512, PART, BLK_ZONE_ERR_UNALIGNED_WP);
    w = begin(zr, at(A) + PART, PART);
    /* Only once at a time */
    refuse_write(zr, at(A) + PART, PART, BLK_ZONE_ERR_UNALIGNED_WP);
    g_assert_false(zone_rules_has_hole(zr, A));
    g_assert_null(zone_hole_begin(zr, A));
    g_assert_cmpuint(zone_rules_in_flight(zr, A), ==, 1);
    CHECK_READ(zr, at(A), 3 * PART, PART, -(int64_t)PART, PART);
    /* Failed again, it is a hole again. */
    zone_write_end(zr, w, false);
    g_assert_true(zone_rules_has_hole(zr, A));
    check_ends(zr, A, PART, 3 * PART);
    w = begin(zr, at(A) + PART, PART);
    zone_write_end(zr, w, true);
    check_ends(zr, A, 3 * PART, 3 * PART);
    CHECK_READ(zr, at(A), 3 * PART, 3 * PART);
    refuse_write(zr, at(A) + PART, PART, BLK_ZONE_ERR_UNALIGNED_WP);
    zone_rules_free(zr);
}

static void test_write_into_a_hole_changes_no_state(void)
{
    static const ZoneState states[] = { IO, EO, CL, FU, RO, OF };
    size_t k;

    for (k = 0; k < ARRAY_SIZE(states); k++) {
        bool worn = states[k] == RO || states[k] == OF;
        ZoneRules *zr = with_hole(states[k] == FU ? CAP - 2 * PART : PART);

        if (states[k] == EO) {
            g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, A), ==, 0);
        } else if (states[k] == CL) {
            g_assert_cmpint(op_one(zr, ZONE_OP_CLOSE, A), ==, 0);
        } else if (worn) {
            zone_rules_set_worn(zr, A, states[k]);
        }
        g_assert_cmphex(state(zr, A), ==, states[k]);
        if (worn) {
            refuse_write(zr, at(A) + PART, PART, states[k] == RO ?
                         BLK_ZONE_ERR_READ_ONLY : BLK_ZONE_ERR_OFFLINE);
        } else {
            zone_write_end(zr, begin(zr, at(A) + PART, PART), true);
            g_assert_cmphex(state(zr, A), ==, states[k]);
        }
        zone_rules_free(zr);
    }
}

static void test_write_into_a_hole_counts_as_last_write(void)
{
    ZoneGeometry g = small;
    ZoneRules *zr;
    ZoneWrite *w1, *w2;

    g.max_open = 2;
    zr = zone_rules_new(&g);
    w1 = begin_next(zr, A, PART);
    w2 = begin_next(zr, A, PART);
    zone_write_end(zr, w1, false);
    zone_write_end(zr, w2, true);
    put(zr, B, PART);
    zone_write_end(zr, begin(zr, at(A), PART), true);
    put(zr, C, PART);
    check(zr, A, IO, 2 * PART);
    check(zr, B, CL, PART);
    zone_rules_free(zr);
}

static void test_filled_hole(void)
{
    ZoneRules *zr = with_hole(PART);
    ZoneWrite *hole = zone_hole_begin(zr, A);

    g_assert_nonnull(hole);
    g_assert_cmpuint(hole->start, ==, at(A) + PART);
    g_assert_cmpuint(hole->bytes, ==, PART);
    /* Claimed: nobody else, and a write has to wait */
    g_assert_false(zone_rules_has_hole(zr, A));
    g_assert_null(zone_hole_begin(zr, A));
    g_assert_cmpuint(zone_rules_in_flight(zr, A), ==, 1);
    refuse_write(zr, at(A) + PART, PART, EAGAIN);
    refuse_write(zr, at(A) + PART, PART - 512, BLK_ZONE_ERR_UNALIGNED_WP);
    zone_hole_end(zr, hole, false);
    g_assert_true(zone_rules_has_hole(zr, A));
    check_ends(zr, A, PART, 3 * PART);

    hole = zone_hole_begin(zr, A);
    zone_hole_end(zr, hole, true);
    g_assert_false(zone_rules_has_hole(zr, A));
    g_assert_null(zone_hole_begin(zr, A));
    check_ends(zr, A, 3 * PART, 3 * PART);
    g_assert_cmpuint(zone_rules_in_flight(zr, A), ==, 0);
    CHECK_READ(zr, at(A), 3 * PART, PART, -(int64_t)PART, PART);
    /* It stays so when the write above it fails. */
    zone_write_end(zr, begin_next(zr, A, PART), false);
    check(zr, A, IO, 3 * PART);
    /* A write of it that fails: fill it again, but never go back. */
    zone_write_end(zr, begin(zr, at(A) + PART, PART), false);
    check_ends(zr, A, 3 * PART, 3 * PART);
    g_assert_true(zone_rules_has_hole(zr, A));
    CHECK_READ(zr, at(A), 3 * PART, PART, -(int64_t)PART, PART);
    hole = zone_hole_begin(zr, A);
    g_assert_cmpuint(hole->start, ==, at(A) + PART);
    zone_hole_end(zr, hole, false);
    g_assert_true(zone_rules_has_hole(zr, A));
    zone_hole_end(zr, zone_hole_begin(zr, A), true);
    g_assert_false(zone_rules_has_hole(zr, A));
    /* And one that succeeds ends it. */
    zone_write_end(zr, begin(zr, at(A) + PART, PART), true);
    CHECK_READ(zr, at(A), 3 * PART, 3 * PART);
    refuse_write(zr, at(A) + PART, PART, BLK_ZONE_ERR_UNALIGNED_WP);
    zone_rules_free(zr);
}

static void test_reset_forgets_filled_holes(void)
{
    ZoneRules *zr = with_hole(PART);

    zone_hole_end(zr, zone_hole_begin(zr, A), true);
    g_assert_cmpint(op_one(zr, ZONE_OP_RESET, A), ==, 0);
    refuse_write(zr, at(A) + PART, PART, BLK_ZONE_ERR_UNALIGNED_WP);
    put(zr, A, 3 * PART);
    CHECK_READ(zr, at(A), 3 * PART, 3 * PART);
    zone_rules_free(zr);
}

static void test_holes_are_filled_lowest_first(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[8], *hole;
    int k;

    for (k = 0; k < 8; k++) {
        w[k] = begin_next(zr, A, PART);
    }
    /* Holes 1, 3, 5; done 0, 2, 4, 6; 7 in flight */
    zone_write_end(zr, w[5], false);
    g_assert_false(zone_rules_has_hole(zr, A));
    zone_write_end(zr, w[3], false);
    zone_write_end(zr, w[1], false);
    /* Nothing above them has succeeded yet: they may all be given back. */
    g_assert_false(zone_rules_has_hole(zr, A));
    g_assert_null(zone_hole_begin(zr, A));
    for (k = 0; k < 8; k += 2) {
        zone_write_end(zr, w[k], true);
    }
    check_ends(zr, A, PART, 7 * PART);
    hole = zone_hole_begin(zr, A);
    g_assert_cmpuint(hole->start, ==, at(A) + PART);
    zone_hole_end(zr, hole, true);
    check_ends(zr, A, 3 * PART, 7 * PART);
    /* Filled out of order they stay in order. */
    w[0] = zone_hole_begin(zr, A);
    w[1] = zone_hole_begin(zr, A);
    g_assert_cmpuint(w[0]->start, ==, at(A) + 3 * PART);
    g_assert_cmpuint(w[1]->start, ==, at(A) + 5 * PART);
    zone_hole_end(zr, w[1], true);
    check_ends(zr, A, 3 * PART, 7 * PART);
    zone_hole_end(zr, w[0], true);
    check_ends(zr, A, 7 * PART, 7 * PART);
    CHECK_READ(zr, at(A), 8 * PART, PART, -(int64_t)PART, PART,
               -(int64_t)PART, PART, -(int64_t)PART, PART, -(int64_t)PART);
    /* The lowest one, be it filled before or not */
    zone_write_end(zr, begin(zr, at(A) + 5 * PART, PART), false);
    zone_write_end(zr, begin(zr, at(A) + PART, PART), false);
    hole = zone_hole_begin(zr, A);
    g_assert_cmpuint(hole->start, ==, at(A) + PART);
    zone_hole_end(zr, hole, true);
    zone_write_end(zr, w[7], true);
    check_ends(zr, A, 8 * PART, 8 * PART);
    zone_rules_free(zr);
}

/* Both kinds of holes at once: filled before, and never */
static void test_old_and_new_holes(void)
{
    ZoneRules *zr = with_hole(PART);
    ZoneWrite *w1, *w2, *hole;

    zone_hole_end(zr, zone_hole_begin(zr, A), true);
    w1 = begin_next(zr, A, PART);
    w2 = begin_next(zr, A, PART);
    zone_write_end(zr, w1, false);
    zone_write_end(zr, w2, true);
    zone_write_end(zr, begin(zr, at(A) + PART, PART), false);
    check_ends(zr, A, 3 * PART, 5 * PART);
    hole = zone_hole_begin(zr, A);
    g_assert_cmpuint(hole->start, ==, at(A) + PART);
    zone_hole_end(zr, hole, true);
    hole = zone_hole_begin(zr, A);
    g_assert_cmpuint(hole->start, ==, at(A) + 3 * PART);
    zone_hole_end(zr, hole, true);
    check_ends(zr, A, 5 * PART, 5 * PART);
    CHECK_READ(zr, at(A), 5 * PART, PART, -(int64_t)PART, PART,
               -(int64_t)PART, PART);
    zone_rules_free(zr);
}

/* A write whose data is there counts before it ends, but is not read. */
static void test_placed_write(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w1 = begin_next(zr, A, PART);
    ZoneWrite *w2 = begin_next(zr, A, PART);
    ZoneWrite *w3 = begin_next(zr, A, PART);
    ZoneOp *zop;

    zone_write_placed(zr, w2);
    check_ends(zr, A, 0, 2 * PART);
    g_assert_cmpuint(zone_rules_in_flight(zr, A), ==, 3);
    zone_write_placed(zr, w1);
    check_ends(zr, A, 2 * PART, 2 * PART);
    CHECK_READ(zr, at(A), 3 * PART, -3 * (int64_t)PART);
    /* An operation waits for it to end. */
    zone_write_end(zr, w3, true);
    zop = op_begin(zr, ZONE_OP_RESET, A);
    zone_write_end(zr, w1, true);
    g_assert_false(zone_op_drained(zr, zop));
    zone_write_end(zr, w2, true);
    g_assert_true(zone_op_drained(zr, zop));
    zone_op_end(zr, zop, false);
    check_ends(zr, A, 3 * PART, 3 * PART);
    CHECK_READ(zr, at(A), 3 * PART, 3 * PART);
    zone_rules_free(zr);
}

/* One that fails then keeps its place, for the pointer may be on disk. */
static void test_placed_write_that_fails(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w;

    put(zr, A, PART);
    w = begin_next(zr, A, CAP - PART);
    zone_write_placed(zr, w);
    check(zr, A, FU, CAP);
    zone_write_end(zr, w, false);
    check(zr, A, FU, CAP);
    check_ends(zr, A, CAP, CAP);
    CHECK_READ(zr, at(A), CAP, PART, -(int64_t)(CAP - PART));
    refuse_write(zr, at(A) + PART, PART, BLK_ZONE_ERR_FULL);
    /* It is made again, and fails before its data is there. */
    zone_write_end(zr, begin(zr, at(A) + PART, CAP - PART), false);
    check_ends(zr, A, CAP, CAP);
    /* Zeros take its place, and at last it does. */
    zone_hole_end(zr, zone_hole_begin(zr, A), true);
    g_assert_false(zone_rules_has_hole(zr, A));
    w = begin(zr, at(A) + PART, CAP - PART);
    zone_write_placed(zr, w);
    zone_write_end(zr, w, true);
    check(zr, A, FU, CAP);
    CHECK_READ(zr, at(A), CAP, CAP);
    zone_rules_free(zr);

    /* What fails above it gives back down to it, and what failed below stays */
    zr = new_rules(0, 0);
    put(zr, A, PART);
    {
        ZoneWrite *low = begin_next(zr, A, PART);
        ZoneWrite *mid = begin_next(zr, A, PART);
        ZoneWrite *top = begin_next(zr, A, PART);

        zone_write_placed(zr, mid);
        zone_write_end(zr, low, false);
        zone_write_end(zr, mid, false);
        zone_write_end(zr, top, false);
    }
    check(zr, A, IO, 3 * PART);
    check_ends(zr, A, PART, 3 * PART);
    w = zone_hole_begin(zr, A);
    g_assert_cmpuint(w->start, ==, at(A) + PART);
    zone_hole_end(zr, w, true);
    w = zone_hole_begin(zr, A);
    g_assert_cmpuint(w->start, ==, at(A) + 2 * PART);
    zone_hole_end(zr, w, true);
    check_ends(zr, A, 3 * PART, 3 * PART);
    zone_rules_free(zr);
}

/*
 * A write that is placed may wait for a flush that has to fill a hole, and an
 * operation on both zones for that write.
 */
static void test_hole_under_an_operation_that_waits(void)
{
    ZoneRules *zr = with_hole(PART);
    ZoneWrite *w = begin_next(zr, B, PART), *hole;
    ZoneOp *zop;

    g_assert_false(zone_rules_op_waits(zr, A));
    zone_write_placed(zr, w);
    g_assert_cmpint(zone_op_begin(zr, ZONE_OP_RESET, 0, at(A), 2 * ZONE, &zop),
                    ==, 0);
    g_assert_true(zone_rules_op_waits(zr, A));
    hole = zone_hole_begin(zr, A);
    zone_write_end(zr, w, true);
    g_assert_false(zone_op_drained(zr, zop));
    g_assert_true(zone_rules_op_waits(zr, A));
    zone_hole_end(zr, hole, true);
    g_assert_true(zone_op_drained(zr, zop));
    g_assert_false(zone_rules_op_waits(zr, A));
    zone_op_end(zr, zop, true);
    check(zr, A, EM, 0);
    check(zr, B, EM, 0);
    zone_rules_free(zr);

    /* Once it has started the holes are its own. */
    zr = with_hole(PART);
    zop = op_begin(zr, ZONE_OP_FINISH, A);
    g_assert_true(zone_op_drained(zr, zop));
    zone_op_start(zr, zop);
    hole = zone_hole_begin(zr, A);
    g_assert_false(zone_op_drained(zr, zop));
    g_assert_false(zone_rules_op_waits(zr, A));
    zone_hole_end(zr, hole, true);
    zone_op_end(zr, zop, true);
    check(zr, A, FU, CAP);
    zone_rules_free(zr);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func)(void);
    } tests[] = {
        { "op/reset-waits-for-writes", test_reset_waits_for_writes },
        { "op/one-that-fails-leaves-the-zone",
          test_operation_that_fails_leaves_the_zone },
        { "op/finish-of-a-full-zone-that-may-still-fail",
          test_finish_of_a_full_zone_that_may_still_fail },
        { "op/finish-with-holes", test_finish_with_holes },
        { "op/close-does-not-wait", test_close_does_not_wait },
        { "op/pending-zone-is-closed-to-make-room",
          test_pending_zone_is_closed_to_make_room },
        { "end/out-of-order", test_out_of_order },
        { "end/last-write-that-fails-gives-back",
          test_last_write_that_fails_gives_back },
        { "end/cascade", test_cascade },
        { "end/open-zone-with-nothing-left-stays-open",
          test_open_zone_with_nothing_left_stays_open },
        { "hole/takes-exactly-its-write", test_hole_takes_exactly_its_write },
        { "hole/write-changes-no-state",
          test_write_into_a_hole_changes_no_state },
        { "hole/write-counts-as-last-write",
          test_write_into_a_hole_counts_as_last_write },
        { "hole/filled", test_filled_hole },
        { "hole/filled-and-forgotten-by-reset",
          test_reset_forgets_filled_holes },
        { "hole/lowest-first", test_holes_are_filled_lowest_first },
        { "hole/old-and-new", test_old_and_new_holes },
        { "placed/counts-and-is-not-read", test_placed_write },
        { "placed/keeps-its-place", test_placed_write_that_fails },
        { "placed/hole-under-an-operation-that-waits",
          test_hole_under_an_operation_that_waits },
    };
    size_t k;

    g_test_init(&argc, &argv, NULL);
    for (k = 0; k < ARRAY_SIZE(tests); k++) {
        g_autofree char *path = g_strconcat("/zone-rules/", tests[k].path,
                                            NULL);

        g_test_add_func(path, tests[k].func);
    }
    printf("# least %d\n", (int)ARRAY_SIZE(tests));
    return g_test_run();
}
