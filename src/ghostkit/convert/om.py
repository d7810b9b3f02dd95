"""``--to om``: an ONNX model compiled for Ascend, its AIPP file checked, the card beside it.

In: the model's path, its card, options. Out: ``M.om``, ``M.om.card.json`` for the host, ATC's log.
Everything that can be checked without ATC is checked before it runs, and again what it wrote.
"""

import shlex
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from ghostkit.aipp import Match, explain, generate, match, of_block, parse, to_text
from ghostkit.aipp.generate import Color, check_float_model
from ghostkit.card import ModelCard, write_sidecar
from ghostkit.convert.atc_command import AtcCall, check_soc, input_shape, odd_paths
from ghostkit.convert.atc_log import SUCCESS, TOO_LONG, explain_failure
from ghostkit.convert.om_file import fault_of_om
from ghostkit.defaults import DEFAULT_CHIP
from ghostkit.errors import AippError, CompilerError, MissingExtra, UsageError
from ghostkit.files import check_target, sha256_of, sync_folder, write_text
from ghostkit.suffixes import COMPILED

TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class OmOptions:
    """How to compile. `output` gets the suffix .om where it has none, as ATC adds it."""

    output: Path
    soc: str = DEFAULT_CHIP
    aipp: Path | None = None  # None: generated from the card
    host_color: Color = "BGR"  # of a generated file; what OpenCV and MindX plugins decode to
    batch_size: int = 1
    input_shape: str | None = None  # as for ATC; has to agree with the card
    atc: str = "atc"
    timeout_s: float = TIMEOUT_S
    dry_run: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class OmResult:
    """What was done, or would be: in a dry run `om` and `log` are None."""

    om: Path | None
    log: Path | None
    aipp: Path
    host_card: ModelCard
    command: tuple[str, ...]
    aipp_words: tuple[str, ...]  # what the AIPP file does
    warnings: tuple[str, ...]
    difference: float  # of the model's input, chip against training, largest
    explained: float  # what half precision alone may cost

    @property
    def shell_command(self) -> str:
        """The command, to be pasted into a shell on a machine that has ATC."""
        return shlex.join(self.command)


def convert_to_om(model: Path, card: ModelCard, options: OmOptions) -> OmResult:
    """Compile the ONNX file `model` for an Ascend chip.

    Raises:
        AippError: the AIPP file is malformed or contradicts the card.
        ModelError: ATC cannot compile the graph, or it is not the card's.
        CompilerError: ATC failed or wrote no whole file; its log is kept.
        UsageError: an option makes no sense, or there is no ATC.
    """
    om = options.output
    om = om if om.suffix == COMPILED else om.with_name(om.name + COMPILED)
    check_soc(options.soc)
    check_float_model(card)
    check_target(om, overwrite=options.overwrite)
    program = None if options.dry_run else _find(options.atc)
    shape = input_shape(card, options.batch_size, options.input_shape)
    warnings = _check_graph(model, card, shape)
    aipp, checked = _aipp(card, options, om)
    size = (card.input.height or 0, card.input.width or 0)
    call = AtcCall(
        model=model,
        aipp=aipp,
        output=om.with_suffix(""),
        soc=options.soc,
        input_shape=shape,
    )
    warnings += tuple(map(str, checked.match.findings))
    if odd := odd_paths(call):
        warnings += (f"ATC may refuse these characters in a path: {', '.join(odd)}",)
    log = None
    host_card = checked.match.host_card
    if program is not None:
        log, host_card = _compile(program, call, om, options, host_card, checked.text)
    return OmResult(
        om=None if options.dry_run else om,
        log=log,
        aipp=aipp,
        host_card=host_card,
        command=(options.atc, *call.arguments()),
        aipp_words=explain(of_block(parse(checked.text, str(aipp))[0]), size),
        warnings=warnings,
        difference=checked.match.difference,
        explained=checked.match.explained,
    )


@dataclass(frozen=True)
class _CheckedAipp:
    text: str
    match: Match


def _aipp(card: ModelCard, options: OmOptions, om: Path) -> tuple[Path, _CheckedAipp]:
    """The AIPP file that ATC will read, and what it was found to do."""
    if options.aipp is not None:
        try:
            content = options.aipp.read_bytes()
        except OSError as error:
            raise AippError(
                f"{options.aipp}: the AIPP file cannot be read: {error.strerror}; name it with "
                "--aipp, or leave that out to have one made from the card"
            ) from error
        blocks = parse(content, str(options.aipp))
        found = match(card, blocks, str(options.aipp), soc=options.soc)
        return options.aipp, _CheckedAipp(content.decode("utf-8", "replace"), found)
    target = om.with_suffix(".aipp.cfg")
    blocks = (generate(card, host_color=options.host_color),)
    text = to_text(blocks, ("made by ghostkit from the model's card", f"card {card.hash}"))
    found = match(card, parse(text, str(target)), str(target), soc=options.soc)
    if not (target.is_file() and target.read_bytes() == text.encode()):
        check_target(target, overwrite=options.overwrite)  # it may be one that a person changed
        write_text(target, text)
    return target, _CheckedAipp(text, found)


def _check_graph(model: Path, card: ModelCard, shape: str) -> tuple[str, ...]:
    if find_spec("onnx") is None:
        return (f"the graph is not checked: {MissingExtra('convert', 'onnx')}",)
    from ghostkit.convert.atc_graph import check_graph

    return check_graph(model, card, shape)


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise UsageError(
            f"{program!r} is not on the PATH: ATC comes with Huawei's CANN toolkit; after "
            "installing it: source /usr/local/Ascend/ascend-toolkit/set_env.sh. Without it, "
            "--dry-run checks everything and prints the command to run where there is one"
        )
    return found


def _compile(
    program: str, call: AtcCall, om: Path, options: OmOptions, card: ModelCard, aipp_text: str
) -> tuple[Path, ModelCard]:
    """Run ATC into a folder beside `om`; only a whole file is moved to it, after its card."""
    log = om.with_suffix(".atc.log")
    with tempfile.TemporaryDirectory(dir=om.parent, prefix=".ghostkit-atc-") as folder:
        staged = replace(
            call,
            model=call.model.resolve(),
            aipp=call.aipp.resolve(),
            output=Path(folder) / om.stem,
        )
        status, text = _run([program, *staged.arguments()], options.timeout_s)
        write_text(log, shlex.join([options.atc, *staged.arguments()]) + "\n\n" + text)
        written = _written(Path(folder), om)
        if status != 0 or SUCCESS not in text:
            raise CompilerError(
                f"{om} is not written:", *explain_failure(text, status), f"the log is {log}"
            )
        fault = "there is none" if written is None else fault_of_om(written)
        if written is None or fault is not None:
            free = shutil.disk_usage(om.parent).free
            raise CompilerError(
                f"{om} is not written: atc reports success, but its file is no whole model: "
                f"{fault}; {free // 2**20} MiB are free there; run it again, with more space",
                f"the log is {log}",
            )
        card = _with_record(card, written, call, aipp_text)
        write_sidecar(card, om)
        written.replace(om)
    sync_folder(om.parent)
    return log, card


def _written(folder: Path, om: Path) -> Path | None:
    """What ATC wrote: NAME.om, or the one .om there, as newer versions add the host's system."""
    files = sorted(folder.glob("*.om"))
    exact = folder / om.name
    return exact if exact in files else files[0] if len(files) == 1 else None


def _with_record(card: ModelCard, written: Path, call: AtcCall, aipp_text: str) -> ModelCard:
    """The card with what made the file: so that a card beside another file is noticed."""
    made = {
        "soc": call.soc,
        "input_shape": call.input_shape,
        "aipp": aipp_text,
        "sha256": sha256_of(written),
    }
    recipe = card.provenance.recipe | {"atc": made}
    provenance = card.provenance.model_copy(update={"recipe": recipe})
    return card.model_copy(update={"provenance": provenance})


def _run(command: list[str], timeout_s: float) -> tuple[int, str]:
    """The exit status and everything that was printed."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        printed = (error.stdout or b"").decode("utf-8", "replace")
        return -signal.SIGKILL, f"{printed}\n{TOO_LONG} {timeout_s:g} s and was killed\n"
    except OSError as error:
        raise CompilerError(f"{command[0]} cannot be run: {error.strerror}") from error
    return done.returncode, done.stdout.decode("utf-8", "replace")
