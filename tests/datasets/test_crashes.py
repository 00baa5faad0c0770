"""Killed, crowded and full: real processes, real signals, real limits."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import batchup
from batchup.datasets.dataset import DownloadSourceFile, fetch_and_convert_dataset
from tests.datasets.site_under_test import once_released, stall, whole
from tests.datasets.small_sets import KINDS, record_as_real

DATA = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(DATA).hexdigest()

# What each process runs: argv is the URL; FETCH prints the path.
DECLARE = f"""
import sys
from batchup.datasets.dataset import *

@fetch_and_convert_dataset(
    [DownloadSourceFile("a", url=sys.argv[1], sha256="{SHA256}", size={len(DATA)})], "mine"
)
def fetch(source_paths, target_path):
    target_path.mkdir()
    with open(target_path / "half", "wb", buffering=0) as file:
        data = source_paths[0].read_bytes()
        file.write(data[: len(data) // 2])
        on_half()
    (target_path / "all").write_bytes(data)
    return target_path

def on_half():
    pass
"""
FETCH = DECLARE + "\nprint(fetch())"
STOP_AT_HALF = DECLARE + "\ndef on_half(): print('half', flush=True); sys.stdin.read()\nfetch()"
TELL_ERROR = (
    DECLARE
    + """
try:
    print(fetch())
except Exception as error:
    print(type(error).__name__, error)
import pathlib
from batchup import config
files = (p for p in config.find_data_dir().rglob("*") if p.is_file())
print(sorted(p.relative_to(config.find_data_dir()).as_posix() for p in files))
"""
)


class Process(subprocess.Popen):
    """A Python process of its own, ended with the test."""

    def __init__(self, script, *args, before=(), **options):
        env = os.environ | {"PYTHONPATH": str(Path(batchup.__file__).parents[1])}
        # Where the tests run in the background of a shell, Ctrl-C is ignored, and children inherit that.
        heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        command = [*before, sys.executable, "-c", heed + script, *map(str, args)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        super().__init__(command, env=env, text=True, **pipes, **options)

    def __exit__(self, *args):
        if self.poll() is None:
            self.kill()
        super().__exit__(*args)

    def finish(self):
        out, err = self.communicate(timeout=60)
        assert self.returncode == 0, err
        return out

    def kill_9(self):
        self.send_signal(signal.SIGKILL)
        assert self.wait(60) == -signal.SIGKILL


def wait_until(condition, process):
    """Until the condition holds, as long as the process runs."""
    while not condition():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.005)
        assert process.returncode is None, process.stderr.read()


def fetch_here(url):
    @fetch_and_convert_dataset([DownloadSourceFile("a", url=url, sha256=SHA256)], "mine")
    def fetch(source_paths, target_path):
        target_path.mkdir()
        (target_path / "all").write_bytes(source_paths[0].read_bytes())
        return target_path

    return fetch()


def everything_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_killed_in_the_middle_of_a_download(home, site):
    site.pages["/a"] = [stall(DATA, len(DATA) // 2), whole(DATA)]
    part = home / ".work" / "mine" / "fetched" / "a.part"
    with Process(FETCH, site.url("/a")) as process:
        wait_until(lambda: part.exists() and part.stat().st_size > 0, process)
        process.kill_9()
    kept = part.stat().st_size
    assert (fetch_here(site.url("/a")) / "all").read_bytes() == DATA
    assert site.ranges() == [None, f"bytes={kept}-"]
    assert everything_in(home) == ["mine/all", "mine/meta.json"]


def test_killed_in_the_middle_of_a_conversion(home, site):
    site.pages["/a"] = [whole(DATA)]
    with Process(STOP_AT_HALF, site.url("/a")) as process:
        assert process.stdout.readline() == "half\n"
        process.kill_9()
    assert ".work/mine/converting/mine/half" in everything_in(home)
    assert not (home / "mine").exists()
    assert (fetch_here(site.url("/a")) / "all").read_bytes() == DATA
    assert everything_in(home) == ["mine/all", "mine/meta.json"]
    assert len(site.requests) == 1


def test_two_processes_at_once_download_once(home, site):
    site.pages["/a"] = [once_released(whole(DATA))]
    with Process(FETCH, site.url("/a")) as first:
        with site.arrived:
            assert site.arrived.wait_for(lambda: site.requests, timeout=60)
        with Process(FETCH, site.url("/a")) as second:
            assert "waiting for another process, which holds" in second.stderr.readline()
            # The first holds the lock, and its only request is not answered before now.
            site.released.set()
            told = [first.finish().strip(), second.finish().strip()]
    assert told == [str(home / "mine")] * 2
    assert len(site.requests) == 1
    assert (home / "mine" / "all").read_bytes() == DATA
    assert everything_in(home) == ["mine/all", "mine/half", "mine/meta.json"]


def test_interrupted_by_the_user_keeps_the_download(home, site):
    site.pages["/a"] = [whole(DATA)]
    with Process(STOP_AT_HALF, site.url("/a")) as process:
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
        assert "KeyboardInterrupt" in process.stderr.read()
    assert everything_in(home) == [".work/mine.lock", ".work/mine/fetched/a"]


def test_file_size_limit_in_a_download(home, site):
    """EFBIG, which needs no rights to bring about, is told and handled as a full disk is."""
    site.pages["/a"] = [whole(DATA)]

    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({len(DATA) // 2},) * 2)"
    with Process(limit + TELL_ERROR, site.url("/a")) as process:
        told = process.finish()
    assert told.startswith("StorageError ")
    assert "File too large; make room and run again, the download then goes on" in told
    kept = (home / ".work" / "mine" / "fetched" / "a.part").stat().st_size
    assert kept == len(DATA) // 2
    assert len(site.requests) == 1
    assert (fetch_here(site.url("/a")) / "all").read_bytes() == DATA
    assert site.ranges() == [None, f"bytes={kept}-"]
    assert everything_in(home) == ["mine/all", "mine/meta.json"]


def in_small_filesystem(home, size):
    """Run what follows in a mount namespace of its own, `home` being a file system of `size`."""
    home.mkdir(parents=True)
    mount = f'mount -t tmpfs -o size={size} tmpfs "{home}" && exec "$@"'
    return _unshared(mount)


def read_only(folder):
    """Run what follows in a mount namespace of its own, `folder` being read-only."""
    mount = f'mount --bind "{folder}" "{folder}" && mount -o remount,bind,ro "{folder}" && exec "$@"'
    return _unshared(mount)


def _unshared(script):
    before = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"]
    tried = subprocess.run([*before, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        # What does not need them is below and above: RLIMIT_FSIZE, and that a hit writes nothing.
        pytest.skip(f"no mount namespaces for this user: {tried.stderr}")
    return before


def test_disk_full_in_a_download(home, site):
    site.pages["/a"] = [whole(DATA)]
    before = in_small_filesystem(home, len(DATA) // 2)
    with Process(TELL_ERROR, site.url("/a"), before=before) as process:
        told, files = process.finish().splitlines()
    assert told.startswith("StorageError ")
    assert "No space left on device; make room and run again, the download then goes on" in told
    assert "mine/" not in files.replace(".work/mine/", "")
    assert len(site.requests) == 1


def test_disk_full_in_a_conversion(home, site):
    """Room for the download and half of what is written of it."""
    site.pages["/a"] = [whole(DATA)]
    before = in_small_filesystem(home, len(DATA) + len(DATA) * 3 // 4)
    with Process(TELL_ERROR, site.url("/a"), before=before) as process:
        told, files = process.finish().splitlines()
    assert told.startswith("StorageError mine could not be converted in ")
    assert "No space left on device; nothing half-written was kept: make room" in told
    assert files == "['.work/mine.lock', '.work/mine/fetched/a']"


def test_file_size_limit_in_a_conversion_of_a_standard_set(home, site, monkeypatch):
    """The images of MNIST are written by the package's own writer."""
    small = KINDS["mnist"].write(train=500)
    KINDS["mnist"].install(monkeypatch, site, small)
    script = """
import resource, sys
from batchup.datasets import idx
from batchup.datasets.errors import *
from batchup.datasets.dataset import *

sources = [DownloadSourceFile(name, base_url=sys.argv[1]) for name in idx.FILES]

@fetch_and_convert_dataset(sources, "mnist")
def fetch(source_paths, target_path):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
    target_path.mkdir()
    idx.convert(source_paths, target_path, {"train": 500, "test": 7})

try:
    fetch()
except StorageError as error:
    print(error)
"""
    with Process(script, site.url("/mnist/")) as process:
        assert process.finish().startswith("mnist could not be converted in ")
    fetched = [f".work/mnist/fetched/{name}" for name in sorted(small.files)]
    assert everything_in(home) == [".work/mnist.lock", *fetched]


COPY = """
import resource, sys
from batchup import config
from batchup.datasets.errors import *

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    config.copy_data("copied", sys.argv[1], None)
except StorageError as error:
    print(error)
"""


def test_file_size_limit_in_a_copy(home, tmp_path):
    (tmp_path / "source").write_bytes(DATA)
    with Process(COPY, tmp_path / "source") as process:
        told = process.finish()
    assert told.startswith(f"{home / 'copied'} could not be written: File too large; nothing half-")
    assert everything_in(home) == []


OPEN = """
import zlib
from batchup.datasets import mnist
print(*(zlib.crc32(mnist.SET.arrays()[name]) for name in ("train_X", "test_y")))
"""


def test_read_only_complete_cache(home, site, monkeypatch):
    import zlib

    from batchup.datasets import mnist

    real = mnist.SET.sources
    KINDS["mnist"].install(monkeypatch, site, KINDS["mnist"].write())
    arrays = mnist.SET.arrays()
    record_as_real(mnist.SET.path, real)
    with Process(OPEN, before=read_only(home.parent)) as process:
        told = process.finish().split()
    assert told == [str(zlib.crc32(arrays[name])) for name in ("train_X", "test_y")]


def test_read_only_data_directory_without_the_set(home, site):
    home.mkdir(parents=True)
    with Process(TELL_ERROR, site.url("/a"), before=read_only(home.parent)) as process:
        told = process.finish()
    assert told.startswith(f"StorageError {home / '.work'} can't be written to: Read-only file system")
    assert "set BATCHUP_HOME to a directory that can" in told


def test_a_hit_writes_nothing(home, site, monkeypatch):
    from batchup.datasets import mnist

    KINDS["mnist"].install(monkeypatch, site, KINDS["mnist"].write())
    mnist.MNIST(3)

    def state():
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in [home, *home.rglob("*")]}

    before = state()
    mnist.MNIST(3)
    assert state() == before


def test_import_is_light_and_makes_nothing(home):
    script = """
import sys
import batchup.config, batchup.datasets.dataset, batchup.image.utils
from batchup.datasets import mnist, fashion_mnist, svhn, cifar10, cifar100, stl, usps
heavy = {"tqdm", "scipy", "urllib.request", "http.client", "filelock", "tarfile", "PIL", "ssl"}
print(sorted(heavy & set(sys.modules)))
"""
    with Process(script) as process:
        assert process.finish() == "[]\n"
    assert not home.parent.exists()
