"""What messages advise is done here, beside the mistake: it works."""

import decimal
import importlib.metadata
import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import datasets
import h5py
import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
import scipy.sparse
import tensorstore
import zarr
from numpy.random import RandomState

from batchup import ops, work_pool
from batchup.data_source import (
    ArrayDataSource,
    CallableDataSource,
    ChoiceDataSource,
    CompositeDataSource,
    ConcatDataSource,
    IteratorDataSource,
    SampleDataSource,
    TableDataSource,
    batch_map_mean,
)
from batchup.ops.read import reader
from batchup.sampling import EpisodeSampler, StandardSampler, WeightedSampler, WeightedSubsetSampler
from batchup.testing import plain

X = np.arange(12)
TABLE = pa.table({"a": [1, 2], "b": [0.5, 1.5], "s": ["x", "y"]})
TABLE_IN_CHUNKS = pyarrow.dataset.InMemoryDataset(TABLE)
zarr.array([0])  # it starts an event loop of zarr, whose files stay open
pl.LazyFrame({"a": [1]}).collect()  # it starts threads of polars, whose files stay open
DECIMALS = pa.array([decimal.Decimal("1.5")], pa.decimal128(3, 1))
WORDS = ops.Ragged.of([[1, 2, 3], [4], [5, 6]])
BLOCKS = ops.indices(12) | ops.chunk(4)
BATCHES = BLOCKS | ops.gather(X)
DRAWN = ops.indices(4) | ops.shuffle(RandomState(1)) | ops.chunk(2)
ENDLESS = ops.indices(4) | ops.repeat(-1) | ops.chunk(2)
LOADER = (ops.indices(4) | ops.chunk(2)).loader()


def halves(x):
    return x[:2]


def halved(x):
    return x / 2


def jittered(x, rng):
    return x + rng.random()


def _closed():
    loader = BATCHES.loader()
    loader.close()
    return iter(loader)


def _in_own_processes(stream):
    with stream.loader(workers=1) as loader:
        return all_of(loader)


def numbered(batch_size, epoch=0, drop_last=False):
    return iter([(np.full(batch_size, epoch),)])


def unnumbered(batch_size, shuffle=None):
    return iter([(np.arange(batch_size),)])


def all_of(stream):
    return [plain(item) for item in stream]


def pool(use):
    with work_pool.WorkerThreadPool(1) as threads:
        return use(threads)


def in_file(tmp_path, mode="r"):
    path = tmp_path / "x.h5"
    if not path.exists():
        with h5py.File(path, "w") as file:
            file["x"] = X
    return h5py.File(path, mode)["x"]


# A name: what is wrong, what the message says to do, and that done.
REMEDIES = {
    "len of the endless": (lambda: len(ENDLESS), r"take\(k\)", lambda: len(ENDLESS | ops.take(3)) == 3),
    "len of the unknown": (
        lambda: len(BATCHES | ops.filter(any)),
        r"len\(list\(stream\)\)",
        lambda: len(list(BATCHES | ops.filter(lambda x: True))) == 3,
    ),
    "epoch of the endless": (
        lambda: ENDLESS.epoch(1),
        r"behind take\(n\)",
        lambda: len((ENDLESS | ops.take(2)).epoch(1)) == 2,
    ),
    "loader of the endless": (ENDLESS.loader, r"behind take\(n\)", lambda: len((ENDLESS | ops.take(2)).loader()) == 2),
    "loader of an iterator": (
        lambda: IteratorDataSource(iter([(X,)])).loader(4),
        "make it a list",
        lambda: len(list((list(iter([(X,)])) | ops.skip(0)).loader())) == 1,
    ),
    "an epoch over a generator": (
        lambda: DRAWN.epoch(1),
        "give a seed, or use a loader",
        lambda: all_of((ops.indices(4) | ops.shuffle(1)).epoch(1)) and all_of(DRAWN.loader()),
    ),
    "an item over a generator": (
        lambda: DRAWN[0],
        "give a seed",
        lambda: len((ops.indices(4) | ops.shuffle(1))[0]) == 4,
    ),
    "several items": (
        lambda: BATCHES[1:2],
        r"stream \| skip\(start\) \| take\(count\)",
        lambda: all_of(BATCHES | ops.skip(1) | ops.take(1)) == [([4, 5, 6, 7],)],
    ),
    "a checkpoint of an iterable": (
        lambda: iter(ops.map(abs)({1: 2}.keys())).state_dict(),
        r"A list, or anything with len\(\) and \[i\], has",
        lambda: iter([1] | ops.map(abs)).state_dict(),
    ),
    "a function for a stage": (
        lambda: BATCHES | halves,
        r"write map\(function\)",
        lambda: all_of(BATCHES | ops.map(halves))[0] == [0, 1],
    ),
    "a stage that is not called": (lambda: BATCHES | ops.gather, "call it", lambda: BLOCKS | ops.gather(X)),
    "an iterator for a stream": (
        lambda: iter([X]) | ops.chunk(2),
        "Make it a list",
        lambda: len(list(iter([X])) | ops.chunk(2)) == 6,
    ),
    "a data source for a stream": (
        lambda: ArrayDataSource([X]) | ops.take(1),
        r"ds.map\(function\) .*ds.stream\(batch_size\) \| ...",
        lambda: all_of(ArrayDataSource([X]).map(halves).stream(4) | ops.take(1)) == [[0, 1]],
    ),
    "a loader for a stream": (
        lambda: LOADER | ops.take(1),
        r"\(stream \| stage\).loader\(\)",
        lambda: len((ops.indices(4) | ops.chunk(2) | ops.take(1)).loader()) == 1,
    ),
    "a data source as an iterable": (
        lambda: iter(ArrayDataSource([X])),
        r"loader\(batch_size\)",
        lambda: len(list(ArrayDataSource([X]).loader(4))) == 3,
    ),
    "len of a data source": (
        lambda: len(ArrayDataSource([X])),
        r"num_samples\(\), .*len\(stream\(batch_size\)\)",
        lambda: ArrayDataSource([X]).num_samples() == 12 and len(ArrayDataSource([X]).stream(4)) == 3,
    ),
    "a pool inside of a join": (
        lambda: pool(lambda p: ops.zip(DRAWN | ops.parallel(p), BLOCKS)),
        r"zip\(a, b\) \| parallel\(pool\) or pool.parallel_data_source\(CompositeDataSource\(...\)\); or give seeds",
        lambda: pool(
            lambda p: (
                all_of(ops.zip(DRAWN, ops.indices(4) | ops.chunk(2)) | ops.parallel(p))
                and all_of(
                    p.parallel_data_source(CompositeDataSource([ArrayDataSource([X]), ArrayDataSource([X])])).stream(
                        4, shuffle=RandomState(1)
                    )
                )
            )
        ),
    ),
    "batches of a pool for chunk": (
        lambda: pool(lambda p: BATCHES | ops.parallel(p) | ops.chunk(2)),
        "Put parallel last",
        lambda: pool(lambda p: len(BLOCKS | ops.chunk(2) | ops.gather(X) | ops.parallel(p)) == 6),
    ),
    "a mask for indices": (
        lambda: [X > 3] | ops.chunk(2),
        r"np.flatnonzero\(mask\)",
        lambda: len([np.flatnonzero(X > 3)] | ops.chunk(2)) == 4,
    ),
    "numbers for blocks": (
        lambda: X | ops.chunk(2),
        r"write \[array\], or indices\(array\)",
        lambda: len([X] | ops.chunk(2)) == len(ops.indices(X) | ops.chunk(2)) == 6,
    ),
    "repeat behind a filter": (
        lambda: BATCHES | ops.filter(any) | ops.repeat(2),
        "expected this stage before those",
        lambda: len(list(BATCHES | ops.repeat(2) | ops.filter(lambda x: True))) == 6,
    ),
    "rebatch of blocks": (lambda: BLOCKS | ops.rebatch(3), r"chunk\(3\) cuts", lambda: len(BLOCKS | ops.chunk(3)) == 4),
    "rebatch behind a map that resizes": (
        lambda: list(BATCHES | ops.map(halves) | ops.rebatch(3)),
        r"map\(fn, resizes=True\)",
        lambda: all_of(BATCHES | ops.map(halves, resizes=True) | ops.rebatch(3)) == [[0, 1, 4], [5, 8, 9]],
    ),
    "filter of a part": (
        lambda: BLOCKS | ops.shard(0, 2) | ops.gather(X) | ops.filter(any),
        r"where\(mask\) before chunk, .*rebatch\(size, shard=\(rank, world\)\)",
        lambda: (
            len(list(ops.indices(12) | ops.where(X > 3) | ops.chunk(4) | ops.shard(0, 2) | ops.gather(X)))
            == len(list(BATCHES | ops.filter(lambda x: x > 3) | ops.rebatch(4, shard=(0, 2))))
            == 2
        ),
    ),
    "chunks of several arrays": (
        lambda: (ops.indices(12) | ops.shuffle(1)) | ops.mix(1, 4, 2),
        "Put repeat behind it",
        lambda: len(ops.indices(12) | ops.mix(1, 4, 2) | ops.repeat(2)) == 4,
    ),
    "repeat of an iterator": (
        lambda: iter([1, 2]) | ops.repeat(2),
        "Make it a list",
        lambda: all_of(list(iter([1, 2])) | ops.repeat(2)) == [1, 2, 1, 2],
    ),
    "a name that include_indices takes": (
        lambda: ops.gather(indices=X, include_indices=True),
        "Give the array another name",
        lambda: set((BLOCKS | ops.gather(own=X, include_indices=True))[0]) == {"indices", "own"},
    ),
    "a name that fill takes": (
        lambda: (ops.indices([0]) | ops.gather(positions=ops.Ragged.of([[1, 2]])) | ops.fill(2))[0],
        "Give that part another name",
        lambda: "own" in (ops.indices([0]) | ops.gather(own=ops.Ragged.of([[1, 2]])) | ops.fill(2))[0],
    ),
    "a name that pad takes": (
        lambda: (ops.indices([0]) | ops.gather(a=ops.Ragged.of([[1]]), a_lengths=np.arange(1)) | ops.pad())[0],
        "Give that part another name",
        lambda: (
            set((ops.indices([0]) | ops.gather(a=ops.Ragged.of([[1]]), b=np.arange(1)) | ops.pad())[0])
            == {"a", "a_lengths", "b"}
        ),
    ),
    "a survey of the endless": (
        lambda: ops.survey(ENDLESS | ops.gather(X)),
        "Leave out repeat, filter and the like",
        lambda: ops.survey(ops.indices(4) | ops.chunk(2) | ops.gather(X)).batches == 2,
    ),
    "reorder of the endless": (
        lambda: ENDLESS | ops.reorder(1),
        "put repeat behind reorder",
        lambda: (ops.indices(4) | ops.chunk(2) | ops.reorder(1) | ops.repeat(-1)).plan.length == np.inf,
    ),
    "ranks over a generator": (
        lambda: BLOCKS | ops.reorder(RandomState(1)) | ops.merge(2, shard=(0, 2)),
        r"give a seed, or divide the batches by rebatch\(size, shard=\(rank, world\)\)",
        lambda: (
            len(BLOCKS | ops.reorder(1) | ops.merge(2, shard=(0, 2))) == 1
            and len(BLOCKS | ops.reorder(RandomState(1)) | ops.merge(2) | ops.gather(X) | ops.rebatch(4, shard=(0, 2)))
            == 3
        ),
    ),
    "windows of ranks over a generator": (
        lambda: ops.mix(RandomState(1), 4, 2, shard=(0, 2)),
        "give a seed",
        lambda: len(ops.indices(12) | ops.mix(1, 4, 2, shard=(0, 2))) == 1,
    ),
    "a part of packed rows": (
        lambda: ops.pack(WORDS.lengths, 4, 1) | ops.shard(0, 2),
        r"pack\(..., shard=\(rank, world\)\), .*rebatch\(rows\) behind fill\(capacity\)",
        lambda: (
            all_of(ops.pack(WORDS.lengths, 4, 1, shard=(0, 2)))
            and all_of(ops.pack(WORDS.lengths, 4, 1) | ops.gather(WORDS) | ops.fill(4) | ops.rebatch(2))
        ),
    ),
    "samples that are too long to pack": (
        lambda: ops.pack(WORDS.lengths, 2, 1),
        r"ragged.split\(2\), ragged.truncate\(2\) and ragged.drop\(2\)",
        lambda: all(
            all_of(ops.pack(cut.lengths, 2, 1) | ops.gather(cut) | ops.fill(2))
            for cut in (WORDS.split(2), WORDS.truncate(2), WORDS.drop(2))
        ),
    ),
    "samples that are too long to pad": (
        lambda: list(ops.indices(3) | ops.gather(WORDS) | ops.pad(to=2)),
        r"gather\(ragged.truncate\(2\)\)",
        lambda: all_of(ops.indices(3) | ops.gather(WORDS.truncate(2)) | ops.pad(to=2)),
    ),
    "nothing to pad": (
        lambda: list(BATCHES | ops.pad()),
        r"gather\(ragged\) gives one",
        lambda: all_of(ops.indices(3) | ops.gather(WORDS) | ops.pad()),
    ),
    "more tokens than a row": (
        lambda: list(ops.indices(3) | ops.gather(WORDS) | ops.fill(4)),
        r"pack\(lengths, capacity, seed\)",
        lambda: all_of(ops.pack(WORDS.lengths, 4, 1) | ops.gather(WORDS) | ops.fill(4)),
    ),
    "no one Ragged": (
        lambda: list(ops.indices(3) | ops.gather(WORDS, WORDS) | ops.fill(9)),
        r"gather\(ragged\), .*gather\(tokens=ragged, labels=other\)",
        lambda: all_of(ops.indices(3) | ops.gather(tokens=WORDS, labels=WORDS) | ops.fill(9)),
    ),
    "samples of several shapes": (
        lambda: list(ops.indices(2) | ops.samples([np.zeros(2), np.zeros(3)])),
        "give collate=, a function of a list of samples",
        lambda: all_of(ops.indices(2) | ops.samples([np.zeros(2), np.zeros(3)], collate=list)),
    ),
    "a dict of datasets": (
        lambda: ops.samples({"train": [1, 2]}),
        r"dataset\['train'\]",
        lambda: all_of(ops.indices(2) | ops.samples({"train": [1, 2]}["train"])),
    ),
    "a table for samples": (
        lambda: ops.samples(_Table([1, 2])),
        "whose columns gather takes",
        lambda: all_of(ops.indices(2) | ops.gather(pa.table({"a": [1, 2]}))),
    ),
    "missing values": (
        lambda: ops.gather(pa.array([1, None])),
        "Fill them first, leave these rows out",
        lambda: (
            all_of(ops.indices(2) | ops.gather(pa.array([1, None]).fill_null(0))) == [([1, 0],)]
            and all_of(ops.indices(1) | ops.gather(pa.array([1, None]).drop_null())) == [([1],)]
        ),
    ),
    "objects in a column": (
        lambda: ops.gather(pa.array([[("a", 1)], [("a", 2)]], pa.map_(pa.string(), pa.int64()))),
        r"samples\(dataset, collate\)",
        lambda: all_of(ops.indices(2) | ops.samples([{1}, {2}], list)) == [[{1}, {2}]],
    ),
    "missing values in a table": (
        lambda: TableDataSource(pa.table({"a": [1, None]})),
        r"TableDataSource\(table, nulls=...\)",
        lambda: (
            next(TableDataSource(pa.table({"a": [1, None]}), nulls=-1).batch_iterator(2))["a"].tolist() == [1, -1]
            and all_of(ops.indices(2) | ops.gather(ops.table(pa.table({"a": [1, None]}), nulls=7)))
            == [({"a": [1, 7]},)]
        ),
    ),
    "missing values that a column can't hold": (
        lambda: ops.table(pa.table({"a": [1, None]}), nulls=0.5),
        r"nulls=\{'a': ...\}",
        lambda: len(ops.table(pa.table({"a": [1, None]}), nulls={"a": 0})) == 2,
    ),
    "missing categories": (
        lambda: ops.table(pa.table({"a": pa.array(["x", None]).dictionary_encode()}), nulls=0),
        r"nulls=\{'a': -1\}",
        lambda: ops.table(pa.table({"a": pa.array(["x", None]).dictionary_encode()}), nulls={"a": -1}),
    ),
    "decimals": (
        lambda: ops.gather(DECIMALS),
        r"column.cast\('float64'\)",
        lambda: all_of(ops.indices(1) | ops.gather(DECIMALS.cast("float64"))) == [([1.5],)],
    ),
    "times of day": (
        lambda: ops.gather(pa.array([1], pa.time32("s"))),
        r"column.cast\('int32'\)",
        lambda: all_of(ops.indices(1) | ops.gather(pa.array([1], pa.time32("s")).cast("int32"))) == [([1],)],
    ),
    "times in a zone": (
        lambda: ops.gather(pa.array([1], pa.timestamp("s", "Asia/Tokyo"))),
        r"column.cast\(pyarrow.timestamp\('s', 'UTC'\)\)",
        lambda: ops.gather(pa.array([1], pa.timestamp("s", "Asia/Tokyo")).cast(pa.timestamp("s", "UTC"))),
    ),
    "times of pandas in a zone": (
        lambda: ops.gather(pd.Series(pd.to_datetime(["2020-01-01"]).tz_localize("Asia/Tokyo"))),
        r'column.dt.tz_convert\("UTC"\)',
        lambda: ops.gather(pd.Series(pd.to_datetime(["2020-01-01"]).tz_localize("Asia/Tokyo")).dt.tz_convert("UTC")),
    ),
    "features of several dtypes": (
        lambda: ops.table(TABLE, features=["a", "b"]),
        "dtype='float32'",
        lambda: ops.table(TABLE, features=["a", "b"], dtype="float32"),
    ),
    "features that are no numbers": (
        lambda: ops.table(TABLE, features=["a", "s"]),
        "give columns= in place of features=",
        lambda: ops.table(TABLE, columns=["a", "s"]),
    ),
    "a column that isn't there": (
        lambda: ops.table(TABLE, columns=["aa"]),
        "there is no column 'aa'; did you mean 'a'",
        lambda: ops.table(TABLE, columns=["a"]),
    ),
    "a lazy frame": (
        lambda: TableDataSource(pl.LazyFrame({"a": [1]})),
        r"frame.collect\(\)",
        lambda: TableDataSource(pl.LazyFrame({"a": [1]}).collect()),
    ),
    "memory for a window of what isn't known": (
        lambda: ops.mix(7, 10, "200MB"),
        r'mix\(seed, X, window="200MB"\)',
        lambda: ops.mix(7, ops.table(TABLE_IN_CHUNKS), window="200MB"),
    ),
    "a mask": (
        lambda: work_pool.share(np.ma.masked_array([1.0, 1e20], [False, True])),
        r"Write array.filled\(value\), and np.ma.getmaskarray\(array\)",
        lambda: (
            work_pool.share(np.ma.masked_array([1.0, 1e20], [False, True]).filled(0.0)).tolist() == [1.0, 0.0]
            and np.ma.getmaskarray(np.ma.masked_array([1.0], [True])).tolist() == [True]
        ),
    ),
    "a matrix": (
        lambda: work_pool.share(np.zeros((2, 2)).view(np.matrix)),
        r"Write np.asarray\(array\)",
        lambda: work_pool.share(np.asarray(np.zeros((2, 2)).view(np.matrix))),
    ),
    "numbers of several types": (
        lambda: ops.gather([1, 2.5]),
        r"Write np.array\(values, dtype\)",
        lambda: all_of(ops.indices(2) | ops.gather(np.array([1, 2.5], float))) == [([1, 2.5],)],
    ),
    "lists of different lengths": (
        lambda: ops.gather([[1], [1, 2]]),
        r"ops.Ragged.of\(samples\)",
        lambda: ops.gather(ops.Ragged.of([[1], [1, 2]])),
    ),
    "a sparse matrix": (
        lambda: ops.gather(scipy.sparse.coo_matrix([[0.0, 1.0]])),
        r"matrix.tocsr\(\)",
        lambda: all_of(ops.indices(1) | ops.gather(scipy.sparse.coo_matrix([[0.0, 1.0]]).tocsr())) == [([[0, 1]],)],
    ),
    "windows of what has no chunks": (
        lambda: ArrayDataSource([X]).stream(4, shuffle=1, window=2),
        r"ops.indices\(n\) \| ops.mix\(seed, chunks, window\) \| ops.gather\(...\) \| ops.rebatch\(batch_size\)",
        lambda: all_of(ops.indices(12) | ops.mix(1, 4, 2) | ops.gather(X) | ops.rebatch(4)),
    ),
    "windows in order": (
        lambda: ArrayDataSource([X]).stream(4, window=2),
        "expected shuffle=, a seed or a generator",
        lambda: True,
    ),
    "weights for some of the samples": (
        lambda: ArrayDataSource([X], sampler=WeightedSampler([1, 2])),
        "there is WeightedSubsetSampler",
        lambda: next(ArrayDataSource([X], sampler=WeightedSubsetSampler([1, 2], [3, 4])).batch_iterator(4, 1)),
    ),
    "a weighted sampler in order": (
        lambda: ArrayDataSource([X], sampler=WeightedSampler(np.ones(12))).batch_iterator(4),
        "give shuffle= a seed or a generator",
        lambda: next(ArrayDataSource([X], sampler=WeightedSampler(np.ones(12))).batch_iterator(4, 1)),
    ),
    "sources among the arrays": (
        lambda: ArrayDataSource([ArrayDataSource([X]), X]),
        r"CompositeDataSource\(\[ds, ArrayDataSource\(\[y\]\)\]\)",
        lambda: len(next(CompositeDataSource([ArrayDataSource([X]), ArrayDataSource([X])]).batch_iterator(4))) == 2,
    ),
    "no list of arrays": (lambda: ArrayDataSource(X), r"such as \[X, y\]", lambda: ArrayDataSource([X, X])),
    "the epoch of a loader": (
        lambda: ArrayDataSource([X]).loader(4, epoch=2),
        r"write loader.set_epoch\(epoch\)",
        lambda: ArrayDataSource([X]).loader(4).set_epoch(2) is None,
    ),
    "an argument that there is not": (
        lambda: ArrayDataSource([X]).stream(4, shufle=1),
        r"did you mean shuffle=\?",
        lambda: ArrayDataSource([X]).stream(4, shuffle=1),
    ),
    "epochs of a function": (
        lambda: CallableDataSource(unnumbered).loader(4, shuffle=5),
        r"expected a parameter epoch of .*, or shuffle=True",
        lambda: (
            all_of(CallableDataSource(lambda n, shuffle, epoch: numbered(n, epoch)).loader(4, 5)) == [([0, 0, 0, 0],)]
            and all_of(CallableDataSource(unnumbered).loader(4, shuffle=True))
        ),
    ),
    "drop_last of a function": (
        lambda: CallableDataSource(unnumbered).stream(4, drop_last=True),
        "expected a parameter drop_last",
        lambda: all_of(CallableDataSource(numbered).stream(4, drop_last=True)),
    ),
    "a second epoch of an iterator": (
        lambda: [list(source.batch_iterator(4)) for source in [IteratorDataSource(iter([X]))] * 2],
        r"CallableDataSource\(lambda batch_size: ...\)",
        lambda: [
            list(source.batch_iterator(4)) for source in [CallableDataSource(lambda batch_size: iter([(X,)]))] * 2
        ],
    ),
    "results of the endless": (
        lambda: ArrayDataSource([X], repeats=-1).batch_map_mean(np.sum, 4),
        "expected n_batches=",
        lambda: ArrayDataSource([X], repeats=-1).batch_map_mean(np.sum, 4, n_batches=3),
    ),
    "values a sample": (
        lambda: batch_map_mean(lambda x: x, [(X,), (X[:2],)]),
        "give sum_axis=0",
        lambda: batch_map_mean(lambda x: x, [(X,), (X[:2],)], sum_axis=0),
    ),
    "two progress bars": (
        lambda: batch_map_mean(np.sum, [(X,)], progress=True, progress_iter_func=iter),
        "progress=True, which is tqdm, or progress_iter_func",
        lambda: batch_map_mean(np.sum, [(X,)], progress=True),
    ),
    "indices of a choice": (
        lambda: ChoiceDataSource([ArrayDataSource([X])]).samples_by_indices([1]),
        r"ChoiceBatch\(sample_indices, ds_index\), as batch_indices_iterator gives them",
        lambda: ChoiceDataSource([ArrayDataSource([X])]).samples_by_indices(
            next(ChoiceDataSource([ArrayDataSource([X])]).batch_indices_iterator(4))
        ),
    ),
    "sizes one after another": (
        lambda: ArrayDataSource([X]).loader([2, 4]),
        r"ops.indices\(len\(X\)\) \| ops.shuffle\(seed\) \| ops.chunk\(sizes\) \| ops.gather",
        lambda: (
            [len(x) for (x,) in ops.indices(len(X)) | ops.shuffle(1) | ops.chunk([2, 4]) | ops.gather(X)]
            == [2, 4, 4, 2]
        ),
    ),
    "a size for each member, cut": (
        lambda: CompositeDataSource([ArrayDataSource([X])] * 2, trim=True).loader([2, 4]),
        "Leave trim out",
        lambda: len(CompositeDataSource([ArrayDataSource([X])] * 2).loader([2, 4])) == 3,
    ),
    "seeds of what threads share": (
        lambda: pool(lambda p: BATCHES | ops.map(halves, seed_globals=1) | ops.parallel(p)),
        r"Use WorkerProcessPool, or loader\(..., workers=\); or have the function draw .* rng=",
        lambda: (
            _in_own_processes(BATCHES | ops.map(halves, seed_globals=1))
            and pool(lambda p: all_of(BATCHES | ops.map(lambda x, rng: x, rng=1) | ops.parallel(p)))
        ),
    ),
    "two kinds of seeds": (
        lambda: ops.map(halves, rng=1, seed_globals=1),
        "expected rng=, .* or seed_globals=",
        lambda: ops.map(halves, rng=1) and ops.map(halves, seed_globals=1),
    ),
    "workers by another name": (
        lambda: (BATCHES | ops.map(halves)).loader(num_workers=1),
        "write workers=, for processes, or threads=",
        lambda: _in_own_processes(BATCHES | ops.map(halves)),
    ),
    "two kinds of workers": (
        lambda: BATCHES.loader(workers=1, threads=1),
        "expected one of workers=, for processes, threads= and pool=",
        lambda: _in_own_processes(BATCHES | ops.map(halves)),
    ),
    "a closed loader": (_closed, "Make another", lambda: all_of(BATCHES.loader())),
    "steps behind filter": (
        lambda: (BATCHES | ops.filter(any)).loader(steps=2),
        r"Leave steps= out, or select the samples before they are read, by ops.where\(mask\)",
        lambda: (
            all_of((BATCHES | ops.filter(lambda x: True)).loader())
            and len((ops.indices(12) | ops.where(X > 4) | ops.chunk(4)).loader(steps=2)) == 2
        ),
    ),
    "steps of the endless": (ENDLESS.loader, "or in a loader with steps=n", lambda: len(ENDLESS.loader(steps=2)) == 2),
    "an epoch of steps over a generator": (
        lambda: DRAWN.loader(steps=2).set_epoch(3),
        "With a seed any epoch can be set",
        lambda: (ops.indices(4) | ops.shuffle(1)).loader(steps=2).set_epoch(3) is None,
    ),
    "results of several shapes": (
        lambda: all_of(BATCHES | ops.map_samples(lambda x: X[:x])),
        "Have the function give what fits, or give collate=",
        lambda: (
            all_of(BATCHES | ops.map_samples(lambda x: X[:1]))
            and all_of(BATCHES | ops.map_samples(lambda x: X[:x], collate=list))
        ),
    ),
    "results that are fewer": (
        lambda: all_of(BATCHES | ops.map_samples(halved, collate=halves) | ops.rebatch(4)),
        r"map_samples\(fn, collate=..., resizes=True\)",
        lambda: all_of(BATCHES | ops.map_samples(halved, collate=halves, resizes=True) | ops.rebatch(4)),
    ),
    "workers for batches that are there": (
        lambda: batch_map_mean(np.sum, [(X,)], workers=1),
        "expected a stream or a data source",
        lambda: batch_map_mean(lambda x: x.sum(), BATCHES | ops.map(halves), threads=1),
    ),
    "an executor for a pool": (
        lambda: BATCHES | ops.parallel(ThreadPoolExecutor(1)),
        r"write ExecutorPool\(executor\)",
        lambda: all_of(BATCHES | ops.parallel(work_pool.ExecutorPool(ThreadPoolExecutor(1)))),
    ),
    "work that can't be pickled": (
        lambda: _in_processes(LOADER),
        "needs no pickling",
        lambda: pool(lambda p: all_of(BATCHES | ops.map(lambda x: (x, _UNPICKLABLE)[0]) | ops.parallel(p))),
    ),
    "threads for split": (
        lambda: pool(lambda p: BATCHES | ops.parallel(p, split=True)),
        r"expected samples\(dataset\) or map_samples\(fn\) before it",
        lambda: pool(lambda p: all_of(BLOCKS | ops.samples(X.tolist()) | ops.parallel(p, split=True))),
    ),
    "empty batches of ranks": (
        lambda: BLOCKS | ops.shard(0, 3) | ops.chunk(3),
        r"put chunk\(3\) before shard",
        lambda: len(ops.indices(12) | ops.chunk(3) | ops.shard(0, 3)) == 4,
    ),
    "names that are there twice": (
        lambda: next(iter(BLOCKS | ops.samples([{"indices": 1}] * 12, include_indices=True))),
        "Leave include_indices out, or give that part another name",
        lambda: next(iter(BLOCKS | ops.samples([{"i": 1}] * 12, include_indices=True))),
    ),
    "samples of a source": (
        lambda: SampleDataSource(np.float64(1)),
        "expected a dataset with __len__ and __getitem__",
        lambda: SampleDataSource([1.0]),
    ),
    "endless nothing": (
        lambda: StandardSampler(0, repeats=-1),
        "there are no samples",
        lambda: StandardSampler(1, repeats=-1),
    ),
    "a weight that rounds to nothing": (
        lambda: ops.blend([9, 9], 7, weights=[999, 1], block=100),
        "Write block=1000",
        lambda: "weights=[999, 1]" in repr(ops.blend([9, 9], 7, weights=[999, 1], block=1000)),
    ),
    "a weight without samples": (
        lambda: ops.blend([9, 0], 7, weights=[1, 1]),
        "Give it 0",
        lambda: len((ops.blend([9, 0], 7, weights=[1, 0]) | ops.chunk(5))[0]) == 5,
    ),
    "a stage within a block": (
        lambda: ops.blend([9, 9], 7, weights=[(0, [1, 1]), (1500, [1, 2])]),
        "1500 doesn't, 1000 and 2000 do",
        lambda: ops.blend([9, 9], 7, weights=[(0, [1, 1]), (2000, [1, 2])]),
    ),
    "a class with few samples": (
        lambda: ops.episodes([0, 0, 1, 1, 2], 2, 2, 7),
        'Give fewer samples, or leave such classes out by smallest="skip"',
        lambda: ops.episodes([0, 0, 1, 1, 2], 2, 1, 7) and ops.episodes([0, 0, 1, 1, 2], 2, 2, 7, smallest="skip"),
    ),
    "labels that are floats": (
        lambda: ops.episodes(np.array([0.0, 1.0]), 1, 1, 7),
        r"Write y.astype\(int\)",
        lambda: ops.episodes(np.array([0.0, 1.0]).astype(int), 1, 1, 7),
    ),
    "another batch size than that of episodes": (
        lambda: ArrayDataSource([X], sampler=EpisodeSampler(X % 3, 2, 2)).stream(8, shuffle=1),
        "expected batch_size=4",
        lambda: len(ArrayDataSource([X], sampler=EpisodeSampler(X % 3, 2, 2)).stream(4, shuffle=1)[0][0]) == 4,
    ),
    "repeats of one of several": (
        lambda: ConcatDataSource([ArrayDataSource([X], repeats=2)]),
        "Give it to the joint source",
        lambda: ConcatDataSource([ArrayDataSource([X])], repeats=2).num_samples() == 24,
    ),
    "a random map of one of several": (
        lambda: ConcatDataSource([ArrayDataSource([X]).map_samples(jittered, rng=3)]),
        r"ConcatDataSource\(\[...\]\).map_samples\(fn, rng=seed\)",
        lambda: len(list(ConcatDataSource([ArrayDataSource([X])]).map_samples(jittered, rng=3).batch_iterator(6))) == 2,
    ),
    "masks of one of several arrays": (
        lambda: ops.concat(np.ma.masked_array([1, 2], [0, 1]), np.arange(2)),
        r"Write np.asarray\(array\)",
        lambda: len(ops.concat(np.asarray(np.ma.masked_array([1, 2], [0, 1])), np.arange(2))) == 4,
    ),
    "codes of other categories": (
        lambda: ops.concat(*[ops.table(pd.DataFrame({"t": pd.Categorical([name])})) for name in "ab"]),
        r"Give all files to one ops.table\(...\)",
        lambda: ops.concat(ops.table(pd.concat([pd.DataFrame({"t": ["a"]}), pd.DataFrame({"t": ["b"]})]))),
    ),
    "a split of several sources side by side": (
        lambda: CompositeDataSource([ArrayDataSource([X])]).split(0.5),
        "such as an ArrayDataSource, or a map of one",
        lambda: ArrayDataSource([X]).map(halved).split(0.5)[0].num_samples() == 6,
    ),
}


class _Table(list):
    iloc = None  # as tables of pandas have it


class _Unpicklable:
    def __reduce__(self):
        raise TypeError("not to be pickled")


_UNPICKLABLE = _Unpicklable()


def _in_processes(_):
    with work_pool.WorkerProcessPool(1) as processes:
        return BATCHES | ops.map(lambda x: (x, _UNPICKLABLE)[0]) | ops.parallel(processes)


@pytest.mark.parametrize("name", REMEDIES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_remedy_works(name, capsys):
    mistake, says, remedy = REMEDIES[name]
    with pytest.raises((TypeError, ValueError, RuntimeError, NotImplementedError), match=says):
        mistake()
    assert remedy() is not False


def test_remedies_for_files(tmp_path):
    with work_pool.WorkerProcessPool(1) as processes:
        # A worker that is being started may share the open files of this process for a moment.
        assert all_of(BATCHES | ops.parallel(processes)) == all_of(BATCHES)
        array = in_file(tmp_path, "r+")
        stream = BLOCKS | ops.gather(array)
        with pytest.raises(TypeError, match=r'open it with mode "r"'):
            stream | ops.parallel(processes)
        array.file.close()
        assert all_of(BLOCKS | ops.gather(in_file(tmp_path)) | ops.parallel(processes)) == all_of(BATCHES)
        path = tmp_path / "x.parquet"
        pa.parquet.write_table(pa.table({"x": X}), path)
        with pytest.raises(
            TypeError, match=r"give its path, to TableDataSource\(path\), or to gather as ops.table\(path\)"
        ):
            BLOCKS | ops.gather(pa.parquet.ParquetFile(path)) | ops.parallel(processes)
        table = BLOCKS | ops.gather(ops.table(path))
        assert all_of(table | ops.parallel(processes))[0] == ({"x": [0, 1, 2, 3]},)
        assert plain(next(iter(TableDataSource(path).loader(4, pool=processes)))) == {"x": [0, 1, 2, 3]}
        filtered = pyarrow.dataset.dataset(path).filter(pyarrow.dataset.field("x") > 9)
        with pytest.raises(ValueError, match=r"Write dataset.to_table\(\), or .* pyarrow.dataset.write_dataset"):
            ops.gather(filtered)
        pyarrow.dataset.write_dataset(filtered, tmp_path / "some", format="parquet")
        for some in (filtered.to_table(), pyarrow.dataset.dataset(tmp_path / "some")):
            assert all_of(ops.indices(2) | ops.gather(some)) == [({"x": [10, 11]},)]
        with pytest.raises(ValueError, match=r"is a directory. Write '.*some.\*.parquet'"):
            ops.table(tmp_path / "some")
        assert len(ops.table(str(tmp_path / "some" / "*.parquet"))) == 2
        with pytest.raises(ValueError, match=r"give pyarrow.dataset.dataset\('s3://a/b'\)"):
            ops.table("s3://a/b")
        with pa.OSFile(str(tmp_path / "stream"), "wb") as out, pa.ipc.new_stream(out, TABLE.schema) as stream:
            stream.write_table(TABLE)
        with pytest.raises(ValueError, match=r"pyarrow.ipc.open_stream\(path\).read_all\(\)"):
            ops.table(tmp_path / "stream")
        assert len(ops.table(pa.ipc.open_stream(pa.OSFile(str(tmp_path / "stream"))).read_all())) == 2


def written(path, value, n=8):
    """An HDF5 file that is put in the place of another."""
    with h5py.File(f"{path}.new", "w") as file:
        file["x"] = np.full(n, value)
    os.replace(f"{path}.new", path)


def test_remedies_for_files_that_changed(tmp_path):
    with work_pool.WorkerProcessPool(1) as processes:
        # A worker that is being started may share the open files of this process for a moment, and their locks.
        assert all_of(BATCHES | ops.parallel(processes)) == all_of(BATCHES)
        written(tmp_path / "a.h5", 0)
        with h5py.File(tmp_path / "a.h5", "r") as opened:
            stream = ops.indices(8) | ops.gather(opened["x"])
            written(tmp_path / "a.h5", 1)
            with pytest.raises(TypeError, match="Open it anew, and build the stream again"):
                stream | ops.parallel(processes)
        with h5py.File(tmp_path / "a.h5", "r") as opened:
            again = ops.indices(8) | ops.gather(opened["x"]) | ops.parallel(processes)
            assert all_of(again) == [([1] * 8,)]
        np.save(tmp_path / "x.npy", np.zeros(200_000))
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        batches = iter(
            ops.indices(200_000) | ops.chunk(50_000) | ops.gather(mapped) | ops.parallel(processes, buffer=1)
        )
        next(batches)
        os.truncate(tmp_path / "x.npy", 4096)
        with pytest.raises(ValueError, match="Map it anew, and build the stream again"):
            list(batches)
        np.save(tmp_path / "x.npy", np.ones(50_000))
        again = ops.indices(50_000) | ops.gather(np.load(tmp_path / "x.npy", mmap_mode="r")) | ops.parallel(processes)
        assert next(iter(again))[0].min() == 1
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(TABLE, path)
    ds = TableDataSource(path)
    pa.parquet.write_table(TABLE.slice(1), path)
    with pytest.raises(ValueError, match=r"it was changed or replaced. Build the stream again"):
        next(ds.batch_iterator(2))
    assert next(TableDataSource(path).batch_iterator(2))["a"].tolist() == [2]
    with h5py.File(tmp_path / "r.h5", "w") as opened:
        data = opened.create_dataset("x", data=X, maxshape=(None,), chunks=(4,))
        stream = BLOCKS | ops.gather(data)
        data.resize(6, axis=0)
        with pytest.raises(ValueError, match="If it was resized, build the stream again"):
            list(stream)
        assert len(list(ops.indices(len(data)) | ops.chunk(4) | ops.gather(data))) == 2


def test_remedies_for_stores_and_schemas(tmp_path):
    array = zarr.create_array(zarr.storage.FsspecStore.from_url("memory://r"), shape=(12,), chunks=(4,), dtype="i8")
    array[:] = X
    store = tensorstore.open(
        {"driver": "zarr", "kvstore": {"driver": "memory", "path": "r/"}},
        dtype=tensorstore.int64,
        shape=[12],
        create=True,
    ).result()
    store[:] = X
    with work_pool.WorkerProcessPool(1) as processes:
        for data, says in ((array, r"read it into memory: array\[:\]"), (store, r"array.read\(\).result\(\)")):
            with pytest.raises(TypeError, match=says):
                BLOCKS | ops.gather(data) | ops.parallel(processes)
        for values in (array[:], store.read().result()):
            assert all_of(BLOCKS | ops.gather(values) | ops.parallel(processes)) == all_of(BATCHES)
    pa.parquet.write_table(pa.table({"a": [1], "b": [1]}), tmp_path / "0.parquet")
    pa.parquet.write_table(pa.table({"a": [2], "b": [0.5]}), tmp_path / "1.parquet")
    with pytest.raises(ValueError, match="Leave the column out, or write the files anew"):
        TableDataSource(str(tmp_path / "*.parquet"))
    assert len(TableDataSource(str(tmp_path / "*.parquet"), columns=["a"]).read(np.arange(2))["a"]) == 2
    pa.parquet.write_table(pa.table({"a": [2], "b": [1]}), tmp_path / "1.parquet")
    assert TableDataSource(str(tmp_path / "*.parquet")).read(np.arange(2))["b"].tolist() == [1, 1]


def test_remedies_for_rows_images_and_memory(monkeypatch):
    matrix = scipy.sparse.random(12, 5, 0.3, format="csr", random_state=1)

    class Rows:
        dense = False

        def __len__(self):
            return 12

        def __getitem__(self, block):
            return matrix[block].toarray() if self.dense else matrix[block]

    class DenseRows(Rows):
        dense = True

    with pytest.raises(TypeError, match=r"Give the CSR matrix itself, or return rows.toarray\(\)"):
        list(BLOCKS | ops.gather(Rows()))
    assert all_of(BLOCKS | ops.gather(DenseRows())) == all_of(BLOCKS | ops.gather(matrix))
    decimals = pl.Series([decimal.Decimal("1.5")])
    with pytest.raises(TypeError, match=r"in polars column.cast\(polars.Float64\)"):
        ops.gather(decimals)
    assert all_of(ops.indices(1) | ops.gather(decimals.cast(pl.Float64))) == [([1.5],)]
    sizes = {"image": [PIL.Image.new("L", (n, 2)) for n in (2, 3)]}
    images = datasets.Dataset.from_dict(sizes, features=datasets.Features({"image": datasets.Image()}))
    with pytest.raises(TypeError, match=r"Give SampleDataSource\(dataset, collate=...\)"):
        list(TableDataSource(images).batch_iterator(2))
    [rows] = SampleDataSource(images, collate=list).batch_iterator(2)
    assert [row["image"].size for row in rows] == [(2, 2), (3, 2)]
    monkeypatch.setattr(reader, "_LITTLE", 0)
    monkeypatch.setattr(reader, "available_memory", lambda: 10 * 10**6)
    data = in_chunks(np.zeros((4000, 500)))
    with pytest.warns(UserWarning, match='Give a smaller window, such as window="2MB"'):
        ArrayDataSource([data]).stream(4, shuffle=1, window=40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ArrayDataSource([in_chunks(np.zeros((4000, 500)))]).stream(4, shuffle=1, window="2MB")


def in_chunks(array):
    """An array with chunks of 100 samples."""
    return zarr.create_array(zarr.storage.MemoryStore(), data=array, chunks=(100, *array.shape[1:]))


def test_packages_that_messages_name_are_extras():
    """`pip install 'batchup[torch]'` and the like."""
    metadata = importlib.metadata.metadata("batchup")
    assert {"torch", "dask", "ray", "plot", "svhn"} <= set(metadata.get_all("Provides-Extra"))
