"""The training path against what the chip will compute, before anyone owns the chip."""

import numpy as np
import pytest

from aipp_files import JPEG_TO_RGB, SEED_FILE
from ghostkit.aipp import of_block, parse, simulate
from ghostkit.artifacts import load
from ghostkit.backend import FakeBackend
from ghostkit.convert.chip import ChipBackend, open_on_chip, pack
from ghostkit.errors import AippError
from ghostkit.verify import compare
from seed_model import seed_card, write_model

pytest.importorskip("onnx")


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model.onnx", 48)


@pytest.fixture
def pictures():
    random = np.random.default_rng(7)
    smooth = [
        np.kron(random.integers(0, 256, (4, 5, 3)), np.ones((20, 20, 1))).astype(np.uint8)
        for _ in range(4)
    ]
    return [*smooth, random.integers(0, 256, (77, 120, 3), dtype=np.uint8)]


def agreement(model, pictures, aipp=None, tolerance=1e-3):
    return compare(load(model), open_on_chip(model, aipp), pictures, tolerance=tolerance)


def write(folder, text):
    path = folder / "my.cfg"
    path.write_text(text)
    return path


def test_the_made_file_and_the_seeds_agree_with_training(model, pictures, tmp_path):
    for aipp in (None, write(tmp_path, SEED_FILE)):
        found = agreement(model, pictures, aipp)
        assert found.passed, found
        assert 0 < found.max_logit_difference < 2e-3


def test_a_file_without_the_swap_is_seen(model, pictures, tmp_path):
    # its host gives RGB, which is right; one whose constants are reversed is not
    unswapped = SEED_FILE.replace("rbuv_swap_switch : true", "rbuv_swap_switch : false")
    assert agreement(model, pictures, write(tmp_path, unswapped)).passed
    reversed_constants = SEED_FILE.replace("chn_0", "chn_9").replace("chn_2", "chn_0")
    aipp = write(tmp_path, reversed_constants.replace("chn_9", "chn_2"))
    assert not agreement(model, pictures, aipp).passed


def test_a_file_that_does_not_normalise_is_simulated_so_that_its_harm_shows(
    model, pictures, tmp_path
):
    aipp = write(tmp_path, "aipp_op { aipp_mode : static input_format : RGB888_U8 }")
    found = agreement(model, pictures, aipp)
    assert not found.passed
    assert found.max_logit_difference > 50


def test_yuv_from_a_decoder_comes_near(model, pictures, tmp_path):
    constants = SEED_FILE[SEED_FILE.index("min_chn_0") : SEED_FILE.index("}")]
    text = "aipp_op { aipp_mode : static input_format : YUV420SP_U8 "
    aipp = write(tmp_path, text + JPEG_TO_RGB + "\n" + constants + "}")
    found = agreement(model, pictures[:4], aipp)
    assert found.top1_agreement == 1
    assert 0 < found.max_logit_difference < 0.05
    swapped = write(tmp_path, aipp.read_text().replace("{", "{ rbuv_swap_switch : true", 1))
    assert agreement(model, pictures[:4], swapped).max_logit_difference < 0.05
    without = aipp.read_text().replace("csc_switch : true", "csc_switch : false")
    assert not agreement(model, pictures[:4], write(tmp_path, without)).passed


def test_four_channels_and_grey(model, pictures, tmp_path):
    four = SEED_FILE.replace("RGB888_U8", "XRGB8888_U8\n    ax_swap_switch : true")
    assert agreement(model, pictures, write(tmp_path, four)).passed
    grey = write(tmp_path, "aipp_op { aipp_mode : static input_format : YUV400_U8 }")
    with pytest.raises(AippError, match="my.cfg: the AIPP file gives 1, 48, 48, the model takes 3"):
        open_on_chip(model, grey)


def test_a_crop_on_the_chip_leaves_the_host_a_larger_one(model, pictures, tmp_path):
    crop = "src_image_size_w : 52\nsrc_image_size_h : 52\ncrop : true\nload_start_pos_w : 2\n"
    text = SEED_FILE.replace("csc_switch", crop + "load_start_pos_h : 2\ncsc_switch")
    aipp = write(tmp_path, text)
    assert agreement(model, pictures, aipp).passed
    assert open_on_chip(model, aipp).card.input.height == 52
    assert open_on_chip(str(model), str(aipp)).card.input.height == 52


def test_what_atc_would_refuse_is_not_simulated(model, tmp_path):
    aipp = write(tmp_path, SEED_FILE.replace("RGB888_U8", "RAW10"))
    with pytest.raises(AippError, match="Ascend310 does not take RAW10"):
        open_on_chip(model, aipp)
    with pytest.raises(AippError, match="cannot be read"):
        open_on_chip(model, tmp_path / "none.cfg")


def test_yuv_by_hand():
    # JFIF: pure red has Y = 76.2, U = 84.97, V = 255.5, held to 255; as NV12, and as NV21
    red = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    red[..., 0] = 255
    text = "aipp_op { aipp_mode : static input_format : YUV420SP_U8 %s }"
    [nv12] = parse(text % "")
    [nv21] = parse(text % "rbuv_swap_switch : true")
    assert pack(red, of_block(nv12), "RGB")[0].tolist() == [[76, 76], [76, 76], [85, 255]]
    assert pack(red, of_block(nv21), "RGB")[0].tolist() == [[76, 76], [76, 76], [255, 85]]
    back = simulate(
        of_block(parse(text % JPEG_TO_RGB)[0]), pack(red, of_block(nv12), "RGB"), (2, 2)
    )
    assert back[0, :, 0, 0].tolist() == [254, 0, 0]  # R = (256 * 76 + 359 * 127) >> 8 = 254


def test_the_card_of_the_fixture_is_the_seeds(model):
    assert load(model).card == seed_card(48)


def test_what_is_wrong_with_the_file_is_told_with_the_answers(model, tmp_path):
    right = open_on_chip(model, write(tmp_path, SEED_FILE)).backend
    assert (right.faults, right.warnings) == ((), ())
    unscaled = "aipp_op { aipp_mode : static input_format : RGB888_U8 mean_chn_0 : 124 }"
    wrong = open_on_chip(model, write(tmp_path, unscaled)).backend
    assert "does not normalise as training did" in wrong.faults[0]
    assert "nothing scales the result" in wrong.warnings[0]


def test_what_a_backend_says_of_itself_is_said_of_it_behind_aipp(model):
    class Odd(FakeBackend):
        path, serial, fixed_batch, fallback = "model.onnx", True, 4, "the CPU runs it"

    config = of_block(parse(SEED_FILE)[0])
    chip = ChipBackend(Odd(), config, seed_card(48).input)
    assert (chip.path, chip.serial, chip.fixed_batch) == ("model.onnx", True, 4)
    assert chip.fallback == "the CPU runs it"
