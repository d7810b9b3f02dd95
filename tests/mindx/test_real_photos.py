"""200 real photos through the original runner, rebuilt from its description, and through ours."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from ghostkit.mindx.score import score
from mindx.originals import score_as_the_original
from tiny import tiny_card

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


def original_folders(folder, make_model):
    """infer/data and infer/sdk as the original document has them, its pipeline's text unchanged."""
    data, sdk = folder / "infer" / "data", folder / "infer" / "sdk"
    data.mkdir(parents=True)
    sdk.mkdir()
    shutil.copy(Path(__file__).parent / "seed.pipeline", data / "ghostnet.pipeline")
    model = make_model("ghostnet.onnx", card=tiny_card(240).to_json())
    model.replace(data / "ghostnet.onnx")
    (data / "ghostnet_sdk_infer.cfg").write_text("CLASS_NUM=3\nSOFTMAX=true \nTOP_K=5\n")
    names = " # This is modified from a gist\nred\ngreen\nblue\n"
    (data / "imagenet1000_clsidx_to_labels.names").write_text(names)
    return data, sdk


@pytest.mark.data
@pytest.mark.slow
def test_200_photos_give_the_lines_files_and_score_of_the_originals(
    unpacked, ghostkit, tmp_path, make_model, monkeypatch
):
    photos = sorted(unpacked("imagenet-sample-images-288").rglob("*.JPEG"))[:200]
    data, sdk = original_folders(tmp_path, make_model)
    images = data / "imagenet_val"
    images.mkdir()
    for number, path in enumerate(photos):
        (images / f"ILSVRC2012_val_{number:08d}.JPEG").symlink_to(path)
    monkeypatch.chdir(sdk)
    pipeline = Path("../data/ghostnet.pipeline")
    expected = run_as_the_original(pipeline, images, sdk / "theirs")
    outcome = ghostkit("pipeline", pipeline, images, "ours")
    lines = outcome.out.splitlines()
    assert lines[1::2] == expected and len(expected) == 200
    assert all(re.fullmatch(r"sdk run time: \d+", line) for line in lines[::2])
    assert len({line.partition("infer result: ")[2] for line in expected}) > 190  # photos differ
    for path in (sdk / "theirs").iterdir():
        assert (sdk / "ours" / path.name).read_bytes() == path.read_bytes()
    assert len(list((sdk / "ours").iterdir())) == 200
    truths = sdk / "val_label.txt"
    truths.write_text("".join(f"{path.name} {i % 3}\n" for i, path in enumerate(images.iterdir())))
    printed, written = score_as_the_original(sdk / "theirs", truths)
    assert score(sdk / "ours", truths, class_count=1000).to_json() == written
    assert "Top3 accuracy" in printed
