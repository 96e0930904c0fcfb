# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of scripts/zonemap, and what is said where something is wrong."""

import argparse
import os
import shutil
import signal
import sys

from . import output, page, svg, terminal, text
from .image import Image, find_qemu_img
from .model import Failure, printable
from .qmp import Node
from .watch import watch

EXAMPLES = '''
A picture of a zoned disk: of an image file, or, with --qmp, of a disk that a
running QEMU or storage daemon has.

  zonemap disk.qcow2
  zonemap --html zones.html disk.qcow2
  zonemap --watch --qmp /tmp/qmp.sock

In a terminal it is drawn in colours, each zone filled up to its write
pointer; NO_COLOR=1 has it in letters.  Into a pipe it is plain text of two
fields a line.  Where there are more zones than fit, one cell stands for
several: its colour is what most of them are that are not empty, and that of a
read-only or offline one wherever there is one.
'''


def seconds(value):
    try:
        number = float(value)
    except ValueError:
        number = 0
    if not 0.05 <= number <= 86400:
        raise argparse.ArgumentTypeError(
            f'{value!r} is no number of seconds from 0.05 to 86400')
    return number


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Failure(f'{message} (--help lists the options)')


def parse(arguments):
    parser = Parser(
        prog='zonemap', usage='%(prog)s [OPTION]... FILE\n'
        '       %(prog)s [OPTION]... --qmp SOCKET [--node NODE]',
        description=EXAMPLES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('file', metavar='FILE', nargs='?',
                        help='an image, by any name that qemu-img takes')
    parser.add_argument('--qemu-img', metavar='PROGRAM',
                        help='the qemu-img that reads FILE (default: the one '
                        'built here, else that in PATH)')
    parser.add_argument('-U', '--force-share', action='store_true',
                        help='read FILE also while a QEMU has it open: the '
                        'zones as they were last flushed')
    parser.add_argument('--qmp', metavar='SOCKET',
                        help='ask the QEMU that has this QMP socket')
    parser.add_argument('--node', metavar='NODE',
                        help='the block node (default: the only zoned one)')
    parser.add_argument('--watch', metavar='SECONDS', nargs='?', const=1.0,
                        type=seconds, help='draw anew every so many seconds '
                        '(--watch=5; 1 where none are said), until the guest '
                        'shuts down or Ctrl-C')
    parser.add_argument('--svg', metavar='OUT', help='write an SVG picture')
    parser.add_argument('--html', metavar='OUT',
                        help='write a page with the picture, for a browser')
    # "--watch FILE" means a file, not seconds.
    arguments = ['--watch=1' if argument == '--watch' else argument
                 for argument in arguments]
    options = parser.parse_args(arguments)
    if (options.file is None) == (options.qmp is None):
        parser.error('name either an image file or a QMP socket (--qmp)')
    if options.node is not None and options.qmp is None:
        parser.error('--node goes with --qmp')
    if options.qmp is not None and (options.qemu_img or options.force_share):
        parser.error('--qemu-img and -U go with an image file')
    if options.watch and (options.svg or options.html):
        parser.error('--watch draws in a terminal, not with --svg or --html')
    return options


def run(options, checkout):
    """Returns what is to be said at the end, or None."""
    show = sys.stdout is not None and sys.stdout.isatty()
    if options.watch and not show:
        raise Failure('--watch wants a terminal to draw in')
    if sys.stdout is None and options.svg is None and options.html is None:
        raise Failure('cannot write the picture: standard output is closed')
    if options.qmp is not None:
        source = Node(options.qmp, options.node)
    else:
        source = Image(options.file,
                       options.qemu_img or find_qemu_img(checkout),
                       options.force_share)
    try:
        style = terminal.Style.of(terminal.start_environment())
        if options.watch:
            return watch(source, options.watch, style)
        disk = source.report()
    finally:
        source.close()
    for filename, draw in ((options.svg, svg.document),
                           (options.html, page.document)):
        if filename is not None:
            output.write(filename, draw(disk))
    if options.svg is None and options.html is None:
        if show:
            width, height = shutil.get_terminal_size()
            # One line is the prompt's.
            lines = terminal.lines(disk, width, height - 1, style)
        else:
            lines = text.lines(disk)
        sys.stdout.write('\n'.join(lines) + '\n')
        sys.stdout.flush()
    return None


def main(arguments, checkout):
    """The exit status."""
    if sys.stdout is not None:
        # A name in an encoding that the terminal has not
        sys.stdout.reconfigure(errors='replace')
    try:
        last = run(parse(arguments), checkout)
        if last:
            print(f'zonemap: {printable(last)}', flush=True)
        return 0
    except Failure as e:
        print(f'zonemap: error: {printable(str(e))}', file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read this has seen enough; nothing more goes there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as e:
        print(f'zonemap: error: cannot write the picture: {e.strerror}',
              file=sys.stderr)
        return 1
