"""Files of torch made and changed for the tests of their reader."""

import argparse
import io
import zipfile

import torch
from safetensors.torch import save_file

FORMATS = {"zip": True, "legacy": False}


def assert_equal(found, expected):
    """Equal values, where Namespace stands as a dict and an OrderedDict is one."""
    if isinstance(expected, argparse.Namespace):
        expected = vars(expected)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert torch.equal(found.cpu(), expected.detach().cpu())
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_equal(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert type(found) is (list if isinstance(expected, list) else tuple)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    else:
        assert found == expected
        assert type(found) is type(expected)


def small_file(kind, tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    path = tmp_path / f"small.{kind}"
    if kind == "safetensors":
        save_file(network.state_dict(), path)
    else:
        checkpoint = {
            "epoch": 3,
            "args": argparse.Namespace(lr=0.4, mean=[0.5]),
            "state_dict": network.state_dict(),
        }
        torch.save(checkpoint, path, _use_new_zipfile_serialization=FORMATS[kind])
    return path.read_bytes()


def mutated(content, chance):
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 5, 20])):
        position = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[position] ^= 1 << chance.randrange(8)
            case 1:
                changed[position] = chance.randrange(256)
            case 2:
                del changed[position : position + chance.randrange(1, 9)]
            case _:
                other = chance.randrange(len(changed))
                changed[position:position] = changed[other : other + chance.randrange(1, 9)]
    return bytes(changed)


def zip_of(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return rewrite_zip(stream.getvalue(), {})


def rewrite_zip(content, changes, *, compression=zipfile.ZIP_STORED, extra=()):
    """The same archive with the content of some entries changed; checksums are right again."""
    result = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(result, "w", compression) as target,
    ):
        for info in source.infolist():
            root, _, name = info.filename.partition("/")
            change = changes.get(name, lambda content: content)
            target.writestr(f"{root}/{name}", change(source.read(info)))
        for name in extra:
            target.writestr(name, b"")
    return result.getvalue()


def swapped(content, itemsize):
    parts = [content[i : i + itemsize][::-1] for i in range(0, len(content), itemsize)]
    return b"".join(parts)


def written(folder, content):
    path = folder / "x.pth"
    path.write_bytes(content)
    return path
