# SPDX-License-Identifier: GPL-2.0-or-later
#
# Zoned images as NVMe ZNS namespaces: a boot in which they are used through
# the block device and through NVMe commands, one that finds the same zones on
# virtio-blk, one on NVMe again that ends with kill -9 of QEMU, and one after
# that.

import json
import re

import zqio_pattern
import zonereport as zr
from machine import Disk, Group, KIB, MIB
from suite_disks import FILES, SUMS
from suite_faults import check_killed, kill_writers
from tap import check, equal

BLOCK = 512
WRITERS = 3
KILLED_BTRFS = 'cd /mnt/nbtrfs && sha256sum k*'
# Files of zonefs, and sums of what is flushed there
KILLED_ZONES = (5, 6)
KILLED_ZONEFS = ('cd /mnt/nzonefs/seq && for i in %d %d; do head -c 327680 $i '
                 '| sha256sum; done' % KILLED_ZONES)


class State:
    """What a boot leaves for the next ones."""

    def __init__(self):
        self.disks = {}
        self.reports = {}
        self.sums = {}
        self.killed = False


def make_disks(env):
    disks = [
        Disk(env, 'nops', 16, 4 * MIB, capacity=3 * MIB, max_open_zones=3,
             max_active_zones=5),
        Disk(env, 'nfio', 24, 8 * MIB, capacity=6 * MIB),
        Disk(env, 'nbtrfs', 64, 16 * MIB, max_active_zones=16),
        Disk(env, 'nzonefs', 16, 8 * MIB, capacity=6 * MIB,
             max_active_zones=8),
    ]
    return {disk.name: disk for disk in disks}


def on_nvme(disks):
    for disk in disks.values():
        disk.device = {'driver': 'nvme'}


def on_virtio(disks):
    for disk in disks.values():
        disk.device = {}


def namespace(name, node, **more):
    """Arguments for a controller with one namespace on @node"""
    device = {'driver': 'nvme-ns', 'bus': 'bus-' + name, 'drive': name, **more}
    return ['-blockdev', json.dumps(node),
            '-device', 'nvme,id=bus-%s,serial=%s' % (name, name),
            '-device', json.dumps(device)]


class KeptDisk(Disk):
    """A zoned image as a namespace of its own"""

    def arguments(self):
        return namespace(self.name, self.options()[0])


class MemoryDisk(KeptDisk):
    """The same with QEMU's own zones, in memory, and data in a raw file"""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.zoned = {'zoned': True, 'zoned.zone_size': self.zone_size,
                      'zoned.zone_capacity': self.capacity,
                      'zoned.max_open': options['max_open_zones'],
                      'zoned.max_active': options['max_active_zones']}
        self.env.host(self.env.img, 'create', '-q', '-f', 'raw', self.image,
                      str(self.zones * self.zone_size))

    def arguments(self):
        node = {**self.options()[0], 'driver': 'raw'}
        return namespace(self.name, node, **self.zoned)


# What both kinds of namespaces are asked, in turn.  Zones of 8192 blocks, of
# which 6144 can be written; at most 3 are open and 5 active.
SAME = (
    'zns id-ns -o json', 'id-ns -o json',
    # States, and what they forbid
    'zns open-zone -s 0', 'zns close-zone -s 0', 'zns close-zone -s 0',
    'zns open-zone -s 0', 'zns reset-zone -s 0', 'zns reset-zone -s 0',
    'zns close-zone -s 0', 'zns finish-zone -s 0', 'zns finish-zone -s 0',
    'zns open-zone -s 0', 'zns close-zone -s 0',
    'write -s 0 -c 7 -z 4096 -d /tmp/block',
    'zns zone-append -s 0 -z 4096 -d /tmp/block', 'zns reset-zone -s 0',
    # Write pointers
    'write -s 8192 -c 7 -z 4096 -d /tmp/block',
    'write -s 8192 -c 7 -z 4096 -d /tmp/block',
    'write -s 8208 -c 7 -z 4096 -d /tmp/block',
    'write -s 8200 -c 7 -z 4096 -d /tmp/block',
    'zns zone-append -s 8192 -z 4096 -d /tmp/block',
    'zns zone-append -s 8200 -z 4096 -d /tmp/block',
    'write-zeroes -s 8216 -c 7', 'write-zeroes -s 8216 -c 7',
    'zns report-zones -o json -S 2', 'zns report-zones -o json -S 1 -p -d 3',
    # Reads, and what compares with them
    'read -s 8192 -c 31 -z 16384', 'read -s 8208 -c 31 -z 16384',
    'read -s 16380 -c 7 -z 4096', 'read -s 131064 -c 7 -z 4096',
    'read -s 131068 -c 7 -z 4096',
    'compare -s 8192 -c 7 -z 4096 -d /tmp/block',
    'compare -s 8216 -c 7 -z 4096 -d /tmp/block',
    # The ends of zones and of the namespace
    'write-zeroes -s 16384 -c 6142',
    'write -s 22527 -c 7 -z 4096 -d /tmp/block',
    'zns zone-append -s 16384 -z 4096 -d /tmp/block',
    'write-zeroes -s 22527 -c 0', 'write-zeroes -s 22528 -c 0',
    'write -s 131072 -c 7 -z 4096 -d /tmp/block',
    'zns open-zone -s 131072', 'zns open-zone -s 4', 'zns reset-zone -s 4',
    # Limits
    'zns open-zone -s 24576', 'zns open-zone -s 32768',
    'zns open-zone -s 40960', 'zns open-zone -s 49152',
    'write -s 49152 -c 7 -z 4096 -d /tmp/block',
    'zns close-zone -s 24576', 'zns open-zone -s 49152',
    'zns zone-append -s 57344 -z 4096 -d /tmp/block',
    'zns finish-zone -s 57344', 'zns close-zone -s 32768',
    'write -s 65536 -c 7 -z 4096 -d /tmp/block',
    # All at once
    'zns close-zone -a', 'zns open-zone -a', 'zns close-zone -a',
    'zns finish-zone -a', 'flush', 'zns reset-zone -a',
    'zns report-zones -o json',
)
# What differs in the answers, and why: an image is not formatted with blocks
# of another size, and has no metadata and no protection information; what can
# be deallocated is a cluster.  (The write pointer of a full zone has no
# meaning in ZNS, and is left out.)
DIFFER = {'lbafe', 'lbafs', 'nlbaf', 'mc', 'dpc', 'npdg', 'npda'}


def groups(suite, env):
    state = State()
    return [First(suite, env, state), OnVirtio(suite, env, state),
            Killed(suite, env, state), AfterKill(suite, env, state)]


class NvmeGroup(Group):
    def __init__(self, suite, env, state):
        super().__init__(suite, env)
        self.state = state
        for function, name in self.tests_of():
            self.add('NVMe: ' + name, function)

    def zone(self, disk, index):
        return disk.guest_report(self.vm)[index]

    def condition(self, disk, index, cond, written=None):
        zone = self.zone(disk, index)
        equal(zr.show('cond', zone.cond), zr.show('cond', cond),
              'zone %d' % index)
        if written is not None:
            equal((zone.wp - zone.start) * 512, written,
                  'bytes below the write pointer of zone %d' % index)

    def same_reports(self):
        for disk in self.disks.values():
            equal(zr.differences(self.state.reports[disk.name],
                                 disk.guest_report(self.vm), 'before',
                                 'after'), [], 'disk %s' % disk.name)

    def end(self):
        """Unmount, power off; what the host sees is what the guest saw."""
        self.sh('umount /mnt/nbtrfs /mnt/nzonefs; sync', check=False)
        for disk in self.disks.values():
            self.state.reports[disk.name] = zr.after_restart(
                disk.guest_report(self.vm))
        self.vm.poweroff()
        for disk in self.disks.values():
            equal(zr.differences(self.state.reports[disk.name],
                                 disk.host_report(), 'guest', 'host'), [],
                  'disk %s' % disk.name)
            disk.check()

    def sums_of_zonefs(self):
        return self.sh('cd /mnt/nzonefs && sha256sum seq/0 seq/1 seq/2')

    def same_files(self):
        self.sh('modprobe btrfs; mkdir -p /mnt/nbtrfs; mount -t btrfs -o '
                'noatime %s /mnt/nbtrfs' % self.disks['nbtrfs'].dev)
        equal(self.sh(SUMS % '/mnt/nbtrfs'), self.state.sums['nbtrfs'],
              'checksums of btrfs')
        self.sh('modprobe zonefs; mkdir -p /mnt/nzonefs; '
                'mount -t zonefs %s /mnt/nzonefs' % self.disks['nzonefs'].dev)
        equal(self.sums_of_zonefs(), self.state.sums['nzonefs'],
              'checksums of zonefs')


class First(NvmeGroup):
    def tests_of(self):
        return [
            (self.limits, 'the guest sees the zone model and every limit of '
             'the image'),
            (self.fresh, 'a fresh image reports its zones as they were '
             'created'),
            (self.identify, 'nvme zns id-ns and id-ctrl say what the image '
             'has'),
            (self.commands, 'nvme zns open, close, finish and reset walk the '
             'states of ZNS'),
            (self.select_all, 'nvme zns with select-all changes all zones '
             'that it is for'),
            (self.filters, 'nvme zns report-zones with every filter'),
            (self.append, 'nvme zns zone-append says where the data is'),
            (self.misplaced, 'a write by NVMe command that is not at the '
             'write pointer fails with its status and changes nothing'),
            (self.same, 'QEMU\'s zones in memory and those of an image '
             'answer all commands alike'),
            (self.block, 'writes, flushes and resets through the block '
             'device'),
            (self.fio, 'fio: writes over several zones, verified'),
            (self.btrfs, 'btrfs in zoned mode holds files'),
            (self.zonefs, 'zonefs: files are zones'),
            (self.end, 'the guest powers off, and the host sees the zones '
             'that the guest saw')]

    def set_up(self):
        self.disks = self.state.disks = make_disks(self.env)
        on_nvme(self.disks)
        self.ops = self.disks['nops']
        self.pair = [kind(self.env, name, 16, 4 * MIB, capacity=3 * MIB,
                          max_open_zones=3, max_active_zones=5)
                     for kind, name in ((KeptDisk, 'nkept'),
                                        (MemoryDisk, 'nmemory'))]
        self.boot([*self.disks.values(), *self.pair], 'nvme', modules='nvme')
        self.ng = self.ops.dev.replace('/nvme', '/ng')

    def lba(self, zone):
        return self.ops.start(zone) // BLOCK

    def nvme(self, command, *args, **kwargs):
        return self.sh(' '.join(('nvme', command, self.ng) + args) + ' 2>&1',
                       **kwargs)

    def zns(self, what, zone):
        return self.nvme('zns %s-zone' % what, '-s %d' % self.lba(zone))

    def limits(self):
        self.queue_limits(self.ops, zoned='host-managed', nr_zones='16',
                          chunk_sectors='8192', max_open_zones='3',
                          max_active_zones='5', zone_write_granularity='512')

    def fresh(self):
        sectors = self.ops.zone_size // 512
        want = [zr.Zone(i * sectors, sectors, 3 * MIB // 512, i * sectors,
                        zr.EMPTY, zr.SEQUENTIAL) for i in range(16)]
        equal(zr.differences(self.ops.guest_report(self.vm), want, 'guest',
                             'expected'), [], 'differences')

    def identify(self):
        ns = json.loads(self.nvme('zns id-ns', '-o json'))
        equal((ns['mar'], ns['mor'], ns['lbafe'][0]['zsze'],
               ns['lbafe'][0]['zdes']), (4, 2, 8192, 0),
              'MAR, MOR, zone size, descriptor extension')
        ctrl = json.loads(self.sh('nvme zns id-ctrl -o json ' + re.sub(
            r'n\d+$', '', self.ops.dev)))
        # Units of 4096 bytes, a power of two; 0 would be the limit of MDTS.
        check(4096 << ctrl['zasl'] <= 3 * MIB, 'ZASL is %d' % ctrl['zasl'])

    def commands(self):
        self.zns('open', 0)
        self.condition(self.ops, 0, zr.EXP_OPEN, 0)
        self.zns('close', 0)
        # ZNS has closed zones with nothing in them.
        self.condition(self.ops, 0, zr.CLOSED, 0)
        self.zns('finish', 0)
        self.condition(self.ops, 0, zr.FULL)
        self.zns('reset', 0)
        self.condition(self.ops, 0, zr.EMPTY, 0)
        self.zns('finish', 1)
        self.condition(self.ops, 1, zr.FULL)
        out = self.nvme('zns open-zone', '-s %d' % self.lba(1), check=False)
        check(re.search('0x.?1bf|Invalid Zone State Transition', out),
              'open of a full zone: ' + out)
        self.condition(self.ops, 1, zr.FULL)

    def select_all(self):
        for zone in (2, 3):
            self.zns('open', zone)
        self.nvme('zns close-zone', '-a')
        for zone in (2, 3):
            self.condition(self.ops, zone, zr.CLOSED, 0)
        self.nvme('zns open-zone', '-a')
        for zone in (2, 3):
            self.condition(self.ops, zone, zr.EXP_OPEN, 0)
        self.nvme('zns finish-zone', '-a')
        for zone in (1, 2, 3):
            self.condition(self.ops, zone, zr.FULL)
        self.condition(self.ops, 4, zr.EMPTY, 0)
        self.nvme('zns reset-zone', '-a')
        for zone in range(16):
            self.condition(self.ops, zone, zr.EMPTY, 0)

    def filters(self):
        # Written by commands, not through the block device, whose zones the
        # guest's kernel follows by itself.
        self.zns('open', 0)
        self.zns('open', 1)
        self.zns('close', 1)
        self.zns('finish', 2)
        self.sh('head -c 4096 /dev/urandom > /tmp/block')
        self.nvme('zns zone-append', '-s %d -z 4096 -d /tmp/block' %
                  self.lba(3))
        # The filters of ZNS: all, empty, implicitly and explicitly open,
        # closed, full, read-only, offline
        found = [json.loads(self.nvme('zns report-zones', '-o json -S %d' %
                                      state))['nr_zones']
                 for state in range(8)]
        equal(found, [16, 12, 1, 1, 1, 1, 0, 0], 'zones by filter')
        found = json.loads(self.nvme(
            'zns report-zones', '-o json -S 1 -p -d 4 -s %d' % self.lba(8)))
        equal([zone['slba'] for zone in found['zone_list']],
              [self.lba(zone) for zone in (8, 9, 10, 11)],
              'empty zones from the eighth on')
        self.nvme('zns reset-zone', '-a')

    def append(self):
        for turn in range(3):
            out = self.nvme('zns zone-append', '-s %d -z 4096 -d /tmp/block'
                            % self.lba(5))
            # nvme-cli prints it in hexadecimal digits.
            place = re.search(r'LBA\s*:?\s*(?:0x)?([0-9a-f]+)', out)
            check(place, 'zone-append said: ' + out)
            equal(int(place.group(1), 16), self.lba(5) + 8 * turn,
                  'place of append %d' % turn)
        equal(self.sh('dd if=%s bs=4096 skip=%d count=3 iflag=direct '
                      'status=none | sha256sum' %
                      (self.ops.dev, self.ops.start(5) // 4096)),
              self.sh('cat /tmp/block /tmp/block /tmp/block | sha256sum'),
              'data of the appends')
        self.condition(self.ops, 5, zr.IMP_OPEN, 3 * 4096)

    def misplaced(self):
        for lba in (self.lba(5), self.lba(5) + 64, self.lba(6) + 8):
            out = self.nvme('write', '-s %d -c 7 -z 4096 -d /tmp/block' % lba,
                            check=False)
            check(re.search('0x.?1bc|Invalid Write', out),
                  'write at %d: %s' % (lba, out))
        self.condition(self.ops, 5, zr.IMP_OPEN, 3 * 4096)
        self.condition(self.ops, 6, zr.EMPTY, 0)

    def answers(self, disk):
        """To each command: status, output, and the zones afterwards"""
        ng = disk.dev.replace('/nvme', '/ng')
        for command in SAME:
            words = command.split()
            words.insert(2 if words[0] == 'zns' else 1, ng)
            # Blocks that are read are no text.
            done = self.sh('nvme %s > /tmp/out 2>&1; echo $?; %s < /tmp/out' %
                           (' '.join(words), 'sha256sum' if words[0] == 'read'
                            else 'cat')).replace(ng, 'NAMESPACE')
            zones = json.loads(self.sh('nvme zns report-zones -o json ' + ng))
            for zone in zones['zone_list']:
                if zone['state'] == 'FULL':
                    del zone['wp']
            yield done, zones

    def same(self):
        self.sh('head -c 4096 /dev/urandom > /tmp/block')
        kept, memory = (list(self.answers(disk)) for disk in self.pair)
        differ, failed = set(), 0
        for command, one, two in zip(SAME, kept, memory):
            if 'id-ns' in command:
                one, two = (json.loads(answer[0].split('\n', 1)[1])
                            for answer in (one, two))
                equal(one.keys(), two.keys(), 'fields of ' + command)
                differ.update(key for key in one if one[key] != two[key])
                continue
            equal(one, two, command)
            failed += not one[0].startswith('0\n')
        equal(differ, DIFFER, 'fields that differ')
        self.suite.note('%d commands, of which %d failed' %
                        (len(SAME), failed))
        check(failed > 15, 'few commands are refused')

    def block(self):
        d = self.ops
        self.sh('blkzone reset ' + d.dev)
        for zone, length in ((8, 200 * KIB), (9, 3 * MIB), (10, 8192)):
            out = self.zqio('write', d, d.start(zone), length, flush=4)
            check(out.endswith('ok %d' % d.start(zone)), 'write: ' + out)
            equal(self.zqio('check', d, d.start(zone), length), 'ok',
                  'data of zone %d' % zone)
            equal(self.zqio('zeros', d, d.start(zone) + length,
                            d.zone_size - length), 'ok',
                  'reads above the data of zone %d' % zone)
        self.condition(d, 9, zr.FULL)
        equal(self.zqio('finish', d, d.start(10), d.zone_size), 'ok',
              'finish')
        equal(self.zqio('open', d, d.start(11), d.zone_size), 'ok', 'open')
        self.zqio('write', d, d.start(12), 4096)
        equal(self.zqio('reset', d, d.start(12), d.zone_size), 'ok', 'reset')
        equal(self.zqio('zeros', d, d.start(12), d.zone_size), 'ok',
              'reads after the reset')

    def fio(self):
        disk = self.disks['nfio']
        for job in ('--name=seq --rw=write --bs=128k --iodepth=16 --offset=0 '
                    '--size=%d --io_size=21M' % (4 * disk.zone_size),
                    '--name=rand --rw=randwrite --bs=64k --iodepth=8 '
                    '--offset=%d --size=%d --io_size=12M --max_open_zones=4' %
                    (8 * disk.zone_size, 8 * disk.zone_size)):
            out = self.sh(
                'fio --filename=%s --zonemode=zbd --direct=1 '
                '--ioengine=libaio --verify=crc32c --verify_state_save=0 '
                '--randseed=1 %s 2>&1' % (disk.dev, job), check=False)
            check('err= 0' in out and 'verify:' not in out,
                  'fio failed: ' + out[-1500:])
        report = disk.guest_report(self.vm)
        for zone in report[:3]:
            equal(zone.cond, zr.FULL, 'condition of the zone at %d' %
                  zone.start)
        equal((report[3].wp - report[3].start) * 512, 3 * MIB,
              'bytes in the last zone')
        self.state.sums['nfio'] = self.fio_sum()

    def fio_sum(self):
        disk = self.disks['nfio']
        return self.sh('dd if=%s bs=1M count=%d iflag=direct status=none | '
                       'sha256sum' % (disk.dev, 16 * disk.zone_size // MIB))

    def btrfs(self):
        dev = self.disks['nbtrfs'].dev
        self.sh('modprobe btrfs; mkdir -p /mnt/nbtrfs; mkfs.btrfs -q -O zoned '
                '-d single -m single %s && mount -t btrfs %s /mnt/nbtrfs' %
                (dev, dev))
        self.sh(FILES % (12, 60000, '/mnt/nbtrfs'))
        self.sh('btrfs filesystem sync /mnt/nbtrfs')
        self.state.sums['nbtrfs'] = self.sh(SUMS % '/mnt/nbtrfs')
        equal(len(self.state.sums['nbtrfs'].splitlines()), 12, 'files')

    def zonefs(self):
        dev = self.disks['nzonefs'].dev
        self.sh('modprobe zonefs; mkdir -p /mnt/nzonefs; mkzonefs -f %s && '
                'mount -t zonefs %s /mnt/nzonefs' % (dev, dev))
        self.sh('cd /mnt/nzonefs/seq; head -c 1M /dev/urandom > /tmp/z; '
                'for i in 0 1 2; do dd if=/tmp/z of=$i oflag=append,direct '
                'conv=notrunc bs=64k status=none || exit 1; done; '
                'truncate -s 0 1')
        self.state.sums['nzonefs'] = self.sums_of_zonefs()


class OnVirtio(NvmeGroup):
    def tests_of(self):
        return [
            (self.same_reports, 'the same images on virtio-blk show the same '
             'zones'),
            (self.data, 'on virtio-blk they hold the same data and zeros '
             'above it'),
            (self.same_files, 'on virtio-blk they hold the same files'),
            (self.go_on, 'on virtio-blk a zone is written on from its write '
             'pointer'),
            (self.end, 'virtio-blk leaves its zones behind')]

    def set_up(self):
        self.disks = self.state.disks
        check(self.state.reports, 'the first boot did not come to its end')
        on_virtio(self.disks)
        self.ops = self.disks['nops']
        self.boot(self.disks.values(), 'nvme-virtio')

    def data(self):
        d = self.ops
        for zone, length in ((8, 200 * KIB), (9, 3 * MIB), (10, 8192)):
            equal(self.zqio('check', d, d.start(zone), length), 'ok',
                  'data of zone %d' % zone)
            equal(self.zqio('zeros', d, d.start(zone) + length,
                            d.zone_size - length), 'ok',
                  'reads above the data of zone %d' % zone)
        equal(First.fio_sum(self), self.state.sums['nfio'],
              'checksum of what fio wrote')

    def go_on(self):
        d = self.ops
        equal(self.zqio('write', d, d.start(8) + 200 * KIB,
                        56 * KIB).split()[0], 'ok', 'write')
        self.condition(d, 8, zr.IMP_OPEN, 256 * KIB)


class Killed(NvmeGroup):
    def tests_of(self):
        return [
            (self.same_reports, 'back on NVMe, the zones are what virtio-blk '
             'left'),
            (self.same_files, 'back on NVMe, the files are there'),
            (self.flushed_files, 'before kill -9: files in btrfs and zonefs '
             'are flushed'),
            (self.kill, 'kill -9 of QEMU while three zones and files are '
             'written'),
            (self.sound, 'after kill -9 qemu-img check finds no corruption'),
            (self.host_view, 'after kill -9 the host finds every flushed byte '
             'below the write pointers and zeros above')]

    def is_broken(self):
        return super().is_broken() and not self.state.killed

    def set_up(self):
        self.disks = self.state.disks
        check(self.state.reports, 'the first boot did not come to its end')
        on_nvme(self.disks)
        self.ops = self.disks['nops']
        self.boot(self.disks.values(), 'nvme-kill', modules='nvme')

    def flushed_files(self):
        for i in range(4):
            self.sh('head -c %d /dev/urandom > /mnt/nbtrfs/k%d; '
                    'sync /mnt/nbtrfs/k%d' % (90000 * (i + 1), i, i))
        self.state.sums['killed btrfs'] = self.sh(KILLED_BTRFS)
        for zone in KILLED_ZONES:
            self.sh('cd /mnt/nzonefs/seq; dd if=/dev/urandom of=%d '
                    'oflag=append,direct conv=notrunc bs=64k count=5 '
                    'status=none && sync %d' % (zone, zone))
        self.state.sums['killed zonefs'] = self.sh(KILLED_ZONEFS)

    def kill(self):
        d = self.disks['nfio']
        self.sh('blkzone reset ' + d.dev)
        self.vm.spawn('i=0; while :; do i=$((i+1)); head -c 200000 '
                      '/dev/urandom > /mnt/nbtrfs/more$i; '
                      'sync /mnt/nbtrfs/more$i; done')
        self.vm.spawn('cd /mnt/nzonefs/seq; while dd if=/dev/urandom of=%d '
                      'oflag=append,direct conv=notrunc bs=4k count=1 '
                      'status=none; do :; done' % KILLED_ZONES[0])
        self.state.flushed = kill_writers(self, d, WRITERS, 45)

    def sound(self):
        check(self.state.killed, 'nothing was killed')
        for disk in self.disks.values():
            check_killed(self.env, disk)

    def host_view(self):
        check(self.state.killed, 'nothing was killed')
        d = self.disks['nfio']
        zqio_pattern.check_image(self.env, d, self.state.flushed)


class AfterKill(NvmeGroup):
    def tests_of(self):
        return [
            (self.reports, 'after kill -9 the guest sees the zones that the '
             'host sees'),
            (self.btrfs, 'after kill -9 btrfs mounts, with all flushed files'),
            (self.zonefs, 'after kill -9 zonefs mounts, with all flushed '
             'data')]

    def set_up(self):
        check(self.state.killed, 'the boot before this one was not killed')
        self.disks = self.state.disks
        self.state.reports = {name: zr.after_restart(disk.host_report())
                              for name, disk in self.disks.items()}
        self.boot(self.disks.values(), 'nvme-after-kill', modules='nvme')

    def reports(self):
        self.same_reports()

    def btrfs(self):
        self.sh('modprobe btrfs; mkdir -p /mnt/nbtrfs; mount -t btrfs %s '
                '/mnt/nbtrfs' % self.disks['nbtrfs'].dev)
        equal(self.sh(KILLED_BTRFS), self.state.sums['killed btrfs'],
              'checksums')
        out = self.sh('btrfs scrub start -B -r /mnt/nbtrfs 2>&1; '
                      'umount /mnt/nbtrfs', check=False)
        check('no errors found' in out, 'scrub: ' + out)

    def zonefs(self):
        self.sh('modprobe zonefs; mkdir -p /mnt/nzonefs; '
                'mount -t zonefs %s /mnt/nzonefs' % self.disks['nzonefs'].dev)
        equal(self.sums_of_zonefs(), self.state.sums['nzonefs'],
              'checksums of old files')
        equal(self.sh(KILLED_ZONEFS), self.state.sums['killed zonefs'],
              'checksums')
        self.sh('umount /mnt/nzonefs')
        self.vm.poweroff()
        for disk in self.disks.values():
            disk.check()
