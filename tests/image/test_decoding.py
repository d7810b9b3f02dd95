import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import every_kind, mutated, photo
from PIL import Image, ImageFile

from ghostkit.errors import ImageRefused, StoreError
from ghostkit.image import DEFAULT_LIMITS, Limits, decode
from ghostkit.image.formats import ACCEPTED

PNG = every_kind()["PNG"]


def reason(source, **options):
    with pytest.raises(ImageRefused) as refused:
        decode(source, **options)
    return refused.value.reason


def test_a_store_that_cannot_be_reached_is_no_fault_of_the_picture(monkeypatch):
    def unreachable(*_):
        raise StoreError("network", "a shard cannot be fetched: no route")

    monkeypatch.setattr("ghostkit.image.decoding.read", unreachable)
    with pytest.raises(StoreError, match="no route"):
        decode("shard.tar#512+10/a.png")


def answered(data):
    """Whether `decode` answers; a refusal must keep its promises, and nothing else may come out."""
    try:
        pixels = decode(data)
    except ImageRefused as error:
        assert 0 < len(error.reason) <= 250 and error.reason.isprintable(), error.reason
        assert " at 0x" not in error.reason
        return False
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert pixels.flags.c_contiguous and min(pixels.shape) > 0
    return True


def test_a_path_its_bytes_and_its_pixels_are_the_same_picture(tmp_path):
    path = tmp_path / "a.jpg"  # the extension says nothing
    path.write_bytes(PNG)
    for source in (path, str(path), PNG, bytearray(PNG), memoryview(PNG), photo()):
        np.testing.assert_array_equal(decode(source), photo())


def test_contiguous_rgb_pixels_are_given_back_as_they_are():
    pixels = photo()
    assert decode(pixels) is pixels
    assert decode(photo()[:, ::2]).flags.c_contiguous


def test_a_gray_array_becomes_rgb():
    assert decode(np.array([[7, 9]], np.uint8)).tolist() == [[[7, 7, 7], [9, 9, 9]]]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((4, 4, 3), np.float32), "array of float32; expected uint8"),
        (np.zeros((4, 4), bool), "array of bool; expected uint8"),
        (np.array([[None]]), "array of object; expected uint8"),
        (np.zeros((4, 4, 4), np.uint8), "array of shape (4, 4, 4); expected (H, W, 3)"),
        (np.zeros((3, 4, 4), np.uint8), "array of shape (3, 4, 4); expected (H, W, 3)"),
        (np.zeros(4, np.uint8), "array of shape (4,); expected (H, W, 3)"),
        (np.zeros((), np.uint8), "array of shape (); expected (H, W, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels: 4x0"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000)), "too many pixels: 20000x20000"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array, expected):
    assert reason(array).startswith(expected)


class Hostile(os.PathLike):
    def __fspath__(self):
        raise RuntimeError("no path\nfor you")


@pytest.mark.parametrize(
    ("source", "expected", "name"),
    [
        (None, "not a path, bytes or pixels but a Python NoneType", "<NoneType>"),
        (3, "not a path, bytes or pixels but a Python int", "<int>"),
        (Hostile(), "cannot be decoded: RuntimeError: no path for you", "<Hostile>"),
        (b"", "empty file", "<bytes>"),
        (b"text", "not a picture: no known format begins with the bytes 74 65 78 74", "<bytes>"),
        ("", "file not found", ""),
        ("/", "not a regular file: a folder", "/"),
        ("nowhere/照片\n\udcff.jpg", "file not found", "nowhere/照片\n\udcff.jpg"),
        (np.zeros(2), "array of float64; expected uint8", "<array>"),
    ],
)
def test_whatever_goes_in_only_a_named_refusal_comes_out(source, expected, name):
    with pytest.raises(ImageRefused) as refused:
        decode(source)
    assert refused.value.reason.startswith(expected)
    assert refused.value.path == name


def test_a_name_stands_in_for_the_path():
    with pytest.raises(ImageRefused, match="^photo 7: empty file$"):
        decode(b"", name="photo 7")


def test_a_refusal_keeps_no_content_alive():
    with pytest.raises(ImageRefused) as refused:
        decode(PNG[:100])
    assert refused.value.__cause__ is None and refused.value.__context__ is None


def test_limits_are_the_callers():
    assert reason(PNG, limits=Limits(max_bytes=100)).startswith("too many bytes: ")
    assert reason(PNG, limits=Limits(max_pixels=100)).startswith("too many pixels: 40x30 ")
    assert reason(photo(), limits=Limits(max_pixels=100)).startswith("too many pixels: 40x30 ")
    assert DEFAULT_LIMITS == Limits(max_bytes=64 * 1024 * 1024, max_pixels=89_478_485)


@pytest.mark.parametrize("error", [MemoryError, RecursionError, SyntaxError, ValueError])
def test_any_exception_of_a_decoder_becomes_a_refusal(monkeypatch, error):
    def fail(self):
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    out_of_memory = error is MemoryError
    expected = "not enough memory to decode it" if out_of_memory else "unreadable BMP: "
    assert reason(every_kind()["BMP"]).startswith(expected)


def test_an_interrupt_is_not_swallowed(monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageFile.ImageFile, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        decode(every_kind()["BMP"])


def test_threads_get_the_same_pixels_and_no_global_setting_moves():
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    files = list(every_kind().values()) * 4
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(pool.map(decode, files), map(decode, files), strict=True):
            np.testing.assert_array_equal(one, other)
    assert before == (
        ImageFile.LOAD_TRUNCATED_IMAGES,
        Image.MAX_IMAGE_PIXELS,
        list(warnings.filters),
    )
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


BEGINNINGS = [signature for signatures in ACCEPTED.values() for signature in signatures]
BEGINNINGS += [b"RIFF\xff\0\0\0WEBPVP8X", b"RIFF\xff\0\0\0WEBPVP8L", b"RIFF\xff\0\0\0WEBPVP8 ", b""]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=400, derandomize=True)
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=300))
def test_rubbish_after_a_signature_is_refused(beginning, rubbish):
    answered(beginning + rubbish)


def answers_to_injured(count, seed):
    random = Random(seed)
    files = list(every_kind().values())
    return sum(answered(mutated(random.choice(files), random)) for _ in range(count))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_injured_pictures_are_answered_or_refused():
    assert 500 < answers_to_injured(4000, seed=1) < 3500


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_many_injured_pictures_are_answered_or_refused():
    answers_to_injured(60_000, seed=2)


@pytest.mark.parametrize("kind", list(every_kind()))
def test_a_picture_that_pillow_has_opened_is_its_file(kind):
    data = every_kind()[kind]
    with Image.open(io.BytesIO(data)) as picture:
        before = picture.mode, picture.info.get("transparency")
        np.testing.assert_array_equal(decode(picture), decode(data))
        assert (picture.mode, picture.info.get("transparency")) == before


def test_a_picture_of_pillow_is_turned_and_limited_as_its_file():
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    Image.fromarray(photo()).save(stream, "JPEG", exif=exif)
    with Image.open(stream) as picture:
        np.testing.assert_array_equal(decode(picture), decode(stream.getvalue()))
        assert reason(picture, limits=Limits(max_pixels=9)).startswith("too many pixels: ")
    assert reason(Image.new("F", (4, 4))).startswith("floating-point pixels")
    assert reason([photo()]).endswith(
        "a Python list; of several pictures take stream(), of an open file its read()"
    )
    assert reason(b"PK\x03\x04" + bytes(40)).endswith("; unpack it, or make it a .tar")
