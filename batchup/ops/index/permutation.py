"""A keyed permutation of 0..n-1, computed for some places alone, without an array of n numbers.

It is a generalized Feistel cipher with cycle walking, as in Black and Rogaway, "Ciphers with Arbitrary Finite Domains",
CT-RSA 2002. A number below a * b is a pair (l, r) of a number below a and one below b. Each round adds a hash of one
half to the other, which can be undone, so the whole is a bijection. a * b is the least such product >= n, so few numbers
leave 0..n-1; those that do are encrypted again until they are back. The hash is the finalizer of Stafford's Mix13, as in
SplitMix64 (Steele, Lea and Flood, OOPSLA 2014); its upper 32 bits are scaled to the size of the half.

Of small sets, whose halves would be too small, random words are sorted.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup.core.blocks import Block, LazyBlock, block_array
from batchup.core.randomness import Seed, seed_sequence

LARGEST = 2**62
SMALL = 1024  # up to so many numbers are shuffled as an array: the halves of the cipher would be too small
_ROUNDS = 8  # with 4, neighbours stay neighbours too often in small sets; 8 pass all our tests
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BY_27, _BY_29, _BY_30, _BY_31, _BY_32 = map(np.uint64, (27, 29, 30, 31, 32))
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
Numbers = NDArray[np.uint64]


class PermutedBlock(LazyBlock):
    """The indices of a block in the order of a key. A slice of it is an intp array, computed on demand.

    For slices that follow one another, as those of batches, several are computed at once, each time twice as many: a
    NumPy call on 64 numbers costs as much as on a thousand. `ahead` is the largest number of indices computed ahead.
    """

    def __init__(self, block: Block, keys: Numbers, ahead: int = 8192):
        self.block = block
        self.keys = keys
        self._ahead = ahead
        # The place where the computed run begins, and the run. One attribute, since several threads may ask.
        self._run: tuple[int, NDArray[np.intp]] = (0, np.empty(0, np.intp))

    def __len__(self) -> int:
        return len(self.block)

    def __getitem__(self, part: slice) -> NDArray[np.intp]:
        begin, run = self._run
        start, stop = part.start, part.stop
        bounded = part.step is None and start is not None and stop is not None
        if bounded and begin <= start <= stop <= begin + len(run):  # most often
            return run[start - begin : stop - begin]
        start, stop, step = part.indices(len(self.block))
        if step != 1:
            return self._at(np.arange(start, stop, step, dtype=np.uint64))
        stop = max(start, stop)  # a slice that ends before it begins is empty
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
    """The keys of the permutation for a place under a seed."""
    sequence = seed_sequence(seed, *place)
    return sequence.generate_state(_ROUNDS, np.uint64).astype(np.uint64, copy=False)


def permuted(places: Numbers, n: int, keys: Numbers) -> Numbers:
    """The numbers at these places of the keyed permutation of 0..n-1; n is at most 2**62."""
    if n > LARGEST:
        raise ValueError(f"permute: expected blocks of 2**62 samples at most; got {n}")
    if n <= SMALL:
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


def orders(numbers: Numbers, n: int, keys: Numbers) -> NDArray[np.intp]:
    """Permutations of 0..n-1, one in each row: those with these numbers, of all that the keys stand for.

    It is the order of `words`, for sets so small that an array of a whole order is no matter.
    """
    order: NDArray[np.intp] = words(np.arange(n, dtype=np.uint64), numbers[:, None], keys).argsort(axis=1)
    return order


def words(places: Numbers, numbers: Numbers, keys: Numbers) -> Numbers:
    """A random word for each place of the sequences with these numbers: SplitMix64, whose seed is a hash of the number."""
    return _mixed(_mixed(numbers ^ keys[0]) + keys[1] + places * _GAMMA)


def _mixed(bits: Numbers) -> Numbers:
    bits = (bits ^ (bits >> _BY_30)) * _MIX_1
    bits = (bits ^ (bits >> _BY_27)) * _MIX_2
    return bits ^ (bits >> _BY_31)


def place_of(number: int, n: int, keys: Numbers) -> int:
    """The place of a number in the keyed permutation of 0..n-1."""
    if n <= SMALL:
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
    """The hash that `_add_hash` adds, for one number."""
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


def _add_hash(half: Numbers, other: Numbers, key: np.uint64, below: np.uint64, bits: Numbers, shifted: Numbers) -> None:
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
    # The sum is below 2 * `below`, so one subtraction is the modulus. If it would be negative it wraps round to a large number.
    np.subtract(half, below, out=bits)
    np.minimum(half, bits, out=half)
