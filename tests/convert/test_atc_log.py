import pytest

from ghostkit.convert.atc_log import explain_failure
from ghostkit.convert.om_file import fault_of_om

FAILED = "ATC run failed, Please check the detail log, Try 'atc --help' for more information\n"


@pytest.mark.parametrize(
    ("log", "status", "words"),
    [
        (
            FAILED
            + "E19010: No parser is registered for Op [/m/FindMax, optype [ai.onnx::11::F]].",
            255,
            "E19010: no parser for an operator: this CANN does not know it",
        ),
        (
            "[ERROR] E10052: AIPP configuration is invalid. Reason: crop.",
            1,
            "refuses the AIPP file",
        ),
        ("EZ3003: [PID: 9] 2024 No supported Ops kernel", 1, "no kernel for this chip"),
        (
            "EC0010: Failed to import Python module [No module named 'attr'].",
            1,
            "pip install numpy",
        ),
        ("E99999: what", 1, "E99999: a code that this ghostkit does not know; ATC says: what"),
        ("write: No space left on device", 1, "the disk is full"),
        ("atc: error while loading shared libraries: libge.so", 127, "source set_env.sh"),
        ("", -11, "ended by SIGSEGV: it crashed"),
        ("", 139, "ended by SIGSEGV"),
        ("", -9, "killed from outside, mostly since memory ran out"),
        ("", 200, "ended by signal 72"),
        ("", 0, "without its line 'ATC run success'"),
        ("", 1, "it said nothing"),
        ("odd things\n\nhappened", 3, "atc failed with status 3"),
        ("odd things\n\nhappened", 3, "  happened"),
    ],
)
def test_a_failure_in_plain_words(log, status, words):
    assert words in "\n".join(explain_failure(log, status))


def test_a_code_that_comes_again_is_explained_once():
    lines = explain_failure("E19010: a\nE19010: b\nE10001: c", 1)
    assert [line[:6] for line in lines[1:]] == ["E19010", "E10001"]


def test_the_compilers_own_words_are_kept_and_bounded():
    [_, line] = explain_failure("E10001: " + "x" * 1000, 1)
    assert "x" * 300 in line and "x" * 301 not in line


def test_a_whole_om_file_and_its_faults(tmp_path):
    path = tmp_path / "m.om"
    # IMOD, header size 256, a version, 64 bytes of checksum, then the length at byte 76: 5
    header = b"IMOD" + bytes([0, 1, 0, 0]) + bytes(4 + 64) + bytes([5, 0, 0, 0])
    whole = header.ljust(256, b"\0") + b"model"
    for content, fault in (
        (whole, None),
        (whole[:-1], "its header promises 261 bytes, it has 260"),
        (whole + b"!", "its header promises 261 bytes, it has 262"),
        (whole[:100], "it ends within its header, after 100 of 256 bytes"),
        (b"PK" + whole, "it begins with b'PKIM', not b'IMOD'"),
        (b"", "it is empty"),
    ):
        path.write_bytes(content)
        assert fault_of_om(path) == fault
