"""Files that are unsafe, damaged or of another kind are refused, before a tensor is made."""

import io
import os
import pickle
import random
import struct
import zipfile
from collections import Counter

import pytest
import torch
from torch_files import FORMATS, assert_equal, mutated, rewrite_zip, small_file, written, zip_of

from ghostkit.errors import CheckpointError
from ghostkit.train.files import torch_file
from ghostkit.train.files.torch_file import read_torch_file


class Attack:
    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize("zipped", FORMATS.values(), ids=FORMATS)
def test_code_and_whole_models_are_refused_in_both_formats(tmp_path, zipped):
    path = tmp_path / "file.pth"

    def save(value):
        torch.save(value, path, _use_new_zipfile_serialization=zipped)

    save({"state_dict": {"x": torch.ones(1)}, "args": Attack()})
    with pytest.raises(CheckpointError, match=r"refuses posix\.system in .*file\.pth"):
        read_torch_file(path)
    save(torch.nn.Linear(2, 2))
    with pytest.raises(CheckpointError, match=r"refuses torch\.nn\.modules.*save its state_dict"):
        read_torch_file(path)


def test_a_persistent_id_of_something_else_is_refused(tmp_path):
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("module", "os", "file.py", "import os") if value is os.path else None

    program = io.BytesIO()
    Pickler(program, 2).dump({"x": os.path})
    content = rewrite_zip(zip_of({"x": 1}), {"data.pkl": lambda _: program.getvalue()})
    with pytest.raises(CheckpointError, match="reference to numbers is malformed"):
        read_torch_file(written(tmp_path, content))


def tensor_program(*, offset=0, size=(4,), stride=(1,), count=4, key="0", kind="FloatStorage"):
    """The program of {"x": tensor} with any numbers in it."""

    class Stored:
        pass

    class Built:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (Stored(), offset, size, stride, False, {})

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Stored):
                return ("storage", getattr(torch, kind), key, "cpu", count)
            return None

    program = io.BytesIO()
    Pickler(program, 2).dump({"x": Built()})
    return program.getvalue()


def test_the_program_made_for_the_next_test_is_right(tmp_path):
    content = rewrite_zip(zip_of({"x": torch.ones(4)}), {"data.pkl": lambda _: tensor_program()})
    assert_equal(read_torch_file(written(tmp_path, content)), {"x": torch.ones(4)})


@pytest.mark.parametrize(
    "numbers",
    [
        {"offset": 1},
        {"offset": -1},
        {"offset": 2**63},
        {"size": (5,)},
        {"size": (-4,)},
        {"size": (2**40,), "stride": (0,)},
        {"size": (2**40, 0, 2**40), "stride": (1, 1, 1)},
        {"size": (2, 2), "stride": (1,)},
        {"size": (2, 2), "stride": (3, 1)},
        {"size": (2,), "stride": (-1,)},
        {"size": (True,), "stride": (1,)},
        {"size": (1.0,), "stride": (1,)},
        {"size": (2**2000,), "stride": (1,)},
        {"size": "abcd", "stride": "abcd"},
        {"size": (1,) * 40, "stride": (1,) * 40},
        {"count": 5},
        {"count": 2**62},
        {"count": -1},
        {"key": "1"},
        {"key": "../0"},
        {"key": "0" * 10_000},
        {"kind": "DoubleStorage"},
        {"kind": "ComplexFloatStorage"},
    ],
    ids=lambda numbers: f"{numbers}"[:60],
)
def test_numbers_beyond_the_file_are_refused_before_a_tensor_is_made(tmp_path, numbers):
    program = tensor_program(**numbers)
    content = rewrite_zip(zip_of({"x": torch.ones(4)}), {"data.pkl": lambda _: program})
    with pytest.raises(CheckpointError):
        read_torch_file(written(tmp_path, content))


def test_zips_that_torch_does_not_write_are_refused(tmp_path):
    def refused(content, said):
        with pytest.raises(CheckpointError, match=said):
            read_torch_file(written(tmp_path, content))

    plain = zip_of({"x": torch.zeros(100_000)})
    refused(rewrite_zip(plain, {}, compression=zipfile.ZIP_DEFLATED), "compressed entries")
    refused(rewrite_zip(plain, {}, extra=["a/" + "x" * 600]), "name is 602 characters")
    refused(rewrite_zip(plain, {}, extra=["other/data.pkl"]), "not of torch.save")
    refused(rewrite_zip(plain, {}, extra=["archive/constants.pkl"]), "TorchScript")
    twice = rewrite_zip(plain, {}, extra=["archive/data/1"])
    refused(twice.replace(b"archive/data/1", b"archive/data/0"), "two of one name")
    refused(plain.replace(b"archive/data/0", b"archive/data/7"), "'archive/data/0' is missing")
    flipped = bytearray(plain)
    flipped[len(plain) // 2] ^= 1
    refused(bytes(flipped), "damaged: Bad CRC-32")


def test_overlapping_entries_are_refused(tmp_path):
    """Many names for the same bytes would be many times the file in memory."""
    one = zip_of({"x": torch.zeros(50_000)})
    start = one.index(b"PK\x01\x02")
    with zipfile.ZipFile(io.BytesIO(one)) as archive:
        infos = archive.infolist()
    records, position = [], start
    for info in infos:
        (name_length, extra_length) = struct.unpack_from("<HH", one, position + 28)
        end = position + 46 + name_length + extra_length
        records.append((info.filename, one[position:end]))
        position = end
    storage = dict(records)["archive/data/0"]
    again = b"".join(storage.replace(b"data/0", b"data/%d" % n) for n in range(1, 9))
    directory = one[start:position] + again
    footer = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, len(infos) + 8, len(infos) + 8, len(directory), start, 0
    )
    with pytest.raises(CheckpointError, match="overlap"):
        read_torch_file(written(tmp_path, one[:start] + directory + footer))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no weights file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x1f\x8b\x08\x00", "unpack it first"),
        (b"\x08\x07\x12\x07pytorch", "no weights file: its first bytes are"),
        (b"PK\x03\x04", "damaged"),
        (b"\x80\x02}.", "a pickle, but not one that torch.save wrote"),
        (b"\x20\0\0\0\0\0\0\0{", "damaged"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path, content, said):
    with pytest.raises(CheckpointError, match=said):
        read_torch_file(written(tmp_path, content))


def test_absent_files_folders_and_huge_files(tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="is not a file"):
        read_torch_file(tmp_path / "absent.pth")
    with pytest.raises(CheckpointError, match="is a folder; name a file in it"):
        read_torch_file(tmp_path)
    monkeypatch.setattr(torch_file, "MAX_FILE_BYTES", 10)
    with pytest.raises(CheckpointError, match="has 11 bytes; weights files up to 10"):
        read_torch_file(written(tmp_path, b"x" * 11))


@pytest.mark.parametrize("kind", [*FORMATS, "safetensors"])
def test_truncated_anywhere(tmp_path, kind):
    content = small_file(kind, tmp_path)
    for length in range(0, len(content), 97):
        with pytest.raises(CheckpointError):
            read_torch_file(written(tmp_path, content[:length]))


@pytest.mark.parametrize("kind", [*FORMATS, "safetensors", "program in a zip"])
def test_mutated_by_chance(tmp_path, kind):
    chance = random.Random(0)
    whole = small_file("zip" if kind == "program in a zip" else kind, tmp_path)
    outcomes = Counter()
    for _ in range(400):
        if kind == "program in a zip":  # with a right checksum, so the program itself is reached
            content = rewrite_zip(whole, {"data.pkl": lambda c: mutated(c, chance)})
        else:
            content = mutated(whole, chance)
        try:
            read_torch_file(written(tmp_path, content))
            outcomes["read"] += 1
        except CheckpointError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 20
