"""Models opened as they were optimised before: the same answers, and never a wrong one."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ghostkit.artifacts import load
from ghostkit.backend import graph_cache
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.bundled import default_model, default_weights
from ghostkit.card import write_sidecar
from ghostkit.errors import ModelError
from ghostkit.files import cache_folder
from tiny import tiny_card


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of this test's entries."""
    monkeypatch.setenv("GHOSTKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "graphs"


@pytest.fixture
def optimised(monkeypatch):
    """How often ONNX Runtime was told to optimise a graph."""
    real, told = onnxruntime.InferenceSession, []

    def open_session(content, options, **more):
        level = options.graph_optimization_level
        told.append(level != onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
        return real(content, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    return told


def pixels(backend, count=3):
    wants = backend.host_card.input
    shape = (count, wants.height, wants.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def entries(cache):
    return sorted(cache.glob("*.graph"))


def test_a_kept_graph_answers_bit_for_bit_as_the_model_does(cache, optimised):
    plain = OnnxBackend(default_model(), fold=True)
    first, second = load().backend, load().backend
    assert optimised == [True, True, False]
    for count in (1, 3):
        expected = plain.infer(pixels(plain, count))
        assert np.array_equal(first.infer(pixels(plain, count)), expected)
        assert np.array_equal(second.infer(pixels(plain, count)), expected)
    assert (second.card, second.host_card) == (plain.card, plain.host_card)
    [entry] = entries(cache)
    assert not [each for each in cache.iterdir() if each != entry]
    wants = plain.card.input
    shape = (2, 3, wants.height, wants.width)
    floats = np.random.default_rng(1).random(shape, np.float32)  # by the unfolded model
    assert np.array_equal(second.infer(floats), plain.infer(floats))


@pytest.fixture
def small(make_model, monkeypatch):
    """A small model that is kept all the same."""
    monkeypatch.setattr(graph_cache, "LEAST_BYTES", 0)
    return make_model()


@pytest.mark.parametrize("place", [0, 5, 20, 60, 500, 1500, -1])
def test_a_damaged_entry_is_made_again(cache, optimised, small, place):
    images = np.full((2, 8, 8, 3), 7, np.uint8)
    expected = load(small).backend.infer(images)
    [entry] = entries(cache)
    whole = entry.read_bytes()
    damaged = bytearray(whole)
    damaged[place] ^= 1
    entry.write_bytes(damaged)
    assert np.array_equal(load(small).backend.infer(images), expected)
    assert optimised == [True, True]
    load(small)
    assert optimised == [True, True, False]


@pytest.mark.parametrize("length", [0, 10, 48, 60, 1000, -1])
def test_a_torn_entry_is_made_again(cache, optimised, small, length):
    load(small)
    [entry] = entries(cache)
    entry.write_bytes(entry.read_bytes()[:length])
    load(small), load(small)
    assert optimised == [True, True, False]


def test_a_whole_entry_that_onnx_runtime_does_not_take_is_no_error(cache, small):
    load(small)
    [entry] = entries(cache)
    kept = graph_cache.find(entry.stem)
    entry.write_bytes(graph_cache._packed(kept.notes, kept.folded, b"no graph"))
    assert load(small).backend.infer(np.zeros((2, 8, 8, 3), np.uint8)).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("what", ["model", "runtime", "fold", "processor"])
def test_another_model_runtime_form_or_processor_has_another_entry(monkeypatch, what):
    content = b"model"
    key = graph_cache.key_of(content, True, "1.2.3")
    assert key == graph_cache.key_of(content, True, "1.2.3")
    if what == "processor":
        monkeypatch.setattr(graph_cache, "processor", lambda: "flags: none")
    changed = (b"other" if what == "model" else content, what != "fold")
    assert graph_cache.key_of(*changed, "1.2.4" if what == "runtime" else "1.2.3") != key


def test_other_weights_beside_the_model_are_refused_with_an_entry_too(cache, tmp_path):
    model, weights = (shutil.copy(each(), tmp_path) for each in (default_model, default_weights))
    load(model)
    assert len(entries(cache)) == 1
    content = bytearray(Path(weights).read_bytes())
    content[-1] ^= 1
    Path(weights).write_bytes(content)
    with pytest.raises(ModelError, match="not those it was made for"):
        load(model)


def test_weights_in_a_file_without_a_hash_are_never_kept(cache, make_model, monkeypatch):
    onnx = pytest.importorskip("onnx")
    monkeypatch.setattr(graph_cache, "LEAST_BYTES", 0)
    path = make_model()
    load(path)
    assert len(entries(cache)) == 1
    model = onnx.load(path)
    scale = onnx.numpy_helper.from_array(np.full(3000, 2, np.float32)[:3], "scale")
    model.graph.initializer.append(scale)
    model.graph.node[2].output[0] = "flat"
    model.graph.node.append(onnx.helper.make_node("Mul", ["flat", "scale"], ["logits"]))
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    ones = np.ones((1, 3, 8, 8), np.float32)
    assert load(path).backend.infer(ones).tolist() == [[2, 2, 2]]
    (path.parent / "weights").write_bytes(np.full(3, 5, np.float32).tobytes())
    assert load(path).backend.infer(ones).tolist() == [[5, 5, 5]]
    assert len(entries(cache)) == 1


def test_a_user_without_a_home_has_no_cache_and_that_is_no_error(make_model, monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(graph_cache, "LEAST_BYTES", 0)
    for name in ("GHOSTKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert load(make_model()).backend.infer(np.ones((1, 3, 8, 8), np.float32)).shape == (1, 3)
    with pytest.raises(OSError, match="this user has no home folder; set GHOSTKIT_CACHE"):
        cache_folder()


def test_a_card_beside_the_model_may_change(cache, make_model, monkeypatch):
    monkeypatch.setattr(graph_cache, "LEAST_BYTES", 0)
    path = make_model(card="")
    for color in ("RGB", "BGR"):
        content = json.loads(tiny_card().to_json())
        content["input"]["color"] = color
        card = type(tiny_card()).from_json(json.dumps(content), "a card")
        write_sidecar(card, path)
        assert load(path).card.input.color == color
    assert entries(cache) == []


@pytest.mark.parametrize("what", ["a file", "read-only", "nowhere"])
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, optimised, small, what):
    place = tmp_path / "place"
    if what == "a file":
        place.write_text("")
    elif what == "read-only":
        place.mkdir(mode=0o500)
    monkeypatch.setenv("GHOSTKIT_CACHE", str(place if what != "nowhere" else "/proc/nowhere"))
    if what == "read-only":  # which root does not mind

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "touch", refuse)
    assert load(small).backend.infer(np.zeros((2, 8, 8, 3), np.uint8)).tolist() == [[0, 0, 0]] * 2
    assert optimised == [True]


def test_a_full_disk_while_the_graph_is_written_is_no_error(cache, monkeypatch, small):
    real = onnxruntime.InferenceSession

    def open_session(content, options, **more):
        if options.optimized_model_filepath:
            raise RuntimeError("No space left on device")
        return real(content, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    assert load(small).backend.infer(np.zeros((2, 8, 8, 3), np.uint8)).tolist() == [[0, 0, 0]] * 2
    assert list(cache.iterdir()) == []


def keep(key, graph):
    with graph_cache.scratch() as scratch:
        scratch.write_bytes(graph)
        graph_cache.keep(key, {}, False, scratch)


def test_the_folder_is_bounded_and_what_was_used_longest_ago_goes_first(cache, monkeypatch):
    monkeypatch.setattr(graph_cache, "MOST_BYTES", 4000)
    for age, name in enumerate(["new", "old", "older"]):
        keep(name, b"g" * 900)
        os.utime(cache / f"{name}.graph", (1000 - age, 1000 - age))
    (cache / ".left.tmp").write_bytes(b"t" * 900)
    os.utime(cache / ".left.tmp", (1, 1))
    assert graph_cache.find("older").graph == b"g" * 900  # now the latest
    keep("next", b"n" * 900)
    keep("last", b"n" * 900)
    assert {each.name for each in cache.iterdir()} == {
        f"{name}.graph" for name in ("new", "older", "next", "last")
    }
    keep("huge", b"g" * 1000)
    assert graph_cache.find("huge") is None
