"""ghostkit: from a folder of labelled photos to a GhostNet classifier, the same answer everywhere.

    import ghostkit
    classifier = ghostkit.load("model.onnx")
    classifier("cat.jpg").top

Importing this loads nothing heavy; each name arrives on first use.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ghostkit.artifacts import load
    from ghostkit.card import ModelCard
    from ghostkit.classifier import Classifier
    from ghostkit.errors import GhostkitError, ImageRefused
    from ghostkit.predictions import Prediction

__version__ = "0.1.0"

# ONNX Runtime's own builds report their use to Microsoft, unless this is set when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "Classifier",
    "GhostkitError",
    "ImageRefused",
    "ModelCard",
    "Prediction",
    "__version__",
    "load",
]

_HOME_OF = {
    "Classifier": "classifier",
    "GhostkitError": "errors",
    "ImageRefused": "errors",
    "ModelCard": "card",
    "Prediction": "predictions",
    "load": "artifacts",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
