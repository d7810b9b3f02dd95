"""Downloads from a server on this machine, whole and in every way broken."""

import io
import socket
import urllib.request

import pytest

from ghostkit.errors import UsageError
from ghostkit.train.published import download as module
from ghostkit.train.published.download import download
from weights_site import announcing, redirecting, serving, unannounced


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serving() as site:
        yield site


def fetch(site, path="/file", **options):
    stream = io.BytesIO()
    count = download(site.address + path, stream, timeout_s=5, **options)
    assert count == len(stream.getvalue())
    return stream.getvalue()


def test_the_bytes_arrive_and_are_counted(site):
    site.bodies["/file"] = body = bytes(range(256)) * 4096
    seen = []
    assert fetch(site, progress=lambda done, total: seen.append((done, total))) == body
    assert seen[-1] == (len(body), len(body))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_redirects_are_followed_and_a_missing_length_is_no_fault(site):
    site.bodies["/file"] = redirecting("/there")
    site.bodies["/there"] = unannounced(b"abc")
    assert fetch(site) == b"abc"
    assert site.asked == ["/file", "/there"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "the server answers 404 Not Found"),
        (announcing(1000, b"x" * 400), "the connection ended after 400 of 1,000 bytes"),
        (announcing(2**40, b""), "it has 1,099,511,627,776 bytes; at most 5,000 are taken"),
        (unannounced(b"x" * 5001), "it has more than 5,000 bytes"),
        (redirecting("/file"), "the server answers 302"),
        (redirecting("ftp://127.0.0.1/x"), "it redirects to ftp://127.0.0.1/x, which is not"),
        (lambda handler: handler.wfile.write(b"not http\r\n\r\n"), "not http"),
        (lambda handler: None, "closed connection without response"),
    ],
    ids=["404", "cut short", "too large", "endless", "loop", "ftp", "no http", "silence"],
)
def test_what_goes_wrong_is_said(site, answer, said):
    site.bodies["/file"] = answer
    with pytest.raises(UsageError, match=f"cannot download {site.address}/file: .*({said})"):
        fetch(site, max_bytes=5000)


def test_a_server_that_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(UsageError) as caught:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        download(address, io.BytesIO(), timeout_s=0.2)
    assert "timed out" in str(caught.value) or "nothing came for 0.2 s" in str(caught.value)


def test_no_server_at_all():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UsageError, match="Connection refused"):
        download(f"http://127.0.0.1:{port}/", io.BytesIO())


def test_a_host_that_no_one_knows():
    with pytest.raises(UsageError, match="cannot download https://ghostkit.invalid/x: "):
        download("https://ghostkit.invalid/x", io.BytesIO(), timeout_s=5)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "weights.pth"])
def test_only_the_web_is_asked(url):
    with pytest.raises(UsageError, match="does not begin with https://"):
        download(url, io.BytesIO())


def test_https_is_not_left():
    request = urllib.request.Request("https://a.example/x")
    handler = module._StayOnHttps()
    with pytest.raises(module._Refused, match="redirects to http://b.example/x, which is not"):
        handler.redirect_request(request, None, 302, "Found", {}, "http://b.example/x")
    with pytest.raises(module._Refused, match="redirects to ftp:"):
        handler.redirect_request(request, None, 302, "Found", {}, "ftp://b.example/x")
    kept = handler.redirect_request(request, None, 302, "Found", {}, "https://b.example/x")
    assert kept.full_url == "https://b.example/x"
