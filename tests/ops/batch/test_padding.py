"""The value of pad and fill, their names and their reprs."""

import numpy as np
import pytest

from batchup import ops


def test_values_by_name():
    ids, labels = ops.Ragged.of([[1, 2, 3], [4, 5]]), ops.Ragged.of([[7, 8, 9], [7, 8]])
    value = {"input_ids": 0, "labels": -100}
    rows = ops.indices(2) | ops.gather(input_ids=ids, labels=labels)
    row = (rows | ops.fill(6, value=value))[0]
    assert row["input_ids"].tolist() == [[1, 2, 3, 4, 5, 0]]
    assert row["labels"].tolist() == [[7, 8, 9, 7, 8, -100]]
    padded = (rows | ops.pad(value=value))[0]
    assert padded["input_ids"].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert padded["labels"].tolist() == [[7, 8, 9], [7, 8, -100]]
    later = rows | ops.map(lambda batch: batch) | ops.fill(6, value={"input_ids": 0})
    with pytest.raises(ValueError, match="expected a value for each part; got 'input_ids', and none for 'labels'"):
        next(iter(later))


@pytest.mark.parametrize("stage", [lambda value: ops.fill(8, value=value), lambda value: ops.pad(value=value)])
def test_a_value_is_checked_when_the_stage_is_built(stage):
    for wrong in (None, [0], {"a": None}):
        with pytest.raises(TypeError, match="value: expected a number, or a dict of numbers"):
            stage(wrong)
    rows = ops.indices(2) | ops.gather(a=ops.Ragged.of([np.array([1, 2], np.uint8)] * 2))
    for wrong in (-1, 300, 0.5, float("nan"), "x", {"b": 0}):
        with pytest.raises(ValueError, match="value: expected"):
            rows | stage(wrong)
    for right in (7, 7.0, np.uint8(7), {"a": 7, "b": 8}):
        assert 7 in next(iter(rows | stage(right)))["a"] or "pad" in str(stage(right))
    floats = ops.indices(2) | ops.gather(a=ops.Ragged.of([[0.5], [1.5, 2.5]]))
    assert np.isnan(next(iter(floats | stage(float("nan"))))["a"]).any()


def test_names_that_a_stage_makes_are_refused_when_they_are_known():
    words = ops.Ragged.of([[1], [2]])
    rows = ops.indices(2) | ops.gather(words=words, words_mask=words, positions=words)
    for stage in (ops.pad(mask=True), ops.fill(4)):
        with pytest.raises(ValueError, match=r"the batch has a part of the name '(words_mask|positions)' already"):
            rows | stage
        with pytest.raises(ValueError, match="has a part of the name"):
            next(iter(rows | ops.map(lambda batch: batch) | stage))
    assert "words_lengths" in next(iter(rows | ops.pad()))


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (ops.pad(to=8, value=-1, mask=True), "pad(to=8, value=-1, mask=True)"),
        (ops.pad(multiple=4), "pad(multiple=4)"),
        (ops.pad(), "pad()"),
        (ops.pad(value=0.0), "pad(value=0.0)"),
        (ops.fill(8, value={"a": 1}, cu_seqlens=True), "fill(8, value={'a': 1}, cu_seqlens=True)"),
        (ops.fill(8), "fill(8)"),
    ],
)
def test_reprs_have_all_options(stage, text):
    assert repr(stage) == text
