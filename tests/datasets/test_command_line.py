"""`python -m batchup.datasets`: what it prints, its exit codes, and no traceback."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import batchup
from batchup import datasets
from batchup.datasets import mnist
from batchup.datasets.__main__ import main
from batchup.datasets.contact_sheet import CAPTION, contact_sheet
from batchup.datasets.errors import DatasetError
from batchup.datasets.standard import DataSet
from tests.datasets.site_under_test import status
from tests.datasets.small_sets import KINDS, record_as_real


@pytest.fixture
def here(monkeypatch, site):
    """MNIST, small, fetched."""
    real = mnist.SET.sources
    small = KINDS["mnist"].write()
    KINDS["mnist"].install(monkeypatch, site, small)
    record_as_real(mnist.SET.fetch(), real)
    return small


def run(*args, cwd=None):
    """The command in a process of its own: (exit code, stdout, stderr)."""
    env = os.environ | {"PYTHONPATH": str(Path(batchup.__file__).parents[1])}
    command = [sys.executable, "-m", "batchup.datasets", *args]
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_list(here, home):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    head, *rows = [line.split("  ") for line in out.splitlines()]
    assert [cell.strip() for cell in head if cell] == ["name", "samples", "download", "here", "where"]
    rows = {row[0].strip(): [cell.strip() for cell in row[1:] if cell] for row in rows}
    assert list(rows) == list(datasets.SETS)
    assert rows["mnist"] == ["60000 + 10000", "11.6 MB", "yes", str(home / "mnist")]
    assert rows["usps"] == ["7291 + 2007", "unknown", "no", str(home / "usps")]


def test_list_with_a_foreign_directory(home):
    (home / "mnist").mkdir(parents=True)
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert "broken" in out.splitlines()[1]
    code, out, err = run("path", "mnist")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {home / 'mnist'} has no meta.json")


def test_list_makes_nothing(home):
    assert run("list")[0] == 0
    assert not home.parent.exists()


def test_fetch(monkeypatch, site, home, capsys):
    for name in ("mnist", "usps"):
        KINDS[name].install(monkeypatch, site, KINDS[name].write())
    assert main(["fetch", "mnist", "usps"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(home / "mnist"), str(home / "usps")]
    asked = len(site.requests)
    assert main(["fetch", "mnist"]) == 0
    assert len(site.requests) == asked


def test_fetch_goes_on_after_a_failure(monkeypatch, site, home, capsys):
    for name in ("mnist", "usps"):
        KINDS[name].install(monkeypatch, site, KINDS[name].write())
    site.pages["/mnist/train-labels-idx1-ubyte.gz"] = [status(404)]
    assert main(["fetch", "mnist", "usps"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [str(home / "usps")]
    assert "error: train-labels-idx1-ubyte.gz could not be downloaded:" in told.err
    assert "HTTP 404 Not Found" in told.err


def test_path(here, home):
    assert run("path", "mnist") == (0, f"{home / 'mnist'}\n", "")


@pytest.mark.parametrize("command", ["path", "verify", "show"])
def test_what_is_not_here(command, tmp_path):
    code, out, err = run(command, "cifar10", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err == ("error: cifar10 is not here: get it with `python -m batchup.datasets fetch cifar10`\n")


def test_verify(here, home):
    assert run("verify", "mnist") == (0, "mnist: every file is as it was written\n", "")
    file = home / "mnist" / "train_X.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    (home / "mnist" / "test_y.npy").unlink()
    code, out, err = run("verify", "mnist")
    assert (code, out) == (1, "")
    assert f"{home / 'mnist' / 'test_y.npy'} is missing" in err
    assert f"{file} has SHA-256 " in err
    assert "delete it with `python -m batchup.datasets delete mnist`" in err


HASH = "0" * 64
FILES = f'"files": {{"a": {{"size": 1, "sha256": "{HASH}"}}}}'


@pytest.mark.parametrize(
    "spoil",
    [
        "{",
        "[]",
        "null",
        '{"layout": 99, "files": {}}',
        '{"layout": 1, "sources": [], "files": {}}',
        '{"layout": 1, "sources": [], "files": null}',
        '{"layout": 1, "sources": [], "files": []}',
        '{"layout": 1, "sources": null, "files": {}}',
        f'{{"layout": 1, {FILES}}}',
        '{"layout": 1, "sources": [], "files": {"a": null}}',
        f'{{"layout": 1, "sources": [], {FILES.replace("size", "sighs")}}}',
        f'{{"layout": 1, "sources": [], {FILES.replace("1", "null")}}}',
        '{"layout": 1, "sources": [], "files": {"a": {"size": 1, "sha256": null}}}',
        f'{{"layout": 1, "sources": [{{"name": "a"}}], {FILES}}}',
    ],
)
def test_spoilt_record(here, home, spoil):
    (home / "mnist" / "meta.json").write_text(spoil)
    code, out, err = run("verify", "mnist")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert "delete it with `python -m batchup.datasets delete mnist`" in err


def test_made_of_other_files_than_those_that_are_pinned(here, home):
    record_as_real(home / "mnist", [replace(mnist.SET.sources[0], sha256=HASH), *mnist.SET.sources[1:]])
    for command in ("verify", "fetch", "show"):
        code, out, err = run(command, "mnist")
        assert (code, out) == (1, "")
        assert "Traceback" not in err
        assert f"was made of {mnist.SET.sources[0].filename} with SHA-256 {HASH}, expected " in err
        assert "delete it with `python -m batchup.datasets delete mnist` and fetch it again" in err
    with pytest.raises(DatasetError, match="was made of"):
        mnist.MNIST(n_val=None)


def test_a_link_to_nothing(home, site):
    home.mkdir(parents=True)
    (home / "mnist").symlink_to(home / "elsewhere")
    for command in ("fetch", "verify"):
        code, out, err = run(command, "mnist")
        assert (code, out) == (1, "")
        assert f"{home / 'mnist'} is a symbolic link to {home / 'elsewhere'}, which doesn't exist" in err
    assert "broken" in run("list")[1]
    assert site.requests == []
    assert run("delete", "mnist") == (0, "", "")
    assert not (home / "mnist").is_symlink()


def test_the_home_of_an_unknown_user(monkeypatch):
    monkeypatch.setenv("BATCHUP_HOME", "~nosuchuser/x")
    code, out, err = run("list")
    assert (code, out) == (1, "")
    assert err == (
        "error: ~nosuchuser/x: there is no such user, or no home directory: set BATCHUP_HOME to an absolute path\n"
    )


def test_delete(here, home):
    assert run("delete", "mnist") == (0, "", "")
    assert not (home / "mnist").exists()
    assert run("delete", "mnist") == (0, "", "")


@pytest.mark.parametrize(
    "args", [[], ["fetch"], ["fetch", "mnits"], ["path", "mnist", "usps"], ["show", "mnist", "-n", "0"]]
)
def test_command_that_makes_no_sense(args):
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err.startswith("usage: python -m batchup.datasets")
    assert "Traceback" not in err


def test_broken_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("BATCHUP_HOME")
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / ".batchup.cfg").write_text("[paths]\ndata_dir=sets\n")
    code, _, err = run("list")
    assert code == 1
    assert err.startswith(f"error: {tmp_path / 'user' / '.batchup.cfg'}: data_dir=sets: must be")


def test_interrupt(monkeypatch, capsys):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(DataSet, "fetch", interrupted)
    assert main(["fetch", "mnist"]) == 130
    assert "interrupted: what was downloaded is kept" in capsys.readouterr().err


def test_show(here, tmp_path):
    assert run("show", "mnist", cwd=tmp_path) == (0, "mnist.png\n", "")
    with Image.open(tmp_path / "mnist.png") as sheet:
        assert (sheet.format, sheet.mode) == ("PNG", "RGB")
        assert sheet.size == (4 * 84, 4 * (84 + CAPTION))


def test_show_elsewhere(here, tmp_path):
    target = tmp_path / "some where.png"
    assert run("show", "mnist", "-n", "3", "-o", str(target)) == (0, f"{target}\n", "")
    with Image.open(target) as sheet:
        assert sheet.size == (2 * 84, 2 * (84 + CAPTION))


def test_show_where_nothing_can_be_written(here, tmp_path):
    code, out, err = run("show", "mnist", "-o", str(tmp_path / "missing" / "x.png"))
    assert (code, out) == (1, "")
    assert err.startswith("error: [Errno 2] No such file or directory")


@pytest.mark.parametrize("name", KINDS)
def test_sheet_shows_every_image_over_its_label(monkeypatch, site, name):
    small = KINDS[name].write()
    KINDS[name].install(monkeypatch, site, small)
    declared = KINDS[name].declared
    part = next(iter(small.samples))
    X, y = small.arrays[f"{part}_X"], small.arrays[f"{part}_y"]
    shown = np.linspace(0, len(y) - 1, 9).astype(int)
    sheet = np.asarray(contact_sheet(declared, 9))
    side = sheet.shape[1] // 3
    scale = side // X.shape[-1]
    captions = {}
    for place, row in enumerate(shown):
        top, left = place // 3 * (side + CAPTION), place % 3 * side
        cell = sheet[top : top + side : scale, left : left + side : scale].transpose(2, 0, 1)
        pixels = X[row] if X.dtype == np.uint8 else np.round(X[row] * 255)
        np.testing.assert_array_equal(cell, np.broadcast_to(pixels, cell.shape))
        caption = sheet[top + side : top + side + CAPTION, left : left + side]
        assert caption.min() < 128
        captions.setdefault(y[row].item(), set()).add(caption.tobytes())
    # Each label has its own caption, and always the same.
    assert all(len(seen) == 1 for seen in captions.values())
    assert len(set.union(*captions.values())) == len(captions) > 1


def test_sheet_without_pillow(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert main(["show", "mnist"]) == 1
    assert "error: a contact sheet takes Pillow: pip install pillow" in capsys.readouterr().err


@pytest.fixture
def packaged(monkeypatch, tmp_path):
    """A set that comes with the package, in the place of MNIST."""
    file = tmp_path / "tiny.npz"
    np.savez(file, train_X=np.full((4, 1, 8, 8), 16, np.uint8), train_y=np.arange(4))
    declared = DataSet("mnist", "Tiny", {"train": 4}, terms="", cite="", packaged=file, white=16.0)
    monkeypatch.setattr(mnist, "SET", declared)
    return declared


def test_set_that_comes_with_the_package(packaged, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fetch", "mnist"]) == main(["path", "mnist"]) == 0
    assert capsys.readouterr().out == f"{packaged.packaged}\n" * 2
    assert main(["list"]) == 0
    assert "none" in capsys.readouterr().out
    assert main(["verify", "mnist"]) == 0
    assert main(["show", "mnist"]) == 0
    assert np.asarray(contact_sheet(packaged, 4))[0, 0].tolist() == [255, 255, 255]
    assert main(["delete", "mnist"]) == 1
    assert "mnist is part of batchup and can't be deleted" in capsys.readouterr().err
