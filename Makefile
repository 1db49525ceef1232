PYTHON ?= python3
PORT ?= 5985
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test lint format types bench clean

help:  ## print this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: $(VENV)/run  ## start the server, a worker and a task that runs while you look (PORT=5985)
	@$(BIN)/python examples/first_run.py $(PORT)

test: $(VENV)/test  ## install and test
	$(BIN)/pytest -n auto

lint: $(VENV)/test types  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test  ## check types
	$(BIN)/mypy

format: $(VENV)/test  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/test  ## measure speed, beside the limits of this machine
	$(BIN)/python -m benchmarks

clean:  ## remove what the others made
	rm -rf $(VENV) .after

# Each stamp says that the packages of pyproject.toml are installed, so that the next run begins at once.
$(VENV)/run: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/run
