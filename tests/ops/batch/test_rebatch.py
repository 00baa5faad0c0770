"""rebatch: what the laws don't check."""

import gc
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

from batchup import ops
from batchup.core.record import record
from batchup.core.work import Step
from batchup.testing import plain


def test_a_map_that_gives_other_numbers_is_named():
    windows = ops.indices(20) | ops.chunk(10) | ops.gather(np.arange(20))
    with pytest.raises(ValueError, match=r"it has 5.*write map\(fn, resizes=True\)"):
        list(windows | ops.map(lambda x: x[::2]) | ops.rebatch(4))
    known = windows | ops.map(lambda x: x[::2], resizes=True) | ops.rebatch(4)
    assert [batch.tolist() for batch in known] == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
    with pytest.raises(TypeError, match="has no length"):
        len(known)


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(TypeError, match=r"which chunk\(4\) cuts"):
        ops.indices(20) | ops.rebatch(4)
    windows = ops.indices(20) | ops.chunk(10) | ops.gather(np.arange(20))
    with pytest.raises(TypeError, match=r"whose first axis is that of the samples; got 45"):
        list(windows | ops.map(lambda x: (x, int(x.sum()))) | ops.rebatch(4))
    with pytest.raises(ValueError, match=r"with the same number of samples; got \(<10 int64>, <9 int64>\)"):
        list(windows | ops.map(lambda x: (x, x[1:])) | ops.rebatch(4))
    with pytest.raises(TypeError, match=r"whose first axis is that of the samples; got None"):
        list(windows | ops.map(lambda x: None) | ops.rebatch(4))
    with pytest.raises(ValueError, match="the same parts"):
        list(windows | ops.map(lambda x: {"a" if x[0] else "b": x}) | ops.rebatch(15))


def test_a_batch_keeps_no_window_alive():
    windows = ops.indices(10_000) | ops.chunk(5000) | ops.gather(np.zeros((10_000, 100)))
    tracemalloc.start()
    kept = list(windows | ops.rebatch(64) | ops.take(100))[::50]
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(kept) == 2
    assert held < 400_000  # a window has 4 MB


def test_noise_behind_rebatch_is_of_the_samples_of_the_batch():
    def jitter(x, rng):
        return x, rng.integers(10**6, size=len(x))

    def batches(window):
        return ops.indices(40) | ops.mix(3, 4, window) | ops.gather(np.arange(40)) | ops.rebatch(8)

    stream = batches(2) | ops.map(jitter, rng=5)
    assert plain(stream[3]) == list(map(plain, stream))[3]
    other = batches(5) | ops.map(jitter, rng=5)
    assert not {tuple(plain(noise)) for _, noise in stream} & {tuple(plain(noise)) for _, noise in other}


def test_an_error_in_a_window_says_where():
    def broken(x):
        raise OSError("unreadable")

    stream = ops.indices(20) | ops.chunk(10) | ops.gather(np.arange(20)) | ops.map(broken) | ops.rebatch(4)
    with pytest.raises(OSError, match="unreadable") as caught:
        next(iter(stream))
    notes = "\n".join(caught.value.__notes__)
    assert "in the stage map(broken)" in notes
    assert "at item 0 of indices(20) | chunk(10)" in notes
    assert "made of samples [0, 1, 2, 3, 4, ...]" in notes


def test_an_endless_stream_of_nothing_is_no_endless_loop():
    nothing = ops.indices(3) | ops.repeat(-1) | ops.map(lambda block: block[:0], resizes=True)
    with pytest.raises(ValueError, match="1001 items in a row have no samples, and the stream is endless"):
        next(iter(nothing | ops.rebatch(2)))


def test_rebatch_puts_no_windows_of_different_kinds_together():
    big = 2**53 + 1

    def windows(*batches):
        return list(batches) | ops.map(lambda batch: batch, resizes=True) | ops.rebatch(3)

    ints = np.arange(4) + big
    others = [ints.astype(np.uint64), ints.astype(np.float32), np.zeros((4, 2), int), ints > 0]
    others += [ops.Ragged.of([[1], [2]]), ints.astype(object)]
    for other in others:
        for batches in ((ints, other), (other, ints), ({"a": ints}, {"a": other})):
            with pytest.raises(ValueError, match=r"one dtype and shape, .*; got <.*array.astype\(dtype\)"):
                list(windows(*batches))
    lists = [(["a", "b"],), (np.array(["a", "b"]),)]
    with pytest.raises(ValueError, match="got <list of 2>, then <1 <U1>"):
        list(lists | ops.map(lambda part: (part,), resizes=True) | ops.rebatch(3))
    # The remedy, and what stays as it is: windows without samples, and strings of other widths.
    cast = [ints, ints.astype(np.uint64)] | ops.map(lambda x: x.astype(np.int64), resizes=True)
    assert np.concatenate(list(cast | ops.rebatch(3))).tolist() == 2 * ints.tolist()
    assert [x.tolist() for x in windows(ints, np.zeros(0), ints)] == [
        (2 * ints.tolist())[k : k + 3] for k in range(0, 8, 3)
    ]
    words = windows(np.array(["a", "bc"]), np.array(["def"]))
    assert [x.tolist() for x in words] == [["a", "bc", "def"]]


S = np.arange(64)


@pytest.mark.parametrize(
    "part",
    [
        lambda rank, world: ops.indices(64) | ops.chunk(8) | ops.shard(rank, world) | ops.gather(S),
        lambda rank, world: ops.indices(64) | ops.chunk(8) | ops.gather(S) | ops.rebatch(6, shard=(rank, world)),
        lambda rank, world: (
            ops.indices(64)
            | ops.mix(1, 8, 2, shard=(rank, world))
            | ops.gather(S)
            | ops.map(lambda x: x[::2], resizes=True)
        ),
        lambda rank, world: ops.zip(ops.indices(64) | ops.chunk(8) | ops.shard(rank, world) | ops.gather(S)),
    ],
)
def test_one_ranks_part_is_not_cut_anew(part):
    for rank in range(2):
        with pytest.raises(TypeError, match=r"different numbers of steps: .*rebatch\(2, shard=\(rank, world\)\)"):
            part(rank, 2) | ops.rebatch(2)


def test_ranks_whose_windows_have_as_many_samples_are_cut_anew():
    """The remedy, and windows of one rank: whole chunks, or rows."""
    for make in (
        lambda rank: ops.indices(64) | ops.chunk(8) | ops.gather(S) | ops.rebatch(6, shard=(rank, 3)),
        lambda rank: ops.indices(64) | ops.mix(1, 8, 2, shard=(rank, 3)) | ops.gather(S) | ops.rebatch(2),
    ):
        assert len({len(make(rank)) for rank in range(3)}) == 1
        seen = [i for rank in range(3) for (batch,) in make(rank) for i in batch]
        assert len(seen) == len(set(seen)) >= 63
    words = ops.Ragged.of([[1, 2]] * 10)
    rows = [
        ops.pack(words.lengths, 4, 1, shard=(rank, 2)) | ops.gather(words) | ops.fill(4) | ops.rebatch(2)
        for rank in range(2)
    ]
    assert [len(list(stream)) for stream in rows] == [2, 2]


def test_a_step_of_ones_own_that_resizes_without_saying_so():
    @record
    class Halved(Step):
        def run(self, item):
            return (item[0][:1],)

    stream = (ops.indices(8) | ops.chunk(4) | ops.gather(S)).with_step(Halved())
    assert stream.num_samples is None
    assert [x.tolist() for (x,) in stream | ops.rebatch(2)] == [[0, 4]]


def test_the_last_window_is_not_held_while_the_next_one_is_made():
    alive = []

    class Window(np.ndarray):
        """Arrays of a class of ours, which can be watched."""

    def counted(block):
        gc.collect()
        alive.append(sum(reference() is not None for reference in made))
        window = block.astype(float).view(Window)
        made.append(weakref.ref(window))
        return (window,)

    made = []
    stream = ops.indices(2000) | ops.chunk(500) | ops.map(counted) | ops.rebatch(32)
    batches = [batch for (batch,) in stream]
    assert np.concatenate(batches).tolist() == list(range(2000))
    assert alive == [0, 0, 0, 0]


def test_the_parts_of_dicts_may_come_in_any_order():
    windows = [{"x": np.arange(3), "y": np.zeros(3)}, {"y": np.ones(3), "x": np.arange(3)}]
    batches = list(windows | ops.rebatch(4))
    assert plain(batches[0]) == {"x": [0, 1, 2, 0], "y": [0, 0, 0, 1]}
    assert list(batches[1]) == ["y", "x"]


def test_a_window_is_looked_at_once(monkeypatch):
    """Was found: with all pieces looked at again for each window, small windows took twenty times as long."""
    module = sys.modules["batchup.ops.batch.rebatch"]
    looked, alone = [], module._alone
    monkeypatch.setattr(module, "_alone", lambda cut: looked.append(cut) or alone(cut))
    assert len(list(ops.indices(1000) | ops.chunk(2) | ops.gather(np.arange(1000)) | ops.rebatch(256))) == 4
    assert len(looked) <= 500
