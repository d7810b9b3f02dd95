"""A model's card says which photos it has learned; what is measured on them is told."""

import pytest

from ghostkit.card import Measurement
from ghostkit.dataset import open_dataset
from ghostkit.dataset.learned import REMARK, may_be_learned
from squares import COLORS, save_noise, save_photos
from tiny import tiny_card


@pytest.fixture
def tree(tmp_path):
    for color in COLORS:
        for index in range(10):
            save_noise(tmp_path / "tree" / color / f"{index}.png", color, index)
    return tmp_path / "tree"


def trained_on(dataset, recipe=None, seed=42, measured=None, fingerprint=None):
    card = tiny_card()
    provenance = card.provenance.model_copy(
        update={
            "data": dataset.name,
            "data_fingerprint": fingerprint or dataset.fingerprint,
            "recipe": recipe or {},
            "seed": seed,
        }
    )
    measurements = () if measured is None else (measurement(measured),)
    return card.model_copy(update={"provenance": provenance, "measurements": measurements})


def measurement(dataset):
    return Measurement(
        data=dataset.name,
        data_fingerprint=dataset.fingerprint,
        images=len(dataset),
        top1=0.5,
        top1_low=0.4,
        top1_high=0.6,
    )


def test_the_very_photos_are_known_whatever_the_folder_is_called(tree):
    card = trained_on(open_dataset(tree, "train", val_split=0.3), {"val_split": 0.3})
    moved = tree.rename(tree.with_name("other"))
    assert "these very photos" in may_be_learned(card, open_dataset(moved, "train", val_split=0.3))
    assert may_be_learned(card, open_dataset(moved, "val", val_split=0.3)) is None


def test_another_seed_or_share_holds_out_what_was_learned(tree):
    card = trained_on(open_dataset(tree, "train", val_split=0.3), {"val_split": 0.3})
    for other in ({"val_split": 0.3, "seed": 7}, {"val_split": 0.4}):
        words = may_be_learned(card, open_dataset(tree, "val", **other))
        assert "trained on tree/train" in words and words.endswith("--val-split 0.3 --seed 42")
    assert "--val-split 0.3" in may_be_learned(card, open_dataset(tree))


def test_the_list_of_those_held_out_is_honest(tree, tmp_path):
    train, val = (open_dataset(tree, part, val_split=0.3) for part in ("train", "val"))
    lines = [f"{s.path.removeprefix(f'{tree}/')}\t{val.classes[s.target]}\n" for s in val.samples]
    (tmp_path / "validation.txt").write_text("".join(lines))
    listed = open_dataset(tree, labels=tmp_path / "validation.txt", classes=val.classes)
    assert listed.fingerprint == val.fingerprint
    assert may_be_learned(trained_on(train, {"val_split": 0.3}, measured=val), listed) is None


def test_the_train_part_is_known_by_its_name_where_photos_were_added(tmp_path):
    root = save_photos(tmp_path / "photos", 2, 1)
    card = trained_on(open_dataset(root, "train"), fingerprint="of fewer photos")
    assert "may be the same photos" in may_be_learned(card, open_dataset(root, "train"))
    assert "may be the same photos" in may_be_learned(card, open_dataset(root / "train"))
    assert may_be_learned(card, open_dataset(root, "val")) is None


def test_a_card_that_names_no_photos_says_nothing(tree):
    assert may_be_learned(tiny_card(), open_dataset(tree)) is None


def test_doubts_about_the_weights_that_a_model_started_from_stay(tree):
    train, val = (open_dataset(tree, part, val_split=0.3) for part in ("train", "val"))
    card = trained_on(train, {"val_split": 0.3}, measured=val)
    assert may_be_learned(card, val) is None
    note = f"started from weights, {REMARK}"
    doubtful = card.provenance.model_copy(update={"note": note})
    assert "started from" in may_be_learned(card.model_copy(update={"provenance": doubtful}), val)


def test_a_measurement_on_the_whole_tree_makes_nothing_honest(tree):
    train, whole = open_dataset(tree, "train", val_split=0.3), open_dataset(tree)
    card = trained_on(train, {"val_split": 0.3}, measured=whole)
    assert "trained on tree/train" in may_be_learned(card, whole)
