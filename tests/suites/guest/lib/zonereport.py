# SPDX-License-Identifier: GPL-2.0-or-later
#
# Zone reports of programs that share no code, brought to one form and
# compared: "qemu-io zone_report" on the host, "blkzone report" in the guest,
# and query-block-zones of QMP.  The first two print 512-byte sectors; blkzone
# prints the write pointer from the zone's start on, or since util-linux 2.42
# "N/A" where it has no meaning.

import collections
import re

Zone = collections.namedtuple('Zone', 'start len cap wp cond type')

CONDITIONS = {0: 'no write pointer', 1: 'empty', 2: 'implicitly open',
              3: 'explicitly open', 4: 'closed', 13: 'read-only', 14: 'full',
              15: 'offline'}
NOT_WP, EMPTY, IMP_OPEN, EXP_OPEN, CLOSED = 0, 1, 2, 3, 4
FULL = 14
CONVENTIONAL, SEQUENTIAL = 1, 2
# In these the pointer lies below the capacity's end.
WRITABLE = (EMPTY, IMP_OPEN, EXP_OPEN, CLOSED)

# As QAPI names them
QMP_CONDITIONS = {'not-write-pointer': NOT_WP, 'empty': EMPTY,
                  'implicit-open': IMP_OPEN, 'explicit-open': EXP_OPEN,
                  'closed': CLOSED, 'full': FULL}
QMP_TYPES = {'conventional': CONVENTIONAL,
             'sequential-write-required': SEQUENTIAL}

_HEX = r'(0x[0-9a-f]+|[0-9]+)'
_HOST = re.compile(
    r'^start: %s, len %s, cap %s, wptr %s, zcond:\s*(\d+), \[type: (\d+)\]$'
    % (_HEX, _HEX, _HEX, _HEX))
_GUEST = re.compile(
    r'^\s*start: %s, len %s, cap %s, wptr (?:%s|N/A) reset:\d non-seq:\d, '
    r'zcond:\s*(\d+)\(..\) \[type: (\d+)\(\w+\)\]$'
    % (_HEX, _HEX, _HEX, _HEX))


def _parse(text, pattern, relative, who):
    zones = []
    for line in text.splitlines():
        if not line.strip():
            continue
        match = pattern.match(line)
        if not match:
            raise ValueError('%s: not a line of a zone report: %s' %
                             (who, line))
        start, length, cap, wp = (v and int(v, 0)
                                  for v in match.groups()[:4])
        cond, kind = int(match.group(5)), int(match.group(6))
        zones.append(Zone(start, length, cap,
                          start + wp if relative and wp is not None else wp,
                          cond, kind))
    if not zones:
        raise ValueError('%s: the zone report is empty' % who)
    return zones


def parse_host(text):
    """What "qemu-io -c 'zone_report 0 N'" prints."""
    return _parse(text, _HOST, False, 'host')


def parse_guest(text):
    """What "blkzone report" prints."""
    return _parse(text, _GUEST, True, 'guest')


def parse_qmp(entries, at=0):
    """Zones, which begin at byte "at", of a reply to query-block-zones,
    folded or not.  ValueError where the reply is not as QAPI says."""
    zones = []
    for entry in entries:
        # Any key that is missing, or one too many, is a mistake.
        names = set(entry) - {'write-pointer', 'count'}
        numbers = [entry.get(key, 0) for key in
                   ('start', 'length', 'capacity', 'write-pointer', 'count')]
        cond = QMP_CONDITIONS.get(entry.get('condition'))
        kind = QMP_TYPES.get(entry.get('type'))
        count, wp = entry.get('count', 1), entry.get('write-pointer')
        if (names != {'start', 'length', 'capacity', 'type', 'condition'} or
                any(type(number) is not int for number in numbers) or
                cond is None or kind is None or
                (cond == NOT_WP) != (kind == CONVENTIONAL)):
            raise ValueError('not a zone of QMP: %s' % entry)
        start, length, cap = numbers[:3]
        if (start != at or not 0 < cap <= length or count < 1 or
                count > 1 and cond not in (NOT_WP, EMPTY, FULL)):
            raise ValueError('no zone that can be at %d: %s' % (at, entry))
        if (wp is not None if cond not in WRITABLE else wp is None or
                not start <= wp < start + (cap if cond != EMPTY else 1)):
            raise ValueError('no place for a write pointer: %s' % entry)
        for i in range(count):
            zones.append(Zone(at // 512, length // 512, cap // 512,
                              wp and (wp + i * length) // 512, cond, kind))
            at += length
    return zones


def after_restart(zones):
    """What a report must look like after power was off: nothing stays open;
    a zone that was opened and never written is empty."""
    res = []
    for z in zones:
        if z.cond in (IMP_OPEN, EXP_OPEN, CLOSED):
            z = z._replace(cond=EMPTY if z.wp == z.start else CLOSED)
        res.append(z)
    return res


def _comparable(zone):
    # The write pointer has no meaning in these; the guest's kernel and the
    # host fill it in differently.
    if zone.cond == FULL or zone.type == CONVENTIONAL:
        return zone._replace(wp=None)
    return zone


def differences(a, b, name_a, name_b):
    """Lines that tell each field that differs; empty where none does."""
    res = []
    if len(a) != len(b):
        res.append('number of zones: %s has %d, %s has %d' %
                   (name_a, len(a), name_b, len(b)))
    for i, (x, y) in enumerate(zip(map(_comparable, a), map(_comparable, b))):
        for field in Zone._fields:
            vx, vy = getattr(x, field), getattr(y, field)
            if vx != vy:
                res.append('zone %d, %s: %s has %s, %s has %s' %
                           (i, field, name_a, show(field, vx), name_b,
                            show(field, vy)))
    return res


def show(field, value):
    if field == 'cond':
        return CONDITIONS.get(value, 'condition %s' % value)
    if field == 'type':
        return {CONVENTIONAL: 'conventional',
                SEQUENTIAL: 'sequential'}.get(value, 'type %s' % value)
    return 'none' if value is None else '0x%x' % value


def table(zones, only_used=True):
    """Lines for people, sizes in KiB; runs of empty zones in one line."""
    lines = ['zone     start KiB   capacity KiB   written KiB   state']
    i = 0
    while i < len(zones):
        j = i
        while (only_used and j + 1 < len(zones) and
               zones[j + 1].cond == zones[i].cond == EMPTY):
            j += 1
        z = zones[i]
        if z.type == CONVENTIONAL:
            written, state = '-', 'conventional'
        else:
            full = z.cond == FULL
            written = '%d' % ((z.cap if full else z.wp - z.start) // 2)
            state = CONDITIONS.get(z.cond, '?')
        name = '%d' % i if i == j else '%d-%d' % (i, j)
        lines.append('%-8s %9d %14d %13s   %s' %
                     (name, z.start // 2, z.cap // 2, written, state))
        i = j + 1
    return lines
