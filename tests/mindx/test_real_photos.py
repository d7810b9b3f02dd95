"""200 real photos through the seed's own runner, rebuilt from its description, and through ours."""

import json
import os

import pytest

from ghostkit.mindx.score import score
from mindx.originals import score_as_the_original
from mindx.pipelines import write_project

pytest.importorskip("cv2")
pytest.importorskip("google.protobuf")


def run_as_the_original(pipeline, images, results):
    """The lines and files of infer/sdk/main.py, by the public calls of the SDK alone."""
    from StreamManagerApi import MxDataInput, StreamManagerApi

    api = StreamManagerApi()
    assert api.InitManager() == 0
    assert api.CreateMultipleStreams(pipeline.read_bytes()) == 0
    data_input, lines = MxDataInput(), []
    os.makedirs(results, exist_ok=True)
    for name in sorted(os.listdir(images)):
        if name.endswith((".JPEG", ".jpeg")):
            data_input.data = (images / name).read_bytes()
        unique_id = api.SendDataWithUniqueId(b"im_ghostnet", 0, data_input)
        result = api.GetResultWithUniqueId(b"im_ghostnet", unique_id, 3000)
        assert result.errorCode == 0, result.data
        text = result.data.decode()
        lines.append(f"process img: {name}, infer result: {text}")
        found = json.loads(text).get("MxpiClass")
        stem = name[:-5]
        if found is None:
            (results / f"{stem}.txt").write_text("")
        else:
            ids = "".join(f"{each.get('classId')} " for each in found)
            (results / f"{stem}_1.txt").write_text(ids + "\n")
    api.DestroyAllStreams()
    return lines


@pytest.mark.data
@pytest.mark.slow
def test_200_photos_give_the_lines_files_and_score_of_the_originals(
    unpacked, ghostkit, tmp_path, make_model, monkeypatch
):
    photos = sorted(unpacked("imagenet-sample-images-288").rglob("*.JPEG"))[:200]
    images = tmp_path / "val"
    images.mkdir()
    for number, path in enumerate(photos):
        (images / f"ILSVRC2012_val_{number:08d}.JPEG").symlink_to(path)
    project = write_project(tmp_path / "data", make_model)
    monkeypatch.chdir(project.parent)
    expected = run_as_the_original(project, images, tmp_path / "theirs")
    outcome = ghostkit("pipeline", project, images, tmp_path / "ours")
    lines = outcome.out.splitlines()
    assert lines[1::2] == expected and len(expected) == 200
    for path in (tmp_path / "theirs").iterdir():
        assert (tmp_path / "ours" / path.name).read_bytes() == path.read_bytes()
    truths = tmp_path / "val_label.txt"
    truths.write_text("".join(f"{path.name} {i % 3}\n" for i, path in enumerate(images.iterdir())))
    printed, written = score_as_the_original(tmp_path / "theirs", truths)
    assert score(tmp_path / "ours", truths, class_count=1000).to_json() == written
    assert "Top2 accuracy" in printed
