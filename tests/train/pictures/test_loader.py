"""Batches of training pictures: which, in which order, and what is done about bad ones."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from ghostkit.dataset import Dataset, Sample
from ghostkit.errors import UsageError
from ghostkit.train.pictures.loader import batch_indices, training_batches, training_readers
from ghostkit.train.recipe import Recipe
from squares import QUICK, save_noise


def recipe(**changes):
    return Recipe(**QUICK | changes)


def read_aloud(data, chosen, epoch, said):
    """The batches of an epoch; `said` is what is told of dead processes."""
    return training_batches(data, chosen, epoch, 0, training_readers(data, chosen, said.append))


def contents(data, chosen, epoch):
    return [(b.images, b.targets, b.paths) for b in training_batches(data, chosen, epoch)]


def assert_same(some, others):
    assert len(some) == len(others)
    for (images, targets, paths), (images2, targets2, paths2) in zip(some, others, strict=True):
        assert torch.equal(images, images2)
        assert torch.equal(targets, targets2)
        assert paths == paths2


def test_a_batch_is_uint8_rgb_of_the_input_size_with_its_targets_and_paths(splits):
    data, _ = splits
    for batch in training_batches(data, recipe(), 0):
        assert batch.images.shape == (9, 32, 32, 3)
        assert batch.images.dtype == torch.uint8
        assert batch.targets.dtype == torch.int64
        target_of = {sample.path: sample.target for sample in data.samples}
        assert batch.targets.tolist() == [target_of[path] for path in batch.paths]
        brightest = batch.images.float().mean((1, 2)).argmax(1)  # 0 is red
        assert brightest.tolist() == [2 - target for target in batch.targets.tolist()]
        assert batch.refused == ()


def test_order_and_augmentation_do_not_depend_on_the_number_of_processes(splits):
    data, _ = splits
    alone = contents(data, recipe(workers=0), 3)
    assert_same(alone, contents(data, recipe(workers=1), 3))
    assert_same(alone, contents(data, recipe(workers=2), 3))


def test_every_epoch_and_seed_has_its_own_order_and_views(splits):
    data, _ = splits
    first = contents(data, recipe(), 0)
    assert_same(first, contents(data, recipe(), 0))
    for others in (contents(data, recipe(), 1), contents(data, recipe(seed=7), 0)):
        assert [paths for *_, paths in first] != [paths for *_, paths in others]
        assert not torch.equal(first[0][0], others[0][0])


def test_each_picture_comes_at_most_once_an_epoch_and_the_rest_waits():
    """Ten pictures in batches of four: two are left out, other ones in another epoch."""
    left_out = set()
    for epoch in range(30):
        steps = batch_indices(10, recipe(batch_size=4), epoch)
        assert [len(step) for step in steps] == [4, 4]
        taken = set(sum(steps, []))
        assert len(taken) == 8
        left_out |= set(range(10)) - taken
    assert left_out == set(range(10))


@pytest.mark.parametrize(
    ("samples", "batch_size", "sizes"),
    [(3, 64, [3]), (64, 64, [64]), (127, 64, [64]), (128, 64, [64, 64]), (1, 2, [1])],
)
def test_the_last_incomplete_batch_is_dropped_unless_it_is_the_only_one(samples, batch_size, sizes):
    assert [len(s) for s in batch_indices(samples, recipe(batch_size=batch_size), 0)] == sizes


@pytest.fixture
def with_bad_ones(tmp_path):
    """Four good photos, an empty file, a text, and one that is gone."""
    paths = [save_noise(tmp_path / f"{index}.png", "red", index) for index in range(4)]
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not a picture")
    paths += [tmp_path / name for name in ("empty.png", "text.jpg", "gone.png")]
    samples = tuple(Sample(str(path), 0) for path in paths)
    return Dataset(samples, ("red", "other"), str(tmp_path), "train")


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_pictures_are_named_with_reasons_and_the_rest_is_used(with_bad_ones, workers):
    [batch] = training_batches(with_bad_ones, recipe(batch_size=7, workers=workers), 0)
    assert {os.path.basename(path) for path in batch.paths} == {f"{i}.png" for i in range(4)}
    assert len(batch.images) == 4
    refused = {os.path.basename(error.path): error.reason for error in batch.refused}
    assert set(refused) == {"empty.png", "text.jpg", "gone.png"}
    assert all(refused.values())


def test_a_batch_of_bad_pictures_alone_is_empty(with_bad_ones):
    bad = replace(with_bad_ones, samples=with_bad_ones.samples[4:])
    [batch] = training_batches(bad, recipe(), 0)
    assert len(batch.images) == len(batch.targets) == 0
    assert len(batch.refused) == 3


class Deadly(Dataset):
    """Reading it kills the process: once, where a file marks the first time, or always."""

    parent = os.getpid()
    mark = None

    def __getattribute__(self, name):
        if name == "samples" and os.getpid() != Deadly.parent:
            if Deadly.mark is None or not Deadly.mark.exists():
                if Deadly.mark is not None:
                    Deadly.mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__getattribute__(name)


@pytest.fixture
def deadly(splits, monkeypatch):
    data, _ = splits
    monkeypatch.setattr(Deadly, "parent", os.getpid())
    return Deadly(data.samples, data.classes, data.root, data.split)


@pytest.mark.slow
def test_reading_processes_that_keep_dying_are_explained(deadly, monkeypatch):
    """As the system does to a process when memory runs out."""
    said = []
    with pytest.raises(UsageError, match="lower batch_size or workers.*--resume"):
        list(read_aloud(deadly, recipe(workers=1), 0, said))
    assert len(said) == 2


def test_a_reading_process_that_dies_once_is_made_good_within_30_s(
    splits, deadly, tmp_path, monkeypatch
):
    monkeypatch.setattr(Deadly, "mark", tmp_path / "died")
    said, began = [], time.monotonic()
    died = read_aloud(deadly, recipe(workers=2), 3, said)
    assert_same(
        [(b.images, b.targets, b.paths) for b in died], contents(splits[0], recipe(workers=0), 3)
    )
    assert time.monotonic() - began < 30
    [line] = said
    assert "died" in line and "nothing is lost" in line


def test_a_death_in_the_middle_of_an_epoch_ends_no_step(splits):
    """The process is killed while the network computes; the batches are the same all the same."""
    data, _ = splits
    said, found = [], []
    chosen = recipe(workers=2, batch_size=3)
    for batch in read_aloud(data, chosen, 1, said):
        found.append((batch.images, batch.targets, batch.paths))
        if len(found) == 3:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
            time.sleep(0.2)  # in which a handler of the child's death would raise
    assert_same(found, contents(data, recipe(batch_size=3), 1))


def test_the_processes_stay_from_epoch_to_epoch_until_they_are_closed(splits):
    data, _ = splits
    chosen = recipe(workers=2, batch_size=3)
    readers = training_readers(data, chosen)
    before = set(multiprocessing.active_children())
    processes = []
    for epoch in (0, 1):
        found = [
            (b.images, b.targets, b.paths)
            for b in training_batches(data, chosen, epoch, readers=readers)
        ]
        assert_same(found, contents(data, recipe(batch_size=3, workers=0), epoch))
        processes.append(set(multiprocessing.active_children()) - before)
    assert len(processes[0]) == 2 and processes[0] == processes[1]
    readers.close()
    assert not any(process.is_alive() for process in processes[0])


def test_an_epoch_that_was_left_does_not_reach_into_the_next(splits):
    data, _ = splits
    chosen = recipe(workers=2, batch_size=3)
    readers = training_readers(data, chosen)
    left = training_batches(data, chosen, 0, readers=readers)
    next(left)
    left.close()
    again = training_batches(data, chosen, 1, 2, readers)
    found = [(b.images, b.targets, b.paths) for b in again]
    assert_same(found, contents(data, recipe(batch_size=3, workers=0), 1)[2:])
    readers.close()


def test_what_is_sent_to_the_group_reaches_no_reading_process(splits):
    """torchrun sends SIGTERM to the group of a process that it has started."""
    next(batches := training_batches(splits[0], recipe(workers=2, batch_size=3), 0))
    readers = multiprocessing.active_children()
    assert len(readers) == 2
    patience = time.monotonic() + 30  # one may be starting yet
    while os.getpgid(0) in {os.getpgid(reader.pid) for reader in readers}:
        assert time.monotonic() < patience, "a reading process stays in the group"
        time.sleep(0.05)
    batches.close()


def test_other_failures_of_a_reading_process_are_not_dressed_up(splits, monkeypatch):
    def fail(*_):
        raise RuntimeError("our own mistake")

    monkeypatch.setattr("ghostkit.train.pictures.loader.augment", fail)
    with pytest.raises(RuntimeError, match="our own mistake"):
        list(training_batches(splits[0], recipe(workers=1), 0))


def test_the_views_are_those_of_the_samples_own_generators(splits):
    """What `augment` gives for (seed, epoch, sample), whichever batch the sample is in."""
    from ghostkit.image import decode
    from ghostkit.train.pictures.augment import augment, sample_generator

    data, _ = splits
    index_of = {sample.path: index for index, sample in enumerate(data.samples)}
    chosen = recipe(seed=5)
    for batch in training_batches(data, chosen, 2):
        for image, path in zip(batch.images, batch.paths, strict=True):
            generator = sample_generator(5, 2, index_of[path])
            assert np.array_equal(image.numpy(), augment(decode(path), chosen, generator))
