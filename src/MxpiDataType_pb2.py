"""The MindX SDK's protobuf messages (``MxTools.MxpiClassList`` and others), on ghostkit."""

from ghostkit.mindx.messages import ENUMS, message_classes

globals().update(message_classes())
globals().update(
    {value: number for values in ENUMS.values() for number, value in enumerate(values)}
)
