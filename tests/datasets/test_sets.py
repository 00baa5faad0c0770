"""Every standard set, read from small files in its real format: each value is what was written."""

import importlib.util
import pickle
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest

from batchup.datasets import SETS, cifar100, load, mnist, stl, svhn, usps
from batchup.datasets.errors import DatasetError
from batchup.image.utils import ImageArrayUInt8ToFloat32
from tests.datasets.small_sets import KINDS, Small, marked, small_usps

SPLIT_BY_ROWS = ["mnist", "fashion_mnist", "svhn", "cifar10", "cifar100"]


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture
def install(monkeypatch, site):
    def install(name, **sizes):
        small = KINDS[name].write(**sizes)
        KINDS[name].install(monkeypatch, site, small)
        return small

    return install


def as_float(u8, lower=0.0, upper=1.0):
    return u8.astype(np.float32) * np.float32((upper - lower) / 255) + np.float32(lower)


def is_map(array):
    # NumPy makes a plain array of an empty slice of a map.
    return not array.flags.writeable and (isinstance(array, np.memmap) or array.size == 0)


def same(array, expected, dtype):
    assert array.dtype == dtype
    np.testing.assert_array_equal(np.asarray(array), expected, strict=False)
    return array.shape == expected.shape


@pytest.mark.parametrize("n_val", [0, None, 1, 5, "all"])
@pytest.mark.parametrize("name", SPLIT_BY_ROWS)
def test_images_split_by_rows(install, name, n_val):
    small = install(name)
    n = small.samples["train"]
    count = n if n_val == "all" else n_val
    ds = KINDS[name].open(count, -1.0, 3.0)
    at = n - (count or 0)
    parts = {
        "train": (small.arrays["train_X"][:at], small.arrays["train_y"][:at]),
        "val": (small.arrays["train_X"][at:], small.arrays["train_y"][at:]),
        "test": (small.arrays["test_X"], small.arrays["test_y"]),
    }
    for part, (images, labels) in parts.items():
        u8, X, y = (getattr(ds, f"{part}_{kind}") for kind in ("X_u8", "X", "y"))
        assert is_map(u8)
        assert is_map(y)
        assert same(u8, images, np.uint8)
        assert isinstance(X, ImageArrayUInt8ToFloat32)
        assert same(X, as_float(images, -1.0, 3.0), np.float32)
        assert same(y, labels, np.int32)


@pytest.mark.parametrize("name", SPLIT_BY_ROWS)
def test_default_validation_is_the_last_10000(install, name):
    n = 10100
    small = install(name, train=n, pixels=marked)
    ds = KINDS[name].open()
    assert same(ds.train_y, small.arrays["train_y"][: n - 10000], np.int32)
    assert same(ds.val_y, small.arrays["train_y"][n - 10000 :], np.int32)
    assert same(ds.val_X_u8, small.arrays["train_X"][n - 10000 :], np.uint8)
    assert (ds.train_X[-1].max(), ds.train_X[-1].min()) == (as_float(np.uint8(99)), 0)


@pytest.mark.parametrize("name", [*SPLIT_BY_ROWS, "usps"])
@pytest.mark.parametrize("by", [1, 1000])
def test_more_validation_than_there_is(install, site, name, by):
    n = install(name).samples["train"]
    message = f"n_val must be from 0 to {n}, the number of training samples, got {n + by}"
    with pytest.raises(ValueError, match=message):
        KINDS[name].open(n + by)
    with pytest.raises(ValueError, match="got -1"):
        KINDS[name].open(-1)
    with pytest.raises(TypeError):
        KINDS[name].open(1.5)
    assert site.requests == []


def test_svhn_extra(install):
    small = install("svhn_extra")
    ds = svhn.SVHNExtra(-1.0, 1.0)
    assert is_map(ds.X_u8)
    assert same(ds.X_u8, small.arrays["extra_X"], np.uint8)
    assert same(ds.X, as_float(small.arrays["extra_X"], -1.0, 1.0), np.float32)
    assert same(ds.y, small.arrays["extra_y"], np.int32)


@pytest.mark.parametrize("n_val", [0, None, 5, 13])
def test_usps(install, n_val):
    small = install("usps")
    ds = usps.USPS(n_val)
    at = 13 - (n_val or 0)
    X, y = small.arrays["train_X"], small.arrays["train_y"]
    assert same(ds.train_X, X[:at], np.float32)
    assert same(ds.val_X, X[at:], np.float32)
    assert same(ds.test_X, small.arrays["test_X"], np.float32)
    assert same(ds.train_y, y[:at], np.int32)
    assert same(ds.val_y, y[at:], np.int32)
    assert same(ds.test_y, small.arrays["test_y"], np.int32)
    assert all(map(is_map, (ds.train_X, ds.val_X, ds.test_X, ds.train_y, ds.val_y, ds.test_y)))


def test_usps_default_validation(install):
    install("usps", train=740)
    assert (len(usps.USPS().train_X), len(usps.USPS().val_X)) == (11, 729)


def test_usps_with_other_class_counts(install, monkeypatch, site):
    """The counts of the real set are asked of whatever claims to be it."""
    install("usps")
    real = replace(usps.SET, convert=usps.convert)
    monkeypatch.setattr(usps.USPS, "dataset", real)
    with pytest.raises(DatasetError, match=r"usps\.bz2: .* samples of the classes, expected \[1194"):
        usps.USPS(0)
    assert sum(usps.PER_CLASS["train"]) == 7291
    assert sum(usps.PER_CLASS["test"]) == 2007


def test_cifar10_class_names(install):
    small = install("cifar10")
    assert KINDS["cifar10"].open(0).class_names == tuple(small.names["class_names"])


@pytest.mark.parametrize("n_val", [0, None, 70, 200])
def test_cifar100_coarse(install, n_val):
    small = install("cifar100")
    ds = cifar100.CIFAR100(n_val)
    at = 200 - (n_val or 0)
    assert same(ds.train_y_coarse, small.arrays["train_y_coarse"][:at], np.int32)
    assert same(ds.val_y_coarse, small.arrays["train_y_coarse"][at:], np.int32)
    assert same(ds.test_y_coarse, small.arrays["test_y_coarse"], np.int32)
    assert ds.class_names == tuple(small.names["class_names"])
    assert ds.class_names_coarse == tuple(small.names["class_names_coarse"])


def test_declared_class_names(install):
    install("fashion_mnist")
    install("stl")
    assert KINDS["fashion_mnist"].open(0).class_names[8:] == ("Bag", "Ankle boot")
    assert KINDS["stl"].open(0).class_names[7] == "monkey"


@pytest.mark.parametrize("n_val_folds", [0, None, 1, 3, 10])
def test_stl(install, n_val_folds):
    small = install("stl")
    X, y, folds = (small.arrays[k] for k in ("train_X", "train_y", "folds"))
    held = set(folds[10 - (n_val_folds or 0) :].ravel().tolist())
    val, train = sorted(held), sorted(set(range(50)) - held)
    ds = stl.STL(n_val_folds, 1.0, 2.0)
    for part, rows in (("train", train), ("val", val)):
        u8, X_, y_ = (getattr(ds, f"{part}_{kind}") for kind in ("X_u8", "X", "y"))
        assert same(u8, X[rows], np.uint8)
        assert same(X_, as_float(X[rows], 1.0, 2.0), np.float32)
        assert same(y_, y[rows], np.int32)
        assert not u8.flags.writeable
        assert not y_.flags.writeable
    assert same(ds.test_X, as_float(small.arrays["test_X"], 1.0, 2.0), np.float32)
    assert same(ds.test_X_u8, small.arrays["test_X"], np.uint8)
    assert same(ds.test_y, small.arrays["test_y"], np.int32)
    assert same(ds.unl_X_u8, small.arrays["unlabeled_X"], np.uint8)
    assert same(ds.tr_folds, folds, np.int32)
    assert all(map(is_map, (ds.test_X_u8, ds.unl_X_u8, ds.test_y, ds.tr_folds)))


def test_stl_default_is_the_last_fold(install):
    small = install("stl")
    rows = sorted(small.arrays["folds"][-1].tolist())
    assert same(stl.STL().val_y, small.arrays["train_y"][rows], np.int32)
    assert same(stl.STL().val_X_u8, small.arrays["train_X"][rows], np.uint8)
    assert all(map(is_map, (stl.STL().val_X_u8, stl.STL().train_X_u8)))
    assert len(pickle.dumps(stl.STL().train_X)) < 500


def test_stl_with_too_many_folds(install, site):
    install("stl")
    for count in (11, -1):
        with pytest.raises(ValueError, match=f"n_val_folds must be from 0 to 10, got {count}"):
            stl.STL(count)
    assert site.requests == []


def test_second_opening_asks_for_nothing(install, kind, site):
    install(kind.declared.name)
    kind.declared.arrays()
    asked = len(site.requests)
    assert asked == len(kind.declared.sources)
    kind.declared.arrays()
    assert len(site.requests) == asked


def test_delete_cache(install, kind, home):
    install(kind.declared.name)
    kind.declared.fetch()
    assert kind.declared.is_here
    kind.module.delete_cache()
    assert not kind.declared.is_here
    assert sorted(each.name for each in home.iterdir()) == [".work"]
    assert list((home / ".work").iterdir()) == []
    kind.module.delete_cache()


def test_only_the_cache_is_left(install, kind, home):
    """Neither the downloads nor the lock; and files that a group can read, as the umask says."""
    install(kind.declared.name)
    kind.declared.fetch()
    assert sorted(each.name for each in home.iterdir()) == [".work", kind.declared.name]
    assert list((home / ".work").iterdir()) == []
    modes = {each.stat().st_mode & 0o444 for each in (home / kind.declared.name).iterdir()}
    assert modes == {0o444}


def test_damaged_cache_is_refused(install, home):
    install("mnist")
    mnist.MNIST(0)
    file = home / "mnist" / "test_X.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"test_X\.npy has .* bytes, expected .*\n.*delete mnist"):
        mnist.MNIST(0)
    file.unlink()
    with pytest.raises(DatasetError, match=r"test_X\.npy is missing"):
        mnist.MNIST(0)


def test_svhn_without_scipy(install, monkeypatch, site):
    install("svhn")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("batchup.datasets.standard.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"svhn can't be read without scipy: .*batchup\[svhn\]"):
        svhn.SVHN(0)
    assert site.requests == []


def test_svhn_that_is_here_needs_no_scipy(install, monkeypatch):
    install("svhn")
    svhn.SVHN(0)
    monkeypatch.setattr("batchup.datasets.standard.find_spec", lambda name: None)
    svhn.SVHN(0)


def test_small_usps_has_absent_entries():
    small: Small = small_usps()
    assert (small.arrays["train_X"] == 0.5).any()


# The declarations, as data.


def test_every_set_is_listed():
    assert [name for name in SETS if load(name).sources] == list(KINDS)
    assert {name: load(name).name for name in SETS} == {name: name for name in SETS}


def test_no_two_sets_share_a_directory():
    assert len({load(name).path for name in SETS}) == len(SETS)


def test_pinned_files(kind):
    for source in kind.declared.sources:
        assert len(source.sha256) == 64
        assert source.urls
        for url in source.urls:
            http_only = url.startswith(("http://ufldl.stanford.edu/housenumbers/", "http://ai.stanford.edu/~acoates/"))
            assert urlsplit(url).scheme == ("http" if http_only else "https")
        # The host of USPS tells no sizes.
        assert (source.size or 0) > 0 or kind.module is usps


def test_no_two_files_have_the_same_hash():
    hashes = [source.sha256 for name in SETS for source in load(name).sources]
    assert len(hashes) == len(set(hashes)) == 4 + 4 + 3 + 1 + 1 + 1 + 2


@pytest.mark.parametrize(
    ("name", "size", "samples"),
    [
        ("mnist", 9912422 + 28881 + 1648877 + 4542, [60000, 10000]),
        ("fashion_mnist", 26421880 + 29515 + 4422102 + 5148, [60000, 10000]),
        ("svhn", 182040794 + 64275384, [73257, 26032]),
        ("svhn_extra", 1329278602, [531131]),
        ("cifar10", 170052171, [50000, 10000]),
        ("cifar100", 168513733, [50000, 10000]),
        ("stl", 2640397119, [5000, 8000, 100000]),
        ("usps", 0, [7291, 2007]),
    ],
)
def test_real_sizes(name, size, samples):
    assert load(name).download_size == size
    assert list(load(name).samples.values()) == samples


def test_fine_to_coarse_map_is_five_each():
    assert np.bincount(cifar100.COARSE_OF_FINE).tolist() == [5] * 20
