"""Jobs of `ghostkit predict --engine ray`, over a cluster that is a worker in this process.

What Ray itself does is tested in tests/cluster/test_on_ray.py.
"""

import json
import sys
import tarfile

import pytest

from ghostkit.cluster.pool import parse_actors
from ghostkit.errors import UsageError
from one_process import OneProcess
from tiny import RED, save_square, write_nine


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return OneProcess(monkeypatch)


@pytest.fixture
def model(make_model):
    return make_model()


@pytest.fixture
def photos(tmp_path):
    """Nine squares, one of them an empty file, another file; and an archive of the same."""
    folder = write_nine(tmp_path / "photos")
    (folder / "text.txt").write_text("text")
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(folder, "inner")
    return folder


RAY = ("--engine", "ray", "--part-size", "2")
SOURCES = ("photos", "photos.tar", "photos/0.png")
SAID = "19 pictures: 17 answered, 2 refused, 0 failed; 2 other files skipped"


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_one_file_is_that_of_a_local_job(ghostkit, model, photos, cluster, tmp_path, kind):
    outcomes = [
        ghostkit("predict", model, *SOURCES, "-o", f"{name}.{kind}", *options)
        for name, options in (("local", ()), ("ray", RAY))
    ]
    assert [outcome.status for outcome in outcomes] == [1, 1]
    ours, theirs = (tmp_path / f"{name}.{kind}" for name in ("ray", "local"))
    assert ours.read_bytes() == theirs.read_bytes()
    assert all(SAID in outcome.err for outcome in outcomes)
    refused = [[x for x in o.err.splitlines() if x.startswith("refused:")] for o in outcomes]
    assert refused[0] == refused[1] and len(refused[0]) == 2


def test_standard_output_gets_lines_in_order_and_nothing_else(ghostkit, model, photos, cluster):
    outcomes = [ghostkit("predict", model, *SOURCES, "-o", "-", *each) for each in ((), RAY)]
    assert outcomes[0].out == outcomes[1].out


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_folder_has_a_file_for_each_part(ghostkit, model, photos, cluster, tmp_path, kind):
    ghostkit("predict", model, *SOURCES, "-o", f"local.{kind}")
    outcome = ghostkit("predict", model, *SOURCES, "-o", "out/", "--format", kind, *RAY)
    assert outcome.status == 1 and SAID in outcome.err
    parts = sorted((tmp_path / "out").glob(f"part-*.{kind}"))
    assert [part.stem for part in parts] == [f"part-{number:06d}" for number in range(7)]
    whole = tmp_path / f"local.{kind}"
    if kind == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        together = parquet.read_table(tmp_path / "out")  # the folder is a table to its readers
        assert together.to_pylist() == parquet.read_table(whole).to_pylist()
    else:
        header = whole.read_bytes().partition(b"\r\n")[0] + b"\r\n" if kind == "csv" else b""
        records = [part.read_bytes().removeprefix(header) for part in parts]
        assert header + b"".join(records) == whole.read_bytes()
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_rows_of_a_table_answer_as_locally(ghostkit, model, photos, cluster, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    content = [(photos / f"{number}.png").read_bytes() for number in range(9)]
    table = pyarrow.table({"image": content})
    parquet.write_table(table, tmp_path / "in.parquet", row_group_size=2)
    outcomes = [ghostkit("predict", model, "in.parquet", "-o", "-", *each) for each in ((), RAY)]
    assert outcomes[0].out == outcomes[1].out
    assert [part.rows for part in cluster.given] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 9)]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("output", ["out/", "out.jsonl", "out.parquet"])
def test_a_stopped_job_goes_on_without_answering_anything_twice(
    ghostkit, model, photos, cluster, tmp_path, output, ending
):
    line = ("predict", model, *SOURCES, "-o", output, *RAY)
    line += ("--format", "csv") if output == "out/" else ()
    cluster.end_after, cluster.ending = 3, ending
    if ending is KeyboardInterrupt:
        stopped = ghostkit(*line)
        assert stopped.status == 130
        assert "what was written is kept; to go on, add --resume to the same comm" in stopped.err
    else:
        failed = ghostkit(*line)
        assert failed.status == 2 and "ghostkit: there is not enough memory" in failed.err
    assert not (tmp_path / "out.parquet").exists()
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    before, cluster.given, cluster.end_after = cluster.given, [], None
    refused = ghostkit(*line)
    assert refused.status == 2 and "--resume" in refused.err
    resumed = ghostkit(*line, "--resume")
    assert resumed.status == 1 and f"{SAID.partition(';')[0]}" in resumed.err
    assert " of them by earlier runs" in resumed.err
    names = [name for part in before + cluster.given for name in part.names]
    assert len(names) == len(set(names)) + 1  # photos/0.png is a source by itself too
    cluster.given = []
    finished = ghostkit(*line, "--resume")
    assert finished.status == 1 and "19 of them by earlier runs" in finished.err
    assert cluster.given == []


@pytest.mark.parametrize("first, second", [((), RAY), (RAY, ())])
def test_either_engine_goes_on_with_the_file_of_the_other(
    ghostkit, model, photos, cluster, tmp_path, first, second
):
    ghostkit("predict", model, *SOURCES, "-o", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    ghostkit("predict", model, *SOURCES, "-o", "out.jsonl", *first)
    lines = whole.splitlines(keepends=True)
    (tmp_path / "out.jsonl").write_bytes(b"".join(lines[:12]) + lines[12][:9])  # in the archive
    outcome = ghostkit("predict", model, *SOURCES, "-o", "out.jsonl", "--resume", *second)
    assert "holds 12 pictures; 9 bytes of a half-written record were cut off" in outcome.err
    assert (tmp_path / "out.jsonl").read_bytes() == whole


def test_sources_that_have_changed_are_refused(ghostkit, model, photos, cluster):
    line = ("predict", model, "photos", "-o", "out/", "--format", "jsonl", *RAY)
    ghostkit(*line)
    save_square(photos / "0a.png", RED)
    assert "the sources are no longer those of" in ghostkit(*line, "--resume").error


def test_a_list_is_read_by_the_driver(ghostkit, model, photos, cluster, give_list):
    give_list("photos/0.png", "photos/missing.png")
    outcome = ghostkit("predict", model, "-", "-o", "-", *RAY)
    assert [json.loads(line)["status"] for line in outcome.out.splitlines()] == [
        "answered",
        "refused",
    ]


def test_a_node_that_does_not_see_the_pictures_ends_the_job(
    ghostkit, model, photos, cluster, monkeypatch
):
    from ghostkit.cluster import worker

    monkeypatch.setattr(worker, "_unseen", lambda part: part.names[0])
    message = ghostkit("predict", model, "photos", "-o", "out.jsonl", *RAY)
    assert message.status == 2
    assert "does not see 'photos/0.png'" in message.err
    assert "under the same path (a shared file system), or into a store" in message.err


def test_an_archive_without_pictures_is_said_as_locally(ghostkit, model, cluster, tmp_path):
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    outcomes = [ghostkit("predict", model, "empty.tar", "-o", "-", *each) for each in ((), RAY)]
    assert [outcome.status for outcome in outcomes] == [2, 2]
    assert all("no picture in 'empty.tar' (0 other files" in outcome.err for outcome in outcomes)


def test_what_cannot_be_done_is_refused_before_any_work(
    ghostkit, model, photos, cluster, monkeypatch
):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def error(*options):
        return ghostkit("predict", model, "photos", *options).error

    assert "--engine ray needs an output: -o FILE.jsonl" in error("--engine", "ray")
    assert "add --format parquet, jsonl or csv" in error("--engine", "ray", "-o", "out/")
    assert "--part-size is an option of a cluster" in error("--part-size", "3")
    assert "give one of them" in error(*RAY, "-o", "a.csv", "--resume", "--overwrite")
    client = error(*RAY, "-o", "a.csv", "--address", "ray://head:10001")
    assert "ray job submit --address http://HEAD:8265 -- ghostkit predict" in client
    assert "RAY_ADDRESS, which is not set" in error(*RAY, "-o", "a.csv", "--address", "auto")
    assert cluster.given == []


def test_a_device_asks_the_cluster_for_it(ghostkit, model, photos, cluster):
    ghostkit("predict", model, "photos", "-o", "a.csv", *RAY, "--device", "cuda")
    assert (cluster.pool.accelerators, cluster.pool.accelerator) == (1.0, "GPU")
    options = ("--device", "npu", "--gpus-per-actor", "2", "--cpus-per-actor", "3")
    outcome = ghostkit("predict", model, "photos", "-o", "b.csv", *RAY, *options)
    assert (cluster.pool.accelerators, cluster.pool.accelerator) == (2.0, "NPU")
    assert cluster.pool.cpus == 3.0
    assert "fallback on " in outcome.err  # there is no NPU here


@pytest.mark.parametrize(
    "text, expected", [("4", (4, 4)), ("2:16", (2, 16)), ("3:", (3, None)), ("1:1", (1, 1))]
)
def test_numbers_of_actors(text, expected):
    assert parse_actors(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0:3", "4:2", ":3", "many", "-1"])
def test_what_is_no_number_of_actors(text):
    with pytest.raises(UsageError, match="expected MIN:MAX"):
        parse_actors(text)


def test_without_ray_the_pip_command_is_said(ghostkit, model, photos, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    message = ghostkit("predict", model, photos, "-o", tmp_path / "a.csv", "--engine", "ray").error
    assert message.endswith('run: pip install "ghostkit[ray]"')
