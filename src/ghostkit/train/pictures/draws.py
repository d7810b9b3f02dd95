"""From what a step's random numbers are drawn: the seed and the position in the run alone."""

import numpy as np


def mix_generator(seed: int, epoch: int, step: int) -> np.random.Generator:
    """What a batch's mix is drawn from, in all processes the same."""
    return np.random.default_rng((seed, epoch, step, 1))


def step_seed(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """The seed of torch's own draws in a step, another one in each process."""
    sequence = np.random.SeedSequence((seed, epoch, step), spawn_key=(rank,) if rank else ())
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)
