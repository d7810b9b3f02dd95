"""Metadata as the SDK's JSON: ``{"MxpiClass":[{"classId":822,…}]}``, compact, keys in order."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ghostkit.mindx.nesting import Entry, trees
from ghostkit.mindx.request import Classes, Metadata, kind_of

_string = json.JSONEncoder(ensure_ascii=False).encode  # made once: json.dumps makes it each time
LARGEST_PLAIN = 1e15  # from here on the SDK's JSON writes an exponent


def metadata_json(
    metadata: Mapping[str, Metadata], keys: Sequence[str], *, erase_headers: bool = True
) -> str:
    """The metadata under `keys` in one object; ``{}`` where there is none.

    That of one key is a flat list. That of several, or of all where `keys` is empty, is nested:
    each entry stands within the one that it was made from, under the name of its message.
    """
    wanted = keys or list(metadata)
    records = {key: _records(metadata[key], erase_headers) for key in wanted if metadata.get(key)}
    if len(keys) == 1:
        return compact({kind_of(metadata[key]): found for key, found in records.items()})
    return compact(_by_kind(trees(metadata, wanted), records))


def _by_kind(
    entries: Iterable[Entry], records: Mapping[str, Sequence[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """The JSON objects of `entries` by the name of their messages, each with those below it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        whole = records[entry.key][entry.index] | _by_kind(entry.below, records)
        found.setdefault(entry.kind, []).append(whole)
    return found


def _records(found: Metadata, erase_headers: bool) -> list[dict[str, Any]]:
    """The JSON objects of the messages in the list that holds `found`."""
    if isinstance(found[0], Classes):
        return [*_class_records(found, erase_headers)]
    from ghostkit.mindx.messages import list_record

    [records] = list_record(found).values()
    if erase_headers:
        records = [{k: v for k, v in record.items() if k != "headerVec"} for record in records]
    return records


def _class_records(found: Metadata, erase_headers: bool) -> Iterable[dict[str, Any]]:
    """Those of classes, for which no message need be made."""
    for group in found:
        if isinstance(group, Classes):
            headers = [
                {"dataSource": each.source, "memberId": each.member, "parentName": each.parent}
                for each in (() if erase_headers else group.headers)
            ]
            erased = {} if erase_headers else {"headerVec": headers}
            for info in group.infos:
                yield {
                    "classId": info.class_id,
                    "className": info.name,
                    "confidence": float(info.confidence),
                } | erased


def compact(value: Any) -> str:
    """A message's JSON object as text without blanks: keys in order, floats as `float_text`."""
    if isinstance(value, float):
        return float_text(value)
    if type(value) is int:  # a bool is written as a word
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_string(k)}:{compact(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return _string(value)


def float_text(value: np.float32 | float) -> str:
    """A float32 as the SDK's JSON has it: what protobuf writes, read and written once more.

    Protobuf writes the fewest of 6 or 9 digits that give it back. Digits alone are an integer to
    the JSON that reads them; a number with a point or an exponent stays a float.
    """
    single = np.float32(value)
    exact = float(single)
    if not math.isfinite(exact):
        return '"NaN"' if math.isnan(exact) else '"Infinity"' if exact > 0 else '"-Infinity"'
    text = f"{exact:.6g}"
    if np.float32(text) != single:
        text = f"{exact:.9g}"
    if "." not in text and "e" not in text:
        return str(int(text))
    number = float(text)
    if LARGEST_PLAIN <= math.fabs(number) < 1e16:
        digits, exponent = f"{number:.8e}".split("e")
        return f"{digits.rstrip('0').rstrip('.')}e+{int(exponent)}"
    return repr(number)
