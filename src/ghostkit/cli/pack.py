"""``ghostkit pack``: a data set into tar archives, here or in a store."""

from typing import Annotated

import typer

from ghostkit.cli.options import (
    KEPT,
    Classes,
    Data,
    Labels,
    LeaveOut,
    ValLabels,
    ValSplit,
    next_training,
    say,
)
from ghostkit.defaults import DEFAULT_SEED


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(pack)


def pack(
    data: Data,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A folder, or s3://BUCKET/KEY, obs://..."), KEPT
    ],
    labels: Labels = None,
    val_labels: ValLabels = None,
    classes: Classes = None,
    leave_out: LeaveOut = None,
    val_split: ValSplit = None,
    shard_mb: Annotated[int, typer.Option(min=1, help="Megabytes of pictures per archive.")] = 256,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the order, and of --val-split.")
    ] = DEFAULT_SEED,
) -> None:
    """Write a data set as tar archives with an index, to be read as a stream.

    Example: ghostkit pack photos/ s3://bucket/photos-packed
    """
    from ghostkit.cli.packing import run

    shards = run(
        data,
        target,
        labels=labels,
        val_labels=val_labels,
        class_names=classes,
        leave_out=leave_out,
        val_split=val_split,
        shard_bytes=shard_mb << 20,
        seed=seed,
    )
    pictures = sum(shard.pictures for shard in shards)
    parts = {shard.part for shard in shards}
    say(f"{target}: {pictures} pictures in {len(shards)} archives{next_training(target, parts)}")
