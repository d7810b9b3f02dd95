"""Epochs told to TensorBoard or MLflow as well, where one is asked for and installed.

The command line opens trackers around a run; `loop` tells each of them every finished epoch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ghostkit.errors import MissingExtra, OutputError, UsageError
from ghostkit.files import write_text
from ghostkit.train.interruption import Stopped
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.file import to_toml
from ghostkit.train.state import EpochRow

EXTRA = "track"
MLFLOW_RUN = "mlflow-run.txt"  # in the run folder: the MLflow run that a resume goes on with


class Tracker(Protocol):
    """Something that is told what each epoch gave."""

    def epoch(self, row: EpochRow) -> None:
        """`row` is finished and saved."""

    def close(self, error: BaseException | None) -> None:
        """No epoch follows; `error` is what ended the run before its end."""


@contextmanager
def open_trackers(
    names: Sequence[str], folder: Path, recipe: Recipe, finished: int = 0
) -> Iterator[tuple[Tracker, ...]]:
    """The trackers called `names`, for the run in `folder`; closed at the end of the block.

    Args:
        finished: epochs that the run has behind it; what was told of later ones, by a branch that
            is left, is no longer shown.

    Raises:
        UsageError: a name is unknown.
        MissingExtra: its package is not installed.
    """
    if unknown := [name for name in names if name not in TRACKERS]:
        raise UsageError(f"tracker {unknown[0]!r} is unknown; choose from: {', '.join(TRACKERS)}")
    for name in names:
        if find_spec(name) is None:
            raise MissingExtra(EXTRA, name)
    with ExitStack() as stack:
        trackers: list[Tracker] = []
        for name in dict.fromkeys(names):
            trackers.append(TRACKERS[name](folder, recipe, finished))
            stack.push(_closing(trackers[-1]))
        yield tuple(trackers)


def _closing(tracker: Tracker) -> Callable[..., None]:
    return lambda kind, error, trace: tracker.close(error)


def scalars(row: EpochRow) -> dict[str, float]:
    """What is told of an epoch, by name."""
    return {
        "loss/train": row.train_loss,
        "loss/validation": row.eval_loss,
        "top1/validation": row.eval_top1,
        "top5/validation": row.eval_top5,
    }


class TensorBoard:
    """Event files in the run folder's ``tensorboard/``."""

    def __init__(self, folder: Path, recipe: Recipe, finished: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=finished + 1)
        self._writer.add_text("recipe", f"```toml\n{to_toml(recipe)}```")

    def epoch(self, row: EpochRow) -> None:
        """See `Tracker.epoch`."""
        for name, value in scalars(row).items():
            self._writer.add_scalar(name, value, row.epoch + 1)
        self._writer.flush()

    def close(self, error: BaseException | None) -> None:
        """See `Tracker.close`."""
        self._writer.close()


class MLflow:
    """A run where MLFLOW_TRACKING_URI says, under the name of the run folder."""

    def __init__(self, folder: Path, recipe: Recipe, finished: int) -> None:
        self._mlflow = import_module("mlflow")
        known = folder / MLFLOW_RUN
        run_id = known.read_text().strip() if known.is_file() else None
        with self._explained("set MLFLOW_TRACKING_URI to the address of its server"):
            run = self._mlflow.start_run(run_id=run_id, run_name=folder.name)
            self._mlflow.log_text(to_toml(recipe), "recipe.toml")
        write_text(known, f"{run.info.run_id}\n")

    def epoch(self, row: EpochRow) -> None:
        """See `Tracker.epoch`."""
        with self._explained(f"epoch {row.epoch + 1} is saved; go on with --resume"):
            self._mlflow.log_metrics(scalars(row), step=row.epoch + 1)

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
