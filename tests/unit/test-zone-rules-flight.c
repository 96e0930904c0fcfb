/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zone rules with writes in flight: operations that wait for them, writes
 * that end out of order, failures and what becomes of their ranges, turns
 */
#include "qemu/osdep.h"
#include "zone-rules-test.h"

/* @nr writes of PART at the write pointer of zone A, all of them ready */
static void begin_many(ZoneRules *zr, ZoneWrite **w, int nr)
{
    int k;

    for (k = 0; k < nr; k++) {
        w[k] = begin_next(zr, A, PART);
    }
}

static void end_many(ZoneRules *zr, ZoneWrite **w, int nr)
{
    int k;

    for (k = 0; k < nr; k++) {
        end(zr, w[k]);
    }
}

static void check_in_flight(ZoneRules *zr, uint32_t nr)
{
    g_assert_cmpuint(zone_rules_in_flight(zr, A), ==, nr);
}

static void check_blocked(ZoneRules *zr, bool blocked)
{
    g_assert_true(zone_rules_blocked(zr, A) == blocked);
    g_assert_false(zone_rules_blocked(zr, B));
}

/*** Operations and writes in flight ***/

static void test_reset_waits_for_writes(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation = zone_rules_generation(zr, A);
    ZoneWrite *w[2];

    begin_many(zr, w, 2);
    check_blocked(zr, false);
    begin_op_one(zr, ZONE_OP_RESET, A);
    g_assert_true(zone_rules_op_pending(zr, A));
    g_assert_false(zone_rules_op_pending(zr, B));
    check_blocked(zr, true);
    check_in_flight(zr, 2);
    fail(zr, w[0], ZONE_WRITE_FAILED);
    check_in_flight(zr, 2);
    complete(zr, w[1]);
    end(zr, w[1]);
    check_stage(w[0], ZONE_WRITE_ZEROS);
    check_in_flight(zr, 1);
    done(zr, w[0]);
    check_in_flight(zr, 0);
    g_assert_true(zone_rules_op_pending(zr, A));
    g_assert_cmpuint(zone_rules_generation(zr, A), ==, generation);
    check(zr, A, IO, 2 * PART);
    check_ends(zr, A, 2 * PART, 2 * PART);
    zone_op_end(zr, ZONE_OP_RESET, A, true);
    check(zr, A, EM, 0);
    check_ends(zr, A, 0, 0);
    check_blocked(zr, false);
    g_assert_false(zone_rules_op_pending(zr, A));
    g_assert_cmpuint(zone_rules_generation(zr, A), !=, generation);
    CHECK_READ(zr, at(A), ZONE, -(int64_t)ZONE);
    refuse_write(zr, at(A) + PART, PART, BLK_ZONE_ERR_UNALIGNED_WP);
    put(zr, A, PART);
    CHECK_READ(zr, at(A), ZONE, PART, -(int64_t)(ZONE - PART));
    zone_rules_free(zr);
}

static void test_operation_that_fails_leaves_the_zone(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation = zone_rules_generation(zr, A);
    ZoneWrite *w;

    put(zr, A, PART);
    w = begin_next(zr, A, PART);
    begin_op_one(zr, ZONE_OP_FINISH, A);
    /* It may give up while writes are in flight. */
    zone_op_end(zr, ZONE_OP_FINISH, A, false);
    check(zr, A, IO, 2 * PART);
    check_blocked(zr, false);
    begin_op_one(zr, ZONE_OP_RESET, A);
    done(zr, w);
    zone_op_end(zr, ZONE_OP_RESET, A, false);
    check(zr, A, IO, 2 * PART);
    check_ends(zr, A, 2 * PART, 2 * PART);
    g_assert_cmpuint(zone_rules_generation(zr, A), ==, generation);
    g_assert_false(zone_rules_op_pending(zr, A));
    check_blocked(zr, false);
    CHECK_READ(zr, at(A), 2 * PART, 2 * PART);
    zone_rules_free(zr);
}

/* Operations of many zones begin and end zone by zone. */
static void test_operation_zone_by_zone(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w = begin_next(zr, A, PART);
    ZoneWrite *v = begin_next(zr, B, PART);
    uint32_t zones = begin_op(zr, ZONE_OP_RESET, ZONE_OP_ALL, 0, 0);

    g_assert_cmphex(zones, ==, 1u << A | 1u << B);
    done(zr, v);
    zone_op_end(zr, ZONE_OP_RESET, B, true);
    check(zr, B, EM, 0);
    check(zr, A, IO, PART);
    g_assert_true(zone_rules_blocked(zr, A));
    /* The other one is written before the first has its turn. */
    put(zr, B, 2 * PART);
    done(zr, w);
    zone_op_end(zr, ZONE_OP_RESET, A, true);
    check(zr, A, EM, 0);
    check(zr, B, IO, 2 * PART);
    check_counts(zr, 1, 1);
    zone_rules_free(zr);
}

static void test_finish_of_a_full_zone_that_may_still_fail(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w;

    put(zr, A, PART);
    w = begin_next(zr, A, CAP - PART);
    begin_op_one(zr, ZONE_OP_FINISH, A);
    check_in_flight(zr, 1);
    lose(zr, w);
    check_in_flight(zr, 0);
    check(zr, A, CL, PART);
    zone_op_end(zr, ZONE_OP_FINISH, A, true);
    check(zr, A, FU, CAP);
    check_ends(zr, A, CAP, CAP);
    zone_rules_free(zr);
}

/* What a write lost is zeros, and so is what nobody wrote: both are data. */
static void test_finish_over_failed_writes(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation = zone_rules_generation(zr, A);
    ZoneWrite *w[4];

    begin_many(zr, w, 4);
    begin_op_one(zr, ZONE_OP_FINISH, A);
    fail(zr, w[0], ZONE_WRITE_FAILED);
    complete(zr, w[1]);
    fail(zr, w[2], ZONE_WRITE_FAILED);
    fail(zr, w[3], ZONE_WRITE_GIVEN_BACK);
    check_stage(w[2], ZONE_WRITE_GIVEN_BACK);
    complete(zr, w[0]);
    check(zr, A, IO, 2 * PART);
    end_many(zr, w, 4);
    zone_op_end(zr, ZONE_OP_FINISH, A, true);
    check(zr, A, FU, CAP);
    check_ends(zr, A, CAP, CAP);
    g_assert_cmpuint(zone_rules_generation(zr, A), !=, generation);
    CHECK_READ(zr, at(A), ZONE, CAP, -(int64_t)(ZONE - CAP));
    refuse_write(zr, at(A), PART, BLK_ZONE_ERR_FULL);
    zone_rules_free(zr);
}

static void test_close_does_not_wait(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w = begin_next(zr, A, PART);

    g_assert_cmpint(op_one(zr, ZONE_OP_CLOSE, A), ==, 0);
    check(zr, A, CL, PART);
    check_blocked(zr, false);
    lose(zr, w);
    /* Closed with nothing written is Empty. */
    check(zr, A, EM, 0);
    check_counts(zr, 0, 0);

    /* But for a zone that is open, and one with something left. */
    lose(zr, begin_next(zr, B, PART));
    check(zr, B, IO, 0);
    put(zr, B, PART);
    w = begin_next(zr, B, PART);
    g_assert_cmpint(op_one(zr, ZONE_OP_CLOSE, B), ==, 0);
    lose(zr, w);
    check(zr, B, CL, PART);
    zone_rules_free(zr);
}

static void test_pending_zone_is_closed_to_make_room(void)
{
    ZoneRules *zr = new_rules(0, 1);
    ZoneWrite *w = begin_next(zr, A, PART);

    begin_op_one(zr, ZONE_OP_FINISH, A);
    put(zr, B, PART);
    check(zr, A, CL, PART);
    done(zr, w);
    zone_op_end(zr, ZONE_OP_FINISH, A, true);
    check(zr, A, FU, CAP);
    check_counts(zr, 1, 1);
    zone_rules_free(zr);
}

/*** Acceptance and completion ***/

/* The write pointer moves over each at once; a misplaced one changes nothing */
static void test_accepted_at_once(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[3];

    w[0] = begin_next(zr, A, PART);
    check(zr, A, IO, PART);
    refuse_write(zr, at(A), PART, BLK_ZONE_ERR_UNALIGNED_WP);
    refuse_write(zr, at(A) + 2 * PART, PART, BLK_ZONE_ERR_UNALIGNED_WP);
    check(zr, A, IO, PART);
    check_in_flight(zr, 1);
    w[1] = begin_next(zr, A, 512);
    w[2] = begin_next(zr, A, CAP - PART - 512);
    check(zr, A, FU, CAP);
    refuse_write(zr, at(A) + CAP, 512, BLK_ZONE_ERR_FULL);
    check_in_flight(zr, 3);
    check_blocked(zr, false);
    check_ends(zr, A, 0, 0);
    CHECK_READ(zr, at(A), ZONE, -(int64_t)ZONE);
    /* It is in flight until it answers. */
    complete(zr, w[0]);
    check_in_flight(zr, 3);
    check_ends(zr, A, PART, PART);
    CHECK_READ(zr, at(A), ZONE, PART, -(int64_t)(ZONE - PART));
    end(zr, w[0]);
    check_in_flight(zr, 2);
    check_ends(zr, A, PART, PART);
    done(zr, w[2]);
    done(zr, w[1]);
    check_in_flight(zr, 0);
    check_ends(zr, A, CAP, CAP);
    check(zr, A, FU, CAP);
    zone_rules_free(zr);
}

static void test_out_of_order(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[4];

    begin_many(zr, w, 4);
    check(zr, A, IO, 4 * PART);
    check_ends(zr, A, 0, 0);
    done(zr, w[2]);
    check_ends(zr, A, 0, 3 * PART);
    done(zr, w[0]);
    check_ends(zr, A, PART, 3 * PART);
    CHECK_READ(zr, at(A), ZONE, PART, -(int64_t)PART, PART,
               -(int64_t)(ZONE - 3 * PART));
    done(zr, w[1]);
    check_ends(zr, A, 3 * PART, 3 * PART);
    done(zr, w[3]);
    check_ends(zr, A, 4 * PART, 4 * PART);
    check_in_flight(zr, 0);
    zone_rules_free(zr);
}

/* Four writes complete in each of their 24 orders. */
static void test_every_order(void)
{
    int code;

    for (code = 0; code < 256; code++) {
        ZoneRules *zr;
        ZoneWrite *w[4];
        int place[4], k, n;
        unsigned in = 0;

        for (k = 0; k < 4; k++) {
            place[k] = code >> 2 * k & 3;
            in |= 1u << place[k];
        }
        if (in != 0xf) {
            continue;
        }
        zr = new_rules(0, 0);
        begin_many(zr, w, 4);
        for (in = 0, k = 0; k < 4; k++) {
            int low = 0, high = 4;

            in |= 1u << place[k];
            complete(zr, w[place[k]]);
            while (in & 1u << low) {
                low++;
            }
            while (!(in & 1u << (high - 1))) {
                high--;
            }
            check_ends(zr, A, low * PART, high * PART);
            for (n = 0; n < 4; n++) {
                uint64_t length;

                g_assert_cmpint(zone_read_part(zr, at(A) + n * PART, PART,
                                               &length), ==, !!(in & 1u << n));
                g_assert_cmpuint(length, ==, PART);
            }
        }
        check(zr, A, IO, 4 * PART);
        end_many(zr, w, 4);
        zone_rules_free(zr);
    }
}

/*** Failures that give back ***/

static void test_last_write_that_fails_gives_back(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation = zone_rules_generation(zr, A);
    ZoneWrite *w;

    put(zr, A, PART);
    w = begin_next(zr, A, PART);
    fail(zr, w, ZONE_WRITE_GIVEN_BACK);
    check(zr, A, IO, PART);
    check_ends(zr, A, PART, PART);
    /* A sample of what is complete stays true. */
    g_assert_cmpuint(zone_rules_generation(zr, A), ==, generation);
    /* It counts until it answers, but holds up no write. */
    check_in_flight(zr, 1);
    check_blocked(zr, false);
    put(zr, A, PART / 2);
    check(zr, A, IO, PART + PART / 2);
    check_ends(zr, A, PART + PART / 2, PART + PART / 2);
    CHECK_READ(zr, at(A), ZONE, PART + PART / 2,
               -(int64_t)(ZONE - PART - PART / 2));
    end(zr, w);
    check_in_flight(zr, 0);
    check_ends(zr, A, PART + PART / 2, PART + PART / 2);
    zone_rules_free(zr);
}

/* An operation waits for one that was given back and has not answered. */
static void test_given_back_is_in_flight(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w = begin_next(zr, A, PART);

    begin_op_one(zr, ZONE_OP_FINISH, A);
    fail(zr, w, ZONE_WRITE_GIVEN_BACK);
    check_in_flight(zr, 1);
    check(zr, A, IO, 0);
    end(zr, w);
    check_in_flight(zr, 0);
    zone_op_end(zr, ZONE_OP_FINISH, A, true);
    check(zr, A, FU, CAP);
    zone_rules_free(zr);
}

/*
 * A failed one waits for what was accepted above it, and while it does nothing
 * is accepted.
 */
static void test_undecided_then_given_back(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[5];

    put(zr, A, PART);
    begin_many(zr, w, 5);
    fail(zr, w[1], ZONE_WRITE_FAILED);
    check_blocked(zr, true);
    fail(zr, w[3], ZONE_WRITE_FAILED);
    fail(zr, w[2], ZONE_WRITE_FAILED);
    /* Nothing is given back one by one. */
    check(zr, A, IO, 6 * PART);
    check_ends(zr, A, PART, PART);
    check_in_flight(zr, 5);
    CHECK_READ(zr, at(A), ZONE, PART, -(int64_t)(ZONE - PART));
    /* A write below decides nothing. */
    complete(zr, w[0]);
    check_stage(w[1], ZONE_WRITE_FAILED);
    check_blocked(zr, true);
    check_ends(zr, A, 2 * PART, 2 * PART);
    /* The last one does: all go back in one step, in whatever order failed. */
    fail(zr, w[4], ZONE_WRITE_GIVEN_BACK);
    check_stage(w[1], ZONE_WRITE_GIVEN_BACK);
    check_stage(w[2], ZONE_WRITE_GIVEN_BACK);
    check_stage(w[3], ZONE_WRITE_GIVEN_BACK);
    check(zr, A, IO, 2 * PART);
    check_ends(zr, A, 2 * PART, 2 * PART);
    check_blocked(zr, false);
    check_in_flight(zr, 5);
    end_many(zr, w, 5);
    check_in_flight(zr, 0);
    put(zr, A, PART);
    check(zr, A, IO, 3 * PART);
    zone_rules_free(zr);
}

/* One in flight below holds the pointer; when that fails too, it goes on. */
static void test_cascade(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[4];
    int k;

    for (k = 0; k < 4; k++) {
        w[k] = begin_next(zr, A, CAP / 4);
    }
    check(zr, A, FU, CAP);
    fail(zr, w[0], ZONE_WRITE_FAILED);
    fail(zr, w[2], ZONE_WRITE_FAILED);
    fail(zr, w[3], ZONE_WRITE_GIVEN_BACK);
    check_stage(w[2], ZONE_WRITE_GIVEN_BACK);
    check_stage(w[0], ZONE_WRITE_FAILED);
    check(zr, A, CL, CAP / 2);
    /* The lowest is not decided yet. */
    check_blocked(zr, true);
    fail(zr, w[1], ZONE_WRITE_GIVEN_BACK);
    check_stage(w[0], ZONE_WRITE_GIVEN_BACK);
    check_blocked(zr, false);
    check(zr, A, EM, 0);
    check_ends(zr, A, 0, 0);
    check_counts(zr, 0, 0);
    check_in_flight(zr, 4);
    end_many(zr, w, 4);
    zone_rules_free(zr);
}

/* What becomes of a zone's state when all that was written is given back */
static void test_states_on_give_back(void)
{
    static const struct {
        uint64_t before, bytes;         /* there already; of the write */
        bool open, close;               /* explicitly; while it is in flight */
        ZoneState during, after;
    } cases[] = {
        { 0, PART, false, false, IO, IO },
        { PART, PART, false, false, IO, IO },
        { 0, PART, true, false, EO, EO },
        { PART, PART, true, false, EO, EO },
        { 0, PART, false, true, CL, EM },
        { PART, PART, false, true, CL, CL },
        { 0, PART, true, true, CL, EM },
        { 0, CAP, false, false, FU, EM },
        { PART, CAP - PART, false, false, FU, CL },
        /* Out of Full there is no way back to open. */
        { 0, CAP, true, false, FU, EM },
        { PART, CAP - PART, true, false, FU, CL },
    };
    size_t k;
    int how;

    for (k = 0; k < ARRAY_SIZE(cases); k++) {
        /* Fails alone; not durable; below one that fails after it */
        for (how = 0; how < 3; how++) {
            ZoneRules *zr = new_rules(0, 0);
            uint64_t half = (how == 2) * cases[k].bytes / 2;
            ZoneWrite *w, *v = NULL;
            ZoneState after = cases[k].after;

            if (cases[k].before) {
                put(zr, A, cases[k].before);
            }
            if (cases[k].open) {
                g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, A), ==, 0);
            }
            w = begin_next(zr, A, cases[k].bytes - half);
            if (half) {
                v = begin_next(zr, A, half);
            }
            if (cases[k].close) {
                g_assert_cmpint(op_one(zr, ZONE_OP_CLOSE, A), ==, 0);
            }
            check(zr, A, cases[k].during, cases[k].before + cases[k].bytes);
            if (how == 0) {
                fail(zr, w, ZONE_WRITE_GIVEN_BACK);
            } else if (how == 1) {
                complete(zr, w);
                g_assert_true(zone_write_give_back(zr, w));
                check_stage(w, ZONE_WRITE_GIVEN_BACK);
            } else {
                fail(zr, w, ZONE_WRITE_FAILED);
                check(zr, A, cases[k].during,
                      cases[k].before + cases[k].bytes);
                fail(zr, v, ZONE_WRITE_GIVEN_BACK);
                check_stage(w, ZONE_WRITE_GIVEN_BACK);
                end(zr, v);
            }
            check(zr, A, after, cases[k].before);
            check_ends(zr, A, cases[k].before, cases[k].before);
            check_counts(zr, after == IO || after == EO,
                         after == IO || after == EO || after == CL);
            end(zr, w);
            check(zr, A, after, cases[k].before);
            put(zr, A, PART);
            check(zr, A, after == EO ? EO : IO, cases[k].before + PART);
            zone_rules_free(zr);
        }
    }
}

/*** Failures that become zeros ***/

static void test_zeros_below_a_complete_one(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation = zone_rules_generation(zr, A);
    ZoneWrite *w[6];

    begin_many(zr, w, 6);
    /* Two fail before, with one in flight between them... */
    fail(zr, w[0], ZONE_WRITE_FAILED);
    fail(zr, w[2], ZONE_WRITE_FAILED);
    check_blocked(zr, true);
    complete(zr, w[4]);
    check_stage(w[0], ZONE_WRITE_ZEROS);
    check_stage(w[2], ZONE_WRITE_ZEROS);
    check_stage(w[1], ZONE_WRITE_ACCEPTED);
    check_stage(w[3], ZONE_WRITE_ACCEPTED);
    /* All is decided: the pointer stays above, and writes are accepted. */
    check_blocked(zr, false);
    check(zr, A, IO, 6 * PART);
    check_ends(zr, A, 0, 5 * PART);
    /* ... and one after; it is decided when it fails. */
    end(zr, w[4]);
    fail(zr, w[3], ZONE_WRITE_ZEROS);
    check_blocked(zr, false);
    /* What is above the complete one is another matter. */
    w[4] = begin_next(zr, A, PART);
    fail(zr, w[5], ZONE_WRITE_FAILED);
    check_blocked(zr, true);
    fail(zr, w[4], ZONE_WRITE_GIVEN_BACK);
    check_stage(w[5], ZONE_WRITE_GIVEN_BACK);
    check(zr, A, IO, 5 * PART);
    check_ends(zr, A, 0, 5 * PART);
    CHECK_READ(zr, at(A), ZONE, -4 * (int64_t)PART, PART,
               -(int64_t)(ZONE - 5 * PART));
    /* A range that was made zeros is complete like any other. */
    complete(zr, w[2]);
    check_ends(zr, A, 0, 5 * PART);
    CHECK_READ(zr, at(A), 5 * PART, -2 * (int64_t)PART, PART, -(int64_t)PART,
               PART);
    complete(zr, w[0]);
    check_ends(zr, A, PART, 5 * PART);
    complete(zr, w[3]);
    complete(zr, w[1]);
    check_ends(zr, A, 5 * PART, 5 * PART);
    CHECK_READ(zr, at(A), ZONE, 5 * PART, -(int64_t)(ZONE - 5 * PART));
    g_assert_cmpuint(zone_rules_generation(zr, A), ==, generation);
    check_in_flight(zr, 6);
    end_many(zr, w, 6);
    check_in_flight(zr, 0);
    /* A request that is made again is an ordinary one. */
    refuse_write(zr, at(A), PART, BLK_ZONE_ERR_UNALIGNED_WP);
    put(zr, A, PART);
    zone_rules_free(zr);
}

/* A complete write makes nothing of those that failed above it. */
static void test_no_zeros_without_a_complete_one_above(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[3];

    begin_many(zr, w, 3);
    fail(zr, w[1], ZONE_WRITE_FAILED);
    done(zr, w[0]);
    check_stage(w[1], ZONE_WRITE_FAILED);
    check_ends(zr, A, PART, PART);
    complete(zr, w[2]);
    check_stage(w[1], ZONE_WRITE_ZEROS);
    check_ends(zr, A, PART, 3 * PART);
    end(zr, w[2]);
    done(zr, w[1]);
    check_ends(zr, A, 3 * PART, 3 * PART);
    zone_rules_free(zr);
}

/* No state is left by it: of Full, of Closed, read-only, offline. */
static void test_zeros_change_no_state(void)
{
    static const ZoneState states[] = { IO, EO, CL, FU, RO, OF };
    size_t k;

    for (k = 0; k < ARRAY_SIZE(states); k++) {
        ZoneRules *zr = new_rules(0, 0);
        ZoneState s = states[k];
        uint64_t above = s == FU ? CAP - PART : PART;
        ZoneWrite *w = begin_next(zr, A, PART);
        ZoneWrite *v = begin_next(zr, A, above);

        if (s == EO) {
            g_assert_cmpint(op_one(zr, ZONE_OP_OPEN, A), ==, 0);
        } else if (s == CL) {
            g_assert_cmpint(op_one(zr, ZONE_OP_CLOSE, A), ==, 0);
        } else if (s == RO || s == OF) {
            zone_rules_set_worn(zr, A, s);
        }
        fail(zr, w, ZONE_WRITE_FAILED);
        check(zr, A, s, PART + above);
        complete(zr, v);
        check_stage(w, ZONE_WRITE_ZEROS);
        check(zr, A, s, PART + above);
        end(zr, v);
        done(zr, w);
        check(zr, A, s, PART + above);
        check_ends(zr, A, PART + above, PART + above);
        zone_rules_free(zr);
    }
}

/* Every write but one of four fails, in every order: that one decides. */
static void test_one_of_four_completes(void)
{
    int good, code;

    for (good = 0; good < 4; good++) {
        for (code = 0; code < 256; code++) {
            ZoneRules *zr;
            ZoneWrite *w[4];
            int k, place[4];
            unsigned in = 0;

            for (k = 0; k < 4; k++) {
                place[k] = code >> 2 * k & 3;
                in |= 1u << place[k];
            }
            if (in != 0xf) {
                continue;
            }
            zr = new_rules(0, 0);
            begin_many(zr, w, 4);
            for (k = 0; k < 4; k++) {
                if (place[k] == good) {
                    complete(zr, w[good]);
                } else {
                    zone_write_fail(zr, w[place[k]]);
                }
            }
            check(zr, A, IO, (good + 1) * PART);
            check_ends(zr, A, good ? 0 : PART, (good + 1) * PART);
            check_blocked(zr, false);
            for (k = 0; k < 4; k++) {
                check_stage(w[k], k < good ? ZONE_WRITE_ZEROS :
                            k == good ? ZONE_WRITE_COMPLETE :
                            ZONE_WRITE_GIVEN_BACK);
                if (k < good) {
                    complete(zr, w[k]);
                }
            }
            check_ends(zr, A, (good + 1) * PART, (good + 1) * PART);
            end_many(zr, w, 4);
            zone_rules_free(zr);
        }
    }
}

/*** Durable before it answers (FUA) ***/

static void test_last_one_not_durable_gives_back(void)
{
    ZoneRules *zr = new_rules(0, 0);
    uint32_t generation = zone_rules_generation(zr, A);
    ZoneWrite *w[3];

    begin_many(zr, w, 2);
    complete(zr, w[0]);
    complete(zr, w[1]);
    check_ends(zr, A, 2 * PART, 2 * PART);
    CHECK_READ(zr, at(A), 2 * PART, 2 * PART);
    /* Not the last one: it stays, and answers its error. */
    g_assert_false(zone_write_give_back(zr, w[0]));
    check_stage(w[0], ZONE_WRITE_COMPLETE);
    check(zr, A, IO, 2 * PART);
    check_ends(zr, A, 2 * PART, 2 * PART);
    g_assert_true(zone_write_give_back(zr, w[1]));
    check_stage(w[1], ZONE_WRITE_GIVEN_BACK);
    check(zr, A, IO, PART);
    check_ends(zr, A, PART, PART);
    CHECK_READ(zr, at(A), 2 * PART, PART, -(int64_t)PART);
    g_assert_cmpuint(zone_rules_generation(zr, A), ==, generation);
    check_blocked(zr, false);
    check_in_flight(zr, 2);
    /* Now it is the last one, again. */
    g_assert_true(zone_write_give_back(zr, w[0]));
    check(zr, A, IO, 0);
    check_ends(zr, A, 0, 0);
    check_in_flight(zr, 2);
    w[2] = begin_next(zr, A, PART);
    end(zr, w[1]);
    check_ends(zr, A, 0, 0);
    done(zr, w[2]);
    check_ends(zr, A, PART, PART);
    end(zr, w[0]);
    check(zr, A, IO, PART);
    zone_rules_free(zr);
}

/* One that a write was accepted above, whatever becomes of that, stays. */
static void test_not_the_last_one_stays(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w = begin_next(zr, A, PART), *v;

    complete(zr, w);
    v = begin_next(zr, A, PART);
    g_assert_false(zone_write_give_back(zr, w));
    check(zr, A, IO, 2 * PART);
    check_ends(zr, A, PART, PART);
    complete(zr, v);
    g_assert_false(zone_write_give_back(zr, w));
    end(zr, v);
    g_assert_false(zone_write_give_back(zr, w));
    check_stage(w, ZONE_WRITE_COMPLETE);
    end(zr, w);
    check(zr, A, IO, 2 * PART);
    check_ends(zr, A, 2 * PART, 2 * PART);
    zone_rules_free(zr);
}

/*
 * Those below it that failed became zeros because of it.  They stay so, also
 * where it is given back, and nothing goes below them.
 */
static void test_give_back_above_zeros(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[4];

    put(zr, A, PART);
    begin_many(zr, w, 4);
    fail(zr, w[2], ZONE_WRITE_FAILED);
    complete(zr, w[3]);
    check_stage(w[2], ZONE_WRITE_ZEROS);
    check_ends(zr, A, PART, 5 * PART);
    g_assert_true(zone_write_give_back(zr, w[3]));
    check_stage(w[2], ZONE_WRITE_ZEROS);
    check(zr, A, IO, 4 * PART);
    check_ends(zr, A, PART, PART);
    /* One below it that fails now waits for it, and is not given back. */
    fail(zr, w[1], ZONE_WRITE_FAILED);
    check_blocked(zr, true);
    check(zr, A, IO, 4 * PART);
    complete(zr, w[2]);
    check_stage(w[1], ZONE_WRITE_ZEROS);
    check_blocked(zr, false);
    check_ends(zr, A, PART, 4 * PART);
    complete(zr, w[1]);
    check_ends(zr, A, PART, 4 * PART);
    complete(zr, w[0]);
    check_ends(zr, A, 4 * PART, 4 * PART);
    end_many(zr, w, 4);
    check(zr, A, IO, 4 * PART);
    zone_rules_free(zr);
}

/* It takes a zone out of Full, with a finish that waits. */
static void test_give_back_out_of_full_under_finish(void)
{
    ZoneRules *zr = new_rules(1, 1);
    ZoneWrite *w;

    put(zr, A, PART);
    w = begin_next(zr, A, CAP - PART);
    complete(zr, w);
    check(zr, A, FU, CAP);
    put(zr, B, PART);
    begin_op_one(zr, ZONE_OP_FINISH, A);
    g_assert_true(zone_write_give_back(zr, w));
    check(zr, A, CL, PART);
    /* Whatever the limits are */
    check_counts(zr, 1, 2);
    check_in_flight(zr, 1);
    end(zr, w);
    zone_op_end(zr, ZONE_OP_FINISH, A, true);
    check(zr, A, FU, CAP);
    check_counts(zr, 1, 1);
    zone_rules_free(zr);
}

/*** Turns ***/

static void check_frontier(ZoneRules *zr, uint64_t frontier)
{
    g_assert_cmpuint(zone_rules_frontier(zr, A), ==, at(A) + frontier);
}

static void check_turn(ZoneRules *zr, const ZoneWrite *w, bool turn,
                       bool ready)
{
    g_assert_true(zone_write_has_turn(zr, w) == turn);
    g_assert_true(zone_write_is_ready(zr, w) == ready);
}

static void test_turns_in_order_of_acceptance(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[4];
    int k;

    for (k = 0; k < 4; k++) {
        w[k] = begin_next_bare(zr, A, PART);
    }
    check_frontier(zr, 0);
    check_turn(zr, w[0], true, false);
    check_turn(zr, w[1], false, false);
    check_turn(zr, w[3], false, false);
    zone_write_ready(zr, w[0], at(A) + PART);
    check_frontier(zr, PART);
    check_turn(zr, w[0], true, true);
    check_turn(zr, w[1], true, false);
    check_turn(zr, w[2], false, false);
    /* Its data may be in before the next one's turn is over. */
    done(zr, w[0]);
    check_turn(zr, w[1], true, false);
    /* Ahead, into the middle of a write: that one has its turn, no other. */
    zone_write_ready(zr, w[1], at(A) + 2 * PART + 512);
    check_frontier(zr, 2 * PART + 512);
    check_turn(zr, w[1], true, true);
    check_turn(zr, w[2], true, false);
    check_turn(zr, w[3], false, false);
    /* And over writes, also over some that are still to come */
    zone_write_ready(zr, w[2], at(A) + 5 * PART);
    check_turn(zr, w[2], true, true);
    check_turn(zr, w[3], true, true);
    done(zr, w[3]);
    done(zr, w[1]);
    done(zr, w[2]);
    check_frontier(zr, 5 * PART);
    w[0] = begin_next_bare(zr, A, PART);
    check_turn(zr, w[0], true, true);
    w[1] = begin_next_bare(zr, A, PART);
    check_turn(zr, w[1], true, false);
    /* Other zones have frontiers of their own. */
    w[2] = begin_next_bare(zr, B, PART);
    check_turn(zr, w[2], true, false);
    g_assert_cmpuint(zone_rules_frontier(zr, B), ==, at(B));
    for (k = 0; k < 3; k++) {
        make_ready(zr, w[k]);
        done(zr, w[k]);
    }
    check_frontier(zr, 6 * PART);
    zone_rules_free(zr);
}

static void test_give_back_lowers_the_frontier(void)
{
    int how;

    /* Fails alone; not durable; below one that fails after it */
    for (how = 0; how < 3; how++) {
        ZoneRules *zr = new_rules(0, 0);
        ZoneWrite *w, *v = NULL;

        put(zr, A, PART);
        w = begin_next_bare(zr, A, PART);
        zone_write_ready(zr, w, at(A) + 8 * PART);
        if (how == 0) {
            fail(zr, w, ZONE_WRITE_GIVEN_BACK);
        } else if (how == 1) {
            complete(zr, w);
            check_frontier(zr, 8 * PART);
            g_assert_true(zone_write_give_back(zr, w));
        } else {
            v = begin_next_bare(zr, A, PART);
            check_turn(zr, v, true, true);
            fail(zr, w, ZONE_WRITE_FAILED);
            /* Only what is given back lowers it. */
            check_frontier(zr, 8 * PART);
            fail(zr, v, ZONE_WRITE_GIVEN_BACK);
            end(zr, v);
        }
        check_frontier(zr, PART);
        v = begin_next_bare(zr, A, PART);
        check_turn(zr, v, true, false);
        end(zr, w);
        check_turn(zr, v, true, false);
        make_ready(zr, v);
        done(zr, v);
        check_frontier(zr, 2 * PART);
        zone_rules_free(zr);
    }
}

/* A failure that is not given back leaves it where it is. */
static void test_zeros_leave_the_frontier(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w[2];

    begin_many(zr, w, 2);
    fail(zr, w[0], ZONE_WRITE_FAILED);
    check_frontier(zr, 2 * PART);
    complete(zr, w[1]);
    check_frontier(zr, 2 * PART);
    complete(zr, w[0]);
    end_many(zr, w, 2);
    check_frontier(zr, 2 * PART);
    zone_rules_free(zr);
}

static void check_errors(ZoneWrite **w, int nr, int stuck, int error)
{
    int k;

    for (k = 0; k < nr; k++) {
        g_assert_cmpint(w[k]->error, ==, k >= stuck ? error : 0);
    }
}

/*
 * What the second of five needs cannot be made: those above it fail with it,
 * in any order, and the first, which had its turn, does not.
 */
static void test_stuck(void)
{
    int how;

    for (how = 0; how < 3; how++) {
        ZoneRules *zr = new_rules(0, 0);
        ZoneWrite *w[5], *v;
        int k;

        put(zr, A, PART);
        for (k = 0; k < 5; k++) {
            w[k] = begin_next_bare(zr, A, PART);
        }
        v = begin_next_bare(zr, B, PART);
        make_ready(zr, w[0]);
        check_turn(zr, w[1], true, false);
        zone_write_stuck(zr, w[1], -ENOSPC);
        check_errors(w, 5, 1, -ENOSPC);
        g_assert_cmpint(v->error, ==, 0);
        /* Nothing that could have no turn is accepted from now on. */
        check_blocked(zr, true);
        fail(zr, w[1], ZONE_WRITE_FAILED);
        check_blocked(zr, true);
        check_frontier(zr, 2 * PART);
        for (k = 2; k < 5; k++) {
            check_turn(zr, w[k], false, false);
        }
        switch (how) {
        case 0:
            fail(zr, w[2], ZONE_WRITE_FAILED);
            complete(zr, w[0]);
            fail(zr, w[3], ZONE_WRITE_FAILED);
            check(zr, A, IO, 6 * PART);
            fail(zr, w[4], ZONE_WRITE_GIVEN_BACK);
            break;
        case 1:
            /* The frontier, which is far below, is not raised. */
            fail(zr, w[4], ZONE_WRITE_GIVEN_BACK);
            check(zr, A, IO, 5 * PART);
            check_frontier(zr, 2 * PART);
            fail(zr, w[3], ZONE_WRITE_GIVEN_BACK);
            check(zr, A, IO, 4 * PART);
            check_frontier(zr, 2 * PART);
            check_blocked(zr, true);
            fail(zr, w[2], ZONE_WRITE_GIVEN_BACK);
            complete(zr, w[0]);
            break;
        default:
            /* All of them go back where the first fails, too. */
            fail(zr, w[3], ZONE_WRITE_FAILED);
            fail(zr, w[4], ZONE_WRITE_GIVEN_BACK);
            check_stage(w[3], ZONE_WRITE_GIVEN_BACK);
            fail(zr, w[0], ZONE_WRITE_FAILED);
            fail(zr, w[2], ZONE_WRITE_GIVEN_BACK);
            check_stage(w[0], ZONE_WRITE_GIVEN_BACK);
        }
        for (k = 1; k < 5; k++) {
            check_stage(w[k], ZONE_WRITE_GIVEN_BACK);
        }
        check_blocked(zr, false);
        check(zr, A, IO, how == 2 ? PART : 2 * PART);
        check_frontier(zr, how == 2 ? PART : 2 * PART);
        check_in_flight(zr, 5);
        end_many(zr, w, 5);
        /* The room is there again: a new one has no error, and its turn. */
        w[0] = begin_next_bare(zr, A, PART);
        g_assert_cmpint(w[0]->error, ==, 0);
        check_turn(zr, w[0], true, false);
        make_ready(zr, w[0]);
        done(zr, w[0]);
        make_ready(zr, v);
        done(zr, v);
        zone_rules_free(zr);
    }
}

/* Nothing is accepted between a turn that failed and the failure. */
static void test_stuck_blocks(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w = begin_next_bare(zr, A, PART), *v;

    zone_write_stuck(zr, w, -ENOSPC);
    g_assert_cmpint(w->error, ==, -ENOSPC);
    check_blocked(zr, true);
    lose(zr, w);
    check_blocked(zr, false);
    check(zr, A, IO, 0);
    check_frontier(zr, 0);

    /* One above it may answer before it does: what is left is stuck still. */
    w = begin_next_bare(zr, A, PART);
    v = begin_next_bare(zr, A, PART);
    zone_write_stuck(zr, w, -ENOSPC);
    lose(zr, v);
    check(zr, A, IO, PART);
    check_blocked(zr, true);
    lose(zr, w);
    check_blocked(zr, false);
    check(zr, A, IO, 0);
    zone_rules_free(zr);
}

/*
 * After a reset all is to be made again.  One that has failed, or a finish, may
 * have undone what was made ahead, but not what writes in flight need.
 */
static void test_frontier_after_operations(void)
{
    ZoneRules *zr = new_rules(0, 0);
    ZoneWrite *w = begin_next_bare(zr, A, PART);

    zone_write_ready(zr, w, at(A) + 4 * PART);
    done(zr, w);
    begin_op_one(zr, ZONE_OP_RESET, A);
    zone_op_end(zr, ZONE_OP_RESET, A, false);
    check_frontier(zr, PART);
    w = begin_next_bare(zr, A, PART);
    check_turn(zr, w, true, false);
    zone_write_ready(zr, w, at(A) + 4 * PART);
    begin_op_one(zr, ZONE_OP_FINISH, A);
    zone_op_end(zr, ZONE_OP_FINISH, A, false);
    check_frontier(zr, 2 * PART);
    check_turn(zr, w, true, true);
    done(zr, w);
    check_frontier(zr, 2 * PART);
    /* Nor does it go up to the pointer where a turn has not come yet. */
    w = begin_next_bare(zr, A, PART);
    begin_op_one(zr, ZONE_OP_FINISH, A);
    zone_op_end(zr, ZONE_OP_FINISH, A, false);
    check_frontier(zr, 2 * PART);
    check_turn(zr, w, true, false);
    make_ready(zr, w);
    done(zr, w);
    g_assert_cmpint(op_one(zr, ZONE_OP_RESET, A), ==, 0);
    check_frontier(zr, 0);
    w = begin_next_bare(zr, A, PART);
    check_turn(zr, w, true, false);
    zone_write_ready(zr, w, at(A) + 4 * PART);
    done(zr, w);
    g_assert_cmpint(op_one(zr, ZONE_OP_FINISH, A), ==, 0);
    g_assert_cmpint(op_one(zr, ZONE_OP_RESET, A), ==, 0);
    w = begin_next_bare(zr, A, PART);
    check_turn(zr, w, true, false);
    make_ready(zr, w);
    done(zr, w);
    check_frontier(zr, PART);
    zone_rules_free(zr);

    /* A zone that comes up with a pointer begins there. */
    zr = new_rules(0, 0);
    zr = come_up(zr, A, at(A) + 3 * PART);
    check_frontier(zr, 3 * PART);
    w = begin_next_bare(zr, A, PART);
    check_turn(zr, w, true, false);
    make_ready(zr, w);
    done(zr, w);
    zone_rules_free(zr);
}

/*
 * The frontiers of many zones are not kept for ever: one that was forgotten is
 * at the write pointer, and one of a zone with writes in flight never is.
 */
static void test_many_frontiers(void)
{
    const ZoneGeometry g = {
        .disk_size = 2048 * ZONE, .zone_size = ZONE, .zone_capacity = ZONE,
        .nr_zones = 2048, .max_append = ZONE,
    };
    ZoneRules *zr = rules_for(&g);
    ZoneWrite *first = begin_bare(zr, 0, PART);
    uint32_t kept = 0, i;

    zone_write_ready(zr, first, 4 * PART);
    for (i = 1; i < g.nr_zones; i++) {
        ZoneWrite *w = begin_bare(zr, at(i), PART);

        g_assert_true(zone_write_has_turn(zr, w));
        g_assert_false(zone_write_is_ready(zr, w));
        zone_write_ready(zr, w, at(i) + 4 * PART);
        done(zr, w);
        g_assert_cmpuint(zone_rules_frontier(zr, i), ==, at(i) + 4 * PART);
    }
    g_assert_cmpuint(zone_rules_frontier(zr, 0), ==, 4 * PART);
    /* Those that were written last first */
    for (i = g.nr_zones - 1; i > 0; i--) {
        uint64_t frontier = zone_rules_frontier(zr, i) - at(i);
        ZoneWrite *w = begin_next_bare(zr, i, PART);

        g_assert_true(frontier == PART || frontier == 4 * PART);
        kept += frontier == 4 * PART;
        g_assert_true(zone_write_has_turn(zr, w));
        g_assert_true(zone_write_is_ready(zr, w) == (frontier > PART));
        g_assert_cmpuint(zone_rules_frontier(zr, i), ==, at(i) + frontier);
        make_ready(zr, w);
        done(zr, w);
        if (i % 3 == 0) {
            /* Also out of the middle of those that are remembered */
            g_assert_true(zone_op_begin(zr, ZONE_OP_RESET, 0, i));
            zone_op_end(zr, ZONE_OP_RESET, i, true);
            g_assert_cmpuint(zone_rules_frontier(zr, i), ==, at(i));
        }
    }
    /* The one written last is not forgotten at once. */
    g_assert_cmpuint(kept, >, 0);
    printf("# %" PRIu32 " of %" PRIu32 " frontiers were kept\n", kept,
           g.nr_zones - 1);
    done(zr, first);
    g_assert_cmpuint(zone_rules_frontier(zr, 0), ==, 4 * PART);
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
        { "op/zone-by-zone", test_operation_zone_by_zone },
        { "op/finish-of-a-full-zone-that-may-still-fail",
          test_finish_of_a_full_zone_that_may_still_fail },
        { "op/finish-over-failed-writes", test_finish_over_failed_writes },
        { "op/close-does-not-wait", test_close_does_not_wait },
        { "op/pending-zone-is-closed-to-make-room",
          test_pending_zone_is_closed_to_make_room },
        { "end/accepted-at-once", test_accepted_at_once },
        { "end/out-of-order", test_out_of_order },
        { "end/every-order", test_every_order },
        { "back/last-write-that-fails",
          test_last_write_that_fails_gives_back },
        { "back/in-flight-until-it-answers", test_given_back_is_in_flight },
        { "back/undecided-first", test_undecided_then_given_back },
        { "back/cascade", test_cascade },
        { "back/states", test_states_on_give_back },
        { "zeros/below-a-complete-one", test_zeros_below_a_complete_one },
        { "zeros/not-without-a-complete-one-above",
          test_no_zeros_without_a_complete_one_above },
        { "zeros/change-no-state", test_zeros_change_no_state },
        { "zeros/one-of-four-completes", test_one_of_four_completes },
        { "durable/last-one-gives-back",
          test_last_one_not_durable_gives_back },
        { "durable/not-the-last-one-stays", test_not_the_last_one_stays },
        { "durable/above-zeros", test_give_back_above_zeros },
        { "durable/out-of-full-under-a-finish",
          test_give_back_out_of_full_under_finish },
        { "turn/in-order-of-acceptance", test_turns_in_order_of_acceptance },
        { "turn/give-back-lowers-the-frontier",
          test_give_back_lowers_the_frontier },
        { "turn/zeros-leave-the-frontier", test_zeros_leave_the_frontier },
        { "turn/stuck", test_stuck },
        { "turn/stuck-blocks-at-once", test_stuck_blocks },
        { "turn/after-operations", test_frontier_after_operations },
        { "turn/many-frontiers", test_many_frontiers },
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
