# SPDX-License-Identifier: GPL-2.0-or-later
"""The builds of QEMU that suites run programs of, and their environments."""

import os
import shutil
import subprocess
import tempfile

import places
from reports import reports_in
from tap import run

# Loaded into a program of the build with sanitizers, it writes past the end
# of its memory.
FAULT = '''
#include <stdlib.h>
#include <string.h>
static void __attribute__((constructor)) plant(void)
{
    volatile size_t n = 64;
    char *p = malloc(16);
    memset(p, 0, n);
    free(p);
}
'''


def sanitizer_env(log):
    """The settings of a program of the build with sanitizers, whose reports
    go to files that begin with log."""
    return {
        # QEMU's pools, GLib's, and what a killed child leaves are no leaks;
        # and a test may load a library before the sanitizer's.
        'ASAN_OPTIONS': f"log_path='{log}asan':detect_leaks=0:"
                        'verify_asan_link_order=0',
        'UBSAN_OPTIONS': f"log_path='{log}ubsan':print_stacktrace=1",
    }


def make_library(source, library):
    """To be loaded into a program with LD_PRELOAD"""
    subprocess.run(['gcc', '-w', '-O0', '-shared', '-fPIC', '-o', library,
                    source, '-ldl'], check=True)
    return library


def builds(tap):
    """(label, folder, environment) of each build, the plain one first.

    In the one with sanitizers a planted fault is to be reported first, which
    is one test: so a report would be seen.
    """
    yield 'plain', places.QEMU_BUILD, dict(os.environ)
    folder = tempfile.mkdtemp(dir=places.temporary())
    source = os.path.join(folder, 'fault.c')
    with open(source, 'w', encoding='utf-8') as file:
        file.write(FAULT)
    library = make_library(source, os.path.join(folder, 'fault.so'))
    log = os.path.join(folder, 'planted-')
    status, output = run(
        os.path.join(places.ASAN_BUILD, 'qemu-img'), '--version',
        env=dict(os.environ, LD_PRELOAD=library, **sanitizer_env(log)))
    found = [lines for _, lines in reports_in(folder, 'planted-')]
    tap.result(status and any('heap-buffer-overflow' in lines[0]
                              for lines in found),
               'sanitizers: a planted fault is reported', output)
    shutil.rmtree(folder)
    reports = os.environ.get('ZQ_SAN_DIR') or places.temporary()
    yield 'sanitizers', places.ASAN_BUILD, dict(
        os.environ, **sanitizer_env(os.path.join(reports, '')))
