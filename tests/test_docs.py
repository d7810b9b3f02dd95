"""The pages and the code cannot drift apart: what a page names exists, what exists is named."""

import ast
import importlib
import io
import json
import re
import subprocess
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import typer.main
from PIL import Image
from rich.console import Console

from ghostkit import card, errors, steps
from ghostkit.artifacts import load
from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.cli import app, run
from ghostkit.cli.report import evaluation_tables
from ghostkit.dataset import open_dataset
from ghostkit.evaluate import evaluate
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.original_flags import ORIGINAL_FLAGS
from tiny import BLUE, save_square, tiny_card

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("README*.md"), ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")])
COMMANDS = typer.main.get_command(app).commands

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CALL = re.compile(r"\bghostkit ([a-z]+)([^\n|]*)")

SECTIONS_OF_THE_CARD = {
    "Fields": (card.ModelCard,),
    "architecture": (card.Architecture,),
    "steps": (steps.ScaledDecode, steps.Resize, steps.CenterCrop, steps.Normalize),
    "input": (card.Input,),
    "output": (card.Output,),
    "measurements": (card.Measurement,),
    "provenance": (card.Provenance,),
}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
trees = pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "architecture.md"])


def fences(page: Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(page.read_text()) if kind == language]


def calls(page: Path) -> Iterator[tuple[str, str]]:
    """(command, the rest of the line) of each ``ghostkit COMMAND ...`` in code."""
    inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text()))
    for text in [*fences(page, ""), *fences(page, "sh"), *inline]:
        yield from CALL.findall(text)


def sections(page: Path) -> dict[str, str]:
    """Heading -> the text up to the next heading."""
    parts = re.split(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options(command: click.Command) -> set[str]:
    """The option names of a command, and of the commands below it."""
    names = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    below = [options(inner) for inner in getattr(command, "commands", {}).values()]
    return names.union({"--help", "-h"}, *below)


@pages
def test_every_relative_link_leads_somewhere(page):
    targets = [t.partition("#")[0] for t in LINK.findall(FENCE.sub("", page.read_text()))]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pages
def test_every_command_that_a_page_names_exists(page):
    assert {name for name, _ in calls(page)} <= set(COMMANDS)


@pages
def test_every_option_in_a_command_line_is_one_of_that_command(page):
    unknown = [
        f"{name} {word}"
        for name, rest in calls(page)
        for word in re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest)
        if word not in options(COMMANDS[name])
    ]
    assert unknown == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_that_names_all_its_options(name):
    text = (DOCS / f"{name}.md").read_text()
    inner = getattr(COMMANDS[name], "commands", {}).values()
    keys = Recipe.model_fields if name == "train" else {}
    missing = [
        p.opts[0]
        for command in (COMMANDS[name], *inner)
        for p in command.params
        if p.param_type_name == "option" and p.name not in keys
        if not any(f"`{option}" in text for option in p.opts)
    ]
    assert missing == []


@pytest.mark.parametrize("readme", sorted(ROOT.glob("README*.md")), ids=lambda p: p.name)
def test_the_readme_links_every_page_and_names_the_commands_of_ci(readme):
    text = readme.read_text()
    assert [p.name for p in DOCS.glob("*.md") if f"(docs/{p.name})" not in text] == []
    assert "`make test`" in text and "`make check`" in text
    assert "make check test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("key", Recipe.model_fields)
def test_every_recipe_key_is_in_the_page_of_train_with_its_default(key):
    tables = (DOCS / "train.md").read_text().partition("\n## Options\n")[0]
    rows = re.findall(rf"^\| `{key}` \| (.+?) \|", tables, re.MULTILINE)
    assert len(rows) == 1, f"docs/train.md needs one row for the key {key}"
    default = Recipe.model_fields[key].default
    if isinstance(default, str | bool) or default is None:
        assert rows == ["none" if default is None else str(default).lower()]
    else:
        values = default if isinstance(default, tuple) else (default,)
        assert [float(word) for word in rows[0].split()] == pytest.approx(list(values), rel=1e-3)


@pytest.mark.parametrize("flag", ORIGINAL_FLAGS.values(), ids=lambda flag: flag.key)
def test_every_flag_of_the_seed_is_in_the_page_of_train_with_its_fate(flag):
    names = ", ".join(f"`{name}`" for name in flag.names)
    assert f"| {names} | {flag.fate} | {flag.why} |\n" in (DOCS / "train.md").read_text()


def test_the_defaults_that_differ_from_the_seeds_are_those_of_the_recipe():
    text = sections(DOCS / "train.md")["Defaults that differ"]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (.+) \|$", text, re.MULTILINE)
    assert {"batch_size", "lr", "epochs", "sched", "cooldown_epochs"} <= {key for key, *_ in rows}
    for key, here, there in rows:
        default = Recipe.model_fields[key].default
        assert here != there
        assert here == str(default) or float(here) == default


@pytest.mark.parametrize("heading", SECTIONS_OF_THE_CARD)
def test_every_field_of_the_card_is_in_its_section(heading):
    text = sections(DOCS / "card.md")[heading]
    fields = [name for model in SECTIONS_OF_THE_CARD[heading] for name in model.model_fields]
    assert [name for name in fields if f"`{name}`" not in text] == []


def test_the_page_of_the_card_has_a_section_for_every_record_in_it():
    nested = {n for n, f in card.ModelCard.model_fields.items() if n not in ("schema_version",)}
    assert nested - {"classes", "titles"} == set(SECTIONS_OF_THE_CARD) - {"Fields"}


def test_the_page_of_evaluate_has_every_row_and_every_key(tmp_path):
    class OnTheProcessor(FakeBackend):
        fallback = "the CPU runs it"

    save_square(tmp_path / "red" / "1.png", BLUE)
    save_square(tmp_path / "blue" / "1.png", BLUE)
    (tmp_path / "blue" / "2.png").write_bytes(b"")
    plain = tiny_card()
    output = plain.output.model_copy(update={"reject_threshold": 0.1})
    full = plain.model_copy(update={"output": output, "titles": ("Red", "Green", "Blue")})
    evaluation = evaluate(Classifier(OnTheProcessor(), full), open_dataset(tmp_path))
    page = sections(DOCS / "evaluate.md")

    printed = io.StringIO()
    evaluation_tables(evaluation, Console(file=printed, width=200))
    rows = re.findall(r"^(.+?)  ", printed.getvalue().partition("class ")[0], re.MULTILINE)
    assert "top-1 of these" in rows and "fallback" in rows
    named = re.findall(r"^\| (.+?) \|", page["What it prints"], re.MULTILINE)
    told = {name for cell in named for name in cell.split(", ")} | {"data"}
    assert set(rows) <= told
    sample = fences(DOCS / "evaluate.md", "")[1]
    assert set(rows) - {"accepted answers", "top-1 of these", "fallback"} <= set(
        re.findall(r"^(.+?)  ", sample, re.MULTILINE)
    )

    record = evaluation.to_record()
    cells = re.findall(r"^\| (`.+?) \| (.+) \|$", page["JSON"], re.MULTILINE)
    assert set(record) == {name for cell, _ in cells for name in re.findall(r"`(\w+)`", cell)}
    content = dict(cells)
    for key in ("per_class", "confidences", "mistakes", "unanswered"):
        assert set(record[key][0]) <= set(re.findall(r"`(\w+)`", content[f"`{key}`"])), key


@trees
def test_the_source_tree_is_complete_where_it_is_opened(page):
    [tree] = [body for body in fences(page, "") if body.startswith("src/ghostkit/\n")]
    named = set(paths_of(tree))
    tracked = tracked_paths()
    opened = {str(Path(path).parent) for path in named} - {"."}
    expected = {path for path in tracked if str(Path(path).parent) in opened or "/" not in path}
    assert named == expected


def paths_of(tree: str) -> Iterator[str]:
    """Paths below the first line's folder, from indentation by four; folders without the slash."""
    folders: list[str] = []
    for line in tree.splitlines()[1:]:
        name = line.split()[0]
        del folders[(len(line) - len(line.lstrip())) // 4 - 1 :]
        yield "/".join([*folders, name.rstrip("/")])
        folders.append(name.rstrip("/"))


def tracked_paths() -> set[str]:
    """Files and folders of the package, relative to it."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "src/ghostkit"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    files = [Path(line).relative_to("src/ghostkit") for line in listing.splitlines()]
    return {str(p) for file in files for p in (file, *file.parents)} - {"."}


def test_the_floors_are_those_that_are_checked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    assert "\n".join(layers) + "\n" in fences(DOCS / "architecture.md", "")


def test_the_error_tree_is_that_of_the_code():
    tree = re.search(r"^    GhostkitError.*?(?=\n\n)", errors.__doc__, re.MULTILINE | re.DOTALL)
    assert textwrap.dedent(tree[0]) + "\n" in fences(DOCS / "python.md", "")


@pages
def test_every_name_that_a_snippet_imports_from_ghostkit_exists(page):
    for snippet in fences(page, "python"):
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("ghostkit"):
                if node.module.startswith("ghostkit.train"):
                    pytest.importorskip("torch")
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_card_for_a_foreign_model_works_as_written(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    page = DOCS / "card.md"
    _, make_model, make_picture, write_card = fences(page, "python")
    exec(make_model + make_picture, {})
    [text] = fences(page, "json")
    sidecar = Path("foreign.onnx.card.json")
    sidecar.write_text(text)
    classifier = load("foreign.onnx")
    assert classifier("red.png").best[0] == "red"
    exec(write_card, {})
    assert card.ModelCard.from_json(sidecar.read_bytes(), "docs") == classifier.card


def test_the_program_for_a_folded_model_answers_as_ghostkit_does(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    assert run(["convert", "default", "--to", "folded", "-o", "folded.onnx"]) == 0
    pixels = np.linspace(0, 255, 90 * 140 * 3).reshape(90, 140, 3).astype(np.uint8)
    Image.fromarray(pixels).save("photo.jpg", quality=95)
    [program] = fences(DOCS / "convert.md", "python")
    names: dict[str, object] = {}
    exec(program, names)
    assert names["pixels"].shape == (96, 96, 3)
    assert names["best"] == load("folded.onnx")("photo.jpg").best[0]


def test_the_sample_answers_of_serve_are_such_as_the_bundled_model_gives():
    told = load("default").card
    text = (DOCS / "serve.md").read_text()
    [answer] = re.findall(r"^{.*}$", "".join(fences(DOCS / "serve.md", "")), re.MULTILINE)
    record = json.loads(answer)
    assert record["model"] == told.hash
    for each in record["top"]:
        index = each["class_index"]
        assert (each["class_name"], each["title"]) == (told.classes[index], told.titles[index])
    [(index, name)] = re.findall(r"`[\d.]+:(\d+):(\w+)`", text)
    assert name == told.classes[int(index)]
