"""``--to int8``: calibrate, search, judge, verify, write, and tell what it cost and gave."""

import os

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.classifier import Classifier
from ghostkit.convert.calibration import read_calibration
from ghostkit.convert.int8 import OnnxMaker
from ghostkit.convert.int8_report import Conversion, calibration_folder, judge_for, report_path
from ghostkit.convert.requested import Outcome, Request
from ghostkit.convert.running import first_batch, throughputs
from ghostkit.convert.search import search
from ghostkit.convert.source import open_source, to_bytes
from ghostkit.convert.verified import compare_in_budget, write_onnx
from ghostkit.files import check_target, write_json
from ghostkit.verify import Agreement


def convert_to_int8(request: Request) -> Outcome:
    """Write the fastest 8-bit form inside the budget, and a report beside it.

    Raises:
        UsageError: no calibration pictures are named.
        BudgetError: no form keeps to the budget; nothing is written.
    """
    folder = calibration_folder(request, "--to int8")
    check_target(report_path(request.output), overwrite=request.overwrite)
    source = open_source(request.model)
    calibration = read_calibration(source.classifier, folder, bars=request.bars)
    judge = judge_for(request, source.classifier, calibration)
    request.say(f"judged by {judge.measured_on}; at most {request.max_drop:g} points may be lost")
    maker = OnnxMaker(source.graph, source.card, calibration)
    found = search(maker, calibration, judge, bars=request.bars)
    pictures = request.pictures or calibration.held_out[: len(calibration.compared)]

    def judged(draft: Classifier) -> Agreement:
        return compare_in_budget(source.classifier, draft, request, pictures)

    content = to_bytes(found.form.model, found.card)
    agreement = write_onnx(content, found.card, request, judged)
    backends = {"float": source.classifier.backend, "int8": OnnxBackend(request.output)}
    speeds = throughputs(backends, first_batch(calibration.images))
    sizes = (len(to_bytes(source.graph, source.card)), os.path.getsize(request.output))
    done = Conversion(request, found, judge, calibration, agreement, speeds, sizes)
    record = done.record()
    write_json(report_path(request.output), record)
    return Outcome(done.summary(), record, done.tables(), agreement.unanswered)
