"""For every test of the training room: skipped without torch, one thread with it.

Two threads on two busy cores wait for each other: one forward pass of two 240 px pictures took
2.7 s with another job running, and 0.03 s with one thread.
"""

from importlib.util import find_spec

import pytest

from squares import QUICK, save_photos

if find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import torch
    from saved_epochs import RECIPE, state_after

    from ghostkit.dataset import open_splits
    from ghostkit.train.checkpoint import open_checkpoint, save_epoch
    from ghostkit.train.loop import train
    from ghostkit.train.recipe import Recipe

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of red, green and blue photos, 12 to train on and 4 to validate with of each."""
    return save_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def splits(photos):
    """Its two parts."""
    return open_splits(photos)


@pytest.fixture(scope="session")
def learned(splits, tmp_path_factory):
    """A finished run whose best epoch tells the colours apart; its files are only read."""
    return train(*splits, Recipe(**QUICK), tmp_path_factory.mktemp("learned"))


@pytest.fixture(scope="session")
def card(learned):
    return open_checkpoint(learned.best_checkpoint).card


@pytest.fixture
def save(tmp_path, card):
    """Saves a run's epochs into `tmp_path`/run; each has its number as a weight."""

    def save(*top1s, folder=tmp_path / "run", recipe=RECIPE):
        for epoch in range(len(top1s)):
            save_epoch(folder, state_after(*top1s[: epoch + 1]), recipe, card)
        return folder

    return save
