# FusionNetX. Python owns the logic; `make help` lists the targets, `fusionnetx --help` the commands.
SHELL  := /bin/bash
RECIPE ?= demo
DATA   ?=
RUN    ?=
COMMIT ?= HEAD
ARGS   ?=
PYTHON ?= python3
VENV   ?= .venv
EXECUTOR ?=

STAMP := $(VENV)/.installed
FNX   := $(VENV)/bin/fusionnetx
# A run that exists knows its recipe: one is named only where it was given, or where no run was.
NAMED  = $(if $(filter file,$(origin RECIPE)),$(if $(RUN),,--recipe $(RECIPE)),--recipe '$(RECIPE)')
CHOICE = --recipe '$(RECIPE)' $(ARGS)
FLAGS  = $(NAMED) $(if $(DATA),--data '$(DATA)') $(if $(RUN),--run '$(RUN)') $(ARGS)
# What looks at a run takes the run alone; the name of its recipe is the name that it has unless it was given one.
OF_RUN = --run '$(or $(RUN),$(basename $(notdir $(RECIPE))))' $(if $(DATA),--data '$(DATA)') $(ARGS)

ifneq ($(EXECUTOR),)
export FUSIONNETX_EXECUTOR := $(EXECUTOR)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo-data check oof tabular submission report weights test lint bench clean

help:  ## list the targets and variables
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo
	@echo "  RECIPE=$(RECIPE)  a shipped recipe or a .toml file       DATA=  folder with the Kaggle files (none: a synthetic cohort)"
	@echo "  RUN=    name of the run folder (default: the recipe)   ARGS=  passed on, for instance ARGS='--set seed=7'"
	@echo "  EXECUTOR=ray  jobs on a Ray cluster (RAY_ADDRESS, else one of this machine; docs/scale.md)"

setup: $(STAMP)  ## make .venv and install everything (about three minutes, once)

# The platform whose packages hashes.txt lists; elsewhere other packages are needed, too.
COVERED = import platform, sys; print("yes" if (sys.platform, platform.machine()) == ("linux", "x86_64") else "no")

$(STAMP): pyproject.toml constraints.txt hashes.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"Python {v[0]}.{v[1]} found; FusionNetX needs 3.11 to 3.13: make setup PYTHON=python3.12")'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (PyTorch alone is several GB; this happens once) ..."
	@if [ "$$($(VENV)/bin/python -c '$(COVERED)')" = yes ]; then \
		$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement hashes.txt; \
	else \
		echo "hashes.txt covers Linux on x86-64 alone: here the versions of constraints.txt are installed, their checksums unchecked"; \
	fi
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: hashes package-audit
hashes: $(STAMP)  ## write hashes.txt anew after a change of constraints.txt or of the dependencies (asks the package index)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@head -1 hashes.txt > hashes.new
	@$(VENV)/bin/python -m uv pip compile pyproject.toml --extra dev --constraint constraints.txt --quiet --no-header --no-annotate \
		--python-version 3.11 --python-platform x86_64-unknown-linux-gnu --generate-hashes >> hashes.new && mv hashes.new hashes.txt

package-audit: $(STAMP)  ## ask for known weaknesses of the packages; says so where the data cannot be reached
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit \
		|| { echo "the audit did not run: pip-audit could not be installed"; exit 2; }
	@said=$$($(VENV)/bin/python -m pip_audit --requirement hashes.txt --disable-pip --require-hashes $(ARGS) 2>&1); code=$$?; \
		if [ $$code -gt 1 ] || grep -qE 'could not be audited|Connection|Max retries' <<< "$$said"; then \
			tail -3 <<< "$$said"; echo "the audit did not run on every package: its data could not be reached"; exit 2; \
		fi; echo "$$said"; exit $$code


.PHONY: data
data: $(STAMP)  ## fetch ISIC 2024 without an account: make data, or make data OUT=folder ARGS='--permissive --part 1/10'
	@$(FNX) data isic2024 $(if $(OUT),--out '$(OUT)') $(ARGS)

.PHONY: init
init: $(STAMP)  ## write a recipe for a table of your own: make init TABLE=clinic.csv IMAGES=photos TARGET=diagnosis
	@$(FNX) init '$(or $(TABLE),$(error name your table: make init TABLE=clinic.csv TARGET=diagnosis))' $(if $(IMAGES),'$(IMAGES)') --target '$(or $(TARGET),$(error name the column with the answer: TARGET=diagnosis))' $(if $(OUT),--out '$(OUT)') $(ARGS)

demo-data: $(STAMP)  ## write the recipe's synthetic cohort in Kaggle's files
	@$(FNX) demo-data $(CHOICE)

check: $(STAMP)  ## validate DATA before any long work
	@$(FNX) check $(if $(DATA),--data '$(DATA)') $(CHOICE)

oof: $(STAMP)  ## stage one: train the image models by fold, write oof/oof.parquet
	@$(FNX) oof $(FLAGS)

tabular: $(STAMP)  ## stage two: features, boosters, out-of-fold blend
	@$(FNX) tabular $(FLAGS)

submission: $(STAMP)  ## run whatever is missing, write submission.csv and say what it scored
	@$(FNX) submission $(FLAGS)

report: $(STAMP)  ## write report.html of a finished run
	@$(FNX) report $(OF_RUN)

.PHONY: plan runs predict
plan: $(STAMP)  ## print the steps of a run as a tree: done, stale and why, missing, seconds
	@$(FNX) plan --run '$(or $(RUN),$(basename $(notdir $(RECIPE))))' $(ARGS)

runs: $(STAMP)  ## list the runs with their scores
	@$(FNX) runs

predict: $(STAMP)  ## predict new patients: make predict RUN=demo TABLE=new.csv IMAGES=new-images OUT=predictions.csv
	@$(FNX) predict --run '$(or $(RUN),$(basename $(notdir $(RECIPE))))' --metadata '$(TABLE)' $(if $(IMAGES),--images '$(IMAGES)') --out '$(or $(OUT),predictions.csv)' $(ARGS)

.PHONY: repeat
repeat: $(STAMP)  ## cross-validate a run again: make repeat ARGS='--splits 3 --seeds 2'
	@$(FNX) repeat $(OF_RUN)

.PHONY: ablation
ablation: $(STAMP)  ## what each part brings: stage two again without it (minutes; image models stay)
	@$(FNX) ablation $(OF_RUN)

.PHONY: evidence
evidence: $(STAMP)  ## what the score rests on and whether it holds elsewhere (ARGS=--all: clinics, worse inputs, too)
	@$(FNX) evidence $(OF_RUN)

.PHONY: explain
explain: $(STAMP)  ## what a run's answer about lesions rests on: make explain RUN=demo LESION="id id"
	@$(FNX) explain $(foreach id,$(LESION),--lesion '$(id)') $(OF_RUN)

.PHONY: page soak
page: $(STAMP)  ## look at a run's patients in a browser, on this machine alone: make page RUN=demo
	@$(FNX) page $(OF_RUN)

soak: $(STAMP)  ## 10,000 requests to the page of RUN, 20 at once, its server killed between (ARGS='--requests 1000')
	@$(VENV)/bin/python -m benchmarks.page_soak '$(or $(RUN),$(basename $(notdir $(RECIPE))))' $(ARGS)

.PHONY: compare
compare: $(STAMP)  ## finished runs side by side (RUNS="a b"), or published systems (RECIPE=ham10000 ARGS=--fast)
	@$(FNX) compare $(if $(RUNS),$(RUNS) $(if $(DATA),--data '$(DATA)') $(ARGS),$(FLAGS))

.PHONY: audit
audit: $(STAMP)  ## look for leaks: exact checks, null test, planted leaks, copies, drift (about ten minutes)
	@$(FNX) audit $(OF_RUN)

.PHONY: faults
faults: $(STAMP)  ## kill a small run at 30 moments, let it go on, compare every byte (15 to 35 minutes)
	@$(FNX) faults --recipe $(RECIPE) $(ARGS)

.PHONY: same-bytes
same-bytes: $(STAMP)  ## run the demo here and at COMMIT, compare every result (two runs; ARGS=--small)
	@$(VENV)/bin/python -m tests.same_bytes '$(COMMIT)' $(ARGS)

.PHONY: verify
verify: $(STAMP)  ## check every byte of a run: what is missing, damaged or stale, and what repairs it
	@$(FNX) verify $(OF_RUN)

.PHONY: bad-input
bad-input: $(STAMP)  ## try every bad input of the tables in tests/bad_input: tried, handled
	@FUSIONNETX_BAD_INPUT=all $(VENV)/bin/python -m pytest -q tests/bad_input --ignore tests/bad_input/test_fuzz.py $(ARGS)

.PHONY: fuzz
fuzz: $(STAMP)  ## damage files at random, INPUTS for each reader (default 5000; about ten minutes)
	@FUSIONNETX_FUZZ=$(or $(INPUTS),5000) $(VENV)/bin/python -m pytest -q tests/bad_input/test_fuzz.py $(ARGS)

.PHONY: attack cache
attack: $(STAMP)  ## damage runs in every way, try every verb on them, ATTEMPTS of them (default 2000; goes on where it stopped)
	@FUSIONNETX_ATTACK=$(or $(ATTEMPTS),2000) FUSIONNETX_ATTACK_SEED=$(or $(SEED),0) $(VENV)/bin/python -m pytest -q tests/attack/test_attack.py -k whole $(ARGS)

cache: $(STAMP)  ## list what the cache holds (ARGS=--clear empties it)
	@$(FNX) cache $(ARGS)

weights: $(STAMP)  ## fetch the pretrained weights a recipe needs into weights/
	@$(FNX) weights $(CHOICE)

test: $(STAMP)  ## run every test this machine can run, and say what was skipped and why
	@# Several processes with a thread for every core would mostly wait for each other, and burn a core while they wait.
	@OMP_NUM_THREADS=$(or $(OMP_NUM_THREADS),1) OMP_WAIT_POLICY=passive $(VENV)/bin/python -m pytest -n 2 --dist worksteal $(ARGS)

.PHONY: test-gpu test-systems
test-gpu: $(STAMP)  ## the tests that need a CUDA device
	@$(VENV)/bin/python -m pytest -m gpu $(ARGS)

test-systems: $(STAMP)  ## the tests of the published systems with their real backbones (many minutes)
	@FUSIONNETX_ALL_SYSTEMS=1 $(VENV)/bin/python -m pytest tests/research/test_systems.py tests/image_models/test_onnx_file.py $(ARGS)

lint: $(STAMP)  ## ruff, mypy --strict and the import contract
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

.PHONY: gpu-check
gpu-check: $(STAMP)  ## check and time stage one on a CUDA device, at most eight minutes: writes gpu_check.json and .md
	@$(VENV)/bin/python -m benchmarks.gpu_check $(ARGS)

bench: $(STAMP)  ## print every benchmark's table (minutes; use a quiet machine)
	@for file in benchmarks/*.py; do echo "== $$file"; $(VENV)/bin/python -m benchmarks.$$(basename $$file .py) $(ARGS) || exit 1; done

.PHONY: kaggle
kaggle: $(STAMP)  ## write kaggle/: models, wheels and notebook of RUN for an offline code competition
	@$(FNX) kaggle $(if $(RUN),--run '$(RUN)') $(ARGS)

clean:  ## remove runs/ and cache/ (asks first); the environment stays
	@read -p "remove runs/ and cache/? [y/N] " answer && [ "$$answer" = y ] && rm -rf runs cache || echo "kept"
