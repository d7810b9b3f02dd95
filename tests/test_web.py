"""Addresses that people mistype are told, not answered with a traceback."""

import pytest

from ghostkit.cli import run
from ghostkit.cloud.settings import settings_for
from ghostkit.errors import UsageError
from ghostkit.serve.client import RemoteClassifier
from ghostkit.serve.running import bind
from ghostkit.train.published.download import download
from ghostkit.web import parts_of

WRONG = ["http://[::1", "http://a..b:1", "http://a:port", "http://[x]/"]


@pytest.mark.parametrize("url", WRONG)
def test_what_is_no_url_is_refused_wherever_one_is_taken(url, tmp_path):
    words = "is no URL: "
    with pytest.raises(UsageError, match=words):
        parts_of(url)
    with pytest.raises(UsageError, match=words):
        RemoteClassifier(url)
    with pytest.raises(UsageError, match=words):
        download(f"{url}/x", None)
    with pytest.raises(UsageError, match=words):
        settings_for("s3", {"S3_ENDPOINT": url, "HOME": str(tmp_path)})


def test_a_host_that_no_name_server_can_be_asked_for_is_not_listened_on():
    with pytest.raises(UsageError, match=r"cannot listen on a\.\.b port 0: "):
        bind("a..b", 0)


def test_a_batch_that_no_memory_holds_is_one_message(capsys, monkeypatch, tmp_path):
    def greedy(*arguments, **named):
        raise MemoryError("Unable to allocate 3 TiB")

    monkeypatch.setattr("ghostkit.artifacts.load", greedy)
    assert run(["predict", "default", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ghostkit: there is not enough memory: Unable to allocate 3 TiB; lower")


def test_a_user_without_a_home_has_no_key_files_and_no_traceback(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where nothing says
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "S3_ENDPOINT": "http://a:1"}
    assert settings_for("s3", keys).endpoint == "http://a:1"
