import json
import shlex

import pytest

from tiny import BLUE, GREEN, RED, save_square


@pytest.fixture
def photos(tmp_path):
    """Squares in two classes, of which one cannot be read and one is in both."""
    for number, (name, color) in enumerate((("red", RED), ("blue", BLUE))):
        save_square(tmp_path / "photos" / name / "one.png", color)
        save_square(tmp_path / "photos" / name / "both.png", GREEN, (30, 30))
        save_square(tmp_path / "photos" / name / "two.png", color, (40, 30 + number))
    (tmp_path / "photos" / "red" / "two.png").write_bytes(b"")
    return tmp_path / "photos"


def test_what_is_wrong_is_shown_listed_and_put_on_a_page(ghostkit, photos, tmp_path):
    target, page = tmp_path / "out.jsonl", tmp_path / "page.html"
    outcome = ghostkit("check", photos, "-o", target, "--html", page)
    assert outcome.status == 1
    assert "3 of 6 pictures are better left out" in outcome.out
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["refused", "red/two.png", "empty", "file"] in rows
    records = [json.loads(line) for line in target.read_text().splitlines()]
    assert {each["path"]: each["kind"] for each in records} == {
        "blue/both.png": "two labels",
        "red/both.png": "two labels",
        "red/two.png": "refused",
    }
    assert f"next: ghostkit train {photos} --val-split 0.2 --leave-out {target}" in outcome.err
    text = page.read_text()
    assert "Photos with two labels: 1" in text and text.count("data:image/jpeg") == 2
    again = ghostkit("check", photos, "-o", target)
    assert again.status == 2 and "exists" in again.err


def test_the_next_command_is_one_for_a_shell(ghostkit, photos, tmp_path):
    flat, labels = tmp_path / "flat photos", tmp_path / "labels.txt"
    flat.mkdir()
    for name in ("red", "blue"):
        (photos / name / "one.png").rename(flat / f"{name}.png")
    labels.write_text("red.png\tred\nblue.png\tblue\n")
    target = tmp_path / "out.jsonl"
    words = shlex.split(
        ghostkit("check", flat, "--labels", labels, "-o", target).err.partition("next: ")[2]
    )
    assert words[:5] == ["ghostkit", "train", str(flat), "--labels", str(labels)]
    assert words[5:] == ["--val-split", "0.2", "--leave-out", str(target)]


def test_a_data_set_without_faults_has_status_0(ghostkit, photos):
    for name in ("red/two.png", "red/both.png", "blue/both.png"):
        (photos / name).unlink()
    outcome = ghostkit("check", photos)
    assert outcome.status == 0 and "nothing to leave out" in outcome.out


def test_json_has_everything(ghostkit, photos):
    record = json.loads(ghostkit("check", photos, "--json").out)
    assert record["pictures"] == 6
    assert {each["name"]: each["all"] for each in record["classes"]} == {"blue": 3, "red": 3}
    assert [each["labels"] for each in record["copies"]] == [["blue", "red"]]
    assert record["one_tone"] == [
        f"{name}.png" for name in ("blue/both", "blue/one", "blue/two", "red/both", "red/one")
    ]


def test_evaluate_and_pack_leave_out_what_is_listed(ghostkit, make_model, photos, tmp_path):
    target = tmp_path / "out.jsonl"
    ghostkit("check", photos, "-o", target)
    save_square(photos / "green" / "one.png", GREEN, (17, 19))
    model = make_model()
    assert ghostkit("evaluate", model, photos).status == 1
    outcome = ghostkit("evaluate", model, photos, "--leave-out", target)
    assert outcome.status == 0
    assert "4 photos, 4 answered" in outcome.out
    assert "3 pictures are left out by a list of 3" in outcome.err
    packed = ghostkit("pack", photos, tmp_path / "packed", "--leave-out", target)
    assert packed.status == 0 and "4 pictures in 1 archives" in packed.err
    assert ghostkit("check", tmp_path / "packed").status == 0


def test_a_folder_that_is_no_data_set_is_said(ghostkit, tmp_path):
    (tmp_path / "a.txt").write_text("")
    outcome = ghostkit("check", tmp_path)
    assert outcome.status == 2 and "cannot tell how" in outcome.err
