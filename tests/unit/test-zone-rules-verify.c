/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What holds the zone rules' own data against themselves (ZONE_VERIFY) finds
 * what is wrong there: each test breaks one thing, and the next call must end
 * the program
 */
#ifndef ZONE_VERIFY
#define ZONE_VERIFY
#endif
#include "../../block/zone-rules.c"

#define ZONE    (1u << 20)
#define PART    (64u << 10)

static const ZoneGeometry geometry = {
    .disk_size = 8 * ZONE,
    .zone_size = ZONE,
    .zone_capacity = ZONE - PART,
    .nr_zones = 8,
    .nr_conventional = 1,
    .max_active = 6,
    .max_open = 4,
    .max_append = PART,
};

static ZoneWrite *start_write(ZoneRules *zr, uint32_t i)
{
    ZoneWrite *w;

    g_assert_cmpint(zone_write_begin(zr, zone_rules_wp(zr, i), PART, &w), ==,
                    0);
    return w;
}

/*
 * Zone 1 open with a hole and a write in flight, 2 explicitly open, 3 closed,
 * 4 full, 5 open under a reset that waits, 6 and 7 empty
 */
static ZoneRules *busy_rules(void)
{
    ZoneRules *zr = zone_rules_new(&geometry);
    ZoneWrite *w;
    ZoneOp *op;

    zone_rules_load(zr, 3, 3 * ZONE + PART);
    zone_rules_load(zr, 4, 5 * ZONE - PART);
    w = start_write(zr, 1);
    zone_write_end(zr, start_write(zr, 1), true);
    zone_write_end(zr, w, false);
    start_write(zr, 1);
    g_assert_cmpint(zone_op_begin(zr, ZONE_OP_OPEN, 0, 2 * ZONE, ZONE, &op),
                    ==, 0);
    start_write(zr, 5);
    g_assert_cmpint(zone_op_begin(zr, ZONE_OP_RESET, 0, 5 * ZONE, ZONE, &op),
                    ==, 0);
    return zr;
}

static void break_counter(ZoneRules *zr)
{
    zr->closed.nr++;
}

static void break_list(ZoneRules *zr)
{
    zr->explicit_open.tail = NO_ZONE;
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

static void break_in_flight(ZoneRules *zr)
{
    zr->zones[1].busy->in_flight++;
}

static void break_holes(ZoneRules *zr)
{
    zr->zones[1].busy->nr_dirty_holes--;
}

static void break_acknowledged(ZoneRules *zr)
{
    zr->zones[1].busy->acknowledged = ZONE;
    zr->zones[1].busy->acknowledged -= 512;
}

static void break_range(ZoneRules *zr)
{
    range_of(zr->zones[1].busy->open.head)->w.bytes += ZONE;
}

static void break_pending(ZoneRules *zr)
{
    zr->nr_pending++;
}

static void break_operation(ZoneRules *zr)
{
    zr->zones[5].busy->op->nr_busy++;
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
        ZoneOp *op;

        f->plant(zr);
        zone_op_begin(zr, ZONE_OP_OPEN, 0, 2 * ZONE, ZONE, &op);
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    if (f->plant == break_nothing) {
        g_test_trap_assert_passed();
    } else {
        g_test_trap_assert_failed();
        g_test_trap_assert_stderr("*zone-rules-verify.c.inc*assertion failed*");
    }
}

int main(int argc, char **argv)
{
    static const Fault faults[] = {
        { "none", break_nothing },
        { "counter-of-a-state", break_counter },
        { "list-of-a-state", break_list },
        { "state", break_state },
        { "pointer-past-the-capacity", break_pointer },
        { "full-below-the-capacity", break_full },
        { "open-limit", break_limit },
        { "writes-in-flight", break_in_flight },
        { "holes", break_holes },
        { "acknowledged", break_acknowledged },
        { "range-above-the-pointer", break_range },
        { "pending", break_pending },
        { "operation-that-waits", break_operation },
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
