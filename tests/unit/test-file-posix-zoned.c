/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block/file-posix.c with a zoned device
 *
 * The device is a regular file, and what the kernel says about its zones is
 * made up here: each write moves the pointer of its zone.
 */

#include "qemu/osdep.h"
#include <linux/blkzoned.h>
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "qemu/units.h"
#include "block/block_int.h"
#include "block/zone-errors.h"
#include "qobject/qdict.h"
#include "system/block-backend.h"
#include "file-posix-calls.c.inc"

#define NR_ZONES        4
#define ZONE            (256 * KiB)
#define DISK_SIZE       (NR_ZONES * ZONE)
#define CHUNK           (8 * KiB)
#define LAST_ERRNO      133

/* What the kernel reports as pointers; the first zone is conventional. */
static uint64_t kernel_wp[NR_ZONES];

static int kernel_ioctl(unsigned long request, void *arg)
{
    struct blk_zone_report *report = arg;
    unsigned zone, n = 0;

    if (request != BLKREPORTZONE) {
        return calls.fail_ioctl;
    }
    for (zone = report->sector * 512 / ZONE;
         zone < NR_ZONES && n < report->nr_zones; zone++) {
        report->zones[n++] = (struct blk_zone) {
            .start = zone * ZONE / 512,
            .len = ZONE / 512,
            .wp = kernel_wp[zone] / 512,
            .type = zone ? BLK_ZONE_TYPE_SEQWRITE_REQ :
                           BLK_ZONE_TYPE_CONVENTIONAL,
            .cond = BLK_ZONE_COND_IMP_OPEN,
        };
    }
    report->nr_zones = n;
    return 0;
}

/* NULL if the file system has no O_DIRECT: then the test is skipped. */
static BlockBackend *open_file(bool direct, bool zoned)
{
    BlockDriverState *bs = open_path(direct);
    BlockBackend *blk;

    if (!bs) {
        return NULL;
    }
    blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    blk_set_zoned_aware(blk, true);
    blk_insert_bs(blk, bs, &error_abort);
    bdrv_unref(bs);
    if (zoned) {
        bs->bl.zoned = BLK_Z_HM;
        bs->bl.zone_size = ZONE;
        bs->bl.nr_zones = NR_ZONES;
        bs->bl.write_granularity = 512;
        bs->wps = g_malloc0(sizeof(*bs->wps) +
                            NR_ZONES * sizeof(bs->wps->wp[0]));
        qemu_co_mutex_init(&bs->wps->colock);
        for (uint64_t i = 0; i < NR_ZONES; i++) {
            kernel_wp[i] = i * ZONE;
            bs->wps->wp[i] = i ? i * ZONE : 1ULL << 63;
        }
    }
    calls.do_ioctl = kernel_ioctl;
    return blk;
}

static void want_wps(BlockBackend *blk, uint64_t one, uint64_t two,
                     uint64_t three)
{
    const uint64_t *wp = blk_bs(blk)->wps->wp;

    g_assert_cmphex(wp[0], ==, 1ULL << 63);
    g_assert_cmphex(wp[1], ==, ZONE + one);
    g_assert_cmphex(wp[2], ==, 2 * ZONE + two);
    g_assert_cmphex(wp[3], ==, 3 * ZONE + three);
}

/* Operations that only the driver of host devices has */
typedef struct Request {
    BlockDriverState *bs;
    int64_t offset;
    QEMUIOVector *qiov;         /* of an append; NULL for a reset */
    int ret;
} Request;

static void coroutine_fn request_entry(void *opaque)
{
    Request *r = opaque;
    BlockDriver *drv = bdrv_find_format("host_device");

    GRAPH_RDLOCK_GUARD();
    if (r->qiov) {
        r->ret = drv->bdrv_co_zone_append(r->bs, &r->offset, r->qiov, 0);
    } else {
        r->ret = drv->bdrv_co_zone_mgmt(r->bs, BLK_ZO_RESET, r->offset, ZONE,
                                        0);
    }
    aio_wait_kick();
}

static int request(BlockBackend *blk, int64_t *offset, QEMUIOVector *qiov)
{
    Request r = { blk_bs(blk), *offset, qiov, 1 };

    qemu_coroutine_enter(qemu_coroutine_create(request_entry, &r));
    AIO_WAIT_WHILE_UNLOCKED(NULL, r.ret == 1);
    *offset = r.offset;
    return r.ret;
}

static int reset(BlockBackend *blk, int64_t offset)
{
    return request(blk, &offset, NULL);
}

static int append(BlockBackend *blk, int64_t *offset, uint8_t byte,
                  size_t shift)
{
    uint8_t *mem = qemu_blockalign(blk_bs(blk), CHUNK + shift);
    QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, mem + shift, CHUNK);
    int ret;

    memset(mem, byte, CHUNK + shift);
    ret = request(blk, offset, &qiov);
    qemu_vfree(mem);
    return ret;
}

static void test_zeroes(void)
{
    BlockBackend *blk = open_file(false, true);
    int64_t offset = ZONE;

    g_assert_cmpint(append(blk, &offset, 1, 0), ==, 0);
    g_assert_cmpint(offset, ==, ZONE);
    want_wps(blk, CHUNK, 0, 0);
    g_assert_cmpint(blk_pwrite_zeroes(blk, ZONE + CHUNK, CHUNK, 0), ==, 0);
    want_wps(blk, 2 * CHUNK, 0, 0);
    offset = ZONE;
    g_assert_cmpint(append(blk, &offset, 1, 0), ==, 0);
    g_assert_cmpint(offset, ==, ZONE + 2 * CHUNK);
    want_wps(blk, 3 * CHUNK, 0, 0);
    g_assert_cmpint(blk_pwrite_zeroes(blk, ZONE + 3 * CHUNK, CHUNK,
                                      BDRV_REQ_MAY_UNMAP), ==, 0);
    want_wps(blk, 4 * CHUNK, 0, 0);

    /* Over the end of a zone: the kernel splits it. */
    g_assert_cmpint(blk_pwrite_zeroes(blk, ZONE + 4 * CHUNK, 2 * ZONE, 0),
                    ==, 0);
    want_wps(blk, ZONE, ZONE, 4 * CHUNK);

    /* A conventional zone has no pointer. */
    g_assert_cmpint(blk_pwrite_zeroes(blk, CHUNK, CHUNK, 0), ==, 0);
    want_wps(blk, ZONE, ZONE, 4 * CHUNK);
    close_file(blk);
}

/* Where zeroes failed the kernel knows how far they came. */
static void test_zeroes_failed(void)
{
    BlockBackend *blk = open_file(false, true);

    kernel_wp[1] = 2 * ZONE;
    kernel_wp[2] = 2 * ZONE + 2 * CHUNK;
    calls.fail_fallocate = EIO;
    g_assert_cmpint(blk_pwrite_zeroes(blk, ZONE, 2 * ZONE, 0), ==, -EIO);
    want_wps(blk, ZONE, 2 * CHUNK, 0);
    close_file(blk);
}

/* Zeroes that the kernel cannot make are written. */
static void test_zeroes_written(void)
{
    BlockBackend *blk = open_file(false, true);

    calls.fail_fallocate = EOPNOTSUPP;
    g_assert_cmpint(blk_pwrite_zeroes(blk, ZONE, CHUNK, 0), ==, 0);
    g_assert_cmpuint(calls.pwrite, ==, 1);
    want_wps(blk, CHUNK, 0, 0);
    close_file(blk);
}

static void test_append_unaligned(void)
{
    BlockBackend *blk = open_file(true, true);
    int64_t offset = ZONE;
    uint8_t buf[CHUNK], want[CHUNK];

    if (!blk) {
        return;
    }
    g_assert_cmpint(append(blk, &offset, 9, 1), ==, 0);
    memset(want, 9, CHUNK);
    g_assert_cmpint(blk_pread(blk, ZONE, CHUNK, buf, 0), ==, 0);
    g_assert_cmpmem(buf, CHUNK, want, CHUNK);
    close_file(blk);
}

/* One that the kernel cuts off has failed. */
static void test_append_cut_off(void)
{
    BlockBackend *blk = open_file(false, true);
    int64_t offset = ZONE;

    calls.full = true;
    g_assert_cmpint(append(blk, &offset, 9, 0), ==, -EINVAL);
    want_wps(blk, 0, 0, 0);
    close_file(blk);
}

static const int zone_errors[] = {
    BLK_ZONE_ERR_UNALIGNED_WP, BLK_ZONE_ERR_BOUNDARY, BLK_ZONE_ERR_FULL,
    BLK_ZONE_ERR_READ_ONLY, BLK_ZONE_ERR_OFFLINE, BLK_ZONE_ERR_INVALID_APPEND,
    BLK_ZONE_ERR_TRANSITION, BLK_ZONE_ERR_ACTIVE_LIMIT,
    BLK_ZONE_ERR_OPEN_LIMIT,
};

/* What is to come of an errno of the kernel's */
static int meaning(int error, bool zoned)
{
    if (!zoned || error == EOVERFLOW || error == ETOOMANYREFS) {
        return -error;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(zone_errors); i++) {
        if (error == zone_errors[i]) {
            return -EIO;
        }
    }
    return -error;
}

/* Zone conditions come from zoned devices only, and as few as there are. */
static void test_errors(const void *opaque)
{
    bool zoned = *(const bool *)opaque;
    uint8_t buf[CHUNK] = { 0 };

    for (int error = 1; error <= LAST_ERRNO; error++) {
        int want = meaning(error, zoned);
        int64_t offset = ZONE;
        BlockBackend *blk;

        if (error == EINTR) {
            continue;       /* asked again */
        }
        blk = open_file(false, zoned);
        calls.fail_write = calls.fail_read = error;
        calls.fail_fdatasync = calls.fail_fallocate = error;
        calls.fail_ioctl = error;
        g_assert_cmpint(blk_pwrite(blk, ZONE, CHUNK, buf, 0), ==, want);
        g_assert_cmpint(blk_pread(blk, ZONE, CHUNK, buf, 0), ==, want);
        if (zoned) {
            g_assert_cmpint(append(blk, &offset, 1, 0), ==, want);
            g_assert_cmpint(reset(blk, ZONE), ==, want);
        }
        if (meaning(error, true) != -error) {
            /* Others may mean that there is another way. */
            g_assert_cmpint(blk_pwrite_zeroes(blk, ZONE, CHUNK, 0), ==, want);
        }
        g_assert_cmpint(blk_flush(blk), ==, want);
        close_file(blk);
    }
}

int main(int argc, char **argv)
{
    static const bool no = false, yes = true;
    g_autofree char *dir = g_dir_make_tmp("test-file-posix-XXXXXX", NULL);
    int fd, ret;

    path = g_strdup_printf("%s/image", dir);
    fd = qemu_create(path, O_RDWR, 0600, &error_abort);
    g_assert_cmpint(ftruncate(fd, DISK_SIZE), ==, 0);
    qemu_close(fd);

    bdrv_init();
    qemu_init_main_loop(&error_abort);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/file-posix/zoned/zeroes/pointer", test_zeroes);
    g_test_add_func("/file-posix/zoned/zeroes/failed", test_zeroes_failed);
    g_test_add_func("/file-posix/zoned/zeroes/written", test_zeroes_written);
    g_test_add_func("/file-posix/zoned/append/unaligned",
                    test_append_unaligned);
    g_test_add_func("/file-posix/zoned/append/cut-off", test_append_cut_off);
    g_test_add_data_func("/file-posix/zoned/errors", &yes, test_errors);
    g_test_add_data_func("/file-posix/errors", &no, test_errors);
    ret = g_test_run();

    unlink(path);
    rmdir(dir);
    g_free(path);
    return ret;
}
