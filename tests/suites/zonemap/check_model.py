# SPDX-License-Identifier: GPL-2.0-or-later
"""The arithmetic of the picture."""

import random
import re

import disks
from zonemap import look, model


def disk(letters, **how):
    zones = model.Zones()
    zones.add(disks.zones(letters, **how))
    return model.Disk('disk', zones)


def equal(got, want, what=''):
    assert got == want, f'{what}: got {got!r}, expected {want!r}'


def cell(letters, written=None, capacity=12 * disks.MIB):
    pointer = None if written is None else lambda _: written
    only, = model.cells(disk(letters, capacity=capacity, written=pointer),
                        1 << 20)
    return only


def test_per_cell():
    """a cell stands for a power of two of zones, and for no more than it
    must"""
    for nr_zones in (1, 2, 15, 16, 17, 4096, 20000, 20001, 1 << 20):
        for nr_cells in (1, 2, 16, 1024, 20000):
            per_cell = model.zones_per_cell(nr_zones, nr_cells)
            equal(per_cell & (per_cell - 1), 0)
            assert per_cell * nr_cells >= nr_zones
            assert per_cell == 1 or per_cell // 2 * nr_cells < nr_zones


def test_cells():
    """each zone is in one cell, whatever runs and cells begin where"""
    rnd = random.Random(7)
    for _ in range(200):
        count = rnd.randint(1, 90)
        letters = ''.join(rnd.choice('.-Frxcoo....FFFF')
                          for _ in range(count))
        pointers = [rnd.randint(0, 12 * disks.MIB) for _ in range(count)]
        drawn = model.cells(disk(letters, written=pointers.__getitem__),
                            per_cell := rnd.randint(1, 20))
        equal(len(drawn), -(-count // per_cell))
        for number, got in enumerate(drawn):
            mine = range(number * per_cell,
                         min((number + 1) * per_cell, count))
            equal((got.first, got.count), (mine[0], len(mine)))
            zones = [0] * 8
            shown = [0] * 8
            room = written = capacity = 0
            for at in mine:
                letter = letters[at]
                condition = model.NUMBER[disks.LETTERS[letter]]
                has = {'F': 12 * disks.MIB}.get(
                    letter, pointers[at] if letter in 'oOc' else 0)
                fills = {'-': 16 * disks.MIB, 'r': 12 * disks.MIB,
                         'x': 12 * disks.MIB}.get(letter, has)
                zones[condition] += 1
                shown[condition] += fills
                room += (16 if letter == '-' else 12) * disks.MIB
                written += has
                capacity += 0 if letter == '-' else 12 * disks.MIB
            equal((got.zones, got.shown, got.room, got.written,
                   got.capacity), (zones, shown, room, written, capacity))


def test_folded():
    """a folded report and one zone by zone make the same picture"""
    letters = disks.mixed(3000, conventional=9)
    one, other = (disk(letters, fold=fold) for fold in (True, False))
    assert len(one.runs) < len(other.runs)
    equal([vars(cell) for cell in model.cells(one, 7)],
          [vars(cell) for cell in model.cells(other, 7)])
    equal(one.counts, other.counts)


def test_condition():
    """a cell has the colour of most of its zones that are not empty, and of
    a fault before all others"""
    for letters, want in (('....', model.EMPTY), ('...c', model.CLOSED),
                          ('FFo.', model.FULL), ('Foo.', model.IMPLICIT),
                          ('Fo', model.IMPLICIT), ('Fc', model.CLOSED),
                          ('oO', model.EXPLICIT), ('-F', model.FULL),
                          ('FFFr', model.READ_ONLY),
                          ('FFrx', model.OFFLINE)):
        equal(cell(letters).condition, want, letters)


def test_letter():
    """a letter stands for most of a cell's zones, and for a fault before all
    others"""
    for letters, want in (('...c', model.EMPTY), ('FF..', model.FULL),
                          ('c.', model.CLOSED), ('...x', model.OFFLINE)):
        equal(cell(letters).letter, want, letters)


def test_steps():
    """nothing is filled only where all is empty, all only where all is
    full"""
    equal(cell('....').steps(8), 0)
    equal(cell('o', written=0).steps(8), 1)
    equal(cell('.' * 999 + 'c', written=1).steps(8), 1)
    equal(cell('FFFF').steps(8), 8)
    equal(cell('F' * 999 + '.').steps(8), 7)
    equal(cell('c', written=12 * disks.MIB - 1).steps(8), 7)
    equal(cell('F.').steps(8), 4)
    equal(cell('o', written=3 * disks.MIB).steps(32), 8)
    for whole in '-rxF':
        equal(cell(whole).steps(4), 4, whole)


def test_levels():
    """the levels of a cell lie on one another, and leave what is not
    written"""
    got = cell('F.co' + '-', written=6 * disks.MIB).levels()
    room = 4 * 12 + 16
    equal([which for which, _, _ in got],
          [model.CONVENTIONAL, model.FULL, model.CLOSED, model.IMPLICIT])
    equal([round(high * room, 6) for _, _, high in got], [16, 28, 34, 40])
    equal([low for _, low, _ in got], [0] + [high for _, _, high in got[:-1]])


def test_disk():
    """sizes and counters of a disk; conventional zones have no pointer to
    count"""
    got = disk('--F.coO', written=lambda _: disks.MIB)
    equal((got.nr_zones, got.size, got.zone_size, got.zone_capacity),
          (7, 7 * 16 * disks.MIB, 16 * disks.MIB, 12 * disks.MIB))
    equal((got.written, got.capacity), (15 * disks.MIB, 60 * disks.MIB))
    equal((got.open, got.active), (2, 3))
    short = disks.zones('FF')
    short[0].pop('count')
    short.append(dict(short[0], start=16 * disks.MIB, length=disks.MIB,
                      capacity=disks.MIB))
    zones = model.Zones()
    zones.add(short)
    got = model.Disk('short', zones, open=7, active=9)
    equal((got.size, got.written, got.open, got.active),
          (17 * disks.MIB, 13 * disks.MIB, 7, 9))
    equal(model.counters(got)[1:], [('open', '7'), ('active', '9')])
    equal(model.counters(disk('-'))[0][0], 'open')
    # Some put the pointer of a zone that takes no more at its end.
    equal(disk('r.').written, 0)
    ends = disks.zones('c')
    ends[0]['write-pointer'] = ends[0]['length']
    zones = model.Zones()
    zones.add(ends)
    equal(model.Disk('ends', zones).written, 12 * disks.MIB)


def test_pages():
    """a report that comes in parts is the same as one that is whole"""
    entries = disks.zones(disks.mixed(500))
    whole, parts = model.Zones(), model.Zones()
    whole.add(entries)
    for at in range(0, len(entries), 3):
        parts.add(entries[at:at + 3])
    equal(parts.runs, whole.runs)


def test_numbers():
    """sizes never look larger than they are, nor a part like the whole"""
    for size, want in ((0, '0 B'), (1023, '1023 B'), (1024, '1 KiB'),
                       (1536, '1.5 KiB'), (2047, '1.9 KiB'),
                       (12 << 20, '12 MiB'), ((1 << 30) - 1, '1023 MiB'),
                       (1 << 44, '16 TiB'), (1 << 63, '8 EiB')):
        equal(model.human(size), want)
    for part, whole, want in ((0, 5, '0 %'), (1, 1000000, '1 %'),
                              (999999, 1000000, '99 %'), (5, 5, '100 %'),
                              (0, 0, '0 %'), (1, 2, '50 %')):
        equal(model.percent(part, whole), want)


def test_bad_reports():
    """what is no zone report is named, with its zone"""
    good = disks.zones('F.c', fold=False)

    def bad(**changes):
        entries = [dict(zone) for zone in good]
        for key, value in changes.items():
            key = key.replace('_', '-')
            if value is None:
                del entries[1][key]
            else:
                entries[1][key] = value
        return entries
    for entries, want in (
            ({}, 'no list'), ([1], 'zone 0: it is no object'),
            (bad(start=None), "zone 1 has no 'start'"),
            (bad(condition=None), "zone 1 has no 'condition'"),
            (bad(condition='odd'), "unknown condition 'odd'"),
            (bad(condition=[1]), 'unknown condition'),
            (bad(type='odd'), "unknown type 'odd'"),
            (bad(length=0), 'length 0'), (bad(length='1'), 'is none'),
            (bad(count=0), 'count 0'), (bad(count=True), 'is none'),
            (bad(capacity=17 * disks.MIB), 'capacity 17825792'),
            (bad(start=5), 'zone 1: it starts at 5, the last one ends at '
             '16777216'),
            (bad(count=2), 'zone 3: it starts at 33554432, the last one'),
            (bad(condition='closed', write_pointer=1),
             'write pointer 1 is not in it')):
        try:
            model.Zones().add(entries)
        except model.Failure as e:
            assert str(e).startswith('not a zone report: '), e
            assert want in str(e), f'{want!r} is not in {e}'
        else:
            raise AssertionError(f'no error: {want}')
    try:
        model.Disk('none', model.Zones())
    except model.Failure as e:
        equal(str(e), 'none: the report has no zones')
    else:
        raise AssertionError('a disk without zones')


# Machado, Oliveira and Fernandes (2009): how those see who lack one of the
# three kinds of cones, in linear RGB
SIGHTS = {
    'all': ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    'no red': ((.152286, 1.052583, -.204868), (.114503, .786281, .099216),
               (-.003882, -.048116, 1.051998)),
    'no green': ((.367322, .860646, -.227968), (.280085, .672501, .047413),
                 (-.011820, .042940, .968881)),
    'no blue': ((1.255528, -.076749, -.178779),
                (-.078411, .930809, .147602), (.004733, .691367, .303900))}


def lab(colour, sight):
    """CIE L*a*b* of a colour as somebody sees it."""
    linear = []
    for at in (1, 3, 5):
        value = int(colour[at:at + 2], 16) / 255
        linear.append(value / 12.92 if value <= .04045 else
                      ((value + .055) / 1.055) ** 2.4)
    red, green, blue = (min(max(sum(a * b for a, b in zip(row, linear)), 0),
                            1) for row in sight)
    x, y, z = (value ** (1 / 3) if value > .008856 else
               7.787 * value + 16 / 116 for value in (
                   (.4124 * red + .3576 * green + .1805 * blue) / .9505,
                   .2126 * red + .7152 * green + .0722 * blue,
                   (.0193 * red + .1192 * green + .9505 * blue) / 1.089))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def terminal_colour(number):
    if number >= 232:
        return f'#{8 + 10 * (number - 232):02x}' + \
            f'{8 + 10 * (number - 232):02x}' * 2
    levels = (0, 95, 135, 175, 215, 255)
    number -= 16
    return '#' + ''.join(f'{levels[number // part % 6]:02x}'
                         for part in (36, 6, 1))


def test_colours():
    """the colour-blind tell all colours apart, and so does a printer without
    colours"""
    for name, palette in (('light', look.LIGHT), ('dark', look.DARK),
                          ('terminal', [terminal_colour(number) for number
                                        in look.TERMINAL])):
        equal(len(palette), len(model.CONDITIONS))
        pairs = [(a, b) for at, a in enumerate(palette)
                 for b in palette[:at]]
        for a, b in pairs:
            assert re.fullmatch('#[0-9a-f]{6}', a), a
            for who, sight in SIGHTS.items():
                one, other = lab(a, sight), lab(b, sight)
                far = sum((p - q) ** 2 for p, q in zip(one, other)) ** .5
                assert far >= 12, f'{name}, {who}: {a} {b}: {far:.1f}'
            lighter = abs(lab(a, SIGHTS['all'])[0] - lab(b, SIGHTS['all'])[0])
            assert lighter >= 4, f'{name}: {a} {b}: {lighter:.1f}'
    equal(len(set(look.LETTERS)), len(model.CONDITIONS))
