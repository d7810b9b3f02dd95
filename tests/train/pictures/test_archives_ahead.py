"""Which archives are fetched before a step is handed out; the store is a function here."""

import os
from itertools import islice

import pytest
from within import within_20_s

from ghostkit.train.machines.world import World
from ghostkit.train.pictures import archives
from ghostkit.train.pictures.loader import batch_indices
from ghostkit.train.pictures.reading import AHEAD
from ghostkit.train.recipe import Recipe


@pytest.fixture
def store(monkeypatch):
    """Brings every archive at once; a test may put a function in its place."""
    fetched = []

    def hold(path, later, *, wait):
        fetched.append(path)
        return os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr(archives, "hold", hold)
    monkeypatch.setattr(archives, "let_go", os.close)
    monkeypatch.setattr(archives, "sizes_in", lambda folder: {})
    return fetched


def needed_by(count, pictures, recipe, processes):
    """The archives of each step of an epoch, `count` of them with so many pictures each."""
    of_each = [f"/store/{index:05}.tar" for index in range(count) for _ in range(pictures)]
    steps = batch_indices(len(of_each), recipe, 0, World(0, processes), of_each)
    return [{of_each[index] for index in step} for step in steps]


@pytest.mark.parametrize(
    ("count", "pictures", "batch_size", "processes", "workers"),
    [(640, 400, 1024, 8, 8), (300, 100, 256, 1, 8), (1000, 10, 512, 1, 0)],
)
def test_as_many_come_as_the_steps_need_that_are_asked_for_before_one_is_read(
    store, count, pictures, batch_size, processes, workers
):
    recipe = Recipe(batch_size=batch_size, workers=workers)
    needed = needed_by(count, pictures, recipe, processes)
    under_way = max(1, AHEAD * workers)
    assert len(set().union(*needed[:under_way])) > archives.WINDOW

    def steps_under_way():
        with archives.ArchivesAhead(needed) as ahead:
            return list(islice(ahead.handed_out(range(len(needed)), 0), under_way))

    assert within_20_s(steps_under_way) == list(range(under_way))


def test_no_more_come_ahead_than_the_window_or_the_steps_under_way(store):
    needed = [{f"/store/{step:05}.tar"} for step in range(1000)]

    def fetched_while_reading():
        counts = []
        with archives.ArchivesAhead(needed) as ahead:
            for step in ahead.handed_out(range(100), 0):
                counts.append(len(store) - step)
                ahead.pass_one()
        return max(counts)

    assert within_20_s(fetched_while_reading) <= archives.WINDOW


@pytest.mark.parametrize("error", [KeyError("00007.tar"), OSError(28, "No space left on device")])
def test_whatever_goes_wrong_with_an_archive_is_raised_where_it_is_waited_for(
    store, monkeypatch, error
):
    def fail(path, later, *, wait):
        raise error

    monkeypatch.setattr(archives, "hold", fail)

    def first_step():
        with archives.ArchivesAhead([{"/store/7.tar"}]) as ahead:
            return next(ahead.handed_out(["step"], 0))

    with pytest.raises(type(error)) as caught:
        within_20_s(first_step)
    assert caught.value is error
