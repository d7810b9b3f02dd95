import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ghostkit

ROOT = Path(__file__).parent.parent
SOURCE = Path(ghostkit.__file__).parent

HEAVY = (
    *("torch", "torchvision", "cv2", "onnx", "onnxruntime", "PIL", "simplejpeg"),
    *("typer", "rich", "click", "pydantic", "yaml", "safetensors"),
    *("starlette", "urllib3", "requests", "boto3", "http.client"),
)

# In pieces, so that this file may stand in the tree it searches.
BANNED = re.compile(
    "|".join(
        (
            "pypi" + r"\.org",
            "python" + "hosted",
            "npm" + r"js\.",
            "download" + r"\.pytorch",
            "deb" + r"\.debian",
            "/work" + r"/(main|shared|data)\b",
            r"\.lib" + "rary/",
        )
    )
)


def tracked_files():
    """The files of the checkout that git does not ignore."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name.decode() for name in output.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_importing_ghostkit_loads_nothing_heavy():
    program = "import sys, json, ghostkit; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert set(HEAVY).isdisjoint(json.loads(output))


def test_every_public_name_arrives_on_first_use():
    for name in ghostkit.__all__:
        assert getattr(ghostkit, name) is not None
        assert name in dir(ghostkit)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = ghostkit.absent


def test_the_newest_changelog_entry_is_this_version_or_unreleased():
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] in ("Unreleased", ghostkit.__version__)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.name)
def test_a_module_has_at_most_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1)
        for match in BANNED.finditer(line)
    ]
    assert found == []


def test_the_pins_name_each_direct_dependency_once_and_nothing_else():
    extras = pyproject()["optional-dependencies"].values()
    wanted = [*pyproject()["dependencies"], *(name for extra in extras for name in extra)]
    lines = (ROOT / "pinned.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    names = [pin.split("==")[0] for pin in pins]
    assert sorted(names) == sorted({re.split(r"[\[<>=~! ;]", w)[0].lower() for w in wanted})


def test_commit_hooks_run_what_is_installed_and_download_nothing():
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    assert all(hook["entry"].startswith(".venv/bin/") for hook in config["repos"][0]["hooks"])
