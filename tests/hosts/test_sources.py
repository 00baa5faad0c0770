"""Data that is in other packages' types: read at once as NumPy's, or refused with what to write."""

import datetime
import pickle

import datasets
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource, SampleDataSource
from batchup.testing import plain

X = np.arange(40, dtype=np.float32).reshape(20, 2)
Y = np.arange(20)
NAMES = np.array([f"name {n}" for n in range(20)], dtype=object)
DATES = np.array([np.datetime64("2026-01-01") + n for n in range(20)]).astype("M8[us]")
COLUMNS = {"x": X[:, 0].astype(np.float64), "y": Y, "name": NAMES, "day": DATES, "even": Y % 2 == 0}


def batches(*arrays, **named):
    return ops.indices(20) | ops.shuffle(7) | ops.chunk(6) | ops.gather(*arrays, **named)


def only_numpy(batch):
    for part in batch.values() if isinstance(batch, dict) else batch:
        if isinstance(part, tuple | dict):
            only_numpy(part)
        else:
            assert type(part) is np.ndarray
            assert part.flags.writeable


# --- tensors


@pytest.mark.parametrize("kind", ["torch", "jax"])
@pytest.mark.parametrize("shuffle", [None, 7])
def test_tensors_are_read_as_arrays_without_a_copy(kind, shuffle):
    make = torch.from_numpy if kind == "torch" else jnp.asarray
    tensors = [make(X.copy()), make(Y.astype(np.int32))]
    stream = ops.indices(20) | ops.shuffle(shuffle) | ops.chunk(6) | ops.gather(*tensors)
    expected = ops.indices(20) | ops.shuffle(shuffle) | ops.chunk(6) | ops.gather(X, Y.astype(np.int32))
    for batch, same in zip(stream, expected, strict=True):
        only_numpy(batch)
        assert [part.dtype for part in batch] == [np.float32, np.int32]
        assert plain(batch) == plain(same)
        batch[0][:] = -1
    assert [plain(b) for b in stream] == [plain(b) for b in expected]
    assert repr(stream) == repr(expected)
    held = stream.steps[0].arrays[0]
    assert np.shares_memory(held, np.asarray(tensors[0]))
    assert next(ArrayDataSource(tensors).batch_iterator(3))[0].shape == (3, 2)


def test_what_is_no_array_among_tensors():
    for tensor, why in (
        (torch.zeros(3, dtype=torch.complex32), "ComplexHalf"),
        (torch.zeros(3, 2).to_sparse(), r"<3x2 float32> on cpu"),
        (torch.zeros(3, device="meta"), r"on meta: .*Write tensor.cpu\(\), or tensor.float\(\)"),
    ):
        with pytest.raises(TypeError, match=f"gather: array 0: expected a dense tensor on the CPU.*{why}"):
            ops.gather(tensor)
    for single in (torch.tensor(3), jnp.asarray(3)):
        with pytest.raises(TypeError, match=r"expected an array, or anything .* and one axis at least; got a"):
            ops.gather(single)
    assert ops.gather(torch.nn.Parameter(torch.zeros(3)))


def test_a_tensor_as_a_source_is_shared_with_workers():
    big = torch.zeros(1000, 1000)
    with work_pool.WorkerProcessPool(1) as pool:
        stream = ops.indices(1000) | ops.chunk(400) | ops.gather(big, Y.repeat(50))
        parallel = stream | ops.parallel(pool)
        [packed] = [parallel.plan.workers.job.packed]
        assert len(packed) < 10_000
        assert [len(x) for x, _ in parallel] == [400, 400, 200]


@pytest.mark.parametrize("kind", ["tensor", "table"])
def test_a_data_source_of_what_is_not_numpys_is_shared_once(kind):
    big = torch.zeros(1000, 1000) if kind == "tensor" else pd.DataFrame({"a": np.zeros(1_000_000)})
    ds = ArrayDataSource([big])
    with work_pool.WorkerProcessPool(1) as pool:
        sizes = [segment.size for segment in pool.parallel_data_source(ds)._pool.job.segments]
        assert sizes == [4_000_000 if kind == "tensor" else 8_000_000]
    assert ds.data == [big] if kind == "tensor" else ds.data[0] is big


def test_tensors_come_back_from_workers_without_being_pickled():
    from batchup.work_pool.pickling import dumps

    tensors = [
        torch.arange(100_000, dtype=torch.float32).reshape(100, 1000),
        torch.arange(100_000).to(torch.bfloat16)[::2],
        torch.zeros(1000, 1000)[:, 3],
        torch.tensor(5.0),
        torch.zeros(0, 3),
    ]
    for tensor in tensors:
        buffers = []
        packed = dumps((tensor, "beside"), buffers.append)
        again, beside = pickle.loads(packed, buffers=buffers)
        assert len(packed) < 1000
        assert beside == "beside"
        assert torch.equal(again, tensor)
        assert (again.dtype, again.shape) == (tensor.dtype, tensor.shape)
    grown = torch.ones(3, requires_grad=True)
    for other in (grown, torch.nn.Parameter(torch.zeros(3)), torch.zeros(3, 3).to_sparse()):
        again = pickle.loads(dumps(other))
        assert type(again) is type(other)
        assert again.requires_grad == other.requires_grad
        assert torch.equal(again.to_dense(), other.to_dense())

    def tensors_of(x, y):
        return {"x": torch.from_numpy(x) * 2, "y": (torch.from_numpy(y), "text")}

    with work_pool.WorkerProcessPool(2) as pool:
        stream = batches(X, Y) | ops.map(tensors_of)
        for one, other in zip(stream, stream | ops.parallel(pool), strict=True):
            assert torch.equal(one["x"], other["x"])
            assert torch.equal(one["y"][0], other["y"][0])
            other["x"].zero_()


# --- tables


def tables():
    frame = pd.DataFrame(COLUMNS, index=np.arange(20)[::-1])
    yield "pandas", frame
    yield "polars", pl.DataFrame({name: column.tolist() for name, column in COLUMNS.items()})
    table = pa.table({name: pa.array(column.tolist()) for name, column in COLUMNS.items()})
    yield "arrow", table
    yield "arrow, in chunks", pa.concat_tables([table.slice(0, 7), table.slice(7)])
    yield "a record batch", table.to_batches()[0]


@pytest.mark.parametrize("kind", dict(tables()))
def test_rows_of_tables_by_position_and_columns_by_name(kind):
    table = dict(tables())[kind]
    order = ops.indices(20) | ops.shuffle(7) | ops.chunk(6)
    for block, (rows, y) in zip(order, batches(table, Y), strict=True):
        assert list(rows) == list(COLUMNS)
        only_numpy(rows)
        assert (y == block).all()
        for name, column in rows.items():
            assert column.tolist() == COLUMNS[name][block].tolist()
    in_order = next(iter(ops.indices(20) | ops.chunk(6) | ops.gather(rows=table)))
    assert in_order["rows"]["y"].tolist() == [0, 1, 2, 3, 4, 5]
    with work_pool.WorkerProcessPool(1) as pool:
        parallel = batches(table, Y) | ops.parallel(pool)
        assert [plain(b) for b in parallel] == [plain(b) for b in batches(table, Y)]
    assert len(ArrayDataSource([table, Y]).loader(6)) == 4


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_columns_by_themselves(kind):
    table = dict(tables())[kind]
    for name in COLUMNS:
        column = table.column(name) if kind == "arrow" else table[name]
        [(batch,)] = ops.indices([3, 1]) | ops.gather(column)
        assert batch.tolist() == COLUMNS[name][[3, 1]].tolist()
    [(batch,)] = ops.indices([3, 1]) | ops.gather(pa.array([1, 2, 3, 4]))
    assert batch.tolist() == [4, 2]


def test_tables_with_holes_and_lists_are_refused():
    holes = {"a": [1, None, 3]}
    for table in (pl.DataFrame(holes), pa.table(holes), pd.DataFrame(holes, dtype="Int64")):
        with pytest.raises(ValueError, match="array 0: column 'a': expected no missing values; there are 1"):
            ops.gather(table)
    [(rows,)] = ops.indices(3) | ops.gather(pd.DataFrame({"a": [1.0, np.nan, 3.0]}))
    assert np.isnan(rows["a"]).tolist() == [False, True, False]
    lists = {"a": [[1], [1, 2], [3]]}
    for table in (pl.DataFrame(lists), pa.table(lists), pd.DataFrame(lists)):
        [(rows,)] = ops.indices([2, 1]) | ops.gather(table)
        assert rows["a"].tolist() == [[3], [1, 2]]
    with pytest.raises(ValueError, match="column 'a': expected no missing values; there are 1"):
        ops.gather(pl.DataFrame({"a": [[1], [None]]}))
    with pytest.raises(ValueError, match="expected each name of a column once; 'a' is there twice"):
        ops.gather(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(TypeError, match="expected names of columns that are strings; got 0"):
        ops.gather(pd.DataFrame([[1, 2]]))
    with pytest.raises(TypeError, match="ArrayDataSource: expected a list of arrays"):
        ArrayDataSource(pd.DataFrame({"a": [1]}))
    with pytest.raises(ValueError, match="expected arrays of one length; array 0 has 3, array 1 has 20"):
        ops.gather(pd.DataFrame({"a": [1, 2, 3]}), Y)
    with pytest.raises(TypeError, match=r"expected a dataset .*got <DataFrame of 1>, whose columns gather"):
        SampleDataSource(pd.DataFrame({"a": [1]}))


# --- Hugging Face


def hugging(**columns):
    return datasets.Dataset.from_dict(columns)


@pytest.mark.parametrize("of", [None, "torch", "pandas"])
def test_rows_of_a_hugging_face_dataset(of):
    dataset = hugging(x=X.tolist(), y=Y.tolist(), name=NAMES.tolist()).shuffle(seed=1)
    order = np.array(dataset["y"])
    if of is not None:
        dataset = dataset.with_format(of)
    stream = batches(dataset, include_indices=True)
    for block, rows in stream:
        only_numpy((block, {name: part for name, part in rows.items() if name != "x"}))
        assert (rows["y"] == order[block]).all()
        assert rows["x"].tolist() == X[order[block]].tolist()
        assert rows["name"].tolist() == NAMES[order[block]].tolist()
    empty = next(iter(ops.indices(3) | ops.shard(3, 4) | ops.gather(dataset)))[0]
    assert (empty["x"].shape, empty["y"].dtype) == ((0, "*"), np.int64)
    with work_pool.WorkerProcessPool(1) as pool:
        assert [plain(b) for b in stream | ops.parallel(pool)] == [plain(b) for b in stream]
    some = batches(dataset.with_format(of, columns=["y"]))
    assert [list(rows) for (rows,) in some] == [["y"]] * 4


def test_hugging_face_datasets_that_make_no_arrays():
    ragged = hugging(ids=[[1]] * 19 + [[1, 2]])
    for holes in (hugging(y=[1] * 19 + [None]), hugging(y=[[1]] * 19 + [[None]]), hugging(y=[1.0] * 19 + [None])):
        with pytest.raises(ValueError, match="column 'y': expected no missing values; there are 1"):
            batches(holes)
        [(rows,)] = ops.indices(19) | ops.gather(holes.select(range(19)))  # the rows that have all values
        assert len(rows["y"]) == 19
    changed = hugging(y=[1] * 20).with_transform(lambda rows: rows)
    with pytest.raises(TypeError, match=r"expected a dataset without a transform; give one with it to samples"):
        ops.gather(changed)
    with pytest.raises(TypeError, match=r"give one of its parts, dataset\['train'\]"):
        ops.samples(datasets.DatasetDict(train=ragged))
    with pytest.raises(TypeError, match="expected an array"):
        ops.gather(datasets.DatasetDict(train=ragged))


def test_windows_of_record_batches_read_each_row_once():
    parts = [hugging(x=X[a:b].tolist(), y=Y[a:b].tolist()) for a, b in ((0, 8), (8, 9), (9, 20))]
    dataset = datasets.concatenate_datasets(parts)
    for source in (dataset, dataset.shuffle(seed=1)):
        ds = ArrayDataSource([source, np.array(source["y"][:])])
        expected = list(map(plain, ds.stream(4, shuffle=3, window=2)))
        assert sorted(y for _, labels in expected for y in labels) == Y.tolist()
        assert all(rows["y"] == labels for rows, labels in expected)
        with work_pool.WorkerProcessPool(1) as pool:
            assert list(map(plain, ds.loader(4, shuffle=3, window=2, pool=pool))) == expected
    in_order = [rows for (rows,) in ops.indices(20) | ops.chunk(6) | ops.gather(dataset)]
    assert np.concatenate([rows["y"] for rows in in_order]).tolist() == Y.tolist()
    assert all(rows["y"].flags.writeable for rows in in_order)


def test_lists_of_a_dataset_as_ragged():
    lists = [list(range(i % 5)) for i in range(20)]
    dataset = hugging(ids=lists, y=Y.tolist())
    ragged = ops.Ragged.from_arrow(dataset["ids"])
    assert ragged.tolist() == lists
    assert ragged.values.ctypes.data == dataset.data["ids"].chunk(0).values.buffers()[1].address
    mixed = dataset.shuffle(seed=1)
    assert ops.Ragged.from_arrow(mixed["ids"]).tolist() == [lists[i] for i in mixed["y"]]


def test_a_module_of_the_same_name_is_no_affair_of_theirs(monkeypatch):
    class Dataset:
        def __len__(self):
            return 20

        def __getitem__(self, block):
            return Y[block]

    monkeypatch.setattr(datasets, "Dataset", Dataset)  # as a user's own datasets.py has it
    assert len(list(batches(Dataset()))) == 4


def test_hugging_face_samples_one_by_one():
    dataset = hugging(ids=[[1, 2]] * 20, y=Y.tolist(), name=NAMES.tolist())
    batch = next(SampleDataSource(dataset).batch_iterator(3))
    assert plain(batch) == {"ids": [[1, 2]] * 3, "y": [0, 1, 2], "name": ["name 0", "name 1", "name 2"]}


# --- PyTorch's datasets


def test_pytorch_datasets_sample_by_sample():
    class Shifted(torch.utils.data.Dataset):
        def __len__(self):
            return 20

        def __getitem__(self, i):
            return {"x": torch.from_numpy(X[i]) + i, "y": i, "at": (torch.tensor(i), datetime.date.min.year)}

    ours = list(SampleDataSource(Shifted()).batch_iterator(6))
    theirs = torch.utils.data.DataLoader(Shifted(), batch_size=6)
    for batch, expected in zip(ours, theirs, strict=True):
        assert torch.equal(batch["x"], expected["x"])
        assert torch.equal(batch["at"][0], expected["at"][0])
        assert batch["y"].tolist() == expected["y"].tolist()
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    x, y = next(SampleDataSource(pairs).batch_iterator(6))
    assert torch.equal(x, pairs[:6][0])
    assert torch.equal(y, pairs[:6][1])
    half = torch.utils.data.Subset(pairs, range(10))  # which has __getitems__
    assert len(list(SampleDataSource(half).loader(4, drop_last=True))) == 2

    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield 1

    with pytest.raises(TypeError, match=r"expected a dataset with __len__.*<Endless> has no length"):
        SampleDataSource(Endless())
    with pytest.raises(ValueError, match=r"got <2 float32>, <3 float32>"):
        list(ops.indices(2) | ops.samples([torch.zeros(2), torch.zeros(3)]))
