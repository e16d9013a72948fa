# casebridge: everything a developer types. The environment sets itself up, from the lock alone, on the first use.

VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/installed
PEERS := .venv-bench
UV = $(shell command -v uv || echo $(BIN)/uv)
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	$(if $(call chosen,$(UPGRADE)),--upgrade)
MAKEFLAGS += --no-print-directory --no-builtin-rules
SHELL := /bin/sh
# Each process that the demo and the tests start would else compile all modules again: some seconds of processor time each.
unexport PYTHONDONTWRITEBYTECODE

# An option that is given, but not as 0 or no: make demo ONCE=1
chosen = $(filter-out 0 no false,$(1))

.PHONY: help
help: ## say what can be done (this)
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1	\2/p' $(firstword $(MAKEFILE_LIST))
	@echo "The first use makes $(VENV); PYTHON=... chooses the interpreter (3.11 to 3.13)."

.PHONY: demo
demo: $(ENVIRONMENT) ## watch a day of requests travel; ONCE=1 JSON=1 REQUESTS=600 INSTITUTIONS=12 COURSES=60 SEED=1
	@$(BIN)/casebridge demo \
		$(if $(call chosen,$(ONCE)),--once) $(if $(call chosen,$(JSON)),--json) \
		$(if $(REQUESTS),--requests $(REQUESTS)) $(if $(INSTITUTIONS),--institutions $(INSTITUTIONS)) \
		$(if $(COURSES),--courses $(COURSES)) $(if $(SEED),--seed $(SEED))

# In the order of their names, the unit tests are last. Else xdist begins with the files that have most tests, which are quick, and
# ends with the slow ones, while the other processors have nothing to do.
.PHONY: test
test: $(ENVIRONMENT) ## prove it; RING=unit for one ring (unit contract property integration crash end_to_end)
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --ignore tests/bench \
		$(if $(RING),$(addprefix tests/,$(RING)))

.PHONY: soak
soak: $(ENVIRONMENT) ## mistreat it for long, and count; MESSAGES=20000 SECONDS=900 (of the bad part) SEED=1
	@$(BIN)/python -m tests.soak $(if $(MESSAGES),--messages $(MESSAGES)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(SEED),--seed $(SEED))

.PHONY: check lint types imports definitions
check: lint types imports definitions ## lint, format, types, direction of imports, Dagster's definitions (each is a target, too)

lint: $(ENVIRONMENT)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(ENVIRONMENT)
	@$(BIN)/mypy

imports: $(ENVIRONMENT)
	@$(BIN)/lint-imports

# With a home of its own: dg would make one in the user's, and count its use there. There are no component files to check.
definitions: $(ENVIRONMENT)
	@mkdir -p .casebridge/definitions
	@cp dagster.yaml .casebridge/definitions/
	@DAGSTER_HOME=$(CURDIR)/.casebridge/definitions VIRTUAL_ENV=$(CURDIR)/$(VENV) \
		$(BIN)/dg check defs --no-check-yaml

.PHONY: bench
bench: $(ENVIRONMENT) servers $(PEERS)/installed ## measure it beside its peers; ONLY=growth GROWTH=1000000 SYNC=10000 CASES=300 QUICK=1
	@ONLY="$(ONLY)" GROWTH="$(GROWTH)" SYNC="$(SYNC)" CASES="$(CASES)" QUICK="$(call chosen,$(QUICK))" $(BIN)/python -m bench

.PHONY: servers
servers: $(ENVIRONMENT) ## get the further real servers and the browser that the tests can use, and say which there are
	@$(BIN)/python -m tools.servers

.PHONY: settings
settings: $(ENVIRONMENT) ## write docs/settings.md again from the settings model
	@$(BIN)/python -m tools.settings_reference

.PHONY: images
images: $(ENVIRONMENT) ## take the pictures of docs/images again, from the running UI
	@CASEBRIDGE_WRITE_IMAGES=1 $(BIN)/python -m pytest tests/end_to_end

.PHONY: lock
lock: $(ENVIRONMENT) ## resolve requirements*.in again into hashed locks; UPGRADE=1 takes the newest versions
	@$(COMPILE) --output-file requirements.txt requirements.in >/dev/null
	@$(COMPILE) --output-file requirements-dev.txt --constraints requirements.txt requirements-dev.in >/dev/null
	@$(COMPILE) --output-file requirements-deploy.txt --constraints requirements-dev.txt requirements-deploy.in >/dev/null
	@$(COMPILE) --output-file bench/requirements.txt bench/requirements.in >/dev/null
	@echo uv | $(COMPILE) --output-file requirements-uv.txt - >/dev/null

.PHONY: clean
clean: ## remove the environment and everything that tools left behind
	@rm -rf $(VENV) $(PEERS) .casebridge build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made by one process at a time, and stamped last: an interrupted set-up is simply begun again.
$(ENVIRONMENT): requirements-dev.txt requirements-uv.txt pyproject.toml
	@python=$$(sh tools/find_python.sh "$(PYTHON)") && "$$python" tools/environment.py $(VENV)

# The queues that casebridge is measured against, away from its own packages.
$(PEERS)/installed: bench/requirements.txt | $(ENVIRONMENT)
	@echo "environment: the peers of the benchmark" >&2
	@$(UV) venv --quiet --clear --python $(BIN)/python $(PEERS)
	@$(UV) pip install --quiet --python $(PEERS)/bin/python --compile-bytecode --no-build --require-hashes \
		--requirement bench/requirements.txt
	@touch $@
