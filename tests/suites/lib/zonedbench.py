# SPDX-License-Identifier: GPL-2.0-or-later
"""Run tests/bench/zoned-bench, and read what it and callgrind print."""

import collections
import json
import os
import re
import subprocess

# Whose instructions the zoned part of a request is made of.
OUR_FILES = re.compile(r'.*block/(qcow2-zone[\w-]*|zone-rules|zoned-\w+)\.c$')
RULES = re.compile(r'.*block/zone-rules\.c$')


class Failed(Exception):
    pass


def run(program, *arguments, before=()):
    """One run; a dictionary for each step.  "before": words before it."""
    words = [*before, program, *arguments]
    done = subprocess.run(words, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, text=True, errors='replace')
    if done.returncode:
        raise Failed(f'{" ".join(words)}: ended with {done.returncode}: '
                     f'{done.stderr[-600:].strip()}')
    return [json.loads(line) for line in done.stdout.splitlines()
            if line.startswith('{')]


def self_costs(path):
    """Instructions by (source file, function) of a callgrind output."""
    names = {'f': {}, 'n': {}}
    costs = collections.Counter()
    home = function = ''
    called = False
    name_line = re.compile(r'(c?)(fl|fi|fe|fn)=\((\d+)\)(?: (.*))?$')
    cost_line = re.compile(r'[+*-]?\d* ?(\d+)$')
    with open(path, encoding='utf-8', errors='replace') as lines:
        for line in lines:
            line = line.rstrip('\n')
            match = name_line.match(line)
            if match:
                other, what, number, name = match.groups()
                table = names['n' if what == 'fn' else 'f']
                if name:
                    table[number] = name
                # Of inlined code, the function that it is in counts.
                if not other and what == 'fl':
                    home = table[number]
                elif not other and what == 'fn':
                    function = table[number]
            elif line.startswith('calls='):
                called = True
            elif line[:1] in '+-*0123456789' and cost_line.match(line):
                # What a call cost is the callee's, and comes elsewhere.
                if not called:
                    costs[home, function] += int(cost_line.match(line)[1])
                called = False
    return costs


def instructions(program, folder, *steps, zone='64M', size='256M',
                 zoned=True):
    """(of our files, of the zone rules among them, of all in user space) for
    one request, where "steps", with {n} in their text, make n of them: the
    difference of two runs, so that neither the start nor the first request
    counts."""
    short, long = 500, 1500
    costs = []
    for count in (short, long):
        out = os.path.join(folder, f'callgrind.{count}')
        run(program, '--create', f'zoned=on,zone.size={zone}' if zoned else '',
            '--size', size, '--zone-size', zone, 'open',
            *(step.replace('{n}', str(count)) for step in steps),
            before=('valgrind', '-q', '--tool=callgrind',
                    f'--callgrind-out-file={out}'))
        costs.append(self_costs(out))
        os.unlink(out)

    def each(pattern):
        return sum(cost - costs[0][key] for key, cost in costs[1].items()
                   if pattern.match(key[0])) / (long - short)

    return each(OUR_FILES), each(RULES), each(re.compile(''))


def compiler(build):
    """What the recorded instruction counts are kept by."""
    with open(os.path.join(build, 'meson-info', 'intro-compilers.json'),
              encoding='utf-8') as file:
        found = json.load(file)['host']['c']
    return f'{found["id"]}-{found["version"]}'
