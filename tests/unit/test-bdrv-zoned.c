/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests for zone requests in the generic block layer
 *
 * The driver under these tests has zones and write pointers, but no data and
 * no zone states.  It counts what reaches it, and it can hold a request back
 * or fail it, so that a test sees what the layers above make of that.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/throttle.h"
#include "qemu/units.h"
#include "block/block_int.h"
#include "block/dirty-bitmap.h"
#include "block/write-threshold.h"
#include "block/zone-errors.h"
#include "qobject/qdict.h"
#include "qom/object.h"
#include "system/block-backend.h"

#define ZONE_SIZE       (1 * MiB)
#define NR_ZONES        4
/* The last zone is half a zone */
#define DISK_SIZE       (3 * ZONE_SIZE + ZONE_SIZE / 2)
#define GRANULARITY     4096
#define NOT_DONE        INT_MAX

static struct {
    int64_t zone_size;
    int64_t disk_size;
    int64_t wp[NR_ZONES];
    uint32_t max_append;    /* sectors */
    uint32_t alignment;
    bool durable;           /* an operation that is done needs no flush */

    /* What came */
    unsigned appends, mgmts, reports, writes, flushes, flushes_to_os;
    BdrvRequestFlags append_flags;

    /* What to do with it */
    int fail;               /* errno for the next append or operation */
    int fail_flush;         /* errno for each flush */
    bool hold;              /* keep appends and writes until released */
    unsigned nr_held;
    Coroutine *held[8];
} dev;

static void dev_reset(void)
{
    memset(&dev, 0, sizeof(dev));
    dev.zone_size = ZONE_SIZE;
    dev.disk_size = DISK_SIZE;
    dev.max_append = 128;
    dev.alignment = 512;
    for (int i = 0; i < NR_ZONES; i++) {
        dev.wp[i] = i * dev.zone_size;
    }
}

static void coroutine_fn dev_hold(void)
{
    if (dev.hold) {
        g_assert_cmpuint(dev.nr_held, <, ARRAY_SIZE(dev.held));
        dev.held[dev.nr_held++] = qemu_coroutine_self();
        qemu_coroutine_yield();
    }
}

static void dev_release(void)
{
    unsigned n = dev.nr_held;

    dev.hold = false;
    dev.nr_held = 0;
    for (unsigned i = 0; i < n; i++) {
        aio_co_wake(dev.held[i]);
    }
}

static int64_t coroutine_fn GRAPH_RDLOCK test_co_getlength(BlockDriverState *bs)
{
    return dev.disk_size;
}

static void test_refresh_limits(BlockDriverState *bs, Error **errp)
{
    bs->bl.request_alignment = dev.alignment;
    bs->bl.zoned = BLK_Z_HM;
    bs->bl.zone_size = dev.zone_size;
    bs->bl.nr_zones = NR_ZONES;
    bs->bl.max_append_sectors = dev.max_append;
    bs->bl.zone_mgmt_durable = dev.durable;
    bs->bl.max_open_zones = 3;
    bs->bl.max_active_zones = 4;
    bs->bl.write_granularity = 512;
}

static int coroutine_fn GRAPH_RDLOCK
test_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
               QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    qemu_iovec_memset(qiov, 0, 0, bytes);
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK
test_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    dev.writes++;
    dev_hold();
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK
test_co_flush_to_os(BlockDriverState *bs)
{
    dev.flushes_to_os++;
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK test_co_flush(BlockDriverState *bs)
{
    dev.flushes++;
    return -dev.fail_flush;
}

static int coroutine_fn GRAPH_RDLOCK
test_co_zone_report(BlockDriverState *bs, int64_t offset,
                    unsigned int *nr_zones, BlockZoneDescriptor *zones)
{
    dev.reports++;
    *nr_zones = 0;
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK
test_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                  int64_t len, BdrvZoneFlags flags)
{
    dev.mgmts++;
    if (dev.fail) {
        return -dev.fail;
    }
    if (op == BLK_ZO_RESET) {
        for (int64_t i = offset / dev.zone_size;
             i * dev.zone_size < offset + len; i++) {
            dev.wp[i] = i * dev.zone_size;
        }
    }
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK
test_co_zone_append(BlockDriverState *bs, int64_t *offset, QEMUIOVector *qiov,
                    BdrvRequestFlags flags)
{
    int64_t *wp = &dev.wp[*offset / dev.zone_size];
    int64_t pos = *wp;

    dev.appends++;
    dev.append_flags |= flags;
    if (dev.fail) {
        return -dev.fail;
    }
    *wp += qiov->size;
    dev_hold();
    *offset = pos;
    return 0;
}

static BlockDriver bdrv_test_zoned = {
    .format_name            = "test-zoned",
    .bdrv_co_getlength      = test_co_getlength,
    .bdrv_refresh_limits    = test_refresh_limits,
    .bdrv_co_preadv         = test_co_preadv,
    .bdrv_co_pwritev        = test_co_pwritev,
    .bdrv_co_flush_to_os    = test_co_flush_to_os,
    .bdrv_co_flush_to_disk  = test_co_flush,
    .bdrv_co_zone_report    = test_co_zone_report,
    .bdrv_co_zone_mgmt      = test_co_zone_mgmt,
    .bdrv_co_zone_append    = test_co_zone_append,
};

/* A filter that does not know zones */
static BlockDriver bdrv_test_filter = {
    .format_name            = "test-filter",
    .is_filter              = true,
    .filtered_child_is_backing = true,
    .bdrv_child_perm        = bdrv_default_perms,
};

static BlockDriverState *zoned_node(const char *name, int flags)
{
    return bdrv_new_open_driver(&bdrv_test_zoned, name, flags, &error_abort);
}

static BlockDriverState *open_above(const char *driver, const char *name,
                                    const char *file, Error **errp)
{
    QDict *opts = qdict_new();

    qdict_put_str(opts, "driver", driver);
    qdict_put_str(opts, "node-name", name);
    qdict_put_str(opts, g_str_equal(driver, "blkdebug") ? "image" : "file",
                  file);
    if (g_str_equal(driver, "throttle")) {
        qdict_put_str(opts, "throttle-group", "tg");
    }
    return bdrv_open(NULL, NULL, opts, BDRV_O_RDWR, errp);
}

/* A zoned node with one user that knows zones and may do everything */
static BlockBackend *zoned_blk(void)
{
    BlockDriverState *bs;
    BlockBackend *blk = blk_new(qemu_get_aio_context(),
                                BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE,
                                BLK_PERM_ALL);

    bs = zoned_node("zoned", BDRV_O_RDWR);
    blk_set_zoned_aware(blk, true);
    blk_insert_bs(blk, bs, &error_abort);
    bdrv_unref(bs);

    return blk;
}

/* A request under way; one buffer of zeros serves all */
typedef struct Req {
    int ret;
    int64_t offset;
    QEMUIOVector qiov;
} Req;

static uint8_t data[128 * KiB];

static void req_done(void *opaque, int ret)
{
    Req *req = opaque;

    req->ret = ret;
    qemu_iovec_destroy(&req->qiov);
}

static void req_init(Req *req, int64_t offset, size_t bytes)
{
    g_assert_cmpuint(bytes, <=, sizeof(data));
    *req = (Req) { .ret = NOT_DONE, .offset = offset };
    qemu_iovec_init(&req->qiov, 1);
    qemu_iovec_add(&req->qiov, data, bytes);
}

static void start_append(BlockBackend *blk, Req *req, int64_t offset,
                         size_t bytes, BdrvRequestFlags flags)
{
    req_init(req, offset, bytes);
    blk_aio_zone_append(blk, &req->offset, &req->qiov, flags, req_done, req);
}

static void start_write(BlockBackend *blk, Req *req, int64_t offset,
                        size_t bytes, BdrvRequestFlags flags)
{
    req_init(req, offset, bytes);
    blk_aio_pwritev(blk, offset, &req->qiov, flags, req_done, req);
}

static void start_mgmt(BlockBackend *blk, Req *req, BlockZoneOp op,
                       int64_t offset, int64_t len, BdrvZoneFlags flags)
{
    req_init(req, offset, 0);
    blk_aio_zone_mgmt(blk, op, offset, len, flags, req_done, req);
}

/* Let everything run that can */
static void settle(void)
{
    while (aio_poll(qemu_get_aio_context(), false)) {
        /* more may follow */
    }
}

static int finish(Req *req)
{
    settle();
    g_assert_cmpint(req->ret, !=, NOT_DONE);
    return req->ret;
}

static int append(BlockBackend *blk, int64_t offset, size_t bytes,
                  BdrvRequestFlags flags, int64_t *pos)
{
    Req req;
    int ret;

    start_append(blk, &req, offset, bytes, flags);
    ret = finish(&req);
    if (pos) {
        *pos = req.offset;
    }
    return ret;
}

static int mgmt(BlockBackend *blk, BlockZoneOp op, int64_t offset, int64_t len,
                BdrvZoneFlags flags)
{
    Req req;

    start_mgmt(blk, &req, op, offset, len, flags);
    return finish(&req);
}

static BdrvDirtyBitmap *tracker_new(BlockDriverState *bs)
{
    return bdrv_create_dirty_bitmap(bs, GRANULARITY, NULL, &error_abort);
}

/* Exactly @offset to @offset + @bytes is dirty; then nothing is */
static void check_dirty(BdrvDirtyBitmap *bitmap, int64_t offset, int64_t bytes)
{
    g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==, bytes);
    if (bytes) {
        g_assert_cmpint(bdrv_dirty_bitmap_next_dirty(bitmap, 0, INT64_MAX),
                        ==, offset);
        g_assert_cmpint(bdrv_dirty_bitmap_next_zero(bitmap, offset, bytes),
                        ==, -1);
    }
    bdrv_clear_dirty_bitmap(bitmap, NULL);
}

static void test_dirty_append(void)
{
    BlockBackend *blk;
    BdrvDirtyBitmap *bitmap;
    int64_t pos;

    dev_reset();
    blk = zoned_blk();
    bitmap = tracker_new(blk_bs(blk));

    g_assert_cmpint(append(blk, ZONE_SIZE, 8 * KiB, 0, &pos), ==, 0);
    g_assert_cmpint(pos, ==, ZONE_SIZE);
    check_dirty(bitmap, ZONE_SIZE, 8 * KiB);

    /* The second one goes behind the first, not to the zone's start */
    g_assert_cmpint(append(blk, ZONE_SIZE, 4 * KiB, 0, &pos), ==, 0);
    g_assert_cmpint(pos, ==, ZONE_SIZE + 8 * KiB);
    check_dirty(bitmap, ZONE_SIZE + 8 * KiB, 4 * KiB);

    /* So does what else is told where a write went */
    g_assert_cmpint(stat64_get(&blk_bs(blk)->wr_highest_offset), ==,
                    ZONE_SIZE + 12 * KiB);

    /* One that the zone refused wrote nothing */
    dev.fail = BLK_ZONE_ERR_FULL;
    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, -BLK_ZONE_ERR_FULL);
    check_dirty(bitmap, 0, 0);

    /* One that failed may have written something, nobody knows where */
    dev.fail = EIO;
    g_assert_cmpint(append(blk, 3 * ZONE_SIZE, 4 * KiB, 0, NULL), ==, -EIO);
    check_dirty(bitmap, 3 * ZONE_SIZE, ZONE_SIZE / 2);

    bdrv_release_dirty_bitmap(bitmap);
    blk_unref(blk);
}

static void test_dirty_mgmt(void)
{
    BlockBackend *blk;
    BdrvDirtyBitmap *bitmap;

    dev_reset();
    blk = zoned_blk();
    bitmap = tracker_new(blk_bs(blk));

    g_assert_cmpint(mgmt(blk, BLK_ZO_OPEN, ZONE_SIZE, ZONE_SIZE, 0), ==, 0);
    g_assert_cmpint(mgmt(blk, BLK_ZO_CLOSE, ZONE_SIZE, ZONE_SIZE, 0), ==, 0);
    check_dirty(bitmap, 0, 0);

    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, ZONE_SIZE, 2 * ZONE_SIZE, 0),
                    ==, 0);
    check_dirty(bitmap, ZONE_SIZE, 2 * ZONE_SIZE);

    g_assert_cmpint(mgmt(blk, BLK_ZO_FINISH, 3 * ZONE_SIZE, ZONE_SIZE / 2, 0),
                    ==, 0);
    check_dirty(bitmap, 3 * ZONE_SIZE, ZONE_SIZE / 2);

    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, DISK_SIZE, BDRV_ZONE_ALL),
                    ==, 0);
    check_dirty(bitmap, 0, DISK_SIZE);

    /* The zones before the one that failed are changed */
    dev.fail = BLK_ZONE_ERR_TRANSITION;
    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, 2 * ZONE_SIZE, 0), ==,
                    -BLK_ZONE_ERR_TRANSITION);
    check_dirty(bitmap, 0, 2 * ZONE_SIZE);

    bdrv_release_dirty_bitmap(bitmap);
    blk_unref(blk);
}

static void test_write_threshold(void)
{
    BlockBackend *blk;
    BlockDriverState *bs;

    dev_reset();
    blk = zoned_blk();
    bs = blk_bs(blk);

    /* Appending to a zone that reaches over the threshold is not enough */
    bdrv_write_threshold_set(bs, ZONE_SIZE + 8 * KiB);
    g_assert_cmpint(append(blk, ZONE_SIZE, 8 * KiB, 0, NULL), ==, 0);
    g_assert_cmpint(bdrv_write_threshold_get(bs), ==, ZONE_SIZE + 8 * KiB);
    g_assert_cmpint(append(blk, ZONE_SIZE, 8 * KiB, 0, NULL), ==, 0);
    g_assert_cmpint(bdrv_write_threshold_get(bs), ==, 0);

    blk_unref(blk);
}

static void test_flush_generation(void)
{
    BlockBackend *blk;

    dev_reset();
    blk = zoned_blk();

    /* Nothing to flush yet: else what follows would prove nothing */
    blk_flush(blk);
    blk_flush(blk);
    g_assert_cmpuint(dev.flushes, ==, 0);

    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, 0);
    g_assert_cmpuint(dev.flushes, ==, 0);
    blk_flush(blk);
    g_assert_cmpuint(dev.flushes, ==, 1);
    blk_flush(blk);
    g_assert_cmpuint(dev.flushes, ==, 1);

    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, ZONE_SIZE, 0), ==, 0);
    blk_flush(blk);
    g_assert_cmpuint(dev.flushes, ==, 2);

    g_assert_cmpint(mgmt(blk, BLK_ZO_FINISH, 0, ZONE_SIZE, 0), ==, 0);
    blk_flush(blk);
    g_assert_cmpuint(dev.flushes, ==, 3);

    blk_unref(blk);
}

static void test_fua(void)
{
    BlockBackend *blk;
    int64_t pos;

    dev_reset();
    blk = zoned_blk();

    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, 0);
    g_assert_cmpuint(dev.flushes, ==, 0);
    g_assert_cmpint(append(blk, 0, 4 * KiB, BDRV_REQ_FUA, NULL), ==, 0);
    g_assert_cmpuint(dev.flushes, ==, 1);

    /* Each of them is durable, also the first after a flush */
    blk_flush(blk);
    g_assert_cmpuint(dev.flushes, ==, 1);
    g_assert_cmpint(append(blk, 0, 4 * KiB, BDRV_REQ_FUA, NULL), ==, 0);
    g_assert_cmpuint(dev.flushes, ==, 2);

    /* One that failed has nothing to make durable */
    dev.fail = BLK_ZONE_ERR_FULL;
    g_assert_cmpint(append(blk, 0, 4 * KiB, BDRV_REQ_FUA, NULL), ==,
                    -BLK_ZONE_ERR_FULL);
    g_assert_cmpuint(dev.flushes, ==, 2);
    dev.fail = 0;

    /* Where it failed there is no place, also where only the flush did. */
    dev.fail_flush = EIO;
    g_assert_cmpint(append(blk, 0, 4 * KiB, BDRV_REQ_FUA, &pos), ==, -EIO);
    g_assert_cmpint(pos, ==, -1);
    /* What a flush answers is no zoned condition. */
    dev.fail_flush = BLK_ZONE_ERR_FULL;
    g_assert_cmpint(append(blk, 0, 4 * KiB, BDRV_REQ_FUA, &pos), ==, -EIO);
    g_assert_cmpint(pos, ==, -1);
    dev.fail_flush = 0;
    blk_flush(blk);
    dev.fail = EIO;
    g_assert_cmpint(append(blk, 0, 4 * KiB, BDRV_REQ_FUA, &pos), ==, -EIO);
    g_assert_cmpint(pos, ==, -1);
    dev.fail = 0;
    g_assert_cmpint(append(blk, 2 * DISK_SIZE, 4 * KiB, 0, &pos), ==, -EIO);
    g_assert_cmpint(pos, ==, -1);
    dev.flushes = 2;

    /* cache=writethrough is FUA for everything that changes data */
    blk_set_enable_write_cache(blk, false);
    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, 0);
    g_assert_cmpuint(dev.flushes, ==, 3);
    g_assert_cmpint(mgmt(blk, BLK_ZO_FINISH, 0, ZONE_SIZE, 0), ==, 0);
    g_assert_cmpuint(dev.flushes, ==, 4);
    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, ZONE_SIZE, 0), ==, 0);
    g_assert_cmpuint(dev.flushes, ==, 5);
    g_assert_cmpint(mgmt(blk, BLK_ZO_OPEN, 0, ZONE_SIZE, 0), ==, 0);
    g_assert_cmpint(mgmt(blk, BLK_ZO_CLOSE, 0, ZONE_SIZE, 0), ==, 0);
    g_assert_cmpuint(dev.flushes, ==, 5);

    /* One that does not know the flag never sees it; one that does, does all */
    g_assert_cmpint(dev.append_flags, ==, 0);
    blk_bs(blk)->supported_write_flags = BDRV_REQ_FUA;
    blk_flush(blk);
    dev.flushes = 5;
    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, 0);
    g_assert_cmpint(dev.append_flags, ==, BDRV_REQ_FUA);
    g_assert_cmpuint(dev.flushes, ==, 5);

    /* It leaves nothing to flush, unless it failed. */
    blk_flush(blk);
    g_assert_cmpuint(dev.flushes, ==, 5);
    dev.fail = EIO;
    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, -EIO);
    dev.fail = 0;
    blk_flush(blk);
    g_assert_cmpuint(dev.flushes, ==, 6);

    blk_unref(blk);
}

/*
 * cache=writethrough and an operation: its flush can fail; where the driver has
 * made it durable already there is none.
 */
static void test_durable_mgmt(void)
{
    static const BlockZoneOp ops[] = { BLK_ZO_RESET, BLK_ZO_FINISH };

    for (int durable = 0; durable <= 1; durable++) {
        BlockDriverState *bs, *top;
        BlockBackend *blk;

        dev_reset();
        dev.durable = durable;
        bs = zoned_node("disk0", BDRV_O_RDWR);
        top = open_above("raw", "top", "disk0", &error_abort);
        blk = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE, BLK_PERM_ALL);
        blk_set_zoned_aware(blk, true);
        blk_insert_bs(blk, top, &error_abort);
        blk_set_enable_write_cache(blk, false);

        dev.fail_flush = EIO;
        for (int i = 0; i < ARRAY_SIZE(ops); i++) {
            g_assert_cmpint(mgmt(blk, ops[i], 0, ZONE_SIZE, 0), ==,
                            durable ? 0 : -EIO);
            g_assert_cmpuint(dev.mgmts, ==, i + 1);
            g_assert_cmpuint(dev.flushes, ==, durable ? 0 : i + 1);
        }
        dev.fail_flush = 0;

        blk_unref(blk);
        bdrv_unref(top);
        bdrv_unref(bs);
    }
}

static void test_fua_unsafe(void)
{
    BlockBackend *blk;

    dev_reset();
    blk = zoned_blk();
    blk_bs(blk)->open_flags |= BDRV_O_NO_FLUSH;

    g_assert_cmpint(append(blk, 0, 4 * KiB, BDRV_REQ_FUA, NULL), ==, 0);
    blk_bs(blk)->supported_write_flags = BDRV_REQ_FUA;
    g_assert_cmpint(append(blk, 0, 4 * KiB, BDRV_REQ_FUA, NULL), ==, 0);
    g_assert_cmpint(dev.append_flags, ==, 0);
    g_assert_cmpuint(dev.flushes, ==, 0);
    g_assert_cmpuint(dev.flushes_to_os, ==, 0);

    blk_unref(blk);
}

static void test_flags(void)
{
    static const BdrvRequestFlags refused[] = {
        BDRV_REQ_COPY_ON_READ, BDRV_REQ_ZERO_WRITE, BDRV_REQ_MAY_UNMAP,
        BDRV_REQ_WRITE_COMPRESSED, BDRV_REQ_WRITE_UNCHANGED,
        BDRV_REQ_SERIALISING, BDRV_REQ_NO_FALLBACK, BDRV_REQ_PREFETCH,
        BDRV_REQ_NO_WAIT,
    };
    BlockBackend *blk;

    dev_reset();
    blk = zoned_blk();

    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        g_assert_cmpint(append(blk, 0, 4 * KiB, refused[i], NULL), ==,
                        -ENOTSUP);
    }
    g_assert_cmpuint(dev.appends, ==, 0);

    g_assert_cmpint(append(blk, 0, 4 * KiB, BDRV_REQ_REGISTERED_BUF, NULL),
                    ==, 0);
    g_assert_cmpint(dev.append_flags, ==, 0);

    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, ZONE_SIZE, ~BDRV_ZONE_MASK),
                    ==, -EINVAL);
    g_assert_cmpuint(dev.mgmts, ==, 0);

    blk_unref(blk);
}

static void test_bounds(void)
{
    static const struct {
        int64_t offset, len;
        BdrvZoneFlags flags;
    } bad_ranges[] = {
        { -1, ZONE_SIZE },
        { -ZONE_SIZE, 2 * ZONE_SIZE },
        { 0, -ZONE_SIZE },
        { 0, 0 },
        { 512, ZONE_SIZE },
        { 0, ZONE_SIZE - 512 },
        { 0, ZONE_SIZE + 512 },
        { ZONE_SIZE / 2, ZONE_SIZE / 2 },
        { 3 * ZONE_SIZE, ZONE_SIZE },
        { 4 * ZONE_SIZE, ZONE_SIZE },
        { 0, DISK_SIZE + 512 },
        { DISK_SIZE, 0 },
        { INT64_MAX & ~(ZONE_SIZE - 1), ZONE_SIZE },
        { ZONE_SIZE, INT64_MAX & ~(ZONE_SIZE - 1) },
        { 0, INT64_MAX },
        { INT64_MAX, INT64_MAX },
        { 0, ZONE_SIZE, BDRV_ZONE_ALL },
        { ZONE_SIZE, DISK_SIZE - ZONE_SIZE, BDRV_ZONE_ALL },
    };
    static const struct {
        int64_t offset;
        size_t len;
    } bad_appends[] = {
        { -1, 512 }, { -ZONE_SIZE, 512 }, { DISK_SIZE, 512 },
        { DISK_SIZE + ZONE_SIZE, 512 }, { INT64_MAX, 512 },
        { INT64_MAX & ~511, 512 }, { 0, 0 }, { DISK_SIZE, 0 }, { 0, 1 },
        { 0, 511 }, { 0, 513 },
    };
    BlockZoneDescriptor zone;
    BlockBackend *blk;
    unsigned int n;

    dev_reset();
    blk = zoned_blk();

    for (int i = 0; i < ARRAY_SIZE(bad_ranges); i++) {
        for (BlockZoneOp op = BLK_ZO_OPEN; op <= BLK_ZO_RESET; op++) {
            int ret = mgmt(blk, op, bad_ranges[i].offset, bad_ranges[i].len,
                           bad_ranges[i].flags);

            g_assert_true(ret == -EINVAL || ret == -EIO);
        }
    }
    g_assert_cmpuint(dev.mgmts, ==, 0);
    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 2 * ZONE_SIZE,
                         DISK_SIZE - 2 * ZONE_SIZE, 0), ==, 0);

    for (int i = 0; i < ARRAY_SIZE(bad_appends); i++) {
        int ret = append(blk, bad_appends[i].offset, bad_appends[i].len, 0,
                         NULL);

        g_assert_true(ret == -EINVAL || ret == -EIO);
    }
    g_assert_cmpuint(dev.appends, ==, 0);

    n = 1;
    g_assert_cmpint(blk_zone_report(blk, -1, &n, &zone), ==, -EIO);
    g_assert_cmpint(blk_zone_report(blk, DISK_SIZE + 1, &n, &zone), ==, -EIO);
    g_assert_cmpint(blk_zone_report(blk, INT64_MAX, &n, &zone), ==, -EIO);
    g_assert_cmpuint(dev.reports, ==, 0);
    g_assert_cmpint(blk_zone_report(blk, 512, &n, &zone), ==, 0);
    g_assert_cmpuint(dev.reports, ==, 1);

    blk_unref(blk);
}

/*
 * An append too long for its zone is for the driver to answer, also where it
 * would not fit in the disk: a device model has to tell it from an I/O error.
 */
static void check_append_limit(BlockBackend *blk, int64_t limit)
{
    g_assert_cmpuint(blk_bs(blk)->bl.max_append_sectors, ==, limit / 512);
    if (limit > 64 * KiB) {
        return;
    }
    dev.appends = 0;
    g_assert_cmpint(append(blk, 0, limit, 0, NULL), ==, 0);
    g_assert_cmpuint(dev.appends, ==, 1);
    g_assert_cmpint(append(blk, 0, limit + dev.alignment, 0, NULL), ==,
                    -BLK_ZONE_ERR_INVALID_APPEND);
    g_assert_cmpuint(dev.appends, ==, 1);
}

/* What the driver says, what goes into a request, and whole blocks */
static void test_append_limit(void)
{
    static const struct {
        uint32_t max_append, alignment, max_transfer;
        int64_t limit;
    } t[] = {
        { 128, 512, 0, 64 * KiB },
        { 127, 4096, 0, 60 * KiB },
        { 128, 512, 32 * KiB, 32 * KiB },
        { 32, 512, 32 * KiB, 16 * KiB },
        { 128, 4096, 512 * MiB, 64 * KiB },
        { UINT32_MAX, 512, 0, 2 * GiB - 512 },
        { UINT32_MAX, 4096, 0, 2 * GiB - 4 * KiB },
        { UINT32_MAX, 512, 1 * GiB, 1 * GiB },
    };

    for (int i = 0; i < ARRAY_SIZE(t); i++) {
        BlockDriverState *bs, *top;
        QDict *opts = qdict_new();
        BlockBackend *blk;

        dev_reset();
        dev.max_append = t[i].max_append;
        dev.alignment = t[i].alignment;
        bs = zoned_node("disk0", BDRV_O_RDWR);
        qdict_put_str(opts, "driver", "blkdebug");
        qdict_put_str(opts, "image", "disk0");
        qdict_put_int(opts, "max-transfer", t[i].max_transfer);
        top = bdrv_open(NULL, NULL, opts, BDRV_O_RDWR, &error_abort);
        blk = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE, BLK_PERM_ALL);
        blk_set_zoned_aware(blk, true);
        blk_insert_bs(blk, top, &error_abort);
        check_append_limit(blk, t[i].limit);

        blk_unref(blk);
        bdrv_unref(top);
        bdrv_unref(bs);
    }
}

static void test_too_long(void)
{
    BlockBackend *blk;

    dev_reset();
    dev.disk_size = 3 * ZONE_SIZE + 4 * KiB;
    blk = zoned_blk();
    dev.fail = BLK_ZONE_ERR_BOUNDARY;
    g_assert_cmpint(append(blk, 3 * ZONE_SIZE, 64 * KiB, 0, NULL), ==,
                    -BLK_ZONE_ERR_BOUNDARY);
    g_assert_cmpuint(dev.appends, ==, 1);

    blk_unref(blk);
}

/* 32 bits are not enough for this zone size, nor for what it is times 3 */
static void test_zone_size_64(void)
{
    const int64_t zone_size = 8 * GiB;
    BlockBackend *blk;
    BdrvDirtyBitmap *bitmap;
    int64_t pos;

    dev_reset();
    dev.zone_size = zone_size;
    dev.disk_size = NR_ZONES * zone_size;
    for (int i = 0; i < NR_ZONES; i++) {
        dev.wp[i] = i * zone_size;
    }
    blk = zoned_blk();
    g_assert_cmpuint(blk_bs(blk)->bl.zone_size, ==, zone_size);

    bitmap = tracker_new(blk_bs(blk));
    g_assert_cmpint(append(blk, 3 * zone_size, 4 * KiB, 0, &pos), ==, 0);
    g_assert_cmpint(pos, ==, 3 * zone_size);
    check_dirty(bitmap, 3 * zone_size, 4 * KiB);
    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, zone_size, 2 * zone_size, 0),
                    ==, 0);
    check_dirty(bitmap, zone_size, 2 * zone_size);
    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 4 * GiB, zone_size, 0), ==,
                    -EINVAL);

    bdrv_release_dirty_bitmap(bitmap);
    blk_unref(blk);
}

static void test_append_in_parallel(void)
{
    BlockBackend *blk;
    Req a, b, w;

    dev_reset();
    blk = zoned_blk();
    dev.hold = true;

    /* Two appends and a write to one zone are at the driver at once */
    start_append(blk, &a, ZONE_SIZE, 4 * KiB, 0);
    start_append(blk, &b, ZONE_SIZE, 4 * KiB, 0);
    start_write(blk, &w, ZONE_SIZE + 8 * KiB, 4 * KiB, 0);
    settle();
    g_assert_cmpuint(dev.appends, ==, 2);
    g_assert_cmpuint(dev.writes, ==, 1);
    g_assert_cmpint(a.ret, ==, NOT_DONE);

    dev_release();
    g_assert_cmpint(finish(&a), ==, 0);
    g_assert_cmpint(finish(&b), ==, 0);
    g_assert_cmpint(finish(&w), ==, 0);
    g_assert_cmpint(a.offset, ==, ZONE_SIZE);
    g_assert_cmpint(b.offset, ==, ZONE_SIZE + 4 * KiB);

    blk_unref(blk);
}

static void test_serialising_waits_for_append(void)
{
    BlockBackend *blk;
    Req a, near, far;

    dev_reset();
    blk = zoned_blk();
    dev.hold = true;

    start_append(blk, &a, ZONE_SIZE, 4 * KiB, 0);
    settle();

    /* The append could go to any place in its zone, and to no other zone */
    start_write(blk, &near, 2 * ZONE_SIZE - 4 * KiB, 4 * KiB,
                BDRV_REQ_SERIALISING);
    settle();
    g_assert_cmpuint(dev.writes, ==, 0);
    start_write(blk, &far, 2 * ZONE_SIZE, 4 * KiB, BDRV_REQ_SERIALISING);
    settle();
    g_assert_cmpuint(dev.writes, ==, 1);

    dev_release();
    g_assert_cmpint(finish(&a), ==, 0);
    g_assert_cmpint(finish(&near), ==, 0);
    g_assert_cmpint(finish(&far), ==, 0);
    g_assert_cmpuint(dev.writes, ==, 2);

    blk_unref(blk);
}

static void test_waits_for_serialising(void)
{
    BlockBackend *blk;
    Req w, near, far, reset;

    dev_reset();
    blk = zoned_blk();
    dev.hold = true;

    start_write(blk, &w, 2 * ZONE_SIZE - 4 * KiB, 4 * KiB,
                BDRV_REQ_SERIALISING);
    settle();
    start_append(blk, &near, ZONE_SIZE, 4 * KiB, 0);
    start_mgmt(blk, &reset, BLK_ZO_RESET, 0, 2 * ZONE_SIZE, 0);
    settle();
    g_assert_cmpuint(dev.appends, ==, 0);
    g_assert_cmpuint(dev.mgmts, ==, 0);
    start_append(blk, &far, 2 * ZONE_SIZE, 4 * KiB, 0);
    settle();
    g_assert_cmpuint(dev.appends, ==, 1);

    dev_release();
    g_assert_cmpint(finish(&w), ==, 0);
    g_assert_cmpint(finish(&near), ==, 0);
    g_assert_cmpint(finish(&far), ==, 0);
    g_assert_cmpint(finish(&reset), ==, 0);

    blk_unref(blk);
}

/* Whether a drain would wait for the users of @bs */
static bool parents_busy(BlockDriverState *bs)
{
    BdrvChild *c;

    GRAPH_RDLOCK_GUARD_MAINLOOP();
    QLIST_FOREACH(c, &bs->parents, next_parent) {
        if (c->klass->drained_poll && c->klass->drained_poll(c)) {
            return true;
        }
    }
    return false;
}

static void test_drained(void)
{
    BlockBackend *blk;
    BlockDriverState *bs;
    BlockZoneDescriptor zone;
    unsigned int n = 1;
    Req a, m, r;

    dev_reset();
    blk = zoned_blk();
    bs = blk_bs(blk);

    bdrv_drained_begin(bs);
    start_append(blk, &a, 0, 4 * KiB, 0);
    start_mgmt(blk, &m, BLK_ZO_OPEN, 0, ZONE_SIZE, 0);
    req_init(&r, 0, 0);
    blk_aio_zone_report(blk, 0, &n, &zone, req_done, &r);
    settle();
    g_assert_cmpuint(dev.appends + dev.mgmts + dev.reports, ==, 0);
    /* They wait for the end of the drained section, which must not wait, too */
    g_assert_false(parents_busy(bs));
    bdrv_drained_end(bs);

    g_assert_cmpint(finish(&a), ==, 0);
    g_assert_cmpint(finish(&m), ==, 0);
    g_assert_cmpint(finish(&r), ==, 0);

    blk_unref(blk);
}

static void release_bh(void *opaque)
{
    dev_release();
}

/* A drain ends only after the requests that are with the driver */
static void test_drain_waits(void)
{
    BlockBackend *blk;
    Req a;

    dev_reset();
    blk = zoned_blk();
    dev.hold = true;
    start_append(blk, &a, 0, 4 * KiB, 0);
    settle();
    g_assert_cmpint(a.ret, ==, NOT_DONE);
    aio_bh_schedule_oneshot(qemu_get_aio_context(), release_bh, NULL);
    blk_drain(blk);
    g_assert_cmpint(a.ret, ==, 0);

    blk_unref(blk);
}

static void test_permission(void)
{
    BlockBackend *blk, *aware;
    BlockDriverState *bs;
    Error *err = NULL;
    uint8_t data[512] = {};
    Req w;

    dev_reset();
    bs = zoned_node("disk0", BDRV_O_RDWR);
    blk = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE, BLK_PERM_ALL);

    /* Refused when the edge is made ... */
    g_assert_cmpint(blk_insert_bs(blk, bs, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "'disk0'"));
    g_assert_nonnull(strstr(error_get_pretty(err), "'write'"));
    g_assert_nonnull(strstr(error_get_pretty(err), "an unnamed block device"));
    error_free_or_abort(&err);

    /* ... or when the permission is raised, one like the other */
    blk_set_perm(blk, BLK_PERM_CONSISTENT_READ, BLK_PERM_ALL, &error_abort);
    g_assert_cmpint(blk_insert_bs(blk, bs, &error_abort), ==, 0);
    g_assert_cmpint(blk_set_perm(blk, BLK_PERM_WRITE, BLK_PERM_ALL, &err),
                    <, 0);
    error_free_or_abort(&err);
    g_assert_cmpint(blk_set_perm(blk, BLK_PERM_WRITE_UNCHANGED, BLK_PERM_ALL,
                                 &err), <, 0);
    error_free_or_abort(&err);

    /* Who resizes a node writes nothing to it. */
    blk_set_perm(blk, BLK_PERM_RESIZE, BLK_PERM_ALL, &error_abort);
    blk_set_perm(blk, BLK_PERM_CONSISTENT_READ, BLK_PERM_ALL, &error_abort);

    /* A reader does not disturb one who knows zones, nor the other way round */
    aware = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE, BLK_PERM_ALL);
    blk_set_zoned_aware(aware, true);
    blk_insert_bs(aware, bs, &error_abort);
    g_assert_cmpint(append(aware, 0, 4 * KiB, 0, NULL), ==, 0);

    /* A reader gets an error where others would fail an assertion */
    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, -EPERM);
    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, ZONE_SIZE, 0), ==, -EPERM);
    g_assert_cmpint(blk_pwrite(blk, 0, sizeof(data), data, 0), ==, -EPERM);
    g_assert_cmpint(blk_pwrite_zeroes(blk, 0, sizeof(data), 0), ==, -EPERM);
    /* A discard is one only where the node takes them */
    g_assert_cmpint(blk_pdiscard(blk, 0, sizeof(data), 0), ==, 0);
    bs->open_flags |= BDRV_O_UNMAP;
    g_assert_cmpint(blk_pdiscard(blk, 0, sizeof(data), 0), ==, -EPERM);
    bs->open_flags &= ~BDRV_O_UNMAP;
    g_assert_cmpuint(dev.appends, ==, 1);
    g_assert_cmpuint(dev.mgmts, ==, 0);

    blk_set_perm(blk, BLK_PERM_CONSISTENT_READ, BLK_PERM_ALL, &error_abort);
    start_write(aware, &w, 4 * KiB, 4 * KiB, 0);
    g_assert_cmpint(finish(&w), ==, 0);

    blk_unref(aware);
    blk_unref(blk);
    bdrv_unref(bs);
}

static void test_read_only(void)
{
    BlockBackend *blk;
    BlockDriverState *bs;
    BdrvDirtyBitmap *bitmap;

    dev_reset();
    bs = zoned_node("disk0", 0);
    blk = blk_new(qemu_get_aio_context(), BLK_PERM_CONSISTENT_READ,
                  BLK_PERM_ALL);
    blk_set_zoned_aware(blk, true);
    blk_insert_bs(blk, bs, &error_abort);
    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, -EPERM);
    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, ZONE_SIZE, 0), ==, -EPERM);
    blk_unref(blk);
    bdrv_unref(bs);

    blk = zoned_blk();
    bs = blk_bs(blk);
    bitmap = tracker_new(bs);
    bdrv_dirty_bitmap_set_readonly(bitmap, true);
    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, -EPERM);
    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, ZONE_SIZE, 0), ==, -EPERM);
    bdrv_dirty_bitmap_set_readonly(bitmap, false);
    bdrv_release_dirty_bitmap(bitmap);

    /* Inactive, as on the source of a migration */
    bs->open_flags |= BDRV_O_INACTIVE;
    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, -EPERM);
    g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, ZONE_SIZE, 0), ==, -EPERM);
    bs->open_flags &= ~BDRV_O_INACTIVE;

    g_assert_cmpuint(dev.appends + dev.mgmts, ==, 0);
    blk_unref(blk);
}

static void test_forwarding(void)
{
    static const char *const drivers[] = { "raw", "throttle", "blkdebug" };

    object_new_with_props("throttle-group", object_get_objects_root(), "tg",
                          &error_abort, NULL);

    for (int i = 0; i < ARRAY_SIZE(drivers); i++) {
        BlockDriverState *bs, *top;
        BlockBackend *blk;
        BdrvDirtyBitmap *low, *high;
        BlockZoneDescriptor zone;
        unsigned int n = 1;
        int64_t pos;

        dev_reset();
        bs = zoned_node("disk0", BDRV_O_RDWR);
        top = open_above(drivers[i], "top", "disk0", &error_abort);

        g_assert_cmpint(top->bl.zoned, ==, BLK_Z_HM);
        g_assert_cmpuint(top->bl.zone_size, ==, bs->bl.zone_size);
        g_assert_cmpuint(top->bl.nr_zones, ==, bs->bl.nr_zones);
        g_assert_cmpuint(top->bl.max_append_sectors, ==,
                         bs->bl.max_append_sectors);
        g_assert_cmpuint(top->bl.max_open_zones, ==, bs->bl.max_open_zones);
        g_assert_cmpuint(top->bl.max_active_zones, ==,
                         bs->bl.max_active_zones);
        g_assert_cmpuint(top->bl.write_granularity, ==,
                         bs->bl.write_granularity);

        /* Its users have to know zones like those of what it filters */
        blk = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE, BLK_PERM_ALL);
        g_assert_cmpint(blk_insert_bs(blk, top, NULL), <, 0);
        blk_set_zoned_aware(blk, true);
        blk_insert_bs(blk, top, &error_abort);

        low = tracker_new(bs);
        high = tracker_new(top);
        g_assert_cmpint(blk_zone_report(blk, 0, &n, &zone), ==, 0);
        g_assert_cmpuint(dev.reports, ==, 1);
        g_assert_cmpint(append(blk, ZONE_SIZE, 4 * KiB, 0, NULL), ==, 0);
        g_assert_cmpint(append(blk, ZONE_SIZE, 4 * KiB, BDRV_REQ_FUA, &pos),
                        ==, 0);
        g_assert_cmpint(pos, ==, ZONE_SIZE + 4 * KiB);
        g_assert_cmpuint(dev.flushes, ==, 1);
        check_dirty(low, ZONE_SIZE, 8 * KiB);
        check_dirty(high, ZONE_SIZE, 8 * KiB);
        g_assert_cmpint(mgmt(blk, BLK_ZO_RESET, 0, DISK_SIZE, BDRV_ZONE_ALL),
                        ==, 0);
        g_assert_cmpint(dev.wp[1], ==, ZONE_SIZE);
        check_dirty(low, 0, DISK_SIZE);
        check_dirty(high, 0, DISK_SIZE);

        bdrv_release_dirty_bitmap(low);
        bdrv_release_dirty_bitmap(high);
        blk_unref(blk);
        bdrv_unref(top);
        bdrv_unref(bs);
    }

    object_unparent(object_resolve_path_component(object_get_objects_root(),
                                                  "tg"));
}

/* With an offset or a size, raw shows a part of the zones: no writer there */
static void test_raw_part(void)
{
    BlockDriverState *bs, *top;
    BlockBackend *blk;
    Error *err = NULL;
    QDict *opts;

    dev_reset();
    bs = zoned_node("disk0", BDRV_O_RDWR);
    opts = qdict_new();
    qdict_put_str(opts, "driver", "raw");
    qdict_put_str(opts, "node-name", "part");
    qdict_put_str(opts, "file", "disk0");
    qdict_put_str(opts, "offset", "65536");
    top = bdrv_open(NULL, NULL, opts, BDRV_O_RDWR, &error_abort);
    g_assert_cmpint(top->bl.zoned, ==, BLK_Z_NONE);

    blk = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE, BLK_PERM_ALL);
    blk_set_zoned_aware(blk, true);
    g_assert_cmpint(blk_insert_bs(blk, top, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "'disk0'"));
    g_assert_nonnull(strstr(error_get_pretty(err), "'part'"));
    error_free_or_abort(&err);

    blk_unref(blk);
    bdrv_unref(top);
    bdrv_unref(bs);
}

/* A filter that does not know zones cannot come between a writer and them */
static void test_insert_filter(void)
{
    BlockBackend *blk;
    BlockDriverState *bs, *filter;
    Error *err = NULL;

    dev_reset();
    blk = zoned_blk();
    bs = blk_bs(blk);

    filter = bdrv_new_open_driver(&bdrv_test_filter, "unaware", BDRV_O_RDWR,
                                  &error_abort);
    g_assert_cmpint(bdrv_append(filter, bs, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "'zoned'"));
    g_assert_nonnull(strstr(error_get_pretty(err), "'unaware'"));
    error_free_or_abort(&err);
    bdrv_unref(filter);

    /* Nothing has changed */
    g_assert_true(blk_bs(blk) == bs);
    g_assert_cmpint(append(blk, 0, 4 * KiB, 0, NULL), ==, 0);

    /* It may stand above a reader */
    blk_set_perm(blk, BLK_PERM_CONSISTENT_READ, BLK_PERM_ALL, &error_abort);
    filter = bdrv_new_open_driver(&bdrv_test_filter, "unaware", BDRV_O_RDWR,
                                  &error_abort);
    bdrv_append(filter, bs, &error_abort);
    g_assert_true(blk_bs(blk) == filter);
    g_assert_cmpint(blk_set_perm(blk, BLK_PERM_WRITE, BLK_PERM_ALL, &err),
                    <, 0);
    error_free_or_abort(&err);

    blk_unref(blk);
    bdrv_unref(filter);
}

static void test_throttle(void)
{
    BlockBackend *blk;
    ThrottleConfig cfg;
    Req a, b, m;

    dev_reset();
    blk = zoned_blk();
    throttle_config_init(&cfg);
    /* An operation for each sector: 128 s until another may start */
    cfg.buckets[THROTTLE_OPS_WRITE].avg = 1;
    cfg.op_size = 512;
    blk_io_limits_enable(blk, "blk-group");
    blk_set_io_limits(blk, &cfg);

    start_append(blk, &a, 0, 64 * KiB, 0);
    g_assert_cmpint(finish(&a), ==, 0);
    start_append(blk, &b, 0, 64 * KiB, 0);
    start_mgmt(blk, &m, BLK_ZO_OPEN, 0, ZONE_SIZE, 0);
    settle();
    g_assert_cmpuint(dev.appends, ==, 1);
    g_assert_cmpuint(dev.mgmts, ==, 0);

    blk_io_limits_disable(blk);
    g_assert_cmpint(finish(&b), ==, 0);
    g_assert_cmpint(finish(&m), ==, 0);

    blk_unref(blk);
}

static void test_throttle_filter(void)
{
    static const bool with_data[] = { true, false };

    for (int i = 0; i < ARRAY_SIZE(with_data); i++) {
        BlockBackend *blk;
        BlockDriverState *bs, *top;
        Req a, b;

        dev_reset();
        object_new_with_props("throttle-group", object_get_objects_root(),
                              "tg", &error_abort, "x-iops-write", "1",
                              "x-iops-size", "512", NULL);
        bs = zoned_node("disk0", BDRV_O_RDWR);
        top = open_above("throttle", "top", "disk0", &error_abort);
        blk = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE, BLK_PERM_ALL);
        blk_set_zoned_aware(blk, true);
        blk_insert_bs(blk, top, &error_abort);

        start_append(blk, &a, 0, 64 * KiB, 0);
        g_assert_cmpint(finish(&a), ==, 0);
        if (with_data[i]) {
            start_append(blk, &b, 0, 64 * KiB, 0);
        } else {
            start_mgmt(blk, &b, BLK_ZO_RESET, 0, ZONE_SIZE, 0);
        }
        settle();
        g_assert_cmpuint(dev.appends + dev.mgmts, ==, 1);

        blk_drain(blk);
        g_assert_cmpint(b.ret, ==, 0);
        g_assert_cmpuint(dev.appends + dev.mgmts, ==, 2);

        blk_unref(blk);
        bdrv_unref(top);
        bdrv_unref(bs);
        object_unparent(object_resolve_path_component(
                            object_get_objects_root(), "tg"));
    }
}

int main(int argc, char **argv)
{
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);

    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/zoned/dirty/append", test_dirty_append);
    g_test_add_func("/zoned/dirty/mgmt", test_dirty_mgmt);
    g_test_add_func("/zoned/write-threshold", test_write_threshold);
    g_test_add_func("/zoned/flush-generation", test_flush_generation);
    g_test_add_func("/zoned/fua", test_fua);
    g_test_add_func("/zoned/fua/unsafe", test_fua_unsafe);
    g_test_add_func("/zoned/fua/operations", test_durable_mgmt);
    g_test_add_func("/zoned/flags", test_flags);
    g_test_add_func("/zoned/bounds", test_bounds);
    g_test_add_func("/zoned/append-limit", test_append_limit);
    g_test_add_func("/zoned/too-long", test_too_long);
    g_test_add_func("/zoned/zone-size-64", test_zone_size_64);
    g_test_add_func("/zoned/tracking/parallel", test_append_in_parallel);
    g_test_add_func("/zoned/tracking/serialising-waits",
                    test_serialising_waits_for_append);
    g_test_add_func("/zoned/tracking/waits-for-serialising",
                    test_waits_for_serialising);
    g_test_add_func("/zoned/drain/queued", test_drained);
    g_test_add_func("/zoned/drain/waits", test_drain_waits);
    g_test_add_func("/zoned/permission", test_permission);
    g_test_add_func("/zoned/read-only", test_read_only);
    g_test_add_func("/zoned/filter/forwarding", test_forwarding);
    g_test_add_func("/zoned/filter/raw-part", test_raw_part);
    g_test_add_func("/zoned/filter/insert", test_insert_filter);
    g_test_add_func("/zoned/throttle/block-backend", test_throttle);
    g_test_add_func("/zoned/throttle/filter", test_throttle_filter);

    return g_test_run();
}
