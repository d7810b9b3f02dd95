"""One part, answered: the records of a local job, and an account of them."""

import io
import json
import os
import tarfile
import tempfile

import pytest

import fake_s3
from ghostkit.artifacts import load
from ghostkit.bundled import default_model
from ghostkit.cli import run
from ghostkit.cloud import retrying
from ghostkit.cluster import worker
from ghostkit.cluster.parts import Part
from ghostkit.cluster.worker import Task, Worker, sent_with
from ghostkit.errors import ModelError, StoreError, UsageError


@pytest.fixture(autouse=True)
def _stay(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # a worker enters the driver's folder


def local(model, source, target):
    assert run(["predict", str(model), str(source), "-o", str(target)]) == 1
    return target.read_bytes()


@pytest.fixture
def part(photos):
    return Part(3, tuple(str(photos / f"{number}.png") for number in range(9)))


def test_records_are_those_of_a_local_job(model, photos, part, make_task, tmp_path):
    account, records = Worker(make_task(), sent_with(str(model))).answer(part)
    assert records == local(model, photos, tmp_path / "local.jsonl")
    assert (account.number, account.pictures, account.seen) == (3, 9, 9)
    assert account.counts == {"answered": 8, "refused": 1}
    assert account.unanswered == [["refused", f"{photos}/4.png", "empty file"]]
    assert account.unseen is None


def test_a_csv_part_has_a_header_only_where_it_is_a_file_of_its_own(
    model, photos, part, make_task, tmp_path
):
    whole = local(model, photos, tmp_path / "local.csv")
    for apart in (True, False):
        opened = Worker(make_task(format="csv", apart=apart), sent_with(str(model)))
        records = opened.answer(part)[1]
        assert records == (whole if apart else whole.partition(b"\r\n")[2])


def test_a_parquet_part_is_a_table_of_the_same_rows(model, photos, part, make_task, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    local(model, photos, tmp_path / "local.parquet")
    records = Worker(make_task(format="parquet"), sent_with(str(model))).answer(part)[1]
    assert parquet.read_table(io.BytesIO(records)).equals(
        parquet.read_table(tmp_path / "local.parquet")
    )


def test_an_archive_is_read_by_the_worker_from_where_it_was_left(
    model, photos, make_task, tmp_path
):
    (photos / "text.txt").write_text("text")
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(photos, "photos")
    whole = local(model, "photos.tar", tmp_path / "local.jsonl").splitlines(keepends=True)
    opened = Worker(make_task(), sent_with(str(model)))
    account, records = opened.answer(Part(0, ("photos.tar",), whole=True, skip=5))
    assert records == b"".join(whole[5:])
    assert (account.seen, account.pictures, account.skipped) == (9, 4, 1)
    sharded = Worker(make_task(shard="2/3"), sent_with(str(model)))
    account, records = sharded.answer(Part(0, ("photos.tar",), whole=True))
    assert account.seen == 9 and 0 < account.pictures < 9
    assert set(records.splitlines(keepends=True)) < set(whole)


def test_relative_paths_begin_in_the_drivers_folder(model, photos, make_task, tmp_path):
    os.chdir("/")
    opened = Worker(make_task(), sent_with(str(model)))
    account, records = opened.answer(Part(0, ("photos/0.png",)))
    assert json.loads(records)["path"] == "photos/0.png"
    assert account.counts == {"answered": 1}
    elsewhere = Worker(make_task(folder=str(tmp_path / "absent")), sent_with(str(model)))
    with pytest.raises(UsageError, match="has no folder '.*absent', where the relative paths"):
        elsewhere.answer(Part(0, ("photos/0.png",)))
    assert elsewhere.answer(Part(0, (f"{photos}/0.png",)))[0].counts == {"answered": 1}


def test_a_node_that_sees_no_file_of_a_part_says_which(model, photos, make_task):
    worker = Worker(make_task(), sent_with(str(model)))
    absent = tuple(f"/absent/{number}.jpg" for number in range(3))
    account, _ = worker.answer(Part(0, absent))
    assert account.unseen == absent[0]
    assert account.counts == {"refused": 3}
    assert worker.answer(Part(0, (*absent, f"{photos}/0.png")))[0].unseen is None


def test_a_model_goes_with_what_belongs_to_it(make_model, make_task, photos, tmp_path):
    from tiny import tiny_card

    bare = make_model("bare.onnx", card="")
    (tmp_path / "bare.onnx.card.json").write_text(tiny_card().to_json())
    files = sent_with(str(bare))
    assert set(files) == {"bare.onnx", "bare.onnx.card.json"}
    bare.unlink()
    assert Worker(make_task(model_file="bare.onnx"), files).answer(Part(0, (f"{photos}/0.png",)))
    with pytest.raises(ModelError, match="no such model file"):
        sent_with(str(bare))


def test_weights_beside_a_graph_go_with_it_whatever_they_are_called(tmp_path):
    onnx = pytest.importorskip("onnx")
    from networks import write_network

    model = onnx.load(write_network(tmp_path / "whole.onnx"))
    (tmp_path / "apart").mkdir()
    onnx.save(
        model,
        tmp_path / "apart" / "net.onnx",
        save_as_external_data=True,
        location="net.onnx.data",
        size_threshold=0,
    )
    assert set(sent_with(f"{tmp_path}/apart/net.onnx")) == {"net.onnx", "net.onnx.data"}


def test_the_bundled_model_brings_its_weights():
    assert set(sent_with(str(default_model()))) == {"default.onnx", "default.safetensors"}


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_worker_that_is_killed_leaves_no_copy_of_the_model(
    make_task, photos, tmp_path, monkeypatch, backend
):
    """Ray kills its workers when a job is done; the bundled model reads weights beside it."""
    pytest.importorskip("onnxruntime" if backend == "onnx" else "openvino")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    path = str(default_model())
    task = make_task(
        model_file=os.path.basename(path), card_hash=load(path).card.hash, backend=backend
    )
    worker = Worker(task, sent_with(path))
    assert os.listdir(tmp_path / "tmp") == []
    for number in (0, 1):
        account, _ = worker.answer(Part(number, (f"{photos}/{number}.png",)))
        assert account.counts == {"answered": 1}


def test_another_card_than_the_drivers_is_refused(model, make_task):
    with pytest.raises(ModelError, match="install the same ghostkit on both"):
        Worker(make_task(card_hash="0123"), sent_with(str(model)))


def test_a_task_is_plain_data(make_task):
    task = make_task(shard="1/2", environment={"A": "b"})
    record = json.loads(json.dumps(task.to_record()))
    assert Task(**record).to_record() | {"columns": (None, None)} == task.to_record()


@pytest.fixture
def store(monkeypatch, photos):
    monkeypatch.setattr(worker, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(retrying, "BUDGET_S", 0.0)
    with fake_s3.running() as store:
        for number in range(9):
            store.put(f"{number}.png", (photos / f"{number}.png").read_bytes())
        yield store


REMOTE = Part(0, tuple(f"s3://bucket/{number}.png" for number in range(9)))


def test_a_part_is_begun_again_with_the_keys_of_the_moment(model, make_task, store):
    """As the driver's, which has them renewed while a worker lives."""
    first = store.environment() | {"AWS_SESSION_TOKEN": "first"}
    second = store.environment() | {"AWS_ACCESS_KEY_ID": "KEY2"}
    told = iter([first, second])
    store.refuse = fake_s3.only("KEY2")
    opened = Worker(make_task(environment=first), sent_with(str(model)))
    account, _ = opened.answer(REMOTE, lambda: next(told))
    assert account.counts == {"answered": 8, "refused": 1}
    assert "AWS_SESSION_TOKEN" not in os.environ


def test_one_fault_of_a_store_in_one_part_is_no_end_of_the_job(model, make_task, store):
    opened = Worker(make_task(environment=store.environment()), sent_with(str(model)))
    tries = []

    def busy(request):
        tries.append(request)
        return (503, "SlowDown") if len(tries) == 3 else None

    store.refuse = busy
    assert opened.answer(REMOTE)[0].counts == {"answered": 8, "refused": 1}
    store.refuse = lambda request: (503, "SlowDown")
    with pytest.raises(StoreError, match="503"):
        opened.answer(REMOTE)
