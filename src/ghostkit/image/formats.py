"""Identify a file's format by its content alone, never by its name.

Accepted formats go on to a decoder. The others are recognised only to be refused by their name.
"""

from ghostkit.image.limits import Refusal

ACCEPTED = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "WebP": (b"RIFF",),  # and "WEBP" at byte 8
    "BMP": (b"BM",),
    "GIF": (b"GIF87a", b"GIF89a"),
    # BigTIFF in the middle; the last two are wrong, and read by Pillow all the same
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0"),
}

_OTHERS = {
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "ICO": (b"\0\0\1\0", b"\0\0\2\0"),
    "PNM": tuple(b"P%d%c" % (kind, space) for kind in range(1, 8) for space in b"\n \t\r"),
    "Photoshop": (b"8BPS",),
    "OpenEXR": (b"v/1\x01",),
    "Radiance HDR": (b"#?RADIANCE", b"#?RGBE"),
    "JPEG XR": (b"II\xbc\x01",),
    "DDS": (b"DDS ",),
    "QOI": (b"qoif",),
    "PDF": (b"%PDF",),
    "PostScript": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "ZIP": (b"PK\x03\x04",),
    "gzip": (b"\x1f\x8b",),
    "RIFF audio or video": (b"RIFF",),
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/",),
}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def identify(data: bytes) -> str:
    """The accepted format that `data` begins as; anything else is refused by name."""
    for name, signatures in ACCEPTED.items():
        if data.startswith(signatures) and (name != "WebP" or data[8:12] == b"WEBP"):
            return name
    if (other := _other(data)) is not None:
        hint = "; unpack it, or make it a .tar" if other == "ZIP" else ""
        raise Refusal(f"{other} is not an accepted format; accepted: {', '.join(ACCEPTED)}{hint}")
    raise Refusal(f"not a picture: no known format begins with the bytes {data[:4].hex(' ')}")


def _other(data: bytes) -> str | None:
    if data[4:8] == b"ftyp":
        brands = data[8:40]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        return "HEIF" if data[8:12] in _HEIF_BRANDS else "MP4 video"
    for name, signatures in _OTHERS.items():
        if data.startswith(signatures):
            return name
    text = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    if text.startswith((b"<svg", b"<?xml")):
        return "SVG" if b"<svg" in data[:4096].lower() else "XML"
    return None
