"""The text of an AIPP file to typed blocks, and back: protobuf's text format as ATC reads it.

In: bytes or text and the file's name. Out: a `Block` per ``aipp_op``, each entry with its line.
What ATC's own parser rejects, or would silently misread, is rejected here with line and column.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from ghostkit.aipp.keys import KEYS, Value
from ghostkit.aipp.values import read_value
from ghostkit.errors import AippError, did_you_mean

MAX_BYTES = 1 << 20  # a real one has about 1 KB
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\v\f]+|\#[^\n]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>-?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?))
    |(?P<minus>-(?=[A-Za-z_]))
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<mark>[:{}<>\[\],;])""",
    re.VERBOSE | re.ASCII,
)

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


@dataclass(frozen=True)
class Entry:
    """One ``key : value``, and where the key stands (both from 1; 0: in no file)."""

    key: str
    value: Value
    line: int = 0
    column: int = 0


@dataclass(frozen=True)
class Block:
    """One ``aipp_op { ... }``: its entries in the order of the file."""

    entries: tuple[Entry, ...]
    line: int = 0

    def __contains__(self, key: str) -> bool:
        return any(entry.key == key for entry in self.entries)

    def get(self, key: str) -> Value:
        """The value of a key that stands once, or its default."""
        values = [entry.value for entry in self.entries if entry.key == key]
        return values[0] if values else KEYS[key].default

    def integer(self, key: str) -> int:
        """The same of a key for integers."""
        value = self.get(key)
        assert KEYS[key].kind in ("int32", "uint32") and isinstance(value, int), key
        return value

    def number(self, key: str) -> float:
        """The same of a key for numbers."""
        value = self.get(key)
        assert KEYS[key].kind == "float" and isinstance(value, int | float), key
        return float(value)

    def all(self, key: str) -> tuple[Value, ...]:
        """The values of a repeated key."""
        return tuple(entry.value for entry in self.entries if entry.key == key)

    def line_of(self, key: str) -> int:
        """Where `key` stands, or the block's own line."""
        return next((entry.line for entry in self.entries if entry.key == key), self.line)


@dataclass(frozen=True)
class Token:
    """A word of the file: a name, a number, a string or a mark."""

    kind: str
    text: str
    line: int
    column: int


def parse(text: str | bytes, source: str = "<aipp>") -> tuple[Block, ...]:
    """The blocks of an AIPP file.

    Raises:
        AippError: with ``source:line:column``: bad syntax, an unknown key (the nearest one is
            named), a value of another type, a key that stands twice, or no block at all.
    """
    if len(text) > MAX_BYTES:
        raise AippError(f"{source}: {len(text)} bytes; an AIPP file has at most {MAX_BYTES}")
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")  # comments may be in any encoding
    blocks = _Reader(list(_tokens(text, source)), source).blocks()
    if not blocks:
        raise AippError(f"{source}: no aipp_op {{ ... }} block in it; expected at least one")
    return blocks


def to_text(blocks: tuple[Block, ...], comments: tuple[str, ...] = ()) -> str:
    """`blocks` as an AIPP file, one key per line; `parse` gives equal entries back."""
    lines = [f"# {comment}".rstrip() for comment in comments]
    for block in blocks:
        lines += ["aipp_op {", *(f"    {e.key} : {_print(e)}" for e in block.entries), "}"]
    return "\n".join(lines) + "\n"


def _print(entry: Entry) -> str:
    if isinstance(entry.value, bool):
        return "true" if entry.value else "false"
    if KEYS[entry.key].kind == "string":
        return '"' + str(entry.value).translate(_ESCAPED) + '"'
    return str(entry.value)


def _tokens(text: str, source: str) -> Iterator[Token]:
    line, start_of_line, at = 1, 0, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        column = at - start_of_line + 1
        if match is None:
            seen = "an unfinished string" if text[at] in "\"'" else f"character {text[at]!r}"
            hint = _foreign(text, at)
            raise AippError(f"{source}:{line}:{column}: unexpected {seen}{hint}")
        kind, word = match.lastgroup or "", match[0]
        if kind == "number" and text[match.end() : match.end() + 1].isalnum():
            raise AippError(f"{source}:{line}:{column}: {word!r} runs into the next word")
        if kind != "space":
            yield Token(kind, word, line, column)
        if newlines := word.count("\n"):
            line += newlines
            start_of_line = at + word.rindex("\n") + 1
        at = match.end()
    yield Token("end", "the end of the file", line, at - start_of_line + 1)


def _foreign(text: str, at: int) -> str:
    """A hint where the file is not an AIPP file, or the line is one of a post-processing config."""
    if text[at] == "\ufeff":
        return "; ATC's reader refuses a byte order mark: save the file as UTF-8 without one"
    if not text[at].isprintable():
        return "; is it the AIPP file (.cfg)? That is plain text, in UTF-8"
    line = text[text.rfind("\n", 0, at) + 1 :].partition("\n")[0]
    if re.match(r"\s*(CLASS_NUM|SOFTMAX|TOP_K|CHECK_MODEL)\s*=", line):
        return (
            f": {line.strip()[:60]!r} belongs into the post-processing file "
            "(ghostnet_sdk_infer.cfg); an AIPP file knows nothing of classes"
        )
    if text[at] == "=":
        return "; an AIPP file has lines KEY : VALUE"
    return ""


class _Reader:
    """A tokenizer and parser of one file, from left to right."""

    def __init__(self, tokens: list[Token], source: str) -> None:
        self._tokens, self._source, self._at = tokens, source, 0

    def blocks(self) -> tuple[Block, ...]:
        blocks = []
        while self._peek().kind != "end":
            name = self._take("name", "aipp_op")
            if name.text != "aipp_op":
                self._refuse(name, *_unknown_outside(name.text))
            if self._peek().text == ":":
                self._at += 1
            opening = self._take("mark", "'{'", "{<")
            blocks.append(self._block(name, "}" if opening.text == "{" else ">"))
            self._skip_separator()
        return tuple(blocks)

    def _block(self, name: Token, closing: str) -> Block:
        entries: list[Entry] = []
        while self._peek().text != closing or self._peek().kind != "mark":
            if self._peek().kind == "end":
                self._refuse(name, f"the block that begins here has no {closing!r}")
            entries += self._entries(entries)
            self._skip_separator()
        self._at += 1
        return Block(tuple(entries), name.line)

    def _entries(self, before: list[Entry]) -> list[Entry]:
        """The next entry, or several where a repeated key has a list."""
        word = self._take("name", "a key")
        key = KEYS.get(word.text)
        if key is None:
            self._refuse(word, *_unknown(word.text))
        earlier = [entry.line for entry in before if entry.key == word.text]
        if earlier and not key.repeated:
            self._refuse(
                word, f"{word.text} stands in line {earlier[0]} already; ATC takes a key once"
            )
        self._take("mark", "':'", ":")
        values = self._list() if self._peek().text == "[" else [self._value()]
        if len(values) != 1 and not key.repeated:
            self._refuse(word, f"{word.text} takes one value, not a list")
        return [
            Entry(word.text, self._typed(word.text, tokens), word.line, word.column)
            for tokens in values
        ]

    def _list(self) -> list[list[Token]]:
        self._at += 1
        values: list[list[Token]] = []
        while not (self._peek().kind == "mark" and self._peek().text == "]"):
            if values:
                self._take("mark", "',' or ']'", ",")
            values.append(self._value())
        self._at += 1
        return values

    def _value(self) -> list[Token]:
        """The tokens of one value: a word, a sign and a word, or strings side by side."""
        first = self._tokens[self._at]
        if first.kind not in ("name", "number", "minus", "string"):
            self._refuse(first, f"expected a value, not {first.text!r}")
        self._at += 1
        tokens = [first]
        if first.kind == "minus":
            tokens.append(self._take("name", "a number"))
        while first.kind == "string" and self._peek().kind == "string":
            tokens.append(self._peek())
            self._at += 1
        return tokens

    def _typed(self, name: str, tokens: list[Token]) -> Value:
        text = "".join(token.text for token in tokens)
        try:
            return read_value(name, tokens[0].kind, [token.text for token in tokens])
        except ValueError as error:
            self._refuse(tokens[0], f"{name} is {text[:60]!r}; {error}")

    def _take(self, kind: str, what: str, texts: str = "") -> Token:
        token = self._peek()
        if token.kind != kind or (texts and token.text not in texts):
            self._refuse(token, f"expected {what}, not {token.text[:60]!r}")
        self._at += 1
        return token

    def _skip_separator(self) -> None:
        if self._peek().kind == "mark" and self._peek().text in ",;":
            self._at += 1

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _refuse(self, at: Token, *words: str) -> NoReturn:
        raise AippError(f"{self._source}:{at.line}:{at.column}: " + "; ".join(words))


def _unknown(name: str) -> tuple[str, ...]:
    hint = did_you_mean(name.lower(), KEYS, otherwise="; docs/aipp.md lists the keys")
    return (f"unknown key {name!r}{hint}",)


def _unknown_outside(name: str) -> tuple[str, ...]:
    if name in KEYS:
        return (f"{name} stands outside a block", "write it into aipp_op { ... }")
    if name in ("CLASS_NUM", "SOFTMAX", "TOP_K", "CHECK_MODEL"):
        return (
            f"{name} is a key of the post-processing file (ghostnet_sdk_infer.cfg)",
            "an AIPP file knows nothing of classes; it holds aipp_op { ... } blocks alone",
        )
    return (f"expected aipp_op, not {name!r}",)
