# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture in a terminal, drawn again and again."""

import select
import shutil
import signal
import socket
import sys
import time

from . import terminal
from .qmp import Gone

# Another screen, so that the user's own comes back as it was; no cursor; a
# line too long is cut
ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J'
LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l'
# A terminal that knows these shows all that is between them at once.
BEGIN, END = '\x1b[?2026h', '\x1b[?2026l'


def frame(lines, height):
    """Text that puts lines over the last picture: nothing is cleared that
    is drawn again, so nothing flickers."""
    return BEGIN + '\x1b[H' + '\r\n'.join(line + '\x1b[K' for line in
                                          lines[:height]) + \
        '\x1b[J' + END


class Screen:
    """The terminal while it is ours; changes of its size end a wait."""

    def __init__(self, out):
        self.out = out
        self.ours, self.theirs = socket.socketpair()

    def __enter__(self):
        for end in (self.ours, self.theirs):
            end.setblocking(False)
        self.wakeup = signal.set_wakeup_fd(self.theirs.fileno(),
                                           warn_on_full_buffer=False)
        self.before = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH,
                                           lambda *_: None),
            # As Ctrl-C, so that the terminal is given back
            signal.SIGTERM: signal.signal(signal.SIGTERM,
                                          signal.default_int_handler),
            signal.SIGHUP: signal.signal(signal.SIGHUP,
                                         signal.default_int_handler)}
        self.write(ENTER)
        return self

    def __exit__(self, *_):
        signal.set_wakeup_fd(self.wakeup)
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.ours.close()
        self.theirs.close()
        self.write(LEAVE)

    def write(self, text):
        self.out.write(text)
        self.out.flush()

    def wait(self, until, connection):
        """Until it is time, the terminal's size changes, or QEMU speaks."""
        sources = [self.ours] + ([connection] if connection else [])
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return
            ready = select.select(sources, [], [], left)[0]
            if connection in ready:
                connection.events()
            if self.ours in ready:
                try:
                    self.ours.recv(4096)
                except BlockingIOError:
                    pass
                return


def watch(source, interval, style, out=sys.stdout):
    """Returns what ended it, None for Ctrl-C; raises Failure."""
    connection = getattr(source, 'connection', None)
    disk = source.report()
    reason = None
    error = None
    with Screen(out) as screen:
        try:
            while True:
                width, height = shutil.get_terminal_size()
                lines = terminal.lines(disk, width, height, style,
                                       time.strftime('%H:%M:%S'))
                screen.write(frame(lines, height))
                screen.wait(time.monotonic() + interval, connection)
                disk = source.report()
        except KeyboardInterrupt:
            pass
        except Gone as gone:
            reason = str(gone)
            error = None if gone.expected else gone
    # The last picture stays.
    width, height = shutil.get_terminal_size()
    out.write('\n'.join(terminal.lines(disk, width, height - 2, style)) + '\n')
    out.flush()
    if error:
        raise error
    return reason
