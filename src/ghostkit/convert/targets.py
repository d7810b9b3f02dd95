"""The targets of a conversion by name: a new one is one entry here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from ghostkit.convert.requested import Outcome, Request
from ghostkit.suffixes import ONNX, OPENVINO


@dataclass(frozen=True)
class Target:
    """A target: where its function stands, and which options it reads beside the common ones."""

    module: str  # under ghostkit.convert
    function: str
    options: frozenset[str]
    suffix: str | None  # of the file that it writes; None: it adds its own

    def convert(self, request: Request) -> Outcome:
        """Run it; its module is imported now."""
        module = import_module(f"ghostkit.convert.{self.module}")
        run: Callable[[Request], Outcome] = getattr(module, self.function)
        return run(request)


EIGHT_BITS = frozenset({"calibration", "max_drop", "data"})  # options that nothing else reads

TARGETS: Mapping[str, Target] = {
    "folded": Target(
        "folded_target", "convert_to_folded", frozenset({"images", "tolerance"}), ONNX
    ),
    "half": Target("half_target", "convert_to_half", frozenset({"images", "tolerance"}), ONNX),
    "int8": Target(
        "int8_target",
        "convert_to_int8",
        EIGHT_BITS | {"images", "tolerance"},
        ONNX,
    ),
    "openvino": Target(
        "openvino_target",
        "convert_to_openvino",
        EIGHT_BITS | {"images", "precision", "tolerance"},
        OPENVINO,
    ),
    "om": Target(
        "om_target",
        "convert_for_ascend",
        frozenset({"soc", "aipp", "dry_run", "batch_size", "input_shape"}),
        None,
    ),
}
