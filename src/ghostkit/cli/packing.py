"""The work of ``ghostkit pack``: write a data set as archives, each sent when it is complete."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ghostkit.cli.options import say
from ghostkit.cloud.address import is_url, parse
from ghostkit.cloud.stage import send
from ghostkit.cloud.store import open_store
from ghostkit.dataset import Dataset, open_dataset, open_splits, parts_in
from ghostkit.dataset.class_names import read_class_names
from ghostkit.dataset.left_out import read_left_out
from ghostkit.dataset.packing import pack
from ghostkit.dataset.shards import INDEX, TarShard, is_packed
from ghostkit.errors import UsageError
from ghostkit.files import check_target, exists_already
from ghostkit.progress import bars_for

ELSEWHERE = "choose another place for the archives"


def run(
    data: Path,
    target: str,
    *,
    labels: Path | None,
    val_labels: Path | None,
    class_names: Path | None,
    leave_out: Path | None,
    val_split: float | None,
    shard_bytes: int,
    seed: int,
) -> tuple[TarShard, ...]:
    """Pack `data` to `target`, a folder or a URL; the archives."""
    if labels is None and is_packed(str(data)):
        raise UsageError(f"{str(data)!r} is packed already; pack the folder that it was made of")
    left_out = read_left_out(leave_out)
    parts = _parts(data, labels, val_labels, class_names, left_out, val_split, seed)
    for note in dict.fromkeys(note for part in parts.values() for note in part.notes):
        say(note)
    bars = bars_for()
    if not is_url(target):
        local_index = Path(target) / INDEX
        if local_index.exists():
            raise exists_already(local_index, ELSEWHERE)
        check_target(local_index)
        return pack(parts, Path(target), shard_bytes=shard_bytes, seed=seed, bars=bars)
    address = parse(target)
    index = address.below(INDEX)
    if open_store(address).stat(index.key) is not None:
        raise exists_already(index, ELSEWHERE)

    def on_its_way(path: Path) -> None:
        send(path, address.below(path.name))
        path.unlink()  # only one archive is here at a time

    with TemporaryDirectory() as folder:
        return pack(
            parts,
            Path(folder),
            shard_bytes=shard_bytes,
            seed=seed,
            bars=bars,
            written=on_its_way,
        )


def _parts(
    data: Path,
    labels: Path | None,
    val_labels: Path | None,
    class_names: Path | None,
    left_out: Mapping[str, str] | None,
    val_split: float | None,
    seed: int,
) -> dict[str, Dataset]:
    classes = read_class_names(class_names)
    if val_split is not None or len(parts_in(data, labels=labels, val_labels=val_labels)) == 2:
        both = open_splits(
            data,
            labels=labels,
            val_labels=val_labels,
            val_split=val_split,
            seed=seed,
            classes=classes,
            left_out=left_out,
            bars=bars_for(),
        )
        return dict(zip(("train", "val"), both, strict=True))
    whole = open_dataset(data, labels=labels, classes=classes, left_out=left_out)
    return {whole.split: whole}
