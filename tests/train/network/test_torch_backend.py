"""A torch model behind the seam of every backend."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError
from ghostkit.train.network.torch_backend import TorchBackend, evaluation_mode
from squares import save_noise
from tiny import tiny_card


class ChannelMeans(nn.Module):
    """The strongest channel wins; dropout shows whether the model is in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.9)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        return self.dropout(images).mean((2, 3))


def batch(count=2):
    return np.random.default_rng(0).random((count, 3, 8, 8), np.float32)


def test_it_answers_in_evaluation_mode_as_float32():
    answers = TorchBackend(ChannelMeans().train()).infer(batch())
    assert answers.dtype == np.float32
    assert np.allclose(answers, batch().mean((2, 3)), atol=1e-6)


def test_half_precision_models_answer_float32_too():
    class Half(nn.Module):
        def forward(self, images):
            return images.half().mean((2, 3))

    assert TorchBackend(Half()).infer(batch()).dtype == np.float32


def test_every_modules_mode_is_restored_also_after_a_failure():
    model = ChannelMeans().train()
    model.norm.eval()  # as a frozen backbone's
    TorchBackend(model).infer(batch())
    assert (model.training, model.dropout.training, model.norm.training) == (True, True, False)
    with pytest.raises(ZeroDivisionError), evaluation_mode(model):
        assert not model.dropout.training
        raise ZeroDivisionError
    assert (model.training, model.dropout.training, model.norm.training) == (True, True, False)


def test_it_may_be_called_from_many_threads():
    model = ChannelMeans().train()
    backend = TorchBackend(model)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(backend.infer, [batch()] * 64))
    assert all(np.array_equal(answer, answers[0]) for answer in answers)
    assert model.training


def test_a_forked_process_gets_its_answers():
    model = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 3, 3), nn.Flatten())
    images = np.random.default_rng(0).random((8, 3, 32, 32), np.float32)
    backend, threads = TorchBackend(model), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = backend.infer(images)  # now its threads are there
        fork = multiprocessing.get_context("fork")
        answers = fork.Queue()
        child = fork.Process(target=lambda: answers.put(backend.infer(images)))
        child.start()
        try:
            found = answers.get(timeout=60)
        finally:
            child.kill()
            child.join()
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_torchs_failure_becomes_ours_with_the_shape_and_its_words():
    with pytest.raises(ModelError, match=r"\(2, 3, 8, 8\).*cannot be multiplied"):
        TorchBackend(nn.Linear(5, 5)).infer(batch())


def test_it_says_where_it_ran():
    assert TorchBackend(ChannelMeans()).name == "torch cpu"
    assert TorchBackend(ChannelMeans(), torch.device("cpu")).name == "torch cpu"


def test_a_classifier_runs_on_it(tmp_path):
    classifier = Classifier(TorchBackend(ChannelMeans()), tiny_card())
    assert classifier(save_noise(tmp_path / "g.png", "green", 0)).best[0] == "green"
