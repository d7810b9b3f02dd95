"""AIPP files that several tests read."""

from ghostkit.aipp import Block, parse

SEED_FILE = """aipp_op {
    aipp_mode : static
    input_format : RGB888_U8
    csc_switch : false
    rbuv_swap_switch : true
    min_chn_0 : 123.675
    min_chn_1 : 116.28
    min_chn_2 : 103.53
    var_reci_chn_0 : 0.017124753831663
    var_reci_chn_1 : 0.017507002801120
    var_reci_chn_2 : 0.017429193899782
}
"""

# YUV420SP of a JPEG to RGB, as the compiler's manual gives it.
JPEG_TO_RGB = """csc_switch : true
    matrix_r0c0 : 256  matrix_r0c1 : 0    matrix_r0c2 : 359
    matrix_r1c0 : 256  matrix_r1c1 : -88  matrix_r1c2 : -183
    matrix_r2c0 : 256  matrix_r2c1 : 454  matrix_r2c2 : 0
    input_bias_0 : 0  input_bias_1 : 128  input_bias_2 : 128"""


def block(text: str) -> Block:
    """The one block of ``aipp_mode : static`` and `text`."""
    [only] = parse("aipp_op { aipp_mode : static\n" + text + "\n}")
    return only
