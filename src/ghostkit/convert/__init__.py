"""Conversions that carry the card: a model and its card in, both out, the answers compared.

Each target is a module with a function from a `Request` to an `Outcome`; `source` opens what they
start from. Nothing here needs torch.
"""

from importlib.util import find_spec

from ghostkit.errors import MissingExtra


def require_onnx() -> None:
    """Raise MissingExtra, which names the pip command, where onnx is not installed."""
    if find_spec("onnx") is None:
        raise MissingExtra("convert", "onnx")
