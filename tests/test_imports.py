"""Imports point one way, without a cycle; the few that point up are inside of functions, and listed here."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import batchup

ROOT = Path(batchup.__file__).parent

# Each layer imports from those before it.
LAYERS = [
    ["core"],
    ["strings", "values", "files", "memory.limits"],
    ["ragged", "config"],
    ["parts"],
    ["ops.index"],
    ["ops.read"],
    ["ops.batch"],
    ["ops"],
    ["sampling"],
    ["data_source"],
    ["memory"],
    ["work_pool"],
    ["datasets", "image", "testing", "hosts"],
]

# Public methods that need an upper layer import it when they are called.
UPWARDS = {
    ("core.loader", "data_source.results"),  # loader.batch_map_concat and batch_map_mean
    ("core.stream", "ops.loading"),  # stream.loader
    ("ops.loading", "work_pool.own"),  # stream.loader(workers=)
    ("ragged", "ops.read.arrow_columns"),  # Ragged.from_arrow
}


def module_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module):
    """The number of the layer with the longest name that the module's name begins with."""
    found = {
        name: number for number, names in enumerate(LAYERS) for name in names if f"{module}.".startswith(f"{name}.")
    }
    return found[max(found, key=len)]


def imported(statements, modules):
    """The modules of ours that these statements import."""
    for node in statements:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "batchup":
            base = node.module.removeprefix("batchup").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                yield inner if inner in modules else base
        elif isinstance(node, ast.Import):
            yield from (a.name[8:] for a in node.names if a.name.startswith("batchup."))


def imports(file, modules):
    """What a file imports when it is imported, and what its functions import when they are called."""
    tree = ast.parse(file.read_text())
    inside = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    typing = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    everything = [node for node in ast.walk(tree) if node not in typing]  # nothing runs what is for type checkers
    first = imported((node for node in everything if node not in inside), modules)
    return set(first), set(imported(inside, modules))


FILES = {module_of(file): file for file in sorted(ROOT.rglob("*.py")) if module_of(file)}
IMPORTS = {module: imports(file, FILES) for module, file in FILES.items()}


def upwards(which):
    """The imports from an upper layer: of modules (0), or inside of functions (1)."""
    pairs = ((module, other) for module, found in IMPORTS.items() for other in found[which])
    return {(module, other) for module, other in pairs if layer_of(other) > layer_of(module)}


def test_imports_point_down():
    assert upwards(0) == set()


def test_only_these_functions_import_from_above():
    assert upwards(1) == UPWARDS


def test_there_is_no_cycle():
    # The names that a package's __init__ gives out are its own affair: nothing in it imports them from there.
    order = TopologicalSorter({module: first - {module} for module, (first, _) in IMPORTS.items()})
    assert list(order.static_order())
