"""Every way in which a download goes wrong, against a real server."""

import hashlib
import json
import socket
import threading
from itertools import count

import pytest

from batchup.datasets.download import Part, download_from, resume_headers
from batchup.datasets.errors import FetchError, StorageError
from batchup.datasets.files import Expected
from tests.datasets.site_under_test import cut, dead_url, stall, status, whole

DATA = bytes(range(256)) * 300
EXPECTED = Expected(hashlib.sha256(DATA).hexdigest(), len(DATA))
HASH_ONLY = Expected(EXPECTED.sha256)
HALF = len(DATA) // 2


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "x.bin"


def files_beside(path):
    return sorted(each.name for each in path.parent.iterdir())


def download(path, site, *answers, expected=EXPECTED):
    site.pages["/x"] = list(answers)
    return download_from([site.url("/x")], path, expected)


@pytest.mark.parametrize("expected", [EXPECTED, HASH_ONLY, Expected()])
def test_whole_file(path, site, expected):
    assert download(path, site, whole(DATA), expected=expected) == path
    assert path.read_bytes() == DATA
    assert files_beside(path) == ["x.bin"]
    assert site.ranges() == [None]


def test_progress_bar_tells_name_bytes_and_rate(path, site, capsys):
    download(path, site, whole(DATA))
    told = capsys.readouterr().err
    assert "x.bin" in told
    assert "75.0k/75.0k" in told
    assert "B/s" in told


def test_no_thread_is_left(path, site):
    before = set(threading.enumerate())
    download(path, site, whole(DATA))
    assert {t for t in set(threading.enumerate()) - before if "process_request" not in t.name} == set()


def test_file_url(path, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(DATA)
    assert download_from([source.as_uri()], path, EXPECTED).read_bytes() == DATA


def test_dead_mirror_then_live_one(path, site):
    site.pages["/x"] = [whole(DATA)]
    download_from([dead_url(), site.url("/x")], path, EXPECTED)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("code", [403, 404, 500, 503])
def test_refusal_then_live_mirror(path, site, code):
    site.pages |= {"/bad": [status(code)], "/x": [whole(DATA)]}
    download_from([site.url("/bad"), site.url("/x")], path, EXPECTED)
    assert path.read_bytes() == DATA
    assert len(site.requests) == 2


@pytest.mark.parametrize("expected", [EXPECTED, HASH_ONLY])
def test_error_page_with_status_200(path, site, expected):
    site.pages |= {"/bad": [status(200)], "/x": [whole(DATA)]}
    download_from([site.url("/bad"), site.url("/x")], path, expected)
    assert path.read_bytes() == DATA


def test_error_page_does_not_cost_what_was_got(path, site):
    """A page of another length is refused before it replaces the beginning of the file."""
    site.pages["/x"] = [cut(DATA, HALF), status(200), whole(DATA)]
    with pytest.raises(FetchError, match=f"offers 18 bytes, expected {len(DATA)}"):
        download_from([site.url("/x")], path, EXPECTED)
    download_from([site.url("/x")], path, EXPECTED)
    assert site.ranges()[-1] == f"bytes={HALF}-"


def test_cut_connection_goes_on_where_it_was(path, site):
    download(path, site, cut(DATA, HALF), whole(DATA))
    assert path.read_bytes() == DATA
    assert site.ranges() == [None, f"bytes={HALF}-"]
    assert site.requests[1][1]["If-Range"] == '"v1"'
    assert files_beside(path) == ["x.bin"]


def test_cut_many_times(path, site):
    at = range(1000, len(DATA), 1000)
    download(path, site, *(cut(DATA, n) for n in at), whole(DATA))
    assert path.read_bytes() == DATA
    assert site.ranges() == [None, *(f"bytes={n}-" for n in at)]


def test_cut_goes_on_in_the_next_call(path, site):
    with pytest.raises(FetchError, match=rf"closed after {HALF} of {len(DATA)} bytes") as caught:
        download(path, site, cut(DATA, HALF))
    assert f"{HALF} bytes are kept for the next try" in str(caught.value)
    assert not path.exists()
    download(path, site, whole(DATA))
    assert path.read_bytes() == DATA
    assert site.ranges()[-1] == f"bytes={HALF}-"


def test_cut_goes_on_at_the_next_mirror(path, site):
    site.pages |= {"/bad": [cut(DATA, HALF), status(503)], "/x": [whole(DATA, etag='"other"')]}
    download_from([site.url("/bad"), site.url("/x")], path, EXPECTED)
    assert path.read_bytes() == DATA
    assert site.ranges()[-1] == f"bytes={HALF}-"
    assert "If-Range" not in site.requests[-1][1]


def test_cut_inside_chunked_encoding_is_no_end(path, site):
    def chunked(handler, site):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n" % len(DATA) + DATA[:HALF])

    with pytest.raises(FetchError, match=r"x\.bin could not be downloaded"):
        download(path, site, chunked, expected=Expected())
    assert not path.exists()


def test_file_that_changed_on_the_server_is_got_anew(path, site):
    """Nothing but If-Range tells, for there is no hash."""
    new = DATA[::-1]
    download(path, site, cut(DATA, HALF), whole(new, etag='"v2"'), expected=Expected())
    assert path.read_bytes() == new


def test_last_modified_serves_as_validator(path, site):
    day = "Tue, 01 Jan 2019 00:00:00 GMT"
    options = {"etag": 'W/"weak"', "last_modified": day}
    download(path, site, cut(DATA, HALF, **options), whole(DATA, **options), expected=Expected())
    assert path.read_bytes() == DATA
    assert site.requests[1][1]["If-Range"] == day


def test_no_validator_and_no_hash_begins_again(path, site):
    download(path, site, cut(DATA, HALF, etag=None), whole(DATA, etag=None), expected=Expected())
    assert path.read_bytes() == DATA
    assert site.ranges() == [None, None]


def test_server_without_range(path, site):
    download(path, site, cut(DATA, HALF, ranges=False), whole(DATA, ranges=False))
    assert path.read_bytes() == DATA
    assert site.ranges() == [None, f"bytes={HALF}-"]


def test_server_without_range_that_never_ends_is_given_up(path, site):
    with pytest.raises(FetchError, match="closed after"):
        download(path, site, cut(DATA, HALF, ranges=False))
    assert len(site.requests) == 2


def test_server_without_length(path, site):
    download(path, site, whole(DATA, length=False))
    assert path.read_bytes() == DATA


def test_cut_without_length_is_seen_by_the_size(path, site):
    download(path, site, cut(DATA, HALF, length=False), whole(DATA))
    assert site.ranges() == [None, f"bytes={HALF}-"]


def test_server_without_length_that_sends_too_much(path, site):
    with pytest.raises(FetchError, match=f"sends more than the {len(DATA)} bytes expected"):
        download(path, site, whole(DATA + b"!", length=False))
    assert files_beside(path) == []


def test_wrong_content_range(path, site):
    def liar(handler, site):
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-9/{len(DATA)}")
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.write(DATA[:10])

    with pytest.raises(FetchError, match=f"the connection was closed after 10 of {len(DATA)} bytes"):
        download(path, site, cut(DATA, HALF), liar)
    assert not path.exists()
    assert site.ranges()[:3] == [None, f"bytes={HALF}-", None]


def test_a_server_that_answers_a_range_by_the_whole_file_as_206(path, site):
    def confused(handler, site):
        handler.send_response(206 if "Range" in handler.headers else 200)
        handler.send_header("Content-Range", f"bytes 0-{len(DATA) - 1}/{len(DATA)}")
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA)

    assert download(path, site, cut(DATA, HALF), confused).read_bytes() == DATA
    assert site.ranges() == [None, f"bytes={HALF}-", None]


def test_a_mirror_is_asked_for_the_rest_before_a_confused_server_for_the_whole(path, site):
    def confused(handler, site):
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-9/{len(DATA)}")
        handler.end_headers()

    site.pages |= {"/bad": [cut(DATA, HALF), confused], "/x": [whole(DATA)]}
    download_from([site.url("/bad"), site.url("/x")], path, EXPECTED)
    assert path.read_bytes() == DATA
    assert site.ranges() == [None, f"bytes={HALF}-", f"bytes={HALF}-"]


@pytest.mark.parametrize("code", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(path, site, pauses, code):
    download(path, site, status(code), status(code), whole(DATA))
    assert path.read_bytes() == DATA
    assert pauses == [1, 2]


def test_a_server_that_stays_busy_is_given_up(path, site, pauses):
    with pytest.raises(FetchError, match="HTTP 503"):
        download(path, site, status(503))
    assert len(site.requests) == 4
    assert pauses == [1, 2, 4]


@pytest.mark.parametrize(("after", "seconds"), [("7", 7), ("100000", 60), ("Wed, 21 Oct 2065", 1)])
def test_a_busy_server_says_for_how_long(path, site, pauses, after, seconds):
    def busy(handler, site):
        handler.send_response(503)
        handler.send_header("Retry-After", after)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    download(path, site, busy, whole(DATA))
    assert pauses == [seconds]


def test_a_server_that_sends_a_byte_now_and_then_is_given_up_for_another(path, site, monkeypatch):
    clock = count(0, 10)  # ten seconds go by between two looks at it
    monkeypatch.setattr("batchup.datasets.download.monotonic", lambda: float(next(clock)))
    sent = threading.Event()

    def slow(handler, site):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        for k in range(len(DATA)):
            if sent.wait(0.001):
                return
            try:
                handler.wfile.write(DATA[k : k + 1])
                handler.wfile.flush()
            except OSError:  # given up
                return

    site.pages |= {"/slow": [slow], "/x": [whole(DATA)]}
    try:
        download_from([site.url("/slow"), site.url("/x")], path, EXPECTED)
        assert path.read_bytes() == DATA
        path.unlink()
        with pytest.raises(FetchError, match=r"stalled: \d+ bytes in 30 s"):
            download_from([site.url("/slow")], path, EXPECTED)
    finally:
        sent.set()


@pytest.mark.parametrize("upto", [0, HALF])
def test_stalled_server(path, site, monkeypatch, upto):
    socket.setdefaulttimeout(0.2)
    try:
        site.pages |= {"/bad": [stall(DATA, upto)], "/x": [whole(DATA)]}
        download_from([site.url("/bad"), site.url("/x")], path, EXPECTED)
    finally:
        socket.setdefaulttimeout(None)
    assert path.read_bytes() == DATA
    assert site.ranges()[-1] == (f"bytes={HALF}-" if upto else None)


def test_wrong_hash_everywhere(path, site):
    bad = DATA[:-1] + b"?"
    site.pages |= {"/a": [whole(bad)], "/b": [status(404)], "/c": [whole(DATA[:-1])]}
    urls = [site.url("/a"), site.url("/b"), site.url("/c"), dead_url()]
    with pytest.raises(FetchError) as caught:
        download_from(urls, path, EXPECTED)
    title, *reasons = str(caught.value).splitlines()
    assert title == "x.bin could not be downloaded:"
    found = hashlib.sha256(bad).hexdigest()
    assert reasons[0] == f"  {urls[0]}: its SHA-256 is {found}, expected {EXPECTED.sha256}"
    assert reasons[1] == f"  {urls[1]}: HTTP 404 Not Found"
    assert reasons[2] == f"  {urls[2]}: offers {len(DATA) - 1} bytes, expected {len(DATA)}"
    assert reasons[3].startswith(f"  {urls[3]}: ")
    assert "refused" in reasons[3]
    assert len(reasons) == 4
    assert files_beside(path) == []


def test_spoilt_beginning_is_got_anew_once(path, site):
    path.parent.mkdir()
    path.with_name("x.bin.part").write_bytes(b"?" * HALF)
    download(path, site, whole(DATA))
    assert path.read_bytes() == DATA
    assert site.ranges() == [f"bytes={HALF}-", None]


def test_spoilt_beginning_and_spoilt_server(path, site):
    path.parent.mkdir()
    path.with_name("x.bin.part").write_bytes(b"?" * HALF)
    with pytest.raises(FetchError, match="its SHA-256 is"):
        download(path, site, whole(DATA[::-1]))
    assert site.ranges() == [f"bytes={HALF}-", None]
    assert files_beside(path) == []


@pytest.mark.parametrize(("expected", "asked"), [(EXPECTED, []), (HASH_ONLY, [f"bytes={len(DATA)}-"])])
def test_whole_part_of_a_killed_run_is_not_got_again(path, site, expected, asked):
    path.parent.mkdir()
    path.with_name("x.bin.part").write_bytes(DATA)
    download(path, site, whole(DATA), expected=expected)
    assert path.read_bytes() == DATA
    assert site.ranges() == asked
    assert files_beside(path) == ["x.bin"]


@pytest.mark.parametrize("expected", [EXPECTED, Expected()])
def test_part_longer_than_the_file(path, site, expected):
    path.parent.mkdir()
    path.with_name("x.bin.part").write_bytes(DATA + b"more")
    record = {"url": site.url("/x"), "validator": '"v1"'}
    path.with_name("x.bin.part.json").write_text(json.dumps(record))
    download(path, site, whole(DATA), expected=expected)
    assert path.read_bytes() == DATA
    assert site.ranges() == [f"bytes={len(DATA) + 4}-", None]


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"url": 1}'])
def test_spoilt_record_of_a_part(path, site, record):
    path.parent.mkdir()
    path.with_name("x.bin.part").write_bytes(b"?" * HALF)
    path.with_name("x.bin.part.json").write_text(record)
    download(path, site, whole(DATA), expected=Expected())
    assert path.read_bytes() == DATA


def test_the_disk_is_not_the_mirrors_fault(path, site):
    """What can't be written from one URL is not asked of the next."""
    path.parent.mkdir()
    path.with_name("x.bin.part.json").symlink_to("/dev/full")
    site.pages |= {"/x": [whole(DATA)], "/y": [whole(DATA)]}
    with pytest.raises(StorageError, match="No space left on device; make room and run again"):
        download_from([site.url("/x"), site.url("/y")], path, Expected())
    assert len(site.requests) == 1


def test_nonsense_url(path):
    with pytest.raises(FetchError, match="nonsense:x: "):
        download_from(["nonsense:x"], path, EXPECTED)


def test_headers_for_nothing_yet():
    assert resume_headers(Part(), "https://a.example/x", EXPECTED) == {}
