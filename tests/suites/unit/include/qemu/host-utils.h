/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef QEMU_HOST_UTILS_H
#define QEMU_HOST_UTILS_H

static inline int ctz64(uint64_t val)
{
    return val ? __builtin_ctzll(val) : 64;
}

#endif
