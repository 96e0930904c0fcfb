/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of a zoned disk: states, limits, write pointers
 *
 * A sequential zone.  Of its last writes W2 is complete; W1, W3 and W4 are in
 * flight.  All that was accepted before W1 is complete.
 *
 *                                   write pointer
 *   start     complete   acknowledged            capacity      end
 *   v            v           v           v           v          v
 *   |============[ W1 ][ W2 ][ W3 ][ W4 ]------------|----------|
 *
 *   complete      end of the prefix that is complete (zone_rules_complete())
 *   acknowledged  end of the highest complete write: a flush that begins
 *                 now must cover it (zone_rules_acknowledged())
 *   write pointer end of the last write accepted (zone_rules_wp())
 *   capacity      no write goes past it (zone_rules_capacity_end())
 *
 * The write pointer on disk is never above "complete"; flushes raise it.
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
 * are skipped.  If resources do not suffice, nothing changes at all.  Offset
 * and length are ignored.  A reset of the whole disk means all, with or
 * without the flag.
 */
#define ZONE_OP_ALL  (1u << 0)
/*
 * ZNS reading of close: an explicitly open zone with nothing written becomes
 * Closed.  Without the flag such a zone becomes Empty, as in virtio and ZBC.
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
    uint64_t max_append;        /* append limit in bytes; 0: no append */
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

/* Where a write stands */
typedef enum ZoneWriteStage {
    ZONE_WRITE_ACCEPTED,        /* its data is on its way */
    ZONE_WRITE_COMPLETE,        /* its data, or the zeros for it, are in */
    ZONE_WRITE_FAILED,          /* undecided: depends on the writes above */
    ZONE_WRITE_ZEROS,           /* its owner makes its range read as zeros */
    ZONE_WRITE_GIVEN_BACK,      /* the write pointer went back below it */
} ZoneWriteStage;

/*
 * One write, from its acceptance to zone_write_end().  It belongs to the
 * caller, which must not move or change it meanwhile.
 */
typedef struct ZoneWrite {
    uint64_t start;             /* absolute: where the data goes */
    uint64_t bytes;
    ZoneWriteStage stage;
    int error;                  /* negative errno: gets no turn, must fail */
    struct ZoneWrite *below;    /* neighbours in flight; zone-rules.c only */
    struct ZoneWrite *above;
} ZoneWrite;

/*
 * New rules for a disk with @g, whose limits were checked by the caller, as it
 * comes up after power on.  @rest has the stored write pointer of each zone
 * (absolute, validated by the caller: start <= wp <= start + capacity, a
 * multiple of 512; of a conventional zone its start): Empty, Closed or Full.
 * Closed zones may exceed the limits here (possible after a crash).
 *
 * @rest belongs to the caller and lives as long as the rules: as long as a zone
 * is at rest, that is until its first write, open, finish or reset, its pointer
 * is looked up there, and must not change.  What else the rules keep of zones,
 * at most 32 bytes each and some more for those written lately, takes memory
 * only for those that are used.
 * Returns NULL if there is not enough memory.
 * When they are freed, nothing may be in flight.
 */
ZoneRules *zone_rules_new(const ZoneGeometry *g, const uint64_t *rest);
void zone_rules_free(ZoneRules *zr);

const ZoneGeometry *zone_rules_geometry(const ZoneRules *zr);

/*
 * Only for tests and for later use: sequential zone @i is READ_ONLY or OFFLINE
 * from now on.
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

/* Is a finish or reset of zone @i between zone_op_begin() and _end()? */
bool zone_rules_op_pending(const ZoneRules *zr, uint32_t i);
/*
 * May no write be accepted in zone @i just now?  True while an operation is
 * pending there, a write is stuck, or a failed write is undecided.
 */
bool zone_rules_blocked(const ZoneRules *zr, uint32_t i);

/*
 * The life of a write.  It is in flight from its acceptance to
 * zone_write_end(), when it answers; an operation on the zone waits for it.
 *
 *   zone_write_begin()  ->  ACCEPTED
 *   its data is in:         zone_write_complete()  ->  COMPLETE
 *   its data has failed:    zone_write_fail()  ->  one of
 *       GIVEN_BACK  the last one accepted, or all above it have failed too:
 *                   the write pointer is at the lowest of these now
 *       ZEROS       a write above it is complete: the owner makes the range
 *                   read as zeros, then calls zone_write_complete(), whether
 *                   that succeeded or not, and answers the write's own error
 *       FAILED      undecided: it waits until a call for another write of the
 *                   zone makes it GIVEN_BACK or ZEROS
 *   COMPLETE, must be durable before it answers (BDRV_REQ_FUA), but the flush
 *   failed:                 zone_write_give_back()
 *
 * Accept a write of [@offset, @offset + @bytes).  @bytes > 0, both multiples
 * of 512, within the disk (the caller has checked).
 *
 * A request in conventional zones only is always accepted; the other calls
 * then change nothing but its stage (one that fails is given back).  A request
 * that touches a sequential zone lies within that zone.  Conditions are
 * checked on the first sequential zone that it touches (and, where it begins
 * in a conventional one, on the part from there), in the order state, write
 * pointer, boundary, resources.  The write pointer moves now, so that the next
 * write can be accepted at once.
 *
 * An Empty or Closed zone is opened implicitly, also by a write that fills it:
 * such a write needs the resources for the moment that the zone is open.
 *
 * Returns 0, or -BLK_ZONE_ERR_*; on error nothing has changed.
 * Must not be called while the zone of @offset is blocked.  (A blocked zone
 * that a request reaches from a conventional zone does no harm: such a request
 * is refused.)
 */
int zone_write_begin(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                     ZoneWrite *w);

/*
 * Accept an append of @bytes to the zone that starts at @offset; the place
 * assigned is w->start.  Length 0 or not a multiple of 512: -EINVAL.
 * @offset beyond the disk, not a zone's start, a conventional zone, or @bytes
 * above max_append: -BLK_ZONE_ERR_INVALID_APPEND.  Else as zone_write_begin().
 */
int zone_append_begin(ZoneRules *zr, uint64_t offset, uint64_t bytes,
                      ZoneWrite *w);

/*
 * The data of @w (ACCEPTED) is in, or the zeros for it (ZEROS): @w is complete.
 * Undecided failed writes below @w become ZEROS.
 */
void zone_write_complete(ZoneRules *zr, ZoneWrite *w);

/*
 * The data of @w (ACCEPTED) has failed.  @w and writes next to it are given
 * back in one step.  A zone that this takes out of Full becomes Closed,
 * whatever the limits are (as after a crash, only new activations are refused
 * then), or Empty if nothing is left.  A Closed zone with nothing left becomes
 * Empty; an open one stays open.
 */
void zone_write_fail(ZoneRules *zr, ZoneWrite *w);

/*
 * @w (COMPLETE, not ended) could not be made durable.  If @w is still the last
 * one accepted, it is given back as a failed write is, and the result is true.
 * Otherwise it stays.
 */
bool zone_write_give_back(ZoneRules *zr, ZoneWrite *w);

/* @w (COMPLETE or GIVEN_BACK) answers. */
void zone_write_end(ZoneRules *zr, ZoneWrite *w);

/*
 * Turns.  What a write needs before its data can go out is made in the order
 * of acceptance.  A zone has a frontier (bytes, absolute): everything that is
 * needed below it is made.  A write has its turn when the frontier has reached
 * the start of the write, and is ready when the frontier has reached its end.
 * In between only this write makes what is missing, also further ahead, and
 * moves the frontier.
 * The frontier is the write pointer in a zone that was never written, or not
 * for long, and returns to the write pointer when a write is given back and
 * when an operation ends.
 * A write to conventional zones is ready at once.
 */
bool zone_write_has_turn(const ZoneRules *zr, const ZoneWrite *w);
bool zone_write_is_ready(const ZoneRules *zr, const ZoneWrite *w);
uint64_t zone_rules_frontier(const ZoneRules *zr, uint32_t i);
/* What @w, in its turn, needs is made, up to @frontier (at least its end). */
void zone_write_ready(ZoneRules *zr, ZoneWrite *w, uint64_t frontier);
/*
 * What was made is needed anew, as after a snapshot, in all zones: the frontier
 * is the write pointer.  Nothing is in flight.
 */
void zone_rules_forget_ready(ZoneRules *zr);
/*
 * What @w, in its turn, needs cannot be made.  @w and all writes accepted above
 * it get @error (negative errno); none of these can have had its turn.  Each
 * then fails in a call of its own; the zone is blocked until the last has.
 */
void zone_write_stuck(ZoneRules *zr, ZoneWrite *w, int error);

/* Writes in flight in zone @i; 0 for a conventional zone. */
uint32_t zone_rules_in_flight(const ZoneRules *zr, uint32_t i);

/*
 * Absolute end of the prefix of zone @i in which all that was accepted is
 * complete: the highest value that the write pointer on disk may take once
 * that data is durable.  For conventional zones: the zone's start.
 */
uint64_t zone_rules_complete(const ZoneRules *zr, uint32_t i);

/*
 * Absolute end of the highest complete write in zone @i; a flush that begins
 * now must cover everything below.  >= zone_rules_complete().
 */
uint64_t zone_rules_acknowledged(const ZoneRules *zr, uint32_t i);

/*
 * Changes with each reset and finish of zone @i that succeeds: an older sample
 * of zone_rules_complete() is void.  A write that is given back does not change
 * the generation: a sample above the write pointer is cut down to the pointer.
 */
uint32_t zone_rules_generation(const ZoneRules *zr, uint32_t i);

/*
 * What a read at @offset (< disk_size) sees: sets *@n (<= @bytes, > 0) to the
 * length of the first part that is uniform, and returns 1 if that part is to
 * be read from the image, 0 if it reads as zeros (at or above the write
 * pointer, or accepted and not complete), or -BLK_ZONE_ERR_OFFLINE.  A part
 * ends at the end of a sequential zone.
 * A whole read is usually one part: cost is O(1 + writes in flight there).
 */
int zone_read_part(const ZoneRules *zr, uint64_t offset, uint64_t bytes,
                   uint64_t *n);

/*
 * Zone management operations: of one zone, a range, or (ZONE_OP_ALL) all.
 *
 * zone_op_range() turns the range into zones [*@first, *@end).  @offset and
 * @len name whole zones (a range may end at the end of the disk); otherwise
 * -EINVAL.  *@flags gets ZONE_OP_ALL where all zones are meant.  It looks at
 * the geometry alone, and so needs no lock.
 *
 * The functions after it act on the zones of a range piece by piece, as many
 * at a time as the caller likes to hold its lock for.  A zone that is written
 * between two pieces is taken as it is when its turn comes.
 *
 * zone_op_check() checks all else that does not depend on resources.  Without
 * ZONE_OP_ALL, a range that holds a conventional zone, or one in which a zone's
 * state forbids the operation, fails whole with -BLK_ZONE_ERR_TRANSITION: it
 * is checked to its end before anything is changed.
 */
int zone_op_range(const ZoneRules *zr, ZoneOpType type, unsigned *flags,
                  uint64_t offset, uint64_t len, uint32_t *first,
                  uint32_t *end);
int zone_op_check(const ZoneRules *zr, ZoneOpType type, uint32_t first,
                  uint32_t end);

/*
 * Open and close take effect at once; they wait for nothing in flight.  A range
 * was checked and has no operation pending.  An open that runs out of resources
 * midway leaves the zones before that one opened, as the zones of a range are
 * acted on in order.  A close with ZONE_OP_ALL passes zones over that have an
 * operation pending.  An implicitly open zone with nothing written (its writes
 * have failed) closes as an explicitly open one does; closed to make room, it
 * becomes Empty.
 */
int zone_op_open(ZoneRules *zr, uint32_t first, uint32_t end);
void zone_op_close(ZoneRules *zr, unsigned flags, uint32_t first,
                   uint32_t end);

/*
 * Open with ZONE_OP_ALL: the caller finds the zones that it acts on, Closed
 * ones without an operation pending (zone_op_opens()).  Those of them that are
 * so still are opened, all or none, so that where there is a limit all are to
 * be given at once; more than the limit are refused without a look.  Changes
 * @zones.
 */
bool zone_op_opens(const ZoneRules *zr, uint32_t i);
int zone_op_open_all(ZoneRules *zr, uint32_t *zones, uint32_t nr);

/*
 * Finish and reset, zone by zone: zone_op_begin() returns whether there is
 * anything to change in zone @i, and if so marks the zone pending.  The caller
 * waits until nothing is in flight there, makes the change durable, and calls
 * zone_op_end(), which sets the new state (@ok) or keeps the old one.
 * Must not be called while an operation is pending on zone @i.
 *
 * A reset of an Empty zone changes nothing.  A finish of a Full zone (not with
 * ZONE_OP_ALL) is an operation like others: a write in flight could still take
 * the zone out of Full, and its pointer may not be durable yet.  Finish needs
 * no open or active slot.  Write pointers may go down while an operation
 * waits: look at them only when nothing is in flight.
 */
bool zone_op_begin(ZoneRules *zr, ZoneOpType type, unsigned flags, uint32_t i);
void zone_op_end(ZoneRules *zr, ZoneOpType type, uint32_t i, bool ok);

/*
 * The disk gets another size, in two steps, of which only the first can fail
 * and nobody sees it.  zone_rules_reserve() makes room for @nr_zones zones:
 * false on lack of memory.  By zone_rules_resize() the disk gets @disk_size
 * bytes and @nr_zones zones, and @rest, with the same values for zones that
 * stay and the start of those that are new, takes the place of the array of
 * zone_rules_new().
 *
 * New zones are empty.  A last zone that was shorter becomes longer; one that
 * was full is closed then, if it has got capacity, whatever the limits are.
 *
 * A disk gets smaller only with nothing in flight, and at least one sequential
 * zone stays.  What lies beyond the new end has gone before, by a reset of each
 * zone with anything there, which takes effect by zone_op_cut() instead of
 * zone_op_end(): @wp (absolute) is the zone's pointer from then on.  A zone
 * that this takes out of Full becomes Closed, whatever the limits are.  The
 * last zone that stays is Full if its pointer is at its new capacity.
 */
bool zone_rules_reserve(ZoneRules *zr, uint32_t nr_zones);
void zone_op_cut(ZoneRules *zr, uint32_t i, uint64_t wp);
void zone_rules_resize(ZoneRules *zr, uint64_t disk_size, uint32_t nr_zones,
                       const uint64_t *rest);

/*
 * Zone @i, empty and with nothing in flight, gets the write pointer @wp
 * (absolute, in its capacity) and, as far as it fits that, @state; it may be
 * one active zone too many, but not one open zone.
 */
void zone_rules_import(ZoneRules *zr, uint32_t i, uint64_t wp, ZoneState state);

/*
 * Other limits, 0 for none.  If more zones are open than may be, those written
 * longest ago are closed, and then those that were opened.  More zones may be
 * active than the limit allows; no other is activated then.
 */
void zone_rules_set_limits(ZoneRules *zr, uint32_t max_active,
                           uint32_t max_open);

#ifdef ZONE_VERIFY
/* How often any zone was looked at, so far; for tests */
uint64_t zone_rules_looks(const ZoneRules *zr);
#endif

#endif
