"""A data set packed into a store, and read from there."""

import json

import pytest

from ghostkit.cli import run
from ghostkit.cloud.places import bring
from ghostkit.cloud.store import open_store
from ghostkit.dataset import open_dataset
from ghostkit.image import decode
from ghostkit.sources.members import parse_member
from squares import save_photos


@pytest.fixture
def packed(s3, tmp_path):
    photos = save_photos(tmp_path / "photos", 5, 2)
    target = s3.below("packed")
    assert run(["pack", str(photos), str(target), "--shard-mb", "1"]) == 0
    return photos, target


def test_only_the_lists_are_fetched_until_an_archive_is_read(packed):
    photos, target = packed
    keys = {entry.key.removeprefix(target.prefix) for entry in open_store(target).list("")}
    assert {"index.json", "train-000000.tar", "train-000000.tar.members.json"} <= keys
    folder = bring(target)
    assert list(folder.glob("*.tar")) == []
    data = open_dataset(folder, "val")
    assert data.fingerprint == open_dataset(photos, "val").fingerprint
    decode(data.samples[0].path)
    assert [path.name for path in folder.glob("*.tar")] == ["val-000000.tar"]


def test_predict_reads_the_archives_as_a_stream(packed, make_model, tmp_path):
    _, target = packed
    output = tmp_path / "out.jsonl"
    line = ["predict", str(make_model()), f"{target}/*.tar", "-o", str(output)]
    assert run(line) == 0
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(answers) == 21
    for answer in answers:
        assert answer["path"].startswith(str(target))
        assert answer["path"].split("/")[-2] == answer["top"][0]["class_name"]


def test_evaluate_takes_packed_data_by_its_url(packed, make_model):
    _, target = packed
    assert run(["evaluate", str(make_model()), str(target)]) == 0


def test_an_order_of_archives_is_that_of_the_seed_and_holds_each_sample_once(packed):
    pytest.importorskip("torch")
    from ghostkit.train.pictures import loader
    from ghostkit.train.recipe import Recipe

    recipe = Recipe(batch_size=2, seed=3)
    archives = [f"{n % 20:02}.tar" for n in range(200)]
    orders = [
        sum(loader.batch_indices(200, recipe, epoch, archives=archives), []) for epoch in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(200))
    first = {archives[index] for index in orders[0][: 10 * loader.MIXED]}
    assert len(first) == loader.MIXED  # and not all twenty


@pytest.mark.slow
def test_training_from_the_store_equals_training_from_the_same_archives_here(packed, tmp_path):
    pytest.importorskip("torch")
    from ghostkit.cloud.stage import fetch
    from ghostkit.train.checkpoint import open_checkpoint
    from squares import quick_flags

    _, target = packed
    here = fetch(target, tmp_path / "here")
    for data, name in ((str(here), "local"), (str(target), "streamed")):
        line = ["train", data, "--run-folder", str(tmp_path / name), *quick_flags(epochs=2)]
        assert run(line) == 0
    local, streamed = (
        open_checkpoint(tmp_path / name / "last.pth.tar") for name in ("local", "streamed")
    )
    assert all(local.weights[key].equal(streamed.weights[key]) for key in local.weights)
    assert parse_member(open_dataset(here, "train").samples[0].path) is not None
