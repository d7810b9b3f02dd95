import csv
import json

import numpy as np
import pytest

import ghostkit as package
from ghostkit.dataset import open_dataset
from ghostkit.verify import compare
from tiny import RED, save_square, tiny_card


@pytest.fixture
def photos(tmp_path):
    """Pictures of every hue, labelled by their strongest channel, but every sixth wrongly."""
    rng = np.random.default_rng(0)
    names = ("red", "green", "blue")
    for number in range(90):
        color = rng.integers(0, 256, 3)
        strongest = int(color.argmax())
        name = names[(strongest + 1) % 3 if number % 6 == 0 else strongest]
        save_square(tmp_path / "photos" / name / f"{number}.png", tuple(map(int, color)))
    return tmp_path / "photos"


def test_a_calibrated_model_gives_the_same_answers_with_other_probabilities(
    ghostkit, make_model, photos, tmp_path
):
    model, target = make_model(), tmp_path / "calibrated.onnx"
    outcome = ghostkit("calibrate", model, photos, "-o", target)
    assert outcome.status == 0, outcome.err
    assert "threshold" not in outcome.out and "temperature" in outcome.out
    before, after = package.load(model), package.load(target)
    assert after.card.output.temperature != 1.0
    assert after.card.provenance.parents == (before.card.hash,)
    pictures = sorted(map(str, photos.rglob("*.png")))
    agreement = compare(before, after, pictures)
    assert agreement.top1_agreement == 1.0 and agreement.max_logit_difference == 0
    assert any("divides its logits by the temperature" in note for note in agreement.notes)

    def error(path):
        record = json.loads(ghostkit("evaluate", path, photos, "--json").out)
        return record["calibration_error"], record["loss"]

    assert error(target) < error(model)
    again = ghostkit("calibrate", model, photos, "-o", target)
    assert again.status == 2 and "exists" in again.err


def test_a_list_is_the_folder(ghostkit, make_model, photos, tmp_path):
    labels, names = tmp_path / "labels.csv", tmp_path / "names.txt"
    names.write_text("green\nblue\nred\n")
    indices = {"green": 0, "blue": 1, "red": 2}
    rows = [f"{path},{indices[path.parent.name]}\n" for path in sorted(photos.rglob("*.png"))]
    labels.write_text("path,label\n" + "".join(rows))
    options = ("--labels", labels, "--classes", names)
    common = ("calibrate", make_model(), photos, "--json", "-o")
    records = [
        json.loads(ghostkit(*common, tmp_path / f"{len(more)}.onnx", *more).out)
        for more in ((), options)
    ]
    assert records[0]["temperature"] == pytest.approx(records[1]["temperature"])
    assert records[0]["images"] == records[1]["images"] == 90


def test_an_answer_below_the_threshold_is_not_accepted_anywhere(
    ghostkit, make_model, photos, tmp_path
):
    target = tmp_path / "calibrated.onnx"
    strangers = save_square(tmp_path / "others" / "grey.png", (99, 99, 99)).parent
    arguments = ("--keep", 0.8, "--unknown", strangers, "--json")
    outcome = ghostkit("calibrate", make_model(), photos, "-o", target, *arguments)
    assert outcome.status == 0, outcome.err
    record = json.loads(outcome.out)["rejection"]
    assert record["refused"]["hits"] == 1
    classifier = package.load(target)
    assert classifier.card.output.reject_threshold == pytest.approx(record["threshold"])
    assert classifier.card.result_columns == ("accepted",)

    grey, red = strangers / "grey.png", save_square(tmp_path / "red.png", RED)
    assert (classifier(grey).accepted, classifier(red).accepted) == (False, True)
    printed = ghostkit("predict", target, grey, red).out.splitlines()
    assert "not accepted: " in printed[0] and "not accepted" not in printed[1]
    for kind in ("csv", "jsonl"):
        ghostkit("predict", target, grey, red, "-o", tmp_path / f"out.{kind}")
    with open(tmp_path / "out.csv", newline="") as stream:
        assert [row["accepted"] for row in csv.DictReader(stream)] == ["no", "yes"]
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["accepted"] for line in lines] == [False, True]
    evaluated = json.loads(ghostkit("evaluate", target, photos, "--json").out)
    assert evaluated["accepted"]["value"] >= 0.8
    assert evaluated["accepted_top1"]["total"] == evaluated["accepted"]["hits"]
    assert "accepted answers" in ghostkit("evaluate", target, photos).out


def test_parquet_has_what_is_accepted(ghostkit, make_model, photos, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "calibrated.onnx"
    ghostkit("calibrate", make_model(), photos, "-o", target, "--accuracy", 0.9)
    ghostkit("predict", target, photos, "-o", tmp_path / "out.parquet")
    accepted = parquet.read_table(tmp_path / "out.parquet")["accepted"].to_pylist()
    assert len(accepted) == 90 and set(accepted) == {True, False}


def test_a_model_without_a_threshold_says_nothing_of_it(ghostkit, make_model, photos, tmp_path):
    classifier = package.load(make_model())
    assert classifier(save_square(tmp_path / "r.png", RED)).accepted is None
    ghostkit("predict", make_model(), photos, "-o", tmp_path / "out.csv")
    assert "accepted" not in (tmp_path / "out.csv").read_text()


def test_the_photos_that_training_held_out_are_taken(ghostkit, make_model, photos, tmp_path):
    card = tiny_card()
    recipe = {"val_split": 0.3}
    trained = card.provenance.model_copy(
        update={"data": "photos/train", "recipe": recipe, "seed": 5}
    )
    model = make_model("own.onnx", card.model_copy(update={"provenance": trained}).to_json())
    target = tmp_path / "calibrated.onnx"
    arguments = ("--json", "--overwrite", "-o", target)
    whole = ghostkit("calibrate", model, photos, *arguments)
    assert json.loads(whole.out)["images"] == 90
    assert "the model was trained on photos/train, and these may be the same photos" in whole.err
    assert "--val-split 0.3 --seed 5" in whole.err
    held = ghostkit("calibrate", model, photos, *arguments, "--val-split", 0.3, "--seed", 5)
    assert held.status == 0 and "may be the same" not in held.err
    assert "pictures are held out for validation (seed 5" in held.err
    split = open_dataset(photos, "val", val_split=0.3, seed=5)
    assert json.loads(held.out)["images"] == len(split) < 40


def test_where_every_answer_is_right_a_threshold_can_be_chosen_and_no_temperature(
    ghostkit, make_model, tmp_path
):
    colors = {"red": RED, "green": (0, 255, 0), "blue": (0, 0, 255)}
    for name, color in colors.items():
        for number in range(8):
            save_square(tmp_path / "easy" / name / f"{number}.png", color, (20, 16 + number))
    target = tmp_path / "calibrated.onnx"
    outcome = ghostkit("calibrate", make_model(), tmp_path / "easy", "-o", target)
    assert outcome.status == 2 and not target.exists()
    assert "each of 24 answers is right, so no temperature can be told" in outcome.err
    strangers = save_square(tmp_path / "others" / "grey.png", (99, 99, 99)).parent
    arguments = ("-o", target, "--unknown", strangers)
    outcome = ghostkit("calibrate", make_model(), tmp_path / "easy", *arguments, "--json")
    assert outcome.status == 0 and "the lower, the likelier; it stays 1" in outcome.err
    record = json.loads(outcome.out)
    assert record["temperature"] is None and record["rejection"]["refused"]["hits"] == 1
    output = package.load(target).card.output
    assert output.temperature == 1 and 0.3 < output.reject_threshold < 0.9


def test_a_train_part_alone_is_refused(ghostkit, make_model, photos, tmp_path):
    (tmp_path / "parted").mkdir()
    photos.rename(tmp_path / "parted" / "train")
    target = tmp_path / "calibrated.onnx"
    outcome = ghostkit("calibrate", make_model(), tmp_path / "parted", "-o", target)
    assert "it has a train part only" in outcome.error and not target.exists()
    split = ("--val-split", 0.3)
    assert (
        ghostkit("calibrate", make_model(), tmp_path / "parted", "-o", target, *split).status == 0
    )


def test_a_threshold_that_is_not_chosen_anew_is_dropped_and_that_is_said(
    ghostkit, make_model, photos, tmp_path
):
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    ghostkit("calibrate", make_model(), photos, "-o", first, "--keep", 0.8)
    threshold = package.load(first).card.output.reject_threshold
    outcome = ghostkit("calibrate", first, photos, "-o", second)
    assert f"the threshold {threshold:g} of {first} is dropped" in outcome.err
    assert package.load(second).card.output.reject_threshold is None
    again = ghostkit("calibrate", first, photos, "-o", second, "--keep", 0.7, "--overwrite")
    assert "dropped" not in again.err


def test_a_chosen_threshold_needs_no_photos_and_leaves_the_temperature(
    ghostkit, make_model, photos, tmp_path
):
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    ghostkit("calibrate", make_model(), photos, "-o", first)
    before = package.load(first).card
    outcome = ghostkit("calibrate", first, "-o", second, "--threshold", 0.7, "--json")
    assert outcome.status == 0, outcome.err
    temperature = before.output.temperature
    assert json.loads(outcome.out) == {"threshold": 0.7, "temperature": temperature}
    after = package.load(second).card
    assert after.output == before.output.model_copy(update={"reject_threshold": 0.7})
    assert after.provenance.parents[-1] == before.hash
    picture = save_square(tmp_path / "grey.png", (99, 99, 99))
    assert package.load(second)(picture).accepted is False
    again = ghostkit("calibrate", first, photos, "-o", tmp_path / "x", "--threshold", 0.7)
    assert "--threshold is taken as it is, and needs no data: leave it out" in again.err
    again = ghostkit("calibrate", first, "-o", tmp_path / "x", "--threshold", 0.7, "--keep", 0.9)
    assert "needs no --keep: leave it out" in again.err
    assert (
        "name the labelled photos, DATA" in ghostkit("calibrate", first, "-o", tmp_path / "x").err
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--keep", 0.9, "--accuracy", 0.9), "--keep and --accuracy each choose"),
        (("--keep", 0), "greater than or equal to 0.01"),
    ],
)
def test_what_cannot_be_done_is_said(ghostkit, make_model, photos, tmp_path, arguments, words):
    outcome = ghostkit("calibrate", make_model(), photos, "-o", tmp_path / "out.onnx", *arguments)
    assert outcome.status == 2 and words in outcome.err
    assert not (tmp_path / "out.onnx").exists()


def test_a_model_that_cannot_be_calibrated_is_said(ghostkit, make_model, photos, tmp_path):
    card = json.loads(tiny_card().to_json())
    card["output"] = {"name": "logits", "kind": "probabilities"}
    gives = make_model("gives.onnx", json.dumps(card))
    outcome = ghostkit("calibrate", gives, photos, "-o", tmp_path / "out.onnx")
    assert outcome.status == 2 and "it gives probabilities" in outcome.err
    assert ghostkit("calibrate", gives, "-o", tmp_path / "a.onnx", "--threshold", 0.5).status == 0
    outcome = ghostkit("calibrate", "default", photos, "-o", tmp_path / "out.onnx")
    assert outcome.status == 2 and "its weights lie in another file" in outcome.err


def test_a_picture_without_an_answer_is_named(ghostkit, make_model, photos, tmp_path):
    (photos / "red" / "empty.png").write_bytes(b"")
    outcome = ghostkit("calibrate", make_model(), photos, "-o", tmp_path / "out.onnx")
    assert outcome.status == 1
    assert "no answer: " in outcome.err and "empty file" in outcome.err
    assert (tmp_path / "out.onnx").exists()
