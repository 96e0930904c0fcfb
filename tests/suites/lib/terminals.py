# SPDX-License-Identifier: GPL-2.0-or-later
"""A terminal: programs run in it, and what it shows is known."""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

# What hangs is ended; nothing is judged by it.
HANGS = 120


class Display:
    """What a terminal shows of what is written to it."""

    def __init__(self, columns, rows):
        self.rows, self.columns = rows, columns
        self.cells = [''] * rows
        self.other = None
        self.row = self.column = 0
        self.said = ''
        self.rest = ''
        self.cursor = True

    def show(self, text):
        self.said += text
        text = self.rest + text
        self.rest = ''
        at = 0
        while at < len(text):
            char = text[at]
            if char == '\x1b':
                match = re.compile(r'\x1b\[(\??)([0-9;]*)([A-Za-z])').match(
                    text, at)
                if not match:
                    self.rest = text[at:]
                    return
                self.control(*match.groups())
                at = match.end()
                continue
            if char == '\r':
                self.column = 0
            elif char == '\n':
                self.row += 1
                if self.row == self.rows:
                    self.cells = self.cells[1:] + ['']
                    self.row -= 1
            else:
                line = self.cells[self.row].ljust(self.column)
                self.cells[self.row] = (line[:self.column] + char +
                                        line[self.column + 1:])
                self.column += 1
            at += 1

    def control(self, private, numbers, letter):
        if letter == 'H':
            self.row = self.column = 0
        elif letter == 'K':
            self.cells[self.row] = self.cells[self.row][:self.column]
        elif letter == 'J':
            if numbers != '2':
                self.cells[self.row] = self.cells[self.row][:self.column]
            first = 0 if numbers == '2' else self.row + 1
            for row in range(first, self.rows):
                self.cells[row] = ''
        elif private and numbers == '25':
            self.cursor = letter == 'h'
        elif private and numbers == '1049':
            if letter == 'h':
                self.other = (self.cells, self.row, self.column)
                self.cells = list(self.cells)
            else:
                self.cells, self.row, self.column = self.other
                self.cells = (self.cells + [''] * self.rows)[:self.rows]
                self.other = None

    def lines(self):
        return [line.rstrip() for line in self.cells]


class Terminal(Display):
    """A program in a terminal of a size."""

    def __init__(self, program, *arguments, columns=80, rows=24,
                 **environment):
        env = {key: value for key, value in os.environ.items()
               if key not in ('LC_ALL', 'LC_CTYPE', 'LANG', 'NO_COLOR',
                              'COLUMNS', 'LINES')}
        env.update(TERM='xterm-256color', **environment)
        super().__init__(columns, rows)
        self.decoder = codecs.getincrementaldecoder('utf-8')('replace')
        self.status = None
        self.pid, self.handle = pty.fork()
        if not self.pid:
            # What runs in the background may have been told to ignore it.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            fcntl.ioctl(0, termios.TIOCSWINSZ,
                        struct.pack('HHHH', rows, columns, 0, 0))
            os.execve(program, [program, *arguments], env)

    def resize(self, columns, rows):
        """The other side of a pty gets SIGWINCH by it."""
        self.rows, self.columns = rows, columns
        self.cells = (self.cells + [''] * rows)[:rows]
        fcntl.ioctl(self.handle, termios.TIOCSWINSZ,
                    struct.pack('HHHH', rows, columns, 0, 0))

    def read_until(self, there, hangs=HANGS):
        """Until there() or the end; False at the end."""
        end = time.monotonic() + hangs
        while not there():
            left = max(end - time.monotonic(), 0)
            if not left or not select.select([self.handle], [], [], left)[0]:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError('the program hangs: ' + repr(
                    self.said[-2000:]))
            try:
                data = os.read(self.handle, 1 << 16)
            except OSError:
                data = b''
            if not data:
                return False
            self.show(self.decoder.decode(data))
        return True

    def until(self, text):
        """Until this is on the screen and the picture is whole."""
        assert self.read_until(lambda: self.whole() and any(
            text in line for line in self.cells)), \
            f'{text!r} never came: {self.said!r}'

    def whole(self):
        return not self.rest and self.said.count('\x1b[?2026h') == \
            self.said.count('\x1b[?2026l')

    def finish(self, hangs=HANGS):
        self.read_until(lambda: False, hangs)
        os.close(self.handle)
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self

    def interrupt(self):
        os.write(self.handle, b'\x03')
