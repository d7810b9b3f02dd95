"""Shards: which of n machines classifies a picture, by a hash of its name, without coordination."""

import re
from dataclasses import dataclass

from ghostkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class MachineShard:
    """The part `index` of `count`, counted from 1."""

    index: int
    count: int

    def has(self, key: str) -> bool:
        """Whether the picture of this name belongs to the part.

        Decided by a hash of the name alone, so each name is in exactly one part, and parts do not
        change when pictures are added.
        """
        import hashlib

        digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str) -> MachineShard:
    """The part that ``2/5`` names.

    Raises:
        UsageError: it is no such pair, or there is no such part.
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"the shard {text!r}: expected I/N with 1 <= I <= N, e.g. 1/4 to 4/4")
    return MachineShard(int(match[1]), int(match[2]))
