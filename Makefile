# MISC: `make demo` and `make test` do all their own set-up in .venv.
PYTHON ?= python3
BIN := .venv/bin
PHOTO ?=
MINUTES ?= 10
SEED ?= 1
N ?= 200
ONLY ?=
PHOTOS ?= kodak
CODECS ?= misc:dlsvc,misc:micro,misc:text,misc:text+map,misc:pixel,misc:misc,rivals
RATES ?= 0.003..0.05:6
METRICS ?= psnr,ssim,ms_ssim,st_lpips,vit_patch,vit_mean,clip,clip_text

.PHONY: help demo results test fuzz kills lint docs man wheel clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 13) else "MISC needs Python 3.11 or 3.12: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[train,eval,dev]'
	touch $@

demo: .venv/ready ## compress a photo, draw it again in another process, show both (PHOTO=file for your own)
	$(BIN)/python -m misc.eval.demo --out demo $(if $(PHOTO),--photo '$(PHOTO)')

# A photo that a mode cannot code (text+map where the text names nothing) makes an exit code, but not the figures worthless.
results: .venv/ready ## figures of the embedded profile and its rivals: docs/results and the README's tables (PHOTOS=folder of Kodak)
	-$(BIN)/misc eval run '$(PHOTOS)' --out build/results --codecs '$(CODECS)' --bpp '$(RATES)' --metrics '$(METRICS)' --published docs/results/published.csv
	$(BIN)/misc eval publish build/results docs/results README.md

test: .venv/ready ## all tests, and the checks of `make lint`
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

fuzz: .venv/ready ## mutated input for everything that reads files (MINUTES=10 SEED=1)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED)

kills: .venv/ready ## kill encode, decode, batch and pull at random moments and look for half files and litter (N=200 SEED=1 ONLY=batch)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.kills --kills $(N) --seed $(SEED) --only '$(ONLY)'

lint: .venv/ready ## ruff, mypy and the layer contract
	$(BIN)/python -m pytest tests/test_project.py

docs: .venv/docs ## the documentation site, in build/site; a broken link or an example that is not there is an error
	$(BIN)/python -m mkdocs build --strict --quiet --site-dir build/site

.venv/docs: .venv/ready
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

man: .venv/ready ## the man page from the commands themselves, docs/misc.1, which the wheel carries
	$(BIN)/python -m misc.cli.man > docs/misc.1

wheel: .venv/ready ## wheel and source distribution, in build/dist
	$(BIN)/python -m build --outdir build/dist

clean: ## remove what the other targets made
	rm -rf .venv build demo *.egg-info
