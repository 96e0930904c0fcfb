# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked of qemu-img and of QEMU, and what their answers become."""

import os
import stat

import disks
import fakes
from check_model import equal
from check_pictures import fails
from zonemap import image, model, qmp

LETTERS = '--' + disks.mixed(900, odd=.2)


def told(folder, filename='a.img', share=False, **answer):
    """What an image whose qemu-img says that makes zonemap say."""
    img = fakes.QemuImg(folder)
    img.answer(**answer)
    return fails(image.Image(filename, img.path, share).report)


def test_image(folder):
    """an image file: its zones, and the limits of qemu-img info"""
    img = fakes.QemuImg(folder)
    img.answer(disks.zones(LETTERS), limits=(12, 14))
    disk = image.Image('a.img', img.path).report()
    equal((disk.name, disk.nr_zones, disk.max_open, disk.max_active),
          ('a.img', 902, 12, 14))
    equal(disk.counts[model.FULL], LETTERS.count('F'))
    equal(img.calls(), [
        ['zone', 'report', '--fold', '--output=json', 'a.img'],
        ['info', '--output=json', 'a.img']])


def test_image_options(folder):
    """-U goes to qemu-img; a name is a name; limits may be unknown"""
    img = fakes.QemuImg(folder)
    img.answer(disks.zones('F'))
    disk = image.Image('-x', img.path, True).report()
    equal((disk.max_open, disk.max_active), (0, 0))
    equal(img.calls()[0],
          ['zone', 'report', '--fold', '-U', '--output=json', './-x'])
    img.answer(disks.zones('F'), limits=(0, 14))
    disk = image.Image('x', img.path).report()
    # Without a limit of its own, as many are open as are active.
    equal((disk.max_open, disk.max_active), (14, 14))


def test_which_qemu_img(folder):
    """the qemu-img that was built here goes before that in PATH"""
    path = os.environ['PATH']
    os.mkdir(folder + '/bin')
    system = fakes.QemuImg(folder + '/bin').path
    try:
        os.environ['PATH'] = folder + '/bin'
        equal(image.find_qemu_img(folder), system)
        os.makedirs(folder + '/build/qemu-build')
        built = fakes.QemuImg(folder + '/build/qemu-build').path
        equal(image.find_qemu_img(folder), built)
        os.chmod(built, stat.S_IRUSR)
        equal(image.find_qemu_img(folder), system)
        os.environ['PATH'] = folder
        equal(image.find_qemu_img(folder), 'qemu-img')
    finally:
        os.environ['PATH'] = path


def test_image_errors(folder):
    """what qemu-img says is passed on in one line that names the image"""
    equal(told(folder, err="qemu-img: Could not open 'a.img': No such "
               "file\nmore\n", status=1),
          "Could not open 'a.img': No such file")
    equal(told(folder, err='qemu-img: node has no zones\n', status=1),
          'a.img: node has no zones')
    equal(told(folder, status=3),
          'a.img: qemu-img ended with status 3 and said nothing')
    equal(told(folder, signal=9, out='['),
          'a.img: qemu-img ended with status -9 and said nothing')
    for error in ('qemu-img: Command not found: zone\nTry more\n',
                  'qemu-img: command not found: zone\n'):
        equal(told(folder, err=error, status=1),
              f'{folder}/qemu-img has no command "zone": name one that has '
              'with --qemu-img')


def test_image_in_use(folder):
    """an image in use: it says so, and that there is -U"""
    error = ("qemu-img: Could not open 'a.img': Failed to get shared "
             '"write" lock\nIs another process using the image [a.img]?\n')
    equal(told(folder, err=error, status=1),
          "Could not open 'a.img': Failed to get shared \"write\" lock (it "
          'is in use: -U reads it all the same)')
    assert '-U' not in told(folder, share=True, err=error, status=1)


def test_bad_json(folder):
    """broken or half a document is named as what it is"""
    for out in ('', 'nonsense', '[{"start": 0,', '[' * 100000):
        equal(told(folder, out=out or ' '),
              'a.img: what qemu-img printed is not JSON')
    equal(told(folder, out='{}'),
          'a.img: not a zone report: it is no list of zones')
    equal(told(folder, out='[]'), 'a.img: the report has no zones')


def test_no_program(folder):
    """a qemu-img that is missing or cannot run is named"""
    name = folder + '/none'
    equal(fails(image.Image('a.img', name).report),
          f'{name} is not there: build it with "make", or name it with '
          '--qemu-img')
    with open(name, 'w', encoding='utf-8'):
        pass
    equal(fails(image.Image('a.img', name).report),
          f'cannot run {name}: Permission denied')


class Asked:
    """A QEMU with these nodes, for the time of a with block."""

    def __init__(self, folder, nodes=None, **how):
        self.path = os.path.join(folder, 'qmp')
        self.how = how
        self.nodes = nodes or {'disk': ('qcow2', disks.zones(LETTERS))}

    def __enter__(self):
        self.qemu = fakes.Qemu(self.path, self.nodes, **self.how)
        return self

    def __exit__(self, *_):
        self.qemu.close()

    def report(self, node=None):
        source = qmp.Node(self.path, node)
        try:
            return source.report()
        finally:
            source.close()

    def fails(self, node=None):
        return fails(self.report, node)


def test_qmp(folder):
    """a node: its zones page by page, folded, with counters and limits"""
    entries = disks.zones(LETTERS)
    with Asked(folder, limit=50, extra={'max-open-zones': 12,
                                        'max-active-zones': 14}) as asked:
        disk = asked.report('disk')
        pages = [arguments for command, arguments in asked.qemu.commands
                 if command == 'query-block-zones']
    equal((disk.name, disk.nr_zones, disk.open, disk.active, disk.max_open,
           disk.max_active), ('disk', 902, 3, 5, 12, 14))
    equal(disk.counts[model.FULL], LETTERS.count('F'))
    assert len(entries) > 100
    equal(pages, [{'node-name': 'disk', 'offset': entries[at]['start'],
                   'fold': True} for at in range(0, len(entries), 50)])


def test_only_node(folder):
    """without --node: the only zoned node, and not a filter above it"""
    zones = disks.zones('F.')
    for nodes, want in (
            ({'file': ('file', None), 'a': ('qcow2', zones)}, 'a'),
            ({'#block1': ('throttle', zones), 'b': ('qcow2', zones)}, 'b'),
            ({'c': ('host_device', zones)}, 'c')):
        with Asked(folder, nodes) as asked:
            equal(asked.report().name, want)
    with Asked(folder, {'file': ('file', None)}) as asked:
        equal(asked.fails(), f'{folder}/qmp: no block node has zones')
    with Asked(folder, {'a': ('qcow2', zones),
                        'b': ('qcow2', zones)}) as asked:
        equal(asked.fails(), f'{folder}/qmp: more than one block node has '
              'zones, choose with --node: a, b')
        equal(asked.report('b').name, 'b')


def test_qmp_errors(folder):
    """a socket or an answer that is wrong is named"""
    path = folder + '/qmp'
    equal(fails(qmp.Node, path),
          f'cannot connect to {path}: No such file or directory')
    equal(fails(qmp.Node, folder + '/' + 'x' * 200),
          f'cannot connect to {folder}/{"x" * 200}: AF_UNIX path too long')
    with Asked(folder) as asked:
        equal(asked.fails('other'),
              "node other: Node 'other' has no zones")
    with Asked(folder, known=False) as asked:
        equal(asked.fails(), f'{path}: this QEMU has no query-block-zones')
    with Asked(folder, greeting=b'SSH-2.0\r\n') as asked:
        equal(asked.fails(), f'{path}: what came is not QMP')
    with Asked(folder, greeting=b'{"QMP": {}}\n{"error": "no"}\n') as asked:
        equal(asked.fails(), f'{path}: what came is not QMP')
    with Asked(folder, greeting=b'{"hello": 1}\n') as asked:
        equal(asked.fails(), f'{path}: this is no QMP socket')
    for listed in (5, [5], [{}], None):
        with Asked(folder, listed={'return': listed}) as asked:
            equal(asked.fails(),
                  f'{path}: what came is no list of block nodes')
    open(path, 'w', encoding='utf-8').close()
    equal(fails(qmp.Node, path),
          f'cannot connect to {path}: Connection refused')


def test_qmp_busy(folder):
    """a socket that has a client already: it says so, and waits no longer
    than it must"""
    patience = qmp.PATIENCE
    qmp.PATIENCE = .1
    try:
        with Asked(folder, greeting=None) as asked:
            assert 'another client has it' in asked.fails()
    finally:
        qmp.PATIENCE = patience


def test_qmp_reports(folder):
    """a report of QEMU's that is none is named, with its node"""
    for extra, want in (
            ({'next': 0}, '"next" is 0'), ({'next': 'a'}, "\"next\" is 'a'"),
            ({'open': -1}, '"open" is -1'), ({'zones': {}}, 'no list'),
            ({'zones': []}, 'the report has no zones')):
        with Asked(folder, extra=extra) as asked:
            said = asked.fails()
        assert said.startswith('node disk: ') and want in said, said
    with Asked(folder) as asked:
        asked.qemu.before_report = lambda _: b'{"return": {}}\n'
        equal(asked.fails(),
              "node disk: not a zone report: it has no 'zones'")
    with Asked(folder) as asked:
        asked.qemu.before_report = lambda _: b'{"return": []}\n'
        equal(asked.fails(),
              'node disk: not a zone report: it is no object')


def test_qmp_gone(folder):
    """a QEMU that goes away in the middle of a report is an error"""
    for last, want in (
            (b'', 'QEMU has closed the connection'),
            (b'{"return": {"zones": [', 'QEMU has closed the connection'),
            (b'{"event": "SHUTDOWN"}\n', 'the guest has shut down')):
        with Asked(folder, limit=50) as asked:
            def gone(number, qemu=asked.qemu, last=last):
                if number < 3:
                    return None
                qemu.client.sendall(last)
                return b''
            asked.qemu.before_report = gone
            assert want in asked.fails(), last


def test_qmp_events(folder):
    """events between an answer and the next are no answers"""
    with Asked(folder, limit=50) as asked:
        def event(_):
            asked.qemu.event('RTC_CHANGE')
        asked.qemu.before_report = event
        equal(asked.report().nr_zones, 902)
