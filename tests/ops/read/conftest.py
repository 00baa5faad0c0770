"""A file of h5py with datasets of every kind."""

import h5py
import pytest

from tests.ops.read.stored import N, X


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as made:
        made.create_dataset("plain", data=X, chunks=(10, 3, 2))
        made.create_dataset("gzip", data=X, chunks=(10, 3, 2), compression="gzip")
        made.create_dataset("tiles", data=X, chunks=(10, 2, 1))
        made.create_dataset("flat", data=X)
        made.create_dataset("bool", data=X % 2 == 0, chunks=(7, 3, 2))
        made.create_dataset("big", data=X.astype(">f4"), chunks=(7, 3, 2))
        some = made.create_dataset("some", X.shape, X.dtype, chunks=(10, 3, 2), fillvalue=-1)
        some[20:30] = X[20:30]
        made["nothing"] = X[:0]
        made["none"] = h5py.Empty("f")
        made["single"] = 5
        made["words"] = [f"word {i}" for i in range(N)]
    with h5py.File(tmp_path / "data.h5", "r") as opened:
        yield opened
