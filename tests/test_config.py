"""Where data lives, and getting a file there."""

import hashlib
from pathlib import Path

import pytest

from batchup import config
from batchup.datasets.errors import FetchError, StorageError

DATA = b"data"
SHA256 = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch):
    """The user's own directory."""
    for name in ("BATCHUP_HOME", "BATCHUP_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    (tmp_path / "user").mkdir()
    return tmp_path / "user"


def configure(user, text):
    (user / ".batchup.cfg").write_text(text)


def test_default(user):
    assert config.find_data_dir() == user / ".batchup" / "data"
    assert list(user.iterdir()) == []
    assert config.get_batchup_path() == user / ".batchup"
    assert (user / ".batchup").is_dir()
    assert not (user / ".batchup" / "data").exists()
    assert config.get_data_dir() == user / ".batchup" / "data"
    assert config.get_data_path("x.npy") == user / ".batchup" / "data" / "x.npy"
    assert (user / ".batchup" / "data").is_dir()


@pytest.mark.parametrize("home", ["{tmp}/new/home", "~/new/home"])
def test_environment(user, tmp_path, monkeypatch, home):
    monkeypatch.setenv("BATCHUP_HOME", home.format(tmp=user))
    assert config.get_batchup_path() == user / "new" / "home"
    assert config.get_data_dir() == user / "new" / "home" / "data"


def test_relative_environment(user, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHUP_HOME", "here")
    assert config.get_data_dir() == tmp_path / "here" / "data"


def test_environment_wins_over_the_file(user, monkeypatch):
    configure(user, f"[paths]\ndata_dir={user}/from-file\n")
    monkeypatch.setenv("BATCHUP_HOME", str(user / "from-environment"))
    assert config.get_data_dir() == user / "from-environment" / "data"


@pytest.mark.parametrize("value", ["~/d%20/sets", "$STORE/sets", "${STORE}/sets", "/srv/sets"])
def test_file(user, monkeypatch, value):
    monkeypatch.setenv("STORE", str(user / "store"))
    configure(user, f"[paths]\ndata_dir = {value}\n")
    expected = {"~": user / "d%20/sets", "$": user / "store/sets", "/": Path("/srv/sets")}
    assert config.find_data_dir() == expected[value[0]]
    assert config.get_batchup_path() == user / ".batchup"


@pytest.mark.parametrize("text", ["", "[paths]\n", "[other]\ndata_dir=/x\n"])
def test_file_that_says_nothing(user, text):
    configure(user, text)
    assert config.find_data_dir() == user / ".batchup" / "data"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data_dir=/x\n", "no section headers"),
        ("[paths]\nnonsense\n", "nonsense"),
        ("[paths]\ndata_dir=sets\n", "data_dir=sets: must be an absolute path, got 'sets'"),
        ("[paths]\ndata_dir=\n", "must be an absolute path, got ''"),
        ("[paths]\ndata_dir=$NOT_SET/sets\n", r"data_dir=\$NOT_SET/sets: \$NOT_SET is not set"),
    ],
)
def test_broken_file(user, text, reason):
    configure(user, text)
    with pytest.raises(config.ConfigError, match=rf"(?s)\.batchup\.cfg.*{reason}"):
        config.find_data_dir()


def test_file_that_is_no_text(user):
    (user / ".batchup.cfg").write_bytes(b"\xff\xfe")
    with pytest.raises(config.ConfigError, match=r"\.batchup\.cfg can't be read as a config"):
        config.find_data_dir()


def test_directory_in_place_of_the_file(user):
    (user / ".batchup.cfg").mkdir()
    with pytest.raises(config.ConfigError, match=r"\.batchup\.cfg can't be read as a config"):
        config.find_data_dir()


def test_path_that_is_no_directory(user, monkeypatch):
    (user / ".batchup").write_text("a file")
    with pytest.raises(config.ConfigError, match=r"user/\.batchup can't be made a directory: File"):
        config.get_batchup_path()
    with pytest.raises(config.ConfigError, match=r"user/\.batchup/data can't be made a directory"):
        config.get_data_dir()
    monkeypatch.setenv("BATCHUP_HOME", str(user / "home"))
    (user / "home").mkdir()
    (user / "home" / "data").write_text("a file")
    with pytest.raises(config.ConfigError, match=r"home/data is not a directory: move that file"):
        config.find_data_dir()


def test_mirrors(monkeypatch):
    assert config.mirrors() == ()
    monkeypatch.setenv("BATCHUP_MIRROR", "  http://a.example  file:///b ")
    assert config.mirrors() == ("http://a.example", "file:///b")


@pytest.mark.parametrize("value", ["a.example", "ftp://a.example", "https://", "/mnt/sets"])
def test_mirror_that_is_none(monkeypatch, value):
    monkeypatch.setenv("BATCHUP_MIRROR", f"http://a.example {value}")
    with pytest.raises(config.ConfigError, match=f"got '{value}'"):
        config.mirrors()


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(DATA)
    assert config.compute_sha256(tmp_path / "a") == SHA256
    assert config.verify_file(str(tmp_path / "a"), SHA256.upper())
    assert not config.verify_file(tmp_path / "a", OTHER)
    with pytest.raises(ValueError, match="64 hexadecimal digits, got 2 characters: 'ab'"):
        config.verify_file(tmp_path / "a", "ab")


GETTERS = {
    "download_and_verify": lambda to, source, sha256: config.download_and_verify(to, source.as_uri(), sha256),
    "copy_and_verify": config.copy_and_verify,
    "download_data": lambda to, source, sha256: config.download_data(to.name, source.as_uri(), sha256),
    "copy_data": lambda to, source, sha256: config.copy_data(to.name, source, sha256),
}


@pytest.fixture(params=GETTERS)
def get(request):
    return GETTERS[request.param]


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").write_bytes(DATA)
    return tmp_path / "source"


@pytest.fixture
def target(user):
    return config.get_data_path("target")


def names_beside(path):
    return sorted(each.name for each in path.parent.iterdir())


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_get(get, source, target, sha256):
    assert get(target, source, sha256) == target
    assert target.read_bytes() == DATA
    source.unlink()
    assert get(target, source, sha256) == target
    assert names_beside(target) == ["target"]


def test_get_a_wrong_file(get, source, target):
    with pytest.raises(FetchError, match=f"its SHA-256 is {SHA256}, expected {OTHER}"):
        get(target, source, OTHER)
    assert not target.exists()
    assert [name for name in names_beside(target) if not name.endswith(".lock")] == []


def test_wrong_file_that_is_there_is_left_alone(get, source, target):
    target.write_bytes(b"mine")
    with pytest.raises(FetchError, match="target is there already, but its SHA-256 is"):
        get(target, source, SHA256)
    assert target.read_bytes() == b"mine"


def test_get_what_is_missing(get, target, tmp_path):
    with pytest.raises(FetchError, match=r"[Nn]o such file"):
        get(target, tmp_path / "missing", SHA256)
    assert not target.exists()


def test_download(source, target):
    assert config.download(str(target), source.as_uri()).read_bytes() == DATA


def test_download_from_the_second_url(source, target, tmp_path):
    urls = [(tmp_path / "missing").as_uri(), source.as_uri()]
    assert config.download_and_verify(target, urls, SHA256).read_bytes() == DATA


def test_download_into_what_is_no_directory(source, tmp_path):
    with pytest.raises(StorageError, match="source can't be written to: "):
        config.download(source / "target", source.as_uri())
