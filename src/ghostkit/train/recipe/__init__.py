"""The recipe: every number of a training, as one frozen record with defaults that run.

The fields carry the names of the original's flags; `recipe.file` reads and writes it.
"""

from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ghostkit.defaults import DEFAULT_SEED
from ghostkit.steps import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MOST_PIXELS,
    Channels,
    Filter,
    Step,
    evaluation_steps,
)

Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]  # 1 would never forget
Positive = Annotated[float, Field(gt=0, le=1e30)]  # float32 ends at 3e38
COSINES = ("cosine", "cosine-shifted")  # schedules with a cooldown
OFF = '"none"'  # in TOML, which has no null
NotNegativeInt = Annotated[int, Field(ge=0)]
BestBy = Literal["top1", "mean-recall"]
Amp = Literal["off", "auto", "bfloat16", "float16"]
NotNegative = Annotated[float, Field(ge=0, le=1e30)]


class Recipe(BaseModel):
    """How a GhostNet is trained. Each field is a key of a recipe file and a flag of `train`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    # network
    model: Literal["ghostnet", "ghostnetv2", "ghostnetv3"] = "ghostnet"
    """The network; upper and lower case are alike, so the original's GhostNet is meant too."""
    width: Annotated[float, Field(gt=0, le=16)] = 1.0
    """Multiplies every channel count; 0.5, 1.0 and 1.3 are the paper's."""
    stem_stride: Literal[1, 2] = 2
    """Stride of the first convolution; 1 suits pictures of 32 or 64 px."""
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Dropout before the classifier."""
    residual_gamma: Fraction = 1.0
    """From random weights: strength with which each bottleneck adds to its shortcut at first."""
    freeze: Literal["none", "backbone"] = "none"
    """`backbone` trains the classifier alone."""
    freeze_epochs: NotNegativeInt = 0
    """Epochs at the start in which the classifier alone is trained."""
    frozen_stages: Annotated[int, Field(ge=0, le=9)] = 0
    """Of the nine stages, how many keep their weights, the first convolution with them; 0: none."""
    feature_views: NotNegativeInt = 0
    """With freeze=backbone: views of a picture whose features are computed once; 0: every epoch."""

    # pictures
    img_size: Annotated[int, Field(ge=32, le=4096)] = 240
    """Side of the input, in pixels."""
    crop_pct: Share = 0.875
    """Evaluation resizes the short side to img_size / this, then crops."""
    interpolation: Filter = "bilinear"
    """Filter of the resize in evaluation; of training crops too, where those say `same`."""
    mean: Channels = IMAGENET_MEAN
    """Per channel, in units where 255 is 1.0."""
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD
    """Per channel, in units where 255 is 1.0."""
    scale: tuple[Share, Share] = (0.08, 1.0)
    """Random-resized-crop: share of the area, from and to."""
    ratio: tuple[Positive, Positive] = (0.75, 4 / 3)
    """Random-resized-crop: width by height, from and to."""
    hflip: Fraction = 0.5
    """Probability of mirroring left to right."""
    vflip: Fraction = 0.0
    """Probability of mirroring top to bottom."""
    color_jitter: NotNegative = 0.4
    """Brightness, contrast and saturation vary by 1 ± this."""
    train_interpolation: Filter | Literal["same", "random"] = "same"
    """Filter of the training crops; random draws bilinear or bicubic, as the original does."""
    auto_augment: Literal["none", "trivial", "rand"] = "none"
    """One random operation per picture (TrivialAugment), or two (RandAugment)."""
    erase: Fraction = 0.0
    """Probability of erasing a random rectangle."""
    mixup: NotNegative = 0.0
    """Alpha of mixup; 0: none."""
    cutmix: NotNegative = 0.0
    """Alpha of cutmix; 0: none."""
    mixup_prob: Fraction = 1.0
    """Share of the batches that are mixed."""
    mixup_switch_prob: Fraction = 0.5
    """Share of cutmix where both are on."""
    mixup_off_epoch: NotNegativeInt = 0
    """Epoch from which nothing is mixed; 0: never."""

    # optimisation
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Pictures per step, of each process where torchrun starts several."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients make one step of the optimizer."""
    opt: Literal["sgd", "momentum", "npufusedsgd", "adamw"] = "sgd"
    """sgd is with Nesterov; momentum and the original's npufusedsgd are SGD without."""
    lr: Positive = 0.05
    """Learning rate after the warmup."""
    momentum: Decay = 0.9
    """Momentum of SGD."""
    opt_betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Betas of adamw."""
    opt_eps: Positive = 1e-8
    """Epsilon of adamw."""
    backbone_lr: Fraction = 1.0
    """Rate of the backbone, as a share of the classifier's."""
    weight_decay: NotNegative = 4e-5
    """Weight decay, not on biases and other 1-D parameters."""
    clip_grad: Positive | None = 2.0
    """Largest global norm of the gradient; none: no clipping."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Label smoothing."""
    balance: Literal["none", "weights", "prior"] = "none"
    """Rare classes count as much as frequent ones: by weights in the loss, or by their prior."""
    model_ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an average of the weights, which is then what is measured and exported."""
    teacher: str | None = None
    """A model, by path or name, whose answers are learned too; it must know the data's classes."""
    distill_weight: Fraction = 0.5
    """Share of the teacher in the loss."""
    distill_temperature: Positive = 2.0
    """Divides the logits of both before they are compared."""

    # schedule, in epochs
    epochs: Annotated[int, Field(ge=1)] = 30
    """Epochs of the schedule; the cooldown comes on top."""
    sched: Literal["cosine", "cosine-shifted", "step", "constant"] = "cosine"
    """cosine is the original's, by epoch; cosine-shifted goes by step, from the warmup's end on."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 2
    """Epochs in which the rate grows from warmup_lr to lr."""
    cooldown_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs after `epochs`, of the cosines alone, at min_lr."""
    decay_epochs: Positive = 30
    """Epochs between two drops of `step`."""
    decay_rate: Fraction = 0.1
    """Factor of each drop of `step`."""
    warmup_lr: Positive = 1e-4
    """Rate at the start of the warmup."""
    min_lr: NotNegative = 1e-5
    """Rate at the end of a cosine."""

    patience: NotNegativeInt = 0
    """The run ends after so many epochs without a better best one; 0: it goes to its end."""

    # run
    seed: Annotated[int, Field(ge=0, lt=2**63)] = DEFAULT_SEED
    """Seed of everything that is drawn."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that read and augment; -j of the original."""
    val_split: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share held out of a tree without train/ and val/."""
    sync_bn: bool = False
    """Batch norm over the batches of all processes; without it each has its own."""
    amp: Amp = "off"
    """Mixed precision: auto takes what the device computes fast."""
    compile: bool = False
    """Run the network through torch.compile; on a CPU it needs a C++ compiler."""
    cuda_graph: bool = False
    """On CUDA: record the passes of a step once and replay them, for small networks much faster."""
    save_every_steps: NotNegativeInt = 0
    """Steps between two recovery checkpoints inside an epoch; 0: at its end alone."""
    best_by: BestBy = "top1"
    """What makes an epoch the best: top1, or mean-recall, the default where `balance` is on."""
    checkpoint_hist: Annotated[int, Field(ge=1)] = 10
    """How many of the best epochs' checkpoints are kept."""
    max_bad_steps: NotNegativeInt = 5
    """Steps with a non-finite loss or gradient that are skipped, in a whole run."""

    @model_validator(mode="before")
    @classmethod
    def _words(cls, content: dict[str, Any]) -> dict[str, Any]:
        """TOML has no null: ``"none"`` switches a key off that can be off.

        See also `model` and `best_by`.
        """
        if isinstance(content.get("model"), str):
            content = content | {"model": content["model"].lower()}
        if content.get("balance", "none") != "none":
            content = {"best_by": "mean-recall"} | content
        kinds = {name: get_args(field.annotation) for name, field in cls.model_fields.items()}
        return {
            key: None if value == "none" and NoneType in kinds.get(key, ()) else value
            for key, value in content.items()
        }

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Check combinations of keys; reports all problems, a line each."""
        if problems := "\n".join(self._contradictions()):
            raise ValueError(problems)
        return self

    def _contradictions(self) -> Iterator[str]:
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if low > high:
                yield f"{name}: {low} to {high} runs backwards"
        if self.cuda_graph and (self.compile or self.accumulate > 1):
            yield (
                "cuda_graph replays the passes of whole steps; set compile=false accumulate=1, or "
                "cuda_graph=false"
            )
        if self.feature_views and self.freeze != "backbone":
            yield (
                f"feature_views={self.feature_views} computes the backbone's features once, so the "
                "backbone cannot be trained; add freeze=backbone, or set feature_views=0"
            )
        if self.feature_views and (self.mixup or self.cutmix):
            yield (
                f"feature_views={self.feature_views} never sees the mixed pictures of mixup and "
                "cutmix; set mixup=0 cutmix=0, or feature_views=0"
            )
        if self.img_size / self.crop_pct > MOST_PIXELS:
            yield (
                f"img_size={self.img_size} by crop_pct={self.crop_pct:g} resizes to more than "
                f"{MOST_PIXELS} pixels"
            )

    @property
    def total_epochs(self) -> int:
        """Epochs that run: like the original's, the cosines add the cooldown to `epochs`."""
        return self.epochs + (self.cooldown_epochs if self.sched in COSINES else 0)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The preprocessing of evaluation and of every deployed form."""
        return evaluation_steps(
            self.img_size, self.crop_pct, self.interpolation, self.mean, self.std
        )
