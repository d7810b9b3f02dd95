import hashlib
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ghostkit.dataset import Sample, open_dataset, open_splits
from ghostkit.errors import DatasetError, UsageError
from ghostkit.train.recipe import Recipe


def picture(path, seed=0):
    """A small PNG of random blocks; each seed gives another photo, one seed gives copies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((32, 32), Image.Resampling.NEAREST).save(path, "PNG")


def write(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def tree(root, **sizes):
    for number, (name, size) in enumerate(sizes.items()):
        for index in range(size):
            picture(root / name / f"{index}.png", seed=(number, index))
    return root


def paths(dataset):
    return [os.path.relpath(sample.path, dataset.root) for sample in dataset.samples]


class TestParts:
    def test_classes_are_indexed_in_natural_order(self, tmp_path):
        for part in ("train", "val"):
            tree(tmp_path / part, class10=1, class2=2, b=1, A=1, **{"class": 1})
        data = open_dataset(tmp_path, "train")
        assert data.classes == ("A", "b", "class", "class2", "class10")
        assert data.split == "train" and data.root == str(tmp_path)
        assert data.samples[0] == Sample(str(tmp_path / "train" / "A" / "0.png"), 0)
        assert data.targets.tolist() == [0, 1, 2, 3, 3, 4]
        assert data.targets.dtype == np.int64
        assert data.counts.tolist() == [1, 1, 1, 2, 1]
        assert data.notes == () and data.skipped == ()

    def test_pictures_are_in_class_then_natural_order(self, tmp_path):
        for name in ("b/10.png", "b/9.png", "a/x/2.png", "a/z.png", "a/1.png"):
            picture(tmp_path / "train" / name)
        names = [path.removeprefix("train/") for path in paths(open_dataset(tmp_path, "train"))]
        assert names == ["a/1.png", "a/x/2.png", "a/z.png", "b/9.png", "b/10.png"]

    def test_validation_goes_before_val_and_that_is_said(self, tmp_path):
        for part in ("train", "val", "validation"):
            tree(tmp_path / part, a=1, b=1)
        data = open_dataset(tmp_path, "val")
        assert paths(data)[0] == "validation/a/0.png"
        assert "validation/ is used" in data.notes[0]

    def test_test_stands_in_for_val_and_that_is_said(self, tmp_path):
        tree(tmp_path / "train", a=1, b=1)
        tree(tmp_path / "test", a=1, b=1)
        data = open_dataset(tmp_path, "val")
        assert paths(data)[0] == "test/a/0.png"
        assert "test/ is used" in data.notes[0]

    def test_a_class_called_train_is_a_class(self, tmp_path):
        tree(tmp_path, bus=1, car=1, train=1, test=1)
        assert open_dataset(tmp_path).classes == ("bus", "car", "test", "train")

    def test_a_class_that_train_lacks_is_named(self, tmp_path):
        tree(tmp_path / "train", a=1, b=1)
        tree(tmp_path / "val", a=1, c=1)
        with pytest.raises(DatasetError, match="class folders of train/: 'c'"):
            open_dataset(tmp_path, "val")

    def test_a_class_in_another_case_gets_a_hint(self, tmp_path):
        tree(tmp_path / "train", cat=1, dog=1)
        tree(tmp_path / "val", Cat=1, dog=1)
        with pytest.raises(DatasetError, match=r"'Cat' \(not 'cat'\)"):
            open_dataset(tmp_path, "val")

    def test_a_class_that_val_lacks_is_reported(self, tmp_path):
        tree(tmp_path / "train", a=1, b=1, c=1)
        tree(tmp_path / "val", a=1, c=1)
        data = open_dataset(tmp_path, "val")
        assert data.classes == ("a", "b", "c") and data.targets.tolist() == [0, 2]
        assert "1 of 3 classes have no picture here: 'b'" in data.notes[0]

    def test_both_parts_come_at_once(self, tmp_path):
        tree(tmp_path / "train", a=2, b=1)
        tree(tmp_path / "val", a=1, b=1)
        train, val = open_splits(tmp_path)
        assert (len(train), len(val)) == (3, 2)
        assert (train.name, val.name) == (f"{tmp_path.name}/train", f"{tmp_path.name}/val")

    def test_all_of_two_parts_is_not_one_data_set(self, tmp_path):
        tree(tmp_path / "train", a=1, b=1)
        tree(tmp_path / "val", a=1, b=1)
        with pytest.raises(UsageError, match="say which part"):
            open_dataset(tmp_path)

    def test_the_only_part_is_opened_unasked(self, tmp_path):
        tree(tmp_path / "val", b=1, a=1)
        data = open_dataset(tmp_path)
        assert data.classes == ("a", "b") and data.split == "val"
        assert "there is no train/" in data.notes[0]

    @pytest.mark.parametrize("part", ["train", "val"])
    def test_a_missing_part_says_what_was_looked_for_and_found(self, tmp_path, part):
        tree(tmp_path, cats=1, dogs=1)
        with pytest.raises(DatasetError, match=f"no {part} part.*found cats/, dogs/.*val-split"):
            open_dataset(tmp_path, part)

    def test_val_split_does_not_replace_a_val_part(self, tmp_path):
        tree(tmp_path / "train", a=1, b=1)
        tree(tmp_path / "val", a=1, b=1)
        with pytest.raises(UsageError, match="its own val part, val/"):
            open_splits(tmp_path, val_split=0.5)

    def test_train_alone_can_be_split(self, tmp_path):
        tree(tmp_path / "train", a=4, b=4)
        tree(tmp_path / "test", a=1, b=1)
        train, val = open_splits(tmp_path, val_split=0.25)
        assert len(train) == 6 and len(val) == 2
        assert {path.split("/")[0] for path in paths(train) + paths(val)} == {"train"}

    def test_a_flat_part_asks_for_labels(self, tmp_path):
        tree(tmp_path / "train", a=1, b=1)
        picture(tmp_path / "val" / "1.png")
        with pytest.raises(DatasetError, match="no class folders but 1 pictures.*--labels"):
            open_dataset(tmp_path, "val")


class TestTinyImageNet:
    @pytest.fixture
    def root(self, tmp_path):
        for wnid in ("n02", "n01"):
            picture(tmp_path / "train" / wnid / "images" / f"{wnid}_0.JPEG")
            write(tmp_path / "train" / wnid / f"{wnid}_boxes.txt", b"n02_0.JPEG\t0\t0\t1\t1\n")
        for index in range(2):
            picture(tmp_path / "val" / "images" / f"val_{index}.JPEG")
            picture(tmp_path / "test" / "images" / f"test_{index}.JPEG")
        annotations = b"val_0.JPEG\tn02\t0\t32\t44\t62\r\nval_1.JPEG\tn01\t0\t0\t1\t1\r\n"
        write(tmp_path / "val" / "val_annotations.txt", annotations)
        write(tmp_path / "wnids.txt", b"n02\nn01\n")
        return tmp_path

    def test_both_parts_are_understood(self, root):
        train, val = open_splits(root)
        assert train.classes == val.classes == ("n01", "n02")
        assert paths(train) == [f"train/n0{i}/images/n0{i}_0.JPEG" for i in (1, 2)]
        assert train.skipped == tuple(f"n0{i}/n0{i}_boxes.txt: not a picture" for i in (1, 2))
        assert paths(val) == ["val/images/val_1.JPEG", "val/images/val_0.JPEG"]
        assert val.targets.tolist() == [0, 1]

    def test_an_unknown_class_is_named_with_its_line(self, root):
        write(root / "val" / "val_annotations.txt", b"val_0.JPEG\tn01\t0\nval_1.JPEG\tn03\t0\n")
        with pytest.raises(DatasetError, match="line 2: class 'n03' is not among the 2 classes"):
            open_dataset(root, "val")

    def test_a_val_part_that_was_sorted_into_class_folders(self, root):
        for index, name in enumerate(("n02", "n01")):
            (root / "val" / name).mkdir()
            old = root / "val" / "images" / f"val_{index}.JPEG"
            old.rename(root / "val" / name / old.name)
        (root / "val" / "images").rmdir()
        val = open_dataset(root, "val")
        assert paths(val) == ["val/n01/val_1.JPEG", "val/n02/val_0.JPEG"]


class TestTree:
    def test_all_of_it(self, tmp_path):
        data = open_dataset(tree(tmp_path, b=2, a=1))
        assert data.split == "all" and data.name == tmp_path.name
        assert paths(data) == ["a/0.png", "b/0.png", "b/1.png"]

    def test_given_classes_set_the_indices(self, tmp_path):
        data = open_dataset(tree(tmp_path, b=1, a=1), classes=["c", "b", "a"])
        assert data.classes == ("c", "b", "a")
        assert paths(data) == ["b/0.png", "a/0.png"] and data.targets.tolist() == [1, 2]
        assert "1 of 3 classes have no picture here: 'c'" in data.notes

    def test_a_folder_that_is_not_among_given_classes_is_named(self, tmp_path):
        with pytest.raises(DatasetError, match="not among the given classes: 'b'"):
            open_dataset(tree(tmp_path, b=1, a=1), classes=["a", "c"])

    def test_given_classes_are_distinct(self, tmp_path):
        with pytest.raises(UsageError, match="'a' is given twice"):
            open_dataset(tree(tmp_path, a=1), classes=["a", "b", "a"])

    def test_a_relative_root_stays_relative(self, tmp_path, monkeypatch):
        tree(tmp_path / "photos", a=1, b=1)
        monkeypatch.chdir(tmp_path)
        assert open_dataset("photos").samples[0].path == os.path.join("photos", "a", "0.png")
        assert open_dataset("photos").fingerprint == open_dataset("photos/").fingerprint

    def test_stray_files_are_counted_and_never_fatal(self, tmp_path):
        tree(tmp_path, a=1, b=1)
        for name in (".DS_Store", "a/Thumbs.db", "a/notes.txt", "b/.hidden.jpg", "a/.git/x.jpg"):
            write(tmp_path / name)
        picture(tmp_path / "loose.png")
        picture(tmp_path / ".cache" / "x.png")
        data = open_dataset(tmp_path)
        assert len(data) == 2
        assert set(data.skipped) == {
            ".DS_Store: a hidden file",
            ".cache/: not a class folder",
            "a/.git/: a hidden folder",
            "a/Thumbs.db: not a picture",
            "a/notes.txt: not a picture",
            "b/.hidden.jpg: a hidden file",
            "loose.png: a picture outside the class folders",
        }
        assert "7 files or lines were left out" in data.notes[0]

    def test_every_picture_suffix_in_any_case(self, tmp_path):
        for suffix in ("jpg", "JPEG", "Png", "webp", "BMP", "gif", "tif", "TIFF"):
            picture(tmp_path / "a" / f"x.{suffix}")
        picture(tmp_path / "b" / "x.jpg")
        assert open_dataset(tmp_path).counts.tolist() == [8, 1]

    def test_odd_names_work(self, tmp_path):
        names = ["a b", "v1.0", "猫", "new\nline", os.fsdecode(b"caf\xe9")]
        for name in names:
            picture(tmp_path / name / f"{name}.png")
        data = open_dataset(tmp_path)
        assert set(data.classes) == set(names)
        assert all(os.path.isfile(sample.path) for sample in data.samples)
        assert len(data.fingerprint) == 64

    def test_links_to_files_and_folders_are_followed(self, tmp_path):
        tree(tmp_path / "elsewhere", c=2)
        root = tree(tmp_path / "root", a=1, b=1)
        (root / "b" / "link.png").symlink_to(tmp_path / "elsewhere" / "c" / "0.png")
        (root / "c").symlink_to(tmp_path / "elsewhere" / "c")
        assert open_dataset(root).counts.tolist() == [1, 2, 2]

    def test_link_loops_end(self, tmp_path):
        tree(tmp_path, a=1, b=1)
        for name, target in (("up", ".."), ("here", "."), ("self", "self"), ("b", "../b")):
            (tmp_path / "a" / name).symlink_to(target)
        (tmp_path / "b" / "a").symlink_to("../a")
        (tmp_path / "b" / "broken.png").symlink_to("nowhere.png")
        data = open_dataset(tmp_path)
        assert "b/broken.png: a broken link, or not a file" in data.skipped
        assert "a/up/: a link to a folder that is already counted" in data.skipped
        assert "a/self: not a picture" in data.skipped
        # Links between class folders are followed: the user put the pictures there.
        assert data.counts.tolist() == [2, 2]

    def test_a_fifo_is_not_a_picture(self, tmp_path):
        tree(tmp_path, a=1, b=1)
        os.mkfifo(tmp_path / "a" / "pipe.png")
        assert "a/pipe.png: a broken link, or not a file" in open_dataset(tmp_path).skipped

    def test_a_missing_folder(self, tmp_path):
        with pytest.raises(DatasetError, match="no folder '.*nowhere'"):
            open_dataset(tmp_path / "nowhere")

    def test_a_file_instead_of_a_folder(self, tmp_path):
        write(tmp_path / "photos.zip")
        with pytest.raises(DatasetError, match="is a file; expected a folder"):
            open_dataset(tmp_path / "photos.zip")

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(DatasetError, match="no folder, 0 pictures, 0 other files"):
            open_dataset(tmp_path)

    def test_a_flat_folder_says_what_was_looked_for(self, tmp_path):
        picture(tmp_path / "1.png")
        with pytest.raises(DatasetError, match="Looked for: train/.*1 pictures.*--labels FILE"):
            open_dataset(tmp_path)

    def test_a_class_without_pictures_is_named(self, tmp_path):
        tree(tmp_path, a=1, b=1)
        write(tmp_path / "c" / "notes.txt")
        with pytest.raises(DatasetError, match="c' holds no picture \\(1 other files\\)"):
            open_dataset(tmp_path)

    def test_one_class_only(self, tmp_path):
        with pytest.raises(DatasetError, match="one class only, 'images'"):
            open_dataset(tree(tmp_path, images=2))

    @pytest.mark.parametrize("names", [("Cat", "cat"), ("caf\u00e9", "cafe\u0301")])
    def test_names_that_differ_by_case_or_accent_encoding_are_both_named(self, tmp_path, names):
        tree(tmp_path, **dict.fromkeys(names, 1))
        if len(os.listdir(tmp_path)) == 1:
            pytest.skip("this file system takes the two names for one")
        with pytest.raises(DatasetError, match="|".join(names)):
            open_dataset(tmp_path)

    def test_an_unreadable_folder_is_named(self, tmp_path, monkeypatch):
        tree(tmp_path, a=1, b=1)
        scandir = os.scandir

        def refuse(path):
            if str(path).rstrip("/").endswith("b"):
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(DatasetError, match="b/?': Permission denied; check its permissions"):
            open_dataset(tmp_path)


class TestFingerprint:
    def test_it_is_a_hash_of_path_size_and_class(self, tmp_path):
        tree(tmp_path, a=1, b=1)
        sizes = [(tmp_path / name / "0.png").stat().st_size for name in "ab"]
        text = f"a/0.png\0{sizes[0]}\0{0}\nb/0.png\0{sizes[1]}\0{1}\n"
        expected = hashlib.sha256(text.encode()).hexdigest()
        assert open_dataset(tmp_path).fingerprint == expected

    def test_it_stays_when_the_folder_moves_and_changes_with_a_file(self, tmp_path):
        tree(tmp_path / "one", a=2, b=2)
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        first, second = (open_dataset(tmp_path / name).fingerprint for name in ("one", "two"))
        assert first == second
        with open(tmp_path / "two" / "a" / "1.png", "ab") as stream:
            stream.write(b"x")
        assert open_dataset(tmp_path / "two").fingerprint != first

    def test_a_file_that_is_gone_is_named(self, tmp_path):
        data = open_dataset(tree(tmp_path, a=2, b=1))
        (tmp_path / "a" / "1.png").unlink()
        with pytest.raises(DatasetError, match="1.png' is gone"):
            _ = data.fingerprint


class TestLabels:
    def test_indices_with_and_without_class_names(self, tmp_path):
        for name in ("img 1.png", "img 2.png", "img 10.png"):
            picture(tmp_path / "flat" / name)
        labels = tmp_path / "val_label.txt"
        labels.write_bytes(b"\xef\xbb\xbfimg 1.png 2\r\nimg 10.png 0\r\nimg 2.png 2\r\n")
        data = open_dataset(tmp_path / "flat", labels=labels)
        assert data.classes == ("0", "1", "2")
        assert paths(data) == ["img 10.png", "img 1.png", "img 2.png"]
        assert data.targets.tolist() == [0, 2, 2]
        named = open_dataset(tmp_path / "flat", labels=labels, classes=["ant", "bee", "cat"])
        assert named.classes == ("ant", "bee", "cat") and named.samples == data.samples

    def test_class_names(self, tmp_path):
        for index in range(3):
            picture(tmp_path / "flat" / f"{index}.png")
        labels = tmp_path / "labels.tsv"
        labels.write_text("0.png\tclass10\n1.png\tclass2\n2.png\tclass10\n")
        data = open_dataset(tmp_path / "flat", labels=labels)
        assert data.classes == ("class2", "class10") and data.targets.tolist() == [0, 1, 1]

    def test_what_has_no_other_half_is_recorded(self, tmp_path):
        for index in range(3):
            picture(tmp_path / f"{index}.png")
        labels = tmp_path / "labels.txt"
        labels.write_text("0.png 0\nmissing.png 1\n1.png 1\n0.png 0\n../outside.png 1\n")
        data = open_dataset(tmp_path, labels=labels)
        assert len(data) == 2
        assert set(data.skipped) == {
            "labels.txt: not a picture",
            f"{labels} line 2: no picture 'missing.png'",
            f"{labels} line 4: repeats line 1, '0.png'",
            f"{labels} line 5: no picture '../outside.png'",
            "2.png: no label",
        }

    def test_no_line_names_a_picture(self, tmp_path):
        picture(tmp_path / "flat" / "a.png")
        (tmp_path / "labels.txt").write_text("b.png 0\nc.png 1\n")
        with pytest.raises(
            DatasetError, match="none of its 2 lines.*'b.png'.*the first is 'a.png'"
        ):
            open_dataset(tmp_path / "flat", labels=tmp_path / "labels.txt")

    def test_a_part_of_a_flat_folder_needs_val_split(self, tmp_path):
        for index in range(4):
            picture(tmp_path / "flat" / f"{index}.png", seed=index)
        labels = tmp_path / "labels.txt"
        labels.write_text("".join(f"{index}.png {index % 2}\n" for index in range(4)))
        with pytest.raises(UsageError, match="val_split"):
            open_dataset(tmp_path / "flat", "train", labels=labels)
        train, val = open_splits(tmp_path / "flat", labels=labels, val_split=0.5)
        assert train.counts.tolist() == val.counts.tolist() == [1, 1]


class TestSplit:
    def test_the_parts_hold_every_picture_once(self, tmp_path):
        tree(tmp_path, a=10, b=5)
        train, val = open_splits(tmp_path, val_split=0.2)
        assert sorted(paths(train) + paths(val)) == sorted(paths(open_dataset(tmp_path)))
        assert val.counts.tolist() == [2, 1]
        assert (train.split, val.split) == ("train", "val")
        assert "3 of 15 pictures are held out" in train.notes[0]

    def test_one_part_equals_its_half_of_both(self, tmp_path):
        tree(tmp_path, a=6, b=6)
        both = open_splits(tmp_path, val_split=0.3, seed=5)
        alone = [open_dataset(tmp_path, part, val_split=0.3, seed=5) for part in ("train", "val")]
        assert [one.samples for one in both] == [one.samples for one in alone]

    def test_the_seed_decides(self, tmp_path):
        tree(tmp_path, a=12, b=12)
        vals = [open_splits(tmp_path, val_split=0.5, seed=seed)[1].samples for seed in (0, 0, 1)]
        assert vals[0] == vals[1] != vals[2]

    def test_the_split_is_the_same_on_every_machine(self, tmp_path):
        tree(tmp_path, a=6, b=6)
        expected = ["a/0.png", "a/4.png", "b/0.png", "b/1.png"]
        assert paths(open_splits(tmp_path, val_split=0.34, seed=0)[1]) == expected

    def test_programs_split_as_the_commands_do(self, tmp_path):
        tree(tmp_path, a=6, b=6)
        seed = Recipe().seed
        default, given = (open_splits(tmp_path, val_split=0.34, **k) for k in ({}, {"seed": seed}))
        assert paths(default[1]) == paths(given[1])

    def test_copies_of_a_photo_stay_together(self, tmp_path):
        for index in range(12):
            picture(tmp_path / "a" / f"{index}.png", seed=index // 3)
            picture(tmp_path / "b" / f"{index}.png", seed=100 + index)
        for seed in range(5):
            _, val = open_splits(tmp_path, val_split=0.25, seed=seed)
            indices = [int(os.path.basename(s.path)[:-4]) // 3 for s in val.samples if not s.target]
            assert len(indices) == 3 and len(set(indices)) == 1
            assert "12 pictures are near-duplicates in 4 groups, the largest of 3" in val.notes[1]

    def test_a_class_of_one_photo_stays_in_training_and_that_is_said(self, tmp_path):
        tree(tmp_path, b=4)
        for index in range(3):
            picture(tmp_path / "a" / f"{index}.png", seed=99)
        train, val = open_splits(tmp_path, val_split=0.5)
        assert train.counts.tolist() == [3, 2] and val.counts.tolist() == [0, 2]
        assert "no picture could be held out of 'a'" in train.notes[-1]

    def test_all_alike_cannot_be_split_unless_copies_are_ignored(self, tmp_path):
        for name in ("a/0", "a/1", "b/0", "b/1"):
            picture(tmp_path / f"{name}.png", seed=7)
        with pytest.raises(DatasetError, match="nothing can be held out"):
            open_splits(tmp_path, val_split=0.5)
        train, val = open_splits(tmp_path, val_split=0.5, copy_distance=None)
        assert len(train) == len(val) == 2

    def test_broken_pictures_are_split_like_others_and_counted(self, tmp_path):
        tree(tmp_path, a=4, b=4)
        write(tmp_path / "a" / "broken.jpg", b"no picture")
        write(tmp_path / "a" / "empty.jpg")
        train, val = open_splits(tmp_path, val_split=0.5)
        assert len(train) + len(val) == 10
        assert "2 pictures cannot be decoded" in train.notes[-1]

    @pytest.mark.parametrize("share", [0, 1, -0.1, 20, float("nan")])
    def test_a_senseless_share_is_refused(self, tmp_path, share):
        with pytest.raises(UsageError, match=r"expected a share between 0 and 1"):
            open_splits(tmp_path, val_split=share)

    def test_a_share_without_a_part_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="train or val"):
            open_dataset(tmp_path, val_split=0.2)


@pytest.mark.data
def test_the_photo_archives_are_understood(unpacked):
    hymenoptera = open_splits(unpacked("hymenoptera-288") / "hymenoptera")
    assert [part.counts.tolist() for part in hymenoptera] == [[123, 121], [70, 83]]
    flowers = open_dataset(unpacked("flower-photos-128") / "flower-photos", "val")
    assert flowers.counts.tolist() == [127, 180, 129, 140, 160]
    sample = open_dataset(unpacked("imagenet-sample-images-288") / "imagenet-sample")
    assert len(sample.classes) == 1000 and sample.counts.tolist() == [1] * 1000
