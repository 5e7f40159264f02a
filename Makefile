# The two commands of the README are `make demo` and `make test`; each does all its set-up.
# PYTHON=/path/to/python chooses an interpreter; without it tools/find_python.sh takes the first one that fits.
PYTHON ?=
VENV   ?= .venv
BIN    := $(VENV)/bin

# Compiled files are kept: compiling the tests takes as long as importing everything else.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup ray demo test quick lint mutants reference release-notes package hooks lowest benchmark clean

# nnU-Net's networks. Its U-Nets need nothing else, and its dependencies would bring a torchvision that does not fit.
NETWORKS := dynamic-network-architectures==0.4.4

# Compiling every installed file takes longer than installing it; what is imported is compiled then.
$(VENV)/.ready: pyproject.toml constraints.txt
	@python=$$(tools/find_python.sh "$(PYTHON)") && "$$python" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps $(NETWORKS)
	@touch $@

setup: $(VENV)/.ready

# Ray is large, and only the tests of a real cluster need it; without it they are skipped. `.ci/run` installs it.
$(VENV)/.ray: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e ".[ray]"
	@touch $@

ray: $(VENV)/.ray

demo: setup
	$(BIN)/palpate demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Feedback in under a minute: without the tests of tests/slow.txt.
quick: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/import_circles.py

mutants: setup
	$(BIN)/python -m tests.mutants

# The pages that are written from the code.
reference: setup
	$(BIN)/python tools/make_reference.py
	$(BIN)/python -m palpate.report docs/reference/results.schema.json
	$(BIN)/python -m palpate.report --compare docs/reference/compare.schema.json

release-notes:
	@python=$$(tools/find_python.sh "$(PYTHON)") && "$$python" tools/release_notes.py

# What goes to a package index, built as an index would have it built: the wheel comes from the source archive.
package: setup
	rm -rf dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[release]"
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

hooks: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pre-commit
	$(BIN)/pre-commit install

# The oldest versions that pyproject.toml allows.
lowest:
	PYTHON="$(PYTHON)" .ci/lowest

# The peers bring torchvision, which cannot be imported beside a CPU build of torch, so they live apart.
$(VENV)-peers/.ready: pyproject.toml constraints.txt
	@python=$$(tools/find_python.sh "$(PYTHON)") && "$$python" -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[peers]"
	@touch $@

benchmark: $(VENV)-peers/.ready
	$(VENV)-peers/bin/python -m benchmarks.peers --quick

clean:
	rm -rf $(VENV) $(VENV)-peers $(VENV)-lowest build dist
