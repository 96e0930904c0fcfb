/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a zoned qcow2 image refuses of those who may write to it, where no tool
 * and no device asks for it: it fails before anything is touched
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "qobject/qdict.h"
#include "block/block.h"
#include "block/block-io.h"
#include "system/block-backend.h"

#define ZONE        MiB
#define SIZE        (4 * ZONE)
#define CHUNK       (64 * KiB)

static char *path, *plain;

static BlockBackend *open_image(void)
{
    QDict *options = qdict_new();
    BlockDriverState *bs;
    BlockBackend *blk;

    bdrv_img_create(path, "qcow2", NULL, NULL,
                    (char *)"zoned=on,zone.size=1M,zone.conventional_zones=1",
                    SIZE, BDRV_O_RDWR, true, &error_abort);
    qdict_put_str(options, "driver", "qcow2");
    bs = bdrv_open(path, NULL, options, BDRV_O_RDWR, &error_abort);
    blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    blk_set_zoned_aware(blk, true);
    blk_insert_bs(blk, bs, &error_abort);
    bdrv_unref(bs);
    return blk;
}

static int64_t pointer(BlockBackend *blk, int64_t zone)
{
    BlockZoneDescriptor z;
    unsigned int nr = 1;

    g_assert_cmpint(blk_zone_report(blk, zone, &nr, &z), ==, 0);
    g_assert_cmpuint(nr, ==, 1);
    return z.wp - z.start;
}

typedef struct Copy {
    BlockBackend *from, *to;
    int64_t at;
    int ret;
} Copy;

static void coroutine_fn copy_entry(void *opaque)
{
    Copy *c = opaque;

    c->ret = blk_co_copy_range(c->from, 0, c->to, c->at, CHUNK, 0, 0);
}

/* From a plain file, whose driver hands the copy to the image's */
static int copy(BlockBackend *from, BlockBackend *to, int64_t at)
{
    Copy c = { .from = from, .to = to, .at = at, .ret = 1 };

    qemu_coroutine_enter(qemu_coroutine_create(copy_entry, &c));
    while (c.ret == 1) {
        aio_poll(qemu_get_aio_context(), true);
    }
    return c.ret;
}

static void test_copy_range(void)
{
    BlockBackend *blk = open_image();
    g_autofree uint8_t *data = g_malloc(CHUNK);
    g_autofree uint8_t *back = g_malloc(CHUNK);
    QDict *options = qdict_new();
    BlockBackend *from;

    memset(data, 0xc3, CHUNK);
    g_assert_true(g_file_set_contents(plain, (char *)data, CHUNK, NULL));
    qdict_put_str(options, "driver", "file");
    from = blk_new_open(plain, NULL, options, 0, &error_abort);

    memset(data, 0x5a, CHUNK);
    g_assert_cmpint(blk_pwrite(blk, ZONE, CHUNK, data, 0), ==, 0);
    /* At the write pointer, past it, over data, and into a conventional zone */
    g_assert_cmpint(copy(from, blk, ZONE + CHUNK), ==, -ENOTSUP);
    g_assert_cmpint(copy(from, blk, 2 * ZONE + CHUNK), ==, -ENOTSUP);
    g_assert_cmpint(copy(from, blk, ZONE), ==, -ENOTSUP);
    g_assert_cmpint(copy(from, blk, 0), ==, -ENOTSUP);
    blk_unref(from);
    g_assert_cmpint(pointer(blk, ZONE), ==, CHUNK);
    g_assert_cmpint(pointer(blk, 2 * ZONE), ==, 0);
    g_assert_cmpint(blk_pread(blk, ZONE, CHUNK, back, 0), ==, 0);
    g_assert_cmpmem(back, CHUNK, data, CHUNK);
    memset(data, 0, CHUNK);
    g_assert_cmpint(blk_pread(blk, 0, CHUNK, back, 0), ==, 0);
    g_assert_cmpmem(back, CHUNK, data, CHUNK);
    blk_unref(blk);
}

static void test_make_empty(void)
{
    BlockBackend *blk = open_image();
    g_autofree uint8_t *data = g_malloc(CHUNK);
    g_autofree uint8_t *back = g_malloc(CHUNK);
    Error *err = NULL;

    memset(data, 0xa5, CHUNK);
    g_assert_cmpint(blk_pwrite(blk, ZONE, CHUNK, data, 0), ==, 0);
    g_assert_cmpint(blk_make_empty(blk, &err), ==, -ENOTSUP);
    g_assert_nonnull(err);
    error_free(err);
    g_assert_cmpint(blk_make_empty(blk, NULL), ==, -ENOTSUP);
    g_assert_cmpint(pointer(blk, ZONE), ==, CHUNK);
    g_assert_cmpint(blk_pread(blk, ZONE, CHUNK, back, 0), ==, 0);
    g_assert_cmpmem(back, CHUNK, data, CHUNK);
    blk_unref(blk);
}

static void test_compressed(void)
{
    BlockBackend *blk = open_image();
    g_autofree uint8_t *data = g_malloc(CHUNK);

    memset(data, 0xa5, CHUNK);
    g_assert_cmpint(blk_pwrite_compressed(blk, ZONE, CHUNK, data), ==,
                    -ENOTSUP);
    g_assert_cmpint(pointer(blk, ZONE), ==, 0);
    blk_unref(blk);
}

static void test_shrink(void)
{
    BlockBackend *blk = open_image();
    Error *err = NULL;

    g_assert_cmpint(blk_truncate(blk, SIZE - ZONE, false, PREALLOC_MODE_OFF, 0,
                                 &err), ==, -ENOTSUP);
    g_assert_nonnull(strstr(error_get_pretty(err), "being made smaller"));
    error_free(err);
    /* The only zone would be a conventional one. */
    g_assert_cmpint(blk_truncate(blk, ZONE, true, PREALLOC_MODE_OFF, 0, NULL),
                    ==, -EINVAL);
    g_assert_cmpint(blk_getlength(blk), ==, SIZE);
    blk_unref(blk);
}

int main(int argc, char **argv)
{
    int fd = g_file_open_tmp("zoned-refuse-XXXXXX", &path, NULL);
    int ret;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    plain = g_strconcat(path, ".raw", NULL);
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qcow2/zoned/refuse/copy-range", test_copy_range);
    g_test_add_func("/qcow2/zoned/refuse/make-empty", test_make_empty);
    g_test_add_func("/qcow2/zoned/refuse/compressed", test_compressed);
    g_test_add_func("/qcow2/zoned/refuse/shrink", test_shrink);
    ret = g_test_run();
    unlink(path);
    unlink(plain);
    g_free(path);
    g_free(plain);
    return ret;
}
