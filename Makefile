# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3.13
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help run test test-all lint audit check bench bench-check build-aws build-azure clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.runtime: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here: name Python 3.13 with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# The command line from any folder; `.env`, models.yaml and the store are those of the folder that it is called in.
$(BIN)/skybridge: $(VENV)/.runtime
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s" -P -m handlers.cli "$$@"\n' "$(CURDIR)" "$(CURDIR)/$(BIN)/python" > $@
	@chmod +x $@

$(VENV)/.tests: requirements-test.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

.venv-aws/.tools: requirements-aws-tools.txt
	$(PYTHON) -m venv .venv-aws
	.venv-aws/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-aws-tools.txt
	@touch $@

.venv-checkov/.tools: requirements-checkov.txt
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-checkov.txt
	@touch $@

.venv-audit/.tools: requirements-audit.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-audit.txt
	@touch $@

.venv-langchain/.tools: requirements-langchain.txt
	$(PYTHON) -m venv .venv-langchain
	.venv-langchain/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-langchain.txt
	@touch $@

node_modules/.tests: package.json
	npm install --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@

.bench/litellm/bin/litellm: $(VENV)/.tests
	BENCH_PEERS=1 $(BIN)/python -c "from bench.peers import LITELLM_PROXY; print(LITELLM_PROXY.obstacle())"

run: $(BIN)/skybridge ## serve the gateway on port 8000 (demo backend unless models.yaml says otherwise)
	$(BIN)/skybridge serve --port $(PORT) --store sqlite:.skybridge/skybridge.db

check: $(BIN)/skybridge ## check models.yaml without serving it
	$(BIN)/skybridge check

test: $(VENV)/.tests .venv-aws/.tools node_modules/.tests ## install what the tests need and run them
	tests/system_packages.sh
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile --cov --cov-report=term
	$(BIN)/python tests/coverage_gate.py
	$(BIN)/python -m bench.check

test-all: $(VENV)/.tests .venv-aws/.tools .venv-checkov/.tools .venv-audit/.tools .venv-langchain/.tools node_modules/.tests .bench/litellm/bin/litellm ## the slow tests too
	tests/system_packages.sh containers
	$(BIN)/python infra/audit.py --where-reachable
	$(BIN)/python -m pytest -rs --hypothesis-profile=thorough -n auto --dist loadfile --cov --cov-report=term
	$(BIN)/python tests/coverage_gate.py

lint: $(VENV)/.tests ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/mypy --strict -p core -p handlers

audit: $(VENV)/.runtime .venv-audit/.tools ## ask for known vulnerabilities of what is deployed
	$(BIN)/python infra/audit.py

bench-check: $(VENV)/.tests ## count what requests take, and hold it to bench/budgets.toml
	$(BIN)/python -m bench.check

bench: $(VENV)/.tests ## measure the gateway; BENCH_PEERS=1 sets up and measures the others in the same run
	$(BIN)/python -m bench.run

build-aws: $(VENV)/.runtime ## dist/aws: the Lambda package, its zip and what is in it
	$(BIN)/python infra/aws/build.py
	$(BIN)/python infra/sbom.py requirements-aws.txt dist/aws.cdx.json

build-azure: $(VENV)/.runtime ## dist/azure: the Functions package, its zip and what is in it
	$(BIN)/python infra/azure/build.py
	$(BIN)/python infra/sbom.py requirements.txt dist/azure.cdx.json

clean: ## remove what the other targets made, but for sessions and usage (.skybridge)
	rm -rf $(VENV) .venv-aws .venv-checkov .venv-audit .venv-langchain node_modules dist build .aws-sam .bench .hypothesis \
	  .pytest_cache .mypy_cache .ruff_cache .coverage htmlcov
