"""Cached features: those of the pictures, a classifier as good as on pictures, in less time."""

import json
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ghostkit.artifacts import load
from ghostkit.dataset import Sample
from ghostkit.errors import DatasetError, ImageRefused, UsageError
from ghostkit.evaluate import evaluate
from ghostkit.run_files import BEST, LAST
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.features import Features, RememberingBackbone, compute_features
from ghostkit.train.loop import train
from ghostkit.train.network.architectures import build_carded
from ghostkit.train.network.carded import read_carded
from ghostkit.train.network.torch_backend import TorchBackend
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.file import load_recipe
from ghostkit.train.start import Pretrained
from squares import QUICK


def recipe(**changes):
    return Recipe(**QUICK | {"freeze": "backbone", "feature_views": 1, "epochs": 3} | changes)


@pytest.fixture(scope="module")
def model(learned):
    weights, card = read_carded(learned.best_checkpoint)
    return build_carded(card, weights, "learned")


@pytest.fixture(scope="module")
def nameless(learned):
    """Weights whose classifier must be learned anew."""
    checkpoint = open_checkpoint(learned.best_checkpoint)
    return Pretrained(checkpoint.weights, checkpoint.path)


# --- what is cached ----------------------------------------------------------------------------


def test_the_first_view_is_what_a_deployment_sees(model, learned, splits):
    features = compute_features(model, splits[0], recipe(), "cpu")
    assert features.rows.shape == (36, 1, 1280)
    with torch.inference_mode():
        logits = model.classifier(features.rows[:, 0]).numpy()
    classifier = load(learned.best_checkpoint)
    answers = classifier.answers([sample.path for sample in splits[0].samples])
    expected = np.stack([answer.logits for answer in answers])
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_further_views_are_mirrored_and_augmented_and_the_same_each_time(model, splits):
    one = compute_features(model, splits[0], recipe(feature_views=4), "cpu").rows
    assert one.equal(compute_features(model, splits[0], recipe(feature_views=4), "cpu").rows)
    assert not one.equal(
        compute_features(model, splits[0], recipe(feature_views=4, seed=7), "cpu").rows
    )
    for view in range(4):
        for other in range(view):
            assert not one[:, view].equal(one[:, other])
    fewer = compute_features(model, splits[0], recipe(feature_views=2), "cpu").rows
    torch.testing.assert_close(one[:, :2], fewer)


def test_batches_go_round_the_views_and_go_on_from_any_step(splits):
    data, chosen = splits[0], recipe(feature_views=3)
    rows = torch.arange(36 * 3.0).view(36, 3, 1)
    features = Features(rows, {5: ImageRefused("cut short", data.samples[5].path)})
    seen = {index: [] for index in range(36) if index != 5}
    for epoch in range(3):
        batches = list(features.batches(data, chosen, epoch))
        rest = list(features.batches(data, chosen, epoch, 2))
        assert [batch.paths for batch in rest] == [batch.paths for batch in batches[2:]]
        for batch in batches:
            assert [data.samples[i].target for i in batch.samples] == batch.targets.tolist()
            assert [data.samples[i].path for i in batch.samples] == list(batch.paths)
            for index, row in zip(batch.samples.tolist(), batch.images[:, 0].tolist(), strict=True):
                seen[index].append(row)
        assert sum(len(batch.refused) for batch in batches) == 1
    for index, values in seen.items():
        assert sorted(values) == [3 * index, 3 * index + 1, 3 * index + 2]


def test_a_remembered_batch_is_answered_alike_and_the_backbone_not_asked(model, monkeypatch):
    asked = []
    whole = model.forward_features
    monkeypatch.setattr(model, "forward_features", lambda x: asked.append(len(x)) or whole(x))
    plain, remembering = TorchBackend(model), TorchBackend(RememberingBackbone(model))
    images = np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32)
    expected, fewer = plain.infer(images), plain.infer(images[:2])
    asked.clear()
    for _ in range(3):
        np.testing.assert_array_equal(remembering.infer(images), expected)
        np.testing.assert_array_equal(remembering.infer(images[:2]), fewer)
    assert asked == [4, 2]
    with torch.no_grad():
        before = model.classifier.bias.clone()
        model.classifier.bias += 1
        np.testing.assert_allclose(remembering.infer(images), expected + 1, atol=1e-5)
        model.classifier.bias.copy_(before)


# --- a run on it -------------------------------------------------------------------------------


def speed(folder):
    """Images per second of the fastest epoch."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return max(event["images_per_s"] for event in events if event["event"] == "epoch")


def test_the_cached_probe_is_as_good_as_the_plain_one_and_faster(splits, tmp_path, nameless):
    chosen = {"epochs": 6, "drop": 0.0}
    runs = {
        views: train(
            *splits,
            recipe(feature_views=views, **chosen),
            tmp_path / str(views),
            pretrained=nameless,
        )
        for views in (0, 1, 3)
    }
    plain = runs[0].history[-1].eval_top1
    for views in (1, 3):
        assert runs[views].history[-1].eval_top1 >= plain - 8.4  # one picture of twelve
        assert speed(runs[views].folder) > 1.5 * speed(runs[0].folder)


def test_its_checkpoints_are_those_of_any_run(splits, tmp_path, nameless):
    run = train(*splits, recipe(model_ema=0.9), tmp_path, pretrained=nameless)
    after = open_checkpoint(tmp_path / LAST).weights
    for name, tensor in nameless.weights.items():
        assert tensor.equal(after[name]) != name.startswith("classifier."), name
    best = max(row.eval_top1 for row in run.history)
    assert 100 * evaluate(load(tmp_path / BEST), splits[1]).top1.value == best
    assert len((tmp_path / "summary.csv").read_text().splitlines()) == 1 + len(run.history)
    assert (tmp_path / "curves.png").is_file()


@pytest.mark.parametrize("opt", ["sgd", "adamw"])
def test_a_resumed_run_is_bit_equal(splits, tmp_path, nameless, opt):
    chosen = recipe(epochs=4, feature_views=3, opt=opt, lr=0.01)
    whole = train(*splits, chosen, tmp_path / "whole", pretrained=nameless)

    class Stop(Exception):
        pass

    def stop(line):
        if line.startswith("epoch 2/"):
            raise Stop

    with pytest.raises(Stop):
        train(*splits, chosen, tmp_path / "cut", pretrained=nameless, log=stop)
    resume = open_checkpoint(tmp_path / "cut" / LAST)
    run = train(*splits, chosen, tmp_path / "cut", resume=resume)
    assert run.history == whole.history
    one, other = (open_checkpoint(tmp_path / name / LAST).weights for name in ("cut", "whole"))
    assert all(tensor.equal(other[name]) for name, tensor in one.items())


def test_so_is_one_that_goes_on_within_an_epoch(splits, tmp_path, nameless):
    chosen = recipe(epochs=2, feature_views=2, save_every_steps=2)
    whole = train(*splits, chosen, tmp_path / "whole", pretrained=nameless)

    class Cut(Exception):
        pass

    @contextmanager
    def bars(title, total):
        yield SimpleNamespace(advance=lambda count, note="": advance(title, note))

    steps = []

    def advance(title, note):
        steps.append(title)
        if steps.count("Epoch 2/2") == 3:
            raise Cut

    with pytest.raises(Cut):
        train(*splits, chosen, tmp_path / "cut", pretrained=nameless, bars=bars)
    resume = open_checkpoint(tmp_path / "cut" / "recovery-1-2.pth.tar")
    run = train(*splits, chosen, tmp_path / "cut", resume=resume)
    assert run.history == whole.history
    one, other = (open_checkpoint(tmp_path / name / LAST).weights for name in ("cut", "whole"))
    assert all(tensor.equal(other[name]) for name, tensor in one.items())


def test_a_finished_run_computes_no_features(splits, tmp_path, nameless, monkeypatch):
    train(*splits, recipe(epochs=1), tmp_path, pretrained=nameless)
    monkeypatch.setattr("ghostkit.train.features.compute_features", None)
    train(*splits, recipe(epochs=1), tmp_path, resume=open_checkpoint(tmp_path / LAST))


def test_bad_pictures_are_left_out_and_named(splits, tmp_path, nameless):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = Sample(str(tmp_path / "broken.png"), 0)
    data = replace(splits[0], samples=(*splits[0].samples, broken))
    run = train(data, splits[1], recipe(batch_size=37), tmp_path / "run", pretrained=nameless)
    assert len(run.refused) == 1
    assert "broken.png: " in run.refused[0]


def test_nothing_but_bad_pictures_is_an_error(splits, tmp_path, nameless):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = Sample(str(tmp_path / "broken.png"), 0)
    with pytest.raises(DatasetError, match="no batch has two .*broken.png"):
        train(
            replace(splits[0], samples=(broken,) * 3),
            splits[1],
            recipe(),
            tmp_path / "run",
            pretrained=nameless,
        )


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["feature_views=1"], "add freeze=backbone"),
        (["feature_views=1", "freeze=backbone", "mixup=0.2"], "set mixup=0 cutmix=0"),
        (["feature_views=1", "freeze=backbone", "cutmix=1.0"], "set mixup=0 cutmix=0"),
        (["feature_views=-1"], "feature_views"),
    ],
)
def test_what_does_not_go_together_is_refused(keys, words):
    with pytest.raises(UsageError, match=words):
        load_recipe(None, keys)
