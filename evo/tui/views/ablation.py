"""The champion's way from the baseline, as a waterfall: what each diff brought, and how surely."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evo.archive.reading import Reader
from evo.report import words
from evo.tui.views.plotting import Piece
from evo.tui.views.snapshot import Row, Snapshot

SURE = 2.0
"""Standard errors beyond which an effect is called clear."""


@dataclass(frozen=True, slots=True)
class Fall:
    """One step of the waterfall; effects are improvements where they are more than 0."""

    row: Row
    gain: float | None
    """Over its parent."""
    error: float | None
    """Standard error of that."""
    total: float | None
    """Gain over the baseline so far."""
    without: float | None
    """What was lost when this diff was taken out of a descendant; None where nobody tried."""

    @property
    def verdict(self) -> str:
        if self.gain is None:
            return "unknown"
        if self.error is None:
            return "once"
        if abs(self.gain) <= SURE * self.error:
            return "may be chance"
        return "clear" if self.gain > 0 else "harmful"


def waterfall(reader: Reader, snapshot: Snapshot) -> tuple[Fall, ...]:
    """The champion's steps, the baseline first."""
    taken_out = _ablations(reader, snapshot)
    falls = []
    for variant in snapshot.path:
        row = snapshot.row(variant)
        if row is None:
            continue
        gain = None if row.effect is None else -snapshot.facts.direction.loss(row.effect)
        parent = snapshot.row(row.parents[0]) if row.parents else None
        error = None
        if parent is not None:
            errors = (snapshot.error(row), snapshot.error(parent))
            if all(one is not None for one in errors):
                error = math.hypot(*(one for one in errors if one is not None))
        total = snapshot.gain(row) if row.parents else 0.0
        falls.append(Fall(row, gain, error, total, taken_out.get(variant)))
    return tuple(falls)


def _ablations(reader: Reader, snapshot: Snapshot) -> dict[int, float]:
    """By variant: how much worse a descendant became, on average, without its diff."""
    rows = reader.query(
        "SELECT v.subject, avg(l.effect) FROM lineage l JOIN variants v ON v.id = l.variant "
        "WHERE v.operator = 'ablate' AND l.effect IS NOT NULL GROUP BY 1"
    ).rows
    way = snapshot.facts.direction
    return {int(name): way.loss(effect) for name, effect in rows if name.isdecimal()}


HEADER = f"{'variant':<9}{'gain':>9} {'±':>8}  {'without it':>10}  {'verdict':<14}"


def pieces(fall: Fall, falls: tuple[Fall, ...], width: int) -> list[Piece]:
    """A step as one line: numbers, then a bar that begins where the one before it ended."""
    row = fall.row
    tone = {"clear": "good", "harmful": "bad", "unknown": "dim"}.get(fall.verdict, "warn")
    gain = words.effect(fall.gain) if row.parents else words.score(row.score)
    error = f"{fall.error:.4f}" if fall.error is not None else ""
    without = words.effect(-fall.without) if fall.without is not None else ""
    verdict = fall.verdict if row.parents else "baseline"
    last = fall is falls[-1]
    found: list[Piece] = [
        (f"v{row.id:<8}", "champion" if last else "title"),
        (f"{gain:>9} ", tone if row.parents else ""),
        (f"{error:>8}  ", "dim"),
        (f"{without:>10}  ", "dim"),
        (f"{verdict:<14}", tone if row.parents else "dim"),
    ]
    room = max((width - sum(len(text) for text, _ in found)) // 2, 0)
    found += _bar(fall, falls, min(room, 40), tone)
    found.append((f"  {row.title}", "champion" if last else ""))
    return found


def _bar(fall: Fall, falls: tuple[Fall, ...], width: int, tone: str) -> list[Piece]:
    totals = [one.total for one in falls if one.total is not None]
    if not totals or width < 6 or fall.total is None:
        return [(" " * width, "")]
    low, high = min(0.0, *totals), max(0.0, *totals)
    scale = (width - 1) / ((high - low) or 1.0)
    end = (fall.total - low) * scale
    begin = end - (fall.gain or 0.0) * scale
    a, b = sorted((round(begin), round(end)))
    style = tone if fall.row.parents else "faint"
    filled = "█" * max(b - a, 1)
    return [(" " * a, ""), (filled, style), (" " * max(width - a - len(filled), 0), "")]
