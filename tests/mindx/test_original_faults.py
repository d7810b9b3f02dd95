"""The faults found in the original's own code, each once, as a user would meet it."""

import json
import re
from pathlib import Path

import pytest

from ghostkit.mindx.score import score
from mindx.pipelines import ghostnet, write_project
from tiny import BLUE, GREEN, RED, save_square

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def infer(tmp_path, make_model):
    pytest.importorskip("cv2")
    return write_project(tmp_path / "infer", make_model)


@pytest.fixture
def run(ghostkit, infer, tmp_path):
    def call(*options):
        return ghostkit("pipeline", infer, tmp_path / "val", tmp_path / "result", *options)

    return call


def labels(tmp_path, text):
    path = tmp_path / "val_label.txt"
    path.write_text(text)
    return path


def results(tmp_path, **files):
    folder = tmp_path / "results"
    folder.mkdir()
    for stem, text in files.items():
        (folder / f"{stem}.txt").write_text(text)
    return folder


def test_01_three_preprocessings_are_one_or_are_told(run, ghostkit, tmp_path, make_model):
    save_square(tmp_path / "val" / "a.png", RED, (60, 40))
    assert "the host stretches every picture to 36x36, training kept its aspect" in run().err
    outcome = ghostkit(
        "mxbase", tmp_path / "val", "--model", make_model(), "-o", tmp_path / "other"
    )
    assert outcome.status == 0  # by the card's steps: tests/mindx/test_mxbase.py


def test_02_export_at_224_and_conversion_at_240_cannot_pass_unseen(ghostkit, tmp_path, make_model):
    pytest.importorskip("cv2")
    content = ghostnet(mxpi_opencvcentercrop={"cropHeight": "34", "cropWidth": "34"})
    path = write_project(tmp_path / "other", make_model, content)
    save_square(tmp_path / "val" / "a.png", RED, (60, 40))
    outcome = ghostkit("pipeline", path, tmp_path / "val", tmp_path / "result")
    assert outcome.status == 1
    assert "picture of 34x34, but the model takes 32x32 (1004)" in outcome.err


def test_03_a_name_without_jpeg_gets_its_own_answer_and_not_its_neighbours(run, tmp_path):
    save_square(tmp_path / "val" / "a.JPEG", RED, (40, 40))
    save_square(tmp_path / "val" / "b.png", BLUE, (40, 40))
    save_square(tmp_path / "val" / "c.jpg", GREEN, (40, 40))
    run()
    found = {p.name: p.read_text()[0] for p in (tmp_path / "result").iterdir()}
    assert found == {"a_1.txt": "0", "b_1.txt": "2", "c_1.txt": "1"}


def test_04_result_names_lose_the_suffix_and_not_five_characters(run, tmp_path):
    for name in ("photo.jpg", "photo5.png", "x.JPEG"):
        save_square(tmp_path / "val" / name, RED, (40, 40))
    run()
    names = {path.name for path in (tmp_path / "result").iterdir()}
    assert names == {"photo_1.txt", "photo5_1.txt", "x_1.txt"}


def test_05_a_time_above_one_second_is_not_its_fraction(infer, tmp_path):
    from ghostkit.cli.pipeline_run import run_time_line

    assert run_time_line(2.040236) == "sdk run time: 2040236"


def test_06_one_failing_picture_ends_nothing_and_is_exit_status_1(run, tmp_path):
    for name in ("a", "c", "d"):
        save_square(tmp_path / "val" / f"{name}.png", RED, (40, 40))
    (tmp_path / "val" / "b.JPEG").write_bytes(b"\xff\xd8\xff\xe0 cut")
    outcome = run()
    assert outcome.status == 1
    assert "4 pictures: 3 answered, 1 failed" in outcome.err
    assert not list((tmp_path / "result").glob("b*"))


def test_07_an_empty_result_is_not_class_0(tmp_path):
    folder = results(tmp_path, a_1="", b_1="1 \n")
    assert score(folder, labels(tmp_path, "a.jpg 0\nb.jpg 1\n")).hits == (1,)


def test_08_a_picture_without_a_result_or_without_a_label_is_named(ghostkit, tmp_path):
    folder = results(tmp_path, a_1="0 \n", stray_1="0 \n")
    truths = labels(tmp_path, "a.jpg 0\nb.jpg 1\n")
    outcome = ghostkit("score", folder, truths, tmp_path, "result.json")
    assert outcome.status == 1
    assert "Images without a result: 1: b.jpg" in outcome.err
    assert "Results without a label: 1: stray_1.txt" in outcome.err


def test_09_the_number_of_classes_is_not_always_1000(tmp_path):
    folder = results(tmp_path, **{f"p{i}_1": f"{i} \n" for i in range(10)})
    truths = labels(tmp_path, "".join(f"p{i}.jpg {i}\n" for i in range(10)))
    assert score(folder, truths).classes == 10


def test_10_dotted_names_match(run, ghostkit, tmp_path):
    save_square(tmp_path / "val" / "cat.01.JPEG", RED, (40, 40))
    save_square(tmp_path / "val" / "cat.02.JPEG", BLUE, (40, 40))
    run()
    truths = labels(tmp_path, "cat.01.JPEG 0\ncat.02.JPEG 2\n")
    outcome = ghostkit("score", tmp_path / "result", truths, tmp_path, "result.json")
    assert outcome.status == 0
    rows = json.loads((tmp_path / "result.json").read_text())["value"]
    assert {"key": "Top1 accuracy", "value": "100.0%"} in rows


def test_11_confidences_are_probabilities_or_it_is_said_that_they_are_not(
    ghostkit, run, tmp_path, make_model
):
    save_square(tmp_path / "val" / "a.png", RED, (40, 40))
    [confidence] = re.findall(r'"confidence":([\d.e+-]+)', run().out)[:1]
    assert 0 < float(confidence) < 1
    off = write_project(tmp_path / "off", make_model, config="CLASS_NUM=3\nTOP_K=1\n")
    outcome = ghostkit("pipeline", off, tmp_path / "val", tmp_path / "r2")
    assert "SOFTMAX is false and the model gives logits" in outcome.err


def test_12_no_label_line_is_deleted_by_hand_and_no_class_count_edited_unseen(
    ghostkit, run, infer, tmp_path
):
    (infer.parent / "classes.names").write_text("# x\nunknown type\nred\ngreen\nblue\n")
    save_square(tmp_path / "val" / "a.png", RED, (40, 40))
    outcome = run()
    assert '"classId":0,"className":"red"' in outcome.out
    assert "the leading 'unknown type' is no class of this model" in outcome.err
    (infer.parent / "infer.cfg").write_text("CLASS_NUM=1000\nSOFTMAX=true\nTOP_K=1\n")
    wrong = run("--overwrite")
    assert wrong.status == 2 and "write CLASS_NUM=3 into infer.cfg" in wrong.err


def test_13_an_accuracy_in_the_readme_names_its_data_and_counts():
    """The original's headline belongs to another width than the one it ships."""
    text = (ROOT / "README.md").read_text()
    assert "75.7" not in text and "73.98" not in text
    table = text.partition("## Measured results")[2].partition("\n## ")[0]
    accuracies = re.findall(r"^\| [^|]*top-1 \| (.+?) \|", table, re.MULTILINE)
    assert accuracies
    assert all(re.match(r"[\d.]+ % \([\d.]+, \d+ of \d+\)", each) for each in accuracies)
