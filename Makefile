# Two commands do everything: `make demo` and `make test`. Both make the environment first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help env demo demo-train test check web web-test browser-test serve clean

VIEWER := src/pleura/service/static/index.html

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

env: $(VENV)/.installed  ## make .venv with the tested versions of everything

$(VENV)/.core: pyproject.toml constraints.txt weights/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "pleura needs Python 3.11 or newer; say make PYTHON=python3.12, for instance")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable . --editable ./weights
	@touch $@

$(VENV)/.installed: $(VENV)/.core
	$(PIP) torch
	$(PIP) --editable '.[dev]'
	@touch $@

demo: $(VENV)/.core  ## the trained model on phantoms (or PLEURA_DATA=DIR), ending in one HTML page; no PyTorch
	$(BIN)/pleura demo $(if $(PLEURA_DATA),--data "$(PLEURA_DATA)")

demo-train: env  ## phantoms (or PLEURA_DATA=DIR) from film to dataset to model to findings, ending in one HTML page
	$(BIN)/pleura demo-train $(if $(PLEURA_DATA),--data "$(PLEURA_DATA)")

test: env  ## lint, types and tests, as CI runs them
	PATH="$(CURDIR)/$(BIN):$$PATH" ./check

check: test

web: $(VIEWER)  ## build the viewer that `pleura serve` shows (needs Node.js 20.19 or newer)

$(VIEWER): web/node_modules web/index.html web/vite.config.ts $(shell find web/src -type f)
	cd web && npm run build

web/node_modules: web/package.json web/package-lock.json
	cd web && npm ci
	@touch $@

web-test: web/node_modules  ## types, lint and unit tests of the viewer
	cd web && npm run check

browser-test: env web  ## the viewer against the service, in this machine's Chromium
	$(PIP) --editable '.[dev,browser]'
	$(BIN)/pytest tests/browser

serve: env web  ## the page and the API on this machine (BUNDLE=DIR for another model than the shipped)
	$(BIN)/pleura serve $(if $(BUNDLE),--bundle "$(BUNDLE)")

clean:  ## remove the environment and what demo made
	rm -rf $(VENV) demo demo-own demo-train demo-train-own web/node_modules src/pleura/service/static
