#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the copies of the zoned code in which faults can be switched on.

    plant.py OUTDIR TABLE FILE...

The table (planted-faults.txt) names places in the files, by their exact text,
and what is to stand there instead.  Each must be found, and only once, or
nothing is built.  The copies of FILE... are planted-FILE in OUTDIR; there,
too, are

  planted-wrap.h     to be included first: gives the functions of the copies
                     other names
  planted-wrap.args  for the linker: all others call them by the first names
  planted-places.h   the names of all faults
"""

import os
import re
import sys

# A function that is not static, as the coding style has it
DEFINITION = re.compile(r'^(?!static\b|typedef\b)[A-Za-z_][\w \t\n*]*?'
                        r'\b([a-z]\w*)\([^{};]*\)[^{};()]*\n\{', re.M)


def fail(text):
    sys.exit(f'plant.py: {text}')


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def write(outdir, name, text):
    with open(os.path.join(outdir, name), 'w', encoding='utf-8') as f:
        f.write(text)


def functions_of(path):
    """Those of a file, and of those that are parts of it."""
    text = read(path)
    names = set(DEFINITION.findall(text))
    for part in re.findall(r'^#include "([\w-]+\.c\.inc)"', text, re.M):
        names |= functions_of(os.path.join(os.path.dirname(path), part))
    return names


def read_table(path):
    """A list of places: names of faults, file, old text, new text, line."""
    places = []
    for number, line in enumerate(read(path).splitlines(), 1):
        if not line or line.startswith('#'):
            continue
        mark, _, rest = line.partition(' ')
        if mark == 'fault':
            names, _, file = rest.partition(' ')
            places.append({'names': names.split(','), 'file': file.strip(),
                           'old': '', 'new': '', 'line': number})
        elif mark in ('<', '>') and places:
            places[-1]['old' if mark == '<' else 'new'] += rest + '\n'
        else:
            fail(f'{path}:{number}: "{line}" says nothing')
    return places


def plant(path, places, table):
    text = read(path)
    found = []
    for place in places:
        where = f'{table}:{place["line"]}'
        count = text.count(place['old']) if place['old'] else 0
        if count != 1:
            fail(f'{where}: this is {count} times in {path}:\n{place["old"]}')
        found.append((text.index(place['old']), place))
    found.sort(key=lambda f: f[0])
    result, end = '', 0
    for at, place in found:
        if at < end:
            fail(f'{table}:{place["line"]}: this overlaps another place')
        result += text[end:at] + place['new']
        end = at + len(place['old'])
    return f'#line 1 "{path}"\n{result}{text[end:]}'


def main():
    outdir, table, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    places = read_table(table)
    functions = set()
    for place in places:
        if place['file'] not in map(os.path.basename, files):
            fail(f'{table}:{place["line"]}: there is no copy of '
                 f'"{place["file"]}"')
    for path in files:
        base = os.path.basename(path)
        functions |= functions_of(path)
        write(outdir, 'planted-' + base,
              plant(path, [p for p in places if p['file'] == base], table))
    names = sorted({name for place in places for name in place['names']})
    for name in names:
        if not any(f'"{name}"' in place['new'] for place in places
                   if name in place['names']):
            fail(f'{table}: "{name}" is nowhere asked for')
    functions = sorted(functions)
    write(outdir, 'planted-wrap.h', '_Bool planted(const char *name);\n' +
          ''.join(f'#define {f} __wrap_{f}\n' for f in functions))
    write(outdir, 'planted-wrap.args',
          ''.join(f'--wrap={f}\n' for f in functions))
    write(outdir, 'planted-places.h',
          ''.join(f'"{name}",\n' for name in names))


if __name__ == '__main__':
    main()
