"""The names of the filters that resize a picture, which are Pillow's; apart from `steps` for speed.

The options of a command need the names, and not pydantic, which `steps` loads.
"""

from typing import Literal

Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
