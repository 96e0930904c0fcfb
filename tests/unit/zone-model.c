/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A naive model of a zoned disk, to hold the zone rules against
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
    int s;

    m->zone[i].wp = wp;
    m->zone[i].state = wp == 0 ? M_EMPTY :
                       wp == model_capacity(m, i) ? M_FULL : M_CLOSED;
    for (s = 0; s < wp; s++) {
        m->zone[i].done[s] = true;
    }
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

static ModelWrite *find(const Model *m, int id)
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

static void forget(Model *m, ModelWrite *w)
{
    set_owner(m, w, 0);
    *w = m->write[--m->nr_writes];
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
        .fate = M_FLIGHT,
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

/* "a write of exactly that range is admitted again" */
static ModelWrite *exact_hole(Model *m, int at, int len)
{
    int k;

    for (k = 0; k < m->nr_writes; k++) {
        ModelWrite *w = &m->write[k];

        if (w->start == at && w->len == len && w->fate != M_FLIGHT) {
            return w;
        }
    }
    return NULL;
}

ModelResult model_write(Model *m, int at, int len, int *id)
{
    int first = at / m->g.zone_size;
    int i = first < m->g.conventional ? m->g.conventional : first;
    int start = i * m->g.zone_size;
    int from = at < start ? start : at;     /* the part in sequential zones */
    ModelZone *z = &m->zone[i];
    ModelWrite *hole;
    ModelResult r;

    *id = 0;
    if (at + len <= m->g.conventional * m->g.zone_size) {
        return M_OK;
    }

    hole = exact_hole(m, at, len);
    if (hole && z->state != M_READ_ONLY && z->state != M_OFFLINE) {
        /* Reading: zeros on their way must not come after the data. */
        if (hole->fate == M_FILLING) {
            return M_WAIT;
        }
        /* Reading: it was accepted once, so no state changes. */
        hole->fate = M_FLIGHT;
        z->last_write = ++m->clock;
        *id = hole->id;
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

void model_write_end(Model *m, int id, bool ok)
{
    ModelWrite *w;
    ModelZone *z;
    bool again = true, back = false;
    int i, s, k;

    if (!id) {
        return;
    }
    w = find(m, id);
    i = zone_of(m, w);
    z = &m->zone[i];
    if (ok) {
        for (s = w->start % m->g.zone_size; s < end_of(m, w); s++) {
            z->done[s] = true;
        }
        forget(m, w);
        return;
    }

    w->fate = M_FAILED;
    w->zeros = false;
    /* Failed, last accepted: it and failed ones below give way. */
    while (again) {
        again = false;
        for (k = 0; k < m->nr_writes; k++) {
            w = &m->write[k];
            if (zone_of(m, w) == i && w->fate == M_FAILED &&
                end_of(m, w) == z->wp && !w->filled_once) {
                z->wp -= w->len;
                forget(m, w);
                again = back = true;
                break;
            }
        }
    }
    /* Reading: only a zone that is not open leaves its state by this. */
    if (back && (z->state == M_FULL || z->state == M_CLOSED)) {
        z->state = z->wp == 0 ? M_EMPTY : M_CLOSED;
    }
}

void model_write_placed(Model *m, int id)
{
    ModelWrite *w;
    int s;

    if (!id) {
        return;
    }
    /* Reading: like a filled hole, it lets the durable pointer pass. */
    w = find(m, id);
    w->filled_once = true;
    for (s = w->start % m->g.zone_size; s < end_of(m, w); s++) {
        m->zone[zone_of(m, w)].done[s] = true;
    }
}

/*
 * "A write that fails below others that succeeded leaves a hole"; so does one
 * that had been placed itself
 */
static bool below_a_completed_one(const Model *m, const ModelWrite *w)
{
    const ModelZone *z = &m->zone[zone_of(m, w)];
    int s;

    for (s = w->start % m->g.zone_size; s < m->g.zone_size; s++) {
        if (z->done[s]) {
            return true;
        }
    }
    return false;
}

static ModelWrite *lowest_hole(const Model *m, int i)
{
    const ModelWrite *best = NULL;
    int k;

    for (k = 0; k < m->nr_writes; k++) {
        const ModelWrite *w = &m->write[k];

        if (zone_of(m, w) == i && w->fate == M_FAILED && !w->zeros &&
            below_a_completed_one(m, w) && (!best || w->start < best->start)) {
            best = w;
        }
    }
    return (ModelWrite *)best;
}

bool model_has_hole(const Model *m, int i)
{
    return lowest_hole(m, i) != NULL;
}

int model_fill_begin(Model *m, int i)
{
    ModelWrite *w = lowest_hole(m, i);

    if (!w) {
        return 0;
    }
    w->fate = M_FILLING;
    return w->id;
}

void model_fill_end(Model *m, int id, bool ok)
{
    ModelWrite *w = find(m, id);

    w->fate = M_FAILED;
    if (ok) {
        w->zeros = true;
        w->filled_once = true;
    }
}

int model_in_flight(const Model *m, int i)
{
    int k, n = 0;

    for (k = 0; k < m->nr_writes; k++) {
        n += zone_of(m, &m->write[k]) == i && m->write[k].fate != M_FAILED;
    }
    return n;
}

int model_complete(const Model *m, int i)
{
    const ModelZone *z = &m->zone[i];
    int s;

    for (s = 0; s < z->wp; s++) {
        /*
         * Reading: a durable pointer that a fill has let pass never goes back,
         * whatever is written into the hole later.
         */
        if (z->owner[s] && !find(m, z->owner[s])->filled_once) {
            break;
        }
    }
    return s;
}

int model_acknowledged(const Model *m, int i)
{
    int s;

    for (s = m->zone[i].wp; s > 0 && !m->zone[i].done[s - 1]; s--) {
        continue;
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

static ModelResult act(Model *m, ModelOp op, bool zns, int i,
                       bool changes[MODEL_MAX_ZONES])
{
    ModelZone *z = &m->zone[i];

    switch (op) {
    case M_OPEN:
        if (z->state == M_EMPTY || z->state == M_CLOSED) {
            ModelResult r = make_room(m, z->state);

            if (r != M_OK) {
                return r;
            }
        }
        z->state = M_EXPLICIT;
        break;
    case M_CLOSE:
        if (z->state != M_CLOSED) {
            close_zone(z, zns);
        }
        break;
    case M_FINISH:
        /* Reading: a full zone that may still lose writes is not done yet. */
        if (z->state != M_FULL || model_complete(m, i) != z->wp) {
            changes[i] = z->pending = true;
        }
        break;
    case M_RESET:
        if (z->state != M_EMPTY) {
            changes[i] = z->pending = true;
        }
        break;
    }
    return M_OK;
}

ModelResult model_op(Model *m, ModelOp op, bool all, bool zns, int at, int len,
                     bool changes[MODEL_MAX_ZONES])
{
    bool chosen[MODEL_MAX_ZONES] = { false };
    Model before;
    int i;

    memset(changes, 0, MODEL_MAX_ZONES * sizeof(changes[0]));
    /* "A reset of the whole device means ALL." */
    all = all || (op == M_RESET && at == 0 && len == m->g.disk);
    if (all) {
        for (i = 0; i < m->nr; i++) {
            chosen[i] = meant(op, m->zone[i].state);
        }
    } else {
        if (len <= 0 || at < 0 || at + len > m->g.disk ||
            at % m->g.zone_size ||
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
    }

    if (all) {
        before = *m;
    }
    for (i = 0; i < m->nr; i++) {
        ModelResult r = chosen[i] ? act(m, op, zns, i, changes) : M_OK;

        if (r != M_OK) {
            if (all) {
                *m = before;
            }
            return r;
        }
    }
    return M_OK;
}

bool model_op_drained(const Model *m, const bool changes[MODEL_MAX_ZONES])
{
    int i;

    for (i = 0; i < m->nr; i++) {
        if (changes[i] && model_in_flight(m, i)) {
            return false;
        }
    }
    return true;
}

bool model_op_waits(const Model *m, int i, const bool changes[MODEL_MAX_ZONES])
{
    int k;

    for (k = 0; k < m->nr_writes; k++) {
        if (zone_of(m, &m->write[k]) == i) {
            return changes[i] && !model_op_drained(m, changes);
        }
    }
    return false;
}

void model_op_end(Model *m, ModelOp op, const bool changes[MODEL_MAX_ZONES],
                  bool ok)
{
    int i, s, k;

    for (i = 0; i < m->nr; i++) {
        ModelZone *z = &m->zone[i];

        if (!changes[i]) {
            continue;
        }
        z->pending = false;
        if (!ok) {
            continue;
        }
        z->generation++;
        if (op == M_FINISH) {
            z->wp = model_capacity(m, i);
            z->state = M_FULL;
        } else {
            for (k = m->nr_writes - 1; k >= 0; k--) {
                if (zone_of(m, &m->write[k]) == i) {
                    forget(m, &m->write[k]);
                }
            }
            z->wp = 0;
            z->state = M_EMPTY;
        }
        for (s = 0; s < m->g.zone_size; s++) {
            z->done[s] = op == M_FINISH && s < z->wp &&
                         (z->done[s] || !z->owner[s]);
        }
    }
}
