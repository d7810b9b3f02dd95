"""Pipelines over the tiny model, whose every answer a person can foretell."""

import json
from pathlib import Path
from typing import Any

SIZE = 32  # pixels; the least that the SDK resizes to
NAMES = ("red", "green", "blue")


def ghostnet(**changes: dict[str, str]) -> dict[str, Any]:
    """The original elements at 32 px; `changes` adds properties by element, without its number."""
    chain = {
        "appsrc": {"blocksize": "409600"},
        "mxpi_imagedecoder": {"handleMethod": "opencv"},
        "mxpi_imageresize": {
            "handleMethod": "opencv",
            "resizeHeight": "36",
            "resizeWidth": "36",
            "resizeType": "Resizer_Stretch",
        },
        "mxpi_opencvcentercrop": {"cropHeight": str(SIZE), "cropWidth": str(SIZE)},
        "mxpi_tensorinfer": {"modelPath": "ghostnet.om", "waitingTime": "2000"},
        "mxpi_classpostprocessor": {
            "postProcessConfigPath": "infer.cfg",
            "labelPath": "classes.names",
            "postProcessLibPath": "/usr/local/sdk_home/lib/libresnet50postprocess.so",
        },
        "mxpi_dataserialize": {"outputDataKeys": "mxpi_classpostprocessor0"},
        "appsink": {"blocksize": "4096000"},
    }
    elements: dict[str, Any] = {"stream_config": {"deviceId": "0"}}
    names = list(chain)
    for name, following in zip(names, [*names[1:], None], strict=True):
        props = chain[name] | changes.get(name, {})
        elements[f"{name}0"] = {"props": props, "factory": name}
        if following is not None:
            elements[f"{name}0"]["next"] = f"{following}0"
    return {"im_ghostnet": elements}


def inserted(after: str, factory: str, props: dict[str, str]) -> dict[str, Any]:
    """The pipeline of `ghostnet` with one more element behind the element `after`."""
    content = ghostnet()
    stream = content["im_ghostnet"]
    following, stream[after]["next"] = stream[after]["next"], f"{factory}0"
    stream[f"{factory}0"] = {"factory": factory, "next": following, "props": props}
    return content


def write_project(
    folder: Path,
    make_model: Any,
    content: dict[str, Any] | None = None,
    *,
    config: str = "CLASS_NUM=3\nSOFTMAX=true\nTOP_K=2\n",
    names: str = "# classes\nred\ngreen\nblue\n",
) -> Path:
    """A folder as the original's users have it: pipeline, model, configuration, names."""
    from tiny import tiny_card

    folder.mkdir(parents=True, exist_ok=True)
    make_model("ghostnet.onnx", card=tiny_card(SIZE).to_json()).replace(folder / "ghostnet.onnx")
    (folder / "infer.cfg").write_text(config)
    (folder / "classes.names").write_text(names)
    path = folder / "ghostnet.pipeline"
    path.write_text(json.dumps(ghostnet() if content is None else content))
    return path
