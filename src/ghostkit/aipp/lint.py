"""Lint an AIPP file: what ATC or the chip refuses, or what is probably wrong, each with a remedy.

In: parsed blocks, and what is known of the model. Out: findings in the order of the file.
"""

from collections.abc import Iterator, Sequence

from ghostkit.aipp.config import Aipp, of_block
from ghostkit.aipp.findings import Finding, Severity
from ghostkit.aipp.keys import ASCEND310_FORMATS, DYNAMIC_KEYS, KEYS
from ghostkit.aipp.lint_geometry import geometry
from ghostkit.aipp.lint_numbers import numbers
from ghostkit.aipp.syntax import Block
from ghostkit.defaults import DEFAULT_CHIP

Size = tuple[int, int]


def lint(
    blocks: Sequence[Block],
    *,
    model_size: Size | None = None,
    inputs: int = 1,
    input_name: str | None = None,
    soc: str = DEFAULT_CHIP,
) -> tuple[Finding, ...]:
    """Everything that is wrong or doubtful in `blocks`.

    Args:
        model_size: (height, width) of the model's input in pixels, where it is known.
        inputs: how many inputs the model has.
        input_name: what its one input is called, where it is known.
        soc: the chip as ``--soc_version`` names it; it decides which formats there are.
    """
    findings = [finding for block in blocks for finding in _block(block, model_size, inputs, soc)]
    if input_name is not None:
        findings += [finding for block in blocks for finding in _named(block, input_name)]
    findings += _several(blocks, inputs)
    return tuple(sorted(findings, key=lambda finding: finding.line))


def _block(block: Block, model_size: Size | None, inputs: int, soc: str) -> Iterator[Finding]:
    ranges = list(_ranges(block))
    yield from ranges
    yield from _mode(block)
    rank = block.integer("related_input_rank")
    if rank >= inputs:
        yield _at(
            block,
            "related_input_rank",
            f"input {rank} of a model with {inputs}",
            f"give a rank from 0 to {inputs - 1}",
        )
    if block.get("aipp_mode") == "dynamic":
        yield from _unused(block, [e.key for e in block.entries if e.key not in DYNAMIC_KEYS])
        return
    yield from _format(block, soc)
    yield from _switches(block)
    if not ranges:
        config = of_block(block)
        yield from _channels(block, config)
        yield from geometry(block, config, model_size, soc)
        yield from numbers(block, config)


def _named(block: Block, input_name: str) -> Iterator[Finding]:
    name = block.get("related_input_name")
    if name and name != input_name:
        yield _at(
            block,
            "related_input_name",
            f"the model's input is {input_name!r}, not {name!r}",
            f'write related_input_name : "{input_name}", or leave it out',
        )


def _several(blocks: Sequence[Block], inputs: int) -> Iterator[Finding]:
    seen: dict[object, int] = {}
    for block in blocks:
        named = block.get("related_input_name") or block.get("related_input_rank")
        target = 0 if inputs == 1 else named  # whatever it is called
        if target in seen:
            yield _at(
                block,
                "related_input_rank",
                f"the block in line {seen[target]} is for input {target} too",
                "write one aipp_op block per input, each with its own related_input_rank",
            )
        seen.setdefault(target, block.line)


def _ranges(block: Block) -> Iterator[Finding]:
    for entry in block.entries:
        key = KEYS[entry.key]
        if key.low is None or key.high is None or isinstance(entry.value, str):
            continue
        if not key.low <= entry.value <= key.high:
            yield Finding(
                "error",
                entry.line,
                entry.key,
                f"{entry.value:g} is outside {key.low:g}..{key.high:g}",
                "ATC refuses it; "
                + (
                    "is it the reciprocal, 1 / (255 * std)?" if "var" in entry.key else "correct it"
                ),
            )
        if entry.key == "src_image_size_w" and entry.value == 1:
            yield Finding("error", entry.line, entry.key, "a width of 1", "give 0 or 2..4096")


def _mode(block: Block) -> Iterator[Finding]:
    mode = block.get("aipp_mode")
    if mode == "undefined":
        seen = "is undefined" if "aipp_mode" in block else "is missing"
        yield _at(block, "aipp_mode", seen, "write aipp_mode : static")
    if mode == "dynamic" and block.get("max_src_image_size") == 0:
        yield _at(
            block,
            "max_src_image_size",
            "dynamic mode needs it, above 0",
            "write the bytes of the largest picture, e.g. 240 * 240 * 3 = 172800",
        )
    if mode != "dynamic":
        given = [key for key in ("max_src_image_size", "support_rotation") if key in block]
        yield from _unused(block, given, "are of dynamic mode")


def _format(block: Block, soc: str) -> Iterator[Finding]:
    form = str(block.get("input_format"))
    if form == "UNDEFINED":
        if block.get("aipp_mode") == "static":
            seen = "is UNDEFINED" if "input_format" in block else "is missing"
            yield _at(block, "input_format", seen, "e.g. input_format : RGB888_U8")
        return
    if soc.startswith("Ascend310") and form not in ASCEND310_FORMATS:
        yield _at(
            block,
            "input_format",
            f"{soc} does not take {form}",
            f"take one of {', '.join(ASCEND310_FORMATS)}",
        )
    if block.get("csc_switch") and form == "YUV400_U8":
        yield _at(
            block,
            "csc_switch",
            "YUV400_U8 is one channel of grey, there is no colour to convert",
            "write csc_switch : false",
        )


def _switches(block: Block) -> Iterator[Finding]:
    """Keys that have no effect since their switch is off."""
    for switch in ("csc_switch", "crop", "padding", "resize"):
        if block.get(switch):
            continue
        given = [e.key for e in block.entries if KEYS[e.key].switch == switch and e.value != 0]
        if given and (switch != "csc_switch" or any("matrix" in key for key in given)):
            why = f"has no effect, since {switch} is off"
            advice = f"write {switch} : true, or remove what needs it: {', '.join(given)}"
            yield _at(block, given[0], why, advice, "warning")


def _channels(block: Block, config: Aipp) -> Iterator[Finding]:
    form = config.input_format
    if config.swap_ax and form not in ("XRGB8888_U8", "ARGB8888_U8", "AYUV444_U8"):
        yield _at(
            block,
            "ax_swap_switch",
            f"{form} has no fourth channel to move",
            "write ax_swap_switch : false",
            "warning",
        )
    if form == "XRGB8888_U8" and not config.swap_ax and config.csc is None:
        yield _at(
            block,
            "input_format",
            "the first channel of XRGB8888_U8 is X, so a model of three channels gets X, R, G",
            "write ax_swap_switch : true",
            "warning",
        )
    if form == "YUV400_U8" and config.swap_rb_uv:
        yield _at(
            block,
            "rbuv_swap_switch",
            "YUV400_U8 has one channel",
            "write rbuv_swap_switch : false",
            "warning",
        )
    if form == "YUV420SP_U8" and config.csc is None:
        yield _at(
            block,
            "csc_switch",
            "off, so the model gets Y, U and V instead of colours",
            "write csc_switch : true and a matrix (docs/aipp.md has them)",
            "warning",
        )
    if config.csc is not None and not any("matrix" in entry.key for entry in block.entries):
        made = "BGR, by the matrix of narrow BT.601" if form.startswith("YUV") else "YUV"
        yield _at(
            block,
            "csc_switch",
            f"no matrix is given, so ATC takes its default, which makes {made}",
            "write the nine matrix_rNcN keys",
            "warning",
        )
    if config.single_line:
        yield _at(
            block,
            "single_line_mode",
            "one line of each picture is read",
            "write single_line_mode : false to classify whole pictures",
        )


def _unused(
    block: Block, keys: Sequence[str], why: str = "are of static mode"
) -> Iterator[Finding]:
    if keys:
        advice = f"remove {', '.join(keys)}, or choose the other aipp_mode"
        yield _at(block, keys[0], f"keys that {why} have no effect here", advice, "warning")


def _at(block: Block, key: str, problem: str, advice: str, severity: Severity = "error") -> Finding:
    return Finding(severity, block.line_of(key), key, problem, advice)
