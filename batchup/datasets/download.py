"""Download a file from the first of several URLs that has it, and go on where a download was cut.

The data is kept in `<file>.part` until it is complete and checked, and is then renamed. `<file>.part.json` has the URL
that it came from and the validator (RFC 9110, 8.8) by which the server can say whether its file is still the same.
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
    """Raised if a URL can't be used; the text says why."""


class _BusyError(_RefusedError):
    """Raised if the server is busy, with the seconds to wait if it gives them. Another server may not be busy."""

    def __init__(self, why: str, seconds: float = 0.0):
        super().__init__(why)
        self.seconds = seconds


class _WrongRangeError(_RefusedError):
    """Raised if the server sends another part of the file than the one requested. It may send the whole file."""


class _CutError(Exception):
    """Raised if the connection ended before the file did. The data that came is kept."""


@dataclass(frozen=True)
class Part:
    """The beginning of a file, and the URL that it came from."""

    size: int = 0
    url: str | None = None
    validator: str | None = None


def download_from(urls: Sequence[str], path: Path, expected: Expected) -> Path:
    """Download `path` from the first of `urls` that has it as expected.

    A URL is requested again as long as more of the file comes. The next URL goes on where the last one was cut, if the
    hash is known. After all URLs were tried, busy ones (HTTP 429, 502, 503, 504) are requested again after a while, and
    for those that sent a wrong part of the file the whole is requested. A complete file with a wrong hash is deleted.
    Raises `FetchError`, which lists every URL with its error, and `StorageError` if the disk is full. In both cases data
    that may be right is kept for the next call.
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
    """The headers that request the missing rest of `part` from `url`; empty to begin again.

    Going on is safe if the server can say that its file is still the same (If-Range). It is also safe, even with the
    beginning from another server, if the hash of the whole file is known.

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
    """Complete the part at `path` from `url`, and check the whole file. Without `ranges`, begin again."""
    furthest, begun_again = _read_part(path).size if ranges else 0, False
    for _ in range(MAX_REQUESTS):
        part = _read_part(path)
        headers = resume_headers(part, url, expected) if ranges else {}
        # It may be complete, if a run was killed just before the end.
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
        # Its beginning may be wrong, so the whole file is requested once.
        if begun_again or not headers:
            raise _RefusedError(problem)
        furthest, begun_again = 0, True
    raise _RefusedError(f"cut {MAX_REQUESTS} times; run again to go on")


def _request(url: str, path: Path, part: Part, headers: Mapping[str, str], expected: Expected) -> str | None:
    """Make one request, and append the data to the part, or begin it anew if the server sends the whole file.

    Returns what is wrong with the part, if anything, if the server has no more data.
    """
    from urllib.error import HTTPError

    try:
        response = _open(url, headers)
    except HTTPError as error:
        error.close()
        if error.code == 416 and headers:
            # The file ends where the part ends: it may be complete.
            is_whole = error.headers.get("Content-Range", "").endswith(f"*/{part.size}")
            return None if is_whole or expected.sha256 else "what was downloaded before belongs to another file"
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
    """The offset in the file at which the response begins, and the length of the file; None if unknown."""
    length = response.headers.get("Content-Length")
    if response.status != 206:
        return 0, int(length) if length and length.isdigit() else None
    given = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", given.strip())
    if match is None or int(match[1]) != asked:
        raise _WrongRangeError(f"asked for bytes from {asked} on, got Content-Range: {given!r}")
    return asked, None if match[2] == "*" else int(match[2])


def _pour(response: HTTPResponse, file: BinaryIO, offset: int, total: int | None, bar: "tqdm[None]") -> int:
    """Write the data, until it is more than expected. Returns the offset of the end."""
    seconds = _timeout()
    begun, before = monotonic(), offset
    while total is None or offset <= total:
        try:
            # Not read(), which waits for a whole chunk, and loses its beginning if the connection is cut.
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
    """Turn an error of the disk into a StorageError: another URL would not help."""
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
        # Leaves no monitor thread, and no lock that is shared with other processes.
        monitor_interval = 0

    Bar.set_lock(threading.RLock())
    return Bar(
        total=total, initial=offset, unit="B", unit_scale=True, unit_divisor=1024, desc=path.name.removesuffix(".part")
    )


def _told(error: BaseException) -> str:
    """The text of an error, as a part of a sentence."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "stalled"
    return str(reason) or type(reason).__name__


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _remember(path: Path, url: str, response: HTTPResponse) -> None:
    """Save the strong validator of the data that comes next. The old part is deleted."""
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
