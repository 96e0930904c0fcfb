/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node that writes in two threads make longer at once
 *
 * In each round both threads write one sector past the end, one behind the
 * other, and begin as close together as can be.  Whichever ends first, the node
 * is as long as both need: what lies beyond its end reads as zeros.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "block/block_int.h"
#include "block/dirty-bitmap.h"
#include "system/block-backend.h"
#include "iothread.h"

#define THREADS     2
#define ROUNDS      20000
#define SECTOR      BDRV_SECTOR_SIZE

static int64_t coroutine_fn GRAPH_RDLOCK grow_co_getlength(BlockDriverState *bs)
{
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK
grow_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    return 0;
}

static BlockDriver bdrv_grow = {
    .format_name        = "grow-test",
    .bdrv_co_getlength  = grow_co_getlength,
    .bdrv_co_pwritev    = grow_co_pwritev,
};

static struct {
    BlockBackend *blk;
    BlockDriverState *bs;
    unsigned arrived;       /* of all rounds */
    unsigned ended;         /* threads */
    unsigned short_ends;
} test;

/* Wait until all threads have come here @times. */
static void meet(unsigned times)
{
    qatomic_inc(&test.arrived);
    while (qatomic_read(&test.arrived) < times * THREADS) {
        /* The other may need this processor. */
        g_thread_yield();
    }
}

static void coroutine_fn grow_entry(void *opaque)
{
    unsigned thread = GPOINTER_TO_UINT(opaque);
    uint8_t buf[BDRV_SECTOR_SIZE] = { };

    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Each thread is the one in front in every other round. */
        int64_t offset = (i * THREADS + (thread + i) % THREADS) * SECTOR;
        QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, SECTOR);

        meet(2 * i + 1);
        g_assert_cmpint(blk_co_pwritev(test.blk, offset, SECTOR, &qiov, 0), >=,
                        0);
        meet(2 * i + 2);
        if (thread == 0 && qatomic_read(&test.bs->total_sectors) !=
                           (i + 1) * THREADS) {
            test.short_ends++;
        }
    }
    qatomic_inc(&test.ended);
    aio_wait_kick();
}

/* @opaque: whether the node has a dirty bitmap, which grows with it */
static void test_threads(const void *opaque)
{
    BdrvDirtyBitmap *bitmap = NULL;
    IOThread *threads[THREADS];

    memset(&test, 0, sizeof(test));
    test.bs = bdrv_new_open_driver(&bdrv_grow, "grow", BDRV_O_RDWR,
                                   &error_abort);
    test.bs->total_sectors = 0;
    if (opaque) {
        bitmap = bdrv_create_dirty_bitmap(test.bs, SECTOR, NULL, &error_abort);
    }
    test.blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    blk_insert_bs(test.blk, test.bs, &error_abort);
    blk_set_allow_write_beyond_eof(test.blk, true);

    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = iothread_new();
        aio_co_enter(iothread_get_aio_context(threads[i]),
                     qemu_coroutine_create(grow_entry, GUINT_TO_POINTER(i)));
    }
    AIO_WAIT_WHILE_UNLOCKED(NULL, qatomic_read(&test.ended) < THREADS);

    g_assert_cmpuint(test.short_ends, ==, 0);
    if (bitmap) {
        g_assert_cmpint(bdrv_dirty_bitmap_size(bitmap), ==,
                        ROUNDS * THREADS * SECTOR);
        g_assert_cmpint(bdrv_get_dirty_count(bitmap), ==,
                        ROUNDS * THREADS * SECTOR);
        bdrv_release_dirty_bitmap(bitmap);
    }

    for (unsigned i = 0; i < THREADS; i++) {
        iothread_join(threads[i]);
    }
    blk_unref(test.blk);
    bdrv_unref(test.bs);
}

int main(int argc, char **argv)
{
    bdrv_init();
    qemu_init_main_loop(&error_abort);

    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/bdrv-grow/length", NULL, test_threads);
    g_test_add_data_func("/bdrv-grow/bitmap", GINT_TO_POINTER(true),
                         test_threads);
    return g_test_run();
}
