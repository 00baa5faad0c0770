"""The pages of the documentation, and the blocks of code in them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OF_THE_SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *OF_THE_SITE]

_FENCED = re.compile(r"^```(\S+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HIDDEN = re.compile(r"^<!-- invisible-code-block: (\S+)\n(.*?)^-->$", re.MULTILINE | re.DOTALL)


def blocks_of(page):
    """(language, text) of each block of a page, those hidden in comments too, in order."""
    text = page.read_text()
    found = [*_FENCED.finditer(text), *_HIDDEN.finditer(text)]
    return [(match[1], match[2]) for match in sorted(found, key=lambda match: match.start())]


def prose_of(text):
    """The text without its blocks."""
    return _HIDDEN.sub("", _FENCED.sub("", text))
