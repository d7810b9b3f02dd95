import json
from pathlib import Path

import pytest

from ghostkit.errors import PipelineError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.grammar import parse, read_pipeline
from mindx.pipelines import ghostnet

SEED = Path(__file__).parent / "seed.pipeline"


def refused(content):
    with pytest.raises(PipelineError) as caught:
        parse(content if isinstance(content, str) else json.dumps(content), "a.pipeline")
    return caught.value.code, str(caught.value)


def changed(change):
    content = ghostnet()
    change(content["im_ghostnet"])
    return content


def test_the_pipeline_of_the_seeds_document_is_read_with_a_notice_about_its_comments():
    pipeline = read_pipeline(SEED)
    stream = pipeline.streams["im_ghostnet"]
    assert [element.factory for element in stream.elements.values()] == [
        "appsrc",
        "mxpi_imagedecoder",
        "mxpi_imageresize",
        "mxpi_opencvcentercrop",
        "mxpi_tensorinfer",
        "mxpi_classpostprocessor",
        "mxpi_dataserialize",
        "appsink",
    ]
    resize = stream.elements["mxpi_imageresize0"]
    assert (resize.get("resizeHeight"), resize.get("scaleValue")) == ("274", "32")
    assert stream.elements["mxpi_tensorinfer0"].get("modelPath") == "../data/ghostnet.om"
    [notice] = pipeline.notices
    assert notice.startswith("4 comments") and "6005" in notice


def test_a_key_that_stands_twice_has_its_last_value_and_is_told():
    text = json.dumps(ghostnet())
    text = text.replace('"resizeHeight": "36"', '"resizeHeight": "99", "resizeHeight": "40"')
    text = text.replace('"factory": "appsink"', '"factory": "nothing", "factory": "appsink"')
    pipeline = parse(text, "a")
    resize = pipeline.streams["im_ghostnet"].elements["mxpi_imageresize0"]
    assert resize.get("resizeHeight") == "40"
    assert [notice.partition(": ")[2] for notice in pipeline.notices] == [
        "'resizeHeight' stands more than once; the last one counts",
        "'factory' stands more than once; the last one counts",
    ]


def test_a_hash_inside_a_string_is_no_comment():
    content = changed(lambda s: s["mxpi_tensorinfer0"]["props"].update(modelPath="a#1.om"))
    pipeline = parse(json.dumps(content), "a")
    element = pipeline.streams["im_ghostnet"].elements["mxpi_tensorinfer0"]
    assert element.get("modelPath") == "a#1.om" and pipeline.notices == ()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (
            lambda s: s["mxpi_imageresize0"].update(factory="mxpi_imagresize"),
            6014,
            "unknown factory 'mxpi_imagresize'; did you mean 'mxpi_imageresize'?",
        ),
        (lambda s: s["mxpi_imageresize0"].pop("factory"), 6014, "no factory"),
        (
            lambda s: s["mxpi_imageresize0"]["props"].update(resizeHight="1"),
            6015,
            "mxpi_imageresize0.resizeHight: unknown property; did you mean 'resizeHeight'?",
        ),
        (
            lambda s: s["mxpi_imageresize0"]["props"].update(resizeHeight=274),
            6015,
            "274 is not a string",
        ),
        (
            lambda s: s["mxpi_imageresize0"]["props"].update(resizeHeight="274px"),
            6015,
            "expected a string that holds a whole number",
        ),
        (
            lambda s: s["mxpi_imageresize0"]["props"].update(resizeHeight="2_74"),
            6015,
            "expected a string that holds a whole number",
        ),
        (
            lambda s: s["mxpi_imageresize0"]["props"].update(resizeHeight="９９"),
            6015,
            "expected a string that holds a whole number",
        ),
        (
            lambda s: s["mxpi_imageresize0"]["props"].update(resizeHeight="9999"),
            6015,
            "expected 0 to 4096",
        ),
        (
            lambda s: s["mxpi_imageresize0"]["props"].update(resizeType="Stretch"),
            6015,
            "expected one of Resizer_Stretch, ",
        ),
        (lambda s: s["mxpi_imageresize0"].update(extra="1"), 6015, "unknown key 'extra'"),
        (lambda s: s["mxpi_tensorinfer0"]["props"].update(modelPath="a\0"), 6015, "a zero byte"),
        (lambda s: s["mxpi_tensorinfer0"].update(props={}), 6015, "needs the property 'modelPath'"),
        (lambda s: s["appsrc0"].update(factory="mxpi_rtspsrc"), 6015, "the property 'rtspUrl'"),
        (
            lambda s: s["mxpi_imagedecoder0"].update(factory="mxpi_videodecoder"),
            1005,
            "mxpi_videodecoder: video streams are not supported; decode the frames",
        ),
        (
            lambda s: s["mxpi_imageresize0"].update(next="mxpi_opencvcentercrop1"),
            6006,
            "did you mean 'mxpi_opencvcentercrop0'?",
        ),
        (
            lambda s: s["mxpi_dataserialize0"].update(next="mxpi_imageresize0"),
            6006,
            "both link to it",
        ),
        (
            lambda s: (
                s["mxpi_dataserialize0"].update(next=["appsink0", "appsink1"])
                or s.update(appsink1={"factory": "appsink"})
            ),
            6007,
            "only a tee has two outputs",
        ),
        (lambda s: s["mxpi_dataserialize0"].pop("next"), 6016, "links to no element"),
        (lambda s: s.update(sink={"factory": "appsink"}), 6011, "appsink0, appsink1"),
        (lambda s: s["stream_config"].update(deviceId="01"), 1004, "expected digits"),
        (
            lambda s: s["mxpi_imageresize0"]["props"].update(deviceId="3"),
            6015,
            "but the stream's is '0'",
        ),
        (lambda s: s.update(mxpi_imageresize0="x"), 6005, "expected an object"),
    ],
)
def test_a_fault_has_the_sdks_code_and_names_its_place(change, code, words):
    found, message = refused(changed(change))
    assert found == code
    assert words in message and f"({code})" in message


def test_a_circle_is_shown():
    elements = {
        "appsrc0": {"factory": "appsrc", "next": "p"},
        "p": {"factory": "mxpi_parallel2serial", "next": "queue0"},
        "queue0": {"factory": "queue", "next": "p"},
    }
    code, message = refused({"s": elements})
    assert code == Code.INVALID_LINK
    assert "in a circle: " in message and "queue0 -> p" in message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 1004),
        ("{}", 6005),
        ("[]", 6005),
        ("not json", 6005),
        ('{"s": {}}', 6005),
        ('{"s": 1}', 6005),
        ("[" * 100_000, 6005),
    ],
)
def test_a_text_that_is_no_pipeline_has_its_code(text, code):
    assert refused(text)[0] == code


def test_a_stream_or_an_element_that_stands_twice_is_refused():
    body = json.dumps(ghostnet()["im_ghostnet"])
    assert refused(f'{{"a": {body}, "a": {body}}}')[0] == Code.STREAM_EXIST
    twice = '{"s": {"appsrc0": {"factory": "appsrc"}, "appsrc0": {"factory": "appsrc"}}}'
    assert Code.ELEMENT_EXIST in refused(twice)[:1] or "6012" in refused(twice)[1]


def test_all_faults_are_told_together():
    def change(stream):
        stream["mxpi_imageresize0"]["props"].update(resizeHight="1", resizeWidth=5)
        stream["mxpi_dataserialize0"]["next"] = "nowhere0"

    _, message = refused(changed(change))
    assert message.count("\n") >= 2


def test_a_missing_file_is_1016(tmp_path):
    with pytest.raises(PipelineError, match="cannot be read") as caught:
        read_pipeline(tmp_path / "absent.pipeline")
    assert caught.value.code == 1016


def test_properties_of_gstreamer_beyond_the_table_are_left_out_with_a_notice():
    content = changed(lambda s: s["appsrc0"]["props"].update({"min-latency": "3"}))
    [notice] = parse(json.dumps(content), "a").notices
    assert "appsrc0.min-latency" in notice


def test_branches_come_after_their_tee_in_the_order_of_pads():
    elements = {
        "appsink0": {"factory": "appsink"},
        "p": {"factory": "mxpi_parallel2serial", "next": "appsink0"},
        "queue1": {"factory": "queue", "next": "p:0"},
        "queue0": {"factory": "queue", "next": "p:1"},
        "tee0": {"factory": "tee", "next": ["queue0", "queue1"]},
        "appsrc0": {"factory": "appsrc", "next": "tee0"},
    }
    stream = parse(json.dumps({"s": elements}), "a").streams["s"]
    order = list(stream.elements)
    assert order[:2] == ["appsrc0", "tee0"] and order[-2:] == ["p", "appsink0"]
    assert stream.feeding("p") == ("queue1", "queue0")
