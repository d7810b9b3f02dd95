"""What ``ghostkit mxbase`` does with a folder: the original program's lines and files."""

from collections.abc import Sequence
from dataclasses import dataclass

from ghostkit.backend.model_files import hash_of
from ghostkit.classifier import Classifier, picture_name
from ghostkit.cli.options import say
from ghostkit.cli.result_folder import (
    Results,
    bars_beside_lines,
    begin_with,
    find,
    record_of,
    stopped_after,
)
from ghostkit.cli.standard_output import print_line
from ghostkit.image import Picture
from ghostkit.inferring import Answer
from ghostkit.jobs import Record, Stop
from ghostkit.mindx.mxbase import classes_of, failed_line, lines_of, total_line
from ghostkit.steps import describe
from ghostkit.timing import StageTimes
from ghostkit.writers import remove_result, write_result


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line's arguments, and what came of them."""

    results: Results
    names: Sequence[str]  # of the classes
    top_k: int
    softmax: bool
    stand_ins: Sequence[str]  # what answers in place of what was named
    batch_size: int
    workers: int | None


def run(classifier: Classifier, settings: Settings) -> int:
    """Answer every picture; returns the exit status."""
    results = settings.results
    begun = begin_with(results, find(results), _record(classifier, settings))
    times, stop = StageTimes(), Stop()
    failed = done = 0
    answers = classifier.answers(
        begun.pictures, batch_size=settings.batch_size, workers=settings.workers, times=times
    )
    bars = bars_beside_lines()
    try:
        with stop.on_signals(), bars("Classifying", len(begun.pictures)) as bar:
            for answer in answers:
                with stop.held():
                    failed += not _answer(classifier, answer, settings)
                    done += 1
                    bar.advance(1)
    except KeyboardInterrupt:
        return stopped_after(begun.held + done)
    print_line(str(total_line(done, times.elapsed_s, times.infer_s)))
    return 1 if failed else 0


def _answer(classifier: Classifier, answer: Answer[Picture], settings: Settings) -> bool:
    """Write and print what came of a picture; whether it has an answer."""
    source, folder = picture_name(answer.source), settings.results.folder
    if answer.logits is None:
        remove_result(folder, source)
        say(str(failed_line(answer, source)))
        return False
    infos = classes_of(answer, classifier, settings.names, settings.top_k, settings.softmax)
    write_result(folder, source, (info.class_id for info in infos))
    for line in lines_of(source, infos, str(folder)):
        print_line(str(line))
    return True


def _record(classifier: Classifier, settings: Settings) -> Record:
    """What the job was asked for."""
    path = classifier.backend.path
    return record_of(
        settings.results,
        "mxbase",
        card_hash=classifier.card.hash,
        weights=hash_of(path) if path else "",
        top_k=settings.top_k,
        backend=classifier.backend.name,
        preprocessing=describe(classifier.card.steps),
        fallback="; ".join(settings.stand_ins) or None,
    )
