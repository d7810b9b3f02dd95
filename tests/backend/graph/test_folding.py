"""Folded graphs against `prepare`, judged by the onnx package's own reader and checker."""

import numpy as np
import pytest

from ghostkit.artifacts import load
from ghostkit.backend.graph.folding import describe, fold, folded_card
from ghostkit.backend.graph.metadata import with_card
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.bundled import default_model
from ghostkit.card import ONNX_METADATA_KEY, ModelCard
from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError
from ghostkit.steps import Normalize
from squares import save_noise
from tiny import tiny_card

onnx = pytest.importorskip("onnx")

UNEVEN = Normalize(mean=(0.5, 0.25, 0.125), std=(0.5, 0.2, 0.1))


def card_of(layout="NCHW", color="RGB", normalize=UNEVEN):
    card = tiny_card()
    steps = card.steps[:-1] + ((normalize,) if normalize else ())
    wants = card.input.model_copy(update={"layout": layout, "color": color})
    return card.model_copy(update={"steps": steps, "input": wants})


def model_of(card, opset=17, ir=8):
    """A model that gives its input's channel means, for either layout."""
    from onnx import TensorProto, helper

    planes = card.input.layout == "NCHW"
    shape = ["batch", 3, 8, 8] if planes else ["batch", 8, 8, 3]
    axes = [2, 3] if planes else [1, 2]
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["image"], ["logits"], axes=axes, keepdims=0)],
        "means",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    for key, value in (("note", "kept"), (ONNX_METADATA_KEY, card.to_json())):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model.SerializeToString()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize("normalize", [UNEVEN, None])
def test_the_folded_model_answers_raw_pixels_as_the_plain_one_answers_prepared_ones(
    tmp_path, layout, color, normalize
):
    card = card_of(layout, color, normalize)
    folded = folded_card(card)
    content = fold(model_of(card), card, "means.onnx")
    content = with_card(content, folded)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    assert (folded.input.dtype, folded.input.layout, folded.input.color) == ("uint8", "NHWC", "RGB")
    assert folded.steps == card.steps[:2]
    assert folded.classes == card.classes
    path = tmp_path / "means.onnx"
    path.write_bytes(content)
    backend = OnnxBackend(path)
    assert backend.card == folded
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    means = pixels.mean((1, 2))[:, :: -1 if color == "BGR" else 1]
    if normalize is not None:
        means = (means / 255 - UNEVEN.mean) / UNEVEN.std
    np.testing.assert_allclose(backend.infer(pixels), means, rtol=1e-5, atol=1e-5)


def test_the_rest_of_the_file_stays(tmp_path):
    card = card_of()
    given = onnx.load_from_string(model_of(card))
    folded = onnx.load_from_string(fold(model_of(card), card, "m"))
    assert {p.key: p.value for p in folded.metadata_props}["note"] == "kept"
    assert len(folded.metadata_props) == 2
    assert folded.graph.node[-1] == given.graph.node[0]
    assert folded.graph.output == given.graph.output
    assert [
        d.dim_param or d.dim_value for d in folded.graph.input[0].type.tensor_type.shape.dim
    ] == [
        "batch",
        8,
        8,
        3,
    ]


def test_a_value_that_has_the_new_inputs_name_is_not_doubled(tmp_path):
    model = onnx.load_from_string(model_of(card_of()))
    model.graph.node[0].output[0] = "image_uint8"
    model.graph.node.append(onnx.helper.make_node("Identity", ["image_uint8"], ["logits"]))
    content = model.SerializeToString()
    with pytest.raises(ModelError, match="the name 'image_uint8', which the new input would have"):
        fold(content, card_of(), "m.onnx")
    (tmp_path / "m.onnx").write_bytes(content)
    classifier = load(tmp_path / "m.onnx")
    assert classifier.host_card is classifier.card
    assert classifier(np.zeros((9, 9, 3), np.uint8)).status == "answered"


def test_an_old_or_broken_file_is_refused():
    card = card_of()
    for content in (model_of(card, opset=6), model_of(card, ir=3), b"no model"):
        with pytest.raises(ModelError, match="old.onnx: .*export it again"):
            fold(content, card, "old.onnx")


def test_describing_a_file_says_what_the_onnx_package_says():
    content = default_model().read_bytes()
    model, found = onnx.load_from_string(content), describe(content)
    assert found.metadata == {p.key: p.value for p in model.metadata_props}
    [image] = model.graph.input
    sides = [dim.dim_value for dim in image.type.tensor_type.shape.dim[2:]]
    assert found.inputs == {"image": ("tensor(float)", ["batch", 3, *sides])}
    assert describe(b"\x08") is None
    assert describe(b"\x0a\x00") is None


def test_a_loaded_model_takes_bytes_and_answers_as_the_one_that_is_not_folded(tmp_path):
    colors = ("red", "green", "blue")
    photos = [save_noise(tmp_path / f"{n}.jpg", colors[n % 3], n, (90, 50 + n)) for n in range(9)]
    folded = load()
    plain_backend = OnnxBackend(default_model())
    plain = Classifier(plain_backend, plain_backend.card)
    assert folded.card == plain.card
    assert isinstance(folded.host_card, ModelCard) and folded.host_card.input.dtype == "uint8"
    assert folded.load(photos[0]).dtype == np.uint8
    prepared = plain.load(photos[0])[None]  # as the card says, which the folded one takes too
    np.testing.assert_array_equal(folded.backend.infer(prepared), plain_backend.infer(prepared))
    for a, b in zip(folded.stream(photos), plain.stream(photos), strict=True):
        assert a.index == b.index
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-6, rtol=0)


def test_a_model_of_old_operators_is_run_without_folding(tmp_path):
    card = card_of()
    path = tmp_path / "old.onnx"
    path.write_bytes(model_of(card, opset=6))
    classifier = load(path)
    assert classifier.host_card == card
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert classifier(red).best[0] == "red"
