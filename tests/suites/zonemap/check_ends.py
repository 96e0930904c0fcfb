# SPDX-License-Identifier: GPL-2.0-or-later
"""The program as a whole: watching, and how it ends."""

import os
import signal
import subprocess
import sys

import disks
import fakes
import terminals
from check_model import equal
from check_sources import Asked
from zonemap import watch

NEVER = '--watch=86400'


def watched(asked, *options, **how):
    return fakes.Terminal('--qmp', asked.path, *options, LANG='C.UTF-8',
                          **how)


def left_clean(shown):
    """The terminal is as it was, and the last picture stands on it."""
    assert shown.other is None and shown.cursor
    assert shown.said.count('\x1b[?7h') == shown.said.count('\x1b[?7l') == 1
    assert any('zones of 16 MiB' in line for line in shown.lines())


def test_watch(folder):
    """--watch draws over its picture, clears nothing that stays, and Ctrl-C
    ends it well"""
    letters = ['o...', 'Fo..', 'FFo.', 'FFFF', 'FFFF']
    with Asked(folder) as asked:
        def change(number):
            asked.qemu.nodes['disk'] = (
                'qcow2', disks.zones(letters[min(number, 5) - 1]))
        asked.qemu.before_report = change
        shown = watched(asked, '--watch=0.05')
        shown.until('full 4')
        before = shown.lines()
        shown.interrupt()
        shown.finish()
    equal(shown.status, 0)
    equal(shown.said.count('\x1b[2J'), 1)
    assert shown.said.count('\x1b[?2026h') >= 4
    for count in (1, 2, 4):
        assert f'full {count}' in shown.said
    left_clean(shown)
    assert [line for line in before if 'full 4' in line][0] in shown.lines()


def test_frame():
    """nothing of an older and larger picture is left beside a new one, and
    none is higher than the terminal"""
    shown = terminals.Display(20, 4)
    shown.show(watch.frame(['one picture', 'that is', 'larger'], 4))
    shown.show(watch.frame(['a', 'small one'], 4))
    equal(shown.lines(), ['a', 'small one', '', ''])
    shown.show(watch.frame(list('123456'), 4))
    equal(shown.lines(), list('1234'))


def test_watch_shutdown(folder):
    """--watch ends at SHUTDOWN, at once, says so, and succeeds"""
    with Asked(folder) as asked:
        shown = watched(asked, NEVER)
        shown.until('One cell')
        asked.qemu.event('SHUTDOWN')
        shown.finish()
    equal(shown.status, 0)
    left_clean(shown)
    assert 'zonemap: the guest has shut down' in shown.lines()


def test_watch_shutdown_then_gone(folder):
    """--watch ends well where SHUTDOWN comes with the end of the
    connection, also in the middle of a report"""
    with Asked(folder) as asked:
        def gone(number):
            if number < 2:
                return None
            asked.qemu.event('SHUTDOWN')
            return b''
        asked.qemu.before_report = gone
        shown = watched(asked, '--watch=0.05').finish()
    equal(shown.status, 0)
    left_clean(shown)
    assert 'zonemap: the guest has shut down' in shown.lines()


def test_watch_gone(folder):
    """--watch: a QEMU that goes away without a word is an error; the
    terminal is given back"""
    with Asked(folder) as asked:
        shown = watched(asked, NEVER)
        shown.until('One cell')
        asked.qemu.hang_up()
        shown.finish()
    equal(shown.status, 1)
    left_clean(shown)
    assert any(line.startswith('zonemap: error: ') and
               line.endswith('QEMU has closed the connection')
               for line in shown.lines()), shown.lines()
    assert 'Traceback' not in shown.said


def test_watch_daemon(folder):
    """--watch: a storage daemon tells nobody of its end, which is none of
    an error"""
    with Asked(folder, daemon=True) as asked:
        shown = watched(asked, NEVER)
        shown.until('One cell')
        asked.qemu.hang_up()
        shown.finish()
    equal(shown.status, 0)
    left_clean(shown)
    assert any('the storage daemon has ended' in line
               for line in shown.lines())


def test_watch_ending(folder):
    """--watch: one that is ending may refuse the last report before it hangs
    up, which is none of an error either"""
    for daemon in (False, True):
        with Asked(folder, daemon=daemon) as asked:
            def ending(number, qemu=asked.qemu):
                if number < 2:
                    return None
                if not qemu.daemon:
                    qemu.event('SHUTDOWN')
                qemu.client.sendall(b'{"error": {"class": "GenericError", '
                                    b'"desc": "no node"}}\n')
                return b''
            asked.qemu.before_report = ending
            shown = watched(asked, '--watch=0.05').finish()
        equal(shown.status, 0)
        left_clean(shown)


def test_watch_refused(folder):
    """--watch: a node that is gone while QEMU goes on is an error"""
    with Asked(folder) as asked:
        asked.qemu.before_report = lambda number: None if number < 2 else \
            b'{"error": {"class": "GenericError", "desc": "no node"}}\n'
        shown = watched(asked, '--watch=0.05').finish()
    equal(shown.status, 1)
    assert 'zonemap: error: node disk: no node' in shown.lines()


def test_watch_resized(folder):
    """--watch draws anew at once when the terminal's size changes"""
    with Asked(folder, {'disk': ('qcow2', disks.zones('F.' * 2000))}) as \
            asked:
        shown = watched(asked, NEVER)
        shown.until('4 zones (64 MiB); one row: 256 zones')
        shown.resize(200, 60)
        shown.until('1 zone (16 MiB); one row: 128 zones')
        shown.interrupt()
        equal(shown.finish().status, 0)


def test_watch_terminated(folder):
    """--watch gives the terminal back also when it is told to end"""
    with Asked(folder) as asked:
        shown = watched(asked, NEVER)
        shown.until('One cell')
        os.kill(shown.pid, signal.SIGTERM)
        shown.finish()
    left_clean(shown)


def test_watch_image(folder):
    """--watch of an image file asks qemu-img anew; its error ends it"""
    img = fakes.QemuImg(folder)
    img.answer(disks.zones('o..'))
    shown = fakes.Terminal('--qemu-img=' + img.path, '--watch=0.05', '-U',
                           'a.img', LANG='C.UTF-8')
    shown.until('implicitly open 1')
    # A new case is written at once, so that none is read half.
    img.case += '.new'
    img.answer(err='qemu-img: gone\n', status=1)
    os.replace(img.case, img.case[:-len('.new')])
    shown.finish()
    equal(shown.status, 1)
    assert shown.other is None and shown.cursor
    assert 'zonemap: error: a.img: gone' in shown.lines(), shown.lines()


def test_one_line(folder):
    """each error is one line and exit status 1, and never a traceback"""
    img = fakes.QemuImg(folder)
    img.answer(out='nonsense')
    good = fakes.QemuImg(folder, 'good')
    good.answer(disks.zones('F'))
    for arguments, want in (
            ((), 'name either an image file or a QMP socket'),
            (('a.img', '--qmp', 'x'), 'name either an image file or'),
            (('a.img', '--node', 'x'), '--node goes with --qmp'),
            (('--qmp', 'x', '-U'), 'go with an image file'),
            (('a.img', '--odd'), 'unrecognized arguments: --odd'),
            (('a.img', '--watch=soon'), "--watch: 'soon' is no number of "
             'seconds from 0.05 to 86400'),
            (('a.img', '--watch=nan'), "--watch: 'nan' is no number"),
            (('a.img', '--watch=0'), "--watch: '0' is no number of seconds"),
            (('a.img', '--watch'), '--watch wants a terminal'),
            (('a.img', '--watch', '--svg', 'x'), '--watch draws in'),
            (('--qemu-img', img.path, 'a.img'), 'is not JSON'),
            (('--qemu-img', folder + '/none', 'a.img'), 'is not there'),
            (('--qmp', folder + '/none'), 'cannot connect'),
            (('--qemu-img', good.path, 'a.img', '--svg', folder + '/no/x'),
             'cannot write')):
        done = fakes.run(*arguments)
        equal((done.returncode, done.stdout), (1, ''), arguments)
        equal(len(done.stderr.splitlines()), 1, done.stderr)
        assert done.stderr.startswith('zonemap: error: '), done.stderr
        assert want in done.stderr, done.stderr


def test_output_gone(folder):
    """output that nobody reads, or that finds no room, is no traceback"""
    img = fakes.QemuImg(folder)
    img.answer(disks.zones('F' * 4096))
    ours, theirs = os.pipe()
    os.close(ours)
    command = [fakes.PROGRAM, '--qemu-img', img.path, 'a.img']
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE,
                          check=False)
    os.close(theirs)
    equal((done.returncode, done.stderr), (1, b''))
    with open('/dev/full', 'wb') as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE,
                              check=False)
    equal((done.returncode, done.stderr),
          (1, b'zonemap: error: cannot write the picture: No space left on '
           b'device\n'))
    closed = ['sh', '-c', 'exec "$@" >&-', 'sh', *command]
    done = subprocess.run(closed, stderr=subprocess.PIPE, check=False)
    equal((done.returncode, done.stderr),
          (1, b'zonemap: error: cannot write the picture: standard output is '
           b'closed\n'))
    # A file needs none.
    done = subprocess.run([*closed, '--svg', folder + '/a.svg'],
                          stderr=subprocess.PIPE, check=False)
    equal((done.returncode, done.stderr), (0, b''))


def test_bare_checkout():
    """the help is there, and nothing but the standard library is needed"""
    done = subprocess.run([sys.executable, '-I', '-S', fakes.PROGRAM,
                           '--help'], stdout=subprocess.PIPE, check=False)
    equal(done.returncode, 0)
    for word in (b'--watch', b'--svg', b'--html', b'--qmp', b'--qemu-img',
                 b'--node', b'-U'):
        assert word in done.stdout, word
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
