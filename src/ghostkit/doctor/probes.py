"""The probes of the doctor, each run in a child process: from import to the probe model's answer.

``python -m ghostkit.doctor.probes ANSWER NAME ARGUMENTS`` writes JSON to the file ANSWER: version,
detail and milliseconds, or error. Nothing else imports this module.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ghostkit.bundled import probe_model
from ghostkit.errors import one_line

PIXELS = (0.25, -1.0, 0.5)  # of the three channels, all over an 8x8 picture
EXPECTED = (0.25, 0.0, 0.5)  # their means after Relu
TOLERANCE = 1e-2  # float16 keeps three digits
TIMED_RUNS = 5

Seen = dict[str, Any]


def classify() -> Seen:
    """The base install's whole path: a picture file's bytes to an answer."""
    import io

    from PIL import Image

    from ghostkit.artifacts import load

    classifier = load(probe_model())
    for name, color in (("red", (250, 9, 9)), ("green", (9, 250, 9)), ("blue", (9, 9, 250))):
        stream = io.BytesIO()
        Image.new("RGB", (20, 16), color).save(stream, "PNG")
        if (answer := classifier(stream.getvalue()).best[0]) != name:
            raise RuntimeError(f"a {name} picture was called {answer}")
    names = ("numpy", "onnxruntime", "pillow", "pydantic", "typer")
    return {"detail": ", ".join(f"{name} {_version(name)}" for name in names)}


def decoder() -> Seen:
    """simplejpeg, and whether its pixels are Pillow's."""
    from ghostkit.image.jpeg import agrees_with_pillow

    equal = agrees_with_pillow()
    words = "equal to Pillow" if equal else "other pixels than Pillow, which is used instead"
    return {"version": _version("simplejpeg"), "detail": words, "slow": not equal}


def resizer() -> Seen:
    """cykooz-resizer, and whether it is within a grey level of Pillow."""
    from ghostkit.image.resizing import agrees_with_pillow

    close = agrees_with_pillow()
    words = (
        "within a grey level of Pillow" if close else "too far from Pillow, which is used instead"
    )
    return {"version": _version("cykooz-resizer"), "detail": words, "slow": not close}


def onnxruntime(provider: str) -> Seen:
    """The probe model on one execution provider of ONNX Runtime."""
    runtime = import_module("onnxruntime")
    available = runtime.get_available_providers()
    if provider not in available:
        return {"version": runtime.__version__, "available": available, "absent": True}
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(probe_model()), options, providers=[provider])
    if (taken := session.get_providers()[0]) != provider:
        raise RuntimeError(f"ONNX Runtime fell back to {taken}; its driver or library is not here")
    picture = _picture()
    return _timed(lambda: session.run(["logits"], {"image": picture})[0]) | {
        "version": runtime.__version__,
        "available": available,
    }


def openvino(device: str) -> Seen:
    """The probe model on one device of OpenVINO."""
    from ghostkit.backend.openvino import require_openvino

    runtime = require_openvino()
    core = runtime.Core()
    compiled = core.compile_model(core.read_model(str(probe_model())), device)
    picture = _picture()
    return _timed(lambda: compiled([picture])[0]) | {
        "version": str(runtime.__version__).split("-")[0],
        "detail": str(core.get_property(device, "FULL_DEVICE_NAME")),
        "available": list(core.available_devices),
    }


def nncf() -> Seen:
    """The probe model quantised by NNCF and run by OpenVINO, on the picture it was fitted to."""
    from ghostkit.backend.openvino import require_openvino
    from ghostkit.convert.int8_nncf import require_nncf

    tool, runtime = require_nncf(), require_openvino()
    core, picture = runtime.Core(), _picture()
    model = tool.quantize(core.read_model(str(probe_model())), tool.Dataset([picture]))
    compiled = core.compile_model(model, "CPU")
    return _timed(lambda: compiled([picture])[0]) | {"version": str(tool.__version__)}


def torch(kind: str) -> Seen:
    """Three layers of torch on ``cpu``, ``cuda`` or ``npu``."""
    from ghostkit.train.machines.probe import probe_device

    seen, answer = probe_device(kind, _picture())
    return seen if answer is None else seen | _timed(answer)


def packages(*modules: str) -> Seen:
    """Whether modules of an extra can be imported, each after the other."""
    from ghostkit.backend.telemetry import import_untold

    for module in modules:
        import_untold(module)
    return {"detail": ", ".join(modules)}


def acl(om: str) -> Seen:
    """Ascend's runtime: its devices, and with an `om` the probe model on the first of them."""
    runtime = import_module("acl")
    if status := runtime.init():
        raise RuntimeError(
            f"acl.init gave {status}; source the toolkit's set_env.sh, and check npu-smi"
        )
    count, status = runtime.rt.get_device_count()
    if status or not count:
        raise RuntimeError(f"no Ascend device ({count}, status {status}); check: npu-smi info")
    chip = str(runtime.get_soc_name())  # no acl.finalize: after it nothing may be opened again
    seen: Seen = {"detail": f"{count} device(s), {chip}", "chip": chip}
    return seen | _om_answer(om, "acl") if om else seen


def ais_bench(om: str) -> Seen:
    """The probe model through ais_bench's InferSession; without an `om` its import alone."""
    import_module("ais_bench.infer.interface")
    seen: Seen = {"version": _version("ais_bench")}
    return seen | _om_answer(om, "ais_bench") if om else seen


def _om_answer(om: str, interface: str) -> Seen:
    from ghostkit.backend.ascend import open_session

    session, _ = open_session(om, interface=interface)
    return _timed(lambda: session.run(_picture()).reshape(1, 3))


def atc(chip: str, om: str) -> Seen:
    """Whether ATC compiles the probe model for `chip` into `om`."""
    from ghostkit.doctor.ascend import compile_probe

    return compile_probe(chip, Path(om))


PROBES: dict[str, Callable[..., Seen]] = {
    "acl": acl,
    "ais_bench": ais_bench,
    "atc": atc,
    "classify": classify,
    "decoder": decoder,
    "onnxruntime": onnxruntime,
    "nncf": nncf,
    "openvino": openvino,
    "packages": packages,
    "resizer": resizer,
    "torch": torch,
}


def _picture() -> Any:
    """``(1, 3, 8, 8)`` float32."""
    import numpy as np

    return np.tile(np.array(PIXELS, np.float32)[None, :, None, None], (1, 1, 8, 8))


def _timed(answer: Callable[[], Any]) -> Seen:
    """Run, judge the answer ``(1, 3)``, run again with a clock."""
    import numpy as np

    logits = np.asarray(answer(), dtype=np.float32)
    if logits.shape != (1, 3) or not np.abs(logits - EXPECTED).max() <= TOLERANCE:
        raise RuntimeError(f"the probe model gave {logits.tolist()}, expected {[list(EXPECTED)]}")
    times = []
    for _ in range(TIMED_RUNS):
        began = time.perf_counter()
        answer()
        times.append(time.perf_counter() - began)
    return {"milliseconds": 1000 * sorted(times)[TIMED_RUNS // 2]}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except Exception:  # installed without metadata, e.g. from a folder
        return ""


def main(arguments: Sequence[str]) -> None:
    """Run one probe; its error is an answer too."""
    answer, name, *rest = arguments
    try:
        seen = PROBES[name](*rest)
    except Exception as error:
        words = one_line(error) or "no message"
        seen = {"error": f"{type(error).__name__}: {words}"}
    Path(answer).write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
