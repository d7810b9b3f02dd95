"""Every error that ghostkit raises on purpose.

    GhostkitError                 the root: catch this one
    ├── UsageError                a wrong argument, recipe key, or environment
    │   ├── MissingExtra          an optional dependency is not installed
    │   ├── OutputError           a result cannot be written where it was asked for
    │   ├── PipelineError         a MindX pipeline is wrong; has the SDK's error code
    │   └── StoreError            an object store refuses, or cannot be reached; has the reason
    ├── AippError                 an AIPP file is malformed, or contradicts the model's card
    ├── CompilerError             a vendor's compiler failed, or wrote no whole file
    ├── CardError                 a model card is absent, malformed, or of a newer schema
    ├── ModelError                a file is not a model that can be run, or gave no finite answer
    │   └── CheckpointError       a weights file is unsafe, damaged, or of another network
    ├── DatasetError              a data folder or label file cannot be understood
    ├── ImageRefused              one picture is refused, with a reason
    │   └── ElementError          an element of a MindX pipeline refuses it; has the SDK's code
    └── AgreementError            two artifacts that must agree do not

A message holds what failed, on which file or key, the value seen, what was expected, and what to
do next. File names may hold line ends and terminal codes: `printable` escapes them, here and
wherever else a person reads them.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

Failure = TypeVar("Failure", bound=BaseException)


def printable(text: object) -> str:
    """`text` on one line: control characters, and bytes of a name that are no UTF-8, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def one_line(text: object, limit: int | None = 300) -> str:
    """`text`, e.g. another package's exception, on one line, without control characters.

    Args:
        limit: the most characters; None: all of them.
    """
    words = "".join(c if c.isprintable() else " " for c in str(text)).split()
    return " ".join(words)[:limit]


def listed(names: Sequence[str], shown: int) -> str:
    """The first `shown` of `names`, and how many more there are: ``a, b and 3 more``."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def did_you_mean(
    name: str, known: Iterable[str], *, otherwise: str = "", cutoff: float = 0.6
) -> str:
    """The end of a message about an unknown name: the known one that is like it, or `otherwise`.

    Args:
        cutoff: the least likeness that counts, 0..1.
    """
    import difflib  # most runs make no mistake

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else otherwise


def without_frames(error: Failure) -> Failure:
    """`error`, to be kept: without the frames that raised it, and those that led to it.

    Their variables are what was worked on, a picture's bytes for one, and would be kept with it.
    """
    chain: list[BaseException] = [error]
    for each in chain:
        each.__traceback__ = None
        before = (each.__cause__, each.__context__)
        chain += [other for other in before if other is not None and other not in chain]
    return error


class GhostkitError(Exception):
    """Root of all errors raised on purpose. A message of several lines is one argument per line."""

    def __str__(self) -> str:
        return "\n".join(map(printable, self.args))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as it is, so that it comes whole out of another process."""
        return _as_it_was, (type(self), self.args), self.__dict__


def _as_it_was(kind: type[GhostkitError], arguments: tuple[object, ...]) -> GhostkitError:
    error = kind.__new__(kind)
    error.args = arguments
    return error


class UsageError(GhostkitError):
    """A wrong argument, recipe key, or environment; the command line exits with 2."""


class MissingExtra(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, package: str) -> None:
        self.extra, self.package = extra, package
        super().__init__(extra, package)

    def __str__(self) -> str:
        return (
            f"this needs the package {self.package!r}, which is not installed; "
            f'run: pip install "ghostkit[{self.extra}]"'
        )


class OutputError(UsageError):
    """A result cannot be written where it was asked for."""


class AippError(GhostkitError):
    """An AIPP file is malformed, breaks a rule of the compiler, or contradicts the model's card."""


class CompilerError(GhostkitError):
    """A vendor's compiler failed, or wrote no whole file; holds what it said."""


class PipelineError(UsageError):
    """A MindX pipeline is wrong, in one line per problem; `code` is the SDK's of the first."""

    def __init__(self, code: int, *problems: str) -> None:
        self.code = code
        super().__init__(*problems)


class StoreError(UsageError):
    """An object store refuses, or cannot be reached.

    Attributes:
        reason: ``secret``, ``bucket``, ``key``, ``forbidden``, ``archived``, ``clock``,
            ``certificate``, ``network``, ``range``, ``damaged``, ``busy`` or ``server``.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)

    @property
    def transient(self) -> bool:
        """Whether the same request may be answered a little later."""
        return self.reason in ("busy", "network")


class CardError(GhostkitError):
    """A model card is absent, malformed, or of a newer schema."""


class ModelError(GhostkitError):
    """A file is not a model that can be run, or the model gave no finite answer."""


class CheckpointError(ModelError):
    """A weights file is unsafe, damaged, or of another network."""


class DatasetError(GhostkitError):
    """A data folder or label file cannot be understood."""


class ImageRefused(GhostkitError):
    """One picture is refused.

    Attributes:
        reason: one line saying why, e.g. ``"truncated JPEG: 1034 bytes missing"``.
        path: the file as the caller named it, or ``"<bytes>"`` / ``"<array>"``.
    """

    def __init__(self, reason: str, path: str) -> None:
        self.reason, self.path = reason, path
        super().__init__(reason, path)

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}")


class ElementError(ImageRefused):
    """An element of a MindX pipeline refuses a picture; `code` is the SDK's, `path` the element."""

    def __init__(self, code: int, reason: str, element: str) -> None:
        self.code = code
        super().__init__(reason, element)


class AgreementError(GhostkitError):
    """Two artifacts that must give the same answers do not."""
