# make demo [INPUT=path]   the main job: on the built-in head phantom, or on a file or DICOM folder
#                          of your own; the result is in demo/. Installs what it needs in .venv:
#                          downloads PyTorch (CPU build, 192 MB) and 205 MB besides
# make test                Debian packages and the whole environment (320 MB more), then the suite
# make check               the same without the Debian packages
# make check-avx2          the tests of networks as on a CPU without bf16 and AVX-512
# make fuzz                feed the readers of files with damaged ones for FUZZ_SECONDS=60
# make environment         only the whole environment, in .venv
# make clean               remove what these made, except .venv and training runs
#
# PYTHON=python3.12        makes .venv with another Python (3.10 or later)
# TORCH_INDEX=address      takes torch from this wheel index (also as SLICEINTERP_TORCH_INDEX):
#                          PyTorch's CPU index, or one with CUDA, see pytorch.org > Get Started
# PYTEST_FLAGS='-k name'   is passed on to pytest

PYTHON ?= python3
SLICEINTERP_TORCH_INDEX ?=
TORCH_INDEX ?= $(SLICEINTERP_TORCH_INDEX)
PYTEST_FLAGS ?=
INPUT ?=
FUZZ_SECONDS ?= 60

BIN := .venv/bin
# A file's tests share what they have made, and stay in one process.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile
# Not compiled by pip: what the demo imports, a small part, is when it is first imported; the tests,
# which start many processes, have all of it compiled, on all cores.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --no-compile
READY := .venv/.ready
DEMO_READY := .venv/.demo-ready
TORCH_READY := .venv/.torch-ready
# "torch==N", as pyproject.toml pins it.
TORCH := $(shell sed -n 's/^ *"\(torch==[0-9.]*\)".*/\1/p' pyproject.toml)

.PHONY: help demo test check check-avx2 fuzz environment packages clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: $(DEMO_READY)
	$(BIN)/sliceinterp demo $(if $(INPUT),"$(INPUT)") -o demo/

test: packages check check-avx2

check: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_FLAGS)

# Most computers have no bf16; these settings make a newer one compute as they do.
check-avx2: environment
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/python -m pytest $(PARALLEL) -m networks

fuzz: environment
	$(INSTALL) --editable '.[fuzz]'
	cd Testing && ../$(BIN)/python fuzz_files.py -max_total_time=$(FUZZ_SECONDS)

packages:
	@Testing/install-debian-packages.sh

environment: $(READY)

$(DEMO_READY): pyproject.toml $(TORCH_READY)
	$(INSTALL) --editable '.[demo]'
	@touch $@

$(READY): pyproject.toml $(TORCH_READY)
	$(INSTALL) --editable '.[dev]'
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || :  # a few files are templates of code
	@touch $(DEMO_READY) $@

# Plain "torch" from Python's package index brings gigabytes of CUDA on Linux, so the CPU build
# comes first and from where it is to be had: what is there already, TORCH_INDEX, what pip is
# configured to offer, PyTorch's own CPU index (uv knows where that is). Only if none of these
# has it, the build that pip finds. On other systems that one is the CPU build.
$(TORCH_READY): pyproject.toml | $(BIN)/python
	@if $(BIN)/python -c 'from importlib.metadata import version as v; \
	        exit("torch==" + v("torch").split("+")[0] != "$(TORCH)")' 2>/dev/null; then \
	  echo "$(TORCH) is there"; \
	elif [ -n "$(TORCH_INDEX)" ]; then \
	  $(INSTALL) --extra-index-url "$(TORCH_INDEX)" "$(TORCH)"; \
	elif [ "$$(uname -s)" != Linux ]; then \
	  $(INSTALL) "$(TORCH)"; \
	elif echo "Looking for a CPU build of $(TORCH)" && $(INSTALL) "$(TORCH)+cpu"; then :; \
	elif $(INSTALL) 'uv>=0.7.14' && \
	     $(BIN)/uv pip install --python $(BIN)/python --torch-backend cpu "$(TORCH)"; then :; \
	else \
	  echo "No CPU build of $(TORCH) found: taking the one with CUDA, several gigabytes." >&2; \
	  echo "To avoid that: make environment TORCH_INDEX=address (see the head of Makefile)." >&2; \
	  $(INSTALL) "$(TORCH)"; \
	fi
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "SliceInterp needs Python 3.10 or later: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  Testing/install-debian-packages.sh python3-venv
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments: on Debian, install python3-venv." >&2; \
	    exit 1; }
	$(PYTHON) -m venv .venv

clean:
	rm -rf demo build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find SliceInterp SliceInterpLib Testing -name __pycache__ -type d -prune -exec rm -rf {} +
