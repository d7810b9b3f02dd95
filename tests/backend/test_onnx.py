import json
from threading import Thread

import numpy as np
import onnxruntime
import pytest

from ghostkit.backend import FakeBackend, providers
from ghostkit.backend.carded import WEIGHTS_METADATA_KEY
from ghostkit.backend.choice import Choice
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.backend.providers import CPU
from ghostkit.card import write_sidecar
from ghostkit.errors import CardError, ModelError
from tiny import tiny_card

onnx = pytest.importorskip("onnx")


def test_the_card_is_read_from_the_file_and_answers_are_channel_means(make_model):
    backend = OnnxBackend(make_model())
    assert backend.card == tiny_card()
    assert backend.name == "onnxruntime CPUExecutionProvider"
    images = np.random.default_rng(0).random((5, 3, 8, 8), np.float32)
    np.testing.assert_allclose(backend.infer(images), images.mean((2, 3)), atol=1e-6)
    np.testing.assert_allclose(backend.infer(images), FakeBackend().infer(images), atol=1e-6)


@pytest.mark.parametrize(
    "note", ["no json", "3", "{}", '{"file": "gone", "sha256": "x"}', '{"file": 3, "sha256": "x"}']
)
def test_a_note_of_weights_that_leads_to_none_is_refused(make_model, note):
    path = make_model()
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key, entry.value = WEIGHTS_METADATA_KEY, note
    onnx.save(model, path)
    with pytest.raises(ModelError, match="its note of the weights beside it.*copy both files"):
        OnnxBackend(path)


def test_many_threads_may_share_it(make_model):
    backend = OnnxBackend(make_model())
    wrong = []

    def run(value):
        for _ in range(50):
            got = backend.infer(np.full((2, 3, 8, 8), value, np.float32))
            if not np.allclose(got, value):
                wrong.append(got)

    threads = [Thread(target=run, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_sidecar_serves_a_model_without_room(make_model):
    path = make_model(card="")
    write_sidecar(tiny_card(), path)
    assert OnnxBackend(path).card == tiny_card()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such model file"), (b"", "is empty"), (b"not a model at all", "not a model")],
)
def test_what_is_no_model_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "模 型.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as caught:
        OnnxBackend(path)
    assert str(path) in str(caught.value)


def test_a_truncated_model_is_refused(make_model, tmp_path):
    content = make_model().read_bytes()
    for length in range(1, len(content) - 1, 97):
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(content[:length])
        with pytest.raises((ModelError, CardError)):
            OnnxBackend(cut)


def test_a_model_without_card_says_how_to_give_it_one(make_model):
    with pytest.raises(CardError, match="carries no card.*card.json"):
        OnnxBackend(make_model(card=""))


def test_a_card_of_a_newer_schema_is_refused(make_model):
    newer = json.loads(tiny_card().to_json()) | {"schema_version": "2.0"}
    with pytest.raises(CardError, match="schema 2.0"):
        OnnxBackend(make_model(card=json.dumps(newer)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ["red", "green"]}, "answers 3 classes, its card names 2"),
        ({"input": {"name": "data", "height": 8, "width": 8}}, "inputs are .'image'."),
        ({"output": {"name": "probs"}}, "outputs are .'logits'."),
    ],
)
def test_a_card_of_another_model_is_refused(make_model, changes, words):
    wrong = json.loads(tiny_card().to_json()) | changes
    with pytest.raises(ModelError, match=words.replace("'", ".")):
        OnnxBackend(make_model(card=json.dumps(wrong)))


def test_a_card_that_says_float_of_a_uint8_input_is_refused(make_model):
    with pytest.raises(ModelError, match=r"tensor\(uint8\), the card says float32"):
        OnnxBackend(make_model(dtype="UINT8"))


def test_a_card_of_another_layout_or_size_is_refused(make_model):
    card = json.loads(tiny_card().to_json())
    card["input"]["layout"] = "NHWC"
    with pytest.raises(ModelError, match=r"shape .*3.*, the card says \[None, 8, 8, 3\] \(NHWC\)"):
        OnnxBackend(make_model(card=json.dumps(card)))
    path = make_model()
    fixed = onnx.load(path)
    height, width = fixed.graph.input[0].type.tensor_type.shape.dim[2:]
    height.dim_value, width.dim_value = 8, 9
    onnx.save(fixed, path)
    with pytest.raises(ModelError, match=r"8, 9\], the card says \[None, 3, 8, 8\].*steps"):
        OnnxBackend(path)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_model_of_a_fixed_batch_size_takes_any_number(make_model, size):
    path = make_model()
    fixed = onnx.load(path)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
    fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value = size
    onnx.save(fixed, path)
    backend = OnnxBackend(path)
    images = np.random.default_rng(0).random((5, 3, 8, 8), np.float32)
    np.testing.assert_allclose(backend.infer(images), images.mean((2, 3)), atol=1e-6)


def test_a_batch_that_does_not_fit_is_an_error_with_its_shape(make_model):
    backend = OnnxBackend(make_model())
    with pytest.raises(ModelError, match=r"float32 batch of shape \(1, 4, 8, 8\)"):
        backend.infer(np.zeros((1, 4, 8, 8), np.float32))


def of_colours(change, card=None):
    """The colour network after `change`, in the current folder with its card."""
    from networks import colour_network

    model = colour_network()
    change(model)
    onnx.save(model, "m.onnx")
    write_sidecar(card or tiny_card(), "m.onnx")
    return "m.onnx"


def end_in(name, **attributes):
    def change(model):
        model.graph.node[-1].output[0] = "scores"
        model.graph.node.append(onnx.helper.make_node(name, ["scores"], ["logits"], **attributes))

    return change


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_softmax_is_not_taken_twice(tmp_path, monkeypatch, backend):
    from ghostkit.backend.choice import Choice
    from ghostkit.backend.opening import open_model

    if backend == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.chdir(tmp_path)
    path = of_colours(end_in("Softmax", axis=-1))
    with pytest.raises(ModelError, match="ends in Softmax.*softmax would be taken twice"):
        open_model(path, Choice(backend))
    output = tiny_card().output.model_copy(update={"kind": "probabilities"})
    write_sidecar(tiny_card().model_copy(update={"output": output}), path)
    images = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    assert np.allclose(open_model(path, Choice(backend)).infer(images).sum(axis=1), 1, atol=1e-5)
    of_colours(end_in("LogSoftmax", axis=-1))  # whose softmax is the same once more
    open_model(path, Choice(backend))


@pytest.mark.parametrize("last", ["Identity", "Flatten"])
def test_what_stands_behind_a_softmax_and_computes_nothing_does_not_hide_it(
    tmp_path, monkeypatch, last
):
    def change(model):
        end_in("Softmax", axis=-1)(model)
        model.graph.node[-1].output[0] = "probabilities"
        model.graph.node.append(onnx.helper.make_node(last, ["probabilities"], ["logits"]))

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="ends in Softmax.*softmax would be taken twice"):
        OnnxBackend(of_colours(change))


def test_an_output_that_is_no_tensor_of_numbers_is_refused(tmp_path, monkeypatch):
    def to_words(model):
        end_in("ArgMax", axis=1)(model)
        model.graph.node[-1].output[0] = "index"
        labels = {"keys_int64s": [0, 1, 2], "values_strings": ["red", "green", "blue"]}
        node = onnx.helper.make_node("LabelEncoder", ["index"], ["logits"], "", **labels)
        node.domain = "ai.onnx.ml"
        model.graph.node.append(node)
        model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 2))
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.STRING

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"is tensor\(string\); expected a tensor of numbers"):
        OnnxBackend(of_colours(to_words))


def test_a_provider_that_fails_leaves_the_cpu_and_prints_nothing(make_model, monkeypatch, capsys):
    monkeypatch.setattr(
        providers, "providers_for", lambda *_: [("OpenVINOExecutionProvider", {}), (CPU, {})]
    )
    real = onnxruntime.InferenceSession

    def fragile(content, options, providers, **more):
        assert more.pop("enable_fallback") == 0
        if providers[0] != CPU:
            raise RuntimeError("no such device")
        return real(content, options, providers=providers, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", fragile)
    path = make_model()
    assert OnnxBackend(path).name == f"onnxruntime {CPU}"
    with pytest.raises(ModelError, match="no such device"):
        OnnxBackend(path, choice=Choice(strict=True))
    assert capsys.readouterr().out == ""


def test_a_batch_without_its_axis_is_refused(make_model):
    with pytest.raises(ModelError, match=r"shape \(3, 8, 8\) is given; expected four axes"):
        OnnxBackend(make_model()).infer(np.zeros((3, 8, 8), np.float32))


def test_a_size_of_minus_one_is_an_open_one(tmp_path, monkeypatch):
    def open_sizes(model):
        for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
            dim.dim_value = -1

    monkeypatch.chdir(tmp_path)
    assert OnnxBackend(of_colours(open_sizes)).infer(np.ones((1, 3, 8, 8), np.float32)).shape == (
        1,
        3,
    )


def test_half_precision_at_the_ends_says_how_to_export(tmp_path, monkeypatch):
    def halve(model):
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"input is tensor\(float16\).*keep_io_types"):
        OnnxBackend(of_colours(halve))


def test_an_output_that_is_still_a_map_is_told_with_its_shape(tmp_path, monkeypatch):
    def keep_map(model):
        model.graph.node[-1].output[0] = "flat logits"
        value = onnx.helper.make_tensor_value_info("logits", 1, ["batch", 3, 1, 1])
        model.graph.output[0].CopyFrom(value)
        shape = onnx.numpy_helper.from_array(np.array([0, 3, 1, 1]), "map")
        model.graph.initializer.append(shape)
        node = onnx.helper.make_node("Reshape", ["flat logits", "map"], ["logits"])
        model.graph.node.append(node)

    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ModelError, match=r"'logits' has shape \['batch', 3, 1, 1\]; expected \(N, 3"
    ):
        OnnxBackend(of_colours(keep_map))


def test_a_folded_model_never_answers_by_the_file_that_has_taken_its_place(make_model, tmp_path):
    path = make_model()
    opened = OnnxBackend(path, fold=True)
    assert opened.host_card.input.dtype == "uint8"
    other = make_model("other.onnx", card=tiny_card().to_json())
    other.replace(path)
    assert opened.infer(np.zeros((1, 8, 8, 3), np.uint8)).shape == (1, 3)
    with pytest.raises(ModelError, match="another model stands there than was opened"):
        opened.infer(np.zeros((1, 3, 8, 8), np.float32))
