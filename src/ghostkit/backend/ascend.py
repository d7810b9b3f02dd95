"""A compiled ``.om`` model as a backend, with the card beside it, where an Ascend device is.

Through CANN's own `acl` where it can be imported, else through `ais_bench`. Both are written
against their documentation and tested with stand-ins; nothing here was run on a device.
"""

import os
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend.acl import AclSession
from ghostkit.backend.whole_batches import in_whole_batches
from ghostkit.card import ModelCard, read_sidecar
from ghostkit.errors import CardError, ModelError, one_line
from ghostkit.files import sha256_of

INTERFACES = ("acl", "ais_bench")  # in order of preference; the names of the modules


class Session(Protocol):
    """A loaded ``.om`` that takes batches of one size in bytes."""

    input_bytes: int

    def run(self, batch: NDArray[np.generic]) -> NDArray[np.float32]:
        """The first output, flat."""


class AisBenchSession:
    """A loaded ``.om`` through ais_bench's InferSession."""

    def __init__(self, path: str | os.PathLike[str], device: int = 0) -> None:
        self.path = os.fspath(path)
        self._lock = threading.Lock()
        interface = import_module("ais_bench.infer.interface")
        try:
            self._session = interface.InferSession(device_id=device, model_path=self.path)
            [wants] = self._session.get_inputs()
        except Exception as error:  # aclruntime's errors share no base class
            raise ModelError(
                f"{self.path}: ais_bench cannot open it on device {device}: {one_line(error)}; "
                "check: ghostkit doctor"
            ) from error
        self.input_bytes = int(wants.realsize)

    def run(self, batch: NDArray[np.generic]) -> NDArray[np.float32]:
        """The first output for `batch`, flat float32."""
        try:
            with self._lock:
                outputs = self._session.infer(feeds=[np.ascontiguousarray(batch)], mode="static")
        except Exception as error:
            raise ModelError(f"{self.path}: ais_bench failed: {one_line(error)}") from error
        return np.asarray(outputs[0], dtype=np.float32).reshape(-1)


def interfaces() -> list[str]:
    """The interfaces to a device that are installed, the one to use first; often none."""
    return [name for name in INTERFACES if find_spec(name)]


def open_session(
    path: str | os.PathLike[str], device: int = 0, interface: str | None = None
) -> tuple[Session, str]:
    """A session through `interface`, or the first one that is installed; and its name.

    Raises:
        ModelError: none is installed, or the file cannot be opened.
    """
    found = [name for name in interfaces() if interface in (None, name)]
    if not found:
        raise ModelError(
            f"{os.fspath(path)}: a compiled model runs on an Ascend device alone, and neither "
            "the module 'acl' of CANN nor 'ais_bench' is here; on a machine with a device run: "
            "source /usr/local/Ascend/ascend-toolkit/set_env.sh, and see: ghostkit doctor"
        )
    session = AclSession(path, device) if found[0] == "acl" else AisBenchSession(path, device)
    return session, found[0]


class OmBackend:
    """An ``.om`` file with the card beside it. One batch at a time is on the device.

    Raises:
        ModelError: the file is missing, does not open, or does not fit its card.
        CardError: there is no card beside it.
    """

    serial = True  # the device takes one batch at a time, whoever calls
    fallback: str | None = None  # there is no other device for a compiled model

    def __init__(self, path: str | os.PathLike[str], *, device: int = 0) -> None:
        self.path = os.fspath(path)
        if not os.path.isfile(self.path):
            raise ModelError(f"{self.path}: no such model file; expected an .om file")
        self.card = self.host_card = _read_card(self.path)
        self._session, interface = open_session(self.path, device)
        self.name = f"{interface} device {device}"
        self._batch = _batch_size(self._session.input_bytes, self.card, self.path)
        self.fixed_batch: int | None = self._batch

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """See `Backend.infer`. The last batch is filled up to the compiled size."""
        return in_whole_batches(images, self._batch, self._run)

    def _run(self, batch: NDArray[np.generic]) -> NDArray[np.float32]:
        size, classes = len(batch), len(self.card.classes)
        answers = self._session.run(batch)
        if answers.size != size * classes:
            raise ModelError(
                f"{self.path}: {answers.size} numbers for a batch of {size}; its card names "
                f"{classes} classes, so {size * classes} were expected"
            )
        return answers.reshape(size, classes)


def _read_card(path: str) -> ModelCard:
    card = read_sidecar(path)
    if card is None:
        raise CardError(
            f"{path}: no card beside it ({path}.card.json), so its classes and preprocessing are "
            "unknown; convert it again with ghostkit, or write the card (docs/card.md)"
        )
    record = card.provenance.recipe.get("atc")
    made_for = record.get("sha256") if isinstance(record, dict) else None
    if made_for is not None:
        found = sha256_of(path)
        if found != made_for:
            raise CardError(
                f"{path}: the card beside it is of another file: sha256 {found}, expected "
                f"{made_for}; copy the two together, or convert the model again"
            )
    return card


def _batch_size(input_bytes: int, card: ModelCard, path: str) -> int:
    """How many pictures the compiled model takes at once, from its input's size in bytes."""
    wants = card.input
    if wants.height is None or wants.width is None:
        raise ModelError(f"{path}: its card has no input size; a compiled model takes one size")
    each = 3 * wants.height * wants.width * np.dtype(wants.dtype).itemsize
    size, rest = divmod(input_bytes, each)
    if size < 1 or rest:
        raise ModelError(
            f"{path}: the compiled model takes {input_bytes} bytes, a picture of its card has "
            f"{each} ({wants.width}x{wants.height} {wants.dtype}); the card is of another model, "
            "or it was compiled with another size"
        )
    return size
