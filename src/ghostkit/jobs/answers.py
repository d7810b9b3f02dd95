"""Predictions of a job's items, each under the name of its item."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ghostkit.classifier import Classifier
from ghostkit.predictions import Prediction
from ghostkit.sources import Item
from ghostkit.timing import StageTimes


def answers(
    classifier: Classifier,
    items: Iterable[Item],
    *,
    batch_size: int = 8,
    workers: int | None = None,
    times: StageTimes | None = None,
) -> Iterator[Prediction]:
    """One prediction per item, in their order.

    An item that its source refused goes the same way as the others, so that a million of them take
    no more memory than one.
    """
    waiting: deque[tuple[str, str]] = deque()  # (name, refusal) of what is in the stream

    def pictures() -> Iterator[str | bytes]:
        for item in items:
            waiting.append((item.name, item.refusal))
            yield item.picture

    stream = classifier.stream(pictures(), batch_size=batch_size, workers=workers, times=times)
    for prediction in stream:
        name, refusal = waiting.popleft()
        if refusal:
            yield Prediction(
                source=name,
                classes=prediction.classes,
                probabilities=None,
                error=refusal,
                status="refused",
            )
        else:
            yield replace(prediction, source=name)
