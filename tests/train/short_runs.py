"""Three epochs on the coloured squares, and how two sets of weights are compared."""

from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.recipe import Recipe
from squares import QUICK


def recipe(**changes):
    return Recipe(**QUICK | {"epochs": 3} | changes)


def weights_of(path):
    return open_checkpoint(path).weights


def assert_equal(some, others):
    assert list(some) == list(others)
    for name, tensor in some.items():
        assert tensor.equal(others[name]), name
