import numpy as np
import pytest

from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.report.agreement import agreement_page
from ghostkit.verify import compare
from pages import Reader
from tiny import BLUE, GREEN, RED, save_square, tiny_card, write_bad


class Shifted(FakeBackend):
    def infer(self, images):
        return super().infer(images) + np.array([3, 0, 0], np.float32)


class OnTheProcessor(FakeBackend):
    fallback = "the CPU runs it: there is no <cuda>"


@pytest.fixture
def sides():
    return (
        ("one.onnx", Classifier(FakeBackend(), tiny_card())),
        ("two.onnx", Classifier(Shifted(), tiny_card())),
    )


@pytest.fixture
def photos(tmp_path):
    colors = {"red": RED, "green": GREEN, "<script>blue": BLUE}
    return [str(save_square(tmp_path / f"{name}.png", color)) for name, color in colors.items()]


def read(sides, pictures, **options):
    agreement = compare(sides[0][1], sides[1][1], pictures, **options)
    return Reader(agreement_page(agreement, sides))


def test_the_page_is_one_file_that_fetches_and_runs_nothing(sides, photos):
    page = read(sides, photos)
    assert page.open == []
    assert "script" not in page.tags and "link" not in page.tags
    assert len(page.fetched) == 3
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.fetched)
    assert "<script>blue.png" in page.text  # as text


def test_disputed_pictures_come_with_both_answers_other_answers_first(sides, photos):
    page = read(sides, photos)
    assert "Disputed pictures: 3, the worst first" in page.text
    assert "green or red? 0.63 apart" in page.text
    assert "both say red, 0.39 apart" in page.text
    assert page.text.index("both say red") > page.text.index("blue or red?")
    assert page.text.count("21.2 %") >= 2  # what one says of red where green is the truth


def test_the_cards_are_told_in_words_and_side_by_side(sides, photos):
    other = tiny_card().model_copy(
        update={"input": tiny_card().input.model_copy(update={"color": "BGR"})}
    )
    page = read((sides[0], ("bgr.onnx", Classifier(FakeBackend(), other))), photos)
    assert "A's model takes RGB, B's BGR" in page.text
    assert "8x8, float32 NCHW RGB 8x8, float32 NCHW BGR" in page.text
    assert "Their cards say the same" in read(sides, photos).text


def test_what_stepped_in_for_the_device_is_told(sides, photos):
    assert "fallback" not in read(sides, photos).text
    page = read((sides[0], ("b.onnx", Classifier(OnTheProcessor(), tiny_card()))), photos)
    assert "fallback" in page.text and "the CPU runs it: there is no <cuda>" in page.text


def test_models_that_agree_have_no_disputed_pictures(sides, photos):
    page = read((sides[0], sides[0]), photos)
    assert "pass: the same answers to 3 pictures" in page.text
    assert "Disputed" not in page.text
    assert page.fetched == []


def test_refused_pictures_are_named_and_one_sided_ones_have_no_thumbnail(sides, photos, tmp_path):
    reasons = write_bad(tmp_path / "bad")
    page = read(sides, [*photos, *(str(tmp_path / "bad" / name) for name in reasons)])
    assert "neither from A nor from B: 5" in page.text
    for name, words in reasons.items():
        assert name in page.text and words in page.text
    array = np.full((8, 8, 3), 255, np.uint8)  # a picture without a file
    assert "file not found" in read(sides, [array]).text
