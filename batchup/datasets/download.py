"""A file from the first of several URLs that has it whole, going on where a cut one ended.

What comes is kept in `<file>.part` until it is as expected, and then renamed. Beside it,
`<file>.part.json` holds the URL it came from and the validator (RFC 9110, 8.8) with which
that server can say whether it still has the same file.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, BinaryIO

from batchup.datasets.errors import FetchError, StorageError
from batchup.datasets.files import Expected

if TYPE_CHECKING:
    from tqdm import tqdm

CHUNK = 1 << 18
TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as stalled, unless
`socket.setdefaulttimeout` says otherwise."""

LEAST = 1024
"""Bytes in `TIMEOUT` seconds below which a server counts as stalled, too."""

MAX_REQUESTS = 200
"""Requests to one URL: each must bring the file further than all before."""

ROUNDS, PAUSE, LONGEST_PAUSE = 4, 1.0, 60.0
"""How often servers that are busy are asked, and the seconds before the second time, which double from
then on; and the most seconds for which a server may ask by its Retry-After."""


class _RefusedError(Exception):
    """This URL won't do: why."""


class _BusyError(_RefusedError):
    """The server is busy, for so many seconds if it says so: another may not be."""

    def __init__(self, why: str, seconds: float = 0.0):
        super().__init__(why)
        self.seconds = seconds


class _WrongRangeError(_RefusedError):
    """The server gives another part of the file than was asked for; it may give the whole."""


class _CutError(Exception):
    """The connection ended before the file did: how. What came of it is kept."""


@dataclass(frozen=True)
class Part:
    """The beginning of a file, and where it came from."""

    size: int = 0
    url: str | None = None
    validator: str | None = None


def download_from(urls: Sequence[str], path: Path, expected: Expected) -> Path:
    """Download `path` from the first of `urls` that has it as expected.

    Each is asked again as long as that brings the file further; the next goes on where the
    last was cut, if the hash is known. Once all have been asked, those that are busy (HTTP 429, 502, 503, 504) are
    asked again after a while, and those that give a wrong part of the file for the whole. A file that is whole but wrong is deleted. Raises
    `FetchError`, which lists every URL and what was wrong there, and `StorageError` if the
    disk is full; in both cases what is not known to be wrong is kept for the next call.
    """
    with _storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    reasons: dict[str, _RefusedError] = {}
    left, whole = list(urls), set[str]()
    for number in range(ROUNDS):
        for url in left:
            try:
                _fetch(url, part, expected, ranges=url not in whole)
            except _RefusedError as error:
                reasons[url] = error
            else:
                os.replace(part, path)
                _discard(part)
                return path
        busy = {url: refusal.seconds for url in left if isinstance(refusal := reasons[url], _BusyError)}
        whole |= {url for url in left if isinstance(reasons[url], _WrongRangeError)}
        left = [url for url in left if url in busy or isinstance(reasons[url], _WrongRangeError)]
        if not left or number + 1 == ROUNDS:
            break
        if busy:
            sleep(min(LONGEST_PAUSE, max(PAUSE * 2**number, *busy.values(), 0.0)))
    if (size := _read_part(part).size) == 0:
        _discard(part)
    kept = [f"{size} bytes are kept for the next try"] if size else []
    told = [f"  {url}: {error}" for url, error in reasons.items()]
    raise FetchError("\n".join([f"{path.name} could not be downloaded:", *told, *kept]))


def resume_headers(part: Part, url: str, expected: Expected) -> Mapping[str, str]:
    """The headers that ask `url` for what is missing of `part`; none to begin again.

    To go on is safe where the server can say that the file is still the same (If-Range), or
    where the hash will tell in the end, though the beginning came from another server.

    >>> part = Part(10, "https://a.example/x", '"v1"')
    >>> resume_headers(part, "https://a.example/x", Expected())
    {'Range': 'bytes=10-', 'If-Range': '"v1"'}
    >>> resume_headers(part, "https://b.example/x", Expected(sha256="0" * 64))
    {'Range': 'bytes=10-'}
    >>> resume_headers(part, "https://b.example/x", Expected())
    {}
    """
    if part.size == 0:
        return {}
    if part.url == url and part.validator:
        return {"Range": f"bytes={part.size}-", "If-Range": part.validator}
    return {"Range": f"bytes={part.size}-"} if expected.sha256 else {}


def _fetch(url: str, path: Path, expected: Expected, ranges: bool = True) -> None:
    """Bring the part at `path` to its end from `url`, and check the whole of it; without `ranges` from the start."""
    furthest, begun_again = _read_part(path).size if ranges else 0, False
    for _ in range(MAX_REQUESTS):
        part = _read_part(path)
        headers = resume_headers(part, url, expected) if ranges else {}
        # A run that was killed just before the end may have left it whole.
        whole = bool(expected.sha256 and part.size and part.size == expected.size)
        try:
            problem = None if whole else _request(url, path, part, headers, expected)
        except _CutError as cut:
            reached = _read_part(path).size
            if reached <= furthest:
                raise _RefusedError(str(cut)) from cut
            furthest = reached
            continue
        problem = problem or expected.problem(path)
        if problem is None:
            return
        _discard(path)
        # Its beginning may be what was wrong: then the whole is asked for, once.
        if begun_again or not headers:
            raise _RefusedError(problem)
        furthest, begun_again = 0, True
    raise _RefusedError(f"cut {MAX_REQUESTS} times; run again to go on")


def _request(url: str, path: Path, part: Part, headers: Mapping[str, str], expected: Expected) -> str | None:
    """Ask once, and add what comes to the part, or begin it anew if the server won't go on.

    Returns what is known to be wrong with the part, if anything, though the server has no more.
    """
    from urllib.error import HTTPError

    try:
        response = _open(url, headers)
    except HTTPError as error:
        error.close()
        if error.code == 416 and headers:
            # Nothing lies beyond what is here: it may be whole.
            is_whole = error.headers.get("Content-Range", "").endswith(f"*/{part.size}")
            return None if is_whole or expected.sha256 else "its beginning is of another file"
        told = f"HTTP {error.code} {error.reason}"
        if error.code in (429, 502, 503, 504):
            after = error.headers.get("Retry-After", "")
            raise _BusyError(told, float(after) if after.isdigit() else 0.0) from error
        raise _RefusedError(told) from error
    except (OSError, HTTPException, ValueError) as error:
        raise _RefusedError(_told(error)) from error
    with response:
        offset, offered = _offered(response, part.size if headers else 0)
        total = expected.size if offered is None else offered
        if expected.size is not None and total != expected.size:
            raise _RefusedError(f"offers {total} bytes, expected {expected.size}")
        if offset == 0:
            _remember(path, url, response)
        with _storing(path), open(path, "ab" if offset else "wb") as file, _progress(path, offset, total) as bar:
            end = _pour(response, file, offset, total, bar)
    if total is not None and end > total:
        return f"sends more than the {total} bytes expected"
    if total is not None and end < total:
        raise _CutError(f"the connection was closed after {end} of {total} bytes")
    return None


def _open(url: str, headers: Mapping[str, str]) -> HTTPResponse:
    from urllib.request import Request, urlopen

    agent = {"User-Agent": "batchup", "Accept-Encoding": "identity"}
    request = Request(url, headers=agent | dict(headers))
    response: HTTPResponse = urlopen(request, timeout=_timeout())
    return response


def _offered(response: HTTPResponse, asked: int) -> tuple[int, int | None]:
    """Where in the file the response begins, and how long the file is, if it says so."""
    length = response.headers.get("Content-Length")
    if response.status != 206:
        return 0, int(length) if length and length.isdigit() else None
    given = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", given.strip())
    if match is None or int(match[1]) != asked:
        raise _WrongRangeError(f"asked for bytes from {asked} on, got Content-Range: {given!r}")
    return asked, None if match[2] == "*" else int(match[2])


def _pour(response: HTTPResponse, file: BinaryIO, offset: int, total: int | None, bar: "tqdm[None]") -> int:
    """Write what comes, up to the first chunk that is too much; the offset at which it ended."""
    seconds = _timeout()
    begun, before = monotonic(), offset
    while total is None or offset <= total:
        try:
            # Not read(): it waits for a whole chunk, and loses what came before a cut.
            chunk = response.read1(CHUNK)
        except (OSError, HTTPException) as error:
            raise _CutError(f"{_told(error)} after {offset} bytes") from error
        if not chunk:
            break
        offset += len(chunk)
        file.write(chunk)
        bar.update(len(chunk))
        if (now := monotonic()) - begun >= seconds:
            if offset - before < LEAST:
                raise _RefusedError(f"stalled: {offset - before} bytes in {now - begun:.0f} s")
            begun, before = now, offset
    return offset


def _timeout() -> float:
    import socket

    return socket.getdefaulttimeout() or TIMEOUT


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    """Turn the disk's refusal into an error of its own: no other mirror would help."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} can't be written: {error.strerror}; make room and run again, the download then goes on from there"
        ) from error


def _progress(path: Path, offset: int, total: int | None) -> "tqdm[None]":
    import threading

    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        # No monitor thread, and no lock shared with other processes, is left behind.
        monitor_interval = 0

    Bar.set_lock(threading.RLock())
    return Bar(
        total=total, initial=offset, unit="B", unit_scale=True, unit_divisor=1024, desc=path.name.removesuffix(".part")
    )


def _told(error: BaseException) -> str:
    """What went wrong, as part of a sentence."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "stalled"
    return str(reason) or type(reason).__name__


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _remember(path: Path, url: str, response: HTTPResponse) -> None:
    """Keep the strong validator of what is about to come. The old part ends here."""
    etag = response.headers.get("ETag", "")
    strong = etag if etag and not etag.startswith("W/") else None
    validator = strong or response.headers.get("Last-Modified")
    path.unlink(missing_ok=True)
    with _storing(path):
        _record(path).write_text(json.dumps({"url": url, "validator": validator}))


def _read_part(path: Path) -> Part:
    if not path.exists():
        return Part()
    try:
        kept = json.loads(_record(path).read_text())
        url, validator = kept["url"], kept["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        url = validator = None
    return Part(path.stat().st_size, url, validator)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _record(part).unlink(missing_ok=True)
