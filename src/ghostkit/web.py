"""The parts of a URL, or a clear refusal: the one place where an address is taken apart."""

from urllib.parse import SplitResult, urlsplit

from ghostkit.errors import UsageError


def parts_of(url: str) -> SplitResult:
    """Its parts, whose port is a number and whose host can be asked for.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # read from the text, and refused, when it is asked for
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL: {error}") from error
    return parts
