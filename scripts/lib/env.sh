# SPDX-License-Identifier: GPL-2.0-or-later
#
# The environment that builds and tests run in.  Source lib/common.sh first.
# shellcheck shell=bash

# Debian's modules belong to Debian's python: another one earlier in PATH
# does not see them.
ZQ_PYTHON=/usr/bin/python3
ZQ_TOOLS=$ZQ_BUILD/tools
ZQ_QEMU_SRC=${ZQ_QEMU_SRC:-$ZQ_BUILD/qemu}
ZQ_QEMU_BUILD=${ZQ_QEMU_BUILD:-$ZQ_BUILD/qemu-build}
ZQ_GUEST_DIR=${ZQ_GUEST_DIR:-$ZQ_BUILD/guest}
export ZQ_PYTHON ZQ_TOOLS ZQ_QEMU_SRC ZQ_QEMU_BUILD ZQ_GUEST_DIR

# Tools that are newer than the machine's, unpacked by scripts/get-tools.
env_use_tools() {
    if [ "$(command -v python3)" != "$ZQ_PYTHON" ]; then
        PATH=${ZQ_PYTHON%/*}:$PATH
    fi
    if [ -d "$ZQ_TOOLS/usr" ]; then
        PATH=$ZQ_TOOLS/usr/bin:$PATH
        PYTHONPATH=$ZQ_TOOLS/usr/lib/python3/dist-packages${PYTHONPATH:+:$PYTHONPATH}
        export PYTHONPATH
    fi
    export PATH
}

# With these two settings a clone at another path finds what was compiled at
# the first.
env_use_ccache() {
    export CCACHE_DIR=${CCACHE_DIR:-$ZQ_BUILD/ccache}
    export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$ZQ_ROOT}
    export CCACHE_NOHASHDIR=1
    export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-time_macros,include_file_mtime,include_file_ctime,pch_defines}
}

env_use_tools
env_use_ccache
