/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A naive model of a zoned disk, to compare the zone rules with
 *
 * Where the page of rules leaves something open, the model takes the reading
 * that is named in a comment with "Reading:".
 */
#include <assert.h>
#include <string.h>
#include "zone-model.h"

void model_init(Model *m, const ModelGeometry *g)
{
    int i;

    memset(m, 0, sizeof(*m));
    m->g = *g;
    m->nr = (g->disk + g->zone_size - 1) / g->zone_size;
    m->next_id = 1;
    assert(m->nr <= MODEL_MAX_ZONES && g->zone_size <= MODEL_MAX_SECTORS);
    for (i = 0; i < m->nr; i++) {
        m->zone[i].state = i < g->conventional ? M_CONVENTIONAL : M_EMPTY;
    }
}

int model_length(const Model *m, int i)
{
    int left = m->g.disk - i * m->g.zone_size;

    return left < m->g.zone_size ? left : m->g.zone_size;
}

int model_capacity(const Model *m, int i)
{
    int len = model_length(m, i);

    return len < m->g.capacity ? len : m->g.capacity;
}

void model_load(Model *m, int i, int wp)
{
    m->zone[i].wp = wp;
    m->zone[i].state = wp == 0 ? M_EMPTY :
                       wp == model_capacity(m, i) ? M_FULL : M_CLOSED;
    model_forget_frontier(m, i);
}

void model_wear(Model *m, int i, ModelState state)
{
    m->zone[i].state = state;
}

static int count(const Model *m, ModelState state)
{
    int i, n = 0;

    for (i = 0; i < m->nr; i++) {
        n += m->zone[i].state == state;
    }
    return n;
}

int model_open(const Model *m)
{
    return count(m, M_IMPLICIT) + count(m, M_EXPLICIT);
}

int model_active(const Model *m)
{
    return model_open(m) + count(m, M_CLOSED);
}

static void close_zone(ModelZone *z, bool zns)
{
    /*
     * Reading: what the page says of an explicitly open zone with nothing
     * written holds for an implicitly open one whose writes all failed; and
     * one that is closed to make room takes the reading that frees a slot.
     */
    z->state = z->wp == 0 && !zns ? M_EMPTY : M_CLOSED;
}

/* "Before a zone becomes active or open ..." */
static ModelResult make_room(Model *m, ModelState from)
{
    int open_limit = m->g.max_open ? m->g.max_open : m->g.max_active;
    int i, oldest = -1;

    if (from == M_EMPTY && m->g.max_active &&
        model_active(m) >= m->g.max_active) {
        return M_TOO_ACTIVE;
    }
    if (!open_limit || model_open(m) < open_limit) {
        return M_OK;
    }
    for (i = 0; i < m->nr; i++) {
        if (m->zone[i].state == M_IMPLICIT &&
            (oldest < 0 ||
             m->zone[i].last_write < m->zone[oldest].last_write)) {
            oldest = i;
        }
    }
    if (oldest < 0) {
        return M_TOO_OPEN;
    }
    close_zone(&m->zone[oldest], false);
    return M_OK;
}

ModelWrite *model_find(const Model *m, int id)
{
    int k;

    for (k = 0; k < m->nr_writes; k++) {
        if (m->write[k].id == id) {
            return (ModelWrite *)&m->write[k];
        }
    }
    assert(!"no such write");
    return NULL;
}

static int zone_of(const Model *m, const ModelWrite *w)
{
    return w->start / m->g.zone_size;
}

/* End of @w, from the start of its zone */
static int end_of(const Model *m, const ModelWrite *w)
{
    return w->start % m->g.zone_size + w->len;
}

static void set_owner(Model *m, const ModelWrite *w, int owner)
{
    ModelZone *z = &m->zone[zone_of(m, w)];
    int s;

    for (s = w->start % m->g.zone_size; s < end_of(m, w); s++) {
        z->owner[s] = owner;
    }
}

static ModelResult state_says(ModelState state)
{
    return state == M_FULL ? M_ZONE_FULL :
           state == M_READ_ONLY ? M_ZONE_READ_ONLY :
           state == M_OFFLINE ? M_ZONE_OFFLINE : M_OK;
}

/* At the write pointer, within the capacity */
static ModelResult take(Model *m, int i, int len, int *id)
{
    ModelZone *z = &m->zone[i];
    ModelWrite *w;

    if (z->state == M_EMPTY || z->state == M_CLOSED) {
        /* Reading: also a write that fills the zone opens it first. */
        ModelResult r = make_room(m, z->state);

        if (r != M_OK) {
            return r;
        }
        z->state = M_IMPLICIT;
    }
    w = &m->write[m->nr_writes++];
    *w = (ModelWrite) {
        .id = m->next_id++, .start = i * m->g.zone_size + z->wp, .len = len,
        .stage = M_ACCEPTED,
    };
    set_owner(m, w, w->id);
    z->wp += len;
    z->last_write = ++m->clock;
    if (z->wp == model_capacity(m, i)) {
        z->state = M_FULL;
    }
    *id = w->id;
    return M_OK;
}

ModelResult model_write(Model *m, int at, int len, int *id)
{
    int first = at / m->g.zone_size;
    int i = first < m->g.conventional ? m->g.conventional : first;
    int start = i * m->g.zone_size;
    int from = at < start ? start : at;     /* the part in sequential zones */
    ModelZone *z = &m->zone[i];
    ModelResult r;

    *id = 0;
    if (at + len <= m->g.conventional * m->g.zone_size) {
        return M_OK;
    }

    r = state_says(z->state);
    if (r != M_OK) {
        return r;
    }
    if (from != start + z->wp) {
        return M_UNALIGNED;
    }
    if (first != i || at + len > start + model_capacity(m, i)) {
        return M_BOUNDARY;
    }
    return take(m, i, len, id);
}

ModelResult model_append(Model *m, int at, int len, int *id, int *where)
{
    int i = at / m->g.zone_size;
    ModelZone *z = &m->zone[i];
    ModelResult r;

    *id = 0;
    if (len == 0) {
        return M_MALFORMED;
    }
    if (at >= m->g.disk || at % m->g.zone_size ||
        z->state == M_CONVENTIONAL || len > m->g.max_append) {
        return M_BAD_APPEND;
    }
    r = state_says(z->state);
    if (r != M_OK) {
        return r;
    }
    if (z->wp + len > model_capacity(m, i)) {
        return M_BOUNDARY;
    }
    *where = at + z->wp;
    return take(m, i, len, id);
}

bool model_blocked(const Model *m, int i)
{
    int k;

    for (k = 0; k < m->nr_writes; k++) {
        const ModelWrite *w = &m->write[k];

        /* One that is stuck, or above such, has failed but for its answer. */
        if (zone_of(m, w) == i &&
            (w->stage == M_FAILED || (w->stage == M_ACCEPTED && w->error))) {
            return true;
        }
    }
    return m->zone[i].pending;
}

/* All from @wp up is as if it had never been accepted. */
static void go_back(Model *m, int i, int wp)
{
    ModelZone *z = &m->zone[i];
    int s;

    z->wp = wp;
    for (s = wp; s < m->g.zone_size; s++) {
        z->owner[s] = 0;
        z->made[s] = false;
    }
    /* Reading: only a zone that is not open leaves its state by this. */
    if (z->state == M_FULL || z->state == M_CLOSED) {
        z->state = wp == 0 ? M_EMPTY : M_CLOSED;
    }
}

/* "As soon as a write above it is complete" */
static bool complete_one_above(const Model *m, const ModelWrite *w)
{
    const ModelZone *z = &m->zone[zone_of(m, w)];
    int s;

    for (s = end_of(m, w); s < z->wp; s++) {
        if (!z->owner[s]) {
            return true;
        }
    }
    return false;
}

/* "If it is the last one accepted, or all above it have failed too" */
static bool all_failed_from(const Model *m, const ModelWrite *w)
{
    const ModelZone *z = &m->zone[zone_of(m, w)];
    int s;

    for (s = w->start % m->g.zone_size; s < z->wp; s++) {
        /*
         * Reading: one that is on its way to be zeros keeps its range, so that
         * it is not one of those that have failed.
         */
        if (!z->owner[s] || model_find(m, z->owner[s])->stage != M_FAILED) {
            return false;
        }
    }
    return true;
}

/* What becomes of the failed writes of zone @i? */
static void decide(Model *m, int i)
{
    const ModelWrite *lowest = NULL;
    int k, wp;

    for (k = 0; k < m->nr_writes; k++) {
        ModelWrite *w = &m->write[k];

        if (zone_of(m, w) != i || w->stage != M_FAILED) {
            continue;
        }
        if (complete_one_above(m, w)) {
            w->stage = M_ZEROS;
        } else if (all_failed_from(m, w) &&
                   (!lowest || w->start < lowest->start)) {
            lowest = w;
        }
    }
    if (!lowest) {
        return;
    }
    wp = lowest->start % m->g.zone_size;
    for (k = 0; k < m->nr_writes; k++) {
        ModelWrite *w = &m->write[k];

        if (zone_of(m, w) == i && w->stage == M_FAILED &&
            w->start % m->g.zone_size >= wp) {
            w->stage = M_GIVEN_BACK;
        }
    }
    go_back(m, i, wp);
}

void model_complete(Model *m, int id)
{
    ModelWrite *w = model_find(m, id);

    assert(w->stage == M_ACCEPTED || w->stage == M_ZEROS);
    w->stage = M_COMPLETE;
    set_owner(m, w, 0);
    decide(m, zone_of(m, w));
}

void model_fail(Model *m, int id)
{
    ModelWrite *w = model_find(m, id);

    assert(w->stage == M_ACCEPTED);
    w->stage = M_FAILED;
    decide(m, zone_of(m, w));
}

bool model_give_back(Model *m, int id)
{
    ModelWrite *w = model_find(m, id);
    int i = zone_of(m, w);

    assert(w->stage == M_COMPLETE);
    if (end_of(m, w) != m->zone[i].wp) {
        return false;
    }
    w->stage = M_GIVEN_BACK;
    go_back(m, i, w->start % m->g.zone_size);
    return true;
}

void model_end(Model *m, int id)
{
    ModelWrite *w = model_find(m, id);

    assert(w->stage == M_COMPLETE || w->stage == M_GIVEN_BACK);
    *w = m->write[--m->nr_writes];
}

/*** Turns ***/

static bool made_below(const Model *m, int i, int end)
{
    int s;

    for (s = 0; s < end; s++) {
        if (!m->zone[i].made[s]) {
            return false;
        }
    }
    return true;
}

bool model_has_turn(const Model *m, int id)
{
    const ModelWrite *w = model_find(m, id);

    return made_below(m, zone_of(m, w), w->start % m->g.zone_size);
}

bool model_is_ready(const Model *m, int id)
{
    const ModelWrite *w = model_find(m, id);

    return made_below(m, zone_of(m, w), end_of(m, w));
}

void model_ready(Model *m, int id, int frontier)
{
    ModelZone *z = &m->zone[zone_of(m, model_find(m, id))];
    int s;

    for (s = 0; s < frontier; s++) {
        z->made[s] = true;
    }
}

void model_stuck(Model *m, int id, int error)
{
    const ModelWrite *w = model_find(m, id);
    int k;

    for (k = 0; k < m->nr_writes; k++) {
        ModelWrite *above = &m->write[k];

        if (zone_of(m, above) == zone_of(m, w) && above->start >= w->start &&
            above->stage != M_GIVEN_BACK) {
            above->error = error;
        }
    }
}

int model_frontier(const Model *m, int i)
{
    int s = 0;

    while (s < m->g.zone_size && m->zone[i].made[s]) {
        s++;
    }
    return s;
}

void model_forget_frontier(Model *m, int i)
{
    int s;

    for (s = 0; s < m->g.zone_size; s++) {
        m->zone[i].made[s] = s < m->zone[i].wp;
    }
}

/*** What can be asked ***/

int model_in_flight(const Model *m, int i)
{
    int k, n = 0;

    for (k = 0; k < m->nr_writes; k++) {
        n += zone_of(m, &m->write[k]) == i;
    }
    return n;
}

int model_complete_end(const Model *m, int i)
{
    const ModelZone *z = &m->zone[i];
    int s = 0;

    while (s < z->wp && !z->owner[s]) {
        s++;
    }
    return s;
}

int model_acknowledged(const Model *m, int i)
{
    const ModelZone *z = &m->zone[i];
    int s = z->wp;

    while (s > 0 && z->owner[s - 1]) {
        s--;
    }
    return s;
}

int model_read(const Model *m, int sector)
{
    const ModelZone *z = &m->zone[sector / m->g.zone_size];
    int s = sector % m->g.zone_size;

    if (z->state == M_CONVENTIONAL) {
        return 1;
    }
    if (z->state == M_OFFLINE) {
        return -1;
    }
    return s < z->wp && !z->owner[s];
}

/* Table of transitions: may this be? */
static bool allowed(ModelOp op, ModelState state)
{
    switch (op) {
    case M_OPEN:
        return state == M_EMPTY || state == M_IMPLICIT ||
               state == M_EXPLICIT || state == M_CLOSED;
    case M_CLOSE:
        return state == M_IMPLICIT || state == M_EXPLICIT || state == M_CLOSED;
    default:
        return state != M_CONVENTIONAL && state != M_READ_ONLY &&
               state != M_OFFLINE;
    }
}

/* All zones at once: is this one meant? */
static bool meant(ModelOp op, ModelState state)
{
    switch (op) {
    case M_OPEN:
        return state == M_CLOSED;
    case M_CLOSE:
        return state == M_IMPLICIT || state == M_EXPLICIT;
    case M_FINISH:
        return state == M_IMPLICIT || state == M_EXPLICIT || state == M_CLOSED;
    default:
        return state == M_IMPLICIT || state == M_EXPLICIT ||
               state == M_CLOSED || state == M_FULL;
    }
}

ModelResult model_op_check(const Model *m, ModelOp op, bool *all, int at,
                           int len, bool chosen[MODEL_MAX_ZONES])
{
    int i;

    memset(chosen, 0, MODEL_MAX_ZONES * sizeof(chosen[0]));
    /* "A reset of the whole device means ALL." */
    *all = *all || (op == M_RESET && at == 0 && len == m->g.disk);
    if (*all) {
        for (i = 0; i < m->nr; i++) {
            chosen[i] = meant(op, m->zone[i].state);
        }
        return M_OK;
    }
    if (len <= 0 || at < 0 || at + len > m->g.disk || at % m->g.zone_size ||
        (at + len != m->g.disk && (at + len) % m->g.zone_size)) {
        return M_MALFORMED;
    }
    for (i = 0; i < m->nr; i++) {
        int start = i * m->g.zone_size;

        chosen[i] = start >= at && start < at + len;
        if (chosen[i] && !allowed(op, m->zone[i].state)) {
            return M_BAD_TRANSITION;
        }
    }
    return M_OK;
}

ModelResult model_op_open(Model *m, bool all,
                          const bool chosen[MODEL_MAX_ZONES])
{
    Model before = *m;
    int i;

    for (i = 0; i < m->nr; i++) {
        ModelZone *z = &m->zone[i];

        if (!chosen[i] || (all && z->pending)) {
            continue;
        }
        if (z->state == M_EMPTY || z->state == M_CLOSED) {
            ModelResult r = make_room(m, z->state);

            if (r != M_OK) {
                if (all) {
                    *m = before;
                }
                return r;
            }
        }
        z->state = M_EXPLICIT;
    }
    return M_OK;
}

void model_op_close(Model *m, bool all, bool zns,
                    const bool chosen[MODEL_MAX_ZONES])
{
    int i;

    for (i = 0; i < m->nr; i++) {
        ModelZone *z = &m->zone[i];

        if (chosen[i] && !(all && z->pending) && z->state != M_CLOSED) {
            close_zone(z, zns);
        }
    }
}

bool model_op_begin(Model *m, ModelOp op, bool all, int i)
{
    ModelZone *z = &m->zone[i];

    assert(!z->pending);
    /*
     * Reading: whatever has become of a zone since it was looked at, nothing
     * is to be done where it is not meant, and for a reset where it is Empty.
     */
    z->pending = all ? meant(op, z->state) :
                 allowed(op, z->state) &&
                 !(op == M_RESET && z->state == M_EMPTY);
    return z->pending;
}

void model_op_end(Model *m, ModelOp op, int i, bool ok)
{
    ModelZone *z = &m->zone[i];
    int s;

    z->pending = false;
    /* What was made ahead is no more, however it has ended. */
    for (s = z->wp; s < m->g.zone_size; s++) {
        z->made[s] = false;
    }
    if (!ok) {
        return;
    }
    assert(!model_in_flight(m, i));
    z->generation++;
    if (op == M_FINISH) {
        z->wp = model_capacity(m, i);
        z->state = M_FULL;
    } else {
        z->wp = 0;
        z->state = M_EMPTY;
    }
    model_forget_frontier(m, i);
}
