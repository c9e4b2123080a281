# `make run` and `make test` need Python 3.11 to 3.13 and nothing else: they make .venv and install what the lock files say.

SCENARIO ?= european_lv_doe_lem
# The default scenario is shown beside the same day without coordination; `make run REFERENCE=` leaves that out.
REFERENCE ?= $(if $(filter european_lv_doe_lem,$(SCENARIO)),uncoordinated)
ARGS ?=
# Tests run in as many processes; more than there are cores only costs memory.
JOBS ?= 2
VENV ?= .venv
# The first Python on the path that will do; `make run PYTHON=/opt/python3.12/bin/python3` chooses another.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c '$(SUPPORTED)' 2>/dev/null && echo $$name && break; done)

IN_VENV := $(VENV)/bin/python
INSTALL := $(IN_VENV) -m pip install -qq --disable-pip-version-check --no-input
LOCK = printf 'setuptools>=77\n' | UV_CUSTOM_COMPILE_COMMAND='make lock' $(VENV)/bin/uv pip compile --quiet --universal \
	--python-version 3.11 --fork-strategy fewest --no-annotate $(LOCK_ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run demo-hil test test-nightly check bench scheme-results docs lock build clean

help:  ## show this
	@echo "feederloop: local energy markets inside dynamic operating envelopes"
	@sed -n 's/^\([a-z-]*\):.*  ## /  make \1|/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

run: $(VENV)/.installed  ## run a scenario: SCENARIO=name or file (default european_lv_doe_lem), ARGS="--days 2 --seed 7"
	@$(VENV)/bin/feederloop run $(SCENARIO) $(if $(REFERENCE),--reference $(REFERENCE)) $(ARGS)

demo-hil: $(VENV)/.installed  ## run the default day with eight devices over real Modbus, one of which is lost and comes back
	@$(VENV)/bin/feederloop run european_lv_doe_lem --bench demo $(ARGS)

test: check  ## check style and types, and run the tests but for those that take minutes each: ARGS="-k envelope" for some
	@$(IN_VENV) -m pytest -n $(JOBS) --dist worksteal -m "not nightly" $(ARGS)

test-nightly: $(VENV)/.installed-dev  ## run every test, also those that take minutes each, and measure what they cover
	@$(IN_VENV) -m pytest --cov --cov-report=term -n $(JOBS) --dist worksteal $(ARGS)

check: $(VENV)/.installed-dev  ## check style and types
	@$(IN_VENV) -m ruff check .
	@$(IN_VENV) -m ruff format --check .
	@$(IN_VENV) tools/typecheck.py

bench: $(VENV)/.installed-dev  ## measure against peers and floors: ARGS="matcher" for some
	@$(IN_VENV) benchmarks/run.py $(ARGS)

docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.installed-dev  ## make the site of docs/, in site/; it needs no network, neither to make nor to read
	@$(IN_VENV) -m mkdocs build --strict --quiet
	@echo "site/index.html"

scheme-results: $(VENV)/.installed  ## run the comparisons that the docs show and put their results into the pages: 51 whole days
	@$(IN_VENV) tools/scheme_results.py $(ARGS)

lock: $(VENV)/.installed-uv  ## bring the lock files in line with setup.cfg: LOCK_ARGS=--upgrade for later versions
	@$(LOCK) --output-file requirements.lock setup.cfg -
	@$(LOCK) --constraints requirements.lock --extra test --extra docs --extra dev --output-file requirements-dev.lock setup.cfg -

build: $(VENV)/.installed-dev  ## make the source distribution and the wheel, in dist/
	@rm -rf build dist
	@$(IN_VENV) -m build --no-isolation

clean:  ## remove what was made here, other than results in runs/
	rm -rf $(VENV) build dist site *.egg-info .coverage .coverage.* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis .typing
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo "feederloop needs Python 3.11, 3.12 or 3.13; none of python3, python3.13, python3.12 and" \
		"python3.11 is one. Say where it is: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "feederloop needs Python 3.11, 3.12 or 3.13; $(PYTHON) is" \
		"$$($(PYTHON) -V 2>&1)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make virtual environments;" \
		"on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# Dependencies and the package are apart, so that a new entry point or package folder is installed in a second.
$(VENV)/.dependencies: requirements.lock $(VENV)/pyvenv.cfg
	@echo "Installing the locked dependencies into $(VENV), once; this takes a minute or two."
	@$(INSTALL) --requirement requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.dependencies setup.cfg pyproject.toml
	@$(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing what tests and checks need."
	@$(INSTALL) --requirement requirements-dev.lock
	@touch $@

$(VENV)/.installed-uv: $(VENV)/pyvenv.cfg
	@$(INSTALL) uv
	@touch $@
