"""Converted data sets on disk. A set is written to another folder, completed by its record, and then renamed.

```
<data>/mnist/            a set: .npy files and its record, meta.json, which is written last
<data>/downloads/mnist/  files that the user put there; never written
<data>/.work/mnist/      of a process at work: fetched/ and converting/
<data>/.work/mnist.lock  held by that process
```
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchup.datasets.errors import DatasetError, full_disk_told
from batchup.datasets.files import checked_filename, checked_sha256, compute_sha256, remove
from batchup.datasets.locks import locked

META = "meta.json"
WORK = ".work"
LAYOUT = 1
"""Counts the changes to what is in a set's directory that older code could not read."""


def is_complete(target: Path) -> bool:
    """True if the set at `target` exists. Makes and locks nothing.

    Raises `DatasetError` for a directory that is no converted set.
    """
    if target.is_symlink() and not target.exists():
        raise DatasetError(
            f"{target} is a symbolic link to {os.readlink(target)}, which doesn't exist: remove the link, or "
            "restore its target"
        )
    if not target.is_dir():
        return target.exists()
    if (target / META).is_file():
        return True
    raise DatasetError(f"{target} has no {META}, so it is not a data set that was converted here: move it away")


@contextmanager
def workshop(data_dir: Path, name: str) -> Iterator[Path]:
    """The folder in which one process at a time makes the set `name`. It is removed on success.

    After an error the downloads stay, for the next run.
    """
    work = data_dir / WORK
    with locked(work / f"{name}.lock"):
        folder = work / name
        yield folder
        remove(folder)


@contextmanager
def converting(target: Path) -> Iterator[None]:
    """A folder for writing a set at `target`. It is empty at the beginning, and removed after an error."""
    folder = target.parent
    try:
        remove(folder)  # from a run that was killed
        with full_disk_told(f"{target.name} could not be converted in {folder}"):
            folder.mkdir(parents=True)
            yield
    finally:
        remove(folder)


def seal(target: Path, sources: Sequence[tuple[str, str]]) -> None:
    """Sync what was written at `target` to the disk; add the record to a directory.

    `sources` are the names and hashes of its source files.
    """
    if target.is_file():
        _sync(target)
        return
    record: dict[str, Any] = {
        "layout": LAYOUT,
        "sources": [{"name": name, "sha256": sha256} for name, sha256 in sources],
        "files": {},
    }
    if (target / META).exists():
        raise DatasetError(f"{META} is reserved for the record of a set: use another name")
    if not any(path.is_file() for path in target.rglob("*")):
        raise DatasetError(f"{target.name}: the converting function made a directory without any file")
    for path in sorted(target.rglob("*")):
        if path.is_file():
            _sync(path)
            record["files"][path.relative_to(target).as_posix()] = {
                "size": path.stat().st_size,
                "sha256": compute_sha256(path),
            }
    (target / META).write_text(json.dumps(record, indent=1))
    _sync(target / META)


def files_in(target: Path) -> dict[str, dict[str, Any]]:
    """The name, `size` and `sha256` of every file in the record of the directory `target`.

    Raises `DatasetError` if the record can't be read, or was written by another version.
    """
    files: dict[str, dict[str, Any]] = _record(target)["files"]
    return files


def made_of_others(target: Path, pinned: Mapping[str, str]) -> list[str]:
    """The source files of a set whose hashes are not those in `pinned`: a line of text for each.

    `pinned` are the present hashes by name. Empty for a set that is a file, which has no record.
    """
    if not target.is_dir():
        return []
    made_of = {source["name"]: source["sha256"] for source in _record(target)["sources"]}
    return [
        f"{target} was made of {name} with SHA-256 {made_of.get(name, 'unknown')}, expected {sha256}"
        for name, sha256 in pinned.items()
        if made_of.get(name) != sha256
    ]


def _record(target: Path) -> dict[str, Any]:
    """The record that `seal` has written."""
    try:
        record = json.loads((target / META).read_text())
        layout = record["layout"]
        if layout == LAYOUT:
            _check(record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise DatasetError(f"{target / META} can't be read ({what}): {remedy(target)}") from error
    if layout != LAYOUT:
        raise DatasetError(f"{target} has layout {layout}, expected {LAYOUT}: {remedy(target)}")
    return dict(record)


def _check(record: dict[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError for a record that `seal` wouldn't write."""
    for source in record["sources"]:
        checked_filename(source["name"], "the name of a source")
        checked_sha256(source["sha256"])
    if not record["files"]:
        raise ValueError("it lists no files")
    for name, sealed in record["files"].items():
        if type(sealed["size"]) is not int:
            raise ValueError(f"the size of {name} is {sealed['size']!r}")
        checked_sha256(sealed["sha256"])


def damages(target: Path, *, hashes: bool) -> list[str]:
    """What is wrong with the files in `target`: a line of text for each. Checking sizes alone is fast."""
    found = []
    for name, sealed in files_in(target).items():
        path = target / name
        if not path.is_file():
            found.append(f"{path} is missing")
        elif path.stat().st_size != sealed["size"]:
            found.append(f"{path} has {path.stat().st_size} bytes, expected {sealed['size']}")
        elif hashes and (sha256 := compute_sha256(path)) != sealed["sha256"]:
            found.append(f"{path} has SHA-256 {sha256}, expected {sealed['sha256']}")
    return found


def delete(data_dir: Path, name: str) -> bool:
    """Delete the set `name` and its downloads. Returns False if there was nothing."""
    target, folder = data_dir / name, data_dir / WORK / name
    if not os.path.lexists(target) and not folder.exists():
        return False
    with workshop(data_dir, name):
        if os.path.lexists(target):
            # Renamed first: a part of a set must never look like a whole one.
            folder.mkdir(parents=True, exist_ok=True)
            remove(folder / "deleted")
            target.rename(folder / "deleted")
    return True


def remedy(target: Path) -> str:
    """The remedy for a damaged set, for an error."""
    return f"delete it with `python -m batchup.datasets delete {target.name}` and fetch it again"


def _sync(path: Path) -> None:
    # Without this, after a power failure the rename may be on the disk, and the data not.
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
