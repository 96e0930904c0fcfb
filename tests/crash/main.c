/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a power loss leaves of a zoned qcow2 image: explored and judged
 *
 * The real driver runs seeded workloads on a file in memory that notes what
 * reached it (memfile.h); states.h builds the files that a crash may leave;
 * oracle.h judges them.  Workloads run in child processes, so that one which
 * gets stuck or aborts is a failure like any other; a failing one is reduced,
 * and printed with the command that runs it again.
 */

#include "qemu/osdep.h"
#include <getopt.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qom/object.h"
#include "block/block-global-state.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "planted.h"
#include "states.h"

#define MAX_AXES 20
/* A child that has worked on one workload for so long hangs, and is ended */
#define HANG_SECONDS 180

typedef struct Options {
    uint64_t seed;
    unsigned workloads;
    unsigned states;
    unsigned ops;
    unsigned jobs;
    unsigned bursts;
    bool reduce;
    Limits lim;
    bool longer;                /* faults that last for some operations, too */
    const char *program;
} Options;

static Options opt = {
    .seed = 1,
    .workloads = 260,
    .states = 20000,
    .ops = 14,
    .jobs = 2,
    .bursts = 1000,
    .reduce = true,
    .lim = { .exhaustive = 8, .sample = 24 },
};

/* What a child tells its parent */
typedef struct Report {
    unsigned item;
    gint64 began;               /* when work on it began, microseconds */
    bool hung;
    bool failed;
    char text[8192];
    char workload[8192];
    Tally tally;
    uint64_t axis_workloads[MAX_AXES];
    uint64_t axis_states[MAX_AXES];
    uint64_t hits;
} Report;

static void start_qemu(void)
{
    static bool started;
    Error *err = NULL;

    if (started) {
        return;
    }
    started = true;
    module_call_init(MODULE_INIT_QOM);
    qcrypto_init(&error_abort);
    qemu_init_main_loop(&error_abort);
    bdrv_init();
    memfile_register();
    object_new_with_props(TYPE_QCRYPTO_SECRET, object_get_objects_root(),
                          "sec0", &err, "data", "zoned", NULL);
    if (err) {
        error_report_err(err);
        exit(2);
    }
}

/* Children */

typedef struct Batch Batch;
typedef bool BatchItem(Batch *batch, unsigned item, Report *r);

struct Batch {
    BatchItem *run;
    unsigned nr;
    void *opaque;
    /* Result */
    Report sum;
    unsigned failures;
    Report first;               /* the first failure */
};

static Report *reports;

static void report_begin(Report *r, unsigned item)
{
    r->began = g_get_monotonic_time();
    r->item = item;
}

static pid_t start_child(Batch *batch, unsigned slot, unsigned item,
                         unsigned step)
{
    Report *r = &reports[slot];
    pid_t pid;

    report_begin(r, item);
    r->hung = false;
    r->failed = false;
    r->text[0] = 0;
    r->workload[0] = 0;
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        perror("fork");         /* the children end with their parent */
        exit(2);
    }
    if (pid) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    start_qemu();
    for (; item < batch->nr; item += step) {
        report_begin(r, item);
        if (!batch->run(batch, item, r)) {
            r->failed = true;
            _exit(1);
        }
    }
    _exit(0);
}

static void add_tally(Tally *to, const Tally *from)
{
    for (size_t i = 0; i < sizeof(Tally) / sizeof(uint64_t); i++) {
        ((uint64_t *)to)[i] += ((const uint64_t *)from)[i];
    }
}

static void child_ended(Batch *batch, Report *r, int status)
{
    if (!r->failed) {
        g_autofree char *how = r->hung ?
            g_strdup_printf("the program hung for %d s", HANG_SECONDS) :
            WIFSIGNALED(status) ?
            g_strdup_printf("the program died of signal %d",
                            WTERMSIG(status)) :
            g_strdup_printf("the program ended with status %d",
                            WEXITSTATUS(status));

        g_strlcpy(r->text, how, sizeof(r->text));
    }
    if (!batch->failures++ || r->item < batch->first.item) {
        batch->first = *r;
    }
}

static void kill_children(const pid_t *pid, unsigned jobs)
{
    for (unsigned i = 0; i < jobs; i++) {
        if (pid[i]) {
            kill(pid[i], SIGKILL);
        }
    }
}

/*
 * Wait for a child that ends, and end those that hang.  This is the parent's
 * work: a child may hang before it comes to anything of its own.
 */
static pid_t wait_for_child(const pid_t *pid, unsigned jobs, int *status)
{
    struct timespec second = { .tv_sec = 1 };
    sigset_t chld;
    pid_t who;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    while (!(who = waitpid(-1, status, WNOHANG))) {
        gint64 limit = g_get_monotonic_time() -
                       HANG_SECONDS * G_USEC_PER_SEC;

        for (unsigned i = 0; i < jobs; i++) {
            if (pid[i] && reports[i].began < limit) {
                reports[i].hung = true;
                kill(pid[i], SIGKILL);
            }
        }
        sigtimedwait(&chld, NULL, &second);
    }
    return who;
}

/*
 * Run all items, in @jobs processes; stop early after some failures, or one
 * that hung.
 */
static bool run_batch(Batch *batch, unsigned jobs, unsigned max_failures)
{
    g_autofree pid_t *pid = g_new0(pid_t, jobs);
    unsigned running = 0;

    if (!reports) {
        reports = mmap(NULL, 64 * sizeof(Report), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        /*
         * The thread of RCU may still be starting up, in locks of the address
         * sanitizer that a child would inherit, and wait for for ever.  Once
         * it has called back it is idle.
         */
        drain_call_rcu();
    }
    memset(reports, 0, jobs * sizeof(Report));
    for (unsigned i = 0; i < jobs; i++) {
        pid[i] = i < batch->nr ? start_child(batch, i, i, jobs) : 0;
        running += pid[i] > 0;
    }
    while (running) {
        int status;
        pid_t who = wait_for_child(pid, jobs, &status);

        if (who < 0) {
            perror("waitpid");
            exit(2);
        }
        for (unsigned i = 0; i < jobs; i++) {
            if (pid[i] != who) {
                continue;
            }
            running--;
            pid[i] = 0;
            if (status) {
                unsigned next = reports[i].item + jobs;

                if (batch->failures >= max_failures) {
                    continue;           /* killed below */
                }
                child_ended(batch, &reports[i], status);
                if (reports[i].hung) {
                    max_failures = batch->failures;
                }
                if (batch->failures >= max_failures) {
                    kill_children(pid, jobs);
                } else if (next < batch->nr) {
                    pid[i] = start_child(batch, i, next, jobs);
                    running++;
                }
            }
        }
    }
    for (unsigned i = 0; i < jobs; i++) {
        add_tally(&batch->sum.tally, &reports[i].tally);
        batch->sum.hits += reports[i].hits;
        for (unsigned k = 0; k < MAX_AXES; k++) {
            batch->sum.axis_workloads[k] += reports[i].axis_workloads[k];
            batch->sum.axis_states[k] += reports[i].axis_states[k];
        }
    }
    return batch->failures == 0;
}

static bool judge_item(const Workload *w, const Limits *lim, Report *r)
{
    g_autofree char *line = workload_format(w);
    char *why = NULL;
    bool ok;

    g_strlcpy(r->workload, line, sizeof(r->workload));
    ok = judge_workload(w, lim, &r->tally, &why);
    if (!ok) {
        g_strlcpy(r->text, why, sizeof(r->text));
    }
    r->hits += planted_hits;
    planted_hits = 0;
    return ok;
}

/* Reducing a failure */

static bool one_workload(Batch *batch, unsigned item, Report *r)
{
    return judge_item(batch->opaque, &opt.lim, r);
}

static bool still_fails(Workload *w, Report *r)
{
    Batch batch = { .run = one_workload, .nr = 1, .opaque = w };

    if (run_batch(&batch, 1, 1)) {
        return false;
    }
    *r = batch.first;
    return true;
}

/* Leave out what can be left out; a few other timings are tried each time. */
static void reduce(const char *text)
{
    char *why = NULL;
    Workload *w = workload_parse(text, &why);
    Report *r = g_new0(Report, 1);
    unsigned tries = 0;

    if (!w || !still_fails(w, r)) {
        printf("# it does not fail again when run alone\n");
        g_free(r);
        return;
    }
    for (unsigned step = MAX(w->ops->len / 2, 1); step; step /= 2) {
        for (unsigned i = 0; i < w->ops->len && tries < 400;) {
            Workload *less = workload_copy(w);
            bool fails = false;

            g_array_remove_range(less->ops, i,
                                 MIN(step, less->ops->len - i));
            for (unsigned k = 0; k < 3 && !fails; k++, tries++) {
                less->seed = w->seed + k;
                fails = less->ops->len && still_fails(less, r);
            }
            if (fails) {
                workload_free(w);
                w = less;
            } else {
                workload_free(less);
                i += step;
            }
        }
    }
    if (still_fails(w, r)) {
        g_autofree char *line = workload_format(w);

        printf("# shortest found, %u operations: %s\n", w->ops->len, r->text);
        printf("# run it again: %s --replay '%s'\n", opt.program, line);
    }
    workload_free(w);
    g_free(r);
}

static void print_commented(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", 0);

    for (char **l = lines; *l; l++) {
        printf("#   %s\n", *l);
    }
}

static void print_failure(Batch *batch)
{
    printf("# %u failing; item %u:\n", batch->failures, batch->first.item);
    print_commented(batch->first.text);
    printf("# workload: %s --replay '%s'\n", opt.program,
           batch->first.workload);
    fflush(stdout);
    if (opt.reduce && !batch->first.hung) {
        reduce(batch->first.workload);
    }
}

static void print_tally(const Tally *t)
{
    printf("# %" PRIu64 " workloads, %" PRIu64 " requests (%" PRIu64
           " refused or failed), %" PRIu64 " file operations\n",
           t->workloads, t->requests, t->failed_requests, t->file_ops);
    printf("# %" PRIu64 " crash states: %" PRIu64 " at a flush, %" PRIu64
           " prefixes, %" PRIu64 " subsets (%" PRIu64 " of %" PRIu64
           " epochs exhausted), %" PRIu64 " torn\n", t->states, t->at_flush,
           t->prefix, t->subset, t->exhausted, t->epochs, t->torn);
    printf("# %" PRIu64 " states had leaked clusters, repaired in %" PRIu64
           " tried; %" PRIu64 " writes made after a crash\n", t->leaks,
           t->leaks_repaired, t->writes_after);
}

/* Random workloads */

static bool random_workload(Batch *batch, unsigned item, Report *r)
{
    Config c;
    unsigned axes[2];
    uint64_t before = r->tally.states;
    Workload *w;
    bool ok;

    config_pick(&c, opt.seed, item, axes);
    w = workload_generate(&c, opt.seed * 1000003 + item, opt.ops);
    ok = judge_item(w, &opt.lim, r);
    workload_free(w);
    for (unsigned k = 0; k < (axes[1] ? 2 : 1); k++) {
        r->axis_workloads[axes[k]]++;
        r->axis_states[axes[k]] += r->tally.states - before;
    }
    return ok;
}

static bool random_mode(void)
{
    Batch batch = { .run = random_workload, .nr = opt.workloads };
    gint64 t0 = g_get_monotonic_time();
    double secs;
    bool ok;

    printf("# seed %" PRIu64 ", %u workloads of %u operations, up to %u "
           "states each\n", opt.seed, opt.workloads, opt.ops,
           opt.lim.per_workload);
    ok = run_batch(&batch, opt.jobs, 5);
    secs = (g_get_monotonic_time() - t0) / 1e6;
    print_tally(&batch.sum.tally);
    for (unsigned k = 0; k < nr_axes; k++) {
        printf("# %-16s %6" PRIu64 " workloads %8" PRIu64 " states\n",
               axis_name[k], batch.sum.axis_workloads[k],
               batch.sum.axis_states[k]);
    }
    printf("# %u of the %u kinds of image: each axis alone, and each pair\n",
           MIN(opt.workloads, config_kinds()), config_kinds());
    printf("# %.0f states a second\n",
           batch.sum.tally.states / MAX(secs, 0.01));
    if (!ok) {
        print_failure(&batch);
    }
    printf("%s - every crash state of seeded workloads is a legal one\n",
           ok ? "ok" : "not ok");
    if (ok) {
        ok = batch.sum.tally.states >= opt.states;
        printf("%s - %" PRIu64 " crash states were judged, at least %u\n",
               ok ? "ok" : "not ok", batch.sum.tally.states, opt.states);
    }
    return ok;
}

/* All short sequences over two zones */

static const char short_ops[] = "wWazoFrcl";

static bool short_sequence(Batch *batch, unsigned item, Report *r)
{
    /* Each letter in two zones, then what has no zone */
    unsigned letters = 2 * (sizeof(short_ops) - 1);
    unsigned kinds = letters + 2;
    Config c;
    Workload *w;
    bool ok;

    config_defaults(&c);
    c.size = 2 * c.zsize;
    c.depth = 3;
    c.fua = item % 2;
    w = workload_generate(&c, opt.seed + item, 0);
    /* Any part of them is to have all operations in each place. */
    item = (uint64_t)item * 7919 % (kinds * kinds * kinds);
    for (unsigned k = 0; k < 3; k++) {
        unsigned x = item % kinds;
        GenOp op = { 'f', 0, 0, 0 };

        item /= kinds;
        if (x < letters) {
            op.c = short_ops[x / 2];
            op.zone = x % 2;
            op.n = strchr("wWazl", op.c) ? 3 + 7 * k : 0;
        } else if (x == letters) {
            op.c = 'X';
        }
        g_array_append_val(w->ops, op);
    }
    ok = judge_item(w, &opt.lim, r);
    workload_free(w);
    return ok;
}

static bool sequences_mode(unsigned nr)
{
    unsigned kinds = 2 * (sizeof(short_ops) - 1) + 2;
    Batch batch = { .run = short_sequence, .nr = kinds * kinds * kinds };
    bool ok;

    if (nr && nr < batch.nr) {
        batch.nr = nr;
    }
    ok = run_batch(&batch, opt.jobs, 5);
    print_tally(&batch.sum.tally);
    if (!ok) {
        print_failure(&batch);
    }
    printf("%s - every crash state of %u sequences of 3 operations over 2 "
           "zones is a legal one\n", ok ? "ok" : "not ok", batch.nr);
    return ok;
}

/* Injected faults */

/*
 * Operations that follow one that fails at once, with no flush between: on
 * zones with old data in their clusters, Empty, full, and with room
 */
static const char one_upon_another[] =
    "w1@0.253 w2@0.100 f0@0.0 r1@0.0 r2@0.0 f0@0.0 "
    "F1@0.0 w1@0.8 f0@0.0 r1@0.0 w1@0.16 f0@0.0 r1@0.0 w1@0.8 f0@0.0 "
    "r1@0.0 F1@0.0 r1@0.0 F1@0.0 F1@0.0 r1@0.0 r1@0.0 w1@0.253 f0@0.0 "
    "r1@0.0 F1@0.0 r1@0.0 w1@0.253 F1@0.0 r1@0.0 F1@0.0 X0@0.0 X0@0.0 "
    "w2@0.30 F2@0.0 a2@0.20 f0@0.0 X0@0.0 F2@0.0 X0@0.0 z2@0.40 A2@0.8 "
    "P1@0.0 w2@0.8 f0@0.0 Q1@0.0 P1@0.0 Q1@0.0 Q1@0.0 W1@0.16 f0@0.0 "
    "Z1@0.8 A1@0.4 F1@0.0 r1@0.0 F2@0.0 r2@0.0 W2@0.8 Z2@0.3 f0@0.0 r2@0.0 "
    "w2@0.9 F2@0.0 f0@0.0 X0@0.0 F1@0.0 w2@0.4 f0@0.0";

/* The disk becomes longer, between all that uses its table */
static const char growing[] =
    "w1@0.9 F2@0.0 f0@0.0 w1@0.4 a1@0.2 G0@0.0 w1@0.6 f0@0.0 w3@0.9 a4@0.4 "
    "r2@0.0 f0@0.0 W3@0.8 F4@0.0 z3@0.30 f0@0.0 X0@0.0 w4@0.7 w1@0.3 f0@0.0 "
    "r1@0.0 w1@0.250 w3@0.250 w4@0.120 f0@0.0 F1@0.0 a3@0.2 W4@0.5 r3@0.0 "
    "w3@0.20 f0@0.0 Q3@0.2 w3@0.1 w4@0.1 f0@0.0 r1@0.0 w1@0.5 w1@0.5 f0@0.0 "
    "F3@0.0 f0@0.0 w4@0.9 W4@0.9 f0@0.0 r4@0.0 w4@0.9 f0@0.0 w2@0.9 f0@0.0 "
    "r2@0.0 w2@0.9 f0@0.0 F2@0.0 r3@0.0 w3@0.5 f0@0.0 H0@0.0 w1@0.3 f0@0.0 "
    "w2@0.2 f0@0.0";

/* A snapshot is taken, applied and deleted, over data that it shares */
static const char snapshots[] =
    "w1@0.9 F2@0.0 w0@4.20 f0@0.0 w1@0.4 a1@0.2 S0@0.0 w1@0.6 w0@0.9 f0@0.0 "
    "r2@0.0 W2@0.8 F1@0.0 f0@0.0 Y0@0.0 w1@0.7 w0@12.9 f0@0.0 r1@0.0 "
    "w1@0.250 f0@0.0 Y0@0.0 Y0@0.0 w1@0.3 A1@0.5 r2@0.0 f0@0.0 D0@0.0 "
    "w1@0.20 w2@0.9 f0@0.0 S0@0.0 w2@0.30 X0@0.0 w1@0.30 f0@0.0 D0@0.0 "
    "w1@0.1 w2@0.9 f0@0.0 S0@0.0 w1@0.9 f0@0.0 Y0@0.0 z2@0.30 F1@0.0 "
    "S0@0.0 D0@0.0 f0@0.0 w2@0.9 f0@0.0 S0@0.0 r1@0.0 w1@0.9 Y0@0.0 r1@0.0 "
    "w1@0.20 f0@0.0 w2@0.40 f0@0.0";

typedef struct FaultRange {
    Config cfg;
    const char *list;           /* of operations; NULL: all that there are */
    unsigned from[FOP__MAX + 1]; /* first item of each kind */
    uint64_t ops[FOP__MAX];
} FaultRange;

static const int fault_errno[] = { EIO, ENOSPC };

static Workload *fault_workload(const FaultRange *f)
{
    g_autofree char *line = NULL;
    g_autofree char *list = NULL;
    char *why = NULL;
    Workload *w;

    if (!f->list) {
        return workload_everything(&f->cfg, opt.seed);
    }
    w = workload_generate(&f->cfg, opt.seed, 0);
    line = workload_format(w);
    list = g_strconcat(line, f->list, NULL);
    workload_free(w);
    w = workload_parse(list, &why);
    g_assert(w);
    return w;
}

static bool count_file_ops(Batch *batch, unsigned item, Report *r)
{
    FaultRange *f = batch->opaque;
    Workload *w = fault_workload(f);
    char *why = NULL;
    g_autofree char *line = workload_format(w);
    Run *run;

    g_strlcpy(r->workload, line, sizeof(r->workload));
    run = workload_run(w, &why);
    if (!run) {
        g_strlcpy(r->text, why, sizeof(r->text));
        return false;
    }
    for (unsigned i = 0; i < run->ops->len; i++) {
        OracleOp *op = &g_array_index(run->ops, OracleOp, i);

        if (op->ret) {
            snprintf(r->text, sizeof(r->text), "request %u fails without a "
                     "fault: %s", op->id, strerror(-op->ret));
            return false;
        }
    }
    for (unsigned k = 0; k < FOP__MAX; k++) {
        r->axis_states[k] = run->file_ops[k];
    }
    run_free(run);
    workload_free(w);
    return true;
}

static bool fault_item(Batch *batch, unsigned item, Report *r)
{
    FaultRange *f = batch->opaque;
    Workload *w = fault_workload(f);
    Limits lim = opt.lim;
    unsigned k = 0;
    bool ok;

    lim.per_workload = 40;
    lim.from_failure = true;
    w->fail_errno = fault_errno[item % 2];
    item /= 2;
    w->fail_mask = 1;
    if (opt.longer) {
        w->fail_mask = item % 2 ? 7 : 1;
        item /= 2;
    }
    while (item >= f->from[k + 1]) {
        k++;
    }
    w->fail_kind = k;
    w->fail_nth = item - f->from[k] + 1;
    ok = judge_item(w, &lim, r);
    workload_free(w);
    return ok;
}

static bool faults_of(const char *name, const Config *c, const char *list)
{
    FaultRange f = { .cfg = *c, .list = list };
    Batch count = { .run = count_file_ops, .nr = 1, .opaque = &f };
    Batch batch = { .run = fault_item, .opaque = &f };
    unsigned least = list ? 100 : 150;
    uint64_t all = 0;
    bool ok = run_batch(&count, 1, 1);
    bool enough = true;

    if (!ok) {
        print_failure(&count);
        printf("not ok - %s: a workload with every operation runs\n", name);
        return false;
    }
    for (unsigned k = 0; k < FOP__MAX; k++) {
        f.ops[k] = count.sum.axis_states[k];
        all += f.ops[k];
        f.from[k + 1] = f.from[k] + f.ops[k];
        printf("# %s: %" PRIu64 " file operations of kind %s\n", name,
               f.ops[k], file_op_name[k]);
    }
    enough = all >= least;
    printf("%s - %s: the workload makes %" PRIu64 " file operations, at least "
           "%u\n", enough ? "ok" : "not ok", name, all, least);
    batch.nr = (opt.longer ? 4 : 2) * all;
    ok = run_batch(&batch, opt.jobs, 5);
    printf("# %s: %" PRIu64 " runs, %" PRIu64 " file operations failed, %"
           PRIu64 " requests refused or failed, %" PRIu64 " crash states\n",
           name, batch.sum.tally.workloads, batch.sum.tally.faults,
           batch.sum.tally.failed_requests, batch.sum.tally.states);
    if (!ok) {
        print_failure(&batch);
    }
    printf("%s - %s: EIO and ENOSPC at every file operation never make a lie\n",
           ok ? "ok" : "not ok", name);
    return ok && enough;
}

/*
 * Several writes in flight in one zone, on all kinds of image, and failures
 * among them: one, or several of the operations that follow
 */
static Workload *burst_workload(unsigned item)
{
    uint64_t seed = opt.seed * 69069 + item;
    Rnd r = { seed };
    Config c;
    unsigned axes[2];
    Workload *w;

    config_pick(&c, opt.seed, item, axes);
    c.luks = 0;
    c.depth = 3 + rnd(&r, 6);
    c.pass = MAX(c.pass, rnd(&r, 2));
    w = workload_bursts(&c, seed, opt.ops);
    /* Of the two, ENOSPC leaves no part of a write. */
    w->fail_errno = fault_errno[rnd(&r, 3) / 2];
    switch (rnd(&r, 8)) {
    case 0:
        w->fail_kind = FOP_FLUSH;
        w->fail_nth = 1 + rnd(&r, 8);
        break;
    case 1:
        w->fail_kind = FOP_ZERO;
        w->fail_nth = 1;
        break;
    case 2: case 3:
        w->fail_kind = FOP_ANY;
        w->fail_nth = 1 + rnd(&r, 60);
        break;
    case 4:
        w->fail_kind = FOP_GROWTH;
        w->fail_nth = 1 + rnd(&r, 40);
        w->fail_errno = ENOSPC;
        break;
    default:
        w->fail_kind = FOP_WRITE;
        w->fail_nth = 1 + rnd(&r, 40);
        break;
    }
    switch (rnd(&r, 8)) {
    case 0:
        w->fail_mask = 3;
        break;
    case 1:
        w->fail_mask = 1 + 2 * rnd(&r, 128);
        break;
    case 2:
        w->fail_mask = ~0ull;
        break;
    default:
        w->fail_mask = 1;
        break;
    }
    return w;
}

static bool burst_item(Batch *batch, unsigned item, Report *r)
{
    Workload *w = burst_workload(item);
    Limits lim = opt.lim;
    bool ok;

    lim.per_workload = 40;
    lim.from_failure = true;
    ok = judge_item(w, &lim, r);
    workload_free(w);
    return ok;
}

static bool faults_in_flight(void)
{
    Batch batch = { .run = burst_item, .nr = opt.bursts };
    bool ok = run_batch(&batch, opt.jobs, 5);

    print_tally(&batch.sum.tally);
    printf("# in flight: %" PRIu64 " file operations failed\n",
           batch.sum.tally.faults);
    if (!ok) {
        print_failure(&batch);
    }
    printf("%s - in flight: a write that fails among others never makes a "
           "lie\n", ok ? "ok" : "not ok");
    if (ok) {
        const uint64_t *among = batch.sum.tally.among_others;
        unsigned with = opt.bursts / 20, without = opt.bursts / 250;

        ok = among[1] >= with && among[0] >= without;
        printf("%s - in flight: a write failed, with others of its zone in "
               "flight, in %" PRIu64 " workloads with a file that knows FUA, "
               "at least %u, and in %" PRIu64 " with one that does not, at "
               "least %u\n", ok ? "ok" : "not ok", among[1], with, among[0],
               without);
    }
    return ok;
}

static bool faults_mode(void)
{
    Config c;
    bool ok;

    config_defaults(&c);
    c.zsize = c.zcap = 128 * 1024;
    c.zcap -= 3 * 512;
    c.size = 3 * c.zsize;
    c.conv = 1;
    ok = faults_of("keeping clusters", &c, NULL);
    c.depth = 0;
    ok &= faults_of("one upon another", &c, one_upon_another);
    c.size = 5 * c.zsize;
    c.grow = 3 * c.zsize;
    ok &= faults_of("growing", &c, growing);
    c.grow = 0;
    c.size = 3 * c.zsize;
    c.snap = 1;
    ok &= faults_of("snapshots", &c, snapshots);
    c.snap = 0;
    c.base = 1;
    ok &= faults_of("overlay", &c, one_upon_another);
    c.base = 0;
    c.unmap = 1;
    c.cluster = 16 * 1024;
    c.fua = 0;
    ok &= faults_of("discard=unmap, no FUA", &c, NULL);
    return faults_in_flight() && ok;
}

/* Planted faults */

/*
 * Errors in a list of operations, one by one or not: a flush; a write of which
 * nothing reaches the file; one of which a part does
 */
static void inject(const PlantedFault *p, unsigned item, Workload *w,
                   Limits *lim)
{
    w->fail_kind = item % 3 ? FOP_WRITE : FOP_FLUSH;
    w->fail_errno = item % 3 == 1 ? ENOSPC : EIO;
    w->fail_mask = 1;
    w->fail_nth = 1 + item / 3 % (p->deep ? 16 : 100);
    lim->from_failure = true;
    if (!p->deep) {
        lim->per_workload = p->all_states ? 60 : 20;
        lim->only_cuts = !p->all_states;
    }
}

static bool planted_burst(const PlantedFault *p, unsigned item, Report *r)
{
    Workload *w = burst_workload(item);
    Limits lim = opt.lim;
    bool ok;

    lim.per_workload = 40;
    lim.from_failure = true;
    w->cfg.pass = MAX(w->cfg.pass, p->pass);
    if (p->full) {
        w->fail_kind = FOP_GROWTH;
        w->fail_errno = ENOSPC;
        w->fail_nth = 1 + item % 30;
    } else if (w->fail_kind != FOP_WRITE) {
        w->fail_kind = FOP_WRITE;
        w->fail_errno = EIO;
        w->fail_nth = 1 + item % 30;
        w->fail_mask = 1;
    }
    ok = judge_item(w, &lim, r);
    workload_free(w);
    return ok;
}

static bool planted_item(Batch *batch, unsigned item, Report *r)
{
    const PlantedFault *p = batch->opaque;
    Config c;
    unsigned axes[2];
    Workload *w;
    bool ok;

    planted_now = p->name;
    if (p->bursts) {
        return planted_burst(p, item, r);
    }
    if (p->ops) {
        Limits lim = opt.lim;
        g_autofree char *line = NULL;
        g_autofree char *list = NULL;
        char *why = NULL;

        config_defaults(&c);
        if (p->extents) {
            config_extents(&c);
        }
        c.conv = 1;
        if (p->grow) {
            /* A single cluster that is freed is the next that is taken. */
            c.grow = c.size / 2;
            c.ext = 512;
        }
        c.snap = p->snap;
        c.base = p->base;
        c.unmap = p->unmap;
        c.depth = p->inject && !p->deep ? 0 : 6;
        w = workload_generate(&c, opt.seed * 7919 + item, 0);
        line = workload_format(w);
        list = g_strconcat(line, p->ops, NULL);
        workload_free(w);
        w = workload_parse(list, &why);
        g_assert(w);
        if (p->inject) {
            inject(p, item, w, &lim);
        }
        ok = judge_item(w, &lim, r);
    } else {
        config_pick(&c, opt.seed, item, axes);
        c.luks = 0;
        c.act = 0;
        c.open = 0;
        if (p->unmap) {
            c.unmap = 1;
        }
        if (p->pass) {
            c.pass = p->pass;
        }
        w = workload_generate(&c, opt.seed * 7919 + item, opt.ops);
        ok = judge_item(w, &opt.lim, r);
    }
    workload_free(w);
    return ok;
}

static bool planted_one(const PlantedFault *p)
{
    Batch batch = { .run = planted_item, .nr = 400, .opaque = (void *)p };
    bool found;

    planted_now = p->name;
    run_batch(&batch, opt.jobs, 1);
    /* By the oracle: a stuck request or an abort does not count. */
    found = batch.failures && batch.first.failed;
    if (batch.failures) {
        print_commented(batch.first.text);
    }
    printf("%s - planted fault '%s' (%s) is found%s; %" PRIu64 " workloads, %"
           PRIu64 " states, passed %" PRIu64 " times\n",
           found ? "ok" : "not ok", p->name, p->what,
           batch.failures && !found ? " by a crash only" : "",
           batch.sum.tally.workloads, batch.sum.tally.states, batch.sum.hits);
    if (opt.reduce && found) {
        reduce(batch.first.workload);
    }
    fflush(stdout);
    return found;
}

static bool planted_mode(const char *name)
{
    bool ok = true;
    bool any = false;

    for (const PlantedFault *p = planted_faults; p->name; p++) {
        if (!strcmp(name, "all") || !strcmp(name, p->name)) {
            ok = planted_one(p) && ok;
            any = true;
        }
    }
    if (!planted_list_is_whole()) {
        printf("not ok - planted faults and their places in the code are the "
               "same list\n");
        ok = false;
    }
    if (!any) {
        printf("not ok - no planted fault named '%s' in this program\n", name);
    }
    return ok && any;
}

/* Again */

static bool replay_mode(const char *text)
{
    char *why = NULL;
    Workload *w = workload_parse(text, &why);
    Tally t = { 0 };
    bool ok;

    if (!w) {
        fprintf(stderr, "%s\n", why);
        return false;
    }
    start_qemu();
    if (w->fail_errno) {
        opt.lim.from_failure = true;
    }
    ok = judge_workload(w, &opt.lim, &t, &why);
    for (unsigned i = 0; memlog && i < memlog->len; i++) {
        LogEntry *e = &g_array_index(memlog, LogEntry, i);

        printf("# file %5d..%-5d %-12s 0x%" PRIx64 "+0x%" PRIx64 "%s%s\n",
               e->submit, e->done, file_op_name[e->kind], e->offset, e->bytes,
               e->ret ? " " : "", e->ret ? strerror(-e->ret) : "");
    }
    print_tally(&t);
    if (!ok) {
        print_commented(why);
    }
    printf("%s - replayed workload\n", ok ? "ok" : "not ok");
    return ok;
}

static void usage(FILE *to)
{
    fprintf(to,
"Usage: %s [OPTION]...\n"
"  --seed N        where the random numbers start\n"
"  --states N      crash states to explore, about\n"
"  --workloads N   in so many workloads\n"
"  --ops N         of so many operations each\n"
"  --jobs N        processes\n"
"  --sequences N   the first N (0: all) sequences of 3 operations\n"
"  --faults        fail every file operation in turn\n"
"  --longer        ... and for three operations in a row\n"
"  --bursts N      ... and some in N workloads with many writes in flight\n"
"  --in-flight     only the latter\n"
"  --planted NAME  find the planted fault NAME, or 'all' (test build only)\n"
"  --no-reduce     do not look for a shorter failing workload\n"
"  --replay LIST   run one workload again\n", opt.program);
}

int main(int argc, char **argv)
{
    enum { SEED = 256, STATES, WORKLOADS, OPS, JOBS, SEQUENCES, FAULTS,
           LONGER, BURSTS, IN_FLIGHT, PLANTED, NO_REDUCE, REPLAY, HELP };
    static const struct option longopts[] = {
        { "seed", required_argument, NULL, SEED },
        { "states", required_argument, NULL, STATES },
        { "workloads", required_argument, NULL, WORKLOADS },
        { "ops", required_argument, NULL, OPS },
        { "jobs", required_argument, NULL, JOBS },
        { "sequences", required_argument, NULL, SEQUENCES },
        { "faults", no_argument, NULL, FAULTS },
        { "longer", no_argument, NULL, LONGER },
        { "bursts", required_argument, NULL, BURSTS },
        { "in-flight", no_argument, NULL, IN_FLIGHT },
        { "planted", required_argument, NULL, PLANTED },
        { "no-reduce", no_argument, NULL, NO_REDUCE },
        { "replay", required_argument, NULL, REPLAY },
        { "help", no_argument, NULL, HELP },
        { NULL },
    };
    const char *planted = NULL, *replay = NULL;
    bool faults = false, in_flight = false;
    int sequences = -1;
    sigset_t chld;              /* wait_for_child() asks for it */
    bool ok;
    int c;

    opt.program = argv[0];
    rcu_enable_atfork();
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
        switch (c) {
        case SEED:
            opt.seed = g_ascii_strtoull(optarg, NULL, 0);
            break;
        case STATES:
            opt.states = g_ascii_strtoull(optarg, NULL, 0);
            break;
        case WORKLOADS:
            opt.workloads = g_ascii_strtoull(optarg, NULL, 0);
            break;
        case OPS:
            opt.ops = g_ascii_strtoull(optarg, NULL, 0);
            break;
        case JOBS:
            opt.jobs = MIN(MAX(g_ascii_strtoull(optarg, NULL, 0), 1), 64);
            break;
        case SEQUENCES:
            sequences = g_ascii_strtoull(optarg, NULL, 0);
            break;
        case FAULTS:
            faults = true;
            break;
        case LONGER:
            opt.longer = true;
            break;
        case BURSTS:
            opt.bursts = g_ascii_strtoull(optarg, NULL, 0);
            break;
        case IN_FLIGHT:
            in_flight = true;
            break;
        case PLANTED:
            planted = optarg;
            break;
        case NO_REDUCE:
            opt.reduce = false;
            break;
        case REPLAY:
            replay = optarg;
            break;
        case HELP:
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind != argc || !opt.workloads) {
        usage(stderr);
        return 2;
    }
    opt.lim.per_workload = MAX(opt.states / opt.workloads, 16) * 3;
    if (replay) {
        opt.lim.per_workload = 100000;
        opt.lim.verbose = true;
        ok = replay_mode(replay);
    } else if (planted) {
        ok = planted_mode(planted);
    } else if (in_flight) {
        ok = faults_in_flight();
    } else if (faults) {
        ok = faults_mode();
    } else if (sequences >= 0) {
        ok = sequences_mode(sequences);
    } else {
        ok = random_mode();
    }
    return ok ? 0 : 1;
}
