/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A naive model of a zoned disk, to hold the zone rules against
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
    M_WAIT,
    M_NR_RESULTS
} ModelResult;

typedef enum ModelOp { M_OPEN, M_CLOSE, M_FINISH, M_RESET } ModelOp;

typedef struct ModelGeometry {
    int disk, zone_size, capacity, conventional;
    int max_active, max_open, max_append;
} ModelGeometry;

/* What became of a write that is not (yet) complete */
typedef enum ModelFate { M_FLIGHT, M_FAILED, M_FILLING } ModelFate;

typedef struct ModelWrite {
    int id;                         /* > 0 */
    int start, len;                 /* start: from the start of the disk */
    ModelFate fate;
    bool filled_once;               /* the durable pointer may be above */
    bool zeros;                     /* it holds the zeros of a fill */
} ModelWrite;

typedef struct ModelZone {
    ModelState state;
    int wp;                         /* from the zone's start */
    int last_write;                 /* by the model's clock */
    int generation;
    bool pending;
    int owner[MODEL_MAX_SECTORS];   /* write that is not complete, or 0 */
    bool done[MODEL_MAX_SECTORS];   /* a write completed here */
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
void model_write_end(Model *m, int id, bool ok);
/* Its data is there; that it is durable is waited for. */
void model_write_placed(Model *m, int id);

/* Lowest hole to fill; 0: none. */
int model_fill_begin(Model *m, int i);
void model_fill_end(Model *m, int id, bool ok);
bool model_has_hole(const Model *m, int i);

int model_in_flight(const Model *m, int i);
int model_complete(const Model *m, int i);      /* from the zone's start */
int model_acknowledged(const Model *m, int i);  /* from the zone's start */
/* 1: data, 0: zeros, -1: offline */
int model_read(const Model *m, int sector);

/* The zones that wait for model_op_end() are set in @changes. */
ModelResult model_op(Model *m, ModelOp op, bool all, bool zns, int at, int len,
                     bool changes[MODEL_MAX_ZONES]);
bool model_op_drained(const Model *m, const bool changes[MODEL_MAX_ZONES]);
/* It has not drained, and there are writes or holes in zone @i of @changes. */
bool model_op_waits(const Model *m, int i,
                    const bool changes[MODEL_MAX_ZONES]);
void model_op_end(Model *m, ModelOp op, const bool changes[MODEL_MAX_ZONES],
                  bool ok);

#endif
