# SPDX-License-Identifier: GPL-2.0-or-later
#
# A thin face over scripts/ and meson.build.  Each target does all the set-up
# that it needs, also on a fresh machine, and only what is not yet done.

.PHONY: all help demo check check-fast check-full bench outgoing \
        install uninstall debian-source \
        setup setup-native plain asan guest guest-newest programs clean \
        distclean
.NOTPARALLEL:

export SEED STATES QUICK DESTDIR

PREFIX ?= /usr/local

# Programs of QEMU's build that the suites name: in both of its builds, or in
# the plain one alone.
PROGRAMS := $(shell sed -n 's/^program \([^ ]*\).*/\1/p' tests/suites/*/programs.txt)
PLAIN_PROGRAMS := $(shell sed -n 's/^plain \([^ ]*\).*/\1/p' \
                          tests/suites/*/programs.txt)

all: plain

help:
	@echo 'make demo        create a zoned image, use it in a Linux guest, restart'
	@echo 'make check       all test suites'
	@echo 'make check-fast  the native suites alone, without QEMU'
	@echo 'make check-NAME  one suite alone (scripts/run-suites --list)'
	@echo 'make check-full  the long form of all suites, and of "make outgoing"'
	@echo 'make bench       measure (no part of a check); QUICK=1: in 2 minutes'
	@echo 'make install     PREFIX=DIR: copy the programs to DIR/bin'
	@echo 'make uninstall   PREFIX=DIR: remove what was installed there'
	@echo 'make outgoing    write the series for QEMU into build/outgoing'
	@echo 'make debian-source  write a Debian source package with the series'
	@echo 'make clean       remove what was built, keep what was downloaded'
	@echo 'make distclean   remove build/'

setup:
	@./configure --again

setup-native:
	@./configure --again --native

plain: setup
	@scripts/build-qemu plain tools qemu-system-x86_64

asan:
	@./configure --again --asan

guest: setup
	@scripts/make-guest

guest-newest: guest
	@scripts/make-guest --newest

demo: plain guest
	@scripts/in-env scripts/demo

# What the suites run, but for the native tests.
programs: asan guest-newest
	@scripts/build-qemu plain tools qemu-system-x86_64 $(PROGRAMS) \
	    $(PLAIN_PROGRAMS)
	@scripts/build-qemu asan tools qemu-system-x86_64 $(PROGRAMS)
	@scripts/build-native

check: programs
	@scripts/in-env scripts/run-suites check

check-fast: setup-native
	@scripts/build-native
	@scripts/in-env scripts/run-suites fast

# One suite alone, such as "make check-crash SEED=7 STATES=100000" or
# "make check-fuzz SEED=7 IMAGES=5000".
check-%: programs
	@scripts/in-env scripts/run-suites $*

# As many images as the claim is about; "make check" makes fewer.
check-fuzz: export IMAGES := $(or $(IMAGES),5000)

check-full: programs
	@scripts/in-env scripts/run-suites --full

bench:
	@./configure --again --bench
	@scripts/build-qemu plain tools $(if $(QUICK),,qemu-system-x86_64) \
	    tests/bench/zoned-bench
	@scripts/build-base
	@$(if $(QUICK),:,scripts/make-guest)
	@scripts/in-env tests/suites/bench/run $(BENCH)

outgoing: setup
	@scripts/in-env scripts/make-outgoing

install: plain
	@scripts/install '$(PREFIX)'

uninstall:
	@scripts/install --remove '$(PREFIX)'

debian-source: setup
	@scripts/in-env scripts/debian-source

clean:
	rm -rf build/qemu-build build/qemu-asan-build build/native build/tmp \
	    build/logs build/reports build/outgoing build/debian-source \
	    build/demo

distclean:
	rm -rf build
