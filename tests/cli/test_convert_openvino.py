"""``convert --to openvino``, its files read by OpenVINO's own Python API."""

import errno
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from ghostkit.artifacts import load
from ghostkit.image import decode, prepare

pytest.importorskip("onnx")
openvino = pytest.importorskip("openvino")

from ghostkit.convert import int8_nncf, running  # noqa: E402
from ghostkit.convert.model_api import model_info  # noqa: E402


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch):
    """Speeds are measured for a moment only."""
    monkeypatch.setattr(running, "ROUND_S", 0.01)


def by_hand(path, card, picture):
    """Probabilities of `picture` by OpenVINO as its documentation shows it, in float32."""
    hint = {"INFERENCE_PRECISION_HINT": "f32"}  # else bf16 where the processor has it
    compiled = openvino.Core().compile_model(str(path), "CPU", hint)
    [logits] = compiled(prepare(decode(picture), card.steps)[None])[0]
    grown = np.exp(logits - logits.max())
    return grown / grown.sum()


def constants(path):
    """The element types of the constants in OpenVINO's graph, and how many numbers each has."""
    sizes = {}
    for operation in openvino.Core().read_model(str(path)).get_ops():
        if operation.get_type_name() == "Constant":
            kind = operation.get_element_type().get_type_name()
            sizes[kind] = sizes.get(kind, 0) + operation.get_data().size
    return sizes


def test_the_files_answer_by_openvinos_own_api_as_the_source_does(
    ghostkit, network, photos, tmp_path
):
    output = tmp_path / "colours.xml"
    arguments = ("--to", "openvino", "--images", photos / "val", "-o", output)
    outcome = ghostkit("convert", network, *arguments, "--json")
    assert outcome.status == 0, outcome
    verified = json.loads(outcome.out)["verify"]
    assert verified["passed"] and verified["compared"] == 18
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "colours.bin",
        "colours.xml",
        "colours.xml.card.json",
    ]
    source, result = load(network), load(output)
    picture = next((photos / "val" / "green").iterdir())
    expected = by_hand(output, source.card, picture)
    np.testing.assert_allclose(result(picture).probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(source(picture).probabilities, expected, atol=1e-5)
    assert result.backend.name == "openvino CPU fp32"
    info = openvino.Core().read_model(str(output)).get_rt_info("model_info").astype(dict)
    assert {key: value.value for key, value in info.items()} == model_info(source.card)
    assert source.card.hash in result.card.provenance.parents
    [conversion] = result.card.provenance.conversions
    assert (conversion["target"], conversion["precision"]) == ("openvino", "fp32")
    scored = ghostkit("evaluate", output, photos / "val", "--json")
    assert json.loads(scored.out)["backend"] == "openvino CPU fp32"


def test_fp16_halves_the_weights(ghostkit, network, photos, tmp_path):
    common = ("convert", network, "--to", "openvino", "--images", photos / "val")
    for precision in ("fp32", "fp16"):
        output = tmp_path / f"{precision}.xml"
        outcome = ghostkit(*common, "--precision", precision, "-o", output)
        assert outcome.status == 0
        assert re.search(rf"weights +{precision} \(\d+\)", outcome.out)
        assert re.search("computed in +fp32 *\n", outcome.out)
    full, half = (constants(tmp_path / f"{name}.xml") for name in ("fp32", "fp16"))
    assert full["f32"] > 200 and "f16" not in full
    assert half["f16"] > 200 and half.get("f32", 0) < 10
    picture = next((photos / "val" / "blue").iterdir())
    expected = load(network)(picture).probabilities
    np.testing.assert_allclose(
        load(tmp_path / "fp16.xml")(picture).probabilities, expected, 0, 0.01
    )


def test_a_source_in_half_precision_is_told_as_such(ghostkit, photos, tmp_path):
    arguments = ("--to", "openvino", "--images", photos / "val", "-o", tmp_path / "m.xml")
    outcome = ghostkit("convert", "default", *arguments, "--json")
    assert outcome.status == 0, outcome
    kinds = {"fp16": "f16", "fp32": "f32"}
    sizes = constants(tmp_path / "m.xml")
    weights = json.loads(outcome.out)["weights"]
    assert weights == {name: sizes[kind] for name, kind in kinds.items()}
    assert weights["fp16"] > 1000 * weights["fp32"]


def test_a_result_beyond_the_tolerance_is_refused_and_leaves_nothing(
    ghostkit, network, photos, tmp_path
):
    arguments = ("--precision", "fp16", "--tolerance", "0", "--images", photos / "val")
    output = tmp_path / "m.xml"
    outcome = ghostkit("convert", network, "--to", "openvino", *arguments, "-o", output)
    assert outcome.status == 1
    assert "is not written, since it would not answer as its source" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(ghostkit, network, photos, tmp_path, monkeypatch):
    true_replace, written = os.replace, []

    def full_at_the_last(source, target):
        if str(target).endswith("m.xml"):
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(os.path.basename(target))
        true_replace(source, target)

    monkeypatch.setattr(os, "replace", full_at_the_last)
    arguments = ("--to", "openvino", "--images", photos / "val", "-o", tmp_path / "m.xml")
    outcome = ghostkit("convert", network, *arguments)
    assert outcome.status == 2
    assert "No space left on device" in outcome.err
    assert "m.bin" in written
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("-o", "m.onnx"), "--to openvino writes a file NAME.xml"),
        (("-o", "m.xml", "--precision", "int8"), "int8 needs --calibration FOLDER"),
        (("-o", "m.xml", "--calibration", "."), "--calibration is for --precision int8"),
        (("-o", "m.xml", "--max-drop", "1"), "--max-drop is for --precision int8; fp32 has no use"),
    ],
)
def test_options_that_make_no_sense(ghostkit, network, tmp_path, monkeypatch, more, words):
    monkeypatch.chdir(tmp_path)
    assert words in ghostkit("convert", network, "--to", "openvino", *more).error


def test_weights_or_a_card_that_stand_there_are_not_replaced(ghostkit, network, photos, tmp_path):
    (tmp_path / "m.bin").write_bytes(b"mine")
    arguments = ("--to", "openvino", "--images", photos / "val", "-o", tmp_path / "m.xml")
    assert "m.bin' exists" in ghostkit("convert", network, *arguments).error
    assert (tmp_path / "m.bin").read_bytes() == b"mine"
    assert ghostkit("convert", network, *arguments, "--overwrite").status == 0


def test_without_nncf_the_pip_line_is_said(ghostkit, network, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(int8_nncf, "find_spec", lambda name: None)
    arguments = ("--precision", "int8", "--calibration", photos / "train", "-o", tmp_path / "m.xml")
    error = ghostkit("convert", network, "--to", "openvino", *arguments).error
    assert 'pip install "ghostkit[openvino-int8]"' in error


@pytest.mark.slow
def test_nncf_is_imported_without_its_telemetry():
    pytest.importorskip("nncf")
    code = (
        "import sys; from ghostkit.convert.int8_nncf import require_nncf\n"
        "nncf = require_nncf(); assert nncf.quantize\n"
        "from nncf.telemetry.wrapper import telemetry\n"
        "print(type(telemetry).__name__)  # a stub: unittest.mock's"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MagicMock"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of what NNCF imports
def test_8_bits_keep_to_the_budget_and_layers_stay_in_float(
    ghostkit, network, photos, tmp_path, monkeypatch
):
    pytest.importorskip("nncf")
    monkeypatch.setattr(int8_nncf, "RANGES", {"minmax": "MINMAX"})
    output = tmp_path / "int8.xml"
    arguments = ("--calibration", photos / "train", "--data", photos, "-o", output)
    more = ("--precision", "int8", "--json")
    outcome = ghostkit("convert", network, "--to", "openvino", *arguments, *more)
    assert outcome.status == 0, outcome
    record = json.loads(outcome.out)
    assert record == json.loads((tmp_path / "int8.xml.report.json").read_bytes())
    assert record["lost_points"] == 0 and record["accuracy"]["int8"]["top1"] == 1.0
    assert len(record["trials"]) == 3
    stored = constants(output)
    assert stored["i8"] > 200  # the weights
    weights = [
        operation.get_data()
        for operation in openvino.Core().read_model(str(output)).get_ops()
        if operation.get_type_name() == "Constant"
        and operation.get_element_type().get_type_name() == "i8"
    ]
    assert max(np.abs(each.astype(int)).max() for each in weights) <= 64  # 7 bits
    source, result = load(network).card, load(output)
    picture = next((photos / "val" / "red").iterdir())
    assert by_hand(output, source, picture).argmax() == 0
    assert result(picture).best[0] == "red"
    [conversion] = result.card.provenance.conversions
    assert (conversion["precision"], conversion["ranges"]) == ("int8", "minmax")
    assert conversion["calibration_fingerprint"] == record["calibration"]["fingerprint"]

    maker, settings = maker_of(network, photos), int8_nncf.NncfSettings(True, "minmax")
    [head] = [layer for layer in int8_layers_of(maker) if layer.name == "head"]
    assert multiplied_in_bytes(maker.make(settings, ()).model)["MatMul"] == [True]
    assert multiplied_in_bytes(maker.make(settings, [head]).model)["MatMul"] == [False]


def maker_of(network, photos):
    from ghostkit.convert.calibration import read_calibration
    from ghostkit.convert.source import open_source

    source = open_source(network)
    calibration = read_calibration(source.classifier, photos / "train")
    return int8_nncf.NncfMaker(source.graph, source.card, calibration)


def int8_layers_of(maker):
    from ghostkit.convert.int8_layers import layers_of

    return layers_of(maker._simple)


def multiplied_in_bytes(model):
    """Of each kind of layer, whether what it takes first was put into 8 bits."""
    found = {}
    for operation in model.get_ops():
        if operation.get_type_name() in ("Convolution", "MatMul"):
            node = operation.input_value(0).get_node()
            while node.get_type_name() in ("Reshape", "Squeeze", "Convert"):
                node = node.input_value(0).get_node()
            kinds = found.setdefault(operation.get_type_name(), [])
            kinds.append(node.get_type_name() == "FakeQuantize")
    return found
