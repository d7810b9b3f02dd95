"""The SDK's configuration files: a ``KEY=VALUE`` a line, and what follows a ``#`` is a comment."""

BYTE_ORDER_MARK = "\ufeff"


def read_key_values(text: str, source: str, notices: list[str]) -> dict[str, str]:
    """Each key's value; of a key that stands twice the first one.

    Args:
        source: names the file in what is added to `notices`.
    """
    values: dict[str, str] = {}
    if text.startswith(BYTE_ORDER_MARK):
        notices.append(
            f"{source}: begins with a byte order mark, which the SDK takes for a part of the first "
            "line's key; save it as UTF-8 without one"
        )
    for line in text.removeprefix(BYTE_ORDER_MARK).splitlines():
        key, equals, value = line.partition("#")[0].partition("=")
        if equals:
            values.setdefault(key.strip(), value.strip())
    return values
