import pytest

from ghostkit.errors import UsageError
from ghostkit.sources.tables import Columns, read_table

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write(target, **columns):
    parquet.write_table(pyarrow.table(columns), target)
    return str(target)


def test_the_column_of_bytes_and_a_column_of_names_are_found(tmp_path):
    path = write(tmp_path / "a.parquet", label=[1, 2], path=["x.jpg", "y.jpg"], image=[b"1", b"2"])
    assert list(read_table(path, Columns())) == [("x.jpg", b"1", ""), ("y.jpg", b"2", "")]


def test_records_with_bytes_as_hubs_store_them_and_rows_without_names(tmp_path):
    path = write(tmp_path / "a.parquet", image=[{"bytes": b"1", "path": None}, {"bytes": b"2"}])
    assert list(read_table(path, Columns())) == [("0", b"1", ""), ("1", b"2", "")]


def test_a_row_without_bytes_is_refused(tmp_path):
    path = write(tmp_path / "a.parquet", id=["a", "b"], image=[None, b"2"])
    assert list(read_table(path, Columns())) == [
        ("a", None, "no bytes in this row"),
        ("b", b"2", ""),
    ]


def test_named_columns_are_taken(tmp_path):
    path = write(tmp_path / "a.parquet", one=[b"1"], two=[b"2"], title=["t"])
    assert list(read_table(path, Columns("two", "title"))) == [("t", b"2", "")]
    for columns, words in (
        (Columns(), "has 2 columns of bytes; name the pictures' one with --picture-column"),
        (Columns("three"), r"has no column 'three'; it has: one \(binary\)"),
        (Columns("title"), "the column 'title' is string; expected binary"),
    ):
        with pytest.raises(UsageError, match=words):
            list(read_table(path, columns))


def test_many_rows_come_in_order_across_row_groups(tmp_path):
    table = pyarrow.table(
        {"id": list(map(str, range(100))), "image": [b"%d" % i for i in range(100)]}
    )
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    rows = list(read_table(str(tmp_path / "a.parquet"), Columns()))
    assert rows == [(str(i), b"%d" % i, "") for i in range(100)]


@pytest.mark.parametrize("damage", ["empty", "text", "middle"])
def test_a_damaged_file_says_so_at_its_end(tmp_path, damage):
    path = tmp_path / "a.parquet"
    write(path, image=[bytes([i]) * 50_000 for i in range(60)])
    data = path.read_bytes()
    cut = {"empty": b"", "text": b"no table", "middle": data[:2000] + b"\xff" * 4000 + data[6000:]}
    path.write_bytes(cut[damage])
    *_, (name, content, reason) = read_table(str(path), Columns())
    assert (name, content) == ("", None)
    assert reason.startswith("a damaged Parquet file, after ")
