import json

import pytest

pytest.importorskip("torch")

from ghostkit.train import export as exporting

torch = pytest.importorskip("torch")

from ghostkit.train.network.architectures import build  # noqa: E402


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "model_best.pth.tar"
    torch.save({"state_dict": {"a.weight": torch.zeros(2)}}, path)
    return path


def test_an_output_that_exists_is_kept(ghostkit, checkpoint, tmp_path):
    output = tmp_path / "model.onnx"
    output.write_text("earlier")
    message = ghostkit("export", checkpoint, "-o", output).error
    assert str(output) in message and "--overwrite" in message
    assert output.read_text() == "earlier"


def test_the_checkpoint_is_never_its_own_output(ghostkit, checkpoint):
    before = checkpoint.read_bytes()
    message = ghostkit("export", checkpoint, "-o", checkpoint, "--overwrite").error
    assert "is the checkpoint itself" in message
    assert checkpoint.read_bytes() == before


def test_an_output_below_a_file_cannot_be_written(ghostkit, checkpoint):
    message = ghostkit("export", checkpoint, "-o", checkpoint / "model.onnx").error
    assert "is a file, not a folder" in message


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint", b"PK\x03\x04" + b"\0" * 99])
def test_what_is_no_checkpoint_is_named_and_nothing_is_written(ghostkit, tmp_path, content):
    path = tmp_path / "模型\n.pth"
    if content is not None:
        path.write_bytes(content)
    assert r"模型\n.pth" in ghostkit("export", path, "-o", tmp_path / "m.onnx").error
    assert not (tmp_path / "m.onnx").exists()


def test_weights_without_a_card_say_what_they_are_good_for(ghostkit, checkpoint, tmp_path):
    message = ghostkit("export", checkpoint, "-o", tmp_path / "m.onnx").error
    assert "not the weights of a GhostNet" in message and str(checkpoint) in message
    torch.save(build("ghostnet", 0.12, 3).state_dict(), checkpoint)
    message = ghostkit("export", checkpoint, "-o", tmp_path / "m.onnx").error
    assert "carries no card" in message and "--pretrained-weight" in message


def test_the_output_has_to_be_named(ghostkit, checkpoint):
    assert "Missing option '--output'" in ghostkit("export", checkpoint).error


def test_a_name_by_which_no_command_would_open_it_is_refused(ghostkit, checkpoint, tmp_path):
    message = ghostkit("export", checkpoint, "-o", tmp_path / "m.pt").error
    assert "export writes a file NAME.onnx" in message
    assert f"name it {str(tmp_path / 'm.onnx')!r}" in message


def test_photos_that_cannot_be_read_are_named_and_the_status_is_1(ghostkit, tmp_path, monkeypatch):
    bad = tmp_path / "bad.png"
    bad.touch()

    def export(model, card, path, photos, **options):
        report = exporting.ExportReport(
            path, 1, (1, 7), 0.0, 1.0, 1.0, ((photos[0], "empty file"),)
        )
        return report

    monkeypatch.setattr(exporting, "export", export)
    arguments = ("export", "default", "-o", tmp_path / "m.onnx", "--images", bad)
    outcome = ghostkit(*arguments, "--json")
    assert outcome.status == 1
    assert f"no answer: {bad}: empty file" in outcome.err
    record = json.loads(outcome.out)
    assert record["path"] == str(tmp_path / "m.onnx") and record["batch_sizes"] == [1, 7]
    assert record["unanswered"] == [{"path": str(bad), "reason": "empty file"}]
    missing = ghostkit(*arguments[:-1], tmp_path / "none.png")
    assert "none.png': no such file or folder; check the path" in missing.error
