"""Against OpenVINO's own Python API, called here by hand."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ghostkit.artifacts import load
from ghostkit.backend import openvino as openvino_backend
from ghostkit.backend.choice import Choice, Device
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.backend.openvino import OpenvinoBackend
from ghostkit.backend.openvino_cpu import CACHED_MODELS
from ghostkit.backend.openvino_ir import with_checksums
from ghostkit.bundled import default_model
from ghostkit.card import Input, write_sidecar
from ghostkit.errors import CardError, MissingExtra, ModelError, UsageError
from ghostkit.steps import Normalize
from tiny import tiny_card

openvino = pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx")

from onnx import numpy_helper  # noqa: E402

from networks import write_network  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "ghostkit" / "openvino"


@pytest.fixture
def network(tmp_path):
    """A small network with convolutions."""
    return write_network(tmp_path / "network.onnx")


def by_hand(path, images):
    """The answers of OpenVINO as its documentation shows it, in float32."""
    core = openvino.Core()
    compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(images)[0]


def random_images(count, side, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3, side, side)).astype(np.float32)


def saved_as_ir(path, card, folder, **options):
    """`path` as OpenVINO itself saves it, its card beside it."""
    target = folder / "model.xml"
    openvino.save_model(openvino.Core().read_model(str(path)), str(target), **options)
    write_sidecar(with_checksums(card, target), target)
    return target


def test_it_answers_as_openvino_does_by_hand_and_as_onnx_runtime_does():
    backend = OpenvinoBackend(default_model())
    images = random_images(5, backend.card.input.height)
    assert backend.name == "openvino CPU fp32"
    assert backend.fallback is None
    np.testing.assert_array_equal(backend.infer(images), by_hand(default_model(), images))
    expected = OnnxBackend(default_model()).infer(images)
    np.testing.assert_allclose(backend.infer(images), expected, atol=1e-4)


def test_answers_are_channel_means(make_model):
    backend = OpenvinoBackend(make_model())
    images = np.random.default_rng(0).random((5, 3, 8, 8), np.float32)
    np.testing.assert_allclose(backend.infer(images), images.mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_folded_it_takes_pixels_and_normalises_as_the_card_says(make_model, color):
    card = tiny_card()
    card = card.model_copy(
        update={
            "steps": (*card.steps[:-1], Normalize(mean=MEAN, std=STD)),
            "input": Input(height=8, width=8, color=color),
        }
    )
    backend = OpenvinoBackend(make_model(card=card.to_json()), fold=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    given = pixels if color == "RGB" else pixels[..., ::-1]
    expected = ((given / 255 - MEAN) / STD).mean((1, 2))  # the definition, in the model's order
    np.testing.assert_allclose(backend.infer(pixels), expected, atol=1e-5)
    assert (backend.host_card.input.dtype, backend.host_card.input.layout) == ("uint8", "NHWC")
    assert not any(isinstance(step, Normalize) for step in backend.host_card.steps)
    floats = random_images(2, 8)  # the card's own form is taken too
    np.testing.assert_allclose(backend.infer(floats), floats.mean((2, 3)), atol=1e-6)


def test_a_picture_gets_the_same_answer_through_both_runtimes(network):
    pixels = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    one, two = load(network), load(network, backend="openvino")
    assert two.backend.name.startswith("openvino")
    assert two(pixels).best[0] == one(pixels).best[0]
    np.testing.assert_allclose(two(pixels).probabilities, one(pixels).probabilities, atol=1e-5)


def test_openvinos_own_files_are_read_with_the_card_beside_them(network, tmp_path):
    path = saved_as_ir(network, tiny_card(), tmp_path, compress_to_fp16=False)
    classifier = load(path)
    assert classifier.backend.name == "openvino CPU fp32"
    assert classifier.classes == ("red", "green", "blue")
    images = random_images(3, 8)
    np.testing.assert_array_equal(classifier.backend.infer(images), by_hand(path, images))


def test_files_that_do_not_belong_together_are_refused(make_model, tmp_path):
    path = saved_as_ir(make_model(), tiny_card(), tmp_path)
    weights = tmp_path / "model.bin"
    content = weights.read_bytes()
    weights.write_bytes(content + b"x")
    with pytest.raises(ModelError, match=r"model.bin: not the file that the card.*sha256"):
        load(path)
    weights.unlink()
    with pytest.raises(ModelError, match=r"its weights, .*model.bin, are missing; copy the .xml"):
        load(path)
    weights.write_bytes(content)
    (tmp_path / "model.xml.card.json").unlink()
    with pytest.raises(CardError, match="no card beside it.*convert --to openvino"):
        load(path)
    with pytest.raises(UsageError, match="--backend onnx does not open such a file, --backend op"):
        load(path, backend="onnx")


def test_a_graph_that_is_none_is_refused_in_its_own_words(tmp_path):
    path = tmp_path / "model.xml"
    path.write_text("<net>")
    (tmp_path / "model.bin").touch()
    write_sidecar(tiny_card(), path)
    with pytest.raises(ModelError, match="model.xml: not a model that OpenVINO can open"):
        load(path)
    (tmp_path / "other.onnx").write_bytes(b"\x08\x01junk")
    with pytest.raises(ModelError, match="other.onnx"):
        load(tmp_path / "other.onnx", backend="openvino")


def test_a_graph_that_is_not_its_cards_is_refused(make_model, tmp_path):
    card = tiny_card().model_copy(update={"classes": ("red", "green", "blue", "black")})
    with pytest.raises(ModelError, match="answers 3 classes, its card names 4"):
        OpenvinoBackend(make_model(card=card.to_json()))


def test_a_fixed_batch_is_filled_up(make_model, tmp_path):
    model = openvino.Core().read_model(str(make_model()))
    model.reshape([4, 3, 8, 8])
    path = tmp_path / "fixed.xml"
    openvino.save_model(model, str(path))
    write_sidecar(tiny_card(), path)
    backend = OpenvinoBackend(path)
    images = random_images(6, 8)
    np.testing.assert_allclose(backend.infer(images), images.mean((2, 3)), atol=1e-6)
    np.testing.assert_allclose(backend.infer(images[:1]), images[:1].mean((2, 3)), atol=1e-6)


def test_many_threads_may_share_it_and_an_answer_is_the_callers(make_model):
    backend = OpenvinoBackend(make_model())

    def run(value):
        images = np.full((2, 3, 8, 8), value, np.float32)
        answers = []
        for step in range(20):
            images[:] = value + step
            answers.append(backend.infer(images))
        return all(np.allclose(got, value + step) for step, got in enumerate(answers))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(0, 800, 100)))


def test_a_batch_of_another_shape_is_an_error_and_the_next_one_is_answered(make_model):
    backend = OpenvinoBackend(make_model())
    with pytest.raises(ModelError, match=r"inference failed on a float32 batch of shape \(2, 4"):
        backend.infer(np.zeros((2, 4, 8, 8), np.float32))
    assert backend.infer(np.ones((1, 3, 8, 8), np.float32)).tolist() == [[1.0, 1.0, 1.0]]


def test_without_the_package_the_pip_line_is_said(make_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(openvino_backend, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "ghostkit\[openvino\]"'):
        load(make_model(), backend="openvino")


def test_a_device_that_is_no_cpu_is_refused(make_model):
    with pytest.raises(UsageError, match="--device cuda:0: OpenVINO is used on the CPU alone"):
        load(make_model(), backend="openvino", device="cuda")
    assert load(make_model(), backend="openvino", device="cpu", strict=True)


def test_weights_in_half_precision_are_computed_in_float32(network, tmp_path):
    widened = onnx.load(network)
    for tensor in widened.graph.initializer:
        halves = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(halves.astype(np.float32), tensor.name))
    onnx.save(widened, tmp_path / "widened.onnx")
    path = saved_as_ir(network, tiny_card(), tmp_path, compress_to_fp16=True)
    backend = OpenvinoBackend(path, choice=Choice(strict=True))
    assert (backend.name, backend.fallback) == ("openvino CPU fp32", None)
    images = random_images(3, 8)
    expected = by_hand(tmp_path / "widened.onnx", images)
    np.testing.assert_allclose(backend.infer(images), expected, atol=1e-5)


class CoreWith:
    """OpenVINO's Core on a processor with these capabilities; keeps what it is asked for."""

    capabilities: tuple[str, ...] = ()
    asked: list[str] = []

    def __init__(self):
        self._core = openvino.Core()

    def read_model(self, path):
        return self._core.read_model(path)

    def get_property(self, device, name):
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return list(self.capabilities)

    def compile_model(self, model, device, wishes):
        self.asked.append(wishes["INFERENCE_PRECISION_HINT"])
        return self._core.compile_model(model, device, wishes)


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_asked_for_where_the_processor_has_it_and_what_runs_is_said(
    monkeypatch, network, native
):
    class Runtime:
        Core = CoreWith

    monkeypatch.setattr(CoreWith, "capabilities", ("FP32", "BF16") if native else ("FP32",))
    monkeypatch.setattr(CoreWith, "asked", [])
    monkeypatch.setattr(openvino_backend, "require_openvino", lambda: Runtime)
    backend = OpenvinoBackend(network, choice=Choice(precision="bf16"))
    assert CoreWith.asked == ["bf16" if native else "f32"]
    here = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if native and here:
        assert "bf16" in backend.name and backend.fallback is None
    else:  # whatever was asked for: the compiled model itself tells
        assert backend.name == "openvino CPU fp32"
        assert "fp32 runs the model: OpenVINO does not compute in bf16" in backend.fallback
        with pytest.raises(ModelError, match="fp32 runs the model.*without --strict"):
            OpenvinoBackend(network, choice=Choice(precision="bf16", strict=True))


def test_by_default_float32_is_asked_for(monkeypatch, network):
    class Runtime:
        Core = CoreWith

    monkeypatch.setattr(CoreWith, "capabilities", ("FP32", "BF16", "FP16"))
    monkeypatch.setattr(CoreWith, "asked", [])
    monkeypatch.setattr(openvino_backend, "require_openvino", lambda: Runtime)
    OpenvinoBackend(network, choice=Choice(device=Device("cpu")))
    assert CoreWith.asked == ["f32"]


def test_other_backends_have_no_bf16(make_model):
    with pytest.raises(UsageError, match="--precision bf16.*only --backend openvino"):
        load(make_model(), precision="bf16")


def test_what_was_compiled_is_kept_and_damage_costs_time_alone(cache, network):
    images = random_images(1, 8)
    first = OpenvinoBackend(network).infer(images)
    [blob] = cache.glob("*.blob")
    np.testing.assert_array_equal(OpenvinoBackend(network).infer(images), first)
    assert [each.name for each in cache.glob("*.blob")] == [blob.name]
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:500])
    np.testing.assert_array_equal(OpenvinoBackend(network).infer(images), first)


def test_the_oldest_compiled_models_are_removed(cache, make_model):
    cache.mkdir(parents=True)
    for age in range(CACHED_MODELS + 3):
        path = cache / f"{age}.blob"
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    OpenvinoBackend(make_model())
    assert len(list(cache.glob("*.blob"))) == CACHED_MODELS
    assert (cache / "0.blob").exists()
    assert not (cache / f"{CACHED_MODELS + 2}.blob").exists()


def test_without_a_cache_it_answers_all_the_same(cache, make_model):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    backend = OpenvinoBackend(make_model())
    assert backend.infer(np.ones((1, 3, 8, 8), np.float32)).tolist() == [[1.0, 1.0, 1.0]]
    assert cache.read_text() == "a file where the folder should be"


def test_weights_that_are_not_those_of_the_graph_are_refused(tmp_path):
    path = tmp_path / "default.onnx"
    shutil.copyfile(default_model(), path)
    (tmp_path / "default.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelError, match="are not those it was made for"):
        OpenvinoBackend(path)


FIRST_ARRAYS_AT_ONCE = """
import faulthandler, sys, threading
import numpy
from ghostkit.backend.openvino import OpenvinoBackend
from ghostkit.bundled import probe_model

faulthandler.dump_traceback_later(20, exit=True)
sys.setswitchinterval(1e-7)
backend = OpenvinoBackend(probe_model(), cached=False)
start = threading.Barrier(4)

def run():
    start.wait()
    backend.infer(numpy.ones((1, 3, 8, 8), numpy.float32))

threads = [threading.Thread(target=run) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_the_first_batches_of_several_threads_do_not_wait_for_each_other_for_ever():
    for _ in range(2):  # of a new process, half hung before its first array was made alone
        done = subprocess.run(
            [sys.executable, "-c", FIRST_ARRAYS_AT_ONCE], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="where OpenVINO sets no stack for signals")
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_signal_after_models_are_gone_is_handled(make_model, order):
    """OpenVINO leaves handlers a stack that it has freed, where it is not kept from it."""
    program = (
        "import gc, os, signal, sys\n"
        "from ghostkit.backend.openvino import OpenvinoBackend, is_native\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled', flush=True))\n"
        "is_native('bf16')\n"
        "models = {each: OpenvinoBackend(sys.argv[1], cached=False) for each in range(2)}\n"
        "for each in map(int, sys.argv[2:]):\n"
        "    del models[each]\n"
        "    gc.collect()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    command = [sys.executable, "-c", program, str(make_model()), *map(str, order)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n" * 2), done.stderr


@pytest.mark.parametrize("port", ["image", "logits"])
def test_a_port_of_two_names_goes_by_the_cards(network, tmp_path, port):
    card = OnnxBackend(network).card
    model = openvino.Core().read_model(str(network))
    tensor = model.input(port) if port == "image" else model.output(port)
    tensor.get_tensor().set_names({port, f"{port}:0", "a"})
    openvino.save_model(model, str(tmp_path / "two.xml"), compress_to_fp16=False)
    write_sidecar(card, tmp_path / "two.xml")
    images = random_images(1, card.input.height)
    found = OpenvinoBackend(tmp_path / "two.xml").infer(images)
    np.testing.assert_allclose(found, by_hand(network, images), atol=1e-5)


def test_a_softmax_at_the_end_of_openvinos_own_file_is_not_taken_twice(network, tmp_path):
    from openvino import opset8

    core = openvino.Core()
    model = core.read_model(str(network))
    source = model.output("logits").get_node().input_value(0)
    names = model.output("logits").get_tensor().get_names()
    source.get_tensor().set_names(set())
    last = opset8.convert(opset8.softmax(source, 1), "f32")
    last.output(0).get_tensor().set_names(names)
    changed = openvino.Model([last], model.get_parameters())
    openvino.save_model(changed, str(tmp_path / "s.xml"), compress_to_fp16=False)
    write_sidecar(OnnxBackend(network).card, tmp_path / "s.xml")
    with pytest.raises(ModelError, match="ends in Softmax.*softmax would be taken twice"):
        OpenvinoBackend(tmp_path / "s.xml")


@pytest.mark.parametrize("fold", [False, True])
def test_a_forked_process_gets_its_answers(network, fold):
    """As in a server that forks its workers after loading; OpenVINO's threads do not come along."""
    backend = OpenvinoBackend(network, fold=fold)
    card = backend.host_card.input
    pixels = np.random.default_rng(0).integers(0, 256, (2, card.height, card.width, 3), np.uint8)
    images = pixels if fold else random_images(2, card.height)
    expected = backend.infer(images)
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    child = fork.Process(target=lambda: answers.put([backend.infer(images) for _ in range(2)]))
    child.start()
    try:
        first, again = answers.get(timeout=60)
    finally:
        child.kill()
        child.join()
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(again, expected)
    np.testing.assert_array_equal(backend.infer(images), expected)


@pytest.mark.parametrize("classes", [("x", "y", "z"), tiny_card().classes])
def test_a_forked_process_does_not_answer_by_another_model(make_model, classes):
    path = make_model()
    backend = OpenvinoBackend(path)
    path.unlink()
    make_model(card=tiny_card().model_copy(update={"classes": classes}).to_json())
    child = os.fork()
    if not child:
        for _ in range(2):  # nor when it is asked again
            try:
                backend.infer(random_images(1, 8))
            except ModelError as error:
                if "another model stands there" not in str(error):
                    os._exit(1)
            else:
                os._exit(2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
