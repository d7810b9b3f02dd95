import pytest

from aipp_files import SEED_FILE
from ghostkit.aipp import Block, parse, to_text
from ghostkit.errors import AippError


def refusal(text: str | bytes) -> str:
    with pytest.raises(AippError) as caught:
        parse(text, "my.cfg")
    return str(caught.value)


def test_the_seeds_own_file():
    [block] = parse(SEED_FILE, "ghostnet_aipp.cfg")
    assert [(e.key, e.value) for e in block.entries] == [
        ("aipp_mode", "static"),
        ("input_format", "RGB888_U8"),
        ("csc_switch", False),
        ("rbuv_swap_switch", True),
        ("min_chn_0", 123.675),
        ("min_chn_1", 116.28),
        ("min_chn_2", 103.53),
        ("var_reci_chn_0", 0.017124753831663),
        ("var_reci_chn_1", 0.017507002801120),
        ("var_reci_chn_2", 0.017429193899782),
    ]
    assert (block.line, block.entries[0].line, block.line_of("min_chn_2")) == (1, 2, 8)


def test_comments_separators_and_several_blocks():
    first, second = parse(
        "# a comment\naipp_op { aipp_mode: static, input_format: RGB888_U8; mean_chn_0:1 } # end\n"
        "aipp_op: < related_input_rank : 1 aipp_mode : dynamic\n max_src_image_size : 0x10 >;"
    )
    assert first.get("mean_chn_0") == 1
    assert second.get("related_input_rank") == 1
    assert second.get("max_src_image_size") == 16
    assert second.line == 3


def test_every_way_to_write_a_value():
    [block] = parse(
        "aipp_op { aipp_mode: 1 input_format: 3 csc_switch: t crop: 0 padding: False resize: True\n"
        "matrix_r0c0: -0x1F matrix_r0c1: 010 matrix_r0c2: -7\n"
        "min_chn_0: 5 min_chn_1: 1.5e1f min_chn_2: .5 var_reci_chn_0: -2.\n"
        """related_input_name: "ima" 'ge\\"' input_edge_idx: [1, 2] input_edge_idx: 3 }"""
    )
    values = {entry.key: entry.value for entry in block.entries}
    assert values["aipp_mode"] == "static"
    assert values["input_format"] == "RGB888_U8"
    assert [values[k] for k in ("csc_switch", "crop", "padding", "resize")] == [1, 0, 0, 1]
    assert [values[f"matrix_r0c{i}"] for i in range(3)] == [-31, 8, -7]
    assert [values[f"min_chn_{i}"] for i in range(3)] == [5.0, 15.0, 0.5]
    assert values["var_reci_chn_0"] == -2.0
    assert values["related_input_name"] == 'image"'
    assert block.all("input_edge_idx") == (1, 2, 3)


def test_what_is_printed_is_read_again():
    [block] = parse(SEED_FILE)
    [again] = parse(to_text((block,), ("made by hand", "")))
    assert [(e.key, e.value) for e in again.entries] == [(e.key, e.value) for e in block.entries]
    quoted = parse('aipp_op { related_input_name: "a\\\\b\\"c\\nd" }')
    assert parse(to_text(quoted))[0].get("related_input_name") == 'a\\b"c\nd'


def test_integers_and_numbers_are_those_of_their_keys():
    [block] = parse("aipp_op { mean_chn_0 : 124 min_chn_0 : 1 }")
    assert (block.integer("mean_chn_0"), block.integer("mean_chn_1")) == (124, 0)
    assert (block.number("min_chn_0"), block.number("var_reci_chn_0")) == (1.0, 1.0)
    for wrong in (lambda: block.integer("min_chn_0"), lambda: block.number("mean_chn_0")):
        with pytest.raises(AssertionError):
            wrong()


def test_a_key_that_is_not_given_has_its_default():
    block = Block(())
    assert block.get("var_reci_chn_2") == 1.0
    assert block.get("csc_switch") is False


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("aipp_op {\n  input_fromat : RGB888_U8 }", "2:3", "unknown key 'input_fromat'; did you "),
        ("aipp_op { min_chan_0 : 1 }", "1:11", "did you mean 'min_chn_0'?"),
        ("aipp_op { zzz : 1 }", "1:11", "docs/aipp.md lists the keys"),
        ("aipp_op { mean_chn_0 : 123.675 }", "1:24", "fractions of a mean go into min_chn_0"),
        ("aipp_op { csc_switch : yes }", "1:24", "expected true or false"),
        ("aipp_op { csc_switch : 2 }", "1:24", "expected true or false"),
        ("aipp_op { aipp_mode : Static }", "1:23", "expected 'static', in exactly these letters"),
        ("aipp_op { input_format : RGB }", "1:26", "expected one of YUV420SP_U8, XRGB8888_U8"),
        ("aipp_op { input_format : 99 }", "1:26", "expected one of YUV420SP_U8"),
        ("aipp_op { input_format : 'RGB888_U8' }", "1:26", "expected an image format"),
        ("aipp_op { related_input_name : image }", "1:32", "expected a name in quotes"),
        ("aipp_op { min_chn_0 : a }", "1:23", "expected a number"),
        ("aipp_op { min_chn_0 : -inf }", "1:23", "expected a finite number"),
        ("aipp_op { min_chn_0 : - 1 }", "1:23", "unexpected character '-'"),
        ("aipp_op { min_chn_0 : nan }", "1:23", "expected a finite number"),
        ("aipp_op { min_chn_0 : 1e39 }", "1:23", "beyond what a 32-bit float holds"),
        ("aipp_op { min_chn_0 : 0x10 }", "1:23", "expected a decimal number"),
        ("aipp_op { mean_chn_0 : 09 }", "1:24", "expected an integer"),
        ("aipp_op { mean_chn_0 : 2147483648 }", "1:24", "from -2147483648 to 2147483647"),
        ("aipp_op { related_input_rank : -1 }", "1:32", "from 0 to 4294967295"),
        ("aipp_op { mean_chn_0 : " + "9" * 9000 + " }", "1:24", "from -2147483648 to"),
        ("aipp_op { mean_chn_0 : 12px }", "1:24", "'12' runs into the next word"),
        ("aipp_op { crop : true\n crop : true }", "2:2", "stands in line 1 already"),
        ("aipp_op { mean_chn_0 : [1, 2] }", "1:11", "takes one value, not a list"),
        ("aipp_op { mean_chn_0 : }", "1:24", "expected a value, not '}'"),
        ("aipp_op { mean_chn_0 1 }", "1:22", "expected ':', not '1'"),
        ("aipp_op { crop { } }", "1:16", "expected ':', not '{'"),
        ("aipp_op { crop : true >", "1:23", "expected a key, not '>'"),
        ("\naipp_op { crop : true", "2:1", "the block that begins here has no '}'"),
        ("aipp_op crop : true", "1:9", "expected '{', not 'crop'"),
        ("input_format : RGB888_U8", "1:1", "write it into aipp_op { ... }"),
        ("aipp { }", "1:1", "expected aipp_op, not 'aipp'"),
        ("}", "1:1", "expected aipp_op, not '}'"),
        ("aipp_op { related_input_name : \"a }", "1:32", "an unfinished string"),
        ("aipp_op { related_input_name : \"\\q\" }", "1:32", "\\q is no escape"),
        ("aipp_op { mean_chn_0 = 1 }", "1:22", "an AIPP file has lines KEY : VALUE"),
        ("aipp_op { \u00e9 : 1 }", "1:11", "unexpected character"),
        ("aipp_op { mean_chn_0 : \u0663 }", "1:24", "unexpected character"),  # an Arabic digit 3
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_line_and_column(text, place, words):
    message = refusal(text)
    assert message.startswith(f"my.cfg:{place}: ")
    assert words in message


def test_the_class_count_that_the_seed_looks_for_in_this_file():
    for text in ("CLASS_NUM=10\nTOP_K=5", "CLASS_NUM : 10", "aipp_op { }\nCLASS_NUM = 10"):
        assert "ghostnet_sdk_infer.cfg" in refusal(text)


def test_a_byte_order_mark_is_refused_as_by_the_compiler():
    message = refusal(b"\xef\xbb\xbf" + SEED_FILE.encode())
    assert message.startswith("my.cfg:1:1: ") and "save the file as UTF-8 without one" in message


def test_comments_may_be_in_any_encoding():
    [expected] = parse(SEED_FILE)
    [block] = parse("# 归一化\n".encode("gbk") + SEED_FILE.replace("\n", "\r\n").encode())
    assert [(e.key, e.value) for e in block.entries] == [(e.key, e.value) for e in expected.entries]
    assert block.line == 2


def test_a_file_without_a_block_and_a_file_that_is_no_text():
    assert refusal("# nothing") == "my.cfg: no aipp_op { ... } block in it; expected at least one"
    for content in (SEED_FILE.encode("utf-16"), b"\x08\x07\x12", b"\0" * 99):
        assert "is it the AIPP file (.cfg)? That is plain text, in UTF-8" in refusal(content)
    assert "at most 1048576" in refusal(b" " * 2_000_000)
