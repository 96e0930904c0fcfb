/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of a zoned disk: states, limits, write pointers
 *
 * Plain C on plain data: a request goes in, a decision comes out.  Nothing in
 * here does I/O, waits, prints or locks.  The caller serialises all calls on
 * one ZoneRules (the qcow2 glue holds its zone mutex), and does the I/O that a
 * decision asks for outside of that lock.
 *
 * All positions and lengths are in bytes; "absolute" means from the start of
 * the disk.  Functions return 0 or a negative errno; the zoned conditions are
 * those of zone-errors.h.
 *
 * Sources: NVMe Zoned Namespace Command Set 1.1, section 2.1 (states, limits);
 * virtio 1.3, 5.2.6 (zoned block devices); ZBC-2, 4.5.
 */
#ifndef BLOCK_ZONE_RULES_H
#define BLOCK_ZONE_RULES_H

/* Numbers as in ZBC-2, NVMe ZNS and virtio, and in BlockZoneState. */
typedef enum ZoneState {
    ZONE_STATE_NOT_WP        = 0x0,     /* conventional */
    ZONE_STATE_EMPTY         = 0x1,
    ZONE_STATE_IMPLICIT_OPEN = 0x2,
    ZONE_STATE_EXPLICIT_OPEN = 0x3,
    ZONE_STATE_CLOSED        = 0x4,
    ZONE_STATE_READ_ONLY     = 0xD,
    ZONE_STATE_FULL          = 0xE,
    ZONE_STATE_OFFLINE       = 0xF,
} ZoneState;

typedef enum ZoneOpType {
    ZONE_OP_OPEN,
    ZONE_OP_CLOSE,
    ZONE_OP_FINISH,
    ZONE_OP_RESET,
} ZoneOpType;

/*
 * Act on all zones that the standards name for it: ZNS 1.1, 3.4.3.1 (Select
 * All): open acts on Closed, close on IO and EO, finish on IO, EO and Closed,
 * reset on IO, EO, Closed and Full.  Conventional, read-only and offline zones
 * are passed over.  Where resources do not suffice nothing changes at all.
 * Offset and length are ignored.  A reset of the whole disk means all, flag or
 * no flag.
 */
#define ZONE_OP_ALL  (1u << 0)
/*
 * ZNS reading of close: an explicitly open zone with nothing written becomes
 * Closed.  Without it the virtio and ZBC reading holds: it becomes Empty.
 */
#define ZONE_OP_ZNS  (1u << 1)

typedef struct ZoneGeometry {
    uint64_t disk_size;         /* bytes; > 0, a multiple of 512 */
    uint64_t zone_size;         /* bytes; a power of two, >= 512 */
    uint64_t zone_capacity;     /* bytes; 0 < capacity <= zone_size */
    uint32_t nr_zones;          /* ceil(disk_size / zone_size) */
    uint32_t nr_conventional;   /* the first n zones; < nr_zones */
    uint32_t max_active;        /* 0: no limit */
    uint32_t max_open;          /* 0: no limit of its own */
    uint64_t max_append;        /* bytes; 0: no append */
} ZoneGeometry;

typedef struct ZoneInfo {
    uint64_t start;             /* absolute */
    uint64_t length;            /* bytes; the last zone may be shorter */
    uint64_t capacity;          /* bytes, <= length; conventional: = length */
    /*
     * Absolute.  Full: start + capacity.  Conventional: the zone's start (it
     * has no meaning there).
     */
    uint64_t wp;
    bool conventional;
    ZoneState state;
} ZoneInfo;

typedef struct ZoneRules ZoneRules;

/*
 * One accepted write.  Made by an acceptance, given back to zone_write_end(),
 * which may keep it as a hole; never touched by the caller in between.
 */
typedef struct ZoneWrite {
    uint64_t start;             /* absolute: where the data goes */
    uint64_t bytes;
    struct ZoneRulesWritePriv *priv;    /* for zone-rules.c only */
} ZoneWrite;

/*
 * New rules for a disk with @g, whose limits were checked by the caller.
 * Sequential zones are Empty, conventional ones NOT_WP.
 * Returns NULL if there is not enough memory (a hostile image may ask for a
 * million zones; that is at most 32 bytes each).
 * When they are freed, nothing may be in flight.
 */
ZoneRules *zone_rules_new(const ZoneGeometry *g);
void zone_rules_free(ZoneRules *zr);
const ZoneGeometry *zone_rules_geometry(const ZoneRules *zr);

/*
 * Set sequential zone @i as it comes up after power on, from its stored write
 * pointer @wp (absolute, validated by the caller: start <= wp <= start +
 * capacity, a multiple of 512): Empty, Closed or Full.  Closed zones may
 * exceed the limits here (ordering: possible after a crash).
 */
void zone_rules_load(ZoneRules *zr, uint32_t i, uint64_t wp);

/*
 * Only for tests and for later use: sequential zone @i has become worn out,
 * and is READ_ONLY or OFFLINE from now on.
 */
void zone_rules_set_worn(ZoneRules *zr, uint32_t i, ZoneState state);

/* Geometry helpers, absolute. @offset < disk_size, @i < nr_zones. */
uint32_t zone_rules_index(const ZoneRules *zr, uint64_t offset);
uint64_t zone_rules_start(const ZoneRules *zr, uint32_t i);
uint64_t zone_rules_capacity_end(const ZoneRules *zr, uint32_t i);

void zone_rules_get(const ZoneRules *zr, uint32_t i, ZoneInfo *info);
/* The wp of zone_rules_get() alone */
uint64_t zone_rules_wp(const ZoneRules *zr, uint32_t i);
uint32_t zone_rules_nr_open(const ZoneRules *zr);
uint32_t zone_rules_nr_active(const ZoneRules *zr);

/*
 * Is a finish or reset of zone @i waiting for writes in flight, or being made
 * durable?  Then nothing may be accepted there until it ends; the caller
 * queues the request.
 */
bool zone_rules_op_pending(const ZoneRules *zr, uint32_t i);
/*
 * Does an operation on zone @i, not started yet, wait for writes in flight,
 * here or in another of its zones, with something unsettled here?  Then a hole
 * may be claimed here: the operation waits for it too.
 */
bool zone_rules_op_waits(const ZoneRules *zr, uint32_t i);
/* In how many zones?  An operation on all zones waits until it is none. */
uint32_t zone_rules_nr_pending(const ZoneRules *zr);

/*
 * Accept a write of [@offset, @offset + @bytes).  @bytes > 0, both multiples
 * of 512, within the disk (the caller has checked).
 *
 * A request in conventional zones only is always accepted.  A request that
 * touches a sequential zone lies within that zone.  Conditions are checked on
 * the first sequential zone that it touches (and, where it begins in a
 * conventional one, on the part from there), in the order state, write
 * pointer, boundary, resources.  The write pointer moves now, so that the next
 * write can be accepted at once; *@w records the range and goes back through
 * zone_write_end().
 *
 * An Empty or Closed zone is opened implicitly, also by a write that fills it
 * (which so needs the resources, for the moment that it is open).
 *
 * A write of exactly the range of a hole is admitted again, whatever the state
 * of the zone but READ_ONLY and OFFLINE, and changes no state: it was accepted
 * once.  -EAGAIN: it would be, but zeros are being written there just now
 * (zone_hole_begin()); wait for zone_hole_end(), then ask again.
 *
 * Returns 0, or -BLK_ZONE_ERR_*; on error nothing has changed and *@w is NULL.
 * Must not be called while an operation is pending on the zone of @offset.
 * (One pending on a zone that the request runs into from a conventional one
 * does no harm: such a request is refused.)
 */
int zone_write_begin(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                     ZoneWrite **w);

/*
 * Accept an append of @bytes to the zone that starts at @offset; the place
 * assigned is (*@w)->start.  Length 0 or not a multiple of 512: -EINVAL.
 * @offset beyond the disk, not a zone's start, a conventional zone, or @bytes
 * above max_append: -BLK_ZONE_ERR_INVALID_APPEND.  Else as zone_write_begin().
 */
int zone_append_begin(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                      ZoneWrite **w);

/*
 * The write is done (@ok), or failed.  Takes @w over.
 *
 * A failed write that is the last one accepted gives its range back, and so
 * do holes directly below it, in cascade.  (No filled hole is ever among them:
 * only holes below a completed write are filled.)  A zone that this takes out
 * of Full becomes Closed, whatever the limits are (as after a crash, only new
 * activations are refused then), or Empty with nothing left; a Closed one with
 * nothing left becomes Empty; an open one stays open.
 *
 * A write that fails below others becomes a hole: it reads as zeros and
 * zone_rules_complete() stays below it until it is filled, written again, or
 * the zone is reset.  Where a write into a filled hole fails, the hole has to
 * be filled again, but does not hold zone_rules_complete() back: the pointer
 * on disk may be above it already.
 */
void zone_write_end(ZoneRules *zr, ZoneWrite *w, bool ok);

/*
 * The data of write @w is in the image, but the write ends only once it is
 * durable, its pointer included (BDRV_REQ_FUA).  From now on it counts as
 * complete and acknowledged, so that a flush raises the pointer on disk over
 * it; it is still in flight, and reads as zeros.  If it fails after this it is
 * never given back but becomes a hole, like a failed write into a filled one.
 */
void zone_write_placed(ZoneRules *zr, ZoneWrite *w);

/*
 * Writes in flight (accepted, not ended) and claimed holes in zone @i.  Writes
 * to conventional zones are not counted.
 */
uint32_t zone_rules_in_flight(const ZoneRules *zr, uint32_t i);

/*
 * Absolute end of the prefix of zone @i in which every accepted byte is
 * complete or placed (or is a filled hole): the highest value that the write
 * pointer on disk may take once that data is durable.  == wp if nothing is in
 * flight and there is no unfilled hole.  It goes down only with a reset.  For
 * conventional zones: the zone's start.
 */
uint64_t zone_rules_complete(const ZoneRules *zr, uint32_t i);

/*
 * Absolute end of the highest completed or placed write in zone @i; a flush
 * that begins now must cover everything below.  >= zone_rules_complete().
 */
uint64_t zone_rules_acknowledged(const ZoneRules *zr, uint32_t i);

/*
 * Changes with each reset and finish of zone @i that succeeds: a sample of
 * zone_rules_complete() that is older is void.  A given-back range changes
 * nothing here: it lies above all that is complete.
 */
uint32_t zone_rules_generation(const ZoneRules *zr, uint32_t i);

/*
 * Holes.  zone_hole_begin() picks the lowest unfilled hole of zone @i that
 * nobody is writing and that lies below a completed write (below
 * zone_rules_acknowledged()), and claims it (it then counts as in flight);
 * zone_hole_end() releases it, as filled with zeros (@ok) or not.  A filled
 * hole counts as complete, still reads as zeros, and a write of exactly its
 * range is still admitted, until the zone is reset.  NULL: there is none.
 *
 * With nothing in flight, every unfilled hole lies below a completed write, so
 * filling until there is none makes zone_rules_complete() reach wp.
 */
ZoneWrite *zone_hole_begin(ZoneRules *zr, uint32_t i);
void zone_hole_end(ZoneRules *zr, ZoneWrite *w, bool ok);
/* Would zone_hole_begin() find one in zone @i? */
bool zone_rules_has_hole(const ZoneRules *zr, uint32_t i);

/*
 * What a read at @offset (< disk_size) sees: sets *@n (<= @bytes, > 0) to the
 * length of the first part that is uniform, and returns 1 if that part is to
 * be read from the image, 0 if it reads as zeros (at or above the write
 * pointer, in flight, a hole), or -BLK_ZONE_ERR_OFFLINE.  A part ends at the
 * end of a sequential zone.
 * A whole read is usually one part: cost is O(1 + writes in flight there).
 */
int zone_read_part(const ZoneRules *zr, uint64_t offset, uint64_t bytes,
                   uint64_t *n);

/*
 * One zone management operation: of one zone, a range, or (ZONE_OP_ALL) all.
 *
 * zone_op_begin() checks everything.  @offset and @len name whole zones
 * (a range may end at the end of the disk); otherwise -EINVAL.  Without
 * ZONE_OP_ALL, a range that holds a conventional zone fails whole with
 * -BLK_ZONE_ERR_TRANSITION, and so does one in which a zone's state forbids
 * the operation; nothing changes then.  (An open that runs out of resources
 * midway leaves the zones before that one opened, as the zones of a range are
 * acted on in order.)  Must not be called while an operation is pending on one
 * of the zones (ZONE_OP_ALL: on any zone).  -ENOMEM: nothing changes.
 *
 * Open and close take effect at once and leave *@op NULL.  A close does not
 * wait for writes in flight.  An implicitly open zone with nothing written
 * (its writes have failed) closes as an explicitly open one does; closed to
 * make room, it becomes Empty.
 *
 * Reset of Empty zones and finish of Full ones are no change, and leave *@op
 * NULL where there is no other zone.  But a Full zone that is not complete,
 * which a failing write could still take out of Full, is finished like others.
 * (That a Full zone's pointer is durable is for the caller to see to.)
 * Otherwise the zones to change are marked pending and listed in *@op; the
 * caller waits until zone_op_drained(), makes the change durable, and calls
 * zone_op_end(), which takes the new states (@ok) or leaves the old ones, ends
 * pending and frees @op.
 *
 * Write pointers may go down while an operation waits: look at them only once
 * it has drained.  Before a finish is made durable the caller fills the holes;
 * one left unfilled holds zone_rules_complete() back in the Full zone.
 * Finish needs no open or active slot.
 */
typedef struct ZoneOp {
    ZoneOpType type;
    uint32_t nr;                /* zones to change */
    uint32_t *zones;            /* their indices, ascending */
    uint32_t nr_busy;           /* for zone-rules.c only */
    bool started;               /* for zone-rules.c only */
} ZoneOp;

int zone_op_begin(ZoneRules *zr, ZoneOpType type, unsigned flags,
                  uint64_t offset, uint64_t len, ZoneOp **op);
/* No write is in flight, and no hole claimed, in any zone of @op. */
bool zone_op_drained(const ZoneRules *zr, const ZoneOp *op);
/* @op has drained, and waits for nothing from now on: it makes its change. */
void zone_op_start(ZoneRules *zr, ZoneOp *op);
/* With @ok, @op has drained. */
void zone_op_end(ZoneRules *zr, ZoneOp *op, bool ok);

#endif
