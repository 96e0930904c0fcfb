# SPDX-License-Identifier: GPL-2.0-or-later
#
# What tests/suites/guest/image/zqio.py writes, checked from the host.

import os
import struct

from tap import check


def pattern(offset, length, seed=1):
    return b''.join(struct.pack('<QQ', pos, seed) * 32
                    for pos in range(offset, offset + length, 512))


def check_image(env, disk, flushed):
    """flushed: {start of a zone: end of what was flushed}.  Each of these
    zones holds the pattern up to its write pointer, which is at or above
    that end, and zeros from there on."""
    raw = os.path.join(env.dir, disk.name + '.raw')
    env.host(env.img, 'convert', '-f', 'qcow2', '-O', 'raw', disk.image, raw)
    report = disk.host_report()
    with open(raw, 'rb') as f:
        for start, end in sorted(flushed.items()):
            zone = report[start // disk.zone_size]
            wp = zone.wp * 512
            check(wp >= end, 'zone at %d: write pointer %d, flushed up to %d'
                  % (start, wp, end))
            f.seek(start)
            data = f.read(disk.zone_size)
            check(data[:wp - start] == pattern(start, wp - start),
                  'zone at %d: wrong data below its write pointer' % start)
            check(data.count(0, wp - start) == len(data) - (wp - start),
                  'zone at %d: not zero above its write pointer' % start)
    os.unlink(raw)
