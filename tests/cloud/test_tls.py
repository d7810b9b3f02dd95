"""Stores behind https: their certificates are checked, by both libraries, against trusted ones."""

import os
import shutil
import ssl
import subprocess
import sys

import pytest

import fake_s3
from ghostkit.cloud.digests import MIB
from ghostkit.cloud.store import open_store
from ghostkit.errors import StoreError

HOST = "localhost"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with an authority of our own, and a server's key and certificate for `HOST`."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    (folder / "names").write_text(f"subjectAltName=DNS:{HOST}")
    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    for words in (
        ("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test"),
        ("req", *key[:3], "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={HOST}"),
        (
            *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem"),
        ),
    ):
        subprocess.run([program, *words], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def context(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    return context


@pytest.fixture
def store(context, monkeypatch):
    with fake_s3.reached(monkeypatch, context) as store:
        yield store


def stage(source, url, **environment):
    """By a process of its own, as libraries read certificates once."""
    command = [sys.executable, "-m", "ghostkit", "stage", str(source), url]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("url", ["s3://bucket/there", "obs://bucket/there"])
def test_a_store_whose_authority_is_trusted_takes_small_and_large(
    store, certificates, url, tmp_path
):
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "large").write_bytes(bytes(17 * MIB))
    done = stage(tmp_path, url, SSL_CERT_FILE=str(certificates / "ca.pem"))
    assert done.returncode == 0, done.stderr
    assert {key: len(content) for key, (content, _) in store.objects.items()} == {
        "there/small": 5,
        "there/large": 17 * MIB,
    }


@pytest.mark.parametrize("url", ["s3://bucket/there", "obs://bucket/there"])
def test_a_store_whose_authority_is_not_trusted_is_refused_in_words(store, url, tmp_path):
    (tmp_path / "small").write_bytes(b"small")
    done = stage(tmp_path / "small", url)
    assert done.returncode == 2
    assert "is not trusted" in done.stderr and "SSL_CERT_FILE" in done.stderr
    assert not store.objects


def test_a_certificate_of_another_host_is_refused(store, certificates, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint.replace(HOST, "127.0.0.1"))
    with pytest.raises(StoreError, match="is not trusted.*not valid for '127.0.0.1'") as caught:
        open_store("obs://bucket/a").put("a", b"content")
    assert caught.value.reason == "certificate"
    assert not store.objects


def test_a_redirect_is_checked_as_well(store, certificates, context, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    with fake_s3.running(context) as other:
        other.put("a", b"other's")
        for host, trusted in ((HOST, True), ("127.0.0.1", False)):
            there = other.endpoint.replace(HOST, host)
            store.redirect = lambda request, there=there: f"{there}/bucket/{request.key}"
            if trusted:
                assert bytes(open_store("obs://bucket/a").get("a")) == b"other's"
            else:
                with pytest.raises(StoreError, match="is not trusted"):
                    open_store("obs://bucket/a").get("a")
