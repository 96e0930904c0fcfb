/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The histories of a disk with snapshots
 */
#include "qemu/osdep.h"
#include "history.h"

/* From @from on, until the next: what judges the disk, and the snapshot */
typedef struct Stretch {
    int from;
    int disk[2];                /* histories; either of two, or -1 */
    int snapshot;               /* the history of the snapshot, or -1 */
    bool may, must;             /* it may be there; it must */
} Stretch;

typedef struct History {
    GArray *ops;                /* OracleOp */
    Oracle *o;
} History;

struct Histories {
    GArray *all;                /* History */
    GArray *stretches;          /* Stretch */
    int last;                   /* of the disk */
};

static History *history(const Histories *h, int i)
{
    return &g_array_index(h->all, History, i);
}

static const Stretch *stretch(const Histories *h, unsigned i)
{
    return &g_array_index(h->stretches, Stretch, i);
}

static int stretch_end(const Histories *h, unsigned i)
{
    return i + 1 < h->stretches->len ? stretch(h, i + 1)->from - 1
                                     : ORACLE_NEVER;
}

static int add_history(Histories *h, GArray *ops)
{
    History n = { .ops = ops };

    g_array_append_val(h->all, n);
    return h->all->len - 1;
}

static GArray *copy_ops(const GArray *from)
{
    GArray *to = g_array_new(false, true, sizeof(OracleOp));

    g_array_append_vals(to, from->data, from->len);
    return to;
}

/* The operation @op on a snapshot; @s is how things are after it. */
static void add_event(Histories *h, Stretch *s, const SnapEvent *event,
                      const OracleOp *op)
{
    Stretch during = *s;
    int held;

    during.from = op->submit;
    switch (event->c) {
    case 'S':
        held = add_history(h, copy_ops(history(h, h->last)->ops));
        during.may = true;
        during.snapshot = s->snapshot = held;
        break;
    case 'Y':
        held = add_history(h, copy_ops(history(h, s->snapshot)->ops));
        during.disk[1] = held;
        if (op->ret == 0) {
            s->disk[0] = h->last = held;
        } else if (event->gone) {
            /* Nobody knows, and nothing comes after it. */
            s->disk[1] = held;
        }
        break;
    default:
        during.must = false;
        break;
    }
    g_array_append_val(h->stretches, during);
    s->from = op->ack;
    s->may = event->there || event->gone;
    s->must = event->there && !event->gone;
    g_array_append_val(h->stretches, *s);
}

Histories *histories_new(const Run *run, char *why, size_t whylen)
{
    Histories *h = g_new0(Histories, 1);
    Stretch s = { .disk = { 0, -1 }, .snapshot = -1 };
    unsigned next = 0;

    h->all = g_array_new(false, true, sizeof(History));
    h->stretches = g_array_new(false, true, sizeof(Stretch));
    add_history(h, g_array_new(false, true, sizeof(OracleOp)));
    g_array_append_val(h->stretches, s);
    for (unsigned i = 0; i < run->ops->len; i++) {
        const OracleOp *op = &g_array_index(run->ops, OracleOp, i);
        const SnapEvent *event = next < run->snaps->len ?
            &g_array_index(run->snaps, SnapEvent, next) : NULL;

        g_array_append_val(history(h, h->last)->ops, *op);
        if (event && event->op == i) {
            add_event(h, &s, event, op);
            next++;
        }
    }
    for (unsigned i = 0; i < h->all->len; i++) {
        History *n = history(h, i);

        n->o = oracle_new(run->zones, run->nr_zones,
                          (OracleOp *)n->ops->data, n->ops->len,
                          (int)i == h->last ? run->final : NULL, why, whylen);
        if (!n->o) {
            histories_free(h);
            return NULL;
        }
    }
    return h;
}

void histories_free(Histories *h)
{
    for (unsigned i = 0; i < h->all->len; i++) {
        if (history(h, i)->o) {
            oracle_free(history(h, i)->o);
        }
        g_array_free(history(h, i)->ops, true);
    }
    g_array_free(h->all, true);
    g_array_free(h->stretches, true);
    g_free(h);
}

void histories_next_disk(Histories *h)
{
    for (unsigned i = 0; i < h->all->len; i++) {
        oracle_next_disk(history(h, i)->o);
    }
}

bool histories_crash(Histories *h, int from, int to, const OracleSeen *seen,
                     char *why, size_t whylen)
{
    for (unsigned i = 0; i < h->stretches->len; i++) {
        const Stretch *s = stretch(h, i);
        int a = MAX(from, s->from);
        int b = MIN(to, stretch_end(h, i));

        if (a <= b &&
            !oracle_crash(history(h, s->disk[0])->o, a, b, seen, why,
                          whylen) &&
            (s->disk[1] < 0 ||
             !oracle_crash(history(h, s->disk[1])->o, a, b, seen, why,
                           whylen))) {
            return false;
        }
    }
    return true;
}

bool histories_live(Histories *h, int t, const OracleSeen *seen, char *why,
                    size_t whylen)
{
    return oracle_live(history(h, h->last)->o, t, seen, why, whylen);
}

bool histories_reads(Histories *h, char *why, size_t whylen)
{
    for (unsigned i = 0; i < h->all->len; i++) {
        if (!oracle_reads(history(h, i)->o, why, whylen)) {
            return false;
        }
    }
    return true;
}

bool histories_snapshot_fits(const Histories *h, int from, int to, bool there,
                             char *why, size_t whylen)
{
    for (unsigned i = 0; i < h->stretches->len; i++) {
        const Stretch *s = stretch(h, i);

        if (MAX(from, s->from) <= MIN(to, stretch_end(h, i)) &&
            (there ? !s->may : s->must)) {
            snprintf(why, whylen, "the snapshot is %s", there ?
                     "there, and must not be" : "lost");
            return false;
        }
    }
    return true;
}

bool histories_snapshot(Histories *h, int from, const OracleSeen *seen,
                        char *why, size_t whylen)
{
    char text[300] = "there is none";
    unsigned i = 0;

    while (i + 1 < h->stretches->len && stretch(h, i + 1)->from <= from) {
        i++;
    }
    if (stretch(h, i)->snapshot >= 0) {
        Oracle *o = history(h, stretch(h, i)->snapshot)->o;

        oracle_next_disk(o);
        /* Nothing comes after the flush by which it was taken. */
        if (oracle_crash(o, ORACLE_NEVER - 1, ORACLE_NEVER - 1, seen, text,
                         sizeof(text))) {
            return true;
        }
    }
    snprintf(why, whylen, "in the snapshot: %s", text);
    return false;
}
