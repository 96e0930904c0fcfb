/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Crash states: the files that a power loss could leave, each judged
 *
 * A write is certain to be on the disk once a flush that was submitted after
 * its completion has completed; one with FUA, once it has completed itself.
 * From one such event to the next the disk holds what was certain at the first,
 * and any of the other writes submitted before the second: that set is the
 * epoch.  Where a write is missing that later ones
 * are there without, files are padded to their final length: nobody promises
 * anything of the length then.
 *
 * One file may be left by a crash at many times: from when the last of its
 * writes was submitted, until a flush makes one certain that it lacks.  The
 * oracle judges all of them.
 */

#include "qemu/osdep.h"
#include <fcntl.h>
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "block/block-global-state.h"
#include "block/block-io.h"
#include "block/snapshot.h"
#include "history.h"
#include "states.h"

#define SECTOR ORACLE_SECTOR
#define AFTER_ID 0xff0000u      /* ids of writes made in opened states */

static void G_GNUC_PRINTF(2, 3) say(char **why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    *why = g_strdup_vprintf(fmt, ap);
    va_end(ap);
}

/* What an opened image shows */

typedef struct Look {
    uint64_t size;              /* of the disk; zones behind it are empty */
    uint64_t *wp;
    BlockZoneDescriptor *zd;
    uint8_t *data;
} Look;

static void look_free(Look *l)
{
    g_free(l->wp);
    g_free(l->zd);
    qemu_vfree(l->data);
    memset(l, 0, sizeof(*l));
}

static bool look(BlockBackend *blk, const Config *c, Look *l, char **why)
{
    unsigned nr = config_nr_zones(c);
    int64_t size = blk_getlength(blk);
    g_autofree OracleZone *z = config_zones(c);
    int ret;

    if (size != c->size && (!c->grow || size != c->grow)) {
        say(why, "the disk has %" PRId64 " bytes", size);
        return false;
    }
    l->size = size;
    l->wp = g_new0(uint64_t, nr);
    l->zd = g_new0(BlockZoneDescriptor, nr);
    l->data = qemu_memalign(4096, c->size);
    memset(l->data + size, 0, c->size - size);
    ret = blk_pread(blk, 0, size, l->data, 0);
    if (ret < 0) {
        say(why, "the image cannot be read: %s", strerror(-ret));
        return false;
    }
    if (c->plain) {
        return true;
    }
    ret = blk_zone_report(blk, 0, &nr, l->zd);
    if (ret < 0 || nr != DIV_ROUND_UP(size, c->zsize)) {
        say(why, "the zones cannot be reported: %s", strerror(-ret));
        return false;
    }
    for (unsigned i = 0; i < config_nr_zones(c); i++) {
        BlockZoneDescriptor *d = &l->zd[i];

        if (i >= nr) {
            *d = (BlockZoneDescriptor) {
                .start = z[i].start, .wp = z[i].start, .state = BLK_ZS_EMPTY,
            };
        }
        if (z[i].start + z[i].length > size) {
            /* Nothing is written to it before it has its length. */
            d->cap = z[i].capacity;
        }
        l->wp[i] = d->wp;
    }
    return true;
}

/* After a crash or a restart no zone is open. */
static bool states_fit(const Config *c, const Look *l, char **why)
{
    g_autofree OracleZone *z = config_zones(c);

    for (unsigned i = 0; !c->plain && i < config_nr_zones(c); i++) {
        const BlockZoneDescriptor *d = &l->zd[i];
        BlockZoneState want =
            z[i].conventional ? BLK_ZS_NOT_WP :
            d->wp == z[i].start ? BLK_ZS_EMPTY :
            d->wp == z[i].start + z[i].capacity ? BLK_ZS_FULL : BLK_ZS_CLOSED;

        if (d->state != want || d->start != z[i].start ||
            d->cap != z[i].capacity) {
            say(why, "zone %u: reported in state %d, should be %d", i,
                d->state, want);
            return false;
        }
    }
    return true;
}

/* Clusters that the disk can need: none above the capacity of a zone */
static uint64_t useful_clusters(const Config *c)
{
    g_autofree OracleZone *z = config_zones(c);
    uint64_t nr = 0;

    for (unsigned i = 0; i < config_nr_zones(c); i++) {
        nr += DIV_ROUND_UP(z[i].capacity, c->cluster);
    }
    return nr;
}

/* qemu-img check, without what it prints */
static bool check_image(BlockBackend *blk, const Config *c, BdrvCheckMode fix,
                        int *leaks, char **why)
{
    static int null = -1;
    int keep = dup(STDERR_FILENO);
    BdrvCheckResult res = { 0 };
    int ret;

    if (null < 0) {
        null = open("/dev/null", O_WRONLY);
    }
    dup2(null, STDERR_FILENO);
    bdrv_graph_rdlock_main_loop();
    ret = bdrv_check(blk_bs(blk), &res, fix);
    bdrv_graph_rdunlock_main_loop();
    dup2(keep, STDERR_FILENO);
    close(keep);
    if (ret < 0 || res.corruptions || res.check_errors) {
        say(why, "check finds %d corruptions and %d errors (%s)",
            res.corruptions, res.check_errors, strerror(ret < 0 ? -ret : 0));
        return false;
    }
    if (res.bfi.allocated_clusters > useful_clusters(c)) {
        say(why, "%" PRIu64 " clusters are mapped, the disk has use for %"
            PRIu64, res.bfi.allocated_clusters, useful_clusters(c));
        return false;
    }
    *leaks = res.leaks;
    return true;
}

static uint64_t file_changes(const MemSlot *s)
{
    return s->count[FOP_WRITE] + s->count[FOP_ZERO] + s->count[FOP_DISCARD] +
           s->count[FOP_TRUNCATE];
}

/* Write one sector to every zone that takes one, and note it in @l. */
static bool write_every_zone(BlockBackend *blk, const Config *c, Look *l,
                             Tally *t, char **why)
{
    g_autofree OracleZone *z = config_zones(c);
    unsigned nr = config_nr_zones(c);
    unsigned active = 0;
    uint8_t buf[SECTOR];

    for (unsigned i = 0; i < nr; i++) {
        active += !z[i].conventional && l->zd[i].state == BLK_ZS_CLOSED;
    }
    for (unsigned i = 0; i < nr; i++) {
        uint64_t at = l->wp[i];
        bool empty = !c->plain && l->zd[i].state == BLK_ZS_EMPTY;
        bool refuse = false;
        int ret;

        if (z[i].start + z[i].length > l->size) {
            continue;
        }
        /* Of many zones those with something in them, and a few more */
        if (nr > 16 && empty && i % 61) {
            continue;
        }
        if (z[i].conventional) {
            at = z[i].start + z[i].length - SECTOR;
        } else if (at == z[i].start + z[i].capacity) {
            refuse = true;
            at -= SECTOR;
        } else if (empty && c->act && active >= c->act) {
            refuse = true;
        }
        oracle_pattern(buf, AFTER_ID + i, at, SECTOR);
        ret = blk_pwrite(blk, at, SECTOR, buf, 0);
        t->writes_after++;
        if (refuse != (ret < 0)) {
            say(why, "zone %u: a write at +0x%" PRIx64 " after the crash %s "
                "(%s)", i, at - z[i].start,
                refuse ? "should be refused" : "fails", strerror(-ret));
            return false;
        }
        if (refuse) {
            continue;
        }
        memcpy(l->data + at, buf, SECTOR);
        if (!z[i].conventional) {
            l->wp[i] += SECTOR;
            active += empty;
            if (l->wp[i] == z[i].start + z[i].capacity) {
                active--;
            }
        }
    }
    return true;
}

static bool same_look(const Config *c, const Look *a, const Look *b,
                      const char *when, char **why)
{
    g_autofree OracleZone *z = config_zones(c);

    for (unsigned i = 0; i < config_nr_zones(c); i++) {
        if (!z[i].conventional && a->wp[i] != b->wp[i]) {
            say(why, "zone %u: write pointer was +0x%" PRIx64 ", is +0x%"
                PRIx64 " %s", i, a->wp[i] - z[i].start, b->wp[i] - z[i].start,
                when);
            return false;
        }
        if (memcmp(a->data + z[i].start, b->data + z[i].start, z[i].length)) {
            say(why, "zone %u: its data is another %s", i, when);
            return false;
        }
    }
    return true;
}

/*
 * A disk that has become longer stays so until it is to become shorter, and
 * does not before it is asked.
 */
static bool size_fits(const Config *c, const Run *run, const Look *l, int from,
                      int to, char **why)
{
    if (l->size != c->size && from >= run->grown && to < run->shrinks) {
        say(why, "the disk has grown, and has its old size again");
    } else if (l->size != c->grow && from >= run->shrunk) {
        say(why, "the disk has shrunk, and has its old size again");
    } else if (c->grow && l->size == c->size &&
               (!run->grows || to < run->grows)) {
        say(why, "the disk has grown before it was asked to");
    } else {
        return true;
    }
    return false;
}

static bool is_snapshot_there(BlockBackend *blk)
{
    QEMUSnapshotInfo sn;

    return bdrv_snapshot_find(blk_bs(blk), &sn, SNAPSHOT_NAME) >= 0;
}

/* Read what the snapshot of the image in slot 1 holds, and judge it. */
static bool judge_snapshot(const Config *c, Histories *h, int from, char **why)
{
    Error *err = NULL;
    BlockBackend *blk = image_open(c, 1, false, &err);
    char text[400] = "";
    Look l = { 0 };
    OracleSeen seen;
    bool ok = false;

    if (!blk || bdrv_snapshot_load_tmp(blk_bs(blk), NULL, SNAPSHOT_NAME,
                                       &err) < 0) {
        say(why, "the snapshot cannot be read: %s", error_get_pretty(err));
        error_free(err);
    } else if (look(blk, c, &l, why)) {
        seen = (OracleSeen) { l.wp, l.data };
        ok = histories_snapshot(h, from, &seen, text, sizeof(text));
        if (!ok) {
            say(why, "%s", text);
        }
    }
    blk_unref(blk);
    look_free(&l);
    return ok;
}

/*
 * qemu-img check.  What a crash leaves while refcounts change for a snapshot
 * it calls corrupt, though nothing is lost: the flag for clusters that are the
 * disk's alone does not fit a refcount that is too high.  It has to go with the
 * leaks.
 */
static bool check_after_crash(BlockBackend *blk, const Config *c, int *leaks,
                              char **why)
{
    return (!c->snap || check_image(blk, c, BDRV_FIX_LEAKS, leaks, why)) &&
           check_image(blk, c, 0, leaks, why);
}

/*
 * Judge one file.  Takes @img over.  @repair: let check repair leaks, too.
 */
static bool judge_state(const Config *c, const Run *run, MemImg *img,
                        Histories *h, int from, int to, bool live, bool repair,
                        Tally *t, char **why)
{
    MemSlot *slot = &memslot[1];
    Look first = { 0 }, second = { 0 };
    OracleSeen seen;
    Error *err = NULL;
    BlockBackend *blk;
    char text[400] = "";
    bool ok = false, snapshot;
    int leaks = 1;

    memimg_free(slot->img);
    slot->img = img;
    memset(slot->count, 0, sizeof(slot->count));
    blk = image_open(c, 1, true, &err);
    if (!blk) {
        say(why, "the image does not open: %s", error_get_pretty(err));
        error_free(err);
        return false;
    }
    if ((!c->snap && !check_image(blk, c, 0, &leaks, why)) ||
        !look(blk, c, &first, why) ||
        !states_fit(c, &first, why) ||
        !size_fits(c, run, &first, from, to, why)) {
        goto out;
    }
    t->leaks += !c->snap && leaks > 0;
    seen = (OracleSeen) { first.wp, first.data };
    histories_next_disk(h);
    ok = live ? histories_live(h, to, &seen, text, sizeof(text)) :
                histories_crash(h, from, to, &seen, text, sizeof(text));
    snapshot = is_snapshot_there(blk);
    ok = ok && histories_snapshot_fits(h, from, to, snapshot, text,
                                       sizeof(text));
    if (!ok) {
        say(why, "%s", text);
        goto out;
    }
    if (snapshot && !judge_snapshot(c, h, from, why)) {
        ok = false;
        goto out;
    }
    if (file_changes(slot)) {
        say(why, "opening and reading changed the image");
        ok = false;
        goto out;
    }
    if (leaks && repair) {
        int after = 0;

        ok = check_image(blk, c, BDRV_FIX_LEAKS, &after, why) &&
             check_image(blk, c, 0, &after, why);
        if (ok && after) {
            say(why, "check repairs leaks, and %d remain", after);
            ok = false;
        }
        if (!ok) {
            goto out;
        }
        t->leaks_repaired++;
    }
    ok = write_every_zone(blk, c, &first, t, why);
    blk_unref(blk);
    blk = NULL;
    if (!ok) {
        goto out;
    }
    blk = image_open(c, 1, true, &err);
    if (!blk) {
        say(why, "the image does not open again: %s", error_get_pretty(err));
        error_free(err);
        ok = false;
        goto out;
    }
    ok = look(blk, c, &second, why) && states_fit(c, &second, why) &&
         same_look(c, &first, &second, "after one more write and a clean "
                   "close", why) &&
         (!snapshot || judge_snapshot(c, h, from, why)) &&
         check_after_crash(blk, c, &leaks, why);
out:
    blk_unref(blk);
    look_free(&first);
    look_free(&second);
    return ok;
}

/* Epochs */

typedef struct Judge {
    const Workload *w;
    const Limits *lim;
    Run *run;
    Histories *h;
    Tally *t;
    Rnd rnd;
    int64_t size;               /* of the file in the end */
    unsigned left;              /* states that may still be tried */
    char *why;

    /* The epoch */
    MemImg *certain;
    /*
     * LogEntry: what is not certain, and what is, but lies over such
     */
    GPtrArray *open;
    bool *sure;                 /* by place in memlog */
    bool *done;                 /* in @certain */
    int begin, end;             /* times */
    GHashTable *tried;
} Judge;

static int entry_order(gconstpointer a, gconstpointer b)
{
    const LogEntry *x = *(const LogEntry **)a, *y = *(const LogEntry **)b;

    return x->done != y->done ? (x->done < y->done ? -1 : 1) :
           x->submit < y->submit ? -1 : 1;
}

static unsigned entry_number(const LogEntry *e)
{
    return e - (const LogEntry *)memlog->data;
}

static bool is_sure(const Judge *j, unsigned i)
{
    return j->sure[entry_number(j->open->pdata[i])];
}

/*
 * @set: a byte for each of the epoch's entries; @torn: one of them, or -1.
 * @ordered: those are all that were completed up to some time, and the file
 * has the length that it had then.
 */
static bool judge_set(Judge *j, uint8_t *set, int torn, bool ordered,
                      uint64_t *counter)
{
    unsigned n = j->open->len;
    g_autofree char *key = NULL;
    MemImg *img;
    int from = j->begin;
    int last = -1;
    bool repair;

    for (unsigned i = 0; i < n; i++) {
        set[i] |= is_sure(j, i);
    }
    key = g_strdup_printf("%d:%" PRIu64 ":", torn,
                          torn >= 0 ? j->rnd.s : (uint64_t)0);
    {
        g_autofree char *bits = g_malloc0(n + 1);
        char *all;

        for (unsigned i = 0; i < n; i++) {
            bits[i] = set[i] ? '1' : '0';
        }
        all = g_strconcat(key, bits, NULL);
        if (!g_hash_table_add(j->tried, all)) {
            return true;
        }
    }
    img = memimg_clone(j->certain);
    if (!ordered) {
        memimg_resize(img, MAX(j->size, memimg_size(img)));
    }
    for (unsigned i = 0; i < n; i++) {
        const LogEntry *e = j->open->pdata[i];

        if (!set[i]) {
            continue;
        }
        last = i;
        from = MAX(from, e->submit);
        if ((int)i == torn) {
            logentry_apply_torn(e, img, rnd64(&j->rnd));
        } else {
            logentry_apply(e, img);
        }
    }
    if (!ordered && memimg_size(img) < j->size) {
        memimg_resize(img, j->size);
    }
    j->t->states++;
    (*counter)++;
    j->left -= j->left > 0;
    repair = j->t->states % 8 == 0;
    if (!judge_state(&j->w->cfg, j->run, img, j->h, from, j->end, false,
                     repair, j->t, &j->why)) {
        g_autofree char *what = j->why;
        GString *s = g_string_new(what);

        g_string_append_printf(s, "\n    crash at time %d to %d, epoch %d to "
                               "%d:", from, j->end, j->begin, j->end);
        for (unsigned i = 0; i < n; i++) {
            const LogEntry *e = j->open->pdata[i];

            if ((int)i > last + 3) {
                g_string_append(s, "\n      ...");
                break;
            }
            g_string_append_printf(s, "\n      %s %s 0x%" PRIx64 "+0x%" PRIx64
                                   " (submitted %d, done %d)",
                                   (int)i == torn ? "torn" :
                                   set[i] ? "has " : "lost",
                                   file_op_name[e->kind], e->offset, e->bytes,
                                   e->submit, e->done);
        }
        j->why = g_string_free(s, false);
        return false;
    }
    return true;
}

static bool judge_epoch(Judge *j)
{
    unsigned n = j->open->len;
    g_autofree uint8_t *set = g_malloc0(n + 1);
    g_autofree unsigned *may = g_new(unsigned, n + 1);
    unsigned nr_may = 0;
    unsigned samples;

    for (unsigned i = 0; i < n; i++) {
        if (!is_sure(j, i)) {
            may[nr_may++] = i;
        }
    }

    if (j->lim->from_failure && (j->end < memslot[0].first_failure ||
                              (!j->left && j->end != j->run->closed))) {
        return true;
    }
    j->tried = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    j->t->epochs++;

    /* At the flush: what was done is there, or nothing is. */
    for (unsigned i = 0; i < n; i++) {
        const LogEntry *e = j->open->pdata[i];

        set[i] = e->done < j->end;
    }
    if (!judge_set(j, set, -1, true, &j->t->at_flush)) {
        return false;
    }
    memset(set, 0, n + 1);
    if (!judge_set(j, set, -1, true, &j->t->at_flush)) {
        return false;
    }
    if (j->lim->only_cuts) {
        return true;
    }
    /* Every prefix, by completion */
    for (unsigned i = 0; i < n && j->left; i++) {
        set[i] = 1;
        if (!judge_set(j, set, -1, true, &j->t->prefix)) {
            return false;
        }
    }
    if (nr_may && nr_may <= j->lim->exhaustive &&
        j->left >= (1u << nr_may)) {
        for (unsigned m = 0; m < 1u << nr_may; m++) {
            for (unsigned i = 0; i < nr_may; i++) {
                set[may[i]] = m >> i & 1;
            }
            if (!judge_set(j, set, -1, false, &j->t->subset)) {
                return false;
            }
        }
        j->t->exhausted++;
        samples = 0;
    } else {
        samples = j->lim->sample;
    }
    for (unsigned k = 0; nr_may && k < samples && j->left; k++) {
        unsigned how = rnd(&j->rnd, 4);
        unsigned one = may[rnd(&j->rnd, nr_may)];

        for (unsigned i = 0; i < n; i++) {
            set[i] = how == 0 ? i == one :
                     how == 1 ? i != one :
                     how == 2 ? rnd(&j->rnd, 2) : rnd(&j->rnd, 4) > 0;
        }
        if (!judge_set(j, set, -1, false, &j->t->subset)) {
            return false;
        }
    }
    /* Torn at 512 bytes */
    for (unsigned k = 0;
         nr_may && k < MIN(nr_may, 2 + j->lim->sample / 8) && j->left; k++) {
        int one = may[rnd(&j->rnd, nr_may)];
        const LogEntry *e = j->open->pdata[one];

        if ((e->kind != FOP_WRITE && e->kind != FOP_ZERO) ||
            e->bytes <= SECTOR) {
            continue;
        }
        for (unsigned i = 0; i < n; i++) {
            set[i] = (int)i == one || ((int)i < one && rnd(&j->rnd, 4)) ||
                     rnd(&j->rnd, 4) == 0;
        }
        if (!judge_set(j, set, one, false, &j->t->torn)) {
            return false;
        }
    }
    return true;
}

static bool is_change(const LogEntry *e)
{
    return e->kind != FOP_FLUSH;
}

/* Does @e touch what @later, which was completed after it, has written? */
static bool lies_under(const LogEntry *e, const LogEntry *later)
{
    if (e->kind == FOP_TRUNCATE) {
        return e->offset < later->offset + later->bytes;
    }
    return e->offset < later->offset + later->bytes &&
           later->offset < e->offset + e->bytes;
}

/*
 * @event, a flush or a write with FUA, has completed: put what is certain now
 * into the file.  All goes in in the order of completion; a write with FUA
 * waits as long as it lies over one that is not certain.
 */
static void make_certain(Judge *j, const LogEntry *event)
{
    g_autoptr(GPtrArray) now = g_ptr_array_new();

    for (unsigned i = 0; i < memlog->len; i++) {
        LogEntry *e = &g_array_index(memlog, LogEntry, i);

        if (!is_change(e) || j->done[i]) {
            continue;
        }
        if (e == event || (event->kind == FOP_FLUSH &&
                           e->done < event->submit)) {
            j->sure[i] = true;
        }
        if (j->sure[i]) {
            g_ptr_array_add(now, e);
        }
    }
    g_ptr_array_sort(now, entry_order);
    for (unsigned k = 0; k < now->len; k++) {
        const LogEntry *e = now->pdata[k];
        bool waits = false;

        for (unsigned i = 0; i < memlog->len && !waits; i++) {
            const LogEntry *under = &g_array_index(memlog, LogEntry, i);

            waits = is_change(under) && !j->done[i] && under != e &&
                    under->done < e->done && lies_under(under, e);
        }
        if (!waits) {
            logentry_apply(e, j->certain);
            j->done[entry_number(e)] = true;
        }
    }
}

/* Epochs in their order */
static bool judge_epochs(Judge *j)
{
    g_autofree bool *sure = g_new0(bool, memlog->len + 1);
    g_autofree bool *done = g_new0(bool, memlog->len + 1);
    g_autoptr(GPtrArray) events = g_ptr_array_new();

    j->sure = sure;
    j->done = done;
    for (unsigned i = 0; i < memlog->len; i++) {
        LogEntry *e = &g_array_index(memlog, LogEntry, i);

        if ((e->kind == FOP_FLUSH || e->fua) && e->ret == 0) {
            g_ptr_array_add(events, e);
        }
        if (e->kind == FOP_TRUNCATE && e->ret == 0) {
            j->size = MAX(j->size, e->offset);
        } else if (is_change(e) && e->kind != FOP_DISCARD) {
            j->size = MAX(j->size, e->offset + e->bytes);
        }
    }
    g_ptr_array_sort(events, entry_order);
    j->begin = j->run->begin;
    for (unsigned f = 0; f <= events->len; f++) {
        const LogEntry *next = f < events->len ? events->pdata[f] : NULL;
        bool ok;

        j->end = next ? next->done - 1 : j->run->closed;
        j->open = g_ptr_array_new();
        for (unsigned i = 0; i < memlog->len; i++) {
            LogEntry *e = &g_array_index(memlog, LogEntry, i);

            /* Growth needs no redoing: files are padded. */
            if (is_change(e) && !done[i] && e->submit <= j->end &&
                !(e->kind == FOP_TRUNCATE &&
                  e->offset >= memimg_size(j->certain))) {
                g_ptr_array_add(j->open, e);
            }
        }
        g_ptr_array_sort(j->open, entry_order);
        ok = judge_epoch(j);
        g_clear_pointer(&j->tried, g_hash_table_destroy);
        g_ptr_array_free(j->open, true);
        if (!ok) {
            return false;
        }
        if (next) {
            make_certain(j, next);
            j->begin = next->done;
        }
    }
    return true;
}

static void print_requests(const Workload *w, const Run *run)
{
    for (unsigned i = 0; i < run->ops->len; i++) {
        const OracleOp *op = &g_array_index(run->ops, OracleOp, i);

        printf("# request %3u: %c%u 0x%" PRIx64 "+0x%" PRIx64 "%s, %d..%d%s"
               "%s\n", op->id, op->id <= w->ops->len ?
               g_array_index(w->ops, GenOp, op->id - 1).c : '*',
               op->first, op->offset, op->bytes, op->fua ? " FUA" : "",
               op->submit, op->ack, op->ret ? " " : "",
               op->ret ? strerror(-op->ret) : "");
    }
}

static bool is_write_in_flight(const OracleOp *op, int t)
{
    return (op->type == ORACLE_WRITE || op->type == ORACLE_ZEROES) &&
           !op->refused && op->submit <= t && op->ack > t;
}

/*
 * When the first operation on the file failed: was there a write that failed
 * with it, and another one to the same zone in flight?
 */
static bool failed_among_others(const Run *run)
{
    const OracleOp *op = (const OracleOp *)run->ops->data;
    int t = memslot[0].first_failure;

    for (unsigned i = 0; t && i < run->ops->len; i++) {
        for (unsigned k = 0; k < run->ops->len; k++) {
            if (i != k && op[i].ret < 0 && op[i].first == op[k].first &&
                is_write_in_flight(&op[i], t) &&
                is_write_in_flight(&op[k], t)) {
                return true;
            }
        }
    }
    return false;
}

bool judge_workload(const Workload *w, const Limits *lim, Tally *t,
                    char **why)
{
    Judge j = {
        .w = w, .lim = lim, .t = t, .rnd = { w->seed ^ 0x7ea5 },
        .left = lim->per_workload,
    };
    char text[400] = "";
    Run *run;
    bool ok;

    /* Opening such an image takes tens of milliseconds. */
    if (w->cfg.luks) {
        j.left = DIV_ROUND_UP(j.left, 20);
    } else if (w->cfg.cluster >= 2048 * 1024) {
        j.left = DIV_ROUND_UP(j.left, 2);
    }
    run = workload_run(w, why);
    if (!run) {
        return false;
    }
    if (lim->verbose) {
        print_requests(w, run);
    }
    t->workloads++;
    t->requests += run->ops->len;
    for (unsigned i = 0; i < run->ops->len; i++) {
        t->failed_requests += g_array_index(run->ops, OracleOp, i).ret != 0;
    }
    for (unsigned k = 0; k < FOP__MAX; k++) {
        t->file_ops += run->file_ops[k];
    }
    t->faults += memslot[0].failed;
    t->among_others[!!w->cfg.fua] += failed_among_others(run);
    j.run = run;
    j.h = histories_new(run, text, sizeof(text));
    if (!j.h) {
        say(why, "%s", text);
        run_free(run);
        return false;
    }
    ok = histories_reads(j.h, text, sizeof(text));
    if (!ok) {
        say(why, "%s", text);
        goto out;
    }
    /* Closed in good order, all is there. */
    if (!run->close_failed) {
        ok = judge_state(&w->cfg, run, memimg_clone(memslot[0].img), j.h,
                         run->end, run->closed, true, false, t, why);
        if (!ok) {
            g_autofree char *what = *why;

            say(why, "after a clean close: %s", what);
            goto out;
        }
    }
    j.certain = memimg_clone(run->base);
    j.size = MAX(memimg_size(run->base), memimg_size(memslot[0].img));
    ok = judge_epochs(&j);
    memimg_free(j.certain);
    if (!ok) {
        *why = j.why;
    }
out:
    histories_free(j.h);
    run_free(run);
    return ok;
}
