/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlap checks of qcow2 that come without s->lock see tables half moved
 *
 * A cluster is written that lies partly in a backing file.  What reads the
 * backing file waits; meanwhile this test takes the lock and does what the
 * growth of an L1 table does at worst: for a while the table is where the new
 * cluster is.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "block/block_int.h"
#include "block/qcow2.h"
#include "qobject/qdict.h"
#include "system/block-backend.h"

#define IMAGE_SIZE      (4 * MiB)
/* As many that the data is not written together with what is copied */
#define NR_PARTS        (IOV_MAX - 1)
#define PART            4

static char *path;

static struct {
    bool zero;              /* what it holds */
    int hold;               /* this request from now on waits */
    Coroutine *held;
} backing;

static void coroutine_fn backing_request(void)
{
    if (backing.hold && !--backing.hold) {
        backing.held = qemu_coroutine_self();
        qemu_coroutine_yield();
    }
}

static int64_t coroutine_fn GRAPH_RDLOCK
backing_co_getlength(BlockDriverState *bs)
{
    return IMAGE_SIZE;
}

static int coroutine_fn GRAPH_RDLOCK
backing_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                  QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    backing_request();
    qemu_iovec_memset(qiov, 0, backing.zero ? 0 : 7, bytes);
    return 0;
}

static int coroutine_fn GRAPH_RDLOCK
backing_co_block_status(BlockDriverState *bs, bool want_zero,
                        int64_t offset, int64_t bytes, int64_t *pnum,
                        int64_t *map, BlockDriverState **file)
{
    if (backing.zero) {
        backing_request();
    }
    *pnum = bytes;
    return backing.zero ? BDRV_BLOCK_ZERO : BDRV_BLOCK_DATA;
}

static BlockDriver bdrv_backing = {
    .format_name            = "backing-test",
    .bdrv_co_getlength      = backing_co_getlength,
    .bdrv_co_preadv         = backing_co_preadv,
    .bdrv_co_block_status   = backing_co_block_status,
};

typedef struct Mover {
    BlockBackend *blk;
    bool locked, let_go, done;
} Mover;

static void coroutine_fn mover_entry(void *opaque)
{
    Mover *m = opaque;
    BDRVQcow2State *s = blk_bs(m->blk)->opaque;
    uint64_t offset = s->l1_table_offset;
    int size = s->l1_size;

    qemu_co_mutex_lock(&s->lock);
    s->l1_table_offset = 0;
    s->l1_size = INT_MAX / L1E_SIZE;
    m->locked = true;
    while (!m->let_go) {
        aio_co_schedule(qemu_get_aio_context(), qemu_coroutine_self());
        qemu_coroutine_yield();
    }
    s->l1_table_offset = offset;
    s->l1_size = size;
    qemu_co_mutex_unlock(&s->lock);
    m->done = true;
}

static void write_done(void *opaque, int ret)
{
    *(int *)opaque = ret;
}

static void test_overlap(const void *opaque)
{
    QDict *options = qdict_new();
    Mover mover = { 0 };
    uint8_t buf[NR_PARTS * PART];
    uint8_t got;
    QEMUIOVector qiov;
    BlockDriverState *bs;
    BlockBackend *blk;
    int ret = 1;

    memset(buf, 1, sizeof(buf));
    qemu_iovec_init(&qiov, NR_PARTS);
    for (int i = 0; i < NR_PARTS; i++) {
        qemu_iovec_add(&qiov, buf + i * PART, PART);
    }

    bdrv_img_create(path, "qcow2", NULL, NULL, NULL, IMAGE_SIZE, BDRV_O_RDWR,
                    true, &error_abort);
    qdict_put_str(options, "driver", "qcow2");
    qdict_put_str(options, "backing.driver", "backing-test");
    bs = bdrv_open(path, NULL, options, BDRV_O_RDWR, &error_abort);
    blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    blk_insert_bs(blk, bs, &error_abort);
    bdrv_unref(bs);

    backing.zero = *(const bool *)opaque;
    /* For zeroes qcow2 asks about what is before the data, then after it. */
    backing.hold = backing.zero ? 2 : 1;
    backing.held = NULL;
    blk_aio_pwritev(blk, 8 * KiB, &qiov, 0, write_done, &ret);
    while (!backing.held) {
        aio_poll(qemu_get_aio_context(), true);
    }

    mover.blk = blk;
    qemu_coroutine_enter(qemu_coroutine_create(mover_entry, &mover));
    g_assert_true(mover.locked);
    aio_co_wake(backing.held);
    /* Whatever is done without the lock is done now. */
    for (int i = 0; i < 100; i++) {
        aio_poll(qemu_get_aio_context(), false);
    }
    g_assert_cmpint(ret, ==, 1);
    mover.let_go = true;
    while (ret == 1 || !mover.done) {
        aio_poll(qemu_get_aio_context(), true);
    }
    g_assert_cmpint(ret, ==, 0);

    g_assert_cmpint(blk_pread(blk, 8 * KiB, 1, &got, 0), ==, 0);
    g_assert_cmpuint(got, ==, 1);
    g_assert_cmpint(blk_pread(blk, 8 * KiB - 1, 1, &got, 0), ==, 0);
    g_assert_cmpuint(got, ==, backing.zero ? 0 : 7);
    blk_unref(blk);
    qemu_iovec_destroy(&qiov);
}

int main(int argc, char **argv)
{
    static const bool no = false, yes = true;
    g_autofree char *dir = g_dir_make_tmp("test-qcow2-overlap-XXXXXX", NULL);
    int ret;

    path = g_strdup_printf("%s/image", dir);
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    bdrv_register(&bdrv_backing);
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/qcow2/overlap/copied", &no, test_overlap);
    g_test_add_data_func("/qcow2/overlap/zeroed", &yes, test_overlap);
    ret = g_test_run();

    unlink(path);
    rmdir(dir);
    g_free(path);
    return ret;
}
