"""`ghostkit weights` and its sub-commands, against a server on this machine."""

import json
from argparse import Namespace

import pytest

torch = pytest.importorskip("torch")

from ghostkit.bundled import default_weights  # noqa: E402
from ghostkit.cli import run  # noqa: E402
from ghostkit.steps import evaluation_steps  # noqa: E402
from ghostkit.train.network.architectures import build  # noqa: E402
from ghostkit.train.network.carded import read_carded  # noqa: E402
from ghostkit.train.published.catalogue import CATALOGUE  # noqa: E402
from weights_site import serving  # noqa: E402

OFFICIAL = "/huawei-noah/Efficient-AI-Backbones/raw/master/ghostnet_pytorch/models/"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "ghostkit" / "weights"


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """A file like the authors': GhostNet 1.0x, 1000 classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("official") / "state_dict_73.98.pth"
    torch.save(build("ghostnet").state_dict(), path)
    return path


def test_the_list_has_source_licence_accuracy_and_preprocessing(capsys):
    assert run(["weights"]) == 0
    said = capsys.readouterr().out
    for name, entry in CATALOGUE.items():
        assert f"{name}   {entry.architecture}" in said
        assert entry.url in said
    assert "top-1 73.98 %, top-5 91.46 %" in said
    assert "short side to 256 (bilinear), centre crop 224, normalise" in said
    assert "    here   " not in said
    assert "default   ghostnet 1x" in said
    assert run(["weights", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["name"] for record in records] == ["default", *CATALOGUE]
    assert records[0]["path"] == str(default_weights())
    assert {record["path"] for record in records[1:]} == {None}


def test_get_downloads_and_keeps(official, cache, capsys):
    with serving() as site:
        site.bodies[OFFICIAL + official.name] = official.read_bytes()
        assert run(["weights", "get", "ghostnet-1.0", "--mirror", site.address]) == 0
    said = capsys.readouterr().err
    path = cache / "ghostnet-1.0.safetensors"
    assert f"{path}: 512 entries, 1000 classes: class 0 ... class 999" in said
    assert "placeholders; give them with --labels" in said
    assert run(["weights"]) == 0
    assert f"here          {path}" in capsys.readouterr().out
    assert run(["weights", "get", "ghostnet-1.0"]) == 2
    assert "is here already" in capsys.readouterr().err


def test_get_without_a_network_says_what_to_do(capsys):
    assert run(["weights", "get", "ghostnetv3-1.0", "--mirror", "http://127.0.0.1:9"]) == 2
    *_, fetch, url, bring, command = capsys.readouterr().err.splitlines()
    assert fetch == "fetch this file on a machine with a network:"
    assert url == f"  {CATALOGUE['ghostnetv3-1.0'].url}"
    assert bring == "bring it here, and run:"
    assert command == "  ghostkit weights add ghostnetv3-1.0.pth.tar --as ghostnetv3-1.0"


def test_add_with_names_of_the_classes(official, cache, tmp_path, capsys):
    labels = tmp_path / "names.txt"
    labels.write_text("".join(f"name {index}\n" for index in range(1000)))
    arguments = ["weights", "add", str(official), "--as", "timm/ghostnet_100.in1k"]
    assert run([*arguments, "--labels", str(labels)]) == 0
    said = capsys.readouterr().err
    assert "1000 classes: name 0 ... name 999" in said and "placeholders" not in said
    weights, card = read_carded(cache / "timm" / "ghostnet_100.in1k.safetensors")
    assert card.classes[7] == "name 7"
    assert weights["conv_head.bias"].shape == (1280,)


def test_add_of_weights_that_are_not_listed(cache, tmp_path, capsys):
    file = tmp_path / "mine.pth.tar"
    torch.save({"state_dict": build("ghostnetv2", 0.12, 3).state_dict()}, file)
    arguments = ["weights", "add", str(file), "--architecture", "ghostnetv2", "--image-size", "64"]
    assert run(arguments) == 0
    _, card = read_carded(cache / "mine.safetensors")
    assert (card.architecture.name, card.architecture.width) == ("ghostnetv2", 0.12)
    assert card.input.height == 64
    assert run(["weights", "add", str(cache / "mine.safetensors"), "--as", "mine-too"]) == 0
    assert (cache / "mine-too.safetensors").is_file()
    capsys.readouterr()
    assert run(["weights", "--json"]) == 0
    listed = {each["name"]: each["path"] for each in json.loads(capsys.readouterr().out)}
    assert listed["mine-too"] == str(cache / "mine-too.safetensors")
    assert run(["weights"]) == 0
    assert f"mine\n    here          {cache / 'mine.safetensors'}\n" in capsys.readouterr().out


STATED = {  # as timm's train.py keeps them; None and "" are left to the model's own
    "model": "ghostnet_050",
    "img_size": 64,
    "input_size": None,
    "crop_pct": 0.9,
    "mean": [0.5, 0.5, 0.5],
    "std": None,
    "interpolation": "bilinear",
}


@pytest.fixture
def timms(tmp_path):
    """A checkpoint of timm's train.py."""
    file = tmp_path / "tm.pth.tar"
    weights = build("ghostnet", 0.5, 3).state_dict()
    torch.save({"arch": "ghostnet_050", "args": Namespace(**STATED), "state_dict": weights}, file)
    return file


def test_the_args_in_a_checkpoint_say_how_its_pictures_are_prepared(timms, cache, capsys):
    assert run(["weights", "add", str(timms), "--architecture", "ghostnet_050"]) == 0
    _, card = read_carded(cache / "tm.safetensors")
    std = (0.229, 0.224, 0.225)
    assert card.steps == evaluation_steps(64, 0.9, "bilinear", (0.5, 0.5, 0.5), std)
    assert (
        "preprocessing: short side to 71 (bilinear), centre crop 64, normalise (stated by the "
        "file: image size 64, crop fraction 0.9, filter bilinear, mean 0.5 0.5 0.5; assumed: std "
        "0.229 0.224 0.225)" in capsys.readouterr().err
    )
    options = ["--image-size", "32", "--std", "0.2", "0.3", "0.4", "--overwrite"]
    assert run(["weights", "add", str(timms), "--architecture", "ghostnet", *options]) == 0
    _, card = read_carded(cache / "tm.safetensors")
    assert card.steps == evaluation_steps(32, 0.9, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.3, 0.4))
    assert "given: image size 32, std 0.2 0.3 0.4; stated" in capsys.readouterr().err


def test_what_is_advised_for_a_checkpoint_without_a_card_works(timms, cache, capsys):
    assert run(["evaluate", str(timms), str(timms.parent)]) == 2
    [_, advised] = capsys.readouterr().err.strip().split("give it a card: ghostkit ")
    assert run(advised.split()) == 0
    assert (cache / "tm.safetensors").is_file()


@pytest.mark.parametrize(
    ("changed", "options", "said"),
    [
        ({"crop_mode": "squash"}, (), "crop_mode 'squash'"),
        ({"input_size": (3, 64, 96)}, (), "input_size 3 64 96"),
        ({}, ("--std", "0.2", "0", "0.2"), "Input should be greater than 0"),
        ({}, ("--architecture", "ghostnet_130"), "holds a ghostnet of width 0.5 with 3 classes;"),
        ({}, ("--architecture", "resnet"), "choose ghostnet, ghostnetv2, ghostnetv3"),
    ],
)
def test_what_the_steps_cannot_do_is_refused(timms, cache, capsys, changed, options, said):
    content = torch.load(timms, weights_only=False)
    torch.save(content | {"args": Namespace(**STATED | changed)}, timms)
    assert run(["weights", "add", str(timms), "--architecture", "ghostnet", *options]) == 2
    assert said in capsys.readouterr().err
    assert list(cache.rglob("*.safetensors")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["get", "ghostnet1"], "no published weights are called 'ghostnet1'; did you mean"),
        (["add", "FILE"], "carries no card, and 'state_dict_73.98' is not a name"),
        (["add", "FILE", "--as", "ghostnetv2-1.0"], "ghostnetv2-1.0 is a ghostnetv2 of width 1"),
        (["add", "FILE", "--architecture", "ghostnetv2"], "holds a ghostnet of width 1"),
        (["add", "FILE", "--as", "ghostnet-1.0", "--architecture", "ghostnet"], "is known"),
        (["add", "FILE", "--as", "../x", "--architecture", "ghostnet"], "cannot be a name"),
        (["add", "FILE", "--as", "ghostnet-1.0", "--filter", "bilinear"], "--filter describes"),
        (["add", "FILE", "--stem-stride", "1"], "--stem-stride describes weights of an --arch"),
        (
            ["add", "FILE", "--architecture", "ghostnet", "--image-size", "20000"],
            "ask for a short side of 22857 pixels; expected 1 to 16384",
        ),
        (["add", "FILE", "--labels", "FILE"], "cannot read the class names"),
        (["add", "none.pth", "--as", "ghostnet-1.0"], "'none.pth' is not a file"),
    ],
)
def test_what_cannot_be_done_is_said(official, cache, capsys, arguments, said):
    assert run(["weights", *(str(official) if a == "FILE" else a for a in arguments)]) == 2
    assert said in capsys.readouterr().err
    assert list(cache.rglob("*.safetensors")) == []


@pytest.mark.parametrize("command", [[], ["get"], ["add"]])
def test_help_has_an_example(capsys, command):
    assert run(["weights", *command, "--help"]) == 0
    assert "Example: ghostkit weights" in " ".join(capsys.readouterr().out.split())
