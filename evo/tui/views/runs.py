"""The runs of a project, and archives from elsewhere: what a start screen says of each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from evo.archive.reading import Reader
from evo.config import run_flag
from evo.engine import heartbeat
from evo.engine.layout import DATABASE, PUBLISHED
from evo.errors import ArchiveError
from evo.report import words
from evo.tui.views.place import Place
from evo.tui.views.plotting import Piece, sparkline

MOST_SCORES = 400


@dataclass(frozen=True, slots=True)
class Summary:
    """One run, in a line."""

    place: Place
    alive: bool
    metric: str
    best: float | None
    trials: int
    scores: tuple[float, ...]
    """Best so far, after each of the last trials."""
    published_at: float
    """Unix seconds; 0 if nothing is published."""
    trouble: str
    """Why its archive can't be read; empty if it can."""


def find(population: Path, archives: Path, program: Path, usual: str) -> list[Place]:
    """Every run that has an archive or a living population, by name.

    Args:
        population: Holds a folder for each run.
        archives: The same of what is published.
        program: program.md, of all of them.
        usual: The run that commands mean where they name none.
    """
    names = {path.parent.name for path in archives.glob(f"*/{PUBLISHED}")}
    names |= {path.parent.name for path in population.glob(f"*/{DATABASE}")}
    places = []
    for name in sorted(names):
        folder = population / name
        living = folder if (folder / DATABASE).exists() else None
        flag = run_flag(name, usual)
        places.append(Place(name, archives / name, living, program, flag))
    return places


def summarise(place: Place) -> Summary:
    """Reads what is said of a run."""
    alive = place.folder is not None and heartbeat.alive(heartbeat.read(place.folder))
    try:
        published_at = place.archive.stat().st_mtime
        with Reader.open(place.archive) as reader:
            [[metric, direction]] = reader.query("SELECT metric, direction FROM runs").rows
            trials = reader.query("SELECT count(*) FROM trials WHERE seq IS NOT NULL").rows[0][0]
            scores = [
                row[0]
                for row in reader.query(
                    "SELECT score FROM trials WHERE status = 'scored' ORDER BY seq DESC LIMIT ?",
                    [MOST_SCORES],
                ).rows
            ]
            led = reader.query("SELECT mean FROM champions ORDER BY seq DESC LIMIT 1").rows
    except (ArchiveError, OSError, ValueError) as error:
        return Summary(place, alive, "", None, 0, (), 0.0, str(error).splitlines()[0])
    best = led[0][0] if led else None
    run = accumulate(reversed(scores), min if direction == "minimise" else max)
    return Summary(place, alive, metric, best, trials, tuple(run), published_at, "")


def pieces(one: Summary, now: float, width: int) -> list[Piece]:
    """A run as one line."""
    mark, style = ("●", "good") if one.alive else ("○", "dim")
    found: list[Piece] = [(f" {mark} ", style), (f"{one.place.name[:20]:<21}", "title")]
    if one.trouble:
        return [*found, (one.trouble, "bad")]
    ago = words.ago(now - one.published_at)
    found += [
        (f"{one.metric[:12]:>12} ", "dim"),
        (f"{words.score(one.best):>10} ", "champion"),
        (f"{one.trials:>7,} trials ", "dim"),
        (f"{ago:>7} ago  ", "dim"),
    ]
    used = sum(len(text) for text, _ in found)
    found.append((sparkline(one.scores, max(min(width - used - 1, 40), 0)), "info"))
    return found
