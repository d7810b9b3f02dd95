"""Import OpenVINO and NNCF with their telemetry disabled.

Both report their use to Google Analytics through the package openvino-telemetry, which OpenVINO
requires: ``import openvino`` alone sends an event, from a process that it forks. Both work without
that package, so it is hidden while they are imported.
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
    """Import the module `name` as if openvino-telemetry were not installed.

    Modules that the program has imported already stay as they are.

    Raises:
        ImportError: the module cannot be imported.
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
