"""Jobs of `ghostkit predict` as their users meet them: sources, resuming, shards, stopping."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from tiny import RED, save_square, write_nine

PROGRAM = [sys.executable, "-m", "ghostkit", "predict"]


@pytest.fixture
def model(make_model):
    return make_model()


@pytest.fixture
def photos(tmp_path):
    return write_nine(tmp_path / "photos")


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_tar_archive_answers_as_its_folder_does(ghostkit, model, photos, tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(photos, "photos")
    for arguments in ([model, tmp_path / "photos.tar"], ["-m", model, tmp_path / "*.tar"]):
        outcome = ghostkit("predict", *arguments, "-o", "-")
        folder = ghostkit("predict", model, photos, "-o", "-")
        assert outcome.status == folder.status == 1
        inside = outcome.out.replace(f"{tmp_path}/photos.tar/photos", str(photos))
        assert sorted(inside.splitlines()) == sorted(folder.out.splitlines())


def test_a_tar_archive_in_first_place_is_no_model(ghostkit, photos, tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(photos, "photos")
    outcome = ghostkit("predict", tmp_path / "photos.tar")
    assert outcome.err.startswith("no model is named")
    outcome = ghostkit("predict", photos, tmp_path / "photos.tar", f"{tmp_path}/*.tar")
    assert "27 pictures: 24 answered, 3 refused" in outcome.err
    (tmp_path / "weights.tar").write_bytes(b"\x80\x02")
    assert (
        "is a model: name it first" in ghostkit("predict", photos, tmp_path / "weights.tar").error
    )


def test_a_damaged_archive_is_named_and_the_rest_goes_on(ghostkit, model, photos, tmp_path):
    (tmp_path / "bad.tar.gz").write_bytes(b"no archive")
    outcome = ghostkit("predict", model, tmp_path / "bad.tar.gz", photos / "0.png")
    assert outcome.status == 1
    assert f"refused: {tmp_path}/bad.tar.gz: a damaged archive, after 0 pictures" in outcome.err
    assert "2 pictures: 1 answered, 1 refused" in outcome.err


def test_parquet_in_and_out(ghostkit, model, photos, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    content = [(photos / f"{i}.png").read_bytes() for i in (0, 1, 4)]
    table = pyarrow.table({"name": ["r", "g", "bad"], "image": content})
    parquet.write_table(table, tmp_path / "in.parquet")
    output = tmp_path / "out.parquet"
    outcome = ghostkit("predict", model, tmp_path / "in.parquet", "-o", output)
    assert outcome.status == 1
    rows = parquet.read_table(output).to_pylist()
    assert [(row["path"], row["class_name"], row["reason"]) for row in rows] == [
        (f"{tmp_path}/in.parquet/r", "red", None),
        (f"{tmp_path}/in.parquet/g", "green", None),
        (f"{tmp_path}/in.parquet/bad", None, "empty file"),
    ]


def test_shards_together_are_the_whole(ghostkit, model, photos, tmp_path):
    parts = []
    for index in (1, 2, 3):
        outcome = ghostkit("predict", model, photos, "--shard", f"{index}/3", "-o", "-")
        parts.append(outcome.out.splitlines())
    whole = ghostkit("predict", model, photos, "-o", "-").out.splitlines()
    assert sorted(sum(parts, [])) == sorted(whole)
    assert max(map(len, parts)) < 9
    assert "expected I/N" in ghostkit("predict", model, photos, "--shard", "0/3").error


def test_resume_begins_a_job_and_then_goes_on_with_it(ghostkit, model, photos, tmp_path):
    output = tmp_path / "out.jsonl"
    first = ghostkit("predict", model, photos, "-o", output, "--resume")
    assert first.status == 1
    whole = output.read_bytes()
    lines = whole.splitlines(keepends=True)
    output.write_bytes(b"".join(lines[:6]) + lines[6][:20])
    again = ghostkit("predict", model, photos, "-o", output, "--resume")
    assert again.status == 1  # a picture of the first run was refused
    assert f"{output} holds 6 pictures; 20 bytes of a half-written record were cut" in again.err
    assert "9 pictures: 8 answered, 1 refused, 0 failed; 6 of them by earlier runs" in again.err
    assert "refused: " not in again.err
    assert output.read_bytes() == whole
    finished = ghostkit("predict", model, photos, "-o", output, "--resume")
    assert (finished.status, output.read_bytes()) == (1, whole)


def test_a_job_that_differs_is_refused(ghostkit, model, photos, tmp_path):
    output = tmp_path / "out.jsonl"
    ghostkit("predict", model, photos, "-o", output)
    message = ghostkit("predict", model, photos, "-o", output, "--resume", "--top-k", "2").error
    assert "is of another job: --top-k was 5, is 2" in message
    save_square(photos / "0a.png", RED)
    message = ghostkit("predict", model, photos, "-o", output, "--resume").error
    assert f"picture 2 was '{photos}/1.png' and is now '{photos}/0a.png'" in message
    assert (
        "give one of them"
        in ghostkit("predict", model, photos, "-o", output, "--resume", "--overwrite").error
    )


def test_a_job_does_not_go_on_with_other_weights_under_the_same_card(
    ghostkit, model, photos, tmp_path
):
    """As where a model was trained again and only its file was replaced."""
    onnx = pytest.importorskip("onnx")
    output = tmp_path / "out.jsonl"
    ghostkit("predict", model, photos, "-o", output)
    lines = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(b"".join(lines[:4]))
    moved = model.rename(tmp_path / "moved.onnx")
    assert ghostkit("predict", moved, photos, "-o", output, "--resume").status == 1
    assert output.read_bytes().splitlines(keepends=True) == lines
    other = onnx.load(moved)
    other.graph.node[1].op_type = "GlobalMaxPool"
    onnx.save(other, model)
    message = ghostkit("predict", model, photos, "-o", output, "--resume").error
    assert "is of another job: the model's file was" in message


@pytest.mark.parametrize("target", [None, "-", "results/"])
def test_what_cannot_be_gone_on_with_says_what_can(ghostkit, model, photos, tmp_path, target):
    output = [] if target is None else ["-o", target if target == "-" else tmp_path / target]
    if target == "results/":
        output = ["-o", f"{tmp_path}/results/"]
    message = ghostkit("predict", model, photos, *output, "--resume").error
    assert "FILE.jsonl, FILE.csv or FILE.parquet" in message


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_with_whole_lines_and_says_how_to_go_on(model, photos, tmp_path, number):
    """The list on standard input stays open, so that the job is waiting when the signal comes."""
    output = tmp_path / "out.jsonl"
    command = [*PROGRAM, model, "-", "-o", output, "--batch-size", "1", "--workers", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        paths = [f"{photos}/{i % 9}.png" for i in range(40)]
        process.stdin.write("".join(f"{path}\n" for path in paths).encode())
        process.stdin.flush()
        until = time.monotonic() + 60
        while time.monotonic() < until and not (output.exists() and output.stat().st_size):
            time.sleep(0.02)
        process.send_signal(number)
        _, error = process.communicate()
    assert process.returncode == 130
    done = [record["path"] for record in records(output)]
    assert done == paths[: len(done)] and done
    assert f"stopped after {len(done)} pictures; what was written is kept".encode() in error
    assert b"add --resume to the same command" in error
    listed = "".join(f"{path}\n" for path in paths)
    finished = subprocess.run([*command, "--resume"], input=listed.encode(), capture_output=True)
    assert finished.returncode == 1, finished.stderr
    assert [record["path"] for record in records(output)] == paths


@pytest.mark.slow
def test_a_job_killed_at_random_moments_holds_every_picture_once(tmp_path):
    script = os.path.join(os.path.dirname(__file__), "..", "..", "reliability", "predict_resume.py")
    command = [sys.executable, script, "--kills", "6", "--pictures", "120"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every picture exactly once" in done.stdout


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_file_is_not_written_where_a_folder_is_named(ghostkit, make_model, tmp_path, kind):
    photo = save_square(tmp_path / "a.png", RED)
    line = ("predict", make_model(), photo, "--format", kind, "-o")
    words = f"is a folder, and {kind} is one file: name it, e.g. "
    assert words in ghostkit(*line, f"{tmp_path / 'out'}/").error
    assert not (tmp_path / "out").exists()
    (tmp_path / "there").mkdir()
    assert words in ghostkit(*line, tmp_path / "there").error
    assert not list((tmp_path / "there").iterdir())
