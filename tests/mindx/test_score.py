import json

import numpy as np
import pytest

from ghostkit.errors import DatasetError, UsageError
from ghostkit.mindx.score import score
from mindx.originals import score_as_the_original


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def labels(tmp_path, *lines):
    path = tmp_path / "val_label.txt"
    path.write_text("".join(line + "\n" for line in lines))
    return path


def imagenet(tmp_path, ranks):
    """71 results of some ids each with as many labels, as the original's folders hold them."""
    generator = np.random.default_rng(6)
    folder = tmp_path / "result"
    folder.mkdir()
    lines = []
    for number in range(1, 72):
        ids = generator.choice(1000, 5, replace=False)
        name = f"ILSVRC2012_val_{number:08d}"
        truth = ids[number % 5] if number % 3 else (ids[0] + 1) % 1000
        lines.append(f"{name}.JPEG {truth}")
        (folder / f"{name}_1.txt").write_text("".join(f"{index} " for index in ids[:ranks]) + "\n")
    return folder, labels(tmp_path, *lines)


@pytest.mark.parametrize("ranks", [5, 3, 1])
def test_well_formed_input_gives_the_bytes_of_the_original(ghostkit, tmp_path, ranks):
    folder, truths = imagenet(tmp_path, ranks)
    printed, written = score_as_the_original(folder, truths)
    outcome = ghostkit("score", folder, truths, tmp_path, "./result.json")
    assert outcome.status == 0
    assert outcome.out == printed + "\n"
    assert (tmp_path / "result.json").read_text() == written
    assert f"Top{ranks} accuracy" in written and "0.0%" not in written


def test_the_percentages_round_as_numpy_rounds(tmp_path):
    for total in range(1, 300):
        for hits in (1, total // 3, total - 1):
            expected = f"{round(np.float64(hits) / total * 100, 2)}%"
            row = _score(images=total, hits=(hits,)).to_record()["value"][2]
            assert row == {"key": "Top1 accuracy", "value": expected}


def _score(images, hits):
    from ghostkit.mindx.score import Score

    return Score(
        images=images,
        classes=10,
        hits=hits,
        missing=(),
        unanswered=(),
        unlabelled=(),
        ambiguous=(),
        unreadable=(),
        repeated=(),
    )


def test_an_empty_result_is_wrong_and_not_class_0(tmp_path):
    folder = write(tmp_path / "r", a_1__txt="", b_1__txt="1 0 \n")
    scored = score(folder, labels(tmp_path, "a.jpg 0", "b.jpg 1"))
    assert (scored.images, scored.hits) == (2, (1, 0))
    assert scored.unanswered == ("a.jpg",)
    assert "50.0%" in scored.to_json()


def test_where_every_result_is_empty_the_accuracy_is_0_and_said(tmp_path):
    folder = write(tmp_path / "r", a_1__txt="", b_1__txt="")
    scored = score(folder, labels(tmp_path, "a.jpg 0", "b.jpg 1"))
    assert scored.to_record()["value"][2] == {"key": "Top1 accuracy", "value": "0.0%"}
    elsewhere = write(tmp_path / "other", x_1__txt="0 \n")
    whole = score(elsewhere, tmp_path / "val_label.txt")
    part = score(elsewhere, tmp_path / "val_label.txt", subset=True)
    assert (whole.images, whole.hits) == (2, (0,)) and (part.images, part.hits) == (0, ())


def test_a_result_that_two_labels_claim_is_of_neither(ghostkit, tmp_path):
    folder = write(tmp_path / "r", a_1__txt="0 \n", b_1__txt="1 \n")
    truths = labels(tmp_path, "a.jpg 0", "a.png 1", "b.jpg 1")
    scored = score(folder, truths)
    assert scored.ambiguous == ("a_1.txt",) and scored.missing == ("a.jpg", "a.png")
    assert (scored.images, scored.hits) == (3, (1,))
    outcome = ghostkit("score", folder, truths, tmp_path, "result.json")
    assert outcome.status == 1 and "Results of several labels: 1: a_1.txt" in outcome.err
    only = write(tmp_path / "only", a_1__txt="0 \n")
    assert score(only, truths, subset=True).images == 0
    (folder / "a_1.txt").unlink()
    write(folder, a__jpg_1__txt="0 \n", a__png_1__txt="0 \n")
    whole_names = score(folder, truths)
    assert whole_names.well_formed and whole_names.hits == (2,)


def test_a_label_without_a_result_counts_as_wrong_unless_it_is_a_subset(tmp_path):
    folder = write(tmp_path / "r", a_1__txt="0 \n")
    truths = labels(tmp_path, "a.jpg 0", "b.jpg 1", "c.jpg 1")
    whole, part = score(folder, truths), score(folder, truths, subset=True)
    assert (whole.images, whole.hits, whole.missing) == (3, (1,), ("b.jpg", "c.jpg"))
    assert (part.images, part.hits, part.missing) == (1, (1,), ())
    assert {"key": "Images without a result", "value": "2"} in whole.to_record()["value"]


def test_results_without_a_label_and_stray_files_are_named_and_not_counted(ghostkit, tmp_path):
    folder = write(
        tmp_path / "r", a_1__txt="0 \n", x_1__txt="0 \n", notes__md="", b_1__txt="cat \n"
    )
    truths = labels(tmp_path, "a.jpg 0", "b.jpg 1")
    scored = score(folder, truths)
    assert scored.unlabelled == ("x_1.txt",)
    assert scored.unreadable == ("b_1.txt", "notes.md")
    assert (scored.images, scored.hits) == (2, (1,))
    outcome = ghostkit("score", folder, truths, tmp_path, "result.json")
    assert outcome.status == 1
    assert "Results without a label: 1: x_1.txt" in outcome.err
    assert "Images without a result: 1: b.jpg" in outcome.err


def test_dots_and_underscores_in_names_pair_up(tmp_path):
    folder = write(tmp_path / "r")
    for name in ("a.b_1.txt", "a.c_1.txt", "d_2_1.txt", "e_7.txt", "plain.txt"):
        (folder / name).write_text("1 \n")
    truths = labels(tmp_path, "a.b.JPEG 1", "a.c.JPEG 0", "d_2.jpg 1", "e_7.png 1", "plain.jpg 1")
    scored = score(folder, truths)
    assert scored.well_formed
    assert (scored.images, scored.hits) == (5, (4,))


def test_an_empty_first_run_gives_way_to_the_answer_of_a_second(tmp_path):
    folder = write(tmp_path / "r", a__txt="", a_1__txt="1 \n", b_1__txt="0 \n")
    scored = score(folder, labels(tmp_path, "a.jpg 1", "b.jpg 0"))
    assert (scored.images, scored.hits, len(scored.repeated)) == (2, (2,), 1)


def test_the_number_of_classes_is_that_of_labels_card_or_option(ghostkit, make_model, tmp_path):
    folder = write(tmp_path / "r", **{f"p{i}_1__txt": f"{i % 3} \n" for i in range(6)})
    truths = labels(tmp_path, *(f"p{i}.jpg {i % 3}" for i in range(6)))
    gaps = tmp_path / "gaps.txt"
    gaps.write_text("".join(f"p{i}.jpg {(i % 3) * 2}\n" for i in range(6)))
    assert score(folder, truths).classes == 3
    assert score(folder, gaps).classes == 1000
    assert score(folder, gaps, class_count=5).classes == 5
    ghostkit("score", folder, gaps, tmp_path, "a.json", "--class-count", 5)
    assert json.loads((tmp_path / "a.json").read_text())["value"][1]["value"] == "5"
    ghostkit("score", folder, truths, tmp_path, "b.json", "--model", make_model())
    assert json.loads((tmp_path / "b.json").read_text())["value"][1]["value"] == "3"


def test_a_class_id_beyond_the_classes_names_the_picture(tmp_path):
    folder = write(tmp_path / "r", a_1__txt="0 \n")
    with pytest.raises(DatasetError, match="'a.jpg' has class 7, but there are 5"):
        score(folder, labels(tmp_path, "a.jpg 7"), class_count=5)


def test_ranks_do_not_depend_on_the_file_that_is_read_last(tmp_path):
    folder = write(tmp_path / "r", a_1__txt="0 1 2 \n", b_1__txt="1 \n", c_1__txt="0 2 \n")
    scored = score(folder, labels(tmp_path, "a.jpg 2", "b.jpg 1", "c.jpg 0"))
    assert scored.hits == (2, 0, 1)


@pytest.mark.parametrize("missing", ["results", "labels"])
def test_a_missing_path_is_exit_status_2_and_writes_nothing(ghostkit, tmp_path, missing):
    folder = write(tmp_path / "r", a_1__txt="0 \n")
    truths = labels(tmp_path, "a.jpg 0")
    paths = {"results": folder, "labels": truths} | {missing: tmp_path / "absent"}
    outcome = ghostkit("score", paths["results"], paths["labels"], tmp_path / "out", "r.json")
    assert outcome.status == 2 and "absent" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no result; expected files NAME_1.txt"):
        score(write(tmp_path / "r"), labels(tmp_path, "a.jpg 0"))


def test_labels_behind_a_tab_are_indices_too(tmp_path):
    folder = write(tmp_path / "r", a_1__txt="3 \n", b_1__txt="4 \n")
    for tabbed in (
        labels(tmp_path, "a.JPEG\t3", "b.JPEG\t1"),
        labels(tmp_path, "a.JPEG 3", "b.JPEG 1"),
    ):
        found = score(folder, tabbed)
        assert (found.images, found.hits) == (2, (1,))
    with pytest.raises(DatasetError, match="line 1: the class is 'cat'; expected its index"):
        score(folder, labels(tmp_path, "a.JPEG\tcat"))


def test_labels_with_folders_pair_by_the_pictures_own_names(tmp_path):
    folder = write(tmp_path / "r", a_1__txt="3 \n", b_1__txt="4 \n", c_1__txt="0 \n")
    truths = ("n01/a.JPEG 3", "n02/b.JPEG 1", "n01/c.JPEG 0", "n02/c.JPEG 2")
    found = score(folder, labels(tmp_path, *truths))
    assert (found.images, found.hits) == (4, (1,))
    assert found.ambiguous == ("c_1.txt",)  # of either folder's picture
    assert found.missing == ("n01/c.JPEG", "n02/c.JPEG")


def test_a_folder_without_a_result_names_what_lies_there(tmp_path):
    folder = write(tmp_path / "r", a_1__txt="3 x\n", notes__md="")
    with pytest.raises(UsageError, match=r"holds no result; .*, not 'a_1.txt', 'notes.md'"):
        score(folder, labels(tmp_path, "a.JPEG 3"))
