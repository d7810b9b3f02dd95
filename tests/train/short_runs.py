"""Three epochs on the coloured squares, some unreadable, and how two sets of weights compare."""

from dataclasses import replace

from ghostkit.dataset import Sample
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.recipe import Recipe
from squares import QUICK


def recipe(**changes):
    return Recipe(**QUICK | {"epochs": 3} | changes)


def with_unreadable(data, indices, folder):
    """`data` whose samples at `indices` are no pictures."""
    broken = folder / "broken.png"
    broken.write_bytes(b"no picture")
    return replace(
        data,
        samples=tuple(
            Sample(str(broken), sample.target) if index in indices else sample
            for index, sample in enumerate(data.samples)
        ),
    )


def weights_of(path):
    return open_checkpoint(path).weights


def assert_equal(some, others):
    assert list(some) == list(others)
    for name, tensor in some.items():
        assert tensor.equal(others[name]), name
