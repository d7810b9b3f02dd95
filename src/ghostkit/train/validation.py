"""The validation of an epoch, its pictures shared out among the processes of a training.

Each process answers whole batches of them, the same as one process would, and all get all answers,
so every process measures the same numbers, to the bit those of one process. `loop` calls it.
"""

import numpy as np

from ghostkit.classifier import Classifier, Picture
from ghostkit.dataset import Dataset
from ghostkit.errors import ImageRefused, ModelError
from ghostkit.evaluate import Evaluation, evaluate
from ghostkit.inferring import Answer
from ghostkit.progress import Bars
from ghostkit.train.machines.world import World

BATCH, ACCELERATED_BATCH = 32, 256  # pictures, on a CPU and elsewhere


def validate(
    classifier: Classifier, data: Dataset, bars: Bars, world: World, *, accelerated: bool = False
) -> Evaluation:
    """What `ghostkit.evaluate` measures, in every process; raises what it raises."""
    size = ACCELERATED_BATCH if accelerated else BATCH
    if world.size == 1:
        return evaluate(classifier, data, batch_size=size, bars=bars)
    return evaluate(classifier, data, answers=_shared_answers(classifier, data, size, bars, world))


def _shared_answers(
    classifier: Classifier, data: Dataset, size: int, bars: Bars, world: World
) -> list[Answer[Picture]]:
    """The answers to all of `data`, in its order, from batches of `size` pictures."""
    paths: list[Picture] = [sample.path for sample in data.samples]
    own = world.batches(paths, size)
    logits = np.zeros((len(own), len(classifier.classes)), np.float32)
    errors: list[tuple[int, bool, list[str]]] = []  # place among `own`, refused or not, its words
    with bars("Evaluating", len(own)) as bar:
        for place, answer in enumerate(classifier.answers(own, batch_size=size)):
            bar.advance(1)
            if isinstance(answer.error, ImageRefused):
                errors.append((place, True, [answer.error.reason, answer.error.path]))
            elif answer.logits is None:
                errors.append((place, False, [str(answer.error)]))
            else:
                logits[place] = answer.logits
    parts = []
    everything = zip(world.gathered_rows(logits), world.gathered(errors), strict=True)
    for rank, (rows, failed) in enumerate(everything):
        theirs = world.batches(paths, size, rank)
        answers = [Answer(path, row) for path, row in zip(theirs, rows, strict=True)]
        for place, refused, words in failed:
            error = ImageRefused(*words) if refused else ModelError(*words)
            answers[place] = Answer(theirs[place], None, error)
        parts.append(answers)
    return world.merged(parts, size)
