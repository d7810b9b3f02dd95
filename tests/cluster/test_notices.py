"""Ray's words on standard output: told once, elsewhere, without its log."""

import os
import sys

import pytest

from ghostkit.cluster.notices import quiet_start, told_by


def test_a_lost_node_is_one_line_and_standard_output_stays_clean(capsys):
    told = []
    with told_by(told.append):
        for _ in range(2):
            print("\x1b[33m(raylet)\x1b[0m Raylet is terminated. Last 20 lines of the Raylet logs:")
            print("    [state-dump] NodeManager\n\n    [I 13154] accessor.cc", end="")
            print("", flush=True)
    assert told == ["Ray: Raylet is terminated."]
    assert capsys.readouterr().out == ""
    print("back")
    assert sys.stdout is not told and capsys.readouterr().out == "back\n"


def test_a_start_is_quiet_unless_it_fails(capfd):
    with quiet_start():
        os.write(2, b"Set ray log level\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ConnectionError), quiet_start():
        os.write(2, b"no node of this address\n")
        raise ConnectionError
    assert capfd.readouterr().err == "no node of this address\n"
