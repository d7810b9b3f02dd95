import pytest

from ghostkit.card import Architecture
from ghostkit.differences import explain
from ghostkit.steps import CenterCrop, Normalize, Resize, evaluation_steps
from tiny import tiny_card

SEED = tiny_card().model_copy(update={"steps": evaluation_steps(240, 0.875)})
SEED = SEED.model_copy(
    update={"input": SEED.input.model_copy(update={"height": 240, "width": 240})}
)


def card(*steps, **changes):
    """The original's card with other steps, and other fields of its input."""
    fields = SEED.input.model_copy(update=changes)
    return SEED.model_copy(update={"steps": steps or SEED.steps, "input": fields})


def test_alike_cards_have_no_difference_whatever_was_measured_or_where_they_come_from():
    other = SEED.model_copy(update={"provenance": SEED.provenance.model_copy(update={"note": "x"})})
    assert explain(SEED, SEED) == explain(SEED, other) == ()


def test_the_five_ways_in_which_the_seed_prepares_a_picture_are_told_apart():
    resize, crop, normalize = SEED.steps
    stretch_and_crop = card(Resize(size=(274, 274)), crop, normalize)
    stretch = card(Resize(size=(240, 240)), normalize)
    usual = card(Resize(short=256), CenterCrop(size=(224, 224)), normalize, height=224, width=224)
    keeps = "A resizes the short side to 274 and keeps the aspect"
    assert explain(SEED, stretch_and_crop) == (
        f"{keeps}, B stretches to 274, whatever the picture's aspect",
    )
    assert explain(SEED, stretch) == (
        f"{keeps}, B stretches to 240, whatever the picture's aspect",
        "A crops the centre 240, B does not crop",
    )
    assert explain(SEED, usual) == (
        f"{keeps}, B resizes the short side to 256 and keeps the aspect",
        "A crops the centre 240, B crops the centre 224",
        "A's model takes pictures of 240x240, B's pictures of 224x224",
    )


def test_filter_antialias_and_sizes_that_are_no_square():
    _, crop, normalize = SEED.steps
    other = card(Resize(short=274, filter="bicubic"), crop, normalize)
    assert explain(SEED, other) == ("A resizes with the bilinear filter, B with the bicubic one",)
    hard = card(Resize(short=274, antialias=False), crop, normalize)
    [words] = explain(hard, SEED)
    assert words.startswith("A weighs two pixels per axis however much it shrinks")
    assert words.endswith("B weighs every pixel when it shrinks (antialias, as Pillow does)")
    wide = card(SEED.steps[0], CenterCrop(size=(200, 240)), normalize, height=200)
    assert explain(SEED, wide)[0] == "A crops the centre 240, B crops the centre 240x200"


def test_a_folded_model_normalises_inside():
    folded = card(*SEED.steps[:2], dtype="uint8", layout="NHWC")
    assert explain(SEED, folded) == (
        "A normalises before the model, B gives the model uint8 pixels of 0..255 to normalise "
        "inside",
        "A's model takes float32, B's uint8",
        "A's model takes NCHW, B's NHWC",
    )
    bare = SEED.model_copy(
        update={
            "steps": (),
            "input": SEED.input.model_copy(
                update={"dtype": "uint8", "height": None, "width": None}
            ),
        }
    )
    assert explain(folded, bare)[0] == (
        "A resizes the short side to 274 and keeps the aspect, B does not resize: the model gets "
        "what the picture has, or resizes inside"
    )


def test_constants_are_compared_by_colour_and_not_by_place():
    resize, crop, normalize = SEED.steps
    turned = Normalize(mean=normalize.mean[::-1], std=normalize.std[::-1])
    assert explain(SEED, card(resize, crop, turned, color="BGR")) == (
        "A's model takes RGB, B's BGR",
    )
    words = "A normalises with the mean 0.485 0.456 0.406, B with 0.406 0.456 0.485"
    assert explain(SEED, card(resize, crop, turned))[0] == words
    assert explain(SEED, card(resize, crop, normalize, color="BGR"))[0] == words


def test_network_and_output():
    other = SEED.model_copy(
        update={
            "architecture": Architecture(name="ghostnet", width=1.3),
            "output": SEED.output.model_copy(update={"temperature": 1.5}),
        }
    )
    assert explain(SEED, other) == (
        "A is channel-means, B is ghostnet 1.3x",
        "A divides its logits by the temperature 1, B by 1.5",
    )


@pytest.mark.parametrize("odd", [(SEED.steps[1], SEED.steps[0]), (SEED.steps[0],) * 2])
def test_steps_in_an_unusual_order_are_listed_whole(odd):
    [words] = explain(SEED, card(*odd, SEED.steps[-1]))
    assert words.startswith(
        "A prepares pictures by: short side to 274 (bilinear), centre crop 240;"
    )
