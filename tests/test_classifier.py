import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ghostkit.artifacts import load
from ghostkit.backend import Backend, FakeBackend
from ghostkit.classifier import Classifier, picture_name
from ghostkit.errors import ImageRefused, ModelError, UsageError
from ghostkit.image import Limits
from ghostkit.steps import CenterCrop
from ghostkit.timing import StageTimes
from tiny import BLUE, GREEN, RED, save_square, tiny_card, write_bad, write_odd


class Answering(Backend):
    """A model that answers what a function says."""

    name = "test"

    def __init__(self, infer):
        self.infer = infer


def classifier(card=None, infer=None, **options):
    backend = FakeBackend() if infer is None else Answering(infer)
    return Classifier(backend, card or tiny_card(), **options)


def changed(part, **changes):
    """The tiny card with other fields in its input or output."""
    card = tiny_card()
    return card.model_copy(update={part: getattr(card, part).model_copy(update=changes)})


def names(predictions):
    return [p.best[0] if p.error is None else p.status for p in predictions]


@pytest.fixture
def mixed(tmp_path):
    """Good and bad pictures by turns: (paths, what is expected of each)."""
    bad = [tmp_path / "bad" / name for name in write_bad(tmp_path / "bad")]
    colors = {"red": RED, "green": GREEN, "blue": BLUE}
    good = [save_square(tmp_path / f"{name}.png", color) for name, color in colors.items()]
    paths, expected = [], []
    for i in range(23):
        paths += [good[i % 3], bad[i % len(bad)]]
        expected += [list(colors)[i % 3], "refused"]
    return [*paths, tmp_path / "missing.jpg"], [*expected, "refused"]


def test_a_path_bytes_and_pixels_of_one_picture_have_one_answer(tmp_path):
    path = save_square(tmp_path / "垃 圾.png", GREEN)
    pixels = np.asarray(Image.open(path))
    answers = [classifier()(each) for each in (path, str(path), path.read_bytes(), pixels)]
    assert [a.best for a in answers] == [("green", pytest.approx(0.576, abs=1e-3))] * 4
    assert [a.source for a in answers] == [str(path), str(path), "<bytes>", "<array>"]


def test_odd_pictures_are_answered(tmp_path):
    paths = write_odd(tmp_path)
    assert len(paths) == 6
    assert names(classifier().stream(paths)) == ["red"] * 6


def test_each_bad_picture_is_refused_with_its_reason(tmp_path):
    reasons = write_bad(tmp_path)
    predictions = list(classifier().stream(tmp_path / name for name in reasons))
    assert [p.status for p in predictions] == ["refused"] * len(reasons)
    for prediction, words in zip(predictions, reasons.values(), strict=True):
        assert words in prediction.error
        assert prediction.probabilities is None


def test_one_bad_picture_raises_with_its_name_and_reason(tmp_path):
    with pytest.raises(ImageRefused, match="gone.jpg: file not found") as caught:
        classifier()(tmp_path / "gone.jpg")
    assert caught.value.path == str(tmp_path / "gone.jpg")
    with pytest.raises(ImageRefused, match="<bytes>: empty file"):
        classifier()(b"")


def test_a_picture_that_has_no_place_in_the_steps_is_refused_by_its_own_name(tmp_path):
    card = tiny_card().model_copy(update={"steps": (CenterCrop(size=(8, 8)),)})
    path = save_square(tmp_path / "small.png", RED, (7, 9))
    with pytest.raises(ImageRefused, match=r"small\.png: picture of 7x9 is smaller"):
        classifier(card)(path)


@pytest.mark.parametrize("wrong", [3, None, ["a.jpg"], {"path": "a.jpg"}, io.BytesIO(b"x")])
def test_what_is_no_picture_is_refused_by_its_type(wrong):
    kind = type(wrong).__name__
    with pytest.raises(ImageRefused, match=f"<{kind}>: not a path, bytes or pixels .* {kind}"):
        classifier()(wrong)


def test_answers_come_in_input_order_with_bad_pictures_between(mixed):
    paths, expected = mixed
    predictions = list(classifier().stream(paths, batch_size=4, workers=3))
    assert [p.source for p in predictions] == [str(path) for path in paths]
    assert names(predictions) == expected


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_no_answer_depends_on_batch_size_or_workers(make_model, batch_size, workers):
    generator = np.random.default_rng(0)
    sides = [(20, 16), (9, 40), (8, 8)]
    pictures = [generator.integers(0, 256, (*sides[i % 3], 3), np.uint8) for i in range(45)]
    pictures[10:10] = [b"", b"no picture"]
    model = load(make_model())
    expected = [None if isinstance(p, bytes) else model(p).probabilities for p in pictures]
    got = list(model.stream(pictures, batch_size=batch_size, workers=workers))
    assert [p.status for p in got] == ["answered"] * 10 + ["refused"] * 2 + ["answered"] * 35
    for prediction, alone in zip(got, expected, strict=True):
        if alone is not None:
            np.testing.assert_allclose(prediction.probabilities, alone, atol=1e-6, rtol=0)


def test_the_path_of_a_folder_is_its_pictures(tmp_path):
    for name, color in (("b10", BLUE), ("b2", GREEN), ("a/x", RED)):
        save_square(tmp_path / f"{name}.png", color)
    (tmp_path / "notes.txt").touch()
    for folder in (tmp_path, str(tmp_path)):
        assert names(classifier().stream(folder)) == ["red", "green", "blue"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no picture in"):
        classifier().stream(tmp_path / "empty")
    with pytest.raises(UsageError, match="mistyped': no such file or folder; check the path"):
        classifier().stream(tmp_path / "mistyped")


@pytest.mark.parametrize("one", [b"bytes", np.zeros((8, 8, 3), np.uint8), 3])
def test_one_picture_is_not_a_stream_of_its_rows_or_bytes(one):
    with pytest.raises(UsageError, match=f"not one {type(one).__name__}; .*in a list"):
        classifier().stream(one)


def test_a_stack_of_pixels_is_a_stream():
    stack = np.zeros((3, 9, 9, 3), np.uint8)
    for index in range(3):
        stack[index, ..., index] = 255
    assert names(classifier().stream(stack)) == ["red", "green", "blue"]


def test_a_source_is_read_as_it_is_answered():
    taken = []

    def pictures():
        for index in range(10**9):
            taken.append(index)
            yield np.zeros((8, 8, 3), np.uint8)

    stream = classifier().stream(pictures(), batch_size=2, workers=2)
    for _ in range(5):
        next(stream)
    stream.close()
    assert len(taken) < 40


@pytest.mark.parametrize("window", [1, 5])
def test_as_many_batches_are_read_ahead_as_the_window_says(window):
    taken = []

    def pictures():
        for index in range(10**9):
            taken.append(index)
            yield np.zeros((8, 8, 3), np.uint8)

    stream = classifier().stream(
        pictures(), batch_size=2, workers=2, window=window, schedule="pool"
    )
    next(stream)
    stream.close()
    assert len(taken) == 2 * window


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("pool", "2 threads decode, one infers batches of 3"),
        ("complete", "2 threads take batches of 3 from file to answer"),
    ],
)
def test_the_threads_share_the_work_as_the_caller_says(schedule, words):
    times, pictures = StageTimes(), np.zeros((7, 8, 8, 3), np.uint8)
    options = {"batch_size": 3, "workers": 2, "schedule": schedule, "times": times}
    assert len(list(classifier().stream(pictures, **options))) == 7
    assert times.schedule == words


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"workers": 0}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(UsageError, match="expected 1 or more"):
        classifier().stream([], **options)


def test_the_time_of_each_stage_is_noted(tmp_path):
    path, times = save_square(tmp_path / "a.png", RED), StageTimes()
    assert len(list(classifier().stream([path] * 5, times=times))) == 5
    assert times.images == 5
    assert times.prepare_s > 0


def test_a_picture_that_fails_in_the_model_is_named_and_the_others_are_answered():
    def fails_on_green(images):
        if (images[:, 1] > 0).any():
            raise ModelError("out of memory")
        return images.mean(axis=(2, 3))

    stack = np.zeros((3, 9, 9, 3), np.uint8)
    stack[0, ..., 0] = stack[1, ..., 1] = stack[2, ..., 2] = 255
    model = classifier(infer=fails_on_green)
    assert names(model.stream(stack)) == ["red", "failed", "blue"]
    with pytest.raises(ModelError, match="<array>: out of memory"):
        model(stack[1])


def test_a_logit_that_is_no_number_is_a_failure_and_no_answer():
    for value in (np.nan, np.inf):
        model = classifier(infer=lambda images, v=value: np.full((len(images), 3), v, np.float32))
        with pytest.raises(ModelError, match="<array>: the model gave nan or infinity"):
            model(np.zeros((8, 8, 3), np.uint8))


def test_the_temperature_of_the_card_softens_the_answer():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    expected = np.exp(0.5) / (np.exp(0.5) + 2)
    assert classifier(changed("output", temperature=2.0))(red).best[1] == pytest.approx(expected)


def test_outputs_that_the_card_calls_probabilities_are_taken_as_they_are_or_not_at_all():
    model = classifier(changed("output", kind="probabilities"))
    red, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    red[..., 0] = 255
    assert model(red).best == ("red", 1.0)
    [prediction] = model.stream([white])  # 1, 1, 1
    assert prediction.status == "failed"
    assert prediction.error.startswith("probabilities 1..1 sum to 3")
    rows = np.array([[0.5, 0.5, 0], [-0.5, 1, 0.5], [1, 1, 0]], np.float32)
    assert model.probabilities(rows[:1]).tolist() == [[0.5, 0.5, 0]]
    with pytest.raises(ModelError, match=r"probabilities -0.5..1 sum to 1:"):  # of the first wrong
        model.probabilities(rows)


def test_a_model_of_other_classes_than_its_card_fails_every_picture():
    model = classifier(infer=lambda images: np.zeros((len(images), 5), np.float32))
    with pytest.raises(ModelError, match="answers 5 classes, its card names 3; give the card"):
        model(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("changes", "infer"),
    [
        ({"color": "BGR"}, lambda images: images[:, ::-1].mean(axis=(2, 3))),
        ({"layout": "NHWC"}, lambda images: images.mean(axis=(1, 2))),
    ],
)
def test_the_model_gets_the_layout_and_colours_of_its_card(changes, infer):
    stack = np.zeros((3, 9, 9, 3), np.uint8)
    stack[0, ..., 0] = stack[1, ..., 1] = stack[2, ..., 2] = 255
    model = classifier(changed("input", **changes), infer)
    assert names(model.stream(stack)) == ["red", "green", "blue"]


def test_pictures_of_any_size_go_to_a_model_that_takes_any():
    card = tiny_card()
    card = card.model_copy(
        update={
            "steps": card.steps[2:],  # normalize alone
            "input": card.input.model_copy(update={"height": None, "width": None}),
        }
    )
    pictures = [np.full((side, 5, 3), (0, 255, 0), np.uint8) for side in (3, 5, 9)]
    assert names(classifier(card).stream(pictures)) == ["green"] * 3


def test_limits_are_the_callers():
    tight = classifier(limits=dataclasses.replace(Limits(), max_pixels=63))
    for each in (tight, tight.with_fast_decode()):
        with pytest.raises(ImageRefused, match="too many pixels"):
            each(np.zeros((8, 8, 3), np.uint8))


def test_names():
    class BytesPath:
        def __fspath__(self):
            return b"\xff.jpg"

    given = ["a", Path("b"), BytesPath(), b"", np.zeros(1), 3]
    expected = ["a", "b", "\udcff.jpg", "<bytes>", "<array>", "<int>"]
    assert [picture_name(each) for each in given] == expected


def test_a_refused_pictures_answer_holds_nothing_of_where_it_was_refused():
    """A job's answers wait for the writer; the frames would hold the picture's bytes."""
    classifier = Classifier(FakeBackend(), tiny_card())
    [answer] = classifier.answers([b"no picture"])
    assert isinstance(answer.error, ImageRefused) and answer.error.__traceback__ is None
