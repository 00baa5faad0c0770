"""The streams and loaders whose checkpoints are kept in this directory, by the names of their files."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from batchup import ops
from batchup.data_source import ArrayDataSource, ChoiceDataSource, CompositeDataSource

X = np.arange(60).reshape(30, 2)
Y = np.arange(30) % 3
LENGTHS = np.arange(30) * 7 % 9
WORDS = ops.Ragged(np.arange(LENGTHS.sum()), np.append(0, LENGTHS.cumsum()))
RECORDS = [{"x": x, "y": int(y)} for x, y in zip(X, Y, strict=True)]


def blocks() -> ops.Stream:
    return ops.indices(30) | ops.chunk(4)


def batches() -> ops.Stream:
    return blocks() | ops.gather(X, Y)


def double(*batch: Any) -> Any:
    return tuple(part * 2 for part in batch)


def noise(*batch: Any, rng: Any) -> Any:
    return (*batch, rng.integers(1000, size=len(batch[0])))


def global_noise(*batch: Any) -> Any:
    return (*batch, np.random.randint(1000, size=len(batch[0])))


def sample_noise(*sample: Any, rng: Any) -> Any:
    return (*sample, rng.integers(1000))


def numbers(samples: Any) -> Any:
    return np.array([drawn for *_, drawn in samples])


def sample_global_noise(*sample: Any) -> Any:
    return (*sample, np.random.randint(1000) + random.randrange(1000))


def some(x: Any, y: Any) -> Any:
    return y > 0


def every_other(*batch: Any) -> Any:
    return tuple(part[::2] for part in batch)


# Each is a function of the generator that the stream draws from, if it draws from one.
Make = Callable[[np.random.RandomState], Any]

STREAMS: dict[str, Make] = {
    "bucket": lambda rng: ops.bucket(LENGTHS, 5, size=3),
    "bucket_tokens": lambda rng: ops.bucket(LENGTHS, 5, tokens=20),
    "choose": lambda rng: ops.choose(batches(), batches() | ops.map(double), rng=3),
    "choose_drawn": lambda rng: ops.choose(batches(), batches(), rng=rng, stratified=True),
    "choose_in_turns": lambda rng: ops.choose(batches(), [1, 2, 3]),
    "chunk": lambda rng: blocks(),
    "chunk_schedule": lambda rng: ops.indices(30) | ops.chunk([2, 4, 7], drop_last=True),
    "chunk_drop_last": lambda rng: ops.indices(30) | ops.chunk(4, drop_last=True),
    "epoch": lambda rng: (ops.indices(30) | ops.shuffle(7) | ops.chunk(4)).epoch(2),
    "fill": lambda rng: ops.pack(LENGTHS, 16, 5) | ops.gather(words=WORDS) | ops.fill(16),
    "filter": lambda rng: batches() | ops.filter(some),
    "filter_named": lambda rng: batches() | ops.filter(lambda x, y: y > 0, name="labelled"),
    "filter_rebatch": lambda rng: batches() | ops.filter(some) | ops.rebatch(3),
    "gather": lambda rng: batches(),
    "gather_named": lambda rng: blocks() | ops.gather(x=X, y=Y, include_indices=True),
    "gather_ragged": lambda rng: blocks() | ops.gather(WORDS, Y),
    "indices": lambda rng: ops.indices(30),
    "indices_subset": lambda rng: ops.indices([5, 3, 8, 1]) | ops.chunk(1),
    "list": lambda rng: [10, 20, 30, 40] | ops.skip(0),
    "map": lambda rng: batches() | ops.map(double),
    "map_named": lambda rng: batches() | ops.map(lambda x, y: x, name="first"),
    "map_random": lambda rng: batches() | ops.map(noise, rng=9),
    "map_samples": lambda rng: batches() | ops.map_samples(double),
    "map_samples_random": lambda rng: batches() | ops.map_samples(sample_noise, rng=9, collate=numbers),
    "map_samples_seeded": lambda rng: batches() | ops.map_samples(sample_global_noise, seed_globals=9),
    "map_seeded": lambda rng: batches() | ops.map(global_noise, seed_globals=9),
    "map_resizes": lambda rng: batches() | ops.map(every_other, resizes=True) | ops.rebatch(3),
    "merge": lambda rng: blocks() | ops.merge(2),
    "merge_shard": lambda rng: blocks() | ops.merge(2, shard=(1, 2)),
    "mix": lambda rng: ops.indices(30) | ops.mix(7, chunks=3, window=3),
    "pack": lambda rng: ops.pack(LENGTHS, 16, 5),
    "pack_shard": lambda rng: ops.pack(LENGTHS, 16, 5, shard=(1, 2)),
    "pad": lambda rng: blocks() | ops.gather(words=WORDS) | ops.pad(multiple=4, mask=True),
    "permute": lambda rng: ops.indices(5000) | ops.permute(7) | ops.chunk(900),
    "rebatch": lambda rng: batches() | ops.rebatch(3, drop_last=True),
    "rebatch_shard": lambda rng: batches() | ops.rebatch(6, shard=(1, 2)),
    "reorder": lambda rng: blocks() | ops.reorder(7),
    "reorder_drawn": lambda rng: blocks() | ops.reorder(rng),
    "repeat": lambda rng: blocks() | ops.repeat(3),
    "repeat_for_ever": lambda rng: ops.indices(30) | ops.shuffle(7) | ops.repeat(-1) | ops.chunk(7),
    "sample": lambda rng: ops.sample(Y + 1.0, 7) | ops.chunk(4),
    "sample_drawn": lambda rng: ops.sample(Y + 1.0, rng) | ops.chunk(4),
    "sample_once": lambda rng: ops.sample(Y + 1.0, 7, replace=False) | ops.repeat(2) | ops.chunk(7),
    "samples_seeded": lambda rng: blocks() | ops.samples(RECORDS, seed_globals=9),
    "samples_collate": lambda rng: blocks() | ops.samples(RECORDS, list, resizes=True) | ops.rebatch(3),
    "samples": lambda rng: blocks() | ops.samples(RECORDS, include_indices=True),
    "shard": lambda rng: blocks() | ops.shard(1, 2),
    "shard_drawn": lambda rng: blocks() | ops.shard(1, 2) | ops.shuffle(rng),
    "shuffle": lambda rng: ops.indices(30) | ops.shuffle(7) | ops.chunk(4),
    "shuffle_drawn": lambda rng: ops.indices(30) | ops.shuffle(rng) | ops.repeat(2) | ops.chunk(7),
    "shuffle_large": lambda rng: ops.indices(2000) | ops.shuffle(rng) | ops.chunk(300),
    "skip": lambda rng: blocks() | ops.skip(2),
    "stratify": lambda rng: ops.stratify(Y, 7) | ops.chunk(4),
    "stratify_drawn": lambda rng: ops.stratify(Y, rng) | ops.chunk(4),
    "blend": lambda rng: ops.blend([30, 12], 7, weights=[0.8, 0.2], block=10) | ops.chunk(4),
    "blend_drawn": lambda rng: ops.blend([30, 12], rng, block=10) | ops.chunk(4),
    "choose_blocks": lambda rng: ops.choose(blocks(), blocks() | ops.shuffle(7)) | ops.merge(2),
    "choose_weights": lambda rng: ops.choose(batches(), batches(), weights=[0.7, 0.3]),
    "choose_weights_drawn": lambda rng: ops.choose(batches(), batches(), weights=[0.7, 0.3], rng=rng),
    "episodes": lambda rng: ops.episodes(Y, 2, 3, 7),
    "episodes_drawn": lambda rng: ops.episodes(Y, 2, 3, rng),
    "take": lambda rng: blocks() | ops.take(6),
    "where": lambda rng: ops.indices(30) | ops.shuffle(7) | ops.where(Y > 0) | ops.chunk(3),
    "zip": lambda rng: ops.zip(batches(), blocks() | ops.shuffle(7)),
    "zip_of_zips": lambda rng: ops.zip(ops.zip(batches(), [1, 2, 3]), batches() | ops.map(noise, rng=9)),
}

# Those that need PyTorch or JAX.
OF_HOSTS: dict[str, Make] = {
    "to_jax": lambda rng: batches() | ops.to_jax({"int64": "int32"}),
    "to_torch": lambda rng: batches() | ops.to_torch({"int64": "int32"}),
}

# Those that came with version 4; there are no files of version 3.
SINCE_4 = {
    "blend",
    "blend_drawn",
    "choose_blocks",
    "choose_weights",
    "choose_weights_drawn",
    "episodes",
    "episodes_drawn",
    "chunk_schedule",
    "loader_composite_sizes",
    "loader_steps",
    "loader_steps_drawn",
    "map_samples",
    "map_samples_random",
    "map_samples_seeded",
    "map_seeded",
    "samples_seeded",
}

LOADERS: dict[str, Make] = {
    "arrays": lambda rng: ArrayDataSource([X, Y]).loader(4, shuffle=7, drop_last=True),
    "arrays_drawn": lambda rng: ArrayDataSource([X, Y]).loader(4, shuffle=rng),
    "choice": lambda rng: ChoiceDataSource([ArrayDataSource([X]), ArrayDataSource([X])]).loader(4, shuffle=7),
    "composite": lambda rng: CompositeDataSource(
        [ArrayDataSource([X, Y], repeats=-1), ArrayDataSource([Y[:23]])]
    ).loader(4, shuffle=7),
    "composite_sizes": lambda rng: CompositeDataSource(
        [ArrayDataSource([X, Y], repeats=-1), ArrayDataSource([Y[:23]])]
    ).loader([2, 4], shuffle=7),
    "steps": lambda rng: ArrayDataSource([X, Y]).loader(4, shuffle=7, steps=5),
    "steps_drawn": lambda rng: ArrayDataSource([X, Y]).loader(4, shuffle=rng, steps=5),
    "random_map": lambda rng: ArrayDataSource([X, Y]).map(noise, rng=9).loader(4, shuffle=7),
    "random_map_drawn": lambda rng: ArrayDataSource([X, Y]).map(noise, rng=9).loader(4, shuffle=rng),
    "rebatch": lambda rng: (batches() | ops.filter(some) | ops.rebatch(3)).loader(),
}
