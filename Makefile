# The two commands: `make demo` and `make test`. Each sets everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= output

JOBS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist worksteal

.PHONY: demo test test-slow test-lowest test-newest test-browser browser check check-web app install install-dev docs pictures clean

demo: $(VENV)/.installed
	$(BIN)/python -m fastsam demo --out $(OUT)

# One worker per core; `make test JOBS=0` runs all tests in one process.
test: $(VENV)/.installed-dev
	$(PYTEST)

test-slow: $(VENV)/.installed-dev
	$(PYTEST) -m slow

# What needs most of other packages, with the lowest and the newest versions that pyproject.toml admits.
VERSIONS_TESTS ?= tests/weights tests/everything tests/compat tests/training tests/images tests/page/test_guard.py tests/test_model.py

test-lowest:
	rm -rf .venv-lowest && $(PYTHON) -m venv .venv-lowest
	$(PYTHON) tests/lowest.py > .venv-lowest/requirements.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -r .venv-lowest/requirements.txt
	.venv-lowest/bin/python -m pytest -n $(JOBS) --maxprocesses 8 $(VERSIONS_TESTS)

test-newest:
	rm -rf .venv-newest && $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -r requirements.txt -r requirements-dev.txt
	.venv-newest/bin/python -m pytest -n $(JOBS) --maxprocesses 8 $(VERSIONS_TESTS)

test-browser: browser $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m browser tests/browser

# Debian's chromium and its driver; nothing is installed where both are there.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || \
			{ echo "the browser tests need chromium and chromedriver: sudo apt-get install -y chromium chromium-driver" >&2; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium chromium-driver; }

check: $(VENV)/.installed-dev check-web
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Types and unit tests of the page's JavaScript; the page itself needs no node.
check-web:
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund && npx tsc && npm test --silent; \
		else echo "node is not installed: the page's JavaScript is not checked (fastsam/page/web)" >&2; fi

app: $(VENV)/.installed
	$(BIN)/python app.py

# The documentation as a site, in site/; a link that leads nowhere is an error.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# What is made by code: the reference of the commands, and the pictures of docs/pictures/.
pictures: $(VENV)/.installed-dev
	FASTSAM_WRITE_DOCS=1 $(BIN)/python -m pytest tests/test_docs.py -k reference
	for script in docs/pictures/*.py; do \
		$(BIN)/python $$script docs/$$(basename $$script .py).jpg || exit 1; done

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "fastsam needs Python 3.11 or newer; found $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed requirements-docs.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	touch $@

clean:
	rm -rf $(VENV) .venv-lowest .venv-newest build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
