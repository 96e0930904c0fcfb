/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The faults that can be switched on in a copy of the zoned code
 *
 * Each breaks one rule of the order on disk, or of failed writes; where in the
 * code is said in planted-faults.txt.  The oracle must find each.
 */

#include "qemu/osdep.h"
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

/* Writes with FUA whose flush fails, and what takes their place */
static const char fua_failed[] =
    "w1@0.8 f0@0.0 W1@0.8 w1@0.4 w1@0.4 a1@0.2 f0@0.0 w1@0.3 A1@0.9 w1@0.4 "
    "w1@0.2 f0@0.0 Z1@0.6 w1@0.2 W2@0.12 w2@0.3 w2@0.1 f0@0.0";

/*
 * In its second life a zone's first cluster is new, and the rest, in the same
 * extent, has old data: a write that maps both, one that waits for it, and
 * zeros from the second cluster on
 */
static const char zeros_over_old[] =
    "z1@0.8 w1@0.56 b0@0.0 r1@0.0 b0@0.0 w1@0.4 w1@0.4 z1@0.56 b0@0.0 "
    "l1@0.64 f0@0.0";

/* A flush that fails under FUA, a reset that has the table, another flush */
static const char flush_behind_reset[] =
    "w2@0.8 w1@0.9 f0@0.0 w1@0.5 W1@0.4 r2@0.0 f0@0.0 b0@0.0 w2@0.3 w1@0.5 "
    "A1@0.3 r2@0.0 f0@0.0 b0@0.0";

/* What is freed by it is soon something else. */
static const char grows[] =
    "w1@0.9 f0@0.0 w1@0.5 G0@0.0 b0@0.0 w2@0.9 w3@0.9 a1@0.100 f0@0.0 "
    "r1@0.0 w1@0.9 f0@0.0";

/* What goes has data. */
static const char shrinks[] =
    "w1@0.9 f0@0.0 G0@0.0 b0@0.0 w2@0.9 w3@0.256 f0@0.0 w1@0.9 b0@0.0 H0@0.0 "
    "w1@0.9 f0@0.0 G0@0.0 b0@0.0 w2@0.9 f0@0.0";

/* What is shared with the snapshot is written anew, and freed. */
static const char snaps[] =
    "w1@0.9 f0@0.0 w1@0.5 w2@0.256 S0@0.0 w1@0.9 a1@0.9 f0@0.0 r2@0.0 "
    "w2@0.9 f0@0.0 Y0@0.0 r1@0.0 w1@0.90 w3@0.9 f0@0.0 D0@0.0 w1@0.7 w3@0.9 "
    "f0@0.0 S0@0.0 X0@0.0 w1@0.30 f0@0.0 Y0@0.0 w1@0.1 f0@0.0";

/* What hides the base, in zones that have data there */
static const char over[] =
    "w1@0.9 f0@0.0 r1@0.0 z1@0.256 f0@0.0 r2@0.0 F2@0.0 f0@0.0 b0@0.0 r3@0.0 "
    "Z3@0.100 w3@0.9 f0@0.0 r1@0.0 w1@0.9 F1@0.0 f0@0.0";

const PlantedFault planted_faults[] = {
    { "raise-before-data", "a flush raises entries before data is durable" },
    { "table-before-maps", "entries go before what maps their data" },
    { "sample-late", "a pointer is sampled after the caches are written" },
    { "over-in-flight", "a pointer is raised over a write in flight",
      .ops = "a1@0.3 a1@0.2 a1@0.4 f0@0.0 a1@0.1 a1@0.2 f0@0.0 f0@0.0 "
             "a1@0.3 a1@0.2 f0@0.0" },
    { "forget-zone", "a flush forgets a zone" },
    { "publish-neighbours", "a block carries its neighbours' pointers" },
    { "late-flush-over-reset", "a late flush writes over a reset" },
    { "reset-no-flush", "a reset is answered before it is durable" },
    { "table-no-fua", "a block of the table is written without FUA" },
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
    { "fua-no-flush", "a write with FUA is answered before its flush" },
    { "doubt-forgotten", "a block whose write failed is not in doubt",
      .ops = twice_flushed, .inject = true },
    { "write-in-doubt", "a write goes where a block in doubt may expose it",
      .ops = upon_failed, .inject = true, .all_states = true },
    { "unreserved", "clusters are mapped ahead beyond the end of the file" },
    { "past-capacity", "clusters are mapped ahead past a zone's capacity" },
    { "zeros-out-of-turn", "zeros move the frontier out of their turn",
      .ops = zeros_over_old, .extents = true },
    { "raise-before-zeros", "a failed write is complete before its zeros",
      .bursts = true, .pass = 1 },
    { "no-zeros", "a failed write answers without its zeros",
      .bursts = true, .pass = 1 },
    { "answer-undecided", "a failed write answers while one above is undecided",
      .bursts = true },
    { "turn-after-stuck", "a write has its turn after a mapping below failed",
      .bursts = true, .full = true },
    { "overtaking", "a mapping overtakes the one below", .bursts = true,
      .full = true },
    { "frontier-stays", "what is given back leaves the frontier where it is",
      .ops = fua_failed, .inject = true },
    { "sample-voided", "a sample is voided where it should be cut",
      .ops = flush_behind_reset, .inject = true, .deep = true },
    { "fua-in-doubt", "a write with FUA believes in a block in doubt",
      .ops = fua_failed, .inject = true, .all_states = true },
    { "grow-before-table", "the header is switched before its table is durable",
      .ops = grows, .grow = true },
    { "grow-frees-early", "the old table is freed before the switch",
      .ops = grows, .grow = true },
    { "shrink-not-lowered", "a shrink frees before it lowers",
      .ops = shrinks, .grow = true },
    { "snapshot-no-flush", "a snapshot's pointers are those of the last flush",
      .ops = snaps, .snap = true },
    { "copy-after-entry", "a table copy is written when its snapshot is there",
      .ops = snaps, .snap = true },
    { "copy-freed-early", "a table copy is freed before its snapshot is gone",
      .ops = snaps, .snap = true },
    { "apply-frees-early", "the old L1 table is freed before the switch",
      .ops = snaps, .snap = true },
    { "unmap-frees-shared", "a reset frees what a snapshot holds",
      .ops = snaps, .snap = true, .unmap = true },
    { "finish-shows-base", "a finish in an overlay leaves the base's data",
      .ops = over, .base = true },
    { "zeros-show-base", "zeros in an overlay leave the base's data",
      .ops = over, .base = true },
    { NULL }
};

/* Of planted-faults.txt */
static const char *const places[] = {
#include "planted-places.h"
};

bool planted_list_is_whole(void)
{
    bool ok = ARRAY_SIZE(planted_faults) == ARRAY_SIZE(places) + 1;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        bool found = false;

        for (const PlantedFault *p = planted_faults; p->name; p++) {
            found |= !strcmp(p->name, places[i]);
        }
        ok &= found;
    }
    return ok;
}

bool planted(const char *name)
{
    if (!planted_now || strcmp(planted_now, name)) {
        return false;
    }
    planted_hits++;
    return true;
}
