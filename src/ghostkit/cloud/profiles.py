"""Profiles of AWS's own tools: ~/.aws/credentials, ~/.aws/config, and programs that print keys.

In: the name of a profile; out: its values under the names of `settings`. A profile that gets its
keys in an unsupported way is refused, as another identity would be used otherwise.
"""

import configparser
import json
import shlex
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from ghostkit.errors import UsageError

VALUES = {
    "aws_access_key_id": "access_key",
    "aws_secret_access_key": "secret_key",
    "aws_session_token": "token",
    "endpoint_url": "endpoint",
    "region": "region",
}
PRINTED = {"AccessKeyId": "access_key", "SecretAccessKey": "secret_key", "SessionToken": "token"}
UNSUPPORTED = (
    "role_arn",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
    "login_session",
)
PROGRAM = "credential_process"
PROGRAM_TIMEOUT_S = 60.0
AGAIN = timedelta(seconds=30)  # between runs, where it fails or prints keys that end soon
MARGIN = timedelta(minutes=5)  # by which keys are renewed before they end


class _Printed(NamedTuple):
    """What a program has printed."""

    keys: dict[str, str]
    renew: datetime
    end: datetime


_printed: dict[str, _Printed] = {}  # by command
_one_at_a_time = Lock()


class Profile:
    """What the two files say of one profile."""

    def __init__(self, name: str | None, environment: Mapping[str, str], home: Path) -> None:
        """Read it.

        Args:
            name: None for the one that is used where none is named.

        Raises:
            UsageError: there is no such profile, or a file cannot be read.
        """
        secrets = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE", home / ".aws/credentials"))
        config = Path(environment.get("AWS_CONFIG_FILE", home / ".aws/config"))
        self.name = name or "default"
        self.sections = [_section(secrets, self.name), _section(config, f"profile {self.name}")]
        if self.name == "default":
            self.sections.append(_section(config, self.name))
        if name is not None and not any(self.sections):
            raise UsageError(f"there is no profile {name!r} in {secrets} or {config}")
        self.origin = f"profile {self.name!r}"

    def values(self) -> list[dict[str, str]]:
        """What is said in each of the files, the first of which goes over the others."""
        return [_values(section) for section in self.sections]

    def check_supported(self) -> None:
        """Refuse a profile whose keys are to be got in a way that is not done here.

        Raises:
            UsageError: it is one.
        """
        lines = {key for section in self.sections for key in section}
        if unsupported := next((key for key in UNSUPPORTED if key in lines), None):
            raise UsageError(
                f"{self.origin} gets its keys by {unsupported}, which ghostkit leaves to AWS's own "
                "tools; let them print the keys: write a profile with the line credential_process "
                f"= aws configure export-credentials --profile {self.name} and name that one "
                "(--store-profile, AWS_PROFILE)"
            )

    def printed_keys(self) -> dict[str, str]:
        """The keys that the profile's program prints; nothing where it has no program.

        Raises:
            UsageError: the program fails, or prints no keys.
        """
        commands = [section[PROGRAM] for section in self.sections if section.get(PROGRAM)]
        if not commands:
            return {}
        with _one_at_a_time:
            known = _printed.get(commands[0])
            now = datetime.now(UTC)
            if known is None or now > known.renew:
                try:
                    known = _run(commands[0], self.origin)
                except UsageError:
                    if known is None or now >= known.end:
                        raise
                    known = known._replace(renew=min(known.end, now + AGAIN))
                _printed[commands[0]] = known
        return known.keys


def _run(command: str, origin: str) -> _Printed:
    failed = f"{PROGRAM} of {origin}, {command!r}, gives no keys: "
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S
        )
        if done.returncode:
            raise UsageError(f"{failed}status {done.returncode}, {done.stderr.strip()[-500:]}")
        said = json.loads(done.stdout)
        keys = {ours: str(said[theirs]) for theirs, ours in PRINTED.items() if said.get(theirs)}
        ends = datetime.fromisoformat(said.get("Expiration") or "9999-12-31T00:00:00Z")
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{failed}{error}") from error
    if not {"access_key", "secret_key"} <= set(keys):
        raise UsageError(f"{failed}it printed neither or only one of AccessKeyId, SecretAccessKey")
    ends = ends if ends.tzinfo else ends.replace(tzinfo=UTC)
    return _Printed(keys, max(ends - MARGIN, min(ends, datetime.now(UTC) + AGAIN)), ends)


def _values(section: Mapping[str, str]) -> dict[str, str]:
    values = {ours: section[theirs] for theirs, ours in VALUES.items() if section.get(theirs)}
    for line in section.get("s3", "").splitlines():
        key, _, value = (word.strip() for word in line.partition("="))
        if key == "addressing_style" and value in ("path", "virtual"):
            values["addressing"] = value
        if key == "endpoint_url":
            values["endpoint"] = value
    return values


def _section(path: Path, name: str) -> Mapping[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text_of(path))
    except configparser.Error as error:
        raise UsageError(f"{str(path)!r} is no file of profiles: {error}") from error
    return dict(parser[name]) if name in parser else {}


def text_of(path: Path) -> str:
    """The text of a file of settings, or nothing where there is none.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {str(path)!r}: {error}") from error
