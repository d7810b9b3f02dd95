"""The colour network as an ONNX file, for every test of conversions."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from networks import write_network


@pytest.fixture
def make_network(tmp_path: Path) -> Callable[..., Path]:
    """Writes `colour_network` with its card; `weights_in` names a file for its weights."""

    def make(name: str = "colours.onnx", opset: int = 17, weights_in: str = "") -> Path:
        return write_network(tmp_path / name, opset, weights_in)

    return make
