"""The Python API of the MindX SDK's streams, on ghostkit: programs for the SDK run as they are.

Names, arguments, return values and error codes are the SDK's. Where the SDK itself is installed its
module is found first, since its ``set_env.sh`` puts it on PYTHONPATH.
"""

from ghostkit.mindx.api import StreamManagerApi
from ghostkit.mindx.api_records import (
    InProtobufVector,
    MetadataInputVector,
    MetadataOutputVector,
    MxBufferAndMetadataOutput,
    MxBufferInput,
    MxBufferOutput,
    MxDataInput,
    MxDataOutput,
    MxMetadataInput,
    MxMetadataOutput,
    MxProtobufIn,
    MxProtobufOut,
    OutProtobufVector,
    RoiBox,
    RoiBoxVector,
    StringVector,
)

__all__ = [
    "InProtobufVector",
    "MetadataInputVector",
    "MetadataOutputVector",
    "MxBufferAndMetadataOutput",
    "MxBufferInput",
    "MxBufferOutput",
    "MxDataInput",
    "MxDataOutput",
    "MxMetadataInput",
    "MxMetadataOutput",
    "MxProtobufIn",
    "MxProtobufOut",
    "OutProtobufVector",
    "RoiBox",
    "RoiBoxVector",
    "StreamManagerApi",
    "StringVector",
]
