"""Read images in threads, ahead of the training loop, and see how little it waits for them.

    python examples/images_threads.py

Needs Pillow. The script makes a directory of JPEGs first, and removes it in the end. Decoding releases
the interpreter lock, so threads do it while the loop trains.
"""

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup import data_source, work_pool

try:
    from PIL import Image
except ImportError:
    sys.exit("This example reads and writes image files with Pillow: pip install pillow")


class ImageFiles:
    """The images of a list of files, as an array (n, 224, 224, 3) uint8 that isn't in memory."""

    def __init__(self, paths: Iterable[Path]):
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        return np.stack([self.read(self.paths[int(i)]) for i in indices])

    @staticmethod
    def read(path: Path) -> NDArray[np.uint8]:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((224, 224)))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, work_pool.WorkerThreadPool(processes=2) as pool:
        images, labels = make_images(Path(folder), n=128)
        source = data_source.ArrayDataSource([images, labels])
        serial, means = train(source)
        print(f"in the loop itself: waited {serial * 1000:.0f} ms for batches in an epoch")
        parallel, same_means = train(pool.parallel_data_source(source, batch_buffer_size=4))
        print(f"in two threads:     waited {parallel * 1000:.0f} ms, and for the very same batches")
        assert means == same_means
        print(f"threads saved {(serial - parallel) * 1000:.0f} ms of waiting")


def train(source: data_source.AbstractDataSource) -> tuple[float, list[float]]:
    """The seconds that an epoch waits for batches, and the mean of each of them."""
    waited = 0.0
    means: list[float] = []
    batches = source.batch_iterator(batch_size=16, shuffle=12345)
    start = time.perf_counter()
    for batch_X, batch_y in batches:
        waited += time.perf_counter() - start
        assert batch_X.shape == (len(batch_y), 224, 224, 3)
        assert (batch_X.mean(axis=(1, 2, 3)) > 127).astype(int).tolist() == batch_y.tolist()
        means.append(float(batch_X.mean()))
        time.sleep(0.05)  # a step of training, on a GPU
        start = time.perf_counter()
    return waited, means


def make_images(folder: Path, n: int) -> tuple[ImageFiles, NDArray[Any]]:
    """Bright images and dark ones, and which is which."""
    rng = np.random.RandomState(12345)
    labels = rng.randint(2, size=n)
    for number, label in enumerate(labels):
        pixels = rng.randint(0, 100, (300, 400, 3)) + 150 * label
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03}.jpg")
    return ImageFiles(sorted(folder.iterdir())), labels


if __name__ == "__main__":
    main()
