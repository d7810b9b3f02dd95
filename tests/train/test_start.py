"""Starting from weights: the backbone whole, and of the head the rows of classes known by name."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from short_runs import assert_equal, recipe, weights_of

from ghostkit.card import ModelCard
from ghostkit.dataset import open_splits
from ghostkit.errors import CheckpointError, DatasetError, UsageError
from ghostkit.run_files import BEST, LAST
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.loop import CPU, train
from ghostkit.train.network.architectures import build
from ghostkit.train.recipe import Recipe
from ghostkit.train.start import (
    Pretrained,
    _load_optimizer,
    first_card,
    first_state,
    start_from,
)


@pytest.mark.parametrize("gamma", [0.0, 0.25])
def test_what_bottlenecks_add_begins_as_weakly_as_the_recipe_says(splits, gamma):
    state, _ = first_state(recipe(residual_gamma=gamma), splits[0], CPU, None)
    last = {name: t for name, t in state.model.state_dict().items() if "ghost2" in name}
    scales = [t for name, t in last.items() if name.endswith("1.weight")]  # of batch norms
    assert scales and all(scale.eq(gamma).all() for scale in scales)


def test_the_card_calls_the_classes_as_the_datas_list_of_titles_does(photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "words.txt").write_text("red\tscarlet\ngreen\tlime\nblue\tnavy\n")
    train_data, _ = open_splits(folder)
    assert first_card(recipe(), train_data, None, None).titles == ("navy", "lime", "scarlet")


@pytest.fixture
def pretrained(learned):
    checkpoint = open_checkpoint(learned.best_checkpoint)
    return Pretrained(checkpoint.weights, checkpoint.path, checkpoint.card)


FROZEN = {"freeze": "backbone", "epochs": 2}


def backbone(weights):
    return {name: t for name, t in weights.items() if not name.startswith("classifier.")}


def test_frozen_nothing_but_the_head_changes_not_even_batch_norm(splits, tmp_path, pretrained):
    run = train(*splits, recipe(**FROZEN), tmp_path, pretrained=pretrained)
    after = weights_of(run.folder / LAST)
    assert_equal(backbone(pretrained.weights), backbone(after))
    assert not after["classifier.weight"].equal(pretrained.weights["classifier.weight"])


def test_frozen_stages_stay_while_all_behind_them_learns(splits, tmp_path, pretrained):
    chosen = recipe(frozen_stages=3, epochs=2, model_ema=0.5)
    run = train(*splits, chosen, tmp_path, pretrained=pretrained)
    after = weights_of(run.folder / LAST)
    kept = ("conv_stem.", "bn1.", "blocks.0.", "blocks.1.", "blocks.2.")
    for name, tensor in after.items():
        still = tensor.equal(pretrained.weights[name])
        assert still == name.startswith(kept), name


def test_the_backbone_waits_for_as_many_epochs_as_it_is_told_to(splits, tmp_path, pretrained):
    run = train(*splits, recipe(freeze_epochs=1, epochs=2), tmp_path, pretrained=pretrained)
    first, last = (weights_of(run.folder / name) for name in ("checkpoint-0.pth.tar", LAST))
    assert_equal(backbone(pretrained.weights), backbone(first))
    assert not first["classifier.weight"].equal(pretrained.weights["classifier.weight"])
    assert not any(tensor.equal(first[name]) for name, tensor in last.items())


STILL = {"freeze": "backbone", "epochs": 1, "lr": 1e-6}  # it answers as it did before


def best(learned):
    return max(row.eval_top1 for row in learned.history)


def test_equal_classes_keep_the_head_so_the_first_epoch_is_good(
    splits, tmp_path, pretrained, learned
):
    said = []
    run = train(*splits, recipe(**STILL), tmp_path, pretrained=pretrained, log=said.append)
    assert run.history[0].eval_top1 == best(learned)
    assert run.load_report.dropped == ()
    assert any("512 entries loaded" in line for line in said)
    origin = open_checkpoint(run.folder / LAST).card.provenance
    assert origin.parents == (pretrained.card.hash,)
    assert origin.note == f"started from {BEST}"


def started(pretrained, old, new):
    """A network for the classes `new` from weights of the classes `old`; its report and rows."""
    chosen = recipe()
    model = build(chosen.model, chosen.width, len(new))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    card = None if old is None else pretrained.card.model_copy(update={"classes": old})
    report = start_from(model, replace(pretrained, card=card), chosen, new)
    assert_equal(backbone(model.state_dict()), backbone(pretrained.weights))
    return report, model.state_dict(), before


COLORS = ("blue", "green", "red")


@pytest.mark.parametrize(
    ("new", "told", "dropped"),
    [
        (("red", "green", "blue"), "3 of 3 rows", 0),
        (("red", "violet", "green", "black", "white", "blue"), "3 of 6 rows", 0),
        (("blue", "redder"), "1 of 2 rows", 0),
        (("cat", "dog"), "0 of 2 rows", 2),
    ],
    ids=["permuted", "more", "overlapping", "disjoint"],
)
def test_rows_of_the_head_go_where_their_class_is(pretrained, new, told, dropped):
    report, after, before = started(pretrained, COLORS, new)
    assert str(report).endswith(f"; classifier: {told} reused by class name, the others new")
    assert (report.kept, len(report.dropped), report.missing) == (510, dropped, ())
    for row, name in enumerate(new):
        for key in ("classifier.weight", "classifier.bias"):
            old = pretrained.weights[key][COLORS.index(name)] if name in COLORS else None
            assert after[key][row].equal(before[key][row] if old is None else old)


def test_equal_class_lists_load_the_head_whole(pretrained):
    report, after, _ = started(pretrained, COLORS, COLORS)
    assert_equal(after, pretrained.weights)
    assert report.kept == 512
    assert str(report).endswith("classifier: whole, for the same 3 classes")


def test_weights_without_class_names_leave_the_head_new(pretrained):
    report, after, before = started(pretrained, None, COLORS)
    assert after["classifier.weight"].equal(before["classifier.weight"])
    assert report.dropped == ("classifier.weight", "classifier.bias")
    assert str(report).endswith("classifier: new, as the weights name no classes")


def test_a_card_of_another_number_of_classes_is_refused(pretrained):
    with pytest.raises(CheckpointError, match="its card names 2 classes"):
        started(pretrained, ("blue", "green"), COLORS)


def test_permuted_names_answer_well_from_the_start(splits, tmp_path, pretrained, learned):
    """Had the rows stayed in their old places, two of the three colours would be taken wrongly."""
    turned = [2, 0, 1]
    weights = dict(pretrained.weights)
    for key in ("classifier.weight", "classifier.bias"):
        weights[key] = weights[key][turned]
    card = pretrained.card.model_copy(update={"classes": tuple(COLORS[i] for i in turned)})
    start = replace(pretrained, weights=weights, card=card)
    said = []
    run = train(*splits, recipe(**STILL), tmp_path, pretrained=start, log=said.append)
    assert run.history[0].eval_top1 == best(learned)
    assert "classifier: 3 of 3 rows reused by class name" in said[0]


def test_weights_without_a_card_are_named_in_the_runs_own(splits, tmp_path, pretrained):
    bare = Pretrained(pretrained.weights, "upstream.pth")
    run = train(*splits, recipe(epochs=1), tmp_path, pretrained=bare)
    assert open_checkpoint(run.folder / LAST).card.provenance.note == "started from upstream.pth"


def test_weights_of_another_width_are_refused_with_the_width_to_set(splits, tmp_path, pretrained):
    with pytest.raises(
        CheckpointError, match="is a ghostnet of width 0.25.*set model=ghostnet width=0.25"
    ):
        train(*splits, recipe(width=0.5), tmp_path, pretrained=pretrained)
    assert not list(tmp_path.iterdir())


def test_weights_of_another_network_are_refused(splits, tmp_path):
    other = Pretrained({"layer.weight": torch.zeros(3, 3)}, "resnet.pth")
    with pytest.raises(CheckpointError, match="resnet.pth"):
        train(*splits, recipe(), tmp_path, pretrained=other)


def test_a_backbone_that_lacks_a_kernel_is_refused(splits, tmp_path, pretrained):
    cut = {name: t for name, t in pretrained.weights.items() if name != "conv_head.weight"}
    with pytest.raises(CheckpointError, match="conv_head.weight"):
        train(*splits, recipe(), tmp_path, pretrained=Pretrained(cut, "cut.pth"))


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (FROZEN, "freeze=backbone.*--pretrained-weight, or set freeze=none"),
        ({"freeze_epochs": 1}, "freeze_epochs=1.*--pretrained-weight, or set freeze_epochs=0"),
        ({"frozen_stages": 2}, "frozen_stages=2.*--pretrained-weight, or set frozen_stages=0"),
    ],
)
def test_freezing_random_weights_is_refused(splits, tmp_path, chosen, told):
    with pytest.raises(UsageError, match=told):
        train(*splits, recipe(**chosen), tmp_path)


def test_poisoned_weights_are_refused(splits, tmp_path, pretrained):
    poisoned = dict(pretrained.weights)
    poisoned["conv_stem.weight"] = torch.full_like(poisoned["conv_stem.weight"], np.nan)
    with pytest.raises(CheckpointError, match="conv_stem.weight holds numbers that are not finite"):
        train(*splits, recipe(), tmp_path, pretrained=replace(pretrained, weights=poisoned))


def test_a_step_count_goes_where_a_fused_optimizer_of_this_run_wants_it():
    """Of a run without (float16 on CUDA) into one with; ``meta`` stands for an accelerator."""
    plain = torch.nn.Linear(2, 2)
    before = torch.optim.AdamW(plain.parameters())
    plain(torch.ones(1, 2)).sum().backward()
    before.step()
    after = torch.optim.AdamW(torch.nn.Linear(2, 2, device="meta").parameters())
    after.param_groups[0]["fused"] = True
    _load_optimizer(after, before.state_dict(), "last.pth.tar")
    assert {state["step"].device.type for state in after.state.values()} == {"meta"}
    assert after.param_groups[0]["fused"] is True


def test_a_class_whose_name_no_card_can_carry_is_refused_before_the_training(splits):
    data = replace(splits[0], classes=("a", "caf\udce9", "c"))
    with pytest.raises(DatasetError, match=r"the class 'caf\\udce9' is not UTF-8"):
        first_card(Recipe(), data, None, None)


def test_a_data_folder_of_any_name_has_a_card_that_can_be_read(splits):
    data = replace(splits[0], root="daten-\udcfc")
    card = first_card(Recipe(), data, None, None)
    assert ModelCard.from_json(card.to_json().encode(), "x") == card
