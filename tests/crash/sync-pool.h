/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for QEMU's thread pool at link time; see sync-pool.c
 */
#ifndef TESTS_CRASH_SYNC_POOL_H
#define TESTS_CRASH_SYNC_POOL_H

#include "block/thread-pool.h"

/* The name that ld --wrap gives it.  Does the work before it returns. */
int coroutine_fn __wrap_thread_pool_submit_co(ThreadPoolFunc *func, void *arg);

#endif
