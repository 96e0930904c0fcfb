# SPDX-License-Identifier: GPL-2.0-or-later
#
# Direct I/O on a zoned disk in the guest, with data that tells where it
# belongs: each 512 bytes repeat their own byte offset and a seed.  Results
# are errno names, so that a test can ask for the very one.
#
# It runs inside the agent (a request {"zqio": {...}}): starting a python
# costs a second or more in an emulated guest.

import errno
import fcntl
import mmap
import os
import struct
import threading

OPS = {'reset': 0x40101283, 'open': 0x40101286, 'close': 0x40101287,
       'finish': 0x40101288}


def pattern(offset, length, seed):
    return b''.join(struct.pack('<QQ', pos, seed) * 32
                    for pos in range(offset, offset + length, 512))


def aligned(data):
    buf = mmap.mmap(-1, max(len(data), 1))
    buf[:] = data
    return buf


def name(error):
    return errno.errorcode.get(error.errno, str(error.errno))


class Args:
    """disk, offset, length in bytes; write: seed, bs (block size), flush
    (an fsync after so many blocks, 0 never), and so many zones at once, each
    stride bytes after the one before."""

    def __init__(self, what, disk, offset, length, bs=65536, seed=1, flush=0,
                 zones=1, stride=0):
        self.what, self.disk = what, disk
        self.offset, self.length = offset, length
        self.bs, self.seed, self.flush = bs, seed, flush
        self.zones, self.stride = zones, stride


def do_write(args, fd, emit):
    """Write in order, one block at a time; with flush, "flushed START END"
    tells up to where all is flushed."""
    def one(start):
        pos, blocks = start, 0
        try:
            while pos < start + args.length:
                n = min(args.bs, start + args.length - pos)
                if os.pwrite(fd, aligned(pattern(pos, n, args.seed)),
                             pos) != n:
                    raise OSError(errno.EIO, 'short write')
                pos += n
                blocks += 1
                if args.flush and blocks % args.flush == 0:
                    os.fsync(fd)
                    emit('flushed %d %d' % (start, pos))
            emit('ok %d' % start)
        except OSError as e:
            emit('%s %d %d' % (name(e), start, pos))

    threads = [threading.Thread(target=one,
                                args=(args.offset + i * args.stride,))
               for i in range(args.zones)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    os.fsync(fd)


def read_all(args, fd):
    pos = args.offset
    end = pos + args.length
    buf = mmap.mmap(-1, 1 << 20)
    while pos < end:
        want = min(len(buf), end - pos)
        got = os.preadv(fd, [memoryview(buf)[:want]], pos)
        if got <= 0:
            raise OSError(errno.EIO, 'short read')
        yield pos, buf[:got]
        pos += got


def do_check(args, fd, emit):
    for pos, data in read_all(args, fd):
        want = pattern(pos, len(data), args.seed)
        if data != want:
            bad = next(i for i in range(0, len(data), 512)
                       if data[i:i + 512] != want[i:i + 512])
            emit('wrong data at %d: %s' % (pos + bad,
                                           data[bad:bad + 16].hex()))
            return
    emit('ok')


def do_zeros(args, fd, emit):
    for pos, data in read_all(args, fd):
        if data.count(0) != len(data):
            bad = next(i for i, b in enumerate(data) if b)
            emit('not zero at %d' % (pos + bad))
            return
    emit('ok')


def do_op(args, fd, emit):
    fcntl.ioctl(fd, OPS[args.what], struct.pack(
        '<QQ', args.offset // 512, args.length // 512))
    emit('ok')


def zqio(request, emit):
    """Do what is asked; emit(line) is called for each line of the result."""
    args = Args(**request)
    act, flags = {
        'write': (do_write, os.O_WRONLY | os.O_DIRECT),
        'check': (do_check, os.O_RDONLY | os.O_DIRECT),
        'zeros': (do_zeros, os.O_RDONLY | os.O_DIRECT),
    }.get(args.what, (do_op, os.O_RDWR))
    try:
        fd = os.open(args.disk, flags | os.O_CLOEXEC)
        try:
            act(args, fd, emit)
        finally:
            os.close(fd)
    except OSError as e:
        emit(name(e))
