"""The command line as a function, as in tests/cli."""

from cli.conftest import ghostkit

__all__ = ["ghostkit"]
