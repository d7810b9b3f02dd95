"""What the original scripts do, written anew from their description, to compare with."""

import json
from pathlib import Path

import numpy as np


def score_as_the_original(results: Path, labels: Path) -> tuple[str, str]:
    """(printed line, content of the JSON file) of classification_task_metric.py."""
    truths = {}
    for line in labels.read_text().splitlines():
        name, index = line.strip().split(" ")[:2]
        truths[name.split(".")[0]] = int(index)
    hits, count, ranks = np.zeros(5), 0, 0
    for path in results.iterdir():
        count += 1
        stem = path.name.split(".")[0]
        words = path.read_text().split("\n")[0].strip().split(" ")
        ids = [int(word or "0") for word in words]
        ranks = min(len(ids), 5)
        truth = truths[stem[: stem.rfind("_")]]
        for rank in range(ranks):
            if ids[rank] == truth:
                hits[rank] += 1
                break
    accuracy = np.cumsum(hits) / count
    rows = [
        {"key": "Number of images", "value": str(count)},
        {"key": "Number of classes", "value": "1000"},
    ]
    for rank in range(ranks):
        percent = str(round(accuracy[rank] * 100, 2)) + "%"
        rows.append({"key": f"Top{rank + 1} accuracy", "value": percent})
    record = {"title": "Overall statistical evaluation", "value": rows}
    return str(record), json.dumps(record)
