"""A model behind a server, verified against one that is here."""

import http.server
import json
import threading
import time

import numpy as np
import pytest

from ghostkit.backend import FakeBackend
from ghostkit.card import Output
from ghostkit.classifier import Classifier
from ghostkit.errors import CardError, UsageError
from ghostkit.serve import client
from ghostkit.serve.client import RemoteClassifier, is_server
from ghostkit.verify import compare
from serving import running
from tiny import BLUE, GREEN, RED, save_square, tiny_card, write_bad


class Blind(FakeBackend):
    """Takes blue for red."""

    def infer(self, images):
        return super().infer(images)[:, ::-1]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    good = [save_square(folder / f"{n}.png", c) for n, c in enumerate((RED, GREEN, BLUE) * 4)]
    bad = [folder / "bad" / name for name in write_bad(folder / "bad")]
    return [str(path) for path in (*good, *bad)]


@pytest.fixture(scope="module")
def site():
    with running({"tiny": local(), "blind": Classifier(Blind(), tiny_card())}) as site:
        yield site


def local():
    return Classifier(FakeBackend(), tiny_card())


def test_a_served_model_answers_as_the_one_that_is_here(site, photos):
    agreement = compare(local(), RemoteClassifier(f"{site.url}/v2/models/tiny"), photos)
    assert agreement.passed and agreement.compared == 12
    assert agreement.max_probability_difference < 1e-6
    assert len(agreement.unanswered) == 5  # both refuse them
    assert agreement.backends[1] == f"the server at {site.url}"


def test_a_served_model_that_answers_otherwise_is_found(site, photos):
    agreement = compare(local(), RemoteClassifier(f"{site.url}/v2/models/blind"), photos)
    assert not agreement.passed and agreement.other_answers == 8


def test_a_refusal_over_http_has_the_reason_that_it_has_here(site, photos):
    remote, here = RemoteClassifier(f"{site.url}/v2/models/tiny/"), local()
    answers = zip(remote.answers(photos), here.answers(photos), strict=True)
    for there, same in answers:
        assert remote.prediction(there).status == here.prediction(same).status
        assert remote.prediction(there).error == here.prediction(same).error


def test_of_one_model_the_address_of_the_server_is_enough(photos):
    with running({"a b": local()}) as site:
        assert compare(local(), RemoteClassifier(site.url), photos).passed


def test_a_busy_server_is_asked_again(photos, monkeypatch):
    monkeypatch.setattr(client, "PAUSE_S", 0.02)
    with running({"tiny": local()}, workers=1, batch_size=1, waiting=1) as site:
        assert compare(local(), RemoteClassifier(site.url), photos * 5, batch_size=6).passed


def test_answers_are_as_sure_as_the_served_card_asks_for(photos):
    asked = {"output": Output(temperature=0.5, reject_threshold=0.6)}
    here = Classifier(FakeBackend(), tiny_card().model_copy(update=asked))
    with running({"tiny": here}) as site:
        remote = RemoteClassifier(site.url)
        there = [remote.prediction(each).accepted for each in remote.answers(photos)]
        assert there == [here.prediction(each).accepted for each in here.answers(photos)]
        assert True in there
        assert remote.card.output.reject_threshold == 0.6
        notes = compare(here, remote, photos).notes
        assert notes == ("A's model gives logits, B's gives probabilities",)


def test_a_server_that_takes_too_long_is_not_said_to_be_none(photos, monkeypatch):
    class Slow(FakeBackend):
        seconds = 0.0

        def infer(self, images):
            time.sleep(self.seconds)
            return super().infer(images)

    backend = Slow()
    monkeypatch.setattr(client, "TIMEOUT_S", 0.2)
    with running({"slow": Classifier(backend, tiny_card())}) as site:
        remote = RemoteClassifier(site.url)
        assert [each.error for each in remote.answers(photos[:1])] == [None]
        backend.seconds = 0.8
        with pytest.raises(UsageError, match="no answer within 0.2 s; the server has too much"):
            list(remote.answers(photos[:1]))


def test_probabilities_are_found_by_their_name_among_an_answers_outputs(site):
    remote = RemoteClassifier(f"{site.url}/v2/models/tiny")
    wanted = np.array([0.25, 0.5, 0.25], "<f4")

    def answer(*outputs):
        said = [{"name": n, "parameters": {"binary_data_size": len(c)}} for n, c in outputs]
        return json.dumps({"outputs": said}).encode() + b"".join(c for _, c in outputs)

    there, other = ("probabilities", wanted.tobytes()), ("accepted", b"\1")
    for outputs in ((there,), (there, other), (other, there)):
        np.testing.assert_array_equal(remote._probabilities(answer(*outputs)), wanted)
    for broken in (answer(other), answer(there)[:-1], answer(), b"{}", b"no JSON", b"[1]", b"\xff"):
        with pytest.raises(
            UsageError, match=r"\d bytes of probabilities in the answer, 12 expected"
        ):
            remote._probabilities(broken)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:1", "nobody answers.*start the server: ghostkit serve MODEL"),
        ("http://a:b", "Port could not be cast"),
        ("http://127.0.0.1:1/models/tiny", "expected http://HOST:PORT"),
        ("http://me@127.0.0.1:1", "expected http://HOST:PORT"),
    ],
)
def test_an_address_where_nobody_answers_is_said(address, words):
    with pytest.raises(UsageError, match=words):
        RemoteClassifier(address)


def test_which_model_is_meant_has_to_be_said(site):
    with pytest.raises(
        UsageError, match=r"has the models tiny, blind; name one: .*/v2/models/tiny"
    ):
        RemoteClassifier(site.url)
    with pytest.raises(UsageError, match="no model 'shoes'; there is tiny, blind"):
        RemoteClassifier(f"{site.url}/v2/models/shoes")


def test_another_server_is_no_server_of_ours():
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            with pytest.raises(UsageError, match="no server of ours"):
                RemoteClassifier(url)
            with pytest.raises(CardError, match="is not JSON"):
                RemoteClassifier(f"{url}/v2/models/a")
        finally:
            server.shutdown()
            thread.join()


def test_addresses_are_told_from_files():
    assert is_server("http://a") and is_server("https://a:8000/v2/models/b")
    assert is_server("http:/a")  # as pathlib leaves it
    assert not any(map(is_server, ("model.onnx", "http.onnx", "s3://a/b", "http://", "ftp://a")))
