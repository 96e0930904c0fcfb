# SPDX-License-Identifier: GPL-2.0-or-later
"""Zones of an image file, as qemu-img tells them."""

import json
import os
import shutil
import subprocess

from .model import Disk, Failure, Zones


def find_qemu_img(above):
    """The one that was built or installed with us, else the system's: that of
    a distribution knows no zones.  @above: the checkout, or the folder that
    scripts/install put ours into."""
    ours = os.path.join(above, 'build', 'qemu-build', 'qemu-img')
    if os.path.exists(os.path.join(above, 'zoned-qcow2', 'manifest')):
        ours = os.path.join(os.path.dirname(above), 'bin', 'qemu-img')
    if os.access(ours, os.X_OK):
        return ours
    return shutil.which('qemu-img') or 'qemu-img'


class Image:
    """An image file; report() asks anew each time."""

    def __init__(self, filename, qemu_img, force_share=False):
        self.filename = filename
        self.qemu_img = qemu_img
        self.share = ['-U'] if force_share else []
        # A name is a name, also where it looks like an option.
        self.operand = ('./' + filename if filename.startswith('-') else
                        filename)

    def _run(self, *arguments):
        program = os.path.basename(self.qemu_img)
        try:
            done = subprocess.run(
                [self.qemu_img, *arguments, *self.share, '--output=json',
                 self.operand],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, check=False)
        except FileNotFoundError:
            raise Failure(f'{self.qemu_img} is not there: build it with '
                          '"make", or name it with --qemu-img') from None
        except OSError as e:
            raise Failure(f'cannot run {self.qemu_img}: '
                          f'{e.strerror}') from None
        if done.returncode:
            raise Failure(self._what_it_said(program, done))
        try:
            return json.loads(done.stdout)
        except (ValueError, RecursionError):
            raise Failure(f'{self.filename}: what {program} printed is not '
                          'JSON') from None

    def _what_it_said(self, program, done):
        said = done.stderr.decode('utf-8', 'replace').strip().splitlines()
        if not said:
            return (f'{self.filename}: {program} ended with status '
                    f'{done.returncode} and said nothing')
        text = said[0]
        for prefix in (f'{program}: ', f'{self.qemu_img}: '):
            text = text.removeprefix(prefix)
        if 'ommand not found: zone' in text:
            return (f'{self.qemu_img} has no command "zone": name one that '
                    'has with --qemu-img')
        if ' lock' in text and not self.share:
            text += ' (it is in use: -U reads it all the same)'
        if self.filename not in text:
            text = f'{self.filename}: {text}'
        return text

    def _limits(self):
        """Open and active zones at most: the image's, 0 where unknown."""
        try:
            info = self._run('info')
            zone = info['format-specific']['data']['zone']
            return (int(zone['max-open-zones'] or zone['max-active-zones']),
                    int(zone['max-active-zones']))
        except (Failure, KeyError, TypeError, ValueError):
            # A disk of another kind: the report says all else.
            return 0, 0

    def report(self):
        zones = Zones()
        entries = self._run('zone', 'report', '--fold')
        try:
            zones.add(entries)
        except Failure as e:
            raise Failure(f'{self.filename}: {e}') from None
        return Disk(self.filename, zones, *self._limits())

    def close(self):
        pass
