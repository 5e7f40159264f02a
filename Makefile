# The two commands of the README are `make demo` and `make test`; each does all its set-up.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: setup demo test lint mutants benchmark clean

$(VENV)/.ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "palpate needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

setup: $(VENV)/.ready

demo: setup
	$(BIN)/palpate demo

test: setup
	$(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

mutants: setup
	$(BIN)/python -m tests.mutants

# The peers bring torchvision, which cannot be imported beside a CPU build of torch, so they live apart.
$(VENV)-peers/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[peers]"
	@touch $@

benchmark: $(VENV)-peers/.ready
	$(VENV)-peers/bin/python -m benchmarks.peers --quick

clean:
	rm -rf $(VENV) $(VENV)-peers build dist
