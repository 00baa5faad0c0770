"""A user's data set, with the public functions."""

import hashlib
import json
import os
import stat

import numpy as np
import pytest

from batchup.config import ConfigError
from batchup.datasets.dataset import (
    CopySourceFile,
    DownloadSourceFile,
    ExistingSourceFile,
    delete_dataset_cache,
    fetch_and_convert_dataset,
)
from batchup.datasets.errors import DatasetError, FetchError
from tests.datasets.site_under_test import dead_url, status, whole

DATA = b"some numbers: 1 2 3"
SHA256 = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def fetcher(*sources, target="mine.bin"):
    """A fetching function that copies its sources into one file, and counts its calls."""

    @fetch_and_convert_dataset(sources, target)
    def fetch_mine(source_paths, target_path):
        """My own set."""
        fetch_mine.calls.append([path.name for path in source_paths])
        target_path.write_bytes(b"".join(path.read_bytes() for path in source_paths))
        return target_path

    fetch_mine.calls = []
    return fetch_mine


def everything_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_download_convert_and_keep(home, site):
    site.serve("set", {"a": DATA, "b": b"more"})
    fetch = fetcher(
        DownloadSourceFile("a", base_url=site.url("/set"), sha256=SHA256.upper(), size=len(DATA)),
        DownloadSourceFile("b", url=site.url("/set/b")),
    )
    assert fetch() == home / "mine.bin"
    assert fetch() == home / "mine.bin"
    assert (home / "mine.bin").read_bytes() == DATA + b"more"
    assert fetch.calls == [["a", "b"]]
    assert len(site.requests) == 2
    assert everything_in(home) == ["mine.bin"]
    assert (fetch.__name__, fetch.__doc__) == ("fetch_mine", "My own set.")


def test_several_urls_in_order(site):
    site.serve("set", {"a": DATA})
    fetch = fetcher(DownloadSourceFile("a", [dead_url(), site.url("/nothing"), site.url("/set/a")]))
    assert fetch().read_bytes() == DATA
    assert [path for path, _ in site.requests] == ["/nothing", "/set/a"]


def test_directory_is_sealed(home, tmp_path):
    (tmp_path / "numbers").write_bytes(DATA)

    @fetch_and_convert_dataset([ExistingSourceFile(tmp_path / "numbers")], "mine")
    def fetch_mine(source_paths, target_path):
        (target_path / "sub").mkdir(parents=True)
        np.save(target_path / "sub" / "x.npy", np.arange(3))
        return target_path

    assert fetch_mine() == home / "mine"
    assert np.load(home / "mine" / "sub" / "x.npy").tolist() == [0, 1, 2]
    record = json.loads((home / "mine" / "meta.json").read_text())
    file = home / "mine" / "sub" / "x.npy"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert record["sources"] == [{"name": "numbers", "sha256": SHA256}]
    assert record["files"] == {"sub/x.npy": {"size": file.stat().st_size, "sha256": sha256}}


def test_name_of_the_record_is_taken(home, tmp_path):
    @fetch_and_convert_dataset([], "mine")
    def fetch_mine(source_paths, target_path):
        target_path.mkdir()
        (target_path / "meta.json").write_text("mine!")

    with pytest.raises(DatasetError, match=r"meta\.json is reserved for the record"):
        fetch_mine()


def test_foreign_directory_is_left_alone(home):
    (home / "mine.bin").mkdir(parents=True)
    (home / "mine.bin" / "thesis.txt").write_text("dear")
    with pytest.raises(DatasetError, match=r"mine\.bin has no meta\.json.*move it away"):
        fetcher()()
    assert everything_in(home) == ["mine.bin/thesis.txt"]


def test_save_by_name_keeps_the_suffix(home):
    """np.save adds .npy to a name without it."""

    @fetch_and_convert_dataset([], "mine.npy")
    def fetch_mine(source_paths, target_path):
        np.save(target_path, np.arange(3))
        return target_path

    assert np.load(fetch_mine(), mmap_mode="r").tolist() == [0, 1, 2]


def test_conversion_that_writes_nothing(home):
    @fetch_and_convert_dataset([], "mine.bin")
    def fetch_mine(source_paths, target_path):
        return "elsewhere"

    with pytest.raises(DatasetError, match=r"must write to target_path.*it returned 'elsewhere'"):
        fetch_mine()
    assert everything_in(home) == [".work/mine.bin.lock"]


def test_conversion_that_fails_half_way(home, site):
    """What it wrote is gone, its error comes through, and the download is not repeated."""
    site.serve("set", {"a": DATA})
    fails = [True]

    @fetch_and_convert_dataset([DownloadSourceFile("a", base_url=site.url("/set"))], "mine.bin")
    def fetch_mine(source_paths, target_path):
        target_path.write_bytes(b"half")
        if fails:
            raise ZeroDivisionError("mine")
        target_path.write_bytes(source_paths[0].read_bytes())
        return target_path

    with pytest.raises(ZeroDivisionError, match="mine"):
        fetch_mine()
    assert everything_in(home) == [".work/mine.bin.lock", ".work/mine.bin/fetched/a"]
    fails.clear()
    assert fetch_mine().read_bytes() == DATA
    assert len(site.requests) == 1
    assert everything_in(home) == ["mine.bin"]


def test_left_over_download_that_was_spoilt_is_got_again(home, site):
    site.serve("set", {"a": DATA})
    left = home / ".work" / "mine.bin" / "fetched" / "a"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"?" * len(DATA))
    fetch = fetcher(DownloadSourceFile("a", base_url=site.url("/set"), sha256=SHA256))
    assert fetch().read_bytes() == DATA


def test_wrong_hash_everywhere_leaves_nothing(home, site, monkeypatch):
    site.serve("set", {"a": DATA})
    monkeypatch.setenv("BATCHUP_MIRROR", f"{site.url('/m1')} {site.url('/m2/')}")
    site.pages["/m1/mine.bin/a"] = [whole(b"wrong")]
    fetch = fetcher(DownloadSourceFile("a", base_url=site.url("/set"), sha256=OTHER))
    with pytest.raises(FetchError) as caught:
        fetch()
    message = str(caught.value)
    for url in ("/m1/mine.bin/a", "/m2/mine.bin/a", "/set/a"):
        assert f"{site.url(url)}: " in message
    assert f"or put the file at {home / 'downloads' / 'mine.bin' / 'a'}" in message
    # An empty lock file is no more than the place where the next run waits.
    assert everything_in(home) == [".work/mine.bin.lock"]


# Mirrors


def test_mirror_comes_first(site, monkeypatch):
    monkeypatch.setenv("BATCHUP_MIRROR", site.url("/mirror"))
    site.serve("mirror/mine.bin", {"a": DATA})
    fetch = fetcher(DownloadSourceFile("a", url=dead_url(), sha256=SHA256))
    assert fetch().read_bytes() == DATA


def test_mirror_with_another_file_is_passed_over(site, monkeypatch):
    monkeypatch.setenv("BATCHUP_MIRROR", site.url("/mirror"))
    site.serve("mirror/mine.bin", {"a": b"evil"})
    site.serve("set", {"a": DATA})
    fetch = fetcher(DownloadSourceFile("a", base_url=site.url("/set"), sha256=SHA256))
    assert fetch().read_bytes() == DATA


def test_mirror_is_not_asked_for_what_has_no_hash(site, monkeypatch):
    monkeypatch.setenv("BATCHUP_MIRROR", site.url("/mirror"))
    site.serve("mirror/mine.bin", {"a": b"evil"})
    site.serve("set", {"a": DATA})
    assert fetcher(DownloadSourceFile("a", base_url=site.url("/set")))().read_bytes() == DATA


def test_mirror_can_be_a_folder(tmp_path, monkeypatch):
    (tmp_path / "usb stick" / "mine.bin").mkdir(parents=True)
    (tmp_path / "usb stick" / "mine.bin" / "a").write_bytes(DATA)
    monkeypatch.setenv("BATCHUP_MIRROR", (tmp_path / "usb stick").as_uri())
    assert fetcher(DownloadSourceFile("a", dead_url(), sha256=SHA256))().read_bytes() == DATA


def test_names_with_spaces(site, monkeypatch):
    monkeypatch.setenv("BATCHUP_MIRROR", site.url("/mirror"))
    site.serve("set", {"a%20b": DATA})
    source = DownloadSourceFile("a b", base_url=site.url("/set"), sha256=SHA256)
    assert fetcher(source, target="my set")().read_bytes() == DATA
    assert [path for path, _ in site.requests] == ["/mirror/my%20set/a%20b", "/set/a%20b"]


def test_mirror_that_is_no_url(site, monkeypatch):
    monkeypatch.setenv("BATCHUP_MIRROR", "mirror.example/sets")
    with pytest.raises(ConfigError, match=r"BATCHUP_MIRROR must be .* got 'mirror\.example/sets'"):
        fetcher(DownloadSourceFile("a", site.url("/set/a"), sha256=SHA256))()


# Files put in place by hand


def put_by_hand(home, data, name="a"):
    path = home / "downloads" / "mine.bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_no_network_but_a_file_put_in_place(home, sha256):
    path = put_by_hand(home, DATA)
    assert fetcher(DownloadSourceFile("a", dead_url(), sha256=sha256))().read_bytes() == DATA
    delete_dataset_cache("mine.bin")
    assert path.read_bytes() == DATA


def test_wrong_file_put_in_place(home):
    path = put_by_hand(home, b"wrong")
    with pytest.raises(FetchError) as caught:
        fetcher(DownloadSourceFile("a", dead_url(), sha256=SHA256))()
    found = hashlib.sha256(b"wrong").hexdigest()
    assert f"{path}: its SHA-256 is {found}, expected {SHA256}" in str(caught.value)
    assert path.read_bytes() == b"wrong"


def test_wrong_file_put_in_place_does_not_stop_the_network(home, site):
    put_by_hand(home, b"wrong")
    site.serve("set", {"a": DATA})
    fetch = fetcher(DownloadSourceFile("a", base_url=site.url("/set"), sha256=SHA256))
    assert fetch().read_bytes() == DATA


def test_two_sets_with_the_same_file_names(home, site):
    site.serve("one", {"a": b"one"})
    site.serve("two", {"a": b"two"})
    one = fetcher(DownloadSourceFile("a", base_url=site.url("/one")), target="one")
    two = fetcher(DownloadSourceFile("a", base_url=site.url("/two")), target="two")
    assert (one().read_bytes(), two().read_bytes()) == (b"one", b"two")


# Copied and existing files


def test_copied_file(tmp_path, home):
    (tmp_path / "source").write_bytes(DATA)
    assert fetcher(CopySourceFile("a", tmp_path / "source", sha256=SHA256))().read_bytes() == DATA
    assert everything_in(home) == ["mine.bin"]


def test_copied_file_named_by_an_argument(tmp_path):
    (tmp_path / "source").write_bytes(DATA)
    fetch = fetcher(CopySourceFile("a", arg_name="numbers"))
    with pytest.raises(TypeError, match=r"mine\.bin is not here yet: pass numbers=, the path of a"):
        fetch()
    with pytest.raises(TypeError, match=r"mine\.bin takes numbers, got letters"):
        fetch(letters=tmp_path)
    assert fetch(numbers=str(tmp_path / "source")).read_bytes() == DATA
    assert fetch().read_bytes() == DATA


def test_argument_goes_before_the_path(tmp_path):
    (tmp_path / "source").write_bytes(DATA)
    fetch = fetcher(CopySourceFile("a", source_path=tmp_path / "missing", arg_name="numbers"))
    assert fetch(numbers=tmp_path / "source").read_bytes() == DATA


@pytest.mark.parametrize("kind", [CopySourceFile, ExistingSourceFile])
def test_local_file_that_is_missing_or_wrong(tmp_path, home, kind):
    path = tmp_path / "source"
    names = {"filename": "a", "source_path": path} if kind is CopySourceFile else {"path": path}
    fetch = fetcher(kind(**names, sha256=OTHER))
    with pytest.raises(FetchError, match="source: no such file"):
        fetch()
    path.write_bytes(DATA)
    with pytest.raises(FetchError, match=f"source: its SHA-256 is {SHA256}, expected {OTHER}"):
        fetch()
    assert everything_in(home) == [".work/mine.bin.lock"]
    assert path.read_bytes() == DATA


# What is refused when it is built


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DownloadSourceFile("a"), "a: give either url or base_url, got url=None"),
        (lambda: DownloadSourceFile("a", "http://a", "http://b"), "give either url or base_url"),
        (lambda: DownloadSourceFile("a", url=[]), "a: needs URLs to be downloaded from"),
        (lambda: DownloadSourceFile("a", url="a.example"), r"got \('a\.example',\)"),
        (lambda: DownloadSourceFile("../a", url="http://a"), "must be a plain file name"),
        (lambda: DownloadSourceFile("", url="http://a"), "must be a plain file name"),
        (lambda: DownloadSourceFile("a", url="http://a", sha256="12"), "64 hexadecimal digits"),
        (lambda: DownloadSourceFile("a", url="http://a", sha256="g" * 64), "64 hexadecimal"),
        (lambda: DownloadSourceFile("a", url="http://a", size=-1), "number of bytes, got -1"),
        (lambda: CopySourceFile("a"), "a: give source_path or arg_name, got neither"),
        (lambda: CopySourceFile("a/b", arg_name="x"), "must be a plain file name"),
        (lambda: CopySourceFile("a", arg_name="x", sha256="12"), "64 hexadecimal digits"),
        (lambda: ExistingSourceFile("a", sha256="12"), "64 hexadecimal digits"),
        (lambda: fetcher(target="a/b"), "target_filename must be a plain file name"),
        (lambda: fetcher(target=".work"), "target_filename must be a plain file name"),
        (lambda: fetcher(target="downloads"), "target_filename can't be 'downloads'"),
        (
            lambda: fetcher(CopySourceFile("a", "x"), CopySourceFile("a", "y")),
            r"mine\.bin: two source files are called a",
        ),
        (lambda: delete_dataset_cache("../x"), "filename must be a plain file name"),
    ],
)
def test_refused_when_built(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# Deleting, permissions


def test_delete_removes_what_was_downloaded_of_a_failed_run(home, site):
    site.serve("set", {"a": DATA})
    site.pages["/set/b"] = [status(404)]
    fetch = fetcher(
        DownloadSourceFile("a", base_url=site.url("/set")), DownloadSourceFile("b", base_url=site.url("/set"))
    )
    with pytest.raises(FetchError, match="b could not be downloaded"):
        fetch()
    assert ".work/mine.bin/fetched/a" in everything_in(home)
    delete_dataset_cache("mine.bin", "never-was-there")
    assert everything_in(home) == []


def test_files_are_as_the_umask_says(home, site):
    site.serve("set", {"a": DATA})
    before = os.umask(0o002)
    try:
        fetcher(DownloadSourceFile("a", base_url=site.url("/set")))()
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "mine.bin").stat().st_mode) == 0o664
    assert stat.S_IMODE(home.stat().st_mode) == 0o775


def test_paths_may_be_functions_and_absolute(tmp_path, home):
    """As in 0.2.3; functions are called when the files are needed."""
    called = []

    def source():
        called.append("source")
        return tmp_path / "numbers.csv"

    def target():
        called.append("target")
        return tmp_path / "made" / "sum.txt"

    sources = [ExistingSourceFile(source), ExistingSourceFile(tmp_path / "more.csv")]

    def convert(source_paths, target_path):
        target_path.write_text(str(sum(int(path.read_text()) for path in source_paths)))
        return target_path

    fetches = [
        fetch_and_convert_dataset(sources, target)(convert),
        fetch_and_convert_dataset(sources, tmp_path / "absolute" / "sum.txt")(convert),
        fetch_and_convert_dataset(sources, str(tmp_path / "text.txt"))(convert),
        fetch_and_convert_dataset(sources, lambda: "in_the_data_directory.txt")(convert),
    ]
    assert called == []
    (tmp_path / "numbers.csv").write_text("40")
    (tmp_path / "more.csv").write_text("2")
    for fetch, path in zip(
        fetches,
        [
            tmp_path / "made" / "sum.txt",
            tmp_path / "absolute" / "sum.txt",
            tmp_path / "text.txt",
            home / "in_the_data_directory.txt",
        ],
        strict=True,
    ):
        for _ in range(2):
            assert fetch() == path
        assert path.read_text() == "42"


def test_what_is_no_path(tmp_path):
    with pytest.raises(TypeError, match="path: expected a path, or a function that returns one; got 3"):
        ExistingSourceFile(3)
    for wrong in ("a/b.txt", "../x", "downloads", str(tmp_path / ".hidden")):
        with pytest.raises(ValueError, match="target_filename"):
            fetch_and_convert_dataset([], wrong)
    with pytest.raises(ValueError, match="target_filename"):
        fetch_and_convert_dataset([], lambda: "a/b.txt")(lambda sources, target: target)()
