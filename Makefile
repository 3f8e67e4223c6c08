# One command each; `make run` is the place to begin. Needs Python 3.11 or newer and make.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
VENV := .venv
BIN := $(VENV)/bin
# Many tests wait for a cluster rather than compute.
TEST_WORKERS ?= 4
# How many in a hundred of the examples `make soak` tries, and the seconds that one of its tests may take.
SOAK ?= 100
LONGEST ?= 28800
AT_LENGTH = -m "soak or repeated or fault" -o timeout=$(LONGEST)
# Checks read code and touch no server.
CHECK := DJANGO_SETTINGS_MODULE=tests.check_settings

.DEFAULT_GOAL := run
.PHONY: setup install run reset test test-all soak test-cluster soak-cluster check bench format migrate worker

setup: ## virtual environment from the hashed lock file; installed again only when the lock changed
	@cmp -s requirements.lock $(VENV)/installed.lock || $(MAKE) --no-print-directory install
	@$(BIN)/python -m portal.translations compile

install:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found; name one: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Installing the packages of requirements.lock into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@cp requirements.lock $(VENV)/installed.lock

run: setup ## everything on this machine, with demo people; Ctrl-C ends it
	@exec $(BIN)/python manage.py run

reset: setup ## forget what `make run` kept
	@$(BIN)/python -m portal.embedded.reset

test: setup ## what is quick of the suite: every part of it, in under three minutes on two cores
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup

test-all: setup ## the whole suite but what needs Go or repeats at length, as the CI runs it
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup -m "not soak"

soak: setup ## what is worth repeating at length: more examples, every place and fault, everybody
	@PORTAL_SOAK=$(SOAK) $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup $(AT_LENGTH)

test-cluster: setup ## the cluster suite on a real Kubernetes control plane
	@PORTAL_TEST_CLUSTER=real $(BIN)/python -m pytest -m "not soak" tests/cluster

soak-cluster: setup ## what of it is worth repeating at length; acts are counted in the API server's own audit log
	@PORTAL_SOAK=$(SOAK) PORTAL_TEST_CLUSTER=real $(BIN)/python -m pytest $(AT_LENGTH) tests/cluster

check: setup ## format, lint, types, imports, templates, migrations, translations
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-logo
	$(BIN)/djlint templates --lint --quiet
	$(CHECK) $(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	$(BIN)/python -m portal.translations check

bench: setup ## benchmarks: a table and JSON; some of them: make bench NAMES="rules decision"
	@$(BIN)/python -m tests.bench $(NAMES)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

migrate: setup ## on the database that DATABASE_URL names
	$(BIN)/python manage.py migrate

worker: setup ## one worker on DATABASE_URL and REDIS_URL
	@exec $(BIN)/python manage.py run worker
