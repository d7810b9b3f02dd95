"""OpenVINO's graph compiled for the CPU and kept in a cache of the user's; what it computes in.

In: OpenVINO's own objects; out: a compiled model with a stream per core, each of one thread.
"""

import os
from pathlib import Path
from typing import Any

from ghostkit.errors import ModelError, one_line
from ghostkit.files import cache_folder
from ghostkit.threads import available_cores

DEVICE = "CPU"
CACHED_MODELS = 16  # compiled ones that are kept, the newest; each is as large as its weights
_COMPUTED_IN = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "u8": "int8", "i8": "int8"}
_HEAVY = {"Convolution", "Deconvolution", "FullyConnected", "MatMul"}  # layers that multiply


def compiled_model(core: Any, model: Any, hint: str, path: str, cached: bool) -> Any:
    """OpenVINO's `model`, of the file at `path`, ready to run in the precision `hint`.

    Raises:
        ModelError: OpenVINO cannot compile it.
    """
    cores = available_cores()
    wishes: dict[str, Any] = {
        "NUM_STREAMS": cores,
        "INFERENCE_NUM_THREADS": cores,
        "ENABLE_CPU_PINNING": False,  # other work, such as decoding, shares the cores
        "INFERENCE_PRECISION_HINT": hint,  # by default OpenVINO would choose
    }
    folder = _writable_cache() if cached else None
    if folder is not None:
        wishes["CACHE_DIR"] = str(folder)
    try:
        compiled = core.compile_model(model, DEVICE, wishes)
    except Exception as error:
        raise ModelError(f"{path}: OpenVINO cannot compile it: {one_line(error)}") from error
    if folder is not None:
        _keep_newest(folder)
    return compiled


def _writable_cache() -> Path | None:
    """Where compiled models are kept; None where nothing can be, which costs time alone."""
    try:
        folder = cache_folder() / "openvino"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _keep_newest(folder: Path) -> None:
    """Remove the oldest compiled models; one that another process removes first is no fault."""
    ages = []
    for path in folder.glob("*.blob"):
        try:
            ages.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    for _, path in sorted(ages)[:-CACHED_MODELS]:
        path.unlink(missing_ok=True)


def computed_in(compiled: Any) -> tuple[str, ...]:
    """The precisions of the layers that multiply, as the compiled model itself tells them."""
    found = set()
    for operation in compiled.get_runtime_model().get_ordered_ops():
        notes = operation.get_rt_info()
        if notes["layerType"].astype(str) in _HEAVY:
            # kernel and the type of the values that it takes; runtimePrecision may be the weights'
            found.add(notes["primitiveType"].astype(str).rpartition("_")[2].lower())
    if not found:  # nothing multiplies
        found = {compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()}
    return tuple(sorted(_COMPUTED_IN.get(each, each) for each in found))
