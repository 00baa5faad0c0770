"""Read images from a directory on the fly: an array is anything with `__len__` and `__getitem__`.

    python examples/image_folder.py

Needs Pillow. The script first makes a directory of small files, `circles/*.png` and `squares/*.jpg`,
and removes it in the end.
"""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.data_source import ArrayDataSource

try:
    from PIL import Image, ImageDraw
except ImportError:
    sys.exit("This example reads and writes image files with Pillow: pip install pillow")

CLASSES = ["circles", "squares"]


class ImageFiles:
    """The images of a list of files, as an array (n, height, width, 3) uint8 that isn't in memory."""

    def __init__(self, paths: Iterable[Path]):
        self.paths = list(paths)
        self.reads = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, which: Any) -> NDArray[np.uint8]:
        """Image `which` for an int, an array of images for a slice or an integer array."""
        if isinstance(which, int | np.integer):
            self.reads += 1
            with Image.open(self.paths[which]) as image:
                return np.asarray(image.convert("RGB"))
        if isinstance(which, slice):
            which = range(*which.indices(len(self)))
        return np.stack([self[i] for i in which])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder))
        read_images(Path(folder))


def read_images(folder: Path) -> None:
    files = {name: sorted((folder / name).iterdir()) for name in CLASSES}
    images = ImageFiles(path for name in CLASSES for path in files[name])
    labels = np.repeat(range(len(CLASSES)), [len(files[name]) for name in CLASSES])
    print(f"{len(images)} files; the first is {images.paths[0].name}, an array of {images[0].shape}")
    assert images[2:5].shape == (3, 32, 32, 3)

    # From here on they are arrays like any other: for subsets, shuffling, sampling, augmentations.
    images.reads = 0
    source = ArrayDataSource([images, labels], include_indices=True).map(to_float)
    batches = source.batch_iterator(batch_size=16, shuffle=12345)
    assert images.reads == 0  # nothing is read before it is asked for
    for number, (indices, batch_X, batch_y) in enumerate(batches):
        print(f"batch {number}: {batch_X.shape} {batch_X.dtype}, {batch_y.sum()} of them squares")
        assert (labels[indices] == batch_y).all()
        # A square fills its corners, a circle doesn't: the image goes with its label.
        corner_is_filled = batch_X[:, 7, 7].max(axis=-1) > 0.5
        assert (corner_is_filled == (batch_y == 1)).all()
    print(f"{images.reads} files were read in an epoch")
    assert images.reads == len(images)


def to_float(indices: NDArray[Any], X: NDArray[np.uint8], y: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    return indices, X.astype(np.float32) / 255, y


def make_images(folder: Path, n_each: int = 30) -> None:
    rng = np.random.RandomState(12345)
    for name, suffix in zip(CLASSES, ["png", "jpg"], strict=True):
        (folder / name).mkdir()
        for number in range(n_each):
            image = Image.new("RGB", (32, 32))
            draw = ImageDraw.Draw(image)
            shape = draw.ellipse if name == "circles" else draw.rectangle
            shape((6, 6, 25, 25), fill=tuple(map(int, rng.randint(160, 256, 3))))
            image.save(folder / name / f"{number:03}.{suffix}")


if __name__ == "__main__":
    main()
