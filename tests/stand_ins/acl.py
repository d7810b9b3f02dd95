"""A strict stand-in for CANN's pyACL: the documented calls alone, each checked as a device would.

An ``.om`` is a JSON file: batch, height, width, dtype of the input, classes, float16. Its answer is
the mean of each channel after Relu, repeated for further classes as zeros. What is forgotten at the
end (memory, buffers, models, contexts) is left in `leaks`. `calls` records the order.
"""

import json
import threading
import types

import numpy as np

calls = []
_state = {"on": False, "device": None, "next": 4096}
_thread = threading.local()  # a context is a thread's own
_device, _host, _buffers, _datasets, _models, _descriptions, _contexts = ({} for _ in range(7))
BAD_CALL, NO_CONTEXT, NO_FILE, REPEATED = 100000, 107002, 500002, 100002


def leaks():
    """How much of everything was not given back."""
    tables = (_device, _buffers, _datasets, _models, _descriptions, _contexts)
    return sum(len(table) for table in tables) + (_state["device"] is not None)


def _new(table, value):
    _state["next"] += 64
    table[_state["next"]] = value
    return _state["next"]


def init(config=""):
    calls.append("init")
    assert _state["on"] is not None, "acl.init after acl.finalize"
    if _state["on"]:
        return REPEATED
    _state["on"] = True
    return 0


def finalize():
    _state["on"] = None  # for the rest of the process
    return 0


def get_soc_name():
    return "Ascend310P3"


def create_data_buffer(address, size):
    assert len(_device[address]) == size
    return _new(_buffers, address)


def destroy_data_buffer(buffer):
    return 0 if _buffers.pop(buffer, None) else BAD_CALL


def _get_device_count():
    return (1, 0) if _state["on"] else (0, BAD_CALL)


def _set_device(index):
    assert _state["on"]
    if index != 0:
        return 107001
    _state["device"] = index
    return 0


def _reset_device(index):
    _state["device"] = None
    return 0


def _create_context(device):
    assert device == _state["device"]
    _thread.context = _new(_contexts, device)
    return _thread.context, 0


def _set_context(context):
    _thread.context = context if context in _contexts else None
    return 0 if context in _contexts else NO_CONTEXT


def _destroy_context(context):
    return 0 if _contexts.pop(context, None) is not None else BAD_CALL


def _malloc(size, policy):
    assert policy in (0, 1, 2)
    return _new(_device, bytearray(size)), 0


def _free(address):
    return 0 if _device.pop(address, None) is not None else BAD_CALL


def _memcpy(target, target_size, source, size, kind):
    into, out_of = {1: (_device, _host), 2: (_host, _device)}[kind]
    if getattr(_thread, "context", None) is None:
        return NO_CONTEXT
    assert size <= target_size == len(into[target]) and size <= len(out_of[source])
    into[target][:size] = out_of[source][:size]
    return 0


def _load_from_file(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return _new(_models, json.load(stream)), 0
    except (OSError, ValueError):
        return 0, NO_FILE


def _get_desc(description, model):
    _descriptions[description] = _models[model]
    return 0


def _input_size(description, index):
    model = _descriptions[description]
    assert index == 0
    each = 3 * model["height"] * model["width"] * np.dtype(model["dtype"]).itemsize
    return model["batch"] * each


def _output_size(description, index):
    model = _descriptions[description]
    return model["batch"] * model["classes"] * (2 if model.get("float16") else 4)


def _output_type(description, index):
    model = _descriptions[description]
    return model.get("output_type", 1 if model.get("float16") else 0)


def _add_dataset_buffer(dataset, buffer):
    _datasets[dataset].append(_buffers[buffer])
    return dataset, 0


def _destroy_dataset(dataset):
    return 0 if _datasets.pop(dataset, None) is not None else BAD_CALL


def answer(model, data):
    """What the model says to the bytes of a batch: ``(N, classes)`` float32."""
    shape = (model["batch"], 3, model["height"], model["width"])
    if model.get("layout") == "NHWC":
        shape = (shape[0], *shape[2:], 3)
    pixels = np.frombuffer(bytes(data), model["dtype"]).reshape(shape).astype(np.float32)
    axes = (1, 2) if model.get("layout") == "NHWC" else (2, 3)
    logits = np.zeros((model["batch"], model["classes"]), np.float32)
    logits[:, :3] = np.maximum(pixels, 0).mean(axis=axes)
    return logits


def _execute(model, inputs, outputs):
    if getattr(_thread, "context", None) is None:
        return NO_CONTEXT
    calls.append("execute")
    [source], [target, *_] = _datasets[inputs], _datasets[outputs]
    kind = np.float16 if _models[model].get("float16") else np.float32
    _device[target][:] = answer(_models[model], _device[source]).astype(kind).tobytes()
    return 0


def _bytes_to_ptr(data):
    assert isinstance(data, bytes)
    return _new(_host, bytearray(data))


def _ptr_to_bytes(address, size):
    return bytes(_host[address][:size])


rt = types.SimpleNamespace(
    create_context=_create_context,
    destroy_context=_destroy_context,
    free=_free,
    get_device_count=_get_device_count,
    malloc=_malloc,
    memcpy=_memcpy,
    reset_device=_reset_device,
    set_context=_set_context,
    set_device=_set_device,
)
mdl = types.SimpleNamespace(
    add_dataset_buffer=_add_dataset_buffer,
    create_dataset=lambda: _new(_datasets, []),
    create_desc=lambda: _new(_descriptions, None),
    destroy_dataset=_destroy_dataset,
    destroy_desc=lambda description: 0 if _descriptions.pop(description) else BAD_CALL,
    execute=_execute,
    get_desc=_get_desc,
    get_input_size_by_index=_input_size,
    get_num_inputs=lambda description: _descriptions[description].get("inputs", 1),
    get_num_outputs=lambda description: 1,
    get_output_data_type=_output_type,
    get_output_size_by_index=_output_size,
    load_from_file=_load_from_file,
    unload=lambda model: 0 if _models.pop(model, None) else BAD_CALL,
)
util = types.SimpleNamespace(bytes_to_ptr=_bytes_to_ptr, ptr_to_bytes=_ptr_to_bytes)
