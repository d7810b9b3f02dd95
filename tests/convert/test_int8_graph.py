import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from ghostkit.backend import Backend
from ghostkit.convert.int8_graph import (
    METHODS,
    activation_ranges,
    correct_biases,
    quantise,
    simplify,
)
from ghostkit.convert.int8_layers import layers_of, relative_error, sensitivities
from ghostkit.convert.running import logits_of, throughputs
from ghostkit.errors import ModelError
from networks import colour_network


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((24, 3, 8, 8), np.float32)


@pytest.fixture(scope="module")
def network():
    return simplify(colour_network())


@pytest.fixture(scope="module")
def ranges(network, images):
    return activation_ranges(network, images, "minmax")


def nodes_in_bytes(model):
    """The nodes with weights that compute on what a DequantizeLinear gives."""
    made = {output: node.op_type for node in model.graph.node for output in node.output}
    return {
        node.name
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm") and made.get(node.input[1]) == "DequantizeLinear"
    }


def test_a_simple_graph_answers_as_before_and_has_no_batch_norm(network, images):
    assert "BatchNormalization" not in {node.op_type for node in network.graph.node}
    expected = logits_of(colour_network(), images)
    assert np.abs(logits_of(network, images) - expected).max() < 1e-5
    assert len({node.name for node in network.graph.node}) == len(network.graph.node)


def test_layers_are_told_apart_and_a_gate_is_one_layer(network):
    layers = layers_of(network)
    assert [(layer.name, layer.kind) for layer in layers] == [
        ("stem", "first convolution"),
        ("reduce", "squeeze and excitation"),
        ("head", "classifier"),
    ]
    assert layers[1].nodes == ("squeeze", "reduce", "reduce.relu", "expand", "gate", "excite")


@pytest.mark.parametrize("method", METHODS)
def test_ranges_hold_what_is_common(network, images, method):
    low, high = activation_ranges(network, images, method)["image"].range_value
    assert -0.01 <= low <= 0.02 and 0.9 <= high <= 1.01


def test_layers_that_are_named_stay_in_float(network, ranges):
    assert nodes_in_bytes(quantise(network, ranges, True)) == {"stem", "reduce", "expand", "head"}
    assert nodes_in_bytes(quantise(network, ranges, True, only=["head"])) == {"head"}
    kept = quantise(network, ranges, True, float_nodes=["stem", "head"])
    assert nodes_in_bytes(kept) == {"reduce", "expand"}


def test_a_scale_per_channel_serves_channels_of_different_sizes(network, ranges, images):
    expected = logits_of(network, images)
    errors = [
        relative_error(expected, logits_of(quantise(network, ranges, per_channel), images))
        for per_channel in (False, True)
    ]
    assert errors[1] < errors[0] < 0.2


def test_corrected_biases_bring_each_logits_mean_back(network, ranges, images):
    expected = logits_of(network, images).mean(axis=0)

    def shift(model):
        return np.abs(logits_of(model, images).mean(axis=0) - expected).max()

    rounded = quantise(network, ranges, False)
    corrected = quantise(correct_biases(network, rounded, images), ranges, False)
    assert shift(corrected) < 0.5 * shift(rounded)


def test_the_correction_of_a_bias_is_the_weights_error_times_the_mean_of_the_input(
    network, ranges, images
):
    rounded = quantise(network, ranges, False)
    corrected = correct_biases(network, rounded, images)

    def tensor(model, name):
        [found] = [each for each in model.graph.initializer if each.name == name]
        return numpy_helper.to_array(found)

    stem = next(node for node in network.graph.node if node.name == "stem")
    kernel = tensor(network, stem.input[1])  # (8, 3, 3, 3)
    step = np.abs(kernel).max() / 64
    error = np.round(kernel / step) * step - kernel
    by_hand = tensor(network, stem.input[2]) - error.sum(axis=(2, 3)) @ images.mean(axis=(0, 2, 3))
    assert np.allclose(tensor(corrected, stem.input[2]), by_hand, atol=1e-6)


def test_the_layer_with_the_largest_error_comes_first(network, ranges, images):
    ranked = sensitivities(network, ranges, False, images)
    assert {layer.name for layer, _ in ranked} == {"stem", "reduce", "head"}
    errors = [error for _, error in ranked]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0


def test_speeds_are_of_whole_batches(network):
    class Counting(Backend):
        name = "counting"
        calls = 0

        def infer(self, images):
            Counting.calls += 1
            return np.zeros((len(images), 3), np.float32)

    speed = throughputs({"counting": Counting()}, np.zeros((8, 3)), rounds=1)["counting"]
    assert speed.least == speed.median == speed.most > 0
    assert Counting.calls > 2


ALL_LAYERS = {"stem", "reduce", "expand", "head"}


@pytest.mark.parametrize("batch", [1, 5])
def test_a_model_of_one_batch_size_gets_the_ranges_and_biases_of_any(
    network, ranges, images, batch
):
    fixed = simplify(of_batch(colour_network(), batch))
    assert np.allclose(logits_of(fixed, images), logits_of(network, images), atol=1e-6)
    found = activation_ranges(fixed, images, "minmax")
    for name, expected in activation_ranges(network, images, "minmax").items():
        assert np.allclose(found[name].range_value, expected.range_value, atol=1e-6)
    plain, corrected = (
        correct_biases(each, quantise(each, ranges, True), images) for each in (network, fixed)
    )
    assert np.allclose(constant(plain, "head.bias"), constant(corrected, "head.bias"), atol=1e-6)
    assert not np.allclose(constant(corrected, "head.bias"), constant(network, "head.bias"))


def of_batch(model, size):
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = size
    return model


def constant(model, name):
    [found] = [each for each in model.graph.initializer if each.name == name]
    return numpy_helper.to_array(found)


def test_a_model_that_computes_in_half_precision_is_put_into_bytes_as_a_whole(images):
    model = colour_network()
    for weight in model.graph.initializer:
        half = numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(half, weight.name))
    model.graph.node[0].input[0], model.graph.node[-1].output[0] = "half", "half logits"
    to_half = helper.make_node("Cast", ["image"], ["half"], to=TensorProto.FLOAT16)
    model.graph.node.insert(0, to_half)
    to_float = helper.make_node("Cast", ["half logits"], ["logits"], to=TensorProto.FLOAT)
    model.graph.node.append(to_float)
    simple = simplify(model)
    assert {each.data_type for each in simple.graph.initializer} == {TensorProto.FLOAT}
    assert np.abs(logits_of(simple, images) - logits_of(colour_network(), images)).max() < 0.05
    made = quantise(simple, activation_ranges(simple, images, "minmax"), True)
    assert nodes_in_bytes(made) == ALL_LAYERS


def test_the_originals_operator_set_11_gets_scales_per_channel(images):
    simple = simplify(colour_network(opset=11))
    made = quantise(simple, activation_ranges(simple, images, "minmax"), True)
    assert nodes_in_bytes(made) == ALL_LAYERS
    [scale] = [each for each in made.graph.initializer if each.name.endswith("W_stem_scale")]
    assert list(scale.dims) == [8]


def test_operators_that_cannot_be_brought_up_are_told():
    model = colour_network(opset=11)
    model.graph.node[2].op_type = "Rleu"
    with pytest.raises(ModelError, match="of set 11; 8 bits need 13, and onnx .* export it again"):
        simplify(model)
