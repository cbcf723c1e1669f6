# `make` alone prints this help.
.DEFAULT_GOAL := help
.PHONY: help run test test-bases evaluate fuzz soak drill check check-requirements hooks bench bench-analytics bench-caching bench-day bench-devices bench-exports bench-feeds bench-finding bench-growth bench-imports bench-metrics bench-plans bench-rankings bench-redirects bench-replicas bench-rls bench-sessions bench-subscriptions bench-swipes schema web format clean

PYTHON ?= python3
BIN := .venv/bin
# Set in some containers; without bytecode every process compiles the whole code, and pytest rewrites all tests, again.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/run: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "aclue needs Python 3.11 or newer"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/run requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# GraphiQL is built only if Node.js is installed; without it the page explains what is missing.
web/dist/graphiql.js: web/package-lock.json web/build.mjs $(shell find web/src -type f 2>/dev/null)
	@if command -v npm > /dev/null; then \
	  cd web && npm ci --silent --no-audit --no-fund && npm run --silent build && touch dist/graphiql.js \
	  || echo "GraphiQL was not built; the API works without it"; \
	else echo "No npm here: GraphiQL is not built; the API works without it"; fi

run: .venv/run web/dist/graphiql.js ## Start Postgres with a demo catalogue, and the server (HOST, PORT, DATABASE_URL, ...)
	@exec $(BIN)/aclue serve

test: .venv/dev ## Run all tests on an embedded Postgres
	@$(BIN)/pytest -n auto --dist loadgroup --no-loadscope-reorder

# Everything that may differ between bases: privileges, migrations, notifications, cancellation, and the main paths. Not
# the test with twenty thousand requests, which is the same on any Postgres.
ON_BASES = tests/security tests/integration/test_migrations.py tests/integration/test_queries.py tests/http/test_profiles.py \
  tests/http/test_swipes.py tests/http/test_personality.py tests/http/test_recommendations.py \
  tests/http/test_affiliate_clicks.py tests/http/test_products.py tests/http/test_session_merges.py \
  tests/http/test_subscriptions.py tests/http/test_sse.py tests/http/test_cancelling.py tests/http/test_exports.py \
  tests/integration/test_changes.py \
  tests/integration/test_verify.py::test_a_sound_database_passes_every_check
# Through PgBouncer everything runs in tests/http and tests/security; POOLED="tests/http tests/security" runs all of it.
POOLED ?= tests/http/test_cancelling.py tests/http/test_recommendations.py tests/http/test_sessions.py \
  tests/http/test_subscriptions.py tests/http/test_swipes.py tests/security/test_pipeline.py
POSTGRES15 ?= /usr/lib/postgresql/15/bin

test-bases: .venv/dev ## Run the tests that depend on the base on a Supabase-like base, on PostgreSQL 15 (POSTGRES15=folder of its programs) and through PgBouncer
	@ACLUE_TEST_BASE=supabase $(BIN)/pytest -n auto -rs -m "not long" $(ON_BASES)
	@if [ -x $(POSTGRES15)/initdb ]; then \
	  ACLUE_TEST_BASE=postgres15 ACLUE_TEST_POSTGRES15=$(POSTGRES15) $(BIN)/pytest -n auto -rs -m "not long" $(ON_BASES); \
	else echo "NOT RUN on PostgreSQL 15: not found in $(POSTGRES15) (Debian: apt-get install postgresql-15)"; test -z "$$CI"; fi
	@if command -v pgbouncer > /dev/null || [ -x /usr/sbin/pgbouncer ]; then \
	  ACLUE_TEST_BASE=pgbouncer $(BIN)/pytest -n auto -rs -m "not long" $(POOLED); \
	else echo "NOT RUN through PgBouncer: not found (Debian: apt-get install pgbouncer)"; test -z "$$CI"; fi

fuzz: .venv/dev ## Compare responses with and without compiled plans to DOCUMENTS (50000) random documents of a SEED (any)
	@DOCUMENTS=$(DOCUMENTS) SEED=$(SEED) $(BIN)/python -m tests.differential

RECSYS ?= ../shared/data/recsys
evaluate: .venv/dev ## Judge the recommender on the data sets in RECSYS (../shared/data/recsys), beside simpler methods
	@for set in gift anime books; do \
	  case $$set in gift) columns="--words title";; anime) columns="--category type --tags genre";; books) columns="--brand authors";; esac; \
	  if [ -d $(RECSYS)/$$set ]; then echo "$$set"; d=$(RECSYS)/$$set; \
	    $(BIN)/aclue evaluate --train $$d/train.csv.gz --items $$d/items.csv.gz --history $$d/valid_history.csv.gz \
	      --target $$d/valid_target.csv.gz --pairs $$d/valid_target.csv.gz --out-probability $${TMPDIR:-/tmp}/$$set.p.csv.gz \
	      $$columns --cold 0.1 || exit 1; \
	  else echo "NOT RUN: $$set; $(RECSYS)/$$set is not there"; fi; \
	done

soak: .venv/dev ## Send REQUESTS (200000) of many people to a server under CPU load, for at least MINUTES (0); fail on another person's row
	@REQUESTS=$(REQUESTS) MINUTES=$(MINUTES) $(BIN)/python -m tests.soak

drill: .venv/dev ## Kill, cut off and restart what the service depends on: all fault drills, REPEAT (20) times each
	@REPEAT=$(or $(REPEAT),20) $(BIN)/pytest -n auto -m drill

# Commits up to this one followed other rules.
LINTED_AFTER = 466e4ee54230a49487996d88bf8b89a83417ef58

check: .venv/dev ## Lint, types, layers, migrations, unused code, stale schema, commit messages: what CI runs before the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/squawk --config .squawk.toml sql/migrations/*.sql
	$(BIN)/aclue schema --check
	$(BIN)/aclue schema diff schema.released.graphql
	@if git cat-file -e $(LINTED_AFTER)^{commit} 2> /dev/null; then $(BIN)/gitlint --commits $(LINTED_AFTER)..HEAD; \
	else echo "NOT RUN: gitlint; the history here does not reach back to $(LINTED_AFTER)"; fi

hooks: .venv/dev ## Install the Git hook that checks commit messages
	git config core.hooksPath .hooks

check-requirements: .venv/dev ## Fail if a pinned package has no wheel for the oldest or newest Python (downloads 370 MB)
	@$(BIN)/python -m tests.requirements

bench: .venv/dev ## Compare with PostGraphile, plain Strawberry and pgbench; bench/RESULTS.md (SECONDS=2 ROUNDS=1 for a quick look)
	@$(BIN)/python bench/compare.py

bench-analytics: .venv/dev ## Measure figures at 10 million events (EVENTS), and a refresh; fail over 300 ms
	@$(BIN)/python bench/analytics.py --events $(or $(EVENTS),10000000)

bench-caching: .venv/dev ## Measure Q2 and Q5 with the cache of public answers and without; fail if an answer lacks an edit for a second (EDITS=2000)
	@$(BIN)/python bench/caching.py

bench-day: .venv/dev ## The highest rate of a day's requests at a p95 under 100 ms, and what happens beyond it (DAY="--hold 60 --overload 20")
	@$(BIN)/python bench/day.py $(DAY)

bench-devices: .venv/dev ## Tell what User-Agent headers say; fail if one, hostile or not, takes over a millisecond
	@$(BIN)/python bench/devices.py

bench-exports: .venv/dev ## Export 1000 MB of one person (SIZE_MB); fail over 80 MB of memory, or over 100 ms for a concurrent request
	@$(BIN)/python bench/exports.py --size-mb $(or $(SIZE_MB),1000)

bench-feeds: .venv/dev ## What reading a feed of SIZE_MB costs; fails over 300 MB of memory
	@$(BIN)/python bench/feeds.py --size-mb $(or $(SIZE_MB),20)

bench-finding: .venv/dev ## Measure facets and suggestions at 20,000 and 200,000 products (PRODUCTS); fail if suggesting takes over 5 ms
	@PRODUCTS=$(PRODUCTS) $(BIN)/python bench/finding.py

bench-growth: .venv/dev ## Measure from 10,000 to a million swipes; fail if time grows faster than their logarithm (SWIPES=10000000)
	@$(BIN)/python bench/growth.py

bench-imports: .venv/dev ## Import ROWS (20000) products, again, and with edits, beside another checkout (BEFORE=../before); fail over 300 MB
	@$(BIN)/python bench/imports.py --rows $(or $(ROWS),20000) -- $(BEFORE)

bench-metrics: .venv/dev ## Measure CPU per request, beside another checkout with a .venv (BEFORE=../before); fail if it is 3 % more
	@$(BIN)/python bench/metrics.py $(BEFORE)

bench-plans: .venv/dev ## Fail if an operation scans a large table (ACLUE_HOME=a seeded folder, or SEED="--users ...")
	@$(BIN)/python bench/plans.py

bench-rankings: .venv/dev ## Measure ranking feeds, beside another checkout with a .venv (BEFORE=../before); fail at a recall below .98 (PRODUCTS=200000)
	@PRODUCTS=$(PRODUCTS) $(BIN)/python bench/rankings.py $(BEFORE)

bench-redirects: .venv/dev ## Follow links at RATE (200) a second; fail if the 99th percentile takes over 20 ms (SECONDS=10)
	@$(BIN)/python bench/redirects.py

bench-replicas: .venv/dev ## What a read replica takes off the primary (REQUESTS=2000); fail at less than half of its CPU
	@REQUESTS=$(REQUESTS) $(BIN)/python bench/replicas.py

bench-rls: .venv/dev ## Measure the cost of row level security per statement (ACLUE_HOME or SEED, as above)
	@$(BIN)/python bench/rls.py

bench-sessions: .venv/dev ## Measure the cost of sending claims to Postgres (SECONDS=1 REQUESTS=16)
	@$(BIN)/python bench/sessions.py

bench-swipes: .venv/dev ## Measure recording swipes, beside another checkout with a .venv (BEFORE=../before)
	@$(BIN)/python bench/swipes.py $(BEFORE)

bench-subscriptions: .venv/dev ## Measure the memory of 500 idle subscribers; fail over 50 MB
	@$(BIN)/python bench/subscriptions.py

schema: .venv/run ## Write schema.graphql, docs/schema.md and docs/sql-writes.md
	@$(BIN)/aclue schema --output schema.graphql
	@$(BIN)/aclue docs

web: ## Build GraphiQL (needs Node.js 20 or newer)
	@rm -f web/dist/graphiql.js
	@$(MAKE) --no-print-directory web/dist/graphiql.js

format: .venv/dev ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove build artefacts (the data folder stays)
	@rm -rf .venv web/dist web/node_modules build *.egg-info
