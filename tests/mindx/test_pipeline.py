import json

import numpy as np
import pytest

from ghostkit.backend.graph.metadata import with_card
from ghostkit.card import write_sidecar
from ghostkit.cli import pipeline_run
from ghostkit.mindx.grammar import parse, read_pipeline
from ghostkit.mindx.program import compile_stream
from ghostkit.mindx.request import Request
from ghostkit.predictions import softmax
from ghostkit.writers import write_result
from mindx.pipelines import SIZE, ghostnet, inserted, write_project
from tiny import BLUE, GREEN, RED, save_square, tiny_card

pytest.importorskip("cv2")


@pytest.fixture
def project(tmp_path, make_model):
    return write_project(tmp_path / "infer" / "data", make_model)


@pytest.fixture
def photos(tmp_path):
    """A red .JPEG, a green .jpg, a blue .png, and two files that are no pictures."""
    folder = tmp_path / "val"
    save_square(folder / "a.red.JPEG", RED, (50, 40))
    save_square(folder / "b.jpg", GREEN, (40, 50))
    save_square(folder / "c.png", BLUE, (60, 40))
    (folder / "d.JPEG").write_text("no picture")
    (folder / "notes.md").touch()
    return folder


def compiled(project, **options):
    return compile_stream(read_pipeline(project), "im_ghostnet", **options)


def result_lines(out):
    lines = out.splitlines()
    assert all(line.startswith("sdk run time: ") for line in lines[::2])
    assert all(int(line.split(": ")[1]) > 0 for line in lines[::2])
    return lines[1::2]


def test_one_picture_is_called_by_its_name(ghostkit, project, photos, tmp_path):
    picture = photos / "c.png"
    assert picture.is_file()
    [line] = result_lines(ghostkit("pipeline", project, picture, tmp_path / "result").out)
    assert line.startswith("process img: c.png, infer result: ")


def test_each_picture_gets_its_own_line_and_file_or_its_own_error(
    ghostkit, project, photos, tmp_path
):
    outcome = ghostkit("pipeline", project, photos, tmp_path / "result")
    assert outcome.status == 1
    best = float(softmax(np.float32([253.9, 0, 0]) / 255)[0])
    lines = result_lines(outcome.out)
    assert [line.partition(", infer result: ")[0] for line in lines] == [
        "process img: a.red.JPEG",
        "process img: b.jpg",
        "process img: c.png",
    ]
    for line, name in zip(lines, ("red", "green", "blue"), strict=True):
        first, second = json.loads(line.partition("infer result: ")[2])["MxpiClass"]
        assert first["className"] == name
        assert first["confidence"] == pytest.approx(best, abs=0.01) and second["classId"] >= 0
    assert "failed: d.JPEG: not a picture" in outcome.err and "(2006)" in outcome.err
    assert "4 pictures: 3 answered, 1 failed; 1 other files skipped" in outcome.err
    files = {path.name: path.read_text() for path in (tmp_path / "result").iterdir()}
    assert set(files) == {"a.red_1.txt", "b_1.txt", "c_1.txt"}
    assert files["b_1.txt"].startswith("1 ") and files["b_1.txt"].endswith(" \n")


def test_strict_refuses_the_onnx_in_place_of_the_om(ghostkit, project, photos, tmp_path):
    outcome = ghostkit("pipeline", project, photos, tmp_path / "r", "--strict")
    assert "modelPath 'ghostnet.om' is answered by" in outcome.error
    assert "without --strict it runs all the same" in outcome.error
    assert not (tmp_path / "r").exists()
    model = ("--model", project.parent / "ghostnet.onnx")
    assert ghostkit("pipeline", project, photos, tmp_path / "r", *model, "--strict").status == 1
    assert json.loads((tmp_path / "r.job.json").read_bytes())["fallback"] is None


@pytest.mark.parametrize("element", ["mxpi_imagedecoder", "mxpi_imageresize"])
def test_strict_refuses_opencv_in_place_of_the_device(
    ghostkit, photos, tmp_path, make_model, element
):
    content = ghostnet(**{element: {"handleMethod": "ascend"}})
    path = write_project(tmp_path / "d", make_model, content)
    line = ("pipeline", path, photos, tmp_path / "r", "--model", path.parent / "ghostnet.onnx")
    assert "OpenCV's stands in for it" in ghostkit(*line, "--strict").error
    assert ghostkit(*line).status == 1
    record = json.loads((tmp_path / "r.job.json").read_bytes())
    assert f"{element}0: asks for the device's own" in record["fallback"]
    assert (record["format"], record["sources"]) == ("pipeline", [str(photos)])


def test_a_stopped_run_goes_on_with_the_pictures_that_have_no_whole_result(
    ghostkit, project, photos, tmp_path, monkeypatch
):
    def stopped(folder, source, ids):
        if source.endswith("b.jpg"):
            raise KeyboardInterrupt
        write_result(folder, source, ids)

    line = ("pipeline", project, photos, tmp_path / "r")
    monkeypatch.setattr(pipeline_run, "write_result", stopped)
    first = ghostkit(*line)
    assert first.status == 130
    assert "stopped after 1 pictures; what was written is kept; to go on, add --resume" in first.err
    monkeypatch.setattr(pipeline_run, "write_result", write_result)
    (tmp_path / "r" / "c_1.txt").write_text("0 ")  # cut
    assert "holds results" in ghostkit(*line).err
    assert "give one of them" in ghostkit(*line, "--resume", "--overwrite").err
    again = ghostkit(*line, "--resume")
    assert again.status == 1
    assert [line.partition(",")[0] for line in result_lines(again.out)] == [
        "process img: b.jpg",
        "process img: c.png",
    ]
    assert "4 pictures: 3 answered, 1 failed; 1 of them by earlier runs" in again.err
    assert "Classifying: 3/3" in again.err
    assert (tmp_path / "r" / "c_1.txt").read_text() == "2 0 \n"


def test_a_folder_of_another_pipeline_is_not_gone_on_with(ghostkit, project, photos, tmp_path):
    line = ("pipeline", project, photos, tmp_path / "r")
    ghostkit(*line)
    (project.parent / "infer.cfg").write_text("CLASS_NUM=3\nSOFTMAX=true\nTOP_K=1\n")
    assert "is of another job: the pipeline was" in ghostkit(*line, "--resume").err
    (tmp_path / "r.job.json").unlink()
    assert "no record of its job" in ghostkit(*line, "--resume").err


def test_the_om_is_answered_by_the_onnx_of_its_stem_and_that_is_said(
    ghostkit, project, photos, tmp_path
):
    outcome = ghostkit("pipeline", project, photos, tmp_path / "result")
    assert "modelPath 'ghostnet.om' is answered by " in outcome.err
    (project.parent / "ghostnet.onnx").unlink()
    outcome = ghostkit("pipeline", project, photos, tmp_path / "other")
    assert outcome.status == 2
    assert "no ONNX model for it; looked for" in outcome.err and "(1016)" in outcome.err


def test_earlier_results_are_replaced_only_when_asked(ghostkit, project, photos, tmp_path):
    arguments = ("pipeline", project, photos, tmp_path / "result")
    ghostkit(*arguments)
    refused = ghostkit(*arguments)
    assert refused.status == 2 and "holds results" in refused.err
    (tmp_path / "result" / "d_1.txt").write_text("5 \n")  # of a picture that has no answer now
    assert ghostkit(*arguments, "--overwrite").status == 1
    names = {path.name for path in (tmp_path / "result").iterdir()}
    assert names == {"a.red_1.txt", "b_1.txt", "c_1.txt"}


def test_a_missing_folder_is_told_before_anything_is_made(ghostkit, project, tmp_path):
    outcome = ghostkit("pipeline", project, tmp_path / "no", tmp_path / "r")
    assert outcome.status == 2
    assert "no' does not exist; expected a folder of pictures" in outcome.err
    assert not (tmp_path / "r").exists()


def test_the_pixels_that_reach_the_model_are_stretched_cropped_swapped_and_normalised(
    project, tmp_path
):
    cv2 = pytest.importorskip("cv2")
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 255, (70, 90, 3)).astype(np.uint8)
    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), pixels)
    program = compiled(project)
    request = Request(str(path))
    program.run(request)
    [image] = program.infer.inputs(request)
    cropped = cv2.resize(pixels, (36, 36))[2:34, 2:34, ::-1]
    np.testing.assert_array_equal(image, cropped)  # RGB bytes: the graph normalises
    [outputs] = request.tensors("mxpi_tensorinfer0", "x")
    np.testing.assert_allclose(outputs[0], (cropped / 255).mean(axis=(0, 1)), atol=1e-6)


def test_batches_and_single_requests_give_equal_answers(project, tmp_path):
    paths = []
    for number in range(12):
        color = tuple(np.random.default_rng(number).integers(0, 255, 3).tolist())
        paths.append(str(save_square(tmp_path / f"{number}.png", color, (40 + number, 40))))
    program = compiled(project)
    alone = []
    for path in paths:
        request = Request(path)
        program.run(request)
        alone.append(request.outputs["appsink0"])
    for size in (1, 5):
        together = program.stream_of(map(Request, paths), batch_size=size, workers=2)
        assert [request.outputs["appsink0"] for request, _ in together] == alone
    assert len(set(alone)) > 6


@pytest.mark.parametrize(
    ("config", "names", "code", "words"),
    [
        ("CLASS_NUM=1000\nTOP_K=1\n", "red\n", 1004, "CLASS_NUM=1000, but the model answers 3"),
        ("CLASS_NUM=2\nTOP_K=1\n", "red\n", 1004, "write CLASS_NUM=3"),
    ],
)
def test_a_class_count_that_is_not_the_models_is_refused_before_the_run(
    tmp_path, make_model, config, names, code, words
):
    from ghostkit.errors import PipelineError

    path = write_project(tmp_path / "d", make_model, config=config, names=names)
    with pytest.raises(PipelineError, match=words) as caught:
        compiled(path)
    assert caught.value.code == code


def test_softmax_off_on_logits_is_told_and_gives_the_raw_outputs(tmp_path, make_model):
    path = write_project(tmp_path / "d", make_model, config="CLASS_NUM=3\nTOP_K=1\n")
    program = compiled(path)
    assert any("confidences are no probabilities" in notice for notice in program.notices)


def calibrated(folder):
    """Writes a temperature and a threshold into the card of the model in `folder`."""
    output = tiny_card(SIZE).output.model_copy(
        update={"temperature": 1.5, "reject_threshold": 0.25}
    )
    card = tiny_card(SIZE).model_copy(update={"output": output})
    path = folder / "ghostnet.onnx"
    path.write_bytes(with_card(path.read_bytes(), card))


def test_a_temperature_and_a_threshold_that_the_sdk_does_not_know_are_told(
    ghostkit, project, photos, tmp_path
):
    calibrated(project.parent)
    words = (
        "SOFTMAX is true and the card has temperature 1.5, which the SDK's softmax does not know",
        "the card has threshold 0.25, which the SDK does not know",
    )
    explained = ghostkit("pipeline", project, "--explain").out
    run = ghostkit("pipeline", project, photos, tmp_path / "r").err
    for each in words:
        assert f"im_ghostnet.mxpi_classpostprocessor0: {each}" in explained
        assert each in run


def test_without_a_softmax_the_temperature_counts_for_nothing(tmp_path, make_model):
    path = write_project(tmp_path / "d", make_model, config="CLASS_NUM=3\nTOP_K=1\n")
    calibrated(path.parent)
    notices = compiled(path).notices
    assert not any("temperature" in notice for notice in notices)
    assert any("threshold 0.25" in notice for notice in notices)


def test_names_in_another_order_than_the_cards_are_told(tmp_path, make_model):
    path = write_project(tmp_path / "d", make_model, names="green\nred\nblue\n")
    assert any("in another order" in notice for notice in compiled(path).notices)


def test_a_tee_feeds_every_branch_and_a_file_of_every_answer(tmp_path, make_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = ghostnet()
    stream = content["im_ghostnet"]
    stream["mxpi_dataserialize0"]["next"] = "tee0"
    stream["tee0"] = {"factory": "tee", "next": ["queue0", "filesink0"]}
    stream["queue0"] = {"factory": "queue", "next": "appsink0"}
    stream["filesink0"] = {"factory": "filesink", "props": {"location": "all.json"}}
    (tmp_path / "all.json").write_text("of an earlier run")
    program = compiled(write_project(tmp_path / "d", make_model, content))
    answers = []
    for name, color in (("red", RED), ("blue", BLUE)):
        request = Request(str(save_square(tmp_path / f"{name}.png", color, (40, 40))))
        program.run(request)
        answers.append(request.outputs["appsink0"])
    assert (tmp_path / "all.json").read_bytes() == b"".join(answers)


def test_several_crops_of_a_picture_are_several_answers(tmp_path, make_model):
    crops = {
        "handleMethod": "opencv",
        "autoDetectFrame": "0",
        "cropPointx0": "0,40",
        "cropPointy0": "0,0",
        "cropPointx1": "40,80",
        "cropPointy1": "40,40",
    }
    content = inserted("mxpi_imagedecoder0", "mxpi_imagecrop", crops)
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, :40, 0] = picture[:, 40:, 2] = 255  # RGB: red beside blue
    from PIL import Image

    Image.fromarray(picture).save(tmp_path / "two.png")
    program = compiled(write_project(tmp_path / "d", make_model, content))
    [(request, error)] = program.stream_of([Request(str(tmp_path / "two.png"))])
    assert error is None
    answers = json.loads(request.outputs["appsink0"])["MxpiClass"]
    assert [each["className"] for each in answers[::2]] == ["red", "blue"]


def test_normalising_in_the_pipeline_replaces_the_models(tmp_path, make_model):
    content = ghostnet()
    stream = content["im_ghostnet"]
    stream["mxpi_opencvcentercrop0"]["next"] = "mxpi_imagenormalize0"
    stream["mxpi_imagenormalize0"] = {
        "factory": "mxpi_imagenormalize",
        "next": "mxpi_tensorinfer0",
        "props": {"alpha": "0,0,0", "beta": "255,255,255", "dataType": "FLOAT32"},
    }
    plain = compiled(write_project(tmp_path / "d", make_model))
    own = compiled(write_project(tmp_path / "e", make_model, content))
    path = str(save_square(tmp_path / "x.png", (200, 90, 30), (40, 40)))
    outputs = []
    for program in (plain, own):
        request = Request(path)
        program.run(request)
        outputs += request.tensors("mxpi_tensorinfer0", "x")
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-6)
    np.testing.assert_allclose(outputs[0], [np.array((200, 90, 30)) / 255], atol=1e-5)


def test_a_data_source_that_is_no_element_is_refused_with_the_nearest_name(tmp_path, make_model):
    from ghostkit.errors import PipelineError

    content = ghostnet(mxpi_tensorinfer={"dataSource": "mxpi_opencvcentrecrop0"})
    with pytest.raises(PipelineError, match="did you mean 'mxpi_opencvcentercrop0'") as caught:
        compiled(write_project(tmp_path / "d", make_model, content))
    assert caught.value.code == 11003


def test_several_streams_want_a_name(ghostkit, tmp_path, make_model, photos):
    content = ghostnet() | {"second": ghostnet()["im_ghostnet"]}
    path = write_project(tmp_path / "d", make_model, content)
    assert "holds 2 streams; name one: --stream" in ghostkit("pipeline", path, photos, "out").error
    assert "no stream 'third'" in ghostkit("pipeline", path, "--stream", "third").error
    assert len(parse(path.read_bytes(), "x").streams) == 2


def test_a_model_in_openvinos_own_files_answers_by_openvino(ghostkit, tmp_path, make_model, photos):
    openvino = pytest.importorskip("openvino")
    content = ghostnet(mxpi_tensorinfer={"modelPath": "ghostnet.xml"})
    project = write_project(tmp_path / "infer", make_model, content)
    source = project.with_name("ghostnet.onnx")
    target = project.with_name("ghostnet.xml")
    openvino.save_model(openvino.Core().read_model(str(source)), str(target))
    write_sidecar(tiny_card(SIZE), target)
    source.unlink()
    outcome = ghostkit("pipeline", project, photos, tmp_path / "result")
    assert outcome.status == 1  # one is no picture
    files = {path.name: path.read_text() for path in (tmp_path / "result").iterdir()}
    assert set(files) == {"a.red_1.txt", "b_1.txt", "c_1.txt"}
    assert [files[name].split()[0] for name in sorted(files)] == ["0", "1", "2"]
