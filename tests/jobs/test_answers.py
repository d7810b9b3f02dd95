import gc
import tracemalloc

from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.jobs import answers
from ghostkit.sources import Item
from tiny import BLUE, GREEN, RED, save_square, tiny_card


def classifier():
    return Classifier(FakeBackend(), tiny_card())


def test_each_item_is_answered_under_its_own_name_in_order(tmp_path):
    red, green, blue = (
        save_square(tmp_path / f"{i}.png", color) for i, color in enumerate((RED, GREEN, BLUE))
    )
    items = [
        Item("shard.tar/1.png", red.read_bytes()),
        Item("shard.tar/2.png", b"", "a link in an archive"),
        Item(str(green), str(green)),
        Item("gone.jpg", "gone.jpg"),
        Item("table/x", b""),
        Item("shard.tar/1.png", blue.read_bytes()),
    ]
    for batch_size in (1, 2, 8):
        predictions = list(answers(classifier(), items, batch_size=batch_size, workers=2))
        assert [(p.source, p.title if p.error is None else p.error) for p in predictions] == [
            ("shard.tar/1.png", "red"),
            ("shard.tar/2.png", "a link in an archive"),
            (str(green), "green"),
            ("gone.jpg", "file not found"),
            ("table/x", "empty file"),
            ("shard.tar/1.png", "blue"),
        ]
        assert [p.status for p in predictions].count("refused") == 3


def test_items_are_taken_as_they_are_needed_and_not_held(tmp_path):
    taken = 0

    def items():
        nonlocal taken
        for i in range(2000):
            taken += 1
            yield Item(f"archive.tar/{i}.jpg", b"", "too many bytes")

    predictions = answers(classifier(), items(), batch_size=4, workers=1)
    for _ in range(100):
        next(predictions)
    assert taken < 300
    tracemalloc.start()
    try:
        for _ in range(100):
            next(predictions)
        gc.collect()
        early = tracemalloc.get_traced_memory()[0]
        for _ in range(1500):
            next(predictions)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - early < 30_000
    finally:
        tracemalloc.stop()
    predictions.close()
