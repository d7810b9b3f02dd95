"""Explain ATC's failures in plain words: its error codes, and failures without a code.

In: the text of its output, its exit status. Out: lines for a person, the compiler's own words kept.
"""

import re
import signal

LAST_LINES = 12  # of the log, shown where nothing in it is known
SUCCESS = "ATC run success"
TOO_LONG = "atc did not end within"  # our own last line of a log, where we killed it
_CODE = re.compile(r"\b(E[A-Z0-9]\d{4}|E[A-Z]\d{3,4})\b\s*[:：]?\s*(.*)")

CODES = {
    "E10001": "ATC does not accept the value of an option; for soc_version the installed kernels "
    "are of another chip: give --soc as npu-smi info shows it",
    "E10002": "--input_shape is malformed",
    "E10003": "ATC does not accept the value of an option, or cannot read a file that it names",
    "E10011": "--input_shape has a size that is no positive number; shapes have to be static",
    "E10016": "a name in the command is none of the model's: is the card's input name right?",
    "E10021": "a path is too long; choose a shorter output folder",
    "E10022": "a path names a folder, not a file",
    "E10034": "the input behind AIPP may not be forced to fp16",
    "E10044": "the model cannot be read: a damaged file, or weights that are missing beside it",
    "E10049": "--input_shape has another number of sizes than the model's input",
    "E10052": "ATC refuses the AIPP file",
    "E10054": "an option is empty",
    "E10410": "a file in the command does not exist",
    "E10501": "an operator is not registered: is ASCEND_OPP_PATH set (source set_env.sh)?",
    "E19010": "no parser for an operator: this CANN does not know it, or knows an older version; "
    "export with opset 11 to 17 and standard operators",
    "EC0010": "a Python package that the compiler needs is missing: pip install numpy attrs "
    "decorator sympy psutil scipy cffi",
    "EZ3002": "an operator has no kernel for this chip or this data type",
    "EZ3003": "an operator has no kernel for this chip: is the kernel package installed that "
    "belongs to it?",
    "EZ9999": "an internal error of the compiler; its own words may help",
}
PATTERNS = (
    ("No space left on device", "the disk is full; free space, or choose another output folder"),
    ("Segmentation fault", "the compiler crashed; a graph that it cannot read does that"),
    ("error while loading shared libraries", "CANN's libraries are not found; source set_env.sh"),
    ("ModuleNotFoundError", "the compiler's Python misses a package; install it for that Python"),
    ("Permission denied", "a file or folder may not be read or written by this user"),
    ("Out of memory", "not enough memory to compile"),
)


def explain_failure(log: str, status: int) -> tuple[str, ...]:
    """Why ATC wrote no model, as far as its output tells; never empty.

    Args:
        status: the exit status; negative: the signal that killed it.
    """
    ours = [line for line in log.splitlines() if line.startswith(TOO_LONG)]
    lines = ours or [_how_it_ended(status)]
    found = False
    seen: set[str] = set()
    for code, words in _CODE.findall(log):
        if code in seen:
            continue
        seen.add(code)
        found = True
        meaning = CODES.get(code, "a code that this ghostkit does not know")
        lines.append(f"{code}: {meaning}; ATC says: {words.strip()[:300] or '(nothing)'}")
    for pattern, meaning in PATTERNS:
        if pattern.lower() in log.lower():
            found = True
            lines.append(f"{pattern!r}: {meaning}")
    if not found:
        tail = [line.strip() for line in log.splitlines() if line.strip()][-LAST_LINES:]
        lines.append("no error code in its output; its last lines:" if tail else "it said nothing")
        lines += [f"  {line[:300]}" for line in tail]
    return tuple(lines)


def _how_it_ended(status: int) -> str:
    killed = -status if status < 0 else status - 128 if status > 128 else 0
    if killed:
        try:
            name = signal.Signals(killed).name
        except ValueError:
            name = f"signal {killed}"
        more = {
            "SIGSEGV": ": it crashed, as it does on graphs that it cannot read",
            "SIGKILL": ": killed from outside, mostly since memory ran out",
        }.get(name, "")
        return f"atc was ended by {name}{more}"
    if status == 0:
        return "atc ended with status 0, but without its line 'ATC run success'"
    return f"atc failed with status {status}"
