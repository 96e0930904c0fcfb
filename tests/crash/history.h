/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The histories of a disk with snapshots
 *
 * A disk to which a snapshot is applied has the history of the snapshot from
 * then on: the operations up to when it was taken, and those after it was
 * applied.  What was done in between has never been.  Each history has an
 * oracle of its own; which of them judges a crash depends on its time.  While a
 * snapshot is applied the disk may have either.
 */
#ifndef TESTS_CRASH_HISTORY_H
#define TESTS_CRASH_HISTORY_H

#include "workload.h"

typedef struct Histories Histories;

/* NULL, and why, where the results of the operations have no explanation. */
Histories *histories_new(const Run *run, char *why, size_t whylen);
void histories_free(Histories *h);

/* As the functions of oracle.h, for the disk that the run was of */
void histories_next_disk(Histories *h);
bool histories_crash(Histories *h, int from, int to, const OracleSeen *seen,
                     char *why, size_t whylen);
bool histories_live(Histories *h, int t, const OracleSeen *seen, char *why,
                    size_t whylen);
bool histories_reads(Histories *h, char *why, size_t whylen);

/*
 * May a crash at any one of the times @from .. @to have left the image with
 * (@there) or without its snapshot?
 */
bool histories_snapshot_fits(const Histories *h, int from, int to, bool there,
                             char *why, size_t whylen);
/* Is @seen what a snapshot holds that is there in a crash at @from? */
bool histories_snapshot(Histories *h, int from, const OracleSeen *seen,
                        char *why, size_t whylen);

#endif
