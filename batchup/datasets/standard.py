"""A standard data set: its source files, and its arrays."""

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
    """The declaration of a standard data set.

    `samples` are the numbers of samples in each part, which are checked after `convert`. `requires` is the package that
    converting needs, as (module, how to install it). `white` is the brightest value of a pixel. `packaged` is for a set
    that comes with this package: an .npz file with the arrays that `convert` would write.
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
        """The path of the set, which may not exist yet."""
        return self.packaged or config.find_data_dir() / self.name

    @property
    def is_here(self) -> bool:
        """True if the set can be opened without a download."""
        return self.packaged is not None or cache.is_complete(self.path)

    @property
    def download_size(self) -> int:
        """The number of bytes to download; files of unknown size count 0."""
        return sum(source.size or 0 for source in self.sources)

    def fetch(self) -> Path:
        """Fetch the set, unless it is here, and return its path. Raises the errors of `fetch_and_convert_dataset`.

        Raises `ImportError`, before any download, if a required package is missing.
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
        """The arrays by name, as read-only memory maps; those of a packaged set are in memory. Fetches the set if needed.

        Raises `DatasetError` if a file hasn't the size with which it was written.
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
        """The names of the classes, in order: as declared, or the lines of the text file of the set.

        Empty if the classes have no names.
        """
        path = self.path / f"{file}.txt"
        if self.class_names or not path.is_file():
            return self.class_names
        return tuple(path.read_text(encoding="utf-8").splitlines())

    def delete(self) -> None:
        """Delete the set and its downloads; files in `<data>/downloads` stay."""
        if self.packaged is not None:
            raise DatasetError(f"{self.name} is part of batchup and can't be deleted")
        delete_dataset_cache(self.name)
