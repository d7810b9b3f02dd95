"""Which file answers for a ``modelPath``: the .om itself on a machine with a device, else its ONNX.

Called by every element that infers, and by ``ghostkit mxbase``.
"""

import os
from dataclasses import dataclass

from ghostkit.backend.ascend import interfaces
from ghostkit.errors import PipelineError
from ghostkit.mindx.codes import Code

COMPILED = ".om"


@dataclass(frozen=True, slots=True)
class Found:
    """The file to open, and what its owner should know about the choice."""

    path: str
    notice: str | None = None


def find_model(given: str, folder: str, where: str) -> Found:
    """The file that answers for `given`, looked for from here and then from `folder`.

    Args:
        where: what names it, for messages: ``stream.element``, or an option.

    Raises:
        PipelineError: there is none.
    """
    stem = os.path.splitext(given)[0]
    tried = []
    for name in dict.fromkeys([given, f"{stem}.onnx"]):
        if name.endswith(COMPILED) and not interfaces():
            continue
        for path in places(name, folder):
            tried.append(path)
            if os.path.isfile(path):
                notice = None if name == given else f"{given!r} is answered by {path!r}"
                return Found(path, notice)
    raise PipelineError(
        Code.NOT_EXIST,
        f"{where}: {given!r}: no ONNX model for it; looked for {', '.join(tried)}. Put the model "
        f"that the .om was made from beside it, or name it with --model ({Code.NOT_EXIST:d})",
    )


def places(name: str, folder: str) -> list[str]:
    """Where a path of a pipeline may lead: from the current folder, then from the pipeline's."""
    return list(dict.fromkeys([name, os.path.join(folder, name)]))
