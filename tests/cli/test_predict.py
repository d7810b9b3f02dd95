import csv
import json
import os

import pytest

from tiny import BLUE, GREEN, RED, save_square, write_bad, write_odd


@pytest.fixture
def model(make_model):
    return make_model()


@pytest.fixture
def photos(tmp_path):
    """Two good pictures, the five bad ones of `write_bad`, and a stray file."""
    folder = tmp_path / "photos"
    save_square(folder / "a.png", RED)
    save_square(folder / "z" / "b.png", BLUE)
    write_bad(folder)
    (folder / "notes.md").touch()
    return folder


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_without_an_output_each_answer_is_a_line_and_each_failure_named(ghostkit, model, photos):
    outcome = ghostkit("predict", model, photos)
    assert outcome.status == 1
    assert outcome.out.splitlines() == [
        f"{photos}/a.png: red 57.6 %, green 21.2 %, blue 21.2 %",
        f"{photos}/z/b.png: blue 57.6 %, red 21.2 %, green 21.2 %",
    ]
    *named, total = outcome.err.splitlines()
    assert total.startswith("7 pictures: 2 answered, 5 refused, 0 failed; 1 other files skipped")
    assert [line.split(": ")[1] for line in named] == [
        f"{photos}/{name}"
        for name in ("cut.jpg", "empty.png", "huge.png", "text.jpeg", "web page.webp")
    ]
    assert all(line.startswith("refused: ") for line in named)


def test_all_good_is_exit_0(ghostkit, model, tmp_path):
    paths = write_odd(tmp_path / "odd")
    outcome = ghostkit("predict", model, *paths, "--top-k", "1")
    assert outcome.status == 0
    assert [line.rpartition(" 57.")[0] for line in outcome.out.splitlines()] == [
        f"{path}: red" for path in paths
    ]


def test_a_path_that_does_not_exist_is_wrong_usage(ghostkit, model, tmp_path):
    good = save_square(tmp_path / "a.png", GREEN)
    message = ghostkit("predict", model, good, "missing.jpg", "-o", tmp_path / "out.jsonl").error
    assert message.startswith("'missing.jpg': no such file or folder; check the path")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_table_of_the_best_class_has_no_others(ghostkit, model, tmp_path):
    good = save_square(tmp_path / "a.png", GREEN)
    for output in (("-o", tmp_path / "a.csv"), ("--format", "csv")):
        message = ghostkit("predict", model, good, *output, "--top-k", "3").error
        assert message.startswith("--top-k 3: a CSV holds the best class alone; for more")
    assert not (tmp_path / "a.csv").exists()
    assert ghostkit("predict", model, good, "-o", tmp_path / "a.csv", "--top-k", "1").status == 0


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("predict", "MODEL", "http://example.com/cat.jpg"), "curl -O http://example.com/cat.jpg"),
        (("predict", "MODEL", "rtsp://cam/1"), "ffmpeg -i rtsp://cam/1 -vf fps=1 frames/%06d.jpg"),
        (("predict", "https://example.com/m.onnx", "."), "curl -O https://example.com/m.onnx"),
        (("predict", "-m", "gs://a/m.onnx", "."), "gs://a/m.onnx: gs:// is not fetched"),
        (("evaluate", "MODEL", "https://example.com/data"), "curl -O https://example.com/data"),
        (("verify", "MODEL", "MODEL", "--images", "http://a/b"), "curl -O http://a/b"),
    ],
)
def test_a_url_that_is_not_fetched_is_told_what_to_do(ghostkit, model, words, advice):
    words = [model if word == "MODEL" else word for word in words]
    message = ghostkit(*words).error
    assert "is not fetched (s3:// and obs:// are); " in message and advice in message


def test_a_missing_picture_of_a_list_is_named_and_the_rest_goes_on(
    ghostkit, model, tmp_path, give_list
):
    good = save_square(tmp_path / "a.png", GREEN)
    give_list("missing.jpg", good)
    outcome = ghostkit("predict", model, "-")
    assert outcome.status == 1
    assert outcome.err.startswith("refused: missing.jpg: file not found\n")
    assert outcome.out.startswith(f"{good}: green")


def test_json_lines_hold_every_picture_in_order(ghostkit, model, photos, tmp_path):
    output = tmp_path / "new folder" / "out.jsonl"
    outcome = ghostkit("predict", model, photos, "-o", output, "--batch-size", "2")
    assert (outcome.status, outcome.out) == (1, "")
    rows = records(output)
    assert [os.path.basename(row["path"]) for row in rows] == [
        *("a.png", "cut.jpg", "empty.png", "huge.png", "text.jpeg", "web page.webp", "b.png"),
    ]
    assert [row["status"] for row in rows] == ["answered", *["refused"] * 5, "answered"]
    assert rows[2]["reason"] == "empty file"


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_minus_writes_to_standard_output(ghostkit, model, photos, kind):
    outcome = ghostkit("predict", model, photos, "-o", "-", "--format", kind)
    assert outcome.status == 1
    lines = outcome.out.splitlines()
    assert len(lines) == 7 + (kind == "csv")
    if kind == "csv":
        assert [row["status"] for row in csv.DictReader(lines)].count("refused") == 5


def test_the_seeds_files(ghostkit, model, photos, tmp_path):
    outcome = ghostkit("predict", model, photos, "-o", f"{tmp_path}/results/", "--top-k", "2")
    assert outcome.status == 1
    texts = {path.name: path.read_text() for path in (tmp_path / "results").iterdir()}
    assert texts == {"a_1.txt": "0 1 \n", "b_1.txt": "2 0 \n"}
    assert outcome.err.count("refused: ") == 5


def test_pictures_that_would_share_a_result_file_are_refused_before_any_work(
    ghostkit, model, tmp_path
):
    first = save_square(tmp_path / "x" / "cat.png", RED)
    second = save_square(tmp_path / "y" / "cat.jpg", RED)
    message = ghostkit("predict", model, first, second, "-o", f"{tmp_path}/results/").error
    assert str(first) in message and str(second) in message
    assert not (tmp_path / "results").exists()


def test_of_many_failures_the_first_are_named_and_the_rest_counted(
    ghostkit, model, tmp_path, give_list
):
    missing = [f"no{i}.jpg" for i in range(50)]
    give_list(*missing)
    outcome = ghostkit("predict", model, "-", "-o", tmp_path / "out.jsonl")
    named = [line for line in outcome.err.splitlines() if line.startswith("refused: ")]
    assert named == [f"refused: no{i}.jpg: file not found" for i in range(20)]
    assert f"and 30 more without an answer; {tmp_path}/out.jsonl names them all" in outcome.err
    assert [row["path"] for row in records(tmp_path / "out.jsonl")] == missing
    give_list(*missing)
    everyone = ghostkit("predict", model, "-")
    assert everyone.err.count("refused: ") == 50  # no file names them


ODD_NAMES = [
    "with space.png",
    "two.dots.v1.png",
    "垃圾.png",
    "new\nline.png",
    "\x1b[31m.png",
    "\udcff.png",
]


def test_odd_names_are_kept_in_files_and_escaped_for_people(ghostkit, model, tmp_path, give_list):
    paths = [str(tmp_path / "photos" / name) for name in ODD_NAMES]
    for path in paths:
        os.makedirs(tmp_path / "photos", exist_ok=True)
        content = save_square(tmp_path / "square.png", RED).read_bytes()
        with open(path, "wb") as stream:
            stream.write(content)
    shown = ghostkit("predict", model, *paths)
    assert shown.status == 0
    lines = shown.out.removesuffix("\n").split("\n")
    assert len(lines) == len(paths)
    assert all(line.isprintable() for line in lines)
    assert r"new\nline.png: red" in shown.out and "垃圾.png: red" in shown.out
    output = tmp_path / "out.jsonl"
    assert ghostkit("predict", model, *paths, "-o", output).status == 0
    assert [row["path"] for row in records(output)] == paths
    listed = ghostkit("predict", model, tmp_path / "photos", "-o", "-")
    assert {json.loads(line)["path"] for line in listed.out.splitlines()} == set(paths)
    for name in ("gone\nx.jpg", "gone\x1b[2J.jpg"):
        assert ghostkit("predict", model, name).error.isprintable()
        give_list(name, end="\0")
        error = ghostkit("predict", model, "--null", "-").err
        assert error.replace("\n", "").isprintable()
        assert len(error.splitlines()) == 2


def test_a_folder_without_pictures_says_what_a_picture_is_called(ghostkit, model, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").touch()
    message = ghostkit("predict", model, tmp_path / "empty").error
    assert "no picture in" in message and "1 other files" in message and ".jpg" in message


def test_an_output_that_exists_is_kept_unless_asked(ghostkit, model, photos, tmp_path):
    output = tmp_path / "out.csv"
    output.write_text("earlier")
    message = ghostkit("predict", model, photos, "-o", output).error
    assert str(output) in message and "--overwrite" in message
    assert output.read_text() == "earlier"
    assert ghostkit("predict", model, photos, "-o", output, "--overwrite").status == 1
    assert output.read_text().startswith("path,status")


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "results/"])
def test_an_output_below_a_file_cannot_be_written(ghostkit, model, photos, tmp_path, name):
    (tmp_path / "file").touch()
    message = ghostkit("predict", model, photos, "-o", f"{tmp_path}/file/{name}").error
    assert f"{tmp_path}/file" in message and "choose another" in message


@pytest.mark.parametrize("arguments", [["-o", "out.xlsx"], ["--format", "txt"], ["--format", "x"]])
def test_an_output_of_no_known_kind_is_wrong_usage(ghostkit, model, photos, arguments):
    message = ghostkit("predict", model, photos, *arguments).error
    assert any(words in message for words in (".jsonl", "name a folder", "'csv'"))


def test_a_picture_that_the_model_fails_on_is_failed_not_refused(ghostkit, make_model, tmp_path):
    from tiny import tiny_card

    card = json.loads(tiny_card().to_json())
    card["output"]["kind"] = "probabilities"
    model = make_model(card=json.dumps(card))
    save_square(tmp_path / "p" / "a.png", RED)
    save_square(tmp_path / "p" / "b.png", (255, 255, 255))
    outcome = ghostkit("predict", model, tmp_path / "p")
    assert outcome.status == 1
    assert outcome.out == f"{tmp_path}/p/a.png: red 100.0 %, green 0.0 %, blue 0.0 %\n"
    assert outcome.err.startswith(f"failed: {tmp_path}/p/b.png: probabilities 1..1 sum to 3")
    assert "1 answered, 0 refused, 1 failed" in outcome.err


def test_a_folder_called_as_standard_output_does_not_stand_in_its_way(
    ghostkit, make_model, tmp_path, monkeypatch
):
    model, photo = make_model(), save_square(tmp_path / "a.png", RED)
    (tmp_path / "here" / "-").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    outcome = ghostkit("predict", model, photo, "-o", "-")
    assert outcome.status == 0
    assert json.loads(outcome.out)["top"][0]["class_name"] == "red"
    assert list((tmp_path / "here" / "-").iterdir()) == []
