# Trunkline. `make demo` and `make test` are all a newcomer needs; nothing here asks for root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# One bounded suite on two cores: whole calls wait more than they compute, so six processes keep both busy.
PYTEST_JOBS ?= 6
# What tests that name no database of their own run on: sqlite or postgresql.
DATABASE ?= sqlite

.PHONY: demo run test test-postgres check soak bench lock format clean
.DEFAULT_GOAL := demo

# `ensurepip` is what Debian and Ubuntu split out of python3; without it `-m venv` fails half-way.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null || \
	  { echo "Trunkline needs Python 3.11 or 3.12 as '$(PYTHON)'. Name another one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing. Cure it with:  sudo apt-get install python3-venv  then run make again."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# The stamp, not the folder, is the target's truth: an interrupted install is finished on the next run.
$(VENV)/.installed: requirements.lock | $(BIN)/python
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@touch $@

.PHONY: .venv
.venv: $(VENV)/.installed

demo: .venv
	@$(BIN)/python cli.py demo

run: .venv
	@$(BIN)/python cli.py run

test: .venv
	@TEST_DATABASE=$(DATABASE) $(BIN)/python -m pytest -n $(PYTEST_JOBS) --dist load --maxschedchunk 1 -m "not soak"

# The same on PostgreSQL, which comes from a Python package: nothing has to be installed or started.
test-postgres:
	@$(MAKE) --no-print-directory test DATABASE=postgresql

check: .venv
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/python cli.py agents check
	@$(BIN)/python -m verbs.dependencies

soak: .venv
	@$(BIN)/python cli.py chaos
	@$(BIN)/python -m pytest -m soak -s

bench: .venv
	@$(BIN)/python cli.py bench smoke

format: .venv
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# The test tools are resolved first, so that the smaller, shipped set can never disagree with them.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml
lock: $(BIN)/python
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(LOCK) --group dev -o requirements.lock
	@$(LOCK) -c requirements.lock -o requirements-server.lock
	@sed -i.bak '/^ *# .*-[ro] .*lock$$/d' requirements-server.lock && rm -f requirements-server.lock.bak

clean:
	@rm -rf $(VENV)
