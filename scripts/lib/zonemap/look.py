# SPDX-License-Identifier: GPL-2.0-or-later
"""Colours, glyphs and letters of the conditions, by their number.

The colours come from Okabe and Ito's palette, some of them made lighter or
darker: people who see no red, no green or no blue tell them apart, and so
does a printer without colours, as each has a lightness of its own.
"""

#        conv.      full       closed     implicit   explicit   read-only
LIGHT = ('#6c757d', '#0060a8', '#cc79a7', '#7fcbf5', '#e69f00', '#d55e00',
         '#1c1c1c', '#e9ecef')          # offline, empty
DARK = LIGHT[:6] + ('#f5f5f5', '#262c34')

# The same in the 256 colours of terminals, on a ground of its own, so that
# they look the same in a light and in a dark one
TERMINAL = (243, 25, 175, 117, 214, 166, 255, 236)
GROUND = TERMINAL[-1]

LETTERS = '-FcoOrx.'

# What is filled is drawn in eighths …
EIGHTHS = ' ▁▂▃▄▅▆▇█'
# … but for these: what has no pointer, and what is broken.
GLYPHS = {0: '▒', 5: 'R', 6: 'X'}
