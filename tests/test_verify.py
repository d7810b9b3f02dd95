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
    assert agreement.verdict == (
        "FAIL: another class for 2 of 3 pictures; "
        "a probability differs by more than 0.0001 in 3 of 3 pictures"
    )
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
    [
        (("red", "green"), "A 3, B 2 of them; only A has 'blue'"),
        (("red", "green", "blau"), "only A has 'blue'; only B has 'blau'"),
        (("red", "green", "blue", *"abcdefg"), "only B has 'a', 'b', 'c', 'd', 'e' and 2 more"),
    ],
)
def test_models_of_other_classes_cannot_be_compared(photos, classes, words):
    other = Classifier(FakeBackend(), tiny_card().model_copy(update={"classes": classes}))
    with pytest.raises(UsageError, match=words):
        compare(model(), other, photos)


class Permuted(FakeBackend):
    """Gives the fake's logits in the order blue, red, green."""

    def infer(self, images):
        return super().infer(images)[:, [2, 0, 1]]


def test_classes_in_another_order_are_matched_by_name_and_told(photos):
    card = tiny_card().model_copy(update={"classes": ("blue", "red", "green")})
    agreement = compare(model(), Classifier(Permuted(), card), photos)
    assert agreement.passed
    assert agreement.max_probability_difference == agreement.max_logit_difference == 0
    assert agreement.notes == (
        "B has the classes in another order (3 of 3 elsewhere: index 0 is 'red' in A and 'blue' in "
        "B); they are matched by name",
    )


def test_names_in_an_order_that_the_weights_do_not_have_are_a_disagreement(photos):
    card = tiny_card().model_copy(update={"classes": ("blue", "red", "green")})
    agreement = compare(
        model(), Classifier(FakeBackend(), card), photos
    )  # names moved, not outputs
    assert agreement.top1_agreement == 0
    assert [each.answer_b for each in agreement.disagreements] == ["blue", "red", "green"]


def test_a_disagreement_has_the_best_classes_of_both_with_both_probabilities(photos):
    card = tiny_card().model_copy(update={"classes": ("blue", "red", "green")})
    agreement = compare(model(3, 0, 0), Classifier(Permuted(), card), photos[1:2])
    [one] = agreement.disagreements  # a green picture: A's logits are 3 1 0, B's 0 1 0
    assert [bar.name for bar in one.bars] == ["red", "green", "blue"]
    assert [bar.probability_a for bar in one.bars] == pytest.approx(
        [0.8438, 0.1142, 0.0420], abs=1e-4
    )
    assert [bar.probability_b for bar in one.bars] == pytest.approx(
        [0.2119, 0.5761, 0.2119], abs=1e-4
    )


def test_a_share_of_other_answers_may_be_allowed(photos):
    wide = {"tolerance": 1.0}
    assert not compare(model(), model(3, 0, 0), photos, min_agreement=0.34, **wide).passed
    agreement = compare(model(), model(3, 0, 0), photos, min_agreement=0.33, **wide)
    assert agreement.passed
    assert agreement.verdict == "pass: the same answers to 1 of 3 pictures, as many as asked for"
    assert not compare(model(), model(3, 0, 0), photos, min_agreement=0.33, tolerance=0.1).passed


def test_another_resize_is_found_on_pictures_and_told_in_words(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (97, 131, 3), np.uint8)
    rows[::2] //= 8  # thin lines, which two taps per axis miss
    card = tiny_card()
    hard = card.steps[0].model_copy(update={"antialias": False})
    other = card.model_copy(update={"steps": (hard, *card.steps[1:])})
    agreement = compare(model(), Classifier(FakeBackend(), other), [rows])
    assert not agreement.passed
    assert agreement.beyond_tolerance == 1
    assert agreement.notes == (
        "A weighs every pixel when it shrinks (antialias, as Pillow does), B weighs two pixels per "
        "axis however much it shrinks (no antialias, as OpenCV does)",
    )


def test_logits_are_not_compared_with_probabilities(photos):
    class Sure(FakeBackend):
        def infer(self, images):
            return np.eye(3, dtype=np.float32)[super().infer(images).argmax(axis=1)]

    output = tiny_card().output.model_copy(update={"kind": "probabilities"})
    sure = Classifier(Sure(), tiny_card().model_copy(update={"output": output}))
    agreement = compare(model(), sure, photos)
    assert agreement.max_logit_difference is None
    assert agreement.notes == ("A's model gives logits, B's gives probabilities",)


def test_the_record_is_plain_json(photos, tmp_path):
    (tmp_path / "空\n.png").touch()
    agreement = compare(model(), model(3, 0, 0), [*photos, str(tmp_path / "空\n.png")])
    record = json.loads(json.dumps(agreement.to_record()))
    assert record["passed"] is False
    assert record["verdict"].startswith("FAIL")
    assert record["disagreements"][1]["answer_b"] == "red"
    assert record["unanswered"] == [{"path": str(tmp_path / "空\n.png"), "reason": "empty file"}]
    assert record["compared"] + len(record["unanswered"]) == record["images"] == 4
    assert "pictures" not in record
    whole = json.loads(json.dumps(agreement.to_record(pictures=True)))
    assert [each["path"] for each in whole["pictures"]] == photos
    assert whole["pictures"][0]["answer_b"] == "red"
