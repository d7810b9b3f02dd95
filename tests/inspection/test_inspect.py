"""A data set with one fault of each kind: each is found, and nothing else."""

import json

import numpy as np
import pytest
from PIL import Image

from ghostkit.dataset import open_dataset, open_parts, open_splits
from ghostkit.dataset.left_out import read_left_out
from ghostkit.errors import DatasetError
from ghostkit.inspection import inspect
from ghostkit.inspection.copies import find_copies
from ghostkit.inspection.looking import Look
from ghostkit.inspection.report import left_out_of


def scene(number, side=96):
    """A picture with structure, unlike that of any other number: uint8 (side, side, 3) RGB."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def save(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    """Three good pictures of each class in train, two in val."""
    root = tmp_path / "photos"
    for number, name in enumerate(("cat", "dog", "bird")):
        for index in range(3):
            save(root / "train" / name / f"{index}.png", scene(100 * number + index))
        for index in range(2):
            save(root / "val" / name / f"{index}.png", scene(100 * number + 50 + index))
    return root


def report_of(photos, **options):
    return inspect(open_parts(photos), **options)


def left_out(report):
    return {each.name: (each.kind, each.reason) for each in report.left_out}


def test_good_pictures_are_left_alone(photos):
    report = report_of(photos)
    assert report.left_out == () and report.copies == ()
    assert report.counts.tolist() == [[3, 2]] * 3 and report.imbalance == 1.0
    assert (report.misnamed, report.one_tone, report.two_labels, report.leaks) == ([], [], [], [])
    assert len(report.looks) == 15


def test_a_picture_that_cannot_be_read_has_its_reason(photos):
    (photos / "train" / "dog" / "1.png").write_bytes(b"")
    whole = save(photos / "val" / "cat" / "cut.jpg", scene(7)).read_bytes()
    (photos / "val" / "cat" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    found = left_out(report_of(photos))
    assert set(found) == {"train/dog/1.png", "val/cat/cut.jpg"}
    assert found["train/dog/1.png"] == ("refused", "empty file")
    assert found["val/cat/cut.jpg"][1].startswith("truncated JPEG")


def test_the_same_pixels_in_two_classes_cannot_be_believed_in_either(photos):
    again = save(photos / "train" / "dog" / "again.bmp", scene(0))  # cat/0 in another format
    found = left_out(report_of(photos))
    assert found == {
        "train/cat/0.png": ("two labels", "the same pixels as train/dog/again.bmp"),
        "train/dog/again.bmp": ("two labels", "the same pixels as train/cat/0.png"),
    }
    assert again.exists()


def test_a_training_picture_with_a_copy_in_val_leaks(photos):
    save(photos / "train" / "cat" / "same.png", scene(50))
    save(photos / "train" / "bird" / "smaller.jpg", scene(251).resize((48, 48)), quality=70)
    report = report_of(photos)
    assert left_out(report) == {
        "train/cat/same.png": ("leak", "the same pixels as val/cat/0.png"),
        "train/bird/smaller.jpg": ("leak", "looks like val/bird/1.png"),
    }
    assert len(report.leaks) == 2
    assert "train/bird/smaller.jpg" not in left_out(report_of(photos, copy_distance=0))


def chain(*bits):
    """Looks at pictures, each so many bits from the one before, and as many more from the first."""
    number, at = 0x123456789ABCDEF0, 0
    for index, count in enumerate((0, *bits)):
        number ^= ((1 << count) - 1) << at
        at += count
        name = f"{'train' if index else 'val'}/cat/{index}.png"
        yield Look(name, name, name.split("/")[0], 0, None, (1, 1), "PNG", bytes([index]), number)


def test_a_chain_of_likenesses_leaks_only_as_far_as_it_is_like_one_in_val():
    looks = list(chain(5, 2, 4, 7, 7))
    [copies] = find_copies(looks, 7)
    assert len(copies.members) == 6
    found = left_out_of(looks, [copies], 7)
    assert [each.name for each in found] == ["train/cat/1.png", "train/cat/2.png"]
    assert {each.reason for each in found} == {"looks like val/cat/0.png"}


def test_the_picture_in_val_that_is_nearest_is_named_be_it_in_a_mirror(photos):
    far, near = scene(50).resize((6, 6)), scene(50)
    save(photos / "val" / "cat" / "0.png", far.resize((96, 96)))
    save(photos / "val" / "cat" / "9.png", near)
    mirrored = near.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    save(photos / "train" / "cat" / "mirrored.jpg", mirrored, quality=90)
    assert left_out(report_of(photos, copy_distance=12))["train/cat/mirrored.jpg"] == (
        "leak",
        "looks like val/cat/9.png",
    )


def test_of_the_same_pixels_in_one_class_the_first_stays(photos):
    for name in ("0 copy.png", "0 copy 2.png"):
        save(photos / "train" / "cat" / name, scene(0))
    report = report_of(photos)
    assert set(left_out(report)) < {f"train/cat/{n}.png" for n in ("0", "0 copy", "0 copy 2")}
    assert {kind for kind, _ in left_out(report).values()} == {"copy"}
    assert len(report.left_out) == 2 and len(report.copies) == 1


def test_copies_in_one_class_that_are_only_alike_are_told_but_stay(photos):
    save(photos / "train" / "cat" / "brighter.jpg", scene(0).point(lambda v: min(255, v * 1.1)))
    report = report_of(photos)
    assert report.left_out == ()
    [copies] = report.copies
    assert not copies.same_pixels and len(copies.members) == 2


def test_pictures_alike_with_two_labels_are_told_but_stay(photos):
    save(photos / "train" / "dog" / "small cat.jpg", scene(0).resize((60, 60)), quality=80)
    report = report_of(photos)
    assert report.left_out == ()
    assert [look.name for look in report.two_labels[0].members] == [
        "train/cat/0.png",
        "train/dog/small cat.jpg",
    ]


def test_a_picture_that_shows_nothing_and_one_with_a_wrong_name_are_told(photos):
    save(photos / "train" / "cat" / "black.png", Image.new("RGB", (30, 20)))
    save(photos / "train" / "cat" / "9.jpg", scene(9), format="PNG")
    report = report_of(photos)
    assert report.left_out == ()
    assert report.one_tone == ["train/cat/black.png"]
    assert report.misnamed == ["train/cat/9.jpg"]
    assert report.sizes[0].name == "train/cat/black.png"


def test_a_class_that_is_larger_or_empty_is_told(photos):
    for number in range(3, 12):
        save(photos / "train" / "dog" / f"{number}.png", scene(100 + number))
    assert report_of(photos).imbalance == 4.0


def test_one_tree_is_looked_at_as_it_is(photos):
    save(photos / "train" / "dog" / "again.png", scene(0))
    report = inspect(open_parts(photos / "train"))
    assert report.parts == ("all",)
    assert set(left_out(report)) == {"cat/0.png", "dog/again.png"}


def write_list(path, report):
    lines = [json.dumps(each.to_record()) for each in report.left_out]
    path.write_text("\n".join(lines) + "\n")
    return read_left_out(path)


def test_what_is_listed_is_left_out_of_training_and_evaluation(photos, tmp_path):
    save(photos / "train" / "cat" / "same.png", scene(50))
    (photos / "val" / "dog" / "1.png").write_bytes(b"")
    names = write_list(tmp_path / "list.jsonl", report_of(photos))
    train, val = open_splits(photos, left_out=names)
    assert (len(train), len(val)) == (9, 5)
    assert "train/cat/same.png: the same pixels as val/cat/0.png" in train.skipped
    assert "1 pictures of train are left out by a list of 2" in train.notes
    assert report_of(photos).left_out
    assert inspect([train, val]).left_out == ()
    assert len(open_dataset(photos, "val", left_out=names)) == 5
    first, second = open_splits(
        photos / "train", val_split=0.4, left_out={"cat/same.png": "seen elsewhere"}
    )
    assert len(first) + len(second) == 9


@pytest.mark.parametrize("line", ["no json", '{"reason": "a"}', "[1]", "7"])
def test_a_list_that_is_none_is_refused_by_its_line(tmp_path, line):
    path = tmp_path / "list.jsonl"
    path.write_text('{"path": "a.jpg"}\n\n' + line)
    with pytest.raises(DatasetError, match=r"list\.jsonl', line 3: .* is no picture to leave out"):
        read_left_out(path)


def test_a_list_that_leaves_nothing_is_refused(photos, tmp_path):
    names = {f"val/{name}/{n}.png": "" for name in ("cat", "dog", "bird") for n in (0, 1)}
    with pytest.raises(DatasetError, match="leaves out all 6 pictures"):
        open_splits(photos, left_out=names)
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        read_left_out(tmp_path / "missing.jsonl")
