import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as reference

from ghostkit.errors import ModelError, UsageError
from ghostkit.metrics import (
    Accuracy,
    accuracy,
    compare_paired,
    confidence_bins,
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
    majority_baseline,
    mean_recall,
    negative_log_likelihood,
    per_class,
    top_k_hits,
    wilson_interval,
)

quick = settings(max_examples=60)


@st.composite
def answers(draw):
    """(predicted, targets, num_classes) of the same pictures; some classes may be absent."""
    num_classes = draw(st.integers(2, 8))
    pair = st.tuples(st.integers(0, num_classes - 1), st.integers(0, num_classes - 1))
    pairs = draw(st.lists(pair, min_size=1, max_size=60))
    predicted, targets = np.array(pairs).T
    return predicted, targets, num_classes


@st.composite
def certainties(draw):
    """(probabilities float64 (N, K), targets (N,)) with no probability near 0."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, num_classes = draw(st.integers(1, 60)), draw(st.integers(2, 8))
    raised = np.exp(generator.normal(size=(n, num_classes)))
    return raised / raised.sum(axis=1, keepdims=True), generator.integers(num_classes, size=n)


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 2, 0.0945, 0.9055)],
)
def test_wilson_interval_gives_the_published_values(successes, total, low, high):
    assert wilson_interval(successes, total) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_is_exact_at_its_edges():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 7)[0] == 0.0
    assert wilson_interval(7, 7)[1] == 1.0


@quick
@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_agrees_with_scipy(counts):
    successes, total = counts
    theirs = binomtest(successes, total).proportion_ci(0.95, method="wilson")
    ours = wilson_interval(successes, total)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert 0.0 <= ours[0] <= successes / total <= ours[1] <= 1.0


@pytest.mark.parametrize(("successes", "total"), [(3, 2), (-1, 2), (0, -1)])
def test_wilson_interval_refuses_impossible_counts(successes, total):
    with pytest.raises(UsageError, match=f"{successes} successes out of {total}"):
        wilson_interval(successes, total)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, math.nan])
def test_wilson_interval_refuses_a_confidence_in_percent(confidence):
    with pytest.raises(UsageError, match="confidence"):
        wilson_interval(1, 2, confidence)


def test_accuracy_reads_as_share_interval_and_counts():
    score = Accuracy.of(442, 506)
    assert str(score) == "87.4 % (84.2..90.0, 442 of 506)"
    assert score.value == 442 / 506


def test_accuracy_of_no_pictures_claims_nothing():
    nothing = accuracy(np.zeros(0, dtype=bool))
    assert (nothing.value, nothing.low, nothing.high) == (0.0, 0.0, 1.0)
    assert str(nothing) == "not measured (0 of 0)"


def test_accuracy_counts_the_hits():
    assert accuracy([True, False, True, True]) == Accuracy.of(3, 4)


def test_top_k_hits_counts_the_truth_among_the_best():
    logits = np.array([[0.1, 3.0, 2.0], [5.0, 1.0, 4.0]])
    targets = np.array([2, 2])
    assert top_k_hits(logits, targets, 1).tolist() == [False, False]
    assert top_k_hits(logits, targets, 2).tolist() == [True, True]


def test_top_k_hits_of_equal_values_favours_the_lower_index():
    logits = np.zeros((3, 3))
    targets = np.array([0, 1, 2])
    assert top_k_hits(logits, targets, 1).tolist() == [True, False, False]
    assert top_k_hits(logits, targets, 2).tolist() == [True, True, False]


def test_top_k_hits_with_fewer_classes_than_k_hits_always():
    assert top_k_hits(np.eye(3), np.array([2, 0, 1]), 5).all()


def test_top_k_hits_of_no_pictures_is_empty():
    assert top_k_hits(np.zeros((0, 3)), np.zeros(0, dtype=int), 5).shape == (0,)


def test_bins_say_how_sure_and_how_right_their_answers_are():
    probabilities = np.array([[0.95, 0.05], [0.05, 0.95], [0.45, 0.55], [0.9, 0.1]])
    found = confidence_bins(probabilities, np.array([0, 0, 1, 0]), bins=10)
    assert [each.pictures for each in found] == [0, 0, 0, 0, 0, 1, 0, 0, 1, 2]
    assert (found[9].low, found[9].high) == (0.9, 1.0)
    assert (found[9].confidence, found[9].accuracy) == (pytest.approx(0.95), 0.5)
    assert (found[5].confidence, found[5].accuracy) == (pytest.approx(0.55), 1.0)
    assert (found[0].confidence, found[0].accuracy) == (0.0, 0.0)


@quick
@given(certainties(), st.integers(1, 8))
def test_top_k_hits_agrees_with_scikit_learn(case, k):
    probabilities, targets = case
    num_classes = probabilities.shape[1]
    hits = top_k_hits(probabilities, targets, k)
    assert hits.dtype == bool
    if num_classes > 2 and k < num_classes:  # the reference warns or refuses otherwise
        labels = range(num_classes)
        theirs = reference.top_k_accuracy_score(targets, probabilities, k=k, labels=labels)
        assert hits.mean() == pytest.approx(theirs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_row(value):
    logits = np.zeros((4, 3))
    logits[2, 1] = value
    with pytest.raises(ModelError, match="row 2 of 4"):
        top_k_hits(logits, np.zeros(4, dtype=int), 1)


@pytest.mark.parametrize(
    ("logits", "targets", "k", "message"),
    [
        (np.zeros((2, 3)), np.array([0, 1]), 0, "k is 0"),
        (np.zeros(3), np.array([0]), 1, "shape"),
        (np.zeros((2, 3)), np.array([0]), 1, "2 rows for 1 truths"),
        (np.zeros((2, 3)), np.array([0, 3]), 1, r"0\.\.3: expected 0\.\.2"),
        (np.zeros((2, 3)), np.array([0, -1]), 1, r"-1\.\.0: expected 0\.\.2"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), 1, "float64"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(logits, targets, k, message):
    with pytest.raises(UsageError, match=message):
        top_k_hits(logits, targets, k)


def test_majority_baseline_is_the_most_frequent_class():
    assert majority_baseline(np.array([2, 0, 2, 2, 1]), 3) == Accuracy.of(3, 5)
    assert majority_baseline(np.zeros(0, dtype=int), 3).total == 0


def test_confusion_matrix_has_the_truth_in_rows():
    matrix = confusion_matrix(np.array([1, 1, 0]), np.array([0, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert matrix.dtype == np.int64


def test_confusion_matrix_needs_as_many_answers_as_truths():
    with pytest.raises(UsageError, match="2 answers for 1 truths"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)


@quick
@given(answers())
def test_the_per_class_table_agrees_with_scikit_learn(case):
    predicted, targets, num_classes = case
    labels = range(num_classes)
    matrix = confusion_matrix(predicted, targets, num_classes)
    assert (matrix == reference.confusion_matrix(targets, predicted, labels=labels)).all()
    theirs = reference.precision_recall_fscore_support(
        targets, predicted, labels=labels, zero_division=0
    )
    scores = per_class(predicted, targets, num_classes)
    ours = [(s.precision or 0, s.recall or 0, s.f1 or 0, s.support) for s in scores]
    assert np.array(ours) == pytest.approx(np.array(theirs).T)
    assert [s.index for s in scores] == list(labels)
    assert sum(s.answered for s in scores) == len(predicted)


@quick
@given(answers())
def test_the_means_over_classes_agree_with_scikit_learn(case):
    predicted, targets, num_classes = case
    scores = per_class(predicted, targets, num_classes)
    present = np.unique(targets)
    assert mean_recall(scores) == pytest.approx(
        reference.recall_score(targets, predicted, labels=present, average="macro")
    )
    assert macro_f1(scores) == pytest.approx(
        reference.f1_score(targets, predicted, labels=present, average="macro", zero_division=0)
    )


def test_a_class_without_a_photo_or_an_answer_has_no_share_of_them():
    absent, mistaken, silent = per_class(np.array([1, 1]), np.array([2, 2]), 3)
    assert (absent.precision, absent.recall, absent.f1) == (None, None, None)
    assert (mistaken.precision, mistaken.recall, mistaken.f1) == (0.0, None, None)
    assert (silent.precision, silent.recall, silent.f1) == (None, 0.0, 0.0)


@quick
@given(certainties())
def test_negative_log_likelihood_agrees_with_scikit_learn(case):
    probabilities, targets = case
    theirs = reference.log_loss(targets, probabilities, labels=range(probabilities.shape[1]))
    assert negative_log_likelihood(probabilities, targets) == pytest.approx(theirs)


def test_negative_log_likelihood_of_an_impossible_truth_is_finite():
    assert negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(87.3365)


def test_calibration_error_of_a_model_as_right_as_it_is_sure_is_zero():
    probabilities = np.tile([0.75, 0.25], (4, 1))
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.0)


def test_calibration_error_of_a_sure_and_wrong_model_is_one():
    assert expected_calibration_error(np.eye(2), np.array([1, 0])) == pytest.approx(1.0)


def test_calibration_error_weighs_each_bin_by_its_pictures():
    probabilities = np.array([[0.9, 0.1]] * 3 + [[0.6, 0.4]])
    gap = expected_calibration_error(probabilities, np.array([0, 0, 1, 1]), bins=10)
    assert gap == pytest.approx(3 / 4 * (0.9 - 2 / 3) + 1 / 4 * 0.6)


@quick
@given(certainties(), st.integers(1, 20))
def test_calibration_error_agrees_with_its_definition(case, bins):
    probabilities, targets = case
    gap = 0.0
    for i in range(bins):
        confidence = probabilities.max(axis=1)
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            right = (probabilities.argmax(axis=1) == targets)[inside]
            gap += inside.mean() * abs(right.mean() - confidence[inside].mean())
    assert expected_calibration_error(probabilities, targets, bins) == pytest.approx(gap)


def test_metrics_of_no_pictures_are_zero():
    nothing = np.zeros((0, 3)), np.zeros(0, dtype=int)
    assert expected_calibration_error(*nothing) == 0.0
    assert negative_log_likelihood(*nothing) == 0.0
    scores = per_class(nothing[1], nothing[1], 3)
    assert (macro_f1(scores), mean_recall(scores)) == (0.0, 0.0)


def test_compare_paired_counts_the_four_cases():
    result = compare_paired([1, 1, 1, 0, 0], [1, 0, 1, 1, 0])
    assert (result.both, result.only_a, result.only_b, result.neither) == (2, 1, 1, 1)
    assert (result.total, result.difference, result.p_value) == (5, 0.0, 1.0)


def test_compare_paired_of_equal_models_sees_no_difference():
    assert compare_paired([], []).p_value == 1.0
    assert compare_paired([True] * 9, [True] * 9).p_value == 1.0


@quick
@given(st.integers(0, 400), st.integers(0, 400))
def test_compare_paired_is_the_exact_binomial_test(only_a, only_b):
    a = np.arange(only_a + only_b) < only_a
    result = compare_paired(a, ~a)
    theirs = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert result.p_value == pytest.approx(theirs, rel=1e-9)


def test_compare_paired_of_many_pictures_does_not_overflow():
    a = np.arange(50_000) < 20_000
    assert compare_paired(a, ~a).p_value == 0.0


def test_compare_paired_needs_the_same_pictures():
    with pytest.raises(UsageError, match="same pictures"):
        compare_paired([True], [True, False])
