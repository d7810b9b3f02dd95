import pytest

from ghostkit.backend.graph.protobuf import (
    ProtobufError,
    field,
    fields,
    integer,
    message,
    raw_field,
    text,
    values,
)


def test_the_examples_of_the_wire_format_are_written_and_read():
    # protobuf.dev/programming-guides/encoding: field 1 = 150, field 2 = "testing"
    assert field(1, 150) == bytes.fromhex("089601")
    assert field(2, "testing") == bytes.fromhex("120774657374696e67")
    both = bytes.fromhex("089601120774657374696e67")
    assert message([(1, 150), (2, "testing")]) == both
    assert (integer(both, 1), text(both, 2)) == (150, "testing")
    assert (integer(both, 7, 5), text(both, 7), values(both, 7)) == (5, "", [])
    assert field(1, -1) == b"\x08" + b"\xff" * 9 + b"\x01"


def test_any_field_comes_back_as_it_was():
    fixed = b"\x0d\x01\x02\x03\x04" + b"\x11\x01\x02\x03\x04\x05\x06\x07\x08"
    given = field(300, 2**63) + fixed + field(2, b"\0\1")
    assert b"".join(raw_field(*each) for each in fields(given)) == given


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (b"\x08", "does not end"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x12\x05abc", "5 bytes at byte 2 of 5"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x00", "field number 0"),
    ],
)
def test_what_is_no_message_is_refused(wrong, words):
    with pytest.raises(ProtobufError, match=words):
        list(fields(wrong))
