"""Standard data sets, and functions to make your own.

`mnist.MNIST`, `fashion_mnist.FashionMNIST`, `svhn.SVHN`, `svhn.SVHNExtra`, `cifar10.CIFAR10`,
`cifar100.CIFAR100`, `stl.STL`, `usps.USPS`, `digits.Digits`; for your own, `dataset`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchup.datasets.standard import DataSet

__all__ = ["cifar10", "cifar100", "dataset", "digits", "fashion_mnist", "mnist", "stl", "svhn", "usps"]

SETS = {
    "mnist": "mnist.SET",
    "fashion_mnist": "fashion_mnist.SET",
    "svhn": "svhn.SET",
    "svhn_extra": "svhn.EXTRA",
    "cifar10": "cifar10.SET",
    "cifar100": "cifar100.SET",
    "stl": "stl.SET",
    "usps": "usps.SET",
    "digits": "digits.SET",
}
"""The name of each set on the command line, and where in this package it is declared."""


def load(name: str) -> "DataSet":
    """The declaration of a standard data set.

    Parameters
    ----------
    name : str
        Its name in `SETS`.

    Returns
    -------
    DataSet
        Its title, files, terms and number of samples.

    Raises
    ------
    KeyError
        If there is no such set.

    Examples
    --------
    >>> load("usps").title
    'USPS, handwritten digits 16x16'
    """
    module, attribute = SETS[name].split(".")
    found: DataSet = getattr(import_module(f"batchup.datasets.{module}"), attribute)
    return found


def __dir__() -> list[str]:
    return __all__
