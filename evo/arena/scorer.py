"""What a scorer's cell runs: answers one call, whatever the answers are wanted for.

A fresh process that knows the weights and sees text that the trainee never saw. It isn't told
whether the text is whole or ends in junk behind the position that it is asked about.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from evo.arena.job import Job, RefusedError
from evo.arena.wire import Kind, read_frame, write_frame

SPARE_BYTES = 256 << 20
"""Of GPU memory, left to the driver when the rest is wiped."""


def wipe(device_name: str) -> None:
    """Overwrites the free memory of a GPU, so that no process finds what another left there.

    Called before the candidate's code is loaded.
    """
    import torch

    if not device_name.startswith("cuda"):
        return
    free, _ = torch.cuda.mem_get_info()
    left = torch.zeros(max(0, free - SPARE_BYTES), dtype=torch.uint8, device=device_name)
    torch.cuda.synchronize()
    del left
    torch.cuda.empty_cache()


def without_compilation(device_name: str) -> None:
    """Has compiled models answer as they are written, where compiling costs more than it gains.

    Called before the candidate's code is loaded, so that asking for a compiler doesn't load one:
    that alone takes seconds, and what a candidate may use before its first answer has a limit.
    """
    if device_name == "cpu":
        import torch

        os.environ["TORCHDYNAMO_DISABLE"] = "1"  # for those who find another way to it
        torch.compile = _as_written
        torch.nn.Module.compile = lambda module, *_, **__: None


def _as_written(model: Any = None, **_: Any) -> Any:
    """`torch.compile`, as a function and as a decorator with and without arguments."""
    return _as_written if model is None else model


def run_scoring(build_model: Callable[..., Any], job: Job, inbound: int, outbound: int) -> None:
    """Answers every question until the stream ends.

    An answer is the nats of every target, float32 of shape (rows, T), and the logits at one
    position a row, float32 of shape (rows, V).

    Raises:
        RefusedError: The weights don't fit the model, or the logits have the wrong shape.
    """
    import torch

    device = torch.device(job.device)
    model = _load(build_model, job, read_frame(inbound)).to(device).eval()
    dtype = torch.uint16 if job.token_bytes_each == 2 else torch.uint32
    width = job.sequence_len + 1
    while True:
        kind, body = read_frame(inbound)
        if kind is Kind.END:
            return
        rows = len(body) // (4 + width * job.token_bytes_each)
        places = torch.from_numpy(np.frombuffer(body, "<u4", rows).astype(np.int64)).to(device)
        tokens = torch.frombuffer(body, dtype=dtype, offset=4 * rows).to(torch.int64)
        tokens = tokens.view(rows, width).to(device)
        with torch.inference_mode():
            logits = _logits(model, tokens[:, :-1], job.vocab_size)
            nats = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
            )
            asked = logits[torch.arange(rows, device=device), places]
        answer = [part.float().cpu().contiguous().numpy() for part in (nats, asked)]
        write_frame(outbound, Kind.ANSWER, *(memoryview(part) for part in answer))


def _load(build_model: Callable[..., Any], job: Job, frame: tuple[Kind, bytearray]) -> Any:
    from evo.arena.weights import unpack

    kind, weights = frame
    assert kind is Kind.WEIGHTS, kind
    model = build_model(job.vocab_size, job.sequence_len, job.scale)
    try:
        unpack(weights, model)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return model


def _logits(model: Any, tokens: Any, vocab_size: int) -> Any:
    logits = model(tokens)
    if tuple(getattr(logits, "shape", ())) != (*tokens.shape, vocab_size):
        raise RefusedError("logits of the wrong shape")
    return logits.float()
