"""MNIST: handwritten digits (LeCun et al. 1998), CC BY-SA 3.0."""

from . import idx
from .images import SplitImages
from .standard import DataSet

SET = DataSet(
    name="mnist",
    title="MNIST, handwritten digits 28x28",
    samples={"train": 60000, "test": 10000},
    terms="CC BY-SA 3.0",
    cite="LeCun et al. 1998",
    sources=idx.sources(
        # The original host, yann.lecun.com, has answered 403 since 2024.
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        (
            (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
    ),
    convert=idx.convert,
)


class MNIST(SplitImages):
    """MNIST, fetched when it is first opened: images (n, 1, 28, 28), labels the digits.

    60000 training samples, of which the last `n_val` are for validation (0 or None: none),
    and 10000 for testing. Pixels read as float32 from `val_lower` to `val_upper`. For the
    arrays see `SplitImages`.

    Raises `ValueError` if there are not `n_val`, `DatasetError` if it can't be had.
    """

    def __init__(
        self, n_val: int | None = 10000, val_lower: float = 0.0, val_upper: float = 1.0
    ) -> None:
        super().__init__(SET, n_val, val_lower, val_upper)


def delete_cache() -> None:
    """Delete what was fetched; the next `MNIST()` fetches it again."""
    SET.delete()
