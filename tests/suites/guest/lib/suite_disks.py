# SPDX-License-Identifier: GPL-2.0-or-later
#
# One boot in which disks are written in every way, and a second one in which
# all of it must be there again.

import os
import re

import zonereport as zr
from machine import Disk, Group, KIB, MIB
from tap import check, equal

FILES = 'for i in $(seq %d); do head -c $((%d * i)) /dev/urandom ' \
        '> %s/f$i; done; sync'
SUMS = 'cd %s && sha256sum f* | sort -k2'


class State:
    """What the first boot leaves for the second."""

    def __init__(self):
        self.disks = {}
        self.reports = {}
        self.sums = {}


def make_disks(env):
    disks = [
        Disk(env, 'ops', 16, 4 * MIB, capacity=3 * MIB,
             conventional_zones=2, max_open_zones=3, max_active_zones=5),
        Disk(env, 'lbs4k', 8, 4 * MIB, capacity=4 * MIB - 4096,
             device={'logical_block_size': 4096,
                     'physical_block_size': 4096}),
        Disk(env, 'fio', 48, 16 * MIB, capacity=12 * MIB),
        Disk(env, 'mq', 32, 8 * MIB, device={
            'num-queues': 4,
            'iothread-vq-mapping': [{'iothread': 'io0'},
                                    {'iothread': 'io1'}]}),
        Disk(env, 'btrfs', 64, 16 * MIB, max_active_zones=16),
        Disk(env, 'zonefs', 24, 8 * MIB, capacity=6 * MIB,
             conventional_zones=2, max_active_zones=8, max_open_zones=6),
        Disk(env, 'f2fs', 80, 8 * MIB, conventional_zones=12),
        Disk(env, 'dmz', 64, 8 * MIB, conventional_zones=10),
    ]
    return {disk.name: disk for disk in disks}


IOTHREADS = ['-object', 'iothread,id=io0', '-object', 'iothread,id=io1']


def groups(suite, env):
    state = State()
    return [First(suite, env, state), Second(suite, env, state)]


class First(Group):
    def __init__(self, suite, env, state):
        super().__init__(suite, env)
        self.state = state
        for function, name in [
                (self.limits_seen, 'the guest sees the zone model and every '
                 'limit of the image'),
                (self.fresh_report, 'a fresh image reports empty and '
                 'conventional zones as they were created'),
                (self.write_moves, 'a write moves the write pointer and '
                 'opens the zone'),
                (self.above_is_zero, 'reads at and above the write pointer '
                 'give zeros'),
                (self.misplaced, 'a write that is not at the write pointer '
                 'fails and changes nothing'),
                (self.conventional, 'conventional zones are written anywhere '
                 'and refuse zone operations'),
                (self.open_close, 'open and close walk the states'),
                (self.capacity, 'a write up to the capacity fills the zone, '
                 'one past it fails'),
                (self.finish, 'finish makes a zone full, above its data it '
                 'reads zeros'),
                (self.reset_one, 'reset empties one zone and leaves its '
                 'neighbours'),
                (self.invalid, 'operations that a full or an empty zone '
                 'does not allow fail'),
                (self.open_limit, 'one zone more than max_open_zones fails '
                 'with ETOOMANYREFS'),
                (self.implicit_close, 'an implicitly open zone gives way at '
                 'the open limit'),
                (self.active_limit, 'one zone more than max_active_zones '
                 'fails with EOVERFLOW'),
                (self.reset_all, 'reset of the whole disk empties all '
                 'sequential zones and spares conventional data'),
                (self.block_size, 'a disk of 4096-byte blocks is written and '
                 'filled to an odd capacity'),
                (self.fio_seq, 'fio: sequential writes over several zones, '
                 'verified'),
                (self.fio_rand, 'fio: random writes with max_open_zones, '
                 'verified'),
                (self.fio_reset, 'fio: writes that reset zones again and '
                 'again, verified'),
                (self.fio_flush, 'fio: writes with fsync and FUA, verified'),
                (self.mq_fio, 'two iothreads: four fio jobs on their own '
                 'zones, verified'),
                (self.mq_mixed, 'two iothreads: writes beside resets and '
                 'finishes of other zones'),
                (self.btrfs, 'btrfs in zoned mode holds files'),
                (self.append, 'btrfs wrote by zone appends'),
                (self.zonefs, 'zonefs: files are zones, append, truncate to '
                 'nothing and to the end'),
                (self.f2fs, 'f2fs holds files'),
                (self.dm_zoned, 'ext4 on dm-zoned holds files'),
                (self.power_off, 'the guest powers off, and the host sees '
                 'the zones that the guest saw'),
                (self.host_check, 'qemu-img check finds all images sound')]:
            self.add(name, function)

    def set_up(self):
        self.disks = self.state.disks = make_disks(self.env)
        self.ops = self.disks['ops']
        self.boot(self.disks.values(), 'first', IOTHREADS, smp=4)

    # -- zone by zone --

    def zone(self, disk, index):
        return disk.guest_report(self.vm)[index]

    def condition(self, index, cond, written=None, disk=None):
        disk = disk or self.ops
        zone = self.zone(disk, index)
        equal(zr.show('cond', zone.cond), zr.show('cond', cond),
              'zone %d' % index)
        if written is not None:
            equal((zone.wp - zone.start) * 512, written,
                  'bytes below the write pointer of zone %d' % index)

    def op(self, what, index, count=1):
        return self.zqio(what, self.ops, self.ops.start(index),
                         count * self.ops.zone_size)

    def write(self, index, offset, length, **more):
        res = self.zqio('write', self.ops, self.ops.start(index) + offset,
                        length, **more)
        return res.split()[0]

    def limits_seen(self):
        self.queue_limits(self.ops, zoned='host-managed', nr_zones='16',
                          chunk_sectors='8192', max_open_zones='3',
                          max_active_zones='5', zone_write_granularity='512')

    def fresh_report(self):
        sectors = self.ops.zone_size // 512
        want = [zr.Zone(i * sectors, sectors,
                        sectors if i < 2 else 3 * MIB // 512,
                        i * sectors, zr.NOT_WP if i < 2 else zr.EMPTY,
                        zr.CONVENTIONAL if i < 2 else zr.SEQUENTIAL)
                for i in range(16)]
        equal(zr.differences(self.ops.guest_report(self.vm), want, 'guest',
                             'expected'), [], 'differences')

    def write_moves(self):
        equal(self.write(2, 0, 64 * KIB), 'ok', 'write')
        self.condition(2, zr.IMP_OPEN, 64 * KIB)
        equal(self.write(2, 64 * KIB, 1536, bs=512), 'ok', 'write of 512')
        self.condition(2, zr.IMP_OPEN, 64 * KIB + 1536)
        equal(self.zqio('check', self.ops, self.ops.start(2),
                        64 * KIB + 1536), 'ok', 'data')

    def above_is_zero(self):
        start = self.ops.start(2) + 64 * KIB + 1536
        equal(self.zqio('zeros', self.ops, start,
                        self.ops.start(4) - start), 'ok', 'reads')

    def misplaced(self):
        for offset in (0, 4096, 128 * KIB):
            check(self.write(2, offset, 4096) != 'ok',
                  'a write at %d went through' % offset)
        self.condition(2, zr.IMP_OPEN, 64 * KIB + 1536)
        equal(self.zqio('check', self.ops, self.ops.start(2),
                        64 * KIB + 1536), 'ok', 'data')

    def conventional(self):
        for offset in (1 * MIB, 64 * KIB, 0, 4 * MIB - 4096):
            equal(self.write(0, offset, 4096), 'ok', 'write at %d' % offset)
        equal(self.zqio('check', self.ops, 64 * KIB, 4096), 'ok', 'data')
        for what in ('open', 'close', 'finish', 'reset'):
            check(self.op(what, 0) != 'ok', '%s went through' % what)
        equal(self.zqio('check', self.ops, 64 * KIB, 4096), 'ok', 'data')

    def open_close(self):
        equal(self.op('open', 3), 'ok', 'open')
        self.condition(3, zr.EXP_OPEN, 0)
        equal(self.op('close', 3), 'ok', 'close')
        self.condition(3, zr.EMPTY, 0)
        equal(self.op('open', 3), 'ok', 'open')
        equal(self.write(3, 0, 4096), 'ok', 'write')
        self.condition(3, zr.EXP_OPEN, 4096)
        equal(self.op('close', 3), 'ok', 'close')
        self.condition(3, zr.CLOSED, 4096)
        equal(self.write(3, 4096, 4096), 'ok', 'write')
        self.condition(3, zr.IMP_OPEN, 8192)

    def capacity(self):
        equal(self.write(4, 0, 3 * MIB, bs=MIB), 'ok', 'write')
        self.condition(4, zr.FULL)
        check(self.write(4, 3 * MIB, 4096) != 'ok',
              'a write past the capacity went through')
        equal(self.zqio('check', self.ops, self.ops.start(4), 3 * MIB), 'ok',
              'data')
        equal(self.zqio('zeros', self.ops, self.ops.start(4) + 3 * MIB, MIB),
              'ok', 'reads above the capacity')

    def finish(self):
        equal(self.write(5, 0, 128 * KIB), 'ok', 'write')
        equal(self.op('finish', 5), 'ok', 'finish')
        self.condition(5, zr.FULL)
        equal(self.op('finish', 6), 'ok', 'finish of an empty zone')
        self.condition(6, zr.FULL)
        equal(self.zqio('check', self.ops, self.ops.start(5), 128 * KIB),
              'ok', 'data')
        equal(self.zqio('zeros', self.ops, self.ops.start(5) + 128 * KIB,
                        4 * MIB - 128 * KIB), 'ok', 'reads above the data')

    def reset_one(self):
        equal(self.op('reset', 5), 'ok', 'reset')
        self.condition(5, zr.EMPTY, 0)
        self.condition(4, zr.FULL)
        self.condition(6, zr.FULL)
        equal(self.zqio('zeros', self.ops, self.ops.start(5), 4 * MIB), 'ok',
              'reads after reset')
        equal(self.write(5, 0, 4096, seed=7), 'ok', 'write')
        equal(self.zqio('check', self.ops, self.ops.start(5), 4096,
                        seed=7), 'ok', 'data of the second pass')
        equal(self.zqio('zeros', self.ops, self.ops.start(5) + 4096,
                        4 * MIB - 4096), 'ok', 'reads above the second pass')
        equal(self.op('reset', 5), 'ok', 'reset')

    def invalid(self):
        for what, index in (('open', 4), ('close', 4), ('close', 7)):
            check(self.op(what, index) != 'ok',
                  '%s of zone %d went through' % (what, index))
        self.condition(4, zr.FULL)
        self.condition(7, zr.EMPTY, 0)

    def open_limit(self):
        self.op('reset', 2)
        self.op('reset', 3)
        for index in (7, 8, 9):
            equal(self.op('open', index), 'ok', 'open of zone %d' % index)
        equal(self.op('open', 10), 'ETOOMANYREFS', 'one zone too many')
        self.condition(10, zr.EMPTY, 0)
        for index in (7, 8, 9):
            self.condition(index, zr.EXP_OPEN, 0)
        equal(self.write(10, 0, 4096), 'ETOOMANYREFS',
              'write to one zone too many')
        self.condition(10, zr.EMPTY, 0)
        for index in (7, 8, 9):
            equal(self.op('close', index), 'ok', 'close')

    def implicit_close(self):
        for index in (7, 8, 9, 10):
            equal(self.write(index, 0, 4096), 'ok', 'write')
        self.condition(7, zr.CLOSED, 4096)
        for index in (8, 9, 10):
            self.condition(index, zr.IMP_OPEN, 4096)

    def active_limit(self):
        equal(self.write(11, 0, 4096), 'ok', 'write to the fifth zone')
        equal(self.write(12, 0, 4096), 'EOVERFLOW', 'write to the sixth')
        equal(self.op('open', 12), 'EOVERFLOW', 'open of the sixth')
        self.condition(12, zr.EMPTY, 0)
        equal(self.op('finish', 7), 'ok', 'finish')
        equal(self.write(12, 0, 4096), 'ok', 'write after a finish made room')

    def reset_all(self):
        self.sh('blkzone reset -o %d %s' % (2 * self.ops.zone_size // 512,
                                            self.ops.dev))
        for zone in self.ops.guest_report(self.vm)[2:]:
            equal(zone.cond, zr.EMPTY, 'condition of the zone at %d' %
                  zone.start)
        equal(self.zqio('check', self.ops, 64 * KIB, 4096), 'ok',
              'conventional data')
        # For the restart: a closed, an open, a full, an opened empty zone.
        self.write(3, 0, 200 * KIB)
        self.write(4, 0, 8192)
        self.op('finish', 5)
        self.op('open', 6)
        self.write(8, 0, 3 * MIB)

    def block_size(self):
        disk = self.disks['lbs4k']
        equal(self.sh('blockdev --getss ' + disk.dev).strip(), '4096',
              'logical block size')
        for zone, length in ((0, disk.capacity), (1, 20480)):
            res = self.zqio('write', disk, disk.start(zone), length,
                            bs=20480)
            equal(res.split()[0], 'ok', 'write of zone %d' % zone)
            equal(self.zqio('check', disk, disk.start(zone), length), 'ok',
                  'data of zone %d' % zone)
        self.condition(0, zr.FULL, disk=disk)
        self.condition(1, zr.IMP_OPEN, 20480, disk=disk)

    # -- fio --

    def fio(self, disk, name, job):
        out = self.sh(
            'fio --name=%s --filename=%s --zonemode=zbd --direct=1 '
            '--ioengine=libaio --verify=crc32c --verify_state_save=0 '
            '--randseed=1 --group_reporting=1 %s 2>&1' %
            (name, disk.dev, job), check=False)
        check('err= 0' in out and 'verify:' not in out,
              'fio failed: ' + out[-1500:])
        return out

    def fio_seq(self):
        disk = self.disks['fio']
        self.fio(disk, 'seq', '--rw=write --bs=128k --iodepth=16 --offset=0 '
                 '--size=%d --io_size=42M' % (4 * disk.zone_size))
        report = disk.guest_report(self.vm)
        for zone in report[:3]:
            equal(zone.cond, zr.FULL, 'condition of the zone at %d' %
                  zone.start)
        equal((report[3].wp - report[3].start) * 512, 6 * MIB,
              'bytes in the last zone')
        self.state.fio_seq = True

    def fio_rand(self):
        disk = self.disks['fio']
        self.fio(disk, 'rand', '--rw=randwrite --bs=64k --iodepth=8 '
                 '--offset=%d --size=%d --io_size=24M --max_open_zones=4' %
                 (8 * disk.zone_size, 8 * disk.zone_size))

    def fio_reset(self):
        disk = self.disks['fio']
        self.fio(disk, 'again', '--rw=write --bs=256k --iodepth=4 '
                 '--offset=%d --size=%d --io_size=%d' %
                 (16 * disk.zone_size, 2 * disk.zone_size,
                  5 * disk.capacity))

    def fio_flush(self):
        disk = self.disks['fio']
        self.fio(disk, 'flush', '--rw=write --bs=16k --fsync=8 '
                 '--offset=%d --size=%d --io_size=4M' %
                 (20 * disk.zone_size, disk.zone_size))
        self.fio(disk, 'fua', '--rw=write --bs=16k --sync=dsync '
                 '--offset=%d --size=%d --io_size=2M' %
                 (22 * disk.zone_size, disk.zone_size))

    def mq_fio(self):
        disk = self.disks['mq']
        queues = self.sh('ls /sys/block/%s/mq' %
                         os.path.basename(disk.dev)).split()
        check(len(queues) >= 2, 'the guest uses %d queues' % len(queues))
        self.fio(disk, 'mq', '--rw=write --bs=32k --iodepth=8 --numjobs=4 '
                 '--thread=1 --offset=0 --offset_increment=%d --size=%d '
                 '--io_size=12M' % (4 * disk.zone_size, 2 * disk.zone_size))

    def mq_mixed(self):
        disk = self.disks['mq']
        start = disk.start(16)
        job = self.vm.zqio('write', disk.dev, start, 6 * MIB, bs=16 * KIB,
                           zones=4, stride=disk.zone_size, flush=64)
        for _ in range(12):
            for zone in (24, 25):
                self.zqio('write', disk, disk.start(zone), 4096)
                equal(self.zqio('finish' if zone == 24 else 'reset', disk,
                                disk.start(zone), disk.zone_size), 'ok',
                      'operation on zone %d' % zone)
            equal(self.zqio('reset', disk, disk.start(24), disk.zone_size),
                  'ok', 'reset')
        out = job.wait()['out']
        equal(out.count('ok'), 4, 'writers that succeeded: ' + out[-300:])
        for zone in range(16, 20):
            equal(self.zqio('check', disk, disk.start(zone), 6 * MIB), 'ok',
                  'data of zone %d' % zone)
            self.condition(zone, zr.IMP_OPEN, 6 * MIB, disk)

    # -- file systems --

    def files(self, name, count, step):
        path = '/mnt/' + name
        self.sh(FILES % (count, step, path))
        self.state.sums[name] = self.sh(SUMS % path)
        equal(len(self.state.sums[name].splitlines()), count, 'files')

    def btrfs(self):
        dev = self.disks['btrfs'].dev
        self.sh('modprobe btrfs; mkdir -p /mnt/btrfs; mkfs.btrfs -q -O zoned '
                '-d single -m single %s && mount -t btrfs %s /mnt/btrfs' %
                (dev, dev))
        self.files('btrfs', 24, 60000)
        self.sh('rm /mnt/btrfs/f1; cp /mnt/btrfs/f20 /mnt/btrfs/f1; '
                'btrfs filesystem sync /mnt/btrfs')
        self.state.sums['btrfs'] = self.sh(SUMS % '/mnt/btrfs')

    def append(self):
        for stats in self.vm.qmp('query-blockstats'):
            if stats.get('node-name') == 'btrfs' or \
                    'dev-btrfs' in stats.get('qdev', ''):
                count = stats['stats']['zone_append_operations']
                check(count > 0, 'no zone append reached the disk')
                self.suite.note('%d zone appends' % count)
                return
        raise AssertionError('no statistics of the disk')

    def zonefs(self):
        disk = self.disks['zonefs']
        self.sh('modprobe zonefs; mkdir -p /mnt/zonefs; mkzonefs -f %s && '
                'mount -t zonefs %s /mnt/zonefs' % (disk.dev, disk.dev))
        self.sh('cd /mnt/zonefs/seq; for i in 0 1 2 3; do '
                'head -c 1M /dev/urandom > /tmp/z; for part in 1 2 3; do '
                'dd if=/tmp/z of=$i oflag=append,direct conv=notrunc '
                'bs=64k status=none || exit 1; done; done')
        # The end of a zone's file is its capacity, not its size.
        self.sh('cd /mnt/zonefs/seq; truncate -s 0 1; '
                'truncate -s $(($(stat -c %b 2) * 512)) 2')
        self.sh('dd if=/dev/urandom of=/mnt/zonefs/cnv/0 oflag=direct '
                'conv=notrunc bs=64k count=4 seek=3 status=none')
        sizes = self.sh('cd /mnt/zonefs/seq; stat -c %s 0 1 2 3').split()
        equal(sizes, [str(3 * MIB), '0', str(disk.capacity), str(3 * MIB)],
              'sizes of the files')
        self.state.sums['zonefs'] = self.zonefs_sums()

    def zonefs_sums(self):
        return self.sh('cd /mnt/zonefs && sha256sum cnv/0 seq/0 seq/1 seq/2 '
                       'seq/3')

    def f2fs(self):
        dev = self.disks['f2fs'].dev
        self.sh('modprobe f2fs; mkdir -p /mnt/f2fs; mkfs.f2fs -q -f -m %s && '
                'mount -t f2fs %s /mnt/f2fs' % (dev, dev))
        self.files('f2fs', 16, 60000)

    def dm_zoned(self):
        dev = self.disks['dmz'].dev
        self.sh('modprobe dm-zoned; dmzadm --format %s --force && '
                'dmzadm --start %s' % (dev, dev))
        name = self.dmz_name()
        self.sh('mkdir -p /mnt/dmz; mkfs.ext4 -q -E nodiscard %s && '
                'mount -t ext4 %s /mnt/dmz' % (name, name))
        self.files('dmz', 16, 60000)

    def dmz_name(self):
        return '/dev/' + self.sh(
            'for d in /sys/block/dm-*; do case $(cat $d/dm/name) in dmz*) '
            'echo ${d##*/};; esac; done').strip()

    # -- the end of it --

    def power_off(self):
        self.sh('umount /mnt/btrfs /mnt/zonefs /mnt/f2fs /mnt/dmz; '
                'dmsetup remove_all; sync', check=False)
        for disk in self.disks.values():
            self.state.reports[disk.name] = zr.after_restart(
                disk.guest_report(self.vm))
        self.vm.poweroff()
        for disk in self.disks.values():
            equal(zr.differences(self.state.reports[disk.name],
                                 disk.host_report(), 'guest', 'host'), [],
                  'disk %s' % disk.name)

    def host_check(self):
        for disk in self.disks.values():
            disk.check()

    def is_broken(self):
        # After the orderly end the last tests go on without the guest.
        return super().is_broken() and not self.state.reports


class Second(Group):
    def __init__(self, suite, env, state):
        super().__init__(suite, env)
        self.state = state
        for function, name in [
                (self.reports, 'after a restart every zone of every disk is '
                 'as before, and nothing is open'),
                (self.limits_again, 'after a restart closed zones count as '
                 'active'),
                (self.fio_data, 'after a restart fio verifies what it wrote'),
                (self.ops_data, 'after a restart zones hold their data and '
                 'zeros above it'),
                (self.btrfs, 'after a restart btrfs has its files, and scrub '
                 'finds no error'),
                (self.zonefs, 'after a restart zonefs has its files'),
                (self.f2fs, 'after a restart f2fs has its files'),
                (self.dm_zoned, 'after a restart ext4 on dm-zoned has its '
                 'files'),
                (self.go_on, 'after a restart a zone is written on from its '
                 'write pointer'),
                (self.power_off, 'after the second run the images are '
                 'sound')]:
            self.add(name, function)

    def set_up(self):
        self.disks = self.state.disks
        check(self.state.reports, 'the first boot did not come to its end')
        self.ops = self.disks['ops']
        self.boot(self.disks.values(), 'second', IOTHREADS, smp=4)

    def reports(self):
        for disk in self.disks.values():
            equal(zr.differences(self.state.reports[disk.name],
                                 disk.guest_report(self.vm), 'before',
                                 'after'), [], 'disk %s' % disk.name)

    def limits_again(self):
        # Zones 3 and 4 are closed: three more make five.
        for index in (10, 11, 12):
            equal(self.zqio('write', self.ops, self.ops.start(index),
                            4096).split()[0], 'ok', 'write')
        equal(self.zqio('write', self.ops, self.ops.start(13),
                        4096).split()[0], 'EOVERFLOW', 'write to the sixth')

    def fio_data(self):
        disk = self.disks['fio']
        # A job that reads: "verify_only" would reset the zones first.
        command = ('fio --name=seq --filename=%s --zonemode=zbd --direct=1 '
                   '--ioengine=libaio --randseed=1 --rw=read --bs=128k '
                   '--iodepth=16 --offset=0 --size=%d --verify=%%s 2>&1' %
                   (disk.dev, 4 * disk.zone_size))
        out = self.sh(command % 'crc32c', check=False)
        check('err= 0' in out and 'verify:' not in out,
              'fio failed: ' + out[-1500:])
        # 3 1/2 zones of 12 MiB were written.
        reads = re.search(r'issued rwts: total=(\d+)', out)
        check(reads and int(reads.group(1)) >= 42 * 8,
              'fio did not read all: ' + out[-1500:])
        out = self.sh(command % 'md5', check=False)
        check('err= 0' not in out, 'fio does not verify what it reads')

    def ops_data(self):
        for zone, length in ((3, 200 * KIB), (4, 8192), (8, 3 * MIB)):
            equal(self.zqio('check', self.ops, self.ops.start(zone), length),
                  'ok', 'data of zone %d' % zone)
            equal(self.zqio('zeros', self.ops, self.ops.start(zone) + length,
                            4 * MIB - length), 'ok',
                  'reads above the data of zone %d' % zone)
        equal(self.zqio('zeros', self.ops, self.ops.start(5), 8 * MIB), 'ok',
              'reads of zones finished and opened without data')

    def same_sums(self, name, kind, dev, options='ro'):
        self.sh('modprobe %s; mkdir -p /mnt/%s; mount -t %s -o %s %s /mnt/%s'
                % (kind, name, kind, options, dev, name))
        equal(self.sh(SUMS % ('/mnt/' + name)), self.state.sums[name],
              'checksums')

    def btrfs(self):
        self.same_sums('btrfs', 'btrfs', self.disks['btrfs'].dev, 'noatime')
        out = self.sh('btrfs scrub start -B -r /mnt/btrfs 2>&1', check=False)
        check('no errors found' in out, 'scrub: ' + out)

    def zonefs(self):
        self.sh('modprobe zonefs; mkdir -p /mnt/zonefs; '
                'mount -t zonefs %s /mnt/zonefs' % self.disks['zonefs'].dev)
        equal(First.zonefs_sums(self), self.state.sums['zonefs'],
              'checksums')

    def f2fs(self):
        self.same_sums('f2fs', 'f2fs', self.disks['f2fs'].dev, 'noatime')

    def dm_zoned(self):
        self.sh('modprobe dm-zoned; dmzadm --start ' + self.disks['dmz'].dev)
        self.same_sums('dmz', 'ext4', First.dmz_name(self), 'noatime')

    def go_on(self):
        start = self.ops.start(3)
        equal(self.zqio('write', self.ops, start + 200 * KIB,
                        100 * KIB).split()[0], 'ok', 'write')
        equal(self.zqio('check', self.ops, start, 300 * KIB), 'ok', 'data')

    def power_off(self):
        self.sh('umount /mnt/btrfs /mnt/zonefs /mnt/f2fs /mnt/dmz; '
                'dmsetup remove_all; sync', check=False)
        self.vm.poweroff()
        for disk in self.disks.values():
            disk.check()
