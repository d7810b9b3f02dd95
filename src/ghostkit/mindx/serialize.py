"""Metadata as the SDK's JSON: ``{"MxpiClass":[{"classId":822,…}]}``, compact, keys in order."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ghostkit.mindx.request import Classes, Metadata

LARGEST_PLAIN = 1e15  # from here on the SDK's JSON writes an exponent


def metadata_json(
    metadata: Mapping[str, Metadata], keys: Iterable[str], *, erase_headers: bool = True
) -> str:
    """The metadata under `keys` in one object; ``{}`` where there is none."""
    parts: dict[str, list[str]] = {}
    for key in keys:
        for name, entries in _entries(metadata.get(key), erase_headers):
            parts.setdefault(name, []).extend(entries)
    body = ",".join(f"{_string(name)}:[{','.join(parts[name])}]" for name in sorted(parts))
    return "{" + body + "}"


def float_text(value: np.float32 | float) -> str:
    """A float32 in the fewest of 6 or 9 digits that give it back, as protobuf writes it."""
    single = np.float32(value)
    six = float(f"{float(single):.6g}")
    number = six if np.float32(six) == single else float(f"{float(single):.9g}")
    if LARGEST_PLAIN <= abs(number) < 1e16:
        digits, exponent = f"{number:.8e}".split("e")
        return f"{digits.rstrip('0').rstrip('.')}e+{int(exponent)}"
    return repr(number)


def _entries(found: Metadata | None, erase_headers: bool) -> list[tuple[str, list[str]]]:
    if not found:
        return []
    if isinstance(found[0], Classes):
        groups = [each for each in found if isinstance(each, Classes)]
        return [("MxpiClass", [*_class_entries(groups, erase_headers)])]
    from ghostkit.mindx.messages import entries

    name, records = entries(found)
    if erase_headers:
        records = [{k: v for k, v in record.items() if k != "headerVec"} for record in records]
    return [(name, [compact(record) for record in records])]


def _class_entries(groups: list[Classes], erase_headers: bool) -> Iterable[str]:
    for member, group in enumerate(groups):
        header = {"dataSource": group.source, "memberId": member, "parentName": ""}
        headers = "" if erase_headers else f',"headerVec":[{compact(header)}]'
        for info in group.infos:
            yield (
                f'{{"classId":{info.class_id},"className":{_string(info.name)},'
                f'"confidence":{float_text(info.confidence)}{headers}}}'
            )


def compact(record: Any) -> str:
    """JSON without blanks, keys in alphabetical order."""
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
