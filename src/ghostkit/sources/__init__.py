"""Sources of pictures: files, folders, patterns, archives, tables and lists, in a fixed order.

`find_pictures` knows all of a few folders at once; a job reads `Sources` one picture at a time.
"""

from ghostkit.sources.found import Found, find_pictures
from ghostkit.sources.items import Item, Sources
from ghostkit.sources.listing import PICTURE_SUFFIXES, is_picture, natural_key, walk
from ghostkit.sources.shards import MachineShard

__all__ = [
    "PICTURE_SUFFIXES",
    "Found",
    "Item",
    "MachineShard",
    "Sources",
    "find_pictures",
    "is_picture",
    "natural_key",
    "walk",
]
