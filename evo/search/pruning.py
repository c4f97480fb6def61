"""Early stopping: whether a running trial can still become what its search is after. Pure.

A trial is compared with its parent at the same share of the budget, at a few rungs of it. Of all
trials that came to their end, both are known: by how much the child's curve was behind its parent's
(D), and by how much its score then was (F). A line D = a + b F, its slope by least squares and a at
least 0, and the scatter around it say how far behind a child of any worth is likely to be. What is
believed of the child before its trial says of what worth it is if it betters the champion at all;
from both follows how probably a true improvement is as far behind as this one. Where that is below
the false-kill rate, shared out among the rungs (Bonferroni), the trial is stopped. The idea of
rungs is successive halving's (Jamieson and Talwalkar 2016); but it stops a fixed share, which costs
as many good trials as there are good ones in that share.

What was stopped is censored: it has no score, but its curve is evidence, F = (D - a) / b give or
take scatter / b. That it was stopped needs no correction: the rule looks at nothing but what is
told (Rubin 1976, "Inference and missing data").

A curve is the candidate's own word. It can only hurt itself: a curve that is too good has a bad
variant trained to its end, as it would be without early stopping.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr

from evo.nouns import CurvePoint

Array = NDArray[np.float64]
RUNGS = (0.2, 0.3, 0.4, 0.55, 0.75)
"""Shares of the budget at which a trial is looked at."""
WINDOW = 0.6
"""A curve's height at a rung is its mean from this share of the rung on: one batch is noise."""
FEWEST = 12
"""Children that came to their end, before anything is stopped."""
CAUTION = 1.2
"""The scatter is taken to be so many times what those show that weren't stopped."""
STEEPER = 1.5
"""And the slope at most so many times."""
GRID = 32
"""Points that a distribution is averaged over."""


@dataclass(slots=True)
class _Kept:
    """The finished trials of one variant."""

    losses: list[float] = field(default_factory=list)
    heights: list[tuple[float | None, ...]] = field(default_factory=list)
    """One for each rung."""

    def height(self, rung: int) -> float | None:
        known = [one[rung] for one in self.heights]
        found = [height for height in known if height is not None]
        return sum(found) / len(found) if found else None

    @property
    def loss(self) -> float:
        return sum(self.losses) / len(self.losses)


@dataclass(frozen=True, slots=True)
class Line:
    """What a score says of the curve before it, at one rung: D = offset + slope F, give or take."""

    offset: float
    """By how much children are behind that are as good as their parents: it may have been lucky."""
    slope: float
    scatter: float
    """Standard deviation of D around the line."""
    freedom: int


@dataclass(frozen=True, slots=True)
class Hope:
    """What is believed of a variant before its first trial."""

    target: float
    """Loss of the champion."""
    gap: float
    """By how much the variant is believed to be better than the champion; less than 0 if worse."""
    std: float
    """Standard deviation of the gap."""
    noise: float
    """Standard deviation of one trial."""

    def improvements(self) -> Array:
        """Equally probable true losses of the variant, given that it betters the champion."""
        worse = float(ndtr(-self.gap / self.std)) if self.std > 0 else 0.0
        shares = worse + (1.0 - worse) * (np.arange(GRID) + 0.5) / GRID
        return self.target - np.clip(self.gap + self.std * ndtri(shares), 0.0, None)


@dataclass(frozen=True, slots=True)
class Guess:
    """What the curve of a trial that was stopped says of the score that it would have had."""

    loss: float
    std: float
    """Beyond the noise of a trial."""


class Pruner:
    """Learns from finished trials; told the same, it decides the same.

    Args:
        false_kills: Share of the true improvements that may be stopped; 0 stops nothing.
    """

    def __init__(self, false_kills: float = 0.02) -> None:
        self._level = false_kills / len(RUNGS)
        self._parent: dict[int, int] = {}
        self._kept: dict[int, _Kept] = {}
        self._pairs: list[list[tuple[float, float]]] = [[] for _ in RUNGS]
        self._lines: dict[int, Line] = {}

    def add_variant(self, variant: int, parents: Sequence[int]) -> None:
        """Notes whom a variant is compared with: its first parent."""
        if parents:
            self._parent[variant] = parents[0]

    def add_trial(
        self, variant: int, loss: float, curve: Sequence[CurvePoint], budget: float
    ) -> None:
        """Takes in a trial with a score.

        Args:
            variant: Whose it is.
            loss: Its score, less is better.
            curve: What it reported.
            budget: Seconds that it had, as `elapsed_seconds` counts them.
        """
        heights = tuple(_height(curve, rung * budget) for rung in RUNGS)
        parent = self._kept.get(self._parent.get(variant, -1))
        if parent is not None:
            for rung, height in enumerate(heights):
                before = parent.height(rung)
                if height is not None and before is not None:
                    self._pairs[rung].append((height - before, loss - parent.loss))
                    self._lines.pop(rung, None)
        kept = self._kept.setdefault(variant, _Kept())
        kept.losses.append(loss)
        kept.heights.append(heights)

    def forget(self, variant: int) -> None:
        """Compares nobody any more with the trials of a variant."""
        self._kept.pop(variant, None)

    def hopeless(self, variant: int, curve: Sequence[CurvePoint], budget: float, hope: Hope) -> str:
        """Why a running trial is to be stopped; empty if it isn't, or not now.

        Args:
            variant: Whose it is.
            curve: What it reported so far; a rung is looked at when its last point is the first
                beyond it.
            budget: Seconds that it has.
            hope: What is believed of it.
        """
        rung = _rung_just_reached(curve, budget)
        found = None if rung is None else self._behind(variant, curve, budget, rung)
        if found is None or rung is None:
            return ""
        behind, line = found
        spread = math.hypot(line.scatter, line.slope * hope.noise)
        worse = hope.improvements() - self._kept[self._parent[variant]].loss
        likely = line.offset + line.slope * worse
        z = (likely - behind) / max(spread, 1e-300)
        chance = float(np.mean(stdtr(line.freedom, z)))
        if chance >= self._level:
            return ""
        return (
            f"{behind:.4g} behind its parent at {RUNGS[rung]:.0%} of the budget; "
            f"of those that better the champion {chance:.2%} are"
        )

    def guess(self, variant: int, curve: Sequence[CurvePoint], budget: float) -> Guess | None:
        """What a trial that was stopped would have come to; None if nothing tells."""
        rung = _last_rung(curve, budget)
        found = None if rung is None else self._behind(variant, curve, budget, rung)
        if found is None or found[1].slope <= 0:
            return None
        behind, line = found
        loss = self._kept[self._parent[variant]].loss + (behind - line.offset) / line.slope
        return Guess(loss, line.scatter / line.slope)

    def _behind(
        self, variant: int, curve: Sequence[CurvePoint], budget: float, rung: int
    ) -> tuple[float, Line] | None:
        parent = self._kept.get(self._parent.get(variant, -1))
        height = _height(curve, RUNGS[rung] * budget)
        before = parent.height(rung) if parent else None
        if height is None or before is None or len(self._pairs[rung]) < FEWEST:
            return None
        if rung not in self._lines:
            self._lines[rung] = _line(np.array(self._pairs[rung]))
        return height - before, self._lines[rung]


def _line(pairs: Array) -> Line:
    """From (n, 2): by how much each child was behind, and by how much its score then was.

    Only the better half tells the scatter: disasters scatter more. And of that only the side that
    was ahead, mirrored: what fell behind was stopped, and isn't here.
    """
    behind, worse = pairs.T
    tame = np.abs(worse) <= np.quantile(np.abs(worse), 0.8)
    tame &= np.abs(behind) <= np.quantile(np.abs(behind), 0.95)  # a curve may say anything
    d, f = behind[tame], worse[tame]
    slope = max(float(d @ f / max(f @ f, 1e-300)), 0.0)
    # What fell behind was stopped, and isn't here, which makes the slope too small. The other
    # regression, of F on D, makes it too large, but not for that reason.
    steepest = float(d @ d / max(d @ f, 1e-300)) if slope else 0.0
    rest = (d - slope * f)[f <= np.median(worse)]
    middle = float(np.median(rest))
    ahead = rest[rest <= middle] - middle
    freedom = max(len(ahead) - 1, 1)
    scatter = CAUTION * math.sqrt(float(ahead @ ahead) / freedom)
    return Line(max(middle, 0.0), min(steepest, STEEPER * slope), scatter, freedom)


def _height(curve: Sequence[CurvePoint], until: float) -> float | None:
    """Mean of the reports before a rung; None without one, or if what is reported is no number."""
    losses = [
        point.loss for point in curve if WINDOW * until <= point.elapsed_seconds <= until * 1.001
    ]
    height = sum(losses) / len(losses) if losses else math.nan  # unlike fsum, it may be infinite
    return height if math.isfinite(height) else None


def _last_rung(curve: Sequence[CurvePoint], budget: float) -> int | None:
    elapsed = curve[-1].elapsed_seconds if curve else 0.0
    reached = [number for number, rung in enumerate(RUNGS) if elapsed >= rung * budget * 0.999]
    return reached[-1] if reached else None


def _rung_just_reached(curve: Sequence[CurvePoint], budget: float) -> int | None:
    """The rung that the last report is the first beyond; None if an earlier one was, too."""
    now, before = _last_rung(curve, budget), _last_rung(curve[:-1], budget)
    return now if now != before else None
