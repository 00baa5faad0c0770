"""Parts and samples of batches: count them, select some, join several."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import LazyBlock, block_array
from batchup.core.checks import describe, is_a, listed, plain_array
from batchup.core.item import mapped, planned_in
from batchup.core.memory import LEAST, copied, empty
from batchup.ragged import Ragged


class Piece(NamedTuple):
    """Samples `start` to `stop` of a batch, or of a part of one."""

    of: Any
    start: int
    stop: int


def has_samples(part: Any) -> bool:
    """True for arrays, lists and the like; False for numbers, 0-d arrays and text."""
    if isinstance(part, np.ndarray):  # most often
        return part.ndim > 0
    sliced = hasattr(part, "__len__") and hasattr(part, "__getitem__")
    return sliced and bool(getattr(part, "shape", True)) and not isinstance(part, str | bytes)


def parts_of(batch: Any) -> Iterator[Any]:
    """The parts of a batch, also inside of nested tuples and dicts."""
    if isinstance(batch, tuple | dict):
        for part in batch.values() if isinstance(batch, dict) else batch:
            yield from parts_of(part)
    else:
        yield batch


def samples_in(batch: Any, where: str) -> int:
    """The number of samples of a batch. Raises TypeError for a part without samples, ValueError for different lengths."""
    lengths = set()
    for part in parts_of(batch):
        if not has_samples(part):
            wanted = f"{where}: expected batches of arrays or lists, whose first axis is that of the samples"
            raise TypeError(f"{wanted}; got {describe(part)} as a part of one")
        lengths.add(len(part))
    if len(lengths) != 1:
        each = listed(map(describe, parts_of(batch)))
        wanted = f"{where}: expected parts with the same number of samples"
        raise ValueError(f"{wanted}; got ({each})")
    return lengths.pop()


def put_together(pieces: Sequence[Piece], where: str) -> Any:
    """One batch of pieces of several batches, in memory of its own: each sample is copied once."""
    spans = [slice(start, stop) for _, start, stop in pieces]

    def join(parts: Sequence[Any]) -> Any:
        return _joined([part[span] for part, span in zip(parts, spans, strict=True)], where)

    return _by_parts([of for of, _, _ in pieces], join, where)


def in_places(batches: Sequence[Any], places: Sequence[NDArray[np.intp]], where: str) -> Any:
    """One batch of several: the samples of batch k at `places[k]`."""
    count = sum(map(len, places))

    def join(parts: Sequence[Any]) -> Any:
        if not all(type(part) in _PLAIN for part in parts):
            order = np.empty(count, np.intp)
            order[np.concatenate(places)] = np.arange(count)
            together = _joined(parts, where)
            return [together[i] for i in order] if isinstance(together, list) else together[order]
        _check_fits(parts, where)
        out = empty((count, *parts[0].shape[1:]), max(part.dtype for part in parts))
        for part, at in zip(parts, places, strict=True):
            out[at] = part
        return out

    return batches[0] if len(batches) == 1 else _by_parts(batches, join, where)


def _by_parts(batches: Sequence[Any], join: Callable[[Sequence[Any]], Any], where: str) -> Any:
    """The batch of which each part is `join` of that part of all batches."""
    first = batches[0]
    if not isinstance(first, tuple | dict):
        return join(batches)
    same_kind = {(type(batch), frozenset(batch) if isinstance(batch, dict) else len(batch)) for batch in batches}
    if len(same_kind) > 1:
        wanted = f"{where}: expected batches with the same parts; one"
        raise ValueError(f"{wanted} has {_keys(first)}, another {_keys(batches[-1])}")
    keys = first if isinstance(first, dict) else range(len(first))
    parts = [_by_parts([batch[key] for batch in batches], join, where) for key in keys]
    if isinstance(first, dict):
        return dict(zip(first, parts, strict=True))
    return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)


def _keys(batch: Any) -> str:
    return listed(map(repr, batch)) if isinstance(batch, dict) else f"{len(batch)} parts"


def _joined(parts: Sequence[Any], where: str) -> Any:
    """Arrays, tensors or lists, concatenated. Raises ValueError if they are of different kinds."""
    first = parts[0]
    _check_fits(parts, where)
    if isinstance(first, list):
        return list(chain.from_iterable(parts))
    if isinstance(first, Ragged):
        return Ragged.joined(parts)
    if is_a(first, "torch.Tensor"):
        import torch

        return torch.cat(list(parts))
    if is_a(first, "jax.Array"):
        import jax.numpy

        return jax.numpy.concatenate(list(parts))
    if len(parts) > 1:
        return concatenated(parts, where)
    return copied(first) if type(first) in _PLAIN else np.array(first, subok=True)


def by_owner(
    block: NDArray[np.intp], starts: NDArray[np.intp]
) -> tuple[list[tuple[int, NDArray[np.intp]]], list[NDArray[np.intp]]]:
    """The samples of a block, of several sources one after another that begin at `starts`.

    For each source that has any: its number, and the samples as it counts them; and the places of these in the block.
    """
    owners = starts.searchsorted(block, side="right") - 1
    order = owners.argsort(kind="stable")
    inside = (block - starts.take(owners)).take(order)
    ends = np.bincount(owners, minlength=1).cumsum().tolist()
    samples, places = [], []
    for owner, (a, b) in enumerate(pairwise([0, *ends])):
        if a < b:
            samples.append((owner, inside[a:b]))
            places.append(order[a:b])
    return samples, places


def _check_fits(parts: Sequence[Any], where: str) -> None:
    first = parts[0]
    if len(parts) > 1 and (other := next((part for part in parts if not _fits(first, part)), None)) is not None:
        raise ValueError(
            f"{where}: expected samples of one dtype and shape, to put them together; got {describe(first)}, then "
            f"{describe(other)}. Make them alike in a map: array.astype(dtype)"
        )


_PLAIN = {np.ndarray, np.memmap}  # the classes of arrays to which nothing is added


def concatenated(arrays: Sequence[NDArray[Any]], where: str) -> NDArray[Any]:
    """The arrays in one, of the class of the first. Raises TypeError if that can't be kept."""
    first = arrays[0]
    if type(first) in _PLAIN:
        if sum(array.nbytes for array in arrays) < LEAST:
            return np.concatenate(arrays)
        out = empty((sum(map(len, arrays)), *first.shape[1:]), max(array.dtype for array in arrays))
        return np.concatenate(arrays, out=out)
    if isinstance(first, np.ma.MaskedArray):
        masked: Any = np.ma  # which has types in new versions of NumPy alone
        joined: NDArray[Any] = masked.concatenate(arrays)
    else:  # for other classes np.concatenate may return plain arrays
        joined = np.empty_like(first, shape=(sum(map(len, arrays)), *first.shape[1:]))
        for part, end in zip(arrays, accumulate(map(len, arrays)), strict=True):
            joined[end - len(part) : end] = part
    return joined if type(joined) is type(first) else plain_array(first, where)  # which raises


def _fits(one: Any, other: Any) -> bool:
    """True if both can be concatenated as they are; strings may have different widths."""
    if type(one) is not type(other) and not {type(one), type(other)} <= _PLAIN:
        return False
    if isinstance(one, list):
        return True
    if one.dtype != other.dtype and not (isinstance(one, np.ndarray) and one.dtype.kind == other.dtype.kind in "US"):
        return False
    return bool(one.shape[1:] == other.shape[1:])


def chosen(batch: Any, mask: NDArray[np.bool_]) -> Any:
    """The samples of a batch that the mask selects, in memory of their own."""
    places = np.flatnonzero(mask)

    def some(part: Any) -> Any:
        if isinstance(part, list):
            return [part[i] for i in places]
        return part[places]

    return mapped(batch, some, (tuple, dict))


def planned_piece(planned: Any, n: int, some: slice | NDArray[np.bool_]) -> Any:
    """The part of an item of a plan that belongs to some of the n samples of its batch."""
    inside = planned_in(planned)
    if isinstance(inside, range | LazyBlock | np.ndarray) and len(inside) == n:
        return inside[some] if isinstance(some, slice) else block_array(inside)[some]
    if isinstance(some, slice):
        return inside, some.start, some.stop
    return inside, np.flatnonzero(some)


def _is_block(piece: Any) -> bool:
    """True for an index block, False for data of a user's list."""
    return isinstance(piece, range) or (isinstance(piece, np.ndarray) and piece.ndim == 1 and piece.dtype == np.intp)


def planned_together(pieces: Sequence[Any]) -> Any:
    """The item of a plan for a batch that is made of several pieces."""
    if len(pieces) == 1:
        return pieces[0]
    if all(map(_is_block, pieces)):
        return np.concatenate([block_array(piece) for piece in pieces])
    return tuple(pieces)
