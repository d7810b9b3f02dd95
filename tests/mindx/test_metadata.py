"""Where entries of metadata say they come from, and how mxpi_dataserialize and mxpi_dumpdata write
them. Each expected text is written from the rules of the SDK's source.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from ghostkit.mindx.folder_run import class_ids
from ghostkit.mindx.grammar import read_pipeline
from ghostkit.mindx.postprocess import ClassInfo
from ghostkit.mindx.program import compile_stream
from ghostkit.mindx.request import Classes, Detected, Header, Package, Request, Vision
from ghostkit.mindx.serialize import metadata_json
from mindx.pipelines import ghostnet, inserted, write_project
from tiny import RED, save_square

pytest.importorskip("cv2")
pytest.importorskip("google.protobuf")

import MxpiDataType_pb2 as MxpiDataType
from StreamManagerApi import (
    MetadataInputVector,
    MxBufferInput,
    MxDataInput,
    MxMetadataInput,
    StreamManagerApi,
    StringVector,
)

STREAM = b"im_ghostnet"


def classes(class_id, *headers, name="cat", confidence=190.375):
    info = ClassInfo(class_id, name, np.float32(confidence))
    return Classes((info,), tuple(Header(*each) for each in headers))


def rectangle(*headers):
    return Detected(0, 0, 100, 50.5, (), tuple(Header(*each) for each in headers))


def chain():
    """A rectangle, the picture in it, the model's outputs of that, and their class."""
    picture = Vision(np.zeros((1, 1, 3), np.uint8), "BGR", (Header("objects0"),))
    return {
        "objects0": [rectangle()],
        "crop0": [picture],
        "infer0": [Package((np.float32([[0.5, 100]]),), (Header("crop0"),))],
        "post0": [classes(372, ("infer0",))],
    }


def test_one_key_is_a_flat_list():
    assert metadata_json(chain(), ["post0"]) == (
        '{"MxpiClass":[{"classId":372,"className":"cat","confidence":190.375}]}'
    )


def test_the_class_stands_within_the_tensors_that_it_was_made_from():
    assert metadata_json(chain(), ["infer0", "post0"]) == (
        '{"MxpiTensorPackage":[{"MxpiClass":[{"classId":372,"className":"cat",'
        '"confidence":190.375}],"tensorVec":[{"dataStr":"AAAAPwAAyEI=","deviceId":0,'
        '"freeFunc":"0","memType":"MXPI_MEMORY_HOST_MALLOC","tensorDataPtr":"0",'
        '"tensorDataSize":8,"tensorDataType":0,"tensorShape":[1,2]}]}]}'
    )


@pytest.mark.parametrize("keys", [["post0", "objects0"], ["objects0", "post0", "post0", "none0"]])
def test_what_is_not_named_is_squeezed_out(keys):
    assert metadata_json(chain(), keys) == (
        '{"MxpiObject":[{"MxpiClass":[{"classId":372,"className":"cat","confidence":190.375}],'
        '"classVec":[],"x0":0,"x1":100,"y0":0,"y1":50.5}]}'
    )


def test_without_keys_everything_is_nested():
    found = json.loads(metadata_json(chain(), []))
    [box] = found.pop("MxpiObject")
    [picture] = box["MxpiVision"]
    assert found == {} and picture["visionInfo"]["keepAspectRatioScaling"] == 0
    assert picture["MxpiTensorPackage"][0]["MxpiClass"][0]["classId"] == 372


def test_headers_are_kept_in_the_json_only_where_the_pipeline_asks_for_them():
    text = metadata_json(chain(), ["objects0", "post0"], erase_headers=False)
    [box] = json.loads(text)["MxpiObject"]
    assert box["headerVec"] == []
    assert box["MxpiClass"][0]["headerVec"] == [
        {"dataSource": "infer0", "memberId": 0, "parentName": ""}
    ]


def test_nothing_that_is_named_is_an_empty_object():
    assert metadata_json(chain(), ["a0", "b0"]) == metadata_json({}, []) == "{}"


ABOVE = ("objects0", 0), ("objects0", 1)


@pytest.mark.parametrize(
    ("headers", "below_first", "below_second", "on_top"),
    [
        ([], 0, 0, 1),
        ([("objects0", 1)], 0, 1, 0),
        ([("nobody0", 0)], 0, 0, 1),  # no such list
        ([("objects0", 2)], 0, 0, 0),  # the list has no such entry
        ([("objects0", -1)], 0, 0, 0),
        ([("", 1, "objects0")], 0, 1, 0),  # the older name
        ([("nobody0", 0, "objects0")], 0, 0, 1),  # which counts only alone
        ([("post0", 0)], 0, 0, 0),  # itself
        ([("post0", 1)], 0, 0, 1),  # a list that is not yet there
        ([("nobody0", 0), ("nobody1", 0)], 0, 0, 2),
        ([("nobody0", 0), ("objects0", 1)], 0, 0, 1),  # a class comes before an object: met on top
        ([ABOVE[0], ABOVE[1]], 1, 0, 0),  # below the second it is the first, and met before
    ],
)
def test_where_an_entry_hangs(headers, below_first, below_second, on_top):
    metadata = {"objects0": [rectangle(), rectangle()], "post0": [classes(3, *headers)]}
    found = json.loads(metadata_json(metadata, ["objects0", "post0"]))
    boxes = found["MxpiObject"]
    counts = [len(each.get("MxpiClass", [])) for each in [*boxes, found]]
    assert counts == [below_first, below_second, on_top]


def test_an_entry_below_two_others_loses_what_is_below_it():
    metadata = {
        "objects0": [rectangle(), rectangle()],
        "post0": [classes(1, ABOVE[1]), classes(2, *ABOVE)],
        "more0": [classes(9, ("post0", 1))],
    }
    found = json.loads(metadata_json(metadata, ["objects0", "post0", "more0"]))
    assert found["MxpiObject"] == [
        {"MxpiClass": [entry(2)], "classVec": [], "x0": 0, "x1": 100, "y0": 0, "y1": 50.5},
        {
            "MxpiClass": [entry(1), entry(2)],
            "classVec": [],
            "x0": 0,
            "x1": 100,
            "y0": 0,
            "y1": 50.5,
        },
    ]


def entry(class_id):
    return {"classId": class_id, "className": "cat", "confidence": 190.375}


def test_class_ids_are_found_however_deep_they_stand():
    boxes = [{"MxpiClass": [{"classId": 7}, {"classId": 2}], "classVec": [{"classId": 99}]}]
    boxes.append({"MxpiVision": [{"MxpiClass": [{"classId": 5}]}]})
    assert class_ids(json.dumps({"MxpiObject": boxes})) == (7, 2, 5)
    assert class_ids('{"MxpiClass":[]}') == ()
    for text in ('{"MxpiObject":[{"classVec":[{"classId":9}]}]}', "{}", "no JSON", "[1]"):
        assert class_ids(text) is None


def test_a_folders_answers_are_found_in_nested_results(ghostkit, tmp_path, make_model):
    keys = {"outputDataKeys": "mxpi_tensorinfer0, mxpi_classpostprocessor0"}
    content = ghostnet(mxpi_dataserialize=keys)
    project = write_project(tmp_path / "d", make_model, content)
    save_square(tmp_path / "val" / "a.png", RED, (40, 40))
    outcome = ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r")
    assert 'infer result: {"MxpiTensorPackage":[{"MxpiClass":[{"classId":0,' in outcome.out
    assert (tmp_path / "r" / "a_1.txt").read_text() == "0 1 \n"


@pytest.fixture
def messages(tmp_path, make_model):
    """The list messages that elements made of a picture, by their names, for a program."""

    def call(content, names, sent=(), size=(80, 40)):
        path = write_project(tmp_path / "d", make_model, content)
        api = StreamManagerApi()
        api.InitManager()
        assert api.CreateMultipleStreamsFromFile(str(path)) == 0
        picture = save_square(tmp_path / "a.png", RED, size).read_bytes()
        if sent:
            metadata = MetadataInputVector()
            for key, message in sent:
                kind = f"MxTools.{message.DESCRIPTOR.name}".encode()
                metadata.append(MxMetadataInput(key, kind, message.SerializeToString()))
            data = MxBufferInput(data=picture)
            assert api.SendData(STREAM, b"appsrc0", metadata, data) == 0
        else:
            assert api.SendData(STREAM, 0, MxDataInput(picture)) == 0
        result = api.GetResult(STREAM, b"appsink0", StringVector(names), 5000)
        api.DestroyAllStreams()
        assert result.errorCode == 0, result.errorMsg
        return [parsed(each.dataType, each.serializedMetadata) for each in result.metadataVec]

    return call


def parsed(kind, data):
    message = getattr(MxpiDataType, kind.decode().removeprefix("MxTools.")).FromString(data)
    [(_, entries)] = message.ListFields()
    return entries


def whence(entries):
    """(dataSource, memberId, parentName) of each header of each entry."""
    return [
        [(each.dataSource, each.memberId, each.parentName) for each in entry.headerVec]
        for entry in entries
    ]


def test_every_element_says_what_it_made_its_entries_from(messages):
    content = inserted("mxpi_opencvcentercrop0", "mxpi_imagenormalize", {})
    found = messages(
        content,
        [
            b"mxpi_imagedecoder0",
            b"mxpi_imageresize0",
            b"mxpi_opencvcentercrop0",
            b"mxpi_imagenormalize0",
            b"mxpi_tensorinfer0",
            b"mxpi_classpostprocessor0",
        ],
    )
    assert [whence(entries) for entries in found] == [
        [[]],
        [[("mxpi_imagedecoder0", 0, "")]],
        [[("mxpi_imageresize0", 0, "")]],
        [[("mxpi_opencvcentercrop0", 0, "")]],
        [[("mxpi_imagenormalize0", 0, "")]],
        [[("mxpi_tensorinfer0", 0, "")]] * 2,  # TOP_K of them
    ]


def test_a_crop_names_its_rectangle_and_the_next_element_the_crop(messages):
    content = inserted(
        "mxpi_imagedecoder0",
        "mxpi_imagecrop",
        {"handleMethod": "opencv", "dataSource": "appsrc0"},
    )
    objects = MxpiDataType.MxpiObjectList()
    for x0 in (200, 0, 40):  # the first lies outside the picture
        objects.objectVec.add(x0=x0, y0=0, x1=x0 + 40, y1=40)
    names = [b"mxpi_imagecrop0", b"mxpi_imageresize0", b"mxpi_classpostprocessor0"]
    crops, resized, answers = messages(content, names, [(b"appsrc0", objects)])
    assert whence(crops) == [[("appsrc0", 1, "")], [("appsrc0", 2, "")]]
    assert whence(resized) == [[("mxpi_imagecrop0", 0, "")], [("mxpi_imagecrop0", 1, "")]]
    assert whence(answers) == [[("mxpi_tensorinfer0", n, "")] for n in (0, 0, 1, 1)]


def test_a_model_that_names_its_classes_itself_says_which_pictures_they_are_of(messages):
    content = ghostnet()
    stream = content["im_ghostnet"]
    stream["mxpi_tensorinfer0"] |= {"factory": "mxpi_modelinfer", "next": "mxpi_dataserialize0"}
    stream["mxpi_tensorinfer0"]["props"] |= {
        "postProcessConfigPath": "infer.cfg",
        "labelPath": "classes.names",
    }
    del stream["mxpi_classpostprocessor0"]
    [found] = messages(content, [b"mxpi_tensorinfer0"])
    assert whence(found) == [[("mxpi_opencvcentercrop0", 0, "")]] * 2


def test_headers_that_a_program_sends_come_back(messages):
    objects = MxpiDataType.MxpiObjectList()
    box = objects.objectVec.add(x1=1, y1=1)
    box.headerVec.add(dataSource="detector0", memberId=3, parentName="older0")
    box.headerVec.add(dataSource="tracker0")
    visions = MxpiDataType.MxpiVisionList()
    vision = visions.visionVec.add()
    vision.headerVec.add(dataSource="camera0", memberId=1)
    vision.visionInfo.CopyFrom(MxpiDataType.MxpiVisionInfo(format=13, width=1, height=1))
    vision.visionData.dataStr = bytes(3)
    tensors = MxpiDataType.MxpiTensorPackageList()
    package = tensors.tensorPackageVec.add()
    package.headerVec.add(dataSource="model0", memberId=2)
    for value in (b"\x01", b"\x02"):
        package.tensorVec.add(tensorShape=[1], dataStr=value, tensorDataType=4)
    answers = MxpiDataType.MxpiClassList()
    for class_id, member in ((8, 1), (4, 0), (6, 1)):
        answer = answers.classVec.add(classId=class_id)
        answer.headerVec.add(dataSource="model1", memberId=member)
    sent = [(b"o0", objects), (b"v0", visions), (b"t0", tensors), (b"c0", answers)]
    found = messages(ghostnet(), [key for key, _ in sent], sent)
    assert [whence(entries) for entries in found] == [
        [[("detector0", 3, "older0"), ("tracker0", 0, "")]],
        [[("camera0", 1, "")]],
        [[("model0", 2, "")]],
        [[("model1", 1, "")], [("model1", 0, "")], [("model1", 1, "")]],
    ]
    assert [tensor.dataStr for tensor in found[2][0].tensorVec] == [b"\x01", b"\x02"]
    assert [each.classId for each in found[3]] == [8, 4, 6]


def test_headers_that_nest_without_end_are_an_error_of_that_request(tmp_path, make_model):
    keys = {"outputDataKeys": "mxpi_classpostprocessor0,appsrc0"}
    path = write_project(tmp_path / "d", make_model, ghostnet(mxpi_dataserialize=keys))
    request = Request(str(save_square(tmp_path / "a.png", RED, (40, 40))))
    request.metadata["appsrc0"] = [rectangle(("appsrc0", n - 1)) for n in range(5000)]
    program = compile_stream(read_pipeline(path), "im_ghostnet")
    [(_, error)] = program.stream_of([request])
    assert error.code == 1004 and "nest it too deep" in error.reason


def dumped(tmp_path, make_model, **props):
    """What mxpi_dumpdata behind the post-processing writes of two pictures."""
    location = tmp_path / "dump.json"
    content = inserted(
        "mxpi_classpostprocessor0", "mxpi_dumpdata", {"location": str(location)} | props
    )
    path = write_project(tmp_path / "d", make_model, content)
    program = compile_stream(read_pipeline(path), "im_ghostnet")
    picture = save_square(tmp_path / "r.png", RED, (40, 40))
    for _ in range(2):
        program.run(Request(picture.read_bytes()))
    assert Path(f"{location}1").read_text() == location.read_text()
    return location.read_text()


def test_dumped_data_is_json_of_the_messages_with_their_bare_names(tmp_path, make_model):
    text = dumped(tmp_path, make_model, requiredMetaDataKeys="mxpi_classpostprocessor0")
    assert text.startswith('{"buffer":{"bufferData":"iVBORw0KGgo')  # a PNG's first bytes
    [entry] = json.loads(text)["metaData"]
    assert (entry["key"], entry["protoDataType"]) == ("mxpi_classpostprocessor0", "MxpiClassList")
    [best, _] = json.loads(entry["content"])["classVec"]
    assert best["className"] == "red"
    assert best["headerVec"] == [
        {"dataSource": "mxpi_tensorinfer0", "memberId": 0, "parentName": ""}
    ]


@pytest.mark.parametrize(
    ("props", "keys"),
    [
        (
            {"requiredMetaDataKeys": " mxpi_tensorinfer0 , mxpi_classpostprocessor0"},
            ["mxpi_classpostprocessor0", "mxpi_tensorinfer0"],
        ),
        (
            {
                "requiredMetaDataKeys": "mxpi_tensorinfer0",
                "filterMetaDataKeys": "mxpi_tensorinfer0",
            },
            ["mxpi_tensorinfer0"],
        ),
        (
            {"filterMetaDataKeys": "mxpi_imagedecoder0, mxpi_imageresize0"},
            ["mxpi_classpostprocessor0", "mxpi_opencvcentercrop0", "mxpi_tensorinfer0"],
        ),
    ],
)
def test_which_metadata_are_dumped(tmp_path, make_model, props, keys):
    found = json.loads(dumped(tmp_path, make_model, **props))["metaData"]
    assert [entry["key"] for entry in found] == keys


def test_without_memory_there_are_neither_pixels_nor_types(tmp_path, make_model):
    found = json.loads(dumped(tmp_path, make_model, dumpMemoryData="false"))["metaData"]
    assert len(found) == 5 and {entry["protoDataType"] for entry in found} == {""}
    contents = {entry["key"]: json.loads(entry["content"]) for entry in found}
    [tensors] = contents["mxpi_tensorinfer0"]["tensorPackageVec"]
    assert (tensors["tensorVec"][0]["dataStr"], tensors["tensorVec"][0]["tensorDataSize"]) == (
        "",
        12,
    )
    [picture] = contents["mxpi_imagedecoder0"]["visionVec"]
    assert (picture["visionData"]["dataStr"], picture["visionInfo"]["width"]) == ("", 40)
