/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A zoned device of the host that is none: preloaded into QEMU, this makes the
 * file ZONED_HOST_FILE a block device whose sysfs attributes are the files of
 * ZONED_HOST_DIR.  It has the ioctls that QEMU's file driver uses and write
 * pointers that follow the writes, and refuses nothing by itself: what "error"
 * in that folder names ("OPERATION ERRNO") fails.  Zone 0 is conventional.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/blkzoned.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAJOR 4000
#define MINOR 1
#define SYSFS "/sys/dev/block/4000:1/queue/"
#define MAX_ZONES 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct blk_zone zones[MAX_ZONES];
static unsigned nr_zones;
static unsigned long long zone_sectors;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The first word of an attribute, or with @name that behind it; else -1 */
static long attribute(const char *file, const char *name)
{
    const char *dir = getenv("ZONED_HOST_DIR");
    char path[4096], text[64] = "";
    size_t len = name ? strlen(name) : 0;
    int fd;

    if (!dir) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    fd = REAL(open)(path, O_RDONLY);
    if (fd < 0) {
        return -1;
    }
    if (read(fd, text, sizeof(text) - 1) < 0) {
        text[0] = '\0';
    }
    close(fd);
    if (name && (strncmp(text, name, len) || text[len] != ' ')) {
        return -1;
    }
    return atol(text + len);
}

static bool fails(const char *operation)
{
    long error = attribute("error", operation);

    if (error > 0) {
        errno = error;
        return true;
    }
    return false;
}

static void set_up(void)
{
    if (nr_zones) {
        return;
    }
    zone_sectors = attribute("chunk_sectors", NULL);
    nr_zones = attribute("nr_zones", NULL);
    if (nr_zones > MAX_ZONES) {
        abort();
    }
    for (unsigned i = 0; i < nr_zones; i++) {
        zones[i] = (struct blk_zone) {
            .start = i * zone_sectors,
            .len = zone_sectors,
            .wp = i * zone_sectors,
            .type = i ? BLK_ZONE_TYPE_SEQWRITE_REQ
                      : BLK_ZONE_TYPE_CONVENTIONAL,
            .cond = i ? BLK_ZONE_COND_EMPTY : BLK_ZONE_COND_NOT_WP,
            .capacity = zone_sectors,
        };
    }
}

static bool is_file(const struct stat64 *st)
{
    const char *path = getenv("ZONED_HOST_FILE");
    struct stat64 file;

    return path && REAL(stat64)(path, &file) == 0 &&
           st->st_dev == file.st_dev && st->st_ino == file.st_ino;
}

static bool is_device(int fd)
{
    struct stat64 st;

    return REAL(fstat64)(fd, &st) == 0 && is_file(&st);
}

static int disguise(int ret, struct stat64 *st)
{
    if (ret == 0 && is_file(st)) {
        st->st_mode = (st->st_mode & ~S_IFMT) | S_IFBLK;
        st->st_rdev = makedev(MAJOR, MINOR);
    }
    return ret;
}

int fstat64(int fd, struct stat64 *st)
{
    return disguise(REAL(fstat64)(fd, st), st);
}

int stat64(const char *path, struct stat64 *st)
{
    return disguise(REAL(stat64)(path, st), st);
}

static int open_any(const char *path, int flags, mode_t mode)
{
    const char *file = getenv("ZONED_HOST_FILE");
    const char *dir = getenv("ZONED_HOST_DIR");
    char other[4096];

    if (dir && !strncmp(path, SYSFS, strlen(SYSFS))) {
        snprintf(other, sizeof(other), "%s/%s", dir, path + strlen(SYSFS));
        path = other;
    }
    if (file && !strcmp(path, file)) {
        /* The file system below may not have it. */
        flags &= ~O_DIRECT;
    }
    return REAL(open64)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;

    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return open_any(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;

    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return open_any(path, flags, mode);
}

static int report(struct blk_zone_report *rep)
{
    unsigned first = rep->sector / zone_sectors, n = 0;

    while (n < rep->nr_zones && first + n < nr_zones) {
        rep->zones[n] = zones[first + n];
        n++;
    }
    rep->nr_zones = n;
    rep->flags = BLK_ZONE_REP_CAPACITY;
    return 0;
}

static int manage(const char *operation, const struct blk_zone_range *range,
                  int cond)
{
    if (fails(operation)) {
        return -1;
    }
    for (unsigned i = 0; i < nr_zones; i++) {
        struct blk_zone *z = &zones[i];

        if (z->start < range->sector ||
            z->start >= range->sector + range->nr_sectors ||
            z->type == BLK_ZONE_TYPE_CONVENTIONAL) {
            continue;
        }
        z->cond = cond;
        if (cond == BLK_ZONE_COND_EMPTY) {
            z->wp = z->start;
        } else if (cond == BLK_ZONE_COND_FULL) {
            z->wp = z->start + z->len;
        }
    }
    return 0;
}

static int device_ioctl(int fd, unsigned long request, void *arg)
{
    long value;

    switch (request) {
    case BLKSSZGET:
    case BLKPBSZGET:
        *(int *)arg = 512;
        return 0;
    case BLKROGET:
        *(int *)arg = 0;
        return 0;
    case BLKSECTGET:
        value = attribute("max_sectors", NULL);
        if (value < 0) {
            errno = ENOTTY;
            return -1;
        }
        *(unsigned short *)arg = value;
        return 0;
    case BLKREPORTZONE:
        return report(arg);
    case BLKOPENZONE:
        return manage("open", arg, BLK_ZONE_COND_EXP_OPEN);
    case BLKCLOSEZONE:
        return manage("close", arg, BLK_ZONE_COND_CLOSED);
    case BLKFINISHZONE:
        return manage("finish", arg, BLK_ZONE_COND_FULL);
    case BLKRESETZONE:
        return manage("reset", arg, BLK_ZONE_COND_EMPTY);
    default:
        return REAL(ioctl)(fd, request, arg);
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *arg;
    int ret;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (!is_device(fd)) {
        return REAL(ioctl)(fd, request, arg);
    }
    pthread_mutex_lock(&lock);
    set_up();
    ret = device_ioctl(fd, request, arg);
    pthread_mutex_unlock(&lock);
    return ret;
}

static void written(off64_t offset, ssize_t bytes)
{
    unsigned long long end = (offset + bytes) / 512;
    struct blk_zone *z;

    set_up();
    z = &zones[offset / 512 / zone_sectors];
    if (z->type == BLK_ZONE_TYPE_CONVENTIONAL) {
        return;
    }
    z->wp = end;
    if (end == z->start + z->len) {
        z->cond = BLK_ZONE_COND_FULL;
    } else if (z->cond != BLK_ZONE_COND_EXP_OPEN) {
        z->cond = BLK_ZONE_COND_IMP_OPEN;
    }
}

ssize_t pwrite64(int fd, const void *buf, size_t bytes, off64_t offset)
{
    ssize_t ret;

    if (!is_device(fd)) {
        return REAL(pwrite64)(fd, buf, bytes, offset);
    }
    pthread_mutex_lock(&lock);
    ret = fails("write") ? -1 : REAL(pwrite64)(fd, buf, bytes, offset);
    if (ret > 0) {
        written(offset, ret);
    }
    pthread_mutex_unlock(&lock);
    return ret;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int iovcnt, off64_t offset)
{
    ssize_t ret;

    if (!is_device(fd)) {
        return REAL(pwritev64)(fd, iov, iovcnt, offset);
    }
    pthread_mutex_lock(&lock);
    ret = fails("write") ? -1 : REAL(pwritev64)(fd, iov, iovcnt, offset);
    if (ret > 0) {
        written(offset, ret);
    }
    pthread_mutex_unlock(&lock);
    return ret;
}
