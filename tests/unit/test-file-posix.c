/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What block/file-posix.c asks of the kernel, and what it makes of the answers
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "qemu/units.h"
#include "block/block_int.h"
#include "qobject/qdict.h"
#include "system/block-backend.h"
#include "file-posix-calls.c.inc"

#define IMAGE_SIZE      MiB
#define CHUNK           (8 * KiB)

/* NULL if the file system has no O_DIRECT: then the test is skipped. */
static BlockBackend *open_file(bool direct)
{
    BlockDriverState *bs = open_path(direct);
    BlockBackend *blk;

    if (!bs) {
        return NULL;
    }
    blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    blk_insert_bs(blk, bs, &error_abort);
    bdrv_unref(bs);
    memset(&calls, 0, sizeof(calls));
    return blk;
}

/* Write a chunk of @byte from a buffer at @shift bytes after an aligned one. */
static int write_at(BlockBackend *blk, int64_t offset, uint8_t byte,
                    size_t shift, unsigned parts, BdrvRequestFlags flags)
{
    uint8_t *mem = qemu_blockalign(blk_bs(blk), CHUNK + shift);
    QEMUIOVector qiov;
    int ret;

    qemu_iovec_init(&qiov, parts);
    for (unsigned i = 0; i < parts; i++) {
        qemu_iovec_add(&qiov, mem + shift + i * (CHUNK / parts), CHUNK / parts);
    }
    qemu_iovec_memset(&qiov, 0, byte, CHUNK);
    ret = blk_pwritev_part(blk, offset, CHUNK, &qiov, 0, flags);
    qemu_iovec_destroy(&qiov);
    qemu_vfree(mem);
    return ret;
}

static void check_data(int64_t offset, uint8_t byte)
{
    uint8_t buf[CHUNK], want[CHUNK];
    int fd = qemu_open(path, O_RDONLY, &error_abort);

    memset(want, byte, CHUNK);
    g_assert_cmpint(pread(fd, buf, CHUNK, offset), ==, CHUNK);
    g_assert_cmpmem(buf, CHUNK, want, CHUNK);
    qemu_close(fd);
}

/* How a buffer lies in memory decides how a thread writes it. */
static const struct {
    size_t shift;
    unsigned parts;
} layout[] = {
    { 0, 1 },       /* as it is */
    { 0, 2 },       /* a vector */
    { 1, 2 },       /* with O_DIRECT: from a copy */
};

/* In the page cache a write with FUA is a write and a flush, always. */
static void test_fua_cached(void)
{
    BlockBackend *blk = open_file(false);

    g_assert_cmpint(write_at(blk, 0, 1, 0, 1, 0), ==, 0);
    g_assert_cmpuint(calls.fdatasync, ==, 0);
    g_assert_cmpint(blk_flush(blk), ==, 0);
    g_assert_cmpuint(calls.fdatasync, ==, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(layout); i++) {
        g_assert_cmpint(write_at(blk, i * CHUNK, 2 + i, layout[i].shift,
                                 layout[i].parts, BDRV_REQ_FUA), ==, 0);
        check_data(i * CHUNK, 2 + i);
        g_assert_cmpuint(calls.fdatasync, ==, 2 + i);
        g_assert_cmpint(blk_flush(blk), ==, 0);
        g_assert_cmpuint(calls.fdatasync, ==, 2 + i);
    }
    g_assert_cmpuint(calls.dsync, ==, 0);

    /* What cannot be flushed is never taken for durable. */
    calls.fail_fdatasync = EIO;
    g_assert_cmpint(write_at(blk, 0, 1, 0, 1, BDRV_REQ_FUA), ==, -EIO);
    calls.fail_fdatasync = 0;
    g_assert_cmpint(blk_flush(blk), ==, -EIO);
    g_assert_cmpint(write_at(blk, 0, 1, 0, 1, BDRV_REQ_FUA), ==, -EIO);
    close_file(blk);
}

/* With O_DIRECT it is one system call, and leaves nothing to flush. */
static void test_fua_direct(void)
{
    BlockBackend *blk = open_file(true);

    if (!blk) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(layout); i++) {
        g_assert_cmpint(write_at(blk, i * CHUNK, 10 + i, layout[i].shift,
                                 layout[i].parts, BDRV_REQ_FUA), ==, 0);
        check_data(i * CHUNK, 10 + i);
        g_assert_cmpuint(calls.dsync, ==, 1 + i);
    }
    g_assert_cmpint(blk_flush(blk), ==, 0);
    g_assert_cmpuint(calls.pwrite + calls.pwritev + calls.fdatasync, ==, 0);

    /* What another write has left is flushed all the same. */
    g_assert_cmpint(write_at(blk, 0, 1, 0, 1, 0), ==, 0);
    g_assert_cmpint(write_at(blk, 0, 2, 0, 1, BDRV_REQ_FUA), ==, 0);
    g_assert_cmpuint(calls.fdatasync, ==, 0);
    g_assert_cmpint(blk_flush(blk), ==, 0);
    g_assert_cmpuint(calls.fdatasync, ==, 1);

    /* As it is where it failed */
    calls.fail_dsync = EIO;
    g_assert_cmpint(write_at(blk, 0, 3, 0, 1, BDRV_REQ_FUA), ==, -EIO);
    g_assert_cmpint(blk_flush(blk), ==, 0);
    g_assert_cmpuint(calls.fdatasync, ==, 2);
    close_file(blk);
}

/* The kernel may write less than it was given. */
static void test_fua_short(void)
{
    BlockBackend *blk = open_file(true);

    if (!blk) {
        return;
    }
    calls.most = CHUNK / 2;
    g_assert_cmpint(write_at(blk, 0, 20, 0, 1, BDRV_REQ_FUA), ==, 0);
    check_data(0, 20);
    g_assert_cmpuint(calls.dsync, ==, 2);
    g_assert_cmpint(blk_flush(blk), ==, 0);
    g_assert_cmpuint(calls.pwrite + calls.pwritev + calls.fdatasync, ==, 0);
    close_file(blk);
}

/* Kernels and file systems that do not know the flag: asked once */
static void test_fua_refused(void)
{
    static const int errors[] = { ENOSYS, EOPNOTSUPP };

    for (unsigned e = 0; e < ARRAY_SIZE(errors); e++) {
        for (unsigned i = 0; i < ARRAY_SIZE(layout); i++) {
            BlockBackend *blk = open_file(true);

            if (!blk) {
                return;
            }
            calls.fail_dsync = errors[e];
            for (unsigned n = 1; n <= 2; n++) {
                uint8_t byte = 30 + 10 * e + 3 * i + n;

                g_assert_cmpint(write_at(blk, 0, byte, layout[i].shift,
                                         layout[i].parts, BDRV_REQ_FUA),
                                ==, 0);
                check_data(0, byte);
                g_assert_cmpuint(calls.dsync, ==, 1);
                g_assert_cmpuint(calls.pwrite + calls.pwritev, ==, n);
                g_assert_cmpuint(calls.fdatasync, ==, n);
                g_assert_cmpint(blk_flush(blk), ==, 0);
                g_assert_cmpuint(calls.fdatasync, ==, n);
            }
            /* A flush that fails is no longer that of the write alone. */
            calls.fail_fdatasync = EIO;
            g_assert_cmpint(write_at(blk, 0, 1, 0, 1, BDRV_REQ_FUA),
                            ==, -EIO);
            g_assert_cmpint(blk_flush(blk), ==, -EIO);
            calls.fail_fdatasync = 0;
            g_assert_cmpint(blk_flush(blk), ==, 0);
            close_file(blk);
        }
    }
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_dir_make_tmp("test-file-posix-XXXXXX", NULL);
    int fd, ret;

    path = g_strdup_printf("%s/image", dir);
    fd = qemu_create(path, O_RDWR, 0600, &error_abort);
    g_assert_cmpint(ftruncate(fd, IMAGE_SIZE), ==, 0);
    qemu_close(fd);

    bdrv_init();
    qemu_init_main_loop(&error_abort);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/file-posix/fua/cached", test_fua_cached);
    g_test_add_func("/file-posix/fua/direct", test_fua_direct);
    g_test_add_func("/file-posix/fua/short", test_fua_short);
    g_test_add_func("/file-posix/fua/refused", test_fua_refused);
    ret = g_test_run();

    unlink(path);
    rmdir(dir);
    g_free(path);
    return ret;
}
