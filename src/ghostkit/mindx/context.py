"""What an element needs while it is compiled: its sources, the stream's models, files by path."""

import os
from dataclasses import dataclass, field

from ghostkit.classifier import Classifier
from ghostkit.errors import PipelineError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.links import nearest
from ghostkit.mindx.models import (
    Load,
    Model,
    find_aipp,
    find_model,
    open_behind_aipp,
    open_plain,
    read_aipp,
)
from ghostkit.mindx.structure import Element, Stream
from ghostkit.suffixes import COMPILED

PASSING = ("queue", "tee")  # what comes out is what went in
MODEL_FACTORIES = ("mxpi_tensorinfer", "mxpi_modelinfer")


@dataclass
class Context:
    """One stream while it is compiled; `notices` collects what its owner should know."""

    stream: Stream
    folder: str  # of the pipeline file, where paths lead that lead nowhere from here
    load: Load
    model: str | None = None  # stands in for the modelPath of the file
    aipp: str | None = None  # an AIPP file to put before an ONNX model
    strict: bool = False  # nothing stands in for what the file asks for
    stand_ins: list[str] = field(default_factory=list)  # what does so; each is a notice too
    notices: list[str] = field(default_factory=list)
    models: dict[str, Model] = field(default_factory=dict)  # by element

    def at(self, element: Element, key: str = "") -> str:
        """How a message calls an element or its property."""
        return f"{self.stream.name}.{element.name}" + (f".{key}" if key else "")

    def notice(self, element: Element, what: str) -> None:
        """Keep a remark about `element`."""
        self.notices.append(f"{self.at(element)}: {what}")

    def stand_in(self, element: Element, what: str) -> None:
        """Keep a remark that something else does what the file asks for.

        Raises:
            PipelineError: nothing may.
        """
        if self.strict:
            raise self.fail(
                Code.UNREALIZED, element, f"{what}; without --strict it runs all the same"
            )
        self.notice(element, what)
        self.stand_ins.append(self.notices[-1])

    def fail(self, code: Code, element: Element, what: str) -> PipelineError:
        """The error to raise about `element`."""
        return PipelineError(code, f"{self.at(element)}: {what} ({int(code)})")

    def source_of(self, element: Element) -> str:
        """The element whose metadata `element` works on: its dataSource, or the one before."""
        return self.sources_of(element)[0]

    def sources_of(self, element: Element) -> list[str]:
        """As `source_of`, for an element that may name several."""
        named = element.properties.get("dataSource") or element.properties.get("parentName") or ""
        if named and named != "auto":
            names = [name.strip() for name in named.split(",")]
            for name in names:
                if name not in self.stream.elements:
                    hint = nearest(name, self.stream.elements)
                    what = f"dataSource {name!r} is no element of this stream{hint}"
                    raise self.fail(Code.METADATA_IS_NULL, element, what)
            return names
        return [self.maker(name) for name in self.stream.feeding(element.name)]

    def maker(self, name: str) -> str:
        """`name`, or the element before it where it only passes on."""
        while self.stream.elements[name].factory in PASSING:
            [name] = self.stream.feeding(name)
        return name

    def decoder_of(self, element: Element) -> str:
        """The decoder whose picture reaches `element`, or the source where there is none."""
        name = element.name
        while feeding := self.stream.feeding(name):
            name = feeding[0]
            if self.stream.elements[name].factory == "mxpi_imagedecoder":
                break
        return name

    def path(self, element: Element, key: str) -> str:
        """The file that a property names: from here, else from the pipeline's own folder."""
        given = element.get(key)
        beside = os.path.join(self.folder, given)
        return beside if not os.path.exists(given) and os.path.exists(beside) else given

    def classifier(self, element: Element) -> Classifier:
        """The model of an element that infers, opened once."""
        if element.name not in self.models:
            model = self._open(element)
            for notice in model.notices:
                self.notice(element, notice)
            if (fallback := model.classifier.backend.fallback) is not None:
                self.stand_in(element, fallback)
            self.models[element.name] = model
        return self.models[element.name].classifier

    def classifier_after(self, element: Element) -> Classifier | None:
        """The model of the first element that infers from what `element` gives on."""
        waiting = [link.target for link in element.next]
        while waiting:
            following = self.stream.elements[waiting.pop(0)]
            if following.factory in MODEL_FACTORIES:
                return self.classifier(following)
            waiting += [link.target for link in following.next]
        return None

    def _open(self, element: Element) -> Model:
        given = element.get("modelPath")
        aipp = None if self.aipp is None else read_aipp(self.aipp)
        if self.model is not None:
            self.notice(element, f"modelPath {given!r} is replaced by {self.model!r}")
            path = self.model
        else:
            found = find_model(given, self.folder, self.at(element, "modelPath"))
            if found.notice:
                self.stand_in(element, f"modelPath {found.notice}")
            path = found.path
            aipp = aipp or find_aipp(given, self.folder)
        if path.endswith(COMPILED) and self.aipp is not None:
            what = f"{path!r} has its AIPP inside; --aipp is for an ONNX model"
            raise self.fail(Code.INVALID_PARAM, element, what)
        if aipp is None or path.endswith(COMPILED):
            return open_plain(path, self.load)
        return open_behind_aipp(path, aipp)
