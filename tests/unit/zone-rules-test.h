/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the zone rules share: a small disk, and short names
 */
#ifndef TESTS_UNIT_ZONE_RULES_TEST_H
#define TESTS_UNIT_ZONE_RULES_TEST_H

#include "block/zone-errors.h"
#include "block/zone-rules.h"

#define NW          ZONE_STATE_NOT_WP
#define EM          ZONE_STATE_EMPTY
#define IO          ZONE_STATE_IMPLICIT_OPEN
#define EO          ZONE_STATE_EXPLICIT_OPEN
#define CL          ZONE_STATE_CLOSED
#define FU          ZONE_STATE_FULL
#define RO          ZONE_STATE_READ_ONLY
#define OF          ZONE_STATE_OFFLINE

#define KIB         1024ull
#define MIB         (1024 * KIB)
#define GIB         (1024 * MIB)

#define ZONE        (1 * MIB)
#define CAP         (768 * KIB)
#define PART        (64 * KIB)

/* 8 zones, the first two conventional, the last one cut to half a MiB */
static const ZoneGeometry small = {
    .disk_size = 7 * ZONE + ZONE / 2,
    .zone_size = ZONE,
    .zone_capacity = CAP,
    .nr_zones = 8,
    .nr_conventional = 2,
    .max_append = 256 * KIB,
};

/* First sequential zone, and others after it */
enum { A = 2, B, C, D, E, LAST };

/* A disk of up to 2048 zones, all of them empty; one at a time */
static inline ZoneRules *rules_for(const ZoneGeometry *g)
{
    static uint64_t rest[2048];
    uint32_t i;

    g_assert_cmpuint(g->nr_zones, <=, ARRAY_SIZE(rest));
    for (i = 0; i < g->nr_zones; i++) {
        rest[i] = i * g->zone_size;
    }
    return zone_rules_new(g, rest);
}

static inline ZoneRules *new_rules(uint32_t max_active, uint32_t max_open)
{
    ZoneGeometry g = small;

    g.max_active = max_active;
    g.max_open = max_open;
    return rules_for(&g);
}

/*
 * The power goes, and the disk @zr comes up again with its complete pointers,
 * but for zone @i, which comes up with @pointer; one at a time.
 */
static inline ZoneRules *come_up(ZoneRules *zr, uint32_t i, uint64_t pointer)
{
    static uint64_t rest[8];
    const ZoneGeometry g = *zone_rules_geometry(zr);
    uint32_t k;

    g_assert_cmpuint(g.nr_zones, <=, ARRAY_SIZE(rest));
    for (k = 0; k < g.nr_zones; k++) {
        rest[k] = k == i ? pointer : zone_rules_complete(zr, k);
    }
    zone_rules_free(zr);
    return zone_rules_new(&g, rest);
}

static inline uint64_t at(uint32_t i)
{
    return i * ZONE;
}

static inline ZoneState state(ZoneRules *zr, uint32_t i)
{
    ZoneInfo info;

    zone_rules_get(zr, i, &info);
    return info.state;
}

/* Write pointer, from the zone's start */
static inline uint64_t wp(ZoneRules *zr, uint32_t i)
{
    ZoneInfo info;

    zone_rules_get(zr, i, &info);
    return info.wp - info.start;
}

/* Accept a write; what it needs is not made. */
static inline ZoneWrite *begin_bare(ZoneRules *zr, uint64_t offset,
                                    uint64_t bytes)
{
    ZoneWrite *w = g_new(ZoneWrite, 1);

    memset(w, 0x55, sizeof(*w));
    g_assert_cmpint(zone_write_begin(zr, offset, bytes, w), ==, 0);
    g_assert_cmpuint(w->start, ==, offset);
    g_assert_cmpuint(w->bytes, ==, bytes);
    g_assert_cmpint(w->stage, ==, ZONE_WRITE_ACCEPTED);
    g_assert_cmpint(w->error, ==, 0);
    return w;
}

/* It is @w's turn: make what it needs, and no more. */
static inline void make_ready(ZoneRules *zr, ZoneWrite *w)
{
    if (!zone_write_is_ready(zr, w)) {
        g_assert_true(zone_write_has_turn(zr, w));
        zone_write_ready(zr, w, w->start + w->bytes);
    }
    g_assert_true(zone_write_has_turn(zr, w));
    g_assert_true(zone_write_is_ready(zr, w));
}

static inline ZoneWrite *begin(ZoneRules *zr, uint64_t offset, uint64_t bytes)
{
    ZoneWrite *w = begin_bare(zr, offset, bytes);

    make_ready(zr, w);
    return w;
}

/* A write of @bytes at the write pointer of zone @i */
static inline ZoneWrite *begin_next(ZoneRules *zr, uint32_t i, uint64_t bytes)
{
    return begin(zr, at(i) + wp(zr, i), bytes);
}

static inline ZoneWrite *begin_next_bare(ZoneRules *zr, uint32_t i,
                                         uint64_t bytes)
{
    return begin_bare(zr, at(i) + wp(zr, i), bytes);
}

static inline ZoneWrite *begin_append(ZoneRules *zr, uint32_t i,
                                      uint64_t bytes)
{
    ZoneWrite *w = g_new(ZoneWrite, 1);

    memset(w, 0x55, sizeof(*w));
    g_assert_cmpint(zone_append_begin(zr, at(i), bytes, w), ==, 0);
    g_assert_cmpuint(w->bytes, ==, bytes);
    g_assert_cmpint(w->stage, ==, ZONE_WRITE_ACCEPTED);
    g_assert_cmpint(w->error, ==, 0);
    make_ready(zr, w);
    return w;
}

static inline void check_stage(const ZoneWrite *w, ZoneWriteStage stage)
{
    g_assert_cmpint(w->stage, ==, stage);
}

/* Its data, or the zeros for it, are in. */
static inline void complete(ZoneRules *zr, ZoneWrite *w)
{
    zone_write_complete(zr, w);
    check_stage(w, ZONE_WRITE_COMPLETE);
}

/* Its data has failed: that makes it @stage. */
static inline void fail(ZoneRules *zr, ZoneWrite *w, ZoneWriteStage stage)
{
    zone_write_fail(zr, w);
    check_stage(w, stage);
}

/* It answers; nobody looks at it any more. */
static inline void end(ZoneRules *zr, ZoneWrite *w)
{
    zone_write_end(zr, w);
    memset(w, 0x55, sizeof(*w));
    g_free(w);
}

static inline void done(ZoneRules *zr, ZoneWrite *w)
{
    complete(zr, w);
    end(zr, w);
}

/* The last one accepted fails. */
static inline void lose(ZoneRules *zr, ZoneWrite *w)
{
    fail(zr, w, ZONE_WRITE_GIVEN_BACK);
    end(zr, w);
}

static inline void put(ZoneRules *zr, uint32_t i, uint64_t bytes)
{
    done(zr, begin_next(zr, i, bytes));
}

static inline void refuse_write(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                                int error)
{
    ZoneWrite w;

    g_assert_cmpint(zone_write_begin(zr, offset, bytes, &w), ==, -error);
}

static inline void refuse_append(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                                 int error)
{
    ZoneWrite w;

    g_assert_cmpint(zone_append_begin(zr, offset, bytes, &w), ==, -error);
}

/* All checks that do not depend on resources */
static inline int check_op(ZoneRules *zr, ZoneOpType type, unsigned *flags,
                           uint64_t offset, uint64_t len, uint32_t *first,
                           uint32_t *last)
{
    int ret = zone_op_range(zr, type, flags, offset, len, first, last);

    return ret < 0 || *flags & ZONE_OP_ALL ? ret :
           zone_op_check(zr, type, *first, *last);
}

/*
 * Begin a finish or reset, of zones that are bits of the result; where there
 * is nothing to change in any, it is 0.
 */
static inline uint32_t begin_op(ZoneRules *zr, ZoneOpType type, unsigned flags,
                                uint64_t offset, uint64_t len)
{
    uint32_t first, last, i;
    uint32_t zones = 0;

    g_assert_cmpint(check_op(zr, type, &flags, offset, len, &first, &last), ==,
                    0);
    for (i = first; i < last; i++) {
        if (zone_op_begin(zr, type, flags, i)) {
            zones |= 1u << i;
        }
        g_assert_true(zone_rules_op_pending(zr, i) == !!(zones & 1u << i));
    }
    return zones;
}

static inline void end_op(ZoneRules *zr, ZoneOpType type, uint32_t zones,
                          bool ok)
{
    uint32_t i;

    for (i = 0; zones; i++, zones >>= 1) {
        if (zones & 1) {
            zone_op_end(zr, type, i, ok);
            g_assert_false(zone_rules_op_pending(zr, i));
        }
    }
}

/* Open with ZONE_OP_ALL */
static inline int open_all(ZoneRules *zr, uint32_t first, uint32_t last)
{
    uint32_t zones[8];
    uint32_t nr = 0, i;

    for (i = first; i < last; i++) {
        if (zone_op_opens(zr, i)) {
            zones[nr++] = i;
        }
    }
    return zone_op_open_all(zr, zones, nr);
}

/* One operation, carried out to the end */
static inline int op(ZoneRules *zr, ZoneOpType type, unsigned flags,
                     uint64_t offset, uint64_t len)
{
    uint32_t first, last;
    int ret = check_op(zr, type, &flags, offset, len, &first, &last);

    if (ret < 0) {
        return ret;
    }
    switch (type) {
    case ZONE_OP_OPEN:
        return flags & ZONE_OP_ALL ? open_all(zr, first, last)
                                   : zone_op_open(zr, first, last);
    case ZONE_OP_CLOSE:
        zone_op_close(zr, flags, first, last);
        return 0;
    default:
        end_op(zr, type, begin_op(zr, type, flags, offset, len), true);
        return 0;
    }
}

static inline int op_one(ZoneRules *zr, ZoneOpType type, uint32_t i)
{
    return op(zr, type, 0, at(i), i == 7 ? ZONE / 2 : ZONE);
}

/* A finish or reset of zone @i, which changes something, waits. */
static inline void begin_op_one(ZoneRules *zr, ZoneOpType type, uint32_t i)
{
    g_assert_cmphex(begin_op(zr, type, 0, at(i), ZONE), ==, 1u << i);
    g_assert_true(zone_rules_blocked(zr, i));
}

static inline void check(ZoneRules *zr, uint32_t i, ZoneState s,
                         uint64_t pointer)
{
    g_assert_cmphex(state(zr, i), ==, s);
    g_assert_cmpuint(wp(zr, i), ==, pointer);
}

static inline void check_counts(ZoneRules *zr, uint32_t nr_open,
                                uint32_t nr_active)
{
    g_assert_cmpuint(zone_rules_nr_open(zr), ==, nr_open);
    g_assert_cmpuint(zone_rules_nr_active(zr), ==, nr_active);
}

/* Complete and acknowledged ends of zone @i, from its start */
static inline void check_ends(ZoneRules *zr, uint32_t i, uint64_t complete,
                              uint64_t acknowledged)
{
    g_assert_cmpuint(zone_rules_complete(zr, i), ==, at(i) + complete);
    g_assert_cmpuint(zone_rules_acknowledged(zr, i), ==, at(i) + acknowledged);
}

/* Parts of a read: +n data, -n zeros, 0 ends the list. */
static inline void check_read(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                              const int64_t *parts)
{
    while (bytes) {
        uint64_t n = 0;
        int ret = zone_read_part(zr, offset, bytes, &n);

        g_assert_cmpint(ret, ==, *parts > 0);
        g_assert_cmpint((int64_t)n, ==, ABS(*parts));
        parts++;
        offset += n;
        bytes -= n;
    }
    g_assert_cmpint(*parts, ==, 0);
}

#define CHECK_READ(zr, offset, bytes, ...) \
    check_read(zr, offset, bytes, (const int64_t[]) { __VA_ARGS__, 0 })

#endif
