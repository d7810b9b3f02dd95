import numpy as np
import pytest

from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.dataset import open_dataset
from ghostkit.evaluate import evaluate
from ghostkit.report.evaluation import evaluation_page
from pages import Reader
from tiny import BLUE, GREEN, RED, save_square, tiny_card


@pytest.fixture
def photos(tmp_path):
    """Six squares, of which two have the label of another colour and one cannot be read."""
    squares = {"red": (RED, RED, BLUE), "green": (GREEN, RED), "blue": (BLUE,)}
    for name, colors in squares.items():
        for number, color in enumerate(colors):
            save_square(tmp_path / "<photos>" / name / f"{number}.png", color)
    (tmp_path / "<photos>" / "blue" / "1.png").write_bytes(b"")
    return tmp_path / "<photos>"


def read(photos, card=None, backend=None):
    classifier = Classifier(backend or FakeBackend(), card or tiny_card())
    evaluation = evaluate(classifier, open_dataset(photos))
    return evaluation, Reader(evaluation_page(evaluation, "tiny & good.onnx"))


def test_the_page_is_one_file_that_fetches_and_runs_nothing(photos):
    _, page = read(photos)
    assert page.open == [] and "script" not in page.tags
    assert page.fetched and all(each.startswith("data:image/jpeg") for each in page.fetched)
    assert "How good is tiny & good.onnx on <photos>?" in page.text


def test_figures_classes_and_confusions_are_shown(photos):
    evaluation, page = read(photos)
    assert "66.7 %" in page.text and evaluation.top1.value == pytest.approx(2 / 3)
    assert "Photos without an answer: 1" in page.text and "empty file" in page.text
    assert page.tags.count("td") > 9 and "reliability" not in page.text


def test_mistakes_come_with_label_answer_and_photo_the_surest_first(photos):
    evaluation, page = read(photos)
    assert "Mistakes: 2, the surest first" in page.text
    assert [(each.target, each.answer) for each in evaluation.mistakes] == [(1, 0), (0, 2)] or [
        (each.target, each.answer) for each in evaluation.mistakes
    ] == [(0, 2), (1, 0)]
    assert len(page.fetched) == 2
    assert "label: green" in page.text and "answer: blue" in page.text
    sure = [each.probability for each in evaluation.mistakes]
    assert sure == sorted(sure, reverse=True)
    assert [each["path"] for each in evaluation.to_record()["mistakes"]] == [
        each.path for each in evaluation.mistakes
    ]


def test_a_model_without_mistakes_says_so(tmp_path):
    for name, color in (("red", RED), ("green", GREEN)):
        save_square(tmp_path / name / "1.png", color)
    evaluation, page = read(tmp_path)
    assert evaluation.mistakes == [] and "Every answer is right." in page.text


def test_a_threshold_shows_what_it_accepts(photos):
    card = tiny_card()
    output = card.output.model_copy(update={"reject_threshold": 0.1})
    evaluation, page = read(photos, card.model_copy(update={"output": output}))
    assert evaluation.accepted.value == 1.0
    assert "of the answers are accepted" in page.text


def test_what_stepped_in_for_the_device_is_told(photos):
    class OnTheProcessor(FakeBackend):
        fallback = "the CPU runs it: there is no <cuda>"

    assert "fallback" not in read(photos)[1].text
    _, page = read(photos, backend=OnTheProcessor())
    assert "fallback: the CPU runs it: there is no <cuda>" in page.text


def test_of_many_classes_the_most_frequent_confusions_are_listed(photos):
    names = tuple(f"class {n}" for n in range(40))
    card = tiny_card()
    for name in ("red", "green", "blue"):
        names = (*names, name)

    class Wide(FakeBackend):
        def infer(self, images):
            few = super().infer(images)
            return np.concatenate([np.full((len(few), 40), -9, np.float32), few], axis=1)

    classifier = Classifier(Wide(), card.model_copy(update={"classes": names}))
    page = Reader(evaluation_page(evaluate(classifier, open_dataset(photos)), "wide.onnx"))
    assert "answered as" in page.text


def test_a_class_without_photos_that_is_answered_has_no_recall(photos):
    for picture in (photos / "blue").iterdir():
        picture.unlink()
    (photos / "blue").rmdir()
    _, page = read(photos)
    assert "recall, mean of 2 of 3 classes; the others have no photo" in page.text
    cells = page.text.split("blue")[1]
    assert cells.split()[:4] == ["-", "0.0", "%", "-"] and "top-5" not in page.text
