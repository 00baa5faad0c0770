"""Which file is open."""

import os

import pytest

from batchup.files import OpenFile


def opened(path):
    with open(path, "rb") as file:
        return OpenFile.of(file.fileno(), str(path)), os.dup(file.fileno())


def test_a_file_is_found_by_its_path(tmp_path, monkeypatch):
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"one")
    monkeypatch.chdir(tmp_path)
    file, descriptor = opened("a")
    assert file.path == str(path)
    assert file.is_there
    file.check(descriptor)
    other.write_bytes(b"other")
    os.replace(other, path)
    assert not file.is_there
    with open(path, "rb") as now, pytest.raises(ValueError, match="another file has this name now"):
        file.check(now.fileno())
    assert OpenFile.of(descriptor, "a") is None
    os.close(descriptor)
    path.unlink()
    assert not file.is_there


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="only Linux tells the path of an open file")
def test_a_relative_name_after_chdir(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"two")
    monkeypatch.chdir(tmp_path)
    with open("a", "rb") as file:
        monkeypatch.chdir(tmp_path / "sub")
        assert OpenFile.of(file.fileno(), "a").path == str(tmp_path / "a")


def test_on_another_machine_the_size_tells(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    file, descriptor = opened(tmp_path / "a")
    elsewhere = file._replace(machine="another", device=-1, inode=-1)
    elsewhere.check(descriptor)
    with pytest.raises(ValueError, match="expected the file"):
        elsewhere._replace(size=4).check(descriptor)
    os.close(descriptor)
