# SPDX-License-Identifier: GPL-2.0-or-later
#
# XFS keeps its metadata in the conventional zones of a disk and its data in
# the others, since Linux 6.15: so this boots the guest with the newest kernel
# (make-guest --newest), where that can be had.

import copy
import os

import zonereport as zr
from machine import Disk, Group, MIB
from suite_disks import FILES, SUMS
from tap import Skip, check, equal

XFS = '/mnt/xfs'


def groups(suite, env):
    return [Xfs(suite, env)]


class Xfs(Group):
    def __init__(self, suite, env):
        super().__init__(suite, env)
        self.add('XFS on a zoned disk keeps its files over a restart, on the '
                 'newest Linux', self.files)

    def set_up(self):
        newest = copy.copy(self.env)
        # What runs one kernel runs the other, and to try takes long.
        newest._accel = self.env.accel
        newest.guest = self.env.guest + '-newest'
        self.env = newest

    def start(self, disk, name):
        self.boot([disk], name, modules='xfs')
        self.sh('mkdir -p ' + XFS)

    def mount(self, disk):
        self.sh('mount -t xfs %s %s' % (disk.dev, XFS))

    def stop(self, disk):
        """Unmount, look for damage, and see the same zones from outside."""
        self.sh('umount %s && xfs_repair -n %s' % (XFS, disk.dev))
        seen = zr.after_restart(disk.guest_report(self.vm))
        self.vm.poweroff()
        equal(zr.differences(seen, disk.host_report(), 'guest', 'host'), [],
              'zones')
        disk.check()
        return seen

    def files(self):
        missing = self.env.guest + '.missing'
        if os.path.exists(missing):
            with open(missing) as f:
                why = f.read().strip()
            self.suite.note(why)
            raise Skip('there is no newest Linux, for the reason above')
        # No smaller file system: its log wants 64 MiB, and all 300 MiB.
        disk = Disk(self.env, 'xfs', 64, 16 * MIB, conventional_zones=20)
        self.start(disk, 'xfs')
        self.sh('mkfs.xfs -q ' + disk.dev)
        self.mount(disk)
        check(' zoned=1 ' in self.sh('xfs_info ' + XFS),
              'the file system knows of no zones')
        self.sh(FILES % (8, 300000, XFS))
        # Written out of place, and a zone or two with holes
        self.sh('cd %s; rm f3 f5; cp f8 f2; dd if=/dev/urandom of=f7 bs=64k '
                'seek=4 count=4 conv=notrunc,fsync 2>&1; sync' % XFS)
        sums = self.sh(SUMS % XFS)
        equal(len(sums.splitlines()), 6, 'files')
        seen = self.stop(disk)
        written = [z for z in seen if z.type == zr.SEQUENTIAL
                   and z.cond != zr.EMPTY]
        check(written, 'nothing was written to a sequential zone')

        self.start(disk, 'xfs-again')
        self.mount(disk)
        equal(self.sh(SUMS % XFS), sums, 'checksums')
        self.sh('cp %s/f8 %s/f9 && sync' % (XFS, XFS))
        self.stop(disk)
