"""The pages of the documentation: every block is run, every name exists, and the reference is complete."""

import inspect
import re
import subprocess
import sys
from importlib import import_module

import pytest
from sphinx.util.inventory import InventoryFile

from tests.pages import OF_THE_SITE, PAGES, ROOT, blocks_of, prose_of
from tests.test_docstrings import DOCUMENTED, MODULES, OF_HOSTS, members_of, public_names

PROSE = [*PAGES, ROOT / "CHANGELOG.md"]
# What conftest.py runs, and what is no code.
LANGUAGES = {"python", "sh", "ini", "text"}
DIRECTIVES = {"{toctree}", "{eval-rst}", "{raw}", "{include}"}


def relative(path):
    return str(path.relative_to(ROOT))


def names_in(text):
    """The names in backticks that begin with a part of the library or a public class."""
    for code in re.findall(r"`([^`\n]+)`", text):
        if match := re.match(r"[A-Za-z_][\w.]*", code):
            name = match[0].rstrip(".")
            if name.split(".")[0] in {"batchup", "ops", "work_pool", *CLASSES} and not code.endswith("/"):
                yield name


CLASSES = {name: thing for _, name, thing in public_names(MODULES) if inspect.isclass(thing)}


def resolve(name):
    """The object of a dotted name; raises if there is none."""
    first, *rest = name.split(".")
    if first in CLASSES:
        thing = CLASSES[first]
    elif first == "batchup":
        thing = import_module("batchup")
    else:
        thing = import_module(f"batchup.{first}")
    for part in rest:
        if inspect.ismodule(thing) and not hasattr(thing, part):
            thing = import_module(f"{thing.__name__}.{part}")
        elif not (inspect.isclass(thing) and part in getattr(thing, "__annotations__", {})):
            thing = getattr(thing, part)
    return thing


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_block_is_run(page):
    assert {language for language, _ in blocks_of(page)} <= LANGUAGES | DIRECTIVES
    prose = prose_of(page.read_text())
    assert "```" not in prose
    assert "<!--" not in prose  # such as `skip: next`
    assert not re.search(r"^(    |\t)(>>> |import |from |pip |make |python )", prose, re.MULTILINE)


@pytest.mark.parametrize("page", PROSE, ids=relative)
def test_every_name_exists(page):
    for name in names_in(prose_of(page.read_text())):
        resolve(name)


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_every_name_in_a_docstring_exists(name):
    for mentioned in names_in(inspect.getdoc(DOCUMENTED[name]) or ""):
        resolve(mentioned)


@pytest.mark.parametrize("page", PROSE, ids=relative)
def test_every_link_between_files_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 9 * 1024


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built documentation; a warning is an error."""
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--quiet", str(ROOT / "docs"), str(built)]
    done = subprocess.run([*command, "-d", str(built / "doctrees")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return built


def test_every_public_name_has_an_entry_in_the_reference(site):
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    entries = {name for kind, items in inventory.data.items() if kind.startswith("py:") for name in items}
    assert not [name for name in entries if any(part.startswith("_") for part in name.split("."))]
    described = {id(found) for found in map(found_or_none, entries) if found is not None}
    for module, name, thing in public_names([*MODULES, *OF_HOSTS]):
        assert f"{module}.{name}" in entries or id(thing) in described, f"{module}.{name}"
        if f"{module}.{name}" in entries and inspect.isclass(thing):
            for method, _ in members_of(thing):
                assert f"{module}.{name}.{method}" in entries, f"{module}.{name}.{method}"


def found_or_none(name):
    module, _, last = name.rpartition(".")
    try:
        return getattr(import_module(module), last)
    except (ImportError, AttributeError):  # of a class, or of a framework that isn't installed
        return None


def test_the_list_for_language_models_has_every_page(site):
    listed = (site / "llms.txt").read_text()
    for page in OF_THE_SITE:
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert str(name) in listed or name.name == "index.html"
    assert re.search(r"^- \[Start\]\(start\.html\): Install BatchUp, ", listed, re.MULTILINE)
