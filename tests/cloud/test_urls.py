"""Commands whose files lie in a store: what a person types, and what is there afterwards."""

import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from ghostkit.cli import pipeline_run, run
from ghostkit.cloud import places
from ghostkit.cloud.stage import fetch, send
from ghostkit.cloud.store import open_store
from ghostkit.locks import claimed
from ghostkit.writers import write_result
from mindx.pipelines import write_project
from networks import write_network
from tiny import BLUE, GREEN, RED, save_square

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}


@pytest.fixture
def photos(tmp_path):
    """Two pictures of each colour in folders of the colours' names, and a stray file."""
    folder = tmp_path / "photos"
    for name, colour in COLOURS.items():
        for number in range(2):
            save_square(folder / name / f"{number}.png", colour)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def there(s3, photos, make_model):
    """The pictures and a model in the store."""
    send(photos, s3.below("photos"))
    send(make_model(), s3.below("tiny.onnx"))
    return s3


def lines_at(address):
    content = bytes(open_store(address).get(address.key))
    return [json.loads(line) for line in content.splitlines()]


def answers(address):
    return [(line["path"], line["top"][0]["class_name"]) for line in lines_at(address)]


def test_predict_reads_from_the_store_and_writes_to_it(there, capsys):
    output = there.below("out/results.jsonl")
    line = ["predict", str(there.below("tiny.onnx")), str(there.below("photos")), "-o", str(output)]
    assert run(line) == 0
    expected = [
        (str(there.below(f"photos/{colour}/{n}.png")), colour)
        for colour in sorted(COLOURS)
        for n in range(2)
    ]
    assert answers(output) == expected
    keys = {entry.key for entry in open_store(there).list(there.below("out").prefix)}
    assert keys == {output.key, f"{output.key}.job.json"}
    assert run(line) == 2
    assert f"'{output}' exists" in capsys.readouterr().err
    assert run([*line, "--overwrite"]) == 0
    assert answers(output) == expected


def test_predict_takes_one_object_patterns_and_shards(there, tmp_path):
    model, output = str(there.below("tiny.onnx")), tmp_path / "out.jsonl"
    sources = [str(there.below("photos/red/0.png")), str(there.below("photos/*/1.png"))]
    assert run(["predict", model, *sources, "-o", str(output)]) == 0
    names = [Path(json.loads(line)["path"]).parts[-2:] for line in output.read_text().splitlines()]
    assert names == [("red", "0.png"), ("blue", "1.png"), ("green", "1.png"), ("red", "1.png")]
    seen = []
    for part in ("1/2", "2/2"):
        output.unlink()
        line = ["predict", model, str(there.below("photos")), "-o", str(output), "--shard", part]
        run(line)
        seen += [json.loads(line)["path"] for line in output.read_text().splitlines()]
    assert len(seen) == len(set(seen)) == 6


def test_predict_takes_urls_from_a_list_beside_paths(there, photos, tmp_path, monkeypatch):
    names = [f"{photos}/red/0.png", str(there.below("photos/blue/0.png")), "s3://b/no-bucket.png"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(names).encode())))
    output = there.below("out[1].jsonl")  # no pattern
    assert run(["predict", str(there.below("tiny.onnx")), "-", "-o", str(output)]) == 1
    *answered, refused = lines_at(output)
    assert [line["top"][0]["class_name"] for line in answered] == ["red", "blue"]
    assert [line["path"] for line in (*answered, refused)] == names
    assert "is no name of a bucket" in refused["reason"]
    assert open_store(output).stat(f"{output.key}.job.json") is not None


def test_predict_reads_archives_in_the_store_as_they_come(there, photos, tmp_path):
    archive = tmp_path / "shard.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(photos, "photos")
        broken = tarfile.TarInfo("photos/broken.jpg")
        tar.addfile(broken, io.BytesIO(b""))
    send(archive, there.below("shards/a.tar"))
    output = tmp_path / "out.csv"
    source = str(there.below("shards/*.tar"))
    assert run(["predict", str(there.below("tiny.onnx")), source, "-o", str(output)]) == 1
    rows = output.read_text().splitlines()[1:]
    assert len(rows) == 7
    assert rows[-1].startswith(f"{there.below('shards/a.tar')}/photos/broken.jpg")


def test_predict_goes_on_from_the_store_alone(there, monkeypatch, tmp_path):
    output = there.below("results.jsonl")
    line = ["predict", str(there.below("tiny.onnx")), str(there.below("photos")), "-o", str(output)]
    assert run(line) == 0
    whole = bytes(open_store(output).get(output.key))
    store = open_store(output)
    half = whole[: len(whole) // 2]
    store.put(f"{output.key}.unfinished", half)
    store.delete(output.key)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    assert run([*line, "--resume"]) == 0
    assert bytes(store.get(output.key)) == whole
    assert store.stat(f"{output.key}.unfinished") is None


@pytest.mark.parametrize("name", ["results.jsonl", "results.csv", "results.parquet"])
def test_a_job_that_has_written_nothing_yet_begins_at_its_resume(there, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    output, store = there.below(name), open_store(there)
    line = ["predict", str(there.below("tiny.onnx")), str(there.below("photos")), "-o", str(output)]
    assert run([*line, "--resume"]) == 0
    whole = bytes(store.get(output.key))
    assert run([*line, "--resume"]) == 0  # nothing is left to do
    assert bytes(store.get(output.key)) == whole
    keys = {entry.key for entry in store.list(there.prefix) if name in entry.key}
    assert keys == {output.key, f"{output.key}.job.json"}


def test_a_stopped_job_that_was_to_replace_an_old_result_goes_on_itself(there):
    output, store = there.below("results.jsonl"), open_store(there)
    line = ["predict", str(there.below("tiny.onnx")), str(there.below("photos")), "-o", str(output)]
    assert run(line) == 0
    whole = bytes(store.get(output.key))
    old = b"".join(line.replace(b"red", b"old") for line in whole.splitlines(keepends=True))
    store.put(output.key, old)
    store.put(f"{output.key}.unfinished", whole.splitlines(keepends=True)[0])
    assert run([*line, "--resume"]) == 0
    assert bytes(store.get(output.key)) == whole
    assert store.stat(f"{output.key}.unfinished") is None


def test_what_a_stopped_job_has_left_is_not_written_over(there, capsys):
    output = there.below("results.jsonl")
    open_store(there).put(f"{output.key}.unfinished", b"a million records")
    line = ["predict", str(there.below("tiny.onnx")), str(there.below("photos")), "-o", str(output)]
    assert run(line) == 2
    assert f"'{output}.unfinished' exists; choose another output" in capsys.readouterr().err


def test_a_table_that_is_not_whole_is_gone_on_with_from_the_store_alone(
    there, monkeypatch, tmp_path
):
    pytest.importorskip("pyarrow")
    output, store = there.below("results.parquet"), open_store(there)
    line = ["predict", str(there.below("tiny.onnx")), str(there.below("photos")), "-o", str(output)]
    rows = str(tmp_path / "rows.jsonl")
    assert run([*line[:3], "-o", rows]) == 0
    first = Path(rows).read_bytes().splitlines(keepends=True)[:3]
    store.put(f"{output.key}.partial.jsonl", b"".join(first))
    store.put(f"{output.key}.job.json", Path(f"{rows}.job.json").read_bytes())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    places.bring_result(output)
    beside = places.place_of(output)
    assert beside.with_name("results.parquet.partial.jsonl").read_bytes() == b"".join(first)


def test_a_name_that_looks_like_a_pattern_is_a_name_where_there_is_one(there, tmp_path):
    store = open_store(there)
    store.put(there.below("scan[1].png").key, store.get(there.below("photos/red/0.png").key))
    local = tmp_path / "r.jsonl"
    model = str(there.below("tiny.onnx"))
    assert run(["predict", model, str(there.below("scan[1].png")), "-o", str(local)]) == 0
    assert json.loads(local.read_text())["status"] == "answered"


def test_evaluate_takes_its_data_and_writes_its_report_there(there, capsys):
    output = there.below("evaluation.json")
    line = ["evaluate", str(there.below("tiny.onnx")), str(there.below("photos"))]
    assert run([*line, f"--output={output}"]) == 0
    assert lines_at_json(output)["top1"]["value"] == 1.0


def lines_at_json(address):
    return json.loads(bytes(open_store(address).get(address.key)))


def test_the_card_beside_a_model_comes_with_it(s3, make_model, photos, tmp_path):
    model = make_model("bare.onnx", card="")
    from tiny import tiny_card

    send(photos, s3.below("photos"))
    send(model, s3.below("bare.onnx"))
    card = tmp_path / "card.json"
    card.write_text(tiny_card().to_json())
    send(card, s3.below("bare.onnx.card.json"))
    assert run(["evaluate", str(s3.below("bare.onnx")), str(s3.below("photos"))]) == 0


def test_weights_in_files_of_their_own_come_with_their_model(s3, photos, tmp_path):
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    graph = onnx.load(write_network(tmp_path / "whole.onnx"))
    onnx.save_model(
        graph,
        folder / "m.onnx",
        save_as_external_data=True,
        location="deep/weights.bin",
        size_threshold=0,
    )
    send(folder, s3.below("models"))
    rows = [tmp_path / name for name in ("here.csv", "there.csv")]
    for model, path in zip((folder / "m.onnx", s3.below("models/m.onnx")), rows, strict=True):
        assert run(["predict", str(model), str(photos), "-o", str(path)]) == 0
    assert rows[0].read_bytes() == rows[1].read_bytes()


def test_a_source_that_is_not_there_is_said_before_any_work(there, capsys):
    output = there.below("early.jsonl")
    sources = [str(there.below("photos")), str(there.below("gone/"))]
    line = ["predict", str(there.below("tiny.onnx")), *sources, "-o", str(output)]
    assert run(line) == 2
    assert f"there is nothing at {sources[1]}" in capsys.readouterr().err
    assert not [e for e in open_store(there).list(there.prefix) if "early" in e.key]


def test_the_list_of_what_was_fetched_is_no_stray_file(there, capsys):
    assert run(["evaluate", str(there.below("tiny.onnx")), str(there.below("photos"))]) == 0
    assert "staged" not in capsys.readouterr().err


def test_what_is_not_there_is_said_in_one_line(there, capsys):
    assert run(["evaluate", str(there.below("absent.onnx")), str(there.below("photos"))]) == 2
    error = capsys.readouterr().err
    assert "ghostkit: there is nothing at s3://photos/" in error
    assert "Traceback" not in error


def test_store_options_go_over_the_environment(there, server, monkeypatch, tmp_path, capsys):
    secret = tmp_path / "secret"
    secret.write_text("admin-secret\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    line = ["evaluate", str(there.below("tiny.onnx")), str(there.below("photos"))]
    assert run(line) == 2
    assert "the secret does not fit" in capsys.readouterr().err
    options = ["--store-access-key", "ADMINKEY", "--store-secret-file", str(secret)]
    assert run([*options, "--store-endpoint", server.endpoint, *line]) == 0
    assert run(line) == 2  # and for that command line alone


def test_a_folder_of_results_goes_there_as_a_whole(there, tmp_path):
    output = f"{there.below('texts')}/"
    source = str(there.below("photos/red"))
    assert run(["predict", str(there.below("tiny.onnx")), source, "-o", output]) == 0
    back = fetch(there.below("texts"), tmp_path / "texts")
    assert sorted(p.name for p in back.glob("*.txt")) == ["0_1.txt", "1_1.txt"]


def test_a_stopped_pipeline_goes_on_with_its_folder_in_the_store(
    there, make_model, tmp_path, capsys, monkeypatch
):
    pytest.importorskip("cv2")
    project = write_project(tmp_path / "infer", make_model)
    output = f"{there.below('results')}/"
    for number in range(6):
        save_square(tmp_path / "val" / f"{number}.png", RED, (40, 40))
    line = ["pipeline", str(project), str(tmp_path / "val"), output]

    def stopped(folder, source, ids):
        if len(list(folder.iterdir())) == 2:
            raise KeyboardInterrupt
        write_result(folder, source, ids)

    monkeypatch.setattr(pipeline_run, "write_result", stopped)
    assert run(line) == 130
    assert "stopped after 2 pictures; what was written is kept" in capsys.readouterr().err
    monkeypatch.setattr(pipeline_run, "write_result", write_result)
    shutil.rmtree(places.stores_folder())  # another machine
    assert run([*line, "--resume"]) == 0
    assert "6 pictures: 6 answered, 0 failed; 2 of them by earlier runs" in capsys.readouterr().err
    back = fetch(there.below("results"), tmp_path / "back")
    assert len(list(back.glob("*_1.txt"))) == 6


def test_two_commands_do_not_write_one_address_at_a_time(there, capsys):
    output = there.below("out/results.jsonl")
    place = places.place_of(output)
    place.parent.mkdir(parents=True)
    place.write_text("growing")
    line = ["predict", str(there.below("tiny.onnx")), str(there.below("photos")), "-o", str(output)]
    with claimed(place.parent):
        assert run(line) == 2
    assert "another run is writing it" in capsys.readouterr().err
    assert place.read_text() == "growing"
    assert run(line) == 0


def test_messages_name_the_urls_that_the_command_line_named(there, capsys):
    model, page = there.below("tiny.onnx"), there.below("report.html")
    line = ["evaluate", str(model), str(there.below("photos")), "--html", str(page)]
    assert run(line) == 0
    said = capsys.readouterr()
    assert f"{page}" in said.err
    assert run(["evaluate", str(model), str(there.below("photos/red"))]) == 2
    refused = capsys.readouterr().err
    assert f"'{there.below('photos/red')}'" in refused
    for text in (said.err, said.out, refused):
        assert str(places.stores_folder()) not in text
    local = places.place_of(there.below("photos/red"))
    assert run(["evaluate", str(places.place_of(model)), str(local)]) == 2
    assert f"'{local}'" in capsys.readouterr().err  # named so this time


def test_a_mended_pipeline_is_written_to_the_store(there, make_model, tmp_path):
    pytest.importorskip("cv2")
    fixed = there.below("fixed.pipeline")
    project = write_project(tmp_path / "project", make_model)
    line = ["pipeline", str(project), "--fix", str(fixed)]
    assert run(line) == 0
    content = json.loads(bytes(open_store(fixed).get(fixed.key)))
    resize = content["im_ghostnet"]["mxpi_imageresize0"]["props"]
    assert resize["resizeType"] == "Resizer_KeepAspectRatio_Short"
    assert run(line) == 2  # it stands there
