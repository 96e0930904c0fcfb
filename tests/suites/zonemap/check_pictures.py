# SPDX-License-Identifier: GPL-2.0-or-later
"""The pictures: in a terminal, as text, SVG and HTML."""

import html.parser
import os
import re
import socket
import xml.etree.ElementTree as ElementTree

import disks
import fakes
import places
from check_model import disk, equal
from zonemap import look, model, output, page, svg, terminal, text

BLOCKS = terminal.Style(True)
LETTERS = terminal.Style(False)
SVG = '{http://www.w3.org/2000/svg}'
SIXTEEN = 'FFFocO..FFr.cx..'


def seen(line):
    return re.sub('\x1b\\[[0-9;]*m', '', line)


def fails(function, *arguments):
    try:
        function(*arguments)
    except model.Failure as e:
        return str(e)
    raise AssertionError('no error')


def test_fit():
    """the picture fits terminals of all sizes, and each zone is in it"""
    for letters in ('F', SIXTEEN, 'F' * 100 + '.' * 28,
                    disks.mixed(4096), disks.mixed(70001)):
        whole = disk(letters)
        for width in (40, 79, 80, 81, 132, 200, 251):
            for height in (16, 24, 25, 50, 97):
                shape, per_cell, per_row = terminal.fit(
                    whole.nr_zones, width - 9, height - 8)
                count = -(-whole.nr_zones // per_cell)
                rows = -(-count // per_row)
                assert per_row * (shape.wide + shape.gap_x) - shape.gap_x \
                    <= width - 9
                assert rows * (shape.high + shape.gap_y) - shape.gap_y <= \
                    height - 8
                lines = terminal.lines(whole, width, height, BLOCKS, '12:00')
                assert len(lines) <= height, (width, height, len(lines))
                assert max(len(seen(line)) for line in lines) <= width


def test_fit_large():
    """few zones have large cells; where there are more zones than cells,
    rows begin at round numbers"""
    equal(terminal.fit(16, 71, 18)[0], (8, 4, 1, 1))
    equal(terminal.fit(4096, 71, 16)[1:], (4, 64))
    equal(terminal.fit(4096, 191, 43)[1:], (1, 128))
    equal(terminal.fit(1 << 20, 71, 16)[1:], (1024, 64))


def test_letters():
    """in letters: the whole picture, line by line"""
    whole = disk('FFFocO..FFr.cx.-', written=lambda zone: zone * disks.MIB)
    want = '''\
disk   256 MiB in 16 zones of 16 MiB, 12 MiB of each writable
written 84 MiB of 180 MiB (47 %)   open 2   active 4

      0  FFFFFFFF FFFFFFFF FFFFFFFF ........ ........ ........ ........ ........
         FFFFFFFF FFFFFFFF FFFFFFFF ........ ........ ........ ........ ........
         FFFFFFFF FFFFFFFF FFFFFFFF ........ ........ ........ ........ ........
         FFFFFFFF FFFFFFFF FFFFFFFF oooooooo cccccccc OOOOOOOO ........ ........

      8  FFFFFFFF FFFFFFFF rrrrrrrr ........ cccccccc xxxxxxxx ........ --------
         FFFFFFFF FFFFFFFF rrrrrrrr ........ cccccccc xxxxxxxx ........ --------
         FFFFFFFF FFFFFFFF rrrrrrrr ........ cccccccc xxxxxxxx ........ --------
         FFFFFFFF FFFFFFFF rrrrrrrr ........ cccccccc xxxxxxxx ........ --------

. empty 4   o implicitly open 1   O explicitly open 1   c closed 2   F full 5
- conventional 1   r read-only 1   x offline 1
One cell: 1 zone (16 MiB); one row: 8 zones (128 MiB)'''
    equal('\n'.join(terminal.lines(whole, 80, 24, LETTERS)), want)


def test_blocks():
    """in blocks: as high as the pointer, in the colour of the condition"""
    whole = disk('FoOc.-rx', written=lambda zone: zone * 3 * disks.MIB)
    shape, per_cell, per_row = terminal.SHAPES[-1], 1, 8
    line, = terminal.body(whole, BLOCKS, shape, per_cell, per_row)
    equal(seen(line), '      0  █▂▄▆ ▒RX')
    colours = re.findall(r'\x1b\[38;5;(\d+);48;5;(\d+)m(.)', line)
    equal([int(ground if char in 'RX' else ink)
           for ink, ground, char in colours],
          [look.TERMINAL[model.NUMBER[disks.LETTERS[letter]]]
           for letter in 'FoOc.-rx'])
    equal(line[-4:], terminal.PLAIN)
    # A cell of several lines is filled from the last one on.
    lines = terminal.body(disk('o', written=lambda _: 5 * disks.MIB), BLOCKS,
                          terminal.SHAPES[0], 1, 1)
    equal([seen(line)[9:] for line in lines],
          [' ' * 8, ' ' * 8, '▅' * 8, '█' * 8])


def test_style():
    """colours and blocks only where locale, TERM and NO_COLOR allow them"""
    utf8 = {'TERM': 'xterm', 'LANG': 'de_DE.UTF-8'}
    for environment, want in (
            (utf8, True), (dict(utf8, NO_COLOR='1'), False),
            (dict(utf8, NO_COLOR=''), True),
            (dict(utf8, TERM='dumb'), False), ({'LANG': 'C.utf8'}, False),
            (dict(utf8, LC_ALL='C'), False),
            (dict(utf8, LC_CTYPE='en_US.ISO-8859-1'), False),
            (dict(utf8, LC_ALL='C.UTF-8', LC_CTYPE='C'), True),
            ({'TERM': 'xterm'}, False)):
        equal(terminal.Style.of(environment).colours, want, environment)


def picture(folder, letters, *options, **environment):
    """What a terminal shows of a disk."""
    img = fakes.QemuImg(folder)
    img.answer(disks.zones(letters))
    shown = fakes.Terminal('--qemu-img=' + img.path, 'a.img', *options,
                           **environment).finish()
    equal(shown.status, 0)
    return shown


def test_terminal(folder):
    """in a terminal it is coloured, in one of its size"""
    shown = picture(folder, SIXTEEN, LANG='C.UTF-8', columns=150, rows=40)
    assert '█' in shown.said and '\x1b[38;5;' in shown.said
    equal(shown.lines()[0], 'a.img   256 MiB in 16 zones of 16 MiB, 12 MiB '
          'of each writable')
    assert any(len(line) > 100 for line in shown.lines())


def test_no_locale(folder):
    """where there is no locale it is in letters, though Python has one"""
    for environment in ({}, {'LANG': 'C'},
                        {'LANG': 'C.UTF-8', 'NO_COLOR': '1'}):
        shown = picture(folder, SIXTEEN, **environment)
        assert '\x1b[' not in shown.said, environment
        assert 'FFFFFFFF' in shown.said and '█' not in shown.said


def test_names(folder):
    """a name moves no cursor and breaks no document"""
    img = fakes.QemuImg(folder)
    img.answer(disks.zones('F'))
    name = 'a\x1b[2J<b>&"\n.img'
    shown = fakes.Terminal('--qemu-img=' + img.path, name,
                           LANG='C.UTF-8').finish()
    assert '\x1b[2J' not in shown.said
    equal(shown.lines()[0].split('   ')[0], 'a\ufffd[2J<b>&"\ufffd.img')
    bad = disk('F')
    bad.name = name + os.fsdecode(b'\xff')
    clean = 'a\ufffd[2J<b>&"\ufffd.img\ufffd'
    equal(ElementTree.fromstring(svg.document(bad)).find(SVG + 'title').text,
          'Zones of ' + clean)
    document = page.document(bad)
    assert '<b>&"' not in document
    assert '<h1>a\ufffd[2J&lt;b&gt;&amp;' in document
    document.encode()


def test_text():
    """for a pipe: 80 columns, two fields a line, each zone in the map"""
    for count in (1, 16, 1024, 1025, 1 << 20):
        letters = 'x' + 'F' * (count - 1)
        lines = text.lines(disk(letters))
        assert max(map(len, lines)) <= 80
        equal({len(line.split()) for line in lines}, {2})
        fields = dict(line.split() for line in lines)
        equal(fields['zones'], str(count))
        equal(fields['full(F)'], str(count - 1))
        rows = [key for key in fields if key.isdigit()]
        per_cell = int(fields['zones-per-cell'])
        equal(len(''.join(fields[key] for key in rows)),
              -(-count // per_cell))
        equal(rows, [str(at * 64 * per_cell) for at in range(len(rows))])
        equal(fields['0'][0], 'x')


def groups(root):
    return [group for group in root.iter(SVG + 'g')
            if group.get('class').split()[0] == 'c']


def test_svg_cells():
    """SVG: a cell a zone up to 20,000, beyond that some for several"""
    for count, want in ((1, 1), (129, 129), (20000, 20000), (20001, 10001),
                        (1 << 20, 16384)):
        drawn = svg.grid(disk('F' * count), svg.Layout(count), 0, 0)
        equal(drawn.count('<g class="c h1">'), want)
        equal(drawn.count('<title>zone'), want)
    cells = groups(ElementTree.fromstring(svg.document(disk('F..c'))))
    equal([cell.get('class') for cell in cells],
          ['c h1', 'c h7', 'c h7', 'c h2'])
    assert all(cell.find(SVG + 'title').text for cell in cells)


def test_svg_place():
    """SVG: no cell lies on another or beyond the picture, and what fills
    one stays in it"""
    for letters in ('o', SIXTEEN, disks.mixed(4096, odd=.3)):
        whole = disk(letters, written=lambda zone: zone % 13 * disks.MIB)
        root = ElementTree.fromstring(svg.document(whole))
        width, height = map(float, root.get('viewBox').split()[2:])
        places = []
        for group in groups(root):
            rect = group.find(SVG + 'rect')
            x, y, wide, high = (float(rect.get(key)) for key in
                                ('x', 'y', 'width', 'height'))
            assert 0 <= x and x + wide <= width + .02
            assert 0 <= y and y + high <= height
            places.append((y, x, wide))
            for path in group.findall(SVG + 'path'):
                if path.get('class') == 'mark':
                    continue
                left, top, across, down = map(float, re.match(
                    r'M(\S+) (\S+)h(\S+)v(\S+)h-', path.get('d')).groups())
                assert (left, across) == (x, wide)
                assert top >= y - .02 and top + down <= y + high + .02
        for (y, x, wide), (below, beside, _) in zip(places, places[1:]):
            assert below > y + wide or beside > x + wide


def test_svg_fill():
    """SVG: a zone is filled up to its pointer; an open one that is empty is
    seen; a cell of several shows the share of each condition"""
    def paths(letters, pointer):
        whole = disk(letters, written=lambda _: pointer)
        cell, = model.cells(whole, 1 << 20)
        group = ElementTree.fromstring(svg.draw_cell(cell, 0, 0, 60, 'tip'))
        return [(path.get('class'), path.get('d'))
                for path in group.findall('path')
                if path.get('class') != 'mark']
    equal(paths('c', 4 * disks.MIB), [('f2', 'M0 40h60v20h-60z')])
    equal(paths('.', 0), [])
    equal(paths('O', 0), [('f4', 'M0 58.5h60v1.5h-60z')])
    equal(paths('F' * 3 + 'c..', 6 * disks.MIB),
          [('f1', 'M0 30h60v30h-60z'), ('f2', 'M0 25h60v5h-60z')])


def test_tips():
    """a tool tip says which zones, how many of which condition, and how much
    is written"""
    whole = disk('--FFFc....r', written=lambda _: disks.MIB)
    one, = [cell for cell in model.cells(whole, 1) if cell.first == 5]
    equal(svg.tip(whole, one),
          ['zone 5: closed', '1 MiB of 12 MiB written',
           'from 80 MiB (0x5000000)'])
    cells = model.cells(whole, 8)
    equal(svg.tip(whole, cells[0]),
          ['zones 0 to 7', '2 conventional', '3 full', '1 closed', '2 empty',
           '37 MiB of 72 MiB written', 'from 0 B (0x0)'])
    equal(svg.tip(whole, cells[1])[:3],
          ['zones 8 to 10', '1 read-only', '2 empty'])


class Page(html.parser.HTMLParser):
    """Tags are closed in order; what it refers to; its texts."""

    VOID = ('meta', 'link', 'br', 'img')

    def __init__(self, document):
        super().__init__()
        self.open = []
        self.refers = []
        self.tips = 0
        self.items = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.refers += [value for key, value in attrs
                        if key in ('src', 'href', 'data', 'xlink:href')]
        if tag == 'title' and 'g' in self.open:
            self.tips += 1
        if tag == 'li':
            self.items.append('')

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        equal(self.open.pop(), tag)

    def handle_data(self, data):
        if 'li' in self.open:
            self.items[-1] += data


def test_html():
    """HTML: one file that needs no other, a tool tip a cell, a legend with
    counts, the dark and the light"""
    document = page.document(disk(SIXTEEN))
    read = Page(document)
    equal(read.open, [])
    equal(read.refers, [])
    for word in ('url(', '@import', 'http:', 'https:'):
        assert word not in document, word
    equal(read.tips, 16)
    equal(read.items, ['empty 5', 'implicitly open 1', 'explicitly open 1',
                       'closed 2', 'full 5', 'read-only 1', 'offline 1'])
    assert 'prefers-color-scheme:dark' in document
    assert 'system-ui' in document
    for colour in look.LIGHT + look.DARK:
        assert colour in document, colour
    equal(Page(page.document(disk('F' * 20001))).tips, 10001)
    # No counter divides by the room that conventional zones do not have.
    Page(page.document(disk('-')))


def test_whole_files(folder):
    """a file is written whole or not at all, with the rights it had"""
    name = os.path.join(folder, 'a.svg')
    mask = os.umask(0o027)
    try:
        output.write(name, 'one')
    finally:
        os.umask(mask)
    equal(os.stat(name).st_mode & 0o777, 0o640)
    os.chmod(name, 0o604)
    os.symlink('a.svg', os.path.join(folder, 'link'))
    output.write(os.path.join(folder, 'link'), 'two')
    assert os.path.islink(os.path.join(folder, 'link'))
    with open(name, encoding='utf-8') as file:
        equal(file.read(), 'two')
    equal(os.stat(name).st_mode & 0o777, 0o604)
    replace = os.replace
    try:
        def full(*_):
            raise OSError(28, 'No space left on device')
        os.replace = full
        equal(fails(output.write, name, 'three'),
              f'cannot write {name}: No space left on device')
    finally:
        os.replace = replace
    with open(name, encoding='utf-8') as file:
        equal(file.read(), 'two')
    equal(sorted(os.listdir(folder)), ['a.svg', 'link'])


def test_no_file(folder):
    """a file that cannot be written is named"""
    # Not a device of the system's: a fault in what is tested would replace it.
    special = folder + '/socket'
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(special)
    for name, why in ((folder + '/no/a.svg', 'No such file or directory'),
                      (folder, 'Is a directory'),
                      (special, 'No such device or address')):
        equal(fails(output.write, name, 'x'), f'cannot write {name}: {why}')


def test_files(folder):
    """--svg and --html write their files, a pipe is not replaced by one"""
    img = fakes.QemuImg(folder)
    img.answer(disks.zones(SIXTEEN))
    done = fakes.run('--qemu-img', img.path, 'a.img', '--svg',
                     folder + '/a.svg', '--html=' + folder + '/a.html')
    equal((done.returncode, done.stdout, done.stderr), (0, '', ''))
    with open(folder + '/a.html', encoding='utf-8') as file:
        equal(Page(file.read()).tips, 16)
    done = fakes.run('--qemu-img', img.path, 'a.img', '--svg', '/dev/stdout')
    equal((done.returncode, done.stderr), (0, ''))
    with open(folder + '/a.svg', encoding='utf-8') as file:
        equal(done.stdout, file.read())


def example():
    """The README's picture, drawn anew."""
    entries, (max_open, max_active) = disks.example()
    zones = model.Zones()
    zones.add(entries)
    return svg.document(model.Disk('disk.qcow2', zones, max_open,
                                   max_active))


def test_example():
    """the picture in scripts/zonemap-example.svg is drawn as it is today"""
    # python3 -c 'import check_pictures as c; print(c.example(), end="")'
    with open(os.path.join(places.SCRIPTS, 'zonemap-example.svg'),
              encoding='utf-8') as file:
        assert file.read() == example(), 'draw it anew: see this test'
