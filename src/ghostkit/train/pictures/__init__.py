"""From a photo on disk to an augmented batch; every draw depends on (seed, epoch, sample) alone."""
