import pytest

from ghostkit.image.limits import Limits, Refusal, check_bytes, check_pixels


def test_a_limit_itself_is_still_allowed():
    check_bytes(10, Limits(max_bytes=10))
    check_pixels(5, 2, Limits(max_pixels=10))


@pytest.mark.parametrize(
    ("check", "arguments", "reason"),
    [
        (check_bytes, (0, Limits()), "empty file"),
        (check_bytes, (73_400_320, Limits()), "too many bytes: 70.0 MiB, limit 64.0"),
        (check_pixels, (0, 5, Limits()), "no pixels: 0x5"),
        (
            check_pixels,
            (20_000, 20_000, Limits()),
            "too many pixels: 20000x20000 = 400.0 megapixels, limit 89.5",
        ),
    ],
)
def test_above_a_limit_the_reason_names_both_numbers(check, arguments, reason):
    with pytest.raises(Refusal) as refused:
        check(*arguments)
    assert str(refused.value) == reason
