# SPDX-License-Identifier: GPL-2.0-or-later
"""Zone reports as QEMU gives them, of disks that are made up."""

import random

MIB = 1 << 20
LETTERS = {'-': 'not-write-pointer', '.': 'empty', 'o': 'implicit-open',
           'O': 'explicit-open', 'c': 'closed', 'F': 'full',
           'r': 'read-only', 'x': 'offline'}
FOLDED = '-.Frx'


def zones(letters, size=16 * MIB, capacity=12 * MIB, written=None, fold=True):
    """BlockZoneInfo of one zone a letter; written(number) for "oOc"."""
    res = []
    before = None
    for number, letter in enumerate(letters):
        if fold and letter == before and letter in FOLDED:
            res[-1]['count'] = res[-1].get('count', 1) + 1
            continue
        before = letter
        start = number * size
        zone = {'start': start, 'length': size, 'capacity': capacity,
                'type': 'sequential-write-required',
                'condition': LETTERS[letter]}
        if letter == '-':
            zone.update(capacity=size, type='conventional')
        elif letter == '.':
            zone['write-pointer'] = start
        elif letter in 'oOc':
            zone['write-pointer'] = start + (
                written(number) if written else capacity // 2)
        res.append(zone)
    return res


def mixed(count, seed=1, odd=.01, conventional=0):
    """Letters of a disk in use: runs of full and empty zones, and here and
    there an open or a closed one."""
    rnd = random.Random(seed)
    res = ['-'] * conventional
    while len(res) < count:
        # The further back, the emptier
        full = rnd.random() > len(res) / count
        run = rnd.randint(1, max(count // 60, 2))
        letters = ['F' if full else '.'] * run
        for at in range(run):
            if rnd.random() < odd:
                letters[at] = rnd.choice('ooccO')
        res += letters
    return ''.join(res[:count])


def example():
    """Entries of the disk that scripts/zonemap-example.svg shows, and the
    limits of its open and active zones."""
    parts = (3, 9, 5, 11, 2, 7, 10, 1, 4, 8, 6)
    return zones('----FFFFFFFFFFFFcFFFFFFoFFFFFFFFFFcFFoFFFFO.FFo.' +
                 'FF..c.O...c.....', size=64 * MIB, capacity=48 * MIB,
                 written=lambda zone: parts[zone % 11] * 4 * MIB), (12, 14)
