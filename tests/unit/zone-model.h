/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A naive model of a zoned disk, to compare the zone rules with
 *
 * Written from the rules as people read them (docs/devel/zoned-qcow2.rst, "Zone
 * rules"), not from the code, and sharing no header with it.  It keeps one
 * cell per sector and scans everything each time.  All positions and lengths
 * are in sectors.
 */
#ifndef TESTS_UNIT_ZONE_MODEL_H
#define TESTS_UNIT_ZONE_MODEL_H

#include <stdbool.h>

#define MODEL_MAX_ZONES     16
#define MODEL_MAX_SECTORS   32      /* in one zone */

typedef enum ModelState {
    M_CONVENTIONAL, M_EMPTY, M_IMPLICIT, M_EXPLICIT, M_CLOSED, M_FULL,
    M_READ_ONLY, M_OFFLINE,
    M_NR_STATES
} ModelState;

typedef enum ModelResult {
    M_OK, M_MALFORMED, M_UNALIGNED, M_BOUNDARY, M_ZONE_FULL, M_ZONE_READ_ONLY,
    M_ZONE_OFFLINE, M_BAD_APPEND, M_BAD_TRANSITION, M_TOO_ACTIVE, M_TOO_OPEN,
    M_NR_RESULTS
} ModelResult;

typedef enum ModelOp { M_OPEN, M_CLOSE, M_FINISH, M_RESET } ModelOp;

typedef struct ModelGeometry {
    int disk, zone_size, capacity, conventional;
    int max_active, max_open, max_append;
} ModelGeometry;

/* Where a write stands that has not answered */
typedef enum ModelStage {
    M_ACCEPTED, M_COMPLETE, M_FAILED, M_ZEROS, M_GIVEN_BACK,
    M_NR_STAGES
} ModelStage;

typedef struct ModelWrite {
    int id;                         /* > 0 */
    int start, len;                 /* start: from the start of the disk */
    ModelStage stage;
    int error;                      /* it, or one below it, is stuck */
} ModelWrite;

typedef struct ModelZone {
    ModelState state;
    int wp;                         /* from the zone's start */
    int last_write;                 /* by the model's clock */
    int generation;
    bool pending;
    int owner[MODEL_MAX_SECTORS];   /* write whose data is not in, or 0 */
    bool made[MODEL_MAX_SECTORS];   /* what a write needs here is made */
} ModelZone;

typedef struct Model {
    ModelGeometry g;
    int nr;
    int clock;
    int next_id;
    ModelZone zone[MODEL_MAX_ZONES];
    ModelWrite write[MODEL_MAX_ZONES * MODEL_MAX_SECTORS];
    int nr_writes;
} Model;

void model_init(Model *m, const ModelGeometry *g);
/* Power on with this stored pointer, from the zone's start. */
void model_load(Model *m, int i, int wp);
void model_wear(Model *m, int i, ModelState state);

int model_length(const Model *m, int i);
int model_capacity(const Model *m, int i);
int model_open(const Model *m);
int model_active(const Model *m);

/* *@id: of the write, 0 for a conventional one.  *@at: where it goes. */
ModelResult model_write(Model *m, int at, int len, int *id);
ModelResult model_append(Model *m, int at, int len, int *id, int *where);
/* May no write be accepted in zone @i just now? */
bool model_blocked(const Model *m, int i);

ModelWrite *model_find(const Model *m, int id);
/* Its data, or the zeros for it, are in. */
void model_complete(Model *m, int id);
/* Its data has failed; what becomes of it, or others, is their stage. */
void model_fail(Model *m, int id);
/* It is complete, but could not be made durable. */
bool model_give_back(Model *m, int id);
void model_end(Model *m, int id);

bool model_has_turn(const Model *m, int id);
bool model_is_ready(const Model *m, int id);
/* All that is needed is made, up to @frontier in its zone. */
void model_ready(Model *m, int id, int frontier);
void model_stuck(Model *m, int id, int error);
int model_frontier(const Model *m, int i);      /* from the zone's start */
/* What was made ahead in zone @i is not known any more. */
void model_forget_frontier(Model *m, int i);

int model_in_flight(const Model *m, int i);
int model_complete_end(const Model *m, int i);  /* from the zone's start */
int model_acknowledged(const Model *m, int i);  /* from the zone's start */
/* 1: data, 0: zeros, -1: offline */
int model_read(const Model *m, int sector);

/*
 * Which zones does it mean, and may it be?  *@all is set for the whole disk,
 * too.
 */
ModelResult model_op_check(const Model *m, ModelOp op, bool *all, int at,
                           int len, bool chosen[MODEL_MAX_ZONES]);
ModelResult model_op_open(Model *m, bool all,
                          const bool chosen[MODEL_MAX_ZONES]);
void model_op_close(Model *m, bool all, bool zns,
                    const bool chosen[MODEL_MAX_ZONES]);
/* Finish and reset: is there anything to change?  It is pending then. */
bool model_op_begin(Model *m, ModelOp op, bool all, int i);
void model_op_end(Model *m, ModelOp op, int i, bool ok);

#endif
