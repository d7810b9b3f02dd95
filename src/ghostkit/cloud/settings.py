"""How a store is reached: keys, endpoint, region, addressing, signature.

Taken, in this order, from the options of the command line, the environment and the files that the
vendors' own tools write: ``~/.aws/credentials``, ``~/.aws/config``, ``~/.obsutilconfig``.
"""

import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, get_args

from ghostkit.cloud.profiles import Profile, text_of
from ghostkit.errors import UsageError
from ghostkit.web import parts_of

Addressing = Literal["path", "virtual"]
Signature = Literal["obs", "v2", "v4", "none"]
DEFAULT_REGION = "us-east-1"

_AWS = {
    "access_key": ("AWS_ACCESS_KEY_ID",),
    "secret_key": ("AWS_SECRET_ACCESS_KEY",),
    "token": ("AWS_SESSION_TOKEN",),
    "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "profile": ("AWS_PROFILE",),
}
_OBS = {
    "access_key": ("OBS_ACCESS_KEY_ID", *_AWS["access_key"]),
    "secret_key": ("OBS_SECRET_ACCESS_KEY", *_AWS["secret_key"]),
    "token": ("OBS_SECURITY_TOKEN", *_AWS["token"]),
    "endpoint": ("OBS_ENDPOINT", *_AWS["endpoint"]),
    "region": ("OBS_REGION", *_AWS["region"]),
}
VARIABLES = {"s3": _AWS, "obs": _OBS}
KEYS = ("access_key", "secret_key", "token")  # which belong together
ROLES = (  # any of them says that the machine has a role, whose keys obstore asks for
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)
OURS = ("addressing", "signature")  # GHOSTKIT_STORE_ADDRESSING, GHOSTKIT_STORE_SIGNATURE


@dataclass(frozen=True)
class StoreSettings:
    """How a store is reached; None where nothing says."""

    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)  # of temporary keys
    endpoint: str | None = None  # https://HOST[:PORT], without the bucket
    region: str | None = None
    addressing: Addressing | None = None
    signature: Signature | None = None
    profile: str | None = None
    origin: str = "nowhere"  # where the keys come from, for messages
    role: bool = False  # whether, without keys, a role of this machine may sign

    def or_else(self, other: "StoreSettings") -> "StoreSettings":
        """These settings, completed from `other`; keys that belong together are never mixed."""
        missing = {f.name for f in fields(self) if getattr(self, f.name) is None}
        if _has_keys(self):
            missing -= {"access_key", "secret_key", "token"}
        elif _has_keys(other):
            missing.add("origin")
        return replace(self, **{name: getattr(other, name) for name in missing})


_flags = StoreSettings()


def set_flags(settings: StoreSettings) -> None:
    """Set the settings of the command line, for every store that is opened from now on."""
    global _flags
    _flags = settings


def settings_for(scheme: str, environment: Mapping[str, str] | None = None) -> StoreSettings:
    """The complete settings for the stores of `scheme`; keys are None where none are found.

    Raises:
        UsageError: a value is none of those allowed, or there is no such profile, or it gives its
            keys in a way that is not done here.
    """
    given = os.environ if environment is None else environment
    found = _flags.or_else(_from_environment(scheme, given))
    found = _from_files(scheme, found, given)
    if bool(found.access_key) != bool(found.secret_key):
        has, lacks = ("an access key", "no secret") if found.access_key else ("a secret", "no key")
        raise UsageError(f"{found.origin} gives {has} for {scheme}:// and {lacks}; give both")
    _check("addressing", found.addressing, get_args(Addressing))
    _check("signature", found.signature, get_args(Signature))
    endpoint = _endpoint(scheme, found.endpoint, given)
    return replace(
        found,
        endpoint=endpoint,
        role=_has_role(given) or endpoint is None or _is_amazons(endpoint),
        region=found.region or _region_of(endpoint) or DEFAULT_REGION,
        addressing=found.addressing or _addressing(scheme, endpoint),
        signature=found.signature or ("obs" if scheme == "obs" else "v4"),
    )


def as_environment(schemes: Iterable[str]) -> dict[str, str]:
    """Environment variables with which another machine reaches the stores of `schemes` as this one.

    Without keys here there are none among them either: the machine may have a role of its own.

    Raises:
        UsageError: as `settings_for`.
    """
    variables: dict[str, str] = {}
    ours: dict[str, set[str]] = {name: set() for name in OURS}
    for scheme in schemes:
        found = settings_for(scheme)
        for name, (variable, *_) in VARIABLES[scheme].items():
            if name != "profile" and (value := getattr(found, name)):
                variables[variable] = value
        for name in OURS:
            ours[name].add(str(getattr(found, name)))
    for name, values in ours.items():
        if len(values) == 1:  # else each scheme's own default, which is the same elsewhere
            variables[f"GHOSTKIT_STORE_{name.upper()}"] = values.pop()
    return variables


def _from_environment(scheme: str, given: Mapping[str, str]) -> StoreSettings:
    values: dict[str, str] = {}
    own = any(given.get(VARIABLES[scheme][name][0]) for name in KEYS)
    for name, variables in VARIABLES[scheme].items():
        for variable in variables[:1] if own and name in KEYS else variables:
            if given.get(variable):
                values[name] = given[variable]
                break
    for name in OURS:
        if value := given.get(f"GHOSTKIT_STORE_{name.upper()}"):
            values[name] = value
    return _record(values, "the environment")


def _from_files(scheme: str, found: StoreSettings, given: Mapping[str, str]) -> StoreSettings:
    """`found`, completed by the vendors' files."""
    home = Path(given.get("HOME") or os.path.expanduser("~"))  # "~" itself where there is none
    if scheme == "obs" and found.profile is None:
        path = Path(given.get("OBSUTIL_CONFIG", home / ".obsutilconfig"))
        found = found.or_else(_from_obsutil(path))
    profile = Profile(found.profile, given, home)
    without_keys = not _has_keys(found)
    for values in profile.values():
        found = found.or_else(_record(values, profile.origin))
    is_meant = found.profile is not None or (scheme == "s3" and not _has_role(given))
    if without_keys and is_meant and found.signature != "none":
        profile.check_supported()
        if not _has_keys(found):
            found = found.or_else(_record(profile.printed_keys(), profile.origin))
    return found


def _has_keys(found: StoreSettings) -> bool:
    return bool(found.access_key or found.secret_key)


def _has_role(given: Mapping[str, str]) -> bool:
    return any(given.get(variable) for variable in ROLES)


def _from_obsutil(path: Path) -> StoreSettings:
    names = {"ak": "access_key", "sk": "secret_key", "token": "token", "endpoint": "endpoint"}
    pairs = (line.partition("=") for line in text_of(path).splitlines())
    content = {key.strip(): value.strip() for key, _, value in pairs}
    values = {ours: content[theirs] for theirs, ours in names.items() if content.get(theirs)}
    return _record(values, str(path))


def _record(values: dict[str, str], origin: str) -> StoreSettings:
    keys = "access_key" in values or "secret_key" in values
    return StoreSettings(**values, origin=origin if keys else "nowhere")  # type: ignore[arg-type]


def _endpoint(scheme: str, named: str | None, given: Mapping[str, str]) -> str | None:
    if not named:
        if scheme == "obs":
            raise UsageError(
                "obs:// needs the endpoint of its region; set OBS_ENDPOINT or give --store-endpoint"
                ", e.g. https://obs.cn-north-4.myhuaweicloud.com"
            )
        return None
    secure = given.get("S3_USE_HTTPS", "1") not in ("0", "false")
    url = named if "://" in named else f"{'https' if secure else 'http'}://{named}"
    parts = parts_of(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise UsageError(f"the endpoint {named!r} of {scheme}:// is not https://HOST[:PORT]")
    return url.rstrip("/")


def _region_of(endpoint: str | None) -> str | None:
    """The region in a vendor's host: obs.REGION.myhuaweicloud.com, s3.REGION.amazonaws.com."""
    words = (parts_of(endpoint or "").hostname or "").split(".")
    known = words[0] in ("obs", "s3") and words[2:3] in (["myhuaweicloud"], ["amazonaws"])
    return words[1] if known else None


def _addressing(scheme: str, endpoint: str | None) -> Addressing:
    """ "virtual" where the vendor requires it; "path" where buckets have no host names."""
    if endpoint is None:
        return "virtual"
    host = parts_of(endpoint).hostname or ""
    if scheme == "obs" and host != "localhost" and not _is_number(host):
        return "virtual"
    return "virtual" if _is_amazons(endpoint) else "path"


def _is_amazons(endpoint: str) -> bool:
    return (parts_of(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _is_number(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _check(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise UsageError(f"the {name} of a store is {value!r}; expected {' or '.join(allowed)}")
