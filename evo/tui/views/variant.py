"""Everything about one variant, as lines to be read from the top down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len

from evo.archive.reading import Reader
from evo.nouns import Favour
from evo.report import words
from evo.text import clean_text
from evo.tui.views.place import Place
from evo.tui.views.plotting import Piece, sparkline
from evo.tui.views.snapshot import Row, Snapshot

LOG_BYTES = 64 * 1024
"""The end of what a trial printed; `evo log` has all."""
MOST_LOG_LINES = 400


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One trial of a variant."""

    id: int
    purpose: str
    status: str
    score: float | None
    seconds: float | None
    tokens_per_second: float | None
    memory_mb: float | None
    cause: str
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Detail:
    """What is kept of one variant."""

    row: Row
    commit: str
    rationale: str
    subject: str
    diff: tuple[str, ...]
    """Lines."""
    trials: tuple[TrialLine, ...]
    log: tuple[str, ...] | None
    """Of its last trial; None where it isn't kept."""


def read(reader: Reader, snapshot: Snapshot, place: Place, variant: int) -> Detail | None:
    """Reads a variant; None if this copy of the archive doesn't have it."""
    row = snapshot.row(variant)
    found = reader.query(
        "SELECT commit, rationale, subject, diff FROM variants WHERE id = ?", [variant]
    ).rows
    if row is None or not found:
        return None
    commit, rationale, subject, diff = found[0]
    trials = tuple(
        TrialLine(number, purpose, status, score, seconds, speed, memory, clean_text(cause), losses)
        for number, purpose, status, score, seconds, speed, memory, cause, *rest in reader.query(
            """
            SELECT t.id, purpose, status, score, training_seconds, tokens_per_second,
                   peak_memory_mb, coalesce(cause, ''),
                   (SELECT list(loss ORDER BY elapsed_seconds) FROM curves WHERE trial = t.id)
            FROM trials t WHERE variant = ? ORDER BY t.id
            """,
            [variant],
        ).rows
        for losses in [tuple(rest[0] or ())]
    )
    log = place.log_of(trials[-1].id) if trials else None
    return Detail(
        row=row,
        commit=commit,
        rationale=clean_text(rationale),
        subject=clean_text(subject),
        diff=tuple(clean_text(diff).splitlines()),
        trials=trials,
        log=_log(log) if log else None,
    )


def _log(path: Path) -> tuple[str, ...] | None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    return tuple(clean_text(text).splitlines()[-MOST_LOG_LINES:])


TRIAL_CELLS = 54
"""Of a trial's line, without its curve."""
SECTIONS = ("top", "trials", "relatives", "diff", "log")


@dataclass(frozen=True, slots=True)
class Page:
    """The lines of a detail, and where its sections begin. Lines of a diff come as plain text
    with the style `diff`, to be coloured when they are seen."""

    lines: tuple[tuple[Piece, ...], ...]
    sections: dict[str, int]


def page(detail: Detail, snapshot: Snapshot, children: tuple[int, ...], width: int) -> Page:
    """A detail laid out in so many cells."""
    lines: list[tuple[Piece, ...]] = []
    sections: dict[str, int] = {}
    parts = {
        "top": _top(detail, snapshot, width),
        "trials": _trials(detail, width),
        "relatives": _relatives(detail, snapshot, children),
        "diff": _diff(detail),
        "log": _printed(detail),
    }
    for name, part in parts.items():
        sections[name] = len(lines)
        lines += part
    return Page(tuple(lines), sections)


def _top(detail: Detail, snapshot: Snapshot, width: int) -> Iterator[tuple[Piece, ...]]:
    row = detail.row
    style = "champion" if row.id == snapshot.champion else "title"
    star = "★ " if row.id == snapshot.champion else ""
    for text in wrap(f"{star}v{row.id}  {row.title}", width):
        yield ((text, style),)
    parents = " × ".join(f"v{parent}" for parent in row.parents)
    by = f" by {row.model}" if row.model else ""
    role = f" as {row.role}" if row.role else ""
    about = f" ({detail.subject})" if detail.subject and row.operator != "human" else ""
    origin = f"{row.operator}{about} of {parents}" if parents else "the baseline"
    for text in wrap(f"{origin}{by}{role}", width):
        yield ((text, "dim"),)
    error = snapshot.error(row)
    if row.score is not None:
        spread = f" ± {error:.4f}" if error is not None else ""
        yield (
            (f"{snapshot.facts.metric} ", "dim"), (f"{row.score:.4f}{spread}", "title"),
            (f"  {row.trials} trial{'s' if row.trials != 1 else ''}", "dim"),
        )  # fmt: skip
    if row.effect is not None:
        tone = "good" if row.better else "bad"
        gain = snapshot.gain(row)
        yield (
            ("effect on parent ", "dim"), (words.gain(row.effect, row.better), tone),
            ("   gain over baseline ", "dim"),
            (words.gain(gain), "good" if gain and gain > 0 else "bad"),
        )  # fmt: skip
    if row.favour != Favour.NONE:
        yield ((f"{row.favour} by people", "warn"),)
    yield ((f"{row.lines} lines, commit {detail.commit[:10]}", "dim"),)
    if detail.rationale:
        yield (("", ""),)
        for text in wrap(detail.rationale, width):
            yield ((text, ""),)


def _trials(detail: Detail, width: int) -> Iterator[tuple[Piece, ...]]:
    curve = min(max(width - TRIAL_CELLS, 0), 16)
    yield (("", ""),)
    yield (("Trials", "header"),)
    for one in detail.trials:
        tone = "" if one.status == "scored" else "bad" if one.cause else "info"
        shown = words.score(one.score) if one.score is not None else one.status
        speed = f"{words.short(one.tokens_per_second)} tok/s" if one.tokens_per_second else ""
        seconds = f"{one.seconds:.1f} s" if one.seconds is not None else ""
        memory = words.megabytes(one.memory_mb) if one.memory_mb else ""
        yield (
            (f"{one.id:>5} ", "dim"), (f"{one.purpose:<9} ", "dim"), (f"{shown:>9} ", tone),
            (f"{seconds:>8}{speed:>12}{memory:>8} ", "dim"), (sparkline(one.losses, curve), "info"),
        )  # fmt: skip
        for text in wrap(one.cause, width - 6) if one.cause else []:
            yield ((" " * 6, ""), (text, "bad"))
    if not detail.trials:
        yield (("none yet", "dim"),)


def _relatives(
    detail: Detail, snapshot: Snapshot, children: tuple[int, ...]
) -> Iterator[tuple[Piece, ...]]:
    yield (("", ""),)
    yield (("Relatives", "header"),)
    for name, numbers in (("parent", detail.row.parents), ("child", children)):
        for number in numbers[:30]:
            row = snapshot.row(number)
            if row is None:
                continue
            tone = "good" if row.better else "bad" if row.better is not None else "dim"
            effect = words.gain(row.effect, row.better) if row.effect is not None else ""
            yield (
                (f"{name:<7}", "dim"), (f"v{row.id:<6}", "title"),
                (f"{words.score(row.score):>9} ", "dim"),
                (f"{effect:>9}  ", tone),
                (row.title, ""),
            )  # fmt: skip
        if len(numbers) > 30:
            yield ((f"and {len(numbers) - 30:,} more", "dim"),)


def _diff(detail: Detail) -> Iterator[tuple[Piece, ...]]:
    yield (("", ""),)
    yield (("Diff against the first parent", "header"),)
    for text in detail.diff:
        yield ((text, "diff"),)
    if not detail.diff:
        yield (("none: it is the baseline, or a merge that kept one side", "dim"),)


def _printed(detail: Detail) -> Iterator[tuple[Piece, ...]]:
    yield (("", ""),)
    yield (("What its last trial printed", "header"),)
    for text in detail.log or ():
        yield ((text, "dim"),)
    if not detail.log:
        none = "nothing" if detail.log is not None else "its log isn't here: archives have none"
        yield ((none, "dim"),)


def wrap(text: str, width: int) -> list[str]:
    """Lines of about so many cells at most, broken between words; blank lines stay."""
    from textwrap import wrap as broken

    found: list[str] = []
    for line in text.splitlines() or [""]:
        room = width * len(line) // max(cell_len(line), 1)  # wide characters take two cells
        found += broken(line, max(room, 10)) or [""]
    return found
