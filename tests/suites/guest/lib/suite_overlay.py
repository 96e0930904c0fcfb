# SPDX-License-Identifier: GPL-2.0-or-later
#
# Overlays of a zoned disk: made under a guest that writes, and thrown away.

import hashlib

import zonereport as zr
from machine import Disk, Group, MIB
from tap import check, equal

ZONES = 8


def groups(suite, env):
    return [Overlays(suite, env), ThrownAway(suite, env)]


def sha(path):
    with open(path, 'rb') as image:
        return hashlib.sha256(image.read()).hexdigest()


class Overlays(Group):
    def __init__(self, suite, env):
        super().__init__(suite, env)
        self.add('fio goes on, on overlays that are made under it, and '
                 'verifies what it wrote before and after', self.under_fio)

    def set_up(self):
        self.disk = Disk(self.env, 'overlay', ZONES, 16 * MIB)
        self.boot([self.disk], 'overlay')

    def under_fio(self):
        disk = self.disk
        job = self.vm.spawn(
            'fio --name=overlay --filename=%s --zonemode=zbd --direct=1 '
            '--ioengine=libaio --iodepth=8 --rw=write --bs=64k --size=%d '
            '--verify=crc32c 2>&1' % (disk.dev, 6 * disk.zone_size))
        images, node = [disk.image], disk.name
        for number in range(3):
            images.append(disk.image + '.%d' % number)
            self.vm.qmp('blockdev-snapshot-sync', **{
                'node-name': node, 'snapshot-file': images[-1],
                'snapshot-node-name': 'over%d' % number})
            node = 'over%d' % number
        msg = job.wait()
        check(msg['rc'] == 0, 'fio: %s' % msg)
        # What is reset hides what the images below have.
        self.sh('blkzone reset -o 0 -c 1 %s; dd if=/dev/urandom of=%s bs=64k '
                'count=3 oflag=direct 2>&1; blkzone finish -o 0 -c 1 %s; '
                '[ $(dd if=%s bs=64k skip=3 count=%d 2>/dev/null | '
                'tr -d "\\\\0" | wc -c) = 0 ]' %
                (4 * (disk.dev,) + (disk.zone_size // 65536 - 3,)))
        seen = zr.after_restart(disk.guest_report(self.vm))
        equal([zone.cond for zone in seen], 6 * [zr.FULL] + 2 * [zr.EMPTY],
              'conditions')
        self.vm.poweroff()
        for disk.image in images:
            disk.check()
        equal(zr.differences(seen, disk.host_report(), 'guest', 'host'), [],
              'zones')


class ThrownAway(Group):
    def __init__(self, suite, env):
        super().__init__(suite, env)
        self.add('snapshot=on: the guest writes, and the image is as it was',
                 self.thrown_away)

    def set_up(self):
        self.disk = Disk(self.env, 'golden', ZONES, 16 * MIB)
        self.env.host(self.env.io, '-f', 'qcow2', '-c', 'write -P 1 0 64k',
                      '-c', 'write -P 2 16M 16M', self.disk.image)
        self.before = sha(self.disk.image)
        self.boot([], 'golden', [
            '-drive', 'if=none,id=golden,format=qcow2,snapshot=on,file=' +
            self.disk.image,
            '-device', 'virtio-blk-pci,drive=golden,serial=golden'])
        self.disk.find(self.vm)

    def thrown_away(self):
        disk = self.disk
        equal([zone.cond for zone in disk.guest_report(self.vm)],
              [zr.CLOSED, zr.FULL] + 6 * [zr.EMPTY], 'conditions')
        self.sh('blkzone reset -o %d -c 1 %s; dd if=/dev/urandom of=%s bs=64k '
                'count=8 seek=1 oflag=direct 2>&1; blkzone finish -o %d -c 1 %s; '
                'sync' % (disk.start(1) // 512, disk.dev, disk.dev,
                          disk.start(3) // 512, disk.dev))
        equal([zone.cond for zone in
               zr.after_restart(disk.guest_report(self.vm))],
              [zr.CLOSED, zr.EMPTY, zr.EMPTY, zr.FULL] + 4 * [zr.EMPTY],
              'conditions after the writes')
        self.vm.poweroff()
        equal(sha(disk.image), self.before, 'the image')
