/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of a zoned disk: states, limits, write pointers
 *
 * A zone at rest, not used since the disk came up, is its write pointer: its
 * state follows from that, and nothing else is in memory.  One that is used is
 * 32 bytes more, and one that is written, or was lately, a ZoneFlight: what
 * lies below the write pointer and in none of its writes is complete.  The list
 * of implicitly open zones, in order of last write, gives the zone to close at
 * the open limit without a search.
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "block/zone-errors.h"
#include "block/zone-rules.h"

#define SECTOR              512
#define NO_ZONE             UINT32_MAX

/* Zones with nothing in flight whose frontier is remembered */
#define MAX_IDLE            1024

/* What is known of a zone that is written, or was lately */
typedef struct ZoneFlight {
    ZoneWrite *first;           /* accepted and not complete, ascending */
    ZoneWrite *last;
    uint64_t frontier;          /* absolute; see zone-rules.h, "Turns" */
    uint32_t nr;                /* in flight: accepted, not ended */
    uint32_t nr_failed;         /* in ZONE_WRITE_FAILED */
    GList idle;                 /* in ZoneRules.idle where !nr; its zone */
} ZoneFlight;

typedef struct Zone {
    uint64_t wp;                /* absolute */
    ZoneFlight *flight;         /* NULL: everything below wp is complete */
    uint32_t prev;              /* in the list of implicitly open zones */
    uint32_t next;
    uint32_t generation;
    uint8_t state;              /* ZoneState; 0: at rest, or conventional */
    bool pending;               /* between zone_op_begin() and zone_op_end() */
} Zone;

QEMU_BUILD_BUG_ON(sizeof(Zone) > 32);

struct ZoneRules {
    ZoneGeometry g;
    const uint64_t *rest;       /* write pointers of zones at rest */
    Zone *zones;                /* all zero where at rest: costs no memory */
    unsigned zone_shift;        /* log2 of the zone size */
    uint32_t open_limit;        /* 0: none */
    uint32_t nr[ZONE_STATE_OFFLINE + 1];    /* zones in each state */
    uint32_t oldest;            /* implicitly open ones, by last write */
    uint32_t latest;
    GQueue idle;                /* of flights with !nr, longest first */
#ifdef ZONE_VERIFY
    uint64_t looks;
#endif
};

/*
 * Called where anything has changed, and where a zone is looked at; see
 * zone-rules-verify.c.inc
 */
#ifdef ZONE_VERIFY
static void verify(const ZoneRules *zr);
static void look(const ZoneRules *zr);
#else
static inline void verify(const ZoneRules *zr)
{
}

static inline void look(const ZoneRules *zr)
{
}
#endif

/*** Geometry ***/

uint32_t zone_rules_index(const ZoneRules *zr, uint64_t offset)
{
    return offset >> zr->zone_shift;
}

uint64_t zone_rules_start(const ZoneRules *zr, uint32_t i)
{
    return (uint64_t)i << zr->zone_shift;
}

static uint64_t zone_end(const ZoneRules *zr, uint32_t i)
{
    uint64_t start = zone_rules_start(zr, i);

    return start + MIN(zr->g.zone_size, zr->g.disk_size - start);
}

uint64_t zone_rules_capacity_end(const ZoneRules *zr, uint32_t i)
{
    return MIN(zone_rules_start(zr, i) + zr->g.zone_capacity, zone_end(zr, i));
}

static bool is_conventional(const ZoneRules *zr, uint32_t i)
{
    return i < zr->g.nr_conventional;
}

/*** States ***/

static ZoneState rest_state(const ZoneRules *zr, uint32_t i)
{
    uint64_t wp = zr->rest[i];

    return is_conventional(zr, i) ? ZONE_STATE_NOT_WP :
           wp == zone_rules_start(zr, i) ? ZONE_STATE_EMPTY :
           wp == zone_rules_capacity_end(zr, i) ? ZONE_STATE_FULL :
           ZONE_STATE_CLOSED;
}

static ZoneState zone_state(const ZoneRules *zr, uint32_t i)
{
    look(zr);
    return zr->zones[i].state ?: rest_state(zr, i);
}

uint64_t zone_rules_wp(const ZoneRules *zr, uint32_t i)
{
    look(zr);
    return zr->zones[i].state ? zr->zones[i].wp : zr->rest[i];
}

/* Sequential zone @i is about to change: it is at rest no more. */
static Zone *use_zone(ZoneRules *zr, uint32_t i)
{
    Zone *z = &zr->zones[i];

    if (!z->state) {
        z->state = rest_state(zr, i);
        z->wp = zr->rest[i];
    }
    return z;
}

static void list_append(ZoneRules *zr, uint32_t i)
{
    Zone *z = &zr->zones[i];

    z->prev = zr->latest;
    z->next = NO_ZONE;
    *(z->prev == NO_ZONE ? &zr->oldest : &zr->zones[z->prev].next) = i;
    zr->latest = i;
}

static void list_remove(ZoneRules *zr, uint32_t i)
{
    Zone *z = &zr->zones[i];

    *(z->prev == NO_ZONE ? &zr->oldest : &zr->zones[z->prev].next) = z->next;
    *(z->next == NO_ZONE ? &zr->latest : &zr->zones[z->next].prev) = z->prev;
}

/*
 * The only place where a state changes.  An implicitly open zone that stays so
 * goes to the end of the list, as the one written last.
 */
static void set_state(ZoneRules *zr, uint32_t i, ZoneState state)
{
    Zone *z = use_zone(zr, i);

    if (z->state == ZONE_STATE_IMPLICIT_OPEN) {
        list_remove(zr, i);
    }
    zr->nr[z->state]--;
    zr->nr[state]++;
    z->state = state;
    if (state == ZONE_STATE_IMPLICIT_OPEN) {
        list_append(zr, i);
    }
}

uint32_t zone_rules_nr_open(const ZoneRules *zr)
{
    return zr->nr[ZONE_STATE_IMPLICIT_OPEN] + zr->nr[ZONE_STATE_EXPLICIT_OPEN];
}

uint32_t zone_rules_nr_active(const ZoneRules *zr)
{
    return zone_rules_nr_open(zr) + zr->nr[ZONE_STATE_CLOSED];
}

/* Close an open zone.  One with nothing written is Empty, but under ZNS. */
static void close_zone(ZoneRules *zr, uint32_t i, bool zns)
{
    bool empty = zr->zones[i].wp == zone_rules_start(zr, i);

    set_state(zr, i, empty && !zns ? ZONE_STATE_EMPTY : ZONE_STATE_CLOSED);
}

/*
 * Open zone @i, Empty, Closed or implicitly open.  The active limit comes
 * first.  At the open limit the implicitly open zone written longest ago makes
 * room.
 */
static int open_zone(ZoneRules *zr, uint32_t i, ZoneState state)
{
    ZoneState from = zone_state(zr, i);

    if (from == ZONE_STATE_EMPTY && zr->g.max_active &&
        zone_rules_nr_active(zr) >= zr->g.max_active) {
        return -BLK_ZONE_ERR_ACTIVE_LIMIT;
    }
    if (from != ZONE_STATE_IMPLICIT_OPEN && zr->open_limit &&
        zone_rules_nr_open(zr) >= zr->open_limit) {
        if (zr->oldest == NO_ZONE) {
            return -BLK_ZONE_ERR_OPEN_LIMIT;
        }
        close_zone(zr, zr->oldest, false);
    }
    set_state(zr, i, state);
    return 0;
}

/*** New, load, report ***/

ZoneRules *zone_rules_new(const ZoneGeometry *g, const uint64_t *rest)
{
    g_autofree Zone *zones = g_try_new0(Zone, g->nr_zones);
    ZoneRules *zr;
    uint32_t i;

    if (!zones) {
        return NULL;
    }

    zr = g_new0(ZoneRules, 1);
    zr->g = *g;
    zr->rest = rest;
    zr->zone_shift = ctz64(g->zone_size);
    /* An open zone is active, so the active limit holds for it too. */
    zr->open_limit = g->max_open ?: g->max_active;
    zr->zones = g_steal_pointer(&zones);
    zr->oldest = zr->latest = NO_ZONE;
    g_queue_init(&zr->idle);
    for (i = 0; i < g->nr_zones; i++) {
        zr->nr[rest_state(zr, i)]++;
    }
    return zr;
}

const ZoneGeometry *zone_rules_geometry(const ZoneRules *zr)
{
    return &zr->g;
}

void zone_rules_set_worn(ZoneRules *zr, uint32_t i, ZoneState state)
{
    g_assert(!is_conventional(zr, i) && !zr->zones[i].pending);
    g_assert(state == ZONE_STATE_READ_ONLY || state == ZONE_STATE_OFFLINE);
    set_state(zr, i, state);
    verify(zr);
}

void zone_rules_get(const ZoneRules *zr, uint32_t i, ZoneInfo *info)
{
    uint64_t start = zone_rules_start(zr, i);
    bool conventional = is_conventional(zr, i);

    *info = (ZoneInfo) {
        .start = start,
        .length = zone_end(zr, i) - start,
        .capacity = (conventional ? zone_end(zr, i)
                                  : zone_rules_capacity_end(zr, i)) - start,
        .wp = zone_rules_wp(zr, i),
        .conventional = conventional,
        .state = zone_state(zr, i),
    };
}

bool zone_rules_op_pending(const ZoneRules *zr, uint32_t i)
{
    look(zr);
    return zr->zones[i].pending;
}

bool zone_rules_blocked(const ZoneRules *zr, uint32_t i)
{
    const Zone *z = &zr->zones[i];
    const ZoneFlight *f = z->flight;

    /* Also where a write is stuck: one above it would have no turn. */
    return z->pending ||
           (f && (f->nr_failed || (f->last && f->last->error)));
}

/*** Writes in flight ***/

static uint64_t write_end(const ZoneWrite *w)
{
    return w->start + w->bytes;
}

uint32_t zone_rules_in_flight(const ZoneRules *zr, uint32_t i)
{
    const ZoneFlight *f = zr->zones[i].flight;

    return f ? f->nr : 0;
}

uint64_t zone_rules_complete(const ZoneRules *zr, uint32_t i)
{
    const ZoneFlight *f = zr->zones[i].flight;

    return f && f->first ? f->first->start : zone_rules_wp(zr, i);
}

uint64_t zone_rules_acknowledged(const ZoneRules *zr, uint32_t i)
{
    const ZoneFlight *f = zr->zones[i].flight;
    const ZoneWrite *w = f ? f->last : NULL;
    uint64_t end = zone_rules_wp(zr, i);

    /* Down over the writes at the top that are not complete. */
    for (; w && write_end(w) == end; w = w->below) {
        end = w->start;
    }
    return end;
}

uint32_t zone_rules_generation(const ZoneRules *zr, uint32_t i)
{
    return zr->zones[i].generation;
}

/* Forget what is known of zone @i, which has nothing in flight. */
static void flight_drop(ZoneRules *zr, uint32_t i)
{
    Zone *z = &zr->zones[i];

    if (z->flight) {
        g_assert(!z->flight->nr && !z->flight->first);
        g_queue_unlink(&zr->idle, &z->flight->idle);
        g_free(z->flight);
        z->flight = NULL;
    }
}

/* One more write is in flight in zone @i. */
static ZoneFlight *flight_get(ZoneRules *zr, uint32_t i)
{
    Zone *z = &zr->zones[i];

    if (!z->flight) {
        z->flight = g_new0(ZoneFlight, 1);
        z->flight->frontier = z->wp;
        z->flight->idle.data = GUINT_TO_POINTER(i);
    } else if (!z->flight->nr) {
        g_queue_unlink(&zr->idle, &z->flight->idle);
    }
    z->flight->nr++;
    return z->flight;
}

/* One less.  The zones that were written last are remembered. */
static void flight_put(ZoneRules *zr, uint32_t i)
{
    ZoneFlight *f = zr->zones[i].flight;

    if (--f->nr) {
        return;
    }
    g_queue_push_tail_link(&zr->idle, &f->idle);
    if (zr->idle.length > MAX_IDLE) {
        flight_drop(zr, GPOINTER_TO_UINT(zr->idle.head->data));
    }
}

void zone_rules_forget_ready(ZoneRules *zr)
{
    while (zr->idle.length) {
        flight_drop(zr, GPOINTER_TO_UINT(zr->idle.head->data));
    }
}

void zone_rules_free(ZoneRules *zr)
{
    if (!zr) {
        return;
    }
    zone_rules_forget_ready(zr);
    g_free(zr->zones);
    g_free(zr);
}

static void flight_unlink(ZoneFlight *f, ZoneWrite *w)
{
    if (w->below) {
        w->below->above = w->above;
    } else {
        f->first = w->above;
    }
    if (w->above) {
        w->above->below = w->below;
    } else {
        f->last = w->below;
    }
    w->below = w->above = NULL;
}

/*** Writes ***/

/* What the state of a zone says to a write. */
static int check_write_state(ZoneState state)
{
    switch (state) {
    case ZONE_STATE_FULL:
        return -BLK_ZONE_ERR_FULL;
    case ZONE_STATE_READ_ONLY:
        return -BLK_ZONE_ERR_READ_ONLY;
    case ZONE_STATE_OFFLINE:
        return -BLK_ZONE_ERR_OFFLINE;
    default:
        return 0;
    }
}

/* Accept @bytes, not past the capacity, at the write pointer of zone @i. */
static int accept_write(ZoneRules *zr, uint32_t i, uint64_t bytes,
                        ZoneWrite *w)
{
    Zone *z = use_zone(zr, i);
    ZoneFlight *f;

    g_assert(!zone_rules_blocked(zr, i));
    /*
     * Also where the write fills the zone: it is open for a moment.  The one
     * written last is open, and last, already.
     */
    if (z->state != ZONE_STATE_EXPLICIT_OPEN && i != zr->latest) {
        int ret = open_zone(zr, i, ZONE_STATE_IMPLICIT_OPEN);

        if (ret < 0) {
            return ret;
        }
    }

    f = flight_get(zr, i);
    *w = (ZoneWrite) { .start = z->wp, .bytes = bytes, .below = f->last };
    if (f->last) {
        f->last->above = w;
    } else {
        f->first = w;
    }
    f->last = w;
    z->wp += bytes;
    if (z->wp == zone_rules_capacity_end(zr, i)) {
        set_state(zr, i, ZONE_STATE_FULL);
    }
    verify(zr);
    return 0;
}

int zone_write_begin(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                     ZoneWrite *w)
{
    uint64_t end = offset + bytes;
    uint64_t conventional_end = zone_rules_start(zr, zr->g.nr_conventional);
    uint32_t i;
    int ret;

    if (end <= conventional_end) {
        *w = (ZoneWrite) { .start = offset, .bytes = bytes };
        return 0;
    }

    /* The first sequential zone, and the part of the request from there. */
    i = MAX(zone_rules_index(zr, offset), zr->g.nr_conventional);
    ret = check_write_state(zone_state(zr, i));
    if (ret < 0) {
        return ret;
    }
    if (MAX(offset, conventional_end) != zone_rules_wp(zr, i)) {
        return -BLK_ZONE_ERR_UNALIGNED_WP;
    }
    if (offset < conventional_end || end > zone_rules_capacity_end(zr, i)) {
        return -BLK_ZONE_ERR_BOUNDARY;
    }
    return accept_write(zr, i, bytes, w);
}

int zone_append_begin(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                      ZoneWrite *w)
{
    uint32_t i;
    int ret;

    if (!bytes || bytes % SECTOR) {
        return -EINVAL;
    }
    if (offset >= zr->g.disk_size || offset & (zr->g.zone_size - 1) ||
        is_conventional(zr, zone_rules_index(zr, offset)) ||
        bytes > zr->g.max_append) {
        return -BLK_ZONE_ERR_INVALID_APPEND;
    }

    i = zone_rules_index(zr, offset);
    ret = check_write_state(zone_state(zr, i));
    if (ret < 0) {
        return ret;
    }
    if (bytes > zone_rules_capacity_end(zr, i) - zone_rules_wp(zr, i)) {
        return -BLK_ZONE_ERR_BOUNDARY;
    }
    return accept_write(zr, i, bytes, w);
}

/* The write pointer of zone @i goes down to @wp: what was there is undone. */
static void lower_wp(ZoneRules *zr, uint32_t i, uint64_t wp)
{
    Zone *z = &zr->zones[i];
    bool empty = wp == zone_rules_start(zr, i);

    z->wp = wp;
    z->flight->frontier = MIN(z->flight->frontier, wp);
    if (z->state == ZONE_STATE_FULL ||
        (z->state == ZONE_STATE_CLOSED && empty)) {
        set_state(zr, i, empty ? ZONE_STATE_EMPTY : ZONE_STATE_CLOSED);
    }
}

/*
 * Decide what can be decided of the failed writes of zone @i: one that has a
 * complete one above it keeps its range, and those at the top give theirs back.
 */
static void decide_failed(ZoneRules *zr, uint32_t i)
{
    ZoneFlight *f = zr->zones[i].flight;
    uint64_t acknowledged;
    uint64_t wp = zr->zones[i].wp;
    ZoneWrite *w;

    if (!f->nr_failed) {
        return;
    }
    acknowledged = zone_rules_acknowledged(zr, i);
    for (w = f->first; w && w->start < acknowledged; w = w->above) {
        if (w->stage == ZONE_WRITE_FAILED) {
            w->stage = ZONE_WRITE_ZEROS;
            f->nr_failed--;
        }
    }
    while ((w = f->last) && w->stage == ZONE_WRITE_FAILED) {
        w->stage = ZONE_WRITE_GIVEN_BACK;
        f->nr_failed--;
        wp = w->start;
        flight_unlink(f, w);
    }
    if (wp < zr->zones[i].wp) {
        lower_wp(zr, i, wp);
    }
}

void zone_write_complete(ZoneRules *zr, ZoneWrite *w)
{
    uint32_t i = zone_rules_index(zr, w->start);

    g_assert(w->stage == ZONE_WRITE_ACCEPTED || w->stage == ZONE_WRITE_ZEROS);
    w->stage = ZONE_WRITE_COMPLETE;
    if (!is_conventional(zr, i)) {
        flight_unlink(zr->zones[i].flight, w);
        decide_failed(zr, i);
        verify(zr);
    }
}

void zone_write_fail(ZoneRules *zr, ZoneWrite *w)
{
    uint32_t i = zone_rules_index(zr, w->start);

    g_assert(w->stage == ZONE_WRITE_ACCEPTED);
    if (is_conventional(zr, i)) {
        w->stage = ZONE_WRITE_GIVEN_BACK;
        return;
    }
    w->stage = ZONE_WRITE_FAILED;
    zr->zones[i].flight->nr_failed++;
    decide_failed(zr, i);
    verify(zr);
}

bool zone_write_give_back(ZoneRules *zr, ZoneWrite *w)
{
    uint32_t i = zone_rules_index(zr, w->start);

    g_assert(w->stage == ZONE_WRITE_COMPLETE);
    if (is_conventional(zr, i) || write_end(w) != zr->zones[i].wp) {
        return false;
    }
    w->stage = ZONE_WRITE_GIVEN_BACK;
    lower_wp(zr, i, w->start);
    verify(zr);
    return true;
}

void zone_write_end(ZoneRules *zr, ZoneWrite *w)
{
    uint32_t i = zone_rules_index(zr, w->start);

    g_assert(w->stage == ZONE_WRITE_COMPLETE ||
             w->stage == ZONE_WRITE_GIVEN_BACK);
    if (!is_conventional(zr, i)) {
        flight_put(zr, i);
        verify(zr);
    }
}

/*** Turns ***/

static bool frontier_reaches(const ZoneRules *zr, const ZoneWrite *w,
                             uint64_t offset)
{
    uint32_t i = zone_rules_index(zr, w->start);

    return is_conventional(zr, i) || zr->zones[i].flight->frontier >= offset;
}

bool zone_write_has_turn(const ZoneRules *zr, const ZoneWrite *w)
{
    return frontier_reaches(zr, w, w->start);
}

bool zone_write_is_ready(const ZoneRules *zr, const ZoneWrite *w)
{
    return frontier_reaches(zr, w, write_end(w));
}

uint64_t zone_rules_frontier(const ZoneRules *zr, uint32_t i)
{
    const ZoneFlight *f = zr->zones[i].flight;

    return f ? f->frontier : zone_rules_wp(zr, i);
}

void zone_write_ready(ZoneRules *zr, ZoneWrite *w, uint64_t frontier)
{
    ZoneFlight *f = zr->zones[zone_rules_index(zr, w->start)].flight;

    g_assert(f->frontier >= w->start && frontier >= write_end(w));
    f->frontier = MAX(f->frontier, frontier);
    verify(zr);
}

void zone_write_stuck(ZoneRules *zr, ZoneWrite *w, int error)
{
    g_assert(zone_write_has_turn(zr, w) && !zone_write_is_ready(zr, w));
    for (; w; w = w->above) {
        w->error = error;
    }
    verify(zr);
}

/*** Reads ***/

int zone_read_part(const ZoneRules *zr, uint64_t offset, uint64_t bytes,
                   uint64_t *n)
{
    uint32_t i = zone_rules_index(zr, offset);
    const Zone *z = &zr->zones[i];
    uint64_t conventional_end = zone_rules_start(zr, zr->g.nr_conventional);
    uint64_t zero_end = offset;
    uint64_t wp, end;
    const ZoneWrite *w;

    if (is_conventional(zr, i)) {
        *n = MIN(bytes, conventional_end - offset);
        return 1;
    }

    end = MIN(offset + bytes, zone_end(zr, i));
    if (z->state == ZONE_STATE_OFFLINE) {
        *n = end - offset;
        return -BLK_ZONE_ERR_OFFLINE;
    }

    wp = zone_rules_wp(zr, i);
    /* Zeros go on through writes that follow on one another... */
    for (w = z->flight ? z->flight->first : NULL; w && w->start <= zero_end;
         w = w->above) {
        zero_end = MAX(zero_end, write_end(w));
    }
    /* ... and from the write pointer up. */
    if (zero_end >= wp) {
        zero_end = end;
    }
    if (zero_end > offset) {
        *n = MIN(zero_end, end) - offset;
        return 0;
    }
    *n = MIN(end, w ? w->start : wp) - offset;
    return 1;
}

/*** Zone operations ***/

/* Does the state of a zone allow the operation?  One column of the table. */
static bool op_allowed(ZoneOpType type, ZoneState state)
{
    switch (state) {
    case ZONE_STATE_EMPTY:
        return type != ZONE_OP_CLOSE;
    case ZONE_STATE_IMPLICIT_OPEN:
    case ZONE_STATE_EXPLICIT_OPEN:
    case ZONE_STATE_CLOSED:
        return true;
    case ZONE_STATE_FULL:
        return type == ZONE_OP_FINISH || type == ZONE_OP_RESET;
    default:
        return false;
    }
}

int zone_op_range(const ZoneRules *zr, ZoneOpType type, unsigned *flags,
                  uint64_t offset, uint64_t len, uint32_t *first,
                  uint32_t *end)
{
    uint64_t mask = zr->g.zone_size - 1;

    if (type == ZONE_OP_RESET && offset == 0 && len == zr->g.disk_size) {
        *flags |= ZONE_OP_ALL;
    }
    if (*flags & ZONE_OP_ALL) {
        *first = zr->g.nr_conventional;
        *end = zr->g.nr_zones;
        return 0;
    }

    if (!len || offset & mask || offset >= zr->g.disk_size ||
        len > zr->g.disk_size - offset ||
        ((offset + len) & mask && offset + len != zr->g.disk_size)) {
        return -EINVAL;
    }
    *first = zone_rules_index(zr, offset);
    *end = zone_rules_index(zr, offset + len - 1) + 1;
    return 0;
}

int zone_op_check(const ZoneRules *zr, ZoneOpType type, uint32_t first,
                  uint32_t end)
{
    uint32_t i;

    for (i = first; i < end; i++) {
        if (!op_allowed(type, zone_state(zr, i))) {
            return -BLK_ZONE_ERR_TRANSITION;
        }
    }
    return 0;
}

int zone_op_open(ZoneRules *zr, uint32_t first, uint32_t end)
{
    int ret = 0;
    uint32_t i;

    for (i = first; ret == 0 && i < end; i++) {
        g_assert(!zr->zones[i].pending);
        if (zone_state(zr, i) != ZONE_STATE_EXPLICIT_OPEN) {
            ret = open_zone(zr, i, ZONE_STATE_EXPLICIT_OPEN);
        }
    }
    verify(zr);
    return ret;
}

bool zone_op_opens(const ZoneRules *zr, uint32_t i)
{
    return zone_state(zr, i) == ZONE_STATE_CLOSED && !zr->zones[i].pending;
}

int zone_op_open_all(ZoneRules *zr, uint32_t *zones, uint32_t nr)
{
    uint32_t closed = 0;
    uint32_t k;

    if (zr->open_limit && nr > zr->open_limit) {
        return -BLK_ZONE_ERR_OPEN_LIMIT;
    }
    for (k = 0; k < nr; k++) {
        if (zone_op_opens(zr, zones[k])) {
            zones[closed++] = zones[k];
        }
    }
    /* Implicitly open zones can all be closed for it. */
    if (zr->open_limit && closed &&
        closed > zr->open_limit - zr->nr[ZONE_STATE_EXPLICIT_OPEN]) {
        return -BLK_ZONE_ERR_OPEN_LIMIT;
    }
    for (k = 0; k < closed; k++) {
        open_zone(zr, zones[k], ZONE_STATE_EXPLICIT_OPEN);
    }
    verify(zr);
    return 0;
}

void zone_op_close(ZoneRules *zr, unsigned flags, uint32_t first, uint32_t end)
{
    uint32_t i;

    for (i = first; i < end; i++) {
        const Zone *z = &zr->zones[i];

        look(zr);
        g_assert(flags & ZONE_OP_ALL || !z->pending);
        if (!z->pending && (z->state == ZONE_STATE_IMPLICIT_OPEN ||
                            z->state == ZONE_STATE_EXPLICIT_OPEN)) {
            close_zone(zr, i, flags & ZONE_OP_ZNS);
        }
    }
    verify(zr);
}

bool zone_op_begin(ZoneRules *zr, ZoneOpType type, unsigned flags, uint32_t i)
{
    ZoneState state = zone_state(zr, i);
    bool all = flags & ZONE_OP_ALL;
    bool begins;

    g_assert(!zr->zones[i].pending);
    switch (state) {
    case ZONE_STATE_EMPTY:
        begins = type == ZONE_OP_FINISH && !all;
        break;
    case ZONE_STATE_FULL:
        begins = type == ZONE_OP_RESET || !all;
        break;
    default:
        begins = op_allowed(type, state);
    }
    if (begins) {
        use_zone(zr, i)->pending = true;
        verify(zr);
    }
    return begins;
}

void zone_op_end(ZoneRules *zr, ZoneOpType type, uint32_t i, bool ok)
{
    Zone *z = &zr->zones[i];

    g_assert(z->pending && (!ok || !zone_rules_in_flight(zr, i)));
    z->pending = false;
    if (!ok && z->flight) {
        z->flight->frontier = MIN(z->flight->frontier, z->wp);
    } else if (ok) {
        flight_drop(zr, i);
        z->generation++;
        if (type == ZONE_OP_FINISH) {
            z->wp = zone_rules_capacity_end(zr, i);
            set_state(zr, i, ZONE_STATE_FULL);
        } else {
            z->wp = zone_rules_start(zr, i);
            set_state(zr, i, ZONE_STATE_EMPTY);
        }
    }
    verify(zr);
}

#include "zone-rules-size.c.inc"
#ifdef ZONE_VERIFY
#include "zone-rules-verify.c.inc"
#endif
