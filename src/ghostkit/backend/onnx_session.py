"""A model file opened by ONNX Runtime: its session, its card, and what is left to the host.

What ONNX Runtime has made of the graph is kept for the next time where that is asked for, and
taken from there; see `graph_cache`.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from ghostkit.backend import graph_cache, providers
from ghostkit.backend.carded import (
    WEIGHTS_METADATA_KEY,
    Values,
    check_input,
    check_meaning,
    check_weights,
    read_card,
    read_model,
)
from ghostkit.backend.choice import Device
from ghostkit.backend.graph import folding
from ghostkit.card import ONNX_METADATA_KEY, ModelCard
from ghostkit.errors import ModelError, one_line


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that is ready to run."""

    session: onnxruntime.InferenceSession
    card: ModelCard
    host_card: ModelCard  # what the session takes; the card itself where nothing is folded


@dataclass(frozen=True, slots=True)
class Opener:
    """How the file at `path` is opened."""

    path: str
    device: Device
    strict: bool  # no other device than this one runs any part of it
    threads: int

    @property
    def folder(self) -> str:
        """Where weights beside the graph lie."""
        return os.path.dirname(os.path.abspath(self.path))

    def open(self, *, fold: bool, cache: bool) -> Opened:
        """The model; see `OnnxBackend` for the arguments.

        Raises:
            ModelError, CardError: see `OnnxBackend`.
        """
        content = read_model(self.path)
        keeps = cache and self.device.kind == "cpu" and len(content) >= graph_cache.LEAST_BYTES
        if not keeps:
            return self._of_file(content, fold, None)
        key = graph_cache.key_of(content, fold, onnxruntime.__version__)
        return self._of_cache(key) or self._of_file(content, fold, key)

    def _of_cache(self, key: str) -> Opened | None:
        """What the cache holds of it; None where that is nothing that opens."""
        kept = graph_cache.find(key)
        if kept is None:
            return None
        check_weights(kept.notes, self.path)
        card = read_card(kept.notes, self.path)
        try:
            session = self._session(kept.graph, optimise=False)
        except ModelError:  # it is whole, but this ONNX Runtime does not take it
            return None
        return Opened(session, card, folding.folded_card(card) if kept.folded else card)

    def _of_file(self, content: bytes, fold: bool, key: str | None) -> Opened:
        """`content`, the file's; kept under `key`, if there is one and it can be."""
        graph = folding.describe(content)
        if graph is None:  # not protobuf; perhaps ONNX Runtime's own format
            return self._of_other_format(content)
        check_weights(graph.metadata, self.path)
        card = host_card = read_card(graph.metadata, self.path)
        check_input(graph.inputs, card, self.path)
        check_meaning(graph.makers.get(card.output.name), card, self.path)
        if self.device.kind == "cpu" and graph.is_foldable:
            from ghostkit.backend.graph.arranging import arrange  # a kept graph needs none of it

            content = arrange(content, self.folder)
        folds = fold and graph.is_foldable and not folding.is_taken(content, card)
        if folds and card.input.dtype == "float32":
            content = folding.fold(content, card, self.path)
            host_card = folding.folded_card(card)
        if key is None or ONNX_METADATA_KEY not in graph.metadata or _reads_other_files(graph):
            return Opened(self._session(content), card, host_card)
        with graph_cache.scratch() as scratch:
            session = None if scratch is None else self._written_session(content, scratch)
            if scratch is not None and session is not None:
                graph_cache.keep(key, graph.metadata, host_card is not card, scratch)
        if session is None:
            session = self._session(content)
        return Opened(session, card, host_card)

    def _of_other_format(self, content: bytes) -> Opened:
        session = self._session(content)
        notes = session.get_modelmeta().custom_metadata_map
        check_weights(notes, self.path)
        card = read_card(notes, self.path)
        check_input(values_of(session.get_inputs()), card, self.path)
        return Opened(session, card, card)

    def _written_session(
        self, content: bytes, written: Path
    ) -> onnxruntime.InferenceSession | None:
        """A session that has written its optimised graph; None where it could not."""
        try:
            return self._session(content, written=written)
        except ModelError:  # perhaps of the writing: it is tried without
            return None

    def _session(
        self, content: bytes, *, optimise: bool = True, written: Path | None = None
    ) -> onnxruntime.InferenceSession:
        """A session of the graph `content`; the optimised one goes to the file `written`."""
        options = self._options()
        if not optimise:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if written is not None:
            options.optimized_model_filepath = str(written)
        wanted = providers.providers_for(self.device, self.strict)
        alone = self.strict and wanted[0][0] != providers.CPU
        if alone:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            try:
                return _session(content, options, wanted)
            except Exception:
                if self.strict or wanted[0][0] == providers.CPU:
                    raise
                return _session(content, options, [(providers.CPU, {})])  # `fallback` says so
        except Exception as error:
            if alone:
                raise ModelError(
                    f"{self.path}: {wanted[0][0]} alone cannot run it on {self.device}: "
                    f"{one_line(error)}; without --strict the CPU takes what it leaves"
                ) from error
            raise ModelError(
                f"{self.path}: not a model that ONNX Runtime {onnxruntime.__version__} can open: "
                f"{one_line(error)}; export it again with: ghostkit export CHECKPOINT -o model.onnx"
            ) from error

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors come as exceptions, not as lines on the terminal
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", os.fsencode(self.folder)
        )
        return options


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


def values_of(arguments: Sequence[onnxruntime.NodeArg]) -> Values:
    """A session's inputs or outputs: type and shape of each, by its name."""
    return {each.name: (each.type, each.shape) for each in arguments}
