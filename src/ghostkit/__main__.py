"""The program ``ghostkit``: process settings that must precede the imports of the command line."""

import gc
import os
import sys

NEW_OBJECTS = 200_000  # between two searches for cycles; with Python's 700 an import has dozens


def main() -> None:
    """The entry point: the command in `sys.argv`, then exit with its status."""
    gc.set_threshold(NEW_OBJECTS)
    # or pydantic searches the metadata of every installed package for plugins
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from ghostkit.cli import main
    except KeyboardInterrupt:
        sys.exit(130)  # `ghostkit.cli` says so too, once it is there
    main()


if __name__ == "__main__":
    main()
