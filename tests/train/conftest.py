"""For every test of the training room: skipped without torch, one thread with it.

Two threads on two busy cores wait for each other: one forward pass of two 240 px pictures took
2.7 s with another job running, and 0.03 s with one thread.
"""

from importlib.util import find_spec

if find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    torch.set_num_threads(1)
