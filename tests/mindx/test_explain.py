import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from ghostkit.card import write_sidecar
from ghostkit.mindx.drawing import drawing
from ghostkit.mindx.grammar import parse, read_pipeline
from ghostkit.steps import CenterCrop, Resize
from mindx.pipelines import SIZE, ghostnet, write_project
from tiny import RED, save_square, tiny_card

pytest.importorskip("cv2")

SHORT = int(SIZE / 0.875)  # of the tiny model's card: 36


def test_the_stretch_of_the_seed_against_the_cards_aspect_is_told_before_the_run(
    ghostkit, tmp_path, make_model
):
    project = write_project(tmp_path / "d", make_model)
    save_square(tmp_path / "val" / "a.png", RED, (60, 40))
    outcome = ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r")
    said = outcome.err.index(
        f"the host stretches every picture to {SHORT}x{SHORT}, training kept its aspect"
    )
    assert said < outcome.err.index("1 pictures: 1 answered")


def test_a_script_reads_the_same_as_json(ghostkit, tmp_path, make_model):
    path = write_project(tmp_path / "d", make_model)
    words = ghostkit("pipeline", path, "--explain")
    outcome = ghostkit("pipeline", path, "--explain", "--json")
    record = json.loads(outcome.out)
    assert outcome.status == words.status == 1 and not record["as_trained"]
    lines = [f"{each['element']}: {each['does']}" for each in record["elements"]]
    lines += [f"note: {each}" for each in record["notes"]]
    for line in [*lines, *record["contradictions"]]:
        assert line in words.out.splitlines()
    (path.parent / "ghostnet.onnx").unlink()
    missing = ghostkit("pipeline", path, "--explain", "--json")
    assert missing.status == 2
    assert "no ONNX model for it" in json.loads(missing.out)["error"]
    assert "--json is for --explain" in ghostkit("pipeline", path, "--json").error


def test_explain_says_what_each_element_does_and_runs_nothing(ghostkit, tmp_path, make_model):
    project = write_project(tmp_path / "d", make_model)
    outcome = ghostkit("pipeline", project, "--explain", "--svg", tmp_path / "p.svg")
    assert outcome.status == 1  # it disagrees
    assert f"mxpi_imageresize0: stretches it to {SHORT}x{SHORT}" in outcome.out
    assert f"mxpi_opencvcentercrop0: cuts out the middle, {SIZE}x{SIZE}" in outcome.out
    assert "not what the model was trained with" in outcome.out
    assert "training kept its aspect" in outcome.out
    root = ElementTree.parse(tmp_path / "p.svg").getroot()
    texts = ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("text")]
    assert "mxpi_tensorinfer0" in texts
    assert "training kept its aspect" in " ".join(" ".join(texts).split())


def test_explain_leaves_the_file_of_a_filesink_as_it_is(ghostkit, tmp_path, make_model):
    content = ghostnet()
    content["im_ghostnet"]["mxpi_dataserialize0"]["next"] = "filesink0"
    kept = tmp_path / "results.json"
    sink = {"factory": "filesink", "props": {"location": str(kept)}}
    content["im_ghostnet"] = {
        name: each for name, each in content["im_ghostnet"].items() if name != "appsink0"
    } | {"filesink0": sink}
    project = write_project(tmp_path / "d", make_model, content)
    ghostkit("pipeline", project, "--explain")
    assert not kept.exists()
    kept.write_text("precious")
    ghostkit("pipeline", project, "--explain")
    assert kept.read_text() == "precious"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"handleMethod": "", "interpolation": "2"}, "(nearest pixel)"),
        (
            {"paddingType": "Padding_Around", "paddingWidth": "64", "paddingHeight": "60"},
            "pads to 64x60 (bilinear, OpenCV)",
        ),
    ],
)
def test_nearest_pixels_and_padding_are_no_step_of_a_card(
    ghostkit, tmp_path, make_model, changes, words
):
    project = write_project(tmp_path / "d", make_model, ghostnet(mxpi_imageresize=changes))
    outcome = ghostkit("pipeline", project, "--explain")
    assert outcome.status == 1
    assert words in outcome.out
    assert "elements, or settings of them, that a card has no step for" in outcome.out


def test_a_file_whose_model_is_not_here_is_explained_all_the_same(ghostkit, tmp_path):
    path = tmp_path / "a.pipeline"
    path.write_text(json.dumps(ghostnet()))
    outcome = ghostkit("pipeline", path, "--explain", "--svg", tmp_path / "p.svg")
    assert outcome.status == 2
    assert f"mxpi_imageresize0: stretches it to {SHORT}x{SHORT}" in outcome.out
    assert "no ONNX model for it" in outcome.err
    assert "mxpi_tensorinfer0" in (tmp_path / "p.svg").read_text()


def test_a_video_source_is_explained_and_refused_in_one_sentence(ghostkit, tmp_path, make_model):
    content = ghostnet()
    stream = content["im_ghostnet"]
    del stream["appsrc0"]
    url = "rtsp://admin:secret@10.0.0.1/1"
    stream["mxpi_rtspsrc0"] = {
        "factory": "mxpi_rtspsrc",
        "props": {"rtspUrl": url, "channelId": "0", "tlsValidationFlags": "127"},
        "next": "mxpi_imagedecoder0",
    }
    project = write_project(tmp_path / "d", make_model, content)
    explained = ghostkit("pipeline", project, "--explain")
    assert explained.status == 2
    assert "mxpi_rtspsrc0: takes a video" in explained.out
    assert f"mxpi_imageresize0: stretches it to {SHORT}x{SHORT}" in explained.out
    assert "secret" not in explained.out + explained.err
    save_square(tmp_path / "val" / "a.png", RED, (60, 40))
    outcome = ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r")
    assert outcome.status == 2 and not (tmp_path / "r").exists()
    assert (
        "im_ghostnet.mxpi_rtspsrc0: video streams are not supported; decode the frames and send "
        "them as pictures (1005)"
    ) in outcome.err


@pytest.mark.parametrize(
    "change",
    [
        {"mxpi_opencvcentercrop": {"cropHeight": "30000", "cropWidth": "30000"}},
        {"mxpi_imageresize": {"resizeType": "Resizer_PaddleOCR"}},
    ],
)
def test_what_no_card_can_say_is_told_to_be_so(ghostkit, tmp_path, make_model, change):
    project = write_project(tmp_path / "d", make_model, ghostnet(**change))
    outcome = ghostkit("pipeline", project, "--explain")
    assert outcome.status == 1
    assert (
        "its picture comes by elements, or settings of them, that a card has no step for"
        in outcome.out
    )


def test_a_short_side_that_the_sdks_arithmetic_makes_less_than_the_crop_is_told(
    ghostkit, tmp_path, make_model
):
    resize = {"resizeType": "Resizer_KeepAspectRatio_Short", "scaleValue": str(SIZE)}
    project = write_project(tmp_path / "d", make_model, ghostnet(mxpi_imageresize=resize))
    outcome = ghostkit("pipeline", project, "--explain")
    [side] = map(int, re.findall(r"as of (\d+) pixels; they fail", outcome.out))
    assert int(np.float32(side) * (np.float32(SIZE) / np.float32(side))) == SIZE - 1


def test_branches_are_drawn_by_their_links(tmp_path):
    content = ghostnet()
    stream = content["im_ghostnet"]
    stream["mxpi_dataserialize0"]["next"] = "tee0"
    stream["tee0"] = {"factory": "tee", "next": ["appsink0", "fakesink0"]}
    stream["fakesink0"] = {"factory": "fakesink"}
    parsed = parse(json.dumps(content), "a").streams["im_ghostnet"]
    root = ElementTree.fromstring(drawing(parsed))
    arrows = [n for n in root.iter() if n.tag.endswith("path") and n.get("d").endswith("z")]
    assert len(arrows) == sum(len(element.next) for element in parsed.elements.values()) == 9
    assert len([n for n in root.iter() if n.get("fill") == "none"]) == 1  # past its neighbour


def test_fix_writes_a_file_that_prepares_as_the_card_says(ghostkit, tmp_path, make_model):
    project = write_project(tmp_path / "d", make_model)
    fixed = project.parent / "fixed.pipeline"
    outcome = ghostkit("pipeline", project, "--fix", fixed)
    assert outcome.status == 0
    before, after = (
        read_pipeline(path).streams["im_ghostnet"].elements for path in (project, fixed)
    )
    resize = after["mxpi_imageresize0"]
    assert resize.get("resizeType") == "Resizer_KeepAspectRatio_Short"
    assert resize.get("scaleValue") == str(SHORT)
    assert "resizeHeight" not in resize.properties
    for name in set(before) - {"mxpi_imageresize0"}:
        assert before[name] == after[name]
    assert list(json.loads(fixed.read_text())) == ["im_ghostnet"]
    again = ghostkit("pipeline", fixed, "--explain")
    assert "kept its aspect" not in again.out and "no antialias" in again.out
    assert "exists" in ghostkit("pipeline", project, "--fix", fixed).err


def test_fix_lets_opencv_work_where_the_device_was_asked_for(ghostkit, tmp_path, make_model):
    """The SDK keeps the aspect with OpenCV alone, and OpenCV needs pixels in the host's memory."""
    content = ghostnet()
    for name in ("mxpi_imagedecoder0", "mxpi_imageresize0"):
        del content["im_ghostnet"][name]["props"]["handleMethod"]
    project = write_project(tmp_path / "d", make_model, content)
    fixed = project.parent / "fixed.pipeline"
    ghostkit("pipeline", project, "--fix", fixed)
    elements = read_pipeline(fixed).streams["im_ghostnet"].elements
    for name in ("mxpi_imagedecoder0", "mxpi_imageresize0"):
        assert elements[name].get("handleMethod") == "opencv"


def test_the_fixed_pipeline_gives_the_pixels_of_the_cards_geometry(tmp_path, make_model, ghostkit):
    import cv2

    from ghostkit.mindx.program import compile_stream
    from ghostkit.mindx.request import Request

    project = write_project(tmp_path / "d", make_model)
    fixed = project.parent / "fixed.pipeline"
    ghostkit("pipeline", project, "--fix", fixed)
    pixels = np.random.default_rng(4).integers(0, 255, (60, 90, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), pixels)
    program = compile_stream(read_pipeline(fixed), "im_ghostnet")
    request = Request(str(tmp_path / "x.png"))
    program.run(request)
    [vision] = request.visions("mxpi_imageresize0", "x")
    assert vision.pixels.shape == (SHORT, 54, 3)
    np.testing.assert_array_equal(vision.pixels, cv2.resize(pixels, (54, SHORT)))
    assert tiny_card(SIZE).steps[0].short == SHORT


def test_a_crop_of_another_size_is_refused_by_the_model_and_mended_by_fix(
    ghostkit, tmp_path, make_model
):
    content = ghostnet(mxpi_opencvcentercrop={"cropHeight": "30", "cropWidth": "34"})
    project = write_project(tmp_path / "d", make_model, content)
    save_square(tmp_path / "val" / "a.png", RED, (60, 40))
    outcome = ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r")
    assert "picture of 34x30, but the model takes 32x32" in outcome.err
    fixed = project.parent / "fixed.pipeline"
    ghostkit("pipeline", project, "--fix", fixed)
    crop = read_pipeline(fixed).streams["im_ghostnet"].elements["mxpi_opencvcentercrop0"]
    assert (crop.get("cropHeight"), crop.get("cropWidth")) == ("32", "32")


def with_steps(folder, *steps):
    """The project's model with a card of these steps."""
    write_sidecar(tiny_card(SIZE).model_copy(update={"steps": steps}), folder / "ghostnet.onnx")


def test_fix_refuses_a_crop_that_the_card_does_not_have(ghostkit, tmp_path, make_model):
    project = write_project(tmp_path / "d", make_model)
    bare = make_model("bare.onnx", card="").replace(project.parent / "ghostnet.onnx")
    with_steps(bare.parent, Resize(size=(SIZE, SIZE)))
    fixed = project.parent / "fixed.pipeline"
    outcome = ghostkit("pipeline", project, "--fix", fixed)
    assert outcome.status == 2 and not fixed.exists()
    assert "which take mxpi_imageresize before it, in this order; the pipeline has " in outcome.err
    assert "mxpi_imageresize0, then mxpi_opencvcentercrop0; put in or take out" in outcome.err


def test_fix_mends_a_crop_where_the_card_has_no_resize(ghostkit, tmp_path, make_model):
    content = ghostnet(mxpi_opencvcentercrop={"cropHeight": "30", "cropWidth": "34"})
    stream = content["im_ghostnet"]
    del stream["mxpi_imageresize0"]
    stream["mxpi_imagedecoder0"]["next"] = "mxpi_opencvcentercrop0"
    project = write_project(tmp_path / "d", make_model, content)
    bare = make_model("bare.onnx", card="").replace(project.parent / "ghostnet.onnx")
    with_steps(bare.parent, CenterCrop(size=(SIZE, SIZE)))
    fixed = project.parent / "fixed.pipeline"
    assert ghostkit("pipeline", project, "--fix", fixed).status == 0
    crop = read_pipeline(fixed).streams["im_ghostnet"].elements["mxpi_opencvcentercrop0"]
    assert (crop.get("cropHeight"), crop.get("cropWidth")) == ("32", "32")
    save_square(tmp_path / "val" / "a.png", RED, (60, 40))
    assert ghostkit("pipeline", fixed, tmp_path / "val", tmp_path / "r").status == 0
    assert (tmp_path / "r" / "a_1.txt").read_text() == "0 1 \n"
