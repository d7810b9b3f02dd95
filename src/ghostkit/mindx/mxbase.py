"""The lines and files of the original's mxBase program, with the model's own preprocessing.

In: a classifier and pictures. Out: per picture its log lines and class ids. The program itself
stretches every picture to the model's size, whatever it was trained with; here the card says how.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ghostkit.classifier import Classifier
from ghostkit.image import Picture
from ghostkit.inferring import Answer
from ghostkit.mindx.folder_run import reason_of
from ghostkit.mindx.postprocess import ClassInfo, PostConfig, best_classes
from ghostkit.writers import result_name

SOURCE = "GhostNetClassify.cpp"  # where the original's lines come from


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log: its level, where it stands in the original, its words."""

    level: str  # I, W or E
    number: int
    words: str

    def __str__(self) -> str:
        now, thread = datetime.now(), threading.get_native_id()
        return (
            f"{self.level}{now:%m%d %H:%M:%S.%f} {thread:5d} {SOURCE}:{self.number}] {self.words}"
        )


def classes_of(
    answer: Answer[Picture], classifier: Classifier, names: Sequence[str], top_k: int, softmax: bool
) -> list[ClassInfo]:
    """The best classes of an answer that has logits; probabilities stay as they are."""
    assert answer.logits is not None, "only answers have classes"
    scores = classifier.probabilities(answer.logits) if softmax else answer.logits
    return best_classes(scores, PostConfig(len(classifier.classes), top_k=top_k), names)


def lines_of(source: str, infos: Sequence[ClassInfo], folder: str) -> Iterator[Line]:
    """The lines about a picture that was answered; confidences in six digits, as there."""
    yield Line("I", 239, f"image path: {source}")
    path = os.path.join(folder, result_name(source))
    yield Line("I", 241, f"file path for saving result: {path}")
    for rank, info in enumerate(infos, 1):
        yield Line(
            "I",
            253,
            f"batchIndex:0 top{rank} className:{info.name} confidence:{float(info.confidence):.6g} "
            f"classIndex:{info.class_id}",
        )


def failed_line(answer: Answer[Picture], source: str) -> Line:
    """The line about a picture without an answer."""
    assert answer.error is not None, "it has no logits, so it has an error"
    return Line("E", 128, f"image path: {source}: {reason_of(answer.error)}")


def total_line(pictures: int, elapsed_s: float, infer_s: float) -> Line:
    """The closing line: the whole time, and the rate of inference alone, as there."""
    rate = pictures / infer_s if infer_s > 0 else 0.0
    words = f"[Total Process Delay] cost: {1e3 * elapsed_s:.6g} ms, fps: {rate:.6g} imgs/sec"
    return Line("I", 286, words)
