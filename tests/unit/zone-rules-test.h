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

static inline ZoneRules *new_rules(uint32_t max_active, uint32_t max_open)
{
    ZoneGeometry g = small;

    g.max_active = max_active;
    g.max_open = max_open;
    return zone_rules_new(&g);
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

static inline ZoneWrite *begin(ZoneRules *zr, uint64_t offset, uint64_t bytes)
{
    ZoneWrite *w;

    g_assert_cmpint(zone_write_begin(zr, offset, bytes, &w), ==, 0);
    g_assert_nonnull(w);
    g_assert_cmpuint(w->start, ==, offset);
    g_assert_cmpuint(w->bytes, ==, bytes);
    return w;
}

/* A write of @bytes at the write pointer of zone @i */
static inline ZoneWrite *begin_next(ZoneRules *zr, uint32_t i, uint64_t bytes)
{
    return begin(zr, at(i) + wp(zr, i), bytes);
}

static inline void put(ZoneRules *zr, uint32_t i, uint64_t bytes)
{
    zone_write_end(zr, begin_next(zr, i, bytes), true);
}

static inline void refuse_write(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                                int error)
{
    ZoneWrite *w = (ZoneWrite *)&small;

    g_assert_cmpint(zone_write_begin(zr, offset, bytes, &w), ==, -error);
    g_assert_null(w);
}

static inline void refuse_append(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                                 int error)
{
    ZoneWrite *w = (ZoneWrite *)&small;

    g_assert_cmpint(zone_append_begin(zr, offset, bytes, &w), ==, -error);
    g_assert_null(w);
}

/* One operation, carried out to the end */
static inline int op(ZoneRules *zr, ZoneOpType type, unsigned flags,
                     uint64_t offset, uint64_t len)
{
    ZoneOp *zop = (ZoneOp *)&small;
    int ret = zone_op_begin(zr, type, flags, offset, len, &zop);

    if (zop) {
        g_assert_cmpint(ret, ==, 0);
        g_assert_true(zone_op_drained(zr, zop));
        zone_op_end(zr, zop, true);
    }
    return ret;
}

static inline int op_one(ZoneRules *zr, ZoneOpType type, uint32_t i)
{
    return op(zr, type, 0, at(i), i == 7 ? ZONE / 2 : ZONE);
}

static inline ZoneOp *op_begin(ZoneRules *zr, ZoneOpType type, uint32_t i)
{
    ZoneOp *zop;

    g_assert_cmpint(zone_op_begin(zr, type, 0, at(i), ZONE, &zop), ==, 0);
    g_assert_nonnull(zop);
    return zop;
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
