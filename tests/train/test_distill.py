"""A teacher's answers: whose classes, asked once, and what a picture it cannot read counts."""

import json
import os
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from ghostkit.backend import Backend
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset, Sample
from ghostkit.errors import ModelError, UsageError
from ghostkit.train.distill import distillation_loss, soft_targets, teacher_logits
from ghostkit.train.loop import train
from ghostkit.train.machines.devices import Device
from ghostkit.train.recipe import Recipe
from squares import QUICK
from tiny import BLUE, GREEN, RED, save_square, tiny_card

CLASSES = ("blue", "green", "red")  # the teacher's are red, green, blue
CPU = torch.device("cpu")


class Counting(Backend):
    """A backend that answers the mean of each channel, and counts what it is asked."""

    name = "counting"

    def __init__(self, scale=1.0):
        self.asked, self.scale = 0, scale

    def infer(self, images):
        self.asked += len(images)
        return self.scale * images.mean((2, 3))


@pytest.fixture
def data(tmp_path):
    """One red, one green and one blue picture."""
    root = tmp_path / "data"
    samples = [
        Sample(str(save_square(root / name / "0.png", color)), CLASSES.index(name))
        for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE))
    ]
    return Dataset(tuple(samples), CLASSES, str(root), "train")


@pytest.fixture
def teacher():
    return Classifier(Counting(), tiny_card())


# --- asking ------------------------------------------------------------------------------------


def test_the_answers_are_in_the_datas_order_of_classes(teacher, data, tmp_path):
    rows = teacher_logits(teacher, data, tmp_path)
    assert rows.dtype == np.float16
    assert rows.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_a_teacher_may_know_more_classes(teacher, data, tmp_path):
    fewer = replace(data, classes=("blue", "red"), samples=data.samples[:1])
    assert teacher_logits(teacher, fewer, tmp_path).tolist() == [[0, 1]]


def test_it_is_asked_once_and_the_bar_moves_by_picture(teacher, data, tmp_path):
    advanced = []

    @contextmanager
    def bars(title, total):
        yield type("Bar", (), {"advance": lambda self, n, note="": advanced.append((n, total))})()

    first = teacher_logits(teacher, data, tmp_path, bars=bars)
    assert advanced == [(1, 3)] * 3
    again = teacher_logits(teacher, data, tmp_path, bars=bars)
    assert np.array_equal(first, again)
    assert teacher.backend.asked == 3
    assert len(advanced) == 3


@pytest.mark.parametrize("answer", [ModelError("out of memory"), np.nan, np.inf])
def test_a_teacher_that_fails_is_an_error_and_nothing_is_kept(data, tmp_path, answer):
    class Failing(Counting):
        def infer(self, images):
            if isinstance(answer, ModelError):
                raise answer
            return np.full((len(images), 3), answer, np.float32)

    with pytest.raises(ModelError, match="the teacher's answer to .*0.png"):
        teacher_logits(Classifier(Failing(), tiny_card()), data, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_picture_that_cannot_be_read_gets_no_opinion_which_is_told(teacher, data, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    samples = (data.samples[0], Sample(str(broken), 1))
    said = []
    rows = teacher_logits(teacher, replace(data, samples=samples), tmp_path, log=said.append)
    assert rows.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert said == ["the teacher has no answer to 1 of 2 pictures, which cannot be read"]


def test_other_data_order_classes_or_card_are_asked_anew(teacher, data, tmp_path):
    teacher_logits(teacher, data, tmp_path)
    reversed_data = replace(data, samples=data.samples[::-1])
    assert teacher_logits(teacher, reversed_data, tmp_path).tolist() == np.eye(3).tolist()
    teacher_logits(teacher, replace(data, samples=data.samples[:2]), tmp_path)
    teacher_logits(teacher, replace(data, classes=("red", "green", "blue")), tmp_path)
    assert teacher.backend.asked == 3 + 3 + 2 + 3
    other = Classifier(Counting(), tiny_card(size=16))
    teacher_logits(other, data, tmp_path)
    assert other.backend.asked == 3


def test_another_model_file_with_an_equal_card_is_another_teacher(make_model, data, tmp_path):
    """The same bytes elsewhere are the same teacher."""
    files = [make_model("one.onnx"), make_model("two.onnx")]
    teacher_logits(Classifier(b := OnnxBackend(files[0]), b.card), data, tmp_path / "cache")
    teacher_logits(Classifier(b := OnnxBackend(files[1]), b.card), data, tmp_path / "cache")
    assert len(os.listdir(tmp_path / "cache")) == 1
    import onnx

    model = onnx.load(files[1])
    model.doc_string = "other weights, as it were"
    onnx.save(model, files[1])
    teacher_logits(Classifier(b := OnnxBackend(files[1]), b.card), data, tmp_path / "cache")
    assert len(os.listdir(tmp_path / "cache")) == 2


def test_weights_beside_the_teachers_file_are_part_of_it(make_model, data, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = make_model()
    model = onnx.load(path)
    scale = onnx.numpy_helper.from_array(np.ones(300, np.float32), "scale")  # too large to inline
    model.graph.initializer.append(scale)
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["scale"], ["one"], keepdims=0))
    model.graph.node[-2].output[0] = "plain"
    model.graph.node.append(onnx.helper.make_node("Mul", ["plain", "one"], ["logits"]))
    onnx.save(model, path, save_as_external_data=True, location="beside.bin", size_threshold=0)
    beside = path.with_name("beside.bin")

    def answers():
        backend = OnnxBackend(path)
        return teacher_logits(Classifier(backend, backend.card), data, tmp_path / "cache")

    before = answers()
    assert np.abs(before).max() > 0
    beside.write_bytes(np.full(beside.stat().st_size // 4, 2, np.float32).tobytes())
    np.testing.assert_allclose(answers(), 2 * before, rtol=1e-3)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY\x01\x00"])
def test_a_damaged_cache_is_written_anew(teacher, data, tmp_path, content):
    rows = teacher_logits(teacher, data, tmp_path)
    [cache] = tmp_path.glob("teacher-*.npy")
    cache.write_bytes(content)
    assert np.array_equal(teacher_logits(teacher, data, tmp_path), rows)
    assert teacher.backend.asked == 6
    assert np.array_equal(np.load(cache), rows)


def test_a_picture_that_is_refused_counts_as_no_opinion(teacher, data, tmp_path):
    broken = tmp_path / "data" / "red" / "broken.png"
    broken.write_bytes(b"no picture")
    more = replace(data, samples=(*data.samples, Sample(str(broken), 2)))
    rows = teacher_logits(teacher, more, tmp_path)
    assert rows[3].tolist() == [0, 0, 0]
    assert soft_targets(rows, 4.0, CPU)[3].tolist() == pytest.approx([1 / 3] * 3)


def test_logits_beyond_half_precision_are_cut(data, tmp_path):
    loud = Classifier(Counting(scale=1e9), tiny_card())
    assert teacher_logits(loud, data, tmp_path).max() == np.float16(6e4)


def test_a_class_that_the_teacher_lacks_is_named(teacher, data, tmp_path):
    with pytest.raises(UsageError, match=r"does not know 1 of 4 classes, the first is 'violet'"):
        teacher_logits(teacher, replace(data, classes=(*CLASSES, "violet")), tmp_path)
    assert teacher.backend.asked == 0


def test_probabilities_are_refused(data, tmp_path):
    content = json.loads(tiny_card().to_json())
    content["output"] = content.get("output", {}) | {"kind": "probabilities"}
    card = ModelCard.from_json(json.dumps(content), "card")
    with pytest.raises(UsageError, match="probabilities; distillation needs its logits"):
        teacher_logits(Classifier(Counting(), card), data, tmp_path)


# --- the loss ----------------------------------------------------------------------------------


def test_soft_targets_are_the_softmax_at_the_temperature():
    rows = np.array([[np.log(16), 0]], np.float16)
    assert soft_targets(rows, 1.0, CPU).tolist()[0] == pytest.approx([16 / 17, 1 / 17], abs=1e-3)
    assert soft_targets(rows, 2.0, CPU).tolist()[0] == pytest.approx([4 / 5, 1 / 5], abs=1e-3)


def test_the_divergence_is_the_one_by_hand():
    """KL((3/4, 1/4) || (1/2, 1/2)) = ln 2 - H(3/4) = 0.130812; times the squared temperature."""
    equal = torch.zeros(2, 2)
    targets = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    assert distillation_loss(equal, targets, 1.0).item() == pytest.approx(0.130812 / 2, rel=1e-4)
    assert distillation_loss(equal, targets, 3.0).item() == pytest.approx(
        9 * 0.130812 / 2, rel=1e-4
    )


def test_a_student_that_answers_as_the_teacher_has_no_loss_and_no_gradient():
    rows = np.random.default_rng(0).normal(0, 3, (5, 7)).astype(np.float16)
    logits = torch.from_numpy(rows).float().requires_grad_()
    loss = distillation_loss(logits, soft_targets(rows, 2.0, CPU), 2.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_run_listens_to_its_teacher_as_much_as_the_recipe_says(splits, tmp_path, weight):
    chosen = Recipe(**QUICK | {"epochs": 1, "distill_weight": weight})
    rows = np.zeros((36, 3), np.float16)
    alone, taught = (
        train(*splits, chosen, tmp_path / name, teacher=teacher).history[0].train_loss
        for name, teacher in (("alone", None), ("taught", rows))
    )
    assert (alone == taught) == (weight == 0)


# --- everything at once ------------------------------------------------------------------------


@pytest.mark.slow
def test_mixing_the_average_bfloat16_and_a_teacher_learn_together(splits, tmp_path):
    """The teacher knows the colours; what is measured is the average of the weights."""
    keys = {"mixup": 0.2, "cutmix": 1.0, "mixup_prob": 0.5, "model_ema": 0.9, "amp": "bfloat16"}
    more = {"erase": 0.2, "auto_augment": "trivial", "train_interpolation": "random"}
    recipe = Recipe(**QUICK | keys | more | {"epochs": 20, "smoothing": 0.1})
    teacher = Classifier(Counting(scale=20.0), tiny_card())
    rows = teacher_logits(teacher, splits[0], tmp_path / "cache")
    device = Device("cpu", "bfloat16")
    run = train(*splits, recipe, tmp_path / "run", device=device, teacher=rows)
    assert max(row.eval_top1 for row in run.history) >= 90
    assert run.history[-1].train_loss < run.history[0].train_loss
