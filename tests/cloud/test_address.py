import pytest

from ghostkit.cloud.address import is_url, parse
from ghostkit.errors import UsageError


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket/a/b.jpg", ("s3", "bucket", "a/b.jpg")),
        (" obs://pytorch-dataset/data/ ", ("obs", "pytorch-dataset", "data/")),
        ("s3://bucket", ("s3", "bucket", "")),
        ("s3:/bucket/a", ("s3", "bucket", "a")),  # what pathlib leaves of it
    ],
)
def test_a_url_names_bucket_and_key(url, parts):
    assert is_url(url)
    assert parse(url) == parts


@pytest.mark.parametrize("name", ["photos/", "s3", "s3:bucket", "https://host/x", "xs3://b/k"])
def test_other_names_are_paths(name):
    assert not is_url(name)
    with pytest.raises(UsageError, match="is not s3://BUCKET/KEY"):
        parse(name)


@pytest.mark.parametrize("url", ["s3:///key", "s3://B_ad/key", "s3://ab/key"])
def test_a_name_that_no_bucket_has_is_refused(url):
    with pytest.raises(UsageError, match="is no name of a bucket"):
        parse(url)


def test_what_is_below_an_address():
    address = parse("s3://bucket/runs/1/")
    assert str(address.below("a/b.txt")) == "s3://bucket/runs/1/a/b.txt"
    assert address.name == "1"
    assert parse("s3://bucket").below("x").key == "x"
