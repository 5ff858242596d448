VENV := .venv
PY := $(VENV)/bin/python
PYTHON ?= python3.11
MINUTES ?= 5
ROUNDS ?= 5

.PHONY: test coverage check demo docs bench guards soak lowest clean

$(VENV)/.%: pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet -e ".[$*]"
	touch $@

test: $(VENV)/.test
	$(PY) -m pytest -n 2 --dist worksteal

# A third more time than without.
coverage: $(VENV)/.test
	$(PY) -m pytest -n 2 --dist worksteal --cov --cov-report=term

# Four faults and a rival at every step, also where there are parts: some ten minutes.
.PHONY: explore
explore: $(VENV)/.test
	GUARDED_S3_EXPLORE=all $(PY) -m pytest -n 2 --dist worksteal tests/explore/test_explore.py

check: $(VENV)/.test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

demo: $(VENV)/.demo
	$(PY) -m fsspec_guarded_s3 demo

# The pages are in site/. The variable silences an advertisement of mkdocs-material, not a warning about our pages.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

bench: $(VENV)/.bench
	$(PY) -m benchmarks --rounds $(ROUNDS) --json figures.json --plot docs/benchmarks.png --readme README.md

guards: $(VENV)/.test $(VENV)/.bench
	$(PY) -m tests.guards --readme README.md

soak: $(VENV)/.test
	$(PY) -m tests.soak --minutes $(MINUTES)

# The oldest versions that pyproject.toml allows. The tests named test_fake_* judge the tests' own server by
# boto3, whose oldest version does not know conditional writes.
lowest:
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet -e ".[test]" -c constraints-lowest.txt
	.venv-lowest/bin/python -m pytest -n 2 -q -k "not test_fake_"

clean:
	rm -rf $(VENV) .venv-lowest build site *.egg-info
