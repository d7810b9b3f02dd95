"""Names of devices, what is said of those that are not here, and the precision that amp means."""

import sys
from types import SimpleNamespace

import pytest
import torch

from ghostkit.errors import UsageError
from ghostkit.train.machines import devices
from ghostkit.train.machines.devices import Device, pick_device
from ghostkit.train.machines.place import Place


@pytest.fixture
def machine(monkeypatch):
    """Pretends that the machine has so many devices, and what they compute."""

    def pretend(*, cuda=0, npu=0, cuda_bf16=True, cpu_bf16=False, cpu_amx=False):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: cuda_bf16
        )
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu_bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: cpu_amx)
        monkeypatch.setattr(devices, "find_spec", lambda name: object() if npu else None)
        monkeypatch.setitem(sys.modules, "torch_npu", SimpleNamespace())
        monkeypatch.setattr(torch, "npu", SimpleNamespace(device_count=lambda: npu), raising=False)

    pretend()
    return pretend


@pytest.mark.parametrize(
    ("name", "cuda", "npu", "expected"),
    [
        ("cpu", 1, 1, "cpu"),
        ("auto", 0, 0, "cpu"),
        ("auto", 2, 0, "cuda:0"),
        ("auto", 2, 1, "npu:0"),
        ("cuda", 1, 0, "cuda:0"),
        ("cuda:1", 2, 0, "cuda:1"),
        ("cuda:01", 2, 0, "cuda:1"),
        ("npu", 0, 8, "npu:0"),
        ("npu:7", 0, 8, "npu:7"),
    ],
)
def test_a_name_gives_the_device(machine, name, cuda, npu, expected):
    machine(cuda=cuda, npu=npu)
    device = pick_device(name)
    assert (device.name, device.precision, device.note) == (expected, "float32", "")
    assert device.kind == expected.partition(":")[0]


@pytest.mark.parametrize(
    "name", ["", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "npu:0:1", "cuda:1.0"]
)
def test_an_unknown_name_is_refused_with_the_choices(machine, name):
    machine(cuda=2, npu=2)
    with pytest.raises(UsageError, match="choose one of: auto, cpu, cuda, cuda:INDEX"):
        pick_device(name)


@pytest.mark.parametrize("name", ["cpu:0", "auto:1"])
def test_an_index_where_there_is_none_is_refused(machine, name):
    with pytest.raises(UsageError, match="takes no index"):
        pick_device(name)


def test_a_device_that_is_not_here_is_an_error_that_says_what_to_do(machine):
    with pytest.raises(UsageError, match="torch sees no cuda device here; use --device auto"):
        pick_device("cuda")
    with pytest.raises(UsageError, match="torch-npu is not installed.*--device cpu"):
        pick_device("npu:0")
    machine(cuda=2)
    with pytest.raises(UsageError, match="'cuda:2'.*there are 2 of them, counted from 0"):
        pick_device("cuda:2")


def test_a_torch_npu_that_does_not_load_is_told_and_auto_goes_on_without(machine, monkeypatch):
    machine(npu=1)

    def fail(name):
        raise OSError("libhccl.so: cannot open\nshared object file")

    monkeypatch.setattr(devices.importlib, "import_module", fail)
    assert pick_device("auto").name == "cpu"
    with pytest.raises(UsageError, match="does not load.*libhccl.so: cannot open shared.*set_env"):
        pick_device("npu")


@pytest.mark.parametrize(
    ("name", "has", "precision"),
    [
        ("cuda", {"cuda": 1}, "bfloat16"),
        ("cuda", {"cuda": 1, "cuda_bf16": False}, "float16"),
        ("npu", {"npu": 1}, "float16"),
        ("cpu", {"cpu_bf16": True}, "bfloat16"),
        ("cpu", {"cpu_amx": True}, "bfloat16"),
        ("cpu", {}, "float32"),
    ],
)
def test_automatic_precision_is_what_the_device_computes(machine, name, has, precision):
    machine(**has)
    device = pick_device(name, "auto")
    assert device.precision == precision
    assert bool(device.note) == (precision == "float32")  # a word on what was fallen back to


@pytest.mark.parametrize("amp", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_an_asked_precision_is_taken(machine, name, amp):
    machine(cuda=1, cuda_bf16=False)
    assert pick_device(name, amp).precision == amp


def test_emulated_bfloat16_is_not_what_a_device_computes(machine, monkeypatch):
    machine(cuda=1)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    assert pick_device("cuda", "auto").precision == "float16"


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_forward_pass_rounds_as_stated_and_float16_alone_is_scaled(precision):
    device = Device("cpu", precision)
    with device.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == getattr(torch, precision)
    assert device.scaler().is_enabled() == (precision == "float16")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_of_several_processes_has_a_device_of_its_own(machine, name):
    machine(cuda=2)
    assert pick_device(name, "off", Place(5, 1, 8)).name == "cuda:1"
    with pytest.raises(UsageError, match="LOCAL_RANK 2 has no cuda device .* are 2 here"):
        pick_device(name, "off", Place(6, 2, 8))
    with pytest.raises(UsageError, match="give --device cuda.*CUDA_VISIBLE_DEVICES"):
        pick_device("cuda:0", "off", Place(5, 1, 8))
    assert pick_device("cpu", "off", Place(5, 1, 8)).name == "cpu"
