"""The Open Inference Protocol: what a request says, and what is answered."""

import base64
import json
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostkit.backend import FakeBackend
from ghostkit.card import Output
from ghostkit.classifier import Classifier
from ghostkit.serve.protocol import describe, read_request, response
from ghostkit.serve.refusals import Refused
from tiny import tiny_card

CARD = tiny_card()
LOGITS = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 1.0]], np.float32)


def request(*inputs, tail=b"", **more):
    """A body, and the header that says where its JSON ends."""
    head = json.dumps({"inputs": list(inputs), **more}).encode()
    return head + tail, str(len(head)) if tail else None


def files(*contents):
    """Files as JSON has them."""
    texts = [base64.b64encode(each).decode() for each in contents]
    return {"name": "picture", "datatype": "BYTES", "shape": [len(contents)], "data": texts}


def tensor(shape, data, datatype="FP32", name="image"):
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": data}


def refusal(body, length=None):
    with pytest.raises(Refused) as refused:
        read_request(body, length, CARD)
    assert refused.value.status == 400
    return str(refused.value)


def test_a_model_describes_itself():
    assert describe("shoes", CARD) == {
        "name": "shoes",
        "versions": ["1"],
        "platform": "ghostkit",
        "inputs": [
            {"name": "picture", "datatype": "BYTES", "shape": [-1]},
            {"name": "image", "datatype": "FP32", "shape": [-1, 3, 8, 8]},
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
        ],
    }


def test_files_in_json_are_base64_and_in_binary_as_they_are():
    assert read_request(*request(files(b"one", b"\xff\0")), CARD).pictures == [b"one", b"\xff\0"]
    tail = struct.pack("<I", 3) + b"one" + struct.pack("<I", 0)
    binary = {"name": "picture", "datatype": "BYTES", "shape": [2, 1]}
    binary["parameters"] = {"binary_data_size": len(tail)}
    assert read_request(*request(binary, tail=tail), CARD).pictures == [b"one", b""]


def test_a_body_without_json_is_one_picture_and_its_answer_is_binary():
    asked = read_request(b"\xff\xd8 and so on", "0", CARD)
    assert asked.pictures == [b"\xff\xd8 and so on"]
    assert [(each.name, each.binary) for each in asked.outputs] == [("probabilities", True)]


@pytest.mark.parametrize("nested", [False, True])
def test_a_tensor_is_read_row_by_row(nested):
    values = np.arange(2 * 3 * 8 * 8, dtype=np.float32).reshape(2, 3, 8, 8)
    data = values.tolist() if nested else values.ravel().tolist()
    asked = read_request(*request(tensor((2, 3, 8, 8), data), id="seven"), CARD)
    assert asked.id == "seven" and asked.pictures is None
    assert asked.images.dtype == np.float32
    np.testing.assert_array_equal(asked.images, values)
    raw = tensor((2, 3, 8, 8), None) | {"parameters": {"binary_data_size": values.nbytes}}
    asked = read_request(*request(raw, tail=values.astype("<f4").tobytes()), CARD)
    np.testing.assert_array_equal(asked.images, values)


ONE = (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("given_input", "words"),
    [
        (files(), "has nothing in it"),
        (files(b"a") | {"shape": [2]}, "1 elements, but its shape is [2]"),
        (files(b"a") | {"data": ["***"]}, "element 0 is not base64"),
        (files(b"a") | {"data": [7]}, "element 0 is not base64"),
        (files(b"a") | {"name": "photo"}, "no input 'photo' of BYTES; there is 'picture', BYTES"),
        (tensor((1, 3, 8, 9), [0] * 216), "shape [1, 3, 8, 9], expected [-1, 3, 8, 8]"),
        (tensor((192,), [0] * 192), "shape [192], expected [-1, 3, 8, 8]"),
        (tensor(ONE, [0] * 191), "191 numbers, but its shape is [1, 3, 8, 8]"),
        (tensor(ONE, ["1.5"] * 192), "no array of numbers: it has str in it"),
        (tensor(ONE, [None] * 191 + [0]), "it has NoneType in it"),
        (tensor(ONE, [True] + [0.5] * 191), "it has bool in it"),
        (tensor(ONE, [[0, 1], [2]]), "no array of numbers"),
        (tensor(ONE, [0] * 192, "INT8"), "INT8, expected FP32"),
        (tensor(ONE, [0] * 192, "FP128"), "FP128, expected FP32"),
        (tensor(ONE, None), "neither data nor binary_data_size"),
        (tensor((0, 3, 8, 8), []), "has nothing in it"),
        (tensor(ONE, None) | {"parameters": {"binary_data_size": -1}}, "binary_data_size -1"),
        (tensor(ONE, None) | {"parameters": {"binary_data_size": 768}}, "but 0 bytes follow"),
        (tensor((10**30, 3, 8, 8), [0]), "inputs.0.shape.0"),
        (tensor(ONE, [0] * 192, "Q" * 200_000), "inputs.0.datatype"),
    ],
)
def test_what_is_wrong_with_an_input_is_said(given_input, words):
    assert words in refusal(*request(given_input))


def test_what_is_wrong_with_a_request_is_said():
    assert "Invalid JSON" in refusal(b"{")
    assert "inputs" in refusal(b"{}")
    assert "'picture', 'picture': expected one" in refusal(*request(files(b"a"), files(b"a")))
    assert "inference-header-content-length: '9'" in refusal(b"{}", "9")
    assert "inference-header-content-length: '-1'" in refusal(b"{}", "-1")
    body, _ = request(files(b"a"))
    assert "3 bytes follow that belong to no input" in refusal(body + b"abc", str(len(body)))
    for wanted, words in (
        ({"name": "boxes"}, "no output 'boxes'; there is probabilities and logits"),
        ({"name": "logits", "parameters": {"classification": "two"}}, "classification 'two'"),
        ({"name": "logits", "parameters": {"classification": True}}, "classification True"),
    ):
        assert words in refusal(*request(files(b"a"), outputs=[wanted]))
    cut = files(b"a") | {"data": None, "parameters": {"binary_data_size": 6}}
    assert "9 bytes, 2 are left" in refusal(*request(cut, tail=b"\x09\0\0\0ab"))
    cut["parameters"] = {"binary_data_size": 3}
    assert "3 bytes after the last element" in refusal(*request(cut, tail=b"\x09\0\0"))


@pytest.mark.parametrize("member", ["inputs", "outputs"])
def test_a_list_that_is_far_too_long_costs_little(member):
    body = request(files(b"a"))[0][:-1] + b', "%s": [%s0]}' % (member.encode(), b"0," * 100_000)
    tracemalloc.start()
    try:
        assert f"{member}: List should have at most 16 items" in refusal(body)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # an error of each took 200 times it
    finally:
        tracemalloc.stop()


def test_what_a_request_says_is_not_repeated_at_any_length():
    long = "q" * 100_000
    wanted = {"name": "logits", "parameters": {"classification": long}}
    said = refusal(*request(files(b"a"), outputs=[wanted]))
    assert "classification 'qqq" in said and len(said) < 200
    many = tensor(ONE, None) | {"parameters": {"binary_data_size": [long] * 1000}}
    assert len(refusal(*request(many))) < 400
    assert len(refusal(b"{}", long)) < 200


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1, 256, 0.5])
def test_a_number_that_is_no_pixel_is_refused(value):
    card = CARD.model_copy(update={"input": CARD.input.model_copy(update={"dtype": "uint8"})})
    body, _ = request(tensor(ONE, [value] * 192, "UINT8"))
    with pytest.raises(Refused, match="UINT8 has whole numbers of 0 to 255 alone"):
        read_request(body, None, card)
    body, _ = request(tensor(ONE, [255, 0.0, 7] * 64, "UINT8"))
    assert read_request(body, None, card).images.ravel().tolist() == [255, 0, 7] * 64


def test_binary_parts_are_not_copied():
    content = b"a" * 1_000_000
    tail = b"".join(struct.pack("<I", len(content)) + content for _ in range(3))
    binary = {"name": "picture", "datatype": "BYTES", "shape": [3]}
    binary["parameters"] = {"binary_data_size": len(tail)}
    body, length = request(binary, tail=tail)
    tracemalloc.start()
    try:
        asked = read_request(body, length, CARD)
        assert tracemalloc.get_traced_memory()[1] < len(content) / 4
    finally:
        tracemalloc.stop()
    assert asked.pictures == [content] * 3 and asked.size == 3 * len(content)


@pytest.mark.parametrize("pad", range(4))
def test_a_tensor_lies_in_memory_as_a_model_reads_it(pad):
    values = np.arange(192, dtype="<f4").reshape(ONE)
    raw = tensor(ONE, None) | {"parameters": {"binary_data_size": values.nbytes}}
    body, length = request(raw, tail=values.tobytes(), id="a" * pad)
    images = read_request(bytearray(body), length, CARD).images
    assert images.flags.aligned and images.flags.c_contiguous and images.tolist() == values.tolist()


def test_memory_is_asked_for_before_json_is_read():
    def full(count):
        held.append(count)
        raise Refused(503, "full")

    held = []
    body, _ = request(tensor(ONE, [0.5] * 192))
    with pytest.raises(Refused, match="full"):
        read_request(body, None, CARD, full)
    assert held[0] > 192 * 32 + len(body)


@given(st.binary(max_size=200), st.none() | st.integers(-2, 210).map(str) | st.text(max_size=5))
def test_whatever_comes_is_read_or_refused(body, length):
    try:
        read_request(body, length, CARD)
    except Refused as error:
        assert error.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["picture", "image", "other"]) | JSON,
        "datatype": st.sampled_from(["BYTES", "FP32", "UINT8"]) | JSON,
        "shape": st.lists(st.integers(-1, 9), max_size=5) | JSON,
    },
    optional={
        "data": JSON | st.lists(st.floats(), min_size=192, max_size=192),
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 9) | JSON}) | JSON,
    },
)


@given(
    st.lists(TENSORS, max_size=2),
    st.dictionaries(st.sampled_from(["outputs", "id", "parameters"]), JSON),
    st.binary(max_size=9),
)
def test_whatever_a_request_of_tensors_says_is_read_or_refused(inputs, more, tail):
    head = json.dumps({"inputs": inputs, **more}).encode()
    try:
        read_request(head + tail, str(len(head)), CARD)
    except Refused as error:
        assert error.status == 400


def answered(outputs, card=CARD, **more):
    classifier = Classifier(FakeBackend(), card)
    body, length = request(files(b"a", b"b"), outputs=outputs, **more)
    return response("shoes", classifier, read_request(body, length, card), LOGITS)


def test_probabilities_and_logits_are_answered_as_asked_for():
    body, json_length = answered([{"name": "probabilities"}, {"name": "logits"}], id="7")
    record = json.loads(body)
    assert json_length is None
    assert (record["model_name"], record["model_version"], record["id"]) == ("shoes", "1", "7")
    assert record["parameters"] == {"card": CARD.hash, "backend": "fake"}
    probabilities, logits = record["outputs"]
    powers = [[1.0, 7.38905609893, 2.71828182846], [20.0855369232, 1.0, 2.71828182846]]  # of e
    expected = [each / sum(row) for row in powers for each in row]
    assert probabilities["shape"] == [2, 3] and probabilities["datatype"] == "FP32"
    np.testing.assert_allclose(probabilities["data"], expected, rtol=1e-6)
    assert logits["data"] == LOGITS.ravel().tolist()


def test_where_the_card_has_a_threshold_it_is_told_who_is_accepted():
    output = CARD.output.model_copy(update={"reject_threshold": 0.7})
    card = CARD.model_copy(update={"output": output})
    assert describe("x", card)["outputs"][2:] == [
        {"name": "accepted", "datatype": "BOOL", "shape": [-1]}
    ]
    probabilities, accepted = json.loads(answered(None, card)[0])["outputs"]
    assert np.reshape(probabilities["data"], (2, 3)).max(axis=1) == pytest.approx(
        [0.665, 0.844], abs=0.001
    )
    expected = {"name": "accepted", "datatype": "BOOL", "shape": [2], "data": [False, True]}
    assert accepted == expected
    for binary in (
        read_request(b"\xff\xd8", "0", card),
        read_request(*request(files(b"a"), parameters={"binary_data_output": True}), card),
    ):  # older clients take all that follows the JSON for probabilities
        assert [(each.name, each.binary) for each in binary.outputs] == [("probabilities", True)]
    wanted = [{"name": "accepted", "parameters": {"binary_data": True}}]
    body, length = answered(wanted, card)
    assert body[length:] == b"\0\1"
    body, length = request(files(b"a"), outputs=[{"name": "accepted"}])
    with pytest.raises(Refused, match="no output 'accepted'; there is probabilities and logits$"):
        read_request(body, length, CARD)
    wanted[0]["parameters"] = {"classification": 1}
    body, length = request(files(b"a"), outputs=wanted)
    with pytest.raises(Refused, match="accepted: it has no classes"):
        read_request(body, length, card)
    named = card.model_copy(update={"output": output.model_copy(update={"name": "accepted"})})
    [plain] = json.loads(answered(wanted, named)[0])["outputs"]  # the model's own output
    assert plain["data"] == ["2.000000:1:green", "3.000000:0:red"]


def test_the_best_classes_are_answered_in_words_as_triton_does():
    asked = {"name": "logits", "parameters": {"classification": 2}}
    [output] = json.loads(answered([asked])[0])["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 2])
    assert output["data"] == [
        "2.000000:1:green",
        "1.000000:2:blue",
        "3.000000:0:red",
        "1.000000:2:blue",
    ]
    asked["parameters"]["classification"] = 99
    assert json.loads(answered([asked])[0])["outputs"][0]["shape"] == [2, 3]


def test_binary_outputs_follow_the_json_in_order():
    asked = [
        {"name": "logits", "parameters": {"binary_data": True}},
        {"name": "probabilities"},
        {"name": "logits", "parameters": {"binary_data": True, "classification": 1}},
    ]
    body, json_length = answered(asked)
    head, tail = json.loads(body[:json_length]), body[json_length:]
    sizes = [each.get("parameters", {}).get("binary_data_size") for each in head["outputs"]]
    assert sizes[0] == LOGITS.nbytes and sizes[1] is None and sum(filter(None, sizes)) == len(tail)
    assert tail[: sizes[0]] == LOGITS.astype("<f4").tobytes()
    words = [b"2.000000:1:green", b"3.000000:0:red"]
    assert tail[sizes[0] :] == b"".join(struct.pack("<I", len(each)) + each for each in words)
    everything, length = answered(None, parameters={"binary_data_output": True})
    assert len(everything) - length == LOGITS.nbytes


def test_a_model_that_gives_probabilities_has_one_output():
    card = CARD.model_copy(update={"output": Output(name="probabilities", kind="probabilities")})
    assert [each["name"] for each in describe("x", card)["outputs"]] == ["probabilities"]
    body, length = request(files(b"a"), outputs=[{"name": "logits"}])
    with pytest.raises(Refused, match="no output 'logits'; there is probabilities$"):
        read_request(body, length, card)
