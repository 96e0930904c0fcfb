# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are.

scripts/run-suites says it in the environment; what is missing there is at its
usual place.
"""

import atexit
import os
import shutil
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
SUITES = os.path.join(ROOT, 'tests', 'suites')
SCRIPTS = os.path.join(ROOT, 'scripts')
BUILD = os.environ.get('ZQ_BUILD') or os.path.join(ROOT, 'build')
NATIVE_BUILD = os.environ.get('ZQ_NATIVE_BUILD') or \
    os.path.join(BUILD, 'native')
QEMU_SRC = os.environ.get('ZQ_QEMU_SRC') or os.path.join(BUILD, 'qemu')
QEMU_BUILD = os.environ.get('ZQ_QEMU_BUILD') or \
    os.path.join(BUILD, 'qemu-build')
ASAN_BUILD = os.environ.get('ZQ_ASAN_BUILD') or \
    os.path.join(BUILD, 'qemu-asan-build')
GUEST_DIR = os.environ.get('ZQ_GUEST_DIR') or os.path.join(BUILD, 'guest')
SEED = os.environ.get('SEED') or os.environ.get('ZQ_SEED') or '1'
FULL = bool(os.environ.get('ZQ_FULL'))


def temporary():
    """A folder of the suite's own, which the runner removes."""
    folder = os.environ.get('ZQ_TMPDIR')
    if not folder:
        folder = tempfile.mkdtemp()
        os.environ['ZQ_TMPDIR'] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def short_folder():
    """A folder for UNIX sockets, whose paths are short."""
    folder = tempfile.mkdtemp(prefix='zq-', dir='/tmp')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def programs(suite, mark='program'):
    """[(path, least number of tests, further words)] of a programs.txt."""
    rows = []
    with open(os.path.join(SUITES, suite, 'programs.txt'),
              encoding='utf-8') as lines:
        for line in lines:
            words = line.split()
            if words and words[0] == mark:
                rows.append((words[1], int(words[2]), words[3:]))
    return rows
