/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random operations on the zone rules, held against a naive model
 *
 * After each operation the decision, every zone's state and write pointer, the
 * limits' counts and all that can be asked of the zones touched must agree.
 * Each (state of the zone, operation, outcome) that the rules allow must be
 * met at least LEAST_HITS times, and no other may be met.
 *
 * ZQ_SEED chooses the seed, ZQ_PROP_OPS the number of operations.
 */
#include "qemu/osdep.h"
#include "block/zone-errors.h"
#include "block/zone-rules.h"
#include "zone-model.h"

#define SECTOR          512u
#define LEAST_HITS      100
#define DEFAULT_OPS     4000000
#define OPS_PER_DISK    300
#define OPS_PER_MOOD    100
#define MAX_FLIGHT      64
#define MAX_OPS         4

static GRand *rnd;
static uint64_t seed;

static int below(int n)
{
    return n > 1 ? g_rand_int_range(rnd, 0, n) : 0;
}

static bool chance(int percent)
{
    return below(100) < percent;
}

/*** Hits ***/

typedef enum Op {
    OP_WRITE, OP_REWRITE, OP_APPEND, OP_PLACED, OP_DONE, OP_FAIL,
    OP_FAIL_PLACED, OP_FILL, OP_FILLED, OP_FILL_FAIL, OP_OPEN, OP_CLOSE,
    OP_CLOSE_ZNS, OP_FINISH, OP_RESET,
    OP_OPEN_ALL, OP_CLOSE_ALL, OP_CLOSE_ALL_ZNS, OP_FINISH_ALL, OP_RESET_ALL,
    OP_MADE_ROOM, OP_READ, OP_REOPEN,
    NR_OPS
} Op;

static const char *const op_names[NR_OPS] = {
    "write", "rewrite", "append", "write-placed", "write-done", "write-failed",
    "placed-failed", "fill", "fill-done", "fill-failed", "open", "close",
    "close-zns", "finish",
    "reset", "open-all", "close-all", "close-all-zns", "finish-all",
    "reset-all", "made-room", "read", "reopen",
};

static const char *const state_names[M_NR_STATES] = {
    "Conventional", "Empty", "Implicit", "Explicit", "Closed", "Full",
    "ReadOnly", "Offline",
};

/* An outcome is a new state, or one of these */
enum {
    OUT_RESULT = M_NR_STATES,
    OUT_DATA = OUT_RESULT + M_NR_RESULTS, OUT_ZEROS, OUT_UNDONE,
    NR_OUTCOMES
};

static const char *const outcome_names[NR_OUTCOMES - OUT_RESULT] = {
    "?", "malformed", "unaligned", "boundary", "full", "read-only", "offline",
    "bad-append", "bad-transition", "too-active", "too-open", "wait",
    "data", "zeros", "undone",
};

static const char *outcome_name(int o)
{
    return o < OUT_RESULT ? state_names[o] : outcome_names[o - OUT_RESULT];
}

static uint64_t hits[M_NR_STATES][NR_OPS][NR_OUTCOMES];

static void hit(ModelState state, Op op, int outcome)
{
    hits[state][op][outcome]++;
}

/* All that the rules allow, by operation: "state: outcomes" */
static const struct {
    Op op;
    const char *outcomes;
} reachable[] = {
    { OP_WRITE, "Conventional: Conventional unaligned boundary full read-only "
                "offline" },
    { OP_WRITE, "Empty: Implicit Full unaligned boundary too-active too-open" },
    { OP_WRITE, "Implicit: Implicit Full unaligned boundary" },
    { OP_WRITE, "Explicit: Explicit Full unaligned boundary" },
    { OP_WRITE, "Closed: Implicit Full unaligned boundary too-open" },
    { OP_WRITE, "Full: full" },
    { OP_WRITE, "ReadOnly: read-only" },
    { OP_WRITE, "Offline: offline" },

    { OP_REWRITE, "Implicit: Implicit wait" },
    { OP_REWRITE, "Explicit: Explicit wait" },
    { OP_REWRITE, "Closed: Closed wait" },
    { OP_REWRITE, "Full: Full wait" },
    { OP_REWRITE, "ReadOnly: read-only" },
    { OP_REWRITE, "Offline: offline" },

    { OP_APPEND, "Conventional: bad-append malformed" },
    { OP_APPEND, "Empty: Implicit Full boundary too-active too-open malformed "
                 "bad-append" },
    { OP_APPEND, "Implicit: Implicit Full boundary malformed bad-append" },
    { OP_APPEND, "Explicit: Explicit Full boundary malformed bad-append" },
    { OP_APPEND, "Closed: Implicit Full boundary too-open malformed "
                 "bad-append" },
    { OP_APPEND, "Full: full malformed bad-append" },
    { OP_APPEND, "ReadOnly: read-only malformed bad-append" },
    { OP_APPEND, "Offline: offline malformed bad-append" },

    { OP_PLACED, "Conventional: Conventional" },
    { OP_PLACED, "Implicit: Implicit" },
    { OP_PLACED, "Explicit: Explicit" },
    { OP_PLACED, "Closed: Closed" },
    { OP_PLACED, "Full: Full" },
    { OP_PLACED, "ReadOnly: ReadOnly" },
    { OP_PLACED, "Offline: Offline" },

    { OP_DONE, "Conventional: Conventional" },
    { OP_DONE, "Implicit: Implicit" },
    { OP_DONE, "Explicit: Explicit" },
    { OP_DONE, "Closed: Closed" },
    { OP_DONE, "Full: Full" },
    { OP_DONE, "ReadOnly: ReadOnly" },
    { OP_DONE, "Offline: Offline" },

    { OP_FAIL, "Conventional: Conventional" },
    { OP_FAIL, "Implicit: Implicit" },
    { OP_FAIL, "Explicit: Explicit" },
    { OP_FAIL, "Closed: Closed Empty" },
    { OP_FAIL, "Full: Full Closed Empty" },
    { OP_FAIL, "ReadOnly: ReadOnly" },
    { OP_FAIL, "Offline: Offline" },

    /* The write pointer stays. */
    { OP_FAIL_PLACED, "Conventional: Conventional" },
    { OP_FAIL_PLACED, "Implicit: Implicit" },
    { OP_FAIL_PLACED, "Explicit: Explicit" },
    { OP_FAIL_PLACED, "Closed: Closed" },
    { OP_FAIL_PLACED, "Full: Full" },
    { OP_FAIL_PLACED, "ReadOnly: ReadOnly" },
    { OP_FAIL_PLACED, "Offline: Offline" },

    { OP_FILL, "Implicit: Implicit" },
    { OP_FILL, "Explicit: Explicit" },
    { OP_FILL, "Closed: Closed" },
    { OP_FILL, "Full: Full" },
    { OP_FILL, "ReadOnly: ReadOnly" },
    { OP_FILL, "Offline: Offline" },
    { OP_FILLED, "Implicit: Implicit" },
    { OP_FILLED, "Explicit: Explicit" },
    { OP_FILLED, "Closed: Closed" },
    { OP_FILLED, "Full: Full" },
    { OP_FILL_FAIL, "Implicit: Implicit" },
    { OP_FILL_FAIL, "Explicit: Explicit" },
    { OP_FILL_FAIL, "Closed: Closed" },
    { OP_FILL_FAIL, "Full: Full" },

    { OP_OPEN, "Conventional: bad-transition" },
    { OP_OPEN, "Empty: Explicit too-active too-open" },
    { OP_OPEN, "Implicit: Explicit" },
    { OP_OPEN, "Explicit: Explicit" },
    { OP_OPEN, "Closed: Explicit too-open" },
    { OP_OPEN, "Full: bad-transition" },
    { OP_OPEN, "ReadOnly: bad-transition" },
    { OP_OPEN, "Offline: bad-transition" },

    { OP_CLOSE, "Conventional: bad-transition" },
    { OP_CLOSE, "Empty: bad-transition" },
    { OP_CLOSE, "Implicit: Closed Empty" },
    { OP_CLOSE, "Explicit: Closed Empty" },
    { OP_CLOSE, "Closed: Closed" },
    { OP_CLOSE, "Full: bad-transition" },
    { OP_CLOSE, "ReadOnly: bad-transition" },
    { OP_CLOSE, "Offline: bad-transition" },

    { OP_CLOSE_ZNS, "Conventional: bad-transition" },
    { OP_CLOSE_ZNS, "Empty: bad-transition" },
    { OP_CLOSE_ZNS, "Implicit: Closed" },
    { OP_CLOSE_ZNS, "Explicit: Closed" },
    { OP_CLOSE_ZNS, "Closed: Closed" },
    { OP_CLOSE_ZNS, "Full: bad-transition" },
    { OP_CLOSE_ZNS, "ReadOnly: bad-transition" },
    { OP_CLOSE_ZNS, "Offline: bad-transition" },

    { OP_FINISH, "Conventional: bad-transition" },
    { OP_FINISH, "Empty: Full undone" },
    { OP_FINISH, "Implicit: Full undone" },
    { OP_FINISH, "Explicit: Full undone" },
    { OP_FINISH, "Closed: Full undone" },
    { OP_FINISH, "Full: Full undone" },
    { OP_FINISH, "ReadOnly: bad-transition" },
    { OP_FINISH, "Offline: bad-transition" },

    { OP_RESET, "Conventional: bad-transition" },
    { OP_RESET, "Empty: Empty undone" },
    { OP_RESET, "Implicit: Empty undone" },
    { OP_RESET, "Explicit: Empty undone" },
    { OP_RESET, "Closed: Empty undone" },
    { OP_RESET, "Full: Empty undone" },
    { OP_RESET, "ReadOnly: bad-transition" },
    { OP_RESET, "Offline: bad-transition" },

    { OP_OPEN_ALL, "Closed: Explicit too-open" },
    { OP_CLOSE_ALL, "Implicit: Closed Empty" },
    { OP_CLOSE_ALL, "Explicit: Closed Empty" },
    { OP_CLOSE_ALL_ZNS, "Implicit: Closed" },
    { OP_CLOSE_ALL_ZNS, "Explicit: Closed" },
    /* As they are when it ends: meanwhile they may have been closed. */
    { OP_FINISH_ALL, "Empty: Full undone" },
    { OP_FINISH_ALL, "Implicit: Full undone" },
    { OP_FINISH_ALL, "Explicit: Full undone" },
    { OP_FINISH_ALL, "Closed: Full undone" },
    { OP_RESET_ALL, "Empty: Empty undone" },
    { OP_RESET_ALL, "Implicit: Empty undone" },
    { OP_RESET_ALL, "Explicit: Empty undone" },
    { OP_RESET_ALL, "Closed: Empty undone" },
    { OP_RESET_ALL, "Full: Empty undone" },

    { OP_MADE_ROOM, "Implicit: Closed Empty" },

    { OP_READ, "Conventional: data" },
    { OP_READ, "Empty: zeros" },
    { OP_READ, "Implicit: data zeros" },
    { OP_READ, "Explicit: data zeros" },
    { OP_READ, "Closed: data zeros" },
    { OP_READ, "Full: data zeros" },
    { OP_READ, "ReadOnly: data zeros" },
    { OP_READ, "Offline: offline" },

    { OP_REOPEN, "Empty: Empty" },
    { OP_REOPEN, "Implicit: Closed Empty" },
    { OP_REOPEN, "Explicit: Closed Empty" },
    { OP_REOPEN, "Closed: Closed Empty" },
    /* A hole that no flush filled ends what is durable. */
    { OP_REOPEN, "Full: Full Closed Empty" },
};

static bool has_word(const char *words, const char *word)
{
    g_auto(GStrv) list = g_strsplit(words, " ", -1);

    return g_strv_contains((const char *const *)list, word);
}

static bool is_reachable(ModelState state, Op op, int outcome)
{
    size_t k;

    for (k = 0; k < ARRAY_SIZE(reachable); k++) {
        g_auto(GStrv) part = g_strsplit(reachable[k].outcomes, ": ", 2);

        if (reachable[k].op == op && !strcmp(part[0], state_names[state])) {
            return has_word(part[1], outcome_name(outcome));
        }
    }
    return false;
}

/* Print the hits; how many are not as they must be? */
static int judge_hits(void)
{
    int bad = 0, named = 0, state, op, o;
    size_t k;

    for (op = 0; op < NR_OPS; op++) {
        for (state = 0; state < M_NR_STATES; state++) {
            g_autoptr(GString) line = g_string_new(NULL);

            for (o = 0; o < NR_OUTCOMES; o++) {
                uint64_t n = hits[state][op][o];
                bool may = is_reachable(state, op, o);

                named += may;
                if (!may && !n) {
                    continue;
                }
                g_string_append_printf(line, " %s %" PRIu64 "%s",
                                       outcome_name(o), n,
                                       !may ? " (NOT ALLOWED)" :
                                       n < LEAST_HITS ? " (TOO FEW)" : "");
                bad += !may || n < LEAST_HITS;
            }
            if (line->len) {
                printf("# hits: %s, %s:%s\n", state_names[state], op_names[op],
                       line->str);
            }
        }
    }

    /* A misspelt outcome above would be looked for nowhere. */
    for (k = 0; k < ARRAY_SIZE(reachable); k++) {
        const char *c;

        c = strchr(reachable[k].outcomes, ':');
        while ((c = strchr(c, ' '))) {
            named--;
            c++;
        }
    }
    g_assert_cmpint(named, ==, 0);
    return bad;
}

/*** The two, side by side ***/

typedef struct Flight {
    ZoneWrite *w;
    int id;                     /* in the model; 0: conventional */
    bool fill;
    bool placed;
} Flight;

typedef struct Pending {
    ZoneOp *zop;
    ModelOp op;
    Op name;
    bool changes[MODEL_MAX_ZONES];
    bool started;
} Pending;

/* What is likely for a while, in percent */
static struct {
    int end, place, fail, fill, reset, rewrite, all;
} mood;

static ZoneRules *zr;
static Model model;
static Flight flight[MAX_FLIGHT];
static int nr_flight;
static Pending pending[MAX_OPS];
static int nr_pending;

static ModelResult result_of(int ret)
{
    switch (-ret) {
    case 0:
        return M_OK;
    case EINVAL:
        return M_MALFORMED;
    case EAGAIN:
        return M_WAIT;
    case BLK_ZONE_ERR_UNALIGNED_WP:
        return M_UNALIGNED;
    case BLK_ZONE_ERR_BOUNDARY:
        return M_BOUNDARY;
    case BLK_ZONE_ERR_FULL:
        return M_ZONE_FULL;
    case BLK_ZONE_ERR_READ_ONLY:
        return M_ZONE_READ_ONLY;
    case BLK_ZONE_ERR_OFFLINE:
        return M_ZONE_OFFLINE;
    case BLK_ZONE_ERR_INVALID_APPEND:
        return M_BAD_APPEND;
    case BLK_ZONE_ERR_TRANSITION:
        return M_BAD_TRANSITION;
    case BLK_ZONE_ERR_ACTIVE_LIMIT:
        return M_TOO_ACTIVE;
    case BLK_ZONE_ERR_OPEN_LIMIT:
        return M_TOO_OPEN;
    default:
        g_assert_not_reached();
    }
}

static const ZoneState state_of[M_NR_STATES] = {
    ZONE_STATE_NOT_WP, ZONE_STATE_EMPTY, ZONE_STATE_IMPLICIT_OPEN,
    ZONE_STATE_EXPLICIT_OPEN, ZONE_STATE_CLOSED, ZONE_STATE_FULL,
    ZONE_STATE_READ_ONLY, ZONE_STATE_OFFLINE,
};

static uint64_t to_bytes(int sectors)
{
    return (uint64_t)sectors * SECTOR;
}

static int zone_start(int i)
{
    return i * model.g.zone_size;
}

static void check_reads(int i)
{
    int start = zone_start(i), end = start + model_length(&model, i);
    int s = start + below(end - start);
    uint64_t n;
    int ret;

    /* From a random sector to the end of the zone, or a bit beyond. */
    while (s < end) {
        int beyond = end + below(3);
        int want = MIN(model.g.disk, beyond) - s;
        int expect = model_read(&model, s);
        int k;

        ret = zone_read_part(zr, to_bytes(s), to_bytes(want), &n);
        if (expect < 0) {
            g_assert_cmpint(ret, ==, -BLK_ZONE_ERR_OFFLINE);
        } else {
            g_assert_cmpint(ret, ==, expect);
        }
        g_assert_cmpuint(n, >, 0);
        g_assert_cmpuint(n, <=, to_bytes(want));
        g_assert_cmpuint(n % SECTOR, ==, 0);
        for (k = 0; k < (int)(n / SECTOR); k++) {
            g_assert_cmpint(model_read(&model, s + k), ==, expect);
        }
        /* Uniform parts are not cut but at the end of the zone. */
        if (s + k < MIN(end, s + want)) {
            g_assert_cmpint(model_read(&model, s + k), !=, expect);
        }
        hit(model.zone[i].state, OP_READ, expect < 0 ?
            OUT_RESULT + M_ZONE_OFFLINE : expect ? OUT_DATA : OUT_ZEROS);
        s += k;
    }
}

/* Does an operation on zone @i wait, with something unsettled there? */
static bool is_waited_for(int i)
{
    int k;

    for (k = 0; k < nr_pending; k++) {
        if (!pending[k].started &&
            model_op_waits(&model, i, pending[k].changes)) {
            return true;
        }
    }
    return false;
}

/* Everything that can be asked of zone @i */
static void check_zone(int i)
{
    const ModelZone *z = &model.zone[i];
    uint64_t start = to_bytes(zone_start(i));
    ZoneInfo info;

    zone_rules_get(zr, i, &info);
    g_assert_cmpuint(info.start, ==, start);
    g_assert_cmpuint(info.length, ==, to_bytes(model_length(&model, i)));
    g_assert_true(info.conventional == (z->state == M_CONVENTIONAL));
    if (!info.conventional) {
        g_assert_cmpuint(info.capacity, ==,
                         to_bytes(model_capacity(&model, i)));
    }
    g_assert_cmpuint(zone_rules_in_flight(zr, i), ==,
                     model_in_flight(&model, i));
    g_assert_cmpuint(zone_rules_complete(zr, i), ==,
                     start + to_bytes(model_complete(&model, i)));
    g_assert_cmpuint(zone_rules_acknowledged(zr, i), ==,
                     start + to_bytes(model_acknowledged(&model, i)));
    g_assert_cmpuint(zone_rules_generation(zr, i), ==, z->generation);
    g_assert_true(zone_rules_has_hole(zr, i) == model_has_hole(&model, i));
    g_assert_true(zone_rules_op_pending(zr, i) == z->pending);
    g_assert_true(zone_rules_op_waits(zr, i) == is_waited_for(i));
    check_reads(i);
}

/* States and pointers of all zones, and the counts */
static void check_states(void)
{
    int i, waiting = 0;

    for (i = 0; i < model.nr; i++) {
        const ModelZone *z = &model.zone[i];
        ZoneInfo info;

        zone_rules_get(zr, i, &info);
        g_assert_cmpint(info.state, ==, state_of[z->state]);
        g_assert_cmpuint(info.wp, ==, to_bytes(zone_start(i) + z->wp));
        waiting += z->pending;
    }
    g_assert_cmpuint(zone_rules_nr_open(zr), ==, model_open(&model));
    g_assert_cmpuint(zone_rules_nr_active(zr), ==, model_active(&model));
    g_assert_cmpuint(zone_rules_nr_pending(zr), ==, waiting);
    for (i = 0; i < nr_pending; i++) {
        g_assert_true(zone_op_drained(zr, pending[i].zop) ==
                      model_op_drained(&model, pending[i].changes));
    }
}

static ModelState states_before[MODEL_MAX_ZONES];

static void remember_states(void)
{
    int i;

    for (i = 0; i < model.nr; i++) {
        states_before[i] = model.zone[i].state;
    }
}

/* Record what became of the zones other than @but that changed state */
static void hit_made_room(int but)
{
    int i;

    for (i = 0; i < model.nr; i++) {
        if (i != but && states_before[i] != model.zone[i].state) {
            hit(states_before[i], OP_MADE_ROOM, model.zone[i].state);
        }
    }
}

static int outcome(ModelResult r, int i)
{
    return r == M_OK ? (int)model.zone[i].state : OUT_RESULT + (int)r;
}

static void add_flight(ZoneWrite *w, int id, bool fill)
{
    g_assert_nonnull(w);
    flight[nr_flight++] = (Flight) { w, id, fill, false };
}

/* A zone; more often than others the first sequential ones */
static int pick_zone(void)
{
    int hot = model.g.conventional + below(3);

    return chance(50) || hot >= model.nr ? below(model.nr) : hot;
}

/* Rather one that takes writes */
static int pick_writable_zone(void)
{
    int tries, i = pick_zone();

    for (tries = 0; tries < 4 && model.zone[i].state >= M_FULL; tries++) {
        i = pick_zone();
    }
    return i;
}

static const ModelWrite *pick_hole(void)
{
    int k, from = below(model.nr_writes);

    for (k = 0; k < model.nr_writes; k++) {
        const ModelWrite *w = &model.write[(from + k) % model.nr_writes];

        if (w->fate != M_FLIGHT) {
            return w;
        }
    }
    return NULL;
}

static bool is_pending(int at)
{
    return model.zone[at / model.g.zone_size].pending;
}

static bool do_write_at(int at, int len)
{
    int i = at / model.g.zone_size;
    int nr_holes = 0, k, id;
    ZoneWrite *w;
    ModelResult r;
    int ret;

    if (is_pending(at) || nr_flight == MAX_FLIGHT) {
        return false;
    }
    for (k = 0; k < model.nr_writes; k++) {
        nr_holes += model.write[k].start == at && model.write[k].len == len &&
                    model.write[k].fate != M_FLIGHT;
    }
    remember_states();
    r = model_write(&model, at, len, &id);
    ret = zone_write_begin(zr, to_bytes(at), to_bytes(len), &w);
    g_assert_cmpint(result_of(ret), ==, r);
    hit(states_before[i], nr_holes ? OP_REWRITE : OP_WRITE, outcome(r, i));
    hit_made_room(i);
    if (r == M_OK) {
        g_assert_cmpuint(w->start, ==, to_bytes(at));
        g_assert_cmpuint(w->bytes, ==, to_bytes(len));
        add_flight(w, id, false);
    } else {
        g_assert_null(w);
    }
    check_zone(i);
    return true;
}

static bool do_write(void)
{
    int i = pick_writable_zone();
    int room = model_capacity(&model, i) - model.zone[i].wp;
    int at = zone_start(i) + model.zone[i].wp;
    int len = 1 + below(4);

    if (chance(mood.rewrite)) {
        const ModelWrite *hole = pick_hole();

        if (hole) {
            return do_write_at(hole->start, hole->len);
        }
    }
    switch (below(16)) {
    case 0 ... 2:
        len = MAX(room, 1);
        break;
    case 3:
        len = room + 1 + below(2) * below(model.g.zone_size);
        break;
    case 4:
        at = zone_start(i) + below(model_length(&model, i));
        break;
    }
    if (i < model.g.conventional && chance(50)) {
        /* Up to the end of the conventional zones, or beyond. */
        at = zone_start(model.g.conventional) - 1 - below(3);
    }
    at = MIN(at, model.g.disk - 1);
    return do_write_at(at, MIN(len, model.g.disk - at));
}

static bool do_append(void)
{
    int i = pick_writable_zone();
    int room = model_capacity(&model, i) - model.zone[i].wp;
    int at = zone_start(i);
    int len = 1 + below(4);
    int id, where;
    ZoneWrite *w;
    ModelResult r;
    int ret;

    switch (below(16)) {
    case 0 ... 2:
        len = MAX(room, 1);
        break;
    case 3:
        len = room + 1;
        break;
    case 4:
        len = below(2) ? 0 : model.g.max_append + below(2);
        break;
    case 5:
        at += below(4);
        break;
    }
    if (is_pending(MIN(at, model.g.disk - 1)) || nr_flight == MAX_FLIGHT) {
        return false;
    }
    remember_states();
    r = model_append(&model, at, len, &id, &where);
    ret = zone_append_begin(zr, to_bytes(at), to_bytes(len), &w);
    g_assert_cmpint(result_of(ret), ==, r);
    if (at < model.g.disk) {
        i = at / model.g.zone_size;
        hit(states_before[i], OP_APPEND, outcome(r, i));
    }
    hit_made_room(i);
    if (r == M_OK) {
        g_assert_cmpuint(w->start, ==, to_bytes(where));
        g_assert_cmpuint(w->bytes, ==, to_bytes(len));
        add_flight(w, id, false);
    } else {
        g_assert_null(w);
    }
    check_zone(i);
    return true;
}

/* One of what is in flight ends; @certain: well. */
static bool do_end(bool certain)
{
    int k = below(nr_flight);
    bool ok = certain || !chance(mood.fail);
    Flight f;
    int i;

    if (!nr_flight) {
        return false;
    }
    f = flight[k];
    flight[k] = flight[--nr_flight];
    i = f.w->start / SECTOR / model.g.zone_size;
    remember_states();
    if (f.fill) {
        model_fill_end(&model, f.id, ok);
        zone_hole_end(zr, f.w, ok);
        if (states_before[i] < M_READ_ONLY) {
            hit(states_before[i], ok ? OP_FILLED : OP_FILL_FAIL,
                model.zone[i].state);
        }
    } else {
        model_write_end(&model, f.id, ok);
        zone_write_end(zr, f.w, ok);
        hit(states_before[i], ok ? OP_DONE : f.placed ? OP_FAIL_PLACED :
            OP_FAIL, model.zone[i].state);
    }
    check_zone(i);
    return true;
}

/* The data of one write that is in flight is there. */
static bool do_place(void)
{
    Flight *f = &flight[below(nr_flight)];
    int i;

    if (!nr_flight || f->fill || f->placed) {
        return false;
    }
    i = f->w->start / SECTOR / model.g.zone_size;
    model_write_placed(&model, f->id);
    zone_write_placed(zr, f->w);
    f->placed = true;
    hit(model.zone[i].state, OP_PLACED, model.zone[i].state);
    check_zone(i);
    return true;
}

static bool do_fill(int i)
{
    ZoneWrite *w;
    int id;

    if (nr_flight == MAX_FLIGHT) {
        return false;
    }
    id = model_fill_begin(&model, i);
    w = zone_hole_begin(zr, i);
    g_assert_true((w != NULL) == (id != 0));
    if (id) {
        int k;

        for (k = 0; model.write[k].id != id; k++) {
            continue;
        }
        g_assert_cmpuint(w->start, ==, to_bytes(model.write[k].start));
        g_assert_cmpuint(w->bytes, ==, to_bytes(model.write[k].len));
        hit(model.zone[i].state, OP_FILL, model.zone[i].state);
        add_flight(w, id, true);
    }
    check_zone(i);
    return true;
}

/* A zone with a hole, if there is any, is worth more than another. */
static bool do_fill_some(void)
{
    const ModelWrite *hole = pick_hole();

    return do_fill(hole && chance(90) ? hole->start / model.g.zone_size
                                      : pick_zone());
}

static const ZoneOpType op_types[] = {
    [M_OPEN] = ZONE_OP_OPEN, [M_CLOSE] = ZONE_OP_CLOSE,
    [M_FINISH] = ZONE_OP_FINISH, [M_RESET] = ZONE_OP_RESET,
};

static Op op_name(ModelOp op, bool all, bool zns)
{
    switch (op) {
    case M_OPEN:
        return all ? OP_OPEN_ALL : OP_OPEN;
    case M_CLOSE:
        return all ? (zns ? OP_CLOSE_ALL_ZNS : OP_CLOSE_ALL)
                   : (zns ? OP_CLOSE_ZNS : OP_CLOSE);
    case M_FINISH:
        return all ? OP_FINISH_ALL : OP_FINISH;
    default:
        return all ? OP_RESET_ALL : OP_RESET;
    }
}

/* What an operation that is over, or refused with @r, made of zones */
static void hit_op(ModelOp op, Op name, ModelResult r, bool all, int first,
                   int nr, const bool changes[MODEL_MAX_ZONES])
{
    int i;

    if (all && r != M_OK) {
        /* The only way it fails: too many open. */
        hit(M_CLOSED, name, OUT_RESULT + (int)r);
    } else if (all) {
        for (i = 0; i < model.nr; i++) {
            if (changes[i]) {
                continue;
            }
            if (op == M_OPEN ? model.zone[i].state == M_EXPLICIT &&
                               states_before[i] == M_CLOSED
                             : op == M_CLOSE &&
                               states_before[i] != model.zone[i].state) {
                hit(states_before[i], name, model.zone[i].state);
            }
        }
    } else if (nr == 1 && first < model.nr && !changes[first]) {
        hit(states_before[first], name, outcome(r, first));
    }
}

static bool do_op(void)
{
    bool all = chance(mood.all), zns = chance(50);
    static const ModelOp others[] = { M_OPEN, M_OPEN, M_CLOSE, M_FINISH };
    ModelOp op = chance(mood.reset) ? M_RESET : others[below(4)];
    int first = pick_zone();
    int nr = chance(75) ? 1 : 1 + below(4);
    int at = zone_start(first);
    int end = MIN(zone_start(first + nr), model.g.disk);
    int len = end - at;
    unsigned flags = (all ? ZONE_OP_ALL : 0) | (zns ? ZONE_OP_ZNS : 0);
    ZoneOpType type = op_types[op];
    Pending p = { .op = op, .name = op_name(op, all, zns) };
    ModelResult r;
    bool any = false;
    int ret, i, k;

    if (op >= M_FINISH && nr_pending == MAX_OPS) {
        return false;
    }
    if (!all && chance(3)) {
        /* Not whole zones, or beyond the disk */
        at += below(3);
        len += below(3) ? 1 : zone_start(model.nr);
        nr = 0;
    }
    if (!all && op == M_RESET && chance(3)) {
        at = 0;
        len = model.g.disk;
    }
    if (op == M_RESET && at == 0 && len == model.g.disk) {
        /* The whole disk, with the flag or without */
        all = true;
        p.name = OP_RESET_ALL;
    }
    for (i = 0; i < model.nr; i++) {
        if (model.zone[i].pending &&
            (all || (zone_start(i + 1) > at && zone_start(i) < at + len))) {
            return false;
        }
    }
    remember_states();
    r = model_op(&model, op, all, zns, at, len, p.changes);
    ret = zone_op_begin(zr, type, flags, to_bytes(at), to_bytes(len), &p.zop);
    g_assert_cmpint(result_of(ret), ==, r);
    if (r != M_MALFORMED) {
        hit_op(op, p.name, r, all, first, nr, p.changes);
    }

    for (i = 0, k = 0; i < model.nr; i++) {
        if (p.changes[i]) {
            g_assert_nonnull(p.zop);
            g_assert_cmpuint(k, <, p.zop->nr);
            g_assert_cmpuint(p.zop->zones[k], ==, i);
            k++;
            any = true;
        }
    }
    if (any) {
        g_assert_cmpuint(k, ==, p.zop->nr);
        g_assert_cmpint(p.zop->type, ==, type);
        pending[nr_pending++] = p;
        if (p.name == OP_FINISH_ALL && chance(50)) {
            /* Zones that lose all while it waits would be rare otherwise. */
            mood.end = 70;
            mood.fail = 95;
        }
    } else {
        g_assert_null(p.zop);
    }
    check_zone(first);
    return true;
}

static bool do_op_end(void)
{
    int k = below(nr_pending);
    bool ok = chance(60);
    Pending p;
    int i;

    if (!nr_pending) {
        return false;
    }
    p = pending[k];
    if (!model_op_drained(&model, p.changes)) {
        if (chance(90)) {
            return false;
        }
        ok = false;
    } else if (!p.started) {
        zone_op_start(zr, p.zop);
        pending[k].started = p.started = true;
    }
    if (ok && p.op == M_FINISH && chance(75)) {
        /* As it ought to be: holes first. */
        for (i = 0; i < model.nr; i++) {
            while (p.changes[i] && model_has_hole(&model, i) &&
                   nr_flight < MAX_FLIGHT) {
                Flight f;

                do_fill(i);
                f = flight[--nr_flight];
                model_fill_end(&model, f.id, true);
                zone_hole_end(zr, f.w, true);
            }
        }
        ok = model_op_drained(&model, p.changes);
    }
    pending[k] = pending[--nr_pending];
    remember_states();
    model_op_end(&model, p.op, p.changes, ok);
    zone_op_end(zr, p.zop, ok);
    for (i = 0; i < model.nr; i++) {
        if (p.changes[i]) {
            hit(states_before[i], p.name,
                ok ? (int)model.zone[i].state : OUT_UNDONE);
            check_zone(i);
        }
    }
    return true;
}

static bool do_wear(void)
{
    int i = model.g.conventional + below(model.nr - model.g.conventional);
    bool offline = chance(50);

    if (nr_flight && chance(70)) {
        /* With a write in flight */
        i = flight[0].w->start / SECTOR / model.g.zone_size;
    }
    if (model.zone[i].pending || model.zone[i].state == M_CONVENTIONAL) {
        return false;
    }
    model_wear(&model, i, offline ? M_OFFLINE : M_READ_ONLY);
    zone_rules_set_worn(zr, i, offline ? ZONE_STATE_OFFLINE
                                       : ZONE_STATE_READ_ONLY);
    return true;
}

/*** Disks ***/

static ModelGeometry random_geometry(void)
{
    int size = 1 << (2 + below(4));
    int nr = 1 + below(12);
    ModelGeometry g = {
        .zone_size = size,
        .capacity = chance(50) ? size : 1 + below(size),
        .disk = nr * size - (chance(50) ? 0 : below(size)),
        .conventional = chance(50) ? 0 : below(MIN(nr, 4)),
        .max_active = chance(30) ? 0 : 1 + below(nr),
    };

    g.max_open = chance(30) ? 0 : 1 + below(g.max_active ? g.max_active : nr);
    g.max_append = chance(10) ? 0 : chance(50) ? g.capacity
                                               : 1 + below(g.capacity);
    return g;
}

static ZoneRules *rules_for(const ModelGeometry *g)
{
    return zone_rules_new(&(ZoneGeometry) {
        .disk_size = to_bytes(g->disk),
        .zone_size = to_bytes(g->zone_size),
        .zone_capacity = to_bytes(g->capacity),
        .nr_zones = (g->disk + g->zone_size - 1) / g->zone_size,
        .nr_conventional = g->conventional,
        .max_active = g->max_active,
        .max_open = g->max_open,
        .max_append = to_bytes(g->max_append),
    });
}

static void new_disk(void)
{
    ModelGeometry g = random_geometry();
    int i;

    model_init(&model, &g);
    zr = rules_for(&g);
    g_assert_nonnull(zr);
    for (i = g.conventional; i < model.nr; i++) {
        /* Also more Closed zones than the limit allows */
        int wp = chance(60) ? 0 : below(model_capacity(&model, i) + 1);

        model_load(&model, i, wp);
        zone_rules_load(zr, i, to_bytes(zone_start(i) + wp));
    }
}

/* All that is under way ends, then the power goes: what comes up? */
static void reopen(void)
{
    ModelGeometry g = model.g;
    int i;

    while (nr_flight) {
        do_end(true);
    }
    while (nr_pending) {
        do_op_end();
    }
    while (nr_flight) {
        do_end(true);
    }
    check_states();
    for (i = g.conventional; i < model.nr; i++) {
        uint64_t wp = zone_rules_complete(zr, i);
        ModelState from = model.zone[i].state;
        ZoneInfo info;

        if (from == M_READ_ONLY || from == M_OFFLINE) {
            continue;
        }
        model_load(&model, i, model_complete(&model, i));
        zone_rules_set_worn(zr, i, ZONE_STATE_READ_ONLY);
        g_assert_cmpuint(wp, ==, to_bytes(zone_start(i) + model.zone[i].wp));
        {
            ZoneRules *next = rules_for(&g);

            zone_rules_load(next, i, wp);
            zone_rules_get(next, i, &info);
            zone_rules_free(next);
        }
        g_assert_cmpint(info.state, ==, state_of[model.zone[i].state]);
        hit(from, OP_REOPEN, model.zone[i].state);
    }
    zone_rules_free(zr);
    zr = NULL;
}

/* False where there was nothing to do. */
static bool one_step(void)
{
    if (chance(mood.end)) {
        return do_end(false);
    }
    if (chance(mood.place)) {
        return do_place();
    }
    if (chance(mood.fill)) {
        return do_fill_some();
    }
    if (chance(30)) {
        return do_op();
    }
    if (chance(10)) {
        return do_op_end();
    }
    if (below(300) == 0) {
        return do_wear();
    }
    if (below(100) == 0) {
        check_zone(below(model.nr));
    }
    return chance(30) ? do_append() : do_write();
}

static void test_random(void)
{
    const char *ops = g_getenv("ZQ_PROP_OPS");
    uint64_t total = ops ? g_ascii_strtoull(ops, NULL, 10) :
                     g_test_thorough() ? 10 * DEFAULT_OPS : DEFAULT_OPS;
    uint64_t done = 0;
    int bad;

    while (done < total) {
        int k;

        new_disk();
        for (k = 0; k < OPS_PER_DISK; k++) {
            if (k % OPS_PER_MOOD == 0) {
                mood.end = 3 + below(30);
                mood.place = below(3) ? 0 : 15;
                mood.fail = below(2) ? 5 : 60;
                mood.fill = below(2) ? 2 : 20;
                mood.reset = below(2) ? 60 : 15;
                mood.all = below(2) ? 40 : 5;
                mood.rewrite = below(2) ? 5 : 50;
            }
            if (one_step()) {
                check_states();
                done++;
            }
        }
        reopen();
    }

    printf("# %" PRIu64 " operations, seed %" PRIu64 "\n", done, seed);
    bad = judge_hits();
    if (total >= 1000000) {
        g_assert_cmpint(bad, ==, 0);
    }
}

int main(int argc, char **argv)
{
    const char *s = g_getenv("ZQ_SEED");

    seed = s ? g_ascii_strtoull(s, NULL, 10) : 20261122;
    rnd = g_rand_new_with_seed(seed);
    g_test_init(&argc, &argv, NULL);
    printf("# seed %" PRIu64 " (ZQ_SEED=%" PRIu64 " repeats this run)\n",
           seed, seed);
    g_test_add_func("/zone-rules/random-operations-agree-with-the-model",
                    test_random);
    return g_test_run();
}
