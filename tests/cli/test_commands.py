import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ghostkit.cli
from ghostkit.cli.commands import COMMANDS, Commands
from ghostkit.cli.urls import OWN_URLS, uses_of
from tiny import RED, save_square

WRITES = re.compile(r"^Write|file to write|is written|^Folder for|folder of results")
MODULES = Path(ghostkit.cli.__file__).parent.glob("*.py")


def loaded_by(*arguments):
    """The modules that a process has loaded when it has run ``ghostkit ARGUMENTS``."""
    program = (
        "import json, sys; from ghostkit.cli import run; status = run(sys.argv[1:]);"
        "print(json.dumps([status, sorted(sys.modules)]))"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    status, modules = json.loads(output.splitlines()[-1])
    assert status == 0
    return set(modules)


def test_the_table_holds_every_module_that_has_a_command():
    with_a_command = {path.stem for path in MODULES if "def register(" in path.read_text()}
    assert with_a_command == {name.replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_shows_of_a_command_what_its_own_help_begins_with(name):
    group = Commands()
    shown, complete = group.get_command(None, name), group.commands[name]
    assert shown.get_short_help_str(limit=200) == complete.get_short_help_str(limit=200) != ""
    assert (shown.name, shown.hidden) == (complete.name, complete.hidden)


def test_a_command_that_is_not_in_the_table_is_none():
    assert Commands().get_command(None, "predikt") is None
    assert "predikt" not in Commands().commands


def test_a_command_loads_neither_another_one_nor_the_options_of_train():
    modules = loaded_by("predict", "--help")
    commands = {f"ghostkit.cli.{name.replace('-', '_')}" for name in COMMANDS}
    assert modules & commands == {"ghostkit.cli.predict"}
    assert "ghostkit.train.recipe" not in modules


def test_the_list_of_commands_needs_none_of_their_options():
    modules = loaded_by("--help")
    heavy = {"ghostkit.train.recipe", "pydantic", "numpy", "onnxruntime", "torch", "PIL"}
    assert not heavy & modules


def test_predict_loads_what_classifying_needs_and_no_more(make_model, tmp_path):
    modules = loaded_by("predict", make_model(), save_square(tmp_path / "a.png", RED))
    assert {"onnxruntime", "PIL", "numpy"} <= modules
    surplus = {"torch", "onnx", "rich", "yaml", "safetensors", "ghostkit.train.recipe"}
    assert not surplus & modules


@pytest.mark.parametrize(
    "line",
    [
        ("verify", "a.onnx", "b.onnx", "--min-agreement", "nan"),
        ("verify", "a.onnx", "b.onnx", "--tolerance", "nan"),
        ("calibrate", "a.onnx", "photos", "-o", "b.onnx", "--keep", "nan"),
        ("benchmark", "a.onnx", "--seconds", "inf"),
        ("convert", "a.onnx", "--to", "int8", "--max-drop", "nan"),
        ("export", "a.pth", "-o", "b.onnx", "--tolerance", "1e999"),
        ("serve", "--timeout-s", "inf"),
        ("doctor", "--timeout", "nan"),
    ],
)
def test_no_option_takes_a_number_that_is_not_finite(ghostkit, line):
    outcome = ghostkit(*line)
    assert outcome.status == 2
    assert f"Invalid value for '{line[-2]}'" in outcome.error


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_writes_to_a_path_it_can_write_to_a_store(name):
    if name in OWN_URLS:
        return
    command = Commands().commands[name]
    uses = uses_of(command)
    for parameter in command.params:
        if WRITES.search(parameter.help or "") and not getattr(parameter, "is_flag", False):
            assert parameter.name in uses, parameter.name
