"""The validation of an epoch: the same numbers, whoever loads the pictures."""

import multiprocessing
import os
import signal
from contextlib import closing
from dataclasses import replace

import pytest
from torch import nn

from ghostkit.card import Input
from ghostkit.classifier import Classifier
from ghostkit.dataset import Sample
from ghostkit.errors import StoreError
from ghostkit.evaluate import evaluate
from ghostkit.progress import silent
from ghostkit.train import validation
from ghostkit.train.machines.devices import Device
from ghostkit.train.machines.world import ALONE
from ghostkit.train.network.torch_backend import TorchBackend
from ghostkit.train.validation import Validation, accelerated_batch
from tiny import tiny_card

ACCELERATED = Device("cuda:0", "float32")  # says who loads the pictures; the network is elsewhere


class ChannelMeans(nn.Module):
    """The strongest channel wins."""

    def forward(self, images):
        return images.mean((2, 3))


@pytest.mark.parametrize("device", [Device("cpu", "float32"), ACCELERATED])
@pytest.mark.parametrize("workers", [0, 2])
def test_it_measures_what_evaluate_measures_epoch_after_epoch(splits, tmp_path, device, workers):
    _, data = splits
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    bad = replace(data, samples=(*data.samples[:2], Sample(str(broken), 1), *data.samples[2:]))
    classifier = Classifier(TorchBackend(ChannelMeans()), tiny_card())
    expected = evaluate(classifier, bad)
    assert [path for path, _ in expected.unanswered] == [str(broken)]
    with closing(Validation(classifier, bad, device, workers, silent, ALONE)) as validation:
        for _ in range(2):
            found = validation.measure()
            assert found.to_record() == expected.to_record()


def test_the_processes_that_load_for_an_accelerator_stay_until_it_is_closed(splits):
    classifier = Classifier(TorchBackend(ChannelMeans()), tiny_card())
    before = set(multiprocessing.active_children())
    validation = Validation(classifier, splits[1], ACCELERATED, 2, silent, ALONE)
    validation.measure()
    loading = set(multiprocessing.active_children()) - before
    assert len(loading) == 2
    validation.measure()
    assert set(multiprocessing.active_children()) - before == loading
    validation.close()
    assert not any(process.is_alive() for process in loading)


@pytest.mark.slow  # torch looks after its processes every 5 s
def test_a_loading_process_that_dies_is_told_of_and_made_good(splits, monkeypatch, tmp_path):
    from ghostkit.train import validation as module

    parent, mark, load = os.getpid(), tmp_path / "died", module.load

    def deadly(*given):
        if os.getpid() != parent and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return load(*given)

    monkeypatch.setattr(module, "load", deadly)
    said = []
    classifier = Classifier(TorchBackend(ChannelMeans()), tiny_card())
    given = (classifier, splits[1], ACCELERATED, 1, silent, ALONE, said.append)
    with closing(Validation(*given)) as validation:
        assert validation.measure().to_record() == evaluate(classifier, splits[1]).to_record()
    [line] = said
    assert "died" in line and "nothing is lost" in line


@pytest.mark.parametrize(
    ("side", "pictures"), [(64, 256), (147, 256), (240, 97), (1000, 5), (5000, 1), (None, 256)]
)
def test_an_accelerator_gets_at_most_64_mib_at_once_however_large_the_pictures(side, pictures):
    """3 channels of 4 bytes: 240 px take 675 KiB, of which 97 go into 64 MiB."""
    assert accelerated_batch(Input(height=side, width=side)) == pictures


def test_a_store_that_fails_in_a_reading_process_is_told_as_it_is(splits, monkeypatch):
    def failing(*arguments):
        raise StoreError("network", "the store does not answer")

    monkeypatch.setattr(validation, "load", failing)
    classifier = Classifier(TorchBackend(ChannelMeans()), tiny_card())
    with closing(Validation(classifier, splits[1], ACCELERATED, 1, silent, ALONE)) as measured:
        with pytest.raises(StoreError, match="the store does not answer") as caught:
            measured.measure()
    assert caught.value.reason == "network"
