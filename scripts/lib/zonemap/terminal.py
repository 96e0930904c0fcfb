# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture in a terminal."""

import collections
import os

from . import look
from .model import (CONVENTIONAL, EMPTY, FAULTS, FULL, cells, counters,
                    legend, printable, scale, title, zones_per_cell)

# Wide and high, and the space between two cells: the first one with which
# all zones fit is taken.
Shape = collections.namedtuple('Shape', 'wide high gap_x gap_y')
SHAPES = (Shape(8, 4, 1, 1), Shape(6, 3, 1, 1), Shape(4, 2, 1, 1),
          Shape(3, 1, 1, 0), Shape(2, 1, 1, 0), Shape(1, 1, 0, 0))
# A row begins with the number of its first zone.
MARGIN = 9

BOLD = '\x1b[1m'
DIM = '\x1b[2m'
PLAIN = '\x1b[0m'


class Style:
    """Coloured blocks, or letters: without colours, blocks would not tell
    one condition from another."""

    def __init__(self, colours):
        self.colours = colours

    @classmethod
    def of(cls, environment):
        """As a terminal's user has set it."""
        locale = next((environment[key] for key in ('LC_ALL', 'LC_CTYPE',
                                                    'LANG')
                       if environment.get(key)), '')
        return cls('utf8' in locale.lower().replace('-', '') and
                   not environment.get('NO_COLOR') and
                   environment.get('TERM', 'dumb') != 'dumb')

    def paint(self, condition, text):
        if not self.colours:
            return text
        colour = look.TERMINAL[condition]
        if condition in FAULTS:
            # A letter in a cell of that colour
            return f'\x1b[38;5;16;48;5;{colour}m{text}'
        return f'\x1b[38;5;{colour};48;5;{look.GROUND}m{text}'

    def strong(self, text):
        return f'{BOLD}{text}{PLAIN}' if self.colours else text

    def weak(self, text):
        return f'{DIM}{text}{PLAIN}' if self.colours else text


def start_environment():
    """The environment as the user has set it: where that has no locale,
    Python puts one with UTF-8 into os.environ (PEP 538)."""
    try:
        with open('/proc/self/environ', 'rb') as file:
            pairs = file.read().split(b'\0')
    except OSError:
        return dict(os.environ)
    return dict(os.fsdecode(pair).split('=', 1) for pair in pairs
                if b'=' in pair)


def glyphs(cell, shape, style):
    """A cell's lines, from its top down."""
    wide, high = shape.wide, shape.high
    condition = cell.condition
    if not style.colours:
        if high == 1:
            return [look.LETTERS[cell.letter] * wide]
        filled = cell.steps(high)
        return [look.LETTERS[EMPTY] * wide] * (high - filled) + \
            [look.LETTERS[condition] * wide] * filled
    if condition == CONVENTIONAL:
        return [look.GLYPHS[condition] * wide] * high
    if condition in look.GLYPHS:
        return [(look.GLYPHS[condition] if row == (high - 1) // 2 else
                 '').center(wide) for row in range(high)]
    filled = cell.steps(8 * high)
    return [look.EIGHTHS[min(max(filled - 8 * row, 0), 8)] * wide
            for row in reversed(range(high))]


def fit(nr_zones, width, height):
    """(shape, zones in a cell, cells in a row) for so much room."""
    for shape in SHAPES:
        per_row = max((width + shape.gap_x) // (shape.wide + shape.gap_x), 1)
        rows = max((height + shape.gap_y) // (shape.high + shape.gap_y), 1)
        if per_row >= 8:
            per_row -= per_row % 8
        if nr_zones <= per_row * rows:
            break
    per_cell = zones_per_cell(nr_zones, per_row * rows)
    # Rows begin at rounder numbers where these are no more than fit.
    rounder = 1 << per_row.bit_length() - 1
    if nr_zones <= rounder * rows * per_cell:
        per_row = rounder
    return shape, per_cell, per_row


def flow(parts, width, between):
    """(text as it is seen, text with colours) in lines of "width"."""
    res = []
    used = 0
    for seen, painted in parts:
        if res and used + between + len(seen) <= width:
            res[-1] += ' ' * between + painted
            used += between + len(seen)
        else:
            res.append(painted)
            used = len(seen)
    return res


def cut(text, width):
    return text if len(text) <= width else text[:max(width - 1, 0)] + '~'


def head(disk, width, style, note):
    """The disk's name, what it is, and its counters."""
    name = cut(printable(disk.name), width)
    about = title(disk)
    if len(name) + 3 + len(about) <= width:
        lines = [f'{style.strong(name)}   {about}']
    else:
        lines = [style.strong(name), cut(about, width)]
    parts = [(f'{what} {value}', f'{what} {style.strong(value)}')
             for what, value in counters(disk)]
    if note:
        parts.append((note, style.weak(note)))
    return lines + flow(parts, width, 3) + ['']


def sample(condition, style):
    """What the legend shows of a condition."""
    if not style.colours:
        return look.LETTERS[condition]
    if condition in look.GLYPHS:
        return look.GLYPHS[condition]
    return {EMPTY: ' ', FULL: '█'}.get(condition, '▄')


def foot(disk, width, style, per_cell, per_row):
    """The legend, and the picture's scale."""
    parts = []
    for condition, name, count in legend(disk):
        mark = sample(condition, style)
        text = f' {name} {count:,}'
        painted = style.paint(condition, mark)
        if style.colours:
            painted += PLAIN
        parts.append((mark + text, painted + text))
    return [''] + flow(parts, width, 3) + \
        [style.weak(cut(scale(disk, per_cell, per_row), width))]


def body(disk, style, shape, per_cell, per_row):
    """The map."""
    drawn = [(cell.condition, glyphs(cell, shape, style))
             for cell in cells(disk, per_cell)]
    res = []
    for at in range(0, len(drawn), per_row):
        if at:
            res += [''] * shape.gap_y
        label = f'{at * per_cell:>{MARGIN - 2}}  '
        for row in range(shape.high):
            line = []
            before = None
            for condition, rows in drawn[at:at + per_row]:
                text = rows[row]
                # The colour of a run of cells is said once.
                if shape.gap_x or condition != before:
                    text = style.paint(condition, text)
                    before = condition
                if shape.gap_x and style.colours:
                    text += PLAIN
                line.append(text)
            if not shape.gap_x and style.colours:
                line.append(PLAIN)
            res.append(label + (' ' * shape.gap_x).join(line))
            label = ' ' * MARGIN
    return res


def lines(disk, width, height, style, note=''):
    """The whole picture; at most "height" lines where these can hold it."""
    top = head(disk, width, style, note)
    # How high the legend is does not hang on the scale.
    room = height - len(top) - len(foot(disk, width, style, 1, 1))
    shape, per_cell, per_row = fit(disk.nr_zones, max(width - MARGIN, 1),
                                   max(room, 1))
    return top + body(disk, style, shape, per_cell, per_row) + \
        foot(disk, width, style, per_cell, per_row)
