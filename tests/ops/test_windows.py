"""reorder, merge, mix and rebatch: what the laws don't say of them."""

import tracemalloc
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState

from batchup import ops, work_pool
from batchup.core.randomness import Seed
from batchup.core.record import record
from batchup.core.work import Step
from batchup.ops.index.permutation import permuted, place_of, round_keys
from batchup.testing import plain

N = 103
X = np.arange(N * 2).reshape(N, 2)


@given(st.integers(1, 5000), st.integers(0, 2**70), st.data())
def test_place_of_is_the_permutation_the_other_way_round(n, seed, data):
    keys = round_keys(Seed((seed,)), 3)
    place = data.draw(st.integers(0, n - 1))
    [number] = permuted(np.array([place], np.uint64), n, keys)
    assert place_of(int(number), n, keys) == place


def test_golden_orders():
    blocks = ops.indices(12) | ops.chunk(2)
    assert [b.start // 2 for b in blocks | ops.reorder(12345) | ops.repeat(2)] == GOLDEN_ORDER
    assert [b.tolist() for b in ops.indices(12) | ops.mix(12345, 2, 3)] == GOLDEN_MIX


def test_a_generator_gives_one_permutation_a_pass():
    rng, beside = RandomState(3), RandomState(3)
    stream = ops.indices(10) | ops.chunk(2) | ops.reorder(rng)
    for _ in range(3):
        assert [block.start // 2 for block in stream] == beside.permutation(5).tolist()


@pytest.mark.parametrize(("blocks", "count"), [(10, 3), (7, 7), (7, 8), (1000, 31), (5, 1), (0, 4)])
def test_windows_differ_by_one_block_at_most(blocks, count):
    windows = list(ops.indices(2 * blocks) | ops.chunk(2) | ops.merge(count))
    sizes = {len(window) // 2 for window in windows}
    assert len(windows) == -(-blocks // count)
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert all(a.stop == b.start for a, b in pairwise(windows))


def test_what_has_no_number_of_blocks_is_refused():
    with pytest.raises(TypeError, match="has no end: put repeat behind it"):
        ops.indices(3) | ops.repeat(-1) | ops.reorder(5)
    with pytest.raises(TypeError, match="has an unknown number"):
        ops.indices(3) | ops.shuffle(1) | ops.where([True] * 3) | ops.chunk(2) | ops.reorder(5)
    with pytest.raises(TypeError, match="give a seed"):
        ops.indices(9) | ops.chunk(2) | ops.reorder(RandomState(1)) | ops.merge(2, shard=(0, 2))
    with pytest.raises(TypeError, match="Put repeat behind it"):
        ops.indices(9) | ops.repeat(2) | ops.mix(1, 2, 2)
    with pytest.raises(ValueError, match="expected chunks for all samples, up to 8; they have 7"):
        ops.indices(9) | ops.mix(1, [3, 4], 2)


def test_any_position_of_a_huge_set_is_reached_at_once():
    windows = ops.indices(10**12) | ops.mix(7, 64, 1024)
    tracemalloc.start()
    far = windows[10**7]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(far) in (1024 * 64, 1023 * 64)
    assert peak < 10 * 2**20
    assert windows.num_samples == 10**12


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("chunks", [10, (20, 3, 40, 40)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_ranks_of_windows_take_equal_steps(world, chunks, drop_last):
    ranks = [
        ops.indices(N)
        | ops.mix(7, chunks, 2, shard=(rank, world))
        | ops.gather(np.arange(N))
        | ops.rebatch(8, drop_last)
        for rank in range(world)
    ]
    assert len({len(rank) for rank in ranks}) == 1
    left_out = []
    for epoch in range(3):
        seen = np.concatenate([batch for rank in ranks for (batch,) in rank.epoch(epoch)])
        assert len(seen) == len({*seen.tolist()})
        assert N - len(seen) < world * 8 * (drop_last or 1) if drop_last else N - len(seen) < world
        left_out.append({*range(N)} - {*seen.tolist()})
    assert world == 1 or not left_out[0] or left_out[0] != left_out[1] or left_out[1] != left_out[2]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_exact_ranks_give_the_batches_of_one_and_go_on_with_any_number(world):
    def batches(shard):
        return (
            ops.indices(N) | ops.mix(7, 10, 3) | ops.gather(np.arange(N)) | ops.rebatch(8, shard=shard)
        )

    whole = [batch.tolist() for (batch,) in batches(None)]
    for k in (0, 4, len(whole)):
        it = iter(batches((1, 2)))
        for _ in range(k):
            next(it)
        rest = []
        for rank in range(world):
            again = iter(batches((rank, world)))
            again.load_state_dict(it.state_dict())
            rest.append([batch.tolist() for (batch,) in again])
        assert [[i for part in parts for i in part] for parts in zip(*rest, strict=True)] == whole[k:]


@pytest.mark.parametrize("make_pool", [work_pool.WorkerThreadPool, work_pool.WorkerProcessPool])
@pytest.mark.parametrize("seed", [7, "generator"])
def test_in_pools(make_pool, seed):
    def batches(rng):
        order = rng if seed == "generator" else seed
        return ops.indices(N) | ops.mix(order, 10, 3) | ops.gather(X, np.arange(N))

    expected = list(map(plain, batches(RandomState(0)) | ops.rebatch(8)))
    with make_pool(2) as pool:
        in_pool = batches(RandomState(0)) | ops.parallel(pool, 2) | ops.rebatch(8)
        it = iter(in_pool)
        assert [plain(next(it)) for _ in range(5)] == expected[:5]
        again = iter(batches(RandomState(1)) | ops.parallel(pool, 3) | ops.rebatch(8))
        again.load_state_dict(it.state_dict())
        assert list(map(plain, again)) == expected[5:]
        assert list(map(plain, it)) == expected[5:]
        assert len(in_pool) == len(expected)


def test_of_one_rank_over_a_generator_the_steps_are_known_and_the_samples_are_not():
    windows = ops.indices(N) | ops.mix(RandomState(0), 10, 3) | ops.gather(np.arange(N))
    rank = windows | ops.rebatch(8, shard=(1, 2))
    assert (len(rank), rank.num_samples) == (13, None)
    assert (windows | ops.rebatch(8)).num_samples == N
    even = ops.indices(100) | ops.mix(RandomState(0), 10, 2) | ops.gather(np.arange(100))
    assert (even | ops.rebatch(8, shard=(1, 2))).num_samples == 50


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
    with pytest.raises(TypeError, match=r"with an axis of samples; got 45"):
        list(windows | ops.map(lambda x: (x, int(x.sum()))) | ops.rebatch(4))
    with pytest.raises(
        ValueError, match=r"each of as many samples as the others; got \(<10 int64>, <9 int64>\)"
    ):
        list(windows | ops.map(lambda x: (x, x[1:])) | ops.rebatch(4))
    with pytest.raises(TypeError, match=r"with an axis of samples; got None"):
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
    assert not {tuple(plain(noise)) for _, noise in stream} & {
        tuple(plain(noise)) for _, noise in other
    }


def test_an_error_in_a_window_says_where():
    def broken(x):
        raise OSError("unreadable")

    stream = (
        ops.indices(20) | ops.chunk(10) | ops.gather(np.arange(20)) | ops.map(broken) | ops.rebatch(4)
    )
    with pytest.raises(OSError, match="unreadable") as caught:
        next(iter(stream))
    notes = "\n".join(caught.value.__notes__)
    assert "in the stage map(broken)" in notes
    assert "at item 0 of indices(20) | chunk(10)" in notes
    assert "made of samples [0, 1, 2, 3, 4, ...]" in notes


def test_filter_is_refused_where_ranks_would_differ():
    stream = ops.indices(20) | ops.chunk(10) | ops.shard(0, 2) | ops.gather(np.arange(20))
    with pytest.raises(TypeError, match=r"where\(mask\) before chunk"):
        stream | ops.filter(lambda x: x > 3)
    whole = (
        ops.indices(20) | ops.chunk(10) | ops.gather(np.arange(20)) | ops.filter(lambda x: x % 3 > 0)
    )
    ranks = [[b.tolist() for (b,) in whole | ops.rebatch(4, shard=(rank, 2))] for rank in range(2)]
    assert ranks == [[[1, 2], [7, 8], [13, 14], [19]], [[4, 5], [10, 11], [16, 17], []]]
    with pytest.raises(TypeError, match="depends on the data"):
        ops.zip(whole, whole)
    with pytest.raises(TypeError, match="expected the function to return True or False"):
        next(iter(whole | ops.filter(lambda x: x)))


def test_a_filter_that_leaves_nothing_of_a_stream_without_end_says_so():
    class EnoughError(Exception):
        pass

    calls = iter(range(3000))

    def none(x):
        if next(calls, None) is None:
            raise EnoughError
        return False

    endless = (
        ops.indices(20) | ops.repeat(-1) | ops.chunk(10) | ops.gather(np.arange(20)) | ops.filter(none)
    )
    with (
        pytest.warns(UserWarning, match=r"none of 1000 batches in a row") as caught,
        pytest.raises(EnoughError),
    ):
        next(iter(endless))
    assert [warning.filename for warning in caught] == [__file__]


def test_a_mask_is_checked():
    with pytest.raises(ValueError, match="reaches 19; it has 5"):
        ops.indices(20) | ops.where([True] * 5)
    with pytest.raises(TypeError, match="a 1-D array of True and False"):
        ops.where([1, 0])
    with pytest.raises(ValueError, match="there is no end"):
        next(iter(ops.indices(4) | ops.repeat(-1) | ops.where([False] * 4) | ops.chunk(2)))


# --- labels that lie in runs

RUNS = np.repeat(np.arange(14), 500)


@pytest.mark.parametrize(
    "order",
    [ops.chunk(256) | ops.shuffle(5), ops.mix(5, 64, 4), ops.chunk(256) | ops.shuffle(RandomState(5))],
)
def test_labels_in_runs_and_windows_that_are_too_small_are_said_once(order):
    blocks = ops.indices(len(RUNS)) | order
    stage = ops.gather(np.zeros(len(RUNS)), RUNS)
    with pytest.warns(
        UserWarning, match=r"of about [0-9.]+ bits, of 3\.65 in a full shuffle.*survey"
    ) as caught:
        blocks | stage
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blocks | stage  # it was said


@pytest.mark.parametrize(
    ("order", "labels"),
    [
        (ops.shuffle(5) | ops.chunk(64), RUNS),
        (ops.chunk(64), RUNS),
        (ops.mix(5, 64, 100), RUNS),
        (ops.chunk(256) | ops.shuffle(5), RandomState(0).permutation(RUNS)),
        (ops.chunk(256) | ops.shuffle(5), np.arange(7000)),
        (ops.chunk(256) | ops.shuffle(5), RUNS.astype(float)),
    ],
)
def test_nothing_is_said_where_all_is_well(order, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ops.indices(len(RUNS)) | order | ops.gather(labels)


def test_survey_is_what_the_batches_are():
    y = np.repeat(np.arange(14), 64 * 10)
    generator = RandomState(3)
    for rng in (7, generator):
        before = generator.get_state()[1].copy()
        windows = ops.indices(len(y)) | ops.mix(rng, 64, 70) | ops.gather(y)
        found = ops.survey(windows | ops.rebatch(64), labels=y)
        assert (generator.get_state()[1] == before).all()
        assert abs(found.measured - found.predicted) < 0.03
        assert found.full == pytest.approx(3.6525, abs=1e-3)
        assert found.window == 64 * 70
        assert found.bytes_held == 2 * found.window * 8
    batches = ops.indices(len(y)) | ops.mix(7, 64, 70) | ops.gather(y) | ops.rebatch(64)
    entropies = [_entropy(batch) for (batch,) in batches]
    same = ops.survey(batches, labels=y)
    assert same.measured == pytest.approx(np.mean(entropies))
    assert "2 windows" not in str(same)
    assert len(same.plot().axes[0].patches) == 40
    with work_pool.WorkerThreadPool(2) as pool:
        pooled = (
            ops.indices(len(y))
            | ops.mix(7, 64, 70)
            | ops.gather(y)
            | ops.parallel(pool, 3)
            | ops.rebatch(64)
        )
        assert ops.survey(pooled).bytes_held == 4 * 64 * 70 * 8
    with pytest.raises(ValueError, match="expected labels"):
        ops.survey(batches).plot()
    with pytest.raises(TypeError, match="no zip or choose"):
        ops.survey(ops.zip(batches, batches))
    with pytest.raises(TypeError, match="known number"):
        ops.survey(ops.indices(3) | ops.repeat(-1))


def _entropy(labels):
    shares = np.bincount(labels) / len(labels)
    shares = shares[shares > 0]
    return -(shares * np.log2(shares)).sum()


def test_the_law_of_windows():
    """K classes in runs: (K - 1) / (2 ln 2 W) bits less than a full shuffle."""
    K, W, C = 14, 64, 4096
    y = np.repeat(np.arange(K), -(-64 * C // K))[: 64 * C]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batches = ops.indices(64 * C) | ops.mix(7, 64, W) | ops.gather(y) | ops.rebatch(64)
    found = ops.survey(batches, labels=y)
    assert abs(found.full - found.measured - (K - 1) / (2 * np.log(2) * W)) < 0.03
    last = found.entropies[-len(found.entropies) // 100 :].mean()
    assert abs(last - found.measured) < 0.05


GOLDEN_ORDER = [0, 4, 1, 5, 3, 2, 5, 4, 1, 3, 2, 0]
GOLDEN_MIX = [[1, 3, 8, 9, 0, 2], [7, 5, 10, 4, 11, 6]]


def test_an_endless_stream_of_nothing_is_no_endless_loop():
    nothing = ops.indices(3) | ops.repeat(-1) | ops.map(lambda block: block[:0], resizes=True)
    with pytest.raises(ValueError, match="1001 items in a row have no samples, and there is no end"):
        next(iter(nothing | ops.rebatch(2)))


@pytest.mark.parametrize(
    "source",
    [
        lambda: ops.indices(0) | ops.mix(1, 4, 2),
        lambda: ops.indices(np.array([], int)) | ops.mix(1, 4, 2),
        lambda: ops.indices(0) | ops.mix(1, np.array([], int), 2),
        lambda: ops.indices(9) | ops.where(np.zeros(9, bool)) | ops.mix(1, 4, 2),
    ],
)
def test_windows_of_nothing(source):
    assert list(source()) == []
    assert list(source() | ops.gather(np.arange(9)) | ops.rebatch(3)) == []


def test_a_pass_draws_its_permutation_once():
    """Blocks that are cut from a shuffled pass are kept, and those that are not are made one by one."""
    drawn = []

    class Spy(RandomState):
        def permutation(self, x):
            drawn.append(x)
            return super().permutation(x)

    def counting(seed, *place, advance=0):
        return Spy(5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchup.core.randomness.frozen_generator", counting)
        blocks = ops.indices(100) | ops.shuffle(7) | ops.chunk(10) | ops.reorder(8)
        assert sorted(i for block in blocks for i in block) == list(range(100))
        assert len(drawn) == 1
        lazy = ops.indices(100) | ops.chunk(10) | ops.shuffle(7) | ops.reorder(8)
        next(iter(lazy))
        assert len(drawn) == 2


def test_filter_gives_the_function_an_integer_array():
    blocks = ops.indices(6) | ops.chunk(4) | ops.filter(lambda block: block > 2)
    assert [block.tolist() for block in blocks] == [[3], [4, 5]]
    assert all(isinstance(block, np.ndarray) for block in blocks)


def test_rebatch_puts_no_windows_of_different_kinds_together():
    big = 2**53 + 1

    def windows(*batches):
        return list(batches) | ops.map(lambda batch: batch, resizes=True) | ops.rebatch(3)

    ints = np.arange(4) + big
    others = [ints.astype(np.uint64), ints.astype(np.float32), np.zeros((4, 2), int), ints > 0]
    others += [ops.Ragged.of([[1], [2]]), ints.astype(object)]
    for other in others:
        for batches in ((ints, other), (other, ints), ({"a": ints}, {"a": other})):
            with pytest.raises(
                ValueError, match=r"one dtype and shape, .*; got <.*array.astype\(dtype\)"
            ):
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
        lambda rank, world: (
            ops.indices(64) | ops.chunk(8) | ops.gather(S) | ops.rebatch(6, shard=(rank, world))
        ),
        lambda rank, world: (
            ops.indices(64)
            | ops.mix(1, 8, 2, shard=(rank, world))
            | ops.gather(S)
            | ops.map(lambda x: x[::2], resizes=True)
        ),
        lambda rank, world: ops.zip(
            ops.indices(64) | ops.chunk(8) | ops.shard(rank, world) | ops.gather(S)
        ),
    ],
)
def test_one_ranks_part_is_not_cut_anew(part):
    for rank in range(2):
        with pytest.raises(
            TypeError, match=r"different numbers of steps: .*rebatch\(2, shard=\(rank, world\)\)"
        ):
            part(rank, 2) | ops.rebatch(2)


def test_ranks_whose_windows_have_as_many_samples_are_cut_anew():
    """The remedy, and windows of one rank: whole chunks, or rows."""
    for make in (
        lambda rank: ops.indices(64) | ops.chunk(8) | ops.gather(S) | ops.rebatch(6, shard=(rank, 3)),
        lambda rank: (
            ops.indices(64) | ops.mix(1, 8, 2, shard=(rank, 3)) | ops.gather(S) | ops.rebatch(2)
        ),
    ):
        assert len({len(make(rank)) for rank in range(3)}) == 1
        seen = [i for rank in range(3) for (batch,) in make(rank) for i in batch]
        assert len(seen) == len(set(seen)) >= 63
    words = ops.Ragged.of([[1, 2]] * 10)
    rows = [
        ops.pack(words.lengths, 4, 1, shard=(rank, 2))
        | ops.gather(words)
        | ops.fill(4)
        | ops.rebatch(2)
        for rank in range(2)
    ]
    assert [len(list(stream)) for stream in rows] == [2, 2]


def test_survey_wants_a_label_for_each_sample():
    windows = ops.indices(64) | ops.mix(1, 8, 2) | ops.gather(S)
    with pytest.raises(
        ValueError, match=r"labels: expected one for each sample .* at least 64; got 10"
    ):
        ops.survey(windows | ops.rebatch(8), labels=np.zeros(10, int))


def test_a_step_of_ones_own_that_resizes_without_saying_so():
    @record
    class Halved(Step):
        def run(self, item):
            return (item[0][:1],)

    stream = (ops.indices(8) | ops.chunk(4) | ops.gather(S)).with_step(Halved())
    assert stream.num_samples is None
    assert [x.tolist() for (x,) in stream | ops.rebatch(2)] == [[0, 4]]
