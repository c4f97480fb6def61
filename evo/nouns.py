"""The nouns of a search: frozen records, and enums for what became of them.

A record never changes; what happens later is a new record. Direction and invalidity are types: a
trial without a valid measurement has `score=None`, never 0, inf or NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum


class Status(StrEnum):
    """The life of a trial; only `SCORED` carries a score."""

    QUEUED = "queued"
    RUNNING = "running"
    SCORED = "scored"
    PRUNED = "pruned"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    DISHONEST = "dishonest"
    INFRASTRUCTURE = "infrastructure"
    """Not the variant's fault (a full disk, a lost worker): it is tried again."""

    @property
    def finished(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)


class Outcome(StrEnum):
    """What became of a proposal before any trial."""

    ACCEPTED = "accepted"
    MALFORMED = "malformed"
    NO_OP = "no_op"
    DUPLICATE = "duplicate"
    PREFLIGHT_FAILED = "preflight_failed"


class Standing(StrEnum):
    """What a trial did to the population."""

    IGNORED = "ignored"
    JOINED = "joined"
    CHAMPION = "champion"


class Favour(StrEnum):
    """What people want of a variant as a parent."""

    NONE = "none"
    PINNED = "pinned"
    """It stays among the parents, and is asked of more often."""
    BANNED = "banned"
    """It is no parent any more, and never leads."""


class Direction(StrEnum):
    """Which way a metric improves."""

    MINIMISE = "minimise"
    MAXIMISE = "maximise"

    def loss(self, score: float) -> float:
        """The score as a number of which less is better."""
        return score if self is Direction.MINIMISE else -score

    def better(self, score: float, other: float) -> bool:
        return self.loss(score) < self.loss(other)


class CallOutcome(StrEnum):
    """What came of one call of a language model."""

    ANSWERED = "answered"
    UNUSABLE = "unusable"
    """It answered, but nothing could be made of it."""
    EMPTY = "empty"
    TRUNCATED = "truncated"
    FILTERED = "filtered"
    """The provider's content filter withheld the answer."""
    TIMED_OUT = "timed_out"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    """The provider failed: a status of 500 or above, or an answer that breaks the protocol."""
    DISCONNECTED = "disconnected"
    TOO_LONG = "too_long"
    """The prompt is longer than the model takes."""
    UNAUTHORISED = "unauthorised"
    """No key, a wrong key, or one without the right or the money."""
    UNKNOWN_MODEL = "unknown_model"
    REFUSED = "refused"
    """The provider takes the request for a wrong one."""
    ABANDONED = "abandoned"
    """The engine ended before the answer came."""


class Recipe(StrEnum):
    """How a variant is measured."""

    ARENA = "arena"
    """The referee serves the data, owns the clock and scores the weights in bits per byte."""
    COMMAND = "command"
    """A script prints its own score; its trials are marked self-reported."""


class Clock(StrEnum):
    """What a budget counts."""

    WALL = "wall"
    CPU = "cpu"
    """CPU seconds of the trainee's processes: wall time means nothing on shared cores."""


class Purpose(StrEnum):
    """Why a trial is run."""

    FIRST = "first"
    REPLICATE = "replicate"
    """A fresh seed for a variant that may be, or is, the champion."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is evolved and how it is measured."""

    editable: str
    recipe: Recipe
    metric: str
    direction: Direction
    budget_seconds: float
    clock: Clock
    scale: float = 1.0
    """Share of the full model's depth and width; 1.0 is the model as written."""
    command: str = ""
    """Shell words of a `command` task, `{editable}` standing for the file."""
    pattern: str = ""
    """Regular expression whose first group is the score; empty means `metric: number`."""
    crash_pattern: str = ""
    """Regular expression; output in which it is found means that the run failed."""


@dataclass(frozen=True, slots=True)
class Program:
    """`program.md`: what the human asks of the operators."""

    text: str
    sha: str
    """SHA-256 of the text, hexadecimal; every proposal records which program asked for it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a variant from now on."""

    variant: int
    favour: Favour


@dataclass(frozen=True, slots=True)
class Brief:
    """What an operator is asked for: ids only, the sources are on the shelf."""

    id: int
    operator: str
    parents: tuple[int, ...] = ()
    """Variant ids; the first is the one whose text is changed."""
    subject: str = ""
    """What the operator is pointed at: a founder's name, or the id of the variant whose diff is
    to be taken out (`ablate`). Empty where the operator needs none."""
    seed: int = 0
    """Seed of whatever the operator draws; equal briefs get equal proposals."""
    role: str = ""
    """Section of program.md that a model is given; empty means none."""
    model: str = ""
    """The language model to ask first; empty where the operator needs none."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an operator answered, and what became of it before any trial."""

    id: int
    operator: str
    parents: tuple[int, ...]
    outcome: Outcome
    title: str = ""
    rationale: str = ""
    subject: str = ""
    source: str | None = None
    """The new text of the editable file; None unless the proposal got that far."""
    cause: str = ""
    """Why it was refused, in one line; empty if accepted."""
    twin: int | None = None
    """For a duplicate: the variant that it equals."""
    role: str = ""
    model: str = ""
    program_sha: str = ""
    seconds: float = 0.0
    cost_usd: float = 0.0
    """What models charged for it, as far as prices are known."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a language model, whatever came of it."""

    proposal: int
    operator: str
    role: str
    model: str
    program_sha: str
    outcome: CallOutcome
    called_at: datetime
    """UTC, naive."""
    latency_seconds: float
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = None
    """None where nobody knows the price."""
    cause: str = ""
    """Why there is no answer, in one line; empty if there is."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One version of the editable file, immutable: its commit, parents, and where it came from."""

    id: int
    commit: str
    parents: tuple[int, ...]
    operator: str
    title: str
    rationale: str
    diff: str
    """Unified diff against the first parent; empty for the baseline."""
    fingerprint: str
    """Hash of the normalised syntax tree: equal code has equal fingerprints."""
    lines: int
    """Lines of code without blanks and comments: the size that simplicity is judged by."""
    proposal: int
    created_at: datetime
    """UTC, naive."""
    subject: str = ""
    role: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One report of a running trial."""

    elapsed_seconds: float
    """Seconds of budget used."""
    step: int
    loss: float
    """Training loss as the trainee reports it, nats per token: for people to watch, never
    believed."""
    tokens: int = 0
    """Training tokens served so far; only of a trial that runs, and 0 where nobody knows."""
    memory_mb: float = 0.0
    """The most that its processes have held so far; as `tokens`."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a trial used. Seconds are the referee's; steps, tokens per second, parameters and
    device memory are the trainee's word."""

    startup_seconds: float = 0.0
    """From the start of the process to the first real batch."""
    training_seconds: float = 0.0
    """Budget used, by the task's clock."""
    overrun_seconds: float = 0.0
    """Budget used after the stream had ended, less the transfer of the weights."""
    scoring_seconds: float = 0.0
    total_seconds: float = 0.0
    """Wall time of the whole trial."""
    data_wait_seconds: float = 0.0
    """How long the trainee waited for batches while its budget ran."""
    peak_memory_mb: float = 0.0
    device_memory_mb: float = 0.0
    tokens: int = 0
    """Training tokens served."""
    steps: int = 0
    """Batches served."""
    parameters: int = 0
    weights_mb: float = 0.0

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.training_seconds if self.training_seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the blind audit says of a trial's score.

    A model claims the negative log-likelihood of every token; a second process, which can't know
    what it is good for, is asked for the truth at positions that the first couldn't foresee.
    """

    honest: bool
    reason: str
    """Why it isn't, in one line; empty if honest."""
    claimed: float
    """Bits per byte by what the model claims."""
    audited: float
    """The claim and the mean difference found: what is reported. Bits per byte."""
    gap_nats: float
    """Mean of audited minus claimed nats a token, over the positions that were drawn uniformly."""
    gap_std_nats: float
    """Standard error of the gap."""
    worst_nats: float
    """Largest difference at one position."""
    positions: int
    """How many positions were audited."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the referee says of one run of a variant.

    Raises:
        ValueError: A score without `SCORED`, `SCORED` without a score, or a score that is not
            finite.
    """

    status: Status
    score: float | None = None
    cause: str = ""
    """Why there is no score, in one line; empty if scored."""
    resources: Resources = field(default_factory=Resources)
    curve: tuple[CurvePoint, ...] = ()
    device: str = ""
    split: str = ""
    """Which validation split was scored; empty for a command task."""
    data_sha: str = ""
    """SHA-256 of the manifest of the data."""
    verdict: Verdict | None = None
    """Of the audit of the score; None for a command task, and where there was nothing to audit."""
    holdout_score: float | None = None
    """The same weights on the holdout split: measured for would-be champions alone."""
    sandbox: str = ""
    """The walls that it ran behind: `bubblewrap`, `namespaces`, `landlock`, or `open` for none."""

    def __post_init__(self) -> None:
        if (self.status is Status.SCORED) != (self.score is not None):
            raise ValueError(f"status {self.status} with score {self.score}")
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"a score must be finite, got {self.score}")


@dataclass(frozen=True, slots=True)
class Trial:
    """One time-boxed measurement of a variant; a variant may have many."""

    id: int
    variant: int
    seed: int
    purpose: Purpose
    budget_seconds: float
    scale: float
    attempt: int = 1
    """Counts the starts in a session: what infrastructure broke is tried again under its id."""
    measurement: Measurement | None = None
    """None while queued or running."""
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def score(self) -> float | None:
        return self.measurement.score if self.measurement else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the search believes of a variant's true loss after all of its trials."""

    mean: float
    std: float
    """Standard deviation of the mean; infinite precision is never claimed."""
    trials: int


@dataclass(frozen=True, slots=True)
class Event:
    """A line for people: something that happened while a search ran."""

    at: datetime
    kind: str
    text: str


def utc(seconds: float) -> datetime:
    """A moment, given in Unix seconds, as records keep it: UTC, naive."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
