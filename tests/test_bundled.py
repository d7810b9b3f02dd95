import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

import ghostkit
import ghostkit.bundled
from ghostkit.bundled import SHA256, default_model, default_weights, unpack_some, unpack_trashnet
from ghostkit.dataset import open_dataset
from ghostkit.errors import DatasetError, OutputError


@pytest.fixture(scope="module")
def unpacked_once(tmp_path_factory):
    return unpack_trashnet(tmp_path_factory.mktemp("bundled"))


@pytest.fixture
def trashnet(unpacked_once, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(unpacked_once, tmp_path / unpacked_once.name)


def test_the_six_classes_are_there(unpacked_once):
    data = open_dataset(unpacked_once)
    counts = dict(zip(data.classes, data.counts.tolist(), strict=True))
    assert counts == {
        "cardboard": 403,
        "glass": 501,
        "metal": 410,
        "paper": 594,
        "plastic": 482,
        "trash": 137,
    }
    assert data.skipped == () and data.name == "trashnet-112"


def test_some_are_of_every_class_and_the_same_bytes(unpacked_once, tmp_path):
    some = open_dataset(unpack_some(tmp_path, 96))
    assert 90 <= len(some) <= 100
    shares = some.counts / len(some)
    assert np.abs(shares - open_dataset(unpacked_once).counts / 2527).max() < 0.02
    path = Path(some.samples[7].path)
    assert path.read_bytes() == (unpacked_once / path.parent.name / path.name).read_bytes()


def test_pythons_without_filters_for_archives_unpack_too(tmp_path, unpacked_once, monkeypatch):
    newer = tarfile.TarFile.extractall
    monkeypatch.setattr(
        tarfile.TarFile,
        "extractall",
        lambda tar, path, members=None: newer(tar, path, members, filter="data"),
    )
    monkeypatch.delattr(tarfile, "data_filter")  # as before Python 3.11.4
    found = unpack_trashnet(tmp_path)
    assert len(list(found.rglob("*.jpg"))) == len(list(unpacked_once.rglob("*.jpg")))


def test_a_second_call_changes_nothing(trashnet):
    (trashnet / ".DS_Store").touch()  # a file of the user's
    before = {path: path.stat().st_mtime_ns for path in trashnet.rglob("*")}
    assert unpack_trashnet(trashnet.parent) == trashnet
    assert before == {path: path.stat().st_mtime_ns for path in trashnet.rglob("*")}


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_spoilt_folder_is_named_and_left_alone(trashnet, spoil):
    spoil(trashnet / "glass" / "glass1.jpg")
    with pytest.raises(DatasetError, match="1 of its 2527 pictures.*'glass/glass1.jpg'"):
        unpack_trashnet(trashnet.parent)
    assert (trashnet / "glass" / "glass2.jpg").exists()


def test_an_interrupted_unpack_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpack_trashnet(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_first_is_no_error(tmp_path, unpacked_once, monkeypatch):
    def too_late(_, target):
        shutil.copytree(unpacked_once, target)
        raise FileExistsError(17, "File exists", str(target))

    monkeypatch.setattr(os, "rename", too_late)
    assert unpack_trashnet(tmp_path) == tmp_path / "trashnet-112"
    assert [path.name for path in tmp_path.iterdir()] == ["trashnet-112"]


def test_a_damaged_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ghostkit.bundled, "SHA256", "0" * 64)
    with pytest.raises(DatasetError, match=f"damaged: its sha256 is {SHA256}"):
        unpack_trashnet(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot unpack the bundled photos to .*file"):
        unpack_trashnet(tmp_path / "file" / "below")


def test_the_licence_is_beside_the_photos():
    text = (Path(ghostkit.bundled.__file__).parent / "TRASHNET-LICENSE.txt").read_text()
    for part in ("MIT License", "Copyright (c) 2017 Gary Thung", "Mindy Yang", SHA256):
        assert part in text


@pytest.mark.data
def test_the_archive_is_the_one_of_the_manifest(data_root):
    archive = Path(ghostkit.bundled.__file__).parent / ghostkit.bundled.ARCHIVE
    assert archive.read_bytes() == (data_root / "trashnet-112.tar.gz").read_bytes()


def test_the_bundled_weights_load_whole_and_their_card_says_what_they_are():
    pytest.importorskip("torch")
    from ghostkit.train.network.architectures import build_carded
    from ghostkit.train.network.carded import read_carded
    from ghostkit.train.published.catalogue import resolve

    path = resolve("default")
    assert path == default_weights()
    assert path.stat().st_size < 12_000_000
    weights, card = read_carded(path)
    model = build_carded(card, weights, str(path))
    assert sum(p.numel() for p in model.parameters()) == 3_901_508 + 1281 * len(card.classes)
    assert "Tiny ImageNet" in card.provenance.note
    [measured] = card.measurements
    assert 0 < measured.top1_low < measured.top1 < measured.top1_high < 1
    assert "/" not in str(card.provenance.recipe.get("teacher", "")).removeprefix("recipes/")


def test_the_bundled_model_answers_as_torch_does_with_the_bundled_weights(unpacked_once):
    pytest.importorskip("torch")
    with_torch, with_onnx = ghostkit.load(default_weights()), ghostkit.load()
    assert with_torch.backend.name == "torch cpu" and "onnxruntime" in with_onnx.backend.name
    assert with_torch.card == with_onnx.card
    pictures = sorted(unpacked_once.glob("*/*1.jpg"))[::16]
    a, b = (
        np.stack([x.logits for x in each.answers(pictures)]) for each in (with_torch, with_onnx)
    )
    assert len(pictures) > 10 and np.abs(a).max() > 1
    np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max())
    assert (a.argmax(1) == b.argmax(1)).all()


def test_the_graph_adds_little_to_the_weights_and_every_class_has_a_title():
    assert default_model().stat().st_size < 300_000
    card = ghostkit.load("default").card
    titles = dict(zip(card.classes, card.titles, strict=True))
    assert (titles["n01443537"], titles["n07753592"]) == ("goldfish", "banana")
    assert len(titles) == len(set(titles.values())) == 200
