#!/usr/bin/env python3
"""A stand-in for ATC that is stricter than the real one, for tests; nothing of it is ghostkit's.

It knows the options of one command, refuses every other, reads the model with onnx and the AIPP
file with protobuf's own text format, checks name and shape of the input, and writes a file with the
header of an .om. ``STRICT_ATC`` in the environment makes it fail in one of the compiler's ways.
"""

import json
import os
import re
import signal
import struct
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

EXPECTED = {
    "input_format": "NCHW",
    "framework": "5",
    "enable_small_channel": "1",
    "log": "error",
    "op_select_implmode": "high_precision",
    "output_type": "FP32",
}
FREE = {"model", "input_shape", "output", "insert_op_conf", "soc_version"}
FORMATS = {"YUV420SP_U8": 1, "XRGB8888_U8": 2, "RGB888_U8": 3, "YUV400_U8": 4}
KINDS = descriptor_pb2.FieldDescriptorProto
FIELDS = {
    **dict.fromkeys(("csc_switch", "rbuv_swap_switch", "ax_swap_switch", "crop"), KINDS.TYPE_BOOL),
    **dict.fromkeys(("resize", "padding", "single_line_mode"), KINDS.TYPE_BOOL),
    **dict.fromkeys(("src_image_size_w", "src_image_size_h"), KINDS.TYPE_INT32),
    **dict.fromkeys(("load_start_pos_w", "load_start_pos_h"), KINDS.TYPE_INT32),
    **dict.fromkeys(("crop_size_w", "crop_size_h"), KINDS.TYPE_INT32),
    **dict.fromkeys(("left_padding_size", "right_padding_size"), KINDS.TYPE_INT32),
    **dict.fromkeys(("top_padding_size", "bottom_padding_size"), KINDS.TYPE_INT32),
    **dict.fromkeys((f"mean_chn_{i}" for i in range(4)), KINDS.TYPE_INT32),
    **dict.fromkeys((f"min_chn_{i}" for i in range(4)), KINDS.TYPE_FLOAT),
    **dict.fromkeys((f"var_reci_chn_{i}" for i in range(4)), KINDS.TYPE_FLOAT),
    **dict.fromkeys((f"matrix_r{r}c{c}" for r in range(3) for c in range(3)), KINDS.TYPE_INT32),
    **dict.fromkeys((f"input_bias_{i}" for i in range(3)), KINDS.TYPE_INT32),
    **dict.fromkeys((f"output_bias_{i}" for i in range(3)), KINDS.TYPE_INT32),
    **dict.fromkeys(("related_input_rank", "max_src_image_size"), KINDS.TYPE_UINT32),
    "related_input_name": KINDS.TYPE_STRING,
    "padding_value": KINDS.TYPE_FLOAT,
    "cpadding_value": KINDS.TYPE_FLOAT,
    "support_rotation": KINDS.TYPE_BOOL,
}


def message_class():
    """The message that an AIPP file is the text of, declared anew."""
    file = descriptor_pb2.FileDescriptorProto(name="strict_aipp.proto", package="strict")
    op = file.message_type.add(name="AippOp")
    mode = op.enum_type.add(name="Mode")
    for number, name in enumerate(("undefined", "static", "dynamic")):
        mode.value.add(name=name, number=number)
    form = op.enum_type.add(name="Format")
    for name, number in {"UNDEFINED": 0, **FORMATS}.items():
        form.value.add(name=name, number=number)
    enums = {"aipp_mode": ".strict.AippOp.Mode", "input_format": ".strict.AippOp.Format"}
    for number, (name, kind) in enumerate(
        [*((name, KINDS.TYPE_ENUM) for name in enums), *FIELDS.items()], 1
    ):
        op.field.add(
            name=name,
            number=number,
            type=kind,
            label=KINDS.LABEL_OPTIONAL,
            type_name=enums.get(name),
        )
    op.field.add(
        name="input_edge_idx", number=900, type=KINDS.TYPE_UINT32, label=KINDS.LABEL_REPEATED
    )
    ops = file.message_type.add(name="InsertNewOps")
    ops.field.add(
        name="aipp_op",
        number=1,
        type=KINDS.TYPE_MESSAGE,
        label=KINDS.LABEL_REPEATED,
        type_name=".strict.AippOp",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("strict.InsertNewOps"))


def read_aipp(text):
    """The ops of an AIPP file by protobuf's reader; raises text_format.ParseError."""
    return text_format.Parse(text, message_class()()).aipp_op


def fail(code, words):
    print("ATC start working now, please wait for a moment.")
    print("ATC run failed, Please check the detail log, Try 'atc --help' for more information")
    print(f"{code}: {words}")
    sys.exit(255)


def main():
    options = {}
    for argument in sys.argv[1:]:
        name, equals, value = argument.partition("=")
        if not name.startswith("--") or not equals or not value:
            fail("E10054", f"The required parameter {argument} for ATC is empty.")
        if name[2:] not in EXPECTED.keys() | FREE or name[2:] in options:
            fail("E10001", f"unknown command line flag '{name[2:]}'")
        options[name[2:]] = value
    if missing := (EXPECTED.keys() | FREE) - options.keys():
        fail("E10007", f"--{sorted(missing)[0]} is required.")
    for name, value in EXPECTED.items():
        if options[name] != value:
            fail("E10014", f"Value {options[name]} for parameter --{name} is invalid.")
    if not re.fullmatch(r"Ascend310\w*", options["soc_version"]):
        fail("E10001", f"Value {options['soc_version']} for parameter soc_version is invalid.")
    way = os.environ.get("STRICT_ATC", "")
    if way == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if way == "silent":
        sys.exit(0)
    if way == "full disk":
        print("E19999: Inner Error! write failed: No space left on device")
        sys.exit(1)
    if way == "hang":
        signal.pause()
    if way in ("truncated", "header", "empty"):
        write(
            options["output"] + ".om", b"body", {"truncated": 258, "header": 256, "empty": 0}[way]
        )
        return
    if not os.path.isfile(options["model"]):
        fail("E10410", f"File {options['model']} does not exist.")
    if not os.path.isfile(options["insert_op_conf"]):
        fail("E10410", f"File {options['insert_op_conf']} does not exist.")
    import onnx  # late: it takes longer than all the rest

    graph = onnx.load(options["model"]).graph
    [image] = graph.input
    name, _, sizes = options["input_shape"].rpartition(":")
    if name != image.name:
        fail("E10016", f"Opname {name} specified in --input_shape is not found in the model.")
    sizes = [int(size) for size in sizes.split(",")]
    dims = image.type.tensor_type.shape.dim
    if len(dims) != len(sizes):
        fail("E10049", f"Dimension count {len(sizes)} does not match {len(dims)}.")
    for dim, size in zip(dims, sizes, strict=True):
        if dim.HasField("dim_value") and dim.dim_value != size:
            fail("E10001", f"Value {sizes} for parameter input_shape is invalid.")
    try:
        [op] = read_aipp(Path(options["insert_op_conf"]).read_text())
    except text_format.ParseError as error:
        fail("E10052", f"AIPP configuration is invalid. Reason: {error}.")
    if op.aipp_mode != 1 or op.input_format not in FORMATS.values():
        fail("E10052", "AIPP configuration is invalid. Reason: mode or format.")
    source = (op.src_image_size_h or sizes[2], op.src_image_size_w or sizes[3])
    kept = (op.crop_size_h or sizes[2], op.crop_size_w or sizes[3]) if op.crop else source
    if kept != (sizes[2], sizes[3]):
        fail("E10052", f"AIPP configuration is invalid. Reason: {kept} is not {sizes[2:]}.")
    write(options["output"] + ".om", json.dumps({"options": options}).encode())


def write(path, body, size=None):
    """An .om file, or its first `size` bytes, and the compiler's word of success."""
    header = struct.pack("<4sII64sI", b"IMOD", 256, 0x10000000, b"", len(body)).ljust(256, b"\0")
    Path(path).write_bytes((header + body)[:size])
    print("ATC start working now, please wait for a moment.")
    print("ATC run success, welcome to the next use.")


if __name__ == "__main__":
    main()
