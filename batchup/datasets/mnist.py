"""MNIST: handwritten digits (LeCun et al. 1998), CC BY-SA 3.0."""

from batchup.datasets import idx
from batchup.datasets.images import SplitImages
from batchup.datasets.standard import DataSet

SET = DataSet(
    name="mnist",
    title="MNIST, handwritten digits 28x28",
    samples={"train": 60000, "test": 10000},
    terms="CC BY-SA 3.0",
    cite="LeCun et al. 1998",
    sources=idx.sources(
        # The original host, yann.lecun.com, has answered 403 since 2024.
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
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
    """60000 digits to train with and 10000 to test, images (n, 1, 28, 28); see `SplitImages`."""

    dataset = SET


delete_cache = SET.delete
