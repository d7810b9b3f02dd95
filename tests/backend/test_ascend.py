"""The calls we make to CANN's interfaces, against strict stand-ins: never run on a device."""

import json
import threading

import numpy as np
import pytest

from ghostkit.artifacts import load
from ghostkit.backend.acl import AclSession
from ghostkit.backend.ascend import OmBackend, open_session
from ghostkit.card import read_sidecar, write_sidecar
from ghostkit.errors import CardError, ModelError
from ghostkit.verify import compare
from tiny import BLUE, GREEN, RED, save_square, tiny_card

SHAPE = {"batch": 1, "height": 8, "width": 8, "dtype": "float32", "classes": 3}


@pytest.fixture
def make_om(tmp_path):
    def make(card=None, **changes):
        path = tmp_path / "model.om"
        path.write_text(json.dumps(SHAPE | changes))
        write_sidecar(card or tiny_card(), path)
        return path

    return make


def batch(count=1):
    rows = np.random.default_rng(0).random((count, 3, 8, 8), np.float32)
    return rows, rows.mean(axis=(2, 3))


@pytest.mark.parametrize("size", [1, 4])
def test_a_batch_of_any_size_is_answered_in_order(acl, make_om, size):
    images, means = batch(6)
    backend = OmBackend(make_om(batch=size))
    np.testing.assert_allclose(backend.infer(images), means, rtol=1e-6)
    assert acl.calls.count("execute") == {1: 6, 4: 2}[size]
    assert backend.name == "acl device 0"
    assert backend.serial


def test_float16_outputs_and_uint8_nhwc_pictures_are_read_as_they_are(acl, make_om):
    card = tiny_card()
    card = card.model_copy(
        update={
            "steps": card.steps[:2],
            "input": card.input.model_copy(update={"dtype": "uint8", "layout": "NHWC"}),
        }
    )
    path = make_om(card, dtype="uint8", layout="NHWC", float16=True)
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[..., 1] = 200
    answer = OmBackend(path).infer(pixels)
    assert answer.dtype == np.float32
    assert answer.tolist() == [[0, 200, 0]]


def test_several_threads_may_call_at_once(acl, make_om):
    images, means = batch(1)
    backend = OmBackend(make_om())
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(backend.infer(images))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    np.testing.assert_allclose(np.concatenate(answers), np.repeat(means, 4, axis=0), rtol=1e-6)


def test_a_closed_session_has_given_back_all_it_took(acl, make_om):
    with AclSession(make_om()) as session:
        assert acl.leaks() > 5
        assert session.input_bytes == 3 * 8 * 8 * 4
    assert acl.leaks() == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": 2}, "2 inputs; expected the picture alone"),
        ({"output_type": 3}, "aclDataType 3; expected float or float16"),
    ],
)
def test_a_model_that_is_refused_leaves_nothing_on_the_device(acl, make_om, changes, words):
    with pytest.raises(ModelError, match=words):
        AclSession(make_om(**changes))
    assert acl.leaks() == 0


def test_a_failing_call_is_named_with_its_status(acl, make_om):
    with pytest.raises(ModelError, match=r"acl.rt.set_device gave status 107001 on device 5"):
        AclSession(make_om(), device=5)
    path = make_om()
    path.write_text("no model")
    with pytest.raises(ModelError, match=r"model.om: acl.mdl.load_from_file gave status 500002"):
        OmBackend(path)
    assert acl.leaks() == 0


def test_a_model_compiled_at_another_size_than_its_card_says_is_refused(acl, make_om):
    with pytest.raises(ModelError, match="takes 588 bytes, a picture of its card has 768"):
        OmBackend(make_om(height=7, width=7))
    images, _ = batch(1)
    with pytest.raises(ModelError, match="5 numbers for a batch of 1; its card names 3 classes"):
        OmBackend(make_om(classes=5)).infer(images)


def test_without_acl_ais_bench_runs_the_model(acl, make_om, monkeypatch):
    path = make_om(batch=2)
    session, interface = open_session(path, interface="ais_bench")
    assert interface == "ais_bench"
    images, means = batch(2)
    np.testing.assert_allclose(session.run(images).reshape(2, 3), means, rtol=1e-6)
    with pytest.raises(ModelError, match="ais_bench failed: .*input size mismatch"):
        session.run(images[:1])
    with pytest.raises(ModelError, match="cannot open it on device 3: .*device 3 is invalid"):
        open_session(path, 3, "ais_bench")


def test_without_either_the_message_says_what_to_do(make_om):
    with pytest.raises(ModelError, match=r"neither .*'acl'.* nor 'ais_bench' is here.*set_env.sh"):
        OmBackend(make_om())


def test_without_a_card_or_a_file(acl, tmp_path):
    with pytest.raises(ModelError, match="no such model file"):
        OmBackend(tmp_path / "absent.om")
    (tmp_path / "bare.om").write_text(json.dumps(SHAPE))
    with pytest.raises(CardError, match="no card beside it"):
        OmBackend(tmp_path / "bare.om")


def test_an_om_and_an_onnx_file_are_verified_over_the_whole_path(
    acl, make_om, make_model, tmp_path
):
    colors = {"r": RED, "g": GREEN, "b": BLUE}
    photos = [str(save_square(tmp_path / f"{name}.png", color)) for name, color in colors.items()]
    agreement = compare(load(make_model()), load(make_om(batch=2)), photos)
    assert agreement.passed
    assert agreement.compared == 3


def test_a_card_of_another_file_is_noticed(acl, make_om):
    path = make_om()
    card = read_sidecar(path)
    made = {"atc": {"sha256": "0" * 64}}
    provenance = card.provenance.model_copy(update={"recipe": made})
    write_sidecar(card.model_copy(update={"provenance": provenance}), path)
    with pytest.raises(CardError, match="the card beside it is of another file: sha256"):
        OmBackend(path)
