/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The faults that are planted in a test build of the zoned glue
 *
 * Each breaks one rule of the order on disk.  The oracle must find each.
 */

#include "qemu/osdep.h"
#include "block/zone-fault.h"
#include "planted.h"

const char *planted_now;
uint64_t planted_hits;

/* Whatever fails, the flush after it must make good. */
static const char twice_flushed[] =
    "w1@0.5 w2@0.5 f0@0.0 f0@0.0 a1@0.3 f0@0.0 f0@0.0 w2@0.2 f0@0.0 f0@0.0 "
    "r1@0.0 f0@0.0 f0@0.0 w1@0.4 f0@0.0 f0@0.0 r2@0.0 f0@0.0 f0@0.0 "
    "w2@0.7 f0@0.0 f0@0.0 F1@0.0 f0@0.0 f0@0.0";

/* An operation that fails, and what comes next, in a zone with old data */
static const char upon_failed[] =
    "w1@0.40 f0@0.0 r1@0.0 f0@0.0 F1@0.0 w1@0.8 w1@0.8 f0@0.0 f0@0.0 "
    "r1@0.0 F1@0.0 w1@0.4 w1@0.4 f0@0.0 f0@0.0";

/*
 * In its second life, a zone's first extent is new, and the rest is as it was:
 * while the first write maps, the second waits with the next extent.
 */
static const char over_zeros[] =
    "z1@0.16 w1@0.48 b0@0.0 r1@0.0 b0@0.0 w1@0.12 w1@0.12 z1@0.40 b0@0.0 "
    "l1@0.64 f0@0.0";

const PlantedFault planted_faults[] = {
    { "raise-before-data", "a flush raises entries before data is durable" },
    { "table-before-maps", "entries go before what maps their data" },
    { "sample-late", "a pointer is sampled after the caches are written" },
    { "over-hole", "a pointer is raised over a write in flight",
      .ops = "a1@0.3 a1@0.2 a1@0.4 f0@0.0 a1@0.1 a1@0.2 f0@0.0 f0@0.0 "
             "a1@0.3 a1@0.2 f0@0.0" },
    { "forget-zone", "a flush forgets a zone" },
    { "publish-neighbours", "a block carries its neighbours' pointers" },
    { "late-flush-over-reset", "a late flush writes over a reset" },
    { "reset-no-flush", "a reset is answered before it is durable" },
    { "free-before-reset", "clusters are freed before the reset is durable",
      .unmap = true },
    { "finish-no-zeros", "a finish leaves old data in the rest of the zone",
      .pass = 1 },
    { "finish-full-early", "a finish of a zone filled by writes does nothing" },
    { "stale-read", "what lies above the pointer is read", .pass = 1 },
    { "clear-dirty-early", "the dirty mark goes before its write succeeds",
      .ops = twice_flushed, .inject = true },
    { "flush-error-lost", "a flush whose table write fails reports success",
      .ops = twice_flushed, .inject = true },
    { "fua-no-flush", "a write with FUA is answered before it is durable" },
    { "unsure-forgotten", "what a failed reset wrote is not taken back",
      .ops = twice_flushed, .inject = true },
    { "astray-ignored", "a write comes over what a failed finish has left",
      .ops = upon_failed, .inject = true, .longer = true },
    { "unreserved", "clusters are mapped ahead beyond the end of the file" },
    { "past-capacity", "clusters are mapped ahead past a zone's capacity" },
    { "map-over-zeros", "a write that is late maps clusters over zeros",
      .ops = over_zeros, .extents = true },
    { NULL }
};

bool zone_fault(const char *name)
{
    if (!planted_now || strcmp(planted_now, name)) {
        return false;
    }
    planted_hits++;
    return true;
}
