"""``--to int8``: calibrate, search, judge, verify, write, and tell what it cost and gave."""

import os

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.classifier import Classifier
from ghostkit.convert.int8 import OnnxMaker
from ghostkit.convert.int8_report import Conversion, report_path
from ghostkit.convert.int8_search import calibration_folder, search_for
from ghostkit.convert.requested import Outcome, Request
from ghostkit.convert.running import first_batch, throughputs
from ghostkit.convert.source import to_bytes
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
    searched = search_for(request, folder, OnnxMaker)
    source, calibration, found = searched.source, searched.calibration, searched.found

    def judged(draft: Classifier) -> Agreement:
        return compare_in_budget(source.classifier, draft, request, searched.pictures)

    content = to_bytes(found.form.model, found.card)
    agreement = write_onnx(content, found.card, request, judged)
    backends = {"float": source.classifier.backend, "int8": OnnxBackend(request.output)}
    speeds = throughputs(backends, first_batch(calibration.images))
    sizes = (len(to_bytes(source.graph, source.card)), os.path.getsize(request.output))
    done = Conversion(
        request=request,
        searched=searched,
        agreement=agreement,
        speeds=speeds,
        sizes=sizes,
    )
    record = done.record()
    write_json(report_path(request.output), record)
    return Outcome(done.summary(), record, done.tables(), done.unanswered)
