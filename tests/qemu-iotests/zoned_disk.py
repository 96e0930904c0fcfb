# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the zoned-* tests share: making zoned images, driving them with qemu-io,
and an independent reading of the file.

The reading knows only the format specification: it walks header, extension,
write-pointer table, L1 and L2 tables of an image that no process has open,
and says what each byte must read as.  It does not do encryption, compression
or backing files.
"""
import hashlib
import os
import re
import struct
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import iotests

KiB = 1 << 10
MiB = 1 << 20
GiB = 1 << 30

EXT_ZONED = 0x007a6264
INCOMPAT_DATA_FILE = 1 << 2
INCOMPAT_EXTL2 = 1 << 4
INCOMPAT_ZONED = 1 << 5
CONVENTIONAL = 1 << 63

# BlockZoneState
NOT_WP, EMPTY, IOPEN, EOPEN, CLOSED = range(5)
RDONLY, FULL, OFFLINE = range(13, 16)

# What qemu-io says
UNALIGNED_WP = "Write is not at the zone's write pointer"
BOUNDARY = "Write passes the zone's capacity or end"
ZONE_FULL = 'Zone is full'
INVALID_APPEND = 'Invalid zone append'
TRANSITION = 'Invalid zone state transition'
ACTIVE_LIMIT = 'Too many active zones'
OPEN_LIMIT = 'Too many open zones'


class Zone(NamedTuple):
    """One zone of a report, in bytes."""
    start: int
    length: int
    cap: int
    wp: int
    state: int
    type: int


def create(path: str, disk_size: int, *args: str, **opts: Any) -> None:
    """
    Make a zoned image.  Keywords are zone.* options without the prefix;
    those that are not of zones go as further arguments of qemu-img create.
    """
    text = 'zone.mode=host-managed'
    for key, value in opts.items():
        text += f',zone.{key}={value}'
    iotests.qemu_img_create('-f', 'qcow2', *args, '-o', text, path,
                            str(disk_size))


def io(path: str, *cmds: str, opts: Tuple[str, ...] = (),
       check: bool = True) -> str:
    """Run qemu-io commands on the image, in one process; its output."""
    args: List[str] = list(opts)
    for cmd in cmds:
        args += ['-c', cmd]
    if '--image-opts' not in args and '-f' not in args:
        args = ['-f', 'qcow2'] + args
    return iotests.qemu_io(*args, path, check=check).stdout


def report_of(text: str) -> List[Zone]:
    """The zones in what 'zrp' of qemu-io printed."""
    zones = []
    for m in re.finditer(r'start: 0x(\w+), len 0x(\w+), cap 0x(\w+), '
                         r'wptr 0x(\w+), zcond:(\d+), \[type: (\d+)\]', text):
        start, length, cap, wp = (int(m.group(i), 16) * 512
                                  for i in range(1, 5))
        zones.append(Zone(start, length, cap, wp, int(m.group(5)),
                          int(m.group(6))))
    return zones


def report(path: str, *cmds: str, nr: int = 4096,
           opts: Tuple[str, ...] = ('-r',)) -> List[Zone]:
    """
    All zones, after @cmds in the same process (which then wants other @opts
    than the read-only open).
    """
    return report_of(io(path, *cmds, f'zrp 0 {nr}', opts=opts, check=False))


def direct_io(path: str) -> bool:
    """Does the file system of this file know O_DIRECT?"""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
        return True
    except OSError:
        return False


def sha(path: str) -> str:
    """Digest of a file of the host."""
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        for block in iter(lambda: f.read(MiB), b''):
            digest.update(block)
    return digest.hexdigest()


def check(path: str, *args: str) -> Dict[str, Any]:
    """qemu-img check; what it found."""
    return iotests.qemu_img_check('-f', 'qcow2', *args, path)


class Reader:
    """Reads a zoned qcow2 file without QEMU."""

    # pylint: disable=too-many-instance-attributes
    def __init__(self, path: str) -> None:
        with open(path, 'rb') as f:
            self.raw = f.read()
        (magic, self.version, _, _, self.cluster_bits, self.size, self.crypt,
         l1_size, l1_offset) = struct.unpack_from('>4sIQIIQIIQ', self.raw)
        assert magic == b'QFI\xfb'
        self.incompat, = struct.unpack_from('>Q', self.raw, 72)
        header_len, = struct.unpack_from('>I', self.raw, 100)
        self.cluster_size = 1 << self.cluster_bits
        self.l1 = struct.unpack_from(f'>{l1_size}Q', self.raw, l1_offset)
        self.extensions: List[Tuple[int, bytes]] = []
        pos = header_len
        while True:
            kind, length = struct.unpack_from('>II', self.raw, pos)
            if kind == 0:
                break
            self.extensions.append((kind,
                                    self.raw[pos + 8:pos + 8 + length]))
            pos += 8 + (length + 7) // 8 * 8
        zoned = [e for k, e in self.extensions if k == EXT_ZONED]
        assert len(zoned) == 1 and len(zoned[0]) == 44
        assert self.incompat & INCOMPAT_ZONED
        (self.model, self.nr_zones, self.zone_size, self.capacity, self.table,
         self.conventional, self.max_active, self.max_open) = \
            struct.unpack('>B3xIQQQIII', zoned[0])

    def entry(self, zone: int) -> int:
        """The table entry of a zone, as it is on disk."""
        return struct.unpack_from('>Q', self.raw, self.table + zone * 8)[0]

    def wp(self, zone: int) -> Optional[int]:
        """The write pointer of a zone on disk; None for a conventional one."""
        value = self.entry(zone)
        if zone < self.conventional:
            assert value == CONVENTIONAL | zone * self.zone_size
            return None
        assert not value & CONVENTIONAL
        return value

    def _cluster(self, offset: int) -> bytes:
        """The cluster at a guest offset, with no zone rules."""
        entry_size = 16 if self.incompat & INCOMPAT_EXTL2 else 8
        l2_entries = self.cluster_size // entry_size
        index = offset >> self.cluster_bits
        l1_entry = self.l1[index // l2_entries] & 0x00fffffffffffe00
        if not l1_entry:
            return bytes(self.cluster_size)
        pos = l1_entry + index % l2_entries * entry_size
        entry, = struct.unpack_from('>Q', self.raw, pos)
        assert not entry & (1 << 62), 'compressed cluster'
        host = entry & 0x00fffffffffffe00
        data = self.raw[host:host + self.cluster_size] if host else b''
        data = data.ljust(self.cluster_size, b'\0')
        if entry_size == 8:
            return bytes(self.cluster_size) if entry & 1 else data
        bitmap, = struct.unpack_from('>Q', self.raw, pos + 8)
        sub = self.cluster_size // 32
        return b''.join(data[i * sub:(i + 1) * sub] if bitmap >> i & 1
                        else bytes(sub) for i in range(32))

    def hosts(self) -> Dict[int, int]:
        """Guest offset of each allocated cluster, by its number in the file"""
        result = {}
        entry_size = 16 if self.incompat & INCOMPAT_EXTL2 else 8
        l2_entries = self.cluster_size // entry_size
        for i, l1_entry in enumerate(self.l1):
            pos = l1_entry & 0x00fffffffffffe00
            for k in range(l2_entries if pos else 0):
                entry, = struct.unpack_from('>Q', self.raw,
                                            pos + k * entry_size)
                host = entry & 0x00fffffffffffe00
                if host:
                    result[host >> self.cluster_bits] = \
                        (i * l2_entries + k) << self.cluster_bits
        return result

    def stored_at(self, offset: int) -> int:
        """Where the file has the byte at a guest offset, in a cluster"""
        start = offset // self.cluster_size * self.cluster_size
        cluster, = (n for n, at in self.hosts().items() if at == start)
        return cluster * self.cluster_size + offset - start

    def stored(self, offset: int, length: int) -> bytes:
        """What the clusters hold, whatever the write pointers say."""
        first = offset // self.cluster_size * self.cluster_size
        data = b''.join(self._cluster(c) for c in
                        range(first, offset + length, self.cluster_size))
        return data[offset - first:offset - first + length]

    def content(self, zone: int) -> bytes:
        """What a guest must read in a zone."""
        start = zone * self.zone_size
        length = min(self.zone_size, self.size - start)
        wp = self.wp(zone)
        if wp is None:
            return self.stored(start, length)
        return self.stored(start, wp - start).ljust(length, b'\0')

    def digest(self) -> str:
        """Of what a guest must read on the whole disk."""
        digest = hashlib.sha256()
        for zone in range(self.nr_zones):
            digest.update(self.content(zone))
        return digest.hexdigest()
