"""Seeds of a step's random numbers, from the run's seed and the position in the run alone."""

import numpy as np


def mix_generator(seed: int, epoch: int, step: int) -> np.random.Generator:
    """The generator of a batch's mixing, equal in all processes."""
    return np.random.default_rng((seed, epoch, step, 1))


def step_seed(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """The seed of torch's own draws in a step, another one in each process."""
    sequence = np.random.SeedSequence((seed, epoch, step), spawn_key=(rank,) if rank else ())
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)
