"""A compiled ``.om`` model through Ascend's own Python interface, `acl`, on one device.

Written against the documented interface of CANN's pyACL and tested with a strict fake of it; it was
never run on a device.
"""

import os
import threading
from importlib import import_module
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ghostkit.errors import ModelError

HUGE_PAGES_FIRST = 0  # ACL_MEM_MALLOC_HUGE_FIRST
TO_DEVICE, TO_HOST = 1, 2  # ACL_MEMCPY_HOST_TO_DEVICE, ACL_MEMCPY_DEVICE_TO_HOST
ALREADY_INITIALIZED = 100002  # ACL_ERROR_REPEAT_INITIALIZE; once per process is enough
OUTPUT_TYPES = {0: np.float32, 1: np.float16}  # aclDataType


class AclSession:
    """A loaded ``.om``: bytes of a batch in, bytes of its first output back.

    Memory on the device is taken once. A call holds a lock: there is one buffer of each kind.

    Raises:
        ModelError: the device, the file or the memory is refused; names the call and its status.
    """

    def __init__(self, path: str | os.PathLike[str], device: int = 0) -> None:
        self.path, self.device = os.fspath(path), device
        self._acl = import_module("acl")
        self._lock = threading.Lock()
        self._undo: list[tuple[Any, ...]] = []  # calls that give back, the last one first
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        acl, mdl, rt = self._acl, self._acl.mdl, self._acl.rt
        if (status := acl.init()) not in (0, ALREADY_INITIALIZED):
            raise self._failure("acl.init", status)
        self._check("acl.rt.set_device", rt.set_device(self.device))
        self._undo.append((rt.reset_device, self.device))
        self._context = self._take("acl.rt.create_context", rt.create_context(self.device))
        self._undo.append((rt.destroy_context, self._context))
        self._model = self._take("acl.mdl.load_from_file", mdl.load_from_file(self.path))
        self._undo.append((mdl.unload, self._model))
        description = mdl.create_desc()
        self._undo.append((mdl.destroy_desc, description))
        self._check("acl.mdl.get_desc", mdl.get_desc(description, self._model))
        if (count := mdl.get_num_inputs(description)) != 1:
            raise ModelError(f"{self.path}: {count} inputs; expected the picture alone")
        self.input_bytes = int(mdl.get_input_size_by_index(description, 0))
        output_type = mdl.get_output_data_type(description, 0)
        if output_type not in OUTPUT_TYPES:
            raise ModelError(
                f"{self.path}: the output is of aclDataType {output_type}; expected float or "
                "float16: compile it with --output_type=FP32"
            )
        self.output_dtype = np.dtype(OUTPUT_TYPES[output_type])
        sizes = [
            int(mdl.get_output_size_by_index(description, index))
            for index in range(mdl.get_num_outputs(description))
        ]
        self.output_bytes = sizes[0]
        self._inputs, [self._input] = self._dataset([self.input_bytes])
        self._outputs, (self._output, *_) = self._dataset(sizes)

    def run(self, batch: NDArray[np.generic]) -> NDArray[np.float32]:
        """The first output for `batch` of exactly `input_bytes`, flat float32."""
        if batch.nbytes != self.input_bytes:
            raise ModelError(
                f"{self.path}: a batch of {batch.nbytes} bytes ({batch.dtype} {batch.shape}); the "
                f"compiled model takes {self.input_bytes}"
            )
        acl, rt = self._acl, self._acl.rt
        data = np.ascontiguousarray(batch).tobytes()
        with self._lock:
            self._check("acl.rt.set_context", rt.set_context(self._context))  # of this thread
            source = acl.util.bytes_to_ptr(data)
            size = self.input_bytes
            self._check("acl.rt.memcpy", rt.memcpy(self._input, size, source, size, TO_DEVICE))
            status = acl.mdl.execute(self._model, self._inputs, self._outputs)
            self._check("acl.mdl.execute", status)
            answer = bytes(self.output_bytes)
            target, size = acl.util.bytes_to_ptr(answer), self.output_bytes
            self._check("acl.rt.memcpy", rt.memcpy(target, size, self._output, size, TO_HOST))
            returned = acl.util.ptr_to_bytes(target, size)
        return np.frombuffer(returned, self.output_dtype).astype(np.float32)

    def close(self) -> None:
        """Give everything back; the session is of no use afterwards."""
        while self._undo:
            call, *arguments = self._undo.pop()
            call(*arguments)

    def _dataset(self, sizes: list[int]) -> tuple[Any, list[Any]]:
        """A pyACL data set of device buffers with these sizes, and the address of each buffer."""
        acl = self._acl
        dataset = acl.mdl.create_dataset()
        self._undo.append((acl.mdl.destroy_dataset, dataset))
        addresses = []
        for size in sizes:
            memory = self._take("acl.rt.malloc", acl.rt.malloc(size, HUGE_PAGES_FIRST))
            self._undo.append((acl.rt.free, memory))
            buffer = acl.create_data_buffer(memory, size)
            self._undo.append((acl.destroy_data_buffer, buffer))
            added = acl.mdl.add_dataset_buffer(dataset, buffer)
            self._take("acl.mdl.add_dataset_buffer", added)
            addresses.append(memory)
        return dataset, addresses

    def _take(self, call: str, answer: tuple[Any, int]) -> Any:
        value, status = answer
        self._check(call, status)
        return value

    def _check(self, call: str, status: int) -> None:
        if status != 0:
            raise self._failure(call, status)

    def _failure(self, call: str, status: int) -> ModelError:
        return ModelError(
            f"{self.path}: {call} gave status {status} on device {self.device}; the meaning is in "
            "CANN's list of aclError codes, the log under ~/ascend/log; check: ghostkit doctor"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
