import io
import os
from contextlib import suppress

import pytest

from ghostkit.progress import bars_for, silent, tell


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_off_a_terminal_a_plain_line_closes_each_stage():
    stream = io.StringIO()
    with bars_for(stream)("Evaluating", 3) as bar:
        bar.advance(1)
        bar.advance(2, "loss 0.612")
    assert stream.getvalue() == "Evaluating: 3/3, loss 0.612\n"


def test_on_a_terminal_the_bar_shows_title_count_and_note():
    stream = Terminal()
    with bars_for(stream)("Evaluating", 3) as bar:
        bar.advance(3, "loss 0.612")
    assert "Evaluating" in stream.getvalue()
    assert "3/3" in stream.getvalue()
    assert "loss 0.612" in stream.getvalue()


def test_an_error_inside_is_passed_on():
    with pytest.raises(ZeroDivisionError), bars_for(io.StringIO())("x", 1):
        _ = 1 / 0


def test_silent_prints_nothing(capsys):
    with silent("x", 1) as bar:
        bar.advance(1)
    assert capsys.readouterr() == ("", "")


def test_work_goes_on_where_nobody_reads_the_lines_any_more():
    reader, writer = os.pipe()
    os.close(reader)
    done = 0
    with open(writer, "w") as stream:
        with bars_for(stream)("Training", 2) as bar:
            for _ in range(2):
                bar.advance(1)
                done += 1
        tell("saved", stream)
        with suppress(BrokenPipeError):
            stream.close()
    assert done == 2
