# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# The commands of the project. Everything that decides something is in the `lab` tool.

SWIFT ?= swift
NEEDED := 6.3
LAB := .build/debug/lab

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all search attack images lint sizes traps mutants coverage fuzz tables run-host bench \
	bench-check bench-profile clean lab

help:
	@echo "Martlet: protected KVM for arm64"
	@echo
	@echo "  make demo      boot a stock kernel, take EL2 from it, show what it can no longer see"
	@echo "  make test      form, unit tests, images, machine code, a short matrix of machines"
	@echo "  make test-all  the same with every machine, then under a hypervisor that checks itself, and every attack"
	@echo "  make search    random, interleaved and exhaustive programs against the specification"
	@echo "  make attack    every attack, with and without the defence against it"
	@echo "  make images    build everything that runs in the machines"
	@echo "  make run-host  a shell in the stock kernel"
	@echo "  make bench     instructions of single operations, beside Linux' own KVM"
	@echo "  make mutants   faults on purpose in the hypervisor's core, and the tests that notice"
	@echo "  make coverage  lines of the hypervisor's core that no unit test executes"
	@echo "  make fuzz      made-up bytes from outside, for minutes (SECONDS=300 for each target)"
	@echo "  make traps     where the images stop themselves, and why that is right"
	@echo "  make tables    the tables of host calls in docs/ from the sources"
	@echo "  make sizes     image sizes and lines of code"
	@echo "  make lint      formatter and house rules"
	@echo "  make setup     install what is missing on this machine"
	@echo "  make clean     remove build products; downloaded packages stay"
	@echo
	@echo "Swift $(NEEDED) or newer has to be on PATH; the rest is installed on Debian 12 and 13."

setup images lint sizes traps mutants coverage tables run-host demo: lab
	@$(LAB) $@

# make fuzz SECONDS=3600
SECONDS ?= 300
fuzz: lab
	@$(LAB) fuzz --seconds $(SECONDS)

test: lab
	@$(LAB) test

test-all: lab
	@$(LAB) test --all
	@$(LAB) test --checked
	@$(LAB) attack

attack: lab
	@$(LAB) attack

# make search SECONDS_EACH=600
SECONDS_EACH ?= 60
search: lab
	@$(LAB) search --seconds $(SECONDS_EACH)

bench: lab
	@$(LAB) bench

bench-check: lab
	@$(LAB) bench --check

# make bench-profile ROW=normal/gic-read [HOST=linux-vhe]
HOST ?= martlet
bench-profile: lab
	@$(LAB) bench --profile "$(ROW)" --host $(HOST)

lab:
	@version=$$($(SWIFT) --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1); \
	if [ -z "$$version" ]; then \
		echo "Swift is not on PATH: install Swift $(NEEDED) or newer from swift.org, then run make again." >&2; exit 1; \
	elif [ "$$(printf '%s\n' $(NEEDED) "$$version" | sort -V | head -n 1)" != $(NEEDED) ]; then \
		echo "Swift $$version is too old: install Swift $(NEEDED) or newer from swift.org, then run make again." >&2; exit 1; \
	fi
	@$(SWIFT) build --product lab

clean:
	rm -rf .build .build-* .lab/images .lab/logs .lab/runs
