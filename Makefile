# make benchmark | test | live | lint; each installs what it needs and skips what is there.
PYTHON ?= python3
# Windows: GNU make with a POSIX shell, as Git brings it.
WINDOWS := $(filter Windows_NT,$(OS))
BIN := .venv/$(if $(WINDOWS),Scripts,bin)
SYSTEM_PACKAGES := ffmpeg libportaudio2 espeak-ng flite
TEST_PACKAGES := pulseaudio pulseaudio-utils libasound2-plugins chromium strace
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)

.PHONY: benchmark test live lint setup setup-dev system system-test clean
.DEFAULT_GOAL := benchmark

benchmark: setup  ## print the comparison table and write it to results/
	$(BIN)/python -m benchmarks.run

test: setup-dev system-test  ## run the tests
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

live: setup  ## recognise digits from the microphone
	$(BIN)/python -m inference.live

lint: setup-dev  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: system .venv/installed  ## virtual environment for the benchmark, the page and the microphone

setup-dev: system .venv/installed-dev  ## the same, with the tools of the tests

.venv/installed: pyproject.toml | .venv/made
	$(BIN)/python -m pip install --quiet --editable '.[app,benchmarks]'
	touch $@

.venv/installed-dev: pyproject.toml | .venv/made
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ .venv/installed

.venv/made: | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version); Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

# $(call need,PACKAGES,TEST): installs the Debian packages unless the shell test says they are there.
define need
	@{ $(2); } >/dev/null 2>&1 || { \
	  if command -v apt-get >/dev/null; then \
	    echo "installing $(1)"; \
	    $(SUDO) apt-get update -qq && \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
	  else \
	    echo "missing system packages: install $(1) with your package manager (see inference/README.md, Installation)" >&2; exit 1; \
	  fi; }
endef

# ldconfig lies in /usr/sbin, which is not on every user's path.
HAS_PORTAUDIO := $(if $(WINDOWS),true ||) PATH="$$PATH:/usr/sbin:/sbin" ldconfig -p | grep -q libportaudio || ls /opt/homebrew/lib/libportaudio* /usr/local/lib/libportaudio* | grep -q .

system:
	$(call need,$(SYSTEM_PACKAGES) python3-venv,command -v ffmpeg && command -v espeak-ng && { command -v flite || ! command -v apt-get; } && $(PYTHON) -c 'import ensurepip' && { $(HAS_PORTAUDIO); })

system-test: system
	$(call need,$(TEST_PACKAGES),command -v apt-get || exit 0; command -v pulseaudio && command -v paplay && command -v chromium && command -v strace && dpkg -s libasound2-plugins)

clean:  ## remove the virtual environment and caches
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache *.egg-info
