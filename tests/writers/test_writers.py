import csv
import errno
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostkit.errors import OutputError, UsageError
from ghostkit.predictions import Prediction
from ghostkit.writers import (
    CSV_COLUMNS,
    WRITERS,
    check_result_names,
    folder,
    kind_of,
    open_writer,
    result_name,
)

CLASSES = ("red", "grün, hell", '"蓝"')
ODD_NAME = b'\xff\n"x,.jpg'
line_kinds = pytest.mark.parametrize("kind", ["jsonl", "csv"])


def answered(source, probabilities=(0.25, 0.125, 0.625)):
    return Prediction(source, CLASSES, np.array(probabilities, np.float32), None, "answered")


def refused(source, reason="truncated JPEG", status="refused"):
    return Prediction(source, CLASSES, None, reason, status)


def write(kind, target, *predictions, **options):
    with open_writer(kind, target, **options) as writer:
        for prediction in predictions:
            writer.write(prediction)


def read_csv(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
        return list(csv.DictReader(stream))


@line_kinds
def test_a_file_of_lines_is_on_the_disk_when_its_block_ends(kind, tmp_path, monkeypatch):
    target, synced, sync = tmp_path / f"out.{kind}", [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(os.fstat(file).st_ino) or sync(file)
    )
    write(kind, target, answered("a.jpg"))
    assert synced == [target.stat().st_ino, tmp_path.stat().st_ino]


def test_json_lines_hold_one_record_per_picture_in_order(tmp_path):
    target = tmp_path / "new" / "out.jsonl"
    write(None, target, answered("a.jpg"), refused("b.jpg"), top_k=2, model_hash="abc")
    first, second = map(json.loads, target.read_bytes().splitlines())
    assert first == {
        "path": "a.jpg",
        "status": "answered",
        "top": [
            {"class_index": 2, "class_name": '"蓝"', "probability": 0.625},
            {"class_index": 0, "class_name": "red", "probability": 0.25},
        ],
        "model": "abc",
    }
    assert second == {
        "path": "b.jpg",
        "status": "refused",
        "reason": "truncated JPEG",
        "model": "abc",
    }


def test_json_lines_without_a_model_hash_do_not_mention_one(tmp_path):
    write("jsonl", tmp_path / "out", answered("a.jpg"))
    assert "model" not in json.loads((tmp_path / "out").read_text())


def test_json_lines_are_utf8_that_a_person_can_read(tmp_path):
    write("jsonl", tmp_path / "out", answered("照片/猫.jpg"))
    assert "照片/猫.jpg" in (tmp_path / "out").read_text(encoding="utf-8")


def test_csv_has_the_best_class_and_rfc_4180_quoting(tmp_path):
    target = tmp_path / "out.csv"
    write(None, target, answered("a.jpg", (0.1, 0.9, 0)), refused('b,"\n.jpg', status="failed"))
    assert target.read_bytes() == (
        b"path,status,class_index,class_name,probability,reason\r\n"
        b'a.jpg,answered,1,"gr\xc3\xbcn, hell",0.899999976,\r\n'
        b'"b,""\n.jpg",failed,,,,truncated JPEG\r\n'
    )


def test_csv_has_a_last_column_of_titles_where_the_model_has_them(tmp_path):
    titles = ("Rot", "Grün, hell", "Blau")
    titled = Prediction(
        "a.jpg", CLASSES, np.array((0.1, 0.9, 0), np.float32), None, "answered", titles
    )
    write("csv", tmp_path / "out.csv", titled, refused("b.jpg"), columns=("title",))
    rows = read_csv(tmp_path / "out.csv")
    assert [(row["class_name"], row["title"]) for row in rows] == [
        ("grün, hell", "Grün, hell"),
        ("", ""),
    ]
    assert list(rows[0])[-2:] == ["reason", "title"]


def test_a_file_name_with_a_newline_quotes_and_a_stray_byte_comes_back_from_both(tmp_path):
    name = os.fsdecode(ODD_NAME)
    write("jsonl", tmp_path / "out.jsonl", answered(name))
    write("csv", tmp_path / "out.csv", answered(name))
    [line] = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert os.fsencode(json.loads(line)["path"]) == ODD_NAME
    [row] = read_csv(tmp_path / "out.csv")
    assert os.fsencode(row["path"]) == ODD_NAME
    assert tuple(row) == CSV_COLUMNS


@settings(max_examples=60)
@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_any_linux_file_name_comes_back_from_both(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("names")
    for kind in ("jsonl", "csv"):
        write(kind, folder / kind, answered(os.fsdecode(name)))
    record = json.loads((folder / "jsonl").read_bytes().decode("utf-8"))
    assert os.fsencode(record["path"]) == name
    assert os.fsencode(read_csv(folder / "csv")[0]["path"]) == name


def test_the_seeds_files_hold_ids_best_first_each_followed_by_a_space(tmp_path):
    target = tmp_path / "results"
    write(None, f"{target}/", answered("in/cat.01.JPEG"), answered("dog"), top_k=2)
    assert {p.name: p.read_bytes() for p in target.iterdir()} == {
        "cat.01_1.txt": b"2 0 \n",
        "dog_1.txt": b"2 0 \n",
    }


def test_a_picture_without_an_answer_gets_no_file(tmp_path):
    write("txt", tmp_path, answered("a.jpg"), refused("b.jpg"))
    assert [p.name for p in tmp_path.iterdir()] == ["a_1.txt"]
    write("txt", tmp_path, refused("a.jpg"), overwrite=True)  # the earlier one is no answer of it
    assert list(tmp_path.iterdir()) == []


def test_an_odd_file_name_gets_its_result_file(tmp_path):
    write("txt", tmp_path, answered(os.fsdecode(ODD_NAME)))
    assert os.listdir(os.fsencode(tmp_path)) == [b'\xff\n"x,_1.txt']


@pytest.mark.parametrize(
    "second", [answered("y/cat.png"), refused("y/cat.png"), answered("x/cat.jpg")]
)
def test_two_pictures_that_would_write_one_file_are_an_error_naming_both(tmp_path, second):
    first = answered("x/cat.jpg", (1, 0, 0))
    with pytest.raises(OutputError) as caught:
        write("txt", tmp_path, first, second)
    for name in (first.source, second.source, "cat_1.txt", ".jsonl"):
        assert name in str(caught.value)
    assert (tmp_path / "cat_1.txt").read_text().startswith("0 ")


def test_names_that_cannot_have_a_file_each_are_refused_before_the_work():
    check_result_names(["a/1.jpg", "a/2.jpg", "b/3.jpg"])
    with pytest.raises(OutputError, match=r"'a/1.jpg' and 'b/1.png' .* '1_1.txt'.*\.jsonl"):
        check_result_names(["a/1.jpg", "a/2.jpg", "b/1.png"])
    check_result_names(["垃" * 83 + ".jpg"])  # 249 bytes and 6
    with pytest.raises(OutputError, match="longer than 255 bytes"):
        check_result_names(["垃" * 83 + "x.jpg"])


def test_a_terminal_code_in_a_name_is_escaped_in_json_and_comes_back(tmp_path):
    name = "\x1b[2J\x9b\x7f\u2028.jpg"
    write("jsonl", tmp_path / "out", answered(name))
    line = (tmp_path / "out").read_text("utf-8").removesuffix("\n")
    assert line.isprintable()
    assert json.loads(line)["path"] == name


@pytest.mark.parametrize(
    ("source", "name"),
    [("a/b.jpg", "b_1.txt"), ("b.c.jpeg", "b.c_1.txt"), ("b", "b_1.txt"), (".jpg", ".jpg_1.txt")],
)
def test_result_names(source, name):
    assert result_name(source) == name


@line_kinds
def test_results_that_stand_already_are_kept(tmp_path, kind):
    target = tmp_path / "out"
    target.write_text("earlier")
    with pytest.raises(OutputError, match="exists.*--overwrite"):
        open_writer(kind, target)
    assert target.read_text() == "earlier"
    write(kind, target, answered("a.jpg"), overwrite=True)
    assert "earlier" not in target.read_text()


def test_a_folder_with_results_is_kept(tmp_path):
    (tmp_path / "notes.md").write_text("mine")
    (tmp_path / "a_1.txt").write_text("7 \n")
    with pytest.raises(OutputError, match=r"holds results, e\.g\. 'a_1\.txt'.*--overwrite"):
        open_writer("txt", tmp_path)
    (tmp_path / "b_1.txt").write_text("8 \n")
    write("txt", tmp_path, answered("a.jpg"), overwrite=True, top_k=1)
    texts = {p.name: p.read_text() for p in tmp_path.iterdir()}
    assert texts == {"notes.md": "mine", "a_1.txt": "2 \n", "b_1.txt": "8 \n"}


@line_kinds
def test_a_line_is_in_the_file_when_write_returns(tmp_path, kind):
    target = tmp_path / "out"
    with open_writer(kind, target) as writer:
        for i in range(3):
            before = target.stat().st_size
            writer.write(answered(f"{i}.jpg"))
            assert target.stat().st_size > before
            assert target.read_bytes().endswith(b"\n")


@line_kinds
def test_what_was_written_before_an_exception_stays(tmp_path, kind):
    with pytest.raises(KeyboardInterrupt), open_writer(kind, tmp_path / "out") as writer:
        writer.write(answered("a.jpg"))
        raise KeyboardInterrupt
    assert "a.jpg" in (tmp_path / "out").read_text()


@line_kinds
def test_a_full_disk_is_an_output_error(kind):
    with pytest.raises(OutputError, match=f"'/dev/full': {os.strerror(errno.ENOSPC)}"):
        write(kind, "/dev/full", answered("a.jpg"))


def test_a_device_needs_no_overwrite():
    write("jsonl", os.devnull, answered("a.jpg"))


@line_kinds
def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path, kind):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write results.*file' is a file, not a folder"):
        open_writer(kind, tmp_path / "file" / "out")


@line_kinds
def test_a_file_format_does_not_go_into_a_folder(tmp_path, kind):
    with pytest.raises(OutputError, match="is a folder"):
        open_writer(kind, tmp_path, overwrite=True)


def test_a_file_is_not_a_result_folder(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="cannot write results"):
        open_writer("txt", tmp_path / "out", overwrite=True)


@line_kinds
def test_minus_is_standard_output_which_stays_open(capfdbinary, kind):
    write(kind, "-", answered("a.jpg"))
    print("still open", flush=True)
    lines = capfdbinary.readouterr().out.splitlines()
    assert b"a.jpg" in lines[-2] and lines[-1] == b"still open"


def test_standard_output_stays_open_also_where_its_first_bytes_fail(monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    stream = Full()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream))
    with pytest.raises(OutputError, match="No space left"):
        write("csv", "-", answered("a.jpg"))
    assert not stream.closed


def test_a_reader_that_goes_away_is_an_output_error():
    program = """if True:
        import numpy as np
        from ghostkit.errors import OutputError
        from ghostkit.predictions import Prediction
        from ghostkit.writers import open_writer
        one = Prediction("a", ("b",), np.ones(1, np.float32), None, "answered")
        try:
            with open_writer(None, "-") as writer:
                while True:
                    writer.write(one)
        except OutputError as error:
            raise SystemExit(str(error))
    """
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline())["path"] == "a"
        process.stdout.close()
        assert "cannot write results to '-': Broken pipe" in process.stderr.read().decode()


def test_seed_files_cannot_go_to_standard_output():
    with pytest.raises(UsageError, match="name a folder"):
        open_writer("txt", "-")


def test_the_kind_follows_from_the_name(tmp_path):
    names = ("a.jsonl", "a.JSON", "a.b.csv", "-", "folder/", tmp_path)
    assert [kind_of(n) for n in names] == ["jsonl", "jsonl", "csv", "jsonl", "txt", "txt"]


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.jsonl.gz"])
def test_an_unknown_suffix_lists_the_allowed_ones(name):
    with pytest.raises(UsageError, match=r"\.jsonl, \.json, \.csv, \.parquet, or a folder"):
        open_writer(None, name)


def test_an_unknown_kind_lists_the_allowed_ones():
    with pytest.raises(UsageError, match="'xlsx'; choose one of: jsonl, csv, txt, parquet"):
        open_writer("xlsx", "out.csv")
    assert list(WRITERS) == ["jsonl", "csv", "txt", "parquet"]


def test_a_short_write_is_completed(tmp_path, monkeypatch):
    class Narrow(io.FileIO):
        def write(self, data):
            return super().write(bytes(data)[:7])

    monkeypatch.setattr("builtins.open", lambda path, mode, buffering: Narrow(path, mode))
    write("jsonl", tmp_path / "out", answered("a.jpg"))
    monkeypatch.undo()
    assert json.loads((tmp_path / "out").read_bytes())["path"] == "a.jpg"


def test_where_case_does_not_count_two_names_of_one_file_are_refused(tmp_path, monkeypatch):
    names = ["a/Ä.jpg", "b/a\N{COMBINING DIAERESIS}.jpg"]
    check_result_names(names, tmp_path)
    monkeypatch.setattr(folder, "ignores_case", lambda path: True)  # as on macOS
    with pytest.raises(OutputError, match="would both be written to"):
        check_result_names(names, tmp_path)
    with open_writer("txt", tmp_path / "out") as writer:
        writer.write(answered(names[0]))
        with pytest.raises(OutputError, match="would both be written to"):
            writer.write(answered(names[1]))
