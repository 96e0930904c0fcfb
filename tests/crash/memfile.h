/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image file in memory that remembers what reached it, and when
 *
 * A protocol driver of the test's own stands where file-posix stands.  The
 * blklogwrites filter was not enough for what is proven here: it logs an
 * operation when it completes (not when it may first hit the disk), it logs a
 * flush when that completes (while a flush covers only what completed before
 * it was submitted), it does not know truncation, and nothing in it can delay
 * or reorder completions.  Here the test decides which operation completes
 * next, so every interleaving comes from a seed.
 *
 * Knows nothing of qcow2 or of zones.
 */
#ifndef TESTS_CRASH_MEMFILE_H
#define TESTS_CRASH_MEMFILE_H

/* A sparse file of copy-on-write pages: cloning it is cheap. */
typedef struct MemImg MemImg;

MemImg *memimg_new(void);
MemImg *memimg_clone(const MemImg *from);
void memimg_free(MemImg *img);
int64_t memimg_size(const MemImg *img);
void memimg_resize(MemImg *img, int64_t size);
void memimg_read(const MemImg *img, int64_t offset, int64_t bytes, void *buf);
/* @buf NULL: zeros.  Grows the file as needed. */
void memimg_write(MemImg *img, int64_t offset, int64_t bytes, const void *buf);
void memimg_fill(MemImg *img, int64_t offset, int64_t bytes, uint8_t byte);

typedef enum FileOpKind {
    FOP_READ,
    FOP_WRITE,
    FOP_ZERO,
    FOP_DISCARD,
    FOP_TRUNCATE,
    FOP_FLUSH,
    FOP__MAX,
    /* Of faults alone */
    FOP_ANY = FOP__MAX,         /* all but reads */
    FOP_GROWTH,                 /* what makes the file longer, from then on */
} FileOpKind;

extern const char *const file_op_name[FOP_GROWTH + 1];

/* What discarded bytes turn into: nobody may count on them being zeros. */
#define MEMFILE_DISCARDED 0xdd

/* One operation on the file that may change it.  Reads are only counted. */
typedef struct LogEntry {
    FileOpKind kind;
    int64_t offset;
    int64_t bytes;
    uint8_t *data;              /* of a FOP_WRITE */
    bool fua;                   /* durable when it has completed (ret = 0) */
    int submit;                 /* time; see memfile_tick() */
    int done;                   /* time of completion, INT_MAX before it */
    int ret;
} LogEntry;

/*
 * There is one slot a node: "memfile:0" names slot 0.  A slot holds the image
 * and the switches.
 */
#define MEMFILE_SLOTS 4

typedef struct MemSlot {
    MemImg *img;
    bool logging;
    /*
     * The file knows FUA.  To be set before it is opened; else QEMU makes a
     * write with FUA out of a write and a flush.
     */
    bool fua;
    /* Write-like operations and flushes wait until memfile_complete(). */
    bool delay;
    /* Reads do so too with this chance in 256. */
    unsigned delay_reads;
    uint64_t count[FOP__MAX + 1];
    /*
     * Fail operation fail_nth + i (from 1) of fail_kind with -fail_errno, for
     * each bit i of fail_mask.  FOP_GROWTH: from operation fail_nth on, which
     * ever it is, all fail that would make the file longer.
     */
    FileOpKind fail_kind;
    uint64_t fail_nth;
    uint64_t fail_mask;
    int fail_errno;
    uint64_t failed;            /* completed so */
    int first_failure;          /* time at which it was submitted */
} MemSlot;

extern MemSlot memslot[MEMFILE_SLOTS];

/* The log of the slot that has logging on; LogEntry by value. */
extern GArray *memlog;
/* One clock for file operations and for the requests above them. */
extern int memclock;
static inline int memfile_tick(void)
{
    return ++memclock;
}

void memfile_register(void);
/* Drop the image, the log, the switches and the counts of all slots. */
void memfile_reset(void);
void memlog_clear(void);

/* Operations that wait; oldest first. */
unsigned memfile_pending(void);
FileOpKind memfile_pending_kind(unsigned i);
void memfile_complete(unsigned i);

/* Redo @e on @img, or the sectors of it whose bit is set in @mask. */
void logentry_apply(const LogEntry *e, MemImg *img);
void logentry_apply_torn(const LogEntry *e, MemImg *img, uint64_t seed);

#endif
