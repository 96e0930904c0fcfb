/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workloads: a kind of image, a list of operations, a seed for their timing
 *
 * The operations run as coroutines on one thread.  The file's operations wait
 * until the runner completes them, in an order that comes from the seed, so a
 * workload runs the same way every time.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qemu/main-loop.h"
#include "block/block-global-state.h"
#include "block/block-io.h"
#include "block/snapshot.h"
#include "block/zone-errors.h"
#include "workload.h"

#define KiB 1024u
#define SECTOR ORACLE_SECTOR

/* Kinds of images */

static const struct {
    const char *key;
    size_t field;
} config_key[] = {
    { "cluster", offsetof(Config, cluster) },
    { "zsize", offsetof(Config, zsize) },
    { "zcap", offsetof(Config, zcap) },
    { "size", offsetof(Config, size) },
    { "conv", offsetof(Config, conv) },
    { "act", offsetof(Config, act) },
    { "open", offsetof(Config, open) },
    { "extl2", offsetof(Config, extl2) },
    { "luks", offsetof(Config, luks) },
    { "unmap", offsetof(Config, unmap) },
    { "wt", offsetof(Config, wt) },
    { "pass", offsetof(Config, pass) },
    { "depth", offsetof(Config, depth) },
    { "plain", offsetof(Config, plain) },
    { "ext", offsetof(Config, ext) },
    { "fua", offsetof(Config, fua) },
    { "grow", offsetof(Config, grow) },
    { "snap", offsetof(Config, snap) },
    { "base", offsetof(Config, base) },
};

static uint32_t *config_field(const Config *c, unsigned i)
{
    return (uint32_t *)((char *)c + config_key[i].field);
}

void config_defaults(Config *c)
{
    *c = (Config) {
        .cluster = 64 * KiB,
        .zsize = 128 * KiB,
        .zcap = 128 * KiB,
        .size = 4 * 128 * KiB,
        .depth = 4,
        .fua = 1,
    };
}

unsigned config_nr_zones(const Config *c)
{
    return DIV_ROUND_UP(c->size, c->zsize);
}

OracleZone *config_zones(const Config *c)
{
    unsigned nr = config_nr_zones(c);
    OracleZone *z = g_new0(OracleZone, nr);

    for (unsigned i = 0; i < nr; i++) {
        z[i].start = (uint64_t)i * c->zsize;
        z[i].length = MIN(c->zsize, c->size - z[i].start);
        z[i].conventional = c->plain || i < c->conv;
        z[i].may_clear = c->extl2;
        z[i].capacity = z[i].conventional ? z[i].length :
                        MIN(c->zcap, z[i].length);
    }
    return z;
}

const char *const axis_name[] = {
    "base", "capacity", "short last zone", "conventional", "limit 1",
    "limit 2", "cluster 4K", "cluster 2M", "extended L2", "encryption",
    "discard=unmap", "writethrough", "second pass", "many zones", "one by one",
    "extents", "no FUA", "growth", "snapshots",
    "overlay",
};
const unsigned nr_axes = ARRAY_SIZE(axis_name);

static void config_set_cluster(Config *c, uint32_t cluster, uint32_t zones)
{
    uint32_t ratio = cluster == 2048 * KiB ? 1 : 2;

    c->cluster = cluster;
    c->zsize = cluster * ratio;
    c->zcap = c->zsize;
    c->size = zones * c->zsize;
}

void config_extents(Config *c)
{
    c->cluster = 4 * KiB;
    c->zsize = 8 * c->cluster;
    c->zcap = c->zsize;
    c->size = 4 * c->zsize;
    c->ext = 2 * c->cluster;
}

static void config_vary(Config *c, unsigned axis, Rnd *r)
{
    switch (axis) {
    case 1:
        c->zcap = c->zsize - SECTOR * (1 + rnd(r, 3 * c->zsize / 4 / SECTOR));
        break;
    case 2:
        c->size -= SECTOR * (1 + rnd(r, c->zsize / SECTOR - 1));
        break;
    case 3:
        c->conv = 1 + rnd(r, 2);
        break;
    case 4:
        c->act = 1;
        break;
    case 5:
        c->act = 2 + rnd(r, 2);
        c->open = 1 + rnd(r, 2);
        break;
    case 8:
        c->extl2 = 1;
        break;
    case 9:
        c->luks = 1;
        break;
    case 10:
        c->unmap = 1;
        break;
    case 11:
        c->wt = 1;
        break;
    case 12:
        c->pass = 1 + rnd(r, 2);
        break;
    case 14:
        c->depth = 0;
        break;
    case 16:
        c->fua = 0;
        break;
    case 17:
        /* At times with a last zone that becomes longer, too */
        c->grow = 1 + rnd(r, c->size / c->zsize);
        c->grow = c->grow * c->zsize - (rnd(r, 2) ? 0 : 16 * SECTOR);
        break;
    case 18:
        c->snap = 1;
        break;
    case 19:
        c->base = 1;
        break;
    }
}

/* These say how large a zone is and how many there are. */
static bool is_geometry(unsigned axis)
{
    return axis == 6 || axis == 7 || axis == 13 || axis == 15;
}

static bool pair_exists(unsigned a, unsigned b)
{
    if (is_geometry(a) && is_geometry(b)) {
        return false;
    }
    /* One limit or the other; subclusters need 16 KiB */
    return !(a == 4 && b == 5) && !(a == 6 && b == 8) && !(a == 8 && b == 13) &&
           !(a == 8 && b == 15) && !(a == 17 && b >= 18) &&
           !(a == 12 && b == 19);
}

static unsigned pick_axes(unsigned n, unsigned axes[2])
{
    unsigned nr = nr_axes;

    axes[0] = n;
    axes[1] = 0;
    for (unsigned a = 1; a < nr_axes; a++) {
        for (unsigned b = a + 1; b < nr_axes; b++) {
            if (pair_exists(a, b)) {
                if (nr++ == n) {
                    axes[0] = a;
                    axes[1] = b;
                }
            }
        }
    }
    return nr;
}

unsigned config_kinds(void)
{
    unsigned axes[2];

    return pick_axes(0, axes);
}

void config_pick(Config *c, uint64_t seed, unsigned i, unsigned axes[2])
{
    Rnd r = { seed ^ (i * 0x51ed2701ull) };
    unsigned kinds = config_kinds();
    unsigned geometry;

    /* So that any part of them has axes from all over; it is a prime. */
    pick_axes((uint64_t)i * 10007 % kinds, axes);
    config_defaults(c);
    c->depth = 1 + rnd(&r, 6);
    geometry = is_geometry(axes[1]) ? axes[1] : axes[0];
    switch (geometry) {
    case 6:
        config_set_cluster(c, 4 * KiB, 5);
        break;
    case 7:
        config_set_cluster(c, 2048 * KiB, 2);
        break;
    case 13:
        /* More zones than the pointers of one sector, or one table block */
        config_set_cluster(c, 4 * KiB, 4);
        c->size = (rnd(&r, 2) ? 80 : 600) * c->zsize;
        break;
    case 15:
        config_extents(c);
        c->ext = SECTOR << rnd(&r, 7);
        break;
    default:
        if (rnd(&r, 3) == 0) {
            c->size = (2 + rnd(&r, 4)) * c->zsize;
        }
        break;
    }
    config_vary(c, axes[0], &r);
    config_vary(c, axes[1], &r);
    if (c->conv >= config_nr_zones(c)) {
        c->conv = config_nr_zones(c) - 1;
    }
    if (c->open > c->act && c->act) {
        c->open = c->act;
    }
    if (c->grow <= c->conv * c->zsize || c->grow >= c->size) {
        c->grow = 0;
    }
}

static char *config_create_options(const Config *c)
{
    GString *s = g_string_new("");

    g_string_append_printf(s, "cluster_size=%u", c->cluster);
    if (!c->plain) {
        g_string_append_printf(s, ",zone.mode=host-managed,zone.size=%u",
                               c->zsize);
        if (c->zcap != c->zsize) {
            g_string_append_printf(s, ",zone.capacity=%u", c->zcap);
        }
        if (c->conv) {
            g_string_append_printf(s, ",zone.conventional_zones=%u", c->conv);
        }
        if (c->act) {
            g_string_append_printf(s, ",zone.max_active_zones=%u", c->act);
        }
        if (c->open) {
            g_string_append_printf(s, ",zone.max_open_zones=%u", c->open);
        }
    }
    if (c->extl2) {
        g_string_append(s, ",extended_l2=on");
    }
    if (c->luks) {
        g_string_append(s, ",encrypt.format=luks,encrypt.key-secret=sec0,"
                        "encrypt.iter-time=1");
    }
    return g_string_free(s, false);
}

/* The base of overlays is in a slot of its own. */
#define BASE_SLOT   2
#define BASE_ID     0xfd0000u   /* ids of the writes that fill it */

/* Make an image with some data in most zones, and note how that came. */
static bool base_create(const Config *c, Run *run, Rnd *r, Error **errp)
{
    Config base = *c;
    BlockBackend *blk;

    base.base = base.luks = base.extl2 = base.act = base.open = base.wt = 0;
    if (!image_create(&base, BASE_SLOT, errp)) {
        return false;
    }
    blk = image_open(&base, BASE_SLOT, true, errp);
    if (!blk) {
        return false;
    }
    for (unsigned i = 0; i < run->nr_zones; i++) {
        const OracleZone *z = &run->zones[i];
        OracleOp op = {
            .type = ORACLE_WRITE, .id = BASE_ID + i, .first = i, .nr = 1,
            .offset = z->start, .made_for = z->start,
            .bytes = rnd(r, 4) ? SECTOR * (1 + rnd(r, z->capacity / SECTOR))
                               : z->capacity,
        };
        g_autofree uint8_t *buf = g_malloc(op.bytes);

        if (rnd(r, 5) == 0 || (run->nr_zones > 8 && i % 37 > 3)) {
            continue;
        }
        oracle_pattern(buf, op.id, op.offset, op.bytes);
        op.submit = memfile_tick();
        op.ret = blk_pwrite(blk, op.offset, op.bytes, buf, 0);
        op.ack = memfile_tick();
        if (op.ret < 0) {
            error_setg(errp, "Could not fill zone %u of the base", i);
            break;
        }
        g_array_append_val(run->ops, op);
    }
    if (!*errp) {
        OracleOp op = { .type = ORACLE_FLUSH, .id = BASE_ID + run->nr_zones };

        op.submit = memfile_tick();
        op.ret = blk_flush(blk);
        op.ack = memfile_tick();
        g_array_append_val(run->ops, op);
    }
    blk_unref(blk);
    return !*errp;
}

static bool overlay_create(const Config *c, unsigned slot, Error **errp)
{
    g_autofree char *opts = config_create_options(c);
    g_autofree char *name = g_strdup_printf("memfile:%u", slot);
    g_autofree char *base = g_strdup_printf("memfile:%u", BASE_SLOT);
    Error *err = NULL;

    bdrv_img_create(name, "qcow2", base, "qcow2", opts, c->size, 0, true,
                    &err);
    error_propagate(errp, err);
    return !err;
}

bool image_create(const Config *c, unsigned slot, Error **errp)
{
    static GHashTable *made;
    g_autofree char *opts = config_create_options(c);
    uint32_t size = c->grow ?: c->size;
    g_autofree char *key = g_strdup_printf("%u,%s", size, opts);
    g_autofree char *name = g_strdup_printf("memfile:%u", slot);
    Error *err = NULL;
    MemImg *img;

    if (!made) {
        made = g_hash_table_new(g_str_hash, g_str_equal);
    }
    img = g_hash_table_lookup(made, key);
    if (!img) {
        bdrv_img_create(name, "qcow2", NULL, NULL, opts, size, 0, true,
                        &err);
        if (err) {
            error_propagate(errp, err);
            return false;
        }
        img = memimg_clone(memslot[slot].img);
        g_hash_table_insert(made, g_steal_pointer(&key), img);
    }
    memimg_free(memslot[slot].img);
    memslot[slot].img = memimg_clone(img);
    return true;
}

BlockBackend *image_open(const Config *c, unsigned slot, bool writable,
                         Error **errp)
{
    g_autofree char *num = g_strdup_printf("%u", slot);
    QDict *opts = qdict_new();
    uint64_t perm = BLK_PERM_CONSISTENT_READ;
    BlockDriverState *bs;
    BlockBackend *blk;
    int ret;

    qdict_put_str(opts, "driver", "qcow2");
    qdict_put_str(opts, "file.driver", "memfile");
    qdict_put_str(opts, "file.slot", num);
    if (c->luks) {
        qdict_put_str(opts, "encrypt.key-secret", "sec0");
    }
    if (c->unmap) {
        qdict_put_str(opts, "discard", "unmap");
    }
    if (c->ext) {
        g_autofree char *ext = g_strdup_printf("%u", c->ext);

        qdict_put_str(opts, "zone-prealloc-size", ext);
    }
    memslot[slot].fua = c->fua;
    bs = bdrv_open(NULL, NULL, opts, writable ? BDRV_O_RDWR : 0, errp);
    if (!bs) {
        return NULL;
    }
    if (writable) {
        perm |= BLK_PERM_WRITE | BLK_PERM_RESIZE;
    }
    blk = blk_new(qemu_get_aio_context(), perm, BLK_PERM_ALL);
    blk_set_zoned_aware(blk, true);
    ret = blk_insert_bs(blk, bs, errp);
    bdrv_unref(bs);
    if (ret < 0) {
        blk_unref(blk);
        return NULL;
    }
    blk_set_enable_write_cache(blk, !c->wt);
    return blk;
}

/* Lists of operations */

static void add_op(Workload *w, char c, unsigned zone, unsigned at, unsigned n)
{
    GenOp op = { c, zone, at, n };

    g_array_append_val(w->ops, op);
}

static Workload *workload_new(const Config *cfg, uint64_t seed)
{
    Workload *w = g_new0(Workload, 1);

    w->cfg = *cfg;
    w->seed = seed;
    w->ops = g_array_new(false, true, sizeof(GenOp));
    return w;
}

void workload_free(Workload *w)
{
    if (w) {
        g_array_free(w->ops, true);
        g_free(w);
    }
}

Workload *workload_copy(const Workload *w)
{
    Workload *n = g_memdup2(w, sizeof(*w));

    n->ops = g_array_copy(w->ops);
    return n;
}

static unsigned some_length(Rnd *r, unsigned cap)
{
    /* Mostly short; at times a good part of the zone, or all of it */
    switch (rnd(r, 8)) {
    case 0:
        return 1;
    case 1:
        return MAX(cap / 2, 1);
    case 2:
        return 1 + rnd(r, cap);
    case 3:
        return cap;
    default:
        return 1 + rnd(r, MIN(cap, 24));
    }
}

Workload *workload_generate(const Config *cfg, uint64_t seed, unsigned nr)
{
    /* How often each comes, out of their sum */
    static const char bag[] =
        "wwwwwwwwaaaaaaaaaWWAzzZffffffflloocFFrrrrrPQXCbb";
    static const char conv_bag[] = "wwwwwwwwwWzdll";
    Workload *w = workload_new(cfg, seed);
    Rnd r = { seed };
    unsigned zones = config_nr_zones(cfg);
    g_autofree OracleZone *z = config_zones(cfg);
    unsigned hot[6];
    unsigned nr_hot = MIN(zones, ARRAY_SIZE(hot));

    /* A few zones get it all; of many, from all over the table. */
    for (unsigned i = 0; i < nr_hot; i++) {
        hot[i] = zones <= ARRAY_SIZE(hot) ? i :
                 i < 2 ? zones - 1 - i : rnd(&r, zones);
    }
    for (unsigned i = 0; i < nr; i++) {
        if (cfg->grow && i == nr / 3) {
            add_op(w, 'G', 0, 0, 0);
        }
        if (cfg->grow && cfg->grow % cfg->zsize == 0 && i == 3 * nr / 4) {
            add_op(w, 'H', 0, 0, 0);
        }
        if (cfg->snap && i && i * 8 / nr != (i - 1) * 8 / nr) {
            add_op(w, "-SYYDSYD"[i * 8 / nr], 0, 0, 0);
        }
        unsigned zn = hot[rnd(&r, 3) ? rnd(&r, MIN(nr_hot, 2)) :
                          rnd(&r, nr_hot)];
        unsigned cap = z[zn].capacity / SECTOR;
        char c = bag[rnd(&r, sizeof(bag) - 1)];
        unsigned at, n;

        if (z[zn].conventional && !strchr("fPQXCb", c)) {
            c = conv_bag[rnd(&r, sizeof(conv_bag) - 1)];
        }
        at = rnd(&r, cap);
        n = some_length(&r, cap);
        switch (c) {
        case 'w': case 'W': case 'z': case 'Z': case 'd':
            if (z[zn].conventional) {
                at = rnd(&r, 2) ? 0 : at;
                n = MIN(n, cap - at);
                break;
            }
            at = 0;
            break;
        case 'a': case 'A':
            at = 0;
            break;
        case 'l':
            n = MIN(n, cap - at);
            break;
        case 'P': case 'Q':
            zn = MIN(zn, zones - 1);
            at = 0;
            n = MIN(1 + rnd(&r, 3), zones - zn);
            if (cfg->plain || zn < cfg->conv) {
                c = 'f';
            }
            break;
        default:
            at = 0;
            n = 0;
            break;
        }
        if (cfg->plain && strchr("FrXCoc", c)) {
            c = 'f';
        }
        add_op(w, c, zn, at, n);
    }
    return w;
}

Workload *workload_bursts(const Config *cfg, uint64_t seed, unsigned nr)
{
    static const char bag[] = "wwwwaaaaaaaaaWAAAzzZ";
    static const char behind[] = "ffffflrrFX";
    Workload *w = workload_new(cfg, seed);
    Rnd r = { seed };
    g_autofree OracleZone *z = config_zones(cfg);
    unsigned seq = config_nr_zones(cfg) - cfg->conv;

    while (w->ops->len < nr) {
        unsigned zn = cfg->conv + rnd(&r, MIN(seq, 2));
        unsigned cap = z[zn].capacity / SECTOR;
        unsigned n = 2 + rnd(&r, 5);

        for (unsigned i = 0; i < n; i++) {
            /* At times more than a cluster, or an extent */
            add_op(w, bag[rnd(&r, sizeof(bag) - 1)], zn, 0,
                   1 + rnd(&r, rnd(&r, 4) ? MIN(cap, 12) :
                           MIN(DIV_ROUND_UP(cap, 3), 192)));
        }
        for (n = rnd(&r, 3); n; n--) {
            char c = behind[rnd(&r, sizeof(behind) - 1)];

            add_op(w, c, c == 'X' ? 0 : zn, 0, c == 'l' ? cap : 0);
        }
        if (rnd(&r, 2)) {
            add_op(w, 'b', 0, 0, 0);
        }
    }
    return w;
}

Workload *workload_everything(const Config *cfg, uint64_t seed)
{
    Workload *w = workload_new(cfg, seed);
    g_autofree OracleZone *z = config_zones(cfg);
    unsigned zones = config_nr_zones(cfg);
    unsigned c0 = cfg->conv;

    w->cfg.depth = 0;
    for (unsigned pass = 0; pass < 3; pass++) {
        for (unsigned i = 0; i < zones; i++) {
            unsigned cap = z[i].capacity / SECTOR;

            if (z[i].conventional) {
                add_op(w, 'w', i, 3, 10);
                add_op(w, 'W', i, cap / 2, 4);
                add_op(w, 'z', i, 5, 2);
                add_op(w, 'd', i, 0, cap / 2);
                add_op(w, 'f', i, 0, 0);
                continue;
            }
            add_op(w, 'o', i, 0, 0);
            add_op(w, 'w', i, 0, 3);
            add_op(w, 'a', i, 0, 1 + cap / 3);
            add_op(w, 'c', i, 0, 0);
            add_op(w, 'f', i, 0, 0);
            add_op(w, 'W', i, 0, 5);
            add_op(w, 'A', i, 0, 2);
            add_op(w, 'z', i, 0, 1 + cap / 4);
            add_op(w, 'l', i, 0, cap);
            add_op(w, 'a', i, 0, 2);
        }
        add_op(w, 'f', 0, 0, 0);
        add_op(w, 'F', c0, 0, 0);
        add_op(w, 'a', c0 + 1, 0, 1);
        add_op(w, 'r', c0 + 1, 0, 0);
        add_op(w, 'w', c0 + 1, 0, 7);
        add_op(w, 'f', 0, 0, 0);
        add_op(w, 'w', c0 + 1, 0, 2);
        add_op(w, pass == 1 ? 'X' : 'Q', c0, 0, 2);
        add_op(w, 'w', c0, 0, 9);
        add_op(w, 'P', c0, 0, 2);
        add_op(w, 'C', 0, 0, 0);
        add_op(w, 'X', 0, 0, 0);
    }
    /* And what must work once any fault is gone */
    for (unsigned i = c0; i < zones; i++) {
        add_op(w, 'w', i, 0, 2);
        add_op(w, 'a', i, 0, 3);
    }
    add_op(w, 'f', 0, 0, 0);
    add_op(w, 'F', c0, 0, 0);
    return w;
}

char *workload_format(const Workload *w)
{
    GString *s = g_string_new("");

    for (unsigned i = 0; i < ARRAY_SIZE(config_key); i++) {
        uint32_t v = *config_field(&w->cfg, i);

        if (v) {
            g_string_append_printf(s, "%s=%u,", config_key[i].key, v);
        }
    }
    g_string_append_printf(s, "seed=%" PRIu64, w->seed);
    if (w->fail_errno) {
        g_string_append_printf(s, ",fail=%u:%u:%" PRIu64 ":%d", w->fail_kind,
                               w->fail_nth, w->fail_mask, w->fail_errno);
    }
    g_string_append_c(s, ';');
    for (unsigned i = 0; i < w->ops->len; i++) {
        const GenOp *op = &g_array_index(w->ops, GenOp, i);

        g_string_append_printf(s, "%s%c%u@%u.%u", i ? " " : "", op->c,
                               op->zone, op->at, op->n);
    }
    return g_string_free(s, false);
}

Workload *workload_parse(const char *text, char **why)
{
    g_auto(GStrv) half = g_strsplit(text, ";", 2);
    g_auto(GStrv) pairs = NULL;
    g_auto(GStrv) ops = NULL;
    Config none = { 0 };
    Workload *w = workload_new(&none, 1);
    unsigned zones;

    if (!half[0] || !half[1]) {
        *why = g_strdup("A workload is 'key=value,...;operation ...'");
        goto bad;
    }
    pairs = g_strsplit(half[0], ",", 0);
    for (char **p = pairs; *p; p++) {
        char *eq = strchr(*p, '=');
        unsigned i;

        if (!eq) {
            *why = g_strdup_printf("'%s' is not key=value", *p);
            goto bad;
        }
        *eq = 0;
        if (!strcmp(*p, "seed")) {
            w->seed = g_ascii_strtoull(eq + 1, NULL, 10);
            continue;
        }
        if (!strcmp(*p, "fail")) {
            unsigned k;

            if (sscanf(eq + 1, "%u:%u:%" SCNu64 ":%d", &k, &w->fail_nth,
                       &w->fail_mask, &w->fail_errno) != 4 || k > FOP_GROWTH) {
                *why = g_strdup_printf("Bad fault '%s'", eq + 1);
                goto bad;
            }
            w->fail_kind = k;
            continue;
        }
        for (i = 0; i < ARRAY_SIZE(config_key); i++) {
            if (!strcmp(*p, config_key[i].key)) {
                *config_field(&w->cfg, i) = g_ascii_strtoull(eq + 1, NULL, 10);
                break;
            }
        }
        if (i == ARRAY_SIZE(config_key)) {
            *why = g_strdup_printf("Unknown key '%s'", *p);
            goto bad;
        }
    }
    if (!w->cfg.cluster || !w->cfg.zsize || !w->cfg.zcap || !w->cfg.size) {
        *why = g_strdup("cluster, zsize, zcap and size must be given");
        goto bad;
    }
    zones = config_nr_zones(&w->cfg);
    ops = g_strsplit(half[1], " ", 0);
    for (char **p = ops; *p; p++) {
        GenOp op;

        if (!**p) {
            continue;
        }
        if (sscanf(*p, "%c%u@%u.%u", &op.c, &op.zone, &op.at, &op.n) != 4 ||
            !strchr("wWaAzZdflocFrPQXCbGHSYD", op.c) || op.zone >= zones) {
            *why = g_strdup_printf("Bad operation '%s'", *p);
            goto bad;
        }
        g_array_append_val(w->ops, op);
    }
    return w;
bad:
    workload_free(w);
    return NULL;
}

/* Running one */

typedef struct Runner Runner;

typedef struct ReqState {
    Runner *rn;
    unsigned idx;               /* in run->ops */
    GenOp g;
    uint8_t *buf;
    uint64_t failed_before;     /* operations on the file */
} ReqState;

struct Runner {
    const Workload *w;
    Run *run;
    BlockBackend *blk;
    Rnd rnd;
    uint64_t *wp;               /* expected, absolute */
    bool *unsure;
    unsigned *busy;             /* requests in flight by zone */
    unsigned in_flight;
    unsigned mgmt_in_flight;
    unsigned next;
    uint32_t size;              /* of the disk, bytes */
    bool gone;                  /* ... which answers nothing any more */
    bool snapshot;              /* there is one */
    uint64_t failed_idle;       /* when nothing was in flight last */
    char *why;
};

static OracleOp *run_op(Run *run, unsigned idx)
{
    return &g_array_index(run->ops, OracleOp, idx);
}

static bool is_mgmt(char c)
{
    return strchr("ocFrPQXC", c) != NULL;
}

static bool is_wide(char c)
{
    return strchr("PQXC", c) != NULL;
}

static void resync(Runner *rn)
{
    unsigned nr = rn->run->nr_zones;
    g_autofree BlockZoneDescriptor *zd = g_new0(BlockZoneDescriptor, nr);

    if (rn->w->cfg.plain || blk_zone_report(rn->blk, 0, &nr, zd) < 0) {
        return;
    }
    for (unsigned i = 0; i < nr; i++) {
        if (rn->unsure[i] && !rn->busy[i]) {
            rn->wp[i] = zd[i].wp;
            rn->unsure[i] = false;
        }
    }
}

static void coroutine_fn req_entry(void *opaque)
{
    ReqState *rq = opaque;
    Runner *rn = rq->rn;
    OracleOp op = *run_op(rn->run, rq->idx);
    const OracleZone *z = &rn->run->zones[rq->g.zone];
    BdrvRequestFlags flags = 0;
    QEMUIOVector qiov;
    int64_t where;
    int ret;

    if (rq->buf) {
        qemu_iovec_init_buf(&qiov, rq->buf, op.bytes);
    }
    switch (rq->g.c) {
    case 'W':
        flags = BDRV_REQ_FUA;
        /* fall through */
    case 'w':
        ret = blk_co_pwritev(rn->blk, op.offset, op.bytes, &qiov, flags);
        break;
    case 'A':
        flags = BDRV_REQ_FUA;
        /* fall through */
    case 'a':
        where = z->start;
        ret = blk_co_zone_append(rn->blk, &where, &qiov, flags);
        if (ret >= 0) {
            run_op(rn->run, rq->idx)->offset = where;
            run_op(rn->run, rq->idx)->nowhere = false;
        }
        break;
    case 'Z':
        flags = BDRV_REQ_MAY_UNMAP;
        /* fall through */
    case 'z':
        ret = blk_co_pwrite_zeroes(rn->blk, op.offset, op.bytes, flags);
        break;
    case 'd':
        ret = blk_co_pdiscard(rn->blk, op.offset, op.bytes, 0);
        break;
    case 'l':
        ret = blk_co_preadv(rn->blk, op.offset, op.bytes, &qiov, 0);
        break;
    case 'f':
        ret = blk_co_flush(rn->blk);
        break;
    case 'o':
        ret = blk_co_zone_mgmt(rn->blk, BLK_ZO_OPEN, z->start, z->length, 0);
        break;
    case 'c':
        ret = blk_co_zone_mgmt(rn->blk, BLK_ZO_CLOSE, z->start, z->length, 0);
        break;
    case 'F':
    case 'P':
        ret = blk_co_zone_mgmt(rn->blk, BLK_ZO_FINISH, op.offset, op.bytes, 0);
        break;
    case 'r':
    case 'Q':
        ret = blk_co_zone_mgmt(rn->blk, BLK_ZO_RESET, op.offset, op.bytes, 0);
        break;
    case 'X':
        ret = blk_co_zone_mgmt(rn->blk, BLK_ZO_RESET, 0, rn->size,
                               BDRV_ZONE_ALL);
        break;
    case 'C':
        ret = blk_co_zone_mgmt(rn->blk, BLK_ZO_CLOSE, 0, rn->size,
                               BDRV_ZONE_ALL);
        break;
    case 'G':
        rn->run->grows = memclock;
        ret = blk_co_truncate(rn->blk, rn->w->cfg.size, true,
                              PREALLOC_MODE_OFF, 0, NULL);
        if (ret >= 0) {
            rn->run->grown = memfile_tick();
            rn->size = rn->w->cfg.size;
        }
        break;
    default:
        g_assert_not_reached();
    }
    op = *run_op(rn->run, rq->idx);
    op.ret = ret < 0 ? ret : 0;
    op.refused = ret < 0 && (block_zone_strerror(ret) || ret == -EINVAL);
    op.ack = memfile_tick();
    op.failures = memslot[0].failed - rq->failed_before;
    /* One by one, an append goes where it is expected to go. */
    op.nowhere = op.nowhere && ret < 0 && rn->w->cfg.depth;
    if (rq->g.c == 'l' && ret >= 0) {
        op.data = rq->buf;
    } else {
        g_free(rq->buf);
    }
    *run_op(rn->run, rq->idx) = op;
    for (unsigned i = 0; i < MAX(op.nr, 1); i++) {
        rn->busy[op.first + i]--;
        if (ret < 0) {
            rn->unsure[op.first + i] = true;
        }
    }
    rn->in_flight--;
    rn->mgmt_in_flight -= is_mgmt(rq->g.c);
    /*
     * One accepted above another in flight may share the fate of that, and
     * where a header cannot be written back there is no disk any more.
     */
    if (ret < 0 && !op.refused && ret != -ENOMEDIUM &&
        memslot[0].failed == rn->failed_idle && !rn->why) {
        rn->why = g_strdup_printf("request %u (%c%u) failed for no reason: %s",
                                  op.id, rq->g.c, rq->g.zone,
                                  strerror(-ret));
    }
    g_free(rq);
}

/* False: it makes no sense where the disk stands, and is left out. */
static bool fill_request(Runner *rn, const GenOp *g, OracleOp *op)
{
    const OracleZone *z = &rn->run->zones[g->zone];
    uint64_t room;

    op->first = g->zone;
    op->nr = 1;
    op->bytes = (uint64_t)g->n * SECTOR;
    op->fua = rn->w->cfg.wt;
    if (!strchr("fXCG", g->c) && z->start + z->length > rn->size) {
        return false;
    }
    switch (g->c) {
    case 'W': case 'A':
        op->fua = true;
        /* fall through */
    case 'w': case 'a': case 'z': case 'Z':
        op->type = g->c == 'z' || g->c == 'Z' ? ORACLE_ZEROES : ORACLE_WRITE;
        if (z->conventional) {
            op->offset = z->start + (uint64_t)g->at * SECTOR;
            if (g->c == 'a' || g->c == 'A' ||
                op->offset + op->bytes > z->start + z->length) {
                return false;
            }
        } else {
            op->offset = rn->wp[g->zone];
            room = z->start + z->capacity - op->offset;
            op->bytes = MIN(op->bytes, room);
            op->nowhere = g->c == 'a' || g->c == 'A';
            rn->wp[g->zone] += op->bytes;
        }
        return op->bytes > 0;
    case 'd':
        op->type = z->conventional ? ORACLE_DISCARD : ORACLE_OTHER;
        /* fall through */
    case 'l':
        if (g->c == 'l') {
            op->type = ORACLE_READ;
        }
        op->offset = z->start + (uint64_t)g->at * SECTOR;
        return op->bytes > 0 && op->offset + op->bytes <= z->start + z->length;
    case 'f':
        op->type = ORACLE_FLUSH;
        op->nr = 0;
        return true;
    case 'o': case 'c':
        op->type = ORACLE_OTHER;
        return !z->conventional;
    case 'F': case 'P': case 'r': case 'Q': case 'X':
        op->type = strchr("FP", g->c) ? ORACLE_FINISH : ORACLE_RESET;
        if (g->c == 'X') {
            op->first = 0;
            op->nr = rn->run->nr_zones;
        } else if (g->c == 'P' || g->c == 'Q') {
            op->nr = rn->size == rn->w->cfg.size ? rn->run->nr_zones :
                     rn->size / rn->w->cfg.zsize;
            op->nr = MIN(g->n, op->nr - g->zone);
        }
        if (op->nr == 0 || (g->c != 'X' && z->conventional)) {
            return false;
        }
        op->offset = rn->run->zones[op->first].start;
        z = &rn->run->zones[op->first + op->nr - 1];
        op->bytes = MIN(z->start + z->length, rn->size) - op->offset;
        for (unsigned i = op->first; i < op->first + op->nr; i++) {
            z = &rn->run->zones[i];
            rn->wp[i] = op->type == ORACLE_RESET ? z->start :
                        z->start + z->capacity;
        }
        return true;
    case 'G':
        op->type = ORACLE_OTHER;
        return true;
    default:
        op->type = ORACLE_OTHER;
        op->first = 0;
        op->nr = rn->run->nr_zones;
        return true;
    }
}

/* Is nothing in the zones from @first on? */
static bool are_empty(Runner *rn, unsigned first)
{
    unsigned nr = rn->run->nr_zones;
    g_autofree BlockZoneDescriptor *zd = g_new0(BlockZoneDescriptor, nr);

    if (blk_zone_report(rn->blk, 0, &nr, zd) < 0) {
        return false;
    }
    while (first < nr && zd[first].wp == zd[first].start) {
        first++;
    }
    return first == nr;
}

/*
 * The disk becomes shorter again: for the zones that go it is a reset, which
 * may have been done also where the rest fails.
 */
static void run_shrink(Runner *rn)
{
    Run *run = rn->run;
    uint32_t size = rn->w->cfg.grow;
    unsigned first = size / rn->w->cfg.zsize;
    OracleOp op = {
        .id = rn->next, .type = ORACLE_RESET, .first = first,
        .nr = run->nr_zones - first, .offset = size,
        .bytes = rn->w->cfg.size - size,
    };
    BlockDriverState *bs = blk_bs(rn->blk);
    MemSlot *slot = &memslot[0];
    uint64_t failed = slot->failed;
    bool delay = slot->delay;

    if (rn->size == size) {
        return;
    }
    slot->delay = false;
    op.submit = run->shrinks = memfile_tick();
    bdrv_drained_begin(bs);
    op.ret = blk_truncate(rn->blk, size, true, PREALLOC_MODE_OFF, 0, NULL);
    bdrv_drained_end(bs);
    op.ack = memfile_tick();
    op.failures = slot->failed - failed;
    slot->delay = delay;
    if (op.ret == 0) {
        run->shrunk = op.ack;
        rn->size = size;
        for (unsigned i = first; i < run->nr_zones; i++) {
            rn->wp[i] = run->zones[i].start;
        }
    } else if (!op.failures && op.ret != -ENOMEDIUM) {
        rn->why = g_strdup_printf("the disk cannot become shorter: %s",
                                  strerror(-op.ret));
    } else {
        op.ret = are_empty(rn, first) ? 0 : op.ret;
        for (unsigned i = first; i < run->nr_zones; i++) {
            rn->unsure[i] = true;
        }
        resync(rn);
    }
    g_array_append_val(run->ops, op);
}

/*
 * On the snapshot.  It polls to its end, so the file answers at once; and all
 * is done when it returns.
 */
static void run_snapshot_op(Runner *rn, const GenOp *g)
{
    BlockDriverState *bs = blk_bs(rn->blk);
    MemSlot *slot = &memslot[0];
    OracleOp op = { .id = rn->next, .type = ORACLE_OTHER };
    SnapEvent event = { .c = g->c, .op = rn->run->ops->len };
    QEMUSnapshotInfo sn = { .name = SNAPSHOT_NAME };
    uint64_t failed = slot->failed;
    bool delay = slot->delay;
    Error *err = NULL;

    if (rn->snapshot == (g->c == 'S') || !blk_is_inserted(rn->blk)) {
        return;
    }
    slot->delay = false;
    op.submit = memfile_tick();
    bdrv_graph_rdlock_main_loop();
    switch (g->c) {
    case 'S':
        op.ret = bdrv_snapshot_create(bs, &sn);
        break;
    case 'D':
        op.ret = bdrv_snapshot_delete(bs, NULL, SNAPSHOT_NAME, &err);
        break;
    }
    bdrv_graph_rdunlock_main_loop();
    if (g->c == 'Y') {
        op.ret = bdrv_snapshot_goto(bs, SNAPSHOT_NAME, &err);
        for (unsigned i = 0; op.ret == 0 && i < rn->run->nr_zones; i++) {
            rn->unsure[i] = true;
        }
        resync(rn);
    }
    error_free(err);
    op.ack = memfile_tick();
    op.failures = slot->failed - failed;
    op.type = g->c == 'S' && op.ret == 0 ? ORACLE_FLUSH : ORACLE_OTHER;
    slot->delay = delay;
    event.gone = !blk_is_inserted(rn->blk);
    event.there = bdrv_snapshot_find(bs, &sn, SNAPSHOT_NAME) >= 0;
    rn->snapshot = event.there;
    g_array_append_val(rn->run->ops, op);
    g_array_append_val(rn->run->snaps, event);
    if (op.ret < 0 && !op.failures && op.ret != -ENOMEDIUM && !rn->why) {
        rn->why = g_strdup_printf("request %u (%c) failed for no reason: %s",
                                  op.id, g->c, strerror(-op.ret));
    }
}

static void submit_next(Runner *rn)
{
    const GenOp *g = &g_array_index(rn->w->ops, GenOp, rn->next);
    OracleOp op = { .id = ++rn->next, .ack = ORACLE_NEVER };
    ReqState *rq;
    Coroutine *co;

    if (g->c == 'H') {
        run_shrink(rn);
        return;
    }
    if (strchr("SYD", g->c)) {
        run_snapshot_op(rn, g);
        return;
    }
    if (!fill_request(rn, g, &op)) {
        return;
    }
    rq = g_new0(ReqState, 1);
    rq->rn = rn;
    rq->g = *g;
    rq->idx = rn->run->ops->len;
    if (strchr("wWaAl", g->c)) {
        rq->buf = g_malloc0(op.bytes);
        op.made_for = op.offset;
        if (g->c != 'l') {
            oracle_pattern(rq->buf, op.id, op.offset, op.bytes);
        }
    }
    /* Zeros in an overlay take clusters, and not in the turn of the write. */
    op.no_gap = rn->w->fail_errno && rn->w->fail_kind == FOP_GROWTH &&
                !(rn->w->cfg.base && op.type == ORACLE_ZEROES);
    op.submit = memfile_tick();
    g_array_append_val(rn->run->ops, op);
    for (unsigned i = 0; i < MAX(op.nr, 1); i++) {
        rn->busy[op.first + i]++;
    }
    if (!rn->in_flight++) {
        rn->failed_idle = memslot[0].failed;
    }
    rn->mgmt_in_flight += is_mgmt(g->c);
    rq->failed_before = memslot[0].failed;
    co = qemu_coroutine_create(req_entry, rq);
    qemu_coroutine_enter(co);
}

static bool may_submit(Runner *rn)
{
    const GenOp *g;

    if (rn->next == rn->w->ops->len ||
        rn->in_flight >= MAX(rn->w->cfg.depth, 1)) {
        return false;
    }
    g = &g_array_index(rn->w->ops, GenOp, rn->next);
    if (g->c == 'b') {
        if (rn->in_flight) {
            return false;
        }
        rn->next++;
        return may_submit(rn);
    }
    if (strchr("SYDH", g->c)) {
        return !rn->in_flight;
    }
    /* A wide operation takes its zones at once only if none is taken. */
    if (is_wide(g->c) && rn->mgmt_in_flight) {
        return false;
    }
    if (rn->unsure[g->zone]) {
        if (rn->busy[g->zone]) {
            return false;
        }
        resync(rn);
    }
    return true;
}

static bool run_loop(Runner *rn)
{
    AioContext *ctx = qemu_get_aio_context();

    for (;;) {
        unsigned pending;

        while (aio_poll(ctx, false)) {
            /* until all that can run has run */
        }
        if (rn->why) {
            return false;
        }
        pending = memfile_pending();
        if (may_submit(rn) && (!pending || rnd(&rn->rnd, 100) < 45)) {
            submit_next(rn);
        } else if (pending) {
            /* The oldest, more often than not */
            memfile_complete(rnd(&rn->rnd, 100) < 55 ? 0 :
                             rnd(&rn->rnd, pending));
        } else if (rn->next == rn->w->ops->len && !rn->in_flight) {
            return true;
        } else if (!may_submit(rn)) {
            break;
        }
    }
    rn->why = g_strdup_printf("%u requests never complete", rn->in_flight);
    for (unsigned i = 0; i < rn->run->ops->len; i++) {
        if (run_op(rn->run, i)->ack == ORACLE_NEVER) {
            g_autofree char *s = rn->why;

            rn->why = g_strdup_printf("%s; first is request %u", s,
                                      run_op(rn->run, i)->id);
            break;
        }
    }
    return false;
}

/* Fill the zones and reset them, so that old data lies under the new. */
static bool earlier_pass(BlockBackend *blk, const Config *c, Error **errp)
{
    g_autofree OracleZone *z = config_zones(c);
    unsigned nr = config_nr_zones(c);
    g_autofree uint8_t *buf = g_malloc(c->zsize);

    for (unsigned i = 0; i < nr; i++) {
        if (z[i].conventional || (nr > 8 && i > 2 && i < nr - 3) ||
            (c->grow && z[i].start + z[i].length > c->grow)) {
            continue;
        }
        oracle_pattern(buf, 0xffff, z[i].start, z[i].capacity);
        if (blk_pwrite(blk, z[i].start, z[i].capacity, buf, 0) < 0) {
            error_setg(errp, "Could not fill zone %u", i);
            return false;
        }
    }
    if (blk_zone_mgmt(blk, BLK_ZO_RESET, 0, c->grow ?: c->size,
                      BDRV_ZONE_ALL) < 0 ||
        blk_flush(blk) < 0) {
        error_setg(errp, "Could not reset the zones");
        return false;
    }
    return true;
}

static bool final_pointers(Runner *rn)
{
    unsigned nr = rn->run->nr_zones;
    g_autofree BlockZoneDescriptor *zd = g_new0(BlockZoneDescriptor, nr);
    int ret;

    if (rn->w->cfg.plain) {
        rn->run->final = g_new0(uint64_t, nr);
        return true;
    }
    ret = blk_zone_report(rn->blk, 0, &nr, zd);
    if (ret == -ENOMEDIUM && memslot[0].failed) {
        /* There is no disk any more: see qcow2-zoned-resize.c */
        rn->gone = true;
        return true;
    }
    rn->run->final = g_new0(uint64_t, rn->run->nr_zones);
    if (ret < 0 ||
        nr != DIV_ROUND_UP(rn->size, rn->w->cfg.zsize)) {
        rn->why = g_strdup("The zones cannot be reported");
        return false;
    }
    for (unsigned i = 0; i < rn->run->nr_zones; i++) {
        rn->run->final[i] = i < nr ? zd[i].wp : rn->run->zones[i].start;
    }
    return true;
}

Run *workload_run(const Workload *w, char **why)
{
    Run *run = g_new0(Run, 1);
    Runner rn = { .w = w, .run = run, .rnd = { w->seed } };
    MemSlot *slot = &memslot[0];
    Error *err = NULL;
    uint64_t failed;
    bool ok;

    memfile_reset();
    run->zones = config_zones(&w->cfg);
    run->nr_zones = config_nr_zones(&w->cfg);
    run->ops = g_array_new(false, true, sizeof(OracleOp));
    run->snaps = g_array_new(false, true, sizeof(SnapEvent));
    run->grown = run->shrinks = run->shrunk = ORACLE_NEVER;
    rn.size = w->cfg.grow ?: w->cfg.size;
    rn.wp = g_new0(uint64_t, run->nr_zones);
    rn.unsure = g_new0(bool, run->nr_zones);
    rn.busy = g_new0(unsigned, run->nr_zones + 1);
    for (unsigned i = 0; i < run->nr_zones; i++) {
        rn.wp[i] = run->zones[i].start;
        rn.unsure[i] = w->cfg.base;
    }
    if (w->cfg.base ? !base_create(&w->cfg, run, &rn.rnd, &err) ||
                      !overlay_create(&w->cfg, 0, &err)
                    : !image_create(&w->cfg, 0, &err)) {
        goto bad;
    }
    /* In an overlay the base has data under the new. */
    for (unsigned i = 0; !w->cfg.base && i < w->cfg.pass; i++) {
        BlockBackend *blk = image_open(&w->cfg, 0, true, &err);

        ok = blk && earlier_pass(blk, &w->cfg, &err);
        blk_unref(blk);
        if (!ok) {
            goto bad;
        }
    }
    rn.blk = image_open(&w->cfg, 0, true, &err);
    if (!rn.blk) {
        goto bad;
    }
    run->base = memimg_clone(slot->img);
    memset(slot->count, 0, sizeof(slot->count));
    run->begin = memfile_tick();
    slot->logging = true;
    slot->delay = w->cfg.depth > 0;
    slot->delay_reads = 64;
    slot->fail_kind = w->fail_kind;
    slot->fail_nth = w->fail_nth;
    slot->fail_mask = w->fail_mask;
    slot->fail_errno = w->fail_errno;
    ok = run_loop(&rn) && final_pointers(&rn);
    slot->delay = false;
    if (!ok) {
        /* What is stuck cannot be closed; the process ends soon. */
        *why = rn.why;
        return NULL;
    }
    run->end = memfile_tick();
    failed = slot->failed;
    blk_unref(rn.blk);
    run->close_failed = slot->failed != failed || rn.gone;
    run->closed = memfile_tick();
    slot->logging = false;
    slot->fail_errno = 0;
    memcpy(run->file_ops, slot->count, sizeof(run->file_ops));
    g_free(rn.wp);
    g_free(rn.unsure);
    g_free(rn.busy);
    return run;
bad:
    *why = g_strdup(err ? error_get_pretty(err) : "could not start");
    error_free(err);
    blk_unref(rn.blk);
    return NULL;
}

void run_free(Run *r)
{
    if (!r) {
        return;
    }
    for (unsigned i = 0; i < r->ops->len; i++) {
        g_free((void *)run_op(r, i)->data);
    }
    g_array_free(r->ops, true);
    g_array_free(r->snaps, true);
    g_free(r->zones);
    g_free(r->final);
    memimg_free(r->base);
    g_free(r);
}
