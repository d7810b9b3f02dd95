"""How the benchmarks say what they were measured on, and how far their rounds lie apart.

The standard library alone: what imports it runs in the peers' environment too.
"""

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MEMORY_KEPT = {  # glibc's allocator, told to give nothing back between two batches
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}


def machine() -> dict[str, Any]:
    """The processor, its cores, the widest of its vector instructions, the system, the Python."""
    wide = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd")
    return {
        "processor": _cpuinfo("model name") or platform.processor(),
        "instructions": [name for name in wide if name in cpu_flags()],
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def cpu_flags() -> set[str]:
    """What the processor says that it can do, e.g. ``avx512_bf16``."""
    return set((_cpuinfo("flags") or _cpuinfo("Features")).split())


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 by itself, rather than by way of float32."""
    return not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, with the least and the greatest."""
    middle, least, greatest = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({least:,.{digits}f}..{greatest:,.{digits}f})"


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
