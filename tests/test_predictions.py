import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ghostkit.errors import ImageRefused, ModelError, UsageError
from ghostkit.predictions import Prediction, finite_rows, nine_digits, softmax, top_k

COLOURS = ("red", "green", "blue")
quick = settings(max_examples=80)
finite = st.floats(allow_nan=False, allow_infinity=False)
batches = arrays(np.float64, array_shapes(min_dims=1, max_dims=3, max_side=20), elements=finite)


def answer(probabilities=(0.2, 0.5, 0.3), classes=COLOURS, source="a/b.jpg"):
    values = np.array(probabilities, dtype=np.float32)
    return Prediction(source, classes, values, None, "answered")


def refusal(status="refused", reason="truncated JPEG"):
    return Prediction("b.jpg", COLOURS, None, reason, status)


def test_titles_are_for_people_and_class_names_for_programs():
    probabilities = np.array((0.2, 0.5, 0.3), dtype=np.float32)
    ids, titles = ("n1", "n2", "n3"), ("goldfish", "crane", "lynx")
    titled = Prediction("a.jpg", ids, probabilities, None, "answered", titles)
    assert (titled.title, titled.best[0], titled.top[0][0]) == ("crane", "n2", "n2")
    assert [name for name, _ in titled.titled(2)] == ["crane", "lynx"]
    best = titled.to_record(1)["top"][0]
    assert (best["class_name"], best["title"]) == ("n2", "crane")
    assert "'crane' 50.0 %" in repr(titled)
    plain = answer()
    assert (plain.title, plain.titled(5)) == (plain.best[0], plain.top)
    assert "title" not in plain.to_record(1)["top"][0]
    with pytest.raises(ImageRefused):
        _ = refusal().title


@quick
@given(batches, st.floats(1e-3, 1e3))
def test_softmax_is_a_distribution_that_keeps_the_order(logits, temperature):
    probabilities = softmax(logits, temperature)
    assert probabilities.dtype == np.float32 and probabilities.shape == logits.shape
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert probabilities.sum(axis=-1, dtype=np.float64) == pytest.approx(1.0, abs=1e-6)
    best = np.take_along_axis(probabilities, logits.argmax(axis=-1)[..., None], axis=-1)
    assert (best[..., 0] == probabilities.max(axis=-1)).all()


def test_softmax_sums_to_one_with_many_classes():
    logits = np.random.default_rng(0).normal(scale=3, size=(64, 21_843)).astype(np.float32)
    assert softmax(logits).sum(axis=1, dtype=np.float64) == pytest.approx(1.0, abs=1e-6)


def test_softmax_has_the_textbook_values():
    assert softmax(np.log([1.0, 2.0, 5.0])) == pytest.approx([0.125, 0.25, 0.625])


@quick
@given(
    arrays(np.float64, (3, 5), elements=st.floats(-50, 50)),
    st.floats(-1e3, 1e3),
)
def test_softmax_ignores_a_shift(logits, shift):
    assert softmax(logits + shift) == pytest.approx(softmax(logits), abs=1e-6)


def test_the_seeds_confidence_of_3_7e18_is_a_probability():
    logits = np.zeros((1, 1000), dtype=np.float32)
    logits[0, 822], logits[0, 9] = 3.71521928e18, 5.85621e37
    probabilities = softmax(logits)
    assert probabilities[0, 9] == 1.0 and probabilities.sum() == 1.0
    logits[0, 9] = 0
    assert softmax(logits)[0, 822] == 1.0


def test_softmax_of_the_widest_range_does_not_overflow():
    huge = np.finfo(np.float64).max
    assert softmax(np.array([huge, -huge, 0.0]), 1e-300).tolist() == [1.0, 0.0, 0.0]


def test_softmax_leaves_its_argument_alone():
    logits = np.array([1.0, 2.0])
    softmax(logits, 2.0)
    assert logits.tolist() == [1.0, 2.0]


def test_a_higher_temperature_is_less_sure():
    logits = np.array([2.0, 1.0, 0.0])
    sure = [softmax(logits, t)[0] for t in (0.1, 1.0, 10.0, 1e9)]
    assert sure == sorted(sure, reverse=True)
    assert sure[-1] == pytest.approx(1 / 3)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_must_be_above_zero(temperature):
    with pytest.raises(UsageError, match="temperature"):
        softmax(np.zeros(3), temperature)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_softmax_refuses_logits_that_are_not_finite_and_names_the_row(value):
    logits = np.zeros((5, 3), dtype=np.float32)
    logits[3, 1] = value
    assert finite_rows(logits).tolist() == [True, True, True, False, True]
    with pytest.raises(ModelError, match="row 3 of 5"):
        softmax(logits)


@pytest.mark.parametrize("shape", [(), (0,), (4, 0)])
def test_softmax_needs_classes(shape):
    with pytest.raises(UsageError, match="shape"):
        softmax(np.zeros(shape))


def test_softmax_of_an_empty_batch_is_empty():
    assert softmax(np.zeros((0, 3))).shape == (0, 3)


@quick
@given(arrays(np.float32, st.integers(1, 30), elements=st.sampled_from([0, 0.25, 0.5, 1])))
def test_top_k_is_descending_and_stable(probabilities):
    expected = sorted(range(len(probabilities)), key=lambda i: (-probabilities[i], i))
    for k in (1, 5, 100):
        assert top_k(probabilities, k).tolist() == expected[:k]


def test_top_k_needs_a_k():
    with pytest.raises(UsageError, match="k is 0"):
        top_k(np.ones(3), 0)


def test_a_prediction_names_its_answers_best_first():
    prediction = answer()
    assert [name for name, _ in prediction.top] == ["green", "blue", "red"]
    assert prediction.top_k(1) == [prediction.best] == [("green", 0.5)]
    assert prediction.index == 1
    assert prediction.ranked(2)[1] == (2, pytest.approx(0.3))


def test_of_equal_probabilities_the_lower_index_is_best_and_first():
    prediction = answer((0.25, 0.375, 0.375))
    assert prediction.index == 1
    assert [name for name, _ in prediction.top] == ["green", "blue", "red"]


def test_a_prediction_keeps_its_array_without_a_copy_and_read_only():
    batch = np.full((2, 3), 1 / 3, dtype=np.float32)
    prediction = Prediction("a", COLOURS, batch[0], None, "answered")
    assert np.shares_memory(prediction.probabilities, batch)
    with pytest.raises(ValueError, match="read-only"):
        prediction.probabilities[0] = 1
    batch[1] = 0  # the other rows stay the caller's own


def test_a_prediction_cannot_be_changed():
    with pytest.raises(AttributeError):
        answer().source = "other.jpg"
    assert not hasattr(answer(), "__dict__")


def test_a_refused_picture_has_no_answer_and_says_why():
    assert (refusal().top, refusal().ranked(3)) == ([], [])
    with pytest.raises(ImageRefused, match="truncated JPEG") as caught:
        _ = refusal().best
    assert caught.value.path == "b.jpg"


def test_a_failed_picture_says_that_the_model_is_to_blame():
    with pytest.raises(ModelError, match="no finite logits"):
        _ = refusal("failed", "no finite logits").index


def test_a_prediction_shows_its_answer_or_its_reason():
    assert repr(answer()) == "<Prediction 'a/b.jpg': 'green' 50.0 %>"
    assert repr(refusal()) == "<Prediction 'b.jpg': refused, truncated JPEG>"


@pytest.mark.parametrize(
    ("values", "error", "status"),
    [
        (None, None, "answered"),
        (None, None, "refused"),
        (np.ones(1, np.float32), "broken", "answered"),
        (np.ones(1, np.float32), "broken", "failed"),
        (None, "broken", "answered"),
    ],
)
def test_a_prediction_is_an_answer_or_an_error_never_both_or_neither(values, error, status):
    with pytest.raises(UsageError, match="or else an error"):
        Prediction("a", ("one",), values, error, status)


@pytest.mark.parametrize(
    "values", [(np.nan, 0.5, 0.5), (0.5, 0.5, 0.5), (-0.5, 0.5, 1), (0, 0, 3.7e18), (np.inf, 0, 0)]
)
def test_what_is_not_a_distribution_is_not_an_answer(values):
    with pytest.raises(ModelError, match=r"a/b\.jpg.*expected 0..1 and a sum of 1"):
        answer(values)


def test_as_many_values_as_class_names():
    with pytest.raises(ModelError, match="3 values for 2 class names"):
        answer(classes=("red", "green"))
    with pytest.raises(ModelError, match="0 values for 0 class names"):
        answer((), ())


@pytest.mark.parametrize("values", [np.ones(1), np.ones((1, 1), np.float32)])
def test_probabilities_are_one_row_of_float32(values):
    with pytest.raises(UsageError, match=r"expected \(K,\) float32"):
        Prediction("a", ("one",), values, None, "answered")


def test_the_record_of_an_answer():
    assert answer().to_record(2, model="abc") == {
        "path": "a/b.jpg",
        "status": "answered",
        "top": [
            {"class_index": 1, "class_name": "green", "probability": 0.5},
            {"class_index": 2, "class_name": "blue", "probability": 0.300000012},
        ],
        "model": "abc",
    }


def test_the_record_of_a_refusal():
    expected = {"path": "b.jpg", "status": "refused", "reason": "truncated JPEG", "model": "abc"}
    assert refusal().to_record(model="abc") == expected


@quick
@given(st.floats(0, 1, width=32))
def test_nine_digits_read_back_as_the_same_float32(probability):
    text = json.dumps(nine_digits(probability))
    assert np.float32(json.loads(text)) == np.float32(probability)
    assert len(text.split("e")[0].replace(".", "").lstrip("0")) <= 9
