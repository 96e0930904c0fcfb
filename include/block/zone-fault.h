/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults planted in a test build, to see that the tests would find them
 *
 * tests/crash compiles the zoned glue a second time, with ZONE_FAULTS, into a
 * program of its own.  Everywhere else these are constants and cost nothing.
 */
#ifndef BLOCK_ZONE_FAULT_H
#define BLOCK_ZONE_FAULT_H

#ifdef ZONE_FAULTS
/* Is the planted fault @name the one that is switched on? */
bool zone_fault(const char *name);
#define ZONE_FAULT(name) zone_fault(name)
#else
#define ZONE_FAULT(name) false
#endif

#endif
