#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole zoned images, mutated, under the tools of the sanitizer build.

Valid images of several kinds are made and filled by the tools themselves;
then one part of a copy is mutated (header, zoned extension, table, L1, L2,
refcounts, entries of snapshots or their copies of the table) and the copy is
used, checked and repaired.  Whatever it holds, no
tool may crash, hang, or fall foul of a sanitizer; and where only refcounts
were mutated, a repair loses no byte below a write pointer.

usage: images.py IMAGES SEED [FIRST]    prints a TAP stream; FIRST: the number
                                        of the image to begin with
"""

import collections
import concurrent.futures
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, 'lib'))
sys.path.insert(0, os.path.join(HERE, os.pardir, os.pardir, 'qemu-iotests'))

from places import ASAN_BUILD                                # noqa: E402
from reports import REPORT, quoted                                   # noqa: E402
from tap import Tap, say                                     # noqa: E402
from zoned_image import EXT_ZONED, Parsed, Snapshot          # noqa: E402

SECONDS = 300
JOBS = min(4, len(os.sched_getaffinity(0)))
# Largest piece of memory: QEMU's check takes two bytes for each cluster up to
# the last one that a refcount table names.  That it fails then is fine.
MEGABYTES = 256
PARTS = ('header', 'extension', 'table', 'l1', 'l2', 'refcounts', 'snapshots',
         'copies')
# Which part the n-th image has mutated; most of the first three are refused.
TURNS = PARTS + ('l2', 'refcounts')
# Status of "qemu-img check": clean, failed, corrupt, leaks, and not supported
CHECKED = (0, 1, 2, 3, 63)
ASSERTION = re.compile(r'Assertion|assertion failed')

# Options of -o, size, and commands that fill it, before and (if it has one)
# after a snapshot: zone size is 1 MiB
KINDS = (
    ('', '8M', ('write -P 1 0 256k', 'write -P 2 1M 64k',
                'write -P 3 5M 1M')),
    ('cluster_size=4k', '6M', ('write -P 1 0 16k', 'write -P 2 2M 12k')),
    ('zone.capacity=768k,zone.max_active_zones=3', '5M',
     ('write -P 1 0 768k', 'write -P 2 1M 512', 'write -P 3 4M 4k')),
    ('zone.conventional_zones=2', '4608k',
     ('write -P 1 512k 64k', 'write -P 2 2M 128k', 'write -P 3 4M 512k')),
    ('extended_l2=on,cluster_size=64k', '4M',
     ('write -P 1 0 6k', 'write -P 2 3M 96k')),
    ('cluster_size=512,refcount_bits=1', '2M', ('write -P 1 0 8k',
                                                'write -P 2 1M 512')),
    ('zone.conventional_zones=1', '6M',
     ('write -P 1 64k 64k', 'write -P 2 2M 100k', 'write -P 3 4M 1M'),
     ('write -P 4 100k 64k', 'write -P 5 2148k 64k', 'zone_reset 4M 1M')),
    ('cluster_size=4k', '4M', ('write -P 1 0 20k', 'write -P 2 3M 4k'),
     ('zone_reset 0 1M', 'write -P 3 0 8k', 'write -P 4 1M 40k')),
)
# One more is an overlay of the first.
OVERLAY = len(KINDS)
SNAPSHOT = 'snap'
USE = ('zone_report 0 99', 'read 0 1M', 'read 1M 1M', 'write -P 9 0 64k',
       'write -P 9 3M 64k', 'flush', 'zone_append -p 1M 4k',
       'zone_reset 1M 1M', 'zone_finish 2M 1M', 'zone_open 3M 1M',
       'zone_close 3M 1M', 'zone_report 0 99', 'flush')


def tool(program, *arguments):
    """Status (None: it hung) and output of a program of the build."""
    env = dict(os.environ)
    env['ASAN_OPTIONS'] = 'detect_leaks=0:exitcode=99:' \
        f'allocator_may_return_null=1:max_allocation_size_mb={MEGABYTES}'
    env['UBSAN_OPTIONS'] = 'exitcode=99:print_stacktrace=1'
    try:
        done = subprocess.run(
            [os.path.join(ASAN_BUILD, program), *arguments], env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace',
            timeout=SECONDS, check=False)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return None, f'{program} did not end in {SECONDS} s'


def use(path, commands, *options):
    arguments = list(options)
    for command in commands:
        arguments += ['-c', command]
    return tool('qemu-io', *arguments, '-f', 'qcow2', path)


def make_image(path, kind):
    if kind == OVERLAY:
        status, output = tool('qemu-img', 'create', '-f', 'qcow2', '-b',
                              'valid-0', '-F', 'qcow2', path)
        if status == 0:
            status, output = use(path, ('write -P 5 1088k 64k',
                                        'zone_reset 5M 1M', 'write -z 5M 8k'))
        return status == 0 and 'failed' not in output, output
    options, size, fill, *more = KINDS[kind]
    options = 'zoned=on,zone.size=1M' + (',' + options if options else '')
    status, output = tool('qemu-img', 'create', '-f', 'qcow2', '-o', options,
                          path, size)
    if status == 0:
        status, output = use(path, fill)
    if status == 0 and more:
        status, output = tool('qemu-img', 'snapshot', '-c', SNAPSHOT, path)
    if status == 0 and more:
        status, output = use(path, more[0])
    return status == 0 and 'failed' not in output, output


class Layout:
    """Where the parts of an image lie: (offset, bytes) of each."""

    def __init__(self, path):
        parsed = Parsed(path)
        head = parsed.header
        with open(path, 'rb') as image:
            data = image.read()
        cluster = 1 << head['cluster_bits']
        l1 = head['l1_table_offset']
        l1_size = head['l1_size'] * 8
        where = data.find(struct.pack('>II', EXT_ZONED, 44))
        self.part = {
            'header': [(0, head['header_length'])],
            'extension': [(where, 52)],
            'table': [(parsed.zones['zonedmeta_offset'],
                       8 * len(parsed.table))],
            'l1': [(l1, l1_size)],
            'l2': [(entry & 0x00fffffffffffe00, cluster) for entry in
                   struct.unpack_from(f'>{l1_size // 8}Q', data, l1) if entry],
            'refcounts': [(head['refcount_table_offset'], 8)],
        }
        block, = struct.unpack_from('>Q', data, head['refcount_table_offset'])
        used = (len(data) // cluster + 8) * (1 << head['refcount_order'])
        self.part['refcounts'].append((block, min(cluster, used // 8 + 1)))
        for snapshot in Snapshot.all(path):
            # With the data beyond the fixed part
            self.part['snapshots'] = [(head['snapshots_offset'],
                                       40 + len(snapshot.extra))]
            self.part['copies'] = [(snapshot.copy, 8 * len(snapshot.table))]
        self.cluster = cluster
        self.length = len(data)


def mutate(path, layout, part, rng):
    """One to three values of a part become others."""
    with open(path, 'r+b') as image:
        for _ in range(rng.choice((1, 1, 2, 3))):
            start, length = rng.choice(layout.part[part])
            wide = 1 if part == 'refcounts' and length % 8 else \
                rng.choice((1, 4, 8, 8))
            at = start
            if length > wide:
                at += rng.randrange(length // wide) * wide
            image.seek(at)
            old = int.from_bytes(image.read(wide), 'big')
            bits = 8 * wide
            new = rng.choice((
                0, (1 << bits) - 1, old + 1, old - 1, old ^ 1 << bits - 1,
                old ^ 1 << rng.randrange(bits), rng.getrandbits(bits),
                old + 512, old + 512 * rng.randrange(-64, 64), rng.randrange(layout.length),
                rng.randrange(layout.length) & -layout.cluster))
            image.seek(at)
            image.write((new % (1 << bits)).to_bytes(wide, 'big'))


def below_pointers(path):
    """What "qemu-img" shows as the content, above pointers zeros."""
    raw = path + '.raw'
    status, output = tool('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw',
                          path, raw)
    if status:
        return None, output
    with open(raw, 'rb') as content:
        data = content.read()
    os.unlink(raw)
    return data, output


class Run:
    def __init__(self, folder, seed):
        self.folder = folder
        self.seed = seed
        self.faults = collections.defaultdict(list)
        self.count = collections.Counter()
        self.kinds = []

    def prepare(self):
        for kind in range(len(KINDS) + 1):
            path = os.path.join(self.folder, f'valid-{kind}')
            good, output = make_image(path, kind)
            if not good:
                return f'kind {kind}: {output}'
            content, output = below_pointers(path)
            if content is None:
                return f'kind {kind}: {output}'
            self.kinds.append((path, Layout(path), content))
        return None

    def fault(self, what, number, text):
        self.faults[what].append(f'image {number} (images.py 1 {self.seed} '
                                 f'{number}): {text[-3000:]}')

    def judge(self, number, what, status, output, allowed):
        if status is None:
            self.fault('hang', number, f'{what}: {output}')
        elif status < 0:
            self.fault('signal', number, f'{what}: signal {-status} {output}')
        elif REPORT.search(output) or ASSERTION.search(output) or \
                status == 99:
            self.fault('report', number, f'{what}: {output}')
        elif status not in allowed:
            self.fault('status', number, f'{what}: {status} {output}')

    def image(self, number):
        """One image; several threads are in here at once."""
        rng = random.Random(f'{self.seed} {number}')
        part = TURNS[number % len(TURNS)]
        valid, layout, content = rng.choice(
            [kind for kind in self.kinds if part in kind[1].part])
        path = os.path.join(self.folder, f'image-{number}')
        shutil.copyfile(valid, path)
        mutate(path, layout, part, rng)
        used = path + '.used'
        shutil.copyfile(path, used)
        status, output = use(used, USE)
        self.judge(number, f'{part}: use', status, output, (0, 1))
        opened = "can't open" not in output and status in (0, 1)
        self.count[f'{part} images'] += 1
        self.count['images'] += 1
        if opened:
            self.count[f'{part} opened'] += 1
            self.count['opened'] += 1
        if 'copies' in layout.part:
            for what in (('convert', '-l', SNAPSHOT, '-f', 'qcow2', '-O',
                          'raw', used, used + '.raw'),
                         ('snapshot', '-a', SNAPSHOT, used),
                         ('snapshot', '-c', 'more', used),
                         ('snapshot', '-d', SNAPSHOT, used)):
                status, output = tool('qemu-img', *what)
                self.judge(number, f'{part}: {what[:3]}', status, output,
                           (0, 1))
            if os.path.exists(used + '.raw'):
                os.unlink(used + '.raw')
        status, output = tool('qemu-img', 'check', '-f', 'qcow2', path)
        self.judge(number, f'{part}: check', status, output, CHECKED)
        self.count[f'check {status}'] += 1
        for what, victim in (('repair', path), ('repair once used', used)):
            status, output = tool('qemu-img', 'check', '-f', 'qcow2', '-r',
                                  'all', victim)
            self.judge(number, f'{part}: {what}', status, output, CHECKED)
            if what == 'repair':
                self.count[f'repair {status}'] += 1
            if status == 0:
                # What says that it is repaired, is.
                status, output = tool('qemu-img', 'check', '-f', 'qcow2',
                                      victim)
                self.judge(number, f'{part}: check after {what}', status,
                           output, CHECKED)
                if status != 0:
                    self.fault('again', number, f'{part}: {what}: {output}')
                elif what == 'repair' and part == 'refcounts':
                    self.count['refcounts repaired'] += 1
                    now, output = below_pointers(victim)
                    if now != content:
                        self.fault('lost', number, f'{part}: {output}')
        os.unlink(path)
        os.unlink(used)


CLAIMS = (
    ('hang', 'no tool hangs'),
    ('signal', 'no tool is ended by a signal'),
    ('report', 'no sanitizer and no assertion reports'),
    ('status', 'every status is one that the tool documents'),
    ('again', 'a repaired image is clean when it is checked again'),
    ('lost', 'a repair of refcounts loses no data below a write pointer'),
)


def suite(tap, folder, images, seed, first=0, step=None):
    """A result in tap for each test, step() for each image."""
    run = Run(folder, seed)
    wrong = run.prepare()
    tap.result(not wrong, 'valid images are made and filled', wrong or '')
    if wrong:
        return
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for k, _ in enumerate(pool.map(run.image,
                                       range(first, first + images)), 1):
            if step:
                step()
            if k % 100 == 0:
                say(f'images: {k} of {images}')
    count = run.count
    say(f'images: seed {seed}, {count["images"]} made, '
        f'{count["opened"]} opened')
    for part in PARTS:
        say(f'  {part}: {count[part + " opened"]} of '
            f'{count[part + " images"]} opened')
    for what in ('check', 'repair'):
        say('  status of ' + what + ': ' + ', '.join(
            f'{key.split()[1]}: {n}' for key, n in sorted(count.items())
            if key.startswith(what + ' ')))
    for key, claim in CLAIMS:
        found = run.faults[key]
        tap.result(not found, claim, quoted(f'{len(found)} images\n' +
                                            '\n'.join(found[:3])))
    if images >= 100:
        tap.result(2 * count['opened'] >= count['images'] and
                   count['refcounts repaired'] >= images // 16,
                   'at least half of the images open, and repairs are '
                   'compared', str(count))


def main():
    tap = Tap(1 + len(CLAIMS))
    with tempfile.TemporaryDirectory() as folder:
        suite(tap, folder, int(sys.argv[1]), int(sys.argv[2]),
              int((sys.argv[3:] or ['0'])[0]))
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
