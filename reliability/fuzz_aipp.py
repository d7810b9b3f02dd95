"""Does any file make the AIPP reader fail otherwise than by refusing it?

    python reliability/fuzz_aipp.py --runs 1000000
    python reliability/fuzz_aipp.py --runs 1000000 --guided      (needs: pip install atheris)

Plain: seeded mutations of three files, in words of the format. Guided: atheris looks for new paths
through the reader. Either way each file that is read is also linted, explained, printed, read again
and, if it is without error, simulated. Prints how many were read and refused; exit status 1 on the
first other exception, after printing the file.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from ghostkit.aipp import explain, lint, of_block, parse, simulate, source_shape, to_text
from ghostkit.aipp.keys import KEYS
from ghostkit.errors import AippError

SIZE = (8, 6)  # of the model in the simulation
FILES = (
    "aipp_op {\n aipp_mode : static\n input_format : RGB888_U8\n csc_switch : false\n"
    " rbuv_swap_switch : true\n min_chn_0 : 123.675\n var_reci_chn_0 : 0.0171247538 }",
    "aipp_op { aipp_mode: static input_format : YUV420SP_U8 src_image_size_w : 10 "
    "src_image_size_h : 12 crop: true load_start_pos_w : 2 csc_switch : true "
    "matrix_r0c0 : 256 matrix_r0c2 : 359 input_bias_1 : 128 } # end",
    'aipp_op: < aipp_mode : dynamic max_src_image_size : 0x100 related_input_name : "a\\"b" '
    "input_edge_idx : [0, 1] >;",
)
PIECES = (
    *KEYS,
    *(
        "aipp_op",
        "{",
        "}",
        "<",
        ">",
        ":",
        ",",
        ";",
        "[",
        "]",
        "#",
        "\n",
        '"',
        "'",
        "-",
        "true",
        "f",
    ),
    *("static", "XRGB8888_U8", "YUV400_U8", "0", "1", "255", "65504", "1e999", ".5", "-.", "0x1F"),
    *("nan", "99999999999999999999", "08", "\\", "\0", "\u00e9", "CLASS_NUM=10", "padding : true"),
)

VALUES = (
    *("0", "1", "2", "4", "8", "255", "-3", "0.5", "1.5e-2", "65504", "0x1F", "017", "1e-9"),
    *("true", "false", "t", "static", "dynamic", "YUV420SP_U8", "XRGB8888_U8", "RGB888_U8"),
)


def judge(content: str | bytes) -> bool:
    """Whether the file was read; raises what is a fault of ours."""
    try:
        blocks = parse(content, "fuzz")
    except AippError:
        return False
    findings = lint(blocks, model_size=SIZE)
    again = parse(to_text(blocks))
    assert [[(e.key, e.value) for e in block.entries] for block in again] == [
        [(e.key, e.value) for e in block.entries] for block in blocks
    ], "printed and read again it is another file"
    if any(finding.severity == "error" for finding in findings):
        return True
    for block in blocks:
        config = of_block(block)
        assert explain(config, SIZE)
        try:
            shape = source_shape(config, SIZE)
            values = simulate(config, np.full((1, *shape), 200, dtype=np.uint8), SIZE)
        except AippError:
            continue
        assert values.shape == (1, 3, *SIZE) and np.isfinite(values).all()
    return True


def mutated(draw: random.Random) -> str:
    """One of the files with further entries, values replaced, or words cut out and put in."""
    words = draw.choice(FILES).replace(":", " : ").split(" ")
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(words))
        match draw.choice((0, 0, 0, 0, 1, 1, 1, 2, 3)):
            case 0:
                ends = [i for i, word in enumerate(words) if word in "}>" and word]
                entry = [draw.choice(list(KEYS)), ":", draw.choice(VALUES)]
                words[ends[0] if ends else at : ends[0] if ends else at] = entry
            case 1:
                colons = [i for i, word in enumerate(words[:-1]) if word == ":"]
                words[draw.choice(colons) + 1 if colons else at] = draw.choice(VALUES)
            case 2:
                words[at : at + draw.randint(0, 3)] = [draw.choice((*PIECES, ""))]
            case _:
                word = words[at]
                cut = draw.randint(0, len(word))
                words[at] = word[:cut] + draw.choice((*PIECES, "")) + word[cut + 1 :]
    return " ".join(words)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris")
    arguments = parser.parse_args()
    if arguments.guided:
        return guided(arguments.runs, arguments.seed)
    draw, read, began = random.Random(arguments.seed), 0, time.monotonic()
    for number in range(arguments.runs):
        text = mutated(draw)
        try:
            read += judge(text)
        except Exception:
            traceback.print_exc()
            print(f"FAILED: file {number}: {text!r}")
            return 1
    elapsed = time.monotonic() - began
    refused = arguments.runs - read
    print(f"{arguments.runs} files: {read} read, {refused} refused, 0 failed; {elapsed:.0f} s")
    return 0


def guided(runs: int, seed: int) -> int:
    """Let atheris choose the bytes; it ends the process itself, with status 77 on a failure."""
    try:
        import atheris
    except ImportError:
        print("atheris is not installed; run: pip install atheris", file=sys.stderr)
        return 2
    import ghostkit.aipp.config as config
    import ghostkit.aipp.syntax as syntax
    import ghostkit.aipp.values as values

    for module in (syntax, values, config):
        for name in dir(module):
            function = getattr(module, name)
            if callable(function) and getattr(function, "__module__", "") == module.__name__:
                if not isinstance(function, type):
                    setattr(module, name, atheris.instrument_func(function))
    atheris.instrument_func(judge)
    with tempfile.TemporaryDirectory() as corpus:
        for number, text in enumerate(FILES):
            (Path(corpus) / str(number)).write_text(text)
        options = [f"-runs={runs}", f"-seed={seed + 1}", "-max_len=600", "-len_control=0"]
        atheris.Setup([sys.argv[0], *options, corpus], judge_bytes)
        atheris.Fuzz()
    return 0


def judge_bytes(data: bytes) -> None:
    """As `judge`, for atheris, which wants no answer."""
    judge(data)


if __name__ == "__main__":
    sys.exit(main())
