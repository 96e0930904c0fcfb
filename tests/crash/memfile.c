/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image file in memory that remembers what reached it, and when
 *
 * See memfile.h.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "qemu/option.h"
#include "block/block-io.h"
#include "block/block_int.h"
#include "memfile.h"
#include "rnd.h"

#define PAGE 4096
#define MEMFILE_PREFIX "memfile:"

typedef struct Page {
    unsigned ref;
    uint8_t b[PAGE];
} Page;

struct MemImg {
    GPtrArray *pages;           /* NULL: a page of zeros */
    int64_t size;
};

const char *const file_op_name[FOP_GROWTH + 1] = {
    "read", "write", "write-zeroes", "discard", "truncate", "flush", "any",
    "growth",
};

MemSlot memslot[MEMFILE_SLOTS];
GArray *memlog;
int memclock;

static void page_unref(Page *p)
{
    if (p && --p->ref == 0) {
        g_free(p);
    }
}

MemImg *memimg_new(void)
{
    MemImg *img = g_new0(MemImg, 1);

    img->pages = g_ptr_array_new();
    return img;
}

MemImg *memimg_clone(const MemImg *from)
{
    MemImg *img = memimg_new();

    g_ptr_array_set_size(img->pages, from->pages->len);
    for (unsigned i = 0; i < from->pages->len; i++) {
        Page *p = from->pages->pdata[i];

        if (p) {
            p->ref++;
        }
        img->pages->pdata[i] = p;
    }
    img->size = from->size;
    return img;
}

void memimg_free(MemImg *img)
{
    if (!img) {
        return;
    }
    for (unsigned i = 0; i < img->pages->len; i++) {
        page_unref(img->pages->pdata[i]);
    }
    g_ptr_array_free(img->pages, true);
    g_free(img);
}

int64_t memimg_size(const MemImg *img)
{
    return img->size;
}

void memimg_resize(MemImg *img, int64_t size)
{
    unsigned n = DIV_ROUND_UP(size, PAGE);

    if (size < img->size) {
        memimg_write(img, size, MIN(ROUND_UP(size, PAGE), img->size) - size,
                     NULL);
    }
    for (unsigned i = n; i < img->pages->len; i++) {
        page_unref(img->pages->pdata[i]);
    }
    g_ptr_array_set_size(img->pages, n);
    img->size = size;
}

void memimg_read(const MemImg *img, int64_t offset, int64_t bytes, void *buf)
{
    uint8_t *to = buf;

    while (bytes > 0) {
        unsigned in = offset % PAGE;
        int64_t n = MIN(bytes, PAGE - in);
        size_t i = offset / PAGE;
        Page *p = i < img->pages->len ? img->pages->pdata[i] : NULL;

        if (p) {
            memcpy(to, p->b + in, n);
        } else {
            memset(to, 0, n);
        }
        to += n;
        offset += n;
        bytes -= n;
    }
}

/* The page at @i, to be written to; @whole: all of it will be. */
static Page *page_own(MemImg *img, size_t i, bool whole)
{
    Page *p = img->pages->pdata[i];
    Page *own;

    if (p && p->ref == 1) {
        return p;
    }
    own = whole ? g_new(Page, 1) : g_new0(Page, 1);
    own->ref = 1;
    if (p) {
        if (!whole) {
            memcpy(own->b, p->b, PAGE);
        }
        page_unref(p);
    }
    img->pages->pdata[i] = own;
    return own;
}

static void memimg_put(MemImg *img, int64_t offset, int64_t bytes,
                       const void *buf, uint8_t fill)
{
    const uint8_t *from = buf;

    if (offset + bytes > img->size) {
        memimg_resize(img, offset + bytes);
    }
    while (bytes > 0) {
        unsigned in = offset % PAGE;
        int64_t n = MIN(bytes, PAGE - in);
        size_t i = offset / PAGE;

        if (!from && !fill) {
            if (n == PAGE) {
                page_unref(img->pages->pdata[i]);
                img->pages->pdata[i] = NULL;
            } else if (img->pages->pdata[i]) {
                memset(page_own(img, i, false)->b + in, 0, n);
            }
        } else if (from) {
            memcpy(page_own(img, i, n == PAGE)->b + in, from, n);
            from += n;
        } else {
            memset(page_own(img, i, n == PAGE)->b + in, fill, n);
        }
        offset += n;
        bytes -= n;
    }
}

void memimg_write(MemImg *img, int64_t offset, int64_t bytes, const void *buf)
{
    memimg_put(img, offset, bytes, buf, 0);
}

void memimg_fill(MemImg *img, int64_t offset, int64_t bytes, uint8_t byte)
{
    memimg_put(img, offset, bytes, NULL, byte);
}

void logentry_apply(const LogEntry *e, MemImg *img)
{
    int64_t end;

    switch (e->kind) {
    case FOP_WRITE:
        memimg_write(img, e->offset, e->bytes, e->data);
        break;
    case FOP_ZERO:
        memimg_write(img, e->offset, e->bytes, NULL);
        break;
    case FOP_DISCARD:
        /* Discards do not grow a file. */
        end = MIN(e->offset + e->bytes, memimg_size(img));
        if (end > e->offset) {
            memimg_fill(img, e->offset, end - e->offset, MEMFILE_DISCARDED);
        }
        break;
    case FOP_TRUNCATE:
        memimg_resize(img, e->offset);
        break;
    default:
        break;
    }
}

void logentry_apply_torn(const LogEntry *e, MemImg *img, uint64_t seed)
{
    Rnd r = { seed };
    int64_t cut = e->offset;
    unsigned how = rnd(&r, 3);
    int64_t sectors = DIV_ROUND_UP(e->bytes, 512);
    int64_t k = 1 + rnd(&r, MAX(sectors - 1, 1));

    /* A front part, a back part, or any mix of sectors reached the disk. */
    for (int64_t i = 0; cut < e->offset + e->bytes; i++) {
        int64_t next = MIN(ROUND_DOWN(cut, 512) + 512, e->offset + e->bytes);

        if (how == 0 ? i < k : how == 1 ? i >= k : rnd(&r, 2)) {
            memimg_write(img, cut, next - cut,
                         e->data ? e->data + (cut - e->offset) : NULL);
        }
        cut = next;
    }
}

/* Operations that wait for the test */

typedef struct Pending {
    Coroutine *co;
    FileOpKind kind;
} Pending;

static GArray *pending;

unsigned memfile_pending(void)
{
    return pending ? pending->len : 0;
}

FileOpKind memfile_pending_kind(unsigned i)
{
    return g_array_index(pending, Pending, i).kind;
}

void memfile_complete(unsigned i)
{
    Coroutine *co = g_array_index(pending, Pending, i).co;

    g_array_remove_index(pending, i);
    qemu_coroutine_enter(co);
}

static void coroutine_fn memfile_wait(FileOpKind kind)
{
    Pending p = { .co = qemu_coroutine_self(), .kind = kind };

    if (!pending) {
        pending = g_array_new(false, false, sizeof(Pending));
    }
    g_array_append_val(pending, p);
    qemu_coroutine_yield();
}

void memlog_clear(void)
{
    if (!memlog) {
        memlog = g_array_new(false, true, sizeof(LogEntry));
    }
    for (unsigned i = 0; i < memlog->len; i++) {
        g_free(g_array_index(memlog, LogEntry, i).data);
    }
    g_array_set_size(memlog, 0);
}

void memfile_reset(void)
{
    for (unsigned i = 0; i < MEMFILE_SLOTS; i++) {
        memimg_free(memslot[i].img);
        memset(&memslot[i], 0, sizeof(memslot[i]));
    }
    memlog_clear();
    memclock = 0;
}

/* The driver */

typedef struct BDRVMemfile {
    MemSlot *slot;
} BDRVMemfile;

static MemSlot *bs_slot(BlockDriverState *bs)
{
    BDRVMemfile *s = bs->opaque;

    return s->slot;
}

static int slot_number(const char *filename)
{
    const char *num;
    unsigned n;

    if (!strstart(filename, MEMFILE_PREFIX, &num) ||
        qemu_strtoui(num, NULL, 10, &n) < 0 || n >= MEMFILE_SLOTS) {
        return -1;
    }
    return n;
}

static void memfile_parse_filename(const char *filename, QDict *options,
                                   Error **errp)
{
    int n = slot_number(filename);

    if (n < 0) {
        error_setg(errp, "File name must be '" MEMFILE_PREFIX "' and a slot "
                   "below %d", MEMFILE_SLOTS);
        return;
    }
    qdict_put_int(options, "slot", n);
}

static int memfile_open(BlockDriverState *bs, QDict *options, int flags,
                        Error **errp)
{
    BDRVMemfile *s = bs->opaque;
    int64_t n;

    if (qdict_haskey(options, "slot") &&
        qdict_get_try_str(options, "slot")) {
        n = g_ascii_strtoull(qdict_get_str(options, "slot"), NULL, 10);
    } else {
        n = qdict_get_try_int(options, "slot", -1);
    }
    qdict_del(options, "slot");
    if (n < 0 || n >= MEMFILE_SLOTS || !memslot[n].img) {
        error_setg(errp, "No image in slot %" PRId64, n);
        return -ENOENT;
    }
    s->slot = &memslot[n];
    bs->supported_zero_flags = BDRV_REQ_MAY_UNMAP | BDRV_REQ_NO_FALLBACK;
    if (s->slot->fua) {
        bs->supported_write_flags |= BDRV_REQ_FUA;
        bs->supported_zero_flags |= BDRV_REQ_FUA;
    }
    bs->supported_truncate_flags = BDRV_REQ_ZERO_WRITE;
    return 0;
}

static int coroutine_fn memfile_co_create_opts(BlockDriver *drv,
                                               const char *filename,
                                               QemuOpts *opts, Error **errp)
{
    int n = slot_number(filename);

    if (n < 0) {
        error_setg(errp, "Bad file name '%s'", filename);
        return -EINVAL;
    }
    memimg_free(memslot[n].img);
    memslot[n].img = memimg_new();
    return 0;
}

/* Count an operation, which ends at @end.  Is it one that is to fail? */
static bool to_fail(MemSlot *slot, FileOpKind kind, int64_t end)
{
    uint64_t nth = ++slot->count[kind];
    uint64_t past;

    if (kind != FOP_READ) {
        slot->count[FOP_ANY]++;
        if (slot->fail_kind >= FOP_ANY) {
            nth = slot->count[FOP_ANY];
        }
    } else if (slot->fail_kind >= FOP_ANY) {
        return false;
    }
    if (!slot->fail_errno || nth < slot->fail_nth ||
        (slot->fail_kind != kind && slot->fail_kind < FOP_ANY)) {
        return false;
    }
    past = nth - slot->fail_nth;
    if (slot->fail_kind == FOP_GROWTH) {
        if (end <= memimg_size(slot->img) || kind == FOP_DISCARD) {
            return false;
        }
    } else if (past >= 64 || !(slot->fail_mask >> past & 1)) {
        return false;
    }
    if (!slot->first_failure) {
        slot->first_failure = memclock;
    }
    return true;
}

/*
 * One operation from its submission to its completion.  @e tells what; its
 * data, if any, is taken over by the log.
 */
static int coroutine_fn memfile_co_op(MemSlot *slot, LogEntry *e)
{
    unsigned idx = 0;

    if (to_fail(slot, e->kind, e->offset + e->bytes)) {
        e->ret = -slot->fail_errno;
        /* A failed write may leave a part of itself; a full disk does not. */
        if (slot->fail_errno == ENOSPC) {
            e->bytes = 0;
        } else if (e->kind == FOP_WRITE || e->kind == FOP_ZERO) {
            e->bytes = ROUND_DOWN(e->bytes / 2, 512);
        }
    }
    e->submit = memfile_tick();
    e->done = INT_MAX;
    if (slot->logging) {
        idx = memlog->len;
        g_array_append_val(memlog, *e);
    }
    if (slot->delay) {
        memfile_wait(e->kind);
    }
    if (e->ret == 0 || e->kind == FOP_WRITE || e->kind == FOP_ZERO) {
        logentry_apply(e, slot->img);
    }
    slot->failed += e->ret < 0;
    e->done = memfile_tick();
    if (slot->logging) {
        g_array_index(memlog, LogEntry, idx).done = e->done;
        g_array_index(memlog, LogEntry, idx).ret = e->ret;
    } else {
        g_free(e->data);
    }
    return e->ret;
}

static int coroutine_fn memfile_co_preadv(BlockDriverState *bs, int64_t offset,
                                          int64_t bytes, QEMUIOVector *qiov,
                                          BdrvRequestFlags flags)
{
    MemSlot *slot = bs_slot(bs);
    bool fail = to_fail(slot, FOP_READ, 0);
    uint64_t nth = slot->count[FOP_READ];
    g_autofree uint8_t *buf = NULL;

    if (slot->delay && (nth * 167) % 256 < slot->delay_reads) {
        memfile_wait(FOP_READ);
    }
    if (fail) {
        slot->failed++;
        return -slot->fail_errno;
    }
    if (qiov->niov == 1) {
        memimg_read(slot->img, offset, bytes, qiov->iov[0].iov_base);
        return 0;
    }
    buf = g_malloc(bytes);
    memimg_read(slot->img, offset, bytes, buf);
    qemu_iovec_from_buf(qiov, 0, buf, bytes);
    return 0;
}

static int coroutine_fn memfile_co_pwritev(BlockDriverState *bs,
                                           int64_t offset, int64_t bytes,
                                           QEMUIOVector *qiov,
                                           BdrvRequestFlags flags)
{
    LogEntry e = {
        .kind = FOP_WRITE, .offset = offset, .bytes = bytes,
        .data = g_malloc(bytes), .fua = flags & BDRV_REQ_FUA,
    };

    qemu_iovec_to_buf(qiov, 0, e.data, bytes);
    return memfile_co_op(bs_slot(bs), &e);
}

static int coroutine_fn memfile_co_pwrite_zeroes(BlockDriverState *bs,
                                                 int64_t offset, int64_t bytes,
                                                 BdrvRequestFlags flags)
{
    LogEntry e = {
        .kind = FOP_ZERO, .offset = offset, .bytes = bytes,
        .fua = flags & BDRV_REQ_FUA,
    };

    return memfile_co_op(bs_slot(bs), &e);
}

static int coroutine_fn memfile_co_pdiscard(BlockDriverState *bs,
                                            int64_t offset, int64_t bytes)
{
    LogEntry e = { .kind = FOP_DISCARD, .offset = offset, .bytes = bytes };

    return memfile_co_op(bs_slot(bs), &e);
}

static int coroutine_fn memfile_co_truncate(BlockDriverState *bs,
                                            int64_t offset, bool exact,
                                            PreallocMode prealloc,
                                            BdrvRequestFlags flags,
                                            Error **errp)
{
    LogEntry e = { .kind = FOP_TRUNCATE, .offset = offset };
    int ret;

    if (prealloc != PREALLOC_MODE_OFF) {
        error_setg(errp, "Preallocation is not supported");
        return -ENOTSUP;
    }
    ret = memfile_co_op(bs_slot(bs), &e);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not resize");
    }
    return ret;
}

static int coroutine_fn memfile_co_flush(BlockDriverState *bs)
{
    LogEntry e = { .kind = FOP_FLUSH };

    return memfile_co_op(bs_slot(bs), &e);
}

static int64_t coroutine_fn memfile_co_getlength(BlockDriverState *bs)
{
    return memimg_size(bs_slot(bs)->img);
}

static int memfile_has_zero_init(BlockDriverState *bs)
{
    return 1;
}

static QemuOptsList memfile_create_opts = {
    .name = "memfile-create-opts",
    .head = QTAILQ_HEAD_INITIALIZER(memfile_create_opts.head),
    .desc = {
        {
            .name = BLOCK_OPT_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "Virtual disk size",
        },
        { /* end of list */ }
    },
};

static BlockDriver bdrv_memfile = {
    .format_name            = "memfile",
    .protocol_name          = "memfile",
    .instance_size          = sizeof(BDRVMemfile),
    .create_opts            = &memfile_create_opts,
    .bdrv_parse_filename    = memfile_parse_filename,
    .bdrv_open              = memfile_open,
    .bdrv_co_create_opts    = memfile_co_create_opts,
    .bdrv_has_zero_init     = memfile_has_zero_init,
    .bdrv_co_preadv         = memfile_co_preadv,
    .bdrv_co_pwritev        = memfile_co_pwritev,
    .bdrv_co_pwrite_zeroes  = memfile_co_pwrite_zeroes,
    .bdrv_co_pdiscard       = memfile_co_pdiscard,
    .bdrv_co_truncate       = memfile_co_truncate,
    .bdrv_co_flush_to_disk  = memfile_co_flush,
    .bdrv_co_getlength      = memfile_co_getlength,
};

void memfile_register(void)
{
    bdrv_register(&bdrv_memfile);
}
