"""mxpi_imagecrop by the rectangles of a detector or of the file, and mxpi_imageencoder."""

import json
from pathlib import Path

import numpy as np
import pytest

from ghostkit.errors import ElementError, PipelineError
from ghostkit.mindx.elements import BUILDERS
from ghostkit.mindx.explain import WORDS
from ghostkit.mindx.factories import FACTORIES
from ghostkit.mindx.folder_run import class_ids
from ghostkit.mindx.grammar import read_pipeline
from ghostkit.mindx.program import compile_stream
from ghostkit.mindx.request import Detected, Request
from mindx.pipelines import ghostnet, inserted, write_project

cv2 = pytest.importorskip("cv2")

SIDES = ("x0", "y0", "x1", "y1")


def with_crop(**props):
    values = {"handleMethod": "opencv", "dataSource": "appsrc0"}
    return inserted("mxpi_imagedecoder0", "mxpi_imagecrop", values | props)


@pytest.fixture
def red_and_blue(tmp_path):
    """A picture of 80x40, red in its left half and blue in its right one."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :40, 2] = pixels[:, 40:, 0] = 255  # BGR
    cv2.imwrite(str(tmp_path / "two.png"), pixels)
    return str(tmp_path / "two.png")


@pytest.fixture
def run(tmp_path, make_model):
    def call(content, picture, objects=None):
        path = write_project(tmp_path / "d", make_model, content)
        program = compile_stream(read_pipeline(path), "im_ghostnet")
        request = Request(picture)
        if objects is not None:
            request.metadata["appsrc0"] = [Detected(*each) for each in objects]
        program.run(request)
        return request

    return call


def best(request):
    return [e["className"] for e in json.loads(request.outputs["appsink0"])["MxpiClass"]][::2]


def test_every_element_of_the_table_is_built_and_explained():
    assert set(FACTORIES) == set(BUILDERS) == set(WORDS)


def test_each_rectangle_of_a_detector_is_one_answer(run, red_and_blue):
    request = run(with_crop(), red_and_blue, [(41, 1, 80, 40), (1, 1, 39.9, 40)])
    assert best(request) == ["blue", "red"]


def test_where_a_detector_finds_nothing_there_is_no_answer_and_no_error(run, red_and_blue):
    assert run(with_crop(), red_and_blue, []).outputs["appsink0"] == b"{}"


def test_a_picture_whose_rectangles_nobody_gave_is_an_error_of_its_own(run, red_and_blue):
    with pytest.raises(ElementError, match="'appsrc0' has given no metadata") as caught:
        run(with_crop(), red_and_blue)
    assert caught.value.code == 11003


def test_coordinates_are_cut_to_whole_pixels_grown_and_kept_inside(run, red_and_blue):
    generator = np.random.default_rng(2)
    pixels = generator.integers(0, 255, (60, 100, 3)).astype(np.uint8)
    cv2.imwrite(red_and_blue, pixels)
    ratios = {"leftExpandRatio": "0.5", "rightExpandRatio": "0.25", "upExpandRatio": "1"}
    request = run(with_crop(**ratios), red_and_blue, [(20.9, 30.9, 60.9, 50.9), (80, 20, 99, 55)])
    first, second = request.visions("mxpi_imagecrop0", "x")
    np.testing.assert_array_equal(first.pixels, pixels[10:50, 0:70])
    np.testing.assert_array_equal(second.pixels, pixels[0:55, 70:100])


def test_rectangles_outside_are_left_out_and_2001_where_all_are(run, red_and_blue):
    request = run(with_crop(), red_and_blue, [(200, 1, 240, 40), (41, 1, 80, 40)])
    assert best(request) == ["blue"]
    with pytest.raises(ElementError, match="lie outside the picture of 80x40") as caught:
        run(with_crop(), red_and_blue, [(200, 1, 240, 40)])
    assert caught.value.code == 2001


@pytest.mark.parametrize(
    ("left", "right", "classes"),
    [("1,41", "40,80", ["red", "blue"]), ("200,1", "240,40", ["red"])],
    ids=["both inside", "the first outside"],
)
def test_rectangles_of_the_file_are_answered_nested_too(run, red_and_blue, left, right, classes):
    """They were found by nobody, so each crop hangs below the picture that it is of."""
    sides = {
        "cropPointx0": left,
        "cropPointx1": right,
        "cropPointy0": "1,1",
        "cropPointy1": "40,40",
    }
    content = with_crop(autoDetectFrame="0", **sides)
    serialize = content["im_ghostnet"]["mxpi_dataserialize0"]["props"]
    for keys in ("mxpi_classpostprocessor0", "mxpi_tensorinfer0,mxpi_classpostprocessor0"):
        serialize["outputDataKeys"] = keys
        text = run(content, red_and_blue).outputs["appsink0"].decode()
        ids = class_ids(text)
        assert [("red", "green", "blue")[each] for each in ids[::2]] == classes, keys


def test_the_decoders_picture_is_cut_also_behind_a_resize(run, red_and_blue):
    """A resize adds a picture beside the one that was decoded, which is the SDK's to cut."""
    content = with_crop()
    stream = content["im_ghostnet"]
    stream["mxpi_imagedecoder0"]["next"] = "mxpi_imageresize1"
    stream["mxpi_imageresize1"] = stream["mxpi_imageresize0"] | {"next": "mxpi_imagecrop0"}
    box = [(50, 1, 70, 40)]
    request = run(content, red_and_blue, box)
    assert request.visions("mxpi_imagecrop0", "x")[0].pixels.shape == (39, 20, 3)
    stream["mxpi_imagecrop0"]["props"]["dataSourceImage"] = "mxpi_imageresize1"
    with pytest.raises(ElementError, match="outside the picture of 36x36"):
        run(content, red_and_blue, box)


def test_a_second_input_gives_the_pictures(run, red_and_blue):
    content = with_crop()
    stream = content["im_ghostnet"]
    stream["appsrc0"]["next"] = "tee0"
    stream["tee0"] = {"factory": "tee", "next": ["mxpi_imagecrop0:0", "mxpi_imagedecoder0"]}
    stream["mxpi_imagedecoder0"]["next"] = "mxpi_imagecrop0:1"
    assert best(run(content, red_and_blue, [(41, 1, 80, 40)])) == ["blue"]


def test_the_devices_crop_resizes_and_opencvs_does_not(run, red_and_blue):
    sizes = {"resizeWidth": "64", "resizeHeight": "48"}
    box = [(1, 1, 31, 31)]
    by_device = run(with_crop(handleMethod="ascend", **sizes), red_and_blue, box)
    assert by_device.visions("mxpi_imagecrop0", "x")[0].pixels.shape == (48, 64, 3)
    fitted = sizes | {"resizeType": "Resizer_KeepAspectRatio_Fit", "RGBValue": "9,8,7"}
    request = run(with_crop(handleMethod="ascend", **fitted), red_and_blue, box)
    assert request.visions("mxpi_imagecrop0", "x")[0].pixels[0, -1].tolist() == [7, 8, 9]
    by_opencv = run(with_crop(**sizes), red_and_blue, box)
    assert by_opencv.visions("mxpi_imagecrop0", "x")[0].pixels.shape == (30, 30, 3)


@pytest.mark.parametrize(
    ("props", "words"),
    [
        ({"cropPointx0": "1,2"}, "lists of as many numbers"),
        ({"cropPointx1": "1"}, "expected x0 < x1 and y0 < y1"),
        ({"cropPointx1": "9000"}, "to 8192"),
    ],
)
def test_rectangles_of_the_file_that_cannot_be_are_refused(run, red_and_blue, props, words):
    box = {f"cropPoint{key}": value for key, value in zip(SIDES, "1199", strict=True)}
    with pytest.raises(PipelineError, match=words) as caught:
        run(with_crop(autoDetectFrame="0", **(box | props)), red_and_blue)
    assert caught.value.code == 1004


def test_a_program_sends_rectangles_with_the_picture_and_gets_objects_back(
    tmp_path, make_model, red_and_blue
):
    pytest.importorskip("google.protobuf")
    import MxpiDataType_pb2 as MxpiDataType
    from StreamManagerApi import (
        MetadataInputVector,
        MxBufferInput,
        MxMetadataInput,
        StreamManagerApi,
        StringVector,
    )

    content = with_crop()
    content["im_ghostnet"]["mxpi_dataserialize0"]["props"]["outputDataKeys"] += ",appsrc0"
    path = write_project(tmp_path / "d", make_model, content)
    api = StreamManagerApi()
    api.InitManager()
    assert api.CreateMultipleStreamsFromFile(str(path)) == 0
    objects = MxpiDataType.MxpiObjectList()
    entry = objects.objectVec.add(x0=41, y0=1, x1=80, y1=40)
    entry.classVec.add(classId=3, className="box", confidence=0.5)
    sent = MetadataInputVector()
    kind = b"MxTools.MxpiObjectList"
    sent.append(MxMetadataInput(b"appsrc0", kind, objects.SerializeToString()))
    data = MxBufferInput(data=Path(red_and_blue).read_bytes())
    assert api.SendData(b"im_ghostnet", b"appsrc0", sent, data) == 0
    keys = StringVector([b"appsrc0"])
    result = api.GetResult(b"im_ghostnet", b"appsink0", keys, 3000)
    found = json.loads(result.bufferOutput.data)
    [rectangle] = found["MxpiObject"]
    assert rectangle["MxpiClass"][0]["className"] == "blue"
    assert (rectangle["classVec"][0]["className"], rectangle["x0"]) == ("box", 41)
    again = MxpiDataType.MxpiObjectList.FromString(result.metadataVec[0].serializedMetadata)
    assert (again.objectVec[0].x1, again.objectVec[0].classVec[0].classId) == (80, 3)
    objects.objectVec[0].x0 = float("nan")
    sent[0].serializedMetadata = objects.SerializeToString()
    assert api.SendData(b"im_ghostnet", b"appsrc0", sent, data) == 1004
    api.DestroyAllStreams()


def with_encoder(**props):
    content = ghostnet()
    stream = content["im_ghostnet"]
    for name in list(stream):
        if name.startswith(("mxpi_opencv", "mxpi_tensor", "mxpi_class", "mxpi_data")):
            del stream[name]
    stream["mxpi_imageresize0"]["props"] |= {"resizeWidth": "65", "resizeHeight": "48"}
    stream["mxpi_imageresize0"]["next"] = "mxpi_imageencoder0"
    stream["mxpi_imageencoder0"] = {
        "factory": "mxpi_imageencoder",
        "props": props,
        "next": "appsink0",
    }
    return content


@pytest.mark.parametrize(("level", "quality"), [("100", 100), ("0", 100), ("40", 40)])
def test_the_encoder_gives_a_jpeg_of_even_sides(run, tmp_path, level, quality):
    pixels = np.random.default_rng(4).integers(0, 255, (60, 90, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), pixels)
    request = run(with_encoder(encodeLevel=level), str(tmp_path / "x.png"))
    even = cv2.resize(pixels, (65, 48))[:, :64]
    _, expected = cv2.imencode(".jpg", even, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert request.outputs["appsink0"] == expected.tobytes()


def test_pictures_that_the_encoder_cannot_take_are_refused(run, red_and_blue):
    content = with_encoder()
    content["im_ghostnet"]["mxpi_imagedecoder0"]["props"]["dataType"] = "float32"
    with pytest.raises(ElementError, match="expected uint8") as caught:
        run(content, red_and_blue)
    assert caught.value.code == 2019
    for short, code in (("resizeWidth", 2020), ("resizeHeight", 2021)):
        content = with_encoder()
        resize = content["im_ghostnet"]["mxpi_imageresize0"]["props"]
        resize |= {"resizeType": "Resizer_Rescale", "resizeWidth": "60", "resizeHeight": "60"}
        shape = (100, 30, 3) if short == "resizeWidth" else (30, 100, 3)
        cv2.imwrite(red_and_blue, np.zeros(shape, np.uint8))
        with pytest.raises(ElementError, match="expected 32..8192") as caught:
            run(content, red_and_blue)
        assert caught.value.code == code


def test_the_command_says_that_a_result_is_a_jpeg(ghostkit, tmp_path, make_model, red_and_blue):
    path = write_project(tmp_path / "d", make_model, with_encoder())
    outcome = ghostkit("pipeline", path, red_and_blue, tmp_path / "r")
    assert "infer result: a JPEG of " in outcome.out and outcome.status == 0
