import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostkit.dataset.label_file import Label, classes_of, match, read_label_file
from ghostkit.errors import DatasetError


@pytest.fixture
def label_file(tmp_path):
    def write(content):
        path = tmp_path / "labels.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def answers(path, **options):
    return [(label.name, label.answer) for label in read_label_file(path, **options)[0]]


def test_the_seeds_lines(label_file):
    path = label_file("ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000002.JPEG 970\n")
    labels, repeated = read_label_file(path)
    assert labels[0] == Label(1, "ILSVRC2012_val_00000001.JPEG", 65)
    assert labels[1] == Label(2, "ILSVRC2012_val_00000002.JPEG", 970)
    assert repeated == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("my cat 2.jpg 7", [("my cat 2.jpg", 7)]),
        ("a.jpg   7  \n", [("a.jpg", 7)]),
        (" a.jpg 7", [(" a.jpg", 7)]),
        ("\ufeffa.jpg 7\r\n\r\n\nb.jpg 8\r\n", [("a.jpg", 7), ("b.jpg", 8)]),
        ("猫.jpg 7", [("猫.jpg", 7)]),
        ("a.jpg\tgreat white shark\n", [("a.jpg", "great white shark")]),
        ("my cat.jpg\t7\r\n", [("my cat.jpg", "7")]),
        (b"caf\xe9.jpg 7", [("caf\udce9.jpg", 7)]),
    ],
)
def test_lines_are_read(label_file, content, expected):
    assert answers(label_file(content)) == expected


TABLE = "path,label\r\na.jpg,great white\r\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TABLE, [("a.jpg", "great white")]),
        ("\ufeff\nLabel;File Size;Filename\ncat;7;a, b.jpg\n", [("a, b.jpg", "cat")]),
        ("image,class_id\na.jpg,7\n\nb.jpg,08\n", [("a.jpg", 7), ("b.jpg", 8)]),
        ("image,class_id,class_name\na.jpg,7,cat\n", [("a.jpg", "cat")]),
        ("image,label\na.jpg,7\nb.jpg,cat\n", [("a.jpg", "7"), ("b.jpg", "cat")]),
        ("filename\tclass\na.jpg\tcat\n", [("a.jpg", "cat")]),
        ('path,label\n"say ""a"",\u2028b.jpg",cat\n', [('say "a",\u2028b.jpg', "cat")]),
    ],
)
def test_a_table_names_its_columns(label_file, content, expected):
    assert answers(label_file(content)) == expected


def test_rows_that_lack_a_cell_are_named(label_file):
    with pytest.raises(DatasetError, match=r"line 3: \['b.jpg'\] lacks a path or a class"):
        read_label_file(label_file(TABLE + "b.jpg\r\n"))


def test_a_csv_without_names_of_its_columns_is_refused(tmp_path):
    (tmp_path / "l.csv").write_text("a.jpg,cat\n")
    with pytest.raises(DatasetError, match="which is 'a.jpg,cat'; expected one of path"):
        read_label_file(tmp_path / "l.csv")


def test_names_are_below_the_folder(tmp_path, label_file):
    folder, link = tmp_path / "photos", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    lines = ["./a.jpg", f"{folder}/b/b.jpg", f"{folder}/../photos/c.jpg", "b//d.jpg", "../e.jpg"]
    path = label_file("".join(f"{line} 1\n" for line in lines))
    names = ["a.jpg", "b/b.jpg", "c.jpg", "b/d.jpg", "../e.jpg"]
    for root in (folder, link):
        assert [name for name, _ in answers(path, folder=str(root))] == names
    with pytest.raises(DatasetError, match="line 2: 'a.jpg' has class 2, but class 1 in line 1"):
        read_label_file(label_file("a.jpg 1\n./a.jpg 2\n"), folder=str(folder))


def test_boxes_are_left_unread(label_file):
    assert answers(label_file("a.JPEG\tn01\t0\t32\t44\t62\n"), boxes=True) == [("a.JPEG", "n01")]


@pytest.mark.parametrize(
    "line",
    ["a.jpg", "a.jpg x", "a.jpg -1", "a.jpg 1.0", "7", " 7", "a.jpg 100000", "a.jpg " + "9" * 5000],
)
def test_a_malformed_line_is_named(label_file, line):
    with pytest.raises(DatasetError, match=r"line 2: .* is not NAME INDEX"):
        read_label_file(label_file(f"good.jpg 1\n{line}\n"))


@pytest.mark.parametrize("line", ["a.jpg 7", "a.jpg\t", "\tcat", "a.jpg\tcat\tdog"])
def test_a_malformed_line_among_tabs_is_named(label_file, line):
    with pytest.raises(DatasetError, match="line 2: .* is not NAME<tab>CLASS"):
        read_label_file(label_file(f"good.jpg\tcat\n{line}\n"))


def test_many_malformed_lines_are_counted(label_file):
    with pytest.raises(DatasetError, match="line 1: .*line 8: .*and 12 more lines"):
        read_label_file(label_file("x\n" * 20))


def test_a_repeated_line_is_recorded(label_file):
    labels, repeated = read_label_file(label_file("a.jpg 1\nb.jpg 2\na.jpg 1\n"))
    assert [label.name for label in labels] == ["a.jpg", "b.jpg"]
    assert len(repeated) == 1 and repeated[0].endswith("line 3: repeats line 1, 'a.jpg'")


def test_two_classes_for_one_picture_are_named(label_file):
    with pytest.raises(DatasetError, match="line 3: 'a.jpg' has class 5, but class 1 in line 1"):
        read_label_file(label_file("a.jpg 1\nb.jpg 2\na.jpg 5\n"))


@pytest.mark.parametrize("content", ["", "\n\r\n", "\ufeff"])
def test_an_empty_file_is_named(label_file, content):
    with pytest.raises(DatasetError, match="holds no label"):
        read_label_file(label_file(content))


def test_utf_16_is_named(label_file):
    with pytest.raises(DatasetError, match="UTF-16; save it as UTF-8"):
        read_label_file(label_file("a.jpg 1".encode("utf-16")))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match="cannot read the label file '.*gone.txt': No such file"):
        read_label_file(tmp_path / "gone.txt")


def test_classes_that_differ_by_case_are_named(label_file):
    labels, _ = read_label_file(label_file("a.jpg\tCat\nb.jpg\tcat\n"))
    with pytest.raises(DatasetError, match="'Cat' and 'cat' differ by case"):
        classes_of(labels, "labels.txt")


def test_an_index_beyond_the_classes_is_named():
    with pytest.raises(DatasetError, match="line 4: class 2 is not among the 2 classes"):
        match([Label(4, "a.jpg", 2)], ["a.jpg"], ["cat", "dog"], "labels.txt")


NAMES = st.text(
    st.characters(exclude_characters="\n\r\t/\0", exclude_categories=["Cs"]), min_size=1
).map(lambda stem: stem + ".jpg")


@given(st.dictionaries(NAMES, st.integers(0, 999), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_every_index_comes_back(tmp_path_factory, table, end):
    path = tmp_path_factory.getbasetemp() / "indices.txt"
    lines = [f"{name} {index}{end}" for name, index in table.items()]
    path.write_bytes("".join(lines).encode("utf-8-sig"))
    labels, repeated = read_label_file(path)
    assert {label.name: label.answer for label in labels} == table
    assert [label.line for label in labels] == list(range(1, len(table) + 1)) and not repeated
    classes = classes_of(labels, "indices.txt")
    listing = match(labels, sorted(table), classes, "indices.txt")
    assert dict(listing.pictures) == table and not listing.skipped


@given(st.dictionaries(NAMES, st.sampled_from(["cat", "2", "great white"]), min_size=1))
def test_every_class_name_comes_back(tmp_path_factory, table):
    path = tmp_path_factory.getbasetemp() / "names.txt"
    path.write_bytes("".join(f"{name}\t{label}\n" for name, label in table.items()).encode())
    labels, _ = read_label_file(path)
    classes = classes_of(labels, "names.txt")
    listing = match(labels, sorted(table), classes, "names.txt")
    assert {name: classes[target] for name, target in listing.pictures} == table


@given(st.binary(max_size=200))
def test_any_bytes_give_labels_or_a_reason(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.txt"
    path.write_bytes(content)
    try:
        labels, _ = read_label_file(path)
    except DatasetError:
        return
    assert labels and all(label.name for label in labels)


def test_a_separator_within_quotes_of_a_header_separates_nothing(label_file):
    content = 'path,"size, px",label,split\n1/0.png,20,cat,train\n'
    assert answers(label_file(content)) == [("1/0.png", "cat")]


def test_numbers_that_are_names_of_classes_are_no_indices(label_file):
    path = label_file("path,label\na.jpg,1\nb.jpg,2\n")
    assert answers(path) == [("a.jpg", 1), ("b.jpg", 2)]
    assert answers(path, named=frozenset({"1", "2", "3"})) == [("a.jpg", "1"), ("b.jpg", "2")]
