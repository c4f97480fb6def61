"""The statistics of the blind audit: which positions are asked, and what the answers say.

A scorer A has seen whole validation sequences and claims the nats of every token. A scorer B, which
knows nothing of A, sees sequences that are cut at a secret position, with junk behind the cut, and
answers the logits there. Only the referee knows the token that came next, so B can't lie in its own
favour; and A is dead before the cuts are drawn, so it can't know where to be honest.

Equal shapes give equal numbers: an honest model's B and A differ by about 1e-6 nats, so no
tolerance has to be granted that a liar could live on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTLIER_NATS = 0.01
"""A single audited token that differs by more is an outlier, and one outlier rejects."""
MEAN_FLOOR_NATS = 1e-4
"""A mean difference below this is never called dishonest: it is corrected for anyway."""
SIGMAS = 4.0
"""Of the mean difference; beyond it the claims are shaded. 6e-5 of honest trials by chance, if
their differences were normal, independent and above the floor."""
TWIN_SHARE = 1 / 16
"""Of the sequences of a pass: repeats of others, to find a model that changes while it is asked."""
SUSPICION_NATS = 1.0
"""A claim is suspicious by what it is better than the reference, beyond this."""

Tokens = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Cuts:
    """What one pass asks of B: `items` sequences, each with one position; see `draw`.

    Every array has the shape (items,).
    """

    rows: NDArray[np.int64]
    """Index of the sequence; -1 for padding, whose answer doesn't count."""
    positions: NDArray[np.int64]
    """The last token that B may see, from 0; it is asked for the one behind it."""
    uniform: NDArray[np.bool_]
    """Drawn uniformly from all positions, so that its difference estimates the mean's."""
    twins: NDArray[np.int64]
    """Index of the item that this one repeats; -1 if it repeats none."""
    same_junk: NDArray[np.bool_]
    """Of a twin: whether the junk is repeated too, so that only its batch mates differ."""


def suspicion(claims: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much better a claim is than what a trusted model makes of the same token, in nats.

    Args:
        claims: Shape (rows, T).
        reference: Of the same shape.

    Returns:
        Of the same shape; zero where a claim is within `SUSPICION_NATS`.
    """
    excess: NDArray[np.float32] = np.maximum(reference - claims - SUSPICION_NATS, 0)
    return excess


def draw(weights: NDArray[np.float32], items: int, generator: np.random.Generator) -> Cuts:
    """Draws the cuts of a pass: about half of them uniformly, half by suspicion, some twice.

    A sequence is cut at most once (a later cut would show the answer to an earlier one), and the
    sequence after one that is cut at its end is left out, for it begins with the answer.

    Args:
        weights: Suspicion of every position, of shape (rows, T).
        items: Sequences of the pass.
        generator: Fresh entropy, drawn from after A is dead.
    """
    count, length = weights.shape
    twins = max(2, round(items * TWIN_SHARE))
    fresh = min(items - twins, count)
    order = generator.permutation(count)
    evenly, rest = order[: (fresh + 1) // 2], order[(fresh + 1) // 2 :]
    chosen = _by_weight(rest, weights, fresh - len(evenly), generator)
    rows = np.concatenate([evenly, chosen]).astype(np.int64)
    positions = generator.integers(0, length, len(rows))
    positions[len(evenly) :] = _positions_by_weight(weights[chosen], generator)
    uniform = np.arange(len(rows)) < len(evenly)
    kept = ~np.isin(rows, rows[positions == length - 1] + 1)
    rows, positions, uniform = rows[kept], positions[kept], uniform[kept]
    repeated = generator.choice(len(rows), twins, replace=len(rows) < twins)
    padding = items - len(rows) - twins
    cuts = Cuts(
        rows=np.concatenate([rows, rows[repeated], np.full(padding, -1)]),
        positions=np.concatenate([positions, positions[repeated], np.zeros(padding, np.int64)]),
        uniform=np.concatenate([uniform, np.zeros(twins + padding, np.bool_)]),
        twins=np.concatenate([np.full(len(rows), -1), repeated, np.full(padding, -1)]),
        same_junk=np.arange(items) % 2 == 0,
    )
    return _shuffled(cuts, generator)


def _by_weight(
    rows: NDArray[np.int64],
    weights: NDArray[np.float32],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Rows without repetition, likelier the more suspicion they hold (the Gumbel top-k trick).

    Kool, van Hoof, Welling 2019, "Stochastic beams and where to find them".
    """
    total = weights[rows].sum(axis=1, dtype=np.float64)
    keys = np.log(total + 1e-6) + generator.gumbel(size=len(rows))
    return rows[np.argsort(-keys)[:count]]


def _positions_by_weight(
    weights: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.int64]:
    """One position a row, likelier the more suspicious it is."""
    if not len(weights):
        return np.empty(0, dtype=np.int64)
    sums = np.cumsum(weights.astype(np.float64) + 1e-9, axis=1)
    points = generator.random(len(weights)) * sums[:, -1]
    found: NDArray[np.int64] = (sums < points[:, None]).sum(axis=1)
    return found.clip(max=weights.shape[1] - 1)


def _shuffled(cuts: Cuts, generator: np.random.Generator) -> Cuts:
    order = generator.permutation(len(cuts.rows))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    twins = cuts.twins[order]
    return Cuts(
        rows=cuts.rows[order],
        positions=cuts.positions[order],
        uniform=cuts.uniform[order],
        twins=np.where(twins >= 0, place[twins], -1),
        same_junk=cuts.same_junk[order],
    )


def blind(cuts: Cuts, rows: Tokens, text: Tokens, generator: np.random.Generator) -> Tokens:
    """The sequences that B sees: up to each cut as they are, junk behind it.

    Args:
        cuts: Where.
        rows: The validation sequences, of shape (rows, T + 1).
        text: Any text that gives nothing of them away: junk is taken from it.
        generator: Chooses the junk.

    Returns:
        Shape (items, T + 1), of the dtype of `rows`.
    """
    width = rows.shape[1]
    starts = generator.integers(0, max(1, len(text) - width), len(cuts.rows))
    repeats = (cuts.twins >= 0) & cuts.same_junk
    starts[repeats] = starts[cuts.twins[repeats]]
    columns = np.arange(width)
    junk = np.asarray(text)[np.minimum(starts[:, None] + columns, len(text) - 1)]
    shown = (columns <= cuts.positions[:, None]) & (cuts.rows >= 0)[:, None]
    blinded: Tokens = np.where(shown, rows[np.maximum(cuts.rows, 0)], junk).astype(rows.dtype)
    return blinded


def log_loss(logits: NDArray[np.float32], targets: Tokens) -> NDArray[np.float64]:
    """Nats of a target under each row of logits: the referee's own log-softmax, in float64.

    Args:
        logits: Shape (items, vocabulary), finite.
        targets: Shape (items,).
    """
    wide = logits.astype(np.float64)
    top = wide.max(axis=1, keepdims=True)
    total = np.log(np.exp(wide - top).sum(axis=1)) + top[:, 0]
    found: NDArray[np.float64] = total - wide[np.arange(len(wide)), targets]
    return found


class Judgement(StrEnum):
    """What the answers say of a model."""

    HONEST = "honest"
    UNSTEADY = "unsteady"
    """Equal questions got different answers: it depends on its batch mates, or on what it was
    asked before. No lie, but no number either."""
    DISHONEST = "dishonest"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of an audit."""

    judgement: Judgement
    reason: str
    """One line; empty if honest."""
    gap: float
    """Mean of audited minus claimed nats over the uniform positions: what corrects the claim."""
    gap_std: float
    """Standard error of that mean."""
    worst: float
    """Largest difference at any audited position, nats."""
    audited: int
    """Positions that were audited."""


def judge(cuts: Cuts, claims: NDArray[np.float32], answers: NDArray[np.float64]) -> Finding:
    """Compares what B answered with what A had claimed.

    Args:
        cuts: What was asked, of one pass or several joined.
        claims: A's nats of every token, of shape (rows, T), finite.
        answers: B's nats at the cuts, of shape (items,), finite.
    """
    counted = cuts.rows >= 0
    difference = np.zeros(len(answers))
    difference[counted] = answers[counted] - claims[
        cuts.rows[counted], cuts.positions[counted]
    ].astype(np.float64)
    sample = difference[cuts.uniform]
    gap = float(sample.mean()) if len(sample) else 0.0
    gap_std = float(sample.std(ddof=1) / math.sqrt(len(sample))) if len(sample) > 1 else 0.0
    outliers = np.abs(difference) > OUTLIER_NATS
    worst = float(np.abs(difference).max(initial=0.0))
    judgement, reason = Judgement.HONEST, ""
    twins = np.flatnonzero(cuts.twins >= 0)
    apart = np.abs(answers[twins] - answers[cuts.twins[twins]]) > OUTLIER_NATS
    audited = int(counted.sum())
    if (apart & cuts.same_junk[twins]).any():
        judgement = Judgement.UNSTEADY
        reason = "its answers depend on its batch mates, or on what it was asked before"
    elif apart.any():
        judgement = Judgement.DISHONEST
        reason = "it isn't causal: what it says of a token changes with the tokens behind it"
    elif outliers.any():
        judgement = Judgement.DISHONEST
        reason = (
            f"{int(outliers.sum())} of {audited} audited positions aren't what it claimed, the "
            f"worst by {worst:.3g} nats"
        )
    elif abs(gap) > SIGMAS * gap_std + MEAN_FLOOR_NATS:
        judgement = Judgement.DISHONEST
        reason = (
            f"its claims are shaded: over {len(sample)} positions the truth is {gap:+.2g} nats a "
            f"token away, {abs(gap) / max(gap_std, 1e-12):.0f} standard errors"
        )
    return Finding(judgement, reason, gap, gap_std, worst, audited)


def join(passes: list[tuple[Cuts, NDArray[np.float64]]]) -> tuple[Cuts, NDArray[np.float64]]:
    """Several passes as one: more positions to judge by."""
    offsets = np.cumsum([0, *(len(cuts.rows) for cuts, _ in passes)])
    twins = [
        np.where(cuts.twins >= 0, cuts.twins + offset, -1)
        for (cuts, _), offset in zip(passes, offsets, strict=False)
    ]
    joined = Cuts(
        rows=np.concatenate([cuts.rows for cuts, _ in passes]),
        positions=np.concatenate([cuts.positions for cuts, _ in passes]),
        uniform=np.concatenate([cuts.uniform for cuts, _ in passes]),
        twins=np.concatenate(twins),
        same_junk=np.concatenate([cuts.same_junk for cuts, _ in passes]),
    )
    return joined, np.concatenate([answers for _, answers in passes])
