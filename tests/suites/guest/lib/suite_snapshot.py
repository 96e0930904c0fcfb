# SPDX-License-Identifier: GPL-2.0-or-later
#
# A machine that goes back to a snapshot: what is in its memory and what is on
# its zoned disk fit each other.

import zonereport as zr
from machine import Disk, Group, MIB
from tap import check, equal

ZONES = 8


def groups(suite, env):
    return [Snapshots(suite, env)]


class Snapshots(Group):
    def __init__(self, suite, env):
        super().__init__(suite, env)
        self.add('a snapshot of a machine is loaded: its zones are as they '
                 'were, but for what was open', self.goes_back)
        self.add('a snapshot is taken and loaded in the middle of fio, which '
                 'ends well and verifies what it wrote each time', self.fio)

    def set_up(self):
        self.disk = Disk(self.env, 'snapshot', ZONES, 16 * MIB)
        self.boot([self.disk], 'snapshot')

    def job(self, command, **arguments):
        number = len(self.vm.events('JOB_STATUS_CHANGE'))
        self.vm.qmp(command, **{'job-id': 'job', 'tag': 'one',
                                'devices': [self.disk.name]}, **arguments)
        status = None
        while status != 'concluded':
            number += 1
            event = self.vm.wait_event('JOB_STATUS_CHANGE', number)
            status = event['data']['status']
        job, = self.vm.qmp('query-jobs')
        self.vm.qmp('job-dismiss', id='job')
        check('error' not in job, '%s: %s' % (command, job.get('error')))

    def save(self):
        self.job('snapshot-save', vmstate=self.disk.name)

    def load(self):
        self.vm.qmp('stop')
        self.job('snapshot-load', vmstate=self.disk.name)
        self.vm.qmp('cont')

    def goes_back(self):
        disk = self.disk
        self.sh('dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>&1; '
                'dd if=/tmp/data of=%s bs=64k oflag=direct seek=%d 2>&1; '
                'blkzone open -o %d -c 1 %s; sync' %
                (disk.dev, disk.start(1) // 65536, disk.start(2) // 512,
                 disk.dev))
        before = disk.guest_report(self.vm)
        self.save()
        self.sh('blkzone reset %s; dd if=/dev/zero of=%s bs=64k count=32 '
                'oflag=direct seek=%d 2>&1; rm /tmp/data' %
                (disk.dev, disk.dev, disk.start(1) // 65536))
        self.load()
        equal(zr.differences(zr.after_restart(before),
                             disk.guest_report(self.vm), 'saved', 'loaded'),
              [], 'zones')
        # Memory and disk of one moment, and the disk takes writes again.
        self.sh('[ "$(sha256sum < /tmp/data)" = "$(dd if=%s bs=64k '
                'iflag=direct skip=%d count=64 2>/dev/null | sha256sum)" ]' %
                (disk.dev, disk.start(1) // 65536))
        self.sh('dd if=/tmp/data of=%s bs=64k oflag=direct seek=%d 2>&1' %
                (disk.dev, (disk.start(1) + 4 * MIB) // 65536))
        self.vm.qmp('human-monitor-command', **{'command-line': 'delvm one'})

    def fio(self):
        disk = self.disk
        self.sh('blkzone reset ' + disk.dev)
        job = self.vm.spawn(
            'fio --name=snapshot --filename=%s --zonemode=zbd --direct=1 '
            '--ioengine=libaio --iodepth=8 --rw=write --bs=64k --size=%d '
            '--verify=crc32c 2>&1' % (disk.dev, 6 * disk.zone_size))
        self.save()
        msg = job.wait()
        check(msg['rc'] == 0, 'fio: %s' % msg)
        self.sh('blkzone reset ' + disk.dev)
        self.load()
        # It goes on where it was when the snapshot was taken.
        msg = job.wait()
        check(msg['rc'] == 0, 'fio, once more: %s' % msg)
        equal([zone.cond for zone in disk.guest_report(self.vm)],
              6 * [zr.FULL] + 2 * [zr.EMPTY], 'conditions')
        self.vm.poweroff()
        disk.check()
