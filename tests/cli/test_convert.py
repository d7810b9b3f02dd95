import errno
import json
import os
from shutil import copytree

import numpy as np
import pytest

from ghostkit import convert as room
from ghostkit.artifacts import load
from ghostkit.cli import run
from ghostkit.files import json_bytes
from tiny import BLUE, GREEN, RED, save_square, write_bad

pytest.importorskip("onnx")

from ghostkit.convert import int8, int8_layers, running, targets
from networks import save_colours, write_network


@pytest.fixture(scope="module", autouse=True)
def short_rounds():
    """Speeds are measured for a moment only, and one way to choose ranges is tried."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "ROUND_S", 0.001)
        patch.setattr(int8, "METHODS", ("minmax",))
        yield


@pytest.fixture(scope="module")
def converted(network, photos, tmp_path_factory):
    """A conversion that succeeded: the file, and the report beside it."""
    output = tmp_path_factory.mktemp("converted") / "int8.onnx"
    arguments = ["--calibration", photos / "train", "--data", photos, "-o", output]
    assert run(["convert", str(network), "--to", "int8", *map(str, arguments)]) == 0
    return output, json.loads(output.with_name("int8.onnx.report.json").read_bytes())


def test_the_result_answers_alone_and_its_card_tells_where_it_comes_from(
    converted, network, photos
):
    output, record = converted
    source, result = load(network), load(output)
    picture = next((photos / "val" / "green").iterdir())
    assert result(picture).best[0] == "green"
    assert source.card.hash in result.card.provenance.parents
    [conversion] = result.card.provenance.conversions
    assert conversion["target"] == "int8" and conversion["parent"] == source.card.hash
    assert conversion["calibration_fingerprint"] == record["calibration"]["fingerprint"]
    [measured] = result.card.measurements
    assert measured.images == 18 and measured.top1 == 1.0


def test_the_report_tells_what_was_lost_gained_and_tried(converted):
    output, record = converted
    assert record["lost_points"] == 0 and record["max_drop_points"] == 0.5
    assert record["accuracy"]["float"]["top1"] == 1.0
    assert record["bytes"]["int8"] == output.stat().st_size
    assert record["images_per_s"]["int8"]["median"] > 0
    assert record["verify"]["passed"]
    assert len(record["trials"]) == 3
    assert [trial for trial in record["trials"] if trial["inside"]] == record["trials"][-1:]


def test_the_whole_network_computes_in_bytes(converted):
    import onnx

    graph = onnx.load(converted[0]).graph
    made = {o: node.op_type for node in graph.node for o in node.output}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            assert {made[name] for name in node.input} == {"DequantizeLinear"}
    weights = [i for i in graph.initializer if i.data_type == onnx.TensorProto.INT8]
    values = np.concatenate([onnx.numpy_helper.to_array(w).ravel() for w in weights])
    assert np.abs(values).max() == 64  # 7 bits: sums of two products stay inside 16


def test_the_same_call_gives_the_same_bytes_and_prints_what_it_reports(
    ghostkit, converted, network, photos, tmp_path
):
    arguments = ("--calibration", photos / "train", "--data", photos, "-o", tmp_path / "again.onnx")
    printed = json.loads(ghostkit("convert", network, "--to", "int8", *arguments, "--json").out)
    report = (tmp_path / "again.onnx.report.json").read_bytes()
    assert report == json_bytes(printed, indent=2)
    assert (tmp_path / "again.onnx").read_bytes() == converted[0].read_bytes()


def test_without_labels_changed_answers_are_counted_and_that_is_said(
    ghostkit, network, photos, tmp_path
):
    arguments = ("--calibration", photos / "train", "-o", tmp_path / "m.onnx")
    outcome = ghostkit("convert", network, "--to", "int8", *arguments)
    assert outcome.status == 0, outcome
    assert "no labelled pictures are named with --data" in outcome.err
    assert "agreement with the float model on 24 held-out calibration pictures" in outcome.out
    assert load(tmp_path / "m.onnx").card.measurements == ()


def spoil(monkeypatch, *, float_too):
    """Make a classifier in 8 bits answer red whatever it sees, and `float_too` one in float."""
    true_quantise = int8.quantise

    def quantise(*arguments, **options):
        model = true_quantise(*arguments, **options)
        for bias in model.graph.initializer:
            if bias.name == "head.bias_quantized":
                bias.raw_data = np.array([1 << 20, 0, 0], np.int32).tobytes()
            elif bias.name == "head.bias" and float_too:
                bias.raw_data = np.array([100, 0, 0], np.float32).tobytes()
        return model

    for module in (int8, int8_layers):
        monkeypatch.setattr(module, "quantise", quantise)


def test_the_layer_that_suffers_is_found_and_stays_in_float(
    ghostkit, network, photos, tmp_path, monkeypatch
):
    spoil(monkeypatch, float_too=False)
    arguments = ("--calibration", photos / "train", "--data", photos, "-o", tmp_path / "m.onnx")
    outcome = ghostkit("convert", network, "--to", "int8", *arguments)
    assert outcome.status == 0, outcome
    rows = [line.split() for line in outcome.out.splitlines()]
    [classifier] = [row for row in rows if row[1:2] == ["classifier"]]
    assert classifier[0] == "head" and classifier[-1] == "float"
    assert ["layers", "in", "float", "1"] in rows
    assert any(row[-2:] == ["66.67", "no"] for row in rows)
    [conversion] = load(tmp_path / "m.onnx").card.provenance.conversions
    assert conversion["float_layers"] == ["head"]


def test_a_budget_that_cannot_be_met_is_refused_with_what_was_tried(
    ghostkit, network, photos, tmp_path, monkeypatch
):
    spoil(monkeypatch, float_too=True)
    arguments = ("--calibration", photos / "train", "--data", photos, "-o", tmp_path / "m.onnx")
    outcome = ghostkit("convert", network, "--to", "int8", *arguments, "--json")
    assert outcome.status == 1
    assert "no 8-bit form keeps to the budget: the best of 2 judged loses 66.67" in outcome.err
    assert "allow more with --max-drop" in outcome.err
    record = json.loads(outcome.out)
    assert record["written"] is False and len(record["trials"]) == 4
    assert [trial["inside"] for trial in record["trials"][-2:]] == [False, False]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_calibration_pictures(ghostkit, network, tmp_path, count):
    folder = tmp_path / "few"
    folder.mkdir()
    if count:
        save_colours(folder, 1, seed=0)
    arguments = ("--to", "int8", "--calibration", folder, "-o", tmp_path / "m.onnx")
    error = ghostkit("convert", network, *arguments).err
    assert ("3 of 3 pictures can be used" if count else "no picture in") in error
    assert not (tmp_path / "m.onnx").exists()


def test_corrupt_calibration_pictures_are_told_and_nothing_is_written(ghostkit, network, tmp_path):
    for index in range(10):
        write_bad(tmp_path / "bad" / str(index))
    arguments = ("--to", "int8", "--calibration", tmp_path / "bad", "-o", tmp_path / "m.onnx")
    error = ghostkit("convert", network, *arguments).err
    assert "0 of 50 pictures can be used to calibrate, and at least 32 are needed; 50" in error
    assert "truncated JPEG" in error


def test_unreadable_pictures_of_data_and_calibration_are_named(ghostkit, network, photos, tmp_path):
    for source, part in ((photos / "train", "some"), (photos / "val", "labelled")):
        copytree(source, tmp_path / part)
        write_bad(tmp_path / part / "red")
    arguments = ("--calibration", tmp_path / "some", "--data", tmp_path / "labelled")
    outcome = ghostkit("convert", network, "--to", "int8", *arguments, "-o", tmp_path / "m.onnx")
    assert outcome.status == 1
    assert (tmp_path / "m.onnx").exists()
    for part in ("some", "labelled"):
        assert f"no answer: {tmp_path / part}/red/cut.jpg: truncated JPEG" in outcome.err
    report = json.loads((tmp_path / "m.onnx.report.json").read_bytes())
    assert len(report["unanswered"]) == 10


def test_a_disk_that_fills_up_leaves_nothing(ghostkit, network, photos, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    arguments = ("--calibration", photos / "train", "--data", photos, "-o", tmp_path / "m.onnx")
    outcome = ghostkit("convert", network, "--to", "int8", *arguments)
    assert outcome.status == 2
    assert "No space left on device" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "int8"), "--to int8 needs --calibration"),
        (
            ("--to", "tflite"),
            "is no target; there are: folded, half, int8, openvino, om",
        ),
        (("--to", "int8", "--soc", "Ascend310"), "--soc belongs to --to om; --to int8 does not"),
        (("--to", "om", "--data", "x"), "--data belongs to --to int8, openvino"),
        (("--to", "om", "--images", "x"), "--images belongs to --to folded, half, int8, openvino"),
    ],
)
def test_options_that_make_no_sense(ghostkit, network, tmp_path, arguments, words):
    error = ghostkit("convert", network, *arguments, "-o", tmp_path / "m.onnx").error
    assert words in error


def test_outputs_that_exist_and_inputs_that_are_no_onnx(ghostkit, network, photos, tmp_path):
    there = tmp_path / "there.onnx"
    there.write_bytes(b"mine")
    common = ("--to", "int8", "--calibration", photos / "train", "-o")
    assert "exists" in ghostkit("convert", network, *common, there).error
    assert there.read_bytes() == b"mine"
    itself = ghostkit("convert", network, *common, network, "--overwrite").error
    assert "is the model itself" in itself
    checkpoint = ghostkit("convert", tmp_path / "m.pth.tar", *common, tmp_path / "o.onnx").error
    assert "ghostkit export" in checkpoint
    missing = ghostkit("convert", tmp_path / "no.onnx", *common, tmp_path / "o.onnx").error
    assert "no such model file" in missing


def test_a_folder_as_output_is_refused_with_a_name(ghostkit, network):
    error = ghostkit("convert", network, "--to", "folded", "-o", ".").error
    assert "--to folded writes a file NAME.onnx" in error and "name it 'model.onnx'" in error


@pytest.mark.parametrize("name", ["m.xml", "m.om", "m"])
def test_a_name_by_which_no_command_would_open_it_is_refused(ghostkit, network, tmp_path, name):
    outcome = ghostkit("convert", network, "--to", "folded", "-o", tmp_path / "new" / name)
    assert "--to folded writes a file NAME.onnx" in outcome.error
    assert f"name it {str(tmp_path / 'new' / 'm.onnx')!r}" in outcome.error
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_cannot_be_read_are_not_called_a_difference(ghostkit, network, tmp_path):
    arguments = ("--to", "folded", "-o", tmp_path / "m.onnx", "--images", tmp_path / "no.jpg")
    (tmp_path / "no.jpg").touch()
    outcome = ghostkit("convert", network, *arguments)
    assert outcome.status == 1
    assert "neither model answers any of 1 pictures" in outcome.err
    assert "no.jpg: empty file. --images names others" in outcome.err


def test_what_is_converted_already_is_told(ghostkit, converted, photos, tmp_path):
    again = ("convert", converted[0], "--to", "int8", "--calibration", photos / "train", "-o")
    error = ghostkit(*again, tmp_path / "again.onnx").error
    assert "int8.onnx: it computes in 8 bits already" in error and "the float model" in error
    folded = tmp_path / "folded.onnx"
    images = ("--images", photos / "val")
    source = ("convert", converted[0], "--to", "folded", *images, "-o", folded)
    assert ghostkit(*source).status == 0
    error = ghostkit("convert", folded, "--to", "folded", *images, "-o", tmp_path / "b.onnx").error
    assert "folded.onnx: takes uint8 NHWC RGB pixels already; nothing is left to fold" in error


def test_a_model_without_layers_for_bytes_is_told_before_pictures_are_read(
    ghostkit, make_model, tmp_path
):
    arguments = ("--to", "int8", "--calibration", tmp_path / "none", "-o", tmp_path / "m.onnx")
    error = ghostkit("convert", make_model(), *arguments).error
    assert "tiny.onnx: it has no convolution or matrix product to compute in 8 bits" in error


def test_without_onnx_the_pip_command_is_said(ghostkit, network, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    error = ghostkit("convert", network, "--to", "int8", "-o", tmp_path / "m.onnx").error
    assert 'pip install "ghostkit[convert]"' in error


def test_every_target_has_its_function():
    from importlib import import_module

    for target in targets.TARGETS.values():
        assert callable(
            getattr(import_module(f"ghostkit.convert.{target.module}"), target.function)
        )


def test_om_takes_the_batch_and_the_shape_of_the_command_line(ghostkit, network, tmp_path):
    arguments = ("convert", network, "--to", "om", "--dry-run", "--json")
    batch = ghostkit(*arguments, "-o", tmp_path / "a.om", "--batch-size", 4)
    assert "--input_shape=image:4,3,8,8" in json.loads(batch.out)["command"]
    shape = ("--input-shape", "image:2,3,8,8")
    shaped = ghostkit(*arguments, "-o", tmp_path / "b.om", *shape)
    assert "--input_shape=image:2,3,8,8" in json.loads(shaped.out)["command"]
    wrong = ghostkit(*arguments, "-o", tmp_path / "c.om", "--input-shape", "image:1,3,16,16")
    assert wrong.status == 2 and "16" in wrong.error and "8" in wrong.error
    other = ghostkit("convert", network, "--to", "folded", "-o", tmp_path / "d.onnx", *shape)
    assert "--input-shape belongs to --to om" in other.error


def test_om_adds_its_suffix_beside_a_folder_of_that_name(ghostkit, network, tmp_path):
    (tmp_path / "ghostnet").mkdir()
    arguments = ("convert", network, "--to", "om", "--dry-run", "-o", tmp_path / "ghostnet")
    assert ghostkit(*arguments).status == 0
    assert (tmp_path / "ghostnet.aipp.cfg").is_file()
    (tmp_path / "ghostnet.om").write_bytes(b"mine")
    assert "ghostnet.om' exists" in ghostkit(*arguments).error


@pytest.mark.parametrize(("tolerance", "status"), [("1", 0), ("0.000001", 1)])
def test_a_tolerance_of_8_bits_is_kept_by_every_probability(
    ghostkit, network, photos, tmp_path, tolerance, status
):
    arguments = ("--calibration", photos / "train", "-o", tmp_path / "m.onnx")
    outcome = ghostkit("convert", network, "--to", "int8", *arguments, "--tolerance", tolerance)
    assert outcome.status == status, outcome
    assert (tmp_path / "m.onnx").exists() == (status == 0)
    if status:
        assert "a probability differs by more than 1e-06 in" in outcome.err


def test_pictures_of_several_sizes_calibrate_a_model_that_takes_any(ghostkit, tmp_path):
    import onnx

    path = write_network(tmp_path / "any.onnx")
    model = onnx.load(path)
    for axis, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    card = json.loads(model.metadata_props[0].value)
    card["steps"] = card["steps"][-1:]  # pictures keep their sizes
    card["input"] = {}
    model.metadata_props[0].value = json.dumps(card)
    onnx.save(model, path)
    for index, size in enumerate([(20, 16), (24, 16), (16, 24)] * 4):
        for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
            save_square(tmp_path / "photos" / name / f"{index}.png", color, size)
    output = tmp_path / "int8.onnx"
    arguments = ("--calibration", tmp_path / "photos", "-o", output)
    outcome = ghostkit("convert", path, "--to", "int8", *arguments, "--max-drop", 0)
    assert outcome.status == 0, outcome
    report = json.loads(output.with_name("int8.onnx.report.json").read_bytes())
    assert report["calibration"]["images"] == 18 and report["agreement"] == 1.0
    result = load(output)
    for size in ((16, 24), (30, 17)):
        assert result(save_square(tmp_path / "new.png", GREEN, size)).best[0] == "green"
