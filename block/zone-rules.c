/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of a zoned disk: states, limits, write pointers
 *
 * A zone is 32 bytes: its write pointer, its state, and its place in the list
 * of zones in that state.  The lists make an operation on all zones cost what
 * it changes, and the one of implicitly open zones, kept in order of last
 * write, gives the zone to close at the open limit without a search.
 *
 * What is not settled in a zone is kept aside, only while there is any: the
 * ranges of its writes in flight and of its holes, where a write failed below
 * others that succeeded.  All that is accepted, below the write pointer and in
 * no range, is complete.
 *
 * Knows nothing of I/O, coroutines, locks, or of how pointers are stored.
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "block/zone-errors.h"
#include "block/zone-rules.h"

#define SECTOR              512
#define NO_ZONE             UINT32_MAX

typedef struct ZoneRulesWritePriv ZoneRange;

typedef enum RangeUser {
    RANGE_HOLE,                 /* nobody: a write here failed */
    RANGE_WRITE,                /* a write of the disk's user is in flight */
    RANGE_FILL,                 /* zeros are in flight */
} RangeUser;

struct ZoneRulesWritePriv {
    ZoneWrite w;                /* what the caller holds; priv points here */
    GList link;                 /* in ZoneBusy.open or .covered */
    RangeUser user;
    /*
     * Something was put here once, zeros or a placed write, so the pointer on
     * disk may be above: the range holds zone_rules_complete() back no more.
     */
    bool covered;
    bool dirty;                 /* a write failed since zeros were written */
};

/* What is not settled in one zone.  Ranges are ascending and disjoint. */
typedef struct ZoneBusy {
    GQueue open;                /* ranges that hold the complete prefix back */
    GQueue covered;             /* ranges that do not */
    uint64_t acknowledged;      /* end of the highest completed write */
    uint32_t in_flight;         /* ranges with a user */
    uint32_t nr_dirty_holes;    /* dirty ranges without a user */
    ZoneOp *op;                 /* that waits for this zone, or NULL */
} ZoneBusy;

typedef struct Zone {
    uint64_t wp;                /* absolute */
    ZoneBusy *busy;             /* NULL: everything below wp is complete */
    uint32_t prev;              /* in the list of the zone's state */
    uint32_t next;
    uint32_t generation;
    uint8_t state;              /* ZoneState */
    bool pending;               /* a finish or reset waits or is made durable */
} Zone;

QEMU_BUILD_BUG_ON(sizeof(Zone) > 32);

typedef struct ZoneList {
    uint32_t head;
    uint32_t tail;
    uint32_t nr;
} ZoneList;

struct ZoneRules {
    ZoneGeometry g;
    Zone *zones;
    unsigned zone_shift;        /* log2 of the zone size */
    uint32_t open_limit;        /* 0: none */
    uint32_t nr_pending;
    ZoneList implicit_open;     /* in order of last write */
    ZoneList explicit_open;
    ZoneList closed;
    ZoneList full;
};

/* Called where anything has changed; see zone-rules-verify.c.inc */
#ifdef ZONE_VERIFY
static void verify(const ZoneRules *zr);
#else
static inline void verify(const ZoneRules *zr)
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

/* The list that holds the zones in @state, or NULL. */
static ZoneList *list_of(ZoneRules *zr, ZoneState state)
{
    switch (state) {
    case ZONE_STATE_IMPLICIT_OPEN:
        return &zr->implicit_open;
    case ZONE_STATE_EXPLICIT_OPEN:
        return &zr->explicit_open;
    case ZONE_STATE_CLOSED:
        return &zr->closed;
    case ZONE_STATE_FULL:
        return &zr->full;
    default:
        return NULL;
    }
}

static void list_append(ZoneRules *zr, ZoneList *l, uint32_t i)
{
    Zone *z = &zr->zones[i];

    z->prev = l->tail;
    z->next = NO_ZONE;
    if (l->tail == NO_ZONE) {
        l->head = i;
    } else {
        zr->zones[l->tail].next = i;
    }
    l->tail = i;
    l->nr++;
}

static void list_remove(ZoneRules *zr, ZoneList *l, uint32_t i)
{
    Zone *z = &zr->zones[i];

    if (z->prev == NO_ZONE) {
        l->head = z->next;
    } else {
        zr->zones[z->prev].next = z->next;
    }
    if (z->next == NO_ZONE) {
        l->tail = z->prev;
    } else {
        zr->zones[z->next].prev = z->prev;
    }
    l->nr--;
}

/*
 * The only place where a state changes.  A zone that stays in its state goes
 * to the end of the list, as the one written last.
 */
static void set_state(ZoneRules *zr, uint32_t i, ZoneState state)
{
    Zone *z = &zr->zones[i];
    ZoneList *from = list_of(zr, z->state);
    ZoneList *to = list_of(zr, state);

    if (from) {
        list_remove(zr, from, i);
    }
    z->state = state;
    if (to) {
        list_append(zr, to, i);
    }
}

uint32_t zone_rules_nr_open(const ZoneRules *zr)
{
    return zr->implicit_open.nr + zr->explicit_open.nr;
}

uint32_t zone_rules_nr_active(const ZoneRules *zr)
{
    return zone_rules_nr_open(zr) + zr->closed.nr;
}

/* Close an open zone.  One with nothing written is Empty, but under ZNS. */
static void close_zone(ZoneRules *zr, uint32_t i, bool zns)
{
    bool empty = zr->zones[i].wp == zone_rules_start(zr, i);

    set_state(zr, i, empty && !zns ? ZONE_STATE_EMPTY : ZONE_STATE_CLOSED);
}

/* May a zone in @state become open?  The active limit comes first. */
static int check_resources(const ZoneRules *zr, ZoneState state)
{
    if (state == ZONE_STATE_EMPTY && zr->g.max_active &&
        zone_rules_nr_active(zr) >= zr->g.max_active) {
        return -BLK_ZONE_ERR_ACTIVE_LIMIT;
    }
    if (zr->open_limit && zr->explicit_open.nr >= zr->open_limit) {
        return -BLK_ZONE_ERR_OPEN_LIMIT;
    }
    return 0;
}

/*
 * Open zone @i, Empty, Closed or implicitly open.  At the open limit the
 * implicitly open zone written longest ago makes room.
 */
static int open_zone(ZoneRules *zr, uint32_t i, ZoneState state)
{
    ZoneState from = zr->zones[i].state;

    if (from != ZONE_STATE_IMPLICIT_OPEN) {
        int ret = check_resources(zr, from);

        if (ret < 0) {
            return ret;
        }
        if (zr->open_limit && zone_rules_nr_open(zr) >= zr->open_limit) {
            close_zone(zr, zr->implicit_open.head, false);
        }
    }
    set_state(zr, i, state);
    return 0;
}

/*** New, load, report ***/

static void list_init(ZoneList *l)
{
    *l = (ZoneList) { .head = NO_ZONE, .tail = NO_ZONE };
}

ZoneRules *zone_rules_new(const ZoneGeometry *g)
{
    g_autofree Zone *zones = g_try_new0(Zone, g->nr_zones);
    ZoneRules *zr;
    uint32_t i;

    if (!zones) {
        return NULL;
    }

    zr = g_new0(ZoneRules, 1);
    zr->g = *g;
    zr->zone_shift = ctz64(g->zone_size);
    /* An open zone is active, so the active limit holds for it too. */
    zr->open_limit = g->max_open ?: g->max_active;
    zr->zones = g_steal_pointer(&zones);
    list_init(&zr->implicit_open);
    list_init(&zr->explicit_open);
    list_init(&zr->closed);
    list_init(&zr->full);
    for (i = 0; i < g->nr_zones; i++) {
        zr->zones[i].wp = zone_rules_start(zr, i);
        zr->zones[i].state = is_conventional(zr, i) ? ZONE_STATE_NOT_WP
                                                    : ZONE_STATE_EMPTY;
    }
    return zr;
}

static void drop_ranges(GQueue *q)
{
    GList *l;

    while ((l = g_queue_pop_head_link(q))) {
        g_free(l->data);
    }
}

/* Forget the holes of a zone that has nothing in flight. */
static void drop_busy(Zone *z)
{
    if (z->busy) {
        g_assert(!z->busy->in_flight);
        drop_ranges(&z->busy->open);
        drop_ranges(&z->busy->covered);
        g_free(z->busy);
        z->busy = NULL;
    }
}

void zone_rules_free(ZoneRules *zr)
{
    uint32_t i;

    if (!zr) {
        return;
    }
    for (i = zr->g.nr_conventional; i < zr->g.nr_zones; i++) {
        drop_busy(&zr->zones[i]);
    }
    g_free(zr->zones);
    g_free(zr);
}

const ZoneGeometry *zone_rules_geometry(const ZoneRules *zr)
{
    return &zr->g;
}

void zone_rules_load(ZoneRules *zr, uint32_t i, uint64_t wp)
{
    Zone *z = &zr->zones[i];

    g_assert(!is_conventional(zr, i) && !z->busy);
    z->wp = wp;
    if (wp == zone_rules_start(zr, i)) {
        set_state(zr, i, ZONE_STATE_EMPTY);
    } else if (wp == zone_rules_capacity_end(zr, i)) {
        set_state(zr, i, ZONE_STATE_FULL);
    } else {
        set_state(zr, i, ZONE_STATE_CLOSED);
    }
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

    *info = (ZoneInfo) {
        .start = start,
        .length = zone_end(zr, i) - start,
        .capacity = zone_rules_capacity_end(zr, i) - start,
        .wp = zr->zones[i].wp,
        .conventional = is_conventional(zr, i),
        .state = zr->zones[i].state,
    };
    if (info->conventional) {
        /* Written anywhere: the capacity holds for sequential zones. */
        info->capacity = info->length;
    }
}

bool zone_rules_op_pending(const ZoneRules *zr, uint32_t i)
{
    return zr->zones[i].pending;
}

bool zone_rules_op_waits(const ZoneRules *zr, uint32_t i)
{
    const ZoneBusy *b = zr->zones[i].busy;

    return b && b->op && !b->op->started && b->op->nr_busy;
}

uint64_t zone_rules_wp(const ZoneRules *zr, uint32_t i)
{
    return zr->zones[i].wp;
}

uint32_t zone_rules_nr_pending(const ZoneRules *zr)
{
    return zr->nr_pending;
}

/*** Ranges: writes in flight, and holes ***/

static ZoneRange *range_of(const GList *l)
{
    return l ? l->data : NULL;
}

static uint64_t range_end(const ZoneRange *r)
{
    return r->w.start + r->w.bytes;
}

static GQueue *range_queue(ZoneBusy *b, const ZoneRange *r)
{
    return r->covered ? &b->covered : &b->open;
}

static ZoneRange *range_new(uint64_t start, uint64_t bytes)
{
    ZoneRange *r = g_new0(ZoneRange, 1);

    r->w = (ZoneWrite) { .start = start, .bytes = bytes, .priv = r };
    r->link.data = r;
    r->user = RANGE_WRITE;
    return r;
}

/* Range @r, in zone @z, gets a user. */
static void range_claim(Zone *z, ZoneRange *r, RangeUser user)
{
    ZoneBusy *b = z->busy;

    r->user = user;
    if (r->dirty) {
        b->nr_dirty_holes--;
    }
    if (b->in_flight++ == 0 && b->op) {
        b->op->nr_busy++;
    }
}

/* The user of @r is done with it; it is a hole, or about to be dropped. */
static void range_release(Zone *z, ZoneRange *r)
{
    ZoneBusy *b = z->busy;

    r->user = RANGE_HOLE;
    if (--b->in_flight == 0 && b->op) {
        b->op->nr_busy--;
    }
}

static void range_drop(Zone *z, ZoneRange *r)
{
    g_queue_unlink(range_queue(z->busy, r), &r->link);
    g_free(r);
}

/* Once everything below the pointer is complete there is nothing to keep. */
static void busy_put(Zone *z)
{
    if (g_queue_is_empty(&z->busy->open) &&
        g_queue_is_empty(&z->busy->covered)) {
        drop_busy(z);
    }
}

/* Move the write pointer of zone @z over a write of @bytes. */
static ZoneWrite *advance(Zone *z, uint64_t bytes)
{
    ZoneRange *r = range_new(z->wp, bytes);

    if (!z->busy) {
        z->busy = g_new0(ZoneBusy, 1);
        g_queue_init(&z->busy->open);
        g_queue_init(&z->busy->covered);
        z->busy->acknowledged = z->wp;
    }
    g_queue_push_tail_link(&z->busy->open, &r->link);
    range_claim(z, r, RANGE_WRITE);
    z->wp += bytes;
    return &r->w;
}

/* The range of zone @z that is exactly [@start, @start + @bytes), or NULL. */
static ZoneRange *find_range(const Zone *z, uint64_t start, uint64_t bytes)
{
    const GQueue *queues[] = { &z->busy->open, &z->busy->covered };
    unsigned q;

    for (q = 0; q < ARRAY_SIZE(queues); q++) {
        GList *l;

        for (l = queues[q]->head; l; l = l->next) {
            ZoneRange *r = range_of(l);

            if (r->w.start >= start) {
                if (r->w.start == start && r->w.bytes == bytes) {
                    return r;
                }
                break;
            }
        }
    }
    return NULL;
}

uint32_t zone_rules_in_flight(const ZoneRules *zr, uint32_t i)
{
    const ZoneBusy *b = zr->zones[i].busy;

    return b ? b->in_flight : 0;
}

uint64_t zone_rules_complete(const ZoneRules *zr, uint32_t i)
{
    const Zone *z = &zr->zones[i];
    const ZoneRange *first = z->busy ? range_of(z->busy->open.head) : NULL;

    return first ? first->w.start : z->wp;
}

uint64_t zone_rules_acknowledged(const ZoneRules *zr, uint32_t i)
{
    const Zone *z = &zr->zones[i];

    return z->busy ? z->busy->acknowledged : z->wp;
}

uint32_t zone_rules_generation(const ZoneRules *zr, uint32_t i)
{
    return zr->zones[i].generation;
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
                        ZoneWrite **w)
{
    Zone *z = &zr->zones[i];

    g_assert(!z->pending);
    /* Also where the write fills the zone: it is open for a moment. */
    if (z->state != ZONE_STATE_EXPLICIT_OPEN) {
        int ret = open_zone(zr, i, ZONE_STATE_IMPLICIT_OPEN);

        if (ret < 0) {
            return ret;
        }
    }
    *w = advance(z, bytes);
    if (z->wp == zone_rules_capacity_end(zr, i)) {
        set_state(zr, i, ZONE_STATE_FULL);
    }
    verify(zr);
    return 0;
}

/*
 * A write of exactly a hole's range.  The zone's state stays: the write was
 * accepted once, and is made again.
 */
static int accept_again(ZoneRules *zr, uint32_t i, ZoneRange *r, ZoneWrite **w)
{
    Zone *z = &zr->zones[i];

    g_assert(!z->pending);
    if (r->user == RANGE_FILL) {
        return -EAGAIN;
    }
    range_claim(z, r, RANGE_WRITE);
    if (z->state == ZONE_STATE_IMPLICIT_OPEN) {
        set_state(zr, i, ZONE_STATE_IMPLICIT_OPEN);
    }
    *w = &r->w;
    verify(zr);
    return 0;
}

int zone_write_begin(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                     ZoneWrite **w)
{
    uint64_t end = offset + bytes;
    uint64_t conventional_end = zone_rules_start(zr, zr->g.nr_conventional);
    uint32_t i;
    Zone *z;
    int ret;

    *w = NULL;
    if (end <= conventional_end) {
        *w = &range_new(offset, bytes)->w;
        return 0;
    }

    /* The first sequential zone, and the part of the request from there. */
    i = MAX(zone_rules_index(zr, offset), zr->g.nr_conventional);
    z = &zr->zones[i];
    if (z->busy && offset < z->wp && z->state != ZONE_STATE_READ_ONLY &&
        z->state != ZONE_STATE_OFFLINE) {
        ZoneRange *r = find_range(z, offset, bytes);

        if (r && r->user != RANGE_WRITE) {
            return accept_again(zr, i, r, w);
        }
    }

    ret = check_write_state(z->state);
    if (ret < 0) {
        return ret;
    }
    if (MAX(offset, conventional_end) != z->wp) {
        return -BLK_ZONE_ERR_UNALIGNED_WP;
    }
    if (offset < conventional_end || end > zone_rules_capacity_end(zr, i)) {
        return -BLK_ZONE_ERR_BOUNDARY;
    }
    return accept_write(zr, i, bytes, w);
}

int zone_append_begin(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                      ZoneWrite **w)
{
    uint32_t i;
    Zone *z;
    int ret;

    *w = NULL;
    if (!bytes || bytes % SECTOR) {
        return -EINVAL;
    }
    if (offset >= zr->g.disk_size || offset & (zr->g.zone_size - 1) ||
        is_conventional(zr, zone_rules_index(zr, offset)) ||
        bytes > zr->g.max_append) {
        return -BLK_ZONE_ERR_INVALID_APPEND;
    }

    i = zone_rules_index(zr, offset);
    z = &zr->zones[i];
    ret = check_write_state(z->state);
    if (ret < 0) {
        return ret;
    }
    if (bytes > zone_rules_capacity_end(zr, i) - z->wp) {
        return -BLK_ZONE_ERR_BOUNDARY;
    }
    return accept_write(zr, i, bytes, w);
}

/* Move range @r to those that hold nothing back, keeping them in order. */
static void range_cover(ZoneBusy *b, ZoneRange *r)
{
    GList *l = b->covered.tail;

    g_queue_unlink(&b->open, &r->link);
    while (l && range_of(l)->w.start > r->w.start) {
        l = l->prev;
    }
    g_queue_insert_before_link(&b->covered, l ? l->next : b->covered.head,
                               &r->link);
    r->covered = true;
}

/*
 * The last write accepted in zone @i failed: its range @r, and the holes
 * directly below, are taken back.  What was complete below stays.
 */
static void give_back(ZoneRules *zr, uint32_t i, ZoneRange *r)
{
    Zone *z = &zr->zones[i];
    bool empty;

    while (r && r->user == RANGE_HOLE && range_end(r) == z->wp) {
        z->wp = r->w.start;
        if (r->dirty) {
            z->busy->nr_dirty_holes--;
        }
        range_drop(z, r);
        r = range_of(z->busy->open.tail);
    }

    empty = z->wp == zone_rules_start(zr, i);
    if (z->state == ZONE_STATE_FULL ||
        (z->state == ZONE_STATE_CLOSED && empty)) {
        set_state(zr, i, empty ? ZONE_STATE_EMPTY : ZONE_STATE_CLOSED);
    }
}

void zone_write_end(ZoneRules *zr, ZoneWrite *w, bool ok)
{
    ZoneRange *r = w->priv;
    uint32_t i = zone_rules_index(zr, w->start);
    Zone *z = &zr->zones[i];

    if (is_conventional(zr, i)) {
        g_free(r);
        return;
    }

    g_assert(r->user == RANGE_WRITE);
    range_release(z, r);
    r->dirty = false;
    if (ok) {
        z->busy->acknowledged = MAX(z->busy->acknowledged, range_end(r));
        range_drop(z, r);
    } else if (range_end(r) == z->wp && !r->covered) {
        give_back(zr, i, r);
    } else {
        r->dirty = true;
        z->busy->nr_dirty_holes++;
    }
    busy_put(z);
    verify(zr);
}

void zone_write_placed(ZoneRules *zr, ZoneWrite *w)
{
    ZoneRange *r = w->priv;
    uint32_t i = zone_rules_index(zr, w->start);
    Zone *z = &zr->zones[i];

    if (is_conventional(zr, i)) {
        return;
    }
    g_assert(r->user == RANGE_WRITE);
    z->busy->acknowledged = MAX(z->busy->acknowledged, range_end(r));
    if (!r->covered) {
        range_cover(z->busy, r);
    }
    verify(zr);
}

/*** Holes ***/

/* The lowest range of @q that zeros are wanted for, below a completed write. */
static ZoneRange *find_dirty_hole(const ZoneBusy *b, const GQueue *q)
{
    GList *l;

    for (l = q->head; l; l = l->next) {
        ZoneRange *r = range_of(l);

        if (r->w.start >= b->acknowledged) {
            break;
        }
        if (r->user == RANGE_HOLE && r->dirty) {
            return r;
        }
    }
    return NULL;
}

static ZoneRange *lowest_dirty_hole(const Zone *z)
{
    ZoneRange *open, *covered;

    if (!z->busy || !z->busy->nr_dirty_holes) {
        return NULL;
    }
    open = find_dirty_hole(z->busy, &z->busy->open);
    covered = find_dirty_hole(z->busy, &z->busy->covered);
    if (open && covered) {
        return open->w.start < covered->w.start ? open : covered;
    }
    return open ?: covered;
}

bool zone_rules_has_hole(const ZoneRules *zr, uint32_t i)
{
    return lowest_dirty_hole(&zr->zones[i]) != NULL;
}

ZoneWrite *zone_hole_begin(ZoneRules *zr, uint32_t i)
{
    Zone *z = &zr->zones[i];
    ZoneRange *r = lowest_dirty_hole(z);

    if (!r) {
        return NULL;
    }
    range_claim(z, r, RANGE_FILL);
    verify(zr);
    return &r->w;
}

void zone_hole_end(ZoneRules *zr, ZoneWrite *w, bool ok)
{
    ZoneRange *r = w->priv;
    Zone *z = &zr->zones[zone_rules_index(zr, w->start)];

    g_assert(r->user == RANGE_FILL);
    range_release(z, r);
    if (ok) {
        r->dirty = false;
        if (!r->covered) {
            range_cover(z->busy, r);
        }
    } else {
        z->busy->nr_dirty_holes++;
    }
    verify(zr);
}

/*** Reads ***/

/* A walk over both lists of ranges of a zone, in ascending order. */
typedef struct RangeWalk {
    GList *open;
    GList *covered;
} RangeWalk;

static const ZoneRange *walk_next(RangeWalk *walk)
{
    const ZoneRange *open = range_of(walk->open);
    const ZoneRange *covered = range_of(walk->covered);

    if (open && (!covered || open->w.start < covered->w.start)) {
        walk->open = walk->open->next;
        return open;
    }
    if (covered) {
        walk->covered = walk->covered->next;
    }
    return covered;
}

int zone_read_part(const ZoneRules *zr, uint64_t offset, uint64_t bytes,
                   uint64_t *n)
{
    uint32_t i = zone_rules_index(zr, offset);
    const Zone *z = &zr->zones[i];
    uint64_t conventional_end = zone_rules_start(zr, zr->g.nr_conventional);
    uint64_t zero_end = offset;
    uint64_t end;
    RangeWalk walk = { 0 };
    const ZoneRange *r;

    if (is_conventional(zr, i)) {
        *n = MIN(bytes, conventional_end - offset);
        return 1;
    }

    end = MIN(offset + bytes, zone_end(zr, i));
    if (z->state == ZONE_STATE_OFFLINE) {
        *n = end - offset;
        return -BLK_ZONE_ERR_OFFLINE;
    }

    if (z->busy) {
        walk.open = z->busy->open.head;
        walk.covered = z->busy->covered.head;
    }
    /* Zeros go on through ranges that follow on one another... */
    while ((r = walk_next(&walk)) && r->w.start <= zero_end) {
        zero_end = MAX(zero_end, range_end(r));
    }
    /* ... and from the write pointer up. */
    if (zero_end >= z->wp) {
        zero_end = end;
    }
    if (zero_end > offset) {
        *n = MIN(zero_end, end) - offset;
        return 0;
    }
    *n = MIN(end, r ? r->w.start : z->wp) - offset;
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

static int open_one(ZoneRules *zr, uint32_t i)
{
    if (zr->zones[i].state == ZONE_STATE_EXPLICIT_OPEN) {
        return 0;
    }
    return open_zone(zr, i, ZONE_STATE_EXPLICIT_OPEN);
}

static void close_one(ZoneRules *zr, uint32_t i, unsigned flags)
{
    if (zr->zones[i].state != ZONE_STATE_CLOSED) {
        close_zone(zr, i, flags & ZONE_OP_ZNS);
    }
}

/* Does a finish or reset of zone @i have anything to change? */
static bool op_changes(const ZoneRules *zr, ZoneOpType type, uint32_t i)
{
    if (type == ZONE_OP_RESET) {
        return zr->zones[i].state != ZONE_STATE_EMPTY;
    }
    /* A Full zone with writes in flight is not sure to stay so. */
    return zr->zones[i].state != ZONE_STATE_FULL ||
           zone_rules_complete(zr, i) != zr->zones[i].wp;
}

/* An operation with room for @max zones; NULL on lack of memory. */
static ZoneOp *op_new(ZoneOpType type, uint32_t max)
{
    g_autofree uint32_t *zones = g_try_new(uint32_t, max);
    ZoneOp *op;

    if (!zones) {
        return NULL;
    }
    op = g_new0(ZoneOp, 1);
    op->type = type;
    op->zones = g_steal_pointer(&zones);
    return op;
}

static void op_add(ZoneRules *zr, ZoneOp *op, uint32_t i)
{
    Zone *z = &zr->zones[i];

    z->pending = true;
    zr->nr_pending++;
    if (z->busy) {
        z->busy->op = op;
        op->nr_busy += z->busy->in_flight > 0;
    }
    op->zones[op->nr++] = i;
}

static int compare_index(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Open all Closed zones, or none. */
static int open_all(ZoneRules *zr)
{
    uint32_t nr = zr->closed.nr;

    /* Implicitly open zones can all be closed for it. */
    if (zr->open_limit && nr &&
        (uint64_t)zr->explicit_open.nr + nr > zr->open_limit) {
        return -BLK_ZONE_ERR_OPEN_LIMIT;
    }
    /* Zones closed to make room come behind those that were closed before. */
    while (nr--) {
        uint32_t i = zr->closed.head;

        g_assert(!zr->zones[i].pending);
        open_zone(zr, i, ZONE_STATE_EXPLICIT_OPEN);
    }
    return 0;
}

static void close_all(ZoneRules *zr, unsigned flags)
{
    ZoneList *lists[] = { &zr->implicit_open, &zr->explicit_open };
    unsigned l;

    for (l = 0; l < ARRAY_SIZE(lists); l++) {
        while (lists[l]->nr) {
            uint32_t i = lists[l]->head;

            g_assert(!zr->zones[i].pending);
            close_zone(zr, i, flags & ZONE_OP_ZNS);
        }
    }
}

/* Finish or reset all: the lists hold exactly the zones that change. */
static int change_all(ZoneRules *zr, ZoneOpType type, ZoneOp **op)
{
    const ZoneList *lists[] = {
        &zr->implicit_open, &zr->explicit_open, &zr->closed, &zr->full
    };
    int nr_lists = type == ZONE_OP_FINISH ? 3 : 4;
    uint32_t nr = 0;
    uint32_t i;
    int l;

    for (l = 0; l < nr_lists; l++) {
        nr += lists[l]->nr;
    }
    if (!nr) {
        return 0;
    }
    *op = op_new(type, nr);
    if (!*op) {
        return -ENOMEM;
    }
    for (l = 0; l < nr_lists; l++) {
        for (i = lists[l]->head; i != NO_ZONE; i = zr->zones[i].next) {
            g_assert(!zr->zones[i].pending);
            op_add(zr, *op, i);
        }
    }
    qsort((*op)->zones, nr, sizeof(*(*op)->zones), compare_index);
    return 0;
}

static int op_all(ZoneRules *zr, ZoneOpType type, unsigned flags, ZoneOp **op)
{
    switch (type) {
    case ZONE_OP_OPEN:
        return open_all(zr);
    case ZONE_OP_CLOSE:
        close_all(zr, flags);
        return 0;
    default:
        return change_all(zr, type, op);
    }
}

/* Zones [@first, @end), all of which allow the operation. */
static int op_range(ZoneRules *zr, ZoneOpType type, unsigned flags,
                    uint32_t first, uint32_t end, ZoneOp **op)
{
    uint32_t nr = 0;
    uint32_t i;
    int ret;

    switch (type) {
    case ZONE_OP_OPEN:
        for (i = first; i < end; i++) {
            ret = open_one(zr, i);
            if (ret < 0) {
                return ret;
            }
        }
        return 0;
    case ZONE_OP_CLOSE:
        for (i = first; i < end; i++) {
            close_one(zr, i, flags);
        }
        return 0;
    default:
        for (i = first; i < end; i++) {
            nr += op_changes(zr, type, i);
        }
        if (!nr) {
            return 0;
        }
        *op = op_new(type, nr);
        if (!*op) {
            return -ENOMEM;
        }
        for (i = first; i < end; i++) {
            if (op_changes(zr, type, i)) {
                op_add(zr, *op, i);
            }
        }
        return 0;
    }
}

int zone_op_begin(ZoneRules *zr, ZoneOpType type, unsigned flags,
                  uint64_t offset, uint64_t len, ZoneOp **op)
{
    uint64_t mask = zr->g.zone_size - 1;
    uint32_t first, end, i;
    int ret;

    *op = NULL;
    if (type == ZONE_OP_RESET && offset == 0 && len == zr->g.disk_size) {
        flags |= ZONE_OP_ALL;
    }
    if (flags & ZONE_OP_ALL) {
        ret = op_all(zr, type, flags, op);
        verify(zr);
        return ret;
    }

    if (!len || offset & mask || offset >= zr->g.disk_size ||
        len > zr->g.disk_size - offset ||
        ((offset + len) & mask && offset + len != zr->g.disk_size)) {
        return -EINVAL;
    }
    first = zone_rules_index(zr, offset);
    end = zone_rules_index(zr, offset + len - 1) + 1;
    for (i = first; i < end; i++) {
        if (!op_allowed(type, zr->zones[i].state)) {
            return -BLK_ZONE_ERR_TRANSITION;
        }
        g_assert(!zr->zones[i].pending);
    }
    ret = op_range(zr, type, flags, first, end, op);
    verify(zr);
    return ret;
}

bool zone_op_drained(const ZoneRules *zr, const ZoneOp *op)
{
    return !op->nr_busy;
}

void zone_op_start(ZoneRules *zr, ZoneOp *op)
{
    g_assert(!op->nr_busy);
    op->started = true;
}

static void finish_zone(ZoneRules *zr, uint32_t i)
{
    Zone *z = &zr->zones[i];

    z->wp = zone_rules_capacity_end(zr, i);
    if (z->busy) {
        z->busy->acknowledged = z->wp;
    }
    z->generation++;
    set_state(zr, i, ZONE_STATE_FULL);
}

static void reset_zone(ZoneRules *zr, uint32_t i)
{
    Zone *z = &zr->zones[i];

    drop_busy(z);
    z->wp = zone_rules_start(zr, i);
    z->generation++;
    set_state(zr, i, ZONE_STATE_EMPTY);
}

void zone_op_end(ZoneRules *zr, ZoneOp *op, bool ok)
{
    uint32_t k;

    g_assert(!ok || !op->nr_busy);
    for (k = 0; k < op->nr; k++) {
        Zone *z = &zr->zones[op->zones[k]];

        z->pending = false;
        if (z->busy) {
            z->busy->op = NULL;
        }
        if (ok && op->type == ZONE_OP_FINISH) {
            finish_zone(zr, op->zones[k]);
        } else if (ok) {
            reset_zone(zr, op->zones[k]);
        }
    }
    zr->nr_pending -= op->nr;
    g_free(op->zones);
    g_free(op);
    verify(zr);
}

#ifdef ZONE_VERIFY
#include "zone-rules-verify.c.inc"
#endif
