/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A zoned qcow2 image that is inactivated while it is written to
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "block/block_int.h"
#include "qobject/qdict.h"
#include "system/block-backend.h"

#define ZONE            MiB
#define SIZE            (4 * ZONE)
#define CHUNK           (64 * KiB)

static char *path;

/* A filter above the image file, which holds data back */
static struct {
    BlockDriverState *image;    /* until this node is drained; NULL: not */
    unsigned held;
} slow;

static int slow_open(BlockDriverState *bs, QDict *options, int flags,
                     Error **errp)
{
    return bdrv_open_file_child(NULL, options, "file", bs, errp);
}

static int64_t coroutine_fn GRAPH_RDLOCK slow_co_getlength(BlockDriverState *bs)
{
    return bdrv_co_getlength(bs->file->bs);
}

static int coroutine_fn GRAPH_RDLOCK
slow_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
               QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    return bdrv_co_preadv(bs->file, offset, bytes, qiov, flags);
}

static int coroutine_fn GRAPH_RDLOCK
slow_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    /* Metadata comes in less. */
    if (slow.image && bytes == CHUNK) {
        slow.held++;
        while (!qatomic_read(&slow.image->quiesce_counter)) {
            aio_co_schedule(qemu_get_aio_context(), qemu_coroutine_self());
            qemu_coroutine_yield();
        }
    }
    return bdrv_co_pwritev(bs->file, offset, bytes, qiov, flags);
}

static int coroutine_fn GRAPH_RDLOCK
slow_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                 PreallocMode prealloc, BdrvRequestFlags flags, Error **errp)
{
    return bdrv_co_truncate(bs->file, offset, exact, prealloc, flags, errp);
}

static BlockDriver bdrv_slow = {
    .format_name            = "slow-test",
    .is_filter              = true,
    .bdrv_open              = slow_open,
    .bdrv_child_perm        = bdrv_default_perms,
    .bdrv_co_getlength      = slow_co_getlength,
    .bdrv_co_preadv         = slow_co_preadv,
    .bdrv_co_pwritev        = slow_co_pwritev,
    .bdrv_co_truncate       = slow_co_truncate,
};

static BlockBackend *open_image(void)
{
    QDict *options = qdict_new();
    BlockDriverState *bs;
    BlockBackend *blk;

    qdict_put_str(options, "driver", "qcow2");
    qdict_put_str(options, "file.driver", "slow-test");
    qdict_put_str(options, "file.file.driver", "file");
    qdict_put_str(options, "file.file.filename", path);
    bs = bdrv_open(NULL, NULL, options, BDRV_O_RDWR, &error_abort);
    blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    blk_set_zoned_aware(blk, true);
    blk_insert_bs(blk, bs, &error_abort);
    bdrv_unref(bs);
    g_assert_true(monitor_add_blk(blk, "disk", &error_abort));
    return blk;
}

static void close_image(BlockBackend *blk)
{
    monitor_remove_blk(blk);
    blk_unref(blk);
}

static int64_t pointer(BlockBackend *blk)
{
    BlockZoneDescriptor z;
    unsigned int nr = 1;

    g_assert_cmpint(blk_zone_report(blk, 0, &nr, &z), ==, 0);
    g_assert_cmpuint(nr, ==, 1);
    return z.wp;
}

static void request_done(void *opaque, int ret)
{
    *(int *)opaque = ret;
}

static void test_inactive(const void *opaque)
{
    bool append = *(const bool *)opaque;
    g_autofree uint8_t *buf = g_malloc0(CHUNK);
    QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, CHUNK);
    BlockBackend *blk, *reader;
    int64_t offset = 0;
    int ret = 1;

    bdrv_img_create(path, "qcow2", NULL, NULL,
                    (char *)"zoned=on,zone.size=1M", SIZE, BDRV_O_RDWR, true,
                    &error_abort);
    blk = open_image();
    /* Nothing but its pointer changes when the second chunk is written. */
    g_assert_cmpint(blk_pwrite(blk, 0, CHUNK, buf, 0), ==, 0);
    g_assert_cmpint(blk_pwrite(blk, CHUNK, CHUNK, buf, 0), ==, 0);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_RESET, 0, ZONE, 0),
                    ==, 0);
    g_assert_cmpint(blk_pwrite(blk, 0, CHUNK, buf, 0), ==, 0);
    g_assert_cmpint(blk_flush(blk), ==, 0);

    slow.image = blk_bs(blk);
    slow.held = 0;
    if (append) {
        blk_aio_zone_append(blk, &offset, &qiov, 0, request_done, &ret);
    } else {
        blk_aio_pwritev(blk, CHUNK, &qiov, 0, request_done, &ret);
    }
    while (!slow.held) {
        aio_poll(qemu_get_aio_context(), true);
    }
    g_assert_cmpint(bdrv_inactivate(blk_bs(blk), &error_abort), ==, 0);
    slow.image = NULL;
    g_assert_cmpint(ret, ==, 0);

    /* What another one reads meanwhile */
    reader = blk_new_open(path, NULL, NULL, 0, &error_abort);
    g_assert_cmpint(pointer(reader), ==, 2 * CHUNK);
    blk_unref(reader);

    /* A guest that goes on finds it closed. */
    g_assert_cmpint(blk_pwrite(blk, 2 * CHUNK, CHUNK, buf, 0), ==, -EPERM);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_RESET, 0, ZONE, 0),
                    ==, -EPERM);
    g_assert_cmpint(blk_flush(blk), ==, 0);

    {
        GRAPH_RDLOCK_GUARD_MAINLOOP();
        g_assert_cmpint(bdrv_activate(blk_bs(blk), &error_abort), ==, 0);
    }
    g_assert_cmpint(pointer(blk), ==, 2 * CHUNK);
    g_assert_cmpint(blk_pwrite(blk, 2 * CHUNK, CHUNK, buf, 0), ==, 0);
    close_image(blk);
}

int main(int argc, char **argv)
{
    static const bool no = false, yes = true;
    g_autofree char *dir = g_dir_make_tmp("test-qcow2-inactive-XXXXXX", NULL);
    int ret;

    path = g_strdup_printf("%s/image", dir);
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    bdrv_register(&bdrv_slow);
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/qcow2/zoned/inactive/write", &no, test_inactive);
    g_test_add_data_func("/qcow2/zoned/inactive/append", &yes, test_inactive);
    ret = g_test_run();

    unlink(path);
    rmdir(dir);
    g_free(path);
    return ret;
}
