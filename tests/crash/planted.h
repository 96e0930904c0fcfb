/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults planted in a copy of the zoned code, to see whether they are found
 */
#ifndef TESTS_CRASH_PLANTED_H
#define TESTS_CRASH_PLANTED_H

typedef struct PlantedFault {
    const char *name;           /* NULL: end of the list */
    const char *what;
    /*
     * The workloads in which it is looked for: random ones, or (@bursts) those
     * of many writes in flight and failures among them, or these operations,
     * with many timings or (@inject) injected errors.
     */
    const char *ops;
    bool bursts;
    bool full;                  /* bursts on a host that gets full */
    bool inject;
    bool all_states;            /* ... and not only cuts at flushes */
    bool deep;                  /* injected errors with requests in flight */
    bool unmap;
    unsigned pass;
    bool extents;               /* zones of several extents */
    bool grow;                  /* the disk becomes longer */
    bool snap;                  /* it has snapshots */
    bool base;                  /* it is an overlay */
} PlantedFault;

/* Empty in the program that holds the driver as it is shipped */
extern const PlantedFault planted_faults[];
extern const char *planted_now;
extern uint64_t planted_hits;

/* Are those in planted_faults just those that have a place in the code? */
bool planted_list_is_whole(void);

#endif
