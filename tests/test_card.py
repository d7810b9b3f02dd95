import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ghostkit.card import (
    SCHEMA_VERSION,
    Architecture,
    Input,
    ModelCard,
    Provenance,
    read_sidecar,
    sidecar_path,
    write_sidecar,
)
from ghostkit.errors import CardError
from ghostkit.steps import CenterCrop, Normalize, Resize, evaluation_steps


def make_card(**changes: Any) -> ModelCard:
    content: dict[str, Any] = {
        "architecture": Architecture(width=1.0, stem_stride=2),
        "classes": ("cardboard", "glass", "metal"),
        "steps": evaluation_steps(240, 0.875),
        "input": Input(height=240, width=240),
    }
    return ModelCard(**(content | changes))


def changed(path: str, value: object) -> str:
    """The card's JSON with one value replaced; `path` like ``steps.0.short``."""
    content = json.loads(make_card().to_json())
    *way, last = path.split(".")
    here = content
    for part in way:
        here = here[int(part)] if part.isdigit() else here[part]
    here[last] = value
    return json.dumps(content)


def test_a_card_survives_json_and_keeps_its_hash():
    card = make_card()
    again = ModelCard.from_json(card.to_json(indent=2), "x")
    assert again == card
    assert again.hash == card.hash
    assert len(card.hash) == 64


@given(st.lists(st.text(max_size=20), min_size=2, max_size=6, unique=True))
def test_any_class_names_survive_json(names):
    names = [name.encode("utf-8", "replace").decode() for name in names]
    if len(set(names)) < len(names):
        return
    card = make_card(classes=tuple(names))
    assert ModelCard.from_json(card.to_json(), "x").classes == tuple(names)


def test_the_hash_changes_with_anything_an_answer_depends_on():
    hashes = {
        make_card().hash,
        make_card(classes=("glass", "cardboard", "metal")).hash,
        make_card(steps=evaluation_steps(240, 0.875, "bicubic")).hash,
        make_card(steps=(Resize(size=(240, 240)),)).hash,
        make_card(architecture=Architecture(width=1.3, stem_stride=2)).hash,
    }
    assert len(hashes) == 5


def test_the_key_order_of_the_json_does_not_change_the_hash():
    content = json.loads(make_card().to_json())
    backwards = json.dumps(dict(reversed(content.items())))
    assert ModelCard.from_json(backwards, "x").hash == make_card().hash


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("steps.0.short", "wide", "steps[0].short"),
        ("steps.2.std", [1, 1], "steps[2].std[2]"),
        ("steps.1.op", "crop", "steps[1]"),
        ("input.layout", "CHWN", "input.layout"),
        ("input.dtype", "float16", "input.dtype"),
        ("output.temperature", -1, "output.temperature"),
        ("classes", "glass", "classes"),
        ("architecture.width", 0, "architecture.width"),
    ],
)
def test_a_wrong_value_is_refused_with_the_path_of_its_key(path, value, named):
    with pytest.raises(CardError) as caught:
        ModelCard.from_json(changed(path, value), "model.onnx")
    assert str(caught.value).startswith("model.onnx: ")
    assert f"  {named}: " in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ("glass", "glass")}, "'glass' appears more than once"),
        ({"classes": ("glass",)}, "at least 2 expected"),
        ({"input": Input(height=224, width=224)}, "steps end in (240, 240)"),
        ({"input": Input(height=240, width=240, dtype="uint8")}, "uint8"),
        (
            {"steps": (Normalize(mean=(0, 0, 0), std=(1, 1, 1)), CenterCrop(size=(240, 240)))},
            "must be the last step",
        ),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(changes, words):
    with pytest.raises(ValidationError, match=words.replace("(", r"\(").replace(")", r"\)")):
        make_card(**changes)


def test_a_field_of_a_newer_minor_version_is_kept_and_reported():
    content = json.loads(changed("schema_version", "1.7"))
    content["input"]["quantum"] = 3
    content["future"] = {"a": 1}
    card = ModelCard.from_json(json.dumps(content), "x")
    assert set(card.unknown_fields) == {"input.quantum", "future"}
    assert json.loads(card.to_json())["future"] == {"a": 1}
    assert card.hash != make_card().hash


def test_an_unknown_field_of_this_version_is_a_slip_and_the_nearest_is_named():
    with pytest.raises(CardError, match=r"'input.heigth'.*did you mean 'height'"):
        ModelCard.from_json(changed("input.heigth", 240), "x")


def test_an_unknown_field_of_a_step_is_refused_even_from_a_newer_version():
    content = json.loads(changed("schema_version", "1.7"))
    content["steps"][0]["offset"] = 1
    with pytest.raises(CardError, match=r"steps\[0\].offset"):
        ModelCard.from_json(json.dumps(content), "x")


def test_a_newer_major_version_is_refused_with_the_way_out():
    with pytest.raises(CardError, match="schema 2.0.*pip install --upgrade ghostkit"):
        ModelCard.from_json(changed("schema_version", "2.0"), "x")


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", "null", "[" * 5000, b"\xff"])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(CardError, match="x: "):
        ModelCard.from_json(text, "x")


@pytest.mark.parametrize("version", [None, "one", "1", 1.0, "1.x"])
def test_a_version_that_is_none_is_refused(version):
    with pytest.raises(CardError):
        ModelCard.from_json(changed("schema_version", version), "x")


def test_a_sidecar_may_begin_with_a_byte_order_mark(tmp_path):
    path = write_sidecar(make_card(), tmp_path / "m.onnx")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_sidecar(tmp_path / "m.onnx") == make_card()


def test_the_sidecar_stands_beside_its_file(tmp_path):
    model = tmp_path / "模型 a.om"
    assert read_sidecar(model) is None
    written = write_sidecar(make_card(provenance=Provenance(note="ü")), model)
    assert written == sidecar_path(model) == tmp_path / "模型 a.om.card.json"
    assert read_sidecar(model) == make_card(provenance=Provenance(note="ü"))


def test_an_input_of_any_size_survives_json():
    card = make_card(steps=(), input=Input(dtype="uint8", layout="NHWC"))
    assert ModelCard.from_json(card.to_json(), "x") == card


def test_a_card_without_titles_is_as_it_was_before_there_were_any():
    card = make_card(schema_version="1.0")
    assert "titles" not in card.to_json()
    assert card.names == card.classes
    assert card.hash == "ace98f3bf36b66c6edf20e4412ac2ba725b62d8ecd6db83e3327e9a70f33de79"


def test_titles_are_what_people_read_and_survive_json():
    card = make_card(titles=("Karton", "Glas", "Metall"))
    assert ModelCard.from_json(card.to_json(), "here") == card
    assert (card.names, card.classes[0]) == (("Karton", "Glas", "Metall"), "cardboard")


@pytest.mark.parametrize(
    ("titles", "words"),
    [
        (("a", "b"), "titles: 2 given for 3 classes"),
        (("a", "b", "a"), "titles: 'a' appears more than once"),
        (("a", "b", " "), "titles: one of them is empty"),
    ],
)
def test_titles_that_do_not_fit_the_classes_are_refused(titles, words):
    with pytest.raises(ValidationError, match=words):
        make_card(titles=titles)


def test_a_derived_card_names_its_parent_and_how_it_was_made():
    card = make_card(schema_version="1.0")
    plain = card.derived(titles=("a", "b", "c"))
    assert (plain.titles, plain.steps) == (("a", "b", "c"), card.steps)
    assert plain.provenance == Provenance(parents=(card.hash,))
    made = plain.derived({"target": "folded"})
    assert made.provenance.parents == (card.hash, plain.hash)
    assert made.provenance.conversions == ({"parent": plain.hash, "target": "folded"},)
    assert (plain.schema_version, made.schema_version) == ("1.0", SCHEMA_VERSION)
