import numpy as np
import pytest

from ghostkit.errors import ElementError, PipelineError
from ghostkit.mindx.classes import ClassPostProcessor, ClassSettings
from ghostkit.mindx.labels import read_names
from ghostkit.mindx.postprocess import PostConfig, best_classes, config_from_json, read_config
from ghostkit.mindx.request import Classes, Header, Package, Request
from ghostkit.mindx.serialize import float_text, metadata_json


def config(tmp_path, text):
    path = tmp_path / "infer.cfg"
    path.write_text(text)
    return read_config(path)


def test_the_seeds_configuration_with_its_blanks(tmp_path):
    assert config(tmp_path, "CLASS_NUM=1000 \nSOFTMAX=true \nTOP_K=5\n") == (
        PostConfig(1000, True, 5, True),
        [],
    )


def test_comments_capitals_first_duplicates_and_prefixes_as_the_sdk_reads_them(tmp_path):
    text = "# a\nCLASS_NUM = 10 # ten\nCLASS_NUM=20\nSOFTMAX = True\nTOP_K=5x\nCHECK_MODEL=FALSE\n"
    found, notices = config(tmp_path, text)
    assert found == PostConfig(10, True, 5, False)
    assert len(notices) == 1 and "taken as 5" in notices[0]


def test_values_are_clamped_and_nonsense_keeps_the_default_with_a_notice(tmp_path):
    found, notices = config(tmp_path, "CLASS_NUM=5000\nTOP_K=99\nSOFTMAX=perhaps\n")
    assert found == PostConfig(2000, False, 16, True)
    assert len(notices) == 3


def test_top_k_beyond_the_classes_gives_all_of_them(tmp_path):
    found, notices = config(tmp_path, "CLASS_NUM=3\nTOP_K=5\n")
    assert "gives all" in notices[0]
    infos = best_classes(np.float32([1, 3, 2]), found, ["a", "b", "c"])
    assert [(info.class_id, info.name) for info in infos] == [(1, "b"), (2, "c"), (0, "a")]


def test_content_in_the_pipeline_is_an_object_of_strings():
    assert config_from_json('{"CLASS_NUM": "7"}', "x")[0].class_num == 7
    for text in ("nonsense", '{"CLASS_NUM": 7}'):
        with pytest.raises(PipelineError) as caught:
            config_from_json(text, "x")
        assert caught.value.code == 6015


def test_softmax_of_large_logits_is_finite_where_the_original_overflows():
    infos = best_classes(np.float32([200, 100, 0]), PostConfig(3, True, 3), "abc")
    assert [float(info.confidence) for info in infos] == [1.0, pytest.approx(0, abs=1e-30), 0.0]


def test_without_softmax_the_confidence_is_the_raw_output():
    [info] = best_classes(np.float32([0, 3.71521928e18]), PostConfig(2, False, 1), "ab")
    assert info.confidence == np.float32(3.71521928e18)


def names(tmp_path, text, count):
    path = tmp_path / "x.names"
    path.write_text(text)
    return read_names(path, count)


@pytest.mark.parametrize(
    "tensor",
    [
        np.zeros((1, 3), np.float32),
        np.zeros((1, 20), np.float32),
        np.zeros((), np.float32),
        np.zeros(10, np.float32),
        np.zeros((1, 10, 4, 4), np.float32),
        np.zeros((1, 10), np.uint8),
    ],
)
def test_a_tensor_that_is_none_of_the_models_is_refused(tensor):
    settings = ClassSettings(PostConfig(10, True, 2), tuple("abcdefghij"))
    request = Request(b"")
    request.metadata["appsrc0"] = [Package((tensor,))]
    with pytest.raises(ElementError, match=r"expected float32 \(N, 10\)") as caught:
        ClassPostProcessor("mxpi_classpostprocessor0", "appsrc0", settings)(request)
    assert caught.value.code == 1004


def test_axes_of_one_behind_the_classes_do_not_matter():
    settings = ClassSettings(PostConfig(3, False, 1), ("a", "b", "c"))
    request = Request(b"")
    request.metadata["appsrc0"] = [Package((np.float32([[[[1]], [[3]], [[2]]]] * 2),))]
    ClassPostProcessor("post", "appsrc0", settings)(request)
    assert [found.infos[0].name for found in request.metadata["post"]] == ["b", "b"]


def test_names_skip_leading_comments_with_or_without_the_space(tmp_path):
    assert names(tmp_path, " # from a gist\n# too\ntench, Tinca tinca\r\ngoldfish\n", 2) == (
        ("tench, Tinca tinca", "goldfish"),
        [],
    )


def test_a_leading_unknown_type_is_left_out_only_where_it_is_one_too_many(tmp_path):
    text = "# x\nunknown type\ntench\ngoldfish\n"
    found, [notice] = names(tmp_path, text, 2)
    assert found == ("tench", "goldfish") and "unknown type" in notice
    assert names(tmp_path, text, 3) == (("unknown type", "tench", "goldfish"), [])


def test_missing_names_are_empty_and_told(tmp_path):
    found, [notice] = names(tmp_path, "tench\n", 3)
    assert found == ("tench", "", "")
    assert "1 names for 3 classes" in notice


def test_the_json_is_that_of_the_seeds_sample_line():
    infos = best_classes(
        np.concatenate([np.zeros(822, np.float32), np.float32([3.71521928e18])]),
        PostConfig(823, False, 1),
        [""] * 822 + ["steel drum"],
    )
    headers = (Header("mxpi_tensorinfer0"),)
    metadata = {"mxpi_classpostprocessor0": [Classes(tuple(infos), headers)]}
    assert metadata_json(metadata, ["mxpi_classpostprocessor0"]) == (
        '{"MxpiClass":[{"classId":822,"className":"steel drum","confidence":3.71521928e+18}]}'
    )
    assert metadata_json(metadata, ["nothing0"]) == "{}"
    assert '"headerVec":[{"dataSource":"mxpi_tensorinfer0","memberId":0,"parentName":""}]' in (
        metadata_json(metadata, ["mxpi_classpostprocessor0"], erase_headers=False)
    )


def test_floats_are_written_in_the_fewest_digits_that_give_them_back():
    generator = np.random.default_rng(3)
    values = np.exp(generator.uniform(-60, 60, 2000)).astype(np.float32)
    for value in values:
        text = float_text(value)
        assert np.float32(text) == value
    assert [float_text(v) for v in (0.1, 0.246257052)] == ["0.1", "0.246257052"]
    assert float_text(1e15) == "1e+15"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (-3, "-3"),
        (190.375, "190.375"),
        (100_000, "100000"),
        (1_000_000, "1000000.0"),  # protobuf: 1e+06
        (1_234_567, "1234567"),  # nine digits hold it
        (16_777_216, "16777216"),
        (2**31, "2147483650.0"),  # protobuf: 2.14748365e+09
        (1e-5, "1e-05"),
        (float("nan"), '"NaN"'),
        (float("-inf"), '"-Infinity"'),
    ],
)
def test_digits_alone_are_an_integer(value, text):
    assert float_text(value) == text


def test_a_byte_order_mark_hides_no_key_and_is_told(tmp_path):
    found, [notice] = config(tmp_path, "\ufeffTOP_K=5\nCLASS_NUM=10\n")
    assert (found.top_k, found.class_num) == (5, 10)
    assert "byte order mark" in notice and "save it as UTF-8 without one" in notice


def test_keys_that_mean_nothing_are_told_with_the_one_that_is_meant(tmp_path):
    found, notices = config(tmp_path, "CLASS_NUM=10\nTOPK=5\nsoftmax=true\nACTIVATION=x\n")
    assert found == PostConfig(10, False, 1, True)
    assert [notice.partition(": ")[2] for notice in notices] == [
        "'TOPK' is no key of this post-processing, and has no effect; did you mean 'TOP_K'?",
        "'softmax' is no key of this post-processing, and has no effect; did you mean 'SOFTMAX'?",
        "'ACTIVATION' is no key of this post-processing, and has no effect; "
        "there are CLASS_NUM, SOFTMAX, TOP_K, CHECK_MODEL",
    ]


def test_a_number_of_any_length_is_clamped(tmp_path):
    assert config(tmp_path, "CLASS_NUM=" + "9" * 5000)[0].class_num == 2000


def test_names_of_another_encoding_say_what_to_do(tmp_path):
    (tmp_path / "gbk.names").write_bytes("鱼\n".encode("gbk"))
    with pytest.raises(PipelineError, match="cannot be read: not UTF-8; save it so"):
        read_names(tmp_path / "gbk.names", 1)


def test_a_names_file_without_a_line_has_no_name(tmp_path):
    found, [notice] = names(tmp_path, "", 2)
    assert found == ("", "") and "0 names for 2 classes" in notice
