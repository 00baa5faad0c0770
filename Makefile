# Each target builds its own virtual environment: a fresh clone and python3 are all it takes.
PYTHON ?= python3
# Further packages for the tests, such as `WITH="-r requirements/torch.txt"`, whose checks are skipped without them.
WITH ?=
# The minutes that `make fuzz` and `make soak` take.
MINUTES ?= 1

PIP = bin/pip --quiet --disable-pip-version-check

.PHONY: demo test check test-slow test-hosts test-oldest test-latest fuzz soak lock clean

demo: .venv-demo/ready
	.venv-demo/bin/python examples/train_digits.py

# The complete suite but for clusters and benchmarks, on two cores, with the packages of requirements/test.txt.
test: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pytest README.md
	.venv/bin/pytest $(IN_PARALLEL) $(SLOW:%=--ignore=%)

# Everything that CI runs.
check: test test-slow soak test-hosts test-oldest

# Clusters, and whether the benchmarks run.
test-slow: .venv/ready
	.venv/bin/pytest $(SLOW)

# The README runs by itself: its blocks share names, and a parallel run may divide a file among the workers.
IN_PARALLEL = tests batchup -n 2 --dist worksteal
SLOW = tests/test_benchmarks.py tests/work_pool/test_clusters.py

# Training loops of other libraries: PyTorch, Lightning, Accelerate, Keras, JAX, in an environment of their own.
test-hosts: .venv-hosts/ready
	$(PYTEST_HOSTS) $(IN_JAX)  # alone: workers of a DataLoader are forks, and a fork of JAX's threads may hang
	KERAS_BACKEND=torch $(PYTEST_HOSTS) tests/hosts batchup/hosts docs/hosts.md $(IN_JAX:%=--ignore=%)

PYTEST_HOSTS = .venv-hosts/bin/pytest -o addopts="--strict-markers --strict-config --doctest-modules"
IN_JAX = tests/hosts/test_sources.py tests/hosts/test_tensors.py batchup/ops/batch/to_jax.py batchup/ops/batch/to_torch.py

# The suite with the lowest versions that pyproject.toml admits, and with the newest. With the lowest, tests that don't
# depend on them are left out, of types and benchmarks, and there are fewer generated examples.
test-oldest: .venv-oldest/ready
	.venv-oldest/bin/pytest README.md
	HYPOTHESIS_PROFILE=few .venv-oldest/bin/pytest $(IN_PARALLEL) --ignore=tests/test_types.py $(SLOW:%=--ignore=%)
	.venv-oldest/bin/pytest tests/work_pool/test_clusters.py

test-latest: .venv-latest/ready
	.venv-latest/bin/pytest

# Look for new examples that break a law, for this many MINUTES.
fuzz: .venv/ready
	.venv/bin/python tests/fuzz.py $(MINUTES)

# Faults of pools at random, for this many MINUTES.
soak: .venv/ready
	.venv/bin/python -W error benchmarks/soak.py --minutes $(MINUTES)

# Renew the versions that `make test` and `make test-oldest` install; CONTRIBUTING says when.
lock: .venv-lock/ready
	rm -f requirements/test.txt requirements/oldest.txt
	.venv-lock/bin/$(LOCK) -o requirements/test.txt
	.venv-lock/bin/$(LOCK) -o requirements/oldest.txt --resolution lowest-direct

LOCK = uv pip compile pyproject.toml --extra test --quiet --universal --python-version 3.11 \
	--no-emit-index-url --custom-compile-command "make lock"

.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/$(PIP) install --editable .
	touch $@

.venv/ready: requirements/test.txt
.venv-oldest/ready: requirements/oldest.txt
.venv-hosts/ready: requirements/hosts.txt
.venv/ready .venv-oldest/ready .venv-hosts/ready: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/$(PIP) install -r $(filter %.txt,$^) $(WITH)
	$(@D)/$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

.venv-latest/ready: pyproject.toml
	rm -rf .venv-latest
	$(PYTHON) -m venv .venv-latest
	.venv-latest/$(PIP) install --editable '.[test]' $(WITH)
	touch $@

.venv-lock/ready:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/$(PIP) install uv
	touch $@

clean:
	rm -rf .venv .venv-demo .venv-hosts .venv-oldest .venv-latest .venv-lock
