"""Find the checkpoint to resume from, and restore the run folder to that point.

A run may resume from an earlier checkpoint than its last, say with another learning rate. What came
after it belongs to an abandoned branch: it must neither be resumed nor be taken for the best.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from ghostkit.errors import CardError, CheckpointError, UsageError
from ghostkit.files import remove_leftovers, write_text
from ghostkit.progress import Log
from ghostkit.run_files import BEST, EPOCHS, LAST, PREVIOUS, RECOVERIES
from ghostkit.train.checkpoint import (
    Checkpoint,
    epoch_name,
    epoch_of,
    link_over,
    open_checkpoint,
    recovery_position,
    summary_csv,
)
from ghostkit.train.history import EpochRow, best_epoch
from ghostkit.train.recipe import BestBy

LEFT = "left-branch"  # the folder, in a run's, of what an abandoned branch had reached; then -2, …


def open_resume(path: str | os.PathLike[str], log: Log) -> Checkpoint:
    """The checkpoint to go on from: a file, or the furthest sound one of a run folder.

    Raises:
        CheckpointError: the file, or every checkpoint in the folder, is damaged.
        UsageError: there is no checkpoint in the folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        return open_checkpoint(path)
    recoveries = sorted(folder.glob(RECOVERIES), key=recovery_position, reverse=True)
    finished = [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]
    epochs = sorted(folder.glob(EPOCHS), key=epoch_of, reverse=True)  # where all else is lost
    problems: list[str] = []
    sound: list[Checkpoint] = []
    for candidate in (*recoveries, *finished, *epochs):
        if candidate in epochs and sound:
            break
        try:
            sound.append(open_checkpoint(candidate))
        except (CheckpointError, CardError) as error:
            problems.append(str(error))
            log(f"passed over: {error}")
    if sound:
        furthest = max(sound, key=lambda c: (len(c.history), c.position.step))
        return _written_last(folder, furthest) or furthest
    if problems:
        raise CheckpointError(f"{folder}: every checkpoint is damaged; the first: {problems[0]}")
    raise UsageError(f"{folder}: no {LAST} and no recovery checkpoint in this folder to resume")


def _written_last(folder: Path, furthest: Checkpoint) -> Checkpoint | None:
    """The next epoch's checkpoint, which a kill has left before it became the folder's last."""
    try:
        written = open_checkpoint(folder / epoch_name(len(furthest.history)))
    except (CheckpointError, CardError):
        return None
    return written if written.history[:-1] == furthest.history else None


def resume_folder(
    folder: Path, checkpoint: Checkpoint, best_by: BestBy = "top1"
) -> tuple[str, ...]:
    """Make `folder` what it was when `checkpoint` was written, whatever was lost since.

    ``model_best`` is the best of the checkpoint's own epochs, from beside it; where it is not
    there, the checkpoint stands in. What a killed writer left half written is removed, and so are
    the recoveries of finished epochs. What a branch that is left had reached, recoveries too, goes
    into a new folder, `LEFT` or, where that is taken, ``LEFT-2`` and so on. A finished epoch's
    checkpoint becomes the folder's last, so that a damaged or later one is not what the next epoch
    puts aside.

    Returns:
        What has been moved there, as paths within `folder`.
    """
    remove_leftovers(folder)
    here, history, step = Path(checkpoint.path), checkpoint.history, checkpoint.position.step
    best = _best_of(checkpoint, best_by) if history else None
    left = _left_behind(folder, history, step)
    apart = _new_folder(folder) if left else folder
    for path in left:
        os.replace(path, apart / path.name)
    for recovery in folder.glob(RECOVERIES):
        epoch, at = recovery_position(recovery)
        if epoch >= 0 and not (epoch == len(history) and at <= step):
            recovery.unlink()
    if step == 0 and here.name != LAST and here.resolve().parent == folder.resolve():
        link_over(here, folder / LAST)
        if here.name != PREVIOUS:
            (folder / PREVIOUS).unlink(missing_ok=True)
    if best is not None:
        write_text(folder / "summary.csv", summary_csv(history))
        link_over(best, folder / BEST)
    return tuple(f"{apart.name}/{path.name}" for path in left)


def _new_folder(folder: Path) -> Path:
    """A folder in `folder` for one branch, so that none takes another's place."""
    number, apart = 1, folder / LEFT
    while apart.exists():
        number += 1
        apart = folder / f"{LEFT}-{number}"
    apart.mkdir()
    return apart


def _left_behind(folder: Path, history: Sequence[EpochRow], step: int) -> list[Path]:
    """The sound files beyond `history` and `step` of the epoch after it."""
    later = [
        path
        for path in folder.glob(EPOCHS)
        if epoch_of(path) >= len(history) and _history_of(path) is not None
    ]
    named = [
        folder / name
        for name in (LAST, PREVIOUS, BEST)
        if (own := _history_of(folder / name)) is not None and own != list(history[: len(own)])
    ]
    recoveries = [
        path
        for path in folder.glob(RECOVERIES)
        if recovery_position(path) > (len(history), step) and _history_of(path) is not None
    ]
    return sorted(later) + sorted(recoveries) + named


def _best_of(checkpoint: Checkpoint, best_by: BestBy) -> Path:
    """The file that holds the best of the checkpoint's epochs, or the checkpoint in its place."""
    here, best = Path(checkpoint.path), best_epoch(checkpoint.history, best_by)
    if checkpoint.position.step == 0 and best == checkpoint.epoch:
        return here
    for name in (epoch_name(best), BEST):
        if _history_of(here.with_name(name)) == checkpoint.history[: best + 1]:
            return here.with_name(name)
    return here


def _history_of(path: Path) -> list[EpochRow] | None:
    """The epochs behind a checkpoint; None where there is none, or it is damaged."""
    try:
        return open_checkpoint(path).history if path.is_file() else None
    except (CheckpointError, CardError):
        return None
