"""Fashion-MNIST: photographs of clothes (Xiao et al. 2017, arXiv 1708.07747), MIT."""

from batchup.datasets import idx
from batchup.datasets.images import SplitImages
from batchup.datasets.standard import DataSet

__all__ = ["FashionMNIST", "delete_cache"]

SET = DataSet(
    name="fashion_mnist",
    title="Fashion-MNIST, clothes 28x28",
    samples={"train": 60000, "test": 10000},
    terms="MIT",
    cite="Xiao et al. 2017, arXiv 1708.07747",
    sources=idx.sources(
        (
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
        (
            (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
    ),
    convert=idx.convert,
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)


class FashionMNIST(SplitImages):
    """60000 images of clothing to train with and 10000 to test, (n, 1, 28, 28), fetched when they are first opened.

    `train_X`, `val_X` and `test_X` are float32 from `val_lower` to `val_upper`, converted when they are read.
    `train_X_u8`, `val_X_u8` and `test_X_u8` are the stored uint8. `train_y`, `val_y` and `test_y` are int32 labels from
    0. All but the float32 are read-only memory maps. `class_names` are the names of the labels.

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
