"""The port that a server listens on."""

import socket
import struct
import sys

import pytest

from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.serve.admission import Admission
from ghostkit.serve.running import config_of, listen
from ghostkit.serve.server import Server
from serving import running
from tiny import tiny_card


def queue_of(listening):
    """How many connections the system keeps for it, from Linux's ``tcp_info``."""
    return struct.unpack_from("<I", listening.getsockopt(socket.IPPROTO_TCP, 11, 104), 28)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own record")
def test_as_many_connections_wait_before_models_are_loaded_as_after(monkeypatch):
    seen = []

    def noted(host, port):
        seen.append(listen(host, port))
        seen.append(queue_of(seen[0]))
        return seen[0]

    monkeypatch.setattr("serving.listen", noted)
    with running({"tiny": Classifier(FakeBackend(), tiny_card())}) as site:
        assert site.json("GET", "/v2/health/live")[0] == 200
        assert queue_of(seen[0]) == seen[1] >= 128
        assert config_of(site.server).limit_concurrency == 1000


def test_a_classifier_that_is_served_keeps_its_own_limits():
    classifier = Classifier(FakeBackend(), tiny_card())
    before = classifier.limits
    bounds = Admission(picture=type(before)(max_bytes=7))
    with Server({"a": classifier}, batch_size=1, workers=1, admission=bounds) as server:
        assert server.batchers["a"].classifier.limits.max_bytes == 7
    assert classifier.limits == before
