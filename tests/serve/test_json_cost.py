"""What JSON takes in memory is told from its text, and is not less than it takes."""

import tracemalloc

import pytest

from ghostkit.serve.json_cost import MOST_VALUES, answers_cost, json_cost
from ghostkit.serve.refusals import Refused
from ghostkit.serve.tensors import Given

COUNT = 20_000


def given(data="", parameters=""):
    """An input as a request has it."""
    return (
        '{"name": "image", "datatype": "FP32", "shape": [1], '
        f'"data": [{data}], "parameters": {{{parameters}}}}}'
    ).encode()


@pytest.mark.parametrize(
    "text",
    [
        given(",".join(["1.5"] * COUNT)),
        given(",".join(["[]"] * COUNT)),
        given(",".join(["{}"] * COUNT)),
        given(",".join(['{"a":0}'] * COUNT)),
        given("", ",".join(f'"{number}":1' for number in range(COUNT))),
        given('"' + "a" * 10 * COUNT + '"'),
        given('"' + "a" * 10 * COUNT + '\\ud83d\\ude00"'),  # wide: four bytes a character
    ],
    ids=["numbers", "lists", "objects", "members", "parameters", "text", "wide text"],
)
def test_values_take_no_more_than_is_told(text):
    tracemalloc.start()
    try:
        Given.model_validate_json(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most <= json_cost(text)


def test_a_file_in_base64_costs_little_more_than_its_text():
    text = given('"' + "QUJD" * COUNT + '"')
    assert json_cost(text) < 2 * len(text) + 5000


def test_more_values_than_may_be_read_are_refused():
    assert json_cost(b"[" + b"0," * (MOST_VALUES - 2) + b"0]") > 100 * MOST_VALUES
    with pytest.raises(Refused, match="2000000 values; send tensors by the binary") as refused:
        json_cost(b"[" + b"0," * MOST_VALUES + b"0]")
    assert refused.value.status == 413


def test_an_answer_of_too_many_values_is_refused_before_it_is_made():
    assert answers_cost(MOST_VALUES) > 100 * MOST_VALUES
    with pytest.raises(Refused, match="more than 2000000; ask for binary_data"):
        answers_cost(MOST_VALUES + 1)
