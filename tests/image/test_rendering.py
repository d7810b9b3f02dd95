import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from pictures import encode, every_kind, photo
from PIL import Image, ImageOps

from ghostkit.image import rendering
from ghostkit.image.formats import identify
from ghostkit.image.jpeg import scans
from ghostkit.image.limits import DEFAULT_LIMITS, Limits, Refusal
from ghostkit.image.rendering import render, render_picture

ORIENTATION = 0x0112
TIFF_BITS_PER_SAMPLE, TIFF_TILE_WIDTH, TIFF_TILE_LENGTH = 258, 322, 323


def decoded(data, limits=DEFAULT_LIMITS):
    return render(data, identify(data), limits)


def reason(data, limits=DEFAULT_LIMITS):
    with pytest.raises(Refusal) as refused:
        decoded(data, limits)
    return str(refused.value)


def by_pillow(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    picture.info.pop("transparency", None)
    return np.asarray(picture.convert("RGB"))


def exif(orientation):
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block.tobytes()


def png_header(width, height, bits=8, colour=2, compressed=b""):
    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pieces = chunk(b"IHDR", header), chunk(b"IDAT", compressed), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


def tiff(tags, content):
    """A little-endian TIFF of one strip or tile; `tags` maps a number to its values."""
    where = next(tag for tag in (324, 273) if tag in tags)
    packed, tail = [], b""
    start = 8 + 2 + 12 * len(tags) + 4
    room = sum(2 * len(values) for values in tags.values() if len(values) > 2)
    for tag, values in sorted(tags.items()):
        if tag == where:
            values = (start + room,)
        if len(values) > 2:
            field = struct.pack("<I", start + len(tail))
            tail += struct.pack(f"<{len(values)}H", *values)
            packed.append(struct.pack("<HHI", tag, 3, len(values)) + field)
        else:
            packed.append(struct.pack("<HHII", tag, 4, len(values), *values))
    count = struct.pack("<H", len(packed))
    return b"II*\0\x08\0\0\0" + count + b"".join(packed) + b"\0" * 4 + tail + content


@pytest.mark.parametrize("sort", [s for s in every_kind() if "16 bits" not in s])
def test_every_accepted_sort_gives_the_pixels_of_pillow(sort):
    pixels = decoded(every_kind()[sort])
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous and pixels.flags.writeable
    np.testing.assert_array_equal(pixels, by_pillow(every_kind()[sort]))


def test_several_bands_of_rows_give_the_same_pixels_as_one(monkeypatch):
    whole = {sort: decoded(data) for sort, data in every_kind().items()}
    monkeypatch.setattr(rendering, "_BAND_PIXELS", 7 * 40)
    monkeypatch.setattr(rendering, "decode_fast", lambda *_: None)
    for sort, data in every_kind().items():
        np.testing.assert_array_equal(decoded(data), whole[sort], err_msg=sort)


def test_the_first_frame_or_page_is_taken():
    first = photo()
    for sort in ("APNG", "TIFF pages"):
        np.testing.assert_array_equal(decoded(every_kind()[sort]), first)
    np.testing.assert_array_equal(
        decoded(every_kind()["MPO"]), decoded(encode(first, "JPEG"))
    )  # the same default quality


def test_alpha_is_dropped_and_not_blended():
    colours = np.zeros((2, 2, 4), np.uint8)
    colours[..., 0] = 200  # red, and wholly transparent
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        pixels = decoded(encode(Image.fromarray(colours), kind, **options))
        assert pixels.tolist() == [[[200, 0, 0]] * 2] * 2


def test_sixteen_bit_gray_keeps_its_upper_eight_bits():
    deep = np.array([[0, 255, 256], [257, 32768, 65535]], dtype=np.uint16)
    expected = np.array([[0, 0, 1], [1, 128, 255]])
    for kind in ("PNG", "TIFF"):
        pixels = decoded(encode(deep, kind))
        assert (pixels == expected[..., None]).all()
    big_endian = Image.frombytes("I;16B", (3, 2), deep.astype(">u2").tobytes())
    assert (decoded(encode(big_endian, "TIFF")) == expected[..., None]).all()


@pytest.mark.parametrize("white", [0, 1])
def test_sixteen_bit_gray_of_which_white_is_zero_is_turned(white):
    values = np.array([0, 65000, 65535, 256], "<u2")
    tags = {256: (4,), 257: (1,), 258: (16,), 259: (1,), 262: (white,), 273: (0,), 277: (1,)}
    pixels = decoded(tiff(tags | {278: (1,), 279: (8,)}, values.tobytes()))
    upper = values >> 8
    assert pixels[0, :, 0].tolist() == (upper if white else 255 - upper).tolist()


@pytest.mark.parametrize("more", [0, 80, 200])
def test_a_jpeg_of_more_scans_than_anybody_writes_is_refused(more):
    data = encode(photo(), "JPEG", progressive=True)
    assert 2 < scans(data) < 20
    last = data[data.rindex(b"\xff\xda") : -2]
    crafted = data[:-2] + last * more + data[-2:]
    if more < 100:
        assert decoded(crafted).shape == decoded(data).shape
    else:
        assert reason(crafted) == f"too many scans: {scans(data) + more}; expected 100 at most"


@pytest.mark.parametrize(
    ("bits", "white", "values"),
    [(16, 0, [0, 65000, 65535, 256]), (16, 1, [0, 65000, 65535, 256]), (12, 1, [0xAB, 0xCA, 0xBC])],
)
def test_a_tiff_that_pillow_has_opened_has_its_files_range(bits, white, values):
    size = {256: (len(values) if bits == 16 else 2,), 257: (1,), 258: (bits,), 259: (1,)}
    more = {262: (white,), 273: (0,), 277: (1,), 278: (1,)}
    data = np.array(values, "<u2").tobytes() if bits == 16 else bytes(values)
    file = tiff(size | more | {279: (len(data),)}, data)
    with Image.open(io.BytesIO(file)) as picture:
        np.testing.assert_array_equal(render_picture(picture, DEFAULT_LIMITS), decoded(file))


def test_scans_cannot_be_hidden_behind_what_a_decoder_passes_over():
    """Within a scan, libjpeg skips FF 02 alone, not what would be its length."""
    data = encode(photo(), "JPEG", progressive=True, restart_marker_blocks=8)
    last = data[data.rindex(b"\xff\xda") : -2]
    crafted = data[:-2] + last * 200 + data[-2:]
    first = crafted.index(b"\xff\xd0")
    hidden = crafted[:first] + b"\xff\x02\xff\xff" + crafted[first:]
    assert scans(hidden) == scans(crafted) > 200
    assert reason(hidden).startswith("too many scans: ")


def test_what_follows_a_jpeg_or_stands_between_its_parts_is_no_scan():
    data = encode(photo(), "JPEG", progressive=True)
    video = b"\xff\xda\x00\x0c" * 200
    assert scans(data + video) == scans(data)
    assert decoded(data + video).shape == decoded(data).shape
    plain = encode(photo(), "JPEG")
    stray = plain[:20] + b"\0\0\0" + plain[20:]  # after the first header
    assert scans(stray) == 1


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_an_ordinary_jpeg_is_one_scan_whatever_its_thumbnail_is(mode):
    thumbnail = encode(photo(), "JPEG", progressive=True)
    data = encode(Image.fromarray(photo()).convert(mode), "JPEG", exif=b"Exif\0\0" + thumbnail)
    assert data.count(b"\xff\xda") > 2 and scans(data) == 1


def test_a_progressive_jpeg_of_one_scan_claims_for_all_its_coefficients():
    data = encode(photo(400, 320), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    one = data[: data.index(b"\xff\xc4", first)] + b"\xff\xd9"
    assert one.count(b"\xff\xda") == 1 and scans(one) == 2
    claims = []
    render(one, "JPEG", Limits(claim=claims.append), 100)
    assert claims == [len(one) + 12 * 400 * 320]


def test_twelve_bit_gray_keeps_its_upper_eight_bits():
    values = np.array([0x000, 0x00F, 0x010, 0xABC, 0xFFF, 0x800])
    pairs = zip(values[::2], values[1::2], strict=True)
    packed = b"".join(int(a << 12 | b).to_bytes(3, "big") for a, b in pairs)
    tags = {256: (6,), 257: (1,), 258: (12,), 259: (1,), 262: (1,), 273: (0,), 277: (1,)}
    pixels = decoded(tiff(tags | {278: (1,), 279: (len(packed),)}, packed))
    assert pixels[0, :, 0].tolist() == (values >> 4).tolist()


def test_integers_within_16_bits_are_scaled_and_others_refused():
    good = np.array([[0, 256], [4096, 65535]], dtype=np.int32)
    assert decoded(encode(good, "TIFF"))[..., 1].tolist() == [[0, 1], [16, 255]]
    for bad in (65536, -1):
        answer = reason(encode(np.array([[0, bad]], dtype=np.int32), "TIFF"))
        assert answer == "32-bit integer pixels beyond 0..65535: there is no agreed range"


def test_floating_point_pixels_are_refused():
    answer = reason(encode(np.zeros((4, 4), np.float32), "TIFF"))
    assert answer.startswith("floating-point pixels: there is no agreed range")


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_turns_the_picture_as_pillow_would(kind, orientation):
    data = encode(photo(), kind, exif=exif(orientation))
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    pixels = decoded(data)
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, np.asarray(turned.convert("RGB")))
    if orientation in (5, 6, 7, 8):
        assert pixels.shape == (40, 30, 3)


def test_orientation_six_brings_the_left_edge_to_the_top():
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[:, 0] = 255
    upright = decoded(encode(pixels, "PNG", exif=exif(6)))
    assert upright[..., 0].tolist() == [[255, 255], [0, 0], [0, 0]]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0garbage that is no TIFF header",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\xff" * 8,
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\0\0\x01\0\0\0\x1a\0\0\0\0" + b"\0" * 8,
    ],
)
def test_a_broken_exif_block_refuses_no_picture(kind, block):
    np.testing.assert_array_equal(
        decoded(encode(photo(), kind, exif=block)), decoded(encode(photo(), kind))
    )


def test_a_text_instead_of_an_orientation_turns_nothing():
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04six\0\0\0\0\0"
    data = encode(photo(), "JPEG", exif=block)
    np.testing.assert_array_equal(decoded(data), decoded(encode(photo(), "JPEG")))


@pytest.mark.parametrize("sort", every_kind())
def test_the_pixel_limit_counts_for_every_format_and_names_the_size(sort):
    answer = reason(every_kind()[sort], Limits(max_pixels=1199))
    assert answer.startswith("too many pixels: 40x30 = 0.0 megapixels")
    assert decoded(every_kind()[sort], Limits(max_pixels=1200)).shape == (30, 40, 3)


def test_a_webp_canvas_is_checked_before_pillow_makes_room_for_it(monkeypatch):
    monkeypatch.setattr(rendering, "_opener", lambda kind: None)
    for sort in ("WebP", "WebP lossless alpha", "WebP animated"):
        answer = reason(every_kind()[sort], Limits(max_pixels=1199))
        assert answer.startswith("too many pixels: 40x30")


def test_a_png_header_alone_cannot_ask_for_memory():
    bomb = png_header(65_000, 65_000)
    assert reason(bomb) == "too many pixels: 65000x65000 = 4225.0 megapixels, limit 89.5"
    assert reason(png_header(9000, 9000)).startswith("truncated PNG")


def test_a_gif_frame_beyond_its_screen_counts_for_the_limit():
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"," + struct.pack("<HHHHB", 9000, 9000, 9000, 9000, 0) + b"\x02\x02\x44\x01\0;"
    assert reason(screen + frame).startswith("too many pixels: ")


def test_a_tiff_tile_far_larger_than_its_picture_is_refused():
    def tiled(side):
        content = zlib.compress(b"\0" * 3 * min(side, 256) ** 2)
        tags = {256: (16,), 257: (16,), 258: (8, 8, 8), 259: (8,), 262: (2,), 277: (3,)}
        tags |= {TIFF_TILE_WIDTH: (side,), TIFF_TILE_LENGTH: (side,), 324: (0,)}
        return tiff(tags | {325: (len(content),)}, content)

    assert decoded(tiled(256)).shape == (16, 16, 3)
    expected = "too many pixels: tile of 25600x25600 in a picture of 16x16"
    assert reason(tiled(25_600)) == expected  # 152 bytes, for which libtiff takes 1.9 GB


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_file_cut_anywhere_is_refused_in_one_line(kind):
    data = encode(photo(), kind)
    for end in range(12, len(data) - 20, 37):
        answer = reason(data[:end])
        assert "\n" not in answer and kind.lower() in answer.lower()


def test_reasons_say_what_is_wrong():
    jpeg, png = every_kind()["JPEG 4:2:0"], every_kind()["PNG"]
    cut = "the file ends before the picture does"
    assert reason(jpeg[: len(jpeg) // 2]) == f"truncated JPEG: {cut}"
    assert reason(jpeg[:30]) == f"truncated JPEG: {cut}"
    assert reason(png[: len(png) // 2]) == f"truncated PNG: {cut}"
    assert reason(png[:200] + b"rubbish" + png[207:]).startswith("unreadable PNG: ")
    assert reason(every_kind()["BMP"][:28] + b"\x03" + every_kind()["BMP"][29:]) == (
        "unreadable BMP: Unsupported BMP pixel depth (3)"
    )


MEASURED = """
import sys
from pathlib import Path
from ghostkit.image import Limits, decode

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])

claims = []
small, large = (Path(name).read_bytes() for name in sys.argv[1:])
decode(small)  # what is imported and kept is not the picture's
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak is now
decode(large, limits=Limits(claim=claims.append))
print(status("VmHWM") - before, *claims)
"""
TURNED = {"exif": exif(6)}
PEAKS = {
    "jpg": ("RGB", TURNED),
    "cmyk.jpg": ("CMYK", {}),
    "progressive.jpg": ("CMYK", {"progressive": True}),
    "png": ("RGBA", TURNED),
    "webp": ("RGBA", {"method": 0}),
    "bmp": ("RGB", {}),
    "gif": ("P", {}),
    "tif": ("RGBA", {"compression": "tiff_lzw"}),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/clear_refs")
@pytest.mark.parametrize("name", PEAKS)
def test_what_is_claimed_before_decoding_is_not_exceeded(tmp_path, name):
    mode, options = PEAKS[name]
    for side in (16, 2000):
        Image.new("RGB", (side, side), (200, 30, 10)).convert(mode).save(
            tmp_path / f"{side}.{name}", **options
        )
    paths = [tmp_path / f"{side}.{name}" for side in (16, 2000)]
    command = [sys.executable, "-c", MEASURED, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, claimed = map(int, done.stdout.split())
    assert 3 * 2000 * 2000 <= peak <= claimed + 3_000_000  # bands of rows, of any picture


def test_a_scaled_jpeg_claims_less_and_one_in_several_scans_all_coefficients():
    claims = []
    limits = Limits(claim=claims.append)
    for options in ({}, {"progressive": True}):
        data = encode(photo(400, 320), "JPEG", **options)
        for short in (None, 100):
            render(data, "JPEG", limits, short)
            claims[-1] -= len(data)
    assert claims == [8 * 400 * 320, 8 * 200 * 160, 12 * 400 * 320, 12 * 400 * 320]
