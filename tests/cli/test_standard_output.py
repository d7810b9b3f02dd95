import errno
import io
import sys

import pytest

from ghostkit.cli.standard_output import print_json, print_line
from ghostkit.errors import OutputError


class Full(io.RawIOBase):
    def writable(self):
        return True

    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("write", [print_line, print_json])
def test_a_full_disk_is_an_error_with_a_message(write, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Full(), write_through=True))
    with pytest.raises(OutputError, match="cannot write to standard output: No space left"):
        write("a line")


def test_a_line_stays_one_line(capsys):
    print_line("a\nb\x1b[31m")
    assert capsys.readouterr().out == "a\\nb\\x1b[31m\n"
