"""Describe how two cards differ, in sentences, for the report of `verify`.

In: two cards; out: one sentence per difference that may explain other answers. Class names and
their order are not looked at: `verify` matches those.
"""

from collections.abc import Sequence

from ghostkit.card import ModelCard
from ghostkit.steps import (
    CenterCrop,
    Normalize,
    Resize,
    ScaledDecode,
    Size,
    Step,
    describe,
    scaled_decode,
)


def explain(a: ModelCard, b: ModelCard) -> tuple[str, ...]:
    """One sentence per difference between the cards of A and B; none where they are alike."""
    return (
        *_networks(a, b),
        *_geometries(a.steps, b.steps),
        *_normalisations(a, b),
        *_inputs(a, b),
        *_outputs(a, b),
    )


def _networks(a: ModelCard, b: ModelCard) -> list[str]:
    one, two = _network(a), _network(b)
    return [] if one == two else [f"A is {one}, B is {two}"]


def _network(card: ModelCard) -> str:
    width = card.architecture.width
    return card.architecture.name + ("" if width is None else f" {width:g}x")


def _geometries(a: Sequence[Step], b: Sequence[Step]) -> list[str]:
    """How a picture is decoded, resized and cropped. One of each is compared step by step."""
    scaled = scaled_decode(a), scaled_decode(b)
    one, two = (
        tuple(s for s in steps if not isinstance(s, ScaledDecode | Normalize)) for steps in (a, b)
    )
    found = []
    if scaled[0] != scaled[1]:
        found = [f"A {_decoding(scaled[0])}, B {_decoding(scaled[1])}"]
    return found + _sizes(one, two)


def _decoding(step: ScaledDecode | None) -> str:
    if step is None:
        return "decodes every pixel"
    return f"decodes JPEGs at 1/2, 1/4 or 1/8, the short side at least {step.short}"


def _sizes(one: Sequence[Step], two: Sequence[Step]) -> list[str]:
    if one == two:
        return []
    if not (_is_usual(one) and _is_usual(two)):
        return [f"A prepares pictures by: {describe(one)}; B by: {describe(two)}"]
    return [*_resizes(_resize(one), _resize(two)), *_crops(_crop(one), _crop(two))]


def _is_usual(steps: Sequence[Step]) -> bool:
    kinds = [step.op for step in steps]
    return kinds in ([], ["resize"], ["center_crop"], ["resize", "center_crop"])


def _resize(steps: Sequence[Step]) -> Resize | None:
    return next((step for step in steps if isinstance(step, Resize)), None)


def _crop(steps: Sequence[Step]) -> CenterCrop | None:
    return next((step for step in steps if isinstance(step, CenterCrop)), None)


def _resizes(a: Resize | None, b: Resize | None) -> list[str]:
    if a is None or b is None:
        return [] if a == b else [f"A {_goal(a)}, B {_goal(b)}"]
    found = []
    if (a.short, a.size) != (b.short, b.size):
        found.append(f"A {_goal(a)}, B {_goal(b)}")
    if a.filter != b.filter:
        found.append(f"A resizes with the {a.filter} filter, B with the {b.filter} one")
    if a.antialias != b.antialias:
        found.append(f"A {_antialias(a)}, B {_antialias(b)}")
    return found


def _goal(step: Resize | None) -> str:
    if step is None:
        return "does not resize: the model gets what the picture has, or resizes inside"
    if step.size is not None:
        return f"stretches to {_size(step.size)}, whatever the picture's aspect"
    return f"resizes the short side to {step.short} and keeps the aspect"


def _antialias(step: Resize) -> str:
    if step.antialias:
        return "weighs every pixel when it shrinks (antialias, as Pillow does)"
    return "weighs two pixels per axis however much it shrinks (no antialias, as OpenCV does)"


def _crops(a: CenterCrop | None, b: CenterCrop | None) -> list[str]:
    return [] if a == b else [f"A {_cut(a)}, B {_cut(b)}"]


def _cut(step: CenterCrop | None) -> str:
    return "does not crop" if step is None else f"crops the centre {_size(step.size)}"


def _size(size: Size) -> str:
    height, width = size
    return str(height) if height == width else f"{width}x{height}"


def _normalisations(a: ModelCard, b: ModelCard) -> list[str]:
    one, two = _constants(a), _constants(b)
    if one == two:
        return []
    if one is None or two is None:
        return [f"A {_normalises(a, one)}, B {_normalises(b, two)}"]
    words = [
        f"A normalises with the {name} {_three(x)}, B with {_three(y)}"
        for name, x, y in zip(("mean", "deviation"), one, two, strict=True)
        if x != y
    ]
    return words


Constants = tuple[tuple[float, ...], tuple[float, ...]]  # mean, deviation, both R G B


def _constants(card: ModelCard) -> Constants | None:
    step = card.steps[-1] if card.steps else None
    if not isinstance(step, Normalize):
        return None
    if card.input.color == "RGB":
        return step.mean, step.std
    return tuple(reversed(step.mean)), tuple(reversed(step.std))


def _normalises(card: ModelCard, constants: Constants | None) -> str:
    if constants is not None:
        return "normalises before the model"
    return f"gives the model {card.input.dtype} pixels of 0..255 to normalise inside"


def _three(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _inputs(a: ModelCard, b: ModelCard) -> list[str]:
    found = []
    for name in ("dtype", "layout", "color"):
        one, two = getattr(a.input, name), getattr(b.input, name)
        if one != two:
            found.append(f"A's model takes {one}, B's {two}")
    sizes = [_input_size(card) for card in (a, b)]
    if sizes[0] != sizes[1]:
        found.append(f"A's model takes {sizes[0]}, B's {sizes[1]}")
    return found


def _input_size(card: ModelCard) -> str:
    height, width = card.input.height, card.input.width
    if height is None or width is None:
        return "pictures of any size"
    return f"pictures of {width}x{height}"


def _outputs(a: ModelCard, b: ModelCard) -> list[str]:
    found = []
    if a.output.kind != b.output.kind:
        found.append(f"A's model gives {a.output.kind}, B's gives {b.output.kind}")
    elif a.output.kind == "logits" and a.output.temperature != b.output.temperature:
        found.append(
            f"A divides its logits by the temperature {a.output.temperature:g}, "
            f"B by {b.output.temperature:g}"
        )
    if a.output.reject_threshold != b.output.reject_threshold:
        words = (
            "any answer" if t is None else f"answers of {t:g} and more"
            for t in (a.output.reject_threshold, b.output.reject_threshold)
        )
        found.append("A accepts {}, B {}".format(*words))
    return found
