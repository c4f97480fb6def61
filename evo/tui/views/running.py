"""What is shown of a trial while it runs, beside its parent's at the same point."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from evo.engine.heartbeat import RunningTrial
from evo.nouns import CurvePoint
from evo.report import words
from evo.tui.views.plotting import NAME_CELLS, Piece, bar, fitted, sparkline


@dataclass(frozen=True, slots=True)
class LiveTrial:
    """A trial that runs, and how it stands."""

    trial: RunningTrial
    losses: tuple[float, ...]
    steps_per_second: float | None
    tokens_per_second: float | None
    memory_mb: float | None
    against_parent: float | None
    """Loss less the parent's loss at the same share of the budget; less than 0 is better."""


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
    against = None
    if last is not None and (then := loss_at(parent, last.elapsed_seconds)) is not None:
        against = last.loss - then
    return LiveTrial(
        trial=trial,
        losses=tuple(point.loss for point in curve),
        steps_per_second=rate,
        tokens_per_second=tokens,
        memory_mb=last.memory_mb if last and last.memory_mb else None,
        against_parent=against,
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
    if one.against_parent is not None:
        better = one.against_parent < 0
        mark = words.BETTER if better else words.WORSE
        against = (f"{mark}{abs(one.against_parent):.3f} vs parent", "good" if better else "bad")
    loss = f"loss {one.losses[-1]:.3f}" if one.losses else ""
    right: list[Piece] = [
        (f" {bar(one.trial.share, bars)} {one.trial.share:4.0%}  ", "bar"),
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


def loss_at(curve: Sequence[CurvePoint], elapsed_seconds: float) -> float | None:
    """A curve's loss at a moment, between two reports by a straight line; None outside of it."""
    if not curve or not curve[0].elapsed_seconds <= elapsed_seconds <= curve[-1].elapsed_seconds:
        return None
    after = bisect_left(curve, elapsed_seconds, key=lambda point: point.elapsed_seconds)
    if after == 0:
        return curve[0].loss
    a, b = curve[after - 1], curve[after]
    share = (elapsed_seconds - a.elapsed_seconds) / (b.elapsed_seconds - a.elapsed_seconds)
    return a.loss + share * (b.loss - a.loss)
