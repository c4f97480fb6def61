"""Weights as bytes: packed in the trainee's cell, unpacked in a scorer's, never in the referee.

The bytes are a safetensors file (no code in it, unlike a pickle). Tensors that share memory, such
as tied embeddings, are packed once, under the first of their names.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

_TYPE_NAMES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}


def _state(model: Any) -> dict[str, Any]:
    """The state dict, each piece of memory once; names are those of the uncompiled module."""
    seen: set[tuple[int, int, tuple[int, ...]]] = set()
    state = {}
    for name, tensor in model.state_dict().items():
        identity = (tensor.data_ptr(), tensor.numel(), tuple(tensor.shape))
        if tensor.numel() and identity in seen:
            continue
        seen.add(identity)
        # torch.compile wraps a module and prefixes the names of what it wraps.
        state[name.replace("_orig_mod.", "")] = tensor
    return state


def pack(model: Any) -> tuple[int, Iterator[bytes | memoryview]]:
    """The weights in the safetensors format: their number of bytes, and the bytes in parts.

    A tensor leaves its device only when its part is asked for. So the number can go out first, and
    whoever reads knows that the weights are on their way while they are still being copied.
    https://huggingface.co/docs/safetensors: eight bytes of header length, a JSON header, the data.

    Raises:
        KeyError: A tensor is of a type that the format doesn't have.
    """
    state = _state(model)
    header: dict[str, Any] = {}
    offset = 0
    for name, tensor in state.items():
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _TYPE_NAMES[str(tensor.dtype)],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    head = struct.pack("<Q", len(text)) + text
    return len(head) + offset, _parts(head, state)


def _parts(head: bytes, state: dict[str, Any]) -> Iterator[bytes | memoryview]:
    import torch

    yield head
    for tensor in state.values():
        raw = tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
        yield memoryview(raw.numpy())


def unpack(weights: bytes | bytearray, model: Any) -> None:
    """Loads packed weights into a model of the same architecture.

    Raises:
        ValueError: A tensor is missing, or has a name or shape that the model doesn't have.
    """
    from safetensors.torch import load

    loaded = load(bytes(weights))
    wanted = _state(model)
    if loaded.keys() != wanted.keys():
        odd = sorted(loaded.keys() ^ wanted.keys())
        raise ValueError(
            f"the weights don't fit what build_model builds: {', '.join(odd[:3])}"
            f"{' …' if len(odd) > 3 else ''} on one side only"
        )
    for name, place in wanted.items():
        if loaded[name].shape != place.shape:
            raise ValueError(
                f"{name} was trained as {tuple(loaded[name].shape)}, "
                f"build_model makes {tuple(place.shape)}"
            )
        place.data.copy_(loaded[name])
