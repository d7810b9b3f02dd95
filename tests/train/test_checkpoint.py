"""What a run leaves behind: the original's files and keys, safely read back."""

import argparse
import csv
import errno
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
import yaml
from saved_epochs import RECIPE, epoch_of, rows, state_after

from ghostkit.card import CHECKPOINT_KEY, ModelCard
from ghostkit.errors import OutputError
from ghostkit.run_files import BEST, LAST, PREVIOUS
from ghostkit.train.checkpoint import (
    open_checkpoint,
    save_epoch,
    save_recovery,
    write_arguments,
)
from ghostkit.train.history import EpochRow, best_epoch
from ghostkit.train.network.architectures import build_carded
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.original_arguments import from_yaml
from ghostkit.train.start import first_card

# --- writing -----------------------------------------------------------------------------------


def test_the_keys_are_the_seeds_and_torch_reads_them(learned):
    content = torch.load(learned.folder / LAST, weights_only=False)
    seeds = {"epoch", "arch", "state_dict", "optimizer", "version", "args", "metric"}
    assert set(content) == seeds | {CHECKPOINT_KEY, "history", "position", "checksum"}
    assert content["epoch"] == 13
    assert content["arch"] == "ghostnet"
    assert content["version"] == 2
    assert type(content["args"]) is argparse.Namespace
    assert (content["args"].model, content["args"].num_classes) == ("ghostnet", 3)
    assert content["args"].batch_size == 9
    assert type(content["metric"]) is float
    assert content["metric"] == pytest.approx(learned.history[-1].eval_top1)
    assert len(content["state_dict"]) == 512
    assert not any(name.startswith("module.") for name in content["state_dict"])
    assert ModelCard.from_json(content[CHECKPOINT_KEY], "here").classes == ("blue", "green", "red")


def test_a_torch_program_without_ghostkit_reads_it(learned):
    program = (
        "import sys, torch\n"
        "content = torch.load(sys.argv[1], map_location='cpu', weights_only=False)\n"
        "assert len(content['state_dict']) == 512 and content['args'].epochs == 14\n"
        "assert not any(name.startswith('ghostkit') for name in sys.modules)\n"
    )
    # -S keeps the package itself out of reach: nothing of it may be needed
    torch_folder = os.path.dirname(os.path.dirname(torch.__file__))
    subprocess.run(
        [sys.executable, "-S", "-c", program, str(learned.folder / LAST)],
        env={"PYTHONPATH": torch_folder, "OMP_NUM_THREADS": "1"},
        check=True,
    )


def test_summary_has_the_seeds_header_and_a_row_per_epoch(learned):
    lines = (learned.folder / "summary.csv").read_text().splitlines()
    assert lines[0] == "epoch,train_loss,eval_loss,eval_top1,eval_top5"
    read = [EpochRow(*map(float, line)) for line in csv.reader(lines[1:])]
    assert read == [replace(row, eval_mean_recall=None) for row in learned.history]
    assert [line.split(",")[0] for line in lines[1:]] == [str(epoch) for epoch in range(14)]


@pytest.mark.parametrize("amp", ["off", "auto", "bfloat16", "float16"])
def test_the_arguments_give_the_precision_back(tmp_path, splits, amp):
    given = RECIPE.model_copy(update={"amp": amp})
    write_arguments(tmp_path, given, first_card(given, splits[0], None, None))
    said = yaml.safe_load((tmp_path / "args.yaml").read_text())["amp"]
    assert bool(said) == (amp != "off")  # a flag to the original
    assert from_yaml(tmp_path / "args.yaml").recipe["amp"] == amp


def test_arguments_are_plain_yaml(learned):
    read = yaml.safe_load((learned.folder / "args.yaml").read_text())
    assert (read["model"], read["num_classes"]) == ("ghostnet", 3)
    assert read["scale"] == [0.5, 1.0]
    assert set(Recipe.model_fields) <= set(read)


def test_best_is_the_first_of_the_best_epochs_and_stays_when_last_is_replaced(save):
    folder = save(50.0, 75.0, 75.0, 60.0)
    assert epoch_of(folder / BEST) == 1
    assert epoch_of(folder / LAST) == 3
    epochs = [f"checkpoint-{epoch}.pth.tar" for epoch in range(4)]
    assert sorted(os.listdir(folder)) == [*epochs, PREVIOUS, LAST, BEST, "summary.csv"]
    assert [epoch_of(folder / name) for name in epochs] == [0, 1, 2, 3]
    assert epoch_of(folder / PREVIOUS) == 2


def test_only_so_many_epochs_are_kept_the_best_ones(save):
    recipe = RECIPE.model_copy(update={"checkpoint_hist": 2})
    folder = save(50.0, 75.0, 60.0, 10.0, recipe=recipe)
    kept = sorted(path.name for path in folder.glob("checkpoint-*"))
    assert kept == ["checkpoint-1.pth.tar", "checkpoint-2.pth.tar"]
    assert epoch_of(folder / LAST) == 3


def test_best_and_last_of_one_epoch_are_one_file(save):
    folder = save(50.0, 75.0)
    assert os.path.samefile(folder / BEST, folder / LAST)


def test_the_first_best_epoch_counts_as_the_best():
    assert best_epoch(rows(10.0, 30.0, 20.0, 30.0), "top1") == 1
    assert best_epoch(rows(0.0), "top1") == 0


def test_a_file_system_without_hard_links_gets_a_copy(save, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    folder = save(50.0, 75.0, 60.0)
    assert epoch_of(folder / BEST) == 1
    assert epoch_of(folder / LAST) == 2


def test_a_folder_that_cannot_be_written_is_named(save, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        save(50.0, folder=tmp_path / "file" / "run")


@contextmanager
def full_disk():
    """No file grows beyond 200 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def read_only_disk():
    """No call changes a folder, not even root's, to whom a folder's mode means nothing."""

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def open_to_read(path, mode="r", *arguments, **named):
        return (refuse if set(mode) & set("wxa+") else opened)(path, mode, *arguments, **named)

    opened = open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.open", open_to_read)
        for call in ("link", "mkdir", "replace", "rename", "unlink"):
            patch.setattr(os, call, refuse)
        yield


SPOILED = {"File too large": full_disk, "Read-only file system": read_only_disk}


@pytest.mark.parametrize("reason", SPOILED)
@pytest.mark.parametrize(
    ("write", "name", "state"),
    [
        (save_epoch, "checkpoint-2.pth.tar", state_after(50.0, 75.0, 80.0)),
        (save_recovery, "recovery-2-3.pth.tar", state_after(50.0, 75.0, step=3)),
    ],
)
def test_a_disk_that_takes_no_more_leaves_all_as_it_was_and_is_told(
    save, card, reason, write, name, state
):
    folder = save(50.0, 75.0)
    for step in (1, 2):
        save_recovery(folder, state_after(50.0, 75.0, step=step), RECIPE, card)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    told = f"cannot write '{folder}/{name}': {reason}; choose another folder, or free space"
    with SPOILED[reason](), pytest.raises(OutputError, match=told):
        write(folder, state, RECIPE, card)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert (epoch_of(folder / LAST), epoch_of(folder / PREVIOUS)) == (1, 0)
    write(folder, state, RECIPE, card)
    assert open_checkpoint(folder / name).epoch == len(state.history) - 1


# --- reading -----------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written(learned):
    checkpoint = open_checkpoint(learned.folder / LAST)
    assert checkpoint.epoch == 13
    assert tuple(checkpoint.history) == learned.history
    assert checkpoint.card.provenance.recipe == RECIPE.model_dump(mode="json") | {"clip_grad": 2.0}
    [measured] = checkpoint.card.measurements
    assert 100 * measured.top1 == pytest.approx(learned.history[-1].eval_top1)
    assert (measured.images, measured.data.endswith("/val")) == (12, True)
    model = build_carded(checkpoint.card, checkpoint.weights, checkpoint.path)
    for name, tensor in model.state_dict().items():
        assert tensor.equal(checkpoint.weights[name])


def test_a_switched_off_key_survives_in_the_cards_recipe(splits):
    card = first_card(RECIPE, splits[0], None, None)
    assert ModelCard.from_json(card.to_json(), "here").provenance.recipe["clip_grad"] is None
