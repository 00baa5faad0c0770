"""Standard data sets, and the means to make your own.

`mnist.MNIST`, `fashion_mnist.FashionMNIST`, `svhn.SVHN`, `svhn.SVHNExtra`, `cifar10.CIFAR10`,
`cifar100.CIFAR100`, `stl.STL`, `usps.USPS`; for your own, `dataset`.
"""

SETS = {
    "mnist": "mnist.SET",
    "fashion_mnist": "fashion_mnist.SET",
    "svhn": "svhn.SET",
    "svhn_extra": "svhn.EXTRA",
    "cifar10": "cifar10.SET",
    "cifar100": "cifar100.SET",
    "stl": "stl.SET",
    "usps": "usps.SET",
}
"""The name of each set on the command line, and where in this package it is declared."""
