"""What is shown of a trial while it runs, beside its parent's at the same point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from evo.engine.heartbeat import RunningTrial
from evo.nouns import CurvePoint
from evo.report import words
from evo.tui.views.plotting import LARGEST, NAME_CELLS, Piece, bar, fitted, sparkline

LEAST_REPORTS = 4
"""Of a trial, that are compared with its parent's."""
LAST_SHARE = 0.99
"""Of the budget. Reports are a 250th of it apart or more, so that no other may come after this."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean loss less the parent's."""

    loss: float
    """Less than 0 is better."""
    error: float | None
    """Standard error of that; None where either has a single report."""

    @property
    def tone(self) -> str:
        """The style in which it is shown: green or red where it is larger than two errors."""
        if self.error is None or abs(self.loss) <= 2 * self.error:
            return "dim"
        return "good" if self.loss < 0 else "bad"


@dataclass(frozen=True, slots=True)
class LiveTrial:
    """A trial that runs, and how it stands."""

    trial: RunningTrial
    losses: tuple[float, ...]
    steps_per_second: float | None
    tokens_per_second: float | None
    memory_mb: float | None
    against_parent: Difference | None


def live(
    trial: RunningTrial, curve: Sequence[CurvePoint], parent: Sequence[CurvePoint]
) -> LiveTrial:
    """How a running trial stands.

    Args:
        trial: As the heartbeat has it.
        curve: What it has reported so far.
        parent: The curve of its first parent's last scored trial; empty if unknown.
    """
    last = curve[-1] if curve else None
    rate = last.step / last.elapsed_seconds if last and last.elapsed_seconds > 0 else None
    tokens = last.tokens / last.elapsed_seconds if last and rate and last.tokens else None
    return LiveTrial(
        trial=trial,
        losses=tuple(point.loss for point in curve),
        steps_per_second=rate,
        tokens_per_second=tokens,
        memory_mb=last.memory_mb if last and last.memory_mb else None,
        against_parent=compare(curve, parent),
    )


def line(one: LiveTrial, width: int) -> list[Piece]:
    """A running trial as one line of so many cells: what it tries, how far it is, how it stands."""
    wide = width >= 100
    bars, curve = (width // 8, width // 8) if wide else (8, 8)
    speed, memory = "", ""
    if one.tokens_per_second:
        speed = f"{words.short(one.tokens_per_second)} tok/s"
    elif one.steps_per_second:
        speed = f"{words.short(one.steps_per_second)} steps/s"
    if one.memory_mb:
        memory = words.megabytes(one.memory_mb)
    against: Piece = ("", "")
    if (found := one.against_parent) is not None:
        mark = words.BETTER if found.loss < 0 else words.WORSE
        against = (f"{mark}{abs(found.loss):.3f} vs parent", found.tone)
    loss = f"loss {one.losses[-1]:.3f}" if one.losses else ""
    right: list[Piece] = [
        (f" {_progress(one, bars)}  ", "bar"),
        (f"{sparkline(one.losses, curve):<{curve}} ", "info"),
        (f"{loss:<11} ", ""),
        (f"{against[0]:<16}", against[1]),
        (f"{speed:>13}" if wide else "", "dim"),
        (f"{memory:>9}" if wide else "", "dim"),
    ]
    again = "again: " if one.trial.again else ""
    room = width - NAME_CELLS - len(again) - sum(len(text) for text, _ in right)
    return [
        (fitted(f"v{one.trial.variant}", NAME_CELLS), "title"),
        (again, "info"),
        (fitted(one.trial.title, max(room, 8)), ""),
        *right,
    ]


def _progress(one: LiveTrial, bars: int) -> str:
    """A bar and a percentage, until training is over and the trial waits for its score."""
    share = one.trial.share
    if one.losses and share >= LAST_SHARE:
        return f"{'scoring':<{bars + 5}}"
    return f"{bar(share, bars)} {share:4.0%}"


def compare(curve: Sequence[CurvePoint], parent: Sequence[CurvePoint]) -> Difference | None:
    """How a trial's loss stands to its parent's; None where the parent reported nothing then.

    A single loss is that of one batch. So the mean of the last fifth of what the trial has reported
    (of four reports at least) is compared with the mean of what its parent reported over the same
    span of the budget. The error is that of both means, from the spread of the reports in them.
    """
    last = curve[-max(len(curve) // 5, LEAST_REPORTS) :]
    if not last:
        return None
    begin, end = last[0].elapsed_seconds, last[-1].elapsed_seconds
    own = [point.loss for point in last if abs(point.loss) <= LARGEST]
    then = [
        point.loss for point in parent
        if begin <= point.elapsed_seconds <= end and abs(point.loss) <= LARGEST
    ]  # fmt: skip
    if not own or not then:
        return None
    error = None
    if len(own) > 1 and len(then) > 1:
        error = math.hypot(_error_of_mean(own), _error_of_mean(then))
    return Difference(fmean(own) - fmean(then), error)


def _error_of_mean(values: Sequence[float]) -> float:
    return stdev(values) / math.sqrt(len(values))
