"""Copy rows of a pretrained classifier into a new one, for classes of the same name.

The pretrained weights need a card, which names the class of each row.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ghostkit.errors import CheckpointError
from ghostkit.train.network.weights import BIAS, WEIGHT


@torch.no_grad()
def reuse_rows(
    classifier: nn.Linear,
    weights: Mapping[str, Tensor],
    old: Sequence[str],
    new: Sequence[str],
    *,
    source: str,
) -> int:
    """Copy the rows of the classes that `old` and `new` both name; how many there are.

    The others stay as they are, and so does all of `classifier` where this raises.

    Raises:
        CheckpointError: `weights` has no classifier of ``len(old)`` rows, or a row holds numbers
            that are not finite.
    """
    rows, biases = weights.get(WEIGHT), weights.get(BIAS)
    inputs = classifier.in_features
    if rows is None or biases is None:
        raise CheckpointError(f"{source}: its card names {len(old)} classes, but no {WEIGHT} is in")
    if rows.shape != (len(old), inputs) or biases.shape != (len(old),):
        raise CheckpointError(
            f"{source}: its card names {len(old)} classes, but {WEIGHT} has the shape "
            f"{tuple(rows.shape)}, not {(len(old), inputs)}"
        )
    row_of = {name: row for row, name in enumerate(old)}
    pairs = [(index, row_of[name]) for index, name in enumerate(new) if name in row_of]
    here, there = [index for index, _ in pairs], [row for _, row in pairs]
    if not (rows[there].isfinite().all() and biases[there].isfinite().all()):
        raise CheckpointError(f"{source}: {WEIGHT} or {BIAS} holds numbers that are not finite")
    classifier.weight[here] = rows[there].to(classifier.weight.dtype)
    classifier.bias[here] = biases[there].to(classifier.bias.dtype)
    return len(pairs)
