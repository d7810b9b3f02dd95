"""Epochs told to TensorBoard or MLflow as well, where one is asked for and installed.

`job` opens trackers around a run; `reporting` tells each of them every finished epoch.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ghostkit.errors import MissingExtra, OutputError, UsageError
from ghostkit.files import write_text
from ghostkit.train.history import EpochRow
from ghostkit.train.interruption import Stopped
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.file import to_toml

EXTRA = "track"
MLFLOW_STORE = "mlruns"
MLFLOW_RUN = "mlflow-run.txt"  # in the run folder: the MLflow run that a resume goes on with


class Tracker(Protocol):
    """A logger of finished epochs."""

    def epoch(self, row: EpochRow, lr: float, images_per_s: float | None) -> None:
        """`row` is finished and saved; `lr` is the rate of its first step."""

    def close(self, error: BaseException | None) -> None:
        """No epoch follows; `error` is what ended the run before its end."""


def check_trackers(names: Sequence[str]) -> None:
    """Refuse before any work what `open_trackers` would refuse.

    Raises:
        UsageError: a name is unknown.
        MissingExtra: its package is not installed.
    """
    if unknown := [name for name in names if name not in TRACKERS]:
        raise UsageError(f"tracker {unknown[0]!r} is unknown; choose from: {', '.join(TRACKERS)}")
    for name in names:
        if find_spec(name) is None:
            raise MissingExtra(EXTRA, name)


@contextmanager
def open_trackers(
    names: Sequence[str], folder: Path, recipe: Recipe, finished: int = 0
) -> Iterator[tuple[Tracker, ...]]:
    """The trackers called `names`, for the run in `folder`; closed at the end of the block.

    Args:
        finished: epochs that the run has behind it; what was told of later ones, by a branch that
            is left, is no longer shown.

    Raises:
        UsageError, MissingExtra: as `check_trackers`.
        OutputError: one of them does not take what it is told.
    """
    check_trackers(names)
    with ExitStack() as stack:
        trackers: list[Tracker] = []
        for name in dict.fromkeys(names):
            trackers.append(TRACKERS[name](folder, recipe, finished))
            stack.push(_closing(trackers[-1]))
        yield tuple(trackers)


def _closing(tracker: Tracker) -> Callable[..., None]:
    return lambda kind, error, trace: tracker.close(error)


def scalars(row: EpochRow, lr: float, images_per_s: float | None) -> dict[str, float]:
    """What is told of an epoch, by name; without what is not known."""
    values = {
        "loss/train": row.train_loss,
        "loss/validation": row.eval_loss,
        "top1/validation": row.eval_top1,
        "top5/validation": row.eval_top5,
        "mean_recall/validation": row.eval_mean_recall,
        "learning_rate": lr,
        "images_per_s": images_per_s,
    }
    return {name: value for name, value in values.items() if value is not None}


class TensorBoard:
    """Event files in the run folder's ``tensorboard/``."""

    def __init__(self, folder: Path, recipe: Recipe, finished: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=finished + 1)
        self._writer.add_text("recipe", f"```toml\n{to_toml(recipe)}```")

    def epoch(self, row: EpochRow, lr: float, images_per_s: float | None) -> None:
        """See `Tracker.epoch`."""
        for name, value in scalars(row, lr, images_per_s).items():
            self._writer.add_scalar(name, value, row.epoch + 1)
        self._writer.flush()

    def close(self, error: BaseException | None) -> None:
        """See `Tracker.close`."""
        self._writer.close()


class MLflow:
    """A run where MLFLOW_TRACKING_URI says, else in ``mlruns/`` beside the run folder.

    It has the run folder's name. A resume goes on in it, but from an earlier epoch than was told
    last: MLflow forgets nothing, so what follows then is a run of its own.
    """

    def __init__(self, folder: Path, recipe: Recipe, finished: int) -> None:
        self._mlflow = import_module("mlflow")
        self._own_store = not self._mlflow.is_tracking_uri_set()
        if self._own_store:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else it refuses folders
            self._mlflow.set_tracking_uri((folder.parent / MLFLOW_STORE).absolute().as_uri())
        known = folder / MLFLOW_RUN
        with self._explained("set MLFLOW_TRACKING_URI to the address of its server"):
            before = known.read_text().strip() if known.is_file() else None
            run_id = before if before and self._stands_at(before, finished) else None
            run = self._mlflow.start_run(run_id=run_id, run_name=folder.name)
            if run_id is None:  # they cannot be changed
                self._mlflow.log_params(recipe.model_dump(mode="json"))
            self._mlflow.log_text(to_toml(recipe), "recipe.toml")
        write_text(known, f"{run.info.run_id}\n")

    def _stands_at(self, run_id: str, finished: int) -> bool:
        """Whether the run of an earlier call is here, and was told no epoch after `finished`."""
        try:
            told = self._mlflow.MlflowClient().get_metric_history(run_id, "loss/train")
        except self._mlflow.MlflowException:
            if self._own_store:  # which stayed behind where the run folder was taken elsewhere
                return False
            raise
        return all(metric.step <= finished for metric in told)

    def epoch(self, row: EpochRow, lr: float, images_per_s: float | None) -> None:
        """See `Tracker.epoch`."""
        with self._explained(f"epoch {row.epoch + 1} is saved; go on with --resume"):
            self._mlflow.log_metrics(scalars(row, lr, images_per_s), step=row.epoch + 1)

    def close(self, error: BaseException | None) -> None:
        """See `Tracker.close`; a run that was asked to stop is killed, in MLflow's word for it."""
        if error is None:
            status = "FINISHED"
        elif isinstance(error, Stopped | KeyboardInterrupt):
            status = "KILLED"
        else:
            status = "FAILED"
        with self._explained("the run is saved all the same"):
            self._mlflow.end_run(status)
        if self._own_store:
            self._mlflow.set_tracking_uri(None)

    @contextmanager
    def _explained(self, advice: str) -> Iterator[None]:
        try:
            yield
        except self._mlflow.MlflowException as error:
            raise OutputError(f"MLflow does not take what it is told; {advice}. {error}") from error


TRACKERS: dict[str, Callable[[Path, Recipe, int], Tracker]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
}
