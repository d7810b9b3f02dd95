import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ghostkit import convert
from ghostkit.artifacts import load
from ghostkit.bundled import default_model
from ghostkit.convert.int8_graph import simplify
from ghostkit.convert.running import logits_of
from ghostkit.convert.source import open_source, opset_of, to_bytes
from ghostkit.errors import CardError, MissingExtra, ModelError
from tiny import RED, save_square, tiny_card


def test_weights_beside_the_model_are_read_and_the_answers_stay(make_network, tmp_path):
    path = make_network(weights_in="colours.weights")
    source = open_source(path)
    assert source.card == tiny_card()
    assert numpy_helper.to_array(source.graph.graph.initializer[0]).shape == (8, 3, 3, 3)
    inside = tmp_path / "elsewhere" / "one file.onnx"
    inside.parent.mkdir()
    inside.write_bytes(to_bytes(source.graph, source.card))
    picture = save_square(tmp_path / "red.png", RED)
    assert np.array_equal(load(inside)(picture).probabilities, load(path)(picture).probabilities)


def test_the_bundled_model_becomes_one_file_without_the_note_of_its_weights(tmp_path):
    source = open_source(default_model())
    (tmp_path / "one.onnx").write_bytes(to_bytes(source.graph, source.card))
    picture = save_square(tmp_path / "red.png", RED)
    expected = load()(picture).probabilities
    assert np.array_equal(load(tmp_path / "one.onnx")(picture).probabilities, expected)


def test_equal_models_give_equal_bytes(make_network):
    path = make_network()
    one, two = open_source(path), open_source(path)
    assert to_bytes(one.graph, one.card) == to_bytes(two.graph, two.card)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "below/../../secret.bin", ""])
def test_weights_outside_the_models_folder_are_refused(make_network, tmp_path, location):
    path = make_network(weights_in="colours.weights")
    (tmp_path.parent / "secret.bin").write_bytes(bytes(10_000))
    redirect(path, location)
    with pytest.raises(ModelError, match="outside the model's own folder"):
        open_source(path)


def redirect(path, location):
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())


def test_weights_behind_a_symbolic_link_are_refused(make_network, tmp_path):
    path = make_network(weights_in="colours.weights")
    shutil.move(tmp_path / "colours.weights", tmp_path / "real.weights")
    (tmp_path / "colours.weights").symlink_to("real.weights")
    with pytest.raises(ModelError, match="behind the symbolic link .*colours.weights"):
        open_source(path)


def test_weights_behind_a_linked_folder_are_refused(make_network, tmp_path):
    path = make_network(weights_in="colours.weights")
    (tmp_path / "real").mkdir()
    shutil.move(tmp_path / "colours.weights", tmp_path / "real")
    (tmp_path / "linked").symlink_to("real")
    redirect(path, "linked/colours.weights")
    with pytest.raises(ModelError, match="behind the symbolic link .*linked"):
        open_source(path)


def test_missing_and_cut_weights_are_named(make_network, tmp_path):
    path = make_network(weights_in="colours.weights")
    weights = tmp_path / "colours.weights"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ModelError, match="should end at byte .* of .*colours.weights"):
        open_source(path)
    weights.unlink()
    with pytest.raises(ModelError, match="colours.weights, is missing"):
        open_source(path)


def test_an_operator_set_of_the_future_is_told(make_network):
    with pytest.raises(ModelError, match=r"operators are of set 99; onnx .* knows \d\d at most"):
        open_source(make_network(opset=99))


def test_the_operator_set_of_the_originals_exporter_is_taken_as_it_is(make_network):
    source = open_source(make_network(opset=11))
    assert opset_of(source.graph) == 11


def test_the_answer_comes_first_whatever_else_the_model_gives(make_network):
    path = make_network()
    model = onnx.load(path)
    model.graph.output.insert(0, onnx.ValueInfoProto(name="pooled"))  # features, 8 channels
    onnx.save(model, path)
    graph = open_source(path).graph
    assert [value.name for value in graph.graph.output] == ["logits", "pooled"]
    assert logits_of(simplify(graph), np.ones((2, 3, 8, 8), np.float32)).shape == (2, 3)


def test_weights_that_an_old_exporter_names_as_inputs_are_none(make_network, tmp_path):
    path = make_network(opset=11)
    model = onnx.load(path)
    model.ir_version = 3  # where each weight has to be an input too
    for weight in reversed(model.graph.initializer):
        value = onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
        model.graph.input.insert(0, value)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    source = open_source(path)
    assert [value.name for value in source.graph.graph.input] == ["image"]
    onnx.checker.check_model(source.graph)


def test_no_file_no_model_and_no_card(make_model, tmp_path):
    with pytest.raises(ModelError, match="no such model file"):
        open_source(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no model at all")
    with pytest.raises(ModelError, match="not an ONNX file"):
        open_source(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelError, match="the model file is empty; export or copy it again"):
        open_source(tmp_path / "empty.onnx")
    with pytest.raises(CardError, match="carries no card"):
        open_source(make_model("bare.onnx", card=""))


def test_a_missing_onnx_answers_with_the_pip_command(monkeypatch):
    monkeypatch.setattr(convert, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "ghostkit\[convert\]"'):
        convert.require_onnx()
