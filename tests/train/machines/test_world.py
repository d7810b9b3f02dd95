"""How a batch and a validation are shared out, and what stays within the steps of a run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from short_runs import recipe

from ghostkit.errors import DatasetError, UsageError
from ghostkit.run_files import LAST
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.loop import train
from ghostkit.train.machines.world import ALONE, World
from ghostkit.train.pictures.draws import step_seed
from ghostkit.train.pictures.loader import batch_indices
from ghostkit.train.start import check


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_all_processes_together_take_what_one_would(size, batch_size):
    whole = batch_indices(200, recipe(batch_size=batch_size * size), 1)
    worlds = [World(rank, size) for rank in range(size)]
    chosen = recipe(batch_size=batch_size)
    parts = [batch_indices(200, chosen, 1, world) for world in worlds]
    for step, batch in enumerate(whole):
        shares = [part[step] for part in parts]
        assert sorted(sum(shares, [])) == sorted(batch)
        assert max(map(len, shares)) - min(map(len, shares)) <= 2 * (batch_size % 2)
        assert min(map(len, shares)) >= 2


@pytest.mark.parametrize("size", [2, 3])
def test_partners_of_mixup_stay_partners(size):
    batch = list(range(12))
    partner = dict(zip(batch, reversed(batch), strict=True))
    for rank in range(size):
        share = World(rank, size).share(batch)
        assert all(partner[a] == b for a, b in zip(share, reversed(share), strict=True))


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 100])
def test_whole_batches_are_shared_out_and_come_together_in_order(count):
    items = list(range(count))
    parts = [World(rank, 3).batches(items, 8) for rank in range(3)]
    assert all(part[:8] == list(range(part[0], part[0] + len(part[:8]))) for part in parts if part)
    assert World(1, 3).merged(parts, 8) == items


def test_a_world_of_one_gives_back_what_it_gets():
    rows = np.ones(3)
    assert ALONE.all_reduce_numbers(0.1, 2) == (0.1, 2)
    assert [ALONE.any(flag) for flag in (True, False)] == [True, False]
    assert ALONE.all_gather_object((1, "a")) == [[1, "a"]]  # as from several
    assert ALONE.all_gather(rows)[0] is rows
    assert ALONE.share([3, 1]) == [3, 1]
    assert ALONE.all_reduce(torch.arange(3)).tolist() == [0, 1, 2]
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.full((2,), 0.1)
    ALONE.all_reduce_gradients([parameter])
    ALONE.broadcast([parameter])
    assert parameter.grad.equal(torch.full((2,), 0.1)) and parameter.equal(torch.ones(2))
    ALONE.barrier()
    assert ALONE.main_first("work", lambda: 5) == 5
    ALONE.require_alike({"recipe": "a"})


def test_each_process_draws_its_own_dropout():
    assert len({step_seed(42, 1, 2, rank) for rank in range(8)}) == 8
    assert step_seed(42, 1, 2, 0) == step_seed(42, 1, 2)


def test_two_pictures_for_each_process_are_needed(splits):
    data = replace(splits[0], samples=splits[0].samples[:5])
    with pytest.raises(DatasetError, match="5 training pictures for 3 processes"):
        check(data, splits[1], recipe(), None, None, World(0, 3))


def test_the_number_of_processes_may_change_between_two_epochs_alone(splits, tmp_path):
    first = train(*splits, recipe(epochs=1), tmp_path)
    saved = open_checkpoint(first.folder / LAST)
    of_two = replace(saved, position=replace(saved.position, processes=2))
    inside = replace(of_two, position=replace(of_two.position, step=1))
    with pytest.raises(UsageError, match="within an epoch.*processes: 2 -> 1"):
        train(*splits, recipe(epochs=2), tmp_path, resume=inside)
    run = train(*splits, recipe(epochs=2), tmp_path, resume=of_two)
    assert len(run.history) == 2
    assert open_checkpoint(run.folder / LAST).position.processes == 1
