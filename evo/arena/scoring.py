"""Bits per byte of a validation split: the rows that are scored, and the arithmetic.

The referee's side; `scorer` is what answers in a cell.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.corpus.corpus import Corpus, Split


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
    nll: NDArray[np.floating[Any]],
    targets: NDArray[np.integer[Any]],
    token_bytes: NDArray[np.int64],
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
