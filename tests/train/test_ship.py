"""`recipes/ship.py`: from a checkpoint to the two files of the bundled model, in one command."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest

from ghostkit.artifacts import load
from ghostkit.train.network.carded import read_carded

SHIP = Path(__file__).parent.parent.parent / "recipes" / "ship.py"


@pytest.fixture
def data(photos, tmp_path):
    """The photos, with a list of what people call the three classes."""
    folder = shutil.copytree(photos, tmp_path / "colours")
    (folder / "words.txt").write_text("red\tscarlet, crimson\ngreen\tlime\nblue\tnavy\n")
    return folder


def ship(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(SHIP), *map(str, arguments)])
    runpy.run_path(str(SHIP), run_name="__main__")


@pytest.mark.slow
def test_the_pair_answers_as_the_checkpoint_and_says_what_was_measured(
    learned, data, tmp_path, monkeypatch, capsys
):
    ship(monkeypatch, learned.best_checkpoint, data, tmp_path / "out")
    said = capsys.readouterr().out
    before = read_carded(learned.best_checkpoint)[1]
    shipped, card = (
        load(tmp_path / "out" / "default.onnx"),
        read_carded(tmp_path / "out" / "default.safetensors")[1],
    )
    assert shipped.card == card
    assert (card.classes, card.titles) == (before.classes, ("navy", "lime", "scarlet"))
    assert card.measurements == before.measurements
    assert f"top-1 {100 * card.measurements[0].top1:.2f} % (" in said
    assert said.count("top-1 agreement 100.00 %") == 2
    [photo] = list((data / "val" / "red").iterdir())[:1]
    assert shipped(photo).title == "scarlet"


def test_without_titles_nothing_is_written(learned, photos, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="words.txt does not name the classes"):
        ship(monkeypatch, learned.best_checkpoint, photos, tmp_path / "out")
    assert not (tmp_path / "out").exists()
