"""No pickle runs: everything but plain data is refused by name."""

import io
import os
import pickle
import random
import struct

import pytest

from ghostkit.errors import CheckpointError
from ghostkit.train.files import pickle_reader
from ghostkit.train.files.pickle_reader import read_pickle
from ghostkit.train.files.plain_data import Attributes, Rules


def build(*arguments):
    return list(arguments)


RULES = Rules(
    source="'data.pkl' of x.pth",
    globals={
        "collections.OrderedDict": dict,
        "argparse.Namespace": Attributes,
        "room.build": build,
    },
    constants={"room.constant": 3.5},
    persistent=lambda identity: f"<{identity}>",
    leaves=(),
)


def read(program: bytes):
    return read_pickle(io.BytesIO(program), RULES)


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_comes_out_as_pickle_would_give_it(protocol):
    shared = [1, 2]
    value = {
        "numbers": [0, 255, 65535, -1, 2**40, 2**200, -1.5, float("inf")],
        "flags": (True, False, None),
        "text": "Größe 尺寸 \n",
        "nested": {"a": {1: (2, [3, {}])}, "empty": ((), [], {})},
        "shared": [shared, shared],
        "long": list(range(3000)),
    }
    assert read(pickle.dumps(value, protocol)) == value


def test_two_pickles_in_one_stream_are_read_one_after_the_other():
    stream = io.BytesIO(pickle.dumps([1], 2) + pickle.dumps([2], 2) + b"rest")
    assert [read_pickle(stream, RULES), read_pickle(stream, RULES)] == [[1], [2]]
    assert stream.read() == b"rest"


def test_listed_names_are_built_by_the_table_alone():
    assert read(b"croom\nbuild\n(K\x01K\x02tR.") == [1, 2]
    assert read(b"\x80\x02croom\nbuild\nK\x01\x85\x81.") == [1]
    assert read(b"croom\nconstant\n.") == 3.5
    assert read(text("key") + b"Q.") == "<key>"


class Attack:
    def __init__(self, function, *arguments):
        self.recipe = function, arguments

    def __reduce__(self):
        return self.recipe


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"state_dict": [({"a": x},)]}])
def test_a_call_is_refused_by_its_name_and_not_made(tmp_path, protocol, wrap):
    marker = tmp_path / "executed"
    program = pickle.dumps(wrap(Attack(os.system, f"touch {marker}")), protocol)
    with pytest.raises(CheckpointError, match=r"refuses .*system|refuses the operation") as caught:
        read(program)
    assert protocol < 1 or "posix.system in 'data.pkl' of x.pth" in str(caught.value)
    assert not marker.exists()
    pickle.loads(program)
    assert marker.exists(), "the attack itself must be a real one"


ATTACKS = {
    "GLOBAL": (b"cos\nsystem\n(" + text("true") + b"tR.", "refuses os.system"),
    "protocol 0": (b"cos\nsystem\n(S'true'\ntR.", "refuses os.system"),
    "STACK_GLOBAL": (text("os") + text("system") + b"\x93.", "refuses os.system"),
    "STACK_GLOBAL of numbers": (b"K\x01K\x02\x93.", "not text"),
    "INST": (b"(" + text("true") + b"ios\nsystem\n.", r"operation INST \(os system\)"),
    "OBJ": (b"(cos\nsystem\n" + text("true") + b"o.", "refuses os.system"),
    "OBJ of a listed name": (b"(croom\nbuild\no.", "operation OBJ"),
    "NEWOBJ": (b"\x80\x02csubprocess\nPopen\n)\x81.", "refuses subprocess.Popen"),
    "NEWOBJ_EX": (b"\x80\x04croom\nbuild\n)}\x92.", "operation NEWOBJ_EX"),
    "BUILD on a class": (b"croom\nbuild\n}b.", "sets the state of something"),
    "BUILD by a list": (b"cargparse\nNamespace\n)R]b.", "not a dict"),
    "REDUCE of text": (text("os.system") + b")R.", "calls something that is not a Global"),
    "REDUCE without a tuple": (b"croom\nbuild\n]R.", "without a tuple"),
    "REDUCE of a result": (b"croom\nbuild\n)R)R.", "calls something that is not a Global"),
    "dotted name": (text("collections") + text("OrderedDict.__class__") + b"\x93.", "refuses"),
    "builtins": (b"c__builtin__\neval\n(" + text("1") + b"tR.", "refuses __builtin__.eval"),
    "getattr": (b"cbuiltins\ngetattr\n.", "refuses builtins.getattr"),
    "extension registry": (b"\x82\x01.", "operation EXT1"),
    "text persistent id": (b"Pos.system\n.", r"operation PERSID \(os.system\)"),
    "a bare name": (b"croom\nbuild\n.", "bare Global"),
    "a name within": (b"](croom\nbuild\ne.", "bare Global"),
    "an out-of-band buffer": (b"\x80\x05\x97.", "operation NEXT_BUFFER"),
}


@pytest.mark.parametrize(("program", "said"), ATTACKS.values(), ids=ATTACKS.keys())
def test_every_other_way_to_run_something_is_refused(program, said):
    with pytest.raises(CheckpointError, match=said):
        read(program)


DAMAGED = {
    "empty": b"",
    "no STOP": b"]",
    "nothing on the stack": b".",
    "a mark on the stack": b"(.",
    "unknown operation": b"\xff.",
    "memo never stored": b"h\x05.",
    "memo of nothing": b"q\x05.",
    "append to a dict": b"}K\x01a.",
    "append without item": b"]a.",
    "items without mark": b"]e.",
    "key without value": b"}(K\x01u.",
    "list as a key": b"}]K\x01s.",
    "tuple as a key": b"})K\x01s.",
    "text cut off": b"X\xff\xff\xff\x7fabc",
    "long text cut off": b"\x8d" + b"\xff" * 7 + b"\x7fabc",
    "negative length": b"T\xff\xff\xff\xffabc.",
    "not UTF-8": b"X\x02\x00\x00\x00\xff\xfe.",
    "wrong arguments": b"cargparse\nNamespace\nK\x01\x85R.",
}


@pytest.mark.parametrize("program", DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_a_checkpoint_error(program):
    with pytest.raises(CheckpointError, match="'data.pkl' of x.pth"):
        read(program)


def test_a_value_that_holds_itself_is_refused():
    with pytest.raises(CheckpointError, match="within itself"):
        read(b"]q\x00h\x00a.")


def test_a_value_nested_a_million_deep_neither_overflows_nor_passes():
    with pytest.raises(CheckpointError, match="nested too deeply"):
        read(b")" + b"\x85" * 1_000_000 + b".")


def test_a_small_program_cannot_grow_without_bound(monkeypatch):
    doubling = b")" + b"q\x00h\x00\x86" * 40 + b"."  # 2**40 leaves that share their parts
    with pytest.raises(CheckpointError, match="too large"):
        read(doubling)
    monkeypatch.setattr(pickle_reader, "MAX_COPIED", 5000)
    copies = text("x" * 1000) + b"q\x00" + b"croom\nbuild\nh\x00\x85R" * 6 + b"."
    with pytest.raises(CheckpointError, match="copies too much"):
        read(copies)


def test_the_number_of_operations_is_bounded(monkeypatch):
    monkeypatch.setattr(pickle_reader, "MAX_OPERATIONS", 100)
    assert read(b"N" * 98 + b".") is None
    with pytest.raises(CheckpointError, match="more than 100 operations"):
        read(b"N" * 200 + b".")


def test_random_programs_are_read_or_refused():
    chance = random.Random(0)
    names = [text("os"), text("system"), b"croom\nbuild\n", b"cargparse\nNamespace\n", b"h\x00"]
    known = b"().}]NK\x01abesutRbq\x00h\x00\x81\x85\x86\x87\x88\x93\x94Q2011lod\x92"
    outcomes = set()
    for _ in range(20_000):
        parts = [
            chance.choice(names) if chance.random() < 0.2 else bytes([chance.choice(known)])
            for _ in range(chance.randrange(1, 25))
        ]
        try:
            read(b"".join(parts) + b".")
            outcomes.add("read")
        except CheckpointError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
