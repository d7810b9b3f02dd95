"""What a run writes and tells while it goes: the run folder, its events, trackers, lines.

Of several processes the first one does it, with a `FolderReporter`, and the others have a
`QuietReporter`; `loop` does not know which of the two it has.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ghostkit.card import ModelCard
from ghostkit.dataset import Dataset
from ghostkit.evaluate import Evaluation
from ghostkit.files import write_text
from ghostkit.progress import Log
from ghostkit.train.checkpoint import (
    Checkpoint,
    save_epoch,
    save_recovery,
    write_arguments,
)
from ghostkit.train.held_out import other_validation, write_validation_list
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.file import to_toml
from ghostkit.train.reporting.curves import CURVES, write_curves
from ghostkit.train.reporting.events import EventLog
from ghostkit.train.reporting.trackers import Tracker
from ghostkit.train.resuming import resume_folder
from ghostkit.train.schedule import learning_rate
from ghostkit.train.state import RunState


class Reporter(Protocol):
    """Receives the events and epochs of a run from `loop`."""

    def begin(self, validation: Dataset, resume: Checkpoint | None) -> None:
        """The run begins, or goes on from `resume`; it is measured on `validation`."""

    def event(self, event: str, **details: Any) -> None:
        """Something happened, in all processes alike, that belongs into ``events.jsonl``."""

    def own_event(self, event: str, **details: Any) -> None:
        """Something happened in this process alone."""

    def epoch(self, state: RunState, evaluation: Evaluation, images_per_s: float | None) -> None:
        """The last epoch of `state.history` is finished and was measured."""

    def recovery(self, state: RunState) -> str:
        """`state`, inside an epoch, is to be kept; the name of its file."""

    def unheard(self) -> list[dict[str, Any]]:
        """This process's own events that are written nowhere yet; each of them once."""


class FolderReporter:
    """Writes the run in `folder`; `card` is what a checkpoint says of itself."""

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        card: ModelCard,
        events: EventLog,
        trackers: Sequence[Tracker],
        log: Log,
    ) -> None:
        self._folder, self._recipe, self._card = folder, recipe, card
        self._events, self._trackers, self._log = events, trackers, log

    def begin(self, validation: Dataset, resume: Checkpoint | None) -> None:
        """See `Reporter.begin`."""
        if resume is not None:
            if left := resume_folder(self._folder, resume, self._recipe.best_by):
                self._log(f"what the branch that is left had reached is kept: {', '.join(left)}")
                self.event("branch left", files=left)
            if other := other_validation(Path(resume.path).parent, validation):
                self._log(other)
        write_validation_list(self._folder, validation)
        write_arguments(self._folder, self._recipe, self._card)
        write_text(self._folder / "recipe.toml", to_toml(self._recipe))

    def event(self, event: str, **details: Any) -> None:
        """See `Reporter.event`."""
        self._events.write(event, **details)

    def own_event(self, event: str, **details: Any) -> None:
        """See `Reporter.own_event`."""
        self.event(event, **details)

    def epoch(self, state: RunState, evaluation: Evaluation, images_per_s: float | None) -> None:
        """See `Reporter.epoch`."""
        row = state.history[-1]
        card = self._card.model_copy(update={"measurements": (evaluation.measurement(),)})
        save_epoch(self._folder, state, self._recipe, card)
        write_curves(self._folder / CURVES, state.history, self._recipe.best_by)
        rate = learning_rate(self._recipe, row.epoch)  # of the epoch's first step
        self.event("epoch", **vars(row), lr=rate, images_per_s=images_per_s)
        for tracker in self._trackers:
            tracker.epoch(row, rate, images_per_s)
        told = [f"top-1 {evaluation.top1}"]
        if self._recipe.best_by == "mean-recall":
            told.append(f"mean recall {100 * evaluation.mean_recall:.1f} %")
        if images_per_s is not None:
            told.append(f"{images_per_s:.0f} images/s")
        self._log(
            f"epoch {row.epoch + 1}/{self._recipe.total_epochs}: "
            f"training loss {row.train_loss:.3f}, validation loss {row.eval_loss:.3f}, "
            + ", ".join(told)
        )

    def recovery(self, state: RunState) -> str:
        """See `Reporter.recovery`."""
        return save_recovery(self._folder, state, self._recipe, self._card).name

    def unheard(self) -> list[dict[str, Any]]:
        """See `Reporter.unheard`."""
        return []


class QuietReporter:
    """Writes nothing, and keeps its own events for the one that does."""

    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []

    def begin(self, validation: Dataset, resume: Checkpoint | None) -> None:
        """See `Reporter.begin`."""

    def event(self, event: str, **details: Any) -> None:
        """See `Reporter.event`."""

    def own_event(self, event: str, **details: Any) -> None:
        """See `Reporter.own_event`."""
        self._kept.append({"event": event, **details})

    def epoch(self, state: RunState, evaluation: Evaluation, images_per_s: float | None) -> None:
        """See `Reporter.epoch`."""

    def recovery(self, state: RunState) -> str:
        """See `Reporter.recovery`."""
        return ""

    def unheard(self) -> list[dict[str, Any]]:
        """See `Reporter.unheard`."""
        kept, self._kept = self._kept, []
        return kept
