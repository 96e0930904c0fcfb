# SPDX-License-Identifier: GPL-2.0-or-later
"""A picture of a zoned disk's zones; scripts/zonemap is its face.

model     what is known of a disk, and the arithmetic of cells: pure
image     asks qemu-img about a file
qmp       asks a running QEMU
look      colours, glyphs and letters of the conditions
text      plain text, for a pipe
terminal  a picture in a terminal; watch keeps it drawn
svg, page a picture as SVG and as HTML
output    files that are whole or not there
cli       options, and what is said where something is wrong
"""
