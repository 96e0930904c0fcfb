/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ZONE_VERIFY finds what is wrong in the zone rules' own data: each test breaks
 * one thing, and the next call must end the program
 */
#ifndef ZONE_VERIFY
#define ZONE_VERIFY
#endif
#include "../../block/zone-rules.c"

#define ZONE    (1u << 20)
#define PART    (64u << 10)

static const ZoneGeometry geometry = {
    .disk_size = 9 * ZONE,
    .zone_size = ZONE,
    .zone_capacity = ZONE - PART,
    .nr_zones = 9,
    .nr_conventional = 1,
    .max_active = 6,
    .max_open = 4,
    .max_append = PART,
};

/* Zones 3 and 8 come up closed, 4 full */
static const uint64_t rest[] = {
    0, ZONE, 2 * ZONE, 3 * ZONE + PART, 5 * ZONE - PART, 5 * ZONE, 6 * ZONE,
    7 * ZONE, 8 * ZONE + PART,
};

/* What was accepted in busy_rules(); what breaks the data may have it. */
static ZoneWrite writes[16];
static int nr_writes;

static ZoneWrite *start_write(ZoneRules *zr, uint32_t i)
{
    ZoneWrite *w = &writes[nr_writes++];

    g_assert_cmpint(zone_write_begin(zr, zone_rules_wp(zr, i), PART, w), ==,
                    0);
    zone_write_ready(zr, w, w->start + PART);
    return w;
}

static void finish_write(ZoneRules *zr, ZoneWrite *w)
{
    zone_write_complete(zr, w);
    zone_write_end(zr, w);
}

/*
 * Zone 1 open with a write to become zeros, a complete one above, one that has
 * failed and is not decided, and one in flight; 2 explicitly open, 3 closed, 4
 * full, 5 open under a reset that waits, 6 and 7 empty, but 6 was written and 7
 * has a write that was given back and has not answered; 8 is at rest.
 */
static ZoneRules *busy_rules(void)
{
    ZoneRules *zr = zone_rules_new(&geometry, rest);
    ZoneWrite *w;

    g_assert_true(zone_op_begin(zr, ZONE_OP_FINISH, 0, 4));
    zone_op_end(zr, ZONE_OP_FINISH, 4, true);
    w = start_write(zr, 1);
    finish_write(zr, start_write(zr, 1));
    zone_write_fail(zr, w);
    g_assert_cmpint(w->stage, ==, ZONE_WRITE_ZEROS);
    w = start_write(zr, 1);
    start_write(zr, 1);
    zone_write_fail(zr, w);
    g_assert_cmpint(w->stage, ==, ZONE_WRITE_FAILED);
    g_assert_cmpint(zone_op_open(zr, 2, 3), ==, 0);
    start_write(zr, 5);
    g_assert_true(zone_op_begin(zr, ZONE_OP_RESET, 0, 5));
    finish_write(zr, start_write(zr, 6));
    g_assert_true(zone_op_begin(zr, ZONE_OP_RESET, 0, 6));
    zone_op_end(zr, ZONE_OP_RESET, 6, true);
    w = start_write(zr, 7);
    zone_op_close(zr, 0, 7, 8);
    zone_write_fail(zr, w);
    /* One with nothing in flight, whose frontier is remembered */
    finish_write(zr, start_write(zr, 3));
    zone_op_close(zr, 0, 3, 4);
    return zr;
}

static void break_counter(ZoneRules *zr)
{
    zr->nr[ZONE_STATE_CLOSED]++;
}

static void break_list(ZoneRules *zr)
{
    zr->latest = NO_ZONE;
}

static void break_state(ZoneRules *zr)
{
    zr->zones[6].state = ZONE_STATE_FULL;
}

static void break_pointer(ZoneRules *zr)
{
    zr->zones[3].wp = 4 * ZONE - 512;
}

static void break_full(ZoneRules *zr)
{
    zr->zones[4].wp -= 512;
}

static void break_limit(ZoneRules *zr)
{
    zr->open_limit = 2;
}

/* Writes that are there, and are not counted */
static void break_in_flight(ZoneRules *zr)
{
    zr->zones[1].flight->nr = 2;
}

static void break_failed(ZoneRules *zr)
{
    zr->zones[1].flight->nr_failed--;
}

/* One is undecided with a complete one above, */
static void break_undecided(ZoneRules *zr)
{
    zr->zones[1].flight->first->stage = ZONE_WRITE_FAILED;
    zr->zones[1].flight->nr_failed++;
}

/* or with nothing above; */
static void break_undecided_at_the_top(ZoneRules *zr)
{
    zr->zones[1].flight->last->stage = ZONE_WRITE_FAILED;
    zr->zones[1].flight->nr_failed++;
}

/* and a complete one is still among those that are not. */
static void break_stage(ZoneRules *zr)
{
    zr->zones[1].flight->first->stage = ZONE_WRITE_COMPLETE;
}

static void break_range(ZoneRules *zr)
{
    zr->zones[1].flight->last->bytes += ZONE;
}

static void break_order(ZoneRules *zr)
{
    zr->zones[1].flight->first->start += 2 * PART;
}

static void break_neighbours(ZoneRules *zr)
{
    zr->zones[1].flight->last->below = zr->zones[1].flight->first;
}

static void break_last(ZoneRules *zr)
{
    zr->zones[1].flight->last = zr->zones[1].flight->first;
}

static void break_frontier(ZoneRules *zr)
{
    zr->zones[1].flight->frontier = ZONE - 512;
}

static void break_stuck(ZoneRules *zr)
{
    zr->zones[1].flight->first->error = -ENOSPC;
}

/* What has nothing in flight is in the list of such, and nothing else. */
static void break_idle(ZoneRules *zr)
{
    zr->zones[3].flight->nr++;
}

static void break_idle_list(ZoneRules *zr)
{
    zr->zones[7].flight->nr = 0;
}

static void break_conventional(ZoneRules *zr)
{
    zr->zones[0].pending = true;
}

static void break_rest(ZoneRules *zr)
{
    zr->zones[8].generation++;
}

/* Its pointer moved where it is looked up. */
static void break_pointer_at_rest(ZoneRules *zr)
{
    static const uint64_t moved[ARRAY_SIZE(rest)] = { [8] = 8 * ZONE };

    zr->rest = moved;
}

static void break_nothing(ZoneRules *zr)
{
}

typedef struct Fault {
    const char *name;
    void (*plant)(ZoneRules *zr);
} Fault;

static void test_fault(gconstpointer opaque)
{
    const Fault *f = opaque;

    if (g_test_subprocess()) {
        ZoneRules *zr = busy_rules();

        f->plant(zr);
        zone_op_open(zr, 2, 3);
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    if (f->plant == break_nothing) {
        g_test_trap_assert_passed();
    } else {
        g_test_trap_assert_failed();
        g_test_trap_assert_stderr("*ERROR:*zone-rules-verify.c.inc:*:verify*");
    }
}

int main(int argc, char **argv)
{
    static const Fault faults[] = {
        { "none", break_nothing },
        { "counter-of-a-state", break_counter },
        { "list-of-open-zones", break_list },
        { "state", break_state },
        { "pointer-past-the-capacity", break_pointer },
        { "full-below-the-capacity", break_full },
        { "open-limit", break_limit },
        { "writes-in-flight", break_in_flight },
        { "undecided-writes", break_failed },
        { "undecided-below-a-complete-one", break_undecided },
        { "undecided-at-the-top", break_undecided_at_the_top },
        { "complete-among-those-that-are-not", break_stage },
        { "range-above-the-pointer", break_range },
        { "order-of-writes", break_order },
        { "neighbours", break_neighbours },
        { "last-write", break_last },
        { "frontier-below-the-zone", break_frontier },
        { "no-error-above-a-stuck-one", break_stuck },
        { "idle-with-a-write-in-flight", break_idle },
        { "idle-and-not-listed", break_idle_list },
        { "conventional-and-pending", break_conventional },
        { "at-rest-and-changed", break_rest },
        { "pointer-of-a-zone-at-rest", break_pointer_at_rest },
    };
    size_t k;

    g_test_init(&argc, &argv, NULL);
    for (k = 0; k < ARRAY_SIZE(faults); k++) {
        g_autofree char *path = g_strconcat("/zone-rules/verify/",
                                            faults[k].name, NULL);

        g_test_add_data_func(path, &faults[k], test_fault);
    }
    printf("# least %d\n", (int)ARRAY_SIZE(faults));
    return g_test_run();
}
