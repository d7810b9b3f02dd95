"""Cross-validation in two halves: what is fitted on one half is measured on the other."""

import numpy as np
from numpy.typing import NDArray


def halves(count: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Two halves of `count` pictures, every second one, each with the other."""
    even, odd = np.arange(0, count, 2), np.arange(1, count, 2)
    return [(even, odd), (odd, even)]
