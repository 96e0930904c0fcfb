# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that the pages show are run, and print what the pages show.

Which are commands for the host is seen by their form, so the pages need no
marks: in a "console" block, what follows "$ "; QEMU, where a block begins with
it; in a literal block, a program of the build or of this repository.  QEMU is
started with the options shown, stopped, and quit by its monitor.

Not run is what needs a guest's kernel (-kernel), a QEMU that runs already
(--qmp), or minutes (make, and scripts that build or run suites).
"""

import functools
import os
import re
import shlex

from places import QEMU_BUILD, ROOT, temporary
from tap import check, equal, run

# What a page shows is that of a new disk which a guest has used: "-c" of
# qemu-io.
USED = ('write -P 1 0 64k', 'zone_finish 256M 256M')
ELSEWHERE = re.compile(r'-kernel|--qmp|^make |^scripts/(in-env|export)|'
                       r'^git |tests/suites/')
PROGRAM = re.compile(r'\./qemu-|grep |build/native/|\(cd build/|scripts/')


def literal_blocks(text):
    """[(what introduces it, lines without their indentation)]"""
    blocks = re.findall(
        r'^(?P<head>[^\n]*::[^\n]*)\n(?:[ ]+:[^\n]*\n)*\n'
        r'(?P<body>(?:[ ]+[^\n]*\n|\n(?=[ ]|\n))+)', text, re.M)
    for head, body in blocks:
        lines = [line for line in body.split('\n') if line.strip()]
        indent = min(len(line) - len(line.lstrip()) for line in lines)
        yield head, [line[indent:] for line in lines]


def goes_on(command):
    """Is the line after it part of it?"""
    return command.endswith('\\') or command.count("'") % 2 or \
        command.count('(') > command.count(')')


def joined(lines):
    """[command], each of one line or more"""
    whole = []
    for line in lines:
        if whole and goes_on(whole[-1]):
            whole[-1] = whole[-1].rstrip('\\') + ' ' + line.strip()
        else:
            whole.append(line)
    return whole


def commands_of(text):
    """[(command, lines of output that the page shows)]"""
    found = []
    for head, lines in literal_blocks(text):
        if 'console' in head:
            for line in joined(lines):
                if line.startswith('$ '):
                    found.append((line[2:], []))
                elif found and lines[0].startswith('$ '):
                    found[-1][1].append(line)
        elif lines[0].startswith('|qemu_system|'):
            found += [(re.sub(r'\\+\s*$', '', line), []) for line in
                      joined([re.sub(r'\\\\$', r'\\', line)
                              for line in lines])]
        elif PROGRAM.match(lines[0]) or lines[0].startswith('cd build/'):
            found += [(line, []) for line in joined(lines)
                      if PROGRAM.match(line)]
    return [(command.replace('|qemu_system|', 'qemu-system-x86_64'), output)
            for command, output in found if not ELSEWHERE.search(command)]


class Commands:
    """Those of one page, in a folder of their own."""

    def __init__(self, page):
        self.page = page
        with open(os.path.join(ROOT, page), encoding='utf-8') as file:
            self.commands = commands_of(file.read())

    def tests(self):
        return [(f'{self.page}: "{" ".join(command.split())[:70]}" works',
                 functools.partial(self.test, command, output))
                for command, output in self.commands]

    def folder(self):
        folder = os.path.join(temporary(), re.sub(r'\W', '-', self.page))
        if not os.path.exists(folder):
            os.makedirs(folder)
            # Pages that begin with an image name it.
            for name in ('disk', 'test', 'scratch'):
                self.create(folder, name)
        return folder

    def create(self, folder, name):
        self.shell(folder, 'qemu-img create -q -f qcow2 -o zoned=on '
                   f'{name}.qcow2 16G')

    @staticmethod
    def shell(folder, command, **how):
        path = os.pathsep.join((QEMU_BUILD,
                                os.path.join(QEMU_BUILD, 'storage-daemon'),
                                os.environ['PATH']))
        status, text = run('bash', '-c', command, cwd=folder,
                           env=dict(os.environ, PATH=path), **how)
        check(status == 0, command, text)
        return text

    def test(self, command, shown):
        folder = self.folder()
        # What a page leaves to the reader, and a place of our own
        command = command.replace(' ...', '').replace('/tmp/', folder + '/')
        if re.match(r'(\./)?qemu-system', command):
            command = 'echo quit | ' + re.sub(r'^\./', '', command) + \
                ' -display none -S -monitor stdio'
        elif re.match(r'(grep|build/|\(cd|scripts/)', command):
            disk = shlex.quote(os.path.join(folder, 'disk.qcow2'))
            command = f'cd {shlex.quote(ROOT)}; ' + \
                re.sub(r'\bdisk\.qcow2', disk, command) \
                .replace('zones.', folder + '/zones.')
        else:
            command = re.sub(r'^\./', '', command)
        if shown:
            self.create(folder, 'disk')
            self.shell(folder, 'qemu-io -f qcow2 ' + ' '.join(
                '-c ' + shlex.quote(use) for use in USED) + ' disk.qcow2')
        text = self.shell(folder, command)
        if shown:
            equal(text.split('\n')[:len(shown)], shown, 'output')
