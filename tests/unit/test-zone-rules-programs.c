/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All programs of a few requests for the zone rules, compared with the model
 *
 * Each program is up to MAX_REQUESTS requests for one zone, in their order of
 * arrival.  All that can happen is tried in every order: a request is accepted,
 * or an operation begins; a write is made ready, or is stuck; its data comes
 * in, or fails; zeros come in; it cannot be made durable; it answers; an
 * operation ends, well or not.  After each step the rules and the model agree,
 * what has been acknowledged is there, and in the end every request has its
 * answer.
 */
#include "qemu/osdep.h"
#include "zone-rules-pair.h"

#define MAX_REQUESTS    3
#define MAX_PATH        32

typedef enum Kind {
    REQ_WRITE, REQ_APPEND, REQ_DURABLE_WRITE, REQ_DURABLE_APPEND, REQ_FINISH,
    REQ_RESET, NR_KINDS
} Kind;

typedef enum Progress { TO_COME, UNDER_WAY, ANSWERED } Progress;

typedef struct Request {
    Kind kind;
    Progress progress;
    const ZoneWrite *w;         /* under way */
    bool good;                  /* its data is in, it has nothing to regret */
    uint64_t start;
} Request;

/* What happens to a request */
typedef struct Step {
    int request;
    enum { STEP_BEGIN, STEP_OP_OK, STEP_OP_FAILED, STEP_EVENT } what;
    Event event;
} Step;

typedef struct Program {
    Kind kinds[MAX_REQUESTS];
    int nr;
    int capacity, wp, ahead;    /* of the zone, in sectors */
    bool open, every_path;
} Program;

static const Program *program;
static Request request[MAX_REQUESTS];
static Step path[MAX_PATH];
static GHashTable *met;
static uint64_t nr_steps, nr_ends, nr_met;

static int flight_of(const Request *r)
{
    int k = 0;

    while (flight[k].w != r->w) {
        k++;
    }
    return k;
}

static bool is_op(const Request *r)
{
    return r->kind == REQ_FINISH || r->kind == REQ_RESET;
}

/* Where the user of the disk sends a write: behind those before it */
static int aim(int k)
{
    int at = program->wp, n;

    for (n = 0; n < k; n++) {
        at = request[n].kind == REQ_RESET ? 0 : at + !is_op(&request[n]);
    }
    return MIN(at, model.g.disk - 1);
}

static void begin_request(Request *r, int k)
{
    bool append = r->kind == REQ_APPEND || r->kind == REQ_DURABLE_APPEND;
    g_autofree ZoneWrite *w = NULL;
    ModelOp op = r->kind == REQ_FINISH ? M_FINISH : M_RESET;
    int id, where, ret;
    ModelResult result;

    if (is_op(r)) {
        bool change = model_op_begin(&model, op, false, 0);

        g_assert_true(zone_op_begin(zr, op_types[op], 0, 0) == change);
        r->progress = change ? UNDER_WAY : ANSWERED;
        return;
    }
    w = g_new(ZoneWrite, 1);
    if (append) {
        result = model_append(&model, 0, 1, &id, &where);
        ret = zone_append_begin(zr, 0, SECTOR, w);
    } else {
        result = model_write(&model, aim(k), 1, &id);
        ret = zone_write_begin(zr, to_bytes(aim(k)), SECTOR, w);
    }
    g_assert_cmpint(result_of(ret), ==, result);
    r->progress = ANSWERED;
    if (result == M_OK) {
        r->progress = UNDER_WAY;
        r->start = w->start;
        r->w = w;
        add_flight(g_steal_pointer(&w), id);
        flight[nr_flight - 1].durable = r->kind == REQ_DURABLE_WRITE ||
                                        r->kind == REQ_DURABLE_APPEND;
    }
}

static void end_request_op(Request *r, bool ok)
{
    ModelOp op = r->kind == REQ_FINISH ? M_FINISH : M_RESET;
    int k;

    model_op_end(&model, op, 0, ok);
    zone_op_end(zr, op_types[op], 0, ok);
    r->progress = ANSWERED;
    for (k = 0; k < program->nr && ok && op == M_RESET; k++) {
        request[k].good = false;
    }
}

static void take_step(const Step *s)
{
    Request *r = &request[s->request];

    switch (s->what) {
    case STEP_BEGIN:
        begin_request(r, s->request);
        break;
    case STEP_OP_OK:
    case STEP_OP_FAILED:
        end_request_op(r, s->what == STEP_OP_OK);
        break;
    default:
        if (s->event == EV_DONE) {
            r->good = r->w->stage == ZONE_WRITE_ACCEPTED;
        } else if (s->event == EV_GIVE_BACK) {
            /* It answers an error: its data may be there or not. */
            r->good = false;
        } else if (s->event == EV_END) {
            r->progress = ANSWERED;
        }
        happen(flight_of(r), s->event, program->ahead);
        if (s->event == EV_END) {
            r->w = NULL;
        }
    }
}

/* All that can happen next */
static int possible_steps(Step *steps)
{
    int n = 0, k;
    Event e;

    for (k = 0; k < program->nr; k++) {
        Request *r = &request[k];

        if (r->progress == TO_COME) {
            /* It waits behind those that came before. */
            if (is_op(r) ? !model.zone[0].pending : !model_blocked(&model, 0)) {
                steps[n++] = (Step) { k, STEP_BEGIN };
            }
            break;
        }
        if (r->progress == UNDER_WAY && is_op(r)) {
            if (!model_in_flight(&model, 0)) {
                steps[n++] = (Step) { k, STEP_OP_OK };
                steps[n++] = (Step) { k, STEP_OP_FAILED };
            }
        } else if (r->progress == UNDER_WAY) {
            for (e = 0; e < NR_EVENTS; e++) {
                if (can_happen(&flight[flight_of(r)], e)) {
                    steps[n++] = (Step) { k, STEP_EVENT, e };
                }
            }
        }
    }
    return n;
}

/* What must be so whatever the model says */
static void check_promises(void)
{
    uint64_t ends = zone_rules_acknowledged(zr, 0);
    bool has_reset = false;
    uint64_t n;
    int k, other;

    for (k = 0; k < program->nr; k++) {
        const Request *r = &request[k];

        has_reset |= r->kind == REQ_RESET;
        if (!r->good) {
            continue;
        }
        /* What is complete stays so, and is nobody else's. */
        g_assert_cmpuint(r->start + SECTOR, <=, ends);
        g_assert_cmpint(zone_read_part(zr, r->start, SECTOR, &n), ==, 1);
        for (other = 0; other < k; other++) {
            g_assert_true(!request[other].good ||
                          request[other].start != r->start);
        }
    }
    g_assert_cmpuint(zone_rules_complete(zr, 0), <=, ends);
    g_assert_cmpuint(ends, <=, zone_rules_wp(zr, 0));
    if (!has_reset) {
        g_assert_cmpuint(zone_rules_complete(zr, 0), >=,
                         to_bytes(program->wp));
    }
}

static void check_end(void)
{
    int k;

    for (k = 0; k < program->nr; k++) {
        g_assert_cmpint(request[k].progress, ==, ANSWERED);
    }
    g_assert_false(zone_rules_blocked(zr, 0));
    g_assert_cmpuint(zone_rules_in_flight(zr, 0), ==, 0);
    g_assert_cmpuint(zone_rules_complete(zr, 0), ==, zone_rules_wp(zr, 0));
    g_assert_cmpuint(zone_rules_frontier(zr, 0), >=, zone_rules_wp(zr, 0));
}

/* Get rid of what is in flight, in whatever way. */
static void abandon(void)
{
    while (nr_flight) {
        int k;

        for (k = nr_flight - 1; k >= 0; k--) {
            ZoneWrite *w = flight[k].w;

            switch (w->stage) {
            case ZONE_WRITE_ACCEPTED:
                zone_write_fail(zr, w);
                break;
            case ZONE_WRITE_ZEROS:
                zone_write_complete(zr, w);
                break;
            case ZONE_WRITE_FAILED:
                break;
            default:
                zone_write_end(zr, w);
                drop_flight(k);
            }
        }
    }
    zone_rules_free(zr);
    zr = NULL;
}

/* As it is after the first @depth steps */
static void replay(int depth)
{
    const ModelGeometry g = {
        .zone_size = 4, .capacity = program->capacity, .disk = 4,
        .max_append = 1,
    };
    int k;

    if (zr) {
        abandon();
    }
    model_init(&model, &g);
    if (program->wp) {
        model_load(&model, 0, program->wp);
    }
    zr = rules_for(&model, pointers_at_rest);
    if (program->open) {
        const bool chosen[MODEL_MAX_ZONES] = { true };

        model_op_open(&model, false, chosen);
        g_assert_cmpint(zone_op_open(zr, 0, 1), ==, 0);
    }
    for (k = 0; k < program->nr; k++) {
        request[k] = (Request) { .kind = program->kinds[k] };
    }
    unchecked = true;
    for (k = 0; k < depth; k++) {
        take_step(&path[k]);
    }
    unchecked = false;
}

/* Has the same been met before, by another way?  All that matters is in it. */
static bool met_before(void)
{
    const ModelZone *z = &model.zone[0];
    char key[64];
    int n = 0, k, s;

    key[n++] = '0' + z->state;
    key[n++] = '0' + z->wp;
    key[n++] = '0' + z->pending;
    key[n++] = '0' + model_frontier(&model, 0);
    for (k = 0; k < program->nr; k++) {
        const Request *r = &request[k];
        int id = 0;

        key[n++] = '0' + r->progress;
        key[n++] = '0' + r->good;
        key[n++] = '0' + r->start / SECTOR;
        if (r->w) {
            const Flight *f = &flight[flight_of(r)];
            const ModelWrite *mw = model_find(&model, f->id);

            id = f->id;
            key[n++] = '0' + mw->stage;
            key[n++] = '0' + !!mw->error;
            key[n++] = '0' + f->durable;
        }
        for (s = 0; s < 4; s++) {
            key[n++] = '0' + (id && z->owner[s] == id);
        }
        key[n++] = ' ';
    }
    key[n] = 0;
    return !g_hash_table_add(met, g_strdup(key));
}

static void explore(int depth)
{
    Step steps[MAX_REQUESTS * NR_EVENTS];
    int n = possible_steps(steps), k;

    if (!n) {
        nr_ends++;
        check_end();
        return;
    }
    g_assert_cmpint(depth, <, MAX_PATH);
    for (k = 0; k < n; k++) {
        if (k) {
            replay(depth);
        }
        path[depth] = steps[k];
        take_step(&steps[k]);
        nr_steps++;
        check_zone(0);
        check_states();
        check_promises();
        if (program->every_path || !met_before()) {
            nr_met++;
            explore(depth + 1);
        }
    }
}

static void run_program(const Program *p)
{
    program = p;
    met = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    replay(0);
    explore(0);
    abandon();
    g_hash_table_unref(met);
}

/*
 * With two requests each way is gone to its end, with three only from where no
 * other has been before (and each of them, in one zone, in the long form).
 */
static void test_all_programs(void)
{
    static const struct {
        int capacity, wp, ahead;
        bool open;
    } zones[] = {
        { 4, 0, 0, false }, { 3, 0, 1, false }, { 2, 0, 0, true },
        { 4, 1, 2, false }, { 3, 1, 0, true },
    };
    int code, nr, all;
    size_t z;

    whole_reads = true;
    for (nr = 1, all = NR_KINDS; nr <= MAX_REQUESTS; nr++, all *= NR_KINDS) {
        for (z = 0; z < ARRAY_SIZE(zones); z++) {
            for (code = 0; code < all; code++) {
                Program p = {
                    .nr = nr,
                    .capacity = zones[z].capacity,
                    .wp = zones[z].wp,
                    .ahead = zones[z].ahead,
                    .open = zones[z].open,
                    .every_path = nr < MAX_REQUESTS ||
                                  (g_test_thorough() && z == 1),
                };
                int k, c;

                for (k = 0, c = code; k < nr; k++, c /= NR_KINDS) {
                    p.kinds[k] = c % NR_KINDS;
                }
                run_program(&p);
            }
        }
        printf("# programs of %d requests: %" PRIu64 " steps, %" PRIu64
               " states, %" PRIu64 " ends\n", nr, nr_steps, nr_met, nr_ends);
        nr_steps = nr_met = nr_ends = 0;
    }
    whole_reads = false;
}

void add_program_tests(void)
{
    g_test_add_func("/zone-rules/all-programs-of-three-requests",
                    test_all_programs);
}
