# One verb each; `make` lists them. Every verb first brings .venv up to date, which takes no time when nothing changed.

PYTHON := .venv/bin/python
# Follows requirements.lock and pyproject.toml: an unchanged environment is not looked at again.
STAMP := .venv/.up-to-date
EXTRAS := export,coreai,train,bench,dev
# Named wherever pip resolves: without it a range in another package takes the newest torch, with CUDA libraries.
TORCH := torch==2.13.0
# Imported once after an installation, see below.
WARM := torch.export, torchao, executorch.exir, litert_torch, ai_edge_quantizer, coremltools, skimage.measure, cv2

TARGET ?= all
MODEL ?= all
DATA ?= data
# Small enough for every change; the rest is exported and proved by hand before a release.
GATED ?= classifier template_keypoints voxel64
PRECISION ?= default

# Bytecode of the toolchains saves half a minute at every start; some machines switch it off.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup wheel export parity predict test test-slow coremltools-suite lint format gltf bench apps apps-bundles apps-web apps-android apps-ios lock clean gates quantize tables phones arm64 arm64-counts

help: ## list the verbs
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' Makefile | expand -t 20

setup: $(STAMP) ## make .venv with everything that export, training, timing and tests need

# requirements.lock is the whole closure, so --no-deps spares pip the resolution. --no-compile with the one import of
# what is used takes a third of the time of compiling all 23,000 files. The line with $(TORCH) adds nothing to a
# CPU-only build; a build with CUDA gets its libraries, which the lock leaves out. Core AI has no wheel for an older glibc
# than 2.34, nor for arm64 Linux, so it is left out there.
$(STAMP): requirements.lock pyproject.toml
	@set -e; python=; for name in python3.11 python3 python3.13 python3.12 python3.10; do \
	  if $$name -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then \
	    python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "setup: no Python from 3.10 to 3.13 on the PATH; install 3.11 and run make setup again" >&2; exit 2; fi; \
	rm -f $@; [ -x $(PYTHON) ] || $$python -m venv .venv; \
	locked=requirements.lock extras=$(EXTRAS); \
	if $(PYTHON) -c "$$LACKS_CORE_AI"; then \
	  echo "setup: no Core AI here: its package needs Linux on x86_64 with glibc 2.34, or macOS on arm64"; \
	  extras=$$(echo $$extras | sed s/coreai,//); locked=.venv/locked.txt; grep -v '^coreai-' requirements.lock > $$locked; fi; \
	if $(PYTHON) -c 'import sys; sys.exit((sys.platform, *sys.version_info[:2]) != ("linux", 3, 11))'; then \
	  echo "setup: installing the versions of requirements.lock; this takes two to four minutes"; \
	  $(PYTHON) -m pip install -qq --no-compile --no-deps -r $$locked; \
	  $(PYTHON) -m pip install -qq --no-compile -c requirements.lock $(TORCH); \
	  $(PYTHON) -m pip install -qq --no-deps --no-build-isolation -e .; \
	else \
	  echo "setup: requirements.lock is for Python 3.11 on Linux; resolving pyproject.toml instead takes a few minutes more"; \
	  $(PYTHON) -m pip install -qq $(TORCH) -e ".[$$extras]"; \
	fi; \
	$(PYTHON) -W ignore -c 'import $(WARM)' >/dev/null 2>&1 || { \
	  $(PYTHON) -c 'import $(WARM)'; exit 1; }; \
	touch $@

define LACKS_CORE_AI
import platform, sys
libc, version = platform.libc_ver()
fits = (platform.system(), platform.machine()) in {("Linux", "x86_64"), ("Darwin", "arm64")}
fits = fits and (libc != "glibc" or tuple(map(int, version.split("."))) >= (2, 34))
sys.exit(fits)
endef
export LACKS_CORE_AI

export: $(STAMP) ## TARGET=ios|android|web|all [MODEL=name] [PRECISION=fp16]: make bundles in dist/
	$(PYTHON) -m sdk_build.export --target $(TARGET) --model $(MODEL) --precision $(PRECISION)

parity: $(STAMP) ## [MODEL=name]: prove every target against the reference and keep nothing
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m sdk_build.export --target all --model $(MODEL) --precision $(PRECISION) --output-dir "$$folder"

predict: $(STAMP) ## BUNDLE=folder FILE=picture: run a bundle on this machine
	@if [ -z "$(BUNDLE)" ] || [ -z "$(FILE)" ]; then \
	  echo "predict: give both, e.g. make predict BUNDLE=dist/classifier-android-fp32 FILE=picture.jpg" >&2; exit 2; fi
	$(PYTHON) -m sdk_build.predict $(BUNDLE) $(FILE)

wheel: $(STAMP) ## build dist/onpar-VERSION-py3-none-any.whl, with the built-in models
	$(PYTHON) -m pip wheel -q --no-deps --no-build-isolation --wheel-dir dist .
	@ls -l dist/onpar-*.whl | awk '{printf "%s, %.1f MB\n", $$NF, $$5 / 1e6}'

# Two workers, a file each: conversions use one core, and tests of one file share what they converted.
test: $(STAMP) ## every test but the slow ones
	$(PYTHON) -m pytest -n 2 --dist loadfile

test-slow: $(STAMP) ## the tests that export whole models, minutes each
	$(PYTHON) -m pytest -m slow

# SUITE="ops --shard 0/4 --out FOLDER": groups and options of python -m tests.sdk_build.mil.apple --help.
SUITE ?= ops torch
coremltools-suite: $(STAMP) ## [SUITE="ops --shard 0/4"]: Apple's own tests of coremltools through the emulation; resumes
	$(PYTHON) -m tests.sdk_build.mil.apple $(SUITE)

lint: $(STAMP) ## ruff, its formatter and mypy; changes nothing
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check --quiet
	$(PYTHON) -m mypy

format: $(STAMP) ## sort imports, fix what ruff can, format
	$(PYTHON) -m ruff check --fix --quiet --exit-zero
	$(PYTHON) -m ruff format

# The package is pinned here: tests install nothing and skip this one without it.
gltf: $(STAMP) ## fetch the glTF validator (npm) and check the files that reference.animate writes
	npm install --silent --prefix .cache/gltf gltf-validator@2.0.0-dev.3.10
	$(PYTHON) -m pytest tests/reference/animation/test_characters.py -k validator

bench: $(STAMP) ## time every bundle in dist/ on this machine
	$(PYTHON) -m benchmarks.run

# The apps' toolchains go into APPS_CACHE once (Debian, npm; as root: it installs packages and says which). Each part
# also runs alone. Bundles are made anew when a model or its code changed.
APPS_CACHE ?= $(HOME)/.cache/onpar
# In the precision that users export by default.
APPS_MODELS ?= classifier face_detector face_detector_refined voxel64
# In fp16: rounding to 8 bits makes more of a preprocessing that is off by 5e-5 than points and masks may differ, and a
# browser rounds elsewhere than a PC.
APPS_EXACT_MODELS ?= template_keypoints
# Made for the web alone: the tests of the other languages run that .tflite file, and no other artifact is waited for.
APPS_WEB_MODELS ?= saliency template_keypoints_refined face3d
APPS_BUNDLES := $(CURDIR)/build/apps/bundles
APPS_EVERY_MODEL = $(APPS_MODELS) $(APPS_EXACT_MODELS) $(APPS_WEB_MODELS)
APPS_SOURCES = tests/foreign_bundles.py $(shell find reference sdk_build $(APPS_EVERY_MODEL:%=models/%) -type f -not -name '*.pyc')
LITERT = $(shell find $(CURDIR)/.venv/lib -name libLiteRt.so | head -1)

apps: apps-web apps-android apps-ios ## compile and test the web, Kotlin and Swift sides with real models
	@echo "apps: web, Kotlin and Swift give the reference's results"

apps-bundles: $(APPS_BUNDLES)/results.json ## make the bundles that the apps are tested with

$(APPS_BUNDLES)/results.json: $(STAMP) $(APPS_SOURCES)
	rm -rf $(APPS_BUNDLES)
	for target in android web; do \
	  OMP_NUM_THREADS=1 $(PYTHON) -m sdk_build.export --target $$target --model $(APPS_MODELS) --output-dir $(APPS_BUNDLES) || exit; done
	OMP_NUM_THREADS=1 $(PYTHON) -m sdk_build.export --target android --precision fp16 --model $(APPS_EXACT_MODELS) --output-dir $(APPS_BUNDLES)
	OMP_NUM_THREADS=1 $(PYTHON) -m sdk_build.export --target web --precision fp16 --model $(APPS_EXACT_MODELS) $(APPS_WEB_MODELS) --output-dir $(APPS_BUNDLES)
	OMP_NUM_THREADS=1 $(PYTHON) -m tests.foreign_bundles $(APPS_BUNDLES)
	OMP_NUM_THREADS=1 $(PYTHON) -m sdk_build.app_results $(APPS_BUNDLES)

apps-web: apps-bundles ## the page: types, build, tests in headless Chromium, screenshots
	web_demo/check.sh $(APPS_CACHE) $(APPS_BUNDLES) $(CURDIR)/build/apps/screenshots

apps-android: apps-bundles ## the Kotlin library and app: compile, test with LiteRT's C API
	android_demo/check.sh $(APPS_CACHE) $(APPS_BUNDLES) $(LITERT)

apps-ios: apps-bundles ## the Swift package: build and test in a Debian root folder with Swift
	ios_demo/check.sh $(APPS_CACHE) $(APPS_BUNDLES) $(LITERT)

gates: $(STAMP) ## parity, size, delegation and latency ratio of fresh bundles against the committed figures
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	for precision in fp32 w8a8; do $(PYTHON) -m sdk_build.export --target android --model $(GATED) \
	  --precision $$precision --max-fallbacks 0 --output-dir "$$folder" || exit $$?; done && \
	$(PYTHON) -m benchmarks.gates "$$folder"

quantize: $(STAMP) ## MODEL=name DATA=folder: measure every precision on every runtime, search mixed ones, store it
	$(PYTHON) -m sdk_build.quantize $(MODEL) --data $(DATA)

tables: $(STAMP) ## every table of sizes, accuracy and latency anew; needs a quiet machine
	$(PYTHON) -m benchmarks.tables

phones: $(STAMP) ## fetch adb (Debian, as root) and check the collector of phones' records against it
	@command -v adb >/dev/null || { echo "phones: installing adb, which talks to Android phones"; \
	  apt-get -qq update && apt-get -qq install -y --no-install-recommends adb >/dev/null; }
	$(PYTHON) -m pytest tests/benchmarks/test_collect.py

arm64: $(STAMP) ## prove every .tflite of dist/ on emulated arm64 cores; fetches the toolchain into .cache once
	$(PYTHON) -m benchmarks.arm64 --prepare

# Web bundles hold the same .tflite files and are made in a fraction of the time.
COUNTER_PACKAGES := build-essential ninja-build pkg-config libglib2.0-dev
arm64-counts: $(STAMP) ## executed arm64 instructions of fresh bundles against the committed numbers; builds QEMU's counter once
	@if [ ! -e .cache/arm64/counter/libarm64_counter.so ] && ! dpkg -s $(COUNTER_PACKAGES) >/dev/null 2>&1; then \
	  echo "arm64-counts: installing $(COUNTER_PACKAGES), which QEMU is built with"; \
	  apt-get -qq update && apt-get -qq install -y $(COUNTER_PACKAGES) >/dev/null || exit; fi
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	for precision in fp32 w8a8; do $(PYTHON) -m sdk_build.export --target web --model $(GATED) \
	  --precision $$precision --output-dir "$$folder" || exit $$?; done && \
	$(PYTHON) -m benchmarks.arm64 "$$folder" --prepare --build --count $(COUNTS)

# `PIP_CONSTRAINT=requirements.lock make lock` keeps the versions and adds only what is new. The local label of a torch
# build ('+cpu') is cut off: nobody else can install it. pip itself is not a dependency.
lock: $(STAMP) ## resolve pyproject.toml anew into requirements.lock (Python 3.11, Linux)
	@report=$$(mktemp) && trap 'rm -f "$$report"' EXIT && \
	$(PYTHON) -m pip install -qq --dry-run --ignore-installed --report "$$report" $(TORCH) '.[$(EXTRAS)]' && \
	$(PYTHON) -c "$$LOCK_FILE" "$$report" > requirements.lock

define LOCK_FILE
import json, sys
print("# Everything that pyproject.toml and its extras need, for Python 3.11 on Linux. Made by 'make lock'; don't edit.")
found = (item["metadata"] for item in json.load(open(sys.argv[1]))["install"])
pins = (f"{m['name']}=={m['version'].split('+')[0]}" for m in found if m["name"] != "onpar")
print(*sorted(pins, key=str.lower), sep="\n")
endef
export LOCK_FILE

clean: ## remove .venv, caches and build products; dist/ and runs/ stay
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
