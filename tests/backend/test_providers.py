"""Which provider is asked for, and what is said where another runs; never run on a device."""

import numpy as np
import pytest

from ghostkit.artifacts import load
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.errors import ModelError
from stand_ins.accelerated import Sessions
from tiny import BLUE, GREEN, RED, save_square

CPU, CUDA, CANN = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "CANN"))
CUDA_ASKED = [(CUDA, {"device_id": "0", "use_tf32": "0"}), (CPU, {})]
CANN_ASKED = [(CANN, {"device_id": "2", "precision_mode": "must_keep_origin_dtype"}), (CPU, {})]


@pytest.mark.parametrize(
    ("here", "device", "asked"),
    [
        ([CPU], "auto", [(CPU, {})]),
        ([CUDA, CPU], "cpu", [(CPU, {})]),
        ([CUDA, CPU], "auto", CUDA_ASKED),
        ([CANN, CUDA, CPU], "auto", CUDA_ASKED),
        ([CANN, CPU], "npu:2", CANN_ASKED),
        ([CANN, CPU], "cann:2", CANN_ASKED),
    ],
)
def test_the_provider_of_the_device_is_asked_for_in_full_precision(
    make_model, monkeypatch, here, device, asked
):
    sessions = Sessions(here).install(monkeypatch)
    backend = load(make_model(), device=device, strict=True).backend
    assert sessions.opened == [asked[:1]]  # strict: the CPU is no second choice
    assert load(make_model(), device=device).backend.fallback is None
    assert sessions.opened[1] == asked
    assert backend.name == f"onnxruntime {asked[0][0]}"
    assert backend.fallback is None
    assert backend.serial == (asked[0][0] != CPU)


@pytest.mark.parametrize(
    ("sessions", "device", "words"),
    [
        (Sessions([CPU]), "cuda:1", "has no CUDAExecutionProvider for cuda:1, only CPU"),
        (Sessions([CPU]), "npu", "for npu:0.*install onnxruntime-cann in place of onnxruntime"),
        (Sessions([CUDA, CPU], broken=[CUDA]), "cuda", "alone cannot run it on cuda:0"),
        (Sessions([CUDA, CPU], broken=[CUDA]), "auto", "alone cannot run it on cuda:0"),
    ],
)
def test_a_fallback_is_said_and_an_error_where_it_is_forbidden(
    make_model, monkeypatch, sessions, device, words
):
    sessions.opened.clear()
    sessions.install(monkeypatch)
    model = make_model()
    classifier = load(model, device=device)
    assert classifier.backend.name == f"onnxruntime {CPU}"
    assert not classifier.backend.serial
    if sessions.broken:
        assert (
            f"{CUDA} did not start on cuda:0; see: ghostkit doctor" in classifier.backend.fallback
        )
    with pytest.raises(ModelError, match=words) as caught:
        load(model, device=device, strict=True)
    if not sessions.broken:
        assert classifier.backend.fallback in str(caught.value)
    assert f"{CPU} runs the model" in classifier.backend.fallback


def test_strict_leaves_no_operator_to_the_cpu(make_model, monkeypatch):
    Sessions([CUDA, CPU], leaves_some=[CUDA]).install(monkeypatch)
    assert load(make_model(), device="cuda").backend.name == f"onnxruntime {CUDA}"
    with pytest.raises(ModelError, match="assigned to the default CPU EP"):
        load(make_model(), device="cuda", strict=True)


def test_answers_of_an_accelerator_are_decoded_ahead_and_in_order(
    make_model, monkeypatch, tmp_path
):
    Sessions([CUDA, CPU]).install(monkeypatch)
    colors = {"red": RED, "green": GREEN, "blue": BLUE}
    pictures = [save_square(tmp_path / f"{i}.png", list(colors.values())[i % 3]) for i in range(20)]
    classifier = load(make_model(), device="cuda")
    names = [each.best[0] for each in classifier.stream(pictures, batch_size=3)]
    assert names == [list(colors)[i % 3] for i in range(20)]


def test_a_backend_opened_by_itself_is_on_the_cpu(make_model, monkeypatch):
    sessions = Sessions([CUDA, CPU]).install(monkeypatch)
    backend = OnnxBackend(make_model())
    assert sessions.opened == [[(CPU, {})]]
    assert backend.infer(np.zeros((1, 3, 8, 8), np.float32)).shape == (1, 3)
