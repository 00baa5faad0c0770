"""The public names: what `dir()` shows, and that each has a docstring that describes its parameters and results."""

import inspect
from enum import Enum
from functools import cached_property
from importlib import import_module, util
from typing import Protocol

import pytest
from numpydoc.validate import validate
from sphinx.ext.autodoc.mock import mock

# Whose `__all__` is public; CONTRIBUTING says so too.
PARTS = ["core", "data_source", "ops", "sampling", "testing", "work_pool"]
PACKAGES = ("batchup", *(f"batchup.{name}" for name in PARTS))
SETS = ["cifar10", "cifar100", "digits", "fashion_mnist", "mnist", "stl", "svhn", "usps"]
MODULES = (
    *PACKAGES,
    "batchup.config",
    "batchup.image.utils",
    "batchup.datasets.dataset",
    *(f"batchup.datasets.{name}" for name in SETS),
)
# Each needs its framework, which a mock stands for if it isn't installed.
FRAMEWORKS = ["keras", "lightning", "torch"]
with mock([name for name in FRAMEWORKS if util.find_spec(name) is None]):
    OF_HOSTS = [import_module(f"batchup.hosts.{name}").__name__ for name in FRAMEWORKS]
# Parameters that aren't described, described ones that there aren't, and results that aren't described.
SECTIONS = {"PR01", "PR02", "RT01"}
# Their functions and classes have examples; methods have them where their class has none that shows the method.
WITH_EXAMPLES = ("batchup.data_source", "batchup.ops", "batchup.sampling", "batchup.work_pool")
# Raised or returned, and not made by users.
WITHOUT_EXAMPLES = {
    "AbstractWorkerPool",
    "ChoiceBatch",
    "RemoteTraceback",
    "Survey",
    "WorkError",
    "WorkerDied",
    "WorkerPool",
}


def public_names(modules):
    """(module, name, object) for each public function and class."""
    for module in map(import_module, modules):
        for name in module.__all__:
            thing = getattr(module, name)
            if getattr(thing, "__module__", "").startswith("batchup") and (inspect.isclass(thing) or callable(thing)):
                yield module.__name__, name, thing


def documented():
    """The public functions and classes, and the methods and properties of the classes, by their full names."""
    found = {}
    for _, _, thing in public_names([*MODULES, *OF_HOSTS]):
        found[full_name(thing)] = thing
        if not inspect.isclass(thing):
            continue
        for name, base in members_of(thing):
            found[f"{full_name(base)}.{name}"] = getattr(base, name)
    return found


def members_of(thing):
    """(name, the class that defines it) for the public methods and properties of a class, inherited ones too."""
    for name in dir(thing):
        base = next(base for base in inspect.getmro(thing) if name in vars(base) or base is object)
        if not name.startswith("_") and base.__module__.startswith("batchup") and is_described(vars(base)[name]):
            yield name, base


def is_described(member):
    return inspect.isroutine(member) or isinstance(member, property | cached_property | classmethod | staticmethod)


def full_name(thing):
    return f"{thing.__module__}.{thing.__qualname__}"


DOCUMENTED = documented()


def test_there_are_names_to_check():
    assert len(DOCUMENTED) > 300


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_the_docstring_describes_parameters_and_results(name):
    thing = DOCUMENTED[name]
    assert inspect.getdoc(thing)
    if not thing.__doc__ or is_without_parameters(thing):  # inherited, or of a class that isn't called
        return
    problems = [(code, text) for code, text in validate(name)["errors"] if code in SECTIONS]
    assert not problems


def is_without_parameters(thing):
    return inspect.isclass(thing) and (issubclass(thing, Enum) or Protocol in thing.__bases__)


@pytest.mark.parametrize(
    ("module", "name", "thing"),
    [one for one in public_names(WITH_EXAMPLES) if one[1] not in WITHOUT_EXAMPLES],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_has_an_example(module, name, thing):
    assert ">>>" in inspect.getdoc(thing)


@pytest.mark.parametrize("name", [*PACKAGES, "batchup.datasets", "batchup.image", "batchup.hosts"])
def test_dir_shows_public_names_only(name):
    package = import_module(name)
    names = FRAMEWORKS if name == "batchup.hosts" else package.__all__
    assert dir(package) == sorted(names)
