# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture as SVG: the map alone, and as a document of its own."""

from html import escape

from . import look
from .model import (CONDITIONS, CONVENTIONAL, EMPTY, FULL, NAMES, OFFLINE,
                    READ_ONLY, cells, counters, human, legend, plural,
                    printable, scale, title, zones_per_cell)

MOST_CELLS = 20000

WIDTH = 1080
MARGIN = 72             # left of the map, for numbers
MAP = WIDTH - MARGIN - 8
LARGEST = 64            # a cell with its gap, where there are few

FONT = ('system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", '
        '"DejaVu Sans", sans-serif')

SURFACE = ('#ffffff', '#12161c')
INK = ('#1b1f24', '#e6e9ee')
SOFT = ('#59626d', '#98a3b0')
LINE = ('#c3c9d1', '#3d4651')


def mixed(colour, ground, part):
    """So much of a colour on a ground."""
    pairs = [(int(colour[at:at + 2], 16), int(ground[at:at + 2], 16))
             for at in (1, 3, 5)]
    return '#' + ''.join(f'{round(a * part + b * (1 - part)):02x}'
                         for a, b in pairs)


def rules(which):
    """Colours in the light (0) or in the dark (1): plain ones, which
    programs know that are no browsers."""
    colours = (look.LIGHT, look.DARK)[which]
    res = []
    for number, colour in enumerate(colours):
        # What is not written shows its condition, too, as an open zone may
        # be all but empty.
        ground = mixed(colour, colours[EMPTY], .28)
        res.append(f'.f{number}{{fill:{colour}}}.g{number}{{fill:{ground}}}')
    res.append(f'text{{fill:{INK[which]}}}'
               f'text.no,text.soft{{fill:{SOFT[which]}}}'
               f'.surface{{fill:{SURFACE[which]}}}'
               f'.mark{{stroke:{SURFACE[which]}}}')
    return '\n'.join(res)


def style():
    """Of the map, in a page as in a document of its own."""
    return f'''svg{{font-family:{FONT};font-variant-numeric:tabular-nums}}
.no{{font-size:11px;text-anchor:end}}
.mark{{stroke-linecap:round;fill:none}}
{rules(0)}
@media(prefers-color-scheme:dark){{
{rules(1)}
}}
'''


class Layout:
    """Where the cells of a disk are."""

    def __init__(self, nr_zones):
        self.per_cell = zones_per_cell(nr_zones, MOST_CELLS)
        count = -(-nr_zones // self.per_cell)
        # A power of two a row, and some two to three times as wide as high
        self.per_row = 1
        while self.per_row * self.per_row < 1.6 * count and \
                self.per_row * 2 <= count:
            self.per_row *= 2
        self.rows = -(-count // self.per_row)
        self.pitch = min(MAP / self.per_row, LARGEST)
        self.gap = max(self.pitch * .12, .6)
        self.side = self.pitch - self.gap
        self.height = self.rows * self.pitch - self.gap
        self.width = self.per_row * self.pitch - self.gap
        # Numbers at rows that leave room for them
        self.step = 1
        while self.step * self.pitch < 16:
            self.step *= 2


def num(value):
    return f'{value:.2f}'.rstrip('0').rstrip('.')


def tip(disk, cell):
    """What is to be said of a cell, in lines."""
    start = cell.first * disk.zone_size
    if cell.count == 1:
        lines = [f'zone {cell.first:,}: {NAMES[cell.condition]}']
    else:
        lines = [f'zones {cell.first:,} to {cell.first + cell.count - 1:,}']
        lines += [f'{cell.zones[condition]:,} {NAMES[condition]}'
                  for condition in range(len(CONDITIONS))
                  if cell.zones[condition]]
    if cell.capacity:
        lines.append(f'{human(cell.written)} of {human(cell.capacity)} '
                     'written')
    lines.append(f'from {human(start)} ({start:#x})')
    return lines


def draw_cell(cell, x, y, side, text):
    """A group with a tool tip: ground, levels, and marks of faults."""
    condition = cell.condition
    held = ''.join(f' h{number}' for number, zones in enumerate(cell.zones)
                   if zones)
    ground = condition if cell.count == 1 else EMPTY
    parts = [f'<g class="c{held}"><title>{escape(text)}</title>'
             f'<rect class="g{ground}" '
             f'x="{num(x)}" y="{num(y)}" width="{num(side)}" '
             f'height="{num(side)}"/>']
    levels = cell.levels()
    if not levels and condition != EMPTY:
        levels = [(condition, 0, 0)]
    for which, low, high in levels:
        # What is there is seen, be it ever so little.
        tall = max((high - low) * side, min(side / 8, 1.5))
        top = max(y + side - low * side - tall, y)
        parts.append(f'<path class="f{which}" d="M{num(x)} {num(top)}'
                     f'h{num(side)}v{num(tall)}h-{num(side)}z"/>')
    if side >= 6 and condition in (CONVENTIONAL, READ_ONLY, OFFLINE):
        parts.append(mark(condition, x, y, side))
    parts.append('</g>')
    return ''.join(parts)


def mark(condition, x, y, side):
    """Told apart without any colour: strokes, a bar, a cross."""
    a, b = side * .28, side * .44
    x0, y0, x1, y1 = (num(v) for v in (x + a, y + a, x + side - a,
                                       y + side - a))
    if condition == OFFLINE:
        path = f'M{x0} {y0}L{x1} {y1}M{x1} {y0}L{x0} {y1}'
    elif condition == READ_ONLY:
        path = f'M{x0} {num(y + side / 2)}H{x1}'
    else:
        path = (f'M{x0} {num(y + b + a)}L{num(x + b + a)} {y0}'
                f'M{num(x + side - b - a)} {y1}L{x1} '
                f'{num(y + side - b - a)}')
    return (f'<path class="mark" stroke-width="{num(max(side * .09, 1))}" '
            f'd="{path}"/>')


def grid(disk, layout, x, y):
    """The map, with its top left cell at (x, y)."""
    res = []
    for number, cell in enumerate(cells(disk, layout.per_cell)):
        row, column = divmod(number, layout.per_row)
        if column == 0 and row % layout.step == 0:
            base = y + row * layout.pitch + min(layout.side / 2 + 4, 12)
            res.append(f'<text class="no" x="{num(x - 8)}" y="{num(base)}">'
                       f'{cell.first:,}</text>')
        res.append(draw_cell(cell, x + column * layout.pitch,
                             y + row * layout.pitch, layout.side,
                             '\n'.join(tip(disk, cell))))
    return '\n'.join(res)


def swatch(condition, x, y, side):
    """A cell of the legend: half full where it can be."""
    half = condition not in (CONVENTIONAL, READ_ONLY, OFFLINE)
    fill = f'<rect class="g{condition}" x="{num(x)}" y="{num(y)}" ' \
           f'width="{num(side)}" height="{num(side)}"/>'
    if condition != EMPTY:
        part = .6 if half and condition != FULL else 1
        fill += f'<rect class="f{condition}" x="{num(x)}" ' \
                f'y="{num(y + side * (1 - part))}" width="{num(side)}" ' \
                f'height="{num(side * part)}"/>'
    if not half:
        fill += mark(condition, x, y, side)
    return fill


def describe(disk):
    """For those who do not see the picture."""
    parts = [title(disk)] + [f'{name} {value}' for name, value in
                             counters(disk)]
    parts += [f'{plural(count, "zone")} {name}'
              for _, name, count in legend(disk) if count]
    return '; '.join(parts)


def document(disk):
    """A whole SVG file."""
    layout = Layout(disk.nr_zones)
    name = escape(printable(disk.name))
    top = 118
    bottom = top + layout.height
    parts = []
    # Counters, each with its name above
    x = MARGIN
    for what, value in counters(disk):
        parts.append(f'<text class="soft small" x="{x}" y="76">{what}</text>'
                     f'<text class="big" x="{x}" y="98">{escape(value)}'
                     '</text>')
        x += max(120, 11 * len(value) + 32)
    parts.append(grid(disk, layout, MARGIN, top))
    # The legend, as many in a line as there is room
    x, y = MARGIN, bottom + 28
    for condition, text, count in legend(disk):
        text = f'{text} {count:,}'
        wide = 24 + 7.6 * len(text) + 22
        if x + wide > WIDTH and x > MARGIN:
            x, y = MARGIN, y + 26
        parts.append(swatch(condition, x, y - 12, 15) +
                     f'<text class="legend" x="{num(x + 22)}" y="{num(y)}">'
                     f'{text}</text>')
        x += wide
    y += 28
    parts.append(f'<text class="soft small" x="{MARGIN}" y="{num(y)}">'
                 f'{scale(disk, layout.per_cell, layout.per_row)}</text>')
    height = y + 18
    body = '\n'.join(parts)
    return f'''<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {num(height)}" \
width="{WIDTH}" height="{num(height)}" role="img" \
aria-labelledby="title description">
<title id="title">Zones of {name}</title>
<desc id="description">{escape(describe(disk))}</desc>
<style>
{style()}.name{{font-size:20px;font-weight:600}}
.big{{font-size:17px;font-weight:600}}
.legend{{font-size:14px}}.small{{font-size:12.5px}}
</style>
<rect class="surface" width="100%" height="100%"/>
<text class="name" x="{MARGIN}" y="34">{name}</text>
<text class="soft small" x="{MARGIN}" y="54">{escape(title(disk))}</text>
{body}
</svg>
'''
