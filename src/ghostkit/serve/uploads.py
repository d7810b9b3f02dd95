"""Plain uploads: a picture as a request's whole content, or files of a form.

In: a request's content and headers; out: (name, content) of each picture, for a `Batcher`.
"""

from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ghostkit.serve.refusals import Refused

FORM = "multipart/form-data"
MOST_FIELDS = 16  # beside the files


async def pictures_in(
    content: bytes, headers: Headers, most: int
) -> list[tuple[str | None, bytes]]:
    """The pictures, with the names that a form gives them; one without a name, where it is no form.

    Raises:
        Refused: the form is malformed, or has no file, or more than `most`.
    """
    if not headers.get("content-type", "").lower().startswith(FORM):
        if not content:
            raise Refused(400, "the request is empty; send a picture's bytes, or a form with files")
        return [(None, content)]
    parser = MultiPartParser(headers, _once(content), max_files=most, max_fields=MOST_FIELDS)
    parser.spool_max_size = len(content)  # it is in memory already; no temporary files
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError) as error:
        said = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
        raise Refused(400, f"the form cannot be read: {said}") from error
    try:
        files = [each for _, each in form.multi_items() if isinstance(each, UploadFile)]
        found = [(each.filename or None, await each.read()) for each in files]
    finally:
        await form.close()
    if not found:
        raise Refused(400, "the form has no file; send one as in: curl -F picture=@cat.jpg ADDRESS")
    return found


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content
