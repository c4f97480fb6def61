"""The story of a variant: plain data read from the published archive, ready to be shown or dumped.

Scores are in the run's metric; a mean's standard error uses the noise pooled over all replicates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from evo.archive.reading import Reader
from evo.errors import ArchiveError
from evo.nouns import Direction, Favour
from evo.report import words

MOST_DIGITS = 9
"""Of an id; what is longer can only be the beginning of a commit."""


@dataclass(frozen=True, slots=True)
class Score:
    """What is known of a variant's score."""

    mean: float
    error: float | None
    """Standard error of the mean; None before anything was measured twice."""
    trials: int

    def __str__(self) -> str:
        error = f" ± {self.error:.4f}" if self.error is not None else ""
        return f"{self.mean:.4f}{error} ({words.counted(self.trials, 'trial')})"


@dataclass(frozen=True, slots=True)
class Step:
    """One variant on the way from the baseline."""

    variant: int
    parents: tuple[int, ...]
    operator: str
    title: str
    commit: str
    score: Score | None
    effect: float | None
    """Mean less the first parent's mean; None where one of them has no score."""
    better: bool | None
    """Whether the effect is an improvement."""


@dataclass(frozen=True, slots=True)
class Story:
    """A variant, and its ancestors from the baseline on."""

    metric: str
    direction: Direction
    self_reported: bool
    steps: tuple[Step, ...]
    """Ancestors in the order in which they were made; the variant itself is the last."""
    holdout: float | None = None
    """Mean score on holdout; None if it was never a would-be champion."""
    optimism: float | None = None
    """By how much selection has flattered it: its gap between holdout and search, less the
    baseline's. In the metric; None if it isn't known of both."""

    @property
    def variant(self) -> Step:
        return self.steps[-1]

    @property
    def baseline(self) -> Step:
        return self.steps[0]

    @property
    def gain(self) -> float | None:
        """How much better than the baseline, in the metric; less than 0 is worse."""
        if self.variant.score is None or self.baseline.score is None:
            return None
        return self.direction.loss(self.baseline.score.mean) - self.direction.loss(
            self.variant.score.mean
        )

    @property
    def gain_error(self) -> float | None:
        """Standard error of the gain."""
        scores = (self.variant.score, self.baseline.score)
        errors = [score.error for score in scores if score and score.error is not None]
        return math.hypot(*errors) if len(errors) == 2 else None


def resolve(reader: Reader, name: str) -> int:
    """A variant's id from what a person types: `17`, `v17`, `best`, `baseline`, or a commit.

    Raises:
        ArchiveError: There is no such variant, or more than one.
    """
    if name in ("best", "champion"):
        champion = reader.query("SELECT variant FROM champions ORDER BY seq DESC LIMIT 1").rows
        if not champion:
            raise ArchiveError("there is no champion yet: the baseline has no score")
        return int(champion[0][0])
    if name == "baseline":
        name = "0"
    number = name.removeprefix("v")
    if number.isdecimal() and len(number) <= MOST_DIGITS:
        found = reader.query("SELECT id FROM variants WHERE id = ?", [int(number)]).rows
        if found:
            return int(found[0][0])
    if len(name) >= 4:
        found = reader.query("SELECT id FROM variants WHERE starts_with(commit, ?)", [name]).rows
        if len(found) > 1:
            raise ArchiveError(f"{name} begins the commits of {len(found)} variants; type more")
        if found:
            return int(found[0][0])
    last = reader.query("SELECT max(id) FROM variants").rows[0][0]
    raise ArchiveError(f"there is no variant {name}; they go from 0 to {last}, and `best` is one")


def tell(reader: Reader, variant: int) -> Story:
    """The story of a variant."""
    metric, direction, self_reported = reader.query(
        "SELECT metric, direction, recipe = 'command' FROM runs"
    ).rows[0]
    way = Direction(direction)
    noise = _noise(reader)
    rows = reader.query(
        """
        SELECT variant, parents, operator, title, commit, score, trials, effect FROM lineage
        WHERE variant = $1 OR variant IN (SELECT variant FROM ancestors($1)) ORDER BY variant
        """,
        [variant],
    ).rows
    steps = tuple(_step(row, noise, way) for row in rows)
    unseen = reader.query("SELECT holdout, optimism FROM optimism WHERE variant = ?", [variant])
    holdout, optimism = unseen.rows[0] if unseen.rows else (None, None)
    return Story(str(metric), way, bool(self_reported), steps, holdout, optimism)


def _step(row: tuple[object, ...], noise: float | None, way: Direction) -> Step:
    number, parents, operator, title, commit, mean, count, effect = row
    assert isinstance(number, int)
    assert isinstance(parents, list)
    score = None
    if isinstance(mean, float) and isinstance(count, int):
        score = Score(mean, noise / math.sqrt(count) if noise is not None else None, count)
    known = isinstance(effect, float)
    return Step(
        variant=number,
        parents=tuple(parents),
        operator=str(operator),
        title=str(title),
        commit=str(commit),
        score=score,
        effect=effect if isinstance(effect, float) else None,
        better=way.loss(effect) < 0 if known and isinstance(effect, float) else None,
    )


def unconfirmed(reader: Reader, champion: Story) -> Step | None:
    """Whoever has a better mean than the champion, but isn't proven to be better; nobody who is
    banned."""
    best = champion.variant.score
    if best is None:
        return None
    sign = "ASC" if champion.direction is Direction.MINIMISE else "DESC"
    banned = [one for one, favour in favours_of(reader).items() if favour == Favour.BANNED]
    rows = reader.query(
        "SELECT variant FROM lineage WHERE score IS NOT NULL "
        "AND NOT list_contains(?::INTEGER[], variant) "
        f"ORDER BY score {sign}, variant LIMIT 1",
        [banned],
    ).rows
    if not rows:
        return None
    step = tell(reader, int(rows[0][0])).variant
    assert step.score is not None
    return step if champion.direction.better(step.score.mean, best.mean) else None


def favours_of(reader: Reader) -> dict[int, str]:
    """What people want of variants; nobody could wish for anything in an archive of an earlier
    schema."""
    if not reader.query("FROM duckdb_tables() WHERE table_name = 'wishes'").rows:
        return {}
    return dict(reader.query("SELECT variant, arg_max(favour, seq) FROM wishes GROUP BY 1").rows)


def _noise(reader: Reader) -> float | None:
    """Standard deviation of one trial, pooled over the variants with replicates."""
    [[noise]] = reader.query("SELECT std FROM noise").rows
    return float(noise) if noise is not None else None
