"""The Containerfiles, read: neither was built, as no engine for it runs here."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ghostkit.cli.commands import COMMANDS
from tiny import RED, save_square

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "containers").iterdir())
KNOWN = ("ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def instructions(path):
    """(instruction, its text) one after another, continued lines joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def last_stage(path):
    found = instructions(path)
    start = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def of(found, name):
    return [text for key, text in found if key == name]


@each_file
def test_it_is_of_instructions_that_every_engine_knows(path):
    found = instructions(path)
    assert {name for name, _ in found} <= set(KNOWN)
    declared = {text.split("=")[0] for text in of(found, "ARG")}
    for text in of(found, "FROM"):
        [argument] = re.findall(r"\$\{(\w+)\}", text)
        assert argument in declared
    assert all(":" in text and "latest" not in text for text in of(found, "ARG") if "/" in text)


@each_file
def test_it_runs_as_a_user_who_is_not_root(path):
    [user] = of(last_stage(path), "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


@each_file
def test_it_copies_what_the_build_of_the_package_reads_and_no_more(path):
    copied = set()
    for text in of(instructions(path), "COPY"):
        words = shlex.split(text)
        if not words[0].startswith("--from="):
            copied |= set(words[:-1])
    assert all((ROOT / name).exists() for name in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        "pyproject.toml",
        project["project"]["readme"],
        project["tool"]["hatch"]["version"]["path"],
        *project["project"]["license-files"],
        *wheel["packages"],
        *wheel["force-include"],
    }
    assert {name.split("/")[0] for name in needed} | {"pinned.txt"} == copied


@each_file
def test_it_installs_by_the_pinned_versions_and_only_extras_that_exist(path):
    [command] = [text for text in of(instructions(path), "RUN") if "pip install" in text]
    assert "--constraint pinned.txt" in command and "--no-cache-dir" in command
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(extras["optional-dependencies"])
    for found in re.findall(r"\[([\w,]+)\]", command):
        assert set(found.split(",")) <= extras


def test_on_a_cpu_it_is_the_base_install_and_starts_the_command():
    found = instructions(ROOT / "containers" / "Containerfile.cpu")
    assert "EXTRAS=" in of(found, "ARG")  # nothing where nobody asks for more
    final = last_stage(ROOT / "containers" / "Containerfile.cpu")
    assert json.loads(of(final, "ENTRYPOINT")[0]) == ["ghostkit"]
    assert of(final, "RUN") == []  # no compiler, no pip cache: only what was copied


def test_on_ascend_the_toolkits_variables_are_set_before_whatever_is_asked_for():
    """docker_start_infer.sh asks for /bin/bash."""
    final = last_stage(ROOT / "containers" / "Containerfile.ascend")
    shell, option, script, name = json.loads(of(final, "ENTRYPOINT")[0])
    assert (shell, option, name) == ("/bin/bash", "-c", "ghostkit")
    assert script.startswith("source /usr/local/Ascend/") and script.endswith('exec "$@"')
    assert json.loads(of(final, "CMD")[0]) == ["/bin/bash"]


@each_file
def test_the_commands_in_its_comments_exist(path):
    comments = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    for word in re.findall(r"^# +ghostkit (\w+)", comments, re.MULTILINE):
        assert word in COMMANDS
    for script in re.findall(r"scripts/[\w.]+", comments):
        assert (ROOT / script).exists()


WATCHED = """
import os, sys
written = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[2], int):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and arguments[0] != os.devnull:
            written.append(arguments[0])
    elif event in ("os.mkdir", "os.rename", "os.remove", "shutil.copyfile"):
        written.append(arguments[0])
sys.addaudithook(watch)
from ghostkit.cli import run
status = run(sys.argv[1:])
print(*written, sep="\\n")
sys.exit(status)
"""


@pytest.mark.slow
def test_predict_writes_beside_its_output_alone_so_the_rest_may_be_read_only(tmp_path):
    save_square(tmp_path / "photos" / "a.jpg", RED, (100, 80))
    results = tmp_path / "results"
    results.mkdir()
    command = [sys.executable, "-c", WATCHED, "predict", tmp_path / "photos", "-o"]
    nowhere = f"{os.devnull}/folder"  # that nobody can make, not even root
    environment = dict.fromkeys(("HOME", "TMPDIR", "GHOSTKIT_CACHE", "XDG_CACHE_HOME"), nowhere)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [*map(str, command), str(results / "r.jsonl")],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = [Path(path) for path in done.stdout.split()]
    written = [path for path in written if not path.is_relative_to(os.devnull)]  # tried in vain
    assert written and all(path.is_relative_to(results) for path in written)


def test_the_scripts_that_a_shell_starts_are_executable():
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.suffix in ("", ".sh")]
    assert {"ghostnet", "run.sh"} <= {path.name for path in scripts}
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []
