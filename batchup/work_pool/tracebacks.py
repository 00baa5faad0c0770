"""Tracebacks of workers that read as in the caller: with the file or cell, the line number and the source line.

A function that workers can't import, of a script, a notebook or a REPL, is sent as code. cloudpickle drops the name of
its file (since 3.1.3), and the worker may be unable to read the file: it is a cell, or on another machine. So the name
and the lines of the function are sent with the code.
"""

from __future__ import annotations

import linecache
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from types import CodeType
from typing import Any

import cloudpickle

__all__ = ["as_here", "code_with_source"]


def _lines_of(code: CodeType) -> list[str]:
    """The source lines of a function, from `co_firstlineno` on; empty if they are unknown."""
    name = code.co_filename
    linecache.checkcache(name)
    lines = linecache.getlines(name)
    if not lines and name == "<stdin>" and not sys.flags.interactive:
        with suppress(OSError, UnicodeDecodeError):  # `python < script.py`: a pipe can't be read again
            lines = os.pread(0, os.fstat(0).st_size, 0).decode().splitlines(keepends=True)
    ends = chain.from_iterable(positions[:2] for positions in code.co_positions())
    return lines[code.co_firstlineno - 1 : max(filter(None, ends), default=0)]


def code_with_source(code: CodeType) -> tuple[Callable[..., CodeType], tuple[Any, ...]]:
    """How to pickle the code of a function, as `__reduce__` says it."""
    make, args = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return _code, (make, args, code.co_filename, code.co_firstlineno - 1, _lines_of(code))


def _code(make: Callable[..., CodeType], args: tuple[Any, ...], name: str, start: int, lines: list[str]) -> CodeType:
    """Make the code again, and put its lines into `linecache`, where tracebacks look for them."""
    here = linecache.getlines(name)
    if here[start : start + len(lines)] != lines:
        here = here + ["\n"] * (start - len(here))
        here[start : start + len(lines)] = lines
        # Without a time of its last change, so that it isn't looked for on disk.
        linecache.cache[name] = (sum(map(len, here)), None, here, name)
    return make(*args).replace(co_filename=name)


def as_here(text: str) -> str:
    """The text of a traceback. In IPython cells are named by their number, as IPython does."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if not shell or not hasattr(shell.compile, "format_code_name"):
        return text

    def cell(match: re.Match[str]) -> str:
        found = shell.compile.format_code_name(match[1])
        return match[0] if found is None else " ".join(found)

    return re.sub('File "([^"]+)"(?=, line)', cell, text)
