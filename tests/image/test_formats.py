import io
import zipfile

import numpy as np
import pytest
from pictures import encode, every_kind, photo
from PIL import Image

from ghostkit.image.formats import identify
from ghostkit.image.limits import Refusal

ACCEPTED = "accepted: JPEG, PNG, WebP, BMP, GIF, TIFF"


def reason(data):
    with pytest.raises(Refusal) as refused:
        identify(data)
    return str(refused.value)


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "text")
    return stream.getvalue()


@pytest.mark.parametrize("sort", every_kind())
def test_an_accepted_format_is_known_by_its_first_bytes(sort):
    kind = {"MPO": "JPEG", "APNG": "PNG"}.get(sort, sort.split()[0])
    assert identify(every_kind()[sort]) == kind


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("JPEG 2000", encode(photo(), "JPEG2000")),
        ("ICO", encode(photo(), "ICO", sizes=[(16, 16)])),
        ("PNM", encode(photo(), "PPM")),
        ("PNM", encode(np.zeros((4, 4), np.uint8), "PPM")),
        ("DDS", encode(photo(), "DDS")),
        ("PDF", encode(photo(), "PDF")),
        ("PostScript", encode(photo(), "EPS")),
        ("AVIF", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf"),
        ("AVIF", b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiaf"),
        ("HEIF", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("MP4 video", b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2"),
        ("JPEG XL", b"\xff\x0a\xfa\x1f\x01"),
        ("JPEG XL", b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a"),
        ("Photoshop", b"8BPS\0\1"),
        ("OpenEXR", b"v/1\x01\2\0\0\0"),
        ("QOI", b"qoif\0\0\0\1"),
        ("ZIP", zipped()),
        ("gzip", b"\x1f\x8b\x08\0"),
        ("RIFF audio or video", b"RIFF\x24\0\0\0WAVEfmt "),
        ("Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        ("HTML", b"\n<!DOCTYPE html><html><body>404</body></html>"),
        ("SVG", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("SVG", b"\xef\xbb\xbf<svg/>"),
        ("XML", b"<?xml version='1.0'?><rss/>"),
    ],
)
def test_another_format_is_refused_by_its_name(name, data):
    advice = "; unpack it, or make it a .tar" if name == "ZIP" else ""
    assert reason(data) == f"{name} is not an accepted format; {ACCEPTED}{advice}"


@pytest.mark.skipif("AVIF" not in Image.SAVE, reason="this Pillow writes no AVIF")
def test_a_real_avif_is_refused_by_its_name():
    assert reason(encode(photo(), "AVIF")).startswith("AVIF is not an accepted format")


@pytest.mark.parametrize("data", [b"this is text", b"\0" * 4096, b"\xff\xd8", b"B", b"\x89PNG\n"])
def test_anything_else_is_no_picture_and_its_first_bytes_are_shown(data):
    first = " ".join(f"{byte:02x}" for byte in data[:4])
    assert reason(data) == f"not a picture: no known format begins with the bytes {first}"
