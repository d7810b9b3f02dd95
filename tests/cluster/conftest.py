"""A model, pictures, and what a driver would send to a worker."""

from pathlib import Path

import pytest

from ghostkit.artifacts import load
from ghostkit.cluster.worker import Task
from tiny import write_nine


@pytest.fixture
def model(make_model) -> Path:
    return make_model()


@pytest.fixture
def photos(tmp_path) -> Path:
    """Nine squares, of which 4.png is an empty file."""
    return write_nine(tmp_path / "photos")


@pytest.fixture
def make_task(model, tmp_path):
    """A task of the model, with what is said otherwise."""

    def make(**otherwise) -> Task:
        usual = {
            "model_file": model.name,
            "card_hash": load(model).card.hash,
            "backend": "auto",
            "device": "cpu",
            "precision": "fp32",
            "strict": False,
            "fast_decode": False,
            "max_bytes": 10**7,
            "shard": None,
            "columns": (None, None),
            "folder": str(tmp_path),
            "format": "jsonl",
            "apart": False,
            "top_k": 5,
            "batch_size": 4,
            "workers": 1,
        }
        return Task(**usual | otherwise)

    return make
