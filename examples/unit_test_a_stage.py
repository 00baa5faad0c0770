"""A stage of your own, and its unit tests on plain lists.

    python examples/unit_test_a_stage.py
    pytest examples/unit_test_a_stage.py

A stage takes any list for a stream, so a test needs no data set, no training loop and no mock.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchup import ops

# -- What is tested --------------------------------------------------------------------------------


def mixed_pairs(seed: int) -> ops.Stage:
    """A stage: from index blocks to blocks of two, in random order within the blocks given.

    Most often a stage of your own is a composition. `ops.Stage` gives it a name, which its repr and
    the errors from it show; a function that returns `ops.shuffle(seed) | ops.chunk(2)` would do too.
    """
    return ops.Stage(_mixed_pairs, seed, text=f"mixed_pairs({seed})")


def _mixed_pairs(stream: ops.Stream, seed: int) -> ops.Stream:
    return stream | ops.shuffle(seed) | ops.chunk(2, drop_last=True)


def standardise(X: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """For `ops.map`: each feature with mean 0 and deviation 1 over the batch; a constant one is 0."""
    centred = X - X.mean(axis=0)
    deviation = centred.std(axis=0)
    return centred / np.where(deviation == 0, 1, deviation), y


# -- The tests -------------------------------------------------------------------------------------


def test_pairs_are_of_each_sample_once() -> None:
    pairs = list([np.arange(6)] | mixed_pairs(12345))
    assert [len(pair) for pair in pairs] == [2, 2, 2]
    assert sorted(np.concatenate(pairs).tolist()) == [0, 1, 2, 3, 4, 5]


def test_the_odd_one_out_is_left_out() -> None:
    assert len([np.arange(7)] | mixed_pairs(12345)) == 3


def test_pairs_go_across_blocks() -> None:
    pairs = list([[0, 1, 2], [10, 11, 12]] | mixed_pairs(12345))
    assert [sum(index >= 10 for index in pair) for pair in pairs] == [0, 1, 2]


def test_the_same_seed_gives_the_same_pairs() -> None:
    first, second, other = (list([np.arange(50)] | mixed_pairs(seed)) for seed in [1, 1, 2])
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_it_reads_as_it_was_written() -> None:
    assert repr(ops.indices(6) | mixed_pairs(7)) == "indices(6) | mixed_pairs(7)"


def test_standardise() -> None:
    X, y = np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([0, 1])
    [(new_X, new_y)] = [(X, y)] | ops.map(standardise)
    assert new_X.tolist() == [[-1, 0], [1, 0]]
    assert new_y.tolist() == [0, 1]


def test_a_batch_that_fails_says_which() -> None:
    stream = ops.indices(9) | ops.chunk(4) | ops.gather(np.ones((9, 2))) | ops.map(standardise)
    notes = ""
    try:
        list(stream)  # gather gives (X,), and standardise wants (X, y)
    except TypeError as error:
        notes = "\n".join(error.__notes__)
    assert "in the stage map(standardise)" in notes
    assert "at item 0" in notes


def main() -> None:
    tests = {name: test for name, test in globals().items() if name.startswith("test_")}
    for name, test in tests.items():
        test()
        print(f"passed: {name}")
    print(f"{len(tests)} tests passed")


if __name__ == "__main__":
    main()
