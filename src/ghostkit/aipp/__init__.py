"""AIPP, the preprocessing that Ascend's compiler puts on the chip: read, checked, made, simulated.

    text --parse--> Block --lint--> findings
                      |---of_block--> Aipp --simulate--> what the model gets; --explain--> words
    card --generate--> Block;  card + Block --match--> the host's card, or why they contradict

numpy only. `ghostkit.convert` compiles with it, `ghostkit.convert.chip` classifies through it.
"""

from ghostkit.aipp.config import Aipp, of_block
from ghostkit.aipp.explain import explain
from ghostkit.aipp.findings import Finding
from ghostkit.aipp.generate import generate
from ghostkit.aipp.geometry import contradictions
from ghostkit.aipp.lint import lint
from ghostkit.aipp.match import Match, match
from ghostkit.aipp.simulate import simulate, source_shape
from ghostkit.aipp.syntax import Block, Entry, parse, to_text

__all__ = [
    "Aipp",
    "Block",
    "Entry",
    "Finding",
    "Match",
    "contradictions",
    "explain",
    "generate",
    "lint",
    "match",
    "of_block",
    "parse",
    "simulate",
    "source_shape",
    "to_text",
]
