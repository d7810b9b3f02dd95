"""The SDK's error codes: for each one that we can raise, a user's way to it.

The numbers are those of the SDK's ErrorCode.h, the ways those of its documents.
"""

import json
import re
from pathlib import Path

import pytest

from ghostkit.errors import ElementError, ModelError, PipelineError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.grammar import parse, read_pipeline
from ghostkit.mindx.program import compile_stream
from ghostkit.mindx.request import Request, code_of
from mindx.pipelines import ghostnet, write_project
from tiny import RED, save_square

pytest.importorskip("cv2")
pytest.importorskip("google.protobuf")

from StreamManagerApi import MxDataInput, MxProtobufIn, StreamManagerApi

STREAM = b"im_ghostnet"
PAGE = Path(__file__).parents[2] / "docs" / "programs.md"


class User:
    """What a user has, and what they do with it."""

    def __init__(self, folder, make_model):
        self.folder, self.make_model = folder, make_model
        self.photo = MxDataInput(save_square(folder / "a.png", RED, (40, 40)).read_bytes())

    def project(self, content=None, **options):
        return write_project(self.folder / "data", self.make_model, content, **options)

    def manager(self, content=None):
        api = StreamManagerApi()
        api.InitManager()
        assert api.CreateMultipleStreamsFromFile(str(self.project(content))) == 0
        return api

    def creating(self, change):
        """Of CreateMultipleStreams, after `change` to the original's stream."""
        content = ghostnet()
        change(content["im_ghostnet"])
        api = StreamManagerApi()
        api.InitManager()
        return api.CreateMultipleStreamsFromFile(str(self.project(content)))

    def sending(self, size, change=lambda stream: None, data=None):
        """Of a picture of `size` through the stream, after `change` to it."""
        content = ghostnet()
        change(content["im_ghostnet"])
        path = save_square(self.folder / "b.png", RED, size)
        if data is not None:
            path.write_bytes(data)
        program = compile_stream(read_pipeline(self.project(content)), "im_ghostnet")
        try:
            program.run(Request(str(path)))
        except (ElementError, ModelError) as error:
            return code_of(error)
        return Code.OK


def props(name, **changes):
    return lambda stream: stream[f"{name}0"]["props"].update(changes)


def with_encoder(stream):
    stream["mxpi_imagedecoder0"]["props"]["dataType"] = "float32"
    stream["mxpi_imageresize0"]["next"] = "e"
    stream["e"] = {"factory": "mxpi_imageencoder", "next": "mxpi_opencvcentercrop0"}


def unfinished_model(user):
    """A model that answers nan."""
    import numpy as np

    from ghostkit.backend import Backend

    program = compile_stream(read_pipeline(user.project()), "im_ghostnet")

    class Broken(Backend):
        name = "broken"

        def infer(self, images):
            return np.full((len(images), 3), np.nan, np.float32)

    program.infer.classifier.backend = Broken()
    try:
        program.run(Request(bytes(user.photo.data)))
    except ModelError as error:
        return code_of(error)


def of(call):
    with pytest.raises(PipelineError) as caught:
        call()
    return caught.value.code


def mixed(api, photo):
    api.SendDataWithUniqueId(STREAM, 0, photo)
    return api.SendData(STREAM, 0, photo)


def missing_key(api, photo):
    api.SendData(STREAM, 0, photo)
    return api.GetResult(STREAM, b"appsink0", [b"nothing0"], 3000).metadataVec[0].errorCode


LONG = {"resizeType": "Resizer_KeepAspectRatio_Long", "scaleValue": "32"}
BODY = json.dumps(ghostnet()["im_ghostnet"])

WAYS = {
    Code.OK: lambda u: u.manager().SendData(STREAM, 0, u.photo),
    Code.FAILURE: lambda u: u.manager().GetResult(STREAM, b"appsink0", [b"x"], 5).errorCode,
    Code.INNER: lambda u: u.manager().GetResult(STREAM, 0, 5).errorCode,
    Code.INVALID_PARAM: lambda u: u.manager().SendData(STREAM, -1, u.photo),
    Code.UNREALIZED: lambda u: u.creating(props("mxpi_classpostprocessor", funcLanguage="python")),
    Code.INIT_FAIL: lambda u: u.creating(props("mxpi_opencvcentercrop", cropHeight="0")),
    Code.NOT_EXIST: lambda u: u.creating(props("mxpi_tensorinfer", modelPath="absent.om")),
    Code.CROP_FAIL: lambda u: u.sending((40, 40), props("mxpi_opencvcentercrop", cropWidth="40")),
    Code.RESIZE_FAIL: lambda u: u.sending((4000, 3), props("mxpi_imageresize", **LONG)),
    Code.DECODE_FAIL: lambda u: u.sending((40, 40), data=b"no picture"),
    Code.INVALID_FORMAT: lambda u: u.sending((40, 40), with_encoder),
    Code.IMAGE_WIDTH: lambda u: u.creating(props("mxpi_imageresize", resizeWidth="31")),
    Code.IMAGE_HEIGHT: lambda u: u.creating(props("mxpi_imageresize", resizeHeight="5")),
    Code.INFER_FAIL: unfinished_model,
    Code.STREAM_EXIST: lambda u: of(lambda: parse(f'{{"a": {BODY}, "a": {BODY}}}', "x")),
    Code.STREAM_NOT_EXIST: lambda u: u.manager().StopStream(b"other"),
    Code.STREAM_CREATE_FAILED: lambda u: u.creating(
        props("mxpi_tensorinfer", modelPath="infer.cfg")
    ),
    Code.INVALID_CONFIG: lambda u: of(lambda: parse("not json", "x")),
    Code.INVALID_LINK: lambda u: u.creating(lambda s: s["appsrc0"].update(next="nowhere0")),
    Code.LINK_FAILED: lambda u: u.creating(
        lambda s: s["appsrc0"].update(next=["mxpi_imagedecoder0", "mxpi_imageresize0"])
    ),
    Code.TRANS_MODE_NOT_MATCHED: lambda u: mixed(u.manager(), u.photo),
    Code.STREAM_TIMEOUT: lambda u: u.manager().GetResultWithUniqueId(STREAM, 77, 5).errorCode,
    Code.ELEMENT_INVALID: lambda u: u.manager().GetResult(STREAM, b"appsink9", [b"x"], 5).errorCode,
    Code.ELEMENT_EXIST: lambda u: of(
        lambda: parse('{"s": {"q": {"factory": "tee"}, "q": {"factory": "tee"}}}', "x")
    ),
    Code.INVALID_FACTORY: lambda u: u.creating(lambda s: s["appsrc0"].update(factory="appsorc")),
    Code.INVALID_PROPERTIES: lambda u: u.creating(props("mxpi_imageresize", resizeHight="1")),
    Code.PAD_UNLINKED: lambda u: u.creating(lambda s: s["mxpi_dataserialize0"].pop("next")),
    Code.METADATA_KEY_NOT_EXIST: lambda u: missing_key(u.manager(), u.photo),
    Code.METADATA_IS_NULL: lambda u: u.creating(props("mxpi_tensorinfer", dataSource="nothing0")),
    Code.PROTOBUF_NAME_MISMATCH: lambda u: u.manager().SendProtobuf(
        STREAM, 0, [MxProtobufIn(b"appsrc0", b"MxTools.MxpiPoseList")]
    ),
}


@pytest.mark.parametrize("code", Code, ids=lambda code: f"{int(code)}")
def test_each_code_has_a_way_to_it(code, tmp_path, make_model):
    assert WAYS[code](User(tmp_path, make_model)) == code


def test_before_init_manager_every_call_gives_minus_one():
    api = StreamManagerApi()
    photo = MxDataInput(b"x")
    assert api.CreateMultipleStreams(b"{}") == api.CreateMultipleStreamsFromFile(b"x") == -1
    assert api.SendData(STREAM, 0, photo) == api.SendDataWithUniqueId(STREAM, 0, photo) == -1
    assert api.SendProtobuf(STREAM, 0, []) == -1
    assert api.GetResult(STREAM, 0).errorCode == -1
    assert api.GetResultWithUniqueId(STREAM, 0, 5).errorCode == -1
    assert api.GetProtobuf(STREAM, 0, [b"x"])[0].errorCode == -1
    assert api.StopStream(STREAM) == api.DestroyAllStreams() == -1


def test_the_page_has_a_row_for_each_code_with_the_sdks_words():
    table = PAGE.read_text().partition("## Codes\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (\d+) \| ([^|]+?) \|", table, re.MULTILINE))
    assert rows == {str(int(code)): code.text for code in Code}
