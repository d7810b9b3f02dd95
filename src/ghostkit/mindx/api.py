"""The SDK's Python API: `StreamManagerApi`; `api_records` holds what it takes and gives.

Strings are bytes, as the SDK's are; str is taken too. A return value is a code of the SDK: 0 for
success, -1 before InitManager. What a code is about is logged by ``ghostkit.mindx``, which Python
prints on standard error where a program does not say otherwise.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ghostkit.errors import GhostkitError, PipelineError
from ghostkit.mindx.api_records import (
    MxBufferAndMetadataOutput,
    MxDataInput,
    MxDataOutput,
    MxMetadataOutput,
    MxProtobufIn,
    MxProtobufOut,
    OutProtobufVector,
    Text,
)
from ghostkit.mindx.codes import NOT_INITIALISED, Code
from ghostkit.mindx.manager import Finished, Mode, Running, StreamManager, texts
from ghostkit.mindx.messages import PACKAGE, from_message, to_message
from ghostkit.mindx.request import Metadata, Request, code_of

DEFAULT_TIMEOUT_MS = 3000
LATE = "Time out, can not get result in time."
_log = logging.getLogger("ghostkit.mindx")


class StreamManagerApi:
    """Creates streams, sends to them and gets results; may be used from several threads."""

    def __init__(self) -> None:
        self._manager: StreamManager | None = None

    def InitManager(self, argStrings: Sequence[Text] = ()) -> int:
        """Must be called first; the arguments have no effect."""
        try:
            self._manager = self._manager or StreamManager()
        except GhostkitError as error:
            _log.error("%s", error)
            return int(Code.INIT_FAIL)
        return int(Code.OK)

    def CreateMultipleStreams(self, streamsConfig: Text) -> int:
        """Start the streams of a pipeline's text; paths in it lead from the current folder."""
        data = streamsConfig.encode() if isinstance(streamsConfig, str) else streamsConfig
        return self._create(lambda manager: manager.create(data))

    def CreateMultipleStreamsFromFile(self, streamsFilePath: Text) -> int:
        """Start the streams of a pipeline file."""
        [path] = texts([streamsFilePath])
        return self._create(lambda manager: manager.create_from_file(path))

    def StopStream(self, streamName: Text) -> int:
        """End one stream."""
        [name] = texts([streamName])
        return NOT_INITIALISED if self._manager is None else int(self._manager.stop(name))

    def DestroyAllStreams(self) -> int:
        """End all streams."""
        if self._manager is None:
            return NOT_INITIALISED
        self._manager.stop_all()
        return int(Code.OK)

    def SendData(self, streamName: Text, plugin: int | Text, *data: Any) -> int:
        """Send an `MxDataInput`, or a `MetadataInputVector` and an `MxBufferInput`.

        Results come in the order of sending, by `GetResult`.
        """
        if len(data) == 1:
            return self._send(streamName, plugin, data[0].data, "in order")[0]
        metadata, buffer = data
        fields = [(each.dataSource, each.dataType, each.serializedMetadata) for each in metadata]
        return self._send_messages(streamName, plugin, fields, buffer.data)

    def SendProtobuf(
        self, streamName: Text, plugin: int | Text, protobufVec: Sequence[MxProtobufIn]
    ) -> int:
        """Send messages as the metadata of elements."""
        fields = [(each.key, each.type, each.protobuf) for each in protobufVec]
        return self._send_messages(streamName, plugin, fields, b"")

    def SendDataWithUniqueId(
        self, streamName: Text, plugin: int | Text, dataInput: MxDataInput
    ) -> int:
        """Send a picture; returns its id, or -1 where it could not be sent."""
        code, number = self._send(streamName, plugin, dataInput.data, "by id")
        return NOT_INITIALISED if code else number

    def GetResultWithUniqueId(
        self, streamName: Text, uniqueId: int, timeOutInMs: int = DEFAULT_TIMEOUT_MS
    ) -> MxDataOutput:
        """The result of one picture, whoever sent what meanwhile."""
        if self._manager is None:
            return MxDataOutput(NOT_INITIALISED)
        running = self._running(streamName)
        if running is None:
            return _failed(Code.STREAM_NOT_EXIST)
        found = self._manager.result_by_id(running, uniqueId, timeOutInMs / 1000)
        if found is None:
            return MxDataOutput(int(Code.STREAM_TIMEOUT), LATE.encode())
        return _output(found, running.sinks[0] if running.sinks else "")

    def GetResult(
        self, streamName: Text, plugin: int | Text, *rest: Any
    ) -> MxDataOutput | MxBufferAndMetadataOutput:
        """The next result of an appsink, by number; by name with the messages of some elements.

        ``GetResult(stream, 0, ms)``; or ``GetResult(stream, b"appsink0", keys, ms)``
        """
        if not isinstance(plugin, int):
            return self._metadata_result(streamName, plugin, *rest)
        if self._manager is None:
            return MxDataOutput(NOT_INITIALISED)
        running = self._running(streamName)
        if running is None:
            return _failed(Code.STREAM_NOT_EXIST)
        if plugin < 0:
            return _failed(Code.INVALID_PARAM)
        timeout_ms = rest[0] if rest else DEFAULT_TIMEOUT_MS
        found = self._next(running, plugin, timeout_ms)
        return _failed(Code.INNER) if found is None else _output(found, running.sinks[plugin])

    def GetProtobuf(
        self, streamName: Text, outPluginId: int, keyVec: Sequence[Text]
    ) -> OutProtobufVector:
        """The messages that the elements `keyVec` made for the next result."""
        if self._manager is None:
            return OutProtobufVector([MxProtobufOut(NOT_INITIALISED)])
        running = self._running(streamName)
        if running is None:
            return OutProtobufVector([MxProtobufOut(int(Code.STREAM_NOT_EXIST))])
        if outPluginId < 0 or not keyVec:
            return OutProtobufVector([MxProtobufOut(int(Code.INVALID_PARAM))])
        if running.mode == "by id":
            return OutProtobufVector([MxProtobufOut(int(Code.TRANS_MODE_NOT_MATCHED))])
        found = self._next(running, outPluginId, DEFAULT_TIMEOUT_MS)
        if found is None:
            return OutProtobufVector()
        if found.code:
            return OutProtobufVector([MxProtobufOut(int(found.code), found.reason.encode())])
        messages = _messages(found, texts(keyVec))
        return OutProtobufVector(
            MxProtobufOut(0, name.encode(), data) for name, data in messages.values()
        )

    def _metadata_result(
        self,
        stream: Text,
        element: Text,
        keys: Sequence[Text],
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
    ) -> MxBufferAndMetadataOutput:
        if self._manager is None:
            return MxBufferAndMetadataOutput(NOT_INITIALISED)
        running = self._running(stream)
        [sink] = texts([element])
        if running is None:
            return _failed_whole(Code.STREAM_NOT_EXIST)
        if running.mode == "by id":
            return _failed_whole(Code.TRANS_MODE_NOT_MATCHED)
        if sink not in running.sinks:
            return _failed_whole(Code.ELEMENT_INVALID)
        found = self._next(running, running.sinks.index(sink), timeout_ms)
        if found is None:
            return _failed_whole(Code.FAILURE)
        if found.code:
            return MxBufferAndMetadataOutput(int(found.code), found.reason.encode())
        output = MxBufferAndMetadataOutput()
        output.bufferOutput.data = found.request.outputs[sink]
        wanted = texts(keys)
        messages = _messages(found, wanted)
        for key in wanted:
            if key in messages:
                name, data = messages[key]
                output.metadataVec.append(MxMetadataOutput(0, b"", name.encode(), data))
            else:
                words = f"{key!r} has given no metadata".encode()
                output.metadataVec.append(MxMetadataOutput(Code.METADATA_KEY_NOT_EXIST, words))
        return output

    def _create(self, work: Callable[[StreamManager], None]) -> int:
        if self._manager is None:
            return NOT_INITIALISED
        try:
            work(self._manager)
        except PipelineError as error:
            _log.error("%s", error)
            return int(error.code)
        except GhostkitError as error:
            _log.error("%s", error)
            return int(Code.STREAM_CREATE_FAILED)
        return int(Code.OK)

    def _send(
        self,
        stream: Text,
        plugin: int | Text,
        data: Any,
        mode: Mode,
        metadata: dict[str, Metadata] | None = None,
    ) -> tuple[int, int]:
        if self._manager is None:
            return NOT_INITIALISED, NOT_INITIALISED
        [name] = texts([stream])
        source = plugin if isinstance(plugin, int) else texts([plugin])[0]
        most = self._manager.conf.max_data_bytes
        if memoryview(data).nbytes > most:  # before it is copied
            _log.error("stream %r: more than %d bytes were sent (1004)", name, most)
            return int(Code.INVALID_PARAM), NOT_INITIALISED
        request = Request(bytes(data), metadata or {})
        code, number = self._manager.send(name, source, request, mode)
        if code:
            _log.error("stream %r: cannot send to %r: %s (%d)", name, source, code.text, code)
        return int(code), number

    def _send_messages(
        self, stream: Text, plugin: int | Text, fields: Sequence[Sequence[Any]], data: Any
    ) -> int:
        found: dict[str, Metadata] = {}
        for key, kind, message in fields:
            [key_text, kind_text] = texts([key, kind])
            try:
                found[key_text] = from_message(kind_text, message, key_text)
            except GhostkitError as error:
                _log.error("%s", error)
                return int(code_of(error))
        return self._send(stream, plugin, data, "in order", found)[0]

    def _running(self, stream: Text) -> Running | None:
        [name] = texts([stream])
        return None if self._manager is None else self._manager.find(name)

    def _next(self, running: Running, plugin: int, timeout_ms: int) -> Finished | None:
        if self._manager is None or plugin >= len(running.sinks) or running.mode == "by id":
            return None
        return self._manager.next_result(running, running.sinks[plugin], timeout_ms / 1000)


def _output(found: Finished, sink: str) -> MxDataOutput:
    if found.code:
        return MxDataOutput(int(found.code), found.reason.encode())
    return MxDataOutput(0, found.request.outputs.get(sink, b""))


def _failed(code: Code) -> MxDataOutput:
    return MxDataOutput(int(code), code.text.encode())


def _failed_whole(code: Code) -> MxBufferAndMetadataOutput:
    return MxBufferAndMetadataOutput(int(code), code.text.encode())


def _messages(found: Finished, keys: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    """Type name and bytes of the message of each of `keys` that has one."""
    messages = {}
    for key in keys:
        metadata = found.request.metadata.get(key)
        if metadata:
            message = to_message(metadata)
            name = f"{PACKAGE}.{message.DESCRIPTOR.name}"
            messages[key] = (name, message.SerializeToString())
    return messages
