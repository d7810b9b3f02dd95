"""The doctor's finding about one part."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ghostkit.errors import printable

COLUMNS = 34  # of the part's name

State = Literal["works", "fails", "missing", "note"]
# works: it is here and was seen working; fails: it is here and does not work; missing: it is not
# here, and nothing that is installed needs it; note: nothing to mend, but worth knowing


@dataclass(frozen=True)
class Finding:
    """One part of the environment."""

    room: str  # the heading it stands under
    part: str
    state: State
    version: str = ""
    detail: str = ""  # one line: what was seen
    seconds: float | None = None  # its process from start to end, imports included
    milliseconds: float | None = None  # the probe model for one picture, median
    command: str = ""  # what installs or mends it

    def to_record(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)

    def to_lines(self) -> list[str]:
        """For a person: a line, and a second one with the command where something can be done."""
        words = [self.version, self.detail]
        if self.milliseconds is not None:
            words.append(f"probe {self.milliseconds:.2f} ms")
        if self.seconds is not None:
            words.append(f"{self.seconds:.1f} s")
        seen = ", ".join(filter(None, words))
        lines = [f"  {self.state:<8} {self.part:<{COLUMNS}} {seen}".rstrip()]
        if self.command:
            lines.append(f"  {'':<8} {'':<{COLUMNS}} -> {self.command}")
        return [printable(line) for line in lines]
