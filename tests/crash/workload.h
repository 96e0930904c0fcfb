/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workloads: a kind of image, a list of operations, a seed for their timing
 */
#ifndef TESTS_CRASH_WORKLOAD_H
#define TESTS_CRASH_WORKLOAD_H

#include "system/block-backend.h"
#include "memfile.h"
#include "oracle.h"
#include "rnd.h"

/* What image, and how it is opened.  Sizes in bytes. */
typedef struct Config {
    uint32_t cluster;
    uint32_t zsize;
    uint32_t zcap;
    uint32_t size;
    uint32_t conv;
    uint32_t act;
    uint32_t open;
    uint32_t extl2;
    uint32_t luks;
    uint32_t unmap;             /* discard=unmap */
    uint32_t wt;                /* writethrough */
    uint32_t pass;              /* times the zones were filled and reset */
    uint32_t depth;             /* requests in flight; 0: one by one */
    uint32_t plain;             /* no zones: one conventional zone */
    uint32_t ext;               /* mapped ahead at once; 0: as by default */
    uint32_t fua;               /* the file knows FUA */
    uint32_t grow;              /* its size before it becomes longer; 0: size */
    uint32_t snap;              /* with snapshots */
    uint32_t base;              /* an overlay, of an image with data */
} Config;

/*
 * One operation: a letter, a zone, a place in it and a length (sectors; for a
 * range of zones, zones).
 *
 *   w W  write; with FUA           a A  append; with FUA
 *   z Z  write zeroes; and unmap   d    discard
 *   f    flush                     l    read
 *   o c  open, close               F r  finish, reset
 *   P Q  finish, reset a range     X    reset all
 *   C    close all (virtio's)      b    wait until nothing is in flight
 *   G H  grow to the size of the config, shrink to that before it
 *   S    take the snapshot           Y D  apply, delete it
 *
 * The place counts in conventional zones and for reads; elsewhere a write
 * goes where the write pointer is expected to be.
 */
typedef struct GenOp {
    char c;
    unsigned zone;
    unsigned at;
    unsigned n;
} GenOp;

typedef struct Workload {
    Config cfg;
    uint64_t seed;
    GArray *ops;                /* GenOp */
    /* Injected fault; fail_errno 0: none */
    FileOpKind fail_kind;
    unsigned fail_nth;
    uint64_t fail_mask;         /* see MemSlot */
    int fail_errno;
} Workload;

void config_defaults(Config *c);
/* Zones of several extents, of several clusters each */
void config_extents(Config *c);
unsigned config_nr_zones(const Config *c);
OracleZone *config_zones(const Config *c);
/*
 * A kind of image for workload @i; @axes (of axis_name) get what is varied.
 * Any config_kinds() workloads in a row have each axis alone, and each pair.
 */
unsigned config_kinds(void);
void config_pick(Config *c, uint64_t seed, unsigned i, unsigned axes[2]);
extern const char *const axis_name[];
extern const unsigned nr_axes;

Workload *workload_generate(const Config *cfg, uint64_t seed, unsigned nr);
/*
 * Several writes in flight in one zone, time and again, at times with an
 * operation or a flush behind them
 */
Workload *workload_bursts(const Config *cfg, uint64_t seed, unsigned nr);
/* Every operation there is, one by one, with at least 150 file operations. */
Workload *workload_everything(const Config *cfg, uint64_t seed);
void workload_free(Workload *w);
Workload *workload_copy(const Workload *w);
char *workload_format(const Workload *w);
Workload *workload_parse(const char *text, char **why);

/* An operation on the image's only snapshot, alone in flight */
typedef struct SnapEvent {
    char c;
    unsigned op;                /* its place in Run.ops */
    bool there;                 /* the snapshot, after it */
    bool gone;                  /* the disk, which answers nothing any more */
} SnapEvent;

/* What a run of a workload left to be judged. */
typedef struct Run {
    OracleZone *zones;
    unsigned nr_zones;
    GArray *ops;                /* OracleOp */
    GArray *snaps;              /* SnapEvent */
    uint64_t *final;            /* write pointers before the close */
    MemImg *base;               /* the file before the first operation */
    int begin;                  /* time before the first operation */
    int end;                    /* time after the last operation's answer */
    int closed;                 /* time after the close */
    bool close_failed;
    int grows;                  /* when it was asked to become longer */
    int grown;                  /* when that was answered; or ORACLE_NEVER */
    int shrinks;                /* the same for shorter; or ORACLE_NEVER */
    int shrunk;
    uint64_t file_ops[FOP__MAX + 1];
} Run;

/*
 * Run @w in slot 0; the log is in memlog.  NULL, and why, where an operation
 * never completes or fails for no reason.
 */
Run *workload_run(const Workload *w, char **why);
void run_free(Run *r);

/* Open the image in @slot as @cfg has it. */
BlockBackend *image_open(const Config *cfg, unsigned slot, bool writable,
                         Error **errp);
/* Make a new image for @cfg in @slot. */
bool image_create(const Config *cfg, unsigned slot, Error **errp);
/* The name of the snapshot */
#define SNAPSHOT_NAME   "snap"

#endif
