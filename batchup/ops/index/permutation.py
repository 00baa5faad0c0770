"""A keyed permutation of 0..n-1, computed for any places alone: no array of n numbers.

A generalized Feistel cipher with cycle walking, as in Black and Rogaway, "Ciphers with Arbitrary
Finite Domains", CT-RSA 2002: a number below a * b is a pair (l, r) of one below a and one below b;
each round adds a hash of one half to the other, which can be undone, so that the whole is a
bijection. With a * b the least such product that is >= n, hardly any number leaves 0..n-1; those
that do are encrypted again until they are back. Of the hash (the finalizer of Stafford's Mix13, as in
SplitMix64; Steele, Lea and Flood, OOPSLA 2014) the upper 32 bits are scaled to the half's size.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import Block, LazyBlock, block_array
from batchup.core.randomness import Seed, seed_sequence

LARGEST = 2**62
_SMALL = 1024  # so few are simply shuffled: the halves of the cipher would be too small to be random
_ROUNDS = 8  # of 4, neighbours stay neighbours too often in small sets; 8 pass every test of ours
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BY_29, _BY_32 = np.uint64(29), np.uint64(32)
Numbers = NDArray[np.uint64]


class PermutedBlock(LazyBlock):
    """The indices of a block in the order of a key; a slice of it is an intp array, made when asked.

    Slices that follow one another, as of batches, are computed many at once, each time twice as many: a
    NumPy call on 64 numbers costs as much as on a thousand. `ahead` bounds how many, and so the memory.
    """

    def __init__(self, block: Block, keys: Numbers, ahead: int = 8192):
        self.block = block
        self.keys = keys
        self._ahead = ahead
        # Where what was computed begins, and that; in one, as several threads may ask.
        self._run: tuple[int, NDArray[np.intp]] = (0, np.empty(0, np.intp))

    def __len__(self) -> int:
        return len(self.block)

    def __getitem__(self, part: slice) -> NDArray[np.intp]:
        begin, run = self._run
        start, stop = part.start, part.stop
        given = part.step is None and start is not None and stop is not None
        if given and begin <= start <= stop <= begin + len(run):  # as mostly
            return run[start - begin : stop - begin]
        start, stop, step = part.indices(len(self.block))
        if step != 1:
            return self._at(np.arange(start, stop, step, dtype=np.uint64))
        if start < begin or stop > begin + len(run):
            follows = len(run) and begin <= start <= begin + len(run)
            most = min(2 * len(run), self._ahead) if follows else 0
            end = min(max(stop, start + most), len(self.block))
            run = self._at(np.arange(start, end, dtype=np.uint64))
            if len(run) <= self._ahead:
                self._run = start, run
            begin = start
        return run[start - begin : stop - begin]

    def _at(self, places: Numbers) -> NDArray[np.intp]:
        order = permuted(places, len(self.block), self.keys).astype(np.intp)
        if isinstance(self.block, range):
            return order + self.block.start
        return block_array(self.block).take(order)

    def __reduce__(self) -> tuple[Any, ...]:
        return PermutedBlock, (self.block, self.keys, self._ahead)


def round_keys(seed: Seed, *place: int) -> Numbers:
    """The keys of the permutation of a place under a seed."""
    sequence = seed_sequence(seed, *place)
    return sequence.generate_state(_ROUNDS, np.uint64).astype(np.uint64, copy=False)


def permuted(places: Numbers, n: int, keys: Numbers) -> Numbers:
    """Where the keyed permutation of 0..n-1 takes these places; n is at most 2**62."""
    if n > LARGEST:
        raise ValueError(f"permute: expected blocks of 2**62 samples at most; got {n}")
    if n <= _SMALL:
        order = np.random.RandomState(np.random.PCG64(keys.tolist())).permutation(n)
        return order.astype(np.uint64)[places]
    return enciphered(places, n, keys)


def enciphered(places: Numbers, n: int, keys: Numbers) -> Numbers:
    """The permutation of the cipher itself, for n >= 2."""
    b = math.isqrt(n - 1) + 1
    a = -(-n // b)
    numbers = _encrypted(places, a, b, keys)
    outside = np.flatnonzero(numbers >= n)
    while len(outside):
        numbers[outside] = _encrypted(numbers[outside], a, b, keys)
        outside = outside[numbers[outside] >= n]
    return numbers


def place_of(number: int, n: int, keys: Numbers) -> int:
    """The place that the keyed permutation of 0..n-1 takes to a number: the other way round, for one."""
    if n <= _SMALL:
        return int(np.flatnonzero(permuted(np.arange(n, dtype=np.uint64), n, keys) == number)[0])
    b = math.isqrt(n - 1) + 1
    a = -(-n // b)
    place = n
    while place >= n:
        left, right = divmod(number, b)
        for even, odd in reversed(keys.reshape(-1, 2).tolist()):
            right = (right - _hash(left, odd, b)) % b
            left = (left - _hash(right, even, a)) % a
        number = place = left * b + right
    return place


def _hash(half: int, key: int, below: int) -> int:
    """What `_add_hash` adds, for one number."""
    bits = (half ^ key) * int(_MIX_1) % 2**64
    bits = (bits ^ bits >> 29) * int(_MIX_2) % 2**64
    return (bits >> 32) * below >> 32


def _encrypted(numbers: Numbers, a: int, b: int, keys: Numbers) -> Numbers:
    below_a, below_b = np.uint64(a), np.uint64(b)
    left = numbers // below_b
    right = numbers - left * below_b
    bits, shifted = np.empty_like(left), np.empty_like(left)
    for even, odd in keys.reshape(-1, 2):
        _add_hash(left, right, even, below_a, bits, shifted)
        _add_hash(right, left, odd, below_b, bits, shifted)
    return left * below_b + right


def _add_hash(
    half: Numbers, other: Numbers, key: np.uint64, below: np.uint64, bits: Numbers, shifted: Numbers
) -> None:
    """Add to a half, in place, a hash of the other one, modulo `below`."""
    np.bitwise_xor(other, key, out=bits)
    bits *= _MIX_1
    np.right_shift(bits, _BY_29, out=shifted)
    bits ^= shifted
    bits *= _MIX_2
    bits >>= _BY_32
    bits *= below
    bits >>= _BY_32
    half += bits
    # Below twice `below`: one subtraction is the modulus, and where there is nothing to subtract it wraps round.
    np.subtract(half, below, out=bits)
    np.minimum(half, bits, out=half)
