# The two commands: `make demo` and `make test`. Each sets everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= output

.PHONY: demo test test-browser browser check app install docs clean

demo: $(VENV)/.installed
	$(BIN)/python -m fastsam demo --out $(OUT)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

test-browser: browser $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m browser tests/browser

# Debian's chromium and its driver; nothing is installed where both are there.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || \
			{ echo "the browser tests need chromium and chromedriver: sudo apt-get install -y chromium chromium-driver" >&2; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium chromium-driver; }

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

app: $(VENV)/.installed
	$(BIN)/python app.py

docs: $(VENV)/.installed-dev
	FASTSAM_WRITE_DOCS=1 $(BIN)/python -m pytest tests/test_docs.py -k reference
	$(BIN)/python examples/readme_picture.py docs/readme.jpg
	$(BIN)/python examples/levels.py docs/levels.jpg
	$(BIN)/python examples/references.py docs/references.jpg
	$(BIN)/python examples/video.py docs/video.jpg

install: $(VENV)/.installed

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

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
