# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture as one HTML file that needs no other."""

from html import escape

from . import look, svg
from .model import (CONDITIONS, EMPTY, FULL, counters, legend, printable,
                    scale, title)


# Of the page; those of the map are svg's.
def variables(which):
    return (f'--surface:{svg.SURFACE[which]};--ink:{svg.INK[which]};'
            f'--soft:{svg.SOFT[which]};--line:{svg.LINE[which]};'
            f'--full:{(look.LIGHT, look.DARK)[which][FULL]};'
            f'--empty:{(look.LIGHT, look.DARK)[which][EMPTY]};')


STYLE = ':root{' + variables(0) + '''}
@media(prefers-color-scheme:dark){:root{''' + variables(1) + '''}}
*{box-sizing:border-box}
body{margin:0;background:var(--surface);color:var(--ink);
 font:15px/1.45 FONT;font-variant-numeric:tabular-nums}
main{max-width:1180px;margin:0 auto;padding:28px 20px 40px}
h1{font-size:24px;line-height:1.25;margin:0;overflow-wrap:anywhere}
p{margin:2px 0 0;color:var(--soft)}
dl{display:flex;flex-wrap:wrap;gap:14px 40px;margin:20px 0 22px}
dt{font-size:13px;color:var(--soft)}dt::first-letter{text-transform:uppercase}
dd{margin:0;font-size:19px;font-weight:600}
.bar{height:5px;margin-top:5px;border-radius:3px;background:var(--empty);
 overflow:hidden}
.bar i{display:block;height:100%;background:var(--full)}
svg{display:block}
#map{width:100%;height:auto}
ul{display:flex;flex-wrap:wrap;gap:6px 8px;margin:18px 0 10px;padding:0;
 list-style:none}
li{display:flex;align-items:center;gap:8px;padding:3px 10px;
 border:1px solid var(--line);border-radius:999px;cursor:default}
li b{font-weight:600}
li:hover,li:focus-visible{border-color:var(--ink);outline:none}
ONLY.c:hover>rect{stroke:var(--ink);stroke-width:1.5}
#tip{position:fixed;z-index:1;pointer-events:none;white-space:pre;
 padding:7px 11px;border-radius:7px;background:var(--ink);
 color:var(--surface);font-size:13px;line-height:1.4;
 box-shadow:0 3px 14px #0005}
#tip::first-line{font-weight:600}
@media print{li{border:none}}
'''.replace('FONT', svg.FONT).replace('ONLY', ''.join(
    f'#map[data-only="{number}"] .c:not(.h{number}){{opacity:.18}}\n'
    for number in range(len(CONDITIONS))))

# Above and below the map
EDGE = 4

# Without it, the browser's own tool tips are there.
SCRIPT = '''
"use strict";
const map = document.getElementById("map");
const tip = document.getElementById("tip");
let cell = null;
function leave() {
  if (cell) cell.querySelector("title").textContent = cell.dataset.tip;
  cell = null;
  tip.hidden = true;
}
map.addEventListener("mousemove", event => {
  const now = event.target.closest(".c");
  if (now !== cell) {
    leave();
    if (!now) return;
    const title = now.querySelector("title");
    cell = now;
    cell.dataset.tip = tip.textContent = title.textContent;
    title.textContent = "";
    tip.hidden = false;
  }
  if (!cell) return;
  const box = tip.getBoundingClientRect();
  const x = event.clientX + 14, y = event.clientY + 18;
  tip.style.left = Math.max(4, Math.min(x, innerWidth - box.width - 8)) + "px";
  tip.style.top = (y + box.height + 8 > innerHeight ?
                   event.clientY - box.height - 12 : y) + "px";
});
map.addEventListener("mouseleave", leave);
for (const item of document.querySelectorAll("li")) {
  const show = () => map.dataset.only = item.dataset.c;
  const all = () => delete map.dataset.only;
  item.addEventListener("mouseenter", show);
  item.addEventListener("mouseleave", all);
  item.addEventListener("focus", show);
  item.addEventListener("blur", all);
}
'''


def document(disk):
    layout = svg.Layout(disk.nr_zones)
    name = escape(printable(disk.name))
    facts = []
    for what, value in counters(disk):
        bar = ''
        if what == 'written':
            part = 100 * disk.written / disk.capacity
            bar = f'<div class="bar"><i style="width:{part:.2f}%"></i></div>'
        facts.append(f'<div><dt>{what}</dt><dd>{escape(value)}</dd>{bar}'
                     '</div>')
    items = ''.join(
        f'<li tabindex="0" data-c="{condition}"><svg width="15" height="15" '
        f'aria-hidden="true">{svg.swatch(condition, 0, 0, 15)}</svg>{text} '
        f'<b>{count:,}</b></li>' for condition, text, count in legend(disk))
    # The map is as wide as the page, but cells never grow out of shape.
    width = svg.MARGIN + layout.width
    height = layout.height + 2 * EDGE
    return f'''<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Zones of {name}</title>
<style>
{svg.style()}{STYLE}</style>
<main>
<h1>{name}</h1>
<p>{escape(title(disk))}</p>
<dl>{''.join(facts)}</dl>
<svg id="map" viewBox="0 0 {svg.num(width)} {svg.num(height)}" \
style="max-width:{svg.num(width * 1.1)}px" role="img" \
aria-label="{escape(svg.describe(disk))}">
{svg.grid(disk, layout, svg.MARGIN, EDGE)}
</svg>
<ul>{items}</ul>
<p>{escape(scale(disk, layout.per_cell, layout.per_row))}</p>
</main>
<div id="tip" hidden></div>
<script>{SCRIPT}</script>
</html>
'''
