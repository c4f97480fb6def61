"""The snapshot: what every screen shows of a published archive, read in one go.

Scores are in the run's metric; `better` says which way an effect went, so that nobody who shows
one has to know the direction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from evo.archive.reading import Reader
from evo.nouns import Direction, Favour, Recipe, Status
from evo.report.story import favours_of
from evo.text import clean_text

MOST_TITLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Facts:
    """What the run is about."""

    name: str
    metric: str
    direction: Direction
    recipe: Recipe
    editable: str
    budget_seconds: float
    clock: str
    device: str
    strategy: str
    slots: int | None

    @property
    def self_reported(self) -> bool:
        return self.recipe is Recipe.COMMAND


@dataclass(frozen=True, slots=True)
class Row:
    """One variant."""

    id: int
    parents: tuple[int, ...]
    operator: str
    title: str
    role: str
    model: str
    score: float | None
    """Mean over its scored trials."""
    trials: int
    """Scored ones."""
    effect: float | None
    """Mean less the first parent's mean."""
    better: bool | None
    """Whether the effect is an improvement."""
    favour: str
    """What people want of it as a parent."""
    status: str
    """Of its last trial; `untried` before there is one."""
    kept: bool
    """Whether a trial brought it among the living."""
    lines: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Point:
    """One finished trial of the progress plot."""

    trial: int
    variant: int
    score: float | None
    kept: bool
    champion: bool
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Promotion:
    """A champion, when it became one."""

    variant: int
    mean: float
    std: float | None
    trials: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """What somebody asked of an engine, and what it said."""

    id: str
    verb: str
    arguments: str
    who: str
    asked_at: datetime
    outcome: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that came to nothing: a trial without a score, or a proposal that broke before."""

    trial: int | None
    """None where it never came to one."""
    name: str
    """Of its variant; of the operator where there is none."""
    title: str
    status: str
    cause: str


@dataclass(frozen=True, slots=True)
class Spend:
    """What the run has cost."""

    usd: float
    tokens: int
    """Of language models, in and out."""
    training_seconds: float
    total_seconds: float
    """Wall seconds of all trials, with start-up and scoring."""


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """A published archive, at one moment.

    Its `repr` doesn't list everything in it: Textual makes one of each argument of a worker.
    """

    facts: Facts
    rows: tuple[Row, ...]
    """By id; ids have no gaps."""
    points: tuple[Point, ...]
    """In the order in which the search was told."""
    promotions: tuple[Promotion, ...]
    path: tuple[int, ...]
    """From the baseline to the champion along first parents."""
    noise: float | None
    """Standard deviation of one trial."""
    spend: Spend
    queued: tuple[tuple[int, int, str], ...]
    """Trial, variant and purpose of what waits."""
    failures: tuple[Failure, ...]
    """The last ones, newest first."""
    outcomes: dict[str, int]
    """Proposals by what became of them."""
    answered: tuple[Answered, ...]
    """Requests, newest first."""
    tokens_per_second: float | None
    """Median over the last scored trials; None where trials count no tokens."""
    events: tuple[tuple[datetime, str, str], ...] = ()
    """When, kind and text of what happened beside trials, promotions and requests, newest first."""
    _index: dict[int, int] = field(default_factory=dict)

    @property
    def champion(self) -> int | None:
        return self.promotions[-1].variant if self.promotions else None

    def row(self, variant: int) -> Row | None:
        """A variant; None if this copy doesn't have it yet."""
        at = self._index.get(variant)
        return None if at is None else self.rows[at]

    def error(self, row: Row) -> float | None:
        """Standard error of a variant's mean; None before anything was measured twice."""
        if self.noise is None or not row.trials:
            return None
        return self.noise / math.sqrt(row.trials)

    def gain(self, row: Row) -> float | None:
        """How much better than the baseline, in the metric; less than 0 is worse."""
        baseline = self.row(0)
        if row.score is None or baseline is None or baseline.score is None:
            return None
        way = self.facts.direction
        return way.loss(baseline.score) - way.loss(row.score)

    def gain_error(self, row: Row) -> float | None:
        """Standard error of the gain."""
        baseline = self.row(0)
        if baseline is None or row.id == 0:
            return None
        errors = (self.error(row), self.error(baseline))
        known = [one for one in errors if one is not None]
        return math.hypot(*known) if len(known) == len(errors) else None


def load(reader: Reader) -> Snapshot | None:
    """Reads a snapshot; None from an archive in which no run has begun."""
    facts = _facts(reader)
    if facts is None:
        return None
    rows = tuple(_rows(reader, facts.direction))
    return Snapshot(
        facts=facts,
        rows=rows,
        points=tuple(_points(reader)),
        promotions=tuple(
            Promotion(*row)
            for row in reader.query(
                "SELECT variant, mean, std, trials, promoted_at FROM champions ORDER BY seq"
            ).rows
        ),
        path=tuple(
            row[0] for row in reader.query("SELECT variant FROM champion_path ORDER BY step").rows
        ),
        noise=reader.query("SELECT std FROM noise").rows[0][0],
        spend=_spend(reader),
        queued=tuple(
            reader.query(
                "SELECT id, variant, purpose FROM trials WHERE status = 'queued' ORDER BY id"
            ).rows
        ),
        failures=tuple(_failures(reader)),
        outcomes=dict(
            reader.query("SELECT outcome, count(*) FROM proposals GROUP BY 1 ORDER BY 2 DESC").rows
        ),
        answered=tuple(
            Answered(number, verb, clean_text(given), clean_text(who), asked_at, outcome)
            for number, verb, given, who, asked_at, outcome in reader.query(
                "SELECT id, verb, arguments, who, asked_at, outcome FROM requests "
                "ORDER BY done_at DESC LIMIT 50"
            ).rows
        ),
        tokens_per_second=reader.query(
            "SELECT median(speed) FROM (SELECT tokens_per_second AS speed FROM trials "
            "WHERE status = 'scored' AND tokens > 0 ORDER BY seq DESC LIMIT 20)"
        ).rows[0][0],
        events=tuple(
            (at, clean_text(kind), clean_text(" ".join(text.splitlines())))
            for at, kind, text in reader.query(
                "SELECT happened_at, kind, text FROM events ORDER BY happened_at DESC LIMIT 40"
            ).rows
        ),
        _index={row.id: at for at, row in enumerate(rows)},
    )


def _facts(reader: Reader) -> Facts | None:
    found = reader.query(
        "SELECT name, metric, direction, recipe, editable, budget_seconds, clock, device, "
        "strategy, settings ->> '$.slots' FROM runs"
    ).rows
    if not found:
        return None
    name, metric, direction, recipe, editable, budget, clock, device, strategy, slots = found[0]
    return Facts(
        name=name,
        metric=metric,
        direction=Direction(direction),
        recipe=Recipe(recipe),
        editable=editable,
        budget_seconds=budget,
        clock=clock,
        device=device,
        strategy=strategy,
        slots=int(slots) if slots is not None else None,
    )


def _rows(reader: Reader, way: Direction) -> Iterator[Row]:
    favours = favours_of(reader)
    found = reader.query(
        """
        SELECT l.variant, l.parents, l.operator, l.title, v.role, v.model, l.score, l.trials,
               l.effect, coalesce(t.status, 'untried'), coalesce(t.kept, false), l.lines,
               l.created_at
        FROM lineage l JOIN variants v ON v.id = l.variant LEFT JOIN (
            SELECT variant, arg_max(status, id) AS status,
                   bool_or(standing IN ('joined', 'champion')) AS kept
            FROM trials GROUP BY variant
        ) t ON t.variant = l.variant
        ORDER BY l.variant
        """
    ).rows
    for number, parents, operator, title, role, model, score, trials, effect, *rest in found:
        better = None if effect is None else way.loss(effect) < 0
        yield Row(
            number,
            tuple(parents),
            operator,
            _title(title),
            role,
            model,
            score,
            trials,
            effect,
            better,
            favours.get(number, str(Favour.NONE)),
            *rest,
        )


def _title(title: str) -> str:
    if title.isascii() and title.isprintable() and len(title) <= MOST_TITLE_CHARACTERS:
        return title  # nearly all are, and there may be many
    return clean_text(" ".join(title.split()), most_characters=MOST_TITLE_CHARACTERS)


def _points(reader: Reader) -> Iterator[Point]:
    found: tuple[tuple[Any, ...], ...] = reader.query(
        "SELECT id, variant, score, coalesce(standing IN ('joined', 'champion'), false), "
        "coalesce(standing = 'champion', false), finished_at "
        "FROM trials WHERE seq IS NOT NULL ORDER BY seq"
    ).rows
    for row in found:
        yield Point(*row)


def _failures(reader: Reader) -> Iterator[Failure]:
    found = reader.query(
        """
        SELECT t.id, 'v' || t.variant, v.title, t.status, t.cause, t.finished_at AS ended, t.seq
        FROM trials t JOIN variants v ON v.id = t.variant
        WHERE t.seq IS NOT NULL AND t.status <> 'scored'
        UNION ALL
        SELECT NULL, operator, title, 'broke', cause, made_at, seq
        FROM proposals WHERE outcome = 'preflight_failed'
        ORDER BY ended DESC NULLS LAST, seq DESC LIMIT 20
        """
    ).rows
    for trial, name, title, status, cause, *_ in found:
        yield Failure(trial, name, _title(title), status, clean_text(cause or ""))


def _spend(reader: Reader) -> Spend:
    usd, tokens = reader.query(
        "SELECT coalesce(sum(cost_usd), 0), "
        "coalesce(sum(coalesce(tokens_in, 0) + coalesce(tokens_out, 0)), 0) FROM llm_calls"
    ).rows[0]
    training, total = reader.query(
        "SELECT coalesce(sum(training_seconds), 0), coalesce(sum(total_seconds), 0) FROM trials"
    ).rows[0]
    return Spend(float(usd), int(tokens), float(training), float(total))


def failed(status: str) -> bool:
    """Whether a status is that of a variant that came to nothing."""
    known = status in Status._value2member_map_
    return known and Status(status).finished and status != Status.SCORED
