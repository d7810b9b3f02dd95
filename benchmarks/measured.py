"""How the benchmarks say what they were measured on, and how far their rounds lie apart.

The standard library alone: `train.py` runs in the peer's environment too.
"""

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """The processor, its cores, the system and the Python."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, with the least and the greatest."""
    middle, least, greatest = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({least:,.{digits}f}..{greatest:,.{digits}f})"
