# SPDX-License-Identifier: GPL-2.0-or-later
"""The works that the benchmark measures on the host."""

import os
import re
import subprocess
import tempfile

import zonedbench

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

# Of the disk: how the image's file is opened.
DISK = (('io_uring', 'none'), ('native', 'none'), ('threads', 'none'))
TMPFS = (('threads', 'writeback'),)


class Bench:
    def __init__(self, bins, base_img, runs, quick, say, table):
        self.program = os.path.join(bins, 'tests', 'bench', 'zoned-bench')
        self.img = os.path.join(bins, 'qemu-img')
        self.base_img = base_img
        self.runs, self.quick = runs, quick
        self.say, self.table = say, table

    def image(self, path, zone, size, steps, zoned, extra=()):
        """Make an image, run steps on it: a dictionary for each."""
        if path and os.path.exists(path):
            os.unlink(path)
        create = f'zoned=on,zone.size={zone}' if zoned else ''
        where = ['--file', path] if path else []
        return zonedbench.run(self.program, *where, '--create', create,
                              '--size', str(size), '--zone-size', str(zone),
                              *extra, *steps)

    # --- Requests ---

    def jobs(self):
        """name: (zone size, disk size, steps, sides, {row: its steps}).

        The value of a row is the median of the seconds of its steps."""
        quick = self.quick
        fill = 16384 if quick else 32768
        zone = fill * 4 * KIB
        size = 8 * zone
        single = 2048 if quick else 4096
        large = 1024 if quick else 2048
        flushes = 64 if quick else 128
        rounds = 4 if quick else 8
        zones = 1024
        spread_zone = 64 * MIB
        return {
            'fill': (zone, size, [
                'open', f'write:count={fill},depth=32', 'flush',
                'reset:at=0', f'write:count={fill},depth=32', 'flush',
                f'read:count={fill // 2},depth=32,random,span={zone}',
                f'read:bs=64K,count={large},depth=16,span={zone}',
            ], 'pz', {'fill 4K d32': [1], 'second pass': [4],
                      'random reads': [6], 'sequential reads': [7]}),
            'append 1': (zone, size, [
                'open', f'append:count={fill},depth=32'], 'z',
                         {'append 1': [1]}),
            'append 8': (zone, size, [
                'open', f'append:count={fill},depth=32,zones=8'], 'z',
                         {'append 8': [1]}),
            'single': (zone, size, ['open', f'write:count={single}'], 'pz',
                       {'fill 4K d1': [1]}),
            'large': (zone, size, [
                'open', f'write:bs=64K,count={large},depth=16'], 'pz',
                      {'fill 64K d16': [1]}),
            'write and flush': (zone, size, [
                'open', f'write:count={flushes},flush'], 'pz',
                                {'write and flush': [1]}),
            # As many writes in one zone as in all, to where was written
            # before: the flush is about the table, not about new clusters.
            'flush 1': (spread_zone, zones * spread_zone, [
                'open', f'write:bs=64K,count={zones},depth=16', 'flush',
                'reset', 'flush'] +
                [f'write:count={zones},depth=32', 'flush'] * rounds, 'z',
                        {'flush 1': range(6, 5 + 2 * rounds, 2)}),
            'flush 1024': (spread_zone, zones * spread_zone, [
                'open', f'write:bs=64K,count={zones},depth=16,zones={zones}',
                'flush', 'reset', 'flush'] +
                [f'write:count={zones},depth=32,zones={zones}',
                 'flush'] * rounds, 'z',
                           {'flush 1024': range(6, 5 + 2 * rounds, 2)}),
        }

    def rows(self, where, got):
        def ratio(text, plain, zoned, budget):
            self.table.ratio(
                where, text, 's', got[plain, 'p'], got[zoned, 'z'], budget,
                cpu=(got[plain, 'p', 'cpu'], got[zoned, 'z', 'cpu']))

        for row, budget, text in (
                ('fill 4K d32', 0.75, 'first fill, 4 KiB, depth 32'),
                ('fill 4K d1', 0.95, 'first fill, 4 KiB, depth 1'),
                ('fill 64K d16', 0.90, 'first fill, 64 KiB, depth 16')):
            ratio(text, row, row, budget)
        for lanes in (1, 8):
            ratio(f'append, 4 KiB, depth 32, into {lanes}', 'fill 4K d32',
                  f'append {lanes}', 0.80)
        for row, budget, text in (
                ('second pass', 1.05, 'second pass, 4 KiB, depth 32'),
                ('random reads', 1.03, 'random reads, 4 KiB, depth 32'),
                ('sequential reads', 1.03,
                 'sequential reads, 64 KiB, depth 16'),
                ('write and flush', 2.1, 'write and flush each, 4 KiB')):
            ratio(text, row, row, budget)
        self.table.ratio(where, 'flush after 1024 writes', 'ms',
                         [1000 * x for x in got['flush 1', 'z']],
                         [1000 * x for x in got['flush 1024', 'z']], 1.3,
                         names=('1 zone moved', '1024 zones moved'),
                         cpu=(got['flush 1', 'z', 'cpu'],
                              got['flush 1024', 'z', 'cpu']))

    def requests(self, where, folder):
        backends = TMPFS if where == 'tmpfs' else \
            DISK[:1] if self.quick else DISK
        for aio, cache in backends:
            name = where if where == 'tmpfs' else f'{where}, {aio}'
            self.rows(name, self.one_backend(name, folder, aio, cache))

    def one_backend(self, where, folder, aio, cache):
        jobs = self.jobs()
        got = {}
        with tempfile.TemporaryDirectory(dir=folder) as place:
            path = os.path.join(place, 'bench.qcow2')
            for run in range(self.runs):
                for job, (zone, size, steps, sides, rows) in jobs.items():
                    # In turns, and not always the same one first.
                    for side in sides if run % 2 else sides[::-1]:
                        self.say.step(f'{where}: run {run + 1} of '
                                      f'{self.runs}, {job}, '
                                      f'{"zoned" if side == "z" else "plain"}')
                        done = self.image(path, zone, size, steps,
                                          side == 'z', ['--cache', cache,
                                                        '--aio', aio])
                        for row, which in rows.items():
                            for what, key in (('seconds', (row, side)),
                                              ('cpu', (row, side, 'cpu'))):
                                some = sorted(done[i][what] for i in which)
                                got.setdefault(key, []).append(
                                    some[len(some) // 2])
        return got

    # --- Plain images against the unmodified base ---

    def img_bench(self, img, path, write, cache, aio):
        count = 16384 if self.quick else 32768
        words = [img, 'bench', '-f', 'qcow2', '-c', str(count), '-d', '32',
                 '-s', '4096', '-t', cache, '-i', aio]
        done = subprocess.run(words + ['-w'] * write + [path], text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode:
            raise zonedbench.Failed(f'{" ".join(words)}: {done.stderr}')
        return float(re.search(r'in ([\d.]+) seconds', done.stdout).group(1))

    def base(self, folders):
        if not os.path.exists(self.base_img):
            self.table.remark(f'No {self.base_img}: plain images were not '
                              'compared with the base.')
            return
        for where, (aio, cache) in (('tmpfs', TMPFS[0]), ('disk', DISK[0])):
            got = {}
            with tempfile.TemporaryDirectory(dir=folders[where]) as place:
                path = os.path.join(place, 'bench.qcow2')
                for run in range(self.runs):
                    sides = [('base', self.base_img), ('ours', self.img)]
                    for side, img in sides if run % 2 else sides[::-1]:
                        self.say.step(f'{where}: plain, {side}, run '
                                      f'{run + 1} of {self.runs}')
                        if os.path.exists(path):
                            os.unlink(path)
                        subprocess.run([img, 'create', '-q', '-f', 'qcow2',
                                        path, '1G'], check=True)
                        for work, write in (('first fill', True),
                                            ('overwrite', True),
                                            ('read', False)):
                            got.setdefault((work, side), []).append(
                                self.img_bench(img, path, write, cache,
                                               aio))
            name = where if where == 'tmpfs' else f'{where}, {aio}'
            for work in ('first fill', 'overwrite', 'read'):
                self.table.ratio(
                    name, f'plain {work}, 4 KiB, depth 32', 's',
                    got[work, 'base'], got[work, 'ours'], 1.03,
                    names=('base', 'ours'))

    # --- Growth with the number of zones ---

    def scale(self, folder):
        zone = 64 * KIB
        counts = (1 << 20,) if self.quick else (16, 1 << 8, 1 << 12, 1 << 16,
                                                1 << 20)
        lines = ['', 'Growth with the number of zones (medians): open and '
                 'report in ms,', 'memory in bytes a zone above a plain '
                 'image, reset of all used zones in ms:',
                 f'{"zones":>9} {"open":>8} {"plain":>8} {"report":>8} '
                 f'{"memory":>8} {"used":>6} {"reset":>8}']
        with tempfile.TemporaryDirectory(dir=folder) as place:
            path = os.path.join(place, 'bench.qcow2')
            for zones in counts:
                used = min(zones, 1000)
                steps = ['memory', 'open', 'memory', 'report',
                         f'write:zones={used},count={used},depth=32', 'flush',
                         'reset', 'close']
                got = {}
                for run in range(self.runs):
                    for side in 'pz' if run % 2 else 'zp':
                        self.say.step(f'{zones} zones: run {run + 1} of '
                                      f'{self.runs}')
                        done = self.image(path, zone, zones * zone, steps,
                                          side == 'z')
                        for row, value in (
                                ('open', 1000 * done[1]['seconds']),
                                ('open cpu', 1000 * done[1]['cpu']),
                                ('memory', (done[2]['bytes'] -
                                            done[0]['bytes'])),
                                ('report', 1000 * done[3]['seconds']),
                                ('reset', 1000 * done[6]['seconds'])):
                            got.setdefault((row, side), []).append(value)
                more = [z - p for z, p in zip(sorted(got['open', 'z']),
                                              sorted(got['open', 'p']))]
                each = [round((z - p) / zones, 1) for z, p in zip(
                    got['memory', 'z'], got['memory', 'p'])]
                mid = {key: sorted(value)[len(value) // 2]
                       for key, value in got.items()}
                lines.append(
                    f'{zones:>9} {mid["open", "z"]:>8.2f} '
                    f'{mid["open", "p"]:>8.2f} {mid["report", "z"]:>8.2f} '
                    f'{sorted(each)[len(each) // 2]:>8.1f} {used:>6} '
                    f'{mid["reset", "z"]:>8.2f}')
        where = '1,048,576 zones'
        self.table.value(where, 'open, more than a plain image', 'ms', more,
                         60)
        self.table.value(where, 'open: processor time', 'ms',
                         got['open cpu', 'z'], None)
        self.table.value(where, 'report of all', 'ms', got['report', 'z'],
                         100)
        self.table.value(where, 'reset of all, 1000 of them used', 'ms',
                         got['reset', 'z'], None)
        # 8 of them are the table's.
        self.table.value(where, 'memory a zone, with its table entry',
                         'bytes', each, 40)
        for line in lines:
            self.table.remark(line)

    # --- What can be counted ---

    def counts(self, folder):
        self.say.step('counting')
        value = self.table.value
        zone, size, where = 256 * MIB, GIB, 'counted'

        def steps(*which, zoned=True):
            return self.image(None, zone, size, ['open', *which], zoned)

        def writes(step, *kinds):
            return sum(step['file'][kind][1] for kind in kinds)

        both = [steps('write:count=256,flush', zoned=side)[1]
                for side in (False, True)]
        flushes = [side['file']['flush'][0] for side in both]
        value(where, 'write and flush each: flushes more a write', 'flushes',
              [(flushes[1] - flushes[0]) / 256], 1)
        value(where, 'write and flush each: of the table', 'blocks',
              [writes(both[1], 'table') / 256 / 4096], 1)
        done = steps('write:count=10000,depth=32', 'flush')
        value(where, '10,000 writes: table and other metadata', 'operations',
              [sum(done[1]['file'][kind][0]
                   for kind in ('table', 'meta', 'zero'))], None)
        for text, count in (('an empty', 0), ('a half-full', 29127)):
            fill = [f'write:bs=4608,count={count},depth=32'] * bool(count)
            step = steps('write:at=1', *fill, 'flush', 'finish:at=0')[-1]
            value(where, f'finish of {text} 256 MiB zone: data', 'bytes',
                  [writes(step, 'data')], 0)
        for text, count in (('hardly used', 1), ('full', 256)):
            step = steps(f'write:bs=1M,count={count},depth=4', 'flush',
                         'reset:at=0')[-1]
            value(where, f'reset of a {text} 256 MiB zone: table', 'blocks',
                  [writes(step, 'table', 'meta', 'data') / 4096], 1)
            value(where, f'reset of a {text} 256 MiB zone: flushes',
                  'flushes', [step['file']['flush'][0]], 1)
        cpu = {1: [], 256: []}
        with tempfile.TemporaryDirectory(dir=folder) as place:
            path = os.path.join(place, 'bench.qcow2')
            for _ in range(self.runs):
                for count, runs in cpu.items():
                    runs.append(1000 * self.image(
                        path, zone, size,
                        ['open', f'write:bs=1M,count={count},depth=4',
                         'flush', 'reset:at=0'], True)[-1]['cpu'])
            for count, text in ((1, 'hardly used'), (256, 'full')):
                value('tmpfs', f'reset of a {text} 256 MiB zone: CPU', 'ms',
                      cpu[count], 1)
            self.instructions(place)

    def instructions(self, place):
        self.say.step('counting instructions')
        for kind, step in (('write', 'write:count={n}'),
                           ('append', 'append:count={n}'),
                           ('read', 'read:count={n},span=4096')):
            ours, rules, _ = zonedbench.instructions(self.program, place,
                                                     step)
            self.table.value('counted', f'the zoned part of one {kind} (zone '
                             f'rules: {rules:.0f})', 'instructions',
                             [round(ours)], None)
        # These do not depend on what else the machine does.
        over = ['write:bs=64K,count=320', 'flush', 'reset:at=0', 'flush']
        for text, steps in (
                ('first fill', ['write:count={n},depth=32']),
                ('append', ['append:count={n},depth=32']),
                ('second pass', over + ['write:count={n},depth=32']),
                ('read', over[:1] + ['read:count={n},depth=32,random,'
                                     'span=20M'])):
            both = [zonedbench.instructions(self.program, place, *steps,
                                            zoned=zoned)[2]
                    for zoned in (False, True)]
            self.table.ratio('counted', f'all of one request in user space, '
                             f'{text}, depth 32', 'instructions',
                             [round(both[0])], [round(both[1])], None)
