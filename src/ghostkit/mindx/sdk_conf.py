"""``sdk.conf``: whether and how often statistics are written, as the SDK reads it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ghostkit.errors import UsageError
from ghostkit.mindx.key_values import read_key_values

HOME = "MX_SDK_HOME"  # the variable that names the SDK's folder

RANGES: Mapping[str, tuple[int, int, int]] = {  # key: default, lowest, highest
    "ps_max_log_size": (10, 1, 20),
    "ps_queue_size_warn_percent": (80, 0, 100),
    "ps_interval_time": (60, 1, 86_400),
    "ps_queue_size_interval_time": (50, 10, 1000),
    "ps_queue_size_times": (100, 1, 1000),
}
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
MOST_DATA = 4 * UNITS["g"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SdkConf:
    """What the file says; numbers out of range are brought into it, as the SDK does."""

    enable: bool = False
    log_dir: str = "logs"
    log_filename: str = "performance—statistics.log"  # with the dash of the original's file names
    max_log_size_mb: int = 10
    interval_s: int = 60
    queue_size_interval_ms: int = 50
    queue_size_times: int = 100
    max_data_bytes: int = 2**30  # sent at once

    @property
    def folder(self) -> Path:
        """Where the statistics go: a relative folder lies in the SDK's, or here without one."""
        return Path(os.environ.get(HOME, ""), self.log_dir)


def default_path() -> Path | None:
    """``$MX_SDK_HOME/config/sdk.conf`` where there is one."""
    home = os.environ.get(HOME)
    path = Path(home, "config", "sdk.conf") if home else None
    return path if path is not None and path.is_file() else None


def read_sdk_conf(path: str | os.PathLike[str]) -> tuple[SdkConf, list[str]]:
    """The configuration in the file, and notices about values that were mended.

    Raises:
        UsageError: the file cannot be read.
    """
    source = os.fspath(path)
    try:
        text = Path(path).read_text("utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{source}: cannot be read: {error.strerror}") from error
    notices: list[str] = []
    values = read_key_values(text, source, notices)
    numbers = {key: _number(values, key, source, notices) for key in RANGES}
    defaults = SdkConf()
    conf = SdkConf(
        enable=values.get("enable_ps", "false").lower() == "true",
        log_dir=values.get("ps_log_dir") or defaults.log_dir,
        log_filename=values.get("ps_log_filename") or defaults.log_filename,
        max_log_size_mb=numbers["ps_max_log_size"],
        interval_s=numbers["ps_interval_time"],
        queue_size_interval_ms=numbers["ps_queue_size_interval_time"],
        queue_size_times=numbers["ps_queue_size_times"],
        max_data_bytes=_size(values, source, notices),
    )
    return conf, notices


def _number(values: Mapping[str, str], key: str, source: str, notices: list[str]) -> int:
    default, low, high = RANGES[key]
    text = values.get(key)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        notices.append(f"{source}: {key}={text!r} is no whole number; {default} stands")
        return default
    clamped = min(max(value, low), high)
    if clamped != value:
        notices.append(f"{source}: {key}={value} is out of {low}..{high}; taken as {clamped}")
    return clamped


def _size(values: Mapping[str, str], source: str, notices: list[str]) -> int:
    """malloc_max_data_size: digits and a unit, such as ``1G``."""
    text = values.get("malloc_max_data_size")
    if text is None:
        return SdkConf().max_data_bytes
    found = re.fullmatch(r"([0-9]{1,12})([kmgKMG])", text)
    size = int(found[1]) * UNITS[found[2].lower()] if found else 0
    if not 0 < size <= MOST_DATA:
        notices.append(f"{source}: malloc_max_data_size={text!r}; expected 1k to 4G, so 1G stands")
        return SdkConf().max_data_bytes
    return size
