"""Read a weights file as plain data and CPU tensors; nothing in it is executed.

In: the path of a zip written by torch.save, of the stream torch wrote before 1.6, or of a
safetensors file; told apart by their first bytes, not by their names. Out: the object that was
saved. Sizes, offsets and strides are held against the file's own bytes before a tensor is made.
Numbers are little-endian unless the zip's `byteorder` record says big.
"""

import io
import json
import os
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from ghostkit.errors import CheckpointError, MissingExtra
from ghostkit.train.files.pickle_reader import read_pickle
from ghostkit.train.files.tensors import Storage, checked, rules_of_torch, storage_of, tensor_of

MAX_FILE_BYTES = 4 * 2**30  # GhostNet with its optimizer has 40 MB
MAX_ENTRIES = 100_000  # of a zip
MAX_NAME_LENGTH = 512  # of a zip's entry

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the stream before torch 1.6
LEGACY_VERSION = 1001

_OTHER_STARTS = {
    b"version https://git-lfs": "it is a Git LFS pointer: fetch the file itself by 'git lfs pull'",
    b"<": "it is a web page, perhaps an error page saved by a download",
    b"\x1f\x8b": "it is gzip-compressed: unpack it first",
}


def read_torch_file(path: str | os.PathLike[str]) -> Any:
    """The object saved in `path`.

    Raises:
        CheckpointError: unreadable, damaged, of another format, or not plain data.
    """
    data = _bytes_of(Path(path))
    name = Path(path).name
    if data[8:9] == b"{":  # first, since any byte may begin the length of its header
        return _read_safetensors(data, name)
    if data.startswith(b"PK\x03\x04"):
        return _read_zip(data, name)
    if data.startswith(b"\x80"):
        return _read_legacy(data, name)
    hint = next((said for start, said in _OTHER_STARTS.items() if data.startswith(start)), "")
    raise CheckpointError(
        f"{name} is no weights file: {hint or f'its first bytes are {data[:8]!r}'}; "
        "expected what torch.save writes, or safetensors"
    )


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise CheckpointError(
                f"{str(path)!r} is a folder; name a file in it, of a run its model_best.pth.tar"
            )
        if not path.is_file():
            raise CheckpointError(f"{str(path)!r} is not a file")
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise CheckpointError(
                f"{path.name} has {size:,} bytes; weights files up to {MAX_FILE_BYTES:,} are read"
            )
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _read_zip(data: bytes, name: str) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = _checked_entries(archive, len(data), name)
            roots = [entry.removesuffix("data.pkl") for entry in entries if _is_program(entry)]
            if len(roots) != 1 or f"{roots[0]}constants.pkl" in entries:
                raise CheckpointError(
                    f"{name} is a zip, but not of torch.save (a TorchScript archive?): "
                    "save the model's state_dict() with torch.save"
                )
            root = roots[0]
            order = archive.read(f"{root}byteorder") if f"{root}byteorder" in entries else b"little"
            swap = order.strip() != sys.byteorder.encode()
            found: dict[str, Storage] = {}

            def storage(key: str, dtype: torch.dtype, count: int) -> Storage:
                entry = f"{root}data/{key}"
                if key not in found:
                    if entry not in entries:
                        raise CheckpointError(f"{name} is damaged: {entry[:120]!r} is missing")
                    found[key] = storage_of(archive.read(entry), dtype, swap=swap, name=entry)
                return checked(found[key], dtype, count, entry)

            rules = rules_of_torch(f"'data.pkl' of {name}", storage, tensor_of)
            return read_pickle(io.BytesIO(archive.read(f"{root}data.pkl")), rules)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        ValueError,
        LookupError,
        EOFError,
        OSError,
        OverflowError,
        struct.error,
    ) as error:
        raise CheckpointError(f"{name} is damaged: {error}") from error


def _is_program(entry: str) -> bool:
    return entry == "data.pkl" or (entry.count("/") == 1 and entry.endswith("/data.pkl"))


def _checked_entries(archive: zipfile.ZipFile, size: int, name: str) -> set[str]:
    """The names of the entries, when they are stored as torch stores them: plain and apart."""
    infos = archive.infolist()
    names = {info.filename for info in infos}
    if len(infos) > MAX_ENTRIES or len(names) < len(infos):
        raise CheckpointError(f"{name} has too many entries, or two of one name")
    if (longest := max((len(entry) for entry in names), default=0)) > MAX_NAME_LENGTH:
        raise CheckpointError(f"{name} has an entry whose name is {longest} characters long")
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise CheckpointError(f"{name} has compressed entries; torch.save stores them plain")
    if sum(info.file_size for info in infos) > size:
        raise CheckpointError(f"{name} is damaged: its entries overlap")
    return names


def _read_legacy(data: bytes, name: str) -> Any:
    """Five pickles (magic, version, machine, object, storage keys), then the storages' bytes."""
    stream = io.BytesIO(data)
    counts: dict[str, tuple[torch.dtype, int]] = {}
    found: dict[str, Storage] = {}

    def survey(key: str, dtype: torch.dtype, count: int) -> Storage:
        if counts.setdefault(key, (dtype, count)) != (dtype, count):
            raise CheckpointError(f"{name} is damaged: storage {key[:40]!r} is of two kinds")
        return Storage(torch.empty(0, dtype=dtype))

    def storage(key: str, dtype: torch.dtype, count: int) -> Storage:
        if key not in found:
            raise CheckpointError(f"{name} is damaged: storage {key[:40]!r} is missing")
        return checked(found[key], dtype, count, key)

    first = rules_of_torch(name, survey, lambda *_: None)
    if read_pickle(stream, first) != LEGACY_MAGIC:
        raise CheckpointError(f"{name} is a pickle, but not one that torch.save wrote")
    version, _ = read_pickle(stream, first), read_pickle(stream, first)
    if version != LEGACY_VERSION:
        raise CheckpointError(f"{name} has another stream version than torch's {LEGACY_VERSION}")
    start = stream.tell()
    read_pickle(stream, first)
    keys = read_pickle(stream, first)
    listed = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not listed or len(keys) != len(counts) or set(keys) != set(counts):
        raise CheckpointError(f"{name} is damaged: its list of storages is not the one in use")
    for key in keys:
        dtype, count = counts[key]
        written = int.from_bytes(stream.read(8), "little", signed=True)
        if written != count or count * dtype.itemsize > len(data):
            raise CheckpointError(f"{name} is damaged or truncated at storage {key[:40]!r}")
        content = stream.read(count * dtype.itemsize)
        found[key] = storage_of(content, dtype, swap=sys.byteorder == "big", name=key)
        checked(found[key], dtype, count, key)
    stream.seek(start)
    return read_pickle(stream, rules_of_torch(name, storage, tensor_of))


def _read_safetensors(data: bytes, name: str) -> dict[str, Any]:
    """The tensors under `state_dict`, the file's own notes under `metadata`."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise MissingExtra("train", "safetensors") from error
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{name} is damaged: {error}") from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return {"state_dict": tensors, "metadata": header.get("__metadata__", {})}
