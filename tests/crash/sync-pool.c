/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for QEMU's thread pool at link time (ld --wrap)
 *
 * Encryption goes through the pool, and which of its threads ends first is
 * nobody's seed: a workload would not run the same way twice.
 */

#include "qemu/osdep.h"
#include "sync-pool.h"

int coroutine_fn __wrap_thread_pool_submit_co(ThreadPoolFunc *func, void *arg)
{
    return func(arg);
}
