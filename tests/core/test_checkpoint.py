"""Checkpoints as files of all versions of the format, and what a refused one says."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from batchup import ops
from batchup.core.checkpoint import MIGRATIONS, VERSION
from batchup.testing import plain
from batchup.testing.items import some
from tests.checkpoints.streams import LOADERS, OF_HOSTS, SINCE_4, STREAMS
from tests.checkpoints.write import RECEIVED, digest

KEPT = Path(__file__).parents[1] / "checkpoints"
FILES = sorted(file for file in KEPT.glob("v*/*.json") if file.stem not in OF_HOSTS)


def test_there_are_files_of_every_version_stage_and_loader():
    names = {*STREAMS, *(f"loader_{name}" for name in LOADERS)}
    versions = {f"v{version}" for version in (*MIGRATIONS, VERSION)}
    expected = {(v, n) for v in versions for n in (names - SINCE_4 if v == "v3" else names)}
    assert {(file.parent.name, file.stem) for file in FILES} == expected
    stages = {name for name in ops.__all__ if name.islower()} - {"survey", "parallel", "table", "concat", "windows"}
    named = {name for stage in (*STREAMS, *OF_HOSTS) for name in (stage, stage.split("_")[0])}
    assert stages - named == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_file_gives_exactly_the_rest(file):
    kept = json.loads(file.read_text())
    if (name := file.stem.removeprefix("loader_")) != file.stem:
        source = LOADERS[name](np.random.RandomState(1))
        source.load_state_dict(kept["state"])
        items = iter(source)
    else:
        stream = STREAMS[name](np.random.RandomState(1))
        items = iter(stream)
        items.load_state_dict(kept["state"])
        whole = some(STREAMS[name](np.random.RandomState(0)))
        again = iter(stream)
        again.load_state_dict(json.loads(json.dumps(items.state_dict())))
        rest = whole[RECEIVED:]
        assert [plain(item) for item in islice(again, len(rest))] == rest
        items.load_state_dict(kept["state"])
    assert digest(items) == kept["next"]


def refusal(state, stream):
    with pytest.raises(ValueError, match="expected a checkpoint of this stream") as caught:
        iter(stream).load_state_dict(state)
    return str(caught.value).splitlines()[1:]


def test_a_refused_checkpoint_shows_which_stage_differs():
    X = np.zeros((10, 2))
    stream = ops.indices(10) | ops.shuffle(1) | ops.chunk(3) | ops.gather(X) | ops.map(len)
    state = iter(stream).state_dict()
    other = ops.indices(10) | ops.shuffle(1) | ops.chunk(4) | ops.gather(X) | ops.map(len)
    assert refusal(state, other) == [
        "    ...",
        "    shuffle(1)",
        "  - chunk(3, False)",
        "  + chunk(4, False)",
        "    gather((<10x2 float64>))",
        "    ...",
    ]
    without = ops.indices(10) | ops.chunk(3) | ops.gather(X) | ops.map(len)
    assert refusal(state, without)[:2] == ["    indices((range(0, 10)))", "  - shuffle(1)"]


def test_a_refused_checkpoint_of_a_join_shows_the_member():
    members = [ops.indices(6) | ops.chunk(2), ops.indices(6) | ops.chunk(3)]
    state = iter(ops.zip(*members, trim=False)).state_dict()
    other = ops.zip(members[0], ops.indices(6) | ops.chunk(2), trim=False)
    lines = refusal(state, other)
    assert "  - 1: chunk(3, False)" in lines
    assert "  + 1: chunk(2, False)" in lines


def test_a_refused_checkpoint_of_an_earlier_version_shows_its_stages():
    state = json.loads((KEPT / "v3" / "chunk.json").read_text())["state"]
    lines = refusal(state, ops.indices(31) | ops.chunk(4))
    assert "  + indices((range(0, 31)))" in lines
    assert refusal(state, ops.indices(30) | ops.chunk(5)) == [
        "    indices((range(0, 30)))",
        "  - chunk(4, False)",
        "  + chunk(5, False)",
    ]


@pytest.mark.parametrize("version", [0, 2, VERSION + 1])
def test_other_versions_are_refused(version):
    stream = ops.indices(10) | ops.chunk(3)
    state = {**iter(stream).state_dict(), "version": version}
    with pytest.raises(ValueError, match=f"expected a checkpoint of version 3 or {VERSION}; got .* {version}"):
        iter(stream).load_state_dict(state)


def test_what_checkpoints_can_not_name_is_said_with_the_remedy():
    from batchup.core import PlanOver, record

    @record
    class Plain(PlanOver):
        def items(self, pass_, k, draws):
            return self.up.start(pass_, k, draws)

    stream = ops.Stream(Plain((ops.indices(4) | ops.chunk(2)).plan))
    assert [len(block) for block in stream] == [2, 2]
    with pytest.raises(TypeError, match=r"the stage Plain, which has no tag. Write tag = 'plain' in the class Plain"):
        iter(stream).state_dict()
    Plain.tag = "plain"
    assert iter(stream).state_dict()["stream"][-1] == "plain()"
