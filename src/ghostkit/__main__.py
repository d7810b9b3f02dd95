"""``python -m ghostkit``."""

from ghostkit.cli import main

main()
