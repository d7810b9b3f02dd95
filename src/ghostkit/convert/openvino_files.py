"""The three files of an OpenVINO model: drafted, then written whole under their names."""

import os
from pathlib import Path
from typing import Any

from ghostkit.backend.openvino import require_openvino
from ghostkit.backend.openvino_ir import weights_path, with_checksums
from ghostkit.card import ModelCard, sidecar_path, write_sidecar
from ghostkit.convert.model_api import SECTION, model_info
from ghostkit.files import check_target, write_bytes
from ghostkit.suffixes import OPENVINO


def check_targets(output: Path, *, overwrite: bool) -> None:
    """Refuse now what `write_files` would refuse after long work."""
    for path in (output, weights_path(output), sidecar_path(output)):
        check_target(path, overwrite=overwrite)


def save_draft(model: Any, card: ModelCard, folder: Path, *, half: bool = False) -> Path:
    """The OpenVINO graph `model` and its card in `folder`; `half`: weights in half precision."""
    path = folder / f"draft{OPENVINO}"
    for name, value in model_info(card).items():
        model.set_rt_info(value, [SECTION, name])
    require_openvino().save_model(model, str(path), compress_to_fp16=half)
    write_sidecar(with_checksums(card, path), path)
    return path


def write_files(draft: Path, output: Path) -> None:
    """Copy the draft's files to `output`, the graph last: until then there is no model there.

    The card holds the sums of the other two, so files of two conversions are never taken for one.

    Raises:
        OutputError: they cannot be written; those that are new are removed again.
    """
    pairs = [
        (weights_path(draft), weights_path(output)),
        (sidecar_path(draft), sidecar_path(output)),
        (draft, output),
    ]
    new = [target for _, target in pairs if not os.path.lexists(target)]
    try:
        for source, target in pairs:
            write_bytes(target, source.read_bytes())
    except BaseException:
        for target in new:
            target.unlink(missing_ok=True)
        raise
