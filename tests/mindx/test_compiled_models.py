"""Pipelines whose modelPath is an .om: on a device (a strict stand-in), or by its ONNX and AIPP.

Nothing here was run on an Ascend device.
"""

import json

import numpy as np
import pytest

from aipp_files import SEED_FILE
from ghostkit.aipp import match, parse
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import write_sidecar
from ghostkit.errors import PipelineError
from ghostkit.mindx.agreement import check_normalised_once, disagreements
from ghostkit.mindx.grammar import read_pipeline
from ghostkit.mindx.program import compile_stream
from ghostkit.mindx.request import Request
from mindx.pipelines import ghostnet, inserted, write_project
from seed_model import seed_card, write_model
from tiny import BLUE, GREEN, RED, save_square

cv2 = pytest.importorskip("cv2")
pytest.importorskip("onnx")

SIZE = 32
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


@pytest.fixture
def project(tmp_path, make_model):
    """A function that writes the original's pipeline with a model of the original's card."""

    def write(content=None):
        path = write_project(tmp_path / "data", make_model, content)
        write_model(path.parent / "ghostnet.onnx", SIZE, batch=None)
        return path

    return write


def write_card_of_om(folder, aipp=SEED_FILE):
    """The card that `ghostkit convert --to om` leaves beside the .om."""
    float_card = seed_card(SIZE)
    card = match(float_card, parse(aipp), "x").host_card
    recipe = card.provenance.recipe | {"atc": {"soc": "Ascend310", "aipp": aipp}}
    provenance = card.provenance.model_copy(update={"recipe": recipe})
    card = card.model_copy(update={"provenance": provenance})
    write_sidecar(card, folder / "ghostnet.om")
    return card


def with_normalize(**props):
    values = {"alpha": "123.675,116.28,103.53", "beta": "58.395,57.12,57.375"}
    return inserted("mxpi_opencvcentercrop0", "mxpi_imagenormalize", values | props)


def compiled(path, **options):
    return compile_stream(read_pipeline(path), "im_ghostnet", **options)


def noise(tmp_path):
    pixels = np.random.default_rng(5).integers(0, 255, (70, 90, 3)).astype(np.uint8)
    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), pixels)
    return str(path), cv2.resize(pixels, (36, 36))[2:34, 2:34]  # BGR, as it reaches the model


def outputs_of(program, path):
    request = Request(path)
    program.run(request)
    [row] = request.tensors("mxpi_tensorinfer0", "x")
    return row[0]


@pytest.mark.parametrize("interface", ["acl", "ais_bench"])
def test_on_a_machine_with_a_device_the_om_itself_gets_the_pipelines_bytes(
    acl, project, tmp_path, monkeypatch, interface
):
    monkeypatch.setattr("ghostkit.backend.ascend.INTERFACES", (interface,))
    path = project()
    (path.parent / "ghostnet.onnx").unlink()
    write_card_of_om(path.parent)
    shape = {"batch": 1, "height": SIZE, "width": SIZE, "classes": 3}
    om = {"dtype": "uint8", "layout": "NHWC"} | shape
    (path.parent / "ghostnet.om").write_text(json.dumps(om))
    program = compiled(path)
    assert program.notices == ()  # nothing stands in for anything
    photo, bgr = noise(tmp_path)
    np.testing.assert_allclose(outputs_of(program, photo), bgr.mean(axis=(0, 1)), rtol=1e-5)
    assert program.models["mxpi_tensorinfer0"].classifier.backend.name == f"{interface} device 0"


def test_the_command_runs_it_too_one_batch_at_a_time(acl, project, ghostkit, tmp_path):
    path = project()
    write_card_of_om(path.parent)
    om = {"batch": 2, "height": SIZE, "width": SIZE, "classes": 3, "dtype": "uint8"}
    (path.parent / "ghostnet.om").write_text(json.dumps(om | {"layout": "NHWC"}))
    for name, color in (("r", RED), ("g", GREEN), ("b", BLUE)):
        save_square(tmp_path / "val" / f"{name}.png", color, (40, 40))
    outcome = ghostkit("pipeline", path, tmp_path / "val", tmp_path / "result")
    assert outcome.status == 0 and "is answered by" not in outcome.err
    found = {p.name: p.read_text()[0] for p in (tmp_path / "result").iterdir()}
    assert found == {"r_1.txt": "2", "g_1.txt": "1", "b_1.txt": "0"}  # its bytes are BGR


def test_the_device_is_the_streams(acl, project):
    content = ghostnet()
    content["im_ghostnet"]["stream_config"]["deviceId"] = "5"
    path = project(content)
    write_card_of_om(path.parent)
    om = {"batch": 1, "height": SIZE, "width": SIZE, "classes": 3, "dtype": "uint8"}
    (path.parent / "ghostnet.om").write_text(json.dumps(om | {"layout": "NHWC"}))
    with pytest.raises(Exception, match="status 107001 on device 5"):
        compiled(path)


@pytest.mark.parametrize("beside", ["card", "file", "option"])
def test_without_a_device_its_onnx_gets_the_chips_numbers(project, tmp_path, beside):
    path = project()
    options = {}
    if beside == "card":
        write_card_of_om(path.parent)
    elif beside == "file":
        (path.parent / "ghostnet.aipp.cfg").write_text(SEED_FILE)
    else:
        (tmp_path / "my.cfg").write_text(SEED_FILE)
        options = {"aipp": str(tmp_path / "my.cfg")}
    program = compiled(path, **options)
    assert any("is simulated: the model gets the chip's numbers" in n for n in program.notices)
    photo, bgr = noise(tmp_path)
    found = outputs_of(program, photo)
    shift, scale = np.float16(MEAN).astype(float), np.float16(1 / STD).astype(float)
    chip = ((bgr[..., ::-1].astype(float) - shift) * scale).astype(np.float16)
    np.testing.assert_allclose(found, chip.astype(float).mean(axis=(0, 1)), atol=1e-5)
    exact = ((bgr[..., ::-1] - MEAN) / STD).mean(axis=(0, 1))
    assert 1e-6 < np.abs(found - exact).max() < 0.003  # half a precision away from training


def test_without_any_aipp_the_onnx_normalises_as_its_card_says(project, tmp_path):
    photo, bgr = noise(tmp_path)
    exact = ((bgr[..., ::-1] - MEAN) / STD).mean(axis=(0, 1))
    np.testing.assert_allclose(outputs_of(compiled(project()), photo), exact, atol=1e-5)


def test_an_om_of_another_model_than_the_onnx_is_told(project):
    path = project()
    write_card_of_om(path.parent)
    write_model(path.parent / "ghostnet.onnx", SIZE, batch=None)
    other = path.parent / "ghostnet.onnx.card.json"
    assert not other.exists()
    card = json.loads((path.parent / "ghostnet.om.card.json").read_text())
    card["provenance"]["parents"] = ["0" * 64]
    (path.parent / "ghostnet.om.card.json").write_text(json.dumps(card))
    assert any("made from another model than" in notice for notice in compiled(path).notices)


def test_an_aipp_that_is_not_the_cards_is_told_before_the_run(ghostkit, project, tmp_path):
    path = project()
    wrong = tmp_path / "wrong.cfg"
    wrong.write_text(
        SEED_FILE.replace("123.675", "103.53", 1).replace("103.53\n    var", "123.675\n    var")
    )
    save_square(tmp_path / "val" / "a.png", RED, (40, 40))
    told = "the AIPP file does not normalise as training did"
    outcome = ghostkit("pipeline", path, tmp_path / "val", tmp_path / "r", "--aipp", wrong)
    assert outcome.err.index(told) < outcome.err.index("1 pictures: 1 answered")
    explained = ghostkit("pipeline", path, "--explain", "--aipp", wrong)
    assert explained.status == 1 and told in explained.out


def test_colours_that_a_device_would_exchange_are_told_and_put_right(project, tmp_path):
    path = project(ghostnet(mxpi_imagedecoder={"outputDataFormat": "RGB"}))
    write_card_of_om(path.parent)
    program = compiled(path)
    [found] = [line for line in disagreements(program) if "exchange red and blue" in line]
    assert "the pipeline gives RGB, the compiled model takes BGR" in found
    photo = str(save_square(tmp_path / "r.png", RED, (40, 40)))
    assert outputs_of(program, photo).argmax() == 0
    assert not any("exchange" in line for line in disagreements(compiled(project())))


@pytest.mark.parametrize(
    ("props", "aipp", "words"),
    [
        ({"dataType": "FLOAT32"}, True, "mxpi_imagenormalize0 normalises, and so does the model"),
        ({"dataType": "UINT8"}, True, "mxpi_imagenormalize0 normalises, and so does the model"),
        ({"dataType": "UINT8"}, False, "write dataType FLOAT32"),
        ({"processType": "0"}, True, "and so does the model or its AIPP"),
    ],
)
def test_pixels_that_would_be_normalised_twice_are_refused(
    ghostkit, project, tmp_path, props, aipp, words
):
    path = project(with_normalize(**props))
    if aipp:
        write_card_of_om(path.parent)
    save_square(tmp_path / "val" / "a.png", RED, (40, 40))
    outcome = ghostkit("pipeline", path, tmp_path / "val", tmp_path / "r")
    assert outcome.status == 2 and words in outcome.err and "(1004)" in outcome.err
    assert "normalised twice" in outcome.err and not list((tmp_path / "r").glob("*"))
    explained = ghostkit("pipeline", path, "--explain")
    assert explained.status == 1 and "such a run is refused" in explained.out


def test_programs_are_refused_pixels_that_would_be_normalised_twice(project, caplog):
    pytest.importorskip("google.protobuf")
    from StreamManagerApi import StreamManagerApi

    path = project(with_normalize(dataType="FLOAT32"))
    write_card_of_om(path.parent)
    api = StreamManagerApi()
    api.InitManager()
    assert api.CreateMultipleStreamsFromFile(str(path).encode()) == 1004
    assert "normalised twice" in caplog.text


def test_an_aipp_before_a_model_that_normalises_itself_is_refused(project):
    """Its card has no normalize step: it takes 0..255."""
    import onnx

    path = project()
    model = onnx.load(path.parent / "ghostnet.onnx")
    card = seed_card(SIZE)
    card = card.model_copy(update={"steps": card.steps[:-1]})
    model.metadata_props[0].value = card.to_json()
    onnx.save(model, path.parent / "ghostnet.onnx")
    (path.parent / "ghostnet.aipp.cfg").write_text(SEED_FILE)
    program = compiled(path)
    with pytest.raises(PipelineError, match="its AIPP normalises, and the model") as caught:
        check_normalised_once(program)
    assert caught.value.code == 1004
    assert any("normalised twice" in line for line in disagreements(program))


def test_a_normalisation_of_the_pipelines_own_is_held_against_the_cards(project, tmp_path):
    same = compiled(project(with_normalize(dataType="FLOAT32")))
    check_normalised_once(same)
    assert not any("normalis" in line for line in disagreements(same))
    photo, bgr = noise(tmp_path)
    exact = ((bgr[..., ::-1] - MEAN) / STD).mean(axis=(0, 1))
    np.testing.assert_allclose(outputs_of(same, photo), exact, atol=1e-5)
    turned = compiled(project(with_normalize(dataType="FLOAT32", beta="-1,1,1")))
    assert any("a card has no step for" in line for line in disagreements(turned))
    other = compiled(project(with_normalize(dataType="FLOAT32", alpha="0,0,0")))
    assert any("by another mean or std than training" in line for line in disagreements(other))


def test_float_pixels_that_nothing_normalises_are_told(project):
    floats = ghostnet(mxpi_imagedecoder={"dataType": "float32"})
    told = "the host does not normalise, and neither does the model"
    assert any(told in line for line in disagreements(compiled(project(floats))))
    content = with_normalize(dataType="auto")  # keeps what the decoder gives
    content["im_ghostnet"]["mxpi_imagedecoder0"]["props"]["dataType"] = "float32"
    program = compiled(project(content))
    check_normalised_once(program)
    assert not any("normalis" in line for line in disagreements(program))


def test_aipp_for_a_compiled_model_or_a_missing_file_is_refused(acl, project, tmp_path):
    path = project()
    with pytest.raises(PipelineError, match="the AIPP file cannot be read") as caught:
        compiled(path, aipp=str(tmp_path / "no.cfg"))
    assert caught.value.code == 1016
    (path.parent / "ghostnet.om").write_text("{}")
    (tmp_path / "my.cfg").write_text(SEED_FILE)
    with pytest.raises(PipelineError, match="has its AIPP inside"):
        compiled(path, aipp=str(tmp_path / "my.cfg"))
    assert OnnxBackend(path.parent / "ghostnet.onnx").card == seed_card(SIZE)
