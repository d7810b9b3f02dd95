"""A result file that was cut at any byte: what is whole is read, and the rest can follow."""

import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostkit.errors import OutputError
from ghostkit.predictions import Prediction
from ghostkit.writers import Options, open_writer
from ghostkit.writers.earlier import Record, cut, header_end, whole_records
from ghostkit.writers.lines import csv_header, csv_line, json_line

CLASSES = ('a "quoted", name', "two\r\nlines")
NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name)
both = pytest.mark.parametrize("kind", ["jsonl", "csv"])


def prediction(name, answered):
    if answered:
        return Prediction(name, CLASSES, np.array([0.25, 0.75], np.float32), None, "answered")
    return Prediction(name, CLASSES, None, 'no "picture",\r\n it says', "refused")


OPTIONS = Options(model_hash="abc")
LINES = {"jsonl": json_line, "csv": csv_line}
HEADERS = {"jsonl": b"", "csv": csv_header(OPTIONS)}


@both
@settings(max_examples=25)
@given(named=st.lists(st.tuples(NAMES, st.booleans()), max_size=6), share=st.floats(0, 1, width=16))
def test_a_file_that_is_cut_at_any_byte_is_gone_on_with_to_the_same_file(
    tmp_path_factory, kind, named, share
):
    predictions = [prediction(os.fsdecode(name), answered) for name, answered in named]
    lines = [LINES[kind](each, OPTIONS) for each in predictions]
    whole = HEADERS[kind] + b"".join(lines)
    size = round(share * len(whole))
    target = tmp_path_factory.mktemp("cut") / "out"
    target.write_bytes(whole[:size])

    with open(target, "rb") as stream:
        end = header_end(stream, kind)
        stream.seek(0)
        records = list(whole_records(stream, kind, "out"))
    ends = [len(HEADERS[kind]) + sum(map(len, lines[: i + 1])) for i in range(len(lines))]
    assert records == [
        Record(each.source, each.status, end)
        for each, end in zip(predictions, ends, strict=True)
        if end <= size
    ]
    assert cut(os.fspath(target), records[-1].end if records else end) == size - max(
        [0, *(e for e in [len(HEADERS[kind]), *ends] if e <= size)]
    )
    with open_writer(kind, target, model_hash="abc", resume=True) as writer:
        for each in predictions[len(records) :]:
            writer.write(each)
    assert target.read_bytes() == whole


@pytest.mark.parametrize(
    ("kind", "content", "records"),
    [
        ("jsonl", b'{"path": "a", "status": "answered"}\n{"pa', [("a", "answered", 36)]),
        ("jsonl", b'{"path": "a", "status": "answered"}', []),
        ("jsonl", b"\0" * 5000, []),
        ("csv", b'path,status,x\r\n"a,""\r\nb",refused,1\r\n"c', [('a,"\r\nb', "refused", 36)]),
        ("csv", b"path,status,x\r\na,failed,\r", []),
        ("csv", b"path,sta", []),
    ],
)
def test_records_count_once_their_end_is_there(kind, content, records):
    found = whole_records(io.BytesIO(content), kind, "out")
    assert list(found) == [Record(*record) for record in records]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("jsonl", b"no json\n"),
        ("jsonl", b"[1]\n"),
        ("jsonl", b'{"path": 3, "status": "answered"}\n'),
        ("jsonl", b'{"path": "a", "status": "odd"}\n'),
        ("jsonl", b"\0\0\0\n"),
        ("csv", b"name,age\r\n"),
        ("csv", b"path,status,x\r\none\r\n"),
        ("csv", b"path,status,x\r\na,odd,\r\n"),
    ],
)
def test_whole_lines_of_something_else_are_refused(kind, content):
    with pytest.raises(OutputError, match=r"'out': record \d is none of ghostkit predict's: b'"):
        list(whole_records(io.BytesIO(content), kind, "out"))
