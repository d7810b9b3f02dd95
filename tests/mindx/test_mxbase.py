import json
import re

import numpy as np
import pytest

from ghostkit.cli import mxbase_run
from tiny import BLUE, RED, save_square, tiny_card

TIMED = r"\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ GhostNetClassify\.cpp:"


def raises(error):
    def call(*_, **__):
        raise error

    return call


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "val"
    save_square(folder / "a.b.JPEG", RED, (60, 40))
    save_square(folder / "c.png", BLUE, (40, 60))
    (folder / "d.jpg").write_text("no picture")
    return folder


def test_lines_and_files_are_the_programs(ghostkit, make_model, photos, tmp_path):
    result = tmp_path / "result"
    outcome = ghostkit("mxbase", photos, "--model", make_model(), "--topk", 2, "--output", result)
    assert outcome.status == 1
    lines = outcome.out.splitlines()
    first = [re.sub(f"^I{TIMED}", "", line) for line in lines[:4]]
    assert first[0] == f"239] image path: {photos}/a.b.JPEG"
    assert first[1] == f"241] file path for saving result: {result}/a.b_1.txt"
    assert re.fullmatch(
        r"253\] batchIndex:0 top1 className:red confidence:0\.57\d* classIndex:0", first[2]
    )
    assert first[3].startswith("253] batchIndex:0 top2 className:")
    total = re.sub(f"^I{TIMED}", "", lines[-1])
    assert re.fullmatch(
        r"\d+\] \[Total Process Delay\] cost: [\d.e+]+ ms, fps: [\d.e+]+ imgs/sec", total
    )
    assert re.match(f"E{TIMED}128\\] image path: {photos}/d.jpg: not a picture", outcome.err)
    assert {path.name: path.read_text()[:2] for path in result.iterdir()} == {
        "a.b_1.txt": "0 ",
        "c_1.txt": "2 ",
    }


def test_without_softmax_the_confidence_is_the_raw_output(ghostkit, make_model, photos, tmp_path):
    outcome = ghostkit(
        "mxbase", photos, "--model", make_model(), "--no-softmax", "-o", tmp_path / "r"
    )
    red = float(re.search(r"className:red confidence:([\d.]+)", outcome.out)[1])
    assert red == pytest.approx(254 / 255, abs=0.02)


def test_the_probabilities_are_those_of_the_cards_temperature(
    ghostkit, make_model, photos, tmp_path
):
    output = tiny_card().output.model_copy(update={"temperature": 0.5})
    card = tiny_card().model_copy(update={"output": output})
    model = make_model(card=card.to_json())
    outcome = ghostkit("mxbase", photos, "--model", model, "-o", tmp_path / "r")
    red = float(re.search(r"className:red confidence:([\d.]+)", outcome.out)[1])
    means = np.float32([254, 0, 0]) / 255  # as the model without softmax answers
    expected = np.exp(means / 0.5) / np.exp(means / 0.5).sum()
    assert red == pytest.approx(expected[0], abs=0.02)


def test_a_threshold_of_the_card_is_told(ghostkit, make_model, photos, tmp_path):
    output = tiny_card().output.model_copy(update={"reject_threshold": 0.25})
    card = tiny_card().model_copy(update={"output": output})
    model = make_model(card=card.to_json())
    outcome = ghostkit("mxbase", photos, "--model", model, "-o", tmp_path / "r")
    assert "note: the card has threshold 0.25, which the SDK does not know" in outcome.err


def test_names_of_a_file_stand_in_for_the_cards(ghostkit, make_model, photos, tmp_path):
    names = tmp_path / "x.names"
    names.write_text("# x\nunknown type\nrot\ngruen\nblau\n")
    outcome = ghostkit(
        "mxbase", photos, "--model", make_model(), "--labels", names, "-o", tmp_path / "r"
    )
    assert "className:rot" in outcome.out and "className:blau" in outcome.out
    assert "unknown type" in outcome.err


def test_the_preprocessing_is_the_cards_and_not_a_stretch(ghostkit, make_model, tmp_path):
    """A picture that is red in the middle and blue at both ends: only a stretch sees the blue."""
    import numpy as np
    from PIL import Image

    pixels = np.zeros((40, 400, 3), np.uint8)
    pixels[..., 2] = 255
    pixels[:, 170:230] = (255, 0, 0)
    (tmp_path / "val").mkdir()
    Image.fromarray(pixels).save(tmp_path / "val" / "wide.png")
    model = make_model("wide.onnx", card=tiny_card(32).to_json())
    outcome = ghostkit("mxbase", tmp_path / "val", "--model", model, "-o", tmp_path / "r")
    assert "className:red" in outcome.out


def test_earlier_results_stand(ghostkit, make_model, photos, tmp_path):
    arguments = ("mxbase", photos, "--model", make_model(), "-o", tmp_path / "r")
    ghostkit(*arguments)
    assert "holds results" in ghostkit(*arguments).err


def test_a_stopped_run_goes_on(ghostkit, make_model, photos, tmp_path, monkeypatch):
    result = tmp_path / "r"
    line = ("mxbase", photos, "--model", make_model(), "-o", result)
    assert ghostkit(*line).status == 1
    (result / "c_1.txt").unlink()
    again = ghostkit(*line, "--resume")
    assert again.status == 1
    assert "c.png" in again.out and "a.b.JPEG" not in again.out
    assert f"{result} holds the results of 1 pictures" in again.err
    assert "Classifying: 2/2" in again.err
    assert "--top-k was 1, is 2" in ghostkit(*line, "--resume", "--topk", 2).err
    monkeypatch.setattr(mxbase_run, "write_result", raises(KeyboardInterrupt()))
    stopped = ghostkit(*line, "--overwrite")
    assert stopped.status == 130
    assert "stopped after 0 pictures; what was written is kept" in stopped.err
    assert list(result.iterdir()) == []  # no answer of the earlier job is taken for one of this


def test_strict_refuses_the_onnx_in_place_of_the_om(ghostkit, make_model, photos, tmp_path):
    line = ("mxbase", photos, "--model", make_model().with_suffix(".om"), "-o", tmp_path / "r")
    assert "tiny.onnx'; without --strict it runs" in ghostkit(*line, "--strict").error
    assert ghostkit(*line).status == 1
    record = json.loads((tmp_path / "r.job.json").read_bytes())
    assert "is answered by" in record["fallback"] and record["format"] == "mxbase"


def test_a_picture_without_an_answer_loses_its_earlier_one(ghostkit, make_model, photos, tmp_path):
    result = tmp_path / "result"
    result.mkdir()
    (result / "d_1.txt").write_text("5 \n")
    line = ("mxbase", photos, "--model", make_model(), "--output", result, "--overwrite")
    assert ghostkit(*line).status == 1
    assert {path.name for path in result.iterdir()} == {"a.b_1.txt", "c_1.txt"}


def test_a_missing_folder_is_told_before_anything_is_made(ghostkit, make_model, tmp_path):
    outcome = ghostkit("mxbase", tmp_path / "no", "--model", make_model(), "-o", tmp_path / "r")
    assert outcome.status == 2
    assert "no' does not exist; expected a folder of pictures" in outcome.error
    assert not (tmp_path / "r").exists()
