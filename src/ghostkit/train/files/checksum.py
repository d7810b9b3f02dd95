"""A checksum over all tensors of a checkpoint, to detect damage."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch


def checksum(content: Any) -> str:
    """SHA-256 over every tensor and number in nested dicts and lists, with their keys."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(
                value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            )
        elif isinstance(value, Mapping):
            for key in sorted(value, key=str):
                digest.update(f"{key}:".encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        else:
            digest.update(repr(value).encode())

    add(content)
    return digest.hexdigest()
