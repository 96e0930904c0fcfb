/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a node and its users see when it is inactivated, and when that fails
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
#define WRITES          (BLK_PERM_WRITE | BLK_PERM_WRITE_UNCHANGED)

/* A node that has a child ("file") or none */
typedef struct Node {
    unsigned writes, flushes, flushes_to_os, inactivations;
    unsigned in_flight;
    bool slow;              /* writes wait until the node is drained */
    int fail_flush, fail_inactivate;    /* errno */

    /* What the driver saw when it was inactivated */
    unsigned seen_in_flight, seen_flushes;
    uint64_t seen_perm;
} Node;

static int64_t coroutine_fn GRAPH_RDLOCK node_co_getlength(BlockDriverState *bs)
{
    return DISK_SIZE;
}

static int node_open(BlockDriverState *bs, QDict *options, int flags,
                     Error **errp)
{
    /* The node has been opened already, to look what it is. */
    if (!qdict_haskey(options, "file")) {
        return 0;
    }
    return bdrv_open_file_child(NULL, options, "file", bs, errp);
}

static int coroutine_fn GRAPH_RDLOCK
node_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
               QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    qemu_iovec_memset(qiov, 0, 0, bytes);
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK
node_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    Node *node = bs->opaque;

    node->writes++;
    node->in_flight++;
    while (node->slow && !qatomic_read(&bs->quiesce_counter)) {
        aio_co_schedule(qemu_get_aio_context(), qemu_coroutine_self());
        qemu_coroutine_yield();
    }
    node->in_flight--;
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK node_co_flush_to_os(BlockDriverState *bs)
{
    Node *node = bs->opaque;

    node->flushes_to_os++;
    return -node->fail_flush;
}

static int coroutine_fn GRAPH_RDLOCK node_co_flush(BlockDriverState *bs)
{
    Node *node = bs->opaque;

    node->flushes++;
    return -node->fail_flush;
}

static int GRAPH_RDLOCK node_inactivate(BlockDriverState *bs)
{
    Node *node = bs->opaque;
    uint64_t shared;

    node->inactivations++;
    node->seen_in_flight = node->in_flight;
    node->seen_flushes = node->flushes;
    bdrv_get_cumulative_perm(bs, &node->seen_perm, &shared);
    return -node->fail_inactivate;
}

static BlockDriver bdrv_node = {
    .format_name            = "node-test",
    .instance_size          = sizeof(Node),
    .bdrv_open              = node_open,
    .bdrv_child_perm        = bdrv_default_perms,
    .bdrv_co_getlength      = node_co_getlength,
    .bdrv_co_preadv         = node_co_preadv,
    .bdrv_co_pwritev        = node_co_pwritev,
    .bdrv_co_flush_to_os    = node_co_flush_to_os,
    .bdrv_co_flush_to_disk  = node_co_flush,
    .bdrv_inactivate        = node_inactivate,
};

/* Two nodes, "top" and "below", and a user that can be inactivated */
static struct {
    BlockBackend *blk;
    BlockDriverState *top, *below;
    Node *t, *b;
} x;

static void set_up(void)
{
    QDict *options = qdict_new();

    qdict_put_str(options, "driver", "node-test");
    qdict_put_str(options, "node-name", "top");
    qdict_put_str(options, "file.driver", "node-test");
    qdict_put_str(options, "file.node-name", "below");
    x.top = bdrv_open(NULL, NULL, options, BDRV_O_RDWR, &error_abort);
    x.blk = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE, BLK_PERM_ALL);
    blk_insert_bs(x.blk, x.top, &error_abort);
    bdrv_unref(x.top);
    g_assert_true(monitor_add_blk(x.blk, "disk", &error_abort));
    x.below = bdrv_find_node("below");
    x.t = x.top->opaque;
    x.b = x.below->opaque;
}

static void tear_down(void)
{
    monitor_remove_blk(x.blk);
    blk_unref(x.blk);
}

/* A user that keeps its permissions, as many a block job does */
static BlockBackend *stubborn(BlockDriverState *bs)
{
    BlockBackend *blk = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE,
                                BLK_PERM_ALL);

    blk_insert_bs(blk, bs, &error_abort);
    return blk;
}

static bool is_inactive(BlockDriverState *bs)
{
    GRAPH_RDLOCK_GUARD_MAINLOOP();
    return bdrv_is_inactive(bs);
}

static uint64_t permissions(void)
{
    uint64_t perm, shared;

    GRAPH_RDLOCK_GUARD_MAINLOOP();
    bdrv_get_cumulative_perm(x.top, &perm, &shared);
    return perm;
}

static void want_error(int error)
{
    Error *err = NULL;

    g_assert_cmpint(bdrv_inactivate(x.top, &err), ==, -error);
    error_free_or_abort(&err);
}

/* The user has what it had, and goes on. */
static void still_active(void)
{
    uint8_t buf[CHUNK] = { 0 };

    g_assert_false(is_inactive(x.top));
    g_assert_false(is_inactive(x.below));
    g_assert_cmphex(permissions() & WRITES, ==, BLK_PERM_WRITE);
    g_assert_cmpint(blk_pwrite(x.blk, 0, CHUNK, buf, 0), ==, 0);
}

static void write_done(void *opaque, int ret)
{
    *(int *)opaque = ret;
}

/* A write that is under way ends first, and it is durable. */
static void test_in_flight(const void *opaque)
{
    bool all = *(const bool *)opaque;
    uint8_t buf[CHUNK] = { 0 };
    QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, CHUNK);
    int ret = 1;

    set_up();
    x.t->slow = true;
    blk_aio_pwritev(x.blk, 0, &qiov, 0, write_done, &ret);
    while (!x.t->in_flight) {
        aio_poll(qemu_get_aio_context(), true);
    }
    if (all) {
        g_assert_cmpint(bdrv_inactivate_all(), ==, 0);
    } else {
        g_assert_cmpint(bdrv_inactivate(x.top, &error_abort), ==, 0);
    }
    g_assert_cmpint(ret, ==, 0);
    g_assert_cmpuint(x.t->inactivations, ==, 1);
    g_assert_cmpuint(x.t->seen_in_flight, ==, 0);
    g_assert_cmpuint(x.t->seen_flushes, ==, 1);
    g_assert_cmphex(x.t->seen_perm & WRITES, ==, 0);
    g_assert_cmpuint(x.b->inactivations, ==, 1);
    g_assert_true(is_inactive(x.top) && is_inactive(x.below));
    tear_down();
}

/* An inactive node has nothing to flush. */
static void test_flush(void)
{
    uint8_t buf[CHUNK] = { 0 };

    set_up();
    g_assert_cmpint(blk_pwrite(x.blk, 0, CHUNK, buf, 0), ==, 0);
    g_assert_cmpint(bdrv_inactivate(x.top, &error_abort), ==, 0);
    g_assert_cmpuint(x.t->flushes, ==, 1);
    g_assert_cmpint(blk_flush(x.blk), ==, 0);
    /* Not even one that would find something to do */
    x.top->write_gen++;
    x.t->fail_flush = EIO;
    g_assert_cmpint(blk_flush(x.blk), ==, 0);
    g_assert_cmpuint(x.t->flushes, ==, 1);
    x.t->fail_flush = 0;
    tear_down();
}

/* One that is flushed is not flushed again, which could fail. */
static void test_no_flush(void)
{
    uint8_t buf[CHUNK] = { 0 };

    set_up();
    g_assert_cmpint(blk_pwrite(x.blk, 0, CHUNK, buf, 0), ==, 0);
    g_assert_cmpint(blk_flush(x.blk), ==, 0);
    g_assert_cmpuint(x.t->flushes_to_os, ==, 1);
    x.t->fail_flush = EPERM;
    g_assert_cmpint(bdrv_inactivate(x.top, &error_abort), ==, 0);
    g_assert_cmpuint(x.t->flushes_to_os, ==, 1);
    tear_down();
}

/* What cannot be flushed stays active. */
static void test_flush_fails(void)
{
    uint8_t buf[CHUNK] = { 0 };

    set_up();
    g_assert_cmpint(blk_pwrite(x.blk, 0, CHUNK, buf, 0), ==, 0);
    x.t->fail_flush = EIO;
    want_error(EIO);
    g_assert_cmpuint(x.t->inactivations, ==, 0);
    x.t->fail_flush = 0;
    still_active();
    tear_down();
}

/* The driver fails. */
static void test_driver_fails(void)
{
    set_up();
    x.t->fail_inactivate = ENOSPC;
    want_error(ENOSPC);
    g_assert_cmpuint(x.t->inactivations, ==, 1);
    still_active();
    x.t->fail_inactivate = 0;
    g_assert_cmpint(bdrv_inactivate(x.top, &error_abort), ==, 0);
    g_assert_cmpuint(x.t->inactivations, ==, 2);
    tear_down();
}

/* A parent refuses: no driver has been asked yet. */
static void test_parent_refuses(void)
{
    BlockBackend *other;

    set_up();
    other = stubborn(x.top);
    want_error(EPERM);
    g_assert_cmpuint(x.t->inactivations, ==, 0);
    still_active();
    blk_unref(other);

    /* Whichever of the two is asked first */
    other = stubborn(x.top);
    blk_remove_bs(x.blk);
    blk_insert_bs(x.blk, x.top, &error_abort);
    want_error(EPERM);
    still_active();
    blk_unref(other);

    g_assert_cmpint(bdrv_inactivate(x.top, &error_abort), ==, 0);
    tear_down();
}

/* A node below fails when the one above is inactive already. */
static void test_child_fails(const void *opaque)
{
    bool all = *(const bool *)opaque;

    set_up();
    x.b->fail_inactivate = ENOSPC;
    if (all) {
        g_assert_cmpint(bdrv_inactivate_all(), ==, -ENOSPC);
    } else {
        want_error(ENOSPC);
    }
    g_assert_cmpuint(x.t->inactivations, ==, 1);
    g_assert_cmpuint(x.b->inactivations, ==, 1);
    still_active();
    tear_down();
}

int main(int argc, char **argv)
{
    static const bool no = false, yes = true;

    bdrv_init();
    qemu_init_main_loop(&error_abort);
    bdrv_register(&bdrv_node);

    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/inactivate/in-flight/one", &no, test_in_flight);
    g_test_add_data_func("/inactivate/in-flight/all", &yes, test_in_flight);
    g_test_add_func("/inactivate/flush", test_flush);
    g_test_add_func("/inactivate/no-flush", test_no_flush);
    g_test_add_func("/inactivate/fails/flush", test_flush_fails);
    g_test_add_func("/inactivate/fails/driver", test_driver_fails);
    g_test_add_func("/inactivate/fails/parent", test_parent_refuses);
    g_test_add_data_func("/inactivate/fails/child/one", &no,
                         test_child_fails);
    g_test_add_data_func("/inactivate/fails/child/all", &yes,
                         test_child_fails);
    return g_test_run();
}
