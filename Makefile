# Every target installs its own dependencies. Only Python 3.11 to 3.13 and make are needed.
#
#   make scan PHOTOS=/some/folder   scan that folder (without PHOTOS: a few sample images)
#   make test                       run the tests
#   make fuzz MINUTES=30            scan and parse damaged files for 30 minutes
#   make dist                       build wheel and sdist, install them in empty environments
#   make check                      format, lint, check types, documentation and Dockerfile (with
#                                   CI set: without changing a file)
#   make docs                       regenerate the generated parts of the documentation
#   make lock                       upgrade all dependencies to their newest versions
#   make clean                      remove all generated files

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLES := build/samples
PHOTOS ?= $(SAMPLES)
MINUTES ?= 30

.PHONY: scan test fuzz dist check docs lock clean
.DELETE_ON_ERROR:

ifeq ($(PHOTOS),$(SAMPLES))
scan: $(SAMPLES)
endif
scan: $(VENV)/scan.done
	@$(BIN)/nsfwscan --exit-zero "$(PHOTOS)"

test: $(VENV)/dev.done
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder

fuzz: $(VENV)/dev.done
	PYTHONPATH=tests $(BIN)/python -m fuzz.long $(MINUTES) build/fuzz

dist: $(VENV)/dev.done
	rm -rf dist
	$(BIN)/python -m hatchling build
	PYTHONPATH=tests $(BIN)/python tests/installs.py dist

check: $(VENV)/dev.done
	$(BIN)/ruff format $(if $(CI),--check) .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry runtime export training
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/dev.done
	$(BIN)/python docs/generate.py

lock: $(VENV)/dev.done
	$(call compile,build,locks/build.in)
	$(call compile,scan,pyproject.toml) --extra cpu --constraint locks/build.txt
	$(call compile,dev,pyproject.toml) --extra cpu --extra dev --extra train --extra export \
	  --constraint locks/scan.txt
	$(call compile,scan-cluster,pyproject.toml) --extra cpu --extra ray --constraint locks/dev.txt
	$(call compile,scan-gpu,pyproject.toml locks/gpu.in) --extra gpu \
	  --constraint locks/scan.txt --override locks/gpu-overrides.in
	$(call compile,train-gpu,pyproject.toml locks/gpu.in) --extra train-gpu \
	  --constraint locks/dev.txt --override locks/gpu-overrides.in

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

compile = $(BIN)/uv pip compile $(2) --output-file locks/$(1).txt \
  --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links

$(SAMPLES): $(VENV)/scan.done docs/samples.py
	@$(BIN)/python docs/samples.py $@
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "nsfwscan needs Python 3.11 or newer; choose one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/dev.done: | tensorflow
.PHONY: tensorflow
tensorflow: $(BIN)/python
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 14))' || { \
	  echo "TensorFlow needs Python 3.11 to 3.13; choose one: make clean; make PYTHON=python3.13 ..." >&2; \
	  exit 1; }

# A lock contains the hash of every file, so installs are reproducible.
$(VENV)/%.done: locks/%.txt locks/build.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r locks/build.txt -r $<
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@
