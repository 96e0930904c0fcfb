# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs QEMU's own iotests program "check" and reads what it says."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import places
from at_work import AtWork

RESULT = re.compile(r'^(not )?ok (?:\S+ )?(\S+?)( # SKIP.*)?$')


class Watchdog:
    """Ends a group of processes that does nothing any more: before the runner
    ends all of the suite, so that it is told which tests did not run."""

    def __init__(self):
        self.process = None
        self.bit = False

    def guard(self, process):
        self.process = process

    def bite(self):
        if self.process and self.process.poll() is None:
            self.bit = True
            os.killpg(self.process.pid, signal.SIGKILL)

    def end(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Checker:
    """One run of "check -qcow2" in a build of QEMU."""

    def __init__(self, build, jobs=2, env=None):
        self.folder = os.path.join(build, 'tests', 'qemu-iotests')
        self.program = os.path.join(self.folder, 'check')
        self.jobs = jobs
        self.env = dict(os.environ, PYTHON='/usr/bin/python3')
        self.env.update(env or {})
        self.diffs = []
        self.skipped_cases = []

    def list(self, *arguments):
        """Names of the tests that these arguments choose."""
        done = subprocess.run([self.program, '-n', '-qcow2', *arguments],
                              cwd=self.folder, env=self.env, check=True,
                              stdout=subprocess.PIPE, text=True)
        return [line for line in done.stdout.splitlines()
                if re.fullmatch(r'[\w.-]+', line)]

    def run(self, tests, scratch):
        """Yields (test, status, note) as tests end.

        Status is "pass", "fail" or "notrun".  Afterwards "diffs" holds the
        lines that differed.  A test that hangs ends the run; it and those that
        were to follow are not among the results.
        """
        env = dict(self.env, TEST_DIR=scratch)
        os.makedirs(scratch, exist_ok=True)
        env['SOCK_DIR'] = sockets = places.short_folder()
        watchdog = Watchdog()
        # Where this program is told to stop, it ends what it started.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            with tempfile.TemporaryFile('w+') as errors, \
                    AtWork('an iotest', idle=watchdog.bite) as work:
                process = subprocess.Popen(
                    [self.program, '-tap', '-j', str(self.jobs), '-qcow2',
                     *tests], cwd=self.folder, env=env, errors='replace',
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=errors, text=True, process_group=0)
                watchdog.guard(process)
                skipped_cases = []
                for line in process.stdout:
                    work.step()
                    line = line.rstrip('\n')
                    match = RESULT.match(line)
                    if match:
                        status = 'fail' if match.group(1) else \
                            'notrun' if match.group(3) else 'pass'
                        yield match.group(2), status, ''
                    elif 'case not run' in line:
                        skipped_cases.append(line.lstrip('#'))
                process.wait()
                errors.seek(0)
                self.diffs = errors.read().splitlines()
                if watchdog.bit:
                    self.diffs.append('nothing was at work any more: ended')
                self.skipped_cases = skipped_cases
        finally:
            watchdog.end()
            self.unmount(scratch)
            shutil.rmtree(sockets, ignore_errors=True)

    @staticmethod
    def unmount(folder):
        """Test 108 leaves a FUSE mount behind where it fails."""
        folder = os.path.realpath(folder)
        with open('/proc/self/mounts', encoding='utf-8') as mounts:
            points = [line.split()[1].encode().decode('unicode_escape')
                      for line in mounts]
        for point in points:
            if not point.startswith(folder + os.sep):
                continue
            for command in (['fusermount3', '-u', point], ['umount', point],
                            ['umount', '-l', point]):
                if subprocess.run(command, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL,
                                  check=False).returncode == 0:
                    break


def our_tests():
    """Names of this repository's own iotests."""
    folder = os.path.join(places.ROOT, 'tests', 'qemu-iotests', 'tests')
    if not os.path.isdir(folder):
        return []
    return sorted(name for name in os.listdir(folder)
                  if name.startswith('zoned') and '.' not in name)
