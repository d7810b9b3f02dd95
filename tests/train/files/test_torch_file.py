"""Files of torch.save in both formats, and safetensors: read as torch reads them."""

import argparse
import pathlib
from collections import Counter, OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch_files import (
    FORMATS,
    assert_equal,
    rewrite_zip,
    swapped,
    written,
    zip_of,
)

from ghostkit.train.files.torch_file import read_torch_file


@pytest.fixture(params=FORMATS)
def save(request, tmp_path):
    """A function that writes a value by torch.save in one of the two formats."""

    def write(value, name="file.pth"):
        path = tmp_path / name
        torch.save(value, path, _use_new_zipfile_serialization=FORMATS[request.param])
        return path

    return write


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    ],
    ids=str,
)
def test_every_kind_of_number(save, dtype):
    tensor = (torch.arange(24).reshape(2, 3, 4) % 5 - 1).to(dtype)
    assert_equal(read_torch_file(save({"x": tensor})), {"x": tensor})


def test_views_shared_storages_and_odd_shapes(save):
    base = torch.arange(60.0).reshape(3, 4, 5)
    value = {
        "transposed": base.permute(2, 0, 1),
        "part": base[1:, ::2, 3],
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 7),
        "channels last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.randn(3)),
    }
    found = read_torch_file(save(value))
    assert_equal(found, value)
    assert found["part"].untyped_storage().data_ptr() == (
        found["transposed"].untyped_storage().data_ptr()
    )


def test_plain_parts(save):
    value = {
        "args": argparse.Namespace(lr=0.4, scale=[0.08, 1.0], dir=pathlib.PurePosixPath("a/b")),
        "size": torch.Size([3, 4]),
        "device": torch.device("cuda:1"),
        "dtype": torch.float16,
        "order": OrderedDict(b=1, a=(None, True, -(2**70), 1e-300, "尺寸", "")),
        "milestones": Counter([3, 3, 5]),
    }
    value["args"].dir = pathlib.PosixPath("/data/photos")
    found = read_torch_file(save(value))
    assert found["args"] == {"lr": 0.4, "scale": [0.08, 1.0], "dir": "/data/photos"}
    assert found["size"] == (3, 4)
    assert found["device"] == "cuda:1"
    assert found["dtype"] is torch.float16
    assert found["order"] == value["order"]
    assert found["milestones"] == {3: 2, 5: 1}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols(tmp_path, protocol):
    value = {"x": torch.randn(3), "args": argparse.Namespace(a=1)}
    for zipped in FORMATS.values():
        path = tmp_path / "file.pth"
        torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
        assert_equal(read_torch_file(path), value)


def test_equals_torchs_own_reading(save):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    path = save(network.state_dict())
    assert_equal(read_torch_file(path), torch.load(path, weights_only=False))


def test_safetensors(tmp_path):
    tensors = {"a": torch.randn(2, 3), "b": torch.tensor([True, False]), "c": torch.zeros(0)}
    tensors["h"] = torch.randn(3).bfloat16()
    path = tmp_path / "model.safetensors"
    save_file(tensors, path, metadata={"card": "{}"})
    found = read_torch_file(path)
    assert found["metadata"] == {"card": "{}"}
    assert_equal(dict(sorted(found["state_dict"].items())), tensors)


def test_the_format_is_told_by_the_bytes_and_not_by_the_name(tmp_path):
    path = tmp_path / "weights.safetensors"
    torch.save({"x": torch.ones(1)}, path)
    assert_equal(read_torch_file(path), {"x": torch.ones(1)})


def test_big_endian_numbers_are_turned(tmp_path):
    tensors = {"x": torch.tensor([1.0, -2.5]), "n": torch.tensor([1, 258])}
    rewritten = rewrite_zip(
        zip_of(tensors),
        {
            "byteorder": lambda _: b"big",
            "data/0": lambda content: swapped(content, 4),
            "data/1": lambda content: swapped(content, 8),
        },
    )
    assert_equal(read_torch_file(written(tmp_path, rewritten)), tensors)


def test_a_checkpoint_of_an_ascend_npu(tmp_path):
    """There a tensor names the NPU's memory format as well; the numbers are the CPU's."""
    tensor = torch.arange(6.0).reshape(2, 3)
    content = rewrite_zip(
        zip_of({"x": tensor}),
        {
            "data.pkl": lambda program: program.replace(
                b"ctorch._utils\n_rebuild_tensor_v2\n",
                b"ctorch_npu.utils.storage\n_rebuild_npu_tensor\n",
            ).replace(b"tq\x06Rq\x07", b"K\x02tR"),
        },
    )
    assert b"_rebuild_npu_tensor" in content
    assert_equal(read_torch_file(written(tmp_path, content)), {"x": tensor})
