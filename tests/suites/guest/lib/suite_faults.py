# SPDX-License-Identifier: GPL-2.0-or-later
#
# Ends that are not orderly: kill -9 of QEMU, quit and hot-unplug with
# requests under way, a host without room.

import os
import subprocess

import zqio_pattern
import zonereport as zr
from machine import Disk, Group, KIB, MIB
from tap import Skip, check, equal

WRITERS = 4
FULL_FS = 96 * MIB


class State:
    def __init__(self):
        self.disks = {}
        self.flushed = {}
        self.issued = {}
        self.files = {}
        self.killed = False


def groups(suite, env):
    state = State()
    return [Kill(suite, env, state), AfterKill(suite, env, state)]


class Flushed:
    """Collects the "flushed START END" lines of writers."""

    def __init__(self):
        self.ends, self.lines = {}, 0

    def __call__(self, line):
        words = line.split()
        if words[0] == 'flushed':
            self.lines += 1
            self.ends[int(words[1])] = int(words[2])


def kill_writers(group, disk, zones, lines):
    """Kill QEMU while its guest writes and flushes this many zones from the
    first on, after so many flushes.  Returns {start: end of what is flushed}.
    """
    seen = Flushed()

    def enough(line):
        seen(line)
        if seen.lines >= lines:
            raise StopIteration
    job = group.vm.zqio('write', disk.dev, 0, disk.capacity, bs=16 * KIB,
                        flush=4, zones=zones, stride=disk.zone_size,
                        on_line=enough)
    try:
        job.wait()
    except StopIteration:
        pass
    # Whatever was acknowledged until then counts.
    group.vm.kill()
    group.state.killed = True
    equal(len(seen.ends), zones, 'zones with flushed data')
    return dict(seen.ends)


def check_killed(env, disk):
    """Leaks are allowed, and repaired; anything else is not."""
    res = subprocess.run([env.img, 'check', '-f', 'qcow2', disk.image],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    check(res.returncode in (0, 3), 'check of %s: %s' %
          (disk.name, res.stdout))
    if res.returncode == 3:
        env.host(env.img, 'check', '-q', '-f', 'qcow2', '-r', 'leaks',
                 disk.image)


class Kill(Group):
    def __init__(self, suite, env, state):
        super().__init__(suite, env)
        self.state = state
        for function, name in [
                (self.finished, 'before kill -9: a finish, a reset and '
                 'flushed writes are acknowledged'),
                (self.files, 'before kill -9: files in btrfs are flushed'),
                (self.kill, 'kill -9 of QEMU while four zones are written'),
                (self.sound, 'after kill -9 qemu-img check finds no '
                 'corruption'),
                (self.host_view, 'after kill -9 the host finds every flushed '
                 'byte below the write pointers and zeros above')]:
            self.add(name, function)

    def set_up(self):
        self.state.disks = self.disks = {d.name: d for d in [
            Disk(self.env, 'kill', 16, 8 * MIB),
            Disk(self.env, 'killfs', 32, 8 * MIB)]}
        self.boot(self.disks.values(), 'kill')
        self.disk = self.disks['kill']

    def finished(self):
        d = self.disk
        for zone in (8, 9, 10):
            out = self.zqio('write', d, d.start(zone), 512 * KIB, flush=8)
            check(out.endswith('ok %d' % d.start(zone)), 'write: ' + out)
        equal(self.zqio('finish', d, d.start(8), d.zone_size), 'ok', 'finish')
        equal(self.zqio('reset', d, d.start(9), d.zone_size), 'ok', 'reset')

    def files(self):
        dev = self.disks['killfs'].dev
        self.sh('modprobe btrfs; mkdir -p /mnt/fs; mkfs.btrfs -q -O zoned '
                '-d single -m single %s && mount -t btrfs %s /mnt/fs' %
                (dev, dev))
        for i in range(6):
            self.sh('head -c %d /dev/urandom > /mnt/fs/f%d; sync /mnt/fs/f%d'
                    % (70000 * (i + 1), i, i))
            self.state.files['f%d' % i] = self.sh(
                'sha256sum < /mnt/fs/f%d' % i).split()[0]

    def kill(self):
        self.vm.spawn('i=0; while :; do i=$((i+1)); head -c 200000 '
                      '/dev/urandom > /mnt/fs/more$i; '
                      'sync /mnt/fs/more$i; done')
        self.state.flushed = kill_writers(self, self.disk, WRITERS, 60)
        self.suite.note('flushed KiB: ' + ' '.join(
            '%d' % ((end - start) // KIB)
            for start, end in sorted(self.state.flushed.items())))

    def sound(self):
        for disk in self.disks.values():
            check_killed(self.env, disk)

    def host_view(self):
        check(self.state.killed, 'nothing was killed')
        zqio_pattern.check_image(self.env, self.disk, self.state.flushed)
        report = self.disk.host_report()
        equal(report[8].cond, zr.FULL, 'condition of the finished zone')
        equal(report[9].cond, zr.EMPTY, 'condition of the reset zone')
        equal((report[10].wp - report[10].start) * 512, 512 * KIB,
              'bytes in the zone written last')

    def is_broken(self):
        return super().is_broken() and not self.state.killed


class AfterKill(Group):
    def __init__(self, suite, env, state):
        super().__init__(suite, env)
        self.state = state
        for function, name in [
                (self.data, 'after kill -9 the guest reads what it had '
                 'flushed, and writes on'),
                (self.files, 'after kill -9 btrfs mounts, with all flushed '
                 'files'),
                (self.misplaced_goes_on, 'a refused zone operation does not '
                 'stop a guest with werror=stop'),
                (self.full_write, 'a full host stops the guest at a write, '
                 'and cont after making room completes it'),
                (self.full_append, 'a full host stops the guest at an '
                 'append, and cont after making room completes it'),
                (self.unplug, 'a disk is unplugged while it is written'),
                (self.replug, 'the unplugged disk is plugged in again with '
                 'all that was flushed'),
                (self.quit, 'quit while zones are written, finished and '
                 'reset leaves sound images')]:
            self.add(name, function)

    def set_up(self):
        check(self.state.killed, 'the boot before this one was not killed')
        self.room = None
        disks = list(self.state.disks.values())
        disks.append(Disk(self.env, 'hot', 16, 8 * MIB))
        folder = os.path.join(self.env.dir, 'small')
        if os.environ.get('ZQ_PRIVATE_MOUNTS'):
            os.mkdir(folder)
            self.env.host('mount', '-t', 'tmpfs', '-o',
                          'size=%d' % FULL_FS, 'tmpfs', folder)
            self.room = os.path.join(folder, 'ballast')
            for name in ('full', 'fullfs'):
                disks.append(Disk(self.env, name, 32, 8 * MIB, folder=folder,
                                  device={'werror': 'stop',
                                          'rerror': 'stop'}))
        else:
            for name in ('full', 'fullfs'):
                disks.append(Disk(self.env, name, 32, 8 * MIB,
                                  device={'werror': 'stop'}))
        self.disks = {d.name: d for d in disks}
        self.boot(disks, 'after-kill')

    def data(self):
        d = self.disks['kill']
        report = d.guest_report(self.vm)
        for start, end in self.state.flushed.items():
            zone = report[start // d.zone_size]
            wp = zone.wp * 512
            if zone.cond == zr.FULL:
                wp = start + d.capacity
            check(wp >= end, 'zone at %d: write pointer %d, flushed up to %d'
                  % (start, wp, end))
            equal(self.zqio('check', d, start, wp - start), 'ok', 'data')
            if wp < start + d.capacity:
                equal(self.zqio('zeros', d, wp, start + d.zone_size - wp),
                      'ok', 'reads above the write pointer')
                out = self.zqio('write', d, wp, min(
                    256 * KIB, start + d.capacity - wp))
                equal(out, 'ok %d' % wp, 'writing on')
        for zone in report:
            check(zone.cond not in (zr.IMP_OPEN, zr.EXP_OPEN),
                  'the zone at %d is open' % zone.start)

    def files(self):
        self.sh('modprobe btrfs; mkdir -p /mnt/fs; mount -t btrfs %s /mnt/fs'
                % self.disks['killfs'].dev)
        sums = dict(reversed(line.split()) for line in self.sh(
            'cd /mnt/fs && sha256sum f*').splitlines())
        equal(sums, self.state.files, 'checksums')
        out = self.sh('btrfs scrub start -B -r /mnt/fs 2>&1; umount /mnt/fs',
                      check=False)
        check('no errors found' in out, 'scrub: ' + out)

    # -- a full host --

    def need_room(self):
        if not self.room:
            raise Skip('a mount namespace for a small tmpfs is not allowed '
                       'here')

    def misplaced_goes_on(self):
        d = self.disks['full']
        equal(self.zqio('write', d, d.start(20), 4096), 'ok %d' % d.start(20),
              'write')
        equal(self.zqio('finish', d, d.start(20), d.zone_size), 'ok',
              'finish')
        for what in ('open', 'close'):
            check(self.zqio(what, d, d.start(20), d.zone_size) != 'ok',
                  '%s of a full zone went through' % what)
        equal(self.vm.qmp('query-status')['status'], 'running', 'status')

    def fill_host(self, leave):
        """Use up the small file system except for so many bytes."""
        st = os.statvfs(os.path.dirname(self.room))
        size = st.f_bavail * st.f_frsize - leave
        with open(self.room, 'wb') as f:
            os.posix_fallocate(f.fileno(), 0, size)

    def stopped_by_full_host(self, start):
        """
        The guest stops for lack of room under the job that @start starts; make
        room and go on.
        """
        before = len(self.vm.events('STOP'))
        job = start()
        self.vm.wait_event('STOP', before + 1)
        equal(self.vm.qmp('query-status')['status'], 'io-error', 'status')
        errors = self.vm.events('BLOCK_IO_ERROR')
        check(errors and errors[-1]['data']['action'] == 'stop' and
              errors[-1]['data'].get('nospace', True),
              'BLOCK_IO_ERROR: %s' % errors[-1:])
        os.unlink(self.room)
        self.vm.qmp('cont')
        return job.wait()

    def full_write(self):
        self.need_room()
        d = self.disks['full']
        self.fill_host(2 * MIB)
        out = self.stopped_by_full_host(
            lambda: self.vm.zqio('write', d.dev, d.start(0), d.capacity,
                                 bs=128 * KIB, zones=2,
                                 stride=d.zone_size))['out']
        equal(sorted(out.split('\n')), sorted('ok %d' % d.start(z)
                                              for z in (0, 1)), 'writers')
        for zone in (0, 1):
            equal(self.zqio('check', d, d.start(zone), d.capacity), 'ok',
                  'data')

    def full_append(self):
        self.need_room()
        dev = self.disks['fullfs'].dev
        self.sh('modprobe btrfs; mkdir -p /mnt/full; mkfs.btrfs -q -O zoned '
                '-d single -m single %s && mount -t btrfs %s /mnt/full && '
                'head -c 6M /dev/urandom > /tmp/data && sync' % (dev, dev))
        data = self.sh('sha256sum < /tmp/data')
        self.fill_host(1 * MIB)
        msg = self.stopped_by_full_host(
            lambda: self.vm.spawn('cp /tmp/data /mnt/full/f && '
                                  'sync /mnt/full/f'))
        equal((msg['rc'], msg['err']), (0, ''), 'cp')
        self.sh('umount /mnt/full && mount -t btrfs %s /mnt/full' % dev)
        equal(self.sh('sha256sum < /mnt/full/f'), data, 'data')
        self.sh('umount /mnt/full')

    # -- unplug and quit --

    def write_until(self, disk, zone, lines):
        """Writers under way in four zones, lines flushes acknowledged."""
        seen = Flushed()

        def enough(line):
            seen(line)
            if seen.lines == lines:
                raise StopIteration
        job = self.vm.zqio('write', disk.dev, disk.start(zone),
                           disk.capacity, bs=16 * KIB, flush=4,
                           zones=WRITERS, stride=disk.zone_size,
                           on_line=enough)
        try:
            job.wait()
        except StopIteration:
            return seen
        raise AssertionError('the writers ended early')

    def unplug(self):
        d = self.disks['hot']
        seen = self.write_until(d, 0, 12)
        self.vm.qmp('device_del', id='dev-hot')
        self.vm.wait_event('DEVICE_DELETED')
        self.hot = dict(seen.ends)
        self.vm.qmp('blockdev-del', node_name='hot')
        equal(self.sh('echo alive').strip(), 'alive', 'the guest')
        d.check()
        zqio_pattern.check_image(self.env, d, self.hot)

    def replug(self):
        d = self.disks['hot']
        node, device = d.options()
        self.vm.qmp('blockdev-add', **node)
        self.vm.qmp('device_add', **device)
        d.find(self.vm)
        report = d.guest_report(self.vm)
        for start, end in self.hot.items():
            check(report[start // d.zone_size].wp * 512 >= end or
                  report[start // d.zone_size].cond == zr.FULL,
                  'flushed data is missing in the zone at %d' % start)
            equal(self.zqio('check', d, start, end - start), 'ok', 'data')

    def quit(self):
        d = self.disks['kill']
        equal(self.zqio('reset', d, 0, 16 * d.zone_size), 'ok', 'reset all')
        out = self.zqio('write', d, d.start(12), 64 * KIB)
        equal(out, 'ok %d' % d.start(12), 'write')
        seen = self.write_until(d, 0, 12)
        self.vm.spawn('while :; do blkzone finish -o %d -l %d %s; '
                      'blkzone reset -o %d -l %d %s; done' %
                      ((d.start(12) // 512, d.zone_size // 512, d.dev) * 2))
        self.vm.qmp('quit')
        equal(self.vm.wait_exit(), 0, 'exit status of QEMU')
        for disk in self.disks.values():
            disk.check()
        zqio_pattern.check_image(self.env, d, seen.ends)
