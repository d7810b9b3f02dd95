"""What belongs to a model: its own file and those beside it that hold its weights, wherever."""

import hashlib

import numpy as np
import pytest

from ghostkit.backend.model_files import contents_of, hash_of
from ghostkit.errors import ModelError


def save_apart(path, location, place="initializer"):
    """An ONNX file whose one tensor of weights lies in `location`: at `place` in it."""
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.arange(3, dtype=np.float32), "weights")
    outside = TensorProto(name="weights", dims=[3], data_type=TensorProto.FLOAT)
    outside.data_location = TensorProto.EXTERNAL
    entry = outside.external_data.add()
    entry.key, entry.value = "location", location
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, [3])
    constant = helper.make_node("Constant", [], ["result"], value=outside)
    inside = helper.make_graph([constant], "branch", [], [result])
    same = helper.make_node("Identity", ["weights"], ["result"])
    nodes, constants = {
        "initializer": ([same], [outside]),
        "attribute": ([constant], []),
        "branch": (
            [helper.make_node("If", ["yes"], ["result"], then_branch=inside, else_branch=inside)],
            [helper.make_tensor("yes", TensorProto.BOOL, [], [True])],
        ),
        "function": ([helper.make_node("Three", [], ["result"], domain="own")], []),
    }[place]
    model = helper.make_model(helper.make_graph(nodes, "graph", [], [result], constants))
    if place == "function":
        opsets = [helper.make_opsetid("", 17)]
        model.functions.append(
            helper.make_function("own", "Three", [], ["result"], [constant], opsets)
        )
    path.write_bytes(model.SerializeToString())
    target = path.parent / location
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(weights.raw_data)
    return path


@pytest.mark.parametrize("place", ["initializer", "attribute", "branch", "function"])
@pytest.mark.parametrize("location", ["weights.bin", "apart/weights.bin"])
def test_weights_beside_it(tmp_path, place, location):
    path = save_apart(tmp_path / "a.onnx", location, place)
    weights = np.arange(3, dtype=np.float32).tobytes()
    assert contents_of(str(path)) == {"a.onnx": path.read_bytes(), location: weights}
    before = hash_of(str(path))
    (tmp_path / location).write_bytes(weights[::-1])
    assert hash_of(str(path)) != before


def test_the_hash_is_that_of_the_files_hashes_whatever_they_are_called(tmp_path):
    path = save_apart(tmp_path / "a.model", "weights.bin")
    parts = [hashlib.sha256(each.read_bytes()) for each in (path, tmp_path / "weights.bin")]
    expected = hashlib.sha256(b"".join(part.digest() for part in parts)).hexdigest()
    assert hash_of(str(path)) == expected
    assert hash_of(str(path.rename(tmp_path / "other.onnx"))) == expected


def test_a_word_that_means_a_file_elsewhere_is_a_word(make_model):
    from tiny import tiny_card

    card = tiny_card().to_json().replace('"red"', '"location"')
    assert '"location"' in card
    path = make_model(card=card)
    assert set(contents_of(str(path))) == {path.name}


def test_an_intermediate_representation_has_its_weights_beside_it(tmp_path):
    (tmp_path / "m.xml").write_text("<net/>")
    with pytest.raises(ModelError, match=r"the file of its weights, .*m\.bin, cannot be read"):
        contents_of(f"{tmp_path}/m.xml")
    (tmp_path / "m.bin").write_bytes(b"1")
    assert contents_of(f"{tmp_path}/m.xml") == {"m.xml": b"<net/>", "m.bin": b"1"}


@pytest.mark.parametrize("content", [b"PK\x03\x04location", b"\x08location", b"\x08\xff\xff"])
def test_any_other_file_is_all_there_is(tmp_path, content):
    (tmp_path / "m").write_bytes(content)
    assert contents_of(f"{tmp_path}/m") == {"m": content}


@pytest.mark.parametrize("location", ["../weights.bin", "a/../../weights.bin"])
def test_weights_outside_of_the_folder_are_refused(tmp_path, location):
    (tmp_path / "in" / "a").mkdir(parents=True)
    path = save_apart(tmp_path / "in" / "a.onnx", location)
    with pytest.raises(ModelError, match="outside of the model's own folder.*export it again"):
        contents_of(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="no such model file"):
        hash_of(f"{tmp_path}/absent.onnx")
    path = save_apart(tmp_path / "a.onnx", "weights.bin")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"a\.onnx: the file of its weights, .*weights\.bin,"):
        hash_of(str(path))
