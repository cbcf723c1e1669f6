# `make` alone prints this help.
.DEFAULT_GOAL := help
.PHONY: help run test check bench schema web format clean

PYTHON ?= python3
BIN := .venv/bin

help: ## Print what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/run: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "aclue needs Python 3.11 or newer"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/run requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# GraphiQL is built where Node is; without it the page says what is missing.
web/dist/graphiql.js: web/package-lock.json web/build.mjs $(shell find web/src -type f 2>/dev/null)
	@if command -v npm > /dev/null; then \
	  cd web && npm ci --silent --no-audit --no-fund && npm run --silent build && touch dist/graphiql.js \
	  || echo "GraphiQL was not built; the API works without it"; \
	else echo "No npm here: GraphiQL is not built; the API works without it"; fi

run: .venv/run web/dist/graphiql.js ## Start everything: Postgres, demo catalogue, server (HOST, PORT, DATABASE_URL, ...)
	@exec $(BIN)/aclue serve

test: .venv/dev ## Run all tests on an embedded Postgres
	@$(BIN)/pytest -n auto

check: .venv/dev ## Lint, types, layers, migrations, unused code, stale schema: what CI runs before the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/squawk --config .squawk.toml sql/migrations/*.sql
	$(BIN)/aclue schema --check

bench: .venv/dev ## Measure the API on this machine (SECONDS=5 CONNECTIONS=16)
	@$(BIN)/python bench/api.py

schema: .venv/run ## Write schema.graphql
	@$(BIN)/aclue schema --output schema.graphql

web: ## Build GraphiQL (needs Node.js 20 or newer)
	@rm -f web/dist/graphiql.js
	@$(MAKE) --no-print-directory web/dist/graphiql.js

format: .venv/dev ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove what was built (the data folder stays)
	@rm -rf .venv web/dist web/node_modules build *.egg-info
