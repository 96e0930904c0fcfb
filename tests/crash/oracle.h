/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a crash may leave of a zoned disk: an independent judge
 *
 * Written from the rules (docs/devel/zoned-qcow2.rst, "What is durable, and
 * when", and docs/devel/zoned-qcow2-proof.rst, "What is promised"), not from
 * the code that is judged: it includes no header of QEMU or of the zoned code,
 * and is told only what a user of the disk sees, which is what was asked for,
 * when, with what result.
 *
 * Times are those of one clock of the caller's: an event at time t has
 * happened in a crash at time >= t.
 */
#ifndef TESTS_CRASH_ORACLE_H
#define TESTS_CRASH_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_SECTOR 512
#define ORACLE_NEVER  0x7fffffff

typedef struct OracleZone {
    uint64_t start;             /* all in bytes */
    uint64_t length;
    uint64_t capacity;
    bool conventional;
    /*
     * Of a conventional zone: bytes under a write that is not durable may be
     * zeros, too.  With extended L2 entries QEMU zeroes what it allocates
     * together with the allocated part that the same request overwrites.
     */
    bool may_clear;
} OracleZone;

typedef enum OracleOpType {
    ORACLE_WRITE,               /* appends too: offset is what they got */
    ORACLE_ZEROES,              /* a write of zeros */
    ORACLE_DISCARD,
    ORACLE_READ,
    ORACLE_FLUSH,
    ORACLE_FINISH,
    ORACLE_RESET,
    ORACLE_OTHER,               /* changes nothing that lasts */
} OracleOpType;

typedef struct OracleOp {
    OracleOpType type;
    unsigned id;                /* of the data: see oracle_pattern() */
    /* Finish and reset: zones first .. first + nr - 1 */
    unsigned first;
    unsigned nr;
    uint64_t offset;
    uint64_t bytes;
    /* Where its data was made for, which an append need not get. */
    uint64_t made_for;
    bool fua;
    /*
     * A failed append: nobody knows where it would have gone.  @offset is
     * where it was expected to go.
     */
    bool nowhere;
    /*
     * If it fails it may leave no gap: only what makes the file longer fails,
     * and that fails before anything above it has succeeded.
     */
    bool no_gap;
    /* Operations on the file that failed while it was under way */
    unsigned failures;
    int submit;
    int ack;                    /* ORACLE_NEVER: none */
    int ret;                    /* 0, or what went wrong */
    /*
     * ret says that the disk refused it (a rule of zones was broken), so that
     * it never began.
     */
    bool refused;
    const uint8_t *data;        /* of a successful ORACLE_READ */
} OracleOp;

/*
 * The data of write @id for the disk's bytes @offset .. @offset + @bytes;
 * both multiples of 8.  Id 0 is zeros.
 */
void oracle_pattern(uint8_t *buf, unsigned id, uint64_t offset,
                    uint64_t bytes);

/* What was found on a disk. */
typedef struct OracleSeen {
    const uint64_t *wp;         /* absolute, of each zone */
    const uint8_t *data;        /* the whole disk */
} OracleSeen;

typedef struct Oracle Oracle;

/*
 * @ops in order of submission.  Zones are all empty, and conventional ones
 * all zeros, before the first.  Zone i's final write pointer, when everything
 * had been answered, was @final[i]; with NULL nobody looked.  NULL, and why in
 * @why, where no order of the operations explains their results.
 */
Oracle *oracle_new(const OracleZone *zones, unsigned nr_zones,
                   const OracleOp *ops, unsigned nr_ops,
                   const uint64_t *final, char *why, size_t whylen);
void oracle_free(Oracle *o);

/* Forget what was cached of the last disk that was looked at. */
void oracle_next_disk(Oracle *o);

/*
 * May a crash at any one of the times @from .. @to have left this disk?
 * All of those times are judged.  False, and why, if one of them may not.
 */
bool oracle_crash(Oracle *o, int from, int to, const OracleSeen *seen,
                  char *why, size_t whylen);

/* Is this what a disk with no operation under way shows at time @t? */
bool oracle_live(Oracle *o, int t, const OracleSeen *seen, char *why,
                 size_t whylen);

/* Was every read answered with what it might see? */
bool oracle_reads(Oracle *o, char *why, size_t whylen);

#endif
