# Every target sets up what it needs. They run as root, on Debian or Ubuntu.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# Peer to measure against: the docker CLI's command, with its environment if it needs one.
PEER ?= docker

# Where base images and the Docker to compare with are kept.
CACHE ?= /var/cache/argosy-demo
DOCKER := $(CACHE)/docker

.PHONY: help demo test lint bench install clean
.DEFAULT_GOAL := help

help: ## Show this
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## Run a web server in a container, from nothing
	@$(SUDO) env ARGOSY_CACHE=$(CACHE) $(BIN)/python demo/demo.py

test: $(VENV)/developed $(DOCKER)/complete ## Run every test, real kernel and real clients included
	@$(SUDO) $(BIN)/python -m coverage erase
	@$(SUDO) env PATH="$(DOCKER)/usr/bin:$(DOCKER)/usr/sbin:$$PATH" ARGOSY_CACHE=$(CACHE) \
	  $(BIN)/python -m pytest --cov --cov-report=term:skip-covered $(TESTS)

lint: $(VENV)/developed ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed ## Measure beside a peer: make bench PEER="docker -H unix:///…"
	@$(SUDO) env ARGOSY_CACHE=$(CACHE) $(BIN)/python bench/bench.py --peer "$(PEER)"

install: $(VENV)/installed ## Install Argosy into a virtual environment here

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

# Bytecode is compiled at installation even where the environment forbids writing it later.
$(VENV)/installed: packaging/packages.txt pyproject.toml $(shell find src -name '*.py')
	@$(SUDO) packaging/install-packages packaging/packages.txt
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check .
	@rm -f $(VENV)/developed
	@touch $@

$(DOCKER)/complete: packaging/fetch-docker
	@$(SUDO) packaging/fetch-docker $(DOCKER)

$(VENV)/developed: packaging/packages.txt packaging/packages-test.txt requirements-dev.txt pyproject.toml
	@$(SUDO) packaging/install-packages packaging/packages.txt packaging/packages-test.txt
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements-dev.txt -e .
	@rm -f $(VENV)/installed
	@touch $@
