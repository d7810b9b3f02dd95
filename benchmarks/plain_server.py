"""The peer of `serving.py`: a server as tutorials write one, ONNX Runtime behind Starlette.

    python benchmarks/plain_server.py TASK PORT

Each request is decoded by Pillow and inferred by itself in a thread of Starlette's pool; the
session has as many threads as there are cores.
"""

import io
import json
import sys

import numpy as np
import onnxruntime
import uvicorn
from contenders import pillow_input
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def make_app(task: dict[str, object]) -> Starlette:
    session = onnxruntime.InferenceSession(task["model"], providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def answer(content: bytes) -> dict[str, object]:
        [logits] = session.run(None, {name: pillow_input(io.BytesIO(content), task)})
        exps = np.exp(logits[0] - logits[0].max())
        best = np.argsort(-exps)[:5]
        return {"top": [[int(i), float(exps[i] / exps.sum())] for i in best]}

    async def classify(request: Request) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(answer, await request.body()))

    return Starlette(routes=[Route("/classify", classify, methods=["POST"])])


if __name__ == "__main__":
    app = make_app(json.loads(sys.argv[1]))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
