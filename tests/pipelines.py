"""Generated pipelines, and what each of them must give, computed without the library.

A recipe is a tree of tuples: `(stage, recipes before it, arguments)`. `build` makes the stream of it,
`model` gives the items of a pass as plain lists. A new stage is a new row of `STAGES`.
"""

import math
import random
import warnings
from fractions import Fraction
from functools import partial
from itertools import chain, count, groupby, islice, pairwise, product, repeat

import numpy as np
from hypothesis import strategies as st
from numpy.random import PCG64, RandomState, SeedSequence

from batchup import ops, work_pool
from batchup.core.randomness import as_seed
from batchup.data_source import CallableDataSource
from batchup.ops.index.pack import Packs
from batchup.ops.index.permutation import permuted, round_keys
from batchup.ops.index.steps import steps
from batchup.testing import plain

X = np.arange(200).reshape(100, 2) * 10
Y = np.arange(100) + 1000
PAIRS = list(zip(X, Y, strict=True))
LENGTHS = np.arange(100) * 7 % 9
WORDS = ops.Ragged(np.arange(LENGTHS.sum()), np.append(0, LENGTHS.cumsum()))
CONCAT = ops.concat(X[:40], X[40:41], X[41:])
SIGNALS = [np.arange(50), np.arange(2), np.arange(60) * 7]
WINDOWS = ops.windows(SIGNALS, 3)
RECORDS = [{"x": x.tolist(), "y": int(y)} for x, y in PAIRS]


def words(*ints):
    """Of each number, how many 32-bit words it has, and these."""
    for number in ints:
        own = [number % 2**32]
        while number := number // 2**32:
            own.append(number % 2**32)
        yield from [len(own), *own]


POOL = work_pool.WorkerThreadPool(2)


def entropy(seed, *key):
    seed = [seed] if isinstance(seed, int) else seed
    return SeedSequence(list(words(*seed)), spawn_key=list(words(*key)))


def keyed(seed, *key):
    return RandomState(PCG64(entropy(seed, *key)))


def double(*batch):
    return tuple(map(_twice, batch))


def _twice(part):
    if isinstance(part, ops.Ragged):
        return ops.Ragged(part.flat * 2, part.offsets)
    if isinstance(part, list):
        return [_twice(sample) for sample in part]
    if isinstance(part, int):
        return part * 2
    if isinstance(part, dict):
        return {key: _twice(value) for key, value in part.items()}
    return tuple(map(_twice, part)) if isinstance(part, tuple) else np.array(part) * 2


def kept(*batch):
    """A mask of the samples, by their first number; now and then the whole batch, or none of it."""
    first = _numbers(batch)
    if first.sum() % 5 == 0:
        return bool(first.sum() % 2)
    return first % 3 != 0


def halved(*batch):
    """Every other sample, where the first number is odd."""
    odd = bool(_numbers(batch)[:1].sum() // 10 % 2)
    return _cut(batch, slice(None, None, 2 if odd else 1))


def _numbers(batch):
    while isinstance(batch, tuple | dict):
        batch = next(iter(batch.values() if isinstance(batch, dict) else batch))
    return np.array([int(np.ravel(sample)[:1].sum()) for sample in batch], int)


def noise(*batch, rng):
    """A random number a sample, as another part of the batch."""
    first = batch
    while isinstance(first, tuple | dict):
        first = next(iter(first.values() if isinstance(first, dict) else first))
    return (*batch, rng.integers(1000, size=len(first)))


def sample_noise(*sample, rng):
    """A random number, as another part of the sample."""
    return (*sample, int(rng.integers(1000)))


def global_noise(*batch):
    return noise(*batch, rng=GLOBAL)


def global_sample_noise(*sample):
    return sample_noise(*sample, rng=GLOBAL)


class GLOBAL:
    """The global generators of NumPy and Python, as one."""

    @staticmethod
    def integers(n, size=None):
        drawn = np.random.randint(n, size=size)
        return drawn + random.randrange(n)


# --- how a stage is built: from streams, its arguments, and the generator that all stages share

BUILD = {
    "indices": lambda streams, rng, n: ops.indices(n),
    "subset": lambda streams, rng, array: ops.indices(array),
    "blocks": lambda streams, rng, *blocks: [np.array(b, int) for b in blocks] | ops.skip(0),
    "sample": lambda streams, rng, weights, seed: ops.sample(weights, seed),
    "drawn": lambda streams, rng, weights: ops.sample(weights, rng),
    "orders": lambda streams, rng, weights, seed: ops.sample(
        weights, rng if seed == "stateful" else seed, replace=False
    ),
    "stratify": lambda streams, rng, y, seed: ops.stratify(y, rng if seed == "stateful" else seed),
    "blend": lambda streams, rng, members, block, seed: ops.blend(
        [n for n, _ in members],
        rng if seed == "stateful" else seed,
        weights=[weight for _, weight in members],
        block=block,
    ),
    "episodes": lambda streams, rng, y, classes, samples, seed: ops.episodes(
        y, classes, samples, rng if seed == "stateful" else seed, smallest="skip"
    ),
    "bucket": lambda streams, rng, seed, size, n: ops.bucket(LENGTHS[:n], seed, size),
    "padded": lambda streams, rng, seed, tokens, n: ops.bucket(LENGTHS[:n], seed, tokens=tokens + 8),
    "pack": lambda streams, rng, seed, n, index, world: ops.pack(
        LENGTHS[:n], 16, seed, window=20, shard=(index % world, world)
    ),
    "fill": lambda streams, rng, seed, n, index, world: (
        BUILD["pack"]((), rng, seed, n, index, world) | ops.gather(words=WORDS) | ops.fill(16)
    ),
    "shuffle": lambda streams, rng, seed: streams[0] | ops.shuffle(seed),
    "stateful": lambda streams, rng: streams[0] | ops.shuffle(rng),
    "permute": lambda streams, rng, seed: streams[0] | ops.permute(seed),
    "repeat": lambda streams, rng, times: streams[0] | ops.repeat(times),
    "where": lambda streams, rng, *mask: streams[0] | ops.where(_mask(mask)),
    "reorder": lambda streams, rng, seed: streams[0] | ops.reorder(seed),
    "redrawn": lambda streams, rng: streams[0] | ops.reorder(rng),
    "merge": lambda streams, rng, count: streams[0] | ops.merge(count),
    "stretch": lambda streams, rng, count, index, world: streams[0] | ops.merge(count, shard=(index % world, world)),
    "mix": lambda streams, rng, seed, chunks, window: streams[0] | ops.mix(seed, chunks, window),
    "chunk": lambda streams, rng, size, drop: streams[0] | ops.chunk(size, drop_last=drop),
    "schedule": lambda streams, rng, sizes, drop: streams[0] | ops.chunk(list(sizes), drop_last=drop),
    "skip": lambda streams, rng, k: streams[0] | ops.skip(k),
    "take": lambda streams, rng, k: streams[0] | ops.take(k),
    "epoch": lambda streams, rng, e: streams[0].epoch(e),
    "steps": lambda streams, rng, n: streams[0] | steps(n),
    "shard": lambda streams, rng, index, count: streams[0] | ops.shard(index % count, count),
    "gather": lambda streams, rng: streams[0] | ops.gather(X, Y),
    "concat": lambda streams, rng: streams[0] | ops.gather(CONCAT, Y),
    "windows": lambda streams, rng: streams[0] | ops.gather(WINDOWS),
    "ragged": lambda streams, rng: streams[0] | ops.gather(WORDS, Y),
    "pad": lambda streams, rng: streams[0] | ops.gather(words=WORDS) | ops.pad(to=9, mask=True),
    "named": lambda streams, rng: streams[0] | ops.gather(x=X, y=Y, include_indices=True),
    "samples": lambda streams, rng: streams[0] | ops.samples(PAIRS),
    "records": lambda streams, rng: streams[0] | ops.samples(RECORDS, include_indices=True),
    "map": lambda streams, rng: streams[0] | ops.map(double),
    "map_samples": lambda streams, rng: streams[0] | ops.map_samples(double),
    "random_samples": lambda streams, rng, seed: streams[0] | ops.map_samples(sample_noise, rng=seed),
    "seeded": lambda streams, rng, seed: streams[0] | ops.map(global_noise, seed_globals=seed),
    "seeded_samples": lambda streams, rng, seed: streams[0] | ops.map_samples(global_sample_noise, seed_globals=seed),
    "declared": lambda streams, rng, n, size: CallableDataSource(partial(_declared, n), n).stream(size),
    "rebatch": lambda streams, rng, size, drop: streams[0] | ops.rebatch(size, drop_last=drop),
    "ranked": lambda streams, rng, size, index, world: streams[0] | ops.rebatch(size, shard=(index % world, world)),
    "filter": lambda streams, rng: _finite(streams[0]) | ops.filter(kept),
    "resized": lambda streams, rng: streams[0] | ops.map(halved, resizes=True),
    "random": lambda streams, rng, seed: streams[0] | ops.map(noise, rng=seed),
    "parallel": lambda streams, rng, buffer: streams[0] | ops.parallel(POOL, buffer),
    "split": lambda streams, rng, buffer: streams[0] | ops.parallel(POOL, buffer, split=True),
    "zip": lambda streams, rng, flatten, trim: _zip(streams, flatten, trim),
    "choose": lambda streams, rng, seed, stratified: ops.choose(
        *streams, rng=rng if seed == "stateful" else seed, stratified=stratified
    ),
    "weighted": lambda streams, rng, seed, weights: ops.choose(
        *streams, rng=rng if seed == "stateful" else seed, weights=weights[: len(streams)]
    ),
}


def _finite(stream):
    if stream.plan.length == math.inf:
        raise ValueError("of an endless stream it may leave nothing")
    return stream


def _declared(n, batch_size):
    """Batches of the first n samples, of a function whose number of samples alone is declared."""
    return iter([(Y[start : min(start + batch_size, n)].copy(),) for start in range(0, n, batch_size)])


def _zip(streams, flatten, trim):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "zip: the members have batches of", UserWarning)
        return ops.zip(*streams, flatten=flatten, trim=trim)


# --- which functions and joins fit their batches: what does not is a user's error, and is not generated


class UnfitError(ValueError):
    """A pipeline whose functions do not fit its batches."""


def specimens(recipe):
    """Batches of each kind that a recipe gives, two samples each."""
    stage, before, args = recipe
    below = [specimens(part) for part in before]
    if stage in ROWS:
        return [next(iter(BUILD["fill"]((), None, 0, 60, 0, 1)))]
    if not before:
        return [(Y[:2],)] if stage in DECLARED else [np.array([0, 1])]
    if stage in ("choose", "weighted"):
        return list(chain.from_iterable(below))
    if stage == "zip":
        flatten, trim = args
        if trim and any(is_uneven(part) for part in before):
            raise UnfitError("a member has arrays of several lengths, which are not cut")
        return [next(iter(_zip([[item] for item in items], flatten, trim))) for items in product(*below)]
    if stage in MAPPING and (is_uneven(before[0]) or any(map(_has_ragged, below[0]))):
        raise UnfitError("the samples of a batch have several lengths, which are not put together")
    if stage in WORK | TRUNK | NOISE and stage not in KEEPING:
        return [next(iter(BUILD[stage]([[item] | ops.skip(0)], None, *args))) for item in below[0]]
    if stage in PER_SAMPLE and is_uneven(before[0]):
        raise UnfitError("there are arrays of several lengths, which have no samples")
    if stage in ("rebatch", "ranked") and len({_kind(item) for item in below[0]}) > 1:
        raise UnfitError("batches of different kinds can't be put together")
    return below[0]


def is_uneven(recipe):
    """Whether the arrays of a batch may differ in length: those of members that are not cut alike."""
    stage, before, args = recipe
    differ = len({*map(repr, before)}) > 1 or any(has(drawn, recipe) for drawn in DRAWING)
    return (stage == "zip" and not args[1] and differ) or any(map(is_uneven, before))


def _has_ragged(item):
    if isinstance(item, tuple | dict):
        return any(map(_has_ragged, item.values() if isinstance(item, dict) else item))
    return isinstance(item, ops.Ragged)


def _kind(item):
    if isinstance(item, tuple | dict):
        names = tuple(item) if isinstance(item, dict) else ()
        return type(item), names, *map(_kind, item.values() if names else item)
    if isinstance(item, np.ndarray | ops.Ragged):
        return type(item), str(item.dtype), *item.shape[1:]
    return type(item)


def _gives_nothing(recipe):
    """Whether the first items of a pass have no samples, and there are no others but by chance."""
    return not any(map(_shortest, islice(model(recipe), 60)))


def fits(recipe):
    """Whether the functions fit their batches, and what never ends gives something: of recipes whose parts do."""
    stage, before, args = recipe
    endless = (stage, args) == ("repeat", (-1,)) or stage == "steps"
    if stage == "steps" and any(has(drawing, before[0]) for drawing in DRAWING):
        return False  # the model would draw anew for each pass; tests/ops/index/test_steps.py has these
    if endless and _gives_nothing(before[0]):
        return False
    if stage == "where" and build(before[0]).plan.length == math.inf and _gives_nothing(recipe):
        return False
    try:
        specimens(recipe)
    except UnfitError:
        return False
    return True


def build(recipe, rng=None):
    stage, before, args = recipe
    rng = RandomState(0) if rng is None else rng
    return BUILD[stage]([build(part, rng) for part in before], rng, *args)


# --- what pass p of a recipe must give: lazily, as draws are made when they are first needed


def model(recipe, p=0, rng=None):
    """The items of a pass as plain lists, one at a time, and none beyond the length."""
    stage, before, args = recipe
    rng = RandomState(0) if rng is None else rng
    length = build(recipe).plan.length
    items = MODEL.get(stage, _unknown)(before, p, rng, *args)
    return islice(items, length) if isinstance(length, int) else items


def _unknown(before, p, rng, *args):
    """What has no model, as noise, has the samples of what is before it."""
    return model(before[0], p, rng)


def _generator(seed, p, rng, *place):
    """What a stage draws from, with this seed or the generator that all share."""
    return rng if seed == "stateful" else keyed(seed, p, *place)


def _shuffled(before, p, rng, seed="stateful"):
    for n, block in enumerate(model(before[0], p, rng)):
        yield _generator(seed, p, rng, n).permutation(np.array(block, int)).tolist()


def _grouped(stage, p, rng, seed, *args, world=1, index=0):
    """Which samples are together is what `packing` says; how well is tested in its own place."""
    stream = BUILD[stage]((), rng, seed, *args)
    plan = stream.plan.up if isinstance(stream.plan, Packs) else stream.plan
    groups = [block.tolist() for block in plan.up.items(0, 0, None)]
    order = [groups[int(i)] for i in _order(len(groups), seed, p, 0, 1)]
    for k in range(0, len(order), world):
        yield (order[k : k + world] + [[]] * world)[index % world]


def _filled(before, p, rng, seed, n, index, world):
    for block in _grouped("pack", p, rng, seed, n, index, world, world=world, index=index):
        samples = [WORDS[i].tolist() for i in block]
        ids = [k for k, sample in enumerate(samples, 1) for _ in sample]
        places = [k for sample in samples for k in range(len(sample))]
        rows = {"words": flat(samples), "segment_ids": ids, "positions": places}
        yield {name: [(row + [0] * 16)[:16]] for name, row in rows.items()}


def _padded(block):
    samples = [WORDS[i].tolist() for i in block]
    return {
        "words": [(sample + [0] * 9)[:9] for sample in samples],
        "words_lengths": [len(sample) for sample in samples],
        "words_mask": [[k < len(sample) for k in range(9)] for sample in samples],
    }


def _permuted(before, p, rng, seed):
    """The order is what `feistel` says; that it is a good permutation is tested in its own place."""
    for n, block in enumerate(model(before[0], p, rng)):
        yield [block[int(i)] for i in _order(len(block), seed, p, n)]


def _order(n, seed, *key):
    return permuted(np.arange(n, dtype=np.uint64), n, round_keys(as_seed(seed, ""), *key))


def _repeated(before, p, rng, times):
    passes = count(p * 2**64) if times == -1 else range(p * times, (p + 1) * times)
    return chain.from_iterable(model(before[0], n, rng) for n in passes)


def _endless(before, rng):
    if build(before[0]).plan.length == math.inf:
        return model(before[0], 0, rng)
    return _repeated(before, 0, rng, -1)


def _chunked(before, p, rng, size, drop):
    stage, _, args = before[0]
    if stage in ENDLESS_SOURCES:
        yield from ENDLESS_SOURCES[stage](p, rng, size, *args)
    cut = []
    for block in model(before[0], p, rng):
        for index in block:
            cut.append(index)
            if len(cut) == size:
                yield cut
                cut = []
    if cut and not drop:
        yield cut


def _scheduled(before, p, rng, sizes, drop):
    if len(sizes) == 1:
        yield from _chunked(before, p, rng, sizes[0], drop)
        return
    indices = chain.from_iterable(model(before[0], p, rng))
    for size in chain(sizes, repeat(sizes[-1])):
        cut = list(islice(indices, size))
        if len(cut) == size or (cut and not drop):
            yield cut
        if len(cut) < size:
            return


def _mask(mask):
    return np.resize(np.array(mask, bool), 100)


def _reordered(before, p, rng, seed="stateful"):
    n = build(before[0]).plan.length
    order = rng.permutation(n) if seed == "stateful" else _order(n, seed, p, 0, 1)
    blocks = list(model(before[0], p, rng))
    yield from (blocks[int(i)] for i in order)


def flat(lists):
    return list(chain.from_iterable(lists))


def _merged(before, p, rng, count, index=0, world=1):
    n = build(before[0]).plan.length
    blocks = model(before[0], p, rng)
    if not isinstance(n, int):
        while pieces := list(islice(blocks, count)):
            yield flat(pieces)
        return
    blocks = list(blocks)
    windows = math.ceil(n / count / world)
    starts = np.cumsum([0, *map(len, blocks)])
    share = int(starts[-1]) // world
    own = blocks
    if world > 1:  # the blocks of this rank, the first and the last of them perhaps in part
        begin, end = index * share, (index + 1) * share
        touched = [k for k, (a, b) in enumerate(pairwise(starts)) if b > begin and a < end]
        own = [blocks[k][max(0, begin - starts[k]) : end - starts[k]] for k in touched]
    for j in range(windows):
        yield flat(own[j * len(own) // windows : (j + 1) * len(own) // windows])


def _mixed(before, p, rng, seed, chunks, window):
    indices = sorted(flat(model(before[0], p, rng)))
    blocks = [list(group) for _, group in groupby(indices, lambda i: i // chunks)]
    n = len(blocks)
    order = [blocks[int(i)] for i in _order(n, seed, p, 0, 1)]
    windows = math.ceil(n / window)
    for j in range(windows):
        whole = flat(order[j * n // windows : (j + 1) * n // windows])
        yield keyed(seed, p, j).permutation(np.array(whole, int)).tolist()


def _rebatched(before, p, rng, size, drop=False, index=0, world=1):
    held, n = None, 0
    for item in model(before[0], p, rng):
        held, n = (item, 0) if held is None else (_both(held, item), n)
        n = _shortest(held)
        while n >= size:
            yield _part(_cut(held, slice(size)), index, world)
            held, n = _cut(held, slice(size, None)), n - size
    if n and not drop:
        yield _part(held, index, world)


def _part(item, index, world):
    n = _shortest(item)
    places = np.array_split(np.arange(n), world)[index % world]
    return _cut(item, slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0))


def _both(one, other):
    if isinstance(one, dict):
        return {key: _both(part, other[key]) for key, part in one.items()}
    if isinstance(one, tuple):
        return tuple(map(_both, one, other))
    return one + other


def _filtered(before, p, rng):
    for item in model(before[0], p, rng):
        said = kept(*item) if isinstance(item, tuple) else kept(item)
        n = _shortest(item)
        mask = [said] * n if isinstance(said, bool) else said.tolist()
        if any(mask) or (said is True):
            yield _chosen_samples(item, mask)


def _chosen_samples(item, mask):
    if isinstance(item, dict):
        return {key: _chosen_samples(part, mask) for key, part in item.items()}
    if isinstance(item, tuple):
        return tuple(_chosen_samples(part, mask) for part in item)
    return [sample for sample, yes in zip(item, mask, strict=True) if yes]


def _draws(p, rng, size, weights, seed="stateful"):
    generator, weights = _generator(seed, p, rng), np.array(weights)
    while True:
        yield generator.choice(len(weights), size, p=weights / weights.sum()).tolist()


def _weighted_order(before, p, rng, weights, seed):
    waits = -np.log1p(-_generator(seed, p, rng).random_sample(len(weights)))
    due = [wait / weight if weight else math.inf for wait, weight in zip(waits, weights, strict=True)]
    yield sorted(range(len(weights)), key=lambda i: (due[i], waits[i]))


def _strata(p, rng, size, y, seed):
    """Systematic sampling of the classes, each of which goes through its samples again and again."""
    classes = sorted({*y})
    sources = [_class_samples(p, rng, y, c, seed) for c in classes]
    whole, more = divmod(size, len(classes))
    counts = []
    for n, start in product(range(32), range(32)):
        ends = [Fraction(start, 32)]
        counts.append([whole] * len(classes))
        for c in RandomState(n).permutation(len(classes)):
            ends.append(ends[-1] + Fraction(more, len(classes)))
            counts[-1][c] += math.floor(ends[-1]) - math.floor(ends[-2])
    order = RandomState(0).permutation(len(counts))
    for k in count():
        drawn = counts[order[k % len(counts)]]
        first = _order(len(classes), 0, k)
        block = [
            (Fraction(2 * i + 1, 2 * n), first[c], next(sources[c])) for c, n in enumerate(drawn) for i in range(n)
        ]
        yield [index for *_, index in sorted(block, key=lambda sample: sample[:2])]


def _class_samples(p, rng, y, c, seed):
    own = np.flatnonzero(np.array(y) == c)
    if seed != "stateful":
        high, low = entropy(seed, int(c)).generate_state(2).tolist()
        seed = high << 32 | low
    for n in count(p * 2**64):
        yield from _generator(seed, n, rng, 0).permutation(own).tolist()


def _seed_of_pass(seed, p, rng):
    """A seed for all of a pass; of a generator, from two of its numbers."""
    if seed == "stateful":
        return tuple(int(uniform * 2**53) for uniform in rng.random_sample(2))
    return (*([seed] if isinstance(seed, int) else seed), p)


def _of_member(seed, member):
    high, low = entropy(seed, member).generate_state(2).tolist()
    return (high << 32 | low,)


def _sorted(n, number, seed, *place):
    """0 to n - 1 in the order of random words: those of SplitMix64, from a hash of the number on."""
    keys = entropy(seed, *place).generate_state(8, np.uint64).tolist()
    state = _mix(number ^ keys[0]) + keys[1]
    return sorted(range(n), key=lambda place: _mix(state + place * 0x9E3779B97F4A7C15))


def _mix(bits):
    bits %= 2**64
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % 2**64
    return bits ^ bits >> 31


def _blended(before, p, rng, members, block, seed):
    seed = _seed_of_pass(seed, p, rng)
    lengths, weights = zip(*members, strict=True)
    shares = [Fraction(weight * block, sum(weights)) for weight in weights]
    counts = list(map(math.floor, shares))
    for m in sorted(range(len(counts)), key=lambda m: shares[m] - counts[m], reverse=True)[: block - sum(counts)]:
        counts[m] += 1
    starts = np.cumsum([0, *lengths]).tolist()

    def samples(m):
        for number in count():
            yield from (starts[m] + i for i in _sorted(lengths[m], number, _of_member(seed, m)))

    sources = [samples(m) if n else iter(()) for m, n in enumerate(counts)]
    owners = [m for m, n in enumerate(counts) for _ in range(n)]
    for number in count():
        yield [next(sources[owners[i]]) for i in _sorted(block, number, seed, len(lengths))]


def _of_episodes(before, p, rng, y, classes, samples, seed):
    seed = _seed_of_pass(seed, p, rng)
    own = [[i for i, label in enumerate(y) if label == c] for c in sorted({*y})]
    own = [members for members in own if len(members) >= samples]
    keys = entropy(seed, 1).generate_state(8, np.uint64).tolist()
    first = np.cumsum([0, *map(len, own)]).tolist()
    for number in count():
        order = _sorted(len(own), number, seed, 0)
        for k in range(len(own) // classes):
            block = []
            for c in order[k * classes : (k + 1) * classes]:
                pass_, part = divmod(number, len(own[c]) // samples)
                state = _mix(pass_ ^ keys[0]) + keys[1]
                places = range(first[c], first[c + 1])
                permuted = sorted(places, key=lambda place: _mix(state + place * 0x9E3779B97F4A7C15))
                block += [own[c][place - first[c]] for place in permuted[part * samples : (part + 1) * samples]]
            yield block


ENDLESS_SOURCES = {"drawn": _draws, "sample": _draws, "stratify": _strata}


def _zipped(before, p, rng, flatten, trim):
    for parts in zip(*[model(part, p, rng) for part in before], strict=False):
        shortest = min(map(_shortest, parts))
        parts = [_cut(part, slice(shortest)) for part in parts] if trim else parts
        if flatten:
            parts = [x for part in parts for x in (part if isinstance(part, tuple) else (part,))]
        yield tuple(parts)


def _shortest(item):
    if isinstance(item, tuple | dict):
        return min(map(_shortest, item.values() if isinstance(item, dict) else item))
    return len(item)


def _cut(item, some):
    if isinstance(item, dict):
        return {key: _cut(part, some) for key, part in item.items()}
    return tuple(_cut(part, some) for part in item) if isinstance(item, tuple) else item[some]


def _chosen(before, p, rng, seed, stratified):
    return _given(before, p, rng, _turns(before, p, rng, seed, stratified))


def _weighted(before, p, rng, seed, weights):
    weights = weights[: len(before)]
    if seed is None:
        return _given(before, p, rng, _by_weights(weights))
    ends = np.cumsum([weight / sum(weights) for weight in weights])
    ends /= ends[-1]

    def drawn():
        generator = RandomState(PCG64(entropy(_seed_of_pass(seed, p, rng))))
        while True:
            yield int(ends.searchsorted(generator.random_sample(), side="right"))

    return _given(before, p, rng, drawn())


def _by_weights(weights):
    """Of the members that have given less than their share, the one whose next item is due first."""
    shares, given = [Fraction(weight, sum(weights)) for weight in weights], [0] * len(weights)
    for t in count(1):
        due = [m for m, share in enumerate(shares) if given[m] < share * t]
        yield min(due, key=lambda m: (given[m] + 1) / shares[m])
        given[min(due, key=lambda m: (given[m] + 1) / shares[m])] += 1


def _given(before, p, rng, turns):
    """The items of the members in turns, until one whose turn it is has none."""
    members = [model(part, p, rng) for part in before]
    for i in turns:
        for item in islice(members[i], 1):
            yield item
            break
        else:
            return


def _turns(before, p, rng, seed, stratified):
    lengths = [build(part).plan.length for part in before]
    if stratified and seed is not None:
        labels = np.repeat(np.arange(len(lengths)), lengths)
        yield from _generator(seed, p, rng, 0).permutation(labels)
    elif stratified:  # turn j of n is due at j / n
        yield from [i for _, i in sorted((Fraction(j, n), i) for i, n in enumerate(lengths) for j in range(n))]
    else:
        for n in count():
            members = np.arange(len(lengths))
            yield from members if seed is None else _generator(seed, p, rng, n).permutation(members)


def _named(block):
    return {"indices": block, "x": _gathered(block)[0], "y": _gathered(block)[1]}


def _window(i):
    return (SIGNALS[0], i) if i < 48 else (SIGNALS[2], i - 48)


def _gathered(block):
    return X[np.array(block, int)].tolist(), Y[np.array(block, int)].tolist()


MODEL = {
    "indices": lambda before, p, rng, n: iter([list(range(n))]),
    "subset": lambda before, p, rng, array: iter([array]),
    "blocks": lambda before, p, rng, *blocks: iter(blocks),
    "drawn": lambda before, p, rng, weights: _draws(p, rng, len(weights), weights),
    "sample": lambda before, p, rng, weights, seed: _draws(p, rng, len(weights), weights, seed),
    "orders": _weighted_order,
    "stratify": lambda before, p, rng, y, seed: _strata(p, rng, len(y), y, seed),
    "blend": _blended,
    "episodes": _of_episodes,
    "bucket": lambda before, p, rng, *args: _grouped("bucket", p, rng, *args),
    "padded": lambda before, p, rng, *args: _grouped("padded", p, rng, *args),
    "pack": lambda before, p, rng, seed, n, index, world: _grouped(
        "pack", p, rng, seed, n, index, world, world=world, index=index
    ),
    "fill": _filled,
    "shuffle": _shuffled,
    "stateful": _shuffled,
    "permute": _permuted,
    "repeat": _repeated,
    "where": lambda before, p, rng, *mask: ([i for i in block if _mask(mask)[i]] for block in model(before[0], p, rng)),
    "reorder": _reordered,
    "redrawn": _reordered,
    "merge": _merged,
    "stretch": lambda before, p, rng, count, index, world: _merged(before, p, rng, count, index % world, world),
    "mix": _mixed,
    "chunk": _chunked,
    "schedule": _scheduled,
    "skip": lambda before, p, rng, k: islice(model(before[0], p, rng), k, None),
    "take": lambda before, p, rng, k: islice(model(before[0], p, rng), k),
    "epoch": lambda before, p, rng, e: model(before[0], e, rng),
    "steps": lambda before, p, rng, n: islice(_endless(before, rng), p * n, (p + 1) * n),
    "shard": lambda before, p, rng, index, count: (
        np.array_split(np.array(block, int), count)[index % count].tolist() for block in model(before[0], p, rng)
    ),
    "gather": lambda before, p, rng: map(_gathered, model(before[0], p, rng)),
    "concat": lambda before, p, rng: map(_gathered, model(before[0], p, rng)),
    "windows": lambda before, p, rng: (
        ([signal[start : start + 3].tolist() for signal, start in map(_window, block)],)
        for block in model(before[0], p, rng)
    ),
    "ragged": lambda before, p, rng: (
        ([WORDS[i].tolist() for i in block], Y[np.array(block, int)].tolist()) for block in model(before[0], p, rng)
    ),
    "pad": lambda before, p, rng: map(_padded, model(before[0], p, rng)),
    "named": lambda before, p, rng: map(_named, model(before[0], p, rng)),
    "samples": lambda before, p, rng: map(_gathered, model(before[0], p, rng)),
    "records": lambda before, p, rng: map(_named, model(before[0], p, rng)),
    "parallel": lambda before, p, rng, buffer: model(before[0], p, rng),
    "split": lambda before, p, rng, buffer: model(before[0], p, rng),
    "map_samples": lambda before, p, rng: (
        plain(double(*item) if isinstance(item, tuple) else double(item)) if _shortest(item) else item
        for item in model(before[0], p, rng)
    ),
    "map": lambda before, p, rng: (
        plain(double(*item) if isinstance(item, tuple) else double(item)) for item in model(before[0], p, rng)
    ),
    "declared": lambda before, p, rng, n, size: ((part.tolist(),) for (part,) in _declared(n, size)),
    "rebatch": _rebatched,
    "ranked": lambda before, p, rng, size, index, world: _rebatched(before, p, rng, size, False, index, world),
    "filter": _filtered,
    "resized": lambda before, p, rng: (
        halved(*item) if isinstance(item, tuple) else halved(item) for item in model(before[0], p, rng)
    ),
    "zip": _zipped,
    "choose": _chosen,
    "weighted": _weighted,
}


# --- recipes: a source, then any number of stages, then perhaps work, perhaps several of these joined

seeds = st.one_of(st.integers(0, 2**70), st.lists(st.integers(0, 9), min_size=1, max_size=3).map(tuple))
any_seeds = st.just("stateful") | seeds
index_lists = st.lists(st.integers(0, 99), max_size=12)
weight_lists = st.lists(st.integers(0, 5), min_size=1, max_size=9).filter(any)
label_lists = st.lists(st.integers(0, 3), min_size=1, max_size=9)
sizes = st.integers(1, 9)
places = st.integers(0, 7)

# The table: the arguments of each stage.
SOURCES = {
    "indices": st.tuples(st.integers(0, 20)),
    "subset": st.tuples(index_lists),
    "blocks": st.lists(index_lists, max_size=4).map(tuple),
    "bucket": st.tuples(seeds, sizes, st.integers(0, 60)),
    "padded": st.tuples(seeds, sizes, st.integers(0, 60)),
    "pack": st.tuples(seeds, st.integers(0, 60), places, st.integers(1, 3)),
}
ROWS = {"fill": st.tuples(seeds, st.integers(0, 60), places, st.integers(1, 3))}  # sources of batches
DECLARED = {"declared": st.tuples(st.integers(0, 9), st.integers(1, 3))}  # not resumable
far = places | st.sampled_from([50, 200])  # beyond most ends
BY_POSITION = {
    "repeat": st.tuples(st.integers(1, 3)),
    "skip": st.tuples(far),
    "take": st.tuples(far),
    "epoch": st.tuples(places),
    "steps": st.tuples(sizes),
}
STAGES = {
    "shuffle": st.tuples(seeds),
    "permute": st.tuples(seeds),
    "chunk": st.tuples(sizes, st.booleans()),
    "schedule": st.tuples(st.lists(sizes, min_size=1, max_size=4).map(tuple), st.booleans()),
    "shard": st.tuples(places, st.integers(1, 4)),
    "where": st.lists(st.booleans(), min_size=1, max_size=5).map(tuple),
    "reorder": st.tuples(seeds),
    "merge": st.tuples(sizes),
    "stretch": st.tuples(sizes, places, st.integers(1, 4)),
    "mix": st.tuples(seeds, sizes, sizes),
    **BY_POSITION,
}
WORK = {
    "gather": st.just(()),
    "concat": st.just(()),
    "windows": st.just(()),
    "ragged": st.just(()),
    "pad": st.just(()),
    "named": st.just(()),
    "samples": st.just(()),
    "records": st.just(()),
    "map": st.just(()),
    "map_samples": st.just(()),
    "parallel": st.tuples(sizes),
    "split": st.tuples(sizes),
    "rebatch": st.tuples(sizes, st.booleans()),
    "ranked": st.tuples(sizes, places, st.integers(1, 3)),
    **BY_POSITION,
}
# What stands on the trunk, with no join behind it.
TRUNK = {"filter": st.just(()), "resized": st.just(()), "rebatch": st.tuples(sizes, st.booleans())}
NOISE = dict.fromkeys(("random", "random_samples", "seeded", "seeded_samples"), st.tuples(seeds))  # not in the model
shares = st.tuples(*[st.integers(0, 5)] * 3).filter(lambda weights: weights[0])
CHOICES = {"choose": st.tuples(st.none() | seeds, st.booleans()), "weighted": st.tuples(st.none() | seeds, shares)}
JOINS = {"zip": st.tuples(st.booleans(), st.booleans()), **CHOICES}
# What draws from the generator that all stages share, or never ends, or both.
DRAWS = {
    "drawn": st.tuples(weight_lists),
    "sample": st.tuples(weight_lists, seeds),
    "orders": st.tuples(weight_lists, any_seeds),
    "stratify": st.tuples(label_lists, any_seeds),
    "blend": st.tuples(
        st.lists(st.just((0, 0)) | st.tuples(sizes, st.integers(0, 3)), min_size=1, max_size=3)
        .filter(lambda members: any(weight for _, weight in members))
        .map(tuple),
        st.integers(9, 20),
        any_seeds,
    ),
    "episodes": st.builds(
        lambda labels, classes, samples, seed: (labels + [*range(classes)] * samples, classes, samples, seed),
        label_lists,
        st.integers(1, 3),
        st.integers(1, 3),
        any_seeds,
    ),
}
STATEFUL = {"stateful": st.just(()), "redrawn": st.just(())}
ENDLESS = {"repeat": st.just((-1,))}
# What looks at the samples of a batch one by one, or puts samples together.
MAPPING = {"map_samples", "random_samples", "seeded_samples"}
PER_SAMPLE = {"rebatch", "ranked", "filter", *MAPPING}
# What draws from the generator that all stages share, so that one recipe twice gives two orders.
DRAWING = ("drawn", "orders", "stratify", "blend", "episodes", "stateful", "redrawn", "choose", "weighted")
# Of the stages behind the work, those whose batches are as before.
KEEPING = {*BY_POSITION, "parallel", "split", "rebatch", "ranked", "filter"}
WILD_CHOICES = {
    "choose": st.tuples(st.none() | any_seeds, st.booleans()),
    "weighted": st.tuples(st.none() | any_seeds, shares),
}
WILD_JOINS = {**JOINS, **WILD_CHOICES}


def _rows(table):
    return st.one_of([st.tuples(st.just(stage), args) for stage, args in table.items()])


def _chain(recipe, rows):
    """The recipe with these stages behind it, but for those that can't stand there."""
    for stage, args in rows:
        further = (stage, (recipe,), args)
        if buildable(further):
            recipe = further
    return recipe


# Where the index of the rank stands among the arguments; the number of ranks is next to it.
INDEX_AT = {"shard": 0, "stretch": 1, "ranked": 1, "pack": 2, "fill": 2}


def buildable(recipe):
    """Whether it is not refused when it is built: what each stage refuses is tested in its own place."""
    try:
        build(recipe)
    except (TypeError, ValueError):
        return False
    return fits(recipe)


def _lead_to(sources, *tables):
    """Recipes that start at one of `sources` and go on by rows of each of the tables."""
    tails = [st.lists(_rows(table), max_size=3) for table in tables]
    return st.builds(lambda source, *rows: _chain(source, chain(*rows)), sources, *tails)


def _joined(members, joins):
    pairs = st.tuples(_rows(joins), st.lists(members, min_size=1, max_size=3).map(tuple))
    return pairs.map(lambda pair: (pair[0][0], pair[1], pair[0][1])).filter(buildable)


def _sources(table):
    return _rows(table).map(lambda row: (row[0], (), row[1]))


_members = _lead_to(_sources({**SOURCES, **ROWS}), STAGES, WORK)

# Pure and finite, of every stage.
recipes = st.one_of(
    _members,
    _lead_to(_members, {**TRUNK, **WORK}),
    _lead_to(_joined(_members, JOINS), {**TRUNK, **WORK}),
    _joined(_lead_to(_joined(_members, JOINS), BY_POSITION), JOINS),
    _lead_to(_joined(_lead_to(_sources(SOURCES), STAGES), CHOICES), STAGES, WORK),
)

_wild_members = _lead_to(
    _sources({**SOURCES, **ROWS, **DRAWS, **DECLARED}), {**STAGES, **STATEFUL, **ENDLESS}, {**WORK, **NOISE}
)
_declared_members = _lead_to(_sources(DECLARED), BY_POSITION, WORK)

# Of index blocks, which can still be cut.
_block_members = _lead_to(_sources({**SOURCES, **DRAWS}), {**STAGES, **STATEFUL, **ENDLESS})
block_recipes = _block_members | _lead_to(
    _joined(_block_members, WILD_CHOICES), {**STAGES, **STATEFUL, **ENDLESS}
).filter(lambda recipe: build(recipe).plan.kind.indexed)


def _divided(recipe, row, work):
    """A recipe, one rank's part of it, and stages behind that: also those that one rank might refuse alone."""
    stage, args = row
    for further in ((stage, args), *work):
        recipe = (further[0], (recipe,), further[1])
    return recipe


_shards = st.tuples(st.just("shard"), st.tuples(st.just(0), st.integers(2, 4)))
_behind = st.lists(
    _rows(
        {
            "chunk": STAGES["chunk"],
            "repeat": st.sampled_from([(2,), (-1,)]),
            "take": st.tuples(far),
            "stateful": st.just(()),
            "redrawn": st.just(()),
            "parallel": st.tuples(sizes),
        }
    ),
    max_size=2,
)
_read = st.sampled_from([[], [("gather", ())], [("gather", ()), ("rebatch", (3, False))]])
divided_recipes = st.one_of(
    st.builds(lambda r, row, a, b: _divided(r, row, [*a, *b]), block_recipes, _shards, _behind, _read),
    _lead_to(_sources({**SOURCES, **ROWS}), STAGES, WORK).filter(
        lambda recipe: any(has(stage, recipe) for stage in INDEX_AT)
    ),
)

# What draws from a generator, or never ends, or has noise, or all of it.
wild_recipes = st.one_of(
    _wild_members,
    _lead_to(_wild_members, {**TRUNK, **WORK, **NOISE}),
    _lead_to(block_recipes, {"filter": TRUNK["filter"], **BY_POSITION}),
    _lead_to(_joined(_declared_members, WILD_JOINS), {**WORK, **NOISE}),
    _lead_to(_joined(_wild_members, WILD_JOINS), {**WORK, **NOISE, **ENDLESS}),
    _joined(_lead_to(_joined(_wild_members, WILD_JOINS), BY_POSITION), WILD_JOINS),
)


def has(stage, recipe):
    """Whether there is a stage of that name in it."""
    return recipe[0] == stage or any(has(stage, part) for part in recipe[1])
