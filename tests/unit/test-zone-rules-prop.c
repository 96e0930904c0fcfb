/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations on the zone rules, at random, compared with a naive model
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
#include "zone-rules-pair.h"

#define LEAST_HITS      100
#define DEFAULT_OPS     4000000
#define OPS_PER_DISK    300
#define OPS_PER_MOOD    100

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
    OP_WRITE, OP_APPEND, OP_READY, OP_STUCK, OP_DONE, OP_ZEROED,
    OP_FAIL_BACK, OP_FAIL_WAIT, OP_FAIL_ZEROS, OP_BACK, OP_STAYS, OP_END,
    OP_OPEN, OP_CLOSE, OP_CLOSE_ZNS, OP_FINISH, OP_RESET,
    OP_OPEN_ALL, OP_CLOSE_ALL, OP_CLOSE_ALL_ZNS, OP_FINISH_ALL, OP_RESET_ALL,
    OP_MADE_ROOM, OP_READ, OP_REOPEN,
    NR_OPS
} Op;

static const char *const op_names[NR_OPS] = {
    "write", "append", "ready", "stuck", "done", "zeros-done",
    "failed-given-back", "failed-undecided", "failed-to-be-zeros",
    "not-durable-given-back", "not-durable-stays", "end",
    "open", "close", "close-zns", "finish", "reset",
    "open-all", "close-all", "close-all-zns", "finish-all",
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
    "bad-append", "bad-transition", "too-active", "too-open",
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

    /* All but what gives back changes nothing. */
    { OP_READY, "Implicit: Implicit" },
    { OP_READY, "Explicit: Explicit" },
    { OP_READY, "Closed: Closed" },
    { OP_READY, "Full: Full" },
    { OP_READY, "ReadOnly: ReadOnly" },
    { OP_READY, "Offline: Offline" },

    { OP_STUCK, "Implicit: Implicit" },
    { OP_STUCK, "Explicit: Explicit" },
    { OP_STUCK, "Closed: Closed" },
    { OP_STUCK, "Full: Full" },
    { OP_STUCK, "ReadOnly: ReadOnly" },
    { OP_STUCK, "Offline: Offline" },

    { OP_DONE, "Conventional: Conventional" },
    { OP_DONE, "Implicit: Implicit" },
    { OP_DONE, "Explicit: Explicit" },
    { OP_DONE, "Closed: Closed" },
    { OP_DONE, "Full: Full" },
    { OP_DONE, "ReadOnly: ReadOnly" },
    { OP_DONE, "Offline: Offline" },

    { OP_ZEROED, "Implicit: Implicit" },
    { OP_ZEROED, "Explicit: Explicit" },
    { OP_ZEROED, "Closed: Closed" },
    { OP_ZEROED, "Full: Full" },
    { OP_ZEROED, "ReadOnly: ReadOnly" },
    { OP_ZEROED, "Offline: Offline" },

    { OP_FAIL_BACK, "Conventional: Conventional" },
    { OP_FAIL_BACK, "Implicit: Implicit" },
    { OP_FAIL_BACK, "Explicit: Explicit" },
    { OP_FAIL_BACK, "Closed: Closed Empty" },
    { OP_FAIL_BACK, "Full: Closed Empty" },
    { OP_FAIL_BACK, "ReadOnly: ReadOnly" },
    { OP_FAIL_BACK, "Offline: Offline" },

    { OP_FAIL_WAIT, "Implicit: Implicit" },
    { OP_FAIL_WAIT, "Explicit: Explicit" },
    { OP_FAIL_WAIT, "Closed: Closed" },
    { OP_FAIL_WAIT, "Full: Full" },
    { OP_FAIL_WAIT, "ReadOnly: ReadOnly" },
    { OP_FAIL_WAIT, "Offline: Offline" },

    { OP_FAIL_ZEROS, "Implicit: Implicit" },
    { OP_FAIL_ZEROS, "Explicit: Explicit" },
    { OP_FAIL_ZEROS, "Closed: Closed" },
    { OP_FAIL_ZEROS, "Full: Full" },
    { OP_FAIL_ZEROS, "ReadOnly: ReadOnly" },
    { OP_FAIL_ZEROS, "Offline: Offline" },

    { OP_BACK, "Implicit: Implicit" },
    { OP_BACK, "Explicit: Explicit" },
    { OP_BACK, "Closed: Closed Empty" },
    { OP_BACK, "Full: Closed Empty" },
    { OP_BACK, "ReadOnly: ReadOnly" },
    { OP_BACK, "Offline: Offline" },

    { OP_STAYS, "Conventional: Conventional" },
    { OP_STAYS, "Implicit: Implicit" },
    { OP_STAYS, "Explicit: Explicit" },
    { OP_STAYS, "Closed: Closed" },
    { OP_STAYS, "Full: Full" },
    { OP_STAYS, "ReadOnly: ReadOnly" },
    { OP_STAYS, "Offline: Offline" },

    { OP_END, "Conventional: Conventional" },
    { OP_END, "Empty: Empty" },
    { OP_END, "Implicit: Implicit" },
    { OP_END, "Explicit: Explicit" },
    { OP_END, "Closed: Closed" },
    { OP_END, "Full: Full" },
    { OP_END, "ReadOnly: ReadOnly" },
    { OP_END, "Offline: Offline" },

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
    /* With writes in flight: they end what is durable. */
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

typedef struct Pending {
    ModelOp op;
    Op name;
} Pending;

/* What is likely for a while, in percent */
static struct {
    int end, turn, fail, stuck, durable, crowd, reset, all;
} mood;

ZoneRules *zr;
Model model;
Flight flight[MAX_FLIGHT];
int nr_flight;
static Pending pending[MODEL_MAX_ZONES];   /* where a zone is pending */
uint64_t pointers_at_rest[MODEL_MAX_ZONES];

bool whole_reads;
bool unchecked;

ModelResult result_of(int ret)
{
    switch (-ret) {
    case 0:
        return M_OK;
    case EINVAL:
        return M_MALFORMED;
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

uint64_t to_bytes(int sectors)
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
    int s = whole_reads ? start : start + below(end - start);
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

static const ZoneWriteStage stage_of[M_NR_STAGES] = {
    ZONE_WRITE_ACCEPTED, ZONE_WRITE_COMPLETE, ZONE_WRITE_FAILED,
    ZONE_WRITE_ZEROS, ZONE_WRITE_GIVEN_BACK,
};

/* Where the writes in flight stand, and whose turn it is */
static void check_flight(void)
{
    int k;

    for (k = 0; k < nr_flight; k++) {
        const ZoneWrite *w = flight[k].w;
        const ModelWrite *mw;

        if (!flight[k].id) {
            continue;
        }
        mw = model_find(&model, flight[k].id);
        g_assert_cmpuint(w->start, ==, to_bytes(mw->start));
        g_assert_cmpuint(w->bytes, ==, to_bytes(mw->len));
        g_assert_cmpint(w->stage, ==, stage_of[mw->stage]);
        if (mw->stage != M_GIVEN_BACK) {
            g_assert_cmpint(w->error, ==, mw->error);
            g_assert_true(zone_write_has_turn(zr, w) ==
                          model_has_turn(&model, mw->id));
            g_assert_true(zone_write_is_ready(zr, w) ==
                          model_is_ready(&model, mw->id));
        }
    }
}

static void check_frontier(int i)
{
    int frontier = (zone_rules_frontier(zr, i) - to_bytes(zone_start(i))) /
                   SECTOR;

    /* Reading: what is ahead may be forgotten while nothing is in flight. */
    if (frontier == model.zone[i].wp && !model_in_flight(&model, i)) {
        model_forget_frontier(&model, i);
    }
    g_assert_cmpint(frontier, ==, model_frontier(&model, i));
}

void check_zone(int i)
{
    const ModelZone *z = &model.zone[i];
    uint64_t start = to_bytes(zone_start(i));
    ZoneInfo info;

    if (unchecked) {
        return;
    }
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
                     start + to_bytes(model_complete_end(&model, i)));
    g_assert_cmpuint(zone_rules_acknowledged(zr, i), ==,
                     start + to_bytes(model_acknowledged(&model, i)));
    g_assert_cmpuint(zone_rules_generation(zr, i), ==, z->generation);
    g_assert_true(zone_rules_op_pending(zr, i) == z->pending);
    g_assert_true(zone_rules_blocked(zr, i) == model_blocked(&model, i));
    if (!info.conventional) {
        check_frontier(i);
    }
    check_reads(i);
}

void check_states(void)
{
    int i;

    if (unchecked) {
        return;
    }

    for (i = 0; i < model.nr; i++) {
        const ModelZone *z = &model.zone[i];
        ZoneInfo info;

        zone_rules_get(zr, i, &info);
        g_assert_cmpint(info.state, ==, state_of[z->state]);
        g_assert_cmpuint(info.wp, ==, to_bytes(zone_start(i) + z->wp));
    }
    g_assert_cmpuint(zone_rules_nr_open(zr), ==, model_open(&model));
    g_assert_cmpuint(zone_rules_nr_active(zr), ==, model_active(&model));
    check_flight();
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

void add_flight(const ZoneWrite *w, int id)
{
    g_assert_cmpint(w->stage, ==, ZONE_WRITE_ACCEPTED);
    g_assert_cmpint(w->error, ==, 0);
    flight[nr_flight++] = (Flight) {
        (ZoneWrite *)w, id, chance(mood.durable),
    };
}

void drop_flight(int k)
{
    memset(flight[k].w, 0x55, sizeof(ZoneWrite));
    g_free(flight[k].w);
    flight[k] = flight[--nr_flight];
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

    if (chance(mood.crowd)) {
        /* Many in flight in one zone */
        for (i = model.g.conventional; i < model.nr - 1; i++) {
            if (model.zone[i].state < M_FULL) {
                break;
            }
        }
        return i;
    }
    for (tries = 0; tries < 4 && model.zone[i].state >= M_FULL; tries++) {
        i = pick_zone();
    }
    return i;
}

static bool do_write_at(int at, int len)
{
    int i = at / model.g.zone_size;
    g_autofree ZoneWrite *w = g_new(ZoneWrite, 1);
    ModelResult r;
    int id, ret;

    if (model_blocked(&model, i) || nr_flight == MAX_FLIGHT) {
        return false;
    }
    memset(w, 0x55, sizeof(*w));
    remember_states();
    r = model_write(&model, at, len, &id);
    ret = zone_write_begin(zr, to_bytes(at), to_bytes(len), w);
    g_assert_cmpint(result_of(ret), ==, r);
    hit(states_before[i], OP_WRITE, outcome(r, i));
    hit_made_room(i);
    if (r == M_OK) {
        g_assert_cmpuint(w->start, ==, to_bytes(at));
        g_assert_cmpuint(w->bytes, ==, to_bytes(len));
        add_flight(g_steal_pointer(&w), id);
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
    g_autofree ZoneWrite *w = g_new(ZoneWrite, 1);
    ModelResult r;
    int id, where, ret;

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
    if (model_blocked(&model, MIN(at, model.g.disk - 1) / model.g.zone_size) ||
        nr_flight == MAX_FLIGHT) {
        return false;
    }
    memset(w, 0x55, sizeof(*w));
    remember_states();
    r = model_append(&model, at, len, &id, &where);
    ret = zone_append_begin(zr, to_bytes(at), to_bytes(len), w);
    g_assert_cmpint(result_of(ret), ==, r);
    if (at < model.g.disk) {
        i = at / model.g.zone_size;
        hit(states_before[i], OP_APPEND, outcome(r, i));
    }
    hit_made_room(i);
    if (r == M_OK) {
        g_assert_cmpuint(w->start, ==, to_bytes(where));
        g_assert_cmpuint(w->bytes, ==, to_bytes(len));
        add_flight(g_steal_pointer(&w), id);
    }
    check_zone(i);
    return true;
}

/*** What happens to a write in flight ***/

static ModelStage stage_now(const Flight *f)
{
    return f->id ? model_find(&model, f->id)->stage :
           f->w->stage == ZONE_WRITE_ACCEPTED ? M_ACCEPTED :
           f->w->stage == ZONE_WRITE_COMPLETE ? M_COMPLETE : M_GIVEN_BACK;
}

bool can_happen(const Flight *f, Event event)
{
    ModelStage stage = stage_now(f);
    int error = f->id ? model_find(&model, f->id)->error : 0;
    bool ready = !f->id || (stage == M_ACCEPTED &&
                            model_is_ready(&model, f->id));

    switch (event) {
    case EV_READY:
    case EV_STUCK:
        return stage == M_ACCEPTED && !ready && !error &&
               model_has_turn(&model, f->id);
    case EV_DONE:
        return stage == M_ZEROS || (stage == M_ACCEPTED && ready);
    case EV_FAIL:
        return stage == M_ACCEPTED && (ready || error);
    case EV_GIVE_BACK:
        return stage == M_COMPLETE && f->durable;
    default:
        return stage == M_GIVEN_BACK || stage == M_COMPLETE;
    }
}

static void fail_one(const Flight *f, int i)
{
    if (!f->id) {
        zone_write_fail(zr, f->w);
        g_assert_cmpint(f->w->stage, ==, ZONE_WRITE_GIVEN_BACK);
        hit(M_CONVENTIONAL, OP_FAIL_BACK, M_CONVENTIONAL);
        return;
    }
    model_fail(&model, f->id);
    zone_write_fail(zr, f->w);
    hit(states_before[i], stage_now(f) == M_GIVEN_BACK ? OP_FAIL_BACK :
        stage_now(f) == M_ZEROS ? OP_FAIL_ZEROS : OP_FAIL_WAIT,
        model.zone[i].state);
}

void happen(int k, Event event, int ahead)
{
    Flight *f = &flight[k];
    int i = f->w->start / SECTOR / model.g.zone_size;
    Op op;

    remember_states();
    switch (event) {
    case EV_READY: {
        const ModelWrite *mw = model_find(&model, f->id);
        int to = MIN(mw->start + mw->len - zone_start(i) + ahead,
                     model_capacity(&model, i));

        model_ready(&model, f->id, to);
        zone_write_ready(zr, f->w, to_bytes(zone_start(i) + to));
        hit(states_before[i], OP_READY, model.zone[i].state);
        break;
    }
    case EV_STUCK:
        /* It fails in a step of its own, and those above it do, too. */
        model_stuck(&model, f->id, -ENOSPC);
        zone_write_stuck(zr, f->w, -ENOSPC);
        hit(states_before[i], OP_STUCK, model.zone[i].state);
        break;
    case EV_DONE:
        op = stage_now(f) == M_ZEROS ? OP_ZEROED : OP_DONE;
        if (f->id) {
            model_complete(&model, f->id);
        }
        zone_write_complete(zr, f->w);
        g_assert_cmpint(f->w->stage, ==, ZONE_WRITE_COMPLETE);
        f->durable &= op == OP_DONE;
        hit(states_before[i], op, model.zone[i].state);
        break;
    case EV_FAIL:
        fail_one(f, i);
        break;
    case EV_GIVE_BACK: {
        bool back = f->id && model_give_back(&model, f->id);

        g_assert_true(zone_write_give_back(zr, f->w) == back);
        g_assert_true(f->w->stage == (back ? ZONE_WRITE_GIVEN_BACK
                                           : ZONE_WRITE_COMPLETE));
        /* It answers next, and does not try again. */
        f->durable = false;
        hit(states_before[i], back ? OP_BACK : OP_STAYS, model.zone[i].state);
        break;
    }
    default:
        if (f->id) {
            model_end(&model, f->id);
        }
        zone_write_end(zr, f->w);
        hit(states_before[i], OP_END, model.zone[i].state);
        drop_flight(k);
    }
    check_zone(i);
}

/* Something happens to write @k, if anything can. */
static bool do_something(int k, bool certain)
{
    const Flight *f = &flight[k];

    if (can_happen(f, EV_READY)) {
        happen(k, !certain && chance(mood.stuck) ? EV_STUCK : EV_READY,
               chance(50) ? 0 : below(6));
    } else if (can_happen(f, EV_DONE)) {
        happen(k, !certain && can_happen(f, EV_FAIL) && chance(mood.fail) ?
                  EV_FAIL : EV_DONE, 0);
    } else if (can_happen(f, EV_FAIL)) {
        happen(k, EV_FAIL, 0);
    } else if (!certain && can_happen(f, EV_GIVE_BACK) && chance(80)) {
        happen(k, EV_GIVE_BACK, 0);
    } else if (can_happen(f, EV_END)) {
        happen(k, EV_END, 0);
    } else {
        return false;
    }
    return true;
}

/* One of what is in flight goes on. */
static bool do_flight(void)
{
    return nr_flight && do_something(below(nr_flight), false);
}

/* One that has its turn goes on. */
static bool do_turn(void)
{
    int from = below(nr_flight), k;

    for (k = 0; k < nr_flight; k++) {
        int n = (from + k) % nr_flight;

        if (can_happen(&flight[n], EV_READY)) {
            return do_something(n, false);
        }
    }
    return false;
}

/* All writes answer: none waits for ever. */
static void let_all_end(void)
{
    while (nr_flight) {
        bool any = false;
        int k;

        for (k = nr_flight - 1; k >= 0; k--) {
            any |= do_something(k, chance(50));
            check_states();
        }
        g_assert_true(any);
    }
}

/*** Zone operations ***/

const ZoneOpType op_types[] = {
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

/* What an open or close, or one that was refused, made of zones */
static void hit_op(ModelOp op, Op name, ModelResult r, bool all, int first,
                   int nr)
{
    int i;

    if (all && r != M_OK) {
        /* The only way it fails: too many open. */
        hit(M_CLOSED, name, OUT_RESULT + (int)r);
    } else if (all) {
        for (i = 0; i < model.nr; i++) {
            if (op == M_OPEN ? model.zone[i].state == M_EXPLICIT &&
                               states_before[i] == M_CLOSED
                             : states_before[i] != model.zone[i].state) {
                hit(states_before[i], name, model.zone[i].state);
            }
        }
    } else if (nr == 1 && first < model.nr) {
        hit(states_before[first], name, outcome(r, first));
    }
}

/* Finish and reset begin zone by zone, and in some zones later than others. */
static void begin_in_zones(ModelOp op, Op name, bool all, unsigned flags,
                           uint32_t first, uint32_t end)
{
    uint32_t i;

    for (i = first; i < end; i++) {
        bool change;

        if (model.zone[i].pending || chance(10)) {
            continue;
        }
        change = model_op_begin(&model, op, all, i);
        g_assert_true(zone_op_begin(zr, op_types[op], flags, i) == change);
        if (change) {
            pending[i] = (Pending) { .op = op, .name = name };
        } else if (op == M_RESET && model.zone[i].state == M_EMPTY) {
            hit(M_EMPTY, name, M_EMPTY);
        }
        check_zone(i);
    }
}

/* Open with ZONE_OP_ALL: the zones are found in one walk. */
static int open_all(uint32_t from, uint32_t to)
{
    uint32_t zones[MODEL_MAX_ZONES];
    uint32_t nr = 0, i;

    for (i = from; i < to; i++) {
        if (zone_op_opens(zr, i)) {
            zones[nr++] = i;
        }
    }
    return zone_op_open_all(zr, zones, nr);
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
    bool chosen[MODEL_MAX_ZONES];
    uint32_t from, to;
    ModelResult r;
    Op name;
    int i, ret;

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
    remember_states();
    r = model_op_check(&model, op, &all, at, len, chosen);
    for (i = 0; i < model.nr && !all; i++) {
        if (model.zone[i].pending && chosen[i]) {
            return false;
        }
    }
    ret = zone_op_range(zr, type, &flags, to_bytes(at), to_bytes(len), &from,
                        &to);
    if (ret == 0 && !(flags & ZONE_OP_ALL)) {
        ret = zone_op_check(zr, type, from, to);
    }
    g_assert_cmpint(result_of(ret), ==, r);
    g_assert_cmphex(flags, ==, (all ? ZONE_OP_ALL : 0) |
                    (zns ? ZONE_OP_ZNS : 0));
    name = op_name(op, all, zns);
    if (r == M_OK) {
        g_assert_cmpuint(to, <=, model.nr);
        for (i = 0; i < model.nr; i++) {
            bool in = i >= (int)from && i < (int)to;

            /* All of them lie in the range, and where not all are meant, so */
            g_assert_true(in == chosen[i] || (all && in));
        }
        switch (op) {
        case M_OPEN:
            r = model_op_open(&model, all, chosen);
            ret = all ? open_all(from, to) : zone_op_open(zr, from, to);
            g_assert_cmpint(result_of(ret), ==, r);
            break;
        case M_CLOSE:
            model_op_close(&model, all, zns, chosen);
            zone_op_close(zr, flags, from, to);
            break;
        default:
            begin_in_zones(op, name, all, flags, from, to);
        }
    }
    if (r != M_MALFORMED && (op < M_FINISH || r != M_OK)) {
        hit_op(op, name, r, all, first, nr);
    }
    if (name == OP_FINISH_ALL && chance(50)) {
        /* Zones that lose all while it waits would be rare otherwise. */
        mood.end = 70;
        mood.fail = 95;
    }
    check_zone(first);
    return true;
}

static bool end_op(int i, bool ok)
{
    if (!model.zone[i].pending) {
        return false;
    }
    if (model_in_flight(&model, i)) {
        if (chance(90)) {
            return false;
        }
        ok = false;
    }
    remember_states();
    model_op_end(&model, pending[i].op, i, ok);
    zone_op_end(zr, op_types[pending[i].op], i, ok);
    hit(states_before[i], pending[i].name,
        ok ? (int)model.zone[i].state : OUT_UNDONE);
    check_zone(i);
    return true;
}

static bool do_op_end(void)
{
    int from = below(model.nr), k;

    for (k = 0; k < model.nr; k++) {
        if (end_op((from + k) % model.nr, chance(60))) {
            return true;
        }
    }
    return false;
}

static bool do_wear(void)
{
    int i = model.g.conventional + below(model.nr - model.g.conventional);
    bool offline = chance(50);
    int k;

    if (chance(80)) {
        /* One with a lot in flight */
        for (k = model.g.conventional; k < model.nr; k++) {
            if (model_in_flight(&model, k) > model_in_flight(&model, i)) {
                i = k;
            }
        }
    }
    if (model.zone[i].pending) {
        return false;
    }
    model_wear(&model, i, offline ? M_OFFLINE : M_READ_ONLY);
    zone_rules_set_worn(zr, i, offline ? ZONE_STATE_OFFLINE
                                       : ZONE_STATE_READ_ONLY);
    /* What is in flight there is the last that there will be. */
    mood.end = 60;
    mood.fail = 50;
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

ZoneRules *rules_for(const Model *m, uint64_t rest[MODEL_MAX_ZONES])
{
    const ModelGeometry *g = &m->g;
    int i;

    for (i = 0; i < m->nr; i++) {
        rest[i] = to_bytes(zone_start(i) + m->zone[i].wp);
    }
    return zone_rules_new(&(ZoneGeometry) {
        .disk_size = to_bytes(g->disk),
        .zone_size = to_bytes(g->zone_size),
        .zone_capacity = to_bytes(g->capacity),
        .nr_zones = (g->disk + g->zone_size - 1) / g->zone_size,
        .nr_conventional = g->conventional,
        .max_active = g->max_active,
        .max_open = g->max_open,
        .max_append = to_bytes(g->max_append),
    }, rest);
}

static void new_disk(void)
{
    ModelGeometry g = random_geometry();
    int i;

    model_init(&model, &g);
    for (i = g.conventional; i < model.nr; i++) {
        /* Also more Closed zones than the limit allows */
        int wp = chance(60) ? 0 : below(model_capacity(&model, i) + 1);

        model_load(&model, i, wp);
    }
    zr = rules_for(&model, pointers_at_rest);
    g_assert_nonnull(zr);
}

/* The power goes: what comes up in each zone? */
static void check_power_loss(void)
{
    static Model again;
    int i;

    model_init(&again, &model.g);
    for (i = model.g.conventional; i < model.nr; i++) {
        uint64_t wp = zone_rules_complete(zr, i);
        ModelState from = model.zone[i].state;
        uint64_t rest[MODEL_MAX_ZONES];
        ZoneRules *next;
        ZoneInfo info;

        if (from == M_READ_ONLY || from == M_OFFLINE) {
            continue;
        }
        model_load(&again, i, model_complete_end(&model, i));
        g_assert_cmpuint(wp, ==, to_bytes(zone_start(i) + again.zone[i].wp));
        next = rules_for(&again, rest);
        zone_rules_get(next, i, &info);
        zone_rules_free(next);
        g_assert_cmpint(info.state, ==, state_of[again.zone[i].state]);
        hit(from, OP_REOPEN, again.zone[i].state);
    }
}

/* With things under way, and when all has ended */
static void reopen(void)
{
    int i;

    check_power_loss();
    let_all_end();
    for (i = 0; i < model.nr; i++) {
        end_op(i, chance(60));
    }
    check_states();
    for (i = model.g.conventional; i < model.nr; i++) {
        g_assert_false(zone_rules_blocked(zr, i));
        g_assert_cmpuint(zone_rules_complete(zr, i), ==, zone_rules_wp(zr, i));
    }
    check_power_loss();
    zone_rules_free(zr);
    zr = NULL;
}

/* False where there was nothing to do. */
static bool one_step(void)
{
    if (chance(mood.end)) {
        return do_flight();
    }
    if (chance(mood.turn)) {
        return do_turn();
    }
    if (chance(30)) {
        return do_op();
    }
    if (chance(10)) {
        return do_op_end();
    }
    if (below(150) == 0) {
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
                mood.end = 5 + below(50);
                mood.turn = below(2) ? 10 : 50;
                mood.fail = below(2) ? 5 : 60;
                mood.stuck = below(2) ? 5 : 40;
                mood.durable = below(2) ? 10 : 60;
                mood.crowd = below(3) ? 5 : 70;
                mood.reset = below(2) ? 60 : 15;
                mood.all = below(2) ? 40 : 5;
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
    add_program_tests();
    printf("# least 2\n");
    return g_test_run();
}
