# SPDX-License-Identifier: GPL-2.0-or-later
"""fio in a Linux guest: zoned disks against plain ones, over virtio-blk, and
NVMe zones on a zoned image against QEMU's own, which are kept in memory.

The processor is emulated where there is no KVM, so that only ratios count.
All disks are in one guest, and fio runs on them in turns.  Each run writes to
zones that nobody wrote before, the same place on each disk.
"""

import json
import os
import shutil
import subprocess
import tempfile

import guestvm
import places

MIB = 1 << 20
ZONE = 32 * MIB
LEAST = 0.95

# name, options of fio, bytes, zones of its own a run
JOBS = (
    ('write, 64 KiB, depth 8', '--rw=write --bs=64k --iodepth=8', 32 * MIB, 1),
    ('write, 4 KiB, depth 1', '--rw=write --bs=4k --iodepth=1', 4 * MIB, 1),
    ('4 jobs write, 16 KiB, depth 4',
     '--rw=write --bs=16k --iodepth=4 --numjobs=4 --thread=1 '
     f'--offset_increment={ZONE} --group_reporting', 4 * MIB, 4),
    # Of what the first job wrote
    ('random reads, 4 KiB, depth 16',
     '--rw=randread --bs=4k --iodepth=16 --norandommap', 8 * MIB, 0),
    ('reads, 64 KiB, depth 8', '--rw=read --bs=64k --iodepth=8', 32 * MIB, 0),
)


class Failed(Exception):
    pass


class Disk:
    """zoned: None, 'image' or 'memory'; face: 'virtio' or 'nvme'."""

    def __init__(self, folder, face, zoned, zones):
        self.name = f'{face}-{zoned or "plain"}'
        self.zoned = zoned
        self.dev = None
        form = 'raw' if zoned == 'memory' else 'qcow2'
        self.path = os.path.join(folder, f'{self.name}.{form}')
        self.create = [form, f'zoned=on,zone.size={ZONE}'
                       if zoned == 'image' else '', self.path, zones * ZONE]
        node = {'driver': form, 'node-name': self.name,
                'file': {'driver': 'file', 'filename': self.path}}
        if face == 'virtio':
            device = [{'driver': 'virtio-blk-pci', 'drive': self.name,
                       'serial': self.name}]
        else:
            device = [{'driver': 'nvme', 'id': f'c-{self.name}',
                       'serial': self.name},
                      {'driver': 'nvme-ns', 'drive': self.name,
                       'bus': f'c-{self.name}'}]
            if zoned == 'memory':
                device[1].update({'zoned': True, 'zoned.zone_size': ZONE,
                                  'zoned.zone_capacity': ZONE})
        self.arguments = ['-blockdev', json.dumps(node)]
        for one in device:
            self.arguments += ['-device', json.dumps(one)]

    def make(self, img):
        form, options, path, size = self.create
        done = subprocess.run(
            [img, 'create', '-q', '-f', form, *(['-o', options] * bool(
                options)), path, str(size)], check=False,
            stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise Failed(done.stderr.strip())


def fio(guest, disk, options, zone, size):
    mode = '--zonemode=zbd' if disk.zoned else '--zonemode=none'
    out = guest.run(
        f'fio --name=b --filename={disk.dev} {mode} --direct=1 '
        f'--ioengine=libaio --output-format=json --randseed=1 '
        f'--offset={zone * ZONE} --size={ZONE} --io_size={size} {options}').out
    job = json.loads(out[out.index('{'):])['jobs'][0]
    if job['error']:
        raise Failed(f'fio on {disk.name}: error {job["error"]}')
    return (job['read']['bw_bytes'] + job['write']['bw_bytes']) / MIB


def measure(runs, say, table):
    kernel = places.GUEST_DIR
    qemu = os.path.join(places.QEMU_BUILD, 'qemu-system-x86_64')
    for path in (qemu, os.path.join(kernel, 'kernel')):
        if not os.path.exists(path):
            raise Failed(f'there is no {path}')
    zones = runs * sum(job[3] for job in JOBS)
    folder = tempfile.mkdtemp(dir=places.BUILD)
    try:
        pairs = {
            'virtio-blk': [Disk(folder, 'virtio', None, zones),
                           Disk(folder, 'virtio', 'image', zones)],
            'NVMe': [Disk(folder, 'nvme', 'memory', zones),
                     Disk(folder, 'nvme', 'image', zones)],
        }
        disks = [disk for pair in pairs.values() for disk in pair]
        for disk in disks:
            disk.make(os.path.join(places.QEMU_BUILD, 'qemu-img'))
        say.step('guest: starting')
        try:
            got = run(qemu, kernel, folder, disks, runs, say)
        except guestvm.GuestError as error:
            raise Failed(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for face, (first, second) in pairs.items():
        names = ('plain', 'zoned') if face == 'virtio-blk' else \
            ('in memory on raw', 'zoned qcow2')
        for name, *_ in JOBS:
            table.ratio(f'guest, {face}', f'fio {name}', 'MiB/s',
                        got[name, first.name], got[name, second.name], LEAST,
                        names=names, more=True)


def run(qemu, kernel, folder, disks, runs, say):
    accel = guestvm.choose_accel(qemu, kernel, folder)
    got = {}
    arguments = [word for disk in disks for word in disk.arguments]
    with guestvm.Guest(qemu, kernel, folder, arguments, accel=accel) as guest:
        guest.boot()
        guest.run('modprobe nvme')
        for disk in disks:
            disk.dev = guest.disk(disk.name)
        zone = 0
        for turn in range(runs):
            first = zone
            for name, options, size, own in JOBS:
                for disk in disks if turn % 2 else disks[::-1]:
                    say.step(f'guest: {accel}, run {turn + 1} of {runs}, '
                             f'{disk.name}, {name}')
                    got.setdefault((name, disk.name), []).append(
                        fio(guest, disk, options, zone if own else first,
                            size))
                zone += own
        guest.poweroff()
    return got
