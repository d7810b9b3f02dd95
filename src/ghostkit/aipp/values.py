"""Parse one value of an AIPP file: from its tokens to its key's type."""

import math
import re

from ghostkit.aipp.keys import FORMATS, INT32, KEYS, MODES, UINT32, Value

_TRUE, _FALSE = ("true", "True", "t", "1"), ("false", "False", "f", "0")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}


def read_value(name: str, kind: str, words: list[str]) -> Value:
    """The value of key `name`.

    Args:
        kind: of the first word: name, number, minus or string.
        words: one token, or a sign and a name, or adjacent strings, which are concatenated.

    Raises:
        ValueError: says what was expected.
    """
    text = "".join(words)
    wanted = KEYS[name].kind
    if (kind == "string") != (wanted == "string"):
        raise ValueError("expected a name in quotes" if wanted == "string" else _expected(name))
    match wanted:
        case "string":
            return "".join(re.sub(r"\\(.)", _unescape, word[1:-1], flags=re.S) for word in words)
        case "bool":
            if text in _TRUE or text in _FALSE:
                return text in _TRUE
            raise ValueError("expected true or false")
        case "mode":
            return _enum(text, MODES)
        case "format":
            return _enum(text, FORMATS)
        case "float":
            return _float(text)
        case "int32":
            return _integer(name, text, INT32)
        case "uint32":
            return _integer(name, text, UINT32)


def _expected(name: str) -> str:
    kind = KEYS[name].kind
    words = {"bool": "true or false", "float": "a number", "mode": "static or dynamic"}
    return f"expected {words.get(kind, 'an image format' if kind == 'format' else 'an integer')}"


def _unescape(match: re.Match[str]) -> str:
    letter = match[1]
    if letter not in _ESCAPES:
        raise ValueError(f"\\{letter} is no escape that this reader knows")
    return _ESCAPES[letter]


def _enum(text: str, names: tuple[str, ...]) -> str:
    if text in names:
        return text
    if re.fullmatch(r"\d{1,3}", text) and int(text) < len(names):
        return names[int(text)]
    if text.lower() in (name.lower() for name in names):
        right = next(name for name in names if name.lower() == text.lower())
        raise ValueError(f"expected {right!r}, in exactly these letters")
    shown = ", ".join(name for name in names if name not in ("UNDEFINED", "undefined"))
    raise ValueError(f"expected one of {shown}")


def _float(text: str) -> float:
    if re.fullmatch(r"-?0[xX][0-9a-fA-F]+|-?0[0-7]+", text):
        raise ValueError("expected a decimal number")
    if re.fullmatch(r"-?[0-9.]+([eE][+-]?\d+)?[fF]?", text):
        value = float(text.rstrip("fF"))
        if math.isfinite(value) and abs(value) <= 3.4028234e38:  # the message holds float32
            return value
        raise ValueError("beyond what a 32-bit float holds")
    if text.lstrip("-").lower() in ("inf", "infinity", "nan"):
        raise ValueError("expected a finite number")
    raise ValueError("expected a number")


def _integer(name: str, text: str, limits: tuple[int, int]) -> int:
    digits = text.lstrip("-")
    if re.fullmatch(r"0[0-7]+", digits):
        magnitude = int(digits[-30:], 8)
    elif re.fullmatch(r"0[xX][0-9a-fA-F]+", digits):
        magnitude = int(digits[2:].lstrip("0")[:30] or "0", 16)
    elif re.fullmatch(r"0|[1-9]\d*", digits):
        magnitude = int(digits[:30])
    else:
        advice = "; fractions of a mean go into " + name.replace("mean", "min")
        raise ValueError("expected an integer" + (advice if name.startswith("mean_") else ""))
    value = -magnitude if text.startswith("-") else magnitude
    if not limits[0] <= value <= limits[1]:
        raise ValueError(f"expected an integer from {limits[0]} to {limits[1]}")
    return value
