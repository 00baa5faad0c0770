"""`to_torch` and `to_jax`: whatever is in a batch, as tensors, without a copy where there need be none."""

import json
import pickle
from itertools import islice
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from batchup import ops, work_pool
from batchup.core.checkpoint import MIGRATIONS
from batchup.data_source import ArrayDataSource
from batchup.testing import check_laws, plain
from tests.checkpoints.streams import OF_HOSTS
from tests.checkpoints.write import digest

X = np.arange(4000, dtype=np.float32).reshape(100, 40)
Y = np.arange(100, dtype=np.int32)


def batches(**options):
    return ops.indices(100) | ops.shuffle(3) | ops.chunk(32, **options)


def nested(x, y):
    return {"x": x, "more": (y, ["text", x[:, 0], 5, None], np.float64(1.5))}


class Seen:
    """Remembers the arrays that go by."""

    def __call__(self, *batch):
        self.batch = batch
        return batch


# --- PyTorch


def test_tensors_are_the_memory_of_the_batch():
    seen = Seen()
    for x, y in batches() | ops.gather(X, Y) | ops.map(seen) | ops.to_torch():
        assert (type(x), x.dtype, type(y), y.dtype) == (torch.Tensor, torch.float32, torch.Tensor, torch.int32)
        for tensor, array in zip((x, y), seen.batch, strict=True):
            assert tensor.data_ptr() == array.ctypes.data
            assert np.array_equal(tensor.numpy(), array)
        x.zero_()  # it is ours


def test_whatever_is_in_a_batch_becomes_a_tensor_where_it_is_an_array():
    [batch] = ops.indices(3) | ops.gather(X, Y) | ops.map(nested) | ops.to_torch({np.int32: torch.long})
    assert torch.equal(batch["x"], torch.from_numpy(X[:3]))
    labels, others, number = batch["more"]
    assert (labels.dtype, labels.tolist()) == (torch.int64, [0, 1, 2])
    assert (others[0], others[2:], number) == ("text", [5, None], 1.5)
    assert torch.equal(others[1], torch.from_numpy(X[:3, 0]))
    [(names,)] = [(["a", "b"],)] | ops.map(lambda names: (names,)) | ops.to_torch()
    assert names == ["a", "b"]


def test_arrays_that_have_to_be_copied_first():
    fixed = X[:3].copy()
    fixed.flags.writeable = False
    [batch] = [0] | ops.map(lambda n: (X[:3, ::-1], fixed, np.array(5))) | ops.to_torch()
    assert [tensor.tolist() for tensor in batch] == [X[:3, ::-1].tolist(), X[:3].tolist(), 5]
    batch[1].zero_()
    assert fixed.any()


@pytest.mark.parametrize("wanted", ["int64", torch.long, "torch.int64", np.int64])
def test_the_names_of_dtypes(wanted):
    stage = ops.to_torch({"int32": wanted})
    assert repr(stage) == "to_torch({'int32': 'int64'})"
    [(y,)] = ops.indices(2) | ops.gather(Y) | pickle.loads(pickle.dumps(stage))
    assert y.dtype == torch.int64


def test_what_torch_can_not_take():
    with pytest.raises(TypeError, match="to_torch: expected arrays of numbers; got <2 <U1>"):
        list([0] | ops.map(lambda n: (np.array(["a", "b"]),)) | ops.to_torch())
    for make, module in ((ops.to_torch, "torch"), (ops.to_jax, "jax")):
        with pytest.raises(TypeError, match=f"to_{module}: dtypes: expected .*there is no dtype 'int65' to"):
            make({"int32": "int65"})
        with pytest.raises(TypeError, match="NumPy has no 'label'"):
            make({"label": "int64"})
        with pytest.raises(TypeError, match="got 'int64'"):
            make("int64")


def test_tensors_made_by_workers():
    stream = batches() | ops.gather(X, Y) | ops.to_torch({"int32": "int64"})
    with work_pool.WorkerProcessPool(2) as pool:
        for one, other in zip(stream, stream | ops.parallel(pool), strict=True):
            assert all(map(torch.equal, one, other))
    loader = (ArrayDataSource([X, Y]).stream(32, shuffle=3) | ops.to_torch()).loader()
    assert [len(x) for x, _ in loader] == [32, 32, 32, 4]


# --- JAX


def memory_of(array):
    return np.asarray(array).ctypes.data


@pytest.mark.parametrize("shuffled", [True, False])
def test_jax_arrays_are_what_gather_read(shuffled):
    blocks = batches() if shuffled else ops.indices(100) | ops.chunk(32)
    plainly = blocks | ops.gather(X, Y, X[:, ::2])
    stream = plainly | ops.to_jax()
    for batch, expected in zip(stream, plainly, strict=True):
        assert all(isinstance(part, jax.Array) for part in batch)
        assert [part.dtype for part in batch] == [np.float32, np.int32, np.float32]
        assert plain(tuple(map(np.asarray, batch))) == plain(expected)
    gather, convert = stream.steps
    block = np.array([5, 3, 99])
    arrays = gather.run(block)
    for part, array in zip(convert.run(arrays[:2]), arrays, strict=False):
        assert memory_of(part) == array.ctypes.data
    assert repr(stream) == f"{plainly!r} | to_jax()"
    state = iter(stream).state_dict()
    iter(blocks | ops.gather(X, Y, X[:, ::2]) | ops.to_jax()).load_state_dict(state)


def test_jax_arrays_of_workers_are_their_shared_memory():
    with work_pool.WorkerProcessPool(1) as pool:
        wide = np.zeros((100, 4000), np.float32)
        stream = batches() | ops.gather(wide) | ops.map(lambda x: (x + 1,)) | ops.parallel(pool)
        seen = Seen()
        for (x,) in stream | ops.map(seen) | ops.to_jax():
            assert memory_of(x) == seen.batch[0].ctypes.data
            assert (x == 1).all()


def test_whatever_is_in_a_batch_becomes_a_jax_array():
    [batch] = ops.indices(3) | ops.gather(X, Y) | ops.map(nested) | ops.to_jax({"int32": jnp.int8})
    labels, others, number = batch["more"]
    assert (labels.dtype, labels.tolist()) == (np.int8, [0, 1, 2])
    assert (others[0], others[2:], number) == ("text", [5, None], 1.5)
    assert isinstance(others[1], jax.Array)
    with pytest.raises(TypeError, match="to_jax: expected arrays of numbers; got <2 <U1>"):
        list([0] | ops.map(lambda n: (np.array(["a", "b"]),)) | ops.to_jax())


def test_one_compilation_for_all_batches():
    compiled = []

    @jax.jit
    def total(x, y, mask):
        compiled.append(x.shape)
        return jnp.where(mask, x.sum(axis=1) + y, 0).sum()

    padded = batches() | ops.gather(X, Y) | ops.to_jax(pad_to=32)
    sums = [float(total(*batch)) for batch in padded]
    assert compiled == [(32, 40)]
    expected = [float(x.sum() + y.sum()) for x, y in batches() | ops.gather(X, Y)]
    assert sums == pytest.approx(expected)
    assert [int(mask.sum()) for *_, mask in padded] == [32, 32, 32, 4]
    whole = batches(drop_last=True) | ops.gather(X, Y) | ops.to_jax()
    assert {x.shape for x, _ in whole} == {(32, 40)}


def test_where_the_mask_is():
    [named] = ops.indices(3) | ops.gather(x=X, y=Y) | ops.to_jax(pad_to=4)
    assert list(named) == ["x", "y", "mask"]
    assert named["mask"].tolist() == [True, True, True, False]
    [(alone, mask)] = ops.indices(3) | ops.map(lambda block: block) | ops.to_jax(pad_to=4)
    assert (alone.tolist(), mask.tolist()) == ([0, 1, 2, 0], [True, True, True, False])
    assert repr(ops.to_jax({"int32": "int8"}, pad_to=4)) == "to_jax({'int32': 'int8'}, pad_to=4)"


def test_the_stage_of_an_exception_reads_as_it_was_written():
    for stage in (ops.to_jax(pad_to=16), ops.to_jax(), ops.to_torch()):
        with pytest.raises((TypeError, ValueError)) as caught:
            list([0] | ops.map(lambda n: (np.array(["a"] * 20),)) | stage)
        assert f"in the stage {stage!r}" in caught.value.__notes__


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"expected batches of at most 16 samples; those of .* have 32"):
        batches() | ops.gather(X) | ops.to_jax(pad_to=16)
    assert batches() | ops.take(0) | ops.gather(X) | ops.to_jax(pad_to=16)
    unknown = [np.arange(20)] | ops.map(lambda block: (block,)) | ops.to_jax(pad_to=16)
    with pytest.raises(ValueError, match="expected batches of at most pad_to=16 samples; got 20"):
        list(unknown)
    with pytest.raises(ValueError, match="expected arrays of one number of samples"):
        list([0] | ops.map(lambda n: (np.zeros(3), np.zeros(4))) | ops.to_jax(pad_to=16))
    with pytest.raises(ValueError, match="pad_to: expected a whole number >= 1"):
        ops.to_jax(pad_to=0)
    late = [np.array([5]), np.array([500])] | ops.map(abs)
    with pytest.raises(IndexError, match="expected indices below 100; got 500"):
        for block in late:
            (ops.indices(1) | ops.gather(X) | ops.to_jax()).steps[0].run(block)


# --- both


@pytest.mark.parametrize("stage", [ops.to_torch(), ops.to_jax(), ops.to_jax(pad_to=4)], ids=repr)
def test_the_laws(stage):
    with work_pool.WorkerThreadPool(2) as pool:
        check_laws(lambda stream, rng: stream | ops.gather(X, Y) | stage, members=1, pools=[pool])


def test_pad_to_looks_at_the_batches_and_not_at_the_blocks_below_them():
    words = ops.Ragged.of([[1], [2, 3], [4]])
    rows = ops.pack(words.lengths, 4, 1) | ops.gather(words) | ops.fill(4) | ops.to_jax(pad_to=1)
    assert all(batch["mask"].tolist() == [True] for batch in rows)
    with pytest.raises(ValueError, match=r"expected batches of at most 2 samples; those of .* have 4"):
        ops.indices(8) | ops.chunk(2) | ops.gather(np.arange(8)) | ops.rebatch(4) | ops.to_jax(pad_to=2)


def test_a_part_named_mask_is_not_overwritten():
    named = ops.indices(4) | ops.gather(mask=np.arange(4))
    for act in (
        lambda: named | ops.to_jax(pad_to=4),
        lambda: next(iter(named | ops.map(lambda batch: batch) | ops.to_jax(pad_to=4))),
    ):
        with pytest.raises(ValueError, match='no part of the name "mask", which pad_to adds'):
            act()
    assert list(next(iter(named | ops.to_jax()))) == ["mask"]


# --- checkpoints of earlier versions

KEPT = sorted(file for file in (Path(__file__).parents[1] / "checkpoints").glob("v*/*.json") if file.stem in OF_HOSTS)


@pytest.mark.parametrize("file", KEPT, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_kept_checkpoint_gives_exactly_the_rest(file):
    kept = json.loads(file.read_text())
    items = iter(OF_HOSTS[file.stem](np.random.RandomState(1)))
    items.load_state_dict(kept["state"])
    assert digest(items) == kept["next"]


def test_there_are_files_of_all_versions():
    assert len(KEPT) == len(OF_HOSTS) * (len(MIGRATIONS) + 1)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_dtypes_of_ml_dtypes_keep_their_bits(name):
    bits = np.arange(256, dtype=np.uint8).repeat(np.dtype(name).itemsize)
    X = bits.view(name)
    tensor = torch.from_numpy(bits.view(f"i{X.itemsize}")).view(getattr(torch, name))
    for source in (X, tensor):
        stream = ops.indices(256) | ops.shuffle(1) | ops.chunk(50) | ops.gather(source)
        for block, (batch,), (made,) in zip(
            ops.indices(256) | ops.shuffle(1) | ops.chunk(50), stream, stream | ops.to_torch(), strict=True
        ):
            assert batch.dtype == X.dtype
            assert batch.tobytes() == X[block].tobytes()
            assert made.dtype == tensor.dtype
            assert made.view(torch.uint8).numpy().tobytes() == X[block].tobytes()


@pytest.mark.parametrize("dtype", [">f4", ">i8", ">c8"])
def test_big_endian_arrays_become_tensors(dtype):
    [(batch,)] = ops.indices(4) | ops.gather(np.arange(4).astype(dtype)) | ops.to_torch()
    assert batch.tolist() == [0, 1, 2, 3]
    [(batch,)] = ops.indices(4) | ops.gather(np.arange(4).astype(">f4")) | ops.to_jax()
    assert batch.tolist() == [0, 1, 2, 3]


def test_a_mask_is_not_lost_in_a_tensor():
    rain = np.ma.masked_greater([1.0, 1e20], 1e10)
    for stage in (ops.to_torch(), ops.to_jax()):
        with pytest.raises(TypeError, match=r"MaskedArray, whose mask would be lost. Write array.filled\(value\)"):
            ops.indices(2) | ops.gather(rain) | stage
        masked = ops.indices(2) | ops.map(lambda block: np.ma.masked_array(block, block > 0)) | stage
        with pytest.raises(TypeError, match="whose mask would be lost"):
            list(masked)


def test_arrays_that_jax_makes_of_large_batches_stay_as_they_are():
    images = np.random.default_rng(0).integers(0, 256, (24, 1 << 19), np.uint8)
    it = iter(ops.indices(24) | ops.shuffle(7) | ops.chunk(8) | ops.repeat(-1) | ops.gather(images))
    held, expected = [], []
    for (batch,) in islice(it, 3):
        expected.append(batch.copy())
        held += [jnp.asarray(batch), jnp.asarray(batch.view(np.float32))]
    addresses = {batch.ctypes.data for (batch,) in islice(it, 30)}
    assert len(addresses) <= 3  # it is used again
    for n, array in enumerate(held):
        np.testing.assert_array_equal(np.asarray(array).view(np.uint8), expected[n // 2])
