"""The command line: `python -m batchup.datasets`.

Exit codes: 0 for success; 1 if a set could not be fetched, is not here, or is damaged; 2 for an invalid command; 130
if interrupted.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from batchup.config import ConfigError
from batchup.datasets import SETS, cache, load
from batchup.datasets.errors import DatasetError
from batchup.datasets.standard import DataSet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code. Errors are printed to stderr, without a traceback."""
    given = vars(_parser().parse_args(arguments))
    command: Callable[..., bool] = given.pop("command")
    try:
        return 0 if command(**given) else 1
    except (DatasetError, ConfigError, ImportError, OSError) as error:
        return _complain(error)
    except KeyboardInterrupt:
        _complain("interrupted: what was downloaded is kept, run again to go on")
        return 130


def list_sets() -> bool:
    """Print a line for each set: samples, size of the download, whether it is here, and where."""
    rows = [("name", "samples", "download", "here", "where")]
    for each in map(load, SETS):
        samples = " + ".join(str(n) for n in each.samples.values())
        rows.append((each.name, samples, _size(each), _whether_here(each), str(each.path)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    return True


def fetch(names: Sequence[str]) -> bool:
    """Fetch each set and print where it is. If one fails, the others are still fetched."""
    failures = 0
    for name in names:
        try:
            print(load(name).fetch())
        except (DatasetError, ImportError, OSError) as error:
            failures += _complain(error)
    return failures == 0


def path(name: str) -> bool:
    """Print where a set is."""
    print(_here(name).path)
    return True


def verify(name: str) -> bool:
    """Compare every file of a set with the hash that was recorded when it was converted."""
    found = _here(name)
    if found.packaged:
        print(f"{name} is part of batchup: there is nothing to verify")
        return True
    pinned = {source.filename: source.sha256 for source in found.sources if source.sha256}
    if damages := cache.made_of_others(found.path, pinned) + cache.damages(found.path, hashes=True):
        _complain("\n".join([*damages, cache.remedy(found.path)]))
    else:
        print(f"{name}: every file is as it was written")
    return not damages


def delete(name: str) -> bool:
    """Delete a set and its downloads."""
    load(name).delete()
    return True


def show(name: str, output: str | None, count: int) -> bool:
    """Write a contact sheet of samples with their labels."""
    from batchup.datasets.contact_sheet import contact_sheet

    target = Path(output or f"{name}.png")
    contact_sheet(_here(name), count).save(target, format="PNG")
    print(target)
    return True


def _here(name: str) -> DataSet:
    found = load(name)
    if not found.is_here:
        raise DatasetError(f"{name} is not here: get it with `python -m batchup.datasets fetch {name}`")
    return found


def _whether_here(each: DataSet) -> str:
    try:
        return "yes" if each.is_here else "no"
    except DatasetError:
        return "broken"


def _size(each: DataSet) -> str:
    if not each.sources:
        return "none"
    return f"{each.download_size / 1e6:.1f} MB" if each.download_size else "unknown"


def _complain(what: object) -> int:
    print(f"error: {what}", file=sys.stderr)
    return 1


def _positive(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {count}")
    return count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m batchup.datasets", description="Standard data sets")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[..., bool]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=command.__doc__, description=command.__doc__)
        added.set_defaults(command=command)
        return added

    add("list", list_sets)
    add("fetch", fetch).add_argument("names", nargs="+", choices=list(SETS), metavar="NAME")
    for command in (path, verify, delete, show):
        add(command.__name__, command).add_argument("name", choices=list(SETS), metavar="NAME")
    showing = commands.choices["show"]
    showing.add_argument("-o", "--output", help="the PNG to write (default: NAME.png)")
    showing.add_argument("-n", "--count", type=_positive, default=64, help="how many samples")
    return parser


if __name__ == "__main__":
    sys.exit(main())
