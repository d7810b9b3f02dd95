"""Pictures named by lists, as PaddleClas, MMPretrain and timm have them."""

import pytest

from ghostkit.dataset import open_dataset, open_parts, open_splits
from ghostkit.errors import DatasetError, UsageError
from squares import COLORS, save_noise

CLASSES = ("cat", "dog", "frog")
COUNTS = {"train": 3, "val": 2}


@pytest.fixture
def photos(tmp_path):
    """Pictures in train/ and val/, a folder per class."""
    for part, count in COUNTS.items():
        for name, color in zip(CLASSES, COLORS, strict=True):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for index in range(count):
                save_noise(tmp_path / "photos" / part / name / f"{index}.png", color, index)
    return tmp_path / "photos"


@pytest.fixture
def listed(photos, tmp_path):
    """Writes a list of each part; `line` makes one of a picture below the folder and its class."""

    def write(line, header=""):
        for part in COUNTS:
            paths = sorted((photos / part).rglob("*.png"))
            names = [path.relative_to(photos).as_posix() for path in paths]
            lines = [line(name, CLASSES.index(name.split("/")[1])) for name in names]
            (tmp_path / f"{part}.list").write_text(header + "".join(f"{each}\n" for each in lines))
        return {"labels": tmp_path / "train.list", "val_labels": tmp_path / "val.list"}

    return write


def told(dataset):
    return dataset.classes, dataset.fingerprint, dataset.split, dataset.name


@pytest.mark.parametrize("form", ["index", "absolute", "dotted", "tabbed", "csv", "csv of indices"])
def test_lists_are_the_folder(photos, listed, form):
    line, header = {
        "index": (lambda name, index: f"{name} {index}", ""),
        "absolute": (lambda name, index: f"{photos / name} {index}", ""),
        "dotted": (lambda name, index: f"./{name} {index}", ""),
        "tabbed": (lambda name, index: f"{name}\t{index}", ""),
        "csv": (lambda name, index: f"{CLASSES[index]},{name}", "label,path\n"),
        "csv of indices": (lambda name, index: f"{name},{index}", "image,label\n"),
    }[form]
    lists = listed(line, header)
    expected = open_splits(photos)
    assert [told(each) for each in open_splits(photos, **lists, classes=CLASSES)] == [
        told(each) for each in expected
    ]
    parts = open_parts(photos, **lists, classes=CLASSES)
    assert [told(each) for each in parts] == [told(each) for each in expected]
    assert not any("left out" in note for part in parts for note in part.notes)


def test_without_names_the_training_list_has_the_classes(photos, listed):
    train, val = open_splits(photos, **listed(lambda name, index: f"{name} {index}"))
    assert train.classes == val.classes == ("0", "1", "2")
    train, val = open_splits(photos, **listed(lambda name, index: f"{name}\t{CLASSES[index]}"))
    assert train.classes == val.classes == CLASSES
    lists = listed(lambda name, index: f"{name} {index}")
    lists["labels"].write_text("train/cat/0.png 0\ntrain/dog/0.png 1\n")
    with pytest.raises(DatasetError, match="class 2 is not among the 2 classes"):
        open_splits(photos, **lists)


def test_a_picture_in_both_lists_is_said(photos, listed):
    lists = listed(lambda name, index: f"{name} {index}")
    train, _ = open_splits(photos, labels=lists["labels"], val_labels=lists["labels"])
    assert "9 pictures stand in both lists, the first is 'train/cat/0.png'" in " ".join(train.notes)


def test_lists_that_contradict_other_arguments(photos, listed):
    lists = listed(lambda name, index: f"{name} {index}")
    with pytest.raises(UsageError, match="say which part to open"):
        open_dataset(photos, **lists)
    with pytest.raises(UsageError, match="is the val part; leave val_split out"):
        open_splits(photos, **lists, val_split=0.5)
    with pytest.raises(UsageError, match="name the training ones too"):
        open_splits(photos, val_labels=lists["val_labels"])
