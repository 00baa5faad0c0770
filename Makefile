# Each target builds its own virtual environment: a fresh clone and python3 are all it takes.
PYTHON ?= python3
# Further packages for the tests, such as torch==2.13.0, whose checks are skipped without them.
WITH ?=

.PHONY: demo test clean

demo: .venv-demo/ready
	.venv-demo/bin/python examples/train_digits.py

test: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/pytest

.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test]' $(WITH)
	touch $@

clean:
	rm -rf .venv .venv-demo
