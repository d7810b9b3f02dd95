"""The command line: parse, call, print, exit status. One file per command, imports inside handlers.

Exit status: 0 success, 1 done but some inputs failed (each one named), 2 wrong usage or
environment, 130 interrupted (Ctrl-C or SIGTERM), 141 the reader of standard output has gone (a
broken pipe). An error is one message on standard error that begins with ``ghostkit:``, never a
traceback.
"""

import gc
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from ghostkit import __version__
from ghostkit.cli import naming, store_options
from ghostkit.cli.commands import SETTINGS, Commands
from ghostkit.cli.naming import as_given
from ghostkit.cli.options import INTERRUPTED, say
from ghostkit.errors import GhostkitError
from ghostkit.progress import tell
from ghostkit.signals import sigterm_interrupts

READER_LEFT = 141  # what a shell reports for SIGPIPE

app = typer.Typer(
    name="ghostkit",
    cls=Commands,
    help="From a folder of labelled photos to a GhostNet classifier: the same answer everywhere.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
    epilog="Start with: ghostkit demo",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ghostkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
    store_endpoint: store_options.Endpoint = None,
    store_region: store_options.Region = None,
    store_profile: store_options.Profile = None,
    store_addressing: store_options.Addressing = None,
    store_signature: store_options.Signature = None,
    store_access_key: store_options.AccessKey = None,
    store_secret_file: store_options.SecretFile = None,
    store_cache_mb: store_options.CacheMb = None,
) -> None:
    pass


def main() -> None:
    """Run the command in `sys.argv`, then exit with its status."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is escaped
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:  # what Pillow says of a damaged picture names no file; we do
        warnings.filterwarnings("ignore", module=r"PIL\.")
    with sigterm_interrupts():
        status = _written_out(run())
    gc.freeze()  # or Python, on its way out, searches all of it for cycles
    sys.exit(status)


def _open_closed_streams() -> None:
    """Reopen standard streams that the caller has closed, as ``2>&-`` does.

    Otherwise the next opened file would get the stream's descriptor, and messages would be
    written into it. Standard input is empty then, standard error is discarded, and writes to
    standard output fail.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, mode, closefd=False))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default that of `sys.argv`; returns the exit status."""
    store_options.forget()
    naming.forget()
    try:
        if any("s3:/" in word or "obs:/" in word for word in arguments or sys.argv[1:]):
            status = _with_urls(arguments)
        else:
            status = app(arguments, prog_name="ghostkit", standalone_mode=False)
    except SystemExit as ending:  # typer's, where the pipe breaks in its hands
        if isinstance(ending.__context__, BrokenPipeError):
            return _reader_left()
        raise
    except GhostkitError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            return _reader_left()
        # may have several lines, each printable; what this disk refuses has its path here
        words = str(error) if isinstance(error.__cause__, OSError) else as_given(str(error))
        tell(f"ghostkit: {words}", sys.stderr)
        return 2
    except OSError as error:  # of the environment: no space for temporary files, no permission
        at = f": {error.filename!r}" if error.filename is not None else ""
        say(f"ghostkit: {error.strerror or error}{at}")
        return 2
    except MemoryError as error:
        words = f": {error}" if str(error) else ""
        say(f"ghostkit: there is not enough memory{words}; lower --batch-size or --workers")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):  # no fault in the command line, so a bug of ours
            raise
        return _wrong_usage(error)
    if status == INTERRUPTED:  # what is kept of its work, the command has said
        say("ghostkit: interrupted")
    return int(status or 0)


def _with_urls(arguments: Sequence[str] | None) -> int:
    """Run a command line that names something in an object store."""
    from ghostkit.cli.urls import Urls

    with Urls() as urls:
        status = app(arguments, prog_name="ghostkit", standalone_mode=False, obj=urls)
        urls.ended = int(status or 0) in (0, 1)
    return int(status or 0)


def _wrong_usage(error: Exception) -> int:
    """Say what typer found; it has no message where it has shown the help instead."""
    message = str(getattr(error, "format_message")()).rstrip(".")  # noqa: B009
    command = getattr(getattr(error, "ctx", None), "command_path", "ghostkit")
    if message:
        say(f"ghostkit: {message}; see: {command} --help")
    return 2


def _written_out(status: int) -> int:
    """Flush standard output; the exit status, which changes if that fails."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    except OSError as error:
        _discard_output()
        if not status:
            say(f"ghostkit: cannot write to standard output: {error.strerror}")
        return status or 2
    return status


def _reader_left() -> int:
    """The status for a broken pipe, e.g. of ``head``: end without a message."""
    _discard_output()
    return READER_LEFT


def _discard_output() -> None:
    """Point standard output at /dev/null, or Python's own flush at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
