"""The simulator against numbers that were computed by hand, and against a second formulation."""

import random

import numpy as np
import pytest

from aipp_files import JPEG_TO_RGB, SEED_FILE, block
from ghostkit.aipp import of_block, parse, simulate, source_shape
from ghostkit.errors import AippError


def given(text: str, picture, size: tuple[int, int], channels: int = 3) -> np.ndarray:
    """What the model gets of one picture, as (C, H, W)."""
    config = of_block(block(text))
    return simulate(config, np.array([picture], dtype=np.uint8), size, channels=channels)[0]


def of_pixel(text: str, *levels: int, channels: int = 3) -> list[float]:
    """The model's channels for one pixel."""
    return given(text, [[levels]], (1, 1), channels)[:, 0, 0].tolist()


def test_the_seeds_file_by_hand():
    # min_chn in float16 has steps of 1/16 between 64 and 128, var_reci steps of 2**-16:
    #   123.675 -> 1979/16 = 123.6875    0.0171248 -> 1122 * 2**-16
    #   116.28  -> 1860/16 = 116.25      0.0175070 -> 1147 * 2**-16
    #   103.53  -> 1656/16 = 103.5       0.0174292 -> 1142 * 2**-16
    [seed] = parse(SEED_FILE)
    config = of_block(seed)
    assert config.min[:3] == (123.6875, 116.25, 103.5)
    assert [value * 2**16 for value in config.var_reci[:3]] == [1122, 1147, 1142]
    # The host gives B, G, R = 10, 100, 200; after the swap channel 0 is R:
    #   (200 - 123.6875) * 1122 / 65536 =  1.30649757 -> steps of 1/1024:  1338 / 1024
    #   (100 - 116.25)   * 1147 / 65536 = -0.28440475 -> steps of 1/4096: -1165 / 4096
    #   ( 10 - 103.5)    * 1142 / 65536 = -1.62928772 -> steps of 1/1024: -1668 / 1024
    pictures = np.array([[[[10, 100, 200]]]], dtype=np.uint8)
    values = simulate(config, pictures, (1, 1))
    assert values.dtype == np.float16
    assert values[0, :, 0, 0].tolist() == [1338 / 1024, -1165 / 4096, -1668 / 1024]


def test_mean_is_an_integer_and_adds_up_with_min():
    # (103 - 100 - 0.5) * 0.5 = 1.25, and a channel without keys is passed on
    text = "input_format : RGB888_U8 mean_chn_0 : 100 min_chn_0 : 0.5 var_reci_chn_0 : 0.5"
    assert of_pixel(text, 103, 7, 255) == [1.25, 7, 255]


def test_a_tie_is_rounded_to_even():
    # 3 * (1 + 2**-10) = 3.0029296875 lies between 1537 and 1538 steps of 2**-9
    text = "input_format : RGB888_U8 var_reci_chn_0 : 1.0009765625"
    assert of_pixel(text, 3, 0, 0)[0] == 1538 / 512


def test_the_swap_of_r_and_b_and_of_the_first_channel():
    assert of_pixel("input_format : RGB888_U8 rbuv_swap_switch : true", 1, 2, 3) == [3, 2, 1]
    x, r, g, b = 9, 1, 2, 3
    xrgb = "input_format : XRGB8888_U8 "
    assert of_pixel(xrgb, x, r, g, b, channels=4) == [x, r, g, b]
    assert of_pixel(xrgb + "rbuv_swap_switch:true", x, r, g, b, channels=4) == [x, b, g, r]
    assert of_pixel(xrgb + "ax_swap_switch:true", x, r, g, b, channels=4) == [r, g, b, x]
    both = xrgb + "ax_swap_switch:true rbuv_swap_switch:true"
    assert of_pixel(both, x, r, g, b) == [b, g, r]  # of a model of three channels


def test_constants_count_after_the_swap():
    text = "input_format : RGB888_U8 rbuv_swap_switch : true mean_chn_0 : 1 mean_chn_2 : 30"
    assert of_pixel(text, 40, 50, 60) == [59, 50, 10]


def test_the_crop_starts_where_it_says():
    picture = [[[10 * row + column] * 3 for column in range(5)] for row in range(4)]
    text = (
        "input_format : RGB888_U8 src_image_size_h : 4 src_image_size_w : 5 crop : true "
        "load_start_pos_h : 1 load_start_pos_w : 2 crop_size_h : 2 crop_size_w : 3"
    )
    assert given(text, picture, (2, 3))[0].tolist() == [[12, 13, 14], [22, 23, 24]]
    whole_model = text.replace("crop_size_h : 2 crop_size_w : 3", "")
    assert given(whole_model, picture, (2, 3))[1].tolist() == [[12, 13, 14], [22, 23, 24]]


def test_yuv_of_a_jpeg_to_rgb_by_hand():
    # Y, U, V = 100, 90, 200; minus the bias 100, -38, 72:
    #   R = (256 * 100            + 359 * 72) >> 8 = 51448 >> 8 = 200
    #   G = (256 * 100 + 88 * 38  - 183 * 72) >> 8 = 15768 >> 8 =  61
    #   B = (256 * 100 - 454 * 38           ) >> 8 =  8348 >> 8 =  32
    text = "input_format : YUV420SP_U8 " + JPEG_TO_RGB
    picture = [[100, 100], [100, 100], [90, 200]]
    assert given(text, picture, (2, 2))[:, 0, 0].tolist() == [200, 61, 32]


def test_colours_saturate_at_0_and_255():
    # Y, U, V = 255, 128, 255: R = (65280 + 359 * 127) >> 8 = 433 -> 255;  B = 65280 >> 8 = 255
    # Y, U, V =   0, 128, 255: G = (-183 * 127) >> 8 = -91 -> 0
    text = "input_format : YUV420SP_U8 " + JPEG_TO_RGB
    values = given(text, [[255, 0], [255, 0], [128, 255]], (2, 2))
    assert values[0, 0].tolist() == [255, 178]  # (359 * 127) >> 8 = 178
    assert values[1, 0].tolist() == [164, 0]  # (65280 - 183 * 127) >> 8 = 164


def test_the_matrix_and_biases_that_hold_where_none_are_given():
    # narrow BT.601 to BGR, biases 16, 128, 128; Y, U, V = 100, 90, 200 -> 84, -38, 72:
    #   B = (298 * 84 - 516 * 38         ) >> 8 =  5424 >> 8 =  21
    #   G = (298 * 84 + 100 * 38 - 208 * 72) >> 8 = 13856 >> 8 = 54
    #   R = (298 * 84            + 409 * 72) >> 8 = 54480 >> 8 = 212
    text = "input_format : YUV420SP_U8 csc_switch : true"
    assert given(text, [[100, 100], [100, 100], [90, 200]], (2, 2))[:, 1, 1].tolist() == [
        *(21, 54, 212)
    ]
    # RGB to narrow BT.601 of pure red, output biases 16, 128, 128:
    #   Y = (66 * 255 >> 8) + 16 = 65 + 16;  U = (-38 * 255 >> 8) + 128 = -38 + 128, as
    #   -9690 / 256 = -37.85 goes down;  V = (112 * 255 >> 8) + 128 = 111 + 128
    assert of_pixel("input_format : RGB888_U8 csc_switch : true", 255, 0, 0) == [81, 90, 239]


def test_the_output_bias_is_added_before_the_saturation():
    # RGB to YUV as in JPEG, pure red: U = (-43 * 255 >> 8) + 128 = -43 + 128
    text = """input_format : RGB888_U8 csc_switch : true
    matrix_r0c0 : 77   matrix_r0c1 : 150   matrix_r0c2 : 29
    matrix_r1c0 : -43  matrix_r1c1 : -85   matrix_r1c2 : 128
    matrix_r2c0 : 128  matrix_r2c1 : -107  matrix_r2c2 : -21
    output_bias_0 : 0  output_bias_1 : 128 output_bias_2 : 128"""
    assert of_pixel(text, 255, 0, 0) == [76, 85, 255]
    grey = """input_format : RGB888_U8 csc_switch : true
    matrix_r0c0 : 76 matrix_r0c1 : 150 matrix_r0c2 : 30
    output_bias_0 : 0 output_bias_1 : 0 output_bias_2 : 0"""
    # (76 * 10 + 150 * 20 + 30 * 30) >> 8 = 4660 >> 8 = 18
    assert of_pixel(grey, 10, 20, 30) == [18, 0, 0]


def test_each_chroma_sample_stands_for_four_pixels_and_the_swap_is_of_u_and_v():
    picture = [[10, 20, 30, 40], [50, 60, 70, 80], [1, 2, 3, 4]]
    text = "input_format : YUV420SP_U8"
    y, u, v = given(text, picture, (2, 4)).tolist()
    assert y == picture[:2]
    assert u == [[1, 1, 3, 3]] * 2
    assert v == [[2, 2, 4, 4]] * 2
    swapped = given(text + " rbuv_swap_switch : true", picture, (2, 4)).tolist()
    assert swapped == [y, v, u]


def test_grey_has_one_channel():
    text = "input_format : YUV400_U8 mean_chn_0 : 5"
    assert given(text, [[7, 8]], (1, 2), 1).tolist() == [[[2, 3]]]


def test_padding_comes_last_and_is_not_normalised():
    text = (
        "input_format : RGB888_U8 src_image_size_w : 1 src_image_size_h : 1 mean_chn_0 : 5 "
        "padding : true left_padding_size : 1 top_padding_size : 2 right_padding_size : 1 "
        "padding_value : -1.5"
    ).replace("size_w : 1", "size_w : 2")
    values = given(text, [[[6, 0, 0], [7, 0, 0]]], (3, 4))
    assert values[0].tolist() == [[-1.5] * 4, [-1.5] * 4, [-1.5, 1, 2, -1.5]]


def test_values_after_normalisation_are_saturated_pixels_first():
    # R = 433 saturates to 255 before the mean goes: (255 - 55) * 0.5 = 100
    text = "input_format : YUV420SP_U8 mean_chn_0 : 55 var_reci_chn_0 : 0.5 " + JPEG_TO_RGB
    assert given(text, [[255, 255], [255, 255], [128, 255]], (2, 2))[0, 0, 0] == 100


def test_a_batch_is_its_pictures():
    config = of_block(parse(SEED_FILE)[0])
    pictures = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    together = simulate(config, pictures, (4, 6))
    alone = [simulate(config, pictures[i : i + 1], (4, 6)) for i in range(3)]
    assert np.array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize(
    ("text", "shape", "words"),
    [
        ("input_format : RGB888_U8", (1, 2, 2, 4), r"shape \(N, 2, 2, 3\), not uint8 \(1, 2, 2, 4"),
        ("input_format : YUV420SP_U8", (1, 2, 2), r"shape \(N, 3, 2\)"),
        ("input_format : RGB16", (1, 2, 2, 3), "RGB16 cannot be simulated"),
        ("input_format : RGB888_U8 single_line_mode : true", (1, 2, 2, 3), "single_line_mode"),
        ("input_format : RGB888_U8 resize : true", (1, 2, 2, 3), "resize cannot be simulated"),
        ("input_format : YUV400_U8 csc_switch : true", (1, 2, 2), "needs three channels"),
        ("input_format : YUV400_U8", (1, 2, 2), r"gives 1, 2, 2, the model takes 3, 2, 2"),
        (
            "input_format : RGB888_U8 var_reci_chn_0 : 6e4",
            (1, 2, 2, 3),
            "a pixel becomes 1.53e.07: no float16",
        ),
    ],
)
def test_what_cannot_be_simulated_says_why(text, shape, words):
    config = of_block(block(text))
    with pytest.raises(AippError, match=words):
        simulate(config, np.zeros(shape, dtype=np.uint8), (2, 2))


def test_dynamic_mode_and_odd_sizes_of_yuv_cannot_be_simulated():
    [dynamic] = parse("aipp_op { aipp_mode : dynamic max_src_image_size : 99 }")
    with pytest.raises(AippError, match="given at run time"):
        source_shape(of_block(dynamic), (2, 2))
    with pytest.raises(AippError, match="the source is 3x2"):
        source_shape(of_block(block("input_format : YUV420SP_U8")), (2, 3))


@pytest.mark.parametrize("seed", range(50))
def test_random_configurations_agree_with_the_second_formulation_bit_for_bit(seed):
    pytest.importorskip("google.protobuf")
    from scalar_aipp import scalar_aipp

    text, (height, width), channels = random_file(random.Random(seed))
    config = of_block(parse(text)[0])
    shape = source_shape(config, (height, width))
    picture = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)

    def read(plane: int, row: int, column: int) -> int:
        if picture.ndim == 3:
            return int(picture[row, column, plane])
        if "YUV420SP" in text and plane:
            luma_rows = picture.shape[0] * 2 // 3
            return int(picture[luma_rows + row, 2 * column + plane - 1])
        return int(picture[row, column])

    expected = scalar_aipp(text, read, height, width, channels)
    values = simulate(config, picture[None], (height, width), channels=channels)[0]
    assert values.tolist() == expected


def random_file(draw: random.Random) -> tuple[str, tuple[int, int], int]:
    """An AIPP file that uses most keys, the model's size and its channels."""
    form = draw.choice(["YUV420SP_U8", "RGB888_U8", "XRGB8888_U8", "YUV400_U8"])
    step = 2 if form == "YUV420SP_U8" else 1
    kept = [step * draw.randint(1, 4) for _ in range(2)]
    lines = [f"input_format : {form}"]
    if crop := draw.random() < 0.6:
        start = [step * draw.randint(0, 3) for _ in range(2)]
        more = [step * draw.randint(0, 2) for _ in range(2)]
        lines += ["crop : true"]
        for side, at, size, extra in zip("hw", start, kept, more, strict=True):
            lines += [
                f"load_start_pos_{side} : {at}",
                f"src_image_size_{side} : {at + size + extra}",
            ]
            lines += [f"crop_size_{side} : {size}"] if draw.random() < 0.7 else []
    size = list(kept)
    if draw.random() < 0.4:
        pads = {side: draw.randint(0, 3) for side in ("top", "bottom", "left", "right")}
        lines += ["padding : true", f"padding_value : {draw.uniform(-3, 3)}"]
        lines += [f"{side}_padding_size : {count}" for side, count in pads.items()]
        size = [kept[0] + pads["top"] + pads["bottom"], kept[1] + pads["left"] + pads["right"]]
        if not crop:
            lines += [f"src_image_size_{s} : {n}" for s, n in zip("hw", kept, strict=True)]
    for switch in ("rbuv_swap_switch", "ax_swap_switch"):
        lines += [f"{switch} : true"] if draw.random() < 0.5 else []
    if form != "YUV400_U8" and draw.random() < 0.6:
        lines += ["csc_switch : true"]
        if draw.random() < 0.8:
            cells = [(row, column) for row in range(3) for column in range(3)]
            lines += [f"matrix_r{r}c{c} : {draw.randint(-600, 600)}" for r, c in cells]
        for stem in ("input_bias_", "output_bias_"):
            chosen = [i for i in range(3) if draw.random() < 0.7]
            lines += [f"{stem}{i} : {draw.randint(0, 255)}" for i in chosen]
    channels = {"YUV400_U8": 1, "XRGB8888_U8": draw.choice([3, 4])}.get(form, 3)
    for channel in range(4):
        if draw.random() < 0.7:
            lines.append(f"mean_chn_{channel} : {draw.randint(0, 255)}")
        if draw.random() < 0.7:
            lines.append(f"min_chn_{channel} : {draw.uniform(0, 255)}")
        if draw.random() < 0.8:
            scale = draw.choice([draw.uniform(-2, 2), draw.uniform(0.003, 0.03), 1e-7, 100])
            lines.append(f"var_reci_chn_{channel} : {scale}")
    draw.shuffle(lines)
    text = "aipp_op { aipp_mode : static\n" + "\n".join(lines) + "\n}"
    return text, (size[0], size[1]), channels
