"""What the optimizer is given: gradients of windows of batches, of few pictures, of float16."""

import json

import pytest
import torch
from short_runs import recipe, with_unreadable

from ghostkit.errors import ModelError
from ghostkit.run_files import LAST
from ghostkit.train import loop
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.loss import Objective
from ghostkit.train.machines.devices import pick_device
from ghostkit.train.pictures.loader import batch_indices
from ghostkit.train.schedule import learning_rate

PLAIN = {"epochs": 1, "clip_grad": None, "drop": 0.0, "smoothing": 0.0}


@pytest.fixture
def seen(monkeypatch):
    """The classifier's first bias's gradient at each update; one batch's alone would be 1."""

    class FirstLogit(Objective):
        def __call__(self, logits, targets, samples, mix):
            return logits[:, 0].mean()

    gradients = []
    update = torch.optim.SGD.step

    def step(self, *args, **kwargs):
        gradients.append(self.param_groups[2]["params"][-1].grad[0].item())
        return update(self, *args, **kwargs)

    monkeypatch.setattr(loop, "Objective", FirstLogit)
    monkeypatch.setattr(torch.optim.SGD, "step", step)
    return gradients


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "updates"),
    [(12, 1, 3), (6, 3, 2), (7, 4, 2), (36, 4, 1)],
    ids=["each", "whole windows", "a rest", "fewer than a window"],
)
def test_an_update_is_the_mean_of_its_batches(
    splits, tmp_path, seen, batch_size, accumulate, updates
):
    chosen = recipe(**PLAIN, batch_size=batch_size, accumulate=accumulate)
    loop.train(*splits, chosen, tmp_path)
    assert seen == pytest.approx([1.0] * updates)


@pytest.mark.parametrize("position", [0, 2])
def test_a_batch_without_two_pictures_costs_no_other_batch_its_update(
    splits, tmp_path, seen, position
):
    chosen = recipe(**PLAIN, batch_size=6, accumulate=3)
    train_data, val_data = splits
    unreadable = set(batch_indices(36, chosen, 0)[position][:5])
    data = with_unreadable(train_data, unreadable, tmp_path)
    loop.train(data, val_data, chosen, tmp_path / "run")
    assert seen == pytest.approx([2 / 3, 1.0])  # nothing is carried into the next window


def test_a_window_without_a_readable_batch_is_no_update(splits, tmp_path, seen):
    chosen = recipe(**PLAIN, batch_size=12)
    train_data, val_data = splits
    unreadable = set(batch_indices(36, chosen, 0)[1])
    loop.train(
        with_unreadable(train_data, unreadable, tmp_path), val_data, chosen, tmp_path / "run"
    )
    assert seen == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("most", [1e-3, 1e-2])
def test_the_gradient_of_an_update_is_as_long_as_the_recipe_allows(
    splits, tmp_path, monkeypatch, most
):
    lengths, update = [], torch.optim.SGD.step

    def step(self, *args, **kwargs):
        gradients = [each.grad for group in self.param_groups for each in group["params"]]
        lengths.append(torch.nn.utils.get_total_norm(gradients).item())
        return update(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    loop.train(*splits, recipe(epochs=1, clip_grad=most), tmp_path)
    assert lengths == pytest.approx([most] * 4, rel=1e-2)


def test_the_rate_is_that_of_each_steps_place_in_the_run(splits, tmp_path, monkeypatch):
    rates, update = [], torch.optim.SGD.step

    def step(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return update(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    chosen = recipe(epochs=2)
    loop.train(*splits, chosen, tmp_path)
    assert rates == pytest.approx([learning_rate(chosen, step / 4) for step in range(8)])


class FiniteLossWithoutGradient(Objective):
    """What float16 overflows give."""

    def __call__(self, logits, *others):
        return super().__call__(logits, *others) + (logits.float() * 0).square().sum().sqrt()


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_overflows_of_float16_are_told_and_move_no_average(splits, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "Objective", FiniteLossWithoutGradient)
    device = pick_device("cpu", "float16")
    loop.train(*splits, recipe(epochs=1, model_ema=0.9), tmp_path, device=device)
    checkpoint = open_checkpoint(tmp_path / LAST)
    told = [event["loss_scale"] for event in events(tmp_path) if event["event"] == "overflow"]
    assert told[:3] == [2.0**15, 2.0**14, 2.0**13]
    assert checkpoint.average_updates == 0


def test_gradients_that_no_loss_scale_helps_end_a_float16_run(splits, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "Objective", FiniteLossWithoutGradient)
    chosen = recipe(epochs=9, batch_size=6, max_bad_steps=2)
    with pytest.raises(ModelError, match="the gradient's norm is nan"):
        loop.train(*splits, chosen, tmp_path, device=pick_device("cpu", "float16"))
