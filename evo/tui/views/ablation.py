"""The champion's way from the baseline, as a waterfall: what each diff brought, and how surely."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evo.archive.reading import Reader
from evo.report import words
from evo.text import clean_text
from evo.tui.views.plotting import Piece
from evo.tui.views.snapshot import Row, Snapshot
from evo.tui.views.variant import wrap

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
    rationale: str = ""
    diff: tuple[str, ...] = ()
    """Lines, against the first parent."""

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
    taken_out, changes = _ablations(reader, snapshot), _changes(reader, snapshot)
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
        falls.append(Fall(row, gain, error, total, taken_out.get(variant), *changes[variant]))
    return tuple(falls)


def _changes(reader: Reader, snapshot: Snapshot) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Rationale and diff of every step."""
    marks = ", ".join("?" for _ in snapshot.path)
    rows = reader.query(
        f"SELECT id, rationale, diff FROM variants WHERE id IN ({marks or 'NULL'})",
        list(snapshot.path),
    ).rows
    found = {
        number: (clean_text(why), tuple(clean_text(d).splitlines())) for number, why, d in rows
    }
    return {variant: found.get(variant, ("", ())) for variant in snapshot.path}


def _ablations(reader: Reader, snapshot: Snapshot) -> dict[int, float]:
    """By variant: how much worse a descendant became, on average, without its diff."""
    rows = reader.query(
        "SELECT v.subject, avg(l.effect) FROM lineage l JOIN variants v ON v.id = l.variant "
        "WHERE v.operator = 'ablate' AND l.effect IS NOT NULL GROUP BY 1"
    ).rows
    way = snapshot.facts.direction
    return {int(name): way.loss(effect) for name, effect in rows if name.isdecimal()}


WIDE = 100
"""Cells from which there is room for what a descendant lost."""


def header(width: int) -> str:
    """The names of the columns."""
    without = f"{'without it':>10}  " if width >= WIDE else ""
    return f"{'variant':<7}{'gain':>9} {'±':>7}  {without}{'verdict':<20}"


def pieces(fall: Fall, falls: tuple[Fall, ...], width: int) -> list[Piece]:
    """A step as one line: numbers, a bar that begins where the one before it ended, the title."""
    row = fall.row
    tone = {"clear": "good", "harmful": "bad", "unknown": "dim"}.get(fall.verdict, "warn")
    gain = words.gain(fall.gain) if row.parents else words.score(row.score)
    error = f"{fall.error:.4f}" if fall.error is not None else ""
    helped_most = fall is most_helpful(falls)
    verdict = f"{fall.verdict}{', most' if helped_most else ''}" if row.parents else "baseline"
    without = words.gain(-fall.without) if fall.without is not None else ""
    found: list[Piece] = [
        (f"v{row.id:<6}", "champion" if fall is falls[-1] else "title"),
        (f"{gain:>9} ", tone if row.parents else ""),
        (f"{error:>7}  ", "dim"),
        (f"{without:>10}  " if width >= WIDE else "", "dim"),
        (f"{verdict:<20}", tone if row.parents else "dim"),
    ]
    found += _bar(fall, falls, min(width // 5, 40), tone)
    found.append((f" {row.title}", "title" if helped_most else ""))
    return found


def most_helpful(falls: tuple[Fall, ...]) -> Fall | None:
    """The step with the largest gain; None where none has one."""
    gains = [fall for fall in falls if fall.row.parents and (fall.gain or 0.0) > 0]
    return max(gains, key=lambda fall: fall.gain or 0.0, default=None)


def change(fall: Fall, width: int) -> list[list[Piece]]:
    """What a step did: its title, why, and its diff, whose lines have the style `diff`."""
    row = fall.row
    lines: list[list[Piece]] = [[(f"v{row.id} ", "champion"), (row.title, "title")]]
    lines += [[(text, "")] for text in wrap(fall.rationale, width) if fall.rationale]
    lines.append([])
    lines += [[(text, "diff")] for text in fall.diff]
    if not fall.diff and row.parents:
        lines.append([("no diff of its own", "dim")])
    return lines


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
