# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the guest tests share: the programs under test, images and boots.

import copy
import json
import os
import shutil
import subprocess

import guestvm
import places
import zonereport
from tap import check, equal

KIB, MIB = 1 << 10, 1 << 20


class Environment:
    def __init__(self):
        bins = places.QEMU_BUILD
        self.qemu = os.path.join(bins, 'qemu-system-x86_64')
        self.img = os.path.join(bins, 'qemu-img')
        self.io = os.path.join(bins, 'qemu-io')
        self.guest = places.GUEST_DIR
        self.dir = os.path.join(places.temporary(), 'guest')
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self._accel = None
        self.older = None

    @property
    def accel(self):
        if self.older:
            return self.older.accel
        if self._accel is None:
            self._accel = guestvm.choose_accel(self.qemu, self.guest,
                                               self.dir)
        return self._accel

    def newest(self):
        """The same with the newest kernel.  What runs one kernel runs the
        other, and to try takes long."""
        other = copy.copy(self)
        other.guest = self.guest + '-newest'
        other.older = self
        return other

    def host(self, *argv):
        res = subprocess.run(argv, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, errors='replace')
        check(res.returncode == 0, '%s exited with %d: %s' %
              (' '.join(argv), res.returncode, res.stdout[-1500:]))
        return res.stdout

    def vm(self, disks, name, args=(), **kwargs):
        argv = []
        for disk in disks:
            argv += disk.arguments()
        return guestvm.Guest(self.qemu, self.guest, self.dir,
                             argv + list(args), accel=self.accel, name=name,
                             **kwargs)


class Disk:
    """A zoned image and the virtio-blk disk made of it; its name is the
    disk's serial number and the prefix of its node names."""

    def __init__(self, env, name, zones, zone_size, folder=None, device=None,
                 blockdev=None, **options):
        self.env, self.name = env, name
        self.zones, self.zone_size = zones, zone_size
        self.capacity = options.pop('capacity', zone_size)
        self.conventional = options.get('conventional_zones', 0)
        self.image = os.path.join(folder or env.dir, name + '.qcow2')
        self.device = dict(device or {})
        self.blockdev = dict(blockdev or {})
        self.dev = None
        opts = ['zoned=on', 'zone.size=%d' % zone_size,
                'zone.capacity=%d' % self.capacity]
        opts += ['zone.%s=%d' % item for item in options.items()]
        env.host(env.img, 'create', '-q', '-f', 'qcow2', '-o',
                 ','.join(opts), self.image, str(zones * zone_size))

    def options(self):
        """What blockdev-add and device_add take."""
        node = {'driver': 'qcow2', 'node-name': self.name,
                'file': {'driver': 'file', 'filename': self.image}}
        node.update(self.blockdev)
        device = {'driver': 'virtio-blk-pci', 'drive': self.name,
                  'id': 'dev-' + self.name, 'serial': self.name}
        device.update(self.device)
        return node, device

    def arguments(self):
        node, device = self.options()
        return ['-blockdev', json.dumps(node), '-device', json.dumps(device)]

    def find(self, vm):
        self.dev = vm.disk(self.name)
        return self.dev

    def start(self, zone):
        return zone * self.zone_size

    def host_report(self):
        return zonereport.parse_host(self.env.host(
            self.env.io, '-r', '-f', 'qcow2', '-c',
            'zone_report 0 %d' % self.zones, self.image))

    def guest_report(self, vm):
        return zonereport.parse_guest(
            vm.run('blkzone report ' + self.dev).out)

    def check(self):
        self.env.host(self.env.img, 'check', '-f', 'qcow2', self.image)


class Group:
    """Tests of one boot."""

    def __init__(self, suite, env):
        self.suite, self.env = suite, env
        self.vm = None
        self.tests = []

    def add(self, name, function):
        self.tests.append((name, function))

    def is_broken(self):
        return self.vm is not None and self.vm.proc.poll() is not None

    def tear_down(self):
        if self.vm:
            self.vm.kill()

    def boot(self, disks, name, args=(), modules='', **kwargs):
        self.vm = self.env.vm(disks, name, args, **kwargs)
        self.vm.boot()
        self.suite.note('%s: Linux %s up (%s)' % (name, self.vm.kernel,
                                                  self.env.accel))
        if modules:
            self.sh('modprobe -a ' + modules)
        for disk in disks:
            disk.find(self.vm)

    def queue_limits(self, disk, **want):
        """What the guest's kernel has made of an image's limits"""
        queue = '/sys/block/%s/queue/' % os.path.basename(disk.dev)
        got = dict(line.split(' ', 1) for line in self.sh(
            'cd %s; for f in %s; do echo $f $(cat $f); done' %
            (queue, ' '.join(want))).splitlines())
        equal(got, want, 'queue limits')
        check(int(self.sh('cat %szone_append_max_bytes' % queue)) > 0,
              'the guest may not append')

    def sh(self, command, **kwargs):
        return self.vm.run(command, **kwargs).out

    def zqio(self, what, disk, offset, length, **more):
        """The lines that say how it went, as one string."""
        msg = self.vm.zqio(what, disk.dev, offset, length, **more).wait()
        check(msg['rc'] == 0, 'zqio %s: %s' % (what, msg.get('err')))
        return msg['out']
