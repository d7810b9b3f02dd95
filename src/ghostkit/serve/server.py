"""The state of a server: its models with their threads, its limits and metrics.

In: classifiers by name; out: what `app` answers requests with.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram

from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError
from ghostkit.inferring import Answer
from ghostkit.serve.admission import Admission, DecodingMemory, Memory
from ghostkit.serve.batcher import Batcher
from ghostkit.serve.health import Health
from ghostkit.serve.metrics import Metrics
from ghostkit.serve.protocol import VERSION
from ghostkit.serve.refusals import Overloaded, Refused
from ghostkit.steps import size_taken

SIDE = 64  # of the first picture, where a model takes any size


class Server:
    """The models, the bounds, and what is counted; within a ``with`` block it is ready.

    Args:
        models: classifiers by the name that stands in addresses; ``/classify`` is of the first.
        batch_size, workers: of each model's `Batcher`.
    """

    def __init__(
        self,
        models: Mapping[str, Classifier],
        *,
        batch_size: int,
        workers: int,
        admission: Admission,
    ) -> None:
        self.admission = admission
        self.memory = Memory(admission.all_bytes)
        decoding = DecodingMemory(admission.decoding_bytes)
        self.metrics = Metrics(lambda: self.memory.held, lambda: decoding.held)
        self.ready = False
        self._requests = 0  # under way; of the event loop alone
        self.batchers: dict[str, Batcher] = {}
        self.health: dict[str, Health] = {}
        for name, given in models.items():
            classifier = Classifier(
                given.backend, given.card, limits=admission.picture, host_card=given.host_card
            )
            self.health[name] = health = Health(name, partial(self._own_picture, name))
            self.batchers[name] = batcher = Batcher(
                classifier,
                batch_size=batch_size,
                workers=workers,
                most_waiting=admission.waiting,
                decoding=decoding,
                told=partial(self._tell, self.metrics.batches.labels(name)),
                noted=health.note,
            )
            self.metrics.watch(name, partial(_waiting_in, batcher), partial(_failures_of, health))

    def _own_picture(self, name: str) -> Future[Answer[Any]]:
        batcher = self.batchers[name]
        [future] = batcher.pictures([_grey(batcher.classifier.host_card)])
        return future

    def _tell(self, batches: Histogram, pictures: int) -> None:
        if self.ready:  # its own first picture is nobody's
            batches.observe(pictures)

    def __enter__(self) -> Self:
        """Have each model answer one picture, after which the server is ready.

        Raises:
            ModelError: it does not; named.
        """
        try:
            for name in self.batchers:
                answer = self._own_picture(name).result()
                if answer.error is not None:
                    raise ModelError(f"{name}: {answer.error}") from answer.error
        except BaseException:
            self.__exit__()
            raise
        self.ready = True
        return self

    def __exit__(self, *exception: object) -> None:
        """Answer what waits, and end the threads."""
        self.ready = False
        for batcher in self.batchers.values():
            batcher.close()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """One request more until the end of the block.

        Raises:
            Overloaded: there are as many as may be.
        """
        if self._requests >= self.admission.requests:
            raise Overloaded(f"{self._requests} requests are being answered; try again")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    def model(self, name: str | None = None, version: str = VERSION) -> tuple[str, Batcher]:
        """The model of that name, or the first.

        Raises:
            Refused: there is none of that name.
        """
        name = next(iter(self.batchers)) if name is None else name
        if name not in self.batchers:
            raise Refused(404, f"no model {name!r}; there is {', '.join(self.batchers)}")
        if version != VERSION:
            raise Refused(404, f"{name} has no version {version!r}, only {VERSION}")
        return name, self.batchers[name]


def _grey(card: ModelCard) -> NDArray[np.uint8]:
    """A picture (H, W, 3) that the card's steps take."""
    size = size_taken(card.steps, (card.input.height or SIDE, card.input.width or SIDE))
    return np.full((*size, 3), 128, np.uint8)


def _waiting_in(batcher: Batcher) -> int:
    return batcher.waiting


def _failures_of(health: Health) -> int:
    return health.failures
