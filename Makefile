# Two commands do everything: `make demo` shows the firmware at work, `make test` proves it. Both set up .venv by themselves.

PYTHON ?= python3
BIN := .venv/bin
BOARD_FILES := code.py safemode.py $(wildcard app/*.py battery/*.py daly/*.py display/*.py mqtt/*.py)

.PHONY: faults fuzz bench bundle chaos clean demo help install lint mutants powercuts rows screens size soak steady test test-homeassistant types unit

help:
	@echo "make demo    the firmware on this PC: simulated BMS, embedded broker, screen in the terminal (Ctrl-C ends it)"
	@echo "make test    lint, types, tests, mpy-cross and MicroPython over the board's code"
	@echo "make unit    the fast half of the tests: no process, no socket, no real time (a minute and a half)"
	@echo "make mutants    small changes to the board's code that the fast tests must notice: docs/MUTANTS.md (ARGS=daly/pack.py: one file)"
	@echo "make test-homeassistant    the firmware against a real Home Assistant, which is installed into .ha (800 MB)"
	@echo "make chaos   network, broker and power taken away, one after the other: the table of docs/RELIABILITY.md (half an hour)"
	@echo "make powercuts    the firmware killed sixty times, most in the middle of a write to its memory (ten minutes)"
	@echo "make steady  how long a pass of the loop takes while nothing is wrong (an hour)"
	@echo "make soak    60 days with outages in compressed time (half an hour)"
	@echo "make fuzz    a million messages from a hostile broker (a quarter of an hour); make test sends some thousands"
	@echo "make bench   this firmware beside two readers from PyPI on one simulated line: docs/BENCHMARK.md (ten minutes)"
	@echo "make size    what the board's files take on the drive and in memory"
	@echo "make rows    how many rows a day this costs a Home Assistant's database (some 20 minutes)"

demo: .venv/ready
	@$(BIN)/python -m host $(ARGS)

test: lint types
	$(BIN)/pytest -n 4 --dist loadscope

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

powercuts: .venv/ready
	$(BIN)/python -m campaigns.powercuts --write

steady: .venv/ready
	$(BIN)/python -m campaigns.chaos --steady 3600 --write

soak: .venv/ready
	$(BIN)/python -m campaigns.soak --write $(ARGS)

size: .venv/ready
	$(BIN)/python -m campaigns.size

test-homeassistant: .venv/ready
	$(BIN)/pytest -x tests/homeassistant/test_homeassistant.py

.venv/ready: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Name another: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up .venv (once, about half a minute) ..."
	@$(PYTHON) -m venv .venv || { echo "The venv module is missing: apt install python3-venv"; exit 1; }
	@$(BIN)/pip --disable-pip-version-check -q install --no-deps -r requirements-dev.txt
	@touch .venv/ready

bundle: .venv/ready
	@$(BIN)/python -m tools.bundle

# As they were written, $ and quotes included: neither make nor the shell looks into them. Some shells have a HOST of their own.
install: export WEB_PASSWORD = $(value PASSWORD)
install: export INSTALL_DRIVE = $(value DRIVE)
install: export INSTALL_HOST = $(if $(and $(value DRIVE),$(filter environment,$(origin HOST))),,$(value HOST))
install: .venv/ready
	@$(BIN)/python -m tools.install $(if $(filter-out 0 no false,$(MPY)),--mpy)

screens: .venv/ready
	@$(BIN)/python docs/screens.py

rows: .venv/ready
	$(BIN)/python -m campaigns.rows $(ARGS)

clean:
	rm -rf .venv .ha .mypy_cache .ruff_cache .pytest_cache dist

bench: .venv/ready
	$(BIN)/python -m campaigns.bench

faults: .venv/ready
	$(BIN)/python -m campaigns.faults $(ARGS)

fuzz: .venv/ready
	FUZZ_MESSAGES=$(or $(MESSAGES),1000000) $(BIN)/pytest -s -q tests/test_fuzz.py
