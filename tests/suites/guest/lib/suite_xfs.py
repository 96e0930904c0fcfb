# SPDX-License-Identifier: GPL-2.0-or-later
#
# XFS keeps its metadata in the conventional zones of a disk and its data in
# the others, or its data alone on a zoned realtime device, since Linux 6.15: so
# this boots the guest with the newest kernel (make-guest --newest), where that
# can be had.

import os

import zonereport as zr
from machine import Disk, Group, MIB
from places import FULL
from suite_disks import FILES, SUMS
from tap import Skip, check, equal

XFS = '/mnt/xfs'


def groups(suite, env):
    """env: that of the newest kernel."""
    found = [Xfs(suite, env)]
    if FULL:
        found += [Realtime(suite, env, 'virtio-blk'),
                  Realtime(suite, env, 'NVMe')]
    return found


class Xfs(Group):
    """No smaller file system: its log wants 64 MiB, and all 300 MiB."""

    def __init__(self, suite, env):
        super().__init__(suite, env)
        self.disk = None
        self.add('XFS on a zoned disk keeps its files over a restart, on the '
                 'newest Linux', self.files)
        if FULL:
            self.add('XFS on a zoned disk keeps what was synced over kill -9, '
                     'on the newest Linux', self.killed)

    def set_up(self):
        if not os.path.exists(self.env.guest + '.missing'):
            self.disk = Disk(self.env, 'xfs', 64, 16 * MIB,
                             conventional_zones=20)

    def start(self, name):
        self.boot([self.disk], name, modules='xfs')
        self.sh('mkdir -p ' + XFS)

    def make(self):
        self.sh('mkfs.xfs -q -f ' + self.disk.dev)

    def mount(self):
        self.sh('mount -t xfs %s %s' % (self.disk.dev, XFS))

    def repair(self):
        self.sh('xfs_repair -n ' + self.disk.dev)

    def stop(self):
        """Unmount, look for damage, and see the same zones from outside."""
        disk = self.disk
        self.sh('umount ' + XFS)
        self.repair()
        seen = zr.after_restart(disk.guest_report(self.vm))
        self.vm.poweroff()
        equal(zr.differences(seen, disk.host_report(), 'guest', 'host'), [],
              'zones')
        disk.check()
        return seen

    def must_have_it(self):
        missing = self.env.guest + '.missing'
        if os.path.exists(missing):
            with open(missing) as f:
                why = f.read().strip()
            self.suite.note(why)
            raise Skip('there is no newest Linux, for the reason above')

    def files(self):
        self.must_have_it()
        self.start('xfs')
        self.make()
        self.mount()
        check(' zoned=1 ' in self.sh('xfs_info ' + XFS),
              'the file system knows of no zones')
        self.sh(FILES % (8, 300000, XFS))
        # Written out of place, and a zone or two with holes
        self.sh('cd %s; rm f3 f5; cp f8 f2; dd if=/dev/urandom of=f7 bs=64k '
                'seek=4 count=4 conv=notrunc,fsync 2>&1; sync' % XFS)
        sums = self.sh(SUMS % XFS)
        equal(len(sums.splitlines()), 6, 'files')
        seen = self.stop()
        written = [z for z in seen if z.type == zr.SEQUENTIAL
                   and z.cond != zr.EMPTY]
        check(written, 'nothing was written to a sequential zone')

        self.start('xfs-again')
        self.mount()
        equal(self.sh(SUMS % XFS), sums, 'checksums')
        self.sh('cp %s/f8 %s/f9 && sync' % (XFS, XFS))
        self.stop()

    def killed(self):
        self.must_have_it()
        self.start('xfs-killed')
        self.make()
        self.mount()
        self.sh(FILES % (8, 300000, XFS))
        self.sh('sync')
        sums = self.sh(SUMS % XFS)
        equal(len(sums.splitlines()), 8, 'files')
        # With more on its way
        self.vm.spawn('cat %s/f* > %s/late' % (XFS, XFS))
        self.vm.kill()
        self.start('xfs-recovered')
        self.mount()
        self.sh('rm -f %s/late' % XFS)
        equal(self.sh(SUMS % XFS), sums, 'checksums')
        self.stop()


class Realtime(Xfs):
    """Metadata on a plain disk, data on the zones of another."""

    def __init__(self, suite, env, face):
        super().__init__(suite, env)
        self.face = face
        self.tests = [('%s (realtime device on %s)' % (name, face), function)
                      for name, function in self.tests]
        self.plain = os.path.join(env.dir, 'xfs-plain-%s.raw' % face)

    def set_up(self):
        if os.path.exists(self.env.guest + '.missing'):
            return
        name = 'xfs-' + self.face
        self.env.host(self.env.img, 'create', '-q', '-f', 'raw', self.plain,
                      '512M')
        # Linux 7.2 does not flush a realtime device before the log refers to
        # what was written there: with a cache that loses it the mount fails.
        device = {'write-cache': 'off'}
        if self.face == 'NVMe':
            device['driver'] = 'nvme'
        self.disk = Disk(self.env, name, 64, 16 * MIB, device=device)

    def start(self, name):
        self.boot([self.disk], name + '-' + self.face, args=[
            '-drive', 'if=none,id=plain,format=raw,file=' + self.plain,
            '-device', 'virtio-blk-pci,drive=plain,serial=plain'],
                  modules='nvme xfs')
        self.dev = self.vm.disk('plain')
        self.sh('mkdir -p ' + XFS)

    def make(self):
        self.sh('mkfs.xfs -q -f -r zoned=1,rtdev=%s %s' %
                (self.disk.dev, self.dev))

    def mount(self):
        self.sh('mount -t xfs -o rtdev=%s %s %s' %
                (self.disk.dev, self.dev, XFS))

    def repair(self):
        self.sh('xfs_repair -n -r %s %s' % (self.disk.dev, self.dev))
