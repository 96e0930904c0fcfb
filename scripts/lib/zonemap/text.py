# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture as plain text of 80 columns, for pipes and log files.

Two fields on each line, a name and a value: the counters first, then rows of
the map, each with the number of its first zone and a letter for each cell.
"""

from . import look
from .model import CONDITIONS, LEGEND, cells, percent, zones_per_cell

PER_ROW = 64
ROWS = 16


def lines(disk):
    per_cell = zones_per_cell(disk.nr_zones, PER_ROW * ROWS)

    def limited(number, limit):
        return f'{number}/{limit}' if limit else str(number)
    rows = [('zones', disk.nr_zones),
            ('size', disk.size),
            ('zone-size', disk.zone_size),
            ('zone-capacity', disk.zone_capacity),
            ('written', disk.written),
            ('writable', disk.capacity),
            ('used', percent(disk.written, disk.capacity).replace(' ', '')),
            ('open', limited(disk.open, disk.max_open)),
            ('active', limited(disk.active, disk.max_active))]
    rows += [(f'{CONDITIONS[condition]}({look.LETTERS[condition]})',
              disk.counts[condition]) for condition in LEGEND]
    rows.append(('zones-per-cell', per_cell))
    letters = ''.join(look.LETTERS[cell.letter]
                      for cell in cells(disk, per_cell))
    return [f'{name:<20} {value}' for name, value in rows] + \
        [f'{at * per_cell:<8} {letters[at:at + PER_ROW]}'
         for at in range(0, len(letters), PER_ROW)]
