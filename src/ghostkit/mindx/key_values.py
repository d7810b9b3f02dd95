"""The SDK's configuration files: a ``KEY=VALUE`` a line, and what follows a ``#`` is a comment."""


def read_key_values(text: str) -> dict[str, str]:
    """Each key's value; of a key that stands twice the first one."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("#")[0].partition("=")
        if equals:
            values.setdefault(key.strip(), value.strip())
    return values
