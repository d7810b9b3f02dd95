"""A small model with the names and the preprocessing of the original deliverable."""

from pathlib import Path

from ghostkit.card import ONNX_METADATA_KEY, Architecture, Input, ModelCard, Output
from ghostkit.steps import evaluation_steps


def seed_card(size: int) -> ModelCard:
    """Short side to size / 0.875, centre crop, ImageNet's mean and std, three classes."""
    return ModelCard(
        architecture=Architecture(name="channel-means"),
        classes=("red", "green", "blue"),
        steps=evaluation_steps(size, 0.875, filter="bicubic"),
        input=Input(name="image", height=size, width=size),
        output=Output(name="output1"),
    )


def write_model(
    path: Path,
    size: int,
    *,
    batch: int | None = 1,
    opset: int = 11,
    classes: int = 3,
    extra: tuple[str, str] = ("", ""),
    dtype: str = "FLOAT",
) -> Path:
    """An ONNX whose answers are the means of the three channels, with the card for `size`.

    Args:
        extra: domain and name of an operator that is put before the rest.
    """
    import onnx
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info(
        "image", getattr(TensorProto, dtype), [batch or "batch", 3, size, size]
    )
    scores = helper.make_tensor_value_info("output1", TensorProto.FLOAT, [batch, classes])
    domain, name = extra
    first = [helper.make_node(name, ["image"], ["seen"], domain=domain)] if name else []
    nodes = [
        *first,
        helper.make_node("GlobalAveragePool", ["seen" if name else "image"], ["means"]),
        helper.make_node("Flatten", ["means"], ["output1"]),
    ]
    graph = helper.make_graph(nodes, "channel means", [image], [scores])
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=7)
    entry = model.metadata_props.add()
    entry.key, entry.value = ONNX_METADATA_KEY, seed_card(size).to_json()
    onnx.save(model, path)
    return path
