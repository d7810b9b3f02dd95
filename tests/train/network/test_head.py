"""Rows of the old classifier find their class in the new one by its name."""

import numpy as np
import pytest
import torch
from torch import nn

from ghostkit.errors import CheckpointError
from ghostkit.train.network.head import reuse_rows

OLD = ("cat", "dog", "fox")
WEIGHTS = {
    "classifier.weight": torch.arange(12.0).view(3, 4),
    "classifier.bias": torch.tensor([10.0, 20.0, 30.0]),
}


def reused(new, weights=WEIGHTS, old=OLD):
    """How many rows were reused, the classifier, and what it was before."""
    classifier = nn.Linear(4, len(new))
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    try:
        count = reuse_rows(classifier, weights, old, new, source="old.pth")
    finally:
        after = classifier.state_dict()
    return count, after, before


@pytest.mark.parametrize(
    ("new", "count"),
    [
        (("cat", "dog", "fox"), 3),
        (("fox", "cat", "dog"), 3),
        (("ant", "fox", "bee", "cat", "elk", "dog"), 3),
        (("bee", "dog"), 1),
        (("Cat", "fox "), 0),
    ],
    ids=["equal", "permuted", "more", "overlapping", "disjoint"],
)
def test_rows_follow_their_names_and_the_others_stay_fresh(new, count):
    found, after, before = reused(new)
    assert found == count
    for row, name in enumerate(new):
        for key in ("weight", "bias"):
            old_row = OLD.index(name) if name in OLD else None
            expected = (
                before[key][row] if old_row is None else WEIGHTS[f"classifier.{key}"][old_row]
            )
            assert after[key][row].equal(expected), (name, key)


def test_half_precision_is_widened():
    half = {name: tensor.half() for name, tensor in WEIGHTS.items()}
    _, after, _ = reused(("fox", "cat"), half)
    assert after["weight"].dtype == torch.float32
    assert after["bias"].tolist() == [30.0, 10.0]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({}, "names 3 classes, but no classifier.weight"),
        (WEIGHTS | {"classifier.weight": torch.zeros(5, 4)}, r"the shape \(5, 4\), not \(3, 4\)"),
        (WEIGHTS | {"classifier.bias": torch.zeros(2)}, "old.pth"),
        (WEIGHTS | {"classifier.bias": torch.full((3,), np.nan)}, "not finite"),
    ],
)
def test_a_classifier_that_is_not_the_cards_is_refused(weights, words):
    with pytest.raises(CheckpointError, match=words):
        reused(("fox", "cat"), weights)
