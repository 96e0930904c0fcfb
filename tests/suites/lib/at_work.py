# SPDX-License-Identifier: GPL-2.0-or-later
"""A line a minute for a step that says nothing for long.

scripts/run-suites ends a suite that has printed nothing for ten minutes.  A
step that may be silent for longer on a slow machine is wrapped:

    with AtWork('compiling'):
        ...

A line is printed only where the programs of this session have used the
processor since the last one, so that a step that hangs is silent and is
ended.  One that runs in circles is silent after two hours.
"""

import os
import threading
import time

# Seconds without a line after which the runner ends a suite
SILENCE = float(os.environ.get('ZQ_SILENCE') or 600)
MINUTE = SILENCE / 10
# Minutes without work after which a step is told to be idle
IDLE = 6
LONGEST = 120
TICKS = os.sysconf('SC_CLK_TCK')


def session_seconds():
    """Processor time of the programs of this session, this one excepted."""
    mine = os.getsid(0)
    ticks = 0
    for name in os.listdir('/proc'):
        if not name.isdigit():
            continue
        try:
            with open(f'/proc/{name}/stat', encoding='utf-8',
                      errors='replace') as file:
                # From the third field on: the second may hold blanks
                fields = file.read().rsplit(')', 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[3]) == mine:
            # Its own, user and system, and that of children it waited for;
            # of this program the latter alone, as the watch is not the work
            own = name == str(os.getpid())
            ticks += sum(int(field) for field in fields[13 if own else 11:15])
    return ticks / TICKS


class AtWork:
    """The step "what"; idle() is called once where nothing works any more.

    longest: minutes in one step after which it is as good as idle; None: as
    long as it works.
    """

    def __init__(self, what, idle=None, longest=LONGEST):
        self.what = what
        self.idle = idle
        self.longest = longest
        self.began = time.monotonic()
        self.quiet = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def step(self, what=None):
        """One more is done; the next begins."""
        if what:
            self.what = what
        self.began = time.monotonic()
        self.quiet = 0

    def __enter__(self):
        self.step()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _watch(self):
        before = session_seconds()
        while not self.over.wait(MINUTE):
            now = session_seconds()
            # Where it is less, a program has ended.
            works = abs(now - before) >= max(1 / TICKS, MINUTE / 60)
            before = now
            minutes = (time.monotonic() - self.began) / MINUTE
            if works and (self.longest is None or minutes <= self.longest):
                self.quiet = 0
                since = f' for {minutes:.0f} min' if minutes >= 1 else ''
                # At once, so that it never ends up within another line
                os.write(1, f'# {self.what}: at work{since}\n'.encode())
                continue
            self.quiet += 1
            if self.quiet == IDLE and self.idle:
                self.idle()


def lines_of(what, stream, **how):
    """The lines of a program's output; between two it may take long."""
    with AtWork(what, **how) as work:
        for line in stream:
            work.step()
            yield line
