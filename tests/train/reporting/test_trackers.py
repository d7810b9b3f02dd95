"""Trackers are told each epoch; the two packages are stood in for by what they are called with."""

import shutil
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

from ghostkit.errors import MissingExtra, ModelError, OutputError, UsageError
from ghostkit.train.history import EpochRow
from ghostkit.train.interruption import Stopped
from ghostkit.train.loop import train
from ghostkit.train.recipe import Recipe
from ghostkit.train.reporting import trackers
from ghostkit.train.reporting.trackers import open_trackers
from squares import QUICK

ROW = EpochRow(2, 0.5, 0.75, 80.0, 99.0, 60.0)
TOLD = {
    "loss/train": 0.5,
    "loss/validation": 0.75,
    "top1/validation": 80.0,
    "top5/validation": 99.0,
    "mean_recall/validation": 60.0,
    "learning_rate": 0.1,
    "images_per_s": 33.0,
}


def stand_in(monkeypatch, name, **content):
    """A package called `name`, as if it were installed."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def tensorboard(monkeypatch):
    """What a SummaryWriter was told."""
    told = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            told.append(("folder", folder, purge_step))

        def __getattr__(self, name):
            return lambda *arguments: told.append((name, *arguments))

    stand_in(monkeypatch, "tensorboard")
    stand_in(monkeypatch, "torch.utils.tensorboard", SummaryWriter=SummaryWriter)
    return told


@pytest.fixture
def mlflow(monkeypatch):
    """What mlflow was told; it does not take epoch 13."""
    told = []

    def log_metrics(values, step):
        if step == 13:
            raise ValueError("no route to its server")
        told.append(("metrics", values, step))

    def start_run(run_id, run_name):
        told.append(("start", run_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "abc"))

    def history(run_id, name):
        steps = [entry[2] for entry in told if entry[0] == "metrics"]
        return [SimpleNamespace(step=step) for step in steps]

    stand_in(
        monkeypatch,
        "mlflow",
        is_tracking_uri_set=lambda: True,
        MlflowClient=lambda: SimpleNamespace(get_metric_history=history),
        log_params=lambda params: told.append(("params", params)),
        start_run=start_run,
        log_text=lambda text, name: told.append(("text", text, name)),
        log_metrics=log_metrics,
        MlflowException=ValueError,
        end_run=lambda status: told.append(("end", status)),
    )
    return told


def test_tensorboard_gets_each_number_at_its_epoch(tensorboard, tmp_path):
    with open_trackers(["tensorboard"], tmp_path, Recipe()) as (tracker,):
        tracker.epoch(ROW, 0.1, 33.0)
    assert tensorboard[0] == ("folder", str(tmp_path / "tensorboard"), 1)
    assert tensorboard[1][0] == "add_text"
    assert tensorboard[2:] == [
        *(("add_scalar", name, value, 3) for name, value in TOLD.items()),
        ("flush",),
        ("close",),
    ]


def test_mlflow_gets_them_and_a_resumed_run_goes_on_in_the_same(mlflow, tmp_path):
    for finished in (0, 3):
        with open_trackers(["mlflow"], tmp_path, Recipe(), finished) as (tracker,):
            tracker.epoch(ROW, 0.1, 33.0)
    starts = [told for told in mlflow if told[0] == "start"]
    assert starts == [("start", None, tmp_path.name), ("start", "abc", tmp_path.name)]
    assert ("metrics", TOLD, 3) in mlflow
    [(_, params)] = [told for told in mlflow if told[0] == "params"]
    assert (params["epochs"], params["clip_grad"]) == (30, 2.0)
    assert mlflow[-1] == ("end", "FINISHED")


def test_each_name_once_and_none_is_nothing(mlflow, tmp_path):
    with open_trackers(["mlflow", "mlflow"], tmp_path, Recipe()) as several:
        assert len(several) == 1
    with open_trackers([], tmp_path, Recipe()) as none:
        assert none == ()


@pytest.mark.parametrize(
    ("error", "status"),
    [(ModelError("the loss is nan"), "FAILED"), (Stopped("saved"), "KILLED")],
)
def test_mlflow_is_told_how_a_run_ended_that_did_not_finish(mlflow, tmp_path, error, status):
    with pytest.raises(type(error)), open_trackers(["mlflow"], tmp_path, Recipe()):
        raise error
    assert mlflow[-1] == ("end", status)


def test_a_server_that_is_gone_is_told_with_what_to_do(mlflow, tmp_path):
    with open_trackers(["mlflow"], tmp_path, Recipe()) as (tracker,):
        with pytest.raises(OutputError, match="epoch 13 is saved.*--resume.*no route"):
            tracker.epoch(replace(ROW, epoch=12), 0.1, None)


def test_an_unknown_one_is_refused_with_those_there_are(tmp_path):
    with (
        pytest.raises(UsageError, match="'wandb' is unknown; choose from: tensorboard, mlflow"),
        open_trackers(["wandb"], tmp_path, Recipe()),
    ):
        pass


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_says_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setattr(trackers, "find_spec", lambda package: None)
    with (
        pytest.raises(MissingExtra, match=rf"{name}.*ghostkit\[track\]"),
        open_trackers([name], tmp_path, Recipe()),
    ):
        pass


def test_tensorboard_no_longer_shows_what_a_branch_that_is_left_has_told(tensorboard, tmp_path):
    with open_trackers(["tensorboard"], tmp_path, Recipe(), finished=2):
        pass
    assert tensorboard[0] == ("folder", str(tmp_path / "tensorboard"), 3)


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs tensorboard")
def test_the_real_tensorboard_writes_its_file(tmp_path):
    with open_trackers(["tensorboard"], tmp_path, Recipe()) as (tracker,):
        tracker.epoch(ROW, 0.1, 33.0)
    [events] = (tmp_path / "tensorboard").iterdir()
    assert events.stat().st_size > 0


def test_a_run_tells_its_trackers_each_epoch(splits, tmp_path):
    told = []
    recorder = SimpleNamespace(epoch=lambda row, lr, images_per_s: told.append(row))
    recipe = Recipe(**QUICK | {"epochs": 2})
    run = train(*splits, recipe, tmp_path, trackers=(recorder,))
    assert tuple(told) == run.history


def test_mlflow_is_not_told_an_epoch_twice_by_a_resume_from_an_earlier_one(mlflow, tmp_path):
    for finished in (0, 2):
        with open_trackers(["mlflow"], tmp_path, Recipe(), finished) as (tracker,):
            tracker.epoch(ROW, 0.1, 33.0)
    assert [told[1] for told in mlflow if told[0] == "start"] == [None, None]


@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow")
def test_the_real_mlflow_keeps_its_runs_beside_the_run_folder(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "run"
    folder.mkdir()
    for finished, epoch in ((0, 0), (1, 1), (1, 1)):
        recipe = Recipe(lr=0.01 * (1 + epoch))
        with open_trackers(["mlflow"], folder, recipe, finished) as (tracker,):
            tracker.epoch(replace(ROW, epoch=epoch), 0.1, 33.0)
    client = mlflow.MlflowClient((tmp_path / "mlruns").as_uri())
    branch, first = client.search_runs(["0"], order_by=["start_time DESC"])
    steps = [
        [metric.step for metric in client.get_metric_history(run.info.run_id, "learning_rate")]
        for run in (first, branch)
    ]
    assert steps == [[1, 2], [2]]
    assert (first.data.params["lr"], branch.data.params["lr"]) == ("0.01", "0.02")
    assert first.data.metrics["images_per_s"] == 33.0
    assert not mlflow.is_tracking_uri_set()
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere" / "run")
    with open_trackers(["mlflow"], elsewhere, recipe, finished=2) as (tracker,):
        tracker.epoch(ROW, 0.1, None)
    assert (tmp_path / "elsewhere" / "mlruns").is_dir()
