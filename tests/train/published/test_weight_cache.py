"""Published weights fetched from a server on this machine, or brought by the user, and kept."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ghostkit.dataset.class_names import read_class_names
from ghostkit.errors import CheckpointError, OutputError, UsageError
from ghostkit.steps import describe, evaluation_steps
from ghostkit.train.network.architectures import ARCHITECTURES, build
from ghostkit.train.network.carded import read_carded, write_carded
from ghostkit.train.published.catalogue import CATALOGUE, find, folder, path_of, resolve
from ghostkit.train.published.weight_cache import Kept, adopt, fetch, keep, keep_carded
from weights_site import announcing, redirecting, serving

WIDTH, CLASSES = 0.12, 5
NAMES = ("tench", "crane", "shark", "crane", "ray")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "ghostkit" / "weights"


@pytest.fixture
def site():
    with serving() as site:
        yield site


def narrow(name):
    """The entry, but of a network that is quick to build."""
    return replace(find(name), width=WIDTH, num_classes=CLASSES)


def weights_of(architecture, width=WIDTH, num_classes=CLASSES):
    torch.manual_seed(0)
    return build(architecture, width, num_classes).state_dict()


def saved(path, content):
    torch.save(content, path)
    return path


def body_of(tmp_path, content):
    return saved(tmp_path / "body", content).read_bytes()


def left_in(cache):
    return sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file())


# --- the catalogue -----------------------------------------------------------------------------


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda e: e.name)
def test_every_entry_says_what_it_must(entry):
    assert entry.architecture in ARCHITECTURES
    assert entry.url.startswith(("https://github.com/huawei-noah/", "https://huggingface.co/timm/"))
    assert 70 < entry.top1 < 80 and 90 < entry.top5 < 95
    assert entry.licence and entry.stated_at and entry.page
    assert entry.steps == evaluation_steps(224, 0.875, entry.filter)
    assert "short side to 256" in describe(entry.steps)
    assert path_of(entry.name).is_relative_to(folder())


def test_names_that_are_nearly_right():
    with pytest.raises(UsageError, match="did you mean 'ghostnetv2-1.3'"):
        find("ghostnetv2_1.3")
    with pytest.raises(UsageError, match="called 'x'; see them all: ghostkit weights"):
        find("x")


def test_where_the_cache_is(monkeypatch, tmp_path, cache):
    assert folder() == cache
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder() == tmp_path / ".cache" / "ghostkit" / "weights"


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc/x", "", "a b", "a/b/c", ".hidden"])
def test_a_name_does_not_leave_the_cache(name):
    with pytest.raises(UsageError, match="cannot be a name of weights"):
        path_of(name)


def test_names_and_paths_are_told_apart(tmp_path, cache):
    with pytest.raises(UsageError, match="run: ghostkit weights get ghostnet-1.0"):
        resolve("ghostnet-1.0")
    with pytest.raises(UsageError, match="'ghostnet-1.1' is not a file.*did you mean 'ghostnet-1"):
        resolve("ghostnet-1.1")
    with pytest.raises(UsageError, match="'runs/best.pth.tar' is not a file"):
        resolve("runs/best.pth.tar")
    file = saved(tmp_path / "x.pth", weights_of("ghostnet"))
    assert resolve(file) == file
    kept = adopt(file, narrow("timm/ghostnet_100.in1k"))
    assert resolve("timm/ghostnet_100.in1k") == kept == cache / "timm/ghostnet_100.in1k.safetensors"


# --- fetched -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ghostnet-1.0", "ghostnetv2-1.3", "ghostnetv3-1.0"])
def test_what_the_site_holds_is_kept_with_a_card(site, tmp_path, cache, name):
    entry = narrow(name)
    weights = weights_of(entry.architecture)
    path = entry.url.partition("github.com")[2]
    site.bodies[path] = redirecting("/elsewhere")
    site.bodies["/elsewhere"] = body_of(tmp_path, {"state_dict": weights, "epoch": 3})
    kept = fetch(entry, mirror=site.address + "/")
    assert kept == cache / f"{name}.safetensors"
    assert left_in(cache) == [f"{name}.safetensors"]
    found, card = read_carded(kept)
    assert all(found[n].equal(tensor) for n, tensor in weights.items())
    assert card.classes == tuple(f"class {index}" for index in range(CLASSES))
    assert (card.architecture.name, card.architecture.width) == (entry.architecture, WIDTH)
    assert card.steps == entry.steps
    assert (card.input.height, card.input.width) == (224, 224)
    note = card.provenance.note
    for said in (entry.url, entry.licence, entry.stated_at, "not measured by ghostkit"):
        assert said in note
    assert re.search(r"SHA-256 [0-9a-f]{64}; the class names are placeholders", note)


def test_averaged_weights_are_taken_where_the_entry_is_of_them(site, tmp_path):
    entry = narrow("ghostnetv3-1.0-averaged")
    plain = weights_of("ghostnetv3")
    averaged = {name: tensor.clone() for name, tensor in plain.items()}
    averaged["classifier.bias"] += 1
    site.bodies[entry.url.partition("github.com")[2]] = body_of(
        tmp_path, {"state_dict": plain, "state_dict_ema": averaged}
    )
    found, _ = read_carded(fetch(entry, mirror=site.address))
    assert found["classifier.bias"].equal(averaged["classifier.bias"])


def wrong_bodies(tmp_path):
    right = weights_of("ghostnetv2")
    return {
        "cut short": (announcing(10**6, b"PK\x03\x04"), UsageError, "ended after 4 of 1,000,000"),
        "404": (None, UsageError, "404 Not Found"),
        "too large": (announcing(2**30, b""), UsageError, "at most 536,870,912 are taken"),
        "a page": (b"<!DOCTYPE html>", CheckpointError, "it is a web page"),
        "damaged": (body_of(tmp_path, right)[:-9000], CheckpointError, "damaged|zip"),
        "another network": (
            body_of(tmp_path, weights_of("ghostnet")),
            CheckpointError,
            "holds a ghostnet of width 0.12 with 5 classes; ghostnetv2-1.0 is a ghostnetv2",
        ),
        "another width": (
            body_of(tmp_path, weights_of("ghostnetv2", width=0.25)),
            CheckpointError,
            "of width 0.25 with 5 classes; ghostnetv2-1.0 is a ghostnetv2 of width 0.12",
        ),
        "other classes": (
            body_of(tmp_path, weights_of("ghostnetv2", num_classes=3)),
            CheckpointError,
            "with 3 classes",
        ),
        "incomplete": (
            body_of(tmp_path, {n: t for n, t in right.items() if n != "bn1.bias"}),
            CheckpointError,
            "1 not in the file: bn1.bias",
        ),
        "a program": (
            body_of(tmp_path, {"state_dict": right, "x": re.compile("x")}),
            CheckpointError,
            "refuses re._compile",
        ),
    }


def test_what_is_wrong_is_not_kept(site, tmp_path, cache):
    entry = narrow("ghostnetv2-1.0")
    for what, (answer, error, said) in wrong_bodies(tmp_path).items():
        site.bodies[entry.url.partition("github.com")[2]] = answer
        with pytest.raises(error, match=said) as caught:
            fetch(entry, mirror=site.address)
        assert left_in(cache) == [], what
        assert [p.name for p in cache.iterdir()] == [], what
        if error is UsageError:
            assert f"\n  {entry.url}\n" in str(caught.value)
            assert "ghostkit weights add ck_ghostnetv2_10.pth.tar --as ghostnetv2-1.0" in str(
                caught.value
            )
        else:
            assert f"what {site.address}/" in str(caught.value)


def test_a_name_is_fetched_once(site, tmp_path):
    entry = narrow("ghostnet-1.0")
    path = entry.url.partition("github.com")[2]
    site.bodies[path] = body_of(tmp_path, weights_of("ghostnet"))
    first = fetch(entry, mirror=site.address).read_bytes()
    with pytest.raises(OutputError, match="ghostnet-1.0 is here already: .*add --overwrite"):
        fetch(entry, mirror=site.address)
    site.bodies[path] = b"broken"
    with pytest.raises(CheckpointError):
        fetch(entry, mirror=site.address, overwrite=True)
    assert path_of(entry.name).read_bytes() == first
    assert site.asked == [path, path]


def test_a_cache_that_cannot_be_made(site, monkeypatch, tmp_path):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    with pytest.raises(OutputError, match="cannot write .*taken"):
        fetch(narrow("ghostnet-1.0"), mirror=site.address)
    assert site.asked == []


# --- brought by the user -----------------------------------------------------------------------


def test_class_names_are_put_in_the_card(tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text(" # a comment, as some lists begin\n" + "\r\n".join(NAMES) + "\n\n")
    classes = read_class_names(labels)
    assert classes == ("tench", "crane (1)", "shark", "crane (3)", "ray")
    file = saved(tmp_path / "x.pth", weights_of("ghostnet"))
    _, card = read_carded(adopt(file, narrow("ghostnet-1.0"), classes=classes))
    assert card.classes == classes
    assert "placeholders" not in card.provenance.note
    with pytest.raises(UsageError, match="4 class names are given, and .* has 5 classes"):
        adopt(file, narrow("ghostnet-1.0"), classes=classes[1:], overwrite=True)


def test_weights_of_ones_own(tmp_path, cache):
    file = saved(tmp_path / "mine.pth", weights_of("ghostnetv3"))
    steps = evaluation_steps(64, 1.0, "bilinear")
    path = keep(file, Kept("mine", "ghostnetv3", steps, stem_stride=1, note="trained at home"))
    assert path == cache / "mine.safetensors"
    _, card = read_carded(path)
    assert card.architecture.name == "ghostnetv3"
    assert card.architecture.stem_stride == 1
    assert card.steps == steps and card.input.height == 64
    assert "trained at home" in card.provenance.note
    with pytest.raises(CheckpointError, match="holds a ghostnetv3 .*; other is a ghostnet of"):
        keep(file, Kept("other", "ghostnet", steps))


def test_of_a_run_that_averaged_the_weights_that_its_card_measured_are_taken(tmp_path):
    plain, steps = weights_of("ghostnet"), evaluation_steps(64, 1.0)
    classes = ("a", "b", "c", "d", "e")
    _, card = read_carded(
        keep(saved(tmp_path / "x", plain), Kept("x", "ghostnet", steps, classes=classes))
    )
    averaged = plain | {"classifier.bias": plain["classifier.bias"] + 1}
    content = {"state_dict": plain, "state_dict_ema": averaged}
    for name, more, expected in (
        ("ours", {"card": card.to_json()}, averaged),
        ("timms", {}, plain),
    ):
        kept = keep(saved(tmp_path / name, content | more), Kept(name, "ghostnet", steps))
        assert read_carded(kept)[0]["classifier.bias"].equal(expected["classifier.bias"])


def test_weights_that_carry_a_card_keep_it(tmp_path, cache):
    steps = evaluation_steps(64, 1.0)
    file = saved(tmp_path / "x.pth", weights_of("ghostnet"))
    first = keep(file, Kept("first", "ghostnet", steps, classes=("a", "b", "c", "d", "e")))
    weights, card = read_carded(first)
    second = keep_carded(first, "second")
    assert second.read_bytes() == first.read_bytes()
    with pytest.raises(
        UsageError, match=r"carries no card.*--as NAME, or --architecture ghostnet$"
    ):
        keep_carded(file, "third")
    with pytest.raises(UsageError, match="'default' is the name of the bundled weights"):
        keep_carded(first, "default")
    del weights["bn1.bias"]
    with pytest.raises(CheckpointError, match="bn1.bias"):
        keep_carded(write_carded(tmp_path / "y.safetensors", weights, card), "fourth")
    assert left_in(cache) == ["first.safetensors", "second.safetensors"]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="is not a file"):
        adopt(Path(tmp_path / "none.pth"), narrow("ghostnet-1.0"))
