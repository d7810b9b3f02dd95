"""The geometric steps that the host must do before AIPP's crop, or why no such steps exist.

Also: whether steps that somebody else runs on the host, e.g. a MindX pipeline, are those of a card.
"""

from collections.abc import Sequence

from ghostkit.aipp.config import Aipp, Crop
from ghostkit.errors import AippError
from ghostkit.steps import CenterCrop, Normalize, Resize, Step, describe, output_size

Size = tuple[int, int]
PERIOD = 4  # centre-crop offsets round half to even, so sides repeat their pattern after four


def host_geometry(
    steps: Sequence[Step], config: Aipp, model_size: Size, source: str
) -> tuple[tuple[Step, ...], Size]:
    """The host's steps and their output (height, width), for a block without lint errors.

    Raises:
        AippError: no host steps exist that AIPP's crop or padding turn into training's.
    """
    geometry = tuple(step for step in steps if not isinstance(step, Normalize))
    if config.padding is not None:
        raise AippError(
            f"{source}: the file pads the picture, but training did not "
            f"({describe(geometry)}); write padding : false"
        )
    crop = config.crop
    host_size = config.source_for(model_size)
    if crop is None or (host_size == model_size and (crop.top, crop.left) == (0, 0)):
        return geometry, model_size
    last = geometry[-1] if geometry else None
    if not isinstance(last, CenterCrop):
        raise AippError(
            f"{source}: the file cuts {_words(model_size)} out of {_words(host_size)}, but "
            f"training cut nothing out at the end ({describe(geometry)}); write crop : false"
        )
    before = geometry[:-1]
    if output_size(before) == host_size and _same_cut(host_size, host_size, crop, model_size):
        return before, host_size
    _check_centres(before, host_size, crop, model_size, source)
    return (*before, CenterCrop(size=host_size)), host_size


def contradictions(trained: Sequence[Step], host: Sequence[Step]) -> tuple[str, ...]:
    """How `host` steps differ from `trained` ones, a sentence each; empty if they agree."""
    if tuple(trained) == tuple(host):
        return ()
    ours, theirs = (_by_kind(steps) for steps in (trained, host))
    found = []
    resize, other = ours["resize"], theirs["resize"]
    if resize != other:
        found.append(_about_resize(resize, other))
    crop, other_crop = ours["center_crop"], theirs["center_crop"]
    if crop != other_crop:
        found.append(
            f"training has {describe(crop) if crop else 'no crop'}, "
            f"the host {describe(other_crop) if other_crop else 'none'}"
        )
    normal, other_normal = ours["normalize"], theirs["normalize"]
    if other_normal and not normal:
        found.append("the host normalises, and the model or the chip does it again: once too often")
    elif normal and not other_normal:
        found.append("the host does not normalise, and neither does the model")
    elif normal != other_normal:
        found.append("the host normalises by another mean or std than training")
    if not found:
        found.append(f"training does {describe(trained)}; the host does {describe(host)}")
    return tuple(found)


def _about_resize(trained: tuple[Step, ...], host: tuple[Step, ...]) -> str:
    words = f"training resizes by {describe(trained)}, the host by {describe(host)}"
    match (*trained, *host):
        case (Resize(short=int(short)), Resize(size=(int(height), int(width)))):
            return (
                f"{words}: the host stretches every picture to {width}x{height}, training kept its "
                f"aspect (a 4:3 photo becomes {int(short * 4 / 3)}x{short}), so the model sees "
                "distorted pictures; keep the aspect on the host too"
            )
        case (Resize(size=(int(), int())), Resize(short=int())):
            return f"{words}: training stretched pictures, the host keeps their aspect"
    return words


def _by_kind(steps: Sequence[Step]) -> dict[str, tuple[Step, ...]]:
    kinds = ("resize", "center_crop", "normalize")
    return {kind: tuple(step for step in steps if step.op == kind) for kind in kinds}


def _check_centres(
    before: Sequence[Step], host_size: Size, crop: Crop, model_size: Size, source: str
) -> None:
    """Refuse an AIPP crop that is not at the centre of the host's output."""
    fixed, shortest = output_size(before), _shortest(before)
    if fixed is None and shortest is None:
        raise AippError(
            f"{source}: the file cuts out of {_words(host_size)}, but pictures have any size; "
            "write crop : false"
        )
    least = fixed or (shortest or 0, shortest or 0)
    if host_size[0] > least[0] or host_size[1] > least[1]:
        raise AippError(
            f"{source}: the file takes pictures of {_words(host_size)}, but training's are only "
            f"{least[0]} pixels high or {least[1]} wide before the crop ({describe(before)}); "
            "stretching them would be another preprocessing; give a smaller src_image_size"
        )
    sizes = [fixed] if fixed else [(least[0] + i, least[1] + i) for i in range(PERIOD)]
    for size in sizes:
        if not _same_cut(size, host_size, crop, model_size):
            raise AippError(
                f"{source}: the crop at row {crop.top}, column {crop.left} of "
                f"{_words(host_size)} is not training's centre crop: of a picture resized to "
                f"{_words(size)} training keeps other rows or columns. The crop has to start at "
                f"row {(host_size[0] - model_size[0]) // 2}, column "
                f"{(host_size[1] - model_size[1]) // 2}, and source minus crop has to divide by 4 "
                "on both sides, since odd sizes round half to even; or write crop : false"
            )


def _same_cut(size: Size, host_size: Size, crop: Crop, model_size: Size) -> bool:
    starts = zip(size, host_size, (crop.top, crop.left), model_size, strict=True)
    return all(
        round((side - host) / 2) + start == round((side - model) / 2)
        for side, host, start, model in starts
    )


def _shortest(steps: Sequence[Step]) -> int | None:
    """The shortest side that pictures have after `steps`, where the other side varies."""
    last = steps[-1] if steps else None
    return last.short if isinstance(last, Resize) else None


def _words(size: Size) -> str:
    return f"{size[1]}x{size[0]} pixels"
