# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of sanitizers: how to know one, and where they are."""

import os
import re

REPORT = re.compile(
    r'ERROR: (?:Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|'
    r'runtime error: |SUMMARY: \w+Sanitizer|Sanitizer:DEADLYSIGNAL')


def quoted(text):
    """Of a report that a test asked for, what the runner takes for none."""
    return text.replace('anitizer', 'anitiser').replace('runtime error',
                                                        'runtime-error')


def reports_in(folder, prefix=''):
    """(path, lines from the report on) of each file that holds one."""
    for top, _, names in os.walk(folder):
        for name in sorted(names):
            if not name.startswith(prefix):
                continue
            path = os.path.join(top, name)
            try:
                with open(path, encoding='utf-8', errors='replace') as file:
                    lines = file.read().splitlines()
            except OSError:
                continue
            for number, line in enumerate(lines):
                if REPORT.search(line):
                    yield path, lines[number:]
                    break
