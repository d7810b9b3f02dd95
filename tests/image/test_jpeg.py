import io
from random import Random

import numpy as np
import pytest
import simplejpeg
from pictures import every_kind, mutated, photo
from PIL import Image

from ghostkit.image import jpeg, rendering
from ghostkit.image.jpeg import agrees_with_pillow, decode_fast
from ghostkit.image.limits import DEFAULT_LIMITS

FAST = (
    *("JPEG 4:2:0", "JPEG 4:2:2", "JPEG 4:4:4", "JPEG 4:1:1", "JPEG progressive"),
    *("JPEG restart markers", "JPEG gray", "JPEG RGB", "MPO"),
)


def by_pillow(data):
    """Pillow's mode, size and RGB pixels; None for the pixels if Pillow refuses the file."""
    try:
        picture = Image.open(io.BytesIO(data), formats=["JPEG"])
    except Exception:
        return "RGB", (0, 0), None
    mode, size = picture.mode, picture.size
    try:
        return mode, size, np.asarray(picture.convert("RGB"))
    except Exception:
        return mode, size, None


def verdict(data):
    """What the fast decoder did, beside Pillow."""
    mode, size, expected = by_pillow(data)
    pixels = decode_fast(data, mode, size)
    if pixels is None:
        return "left to Pillow"
    assert expected is not None, "accepted what Pillow refuses"
    np.testing.assert_array_equal(pixels, expected)
    return "equal"


def test_the_two_decoders_of_this_installation_agree():
    assert agrees_with_pillow()


@pytest.mark.parametrize("sort", FAST)
def test_ordinary_jpegs_are_decoded_fast_to_the_pixels_of_pillow(sort):
    assert verdict(every_kind()[sort]) == "equal"


def test_every_small_size_and_subsampling_gives_equal_pixels():
    picture = photo(20, 20)
    for height in (1, 2, 3, 7, 8, 9, 15, 16, 17):
        for width in (1, 2, 3, 7, 8, 9, 15, 16, 17):
            corner = np.ascontiguousarray(picture[:height, :width])
            for subsampling in ("444", "422", "420", "440", "411"):
                data = simplejpeg.encode_jpeg(corner, 85, colorsubsampling=subsampling)
                assert verdict(data) == "equal"


def test_cmyk_is_left_to_pillow():
    assert verdict(every_kind()["JPEG CMYK"]) == "left to Pillow"


@pytest.mark.parametrize("sort", ["JPEG 4:2:0", "JPEG progressive", "JPEG restart markers"])
def test_a_jpeg_cut_at_any_byte_is_never_accepted(sort):
    data = every_kind()[sort]
    for end in range(2, len(data), 3):
        assert verdict(data[:end]) == "left to Pillow"
        assert by_pillow(data[:end])[2] is None


@pytest.mark.parametrize("tail", [b"\0", b"\xff", b"\xff\xd9", b"\xff\xd8", b"garbage" * 99])
def test_what_follows_the_end_marker_changes_nothing(tail):
    data = every_kind()["JPEG 4:2:0"]
    assert verdict(data + tail) == "equal"


def test_an_oddity_that_pillow_forgives_is_decoded_by_pillow():
    data = every_kind()["JPEG 4:2:0"]
    odd = data[:-2] + b"extraneous" + data[-2:]
    assert verdict(odd) == "left to Pillow"
    pixels = rendering.render(odd, "JPEG", DEFAULT_LIMITS)
    np.testing.assert_array_equal(pixels, by_pillow(odd)[2])


def test_where_the_decoders_disagree_only_pillow_is_asked(monkeypatch):
    class OtherLibjpeg:
        @staticmethod
        def decode_jpeg(data, colorspace, strict=True):
            return simplejpeg.decode_jpeg(data, colorspace, fastdct=True)

    monkeypatch.setattr(jpeg, "simplejpeg", OtherLibjpeg)
    agrees_with_pillow.cache_clear()
    try:
        assert not agrees_with_pillow()
        assert verdict(every_kind()["JPEG 4:2:0"]) == "left to Pillow"
    finally:
        agrees_with_pillow.cache_clear()


def tallied(count, seed):
    random = Random(seed)
    seeds = [every_kind()[sort] for sort in FAST]
    verdicts = [verdict(mutated(random.choice(seeds), random)) for _ in range(count)]
    return {name: verdicts.count(name) for name in set(verdicts)}


def test_injured_jpegs_are_decoded_equally_or_left_to_pillow():
    tally = tallied(3000, seed=1)
    assert tally["equal"] > 300 and tally["left to Pillow"] > 300


@pytest.mark.slow
def test_many_injured_jpegs_are_decoded_equally_or_left_to_pillow():
    tallied(150_000, seed=2)
