# SPDX-License-Identifier: GPL-2.0-or-later
#
# A disk that becomes longer, and shorter, under a guest that uses it.

import zonereport as zr
from machine import Disk, Group, MIB
from tap import check, equal

ZONES, MORE, LESS = 8, 16, 6


def groups(suite, env):
    return [Resize(suite, env)]


class Resize(Group):
    def __init__(self, suite, env):
        super().__init__(suite, env)
        self.add('a disk becomes longer under fio: the guest sees the new '
                 'zones and writes to them', self.grows)
        self.add('it becomes smaller: not while the zones that go have data, '
                 'and the guest sees those that stay', self.shrinks)

    def set_up(self):
        self.disk = Disk(self.env, 'longer', ZONES, 16 * MIB)
        self.boot([self.disk], 'longer')

    def grows(self):
        disk = self.disk
        size = MORE * disk.zone_size
        job = self.vm.spawn(
            'fio --name=longer --filename=%s --zonemode=zbd --direct=1 '
            '--ioengine=libaio --iodepth=8 --rw=write --bs=64k --size=%d '
            '--verify=crc32c 2>&1' % (disk.dev, 4 * disk.zone_size))
        self.vm.qmp('block_resize', **{'node-name': disk.name, 'size': size})
        msg = job.wait()
        check(msg['rc'] == 0, 'fio: %s' % msg)

        # What QEMU tells the guest takes a moment to be worked on there.
        self.sh('until [ $(blockdev --getsize64 %s) = %d ]; do sleep 0.1; done'
                % (disk.dev, size))
        disk.zones = MORE
        zones = disk.guest_report(self.vm)
        equal([zone.cond for zone in zones],
              4 * [zr.FULL] + (MORE - 4) * [zr.EMPTY], 'conditions')
        self.sh('dd if=/dev/urandom of=%s bs=64k count=4 seek=%d oflag=direct '
                '2>&1; sync %s' % (disk.dev, disk.start(12) // 65536, disk.dev))
        seen = zr.after_restart(disk.guest_report(self.vm))
        equal(seen[12].cond, zr.CLOSED, 'condition of zone 12')

    def shrinks(self):
        disk = self.disk
        size = LESS * disk.zone_size
        arguments = {'node-name': disk.name, 'size': size}
        error = self.vm.qmp('block_resize', check=False, **arguments)
        check('The zone at offset %d would lose data' % disk.start(12) in
              str(error), 'block_resize: %s' % error)
        self.sh('blkzone reset -o %d %s' % (disk.start(12) // 512, disk.dev))
        self.vm.qmp('block_resize', **arguments)
        self.sh('until [ $(blockdev --getsize64 %s) = %d ]; do sleep 0.1; done'
                % (disk.dev, size))
        disk.zones = LESS
        self.sh('dd if=/dev/urandom of=%s bs=64k count=4 seek=%d oflag=direct '
                '2>&1; sync %s' % (disk.dev, disk.start(5) // 65536, disk.dev))
        seen = zr.after_restart(disk.guest_report(self.vm))
        equal([zone.cond for zone in seen],
              4 * [zr.FULL] + [zr.EMPTY, zr.CLOSED], 'conditions')
        self.vm.poweroff()
        equal(zr.differences(seen, disk.host_report(), 'guest', 'host'), [],
              'zones')
        disk.check()
