"""``--to openvino``: OpenVINO's own files in fp32, fp16 or 8 bits, with the card beside them."""

import tempfile
from pathlib import Path
from typing import Any

from ghostkit.backend.derived import derived
from ghostkit.backend.openvino import OpenvinoBackend, require_openvino
from ghostkit.backend.openvino_ir import weight_types, weights_path
from ghostkit.classifier import Classifier
from ghostkit.convert.int8_report import Conversion, report_path
from ghostkit.convert.int8_search import calibration_folder, search_for
from ghostkit.convert.openvino_files import check_targets, save_draft, write_files
from ghostkit.convert.requested import Outcome, Request
from ghostkit.convert.running import first_batch, throughputs
from ghostkit.convert.source import open_source, to_bytes
from ghostkit.convert.verified import agreement_rows, compare_draft, compare_in_budget
from ghostkit.defaults import VERIFY_TOLERANCE
from ghostkit.files import check_target, write_json

# Of a probability; weights in half precision differ.
TOLERANCES = {"fp32": VERIFY_TOLERANCE, "fp16": 1e-2}


def convert_to_openvino(request: Request) -> Outcome:
    """Write ``M.xml``, ``M.bin`` and the card, whose answers are the source's.

    Raises:
        MissingExtra: OpenVINO, or for 8 bits NNCF, is not installed.
        AgreementError: the answers differ, or no 8-bit form keeps to the budget; nothing is
            written.
    """
    check_targets(request.output, overwrite=request.overwrite)
    if request.precision == "int8":
        return _in_8_bits(request)
    runtime = require_openvino()
    source = open_source(request.model)
    content = to_bytes(source.graph, source.card)
    model = runtime.Core().read_model(content)
    tolerance = TOLERANCES[request.precision] if request.tolerance is None else request.tolerance
    card = derived(
        source.card,
        "openvino",
        {"precision": request.precision, "tolerance": tolerance, **_versions(runtime)},
        measurements=source.card.measurements if request.precision == "fp32" else (),
    )
    with tempfile.TemporaryDirectory() as folder:
        draft = save_draft(model, card, Path(folder), half=request.precision == "fp16")
        backend = OpenvinoBackend(draft, cached=False)
        result = Classifier(backend, card)
        agreement = compare_draft(source.classifier, result, request, request.pictures, tolerance)
        weights = weight_types(runtime.Core().read_model(draft))
        write_files(draft, request.output)
    return Outcome(
        summary=(
            ("written", f"{request.output}, {weights_path(request.output).name}, its card"),
            ("weights", ", ".join(f"{kind} ({count:,})" for kind, count in weights.items())),
            ("bytes", f"{len(content):,} -> {_size(request.output):,}"),
            ("computed in", "+".join(backend.precisions)),
            *agreement_rows(agreement),
        ),
        record={
            "target": "openvino",
            "precision": request.precision,
            "weights": weights,
            "source": str(request.model),
            "output": str(request.output),
            "bytes": {"source": len(content), "openvino": _size(request.output)},
            "verify": agreement.to_record(),
            "versions": _versions(runtime),
        },
        unanswered=agreement.unanswered,
    )


def _in_8_bits(request: Request) -> Outcome:
    from ghostkit.convert.int8_nncf import NncfMaker, require_nncf

    folder_of_pictures = calibration_folder(request, "--to openvino --precision int8")
    report = report_path(request.output)
    check_target(report, overwrite=request.overwrite)
    require_nncf()
    searched = search_for(request, folder_of_pictures, NncfMaker)
    source, calibration, found = searched.source, searched.calibration, searched.found
    with tempfile.TemporaryDirectory() as folder:
        draft = save_draft(found.form.model, found.card, Path(folder))
        backend = OpenvinoBackend(draft, cached=False)
        result = Classifier(backend, found.card)
        agreement = compare_in_budget(source.classifier, result, request, searched.pictures)
        plain = OpenvinoBackend(request.model, cached=False)
        speeds = throughputs({"float": plain, "int8": backend}, first_batch(calibration.images))
        write_files(draft, request.output)
    sizes = (len(to_bytes(source.graph, source.card)), _size(request.output))
    done = Conversion(
        request=request,
        searched=searched,
        agreement=agreement,
        speeds=speeds,
        sizes=sizes,
    )
    record = done.record() | {"target": "openvino", "precision": "int8"}
    record["versions"] |= _versions(require_openvino()) | {"nncf": str(require_nncf().__version__)}
    write_json(report, record)
    rows = (*done.summary(), ("computed in", "+".join(backend.precisions)))
    return Outcome(rows, record, done.tables(), done.unanswered)


def _versions(runtime: Any) -> dict[str, str]:
    return {"openvino": str(runtime.__version__).split("-")[0]}


def _size(output: Path) -> int:
    return output.stat().st_size + weights_path(output).stat().st_size
