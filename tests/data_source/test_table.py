"""`TableDataSource`: columns, features, missing values, categories, files."""

import os
import pickle
import warnings

import datasets
import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from batchup import ops, work_pool
from batchup.data_source import ArrayDataSource, TableDataSource
from batchup.ops.read import parquet
from batchup.ops.read.rows import Files
from batchup.testing import plain

N = 100
TABLE = pa.table(
    {
        "a": np.arange(N, dtype=np.float32),
        "b": np.arange(N, dtype=np.float32) * 10,
        "label": np.arange(N) % 3,
        "text": [f"word {n}" for n in range(N)],
    }
)
WHOLE = {"a": TABLE["a"].to_pylist(), "label": TABLE["label"].to_pylist(), "text": TABLE["text"].to_pylist()}


def files(path):
    """The table in every kind of file."""
    pa.parquet.write_table(TABLE, path / "one.parquet", row_group_size=30)
    for n in range(2):
        pa.parquet.write_table(TABLE.slice(n * 60, 60), path / f"part-{n}.parquet", row_group_size=25)
    with pa.ipc.new_file(path / "one.arrow", TABLE.schema) as file:
        file.write_table(TABLE, max_chunksize=30)
    return {
        "a path": path / "one.parquet",
        "a pattern": str(path / "part-*.parquet"),
        "a list": [path / "part-0.parquet", str(path / "part-1.parquet")],
        "an Arrow file": str(path / "one.arrow"),
        "a dataset": pyarrow.dataset.dataset([path / "part-0.parquet", path / "part-1.parquet"]),
        "a ParquetFile": pa.parquet.ParquetFile(path / "one.parquet"),
        "pandas": TABLE.to_pandas(),
        "polars": pl.from_arrow(TABLE),
        "Arrow": TABLE,
    }


@pytest.fixture
def sources(tmp_path):
    return files(tmp_path)


KINDS = ["a path", "a pattern", "a list", "an Arrow file", "a dataset", "a ParquetFile", "pandas", "polars", "Arrow"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [None, 5])
def test_columns_and_features_of_every_kind_of_table(sources, kind, shuffle):
    blocks = [np.array(block) for block in ops.indices(N) | ops.shuffle(shuffle) | ops.chunk(16)]
    some = TableDataSource(sources[kind], columns=["text", "a"])
    for block, rows in zip(blocks, some.batch_iterator(16, shuffle=shuffle), strict=True):
        assert list(rows) == ["text", "a"]
        assert rows["text"].tolist() == [WHOLE["text"][i] for i in block]
        assert (rows["a"].dtype, rows["a"].tolist()) == (np.float32, block.tolist())
        rows["a"][:] = -1
    pairs = TableDataSource(sources[kind], features=["b", "a"], target="label", include_indices=True)
    for block, (indices, X, y) in zip(blocks, pairs.batch_iterator(16, shuffle=shuffle), strict=True):
        assert (X.shape, X.dtype, X.flags.c_contiguous) == ((len(block), 2), np.float32, True)
        assert (np.stack([block * 10, block], axis=1) == X).all()
        assert (indices == block).all()
        assert (y == block % 3).all()
    assert len(list(TableDataSource(sources[kind]).batch_iterator(40))) == 3
    single = TableDataSource(sources[kind], features="a", indices=[3, 1])
    assert list(map(plain, single.batch_iterator(4))) == [([3.0, 1.0],)]
    assert plain(single.samples_by_indices([1])) == ([1.0],)


@pytest.mark.parametrize("kind", ["a path", "a list", "an Arrow file", "a dataset", "pandas"])
def test_tables_in_workers_and_in_windows(sources, kind):
    source = TableDataSource(sources[kind], features=["a"], target="label", dtype="float64")
    order = {"shuffle": 5} if kind == "pandas" else {"shuffle": 5, "window": 2}
    expected = list(map(plain, source.stream(16, **order)))
    assert sorted(x for X, _ in expected for [x] in X) == list(range(N))
    with work_pool.WorkerProcessPool(2) as pool:
        assert list(map(plain, source.loader(16, **order, pool=pool).stream.epoch(0))) == list(
            map(plain, source.stream(16, **order).epoch(0))
        )
    copy = pickle.loads(pickle.dumps(source))
    assert list(map(plain, copy.stream(16, **order))) == expected


def test_the_preset_is_a_composition(sources):
    ds = TableDataSource(sources["a path"], features=["a", "b"], target="label")
    same = ops.indices(N) | ops.shuffle(5) | ops.chunk(16)
    same |= ops.gather(ops.table(sources["a path"], features=["a", "b"], target="label"))
    assert list(map(plain, ds.stream(16, shuffle=5))) == list(map(plain, same))
    beside = (
        ops.indices(N) | ops.chunk(16) | ops.gather(np.arange(N), ops.table(TABLE, features=["a"]), ops.table(TABLE))
    )
    index, X, rows = beside[1]
    assert (X[:, 0] == index).all()
    assert set(rows) == {"a", "b", "label", "text"}


def test_the_dtype_of_a_single_feature(tmp_path):
    """Was found: `dtype` was ignored if `features` was one name."""
    vectors = pa.array([[1.5, 2.5], [3.5, 4.5]], pa.list_(pa.float64(), 2))
    table = pa.table({"vectors": vectors, "n": [1, 2], "words": ["a", "b"]})
    pa.parquet.write_table(table, tmp_path / "v.parquet")
    for data in (table, tmp_path / "v.parquet", pl.from_arrow(table), datasets.Dataset(table)):
        for name, expected in (("vectors", vectors.to_pylist()), ("n", [1, 2])):
            ds = TableDataSource(data, features=name, dtype="float32")
            [(X,)] = ds.batch_iterator(2)
            assert (X.dtype, X.tolist()) == (np.float32, expected)
            assert ds.survey(2).bytes_held == 2 * X[0].nbytes
        with pytest.raises(TypeError, match="features: expected columns of numbers; 'words' has"):
            TableDataSource(data, features="words", dtype="float32")
        with pytest.raises(TypeError, match="features: expected columns of numbers; 'vectors' has"):
            TableDataSource(data, features=["vectors", "n"], dtype="float32")


def test_only_the_columns_that_are_asked_for_are_read(sources, monkeypatch):
    read = []
    chunk = parquet.ParquetFiles._chunk

    def spied(self, file, k, names):
        read.append(tuple(names))
        return chunk(self, file, k, names)

    monkeypatch.setattr(parquet.ParquetFiles, "_chunk", spied)
    source = TableDataSource(sources["a path"], columns=["a"])
    assert read == []  # statistics say that nothing is missing
    list(source.batch_iterator(10))
    assert read == [("a",)] * 4  # in order, each row group is read once


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"columns": ["a"], "features": ["a"]},
            ValueError,
            "expected columns, for dicts, or features, for an array; got both",
        ),
        ({"target": "label"}, ValueError, "target: expected features, too"),
        ({"dtype": "float32"}, ValueError, "dtype: expected features, too"),
        ({"features": ["a"], "target": "a"}, ValueError, "'a' is among the features"),
        ({"features": ["a"], "target": ["label"]}, TypeError, "target: expected the name of a column"),
        ({"features": []}, ValueError, "features: expected one name at least"),
        ({"columns": "a"}, TypeError, "columns: expected a list of names of columns; got 'a'"),
        ({"columns": ["a", "a"]}, ValueError, "'a' is there twice"),
        ({"columns": [1]}, TypeError, "expected names of columns that are strings; got 1"),
        ({"columns": ["labels"]}, ValueError, "there is no column 'labels'; did you mean 'label'"),
        ({"columns": ["zzz"]}, ValueError, "it has 'a', 'b', 'label', 'text'"),
        ({"nulls": {"zzz": 1}}, ValueError, "there is no column 'zzz'"),
        ({"features": ["a", "label"]}, TypeError, "'a' has float32, 'label' has int64. Write dtype=, such as"),
        ({"features": ["a", "text"]}, TypeError, "expected columns of numbers; 'text' has"),
        ({"features": ["a"], "dtype": "M8[s]"}, TypeError, "expected a dtype of numbers"),
    ],
)
@pytest.mark.parametrize("kind", ["a path", "pandas", "Arrow"])
def test_what_is_refused(sources, kind, options, error, text):
    with pytest.raises(error, match=f"TableDataSource: .*{text}|TableDataSource: {text}"):
        TableDataSource(sources[kind], **options)


def test_what_is_no_table(tmp_path):
    for data in (5, None, {"a": [1]}, np.arange(3), [1, 2]):
        with pytest.raises(TypeError, match="expected a table of pandas, polars, Arrow or Hugging Face, or paths"):
            TableDataSource(data)
    with pytest.raises(FileNotFoundError, match="expected a file; there is none at"):
        TableDataSource(tmp_path / "nothing.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(ValueError, match="expected a file of Parquet, or of Arrow"):
        TableDataSource(tmp_path / "text.parquet")


# --- missing values

HOLES = pa.table(
    {
        "x": pa.array([1.5, None, 3.5] * 20, pa.float32()),
        "n": pa.array([1, 2, None] * 20, pa.int16()),
        "full": np.arange(60),
        "lists": [[1.0, None], [], [2.0]] * 20,
    }
)


def with_holes(path):
    pa.parquet.write_table(HOLES, path / "holes.parquet", row_group_size=9)
    pa.parquet.write_table(HOLES, path / "plain.parquet", row_group_size=9, write_statistics=False)
    with pa.ipc.new_file(path / "holes.arrow", HOLES.schema) as file:
        file.write_table(HOLES, max_chunksize=7)
    return [path / "holes.parquet", path / "plain.parquet", path / "holes.arrow", HOLES, pl.from_arrow(HOLES)]


def test_missing_values_are_filled_in_the_columns_that_have_them(tmp_path):
    for data in with_holes(tmp_path):
        for name, count in (("x", 20), ("n", 20), ("lists", 20)):
            with pytest.raises(ValueError, match=f"column '{name}': expected no missing values; there are {count}"):
                TableDataSource(data, columns=[name, "full"])
        [batch] = TableDataSource(data, nulls={"x": np.nan, "n": -1, "lists": 0.5}).batch_iterator(60)
        assert batch["x"].dtype == np.float32
        assert np.array_equal(batch["x"], np.array([1.5, np.nan, 3.5] * 20), equal_nan=True)
        assert (batch["n"].dtype, batch["n"].tolist()) == (np.int16, [1, 2, -1] * 20)
        assert batch["lists"].tolist() == [[1.0, 0.5], [], [2.0]] * 20
        assert batch["full"].tolist() == list(range(60))
        with pytest.raises(
            ValueError, match=r"column 'n': nulls: expected a value that a column of int16 can hold; got nan"
        ):
            TableDataSource(data, columns=["x", "n"], nulls=np.nan)
        [(X,)] = TableDataSource(data, features=["x"], nulls=0).batch_iterator(60)
        assert X[:3, 0].tolist() == [1.5, 0.0, 3.5]


def test_nan_in_pandas_is_a_value():
    frame = pd.DataFrame({"x": [1.0, np.nan], "when": pd.to_datetime(["2020-01-01", None])})
    [batch] = TableDataSource(frame, nulls=7).batch_iterator(2)
    assert np.isnan(batch["x"][1])
    assert np.isnat(batch["when"][1])
    holes = pd.DataFrame({"n": pd.array([1, None], "Int8"), "text": ["a", None]})
    with pytest.raises(ValueError, match="column 'n': expected no missing values; there are 1"):
        TableDataSource(holes)
    [batch] = TableDataSource(holes, nulls={"n": -1, "text": "none"}).batch_iterator(2)
    assert (batch["n"].dtype, batch["n"].tolist(), batch["text"].tolist()) == (np.int8, [1, -1], ["a", "none"])
    with pytest.raises(ValueError, match="expected a value that a column of int8 can hold; got 1000"):
        TableDataSource(holes, columns=["n"], nulls=1000)


# --- categories


def in_categories(values, order=None):
    return (
        pa.array(values).dictionary_encode()
        if order is None
        else pa.DictionaryArray.from_arrays(
            pa.array([None if value is None else order.index(value) for value in values]), order
        )
    )


def test_categories_are_codes_into_one_list_for_all_files(tmp_path):
    towns = [["Bonn", "Ulm", "Bonn"], ["Ulm", "Aachen", "Trier"], ["Trier", "Bonn", "Bonn"]]
    for n, values in enumerate(towns):
        pa.parquet.write_table(pa.table({"town": in_categories(values)}), tmp_path / f"{n}.parquet", row_group_size=2)
    every = [town for values in towns for town in values]
    chunked = pa.table({"town": pa.chunked_array([in_categories(values) for values in towns])})
    frame = pd.DataFrame({"town": pd.Categorical(every)})
    for data in (
        str(tmp_path / "*.parquet"),
        chunked,
        frame,
        pl.DataFrame({"town": pl.Series(every, dtype=pl.Categorical)}),
    ):
        ds = TableDataSource(data)
        [batch] = ds.batch_iterator(9)
        assert batch["town"].dtype == np.int64
        assert ds.categories["town"].tolist() == list(dict.fromkeys(ds.categories["town"].tolist()))
        assert ds.categories["town"][batch["town"]].tolist() == every
        assert plain(pickle.loads(pickle.dumps(ds)).samples_by_indices([4])) == plain(ds.samples_by_indices([4]))
        if not isinstance(data, str):  # the values themselves, since there is nowhere to look up codes
            assert next(ArrayDataSource([data]).batch_iterator(9))[0]["town"].tolist() == every


def test_a_missing_category_is_a_missing_value(tmp_path):
    values = ["b", None, "a"]
    table = pa.table({"c": in_categories(values, ["a", "b"])})
    pa.parquet.write_table(table, tmp_path / "c.parquet")
    for data in (table, tmp_path / "c.parquet", pd.DataFrame({"c": pd.Categorical(values)}), pl.from_arrow(table)):
        with pytest.raises(ValueError, match="column 'c': expected no missing values; there are 1"):
            TableDataSource(data)
        for wrong in (0, 1, np.nan, 0.5, "a"):
            with pytest.raises(ValueError, match=r"that is no code of its 2 categories.*nulls=\{'c': -1\}"):
                TableDataSource(data, nulls=wrong)
        for code in (-1, 2, -100):
            ds = TableDataSource(data, nulls=code)
            [batch] = ds.batch_iterator(3)
            names = ds.categories["c"].tolist()
            assert batch["c"].tolist() == [names.index("b"), code, names.index("a")]


# --- files


def test_files_of_different_schemas(tmp_path):
    pa.parquet.write_table(pa.table({"a": [1], "b": [1]}), tmp_path / "0.parquet")
    pa.parquet.write_table(pa.table({"a": [1], "b": [0.5]}), tmp_path / "1.parquet")
    pa.parquet.write_table(pa.table({"a": [1]}), tmp_path / "2.parquet")
    pattern = str(tmp_path / "*.parquet")
    with pytest.raises(
        ValueError, match=r"column 'b': expected files of one schema; .*0.parquet has int64, .*1.parquet has double"
    ):
        TableDataSource(pattern)
    with pytest.raises(ValueError, match=r"column 'b': .*2.parquet has no such column"):
        TableDataSource([tmp_path / "0.parquet", tmp_path / "2.parquet"])
    assert plain(next(TableDataSource(pattern, columns=["a"]).batch_iterator(5))) == {"a": [1, 1, 1]}
    with pa.ipc.new_file(tmp_path / "x.parquet", TABLE.schema):
        pass
    with pytest.raises(ValueError, match="got both Parquet and Arrow files"):
        TableDataSource(pattern)


def test_a_file_that_was_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(pa.table({"a": np.arange(20)}), path, row_group_size=5)
    made = [TableDataSource("x.parquet"), ArrayDataSource([pyarrow.dataset.dataset("x.parquet")])]
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    for source in made:
        assert len(list(source.batch_iterator(5))) == 4
    packed = [pickle.dumps(source) for source in made]
    pa.parquet.write_table(pa.table({"a": np.arange(20) * 2}), path, row_group_size=5)
    for source in (*map(pickle.loads, packed), made[1]):
        with pytest.raises(
            ValueError, match=r"x.parquet as it was when the stream was built; it was changed or replaced"
        ):
            next(source.batch_iterator(5))


def test_a_file_that_was_written_over_while_it_is_open(tmp_path):
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(pa.table({"a": np.arange(20)}), path, row_group_size=5)
    source = TableDataSource(path)
    batches = source.batch_iterator(5)
    assert next(batches)["a"].tolist() == [0, 1, 2, 3, 4]
    os.utime(path, ns=(1, 1))  # it may have been written within the resolution of its clock
    pa.parquet.write_table(pa.table({"a": np.arange(20) * 2}), path, row_group_size=5)
    with pytest.raises(ValueError, match="it was changed or replaced"):
        next(batches)
    replaced = TableDataSource(path)
    pa.parquet.write_table(TABLE, tmp_path / "other")
    os.replace(tmp_path / "other", path)
    assert next(replaced.batch_iterator(20))["a"].tolist() == list(range(0, 40, 2))  # the file that is open


def test_a_dataset_of_files_with_other_types(tmp_path):
    pa.parquet.write_table(pa.table({"a": [1], "b": [2**60 + 1]}), tmp_path / "0.parquet")
    pa.parquet.write_table(pa.table({"a": [1], "b": [0.5]}), tmp_path / "1.parquet")
    for order in ([0, 1], [1, 0]):
        made = pyarrow.dataset.dataset([tmp_path / f"{n}.parquet" for n in order])
        with pytest.raises(ValueError, match="column 'b': expected files of one schema; the dataset has"):
            TableDataSource(made)
        assert len(list(TableDataSource(made, columns=["a"]).batch_iterator(2))) == 1
    for year in (2020, 2021):
        (tmp_path / f"year={year}").mkdir()
        pa.parquet.write_table(pa.table({"a": [year]}), tmp_path / f"year={year}" / "x.parquet")
    folders = pyarrow.dataset.dataset(
        [*tmp_path.glob("year=*/*")], partitioning=pyarrow.dataset.partitioning(flavor="hive")
    )
    batch = TableDataSource(folders).samples_by_indices([0, 1])
    assert batch["a"].tolist() == batch["year"].tolist()


def test_many_files_are_not_all_open(tmp_path, monkeypatch):
    monkeypatch.setattr(Files, "open_at_once", 3)
    for n in range(20):
        pa.parquet.write_table(pa.table({"a": [n]}), tmp_path / f"{n:02}.parquet")

    def opened():
        links = (os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
        return sum(link.startswith(str(tmp_path)) for link in links)

    source = TableDataSource(str(tmp_path / "*.parquet"))
    assert opened() <= 2 * 3
    assert np.concatenate([batch["a"] for batch in source.batch_iterator(6, shuffle=1)]).sum() == 190
    assert opened() <= 2 * 3


def test_a_table_without_rows(tmp_path):
    empty = TABLE.slice(0, 0)
    pa.parquet.write_table(empty, tmp_path / "e.parquet")
    for data in (empty, tmp_path / "e.parquet", empty.to_pandas()):
        assert list(TableDataSource(data).batch_iterator(4)) == []
        assert plain(TableDataSource(data, features=["a", "b"]).samples_by_indices([])) == ([],)


# --- windows


def test_a_window_of_so_many_bytes(sources):
    for kind in ("a path", "a dataset"):
        ds = TableDataSource(sources[kind], features=["a", "b"], target="label")
        largest = 30 if kind == "a path" else 25
        for memory, chunks in ((16 * largest * 2, 2), (16 * largest * 3 + 15, 3), (1, 1)):
            window = f"{memory}B"
            assert list(map(plain, ds.stream(7, shuffle=1, window=window))) == list(
                map(plain, ds.stream(7, shuffle=1, window=chunks))
            )
    table = ops.table(sources["a path"], columns=["a"])
    with_memory = ops.indices(N) | ops.mix(3, table, window="0.25kB")
    assert list(map(plain, with_memory)) == list(map(plain, ops.indices(N) | ops.mix(3, [30, 30, 30, 10], 2)))
    for wrong in ("200", "MB", "x MB", "-1MB", "0MB"):
        with pytest.raises(ValueError, match="window: expected bytes as a number and one of B, kB, MB"):
            ds.stream(7, shuffle=1, window=wrong)


def test_a_window_that_would_fill_the_memory_is_warned_of(sources, monkeypatch):
    from batchup.ops.read import reader

    monkeypatch.setattr(reader, "_LITTLE", 0)
    for free, warns in ((2000, True), (10**6, False)):
        monkeypatch.setattr(reader, "available_memory", lambda free=free: free)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            TableDataSource(sources["a path"], features=["a", "b"], target="label").stream(7, shuffle=1, window=4)
        assert bool(caught) == warns
        if warns:
            assert "100 samples are read at a time, which hold 0.0 GB, more than half of the" in str(caught[0].message)
            assert caught[0].filename == __file__


def test_labels_in_runs_inside_of_a_table(tmp_path):
    y = np.repeat(np.arange(10), 100)
    classes = pa.array([f"class {n}" for n in y]).dictionary_encode()
    for name, labels in {"int": y, "bool": y > 4, "category": classes}.items():
        path = tmp_path / f"{name}.parquet"
        pa.parquet.write_table(pa.table({"x": np.arange(1000.0), "y": labels}), path, row_group_size=70)
        for data in (path, pyarrow.dataset.dataset(path), pa.parquet.ParquetFile(path)):
            with pytest.warns(UserWarning, match="The labels of a batch of 32 have an entropy of about"):
                TableDataSource(data).loader(32, shuffle=1, window=1)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                TableDataSource(data, columns=["x"]).loader(32, shuffle=1, window=1)
                TableDataSource(data).loader(32, shuffle=1, window=15)
    mixed = np.random.default_rng(0).permutation(y)
    pa.parquet.write_table(pa.table({"y": mixed}), tmp_path / "mixed.parquet", row_group_size=70)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableDataSource(tmp_path / "mixed.parquet").loader(32, shuffle=1, window=1)
    with pytest.warns(UserWarning, match="The labels of a batch of 32"):
        ops.indices(1000) | ops.chunk(32) | ops.shuffle(1) | ops.gather(ops.table(pa.table({"y": y})))


def test_the_survey_of_a_data_source(sources):
    ds = TableDataSource(sources["a path"], features=["a", "b"], target="label")
    for labels in ("label", np.arange(N) % 3):
        found = ds.survey(10, shuffle=1, window=2, labels=labels)
        assert found.bytes_held == 60 * 16 * 2  # a window is cut while the next one is made
        assert list(found.chunks.values()) == [4]
        assert abs(found.measured - found.full) < 0.1
    again = pickle.loads(pickle.dumps(ds))
    assert again.survey(10, shuffle=1, window=2, labels="label").measured == found.measured
    frame = TableDataSource(TABLE.to_pandas(), features=["a"])
    assert frame.survey(10, shuffle=1, labels="label").measured > 1
    with pytest.raises(TypeError, match="expected an array; the frame was not sent with this copy"):
        pickle.loads(pickle.dumps(frame)).survey(10, shuffle=1, labels="label")
    in_memory = ArrayDataSource([np.zeros((N, 4))])
    assert in_memory.survey(10, shuffle=1).bytes_held == 10 * 32


# --- Hugging Face


def test_images_of_hugging_face_are_decoded():
    pixels = [np.full((4, 5, 3), n, np.uint8) for n in range(6)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"image": [PIL.Image.fromarray(each) for each in pixels], "label": [0, 1] * 3}
    made = datasets.Dataset.from_dict(rows, features=features)
    for source in (TableDataSource(made), TableDataSource(made.select([5, 4, 3, 2, 1, 0]))):
        order = source.samples_by_indices(np.arange(6))
        assert (order["image"].shape, order["image"].dtype) == ((6, 4, 5, 3), np.uint8)
        assert sorted(order["image"][:, 0, 0, 0].tolist()) == list(range(6))
    X, y = next(TableDataSource(made, features="image", target="label").batch_iterator(2, shuffle=1))
    assert ((X[:, 0, 0, 0] % 2) == y).all()
    uneven = {"image": [PIL.Image.fromarray(pixels[0]), PIL.Image.fromarray(pixels[1][:2])], "label": [0, 1]}
    with pytest.raises(TypeError, match=r"column 'image': expected values of one shape, .* SampleDataSource\(dataset"):
        list(TableDataSource(datasets.Dataset.from_dict(uneven, features=features)).batch_iterator(2))


def test_arrays_of_hugging_face_and_the_dtype_that_was_asked_for():
    features = datasets.Features({"x": datasets.Array2D((2, 3), "float64"), "n": datasets.Value("int32")})
    values = np.arange(24.0).reshape(4, 2, 3)
    made = datasets.Dataset.from_dict({"x": values.tolist(), "n": [1, 2, 3, 4]}, features=features)
    for source, dtypes in (
        (made, (np.float64, np.int32)),
        (made.with_format("numpy", dtype=np.float16), (np.float16, np.float16)),
        (made.with_format("numpy"), (np.float64, np.int32)),
    ):
        rows = next(ArrayDataSource([source]).batch_iterator(4))[0]
        assert (rows["x"].dtype, rows["n"].dtype) == dtypes
        assert rows["x"].tolist() == values.tolist()
        assert pickle.loads(pickle.dumps(source)) is not None
    with pytest.raises(TypeError, match="expected a dtype that NumPy has"):
        TableDataSource(made.with_format("numpy", dtype="bfloat17"))
