"""The parser on whatever comes: read as protobuf reads it, or refused by an `AippError`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aipp_files import JPEG_TO_RGB, SEED_FILE
from ghostkit.aipp import explain, lint, of_block, parse, to_text
from ghostkit.aipp.keys import KEYS
from ghostkit.errors import AippError

text_format = pytest.importorskip("google.protobuf.text_format")
from strict_atc import read_aipp  # noqa: E402

WORDS = (
    *KEYS,
    *("aipp_op", "{", "}", "<", ">", ":", ",", ";", "[", "]", "#", "\n", '"', "'", "-", "true"),
    *("false", "static", "dynamic", "RGB888_U8", "0", "1", "255", "1e999", ".5", "0x1F", "nan"),
    *("99999999999999999999", "08", "CLASS_NUM=10", "\\", "\0", "\u00e9"),
)
SAMPLE = SEED_FILE + "aipp_op { related_input_rank : 1 " + JPEG_TO_RGB + " }"


@settings(max_examples=150, derandomize=True)
@given(st.one_of(st.text(), st.binary(), st.lists(st.sampled_from(WORDS)).map(" ".join)))
def test_any_text_is_read_or_refused_with_its_place(text):
    try:
        blocks = parse(text, "x.cfg")
    except AippError as error:
        assert str(error).startswith("x.cfg:")
    else:
        use(blocks)


@settings(max_examples=150, derandomize=True)
@given(
    st.integers(0, len(SAMPLE)), st.integers(0, 12), st.sampled_from([*WORDS, ""]), st.booleans()
)
def test_an_injured_file_is_refused_or_read_as_protobuf_reads_it(at, length, word, spaced):
    text = SAMPLE[:at] + (f" {word} " if spaced else word) + SAMPLE[at + length :]
    try:
        blocks = parse(text, "x.cfg")
    except AippError as error:
        assert str(error).startswith("x.cfg:")
        return
    use(blocks)
    ops = read_aipp(text)
    assert len(ops) == len(blocks)
    for block, op in zip(blocks, ops, strict=True):
        for key in {entry.key for entry in block.entries} - {"input_edge_idx"}:
            if key not in op.DESCRIPTOR.fields_by_name:
                continue  # the stand-in knows fewer keys
            theirs, ours = getattr(op, key), block.get(key)
            field = op.DESCRIPTOR.fields_by_name[key]
            if field.enum_type is not None:
                theirs = field.enum_type.values_by_number[theirs].name
            assert theirs == (float(np.float32(ours)) if KEYS[key].kind == "float" else ours)


def use(blocks):
    """All that is done to a file that was read; may refuse, may not break."""
    again = parse(to_text(blocks))
    assert [[(e.key, e.value) for e in b.entries] for b in again] == [
        [(e.key, e.value) for e in b.entries] for b in blocks
    ]
    if not any(finding.severity == "error" for finding in lint(blocks, model_size=(240, 240))):
        for block in blocks:
            assert explain(of_block(block), (240, 240))
