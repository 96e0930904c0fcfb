# SPDX-License-Identifier: GPL-2.0-or-later
"""How much of the zone rules do the unit tests reach?

Builds block/zone-rules.c with the compiler's coverage counters, runs the unit
tests of the rules, and fails where fewer lines or branches were reached than
the least below.  Lines that were not reached are printed.
"""

import gzip
import json
import os
import shlex
import subprocess
import tempfile

from at_work import AtWork
from places import ROOT, SUITES
from tap import say

# As many results as run() gives
TESTS = 2
LEAST_LINES = 99.0
LEAST_BRANCHES = 92.0
# Enough to come everywhere; the same test counts its hits in a longer run.
OPERATIONS = '300000'
RULES = 'block/zone-rules.c'


class Failed(Exception):
    pass


def call(command, cwd, **env):
    result = subprocess.run(command, cwd=cwd, env=dict(os.environ, **env),
                            stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, errors='replace', check=False)
    if result.returncode:
        raise Failed(f'{shlex.join(command)} failed\n'
                     f'{result.stdout[-2000:]}{result.stderr[-2000:]}')
    return result.stdout


def measure(where, programs):
    compiler = shlex.split(os.environ.get('CC', 'gcc'))
    glib = shlex.split(call(['pkg-config', '--cflags', '--libs', 'glib-2.0'],
                            where))
    # The name of the compiler's own gcov: gcov, or gcov-12 of gcc-12
    gcov = os.environ.get('GCOV', 'gcov')
    flags = ['-std=gnu11', '-D_GNU_SOURCE', '-O0', '-g',
             f'-I{SUITES}/unit/include', f'-I{ROOT}/include']
    call(compiler + flags + ['--coverage', '-c', f'{ROOT}/{RULES}', '-o',
                             'rules.o'] + glib, where)
    for path, _, sources in programs:
        # The one that looks at the insides has the rules in it.
        if 'zone-rules' not in path or path.endswith('-verify'):
            continue
        program = os.path.basename(path)
        call(compiler + flags +
             [f'{ROOT}/{source}' for source in (path + '.c', *sources)] +
             ['rules.o', '--coverage', '-o', program] + glib, where)
        call([f'./{program}', '--tap'], where, ZQ_PROP_OPS=OPERATIONS)
    call([gcov, '--json-format', '--branch-probabilities', 'rules.gcda'],
         where)
    report = [f for f in os.listdir(where) if f.endswith('.gcov.json.gz')][0]
    with gzip.open(os.path.join(where, report), 'rt') as data:
        files = json.load(data)['files']
    return [f for f in files if f['file'].endswith(RULES)][0]['lines']


def run(tap, programs):
    try:
        with AtWork('coverage'), \
                tempfile.TemporaryDirectory(prefix='coverage-') as where:
            lines = measure(where, programs)
    except Failed as error:
        tap.result(False, f'coverage of {RULES} is measured', error)
        return
    with open(os.path.join(ROOT, RULES), encoding='utf-8') as source:
        text = source.read().split('\n')
    missed = sorted({line['line_number'] for line in lines
                     if not line['count']})
    branches = [(line['line_number'], branch['count'])
                for line in lines for branch in line['branches']]
    half = sorted({number for number, count in branches
                   if not count and number not in missed})
    for number in missed:
        say(f'not reached: {number}: {text[number - 1].strip()}')
    for number in half:
        say(f'branch not taken: {number}: {text[number - 1].strip()}')
    of_lines = 100.0 * (len(lines) - len(missed)) / len(lines)
    taken = sum(1 for _, count in branches if count)
    of_branches = 100.0 * taken / len(branches)

    for what, got, least, of in (
            ('lines', of_lines, LEAST_LINES, len(lines)),
            ('branches', of_branches, LEAST_BRANCHES, len(branches))):
        tap.result(got >= least,
                   f'coverage of {RULES}: at least {least:g} % of {what}')
        say(f'{what}: {got:.1f} % of {of}')
