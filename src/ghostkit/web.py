"""Parse URLs, in one place, with a clear error."""

from urllib.parse import SplitResult, urlsplit

from ghostkit.errors import UsageError


def parts_of(url: str) -> SplitResult:
    """The parts of `url`, with a valid port and a host name of valid form.

    Raises:
        UsageError: it is not a URL.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # read from the text, and refused, when it is asked for
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL: {error}") from error
    return parts
