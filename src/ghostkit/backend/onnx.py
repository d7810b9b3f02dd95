"""ONNX Runtime: from a model file to a backend and the card inside it."""

import json
import os
from collections.abc import Sequence
from threading import Lock

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ghostkit.backend import graph_cache, providers
from ghostkit.backend.carded import (
    WEIGHTS_METADATA_KEY,
    Values,
    check_input,
    check_meaning,
    check_output,
    check_weights,
    one_line,
    read_card,
    read_model,
)
from ghostkit.backend.choice import Choice, Device
from ghostkit.backend.graph import folding
from ghostkit.backend.model_files import check_stands, stands_at
from ghostkit.backend.whole_batches import in_whole_batches
from ghostkit.card import ONNX_METADATA_KEY
from ghostkit.errors import ModelError

PIXELS_AT_ONCE = 120_000  # on a core, so that what flows through the layers stays in its caches
ON_CPU = Choice(device=Device("cpu"))


class OnnxBackend:
    """An ONNX model with its card.

    One intra-op thread: the stream runs one batch per core at once, which beats one batch spread
    over the cores. A session's `run` may be called from many threads.

    Args:
        fold: put the normalisation, layout and colour order of a float32 model into the graph;
            the answers are the same, and `host_card` then says
            what `infer` takes, which is uint8 (N, H, W, 3) RGB, and what is left to the host.
        choice: the device; the CPU by default. `fallback` says what runs instead, if so.
        cache: open it as it was optimised before, and keep it for the next time.

    Raises:
        ModelError: the file is missing, not ONNX, or does not fit its card; or the choice is
            strict, and another device would run it, or a part of it.
        CardError: there is no card in the file nor beside it, or it is malformed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int = 1,
        fold: bool = False,
        choice: Choice = ON_CPU,
        cache: bool = False,
    ) -> None:
        self.path, self._threads, self._choice = os.fspath(path), threads, choice
        self._folder = os.path.dirname(os.path.abspath(self.path))  # of weights beside the graph
        self._plain: OnnxBackend | None = None
        self._opening = Lock()
        self._device = providers.device_for(choice)
        self._opened = stands_at(self.path)
        content = read_model(self.path)
        keeps = cache and self._device.kind == "cpu" and len(content) >= graph_cache.LEAST_BYTES
        key = graph_cache.key_of(content, fold, onnxruntime.__version__) if keeps else None
        if key is None or not self._open_kept(key):
            self._open_file(content, fold, key)
        check_output(_values(self._session.get_outputs()), self.card, self.path)
        used = self._session.get_providers()
        self.name = f"onnxruntime {used[0]}"
        self.fallback = providers.fallback(self._device, used, self.path, choice)
        self.serial = used[0] != providers.CPU  # an accelerator takes one batch at a time
        size = self._session.get_inputs()[0].shape[0]
        self.fixed_batch = size if isinstance(size, int) else None  # None: takes any

    def _open_kept(self, key: str) -> bool:
        """Open what the cache holds of it; False where that is nothing."""
        kept = graph_cache.find(key)
        if kept is None:
            return False
        check_weights(kept.notes, self.path)
        self.card = self.host_card = read_card(kept.notes, self.path)
        if kept.folded:
            self.host_card = folding.folded_card(self.card)
        options = self._options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = self._open_session(kept.graph, options)
        except ModelError:  # it is whole, but this ONNX Runtime does not take it
            return False
        return True

    def _open_file(self, content: bytes, fold: bool, key: str | None) -> None:
        """Open `content`, the file's; with a `key`, and keep it where that can be done."""
        graph = folding.describe(content)
        if graph is None:  # not protobuf; perhaps ONNX Runtime's own format
            self._session = self._open_session(content, self._options())
            inputs = _values(self._session.get_inputs())
            notes = self._session.get_modelmeta().custom_metadata_map
        else:
            inputs, notes = graph.inputs, graph.metadata
        check_weights(notes, self.path)
        self.card = self.host_card = read_card(notes, self.path)
        check_input(inputs, self.card, self.path)
        if graph is None:
            return
        check_meaning(graph.makers.get(self.card.output.name), self.card, self.path)
        if self._device.kind == "cpu" and graph.is_foldable:
            from ghostkit.backend.graph.arranging import arrange  # a kept graph needs none of it

            content = arrange(content, self._folder)
        folds = fold and graph.is_foldable and not folding.is_taken(content, self.card)
        if folds and self.card.input.dtype == "float32":
            content = folding.fold(content, self.card, self.path)
            self.host_card = folding.folded_card(self.card)
        if key is None or ONNX_METADATA_KEY not in notes or _reads_other_files(graph):
            self._session = self._open_session(content, self._options())
            return
        self._session = None

        def save(path: str) -> bool:
            options = self._options()
            options.optimized_model_filepath = path
            try:
                self._session = self._open_session(content, options)
            except ModelError:  # perhaps of the writing: it is tried without
                return False
            return True

        graph_cache.keep(key, notes, self.host_card is not self.card, save)
        if self._session is None:
            self._session = self._open_session(content, self._options())

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """See `Backend.infer`. A model of a fixed batch size gets its last batch filled up.

        A folded one takes the card's own form too: `images` that are not uint8.
        """
        if images.ndim != 4:
            raise ModelError(
                f"{self.path}: a batch of shape {images.shape} is given; expected four axes"
            )
        if self.host_card is not self.card and images.dtype != np.uint8:
            return self._not_folded.infer(images)
        if self.fixed_batch is None and not self.serial:
            return self._run_in_slices(images)
        return in_whole_batches(images, self.fixed_batch or len(images), self._run)

    def _run_in_slices(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """The rows of one run, bit for bit, for less: of large images, a few at a time."""
        planes = self.host_card.input.layout == "NCHW"
        height, width = images.shape[2:] if planes else images.shape[1:3]
        count = max(1, PIXELS_AT_ONCE // max(1, height * width))
        if count >= len(images):
            return self._run(images)
        parts = [self._run(images[at : at + count]) for at in range(0, len(images), count)]
        return np.concatenate(parts)

    @property
    def _not_folded(self) -> "OnnxBackend":
        """The same model as its file has it, opened when it is first asked for."""
        with self._opening:
            if self._plain is None:
                check_stands(self.path, self._opened)
                self._plain = OnnxBackend(self.path, threads=self._threads, choice=self._choice)
            return self._plain

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors come as exceptions, not as lines on the terminal
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", os.fsencode(self._folder)
        )
        return options

    def _open_session(
        self, content: bytes, options: onnxruntime.SessionOptions
    ) -> onnxruntime.InferenceSession:
        path, strict = self.path, self._choice.strict
        wanted = providers.providers_for(self._device, strict)
        alone = strict and wanted[0][0] != providers.CPU
        if alone:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            try:
                return _session(content, options, wanted)
            except Exception:
                if strict or wanted[0][0] == providers.CPU:
                    raise
                return _session(content, options, [(providers.CPU, {})])  # `fallback` says so
        except Exception as error:
            if alone:
                raise ModelError(
                    f"{path}: {wanted[0][0]} alone cannot run it on {self._device}: "
                    f"{one_line(error)}; without --strict the CPU takes what it leaves"
                ) from error
            raise ModelError(
                f"{path}: not a model that ONNX Runtime {onnxruntime.__version__} can open: "
                f"{one_line(error)}; export it again with: ghostkit export CHECKPOINT -o model.onnx"
            ) from error

    def _run(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        try:
            [logits] = self._session.run(
                [self.card.output.name], {self.host_card.input.name: images}
            )
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ModelError(
                f"{self.path}: inference failed on a {images.dtype} batch of shape {images.shape}: "
                f"{one_line(error)}"
            ) from error
        return np.asarray(logits, dtype=np.float32)


def _session(
    content: bytes,
    options: onnxruntime.SessionOptions,
    wanted: providers.Providers,
) -> onnxruntime.InferenceSession:
    """A session that stays on the providers that it was opened with, and prints nothing."""
    return onnxruntime.InferenceSession(
        content,
        options,
        providers=[name for name, _ in wanted],
        provider_options=[dict(each) for _, each in wanted],
        enable_fallback=0,
    )


def _reads_other_files(graph: folding.Description) -> bool:
    """Whether weights come from files that the graph has no hash of."""
    try:
        known = {json.loads(graph.metadata[WEIGHTS_METADATA_KEY])["file"]}
    except KeyError:
        known = set()
    return not graph.files <= known


def _values(arguments: Sequence[onnxruntime.NodeArg]) -> Values:
    return {each.name: (each.type, each.shape) for each in arguments}
