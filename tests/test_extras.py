import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from ghostkit import extras
from ghostkit.cli import run
from ghostkit.errors import MissingExtra
from ghostkit.extras import MODULES, PACKAGES, require_extra

ROOT = Path(__file__).parent.parent
NEEDED = [(extra, module) for extra, modules in MODULES.items() for module in modules]


@pytest.fixture
def hide(monkeypatch):
    """Makes a module one that is not installed, and all others ones that are."""

    def call(module):
        monkeypatch.setattr(extras, "is_here", lambda name: name != module)

    return call


def test_every_extra_exists_and_brings_its_modules():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, module in NEEDED:
        package = PACKAGES.get(module, module)
        lines = project["optional-dependencies"][extra]
        assert any(line.startswith(f"{package}>") for line in lines), (extra, package)


@pytest.mark.parametrize(("extra", "module"), NEEDED)
def test_whichever_module_is_missing_its_package_and_extra_are_named(hide, extra, module):
    hide(module)
    with pytest.raises(MissingExtra) as caught:
        require_extra(extra)
    assert caught.value.package == PACKAGES.get(module, module)
    assert f'pip install "ghostkit[{extra}]"' in str(caught.value)


COMMANDS = {
    "train": (["train", "photos"], ["export", "default", "-o", "m.onnx"], ["demo"]),
    "serve": (["serve", "--port", "0"],),
}


@pytest.mark.parametrize(
    ("command", "module"),
    [
        pytest.param(command, module, id=f"{command[0]} without {module}")
        for extra, commands in COMMANDS.items()
        for command in commands
        for module in MODULES[extra]
    ],
)
def test_a_command_says_what_to_install_and_has_no_traceback(capsys, hide, command, module):
    hide(module)
    assert run(command) == 2
    assert f"the package {PACKAGES.get(module, module)!r}" in capsys.readouterr().err


def test_a_module_inside_a_package_that_is_absent_is_missing():
    assert find_spec("no_such_package") is None
    assert not extras.is_here("no_such_package.inside")
