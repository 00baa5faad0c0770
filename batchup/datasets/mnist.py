"""MNIST: handwritten digits (LeCun et al. 1998), CC BY-SA 3.0."""

from batchup.datasets import idx
from batchup.datasets.images import SplitImages
from batchup.datasets.standard import DataSet

__all__ = ["MNIST", "delete_cache"]

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
    """60000 digits to train with and 10000 to test, images (n, 1, 28, 28), fetched when they are first opened.

    `train_X`, `val_X` and `test_X` are float32 from `val_lower` to `val_upper`, converted when they are read.
    `train_X_u8`, `val_X_u8` and `test_X_u8` are the stored uint8. `train_y`, `val_y` and `test_y` are int32 labels from
    0. All but the float32 are read-only memory maps.

    Parameters
    ----------
    n_val : int or None
        The number of validation samples, the last ones of the training set; 0 or None for none.
    val_lower : float
        The value of a pixel 0.
    val_upper : float
        The value of a pixel 255.

    Raises
    ------
    ValueError
        If `n_val` is negative or above the number of training samples.
    DatasetError
        If the set can't be fetched.
    """

    dataset = SET


delete_cache = SET.delete
