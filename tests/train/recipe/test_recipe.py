from pathlib import Path

import pytest

from ghostkit.errors import UsageError
from ghostkit.steps import CenterCrop, Resize
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.file import load_recipe, to_toml

SHIPPED = sorted((Path(__file__).parents[3] / "recipes").glob("*.toml"))


def test_the_defaults_are_the_seeds_240_and_274():
    resize, crop, _ = Recipe().steps
    assert (resize, crop) == (Resize(short=274), CenterCrop(size=(240, 240)))


def test_size_and_crop_follow_the_recipe():
    resize, crop, _ = Recipe(img_size=64, crop_pct=1.0, interpolation="bicubic").steps
    assert (resize, crop) == (Resize(short=64, filter="bicubic"), CenterCrop(size=(64, 64)))


def test_a_file_then_flags_then_overrides(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('lr = 0.1\nepochs = 7\nsched = "constant"\n')
    recipe = load_recipe(path, ["sched=cosine", "clip-grad=none", "scale=[0.5, 1]"], {"epochs": 8})
    assert (recipe.lr, recipe.epochs, recipe.sched) == (0.1, 8, "cosine")
    assert recipe.clip_grad is None
    assert recipe.scale == (0.5, 1.0)


def test_all_problems_are_told_at_once_with_the_nearest_name(tmp_path):
    with pytest.raises(UsageError) as caught:
        load_recipe(None, ["epoch=3", "lr=fast", "width=-1"])
    message = str(caught.value)
    assert "3 problem(s)" in message
    assert "epoch: no such key; did you mean 'epochs'?" in message
    assert "lr: " in message and "'fast'" in message
    assert "width: " in message


def test_what_does_not_go_together_is_told_at_once_too():
    with pytest.raises(UsageError) as caught:
        load_recipe(None, ["feature_views=2", "scale=[0.9, 0.1]", "lr"])
    assert str(caught.value).splitlines() == [
        "recipe has 3 problem(s):",
        "  'lr' is not of the form key=value",
        "  scale: 0.9 to 0.1 runs backwards",
        "  feature_views=2 computes the backbone's features once, so the backbone cannot be "
        "trained; add freeze=backbone, or set feature_views=0",
    ]


@pytest.mark.parametrize("value", ["(0.5,1)", "0.5", "[0.5]"])
def test_a_pair_that_is_none_is_answered_with_how_to_write_it(value):
    with pytest.raises(UsageError, match=r"; write it as in scale=\[0.08, 1.0\]"):
        load_recipe(None, [f"scale={value}"])


def test_true_is_not_taken_for_a_probability_of_one(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("hflip = true\nclip_grad = true\ncompile = true\n")
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    assert str(caught.value).splitlines()[1:] == [
        "  hflip: true is no number; write it as in hflip=0.5",
        "  clip_grad: true is no number; write it as in clip_grad=2.0",
    ]


@pytest.mark.parametrize(
    "override",
    [
        "batch_size=1",
        "lr=nan",
        "opt_betas=[1, 0.999]",
        "opt_betas=[0.9, 1]",
        "scale=[8, 100]",
    ],
)
def test_what_cannot_train_is_refused(override):
    with pytest.raises(UsageError):
        load_recipe(None, [override])


@pytest.mark.parametrize(
    ("content", "words"),
    [("lr = ", "is not TOML"), (b"\xff", "is not TOML"), (None, "cannot read")],
)
def test_a_bad_file_is_named(tmp_path, content, words):
    path = tmp_path / "食谱.toml"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UsageError, match=words) as caught:
        load_recipe(path)
    assert "食谱.toml" in str(caught.value)


def test_a_printed_recipe_reads_back_equal(tmp_path):
    recipe = Recipe(lr=0.1, val_split=0.2, clip_grad=None, scale=(0.5, 1), sched="constant")
    path = tmp_path / "r.toml"
    path.write_text(to_toml(recipe))
    assert load_recipe(path) == recipe


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_recipe_is_one_and_its_command_is_its_own(path):
    head = path.read_text().splitlines()[:6]
    assert load_recipe(path).epochs
    assert any("Command:" in line for line in head) and f"recipes/{path.name}" in "".join(head)


@pytest.mark.parametrize("balance", ["weights", "prior"])
def test_a_balanced_training_is_judged_by_mean_recall_unless_another_is_asked_for(balance):
    assert load_recipe(overrides=[f"balance={balance}"]).best_by == "mean-recall"
    assert load_recipe(overrides=[f"balance={balance}", "best_by=top1"]).best_by == "top1"
    assert load_recipe(overrides=["balance=none"]).best_by == Recipe().best_by == "top1"
    base = {"best_by": "top1"}  # a checkpoint's
    assert load_recipe(overrides=[f"balance={balance}"], base=base).best_by == "top1"
