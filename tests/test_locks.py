"""One run at a time: in a folder, in a file, whatever children the first has."""

import os
import signal
import threading

import pytest

from ghostkit.errors import OutputError
from ghostkit.locks import claim, claimed, close_noted, taking_turns


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_second_run_is_told_and_the_next_one_may(tmp_path, kind):
    path = tmp_path if kind == "folder" else tmp_path / "results.jsonl"
    if kind == "file":
        path.touch()
    with claimed(path):
        with pytest.raises(OutputError, match="another run is writing it; wait for it"):
            claim(path)
        with pytest.raises(OutputError, match="^'s3://b/x': another run"):
            claim(path, "s3://b/x")
    with claimed(path):
        pass


def test_who_waits_for_a_turn_in_a_folder_goes_after_who_has_it(tmp_path):
    seen = []

    def go_after():
        with taking_turns(tmp_path):
            seen.append("second")

    with taking_turns(tmp_path):
        waiting = threading.Thread(target=go_after)
        waiting.start()
        waiting.join(0.2)  # long enough to go in, were the folder open
        seen.append("first")
    waiting.join()
    assert seen == ["first", "second"]


def test_a_child_does_not_keep_its_parents_claim(tmp_path):
    born, told = os.pipe()
    claim_of_parent = claim(tmp_path)
    child = os.fork()
    if not child:
        os.write(told, b"x")
        signal.pause()
    os.read(born, 1)
    close_noted(claim_of_parent)
    try:
        with claimed(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
