# SPDX-License-Identifier: AGPL-3.0-or-later
# One line per target; CI runs the same. Every environment is made from uv.lock under .venvs/, one per engine.
.PHONY: demo check test test-fast test-long bench build docs client assets environments clean
.DEFAULT_GOAL := test

UV := .venvs/uv/bin/uv
SERVER := .venvs/server/bin/python
ENGINES := celery rq dramatiq huey arq taskiq apscheduler
FRAMEWORKS := django flask fastapi
ENGINE_STAMPS := $(ENGINES:%=.venvs/%/.stamp)
FRAMEWORK_STAMPS := $(FRAMEWORKS:%=.venvs/%/.stamp)
PORT := 7700
LOCK := uv.lock pyproject.toml $(wildcard adapters/*/pyproject.toml) examples/third_party_adapter/pyproject.toml hatch_build.py package-lock.json

demo: .venvs/demo/.stamp $(ENGINE_STAMPS)
	exec .venvs/demo/bin/python examples/demo/demo.py --port $(PORT)

check: environments
	$(SERVER) -m ruff format --check . && $(SERVER) -m ruff check .
	$(SERVER) -m mypy -p z4j -p z4j_agent -p z4j_client -p z4j_demo
	$(SERVER) -m mypy $(ENGINES:%=-p z4j_%) $(FRAMEWORKS:%=-p z4j_%)
	$(SERVER) -m mypy tests bench
	PYTHONPATH=$(subst $(eval) ,:,$(ENGINES:%=adapters/%/src) $(FRAMEWORKS:%=adapters/%/src)) .venvs/server/bin/lint-imports

test: environments
	$(SERVER) tests/run.py $(AGAIN:%=--again) $(RECORD:%=--record)

test-fast: environments
	$(SERVER) tests/run.py --fast

test-long: environments
	$(SERVER) tests/run.py --long $(PARTS:%=--part %)

bench: environments .venvs/flower/.stamp
	$(SERVER) -m bench

build: environments
	rm -rf build dist && export PYTHONNODEBUGRANGES=1 && $(SERVER) bundle.py && .venvs/server/bin/pyinstaller --noconfirm --log-level WARN z4j.spec && for d in . adapters/*/pyproject.toml; do $(UV) build --quiet --wheel --out-dir dist $${d%pyproject.toml} || exit 1; done

docs: environments
	$(SERVER) -m z4j.settings > docs/settings.md

client: environments
	$(SERVER) -m z4j.web.api.openapi | $(SERVER) adapters/client/generate.py

environments: .venvs/server/.stamp $(ENGINE_STAMPS) $(FRAMEWORK_STAMPS) .venvs/saq/.stamp

$(UV):
	python3 -m venv .venvs/uv && .venvs/uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

.venvs/server/.stamp: $(UV) $(LOCK)
	UV_PROJECT_ENVIRONMENT=.venvs/server $(UV) sync --quiet --frozen --group check --group test --group build --extra demo && .venvs/server/bin/python hatch_build.py && touch $@

.venvs/demo/.stamp: $(UV) $(LOCK)
	UV_PROJECT_ENVIRONMENT=.venvs/demo $(UV) sync --quiet --frozen && .venvs/demo/bin/python hatch_build.py && touch $@

$(ENGINE_STAMPS) $(FRAMEWORK_STAMPS): .venvs/%/.stamp: $(UV) $(LOCK)
	UV_PROJECT_ENVIRONMENT=.venvs/$* $(UV) sync --quiet --frozen --package z4j-$* --group engine --group test && touch $@

.venvs/saq/.stamp: $(UV) $(LOCK)
	UV_PROJECT_ENVIRONMENT=.venvs/saq $(UV) sync --quiet --frozen --package saq-for-z4j --all-groups && touch $@

.venvs/flower/.stamp: $(UV) $(LOCK)
	UV_PROJECT_ENVIRONMENT=.venvs/flower $(UV) sync --quiet --frozen --package z4j-celery --group engine --group compare && touch $@

clean:
	rm -rf .venvs build dist .demo
