"""What users feed a pipeline that is wrong: each has its own answer or its own error.

Faults in the file itself are in test_grammar.py, the original programs' in test_original_faults.py.
"""

import json
import mmap
import os

import pytest

from ghostkit.mindx.folder_run import run_pictures
from ghostkit.mindx.grammar import read_pipeline
from ghostkit.mindx.program import compile_stream
from mindx.pipelines import ghostnet, write_project
from tiny import BLUE, GREEN, RED, save_square

pytest.importorskip("cv2")
pytest.importorskip("google.protobuf")

from StreamManagerApi import MxDataInput, StreamManagerApi

STREAM = b"im_ghostnet"


@pytest.fixture
def run(ghostkit, tmp_path, make_model):
    """Classify the folder ``val`` by the original's pipeline, changed."""

    def call(content=None, **files):
        project = write_project(tmp_path / "data", make_model, content, **files)
        return ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r", "--overwrite")

    return call


@pytest.fixture
def api(tmp_path, make_model):
    made = StreamManagerApi()
    made.InitManager()
    project = write_project(tmp_path / "data", make_model)
    assert made.CreateMultipleStreamsFromFile(str(project)) == 0
    yield made
    made.DestroyAllStreams()


@pytest.fixture
def red(tmp_path):
    return save_square(tmp_path / "val" / "red.png", RED, (40, 40))


def test_two_sinks_where_one_result_is_wanted(run, red):
    content = ghostnet()
    stream = content["im_ghostnet"]
    stream["mxpi_dataserialize0"]["next"] = "tee0"
    stream["tee0"] = {"factory": "tee", "next": ["appsink0", "appsink1"]}
    stream["appsink1"] = {"factory": "appsink"}
    outcome = run(content)
    assert outcome.status == 2
    assert "has 2 appsink elements; a folder of pictures needs exactly one" in outcome.err


def test_a_stream_of_that_name_that_runs_already(api, tmp_path):
    again = api.CreateMultipleStreamsFromFile(str(tmp_path / "data" / "ghostnet.pipeline"))
    assert again == 6001


def test_a_label_file_that_is_shorter_than_class_num(run, red):
    outcome = run(names="red\n")
    assert outcome.status == 0 and "1 names for 3 classes; the rest are empty" in outcome.err
    assert '"className":"red"' in outcome.out and '"className":""' in outcome.out


def test_a_label_file_with_a_leading_unknown_type(run, red):
    outcome = run(names="unknown type\nred\ngreen\nblue\n")
    assert '"classId":0,"className":"red"' in outcome.out
    assert "the leading 'unknown type' is no class of this model" in outcome.err


def test_a_label_file_that_is_missing(run, red):
    outcome = run(ghostnet(mxpi_classpostprocessor={"labelPath": "absent.names"}))
    assert outcome.status == 2 and "labels cannot be read" in outcome.err and "1016" in outcome.err


def test_a_top_k_beyond_class_num(run, red):
    outcome = run(config="CLASS_NUM=3\nSOFTMAX=true\nTOP_K=16\n")
    assert "TOP_K=16 of 3 classes gives all" in outcome.err
    line = outcome.out.splitlines()[1].partition("infer result: ")[2]
    assert len(json.loads(line)["MxpiClass"]) == 3


def test_send_data_to_a_stopped_stream(api, red):
    photo = MxDataInput(red.read_bytes())
    assert api.StopStream(STREAM) == 0
    assert api.SendData(STREAM, 0, photo) == 6002
    assert api.SendDataWithUniqueId(STREAM, 0, photo) == -1
    assert api.GetResult(STREAM, 0, 5).errorCode == 6002


def test_a_picture_of_2_gb_is_refused_before_it_is_read(run, api, red, tmp_path):
    large = tmp_path / "val" / "large.jpg"
    with open(large, "wb") as stream:
        stream.write(b"\xff\xd8\xff\xe0")
        os.truncate(large, 2**31)  # takes no room on the disk
    outcome = run()
    assert outcome.status == 1
    assert "failed: large.jpg: too many bytes: 2048.0 MiB, limit 64.0 (2006)" in outcome.err
    assert "2 pictures: 1 answered, 1 failed" in outcome.err
    with open(large, "rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        assert api.SendData(STREAM, 0, MxDataInput(data)) == 1004
        data.close()


def test_pictures_whose_names_do_not_end_in_jpeg(run, tmp_path):
    for name, color in (("a.JPEG", RED), ("b.bmp", BLUE), ("c.PNG", GREEN), ("d.webp", BLUE)):
        save_square(tmp_path / "val" / name, color, (40, 40))
    assert run().status == 0
    found = {path.name: path.read_text()[0] for path in (tmp_path / "r").iterdir()}
    assert found == {"a_1.txt": "0", "b_1.txt": "2", "c_1.txt": "1", "d_1.txt": "2"}


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_one_failing_picture_among_many_leaves_the_others(tmp_path, make_model, red, count):
    bad, place = tmp_path / "bad.jpg", count // 3
    bad.write_bytes(red.read_bytes()[:40])
    pictures = [str(red)] * count
    pictures[place] = str(bad)
    project = write_project(tmp_path / "data", make_model)
    program = compile_stream(read_pipeline(project), "im_ghostnet")
    outcomes = list(run_pictures(program, pictures))
    assert [index for index, each in enumerate(outcomes) if each.code] == [place]
    assert {each.ids[0] for each in outcomes if not each.code} == {0}
    assert len(outcomes) == count
