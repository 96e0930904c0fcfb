# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a zoned disk, and which cell stands for which zones.

Nothing here reads or draws.  Sizes are bytes.
"""

import collections

# As QAPI's BlockZoneCondition names them, in the order in which a cell is
# filled, from its bottom on
CONDITIONS = ('not-write-pointer', 'full', 'closed', 'implicit-open',
              'explicit-open', 'read-only', 'offline', 'empty')
(CONVENTIONAL, FULL, CLOSED, IMPLICIT, EXPLICIT, READ_ONLY, OFFLINE,
 EMPTY) = range(len(CONDITIONS))
NUMBER = {name: number for number, name in enumerate(CONDITIONS)}
TYPES = ('conventional', 'sequential-write-required',
         'sequential-write-preferred')
# They have no pointer that would say how much of them to draw.
WHOLE = (CONVENTIONAL, FULL, READ_ONLY, OFFLINE)
# They are few, and nothing but a cell's colour would show them.
FAULTS = (OFFLINE, READ_ONLY)


class Failure(Exception):
    """What is said to the user, in one line."""


# Neighbours that are alike: "written" and "capacity" of each of them
Run = collections.namedtuple(
    'Run', 'first count start length capacity written condition')


def as_size(entry, key, least=0):
    value = entry[key]
    if type(value) is not int or value < least:
        raise ValueError(f'"{key}" is {value!r}')
    return value


class Zones:
    """Runs of zones, from the entries (BlockZoneInfo) of a report."""

    def __init__(self):
        self.runs = []
        self.count = 0
        self.end = 0

    def add(self, entries):
        """Raises Failure where that is no part of a report."""
        if type(entries) is not list:
            raise Failure('not a zone report: it is no list of zones')
        try:
            for entry in entries:
                self._add(entry)
        except KeyError as e:
            raise Failure(f'not a zone report: zone {self.count} has no '
                          f'{e.args[0]!r}') from None
        except ValueError as e:
            raise Failure(f'not a zone report: zone {self.count}: '
                          f'{e}') from None

    def _add(self, entry):
        if type(entry) is not dict:
            raise ValueError('it is no object')
        start = entry['start']
        length = entry['length']
        capacity = entry['capacity']
        count = entry.get('count', 1)
        pointer = entry.get('write-pointer', start)
        # bool is an int to Python, and none to JSON.
        if not (type(start) is type(length) is type(capacity) is
                type(count) is type(pointer) is int):
            raise ValueError('a number is none')
        if entry['condition'] not in CONDITIONS:
            raise ValueError(f'unknown condition {entry["condition"]!r}')
        condition = NUMBER[entry['condition']]
        if entry['type'] not in TYPES:
            raise ValueError(f'unknown type {entry["type"]!r}')
        if start != self.end:
            raise ValueError(f'it starts at {start}, the last one ends at '
                             f'{self.end}')
        if length < 1 or count < 1 or not 0 <= capacity <= length:
            raise ValueError(f'length {length}, capacity {capacity}, count '
                             f'{count}')
        written = 0
        if entry['type'] == 'conventional' or condition == CONVENTIONAL:
            # Whatever its condition may be, nobody knows what is in it.
            condition = condition if condition in FAULTS else CONVENTIONAL
            capacity = 0
        elif condition == FULL:
            written = capacity
        elif condition != EMPTY:
            written = pointer - start
            if not 0 <= written <= length:
                raise ValueError(f'its write pointer {pointer} is '
                                 'not in it')
            written = min(written, capacity)
        self.runs.append(Run(self.count, count, start, length, capacity,
                             written, condition))
        self.count += count
        self.end += count * length


class Disk:
    """A zoned disk as it was when it was asked.

    max_open, max_active: 0 for no limit.  open, active: None to count them.
    """

    def __init__(self, name, zones, max_open=0, max_active=0, open=None,
                 active=None):
        if not zones.count:
            raise Failure(f'{name}: the report has no zones')
        self.name = name
        self.runs = zones.runs
        self.nr_zones = zones.count
        self.size = zones.end
        self.zone_size = zones.runs[0].length
        self.max_open = max_open
        self.max_active = max_active
        self.counts = [0] * len(CONDITIONS)
        self.written = 0
        self.capacity = 0
        capacities = set()
        for run in self.runs:
            self.counts[run.condition] += run.count
            self.written += run.count * run.written
            self.capacity += run.count * run.capacity
            capacities.add(run.capacity)
        # Of each sequential zone but a shorter last one
        self.zone_capacity = max(capacities)
        opened = self.counts[IMPLICIT] + self.counts[EXPLICIT]
        self.open = opened if open is None else open
        self.active = (opened + self.counts[CLOSED] if active is None
                       else active)


class Cell:
    """One place in the picture, for the zones first … first + count - 1."""

    def __init__(self, first, count):
        self.first = first
        self.count = count
        self.zones = [0] * len(CONDITIONS)  # how many of which condition
        self.shown = [0] * len(CONDITIONS)  # bytes to fill for these
        self.room = 0                       # bytes that a filled cell has
        self.written = 0
        self.capacity = 0

    def add(self, run, count):
        condition = run.condition
        self.zones[condition] += count
        self.room += count * (run.capacity or run.length)
        self.written += count * run.written
        self.capacity += count * run.capacity
        if condition in WHOLE:
            self.shown[condition] += count * (run.capacity or run.length)
        else:
            self.shown[condition] += count * run.written

    @property
    def condition(self):
        """The one that gives the cell its colour: what most zones are that
        are not empty, as how many are not is seen by how far it is filled.
        A fault, where there is one."""
        return self._most(range(EMPTY))

    @property
    def letter(self):
        """The one that a letter alone stands for: what most zones are.  A
        fault, where there is one."""
        return self._most(range(len(CONDITIONS)))

    def _most(self, conditions):
        for fault in FAULTS:
            if self.zones[fault]:
                return fault
        # Of equals, the one that is more at work: an open one, never EMPTY
        most = max(conditions, key=lambda condition: (
            self.zones[condition], condition != EMPTY, condition))
        return most if self.zones[most] else EMPTY

    def steps(self, height):
        """How many of "height" steps are filled: all only where it is full,
        none only where all zones are empty."""
        shown = sum(self.shown)
        steps = shown * height // self.room
        if not steps and self.zones[EMPTY] < self.count:
            return 1
        return steps

    def levels(self):
        """(condition, from, to) from the bottom up, as parts of the room."""
        res = []
        level = 0
        for condition, shown in enumerate(self.shown):
            if shown:
                res.append((condition, level / self.room,
                            (level + shown) / self.room))
                level += shown
        return res


def zones_per_cell(nr_zones, nr_cells):
    """A power of two, so that cells begin at round numbers."""
    per_cell = 1
    while nr_zones > per_cell * nr_cells:
        per_cell *= 2
    return per_cell


def cells(disk, per_cell):
    """The picture's cells, of "per_cell" zones each; the last has the rest."""
    res = [Cell(first, min(per_cell, disk.nr_zones - first))
           for first in range(0, disk.nr_zones, per_cell)]
    for run in disk.runs:
        at = run.first
        end = at + run.count
        while at < end:
            number = at // per_cell
            part = min(end, (number + 1) * per_cell) - at
            res[number].add(run, part)
            at += part
    return res


UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')


def human(size):
    """Three digits or so: "12 MiB", "1.5 GiB"; what is exact looks so."""
    unit = 0
    while size >= 1024 << 10 * unit and unit + 1 < len(UNITS):
        unit += 1
    one = 1 << 10 * unit
    if size % one == 0 or size // one >= 100:
        return f'{size // one} {UNITS[unit]}'
    # Never more than there is
    tenths = size * 10 // one
    return f'{tenths // 10}.{tenths % 10} {UNITS[unit]}'


def percent(part, whole):
    """0 and 100 only where it is nothing and all."""
    if not part or not whole:
        return '0 %'
    if part == whole:
        return '100 %'
    return f'{min(max(round(100 * part / whole), 1), 99)} %'


def printable(text):
    """A name that moves no cursor and breaks no document."""
    return ''.join(char if char.isprintable() else '\N{REPLACEMENT CHARACTER}'
                   for char in text)


NAMES = ('conventional', 'full', 'closed', 'implicitly open',
         'explicitly open', 'read-only', 'offline', 'empty')


def title(disk):
    """What kind of a disk it is, in one line."""
    text = f'{human(disk.size)} in {plural(disk.nr_zones, "zone")} of ' + \
        human(disk.zone_size)
    if 0 < disk.zone_capacity < disk.zone_size:
        text += f', {human(disk.zone_capacity)} of each writable'
    return text


def plural(count, noun):
    return f'{count:,} {noun}' + ('' if count == 1 else 's')


def counters(disk):
    """(name, value) of what a disk has left."""
    def limited(number, limit):
        return f'{number:,} of {limit:,}' if limit else f'{number:,}'
    res = []
    if disk.capacity:
        res.append(('written', f'{human(disk.written)} of '
                    f'{human(disk.capacity)} '
                    f'({percent(disk.written, disk.capacity)})'))
    res.append(('open', limited(disk.open, disk.max_open)))
    res.append(('active', limited(disk.active, disk.max_active)))
    return res


# As a legend shows them; the rare ones only where there are any
LEGEND = (EMPTY, IMPLICIT, EXPLICIT, CLOSED, FULL, CONVENTIONAL, READ_ONLY,
          OFFLINE)
RARE = (CONVENTIONAL, READ_ONLY, OFFLINE)


def legend(disk):
    """(condition, name, number of zones)"""
    return [(condition, NAMES[condition], disk.counts[condition])
            for condition in LEGEND
            if disk.counts[condition] or condition not in RARE]


def scale(disk, per_cell, per_row):
    """What a cell and a row stand for."""
    def zones(count):
        size = min(count * disk.zone_size, disk.size)
        return f'{plural(count, "zone")} ({human(size)})'
    return (f'One cell: {zones(per_cell)}; one row: '
            f'{zones(min(per_cell * per_row, disk.nr_zones))}')
