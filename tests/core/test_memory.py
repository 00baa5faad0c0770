"""Memory that is used again: whoever holds a batch, or a part of one, keeps it as it is."""

import copy
import ctypes
import gc
import itertools
import os
import pickle
import random
import subprocess
import sys
import threading
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import batchup.memory
from batchup import ops, parts, work_pool
from batchup.core import memory
from batchup.core.memory import BatchMemory, copied
from batchup.image.utils import ImageArrayUInt8ToFloat32
from batchup.ops.read import plain
from batchup.ops.read.plain import pick_plain

try:
    import torch
except ImportError:
    torch = None

N, SIZE = 24, 8
SAMPLE = 1 << 14  # so that a batch has LEAST bytes
LEAST = min(memory.LEAST, 1 << 17)
X = np.random.RandomState(0).randint(0, 256, (N, SAMPLE), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _small_batches_are_large(monkeypatch):
    """Tests of batches of 4 MB would take long."""
    for module in (memory, plain, parts):
        monkeypatch.setattr(module, "LEAST", LEAST)


def batches(array=X, seed=7):
    return ops.indices(N) | ops.shuffle(seed) | ops.chunk(SIZE) | ops.repeat(-1) | ops.gather(array)


def address(array):
    return array.__array_interface__["data"][0]


def blocks():
    """The number of pieces of memory of batches in this process."""
    gc.collect()
    return sum(type(thing) is memory._Block for thing in gc.get_objects())


class Resurrected:
    """Is garbage with a batch, and comes back."""

    found: ClassVar[list] = []

    def __init__(self, batch):
        self.batch, self.own = batch, self

    def __del__(self):
        self.found.append(self)


def resurrected(batch):
    Resurrected(batch)
    del batch
    gc.collect()
    return lambda: Resurrected.found[-1].batch


def traceback_of(batch):
    def fails(kept):
        raise ValueError

    try:
        fails(batch)
    except ValueError as error:
        caught = error.with_traceback(error.__traceback__.tb_next)
    return lambda: caught.__traceback__.tb_frame.f_locals["kept"]


def generator_of(batch):
    def gives(kept):
        yield
        yield kept

    held = gives(batch)
    next(held)
    return lambda: next(held)


def pickle_under_way(batch):
    buffers = []
    head = pickle.dumps(batch, protocol=5, buffer_callback=buffers.append)
    return lambda: pickle.loads(head, buffers=buffers)


def other_thread(batch):
    asked, found = threading.Event(), []

    def hold(kept):
        asked.wait()
        found.append(kept.copy())

    thread = threading.Thread(target=hold, args=(batch,))
    thread.start()

    def ask():
        asked.set()
        thread.join()
        return found[0]

    return ask


def fork_of(batch):
    """A forked process, which sends what it sees when it is asked."""
    asked, ask = os.pipe()
    seen, send = os.pipe()
    child = os.fork()
    if not child:
        os.read(asked, 1)
        with open(send, "wb") as file:
            file.write(batch.tobytes())
        os._exit(0)

    def found():
        os.write(ask, b"!")
        os.close(send)
        with open(seen, "rb") as file:
            values = np.frombuffer(file.read(), np.uint8).reshape(SIZE, SAMPLE)
        os.waitpid(child, 0)
        for end in (asked, ask):
            os.close(end)
        return values

    return found


def tensor_of(batch):
    tensor = torch.from_numpy(batch)
    return lambda: tensor.numpy()


def part_of_tensor(batch):
    half = torch.from_numpy(batch)[:, : SAMPLE // 2].view(torch.int8)
    return lambda: half.numpy().view(np.uint8)


def kept(value, shown=lambda value: value):
    return lambda: shown(value)


# Each takes a batch and returns a function that shows what is held of it, as the whole batch or its first half.
HOLDERS = {
    "the batch": kept,
    "a slice": lambda batch: kept(batch[:, : SAMPLE // 2]),
    "a view of a view": lambda batch: kept(batch.T[: SAMPLE // 2][:, ::-1], lambda view: view[:, ::-1].T),
    "another dtype": lambda batch: kept(batch.view("u4"), lambda view: view.view(np.uint8)),
    "its base": lambda batch: kept(batch.base, lambda b: np.ndarray((SIZE, SAMPLE), np.uint8, b, b.start)),
    "a view of its base": lambda batch: kept(
        batch.base[batch.base.start :], lambda b: b[: SIZE * SAMPLE].reshape(SIZE, -1)
    ),
    "a matrix": lambda batch: kept(batch.view(np.matrix), np.asarray),
    "a memoryview": lambda batch: kept(memoryview(batch), np.asarray),
    "a part of a memoryview": lambda batch: kept(
        memoryview(batch).cast("B")[:], lambda m: np.asarray(m).reshape(SIZE, -1)
    ),
    "ctypes": lambda batch: kept(
        (ctypes.c_ubyte * batch.nbytes).from_buffer(batch), lambda c: np.frombuffer(c, np.uint8).reshape(SIZE, -1)
    ),
    "DLPack": lambda batch: kept(np.from_dlpack(batch)),
    "a buffer of Arrow": lambda batch: kept(
        pa.py_buffer(batch), lambda b: np.frombuffer(b, np.uint8).reshape(SIZE, -1)
    ),
    "a shallow copy of a list": lambda batch: kept(copy.copy([batch]), lambda parts: parts[0]),
    "copy.copy": lambda batch: kept(copy.copy(batch)),
    "a pickle under way": pickle_under_way,
    "a traceback": traceback_of,
    "a generator": generator_of,
    "another thread": other_thread,
    "a cycle that comes back": resurrected,
    "a fork": fork_of,
}
if torch is not None:
    HOLDERS |= {"a tensor": tensor_of, "a part of a tensor": part_of_tensor}


def test_every_holder_keeps_its_batch_over_10_000_further_batches():
    it = iter(batches())
    held = []
    for name, holder in HOLDERS.items():
        (batch,) = next(it)
        expected = batch.copy()
        held.append((name, expected, holder(batch)))
        del batch
    seen = set()
    for (batch,) in itertools.islice(it, 10_000):
        batch[0, 0] = 0
        seen.add(address(batch))
    assert len(seen) == 2
    del batch
    for name, expected, shown in held:
        values = shown()
        np.testing.assert_array_equal(values, expected[:, : values.shape[1]], err_msg=name)
    del it, held, shown, values, holder
    Resurrected.found.clear()
    assert blocks() == 0


def test_arrays_are_not_tracked_by_the_garbage_collector():
    """So a weak reference to one is cleared after the finalizers of a cycle that it is in."""
    assert not gc.is_tracked(np.empty(1))


def test_memory_is_given_back_when_the_stream_ends_or_is_dropped():
    stream = batches() | ops.take(20)
    it = iter(stream)
    held = list(itertools.islice(it, 5))
    del held[1:]
    assert blocks() == 5
    assert sum(1 for _ in it) == 15
    assert blocks() == 1  # the iterator is still there, at its end
    it = iter(stream)
    held = list(itertools.islice(it, 5))[:1]
    del it
    assert blocks() == 1
    del held
    assert blocks() == 0


def test_an_iterator_that_begins_anew_goes_on_using_memory_again():
    it = iter(batches())
    start = it.state_dict()
    next(it)
    it.load_state_dict(start)
    seen = {address(batch) for (batch,) in itertools.islice(it, 10)}
    assert len(seen) == 2


def test_the_last_that_was_freed_is_used_first():
    own = BatchMemory()
    first, second = (own.empty((1 << 20,), np.dtype("u1"), 1 << 20) for _ in range(2))
    last = address(first)
    del second, first
    assert address(own.empty((1 << 18,), np.dtype("f4"), 1 << 20)) == last


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=60), st.integers(0, 3), st.randoms(use_true_random=False))
def test_memory_has_never_more_bytes_than_batches_alive_at_once(sizes, most, rng):
    own, held, alive = BatchMemory(), [], 0
    for size in sizes:
        while len(held) > most:
            held.pop(rng.randrange(len(held)))
        array = own.empty((size,), np.dtype("u1"), size)
        array[:] = size % 251
        held.append(array)
        del array
        alive = max(alive, sum(len(each) for each in held))
        assert own._lent_bytes + own._free_bytes <= 1.125 * alive + 16
        assert all((each == len(each) % 251).all() for each in held)
        assert len({address(each) for each in held}) == len(held)
    assert own._lent_bytes >= sum(map(len, held))


def test_threads_that_share_memory_get_each_their_own():
    own, wrong = BatchMemory(), []

    def work(number):
        rng, held = random.Random(number), []
        for step in range(400):
            array = own.empty((4096,), np.dtype("u1"), 4096)
            value = (number * 101 + step) % 251
            array[:] = value
            held.append((array, value))
            del array
            while len(held) > 4:
                array, value = held.pop(rng.randrange(len(held)))
                if not (array == value).all():
                    wrong.append(number)
                del array

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def numbered(sample):
    sample[0] ^= 1
    return sample


IMAGES = ImageArrayUInt8ToFloat32(X[:, : SAMPLE // 4])
SORTS = {
    "gather": lambda: batches(),
    "in order": lambda: ops.indices(N) | ops.chunk(SIZE) | ops.repeat(-1) | ops.gather(X),
    "two arrays": lambda: (
        ops.indices(N) | ops.chunk(SIZE) | ops.shuffle(3) | ops.repeat(-1) | ops.gather(X, np.arange(N))
    ),
    "floats": lambda: batches(X.view("f4")),
    "rebatch": lambda: (
        ops.indices(N) | ops.chunk(12) | ops.shuffle(3) | ops.repeat(-1) | ops.gather(X) | ops.rebatch(9)
    ),
    "samples": lambda: ops.indices(N) | ops.shuffle(3) | ops.chunk(SIZE) | ops.repeat(-1) | ops.samples(list(X)),
    "map_samples": lambda: batches() | ops.map_samples(numbered),
    "map": lambda: batches() | ops.map(lambda batch: batch ^ 1),
    "images": lambda: batches(IMAGES),
    "concat": lambda: batches(ops.concat(X[:10], X[10:])),
}


@pytest.mark.parametrize("pool", ["alone", "threads"])
@pytest.mark.parametrize("sort", SORTS)
def test_batches_in_memory_used_before_are_those_in_fresh_memory(sort, pool):
    stream = SORTS[sort]() | ops.take(60)
    batchup.memory.reuse(False)
    try:
        expected = [tuple([part.copy() for part in batch]) if isinstance(batch, tuple) else batch for batch in stream]
    finally:
        batchup.memory.reuse(True)
    seen, own = [], itertools.count()
    with work_pool.WorkerThreadPool(2) as threads:
        for batch in stream if pool == "alone" else stream | ops.parallel(threads, buffer=3):
            wanted = expected[next(own)]
            parts, of = (batch, wanted) if isinstance(batch, tuple) else ((batch,), (wanted,))
            for part, other in zip(parts, of, strict=True):
                np.testing.assert_array_equal(part, other)
            assert parts[0].flags.writeable
            assert parts[0].flags.c_contiguous
            seen.append(address(parts[0]))
        assert next(own) == 60
        del batch, parts, part
    del expected
    if sort != "map":  # whose result the user's function makes
        assert len(set(seen)) <= (3 if pool == "alone" else 20)


def test_tensors_of_to_torch_keep_their_batches():
    pytest.importorskip("torch")
    it = iter(batches() | ops.to_torch())
    (first,) = next(it)
    expected = first.clone()
    seen = {tensor.data_ptr() for (tensor,) in itertools.islice(it, 50)}
    assert len(seen) == 2
    assert bool((first == expected).all())


def test_an_index_beyond_the_array_is_an_error_for_large_batches_too():
    places = np.array([*range(SIZE), N])
    with pytest.raises(IndexError, match=r"index 24 is out of bounds for axis 0 with size 24"):
        pick_plain(X)(places)


@pytest.mark.parametrize("array", [X.astype(object)[:, :3], X.view(np.matrix), np.ma.MaskedArray(X, mask=False)])
def test_objects_and_subclasses_have_fresh_memory(array):
    (batch,) = next(iter(ops.indices(N) | ops.chunk(SIZE) | ops.gather(array)))
    base = batch
    while isinstance(base, np.ndarray):
        assert type(base) is not memory._Block
        base = base.base


def test_small_batches_have_fresh_memory():
    small = ops.indices(N) | ops.chunk(SIZE) | ops.gather(X[:, :1000].copy())
    it = iter(small)
    held = [batch for (batch,) in it]
    assert all((batch.base is None) == (batch.nbytes < LEAST) for batch in held)


def test_memory_never_begins_at_a_cache_line_where_jax_would_use_it_itself():
    assert all(address(batch) % 64 == 16 for (batch,) in batches() | ops.take(5))


def test_a_fork_goes_on_with_memory_of_its_own():
    it = iter(batches())
    (held,) = next(it)
    expected = held.copy()
    seen, send = os.pipe()
    child = os.fork()
    if not child:
        it.memory._lock = None  # as if another thread held it
        ok = all(int(batch.sum()) for (batch,) in itertools.islice(it, 10)) and (held == expected).all()
        os.write(send, b"y" if ok else b"n")
        os._exit(0)
    assert os.read(seen, 1) == b"y"
    os.waitpid(child, 0)
    for end in (seen, send):
        os.close(end)
    assert len({address(batch) for (batch,) in itertools.islice(it, 10)}) == 2
    np.testing.assert_array_equal(held, expected)


def test_reuse_says_what_it_takes():
    with pytest.raises(TypeError, match=r"reuse\(on\): expected True or False; got 'no'"):
        batchup.memory.reuse("no")


def test_reuse_turns_it_off_at_once():
    it = iter(batches())
    next(it)
    batchup.memory.reuse(False)
    try:
        assert all(batch.base is None for (batch,) in itertools.islice(it, 3))
    finally:
        batchup.memory.reuse(True)


def run_with(value, program):
    env = {**os.environ, "BATCHUP_REUSE": value}
    return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)


def test_the_environment_turns_it_off():
    program = (
        "import numpy as np; from batchup import ops\n"
        "X = np.ones((4, 1 << 20)); [(batch,)] = ops.indices(4) | ops.gather(X); print(batch.base is None)"
    )
    assert run_with("0", program).stdout == "True\n"
    assert run_with("1", program).stdout == "False\n"
    done = run_with("yes", program)
    assert "BATCHUP_REUSE: expected 1 to use the memory of batches again, 0 not to, or check; got 'yes'" in done.stderr


def test_checked_memory_is_overwritten_as_soon_as_it_is_free():
    program = (
        "import ctypes, numpy as np; from batchup import ops\n"
        "it = iter(ops.indices(8) | ops.chunk(4) | ops.gather(np.ones((8, 64), np.uint8)))\n"
        "(batch,) = next(it); at = batch.ctypes.data; del batch\n"
        "print(set(ctypes.string_at(at, 256)))"
    )
    assert run_with("check", program).stdout == "{165}\n"


def test_a_copy_is_in_c_order():
    assert copied(X.T).flags.c_contiguous
