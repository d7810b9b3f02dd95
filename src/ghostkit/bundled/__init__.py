"""Data shipped in the package: TrashNet at 112x84 pixels, and a model to use and to start from.

Out: a folder of class folders, for `ghostkit.dataset`, whose source and licence are in
TRASHNET-LICENSE.txt; and the paths of the model's two files, which recipes/README.md says how to
make: its weights, and the graph over them.
"""

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from ghostkit.errors import DatasetError, OutputError
from ghostkit.files import sync_folder, temporary_beside

ARCHIVE = "trashnet-112.tar.gz"
SHA256 = "6444483a2a5b9c595b500034ecadf4dc07df97f7c572aff0344f7beb42d83c76"
TOP = "dataset-resized-rgb-112"  # the one folder in the archive
NAME = "trashnet-112"  # its name once unpacked

FEW = 96  # photos on which a conversion is compared with its source: seconds, not minutes

DEFAULT = "default"  # what the bundled model is called wherever a model or weights are named


def default_weights() -> Path:
    """The weights that training starts from where ``default`` is named; their card says what."""
    return Path(str(files(__name__) / "default.safetensors"))


def default_model() -> Path:
    """The ONNX graph of the default model; it reads `default_weights`."""
    return Path(str(files(__name__) / "default.onnx"))


def probe_model() -> Path:
    """An ONNX file of three nodes that says which channel is strongest, for the doctor."""
    return Path(str(files(__name__) / "probe.onnx"))


def unpack_trashnet(folder: str | os.PathLike[str]) -> Path:
    """The folder of TrashNet's class folders, `folder`/trashnet-112, unpacked if it is not there.

    It appears whole or not at all; a process that is killed leaves at most a hidden folder.

    Raises:
        DatasetError: the bundled archive is damaged, or what stands there is not its content.
        OutputError: `folder` cannot be written.
    """
    target = Path(folder) / NAME
    archive = _read_archive()
    if target.exists():
        return _checked(target, archive)
    temporary = temporary_beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            _extract(tar, temporary)
        os.rename(temporary / TOP, target)
        sync_folder(target.parent)
    except OSError as error:
        if target.is_dir():  # another process was first
            return _checked(target, archive)
        raise OutputError(
            f"cannot unpack the bundled photos to {str(target)!r}: {error.strerror or error}; "
            "choose another folder, or free space and permissions there"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def unpack_some(folder: str | os.PathLike[str], count: int = FEW) -> Path:
    """The folder of about `count` of the photos, evenly spread over their class folders.

    Args:
        folder: where it is made.
        count: how many photos at the least, 1 or more; at most the data set's number.

    Raises:
        DatasetError: the bundled archive is damaged.
        OutputError: `folder` cannot be written.
    """
    target = Path(folder)
    with tarfile.open(fileobj=io.BytesIO(_read_archive())) as tar:
        photos = sorted((each for each in tar if each.isfile()), key=lambda each: each.name)
        try:
            _extract(tar, target, photos[:: max(1, len(photos) // count)])
        except OSError as error:
            raise OutputError(
                f"cannot unpack bundled photos to {str(target)!r}: {error.strerror or error}; "
                "free space and permissions there"
            ) from error
    return target / TOP


def _extract(
    tar: tarfile.TarFile, folder: Path, members: Sequence[tarfile.TarInfo] | None = None
) -> None:
    """Unpack what `_read_archive` has checked; Python before 3.11.4 has no filter."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(folder, members, filter="data")
    else:
        tar.extractall(folder, members)


def _read_archive() -> bytes:
    try:
        data = (files(__name__) / ARCHIVE).read_bytes()
    except OSError as error:
        raise DatasetError(
            f"the bundled {ARCHIVE} cannot be read: {error.strerror}; install ghostkit again"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise DatasetError(
            f"the bundled {ARCHIVE} is damaged: its sha256 is {found}, expected {SHA256}; "
            "install ghostkit again"
        )
    return data


def _checked(target: Path, archive: bytes) -> Path:
    """`target`, after making sure that no picture of the archive is missing or cut there."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        expected = {m.name.removeprefix(f"{TOP}/"): m.size for m in tar if m.isfile()}
    wrong = [name for name, size in expected.items() if _size(target / name) != size]
    if wrong:
        raise DatasetError(
            f"{str(target)!r} is not the bundled data set: {len(wrong)} of its {len(expected)} "
            f"pictures are missing or changed, e.g. {wrong[0]!r}; remove it or unpack elsewhere"
        )
    return target


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
