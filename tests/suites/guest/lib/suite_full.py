# SPDX-License-Identifier: GPL-2.0-or-later
#
# A host whose file system is full while the guest has many appends under
# way: the guest stops, goes on where there is room again, here or in another
# QEMU, and has seen nothing of it.

import os
import re

from guestvm import GuestError
from machine import Disk, Group, KIB, MIB
from tap import Skip, check, equal

ROOM = 144 * MIB
# The files of each disk: direct writes, and two copies by way of the page
# cache, 18 MiB in all.
WRITERS, SIZE, COPY = 16, 768 * KIB, 3 * MIB
# The room that is left to them at first, and that is made at each stop but
# the last.  Less than the files by more than what may be reserved before.
LEAVE, STEP, STOPS = 7 * MIB, 2 * MIB, 3
# The file is slow, so that the guest's requests pile up above it.
ARGS = ['-object', 'throttle-group,id=slow,x-iops-write=200',
        '-object', 'iothread,id=io0', '-object', 'iothread,id=io1']
NAMES = ('deep', 'deepmq', 'deepmig')
SUMS = 'cd %s && sha256sum c* w*'
BAD = re.compile('I/O error|critical|BTRFS (error|warning|critical)')
FIO = ('fio --output=/tmp/fio.out --ioengine=libaio --iodepth=16 --direct=1 '
       '--bs=32k --size=%d --verify=crc32c --verify_fatal=1 --thread %%s ' %
       SIZE + ' '.join('--name=w%d --filename=w%d' % (i, i)
                       for i in range(1, WRITERS + 1)))


def groups(suite, env):
    return [FullHost(suite, env)]


class FullHost(Group):
    def __init__(self, suite, env):
        super().__init__(suite, env)
        self.sums = {}
        self.room = None
        for function, name in [
                (self.deep, 'a full host under appends at depth: with room '
                 'the guest goes on and has seen no error'),
                (self.deepmq, 'a full host under appends at depth: the same '
                 'with two iothreads'),
                (self.deepmig, 'a full host under appends at depth: the same '
                 'with migrations before cont'),
                (self.again, 'a full host under appends at depth: after a '
                 'restart all files are as they were')]:
            self.add(name, function)

    def set_up(self):
        if not os.environ.get('ZQ_PRIVATE_MOUNTS'):
            return
        folder = os.path.join(self.env.dir, 'deep')
        os.mkdir(folder)
        self.env.host('mount', '-t', 'tmpfs', '-o', 'size=%d' % ROOM,
                      'tmpfs', folder)
        self.room = os.path.join(folder, 'ballast')
        self.disks = {}
        for name in NAMES:
            device = {'werror': 'enospc'}
            blockdev = {'file': {
                'driver': 'throttle', 'throttle-group': 'slow',
                'file': {'driver': 'file', 'filename':
                         os.path.join(folder, name + '.qcow2')}}}
            if name == 'deepmq':
                device['num-queues'] = 2
                device['iothread-vq-mapping'] = [{'iothread': 'io0'},
                                                 {'iothread': 'io1'}]
            self.disks[name] = Disk(self.env, name, 32, 8 * MIB, folder=folder,
                                    device=device, blockdev=blockdev)
        self.start('full')
        self.sh('for i in 1 2; do head -c %d /dev/urandom > /tmp/c$i; '
                'done; cd /tmp; sha256sum c1 c2 > sums' % COPY)
        for d in self.disks.values():
            self.sh('mkfs.btrfs -q -O zoned -d single -m single %s' % d.dev)
            self.mount(d)

    def start(self, name):
        self.boot(self.disks.values(), name, ARGS, modules='btrfs')

    def mount(self, disk):
        self.sh('mkdir -p /mnt/{0}; mount -t btrfs {1} /mnt/{0}'.format(
            disk.name, disk.dev))

    def need_room(self):
        if not self.room:
            raise Skip('a mount namespace for a small tmpfs is not allowed '
                       'here')

    def is_broken(self):
        try:
            return super().is_broken() or \
                self.vm.qmp('query-status')['status'] != 'running'
        except GuestError:
            return True

    # -- the host --

    def fill(self, leave):
        """Use up the small file system except for so many bytes."""
        if os.path.exists(self.room):
            os.unlink(self.room)
        st = os.statvfs(os.path.dirname(self.room))
        with open(self.room, 'wb') as f:
            os.posix_fallocate(f.fileno(), 0,
                               st.f_bavail * st.f_frsize - leave)

    def make_room(self, last):
        if last:
            os.unlink(self.room)
        else:
            os.truncate(self.room, os.stat(self.room).st_size - STEP)

    def stopped(self):
        """The guest is: for lack of room, with so many writes failed."""
        equal(self.vm.qmp('query-status')['status'], 'io-error', 'status')
        events = self.vm.events('BLOCK_IO_ERROR')
        for event in events:
            data = event['data']
            equal((data['action'], data['operation'], data.get('nospace')),
                  ('stop', 'write', True), 'BLOCK_IO_ERROR')
        return len(events)

    def move(self):
        """Migrate to another QEMU, on the same file"""
        vm = self.env.vm(self.disks.values(), self.vm.name + '-moved', ARGS)
        old, self.vm = self.vm, vm
        old.migrate(vm)
        equal(vm.qmp('query-status')['status'], 'io-error', 'status')

    # -- the guest --

    def write_full(self, name, move=False):
        """Write files, with the host full STOPS times meanwhile"""
        folder = '/mnt/' + name
        self.sh('dmesg -C; cd %s; for i in $(seq %d); do truncate -s %d w$i; '
                'done; sync' % (folder, WRITERS, SIZE))
        self.fill(LEAVE)
        stops, errors = (len(self.vm.events(e))
                         for e in ('STOP', 'BLOCK_IO_ERROR'))
        failed = []
        job = self.vm.spawn(
            'cd %s; for i in 1 2; do { cp /tmp/c$i c$i && sync c$i; } & '
            'p="$p $!"; done; %s || exit 1; '
            'for i in $p; do wait $i || exit 2; done; sync' %
            (folder, FIO % '--rw=randwrite --do_verify=0 --end_fsync=1'))
        for n in range(STOPS):
            self.vm.wait_event('STOP', stops + 1, job=job)
            failed.append(self.stopped() - errors)
            self.make_room(n == STOPS - 1)
            if move:
                self.move()
            stops, errors = (len(self.vm.events(e))
                             for e in ('STOP', 'BLOCK_IO_ERROR'))
            self.vm.qmp('cont')
        msg = job.wait()
        # More than one at most stops, but how many hangs on time.
        self.suite.note('%s: writes failed at the stops: %s' % (
            name, failed))
        self.no_errors(name)
        equal((msg['rc'], msg['err'], msg['out']), (0, '', ''), 'writers')
        # Not out of the page cache
        self.sh('umount ' + folder)
        self.mount(self.disks[name])
        self.sh('cd %s && sha256sum -c --quiet /tmp/sums && %s' %
                (folder, FIO % '--rw=read --verify_only'))
        self.sums[name] = self.sh(SUMS % folder)
        self.no_errors(name)

    def no_errors(self, name):
        lines = [line for line in self.sh('dmesg').splitlines()
                 if BAD.search(line)]
        equal(lines, [], 'what the kernel says')
        self.sh('btrfs device stats --check /mnt/' + name)

    def deep(self):
        self.need_room()
        self.write_full('deep')

    def deepmq(self):
        self.need_room()
        self.write_full('deepmq')

    def deepmig(self):
        self.need_room()
        self.write_full('deepmig', move=True)

    def again(self):
        self.need_room()
        equal(sorted(self.sums), sorted(NAMES), 'disks that were written')
        self.vm.poweroff()
        for disk in self.disks.values():
            disk.check()
        self.start('full-again')
        for disk in self.disks.values():
            self.mount(disk)
            equal(self.sh(SUMS % ('/mnt/' + disk.name)),
                  self.sums[disk.name], 'checksums')
            out = self.sh('btrfs scrub start -B -r /mnt/%s 2>&1' % disk.name,
                          check=False)
            check('no errors found' in out, 'scrub: ' + out)
            self.no_errors(disk.name)
        self.vm.poweroff()
