VENV := .venv
BIN := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
PY := $(VENV)/$(BIN)/python
PYTHON ?= python3.11
MINUTES ?= 5
ROUNDS ?= 5

.DEFAULT_GOAL := help
.PHONY: help test coverage check demo docs bench guards soak lowest stores aws clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' $(MAKEFILE_LIST) | sed 's/^/make /'

$(VENV)/.%: pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet -e ".[$*]"
	touch $@

# Two stores that the tests run on are built once, into ~/.cache: ministack by pip, versitygw by Go in some minutes.
test: $(VENV)/.test  ## all tests
	$(PY) -m tests.real_stores --fetch ministack versitygw
	$(PY) -m pytest -n 2 --dist worksteal

# A third more time than without.
coverage: $(VENV)/.test  ## all tests, and which lines they run
	$(PY) -m pytest -n 2 --dist worksteal --cov --cov-report=term

# Four faults and a rival at every step, also where there are parts: some ten minutes.
.PHONY: explore
explore: $(VENV)/.test  ## every placement of up to four faults
	GUARDED_S3_EXPLORE=all $(PY) -m pytest -n 2 --dist worksteal tests/explore/test_explore.py

check: $(VENV)/.test  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --platform linux
	$(PY) -m mypy --platform darwin
	$(PY) -m mypy --platform win32

demo: $(VENV)/.demo  ## each guarantee with its evidence, on a store that it starts
	$(PY) -m fsspec_guarded_s3 demo

# The pages are in site/. The variable silences an advertisement of mkdocs-material, not a warning about our pages.
docs: $(VENV)/.docs  ## the pages of docs/, in site/
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

bench: $(VENV)/.bench  ## measure beside other filesystems (ROUNDS=5)
	$(PY) -m benchmarks --rounds $(ROUNDS) --json figures.json --plot docs/benchmarks.png \
		--tables docs/benchmarks.md --readme README.md

guards: $(VENV)/.test $(VENV)/.bench  ## compare under faults with other filesystems
	$(PY) -m tests.guards --tables docs/guards.md --readme README.md

# First builds take from minutes to half an hour. What happened goes to docs/stores.md. Ceph is installed by
# apt-get, as root on Debian alone.
stores: $(VENV)/.test  ## try real stores, each in a process of its own (STORE=versitygw: that one)
	$(PY) -m tests.real_stores $(STORE)

# On AWS, or where AWS_ENDPOINT_URL says: make aws BUCKET=my-bucket [VERSIONED=another] [DIRECTORY=a--use1-az4--x-s3]
# [WRITES=20000] [GIB=5] [YES=1]; CLEAN=gs3-check-... removes what a killed run left.
aws: $(VENV)/.test  ## the same on a bucket of yours (BUCKET=...); it asks first, and says what it costs
	@$(PY) -m tests.real_stores.aws --bucket "$(BUCKET)" --versioned "$(VERSIONED)" --directory "$(DIRECTORY)" \
	  $(if $(WRITES),--writes $(WRITES)) $(if $(GIB),--gib $(GIB)) $(if $(YES),--yes) $(if $(CLEAN),--clean $(CLEAN))

# Releases of these projects go to ~/.cache, with an environment of their own: the first time takes ten minutes.
.PHONY: outside
outside: $(VENV)/.test  ## the tests of s3fs, pandas, dask and others with our filesystem (SUITE=s3fs: that one)
	$(PY) -m tests.outside $(if $(SUITE),$(SUITE),--write)

soak: $(VENV)/.test  ## everything at once under random faults (MINUTES=5)
	$(PY) -m tests.soak --minutes $(MINUTES)

# What must hold on every system: the other tests use pipes, signals, forks and links as they like.
SYSTEMS := tests/test_systems.py tests/fs/test_local_names.py tests/integration/test_contract.py \
  tests/read/test_downloads.py tests/http/test_transport.py tests/http/test_response.py tests/cli/test_cli.py
.PHONY: systems
systems: $(VENV)/.test  ## what must hold on every system, Windows too
	$(PY) -m pytest -n 2 $(SYSTEMS)

# For Pythons that not all packages of the other tests are made for: PyPy, CPython without its lock. trustme needs
# cffi, which some of them refuse: without it the tests of TLS are skipped, and say so.
SMALL := tests/test_free_threading.py tests/http/test_timed_socket.py tests/http/test_response.py \
  tests/http/test_transport.py tests/read/test_downloads.py tests/read/test_slices.py tests/values/test_bodies.py \
  tests/test_systems.py tests/write/test_dropped.py tests/write/test_endings.py
.PHONY: small
small:  ## the tests that need few packages
	test -x .venv-small/$(BIN)/python || $(PYTHON) -m venv .venv-small
	.venv-small/$(BIN)/python -m pip install --quiet --prefer-binary -e . pytest pytest-timeout hypothesis
	-.venv-small/$(BIN)/python -m pip install --quiet --only-binary :all: trustme
	.venv-small/$(BIN)/python -m pytest -q -k "not all_works" $(SMALL)

# The oldest versions that pyproject.toml allows. The tests named test_fake_* judge the tests' own server by
# boto3, whose oldest version does not know conditional writes.
lowest:  ## all tests with the oldest dependencies allowed
	test -x .venv-lowest/$(BIN)/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/$(BIN)/python -m pip install --quiet -e ".[test]" -c constraints-lowest.txt
	.venv-lowest/$(BIN)/python -m pytest -n 2 --dist worksteal -q -k "not test_fake_"

# The wheel runs the README's lines in an environment of its own, the source distribution some of its tests.
.PHONY: package
package: $(VENV)/.test  ## the wheel and the source distribution: built, checked, installed, tried
	$(PY) -m pip install --quiet build twine
	rm -rf dist build/package && mkdir -p build/package
	$(PY) -m build --quiet --outdir dist
	$(PY) -m twine check --strict dist/*
	$(PYTHON) -m venv build/package/venv
	build/package/venv/$(BIN)/python -m pip install --quiet dist/*.whl 'moto[server,s3]' pandas pyarrow
	cd build/package && venv/$(BIN)/python -P ../../tests/documents.py ../../README.md
	tar -xzf dist/*.tar.gz -C build/package
	cd build/package/fsspec_guarded_s3-*/ && ../../../$(PY) -m pytest -q tests/test_readme.py tests/test_documents.py \
	  tests/test_layers.py tests/integration/test_contract.py

clean:  ## remove what the other targets made
	rm -rf $(VENV) .venv-lowest .venv-small build dist site *.egg-info
