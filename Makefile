# Two commands on a machine that has only Python >= 3.11 and make:
#   make demo   the built-in corpus, methods with shipped weights and one trained here, the tables, the report
#   make test   the whole test suite
# Torch comes with CUDA (several GB) unless TORCH_INDEX names an index of builds for CPUs; pytorch.org gives its address:
#   make demo TORCH_INDEX=...
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OMP_NUM_THREADS ?= 1

# The reference of what a plugin author imports, as pages in build-api.
API := dyadbench.api dyadbench.hookspecs dyadbench.testing dyadbench.records dyadbench.python.run \
	dyadbench.python.method dyadbench.python.score dyadbench.python.arrays dyadbench.python.torch_metrics \
	dyadbench.datasets.digest dyadbench.datasets.features dyadbench.metrics.dyad

.PHONY: demo test lint types api clean

demo: .venv/installed
	mkdir -p demo
	$(BIN)/dyadbench weights install leaderboards/weights --root demo --home .dyadbench
	$(BIN)/dyadbench run leaderboards/matrices/demo.toml --root demo --home .dyadbench --batch 24 --on local --slots 2 --threads 1
	if [ -d vc-dyads ]; then $(BIN)/dyadbench run leaderboards/matrices/real.toml --data vc-dyads=vc-dyads --root demo --home .dyadbench; fi
	$(BIN)/dyadbench leaderboard --root demo
	$(BIN)/dyadbench report --root demo --home .dyadbench

test: .venv/tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

api: .venv/tests
	$(BIN)/python docs/pdoc/build.py -t docs/pdoc -o build-api $(API) '!dyadbench.records.'

types: .venv/tests
	$(BIN)/mypy

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("dyadbench needs Python 3.11 or newer; set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(if $(TORCH_INDEX),$(BIN)/pip install -c constraints.txt --no-deps --index-url $(TORCH_INDEX) torch)
	$(BIN)/pip install -c constraints.txt -e .
	touch $@

.venv/tests: .venv/installed
	$(BIN)/pip install -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv .dyadbench build-api
