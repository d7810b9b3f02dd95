"""The train_start.py of GhostNet for PyTorch: the boot file of a ModelArts job, same arguments.

It needs nothing beside it but ghostkit, installed in a checkout with: pip install ".[train,cloud]"
"""

import sys

from ghostkit.cli import run

if __name__ == "__main__":
    sys.exit(run(["modelarts", *sys.argv[1:]]))
