"""A standard data set: what it is made of, and how its arrays are had."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from batchup import config
from batchup.datasets import cache
from batchup.datasets.dataset import DownloadSourceFile, delete_dataset_cache, fetch_and_convert_dataset
from batchup.datasets.errors import DatasetError

Convert = Callable[[Sequence[Path], Path, Mapping[str, int]], None]
"""`convert(source_paths, folder, samples)` writes `<array>.npy` files into `folder`."""


@dataclass(frozen=True)
class DataSet:
    """All that tells one standard data set from another.

    `samples` is how many there are of each part, `convert` is held to it. `requires` is what
    must be installed to convert it, as (module, how to install it); `white` the brightest
    value of a pixel. `packaged` is for a set without sources, that comes with the package: an
    .npz file with the arrays that `convert` would write.
    """

    name: str
    title: str
    samples: Mapping[str, int]
    terms: str
    cite: str
    sources: tuple[DownloadSourceFile, ...] = ()
    convert: Convert | None = None
    requires: tuple[str, str] | None = None
    class_names: tuple[str, ...] = ()
    white: float = 255.0
    packaged: Path | None = None

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return self.packaged or config.find_data_dir() / self.name

    @property
    def is_here(self) -> bool:
        """Whether it can be opened without a download."""
        return self.packaged is not None or cache.is_complete(self.path)

    @property
    def download_size(self) -> int:
        """Bytes to download; of files whose size is not known, none."""
        return sum(source.size or 0 for source in self.sources)

    def fetch(self) -> Path:
        """Get it, unless it is here; its path. Errors as `fetch_and_convert_dataset`.

        Raises `ImportError` before anything is downloaded if what it requires is missing.
        """
        if self.convert is None:
            return self.path
        if not self.is_here and self.requires and find_spec(self.requires[0]) is None:
            module, remedy = self.requires
            raise ImportError(f"{self.name} can't be read without {module}: {remedy}", name=module)
        convert = self.convert

        @fetch_and_convert_dataset(self.sources, self.name)
        def fetch(source_paths: Sequence[Path], target_path: Path) -> Path:
            target_path.mkdir()
            convert(source_paths, target_path, self.samples)
            return target_path

        return fetch()

    def arrays(self) -> dict[str, np.ndarray]:
        """Its arrays by name, fetched if need be: read-only memory maps, but for a packaged set.

        Raises `DatasetError` if a file has not the size that was written.
        """
        if self.packaged is not None:
            with np.load(self.packaged) as packaged:
                return dict(packaged)
        path = self.fetch()
        if damages := cache.damages(path, hashes=False):
            raise DatasetError("\n".join([*damages, cache.remedy(path)]))
        files = [path / name for name in cache.files_in(path) if name.endswith(".npy")]
        return {file.stem: np.load(file, mmap_mode="r") for file in files}

    def names(self, file: str = "class_names") -> tuple[str, ...]:
        """The names of its classes, in order: declared, or else the lines of its text file.

        Empty if the classes have no names but their numbers.
        """
        path = self.path / f"{file}.txt"
        if self.class_names or not path.is_file():
            return self.class_names
        return tuple(path.read_text(encoding="utf-8").splitlines())

    def delete(self) -> None:
        """Delete what was fetched of it; files put in place by hand stay."""
        if self.packaged is not None:
            raise DatasetError(f"{self.name} is part of batchup and can't be deleted")
        delete_dataset_cache(self.name)
