"""A training whose photos and run folder lie in a store, stopped and gone on with elsewhere."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from ghostkit.cli import run
from ghostkit.cli.commands import _complete
from ghostkit.cli.train import _weights_named
from ghostkit.cli.urls import Urls, is_first
from ghostkit.cloud.places import place_of
from ghostkit.cloud.stage import fetch, send
from ghostkit.cloud.store import open_store
from ghostkit.errors import OutputError
from ghostkit.locks import claimed
from ghostkit.train import export as train_export
from ghostkit.train.checkpoint import open_checkpoint
from squares import quick_flags, save_photos


def written(model, card, path, photos, **more):
    """Stands in for the export of a model: a file, and a report on it."""
    path.write_bytes(b"onnx of %d photos" % len(photos))
    return train_export.ExportReport(path, len(photos), (1,), 0.0, 1.0, 1.0)


def localized(words):
    urls = Urls()
    return urls, urls.localized(_complete("train"), "train", words)


def test_a_run_in_the_store_is_gone_on_with_where_it_is_however_it_is_named(s3):
    run_folder = s3.below("runs/1")
    for name in ("last.pth.tar", "checkpoint-0.pth.tar"):
        open_store(s3).put(run_folder.below(name).key, b"epoch")
    named, last = str(run_folder), str(run_folder.below("last.pth.tar"))
    place = place_of(run_folder)
    for words, resumed in (
        (["--resume", named], place),
        (["--resume", f"{named}/"], place),
        (["--run-folder", f"{named}/", "--resume", named], place),
        (["--run-folder", named, "--resume", last], place / "last.pth.tar"),
        (["--resume", last], place / "last.pth.tar"),
    ):
        urls, found = localized(["data", *words])
        assert [Path(word) for word in found[-1:]] == [Path(f"{resumed}")], words
        assert len(urls._waiting) == 1, words  # it is kept in the store while it goes on
        assert (place / "checkpoint-0.pth.tar").read_bytes() == b"epoch"
        urls._claims.close()


def test_an_option_that_may_stand_alone_does_not_take_the_next_one_for_its_value(s3):
    folder = s3.below("runs/2")
    urls, words = localized(["data", "--amp", "--run-folder", str(folder)])
    assert words == ["data", "--amp=auto", "--run-folder", str(place_of(folder))]
    assert len(urls._waiting) == 1


@pytest.mark.parametrize("name", ["last.pth.tar", "recovery-0-400.pth.tar"])
def test_a_run_in_the_store_is_not_written_over_not_even_a_killed_one(s3, name, capsys):
    folder = s3.below("runs/3")
    open_store(s3).put(folder.below(name).key, b"epoch")
    with pytest.raises(OutputError, match=rf"'{folder}' holds a run already; .*--resume {folder}"):
        localized(["data", "--run-folder", str(folder)])
    assert open_store(s3).stat(folder.below(name).key) is not None
    assert run(["train", "data", "--run-folder", str(folder)]) == 2
    assert f"'{folder}' holds a run already" in capsys.readouterr().err


def test_a_resume_of_a_run_that_goes_on_here_leaves_its_folder_alone(s3):
    folder = s3.below("runs/5")
    open_store(s3).put(folder.below("last.pth.tar").key, b"epoch 11")
    place = place_of(folder)
    place.mkdir(parents=True)
    (place / "last.pth.tar").write_bytes(b"epoch 12")
    with claimed(place.parent):
        with pytest.raises(OutputError, match=f"'{folder}': another run is writing it"):
            localized(["data", "--resume", str(folder)])
    assert (place / "last.pth.tar").read_bytes() == b"epoch 12"


def test_a_command_that_fails_before_it_trains_claims_no_run(s3, capsys):
    assert run(["train", "no such folder", "--run-folder", str(s3.below("runs/4"))]) == 2
    assert "kept:" not in capsys.readouterr().err


def test_only_the_first_process_writes_however_it_is_told(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert is_first() and is_first(["--local_rank", "0"]) and is_first(["--local_rank=0"])
    assert not is_first(["--local_rank", "3"]) and not is_first(["--local-rank=1"])
    monkeypatch.setenv("RANK", "1")
    assert not is_first(["--local_rank", "0"])


def test_weights_that_a_flag_names_yield_to_a_resume():
    assert _weights_named(None, {"pretrained_weight": "gone.pth"}, resumed=True) is None


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
