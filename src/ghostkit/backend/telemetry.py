"""OpenVINO and NNCF imported without a word to their authors.

Each reports its use to Google Analytics by the package openvino-telemetry, which OpenVINO requires:
``import openvino`` alone sends an event, from a process that it forks. Where that package is
missing both do without, so it is missing while they are imported.
"""

import sys
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any

TELEMETRY = "openvino_telemetry"
_ABSENT: Any = object()
_importing = Lock()


def import_untold(name: str) -> ModuleType:
    """The module `name`, as it is where openvino-telemetry is not installed.

    What the program itself has imported already stays as it is.

    Raises:
        ImportError: as of an import.
    """
    with _importing:
        if name in sys.modules:
            return sys.modules[name]
        before = sys.modules.get(TELEMETRY, _ABSENT)
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # so that its import fails
        try:
            return import_module(name)
        finally:
            if before is _ABSENT:
                del sys.modules[TELEMETRY]
            else:
                sys.modules[TELEMETRY] = before
