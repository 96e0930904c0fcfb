# SPDX-License-Identifier: GPL-2.0-or-later
#
# Shared by the shell scripts: where things are, and how they speak.
#
# Source it first.  It sets ZQ_ROOT (this repository) and ZQ_BUILD (where
# everything that is made goes, build/ unless the caller set it).
# shellcheck shell=bash

ZQ_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
ZQ_BUILD=${ZQ_BUILD:-$ZQ_ROOT/build}
export ZQ_ROOT ZQ_BUILD

# The folders whose files stand at the same place in QEMU's tree, and go there;
# all else stays here, and so does the one folder in them.
ZQ_LAID=(block docs hw include qapi tests)
ZQ_NOT_LAID=tests/suites

# Messages of other programs are shown as they are; tools that this library
# reads must speak one language.
export LC_ALL=C.UTF-8

say() {
    printf '%s\n' "$*"
}

# One line that says what went wrong and what to do.
fail() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    return 1
}

# The same, and stop.
die() {
    fail "$@"
    exit 1
}

# retry COUNT COMMAND...: until it succeeds, with a growing pause between.
retry() {
    local count=$1 i
    shift
    for ((i = 1; i <= count; i++)); do
        "$@" && return 0
        if [ "$i" -lt "$count" ]; then
            say "    attempt $i of $count failed, next one in $((i * 3)) s" >&2
            sleep $((i * 3))
        fi
    done
    return 1
}

# The files that are laid over QEMU's tree, one a line, sorted.
laid_files() {
    local folder
    for folder in "${ZQ_LAID[@]}"; do
        [ -d "$ZQ_ROOT/$folder" ] || continue
        (cd "$ZQ_ROOT" && find "$folder" \
            \( -path "$ZQ_NOT_LAID" -o -name __pycache__ -o -name '.*' \) \
            -prune -o -type f \
            ! -name '*.pyc' ! -name '*~' ! -name '*.orig' ! -name '*.rej' \
            -print)
    done | LC_ALL=C sort
}
