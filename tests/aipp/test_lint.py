import pytest

from aipp_files import JPEG_TO_RGB, SEED_FILE, block
from ghostkit.aipp import lint, parse
from ghostkit.aipp.findings import refuse_errors
from ghostkit.errors import AippError

SOURCE = "src_image_size_w : 250 src_image_size_h : 250 "
CROP = SOURCE + "crop : true "
RGB = "input_format : RGB888_U8 "
YUV = "input_format : YUV420SP_U8 " + JPEG_TO_RGB + " "


def of(text: str, **known: object) -> list[tuple[str, str, str]]:
    """(severity, key, problem) of each finding about one static block."""
    return [(f.severity, f.key, f.problem) for f in lint([block(text)], **known)]


def test_the_seeds_file_is_without_fault():
    assert lint(parse(SEED_FILE), model_size=(240, 240)) == ()


def test_the_manuals_example_of_a_crop_is_without_fault():
    assert of(RGB + CROP, model_size=(240, 240)) == []
    assert of(YUV + CROP + "load_start_pos_w : 4", model_size=(240, 240)) == []


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        (RGB + "mean_chn_0 : 256", "mean_chn_0", "256 is outside 0..255"),
        (RGB + "mean_chn_0 : -1", "mean_chn_0", "-1 is outside 0..255"),
        (RGB + "min_chn_1 : 255.5", "min_chn_1", "255.5 is outside 0..255"),
        (RGB + "var_reci_chn_2 : 70000", "var_reci_chn_2", "70000 is outside -65504..65504"),
        (YUV.replace("359", "32768"), "matrix_r0c2", "32768 is outside -32768..32767"),
        (YUV.replace("input_bias_1 : 128", "input_bias_1 : 256"), "input_bias_1", "256 is outside"),
        (RGB + "src_image_size_w : 1 src_image_size_h : 2", "src_image_size_w", "a width of 1"),
        (RGB + "src_image_size_w : 4097", "src_image_size_w", "4097 is outside 0..4096"),
        (RGB + "src_image_size_w : 240", "src_image_size_h", "one side of the source is given"),
        (RGB + "crop : true", "crop", "crop needs the size of the source"),
        (RGB + "padding : true", "padding", "padding needs the size of the source"),
        (RGB + SOURCE + "resize : true", "resize", "AIPP of Ascend310 cannot resize"),
        (
            RGB + CROP + "load_start_pos_w : 20 crop_size_w : 240",
            "crop_size_w",
            "the crop ends at 20 + 240 = 260, beyond the source's 250",
        ),
        (RGB + CROP + "load_start_pos_h : 250", "load_start_pos_h", "starts at 250, outside"),
        (
            RGB + SOURCE + "padding : true left_padding_size : 33",
            "left_padding_size",
            "33 is outside 0..32",
        ),
        (YUV + "src_image_size_w : 241 src_image_size_h : 240", "src_image_size_w", "241 is odd"),
        (YUV + CROP + "load_start_pos_h : 5", "load_start_pos_h", "5 is odd"),
        (YUV + CROP + "crop_size_w : 225", "crop_size_w", "225 is odd"),
        ("input_format : YUV400_U8 csc_switch : true", "csc_switch", "there is no colour"),
        ("input_format : RAW10", "input_format", "Ascend310 does not take RAW10"),
        ("csc_switch : false", "input_format", "is missing"),
        ("input_format : UNDEFINED", "input_format", "is UNDEFINED"),
        (RGB + "related_input_rank : 1", "related_input_rank", "input 1 of a model with 1"),
        (RGB + "single_line_mode : true", "single_line_mode", "one line of each picture"),
        (RGB + "var_reci_chn_0 : 0", "var_reci_chn_0", "0 makes every pixel 0"),
        (RGB + "var_reci_chn_0 : 1e-9", "var_reci_chn_0", "float16, which makes 0 of 1e-09"),
        (RGB + "var_reci_chn_0 : 1000", "var_reci_chn_0", "a pixel becomes 255000, beyond"),
    ],
)
def test_what_atc_or_the_chip_refuses_is_an_error(text, key, problem):
    errors = [(k, p) for severity, k, p in of(text) if severity == "error"]
    assert len(errors) == 1
    assert errors[0][0] == key
    assert problem in errors[0][1]


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        (RGB + "crop_size_w : 240", "crop_size_w", "no effect, since crop is off"),
        (RGB + "top_padding_size : 3", "top_padding_size", "no effect, since padding is off"),
        (
            RGB + "csc_switch : false matrix_r0c0 : 256",
            "matrix_r0c0",
            "no effect, since csc_switch is off",
        ),
        (RGB + "csc_switch : true", "csc_switch", "takes its default, which makes YUV"),
        ("input_format : YUV420SP_U8", "csc_switch", "gets Y, U and V instead of colours"),
        (
            "input_format : YUV420SP_U8 csc_switch : true",
            "csc_switch",
            "which makes BGR, by the matrix of narrow BT.601",
        ),
        (RGB + "ax_swap_switch : true", "ax_swap_switch", "no fourth channel to move"),
        ("input_format : XRGB8888_U8", "input_format", "gets X, R, G"),
        (
            "input_format : YUV400_U8 rbuv_swap_switch : true",
            "rbuv_swap_switch",
            "YUV400_U8 has one channel",
        ),
        (RGB + "mean_chn_3 : 1", "mean_chn_3", "RGB888_U8 has no channel 3"),
        (RGB + "mean_chn_0 : 124", "mean_chn_0", "nothing scales the result"),
        (RGB + "var_reci_chn_0 : 0.017", "var_reci_chn_1", "missing, while 1 others are given"),
        (RGB + "min_chn_0 : 0.0000001 ", "min_chn_0", "float16, which makes 1.19209e-07"),
        (RGB + "max_src_image_size : 9", "max_src_image_size", "keys that are of dynamic mode"),
    ],
)
def test_what_is_accepted_and_hardly_meant_is_a_warning(text, key, problem):
    found = of(text)
    assert [severity for severity, *_ in found].count("error") == 0
    assert any(k == key and problem in p for _, k, p in found), found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            RGB + SOURCE,
            "source is 250x250 pixels and nothing crops it, but the model takes 240x240",
        ),
        (RGB + CROP + "crop_size_w : 224 crop_size_h : 240", "the crop keeps 224x240 pixels"),
        (RGB + CROP + "load_start_pos_w : 11", "starts at 11 and ends beyond the source's 250"),
        (
            RGB + SOURCE + "padding : true left_padding_size : 2",
            "the model takes 240x240 pixels and padding adds 0 rows, 2 columns",
        ),
    ],
)
def test_what_is_left_has_to_be_the_models_size(text, problem):
    [finding] = of(text, model_size=(240, 240))
    assert finding[0] == "error"
    assert problem in finding[2]


def test_padding_that_leaves_no_picture():
    text = RGB + SOURCE + "padding : true left_padding_size : 8"
    [finding] = of(text, model_size=(8, 8))
    assert "the padding alone fills the model's 8x8" in finding[2]


def test_the_mode_has_to_be_given():
    [finding] = lint(parse("aipp_op { input_format : RGB888_U8 }"))
    assert (finding.key, finding.problem, finding.line) == ("aipp_mode", "is missing", 1)
    assert str(finding) == "error: line 1: aipp_mode: is missing; write aipp_mode : static"


def test_dynamic_mode_needs_the_largest_size_and_nothing_of_static_mode():
    [finding] = lint(parse("aipp_op { aipp_mode : dynamic }"))
    assert finding.key == "max_src_image_size"
    text = "aipp_op { aipp_mode : dynamic max_src_image_size : 9 mean_chn_0 : 99 }"
    [warning] = lint(parse(text))
    assert (warning.severity, warning.key) == ("warning", "mean_chn_0")


def test_two_blocks_for_one_input():
    first = "aipp_op { aipp_mode : static input_format : RGB888_U8 }\n"
    [finding] = lint(parse(first * 2))
    assert "the block in line 1 is for input 0 too" in finding.problem
    assert lint(parse(first + first.replace("{", "{ related_input_rank : 1")), inputs=2) == ()
    named = first.replace("{", '{ related_input_name : "image"')
    [finding] = lint(parse(first + named), input_name="image")
    assert "the block in line 1 is for input 0 too" in finding.problem


def test_a_name_that_the_model_does_not_have():
    blocks = [block(RGB + 'related_input_name : "data"')]
    [finding] = lint(blocks, input_name="image")
    assert (finding.severity, finding.key) == ("error", "related_input_name")
    assert finding.problem == "the model's input is 'image', not 'data'"
    assert lint(blocks, input_name="data") == ()


def test_a_size_of_which_one_side_is_missing_is_one_fault():
    [(_, key, problem)] = of(RGB + "src_image_size_w : 240", model_size=(240, 240))
    assert (key, problem) == (
        "src_image_size_h",
        "one side of the source is given, the other is not",
    )


def test_other_chips_take_other_formats():
    text = "input_format : ARGB8888_U8 ax_swap_switch : true"
    assert of(text, soc="Ascend310")[0][0] == "error"
    assert of(text, soc="Hi3796") == []


def test_all_errors_come_in_one_message_with_their_lines():
    blocks = parse("aipp_op {\n input_format : RAW10\n mean_chn_0 : 999\n}")
    with pytest.raises(AippError) as caught:
        refuse_errors(lint(blocks), "my.cfg")
    lines = str(caught.value).splitlines()
    assert lines[0] == "my.cfg: the AIPP file is refused:"
    assert [line.split(":")[1].strip() for line in lines[1:]] == ["line 1", "line 2", "line 3"]
