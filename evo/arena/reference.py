"""The reference: what a trusted model makes of each scored token, to see what claims are too good.

At first it is a bigram model of the training text, counted by the referee itself; after that, what
better trials have claimed that were honest. It only decides where an audit looks harder, never what
a score is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_TRAIN_TOKENS = 4_000_000
"""Counted for the bigram model; more would hardly change where it points."""
PRIOR_COUNT = 32.0
"""Weight of the unigram model in each bigram distribution, in tokens."""
MEMORY = 0.8
"""Share of what was known that is kept when another honest trial is learnt."""


class Reference:
    """Nats of every target of the scored rows.

    Args:
        rows: Shape (rows, T + 1).
        train: Training tokens.
        vocab_size: Number of token ids.
    """

    def __init__(
        self, rows: NDArray[np.integer[Any]], train: NDArray[np.integer[Any]], vocab_size: int
    ) -> None:
        self.nats = _bigram_nats(rows, train[:MOST_TRAIN_TOKENS], vocab_size)
        self._learnt = False

    def learn(self, claims: NDArray[np.float32]) -> None:
        """Takes in what a trial claimed that passed its audit; of shape (rows, T).

        Who is worse than what is known teaches nothing: beside nats in their thousands every other
        claim would look too good, and a lie no more than the truth.
        """
        if claims.mean(dtype=np.float64) > self.nats.mean(dtype=np.float64):
            return
        keep = MEMORY if self._learnt else 0.0
        self.nats = (keep * self.nats + (1 - keep) * claims).astype(np.float32)
        self._learnt = True


def _bigram_nats(
    rows: NDArray[np.integer[Any]], train: NDArray[np.integer[Any]], vocab_size: int
) -> NDArray[np.float32]:
    """-log of a bigram distribution with a unigram Dirichlet prior (MacKay and Peto 1995)."""
    text = np.asarray(train, dtype=np.int64)
    alone = np.bincount(text, minlength=vocab_size) + 1.0
    before = np.bincount(text[:-1], minlength=vocab_size)
    first, second = rows[:, :-1].astype(np.int64), rows[:, 1:].astype(np.int64)
    wanted, place = np.unique(first * vocab_size + second, return_inverse=True)
    pairs = text[:-1] * vocab_size + text[1:]
    found = np.searchsorted(wanted, pairs)
    found[found == len(wanted)] = 0
    counts = np.bincount(found[wanted[found] == pairs], minlength=len(wanted))
    prior = PRIOR_COUNT * alone[second] / alone.sum()
    chance = (counts[place.reshape(first.shape)] + prior) / (before[first] + PRIOR_COUNT)
    nats: NDArray[np.float32] = -np.log(chance).astype(np.float32)
    return nats
