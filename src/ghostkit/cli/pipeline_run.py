"""``ghostkit pipeline`` on a folder: the SDK runner's lines, result files and statistics."""

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ghostkit.backend.model_files import hash_of
from ghostkit.cli.options import say
from ghostkit.cli.pipeline_table import StatsTable
from ghostkit.cli.result_folder import (
    Results,
    bars_beside_lines,
    begin_with,
    find,
    record_of,
    stopped_after,
)
from ghostkit.cli.standard_output import print_line
from ghostkit.errors import PipelineError, UsageError
from ghostkit.jobs import Record, Stop
from ghostkit.jobs.folder import Begun
from ghostkit.mindx.codes import Code
from ghostkit.mindx.folder_run import Outcome, run_pictures
from ghostkit.mindx.grammar import read_pipeline
from ghostkit.mindx.program import Program
from ghostkit.mindx.sdk_conf import default_path, read_sdk_conf
from ghostkit.mindx.statistics import Statistics
from ghostkit.mindx.statistics_files import StatisticsFiles
from ghostkit.mindx.structure import Pipeline
from ghostkit.progress import silent
from ghostkit.writers import remove_result, write_result


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderRun:
    """The command line's arguments."""

    results: Results
    sdk_conf: Path | None
    stats: bool
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
    results = settings.results
    found = find(results)
    begun = begin_with(results, found, _record(program, results))
    statistics, stop = Statistics(program.stream), Stop()
    answered = failed = 0
    stopped = False
    folder = results.images if results.images.is_dir() else results.images.parent
    bars = silent if settings.stats else bars_beside_lines()
    with stop.on_signals(), ExitStack() as stack:
        files = _open_statistics(stack, statistics, program, settings)
        table = stack.enter_context(StatsTable(statistics)) if settings.stats else None
        began_s = time.monotonic()
        outcomes = run_pictures(
            program,
            begun.pictures,
            batch_size=settings.batch_size,
            workers=settings.workers,
            statistics=statistics,
        )
        try:
            with bars("Classifying", len(begun.pictures)) as bar:
                for outcome in outcomes:
                    with stop.held():
                        name = os.path.relpath(outcome.source, folder)
                        if outcome.code == Code.OK:
                            _answer(name, outcome, results.folder)
                            answered += 1
                        else:
                            remove_result(results.folder, outcome.source)
                            failed += 1
                            say(f"failed: {name}: {outcome.text} ({int(outcome.code)})")
                        bar.advance(1)
                        if table is not None:
                            table.tick()
        except KeyboardInterrupt:
            stopped = True
        elapsed_s = time.monotonic() - began_s
    say(_account(answered, failed, begun, len(found.skipped), elapsed_s))
    if files is not None and files.unread is not None:
        say(f"note: {files.unread}")
    if files is not None and files.failure is not None:
        raise files.failure
    if stopped:
        return stopped_after(begun.held + answered + failed)
    return 1 if failed else 0


def _account(answered: int, failed: int, begun: Begun, skipped: int, elapsed_s: float) -> str:
    """The closing line."""
    words = f"{begun.held + answered + failed} pictures: {begun.held + answered} answered"
    words += f", {failed} failed"
    if begun.held:
        words += f"; {begun.held} of them by earlier runs"
    if skipped:
        words += f"; {skipped} other files skipped"
    return words + (f"; {(answered + failed) / elapsed_s:.0f} images/s" if elapsed_s > 0 else "")


def _record(program: Program, results: Results) -> Record:
    """What the job was asked for, of all models of the stream."""
    classifiers = [model.classifier for model in program.models.values()]
    return record_of(
        results,
        "pipeline",
        card_hash=" ".join(each.card.hash for each in classifiers),
        weights=" ".join(hash_of(each.backend.path) for each in classifiers if each.backend.path),
        top_k=0,  # the post-processing's own file says it
        backend=", ".join(each.backend.name for each in classifiers),
        preprocessing=f"the pipeline {program.stream.name}",
        fallback="; ".join(program.stand_ins) or None,
        settings=program.settings,
    )


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
