/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seeded random numbers, the same on every host (splitmix64)
 */
#ifndef TESTS_CRASH_RND_H
#define TESTS_CRASH_RND_H

#include <stdint.h>

typedef struct Rnd {
    uint64_t s;
} Rnd;

static inline uint64_t rnd64(Rnd *r)
{
    uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* In 0 .. n - 1; n > 0. */
static inline unsigned rnd(Rnd *r, unsigned n)
{
    return (unsigned)((rnd64(r) >> 16) % n);
}

#endif
