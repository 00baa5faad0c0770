"""Errors for arguments that a function doesn't have, which name the argument that a caller looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


# What other libraries call the arguments of loaders, of stages that call functions, and of the functions of evaluation.
_WORKERS = {
    "num_workers": "workers=, for processes, or threads=",
    "n_workers": "workers=",
    "num_proc": "workers=",
    "processes": "workers=",
    "n_jobs": "workers=",
    "num_threads": "threads=",
}
LOADER_HINTS = {
    **_WORKERS,
    "prefetch": "buffer=",
    "prefetch_factor": "buffer=",
    "steps_per_epoch": "steps=",
    "max_steps": "steps=",
    "n_batches": "steps=",
    "num_batches": "steps=",
    "num_samples": "steps=, a number of batches",
    "seed": "shuffle=",
    "generator": "shuffle=",
    "rng": "shuffle=",
    "transform": "ds.map_samples(fn)",
    "worker_init_fn": "ds.map_samples(fn, seed_globals=)",
    "collate_fn": "SampleDataSource(dataset, collate)",
    "batch_sizes": "batch_size=[...], with a size for each member",
}
# Of other methods that make batches.
BATCH_HINTS = {
    name: f"loader(..., {hint.split(',')[0]})" if hint.startswith(("workers", "threads", "buffer", "steps")) else hint
    for name, hint in LOADER_HINTS.items()
}
FUNCTION_HINTS = {
    "seed": "rng=, for a function that draws from the generator it is passed, or seed_globals=",
    "generator": "rng=",
    "random_state": "rng=",
    "collate_fn": "collate= of map_samples or samples",
    "batched": "map(fn), which gets batches, or map_samples(fn)",
    "workers": "workers= of loader",
    "threads": "threads= of loader",
    **{name: f"{hint.split(',')[0]} of loader" for name, hint in _WORKERS.items()},
}
DATASET_HINTS = {
    **FUNCTION_HINTS,
    "seed": "seed_globals=",
    "rng": "seed_globals=, or map_samples(fn, rng=) behind it",
    "collate_fn": "collate=",
    "transform": "map_samples(fn) behind it",
}
# Of what mixes, splits and cuts data sets.
WEIGHTS_HINTS = {
    "seed": "rng=",
    "generator": "rng=",
    "random_state": "rng=",
    "shuffle": "rng=",
    "p": "weights=",
    "probs": "weights=",
    "probabilities": "weights=",
    "proportions": "weights=",
    "alpha": "temperature=",
    "block_size": "block=",
}
# Of data sources, which get the seed later.
BLEND_HINTS = {
    **dict.fromkeys(("seed", "generator", "random_state", "shuffle", "rng"), "loader(batch_size, shuffle=seed)"),
    **{name: hint for name, hint in WEIGHTS_HINTS.items() if hint != "rng="},
}
EPISODES_HINTS = {
    "seed": "rng=",
    "generator": "rng=",
    "random_state": "rng=",
    "labels": "y=",
    "n_way": "classes=",
    "n_classes": "classes=",
    "k_shot": "samples=, the number of support and query samples together",
    "n_shot": "samples=, the number of support and query samples together",
    "n_samples": "samples=",
    "samples_per_class": "samples=",
    "batch_size": "classes= and samples=",
}
SPLIT_HINTS = {
    "seed": "rng=",
    "generator": "rng=",
    "random_state": "rng=",
    "shuffle": "rng=, a seed, or None for in order",
    "test_size": "split(0.8, 0.2), a fraction for each part",
    "train_size": "split(0.8, 0.2), a fraction for each part",
    "lengths": "split(0.8, 0.2), a fraction for each part",
    "y": "stratify=",
    "labels": "stratify=",
    "group": "groups=",
}
WINDOWS_HINTS = {
    "window": "size=",
    "window_size": "size=",
    "window_length": "size=",
    "length": "size=",
    "sequence_length": "size=",
    "step": "stride=",
    "shift": "stride=",
    "hop": "stride=",
    "hop_length": "stride=",
    "sequence_stride": "stride=",
}
EVALUATION_HINTS = {**_WORKERS, "steps": "n_batches=", "max_batches": "n_batches=", "fn": "func="}
# What other libraries call methods of data sources.
METHOD_HINTS = {
    "transform": "map_samples(fn)",
    "with_transform": "map_samples(fn)",
    "set_transform": "map_samples(fn)",
    "map_sample": "map_samples(fn)",
    "map_each": "map_samples(fn)",
    "map_batches": "map(fn)",
    "apply": "map(fn), which gets batches, or map_samples(fn)",
    "batch": "loader(batch_size)",
    "shuffle": "loader(batch_size, shuffle=seed)",
    "repeat": "loader(batch_size, steps=), or repeats= when the source is made",
    "take": "stream(batch_size) | ops.take(count)",
    "skip": "stream(batch_size) | ops.skip(count)",
    "filter": "stream(batch_size) | ops.filter(fn)",
    "zip": "CompositeDataSource([one, other])",
    "prefetch": "loader(batch_size, workers=)",
    "predict": "batch_map_concat(func, batch_size)",
    "evaluate": "batch_map_mean(func, batch_size)",
    "shard": "loader(batch_size, shard=(rank, world))",
    "select": "indices= when the source is made",
    "random_split": "split(0.8, 0.2)",
    "train_test_split": "split(0.8, 0.2)",
    "concatenate": "ConcatDataSource([one, other])",
    "concat": "ConcatDataSource([one, other])",
    "blend": "BlendDataSource([one, other], weights)",
    "mix": "BlendDataSource([one, other], weights)",
}
# What other libraries call stages.
STAGE_HINTS = {
    "transform": "map_samples(fn)",
    "map_sample": "map_samples(fn)",
    "map_each": "map_samples(fn)",
    "map_batches": "map(fn)",
    "apply": "map(fn), which gets batches, or map_samples(fn)",
    "steps": "stream.loader(steps=)",
    "prefetch": "parallel(pool), or stream.loader(workers=)",
    "cycle": "repeat(-1)",
    "enumerate": "gather(..., include_indices=True)",
    "islice": "skip(count) | take(count)",
    "interleave": "choose(*streams)",
    "interleave_datasets": "choose(*streams, weights=), or blend(lengths, seed, weights)",
    "sample_from_datasets": "choose(*streams, weights=)",
    "mixture": "blend(lengths, seed, weights)",
    "concatenate": "concat(*arrays)",
    "chain": "concat(*arrays)",
    "sliding_window": "windows(signals, size)",
    "sliding_windows": "windows(signals, size)",
    "window": "windows(signals, size)",
    "balanced_batch": "stratify(labels, seed), or episodes(labels, classes, samples, seed)",
    "few_shot": "episodes(labels, classes, samples, seed)",
    "unbatch": "rebatch(1)",
    "batched": "chunk(size), or rebatch(size) behind the work",
    "padded_batch": "pad()",
    "cache": "gather(..., cache=)",
    "collate": "samples(dataset, collate)",
    "sampler": "sample(weights, seed), or stratify(labels, seed)",
}


def no_attribute(owner: object, text: str, name: str, hints: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that there isn't; with what to write, for a name of another library."""
    hint = f"; write {hints[name]}" if name in hints else ""
    return AttributeError(f"{text} has no attribute {name!r}{hint}", name=name, obj=owner)


def refuse_others(called: str, given: Iterable[str], known: Iterable[str], hints: Mapping[str, str]) -> None:
    """Raise TypeError for a name among `given` that is not `known`: with its hint, or the most similar known name."""
    known = list(known)
    for name in given:
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}=?" if near else f"it takes {', '.join(known)}"
            hint = f"write {hints[name]}" if name in hints else hint
            raise TypeError(f"{called}: there is no argument {name}=; {hint}")


def hinted(**hints: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that a call with an argument that it doesn't have says what to write instead.

    `hints` are names from other libraries, such as `num_workers`, each with the argument in place of it.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        code = function.__code__  # a signature takes 50 times as long
        names = [name for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if name != "self"]
        called = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            refuse_others(called, kwargs, names, hints)
            return function(*args, **kwargs)

        return checked

    return decorate
