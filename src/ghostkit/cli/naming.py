"""Replace local paths in messages by the URLs that the user gave for them."""

from pathlib import Path

_addresses: dict[str, str] = {}  # of the command line that is running


def stands_for(path: Path, address: str) -> None:
    """Name `path`, and paths below it, by `address` in messages from now on."""
    _addresses[str(path)] = address.rstrip("/")


def forget() -> None:
    """Forget the names given by an earlier command line of this process."""
    _addresses.clear()


def as_given(text: str) -> str:
    """`text` with local paths replaced by the URLs of the command line."""
    for path, address in _addresses.items():
        text = text.replace(path, address)
    return text
