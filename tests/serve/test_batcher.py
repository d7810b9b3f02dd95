"""Pictures of many requests through one model: each has its own answer, and so many may wait."""

import gc
import io
import logging
import threading
import time
import weakref

import numpy as np
import pytest
from PIL import Image

import ghostkit.classifier
from ghostkit.backend import Backend
from ghostkit.classifier import Classifier
from ghostkit.errors import ImageRefused, ModelError
from ghostkit.serve.admission import DecodingMemory
from ghostkit.serve.batcher import Batcher
from ghostkit.serve.refusals import Overloaded, Refused
from tiny import tiny_card

WAIT_S = 20
RED, GREEN, BLUE = (
    np.full((8, 8, 3), color, np.uint8) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255))
)


class Gated(Backend):
    """Channel means, but not before the gate is open; notes the size of each batch."""

    name = "gated"

    def __init__(self):
        self.gate, self.entered = threading.Event(), threading.Semaphore(0)
        self.sizes, self.within, self.most_within = [], 0, 0
        self._lock = threading.Lock()

    def infer(self, images):
        with self._lock:
            self.sizes.append(len(images))
            self.within += 1
            self.most_within = max(self.most_within, self.within)
        self.entered.release()
        assert self.gate.wait(WAIT_S)
        with self._lock:
            self.within -= 1
        if np.isnan(images).any():
            raise ModelError("a broken model")
        return images.mean(axis=(2, 3)).astype(np.float32)


@pytest.fixture
def backend():
    return Gated()


@pytest.fixture
def make(backend):
    made = []

    def make(**options):
        asked = {"batch_size": 4, "workers": 1, "most_waiting": 16} | options
        asked.setdefault("decoding", DecodingMemory(10**9))
        made.append(Batcher(Classifier(backend, tiny_card()), **asked))
        return made[-1]

    yield make
    backend.gate.set()
    for each in made:
        each.close()


def best(future):
    return int(future.result(WAIT_S).logits.argmax())


def test_each_picture_has_its_own_answer(make, backend):
    backend.gate.set()
    batcher = make(workers=3)
    colors = [RED, GREEN, BLUE, BLUE, GREEN] * 3
    assert [best(each) for each in batcher.pictures(colors)] == [0, 1, 2, 2, 1] * 3


def test_what_waits_is_answered_at_once_up_to_a_batch(make, backend):
    told = []
    batcher = make(told=told.append)
    first = batcher.pictures([RED])
    assert backend.entered.acquire(timeout=WAIT_S)  # the only thread is busy
    rest = batcher.pictures([GREEN] * 6)
    assert batcher.waiting == 6
    backend.gate.set()
    assert [best(each) for each in (*first, *rest)] == [0, *[1] * 6]
    assert backend.sizes == told == [1, 4, 2]


def test_threads_that_do_nothing_share_what_waits(make, backend):
    batcher = make(workers=2, batch_size=8)
    futures = batcher.pictures([RED] * 6)
    assert backend.entered.acquire(timeout=WAIT_S) and backend.entered.acquire(timeout=WAIT_S)
    backend.gate.set()
    assert [best(each) for each in futures] == [0] * 6
    assert max(backend.sizes) <= 5 and backend.most_within == 2


def test_a_model_that_runs_one_batch_at_a_time_is_never_called_twice_at_once(make, backend):
    backend.serial = True
    batcher = make(workers=3, batch_size=1)
    futures = batcher.pictures([RED] * 6)
    assert backend.entered.acquire(timeout=WAIT_S)
    backend.gate.set()
    assert [best(each) for each in futures] == [0] * 6
    assert backend.most_within == 1


def test_more_than_may_wait_is_turned_away_and_nothing_of_it_is_taken(make, backend):
    batcher = make(most_waiting=3)
    busy = batcher.pictures([RED])
    assert backend.entered.acquire(timeout=WAIT_S)
    taken = batcher.pictures([GREEN] * 2)
    with pytest.raises(Overloaded, match="2 pictures are waiting, 2 more would be above the 3"):
        batcher.pictures([BLUE] * 2)
    assert batcher.waiting == 2
    backend.gate.set()
    assert [best(each) for each in (*busy, *taken)] == [0, 1, 1]


def test_a_picture_whose_client_has_left_is_not_answered(make, backend):
    batcher = make()
    batcher.pictures([RED])
    assert backend.entered.acquire(timeout=WAIT_S)
    left, stays = batcher.pictures([GREEN, BLUE])
    assert left.cancel()
    backend.gate.set()
    assert best(stays) == 2
    assert backend.sizes == [1, 1]


def test_what_is_called_off_leaves_the_queue_and_memory_at_once(make, backend):
    batcher = make(most_waiting=4)
    busy = batcher.pictures([RED])
    assert backend.entered.acquire(timeout=WAIT_S)
    pictures = [GREEN.copy() for _ in range(3)]
    left = [weakref.ref(each) for each in pictures]
    [*futures, stays] = batcher.pictures([*pictures, BLUE])
    tensors = np.zeros((1, 3, 8, 8), np.float32)
    del pictures
    for each in futures:
        assert each.cancel()
    gc.collect()
    assert batcher.waiting == 1 and [each() for each in left] == [None] * 3
    off = batcher.tensor(tensors)
    last = batcher.pictures([GREEN, RED])
    assert off.cancel() and batcher.waiting == 3
    backend.gate.set()
    assert [best(each) for each in (*busy, stays, *last)] == [0, 2, 1, 0]


def test_a_thread_that_waits_keeps_nothing_of_what_it_did(make, backend):
    backend.gate.set()
    batcher, picture = make(), GREEN.copy()
    seen = weakref.ref(picture)
    assert best(batcher.pictures([picture])[0]) == 1
    del picture
    end = time.monotonic() + WAIT_S
    while seen() is not None:
        assert time.monotonic() < end
        gc.collect()


@pytest.mark.parametrize("failure", [None, ModelError("out of memory"), RuntimeError("a fault")])
def test_nothing_is_kept_of_a_picture_that_has_no_answer(make, backend, monkeypatch, failure):
    """Not even until garbage is collected: there may be too much of it by then."""
    backend.gate.set()

    def fails(images):
        raise failure

    picture = np.zeros((8, 8, 3), np.uint8 if failure else np.float64)  # the latter is refused
    if failure is not None:
        monkeypatch.setattr(backend, "infer", fails)
        log = logging.getLogger("ghostkit.serve.batcher")
        monkeypatch.setattr(log, "disabled", True)  # pytest keeps its records
    batcher, seen = make(), weakref.ref(picture)
    gc.collect()
    gc.disable()
    try:
        [future] = batcher.pictures([picture])
        error = future.exception(WAIT_S) or future.result().error
        assert isinstance(error, ImageRefused if failure is None else type(failure))
        del picture, future
        end = time.monotonic() + WAIT_S
        while seen() is not None:
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        gc.enable()


def test_more_than_may_ever_wait_is_not_told_to_come_again(make, backend):
    backend.gate.set()
    with pytest.raises(Refused, match="17 pictures; a request may have 16") as refused:
        make().pictures([RED] * 17)
    assert refused.value.status == 413


def test_a_refused_picture_leaves_its_neighbours_alone(make, backend):
    backend.gate.set()
    good, bad, other = make().pictures([RED, b"no picture", BLUE])
    assert (best(good), best(other)) == (0, 2)
    answer = bad.result(WAIT_S)
    assert isinstance(answer.error, ImageRefused) and answer.logits is None


def test_pixels_are_held_while_a_picture_is_decoded_and_given_back(make, backend, monkeypatch):
    backend.gate.set()
    memory = DecodingMemory(8 * 100 * 100 + 10_000)
    held = []
    decode = ghostkit.classifier.decode
    monkeypatch.setattr(
        "ghostkit.classifier.decode",
        lambda *given, **options: (decode(*given, **options), held.append(memory.held))[0],
    )
    batcher = make(decoding=memory, workers=3)
    good, cut, large = png(100), png(100)[:-50], png(200)
    futures = batcher.pictures([good, cut, good, large, good])
    answers = [each.result(WAIT_S) for each in futures]
    assert [each.error is None for each in answers] == [True, False, True, False, True]
    assert "0 MiB of memory would decode it" in answers[3].error.reason
    assert [8 * 100 * 100 <= each < 8 * 100 * 100 + 10_000 for each in held] == [True] * 3
    batcher.close()
    assert memory.held == 0


def png(side):
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (255, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def test_tensors_are_not_mixed_with_pictures(make, backend):
    backend.gate.set()
    batcher = make()
    images = np.zeros((3, 3, 8, 8), np.float32)
    images[:, 1] = 1.0
    futures = [*batcher.pictures([RED]), batcher.tensor(images), *batcher.pictures([BLUE])]
    assert futures[1].result(WAIT_S).argmax(axis=1).tolist() == [1, 1, 1]
    assert (best(futures[0]), best(futures[2])) == (0, 2)


def test_a_broken_model_is_told_to_whoever_waits_and_the_thread_goes_on(make, backend):
    backend.gate.set()
    batcher = make()
    broken = np.full((1, 3, 8, 8), np.nan, np.float32)
    with pytest.raises(ModelError, match="a broken model"):
        batcher.tensor(broken).result(WAIT_S)
    assert best(batcher.pictures([GREEN])[0]) == 1


def test_what_waits_at_the_end_is_answered_and_no_more_is_taken(make, backend):
    batcher = make()
    futures = batcher.pictures([RED, GREEN, BLUE])
    backend.gate.set()
    batcher.close()
    assert [best(each) for each in futures] == [0, 1, 2]
    with pytest.raises(Overloaded, match="stopping"):
        batcher.pictures([RED])
