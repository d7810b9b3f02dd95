"""Photos on a page, each inlined as a small JPEG, or the reason why it cannot be shown."""

import base64
import io

from PIL import Image

from ghostkit.errors import ImageRefused
from ghostkit.image import decode
from ghostkit.report.page import Html, element, text

SIDE_PX = 224  # for screens of two dots per px
QUALITY = 82  # of JPEG; such a photo is about 7 kB
LONGEST_REASON = 60  # characters


def photo(path: str, alt: str) -> Html:
    """The photo at `path`, or why it cannot be read."""
    try:
        pixels = decode(path)
    except ImageRefused as refused:
        return element("div", text(refused.reason[:LONGEST_REASON]), kind="none")
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE_PX, SIDE_PX))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    data = base64.b64encode(stream.getvalue()).decode()
    return Html(f'<img alt="{text(alt)}" src="data:image/jpeg;base64,{data}">\n')


def figure(path: str, name: str, *beside: Html) -> Html:
    """A photo with its name below, and what is said of it beside."""
    caption = element("figcaption", element("div", text(name), kind="path"))
    return element("figure", photo(path, name), *beside, caption)
