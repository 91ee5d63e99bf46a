# The verbs of zerobias; `make` alone lists them. Each does its own set-up in .venv.

# The values of these are plain text, never expanded, and reach the shell through the environment.
override MODEL := $(value MODEL)
override TARGET := $(value TARGET)
override DESIGN := $(value DESIGN)
export MODEL TARGET DESIGN

.DEFAULT_GOAL := help
.PHONY: bench docs help setup doctor firmware emulator release notebooks train golden pareto simulate test test-long lint lock clean need-model

STAMP := .venv/.stamp
BIN := .venv/bin
UV_VERSION := 0.13.9
# The first of these two that is Python 3.11.
PYTHON = $(shell for name in python3.11 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$name && break; done)
FIND_PYTHON = python=$(PYTHON); test -n "$$python" || \
	{ echo "No Python 3.11 found as python3.11 or python3: install it, with its venv module." >&2; exit 2; }

help:
	@perl -ne 'printf "  %-28s %s\n", "make $$1 $$2", $$3 if /^([a-z-]+):.*?## (MODEL=\S+)? ?(.*)/' Makefile

setup: $(STAMP) ## Create .venv with the locked dependencies

doctor: $(STAMP) ## Print versions, who owns the import name qkeras, and tools found and missing
	@$(BIN)/zerobias doctor

firmware: need-model $(STAMP) ## MODEL=name Write, simulate and verify the firmware of a model, with a report; TARGET=name: on another board; DESIGN=rtl: deploy the RTL
	@$(BIN)/zerobias firmware $${TARGET:+"--target=$$TARGET"} $${DESIGN:+"--design=$$DESIGN"} -- "$$MODEL"

emulator: need-model $(STAMP) ## MODEL=name Write, build and check the library with which CMSSW emulates a model
	@$(BIN)/zerobias emulator -- "$$MODEL"

release: need-model $(STAMP) ## MODEL=name Release a model's version, or build a release (name@X.Y.Z) again and compare
	@$(BIN)/zerobias release -- "$$MODEL"

train: need-model $(STAMP) ## MODEL=name Train a model from its seeds
	@$(BIN)/zerobias train -- "$$MODEL"

golden: need-model $(STAMP) ## MODEL=name Rewrite the golden inputs and scores of a model and print what changed
	@$(BIN)/zerobias golden -- "$$MODEL"

pareto: need-model $(STAMP) ## MODEL=name Train networks of a model's search space, plot AUC against LUT against ns
	@$(BIN)/zerobias pareto -- "$$MODEL"

simulate: $(STAMP) ## Make the sample of simulated events
	@$(BIN)/zerobias simulate

notebooks: $(STAMP) ## Execute the notebooks and store what they show
	@$(BIN)/python tools/notebooks.py

docs: $(STAMP) ## Write the documentation as a site, into docs/_build/html
	@$(BIN)/python -m sphinx -qEWn --keep-going -b html -c docs -d docs/_build/doctrees . docs/_build/html
	@echo "docs/_build/html/index.html"

test: lint ## Run the checks of `make lint`, then the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile

test-long: $(STAMP) ## Run the tests that take minutes
	@$(BIN)/python -m pytest -m long -n 2 --dist loadfile

lint: $(STAMP) ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python tools/check_imports.py src/zerobias

# Versions in requirements.txt stay while they fit pyproject.toml; delete the file first to move to the newest.
bench: $(STAMP) ## Measure speed against the references, into firmware/build/bench.json
	@$(BIN)/python tools/bench.py

lock: ## Write requirements.txt, the locked versions of all dependencies
	@$(FIND_PYTHON); $$python -m venv .cache/lock
	@.cache/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@.cache/lock/bin/uv pip compile pyproject.toml --extra dask --extra gen --extra jax --extra search --group dev --generate-hashes --universal \
		--python-version 3.11 --no-cache --no-header --quiet --output-file requirements.txt >/dev/null
	@echo "requirements.txt written; make test now installs it."

clean: ## Remove build outputs and caches (.venv stays)
	@rm -rf firmware/build docs/_build docs/reference/api dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src tests tools models -name __pycache__ -type d -prune -exec rm -rf {} +

need-model:
	@test -n "$$MODEL" || \
		{ echo "This verb needs a model: give its name, for example MODEL=axol1tl." >&2; exit 2; }

$(STAMP): requirements.txt pyproject.toml
	@$(FIND_PYTHON); echo "Creating .venv with $$python ..." >&2; $$python -m venv --clear .venv || \
		{ echo "The virtual environment could not be made: install Python 3.11's venv module." >&2; exit 2; }
	@echo "Installing the locked dependencies (about 1 GB, some minutes) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt || \
		{ echo "The locked dependencies could not be installed: pip's message above says why." >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . || \
		{ echo "zerobias could not be installed: pip's message above says why." >&2; exit 2; }
	@touch $@
	@echo "Set-up done." >&2
