"""``ghostkit --store-endpoint URL COMMAND``: how object stores are reached, for any command."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import typer

from ghostkit.errors import UsageError

Take = Callable[[str | None], str | None]

_given: dict[str, str] = {}


def _option(setting: str, help: str, take: Take | None = None) -> Any:
    return typer.Option(
        f"--store-{setting.replace('_', '-')}",
        help=help,
        callback=take or _taken(setting),
        is_eager=True,
        rich_help_panel="Object stores (docs/cloud.md)",
    )


def _taken(setting: str) -> Take:
    def take(value: str | None) -> str | None:
        if value is not None:
            from ghostkit.cloud.settings import StoreSettings, set_flags

            _given[setting] = value
            set_flags(replace(StoreSettings(origin="the command line"), **_given))  # type: ignore[arg-type]
        return value

    return take


def forget() -> None:
    """Reset options left by an earlier command line in this process."""
    if _given:
        from ghostkit.cloud.settings import StoreSettings, set_flags

        _given.clear()
        set_flags(StoreSettings())
    _limit("")


def _limit(megabytes: str | None) -> str | None:
    if megabytes or "ghostkit.cloud.room" in sys.modules:
        from ghostkit.cloud.room import set_limit_mb

        set_limit_mb(megabytes or "")
    return megabytes


def _read_secret(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as stream:
            secret = stream.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the secret in {path!r}: {error}") from error
    return _taken("secret_key")(secret)


Endpoint = Annotated[str | None, _option("endpoint", "https://HOST[:PORT] of the store.")]
Region = Annotated[str | None, _option("region", "Its region.")]
Profile = Annotated[str | None, _option("profile", "A profile in ~/.aws/credentials.")]
Addressing = Annotated[str | None, _option("addressing", "path, or virtual: bucket in the host.")]
Signature = Annotated[str | None, _option("signature", "obs, v2, v4, or none: a public bucket.")]
AccessKey = Annotated[str | None, _option("access_key", "The access key.")]
SecretFile = Annotated[
    str | None,
    _option(
        "secret_file",
        "A file that holds its secret; other people see a command line.",
        _read_secret,
    ),
]
CacheMb = Annotated[
    str | None,
    _option(
        "cache_mb",
        "MB of disk for archives that are read from stores; by default all that there is.",
        _limit,
    ),
]
