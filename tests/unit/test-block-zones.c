/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests for the zone reports of QMP: runs of zones, and query-block-zones
 *
 * The driver under these tests makes its zones up from their number alone, and
 * has no bdrv_zone_counts().  It tells how often it was asked, and can fail.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-zones.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "block/block_int.h"
#include "block/zone-errors.h"
#include "block/zones.h"
#include "system/block-backend.h"

#define ZONE_SIZE       (1 * MiB)
/* Several requests are needed for them */
#define NR_ZONES        (3 * BLOCK_ZONES_AT_ONCE)
/* The last zone is half a zone */
#define DISK_SIZE       (NR_ZONES * ZONE_SIZE - ZONE_SIZE / 2)

static struct {
    unsigned int reports;
    unsigned int changes;
    unsigned int flushes;
    unsigned int beats;         /* of the main loop, one asked for a report */
    int64_t fail_at;            /* reports that begin here or above fail */
    BlockDriverState *delete;   /* when the first report is done */
} dev;

/* Conventional, then one of each, then empty and full ones in turns of 100 */
static BlockZoneDescriptor zone_of(unsigned int i)
{
    static const BlockZoneState one_of_each[] = {
        BLK_ZS_IOPEN, BLK_ZS_EOPEN, BLK_ZS_CLOSED, BLK_ZS_CLOSED,
        BLK_ZS_RDONLY, BLK_ZS_RDONLY, BLK_ZS_OFFLINE,
    };
    BlockZoneDescriptor zone = {
        .start = i * ZONE_SIZE,
        .length = i == NR_ZONES - 1 ? ZONE_SIZE / 2 : ZONE_SIZE,
        .wp = i * ZONE_SIZE,
        .type = BLK_ZT_SWR,
    };

    zone.cap = zone.length;
    if (i < 4) {
        zone.type = BLK_ZT_CONV;
        zone.state = BLK_ZS_NOT_WP;
    } else if (i < 4 + ARRAY_SIZE(one_of_each)) {
        zone.state = one_of_each[i - 4];
        zone.wp += 512;
    } else {
        zone.state = i / 100 % 2 ? BLK_ZS_FULL : BLK_ZS_EMPTY;
    }
    return zone;
}

static void beat(void *opaque)
{
    BlockDriverState *bs = dev.delete;

    dev.beats++;
    dev.delete = NULL;
    bdrv_unref(bs);
}

/* Beats that were asked for and have not been come before the next test. */
static void settle(void)
{
    bool more;

    do {
        more = aio_poll(qemu_get_aio_context(), false);
    } while (more);
}

static int64_t coroutine_fn GRAPH_RDLOCK test_co_getlength(BlockDriverState *bs)
{
    return DISK_SIZE;
}

static void test_refresh_limits(BlockDriverState *bs, Error **errp)
{
    bs->bl.request_alignment = 512;
    bs->bl.zoned = BLK_Z_HM;
    bs->bl.zone_size = ZONE_SIZE;
    bs->bl.nr_zones = NR_ZONES;
    bs->bl.max_active_zones = 14;
}

static int coroutine_fn GRAPH_RDLOCK
test_co_zone_report(BlockDriverState *bs, int64_t offset,
                    unsigned int *nr_zones, BlockZoneDescriptor *zones)
{
    unsigned int i, first = offset / ZONE_SIZE;

    dev.reports++;
    aio_bh_schedule_oneshot(qemu_get_aio_context(), beat, NULL);
    if (dev.fail_at && offset >= dev.fail_at) {
        return -BLK_ZONE_ERR_OFFLINE;
    }
    for (i = 0; i < *nr_zones && first + i < NR_ZONES; i++) {
        zones[i] = zone_of(first + i);
    }
    *nr_zones = i;
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK
test_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                  int64_t len, BdrvZoneFlags flags)
{
    dev.changes++;
    return 0;
}

static int coroutine_fn test_co_flush_to_disk(BlockDriverState *bs)
{
    dev.flushes++;
    return 0;
}

static BlockDriver bdrv_test = {
    .format_name            = "zones-test",
    .instance_size          = 1,
    .bdrv_child_perm        = bdrv_default_perms,
    .bdrv_co_getlength      = test_co_getlength,
    .bdrv_refresh_limits    = test_refresh_limits,
    .bdrv_co_zone_report    = test_co_zone_report,
    .bdrv_co_zone_mgmt      = test_co_zone_mgmt,
    .bdrv_co_flush_to_disk  = test_co_flush_to_disk,
};

static BlockDriverState *new_node(void)
{
    memset(&dev, 0, sizeof(dev));
    return bdrv_new_open_driver(&bdrv_test, "zoned", BDRV_O_RDWR,
                                &error_abort);
}

typedef struct Query {
    const char *node;
    uint64_t offset;
    uint32_t limit;             /* 0: not said */
    bool fold;
    BlockZoneReport *report;
    Error *err;
    bool done;
} Query;

static void coroutine_fn query_entry(void *opaque)
{
    Query *q = opaque;

    q->report = qmp_query_block_zones(q->node, q->offset, q->offset, q->limit,
                                      q->limit, true, q->fold, &q->err);
    q->done = true;
}

static void query_start(Query *q)
{
    q->node = q->node ?: "zoned";
    q->done = false;
    qemu_coroutine_enter(qemu_coroutine_create(query_entry, q));
}

static void query_end(Query *q)
{
    while (!q->done) {
        aio_poll(qemu_get_aio_context(), true);
    }
    g_assert(!q->report == !!q->err);
}

static BlockZoneReport *query(Query *q)
{
    query_start(q);
    query_end(q);
    if (q->err) {
        error_report_err(q->err);
    }
    g_assert_nonnull(q->report);
    return q->report;
}

static void query_fails(Query *q, const char *message)
{
    query_start(q);
    query_end(q);
    g_assert_null(q->report);
    g_assert_cmpstr(error_get_pretty(q->err), ==, message);
    error_free(q->err);
    q->err = NULL;
}

/* --- Zones and runs --- */

static void test_info(void)
{
    static const struct {
        BlockZoneState state;
        BlockZoneCondition condition;
        bool has_pointer;
    } table[] = {
        { BLK_ZS_NOT_WP, BLOCK_ZONE_CONDITION_NOT_WRITE_POINTER, false },
        { BLK_ZS_EMPTY, BLOCK_ZONE_CONDITION_EMPTY, true },
        { BLK_ZS_IOPEN, BLOCK_ZONE_CONDITION_IMPLICIT_OPEN, true },
        { BLK_ZS_EOPEN, BLOCK_ZONE_CONDITION_EXPLICIT_OPEN, true },
        { BLK_ZS_CLOSED, BLOCK_ZONE_CONDITION_CLOSED, true },
        { BLK_ZS_FULL, BLOCK_ZONE_CONDITION_FULL, false },
        { BLK_ZS_RDONLY, BLOCK_ZONE_CONDITION_READ_ONLY, false },
        { BLK_ZS_OFFLINE, BLOCK_ZONE_CONDITION_OFFLINE, false },
    };

    g_assert_cmpint(ARRAY_SIZE(table), ==, BLOCK_ZONE_CONDITION__MAX);
    for (int i = 0; i < ARRAY_SIZE(table); i++) {
        BlockZoneDescriptor zone = {
            .start = 8192, .length = 4096, .cap = 2048, .wp = 9216,
            .type = BLK_ZT_SWP, .state = table[i].state,
        };
        BlockZoneInfo info = block_zone_info(&zone);

        g_assert_cmpuint(info.start, ==, 8192);
        g_assert_cmpuint(info.length, ==, 4096);
        g_assert_cmpuint(info.capacity, ==, 2048);
        g_assert_cmpint(info.condition, ==, table[i].condition);
        g_assert_cmpint(info.type, ==,
                        BLOCK_ZONE_TYPE_SEQUENTIAL_WRITE_PREFERRED);
        g_assert_cmpint(info.has_write_pointer, ==, table[i].has_pointer);
        if (info.has_write_pointer) {
            g_assert_cmpuint(info.write_pointer, ==, 9216);
        }
    }
}

static void test_join(void)
{
    static const BlockZoneState at_rest[] = {
        BLK_ZS_NOT_WP, BLK_ZS_EMPTY, BLK_ZS_FULL, BLK_ZS_RDONLY, BLK_ZS_OFFLINE,
    };
    static const BlockZoneState moving[] = {
        BLK_ZS_IOPEN, BLK_ZS_EOPEN, BLK_ZS_CLOSED,
    };
    const BlockZoneDescriptor first = {
        .start = 0, .length = 4096, .cap = 2048, .wp = 0,
        .type = BLK_ZT_SWR, .state = BLK_ZS_EMPTY,
    };
    BlockZoneDescriptor second = first;
    BlockZoneInfo run = block_zone_info(&first), info;

    second.start = second.wp = 4096;
    info = block_zone_info(&second);
    g_assert(block_zone_info_join(&run, &info));
    g_assert_cmpuint(run.count, ==, 2);
    g_assert_cmpuint(run.start, ==, 0);
    g_assert_cmpuint(run.write_pointer, ==, 0);
    /* It is not the next one any more. */
    g_assert(!block_zone_info_join(&run, &info));

    run = block_zone_info(&first);
#define NOT_JOINED_WITH(field, value) do {                                  \
        BlockZoneDescriptor other = second;                                 \
        other.field = value;                                                \
        info = block_zone_info(&other);                                     \
        g_assert(!block_zone_info_join(&run, &info));                       \
        g_assert_cmpuint(run.count, ==, 1);                                 \
    } while (0)
    NOT_JOINED_WITH(start, 8192);
    NOT_JOINED_WITH(length, 2048);
    NOT_JOINED_WITH(cap, 1024);
    NOT_JOINED_WITH(type, BLK_ZT_SWP);
    NOT_JOINED_WITH(state, BLK_ZS_FULL);

    for (int i = 0; i < ARRAY_SIZE(at_rest) + ARRAY_SIZE(moving); i++) {
        bool rests = i < ARRAY_SIZE(at_rest);
        BlockZoneDescriptor a = first, b = second;

        a.state = b.state = rests ? at_rest[i]
                                  : moving[i - ARRAY_SIZE(at_rest)];
        run = block_zone_info(&a);
        info = block_zone_info(&b);
        g_assert_cmpint(block_zone_info_join(&run, &info), ==, rests);
    }
}

static void test_line(void)
{
    static const struct {
        BlockZoneDescriptor zone;
        uint32_t count;
        const char *line;
    } table[] = {
        { { 0, MiB, MiB, 0, BLK_ZT_CONV, BLK_ZS_NOT_WP }, 3,
          "0                   3       1M       1M        -     - "
          "conventional" },
        { { 3 * MiB, MiB, 1000 * KiB, 3 * MiB, BLK_ZT_SWR, BLK_ZS_EMPTY }, 1,
          "3M                  1       1M    1000K        0    0% empty" },
        { { 4 * MiB, MiB, 1000 * KiB, 5000 * KiB - 512, BLK_ZT_SWR,
            BLK_ZS_IOPEN }, 1,
          "4M                  1       1M    1000K   925184   90% "
          "implicit-open" },
        { { 4 * MiB, MiB, 513 * 512, 4 * MiB + 512 * 512, BLK_ZT_SWR,
            BLK_ZS_CLOSED }, 1,
          "4M                  1       1M   262656     256K   99% closed" },
        { { 6 * MiB, MiB, MiB, 7 * MiB, BLK_ZT_SWR, BLK_ZS_FULL }, 1048576,
          "6M            1048576       1M       1M        -  100% full" },
        { { 1ULL << 60, 1ULL << 50, 1ULL << 50, 0, BLK_ZT_SWR,
            BLK_ZS_OFFLINE }, 1,
          "1E                  1       1P       1P        -     - offline" },
    };

    for (int i = 0; i < ARRAY_SIZE(table); i++) {
        BlockZoneInfo run = block_zone_info(&table[i].zone);
        g_autofree char *line = NULL;

        run.count = table[i].count;
        line = block_zone_table_line(&run);
        g_assert_cmpstr(line, ==, table[i].line);
    }
}

/* --- query-block-zones --- */

static void check_header(const BlockZoneReport *report)
{
    g_assert_cmpuint(report->zone_size, ==, ZONE_SIZE);
    g_assert_cmpuint(report->nr_zones, ==, NR_ZONES);
    g_assert_cmpuint(report->open, ==, 2);
    g_assert_cmpuint(report->active, ==, 4);
    g_assert_false(report->has_max_open_zones);
    g_assert_true(report->has_max_active_zones);
    g_assert_cmpuint(report->max_active_zones, ==, 14);
}

/* Read all zones, @limit entries at a time; returns how many entries. */
static unsigned int check_all(uint32_t limit, bool fold)
{
    uint64_t offset = 0;
    unsigned int i = 0, entries = 0;

    for (;;) {
        Query q = { .offset = offset, .limit = limit, .fold = fold };
        g_autoptr(BlockZoneReport) report = query(&q);
        unsigned int here = 0;

        check_header(report);
        for (BlockZoneInfoList *l = report->zones; l; l = l->next) {
            BlockZoneInfo *run = l->value;

            here++;
            g_assert_cmpint(run->has_count, ==, fold);
            for (unsigned int k = 0; k < (fold ? run->count : 1); k++, i++) {
                BlockZoneDescriptor zone = zone_of(i);
                BlockZoneInfo want = block_zone_info(&zone);

                g_assert_cmpuint(run->start + k * run->length, ==, want.start);
                g_assert_cmpuint(run->length, ==, want.length);
                g_assert_cmpint(run->condition, ==, want.condition);
                g_assert_cmpint(run->has_write_pointer, ==,
                                want.has_write_pointer);
                if (k == 0 && want.has_write_pointer) {
                    g_assert_cmpuint(run->write_pointer, ==,
                                     want.write_pointer);
                }
            }
        }
        entries += here;
        if (!report->has_next) {
            break;
        }
        g_assert_cmpuint(here, ==, limit ?: 1024);
        g_assert_cmpuint(report->next, ==, i * ZONE_SIZE);
        offset = report->next;
    }
    g_assert_cmpuint(i, ==, NR_ZONES);
    return entries;
}

static void test_query_all(void)
{
    BlockDriverState *bs = new_node();
    /* Conventional, 7 of which the two that are read-only share an entry, */
    unsigned int folded = 1 + 6;
    /* those of the first hundred, the hundreds, and the short last one */
    folded += DIV_ROUND_UP(NR_ZONES, 100) + 1;

    g_assert_cmpuint(check_all(0, true), ==, folded);
    g_assert_cmpuint(check_all(0, false), ==, NR_ZONES);
    g_assert_cmpuint(check_all(NR_ZONES / 6, false), ==, NR_ZONES);
    /* All but the last one in full, and nothing after the last */
    g_assert_cmpuint(check_all(folded - 1, true), ==, folded);
    g_assert_cmpuint(check_all(folded, true), ==, folded);
    bdrv_unref(bs);
}

static void test_query_breathes(void)
{
    BlockDriverState *bs = new_node();
    Query q = { .fold = true };

    qapi_free_BlockZoneReport(query(&q));
    /* For the zones, and once more to count them */
    g_assert_cmpuint(dev.reports, ==, 6);
    g_assert_cmpuint(dev.beats, >=, dev.reports - 2);
    settle();
    bdrv_unref(bs);
}

static void test_query_errors(void)
{
    BlockDriverState *bs = new_node();
    Query q = { .limit = 1025 };

    query_fails(&q, "Parameter 'limit' is 1025, and must be from 1 to 1024");
    q = (Query) { .node = "other" };
    query_fails(&q, "Cannot find node 'other'");
    q = (Query) { .offset = 512 };
    query_fails(&q, "Offset 512 is not the start of a zone: those of node "
                "'zoned' have 1048576 bytes each");
    q = (Query) { .offset = DISK_SIZE };
    query_fails(&q, "Offset 6441926656 is not on the disk: node 'zoned' has "
                "6441926656 bytes");
    q = (Query) { .offset = UINT64_MAX };
    query_fails(&q, "Offset 18446744073709551615 is not on the disk: node "
                "'zoned' has 6441926656 bytes");
    g_assert_cmpuint(dev.reports, ==, 0);
    bdrv_unref(bs);
}

static void test_query_unreadable(void)
{
    BlockDriverState *bs = new_node();
    Query q = { .fold = true };

    dev.fail_at = ZONE_SIZE * (BLOCK_ZONES_AT_ONCE + 1);
    query_fails(&q, "Cannot read the zones from offset 4294967296 on of node "
                "'zoned': Zone is offline");
    settle();
    bdrv_unref(bs);
}

static void test_query_gone(void)
{
    Query q = { .fold = true };

    dev.delete = NULL;
    new_node();
    query_start(&q);
    dev.delete = bdrv_find_node("zoned");
    query_end(&q);
    g_assert_null(q.report);
    g_assert_cmpstr(error_get_pretty(q.err), ==, "Cannot find node 'zoned'");
    error_free(q.err);
}

static void test_query_drained(void)
{
    BlockDriverState *bs = new_node();
    Query q = { .limit = 1 };

    bdrv_drained_begin(bs);
    query_start(&q);
    for (int i = 0; i < 10; i++) {
        aio_poll(qemu_get_aio_context(), false);
    }
    g_assert_false(q.done);
    g_assert_cmpuint(dev.reports, ==, 0);
    bdrv_drained_end(bs);
    query_end(&q);
    g_assert_nonnull(q.report);
    qapi_free_BlockZoneReport(q.report);
    bdrv_unref(bs);
}

/* --- block-zone-mgmt --- */

static void coroutine_fn change_entry(void *opaque)
{
    qmp_block_zone_mgmt("zoned", BLOCK_ZONE_MGMT_OP_RESET, true, 0, false, 0,
                        false, false, &error_abort);
    *(bool *)opaque = true;
}

/* A nested event loop, perhaps inside of a drain, does not change the graph. */
static void test_change_nested(void)
{
    BlockDriverState *bs = new_node();
    bool done = false;

    qemu_coroutine_enter(qemu_coroutine_create(change_entry, &done));
    settle();
    g_assert_cmpuint(dev.changes, ==, 0);
    while (!done) {
        main_loop_wait(false);
    }
    g_assert_cmpuint(dev.changes, ==, 1);
    /* The driver does not say that what it has done is durable. */
    g_assert_cmpuint(dev.flushes, ==, 1);
    bdrv_unref(bs);
}

/* As where QEMU ends while the request waits */
static void test_change_gone(void)
{
    BlockBackend *blk = blk_new(qemu_get_aio_context(), 0, BLK_PERM_ALL);
    Error *err = NULL;

    g_assert_false(blk_zones_change(blk, "zoned", BLOCK_ZONE_MGMT_OP_RESET,
                                    false, 0, ZONE_SIZE, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Cannot reset the zones from "
                    "offset 0 to 1048576 of node 'zoned': No medium found");
    error_free(err);
    blk_unref(blk);
}

int main(int argc, char **argv)
{
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/zones/info", test_info);
    g_test_add_func("/zones/join", test_join);
    g_test_add_func("/zones/line", test_line);
    g_test_add_func("/zones/query/all", test_query_all);
    g_test_add_func("/zones/query/breathes", test_query_breathes);
    g_test_add_func("/zones/query/errors", test_query_errors);
    g_test_add_func("/zones/query/unreadable", test_query_unreadable);
    g_test_add_func("/zones/query/gone", test_query_gone);
    g_test_add_func("/zones/query/drained", test_query_drained);
    g_test_add_func("/zones/change/nested", test_change_nested);
    g_test_add_func("/zones/change/gone", test_change_gone);

    return g_test_run();
}
