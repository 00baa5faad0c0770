"""Fashion-MNIST: photographs of clothes (Xiao et al. 2017, arXiv 1708.07747), MIT."""

from batchup.datasets import idx
from batchup.datasets.images import SplitImages
from batchup.datasets.standard import DataSet

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
    """60000 images to train with and 10000 to test, (n, 1, 28, 28); see `SplitImages`."""

    dataset = SET


delete_cache = SET.delete
