# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTML page in a browser, in "make check-full": its tool tips and its
legend are at work."""

import os
import shutil
import subprocess

import disks
import fakes
from check_model import disk, equal
from tap import Skip
from zonemap import page


# It does what a user does, and leaves what a user sees in the document.
USER = '''<script>
"use strict";
const said = [];
onerror = error => said.push("error: " + error);
function move(target, kind) {
  const box = target.getBoundingClientRect();
  target.dispatchEvent(new MouseEvent(kind, {bubbles: true,
    clientX: box.x + 2, clientY: box.y + 2}));
}
const all = [...document.querySelectorAll(".c")];
const shown = document.getElementById("tip");
move(all[3].querySelector("rect"), "mousemove");
said.push(!shown.hidden && shown.textContent);
said.push(all[3].querySelector("title").textContent);
const place = shown.getBoundingClientRect();
said.push(place.width > 50 && place.left >= 0 &&
          place.right <= innerWidth && place.bottom <= innerHeight);
move(document.getElementById("map"), "mouseleave");
said.push(shown.hidden);
said.push(all[3].querySelector("title").textContent);
const closed = [...document.querySelectorAll("li")].find(
    item => item.textContent.startsWith("closed"));
move(closed, "mouseenter");
said.push(all.filter(cell => getComputedStyle(cell).opacity == 1).length);
move(closed, "mouseleave");
said.push(all.filter(cell => getComputedStyle(cell).opacity == 1).length);
said.push(getComputedStyle(document.body).backgroundColor);
said.push(document.documentElement.scrollWidth <= innerWidth);
document.body.dataset.said = JSON.stringify(said);
</script>
'''


def browse(folder, document, *options):
    """What the user's script has seen, as a text of JSON."""
    browser = os.environ.get('ZQ_BROWSER') or shutil.which('chromium')
    if not browser:
        raise Skip('no browser: install chromium')
    name = os.path.join(folder, 'a.html')
    with open(name, 'w', encoding='utf-8') as file:
        file.write(document.replace('</html>', USER + '</html>'))
    done = subprocess.run(
        [browser, '--headless=new', '--no-sandbox', '--disable-gpu',
         '--window-size=1000,800', '--user-data-dir=' + folder + '/profile',
         *options, '--dump-dom', 'file://' + name],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=fakes.HANGS, check=False)
    start = 'data-said="'
    assert start in done.stdout, done.stderr[-2000:]
    said = done.stdout.split(start, 1)[1].split('"', 1)[0]
    return said.replace('&quot;', '"').replace('\\n', '|')


def test_browser(folder):
    """HTML in a browser: a tool tip at the mouse, the legend shows its own
    cells, in the light and in the dark"""
    document = page.document(disk('F..cFc.Occ'))
    tip = '"zone 3: closed|6 MiB of 12 MiB written|from 48 MiB (0x3000000)"'
    for options, ground in (((), 'rgb(255, 255, 255)'),
                            (('--force-dark-mode',), 'rgb(18, 22, 28)')):
        equal(browse(folder, document, *options),
              f'[{tip},"",true,true,{tip},4,10,"{ground}",true]')


def test_browser_million(folder):
    """HTML in a browser: a million zones are drawn, and the tool tip counts
    them"""
    said = browse(folder, page.document(disk(disks.mixed(1 << 20))))
    assert said.startswith('["zones 192 to 255|'), said
    assert ',16384,' in said, said
