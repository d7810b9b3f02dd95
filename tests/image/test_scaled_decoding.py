"""JPEGs decoded at a fraction of their size, held against Pillow's draft mode."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from ghostkit.image import decode, jpeg


def photo(width, height, mode="RGB"):
    """A smooth picture with some detail."""
    row, column = np.indices((height, width))
    planes = [128 + 100 * np.sin(row / k + column / (2 * k)) for k in (5, 17, 40)]
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8)).convert(mode)


def jpeg_bytes(picture, **options):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **{"quality": 90} | options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("size", "short", "scale"),
    [
        ((4000, 3000), 274, 8),
        ((2000, 1500), 274, 4),
        ((500, 375), 274, 1),
        ((500, 375), None, 1),
        ((548, 900), 274, 2),
        ((547, 900), 274, 2),  # a half is rounded up
        ((546, 900), 274, 1),
        ((64, 8), 1, 8),
        ((3, 3), 1, 8),
    ],
)
def test_the_fraction_is_the_least_that_leaves_enough(size, short, scale):
    assert jpeg.scale_for(size, short) == scale


@pytest.mark.parametrize("size", [(400, 300), (401, 303), (67, 130), (33, 17)])
@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": "4:4:4"}, {"subsampling": "4:2:2"}, {"progressive": True}],
    ids=str,
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_the_pixels_are_those_of_pillows_draft_mode(size, options, mode):
    if mode != "RGB" and "subsampling" in options:
        options = {}
    content = jpeg_bytes(photo(*size, mode), **options)
    for scale in (2, 4, 8):
        expected = Image.open(io.BytesIO(content))
        expected.draft(None, (size[0] // scale, size[1] // scale))
        pixels = decode(content, short=-(-min(size) // scale))
        assert pixels.shape == (-(-size[1] // scale), -(-size[0] // scale), 3)
        assert np.array_equal(pixels, np.asarray(expected.convert("RGB")))


def test_a_picture_that_only_pillow_decodes_is_scaled_the_same_way(monkeypatch):
    content = jpeg_bytes(photo(401, 303))
    expected = decode(content, short=70)
    monkeypatch.setattr(jpeg.simplejpeg, "decode_jpeg", lambda *_, **__: 1 / 0)
    jpeg.agrees_with_pillow()  # has been asked before
    assert np.array_equal(decode(content, short=70), expected)
    assert expected.shape == (76, 101, 3)


def test_the_orientation_counts_as_ever():
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    content = jpeg_bytes(photo(400, 200), exif=turned)
    assert decode(content).shape == (400, 200, 3)
    assert decode(content, short=50).shape == (100, 50, 3)


def test_other_formats_and_decoded_pictures_keep_every_pixel():
    picture = photo(400, 300)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    pixels = np.asarray(picture)
    assert np.array_equal(decode(stream.getvalue(), short=10), pixels)
    assert np.array_equal(decode(pixels, short=10), pixels)


def test_a_truncated_file_is_refused_as_ever():
    content = jpeg_bytes(photo(400, 300))
    with pytest.raises(Exception, match="truncated JPEG"):
        decode(content[: len(content) // 2], short=30)
