import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
import typer

import ghostkit as package
from ghostkit import artifacts
from ghostkit.cli import app, main
from tiny import RED, save_square, tiny_card

COMMANDS = sorted(typer.main.get_command(app).commands)
PROGRAM = (sys.executable, "-m", "ghostkit")


def raises(error):
    def load(path, **how):
        raise error

    return load


def test_the_version(ghostkit):
    outcome = ghostkit("--version")
    assert (outcome.status, outcome.out) == (0, f"ghostkit {package.__version__}\n")


def test_no_arguments_show_the_help(ghostkit):
    outcome = ghostkit()
    assert outcome.status == 2
    for command in COMMANDS:
        assert f" {command} " in outcome.out + outcome.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_of_every_command_has_an_example(ghostkit, command, flag):
    outcome = ghostkit(command, flag)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"Example: ghostkit {command}" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict"], "Missing argument '[MODEL] SOURCE'; see: ghostkit predict --help"),
        (["predict", "model.onnx"], "model.onnx is a model; name the pictures after it"),
        (["predict", "m", "a", "--nope"], "No such option: --nope"),
        (["predict", "m", "a", "--batch-size", "0"], "Invalid value for '--batch-size'"),
        (["predict", "m", "a", "--workers", "x"], "Invalid value for '--workers'"),
        (["evaluate", "m", "d", "--val-split", "2"], "Invalid value for '--val-split'"),
        (["verify", "a"], "Missing argument 'B'"),
        (["export"], "Missing argument 'CHECKPOINT'"),
        (["predikt"], "No such command 'predikt'"),
        (["predi\nkt\x1b[31m"], r"predi\nkt\x1b[31m"),
        (["--nope"], "see: ghostkit --help"),
    ],
)
def test_wrong_usage_is_one_line_that_says_where_to_look(ghostkit, arguments, words):
    assert words in ghostkit(*arguments).error


NEWER = json.dumps(json.loads(tiny_card().to_json()) | {"schema_version": "2.0"})
FEWER = json.dumps(json.loads(tiny_card().to_json()) | {"classes": ["red", "green"]})


@pytest.mark.parametrize("command", ["predict", "evaluate", "verify"])
@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("", "carries no card"),
        (NEWER, "has schema 2.0, and this ghostkit reads 1.x; install a newer one"),
        (FEWER, "answers 3 classes, its card names 2; give the card as many names"),
        ("{", "is not JSON"),
    ],
)
def test_a_model_whose_card_is_no_good(ghostkit, make_model, command, card, words):
    model = make_model("模 型\n.onnx", card)
    more = [model, "--images", "x"] if command == "verify" else ["x"]
    message = ghostkit(command, model, *more).error
    assert words in message
    assert r"模 型\n.onnx: " in message


@pytest.mark.parametrize("command", ["predict", "evaluate", "verify"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such model file; expected an .onnx file"),
        (b"", "is empty; export or copy it again"),
        (b"no model", "not a model that ONNX Runtime"),
        (b"\x08\x08\x12", "not a model that ONNX Runtime"),
    ],
)
def test_a_model_file_that_is_none(ghostkit, tmp_path, command, content, words):
    model = tmp_path / "my model.onnx"
    if content is not None:
        model.write_bytes(content)
    more = [model, "--images", "x"] if command == "verify" else ["x"]
    message = ghostkit(command, model, *more).error
    assert words in message and str(model) in message


def test_a_folder_in_the_place_of_the_model(ghostkit, tmp_path):
    message = ghostkit("predict", tmp_path, "model.onnx").error
    assert "model.onnx is a model: name it first, then the pictures" in message
    message = ghostkit("evaluate", tmp_path, "data").error
    assert "a folder, not a model; name the .onnx file, then the photos" in message


def test_a_message_of_several_lines_keeps_them(ghostkit, make_model):
    card = json.loads(tiny_card().to_json()) | {"classes": 3}
    outcome = ghostkit("predict", make_model(card=json.dumps(card)), "x")
    first, second = outcome.err.splitlines()
    assert first.startswith("ghostkit: ") and first.endswith("is malformed:")
    assert second.startswith("  classes: ")


def test_what_the_environment_refuses_is_a_message(ghostkit, monkeypatch):
    monkeypatch.setattr(artifacts, "load", raises(PermissionError(13, "Permission denied", "a\nb")))
    assert ghostkit("predict", "m.onnx", "x").error == r"Permission denied: 'a\nb'"


def test_an_interrupt_is_130_and_one_line(ghostkit, monkeypatch):
    monkeypatch.setattr(artifacts, "load", raises(KeyboardInterrupt()))
    outcome = ghostkit("predict", "m.onnx", "x")
    assert (outcome.status, outcome.out) == (130, "")
    assert outcome.err == "ghostkit: interrupted\n"


def test_a_bug_of_ours_is_not_hidden(ghostkit, monkeypatch):
    monkeypatch.setattr(artifacts, "load", raises(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        ghostkit("predict", "m.onnx", "x")


def test_the_entry_point_exits_with_the_status(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ghostkit", "predict", "none.onnx", "x"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("ghostkit: none.onnx: no such model file")


@pytest.mark.parametrize("output", [[], ["-o", "-"]])
def test_a_reader_that_has_enough_ends_the_work_without_a_word(make_model, tmp_path, output):
    photos = [save_square(tmp_path / "a.png", RED)] * 3000
    command = [*PROGRAM, "predict", make_model(), *photos, *output]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert b"red" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_keeps_whole_records(make_model, tmp_path):
    photos = [save_square(tmp_path / "a.png", RED)] * 10_000
    output = tmp_path / "out.jsonl"
    command = [*PROGRAM, "predict", make_model(), *photos, "-o", output]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored under nohup
    ) as process:
        while process.poll() is None and not (output.exists() and output.stat().st_size):
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.decode().splitlines()[-1].startswith("ghostkit: interrupted")
    assert b"Traceback" not in err
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert 0 < len(rows) < len(photos)


def test_sigterm_leaves_no_temporary_files_behind(tmp_path):
    """The doctor puts the answer of each probe into a folder of its own."""
    command = [*PROGRAM, "doctor"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None and not list(tmp_path.iterdir()):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate()
    assert process.returncode == 130, error
    assert error == b"ghostkit: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_that_cannot_show_a_name_gets_it_escaped(make_model, tmp_path):
    name = os.fsdecode(b"\xff") + "垃圾.png"
    os.rename(save_square(tmp_path / "a.png", RED), tmp_path / name)
    process = subprocess.run(
        [*PROGRAM, "predict", make_model(), tmp_path / name],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert process.returncode == 0
    assert rb"\udcff\u5783\u573e.png: red 57.6 %" in process.stdout


def in_shell(line):
    """Runs a line of a shell in which ``ghostkit`` is the program."""
    program = f'ghostkit() {{ {shlex.join(PROGRAM)} "$@"; }}\n'
    return subprocess.run(["bash", "-c", program + line], capture_output=True, text=True)


def test_a_closed_standard_error_puts_nothing_of_it_into_the_results(make_model, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    line = f"ghostkit predict {make_model()} {tmp_path} -o"
    done = in_shell(f"{line} - 2>&-")
    assert done.returncode == 1
    assert [json.loads(each)["status"] for each in done.stdout.splitlines()] == ["refused"]
    done = in_shell(f"{line} {tmp_path}/out.jsonl <&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert json.loads((tmp_path / "out.jsonl").read_text())["status"] == "refused"


@pytest.mark.parametrize("command", ["weights", "--version"])
@pytest.mark.parametrize("output", [">&-", ">/dev/full"])
def test_what_cannot_be_printed_is_no_success(command, output):
    done = in_shell(f"ghostkit {command} {output}")
    assert done.returncode == 2
    assert done.stderr.startswith("ghostkit: ") and len(done.stderr.splitlines()) == 1


def test_a_reader_of_a_table_that_has_enough_ends_it_without_a_word():
    done = in_shell("{ ghostkit weights; echo $? >&2; } | true")
    assert done.stderr == "141\n"
