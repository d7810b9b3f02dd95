"""The flags of the original's trainers that are no keys of the recipe, and what becomes of each.

One table for ``train_ghostnet_1p.py``, ``train_ghostnet_8p.py`` and ModelArts' ``train_start.py``:
`original_arguments` applies it, the command line and docs/train.md show it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ghostkit.errors import UsageError

Kind: TypeAlias = type[bool] | type[int] | type[float] | type[str]
Meaning = Callable[[Any], Mapping[str, Any]]

NO_AUGMENTATION = {
    "scale": (1.0, 1.0),
    "ratio": (1.0, 1.0),
    "hflip": 0.0,
    "vflip": 0.0,
    "color_jitter": 0.0,
    "auto_augment": "none",
    "erase": 0.0,
    "train_interpolation": "same",
}
NOT_BUILT = "the original's GhostNet is built without it too"
THE_LOADER = "it sets the original's reading processes; here --workers is all there is to set"


@dataclass(frozen=True, kw_only=True)
class OriginalFlag:
    """A flag of the original, in its spelling, and its fate here.

    `meaning` gives recipe keys and options of a run for a value; a `default` is what the original
    falls back to, so that giving it changes nothing and is passed over.
    """

    name: str
    kind: Kind
    fate: Literal["translated", "no effect", "refused"]
    why: str  # follows the name in a sentence, and stands in docs/train.md
    default: Any = None
    short: tuple[str, ...] = ()
    count: int = 1  # words after the flag
    meaning: Meaning | None = None

    @property
    def key(self) -> str:
        """Its name in the original's ``args.yaml``."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def names(self) -> tuple[str, ...]:
        """Every spelling; one with underscores is taken with hyphens too."""
        return tuple(dict.fromkeys((self.name, f"--{self.key.replace('_', '-')}"))) + self.short


def _square(size: Any) -> Mapping[str, Any]:
    channels, height, width = size
    if channels != 3 or height != width:
        raise UsageError(
            f"--input-size {channels} {height} {width}: the input here is 3 channels and square; "
            "use --img-size SIDE"
        )
    return {"img_size": height}


def _to(key: str) -> Meaning:
    return lambda value: {key: value}


def _always(**values: Any) -> Meaning:
    return lambda _: values


def _translated(
    name: str, kind: Kind, why: str, meaning: Meaning, count: int = 1, default: Any = None
) -> OriginalFlag:
    return OriginalFlag(
        name=name,
        kind=kind,
        fate="translated",
        why=why,
        default=default,
        count=count,
        meaning=meaning,
    )


def _no_effect(
    name: str, kind: Kind, why: str, default: Any = None, short: tuple[str, ...] = ()
) -> OriginalFlag:
    return OriginalFlag(
        name=name, kind=kind, fate="no effect", why=why, default=default, short=short
    )


def _refused(name: str, kind: Kind, why: str, default: Any = None) -> OriginalFlag:
    return OriginalFlag(name=name, kind=kind, fate="refused", why=why, default=default)


TRANSLATED = (
    _translated("--input-size", int, "`3 S S` is img_size=S", _square, count=3),
    _translated(
        "--no-aug", bool, "the middle square, no flip, no jitter", _always(**NO_AUGMENTATION)
    ),
    _translated("--npu", int, "`N` is --device npu:N", lambda index: {"device": f"npu:{index}"}),
    _translated("--native-amp", bool, "amp=auto", _always(amp="auto")),
    _translated("--apex-amp", bool, "amp=auto, by torch itself", _always(amp="auto")),
    _translated("--recovery-interval", int, "save_every_steps", _to("save_every_steps")),
    _translated("--num-classes", int, "checked against the folders", _to("num_classes")),
    _translated(
        "--pretrained",
        bool,
        "freeze=backbone, from --pretrained_weight, else from ./model_best.pth.tar",
        _always(freeze="backbone", weights="model_best.pth.tar"),
    ),
    _translated("--initial-checkpoint", str, "--pretrained-weight", _to("pretrained_weight")),
    _translated(
        "--no-resume-opt", bool, "a resume without the momenta", _always(fresh_optimizer=True)
    ),
    _translated(
        "--start-epoch", int, "the epoch at which the resumed run stands", _to("start_epoch")
    ),
    _translated(
        "--world_size",
        int,
        "the number of processes, where not torchrun starts them",
        _to("world_size"),
        default=1,
    ),
    _translated(
        "--local_rank",
        int,
        "which of the --world_size processes on this machine this one is",
        _to("local_rank"),
        default=0,
    ),
    _translated(
        "--dist-url",
        str,
        "where the --world_size processes meet, `tcp://HOST:PORT`",
        _to("dist_url"),
        default="tcp://127.0.0.1:50000",
    ),
    _translated("--modelarts_mod", bool, "smoothing=0: plain cross-entropy", _always(smoothing=0)),
)

NO_EFFECT = (
    _no_effect("--dataset", str, "the layout of DATA is found by looking", short=("-d",)),
    _no_effect(
        "--validation-batch-size-multiplier",
        int,
        "no answer depends on the batch of the validation",
        1,
        ("-vb",),
    ),
    _no_effect("--no-prefetcher", bool, THE_LOADER),
    _no_effect("--pin-mem", bool, THE_LOADER),
    _no_effect("--use-multi-epochs-loader", bool, THE_LOADER),
    _no_effect("--channels-last", bool, "the network is always in channels_last"),
    _no_effect("--log-interval", int, "the progress is shown by time", 50),
    _no_effect("--recount", int, "it counts random erasing, which the original cannot turn on", 1),
    _no_effect(
        "--patience-epochs",
        int,
        "it belongs to the schedule plateau alone; `--patience N` ends a run early",
        10,
    ),
    _no_effect("--gp", str, NOT_BUILT),
    _no_effect("--drop-path", float, NOT_BUILT),
    _no_effect("--drop-block", float, NOT_BUILT),
    _no_effect("--drop-connect", float, NOT_BUILT),
    _no_effect("--bn-tf", bool, NOT_BUILT),
    _no_effect("--bn-momentum", float, NOT_BUILT),
    _no_effect("--bn-eps", float, NOT_BUILT),
    _no_effect(
        "--dist-bn",
        str,
        "without sync_bn the statistics of the first process are measured and saved",
    ),
    _no_effect("--dist-backend", str, "nccl, hccl or gloo follows from the device", "nccl"),
    _no_effect("--distributed", bool, "--world_size and torchrun say how many processes there are"),
    _no_effect("--lr-noise-pct", float, "it belongs to --lr-noise alone", 0.67),
    _no_effect("--lr-noise-std", float, "it belongs to --lr-noise alone", 1.0),
    _no_effect("--onnx", bool, "`ghostkit export` writes the ONNX file"),
)

REFUSED = (
    _refused("--train-split", str, "the training folder is called train", "train"),
    _refused("--lr-noise", str, "the rate follows the schedule exactly; use --sched alone"),
    _refused("--lr-cycle-mul", float, "there are no restarts; use one cycle of --epochs", 1.0),
    _refused("--lr-cycle-limit", int, "there are no restarts; use one cycle of --epochs", 1),
    _refused("--aug-splits", int, "there are no split batches; use --auto-augment rand", 0),
    _refused("--jsd", bool, "it needs split batches; use --auto-augment rand and --smoothing"),
    _refused("--resplit", bool, "it needs split batches; use --erase"),
    _refused("--split-bn", bool, "it needs split batches; leave it out"),
    _refused("--cutmix-minmax", str, "the box is drawn by alpha; use --cutmix ALPHA"),
    _refused("--mixup-mode", str, "a batch is mixed as a whole; leave it out", "batch"),
    _refused("--save-images", bool, "no pictures are written; look at `ghostkit predict`"),
    _refused(
        "--eval-metric",
        str,
        "the best epoch is that of the best top-1, or of --best-by mean-recall",
        "top1",
    ),
    _refused("--tta", int, "one view is measured, the one that is deployed; leave it out", 0),
    _refused("--torchscript", bool, "use --compile true, or `ghostkit export` for a deployed form"),
)

ORIGINAL_FLAGS = {flag.key: flag for flag in (*TRANSLATED, *NO_EFFECT, *REFUSED)}
