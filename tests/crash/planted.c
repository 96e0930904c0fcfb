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

const PlantedFault planted_faults[] = {
    { "raise-before-data", "a flush raises entries before data is durable" },
    { "table-before-maps", "entries go before what maps their data" },
    { "sample-late", "a pointer is sampled after the caches are written" },
    { "over-hole", "a pointer is raised over a write in flight" },
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
    { "close-table-first", "a close writes the table before the caches" },
    { "clear-dirty-early", "the dirty mark goes before its write succeeds",
      .inject = true },
    { "flush-error-lost", "a flush whose table write fails reports success",
      .inject = true },
    { "unsure-forgotten", "what a failed reset wrote is not taken back",
      .inject = true },
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
