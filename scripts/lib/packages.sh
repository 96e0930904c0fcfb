# SPDX-License-Identifier: GPL-2.0-or-later
#
# Which Debian packages are needed, which of them are missing, and how they
# are installed.  Source lib/common.sh first.
# shellcheck shell=bash

PACKAGES_LIST=${PACKAGES_LIST:-$ZQ_ROOT/scripts/packages.txt}

# packages_needed GROUP...: one a line, alternatives divided by "|".
packages_needed() {
    awk -v groups=" $* " '
        /^[ \t]*(#|$)/ { next }
        index(groups, " " $1 " ") {
            sub(/^[^ \t]+[ \t]+/, "")
            gsub(/[ \t]/, "")
            if (!seen[$0]++) {
                print
            }
        }' "$PACKAGES_LIST"
}

# Print the packages that are installed, one a line.
packages_installed() {
    # shellcheck disable=SC2016 # the variables are dpkg-query's
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' |
        sed -n 's/^installed //p'
}

# packages_missing GROUP...: the first alternative of each package that is not
# installed, one a line.  Reads "packages_installed" once.
packages_missing() {
    local installed
    installed=$(packages_installed)
    packages_needed "$@" | awk -v installed="$installed" '
        BEGIN {
            n = split(installed, name, "\n")
            for (i = 1; i <= n; i++) {
                have[name[i]] = 1
            }
        }
        {
            n = split($0, choice, "|")
            for (i = 1; i <= n; i++) {
                if (choice[i] in have) {
                    next
                }
            }
            print choice[1]
        }'
}

# The words that make a command run as root, or failure where none do.
packages_as_root() {
    if [ "$(id -u)" = 0 ]; then
        return 0
    elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
        say sudo -n
    else
        return 1
    fi
}

# packages_install PACKAGE...
packages_install() {
    local as_root
    as_root=$(packages_as_root) || return 1
    # A source of the machine's that cannot be reached need not be one that we
    # need: whether the packages are to be had, the installation shows.  A lock
    # held by another apt is waited for.
    # shellcheck disable=SC2086 # as_root is several words
    retry 2 $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq \
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update >&2 || true
    # shellcheck disable=SC2086
    retry 3 $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
        -o Dpkg::Use-Pty=0 --no-install-recommends install "$@" >&2
}
