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

import numpy as np
from numpy.typing import NDArray

from batchup.core.checks import Block, LazyBlock, block_array
from batchup.core.randomness import Seed, seed_sequence
from batchup.core.record import record

LARGEST = 2**62
_SMALL = 1024  # so few are simply shuffled: the halves of the cipher would be too small to be random
_ROUNDS = 8  # of 4, neighbours stay neighbours too often in small sets; 8 pass every test of ours

_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BY_29, _BY_32 = np.uint64(29), np.uint64(32)

Numbers = NDArray[np.uint64]


@record
class PermutedBlock(LazyBlock):
    """The indices of a block in the order of a key; a slice of it is an intp array, made when asked."""

    block: Block
    keys: Numbers

    def __len__(self) -> int:
        return len(self.block)

    def __getitem__(self, part: slice) -> NDArray[np.intp]:
        places = np.arange(*part.indices(len(self.block)), dtype=np.uint64)
        order = permuted(places, len(self.block), self.keys).astype(np.intp)
        if isinstance(self.block, range):
            return order + self.block.start
        return block_array(self.block).take(order)


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


def _encrypted(numbers: Numbers, a: int, b: int, keys: Numbers) -> Numbers:
    below_a, below_b = np.uint64(a), np.uint64(b)
    left, right = np.divmod(numbers, below_b)
    for even, odd in keys.reshape(-1, 2):
        left = (left + _hash(right, even, below_a)) % below_a
        right = (right + _hash(left, odd, below_b)) % below_b
    return left * below_b + right


def _hash(half: Numbers, key: np.uint64, below: np.uint64) -> Numbers:
    bits = (half ^ key) * _MIX_1
    bits ^= bits >> _BY_29
    bits *= _MIX_2
    bits >>= _BY_32
    bits *= below
    bits >>= _BY_32
    return bits
