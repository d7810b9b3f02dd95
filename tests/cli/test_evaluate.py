import json

import pytest

from ghostkit.dataset import open_dataset
from tiny import BLUE, GREEN, RED, save_square, tiny_card, write_bad


@pytest.fixture
def model(make_model):
    return make_model()


@pytest.fixture
def photos(tmp_path):
    colors = {"red": RED, "green": GREEN, "blue": BLUE}
    for name, color in colors.items():
        save_square(tmp_path / "photos" / name / "1.png", color)
    save_square(tmp_path / "photos" / "red" / "2.png", BLUE)
    return tmp_path / "photos"


def test_the_account_has_intervals_classes_and_what_is_confused(ghostkit, model, photos):
    outcome = ghostkit("evaluate", model, photos)
    assert outcome.status == 0
    words = " ".join(outcome.out.split())
    assert "top-1 75.0 % (30.1..95.4, 3 of 4)" in words
    assert "red 50.0 % 100.0 % 0.667 2" in words
    assert "red blue 1" in words


def test_the_files_are_whole_where_nobody_reads_the_table(
    ghostkit, model, photos, tmp_path, monkeypatch
):
    def gone(*_):
        raise BrokenPipeError

    monkeypatch.setattr("ghostkit.cli.report.evaluation_tables", gone)
    target, page = tmp_path / "e.json", tmp_path / "e.html"
    assert ghostkit("evaluate", model, photos, "-o", target, "--html", page).status != 0
    assert json.loads(target.read_text())["top1"]["total"] == 4
    assert "75.0" in page.read_text()
    same = ghostkit("evaluate", model, photos, "-o", tmp_path / "x", "--html", tmp_path / "x")
    assert "x' is asked for twice, as two files" in same.error


def test_corrupt_pictures_are_named_not_counted_and_the_exit_status_is_1(ghostkit, model, photos):
    reasons = write_bad(photos / "green")
    outcome = ghostkit("evaluate", model, photos)
    assert outcome.status == 1
    assert "3 of 4" in outcome.out
    assert "9 photos, 4 answered" in outcome.out
    for name, words in reasons.items():
        assert f"no answer: {photos}/green/{name}: {words}" in outcome.err


def test_of_many_corrupt_pictures_the_first_are_named(ghostkit, model, photos):
    for index in range(30):
        (photos / "green" / f"x{index}.png").touch()
    outcome = ghostkit("evaluate", model, photos)
    assert outcome.err.count("no answer: ") == 20
    assert "and 10 more without an answer; --json names them all" in outcome.err


def test_json_goes_to_standard_output_and_to_a_file(ghostkit, model, photos, tmp_path):
    (photos / "green" / "新\n\udcff.png").touch()
    output = tmp_path / "deep" / "result.json"
    outcome = ghostkit("evaluate", model, photos, "--json", "-o", output)
    assert outcome.status == 1
    record = json.loads(outcome.out)
    assert record == json.loads(output.read_text())
    assert record["images"] == 5
    assert record["unanswered"][0]["path"] == f"{photos}/green/新\n\udcff.png"


def test_an_output_that_exists_is_refused_before_the_work(ghostkit, model, photos, tmp_path):
    output = tmp_path / "result.json"
    output.write_text("earlier")
    message = ghostkit("evaluate", model, photos, "-o", output).error
    assert str(output) in message and "--overwrite" in message
    assert output.read_text() == "earlier"
    assert ghostkit("evaluate", model, photos, "-o", output, "--overwrite").status == 0
    assert json.loads(output.read_text())["images"] == 4


def test_an_output_that_cannot_be_written_is_refused_before_the_work(ghostkit, model, photos):
    for output in (photos / "red" / "1.png" / "result.json", photos):
        message = ghostkit("evaluate", model, photos, "-o", output, "--overwrite").error
        assert str(output) in message


def test_classes_that_the_model_does_not_know(ghostkit, model, photos):
    save_square(photos / "grün" / "1.png", GREEN)
    outcome = ghostkit("evaluate", model, photos)
    assert outcome.status == 2
    assert "does not know 1 of the 4 classes, the first is 'grün'" in outcome.err
    assert "'red', 'green', 'blue'" in outcome.err
    assert "\n" not in outcome.err.removesuffix("\n")


def test_a_label_of_a_class_that_the_model_does_not_know(ghostkit, model, photos, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("1.png\tred\n2.png\tbraun\n")
    message = ghostkit("evaluate", model, photos / "red", "--labels", labels).error
    assert str(labels) in message and "line 2: class 'braun'" in message
    labels.write_text("1.png\tred\n2.png\tblue\n")
    assert ghostkit("evaluate", model, photos / "red", "--labels", labels).status == 0


def test_a_list_of_indices_has_names_of_its_own(ghostkit, model, photos, tmp_path):
    labels, names = tmp_path / "labels.txt", tmp_path / "names.txt"
    labels.write_text("1.png 2\n2.png 2\n")
    names.write_text("blue\ngreen\nred\n")
    (tmp_path / "words.txt").write_text("1.png\tred\n2.png\tred\n")
    common = ("evaluate", model, photos / "red", "--labels")
    expected = ghostkit(*common, tmp_path / "words.txt").out
    assert ghostkit(*common, labels, "--classes", names).out == expected
    assert ghostkit(*common, labels).out != expected  # the model's third class is blue


def test_the_val_part_is_taken_where_there_is_one(ghostkit, model, photos, tmp_path):
    save_square(tmp_path / "d" / "train" / "red" / "1.png", BLUE)
    photos.rename(tmp_path / "d" / "val")
    for name in ("green", "blue"):
        save_square(tmp_path / "d" / "train" / name / "1.png", RED)
    assert "3 of 4" in ghostkit("evaluate", model, tmp_path / "d").out
    assert "0 of 3" in ghostkit("evaluate", model, tmp_path / "d", "--split", "train").out


@pytest.mark.parametrize("name", ["missing", "photos/red/1.png", "empty"])
def test_data_that_is_no_data_set_is_named(ghostkit, model, photos, tmp_path, name):
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / name) in ghostkit("evaluate", model, tmp_path / name).error


def test_a_data_set_of_which_nothing_can_be_read(ghostkit, model, tmp_path):
    for name in ("red", "green"):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "1.png").touch()
    outcome = ghostkit("evaluate", model, tmp_path / "d")
    assert outcome.status == 2
    assert "none of 2 pictures could be answered; the first: " in outcome.err


def test_photos_that_the_model_has_learned_are_told_and_written(
    ghostkit, make_model, photos, tmp_path
):
    card = tiny_card()
    learned = {"data": "photos", "data_fingerprint": open_dataset(photos).fingerprint}
    trained = card.provenance.model_copy(update=learned)
    model = make_model("own.onnx", card.model_copy(update={"provenance": trained}).to_json())
    page = tmp_path / "page.html"
    outcome = ghostkit("evaluate", model, photos, "--json", "--html", page)
    assert "the model was trained on these very photos, photos" in outcome.err
    assert "these very photos" in json.loads(outcome.out)["note"]
    assert "note: the model was trained on these very photos" in page.read_text()
