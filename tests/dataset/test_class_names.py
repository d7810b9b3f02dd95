import pytest

from ghostkit.dataset.class_names import read_class_names
from ghostkit.errors import UsageError


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("tench\r\nshark\n\n", ("tench", "shark")),
        ("0 tench, Tinca tinca\n1 shark\n", ("tench, Tinca tinca", "shark")),  # PaddleClas
        ("0\ttench\n1\tshark\n", ("tench", "shark")),
        ("0 tench\n2 shark\n", ("0 tench", "2 shark")),  # no indices, then
        ("0\n1\n", ("0", "1")),
        ("\ufeff# ours\ncrane\ncrane\n", ("crane (0)", "crane (1)")),
    ],
)
def test_a_name_a_line(tmp_path, content, names):
    (tmp_path / "names.txt").write_text(content)
    assert read_class_names(tmp_path / "names.txt") == names


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\n\nb\n", "name of class 1 is empty"),
        (b"\xff\xfe", "cannot read"),
        (b"# none\n", "no class name"),
    ],
)
def test_class_names_that_cannot_be_read(tmp_path, content, said):
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_class_names(tmp_path / "labels.txt")
    with pytest.raises(UsageError, match="cannot read the class names in"):
        read_class_names(tmp_path / "none.txt")
