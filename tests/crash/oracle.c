/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a crash may leave of a zoned disk: an independent judge
 *
 * See oracle.h.  A sequential zone is a chain of lives; each ends with a
 * reset.  In one life every byte is written at most once, so a life has one
 * picture, and a crash leaves a front part of it: from what had to be durable
 * up to what had been asked for.
 *
 * A write that failed is not in the picture.  Either the write pointer went
 * back below it, and what came next has its place; or something above it was
 * complete, and its range stays, as a gap between those that succeeded, which
 * failed writes fill without rest.  A gap holds zeros; the data of a write with
 * FUA, which fails when its data is in and cannot be made durable; anything,
 * where more than one operation on the file has failed under the write (its
 * zeros may be among them).  One with FUA that was given back may have been
 * published by the flush that failed: then a crash shows it whole, as a ghost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

typedef struct Life {
    int reset;                  /* index of the op that began it, or -1 */
    uint8_t *pic;               /* the zone's bytes, up to its capacity */
    uint64_t end;               /* relative: where its writes end */
    uint64_t top;               /* ... and those that failed and stay */
    bool loose;                 /* sectors have more than one legal value */
    /* Of the disk that is looked at */
    int seen;                   /* -1 not compared, 0 differs, 1 same */
    uint64_t seen_bad;
    int zeros_until;            /* see zone_matches() */
} Life;

/* One order of the operations that explains their results */
typedef struct Story {
    Life *life;
    int nr_lives;
    int *op_life;               /* the life each belongs to; -1 none */
} Story;

#define MAX_STORIES 24

typedef struct Zone {
    OracleZone z;
    int *op;                    /* indices of those that touch this zone */
    int nr_ops;
    /*
     * Requests under way together may have been taken in several orders; the
     * zone is right if one of them fits.  The first has them as submitted.
     */
    Story story[MAX_STORIES];
    int nr_stories;
    int nr_failed;              /* writes that began, and failed */
    bool have_final;
    uint64_t final;             /* absolute */
    /* The one that is looked at */
    Life *life;
    int nr_lives;
    int *op_life;
    int above;                  /* zeros above wp: -1 not looked at yet */
} Zone;

struct Oracle {
    Zone *zone;
    unsigned nr_zones;
    const OracleOp *ops;
    unsigned nr_ops;
    uint64_t disk;
};

void oracle_pattern(uint8_t *buf, unsigned id, uint64_t offset,
                    uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i += 8) {
        uint64_t v = 0;

        if (id) {
            v = ((uint64_t)id << 40) ^
                ((offset + i + 8) * 0x9e3779b97f4a7c15ull);
        }
        memcpy(buf + i, &v, 8);
    }
}

/* What @op writes at the disk's byte @at. */
static void op_data(const OracleOp *op, uint8_t *buf, uint64_t at,
                    uint64_t bytes)
{
    oracle_pattern(buf, op->type == ORACLE_WRITE ? op->id : 0,
                   op->made_for + (at - op->offset), bytes);
}

/* Whose data is the word at @p, which stands at the disk's byte @offset? */
static void describe_word(const uint8_t *p, uint64_t offset, char *buf,
                          size_t len)
{
    uint64_t v;

    memcpy(&v, p, 8);
    if (!v) {
        snprintf(buf, len, "zeros");
        return;
    }
    if (v == 0xddddddddddddddddull) {
        snprintf(buf, len, "discarded bytes");
        return;
    }
    v ^= (offset + 8) * 0x9e3779b97f4a7c15ull;
    if (!(v & ((1ull << 40) - 1))) {
        snprintf(buf, len, "data of request %u", (unsigned)(v >> 40));
    } else {
        snprintf(buf, len, "foreign bytes");
    }
}

static bool all_zero(const uint8_t *p, uint64_t bytes)
{
    return bytes == 0 ||
           (p[0] == 0 && (bytes == 1 || memcmp(p, p + 1, bytes - 1) == 0));
}

static void use_story(Zone *z, int k)
{
    z->life = z->story[k].life;
    z->nr_lives = z->story[k].nr_lives;
    z->op_life = z->story[k].op_life;
}

static bool op_in_zone(const OracleOp *op, const Zone *z, unsigned i)
{
    switch (op->type) {
    case ORACLE_WRITE:
    case ORACLE_ZEROES:
    case ORACLE_DISCARD:
        return op->offset < z->z.start + z->z.length &&
               op->offset + op->bytes > z->z.start;
    case ORACLE_FINISH:
    case ORACLE_RESET:
        return i >= op->first && i < op->first + op->nr;
    default:
        return false;
    }
}

static bool is_write(const OracleOp *op)
{
    return op->type == ORACLE_WRITE || op->type == ORACLE_ZEROES;
}

/* Order of a zone's operations */

static bool add_story(Oracle *o, Zone *z, const int *order, int nr);

typedef struct Search {
    Oracle *o;
    Zone *z;
    bool *taken;
    bool *late;                 /* failed, and taken all the same */
    int *order;
    int nr;                     /* operations to be put in order */
    int len;                    /* of @order, with some that failed */
    long steps;
} Search;

/* A write that began, and failed */
static bool is_failed_write(const OracleOp *op)
{
    return is_write(op) && op->ret && !op->refused;
}

/* Failed writes that lie end to end from some place on */
typedef struct Tiles {
    const Oracle *o;
    const Zone *z;
    const OracleOp *above;      /* lies above them and succeeded, or NULL */
    uint64_t to;                /* where they have to end, or limit of @best */
    uint64_t best;              /* the highest end found; @from: none */
    bool *used;
    int steps;
} Tiles;

/*
 * May the failed writes that are @used keep their place?  Only below one that
 * was complete: @above, or one with FUA that failed all the same.
 */
static bool may_stay(const Tiles *t, uint64_t end)
{
    for (int i = 0; i < t->z->nr_ops; i++) {
        const OracleOp *op = &t->o->ops[t->z->op[i]];

        if (!is_failed_write(op)) {
            continue;
        }
        if (t->used[i] ? op->fua || (t->above && op->ack > t->above->submit) :
            op->fua && (op->nowhere || op->offset >= end)) {
            return true;
        }
    }
    return false;
}

static void tile_from(Tiles *t, uint64_t at)
{
    if (at > t->best && may_stay(t, at)) {
        t->best = at;
    }
    if (++t->steps > 5000) {
        return;
    }
    for (int i = 0; i < t->z->nr_ops && t->best < t->to; i++) {
        const OracleOp *op = &t->o->ops[t->z->op[i]];

        if (t->used[i] || !is_failed_write(op) || at + op->bytes > t->to ||
            op->no_gap || (!op->nowhere && op->offset != at) ||
            (t->above && op->submit > t->above->ack)) {
            continue;
        }
        t->used[i] = true;
        tile_from(t, at + op->bytes);
        t->used[i] = false;
    }
}

/*
 * Up to where, at most @to, may failed writes lie end to end from @from on,
 * below the successful @above if there is one?
 */
static uint64_t tiles_end(const Oracle *o, const Zone *z, uint64_t from,
                          uint64_t to, const OracleOp *above)
{
    Tiles t = { .o = o, .z = z, .above = above, .to = to, .best = from };

    if (z->nr_failed && from < to) {
        t.used = calloc(z->nr_ops + 1, sizeof(bool));
        tile_from(&t, from);
        free(t.used);
    }
    return t.best;
}

/* May failed writes lie in just @from .. @to? */
static bool may_be_gap(const Oracle *o, const Zone *z, uint64_t from,
                       uint64_t to, const OracleOp *above)
{
    Tiles t = { .o = o, .z = z, .above = above, .to = to, .best = to - 1 };

    if (!z->nr_failed || from >= to) {
        return from == to;
    }
    t.used = calloc(z->nr_ops + 1, sizeof(bool));
    tile_from(&t, from);
    free(t.used);
    return t.best == to;
}

/*
 * Find the orders of the operations that began (all successful ones) in which
 * each could give the result it gave: B comes after A where A was answered
 * before B was asked for.  The order of submission is tried first, and is
 * nearly always it.  True: there are enough.
 */
static bool search_order(Search *s, int done, uint64_t wp)
{
    const Zone *z = s->z;
    uint64_t cap = z->z.start + z->z.capacity;

    if (done == s->nr &&
        (!z->have_final || may_be_gap(s->o, z, wp, z->final, NULL)) &&
        add_story(s->o, s->z, s->order, s->len)) {
        return true;
    }
    if (++s->steps > 20000) {
        return false;
    }
    for (int i = 0; i < z->nr_ops; i++) {
        const OracleOp *op = &s->o->ops[z->op[i]];
        bool first = true;
        uint64_t next = wp;

        if (s->taken[i]) {
            continue;
        }
        for (int j = 0; j < z->nr_ops; j++) {
            if (!s->taken[j] && s->o->ops[z->op[j]].ack < op->submit) {
                first = false;
                break;
            }
        }
        if (!first) {
            continue;
        }
        switch (op->type) {
        case ORACLE_WRITE:
        case ORACLE_ZEROES:
            if (op->offset + op->bytes > cap) {
                continue;
            }
            if (!may_be_gap(s->o, z, wp, op->offset, op)) {
                continue;
            }
            next = op->offset + op->bytes;
            break;
        case ORACLE_FINISH:
            next = cap;
            break;
        case ORACLE_RESET:
            next = z->z.start;
            break;
        default:
            break;
        }
        s->taken[i] = true;
        s->order[s->len++] = i;
        if (search_order(s, done + 1, next)) {
            return true;
        }
        s->len--;
        s->taken[i] = false;
    }
    /*
     * Without a write cache an operation may be done, and fail all the same,
     * because of the flush that follows it.
     */
    for (int i = 0; i < z->nr_ops; i++) {
        const OracleOp *op = &s->o->ops[z->op[i]];

        if (s->late[i] || !op->ret || op->refused || !op->fua ||
            (op->type != ORACLE_RESET && op->type != ORACLE_FINISH)) {
            continue;
        }
        s->late[i] = true;
        s->order[s->len++] = i;
        if (search_order(s, done, op->type == ORACLE_RESET ? z->z.start :
                         cap)) {
            return true;
        }
        s->len--;
        s->late[i] = false;
    }
    return false;
}

static void life_begin(Zone *z, int reset)
{
    Life *l;

    z->life = realloc(z->life, (z->nr_lives + 1) * sizeof(Life));
    l = &z->life[z->nr_lives++];
    memset(l, 0, sizeof(*l));
    l->reset = reset;
    l->pic = calloc(1, z->z.capacity);
    l->seen = -1;
}

/*
 * Remember what came of it if the operations were taken in this order, unless
 * that is known.  True: no more can be remembered.
 */
static bool add_story(Oracle *o, Zone *z, const int *order, int nr)
{
    int *op_life = calloc(z->nr_ops + 1, sizeof(int));
    int lives = 1;

    for (int j = 0; j < z->nr_ops; j++) {
        op_life[j] = -1;
    }
    for (int k = 0; k < nr; k++) {
        lives += o->ops[z->op[order[k]]].type == ORACLE_RESET;
        op_life[order[k]] = lives - 1;
    }
    for (int k = 0; k < z->nr_stories; k++) {
        if (!memcmp(z->story[k].op_life, op_life, z->nr_ops * sizeof(int))) {
            free(op_life);
            return false;
        }
    }
    z->life = NULL;
    z->nr_lives = 0;
    life_begin(z, -1);
    for (int k = 0; k < nr; k++) {
        const OracleOp *op = &o->ops[z->op[order[k]]];
        Life *l = &z->life[z->nr_lives - 1];
        uint64_t rel = op->offset - z->z.start;

        if (op->type == ORACLE_RESET) {
            life_begin(z, z->op[order[k]]);
        } else if (is_write(op)) {
            op_data(op, l->pic + rel, op->offset, op->bytes);
            if (rel + op->bytes > l->end) {
                l->end = rel + op->bytes;
            }
        }
    }
    /* What failed belongs to any life that it may have reached. */
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];

        if (!op->ret || op->refused ||
            (!is_write(op) && op->type != ORACLE_FINISH)) {
            continue;
        }
        for (int k = 0; k < z->nr_lives; k++) {
            z->life[k].loose = true;
        }
    }
    for (int k = 0; k < z->nr_lives; k++) {
        Life *l = &z->life[k];

        if (z->have_final && k == z->nr_lives - 1) {
            l->top = z->final - z->z.start;
        } else {
            l->top = tiles_end(o, z, z->z.start + l->end,
                               z->z.start + z->z.capacity, NULL) -
                     z->z.start;
        }
    }
    z->story[z->nr_stories++] = (Story) { z->life, z->nr_lives, op_life };
    return z->nr_stories == MAX_STORIES;
}

static bool zone_history(Oracle *o, unsigned i, const uint64_t *final,
                         char *why, size_t whylen)
{
    Zone *z = &o->zone[i];
    Search s = { .o = o, .z = z };

    if (z->z.conventional) {
        return true;
    }
    z->have_final = final;
    z->final = final ? final[i] : 0;
    for (int j = 0; j < z->nr_ops; j++) {
        z->nr_failed += is_failed_write(&o->ops[z->op[j]]);
    }
    s.taken = calloc(z->nr_ops + 1, sizeof(bool));
    s.late = calloc(z->nr_ops + 1, sizeof(bool));
    s.order = calloc(z->nr_ops + 1, sizeof(int));
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];

        if (op->ret || op->type == ORACLE_DISCARD) {
            s.taken[j] = true;
        } else {
            s.nr++;
        }
    }
    search_order(&s, 0, z->z.start);
    free(s.taken);
    free(s.late);
    free(s.order);
    if (!z->nr_stories) {
        snprintf(why, whylen, "zone %u: no order of its %d successful "
                 "operations explains their results%s (final write pointer "
                 "+0x%llx)", i, s.nr, s.steps > 20000 ? " (gave up)" : "",
                 final ? (unsigned long long)(final[i] - z->z.start) : 0ull);
        return false;
    }
    use_story(z, 0);
    return true;
}

Oracle *oracle_new(const OracleZone *zones, unsigned nr_zones,
                   const OracleOp *ops, unsigned nr_ops,
                   const uint64_t *final, char *why, size_t whylen)
{
    Oracle *o = calloc(1, sizeof(*o));
    bool ok = true;

    o->zone = calloc(nr_zones, sizeof(Zone));
    o->nr_zones = nr_zones;
    o->ops = ops;
    o->nr_ops = nr_ops;
    for (unsigned i = 0; i < nr_zones; i++) {
        Zone *z = &o->zone[i];

        z->z = zones[i];
        z->op = calloc(nr_ops + 1, sizeof(int));
        o->disk = zones[i].start + zones[i].length;
        for (unsigned j = 0; j < nr_ops; j++) {
            if (op_in_zone(&ops[j], z, i)) {
                z->op[z->nr_ops++] = j;
            }
        }
        ok = ok && zone_history(o, i, final, why, whylen);
    }
    if (!ok) {
        oracle_free(o);
        return NULL;
    }
    return o;
}

void oracle_free(Oracle *o)
{
    if (!o) {
        return;
    }
    for (unsigned i = 0; i < o->nr_zones; i++) {
        Zone *z = &o->zone[i];

        for (int n = 0; n < z->nr_stories; n++) {
            for (int k = 0; k < z->story[n].nr_lives; k++) {
                free(z->story[n].life[k].pic);
            }
            free(z->story[n].life);
            free(z->story[n].op_life);
        }
        free(z->op);
    }
    free(o->zone);
    free(o);
}

void oracle_next_disk(Oracle *o)
{
    for (unsigned i = 0; i < o->nr_zones; i++) {
        Zone *z = &o->zone[i];

        z->above = -1;
        for (int n = 0; n < z->nr_stories; n++) {
            for (int k = 0; k < z->story[n].nr_lives; k++) {
                z->story[n].life[k].seen = -1;
            }
        }
    }
}

/*
 * The time at which a flush that covers everything answered by @acked was
 * itself answered, ORACLE_NEVER if none was.
 */
static int durable_at(const Oracle *o, int acked)
{
    int best = ORACLE_NEVER;

    for (unsigned i = 0; i < o->nr_ops; i++) {
        const OracleOp *op = &o->ops[i];

        if (op->type == ORACLE_FLUSH && !op->ret && op->submit > acked &&
            op->ack < best) {
            best = op->ack;
        }
    }
    return best;
}

/* When was successful write @op durable at the latest? */
static int write_durable_at(const Oracle *o, const OracleOp *op)
{
    int t = durable_at(o, op->ack);

    return op->fua && op->ack < t ? op->ack : t;
}

/*
 * Operation @op on zone @z has failed: may the zone be, at time @t, as it would
 * have left it?  Until the next flush, unless something has succeeded there
 * since: that comes upon the zone as it was.
 */
static bool failed_op_shows(const Oracle *o, const Zone *z,
                            const OracleOp *op, int t)
{
    if (!op->ret || op->refused || op->submit > t) {
        return false;
    }
    if (op->ack > t) {
        return true;
    }
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *next = &o->ops[z->op[j]];

        if (!next->ret && next->submit > op->ack && next->ack <= t &&
            (is_write(next) || next->type == ORACLE_RESET ||
             next->type == ORACLE_FINISH)) {
            return false;
        }
    }
    return durable_at(o, op->ack) > t;
}

/* Was there a finish that failed before @op was through? */
static bool after_failed_finish(const Oracle *o, const Zone *z,
                                const OracleOp *op)
{
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *before = &o->ops[z->op[j]];

        if (before->type == ORACLE_FINISH && before->ret &&
            !before->refused && before->submit < op->ack) {
            return true;
        }
    }
    return false;
}

/* Is the sector at @p one of what the failed write @op wrote to byte @at? */
static bool failed_data(const OracleOp *op, uint64_t at, const uint8_t *p)
{
    uint8_t want[ORACLE_SECTOR];

    if (!op->nowhere) {
        op_data(op, want, at, ORACLE_SECTOR);
        return !memcmp(p, want, ORACLE_SECTOR);
    }
    for (uint64_t s = 0; s < op->bytes; s += ORACLE_SECTOR) {
        op_data(op, want, op->offset + s, ORACLE_SECTOR);
        if (!memcmp(p, want, ORACLE_SECTOR)) {
            return true;
        }
    }
    return false;
}

/* May the failed write @op, if it keeps its place, leave this at @at? */
static bool failed_write_leaves(const OracleOp *op, uint64_t at,
                                const uint8_t *p)
{
    if (!op->nowhere && (at < op->offset || at >= op->offset + op->bytes)) {
        return false;
    }
    return op->failures > 1 || all_zero(p, ORACLE_SECTOR) ||
           (op->fua && failed_data(op, at, p));
}

/*
 * A sector below the write pointer (@full: which is at the capacity) that
 * differs from the life's picture.  It may be a failed write's, or what a
 * failed finish has left before a write came: then *@until says up to when.
 */
static bool sector_excused(const Oracle *o, const Zone *z, int life, bool full,
                           const uint8_t *p, uint64_t rel, int *until)
{
    uint64_t at = z->z.start + rel;
    const OracleOp *own = NULL;

    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];

        if (is_write(op) && !op->ret && z->op_life[j] == life &&
            at >= op->offset && at < op->offset + op->bytes) {
            own = op;
        }
    }
    if (own) {
        if (full && all_zero(p, ORACLE_SECTOR) &&
            after_failed_finish(o, z, own)) {
            if (own->ack < *until) {
                *until = own->ack;
            }
            return true;
        }
        return false;
    }
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];

        if (is_failed_write(op) && failed_write_leaves(op, at, p)) {
            return true;
        }
    }
    return false;
}

/* Does the zone show the front part of @life, up to its write pointer? */
static bool zone_matches(const Oracle *o, const Zone *z, int life,
                         uint64_t wp, const uint8_t *data)
{
    Life *l = &z->life[life];
    uint64_t below = wp - z->z.start;
    const uint8_t *d = data + z->z.start;

    if (l->seen >= 0) {
        return l->seen;
    }
    l->seen = 1;
    l->zeros_until = ORACLE_NEVER;
    if (!memcmp(d, l->pic, below)) {
        return true;
    }
    for (uint64_t s = 0; s < below; s += ORACLE_SECTOR) {
        if (!memcmp(d + s, l->pic + s, ORACLE_SECTOR)) {
            continue;
        }
        if (l->loose && sector_excused(o, z, life, below == z->z.capacity,
                                       d + s, s, &l->zeros_until)) {
            continue;
        }
        l->seen = 0;
        l->seen_bad = s;
        break;
    }
    return l->seen;
}

/*
 * Where on the disk that is looked at the failed write @op would lie, if it
 * shows there; it goes by its first sector.
 */
static bool ghost_place(const Zone *z, const OracleOp *op, uint64_t wp,
                        const uint8_t *data, uint64_t *place)
{
    uint8_t want[ORACLE_SECTOR];

    if (!op->nowhere) {
        *place = op->offset;
        return op->offset + op->bytes <= wp;
    }
    op_data(op, want, op->offset, ORACLE_SECTOR);
    for (uint64_t at = z->z.start; at + op->bytes <= wp;
         at += ORACLE_SECTOR) {
        if (!memcmp(data + at, want, ORACLE_SECTOR)) {
            *place = at;
            return true;
        }
    }
    return false;
}

/*
 * Does the zone show, at time @t, the front part of @life with ghosts on top?
 * They were under way together with @first, one of them; each shows whole, and
 * the pointer is at the end of one.
 */
static bool ghosts_match(const Oracle *o, const Zone *z, int life,
                         const OracleOp *first, int t, uint64_t hi,
                         uint64_t wp, const uint8_t *data)
{
    const Life *l = &z->life[life];
    uint64_t below = wp - z->z.start;
    uint8_t *pic = malloc(z->z.capacity);
    uint64_t base = below, end = 0;
    bool ok;

    memcpy(pic, l->pic, z->z.capacity);
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];
        uint64_t place, rel;

        if (!is_failed_write(op) || !op->fua || op->submit > first->ack ||
            op->ack < first->submit || !failed_op_shows(o, z, op, t) ||
            !ghost_place(z, op, wp, data, &place)) {
            continue;
        }
        rel = place - z->z.start;
        oracle_pattern(pic + rel, op->type == ORACLE_WRITE ? op->id : 0,
                       op->nowhere ? op->offset :
                       op->made_for, op->bytes);
        base = rel < base ? rel : base;
        end = rel + op->bytes > end ? rel + op->bytes : end;
    }
    ok = end == below && base <= hi;
    for (uint64_t s = 0; ok && s < below; s += ORACLE_SECTOR) {
        int until = ORACLE_NEVER;

        /* What lies below ghosts is as in the picture. */
        ok = !memcmp(data + z->z.start + s, pic + s, ORACLE_SECTOR) ||
             (s < base && sector_excused(o, z, life, false,
                                         data + z->z.start + s, s, &until));
    }
    free(pic);
    return ok;
}

static bool any_ghosts_match(const Oracle *o, const Zone *z, int life, int t,
                             uint64_t hi, uint64_t wp, const uint8_t *data)
{
    for (int j = 0; z->nr_failed && j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];

        if (is_failed_write(op) && op->fua && failed_op_shows(o, z, op, t) &&
            ghosts_match(o, z, life, op, t, hi, wp, data)) {
            return true;
        }
    }
    return false;
}

typedef struct Bounds {
    uint64_t lo, hi;            /* relative */
    bool full_ok;
} Bounds;

static void life_bounds(const Oracle *o, const Zone *z, int life, int t,
                        Bounds *b)
{
    const Life *l = &z->life[life];

    memset(b, 0, sizeof(*b));
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];
        uint64_t end = op->offset + op->bytes - z->z.start;

        if (op->submit > t) {
            continue;
        }
        if (is_write(op)) {
            if (op->ret) {
                /* If it has kept its place, a flush may have covered it. */
                if (!op->refused) {
                    end = op->nowhere || end > l->top ? l->top : end;
                    b->hi = end > b->hi ? end : b->hi;
                }
                continue;
            }
            if (z->op_life[j] != life) {
                continue;
            }
            if (end > b->hi) {
                b->hi = end;
            }
            if (end > b->lo && write_durable_at(o, op) <= t) {
                b->lo = end;
            }
        } else if (op->type == ORACLE_FINISH) {
            if (op->ret && z->op_life[j] < 0) {
                b->full_ok |= failed_op_shows(o, z, op, t);
            } else if (z->op_life[j] == life) {
                b->full_ok = true;
                if (op->ack <= t) {
                    b->lo = z->z.capacity;
                }
            }
        }
    }
    if (b->hi < b->lo && b->lo != z->z.capacity) {
        b->hi = b->lo;
    }
}

/* Is a reset that failed still able to show? */
static bool failed_reset_shows(const Oracle *o, const Zone *z, int t)
{
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];

        if (op->type == ORACLE_RESET && failed_op_shows(o, z, op, t)) {
            return true;
        }
    }
    return false;
}

static void say_difference(const Zone *z, int life, const uint8_t *data,
                           char *buf, size_t len)
{
    const Life *l = &z->life[life];
    uint64_t at = z->z.start + l->seen_bad;
    char has[64], wants[64];

    describe_word(data + at, at, has, sizeof(has));
    describe_word(l->pic + l->seen_bad, at, wants, sizeof(wants));
    snprintf(buf, len, "at +0x%llx is %s, should be %s",
             (unsigned long long)l->seen_bad, has, wants);
}

static bool seq_zone_story(Oracle *o, unsigned i, int t,
                           const OracleSeen *seen, char *why, size_t whylen)
{
    Zone *z = &o->zone[i];
    uint64_t wp = seen->wp[i];
    uint64_t rel = wp - z->z.start;
    uint64_t above = z->z.length - rel;
    int low = 0, high = 0;
    Bounds b;

    if (wp < z->z.start || rel > z->z.capacity || rel % ORACLE_SECTOR) {
        snprintf(why, whylen, "zone %u: write pointer 0x%llx is not in it", i,
                 (unsigned long long)wp);
        return false;
    }
    if (z->above < 0) {
        z->above = all_zero(seen->data + wp, above);
    }
    if (!z->above) {
        char has[64] = "";

        for (uint64_t s = 0; s < above; s += 8) {
            if (!all_zero(seen->data + wp + s, 8)) {
                describe_word(seen->data + wp + s, wp + s, has, sizeof(has));
                break;
            }
        }
        snprintf(why, whylen, "zone %u: %s above its write pointer +0x%llx",
                 i, has, (unsigned long long)rel);
        return false;
    }
    for (int k = 1; k < z->nr_lives; k++) {
        const OracleOp *op = &o->ops[z->life[k].reset];

        if (op->ack <= t) {
            low = k;
        }
        if (op->submit <= t) {
            high = k;
        }
    }
    if (rel == 0 && failed_reset_shows(o, z, t)) {
        return true;
    }
    for (int k = high; k >= low; k--) {
        life_bounds(o, z, k, t, &b);
        if (((rel >= b.lo && rel <= b.hi) ||
             (rel == z->z.capacity && b.full_ok)) &&
            zone_matches(o, z, k, wp, seen->data) &&
            z->life[k].zeros_until > t) {
            return true;
        }
        if (rel > b.lo &&
            any_ghosts_match(o, z, k, t, b.hi, wp, seen->data)) {
            return true;
        }
    }
    life_bounds(o, z, high, t, &b);
    if (low == high && (rel < b.lo || (rel > b.hi && !b.full_ok))) {
        snprintf(why, whylen, "zone %u: write pointer +0x%llx is %s "
                 "+0x%llx", i, (unsigned long long)rel,
                 rel < b.lo ? "below what is durable," :
                 "above what was ever asked for,",
                 (unsigned long long)(rel < b.lo ? b.lo : b.hi));
    } else {
        char diff[200] = "";

        if (z->life[high].seen == 0) {
            say_difference(z, high, seen->data, diff, sizeof(diff));
        }
        snprintf(why, whylen, "zone %u: write pointer +0x%llx fits none of "
                 "its lives %d to %d (of the last: +0x%llx to +0x%llx%s%s%s)",
                 i, (unsigned long long)rel, low, high,
                 (unsigned long long)b.lo, (unsigned long long)b.hi,
                 b.full_ok ? ", or full" : "", diff[0] ? "; " : "", diff);
    }
    return false;
}

static bool seq_zone_crash(Oracle *o, unsigned i, int t,
                           const OracleSeen *seen, char *why, size_t whylen)
{
    Zone *z = &o->zone[i];
    char other[8];

    for (int n = 0; n < z->nr_stories; n++) {
        use_story(z, n);
        if (seq_zone_story(o, i, t, seen, n ? other : why,
                           n ? sizeof(other) : whylen)) {
            use_story(z, 0);
            return true;
        }
    }
    use_story(z, 0);
    return false;
}

/*
 * A conventional zone is a plain disk: a sector holds what was last durable in
 * it, or anything that was written there since.  An unaligned discard may do
 * nothing, and until a flush nobody says what discarded bytes are.
 */
static bool conv_sector(const Oracle *o, const Zone *z, int t, uint64_t at,
                        const uint8_t *p, bool live)
{
    uint8_t want[ORACLE_SECTOR];
    int after = -1;             /* what was answered before this is gone */

    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];

        if (is_write(op) && !op->ret && op->ack <= t && at >= op->offset &&
            at < op->offset + op->bytes && op->submit > after &&
            (live || write_durable_at(o, op) <= t)) {
            after = op->submit;
        }
    }
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];

        if (op->submit > t || op->ack < after || at < op->offset ||
            at >= op->offset + op->bytes) {
            continue;
        }
        if (op->type == ORACLE_DISCARD) {
            if ((!live && durable_at(o, op->ack) > t) ||
                all_zero(p, ORACLE_SECTOR)) {
                return true;
            }
            continue;
        }
        if (op->refused) {
            continue;
        }
        op_data(op, want, at, ORACLE_SECTOR);
        if (!memcmp(p, want, ORACLE_SECTOR)) {
            return true;
        }
        if (!live && z->z.may_clear && all_zero(p, ORACLE_SECTOR) &&
            write_durable_at(o, op) > t) {
            return true;
        }
        if (op->ret) {
            /* Failed: it may be there in part, down to the byte. */
            return true;
        }
    }
    return after < 0 && all_zero(p, ORACLE_SECTOR);
}

static bool conv_zone(const Oracle *o, unsigned i, int t,
                      const OracleSeen *seen, bool live, char *why,
                      size_t whylen)
{
    const Zone *z = &o->zone[i];
    bool touched = z->nr_ops > 0;

    if (!touched && all_zero(seen->data + z->z.start, z->z.length)) {
        return true;
    }
    for (uint64_t s = 0; s < z->z.length; s += ORACLE_SECTOR) {
        const uint8_t *p = seen->data + z->z.start + s;
        char has[64];

        if (!conv_sector(o, z, t, z->z.start + s, p, live)) {
            describe_word(p, z->z.start + s, has, sizeof(has));
            snprintf(why, whylen, "conventional zone %u: %s at +0x%llx", i,
                     has, (unsigned long long)s);
            return false;
        }
    }
    return true;
}

static bool crash_at(Oracle *o, int t, const OracleSeen *seen, bool conv,
                     char *why, size_t whylen)
{
    for (unsigned i = 0; i < o->nr_zones; i++) {
        if (o->zone[i].z.conventional) {
            if (conv && !conv_zone(o, i, t, seen, false, why, whylen)) {
                return false;
            }
        } else if (!seq_zone_crash(o, i, t, seen, why, whylen)) {
            return false;
        }
    }
    return true;
}

bool oracle_crash(Oracle *o, int from, int to, const OracleSeen *seen,
                  char *why, size_t whylen)
{
    /* The verdict changes only where a request was made or answered. */
    if (!crash_at(o, from, seen, true, why, whylen)) {
        return false;
    }
    for (unsigned i = 0; i < o->nr_ops; i++) {
        int t[2] = { o->ops[i].submit, o->ops[i].ack };

        for (int k = 0; k < 2; k++) {
            bool conv = k == 1 && (o->ops[i].type == ORACLE_FLUSH ||
                                   o->ops[i].fua);

            if (t[k] > from && t[k] <= to &&
                !crash_at(o, t[k], seen, conv, why, whylen)) {
                return false;
            }
        }
    }
    return true;
}

static bool zone_live(Oracle *o, unsigned i, int t, const OracleSeen *seen,
                      char *why, size_t whylen)
{
    Zone *z = &o->zone[i];
    uint64_t wp = seen->wp[i];
    uint64_t rel = wp - z->z.start;
    uint64_t end = 0;
    int life = 0;

    if (wp < z->z.start || rel > z->z.capacity) {
        snprintf(why, whylen, "zone %u: write pointer 0x%llx is not in it", i,
                 (unsigned long long)wp);
        return false;
    }
    for (int k = 1; k < z->nr_lives; k++) {
        if (o->ops[z->life[k].reset].ack <= t) {
            life = k;
        }
    }
    for (int j = 0; j < z->nr_ops; j++) {
        const OracleOp *op = &o->ops[z->op[j]];
        uint64_t to = op->type == ORACLE_FINISH ? z->z.capacity :
                      is_write(op) ?
                      op->offset + op->bytes - z->z.start : 0;

        if (z->op_life[j] == life && op->ack <= t && to > end) {
            end = to;
        }
    }
    if (z->have_final ? wp != z->final && !z->z.conventional :
        rel < end || rel > z->life[life].top) {
        snprintf(why, whylen, "zone %u: write pointer +0x%llx, should be "
                 "+0x%llx", i, (unsigned long long)rel, (unsigned long long)
                 (z->have_final ? z->final - z->z.start : end));
        return false;
    }
    if (!zone_matches(o, z, life, wp, seen->data)) {
        char diff[200];

        say_difference(z, life, seen->data, diff, sizeof(diff));
        snprintf(why, whylen, "zone %u: %s", i, diff);
        return false;
    }
    if (!all_zero(seen->data + wp, z->z.length - rel)) {
        snprintf(why, whylen, "zone %u: not zeros above its write pointer "
                 "+0x%llx", i, (unsigned long long)rel);
        return false;
    }
    return true;
}

bool oracle_live(Oracle *o, int t, const OracleSeen *seen, char *why,
                 size_t whylen)
{
    for (unsigned i = 0; i < o->nr_zones; i++) {
        Zone *z = &o->zone[i];
        bool ok = false;
        char other[8];

        if (z->z.conventional) {
            if (!conv_zone(o, i, t, seen, true, why, whylen)) {
                return false;
            }
            continue;
        }
        for (int n = 0; n < z->nr_stories && !ok; n++) {
            use_story(z, n);
            ok = zone_live(o, i, t, seen, n ? other : why,
                           n ? sizeof(other) : whylen);
        }
        use_story(z, 0);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* What may a read under way from @s to @a see at the disk's byte @at? */
static bool read_sector(const Oracle *o, const Zone *z, const OracleOp *rd,
                        uint64_t at, const uint8_t *p)
{
    uint8_t want[ORACLE_SECTOR];
    int low = 0, high = 0;
    bool zero_ok = false;

    if (z->z.conventional) {
        for (int t = rd->submit; ; t = rd->ack) {
            if (conv_sector(o, z, t, at, p, true)) {
                return true;
            }
            if (t == rd->ack) {
                break;
            }
        }
        /* Torn by requests under way: anything they write may show. */
        for (int j = 0; j < z->nr_ops; j++) {
            const OracleOp *op = &o->ops[z->op[j]];

            if (op->submit < rd->ack && op->ack > rd->submit &&
                at >= op->offset && at < op->offset + op->bytes) {
                return true;
            }
        }
        return false;
    }
    for (int k = 1; k < z->nr_lives; k++) {
        const OracleOp *op = &o->ops[z->life[k].reset];

        if (op->ack <= rd->submit) {
            low = k;
        }
        if (op->submit <= rd->ack) {
            high = k;
        }
    }
    for (int k = low; k <= high; k++) {
        bool certain = false, failed = false;

        for (int j = 0; j < z->nr_ops; j++) {
            const OracleOp *op = &o->ops[z->op[j]];

            if (is_failed_write(op)) {
                if (op->submit < rd->ack && failed_write_leaves(op, at, p)) {
                    failed = true;
                }
                continue;
            }
            if (!is_write(op) || at < op->offset ||
                at >= op->offset + op->bytes || op->refused ||
                z->op_life[j] != k) {
                continue;
            }
            if (op->submit < rd->ack) {
                op_data(op, want, at, ORACLE_SECTOR);
                if (!memcmp(p, want, ORACLE_SECTOR)) {
                    return true;
                }
            }
            if (op->ack < rd->submit) {
                certain = true;
            }
        }
        if (failed && !certain) {
            return true;
        }
        zero_ok = zero_ok || !certain;
    }
    return zero_ok && all_zero(p, ORACLE_SECTOR);
}

bool oracle_reads(Oracle *o, char *why, size_t whylen)
{
    for (unsigned i = 0; i < o->nr_ops; i++) {
        const OracleOp *rd = &o->ops[i];

        if (rd->type != ORACLE_READ || rd->ret || !rd->data) {
            continue;
        }
        for (unsigned k = 0; k < o->nr_zones; k++) {
            Zone *z = &o->zone[k];
            uint64_t from = z->z.start > rd->offset ? z->z.start : rd->offset;
            uint64_t end = z->z.start + z->z.length;

            if (end > rd->offset + rd->bytes) {
                end = rd->offset + rd->bytes;
            }
            for (uint64_t at = from; at < end; at += ORACLE_SECTOR) {
                const uint8_t *p = rd->data + (at - rd->offset);

                bool ok = z->z.conventional && read_sector(o, z, rd, at, p);

                for (int n = 0; n < z->nr_stories && !ok; n++) {
                    use_story(z, n);
                    ok = read_sector(o, z, rd, at, p);
                }
                if (z->nr_stories) {
                    use_story(z, 0);
                }
                if (!ok) {
                    char has[64];

                    describe_word(p, at, has, sizeof(has));
                    snprintf(why, whylen, "read (request %u) saw %s in zone "
                             "%u at +0x%llx", rd->id, has, k,
                             (unsigned long long)(at - z->z.start));
                    return false;
                }
            }
        }
    }
    return true;
}
