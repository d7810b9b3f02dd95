"""Mixup and cutmix: what is kept, of which picture, and how often."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ghostkit.train.pictures.mixing import Mix, draw_mix
from ghostkit.train.recipe import Recipe

IMAGES = torch.arange(5).float().view(5, 1, 1, 1).expand(5, 3, 32, 32).contiguous()
TARGETS = functional.one_hot(torch.arange(5), 5).float()


def draws(count=2000, epoch=0, **keys):
    recipe, generator = Recipe(img_size=32, **keys), np.random.default_rng(0)
    return [draw_mix(recipe, epoch, generator) for _ in range(count)]


def test_mixup_blends_with_the_reversed_batch():
    mixed = Mix(0.75).images(IMAGES)
    assert mixed[:, 0, 0, 0].tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]  # 0.75 i + 0.25 (4 - i)
    targets = Mix(0.75).targets(TARGETS)
    assert targets[0].tolist() == [0.75, 0, 0, 0, 0.25]
    assert targets[2].tolist() == [0, 0, 1, 0, 0]  # the middle one is its own partner


def test_cutmix_takes_the_box_from_the_partner_and_leaves_the_batch_alone():
    before = IMAGES.clone()
    mixed = Mix(1 - 6 / 1024, (1, 3, 4, 7)).images(IMAGES)
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[1:3, 4:7] = True
    for index, image in enumerate(mixed):
        assert (image[:, inside] == 4 - index).all()
        assert (image[:, ~inside] == index).all()
    assert torch.equal(IMAGES, before)


def test_the_share_that_cutmix_keeps_is_exact():
    for mix in draws(500, cutmix=1.0):
        pixels = (mix.images(IMAGES)[0, 0] == 0).float().mean().item()
        assert mix.kept == pytest.approx(pixels, abs=1e-7)


@pytest.mark.parametrize("keys", [{"mixup": 0.2}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}])
def test_targets_stay_probabilities(keys):
    for mix in draws(200, **keys):
        targets = mix.targets(TARGETS)
        assert 0 <= mix.kept <= 1
        assert (targets >= 0).all()
        assert targets.sum(1) == pytest.approx(torch.ones(5))


@pytest.mark.parametrize(("alpha", "deviation"), [(0.2, 0.4226), (1.0, 0.2887), (8.0, 0.1213)])
def test_mixups_share_is_drawn_from_beta(alpha, deviation):
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1))."""
    kept = np.array([mix.kept for mix in draws(mixup=alpha)])
    assert kept.mean() == pytest.approx(0.5, abs=4 * deviation / 2000**0.5)
    assert kept.std() == pytest.approx(deviation, rel=0.06)
    assert all(mix.box is None for mix in draws(50, mixup=alpha))


@pytest.mark.parametrize("alpha", [1e-300, 1e-8, 1e30])
def test_extreme_alphas_still_give_a_share(alpha):
    for keys in ({"mixup": alpha}, {"cutmix": alpha}):
        assert all(0 <= mix.kept <= 1 for mix in draws(50, **keys))


def test_both_come_in_the_stated_shares():
    some = draws(mixup=0.2, cutmix=1.0, mixup_prob=0.6, mixup_switch_prob=0.25)
    mixed = [mix for mix in some if mix is not None]
    assert len(mixed) / len(some) == pytest.approx(0.6, abs=0.05)
    assert sum(mix.box is not None for mix in mixed) / len(mixed) == pytest.approx(0.25, abs=0.05)


def test_nothing_is_mixed_without_an_alpha_nor_from_the_off_epoch_on():
    assert set(draws(50)) == {None}
    keys = {"mixup": 1.0, "mixup_off_epoch": 3}
    assert None not in draws(50, epoch=2, **keys)
    assert set(draws(50, epoch=3, **keys)) == set(draws(50, epoch=9, **keys)) == {None}
    assert None not in draws(50, epoch=10**6, mixup=1.0)  # 0: never off


def test_equal_generators_draw_equal_mixes():
    assert draws(100, mixup=0.3, cutmix=0.7) == draws(100, mixup=0.3, cutmix=0.7)
