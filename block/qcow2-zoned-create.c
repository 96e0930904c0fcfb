/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: creating and amending them, and telling about them
 *
 * See qcow2-zoned-format.h.  The rules between the values are those of the
 * format (qcow2-zone-table.h), not of this file.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/option.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-block-core.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/util.h"
#include "qobject/qdict.h"
#include "block/block-io.h"
#include "block/qcow2-zoned-format.h"
#include "block/qcow2-zoned.h"
#include "block/qdict.h"
#include "qcow2.h"

/* A disk gets zones of this size unless it is too small for some of them. */
#define DEFAULT_ZONE_SIZE   (256 * MiB)
#define DEFAULT_MIN_ZONES   4

bool qcow2_zoned_convert_opts(QDict *qdict, Error **errp)
{
    static const struct {
        const char *opt;
        const char *qmp;
        bool is_u32;
    } names[] = {
        { BLOCK_OPT_ZONE_SIZE, BLOCK_OPT_ZONE_SIZE, false },
        { BLOCK_OPT_ZONE_CAPACITY, BLOCK_OPT_ZONE_CAPACITY, false },
        { BLOCK_OPT_ZONE_CONVENTIONAL, "zone.conventional-zones", true },
        { BLOCK_OPT_ZONE_MAX_ACTIVE, "zone.max-active-zones", true },
        { BLOCK_OPT_ZONE_MAX_OPEN, "zone.max-open-zones", true },
    };
    const char *managed = Qcow2ZoneModel_str(QCOW2_ZONE_MODEL_HOST_MANAGED);
    const char *zoned = qdict_get_try_str(qdict, BLOCK_OPT_ZONED);
    const char *mode = qdict_get_try_str(qdict, BLOCK_OPT_ZONE_MODE);
    bool on = false;
    int i;

    if (zoned) {
        if (!qapi_bool_parse(BLOCK_OPT_ZONED, zoned, &on, errp)) {
            return false;
        }
        if (!on && mode) {
            error_setg(errp, "Options '" BLOCK_OPT_ZONED "=%s' and '"
                       BLOCK_OPT_ZONE_MODE "=%s' contradict each other",
                       zoned, mode);
            return false;
        }
        qdict_del(qdict, BLOCK_OPT_ZONED);
    }
    if (mode && strcmp(mode, managed)) {
        error_setg(errp, "Option '" BLOCK_OPT_ZONE_MODE "=%s' must be '%s'",
                   mode, managed);
        return false;
    }
    if (on && !mode) {
        qdict_put_str(qdict, BLOCK_OPT_ZONE_MODE, managed);
    }

    for (i = 0; i < ARRAY_SIZE(names); i++) {
        const char *val = qdict_get_try_str(qdict, names[i].opt);
        uint64_t num;

        if (!val) {
            continue;
        }
        if (!on && !mode) {
            error_setg(errp, "Option '%s=%s' needs a zoned image: use it with "
                       "'" BLOCK_OPT_ZONED "=on' or '" BLOCK_OPT_ZONE_MODE
                       "=%s'", names[i].opt, val, managed);
            return false;
        }
        if (names[i].is_u32 &&
            (qemu_strtou64(val, NULL, 0, &num) < 0 || num > UINT32_MAX)) {
            error_setg(errp, "Option '%s=%s' must be a number from 0 to %"
                       PRIu32, names[i].opt, val, UINT32_MAX);
            return false;
        }
        if (strcmp(names[i].opt, names[i].qmp)) {
            qdict_put_str(qdict, names[i].qmp, val);
            qdict_del(qdict, names[i].opt);
        }
    }
    return true;
}

static uint64_t default_zone_size(uint64_t disk_size, uint64_t cluster_size)
{
    uint64_t size = DEFAULT_ZONE_SIZE;

    while (size > cluster_size &&
           DIV_ROUND_UP(disk_size, size) < DEFAULT_MIN_ZONES) {
        size /= 2;
    }
    return size;
}

/* Is there nothing that a zoned image cannot have? */
static bool check_others(int version, bool data_file, bool lazy, Error **errp)
{
    const char *what = version < 3 ? "version v2 (compat=0.10)" :
                       data_file ? "an external data file" :
                       lazy ? "lazy refcounts" : NULL;

    if (what) {
        error_setg(errp, "A zoned image cannot have %s", what);
    }
    return !what;
}

bool qcow2_zoned_check_create(const BlockdevCreateOptionsQcow2 *opts,
                              int version, uint64_t cluster_size,
                              Qcow2ZonedHeader *h, Error **errp)
{
    const Qcow2ZoneHostManaged *zone;

    *h = (Qcow2ZonedHeader) { .zoned = 0 };
    if (!opts->zone) {
        return true;
    }
    assert(opts->zone->mode == QCOW2_ZONE_MODEL_HOST_MANAGED);
    zone = &opts->zone->u.host_managed;

    if (!check_others(version, opts->data_file, opts->lazy_refcounts, errp)) {
        return false;
    }

    h->zoned = 1;
    h->zone_size = zone->has_size ? zone->size :
        default_zone_size(opts->size, cluster_size);
    h->zone_capacity = zone->has_capacity ? zone->capacity : h->zone_size;
    h->nr_conventional = zone->conventional_zones;
    h->max_active = zone->max_active_zones;
    h->max_open = zone->has_max_open_zones ? zone->max_open_zones :
        h->max_active;
    return qcow2_zoned_options_check(h, opts->size, cluster_size, errp);
}

bool qcow2_zoned_check_create_opts(const QDict *qdict, Error **errp)
{
    g_autoptr(BlockdevCreateOptions) opts = NULL;
    g_autoptr(QDict) all = NULL;
    BlockdevCreateOptionsQcow2 *qcow2;
    Qcow2ZonedHeader h;
    uint64_t cluster_size;
    Visitor *v;

    if (!qdict_haskey(qdict, BLOCK_OPT_ZONE_MODE)) {
        return true;
    }

    /* There are no nodes yet; what they will be called does not matter. */
    all = qdict_clone_shallow(qdict);
    qdict_put_str(all, "driver", "qcow2");
    qdict_put_str(all, "file", "");
    if (qdict_haskey(all, BLOCK_OPT_DATA_FILE)) {
        qdict_del(all, BLOCK_OPT_DATA_FILE);
        qdict_put_str(all, "data-file", "");
    }
    v = qobject_input_visitor_new_flat_confused(all, errp);
    if (!v) {
        return false;
    }
    visit_type_BlockdevCreateOptions(v, NULL, &opts, errp);
    visit_free(v);
    if (!opts) {
        return false;
    }

    qcow2 = &opts->u.qcow2;
    qcow2->size = ROUND_UP(qcow2->size, BDRV_SECTOR_SIZE);
    cluster_size = qcow2->has_cluster_size ? qcow2->cluster_size
                                           : DEFAULT_CLUSTER_SIZE;
    if (!is_power_of_2(cluster_size)) {
        /* Refused for that */
        return true;
    }
    return qcow2_zoned_check_create(
        qcow2, qcow2->has_version &&
        qcow2->version == BLOCKDEV_QCOW2_VERSION_V2 ? 2 : 3,
        cluster_size, &h, errp);
}

bool qcow2_zoned_measure(QemuOpts *opts, int version, uint64_t disk_size,
                         uint64_t cluster_size, uint64_t *bytes,
                         Error **errp)
{
    QDict *qdict = qemu_opts_to_qdict(opts, NULL);
    Qcow2ZonedHeader h = { .zoned = 1 };
    bool ok = qcow2_zoned_convert_opts(qdict, errp);
    bool zoned = qdict_haskey(qdict, BLOCK_OPT_ZONE_MODE);

    qobject_unref(qdict);
    *bytes = 0;
    if (!ok || !zoned) {
        return ok;
    }
    if (!check_others(version, qemu_opt_get(opts, BLOCK_OPT_DATA_FILE),
                      qemu_opt_get_bool(opts, BLOCK_OPT_LAZY_REFCOUNTS, false),
                      errp)) {
        return false;
    }
    h.zone_size = qemu_opt_get_size(opts, BLOCK_OPT_ZONE_SIZE,
                                    default_zone_size(disk_size,
                                                      cluster_size));
    h.zone_capacity = qemu_opt_get_size(opts, BLOCK_OPT_ZONE_CAPACITY,
                                        h.zone_size);
    h.nr_conventional = qemu_opt_get_number(opts, BLOCK_OPT_ZONE_CONVENTIONAL,
                                            0);
    h.max_active = qemu_opt_get_number(opts, BLOCK_OPT_ZONE_MAX_ACTIVE, 0);
    h.max_open = qemu_opt_get_number(opts, BLOCK_OPT_ZONE_MAX_OPEN,
                                     h.max_active);
    if (!qcow2_zoned_options_check(&h, disk_size, cluster_size, errp)) {
        return false;
    }
    *bytes = ROUND_UP(qcow2_zoned_table_size(&h), cluster_size);
    return true;
}

int coroutine_fn qcow2_zoned_create(BlockDriverState *bs,
                                    const Qcow2ZonedHeader *new_header,
                                    Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree Qcow2ZonedHeader *h = g_memdup2(new_header, sizeof(*h));
    uint64_t entries_size = qcow2_zoned_table_size(new_header);
    uint64_t size = ROUND_UP(entries_size, s->cluster_size);
    g_autofree uint64_t *table = NULL;
    int64_t offset;
    uint32_t i;
    int ret;

    if (!new_header->zoned) {
        return 0;
    }

    table = g_try_malloc0(size);
    if (!table) {
        error_setg(errp, "Not enough memory for the write-pointer table of %"
                   PRIu64 " bytes", size);
        return -ENOMEM;
    }
    for (i = 0; i < h->nr_zones; i++) {
        table[i] = qcow2_zoned_entry_encode(h, i, i * h->zone_size);
    }

    qemu_co_mutex_lock(&s->lock);
    offset = qcow2_alloc_clusters(bs, size);
    ret = offset < 0 ? offset :
        qcow2_pre_write_overlap_check(bs, 0, offset, size, false);
    if (ret >= 0) {
        BLKDBG_CO_EVENT(bs->file, BLKDBG_ZONE_TABLE_WRITE);
        ret = bdrv_co_pwrite(bs->file, offset, size, table, 0);
    }
    if (ret >= 0) {
        ret = qcow2_flush_caches(bs);
    }
    if (ret >= 0) {
        h->table_offset = offset;
        s->zoned_header = g_steal_pointer(&h);
        s->incompatible_features |= QCOW2_INCOMPAT_ZONED;
        s->incompatible_features = qcow2_zoned_features(bs);
        ret = qcow2_update_header(bs);
    }
    if (ret >= 0) {
        ret = bdrv_co_flush(bs->file->bs);
    }
    qemu_co_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the write-pointer "
                         "table of %" PRIu64 " bytes", size);
    }
    return ret;
}

ImageInfoSpecificQCow2Zone *qcow2_zoned_get_info(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    const Qcow2ZonedHeader *h = s->zoned_header;
    ImageInfoSpecificQCow2Zone *info;

    if (!h || !h->zoned) {
        return NULL;
    }
    info = g_new(ImageInfoSpecificQCow2Zone, 1);
    *info = (ImageInfoSpecificQCow2Zone) {
        .mode               = QCOW2_ZONE_MODEL_HOST_MANAGED,
        .size               = h->zone_size,
        .capacity           = h->zone_capacity,
        .nr_zones           = h->nr_zones,
        .conventional_zones = h->nr_conventional,
        .max_active_zones   = h->max_active,
        .max_open_zones     = h->max_open,
    };
    return info;
}
