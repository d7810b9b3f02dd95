import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostkit.errors import UsageError
from ghostkit.sources.lists import read_list


class Dripping(io.BytesIO):
    """Gives a few bytes at a time, as a pipe may."""

    def __init__(self, data, step):
        super().__init__(data)
        self.step = step

    def read1(self, size=-1):
        return super().read1(self.step)


def test_one_path_per_line_empty_ones_and_carriage_returns_do_not_count():
    text = b"a.jpg\n\nb c.jpg\r\n\n  d.jpg"
    assert list(read_list(io.BytesIO(text))) == ["a.jpg", "b c.jpg", "  d.jpg"]


PATH = st.binary(min_size=1, max_size=9).filter(lambda path: b"\0" not in path)


@settings(max_examples=40)
@given(st.lists(PATH), st.integers(1, 50))
def test_zero_bytes_let_every_file_name_through(paths, step):
    stream = Dripping(b"\0".join(paths), step)
    assert [os.fsencode(path) for path in read_list(stream, null=True)] == paths


def test_what_comes_is_given_before_the_list_ends():
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as pipe:
        pipe.write(b"a.jpg\nb.j")
        paths = read_list(stream)
        assert next(paths) == "a.jpg"
        pipe.write(b"pg\n")
        assert next(paths) == "b.jpg"


@pytest.mark.parametrize(
    ("data", "null", "words"),
    [
        (b"a.jpg\0b.jpg\n", False, "zero byte; .*--null"),
        (b"x" * 200_000, False, "bytes without a line end"),
        (b"x\n" * 100_000, True, "bytes without a zero byte"),
    ],
)
def test_what_is_no_list_is_refused(data, null, words):
    with pytest.raises(UsageError, match=f"standard input is no list of paths: .*{words}"):
        list(read_list(io.BytesIO(data), null=null))
