"""Against a real server: the four ways to it behave alike."""

import datetime
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ghostkit.cloud.address import Address
from ghostkit.cloud.digests import MIB
from ghostkit.cloud.obs_store import ObsStore
from ghostkit.cloud.settings import settings_for
from ghostkit.cloud.stage import send
from ghostkit.cloud.store import open_store
from ghostkit.errors import MissingExtra, StoreError, UsageError
from obs_gateway import gateway
from s3_server import ADMIN, BUCKET, READER

ODD = "b/ü 中文+%#&=.txt"


def test_what_is_put_is_listed_read_and_deleted(place):
    store = open_store(place)
    for name in ("a.txt", ODD, "c/empty"):
        content = b"" if name.endswith("empty") else name.encode()
        etag = store.put(place.below(name).key, content)
        assert etag == hashlib.md5(content).hexdigest()
    listed = {e.key.removeprefix(place.prefix): e.size for e in store.list(place.prefix)}
    assert listed == {"a.txt": 5, ODD: len(ODD.encode()), "c/empty": 0}
    key = place.below(ODD).key
    assert bytes(store.get(key)) == ODD.encode()
    assert bytes(store.get(key, 2, 5)) == ODD.encode()[2:5]
    assert bytes(store.get(key, 3)) == ODD.encode()[3:]
    assert bytes(store.get(place.below("c/empty").key)) == b""
    assert store.stat(key) == (key, len(ODD.encode()), hashlib.md5(ODD.encode()).hexdigest())
    store.delete(key)
    store.delete(key)
    assert store.stat(key) is None


def test_a_listing_of_more_than_one_page(s3):
    store = open_store(s3)
    names = [f"{n:04}" for n in range(1100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.put(s3.below(name).key, b""), names))
    assert [e.key.removeprefix(s3.prefix) for e in store.list(s3.prefix)] == names


def test_an_object_in_parts_appears_when_it_is_finished(place):
    store, key = open_store(place), place.below("big").key
    contents = {1: b"x" * (5 << 20), 2: b"tail"}
    upload = store.parts.begin(key)
    etags = {}
    for number, content in contents.items():
        digest = hashlib.md5(content)
        etags[number] = store.parts.put(key, upload, number, content, digest.digest())
        assert etags[number] == digest.hexdigest()
    assert store.parts.sent(key, upload) == {n: (etags[n], len(contents[n])) for n in contents}
    assert store.stat(key) is None
    etag = store.parts.finish(key, upload, etags)
    joined = b"".join(bytes.fromhex(etags[n]) for n in (1, 2))
    assert etag == hashlib.md5(joined).hexdigest() + "-2"
    assert bytes(store.get(key, (5 << 20) - 1)) == b"xtail"
    assert store.parts.sent(key, "0" * 40 + "_x") is None


def test_a_key_that_is_not_there(place):
    with pytest.raises(StoreError, match="there is no such object; check the key") as caught:
        open_store(place).get(place.below("absent").key)
    assert caught.value.reason == "key"


def test_a_bucket_that_is_not_there(place):
    store = open_store(place._replace(bucket="no-such-bucket"))
    for ask in (lambda: list(store.list("")), lambda: store.stat("a"), lambda: store.put("a", b"")):
        with pytest.raises(StoreError, match="no such bucket.*check its name") as caught:
            ask()
        assert caught.value.reason == "bucket"


def test_a_secret_that_is_wrong(place, monkeypatch):
    name = "OBS_SECRET_ACCESS_KEY" if place.scheme == "obs" else "AWS_SECRET_ACCESS_KEY"
    monkeypatch.setenv(name, "wrong-secret")
    store = open_store(place)
    for ask in (lambda: store.get("a"), lambda: store.stat("a"), lambda: store.put("a", b"")):
        with pytest.raises(StoreError, match="the secret does not fit the access key") as caught:
            ask()
        assert caught.value.reason == "secret"
        assert "the environment (access key ADMI" in str(caught.value)
        assert "wrong-secret" not in str(caught.value)


def test_a_bucket_that_may_only_be_read(server, place, monkeypatch):
    open_store(place).put(place.below("a").key, b"a")
    for name, value in server.environment(READER, place.scheme).items():
        monkeypatch.setenv(name, value)
    store = open_store(place)
    assert bytes(store.get(place.below("a").key)) == b"a"
    with pytest.raises(StoreError, match="cannot write .* may only be read") as caught:
        store.put(place.below("a").key, b"b")
    assert caught.value.reason == "forbidden"


HOURS_BEHIND = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec -= 3 * 3600;
    return status;
}
"""


def test_a_machine_whose_clock_is_wrong(s3, tmp_path):
    """obstore reads the clock of the machine, so a whole process is given another one."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no compiler to make a clock with")
    (tmp_path / "clock.c").write_text(HOURS_BEHIND)
    build = [compiler, "-shared", "-fPIC", "-o", "clock.so", "clock.c", "-ldl"]
    subprocess.run(build, cwd=tmp_path, check=True)
    (tmp_path / "a").write_bytes(b"a")
    environment = os.environ | {"LD_PRELOAD": str(tmp_path / "clock.so")}
    url, path = str(s3.below("a")), str(tmp_path / "a")
    for words in ([url, path], [path, url]):
        command = [sys.executable, "-m", "ghostkit", "stage", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"{url}: this machine's clock is 3.0 hours behind the store's" in done.stderr
        assert "set the clock, e.g. with timedatectl set-ntp true" in done.stderr


def test_a_clock_that_is_wrong(s3, monkeypatch):
    """By the SDK, whose clock alone is another one here."""
    store = ObsStore("s3", BUCKET, settings_for("s3"))
    now = datetime.datetime

    class AnHourAhead(now):
        @classmethod
        def utcnow(cls):
            return now.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(hours=1)

    monkeypatch.setattr(datetime, "datetime", AnHourAhead)
    with pytest.raises(StoreError, match="this machine's clock is .*; set the clock") as caught:
        store.get("a")
    assert caught.value.reason == "clock"


def test_a_forked_process_reads_beside_its_parent(s3):
    """obstore has threads, which a fork leaves behind; the child waited, or the parent crashed."""
    key = s3.below("a").key
    open_store(s3).put(key, b"content")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, bytes(open_store(s3).get(key)))
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        assert answer.read() == b"content"
    assert os.waitpid(child, 0) == (child, 0)
    assert bytes(open_store(s3).get(key)) == b"content"


def test_a_server_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr("ghostkit.cloud.retrying.UNREACHED_S", 0.0)
    for name, value in zip(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"),
        (*ADMIN, "http://127.0.0.1:9"),
        strict=True,
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="127.0.0.1:9 cannot be reached") as caught:
        open_store(Address("s3", BUCKET, "a")).get("a")
    assert caught.value.reason == "network"
    monkeypatch.setenv("OBS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="cannot be reached: ConnectionRefusedError"):
        open_store(Address("obs", BUCKET, "a")).get("a")


def test_a_role_gives_keys_for_an_endpoint_too_and_sends_large_files(s3, tmp_path, monkeypatch):
    """As on EKS: a server beside the container gives the keys to obstore alone."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    key, secret = ADMIN
    keys = {"AccessKeyId": key, "SecretAccessKey": secret, "Token": "", "RoleArn": "role"}

    class Keys(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            content = json.dumps(keys | {"Expiration": "2999-01-01T00:00:00Z"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    path = tmp_path / "large"
    path.write_bytes(os.urandom(17 * MIB))
    (tmp_path / "token").write_text("token")
    with HTTPServer(("127.0.0.1", 0), Keys) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{httpd.server_port}/keys"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        send(path, s3.below("large"))
        store = open_store(s3)
        assert bytes(store.get(s3.below("large").key)) == path.read_bytes()
        assert store.stat(s3.below("large").key).etag.endswith("-3")
        httpd.shutdown()


def test_no_keys_at_all(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match="there are no keys for http://127.0.0.1:9; set AWS_ACC"):
        open_store(Address("s3", BUCKET, "a"))


@pytest.mark.parametrize(
    ("package", "url"), [("obstore.store", "s3://bucket/a"), ("obs", "obs://bucket/a")]
)
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, package, url):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setenv("OBS_ENDPOINT", f"http://{package.replace('.', '-')}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{package.replace('.', '-')}")
    with pytest.raises(MissingExtra, match=r'pip install "ghostkit\[cloud\]"'):
        open_store(url)


@pytest.fixture
def resolver(monkeypatch):
    """Names below localhost are this machine, as a wildcard of DNS says it of a real endpoint."""
    look_up = socket.getaddrinfo

    def resolve(name, *rest, **more):
        return look_up("127.0.0.1" if str(name).endswith("localhost") else name, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def use(store, place):
    key = place.below("a b/ü+%.txt").key
    assert store.put(key, b"virtual") == hashlib.md5(b"virtual").hexdigest()
    assert bytes(store.get(key)) == b"virtual"
    assert bytes(store.get(key, 2, 4)) == b"rt"
    assert store.stat(key).size == 7
    assert [e.key for e in store.list(place.prefix)] == [key]
    upload = store.parts.begin(key)
    etag = store.parts.put(key, upload, 1, b"part", hashlib.md5(b"part").digest())
    assert store.parts.sent(key, upload) == {1: (etag, 4)}
    store.parts.finish(key, upload, {1: etag})
    assert bytes(store.get(key)) == b"part"
    store.delete(key)
    assert store.stat(key) is None


@pytest.mark.parametrize("scheme", ["s3", "obs"])
def test_a_bucket_in_the_host_name_with_signature_v4(server, scheme, monkeypatch, resolver):
    """obstore resolves names by itself; the server itself is its proxy, and takes whole URLs."""
    place = Address(scheme, BUCKET, "virtual")
    for name, value in server.environment(scheme=scheme).items():
        monkeypatch.setenv(name, value.replace("127.0.0.1", "localhost"))
    monkeypatch.setenv("GHOSTKIT_STORE_ADDRESSING", "virtual")
    monkeypatch.setenv("GHOSTKIT_STORE_SIGNATURE", "v4")
    monkeypatch.setenv("http_proxy", server.endpoint)
    use(open_store(place), place)


@pytest.mark.parametrize(("mode", "word"), [("obs", "OBS"), ("v2", "AWS")])
def test_a_bucket_in_the_host_name_with_obs_signatures(server, mode, word, monkeypatch, resolver):
    """Against a gateway that checks them, as the server knows neither in this addressing."""
    place = Address("obs", BUCKET, f"virtual-{mode}")
    with gateway(server.port, *ADMIN) as (port, accepted):
        for name, value in server.environment(scheme="obs").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OBS_ENDPOINT", f"http://localhost:{port}")
        monkeypatch.setenv("GHOSTKIT_STORE_ADDRESSING", "virtual")
        monkeypatch.setenv("GHOSTKIT_STORE_SIGNATURE", mode)
        use(open_store(place), place)
        assert set(accepted) == {word}
        monkeypatch.setenv("OBS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(StoreError, match="the secret does not fit"):
            open_store(place).put("a", b"")
