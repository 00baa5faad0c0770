"""Batches in the training loops of other libraries. Each module needs its framework, and is imported when it is used.

* `batchup.hosts.torch`: PyTorch's `DataLoader` and torchdata's `StatefulDataLoader`; Accelerate, HF `Trainer`
* `batchup.hosts.lightning`: Lightning's `Trainer`
* `batchup.hosts.keras`: Keras 3's `model.fit`
"""

from importlib import import_module
from types import ModuleType

_MODULES = ("keras", "lightning", "torch")


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return list(_MODULES)
