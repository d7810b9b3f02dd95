"""The command: a process that answers until it is told to stop."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from tiny import BLUE, GREEN, RED, save_square

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
STOP_S = 30


@pytest.fixture
def start():
    """Starts a server, and gives its process and port."""
    processes = []

    def start(*arguments, under=()):
        command = [
            *under,
            sys.executable,
            "-m",
            "ghostkit",
            "serve",
            *map(str, arguments),
            "--port",
            "0",
        ]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        for line in process.stderr:
            if match := re.search(r"Serving (.+) at http://127\.0\.0\.1:(\d+)", line):
                return process, match[1], int(match[2])
        raise AssertionError(f"it has ended with {process.wait()}")

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def ask(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STOP_S)
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def came(port, size):
    """How many uploads of `size` bytes were answered, or are held."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STOP_S)
    connection.request("GET", "/metrics")
    lines = dict(
        line.rsplit(" ", 1) for line in connection.getresponse().read().decode().splitlines()
    )
    connection.close()
    answered = float(lines.get('ghostkit_requests_total{route="/classify",status="200"}', 0))
    return answered + float(lines["ghostkit_held_bytes"]) / size


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_until_it_is_told_to_stop(make_model, start, tmp_path, number):
    photo = save_square(tmp_path / "r.png", RED).read_bytes()
    process, names, port = start(make_model("tiny.onnx"), f"second={make_model('b.onnx')}")
    assert names == "tiny, second"
    for path in ("/classify", "/v2/models/second/classify"):
        status, record = ask(port, path, photo)
        assert (status, record["top"][0]["class_name"]) == (200, "red")
    process.send_signal(number)
    assert process.wait(STOP_S) == 0
    assert "Traceback" not in process.stderr.read()


def test_requests_that_came_before_the_end_are_answered(make_model, start, tmp_path):
    photo = save_square(tmp_path / "r.png", RED, (2000, 2000)).read_bytes()
    process, _, port = start(make_model())
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(ask(port, "/classify", photo)[0]))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + STOP_S
    while came(port, len(photo)) < 6:
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert seen == [200] * 6
    assert process.wait(STOP_S) == 0


def test_after_sigterm_it_is_not_ready_and_still_answers(make_model, start, tmp_path):
    photo = save_square(tmp_path / "r.png", RED).read_bytes()
    process, _, port = start(make_model(), "--drain-s", 60)
    process.send_signal(signal.SIGTERM)
    end = time.monotonic() + STOP_S
    while (seen := got(port, "/v2/health/ready"))[0] == 200:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert seen == (503, "close")
    assert got(port, "/v2/health/live") == (200, "close")
    assert ask(port, "/classify", photo)[0] == 200
    process.send_signal(signal.SIGTERM)  # once more: at once
    assert process.wait(STOP_S) == 0


def got(port, path):
    """Its status, and whether the connection is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STOP_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers["Connection"]
    finally:
        connection.close()


def test_silent_connections_leave_file_descriptors_for_others(make_model, start):
    shell = ("sh", "-c", 'ulimit -n 600 && exec "$@"', "sh")
    process, _, port = start(make_model(), under=shell)
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), STOP_S))
        for path in ("/v2/health/live", "/v2/health/ready", "/metrics"):
            assert got(port, path)[0] == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_S) == 0
    assert "Too many open files" not in process.stderr.read()


def test_a_request_that_fails_is_a_line_with_its_time(make_model, start, tmp_path):
    photo = save_square(tmp_path / "r.png", RED, (6000, 6000)).read_bytes()
    process, _, port = start(make_model("tiny.onnx"), "--timeout-s", 0.1)
    assert ask(port, "/classify", photo)[0] == 504
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_S) == 0
    assert re.search(
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} WARNING POST /classify status=504 model=tiny ",
        process.stderr.read(),
        re.MULTILINE,
    )


def test_a_served_model_is_verified_on_the_command_line(ghostkit, make_model, start, tmp_path):
    for name, color in (("r", RED), ("g", GREEN), ("b", BLUE)):
        save_square(tmp_path / "photos" / f"{name}.png", color)
    model = make_model()
    _, _, port = start(model)
    url = f"http://127.0.0.1:{port}"
    page = tmp_path / "page.html"
    images = ["--images", tmp_path / "photos"]
    outcome = ghostkit("verify", model, url, *images, "--html", page)
    assert outcome.status == 0, outcome.err
    assert "pass: the same answers to 3 pictures" in outcome.out
    assert f"the server at {url}" in outcome.out and url in page.read_text()
    refused = ghostkit("verify", model, url, *images, "--backend", "onnx")
    assert refused.status == 2 and "runs as its server was started" in refused.err


def test_a_port_that_is_taken_is_said(ghostkit, make_model, start):
    _, _, port = start(make_model())
    outcome = ghostkit("serve", make_model("other.onnx"), "--port", port)
    assert outcome.status == 2
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in outcome.err


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (["{a}", "{a}"], "are both 'a'; name one: a2="),
        (["{odd}"], "'a b' cannot stand in an address; name it: shoes="),
        (["missing.onnx"], "missing.onnx: no such model file"),
    ],
)
def test_models_that_cannot_be_served_are_said(ghostkit, make_model, models, words):
    paths = {"a": make_model("a.onnx"), "odd": make_model("a b.onnx")}
    outcome = ghostkit("serve", *[each.format(**paths) for each in models], "--port", 0)
    assert outcome.status == 2 and words in outcome.err
