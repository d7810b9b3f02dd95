"""``convert --to half``, its file read by the onnx package."""

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import numpy_helper  # noqa: E402

from ghostkit.artifacts import load  # noqa: E402
from networks import save_colours, write_network  # noqa: E402


@pytest.fixture
def photos(tmp_path):
    save_colours(tmp_path / "photos", 3, seed=0)
    return tmp_path / "photos"


def test_half_the_bytes_give_nearly_the_same_answers(ghostkit, photos, tmp_path):
    network = write_network(tmp_path / "colours.onnx", squeezed=2000)
    output = tmp_path / "half.onnx"
    arguments = ("--to", "half", "--images", photos, "-o", output)
    outcome = ghostkit("convert", network, *arguments, "--json")
    assert outcome.status == 0, outcome
    record = json.loads(outcome.out)
    assert record["verify"]["passed"] and record["verify"]["compared"] == 9
    assert record["verify"]["max_probability_difference"] < 0.01
    assert output.stat().st_size == record["bytes"]["half"] < 0.55 * network.stat().st_size
    onnx.checker.check_model(str(output), full_check=True)
    before, after = (
        {each.name: each for each in onnx.load(path).graph.initializer}
        for path in (network, output)
    )
    for name in ("stem", "reduce", "expand", "reduce.bias"):
        expected = numpy_helper.to_array(before[name]).astype(np.float16)
        np.testing.assert_array_equal(numpy_helper.to_array(after[f"{name}.half"]), expected)
    assert after["bn.mean"].data_type == onnx.TensorProto.FLOAT  # too few to be worth a cast
    source, result = load(network), load(output)
    assert source.card.hash in result.card.provenance.parents
    assert result.card.provenance.conversions[-1]["target"] == "half"
    picture = next((photos / "green").iterdir())
    difference = result(picture).probabilities - source(picture).probabilities
    assert 0 < np.abs(difference).max() < 0.01
    again = ghostkit("convert", output, "--to", "half", "-o", tmp_path / "x.onnx")
    assert "they may be in half precision already" in again.error


def test_what_half_precision_cannot_hold_stays(ghostkit, photos, tmp_path):
    network = write_network(tmp_path / "colours.onnx", squeezed=100)
    model = onnx.load(network)
    for tensor in model.graph.initializer:
        if tensor.name in ("reduce", "expand"):
            factor = np.float32(1e6 if tensor.name == "reduce" else 1e-12)
            numbers = numpy_helper.to_array(tensor) * factor
            tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
    onnx.save(model, network)
    arguments = ("--to", "half", "--images", photos, "-o", tmp_path / "half.onnx")
    assert ghostkit("convert", network, *arguments, "--tolerance", "1").status == 0
    names = {each.name for each in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert {"reduce", "expand", "stem.half"} <= names


def test_a_result_beyond_the_tolerance_is_refused(ghostkit, photos, tmp_path):
    network = write_network(tmp_path / "colours.onnx", squeezed=100)
    arguments = ("--to", "half", "--images", photos, "--tolerance", "0", "-o", tmp_path / "h.onnx")
    outcome = ghostkit("convert", network, *arguments)
    assert outcome.status == 1 and not (tmp_path / "h.onnx").exists()
    assert "is not written, since it would not answer as its source" in outcome.err
