"""Small files in the real format of every standard set, and what must be read from them."""

import bz2
import gzip
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType

import numpy as np

from batchup.datasets import cifar10, cifar100, fashion_mnist, mnist, stl, svhn, usps
from batchup.datasets.dataset import DownloadSourceFile


@dataclass(frozen=True)
class Small:
    """A set's files, by name in the order of its sources, and the arrays that went in."""

    files: Mapping[str, bytes]
    arrays: Mapping[str, np.ndarray]
    names: Mapping[str, list[str]]
    samples: Mapping[str, int]


@dataclass(frozen=True)
class Kind:
    """How a standard set is made small: its module, what is in it and what writes the files."""

    module: ModuleType
    cls: str
    write: Callable[..., Small]
    attribute: str = "SET"

    @property
    def declared(self):
        return getattr(self.module, self.attribute)

    def open(self, *args, **kwargs):
        return getattr(self.module, self.cls)(*args, **kwargs)

    def install(self, monkeypatch, site, small):
        """Let the set be made of `small`, served by `site`: only numbers and addresses change."""
        base_url = site.serve(self.declared.name, small.files)
        sources = tuple(
            DownloadSourceFile(name, base_url=base_url, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for name, data in small.files.items()
        )
        convert = self.declared.convert
        if self.module is usps:
            counts = {part: np.bincount(small.arrays[f"{part}_y"], minlength=10).tolist() for part in small.samples}
            convert = partial(convert, per_class=counts)
        declared = replace(self.declared, sources=sources, samples=small.samples, convert=convert)
        monkeypatch.setattr(self.module, self.attribute, declared)
        monkeypatch.setattr(getattr(self.module, self.cls), "dataset", declared)


def record_as_real(path, sources):
    """Have the record of a small set say that it was made of the real files, which can't be had here."""
    record = json.loads((path / "meta.json").read_text())
    record["sources"] = [{"name": source.filename, "sha256": source.sha256} for source in sources]
    (path / "meta.json").write_text(json.dumps(record))


def noise(shape):
    """Pixels no two of which can be mistaken for each other's neighbours."""
    return np.random.default_rng(len(shape) + shape[0]).integers(0, 256, shape, dtype=np.uint8)


def marked(shape):
    """Many images that are soon packed: all black but for a number in one corner."""
    images = np.zeros(shape, np.uint8)
    images[:, 0, 0, 1] = np.arange(shape[0]) % 251
    return images


def labels(n, classes=10):
    """Every class about as often, in no order."""
    return np.random.default_rng(n).permutation(np.arange(n) % classes)


def images_and_labels(samples, shape, pixels):
    """`<part>_X` and `<part>_y` of each part."""
    images = {f"{part}_X": pixels((n, *shape)) for part, n in samples.items()}
    return images | {f"{part}_y": labels(n) for part, n in samples.items()}


def idx_gz(array):
    """Format as on MNIST's page: magic 0x08 and the number of dimensions, sizes, bytes."""
    header = struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), 1)


def mat(images, digits):
    from scipy.io import savemat

    file = io.BytesIO()
    stored = np.where(digits == 0, 10, digits).astype(np.uint8)[:, None]
    savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": stored}, do_compression=True)
    return file.getvalue()


def tar_gz(members):
    """`members` are (name, bytes) or (TarInfo, bytes) pairs, in the order of the archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for member, data in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def folder(name):
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info, b""


def libsvm_bz2(values, ys):
    """1-based labels and indices, zeros left out, as the real file has them."""
    lines = [
        " ".join([str(y + 1), *(f"{i + 1}:{v:g}" for i, v in enumerate(row) if v != 0)]) + " \n"
        for row, y in zip(values, ys, strict=True)
    ]
    return bz2.compress("".join(lines).encode())


def small_idx(train=13, test=7, pixels=noise):
    samples = {"train": train, "test": test}
    arrays = images_and_labels(samples, (1, 28, 28), pixels)
    files = {
        "train-images-idx3-ubyte.gz": idx_gz(arrays["train_X"][:, 0]),
        "train-labels-idx1-ubyte.gz": idx_gz(arrays["train_y"]),
        "t10k-images-idx3-ubyte.gz": idx_gz(arrays["test_X"][:, 0]),
        "t10k-labels-idx1-ubyte.gz": idx_gz(arrays["test_y"]),
    }
    return Small(files, arrays, {}, samples)


def small_svhn(train=13, test=11, pixels=noise):
    return _small_mat({"train": train, "test": test}, pixels)


def small_svhn_extra(extra=23, pixels=noise):
    return _small_mat({"extra": extra}, pixels)


def _small_mat(samples, pixels):
    arrays = images_and_labels(samples, (3, 32, 32), pixels)
    files = {f"{part}_32x32.mat": mat(arrays[f"{part}_X"], arrays[f"{part}_y"]) for part in samples}
    return Small(files, arrays, {}, samples)


def records(images, *labellings):
    """CIFAR's records: the labels' bytes, then the pixels plane by plane."""
    columns = [each[:, None] for each in labellings]
    return np.hstack([*columns, images.reshape(len(images), -1)]).astype(np.uint8).tobytes()


def small_cifar10(train=15, test=7, pixels=noise):
    samples = {"train": train, "test": test}
    arrays = images_and_labels(samples, (3, 32, 32), pixels)
    names = [f"kind{i}" for i in range(10)]
    root, each = "cifar-10-batches-bin", train // 5
    batches = [
        (
            f"{root}/data_batch_{i + 1}.bin",
            records(arrays["train_X"][i * each :][:each], arrays["train_y"][i * each :][:each]),
        )
        for i in range(5)
    ]
    archive = tar_gz(
        [
            folder(root),
            batches[3],
            (f"{root}/readme.html", b"<html>"),
            *batches[:3],
            (f"{root}/batches.meta.txt", "".join(f"{n}\n" for n in names).encode() + b"\n"),
            (f"{root}/test_batch.bin", records(arrays["test_X"], arrays["test_y"])),
            batches[4],
        ]
    )
    files = {"cifar-10-binary.tar.gz": archive}
    return Small(files, arrays, {"class_names": names}, samples)


def small_cifar100(train=200, test=100, pixels=noise):
    arrays, parts = {}, {"train": train, "test": test}
    for part, n in parts.items():
        fine = labels(n, 100)
        arrays |= {
            f"{part}_X": pixels((n, 3, 32, 32)),
            f"{part}_y": fine,
            f"{part}_y_coarse": cifar100.COARSE_OF_FINE[fine],
        }
    names = {"class_names": [f"fine_{i}" for i in range(100)], "class_names_coarse": [f"coarse_{i}" for i in range(20)]}
    root = "cifar-100-binary"
    members = [
        folder(root),
        *((f"{root}/{part}.bin", records(*(arrays[f"{part}_{k}"] for k in ("X", "y_coarse", "y")))) for part in parts),
        *(
            (f"{root}/{kind}_label_names.txt", "".join(f"{n}\n" for n in names[key]).encode())
            for kind, key in (("fine", "class_names"), ("coarse", "class_names_coarse"))
        ),
    ]
    return Small({"cifar-100-binary.tar.gz": tar_gz(members)}, arrays, names, parts)


def small_stl(train=50, test=9, unlabeled=12, pixels=noise):
    parts = {"train": train, "test": test, "unlabeled": unlabeled}
    arrays = {f"{part}_X": pixels((n, 3, 96, 96)) for part, n in parts.items()}
    arrays |= {f"{part}_y": labels(parts[part]) for part in ("train", "test")}
    rng = np.random.default_rng(5)
    arrays["folds"] = np.array([rng.permutation(train)[: train // 5] for _ in range(10)])
    root = "stl10_binary"
    lines = "".join(" ".join(map(str, fold)) + "\n" for fold in arrays["folds"].tolist())
    columns_first = {p: arrays[f"{p}_X"].transpose(0, 1, 3, 2).tobytes() for p in parts}
    members = [
        folder(root),
        (f"{root}/test_X.bin", columns_first["test"]),
        (f"{root}/unlabeled_X.bin", columns_first["unlabeled"]),
        (f"{root}/class_names.txt", b"airplane\n"),
        *((f"{root}/{p}_y.bin", (arrays[f"{p}_y"] + 1).astype(np.uint8).tobytes()) for p in ("train", "test")),
        (f"{root}/fold_indices.txt", lines.encode()),
        (f"{root}/train_X.bin", columns_first["train"]),
    ]
    return Small({"stl10_binary.tar.gz": tar_gz(members)}, arrays, {}, parts)


def small_usps(train=13, test=11):
    arrays, files = {}, {}
    for (part, n), name in zip({"train": train, "test": test}.items(), ("usps.bz2", "usps.t.bz2"), strict=True):
        rng = np.random.default_rng(n)
        # Four decimals, as in the real file, and many pixels absent.
        values = np.round(rng.uniform(-1, 1, (n, 256)), 4) * (rng.random((n, 256)) < 0.5)
        values = values.astype(np.float32)
        arrays[f"{part}_y"] = labels(n)
        arrays[f"{part}_X"] = (values * np.float32(0.5) + np.float32(0.5)).reshape(n, 1, 16, 16)
        files[name] = libsvm_bz2(values, arrays[f"{part}_y"].tolist())
    return Small(files, arrays, {}, {"train": train, "test": test})


KINDS = {
    "mnist": Kind(mnist, "MNIST", small_idx),
    "fashion_mnist": Kind(fashion_mnist, "FashionMNIST", small_idx),
    "svhn": Kind(svhn, "SVHN", small_svhn),
    "svhn_extra": Kind(svhn, "SVHNExtra", small_svhn_extra, "EXTRA"),
    "cifar10": Kind(cifar10, "CIFAR10", small_cifar10),
    "cifar100": Kind(cifar100, "CIFAR100", small_cifar100),
    "stl": Kind(stl, "STL", small_stl),
    "usps": Kind(usps, "USPS", small_usps),
}
