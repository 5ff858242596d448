VENV := .venv
PY := $(VENV)/bin/python
PYTHON ?= python3.11

.PHONY: test check demo bench clean

$(VENV)/.%: pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet -e ".[$*]"
	touch $@

test: $(VENV)/.test
	$(PY) -m pytest --cov --cov-report=term

check: $(VENV)/.test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

demo: $(VENV)/.demo
	$(PY) -m fsspec_guarded_s3._cli demo

bench: $(VENV)/.bench
	$(PY) -m benchmarks

clean:
	rm -rf $(VENV) build *.egg-info
