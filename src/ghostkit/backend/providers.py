"""ONNX Runtime's execution providers: which one is requested for a device, and which one runs.

Those of CUDA and CANN are written against their documentation and tested with a stand-in of
ONNX Runtime; they were never run on a device.
"""

from collections.abc import Mapping, Sequence

import onnxruntime

from ghostkit.backend.choice import Choice, Device

CPU = "CPUExecutionProvider"
OF_DEVICE = {"cuda": "CUDAExecutionProvider", "npu": "CANNExecutionProvider"}  # the better first
PACKAGE = {"cuda": "onnxruntime-gpu", "npu": "onnxruntime-cann"}
_PRECISE = {  # float32 stays float32: no TF32, no half precision
    "cuda": {"use_tf32": "0"},
    "npu": {"precision_mode": "must_keep_origin_dtype"},
}

Providers = Sequence[tuple[str, Mapping[str, str]]]


def device_for(choice: Choice) -> Device:
    """The device to ask for: the chosen one; the best that this ONNX Runtime has, for auto."""
    if choice.device.kind != "auto":
        return choice.device
    here = onnxruntime.get_available_providers()
    if OF_DEVICE["cuda"] in here:
        return Device("cuda")
    return Device("npu" if OF_DEVICE["npu"] in here else "cpu")


def providers_for(device: Device, strict: bool) -> Providers:
    """The providers to open a session with: the device's, where it is installed, and the CPU's.

    If the choice is `strict`, the CPU's is left out beside another, so that no operator runs there.
    """
    name = OF_DEVICE.get(device.kind)
    if name is None or name not in onnxruntime.get_available_providers():
        return [(CPU, {})]
    own = (name, {"device_id": str(device.index), **_PRECISE[device.kind]})
    return [own] if strict else [own, (CPU, {})]


def fallback(device: Device, used: Sequence[str], path: str, choice: Choice) -> str | None:
    """The fallback message if a session's providers, `used`, are not those of `device`, else None.

    Raises:
        ModelError: there is a fallback, and the choice is strict.
    """
    wanted = OF_DEVICE.get(device.kind, CPU)
    if used[0] == wanted:
        return None
    here = onnxruntime.get_available_providers()
    if wanted in here:
        why = f"{wanted} did not start on {device}; see: ghostkit doctor"
    else:
        why = (
            f"ONNX Runtime {onnxruntime.__version__} here has no {wanted} for {device}, only "
            f"{', '.join(here)}; install {PACKAGE[device.kind]} in place of onnxruntime"
        )
    return choice.less(path, f"{used[0]} runs the model: {why}")
