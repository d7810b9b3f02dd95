"""What people call the classes, where the folders are named by ids."""

import pytest

from ghostkit.dataset import open_dataset
from ghostkit.dataset.titles import distinct_titles, read_titles
from tiny import BLUE, RED, save_square

WORDS = (
    "n1\tgoldfish, Carassius auratus\nn2\tcrane\nn3\tcrane\nn4\tlynx, catamount\nn5\tlynx, wild\n"
)


@pytest.mark.parametrize("name", ["words.txt", "LOC_synset_mapping.txt"])
def test_the_list_beside_the_data_gives_the_first_synonym(tmp_path, name):
    text = WORDS if name == "words.txt" else WORDS.replace("\t", " ")
    (tmp_path / name).write_text(text + "n9 no tab\n\n")
    titles = read_titles(str(tmp_path), ["n1", "n4", "n2"])
    assert titles == ("goldfish", "lynx", "crane")


def test_equal_titles_are_told_apart(tmp_path):
    (tmp_path / "words.txt").write_text(WORDS)
    titles = read_titles(str(tmp_path), ["n1", "n2", "n3", "n4", "n5", "n6"])
    assert titles == (
        *("goldfish", "crane (n2)", "crane (n3)", "lynx, catamount", "lynx, wild"),
        "n6",  # the list lacks it
    )
    assert distinct_titles([("a",), ("b",)], ["x", "y"]) == ("a", "b")


def test_without_a_list_of_these_classes_there_are_none(tmp_path):
    assert read_titles(str(tmp_path), ["n1"]) is None
    (tmp_path / "words.txt").write_bytes(b"my notes \xff\nn1 without a tab\nn1\t , \n")
    assert read_titles(str(tmp_path), ["n1", "cat"]) is None


def test_a_data_set_has_them_and_keeps_its_class_names(tmp_path):
    save_square(tmp_path / "train" / "n1" / "a.png", RED)
    save_square(tmp_path / "train" / "n2" / "a.png", BLUE)
    assert open_dataset(tmp_path, "train").titles is None
    (tmp_path / "words.txt").write_text(WORDS)
    data = open_dataset(tmp_path, "train")
    assert (data.classes, data.titles) == (("n1", "n2"), ("goldfish", "crane"))
