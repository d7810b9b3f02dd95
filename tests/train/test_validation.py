"""The validation of an epoch: the same numbers, whoever loads the pictures."""

import multiprocessing
from contextlib import closing
from dataclasses import replace

import pytest
from torch import nn

from ghostkit.classifier import Classifier
from ghostkit.dataset import Sample
from ghostkit.evaluate import evaluate
from ghostkit.progress import silent
from ghostkit.train.machines.devices import Device
from ghostkit.train.machines.world import ALONE
from ghostkit.train.network.torch_backend import TorchBackend
from ghostkit.train.validation import Validation
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
