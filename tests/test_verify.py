import json

import numpy as np
import pytest

from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.errors import UsageError
from ghostkit.image import Limits
from ghostkit.verify import compare
from tiny import BLUE, GREEN, RED, save_square, tiny_card, write_bad


class Shifted(FakeBackend):
    """Adds numbers to the logits of the fake."""

    def __init__(self, *shift):
        self._shift = np.array(shift, np.float32)

    def infer(self, images):
        return super().infer(images) + self._shift


def model(*shift, **options):
    return Classifier(Shifted(*(shift or (0, 0, 0))), tiny_card(), **options)


@pytest.fixture
def photos(tmp_path):
    colors = {"red": RED, "green": GREEN, "blue": BLUE}
    return [str(save_square(tmp_path / f"{name}.png", color)) for name, color in colors.items()]


def test_a_model_agrees_with_itself(photos):
    agreement = compare(model(), model(), photos)
    assert agreement.passed
    assert agreement.verdict == "pass: the same answers to 3 pictures"
    assert (agreement.images, agreement.compared, agreement.top1_agreement) == (3, 3, 1.0)
    assert agreement.max_logit_difference == agreement.max_probability_difference == 0
    assert agreement.disagreements == agreement.unanswered == ()


def test_a_difference_within_the_tolerance_passes(photos):
    agreement = compare(model(), model(1e-5, 0, 0), photos)
    assert agreement.passed
    assert 0 < agreement.max_probability_difference < 1e-5
    assert 0 < agreement.mean_probability_difference <= agreement.max_probability_difference
    assert agreement.max_logit_difference == pytest.approx(1e-5, rel=0.1)


def test_a_probability_beyond_the_tolerance_is_a_disagreement_though_the_top_class_is_one(photos):
    agreement = compare(model(), model(0.5, 0, 0), photos, tolerance=0.11)
    assert not agreement.passed
    assert agreement.top1_agreement == 1
    listed = {each.path: each for each in agreement.disagreements}
    assert set(listed) == {photos[0]}  # red: softmax(1.5, 0, 0) - softmax(1, 0, 0) is 0.115
    assert (listed[photos[0]].answer_a, listed[photos[0]].answer_b) == ("red", "red")
    assert compare(model(), model(0.5, 0, 0), photos, tolerance=0.12).passed


def test_other_top_classes_are_listed_with_both_answers(photos):
    agreement = compare(model(), model(3, 0, 0), photos)
    assert not agreement.passed
    assert agreement.verdict == "FAIL: 3 of 3 pictures answered differently"
    answers = [(each.answer_a, each.answer_b) for each in agreement.disagreements]
    assert answers == [("red", "red"), ("green", "red"), ("blue", "red")]
    assert agreement.top1_agreement == pytest.approx(1 / 3)
    assert [each.path for each in agreement.disagreements] == photos


def test_top_classes_that_differ_within_the_tolerance_disagree_all_the_same():
    gray = np.full((8, 8, 3), 100, np.uint8)
    agreement = compare(model(), model(0, 1e-6, 0), [gray])
    assert not agreement.passed
    [one] = agreement.disagreements
    assert (one.path, one.answer_a, one.answer_b) == ("<array>", "red", "green")


def test_a_picture_that_one_alone_answers_is_a_disagreement(photos):
    tight = model(limits=Limits(max_pixels=10))
    agreement = compare(model(), tight, photos[:1])
    assert not agreement.passed
    assert agreement.compared == 0
    [one] = agreement.disagreements
    assert one.answer_a == "red"
    assert one.answer_b.startswith("too many pixels")
    assert one.probability_difference is None
    [other] = compare(tight, model(), photos[:1]).disagreements
    assert other.answer_b == "red"


def test_bad_pictures_are_named_and_the_others_compared(photos, tmp_path):
    bad = [str(tmp_path / name) for name in write_bad(tmp_path)]
    agreement = compare(model(), model(), [*bad, *photos], batch_size=2)
    assert agreement.passed
    assert (agreement.images, agreement.compared) == (8, 3)
    assert [path for path, _ in agreement.unanswered] == bad
    assert all(reason for _, reason in agreement.unanswered)


def test_no_picture_that_both_answer_is_no_agreement(tmp_path):
    bad = [str(tmp_path / name) for name in write_bad(tmp_path)]
    agreement = compare(model(), model(), bad)
    assert not agreement.passed
    assert agreement.verdict == "FAIL: none of 5 pictures was answered by both"


def test_outputs_that_are_no_probabilities_are_unanswered_and_no_crash(photos):
    card = tiny_card()
    output = card.output.model_copy(update={"kind": "probabilities"})
    wrong = Classifier(Shifted(9, 9, 9), card.model_copy(update={"output": output}))
    agreement = compare(model(), wrong, photos)
    assert [each.answer_a for each in agreement.disagreements] == ["red", "green", "blue"]
    assert all("sum to" in each.answer_b for each in agreement.disagreements)


@pytest.mark.parametrize(
    ("classes", "words"),
    [(("red", "green"), "3 and 2 of them"), (("red", "blue", "green"), "1 is 'green' and 'blue'")],
)
def test_models_of_other_classes_cannot_be_compared(photos, classes, words):
    other = Classifier(FakeBackend(), tiny_card().model_copy(update={"classes": classes}))
    with pytest.raises(UsageError, match=words):
        compare(model(), other, photos)


def test_the_record_is_plain_json(photos, tmp_path):
    (tmp_path / "空\n.png").touch()
    agreement = compare(model(), model(3, 0, 0), [*photos, str(tmp_path / "空\n.png")])
    record = json.loads(json.dumps(agreement.to_record()))
    assert record["passed"] is False
    assert record["verdict"].startswith("FAIL")
    assert record["disagreements"][1]["answer_b"] == "red"
    assert record["unanswered"] == [{"path": str(tmp_path / "空\n.png"), "reason": "empty file"}]
    assert record["compared"] + len(record["unanswered"]) == record["images"] == 4
