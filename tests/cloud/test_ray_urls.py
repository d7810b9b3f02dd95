"""Jobs on a cluster whose pictures and results lie in a store."""

import json
import tarfile

import pytest

from ghostkit.cli import run
from ghostkit.cloud.settings import as_environment, settings_for
from ghostkit.cloud.stage import fetch, send
from ghostkit.cloud.store import open_store
from one_process import OneProcess
from tiny import BLUE, GREEN, RED, save_square

RAY = ("--engine", "ray", "--part-size", "2")


@pytest.fixture
def cluster(monkeypatch):
    return OneProcess(monkeypatch)


@pytest.fixture
def photos(s3, tmp_path):
    """Five squares in a folder of a store, and in an archive beside it."""
    folder = tmp_path / "photos"
    for number in range(5):
        save_square(folder / f"{number}.png", (RED, GREEN, BLUE)[number % 3])
    (folder / "3.png").write_bytes(b"")
    send(folder, s3.below("photos"))
    with tarfile.open(tmp_path / "more.tar", "w") as archive:
        archive.add(folder, "more")
    send(tmp_path / "more.tar", s3.below("more.tar"))
    return [f"{s3.below('photos')}/", str(s3.below("more.tar"))]


def test_pictures_of_a_store_answer_as_locally(make_model, photos, cluster, tmp_path):
    lines = []
    for name, options in (("local", ()), ("ray", RAY)):
        target = tmp_path / f"{name}.jsonl"
        assert run(["predict", str(make_model()), *photos, "-o", str(target), *options]) == 1
        lines.append(target.read_bytes())
    assert lines[0] == lines[1] and len(lines[0].splitlines()) == 10
    assert [part.whole for part in cluster.given] == [False, False, False, True]


def test_a_folder_of_parts_grows_in_the_store_and_another_machine_goes_on(
    make_model, photos, s3, cluster, tmp_path, monkeypatch, capsys
):
    output = s3.below("out")
    line = ["predict", str(make_model()), *photos, "-o", f"{output}/", "--format", "jsonl", *RAY]
    cluster.end_after = 2
    assert run(line) == 130
    store = open_store(output)
    there = {entry.key.removeprefix(output.prefix) for entry in store.list(output.prefix)}
    assert there == {
        "_job.json",
        *("part-000003.jsonl", "_parts/part-000003.json"),
        *("part-000002.jsonl", "_parts/part-000002.json"),
    }
    cluster.end_after = None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    assert run(line) == 2  # it is not replaced unasked
    assert "--resume" in capsys.readouterr().err
    assert run([*line, "--resume"]) == 1
    assert "10 pictures: 8 answered, 2 refused, 0 failed; 6 of them by" in capsys.readouterr().err
    parts = sorted(fetch(output, tmp_path / "back").glob("part-*.jsonl"))
    records = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    assert [record["status"] for record in records] == 2 * [
        *3 * ["answered"],
        "refused",
        "answered",
    ]
    assert (tmp_path / "back" / "_SUCCESS").exists()
    assert run([*line, "--overwrite"]) == 1


def test_a_file_in_the_store_appears_when_it_is_whole(make_model, photos, s3, cluster):
    output = s3.below("out.csv")
    assert run(["predict", str(make_model()), *photos, "-o", str(output), *RAY]) == 1
    assert bytes(open_store(output).get(output.key)).count(b"\r\n") == 11


def test_what_the_driver_knows_of_a_store_makes_the_same_settings_elsewhere(place, monkeypatch):
    """`place` comes in each way there is to reach a store."""
    here = settings_for(place.scheme)
    variables = as_environment([place.scheme])
    there = settings_for(place.scheme, variables)
    for name in ("access_key", "secret_key", "token", "endpoint", "region"):
        assert getattr(there, name) == getattr(here, name)
    assert (there.addressing, there.signature) == (here.addressing, here.signature)


def test_no_keys_here_are_none_there(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    variables = as_environment(["s3"])
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & set(variables)
    assert variables["AWS_REGION"] == "eu-west-1"
