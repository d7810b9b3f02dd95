"""The port that a server listens on."""

import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.errors import UsageError
from ghostkit.serve.admission import Admission
from ghostkit.serve.running import bind, give_back_large_blocks, run
from ghostkit.serve.server import Server
from tiny import tiny_card


def test_nobody_can_connect_before_it_serves():
    """A balancer that only connects sends no request to a server that still loads its models."""
    with bind("127.0.0.1", 0) as bound:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(bound.getsockname(), 5)


def test_a_port_that_another_took_in_the_meantime_is_said():
    with bind("127.0.0.1", 0) as first, tiny_server() as server:
        with bind(*first.getsockname()) as second:
            first.listen()
            with pytest.raises(UsageError, match="cannot listen on 127.0.0.1 port"):
                run(server, second, lambda: None)


def tiny_server(**bounds):
    models = {"a": Classifier(FakeBackend(), tiny_card())}
    return Server(models, batch_size=1, workers=1, admission=Admission(**bounds))


def test_a_classifier_that_is_served_keeps_its_own_limits():
    classifier = Classifier(FakeBackend(), tiny_card())
    before = classifier.limits
    bounds = Admission(picture=type(before)(max_bytes=7))
    with Server({"a": classifier}, batch_size=1, workers=1, admission=bounds) as server:
        assert server.batchers["a"].classifier.limits.max_bytes == 7
    assert classifier.limits == before


def test_blocks_that_are_kept_for_reuse_are_larger_than_a_picture_takes(monkeypatch):
    """Setting the least block alone fixes the other at 128 KiB: each picture faults anew."""
    told = {}
    library = SimpleNamespace(mallopt=told.__setitem__)
    monkeypatch.setattr("ghostkit.serve.running.ctypes.CDLL", lambda name: library)
    give_back_large_blocks()
    assert told == {-3: 8 << 20, -1: 16 << 20}


FOUR_THREADS = """
import sys, threading
from pathlib import Path
from ghostkit.image import decode
from ghostkit.serve.running import give_back_large_blocks

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024

content = Path(sys.argv[1]).read_bytes()
give_back_large_blocks()
before = resident()
for _ in range(4):
    thread = threading.Thread(target=decode, args=(content,))
    thread.start()
    thread.join()
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_threads_keep_little_memory_of_the_pictures_that_they_decoded(tmp_path):
    Image.new("RGBA", (6000, 6000)).save(tmp_path / "large.png", compress_level=1)  # 137 MiB
    command = [sys.executable, "-c", FOUR_THREADS, tmp_path / "large.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100  # MiB
