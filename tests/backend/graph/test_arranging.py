"""Arranged graphs answer as ONNX Runtime alone answers on the file, and move fewer channels."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostkit.backend.graph import arranging
from ghostkit.backend.graph.arranging import arrange, channel_block
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.bundled import default_model

onnx = pytest.importorskip("onnx")

SIZE = 9


class Network:
    """An ONNX model built layer by layer, with random weights; values are named by numbers."""

    def __init__(self, seed=0, channels=5):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants = [], []
        self.channels = {"image": channels}
        self.sides = {"image": SIZE}

    def add(self, operator, inputs, channels, side=None, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, inputs, [name], **attributes))
        self.channels[name] = channels
        self.sides[name] = self.sides[inputs[0]] if side is None else side
        return name

    def constant(self, numbers):
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(numbers, name))
        return name

    def weights(self, *shape):
        return self.constant(self.random.normal(0, 0.5, shape).astype(np.float32))

    def conv(self, value, channels, kernel=1, bias=True):
        count = self.channels[value]
        inputs = [value, self.weights(channels, count, kernel, kernel)]
        inputs += [self.weights(channels)] if bias else []
        return self.add("Conv", inputs, channels, pads=[kernel // 2] * 4)

    def depthwise(self, value, kernel=3):
        count = self.channels[value]
        inputs = [value, self.weights(count, 1, kernel, kernel), self.weights(count)]
        return self.add("Conv", inputs, count, group=count, pads=[kernel // 2] * 4)

    def relu(self, value):
        return self.add("Relu", [value], self.channels[value])

    def concat(self, *values):
        return self.add("Concat", list(values), sum(self.channels[v] for v in values), axis=1)

    def ghost(self, value, half, active=True):
        primary = self.conv(value, half)
        primary = self.relu(primary) if active else primary
        cheap = self.depthwise(primary)
        return self.concat(primary, self.relu(cheap) if active else cheap)

    def gated(self, value, reduced):
        count = self.channels[value]
        mean = self.add("GlobalAveragePool", [value], count, 1)
        gate = self.conv(self.relu(self.conv(mean, reduced)), count)
        gate = self.add("HardSigmoid", [gate], count)
        return self.add("Mul", [value, gate], count)

    def output(self, name):
        axes = (
            2 if any(name in node.output and node.op_type == "Gemm" for node in self.nodes) else 4
        )
        shape = [f"{name}.{axis}" for axis in range(axes)]
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    def model(self, *outputs):
        batch, side = "batch", SIZE
        image = [batch, self.channels["image"], side, side]
        graph = onnx.helper.make_graph(
            self.nodes,
            "network",
            [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, image)],
            [self.output(name) for name in outputs],
            self.constants,
        )
        opset = onnx.helper.make_opsetid("", 17)
        model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def answers(content, level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL, channels=5):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(7).normal(size=(3, channels, SIZE, SIZE)).astype(np.float32)
    return session.run(None, {"image": images})


def operators(content):
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


def check_same(content, arranged):
    onnx.checker.check_model(onnx.load_from_string(arranged), full_check=True)
    expected = answers(content, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    for given_, wanted in zip(answers(arranged), expected, strict=True):
        assert given_.shape == wanted.shape
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(given_ / scale, wanted / scale, rtol=0, atol=3e-6)


@pytest.fixture(params=[8, 16])
def block(request, monkeypatch):
    """As on a processor whose blocks are of that many channels."""
    monkeypatch.setattr(arranging, "channel_block", lambda: request.param)
    return request.param


def bottleneck():
    """Two ghost modules with a gate between, on a shortcut, and another that adds to the result."""
    net = Network()
    stem = net.relu(net.conv("image", 16, kernel=3))
    wide = net.gated(net.depthwise(net.ghost(stem, 36), 5), 10)
    narrow = net.ghost(wide, 12, active=False)
    shortcut = net.conv(net.depthwise(stem), 24)
    first = net.add("Add", [narrow, shortcut], 24)
    second = net.ghost(net.ghost(first, 30), 12, active=False)
    total = net.add("Add", [second, first], 24)
    mean = net.add("GlobalAveragePool", [net.relu(net.conv(total, 20))], 20, 1)
    flat = net.add("Flatten", [mean], 20)
    return net.model(net.add("Gemm", [flat, net.weights(20, 7), net.weights(7)], 7))


def test_a_ghost_bottleneck_answers_the_same_without_its_wide_concatenations(block):
    content = bottleneck()
    arranged = arrange(content, "")
    check_same(content, arranged)
    given_, found = operators(content), operators(arranged)
    assert (given_.count("Concat"), found.count("Concat")) == (4, 2)  # those that are added to
    kernels = {tuple(each.dims) for each in onnx.load_from_string(arranged).graph.initializer}
    half = 16  # 12 channels in blocks of 8 or 16
    assert (half, 1, 3, 3) in kernels
    assert all(dims[0] % block == 0 for dims in kernels if len(dims) == 4 and dims[2] == 3)


def test_the_block_is_what_onnx_runtime_fills_one_channel_up_to(tmp_path):
    if channel_block() == 1:
        pytest.skip("not known for this processor")
    net = Network()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    content = net.model(net.conv("image", 1, bias=False))
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    [kernel] = onnx.load(tmp_path / "optimised.onnx").graph.initializer
    assert kernel.dims[0] == channel_block()


def test_onnx_runtime_moves_fewer_channels_between_its_layouts(tmp_path):
    if channel_block() == 1:
        pytest.skip("ONNX Runtime has no blocks of channels on this processor")

    def moved(content):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found = operators((tmp_path / "optimised.onnx").read_bytes())
        return sum(each.startswith("Reorder") for each in found), found.count("Concat")

    plain, arranged = moved(bottleneck()), moved(arrange(bottleneck(), ""))
    assert arranged[0] < plain[0]
    assert arranged[1] < plain[1]


def test_the_default_model_answers_as_its_file_does():
    backend = OnnxBackend(default_model())
    side = backend.card.input.height
    images = np.random.default_rng(0).normal(size=(5, 3, side, side)).astype(np.float32)
    session = onnxruntime.InferenceSession(default_model(), providers=["CPUExecutionProvider"])
    [expected] = session.run(None, {backend.card.input.name: images})
    found = backend.infer(images)
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    content, folder = Path(default_model()).read_bytes(), str(Path(default_model()).parent)
    before, after = operators(content), operators(arrange(content, folder))
    assert after.count("Concat") < 0.6 * before.count("Concat")


def outside_sees_the_whole():
    net = Network()
    return net.model(net.relu(whole := net.ghost("image", 5)), whole)


def one_set_of_weights_for_two():
    net = Network()
    first = net.ghost("image", 5)
    shared = net.weights(4, 10, 1, 1)
    one = net.add("Conv", [first, shared], 4)
    plain = net.add("Conv", [net.conv("image", 10), shared], 4)
    return net.model(net.add("Add", [one, plain], 4))


def concatenated_rows():
    net = Network()
    rows = net.add("Concat", [net.conv("image", 12), net.conv("image", 12)], 12, axis=2)
    return net.model(net.conv(net.depthwise(rows), 5))


def groups_of_two():
    net = Network()
    whole = net.ghost("image", 6)
    return net.model(net.add("Conv", [whole, net.weights(6, 2, 1, 1)], 6, group=6))


def added_constant():
    net = Network()
    whole = net.concat(net.conv("image", 6), net.conv("image", 7))
    moved = net.add("Add", [whole, net.weights(1, 13, 1, 1)], 13)
    return net.model(net.conv(moved, 4))


def one_map_for_all_channels():
    net = Network()
    whole = net.ghost("image", 6)
    weighed = net.add("Mul", [whole, net.add("Sigmoid", [net.conv(whole, 1)], 1)], 12)
    return net.model(net.conv(weighed, 4))


def halves_that_do_not_fit():
    net = Network()
    one = net.concat(net.conv("image", 6), net.conv("image", 7))
    other = net.concat(net.conv("image", 4), net.conv("image", 9))
    return net.model(net.conv(net.add("Add", [one, other], 13), 7))


def gate_that_is_used_twice():
    net = Network()
    whole = net.ghost("image", 6)
    gate = net.add("Sigmoid", [net.conv(whole, 12)], 12)
    return net.model(net.conv(net.add("Mul", [whole, gate], 12), 4), gate)


def weights_that_are_computed():
    net = Network()
    whole = net.ghost("image", 6)
    name = net.weights(4, 12, 1, 1)
    net.channels[name] = net.sides[name] = 1
    kernel = net.add("Relu", [name], 1)
    return net.model(net.add("Conv", [whole, kernel], 4))


def concatenated_with_itself():
    net = Network()
    half = net.conv("image", 6)
    return net.model(net.conv(net.relu(net.concat(half, half, half)), 5))


def concatenated_image():
    net = Network()
    return net.model(net.conv(net.depthwise(net.concat("image", net.conv("image", 6))), 5))


def pooled_and_clipped():
    net = Network()
    whole = net.ghost("image", 6)
    pooled = net.add("MaxPool", [whole], 12, kernel_shape=[3, 3], pads=[1] * 4)
    low, high = net.constant(np.float32(-0.1)), net.constant(np.float32(0.2))
    clipped = net.add("Clip", [pooled, low, high], 12)
    return net.model(net.conv(clipped, 5), net.conv(clipped, 6, kernel=3))


@pytest.mark.parametrize(
    "network",
    [
        outside_sees_the_whole,
        one_set_of_weights_for_two,
        concatenated_rows,
        groups_of_two,
        added_constant,
        one_map_for_all_channels,
        halves_that_do_not_fit,
        gate_that_is_used_twice,
        weights_that_are_computed,
        concatenated_with_itself,
        concatenated_image,
        pooled_and_clipped,
    ],
)
def test_what_stands_in_the_way_is_left_alone(network, block):
    content = network()
    check_same(content, arrange(content, ""))


def test_batch_norms_and_weights_in_halves_or_in_another_file_are_understood(tmp_path, block):
    net = Network()
    numbers = [net.weights(16), net.weights(16), net.weights(16)]
    numbers.append(net.constant(net.random.uniform(0.5, 2, 16).astype(np.float32)))
    stem = net.add("Conv", ["image", net.weights(16, 5, 3, 3)], 16, pads=[1] * 4)
    stem = net.add("BatchNormalization", [stem, *numbers], 16, epsilon=1e-3)
    half = net.constant(net.random.normal(0, 0.5, (36, 16, 1, 1)).astype(np.float16))
    net.channels[half] = net.sides[half] = 1
    kernel = net.add("Cast", [half], 36, to=onnx.TensorProto.FLOAT)
    net.channels[stem], net.sides[stem] = 16, SIZE
    primary = net.add("Conv", [stem, kernel], 36)
    whole = net.concat(primary, net.depthwise(primary))
    content = net.model(net.conv(whole, 6))
    check_same(content, arranged := arrange(content, ""))
    assert not {"BatchNormalization", "Cast", "Concat"} & set(operators(arranged))

    outside = onnx.load_from_string(content)
    options = {"all_tensors_to_one_file": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(outside, tmp_path / "model.onnx", save_as_external_data=True, **options)
    named = (tmp_path / "model.onnx").read_bytes()
    assert arrange(named, str(tmp_path)).find(b"weights.bin") == -1
    check_same(content, arrange(named, str(tmp_path)))
    assert arrange(named, str(tmp_path / "elsewhere")).find(b"weights.bin") > 0


def test_a_branch_whose_inside_uses_the_value_is_left_alone(block):
    net = Network()
    whole = net.ghost("image", 6)
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", [whole], ["inside"])],
        "branch",
        [],
        [onnx.helper.make_tensor_value_info("inside", onnx.TensorProto.FLOAT, [None] * 4)],
    )
    yes = net.constant(np.array(True))
    net.sides[yes] = SIZE
    branch = net.add("If", [yes], 12, then_branch=inner, else_branch=inner)
    content = net.model(net.conv(branch, 5), net.conv(whole, 5))
    assert arrange(content, "") == content


def test_what_is_no_onnx_file_is_left_alone():
    for content in (b"", b"no model", b"\x3a\x05\x0a\x03\x0a\x01\xff"):
        assert arrange(content, "") == content


KINDS = ("conv", "ghost", "depthwise", "relu", "gate", "add", "concat", "pool")


@st.composite
def networks(draw):
    """Layers of all kinds on values drawn from those that there are."""
    net = Network(draw(st.integers(0, 1000)))
    values = [net.conv("image", draw(st.integers(1, 20)))]
    for _ in range(draw(st.integers(1, 12))):
        value = draw(st.sampled_from(values[-4:]))
        kind = draw(st.sampled_from(KINDS))
        count = draw(st.integers(1, 20))
        if kind == "conv":
            values.append(
                net.conv(value, count, draw(st.sampled_from([1, 3])), draw(st.booleans()))
            )
        elif kind == "ghost":
            values.append(net.ghost(value, count, draw(st.booleans())))
        elif kind == "depthwise":
            values.append(net.depthwise(value))
        elif kind == "relu":
            values.append(net.relu(value))
        elif kind == "gate":
            values.append(net.gated(value, count))
        elif kind == "add":
            other = draw(st.sampled_from(values))
            if net.channels[other] != net.channels[value]:
                other = net.conv(other, net.channels[value])
            values.append(net.add("Add", [value, other], net.channels[value]))
        elif kind == "concat":
            values.append(net.concat(value, *draw(st.lists(st.sampled_from(values), max_size=2))))
        else:
            pooled = net.add(
                "AveragePool", [value], net.channels[value], kernel_shape=[3, 3], pads=[1] * 4
            )
            values.append(pooled)
    return net.model(net.conv(values[-1], 5), *draw(st.sets(st.sampled_from(values), max_size=1)))


@pytest.mark.parametrize("mask_first", [False, True])
@pytest.mark.parametrize("operator", ["Mul", "Add"])
def test_a_mask_of_one_channel_is_none_of_many(block, mask_first, operator):
    net = Network()
    value, mask = net.conv("image", 12), net.conv("image", 1)
    pair = [mask, value] if mask_first else [value, mask]
    masked = net.add(operator, pair, 12)
    content = net.model(net.conv(net.concat(masked, net.conv("image", 12)), 5))
    check_same(content, arrange(content, ""))


def test_a_constant_that_is_convolved_stays_as_it_is(block):
    net = Network()
    table = net.weights(1, 5, SIZE, SIZE)
    net.channels[table], net.sides[table] = 5, SIZE
    value = net.add("Add", [net.conv(table, 12), net.conv("image", 12)], 12)
    content = net.model(net.conv(net.concat(value, net.conv("image", 12)), 5))
    check_same(content, arrange(content, ""))


def test_functions_of_one_name_are_told_apart(block):
    net = Network()
    value = net.conv("image", 12)
    net.nodes.append(
        onnx.helper.make_node("Own", [value], ["own"], domain="here", overload="negative")
    )
    net.channels["own"], net.sides["own"] = 12, SIZE
    model = onnx.load_from_string(_unchecked(net, net.conv(net.concat("own", value), 5)))
    opsets = [onnx.helper.make_opsetid("", 17)]
    for overload, operator in (("plain", "Relu"), ("negative", "Neg")):
        node = onnx.helper.make_node(operator, ["a"], ["b"])
        model.functions.append(
            onnx.helper.make_function(
                "here", "Own", ["a"], ["b"], [node], opsets, overload=overload
            )
        )
    model.opset_import.append(onnx.helper.make_opsetid("here", 1))
    model.ir_version = 10
    content = model.SerializeToString()
    for found, wanted in zip(answers(arrange(content, "")), answers(content), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def _unchecked(net, output):
    """Without the functions that it calls it would not pass."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx.checker, "check_model", lambda *_, **__: None)
        return net.model(output)


def test_a_damaged_batch_norm_is_left_to_onnx_runtime(block):
    net = Network()
    value = net.conv("image", 12)
    net.add("BatchNormalization", [value, *[net.constant(np.ones(3, np.float32))] * 4], 12)
    content = _unchecked(net, "v1")
    assert operators(arrange(content, "")) == operators(content)


@settings(max_examples=60)
@given(networks(), st.sampled_from([8, 16]))
def test_any_network_of_such_layers_answers_the_same(content, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arranging, "channel_block", lambda: block)
        arranged = arrange(content, "")
    check_same(content, arranged)
