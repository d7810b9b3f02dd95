"""The content of a .pipeline file as records: streams of elements and the links between them."""

from collections.abc import Mapping
from dataclasses import dataclass

from ghostkit.mindx.factories import FACTORIES


@dataclass(frozen=True, slots=True)
class Link:
    """Where an element's output goes: an element, and a pad if the file names one."""

    target: str
    pad: int | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a stream; `properties` holds what the file says, `get` the defaults too."""

    name: str
    factory: str
    properties: Mapping[str, str]
    next: tuple[Link, ...]

    def get(self, key: str) -> str:
        """The property `key`, or its default; an empty string where it has none."""
        given = self.properties.get(key)
        return (FACTORIES[self.factory].properties[key].default or "") if given is None else given

    def number(self, key: str) -> int:
        """`get` as a whole number."""
        return int(self.get(key))


@dataclass(frozen=True, slots=True)
class Stream:
    """The elements of one stream, each after those that feed it; links lead nowhere else."""

    name: str
    device: str
    elements: Mapping[str, Element]

    def feeding(self, name: str) -> tuple[str, ...]:
        """The elements whose output goes to `name`, in the order of its pads."""
        found = [
            (link.pad if link.pad is not None else position, element.name)
            for position, element in enumerate(self.elements.values())
            for link in element.next
            if link.target == name
        ]
        return tuple(each for _, each in sorted(found))

    def of(self, factory: str) -> tuple[Element, ...]:
        """The elements that `factory` makes, in order."""
        return tuple(each for each in self.elements.values() if each.factory == factory)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A whole file: its streams by name, and what was read with a notice."""

    source: str
    streams: Mapping[str, Stream]
    notices: tuple[str, ...]
