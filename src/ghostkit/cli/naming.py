"""Messages name what the person named: a URL, not the local place that stands for it meanwhile."""

from pathlib import Path

_addresses: dict[str, str] = {}  # of the command line that is running


def stands_for(path: Path, address: str) -> None:
    """From now on `path`, and what is below it, is called `address` in messages."""
    _addresses[str(path)] = address.rstrip("/")


def forget() -> None:
    """What an earlier command line of this process named is no longer meant."""
    _addresses.clear()


def as_given(text: str) -> str:
    """A message in the words of the command line."""
    for path, address in _addresses.items():
        text = text.replace(path, address)
    return text
