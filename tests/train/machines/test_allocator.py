"""The setting of glibc's allocator; its effect is measured by benchmarks/train_allocator.py."""

import ctypes
import subprocess
import sys

from ghostkit.train.machines.allocator import keep_freed_memory

REUSE = """
import ctypes, resource
from ghostkit.train.machines.allocator import keep_freed_memory
assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def fill():
    block = libc.malloc(100 * 2**20)
    ctypes.memset(block, 1, 100 * 2**20)
    libc.free(block)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def on_glibc():
    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def test_a_large_block_is_had_again_without_fetching_its_pages_anew():
    if on_glibc():
        done = subprocess.run([sys.executable, "-c", REUSE], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 1000  # of 25,600 pages


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False


def test_a_c_library_without_the_setting_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert keep_freed_memory() is False
