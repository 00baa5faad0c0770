"""Files that are not what their format or their set says: refused, by name and with the reason."""

import bz2
import gzip
import io
import itertools
import re
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from batchup.datasets.errors import FormatError
from batchup.datasets.formats import checked_labels, tar_members, write_npy
from tests.datasets.small_sets import KINDS, folder, idx_gz, labels, libsvm_bz2, marked, mat, noise, records, tar_gz

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
PIXELS = noise((13, 28, 28))
CIFAR10, CIFAR100, STL = ("cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz", "stl10_binary.tar.gz")


def unpacked(data):
    """The members of a .tar.gz by name."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isreg()}


def repacked(name, archive, **changes):
    """A small set's archive with members changed: by bytes, or left out if None."""
    members = unpacked(KINDS[name].write().files[archive])
    (root,) = {member.split("/")[0] for member in members}
    for member, change in changes.items():
        key = next(k for k in members if k.endswith(f"/{member.replace('__', '.')}"))
        before = members.pop(key)
        data = change(before) if callable(change) else change
        if data is not None:
            members[key] = data
    return tar_gz([folder(root), *members.items()])


def wrong_coarse(data):
    """The two label bytes of the first record exchanged."""
    return data[:1] + bytes([data[1] ^ 1]) + data[2:]


def idx_bytes(array):
    return gzip.decompress(idx_gz(array))


def svhn_with(**variables):
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, variables)
    return file.getvalue()


CASES = {
    "IDX cut when packed": ("mnist", IMAGES, idx_gz(PIXELS)[:-100], "ended before"),
    "IDX cut before it was packed": (
        "mnist",
        IMAGES,
        gzip.compress(idx_bytes(PIXELS)[:-1]),
        f"{16 + 13 * 784 - 1} bytes unpacked, expected {16 + 13 * 784}",
    ),
    "IDX padded": (
        "fashion_mnist",
        IMAGES,
        gzip.compress(idx_bytes(PIXELS) + b"\0"),
        f"{16 + 13 * 784 + 1} bytes unpacked, expected {16 + 13 * 784}",
    ),
    "IDX of another kind": ("mnist", IMAGES, idx_gz(labels(13)), "magic is 0x00000801, expected 0x00000803"),
    "IDX labels of another kind": ("mnist", LABELS, idx_gz(PIXELS), "magic is 0x00000803, expected 0x00000801"),
    "IDX shorter than its header": ("mnist", IMAGES, gzip.compress(b"\0\0\x08\x03"), "too few"),
    "IDX of another count": ("mnist", IMAGES, idx_gz(PIXELS[:12]), "shape is (12, 28, 28), expected (13, 28, 28)"),
    "IDX of another image size": (
        "mnist",
        IMAGES,
        idx_gz(noise((13, 28, 27))),
        "shape is (13, 28, 27), expected (13, 28, 28)",
    ),
    "IDX labels too high": ("mnist", LABELS, idx_gz(labels(13) + 1), "labels must be 0 to 9, got [10]"),
    "not gzip": ("mnist", IMAGES, b"<html>sorry</html>", "Not a gzipped file"),
    "gzip that was spoilt": ("mnist", IMAGES, idx_gz(PIXELS)[:2000] + bytes(100) + idx_gz(PIXELS)[2100:], ""),
    "MAT cut": ("svhn", "train_32x32.mat", mat(noise((13, 3, 32, 32)), labels(13))[:9000], ""),
    "not MAT": ("svhn", "train_32x32.mat", b"<html>sorry</html>" * 20, ""),
    "empty MAT": ("svhn", "train_32x32.mat", b"", ""),
    "MAT of another count": (
        "svhn",
        "train_32x32.mat",
        mat(noise((12, 3, 32, 32)), labels(12)),
        "X has shape (32, 32, 3, 12), expected (32, 32, 3, 13)",
    ),
    "MAT without labels": ("svhn", "train_32x32.mat", svhn_with(X=noise((32, 32, 3, 13))), "has no variable y"),
    "MAT of floats": (
        "svhn",
        "train_32x32.mat",
        svhn_with(X=np.zeros((32, 32, 3, 13)), y=np.ones((13, 1))),
        "X is float64, expected uint8",
    ),
    "MAT with a label 0": (
        "svhn",
        "train_32x32.mat",
        svhn_with(X=noise((32, 32, 3, 13)), y=np.zeros((13, 1), np.uint8)),
        "labels must be 1 to 10, got [0]",
    ),
    "tar cut": ("cifar10", CIFAR10, KINDS["cifar10"].write().files[CIFAR10][:-3000], ""),
    "not tar": ("cifar10", CIFAR10, b"<html>sorry</html>", "not a gzip file"),
    "tar without a batch": (
        "cifar10",
        CIFAR10,
        repacked("cifar10", CIFAR10, data_batch_3__bin=None),
        "has no member cifar-10-batches-bin/data_batch_3.bin",
    ),
    "batch cut": (
        "cifar10",
        CIFAR10,
        repacked("cifar10", CIFAR10, data_batch_3__bin=lambda data: data[:-1]),
        "member 'cifar-10-batches-bin/data_batch_3.bin' has 9218 bytes, expected 9219",
    ),
    "batch padded": (
        "cifar100",
        CIFAR100,
        repacked("cifar100", CIFAR100, test__bin=lambda data: data + b"\0"),
        "member 'cifar-100-binary/test.bin' has 307401 bytes, expected 307400",
    ),
    "CIFAR-10 label too high": (
        "cifar10",
        CIFAR10,
        repacked("cifar10", CIFAR10, test_batch__bin=lambda data: b"\x0a" + data[1:]),
        "labels must be 0 to 9, got [10]",
    ),
    "class name missing": (
        "cifar10",
        CIFAR10,
        repacked("cifar10", CIFAR10, batches__meta__txt=b"cat\n\n"),
        "names 1 classes, expected 10",
    ),
    "coarse label of another fine one": (
        "cifar100",
        CIFAR100,
        repacked("cifar100", CIFAR100, train__bin=lambda data: bytes([data[0] ^ 1]) + data[1:]),
        "train.bin has coarse labels that don't belong to the fine ones",
    ),
    "fine classes not even": (
        "cifar100",
        CIFAR100,
        repacked("cifar100", CIFAR100, train__bin=lambda data: data[:1] + b"\1" + data[2:]),
        "train.bin must have 2 images of every fine class",
    ),
    "STL label 0": (
        "stl",
        STL,
        repacked("stl", STL, train_y__bin=lambda data: b"\0" + data[1:]),
        "labels must be 1 to 10, got [0]",
    ),
    "STL image cut": (
        "stl",
        STL,
        repacked("stl", STL, unlabeled_X__bin=lambda data: data[:-1]),
        "has 331775 bytes, expected 331776",
    ),
    "STL fold that is no number": (
        "stl",
        STL,
        repacked("stl", STL, fold_indices__txt=b"one\n"),
        "fold_indices.txt: invalid literal for int",
    ),
    "class names that are no text": (
        "cifar10",
        CIFAR10,
        repacked("cifar10", CIFAR10, batches__meta__txt=b"\xff\xfe"),
        "can't decode byte 0xff",
    ),
    "STL fold missing": (
        "stl",
        STL,
        repacked("stl", STL, fold_indices__txt=b"1 2 3\n"),
        "folds have [3] indices, expected [10,",
    ),
    "STL fold index too high": (
        "stl",
        STL,
        repacked("stl", STL, fold_indices__txt=b"50 1 2 3 4 5 6 7 8 9\n" * 10),
        "fold indices must be 0 to 49",
    ),
    "bz2 cut": ("usps", "usps.bz2", KINDS["usps"].write().files["usps.bz2"][:-9], "ended before"),
    "not bz2": ("usps", "usps.bz2", b"<html>sorry</html>", "Invalid data stream"),
    "USPS sample missing": (
        "usps",
        "usps.bz2",
        libsvm_bz2(np.ones((12, 256)), labels(12).tolist()),
        "12 samples, expected 13",
    ),
    "USPS no number": (
        "usps",
        "usps.bz2",
        bz2.compress(b"1 1:0.5\n" * 12 + b"1 1:half\n"),
        "line 13: could not convert string to float: 'half'",
    ),
    "USPS no pair": ("usps", "usps.bz2", bz2.compress(b"1 5\n" * 13), "line 1: "),
    "USPS pixel 0": (
        "usps",
        "usps.bz2",
        bz2.compress(b"1 0:0.5\n" * 13),
        "line 1: needs i from 1 to 256 and v from -1 to 1",
    ),
    "USPS not a number": (
        "usps",
        "usps.bz2",
        bz2.compress(b"1 1:nan\n" * 13),
        "line 1: needs i from 1 to 256 and v from -1 to 1",
    ),
    "USPS label 11": ("usps", "usps.bz2", bz2.compress(b"11 1:1\n" * 13), "labels must be 1 to 10"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(case, monkeypatch, site, home):
    name, file, data, reason = CASES[case]
    kind = KINDS[name]
    small = kind.write()
    kind.install(monkeypatch, site, replace(small, files={**small.files, file: data}))
    with pytest.raises(FormatError, match=f"{re.escape(file)}: .*{re.escape(reason)}"):
        kind.declared.fetch()
    assert not kind.declared.is_here
    assert list(home.rglob("*.npy")) == []


# Members of an archive


def member(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("../evil", b"x"), ("set/a", b"abc")], "member '../evil' lies outside the archive"),
        ([("set/../../evil", b"x")], "member 'set/../../evil' lies outside the archive"),
        ([("/etc/evil", b"x")], "member '/etc/evil' lies outside the archive"),
        ([(member("set/a", tarfile.SYMTYPE, "/etc/passwd"), b"")], "member 'set/a' is no plain"),
        ([(member("set/a", tarfile.LNKTYPE, "set/b"), b"")], "member 'set/a' is no plain file"),
        ([(member("set/pipe", tarfile.FIFOTYPE), b"")], "member 'set/pipe' is no plain file"),
        ([(member("set/null", tarfile.CHRTYPE), b"")], "member 'set/null' is no plain file"),
        ([("set/a", b"abcd")], "member 'set/a' has 4 bytes, expected 3"),
        ([("set/a", b"")], "member 'set/a' has 0 bytes, expected 3"),
        ([("set/a", b"abc"), ("set/a", b"abd")], "member 'set/a' is there twice"),
        ([folder("set/a")], "has no member set/a"),
        ([("other/a", b"abc")], "has no member set/a"),
        ([], "has no member set/a"),
    ],
)
def test_refused_member(tmp_path, members, reason):
    path = tmp_path / "set.tar.gz"
    path.write_bytes(tar_gz(members))
    with pytest.raises(FormatError, match=f"{re.escape(str(path))}: {re.escape(reason)}"):
        list(tar_members(path, {"set/a": 3}))
    assert [each.name for each in tmp_path.iterdir()] == ["set.tar.gz"]


def test_wanted_members_in_the_archives_order(tmp_path):
    path = tmp_path / "set.tar.gz"
    path.write_bytes(tar_gz([folder("s"), ("s/b", b"bb"), ("s/c", b"c"), ("s/a", b"aaa")]))
    found = [(name, read()) for name, read in tar_members(path, {"s/a": 3, "s/b": None})]
    assert found == [("s/b", b"bb"), ("s/a", b"aaa")]


# Small parts


@pytest.mark.parametrize("blocks", [[], [2], [3, 3], [3, 2, 1]])
def test_write_npy_from_blocks(tmp_path, blocks):
    whole = noise((sum(blocks), 4, 2))
    at = np.cumsum([0, *blocks])
    parts = [whole[i:j] for i, j in itertools.pairwise(at)]
    write_npy(tmp_path / "x.npy", whole.shape, np.uint8, iter(parts))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), whole)


def test_write_npy_of_the_wrong_rows(tmp_path):
    with pytest.raises(ValueError, match=r"x\.npy must have 3 rows, got 2"):
        write_npy(tmp_path / "x.npy", (3, 2), np.uint8, [np.zeros((2, 2))])
    with pytest.raises(ValueError, match=r"rows of x\.npy are \(2,\), got \(3,\)"):
        write_npy(tmp_path / "x.npy", (3, 2), np.uint8, [np.zeros((3, 3))])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_labels_count_from_0(tmp_path, dtype):
    found = checked_labels(np.array([1, 10, 2], dtype), 10, tmp_path, first=1)
    assert found.dtype == np.int32
    assert found.tolist() == [0, 9, 1]


def test_records_are_label_then_planes():
    """The writer of these tests is held to the format too."""
    image = marked((2, 3, 32, 32))
    data = records(image, np.array([7, 8]))
    assert len(data) == 2 * 3073
    assert (data[0], data[3073], data[3073 + 1 + 1]) == (7, 8, 1)
