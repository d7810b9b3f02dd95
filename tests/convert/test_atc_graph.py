import os

import numpy as np
import pytest

from ghostkit.errors import ModelError
from seed_model import seed_card, write_model

onnx = pytest.importorskip("onnx")
from ghostkit.convert.atc_graph import check_graph  # noqa: E402

SHAPE = "image:1,3,48,48"


def refusal(path, card=None, shape=SHAPE) -> str:
    with pytest.raises(ModelError) as caught:
        check_graph(path, card or seed_card(48), shape)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"opset": 18}, "operators of set 18, ATC is reported to take 17 at most"),
        ({"classes": 5}, "the model answers 5 classes, its card names 3"),
        ({"batch": 2}, "exported for batches of 2, but image:1,3,48,48 asks for 1"),
        ({"dtype": "UINT8"}, "its input is uint8; behind AIPP ATC needs float32"),
        ({"extra": ("com.microsoft", "QLinearAdd")}, "domain 'com.microsoft', which ATC has no"),
        ({"extra": ("", "QuantizeLinear")}, "does not read INT8 models"),
        ({"extra": ("", "Loop")}, "ATC needs a static graph"),
        ({"extra": ("", "NonZero")}, "no static shape"),
    ],
)
def test_what_atc_would_stumble_over(tmp_path, options, words):
    assert words in refusal(write_model(tmp_path / "m.onnx", 48, **options))


def test_a_plain_graph_and_one_with_a_dynamic_batch_pass(tmp_path):
    assert check_graph(write_model(tmp_path / "a.onnx", 48), seed_card(48), SHAPE) == ()
    dynamic = write_model(tmp_path / "b.onnx", 48, batch=None, opset=17)
    assert check_graph(dynamic, seed_card(48), "image:8,3,48,48") == ()


def test_an_operator_that_atc_may_not_know_is_a_warning(tmp_path):
    [warning] = check_graph(
        write_model(tmp_path / "m.onnx", 48, extra=("", "Mish")), seed_card(48), SHAPE
    )
    assert "may not know: Mish; if it answers E19010" in warning


def test_names_that_are_not_the_cards(tmp_path):
    model = write_model(tmp_path / "m.onnx", 48)
    assert "its inputs are ['image'], the card says 'data'" in refusal(
        model, shape="data:1,3,48,48"
    )
    card = seed_card(48)
    card = card.model_copy(update={"output": card.output.model_copy(update={"name": "class"})})
    assert "its outputs are ['output1'], the card says 'class'" in refusal(model, card)


def test_a_file_that_is_no_onnx(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    assert "not an ONNX file" in refusal(tmp_path / "m.onnx")
    assert "no such model file" in refusal(tmp_path / "missing.onnx")


def test_weights_outside_the_folder_or_behind_a_link_are_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    proto = onnx.load(write_model(folder / "m.onnx", 48))
    tensor = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    proto.graph.initializer.append(tensor)
    (tmp_path / "outside").write_bytes(bytes(12))
    os.symlink(tmp_path / "outside", folder / "link")
    for place, words in (
        ("../outside", "outside the model's own folder"),
        (str(tmp_path / "outside"), "outside the model's own folder"),
        ("link", "behind the symbolic link"),
        ("gone", "is missing"),
    ):
        del proto.graph.initializer[0].external_data[:]
        proto.graph.initializer[0].external_data.add(key="location", value=place)
        (folder / "m.onnx").write_bytes(proto.SerializeToString())
        assert words in refusal(folder / "m.onnx")


def test_the_default_models_graph_is_one_that_atc_can_read(tmp_path):
    from ghostkit.bundled import default_model
    from ghostkit.convert.source import open_source

    card = open_source(default_model()).card
    size = card.input.height
    shape = f"{card.input.name}:1,3,{size},{size}"
    [warning] = check_graph(default_model(), card, shape)
    assert "weights lie in a file beside the graph" in warning
