"""Pictures: from any source to the numbers that a model takes.

`decode` is the one judge of what a picture is, for training, evaluation, prediction and serving:
a path, bytes or an array becomes uint8 (H, W, 3) RGB, or an `ImageRefused` with a reason.
`prepare` applies a card's steps to those pixels.
"""

from ghostkit.image.decoding import Picture, decode
from ghostkit.image.limits import DEFAULT_LIMITS, Limits
from ghostkit.image.preparing import prepare, resize_and_crop

__all__ = ["DEFAULT_LIMITS", "Limits", "Picture", "decode", "prepare", "resize_and_crop"]
