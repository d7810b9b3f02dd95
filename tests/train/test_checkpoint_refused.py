"""Checkpoints that are cut down, damaged, unsafe or another network's are refused by name."""

import os

import pytest
import torch

from ghostkit.card import CHECKPOINT_KEY
from ghostkit.errors import CardError, CheckpointError
from ghostkit.run_files import LAST
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.history import EpochRow
from ghostkit.train.network.architectures import build_carded

ROW = vars(EpochRow(0, 1.5, 1.25, 1.0, 100.0))


@pytest.fixture(scope="module")
def card(learned):
    return open_checkpoint(learned.best_checkpoint).card


@pytest.fixture
def changed(learned, tmp_path):
    """The learned checkpoint with some keys changed, or removed where the value is None."""

    def change(**changes):
        content = torch.load(learned.folder / LAST, weights_only=False) | changes
        path = tmp_path / "changed.pth.tar"
        torch.save({key: value for key, value in content.items() if value is not None}, path)
        return path

    return change


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": None}, "no 'optimizer'; was it cut down"),
        ({"state_dict": None}, "no 'state_dict'"),
        ({"state_dict": {"conv_stem.weight": 3}}, "no tensors"),
        ({"history": None}, "'history' is not that of epochs"),
        ({"history": []}, "'history'"),
        ({"history": [{"epoch": 0}]}, "'history'"),
        ({"history": [ROW | {"epoch": 5}]}, "'history'"),
        ({"history": [ROW | {"eval_top1": "high"}]}, "'history'"),
        ({"history": "none"}, "'history'"),
    ],
)
def test_what_a_run_cannot_go_on_with_is_named(changed, changes, words):
    path = changed(**changes)
    with pytest.raises(CheckpointError, match=words) as caught:
        open_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("card", [None, 7])
def test_without_a_card_the_error_says_what_the_weights_are_good_for(changed, card):
    with pytest.raises(CardError, match="carries no card.*--pretrained-weight"):
        open_checkpoint(changed(**{CHECKPOINT_KEY: card}))


def test_a_malformed_card_is_an_error_that_names_the_file(changed):
    with pytest.raises(CardError, match="changed.pth.tar"):
        open_checkpoint(changed(**{CHECKPOINT_KEY: "{}"}))


class Attack:
    """Runs a command when a pickle of it is loaded."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(changed, tmp_path):
    proof = tmp_path / "it-ran"
    path = changed(args=Attack(f"touch {proof}"))
    with pytest.raises(CheckpointError, match="system"):
        open_checkpoint(path)
    assert not proof.exists()


def test_weights_of_another_width_do_not_become_the_cards_network(changed, card):
    wider = card.model_copy(
        update={"architecture": card.architecture.model_copy(update={"width": 0.5})}
    )
    with pytest.raises(CheckpointError, match="another network or width"):
        wrong = open_checkpoint(changed(**{CHECKPOINT_KEY: wider.to_json()}))
        build_carded(wrong.card, wrong.weights, wrong.path)


@pytest.mark.parametrize("content", [b"", b"\x80\x02.", b"PK\x03\x04 and no more"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "damaged.pth.tar"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged.pth.tar"):
        open_checkpoint(path)
