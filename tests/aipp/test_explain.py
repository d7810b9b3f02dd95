from aipp_files import JPEG_TO_RGB, SEED_FILE, block
from ghostkit.aipp import explain, of_block, parse


def test_the_seeds_file_in_words():
    assert explain(of_block(parse(SEED_FILE)[0]), (240, 240)) == (
        "takes uint8 RGB888_U8, (H, W, 3), 240x240",
        "exchanges the first and third colour (R and B)",
        "channel 0: (x - 123.6875) * 0.01712036, that is mean 0.485 and std 0.229 of 0..1",
        "channel 1: (x - 116.25) * 0.01750183, that is mean 0.456 and std 0.224 of 0..1",
        "channel 2: (x - 103.5) * 0.01742554, that is mean 0.406 and std 0.225 of 0..1",
        "gives the model float16 NCHW 240x240",
    )


def test_every_part_in_the_order_of_the_chip():
    text = (
        "input_format : YUV420SP_U8 rbuv_swap_switch : true src_image_size_w : 256 "
        "src_image_size_h : 250 crop : true load_start_pos_w : 4 padding : true "
        "left_padding_size : 2 right_padding_size : 2 " + JPEG_TO_RGB
    )
    assert explain(of_block(block(text)), (240, 240)) == (
        "takes uint8 YUV420SP_U8, Y rows, then UV rows, 256x250",
        "exchanges U and V",
        "cuts out 236x240 from row 0, column 4 on",
        "converts colours: YUV to RGB, full range as in JPEG; input bias (0, 128, 128); "
        "saturates to 0..255",
        "normalises nothing: values stay 0..255",
        "pads 0 rows above, 0 below, 2 columns left, 2 right with 0",
        "gives the model float16 NCHW 240x240",
    )


def test_without_the_models_size_and_in_dynamic_mode():
    text = "input_format : XRGB8888_U8 ax_swap_switch : true"
    lines = explain(of_block(block(text)))
    assert lines[0] == "takes uint8 XRGB8888_U8, (H, W, 4), the model's size"
    assert lines[1] == "moves the first channel to the end"
    [dynamic] = parse("aipp_op { aipp_mode : dynamic max_src_image_size : 9 }")
    assert explain(of_block(dynamic)) == (
        "dynamic mode: size, colours and normalisation are given at run time",
    )


def test_a_matrix_that_is_nobodys():
    text = "input_format : RGB888_U8 csc_switch : true matrix_r0c0 : 7"
    [line] = [each for each in explain(of_block(block(text))) if each.startswith("converts")]
    assert "by a matrix of its own; output bias (16, 128, 128)" in line
