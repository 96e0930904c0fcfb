# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests are grouped by what they share (a boot of
# the guest): where the group's set-up fails, each of its tests fails, so a
# test can neither vanish nor pass without having run.

import sys
import time
import traceback

from at_work import AtWork
from tap import Skip, Tap, say


class Broken(Exception):
    """Raised by a test after which its group cannot go on."""


class Suite(Tap):
    def __init__(self, least):
        super().__init__(least)
        self.groups = []

    def group(self, obj, suffix=''):
        """obj: .tests = [(name, function)], .set_up(), .tear_down()."""
        obj.tests = [(name + suffix, function)
                     for name, function in obj.tests]
        self.groups.append(obj)

    @staticmethod
    def note(text):
        say(text)

    def run(self, only=()):
        start = time.monotonic()
        wanted = [(g, [t for t in g.tests
                       if not only or any(o in t[0] for o in only)])
                  for g in self.groups]
        for group, tests in wanted:
            if tests:
                self._run_group(group, tests, start)
        self.note('%d tests, %d failed, %.0f s' %
                  (self.count, self.failed, time.monotonic() - start))
        return self.end()

    def _run_group(self, group, tests, start):
        with AtWork('what the next tests share') as work:
            self._run_tests(group, tests, start, work)

    def _run_tests(self, group, tests, start, work):
        broken = None
        try:
            group.set_up()
        except Exception as e:
            broken = e
            self.note(_explain(e))
        for name, function in tests:
            if broken:
                self.result(False, name)
                self.note('not run: ' + str(broken).split('\n', 1)[0])
                continue
            began = time.monotonic()
            work.step(name)
            try:
                function()
            except Skip as e:
                self.result(True, name, skip=e)
            except Exception as e:
                self.result(False, name)
                self.note(_explain(e))
                if isinstance(e, Broken) or group.is_broken():
                    broken = e
            else:
                self.result(True, name)
            self.note('%.1f s, at %.0f s' % (time.monotonic() - began,
                                             time.monotonic() - start))
        work.step('the end of these tests')
        try:
            group.tear_down()
        except Exception as e:
            self.note(_explain(e))
            if not broken:
                # A tear-down that fails has found something.
                self.failed += 1


def _explain(error):
    frames = traceback.extract_tb(sys.exc_info()[2])
    where = ' < '.join('%s:%d' % (f.name, f.lineno)
                       for f in reversed(frames[-3:]))
    return '%s: %s\n(%s)' % (type(error).__name__, error, where)
