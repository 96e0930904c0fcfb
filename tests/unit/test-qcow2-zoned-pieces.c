/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many zones a zoned qcow2 image looks at in one hold of the zone lock
 *
 * The zone rules of builds with ZONE_VERIFY count how often they look at a
 * zone; in other builds the operations are only made.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "qobject/qdict.h"
#include "system/block-backend.h"
#include "../../block/qcow2-zoned-int.h"

#define NR_ZONES    17000
#define ZONE        (4 * KiB)
#define SIZE        (NR_ZONES * ZONE)
#define LOOKS_MAX   16384

static char *path;

/* The lock that is watched, and the rules that it protects */
static struct {
    Qcow2Zoned *z;
    uint64_t looks;             /* when it was taken last */
    uint64_t most;              /* in one hold */
} watched;

static void note_looks(void)
{
#ifdef ZONE_VERIFY
    uint64_t looks = zone_rules_looks(watched.z->rules);

    watched.most = MAX(watched.most, looks - watched.looks);
    watched.looks = looks;
#endif
}

static void lock_and_note(QemuMutex *mutex, const char *file, int line)
{
    qemu_mutex_lock_impl(mutex, file, line);
    if (watched.z && mutex == &watched.z->lock) {
        note_looks();
    }
}

static void check_looks(const char *what)
{
    WITH_QEMU_LOCK_GUARD(&watched.z->lock) {
        g_test_message("%s: at most %" PRIu64 " looks in one hold", what,
                       watched.most);
        g_assert_cmpuint(watched.most, <=, LOOKS_MAX);
        watched.most = 0;
    }
}

static BlockBackend *open_image(const char *limits)
{
    g_autofree char *create = g_strdup_printf(
        "zoned=on,zone.size=%" PRIu64 ",cluster_size=%" PRIu64 "%s",
        ZONE, ZONE, limits);
    QDict *options = qdict_new();
    BlockDriverState *bs;
    BlockBackend *blk;

    bdrv_img_create(path, "qcow2", NULL, NULL, create, SIZE, BDRV_O_RDWR, true,
                    &error_abort);
    qdict_put_str(options, "driver", "qcow2");
    bs = bdrv_open(path, NULL, options, BDRV_O_RDWR, &error_abort);
    blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    blk_set_zoned_aware(blk, true);
    blk_insert_bs(blk, bs, &error_abort);
    watched.z = ((BDRVQcow2State *)bs->opaque)->zoned;
    watched.looks = watched.most = 0;
    bdrv_unref(bs);
    check_looks("nothing");
    return blk;
}

static void close_image(BlockBackend *blk)
{
    watched.z = NULL;
    blk_unref(blk);
}

static void op(BlockBackend *blk, BlockZoneOp type, int64_t offset,
               int64_t len, BdrvZoneFlags flags, int expect)
{
    static const char *const names[] = {
        [BLK_ZO_OPEN] = "open", [BLK_ZO_CLOSE] = "close",
        [BLK_ZO_FINISH] = "finish", [BLK_ZO_RESET] = "reset",
    };

    g_assert_cmpint(blk_zone_mgmt(blk, type, offset, len, flags), ==, expect);
    check_looks(names[type]);
}

/* How many zones are in @state? */
static unsigned count(BlockBackend *blk, BlockZoneState state)
{
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor,
                                                  NR_ZONES);
    unsigned int nr = NR_ZONES;
    unsigned found = 0;

    g_assert_cmpint(blk_zone_report(blk, 0, &nr, zones), ==, 0);
    g_assert_cmpuint(nr, ==, NR_ZONES);
    for (unsigned i = 0; i < nr; i++) {
        found += zones[i].state == state;
    }
    check_looks("report");
    return found;
}

static void write_zones(BlockBackend *blk, unsigned nr)
{
    for (unsigned i = 0; i < nr; i++) {
        g_assert_cmpint(blk_pwrite_zeroes(blk, i * ZONE, BDRV_SECTOR_SIZE, 0),
                        ==, 0);
    }
    check_looks("write");
}

static void flush(BlockBackend *blk)
{
    g_assert_cmpint(blk_flush(blk), ==, 0);
    check_looks("flush");
}

static void test_pieces(void)
{
    BlockBackend *blk = open_image("");

    op(blk, BLK_ZO_OPEN, 0, SIZE, 0, 0);
    g_assert_cmpuint(count(blk, BLK_ZS_EOPEN), ==, NR_ZONES);
    op(blk, BLK_ZO_CLOSE, 0, SIZE, BDRV_ZONE_ALL | BDRV_ZONE_ZNS, 0);
    g_assert_cmpuint(count(blk, BLK_ZS_CLOSED), ==, NR_ZONES);
    op(blk, BLK_ZO_OPEN, 0, SIZE, BDRV_ZONE_ALL, 0);
    g_assert_cmpuint(count(blk, BLK_ZS_EOPEN), ==, NR_ZONES);
    op(blk, BLK_ZO_CLOSE, 0, SIZE, 0, 0);
    g_assert_cmpuint(count(blk, BLK_ZS_EMPTY), ==, NR_ZONES);

    write_zones(blk, NR_ZONES);
    flush(blk);
    g_assert_cmpint(qcow2_zoned_behind(blk_bs(blk)), ==, 0);
    check_looks("close of the image");
    flush(blk);

    op(blk, BLK_ZO_FINISH, 0, SIZE, 0, 0);
    g_assert_cmpuint(count(blk, BLK_ZS_FULL), ==, NR_ZONES);
    op(blk, BLK_ZO_RESET, 0, SIZE - ZONE, 0, 0);
    op(blk, BLK_ZO_RESET, 0, SIZE, 0, 0);
    g_assert_cmpuint(count(blk, BLK_ZS_EMPTY), ==, NR_ZONES);
    /* All are refused for the last one. */
    op(blk, BLK_ZO_CLOSE, 0, SIZE, 0, -BLK_ZONE_ERR_TRANSITION);
    op(blk, BLK_ZO_OPEN, 0, SIZE - ZONE, 0, 0);
    op(blk, BLK_ZO_CLOSE, 0, SIZE, 0, -BLK_ZONE_ERR_TRANSITION);
    g_assert_cmpuint(count(blk, BLK_ZS_EOPEN), ==, NR_ZONES - 1);
    close_image(blk);
}

/* All closed zones are opened or none, also where they lie in many pieces. */
static void test_limit(void)
{
    BlockBackend *blk = open_image(",zone.max_open_zones=4");
    int64_t last = SIZE - ZONE;

    write_zones(blk, 4);
    g_assert_cmpint(blk_pwrite_zeroes(blk, last, BDRV_SECTOR_SIZE, 0), ==, 0);
    op(blk, BLK_ZO_CLOSE, 0, SIZE, BDRV_ZONE_ALL, 0);
    g_assert_cmpuint(count(blk, BLK_ZS_CLOSED), ==, 5);
    op(blk, BLK_ZO_OPEN, 0, SIZE, BDRV_ZONE_ALL, -BLK_ZONE_ERR_OPEN_LIMIT);
    g_assert_cmpuint(count(blk, BLK_ZS_CLOSED), ==, 5);
    op(blk, BLK_ZO_RESET, 0, ZONE, 0, 0);
    op(blk, BLK_ZO_OPEN, 0, SIZE, BDRV_ZONE_ALL, 0);
    g_assert_cmpuint(count(blk, BLK_ZS_EOPEN), ==, 4);
    close_image(blk);
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_dir_make_tmp("test-qcow2-pieces-XXXXXX", NULL);
    int ret;

    path = g_strdup_printf("%s/image", dir);
    qatomic_set(&qemu_mutex_lock_func, lock_and_note);
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qcow2/zoned/pieces/operations", test_pieces);
    g_test_add_func("/qcow2/zoned/pieces/limit", test_limit);
    ret = g_test_run();

    unlink(path);
    rmdir(dir);
    g_free(path);
    return ret;
}
