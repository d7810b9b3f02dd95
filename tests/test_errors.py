import concurrent.futures
import inspect
import re

import pytest

from ghostkit import errors
from ghostkit.errors import (
    GhostkitError,
    ImageRefused,
    MissingExtra,
    OutputError,
    listed,
    one_line,
    without_frames,
)


def drawn_tree():
    """{class name: name of its parent}, as the module's docstring draws it, in drawn order."""
    parents, ancestors = {}, []
    for line in errors.__doc__.splitlines():
        found = re.match(r"^    (?P<branch>[│ ]*(?:[├└]── )?)(?P<name>[A-Z]\w+)  ", line)
        if found:
            depth = len(found["branch"]) // 4
            ancestors = [*ancestors[:depth], found["name"]]
            parents[found["name"]] = ancestors[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_as_drawn_is_the_tree_of_classes():
    classes = inspect.getmembers(
        errors, lambda member: inspect.isclass(member) and member.__module__ == errors.__name__
    )
    assert drawn_tree() == {name: cls.__bases__[0].__name__ for name, cls in classes}
    assert len(drawn_tree()) >= 10


def test_every_class_says_what_it_means_and_has_one_parent():
    for name in drawn_tree():
        cls = getattr(errors, name)
        assert cls.__doc__ and len(cls.__bases__) == 1
        assert issubclass(cls, GhostkitError)


def test_a_missing_extra_gives_the_command_that_installs_it():
    error = MissingExtra("train", "torch")
    assert str(error) == (
        "this needs the package 'torch', which is not installed; "
        'run: pip install "ghostkit[train]"'
    )
    assert (error.extra, error.package) == ("train", "torch")


def test_a_refused_image_names_the_file_and_the_reason():
    error = ImageRefused("truncated JPEG: 1034 bytes missing", "photos/cat.jpg")
    assert str(error) == "photos/cat.jpg: truncated JPEG: 1034 bytes missing"
    assert (error.reason, error.path) == ("truncated JPEG: 1034 bytes missing", "photos/cat.jpg")


@pytest.mark.parametrize("kind", [MissingExtra, OutputError])
def test_what_the_user_can_mend_is_a_usage_error(kind):
    assert issubclass(kind, errors.UsageError)


def test_no_message_holds_a_raw_line_end_terminal_code_or_stray_byte():
    name = "a\nb\x1b[31m\x9b\u2028\udcff垃圾 .jpg"
    shown = "a\\nb\\x1b[31m\\x9b\\u2028\\udcff垃圾 .jpg"
    assert errors.printable(name) == shown
    assert str(ImageRefused("empty file", name)) == f"{shown}: empty file"
    assert str(OutputError(f"{name} exists")) == f"{shown} exists"


def test_a_message_of_several_lines_has_a_line_per_argument():
    assert str(GhostkitError("2 problems:", "  a\nb")) == "2 problems:\n  a\\nb"


@pytest.mark.parametrize(
    "error",
    [
        errors.UsageError("a", "b"),
        MissingExtra("train", "torch"),
        errors.PipelineError(6015, "unknown property", "another"),
        errors.StoreError("key", "there is no object s3://a/b"),
        ImageRefused("empty file", "a.jpg"),
        errors.ElementError(2006, "no JPEG", "mxpi_imagedecoder0"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_whole_out_of_another_process(error):
    """As concurrent.futures sends it; one that cannot be unpickled breaks the whole pool."""
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        told = pool.submit(failing_with, error).exception(timeout=60)
    assert (type(told), str(told)) == (type(error), str(error))
    assert vars(told).items() >= vars(error).items()


def failing_with(error):
    raise error


def test_what_another_package_says_becomes_one_short_printable_line():
    assert one_line("a\nb\r\n\tc\x00\x1b[31m  d\u2028e") == "a b c [31m d e"
    assert one_line("照片 \udcff") == "照片"
    assert len(one_line("x" * 1000)) == 300
    assert len(one_line("x" * 1000, None)) == 1000


def test_of_many_names_the_first_are_listed_and_the_others_counted():
    assert listed(["a", "b"], 3) == listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_an_error_that_is_kept_holds_no_frame_of_its_own_nor_of_its_causes():
    def raised():
        try:
            try:
                raise ValueError("first")
            except ValueError:
                raise OutputError("second")  # noqa: B904  # its context is enough
        except OutputError as error:
            raise ImageRefused("third", "a.jpg") from error

    with pytest.raises(ImageRefused) as caught:
        raised()
    error = without_frames(caught.value)
    chain = (error, error.__cause__, error.__cause__.__context__)
    assert [str(each) for each in chain] == ["a.jpg: third", "second", "first"]
    assert [each.__traceback__ for each in chain] == [None] * 3
