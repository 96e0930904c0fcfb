# SPDX-License-Identifier: GPL-2.0-or-later
"""
What reached the file of a zoned image, and in which order.

Reads the log that QEMU's blklogwrites driver keeps, and names each write
after what it changed: the write-pointer table, other metadata, or data of a
zone.
"""
import os
import struct
from typing import Iterator, List, NamedTuple

from zoned_disk import Reader

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


class Entry(NamedTuple):
    """One entry of the log; offset and length in bytes."""
    offset: int
    length: int
    flags: int
    data: bytes


def entries(path: str) -> Iterator[Entry]:
    """All entries of the log at @path."""
    if os.path.getsize(path) == 0:
        return                          # nothing was logged, no superblock
    with open(path, 'rb') as f:
        magic, version, nr, sector = struct.unpack('<QQQI', f.read(28))
        assert magic == 0x6a736677736872 and version == 1
        pos = sector
        for _ in range(nr):
            f.seek(pos)
            start, length, flags, _ = struct.unpack('<QQQQ', f.read(32))
            pos += sector
            data = b''
            if not flags & DISCARD:
                f.seek(pos)
                data = f.read(length * sector)
                pos += length * sector
            yield Entry(start * sector, length * sector, flags, data)


def events(log: str, img: str) -> List[str]:
    """
    The log as words.  @img is the image as it is in the end, and says which
    clusters hold what; data is named by its zone.
    """
    reader = Reader(img)
    table_end = reader.table + -(-reader.nr_zones * 8 //
                                 reader.cluster_size) * reader.cluster_size
    hosts = reader.hosts()
    result = []
    for e in entries(log):
        if e.flags & FLUSH:
            result.append('flush')
            continue
        if e.flags & DISCARD:
            result.append('discard')
            continue
        if reader.table <= e.offset < table_end:
            word = 'table'
        else:
            guest = hosts.get(e.offset // reader.cluster_size)
            word = 'metadata' if guest is None else \
                f'data{guest // reader.zone_size}'
        if e.flags & FUA:
            word += ' FUA'
        result.append(word)
    return result


def merged(words: List[str]) -> List[str]:
    """Without repetitions of metadata writes, whose number is qcow2's."""
    result: List[str] = []
    for word in words:
        if word != 'metadata' or not result or result[-1] != 'metadata':
            result.append(word)
    return result
