import numpy as np
import pytest

from ghostkit.backend import Backend, FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.convert.budget import accuracy_judge, agreement_judge
from ghostkit.convert.int8_search import _judge_for
from ghostkit.convert.requested import Request
from ghostkit.dataset import open_dataset
from ghostkit.errors import DatasetError
from ghostkit.progress import silent
from networks import save_colours
from tiny import tiny_card, write_bad


class Blind(Backend):
    """Takes blue for red, and otherwise answers right."""

    name = "blind"

    def infer(self, images):
        means = FakeBackend().infer(images)
        return np.stack([means[:, 0] + means[:, 2], means[:, 1], means[:, 2]], axis=1)


@pytest.fixture
def photos(tmp_path):
    save_colours(tmp_path / "photos", 4, seed=0)
    return tmp_path / "photos"


def classifier(backend):
    return Classifier(backend, tiny_card())


def test_lost_points_are_those_of_accuracy_on_the_same_pictures(photos):
    judge = accuracy_judge(classifier(FakeBackend()), open_dataset(photos), 33.3)
    assert judge.source.top1.hits == 12
    same = judge.judge(classifier(FakeBackend()))
    assert (same.loss_points, same.agreement, same.inside) == (0, 1, True)
    blind = judge.judge(classifier(Blind()))
    assert blind.loss_points == pytest.approx(100 / 3) and not blind.inside
    assert blind.agreement == pytest.approx(2 / 3)
    assert blind.evaluation.top1.hits == 8
    assert judge.measured_on == "top-1 accuracy on 12 pictures of photos"


def test_a_loss_of_exactly_the_budget_is_inside(photos):
    judge = accuracy_judge(classifier(FakeBackend()), open_dataset(photos), 100 / 3)
    assert judge.judge(classifier(Blind())).inside


def test_a_candidate_that_is_better_loses_less_than_nothing(photos):
    verdict = accuracy_judge(classifier(Blind()), open_dataset(photos), 0).judge(
        classifier(FakeBackend())
    )
    assert verdict.loss_points == pytest.approx(-100 / 3) and verdict.inside


def test_without_labels_a_changed_answer_counts_even_if_it_was_wrong(photos):
    pictures = [sample.path for sample in open_dataset(photos).samples]
    judge = agreement_judge(classifier(Blind()), pictures, 1)
    assert judge.source is None and "12 held-out" in judge.measured_on
    assert judge.judge(classifier(FakeBackend())).loss_points == pytest.approx(100 / 3)


class Broken(Backend):
    """Answers red and blue pictures right and gives nan for a green one, or for every one."""

    name = "broken"

    def __init__(self, *, wholly=False):
        self.wholly = wholly

    def infer(self, images):
        means = FakeBackend().infer(images)
        means[self.wholly | (means.argmax(axis=1) == 1)] = np.nan
        return means


def test_an_answer_that_a_candidate_lost_is_wrong_and_named(photos):
    write_bad(photos / "red")
    judge = accuracy_judge(classifier(FakeBackend()), open_dataset(photos), 0.5)
    assert len(judge.unanswered) == 5
    verdict = judge.judge(classifier(Broken()))
    assert verdict.loss_points == pytest.approx(100 / 3) and not verdict.inside
    assert len(verdict.unanswered) == 5 + 4
    silent = judge.judge(classifier(Broken(wholly=True)))
    assert silent.loss_points == 100 and not silent.inside


def test_pictures_that_cannot_be_read_do_not_judge(photos):
    write_bad(photos / "bad")
    bad = sorted(map(str, (photos / "bad").iterdir()))
    good = [str(photos / "red" / "0.png")]
    judge = agreement_judge(classifier(FakeBackend()), bad + good, 0)
    verdict = judge.judge(classifier(FakeBackend()))
    assert (verdict.images, verdict.agreement) == (1, 1)
    with pytest.raises(
        DatasetError, match="none of the 5 pictures .*; the first: .*cut.jpg: trunc"
    ):
        agreement_judge(classifier(FakeBackend()), bad, 0)


def test_photos_that_the_source_has_learned_are_told(photos, tmp_path):
    card, said = tiny_card(), []
    learned = {"data": "photos", "data_fingerprint": open_dataset(photos).fingerprint}
    trained = card.provenance.model_copy(update=learned)
    source = Classifier(FakeBackend(), card.model_copy(update={"provenance": trained}))
    request = Request(
        model=tmp_path,
        output=tmp_path,
        find_pictures=lambda: (),
        max_drop=1.0,
        overwrite=False,
        bars=silent,
        say=said.append,
        data=photos,
    )
    _judge_for(request, source, None)
    assert any("trained on these very photos" in line for line in said)
