"""The settings of the documentation: `make docs` builds it, with warnings as errors."""

from pathlib import Path

from docutils import nodes

import batchup

project = "BatchUp"
author = "The BatchUp developers"
copyright = "2026, the BatchUp developers"
version = release = batchup.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
root_doc = "index"

# Links to pages and to headings that don't exist are warnings, and so errors.
myst_heading_anchors = 3

# The frameworks that `batchup.hosts` adapts to are not needed to read its docstrings.
autodoc_mock_imports = ["torch", "lightning", "keras", "jax"]
autodoc_default_options = {
    "members": True,
    "inherited-members": "NamedTuple,Enum,IntEnum,int,tuple,Exception,BaseException,object,Generic,Protocol",
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # Parameters describes the types in words; signatures with both are hard to read
autodoc_preserve_defaults = True
default_role = "py:obj"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False

html_theme = "furo"
html_title = "BatchUp"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_theme_options = {"navigation_with_keys": True}
pygments_style = "default"
pygments_dark_style = "github-dark"


def write_llms_txt(app, exception):
    """Write `llms.txt` (https://llmstxt.org): each page's title, address and first paragraph, in reading order."""
    if exception or app.builder.name != "html":
        return
    lines = [f"# {project}", "", f"> {summary(app, root_doc)}", "", "## Documentation", ""]
    for page in reading_order(app, root_doc):
        lines.append(f"- [{app.env.titles[page].astext()}]({page}.html): {summary(app, page)}")
    Path(app.outdir, "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def reading_order(app, page):
    """Yield the pages below `page`, in the order of the table of contents."""
    for child in app.env.toctree_includes.get(page, []):
        yield child
        yield from reading_order(app, child)


def summary(app, page):
    """Return the first paragraph of a page in one line."""
    paragraph = next(iter(app.env.get_and_resolve_doctree(page, app.builder).findall(nodes.paragraph)), None)
    return "" if paragraph is None else " ".join(paragraph.astext().split())


def link_parts_of_batchup(app, env, node, contnode):
    """Link names such as `ops.gather` in docstrings, which leave out the name of the library."""
    name = f"{project.lower()}.{node.get('reftarget')}"
    domain = env.domains["py"]
    if node.get("refdomain") != "py" or name not in domain.objects:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)


def setup(app):
    app.connect("missing-reference", link_parts_of_batchup)
    app.connect("build-finished", write_llms_txt)
