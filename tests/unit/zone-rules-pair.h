/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zone rules and the model side by side: what random operations and
 * programs of a few requests have in common
 *
 * There is one disk at a time.  Lengths and positions are in sectors where
 * they do not say bytes.
 */
#ifndef TESTS_UNIT_ZONE_RULES_PAIR_H
#define TESTS_UNIT_ZONE_RULES_PAIR_H

#include "block/zone-rules.h"
#include "zone-model.h"

#define SECTOR          512u
#define MAX_FLIGHT      64

typedef struct Flight {
    ZoneWrite *w;               /* freed when it has answered */
    int id;                     /* in the model; 0: conventional */
    bool durable;               /* it must be before it answers */
} Flight;

/* What happens to a write in flight */
typedef enum Event {
    EV_READY, EV_STUCK, EV_DONE, EV_FAIL, EV_GIVE_BACK, EV_END,
    NR_EVENTS
} Event;

extern ZoneRules *zr;
extern Model model;
extern Flight flight[MAX_FLIGHT];
extern int nr_flight;
extern uint64_t pointers_at_rest[MODEL_MAX_ZONES];  /* of @zr */

extern bool whole_reads;        /* each check reads all of a zone */
extern bool unchecked;          /* the same was checked before */

/* By ModelOp */
extern const ZoneOpType op_types[];

uint64_t to_bytes(int sectors);
ModelResult result_of(int ret);
/* Rules of a disk that comes up as @m says; @rest is to live as long. */
ZoneRules *rules_for(const Model *m, uint64_t rest[MODEL_MAX_ZONES]);

/* Everything that can be asked of zone @i */
void check_zone(int i);
/* States and pointers of all zones, and the counts */
void check_states(void);

void add_flight(const ZoneWrite *w, int id);
/* The write is over, and nobody may look at it any more. */
void drop_flight(int k);
/* Can it happen, as a driver goes about it? */
bool can_happen(const Flight *f, Event event);
/* @ahead: sectors more than the write has that are made ready */
void happen(int k, Event event, int ahead);

/* The tests of test-zone-rules-programs.c */
void add_program_tests(void);

#endif
