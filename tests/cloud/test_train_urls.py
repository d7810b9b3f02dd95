"""A training whose photos and run folder lie in a store, stopped and gone on with elsewhere."""

import pytest

pytest.importorskip("torch")

from ghostkit.cli import run
from ghostkit.cloud.stage import fetch, send
from ghostkit.cloud.store import open_store
from ghostkit.train import export as train_export
from ghostkit.train.checkpoint import open_checkpoint
from squares import quick_flags, save_photos


def written(model, card, path, photos, **more):
    """Stands in for the export of a model: a file, and a report on it."""
    path.write_bytes(b"onnx of %d photos" % len(photos))
    return train_export.ExportReport(path, len(photos), (1,), 0.0, 1.0, 1.0)


@pytest.mark.slow
def test_a_training_goes_on_from_the_store_on_another_machine(s3, tmp_path, monkeypatch):
    send(save_photos(tmp_path / "photos", 4, 2), s3.below("photos"))
    data, folder = str(s3.below("photos")), str(s3.below("runs/1"))
    train = ["train", data, "--run-folder", folder, *quick_flags(epochs=3)]
    assert run(train) == 0
    fetch(s3.below("runs/1"), tmp_path / "whole")
    for name in ("last.pth.tar", "checkpoint-2.pth.tar"):  # as if it had been killed before
        open_store(s3).delete(s3.below(f"runs/1/{name}").key)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    assert run([*train, "--resume", folder]) == 0
    assert run(train) == 2  # a run stands there
    back = fetch(s3.below("runs/1"), tmp_path / "back")
    for name in ("last.pth.tar", "model_best.pth.tar"):
        whole, ours = open_checkpoint(tmp_path / "whole" / name), open_checkpoint(back / name)
        assert all(whole.weights[key].equal(ours.weights[key]) for key in whole.weights)
    names = {entry.key for entry in open_store(s3).list(s3.below("runs/1").prefix)}
    assert s3.below("runs/1/summary.csv").key in names
    monkeypatch.setattr(train_export, "export", written)  # tracing takes 20 s, in any folder
    model = s3.below("out/model.onnx")
    best = str(s3.below("runs/1/model_best.pth.tar"))
    assert run(["export", best, "-o", str(model), "--images", data]) == 0
    assert bytes(open_store(model).get(model.key)) == b"onnx of 18 photos"
