"""Bits per byte of a validation split: the referee's side, and what a scorer's cell runs.

A scorer is a fresh process that knows the weights and sees the text; it answers the negative
log-likelihood of every token, and the referee adds them up. The trainee never sees the text, and
nothing that the trainee computed is part of the number but its weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.arena.corpus import Corpus, Split
from evo.arena.job import Job
from evo.arena.wire import Kind, read_frame, write_frame


def rows_of(
    corpus: Corpus, split: Split, sequence_len: int, most_tokens: int
) -> NDArray[np.integer[Any]]:
    """The rows that a split is scored on, the same for every trial.

    Returns:
        Shape (rows, sequence_len + 1), in the corpus's dtype. Each row begins with the token that
        the one before ended with, so that every token but the first is a target once.
    """
    tokens = corpus.tokens(split)
    rows = (min(len(tokens), most_tokens + 1) - 1) // sequence_len
    window = np.lib.stride_tricks.sliding_window_view(
        tokens[: rows * sequence_len + 1], sequence_len + 1
    )
    return np.ascontiguousarray(window[::sequence_len])


def bits_per_byte(
    nll: NDArray[np.float32], targets: NDArray[np.integer[Any]], token_bytes: NDArray[np.int64]
) -> float:
    """val_bpb = sum of nll / (ln 2 x bytes), over the targets that stand for bytes of text.

    Args:
        nll: Nats of every target, any shape.
        targets: Token ids, of the same shape.
        token_bytes: Raw bytes of every token id; 0 for special tokens, which don't count.
    """
    sizes = token_bytes[targets]
    nats = float(np.sum(nll, where=sizes > 0, dtype=np.float64))
    return nats / (math.log(2) * int(sizes.sum()))


def batches_of(rows: NDArray[np.integer[Any]], batch_rows: int) -> Iterator[NDArray[Any]]:
    """Equal batches of rows; the last one may be smaller."""
    for start in range(0, len(rows), batch_rows):
        yield rows[start : start + batch_rows]


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
