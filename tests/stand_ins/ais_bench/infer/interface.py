"""A strict stand-in for ais_bench's InferSession; an ``.om`` is the JSON of the stand-in `acl`."""

import json
import types

import acl
import numpy as np


class InferSession:
    def __init__(self, device_id, model_path, acl_json_path=None, debug=False, loop=1):
        if device_id != 0:
            raise RuntimeError(f"[1][ACL: device {device_id} is invalid]")
        with open(model_path, encoding="utf-8") as stream:
            self._model = json.load(stream)

    def get_inputs(self):
        model = self._model
        shape = [model["batch"], 3, model["height"], model["width"]]
        size = int(np.prod(shape)) * np.dtype(model["dtype"]).itemsize
        return [types.SimpleNamespace(name="image", shape=shape, realsize=size)]

    def infer(self, feeds, mode="static", custom_sizes=100000):
        assert mode == "static"
        [batch] = feeds
        if batch.nbytes != self.get_inputs()[0].realsize:
            raise RuntimeError("[1][ACL: invalid parameter] input size mismatch")
        return [acl.answer(self._model, batch.tobytes())]
