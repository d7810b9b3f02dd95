"""The scripts beside the package use names that it still has; nobody runs them every day."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
FOLDERS = ("benchmarks", "recipes", "reliability")
SCRIPTS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py"))


def file_of(module):
    """The source of a module of the package; None where there is none."""
    path = SOURCE.joinpath(*module.split("."))
    places = (path / "__init__.py", path.with_suffix(".py"))
    return next((place for place in places if place.is_file()), None)


def names_in(module):
    """What the module's file defines or imports at its top level; a string may name it too."""
    names = set()
    for node in ast.walk(ast.parse(file_of(module).read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if node.col_offset == 0:
                names.update((each.asname or each.name).partition(".")[0] for each in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)  # of a table of names that are loaded on first use
    return names


def strangers(script):
    """Names that the script wants of the package, and which are not there."""
    tree, modules = ast.parse(script.read_text()), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ghostkit"):
            known = names_in(node.module) if file_of(node.module) else set()
            for each in node.names:
                if file_of(f"{node.module}.{each.name}"):
                    modules[each.asname or each.name] = f"{node.module}.{each.name}"
                elif each.name not in known:
                    yield f"{node.module}.{each.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module is not None and node.attr not in names_in(module):
                yield f"{module}.{node.attr}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_script_names_only_what_the_package_has(script):
    assert list(strangers(script)) == []


def test_a_name_that_went_away_is_found(tmp_path):
    script = tmp_path / "old.py"
    script.write_text(
        "from ghostkit.backend import onnx as engine\n"
        "from ghostkit.train.loop import train, forget\n"
        "engine.OnnxBackend, engine.melt\n"
    )
    assert list(strangers(script)) == [
        "ghostkit.train.loop.forget",
        "ghostkit.backend.onnx.melt",
    ]
