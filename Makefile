# Each target builds its own virtual environment: a fresh clone and python3 are all it takes.
PYTHON ?= python3
# An environment for each version: `make test PYTHON=python3.13` builds .venv-python3.13.
V := $(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
# Further packages for the tests, such as `WITH="-r requirements/torch.txt"`, whose checks are skipped without them.
WITH ?=
# Files of tests that `make test` leaves out.
WITHOUT ?=
# The minutes that `make fuzz` and `make soak` take.
MINUTES ?= 1

PIP = bin/pip --quiet --disable-pip-version-check

.PHONY: demo docs test check test-slow test-hosts test-oldest test-oldest-clusters test-latest test-memory test-wheel fuzz soak lock clean

demo: .venv-demo$V/ready
	.venv-demo$V/bin/python examples/train_digits.py

# The documentation, in docs/_build/html. A warning is an error: of a link that leads nowhere, say.
docs: .venv$V/ready
	.venv$V/bin/sphinx-build -W --keep-going --quiet docs docs/_build/html
	@echo docs/_build/html/index.html

# The complete suite but for clusters and benchmarks, on two cores, with the packages of requirements/test.txt.
test: .venv$V/ready
	.venv$V/bin/ruff check .
	.venv$V/bin/ruff format --check .
	.venv$V/bin/pytest $(PAGES)
	.venv$V/bin/pytest $(IN_PARALLEL) $(SLOW:%=--ignore=%) $(WITHOUT:%=--ignore=%)

# Everything that CI runs.
check: test test-slow soak test-hosts test-oldest test-oldest-clusters test-wheel docs

# Clusters, and whether the benchmarks run.
test-slow: .venv$V/ready
	.venv$V/bin/pytest $(SLOW)
	.venv$V/bin/pytest $(PAGES_OF_CLUSTERS)  # in a process of its own: Ray may crash one that has had several clusters

# Pages run by themselves: the blocks of a page share names, and a parallel run may divide a page among the workers.
PAGES = README.md CONTRIBUTING.md docs $(addprefix --ignore=,$(PAGES_OF_CLUSTERS) $(PAGES_OF_HOSTS))
PAGES_OF_CLUSTERS = docs/guides/clusters.md
PAGES_OF_HOSTS = docs/hosts.md docs/guides/photos.md $(addprefix docs/coming_from/,pytorch.md torchdata.md hugging_face.md)
IN_PARALLEL = tests batchup -n 2 --dist worksteal
# What doesn't depend on the versions of packages.
OF_THE_CODE = $(addprefix tests/,test_types.py test_docs.py test_docstrings.py work_pool/test_faults.py work_pool/test_pool_faults.py)
SLOW = tests/test_benchmarks.py tests/work_pool/test_clusters.py batchup/work_pool/dask.py batchup/work_pool/ray.py

# Training loops of other libraries: PyTorch, Lightning, Accelerate, Keras, JAX, in an environment of their own.
test-hosts: .venv-hosts$V/ready
	$(PYTEST_HOSTS) $(IN_JAX)  # alone: workers of a DataLoader are forks, and a fork of JAX's threads may hang
	KERAS_BACKEND=torch $(PYTEST_HOSTS) tests/hosts batchup/hosts $(PAGES_OF_HOSTS) $(IN_JAX:%=--ignore=%)

PYTEST_HOSTS = .venv-hosts$V/bin/pytest -o addopts="--strict-markers --strict-config --doctest-modules"
IN_JAX = tests/hosts/test_sources.py tests/hosts/test_tensors.py batchup/ops/batch/to_jax.py batchup/ops/batch/to_torch.py

# The suite with the lowest versions that pyproject.toml admits, and with the newest. With the lowest, tests that don't
# depend on them are left out, of types, documentation, killed workers and benchmarks, and there are fewer generated
# examples.
test-oldest: .venv-oldest$V/ready
	.venv-oldest$V/bin/pytest $(PAGES)
	HYPOTHESIS_PROFILE=few .venv-oldest$V/bin/pytest $(IN_PARALLEL) $(addprefix --ignore=,$(OF_THE_CODE) $(SLOW))

test-oldest-clusters: .venv-oldest$V/ready
	.venv-oldest$V/bin/pytest tests/work_pool/test_clusters.py

test-latest: .venv-latest$V/ready
	.venv-latest$V/bin/pytest $(PAGES)
	.venv-latest$V/bin/pytest tests batchup

# The suite with memory of every size used again, and overwritten as soon as nothing refers to a batch.
test-memory: .venv$V/ready
	BATCHUP_REUSE=check .venv$V/bin/pytest $(IN_PARALLEL) $(SLOW:%=--ignore=%)

# The README's first loop, with a built wheel and nothing else installed.
test-wheel: .venv-wheel$V/ready
	cd .venv-wheel$V && bin/python -W error ../tests/first_loop.py ../README.md

# Look for new examples that break a law, for this many MINUTES.
fuzz: .venv$V/ready
	.venv$V/bin/python tests/fuzz.py $(MINUTES)

# Faults of pools at random, for this many MINUTES.
soak: .venv$V/ready
	.venv$V/bin/python -W error benchmarks/soak.py --minutes $(MINUTES)

# Renew the versions that `make test` and `make test-oldest` install; CONTRIBUTING says when.
lock: .venv-lock/ready
	rm -f $(addprefix requirements/,test.txt oldest.txt)
	.venv-lock/bin/$(LOCK) --extra test -o requirements/test.txt
	.venv-lock/bin/$(LOCK) --extra test -o requirements/oldest.txt --resolution lowest-direct

LOCK = uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--no-emit-index-url --custom-compile-command "make lock"

.venv-demo$V/ready: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/$(PIP) install --editable .
	touch $@

.venv$V/ready: requirements/test.txt
.venv-oldest$V/ready: requirements/oldest.txt
.venv-hosts$V/ready: requirements/hosts.txt
.venv$V/ready .venv-oldest$V/ready .venv-hosts$V/ready: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/$(PIP) install -r $(filter %.txt,$^) $(WITH)
	$(@D)/$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

.venv-latest$V/ready: pyproject.toml
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/$(PIP) install --editable '.[test]' $(WITH)
	touch $@

.venv-wheel$V/ready: pyproject.toml $(shell find batchup -type f ! -name '*.pyc')
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/$(PIP) wheel --no-deps --wheel-dir $(@D)/dist .
	$(@D)/$(PIP) install $(@D)/dist/*.whl
	touch $@

.venv-lock/ready:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/$(PIP) install uv
	touch $@

clean:
	rm -rf .venv .venv-* docs/_build
