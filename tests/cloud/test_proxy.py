"""Huawei's SDK by way of a proxy that the environment names."""

import base64
import socket
import threading

import pytest

from ghostkit.cloud import retrying
from ghostkit.cloud.obs_store import ObsStore
from ghostkit.cloud.settings import settings_for
from ghostkit.errors import StoreError

CONNECT = b"CONNECT bucket.store.invalid:443 "


@pytest.fixture
def proxy(monkeypatch):
    """Its port, and what it is asked; it refuses all of it."""
    monkeypatch.setattr(retrying, "UNREACHED_S", 0.0)
    monkeypatch.setenv("OBS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("OBS_SECRET_ACCESS_KEY", "S")
    monkeypatch.setenv("OBS_ENDPOINT", "https://store.invalid")
    for name in ("https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    asked = []

    def answer():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(b"HTTP/1.0 403 Forbidden\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, daemon=True).start()
        yield listening.getsockname()[1], asked
        listening.shutdown(socket.SHUT_RDWR)


def stat():
    with pytest.raises(StoreError, match="cannot be reached"):
        ObsStore("obs", "bucket", settings_for("obs")).stat("a")


@pytest.mark.parametrize("before", ["http://", ""])
def test_https_proxy_is_asked_for_a_tunnel(proxy, monkeypatch, before):
    port, asked = proxy
    monkeypatch.setenv("HTTPS_PROXY", f"{before}127.0.0.1:{port}")
    stat()
    assert asked[0].startswith(CONNECT)


def test_the_proxys_password_is_sent(proxy, monkeypatch):
    port, asked = proxy
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{port}")
    stat()
    assert asked[0].startswith(CONNECT)
    assert b"Basic " + base64.b64encode(b"me:p@ss") in asked[0]


def test_no_proxy_is_heeded(proxy, monkeypatch):
    port, asked = proxy
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", ".invalid")
    stat()
    assert not asked
