# Everything starts here. Needs GNU make 3.81 or later and Python 3.11 or later; nothing else has to be installed.
#
#   make run          the whole product on embedded services, with a demo; Ctrl-C stops it     PORT=9000 fixes its port
#   make test         the whole test suite on services of its own                              ARGS="-k launch"
#   make lint         formatting, rules, types, layers, migrations, production settings
#   make demo         the main job from outside, unattended; prints the closing balance
#   make screenshots  pictures of every console page, into test-results/
#   make setup        .venv with the pinned requirements (the targets above do it when needed)
#   make lock         renew requirements*.txt from requirements*.in
#   make clean        remove var/ with its database, and caches; .venv stays

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { command -v $$p; break; }; done)
IN := .venv/bin/python
BOOTSTRAP = lamba_campaigns/embedded/bootstrap.py
EMBEDDED = $(IN) -m lamba_campaigns.embedded
UV_VERSION = 0.13.9
ARGS ?=
WORKERS ?= 2

LINTS = lint-format lint-rules lint-types lint-layers lint-migrations lint-settings
.PHONY: run test lint $(LINTS) demo screenshots setup setup-dev lock clean require-python
.DEFAULT_GOAL := run

run: setup
	@$(EMBEDDED) run $(ARGS)

demo: setup
	@$(IN) -m lamba_campaigns.embedded.demo $(ARGS)

test: setup-dev
	@$(EMBEDDED) test -- -n $(WORKERS) --dist loadfile $(ARGS)

screenshots: setup-dev
	@$(IN) -m tests.browser.screenshots $(ARGS)

lint: $(LINTS)

lint-format: setup-dev
	$(IN) -m ruff format --check .

lint-rules: setup-dev
	$(IN) -m ruff check .

lint-types: setup-dev
	LAMBA_MODE=test $(IN) -m mypy .

lint-layers: setup-dev
	.venv/bin/lint-imports

lint-migrations: setup-dev
	LAMBA_MODE=test $(IN) -W "ignore:Got an error checking a consistent" manage.py makemigrations --check --dry-run

lint-settings: setup-dev
	@echo "manage.py check --deploy, on production settings with new secrets"
	@env LAMBA_MODE=production LAMBA_PUBLIC_URL=https://campaigns.example ALLOWED_HOSTS=campaigns.example \
		DATABASE_URL=postgres://lint@localhost/lint REDIS_URL=redis://localhost EMAIL_URL=smtp://localhost \
		$$($(EMBEDDED) secrets) $(IN) manage.py check --deploy --fail-level WARNING

setup: require-python
	@"$(PYTHON)" -I $(BOOTSTRAP) runtime

setup-dev: require-python
	@"$(PYTHON)" -I $(BOOTSTRAP) dev

require-python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found as python3, python3.11 ... python3.14." \
		"Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }

lock: setup-dev
	$(IN) -m pip install --quiet "uv==$(UV_VERSION)"
	for name in requirements requirements-dev; do \
		CUSTOM_COMPILE_COMMAND="make lock" UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet \
			--universal --python-version 3.11 --generate-hashes --upgrade --output-file $$name.txt $$name.in || exit 1; done

clean:
	@if test -x $(IN); then $(EMBEDDED) clean; else rm -rf var; fi
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results
	@find . -name __pycache__ -not -path "./.venv/*" -prune -exec rm -rf {} +
