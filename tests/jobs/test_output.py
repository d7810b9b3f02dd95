import json
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ghostkit.errors import OutputError
from ghostkit.jobs import Output, Record, output
from ghostkit.jobs.record import beside
from ghostkit.predictions import Prediction
from ghostkit.sources import Item
from ghostkit.writers import open_writer
from ghostkit.writers.table import partial_path

KINDS = ["jsonl", "csv", "parquet"]
kinds = pytest.mark.parametrize("kind", KINDS)
NAMES = ["a.jpg", "b,\n.jpg", "a.jpg", "\udcff.jpg", "e.jpg"]  # one twice, as a user may


def record(**changes):
    first = {
        "card_hash": "abc",
        "format": "jsonl",
        "top_k": 5,
        "sources": ("photos",),
        "shard": None,
        "null": False,
        "picture_column": None,
        "name_column": None,
        "version": "1",
        "weights": "beef",
    }
    return Record(**(first | changes))


def items(names=NAMES):
    return iter([Item(name, name) for name in names])


def prediction(name):
    if name == "e.jpg":
        return Prediction(name, ("x",), None, "empty file", "refused")
    return Prediction(name, ("x",), np.ones(1, np.float32), None, "answered")


class Killed(Exception):
    """Stands for a SIGKILL: nothing is finished."""


def run(kind, target, *, resume, kill_after=99, names=NAMES, asked=None):
    """One run of the job; gives what it recalled of earlier ones."""
    output = Output(kind, str(target), asked or record(format=kind))
    recalled = []
    left = items(names)
    try:
        if resume:
            writer = output.go_on(left, recalled.append, columns=())
        else:
            writer = output.begin(overwrite=False, columns=())
        if writer is not None:
            with writer:
                for count, item in enumerate(left):
                    if count == kill_after:
                        raise Killed
                    writer.write(prediction(item.name))
    except Killed:
        pass
    finally:
        output.close()
    return recalled, output


@pytest.fixture
def target(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    return tmp_path / f"out.{kind}"


def lines_of(target):
    """The file that grows while a job runs."""
    return Path(partial_path(target)) if target.suffix == ".parquet" else target


@kinds
def test_a_job_that_is_killed_again_and_again_ends_as_an_unbroken_one(kind, target):
    run(kind, target, resume=False)
    unbroken = target.read_bytes()
    target.unlink()
    recalled = []
    for held in range(len(NAMES) + 1):
        recalled, output = run(kind, target, resume=True, kill_after=1)
        assert output.held == held == len(recalled)
    assert recalled == ["answered"] * 4 + ["refused"]
    assert target.read_bytes() == unbroken
    assert not os.path.exists(f"{target}.partial.jsonl")
    again, output = run(kind, target, resume=True)
    assert again == recalled and output.held == len(NAMES)
    assert target.read_bytes() == unbroken


@kinds
@pytest.mark.parametrize("torn", [1, 7, 12])
def test_a_torn_record_is_cut_off_and_counted(kind, target, torn):
    run(kind, target, resume=False)
    unbroken = target.read_bytes()
    target.unlink()
    run(kind, target, resume=False, kill_after=3)
    whole = lines_of(target).read_bytes()
    lines_of(target).write_bytes(whole[:-torn])
    _, output = run(kind, target, resume=True)
    assert output.held == 2 and 0 < output.torn < len(whole)
    assert target.read_bytes() == unbroken


@kinds
@pytest.mark.parametrize("answered", [2, 99], ids=["stopped", "finished"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"card_hash": "xyz"}, "the model's card was abc, is xyz"),
        ({"weights": "f00d"}, "the model's file was beef, is f00d"),
        ({"top_k": 3}, "--top-k was 5, is 3"),
        ({"sources": ("photos", "more")}, "sources was 'photos', is 'photos' 'more'"),
        ({"shard": "1/2"}, "--shard was none, is 1/2"),
        ({"null": True}, "--null was False, is True"),
        ({"picture_column": "img"}, "--picture-column was none, is img"),
        ({"name_column": "id"}, "--name-column was none, is id"),
    ],
)
def test_what_contradicts_the_first_run_is_refused(kind, target, answered, changes, words):
    run(kind, target, resume=False, kill_after=answered)
    before = {path: path.read_bytes() for path in target.parent.iterdir()}
    with pytest.raises(OutputError, match=words):
        run(kind, target, resume=True, asked=record(format=kind, **changes))
    assert {path: path.read_bytes() for path in target.parent.iterdir()} == before


@kinds
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.jpg", "new.jpg"], r"picture 2 was 'b,\\n.jpg' and is now 'new.jpg'"),
        (["a.jpg"], r"they end after 1 pictures, before 'b,\\n.jpg'"),
    ],
)
def test_other_pictures_than_those_of_the_first_run_are_refused(kind, target, names, words):
    run(kind, target, resume=False, kill_after=2)
    before = sorted(path.stat().st_size for path in target.parent.iterdir())
    with pytest.raises(OutputError, match=words):
        run(kind, target, resume=True, names=names)
    assert sorted(path.stat().st_size for path in target.parent.iterdir()) == before


def test_a_finished_table_does_not_take_new_pictures(tmp_path):
    pytest.importorskip("pyarrow")
    run("parquet", tmp_path / "out.parquet", resume=False)
    with pytest.raises(OutputError, match="it is finished, and the sources now hold more"):
        run("parquet", tmp_path / "out.parquet", resume=True, names=[*NAMES, "new.jpg"])


@pytest.mark.parametrize("kind", ["jsonl"])
def test_the_record_calls_the_hash_of_the_card_model(kind, target):
    run(kind, target, resume=False)
    with open(f"{target}.job.json") as stream:
        assert json.load(stream)["model"] == "abc"


@pytest.mark.parametrize("kind", ["jsonl"])
def test_an_output_without_the_record_of_its_job_is_refused(kind, target):
    run(kind, target, resume=False, kill_after=2)
    os.unlink(f"{target}.job.json")
    with pytest.raises(OutputError, match="no record of its job, .*out.jsonl.job.json"):
        run(kind, target, resume=True)
    with open(f"{target}.job.json", "w") as stream:
        json.dump({"model": "abc"}, stream)
    with pytest.raises(OutputError, match="does not say what the first run"):
        run(kind, target, resume=True)


@kinds
def test_an_output_is_closed_again_where_the_record_of_its_job_cannot_be_written(kind, target):
    taken = beside(str(target))
    taken.mkdir()
    with pytest.raises(OutputError, match="job.json"):  # an open file would be a warning
        run(kind, target, resume=False)
    taken.rmdir()
    run(kind, target, resume=True)


@kinds
def test_an_output_without_a_record_in_it_is_begun_anew(kind, target):
    lines_of(target).write_bytes(b"path,st" if kind == "csv" else b'{"path')
    run(kind, target, resume=True)
    recalled, _ = run(kind, target, resume=True)
    assert len(recalled) == len(NAMES)


@kinds
@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (lambda output: output.begin(overwrite=False, columns=()), "go on with that job with"),
        (lambda output: output.begin(overwrite=True, columns=()), "another run is writing it"),
        (lambda output: output.go_on(items(), print, columns=()), "another run is writing it"),
    ],
    ids=["begin", "overwrite", "resume"],
)
def test_a_second_run_is_refused_and_leaves_the_records_of_the_first(kind, target, begin, words):
    first = Output(kind, str(target), record(format=kind))
    with closing(first), first.begin(overwrite=False, columns=()) as writer:
        writer.write(prediction("a.jpg"))
        before = lines_of(target).read_bytes()
        with pytest.raises(OutputError, match=words):
            begin(Output(kind, str(target), record(format=kind)))
        assert before and lines_of(target).read_bytes() == before
    run(kind, target.with_name(f"other.{kind}"), resume=False)


@kinds
def test_a_new_output_is_taken_before_it_is_emptied(kind, target, monkeypatch):
    """Another run may begin between a run's look at the output and its opening."""
    first, second = (Output(kind, str(target), record(format=kind)) for _ in range(2))

    def begun_by_the_other_meanwhile(*arguments, **options):
        monkeypatch.undo()
        with pytest.raises(OutputError, match="another run is writing it"):
            second.begin(overwrite=True, columns=())
        return open_writer(*arguments, **options)

    monkeypatch.setattr(output, "open_writer", begun_by_the_other_meanwhile)
    with closing(first), first.begin(overwrite=True, columns=()) as writer:
        writer.write(prediction("a.jpg"))
    assert target.stat().st_size


@kinds
def test_an_output_that_stands_is_gone_on_with_or_replaced_only_when_asked(kind, target):
    run(kind, target, resume=False, kill_after=2)
    with pytest.raises(OutputError, match="go on with that job with --resume"):
        run(kind, target, resume=False)
