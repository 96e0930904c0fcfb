/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults planted in a test build of the driver, to see whether they are found
 */
#ifndef TESTS_CRASH_PLANTED_H
#define TESTS_CRASH_PLANTED_H

typedef struct PlantedFault {
    const char *name;           /* NULL: end of the list */
    const char *what;
    /*
     * The workloads in which it is looked for: random ones, or these
     * operations, with many timings or (@inject) injected errors.
     */
    const char *ops;
    bool inject;
    bool longer;                /* errors last for three flushes in a row */
    bool unmap;
    unsigned pass;
    bool extents;               /* zones of several extents */
} PlantedFault;

/* Empty in the program that holds the driver as it is shipped */
extern const PlantedFault planted_faults[];
extern const char *planted_now;
extern uint64_t planted_hits;

#endif
