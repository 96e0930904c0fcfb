/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a write with FUA flushes, and when a flush after it has work to do
 *
 * The driver under these tests has no data.  It counts the writes and flushes
 * that reach it, and it knows FUA or does not.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "block/block_int.h"
#include "qobject/qdict.h"
#include "system/block-backend.h"

#define DISK_SIZE       MiB
#define CHUNK           4096

/* Ways to write */
typedef enum Kind {
    WRITE,
    WRITE_SPLIT,        /* in four requests to the driver */
    ZEROES,
    ZEROES_SPLIT,
    ZEROES_FALLBACK,    /* as data, because the driver cannot do it otherwise */
    COMPRESSED,
    NR_KINDS
} Kind;

static const char *const kind_name[NR_KINDS] = {
    "write", "write-split", "zeroes", "zeroes-split", "zeroes-fallback",
    "compressed"
};

static struct {
    bool fua_write, fua_zero;   /* what it supports */
    bool no_zeroes;
    uint32_t max;               /* bytes of a request, 0 for any */

    /* What came */
    unsigned writes, fua_writes, flushes;

    /* What to do with it */
    int fail_write, fail_flush; /* errno */
    int fail_at;                /* only this write; 0 is all */
    bool hold;                  /* keep the next write until released */
    Coroutine *held;
} dev;

static int64_t coroutine_fn GRAPH_RDLOCK fua_co_getlength(BlockDriverState *bs)
{
    return DISK_SIZE;
}

static void fua_refresh_limits(BlockDriverState *bs, Error **errp)
{
    bs->bl.request_alignment = 512;
    bs->bl.max_transfer = dev.max;
    bs->bl.max_pwrite_zeroes = dev.max;
}

static int fua_open(BlockDriverState *bs, QDict *options, int flags,
                    Error **errp)
{
    bs->supported_write_flags = dev.fua_write ? BDRV_REQ_FUA : 0;
    bs->supported_zero_flags = dev.fua_zero ? BDRV_REQ_FUA : 0;
    return 0;
}

static int coroutine_fn fua_any_write(BdrvRequestFlags flags)
{
    dev.writes++;
    dev.fua_writes += !!(flags & BDRV_REQ_FUA);
    if (dev.hold) {
        dev.hold = false;
        dev.held = qemu_coroutine_self();
        qemu_coroutine_yield();
    }
    return !dev.fail_at || dev.fail_at == dev.writes ? -dev.fail_write : 0;
}

static int coroutine_fn GRAPH_RDLOCK
fua_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
              QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    qemu_iovec_memset(qiov, 0, 0, bytes);
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK
fua_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
               QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    return fua_any_write(flags);
}

static int coroutine_fn GRAPH_RDLOCK
fua_co_pwritev_compressed(BlockDriverState *bs, int64_t offset, int64_t bytes,
                          QEMUIOVector *qiov)
{
    return fua_any_write(0);
}

static int coroutine_fn GRAPH_RDLOCK
fua_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                     BdrvRequestFlags flags)
{
    return dev.no_zeroes ? -ENOTSUP : fua_any_write(flags);
}

static int coroutine_fn GRAPH_RDLOCK fua_co_flush(BlockDriverState *bs)
{
    dev.flushes++;
    return -dev.fail_flush;
}

static BlockDriver bdrv_fua = {
    .format_name            = "fua-test",
    .bdrv_open              = fua_open,
    .bdrv_co_getlength      = fua_co_getlength,
    .bdrv_refresh_limits    = fua_refresh_limits,
    .bdrv_co_preadv         = fua_co_preadv,
    .bdrv_co_pwritev        = fua_co_pwritev,
    .bdrv_co_pwritev_compressed = fua_co_pwritev_compressed,
    .bdrv_co_pwrite_zeroes  = fua_co_pwrite_zeroes,
    .bdrv_co_flush_to_disk  = fua_co_flush,
};

/* What the driver of a test can do; then open_dev(). */
static void dev_reset(bool fua)
{
    memset(&dev, 0, sizeof(dev));
    dev.fua_write = dev.fua_zero = fua;
}

static BlockBackend *open_dev(int flags)
{
    BlockBackend *blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL,
                                BLK_PERM_ALL);
    QDict *options = qdict_new();
    BlockDriverState *bs;

    qdict_put_str(options, "driver", "fua-test");
    bs = bdrv_open(NULL, NULL, options, flags | BDRV_O_RDWR, &error_abort);
    blk_insert_bs(blk, bs, &error_abort);
    bdrv_unref(bs);
    return blk;
}

/* The driver's limits, and what it can do, for this way to write. */
static BlockBackend *open_for(Kind kind, bool fua)
{
    dev_reset(fua);
    if (kind == WRITE_SPLIT || kind == ZEROES_SPLIT) {
        dev.max = CHUNK / 4;
    }
    dev.no_zeroes = kind == ZEROES_FALLBACK;
    return open_dev(0);
}

static int write_kind(BlockBackend *blk, Kind kind, BdrvRequestFlags flags)
{
    static uint8_t buf[CHUNK];

    switch (kind) {
    case ZEROES:
    case ZEROES_SPLIT:
    case ZEROES_FALLBACK:
        return blk_pwrite_zeroes(blk, 0, CHUNK, flags);
    case COMPRESSED:
        flags |= BDRV_REQ_WRITE_COMPRESSED;
        /* fall through */
    default:
        return blk_pwrite(blk, 0, CHUNK, buf, flags);
    }
}

static bool is_split(Kind kind)
{
    return kind == WRITE_SPLIT || kind == ZEROES_SPLIT;
}

/* Requests that a write makes of the driver */
static unsigned parts(Kind kind)
{
    return is_split(kind) ? 4 : 1;
}

static void write_ok(BlockBackend *blk, Kind kind, BdrvRequestFlags flags)
{
    g_assert_cmpint(write_kind(blk, kind, flags), ==, 0);
}

static void flush_ok(BlockBackend *blk)
{
    g_assert_cmpint(blk_flush(blk), ==, 0);
}

/*
 * A driver without FUA: each write with FUA flushes once, also where nothing
 * was written since the last flush; and then there is nothing to flush.
 */
static void test_emulated(const void *opaque)
{
    Kind kind = *(const Kind *)opaque;
    BlockBackend *blk = open_for(kind, false);

    write_ok(blk, kind, 0);
    g_assert_cmpuint(dev.flushes, ==, 0);
    flush_ok(blk);
    g_assert_cmpuint(dev.flushes, ==, 1);
    for (unsigned i = 1; i <= 3; i++) {
        write_ok(blk, kind, BDRV_REQ_FUA);
        g_assert_cmpuint(dev.flushes, ==, 1 + i);
        g_assert_cmpuint(dev.writes, ==, (1 + i) * parts(kind));
    }
    flush_ok(blk);
    g_assert_cmpuint(dev.flushes, ==, 4);
    g_assert_cmpuint(dev.fua_writes, ==, 0);

    /* What came before it is durable, too; what comes after it is not. */
    write_ok(blk, kind, 0);
    write_ok(blk, kind, BDRV_REQ_FUA);
    g_assert_cmpuint(dev.flushes, ==, 5);
    flush_ok(blk);
    g_assert_cmpuint(dev.flushes, ==, 5);
    write_ok(blk, kind, 0);
    flush_ok(blk);
    g_assert_cmpuint(dev.flushes, ==, 6);
    blk_unref(blk);
}

/* A driver with FUA: it flushes nothing, and it leaves nothing to flush. */
static void test_driver(const void *opaque)
{
    Kind kind = *(const Kind *)opaque;
    BlockBackend *blk = open_for(kind, true);

    write_ok(blk, kind, BDRV_REQ_FUA);
    flush_ok(blk);
    if (kind == COMPRESSED) {
        /* No driver gets flags of a compressed write. */
        g_assert_cmpuint(dev.fua_writes, ==, 0);
        g_assert_cmpuint(dev.flushes, ==, 1);
    } else {
        g_assert_cmpuint(dev.fua_writes, ==, parts(kind));
        g_assert_cmpuint(dev.flushes, ==, 0);

        /* What another write has left is flushed all the same. */
        write_ok(blk, kind, 0);
        write_ok(blk, kind, BDRV_REQ_FUA);
        g_assert_cmpuint(dev.flushes, ==, 0);
        flush_ok(blk);
        g_assert_cmpuint(dev.flushes, ==, 1);
    }
    blk_unref(blk);
}

/* Zeroes with FUA through a driver that knows FUA for data only */
static void test_mixed(void)
{
    BlockBackend *blk;

    dev_reset(true);
    dev.fua_zero = false;
    blk = open_dev(0);
    write_ok(blk, WRITE, 0);
    flush_ok(blk);
    write_ok(blk, ZEROES, BDRV_REQ_FUA);
    g_assert_cmpuint(dev.flushes, ==, 2);
    flush_ok(blk);
    g_assert_cmpuint(dev.flushes, ==, 2);

    dev.no_zeroes = true;
    write_ok(blk, ZEROES, BDRV_REQ_FUA);
    g_assert_cmpuint(dev.fua_writes, ==, 1);
    flush_ok(blk);
    g_assert_cmpuint(dev.flushes, ==, 2);
    blk_unref(blk);
}

/* A flush that failed is made again. */
static void test_failed_flush(const void *opaque)
{
    Kind kind = *(const Kind *)opaque;
    BlockBackend *blk = open_for(kind, false);

    dev.fail_flush = EIO;
    g_assert_cmpint(write_kind(blk, kind, BDRV_REQ_FUA), ==, -EIO);
    g_assert_cmpuint(dev.flushes, ==, 1);
    dev.fail_flush = 0;
    flush_ok(blk);
    g_assert_cmpuint(dev.flushes, ==, 2);
    flush_ok(blk);
    g_assert_cmpuint(dev.flushes, ==, 2);
    blk_unref(blk);
}

/* A write that failed may have written something. */
static void test_failed_write(const void *opaque)
{
    Kind kind = *(const Kind *)opaque;

    for (int fua = 0; fua <= 1; fua++) {
        BlockBackend *blk = open_for(kind, fua);

        dev.fail_write = EIO;
        dev.fail_at = is_split(kind) ? 3 : 1;
        g_assert_cmpint(write_kind(blk, kind, BDRV_REQ_FUA), ==, -EIO);
        g_assert_cmpuint(dev.flushes, ==, 0);
        flush_ok(blk);
        g_assert_cmpuint(dev.flushes, ==, 1);
        blk_unref(blk);
    }
}

/* cache.no-flush drops the flag: the data is not durable. */
static void test_no_flush(const void *opaque)
{
    Kind kind = *(const Kind *)opaque;

    for (int fua = 0; fua <= 1; fua++) {
        BlockBackend *blk = open_for(kind, fua);
        BlockDriverState *bs = blk_bs(blk);

        bs->open_flags |= BDRV_O_NO_FLUSH;
        write_ok(blk, kind, BDRV_REQ_FUA);
        g_assert_cmpuint(dev.fua_writes, ==, 0);
        g_assert_cmpuint(dev.flushes, ==, 0);
        /* As after a reopen */
        bs->open_flags &= ~BDRV_O_NO_FLUSH;
        flush_ok(blk);
        g_assert_cmpuint(dev.flushes, ==, 1);
        blk_unref(blk);
    }
}

static void write_done(void *opaque, int ret)
{
    *(int *)opaque = ret;
}

/* A write that is under way while another one is made durable */
static void test_in_flight(void)
{
    uint8_t buf[CHUNK] = { 0 };

    for (int fua = 0; fua <= 1; fua++) {
        QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, sizeof(buf));
        BlockBackend *blk;
        int ret = 1;

        dev_reset(fua);
        blk = open_dev(0);
        dev.hold = true;
        blk_aio_pwritev(blk, 64 * KiB, &qiov, 0, write_done, &ret);
        while (!dev.held) {
            aio_poll(qemu_get_aio_context(), true);
        }
        write_ok(blk, WRITE, BDRV_REQ_FUA);
        g_assert_cmpuint(dev.flushes, ==, fua ? 0 : 1);
        aio_co_wake(dev.held);
        while (ret == 1) {
            aio_poll(qemu_get_aio_context(), true);
        }
        g_assert_cmpint(ret, ==, 0);
        flush_ok(blk);
        g_assert_cmpuint(dev.flushes, ==, fua ? 1 : 2);
        blk_unref(blk);
    }
}

/* A filter above the driver, and writethrough: each write has FUA */
static void test_filter(void)
{
    for (int fua = 0; fua <= 1; fua++) {
        BlockBackend *blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL,
                                    BLK_PERM_ALL);
        QDict *options = qdict_new();
        BlockDriverState *bs;

        dev_reset(fua);
        qdict_put_str(options, "driver", "raw");
        qdict_put_str(options, "file.driver", "fua-test");
        bs = bdrv_open(NULL, NULL, options, BDRV_O_RDWR, &error_abort);
        blk_insert_bs(blk, bs, &error_abort);
        bdrv_unref(bs);

        flush_ok(blk);
        g_assert_cmpuint(dev.flushes, ==, 0);
        blk_set_enable_write_cache(blk, false);
        for (unsigned i = 1; i <= 3; i++) {
            write_ok(blk, WRITE, 0);
            g_assert_cmpuint(dev.fua_writes, ==, fua ? i : 0);
            g_assert_cmpuint(dev.flushes, ==, fua ? 0 : i);
            flush_ok(blk);
            g_assert_cmpuint(dev.flushes, ==, fua ? 0 : i);
        }
        blk_unref(blk);
    }
}

static void add_kinds(const char *name, GTestDataFunc function)
{
    static Kind kinds[NR_KINDS];

    for (Kind kind = 0; kind < NR_KINDS; kind++) {
        g_autofree char *path = g_strdup_printf("/fua/%s/%s", name,
                                                kind_name[kind]);

        kinds[kind] = kind;
        g_test_add_data_func(path, &kinds[kind], function);
    }
}

int main(int argc, char **argv)
{
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    bdrv_register(&bdrv_fua);

    g_test_init(&argc, &argv, NULL);
    add_kinds("emulated", test_emulated);
    add_kinds("driver", test_driver);
    add_kinds("failed-flush", test_failed_flush);
    add_kinds("failed-write", test_failed_write);
    add_kinds("no-flush", test_no_flush);
    g_test_add_func("/fua/driver/data-only", test_mixed);
    g_test_add_func("/fua/in-flight", test_in_flight);
    g_test_add_func("/fua/filter", test_filter);
    return g_test_run();
}
