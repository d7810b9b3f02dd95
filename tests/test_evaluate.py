import io
import json
from contextlib import contextmanager

import numpy as np
import pytest
from rich.console import Console

from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.cli.report import evaluation_tables
from ghostkit.dataset import open_dataset
from ghostkit.errors import DatasetError
from ghostkit.evaluate import evaluate
from tiny import BLUE, GREEN, RED, save_square, tiny_card, write_bad


class Counted(FakeBackend):
    """Counts the pictures it is asked about."""

    def __init__(self):
        self.images = 0

    def infer(self, images):
        self.images += len(images)
        return super().infer(images)


def model(backend=None):
    return Classifier(backend or FakeBackend(), tiny_card())


@pytest.fixture
def photos(tmp_path):
    """Two red, two green and a blue one, and a blue one that is filed under red."""
    for name, color in (("red/1", RED), ("red/2", RED), ("green/1", GREEN), ("green/2", GREEN)):
        save_square(tmp_path / f"{name}.png", color)
    save_square(tmp_path / "blue/1.png", BLUE)
    save_square(tmp_path / "red/in truth blue.png", BLUE)
    return tmp_path


def test_hits_are_counted_class_by_class_whatever_the_folders_order(photos):
    dataset = open_dataset(photos)
    assert dataset.classes == ("blue", "green", "red") != model().classes
    result = evaluate(model(), dataset)
    assert (result.top1.hits, result.top1.total) == (5, 6)
    assert (result.top5.hits, result.top5.total) == (6, 6)
    assert (result.majority.hits, result.majority.total) == (3, 6)
    assert result.classes == ("red", "green", "blue")
    assert result.confusion.tolist() == [[2, 0, 1], [0, 2, 0], [0, 0, 1]]
    right, wrong = np.exp(1) / (np.exp(1) + 2), 1 / (np.exp(1) + 2)
    assert result.loss == pytest.approx(-(5 * np.log(right) + np.log(wrong)) / 6)
    assert result.backend == "fake"
    assert result.data_fingerprint == dataset.fingerprint


def test_corrupt_pictures_are_named_and_the_accuracy_is_over_the_others(photos):
    reasons = write_bad(photos / "green")
    result = evaluate(model(), open_dataset(photos), batch_size=2)
    assert (result.top1.hits, result.top1.total) == (5, 6)
    unanswered = dict(result.unanswered)
    assert set(unanswered) == {str(photos / "green" / name) for name in reasons}
    for name, words in reasons.items():
        assert words in unanswered[str(photos / "green" / name)]
    assert result.to_record()["images"] == 6 + len(reasons)


class Partial(FakeBackend):
    """Fails on every green picture."""

    def infer(self, images):
        means = super().infer(images)
        means[means.argmax(axis=1) == 1] = np.nan
        return means


def test_a_picture_that_the_model_fails_on_is_wrong_and_one_that_is_refused_is_not_counted(photos):
    (photos / "red" / "empty.png").touch()
    result = evaluate(model(Partial()), open_dataset(photos))
    assert (result.top1.hits, result.top1.total) == (3, 6)
    assert (result.top5.hits, result.top5.total) == (4, 6)
    assert (result.majority.hits, result.majority.total) == (3, 6)
    assert [each.target for each in result.failed] == [1, 1]
    record = result.to_record()
    assert record["images"] == 7
    assert [(row["support"], row["recall"]) for row in record["per_class"]][1] == (2, 0.0)
    assert [(row["status"], row["reason"]) for row in record["unanswered"]] == [
        ("refused", "empty file"),
        ("failed", "the model gave nan or infinity"),
        ("failed", "the model gave nan or infinity"),
    ]


def test_outputs_that_are_no_probabilities_are_wrong(photos):
    save_square(photos / "red" / "white.png", (255, 255, 255))
    card = tiny_card()
    output = card.output.model_copy(update={"kind": "probabilities"})
    classifier = Classifier(FakeBackend(), card.model_copy(update={"output": output}))
    result = evaluate(classifier, open_dataset(photos))
    assert (result.top1.hits, result.top1.total) == (5, 7)
    [(path, target, reason)] = result.failed
    assert path.endswith("white.png") and target == 0
    assert reason.startswith("probabilities 1..1 sum to 3")


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_no_figure_depends_on_batches_or_workers(photos, batch_size, workers):
    write_bad(photos / "red")
    dataset = open_dataset(photos)
    expected = evaluate(model(), dataset).to_record()
    result = evaluate(model(), dataset, batch_size=batch_size, workers=workers)
    assert result.to_record() == expected


def test_a_part_of_the_models_classes_is_enough(photos):
    (photos / "blue/1.png").unlink()
    (photos / "blue").rmdir()
    result = evaluate(model(), open_dataset(photos))
    assert (result.top1.hits, result.top1.total) == (4, 5)
    assert result.confusion.shape == (3, 3)


def test_a_class_that_the_model_does_not_know_is_refused_before_the_work(photos):
    save_square(photos / "Rot\n" / "1.png", RED)
    backend = Counted()
    with pytest.raises(DatasetError) as caught:
        evaluate(model(backend), open_dataset(photos))
    message = str(caught.value)
    assert r"1 of the 4 classes, the first is 'Rot\n'" in message
    assert "its own 3 begin with 'red', 'green', 'blue'" in message
    assert "Rename the class folders" in message
    assert str(photos) in message
    assert backend.images == 0


def test_a_data_set_without_a_readable_picture_is_an_error_that_names_one(tmp_path):
    for name in ("red", "green"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    with pytest.raises(
        DatasetError, match=r"none of 2 pictures .*red/1\.png': empty file"
    ) as caught:
        evaluate(model(), open_dataset(tmp_path, classes=("red", "green")))
    assert str(tmp_path) in str(caught.value)


def test_a_picture_that_is_gone_is_found_before_the_work(photos):
    dataset, backend = open_dataset(photos), Counted()
    (photos / "blue/1.png").unlink()
    with pytest.raises(DatasetError, match=r"1\.png' is gone"):
        evaluate(model(backend), dataset)
    assert backend.images == 0


def test_the_record_is_plain_json_and_its_numbers_add_up(photos):
    (photos / "green" / "空\n.png").touch()
    record = json.loads(json.dumps(evaluate(model(), open_dataset(photos)).to_record()))
    assert record["top1"]["value"] == pytest.approx(5 / 6)
    assert record["top1"]["low"] < 5 / 6 < record["top1"]["high"]
    assert sum(map(sum, record["confusion"])) == record["top1"]["total"] == 6
    assert record["images"] == record["top1"]["total"] + len(record["unanswered"]) == 7
    assert sum(row["support"] for row in record["per_class"]) == 6
    assert [row["class_name"] for row in record["per_class"]] == ["red", "green", "blue"]
    path = str(photos / "green" / "空\n.png")
    assert record["unanswered"] == [{"path": path, "status": "refused", "reason": "empty file"}]


def test_titles_stand_beside_the_class_names_and_in_the_tables(photos):
    titles = ("Rot", "Grün", "Blau")
    classifier = model()
    classifier.card = classifier.card.model_copy(update={"titles": titles})
    evaluation = evaluate(classifier, open_dataset(photos))
    rows = evaluation.to_record()["per_class"]
    assert [(row["class_name"], row["title"]) for row in rows] == list(
        zip(("red", "green", "blue"), titles, strict=True)
    )
    console = Console(file=io.StringIO(), width=200)
    evaluation_tables(evaluation, console)
    text = console.file.getvalue()
    assert "Grün" in text and "green" not in text
    assert "title" not in evaluate(model(), open_dataset(photos)).to_record()["per_class"][0]


def test_the_measurement_fits_into_a_card(photos):
    measured = evaluate(model(), open_dataset(photos)).measurement()
    assert measured.images == 6
    assert measured.top1_low < measured.top1 < measured.top1_high
    card = tiny_card().model_copy(update={"measurements": (measured,)})
    assert type(card).from_json(card.to_json(), "x").measurements == (measured,)


def test_every_picture_advances_the_bar(photos):
    write_bad(photos / "red")
    seen = []

    class Bar:
        def advance(self, count, note=""):
            seen.append(count)

    @contextmanager
    def bars(title, total):
        yield Bar()
        assert sum(seen) == total == 6 + 5

    evaluate(model(), open_dataset(photos), bars=bars)
    assert seen


def test_a_model_of_many_classes_costs_no_matrix_unless_it_is_asked_for(photos):
    evaluation = evaluate(model(), open_dataset(photos))
    assert "confusion" not in vars(evaluation)
    frequent = evaluation.confusions(9)
    assert "confusion" not in vars(evaluation)
    wrong = evaluation.confusion.sum() - np.trace(evaluation.confusion)
    assert sum(count for _, _, count in frequent) == wrong


def test_rare_classes_count_as_much_as_frequent_ones_and_those_without_a_photo_not_at_all(photos):
    (photos / "green" / "1.png").unlink()
    (photos / "green" / "2.png").unlink()
    (photos / "green").rmdir()
    evaluation = evaluate(model(), open_dataset(photos))
    assert evaluation.mean_recall == pytest.approx((2 / 3 + 1) / 2)
    assert evaluation.macro_f1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    record = evaluation.to_record()
    assert (record["mean_recall"], record["classes_with_photos"]) == (evaluation.mean_recall, 2)
    green = record["per_class"][1]
    assert (green["class_name"], green["recall"], green["precision"]) == ("green", None, None)
    printed = io.StringIO()
    evaluation_tables(evaluation, Console(file=printed, width=200))
    assert "83.3 % (mean of 2 of 3 classes; the others have no photo)" in printed.getvalue()
    assert "top-5" not in printed.getvalue()  # of three classes it is always right
