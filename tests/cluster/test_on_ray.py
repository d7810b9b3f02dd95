"""Jobs on a real cluster of two nodes, of which workers, a node and the driver are killed."""

import importlib.util
import os
import subprocess
import sys
import time

import pytest

import fake_s3
from ghostkit.bundled import unpack_trashnet
from ghostkit.cli import run
from ray_cluster import running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]
PICTURES, PART, WAIT_S = 600, 20, 90


@pytest.fixture(scope="module")
def cluster():
    with running() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Bundled photos, of which every fiftieth is cut off."""
    folder = tmp_path_factory.mktemp("photos")
    for number, photo in enumerate(sorted(unpack_trashnet(folder / "all").rglob("*.jpg"))):
        if number < PICTURES:
            whole = photo.read_bytes()
            name = folder / "some" / f"{number}.jpg"
            name.parent.mkdir(exist_ok=True)
            name.write_bytes(whole[: len(whole) // 2] if number % 50 == 7 else whole)
    return folder / "some"


@pytest.fixture(scope="module")
def expected(photos):
    """What a local job writes."""
    target = photos.parent / "local.jsonl"
    assert run(["predict", "default", str(photos), "-o", str(target)]) == 1
    return target.read_bytes()


def start(cluster, photos, *options):
    command = [sys.executable, "-m", "ghostkit", "predict", "default", photos, *options]
    asked = ["--engine", "ray", "--address", cluster.address, "--part-size", PART]
    words = [str(word) for word in (*command, *asked)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def until(there, process):
    end = time.monotonic() + WAIT_S
    while not there():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


def test_killed_workers_and_a_killed_node_lose_and_double_nothing(
    cluster, photos, expected, tmp_path
):
    output = tmp_path / "out.jsonl"
    with start(cluster, photos, "-o", output) as process:
        until(lambda: output.exists() and output.stat().st_size, process)
        until(cluster.kill_in_a_part, process)
        written = output.stat().st_size
        until(lambda: output.stat().st_size > written, process)
        cluster.lose_a_node()
        error = process.communicate()[1]
    assert process.returncode == 1, error
    assert output.read_bytes() == expected
    assert "600 pictures: 588 answered, 12 refused, 0 failed" in error
    begun = cluster.begun()
    assert set(begun) == set(range(PICTURES // PART))
    assert begun.total() > len(begun)  # the part at least whose worker was killed


def test_a_killed_driver_leaves_whole_parts_that_another_goes_on_with(
    cluster, photos, expected, tmp_path
):
    line = ("-o", f"{tmp_path}/out/", "--format", "jsonl", "--resume")
    accounts = tmp_path / "out" / "_parts"
    with start(cluster, photos, *line) as process:
        until(lambda: accounts.is_dir() and len(os.listdir(accounts)) >= 5, process)
        process.kill()
        process.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in accounts.glob("*.json")}
    assert 5 <= len(before) < PICTURES // PART
    with start(cluster, photos, *line) as process:
        error = process.communicate()[1]
    assert process.returncode == 1, error
    assert f"{len(before) * PART} of them by earlier runs" in error
    parts = sorted((tmp_path / "out").glob("part-*.jsonl"))
    assert b"".join(part.read_bytes() for part in parts) == expected
    assert before.items() <= {p.name: p.stat().st_mtime_ns for p in accounts.iterdir()}.items()


def test_workers_take_the_keys_that_the_driver_has_renewed(cluster, photos, tmp_path, monkeypatch):
    """The first ones end in the middle of the job; whoever renews them writes AWS's file."""
    (tmp_path / ".aws").mkdir()

    def renew(store, name):
        text = f"[default]\naws_access_key_id = {name}\naws_secret_access_key = S\n"
        (tmp_path / ".aws" / "credentials").write_text(text)
        store.refuse = fake_s3.only(name)

    output = tmp_path / "out.jsonl"
    with fake_s3.running() as store:
        for path in photos.iterdir():
            store.put(path.name, path.read_bytes())
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
        renew(store, "KEY1")
        with start(cluster, f"s3://{fake_s3.BUCKET}/", "-o", output) as process:
            until(lambda: output.exists() and output.stat().st_size, process)
            renew(store, "KEY2")
            error = process.communicate()[1]
    assert process.returncode == 1, error
    assert len(output.read_bytes().splitlines()) == PICTURES
    assert "588 answered, 12 refused, 0 failed" in error
