"""Triton's own client, which knows nothing of us, asks the server."""

import numpy as np
import pytest

from ghostkit import load
from serving import running
from tiny import RED, save_square

http = pytest.importorskip("tritonclient.http")
from tritonclient.utils import InferenceServerException  # noqa: E402


@pytest.fixture(scope="module")
def site():
    with running({"default": load()}) as site:
        yield site


@pytest.fixture
def client(site):
    with http.InferenceServerClient(f"127.0.0.1:{site.port}") as client:
        yield client


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    colors = [RED, (200, 180, 20), (10, 60, 200)]
    return [
        save_square(folder / f"{n}.jpg", color, (130, 97)).read_bytes()
        for n, color in enumerate(colors)
    ]


def files(photos, binary):
    given = http.InferInput("picture", [len(photos)], "BYTES")
    given.set_data_from_numpy(np.array(photos, np.object_), binary_data=binary)
    return given


def test_the_server_and_its_model_are_found(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("default") and client.is_model_ready("default", "1")
    assert not client.is_model_ready("shoes")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("default")["outputs"][0]["shape"] == [-1, 200]
    [model] = client.get_model_repository_index()
    assert (model["name"], model["state"]) == ("default", "READY")


@pytest.mark.parametrize("binary", [True, False])
def test_photos_are_answered_as_in_python(client, photos, binary):
    wanted = [
        http.InferRequestedOutput("probabilities", binary_data=binary),
        http.InferRequestedOutput("logits", binary_data=binary),
    ]
    got = client.infer("default", [files(photos, True)], outputs=wanted, request_id="seven")
    local = load()
    expected = np.stack([local(photo).probabilities for photo in photos])
    np.testing.assert_allclose(got.as_numpy("probabilities"), expected, atol=1e-6)
    logits = np.stack([each.logits for each in local.answers(photos)])
    np.testing.assert_allclose(got.as_numpy("logits"), logits, atol=1e-4)
    assert got.get_response()["id"] == "seven"
    assert got.get_response()["parameters"]["card"] == local.card.hash


def test_the_best_classes_come_in_words(client, photos):
    wanted = http.InferRequestedOutput("probabilities", class_count=3)
    got = client.infer("default", [files(photos, True)], outputs=[wanted]).as_numpy("probabilities")
    local = load()
    assert got.shape == (3, 3)
    for words, photo in zip(got, photos, strict=True):
        found = [word.decode().split(":") for word in words]
        ranked = local(photo).ranked(3)
        assert [int(index) for _, index, _ in found] == [index for index, _ in ranked]
        assert [name for _, _, name in found] == [local.classes[index] for index, _ in ranked]


def test_prepared_pixels_are_answered(client):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((5, 3, 96, 96), np.float32)
    given = http.InferInput("image", list(images.shape), "FP32")
    given.set_data_from_numpy(images)
    got = client.infer("default", [given], outputs=[http.InferRequestedOutput("logits")])
    np.testing.assert_allclose(got.as_numpy("logits"), load().backend.infer(images), atol=1e-4)


def test_many_requests_at_once_are_answered(site, photos):
    with http.InferenceServerClient(f"127.0.0.1:{site.port}", concurrency=8) as client:
        asked = [client.async_infer("default", [files(photos, True)]) for _ in range(40)]
        answers = [each.get_result().as_numpy("probabilities") for each in asked]
    for each in answers:
        np.testing.assert_allclose(each, answers[0], atol=1e-6)


def test_what_is_refused_is_told(client, photos):
    with pytest.raises(InferenceServerException, match="picture: element 1: not a picture"):
        client.infer("default", [files([photos[0], b"none"], True)])
    with pytest.raises(InferenceServerException, match="no model 'shoes'; there is default"):
        client.infer("shoes", [files(photos, True)])
