/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Crash states: the files that a power loss could leave, each judged
 */
#ifndef TESTS_CRASH_STATES_H
#define TESTS_CRASH_STATES_H

#include "workload.h"

typedef struct Tally {
    uint64_t workloads;
    uint64_t states;
    uint64_t at_flush;          /* cuts where a flush completes */
    uint64_t prefix;
    uint64_t subset;
    uint64_t torn;
    uint64_t exhausted;         /* epochs of which every subset was tried */
    uint64_t epochs;
    uint64_t leaks;             /* states with leaked clusters */
    uint64_t leaks_repaired;
    uint64_t writes_after;      /* writes made in opened states */
    uint64_t requests;
    uint64_t failed_requests;
    uint64_t file_ops;
    uint64_t faults;
    /*
     * Workloads in which a write failed while others of its zone were in
     * flight, on a file that does not know FUA, and on one that does
     */
    uint64_t among_others[2];
} Tally;

typedef struct Limits {
    unsigned per_workload;      /* states */
    unsigned exhaustive;        /* epochs of so many writes: all subsets */
    unsigned sample;            /* of larger ones: so many */
    bool from_failure;          /* none before the first injected fault */
    bool only_cuts;             /* nothing but cuts at flushes */
    bool verbose;               /* print the requests and their times */
} Limits;

/*
 * Run @w and judge what crashes may leave of it.  False, and why, at the
 * first state that may not be.
 */
bool judge_workload(const Workload *w, const Limits *lim, Tally *t,
                    char **why);

#endif
