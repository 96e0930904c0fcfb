# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are whole or not there."""

import os
import stat
import tempfile

from .model import Failure


def write(filename, text):
    """Raises Failure; an older file is then as it was."""
    data = text.encode()
    try:
        try:
            special = not stat.S_ISREG(os.stat(filename).st_mode)
        except FileNotFoundError:
            special = False
        if special:
            # A pipe or a device takes it as it comes.
            with open(filename, 'wb', buffering=0) as file:
                while data:
                    data = data[file.write(data):]
            return
        _replace(os.path.realpath(filename), data)
    except OSError as e:
        raise Failure(f'cannot write {filename}: {e.strerror}') from None


def _replace(filename, data):
    try:
        mode = stat.S_IMODE(os.stat(filename).st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    handle, beside = tempfile.mkstemp(prefix='.zonemap-',
                                      dir=os.path.dirname(filename))
    try:
        with open(handle, 'wb') as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        os.replace(beside, filename)
    except BaseException:
        os.unlink(beside)
        raise
