# SPDX-License-Identifier: GPL-2.0-or-later
#
# A zoned device of the host under QEMU's file driver.  The machine that runs
# the tests has none, but the guest's kernel has null_blk: qemu-io goes into
# the guest, with its libraries, and drives such a device there.

import os
import shutil
import subprocess

import zonereport
from machine import KIB, MIB, Group
from tap import check, equal

ZONE = 8 * MIB
SIZE = 36 * MIB                 # the last zone is half as large
LAST = 32 * MIB
SERIAL = 'zqtools'

FULL = 'Zone is full'
BOUNDARY = "Write passes the zone's capacity or end"
INVALID_APPEND = 'Invalid zone append'


class HostDevice(Group):
    def __init__(self, suite, env):
        super().__init__(suite, env)
        self.device = None
        for name, function in (
                ('zones are those of the kernel', self.zones),
                ('appends go on at the write pointer', self.appends),
                ('an append to a full zone is refused', self.full),
                ('an append over the end of its zone is refused',
                 self.boundary),
                ('an append to a conventional zone is refused',
                 self.conventional),
                ('a smaller last zone is reset and finished', self.last),
                ('write zeroes move the write pointer', self.zeroes),
                ('writes with FUA', self.fua),
                ('a reset of all zones is one of every pointer',
                 self.reset_all)):
            self.add('host device: ' + name, function)

    # -- qemu-io in the guest --

    def tools(self):
        """An image with qemu-io and what it is linked with."""
        folder = os.path.join(self.env.dir, SERIAL)
        image = folder + '.img'
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        files = [self.env.io] + [
            word for line in self.env.host('ldd', self.env.io).splitlines()
            for word in line.split() if word.startswith('/')]
        for path in files:
            shutil.copy(path, folder)
        subprocess.run(['strip', os.path.join(folder, 'qemu-io')], check=True)
        self.env.host('mke2fs', '-q', '-t', 'ext4', '-d', folder, image,
                      '128M')
        shutil.rmtree(folder)
        return image

    def set_up(self):
        image = self.tools()
        self.boot([], 'hostdev', [
            '-drive', 'if=none,id=%s,format=raw,read-only=on,file=%s' %
            (SERIAL, image.replace(',', ',,')),
            '-device', 'virtio-blk-pci,drive=%s,serial=%s' %
            (SERIAL, SERIAL)])
        self.sh('mkdir -p /mnt/tools && mount -o ro %s /mnt/tools' %
                self.vm.disk(SERIAL))
        self.sh('modprobe configfs; modprobe null_blk nr_devices=0; '
                'mountpoint -q /sys/kernel/config || '
                'mount -t configfs none /sys/kernel/config; '
                'd=/sys/kernel/config/nullb/zq; mkdir $d && cd $d && '
                'echo 512 > blocksize && echo %d > size && '
                'echo 1 > memory_backed && echo 1 > zoned && '
                'echo %d > zone_size && echo 1 > zone_nr_conv && '
                'echo 1 > power' % (SIZE // MIB, ZONE // MIB))
        # Named after the folder, or numbered by older kernels
        self.device = self.sh(
            'for n in zq nullb$(cat /sys/kernel/config/nullb/zq/index); do '
            '[ -b /dev/$n ] && echo /dev/$n && break; done; true').strip()

    def io(self, *commands):
        """What qemu-io says to these commands, in one process."""
        return self.sh(
            '/mnt/tools/ld-linux-x86-64.so.2 --library-path /mnt/tools '
            "/mnt/tools/qemu-io --image-opts %s "
            "driver=host_device,filename=%s,cache.direct=on 2>&1 || true" %
            (' '.join("-c '%s'" % command for command in commands),
             self.device))

    def kernel(self):
        return zonereport.parse_guest(self.sh('blkzone report ' +
                                              self.device))

    def report(self):
        """qemu-io's report of all zones; it is that of the kernel."""
        ours = zonereport.parse_host(self.io('zone_report 0 99'))
        equal(zonereport.differences(ours, self.kernel(), 'QEMU', 'kernel'),
              [], 'differences')
        return [zone.wp * 512 for zone in ours]

    def places(self, text):
        """Where appends went, bytes; other lines are those of errors."""
        return [int(line.rsplit(None, 1)[1], 16) * 512
                for line in text.splitlines() if 'append sector' in line]

    # -- tests --

    def zones(self):
        self.report()
        equal([(z.start * 512, z.len * 512, z.type) for z in self.kernel()],
              [(0, ZONE, zonereport.CONVENTIONAL)] +
              [(i, min(ZONE, SIZE - i), zonereport.SEQUENTIAL)
               for i in range(ZONE, SIZE, ZONE)], 'zones')

    def appends(self):
        out = self.io('zone_append -p -P 1 8M 4k', 'zone_append -p -P 2 8M '
                      '64k', 'write -P 3 8260k 4k', 'zone_append -p -P 4 8M 4k',
                      'flush', 'read -P 1 8M 4k', 'read -P 2 8196k 64k',
                      'read -P 3 8260k 4k', 'read -P 4 8264k 4k')
        check('failed' not in out, out)
        equal(self.places(out),
              [ZONE, ZONE + 4 * KIB, ZONE + 72 * KIB], 'appends')
        equal(self.report()[1], ZONE + 76 * KIB, 'write pointer')

    def full(self):
        out = self.io('zone_append -p 16M 4k', 'zone_finish 16M 8M',
                      'zone_append -p 16M 4k')
        equal(self.places(out), [2 * ZONE], 'appends')
        check(FULL in out, out)
        # Nothing went to the next zone.
        equal(self.report()[3], 3 * ZONE, 'write pointer')
        # In a new process, which has asked the kernel
        check(FULL in self.io('zone_append 16M 4k'), 'not refused')
        out = self.io('zone_reset 16M 8M', 'zone_append -p 16M 4k')
        equal(self.places(out), [2 * ZONE], 'after a reset')

    def boundary(self):
        out = self.io('write 24M 8188k', 'zone_append -p 24M 8k',
                      'zone_append -p 24M 4k')
        equal(self.places(out), [LAST - 4 * KIB], 'appends')
        check(BOUNDARY in out, out)
        self.report()

    def conventional(self):
        out = self.io('zone_append -p 0 4k', 'write -P 7 4M 4k',
                      'write -P 8 1M 4k', 'read -P 7 4M 4k',
                      'read -P 8 1M 4k')
        check(INVALID_APPEND in out, out)
        equal(out.count('failed'), 1, 'failures')
        self.report()

    def last(self):
        length = SIZE - LAST
        out = self.io('zone_append -p 32M 64k', 'zone_reset 32M 4M',
                      'zone_append -p 32M 4k', 'zone_finish 32M 4M',
                      'zone_append 32M 4k', 'zone_reset 32M 4M',
                      'zone_append -p -P 9 32M 8k', 'read -P 9 32M 8k')
        equal(self.places(out), [LAST] * 3, 'appends')
        check(out.count('failed') == 1 and FULL in out, out)
        equal(self.report()[-1], LAST + 8 * KIB, 'write pointer')
        out = self.io('zone_finish 32M %d' % length)
        equal(self.kernel()[-1].cond, zonereport.FULL, 'condition')

    def zeroes(self):
        out = self.io('zone_reset 16M 8M', 'write -z 16M 64k',
                      'zone_append -p -P 5 16M 4k', 'write -zu 16452k 60k',
                      'zone_append -p -P 6 16M 4k', 'read -P 0 16M 64k',
                      'read -P 5 16448k 4k', 'read -P 0 16452k 60k',
                      'read -P 6 16512k 4k')
        check('failed' not in out, out)
        equal(self.places(out),
              [2 * ZONE + 64 * KIB, 2 * ZONE + 128 * KIB], 'appends')
        equal(self.report()[2], 2 * ZONE + 132 * KIB, 'write pointer')
        # Misplaced: the pointer is that of the kernel.
        out = self.io('write -z 17M 64k', 'zone_append -p 16M 4k')
        equal(out.count('failed'), 1, out)
        equal(self.places(out), [2 * ZONE + 132 * KIB], 'appends')

    def fua(self):
        out = self.io('zone_reset 16M 8M', 'write -f -P 7 16M 64k', 'flush',
                      'write -f -P 8 16448k 4k', 'zone_append -p 16M 4k',
                      'read -P 7 16M 64k', 'read -P 8 16448k 4k')
        check('failed' not in out, out)
        equal(self.places(out), [2 * ZONE + 68 * KIB], 'appends')
        self.report()

    def reset_all(self):
        out = self.io('zone_append -p 8M 4k', 'zone_reset -a',
                      *('zone_append -p %dM 4k' % m for m in (8, 16, 24, 32)))
        equal(self.places(out)[1:], [ZONE, 2 * ZONE, 3 * ZONE, LAST],
              'appends')
        equal(self.report()[1:], [i + 4 * KIB for i in range(ZONE, SIZE,
                                                             ZONE)],
              'write pointers')


def groups(suite, env):
    return [HostDevice(suite, env)]
