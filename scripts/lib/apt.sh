# SPDX-License-Identifier: GPL-2.0-or-later
#
# A private apt configuration under build/apt: packages of another Debian
# release (trixie) can be looked up and downloaded, without root, and without
# a change to the system's sources, lists, caches or installed packages.
# ZQ_APT_SUITE names yet another release, which has a folder of its own.
#
# Source lib/common.sh first.  Functions:
#
#   apt_setup                  make the configuration and its package lists
#                              (called by the others when needed; cheap when
#                              they are younger than a day)
#   apt_private TOOL ARGS...   run apt-get, apt-cache... with it
#   apt_newest_source PKG PREFIX
#                              print the newest source version of PKG that
#                              starts with PREFIX
#   apt_fetch_source DIR PKG VERSION
#                              download a source package into DIR
#   apt_fetch DIR PKG...       download the named .deb files into DIR, and no
#                              dependencies
#   apt_fetch_closure DIR PKG...
#                              download the named packages and all they
#                              depend on, as for an empty machine
#
# Each returns non-zero after it has said on stderr what failed.
# shellcheck shell=bash

APT_SUITE=${ZQ_APT_SUITE:-trixie}
APT_DIR=$ZQ_BUILD/apt${ZQ_APT_SUITE:+-$ZQ_APT_SUITE}
APT_LISTS_MAX_AGE_MIN=1440

# Print the machine's apt sources, one a line: URI, suites, components and
# Signed-By, divided by tabs.  Both the one-line and the deb822 format are
# read, from the folder named.
apt_list_sources() {
    local etc=$1 f
    for f in "$etc/sources.list" "$etc"/sources.list.d/*.list; do
        [ -f "$f" ] || continue
        awk '
            $1 != "deb" { next }
            {
                sub(/[ \t]*#.*/, "")
                key = ""
                rest = $0
                sub(/^[ \t]*deb[ \t]+/, "", rest)
                if (rest ~ /^\[/) {
                    options = rest
                    sub(/\].*/, "", options)
                    sub(/^\[[ \t]*/, "", options)
                    n = split(options, option, /[ \t]+/)
                    for (i = 1; i <= n; i++) {
                        if (option[i] ~ /^signed-by=/) {
                            key = substr(option[i], 11)
                        }
                    }
                    sub(/^\[[^]]*\][ \t]*/, "", rest)
                }
                n = split(rest, word, /[ \t]+/)
                components = ""
                for (i = 3; i <= n; i++) {
                    components = components (i > 3 ? " " : "") word[i]
                }
                printf "%s\t%s\t%s\t%s\n", word[1], word[2], components, key
            }' "$f"
    done
    for f in "$etc"/sources.list.d/*.sources; do
        [ -f "$f" ] || continue
        awk '
            function put(    n, uri, i) {
                n = split(field["uris"], uri, /[ \t]+/)
                if (field["enabled"] !~ /^(no|false|off|0)$/ &&
                    (" " field["types"] " ") ~ / deb /) {
                    for (i = 1; i <= n; i++) {
                        if (uri[i] != "") {
                            printf "%s\t%s\t%s\t%s\n", uri[i],
                                   field["suites"], field["components"],
                                   field["signed-by"]
                        }
                    }
                }
                delete field
                name = ""
            }
            /^#/ { next }
            /^[ \t]*$/ { put(); next }
            /^[ \t]/ {
                if (name == "signed-by") {
                    sub(/^[ \t]/, "")
                    field[name] = field[name] "\\n" $0
                } else if (name != "") {
                    sub(/^[ \t]+/, "")
                    field[name] = field[name] " " $0
                }
                next
            }
            {
                name = tolower($0)
                sub(/:.*/, "", name)
                value = $0
                sub(/^[^:]*:[ \t]*/, "", value)
                sub(/[ \t]+$/, "", value)
                field[name] = value
            }
            END { put() }' "$f"
    done
}

# Choose among those lines (stdin) the Debian mirror: the archive that serves
# a Debian release by name, with the component main, and is not the security
# archive or a backports one.  Prints URI and Signed-By, divided by a tab.
apt_pick_mirror() {
    awk -F '\t' '
        $1 ~ /debian-security|security\.debian\.org/ { next }
        $1 !~ /^(https?|ftp|file|copy|mirror|mirror\+[a-z]+):/ { next }
        (" " $3 " ") !~ / main / { next }
        (" " $2 " ") ~ / (bookworm|trixie|stable|oldstable) / {
            print $1 "\t" $4
            exit
        }'
}

apt_write_conf() {
    local mirror uri key
    mirror=$(apt_list_sources /etc/apt | apt_pick_mirror)
    if [ -z "$mirror" ]; then
        fail "no Debian mirror (bookworm or trixie, main) in this machine's" \
            "apt sources: add one"
        return 1
    fi
    uri=${mirror%%$'\t'*}
    key=${mirror#*$'\t'}
    mkdir -p "$APT_DIR/lists/partial" "$APT_DIR/cache/archives/partial" \
        "$APT_DIR/etc/none" || return 1
    # A key that stands in the sources file itself goes to a file of its own.
    case $key in
    *"BEGIN PGP"*)
        printf '%b\n' "${key#\\n}" | sed 's/^\.$//' > "$APT_DIR/etc/mirror.asc"
        key=$APT_DIR/etc/mirror.asc
        ;;
    '')
        if [ -f /usr/share/keyrings/debian-archive-keyring.gpg ]; then
            key=/usr/share/keyrings/debian-archive-keyring.gpg
        fi
        ;;
    esac
    {
        say "Types: deb deb-src"
        say "URIs: $uri"
        say "Suites: $APT_SUITE"
        say "Components: main"
        [ -z "$key" ] || say "Signed-By: $key"
    } > "$APT_DIR/etc/debian.sources.new"
    # The guest is an amd64 machine, whatever this one is.
    cat > "$APT_DIR/etc/apt.conf" << CONF || return 1
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
Acquire::Retries "3";
$([ -z "${ZQ_APT_SUITE:-}" ] || say 'Acquire::Check-Valid-Until "false";')
Debug::NoLocking "true";
Dir::Cache "$APT_DIR/cache";
Dir::Cache::archives "archives";
Dir::Etc::SourceList "$APT_DIR/etc/debian.sources";
Dir::Etc::SourceParts "$APT_DIR/etc/none";
Dir::Etc::Preferences "$APT_DIR/etc/none";
Dir::Etc::PreferencesParts "$APT_DIR/etc/none";
Dir::State "$APT_DIR";
Dir::State::Lists "$APT_DIR/lists";
Dir::State::status "$APT_DIR/status";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Pre-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
CONF
    : > "$APT_DIR/status"
    if cmp -s "$APT_DIR/etc/debian.sources.new" \
        "$APT_DIR/etc/debian.sources"; then
        rm "$APT_DIR/etc/debian.sources.new"
    else
        rm -f "$APT_DIR/stamp"
        mv "$APT_DIR/etc/debian.sources.new" "$APT_DIR/etc/debian.sources"
    fi
}

# Run a tool of apt with the private configuration.  It is given with -c,
# which is read after the system's, so that its proxies stay in force.
apt_private() {
    local tool=$1
    shift
    env DEBIAN_FRONTEND=noninteractive "$tool" -c "$APT_DIR/etc/apt.conf" "$@"
}

apt_update_once() {
    # apt-get update answers 0 when a mirror cannot be reached.
    apt_private apt-get -qq -o APT::Update::Error-Mode=any update
}

apt_setup() {
    command -v apt-get > /dev/null || {
        fail "apt-get is missing: this machine is not a Debian system"
        return 1
    }
    apt_write_conf || return 1
    if [ -n "$(find "$APT_DIR/stamp" -mmin "-$APT_LISTS_MAX_AGE_MIN" \
        2> /dev/null)" ]; then
        return 0
    fi
    say "==> fetching the package lists of Debian $APT_SUITE" >&2
    if ! retry 3 apt_update_once; then
        fail "the package lists of Debian $APT_SUITE cannot be downloaded" \
            "from the mirror in this machine's apt sources: check the" \
            "network and try again"
        return 1
    fi
    touch "$APT_DIR/stamp"
}

# A list can be a day old, and name files that the mirror has replaced since.
apt_lists_stale() {
    rm -f "$APT_DIR/stamp"
}

apt_newest_source() {
    local version newest=
    apt_setup || return 1
    while read -r version; do
        case $version in
        "$2"*) ;;
        *) continue ;;
        esac
        if [ -z "$newest" ] ||
            dpkg --compare-versions "${version#*:}" gt "${newest#*:}"; then
            newest=$version
        fi
    done < <(apt_private apt-cache showsrc "$1" 2> /dev/null |
        sed -n 's/^Version: //p')
    if [ -z "$newest" ]; then
        fail "Debian $APT_SUITE has no source package $1 $2*"
        return 1
    fi
    say "$newest"
}

apt_fetch_source() {
    local dir=$1 pkg=$2 version=$3
    apt_setup || return 1
    mkdir -p "$dir" || return 1
    if ! (cd "$dir" && retry 3 apt_private apt-get -qq \
        --download-only --only-source source "$pkg=$version" >&2); then
        apt_lists_stale
        fail "the source of $pkg $version cannot be downloaded: check the" \
            "network and try again"
        return 1
    fi
}

apt_fetch_once() {
    (cd "$1" && retry 3 apt_private apt-get -qq download "${@:2}" >&2)
}

apt_fetch() {
    local dir=$1
    shift
    apt_setup || return 1
    mkdir -p "$dir" || return 1
    apt_fetch_once "$dir" "$@" && return 0
    # The lists may name files that the mirror has replaced.
    apt_lists_stale
    if ! apt_setup || ! apt_fetch_once "$dir" "$@"; then
        fail "these packages of Debian $APT_SUITE cannot be downloaded: $*:" \
            "check the network and try again"
        return 1
    fi
}

apt_fetch_closure() {
    local dir=$1
    shift
    apt_setup || return 1
    mkdir -p "$dir/partial" || return 1
    if ! retry 3 apt_private apt-get -qq -y --no-install-recommends \
        -o "Dir::Cache::archives=$(cd "$dir" && pwd -P)" \
        --download-only install "$@" >&2; then
        apt_lists_stale
        fail "these packages of Debian $APT_SUITE and what they depend on" \
            "cannot be downloaded: $*: check the network and try again"
        return 1
    fi
    rm -rf "$dir/partial" "$dir/lock"
}
