"""A data set into tar archives of some megabytes each, in the layout of WebDataset.

Each picture is a pair of members, ``KEY.jpg`` and ``KEY.cls`` (its class index). The pictures of a
part come in an order drawn from a seed, so that an archive holds all classes. An archive and its
list are written whole or not at all; one that stands already and is right is kept.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ghostkit.dataset import Dataset
from ghostkit.dataset.shards import FORMAT, INDEX, MEMBERS, TarShard
from ghostkit.errors import DatasetError
from ghostkit.files import durable, write_json
from ghostkit.progress import Bars, silent

Row = tuple[int, str, int, int, int]
"""Of the list beside an archive: (place in the data set, path, first byte, bytes, class index)."""


def pack(
    parts: dict[str, Dataset],
    folder: Path,
    *,
    shard_bytes: int,
    seed: int,
    bars: Bars = silent,
    written: Callable[[Path], None] = lambda path: None,
) -> tuple[TarShard, ...]:
    """Write the archives, their lists, and last the index to `folder`.

    Args:
        parts: ``train`` and ``val``, one of them, or ``all``, for a data set without parts.
        written: told of each file that is whole.

    Raises:
        DatasetError: a picture cannot be read, or the parts have other classes.
        OutputError: the files cannot be written.
    """
    classes = next(iter(parts.values())).classes
    titles = next(iter(parts.values())).titles
    shards: list[TarShard] = []
    for part, data in parts.items():
        if data.classes != classes:
            raise DatasetError(f"{data.root!r}: its {part} part has other classes than the rest")
        order = np.random.default_rng(seed).permutation(len(data.samples)).tolist()
        with bars(f"Packing {part}", len(order)) as bar:
            for number, places in enumerate(_cut(data, order, shard_bytes)):
                path = folder / f"{part}-{number:06}.tar"
                shards.append(_write(path, part, data, places))
                bar.advance(len(places))
                written(path)
                written(path.with_name(path.name + MEMBERS))
    notes = [note for data in parts.values() for note in data.notes]
    record = {
        "format": FORMAT,
        "classes": list(classes),
        "titles": titles and list(titles),
        "seed": seed,
        "notes": list(dict.fromkeys(notes)),
        "shards": [shard._asdict() for shard in shards],
    }
    write_json(folder / INDEX, record)
    written(folder / INDEX)
    return tuple(shards)


def _cut(data: Dataset, order: Sequence[int], shard_bytes: int) -> Iterator[list[int]]:
    """The places of each archive's pictures."""
    places: list[int] = []
    size = 0
    for place in order:
        places.append(place)
        size += _size(data.samples[place].path)
        if size >= shard_bytes:
            yield places
            places, size = [], 0
    if places:
        yield places


def _write(path: Path, part: str, data: Dataset, places: Sequence[int]) -> TarShard:
    rows: list[Row] = []
    with durable(path) as stream:
        hashed = _Hashed(stream)
        with tarfile.open(fileobj=cast(BinaryIO, hashed), mode="w|") as tar:
            for place in places:
                sample = data.samples[place]
                name = os.path.relpath(sample.path, data.root).replace(os.sep, "/")
                stem, suffix = os.path.splitext(name)
                key = f"{stem.replace('.', '_')}-{place}"
                content = _content(sample.path)
                tar.addfile(_header(key + suffix.lower(), len(content)), io.BytesIO(content))
                start = tar.offset - (-(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
                rows.append((place, name, start, len(content), sample.target))
                label = str(sample.target).encode()
                tar.addfile(_header(f"{key}.cls", len(label)), io.BytesIO(label))
    write_json(path.with_name(path.name + MEMBERS), rows)
    return TarShard(
        name=path.name,
        part=part,
        pictures=len(places),
        size=hashed.size,
        sha256=hashed.digest.hexdigest(),
    )


def _header(name: str, size: int) -> tarfile.TarInfo:
    """A tar header without owner and time, so that equal data gives equal bytes."""
    header = tarfile.TarInfo(name)
    header.size = size
    return header


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DatasetError(f"{path!r} cannot be packed: {error.strerror}") from error


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError as error:
        raise DatasetError(f"{path!r} cannot be packed: {error.strerror}") from error


class _Hashed:
    """A writable stream that computes the size and SHA-256 of its content."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size, self.digest = 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self.digest.update(data)
        return self._stream.write(data)
