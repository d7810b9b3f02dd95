"""Shared fixtures: the real photos where they lie, and a model whose answers can be foretold."""

import importlib
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from ghostkit.card import ONNX_METADATA_KEY
from ghostkit.signals import signal_stack_kept
from tiny import tiny_card

hypothesis.settings.register_profile("ghostkit", deadline=None)  # the machine may be busy
hypothesis.settings.load_profile("ghostkit")
sys.modules.setdefault("openvino_telemetry", None)  # tests that import OpenVINO report nothing


STORES = ("AWS_", "OBS_", "S3_", "GHOSTKIT_STORE")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's cache is left alone, and neither it nor the user's stores have a say here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith(STORES):
                patch.delenv(name)
        patch.delenv("GHOSTKIT_CACHE", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """What a test leaves in the environment, as a cluster's worker does, ends with it."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(autouse=True)
def _own_signal_stack() -> Iterator[None]:
    """Whatever a test leaves of OpenVINO's own plugins, the next may be sent a signal."""
    with signal_stack_kept():
        yield


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder holding the photo archives; tests that need it are skipped where it is not."""
    named = os.environ.get("GHOSTKIT_TEST_DATA", "")
    if not named or not Path(named).is_dir():
        pytest.skip("GHOSTKIT_TEST_DATA does not name the folder of photo archives")
    return Path(named)


@pytest.fixture(scope="session")
def unpacked(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from an archive's stem (`robustness-images`) to the folder of its content."""
    done: dict[str, Path] = {}

    def unpack(stem: str) -> Path:
        if stem not in done:
            [archive] = data_root.glob(f"{stem}.tar*")
            folder = tmp_path_factory.mktemp(stem)
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            done[stem] = folder
        return done[stem]

    return unpack


MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Writes a three-node ONNX whose every answer a person can foretell, and returns its path."""
    pytest.importorskip("onnx")

    def make(name: str = "tiny.onnx", card: str | None = None, dtype: str = "FLOAT") -> Path:
        path = tmp_path / name
        path.write_bytes(_channel_means(tiny_card().to_json() if card is None else card, dtype))
        return path

    return make


@cache
def _channel_means(card: str, dtype: str) -> bytes:
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info(
        "image", getattr(TensorProto, dtype), ["batch", 3, "height", "width"]
    )
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["float"], ["means"]),
        helper.make_node("Flatten", ["means"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "channel means", [image], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if card:
        entry = model.metadata_props.add()
        entry.key, entry.value = ONNX_METADATA_KEY, card
    return model.SerializeToString()


STAND_INS = Path(__file__).parent / "stand_ins"
CANN_MODULES = ("acl", "ais_bench", "ais_bench.infer", "ais_bench.infer.interface")


@pytest.fixture
def acl(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The strict stand-ins of CANN's interfaces on the search path, fresh; the module `acl`."""
    monkeypatch.syspath_prepend(STAND_INS)
    for name in CANN_MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("acl")
    for name in CANN_MODULES:
        sys.modules.pop(name, None)
