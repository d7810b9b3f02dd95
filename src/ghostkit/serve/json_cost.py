"""Estimate the memory of a request's JSON from its text, before it is parsed.

A number of two characters becomes an object of 32 bytes in a list, and one more while it is read.
"""

from ghostkit.image.limits import MEBIBYTE
from ghostkit.serve.refusals import Refused

MOST_VALUES = 2_000_000  # twelve images of 240 px; reading them stops all threads for half a second
_VALUE_BYTES = 128  # measured: 79 of a number, 112 of {}, 56 of each mark in [],
_MARKS = (b",", b":", b"[", b"{")  # each value follows one
_PLAIN, _WIDE = 2, 5  # a text, and what its base64 says; a text of four bytes a character


def answers_cost(values: int) -> int:
    """The memory in bytes to make a response's JSON with so many numbers.

    Raises:
        Refused: it has more than `MOST_VALUES`.
    """
    if values > MOST_VALUES:
        raise Refused(
            413,
            f"the answer's JSON would have {values} values, more than {MOST_VALUES}; ask for "
            "binary_data, for the best classes alone, or send fewer pictures",
        )
    return values * _VALUE_BYTES


def json_cost(text: bytes | bytearray) -> int:
    """An upper bound of the memory in bytes that the parsed values take.

    Raises:
        Refused: it has more than `MOST_VALUES`.
    """
    values = 0
    for begin in range(0, len(text), MEBIBYTE):
        values += sum(text.count(mark, begin, begin + MEBIBYTE) for mark in _MARKS)
        if values > MOST_VALUES:
            raise Refused(
                413,
                f"the request's JSON has more than {MOST_VALUES} values; send tensors by the "
                "binary extension",
            )
    plain = text.isascii() and b"\\" not in text
    return values * _VALUE_BYTES + len(text) * (_PLAIN if plain else _WIDE)
