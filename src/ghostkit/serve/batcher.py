"""Dynamic batching: worker threads run a model on the waiting pictures, in batches.

In: pictures or tensors, from any thread; out: futures. Each worker takes its share of the queue, a
batch at most, and runs it from bytes to answers, as a stream's worker does. No worker waits for a
batch to fill: under load the queue grows, and batches fill by themselves.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostkit.classifier import Classifier
from ghostkit.errors import GhostkitError, ModelError, without_frames
from ghostkit.inferring import Answer, one_at_a_time
from ghostkit.serve.admission import DecodingMemory, Room
from ghostkit.serve.refusals import Overloaded, Refused

File = bytes | bytearray | memoryview
Pixels = NDArray[np.uint8]

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Job:
    """One picture, or a tensor that the model takes as it is."""

    picture: File | Pixels | None
    images: NDArray[np.generic] | None = None
    future: Future[Any] = field(default_factory=Future)


class Batcher:
    """Threads that answer for one model.

    Args:
        batch_size: pictures that a thread takes at once, at most.
        workers: threads.
        most_waiting: pictures and tensors that no thread has taken yet; more are turned away.
        decoding: what the threads take for pixels, together with those of other models.
        told: called with the size of each batch of pictures, on the worker's thread.
        noted: the same after each batch, with what the model failed with, or None.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        batch_size: int,
        workers: int,
        most_waiting: int,
        decoding: DecodingMemory,
        told: Callable[[int], None] = lambda size: None,
        noted: Callable[[BaseException | None], None] = lambda failure: None,
    ) -> None:
        self.classifier = classifier
        self._batch_size, self._most_waiting, self._told = batch_size, most_waiting, told
        self._jobs: OrderedDict[Future[Any], _Job] = OrderedDict()
        self._changed = threading.Condition()
        self._idle, self._closing = 0, False
        backend = classifier.backend
        self._decoding, self._noted = decoding, noted
        self._infer = one_at_a_time(backend.infer) if backend.serial else backend.infer
        self._threads = [
            threading.Thread(target=self._work, name=f"answers {number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many pictures and tensors no thread has taken yet."""
        return len(self._jobs)

    def pictures(self, pictures: Sequence[File | Pixels]) -> list[Future[Answer[Any]]]:
        """Queue all pictures or none; a future of each answer, which holds the reason of a refusal.

        A cancelled one leaves the queue at once.

        Raises:
            Overloaded: too many are waiting.
            Refused: they are more than may ever wait.
        """
        return self._put([_Job(picture) for picture in pictures])

    def tensor(self, images: NDArray[np.generic]) -> Future[NDArray[np.float32]]:
        """The model's outputs ``(N, K)`` for images in the form that its card names.

        Raises:
            Overloaded: too many are waiting.
        """
        [future] = self._put([_Job(None, images)])
        return future

    def close(self) -> None:
        """Answer what waits, then end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _put(self, jobs: list[_Job]) -> list[Future[Any]]:
        with self._changed:
            if self._closing:
                raise Overloaded("the server is stopping")
            if len(jobs) > self._most_waiting:
                raise Refused(
                    413,
                    f"{len(jobs)} pictures; a request may have {self._most_waiting}, as many as "
                    "may wait",
                )
            if len(self._jobs) + len(jobs) > self._most_waiting:
                raise Overloaded(
                    f"{len(self._jobs)} pictures are waiting, {len(jobs)} more would be above the "
                    f"{self._most_waiting} that may; try again"
                )
            self._jobs.update((job.future, job) for job in jobs)
            self._changed.notify(len(jobs))
        futures = [job.future for job in jobs]
        for future in futures:
            future.add_done_callback(self._forget)
        return futures

    def _forget(self, future: Future[Any]) -> None:
        """Remove cancelled work from the queue and from memory."""
        if future.cancelled():
            with self._changed:
                self._jobs.pop(future, None)

    def _work(self) -> None:
        room, given = self._decoding.room(), self.classifier
        limits = replace(given.limits, claim=room.claim)
        classifier = Classifier(given.backend, given.card, limits=limits, host_card=given.host_card)
        while self._work_once(classifier, room):
            pass

    def _work_once(self, classifier: Classifier, room: Room) -> bool:
        """Run one batch; False at the end. Returns, so that nothing refers to it while waiting."""
        jobs = self._next()
        taken = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        if not taken:  # their clients have left
            return bool(jobs)
        try:
            results = self._answers(taken, classifier, room)
        except BaseException as error:  # whoever waits is told; the thread goes on
            if not isinstance(error, GhostkitError):
                _log.exception("a batch of %d", len(taken))
            self._noted(without_frames(error))
            for job in taken:
                job.future.set_exception(error)
            return True
        finally:
            room.empty()
        self._note(results)
        for job, result in zip(taken, results, strict=True):
            job.future.set_result(result)
        return True

    def _note(self, results: Sequence[Any]) -> None:
        """Whether the model has answered anything; refused pictures say nothing of it."""
        failure = None
        for result in results:
            answer = result if isinstance(result, Answer) else Answer(None, result)
            if answer.logits is not None and np.isfinite(answer.logits).all():
                return self._noted(None)
            if isinstance(answer.error, ModelError):
                failure = answer.error
        if failure is not None:
            self._noted(failure)

    def _next(self) -> list[_Job]:
        """Wait for work; none at the end."""
        with self._changed:
            self._idle += 1
            while not self._jobs and not self._closing:
                self._changed.wait()
            self._idle -= 1
            share = -(-len(self._jobs) // (self._idle + 1))  # of the threads that do nothing
            jobs: list[_Job] = []
            while self._jobs and len(jobs) < min(self._batch_size, share):
                if jobs and next(iter(self._jobs.values())).images is not None:
                    break
                jobs.append(self._jobs.popitem(last=False)[1])
                if jobs[-1].images is not None:
                    break
            return jobs

    def _answers(self, jobs: list[_Job], classifier: Classifier, room: Room) -> Sequence[Any]:
        images = jobs[0].images
        if images is not None:
            return [self._infer(images)]

        def infer(images: NDArray[np.generic]) -> NDArray[np.float32]:
            room.empty()  # all pictures of the batch are prepared
            return self._infer(images)

        self._told(len(jobs))
        return classifier.batch([job.picture for job in jobs if job.picture is not None], infer)
