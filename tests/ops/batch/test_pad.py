"""pad: arrays of samples of different lengths."""

import numpy as np
import pytest

from batchup import ops
from batchup.testing import plain

LISTS = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9], [10, 11]]

WORDS = ops.Ragged.of(LISTS)


# --- pad


def test_pad():
    [batch] = ops.indices([3, 1]) | ops.gather(WORDS, np.array(range(5))) | ops.pad(multiple=4, value=-1, mask=True)
    padded, lengths, mask, labels = batch
    assert padded.tolist() == [[5, 6, 7, 8, 9, -1, -1, -1], [-1] * 8]
    assert lengths.tolist() == [5, 0]
    assert mask.tolist() == [[True] * 5 + [False] * 3, [False] * 8]
    assert labels.tolist() == [3, 1]
    [named] = ops.indices([0]) | ops.gather(words=WORDS) | ops.pad(to=4)
    assert plain(named) == {"words": [[1, 2, 3, 0]], "words_lengths": [3]}
    [empty] = ops.indices(0) | ops.gather(WORDS) | ops.pad(to=4)
    assert empty[0].shape == (0, 4)


def test_what_cannot_be_padded_is_refused():
    with pytest.raises(ValueError, match=r"at most 4 tokens; sample 0 of the batch has 5.*truncate\(4\)"):
        list(ops.indices([3]) | ops.gather(WORDS) | ops.pad(to=4))
    with pytest.raises(TypeError, match="expected a Ragged among the parts of the batch; got <1 int64>"):
        list(ops.indices([3]) | ops.gather(np.arange(5)) | ops.pad())
    with pytest.raises(TypeError, match="got both"):
        ops.pad(to=4, multiple=8)
    with pytest.raises(ValueError, match="a part of the name 'words_lengths' already"):
        list(ops.indices([3]) | ops.gather(words=WORDS, words_lengths=np.arange(5)) | ops.pad())


def test_pad_inside_of_nested_batches():
    words = ops.Ragged.of([[1], [2, 3]])
    source = ops.indices(2) | ops.gather(words, np.arange(2))
    [(padded, lengths, y), other] = next(iter(ops.zip(source, [np.arange(2)], flatten=False) | ops.pad()))
    assert (padded.tolist(), lengths.tolist(), y.tolist()) == ([[1, 0], [2, 3]], [1, 2], [0, 1])
    assert other.tolist() == [0, 1]
    nested = next(iter(source | ops.map(lambda a, b: {"in": (a, {"deep": a}), "y": b}) | ops.pad()))
    assert [part.tolist() for part in nested["in"][:2]] == [[[1, 0], [2, 3]], [1, 2]]
    assert nested["in"][2]["deep_lengths"].tolist() == [1, 2]
    with pytest.raises(TypeError, match="expected a Ragged among the parts of the batch; got <2 int64>"):
        next(iter(ops.indices(2) | ops.gather(np.arange(2)) | ops.pad()))
