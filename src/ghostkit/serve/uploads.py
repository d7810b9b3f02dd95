"""Plain uploads: a picture as a request's whole content, or files of a form.

In: a request's content and headers; out: (name, content) of each picture, for a `Batcher`.
"""

from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ghostkit.image.limits import MEBIBYTE
from ghostkit.serve.refusals import Refused

Result = TypeVar("Result")

FORM = "multipart/form-data"
MOST_FIELDS = 16  # beside the files


class _Parser(MultiPartParser):
    """Starlette's multipart parser, which also detects a form that is cut off.

    It consumes `content` while parsing, so that form and files are not in memory twice.
    """

    def __init__(self, content: bytearray, headers: Headers, most: int) -> None:
        self.spool_max_size = len(content)  # it is in memory already; no temporary files
        pieces = self._pieces(content)
        super().__init__(headers, pieces, max_files=most, max_fields=MOST_FIELDS)
        self._ended = False

    def on_end(self) -> None:
        """The boundary that closes a form has come."""
        self._ended = True

    async def _pieces(self, content: bytearray) -> AsyncGenerator[bytes, None]:
        while content:
            piece = bytes(content[:MEBIBYTE])
            del content[:MEBIBYTE]
            yield piece
        if not self._ended:
            raise MultiPartException("it is cut off: the boundary that closes it is missing")


def is_form(headers: Headers) -> bool:
    """Whether a request says of itself that it is a form."""
    return headers.get("content-type", "").lower().startswith(FORM)


def pictures_in(
    content: bytearray, headers: Headers, most: int
) -> list[tuple[str | None, bytes | bytearray]]:
    """The pictures, with the names that a form gives them; None where it is no form.

    A form is consumed: `content` is empty afterwards. A large one takes a second.

    Raises:
        Refused: the form is malformed or cut off, or has no file, or more than `most`.
    """
    if is_form(headers):
        return _at_once(_files_of(content, headers, most))
    if not content:
        raise Refused(400, "the request is empty; send a picture's bytes, or a form with files")
    return [(None, content)]


async def _files_of(
    content: bytearray, headers: Headers, most: int
) -> list[tuple[str | None, bytes | bytearray]]:
    try:
        form = await _Parser(content, headers, most).parse()
    except (MultiPartException, KeyError, UnicodeError, LookupError) as error:
        said = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
        raise Refused(400, f"the form cannot be read: {said}") from error
    found: list[tuple[str | None, bytes | bytearray]] = []
    try:
        for _, each in form.multi_items():
            if isinstance(each, UploadFile):
                found.append((each.filename or "", await each.read()))
                await each.close()
    finally:
        await form.close()
    if not found:
        raise Refused(400, "the form has no file; send one as in: curl -F picture=@cat.jpg ADDRESS")
    return found


def _at_once(work: Coroutine[Any, None, Result]) -> Result:
    """The result of what never waits: Starlette's parser, of content that is all in memory."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: Result = ended.value
        return result
    raise AssertionError("it waits for something")
