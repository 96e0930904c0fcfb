# SPDX-License-Identifier: GPL-2.0-or-later
#
# A disk's zones are looked at from outside while fio writes them: by QMP, and
# as a picture.  What is seen is right whenever it is asked for, so how often
# it is does not matter.

import concurrent.futures
import json
import os
import re
import socket
import subprocess

import guestvm
import places
import terminals
import zonereport as zr
from guestvm import GuestError
from machine import Disk, Group, KIB, MIB
from tap import check, equal

ZONEMAP = os.path.join(places.SCRIPTS, 'zonemap')
# Letters of the picture
LETTERS = {'empty': '.', 'implicit-open': 'o', 'explicit-open': 'O',
           'closed': 'c', 'full': 'F', 'not-write-pointer': '-'}
ZONES, ZONE, CAPACITY = 48, 8 * MIB, 6 * MIB
MAX_OPEN, MAX_ACTIVE = 4, 6
# Where fio's jobs write.  The first fills zones for as long as the test may
# take and resets none; the others go round and round.
GROW, AGAIN, RANDOM = (2, 34), (34, 36), (36, 44)
FIO = ('fio --filename=%s --zonemode=zbd --direct=1 --ioengine=libaio '
       '--thread=1 --runtime=1d --randseed=1 --exitall_on_error=1 '
       '--name=grow --rw=write --bs=64k --iodepth=4 --rate=4m '
       '--offset=%d --size=%d '
       '--name=again --rw=write --bs=128k --iodepth=4 --time_based=1 '
       '--offset=%d --size=%d '
       '--name=random --rw=randwrite --bs=32k --iodepth=2 --time_based=1 '
       '--job_max_open_zones=2 --offset=%d --size=%d 2>&1')


class Client:
    """A QMP client at a socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(guestvm.RUN_TIMEOUT)
        self.socket.connect(path)
        self.lines = self.socket.makefile('rb')
        check('QMP' in self.message(), 'no greeting of QMP')
        self.ask('qmp_capabilities')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()

    def message(self):
        line = self.lines.readline()
        if not line:
            raise GuestError('QEMU has closed the second QMP connection')
        return json.loads(line)

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({
            'execute': command, 'arguments': arguments}).encode() + b'\n')
        while True:
            msg = self.message()
            if 'error' in msg:
                raise GuestError('QMP %s: %s' % (command,
                                                 msg['error']['desc']))
            if 'return' in msg:
                return msg['return']


def groups(suite, env):
    return [Watched(suite, env)]


class Watched(Group):
    def __init__(self, suite, env):
        super().__init__(suite, env)
        self.disk = None
        self.path = os.path.join(places.short_folder(), 'qmp')
        # Of each zone, what was last seen: bytes below its pointer
        self.seen = [0] * ZONES
        self.rises, self.falls = set(), [0] * ZONES
        self.answers = 0
        for function, name in [
                (self.while_fio, 'zones are watched while fio writes: each '
                 'answer is right, and what stays is what the guest sees'),
                (self.watch, 'zones are watched in a terminal until the '
                 'guest powers off')]:
            self.add(name, function)

    def set_up(self):
        self.disk = Disk(self.env, 'watched', ZONES, ZONE, capacity=CAPACITY,
                         conventional_zones=2, max_open_zones=MAX_OPEN,
                         max_active_zones=MAX_ACTIVE)
        self.boot([self.disk], 'watched', [
            '-chardev', 'socket,id=eye,path=%s,server=on,wait=off' % self.path,
            '-mon', 'chardev=eye,mode=control'])

    # -- by QMP --

    def take_in(self, first, zones):
        """Compare with what was seen of these zones before."""
        for number, zone in enumerate(zones, first):
            if zone.type == zr.CONVENTIONAL:
                continue
            is_full = zone.cond == zr.FULL
            written = (zone.cap if is_full else zone.wp - zone.start) * 512
            if written > self.seen[number]:
                self.rises.add(number)
            elif written < self.seen[number]:
                self.falls[number] += 1
            self.seen[number] = written

    def pages(self, client, **arguments):
        """All zones, and the last answer's counts; each answer is looked at
        as it comes."""
        zones, answer = [], {'next': 0}
        while 'next' in answer:
            offset = answer['next']
            equal(offset, len(zones) * ZONE, 'where to go on')
            answer = client.ask('query-block-zones',
                                **{'node-name': self.disk.name,
                                   'offset': offset, **arguments})
            entries = answer['zones']
            equal({key: answer[key] for key in answer if key not in
                   ('zones', 'next', 'open', 'active')},
                  {'zone-size': ZONE, 'nr-zones': ZONES, 'max-open-zones':
                   MAX_OPEN, 'max-active-zones': MAX_ACTIVE}, 'the answer')
            check(0 <= answer['open'] <= min(MAX_OPEN, answer['active']) and
                  answer['active'] <= MAX_ACTIVE,
                  'open %(open)d, active %(active)d' % answer)
            check(0 < len(entries) <= arguments.get('limit', 1024),
                  '%d entries' % len(entries))
            equal(['count' in entry for entry in entries],
                  [arguments.get('fold', False)] * len(entries), 'counts')
            found = zr.parse_qmp(entries, offset)
            self.take_in(len(zones), found)
            zones += found
            self.answers += 1
        equal(len(zones), ZONES, 'zones')
        return zones, answer

    def ask(self, client):
        """In all ways"""
        self.pages(client, limit=7)
        self.pages(client, fold=True, limit=3)
        self.pages(client, fold=True)
        return self.pages(client)

    # -- as a picture --

    def picture(self):
        """What zonemap prints: values, letters."""
        done = subprocess.run(
            [ZONEMAP, '--qmp', self.path, '--node', self.disk.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, check=False)
        equal((done.returncode, done.stderr), (0, ''), 'zonemap')
        rows = [line.split() for line in done.stdout.splitlines()]
        equal({len(row) for row in rows}, {2}, 'fields of a line')
        check(max(map(len, done.stdout.splitlines())) <= 80,
              'a line of more than 80 columns')
        said = dict(rows)
        letters = said.pop('0')
        equal((said['zones'], said['zone-size'], len(letters)),
              (str(ZONES), str(ZONE), ZONES), 'what zonemap says')
        for name, letter in LETTERS.items():
            equal(letters.count(letter),
                  int(said.get('%s(%s)' % (name, letter), 0)), name)
        for name, limit in (('open', MAX_OPEN), ('active', MAX_ACTIVE)):
            number, of = map(int, said[name].split('/'))
            check(0 <= number <= limit == of, '%s: %s' % (name, said[name]))
        # Nobody resets these.
        for number in range(*GROW):
            if self.seen[number]:
                want = 'F' if self.seen[number] == CAPACITY else 'ocF'
                check(letters[number] in want, 'zone %d of %s' %
                      (number, letters))
        return said, letters

    # -- the tests --

    def end_of(self, job):
        """What fio has printed; how many zones it has reset."""
        out = job.wait()['out']
        check(out.count('err= 0') == 3, 'fio failed: ' + out[-1500:])
        return sum(int(n) for n in re.findall(r'(\d+) zone resets', out))

    def while_fio(self):
        places_of = [n for first, end in (GROW, AGAIN, RANDOM)
                     for n in (first * ZONE, (end - first) * ZONE)]
        job = self.vm.spawn('echo $$ > /tmp/fio.pid; exec ' + FIO %
                            (self.disk.dev, *places_of))
        during = pictures = 0
        while True:
            with Client(self.path) as client:
                before = self.answers
                self.ask(client)
            if not job.queue.empty():
                self.end_of(job)
                raise AssertionError('fio has ended by itself')
            if self.rises:
                during += self.answers - before
                # The socket takes one client at a time.
                self.picture()
                pictures += 1
            # Until each job was seen at work
            if during and sum(self.falls) and all(
                    self.rises & set(range(*job_zones))
                    for job_zones in (GROW, AGAIN, RANDOM)):
                break
        check(job.queue.empty(), 'fio has ended by itself')
        self.sh('kill -INT $(cat /tmp/fio.pid)')
        resets = self.end_of(job)
        with Client(self.path) as client:
            zones, counts = self.ask(client)
        self.suite.note('%d answers and %d pictures while fio wrote; %d '
                        'pointers went down, %d resets' %
                        (during, pictures, sum(self.falls), resets))
        equal(self.falls[GROW[0]:GROW[1]], [0] * (GROW[1] - GROW[0]),
              'pointers that went down in zones that nobody resets')
        check(sum(self.falls) <= resets, 'pointers went down %d times, by %d '
              'resets' % (sum(self.falls), resets))
        equal([n for n in self.rises if not GROW[0] <= n < RANDOM[1]], [],
              'zones that nobody writes')
        self.at_rest(zones, counts)

    def at_rest(self, zones, counts):
        """All that look at the disk see the same."""
        equal(zr.differences(zones, self.disk.guest_report(self.vm), 'QMP',
                             'guest'), [], 'differences')
        opened = sum(z.cond in (zr.IMP_OPEN, zr.EXP_OPEN) for z in zones)
        closed = sum(z.cond == zr.CLOSED for z in zones)
        equal((counts['open'], counts['active']), (opened, opened + closed),
              'open and active zones')
        said, letters = self.picture()
        equal((said['open'], said['active'], said['written']),
              ('%d/%d' % (opened, MAX_OPEN),
               '%d/%d' % (opened + closed, MAX_ACTIVE), str(sum(self.seen))),
              'what zonemap says')
        equal(letters, ''.join(LETTERS[name] for z in zones for name, cond in
                               zr.QMP_CONDITIONS.items() if cond == z.cond),
              'the picture')

    def watch(self):
        self.sh('blkzone reset -o %d %s' % (GROW[0] * ZONE // 512,
                                            self.disk.dev))
        shown = terminals.Terminal(ZONEMAP, '--watch=0.05', '--qmp', self.path,
                                   LANG='C.UTF-8')
        shown.until('implicitly open 0')
        for zone in (GROW[0], AGAIN[0]):
            self.zqio('write', self.disk, self.disk.start(zone), 64 * KIB)
        shown.until('implicitly open 2')
        report = zr.after_restart(self.disk.guest_report(self.vm))
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            off = other.submit(self.vm.poweroff)
            shown.finish(guestvm.RUN_TIMEOUT)
            off.result()
        lines = [line for line in shown.lines() if line]
        equal((shown.status, lines[-1]),
              (0, 'zonemap: the guest has shut down'), 'the end')
        check(shown.other is None and shown.cursor,
              'the terminal is not as it was')
        check(any('zones of 8 MiB' in line for line in lines),
              'the last picture is gone')
        equal(zr.differences(report, self.disk.host_report(), 'guest',
                             'host'), [], 'differences')
        self.disk.check()
