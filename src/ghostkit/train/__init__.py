"""Everything that needs torch; importing this package alone does not load it.

Public names arrive on first use, so that a missing torch answers with the pip command.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ghostkit.errors import MissingExtra

if TYPE_CHECKING:
    from ghostkit.train.network.model import GhostNet, ghostnet
    from ghostkit.train.network.model_v2 import ghostnetv2
    from ghostkit.train.network.model_v3 import fuse, ghostnetv3

_HOME_OF = {
    "GhostNet": "network.model",
    "fuse": "network.model_v3",
    "ghostnet": "network.model",
    "ghostnetv2": "network.model_v2",
    "ghostnetv3": "network.model_v3",
}

__all__ = ["GhostNet", "fuse", "ghostnet", "ghostnetv2", "ghostnetv3"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_torch()
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def require_torch() -> None:
    """Raise MissingExtra, which names the pip command, where torch is not installed.

    A network and a checkpoint need no more; a training or an export needs the whole extra.
    """
    if find_spec("torch") is None:
        raise MissingExtra("train", "torch")
