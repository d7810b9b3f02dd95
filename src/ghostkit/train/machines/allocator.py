"""Memory between two training steps: kept by the process, so that it is not fetched anew each time.

glibc gives a large block back to the system as soon as it is freed, and the next step pays a page
fault for each 4 KiB of it. What `benchmarks/train_allocator.py` printed, on one thread of 2 busy
cores, median of 5 runs, GhostNet 1.0: at 240 px and batch 64 processor time per image fell from 60
to 53 ms and page faults per step from 384,000 to 9,000, while the peak of memory rose from 3.7 to
4.4 GB; at 240 px and batch 16 it fell from 55 to 54 ms, at 112 px and batch 32 it stayed at 13 ms.
The command line's `train` and `demo` call this; importing it changes nothing.
"""

import ctypes
import sys

# glibc, malloc.h: what mallopt sets, and to what
_SETTINGS = (
    (-4, 0),  # M_MMAP_MAX: no block has a mapping of its own, however large
    (-1, 2**31 - 1),  # M_TRIM_THRESHOLD: the heap's free end goes back to the system above 2 GiB
    (-2, 64 * 2**20),  # M_TOP_PAD: the heap grows by 64 MiB at a time
)


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed for the next step; whether it took it.

    The process stays as large as it once was. Elsewhere (macOS, musl) nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all([mallopt(*setting) == 1 for setting in _SETTINGS])
