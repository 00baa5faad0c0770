"""Writes a checkpoint of every stage, and of loaders, as files: `python -m tests.checkpoints.write DIRECTORY [hosts]`.

Run it once for each version of the checkpoint format, into a directory named after the version, and never change
the files afterwards: `tests/core/test_checkpoint.py` loads all of them, and those of `hosts`, which need PyTorch and JAX,
`tests/hosts/test_tensors.py`. A file has the checkpoint after three items, and a hash of the five items that come next.
"""

import hashlib
import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np

from batchup.testing import plain
from tests.checkpoints.streams import LOADERS, OF_HOSTS, STREAMS

RECEIVED, NEXT = 3, 5


def digest(items):
    """A hash of the next items, as lists."""
    return hashlib.sha1(repr([plain(item) for item in islice(items, NEXT)]).encode()).hexdigest()


def write(directory, streams, loaders):
    directory.mkdir(parents=True, exist_ok=True)
    for name, make in streams.items():
        items = iter(make(np.random.RandomState(0)))
        list(islice(items, RECEIVED))
        _write(directory / f"{name}.json", items.state_dict(), digest(items))
    for name, make in loaders.items():
        loader = make(np.random.RandomState(0))
        list(loader)
        items = iter(loader)
        list(islice(items, RECEIVED))
        _write(directory / f"loader_{name}.json", loader.state_dict(), digest(items))


def _write(file, state, then):
    file.write_text(json.dumps({"state": state, "next": then}) + "\n")


if __name__ == "__main__":
    if sys.argv[2:] == ["hosts"]:
        write(Path(sys.argv[1]), OF_HOSTS, {})
    else:
        write(Path(sys.argv[1]), STREAMS, LOADERS)
