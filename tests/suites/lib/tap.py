# SPDX-License-Identifier: GPL-2.0-or-later
"""TAP: the writer of all suites, and what reads the output of programs.

A suite makes one Tap, which says at once how many tests must run at least,
and ends with "return tap.end()".
"""

import re
import subprocess
import tempfile

from at_work import AtWork, lines_of

TEST_LINE = re.compile(
    r'^(?P<not>not )?ok\b\s*(?P<num>\d+)?\s*(?:-\s*)?(?P<name>.*?)\s*'
    r'(?:(?<!\\)#\s*(?P<dir>SKIP|TODO)\b\s*(?P<why>.*))?$', re.I)
PLAN_LINE = re.compile(r'^1\.\.(\d+)\s*(?:#\s*(.*))?$')
LEAST_LINE = re.compile(r'^#\s*least\s+(\d+)\s*$', re.I)
# What GLib says besides results
NOISE = ('1..', 'TAP ', '# Start of', '# End of', '# starting', '# slow')


class Skip(Exception):
    """Raised by a test that cannot run here; its text says why."""


def check(cond, *what):
    if not cond:
        raise AssertionError('\n'.join(str(item) for item in what))


def equal(got, want, what):
    check(got == want, f'{what}: got {got!r}, expected {want!r}')


def say(text):
    """Comments, which the runner shows."""
    for line in str(text).rstrip('\n').splitlines():
        print('# ' + line, flush=True)


class Tap:
    def __init__(self, least):
        self.count = 0
        self.failed = 0
        print(f'# least {least}', flush=True)

    def result(self, good, name, output='', skip=None):
        """One test; of one that failed, the end of what was printed."""
        self.count += 1
        self.failed += not good
        reason = f' # SKIP {skip}' if skip is not None else ''
        print(f'{"ok" if good else "not ok"} {self.count} - {name}{reason}',
              flush=True)
        if not good:
            say('\n'.join(str(output).splitlines()[-300:]))
        return good

    def end(self):
        """The plan; what the suite's program is to return."""
        print(f'1..{self.count}', flush=True)
        return 1 if self.failed else 0

    def each(self, tests, mistakes=(AssertionError,)):
        """Call functions, [(name, function)]: one that raises one of the
        mistakes has failed."""
        for name, function in tests:
            try:
                with AtWork(name):
                    function()
            except Skip as why:
                self.result(True, name, skip=why)
            except mistakes as error:
                self.result(False, name, error)
            else:
                self.result(True, name)

    def program(self, label, command, least=1, longest='', quiet=False,
                **how):
        """Run a program that prints TAP, and take its tests for ours.

        It must run as many as it says itself ("# least N"), and as many as
        are asked for here.  Of one that is quiet, the errors that it prints
        are shown only where it fails.
        """
        say(f'{label}: {" ".join(command[1:])}' if command[1:] else label)
        ran = 0
        failed = self.failed
        limit = {} if longest == '' else {'longest': longest}
        errors = tempfile.TemporaryFile('w+', errors='replace')
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors if quiet else subprocess.STDOUT, text=True,
                errors='replace', **how)
        except OSError as error:
            self.result(False, f'{label}: {error}')
            return
        for line in lines_of(label, process.stdout, **limit):
            line = line.rstrip('\n')
            match = TEST_LINE.match(line)
            stated = LEAST_LINE.match(line)
            if match:
                ran += 1
                self.result(not match['not'], f'{label}: {match["name"]}',
                            skip=match['why'] if match['dir'] else None)
            elif stated:
                least = max(least, int(stated[1]))
            elif line.strip() and not line.startswith(NOISE):
                say(line.lstrip('# '))
        status = process.wait()
        if ran < least:
            self.result(False, f'{label}: ran {ran} tests, must run {least}')
        elif status and self.failed == failed:
            self.result(False, f'{label}: ended with status {status}')
        if self.failed > failed:
            errors.seek(0)
            say('\n'.join(errors.read().splitlines()[-10:]))
        errors.close()


def run(*command, **how):
    """Exit status and output of a program that may say nothing for long."""
    with AtWork(str(command[0]).rsplit('/', 1)[-1]):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace',
            check=False, **how)
    return done.returncode, done.stdout
