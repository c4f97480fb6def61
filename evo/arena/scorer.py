"""What a scorer's cell runs: answers the negative log-likelihood of every token it is shown.

A fresh process that knows the weights and sees the text. The trainee never saw that text, and
nothing that the trainee computed is part of the number but its weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evo.arena.job import Job
from evo.arena.wire import Kind, read_frame, write_frame


def run_scoring(build_model: Callable[..., Any], job: Job, inbound: int, outbound: int) -> None:
    """Answers every batch of tokens with the nats of its targets; ends with the stream."""
    import torch

    from evo.arena.weights import unpack

    device = torch.device(job.device)
    model = build_model(job.vocab_size, job.sequence_len, job.scale)
    kind, weights = read_frame(inbound)
    assert kind is Kind.WEIGHTS, kind
    unpack(weights, model)
    del weights
    model = model.to(device).eval()
    dtype = torch.uint16 if job.token_bytes_each == 2 else torch.uint32
    while True:
        kind, body = read_frame(inbound)
        if kind is Kind.END:
            return
        tokens = torch.frombuffer(body, dtype=dtype).to(torch.int64)
        tokens = tokens.view(-1, job.sequence_len + 1).to(device)
        with torch.inference_mode():
            logits = model(tokens[:, :-1]).float()
            nll = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
            )
        write_frame(outbound, Kind.NLL, memoryview(nll.float().cpu().numpy()))
