# Every target makes .venv first when it is missing or older than pyproject.toml or constraints.txt.

PY := .venv/bin/python
STAMP := .venv/.installed
COVERAGE_AT_LEAST := 85

# CPython >= 3.12; with what it needs to make a virtual environment
FITS := -c 'import sys; sys.exit(sys.version_info < (3, 12) or sys.implementation.name != "cpython")'
MAKES_VENV := -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12) or sys.implementation.name != "cpython")'
# A .venv that was moved here from elsewhere, or whose Python is gone, is made anew
BROKEN := $(shell test ! -e $(STAMP) || { test "$$(cat $(STAMP))" = "$$(pwd -P)" && $(PY) -c ''; } >/dev/null 2>&1 || echo anew)

.PHONY: help demo test quick quick-runs quick-rest doctests lint types slow notebooks bench clean anew

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: $(STAMP) ## the main job on CDNOW, printing what it made
	@.venv/bin/clv-forecast demo

test: quick doctests ## quick tests and the examples of the docstrings

quick: quick-runs quick-rest ## quick tests, in halves that can run side by side, and coverage of lines
	@$(PY) -m coverage combine --quiet .coverage.runs .coverage.rest
	@$(PY) -m coverage report --skip-covered --fail-under=$(COVERAGE_AT_LEAST)

quick-runs: $(STAMP)
	@COVERAGE_FILE=.coverage.runs $(PY) -m pytest tests/runs tests/report --cov --cov-report= --durations=15

quick-rest: $(STAMP)
	@COVERAGE_FILE=.coverage.rest $(PY) -m pytest tests --ignore=tests/runs --ignore=tests/report \
	  --cov --cov-report= --durations=15

doctests: $(STAMP) ## the examples of the docstrings
	@$(PY) -m pytest clv_forecast

slow: $(STAMP) ## simulation studies of minutes
	@$(PY) -m pytest -m slow tests --durations=15

lint: $(STAMP) ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(STAMP) ## mypy, strict
	@$(PY) -m mypy

notebooks: $(STAMP) ## execute every notebook from the top
	@set -e; for notebook in notebooks/*.ipynb; do \
	  test -e "$$notebook" || { echo "No notebook in notebooks/."; break; }; \
	  .venv/bin/jupyter-execute --timeout=900 --kernel_name=python3 "$$notebook"; \
	done

bench: $(STAMP) ## time, accuracy and calibration studies (an hour or two)
	@set -e; for benchmark in benchmarks/*.py; do \
	  test -e "$$benchmark" || { echo "No benchmark in benchmarks/."; break; }; \
	  $(PY) "$$benchmark"; \
	done

clean: ## remove .venv and everything that tools left
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* *.egg-info
	@find clv_forecast tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt $(BROKEN)
	@if test -n "$(BROKEN)" || ! $(PY) $(FITS) 2>/dev/null || ! $(PY) -m pip --version >/dev/null 2>&1; then \
	  rm -rf .venv; \
	  PATH="$$PATH:$$HOME/.pyenv/bin:$$HOME/.local/bin:$$HOME/.cargo/bin"; \
	  for python in python3 "$$(pyenv prefix 2>/dev/null)/bin/python3" python3.12 python3.13 python3.14 \
	    "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python3; do \
	    "$$python" $(MAKES_VENV) 2>/dev/null && break; python=; \
	  done; \
	  if test -n "$$python"; then "$$python" -m venv .venv; \
	  elif command -v uv >/dev/null; then uv venv --quiet --no-project --python 3.12 .venv && \
	    { $(PY) -m ensurepip >/dev/null 2>&1 || uv pip install --quiet --python $(PY) pip; }; \
	  else false; fi || { rm -rf .venv; \
	    echo "Missing: CPython 3.12 or newer with its venv module, as python3, from pyenv, or through uv." >&2; exit 1; }; \
	fi
	@echo "Installing into .venv (a minute or two the first time)" >&2
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev,notebooks]'
	@pwd -P > $@
