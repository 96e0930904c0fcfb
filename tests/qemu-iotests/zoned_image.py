# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make and read zoned qcow2 images byte by byte
#
# Written from the format (docs/interop/qcow2.rst and qcow2-zoned.rst) and not
# from QEMU's code, so that a test can compare the two.
#
"""Zoned qcow2 images, made and read without QEMU."""

import struct
from typing import Any, Dict, List, Optional, Tuple

MAGIC = 0x514649fb
EXT_END = 0
EXT_BACKING_FORMAT = 0xe2792aca
EXT_FEATURE_NAMES = 0x6803f857
EXT_BITMAPS = 0x23852875
EXT_ZONED = 0x007a6264

INCOMPAT_DIRTY = 1 << 0
INCOMPAT_CORRUPT = 1 << 1
INCOMPAT_DATA_FILE = 1 << 2
INCOMPAT_ZONED = 1 << 5
INCOMPAT_ZONED_SNAPSHOTS = 1 << 6
COMPAT_LAZY_REFCOUNTS = 1 << 0
AUTOCLEAR_BITMAPS = 1 << 0

CONVENTIONAL = 1 << 63
COPIED = 1 << 63

KiB = 1 << 10
MiB = 1 << 20
GiB = 1 << 30

HEADER = struct.Struct('>IIQIIQIIQQIIQQQQII')
HEADER_FIELDS = ('magic', 'version', 'backing_file_offset',
                 'backing_file_size', 'cluster_bits', 'size', 'crypt_method',
                 'l1_size', 'l1_table_offset', 'refcount_table_offset',
                 'refcount_table_clusters', 'nb_snapshots',
                 'snapshots_offset', 'incompatible_features',
                 'compatible_features', 'autoclear_features',
                 'refcount_order', 'header_length')

ZONED = struct.Struct('>B3sIQQQIII')
ZONED_FIELDS = ('zoned', 'reserved', 'nr_zones', 'zone_size', 'zone_capacity',
                'zonedmeta_offset', 'conventional_zones', 'max_active_zones',
                'max_open_zones')


def div_up(a: int, b: int) -> int:
    """a / b, rounded up"""
    return -(-a // b)


class Zones:
    """The fields of the header extension, and what follows from them."""

    def __init__(self, size: int, zone_size: int, **fields: Any) -> None:
        self.disk_size = size
        self.fields: Dict[str, Any] = {
            'zoned': 1,
            'reserved': bytes(3),
            'nr_zones': div_up(size, zone_size),
            'zone_size': zone_size,
            'zone_capacity': zone_size,
            'zonedmeta_offset': 0,
            'conventional_zones': 0,
            'max_active_zones': 0,
            'max_open_zones': 0,
        }
        self.fields.update(fields)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__['fields'][name]
        except KeyError as e:
            raise AttributeError(name) from e

    def pack(self) -> bytes:
        return ZONED.pack(*(self.fields[f] for f in ZONED_FIELDS))

    def start(self, i: int) -> int:
        return i * self.zone_size

    def full(self, i: int) -> int:
        """Write pointer of zone i when it is full"""
        return min(self.start(i) + self.zone_capacity, self.disk_size)

    def entry(self, i: int, wp: Optional[int] = None) -> int:
        """Table entry of zone i; empty without wp"""
        if i < self.conventional_zones:
            return CONVENTIONAL | self.start(i)
        return self.start(i) if wp is None else wp


class Image:
    """
    A qcow2 image in memory.  Clusters: header, refcount table, one refcount
    block, L1 table (as many as it takes), write-pointer table, then whatever
    is allocated.
    """

    def __init__(self, zones: Zones, cluster_bits: int = 16) -> None:
        self.cluster_bits = cluster_bits
        self.cluster = 1 << cluster_bits
        self.zones = zones
        self.refcounts: Dict[int, int] = {}
        self.blocks: Dict[int, bytearray] = {}
        self.next_free = 0

        self.alloc(3)
        l2_covers = self.cluster // 8 * self.cluster
        self.l1 = [0] * div_up(zones.disk_size, l2_covers)
        l1_offset = self.alloc(div_up(len(self.l1) * 8, self.cluster))
        if not zones.fields['zonedmeta_offset']:
            zones.fields['zonedmeta_offset'] = \
                self.alloc(div_up(zones.nr_zones * 8, self.cluster))
        self.table = [zones.entry(i) for i in range(zones.nr_zones)]

        self.header: Dict[str, int] = {
            'magic': MAGIC, 'version': 3, 'backing_file_offset': 0,
            'backing_file_size': 0, 'cluster_bits': cluster_bits,
            'size': zones.disk_size, 'crypt_method': 0,
            'l1_size': len(self.l1), 'l1_table_offset': l1_offset,
            'refcount_table_offset': self.cluster,
            'refcount_table_clusters': 1, 'nb_snapshots': 0,
            'snapshots_offset': 0, 'incompatible_features': INCOMPAT_ZONED,
            'compatible_features': 0, 'autoclear_features': 0,
            'refcount_order': 4, 'header_length': 104,
        }
        self.extensions: List[Tuple[int, bytes]] = [(EXT_ZONED, b'')]
        self.file_size: Optional[int] = None
        # Where the refcount table says that the refcount block is
        self.refcount_block = 2 * self.cluster

    def alloc(self, clusters: int) -> int:
        """Offset of so many new clusters, with a refcount of 1"""
        first = self.next_free
        for i in range(first, first + clusters):
            self.refcounts[i] = 1
        self.next_free += clusters
        return first * self.cluster

    def put(self, offset: int, data: bytes) -> None:
        """Bytes at an offset of the file, instead of what would be there"""
        self.blocks[offset] = bytearray(data)

    def map_cluster(self, guest: int, data: bytes) -> int:
        """Allocate the cluster at a guest offset; where it is in the file"""
        index = guest // self.cluster
        per_l2 = self.cluster // 8
        l1_index, l2_index = index // per_l2, index % per_l2
        if not self.l1[l1_index]:
            self.l1[l1_index] = COPIED | self.alloc(1)
            self.put(self.l1[l1_index] & ~COPIED, bytes(self.cluster))
        host = self.alloc(1)
        self.put(host, data.ljust(self.cluster, b'\0'))
        l2 = self.blocks[self.l1[l1_index] & ~COPIED]
        struct.pack_into('>Q', l2, l2_index * 8, COPIED | host)
        return host

    def write(self, path: str) -> None:
        exts = b''
        for magic, data in self.extensions + [(EXT_END, b'')]:
            if magic == EXT_ZONED and not data:
                data = self.zones.pack()
            exts += struct.pack('>II', magic, len(data))
            exts += data + bytes(-len(data) % 8)

        out: Dict[int, bytes] = {
            0: HEADER.pack(*(self.header[f] for f in HEADER_FIELDS)) + exts,
            self.cluster: struct.pack('>Q', self.refcount_block),
            3 * self.cluster: struct.pack(f'>{len(self.l1)}Q', *self.l1),
        }
        refblock = bytearray(self.cluster)
        for i, n in self.refcounts.items():
            struct.pack_into('>H', refblock, i * 2, n)
        out[2 * self.cluster] = refblock
        table = struct.pack(f'>{len(self.table)}Q', *self.table)

        size = self.file_size
        if size is None:
            size = self.next_free * self.cluster
        with open(path, 'wb') as f:
            for offset in sorted(out):
                f.seek(offset)
                f.write(out[offset])
            if self.zones.zonedmeta_offset < size:
                # Not upon other metadata, which a test may want to see
                if not any(o < self.zones.zonedmeta_offset + len(table) and
                           self.zones.zonedmeta_offset < o + len(out[o])
                           for o in out):
                    f.seek(self.zones.zonedmeta_offset)
                    f.write(table)
            for offset in sorted(self.blocks):
                f.seek(offset)
                f.write(self.blocks[offset])
            f.truncate(size)


class Parsed:
    """What stands in the header and the table of an image file."""

    def __init__(self, path: str) -> None:
        with open(path, 'rb') as f:
            self.data_head = f.read(2 << 20)
            self.header = dict(zip(HEADER_FIELDS,
                                   HEADER.unpack_from(self.data_head)))
            self.extensions: List[Tuple[int, bytes]] = []
            offset = self.header['header_length']
            if self.header['version'] == 2:
                offset = 72
            while True:
                magic, length = struct.unpack_from('>II', self.data_head,
                                                   offset)
                offset += 8
                if magic == EXT_END:
                    break
                self.extensions.append(
                    (magic, self.data_head[offset:offset + length]))
                offset += length + -length % 8

            self.zones: Dict[str, Any] = {}
            self.table: List[int] = []
            for magic, data in self.extensions:
                if magic == EXT_ZONED:
                    self.zones = dict(zip(ZONED_FIELDS, ZONED.unpack(data)))
            if self.zones:
                nr = self.zones['nr_zones']
                f.seek(self.zones['zonedmeta_offset'])
                self.table = list(struct.unpack(f'>{nr}Q', f.read(nr * 8)))

    def feature_names(self) -> List[Tuple[int, int, str]]:
        """Type, bit and name of each feature in the feature name table"""
        for magic, data in self.extensions:
            if magic == EXT_FEATURE_NAMES:
                return [(data[i], data[i + 1],
                         data[i + 2:i + 48].rstrip(b'\0').decode())
                        for i in range(0, len(data), 48)]
        return []


class Snapshot:
    """An entry of the snapshot table, and what stands in its table copy."""

    HEAD = struct.Struct('>QIHHIIQII')

    def __init__(self, data: bytes, offset: int, zone_size: int) -> None:
        self.head = self.HEAD.unpack_from(data, offset)
        self.extra_offset = offset + self.HEAD.size
        names = self.extra_offset + self.head[8]
        self.extra = data[self.extra_offset:names]
        self.id = data[names:names + self.head[2]]
        self.end = names + self.head[2] + self.head[3]
        self.name = data[names + self.head[2]:self.end].decode()
        self.disk_size = struct.unpack_from('>Q', self.extra, 8)[0]
        self.copy = 0
        self.table: List[int] = []
        if len(self.extra) >= 32:
            self.copy = struct.unpack_from('>Q', self.extra, 24)[0]
            self.table = list(struct.unpack_from(
                f'>{div_up(self.disk_size, zone_size)}Q', data, self.copy))

    @classmethod
    def all(cls, path: str) -> List['Snapshot']:
        parsed = Parsed(path)
        with open(path, 'rb') as f:
            data = f.read()
        found: List['Snapshot'] = []
        offset = parsed.header['snapshots_offset']
        for _ in range(parsed.header['nb_snapshots']):
            found.append(cls(data, offset, parsed.zones['zone_size']))
            offset = found[-1].end + -found[-1].end % 8
        return found

    def pack(self, extra: bytes) -> bytes:
        """The entry with other extra data"""
        entry = self.HEAD.pack(*self.head[:8], len(extra)) + extra + self.id + \
            self.name.encode()
        return entry + bytes(-len(entry) % 8)


def poke(path: str, offset: int, data: bytes) -> None:
    """Change bytes of an image file"""
    with open(path, 'r+b') as f:
        f.seek(offset)
        f.write(data)
