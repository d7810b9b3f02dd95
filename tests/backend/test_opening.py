import pytest

from ghostkit.artifacts import load
from ghostkit.backend.opening import OPENERS, open_model
from ghostkit.errors import ModelError, UsageError
from tiny import tiny_card


def test_a_file_is_opened_by_what_its_name_says_or_by_what_is_chosen(make_model):
    model = make_model()
    assert open_model(model).card == tiny_card()
    assert load(model, backend="onnx").backend.name.startswith("onnxruntime")


@pytest.mark.parametrize("backend", [name for name in OPENERS if name != "ascend"])
def test_a_compiled_model_is_for_its_own_backend_alone(tmp_path, backend):
    with pytest.raises(UsageError, match=f"--backend {backend} does not open.*ascend does"):
        load(tmp_path / "m.om", backend=backend)
    with pytest.raises(ModelError, match="no such model file"):
        load(tmp_path / "m.om", backend="ascend")


def test_a_backend_refuses_another_ones_files_and_devices(make_model, tmp_path):
    with pytest.raises(UsageError, match="--backend ascend does not open.*--backend onnx does"):
        load(make_model(), backend="ascend")
    with pytest.raises(UsageError, match="--device cuda:0: a compiled model runs on an Ascend"):
        load(tmp_path / "m.om", device="cuda")


def test_a_checkpoint_is_run_by_torch(tmp_path):
    with pytest.raises(UsageError, match="torch runs a checkpoint; export it first"):
        (tmp_path / "m.pth.tar").write_bytes(b"PK\x03\x04")
        load(tmp_path / "m.pth.tar", backend="onnx")
