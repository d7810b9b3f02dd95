"""Programs written for the SDK: only its public names, no ghostkit."""

import json
import os
import threading
from contextlib import ExitStack

import numpy as np
import pytest

from mindx.pipelines import ghostnet, write_project
from tiny import BLUE, GREEN, RED, save_square

pytest.importorskip("cv2")
pytest.importorskip("google.protobuf")

import MxpiDataType_pb2 as MxpiDataType
from StreamManagerApi import (
    InProtobufVector,
    MetadataInputVector,
    MxBufferInput,
    MxDataInput,
    MxMetadataInput,
    MxProtobufIn,
    StreamManagerApi,
    StringVector,
)

STREAM = b"im_ghostnet"


def test_nothing_is_answered_before_the_manager_is_there():
    api = StreamManagerApi()
    assert api.GetResult(STREAM, 0).errorCode == -1
    assert api.GetResult(STREAM, b"appsink0", StringVector()).errorCode == -1


@pytest.fixture
def manager(tmp_path, make_model):
    path = write_project(tmp_path / "data", make_model)
    api = StreamManagerApi()
    assert api.InitManager() == 0
    assert api.CreateMultipleStreamsFromFile(str(path).encode()) == 0
    yield api
    assert api.DestroyAllStreams() == 0


@pytest.fixture
def pictures(tmp_path):
    colors = {"red": RED, "green": GREEN, "blue": BLUE}
    return {
        name: save_square(tmp_path / f"{name}.png", color, (40, 40)).read_bytes()
        for name, color in colors.items()
    }


def picture(data):
    sent = MxDataInput()
    sent.data = data
    return sent


def answer(data):
    return json.loads(data.decode())["MxpiClass"][0]["className"]


def test_the_seeds_runner_gets_each_pictures_own_answer(manager, pictures):
    for name, data in pictures.items():
        unique_id = manager.SendDataWithUniqueId(STREAM, 0, picture(data))
        assert unique_id >= 0
        result = manager.GetResultWithUniqueId(STREAM, unique_id, 3000)
        assert (result.errorCode, answer(result.data)) == (0, name)


def test_the_text_of_a_pipeline_will_do_as_well(tmp_path, make_model, monkeypatch, pictures):
    path = write_project(tmp_path / "data", make_model)
    monkeypatch.chdir(path.parent)
    api = StreamManagerApi()
    api.InitManager([])
    assert api.CreateMultipleStreams(path.read_bytes()) == 0
    assert api.SendData(STREAM, 0, picture(pictures["red"])) == 0
    assert answer(api.GetResult(STREAM, 0).data) == "red"
    assert api.CreateMultipleStreams(path.read_bytes()) == 6001
    assert api.StopStream(STREAM) == 0
    assert api.SendData(STREAM, 0, picture(pictures["red"])) == 6002


def hammer(api, pictures, requests, threads):
    """Answers that were not the sender's own, over all threads."""
    names, wrong, seen = list(pictures), [], []
    sent = {name: picture(data) for name, data in pictures.items()}

    def work(index):
        for number in range(index, requests, threads):
            name = names[(number * 7 + index) % 3]
            unique_id = api.SendDataWithUniqueId(STREAM, 0, sent[name])
            result = api.GetResultWithUniqueId(STREAM, unique_id, 60_000)
            seen.append(unique_id)
            if result.errorCode or answer(result.data) != name:
                wrong.append((number, name, result))

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return wrong, seen


def test_8_threads_get_their_own_answers(manager, pictures):
    wrong, seen = hammer(manager, pictures, 160, 8)
    assert wrong == [] and len(set(seen)) == 160


@pytest.mark.slow
def test_8_threads_and_2000_requests_swap_no_answer(manager, pictures):
    wrong, seen = hammer(manager, pictures, 2000, 8)
    assert wrong == [] and len(set(seen)) == 2000


def test_results_come_in_the_order_of_sending(manager, pictures):
    names = [name for _ in range(10) for name in pictures]
    for name in names:
        assert manager.SendData(STREAM, b"appsrc0", picture(pictures[name])) == 0
    assert [answer(manager.GetResult(STREAM, 0, 10_000).data) for _ in names] == names


@pytest.fixture
def held(tmp_path, make_model):
    """A stream that answers nothing before it is let go: its filesink writes into a named pipe."""
    pipe = tmp_path / "answers.json"
    content = ghostnet()
    stream = content["im_ghostnet"]
    stream["mxpi_dataserialize0"]["next"] = "tee0"
    stream["tee0"] = {"factory": "tee", "next": ["appsink0", "filesink0"]}
    stream["filesink0"] = {"factory": "filesink", "props": {"location": str(pipe)}}
    api = StreamManagerApi()
    api.InitManager()
    path = write_project(tmp_path / "data", make_model, content)
    assert api.CreateMultipleStreamsFromFile(str(path)) == 0
    os.mkfifo(pipe)
    with ExitStack() as read:

        def let_go():
            read.callback(os.close, os.open(pipe, os.O_RDWR))

        yield api, let_go
        let_go()
        assert api.DestroyAllStreams() == 0


def test_a_result_that_does_not_come_in_time_may_be_asked_for_again(held, pictures):
    api, let_go = held
    number = api.SendDataWithUniqueId(STREAM, 0, picture(pictures["red"]))
    assert api.GetResultWithUniqueId(STREAM, number, 0).errorCode == 6010
    assert api.GetResultWithUniqueId(STREAM, number, 5).errorCode == 6010
    let_go()
    late = api.GetResultWithUniqueId(STREAM, number, 10_000)
    assert late.errorCode == 0 and answer(late.data) == "red"
    assert api.GetResultWithUniqueId(STREAM, number, 5).errorCode == 6010  # given once


def test_a_late_result_keeps_its_place_before_those_that_were_sent_after_it(held, pictures):
    api, let_go = held
    assert api.GetResult(STREAM, 0, 5).errorCode == 1002  # nothing was sent
    for name in ("red", "green"):
        assert api.SendData(STREAM, 0, picture(pictures[name])) == 0
    assert api.GetResult(STREAM, 0, 5).errorCode == 1002
    let_go()
    assert [answer(api.GetResult(STREAM, 0, 10_000).data) for _ in range(2)] == ["red", "green"]


def test_a_bad_picture_has_its_code_and_reason_and_harms_no_other(manager, pictures):
    bad = manager.SendDataWithUniqueId(STREAM, 0, picture(b"no picture"))
    good = manager.SendDataWithUniqueId(STREAM, 0, picture(pictures["blue"]))
    result = manager.GetResultWithUniqueId(STREAM, bad, 3000)
    assert result.errorCode == 2006 and b"not a picture" in result.data
    assert answer(manager.GetResultWithUniqueId(STREAM, good, 3000).data) == "blue"


def test_messages_of_elements_come_with_the_result(manager, pictures):
    manager.SendData(STREAM, 0, picture(pictures["green"]))
    keys = StringVector()
    keys.push_back(b"mxpi_classpostprocessor0")
    [found] = manager.GetProtobuf(STREAM, 0, keys)
    assert (found.errorCode, found.messageName) == (0, b"MxTools.MxpiClassList")
    classes = MxpiDataType.MxpiClassList()
    classes.ParseFromString(found.messageBuf)
    assert [each.className for each in classes.classVec][0] == "green"

    manager.SendData(STREAM, 0, picture(pictures["green"]))
    keys.push_back(b"mxpi_nothing0")
    result = manager.GetResult(STREAM, b"appsink0", keys, 3000)
    assert result.errorCode == 0 and answer(result.bufferOutput.data) == "green"
    assert [each.errorCode for each in result.metadataVec] == [0, 7011]
    tensors = StringVector([b"mxpi_tensorinfer0"])
    manager.SendData(STREAM, 0, picture(pictures["green"]))
    message = MxpiDataType.MxpiTensorPackageList.FromString(
        manager.GetResult(STREAM, b"appsink0", tensors, 3000).metadataVec[0].serializedMetadata
    )
    tensor = message.tensorPackageVec[0].tensorVec[0]
    assert list(tensor.tensorShape) == [1, 3] and tensor.tensorDataType == 0
    assert np.frombuffer(tensor.dataStr, np.float32).argmax() == 1


def tensor_stream(tmp_path, make_model):
    content = ghostnet(mxpi_tensorinfer={"dataSource": "appsrc0"})
    stream = content["im_ghostnet"]
    stream["appsrc0"]["next"] = "mxpi_tensorinfer0"
    for name in ("mxpi_imagedecoder0", "mxpi_imageresize0", "mxpi_opencvcentercrop0"):
        del stream[name]
    api = StreamManagerApi()
    api.InitManager()
    path = write_project(tmp_path / "data", make_model, content)
    assert api.CreateMultipleStreamsFromFile(str(path)) == 0
    return api


def test_tensors_and_pictures_may_be_sent_as_messages(tmp_path, make_model):
    api = tensor_stream(tmp_path, make_model)
    image = np.zeros((1, 3, 32, 32), np.float32)
    image[:, 2] = 1
    tensors = MxpiDataType.MxpiTensorPackageList()
    tensors.tensorPackageVec.add().tensorVec.add(
        tensorShape=image.shape, dataStr=image.tobytes(), tensorDataSize=image.nbytes
    )
    sent = InProtobufVector()
    sent.append(
        MxProtobufIn(b"appsrc0", b"MxTools.MxpiTensorPackageList", tensors.SerializeToString())
    )
    assert api.SendProtobuf(STREAM, 0, sent) == 0
    assert answer(api.GetResult(STREAM, 0).data) == "blue"

    visions = MxpiDataType.MxpiVisionList()
    vision = visions.visionVec.add()
    vision.visionInfo.width = vision.visionInfo.height = 32
    vision.visionInfo.format = 13  # BGR
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[..., 2] = 255
    vision.visionData.dataStr = pixels.tobytes()
    metadata = MetadataInputVector()
    metadata.append(
        MxMetadataInput(b"appsrc0", b"MxTools.MxpiVisionList", visions.SerializeToString())
    )
    assert api.SendData(STREAM, b"appsrc0", metadata, MxBufferInput()) == 0
    assert answer(api.GetResult(STREAM, 0).data) == "red"


def test_messages_that_cannot_be_are_refused(tmp_path, make_model):
    api = tensor_stream(tmp_path, make_model)
    for kind, data, code in (
        (b"MxTools.MxpiPoseList", b"", 11004),
        (b"MxTools.MxpiTensorPackageList", b"\xff\xff", 1004),
    ):
        assert api.SendProtobuf(STREAM, 0, [MxProtobufIn(b"appsrc0", kind, data)]) == code
    for fields in ({"format": 1, "width": 4, "height": 4}, {"format": 13}):  # YUV; nothing at all
        visions = MxpiDataType.MxpiVisionList()
        vision = visions.visionVec.add()
        vision.visionInfo.CopyFrom(MxpiDataType.MxpiVisionInfo(**fields))
        vision.visionData.dataStr = bytes(48 if "width" in fields else 0)
        sent = MxProtobufIn(b"appsrc0", b"MxTools.MxpiVisionList", visions.SerializeToString())
        assert api.SendProtobuf(STREAM, 0, [sent]) == 1004
    small = MxpiDataType.MxpiTensorPackageList()
    image = np.zeros((1, 3, 8, 8), np.float32)
    small.tensorPackageVec.add().tensorVec.add(tensorShape=image.shape, dataStr=image.tobytes())
    name = b"MxTools.MxpiTensorPackageList"
    api.SendProtobuf(STREAM, 0, [MxProtobufIn(b"appsrc0", name, small.SerializeToString())])
    result = api.GetResult(STREAM, 0)
    assert result.errorCode == 1004 and b"the model takes float32 (1, 3, 32, 32)" in result.data


def test_codes_of_wrong_calls(manager, pictures):
    data = picture(pictures["red"])
    assert manager.CreateMultipleStreams(b"") == 1004
    assert manager.CreateMultipleStreams(b"{}") == 6005
    assert manager.CreateMultipleStreamsFromFile(b"absent.pipeline") == 1016
    assert manager.SendData(b"other", 0, data) == 6002
    assert manager.SendData(STREAM, -1, data) == 1004
    assert manager.SendData(STREAM, 5, data) == 6006
    assert manager.SendData(STREAM, b"appsrc9", data) == 6006
    assert manager.SendDataWithUniqueId(b"other", 0, data) == -1
    assert manager.GetResult(b"other", 0).errorCode == 6002
    assert manager.GetResult(STREAM, -1).errorCode == 1004
    assert manager.GetResult(STREAM, 0, 10).errorCode == 1002  # nothing was sent
    assert manager.GetResult(STREAM, b"appsink9", [b"x"], 10).errorCode == 6011
    assert manager.GetProtobuf(STREAM, 0, [])[0].errorCode == 1004
    late = manager.GetResultWithUniqueId(STREAM, 77, 10)
    assert (late.errorCode, late.data) == (6010, b"Time out, can not get result in time.")
    number = manager.SendDataWithUniqueId(STREAM, 0, data)
    assert manager.SendData(STREAM, 0, data) == 6008  # the other way of sending
    assert manager.GetProtobuf(STREAM, 0, [b"x"])[0].errorCode == 6008
    assert manager.GetResultWithUniqueId(STREAM, number, 3000).errorCode == 0
    assert manager.GetResultWithUniqueId(STREAM, number, 10).errorCode == 6010  # given once
    assert manager.StopStream(b"other") == 6002


def test_a_program_is_told_why_a_stream_cannot_be_made(caplog):
    api = StreamManagerApi()
    api.InitManager()
    content = ghostnet()
    content["im_ghostnet"]["mxpi_imageresize0"]["factory"] = "mxpi_imagresize"
    assert api.CreateMultipleStreams(json.dumps(content).encode()) == 6014
    assert "did you mean 'mxpi_imageresize'" in caplog.text


def test_a_program_is_told_what_is_not_as_in_training(manager, caplog):
    stretched = "the host stretches every picture to 36x36, training kept its aspect"
    [line] = [
        record.message for record in caplog.get_records("setup") if stretched in record.message
    ]
    assert line.startswith("this is not what the model was trained with: mxpi_tensorinfer0: ")
    notes = [record.message for record in caplog.get_records("setup")]
    assert any("'ghostnet.om' is answered by" in note for note in notes)
