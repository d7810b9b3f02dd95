import numpy as np
import pytest

from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.convert import calibration
from ghostkit.convert.calibration import read_calibration
from ghostkit.errors import DatasetError
from networks import save_colours
from tiny import tiny_card, write_bad

CLASSIFIER = Classifier(FakeBackend(), tiny_card())


def test_half_of_the_pictures_are_held_out_and_every_class_is_in_both_halves(tmp_path):
    save_colours(tmp_path, 12, seed=0)
    read = read_calibration(CLASSIFIER, tmp_path)
    assert read.images.shape == read.compared.shape == (18, 3, 8, 8)
    assert len(read.held_out) == 18 and read.refused == ()
    for half in (read.images, read.compared):
        assert set(half.mean(axis=(2, 3)).argmax(axis=1)) == {0, 1, 2}
    fitted = {picture.tobytes() for picture in read.images}
    assert not fitted & {picture.tobytes() for picture in read.compared}


def test_of_many_pictures_a_bounded_number_is_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "FITTED", 16)
    monkeypatch.setattr(calibration, "COMPARED", 16)
    monkeypatch.setattr(calibration, "HELD_OUT", 30)
    save_colours(tmp_path, 20, seed=0)
    read = read_calibration(CLASSIFIER, tmp_path)
    assert (len(read.images), len(read.compared), len(read.held_out)) == (16, 16, 30)


def test_the_fingerprint_is_of_the_pictures_bytes(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_colours(tmp_path / name, 12, seed=seed)
    a, b, c = (read_calibration(CLASSIFIER, tmp_path / name).fingerprint for name in "abc")
    assert a == b != c


def test_corrupt_pictures_are_left_out_and_named(tmp_path):
    save_colours(tmp_path, 12, seed=0)
    write_bad(tmp_path / "bad")
    read = read_calibration(CLASSIFIER, tmp_path)
    assert len(read.refused) == 5
    assert len(read.images) + len(read.compared) == 36
    assert np.isfinite(read.images).all()
    assert not any("/bad/" in path for path in read.held_out)


def test_too_few_are_refused_with_the_first_reason(tmp_path):
    save_colours(tmp_path, 10, seed=0)
    write_bad(tmp_path / "bad")
    with pytest.raises(DatasetError, match=r"30 of 35 pictures .* at least 32 are needed; 5 were"):
        read_calibration(CLASSIFIER, tmp_path)
