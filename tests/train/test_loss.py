"""What a step minimises, against torch's own cross entropy and sums by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ghostkit.train.loss import Objective
from ghostkit.train.pictures.mixing import Mix
from ghostkit.train.recipe import Recipe

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) * 3
TARGETS = torch.tensor([0, 1, 2, 3, 0, 1])
SAMPLES = torch.tensor([9, 3, 5, 0, 7, 1])
TEACHER = np.random.default_rng(1).normal(0, 4, (10, 4)).astype(np.float16)
EVEN, UNEVEN = [10, 10, 10, 10], [60, 20, 15, 5]
TAUGHT = Recipe(smoothing=0.1, distill_weight=0.3, distill_temperature=2.5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_the_plain_loss_is_cross_entropy_with_label_smoothing(smoothing):
    loss = Objective(Recipe(smoothing=smoothing), EVEN)(LOGITS, TARGETS, SAMPLES, None)
    expected = functional.cross_entropy(LOGITS, TARGETS, label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mixed_loss_is_the_blend_of_both_losses(smoothing):
    loss = Objective(Recipe(smoothing=smoothing), EVEN)(LOGITS, TARGETS, SAMPLES, Mix(0.7))
    own, others = (
        functional.cross_entropy(LOGITS, targets, label_smoothing=smoothing)
        for targets in (TARGETS, TARGETS.flip(0))
    )
    torch.testing.assert_close(loss, 0.7 * own + 0.3 * others)


def taught_by_hand(soft):
    """KL(teacher || student) at the temperature, summed over classes, mean over pictures, T²."""
    student = torch.softmax(LOGITS.double() / 2.5, 1)
    divergence = (soft * (soft.log() - student.log())).sum(1).mean()
    return divergence * 2.5**2


def soft_rows():
    return torch.softmax(torch.from_numpy(TEACHER[SAMPLES.numpy()]).double() / 2.5, 1)


def test_a_teacher_has_its_share_and_each_picture_its_own_row():
    loss = Objective(TAUGHT, EVEN, TEACHER)(LOGITS, TARGETS, SAMPLES, None)
    plain = functional.cross_entropy(LOGITS, TARGETS, label_smoothing=0.1)
    expected = 0.7 * plain.double() + 0.3 * taught_by_hand(soft_rows())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_teachers_answers_are_mixed_as_the_pictures_are():
    mix = Mix(0.6, (0, 4, 0, 5))
    loss = Objective(TAUGHT, EVEN, TEACHER)(LOGITS, TARGETS, SAMPLES, mix)
    plain = Objective(Recipe(smoothing=0.1), EVEN)(LOGITS, TARGETS, SAMPLES, mix)
    soft = 0.6 * soft_rows() + 0.4 * soft_rows().flip(0)
    expected = 0.7 * plain.double() + 0.3 * taught_by_hand(soft)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_half_precision_logits_give_a_float32_loss_with_a_gradient():
    logits = LOGITS.to(torch.bfloat16).requires_grad_()
    loss = Objective(TAUGHT, EVEN, TEACHER)(logits, TARGETS, SAMPLES, None)
    loss.backward()
    assert loss.dtype == torch.float32
    assert logits.grad.dtype == torch.bfloat16 and logits.grad.isfinite().all()


def test_weights_make_all_classes_weigh_the_same():
    recipe = Recipe(smoothing=0.0, balance="weights")
    loss = Objective(recipe, UNEVEN)(LOGITS, TARGETS, SAMPLES, None)
    each = functional.cross_entropy(LOGITS, TARGETS, reduction="none")
    factors = torch.tensor([100 / (4 * UNEVEN[target]) for target in TARGETS.tolist()])
    torch.testing.assert_close(loss, (factors * each).mean())


def test_a_prior_is_learned_beside_the_logits():
    recipe = Recipe(smoothing=0.1, balance="prior")
    loss = Objective(recipe, UNEVEN)(LOGITS, TARGETS, SAMPLES, None)
    shifted = LOGITS + torch.tensor([0.6, 0.2, 0.15, 0.05]).log()
    torch.testing.assert_close(
        loss, functional.cross_entropy(shifted, TARGETS, label_smoothing=0.1)
    )


@pytest.mark.parametrize("balance", ["weights", "prior"])
def test_even_classes_need_no_balance(balance):
    plain = Objective(Recipe(smoothing=0.0), EVEN)(LOGITS, TARGETS, SAMPLES, None)
    loss = Objective(Recipe(smoothing=0.0, balance=balance), EVEN)(LOGITS, TARGETS, SAMPLES, None)
    torch.testing.assert_close(loss, plain)


@pytest.mark.parametrize("balance", ["weights", "prior"])
def test_rare_classes_are_recognised_more_often_with_it(balance):
    """A linear model of three overlapping clouds, of which one has 1 point in 50."""
    generator = torch.Generator().manual_seed(0)
    counts = [480, 480, 20]
    centres = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 1.2]])
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    points = centres[targets] + torch.randn(980, 2, generator=generator)

    def recall_of_the_rare_one(recipe):
        model, objective = torch.nn.Linear(2, 3), Objective(recipe, counts)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=50)

        def closure():
            optimizer.zero_grad()
            loss = objective(model(points), targets, torch.arange(980), None)
            loss.backward()
            return loss

        optimizer.step(closure)
        return (model(points).argmax(1) == targets)[targets == 2].float().mean().item()

    plain = recall_of_the_rare_one(Recipe(smoothing=0.0))
    balanced = recall_of_the_rare_one(Recipe(smoothing=0.0, balance=balance))
    assert plain < 0.2 and balanced > 0.5


def weighted_by_hand(smoothing, mix):
    """Each picture's smoothed cross entropy times the weight of what it shows."""
    weights = sum(UNEVEN) / 4 / torch.tensor(UNEVEN, dtype=torch.float64)
    truth = functional.one_hot(TARGETS, 4).double()
    total = 0.0
    for logits, own, other in zip(LOGITS.double(), truth, truth.flip(0), strict=True):
        parts = [(1.0, own)] if mix is None else [(mix.kept, own), (1 - mix.kept, other)]
        for share, wanted in parts:
            target = (1 - smoothing) * wanted + smoothing / 4
            each = -(target * torch.log_softmax(logits, 0)).sum()
            total += share * (weights * wanted).sum() * each
    return total / len(TARGETS)


@pytest.mark.parametrize("mix", [None, Mix(0.7)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_multiply_a_pictures_smoothed_loss(smoothing, mix):
    recipe = Recipe(smoothing=smoothing, balance="weights")
    loss = Objective(recipe, UNEVEN)(LOGITS, TARGETS, SAMPLES, mix)
    assert loss.item() == pytest.approx(weighted_by_hand(smoothing, mix).item(), rel=1e-5)


def test_the_best_answer_to_a_frequent_class_is_that_class_however_rare_the_other():
    logits = torch.zeros(1, 2, requires_grad=True)
    objective = Objective(Recipe(smoothing=0.1, balance="weights"), [970, 30])
    optimizer = torch.optim.SGD([logits], lr=1.0)
    for _ in range(200):
        optimizer.zero_grad()
        objective(logits, torch.tensor([0]), torch.tensor([0]), None).backward()
        optimizer.step()
    assert torch.softmax(logits, 1)[0, 0].item() == pytest.approx(0.95, abs=0.01)
