"""What ``ghostkit pipeline`` does with a folder: the SDK runner's lines, files and statistics."""

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ghostkit.cli.options import say
from ghostkit.cli.pipeline_table import StatsTable
from ghostkit.cli.standard_output import print_line
from ghostkit.errors import PipelineError, UsageError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.folder_run import Outcome, run_pictures
from ghostkit.mindx.grammar import read_pipeline
from ghostkit.mindx.program import Program
from ghostkit.mindx.sdk_conf import default_path, read_sdk_conf
from ghostkit.mindx.statistics import Statistics
from ghostkit.mindx.statistics_files import StatisticsFiles
from ghostkit.mindx.structure import Pipeline
from ghostkit.sources import Found, find_pictures
from ghostkit.writers import check_result_names, make_results_folder, remove_result, write_result


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderRun:
    """The command line's arguments."""

    images: Path
    result_dir: Path
    sdk_conf: Path | None
    stats: bool
    overwrite: bool
    batch_size: int
    workers: int | None


def read_named(file: Path, stream: str | None) -> tuple[Pipeline, str]:
    """The file, and the name of the stream that is asked for, or of the only one."""
    pipeline = read_pipeline(file)
    for notice in pipeline.notices:
        say(f"note: {file}: {notice}")
    names = list(pipeline.streams)
    if stream is None and len(names) > 1:
        raise UsageError(f"{file} holds {len(names)} streams; name one: --stream {names[0]}")
    name = names[0] if stream is None else stream
    if name not in pipeline.streams:
        raise PipelineError(
            Code.STREAM_NOT_EXIST,
            f"{file}: no stream {name!r}; it holds: {', '.join(names)} ({Code.STREAM_NOT_EXIST:d})",
        )
    return pipeline, name


def run(program: Program, settings: FolderRun) -> int:
    """Run every picture; returns the exit status."""
    found = pictures_for(settings.images, settings.result_dir, settings.overwrite)
    statistics = Statistics(program.stream)
    answered = failed = 0
    folder = settings.images if settings.images.is_dir() else settings.images.parent
    with ExitStack() as stack:
        files = _open_statistics(stack, statistics, program, settings)
        table = stack.enter_context(StatsTable(statistics)) if settings.stats else None
        began_s = time.monotonic()
        outcomes = run_pictures(
            program,
            found.pictures,
            batch_size=settings.batch_size,
            workers=settings.workers,
            statistics=statistics,
        )
        for outcome in outcomes:
            name = os.path.relpath(outcome.source, folder)
            if outcome.code == Code.OK:
                answered += 1
                _answer(name, outcome, settings.result_dir)
            else:
                failed += 1
                remove_result(settings.result_dir, outcome.source)
                say(f"failed: {name}: {outcome.text} ({int(outcome.code)})")
            if table is not None:
                table.tick()
        elapsed_s = time.monotonic() - began_s
    skipped = f"; {len(found.skipped)} other files skipped" if found.skipped else ""
    rate = f"; {(answered + failed) / elapsed_s:.0f} images/s" if elapsed_s > 0 else ""
    say(f"{answered + failed} pictures: {answered} answered, {failed} failed{skipped}{rate}")
    if files is not None and files.unread is not None:
        say(f"note: {files.unread}")
    if files is not None and files.failure is not None:
        raise files.failure
    return 1 if failed else 0


def run_time_line(elapsed_s: float) -> str:
    """The SDK runner's line, in whole microseconds; the original leaves out whole seconds."""
    return f"sdk run time: {round(elapsed_s * 1e6)}"


def _answer(name: str, outcome: Outcome, folder: Path) -> None:
    print_line(run_time_line(outcome.elapsed_s))
    print_line(f"process img: {name}, infer result: {outcome.text}")
    if outcome.ids is None:
        remove_result(folder, outcome.source)
    else:
        write_result(folder, outcome.source, outcome.ids)


def pictures_for(images: Path, results: Path, overwrite: bool) -> Found:
    """The pictures below `images`, each of which can have its file in the folder `results`.

    Raises:
        UsageError: there is no `images`, or two pictures would have one file.
        OutputError: `results` cannot be written, or holds some that may not be replaced.
    """
    if not images.exists():
        raise UsageError(f"{str(images)!r} does not exist; expected a folder of pictures")
    found = find_pictures([images])
    check_result_names(found.pictures)
    make_results_folder(results, overwrite=overwrite)
    check_result_names(found.pictures, results)
    return found


def _open_statistics(
    stack: ExitStack, statistics: Statistics, program: Program, settings: FolderRun
) -> StatisticsFiles | None:
    path = settings.sdk_conf or default_path()
    if path is None:
        return None
    conf, notices = read_sdk_conf(path)
    for notice in notices:
        say(f"note: {notice}")
    if not conf.enable:
        return None
    say(f"note: statistics go to {str(conf.folder)!r} (enable_ps in {str(path)!r})")
    queues = bool(program.stream.of("queue"))
    return stack.enter_context(StatisticsFiles(statistics, conf, source=path, queues=queues))
