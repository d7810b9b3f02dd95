import os

import numpy as np
import pytest

from ghostkit.errors import MissingExtra, OutputError, UsageError
from ghostkit.predictions import Prediction
from ghostkit.writers import kind_of, open_writer
from ghostkit.writers.table import read_paths

parquet = pytest.importorskip("pyarrow.parquet")

CLASSES = ("red", "green")


def answered(name, titles=None):
    third = np.float32(1) / np.float32(3)
    values = np.array([third, 1 - third], np.float32)
    return Prediction(name, CLASSES, values, None, "answered", titles)


def refused(name):
    return Prediction(name, CLASSES, None, "empty file", "refused")


def write(target, *predictions, **options):
    with open_writer(None, target, model_hash="abc", **options) as writer:
        for prediction in predictions:
            writer.write(prediction)


def test_one_row_per_picture_in_order_with_the_exact_probabilities(tmp_path):
    target = tmp_path / "out.parquet"
    assert kind_of(target) == "parquet"
    write(target, answered("a.jpg"), refused("垃.jpg"))
    table = parquet.read_table(target)
    first, second = table.to_pylist()
    assert (first["path"], first["status"], first["class_index"]) == ("a.jpg", "answered", 1)
    assert first["class_name"] == "green" and first["model"] == "abc" and first["reason"] is None
    third = np.float32(1) / np.float32(3)
    assert [np.float32(each["probability"]) for each in first["top"]] == [1 - third, third]
    assert str(table.schema.field("probability").type) == "float"
    assert second["path"] == "垃.jpg" and second["reason"] == "empty file"
    assert second["top"] is None and second["class_index"] is None
    assert os.listdir(tmp_path) == ["out.parquet"]


def test_a_model_with_titles_has_a_column_of_them(tmp_path):
    write(tmp_path / "out.parquet", answered("a", ("Rot", "Grün")), columns=("title",))
    [row] = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert row["title"] == "Grün" and row["top"][1]["title"] == "Rot"
    write(tmp_path / "none.parquet", answered("a"))
    assert "title" not in parquet.read_schema(tmp_path / "none.parquet").names


def test_a_name_that_is_no_utf8_stands_in_a_column_of_bytes(tmp_path):
    write(tmp_path / "out.parquet", refused("\udcff.jpg"), refused("b.jpg"))
    first, second = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert (first["path"], first["path_bytes"]) == (r"\xff.jpg", b"\xff.jpg")
    assert second["path_bytes"] is None
    assert list(read_paths(tmp_path / "out.parquet")) == [
        ("\udcff.jpg", "refused"),
        ("b.jpg", "refused"),
    ]


def test_until_the_end_there_are_json_lines_and_no_half_table(tmp_path):
    target = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt), open_writer(None, target) as writer:
        writer.write(answered("a.jpg"))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["out.parquet.partial.jsonl"]
    write(target, answered("b.jpg"), resume=True)
    assert [path for path, _ in read_paths(target)] == ["a.jpg", "b.jpg"]


def test_a_long_job_has_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("ghostkit.writers.table.ROWS_AT_A_TIME", 3)
    monkeypatch.setattr("ghostkit.writers.table.BATCHES_PER_GROUP", 2)
    write(tmp_path / "out.parquet", *(refused(f"{i}.jpg") for i in range(14)))
    metadata = parquet.read_metadata(tmp_path / "out.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [6, 6, 2]


def test_no_picture_is_an_empty_table(tmp_path):
    write(tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").num_rows == 0


def test_results_that_stand_already_are_kept(tmp_path):
    target = tmp_path / "out.parquet"
    write(target, answered("a.jpg"))
    with pytest.raises(OutputError, match="exists.*--overwrite"):
        open_writer(None, target)
    write(target, answered("b.jpg"), overwrite=True)
    assert [path for path, _ in read_paths(target)] == ["b.jpg"]


def test_a_table_cannot_go_to_standard_output():
    with pytest.raises(UsageError, match="name one, not '-'"):
        open_writer("parquet", "-")


def test_without_pyarrow_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r'pip install "ghostkit\[parquet\]"'):
        open_writer("parquet", tmp_path / "out.parquet")
    assert os.listdir(tmp_path) == []
