import pytest

from ghostkit.backend.choice import Choice, Device, parse_device
from ghostkit.errors import ModelError, UsageError


@pytest.mark.parametrize(
    ("text", "device", "said"),
    [
        ("auto", Device("auto"), "auto"),
        ("cpu", Device("cpu"), "cpu"),
        ("cuda", Device("cuda"), "cuda:0"),
        ("cuda:3", Device("cuda", 3), "cuda:3"),
        ("npu:1", Device("npu", 1), "npu:1"),
        ("cann", Device("npu"), "npu:0"),
    ],
)
def test_a_device_is_named_by_kind_and_number(text, device, said):
    assert parse_device(text) == device
    assert str(device) == said


@pytest.mark.parametrize(
    "text", ["", "gpu", "cpu:0", "auto:1", "cuda:", "cuda:-1", "cuda:x", "CPU"]
)
def test_what_is_no_device_is_refused_with_those_that_are(text):
    with pytest.raises(UsageError, match="is no device; expected auto, cpu, cuda, cuda:INDEX, npu"):
        parse_device(text)


def test_less_than_was_chosen_is_said_or_refused():
    assert Choice().less("m.onnx", "the CPU runs it") == "the CPU runs it"
    with pytest.raises(ModelError, match="m.onnx: the CPU runs it; without --strict"):
        Choice(strict=True).less("m.onnx", "the CPU runs it")
