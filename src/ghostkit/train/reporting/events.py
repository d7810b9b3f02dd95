"""``events.jsonl``: what happened in a run, one JSON object per line, appended as it happens."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TextIO


class EventLog:
    """Appends to ``events.jsonl`` in the run folder; a resumed run goes on in the same file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.jsonl"
        self._stream: TextIO | None = None  # opened by the first event

    def write(self, event: str, **details: Any) -> None:
        """One line with the time (UTC), the event and its details."""
        if self._stream is None:
            self._stream = open(self._path, "a", encoding="utf-8")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **details}, ensure_ascii=True)
        self._stream.write(line + "\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._stream is not None:
            self._stream.close()
