"""Host steps and AIPP against training: the original file, and every usual mistake."""

import numpy as np
import pytest

from aipp_files import JPEG_TO_RGB, SEED_FILE, block
from ghostkit.aipp import contradictions, generate, match, of_block, parse, simulate, to_text
from ghostkit.aipp.match import chip_levels, explained_difference, trained_levels
from ghostkit.card import ModelCard
from ghostkit.errors import AippError
from ghostkit.image import prepare
from ghostkit.steps import CenterCrop, Normalize, Resize
from seed_model import seed_card


def changed(card: ModelCard, **update: object) -> ModelCard:
    return ModelCard.model_validate(card.model_copy(update=update).model_dump())


def refusal(text: str, card: ModelCard | None = None) -> str:
    with pytest.raises(AippError) as caught:
        match(card or seed_card(240), parse(text), "my.cfg")
    return str(caught.value)


def with_keys(**keys: object) -> str:
    """The original's file with other values for some keys; None leaves one out."""
    lines = [line for line in SEED_FILE.splitlines() if not any(f" {key} " in line for key in keys)]
    added = [f"    {key} : {value}" for key, value in keys.items() if value is not None]
    return "\n".join([*lines[:-1], *added, "}"])


def test_the_seeds_file_and_normalize_differ_by_what_float16_explains():
    # By hand, at level 255 of the first channel: training (255 / 255 - 0.485) / 0.229 = 2.2489083;
    # the chip (255 - 123.6875) * 1122 / 65536 = 2.2481174, to steps of 1/512: 1151 / 512
    card = seed_card(240)
    [config] = map(of_block, parse(SEED_FILE))
    assert trained_levels(card)[0, 255] == pytest.approx(2.2489083, abs=1e-7)
    assert chip_levels(config)[0, 255] == 1151 / 512
    found = match(card, parse(SEED_FILE), "ghostnet_aipp.cfg")
    assert 0.0005 < found.difference < found.explained < 0.003
    assert found.findings == ()
    # of which the constants alone are most: with exact ones only the result would be rounded
    assert explained_difference(card) == found.explained


def test_the_made_file_is_nearer_than_the_seeds():
    card = seed_card(240)
    made = match(card, parse(to_text((generate(card),))), "made")
    seeds = match(card, parse(SEED_FILE), "seed")
    assert made.difference < seeds.difference


def test_the_hosts_card_and_the_chip_give_what_training_gave_to_a_picture():
    card = seed_card(48)
    pixels = np.random.default_rng(3).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    trained = prepare(pixels, card.steps)
    for text, color in ((SEED_FILE, "BGR"), (to_text((generate(card, host_color="RGB"),)), "RGB")):
        found = match(card, parse(text), "my.cfg")
        wants = found.host_card.input
        assert wants.color == color
        host = prepare(
            pixels, found.host_card.steps, layout=wants.layout, dtype=wants.dtype, color=wants.color
        )
        chip = simulate(of_block(parse(text)[0]), host[None], (48, 48))[0]
        assert np.abs(chip.astype(np.float32) - trained).max() <= found.explained + 1e-6


def test_a_model_that_takes_bgr_needs_no_swap_for_a_bgr_host():
    card = seed_card(48)
    bgr = changed(card, input=card.input.model_copy(update={"color": "BGR"}))
    made = generate(bgr)
    assert made.get("rbuv_swap_switch") is False
    assert match(bgr, (made,), "made").host_card.input.color == "BGR"


def test_a_model_of_plain_pixels_gets_them():
    card = changed(seed_card(48), steps=seed_card(48).steps[:-1])
    made = generate(card)
    assert "var_reci_chn_0" not in made
    assert match(card, (made,), "made").difference == 0


def test_normalised_twice():
    plain = changed(seed_card(240), steps=seed_card(240).steps[:-1])
    assert "normalised twice: the card has no normalize step" in refusal(SEED_FILE, plain)
    folded = changed(plain, input=plain.input.model_copy(update={"dtype": "uint8"}))
    assert "its normalisation is inside the graph (folded)" in refusal(SEED_FILE, folded)
    with pytest.raises(AippError, match="AIPP would normalise a second time"):
        generate(folded)


def test_not_normalised():
    message = refusal("aipp_op { aipp_mode : static input_format : RGB888_U8 }")
    assert "not normalised: the file passes pixels on as 0..255" in message
    assert "write min_chn_0 : 123.675, min_chn_1 : 116.28, min_chn_2 : 103.53" in message
    assert "var_reci_chn_0 : 0.01712475" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            with_keys(min_chn_0=103.53, min_chn_2=123.675, var_reci_chn_0=0.017429193899782,
                      var_reci_chn_2=0.017124753831663),
            "stand in the reverse order: they count after the swap, where channel 0 is R",
        ),
        (
            with_keys(var_reci_chn_0=4.3668, var_reci_chn_1=4.4643, var_reci_chn_2=4.4444),
            "var_reci_chn is 1 / std; pixels are 0..255",
        ),
        (
            with_keys(var_reci_chn_0=0.229, var_reci_chn_1=0.224, var_reci_chn_2=0.225),
            "var_reci_chn is std itself",
        ),
        (
            with_keys(var_reci_chn_0=58.395, var_reci_chn_1=57.12, var_reci_chn_2=57.375),
            "var_reci_chn is std itself",
        ),
        (
            with_keys(min_chn_0=0.485, min_chn_1=0.456, min_chn_2=0.406),
            "the mean is of 0..1; pixels are 0..255",
        ),
        (
            with_keys(mean_chn_0=124, mean_chn_1=116, mean_chn_2=104),
            "the mean is subtracted twice: by mean_chn and by min_chn",
        ),
        (with_keys(min_chn_0=None, min_chn_1=None, min_chn_2=None), "no mean is subtracted"),
        (with_keys(min_chn_1=120), "G (channel 1): the file has (x - 120)"),
    ],
)  # fmt: skip
def test_each_usual_mistake_is_named(text, words):
    message = refusal(text)
    assert "does not normalise as training did" in message
    assert words in message
    assert "write min_chn_0 : 123.675" in message


def test_constants_of_few_digits_are_a_warning():
    text = with_keys(var_reci_chn_0=0.0171, var_reci_chn_1=0.0175, var_reci_chn_2=0.0174)
    found = match(seed_card(240), parse(text), "my.cfg")
    [finding] = found.findings
    assert finding.severity == "warning"
    assert "write the constants with more digits" in finding.advice
    assert found.explained < found.difference < 0.02


def test_other_formats_and_colour_conversion_have_no_host():
    for name in ("YUV420SP_U8 " + JPEG_TO_RGB, "XRGB8888_U8 ax_swap_switch : true", "YUV400_U8"):
        assert "which a card cannot describe" in refusal(
            "aipp_op { aipp_mode : static input_format : " + name + " }"
        )
    assert "csc_switch converts the colours of RGB pixels" in refusal(
        with_keys(csc_switch="true matrix_r0c0 : 256 matrix_r1c1 : 256 matrix_r2c2 : 256")
    )
    dynamic = "aipp_op { aipp_mode : dynamic max_src_image_size : 99 }"
    assert "the normalisation comes at run time" in refusal(dynamic)


def test_errors_of_the_file_come_first():
    assert "error: line 1: aipp_mode: is missing" in refusal("aipp_op { }")


def test_a_mean_that_aipp_cannot_subtract():
    card = seed_card(48)
    signed = Normalize(mean=(-0.5, 0.5, 0.5), std=(1, 1, 1))
    card = changed(card, steps=(*card.steps[:-1], signed))
    with pytest.raises(AippError, match=r"mean\[0\] is -0.5.*--to folded"):
        generate(card)


# Geometry. A crop by AIPP leaves the host a larger centre crop, or the resize alone.


def cropping(source: int, start: int, size: int = 240) -> str:
    return with_keys(
        src_image_size_w=source,
        src_image_size_h=source,
        crop="true",
        load_start_pos_w=start,
        load_start_pos_h=start,
        crop_size_w=size,
        crop_size_h=size,
    )


def stretched_card() -> ModelCard:
    steps = (Resize(size=(274, 274)), *seed_card(240).steps[1:])
    return changed(seed_card(240), steps=steps)


def test_a_stretch_and_a_crop_of_its_centre():
    found = match(stretched_card(), parse(cropping(274, 17)), "my.cfg")
    assert found.host_card.steps == (Resize(size=(274, 274)),)
    assert (found.host_card.input.height, found.host_card.input.width) == (274, 274)


def test_a_crop_out_of_a_larger_centre_crop():
    found = match(seed_card(240), parse(cropping(248, 4)), "my.cfg")
    assert found.host_card.steps[1:] == (CenterCrop(size=(248, 248)),)
    pixels = np.random.default_rng(5).integers(0, 256, (300, 401, 3), dtype=np.uint8)
    host = prepare(pixels, found.host_card.steps, layout="NHWC", dtype="uint8", color="BGR")
    chip = simulate(of_block(parse(cropping(248, 4))[0]), host[None], (240, 240))[0]
    trained = prepare(pixels, seed_card(240).steps)
    assert np.abs(chip.astype(np.float32) - trained).max() <= found.explained + 1e-6


def test_a_crop_that_is_not_the_centre_or_is_off_by_one_for_odd_sides():
    assert "is not training's centre crop" in refusal(cropping(250, 0))
    message = refusal(cropping(250, 5))
    assert "of a picture resized to 275x275 pixels" in message
    assert "source minus crop has to divide by 4" in message


def test_the_seeds_own_fault_a_source_of_274_against_a_card_that_keeps_the_aspect():
    message = refusal(cropping(276, 18))
    assert "training's are only 274 pixels high or 274 wide before the crop" in message
    assert "stretching them would be another preprocessing" in message


def test_the_seeds_own_fault_a_pipeline_that_stretches_against_a_card_that_keeps_the_aspect():
    trained = seed_card(240).steps[:-1]
    pipeline = (
        Resize(size=(274, 274), filter="bilinear", antialias=False),
        CenterCrop(size=(240, 240)),
    )
    [sentence] = contradictions(trained, pipeline)
    assert "the host stretches every picture to 274x274, training kept its aspect" in sentence
    assert "a 4:3 photo becomes 365x274" in sentence
    mxbase = (Resize(size=(240, 240), filter="bilinear", antialias=False),)
    first, second = contradictions(trained, mxbase)
    assert "the host stretches every picture to 240x240" in first
    assert second == "training has centre crop 240, the host none"


def test_other_contradictions_of_a_host():
    steps = seed_card(240).steps
    assert contradictions(steps, steps) == ()
    assert "once too often" in contradictions(steps[:-1], steps)[0]
    assert "neither does the model" in contradictions(steps, steps[:-1])[0]
    other = Normalize(mean=(0, 0, 0), std=(1, 1, 1))
    assert "another mean or std" in contradictions(steps, (*steps[:-1], other))[0]
    linear = (Resize(short=274, filter="bilinear"), *steps[1:])
    [sentence] = contradictions(steps, linear)
    assert "short side to 274 (bicubic), the host by short side to 274 (bilinear)" in sentence
    kept = (Resize(size=(274, 274)), *steps[1:])
    assert "the host keeps their aspect" in contradictions(kept, steps)[0]
    turned = (steps[1], steps[0])
    assert "training does short side to 274" in contradictions(steps[:2], turned)[0]


def test_padding_and_crops_where_training_had_none():
    pad = with_keys(src_image_size_w=238, src_image_size_h=240, padding="true", left_padding_size=2)
    assert "the file pads the picture, but training did not" in refusal(pad)
    card = changed(seed_card(240), steps=(Resize(size=(240, 240)), seed_card(240).steps[-1]))
    assert "training cut nothing out at the end" in refusal(cropping(248, 4), card)


def test_a_crop_size_that_contradicts_the_card():
    assert "the crop keeps 224x224 pixels, but the model takes 240x240" in refusal(
        cropping(250, 13, 224)
    )


def test_a_block_of_a_wrong_shape_cannot_reach_the_arithmetic():
    assert "is missing" in refusal("aipp_op { aipp_mode : static }")
    assert block("input_format : RGB888_U8").get("crop") is False
