/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drive the block layer on a qcow2 image, zoned or plain, and say what it cost
 *
 * Takes a list of steps, and prints one line of JSON for each: seconds,
 * processor time, and, where the image lies in a file in memory, each kind of
 * operation that reached the file.  The same steps do the same requests on an
 * image without zones: there an append is a write, and a zone operation only
 * moves the place where the next write goes.
 *
 * It judges nothing.
 */

#include "qemu/osdep.h"
#include <getopt.h>
#include <malloc.h>
#include <sys/resource.h>
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/defer-call.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "block/block_int.h"
#include "block/snapshot.h"
#include "system/block-backend.h"
#include "../crash/memfile.h"
#include "../crash/rnd.h"

/* What is written as data; no metadata of qcow2 looks like it. */
#define DATA_BYTE       0xa5
#define MAX_DEPTH       1024
#define ZONED_EXTENSION 0x007a6264

static struct {
    const char *file;           /* NULL: in memory */
    const char *create;         /* NULL: the image is there */
    const char *cache;
    const char *aio;
    uint64_t size;
    uint64_t zone_size;
    uint64_t zone_capacity;
    QDict *more;                /* further options of the qcow2 node */
} opt = { .cache = "writeback", .aio = "threads" };

/* The image under test; @next is where the next write of a zone goes. */
static BlockBackend *blk;
static bool zoned;
static uint64_t *next;
static uint32_t nr_zones;

static void G_GNUC_PRINTF(1, 2) G_NORETURN die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_vreport(fmt, ap);
    va_end(ap);
    exit(1);
}

/* --- Steps as they are given --- */

typedef struct Step {
    const char *text;
    char *name;
    QDict *args;
    /* What it did */
    uint64_t ops;
    uint64_t bytes;
    int64_t ns;
    int64_t cpu_ns;
    int64_t faults;             /* pages that got memory, or were mapped */
} Step;

static uint64_t arg(Step *s, const char *key, uint64_t otherwise)
{
    const char *text = qdict_get_try_str(s->args, key);
    uint64_t value = otherwise;

    if (text && qemu_strtosz(text, NULL, &value) < 0) {
        die("%s: '%s' is not a number", s->text, text);
    }
    qdict_del(s->args, key);
    return value;
}

static void no_more_args(Step *s)
{
    if (qdict_size(s->args)) {
        die("%s: what is '%s'?", s->text, qdict_first(s->args)->key);
    }
}

static void parse_step(Step *s, const char *text)
{
    const char *colon = strchr(text, ':');
    g_auto(GStrv) words = g_strsplit(colon ? colon + 1 : "", ",", 0);

    *s = (Step) { .text = text, .args = qdict_new() };
    s->name = colon ? g_strndup(text, colon - text) : g_strdup(text);
    for (char **w = words; *w; w++) {
        char *is = strchr(*w, '=');

        if (is) {
            *is = 0;
        }
        qdict_put_str(s->args, *w, is ? is + 1 : "1");
    }
}

/* --- The clock --- */

static int64_t cpu_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * NANOSECONDS_PER_SECOND + ts.tv_nsec;
}

static int64_t page_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

static void begin(Step *s)
{
    no_more_args(s);
    s->faults -= page_faults();
    s->cpu_ns -= cpu_clock();
    s->ns -= get_clock();
}

static void end(Step *s)
{
    s->ns += get_clock();
    s->cpu_ns += cpu_clock();
    s->faults += page_faults();
}

/* --- What reached the file --- */

typedef struct Count {
    uint64_t n;
    uint64_t bytes;
} Count;

/* Where the table of a zoned image lies; @bytes is 0 for a plain one. */
static void find_table(const MemImg *img, int64_t *offset, int64_t *bytes)
{
    uint8_t b[4096];
    size_t at;

    *offset = *bytes = 0;
    memimg_read(img, 0, sizeof(b), b);
    at = ldl_be_p(b + 100);
    while (at + 8 + 44 <= sizeof(b) && ldl_be_p(b + at)) {
        if (ldl_be_p(b + at) == ZONED_EXTENSION) {
            *bytes = 8 * (int64_t)ldl_be_p(b + at + 8 + 4);
            *offset = ldq_be_p(b + at + 8 + 24);
            return;
        }
        at += 8 + ROUND_UP(ldl_be_p(b + at + 4), 8);
    }
}

static bool holds_data(const LogEntry *e)
{
    static const uint8_t sample[16] = { [0 ... 15] = DATA_BYTE };
    int64_t i;

    for (i = 0; i + (int64_t)sizeof(sample) <= e->bytes; i += 512) {
        if (!memcmp(e->data + i, sample, sizeof(sample))) {
            return true;
        }
    }
    return false;
}

/* Print what the file saw since the last step, by kind, and forget it. */
static void print_counts(void)
{
    enum { DATA, TABLE, META, ZERO, DISCARD, TRUNCATE, FLUSH, FUA, KINDS };
    static const char *const name[KINDS] = {
        "data", "table", "meta", "zero", "discard", "truncate", "flush", "fua",
    };
    Count count[KINDS] = { 0 };
    int64_t table, table_bytes;
    unsigned i;

    find_table(memslot[0].img, &table, &table_bytes);
    for (i = 0; memlog && i < memlog->len; i++) {
        const LogEntry *e = &g_array_index(memlog, LogEntry, i);
        Count *c = &count[FLUSH];

        if (e->kind == FOP_WRITE) {
            c = e->offset >= table && e->offset < table + table_bytes ?
                &count[TABLE] : holds_data(e) ? &count[DATA] : &count[META];
        } else if (e->kind == FOP_ZERO) {
            c = &count[ZERO];
        } else if (e->kind == FOP_DISCARD) {
            c = &count[DISCARD];
        } else if (e->kind == FOP_TRUNCATE) {
            c = &count[TRUNCATE];
        }
        c->n++;
        c->bytes += e->bytes;
        /* Counted above, too */
        count[FUA].n += e->fua;
    }
    memlog_clear();
    printf(", \"file\": {");
    for (i = 0; i < KINDS; i++) {
        printf("\"%s\": [%" PRIu64 ", %" PRIu64 "], ", name[i], count[i].n,
               count[i].bytes);
    }
    printf("\"read\": [%" PRIu64 ", 0], \"size\": %" PRId64 "}",
           memslot[0].count[FOP_READ], memimg_size(memslot[0].img));
    memslot[0].count[FOP_READ] = 0;
}

/* --- The image --- */

static const char *image_name(void)
{
    return opt.file ?: "memfile:0";
}

static void create_image(void)
{
    Error *err = NULL;

    bdrv_img_create(image_name(), "qcow2", NULL, NULL, (char *)opt.create,
                    opt.size, 0, true, &err);
    if (err) {
        error_report_err(err);
        exit(1);
    }
}

static void step_open(Step *s)
{
    QDict *options = opt.more ? qdict_clone_shallow(opt.more) : qdict_new();
    uint64_t perm = BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE;
    int flags = BDRV_O_RDWR;
    bool writethrough = false;
    BlockDriverState *bs;
    Error *err = NULL;
    int64_t size;

    if (blk) {
        die("The image is open");
    }
    qdict_put_str(options, "driver", "qcow2");
    if (opt.file) {
        qdict_put_str(options, "file.driver", "file");
        qdict_put_str(options, "file.filename", opt.file);
        qdict_put_str(options, "file.aio", opt.aio);
    } else {
        qdict_put_str(options, "file.driver", "memfile");
        qdict_put_str(options, "file.slot", "0");
    }
    if (bdrv_parse_cache_mode(opt.cache, &flags, &writethrough) < 0) {
        die("Unknown cache mode '%s'", opt.cache);
    }

    begin(s);
    bs = bdrv_open(NULL, NULL, options, flags, &err);
    if (!bs) {
        error_report_err(err);
        exit(1);
    }
    blk = blk_new(qemu_get_aio_context(), perm, BLK_PERM_ALL);
    blk_set_zoned_aware(blk, true);
    if (blk_insert_bs(blk, bs, &err) < 0) {
        error_report_err(err);
        exit(1);
    }
    bdrv_unref(bs);
    blk_set_enable_write_cache(blk, !writethrough);
    end(s);

    bdrv_graph_rdlock_main_loop();
    zoned = bs->bl.zoned == BLK_Z_HM;
    if (zoned) {
        opt.zone_size = bs->bl.zone_size;
    }
    bdrv_graph_rdunlock_main_loop();
    size = blk_getlength(blk);
    if (!opt.zone_size) {
        opt.zone_size = size;
    }
    if (!opt.zone_capacity) {
        opt.zone_capacity = opt.zone_size;
    }
    nr_zones = DIV_ROUND_UP(size, opt.zone_size);
    s->ops = 1;
    if (!next) {
        next = g_new(uint64_t, nr_zones);
        for (uint32_t i = 0; i < nr_zones; i++) {
            next[i] = i * opt.zone_size;
        }
    }
}

static void step_close(Step *s)
{
    begin(s);
    blk_unref(blk);
    blk = NULL;
    end(s);
    s->ops = 1;
}

static uint64_t zone_end(uint32_t zone)
{
    return zone * opt.zone_size + opt.zone_capacity;
}

/* --- Reads, writes, appends --- */

typedef enum Kind { READ, WRITE, APPEND } Kind;

typedef struct Load {
    Step *step;
    Kind kind;
    uint64_t bs;
    uint64_t left;
    unsigned in_flight;
    /* Of writes: the zone that each lane is in, and whose turn it is */
    uint32_t *lane;
    unsigned lanes;
    unsigned turn;
    /* Of reads */
    uint64_t span;
    uint64_t pos;
    bool random;
    Rnd rnd;
} Load;

typedef struct Request {
    Load *load;
    bool busy;
    QEMUIOVector qiov;
    int64_t offset;
} Request;

static void request_done(void *opaque, int ret)
{
    Request *r = opaque;
    Load *l = r->load;

    if (ret < 0) {
        die("%s: at %" PRId64 ": %s", l->step->text, r->offset,
            strerror(-ret));
    }
    l->in_flight--;
    r->busy = false;
}

static uint64_t next_write(Load *l)
{
    uint32_t *zone = &l->lane[l->turn];
    uint64_t at;

    l->turn = (l->turn + 1) % l->lanes;
    while (*zone < nr_zones && next[*zone] + l->bs > zone_end(*zone)) {
        *zone += l->lanes;
    }
    if (*zone >= nr_zones) {
        die("%s: no zone is left to be written", l->step->text);
    }
    at = next[*zone];
    next[*zone] += l->bs;
    return at;
}

static uint64_t next_read(Load *l)
{
    uint64_t at = l->random ? rnd(&l->rnd, l->span / l->bs) * l->bs : l->pos;

    l->pos = at + 2 * l->bs > l->span ? 0 : at + l->bs;
    return at;
}

static void submit(Request *r)
{
    Load *l = r->load;

    l->left--;
    l->in_flight++;
    r->busy = true;
    if (l->kind == READ) {
        r->offset = next_read(l);
        blk_aio_preadv(blk, r->offset, &r->qiov, 0, request_done, r);
        return;
    }
    r->offset = next_write(l);
    if (l->kind == APPEND && zoned) {
        /* The answer is where it went; the question is the zone's start. */
        r->offset = QEMU_ALIGN_DOWN(r->offset, opt.zone_size);
        blk_aio_zone_append(blk, &r->offset, &r->qiov, 0, request_done, r);
    } else {
        blk_aio_pwritev(blk, r->offset, &r->qiov, 0, request_done, r);
    }
}

/*
 * Not from the completion of another request: that is inside of a coroutine,
 * which starts others when it yields, and not always in the order in which
 * they were made.
 */
static void run_load(Load *l, Request *requests, unsigned depth)
{
    unsigned i;

    while (l->left || l->in_flight) {
        defer_call_begin();
        for (i = 0; i < depth && l->left; i++) {
            if (!requests[i].busy) {
                submit(&requests[i]);
            }
        }
        defer_call_end();
        if (l->in_flight) {
            main_loop_wait(false);
        }
    }
}

static void step_flush(Step *s)
{
    int ret;

    begin(s);
    ret = blk_flush(blk);
    end(s);
    if (ret < 0) {
        die("%s: %s", s->text, strerror(-ret));
    }
    s->ops = 1;
}

/* Take the snapshot "snap", or (@apply) go back to it. */
static void step_snapshot(Step *s, bool apply)
{
    QEMUSnapshotInfo info = { .name = "snap" };
    Error *err = NULL;
    int ret;

    no_more_args(s);
    begin(s);
    if (apply) {
        ret = bdrv_snapshot_goto(blk_bs(blk), info.name, &err);
    } else {
        bdrv_graph_rdlock_main_loop();
        ret = bdrv_snapshot_create(blk_bs(blk), &info);
        bdrv_graph_rdunlock_main_loop();
    }
    end(s);
    if (ret < 0) {
        die("%s: %s", s->text, err ? error_get_pretty(err) : strerror(-ret));
    }
    s->ops = 1;
}

/*
 * bs=BYTES, count=N, depth=N; flush: one after each request (depth 1).
 * Writes and appends: at=ZONE to begin with, zones=N that take turns.
 * Reads: random, span=BYTES from the start of the disk.
 */
static void step_load(Step *s, Kind kind)
{
    Load l = {
        .step = s, .kind = kind, .bs = arg(s, "bs", 4096),
        .lanes = arg(s, "zones", 1), .span = arg(s, "span", 0),
        .random = arg(s, "random", 0), .rnd = { 1 },
    };
    uint32_t first = arg(s, "at", 0);
    uint64_t count = arg(s, "count", 1);
    unsigned depth = arg(s, "depth", 1);
    bool flush = arg(s, "flush", 0);
    g_autofree Request *requests = NULL;
    uint8_t *buf;
    unsigned i;

    if (!l.bs || l.bs > BDRV_REQUEST_MAX_BYTES || !depth ||
        depth > MAX_DEPTH || !l.lanes || l.lanes > nr_zones ||
        (kind == READ && l.span < l.bs)) {
        die("%s: out of range", s->text);
    }
    l.lane = g_new(uint32_t, l.lanes);
    for (i = 0; i < l.lanes; i++) {
        l.lane[i] = first + i;
    }
    requests = g_new0(Request, depth);
    buf = blk_blockalign(blk, l.bs * depth);
    memset(buf, kind == READ ? 0 : DATA_BYTE, l.bs * depth);
    for (i = 0; i < depth; i++) {
        requests[i].load = &l;
        qemu_iovec_init_buf(&requests[i].qiov, buf + i * l.bs, l.bs);
    }

    begin(s);
    if (flush) {
        while (s->ops < count) {
            l.left = 1;
            run_load(&l, requests, 1);
            if (blk_flush(blk) < 0) {
                die("%s: a flush failed", s->text);
            }
            s->ops++;
        }
    } else {
        l.left = s->ops = count;
        run_load(&l, requests, depth);
    }
    end(s);
    s->bytes = count * l.bs;
    qemu_vfree(buf);
    g_free(l.lane);
}

/* --- Zones --- */

/*
 * at=ZONE, zones=N: one operation for each of them; step: from one to the
 * next.  Without any: one operation on all zones.
 */
static void step_zone_op(Step *s, BlockZoneOp op)
{
    bool all = !qdict_size(s->args);
    uint32_t at = arg(s, "at", 0);
    uint32_t zones = arg(s, "zones", 1);
    uint32_t by = arg(s, "step", 1);
    uint32_t i;

    if (!all && at + (uint64_t)(zones - 1) * by >= nr_zones) {
        die("%s: there are %" PRIu32 " zones", s->text, nr_zones);
    }
    begin(s);
    if (zoned && all) {
        int ret = blk_zone_mgmt(blk, op, 0, blk_getlength(blk), BDRV_ZONE_ALL);

        if (ret < 0) {
            die("%s: %s", s->text, strerror(-ret));
        }
    }
    for (i = 0; zoned && !all && i < zones; i++) {
        int ret = blk_zone_mgmt(blk, op, (at + i * by) * opt.zone_size,
                                opt.zone_size, 0);

        if (ret < 0) {
            die("%s: zone %" PRIu32 ": %s", s->text, at + i * by,
                strerror(-ret));
        }
    }
    end(s);
    s->ops = all ? 1 : zones;
    for (i = 0; i < (all ? nr_zones : zones); i++) {
        uint32_t zone = all ? i : at + i * by;

        if (op == BLK_ZO_RESET) {
            next[zone] = zone * opt.zone_size;
        } else if (op == BLK_ZO_FINISH) {
            next[zone] = zone_end(zone);
        }
    }
}

/* A report of all zones, into memory that is there. */
static void step_report(Step *s)
{
    unsigned int nr = nr_zones;
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor, nr);
    int ret = 0;

    memset(zones, 0xff, nr * sizeof(*zones));
    begin(s);
    if (zoned) {
        ret = blk_zone_report(blk, 0, &nr, zones);
    }
    end(s);
    if (ret < 0 || nr != nr_zones) {
        die("%s: %u of %" PRIu32 " zones: %s", s->text, nr, nr_zones,
            strerror(-ret));
    }
    s->ops = nr;
}

/* How much memory is taken. */
static void step_memory(Step *s)
{
    struct mallinfo2 info = mallinfo2();

    no_more_args(s);
    s->bytes = info.uordblks + info.hblkhd;
}

static void run_step(Step *s)
{
    static const char *const zone_op[] = {
        [BLK_ZO_OPEN] = "zone-open", [BLK_ZO_CLOSE] = "zone-close",
        [BLK_ZO_FINISH] = "finish", [BLK_ZO_RESET] = "reset",
    };

    if (!strcmp(s->name, "open")) {
        step_open(s);
        return;
    }
    if (!strcmp(s->name, "memory")) {
        step_memory(s);
        return;
    }
    if (!blk) {
        die("%s: the image is not open", s->text);
    }
    if (!strcmp(s->name, "close")) {
        step_close(s);
    } else if (!strcmp(s->name, "write")) {
        step_load(s, WRITE);
    } else if (!strcmp(s->name, "append")) {
        step_load(s, APPEND);
    } else if (!strcmp(s->name, "read")) {
        step_load(s, READ);
    } else if (!strcmp(s->name, "flush")) {
        step_flush(s);
    } else if (!strcmp(s->name, "report")) {
        step_report(s);
    } else if (!strcmp(s->name, "snapshot") || !strcmp(s->name, "apply")) {
        step_snapshot(s, s->name[0] == 'a');
    } else {
        for (size_t i = 0; i < ARRAY_SIZE(zone_op); i++) {
            if (zone_op[i] && !strcmp(s->name, zone_op[i])) {
                step_zone_op(s, i);
                return;
            }
        }
        die("There is no step '%s'", s->text);
    }
}

static void usage(FILE *to)
{
    fprintf(to,
"Usage: zoned-bench [OPTION]... STEP...\n"
"  --file NAME          the image file (default: one in memory, and counts)\n"
"  --create OPTIONS     make it first, with these options (may be empty)\n"
"  --size BYTES         of this size\n"
"  --zone-size BYTES    where the writes go in a plain image\n"
"  --zone-capacity BYTES\n"
"  --cache MODE         as for qemu-img (default: writeback)\n"
"  --aio MODE           threads, native or io_uring\n"
"  --option NAME=VALUE  of the qcow2 node\n"
"  --fua                the file in memory knows FUA\n"
"Steps:\n"
"  open  close  flush  report  memory  snapshot  apply\n"
"  write|append:bs=N,count=N,depth=N,zones=N,at=ZONE,flush\n"
"  read:bs=N,count=N,depth=N,span=N,random\n"
"  zone-open|zone-close|finish|reset:at=ZONE,zones=N,step=N  (none: all)\n");
}

static uint64_t size_option(const char *name, const char *text)
{
    uint64_t value;

    if (qemu_strtosz(text, NULL, &value) < 0) {
        die("%s: '%s' is not a size", name, text);
    }
    return value;
}

static void parse_options(int argc, char **argv)
{
    enum { FILE_ = 256, CREATE, SIZE, ZSIZE, ZCAP, CACHE, AIO, OPTION, FUA,
           HELP };
    static const struct option longopts[] = {
        { "file", required_argument, NULL, FILE_ },
        { "create", required_argument, NULL, CREATE },
        { "size", required_argument, NULL, SIZE },
        { "zone-size", required_argument, NULL, ZSIZE },
        { "zone-capacity", required_argument, NULL, ZCAP },
        { "cache", required_argument, NULL, CACHE },
        { "aio", required_argument, NULL, AIO },
        { "option", required_argument, NULL, OPTION },
        { "fua", no_argument, NULL, FUA },
        { "help", no_argument, NULL, HELP },
        { NULL },
    };
    char *is;
    int c;

    while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
        switch (c) {
        case FILE_:
            opt.file = optarg;
            break;
        case CREATE:
            opt.create = optarg;
            break;
        case SIZE:
            opt.size = size_option("--size", optarg);
            break;
        case ZSIZE:
            opt.zone_size = size_option("--zone-size", optarg);
            break;
        case ZCAP:
            opt.zone_capacity = size_option("--zone-capacity", optarg);
            break;
        case CACHE:
            opt.cache = optarg;
            break;
        case AIO:
            opt.aio = optarg;
            break;
        case OPTION:
            is = strchr(optarg, '=');
            if (!is) {
                die("--option: '%s' has no value", optarg);
            }
            if (!opt.more) {
                opt.more = qdict_new();
            }
            *is = 0;
            qdict_put_str(opt.more, optarg, is + 1);
            break;
        case FUA:
            memslot[0].fua = true;
            break;
        case HELP:
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (optind == argc) {
        usage(stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    int i;

    error_init(argv[0]);
    parse_options(argc, argv);
    module_call_init(MODULE_INIT_QOM);
    qemu_init_main_loop(&error_fatal);
    bdrv_init();
    memfile_register();
    if (opt.create) {
        create_image();
    }
    memslot[0].logging = !opt.file;
    memslot[0].count[FOP_READ] = 0;

    for (i = optind; i < argc; i++) {
        Step s;

        parse_step(&s, argv[i]);
        run_step(&s);
        printf("{\"step\": \"%s\", \"name\": \"%s\", \"ops\": %" PRIu64
               ", \"bytes\": %" PRIu64 ", \"seconds\": %.9f, \"cpu\": %.9f"
               ", \"faults\": %" PRId64,
               s.text, s.name, s.ops, s.bytes, s.ns / 1e9, s.cpu_ns / 1e9,
               s.faults);
        if (!opt.file) {
            print_counts();
        }
        printf("}\n");
        fflush(stdout);
        g_free(s.name);
        qobject_unref(s.args);
    }
    blk_unref(blk);
    g_free(next);
    return 0;
}
